//! `/v1/endpoints`: where a tenant wants its events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde_json::{Map, Value};

use self::members::Members;
use self::spec::Spec;
use super::auth::Caller;
use super::body::require_json;
use super::page::{Page, Query};
use super::problem::{Kind, Problem};
use super::statistics::Fare;
use super::{Api, json, preview, profile};
use crate::book::{Entry, Snapshot};
use crate::catalogue::UnknownVersion;
use crate::dispatch::SKIPPED;
use crate::endpoint::{Endpoint, Hold, Waiting};
use crate::event::{Tenant, VersionName};
use crate::id::EndpointId;
use crate::secret::{Secret, SigningSecret, SigningSecrets};
use crate::signature::SignatureScheme;
use crate::terms::InForce;
use crate::time::Timestamp;

pub(super) mod chain;
pub(super) mod document;
pub(super) mod members;
pub(super) mod patch;
pub(super) mod secret;
mod spec;
mod trial;
mod view;

pub(super) use chain::{check as check_chain, link_errors, missing_plugin};
pub(super) use document::read as read_document;
pub(super) use patch::apply_to;
pub(super) use spec::{MAX_DESCRIPTION, MAX_NAME, MAX_PARK_AFTER, MAX_PER, MAX_REQUESTS, MIN_PER};
pub(super) use spec::{description, rate_limit};
pub(super) use trial::test;
use view::EndpointView;
pub(super) use view::masked_url;

/// What a patch may be besides JSON.
pub(super) const MERGE_PATCH: &str = "application/merge-patch+json";

/// How often a patch is made again that lost to another change.
const TRIES: usize = 8;

/// Deliveries of a deleted endpoint that are cancelled before the answer; the rest follow in the background.
const CANCEL_BATCH: usize = 1_000;

const DISABLED_BY_REQUEST: &str = "It was disabled by request.";

pub(super) async fn create(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, &[])?;
    let asked = preview::is_asked(&parts.uri)?;
    let map = document::read(&api, &parts.headers, body).await?;
    if asked {
        let (endpoint, _) = described(&api, &caller, map).await?;
        let terms = api.book.snapshot().in_force(&endpoint.own, &endpoint.tenant);
        let endpoint = Endpoint { terms, ..endpoint };
        let fare = Fare::of(&api, &endpoint).await?;
        return json(StatusCode::OK, &view(&api, &endpoint, fare).not_made());
    }
    let (endpoint, secret) = make(&api, &caller, map).await?;
    let fare = Fare::of(&api, &endpoint).await?;
    json(StatusCode::CREATED, &view(&api, &endpoint, fare).with_secret(&secret))
}

/// Makes what the members say. The secret is to be shown, this once.
pub(super) async fn make(
    api: &Api,
    caller: &Caller,
    map: Map<String, Value>,
) -> Result<(Arc<Endpoint>, SigningSecret), Problem> {
    let (endpoint, secret) = described(api, caller, map).await?;
    Ok((api.book.create(endpoint).await?, secret))
}

/// The endpoint that the members describe, as it would be made.
async fn described(
    api: &Api,
    caller: &Caller,
    map: Map<String, Value>,
) -> Result<(Endpoint, SigningSecret), Problem> {
    let mut spec = Spec::read(api, caller, map)?;
    spec.version = pinned(&api.book.snapshot(), spec.version)?;
    chain::check(&api.plugins.snapshot(), &api.plugins, spec.terms.transforms.as_deref().unwrap_or_default())
        .await?;
    check_room(api, &spec.tenant)?;
    let now = api.clock.now();
    let mut hold = Hold::default();
    if !spec.enabled {
        hold.disable(DISABLED_BY_REQUEST, now);
    }
    let scheme = api.book.snapshot().in_force(&spec.terms, &spec.tenant).signature;
    let secret = first_secret(&scheme, spec.secret.as_ref())?;
    let id = EndpointId::mint(now, rand::random());
    Ok((endpoint(spec, id, secret.clone().into(), hold, now, now), secret))
}

pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let members = query.take("fields", Members::parse).unwrap_or_default();
    let after = query.take("cursor", str::parse::<EndpointId>);
    let limit = query.limit();
    query.finish()?;
    let tenant = caller.narrow(tenant)?;
    let book = api.book.snapshot();
    let mut entries = book
        .entries()
        .filter(|entry| after.is_none_or(|after| entry.endpoint.id > after))
        .filter(|entry| tenant.as_ref().is_none_or(|tenant| entry.endpoint.tenant == *tenant));
    let found: Vec<&Entry> = entries.by_ref().take(limit).collect();
    let more = entries.next().is_some();
    let next = found.last().filter(|_| more).map(|entry| entry.endpoint.id.to_string());
    let endpoints: Vec<&Endpoint> = found.iter().map(|entry| &*entry.endpoint).collect();
    let fares = match members.tell_how_it_fares() {
        true => Fare::of_all(&api, &endpoints).await?,
        false => endpoints.iter().map(|_| Fare::default()).collect(),
    };
    let (plugins, now) = (api.plugins.snapshot(), api.clock.now());
    let views = endpoints.into_iter().zip(fares).map(|(endpoint, fare)| {
        let view = EndpointView::of(endpoint, fare, now);
        members.of(&if members.have("transforms") { view.readable(endpoint, &plugins) } else { view })
    });
    let items = views.collect::<Result<Vec<_>, _>>().map_err(|error| Problem::internal(&error))?;
    json(StatusCode::OK, &Page { items, next })
}

/// As those see it who may change it.
fn view<'a>(api: &Api, endpoint: &'a Endpoint, fare: Fare) -> EndpointView<'a> {
    EndpointView::of(endpoint, fare, api.clock.now()).readable(endpoint, &api.plugins.snapshot())
}

pub(super) async fn show(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let book = api.book.snapshot();
    let entry = entry(&book, &caller, super::id(id)?)?;
    let fare = Fare::of(&api, &entry.endpoint).await?;
    json(StatusCode::OK, &view(&api, &entry.endpoint, fare))
}

/// A merge patch (RFC 7396); what is masked in it keeps what is stored. Where it enables the endpoint, `waiting` says
/// what becomes of what has waited.
pub(super) async fn patch(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id: EndpointId = super::id(id)?;
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, &[MERGE_PATCH])?;
    let asked = preview::is_asked(&parts.uri)?;
    let members = document::read(&api, &parts.headers, body).await?;
    if asked {
        return would_change(&api, &caller, id, members).await;
    }
    let written = change(&api, &caller, id, members).await?;
    let fare = Fare::of(&api, &written).await?;
    json(StatusCode::OK, &view(&api, &written, fare))
}

async fn would_change(
    api: &Api,
    caller: &Caller,
    id: EndpointId,
    mut change: Map<String, Value>,
) -> Result<Response, Problem> {
    let waiting = profile::waiting(&mut change, "enabled", true)?;
    let book = api.book.snapshot();
    let stored = &entry(&book, caller, id)?.endpoint;
    let patched = patched(api, stored, change, waiting).await?;
    preview::answer(&view::in_full(stored), &view::in_full(&patched))
}

/// Makes the change to the endpoint as it stands, again where others are faster.
pub(super) async fn change(
    api: &Api,
    caller: &Caller,
    id: EndpointId,
    mut change: Map<String, Value>,
) -> Result<Arc<Endpoint>, Problem> {
    let waiting = profile::waiting(&mut change, "enabled", true)?;
    for _ in 0..TRIES {
        let book = api.book.snapshot();
        let Entry { revision, endpoint } = entry(&book, caller, id)?.clone();
        let patched = patched(api, &endpoint, change.clone(), waiting).await?;
        if let Some(written) = api.book.replace(patched, revision).await? {
            skip(api, &written).await?;
            api.intake.expect(api.clock.now());
            return Ok(written);
        }
    }
    Err(contended())
}

/// The deliveries that waited for it are cancelled; what it was and did stays in the log until retention.
pub(super) async fn delete(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    remove(&api, &caller, super::id(id)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn remove(api: &Api, caller: &Caller, id: EndpointId) -> Result<(), Problem> {
    let tenant = entry(&api.book.snapshot(), caller, id)?.endpoint.tenant.clone();
    let waiting =
        api.store.standings(vec![id]).await?.first().map_or(0, |standing| standing.pending as usize);
    if !api.book.delete(id).await? {
        return Err(not_found(id));
    }
    let cancelled = api.store.cancel_orphans(CANCEL_BATCH, api.clock.now()).await?;
    // Housekeeping may have been faster, and does not know whose they were.
    api.live.tell_of_many(Some(&tenant), cancelled.max(waiting));
    api.intake.expect(api.clock.now());
    Ok(())
}

async fn patched(
    api: &Api,
    stored: &Endpoint,
    change: Map<String, Value>,
    waiting: Waiting,
) -> Result<Endpoint, Problem> {
    if change.contains_key("secret") {
        let message = "it is not changed here; rotate it with `POST /v1/endpoints/{id}/secret/rotate`";
        return Err(Problem::field("/secret", message));
    }
    let spec = Spec::read_over(api, stored, patch::apply(stored, change))?;
    if spec.tenant != stored.tenant {
        let message = "an endpoint stays with its tenant; create another one";
        return Err(Problem::conflict("/tenant", message));
    }
    if spec.version != stored.version && spec.version.is_some() {
        pinned(&api.book.snapshot(), spec.version.clone())?;
    }
    if spec.terms.transforms != stored.own.transforms {
        chain::check(
            &api.plugins.snapshot(),
            &api.plugins,
            spec.terms.transforms.as_deref().unwrap_or_default(),
        )
        .await?;
    }
    let now = api.clock.now();
    let scheme = api.book.snapshot().in_force(&spec.terms, &spec.tenant).signature;
    check_scheme(stored, &scheme, now)?;
    let mut hold = stored.hold.clone();
    match spec.enabled {
        true => hold.resume(waiting, now),
        false => hold.disable(DISABLED_BY_REQUEST, now),
    }
    let anew = spec.url != stored.url || (spec.enabled && !stored.enabled());
    let judged_from = if anew { now } else { stored.judged_from };
    let patched = endpoint(spec, stored.id, stored.secrets.tidied(now), hold, stored.created_at, now);
    Ok(Endpoint { judged_from, ..patched })
}

/// Cancels the first of what is skipped, so that most callers see it at once; housekeeping does the rest.
async fn skip(api: &Api, endpoint: &Endpoint) -> Result<(), Problem> {
    if let Some(before) = endpoint.hold.skips_before {
        let reason = SKIPPED.to_owned();
        let cancelled =
            api.store.cancel_waiting(endpoint.id, before, CANCEL_BATCH, reason, api.clock.now()).await?;
        api.live.tell_of_many(Some(&endpoint.tenant), cancelled);
    }
    Ok(())
}

fn endpoint(
    spec: Spec,
    id: EndpointId,
    secrets: SigningSecrets,
    hold: Hold,
    created_at: Timestamp,
    updated_at: Timestamp,
) -> Endpoint {
    Endpoint {
        id,
        tenant: spec.tenant,
        name: spec.name,
        description: spec.description,
        url: spec.url,
        subscription: spec.subscription,
        version: spec.version,
        // The book puts in what others say.
        terms: InForce::of(&[&spec.terms], Duration::ZERO),
        own: spec.terms,
        secrets,
        rate_limit: spec.rate_limit,
        concurrency: spec.concurrency,
        order: spec.order,
        hold,
        judged_from: created_at,
        created_at,
        updated_at,
    }
}

/// The one that is brought along, or a new one.
fn first_secret(scheme: &SignatureScheme, brought: Option<&Secret>) -> Result<SigningSecret, Problem> {
    match brought {
        Some(text) => scheme.read_secret(text.expose()).map_err(|error| Problem::field("/secret", error)),
        None => Ok(scheme.new_secret(rand::random())),
    }
}

/// A scheme that is changed has to be one that the live secrets can sign in.
fn check_scheme(stored: &Endpoint, scheme: &SignatureScheme, now: Timestamp) -> Result<(), Problem> {
    if *scheme == stored.terms.signature || stored.secrets.live(now).all(|secret| scheme.takes(secret)) {
        return Ok(());
    }
    let message = "the endpoint's signing secret is of another kind than this scheme's; create another endpoint, or, \
                   from `hmac-sha256` to `standard`, first rotate to a `whsec_` secret and promote it";
    Err(Problem::conflict("/signature", message))
}

/// The version that an endpoint gets: the given one, or the newest; none where the catalogue names none.
fn pinned(book: &Snapshot, given: Option<VersionName>) -> Result<Option<VersionName>, Problem> {
    let versions = book.versions().map(|kept| &kept.value);
    match (given, versions) {
        (None, versions) => Ok(versions.and_then(|versions| versions.newest().cloned())),
        (Some(given), Some(versions)) if versions.contains(&given) => Ok(Some(given)),
        (Some(given), Some(versions)) => Err(Problem::field("/version", versions.unknown(&given))),
        (Some(given), None) => Err(Problem::field("/version", UnknownVersion::of_none(given))),
    }
}

fn check_room(api: &Api, tenant: &Tenant) -> Result<(), Problem> {
    let most = api.config.endpoint.max_per_tenant;
    if api.book.snapshot().of_tenant(tenant).len() < most {
        return Ok(());
    }
    let detail = format!("The tenant has {most} endpoints, which is the limit (`endpoint.max_per_tenant`).");
    Err(Problem::new(Kind::Conflict, detail))
}

/// One that the caller may see.
pub(super) fn entry<'b>(book: &'b Snapshot, caller: &Caller, id: EndpointId) -> Result<&'b Entry, Problem> {
    book.entry(id).filter(|entry| caller.sees(&entry.endpoint.tenant)).ok_or_else(|| not_found(id))
}

fn contended() -> Problem {
    Problem::new(Kind::Conflict, "The endpoint is changed by others all the time; try again.")
}

fn not_found(id: EndpointId) -> Problem {
    Problem::new(Kind::NotFound, format!("There is no endpoint {id}."))
}
