//! One try at a delivery, and what it came to.

use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::SuccessCodes;
use crate::time::Timestamp;

/// What an attempt came to. Each has a word of its own in the API, the log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took the message.
    Delivered { status: u16 },
    /// The receiver answered, but not with success.
    Refused { status: u16, retry_after: Option<Duration> },
    /// The receiver answered 410: it wants nothing more.
    Gone,
    /// No complete answer came. `kind` is the stage's word, such as `dns` or `timeout`.
    Unreachable { kind: String, message: String },
    /// A plugin dropped the message: not for this endpoint.
    Filtered { plugin: String, reason: String },
    /// A plugin said that it can never be delivered.
    Rejected { plugin: String, reason: String },
    /// A plugin failed. `retry` is the endpoint's choice for this link.
    PluginFailed { plugin: String, kind: String, message: String, retry: bool },
}

impl Outcome {
    pub fn of_answer(status: u16, success: &SuccessCodes, retry_after: Option<Duration>) -> Self {
        match status {
            status if success.contains(status) => Outcome::Delivered { status },
            410 => Outcome::Gone,
            status => Outcome::Refused { status, retry_after },
        }
    }

    /// A stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Refused { .. } => "refused",
            Outcome::Gone => "gone",
            Outcome::Unreachable { .. } => "unreachable",
            Outcome::Filtered { .. } => "filtered",
            Outcome::Rejected { .. } => "rejected",
            Outcome::PluginFailed { .. } => "plugin_failed",
        }
    }

    /// What kind of failure it was, where there are kinds.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Outcome::Unreachable { kind, .. } | Outcome::PluginFailed { kind, .. } => Some(kind),
            _ => None,
        }
    }

    /// Why it did not arrive, as a sentence; `None` where it did.
    pub fn reason(&self) -> Option<String> {
        Some(match self {
            Outcome::Delivered { .. } => return None,
            Outcome::Refused { status, .. } => format!("The receiver answered {status}."),
            Outcome::Gone => "The receiver answered 410 Gone: it wants nothing more.".to_owned(),
            Outcome::Unreachable { message, .. } => message.clone(),
            Outcome::Filtered { plugin, reason } => format!("Plugin `{plugin}` dropped it: {reason}"),
            Outcome::Rejected { plugin, reason } => format!("Plugin `{plugin}` rejected it: {reason}"),
            Outcome::PluginFailed { plugin, message, .. } => format!("Plugin `{plugin}` failed: {message}"),
        })
    }
}

/// The record of an attempt. Secrets are masked before they get here.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    pub started_at: Timestamp,
    pub duration: Duration,
    pub outcome: Outcome,
    /// `None` where the chain ended before a request was made.
    pub request: Option<RequestRecord>,
    pub response: Option<ResponseRecord>,
    pub timing: Timing,
    pub plugins: Vec<PluginRun>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRecord {
    pub method: String,
    /// Scheme, host and port; the rest of the URL is masked.
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: BodyRecord,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyRecord {
    /// The very bytes of the event's payload, which are kept there.
    Payload,
    /// The first bytes, and how many there were in all.
    Bytes { kept: Bytes, length: u64 },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseRecord {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// More came than was kept.
    pub truncated: bool,
}

/// Where an attempt's time went. What did not happen, such as a connect on a kept connection, is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timing {
    /// From being due to the attempt's beginning.
    pub queue: Option<Duration>,
    pub transform: Option<Duration>,
    pub dns: Option<Duration>,
    pub connect: Option<Duration>,
    pub tls: Option<Duration>,
    pub first_byte: Option<Duration>,
}

/// One link's run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRun {
    pub plugin: String,
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// `pass`, `replace`, `drop`, `reject`, or the kind of its failure.
    pub verdict: String,
    pub duration: Duration,
    /// What it logged and printed: level and line.
    pub log: Vec<(String, String)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let pause = Some(Duration::from_secs(7));
        let lax = SuccessCodes::Any2xx;
        assert_eq!(Outcome::of_answer(204, &lax, pause), Outcome::Delivered { status: 204 });
        assert_eq!(Outcome::of_answer(410, &lax, pause), Outcome::Gone);
        assert_eq!(
            Outcome::of_answer(429, &lax, pause),
            Outcome::Refused { status: 429, retry_after: pause }
        );
        assert_eq!(Outcome::of_answer(302, &lax, None).word(), "refused");
        let odd = SuccessCodes::Only(vec![410]);
        assert_eq!(Outcome::of_answer(410, &odd, None), Outcome::Delivered { status: 410 });
    }
}
