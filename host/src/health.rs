//! How an endpoint fares, and when it is disabled for it.

use std::time::Duration;

use crate::attempt::Outcome;
use crate::time::{Timestamp, format_span};
use crate::trouble::Trouble;

/// The failures since the last success. Only what lies with the receiver or the way to it counts: its answers, and
/// failures to reach it; never a plugin's failure, and never what a plugin filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Health {
    /// Failed attempts in a row, over all deliveries.
    pub consecutive_failures: u32,
    /// When the first of them ended; `None` where there are none.
    pub failing_since: Option<Timestamp>,
}

impl Health {
    /// After an attempt that ended `now`.
    #[must_use]
    pub fn after(&self, outcome: &Outcome, now: Timestamp) -> Self {
        if matches!(outcome, Outcome::Delivered { .. }) {
            return Self::default();
        }
        if !Trouble::of(outcome).is_some_and(Trouble::is_receivers) {
            return *self;
        }
        Self {
            consecutive_failures: self.consecutive_failures.saturating_add(1),
            failing_since: self.failing_since.or(Some(now)),
        }
    }

    pub fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }
}

/// When an endpoint that fails is disabled. With neither, it never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoDisable {
    /// After so many failures in a row; at least 1.
    pub after_failures: Option<u32>,
    /// After it has failed for so long without a success between.
    pub after: Option<Duration>,
}

/// Five days of failures.
impl Default for AutoDisable {
    fn default() -> Self {
        Self { after_failures: None, after: Some(Duration::from_secs(5 * 86_400)) }
    }
}

impl AutoDisable {
    pub const NEVER: AutoDisable = AutoDisable { after_failures: None, after: None };

    /// Why the endpoint is to be disabled, as a sentence; `None` where it is not.
    pub fn verdict(&self, health: &Health, now: Timestamp) -> Option<String> {
        let since = health.failing_since?;
        let failures = health.consecutive_failures;
        if self.after_failures.is_some_and(|most| failures >= most.max(1)) {
            return Some(format!("{failures} attempts in a row have failed, the first at {since}."));
        }
        let long = self.after.filter(|most| now.since(since) >= *most)?;
        Some(format!(
            "No attempt has succeeded for {}: it has been failing since {since}.",
            format_span(long)
        ))
    }
}

/// How an endpoint stands, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Active,
    /// Its last attempt that counts has failed.
    Failing,
    /// Its deliveries wait.
    Disabled,
}

impl Status {
    pub const ALL: [Status; 3] = [Status::Active, Status::Failing, Status::Disabled];

    pub fn of(enabled: bool, health: &Health) -> Self {
        match (enabled, health.is_failing()) {
            (false, _) => Status::Disabled,
            (true, true) => Status::Failing,
            (true, false) => Status::Active,
        }
    }

    pub fn word(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Failing => "failing",
            Status::Disabled => "disabled",
        }
    }

    pub fn parse(word: &str) -> Option<Status> {
        Status::ALL.into_iter().find(|status| status.word() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn refused() -> Outcome {
        Outcome::Refused { status: 500, retry_after: None }
    }

    #[test]
    fn failures_count_until_a_success() {
        let text = || "x".to_owned();
        let first = Health::default().after(&refused(), at(1));
        assert_eq!(first, Health { consecutive_failures: 1, failing_since: Some(at(1)) });
        let unreachable = Outcome::Unreachable { kind: "timeout".to_owned(), message: text() };
        let second = first.after(&unreachable, at(2));
        assert_eq!(second, Health { consecutive_failures: 2, failing_since: Some(at(1)) });
        for neutral in [
            Outcome::Filtered { plugin: text(), reason: text() },
            Outcome::Rejected { plugin: text(), reason: text() },
            Outcome::PluginFailed { plugin: text(), kind: text(), message: text(), retry: true },
            Outcome::Unreachable { kind: "internal".to_owned(), message: text() },
        ] {
            assert_eq!(second.after(&neutral, at(3)), second, "{neutral:?}");
        }
        assert_eq!(second.after(&Outcome::Gone, at(3)).consecutive_failures, 3);
        assert_eq!(second.after(&Outcome::Delivered { status: 200 }, at(4)), Health::default());
    }

    #[test]
    fn verdicts() {
        let span = Duration::from_secs;
        let health = Health { consecutive_failures: 10, failing_since: Some(at(100)) };
        for (after_failures, after, now, word) in [
            (Some(10), None, 100, Some("10 attempts in a row")),
            (Some(11), None, 1_000_000, None),
            (None, Some(span(60)), 159, None),
            (None, Some(span(60)), 160, Some("for 1m")),
            (Some(11), Some(span(60)), 160, Some("for 1m")),
            (None, None, 1_000_000, None),
        ] {
            let reason = AutoDisable { after_failures, after }.verdict(&health, at(now));
            match word {
                Some(word) => assert!(reason.clone().unwrap().contains(word), "{reason:?}"),
                None => assert_eq!(reason, None),
            }
        }
        let strict = AutoDisable { after_failures: Some(0), after: Some(Duration::ZERO) };
        assert_eq!(strict.verdict(&Health::default(), at(1)), None);
    }

    #[test]
    fn a_disabled_endpoint_is_disabled_first() {
        let failing = Health::default().after(&refused(), at(1));
        assert_eq!(Status::of(false, &failing), Status::Disabled);
        assert_eq!(Status::of(true, &failing), Status::Failing);
        assert_eq!(Status::of(true, &Health::default()), Status::Active);
        assert!(Status::ALL.into_iter().all(|status| Status::parse(status.word()) == Some(status)));
    }
}
