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
    /// Most requests under way at once, per host.
    pub concurrency: u32,
    pub hold: Hold,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// At most `requests` in any `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    pub requests: u32,
    pub per: Duration,
}

/// Whether the endpoint's deliveries wait, and how long they have waited in all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hold {
    /// Set while the endpoint is disabled.
    pub current: Option<Disabled>,
    /// Sum of the past times in which it was disabled.
    pub past: Duration,
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
}
