//! `/api/webhooks-config`: the endpoints in the words of RKT's own interface, for clients that speak those.
//!
//! `chatbotId` is a channel. Errors are problems as everywhere, with the sentence in `error` too.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::request::Parts;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value, json as value};
use url::Url;

use super::auth::Caller;
use super::body::{self, require_json};
use super::endpoints::{self, masked_url};
use super::page::{Page, Query};
use super::problem::{FieldError, Kind, Problem};
use super::{Api, json};
use crate::endpoint::Endpoint;
use crate::event::{Channel, Tenant};
use crate::id::EndpointId;
use crate::secret::{SecretForm, SigningSecret};

pub(super) const PATH: &str = "/api/webhooks-config";

/// Characters of a name that is made from a URL.
const MAX_NAME: usize = 200;

/// The members of a request, and what they are called elsewhere.
const NAMES: [(&str, &str); 5] = [
    ("url", "url"),
    ("events", "events"),
    ("chatbotId", "channels"),
    ("active", "enabled"),
    ("tenant", "tenant"),
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HookView<'a> {
    id: String,
    /// Path and query are masked: they are often the credential.
    url: String,
    events: Vec<String>,
    chatbot_id: Option<&'a str>,
    active: bool,
    created_at: String,
    updated_at: String,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

impl<'a> HookView<'a> {
    fn of(endpoint: &'a Endpoint) -> Self {
        Self {
            id: endpoint.id.to_string(),
            url: masked_url(endpoint.url.expose()),
            events: endpoint.subscription.events.iter().map(ToString::to_string).collect(),
            chatbot_id: endpoint.subscription.channels.first().map(Channel::as_str),
            active: endpoint.enabled(),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            secret: None,
        }
    }

    /// Shows a secret that the receiver has to have. A private key is nobody's but the host's.
    fn with_secret(self, secret: &'a SigningSecret) -> Self {
        let shared = secret.form() != SecretForm::Asymmetric;
        Self { secret: shared.then_some(secret.text().expose()), ..self }
    }
}

pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let channel = query.take("chatbotId", Channel::parse);
    let after = query.take("cursor", str::parse::<EndpointId>);
    let limit = query.limit();
    query.finish().map_err(Problem::in_a_word)?;
    let tenant = caller.narrow(tenant).map_err(Problem::in_a_word)?;
    let book = api.book.snapshot();
    let mut endpoints = book
        .entries()
        .map(|entry| &entry.endpoint)
        .filter(|endpoint| after.is_none_or(|after| endpoint.id > after))
        .filter(|endpoint| tenant.as_ref().is_none_or(|tenant| endpoint.tenant == *tenant))
        .filter(|endpoint| {
            channel.as_ref().is_none_or(|wanted| endpoint.subscription.channels.contains(wanted))
        });
    let found: Vec<&Arc<Endpoint>> = endpoints.by_ref().take(limit).collect();
    let more = endpoints.next().is_some();
    let next = found.last().filter(|_| more).map(|endpoint| endpoint.id.to_string());
    let items = found.into_iter().map(|endpoint| HookView::of(endpoint)).collect();
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn create(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    made(&api, &caller, request).await.map_err(translated)
}

/// `{id, active}` turns it off and on; `url`, `events` and `chatbotId` can be changed too.
pub(super) async fn patch(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    changed(&api, &caller, request).await.map_err(translated)
}

pub(super) async fn delete(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    removed(&api, &caller, request).await.map_err(translated)
}

async fn made(api: &Api, caller: &Caller, request: Request) -> Result<Response, Problem> {
    let (parts, mut map) = read(api, request).await?;
    Query::of(&parts.uri).finish()?;
    let host = map.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url).ok());
    let name = host.as_ref().and_then(Url::host_str).unwrap_or("webhook");
    let name: String = name.chars().take(MAX_NAME).collect();
    map = members(map)?;
    map.insert("name".to_owned(), name.into());
    let (endpoint, secret) = endpoints::make(api, caller, map).await?;
    json(StatusCode::CREATED, &HookView::of(&endpoint).with_secret(&secret))
}

async fn changed(api: &Api, caller: &Caller, request: Request) -> Result<Response, Problem> {
    let (parts, mut map) = read(api, request).await?;
    let id = id(&parts.uri, &mut map)?;
    let change = members(map)?;
    if change.is_empty() {
        return Err(Problem::field("/active", "say what is to be other than it is, such as `active`"));
    }
    let endpoint = endpoints::change(api, caller, id, change).await?;
    json(StatusCode::OK, &HookView::of(&endpoint))
}

async fn removed(api: &Api, caller: &Caller, request: Request) -> Result<Response, Problem> {
    let (parts, mut map) = read(api, request).await?;
    let id = id(&parts.uri, &mut map)?;
    if let Some(name) = map.keys().next() {
        return Err(Problem::field(format!("/{}", super::fields::escape(name)), "only `id` is taken here"));
    }
    endpoints::remove(api, caller, id).await?;
    json(StatusCode::OK, &value!({"id": id.to_string(), "success": true}))
}

/// The members of the body; none where there is no body.
async fn read(api: &Api, request: Request) -> Result<(Parts, Map<String, Value>), Problem> {
    let (parts, content) = request.into_parts();
    let whole = body::read(api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    if whole.bytes.is_empty() {
        return Ok((parts, Map::new()));
    }
    require_json(&parts.headers, &[])?;
    let map = body::parse_object(&whole.bytes)?;
    Ok((parts, map))
}

/// From the body or the query.
fn id(uri: &Uri, map: &mut Map<String, Value>) -> Result<EndpointId, Problem> {
    let mut query = Query::of(uri);
    let asked = query.take("id", |text| Ok::<_, String>(text.to_owned()));
    query.finish()?;
    let given = match map.remove("id").filter(|id| !id.is_null()) {
        None => asked.clone(),
        Some(Value::String(id)) => Some(id),
        Some(_) => return Err(Problem::field("/id", "it must be a string")),
    };
    if asked.is_some() && asked != given {
        return Err(Problem::malformed("The `id` in the body and the one in the query differ."));
    }
    let text = given.ok_or_else(|| Problem::field("/id", "it is missing"))?;
    text.parse().map_err(|error| Problem::new(Kind::NotFound, format!("{error}.")))
}

/// The same in the words of `/v1/endpoints`.
fn members(map: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let mut members = Map::new();
    for (name, value) in map {
        let known = NAMES.iter().find(|(theirs, _)| *theirs == name);
        let Some((theirs, ours)) = known else {
            let names = NAMES.map(|(theirs, _)| theirs).join("`, `");
            let message = format!("there is no such field; there are `{names}`");
            return Err(Problem::field(format!("/{}", super::fields::escape(&name)), message));
        };
        let value = match *theirs {
            "chatbotId" if !value.is_null() => Value::Array(vec![value]),
            _ => value,
        };
        members.insert((*ours).to_owned(), value);
    }
    Ok(members)
}

/// A problem in the words that its request was in.
fn translated(mut problem: Problem) -> Problem {
    let theirs = |error: &mut FieldError| {
        if error.pointer.starts_with("/channels") {
            error.pointer = "/chatbotId".to_owned();
        } else if error.pointer == "/enabled" {
            error.pointer = "/active".to_owned();
        }
    };
    problem.errors.iter_mut().for_each(theirs);
    let mut renewed = match problem.errors.is_empty() {
        true => problem,
        false => Problem { kind: problem.kind, ..Problem::invalid(problem.errors) },
    };
    renewed.in_a_word = true;
    renewed
}
