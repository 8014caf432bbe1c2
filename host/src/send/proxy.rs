//! The way out through an HTTP proxy.
//!
//! The proxy is asked to connect to an address that was vetted here, never to a name: a name that the proxy resolved
//! itself could lead anywhere. TLS and the `host` header keep the name.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use data_encoding::BASE64;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::connector::dial_first;
use super::fault::{Fault, FaultKind};
use super::resolver::Resolver;
use super::trace::{Stage, Trace};
use crate::secret::Secret;

/// An HTTP proxy for all deliveries. Shows neither its user nor its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    host: Host,
    port: u16,
    /// What `proxy-authorization` says.
    authorization: Option<Secret>,
}

/// Why a text names no proxy; continues a sentence that begins with the setting's name. It repeats nothing of the
/// text, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProxy {
    #[error(
        "is not a URL; it takes one such as `http://proxy.example:3128`, with `user:password@` before the host"
    )]
    Malformed,
    #[error(
        "does not begin with `http://`; the way to the proxy is plain HTTP, and deliveries speak TLS through it"
    )]
    Scheme,
    #[error("has a path, a query or a fragment; a proxy is a host and a port alone")]
    Path,
    #[error("names port 0, which cannot be connected to")]
    Port,
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let url = Url::parse(text).map_err(|_| InvalidProxy::Malformed)?;
        if url.scheme() != "http" {
            return Err(InvalidProxy::Scheme);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(InvalidProxy::Path);
        }
        let host = url.host().ok_or(InvalidProxy::Malformed)?.to_owned();
        let port = url.port_or_known_default().filter(|port| *port != 0).ok_or(InvalidProxy::Port)?;
        Ok(Self { host, port, authorization: authorization(&url) })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

impl Proxy {
    /// A connection that leads to one of `targets`, and to which of them. Each is asked for in turn where the proxy
    /// says that it could not reach the one before.
    pub(super) async fn tunnel(
        &self,
        resolver: &Resolver,
        targets: &[SocketAddr],
        trace: &Trace,
    ) -> Result<(TcpStream, SocketAddr), Fault> {
        let mut last = fault("the egress proxy was given no address to connect to".to_owned());
        for target in targets.iter().take(TARGET_LIMIT) {
            let mut stream = self.dial(resolver).await?;
            trace.enter(Stage::Proxy);
            match self.connect(&mut stream, *target).await? {
                200..300 => return Ok((stream, *target)),
                // Another address of the same receiver may fare better.
                status @ 502..=504 => last = self.refused(status),
                status => return Err(self.refused(status)),
            }
        }
        Err(last)
    }

    async fn dial(&self, resolver: &Resolver) -> Result<TcpStream, Fault> {
        let addresses: Vec<IpAddr> = match &self.host {
            Host::Ipv4(ip) => vec![(*ip).into()],
            Host::Ipv6(ip) => vec![(*ip).into()],
            Host::Domain(name) if name.eq_ignore_ascii_case("localhost") => {
                vec![std::net::Ipv4Addr::LOCALHOST.into(), std::net::Ipv6Addr::LOCALHOST.into()]
            }
            Host::Domain(name) => resolver.resolve(name).await.map_err(|error| self.unreachable(&error))?,
        };
        let addresses: Vec<SocketAddr> = addresses.into_iter().map(|ip| (ip, self.port).into()).collect();
        let stream = dial_first(&addresses).await.map_err(|error| self.unreachable(&error))?;
        let _ = stream.set_nodelay(true); // without it only latency suffers
        Ok(stream)
    }

    /// Asks for a tunnel, and answers the status that the proxy gave.
    async fn connect(&self, stream: &mut TcpStream, target: SocketAddr) -> Result<u16, Fault> {
        let broken = |error: io::Error| self.unreachable(&error);
        stream.write_all(self.request(target).as_bytes()).await.map_err(broken)?;
        let mut head = Vec::with_capacity(512);
        loop {
            if stream.read_buf(&mut head).await.map_err(broken)? == 0 {
                return Err(self.nonsense("it closed the connection before it answered"));
            }
            if let Some(end) = end_of(&head) {
                let status = status(&head).ok_or_else(|| self.nonsense("its answer is not HTTP/1.1"))?;
                // Neither TLS nor HTTP lets the receiver speak first.
                let early = (200..300).contains(&status) && head.len() > end;
                return if early { Err(self.nonsense("it sent more than its answer")) } else { Ok(status) };
            }
            if head.len() > HEAD_LIMIT {
                return Err(self.nonsense("its answer is too long"));
            }
        }
    }

    fn request(&self, target: SocketAddr) -> Zeroizing<String> {
        let authorization = match &self.authorization {
            Some(value) => Zeroizing::new(format!("proxy-authorization: {}\r\n", value.expose())),
            None => Zeroizing::default(),
        };
        let authorization = authorization.as_str();
        Zeroizing::new(format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\n{authorization}\r\n"))
    }

    fn refused(&self, status: u16) -> Fault {
        let credentials =
            format!("give a user and a password that the egress proxy {self} accepts, in the URL");
        let rules = format!("see in the log and the rules of the egress proxy {self} why it refuses");
        let (message, hint) = match status {
            407 => ("the egress proxy asks for a user and a password (407)".to_owned(), credentials),
            403 => ("the egress proxy does not allow a connection to the receiver (403)".to_owned(), rules),
            502..=504 => (format!("the egress proxy could not reach the receiver ({status})"), rules),
            _ => (format!("the egress proxy refused the connection to the receiver ({status})"), rules),
        };
        fault(message).with_hint(hint)
    }

    fn unreachable(&self, error: &dyn fmt::Display) -> Fault {
        fault("the egress proxy cannot be reached".to_owned())
            .with_hint(format!("check `--egress-proxy` and whether a proxy runs at {self}: {error}"))
    }

    fn nonsense(&self, what: &str) -> Fault {
        fault(format!("the egress proxy did not answer as a proxy does: {what}"))
            .with_hint(format!("check whether what listens at {self} is an HTTP proxy that allows CONNECT"))
    }
}

fn fault(message: String) -> Fault {
    Fault::new(FaultKind::Proxy, message)
}

/// Behind the empty line.
fn end_of(head: &[u8]) -> Option<usize> {
    memchr::memmem::find(head, b"\r\n\r\n").map(|place| place + 4)
}

fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5).filter(|_| rest.get(1) == Some(&b' '))?;
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..1_000).contains(&status).then_some(status)
}

fn authorization(url: &Url) -> Option<Secret> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let mut pair = Zeroizing::new(decoded(url.username()));
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    Some(Secret::new(format!("Basic {}", BASE64.encode(&pair))))
}

/// What stands behind the percent signs of a URL's user or password.
fn decoded(text: &str) -> Vec<u8> {
    let (bytes, mut at) = (text.as_bytes(), 0);
    let mut plain = Vec::with_capacity(bytes.len());
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1..at + 3).filter(|_| *byte == b'%');
        match digits.and_then(|digits| data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok()) {
            Some(escaped) => {
                plain.extend(escaped);
                at += 3;
            }
            None => {
                plain.push(*byte);
                at += 1;
            }
        }
    }
    plain
}

/// Most bytes of a proxy's answer to CONNECT.
const HEAD_LIMIT: usize = 8 * 1024;
/// How many addresses of one name the proxy is asked for.
const TARGET_LIMIT: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_host_and_a_port_with_credentials() {
        for (text, shown, credentials) in [
            ("http://proxy.example", "proxy.example:80", None),
            ("http://proxy.example:3128/", "proxy.example:3128", None),
            ("http://10.0.0.1:3128", "10.0.0.1:3128", None),
            ("http://[fd00::1]:3128", "[fd00::1]:3128", None),
            ("http://user:pass@proxy.example:3128", "proxy.example:3128", Some("user:pass")),
            ("http://us%40er:p%3a%25%2Fs+s@proxy.example", "proxy.example:80", Some("us@er:p:%/s+s")),
            ("http://user@proxy.example", "proxy.example:80", Some("user:")),
        ] {
            let proxy: Proxy = text.parse().unwrap();
            assert_eq!(proxy.to_string(), shown, "{text}");
            let wanted = credentials.map(|pair| format!("Basic {}", BASE64.encode(pair.as_bytes())));
            assert_eq!(proxy.authorization.as_ref().map(|value| value.expose().to_owned()), wanted, "{text}");
            assert_eq!(format!("{proxy:?}"), format!("Proxy({shown})"));
        }
        for (text, problem) in [
            ("", InvalidProxy::Malformed),
            ("proxy.example:3128", InvalidProxy::Scheme),
            ("proxy", InvalidProxy::Malformed),
            ("https://secret@proxy.example", InvalidProxy::Scheme),
            ("socks5://proxy.example", InvalidProxy::Scheme),
            ("http://", InvalidProxy::Malformed),
            ("http://proxy.example/path", InvalidProxy::Path),
            ("http://proxy.example/?a", InvalidProxy::Path),
            ("http://proxy.example/#a", InvalidProxy::Path),
            ("http://proxy.example:0", InvalidProxy::Port),
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(problem), "{text}");
        }
    }

    #[test]
    fn answers_of_proxies_are_read() {
        for (head, expected) in [
            ("HTTP/1.1 200 Connection established\r\n\r\n", Some(200)),
            ("HTTP/1.0 407 Proxy Authentication Required\r\n\r\n", Some(407)),
            ("HTTP/1.1 200\r\n\r\n", Some(200)),
            ("HTTP/2 200\r\n\r\n", None),
            ("HTTP/1.1200 OK\r\n\r\n", None),
            ("HTTP/1.1 +20 OK\r\n\r\n", None),
            ("SSH-2.0-x\r\n\r\n", None),
            ("", None),
        ] {
            assert_eq!(status(head.as_bytes()), expected, "{head}");
        }
    }
}
