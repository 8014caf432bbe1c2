//! `/v1/tenants`: what holds for all endpoints of a tenant, how much it may have the host take on, and its switch.
//!
//! A tenant needs no description to have endpoints and events; the first patch describes it.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value, json as value};

use super::auth::Caller;
use super::body::require_json;
use super::endpoints::{description, rate_limit, read_document, remove};
use super::fields::{Fields, whole};
use super::page::{Page, Query};
use super::problem::{Kind, Problem};
use super::profile::{self, CommonView};
use super::{Api, json, keys, preview, terms};
use crate::access::Key;
use crate::endpoint::Waiting;
use crate::event::Tenant;
use crate::id::EndpointId;
use crate::tenant::{Profile, Quota};
use crate::time::{Timestamp, format_span};

/// The members that are neither terms nor common with the host.
const MEMBERS: [&str; 2] = ["description", "quota"];

/// Most bytes that a quota can say: what a JSON number holds for every client.
pub(super) const MAX_STORED_BYTES: u64 = 1 << 53;

/// How often a patch is made again that lost to another change.
const TRIES: usize = 8;

#[derive(Serialize)]
struct TenantView<'a> {
    id: &'a str,
    description: &'a str,
    #[serde(flatten)]
    common: CommonView<'a>,
    quota: Value,
    created_at: String,
    updated_at: String,
}

impl<'a> TenantView<'a> {
    fn of(profile: &'a Profile) -> Self {
        Self {
            id: profile.tenant.as_str(),
            description: &profile.description,
            common: CommonView::of(&profile.terms, &profile.hold),
            quota: quota(&profile.quota),
            created_at: profile.created_at.to_string(),
            updated_at: profile.updated_at.to_string(),
        }
    }
}

/// Those that somebody has described, by name.
pub(super) async fn list(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let after = query.take("cursor", Tenant::parse);
    let limit = query.limit();
    query.finish()?;
    let book = api.book.snapshot();
    let behind =
        |profile: &&Arc<Profile>| after.as_ref().is_none_or(|after| profile.tenant.as_str() > after.as_str());
    let mut profiles = book.tenants().filter(behind);
    let found: Vec<&Arc<Profile>> = profiles.by_ref().take(limit).collect();
    let more = profiles.next().is_some();
    let next = found.last().filter(|_| more).map(|profile| profile.tenant.to_string());
    let items = found.into_iter().map(|profile| TenantView::of(profile)).collect();
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn show(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let tenant = named(id)?;
    let book = api.book.snapshot();
    let kept = book.tenant(&tenant).ok_or_else(|| not_described(&tenant))?;
    json(StatusCode::OK, &TenantView::of(&kept.value))
}

/// A merge patch (RFC 7396), to nothing where nobody has described the tenant; what is masked in it keeps what is
/// stored. With `"offline": false`, `waiting` says what becomes of what has waited.
pub(super) async fn patch(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let tenant = named(id)?;
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, &["application/merge-patch+json"])?;
    let mut change = read_document(&api, &parts.headers, body).await?;
    let waiting = profile::waiting(&mut change, "offline", false)?;
    if preview::is_asked(&parts.uri)? {
        let now = api.clock.now();
        let (_, before) = stored(&api, &tenant, now)?;
        let after = patched(&api, &before, change, waiting, now).await?;
        return preview::answer(&in_full(&before), &in_full(&after));
    }
    for _ in 0..TRIES {
        let now = api.clock.now();
        let (revision, before) = stored(&api, &tenant, now)?;
        let after = patched(&api, &before, change.clone(), waiting, now).await?;
        if let Some(kept) = api.book.put_document(after, revision).await? {
            api.intake.expect(api.clock.now());
            return json(StatusCode::OK, &TenantView::of(&kept.value));
        }
    }
    Err(Problem::new(Kind::Conflict, "The tenant is changed by others all the time; try again."))
}

/// Forgets what was said of the tenant. Its endpoints would follow the host's terms from then on, without the
/// tenant's credentials and though it was offline; so while it has any it stays, unless `force` deletes them and
/// revokes the tenant's keys.
pub(super) async fn delete(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let tenant = named(id)?;
    let mut query = Query::of(&uri);
    let force = query.take("force", str::parse::<bool>).unwrap_or(false);
    query.finish()?;
    let book = api.book.snapshot();
    book.tenant(&tenant).ok_or_else(|| not_described(&tenant))?;
    let endpoints: Vec<EndpointId> = book.of_tenant(&tenant).iter().map(|endpoint| endpoint.id).collect();
    if !endpoints.is_empty() && !force {
        let detail = format!(
            "The tenant has {} endpoints; delete them first, or all of them with the tenant by `?force=true`.",
            endpoints.len()
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    if force {
        for key in book.keys().filter(|key| is_open_for(key, &tenant)) {
            keys::close(&api, key).await?;
        }
    }
    for endpoint in endpoints {
        // Somebody else may have deleted it meanwhile.
        if api.book.get(endpoint).is_some() {
            remove(&api, &caller, endpoint).await?;
        }
    }
    match api.book.delete_document::<Profile>(tenant.as_str()).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(not_described(&tenant)),
    }
}

fn is_open_for(key: &Key, tenant: &Tenant) -> bool {
    key.revoked_at.is_none() && key.tenant.as_ref() == Some(tenant)
}

/// What is no name of a tenant names nothing.
fn named(id: Result<Path<String>, PathRejection>) -> Result<Tenant, Problem> {
    let text = super::path(id)?;
    Tenant::parse(&text).map_err(|error| Problem::new(Kind::NotFound, format!("{error}.")))
}

fn not_described(tenant: &Tenant) -> Problem {
    let detail = format!("Nobody has described the tenant {tenant}; a PATCH does.");
    Problem::new(Kind::NotFound, detail)
}

fn stored(api: &Api, tenant: &Tenant, now: Timestamp) -> Result<(u64, Profile), Problem> {
    let book = api.book.snapshot();
    if let Some(kept) = book.tenant(tenant) {
        return Ok((kept.revision, Profile::clone(&kept.value)));
    }
    let most = api.config.tenant.max;
    if book.tenants().count() >= most {
        let detail = format!("{most} tenants are described, which is the limit (`tenant.max`).");
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok((0, Profile::new(tenant.clone(), now)))
}

async fn patched(
    api: &Api,
    before: &Profile,
    change: Map<String, Value>,
    waiting: Waiting,
    now: Timestamp,
) -> Result<Profile, Problem> {
    let known = [MEMBERS.as_slice(), &profile::MEMBERS, &terms::MEMBERS].concat();
    let changed = profile::apply(in_full(before), &told(before), &known, change);
    let (mut after, mut errors) = (Profile { updated_at: now, ..before.clone() }, Vec::new());
    let mut fields = Fields::new(changed, "", &mut errors);
    if fields.has("description") {
        after.description = description(&mut fields);
    }
    if fields.has("quota") {
        after.quota = read_quota(&mut fields);
    }
    profile::read(&mut fields, api, &mut after.terms, &mut after.hold, waiting, now);
    fields.finish(&known);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    profile::check(api, &before.terms, &after.terms).await?;
    Ok(after)
}

fn in_full(profile: &Profile) -> Map<String, Value> {
    let mut whole = profile::in_full(&profile.terms, &profile.hold);
    whole.insert("description".to_owned(), profile.description.as_str().into());
    whole.insert("quota".to_owned(), quota(&profile.quota));
    whole
}

fn told(profile: &Profile) -> Map<String, Value> {
    let mut told = profile::told(&profile.hold);
    told.insert("id".to_owned(), profile.tenant.as_str().into());
    told.insert("created_at".to_owned(), profile.created_at.to_string().into());
    told.insert("updated_at".to_owned(), profile.updated_at.to_string().into());
    told
}

fn quota(quota: &Quota) -> Value {
    let ingest = quota.ingest.map(|rate| value!({"requests": rate.requests, "per": format_span(rate.per)}));
    value!({"ingest": ingest, "stored_bytes": quota.stored_bytes})
}

fn read_quota(fields: &mut Fields<'_>) -> Quota {
    let Some(map) = fields.object("quota") else { return Quota::default() };
    let mut fields = fields.below("quota", map);
    let ingest = rate_limit(&mut fields, "ingest");
    let stored_bytes = fields.take("stored_bytes").and_then(|given| {
        let bytes = whole(&given).filter(|bytes| *bytes <= MAX_STORED_BYTES);
        bytes.or_else(|| fields.wrong("stored_bytes", "it must be a whole number of bytes"))
    });
    fields.finish(&["ingest", "stored_bytes"]);
    Quota { ingest, stored_bytes }
}
