//! `/v1/event-types`: the catalogue of what a product sends.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use self::entry::Given;
use super::auth::Caller;
use super::body::{self, require_json};
use super::page::{Page, Query};
use super::problem::{Kind, Problem};
use super::{Api, json};
use crate::book::{Kept, Listed, Snapshot};
use crate::catalogue::EventTypeEntry;
use crate::event::EventType;

mod entry;

/// How often a change is made again that lost to another one.
const TRIES: usize = 8;

/// Bytes of a body beside samples and schema.
const REST: usize = 64 << 10;

/// The event types in the order of their names, without samples and schemas.
pub(super) async fn list(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let group = query.take("group", |text| Ok::<_, String>(text.to_owned()));
    let after = query.take("cursor", EventType::parse);
    let limit = query.limit();
    query.finish()?;
    let book = api.book.snapshot();
    let mut listed = book
        .event_types_after(after.as_ref())
        .filter(|kept| group.as_ref().is_none_or(|group| kept.value.entry.group == *group));
    let found: Vec<&Kept<Listed>> = listed.by_ref().take(limit).collect();
    let more = listed.next().is_some();
    let next = found.last().filter(|_| more).map(|kept| kept.value.entry.name.to_string());
    let items = found.iter().map(|kept| TypeView::of(&kept.value.entry, &book)).collect();
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn show(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let book = api.book.snapshot();
    let listed = found(&book, &super::path(name)?)?;
    answer(StatusCode::OK, &listed.value, &book)
}

/// Creates (201) or replaces (200): what is not said is as in a new one.
pub(super) async fn put(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let name = EventType::parse_posted(&name)
        .map_err(|error| Problem::new(Kind::Invalid, format!("The path: {error}.")))?;
    let members = read(&api, request, &[]).await?;
    for _ in 0..TRIES {
        let book = api.book.snapshot();
        let stored = book.event_type(&name).cloned();
        if stored.is_none() {
            check_room(&api, &book)?;
        }
        let created_at = stored.as_ref().map_or(api.clock.now(), |kept| kept.value.entry.created_at);
        let base = EventTypeEntry::new(name.clone(), created_at);
        let status = if stored.is_none() { StatusCode::CREATED } else { StatusCode::OK };
        if let Some(written) = write(&api, &book, stored, base, members.clone()).await? {
            return answer(status, &written.value, &api.book.snapshot());
        }
    }
    Err(contended(&name))
}

/// A merge patch (RFC 7396), but that `samples` and `schema` are replaced whole.
pub(super) async fn patch(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let members = read(&api, request, &["application/merge-patch+json"]).await?;
    for _ in 0..TRIES {
        let book = api.book.snapshot();
        let stored = found(&book, &name)?.clone();
        let base = stored.value.entry.clone();
        if let Some(written) = write(&api, &book, Some(stored), base, members.clone()).await? {
            return answer(StatusCode::OK, &written.value, &api.book.snapshot());
        }
    }
    Err(contended(&name))
}

/// Events of the type, and endpoints that want them, stay as they are.
pub(super) async fn delete(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    match api.book.delete_document::<Listed>(&name).await? {
        true => Ok(StatusCode::NO_CONTENT.into_response()),
        false => Err(not_found(&name)),
    }
}

async fn read(api: &Api, request: Request, also: &[&str]) -> Result<Map<String, Value>, Problem> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, also)?;
    let settings = &api.config.catalogue;
    let samples = settings.max_sample.0.saturating_mul(settings.max_samples);
    let limit = samples.saturating_add(settings.max_schema.0).saturating_add(REST);
    let whole = body::read(api, &parts.headers, body, |_| limit).await?;
    entry::parse(&whole.bytes)
}

/// Writes what is made of `base` by the given members. `None` where another change came first.
async fn write(
    api: &Arc<Api>,
    book: &Snapshot,
    stored: Option<Kept<Listed>>,
    base: EventTypeEntry,
    mut members: Map<String, Value>,
) -> Result<Option<Kept<Listed>>, Problem> {
    let revision = stored.as_ref().map_or(0, |kept| kept.revision);
    let stored = stored.map(|kept| kept.value);
    let told = stored.as_ref().map(|listed| told(&listed.entry, book)).unwrap_or_default();
    members.retain(|name, value| told.get(name) != Some(value));
    let given = Given { members, base, stored, now: api.clock.now() };
    let config = Arc::clone(&api.config);
    // Away from the threads that serve connections: compiling a schema may take its time.
    let read = tokio::task::spawn_blocking(move || given.read(&config)).await;
    let listed = read.map_err(|error| Problem::internal(&error))??;
    Ok(api.book.put_document(listed, revision).await?)
}

fn check_room(api: &Api, book: &Snapshot) -> Result<(), Problem> {
    let most = api.config.catalogue.max_event_types;
    if book.event_types().len() < most {
        return Ok(());
    }
    let detail =
        format!("The catalogue has {most} event types, which is the limit (`catalogue.max_event_types`).");
    Err(Problem::new(Kind::Conflict, detail))
}

#[derive(Serialize)]
struct TypeView<'a> {
    name: &'a str,
    group: &'a str,
    description: &'a str,
    check: bool,
    deprecated: bool,
    deprecated_since: Option<String>,
    /// Those that gave payloads of this type a new shape, oldest first.
    versions: Vec<&'a str>,
    sample_count: usize,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct TypeInFull<'a> {
    #[serde(flatten)]
    view: TypeView<'a>,
    /// As they were given, to the byte.
    samples: Vec<&'a RawValue>,
    schema: Option<&'a RawValue>,
}

impl<'a> TypeView<'a> {
    fn of(entry: &'a EventTypeEntry, book: &'a Snapshot) -> Self {
        let versions = book.versions().map(|kept| &kept.value);
        let reshaping = versions.into_iter().flat_map(|versions| versions.reshaping(&entry.name));
        Self {
            name: entry.name.as_str(),
            group: &entry.group,
            description: &entry.description,
            check: entry.check,
            deprecated: entry.deprecated_since.is_some(),
            deprecated_since: entry.deprecated_since.map(|since| since.to_string()),
            versions: reshaping.map(|version| version.as_str()).collect(),
            sample_count: entry.samples.len(),
            created_at: entry.created_at.to_string(),
            updated_at: entry.updated_at.to_string(),
        }
    }
}

/// What an answer tells and no client sets.
fn told(entry: &EventTypeEntry, book: &Snapshot) -> Map<String, Value> {
    const SET: [&str; 4] = ["group", "description", "check", "deprecated"];
    match serde_json::to_value(TypeView::of(entry, book)) {
        Ok(Value::Object(mut view)) => {
            view.retain(|name, _| !SET.contains(&name.as_str()));
            view
        }
        _ => Map::new(),
    }
}

fn answer(status: StatusCode, listed: &Listed, book: &Snapshot) -> Result<Response, Problem> {
    let entry = &listed.entry;
    let raw = |text| serde_json::from_slice::<&RawValue>(text).map_err(|error| Problem::internal(&error));
    let view = TypeInFull {
        samples: entry.samples.iter().map(|sample| raw(sample)).collect::<Result<_, _>>()?,
        schema: entry.schema.as_ref().map(|schema| raw(schema)).transpose()?,
        view: TypeView::of(entry, book),
    };
    json(status, &view)
}

fn found<'b>(book: &'b Snapshot, name: &str) -> Result<&'b Kept<Listed>, Problem> {
    let listed = EventType::parse(name).ok().and_then(|name| book.event_type(&name));
    listed.ok_or_else(|| not_found(name))
}

fn not_found(name: &str) -> Problem {
    let shown: String = name.chars().take(EventType::MAX_LENGTH).collect();
    Problem::new(Kind::NotFound, format!("The catalogue names no event type `{shown}`."))
}

fn contended(name: &impl std::fmt::Display) -> Problem {
    let detail = format!("The event type `{name}` is changed by others all the time; try again.");
    Problem::new(Kind::Conflict, detail)
}
