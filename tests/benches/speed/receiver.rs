//! The receiver of everything: counts what arrives, and how long it took.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::producer::STAMP;
use crate::table::Spread;

/// Requests to this path are answered after [`HANG`], and not counted.
pub const HANGING: &str = "/hanging";
const HANG: Duration = Duration::from_secs(29);

/// How long nothing may arrive before what is missing counts as lost.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listens on a thread of its own until the program ends.
pub struct Receiver {
    pub address: SocketAddr,
    tally: Arc<Tally>,
}

struct Tally {
    /// What the stamps count from.
    origin: Instant,
    arrived: AtomicU64,
    /// Nanoseconds since `origin`.
    last: AtomicU64,
    took: Mutex<Vec<Duration>>,
}

impl Receiver {
    pub fn start(origin: Instant) -> anyhow::Result<Self> {
        let tally = Arc::new(Tally {
            origin,
            arrived: AtomicU64::new(0),
            last: AtomicU64::new(0),
            took: Mutex::default(),
        });
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let counting = tally.clone();
        thread::Builder::new().name("receiver".to_owned()).spawn(move || {
            runtime.block_on(async {
                let local = tokio::task::LocalSet::new();
                if let Ok(listener) = TcpListener::from_std(listener) {
                    local.run_until(accept(listener, counting)).await;
                }
            });
        })?;
        Ok(Self { address, tally })
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn arrived(&self) -> u64 {
        self.tally.arrived.load(Ordering::Acquire)
    }

    /// When the latest arrived.
    pub fn last(&self) -> Instant {
        self.tally.origin + Duration::from_nanos(self.tally.last.load(Ordering::Acquire))
    }

    /// From post to receipt, of what arrived since this was asked last.
    pub fn take_spread(&self) -> Spread {
        Spread::of(std::mem::take(&mut *self.tally.took.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Waits until as many have arrived in all.
    pub fn wait_for(&self, count: u64) -> anyhow::Result<()> {
        let mut seen = (self.arrived(), Instant::now());
        while self.arrived() < count {
            thread::park_timeout(Duration::from_millis(2));
            if self.arrived() > seen.0 {
                seen = (self.arrived(), Instant::now());
            }
            anyhow::ensure!(
                seen.1.elapsed() < PATIENCE,
                "{} of {count} deliveries arrived, and then none for {PATIENCE:?}",
                seen.0
            );
        }
        Ok(())
    }
}

async fn accept(listener: TcpListener, tally: Arc<Tally>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let tally = tally.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| receive(&tally, request));
            // It ends when the other side closes it.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn receive(tally: &Tally, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    if request.uri().path() == HANGING {
        tokio::time::sleep(HANG).await;
        return Ok(Response::new(Empty::new()));
    }
    if let Ok(body) = request.into_body().collect().await {
        tally.note(&body.to_bytes());
    }
    Ok(Response::new(Empty::new()))
}

impl Tally {
    fn note(&self, body: &[u8]) {
        let now = self.origin.elapsed();
        if let Some(posted) = posted(body) {
            self.took.lock().unwrap_or_else(PoisonError::into_inner).push(now.saturating_sub(posted));
        }
        self.last.store(now.as_nanos() as u64, Ordering::Release);
        self.arrived.fetch_add(1, Ordering::AcqRel);
    }
}

/// The stamp that the producer put into the payload: nanoseconds since the origin.
fn posted(body: &[u8]) -> Option<Duration> {
    let name = STAMP.as_bytes();
    let at = body.windows(name.len()).position(|window| window == name)? + name.len();
    let digits = body[at..].iter().skip_while(|byte| !byte.is_ascii_digit());
    let digits = digits.take_while(|byte| byte.is_ascii_digit());
    Some(Duration::from_nanos(digits.fold(0, |nanos, digit| nanos * 10 + u64::from(digit - b'0'))))
}
