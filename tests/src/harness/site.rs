//! A receiver whose manners a test writes itself.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};

pub type Heard = http::Request<Bytes>;
pub type Said = http::Response<Bytes>;

/// Listens until it is dropped.
pub struct Site {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    serving: JoinHandle<()>,
}

impl Site {
    /// Answers what the function says.
    pub async fn open(answer: impl Fn(&Heard) -> Said + Clone + Send + Sync + 'static) -> Self {
        Self::open_async(move |heard| std::future::ready(answer(&heard))).await
    }

    /// Answers 200 from when on the gate has a permit.
    pub async fn gated() -> (Arc<Semaphore>, Self) {
        let gate = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&gate);
        let site = Self::open_async(move |_| {
            let waits = Arc::clone(&waits);
            async move {
                let _ = waits.acquire().await;
                Said::default()
            }
        });
        (gate, site.await)
    }

    /// Answers what the function says, when it says so.
    pub async fn open_async<F>(answer: impl Fn(Heard) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Said> + Send + 'static,
    {
        let (listener, address) = listen().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            // Dropped with this task, and with it every connection.
            let mut open = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let answer = answer.clone();
                open.spawn(async move {
                    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                        let answer = answer.clone();
                        async move {
                            let (head, body) = request.into_parts();
                            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
                            let said = answer(http::Request::from_parts(head, body)).await;
                            Ok::<_, Infallible>(said.map(Full::new))
                        }
                    });
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, connections, serving }
    }

    /// Sends these very bytes as soon as it hears something, and closes.
    pub async fn raw(answer: &'static [u8]) -> Self {
        let (listener, address) = listen().await;
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer).await;
            }
        });
        Self { address, connections, serving }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections were made to it.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}
