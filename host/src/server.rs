//! Serving HTTP: accepting connections within bounds, and draining them.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio_rustls::TlsAcceptor;
use tower_service::Service;

use crate::config;
use crate::metrics::Metrics;

mod origin;
mod tls;

pub use origin::origin;
pub use tls::{Tls, TlsError};

/// Requests under way at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// After how long a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long to wait after the system refused a connection: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most that `max_connections` can be.
const MAX_CONNECTIONS: usize = 1_000_000;

/// The other end of a request's connection, among the request's extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The bounds of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_connections: usize,
    pub tls_handshake_timeout: Duration,
    /// For a request's head, and for a new connection's first one.
    pub header_timeout: Duration,
    /// Bytes of a request's head.
    pub header_limit: usize,
    pub max_headers: usize,
    /// For what is under way when the server is asked to stop.
    pub drain_timeout: Duration,
}

impl From<&config::Server> for Limits {
    fn from(settings: &config::Server) -> Self {
        Self {
            max_connections: settings.max_connections,
            tls_handshake_timeout: settings.tls_handshake_timeout,
            header_timeout: settings.header_timeout,
            header_limit: settings.header_limit.0,
            max_headers: settings.max_headers,
            drain_timeout: settings.drain_timeout,
        }
    }
}

/// Serves, over TLS where it is given, until `shutdown` ends; then takes no more connections, lets requests under way finish, and returns when
/// they have or the drain's time is up. True where all of them had.
pub async fn run(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    metrics: Arc<Metrics>,
    shutdown: impl Future<Output = ()>,
) -> bool {
    let connections = u32::try_from(limits.max_connections.clamp(1, MAX_CONNECTIONS)).unwrap_or(u32::MAX);
    let (drain, draining) = watch::channel(false);
    let server = Server {
        http: http(&limits),
        slots: Arc::new(Semaphore::new(connections as usize)),
        draining,
        tls: tls.map(|tls| tls.acceptor()),
        limits,
        router,
        metrics,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = server.accept(&listener) => match accepted {
                Some((stream, peer, slot)) => server.serve(stream, peer, slot),
                None => break,
            },
        }
    }
    drop(listener);
    drain.send_replace(true);
    // All slots are free once the last connection has ended.
    tokio::time::timeout(server.limits.drain_timeout, server.slots.acquire_many(connections)).await.is_ok()
}

struct Server {
    http: auto::Builder<TokioExecutor>,
    slots: Arc<Semaphore>,
    /// Turns true once.
    draining: watch::Receiver<bool>,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    router: Router,
    metrics: Arc<Metrics>,
}

impl Server {
    /// The next connection, once there is room for it. `None` where no more can come.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, slot)),
                Err(error) if belongs_to_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, peer: SocketAddr, slot: OwnedSemaphorePermit) {
        // Dropped last: whoever sees the slot free can rely on the connection and its router being gone.
        let place = (slot, self.metrics.connection());
        // Small answers go out at once; a connection that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
        let connection = Connection {
            http: self.http.clone(),
            router: self.router.clone(),
            peer: Peer(peer.ip().to_canonical()),
            draining: self.draining.clone(),
        };
        let (limits, tls) = (self.limits.clone(), self.tls.clone());
        tokio::spawn(async move {
            let _place = place;
            match tls {
                None => connection.serve(stream, limits.header_timeout).await,
                Some(tls) => {
                    let shaken = tokio::time::timeout(limits.tls_handshake_timeout, tls.accept(stream));
                    if let Some(stream) = connection.unless_draining(shaken).await {
                        connection.serve(stream, limits.header_timeout).await;
                    }
                }
            }
        });
    }
}

/// What serves one connection.
struct Connection {
    http: auto::Builder<TokioExecutor>,
    router: Router,
    peer: Peer,
    draining: watch::Receiver<bool>,
}

impl Connection {
    /// The stream once its handshake is done. `None` where it failed, took too long, or the server stops first.
    async fn unless_draining<S>(
        &self,
        handshake: impl Future<Output = Result<io::Result<S>, tokio::time::error::Elapsed>>,
    ) -> Option<S> {
        let mut draining = self.draining.clone();
        tokio::select! {
            shaken = handshake => match shaken {
                Ok(Ok(stream)) => Some(stream),
                Ok(Err(error)) => {
                    tracing::debug!(%error, "a TLS handshake failed");
                    None
                }
                Err(_) => {
                    tracing::debug!("a TLS handshake took too long (server.tls_handshake_timeout)");
                    None
                }
            },
            _ = draining.wait_for(|draining| *draining) => None,
        }
    }

    async fn serve<S>(self, stream: S, deadline: Duration)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { http, router, peer, mut draining } = self;
        let first = Arc::new(FirstRequest::default());
        let service = {
            let first = Arc::clone(&first);
            service_fn(move |mut request: Request<Incoming>| {
                first.arrived();
                request.extensions_mut().insert(peer);
                let mut router = router.clone();
                async move { Service::call(&mut router, request).await }
            })
        };
        let mut connection = pin!(http.serve_connection(TokioIo::new(stream), service));
        let mut drained = false;
        loop {
            tokio::select! {
                ended = &mut connection => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection ended with an error");
                    }
                    break;
                }
                // Before its first request the protocol is not known, and neither side's own timer runs.
                () = first.overdue(deadline) => break,
                _ = draining.wait_for(|draining| *draining), if !drained => {
                    drained = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

/// Whether a connection has sent a request yet.
#[derive(Default)]
struct FirstRequest {
    seen: AtomicBool,
    changed: Notify,
}

impl FirstRequest {
    fn arrived(&self) {
        if !self.seen.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Ends once the time is over without a request; never after one.
    async fn overdue(&self, deadline: Duration) {
        if self.seen.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
        if tokio::time::timeout(deadline, self.changed.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

fn http(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(limits.header_limit)
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(limits.header_limit).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(limits.header_timeout);
    http
}

fn belongs_to_the_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;
    use futures_util::future::join_all;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;
    use tokio_rustls::TlsConnector;

    fn limits() -> Limits {
        Limits {
            max_connections: 2,
            tls_handshake_timeout: Duration::from_secs(2),
            header_timeout: Duration::from_secs(1),
            header_limit: 16 << 10,
            max_headers: 32,
            drain_timeout: Duration::from_secs(5),
        }
    }

    type Started = (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<bool>);

    async fn start(router: Router) -> Started {
        start_with(None, router).await
    }

    async fn start_with(tls: Option<Tls>, router: Router) -> Started {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        // A connection that speaks TLS has to last for as long as a test.
        let header_timeout = if tls.is_some() { Duration::from_secs(60) } else { limits().header_timeout };
        let limits = Limits { header_timeout, ..limits() };
        let task = tokio::spawn(run(listener, tls, router, limits, Arc::default(), shutdown));
        (address, stop, task)
    }

    /// What the server sends until it closes the connection.
    async fn exchange(address: std::net::SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn requests_say_where_they_come_from() {
        let peer = async |request: Request| {
            request.extensions().get::<Peer>().map(|peer| peer.0.to_string()).unwrap_or_default()
        };
        let (address, stop, task) = start(Router::new().route("/", get(peer))).await;
        let answer = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n127.0.0.1"), "{answer}");
        drop(stop);
        assert!(task.await.unwrap());
    }

    #[tokio::test]
    async fn silent_and_slow_clients_are_dropped() {
        let (address, stop, task) = start(Router::new().route("/", get(|| async { "hello" }))).await;
        let good = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(good.starts_with("HTTP/1.1 200"), "{good}");
        let all = [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx-a: "];
        let answers = join_all(all.map(|slow| exchange(address, slow))).await;
        for (slow, answer) in all.into_iter().zip(answers) {
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{slow:?}: {answer}");
        }
        stop.send(()).unwrap();
        assert!(task.await.unwrap());
    }

    #[tokio::test]
    async fn requests_under_way_are_finished() {
        let (entered, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let router = {
            let (entered, go) = (Arc::clone(&entered), Arc::clone(&go));
            Router::new().route(
                "/",
                get(async move || {
                    entered.notify_one();
                    go.notified().await;
                    "done"
                }),
            )
        };
        let (address, stop, task) = start(router).await;
        let request =
            tokio::spawn(async move { exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await });
        entered.notified().await;
        stop.send(()).unwrap();
        go.notify_one();
        assert!(request.await.unwrap().ends_with("done"));
        assert!(task.await.unwrap());
        assert!(TcpStream::connect(address).await.is_err());
    }

    /// A certificate in a folder of its own.
    struct Certified {
        folder: std::path::PathBuf,
        tls: Tls,
    }

    impl Certified {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("hookwright-server-{:x}", rand::random::<u64>()));
            std::fs::create_dir_all(&folder).unwrap();
            write_pair(&folder);
            let tls = Tls::open(&folder.join("cert.pem"), &folder.join("key.pem")).unwrap();
            Self { folder, tls }
        }

        fn certificate(&self) -> CertificateDer<'static> {
            CertificateDer::from_pem_file(self.folder.join("cert.pem")).unwrap()
        }
    }

    impl Drop for Certified {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    fn write_pair(folder: &std::path::Path) {
        let (cert, key) = tls::tests::pair();
        std::fs::write(folder.join("cert.pem"), cert).unwrap();
        std::fs::write(folder.join("key.pem"), key).unwrap();
    }

    type Encrypted = tokio_rustls::client::TlsStream<TcpStream>;

    async fn shake(
        address: std::net::SocketAddr,
        trusted: CertificateDer<'static>,
        alpn: &str,
    ) -> io::Result<Encrypted> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let stream = TcpStream::connect(address).await?;
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
    }

    /// One request on a connection that stays open.
    async fn ask(stream: &mut Encrypted) -> String {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"hello") {
            assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0, "the connection was closed");
        }
        String::from_utf8(answer).unwrap()
    }

    fn hello() -> Router {
        Router::new().route("/", get(|| async { "hello" }))
    }

    #[tokio::test]
    async fn tls_speaks_both_protocols_and_has_a_deadline() {
        let certified = Certified::new();
        let (address, stop, task) = start_with(Some(certified.tls.clone()), hello()).await;
        let mut stream = shake(address, certified.certificate(), "http/1.1").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        assert!(ask(&mut stream).await.starts_with("HTTP/1.1 200"));
        drop(stream);

        let stream = shake(address, certified.certificate(), "h2").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let request = http::Request::get("https://localhost/").body(axum::body::Body::empty()).unwrap();
        assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
        drop(sender);
        connection.await.unwrap().unwrap();

        // Whoever does not speak TLS, or says nothing at all, is let go.
        let all = [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"", b"\x16\x03\x01"];
        let answers = join_all(all.map(|strange| exchange(address, strange))).await;
        for (strange, answer) in all.into_iter().zip(answers) {
            assert!(!answer.contains("hello"), "{strange:?}: {answer}");
        }
        stop.send(()).unwrap();
        assert!(task.await.unwrap());
    }

    #[tokio::test]
    async fn a_handshake_under_way_does_not_keep_the_server_from_stopping() {
        let certified = Certified::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::<Metrics>::default();
        let limits = Limits {
            tls_handshake_timeout: Duration::from_secs(3_600),
            header_timeout: Duration::from_secs(60),
            ..limits()
        };
        let _silent = TcpStream::connect(address).await.unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shutdown = async { drop(stopped.await) };
        let task =
            tokio::spawn(run(listener, Some(certified.tls.clone()), hello(), limits, metrics, shutdown));
        // Answered once the silent one has been accepted, too.
        let mut other = shake(address, certified.certificate(), "http/1.1").await.unwrap();
        ask(&mut other).await;
        drop(other);
        stop.send(()).unwrap();
        assert!(task.await.unwrap());
    }

    #[tokio::test]
    async fn a_changed_certificate_is_taken_and_no_connection_dropped() {
        let certified = Certified::new();
        let (stop_watch, watch_stopped) = oneshot::channel::<()>();
        let tls = certified.tls.clone();
        let watching = tokio::spawn(async move { tls.watch(async { drop(watch_stopped.await) }).await });
        let (address, stop, task) = start_with(Some(certified.tls.clone()), hello()).await;
        let old = certified.certificate();
        let mut standing = shake(address, old.clone(), "http/1.1").await.unwrap();
        ask(&mut standing).await;

        write_pair(&certified.folder);
        let new = certified.certificate();
        let changed = async {
            while shake(address, new.clone(), "http/1.1").await.is_err() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), changed).await.expect("the new certificate is shown");
        assert!(shake(address, old, "http/1.1").await.is_err(), "the old one is no longer shown");
        ask(&mut standing).await;
        drop(standing);
        drop(stop_watch);
        watching.await.unwrap();
        stop.send(()).unwrap();
        assert!(task.await.unwrap());
    }
}
