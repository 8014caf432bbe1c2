//! Jobs that deliver again: step by step, at a bounded pace, and only while live traffic leaves room.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::book::{Book, Snapshot};
use crate::id::{EndpointId, EventId};
use crate::live::Live;
use crate::store::jobs::{Job, JobEnd, JobState, Selection, Step, Target};
use crate::store::{PageRequest, Result, Store};
use crate::time::{Clock, Timestamp};

use super::backlog::Backlog;
use super::feed::Agenda;

/// Most targets of a step, so that the store's writer is never kept from others for long.
const MOST_TARGETS: usize = 200;
/// Steps in a second, where the rate allows for as many targets.
const STEPS_PER_SECOND: usize = 10;
/// Pause between two steps that made nothing.
const BREATHER: Duration = Duration::from_millis(5);
/// Pause before it is looked again whether live traffic leaves room, or the store can work.
const WAIT: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Deliveries made in a second, by all jobs together.
    pub rate: usize,
    /// Deliveries of one endpoint that may be pending before its replays wait.
    pub max_pending: usize,
    /// How long, and how many, jobs are kept that have ended.
    pub kept_for: Duration,
    pub kept: usize,
    /// How long a round rests where no job runs. A new one of this host wakes it up.
    pub rest: Duration,
}

/// Does the steps of all jobs that run, in turns.
pub struct Replays {
    pub store: Arc<dyn Store>,
    pub book: Arc<Book>,
    pub clock: Arc<dyn Clock>,
    pub backlog: Arc<Backlog>,
    pub agenda: Arc<Agenda>,
    pub live: Arc<Live>,
    pub settings: Settings,
    /// Told of each new job.
    pub news: Arc<Notify>,
    /// Turns true once.
    pub stop: watch::Receiver<bool>,
}

/// What came of a turn.
enum Turn {
    Made(u64),
    /// Live traffic goes first.
    Waits,
    /// Cancelled, or somebody else's by now.
    Lost,
}

impl Replays {
    /// Runs until it is told to stop. What is not done then goes on at the next start.
    pub async fn run(self) {
        while !*self.stop.borrow() {
            let pause = match self.round().await {
                Ok(pause) => pause,
                Err(error) => {
                    warn!(%error, "replays have to wait");
                    WAIT
                }
            };
            let mut stop = self.stop.clone();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = self.news.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// A turn for each job that runs. Answers how long to rest after it.
    async fn round(&self) -> Result<Duration> {
        let now = self.clock.now();
        self.store.prune_jobs(now.minus(self.settings.kept_for), self.settings.kept).await?;
        let mut running: Vec<Job> = self.store.jobs().await?;
        running.retain(|job| job.state == JobState::Running);
        if running.is_empty() {
            return Ok(self.settings.rest);
        }
        let mut waits = true;
        for job in running {
            if *self.stop.borrow() {
                break;
            }
            match self.turn(&job).await? {
                Turn::Made(made) => {
                    waits = false;
                    self.keep_pace(made).await;
                }
                Turn::Waits => {}
                Turn::Lost => waits = false,
            }
        }
        Ok(if waits { WAIT } else { Duration::ZERO })
    }

    async fn keep_pace(&self, made: u64) {
        let pause = Duration::from_secs(made) / u32::try_from(self.settings.rate.max(1)).unwrap_or(u32::MAX);
        let mut stop = self.stop.clone();
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => {}
            () = tokio::time::sleep(pause.max(BREATHER)) => {}
        }
    }

    async fn turn(&self, job: &Job) -> Result<Turn> {
        if self.backlog.is_busy() {
            return Ok(Turn::Waits);
        }
        let planned =
            if job.selection.missing { self.plan_missing(job).await? } else { self.plan(job).await? };
        let step = match planned {
            Plan::Step(step) => step,
            Plan::Fail(reason) => return self.fail(job, reason).await,
            Plan::Wait => return Ok(Turn::Waits),
        };
        let made_before = job.progress.made;
        let (events, now) = (events_of(&step), step.now);
        let Some(job) = self.store.advance(step).await? else { return Ok(Turn::Lost) };
        let made = job.progress.made.saturating_sub(made_before);
        if made > 0 {
            self.agenda.expect(self.clock.now());
            self.tell(&events, now).await;
        }
        if job.state == JobState::Done {
            info!(job = %job.id, made = job.progress.made, looked_at = job.progress.looked_at, "replayed");
        }
        Ok(Turn::Made(made))
    }

    /// Tells those who watch what a step has made; nobody but the store knows it. The step stands, whether or not they can
    /// be told.
    async fn tell(&self, events: &[EventId], now: Timestamp) {
        for event in events {
            if !self.live.is_watched() {
                return;
            }
            let record = match self.store.event(*event).await {
                Ok(record) => record,
                Err(error) => {
                    warn!(%error, "those who watch deliveries are not told of all that a replay has made");
                    return;
                }
            };
            let deliveries = record.iter().flat_map(|record| &record.deliveries);
            deliveries.filter(|delivery| delivery.created_at == now).for_each(|made| self.live.tell(made));
        }
    }

    async fn fail(&self, job: &Job, reason: String) -> Result<Turn> {
        warn!(job = %job.id, reason, "a replay has failed");
        let ended = self.store.end_job(job.id, JobState::Failed, Some(reason), self.clock.now()).await?;
        Ok(if matches!(ended, JobEnd::Done(_)) { Turn::Made(0) } else { Turn::Lost })
    }

    fn page(&self, job: &Job) -> PageRequest {
        let limit = (self.settings.rate / STEPS_PER_SECOND).clamp(1, MOST_TARGETS);
        PageRequest { after: job.progress.cursor, limit }
    }

    /// The next deliveries.
    async fn plan(&self, job: &Job) -> Result<Plan> {
        let page = self.store.deliveries(job.deliveries(), self.page(job)).await?;
        let mut endpoints: Vec<EndpointId> = page.items.iter().map(|delivery| delivery.endpoint).collect();
        endpoints.sort_unstable();
        endpoints.dedup();
        if self.is_crowded(endpoints).await? {
            return Ok(Plan::Wait);
        }
        let targets = page.items.iter().map(|delivery| Target::Again(delivery.id)).collect();
        Ok(Plan::Step(Step { next: page.next, targets, ..self.step(job) }))
    }

    /// The next events, of which those are targets that the endpoint wants.
    async fn plan_missing(&self, job: &Job) -> Result<Plan> {
        let book = self.book.snapshot();
        let Some(endpoint) = wanting(&book, &job.selection) else {
            return Ok(Plan::Fail("Its endpoint was deleted.".to_owned()));
        };
        if self.is_crowded(vec![endpoint.id]).await? {
            return Ok(Plan::Wait);
        }
        let page = self.store.events(job.events(), self.page(job)).await?;
        let wanted = page.items.iter().filter(|event| {
            event.tenant == endpoint.tenant
                && endpoint.subscription.matches(&event.event_type, &event.channels)
        });
        let targets: Vec<Target> = wanted.map(|event| Target::Missing(event.id, endpoint.id)).collect();
        let passed_over = (page.items.len() - targets.len()) as u64;
        Ok(Plan::Step(Step { next: page.next, targets, passed_over, ..self.step(job) }))
    }

    fn step(&self, job: &Job) -> Step {
        Step {
            job: job.id,
            from: job.progress.cursor,
            next: None,
            targets: Vec::new(),
            passed_over: 0,
            now: self.clock.now(),
        }
    }

    /// Whether so much waits for one of them that replays would only make the line longer.
    async fn is_crowded(&self, endpoints: Vec<EndpointId>) -> Result<bool> {
        let standings = self.store.standings(endpoints).await?;
        Ok(standings.iter().any(|standing| standing.pending >= self.settings.max_pending as u64))
    }
}

enum Plan {
    Step(Step),
    Fail(String),
    Wait,
}

/// Whose deliveries a step makes, each once.
fn events_of(step: &Step) -> Vec<EventId> {
    let event = |target: &Target| match target {
        Target::Again(delivery) => delivery.event(),
        Target::Missing(event, _) => *event,
    };
    let mut events: Vec<EventId> = step.targets.iter().map(event).collect();
    events.sort_unstable();
    events.dedup();
    events
}

fn wanting<'b>(book: &'b Snapshot, selection: &Selection) -> Option<&'b Arc<crate::endpoint::Endpoint>> {
    selection.endpoint.and_then(|id| book.entry(id)).map(|entry| &entry.endpoint)
}
