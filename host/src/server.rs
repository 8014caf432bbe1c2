//! Serving HTTP: accepting connections within bounds, and draining them.

use std::future::Future;
use std::io;
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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tower_service::Service;

use crate::config;
use crate::metrics::Metrics;

/// Requests under way at once on one HTTP/2 connection.
const MAX_STREAMS: u32 = 256;

/// After how long a silent HTTP/2 peer is asked whether it is still there.
const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long to wait after the system refused a connection: mostly for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most that `max_connections` can be.
const MAX_CONNECTIONS: usize = 1_000_000;

/// The bounds of a server.
#[derive(Debug, Clone)]
pub struct Limits {
    pub max_connections: usize,
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
            header_timeout: settings.header_timeout,
            header_limit: settings.header_limit.0,
            max_headers: settings.max_headers,
            drain_timeout: settings.drain_timeout,
        }
    }
}

/// Serves until `shutdown` ends; then takes no more connections, lets requests under way finish, and returns when
/// they have or the drain's time is up. True where all of them had.
pub async fn run(
    listener: TcpListener,
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
        header_timeout: limits.header_timeout,
        router,
        metrics,
    };
    let mut shutdown = pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = server.accept(&listener) => match accepted {
                Some((stream, slot)) => server.serve(stream, slot),
                None => break,
            },
        }
    }
    drop(listener);
    drain.send_replace(true);
    // All slots are free once the last connection has ended.
    tokio::time::timeout(limits.drain_timeout, server.slots.acquire_many(connections)).await.is_ok()
}

struct Server {
    http: auto::Builder<TokioExecutor>,
    slots: Arc<Semaphore>,
    /// Turns true once.
    draining: watch::Receiver<bool>,
    header_timeout: Duration,
    router: Router,
    metrics: Arc<Metrics>,
}

impl Server {
    /// The next connection, once there is room for it. `None` where no more can come.
    async fn accept(&self, listener: &TcpListener) -> Option<(TcpStream, OwnedSemaphorePermit)> {
        let slot = Arc::clone(&self.slots).acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, _)) => return Some((stream, slot)),
                Err(error) if belongs_to_the_client(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let counted = self.metrics.connection();
        let first = Arc::new(FirstRequest::default());
        let service = {
            let (router, first) = (self.router.clone(), Arc::clone(&first));
            service_fn(move |request: Request<Incoming>| {
                first.arrived();
                let mut router = router.clone();
                async move { Service::call(&mut router, request).await }
            })
        };
        // Small answers go out at once; a connection that refuses the option works all the same.
        let _ = stream.set_nodelay(true);
        let connection = self.http.serve_connection(TokioIo::new(stream), service).into_owned();
        let (deadline, mut draining) = (self.header_timeout, self.draining.clone());
        tokio::spawn(async move {
            // Dropped last: whoever sees the slot free can rely on the connection and its router being gone.
            let _place = (slot, counted);
            let mut connection = pin!(connection);
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
        });
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
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::oneshot;

    fn limits() -> Limits {
        Limits {
            max_connections: 2,
            header_timeout: Duration::from_millis(50),
            header_limit: 16 << 10,
            max_headers: 32,
            drain_timeout: Duration::from_secs(5),
        }
    }

    async fn start(
        router: Router,
    ) -> (std::net::SocketAddr, oneshot::Sender<()>, tokio::task::JoinHandle<bool>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let shutdown = async { drop(stopped.await) };
        let task = tokio::spawn(run(listener, router, limits(), Arc::default(), shutdown));
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
    async fn silent_and_slow_clients_are_dropped() {
        let (address, stop, task) = start(Router::new().route("/", get(|| async { "hello" }))).await;
        let good = exchange(address, b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        assert!(good.starts_with("HTTP/1.1 200"), "{good}");
        for slow in [&b""[..], b"P", b"PRI * HTTP/2.0\r\n", b"GET / HTTP/1.1\r\nhost: x\r\nx-a: "] {
            let answer = exchange(address, slow).await;
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
}
