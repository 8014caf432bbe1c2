//! Jobs that deliver again in the background: what they are, and the role of keeping them.
//!
//! A job walks over what is stored, newest first, in steps. Each step is one commit, of the deliveries that it makes
//! and of how far the job has come: so a job that is cut off goes on where it was, and makes nothing twice.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::delivery::State;
use crate::event::{EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::time::Timestamp;

use super::{DeliveryFilter, EventFilter, Place, Replay, Result};

/// Keeps jobs, and does their steps.
#[async_trait]
pub trait Jobs: Send + Sync + 'static {
    /// All that are kept, newest first.
    async fn jobs(&self) -> Result<Vec<Job>>;

    async fn job(&self, id: JobId) -> Result<Option<Job>>;

    async fn create_job(&self, job: Job) -> Result<()>;

    /// Makes the deliveries of a step and notes how far the job has come, in one commit. Answers the job as it stands
    /// then. `None` where it no longer runs or has come to another place since the step was planned: nothing is written
    /// then.
    async fn advance(&self, step: Step) -> Result<Option<Job>>;

    /// Ends a job that runs, in `state`, which is not [`JobState::Running`].
    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<JobEnd>;

    /// Forgets jobs that ended before `before`, and of the others that have ended all but the `most` newest. Those that
    /// run stay. Answers how many it forgot.
    async fn prune_jobs(&self, before: Timestamp, most: usize) -> Result<usize>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    pub id: JobId,
    pub created_at: Timestamp,
    pub selection: Selection,
    /// Each delivery gets a `webhook-id` of its own.
    pub new_id: bool,
    pub state: JobState,
    pub finished_at: Option<Timestamp>,
    /// Why it was cancelled or has failed, as a sentence.
    pub reason: Option<String>,
    pub progress: Progress,
}

/// What a job delivers again.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Selection {
    pub tenant: Option<Tenant>,
    pub endpoint: Option<EndpointId>,
    pub state: Option<State>,
    pub event_type: Option<EventType>,
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// Instead of deliveries: events that the endpoint, which is named then, wants by now and never got.
    pub missing: bool,
}

impl Job {
    /// The deliveries that it is about. Never what was made after it.
    pub fn deliveries(&self) -> DeliveryFilter {
        let Selection { tenant, endpoint, state, event_type, since, .. } = self.selection.clone();
        let until = Some(self.until());
        DeliveryFilter { tenant, endpoint, state, event_type, since, until, ..DeliveryFilter::default() }
    }

    /// The events that it looks through, where it is about missing ones.
    pub fn events(&self) -> EventFilter {
        let Selection { tenant, event_type, since, .. } = self.selection.clone();
        EventFilter { tenant, event_type, since, until: Some(self.until()), ..EventFilter::default() }
    }

    /// Its own deliveries come after it, so that it never meets them.
    fn until(&self) -> Timestamp {
        self.selection.until.map_or(self.created_at, |until| until.min(self.created_at))
    }

    /// Whether a step that was planned from `cursor` still fits.
    pub(super) fn is_at(&self, cursor: Option<Place>) -> bool {
        self.state == JobState::Running && self.progress.cursor == cursor
    }

    /// Notes a step and what came of its targets.
    pub(super) fn advance(&mut self, step: &Step, made: &[Made]) {
        self.progress.cursor = step.next.or(self.progress.cursor);
        self.progress.looked_at += made.len() as u64 + step.passed_over;
        if step.passed_over > 0 {
            *self.progress.skipped.entry(Skip::NotWanted).or_default() += step.passed_over;
        }
        for made in made {
            match made {
                Made::Delivery => self.progress.made += 1,
                Made::Skipped(why) => *self.progress.skipped.entry(*why).or_default() += 1,
            }
        }
        if step.next.is_none() {
            self.end(JobState::Done, None, step.now);
        }
    }

    pub(super) fn end(&mut self, state: JobState, reason: Option<String>, now: Timestamp) {
        self.state = state;
        self.reason = reason;
        self.finished_at = Some(now);
    }

    /// Whether [`Jobs::prune_jobs`] forgets it for its age.
    pub(super) fn ended_before(&self, before: Timestamp) -> bool {
        self.finished_at.is_some_and(|at| at < before)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JobState {
    Running,
    Done,
    Cancelled,
    Failed,
}

impl JobState {
    pub const ALL: [JobState; 4] = [JobState::Running, JobState::Done, JobState::Cancelled, JobState::Failed];

    pub fn word(self) -> &'static str {
        match self {
            JobState::Running => "running",
            JobState::Done => "done",
            JobState::Cancelled => "cancelled",
            JobState::Failed => "failed",
        }
    }
}

/// How far a job has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// Where it goes on: behind this place. `None` at its beginning.
    pub cursor: Option<Place>,
    /// Deliveries, or events where it is about missing ones. What was made and what was skipped add up to it.
    pub looked_at: u64,
    pub made: u64,
    pub skipped: BTreeMap<Skip, u64>,
}

/// Why nothing was delivered again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// It is pending: it is being delivered as it is.
    Pending,
    /// It was delivered again already: the latest of its line stands for it.
    Replayed,
    EndpointDeleted,
    /// Its event has as many deliveries as it can have.
    EventFull,
    /// It was forgotten meanwhile.
    Forgotten,
    /// The endpoint got the event, or is getting it.
    Present,
    /// The endpoint does not want such events.
    NotWanted,
}

impl Skip {
    pub const ALL: [Skip; 7] = [
        Skip::Pending,
        Skip::Replayed,
        Skip::EndpointDeleted,
        Skip::EventFull,
        Skip::Forgotten,
        Skip::Present,
        Skip::NotWanted,
    ];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Skip::Pending => "pending",
            Skip::Replayed => "replayed",
            Skip::EndpointDeleted => "endpoint_deleted",
            Skip::EventFull => "event_full",
            Skip::Forgotten => "forgotten",
            Skip::Present => "present",
            Skip::NotWanted => "not_wanted",
        }
    }
}

/// A part of a job's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub job: JobId,
    /// Where the job was when the step was planned.
    pub from: Option<Place>,
    /// Where it goes on; `None` at the end.
    pub next: Option<Place>,
    pub targets: Vec<Target>,
    /// Events that were looked at beside the targets, and that the endpoint does not want.
    pub passed_over: u64,
    pub now: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// A finished delivery: made again.
    Again(DeliveryId),
    /// An event that an endpoint is to get, unless it has a delivery of it already.
    Missing(EventId, EndpointId),
}

/// What came of ending a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobEnd {
    Done(Job),
    /// It had ended before.
    Ended(Job),
    NotFound,
}

/// What came of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Made {
    Delivery,
    Skipped(Skip),
}

impl Made {
    pub fn of(replay: &Replay) -> Self {
        match replay {
            Replay::Done(_) => Made::Delivery,
            Replay::Pending(_) => Made::Skipped(Skip::Pending),
            Replay::NoEndpoint => Made::Skipped(Skip::EndpointDeleted),
            Replay::Full => Made::Skipped(Skip::EventFull),
            Replay::NotFound => Made::Skipped(Skip::Forgotten),
        }
    }
}
