//! What a tenant says for all of its endpoints, and the host for all tenants.

use crate::endpoint::{Hold, RateLimit};
use crate::event::Tenant;
use crate::terms::Terms;
use crate::time::Timestamp;

/// A tenant, as far as somebody has described it. One that nobody has is as good as the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub tenant: Tenant,
    pub description: String,
    /// For its endpoints, where they say nothing themselves.
    pub terms: Terms,
    /// Set while the tenant is offline: its deliveries wait.
    pub hold: Hold,
    pub quota: Quota,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// How much a tenant may have the host take on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Events accepted.
    pub ingest: Option<RateLimit>,
    /// Bytes of the payloads that are kept.
    pub stored_bytes: Option<u64>,
}

/// What holds for the whole host.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct HostProfile {
    /// For all endpoints, where neither they nor their tenants say anything.
    pub terms: Terms,
    /// Set while the host is offline: all deliveries wait.
    pub hold: Hold,
}

impl Profile {
    /// As good as not described.
    pub fn new(tenant: Tenant, now: Timestamp) -> Self {
        Self {
            tenant,
            description: String::new(),
            terms: Terms::default(),
            hold: Hold::default(),
            quota: Quota::default(),
            created_at: now,
            updated_at: now,
        }
    }
}
