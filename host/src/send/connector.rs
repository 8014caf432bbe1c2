//! From a host to a vetted connection.
//!
//! Every connection of the client begins here, also to hosts that are addresses, so no address is dialled
//! that the rule has not seen: what is resolved is judged, and what was judged is dialled.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tower_service::Service;

use super::fault::{Fault, FaultKind};
use super::proxy::Proxy;
use super::resolver::Resolver;
use super::ssrf::{Reach, Reason, Refusal, Rule, plain_http};
use super::target::is_localhost;
use super::tls::{self, Tls};
use super::trace::{Stage, Trace};

/// Dials, speaks TLS where the scheme is https, and keeps to the deadline of the request that asked.
#[derive(Clone)]
pub(super) struct Connector {
    https: HttpsConnector<Dialer>,
    has_roots: bool,
}

impl Connector {
    pub(super) fn new(rule: Rule, resolver: Resolver, tls: Tls, proxy: Option<Proxy>) -> Self {
        let dialer = Dialer { rule, resolver: Arc::new(resolver), proxy: proxy.map(Arc::new) };
        Self { https: HttpsConnector::from((dialer, tls.config)), has_roots: tls.has_roots }
    }
}

type Connecting<T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send>>;

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<Line>;
    type Error = Fault;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let trace = Trace::current().unwrap_or_else(|| Trace::begin(ORPHAN_LIMIT));
        let host = host_of(&uri).to_owned();
        let has_roots = self.has_roots;
        let connecting = self.https.call(uri);
        Box::pin(async move {
            // The deadline holds here too: the pool lets a connection be made in the background when its
            // request found another one.
            let connected = tokio::time::timeout_at(trace.deadline(), connecting).await;
            match connected {
                Ok(Ok(stream)) => {
                    trace.connected();
                    Ok(stream)
                }
                Ok(Err(error)) => Err(connect_fault(&host, error.as_ref(), has_roots)),
                Err(_) => Err(Fault::timeout(trace.stage(), trace.limit())),
            }
        })
    }
}

/// The TCP part of it.
#[derive(Clone)]
struct Dialer {
    rule: Rule,
    resolver: Arc<Resolver>,
    proxy: Option<Arc<Proxy>>,
}

impl Service<Uri> for Dialer {
    type Response = Line;
    type Error = Fault;
    type Future = Connecting<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialer = self.clone();
        let trace = Trace::current().unwrap_or_else(|| Trace::begin(ORPHAN_LIMIT));
        Box::pin(async move { dialer.dial(&uri, &trace).await })
    }
}

impl Dialer {
    async fn dial(&self, uri: &Uri, trace: &Trace) -> Result<Line, Fault> {
        let https = uri.scheme() == Some(&Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = host_of(uri);
        let addresses = self.addresses(host, port, trace).await?;
        self.vet(&addresses, https).map_err(|refusal| Fault::refused(host, &refusal))?;
        let line = match &self.proxy {
            Some(proxy) => {
                let tunnel = proxy.tunnel(&self.resolver, &addresses, trace);
                let (stream, remote) = trace.spend(Stage::Connect, tunnel).await?;
                Line { io: TokioIo::new(stream), remote }
            }
            None => self.straight(host, port, &addresses, trace).await?,
        };
        if https {
            trace.begin_tls();
        }
        Ok(line)
    }

    async fn straight(
        &self,
        host: &str,
        port: u16,
        addresses: &[SocketAddr],
        trace: &Trace,
    ) -> Result<Line, Fault> {
        let dialled = trace.spend(Stage::Connect, dial_first(addresses)).await;
        let stream = dialled.map_err(|error| dial_fault(host, port, &error))?;
        let remote = self.check_loop(&stream, host)?;
        let _ = stream.set_nodelay(true); // without it only latency suffers
        Ok(Line { io: TokioIo::new(stream), remote })
    }

    async fn addresses(&self, host: &str, port: u16, trace: &Trace) -> Result<Vec<SocketAddr>, Fault> {
        if let Ok(literal) = host.parse::<IpAddr>() {
            return Ok(vec![(literal, port).into()]);
        }
        if is_localhost(host) {
            return self.rule.localhost(port).map_err(|refusal| Fault::refused(host, &refusal));
        }
        let found = trace.spend(Stage::Dns, self.resolver.resolve(host)).await?;
        if found.is_empty() {
            return Err(Fault::new(FaultKind::Dns, format!("the name {host} has no address")));
        }
        Ok(take_turns(found).into_iter().map(|ip| (ip, port).into()).collect())
    }

    /// One forbidden address refuses the name: a name that mixes public and private addresses is either an
    /// attack or a mistake.
    fn vet(&self, addresses: &[SocketAddr], https: bool) -> Result<(), Refusal> {
        for address in addresses {
            let reach = self.rule.verdict(*address)?;
            if !https && reach == Reach::Public {
                return Err(plain_http(address.ip()));
            }
        }
        Ok(())
    }

    /// Answers the other end. What a proxy connects to cannot be looked at so.
    fn check_loop(&self, stream: &TcpStream, host: &str) -> Result<SocketAddr, Fault> {
        let ends = stream.local_addr().and_then(|local| Ok((local, stream.peer_addr()?)));
        let (local, peer) = ends.map_err(|error| dial_fault(host, 0, &error))?;
        if self.rule.is_loop(local, peer) {
            let refusal = Refusal { address: peer.ip(), reason: Reason::OwnListener, opens: None };
            return Err(Fault::refused(host, &refusal));
        }
        Ok(peer)
    }
}

/// A connection to a receiver, behind a proxy or not.
pub(super) struct Line {
    io: TokioIo<TcpStream>,
    remote: SocketAddr,
}

/// Where a connection leads.
#[derive(Clone, Copy)]
pub(super) struct Remote(pub(super) SocketAddr);

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.io.connected().extra(Remote(self.remote))
    }
}

impl Read for Line {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

impl Write for Line {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }
}

/// Dials the addresses in order, the next one when the one before failed or kept waiting; the first
/// connection wins and the others are dropped.
pub(super) async fn dial_first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.iter().take(ADDRESS_LIMIT).copied();
    let mut dials = JoinSet::new();
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        let next = waiting.next();
        if let Some(address) = next {
            dials.spawn(TcpStream::connect(address));
        } else if dials.is_empty() {
            return Err(last);
        }
        let patience = next.map_or(FOREVER, |_| HEAD_START);
        match tokio::time::timeout(patience, dials.join_next()).await {
            Ok(Some(Ok(Ok(stream)))) => return Ok(stream),
            Ok(Some(Ok(Err(error)))) => last = error,
            Ok(Some(Err(_)) | None) | Err(_) => {}
        }
    }
}

/// Alternates between the families, beginning with that of the first address, so that one broken family
/// costs one head start.
fn take_turns(addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let first_is_v4 = addresses.first().is_some_and(IpAddr::is_ipv4);
    let (first, second): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|ip| ip.is_ipv4() == first_is_v4);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    let mut turns = Vec::new();
    loop {
        let pair = [first.next(), second.next()];
        if pair == [None, None] {
            return turns;
        }
        turns.extend(pair.into_iter().flatten());
    }
}

fn host_of(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

fn connect_fault(host: &str, error: &(dyn Error + 'static), has_roots: bool) -> Fault {
    match error.downcast_ref::<Fault>() {
        Some(fault) => fault.clone(),
        None => tls::fault(host, error, has_roots),
    }
}

fn dial_fault(host: &str, port: u16, error: &io::Error) -> Fault {
    use io::ErrorKind as K;
    let message = match error.kind() {
        K::ConnectionRefused => {
            format!("nothing listens at {host} port {port} (connection refused)")
        }
        K::HostUnreachable | K::NetworkUnreachable => {
            format!("{host} is unreachable from this machine")
        }
        K::TimedOut => format!("{host} port {port} did not take the connection"),
        _ => format!("connecting to {host} port {port} failed: {error}"),
    };
    Fault::new(FaultKind::Connect, message)
}

/// How many addresses of one name are dialled.
const ADDRESS_LIMIT: usize = 8;
/// How long one address is waited for before the next is dialled beside it (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);
/// The caller's deadline ends the wait.
const FOREVER: Duration = Duration::from_secs(3600);
/// For a connection that no request's trace belongs to.
const ORPHAN_LIMIT: Duration = Duration::from_secs(30);
