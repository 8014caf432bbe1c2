//! Where a tenant wants its events, and how.

use std::time::Duration;

use crate::event::{Tenant, VersionName};
use crate::id::EndpointId;
use crate::secret::{Secret, SigningSecrets};
use crate::subscription::Subscription;
use crate::terms::{InForce, Terms};
use crate::time::Timestamp;

pub use crate::terms::{Auth, OnFailure, SuccessCodes, Transform};

#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    pub id: EndpointId,
    pub tenant: Tenant,
    pub name: String,
    pub description: String,
    /// Absolute, checked. Secret, because for many targets it is the credential.
    pub url: Secret,
    pub subscription: Subscription,
    /// The version of the payloads' shapes that it gets. `None`: whatever the newest one is.
    pub version: Option<VersionName>,
    /// What it says itself.
    pub own: Terms,
    /// What holds for it, with what its tenant and the host say.
    pub terms: InForce,
    pub secrets: SigningSecrets,
    pub rate_limit: Option<RateLimit>,
    /// Most requests under way at once, over all hosts.
    pub concurrency: u32,
    pub order: Order,
    pub hold: Hold,
    /// Since when it has been as it is, enabled and at this URL: attempts that began earlier say nothing about how it
    /// fares.
    pub judged_from: Timestamp,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// At most `requests` in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub per: Duration,
}

/// In which order an endpoint's deliveries go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As it comes, several at once.
    #[default]
    Free,
    /// One at a time, as their events were accepted; a replay comes last. One that fails keeps those behind it waiting
    /// until it is delivered or ends.
    Strict,
    /// As [`Order::Strict`], but one that has been tried so many times (at least 1) steps aside, and is tried again in
    /// its own time.
    Parking { after: u32 },
}

impl Order {
    pub fn is_kept(self) -> bool {
        self != Order::Free
    }

    /// Whether a delivery that has been tried so often makes room for those behind it.
    pub fn steps_aside(self, attempts: u32) -> bool {
        matches!(self, Order::Parking { after } if attempts >= after)
    }
}

/// What becomes of the deliveries that waited, once what held them lets go of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Waiting {
    #[default]
    Deliver,
    Skip,
}

/// Whether the endpoint's deliveries wait, and how long they have waited in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hold {
    /// Set while the endpoint is disabled.
    pub current: Option<Disabled>,
    /// Sum of the past times in which it was disabled.
    pub past: Duration,
    /// What was made before then is not delivered any more: it waited, and was skipped.
    pub skips_before: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disabled {
    pub since: Timestamp,
    /// A sentence.
    pub reason: String,
}

impl Hold {
    pub fn disable(&mut self, reason: impl Into<String>, now: Timestamp) {
        self.current.get_or_insert_with(|| Disabled { since: now, reason: reason.into() });
    }

    pub fn enable(&mut self, now: Timestamp) {
        if let Some(disabled) = self.current.take() {
            self.past += now.since(disabled.since);
        }
    }

    /// As [`Hold::enable`]; says too what becomes of the deliveries that have waited until `now`. Does nothing where
    /// nothing was held.
    pub fn resume(&mut self, waiting: Waiting, now: Timestamp) {
        if waiting == Waiting::Skip && self.current.is_some() {
            self.skips_before = Some(now);
        }
        self.enable(now);
    }

    /// All the time for which the endpoint has been disabled, up to `now`.
    pub fn total(&self, now: Timestamp) -> Duration {
        self.past + self.current.as_ref().map_or(Duration::ZERO, |d| now.since(d.since))
    }
}

impl Endpoint {
    pub fn enabled(&self) -> bool {
        self.hold.current.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn held_time_adds_up() {
        let at = Timestamp::from_secs;
        let mut hold = Hold::default();
        hold.disable("by hand", at(10));
        hold.disable("again", at(15));
        assert_eq!(hold.total(at(20)), Duration::from_secs(10));
        hold.enable(at(30));
        hold.enable(at(40));
        assert_eq!(hold.total(at(50)), Duration::from_secs(20));
        hold.disable("by hand", at(60));
        assert_eq!(hold.total(at(61)), Duration::from_secs(21));
    }

    #[test]
    fn what_waited_is_skipped_where_that_is_asked_for() {
        let at = Timestamp::from_secs;
        let mut hold = Hold::default();
        hold.resume(Waiting::Skip, at(5));
        assert_eq!(hold, Hold::default(), "nothing was held");
        hold.disable("by hand", at(10));
        hold.resume(Waiting::Deliver, at(20));
        assert_eq!(hold.skips_before, None);
        hold.disable("by hand", at(30));
        hold.resume(Waiting::Skip, at(40));
        assert_eq!((hold.skips_before, hold.total(at(50))), (Some(at(40)), Duration::from_secs(20)));
    }

    #[test]
    fn who_steps_aside() {
        for (order, attempts, expected) in [
            (Order::Free, 9, false),
            (Order::Strict, 9, false),
            (Order::Parking { after: 2 }, 1, false),
            (Order::Parking { after: 2 }, 2, true),
        ] {
            assert_eq!(order.steps_aside(attempts), expected, "{order:?}");
        }
    }
}
