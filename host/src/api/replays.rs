//! `/v1/replays`: delivering again in the background what a filter finds; and all of one event at once.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use futures_util::StreamExt as _;
use futures_util::stream;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::auth::Caller;
use super::body;
use super::deliveries::{DeliveryView, parse_state};
use super::endpoints;
use super::fields::Fields;
use super::page::{Page, Query};
use super::problem::{Kind, Problem};
use super::{Api, json};
use crate::delivery::{Delivery, State as DeliveryState};
use crate::event::{EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::jobs::{Job, JobEnd, JobState, Progress, Selection, Skip};
use crate::store::{EventRecord, Replay};
use crate::time::Timestamp;

/// Most deliveries that one request makes of an event; more are for a job.
const MOST_OF_EVENT: usize = 1_000;
/// How many of them are on their way to the store at once.
const AT_ONCE: usize = 100;

const MEMBERS: [&str; 9] =
    ["endpoint", "state", "type", "since", "until", "tenant", "missing", "with", "new_id"];

#[derive(Debug, Serialize)]
struct JobView {
    id: String,
    state: &'static str,
    created_at: String,
    finished_at: Option<String>,
    /// Why it was cancelled, or has failed.
    reason: Option<String>,
    selection: SelectionView,
    new_id: bool,
    progress: ProgressView,
}

#[derive(Debug, Serialize)]
struct SelectionView {
    tenant: Option<String>,
    endpoint: Option<String>,
    state: Option<&'static str>,
    #[serde(rename = "type")]
    event_type: Option<String>,
    since: Option<String>,
    until: Option<String>,
    missing: bool,
}

#[derive(Debug, Serialize)]
struct ProgressView {
    /// Deliveries; events where `missing` is asked for. `made` and `skipped` add up to it.
    looked_at: u64,
    made: u64,
    /// By the reason.
    skipped: BTreeMap<&'static str, u64>,
}

impl JobView {
    fn of(job: &Job) -> Self {
        let Progress { looked_at, made, skipped, .. } = &job.progress;
        Self {
            id: job.id.to_string(),
            state: job.state.word(),
            created_at: job.created_at.to_string(),
            finished_at: job.finished_at.map(|at| at.to_string()),
            reason: job.reason.clone(),
            selection: SelectionView::of(&job.selection),
            new_id: job.new_id,
            progress: ProgressView {
                looked_at: *looked_at,
                made: *made,
                skipped: skipped.iter().map(|(why, count)| (why.word(), *count)).collect(),
            },
        }
    }
}

impl SelectionView {
    fn of(selection: &Selection) -> Self {
        Self {
            tenant: selection.tenant.as_ref().map(ToString::to_string),
            endpoint: selection.endpoint.map(|id| id.to_string()),
            state: selection.state.map(DeliveryState::word),
            event_type: selection.event_type.as_ref().map(ToString::to_string),
            since: selection.since.map(|at| at.to_string()),
            until: selection.until.map(|at| at.to_string()),
            missing: selection.missing,
        }
    }
}

/// A job that delivers again what fits, newest first: 202 with the job.
pub(super) async fn create(
    caller: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    body::require_json(&parts.headers, &[])?;
    let whole = body::read(&api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    let (mut selection, new_id) = read(&whole.bytes)?;
    selection.tenant = caller.narrow(selection.tenant)?;
    if let Some(endpoint) = selection.endpoint {
        let book = api.book.snapshot();
        let entry = endpoints::entry(&book, &caller, endpoint)
            .map_err(|problem| Problem::field("/endpoint", problem.detail))?;
        if selection.tenant.as_ref().is_some_and(|tenant| *tenant != entry.endpoint.tenant) {
            return Err(Problem::field("/endpoint", "it belongs to another tenant than `tenant`"));
        }
        selection.tenant = Some(entry.endpoint.tenant.clone());
    }
    check_room(&api).await?;
    let now = api.clock.now();
    let job = Job {
        id: JobId::mint(now, rand::random()),
        created_at: now,
        selection,
        new_id,
        state: JobState::Running,
        finished_at: None,
        reason: None,
        progress: Progress::default(),
    };
    api.store.create_job(job.clone()).await?;
    api.replay_news.notify_one();
    json(StatusCode::ACCEPTED, &JobView::of(&job))
}

fn read(bytes: &[u8]) -> Result<(Selection, bool), Problem> {
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(bytes)?, "", &mut errors);
    let selection = Selection {
        tenant: fields.parsed("tenant", Tenant::parse),
        endpoint: fields.parsed("endpoint", str::parse::<EndpointId>),
        state: fields.parsed("state", finished_state),
        event_type: fields.parsed("type", EventType::parse),
        since: fields.parsed("since", Timestamp::parse),
        until: fields.parsed("until", Timestamp::parse),
        missing: fields.boolean("missing").unwrap_or(false),
    };
    let new_id = fields.boolean("new_id").unwrap_or(false);
    if fields.take("with").is_some() {
        let message = "replays use the transforms of now; what attempts recorded cannot be asked for";
        fields.wrong::<()>("with", message);
    }
    check(&selection, &mut fields);
    fields.finish(&MEMBERS);
    match errors.is_empty() {
        true => Ok((selection, new_id)),
        false => Err(Problem::invalid(errors)),
    }
}

fn check(selection: &Selection, fields: &mut Fields<'_>) {
    if fields.error_count() > 0 {
        return;
    }
    let Selection { endpoint, state, event_type, since, until, missing, .. } = selection;
    if endpoint.is_none() && state.is_none() && event_type.is_none() && since.is_none() && until.is_none() {
        let message = "say what is to be delivered again: one at least of `endpoint`, `state`, `type`, `since`, `until`";
        fields.wrong::<()>("", message);
    }
    if *missing && endpoint.is_none() {
        fields.wrong::<()>("endpoint", "`missing` is about the events that one endpoint never got: name it");
    }
    if *missing && state.is_some() {
        fields.wrong::<()>("state", "what is missing has no state; leave one of the two out");
    }
    if let (Some(since), Some(until)) = (since, until)
        && since >= until
    {
        fields.wrong::<()>("until", "it must be later than `since`");
    }
}

fn finished_state(word: &str) -> Result<DeliveryState, String> {
    match parse_state(word)? {
        DeliveryState::Pending => Err("what is pending is being delivered already".to_owned()),
        state => Ok(state),
    }
}

async fn check_room(api: &Api) -> Result<(), Problem> {
    let most = api.config.replay.max_running;
    let jobs = api.store.jobs().await?;
    if jobs.iter().filter(|job| job.state == JobState::Running).count() < most {
        return Ok(());
    }
    let detail = format!(
        "{most} replays are running, which is the limit (`replay.max_running`); wait for one, or cancel it."
    );
    Err(Problem::new(Kind::Conflict, detail))
}

pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let after = query.take("cursor", str::parse::<JobId>);
    let limit = query.limit();
    query.finish()?;
    let tenant = caller.narrow(tenant)?;
    let jobs = api.store.jobs().await?;
    let mut fitting = jobs.iter().filter(|job| {
        after.is_none_or(|after| job.id < after) && (tenant.is_none() || job.selection.tenant == tenant)
    });
    let items: Vec<JobView> = fitting.by_ref().take(limit).map(JobView::of).collect();
    let more = fitting.next().is_some();
    let next = items.last().filter(|_| more).map(|job| job.id.clone());
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn show(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let job = job(&api, &caller, super::id(id)?).await?;
    json(StatusCode::OK, &JobView::of(&job))
}

/// What it has made stays.
pub(super) async fn cancel(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = super::id(id)?;
    job(&api, &caller, id).await?;
    let reason = Some("It was cancelled by request.".to_owned());
    match api.store.end_job(id, JobState::Cancelled, reason, api.clock.now()).await? {
        JobEnd::Done(job) => json(StatusCode::OK, &JobView::of(&job)),
        JobEnd::Ended(job) => {
            let detail = format!("The replay is {} already.", job.state.word());
            Err(Problem::new(Kind::Conflict, detail))
        }
        JobEnd::NotFound => Err(not_found(id)),
    }
}

/// One that the caller may see.
async fn job(api: &Api, caller: &Caller, id: JobId) -> Result<Job, Problem> {
    let sees = |job: &Job| match &job.selection.tenant {
        Some(tenant) => caller.sees(tenant),
        None => caller.tenant.is_none(),
    };
    api.store.job(id).await?.filter(sees).ok_or_else(|| not_found(id))
}

fn not_found(id: JobId) -> Problem {
    Problem::new(Kind::NotFound, format!("There is no replay {id}; it may be past its retention."))
}

#[derive(Serialize)]
struct Made {
    event: String,
    deliveries: Vec<DeliveryView>,
    skipped: Vec<Skipped>,
}

#[derive(Serialize)]
struct Skipped {
    delivery: String,
    reason: &'static str,
}

/// Delivers an event again to everybody who got it, or to one endpoint: the latest delivery of each line, where that
/// has ended. 201 where that made a delivery, else 200.
pub(super) async fn of_event(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id: EventId = super::id(id)?;
    let (endpoint, new_id) = options(&api, request).await?;
    let found = api.store.event(id).await?.filter(|record| caller.sees(&record.event.tenant));
    let record = found.ok_or_else(|| {
        Problem::new(Kind::NotFound, format!("There is no event {id}; it may be past its retention."))
    })?;
    let latest = latest(&record, endpoint)?;
    let now = api.clock.now();
    let made: Vec<_> = stream::iter(latest)
        .map(|delivery| {
            let store = &api.store;
            async move { Ok::<_, Problem>((delivery, store.replay(delivery, new_id, now).await?)) }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    api.intake.expect(now);
    answer(&api, id, made.into_iter().collect::<Result<_, _>>()?)
}

fn answer(api: &Api, event: EventId, made: Vec<(DeliveryId, Replay)>) -> Result<Response, Problem> {
    let book = api.book.snapshot();
    let (mut deliveries, mut skipped) = (Vec::new(), Vec::new());
    for (original, replay) in made {
        let reason = match replay {
            Replay::Done(delivery) => {
                api.live.tell(&delivery);
                deliveries.push(DeliveryView::of(&delivery, &book, &api.plugins));
                continue;
            }
            Replay::Pending(_) => Skip::Pending,
            Replay::NoEndpoint => Skip::EndpointDeleted,
            Replay::Full => Skip::EventFull,
            Replay::NotFound => Skip::Forgotten,
        };
        skipped.push(Skipped { delivery: original.to_string(), reason: reason.word() });
    }
    let status = if deliveries.is_empty() { StatusCode::OK } else { StatusCode::CREATED };
    json(status, &Made { event: event.to_string(), deliveries, skipped })
}

/// The deliveries that were not delivered again already.
fn latest(record: &EventRecord, endpoint: Option<EndpointId>) -> Result<Vec<DeliveryId>, Problem> {
    let originals: HashSet<DeliveryId> =
        record.deliveries.iter().filter_map(|delivery| delivery.replay_of).collect();
    let wanted = |delivery: &&Delivery| {
        endpoint.is_none_or(|endpoint| endpoint == delivery.endpoint) && !originals.contains(&delivery.id)
    };
    let latest: Vec<_> = record.deliveries.iter().filter(wanted).map(|delivery| delivery.id).collect();
    if latest.is_empty() {
        let detail = "The event has no such delivery. `POST /v1/replays` with `missing` gives an endpoint the events that \
                      it never got.";
        return Err(Problem::new(Kind::Conflict, detail));
    }
    if latest.len() > MOST_OF_EVENT {
        let detail = format!(
            "The event has {} deliveries; {MOST_OF_EVENT} are made in one request. Name an `endpoint`.",
            latest.len()
        );
        return Err(Problem::new(Kind::Conflict, detail));
    }
    Ok(latest)
}

async fn options(api: &Api, request: Request) -> Result<(Option<EndpointId>, bool), Problem> {
    let (parts, content) = request.into_parts();
    let whole = body::read(api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    if whole.bytes.is_empty() {
        return Ok((None, false));
    }
    body::require_json(&parts.headers, &[])?;
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(&whole.bytes)?, "", &mut errors);
    let endpoint = fields.parsed("endpoint", str::parse::<EndpointId>);
    let new_id = fields.boolean("new_id").unwrap_or(false);
    fields.finish(&["endpoint", "new_id"]);
    match errors.is_empty() {
        true => Ok((endpoint, new_id)),
        false => Err(Problem::invalid(errors)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_replayed_is_narrowed() {
        let ep = EndpointId::from_u128(7).to_string();
        for (given, pointer) in [
            (r"{}".to_owned(), Some("")),
            (r#"{"tenant":"a"}"#.to_owned(), Some("")),
            (r#"{"state":"pending"}"#.to_owned(), Some("/state")),
            (r#"{"state":"gone"}"#.to_owned(), Some("/state")),
            (r#"{"state":"failed","with":"recorded"}"#.to_owned(), Some("/with")),
            (r#"{"since":"2026-01-02T00:00:00Z","until":"2026-01-01T00:00:00Z"}"#.to_owned(), Some("/until")),
            (r#"{"missing":true,"type":"a"}"#.to_owned(), Some("/endpoint")),
            (format!(r#"{{"missing":true,"endpoint":"{ep}","state":"failed"}}"#), Some("/state")),
            (r#"{"state":"failed","colour":1}"#.to_owned(), Some("/colour")),
            (r#"{"state":"failed"}"#.to_owned(), None),
            (format!(r#"{{"missing":true,"endpoint":"{ep}","new_id":true}}"#), None),
        ] {
            let wrong = read(given.as_bytes()).err().map(|problem| problem.errors[0].pointer.clone());
            assert_eq!(wrong.as_deref(), pointer, "{given}");
        }
    }
}
