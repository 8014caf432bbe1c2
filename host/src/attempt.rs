//! One try at a delivery, and what it came to.

use std::time::Duration;

use bytes::Bytes;

use crate::endpoint::SuccessCodes;
use crate::time::Timestamp;

/// What an attempt came to. Each has a word of its own in the API, the log and the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took the message. The status is 0 where a plugin judged so and no answer came.
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
    /// A plugin judged the answer, or that none came (`status` is `None` then), and found that it did not arrive.
    Judged { plugin: String, status: Option<u16>, ruling: Ruling, reason: String },
}

/// What follows where a plugin judged that a message did not arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ruling {
    /// After this time, or on the endpoint's own schedule.
    Retry { after: Option<Duration> },
    /// Never again.
    Fail,
    /// As `Fail`, and the endpoint is disabled.
    Disable,
}

impl Ruling {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Ruling::Retry { .. } => "retry",
            Ruling::Fail => "fail",
            Ruling::Disable => "disable",
        }
    }
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
            Outcome::Judged { .. } => "judged",
        }
    }

    /// What kind of failure it was, where there are kinds.
    pub fn kind(&self) -> Option<&str> {
        match self {
            Outcome::Unreachable { kind, .. } | Outcome::PluginFailed { kind, .. } => Some(kind),
            Outcome::Judged { ruling, .. } => Some(ruling.word()),
            _ => None,
        }
    }

    /// How long to wait before the next try, where the answer or a plugin said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Outcome::Refused { retry_after: after, .. }
            | Outcome::Judged { ruling: Ruling::Retry { after }, .. } => *after,
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
            Outcome::Judged { plugin, ruling, reason, .. } => {
                let what = match ruling {
                    Ruling::Retry { .. } => "judged that it has to be sent again",
                    Ruling::Fail => "judged that it has failed for good",
                    Ruling::Disable => "judged that the endpoint takes nothing more",
                };
                format!("Plugin `{plugin}` {what}: {reason}")
            }
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
    pub warnings: Warnings,
}

impl Attempt {
    /// How long the receiver took until its answer began; `None` where no answer came.
    pub fn answer_time(&self) -> Option<Duration> {
        self.response.as_ref().map(|_| self.timing.first_byte.unwrap_or(self.duration))
    }
}

/// Something to look at before it becomes trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Warning {
    /// The answer took [`NEAR_TIMEOUT_PERCENT`] of the endpoint's timeout or more.
    NearTimeout,
    /// It arrived, but not at the first attempt.
    Recovered,
    /// The answer was longer than what is kept of it.
    AnswerTruncated,
    /// It waited for the endpoint's rate limit.
    RateLimited,
    /// Its event type is deprecated.
    DeprecatedType,
    /// A plugin was asked what the answer means, and failed: the status decided.
    JudgeFailed,
}

/// From which part of its timeout on an answer is near it.
pub const NEAR_TIMEOUT_PERCENT: u32 = 80;

impl Warning {
    pub const ALL: [Warning; 6] = [
        Warning::NearTimeout,
        Warning::Recovered,
        Warning::AnswerTruncated,
        Warning::RateLimited,
        Warning::DeprecatedType,
        Warning::JudgeFailed,
    ];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Warning::NearTimeout => "near_timeout",
            Warning::Recovered => "recovered",
            Warning::AnswerTruncated => "answer_truncated",
            Warning::RateLimited => "rate_limited",
            Warning::DeprecatedType => "deprecated_type",
            Warning::JudgeFailed => "judge_failed",
        }
    }

    /// What a person can do about it.
    pub fn hint(self) -> &'static str {
        match self {
            Warning::NearTimeout => {
                "The receiver needed most of the time it has. Have it answer at once and do the work afterwards, or \
                 raise the endpoint's `timeout`, before deliveries begin to fail."
            }
            Warning::Recovered => {
                "It arrived, but only at a retry. Look at the failed attempts before it: the receiver may be unsteady."
            }
            Warning::AnswerTruncated => {
                "The answer was longer than what is kept of it. Nothing is wrong with the delivery; a receiver had \
                 better answer briefly."
            }
            Warning::RateLimited => {
                "It waited for the endpoint's rate limit. If the queue grows, raise `rate_limit`, or subscribe to \
                 fewer event types."
            }
            Warning::DeprecatedType => {
                "The event's type is deprecated. Subscribe to the one that replaces it before it goes."
            }
            Warning::JudgeFailed => {
                "The plugin that reads the receiver's answers failed at this one, so its status alone decided. The \
                 attempt shows the plugin's log; give it to the plugin's author."
            }
        }
    }

    /// Its place in [`Warning::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// A set of warnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Warnings(u8);

impl Warnings {
    pub const NONE: Warnings = Warnings(0);

    #[must_use]
    pub fn with(self, warning: Warning) -> Self {
        Self(self.0 | 1 << warning.index())
    }

    /// With the warning where `holds`.
    #[must_use]
    pub fn with_if(self, holds: bool, warning: Warning) -> Self {
        if holds { self.with(warning) } else { self }
    }

    pub fn contains(self, warning: Warning) -> bool {
        self.0 & 1 << warning.index() != 0
    }

    pub fn iter(self) -> impl Iterator<Item = Warning> {
        Warning::ALL.into_iter().filter(move |warning| self.contains(*warning))
    }

    /// For the store.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// Bits that mean nothing are passed over.
    pub fn from_bits(bits: u8) -> Self {
        Warning::ALL
            .into_iter()
            .fold(Self::NONE, |set, warning| set.with_if(bits & 1 << warning.index() != 0, warning))
    }
}

/// Whether an answer that took `spent` came close to the timeout.
pub fn is_near_timeout(spent: Duration, timeout: Duration) -> bool {
    spent.saturating_mul(100) >= timeout.saturating_mul(NEAR_TIMEOUT_PERCENT)
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

/// One run of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRun {
    pub task: Task,
    pub plugin: String,
    pub version: String,
    /// SHA-256 of the component, in hex.
    pub digest: String,
    /// `pass`, `replace`, `drop` or `reject`; of one that judged, `by_status`, `delivered`, `retry`, `fail` or
    /// `disable`; or the kind of its failure.
    pub verdict: String,
    pub duration: Duration,
    /// The most linear memory that it had, in bytes; 0 where that was not kept.
    pub memory_peak: u64,
    /// What it logged and printed: level and line.
    pub log: Vec<(String, String)>,
}

impl PluginRun {
    /// The words of runs that went well, whatever the plugin said.
    const SAID: [&str; 9] =
        ["pass", "replace", "drop", "reject", "by_status", "delivered", "retry", "fail", "disable"];

    /// Whether the plugin could not do its work; its verdict is the kind of failure then.
    pub fn has_failed(&self) -> bool {
        !Self::SAID.contains(&self.verdict.as_str())
    }
}

/// What a plugin was asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// To shape the message.
    Transform,
    /// To say what the answer means.
    Judge,
}

impl Task {
    pub const ALL: [Task; 2] = [Task::Transform, Task::Judge];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Task::Transform => "transform",
            Task::Judge => "judge",
        }
    }
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

    #[test]
    fn warnings_are_a_set() {
        let set = Warnings::NONE.with(Warning::RateLimited).with_if(false, Warning::Recovered);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Warning::RateLimited]);
        assert_eq!(Warnings::from_bits(set.bits()), set);
        let all = Warnings::from_bits(u8::MAX);
        assert!(all.iter().eq(Warning::ALL));
        assert_eq!(Warnings::from_bits(all.bits()), all);
    }

    #[test]
    fn near_is_from_four_fifths_on() {
        let millis = Duration::from_millis;
        assert!(is_near_timeout(millis(800), millis(1_000)));
        assert!(!is_near_timeout(millis(799), millis(1_000)));
    }
}
