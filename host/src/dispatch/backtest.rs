//! Backtests: a candidate, which is another version of a plugin or another configuration of it, on the events that were
//! stored last for the endpoints that use it, beside what is active. Nothing is sent, stored or counted.
//!
//! A backtest is a job in memory, gone with the host. It runs one chain after the other, at most so many events, bytes
//! and so long, and waits while live traffic takes more than half of the backlog.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tracing::info;

use crate::endpoint::Endpoint;
use crate::id::{EndpointId, JobId};
use crate::plugin::{CatalogError, Objection, Plugin};
use crate::secret::Secret;
use crate::store::Store;
use crate::time::{Timestamp, format_span};

use super::backlog::Backlog;
use super::worker::Workshop;

pub mod comparison;
mod times;
mod walk;

pub use comparison::{Change, Counts, Sample, Shown};
pub use times::Times;

use walk::{Subject, Walk};

/// Of one endpoint and one kind of change, so many samples are kept.
const SAMPLES_OF_A_KIND: usize = 3;

/// The bounds of backtests.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Of payloads that one looks at.
    pub bytes: usize,
    pub time_limit: Duration,
    /// At once.
    pub max_running: usize,
    /// Of those that have ended.
    pub max_kept: usize,
    /// Samples of one.
    pub samples: usize,
    /// Bytes of a body that a sample shows.
    pub sample_body: usize,
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Order {
    /// A plugin's name.
    pub plugin: String,
    pub candidate: Candidate,
    /// This endpoint alone.
    pub endpoint: Option<EndpointId>,
    /// The last ones of each endpoint.
    pub events: usize,
    /// Makes the candidate the active version where nothing newly fails.
    pub gate: bool,
}

#[derive(Debug, Clone)]
pub struct Candidate {
    pub version: Plugin,
    /// In the place of one link's, by its place among the endpoint's transforms; without it, the version stands wherever
    /// a chain follows the name.
    pub config: Option<(usize, Secret)>,
}

/// One backtest.
#[derive(Debug)]
pub struct Backtest {
    pub id: JobId,
    pub created_at: Timestamp,
    pub order: Order,
    /// What answered to the name when it began.
    pub active: Option<Plugin>,
    /// What would have spoken against activating the candidate then.
    pub objections: Vec<Objection>,
    /// Endpoints that use the plugin.
    pub endpoints: usize,
    standing: Mutex<Standing>,
    cancelled: watch::Sender<bool>,
}

/// How far it has come.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    pub state: State,
    pub finished_at: Option<Timestamp>,
    /// Why it was cancelled or has failed, stopped short, or activated nothing; as a sentence.
    pub reason: Option<String>,
    /// It made the candidate the active version.
    pub activated: bool,
    /// All events that were asked for were looked at.
    pub complete: bool,
    pub counts: Counts,
    pub times: Pair<Times>,
    /// Those that were looked at, in their order.
    pub endpoints: Vec<OfEndpoint>,
    pub samples: Vec<Arc<Sample>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    #[default]
    Running,
    /// Nothing newly failed, and the candidate is being activated: it is too late to cancel.
    Activating,
    Done,
    Cancelled,
    Failed,
}

/// Something of the active side and of the candidate's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Pair<T> {
    pub active: T,
    pub candidate: T,
}

#[derive(Debug, Clone)]
pub struct OfEndpoint {
    pub endpoint: Arc<Endpoint>,
    pub counts: Counts,
    pub times: Pair<Summary>,
    /// Why nothing of it could be run.
    pub problem: Option<String>,
}

/// What is told of the times of calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub calls: u64,
    /// `None` where there was no call.
    pub p50: Option<Duration>,
    pub p99: Option<Duration>,
    pub longest: Duration,
}

/// Why none began.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "{0} backtests are running, which is the limit (`backtest.max_running`); wait for one, or cancel it."
    )]
    Full(usize),
    #[error("The server is stopping.")]
    Stopping,
}

/// Keeps the backtests of a host, the latest at the front, and runs them.
pub struct Backtests {
    /// Neither is held between backtests: the store is closed once nobody has it any more.
    workshop: Weak<Workshop>,
    store: Weak<dyn Store>,
    backlog: Arc<Backlog>,
    settings: Settings,
    kept: Mutex<VecDeque<Arc<Backtest>>>,
    stop: watch::Receiver<bool>,
}

impl State {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            State::Running | State::Activating => "running",
            State::Done => "done",
            State::Cancelled => "cancelled",
            State::Failed => "failed",
        }
    }

    pub fn has_ended(self) -> bool {
        !matches!(self, State::Running | State::Activating)
    }
}

impl Summary {
    pub fn of(times: &Times) -> Self {
        Self {
            calls: times.calls,
            p50: times.quantile(0.5),
            p99: times.quantile(0.99),
            longest: times.longest,
        }
    }
}

impl Backtests {
    pub(super) fn new(
        workshop: &Arc<Workshop>,
        store: &Arc<dyn Store>,
        backlog: Arc<Backlog>,
        settings: Settings,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let (workshop, store) = (Arc::downgrade(workshop), Arc::downgrade(store));
        Self { workshop, store, backlog, settings, kept: Mutex::default(), stop }
    }

    /// Begins one. The endpoints and the versions of all plugins are those of now.
    ///
    /// # Errors
    ///
    /// Where as many run as there may be, or the server stops.
    pub fn begin(&self, order: Order, objections: Vec<Objection>) -> Result<Arc<Backtest>, Refused> {
        let workshop = self.workshop.upgrade().ok_or(Refused::Stopping)?;
        let store = self.store.upgrade().ok_or(Refused::Stopping)?;
        let (book, plugins) = (workshop.book.snapshot(), workshop.catalog.snapshot());
        let endpoints = book.entries().map(|entry| &entry.endpoint);
        let subjects: Vec<Arc<Endpoint>> =
            endpoints.filter(|endpoint| order.concerns(endpoint)).cloned().collect();
        let now = workshop.clock.now();
        let backtest = Arc::new(Backtest {
            id: JobId::mint(now, rand::random()),
            created_at: now,
            active: plugins.active(&order.plugin),
            objections,
            endpoints: subjects.len(),
            order,
            standing: Mutex::default(),
            cancelled: watch::Sender::new(false),
        });
        self.keep(&backtest)?;
        let walk = Walk {
            backtest: backtest.clone(),
            settings: self.settings,
            backlog: self.backlog.clone(),
            plugins,
            store,
            workshop,
        };
        tokio::spawn(run(walk, subjects, self.stop.clone()));
        Ok(backtest)
    }

    /// The latest first.
    pub fn list(&self) -> Vec<Arc<Backtest>> {
        self.kept().iter().cloned().collect()
    }

    pub fn get(&self, id: JobId) -> Option<Arc<Backtest>> {
        self.kept().iter().find(|backtest| backtest.id == id).cloned()
    }

    fn keep(&self, backtest: &Arc<Backtest>) -> Result<(), Refused> {
        let mut kept = self.kept();
        let running = kept.iter().filter(|backtest| !backtest.state().has_ended()).count();
        if running >= self.settings.max_running {
            return Err(Refused::Full(self.settings.max_running));
        }
        kept.push_front(backtest.clone());
        let mut ended = 0;
        kept.retain(|backtest| {
            ended += usize::from(backtest.state().has_ended());
            !backtest.state().has_ended() || ended <= self.settings.max_kept
        });
        Ok(())
    }

    fn kept(&self) -> MutexGuard<'_, VecDeque<Arc<Backtest>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Order {
    fn concerns(&self, endpoint: &Endpoint) -> bool {
        match (self.endpoint, &self.candidate.config) {
            (Some(wanted), _) if wanted != endpoint.id => false,
            (_, Some(_)) => true,
            (_, None) => endpoint.terms.links().any(|transform| transform.plugin == self.plugin),
        }
    }

    /// The endpoint's chain with the candidate in it.
    fn with_candidate(&self, endpoint: &Endpoint, plugins: &[Plugin]) -> Subject {
        let (mut endpoint, mut plugins) = (endpoint.clone(), plugins.to_vec());
        let steps = endpoint.terms.steps.len();
        let Candidate { version, config } = &self.candidate;
        match config {
            Some((place, config)) => {
                if let Some(transform) = endpoint.terms.transforms.get_mut(*place) {
                    transform.config = config.clone();
                    plugins[steps + place] = version.clone();
                }
            }
            None => {
                let links = endpoint.terms.links().zip(&mut plugins);
                links
                    .filter(|(transform, _)| transform.plugin == self.plugin)
                    .for_each(|(_, plugin)| *plugin = version.clone());
            }
        }
        Subject { endpoint, plugins }
    }
}

impl Backtest {
    pub fn standing(&self) -> Standing {
        self.now().clone()
    }

    pub fn state(&self) -> State {
        self.now().state
    }

    /// Ends it. What it has found stays. False where it has ended already, or activates its candidate.
    pub fn cancel(&self, now: Timestamp) -> bool {
        let is_first = self.end(State::Cancelled, Some("It was cancelled by request.".to_owned()), now);
        self.cancelled.send_replace(true);
        is_first
    }

    /// True where this ended it.
    fn end(&self, state: State, reason: Option<String>, now: Timestamp) -> bool {
        self.end_in(&[State::Running], state, reason, now)
    }

    fn end_in(&self, from: &[State], state: State, reason: Option<String>, now: Timestamp) -> bool {
        let mut standing = self.now();
        if !from.contains(&standing.state) {
            return false;
        }
        standing.state = state;
        standing.finished_at = Some(now);
        standing.reason = reason;
        true
    }

    fn now(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a walk ended.
enum Way {
    Through,
    Short(String),
    Failed(String),
}

async fn run(walk: Walk, subjects: Vec<Arc<Endpoint>>, mut stop: watch::Receiver<bool>) {
    let unfinished = Unfinished(&walk);
    let limit = walk.settings.time_limit;
    let mut cancelled = walk.backtest.cancelled.subscribe();
    let way = tokio::select! {
        way = walk.go(subjects) => way,
        () = tokio::time::sleep(limit) => {
            Way::Short(format!("It took longer than {} (`backtest.time_limit`).", format_span(limit)))
        }
        _ = cancelled.wait_for(|cancelled| *cancelled) => return,
        _ = stop.wait_for(|stop| *stop) => return,
    };
    let now = walk.workshop.clock.now();
    let backtest = &walk.backtest;
    let (state, reason) = match way {
        Way::Failed(reason) => (State::Failed, Some(reason)),
        Way::Short(reason) if backtest.order.gate => {
            let reason = format!("{reason} Nothing was activated, since not all was looked at.");
            (State::Done, Some(reason))
        }
        Way::Short(reason) => (State::Done, Some(reason)),
        Way::Through => {
            backtest.now().complete = true;
            if backtest.order.gate {
                activate(&walk).await;
            }
            (State::Done, None)
        }
    };
    backtest.end(state, reason, now);
    drop(unfinished);
}

/// Activates the candidate where nothing newly fails, in place of the version that it was held against.
async fn activate(walk: &Walk) {
    let (backtest, now) = (&walk.backtest, walk.workshop.clock.now());
    let failing = backtest.now().counts.of(Change::NewlyFailing);
    if failing > 0 {
        let reason = format!("It was not activated: {failing} of the events newly fail.");
        backtest.end(State::Done, Some(reason), now);
        return;
    }
    let unseen = backtest.now().endpoints.iter().filter(|endpoint| endpoint.problem.is_some()).count();
    if unseen > 0 {
        let reason = format!("It was not activated: {unseen} of the endpoints could not be looked at.");
        backtest.end(State::Done, Some(reason), now);
        return;
    }
    {
        let mut standing = backtest.now();
        if standing.state != State::Running {
            return;
        }
        standing.state = State::Activating;
    }
    let name = backtest.order.plugin.clone();
    let digest = backtest.order.candidate.version.digest().to_owned();
    let over = backtest.active.as_ref().map(|plugin| plugin.digest().to_owned());
    let done = walk.workshop.catalog.activate_over(name, digest, over).await;
    let mut standing = backtest.now();
    standing.activated = done.is_ok();
    standing.reason = done.err().map(|error| refusal(&error));
    standing.state = State::Done;
    standing.finished_at = Some(walk.workshop.clock.now());
}

fn refusal(error: &CatalogError) -> String {
    match error {
        CatalogError::Objected(_) => format!("Nothing newly fails, but {error}."),
        error => format!("Nothing newly fails, but it was not activated: {error}."),
    }
}

/// Whatever ends the task, the backtest does not stay under way.
struct Unfinished<'w>(&'w Walk);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        let (backtest, now) = (&self.0.backtest, self.0.workshop.clock.now());
        let reason = Some("It was broken off; begin it again.".to_owned());
        backtest.end_in(&[State::Running, State::Activating], State::Failed, reason, now);
        let standing = backtest.now();
        info!(backtest = %backtest.id, plugin = backtest.order.plugin, state = standing.state.word(),
            events = standing.counts.all(), activated = standing.activated, "a backtest has ended");
    }
}
