//! Why a request got no answer: a value that is stored and shown, never an `Err` that travels.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use super::ssrf::{Reason, Refusal};
use super::target::{UrlError, UrlErrorKind, hint_to_open};
use super::trace::Stage;

/// What kept a request from an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: FaultKind,
    /// A sentence for the owner of the endpoint. It names no address that a name resolved to.
    pub message: String,
    /// A sentence for the operator of the server: what to do about it. Not for tenants, since it may name
    /// addresses of the operator's network.
    pub hint: Option<String>,
    /// The status that had already arrived when the body did not.
    pub status: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// The request itself cannot be sent: its URL or method is not one for webhooks.
    InvalidRequest,
    /// The address is not one that deliveries may reach; nothing was sent.
    RefusedAddress,
    /// The name has no address, or the name servers did not say.
    Dns,
    /// No TCP connection came about.
    Connect,
    /// The operator's proxy could not be used, or did not connect to the receiver; nothing was sent.
    Proxy,
    /// No TLS session came about, or the certificate was not accepted; nothing was sent.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The receiver broke off, or answered with something that is not HTTP.
    Protocol,
}

impl FaultKind {
    pub const ALL: [Self; 8] = [
        Self::InvalidRequest,
        Self::RefusedAddress,
        Self::Dns,
        Self::Connect,
        Self::Proxy,
        Self::Tls,
        Self::Timeout,
        Self::Protocol,
    ];

    /// A stable word for the store, the API and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::RefusedAddress => "refused_address",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
        }
    }

    /// The kind that a stored word names.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Fault {}

impl Fault {
    pub(super) fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None, status: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn after_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub(super) fn timeout(stage: Stage, limit: Duration) -> Self {
        let waiting_for = match stage {
            Stage::Dns => "the name to be resolved",
            Stage::Connect => "the connection",
            Stage::Proxy => "the egress proxy",
            Stage::Tls => "the TLS handshake",
            Stage::Answer => "an answer",
            Stage::Body => "the end of the answer's body",
        };
        let message = format!("gave up after {limit:?}, waiting for {waiting_for}");
        Self::new(FaultKind::Timeout, message)
    }

    pub(super) fn refused(host: &str, refusal: &Refusal) -> Self {
        let message = match refusal.reason {
            Reason::PlainHttp => {
                format!("plain http to {host} is not allowed: use https")
            }
            reason => format!("deliveries may not go to {host}: it is at {reason}"),
        };
        let fault = Self::new(FaultKind::RefusedAddress, message);
        match refusal.opens {
            Some(range) => fault.with_hint(hint_to_open(range)),
            None => fault,
        }
    }

    /// What the client of the pool reports: a fault of the connector as it is, or one of the protocol.
    pub(super) fn from_client(error: &hyper_util::client::legacy::Error) -> Self {
        if let Some(fault) = cause::<Self>(error) {
            return fault.clone();
        }
        match cause::<hyper::Error>(error) {
            Some(error) => Self::from_http(error),
            None => Self::new(FaultKind::Protocol, format!("the request failed: {error}")),
        }
    }

    pub(super) fn from_http(error: &hyper::Error) -> Self {
        let message = if error.is_parse_too_large() {
            "the head of the answer is larger than is accepted".to_owned()
        } else if error.is_parse() {
            format!("the answer is not valid HTTP ({error})")
        } else if error.is_incomplete_message() {
            "the receiver closed the connection before the answer was complete".to_owned()
        } else if error.is_timeout() {
            "the connection went silent: its keep-alive pings were not answered".to_owned()
        } else {
            let last = chain(error).last();
            last.map_or_else(String::new, |last| format!("the connection broke: {last}"))
        };
        Self::new(FaultKind::Protocol, message)
    }
}

impl From<UrlError> for Fault {
    fn from(error: UrlError) -> Self {
        let kind = match error.kind {
            UrlErrorKind::Address(_) | UrlErrorKind::PlainHttp => FaultKind::RefusedAddress,
            _ => FaultKind::InvalidRequest,
        };
        Self { kind, message: error.message, hint: error.hint, status: None }
    }
}

/// The first error of type `E` in a chain of causes.
pub(super) fn cause<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    chain(error).find_map(<dyn Error>::downcast_ref)
}

/// An error and its causes. Looks into `io::Error`, whose own chain skips what it wraps.
pub(super) fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| below(*error))
}

fn below<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(inner) => Some(inner as &(dyn Error + 'static)),
        None => error.source(),
    }
}
