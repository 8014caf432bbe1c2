//! Jobs, in a table of their own; their steps, in the commit of the deliveries that they make.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;
use redb::{ReadableDatabase, ReadableTable};
use serde::{Deserialize, Serialize};

use super::record::{
    corrupt, decode, decode_delivery, decode_event_head, decode_state, encode, encode_state,
};
use super::tables::{self, first_place, place_key};
use super::writer::Txn;
use super::{RedbStore, blocking, io, queue};
use crate::delivery::Delivery;
use crate::event::{EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::jobs::{Job, JobEnd, JobState, Jobs, Made, Progress, Selection, Skip, Step, Target};
use crate::store::{Place, Result};
use crate::time::Timestamp;

#[async_trait]
impl Jobs for RedbStore {
    async fn jobs(&self) -> Result<Vec<Job>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::JOBS).map_err(io)?;
            all(&table)
        })
        .await
    }

    async fn job(&self, id: JobId) -> Result<Option<Job>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::JOBS).map_err(io)?;
            get(&table, id)
        })
        .await
    }

    async fn create_job(&self, job: Job) -> Result<()> {
        self.write(move |txn| put(txn, &job)).await
    }

    async fn advance(&self, step: Step) -> Result<Option<Job>> {
        self.write(move |txn| advance(txn, &step)).await
    }

    async fn end_job(
        &self,
        id: JobId,
        state: JobState,
        reason: Option<String>,
        now: Timestamp,
    ) -> Result<JobEnd> {
        self.write(move |txn| {
            let Some(mut job) = get(&txn.tables.jobs, id)? else { return Ok(JobEnd::NotFound) };
            if job.state != JobState::Running {
                return Ok(JobEnd::Ended(job));
            }
            job.end(state, reason, now);
            put(txn, &job)?;
            Ok(JobEnd::Done(job))
        })
        .await
    }

    async fn prune_jobs(&self, before: Timestamp, most: usize) -> Result<usize> {
        self.write(move |txn| {
            let jobs = all(&txn.tables.jobs)?;
            let ended = jobs.iter().filter(|job| job.state != JobState::Running).enumerate();
            let gone = ended.filter(|(newer, job)| *newer >= most || job.ended_before(before));
            let mut forgotten = 0;
            for (_, job) in gone {
                txn.tables.jobs.remove(job.id.as_u128()).map_err(io)?;
                forgotten += 1;
            }
            Ok(forgotten)
        })
        .await
    }
}

/// Newest first.
fn all(table: &impl ReadableTable<u128, &'static [u8]>) -> Result<Vec<Job>> {
    let mut jobs = Vec::new();
    for row in table.iter().map_err(io)?.rev() {
        let (id, row) = row.map_err(io)?;
        jobs.push(read(JobId::from_u128(id.value()), row.value())?);
    }
    Ok(jobs)
}

fn get(table: &impl ReadableTable<u128, &'static [u8]>, id: JobId) -> Result<Option<Job>> {
    table.get(id.as_u128()).map_err(io)?.map(|row| read(id, row.value())).transpose()
}

fn put(txn: &mut Txn<'_>, job: &Job) -> Result<()> {
    let row = written(job)?;
    txn.tables.jobs.insert(job.id.as_u128(), row.as_slice()).map_err(io)?;
    Ok(())
}

/// A job as a row.
pub fn written(job: &Job) -> Result<Vec<u8>> {
    encode(&JobRow::of(job))
}

pub fn read(id: JobId, row: &[u8]) -> Result<Job> {
    decode::<JobRow<'_>>(row)?.into_job(id)
}

fn advance(txn: &mut Txn<'_>, step: &Step) -> Result<Option<Job>> {
    let Some(mut job) = get(&txn.tables.jobs, step.job)?.filter(|job| job.is_at(step.from)) else {
        return Ok(None);
    };
    let mut replayed = Replayed::default();
    let mut made = Vec::with_capacity(step.targets.len());
    for target in &step.targets {
        made.push(match *target {
            Target::Again(id) if replayed.holds(txn, id)? => Made::Skipped(Skip::Replayed),
            Target::Again(id) => Made::of(&queue::replay(txn, id, job.new_id, step.now)?),
            Target::Missing(event, endpoint) => make_missing(txn, event, endpoint, step.now)?,
        });
    }
    job.advance(step, &made);
    put(txn, &job)?;
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
    fn holds(&mut self, txn: &Txn<'_>, id: DeliveryId) -> Result<bool> {
        if self.event != Some(id.event()) {
            self.event = Some(id.event());
            self.originals = originals(txn, id.event())?;
        }
        Ok(self.originals.contains(&id))
    }
}

fn originals(txn: &Txn<'_>, event: EventId) -> Result<HashSet<DeliveryId>> {
    let Some(sequence) = queue::sequence_of(&txn.tables.sequences, event)? else {
        return Ok(HashSet::new());
    };
    let later = later_deliveries(txn, sequence)?.into_iter();
    Ok(later.filter_map(|delivery| delivery.replay_of).collect())
}

/// What was made of an event beside what it promised.
fn later_deliveries(txn: &Txn<'_>, sequence: u64) -> Result<Vec<Delivery>> {
    // Else nothing was.
    if txn.tables.ordinals.get(sequence).map_err(io)?.is_none() {
        return Ok(Vec::new());
    }
    let Some(row) = txn.tables.events.get(sequence).map_err(io)? else { return Ok(Vec::new()) };
    let promised = decode_event_head(row.value())?.endpoints.len();
    let first = place_key(first_place(sequence)) + promised as u64;
    let last = place_key(first_place(sequence)) | u64::from(u16::MAX);
    let rows = txn.tables.journal.range((first, 0)..=(last, u32::MAX)).map_err(io)?;
    rows.map(|row| decode_delivery(row.map_err(io)?.1.value())).collect()
}

fn make_missing(txn: &mut Txn<'_>, event: EventId, endpoint: EndpointId, now: Timestamp) -> Result<Made> {
    let Some(sequence) = queue::sequence_of(&txn.tables.sequences, event)? else {
        return Ok(Made::Skipped(Skip::Forgotten));
    };
    if !txn.desk.endpoints.contains_key(&endpoint) {
        return Ok(Made::Skipped(Skip::EndpointDeleted));
    }
    let Some(stored) = queue::stored_event(&txn.tables.events, sequence)? else {
        return Ok(Made::Skipped(Skip::Forgotten));
    };
    let to_it = |delivery: &Delivery| delivery.endpoint == endpoint;
    if stored.endpoints.contains(&endpoint) || later_deliveries(txn, sequence)?.iter().any(to_it) {
        return Ok(Made::Skipped(Skip::Present));
    }
    let made = queue::make_late(txn, sequence, &stored.event, endpoint, now)?;
    Ok(if made { Made::Delivery } else { Made::Skipped(Skip::EventFull) })
}

#[derive(Serialize, Deserialize)]
struct JobRow<'a> {
    created_at: i64,
    tenant: Option<&'a str>,
    endpoint: Option<u128>,
    of_state: Option<u8>,
    event_type: Option<&'a str>,
    since: Option<i64>,
    until: Option<i64>,
    missing: bool,
    new_id: bool,
    state: u8,
    finished_at: Option<i64>,
    reason: Option<&'a str>,
    cursor: Option<(u64, u16)>,
    looked_at: u64,
    made: u64,
    skipped: Vec<(u8, u64)>,
}

impl<'a> JobRow<'a> {
    fn of(job: &'a Job) -> Self {
        let Job { selection, progress, .. } = job;
        Self {
            created_at: job.created_at.as_micros(),
            tenant: selection.tenant.as_ref().map(Tenant::as_str),
            endpoint: selection.endpoint.map(EndpointId::as_u128),
            of_state: selection.state.map(encode_state),
            event_type: selection.event_type.as_ref().map(EventType::as_str),
            since: selection.since.map(Timestamp::as_micros),
            until: selection.until.map(Timestamp::as_micros),
            missing: selection.missing,
            new_id: job.new_id,
            state: index_of(&JobState::ALL, &job.state),
            finished_at: job.finished_at.map(Timestamp::as_micros),
            reason: job.reason.as_deref(),
            cursor: progress.cursor.map(|place| (place.sequence, place.ordinal)),
            looked_at: progress.looked_at,
            made: progress.made,
            skipped: progress
                .skipped
                .iter()
                .map(|(why, count)| (index_of(&Skip::ALL, why), *count))
                .collect(),
        }
    }

    fn into_job(self, id: JobId) -> Result<Job> {
        let skipped = self.skipped.iter().map(|(why, count)| Ok((at(&Skip::ALL, *why)?, *count)));
        Ok(Job {
            id,
            created_at: Timestamp::from_micros(self.created_at),
            selection: Selection {
                tenant: self.tenant.map(Tenant::parse).transpose().map_err(corrupt)?,
                endpoint: self.endpoint.map(EndpointId::from_u128),
                state: self.of_state.map(decode_state).transpose()?,
                event_type: self.event_type.map(EventType::parse).transpose().map_err(corrupt)?,
                since: self.since.map(Timestamp::from_micros),
                until: self.until.map(Timestamp::from_micros),
                missing: self.missing,
            },
            new_id: self.new_id,
            state: at(&JobState::ALL, self.state)?,
            finished_at: self.finished_at.map(Timestamp::from_micros),
            reason: self.reason.map(str::to_owned),
            progress: Progress {
                cursor: self.cursor.map(|(sequence, ordinal)| Place { sequence, ordinal }),
                looked_at: self.looked_at,
                made: self.made,
                skipped: skipped.collect::<Result<BTreeMap<_, _>>>()?,
            },
        })
    }
}

/// Words are stored by their places, which never change.
fn index_of<T: PartialEq>(words: &[T], word: &T) -> u8 {
    words.iter().position(|other| other == word).and_then(|place| u8::try_from(place).ok()).unwrap_or(u8::MAX)
}

fn at<T: Copy>(words: &[T], place: u8) -> Result<T> {
    words
        .get(usize::from(place))
        .copied()
        .ok_or_else(|| corrupt(format!("a job holds the unknown word {place}")))
}
