//! Jobs, in plain memory.

use async_trait::async_trait;

use super::{Contents, MemoryStore, Row, places};
use crate::delivery::Delivery;
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::jobs::{Job, JobEnd, JobState, Jobs, Made, Skip, Step, Target};
use crate::store::{Replay, Result};
use crate::time::Timestamp;

#[async_trait]
impl Jobs for MemoryStore {
    async fn jobs(&self) -> Result<Vec<Job>> {
        Ok(self.contents().jobs.values().rev().cloned().collect())
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(self.contents().jobs.get(&id).cloned())
    }

    async fn create_job(&self, job: Job) -> Result<()> {
        self.contents().jobs.insert(job.id, job);
        Ok(())
    }

    async fn advance(&self, step: Step) -> Result<Option<Job>> {
        let mut contents = self.contents();
        let Some(mut job) = contents.jobs.get(&step.job).filter(|job| job.is_at(step.from)).cloned() else {
            return Ok(None);
        };
        let made: Vec<Made> =
            step.targets.iter().map(|target| contents.make(*target, job.new_id, step.now)).collect();
        contents.count();
        job.advance(&step, &made);
        contents.jobs.insert(job.id, job.clone());
        Ok(Some(job))
    }

    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<JobEnd> {
        Ok(match self.contents().jobs.get_mut(&id) {
            None => JobEnd::NotFound,
            Some(job) if job.state != JobState::Running => JobEnd::Ended(job.clone()),
            Some(job) => {
                job.end(state, reason, now);
                JobEnd::Done(job.clone())
            }
        })
    }

    async fn prune_jobs(&self, before: Timestamp, most: usize) -> Result<usize> {
        let mut contents = self.contents();
        let ended = contents.jobs.values().rev().filter(|job| job.state != JobState::Running).enumerate();
        let gone = ended.filter(|(newer, job)| *newer >= most || job.ended_before(before));
        let gone: Vec<JobId> = gone.map(|(_, job)| job.id).collect();
        gone.iter().for_each(|id| drop(contents.jobs.remove(id)));
        Ok(gone.len())
    }
}

impl Contents {
    fn make(&mut self, target: Target, new_id: bool, now: Timestamp) -> Made {
        match target {
            Target::Again(id) if self.was_replayed(id) => Made::Skipped(Skip::Replayed),
            Target::Again(id) => {
                let replay = self.replay(id, new_id, now);
                if let Replay::Done(delivery) = &replay {
                    self.ledger.0.replayed(delivery);
                }
                Made::of(&replay)
            }
            Target::Missing(event, endpoint) => self.make_missing(event, endpoint, now),
        }
    }

    fn was_replayed(&self, id: DeliveryId) -> bool {
        let Some(place) = self.place(id) else { return false };
        self.deliveries.range(places(place.sequence)).any(|(_, row)| row.delivery.replay_of == Some(id))
    }

    fn make_missing(&mut self, event: EventId, endpoint: EndpointId, now: Timestamp) -> Made {
        let Some(sequence) = self.sequences.get(&event).copied() else {
            return Made::Skipped(Skip::Forgotten);
        };
        if !self.endpoints.contains_key(&endpoint) {
            return Made::Skipped(Skip::EndpointDeleted);
        }
        let Some(entry) = self.events.get(&sequence) else { return Made::Skipped(Skip::Forgotten) };
        let to_it = |(_, row): (_, &Row)| row.delivery.endpoint == endpoint;
        if entry.promised.contains(&endpoint) || self.deliveries.range(places(sequence)).any(to_it) {
            return Made::Skipped(Skip::Present);
        }
        let entry = entry.event.clone();
        let Some(place) = self.next_place(event) else { return Made::Skipped(Skip::EventFull) };
        let id = DeliveryId::of(event, place.ordinal);
        let delivery = Delivery::late(id, endpoint, &entry, now);
        self.ledger.0.replayed(&delivery);
        let in_line = self.joins(endpoint, id);
        self.deliveries.insert(place, Row { in_line, ..Row::new(delivery) });
        Made::Delivery
    }
}
