//! Producers of events, and the API calls that prepare a host for them.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::child::KEY;

/// The payload's member that tells when it was posted.
pub const STAMP: &str = "\"posted_ns\":";
/// Digits of a stamp; enough for days.
const DIGITS: usize = 15;

const DOCUMENT: &str = include_str!("../../../host/demo/document.exported.json");
/// Of each payload.
pub const SIZE: usize = 1_024;

/// Runs producers on the calling thread.
pub struct Producer {
    runtime: Runtime,
    origin: Instant,
}

/// An event that can be posted over and over, each time with the time.
#[derive(Clone)]
pub struct Template {
    body: Vec<u8>,
    stamp_at: usize,
}

impl Template {
    /// An exported document of 1 KiB.
    pub fn new(event_type: &str) -> anyhow::Result<Self> {
        Self::large(event_type, SIZE)
    }

    /// One of so many bytes.
    pub fn large(event_type: &str, size: usize) -> anyhow::Result<Self> {
        let payload = payload_of(size)?;
        let text = format!("{{\"type\":\"{event_type}\",\"payload\":{payload}}}");
        let stamp_at = text.find(STAMP).context("the payload has no stamp")? + STAMP.len() + 1;
        Ok(Self { body: text.into_bytes(), stamp_at })
    }

    fn stamped(&self, time: Duration) -> Bytes {
        let mut body = self.body.clone();
        body[self.stamp_at..self.stamp_at + DIGITS]
            .copy_from_slice(format!("{:0DIGITS$}", time.as_nanos()).as_bytes());
        body.into()
    }
}

/// The document of the demo with a stamp, cut or filled up to [`SIZE`] in its summary.
pub fn payload() -> anyhow::Result<String> {
    payload_of(SIZE)
}

fn payload_of(size: usize) -> anyhow::Result<String> {
    let mut document: Value = serde_json::from_str(DOCUMENT)?;
    document["document"]["notes"] = Value::String(String::new());
    let stamp = format!("{{{STAMP}\"{}\",", "0".repeat(DIGITS));
    let bare = serde_json::to_string(&document)?.replacen('{', &stamp, 1);
    let missing = size.saturating_sub(bare.len());
    Ok(bare.replacen("\"notes\":\"\"", &format!("\"notes\":\"{}\"", "n".repeat(missing)), 1))
}

impl Producer {
    pub fn new(origin: Instant) -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        Ok(Self { runtime, origin })
    }

    /// `connections` producers post as fast as they are answered. Answers how many events were taken on.
    pub fn closed_loop(
        &self,
        to: SocketAddr,
        template: &Template,
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<u64> {
        self.closed_loop_over(&[to], std::slice::from_ref(template), connections, time)
    }

    /// As [`Producer::closed_loop`]: the producers are divided among the hosts, and each posts all templates in turn.
    pub fn closed_loop_over(
        &self,
        hosts: &[SocketAddr],
        templates: &[Template],
        connections: usize,
        time: Duration,
    ) -> anyhow::Result<u64> {
        let (origin, taken) = (self.origin, Arc::new(AtomicU64::new(0)));
        let over = Arc::new(AtomicBool::new(false));
        self.runtime.block_on(async {
            let mut tasks = JoinSet::new();
            for (number, to) in hosts.iter().cycle().take(connections).enumerate() {
                let mut connection = Connection::open(*to).await?;
                let (templates, taken, over) = (templates.to_vec(), taken.clone(), over.clone());
                tasks.spawn(async move {
                    for template in templates.iter().cycle().skip(number) {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        connection.post(template.stamped(origin.elapsed())).await?;
                        taken.fetch_add(1, Ordering::Relaxed);
                    }
                    anyhow::Ok(())
                });
            }
            tokio::time::sleep(time).await;
            over.store(true, Ordering::Relaxed);
            finish(tasks).await?;
            Ok(taken.load(Ordering::Relaxed))
        })
    }

    /// Posts each of the templates `rate` times a second, whether or not the ones before were answered. Answers how
    /// many of each.
    pub fn open_loop(
        &self,
        to: SocketAddr,
        templates: &[Template],
        rate: u32,
        time: Duration,
    ) -> anyhow::Result<u64> {
        let rounds = (time.as_secs_f64() * f64::from(rate)).ceil().max(1.0) as u64;
        let origin = self.origin;
        self.runtime.block_on(async {
            let idle = Arc::new(Mutex::default());
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / rate);
            let mut tasks = JoinSet::new();
            for _ in 0..rounds {
                ticks.tick().await;
                for template in templates {
                    let (template, idle) = (template.clone(), idle.clone());
                    tasks.spawn(async move {
                        let mut connection = match take(&idle) {
                            Some(connection) => connection,
                            None => Connection::open(to).await?,
                        };
                        connection.post(template.stamped(origin.elapsed())).await?;
                        give_back(&idle, connection);
                        anyhow::Ok(())
                    });
                }
            }
            finish(tasks).await?;
            Ok(rounds)
        })
    }

    /// Posts `count` events in batches.
    pub fn batches(&self, to: SocketAddr, template: &Template, count: usize) -> anyhow::Result<()> {
        const BATCH: usize = 1_000;
        const BATCH_BYTES: usize = 8 << 20;
        let batch = BATCH.min(BATCH_BYTES / template.body.len()).max(1);
        self.runtime.block_on(async {
            let mut connection = Connection::open(to).await?;
            let mut left = count;
            while left > 0 {
                let items = vec![String::from_utf8_lossy(&template.body).into_owned(); left.min(batch)];
                left -= items.len();
                connection.post(format!("[{}]", items.join(",")).into()).await?;
            }
            Ok(())
        })
    }

    /// Makes an endpoint and answers its id.
    pub fn endpoint(&self, host: SocketAddr, description: &Value) -> anyhow::Result<String> {
        let made = self.call(host, Method::POST, "/v1/endpoints", description)?;
        Ok(made["id"].as_str().context("the endpoint has no id")?.to_owned())
    }

    pub fn call(&self, host: SocketAddr, method: Method, path: &str, body: &Value) -> anyhow::Result<Value> {
        self.runtime.block_on(async {
            let mut connection = Connection::open(host).await?;
            let (status, answer) = connection.send(method, path, body.to_string().into()).await?;
            anyhow::ensure!(
                status.is_success(),
                "{path} answered {status}: {}",
                String::from_utf8_lossy(&answer)
            );
            Ok(serde_json::from_slice(&answer)?)
        })
    }
}

/// Connections that nobody uses at the moment.
type Idle = Mutex<Vec<Connection>>;

fn take(idle: &Idle) -> Option<Connection> {
    let mut idle = idle.lock().unwrap_or_else(PoisonError::into_inner);
    // One that nobody used for long is closed by the host.
    std::iter::from_fn(|| idle.pop()).find(|connection| !connection.sender.is_closed())
}

fn give_back(idle: &Idle, connection: Connection) {
    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
}

async fn finish(mut tasks: JoinSet<anyhow::Result<()>>) -> anyhow::Result<()> {
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(())
}

/// One kept connection.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    host: String,
}

impl Connection {
    async fn open(to: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: to.to_string() })
    }

    async fn post(&mut self, body: Bytes) -> anyhow::Result<()> {
        let (status, answer) = self.send(Method::POST, "/v1/events", body).await?;
        anyhow::ensure!(
            status == StatusCode::ACCEPTED,
            "an event was answered {status}: {}",
            String::from_utf8_lossy(&answer)
        );
        Ok(())
    }

    async fn send(&mut self, method: Method, path: &str, body: Bytes) -> anyhow::Result<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await?;
        let answer = self.sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}
