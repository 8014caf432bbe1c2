//! What a tenant may have the host take on.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::Api;
use super::problem::{Kind, Problem};
use crate::endpoint::RateLimit;
use crate::event::Tenant;
use crate::meter::Meter;
use crate::time::format_span;

/// How much came lately, of each tenant that has a quota. Every host of several counts for itself.
#[derive(Debug, Default)]
pub struct Meters(Mutex<HashMap<Tenant, Meter>>);

/// Counts one more event of the tenant.
///
/// # Errors
///
/// 429 where its quota does not allow it.
pub(super) async fn admit(api: &Api, tenant: &Tenant) -> Result<(), Problem> {
    let book = api.book.snapshot();
    let Some(quota) = book.tenant(tenant).map(|kept| kept.value.quota) else { return Ok(()) };
    if let Some(limit) = quota.stored_bytes {
        check_stored(api, tenant, limit).await?;
    }
    match quota.ingest {
        Some(limit) => check_rate(api, tenant, limit),
        None => Ok(()),
    }
}

/// What is in the same request is not counted yet, so a tenant may come to lie one request above its limit.
async fn check_stored(api: &Api, tenant: &Tenant, limit: u64) -> Result<(), Problem> {
    let stored = api.store.stored_bytes(tenant.clone()).await?;
    if stored < limit {
        return Ok(());
    }
    let detail = format!(
        "The payloads of the tenant {tenant} take up {stored} bytes, and {limit} are allowed (`quota.stored_bytes`); \
         there is room again when retention lets go of some."
    );
    Err(Problem::new(Kind::OverQuota, detail))
}

fn check_rate(api: &Api, tenant: &Tenant, limit: RateLimit) -> Result<(), Problem> {
    let mut meters = api.meters.0.lock().unwrap_or_else(PoisonError::into_inner);
    let book = api.book.snapshot();
    if meters.len() > book.tenants().len() {
        meters.retain(|tenant, _| book.tenant(tenant).is_some());
    }
    let taken = meters.entry(tenant.clone()).or_default().take(limit, api.clock.now());
    taken.map_err(|pause| {
        let (requests, per) = (limit.requests, format_span(limit.per));
        let detail = format!(
            "The tenant {tenant} may post {requests} events in {per} (`quota.ingest`); come again later."
        );
        Problem { retry_after: Some(pause), ..Problem::new(Kind::OverQuota, detail) }
    })
}
