//! `/v1/overview`, `/v1/endpoints/{id}/stats`, `/v1/errors` and `/v1/warnings`: what was counted. All of it comes from
//! counters; no delivery is looked at.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use self::view::{BucketView, DayView, StatusCounts, TallyView, VolumeView, WarningView};
use super::auth::Caller;
use super::page::{Page, Query};
use super::problem::{FieldError, Problem};
use super::usage::{self, OfPlugin};
use super::{Api, json};
use crate::book::Snapshot;
use crate::endpoint::Endpoint;
use crate::event::Tenant;
use crate::health::{Health, Status};
use crate::id::EndpointId;
use crate::store::{Bucket, ErrorFilter, ErrorGroup, ErrorPageRequest, ErrorPlace, Scope, Standing, Volumes};
use crate::tally::{Resolution, Tally, Window};
use crate::time::Timestamp;
use crate::trouble::Trouble;

mod fare;
mod view;

pub(super) use fare::{FARE_FIELDS, Fare};

const HOUR: Duration = Duration::from_secs(3_600);
/// How far back statistics go where nobody says it.
const DEFAULT_SPAN: Duration = Duration::from_secs(24 * 3_600);
/// Up to these spans of time, minutes and hours are shown where nobody says what is.
const LONGEST_IN_MINUTES: Duration = Duration::from_secs(3 * 3_600);
const LONGEST_IN_HOURS: Duration = Duration::from_secs(14 * 86_400);
/// The days of a week's activity.
const WEEK: u32 = 7;
/// Most endpoints whose queues are added up for an overview.
const QUEUES_LIMIT: usize = 10_000;

#[derive(Debug, Serialize)]
struct OverviewView {
    tenant: Option<String>,
    #[serde(flatten)]
    course: CourseView,
    endpoints: StatusCounts,
    queue: QueueView,
    last_delivery_at: Option<String>,
}

#[derive(Debug, Serialize)]
struct StatsView {
    endpoint: String,
    #[serde(flatten)]
    course: CourseView,
    status: &'static str,
    /// Why it is failing, where it is.
    failing_because: Option<String>,
    consecutive_failures: u32,
    failing_since: Option<String>,
    queue: QueueView,
    last_attempt_at: Option<String>,
    last_delivery_at: Option<String>,
    last_event_at: Option<String>,
    /// What each plugin did for it since the host was started.
    plugins: Vec<OfPlugin>,
}

/// What happened over a span of time.
#[derive(Debug, Serialize)]
struct CourseView {
    since: String,
    until: String,
    resolution: &'static str,
    totals: TallyView,
    warnings: Vec<WarningView>,
    /// One for each span, oldest first.
    buckets: Vec<BucketView>,
    /// By the day, the present one last; days are cut in UTC.
    last_7_days: Vec<DayView>,
    event_types: Vec<VolumeView>,
    /// There are so many types that not all of the time was looked at for them.
    event_types_partial: bool,
}

#[derive(Debug, Default, Serialize)]
struct QueueView {
    /// Deliveries that are not finished.
    pending: u64,
    /// Of these, the ones whose endpoint is disabled or whose tenant or host is offline.
    held: u64,
    oldest_pending_at: Option<String>,
    oldest_pending_age_s: Option<u64>,
    /// There are more endpoints than were looked at.
    partial: bool,
}

#[derive(Debug, Serialize)]
struct ErrorView {
    endpoint: String,
    /// `null` where the endpoint was deleted.
    endpoint_name: Option<String>,
    tenant: String,
    kind: &'static str,
    title: &'static str,
    hint: &'static str,
    count: u64,
    first_at: String,
    last_at: String,
    last_delivery: String,
    last_message: String,
}

#[derive(Debug, Serialize)]
struct WarningsView {
    since: String,
    until: String,
    items: Vec<WarningView>,
}

pub(super) async fn overview(
    caller: Caller,
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let window = window(&mut query, api.clock.now());
    query.finish()?;
    let tenant = caller.narrow(tenant)?;
    let (scope, window) = (tenant.clone().map_or(Scope::Host, Scope::Tenant), window?);
    let volumes = api.store.volumes(tenant.clone(), window).await?;
    let course = course(&api, scope, window, volumes, |_| true).await?;
    let book = api.book.snapshot();
    let (endpoints, partial) = endpoints_of(&book, tenant.as_ref());
    let standings = standings(&api, &endpoints).await?;
    let pairs = || endpoints.iter().copied().zip(&standings);
    let view = OverviewView {
        tenant: tenant.map(|tenant| tenant.to_string()),
        course,
        endpoints: pairs().map(|(endpoint, standing)| status(&api, endpoint, standing)).collect(),
        queue: QueueView { partial, ..QueueView::of(&api, &book, pairs()) },
        last_delivery_at: standings.iter().filter_map(|s| s.last_delivery_at).max().map(text),
    };
    json(StatusCode::OK, &view)
}

pub(super) async fn stats(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    let id: EndpointId = super::id(id)?;
    let mut query = Query::of(&uri);
    let window = window(&mut query, api.clock.now());
    query.finish()?;
    let window = window?;
    let book = api.book.snapshot();
    let endpoint = &super::endpoints::entry(&book, &caller, id)?.endpoint;
    let volumes = api.store.volumes(Some(endpoint.tenant.clone()), window).await?;
    let wanted =
        |event_type: &_| endpoint.subscription.events.iter().any(|pattern| pattern.matches(event_type));
    let course = course(&api, Scope::Endpoint(id), window, volumes, wanted).await?;
    let standing = standings(&api, &[endpoint]).await?.first().copied().unwrap_or_default();
    let view = StatsView {
        endpoint: id.to_string(),
        course,
        status: status(&api, endpoint, &standing).word(),
        failing_because: failing_because(&api, endpoint, &standing),
        consecutive_failures: standing.health.consecutive_failures,
        failing_since: standing.health.failing_since.map(text),
        queue: QueueView::of(&api, &book, [(&**endpoint, &standing)]),
        last_attempt_at: standing.last_attempt_at.map(text),
        last_delivery_at: standing.last_delivery_at.map(text),
        last_event_at: standing.last_event_at.map(text),
        plugins: usage::of_endpoint(&api, id),
    };
    json(StatusCode::OK, &view)
}

/// Errors by endpoint and kind, the latest first.
pub(super) async fn errors(
    caller: Caller,
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let mut filter = ErrorFilter {
        tenant: query.take("tenant", Tenant::parse),
        endpoint: query.take("endpoint", str::parse::<EndpointId>),
        since: query.take("since", Timestamp::parse),
    };
    let after = query.take("cursor", decode);
    let request = ErrorPageRequest { after, limit: query.limit() };
    query.finish()?;
    filter.tenant = caller.narrow(filter.tenant)?;
    let page = api.store.errors(filter, request).await?;
    let book = api.book.snapshot();
    let items = page.groups.iter().map(|group| ErrorView::of(group, &book)).collect();
    json(StatusCode::OK, &Page { items, next: page.next.map(encode) })
}

/// What to look at before it becomes an error, counted over a span of time.
pub(super) async fn warnings(
    caller: Caller,
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let endpoint = query.take("endpoint", str::parse::<EndpointId>);
    let window = window(&mut query, api.clock.now());
    query.finish()?;
    let (window, tenant) = (window?, caller.narrow(tenant)?);
    let scope = match (endpoint, tenant) {
        (Some(endpoint), Some(tenant)) => {
            let of_tenant = api.book.get(endpoint).filter(|endpoint| endpoint.tenant == tenant);
            of_tenant.map(|_| Scope::Endpoint(endpoint))
        }
        (Some(endpoint), None) => Some(Scope::Endpoint(endpoint)),
        (None, Some(tenant)) => Some(Scope::Tenant(tenant)),
        (None, None) => Some(Scope::Host),
    };
    let buckets = api.store.tallies(scope.into_iter().collect(), window).await?;
    let total = Tally::sum(buckets.iter().flatten().map(|bucket| &bucket.tally));
    let (since, until) = (text(window.since()), text(window.until()));
    json(StatusCode::OK, &WarningsView { since, until, items: WarningView::all(&total) })
}

/// What `since`, `until` and `resolution` ask for. What is wrong with each by itself is kept by the query.
fn window(query: &mut Query, now: Timestamp) -> Result<Window, Problem> {
    let since = query.take("since", Timestamp::parse);
    let until = query.take("until", Timestamp::parse).unwrap_or(now.plus(Duration::from_micros(1)));
    let resolution = query.take("resolution", parse_resolution);
    let since = since.unwrap_or_else(|| until.minus(span_of(resolution)));
    let resolution = resolution.unwrap_or_else(|| fitting(until.since(since)));
    Window::new(resolution, since, until)
        .map_err(|error| Problem::invalid(vec![FieldError::new("?since", error)]))
}

fn span_of(resolution: Option<Resolution>) -> Duration {
    match resolution {
        None => DEFAULT_SPAN,
        Some(Resolution::Minute) => HOUR,
        Some(Resolution::Hour) => DEFAULT_SPAN,
        Some(Resolution::Day) => 30 * DEFAULT_SPAN,
    }
}

fn fitting(span: Duration) -> Resolution {
    if span <= LONGEST_IN_MINUTES {
        Resolution::Minute
    } else if span <= LONGEST_IN_HOURS {
        Resolution::Hour
    } else {
        Resolution::Day
    }
}

fn parse_resolution(word: &str) -> Result<Resolution, String> {
    Resolution::parse(word).ok_or_else(|| {
        let words = Resolution::ALL.map(Resolution::word).join("`, `");
        format!("there is no such resolution; there are `{words}`")
    })
}

async fn course(
    api: &Api,
    scope: Scope,
    window: Window,
    volumes: Volumes,
    wanted: impl Fn(&crate::event::EventType) -> bool,
) -> Result<CourseView, Problem> {
    let week = Window::last(Resolution::Day, WEEK, api.clock.now());
    let days = api.store.tallies(vec![scope.clone()], week).await?.pop().unwrap_or_default();
    let buckets = api.store.tallies(vec![scope], window).await?.pop().unwrap_or_default();
    let total = Tally::sum(buckets.iter().map(|bucket| &bucket.tally));
    let types = volumes.types.iter().filter(|(event_type, _)| wanted(event_type));
    Ok(CourseView {
        since: text(window.since()),
        until: text(window.until()),
        resolution: window.resolution().word(),
        totals: TallyView::of(&total),
        warnings: WarningView::all(&total),
        buckets: filled(window, buckets).iter().map(BucketView::of).collect(),
        last_7_days: filled(week, days).iter().map(DayView::of).collect(),
        event_types: types.map(|(event_type, tally)| VolumeView::of(event_type, tally)).collect(),
        event_types_partial: volumes.partial,
    })
}

/// With those that have nothing in them.
fn filled(window: Window, buckets: Vec<Bucket>) -> Vec<Bucket> {
    let mut known = buckets.into_iter().peekable();
    let filled = window.buckets().map(|bucket| {
        let start = window.resolution().start(bucket);
        let stored = known.next_if(|known| known.start == start);
        stored.unwrap_or_else(|| Bucket { start, tally: Tally::default() })
    });
    filled.collect()
}

/// Those of the tenant, or all; and whether there are more than are looked at.
fn endpoints_of<'a>(book: &'a Snapshot, tenant: Option<&Tenant>) -> (Vec<&'a Endpoint>, bool) {
    let mut endpoints: Vec<&Endpoint> = match tenant {
        Some(tenant) => book.of_tenant(tenant).iter().map(|endpoint| &**endpoint).collect(),
        None => book.entries().map(|entry| &*entry.endpoint).take(QUEUES_LIMIT + 1).collect(),
    };
    let partial = endpoints.len() > QUEUES_LIMIT;
    endpoints.truncate(QUEUES_LIMIT);
    (endpoints, partial)
}

async fn standings(api: &Api, endpoints: &[&Endpoint]) -> Result<Vec<Standing>, Problem> {
    Ok(api.store.standings(endpoints.iter().map(|endpoint| endpoint.id).collect()).await?)
}

/// One whose receiver fails, or a plugin of its chain, is failing.
fn status(api: &Api, endpoint: &Endpoint, standing: &Standing) -> Status {
    match Status::of(endpoint.enabled(), &standing.health) {
        Status::Active if api.usage.complaint(endpoint).is_some() => Status::Failing,
        status => status,
    }
}

/// Why it is failing, as sentences; `None` where it is not.
fn failing_because(api: &Api, endpoint: &Endpoint, standing: &Standing) -> Option<String> {
    let Health { consecutive_failures: failures, failing_since, .. } = standing.health;
    let receiver = failing_since.map(|since| {
        let attempts = if failures == 1 { "attempt in a row has" } else { "attempts in a row have" };
        format!("{failures} {attempts} failed, the first at {since}.")
    });
    let reasons: Vec<String> = receiver.into_iter().chain(api.usage.complaint(endpoint)).collect();
    (!reasons.is_empty()).then(|| reasons.join(" "))
}

fn text(time: Timestamp) -> String {
    time.to_string()
}

impl QueueView {
    fn of<'a>(
        api: &Api,
        book: &Snapshot,
        standings: impl IntoIterator<Item = (&'a Endpoint, &'a Standing)>,
    ) -> Self {
        let mut queue = Self::default();
        let mut oldest: Option<Timestamp> = None;
        for (endpoint, standing) in standings {
            queue.pending += standing.pending;
            if book.open(endpoint.id).is_none() {
                queue.held += standing.pending;
            }
            oldest = oldest.into_iter().chain(standing.oldest_pending_at).min();
        }
        queue.oldest_pending_at = oldest.map(text);
        queue.oldest_pending_age_s = oldest.map(|oldest| api.clock.now().since(oldest).as_secs());
        queue
    }
}

impl ErrorView {
    fn of(group: &ErrorGroup, book: &Snapshot) -> Self {
        Self {
            endpoint: group.endpoint.to_string(),
            endpoint_name: book.entry(group.endpoint).map(|entry| entry.endpoint.name.clone()),
            tenant: group.tenant.to_string(),
            kind: group.trouble.word(),
            title: group.trouble.title(),
            hint: group.trouble.hint(),
            count: group.count,
            first_at: text(group.first_at),
            last_at: text(group.last_at),
            last_delivery: group.last_delivery.to_string(),
            last_message: group.last_message.clone(),
        }
    }
}

/// How a place is shown to clients, who do not look inside.
fn encode(place: ErrorPlace) -> String {
    format!("{}.{}.{}", place.last_at.as_micros(), place.endpoint, place.kind)
}

fn decode(text: &str) -> Result<ErrorPlace, &'static str> {
    let parts = || {
        let (last_at, rest) = text.split_once('.')?;
        let (endpoint, kind) = rest.split_once('.')?;
        let last_at = Timestamp::from_micros(last_at.parse().ok()?);
        Some(ErrorPlace { last_at, endpoint: endpoint.parse().ok()?, kind: Trouble::parse(kind)?.word() })
    };
    parts().ok_or("it is no cursor; take it from `next` of the page before")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn asked(query: &str) -> Result<Window, Problem> {
        let mut query = Query::of(&format!("/v1/overview?{query}").parse().unwrap());
        let window = window(&mut query, NOW);
        query.finish()?;
        window
    }

    #[test]
    fn cursors_come_back() {
        let endpoint = EndpointId::mint(NOW, 7);
        let place = ErrorPlace { last_at: NOW, endpoint, kind: Trouble::Timeout.word() };
        assert_eq!(decode(&encode(place)), Ok(place));
        for bad in ["", "1", "1.2", "x.ep_x.timeout", &format!("1.{endpoint}.odd")] {
            assert!(decode(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_of_time_are_what_was_asked_for() {
        for (query, resolution, spans) in [
            ("", Resolution::Hour, 25),
            ("resolution=minute", Resolution::Minute, 61),
            ("resolution=day", Resolution::Day, 31),
            ("since=2023-11-14T20:00:00Z", Resolution::Minute, 134),
            ("since=2023-11-10T00:00:00Z&until=2023-11-12T00:00:00Z", Resolution::Hour, 48),
            ("since=2023-01-01T00:00:00Z", Resolution::Day, 318),
        ] {
            let window = asked(query).unwrap();
            assert_eq!((window.resolution(), window.buckets().count()), (resolution, spans), "{query}");
        }
    }

    #[test]
    fn spans_that_cannot_be_are_refused() {
        for query in [
            "since=2023-11-20T00:00:00Z",
            "since=2020-01-01T00:00:00Z&resolution=minute",
            "resolution=week",
            "since=yesterday",
            "until=0000-01-01T00:00:00Z&resolution=day&since=9999-01-01T00:00:00Z",
        ] {
            assert!(asked(query).is_err(), "{query}");
        }
    }
}
