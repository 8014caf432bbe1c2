//! A local receiver of webhooks, for trying and testing: it checks signatures, answers as it is told, and hands
//! over what arrived.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};

use crate::secret::VerifyingKey;
use crate::signature::{self, SignatureError, SignatureScheme};
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Most bytes of a request's body; more is answered with 413.
pub const MAX_BODY: usize = 32 << 20;
/// Arrivals that wait for [`Receiver::next`]; while there are so many, requests wait for their answer.
pub const MAX_WAITING: usize = 1_024;
/// Connections at once.
pub const MAX_CONNECTIONS: usize = 1_024;
/// How long a client may take over a request's head, and over its body.
const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// After a failed accept, which is mostly a want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Listens until it is dropped.
pub struct Receiver {
    address: SocketAddr,
    desk: Arc<Desk>,
    arrivals: mpsc::Receiver<Arrival>,
    accepting: JoinHandle<()>,
}

/// A request as it came in, and what was said to it.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// When its last byte had come.
    pub at: Timestamp,
    pub method: String,
    pub path_and_query: String,
    /// In their order; names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub signature: Signature,
    /// Of the answer.
    pub status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signature {
    /// The receiver knows no key for the path.
    Unchecked,
    Verified,
    Refused(SignatureError),
}

/// What the requests to a path have to be signed with.
#[derive(Debug, Clone)]
pub struct Expected {
    pub scheme: SignatureScheme,
    /// A shared secret, or the sender's public key.
    pub key: VerifyingKey,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// From the request's last byte to the answer's first.
    pub delay: Duration,
}

struct Desk {
    arrivals: mpsc::Sender<Arrival>,
    rules: Mutex<Rules>,
}

struct Rules {
    /// By path; the first that fits. `None` fits every path.
    expected: Vec<(Option<String>, Expected)>,
    /// The next answers, before `reply`.
    script: VecDeque<Reply>,
    reply: Reply,
}

impl Receiver {
    /// Listens on `address`, answers 200 and checks no signature until it is told otherwise.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (sender, arrivals) = mpsc::channel(MAX_WAITING);
        let rules =
            Rules { expected: Vec::new(), script: VecDeque::new(), reply: Reply::status(StatusCode::OK) };
        let desk = Arc::new(Desk { arrivals: sender, rules: Mutex::new(rules) });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&desk)));
        Ok(Self { address, desk, arrivals, accepting })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// From now on, requests to `path` (`None`: to all others) have to be signed so; the rest is answered 401.
    pub fn expect(&self, path: Option<&str>, expected: Expected) {
        let mut rules = self.desk.rules();
        let path = path.map(str::to_owned);
        rules.expected.retain(|(other, _)| *other != path);
        rules.expected.push((path, expected));
        // Paths before the rest.
        rules.expected.sort_by_key(|(path, _)| path.is_none());
    }

    /// The answer from now on.
    pub fn reply(&self, reply: Reply) {
        self.desk.rules().reply = reply;
    }

    /// The answers to the next requests, one each; after them the lasting one.
    pub fn reply_first(&self, replies: impl IntoIterator<Item = Reply>) {
        self.desk.rules().script.extend(replies);
    }

    /// The next request, in the order of their last bytes. Its answer may still be under way.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Arrival {
        match self.arrivals.recv().await {
            Some(arrival) => arrival,
            // `desk` holds a sender, so the channel never ends.
            None => std::future::pending().await,
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Arrival {
    /// The first value of a header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn path(&self) -> &str {
        self.path_and_query.split('?').next().unwrap_or_default()
    }
}

impl Reply {
    pub fn status(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO }
    }

    fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        Self { body: text.into(), ..Self::status(status) }
    }

    fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
                response.headers_mut().append(name, value);
            }
        }
        response
    }
}

async fn accept(listener: TcpListener, desk: Arc<Desk>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    // Dropped with this task, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                connections.spawn(async move {
                    serve(stream, desk).await;
                    drop(place);
                });
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Until either side closes. What goes wrong here shows on the sender's side.
async fn serve(stream: TcpStream, desk: Arc<Desk>) {
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(READ_TIMEOUT);
    let service = service_fn(|request| {
        let desk = Arc::clone(&desk);
        async move { Ok::<_, Infallible>(desk.take(request).await.into_response()) }
    });
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
}

impl Desk {
    async fn take(&self, request: Request<Incoming>) -> Reply {
        let (head, body) = request.into_parts();
        let body = match read(body).await {
            Ok(body) => body,
            Err(reply) => return reply,
        };
        let at = SystemClock.now();
        let signature = self.check(head.uri.path(), &head.headers, at, &body);
        let reply = self.reply(&signature);
        let arrival = Arrival {
            at,
            method: head.method.to_string(),
            path_and_query: head.uri.path_and_query().map_or_else(|| "/".to_owned(), ToString::to_string),
            headers: lines(&head.headers),
            body,
            signature,
            status: reply.status.as_u16(),
        };
        // Fails only where the receiver is gone, and nobody wants to know.
        let _ = self.arrivals.send(arrival).await;
        tokio::time::sleep(reply.delay).await;
        reply
    }

    fn check(&self, path: &str, headers: &HeaderMap, now: Timestamp, body: &[u8]) -> Signature {
        let rules = self.rules();
        let fits = |rule: &&(Option<String>, Expected)| rule.0.as_deref().is_none_or(|other| other == path);
        let Some((_, Expected { scheme, key })) = rules.expected.iter().find(fits) else {
            return Signature::Unchecked;
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        match signature::verify(scheme, key, header, now, body) {
            Ok(()) => Signature::Verified,
            Err(error) => Signature::Refused(error),
        }
    }

    fn reply(&self, signature: &Signature) -> Reply {
        if let Signature::Refused(error) = signature {
            return Reply::text(StatusCode::UNAUTHORIZED, error.to_string());
        }
        let mut rules = self.rules();
        rules.script.pop_front().unwrap_or_else(|| rules.reply.clone())
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn read(body: Incoming) -> Result<Bytes, Reply> {
    match tokio::time::timeout(READ_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            Err(Reply::text(StatusCode::PAYLOAD_TOO_LARGE, format!("at most {MAX_BODY} bytes")))
        }
        Ok(Err(_)) => Err(Reply::text(StatusCode::BAD_REQUEST, "the body broke off")),
        Err(_) => Err(Reply::text(StatusCode::REQUEST_TIMEOUT, "the body took too long")),
    }
}

fn lines(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::secret::SigningSecret;

    const BODY: &str = r#"{"n":12345678901234567890.10}"#;

    async fn receiver() -> Receiver {
        Receiver::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a free port")
    }

    fn secret() -> SigningSecret {
        SigningSecret::from_key([7; 32])
    }

    /// Posts `BODY` and reads the whole answer.
    async fn post(receiver: &Receiver, path: &str, headers: &[(String, String)]) -> String {
        let mut stream = TcpStream::connect(receiver.address()).await.expect("a connection");
        let mut request = format!("POST {path} HTTP/1.1\r\nhost: h\r\nconnection: close\r\n");
        request += &format!("content-length: {}\r\n", BODY.len());
        headers.iter().for_each(|(name, value)| request += &format!("{name}: {value}\r\n"));
        request += &format!("\r\n{BODY}");
        stream.write_all(request.as_bytes()).await.expect("to be read");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }

    #[tokio::test]
    async fn each_path_has_its_own_secret() {
        let mut receiver = receiver().await;
        let scheme = SignatureScheme::HmacSha256 { header: "X-Sig".into(), prefix: "sha256=".into() };
        receiver.expect(Some("/signed"), Expected { scheme: scheme.clone(), key: secret().into() });
        let good = signature::sign(&scheme, &secret().into(), "msg_1", Timestamp::ZERO, BODY.as_bytes());
        let other = SigningSecret::from_key([8; 32]).into();
        let wrong = signature::sign(&scheme, &other, "msg_1", Timestamp::ZERO, BODY.as_bytes());
        let table = [
            ("/signed?a=1", good, "200", Signature::Verified),
            ("/signed", wrong, "401", Signature::Refused(SignatureError::Mismatch("X-Sig".into()))),
            ("/signed", Vec::new(), "401", Signature::Refused(SignatureError::Missing("X-Sig".into()))),
            ("/open", Vec::new(), "200", Signature::Unchecked),
        ];
        for (path, headers, status, signature) in table {
            let answer = post(&receiver, path, &headers).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{path}: {answer}");
            let arrival = receiver.next().await;
            assert_eq!((arrival.signature, arrival.path_and_query.as_str()), (signature, path));
            assert_eq!(arrival.body, BODY);
        }
    }

    #[tokio::test]
    async fn a_script_comes_before_the_lasting_answer() {
        let receiver = receiver().await;
        receiver.reply(Reply::status(StatusCode::NO_CONTENT));
        let busy = Reply {
            headers: vec![("retry-after".into(), "7".into())],
            ..Reply::status(StatusCode::SERVICE_UNAVAILABLE)
        };
        receiver.reply_first([busy]);
        let first = post(&receiver, "/", &[]).await;
        assert!(first.starts_with("HTTP/1.1 503 ") && first.contains("retry-after: 7"), "{first}");
        assert!(post(&receiver, "/", &[]).await.starts_with("HTTP/1.1 204 "));
    }

    #[tokio::test]
    async fn a_dropped_receiver_listens_no_more() {
        let receiver = receiver().await;
        let address = receiver.address();
        let accepting = receiver.accepting.abort_handle();
        drop(receiver);
        while !accepting.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(TcpStream::connect(address).await.is_err());
    }
}
