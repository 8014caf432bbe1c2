//! `/v1/backtests`: a candidate version or configuration of a plugin on stored events, beside what is active.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json as value};

use super::auth::Caller;
use super::body;
use super::endpoints::{entry, patch};
use super::fields::Fields;
use super::page::{Page, Query};
use super::problem::{FieldError, Kind, Problem};
use super::terms;
use super::transform::MessageView;
use super::{Api, json};
use crate::attempt::Outcome;
use crate::book::Snapshot;
use crate::book::usage::named;
use crate::dispatch::backtest::{
    Backtest, Candidate, Change, Counts, OfEndpoint, Order, Pair, Refused, Sample, Shown, Standing, Summary,
};
use crate::dispatch::chain::find;
use crate::endpoint::{Endpoint, OnFailure};
use crate::id::{EndpointId, JobId};
use crate::plugin::{Objection, Plugin};
use crate::secret::Secret;

/// Most endpoints that an answer lists: those with most changes.
pub(super) const ENDPOINTS: usize = 500;
/// Most objections that an answer lists.
pub(super) const OBJECTIONS: usize = 100;
/// Bytes of a request beside the configuration.
const REST: usize = 16 << 10;

/// What is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted<'a> {
    digest: Option<String>,
    endpoint: Option<String>,
    #[serde(borrow, default, deserialize_with = "present")]
    config: Option<&'a RawValue>,
    link: Option<Value>,
    events: Option<Value>,
    gate: Option<bool>,
}

#[derive(Serialize)]
struct BacktestView {
    id: String,
    plugin: String,
    state: &'static str,
    created_at: String,
    finished_at: Option<String>,
    /// Why it was cancelled or has failed, stopped short, or activated nothing.
    reason: Option<String>,
    /// What answered to the name when it began.
    active: Option<VersionView>,
    candidate: CandidateView,
    /// This endpoint alone.
    endpoint: Option<String>,
    /// The last ones of each endpoint.
    events: usize,
    gate: bool,
    /// It made the candidate the active version.
    activated: bool,
    /// All events that were asked for were looked at.
    complete: bool,
    progress: ProgressView,
    counts: CountsView,
    times: PairView<TimesView>,
}

#[derive(Serialize)]
struct VersionView {
    version: String,
    digest: String,
}

#[derive(Serialize)]
struct CandidateView {
    #[serde(flatten)]
    version: VersionView,
    /// The place, among the endpoint's transforms, of the link whose configuration is another one.
    link: Option<usize>,
}

#[derive(Serialize)]
struct ProgressView {
    endpoints: usize,
    endpoints_done: usize,
    events_done: u64,
    percent: u64,
}

#[derive(Serialize)]
struct CountsView {
    events: u64,
    same: u64,
    changed: u64,
    newly_dropped: u64,
    newly_passed: u64,
    newly_failing: u64,
    newly_working: u64,
    /// Those of `same` that fail with both.
    both_failing: u64,
}

#[derive(Serialize)]
struct PairView<T> {
    active: T,
    candidate: T,
}

/// Of the plugin's calls, in microseconds.
#[derive(Serialize)]
struct TimesView {
    calls: u64,
    p50_us: Option<u64>,
    p99_us: Option<u64>,
    max_us: u64,
}

#[derive(Serialize)]
struct InFull {
    #[serde(flatten)]
    backtest: BacktestView,
    /// What would have spoken against activating the candidate when it began.
    objections: Vec<ObjectionView>,
    /// Those with most changes first.
    endpoints: Vec<EndpointView>,
    samples: Vec<SampleView>,
}

#[derive(Serialize)]
struct ObjectionView {
    of: String,
    pointer: String,
    message: String,
}

#[derive(Serialize)]
struct EndpointView {
    id: String,
    name: String,
    tenant: String,
    counts: CountsView,
    times: PairView<TimesView>,
    /// Why nothing of it could be run.
    problem: Option<String>,
}

#[derive(Serialize)]
struct SampleView {
    endpoint: String,
    event: String,
    #[serde(rename = "type")]
    event_type: String,
    change: &'static str,
    active: ShownView,
    candidate: ShownView,
    /// In the form of `diff -u`, where both would send.
    diff: Option<String>,
}

#[derive(Serialize)]
struct ShownView {
    /// What would be sent, before the endpoint's own headers and its signature.
    message: Option<MessageView>,
    outcome: Option<&'static str>,
    kind: Option<String>,
    reason: Option<String>,
}

/// Begins one: 202.
pub(super) async fn create(
    caller: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let (parts, content) = request.into_parts();
    body::require_json(&parts.headers, &[])?;
    let limit = api.config.endpoint.max_config.0.saturating_add(REST);
    let whole = body::read(&api, &parts.headers, content, |_| limit).await?;
    let order = Wanted::read(&whole.bytes)?.order(&api, &caller, name).await?;
    let objections = match order.candidate.config {
        None => api.plugins.objections(&order.candidate.version).await,
        Some(_) => Vec::new(),
    };
    if order.gate && !objections.is_empty() {
        return Err(crate::plugin::CatalogError::Objected(objections).into());
    }
    let objections = objections.into_iter().take(OBJECTIONS).collect();
    let backtest = api.backtests.begin(order, objections).map_err(refused)?;
    json(StatusCode::ACCEPTED, &InFull::of(&backtest))
}

pub(super) async fn list(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let plugin = query.take("plugin", |name| Ok::<_, String>(name.to_owned()));
    let after = query.take("cursor", str::parse::<JobId>);
    let limit = query.limit();
    query.finish()?;
    let all = api.backtests.list();
    let mut fitting = all.iter().filter(|backtest| {
        after.is_none_or(|after| backtest.id < after)
            && plugin.as_ref().is_none_or(|plugin| *plugin == backtest.order.plugin)
    });
    let items: Vec<BacktestView> = fitting
        .by_ref()
        .take(limit)
        .map(|backtest| BacktestView::of(backtest, &backtest.standing()))
        .collect();
    let more = fitting.next().is_some();
    let next = items.last().filter(|_| more).map(|backtest| backtest.id.clone());
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn show(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let backtest = backtest(&api, super::id(id)?)?;
    json(StatusCode::OK, &InFull::of(&backtest))
}

/// What it has found stays.
pub(super) async fn cancel(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let backtest = backtest(&api, super::id(id)?)?;
    if backtest.cancel(api.clock.now()) {
        return json(StatusCode::OK, &InFull::of(&backtest));
    }
    let detail = match backtest.state() {
        state if state.has_ended() => format!("The backtest is {} already.", state.word()),
        _ => "The backtest activates its candidate already.".to_owned(),
    };
    Err(Problem::new(Kind::Conflict, detail))
}

fn backtest(api: &Api, id: JobId) -> Result<Arc<Backtest>, Problem> {
    api.backtests.get(id).ok_or_else(|| {
        let detail = format!(
            "There is no backtest {id}; the latest ones are kept, until the server is started again."
        );
        Problem::new(Kind::NotFound, detail)
    })
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

    async fn order(&self, api: &Api, caller: &Caller, name: String) -> Result<Order, Problem> {
        if api.plugins.snapshot().record(&name).is_none() {
            let detail = format!("There is no plugin `{name}`; `GET /v1/plugins` lists them.");
            return Err(Problem::new(Kind::NotFound, detail));
        }
        let (events, link) = self.numbers(api)?;
        let gate = self.gate.unwrap_or(false);
        if gate && (self.endpoint.is_some() || self.config.is_some()) {
            let message =
                "what is activated is for all endpoints: leave `endpoint` and `config` out, or `gate`";
            return Err(Problem::field("/gate", message));
        }
        let book = api.book.snapshot();
        let endpoint = match &self.endpoint {
            Some(id) => Some(using(&book, caller, id, &name)?),
            None => None,
        };
        let version = self.version(api, &name).await?;
        let candidate = match (self.config, endpoint) {
            (None, _) if self.digest.is_none() => {
                let message = "name a version of the plugin, or give a configuration in `config`";
                return Err(Problem::field("/digest", message));
            }
            (None, Some(endpoint)) if !follows(endpoint, &name) => {
                let message = "its chain pins the plugin: another active version changes nothing there";
                return Err(Problem::field("/endpoint", message));
            }
            (None, _) => Candidate { version: version.ok_or_else(|| nothing_active(&name))?, config: None },
            (Some(_), None) => {
                return Err(Problem::field("/endpoint", "a configuration is one endpoint's: name it"));
            }
            (Some(config), Some(endpoint)) => configured(api, endpoint, &name, version, link, config).await?,
        };
        Ok(Order { plugin: name, candidate, endpoint: endpoint.map(|endpoint| endpoint.id), events, gate })
    }

    fn numbers(&self, api: &Api) -> Result<(usize, Option<usize>), Problem> {
        let members = [("events", &self.events), ("link", &self.link)];
        let map = members.into_iter().filter_map(|(name, given)| Some((name.to_owned(), given.clone()?)));
        let mut errors = Vec::new();
        let mut fields = Fields::new(map.collect::<Map<_, _>>(), "", &mut errors);
        let most = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
        let events = fields.number("events", 1, most(api.config.backtest.max_events));
        let link = fields.number("link", 0, most(api.config.endpoint.max_transforms.saturating_sub(1)));
        let whole = |number: Option<u32>| number.map(|number| number as usize);
        match errors.is_empty() {
            true => Ok((whole(events).unwrap_or(api.config.backtest.events), whole(link))),
            false => Err(Problem::invalid(errors)),
        }
    }

    async fn version(&self, api: &Api, name: &str) -> Result<Option<Plugin>, Problem> {
        let Some(digest) = self.digest.as_deref().map(|text| text.trim_start_matches("sha256:")) else {
            return Ok(None);
        };
        let found = api.plugins.fetch(name, digest).await;
        let detail = || {
            format!(
                "`{name}` has no version with this digest that can be loaded; upload it with `?activate=false`."
            )
        };
        found.map(Some).ok_or_else(|| Problem::new(Kind::NotFound, detail()))
    }
}

fn nothing_active(name: &str) -> Problem {
    Problem::new(Kind::Conflict, format!("No version of `{name}` is active."))
}

/// An endpoint whose chain names the plugin.
fn using<'b>(
    book: &'b Snapshot,
    caller: &Caller,
    id: &str,
    name: &str,
) -> Result<&'b Arc<Endpoint>, Problem> {
    let id: EndpointId = id.parse().map_err(|error| Problem::field("/endpoint", error))?;
    let entry = entry(book, caller, id).map_err(|problem| Problem::field("/endpoint", problem.detail))?;
    let uses = entry.endpoint.terms.links().any(|transform| named(&transform.plugin).0 == name);
    if !uses {
        return Err(Problem::field("/endpoint", format!("its chain does not name `{name}`")));
    }
    Ok(&entry.endpoint)
}

fn follows(endpoint: &Endpoint, name: &str) -> bool {
    endpoint.terms.links().any(|transform| transform.plugin == name)
}

/// The configuration in place of the link's. Masks stand for what is stored.
async fn configured(
    api: &Api,
    endpoint: &Endpoint,
    name: &str,
    version: Option<Plugin>,
    link: Option<usize>,
    config: &RawValue,
) -> Result<Candidate, Problem> {
    let place = place(endpoint, name, link)?;
    let stored = &endpoint.terms.transforms[place];
    let given = value!([{"plugin": stored.plugin, "config": config.get()}]);
    let Value::Array(mut merged) = patch::chain(value!([terms::link(stored)]), given) else {
        return Err(body::no_object());
    };
    let Some(Value::Object(members)) = merged.pop() else { return Err(body::no_object()) };
    let mut errors = Vec::new();
    let read = terms::transform(Fields::new(members, "", &mut errors), &api.config);
    let config = read.filter(|_| errors.is_empty()).map(|transform| transform.config);
    let Some(config) = config else { return Err(Problem::invalid(errors)) };
    let in_use = || find(&api.plugins.snapshot(), &stored.plugin);
    let version = version.or_else(in_use).ok_or_else(|| nothing_active(name))?;
    accepted(&version, &config, stored.on_failure == OnFailure::Pass).await?;
    Ok(Candidate { version, config: Some((place, config)) })
}

async fn accepted(version: &Plugin, config: &Secret, passes_failures: bool) -> Result<(), Problem> {
    let refused = version.objections(config.expose(), passes_failures).await;
    if refused.is_empty() {
        return Ok(());
    }
    let errors = refused.into_iter().map(|error| FieldError::new(error.pointer, error.message));
    Err(Problem::invalid(errors.collect()))
}

/// Which of the endpoint's transforms is meant.
fn place(endpoint: &Endpoint, name: &str, given: Option<usize>) -> Result<usize, Problem> {
    let links = endpoint.terms.transforms.iter().enumerate();
    let places: Vec<usize> =
        links.filter(|(_, transform)| named(&transform.plugin).0 == name).map(|(place, _)| place).collect();
    match (given, places.as_slice()) {
        (Some(given), places) if places.contains(&given) => Ok(given),
        (Some(_), _) => Err(Problem::field("/link", format!("that link does not name `{name}`"))),
        (None, [only]) => Ok(*only),
        (None, []) => {
            let message =
                format!("`{name}` is only in the steps to its version, which are for all endpoints");
            Err(Problem::field("/endpoint", message))
        }
        (None, places) => {
            let message = format!("several links name `{name}`: say which one, of {places:?}");
            Err(Problem::field("/link", message))
        }
    }
}

/// A configuration may be `null`.
fn present<'de: 'a, 'a, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'a RawValue>, D::Error> {
    let given: &RawValue = Deserialize::deserialize(deserializer)?;
    Ok(Some(given).filter(|given| given.get() != "null"))
}

fn refused(why: Refused) -> Problem {
    let kind = match why {
        Refused::Full(_) => Kind::Conflict,
        Refused::Stopping => Kind::Unavailable,
    };
    Problem::new(kind, why.to_string())
}

impl BacktestView {
    fn of(backtest: &Backtest, standing: &Standing) -> Self {
        let Backtest { id, created_at, order, active, .. } = backtest;
        let Candidate { version, config } = &order.candidate;
        Self {
            id: id.to_string(),
            plugin: order.plugin.clone(),
            state: standing.state.word(),
            created_at: created_at.to_string(),
            finished_at: standing.finished_at.map(|at| at.to_string()),
            reason: standing.reason.clone(),
            active: active.as_ref().map(VersionView::of),
            candidate: CandidateView {
                version: VersionView::of(version),
                link: config.as_ref().map(|(place, _)| *place),
            },
            endpoint: order.endpoint.map(|id| id.to_string()),
            events: order.events,
            gate: order.gate,
            activated: standing.activated,
            complete: standing.complete,
            progress: ProgressView::of(backtest, standing),
            counts: CountsView::of(&standing.counts),
            times: PairView {
                active: TimesView::of(&Summary::of(&standing.times.active)),
                candidate: TimesView::of(&Summary::of(&standing.times.candidate)),
            },
        }
    }
}

impl VersionView {
    fn of(plugin: &Plugin) -> Self {
        Self { version: plugin.version().to_owned(), digest: plugin.digest().to_owned() }
    }
}

impl ProgressView {
    fn of(backtest: &Backtest, standing: &Standing) -> Self {
        let begun = standing.endpoints.len();
        let endpoints_done = if standing.complete { begun } else { begun.saturating_sub(1) };
        let current = standing.endpoints.last().map_or(0, |endpoint| endpoint.counts.all());
        let each = backtest.order.events as u64;
        let (done, whole) =
            (endpoints_done as u64 * each + current.min(each), backtest.endpoints as u64 * each);
        let percent =
            if standing.complete { 100 } else { (done * 100).checked_div(whole).unwrap_or(0).min(99) };
        Self { endpoints: backtest.endpoints, endpoints_done, events_done: standing.counts.all(), percent }
    }
}

impl CountsView {
    fn of(counts: &Counts) -> Self {
        Self {
            events: counts.all(),
            same: counts.of(Change::Same),
            changed: counts.of(Change::Changed),
            newly_dropped: counts.of(Change::NewlyDropped),
            newly_passed: counts.of(Change::NewlyPassed),
            newly_failing: counts.of(Change::NewlyFailing),
            newly_working: counts.of(Change::NewlyWorking),
            both_failing: counts.both_failing,
        }
    }
}

impl TimesView {
    fn of(times: &Summary) -> Self {
        let micros = |span: Duration| u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        Self {
            calls: times.calls,
            p50_us: times.p50.map(micros),
            p99_us: times.p99.map(micros),
            max_us: micros(times.longest),
        }
    }
}

impl InFull {
    fn of(backtest: &Backtest) -> Self {
        let standing = backtest.standing();
        let mut endpoints: Vec<&OfEndpoint> = standing.endpoints.iter().collect();
        endpoints.sort_by_key(|endpoint| {
            let changed = endpoint.counts.all() - endpoint.counts.of(Change::Same);
            Reverse((endpoint.counts.of(Change::NewlyFailing), changed, endpoint.problem.is_some()))
        });
        Self {
            backtest: BacktestView::of(backtest, &standing),
            objections: backtest.objections.iter().map(ObjectionView::of).collect(),
            endpoints: endpoints.into_iter().take(ENDPOINTS).map(EndpointView::of).collect(),
            samples: standing.samples.iter().map(|sample| SampleView::of(sample)).collect(),
        }
    }
}

impl ObjectionView {
    fn of(objection: &Objection) -> Self {
        let Objection { of, at, message } = objection.clone();
        Self { of, pointer: at, message }
    }
}

impl EndpointView {
    fn of(endpoint: &OfEndpoint) -> Self {
        let OfEndpoint { endpoint, counts, times, problem } = endpoint;
        let Pair { active, candidate } = times;
        Self {
            id: endpoint.id.to_string(),
            name: endpoint.name.clone(),
            tenant: endpoint.tenant.to_string(),
            counts: CountsView::of(counts),
            times: PairView { active: TimesView::of(active), candidate: TimesView::of(candidate) },
            problem: problem.clone(),
        }
    }
}

impl SampleView {
    fn of(sample: &Sample) -> Self {
        Self {
            endpoint: sample.endpoint.to_string(),
            event: sample.event.to_string(),
            event_type: sample.event_type.to_string(),
            change: sample.change.word(),
            active: ShownView::of(&sample.active),
            candidate: ShownView::of(&sample.candidate),
            diff: sample.difference.clone(),
        }
    }
}

impl ShownView {
    fn of(shown: &Shown) -> Self {
        let outcome = shown.outcome.as_ref();
        Self {
            message: shown.message.clone().map(|message| MessageView::of_part(message, shown.body_length)),
            outcome: outcome.map(Outcome::word),
            kind: outcome.and_then(|outcome| outcome.kind().map(str::to_owned)),
            reason: outcome.and_then(Outcome::reason),
        }
    }
}
