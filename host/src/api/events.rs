//! `/v1/events`: posting them, and looking at them.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;

use self::batch::Verdict;
use self::cloudevents::Attributes;
use self::gate::Gate;
use super::auth::Caller;
use super::body::{self, media_type, require_json};
use super::deliveries::DeliveryView;
use super::page::{self, Page, Query};
use super::problem::{FieldError, Kind, Problem};
use super::{Api, json, quota};
use crate::config::Ingest as Limits;
use crate::event::{Channel, Event, EventType, NewEvent, ProducerId, Tenant};
use crate::id::EventId;
use crate::ingest::Accepted;
use crate::store::EventFilter;
use crate::time::Timestamp;

mod batch;
mod cloudevents;
mod gate;
mod posted;

pub(super) use cloudevents::{BATCH as CLOUD_EVENTS, ONE as CLOUD_EVENT};
pub(super) use gate::payload_error;
pub(super) use posted::check_bounds;

pub(super) const NDJSON: &str = "application/x-ndjson";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Deliveries that are part of an event's own answer.
const DELIVERIES_SHOWN: usize = 100;

/// Bodies above this size are parsed away from the threads that serve connections.
const LARGE: usize = 256 << 10;

/// How a request says its events.
enum Form {
    /// One event, or an array of them.
    Own,
    Lines,
    CloudEvent,
    CloudEvents,
    /// The body is a CloudEvent's data.
    Data(Attributes),
}

/// What was posted, parsed.
enum Posted {
    One(Box<NewEvent>),
    /// For each item its event, or what is wrong with it.
    Many(Vec<Result<NewEvent, Problem>>),
}

/// One event is answered with 202, or with a problem. A batch is answered with 202 where all of it was taken on,
/// and with 207 where some of it was not: each item has its own `status`.
pub(super) async fn post(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let form = Form::of(&parts.headers)?;
    let key = idempotency_key(&parts.headers)?;
    let limits = &api.config.ingest;
    let whole = body::read(&api, &parts.headers, body, |start| form.size_limit(limits, start)).await?;
    match parse(&api, whole.bytes.clone(), form, parts.headers, key).await? {
        Posted::One(event) => post_one(&api, admitted(&api, &caller, *event).await?).await,
        Posted::Many(items) => {
            let mut admitted_items = Vec::with_capacity(items.len());
            for item in items {
                admitted_items.push(match item {
                    Ok(event) => admitted(&api, &caller, event).await,
                    refused => refused,
                });
            }
            post_many(&api, admitted_items).await
        }
    }
}

/// The event, where the caller may post it and its tenant's quota allows it.
async fn admitted(api: &Api, caller: &Caller, mut event: NewEvent) -> Result<NewEvent, Problem> {
    let tenant = caller.owner(event.tenant)?;
    quota::admit(api, &tenant).await?;
    event.tenant = Some(tenant);
    Ok(event)
}

async fn post_one(api: &Api, event: NewEvent) -> Result<Response, Problem> {
    let warning = Gate::of(api).warning(&event.event_type);
    let accepted = api.ingest.accept(vec![event]).await?;
    match accepted.first() {
        Some(Accepted::Event { id, deliveries, duplicate }) => json(
            StatusCode::ACCEPTED,
            &Taken { id: id.to_string(), deliveries: *deliveries, duplicate: *duplicate, warning },
        ),
        Some(Accepted::Conflict { event }) => Err(conflict(*event)),
        None => Err(Problem::internal(&"ingest answered nothing")),
    }
}

async fn post_many(api: &Api, items: Vec<Result<NewEvent, Problem>>) -> Result<Response, Problem> {
    let gate = Gate::of(api);
    let mut warnings = Vec::with_capacity(items.len());
    let mut verdicts = Vec::with_capacity(items.len());
    let mut events = Vec::with_capacity(items.len());
    for item in items {
        verdicts.push(match item {
            Ok(event) => {
                warnings.push(gate.warning(&event.event_type));
                events.push(event);
                None
            }
            Err(problem) => Some(Verdict::Problem(problem)),
        });
    }
    let accepted = match events.is_empty() {
        true => Vec::new(),
        false => api.ingest.accept(events).await?,
    };
    let mut accepted = accepted.into_iter().zip(warnings);
    let mut taken = || accepted.next().map(|(accepted, warning)| Verdict::of(accepted, warning));
    let verdicts: Option<Vec<Verdict>> =
        verdicts.into_iter().map(|refused| refused.or_else(&mut taken)).collect();
    let verdicts = verdicts.ok_or_else(|| Problem::internal(&"ingest answered too few items"))?;
    batch::answer(&verdicts)
}

#[derive(Serialize)]
struct Taken {
    id: String,
    deliveries: u32,
    duplicate: bool,
    /// It was taken on, and something should be changed all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    warning: Option<String>,
}

fn conflict(event: EventId) -> Problem {
    let detail = format!(
        "Another event was posted under this id or Idempotency-Key: {event}. Post the same content, or choose \
         another id."
    );
    Problem::new(Kind::Conflict, detail)
}

impl Form {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        match media_type(headers).as_deref() {
            Some(cloudevents::ONE) => Ok(Form::CloudEvent),
            Some(cloudevents::BATCH) => Ok(Form::CloudEvents),
            Some(other) if other.starts_with("application/cloudevents") => {
                let detail = format!(
                    "CloudEvents in the format `{other}` are not understood; send `{}`, `{}`, or the binary mode.",
                    cloudevents::ONE,
                    cloudevents::BATCH
                );
                Err(Problem::new(Kind::UnsupportedMediaType, detail))
            }
            _ if cloudevents::is_binary(headers) => Attributes::of_headers(headers).map(Form::Data),
            Some(NDJSON) => Ok(Form::Lines),
            _ => require_json(headers, &[]).map(|()| Form::Own),
        }
    }

    /// A batch in the host's own form shows itself by its content type or its first character.
    fn size_limit(&self, limits: &Limits, start: &[u8]) -> usize {
        let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
        match (self, first) {
            (Form::Lines | Form::CloudEvents, _) | (Form::Own, Some(b'[') | None) => limits.batch_limit.0,
            (Form::Own | Form::CloudEvent | Form::Data(_), _) => limits.event_limit.0,
        }
    }

    /// Pointer to an event's payload.
    fn place(&self) -> &'static str {
        match self {
            Form::Own | Form::Lines => "/payload",
            Form::CloudEvent | Form::CloudEvents => "/data",
            Form::Data(_) => "",
        }
    }

    fn is_batch(&self, bytes: &[u8]) -> bool {
        match self {
            Form::Own => is_array(bytes),
            Form::Lines | Form::CloudEvents => true,
            Form::CloudEvent | Form::Data(_) => false,
        }
    }
}

fn is_array(bytes: &[u8]) -> bool {
    bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[')
}

async fn parse(
    api: &Arc<Api>,
    bytes: Bytes,
    form: Form,
    headers: HeaderMap,
    key: Option<ProducerId>,
) -> Result<Posted, Problem> {
    let gate = Gate::of(api);
    if bytes.len() <= LARGE {
        return parse_now(&api.config.ingest, &bytes, &form, &headers, key)
            .and_then(|posted| gate.admit(posted, form.place()));
    }
    let api = Arc::clone(api);
    tokio::task::spawn_blocking(move || {
        parse_now(&api.config.ingest, &bytes, &form, &headers, key)
            .and_then(|posted| gate.admit(posted, form.place()))
    })
    .await
    .map_err(|error| Problem::internal(&error))?
}

fn parse_now(
    limits: &Limits,
    bytes: &Bytes,
    form: &Form,
    headers: &HeaderMap,
    key: Option<ProducerId>,
) -> Result<Posted, Problem> {
    if form.is_batch(bytes) {
        return parse_batch(limits, bytes, form, key.as_ref()).map(Posted::Many);
    }
    let event = match form {
        Form::Own | Form::Lines => posted::parse(limits, bytes, bytes, key)?,
        Form::CloudEvent | Form::CloudEvents | Form::Data(_) if key.is_some() => {
            let detail =
                "A CloudEvent is known by its `source` and `id`; leave the header Idempotency-Key out.";
            return Err(Problem::malformed(detail));
        }
        Form::CloudEvent | Form::CloudEvents => cloudevents::of_json(limits, bytes, bytes)?,
        Form::Data(attributes) => cloudevents::of_binary(limits, attributes, headers, bytes)?,
    };
    Ok(Posted::One(Box::new(event)))
}

fn parse_batch(
    limits: &Limits,
    bytes: &Bytes,
    form: &Form,
    key: Option<&ProducerId>,
) -> Result<Vec<Result<NewEvent, Problem>>, Problem> {
    if key.is_some() {
        let detail = "Idempotency-Key stands for one event; in a batch give each item an `id`.";
        return Err(Problem::malformed(detail));
    }
    let items = match form {
        Form::Lines => batch::lines(bytes, limits.batch_items)?,
        Form::CloudEvents if !is_array(bytes) => {
            return Err(Problem::field("", "the batch must be a JSON array"));
        }
        // CloudEvents allows for a batch without events.
        Form::CloudEvents => batch::items(bytes, limits.batch_items)?,
        Form::Own | Form::CloudEvent | Form::Data(_) => {
            batch::not_empty(batch::items(bytes, limits.batch_items)?)?
        }
    };
    let parse = |item| match form {
        Form::CloudEvents => cloudevents::of_json(limits, bytes, item),
        _ => posted::parse(limits, bytes, item, None),
    };
    Ok(items.into_iter().map(parse).collect())
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<ProducerId>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::malformed("There is more than one Idempotency-Key."));
    }
    let text = value.to_str().map_err(|_| Problem::malformed("The Idempotency-Key is not ASCII text."))?;
    ProducerId::parse(text)
        .map(Some)
        .map_err(|error| Problem::malformed(format!("The header Idempotency-Key: {error}.")))
}

#[derive(Serialize)]
struct EventView<'a> {
    id: String,
    #[serde(rename = "type")]
    event_type: &'a str,
    tenant: &'a str,
    producer_id: Option<&'a str>,
    timestamp: String,
    accepted_at: String,
    channels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Cow<'a, RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deliveries: Option<Vec<DeliveryView>>,
    /// Where all deliveries are listed, if these are not all.
    #[serde(skip_serializing_if = "Option::is_none")]
    more: Option<String>,
}

impl<'a> EventView<'a> {
    fn of(event: &'a Event) -> Self {
        Self {
            id: event.id.to_string(),
            event_type: event.event_type.as_str(),
            tenant: event.tenant.as_str(),
            producer_id: event.producer_id.as_ref().map(ProducerId::as_str),
            timestamp: event.timestamp.to_string(),
            accepted_at: event.accepted_at.to_string(),
            channels: event.channels.iter().map(|channel| channel.as_str()).collect(),
            payload: None,
            deliveries: None,
            more: None,
        }
    }
}

pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let mut filter = EventFilter {
        tenant: query.take("tenant", Tenant::parse),
        event_type: query.take("type", EventType::parse),
        channel: query.take("channel", Channel::parse),
        since: query.take("since", Timestamp::parse),
        until: query.take("until", Timestamp::parse),
    };
    let request = query.page();
    query.finish()?;
    filter.tenant = caller.narrow(filter.tenant)?;
    let page = api.store.events(filter, request).await?;
    let items = page.items.iter().map(|event| EventView::of(event)).collect();
    json(StatusCode::OK, &Page { items, next: page.next.map(page::encode) })
}

/// The event with its payload, as it was posted, and its first deliveries.
pub(super) async fn show(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id: EventId = super::id(id)?;
    let found = api.store.event(id).await?.filter(|record| caller.sees(&record.event.tenant));
    let record = found.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no event {id}; it may be past its retention."))
    })?;
    let payload: &RawValue =
        serde_json::from_slice(&record.event.payload).map_err(|error| Problem::internal(&error))?;
    let book = api.book.snapshot();
    let shown = record.deliveries.iter().take(DELIVERIES_SHOWN);
    let more = record.deliveries.len() > DELIVERIES_SHOWN;
    let view = EventView {
        payload: Some(Cow::Borrowed(payload)),
        deliveries: Some(shown.map(|delivery| DeliveryView::of(delivery, &book, &api.plugins)).collect()),
        more: more.then(|| format!("/v1/deliveries?event={id}")),
        ..EventView::of(&record.event)
    };
    json(StatusCode::OK, &view)
}

/// An error at a field of an event.
fn field(pointer: &str, message: impl std::fmt::Display) -> FieldError {
    FieldError::new(pointer, message)
}
