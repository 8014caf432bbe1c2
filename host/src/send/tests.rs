//! The client against receivers that misbehave, over real sockets on loopback.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Longer than any test takes, so that only what is meant to time out does.
const PATIENT: Duration = Duration::from_secs(30);
/// What comes before the part that hangs has to fit in.
const SHORT: Duration = Duration::from_secs(2);
/// Where nothing has to.
const BRIEF: Duration = Duration::from_millis(200);
const LIMIT: usize = 1000;

#[tokio::test]
async fn an_answer_comes_back_as_it_was_sent() {
    let sink = sink(|mut stream| async move {
        let request = read_request(&mut stream).await;
        assert!(request.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{request}");
        write(&mut stream, "HTTP/1.1 418 Teapot\r\nx-a: 1\r\nx-a: 2\r\ncontent-length: 5\r\n\r\nhello").await;
    });
    let sink = sink.await;
    let exchange = client().send(post(&sink.url("/hook?a=b"))).await;
    assert_eq!(exchange.remote, Some(sink.address));
    assert!(exchange.times.connect.is_some() && exchange.times.first_byte.is_some());
    assert_eq!((exchange.times.dns, exchange.times.tls), (None, None));
    let answer = exchange.result.unwrap();
    assert_eq!((answer.status, &answer.body[..], answer.truncated), (418, &b"hello"[..], false));
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
}

#[tokio::test]
async fn whatever_a_receiver_answers_becomes_an_answer_or_a_fault() {
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    let long_header = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "y".repeat(200_000));
    let long_body = format!("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n{}", "y".repeat(5000));
    let whole_body = format!("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{}", "y".repeat(1000));
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n".repeat(50);
    let hinted = format!("{hints}HTTP/1.1 204 No Content\r\n\r\n");
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", "200 2"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nx-trailer: 1\r\n\r\n",
            "200 2",
        ),
        ("HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 13"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "200 0"),
        (&hinted, "204 0"),
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", "302 0"),
        ("HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n", "410 0"),
        ("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\n\x1f\x0b\x08", "200 3"),
        (&whole_body, "200 1000"),
        (&long_body, "200 1000 truncated"),
        ("", "protocol"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "protocol"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", "protocol after 200"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "protocol"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab", "protocol"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n", "protocol after 200"),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nok\r\n",
            "protocol after 200",
        ),
        ("SSH-2.0-OpenSSH_9.9\r\n", "protocol"),
        ("HTTP/3.7 200 OK\r\n\r\n", "protocol"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "protocol"),
        ("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\r\n\r\n", "protocol"),
        (&many_headers, "protocol"),
        (&long_header, "protocol"),
    ] {
        let text = answer.to_owned();
        let sink = sink(move |mut stream| {
            let text = text.clone();
            async move {
                read_request(&mut stream).await;
                write(&mut stream, &text).await;
            }
        });
        let exchange = client().send(post(&sink.await.url("/"))).await;
        let shown = answer.chars().take(80).collect::<String>();
        assert_eq!(summary(&exchange), expected, "{shown:?}: {}", outcome(&exchange));
    }
}

#[tokio::test]
async fn an_endless_body_is_cut_at_the_limit() {
    for head in ["HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n"] {
        let sink = sink(move |mut stream| async move {
            read_request(&mut stream).await;
            write(&mut stream, head).await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let exchange = client().send(post(&sink.await.url("/"))).await;
        assert_eq!(summary(&exchange), "200 1000 truncated");
    }
}

#[tokio::test]
async fn the_deadline_covers_the_wait_for_an_answer() {
    let sink = sink(|mut stream| async move {
        read_request(&mut stream).await;
        hold(stream).await;
    });
    let exchange = client().send(Request { timeout: SHORT, ..post(&sink.await.url("/")) }).await;
    assert_eq!(summary(&exchange), "timeout");
    let fault = exchange.result.unwrap_err();
    assert_eq!(fault.message, "gave up after 2s, waiting for an answer");
    assert!(exchange.times.total >= SHORT);
}

#[tokio::test]
async fn the_deadline_covers_a_body_that_drips() {
    let sink = sink(|mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 900\r\n\r\n").await;
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        while stream.write_all(b"x").await.is_ok() {
            tick.tick().await;
        }
    });
    let exchange = client().send(Request { timeout: SHORT, ..post(&sink.await.url("/")) }).await;
    assert_eq!(summary(&exchange), "timeout after 200");
    let fault = exchange.result.unwrap_err();
    assert_eq!(fault.message, "gave up after 2s, waiting for the end of the answer's body");
}

#[tokio::test]
async fn the_deadline_covers_interim_answers_without_end() {
    let sink = sink(|mut stream| async move {
        read_request(&mut stream).await;
        while stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_ok() {}
    });
    let exchange = client().send(Request { timeout: BRIEF, ..post(&sink.await.url("/")) }).await;
    assert_eq!(summary(&exchange), "timeout");
}

#[tokio::test]
async fn the_deadline_covers_the_tls_handshake() {
    let sink = sink(hold).await;
    let request = Request { timeout: SHORT, ..post(&sink.secure_url("/")) };
    let exchange = client().send(request).await;
    assert_eq!(summary(&exchange), "timeout");
    let fault = exchange.result.unwrap_err();
    assert_eq!(fault.message, "gave up after 2s, waiting for the TLS handshake");
    assert_eq!(exchange.remote, None);
}

#[tokio::test]
async fn a_timed_out_connection_is_not_used_again() {
    let sink = sink(|mut stream| async move {
        read_request(&mut stream).await;
        hold(stream).await;
    });
    let sink = sink.await;
    let client = client();
    for _ in 0..2 {
        client.send(Request { timeout: SHORT, ..post(&sink.url("/")) }).await;
    }
    assert_eq!(sink.accepted(), 2);
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_unless_the_answer_says_close() {
    for (close, connections) in [("", 1), ("connection: close\r\n", 3)] {
        let sink = sink(move |mut stream| async move {
            let answer = format!("HTTP/1.1 200 OK\r\n{close}content-length: 2\r\n\r\nok");
            while !read_request(&mut stream).await.is_empty() {
                write(&mut stream, &answer).await;
                if !close.is_empty() {
                    return;
                }
            }
        });
        let sink = sink.await;
        let client = client();
        for _ in 0..3 {
            let exchange = client.send(post(&sink.url("/"))).await;
            assert_eq!(summary(&exchange), "200 2");
            assert_eq!(exchange.remote, Some(sink.address));
        }
        assert_eq!(sink.accepted(), connections);
    }
}

#[tokio::test]
async fn framing_stays_with_the_connection() {
    let (seen, mut requests) = mpsc::unbounded_channel();
    let sink = sink(move |mut stream| {
        let seen = seen.clone();
        async move {
            let _ = seen.send(read_request(&mut stream).await);
            write(&mut stream, "HTTP/1.1 204 No Content\r\n\r\n").await;
        }
    });
    let sink = sink.await;
    let mut request = post(&sink.url("/"));
    for (name, value) in [
        ("host", "elsewhere.example"),
        ("content-length", "999"),
        ("transfer-encoding", "chunked"),
        ("connection", "upgrade"),
        ("expect", "100-continue"),
        ("proxy-authorization", "Basic eDp5"),
        ("webhook-id", "msg_1"),
    ] {
        request.headers.insert(name, HeaderValue::from_static(value));
    }
    assert_eq!(summary(&client().send(request).await), "204 0");
    let seen = requests.recv().await.unwrap();
    let agent = concat!("Hookwright/", env!("CARGO_PKG_VERSION"));
    let mut lines: Vec<_> = seen.lines().skip(1).take_while(|line| !line.is_empty()).collect();
    lines.sort_unstable();
    let host = format!("host: {}", sink.address);
    let user_agent = format!("user-agent: {agent}");
    assert_eq!(lines, ["content-length: 2", &host, &user_agent, "webhook-id: msg_1"]);
}

#[tokio::test]
async fn a_port_where_nothing_listens_is_a_connect_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let exchange = client().send(post(&format!("http://127.0.0.1:{port}/"))).await;
    assert_eq!(summary(&exchange), "connect");
    let message = exchange.result.unwrap_err().message;
    assert_eq!(message, format!("nothing listens at 127.0.0.1 port {port} (connection refused)"));
}

#[tokio::test]
async fn the_next_address_is_dialled_when_one_does_not_answer() {
    let sink = answering().await;
    let client = with(|config| {
        let addresses = vec!["127.0.0.2".parse().unwrap(), "127.0.0.1".parse().unwrap()];
        config.names.insert("two.test".to_owned(), addresses);
    });
    let url = format!("http://two.test:{}/", sink.address.port());
    let exchange = client.send(post(&url)).await;
    assert_eq!(summary(&exchange), "200 2");
    assert_eq!(exchange.remote, Some(sink.address));
    assert!(exchange.times.dns.is_some());
}

#[tokio::test]
async fn no_way_leads_to_a_refused_address() {
    let sink = answering().await;
    let port = sink.address.port();
    let names = [
        ("inside.test", vec!["127.0.0.1"]),
        ("mapped.test", vec!["::ffff:127.0.0.1"]),
        ("mixed.test", vec!["93.184.216.34", "127.0.0.1"]),
    ];
    let client = with(|config| {
        config.rule.allow = vec!["10.0.0.0/8".parse().unwrap()];
        for (name, addresses) in names {
            let addresses = addresses.into_iter().map(|ip| ip.parse().unwrap()).collect();
            config.names.insert(name.to_owned(), addresses);
        }
    });
    for scheme in ["http", "https"] {
        for host in ["127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "localhost", "a.localhost"]
            .into_iter()
            .chain(["inside.test", "inside.test.", "mapped.test", "mixed.test"])
        {
            if (scheme, host) == ("http", "mixed.test") {
                continue; // refused for its first address already, as plain http
            }
            let exchange = client.send(post(&format!("{scheme}://{host}:{port}/"))).await;
            assert_eq!(summary(&exchange), "refused_address", "{scheme}://{host}");
            let fault = exchange.result.unwrap_err();
            let flag = "start the server with `--allow-target 127.0.0.0/8`";
            assert_eq!(fault.hint.as_deref(), Some(flag), "{scheme}://{host}");
            if host.ends_with("test") {
                assert!(!fault.message.contains("127.0.0.1"), "{}", fault.message);
            }
        }
    }
    assert_eq!(sink.accepted(), 0);
}

#[tokio::test]
async fn plain_http_goes_to_opened_ranges_only() {
    let client = with(|config| {
        config.names.insert("public.test".to_owned(), vec!["93.184.216.34".parse().unwrap()]);
    });
    for url in ["http://public.test/", "http://93.184.216.34/"] {
        let exchange = client.send(post(url)).await;
        assert_eq!(summary(&exchange), "refused_address", "{url}");
        assert!(exchange.result.unwrap_err().message.contains("use https"), "{url}");
    }
}

#[tokio::test]
async fn the_server_does_not_deliver_to_itself() {
    let sink = answering().await;
    let client = with(|config| {
        config.rule.own.set(vec![SocketAddr::new("0.0.0.0".parse().unwrap(), sink.address.port())]);
        config.names.insert("receiver.test".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    });
    for host in ["127.0.0.1", "localhost", "receiver.test"] {
        let exchange = client.send(post(&format!("http://{host}:{}/", sink.address.port()))).await;
        assert_eq!(summary(&exchange), "refused_address", "{host}");
    }
    assert_eq!(sink.accepted(), 0);
}

#[tokio::test]
async fn a_name_without_an_address_is_a_dns_fault() {
    let client = with(|config| {
        config.dns_budget = BRIEF;
        config.names.insert("empty.test".to_owned(), Vec::new());
    });
    for url in ["https://empty.test/", "https://no-such-name.invalid/"] {
        assert_eq!(summary(&client.send(post(url)).await), "dns", "{url}");
    }
}

#[tokio::test]
async fn what_is_no_request_is_not_sent() {
    for url in ["ftp://example.com/", "https://user@example.com/", "https://example.com:0/"] {
        assert_eq!(summary(&client().send(post(url)).await), "invalid_request", "{url}");
    }
    let connect = Request { method: Method::CONNECT, ..post("https://example.com/") };
    assert_eq!(summary(&client().send(connect).await), "invalid_request");
}

#[tokio::test]
async fn a_name_may_end_in_a_dot() {
    let authority = authority("ours");
    let server = secure(&authority, "receiver.test", (2020, 4000), &[]).await;
    let url = format!("https://receiver.test.:{}/", server.address.port());
    let exchange = trusting(authority.der().clone()).send(post(&url)).await;
    assert_eq!(summary(&exchange), "200 8", "{}", outcome(&exchange));
}

#[tokio::test]
async fn an_http2_connection_that_hangs_fails_no_later_request() {
    let authority = authority("ours");
    let server = secure(&authority, "receiver.test", (2020, 4000), &["h2"]).await;
    let client = trusting(authority.der().clone());
    let hanging = Request { timeout: SHORT, ..post(&server.secure_url("/hang")) };
    let exchange = client.send(hanging).await;
    assert_eq!(summary(&exchange), "timeout");
    assert_eq!(exchange.remote, Some(server.address));
    assert_eq!(summary(&client.send(post(&server.secure_url("/"))).await), "200 8");
    assert_eq!(server.accepted(), 2);
}

/// More streams at once than the receiver allows on a connection wait for their turn.
#[tokio::test]
async fn many_requests_share_one_http2_connection() {
    let authority = authority("ours");
    let server = secure(&authority, "receiver.test", (2020, 4000), &["h2"]).await;
    let client = trusting(authority.der().clone());
    assert_eq!(summary(&client.send(post(&server.secure_url("/"))).await), "200 8");
    let mut rounds = tokio::task::JoinSet::new();
    for _ in 0..300 {
        let (client, request) = (client.clone(), post(&server.secure_url("/")));
        rounds.spawn(async move { summary(&client.send(request).await) });
    }
    while let Some(round) = rounds.join_next().await {
        assert_eq!(round.unwrap(), "200 8");
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn tls_goes_to_whom_the_certificate_vouches_for() {
    let authority = authority("ours");
    let stranger = self::authority("theirs");
    let now_valid = (2020, 4000);
    for (name, valid, trusted, expected) in [
        ("receiver.test", now_valid, true, "200 8"),
        ("receiver.test", now_valid, false, "issued by an unknown authority"),
        ("receiver.test", (2019, 2020), true, "has expired"),
        ("receiver.test", (3000, 4000), true, "not valid yet"),
        ("other.test", now_valid, true, "is for another name"),
    ] {
        let trusted = if trusted { &authority } else { &stranger };
        let trusted = trusted.der().clone();
        let server = secure(&authority, name, valid, &[]).await;
        let exchange = trusting(trusted).send(post(&server.secure_url("/"))).await;
        match &exchange.result {
            Ok(_) => assert_eq!(summary(&exchange), expected),
            Err(fault) => {
                assert_eq!(fault.kind, FaultKind::Tls);
                let named = fault.message.contains(expected) && fault.message.contains("receiver.test");
                assert!(named, "{expected}: {}", fault.message);
            }
        }
    }
}

#[tokio::test]
async fn http2_is_spoken_where_offered_and_one_connection_is_shared() {
    let authority = authority("ours");
    for (http2, version) in [(true, Version::HTTP_2), (false, Version::HTTP_11)] {
        let server = secure(&authority, "receiver.test", (2020, 4000), &["h2", "http/1.1"]).await;
        let client = with(|config| {
            config.http2 = http2;
            trust(config, authority.der().clone());
        });
        for round in 0..3 {
            let exchange = client.send(post(&server.secure_url("/"))).await;
            assert_eq!(exchange.times.tls.is_some(), round == 0);
            let answer = exchange.result.unwrap();
            assert_eq!(answer.version, version);
            assert_eq!(answer.body, format!("{version:?}"));
        }
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test]
async fn tls_alerts_become_sentences() {
    for (reply, expected) in [
        (&b"\x15\x03\x03\x00\x02\x02\x28"[..], "for want of a common cipher: it needs TLS 1.2"),
        (&b"\x15\x03\x03\x00\x02\x02\x46"[..], "refused the TLS version: it needs TLS 1.2"),
        (&b"\x15\x03\x03\x00\x02\x02\x70"[..], "does not serve this name"),
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], "does not speak TLS on this port"),
        (&b""[..], "closed the connection during the TLS handshake"),
    ] {
        let sink = sink(move |mut stream| async move {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(reply).await;
        });
        let exchange = client().send(post(&sink.await.secure_url("/"))).await;
        assert_eq!(summary(&exchange), "tls", "{expected}: {}", outcome(&exchange));
        let message = exchange.result.unwrap_err().message;
        assert!(message.contains(expected), "{expected}: {message}");
    }
}

#[tokio::test]
async fn a_machine_without_authorities_says_so() {
    let authority = authority("ours");
    let server = secure(&authority, "receiver.test", (2020, 4000), &[]).await;
    let exchange = client().send(post(&server.secure_url("/"))).await;
    let fault = exchange.result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Tls);
    assert!(fault.message.contains("no CA certificates are installed"), "{}", fault.message);
}

#[test]
fn words_for_faults_lead_back_to_them() {
    for kind in FaultKind::ALL {
        assert_eq!(FaultKind::from_word(kind.as_str()), Some(kind));
    }
    assert_eq!(FaultKind::from_word("other"), None);
}

/// Whatever the machine lacks: CA certificates, a DNS configuration, a hosts file.
#[tokio::test]
async fn a_client_can_be_made_on_any_machine() {
    assert!(Client::new(Config::default()).is_ok());
}

/// `200 5`, `200 5 truncated`, `timeout` or `protocol after 200`.
fn summary(exchange: &Exchange) -> String {
    match &exchange.result {
        Ok(answer) => {
            let cut = if answer.truncated { " truncated" } else { "" };
            format!("{} {}{cut}", answer.status, answer.body.len())
        }
        Err(fault) => {
            let after = fault.status.map(|status| format!(" after {status}")).unwrap_or_default();
            format!("{}{after}", fault.kind.as_str())
        }
    }
}

/// For the message of an assertion.
fn outcome(exchange: &Exchange) -> String {
    format!("{:?}", exchange.result).chars().take(300).collect()
}

fn post(url: &str) -> Request {
    Request {
        method: Method::POST,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: Bytes::from_static(b"{}"),
        timeout: PATIENT,
    }
}

/// May reach 127.0.0.0/8, knows `receiver.test`, trusts nobody.
fn client() -> Client {
    with(|_| {})
}

fn with(change: impl FnOnce(&mut Config)) -> Client {
    let mut config = Config {
        rule: ssrf::Rule { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Default::default() },
        trust: Trust { platform: false, extra: Vec::new() },
        answer_body_limit: LIMIT,
        ..Config::default()
    };
    config.names.insert("receiver.test".to_owned(), vec!["127.0.0.1".parse().unwrap()]);
    change(&mut config);
    Client::new(config).unwrap()
}

fn trusting(authority: CertificateDer<'static>) -> Client {
    with(|config| trust(config, authority))
}

fn trust(config: &mut Config, authority: CertificateDer<'static>) {
    config.trust.extra.push(authority);
}

/// A receiver that runs one script per connection.
struct Sink {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
}

impl Sink {
    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn secure_url(&self, path: &str) -> String {
        format!("https://receiver.test:{}{path}", self.address.port())
    }

    fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

async fn sink<F>(script: impl Fn(TcpStream) -> F + Send + 'static) -> Sink
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(script(stream));
        }
    });
    Sink { address, accepted }
}

async fn answering() -> Sink {
    sink(|mut stream| async move {
        read_request(&mut stream).await;
        write(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await
}

/// Up to the end of the body that [`post`] sends; empty once the client is gone.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n{}") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return String::new();
        }
    }
    String::from_utf8(request).unwrap()
}

async fn write(stream: &mut TcpStream, text: &str) {
    let _ = stream.write_all(text.as_bytes()).await;
}

async fn hold(stream: TcpStream) {
    let _stream = stream;
    std::future::pending::<()>().await;
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// An HTTPS receiver that answers with the HTTP version it was spoken to in, and at `/hang` never. Its
/// certificate is valid from the first of January of one year to that of another.
async fn secure(authority: &Authority, name: &str, (from, to): (i32, i32), alpn: &[&str]) -> Sink {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = date_time_ymd(from, 1, 1);
    params.not_after = date_time_ymd(to, 1, 1);
    let certificate = params.signed_by(&key, authority).unwrap();
    let acceptor = acceptor(certificate.der().clone(), &key, alpn);
    sink(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(stream) = acceptor.accept(stream).await else {
                return;
            };
            let service = hyper::service::service_fn(say_version);
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(hyper_util::rt::TokioIo::new(stream), service).await;
        }
    })
    .await
}

fn acceptor(certificate: CertificateDer<'static>, key: &KeyPair, alpn: &[&str]) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth();
    let key = key.serialize_der().try_into().unwrap();
    let mut config = builder.with_single_cert(vec![certificate], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

async fn say_version(
    request: http::Request<Incoming>,
) -> Result<http::Response<Full<Bytes>>, std::convert::Infallible> {
    if request.uri().path() == "/hang" {
        std::future::pending::<()>().await;
    }
    Ok(http::Response::new(Full::new(Bytes::from(format!("{:?}", request.version())))))
}

/// A proxy that notes each head it was sent, answers what the script says, and on a 200 passes the bytes on to
/// `through`, wherever it was asked to connect to.
async fn proxy(
    through: SocketAddr,
    answers: &'static [&'static str],
) -> (Sink, mpsc::UnboundedReceiver<String>) {
    let (heads, heard) = mpsc::unbounded_channel();
    let turn = Arc::new(AtomicUsize::new(0));
    let proxy = sink(move |mut stream| {
        let (heads, turn) = (heads.clone(), turn.clone());
        async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                    return;
                }
            }
            let _ = heads.send(String::from_utf8(head).unwrap());
            let answer = answers[turn.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            write(&mut stream, answer).await;
            if answer.contains(" 200") {
                let Ok(mut onward) = TcpStream::connect(through).await else { return };
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
            }
        }
    });
    (proxy.await, heard)
}

const CONNECTED: &str = "HTTP/1.1 200 Connection established\r\n\r\n";

fn behind(proxy: &Sink, credentials: &str, change: impl FnOnce(&mut Config)) -> Client {
    let url = format!("http://{credentials}{}", proxy.address);
    with(|config| {
        config.proxy = Some(url.parse().unwrap());
        change(config);
    })
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_vetted_address_and_tls_keeps_the_name() {
    let authority = authority("of the tests");
    let receiver = secure(&authority, "receiver.test", (2020, 2100), &["h2"]).await;
    let (proxy, mut heard) = proxy(receiver.address, &[CONNECTED]).await;
    let client = behind(&proxy, "us%40er:pa%3Ass@", |config| {
        trust(config, authority.der().clone());
        // A public address that only the proxy could reach.
        config.names.insert("receiver.test".to_owned(), vec!["93.184.216.34".parse().unwrap()]);
    });
    for _ in 0..2 {
        let exchange = client.send(post("https://receiver.test:8443/")).await;
        assert_eq!(summary(&exchange), "200 8", "{}", outcome(&exchange));
        assert_eq!(exchange.remote, Some("93.184.216.34:8443".parse().unwrap()), "not the proxy");
        assert_eq!(&exchange.result.unwrap().body[..], b"HTTP/2.0");
    }
    assert_eq!(
        heard.recv().await.unwrap(),
        "CONNECT 93.184.216.34:8443 HTTP/1.1\r\nhost: 93.184.216.34:8443\r\n\
         proxy-authorization: Basic dXNAZXI6cGE6c3M=\r\n\r\n"
    );
    assert!(heard.try_recv().is_err(), "the tunnel is used again");
}

#[tokio::test]
async fn plain_http_goes_through_a_tunnel_too() {
    let receiver = answering().await;
    let (proxy, mut heard) = proxy(receiver.address, &[CONNECTED]).await;
    let exchange = behind(&proxy, "", |_| {}).send(post("http://receiver.test:81/a")).await;
    assert_eq!(summary(&exchange), "200 2", "{}", outcome(&exchange));
    assert_eq!(heard.recv().await.unwrap(), "CONNECT 127.0.0.1:81 HTTP/1.1\r\nhost: 127.0.0.1:81\r\n\r\n");
    let exchange = behind(&proxy, "", |_| {}).send(post("http://[::1]:81/a")).await;
    assert_eq!(summary(&exchange), "refused_address", "only 127.0.0.0/8 is open");
}

#[tokio::test]
async fn what_may_not_be_reached_is_not_asked_of_a_proxy() {
    let (proxy, mut heard) = proxy(answering().await.address, &[CONNECTED]).await;
    let client = behind(&proxy, "", |config| {
        for (name, addresses) in [
            ("inner.test", vec!["10.0.0.1"]),
            ("mixed.test", vec!["93.184.216.34", "169.254.169.254"]),
            ("public.test", vec!["93.184.216.34"]),
            ("own.test", vec!["127.0.0.2"]),
        ] {
            let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
            config.names.insert(name.to_owned(), addresses);
        }
        config.rule.own.set(vec!["127.0.0.2:8420".parse().unwrap()]);
    });
    for url in [
        "https://inner.test/",
        "https://mixed.test/",
        "http://public.test/",
        "http://own.test:8420/",
        "https://10.0.0.1/",
        "https://[::ffff:10.0.0.1]/",
    ] {
        let exchange = client.send(post(url)).await;
        assert_eq!(summary(&exchange), "refused_address", "{url}: {}", outcome(&exchange));
    }
    assert!(heard.try_recv().is_err());
    assert_eq!(proxy.accepted(), 0);
}

#[tokio::test]
async fn what_a_proxy_does_wrong_is_told_apart_from_the_receiver() {
    for (answer, message) in [
        ("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "asks for a user and a password"),
        (
            "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n",
            "does not allow a connection to the receiver",
        ),
        ("HTTP/1.1 502 Bad Gateway\r\n\r\n", "could not reach the receiver (502)"),
        ("HTTP/1.1 301 Moved\r\n\r\n", "refused the connection to the receiver (301)"),
        ("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "sent more than its answer"),
        ("SSH-2.0-OpenSSH_9.9\r\n\r\n", "not HTTP/1.1"),
        ("HTTP/1.1 200 OK\r\n", "closed the connection before it answered"),
        ("", "closed the connection before it answered"),
    ] {
        let answers: &'static [&'static str] = Box::leak(Box::new([answer]));
        let nobody: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let (proxy, _heard) = proxy(nobody, answers).await;
        let exchange = behind(&proxy, "", |_| {}).send(post("http://receiver.test/")).await;
        let fault = exchange.result.unwrap_err();
        assert_eq!(fault.kind, FaultKind::Proxy, "{answer:?}: {fault}");
        assert!(fault.message.contains(message), "{answer:?}: {fault}");
        let hint = fault.hint.unwrap();
        assert!(hint.contains(&proxy.address.to_string()), "the operator is told where: {hint}");
    }
}

#[tokio::test]
async fn a_proxy_that_floods_is_cut_and_one_that_is_silent_times_out() {
    let flood =
        sink(|mut stream| async move { while stream.write_all(&[b'x'; 4096]).await.is_ok() {} }).await;
    let exchange = behind(&flood, "", |_| {}).send(post("http://receiver.test/")).await;
    let fault = exchange.result.unwrap_err();
    assert_eq!((fault.kind, fault.message.contains("too long")), (FaultKind::Proxy, true), "{fault}");

    let silent = sink(hold).await;
    let request = Request { timeout: SHORT, ..post("http://receiver.test/") };
    let fault = behind(&silent, "", |_| {}).send(request).await.result.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Timeout);
    assert_eq!(fault.message, "gave up after 2s, waiting for the egress proxy");

    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let client = with(|config| config.proxy = Some(format!("http://{free}").parse().unwrap()));
    let fault = client.send(post("http://receiver.test/")).await.result.unwrap_err();
    assert_eq!(
        (fault.kind, fault.message.as_str()),
        (FaultKind::Proxy, "the egress proxy cannot be reached")
    );
}

#[tokio::test]
async fn a_proxy_is_asked_for_the_next_address_where_one_is_dead() {
    let (proxy, mut heard) =
        proxy(answering().await.address, &["HTTP/1.1 504 Gateway Timeout\r\n\r\n", CONNECTED]).await;
    let client = behind(&proxy, "", |config| {
        let both = ["127.0.0.8", "127.0.0.9"].map(|ip| ip.parse().unwrap());
        config.names.insert("receiver.test".to_owned(), both.to_vec());
    });
    let exchange = client.send(post("http://receiver.test/")).await;
    assert_eq!(summary(&exchange), "200 2", "{}", outcome(&exchange));
    assert!(heard.recv().await.unwrap().starts_with("CONNECT 127.0.0.8:80 "));
    assert!(heard.recv().await.unwrap().starts_with("CONNECT 127.0.0.9:80 "));
}

#[tokio::test]
async fn a_file_of_authorities_opens_private_receivers_and_a_bad_one_is_told() {
    let folder = std::env::temp_dir().join(format!("hookwright-ca-{:x}", rand::random::<u64>()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("ca.pem");
    let authority = authority("of the tests");
    let receiver = secure(&authority, "receiver.test", (2020, 2100), &["http/1.1"]).await;
    std::fs::write(&file, format!("# of the tests\n{}", pem("CERTIFICATE", authority.der()))).unwrap();
    let found = authorities(&file).unwrap();
    let trusting = with(|config| config.trust.extra = found);
    let exchange = trusting.send(post(&receiver.secure_url("/"))).await;
    assert_eq!(summary(&exchange), "200 8", "{}", outcome(&exchange));
    let exchange = client().send(post(&receiver.secure_url("/"))).await;
    assert_eq!(summary(&exchange), "tls");

    let damaged = pem("CERTIFICATE", authority.der()).replacen("MII", "AAA", 1);
    for (text, expected) in [
        ("", "holds no certificate"),
        ("not PEM at all", "holds no certificate"),
        (&pem("PRIVATE KEY", &KeyPair::generate().unwrap().serialize_der()), "holds no certificate"),
        (&format!("{}{damaged}", pem("CERTIFICATE", authority.der())), "certificate 2 in"),
        ("-----BEGIN CERTIFICATE-----\nAA", "certificate 1 in"),
    ] {
        std::fs::write(&file, text).unwrap();
        let error = authorities(&file).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("ca.pem"), "{error}");
    }
    let missing = authorities(&folder.join("none.pem")).unwrap_err().to_string();
    assert!(missing.contains("cannot be read"), "{missing}");
    std::fs::remove_dir_all(folder).unwrap();
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
}
