//! `/v1/deliveries`: looking at them, and steering one.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

pub(super) use self::attempts::{AttemptView, BodyView, PluginView, RequestView};
use super::auth::Caller;
use super::body;
use super::endpoints::missing_plugin;
use super::fields::Fields;
use super::page::{self, Page, Query};
use super::problem::{Kind, Problem};
use super::{Api, json};
use crate::book::Snapshot;
use crate::delivery::{Delivery, State as DeliveryState};
use crate::event::{EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, WebhookId};
use crate::plugin::Catalog;
use crate::store::{DeliveryFilter, DeliveryRecord, Replay, Steer};
use crate::time::Timestamp;

mod attempts;

#[derive(Debug, Serialize)]
pub(super) struct DeliveryView {
    id: String,
    event: String,
    endpoint: String,
    tenant: String,
    #[serde(rename = "type")]
    event_type: String,
    webhook_id: String,
    state: &'static str,
    /// Pending, and it waits for a person: its endpoint is disabled, or a plugin of its chain is missing.
    held: bool,
    /// Why it is not delivered (yet).
    reason: Option<String>,
    attempts: u32,
    created_at: String,
    due_at: Option<String>,
    finished_at: Option<String>,
    /// When it arrived.
    delivered_at: Option<String>,
    replay_of: Option<String>,
}

impl DeliveryView {
    pub fn of(delivery: &Delivery, book: &Snapshot, plugins: &Catalog) -> Self {
        let held = held_because(delivery, book, plugins);
        Self {
            id: delivery.id.to_string(),
            event: delivery.id.event().to_string(),
            endpoint: delivery.endpoint.to_string(),
            tenant: delivery.tenant.to_string(),
            event_type: delivery.event_type.to_string(),
            webhook_id: delivery.webhook_id.to_string(),
            state: delivery.state.word(),
            held: held.is_some(),
            reason: held.or_else(|| delivery.reason.clone()),
            attempts: delivery.attempts,
            created_at: delivery.created_at.to_string(),
            due_at: delivery.due.map(|time| time.to_string()),
            finished_at: delivery.finished_at.map(|time| time.to_string()),
            delivered_at: delivered_at(delivery).map(|time| time.to_string()),
            replay_of: delivery.replay_of.map(|id| id.to_string()),
        }
    }
}

#[derive(Serialize)]
struct DeliveryWithAttempts {
    #[serde(flatten)]
    delivery: DeliveryView,
    /// The latest ones, oldest first.
    attempt_log: Vec<AttemptView>,
}

fn delivered_at(delivery: &Delivery) -> Option<Timestamp> {
    delivery.finished_at.filter(|_| delivery.state == DeliveryState::Delivered)
}

fn held_because(delivery: &Delivery, book: &Snapshot, plugins: &Catalog) -> Option<String> {
    if delivery.state.is_final() {
        return None;
    }
    let endpoint = &book.entry(delivery.endpoint)?.endpoint;
    if let Some(reason) = book.held_because(endpoint) {
        return Some(reason);
    }
    if endpoint.terms.version_lost {
        let version = endpoint.version.as_ref().map_or("", |version| version.as_str());
        return Some(format!(
            "Its endpoint is pinned to the version `{version}`, which /v1/versions does not name: name it again, or \
             pin the endpoint to another one."
        ));
    }
    let plugin = missing_plugin(plugins, endpoint.terms.links())?;
    Some(format!(
        "Its endpoint's chain names the plugin `{plugin}`, which is missing: put its file back \
         into the plugins folder, or change the chain."
    ))
}

pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let mut filter = DeliveryFilter {
        tenant: query.take("tenant", Tenant::parse),
        endpoint: query.take("endpoint", str::parse::<EndpointId>),
        event: query.take("event", str::parse::<EventId>),
        state: query.take("state", parse_state),
        event_type: query.take("type", EventType::parse),
        since: query.take("since", Timestamp::parse),
        until: query.take("until", Timestamp::parse),
        webhook_id: query.take("webhook_id", str::parse::<WebhookId>),
    };
    let request = query.page();
    query.finish()?;
    filter.tenant = caller.narrow(filter.tenant)?;
    let book = api.book.snapshot();
    let page = api.store.deliveries(filter, request).await?;
    let items = page.items.iter().map(|delivery| DeliveryView::of(delivery, &book, &api.plugins)).collect();
    json(StatusCode::OK, &Page { items, next: page.next.map(page::encode) })
}

pub(super) fn parse_state(word: &str) -> Result<DeliveryState, String> {
    DeliveryState::parse(word).ok_or_else(|| {
        let words = DeliveryState::ALL.map(DeliveryState::word).join("`, `");
        format!("there is no such state; there are `{words}`")
    })
}

/// The delivery with its attempts.
pub(super) async fn show(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: DeliveryId = super::id(id)?;
    let record = record(&api, &caller, id).await?;
    let payload = &record.event.payload;
    let view = DeliveryWithAttempts {
        delivery: DeliveryView::of(&record.delivery, &api.book.snapshot(), &api.plugins),
        attempt_log: record.attempts.iter().map(|attempt| AttemptView::of(attempt, payload)).collect(),
    };
    json(StatusCode::OK, &view)
}

/// A pending delivery becomes due now (200). A finished one is replayed: a new delivery (201), with the same
/// `webhook-id` unless `new_id` asks for another.
pub(super) async fn retry(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id: DeliveryId = super::id(id)?;
    let new_id = wants_new_id(&api, request).await?;
    check_sight(&api, &caller, id).await?;
    let now = api.clock.now();
    let (status, delivery) = match api.store.retry_now(id, now).await? {
        Steer::Done(_) if new_id => {
            let detail = "The delivery is pending; `new_id` is for replaying a finished one.";
            return Err(Problem::new(Kind::Conflict, detail));
        }
        Steer::Done(delivery) => (StatusCode::OK, delivery),
        Steer::NotFound => return Err(not_found(id)),
        Steer::Final(_) => replay(&api, id, new_id, now).await?,
    };
    api.live.tell(&delivery);
    api.intake.expect(api.clock.now());
    json(status, &DeliveryView::of(&delivery, &api.book.snapshot(), &api.plugins))
}

async fn replay(
    api: &Api,
    id: DeliveryId,
    new_id: bool,
    now: Timestamp,
) -> Result<(StatusCode, Delivery), Problem> {
    match api.store.replay(id, new_id, now).await? {
        Replay::Done(delivery) => Ok((StatusCode::CREATED, delivery)),
        Replay::Pending(delivery) => Ok((StatusCode::OK, delivery)),
        Replay::NoEndpoint => {
            Err(Problem::new(Kind::Conflict, "The delivery's endpoint was deleted; post the event anew."))
        }
        Replay::Full => {
            let detail = "The event has as many deliveries as it can have; post it anew.";
            Err(Problem::new(Kind::Conflict, detail))
        }
        Replay::NotFound => Err(not_found(id)),
    }
}

async fn wants_new_id(api: &Api, request: Request) -> Result<bool, Problem> {
    let (parts, content) = request.into_parts();
    let whole = body::read(api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    if whole.bytes.is_empty() {
        return Ok(false);
    }
    body::require_json(&parts.headers, &[])?;
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(&whole.bytes)?, "", &mut errors);
    let new_id = fields.boolean("new_id").unwrap_or(false);
    fields.finish(&["new_id"]);
    match errors.is_empty() {
        true => Ok(new_id),
        false => Err(Problem::invalid(errors)),
    }
}

pub(super) async fn cancel(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: DeliveryId = super::id(id)?;
    check_sight(&api, &caller, id).await?;
    let reason = "It was cancelled by request.".to_owned();
    match api.store.cancel(id, reason, api.clock.now()).await? {
        Steer::Done(delivery) => {
            api.intake.revoke(id);
            api.live.tell(&delivery);
            json(StatusCode::OK, &DeliveryView::of(&delivery, &api.book.snapshot(), &api.plugins))
        }
        Steer::Final(delivery) => {
            let detail = format!("The delivery is {} already.", delivery.state.word());
            Err(Problem::new(Kind::Conflict, detail))
        }
        Steer::NotFound => Err(not_found(id)),
    }
}

/// One that the caller may see.
async fn record(api: &Api, caller: &Caller, id: DeliveryId) -> Result<DeliveryRecord, Problem> {
    let found = api.store.delivery(id).await?;
    found.filter(|record| caller.sees(&record.delivery.tenant)).ok_or_else(|| not_found(id))
}

/// That the caller may see the delivery, or that there is none of which it should not know.
async fn check_sight(api: &Api, caller: &Caller, id: DeliveryId) -> Result<(), Problem> {
    match caller.tenant {
        Some(_) => record(api, caller, id).await.map(drop),
        None => Ok(()),
    }
}

fn not_found(id: DeliveryId) -> Problem {
    Problem::new(Kind::NotFound, format!("There is no delivery {id}; it may be past its retention."))
}
