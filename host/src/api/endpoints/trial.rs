//! `/v1/endpoints/{id}/test`: one event to one endpoint, of which nothing is kept.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::entry;
use crate::api::auth::Caller;
use crate::api::deliveries::AttemptView;
use crate::api::problem::{Kind, Problem};
use crate::api::{Api, body, events, json};
use crate::book::Snapshot;
use crate::dispatch::tester::{Refused, Tested};
use crate::endpoint::Endpoint;
use crate::event::EventType;
use crate::id::EndpointId;
use crate::subscription::Pattern;

/// Bytes of a body beside its payload.
const REST: usize = 1 << 10;

/// The type of a test event where neither the request nor the endpoint names one.
const ANY_TYPE: &str = "test";

/// Both may be left out; the payload may be any JSON.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    #[serde(default, rename = "type")]
    event_type: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct TestView {
    /// Always true: what was sent says so too, in the header `webhook-test`.
    test: bool,
    endpoint: String,
    /// Minted for the test; there is no such event to look up.
    event: String,
    #[serde(rename = "type")]
    event_type: String,
    webhook_id: String,
    /// Whether the endpoint would get a posted event of this type.
    subscribed: bool,
    #[serde(flatten)]
    attempt: AttemptView,
}

/// Sends one event through the endpoint's chain, signature and connection, once, whether or not it is enabled, and
/// answers what was sent and what came back. It is counted nowhere.
pub(in crate::api) async fn test(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id: EndpointId = crate::api::id(id)?;
    let book = api.book.snapshot();
    let endpoint = &entry(&book, &caller, id)?.endpoint;
    let (parts, content) = request.into_parts();
    let limit = api.config.ingest.event_limit.0.saturating_add(REST);
    let whole = body::read(&api, &parts.headers, content, |_| limit).await?;
    if !whole.bytes.is_empty() {
        body::require_json(&parts.headers, &[])?;
        events::check_bounds(&api.config.ingest, &whole.bytes)?;
    }
    let (event_type, payload) = wanted(&book, endpoint, &whole.bytes)?;
    let tested = api.tester.test(endpoint, event_type, payload).await.map_err(refused)?;
    json(StatusCode::OK, &TestView::of(endpoint, &tested))
}

fn wanted(book: &Snapshot, endpoint: &Endpoint, body: &[u8]) -> Result<(EventType, Bytes), Problem> {
    let wanted: Wanted<'_> = match body {
        [] => Wanted::default(),
        // A list would be read member by member.
        body if body.trim_ascii_start().starts_with(b"[") => return Err(body::no_object()),
        body => serde_json::from_slice(body).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::field("", error),
            _ => body::not_json(error),
        })?,
    };
    let event_type = match &wanted.event_type {
        Some(text) => EventType::parse(text).map_err(|error| Problem::field("/type", error))?,
        None => type_for(endpoint)?,
    };
    let payload = match wanted.payload {
        Some(payload) => Bytes::copy_from_slice(payload.get().as_bytes()),
        None => sample(book, &event_type),
    };
    Ok((event_type, payload))
}

/// The first type that the endpoint names outright.
fn type_for(endpoint: &Endpoint) -> Result<EventType, Problem> {
    let named = endpoint.subscription.events.iter().find_map(|pattern| match pattern {
        Pattern::Exactly(event_type) => Some(event_type.clone()),
        Pattern::Any | Pattern::Below(_) => None,
    });
    named.map_or_else(|| EventType::parse(ANY_TYPE).map_err(|error| Problem::internal(&error)), Ok)
}

/// What is sent where no payload is given: the type's first sample in the catalogue, if it has one.
fn sample(book: &Snapshot, event_type: &EventType) -> Bytes {
    let made_up = || serde_json::json!({"test": true, "type": event_type.as_str()}).to_string().into();
    book.sample(event_type).cloned().unwrap_or_else(made_up)
}

fn refused(why: Refused) -> Problem {
    let detail = why.to_string();
    match why {
        Refused::Full => Problem::new(Kind::Overloaded, detail),
        Refused::Stopping => Problem::new(Kind::Unavailable, detail),
        Refused::Missing(_) => {
            let more = "Put its file back into the plugins folder, or change the endpoint's chain.";
            Problem::new(Kind::Conflict, format!("{detail} {more}"))
        }
    }
}

/// A `null` is a payload like any other.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl TestView {
    fn of(endpoint: &Endpoint, tested: &Tested) -> Self {
        let Tested { event, webhook_id, attempt } = tested;
        Self {
            test: true,
            endpoint: endpoint.id.to_string(),
            event: event.id.to_string(),
            event_type: event.event_type.to_string(),
            webhook_id: webhook_id.to_string(),
            subscribed: endpoint.subscription.matches(&event.event_type, &event.channels),
            attempt: AttemptView::of(attempt, &event.payload),
        }
    }
}
