//! `/v1/transform`: a chain on an event, up to the request, which nobody sends.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::deliveries::{BodyView, PluginView, RequestView};
use super::endpoints::{chain, document, entry, patch};
use super::fields::{Fields, whole};
use super::problem::{Kind, Problem};
use super::{Api, body, events, json, terms};
use crate::attempt::Outcome;
use crate::book::Snapshot;
use crate::dispatch::chain::Occasion;
use crate::dispatch::rehearsal::{End, LinkRun, Refused, Rehearsed};
use crate::endpoint::{Endpoint, Hold, Order};
use crate::event::{Channel, Event, EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, WebhookId};
use crate::message::{Message, WEBHOOK_SIGNATURE, WEBHOOK_TIMESTAMP};
use crate::secret::{Secret, SigningSecret};
use crate::subscription::{Pattern, Subscription};
use crate::terms::{InForce, Terms, Transform};
use crate::time::Timestamp;
use crate::trouble::Trouble;

/// Bytes of a body beside its payload and its configurations.
const REST: usize = 16 << 10;
/// Stands for the URL where no endpoint is named; it is not shown.
const NOWHERE: &str = "https://receiver.invalid/";

/// A chain, given or an endpoint's, and an event, given or stored.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    endpoint: Option<String>,
    #[serde(borrow, default)]
    transforms: Option<&'a RawValue>,
    event: Option<String>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    channels: Option<Vec<String>>,
    timestamp: Option<String>,
    attempt: Option<Value>,
    attempted_at: Option<String>,
}

/// What is rehearsed.
struct Scene {
    endpoint: Arc<Endpoint>,
    /// Whether it is one that is stored.
    is_known: bool,
    event: Event,
    webhook_id: WebhookId,
    number: u32,
    started: Timestamp,
}

#[derive(Serialize)]
struct RehearsedView {
    event: String,
    #[serde(rename = "type")]
    event_type: String,
    endpoint: Option<String>,
    webhook_id: String,
    attempt: u32,
    attempted_at: String,
    links: Vec<LinkView>,
    /// What would be sent. Without an endpoint it has no URL and is not signed.
    request: Option<RequestView>,
    /// What it would come to where nothing would be sent.
    outcome: Option<&'static str>,
    kind: Option<String>,
    reason: Option<String>,
    hint: Option<&'static str>,
}

#[derive(Serialize)]
struct LinkView {
    #[serde(flatten)]
    run: PluginView,
    /// Why it dropped or rejected the message, or failed.
    reason: Option<String>,
    /// What there was after it.
    message: MessageView,
}

/// A message as it is shown.
#[derive(Serialize)]
pub(super) struct MessageView {
    method: String,
    path_and_query: Option<String>,
    content_type: String,
    headers: Vec<(String, String)>,
    body: BodyView,
}

/// Runs a chain as an attempt would, and shows the message after each link and the request at the end. Nothing is sent,
/// stored or counted.
pub(super) async fn run(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    let limit = size_limit(&api);
    let whole = body::read(&api, &parts.headers, content, |_| limit).await?;
    body::require_json(&parts.headers, &[])?;
    let scene = scene(&api, &caller, &whole.bytes).await?;
    let rehearsed = api.rehearsal.run(&scene.endpoint, scene.occasion()).await.map_err(refused)?;
    json(StatusCode::OK, &RehearsedView::of(&scene, rehearsed, api.config.plugin.dry_run_body.0))
}

fn size_limit(api: &Api) -> usize {
    let endpoint = &api.config.endpoint;
    let configs = endpoint.max_config.0.saturating_mul(endpoint.max_transforms);
    api.config.ingest.event_limit.0.saturating_add(configs).saturating_add(REST)
}

async fn scene(api: &Api, caller: &Caller, bytes: &[u8]) -> Result<Scene, Problem> {
    let wanted = Wanted::read(bytes)?;
    let now = api.clock.now();
    let started = wanted.attempted_at.as_deref().map(|text| time("/attempted_at", text)).transpose()?;
    let number = wanted.attempt.as_ref().map_or(Ok(1), attempt)?;
    let book = api.book.snapshot();
    let named = wanted.endpoint.as_deref().map(|id| named(&book, caller, id)).transpose()?;
    let transforms = wanted.chain(api, named.as_deref()).await?;
    let stored = match &wanted.event {
        Some(id) => Some(stored(api, caller, &wanted, id).await?),
        None => None,
    };
    let is_known = named.is_some();
    let endpoint = match (named, transforms) {
        (Some(endpoint), None) => endpoint,
        (Some(endpoint), Some(transforms)) => Arc::new(with_chain(&endpoint, transforms)),
        (None, Some(transforms)) => {
            let of_event = stored.as_ref().map(|record| record.event.tenant.clone());
            Arc::new(made_up(api, of_event.or(caller.tenant.clone()).unwrap_or_default(), transforms, now))
        }
        (None, None) => {
            return Err(Problem::field("/endpoint", "name an endpoint, or give a chain in `transforms`"));
        }
    };
    let started = started.unwrap_or(now);
    let (event, webhook_id) = match stored {
        Some(record) if record.event.tenant != endpoint.tenant => {
            return Err(Problem::field("/event", "it is of another tenant than the endpoint"));
        }
        Some(record) => {
            let of_endpoint = record.deliveries.iter().filter(|delivery| delivery.endpoint == endpoint.id);
            let first = of_endpoint.min_by_key(|delivery| delivery.id).map(|delivery| delivery.webhook_id);
            (Event::clone(&record.event), first)
        }
        None => (wanted.event(api, &endpoint, now)?, None),
    };
    let made_up = || DeliveryId::of(EventId::mint(now, rand::random()), 0).webhook_id();
    let webhook_id = webhook_id.unwrap_or_else(made_up);
    Ok(Scene { endpoint, is_known, event, webhook_id, number, started })
}

fn attempt(given: &Value) -> Result<u32, Problem> {
    let number = whole(given).and_then(|number| u32::try_from(number).ok()).filter(|number| *number > 0);
    number.ok_or_else(|| Problem::field("/attempt", format!("it must be a number from 1 to {}", u32::MAX)))
}

async fn stored(
    api: &Api,
    caller: &Caller,
    wanted: &Wanted<'_>,
    id: &str,
) -> Result<crate::store::EventRecord, Problem> {
    if wanted.describes_an_event() {
        let message = "name a stored event, or give one in `type` and `payload`, but not both";
        return Err(Problem::field("/event", message));
    }
    let id: EventId = id.parse().map_err(|error| Problem::field("/event", error))?;
    let found = api.store.event(id).await?.filter(|record| caller.sees(&record.event.tenant));
    found.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no event {id}; it may be past its retention."))
    })
}

fn named(book: &Snapshot, caller: &Caller, id: &str) -> Result<Arc<Endpoint>, Problem> {
    let id: EndpointId = id.parse().map_err(|error| Problem::field("/endpoint", error))?;
    entry(book, caller, id).map(|entry| entry.endpoint.clone())
}

/// The endpoint with another chain; the steps to its version stay.
fn with_chain(endpoint: &Endpoint, transforms: Vec<Transform>) -> Endpoint {
    let mut endpoint = endpoint.clone();
    endpoint.terms.transforms = transforms;
    endpoint
}

/// Where no endpoint is named: one that has nothing but the chain.
fn made_up(api: &Api, tenant: Tenant, transforms: Vec<Transform>, now: Timestamp) -> Endpoint {
    let own = Terms { transforms: Some(transforms), ..Terms::default() };
    Endpoint {
        id: EndpointId::from_u128(0),
        tenant,
        name: String::new(),
        description: String::new(),
        url: Secret::new(NOWHERE),
        subscription: Subscription { events: vec![Pattern::Any], channels: Vec::new() },
        version: None,
        terms: InForce::of(&[&own], api.config.delivery.timeout),
        own,
        secrets: SigningSecret::from_key(rand::random()).into(),
        rate_limit: None,
        concurrency: 1,
        order: Order::Free,
        judged_from: now,
        hold: Hold::default(),
        created_at: now,
        updated_at: now,
    }
}

fn time(pointer: &str, text: &str) -> Result<Timestamp, Problem> {
    Timestamp::parse(text).map_err(|error| Problem::field(pointer, error))
}

impl<'a> Wanted<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, Problem> {
        // A list would be read member by member.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(body::no_object());
        }
        serde_json::from_slice(bytes).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Problem::field("", error),
            _ => body::not_json(error),
        })
    }

    fn describes_an_event(&self) -> bool {
        self.event_type.is_some()
            || self.payload.is_some()
            || self.channels.is_some()
            || self.timestamp.is_some()
    }

    /// The chain that was given, which has to be one that an endpoint could have.
    /// As in a change of the endpoint, what is masked in it stands for what the endpoint's own chain says.
    async fn chain(&self, api: &Api, of: Option<&Endpoint>) -> Result<Option<Vec<Transform>>, Problem> {
        let Some(raw) = self.transforms else { return Ok(None) };
        let given = document::chain(raw)?;
        let own = of.and_then(|endpoint| endpoint.own.transforms.as_deref());
        let links = match own {
            Some(own) => patch::chain(own.iter().map(terms::link).collect(), given),
            None => given,
        };
        let mut errors = Vec::new();
        let map = Map::from_iter([("transforms".to_owned(), links)]);
        let read = terms::transforms(&mut Fields::new(map, "", &mut errors), &api.config);
        let transforms = match read {
            Some(transforms) if errors.is_empty() => transforms,
            _ => return Err(Problem::invalid(errors)),
        };
        chain::check(&api.plugins.snapshot(), &api.plugins, &transforms).await?;
        Ok(Some(transforms))
    }

    fn event(&self, api: &Api, endpoint: &Endpoint, now: Timestamp) -> Result<Event, Problem> {
        let missing = |pointer| Problem::field(pointer, "it is missing; or name a stored event in `event`");
        let event_type = self.event_type.as_deref().ok_or_else(|| missing("/type"))?;
        let payload = self.payload.ok_or_else(|| missing("/payload"))?.get();
        events::check_bounds(&api.config.ingest, payload.as_bytes())?;
        let channels = self.channels.as_deref().unwrap_or_default();
        if channels.len() > api.config.ingest.max_channels {
            let message = format!("it has more than {} items", api.config.ingest.max_channels);
            return Err(Problem::field("/channels", message));
        }
        let channel = |(index, text): (usize, &String)| {
            Channel::parse(text).map_err(|error| Problem::field(format!("/channels/{index}"), error))
        };
        let timestamp = self.timestamp.as_deref().map(|text| time("/timestamp", text)).transpose()?;
        Ok(Event {
            id: EventId::mint(now, rand::random()),
            producer_id: None,
            event_type: EventType::parse(event_type).map_err(|error| Problem::field("/type", error))?,
            tenant: endpoint.tenant.clone(),
            timestamp: timestamp.unwrap_or(now),
            accepted_at: now,
            channels: channels.iter().enumerate().map(channel).collect::<Result<_, _>>()?,
            payload: payload.as_bytes().to_vec().into(),
        })
    }
}

/// A `null` is a payload like any other.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    Deserialize::deserialize(deserializer).map(Some)
}

impl Scene {
    fn occasion(&self) -> Occasion<'_> {
        let Self { event, webhook_id, number, started, .. } = self;
        Occasion { event, webhook_id: *webhook_id, number: *number, started: *started }
    }
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

impl RehearsedView {
    fn of(scene: &Scene, rehearsed: Rehearsed, shown: usize) -> Self {
        let Scene { endpoint, event, is_known, .. } = scene;
        let (request, nothing) = match rehearsed.end {
            End::Request(request) => (Some(RequestView::of(&request, &event.payload)), None),
            End::Nothing(outcome) => (None, Some(outcome)),
        };
        let signed = |request| if *is_known { request } else { unsigned(request) };
        Self {
            event: event.id.to_string(),
            event_type: event.event_type.to_string(),
            endpoint: is_known.then(|| endpoint.id.to_string()),
            webhook_id: scene.webhook_id.to_string(),
            attempt: scene.number,
            attempted_at: scene.started.to_string(),
            links: rehearsed.links.into_iter().map(|link| LinkView::of(link, shown)).collect(),
            request: request.map(signed),
            outcome: nothing.as_ref().map(Outcome::word),
            kind: nothing.as_ref().and_then(|outcome| outcome.kind().map(str::to_owned)),
            reason: nothing.as_ref().and_then(Outcome::reason),
            hint: nothing.as_ref().and_then(Trouble::of).map(Trouble::hint),
        }
    }
}

/// Without what an endpoint alone decides.
fn unsigned(mut request: RequestView) -> RequestView {
    request.headers.retain(|(name, _)| name != WEBHOOK_SIGNATURE && name != WEBHOOK_TIMESTAMP);
    request.url = None;
    request
}

impl LinkView {
    fn of(link: LinkRun, shown: usize) -> Self {
        Self {
            run: PluginView::of(&link.run),
            reason: link.why,
            message: MessageView::of(link.message, shown),
        }
    }
}

impl MessageView {
    fn of(message: Message, shown: usize) -> Self {
        let body = BodyView::cut(&message.body, shown);
        Self::with_body(message, body)
    }

    /// Of its body, which had so many bytes, the message holds the first ones.
    pub fn of_part(message: Message, body_length: usize) -> Self {
        let body = BodyView::part(&message.body, body_length);
        Self::with_body(message, body)
    }

    fn with_body(message: Message, body: BodyView) -> Self {
        Self {
            body,
            method: message.method.unwrap_or_else(|| "POST".to_owned()),
            path_and_query: message.path_and_query,
            content_type: message.content_type,
            headers: message.headers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_may_be_null_and_a_list_is_no_request() {
        let wanted = Wanted::read(br#" {"type":"a","payload":null,"event":null}"#).unwrap();
        assert_eq!(wanted.payload.map(RawValue::get), Some("null"));
        assert!(wanted.event.is_none() && wanted.describes_an_event());
        for bad in [&b"[1]"[..], b"", b"{\"typ\":\"a\"}"] {
            assert!(Wanted::read(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_number_of_an_attempt_is_whole() {
        for (given, number) in [("1", 1), ("33.0", 33), ("4294967295", u32::MAX)] {
            assert_eq!(attempt(&given.parse().unwrap()).unwrap(), number, "{given}");
        }
        for bad in ["0", "-1", "1.5", "4294967296", "\"1\"", "true"] {
            let problem = attempt(&bad.parse().unwrap()).unwrap_err();
            assert_eq!(problem.errors[0].pointer, "/attempt", "{bad}");
        }
    }
}
