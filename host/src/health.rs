//! How an endpoint fares, and when it is disabled for it.

use crate::attempt::Outcome;
use crate::time::{Timestamp, format_span};
use crate::trouble::Trouble;

pub use crate::terms::AutoDisable;

/// The failures since the last success. Only what lies with the receiver or the way to it counts: its answers, and
/// failures to reach it; never a plugin's failure, and never what a plugin filtered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Health {
    /// Failed attempts in a row, over all deliveries.
    pub consecutive_failures: u32,
    /// When the first of them ended; `None` where there are none.
    pub failing_since: Option<Timestamp>,
    /// It failed before it began anew, and has not shown since that it works.
    pub on_trial: bool,
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
            ..*self
        }
    }

    /// As it begins anew: enabled again, or pointed elsewhere.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self { on_trial: self.on_trial || self.is_failing(), ..Self::default() }
    }

    /// Whether it works again, now that an attempt has brought it to `next`.
    pub fn recovers(&self, next: &Health) -> bool {
        (self.is_failing() || self.on_trial) && *next == Self::default()
    }

    pub fn is_failing(&self) -> bool {
        self.consecutive_failures > 0
    }
}

impl AutoDisable {
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
    use std::time::Duration;

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
        assert_eq!(first, Health { consecutive_failures: 1, failing_since: Some(at(1)), on_trial: false });
        let unreachable = Outcome::Unreachable { kind: "timeout".to_owned(), message: text() };
        let second = first.after(&unreachable, at(2));
        assert_eq!(second, Health { consecutive_failures: 2, ..first });
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
        let health = Health { consecutive_failures: 10, failing_since: Some(at(100)), on_trial: false };
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
    fn what_failed_recovers_with_a_success_also_where_it_began_anew() {
        let success = Outcome::Delivered { status: 200 };
        let failing = Health::default().after(&refused(), at(1));
        let anew = failing.anew();
        assert_eq!((anew.consecutive_failures, anew.failing_since), (0, None));
        assert_eq!(anew.anew(), anew);
        for (health, recovers) in [(failing, true), (anew, true), (Health::default(), false)] {
            let next = health.after(&success, at(2));
            assert_eq!(health.recovers(&next), recovers, "{health:?}");
            let filtered = Outcome::Filtered { plugin: "x".to_owned(), reason: "x".to_owned() };
            assert!(!health.recovers(&health.after(&filtered, at(2))));
        }
        let again = anew.after(&refused(), at(3));
        assert_eq!((again.consecutive_failures, again.failing_since), (1, Some(at(3))));
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
