//! Jobs; their steps, in the transaction of the deliveries that they make.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::Result;
use crate::store::jobs::{Job, JobEnd, JobState, Jobs, Made, Skip, Step, Target};
use crate::store::redb::jobs::{read, written};
use crate::time::Timestamp;

use super::PostgresStore;
use super::append;
use super::row::Id;
use super::steer::{Remake, deliveries_of, event};
use super::transaction::{Done, Lock, Transaction};

#[async_trait]
impl Jobs for PostgresStore {
    async fn jobs(&self) -> Result<Vec<Job>> {
        self.shared.transact(Lock::Free, |transaction| async move { all(&transaction).await }).await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.shared.transact(Lock::Free, |transaction| async move { get(&transaction, id).await }).await
    }

    async fn create_job(&self, job: Job) -> Result<()> {
        let job = &job;
        self.shared.transact(Lock::Free, |transaction| async move { put(&transaction, job).await }).await
    }

    async fn advance(&self, step: Step) -> Result<Option<Job>> {
        let step = &step;
        self.shared
            .transact(Lock::Alone, |transaction| async move { advance(&transaction, step).await })
            .await
    }

    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<JobEnd> {
        let reason = &reason;
        let work = |transaction: Arc<Transaction>| async move {
            let Some(mut job) = get(&transaction, id).await? else { return Ok(JobEnd::NotFound) };
            if job.state != JobState::Running {
                return Ok(JobEnd::Ended(job));
            }
            job.end(state, reason.clone(), now);
            put(&transaction, &job).await?;
            Ok(JobEnd::Done(job))
        };
        self.shared.transact(Lock::Alone, work).await
    }

    async fn prune_jobs(&self, before: Timestamp, most: usize) -> Result<usize> {
        // What has ended stays as it is, so nobody has to wait while it is looked for.
        let look = |transaction: Arc<Transaction>| async move {
            let jobs = all(&transaction).await?;
            let ended = jobs.iter().filter(|job| job.state != JobState::Running).enumerate();
            let gone = ended.filter(|(newer, job)| *newer >= most || job.ended_before(before));
            Ok(gone.map(|(_, job)| Id(job.id.as_u128())).collect::<Vec<Id>>())
        };
        let gone = self.shared.transact(Lock::Free, look).await?;
        if gone.is_empty() {
            return Ok(0);
        }
        let (number, gone) = (gone.len(), &gone);
        let delete = |transaction: Arc<Transaction>| async move {
            transaction.execute(include_str!("sql/delete_jobs.sql"), &[gone]).await
        };
        self.shared.transact(Lock::Alone, delete).await?;
        Ok(number)
    }
}

/// Newest first.
async fn all(transaction: &Transaction) -> Done<Vec<Job>> {
    let rows = transaction.query(include_str!("sql/jobs.sql"), &[]).await?;
    rows.iter().map(of_row).collect()
}

async fn get(transaction: &Transaction, id: JobId) -> Done<Option<Job>> {
    let rows = transaction.query(include_str!("sql/job.sql"), &[&Id(id.as_u128())]).await?;
    rows.first().map(of_row).transpose()
}

fn of_row(row: &tokio_postgres::Row) -> Done<Job> {
    let id = JobId::from_u128(row.try_get::<_, Id>("id")?.0);
    Ok(read(id, row.try_get("row")?)?)
}

async fn put(transaction: &Transaction, job: &Job) -> Done<()> {
    let (id, row) = (Id(job.id.as_u128()), written(job)?);
    transaction.execute(include_str!("sql/put_job.sql"), &[&id, &row]).await?;
    Ok(())
}

async fn advance(transaction: &Transaction, step: &Step) -> Done<Option<Job>> {
    let Some(mut job) = get(transaction, step.job).await?.filter(|job| job.is_at(step.from)) else {
        return Ok(None);
    };
    let (mut remake, mut replayed) = (Remake::default(), Replayed::default());
    let mut made = Vec::with_capacity(step.targets.len());
    for target in &step.targets {
        made.push(match *target {
            Target::Again(id) if replayed.holds(transaction, id).await? => Made::Skipped(Skip::Replayed),
            Target::Again(id) => Made::of(&remake.replay(transaction, id, job.new_id, step.now).await?),
            Target::Missing(event, endpoint) => {
                make_missing(transaction, &mut remake, event, endpoint, step.now).await?
            }
        });
    }
    job.advance(step, &made);
    put(transaction, &job).await?;
    remake.write(transaction)?;
    Ok(Some(job))
}

/// Deliveries of one event that were delivered again before this step. Read once for all of them: the targets of a step
/// that are of one event follow on each other.
#[derive(Default)]
struct Replayed {
    event: Option<EventId>,
    originals: HashSet<DeliveryId>,
}

impl Replayed {
    async fn holds(&mut self, transaction: &Transaction, id: DeliveryId) -> Done<bool> {
        if self.event != Some(id.event()) {
            self.event = Some(id.event());
            self.originals = originals(transaction, id.event()).await?;
        }
        Ok(self.originals.contains(&id))
    }
}

async fn originals(transaction: &Transaction, id: EventId) -> Done<HashSet<DeliveryId>> {
    let Some((sequence, _)) = event(transaction, id).await? else { return Ok(HashSet::new()) };
    let deliveries = deliveries_of(transaction, sequence).await?;
    Ok(deliveries.into_iter().filter_map(|delivery| delivery.replay_of).collect())
}

async fn make_missing(
    transaction: &Transaction,
    remake: &mut Remake,
    id: EventId,
    endpoint: EndpointId,
    now: Timestamp,
) -> Done<Made> {
    let Some((sequence, stored)) = event(transaction, id).await? else {
        return Ok(Made::Skipped(Skip::Forgotten));
    };
    let endpoints = append::endpoint_states(transaction, HashSet::from([endpoint])).await?;
    if endpoints.is_empty() {
        return Ok(Made::Skipped(Skip::EndpointDeleted));
    }
    let there = deliveries_of(transaction, sequence).await?;
    if stored.endpoints.contains(&endpoint) || there.iter().any(|delivery| delivery.endpoint == endpoint) {
        return Ok(Made::Skipped(Skip::Present));
    }
    let made = remake.make_late(transaction, sequence, &stored.event, endpoint, now, &endpoints).await?;
    Ok(if made { Made::Delivery } else { Made::Skipped(Skip::EventFull) })
}
