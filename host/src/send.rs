//! Sends a ready request and says what came of it.
//!
//! A failed webhook is a value here: [`Client::send`] always gives an [`Exchange`], whose result is an
//! [`Answer`] or a [`Fault`]. One deadline covers the whole exchange, from the lookup of the name to the last
//! byte of the answer that is kept. Redirects are not followed, nothing is decompressed, proxies named in
//! the environment are ignored, and no connection is made, nor asked of a proxy, to an address that [`ssrf`] refuses.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue, Method, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::client::legacy::{self, Client as Pool};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;
use url::Url;

use crate::message::belongs_to_connection;

use connector::{Connector, Remote};
use resolver::Resolver;
use tls::Tls;
use trace::{TRACE, Trace};

pub use fault::{Fault, FaultKind};
pub use proxy::{InvalidProxy, Proxy};
pub use retry_after::{LONGEST_WAIT, retry_after};
pub use target::{URL_LIMIT, UrlError, UrlErrorKind, check_url};
pub use tls::{AuthorityError, Trust, authorities};
pub use trace::Stage;

mod connector;
mod fault;
mod proxy;
mod resolver;
mod retry_after;
pub mod ssrf;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod trace;

/// How the client behaves, for all its requests.
#[derive(Clone, Debug)]
pub struct Config {
    /// What may be reached.
    pub rule: ssrf::Rule,
    /// Whom to trust.
    pub trust: Trust,
    /// Through which proxy to go; `None` goes straight.
    pub proxy: Option<Proxy>,
    /// Whether to offer HTTP/2 over TLS beside HTTP/1.1.
    pub http2: bool,
    /// Sent where the request has no `user-agent` of its own.
    pub user_agent: HeaderValue,
    /// How much of an answer's body is kept, in bytes. A longer body is cut, and its connection dropped.
    pub answer_body_limit: usize,
    /// How large the head of an answer may be, in bytes; at least [`SMALLEST_HEAD_LIMIT`] holds. It has at
    /// most 100 headers.
    pub answer_head_limit: usize,
    /// How long the lookup of one name may take.
    pub dns_budget: Duration,
    /// How long an idle connection is kept.
    pub pool_idle_timeout: Duration,
    /// How many idle connections are kept for each host.
    pub pool_max_idle_per_host: usize,
    /// Names answered here and not by the network, in lower case without a trailing dot. Their addresses are
    /// judged like any others.
    pub names: HashMap<String, Vec<IpAddr>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rule: ssrf::Rule::default(),
            trust: Trust::default(),
            proxy: None,
            http2: true,
            user_agent: HeaderValue::from_static(concat!("Hookwright/", env!("CARGO_PKG_VERSION"))),
            answer_body_limit: 64 * 1024,
            answer_head_limit: 32 * 1024,
            dns_budget: Duration::from_secs(5),
            pool_idle_timeout: Duration::from_secs(60),
            pool_max_idle_per_host: 32,
            names: HashMap::new(),
        }
    }
}

/// Why a client could not be made.
#[derive(Debug, thiserror::Error)]
pub enum NewClientError {
    #[error("TLS could not be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("name resolution could not be set up: {0}")]
    Resolver(#[from] hickory_resolver::net::NetError),
}

/// Everything about a request but where it comes from. It has no `Debug`, since headers and URL may carry
/// secrets.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: Url,
    /// Without framing: `content-length`, `host` and their like are the connection's, and are left out.
    pub headers: HeaderMap,
    pub body: Bytes,
    /// For the whole exchange.
    pub timeout: Duration,
}

/// What came of a request.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub result: Result<Answer, Fault>,
    pub times: Times,
    /// Where the connection that carried the request led, behind a proxy too; `None` where none was made.
    pub remote: Option<SocketAddr>,
}

/// How long the parts of an exchange took. A part that did not happen is `None`: on a connection that was
/// already open there is neither lookup nor handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    /// From the beginning to the head of the answer.
    pub first_byte: Option<Duration>,
    pub total: Duration,
}

/// What the receiver said, whatever its status.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub version: Version,
    pub headers: HeaderMap,
    /// At most as much as the configured limit.
    pub body: Bytes,
    /// Whether there was more.
    pub truncated: bool,
}

/// A pool of connections to receivers. Clones share it.
#[derive(Clone)]
pub struct Client {
    pool: Pool<Connector, Full<Bytes>>,
    rule: ssrf::Rule,
    user_agent: HeaderValue,
    answer_body_limit: usize,
}

impl Client {
    /// Makes a client. It does no I/O but read the system's CA certificates, DNS configuration and hosts
    /// file, each of which may be missing; must be called within a Tokio runtime.
    pub fn new(config: Config) -> Result<Self, NewClientError> {
        let pool = pool_builder(&config);
        let tls = Tls::new(&config.trust, config.http2)?;
        let resolver = Resolver::new(config.names, config.dns_budget)?;
        let connector = Connector::new(config.rule.clone(), resolver, tls, config.proxy);
        Ok(Self {
            pool: pool.build(connector),
            rule: config.rule,
            user_agent: config.user_agent,
            answer_body_limit: config.answer_body_limit,
        })
    }

    /// Sends one request and reads its answer, within `request.timeout`.
    ///
    /// The answer counts as soon as its body ended or reached the limit. A body that does neither before the
    /// deadline is a [`FaultKind::Timeout`], also where the status was good: a receiver that is heard only in
    /// part cannot be said to have answered. The fault then carries the status.
    pub async fn send(&self, request: Request) -> Exchange {
        let started = Instant::now();
        let trace = Trace::begin(request.timeout.min(LONGEST_TIMEOUT));
        let mut times = Times::default();
        let mut remote = None;
        let result = match self.outgoing(request) {
            Ok(mut outgoing) => {
                let connection = capture_connection(&mut outgoing);
                let mut head = None;
                let work = self.exchange(outgoing, &trace, &mut head);
                let within =
                    tokio::time::timeout_at(trace.deadline(), TRACE.scope(trace.clone(), work)).await;
                let result = within.unwrap_or_else(|_| Err(expire(&trace, &connection)));
                remote = remote_of(&connection);
                times.first_byte = head.map(|head: Head| head.at - started);
                result.map_err(|fault| match head {
                    Some(head) => fault.after_status(head.status),
                    None => fault,
                })
            }
            Err(fault) => Err(fault),
        };
        times.dns = trace.spent(Stage::Dns);
        times.connect = trace.spent(Stage::Connect);
        times.tls = trace.spent(Stage::Tls);
        times.total = started.elapsed();
        Exchange { result, times, remote }
    }

    async fn exchange(
        &self,
        outgoing: http::Request<Full<Bytes>>,
        trace: &Trace,
        head: &mut Option<Head>,
    ) -> Result<Answer, Fault> {
        let response = self.pool.request(outgoing).await.map_err(|e| Fault::from_client(&e))?;
        let (parts, body) = response.into_parts();
        *head = Some(Head { status: parts.status.as_u16(), at: Instant::now() });
        trace.enter(Stage::Body);
        let (body, truncated) = read(body, self.answer_body_limit).await.map_err(|e| Fault::from_http(&e))?;
        Ok(Answer {
            status: parts.status.as_u16(),
            version: parts.version,
            headers: parts.headers,
            body,
            truncated,
        })
    }

    fn outgoing(&self, request: Request) -> Result<http::Request<Full<Bytes>>, Fault> {
        target::vet(&request.url, &self.rule)?;
        if request.method == Method::CONNECT {
            return Err(invalid("CONNECT is not a method for webhooks"));
        }
        let uri = Uri::try_from(request.url.as_str())
            .map_err(|error| invalid(format!("the URL cannot be sent: {error}")))?;
        let mut outgoing = http::Request::new(Full::new(request.body));
        *outgoing.method_mut() = request.method;
        *outgoing.uri_mut() = uri;
        *outgoing.headers_mut() = self.headers(request.headers);
        Ok(outgoing)
    }

    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        let framing: Vec<_> =
            headers.keys().filter(|name| belongs_to_connection(name.as_str())).cloned().collect();
        for name in framing {
            headers.remove(name);
        }
        headers.entry(USER_AGENT).or_insert_with(|| self.user_agent.clone());
        headers
    }
}

/// The head of an answer has arrived.
#[derive(Clone, Copy)]
struct Head {
    status: u16,
    at: Instant,
}

fn pool_builder(config: &Config) -> legacy::Builder {
    let head_limit = config.answer_head_limit.max(SMALLEST_HEAD_LIMIT);
    let mut builder = Pool::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.pool_idle_timeout)
        .pool_max_idle_per_host(config.pool_max_idle_per_host)
        // Only a request that never went out is sent again.
        .retry_canceled_requests(true)
        .http1_max_buf_size(head_limit)
        .http2_max_header_list_size(u32::try_from(head_limit).unwrap_or(u32::MAX))
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        // One HTTP/2 connection serves all deliveries to a host: when its other end is gone, find out.
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .http2_keep_alive_timeout(KEEP_ALIVE_TIMEOUT);
    builder
}

/// Reads up to `limit` bytes and says whether there was more. Trailers are passed over.
async fn read(mut body: Incoming, limit: usize) -> Result<(Bytes, bool), hyper::Error> {
    let mut kept = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        let room = limit - kept.len();
        if data.len() > room {
            kept.extend_from_slice(&data[..room]);
            return Ok((kept.freeze(), true));
        }
        kept.extend_from_slice(&data);
    }
    Ok((kept.freeze(), false))
}

/// The deadline passed. A shared connection that did not answer in time takes no further requests, so that
/// one dead connection does not fail all that come after.
fn expire(trace: &Trace, connection: &CaptureConnection) -> Fault {
    let stage = match (connection.connection_metadata().as_ref(), trace.stage()) {
        (Some(connected), stage) => {
            connected.poison();
            if stage == Stage::Body { stage } else { Stage::Answer }
        }
        (None, stage) => stage,
    };
    Fault::timeout(stage, trace.limit())
}

fn remote_of(connection: &CaptureConnection) -> Option<SocketAddr> {
    let mut extras = http::Extensions::new();
    connection.connection_metadata().as_ref()?.get_extras(&mut extras);
    extras.get::<Remote>().map(|remote| remote.0)
}

fn invalid(message: impl Into<String>) -> Fault {
    Fault::new(FaultKind::InvalidRequest, message)
}

/// What the HTTP/1.1 parser needs at least, in bytes.
pub const SMALLEST_HEAD_LIMIT: usize = 8192;
/// Keeps a deadline representable; no request waits that long.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// What a receiver may send ahead of being read, in bytes: of one answer, and of all on a connection.
const STREAM_WINDOW: u32 = 128 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
