//! Writes records into a database, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use tokio_postgres::types::ToSql;

use crate::event::Tenant;
use crate::health::Health;
use crate::id::EventId;
use crate::store::copy::{CopiedDelivery, CopiedEvent, Count, Cursor, ProducerName, Record};
use crate::store::redb::record::{self, corrupt};
use crate::store::redb::{counters, jobs};
use crate::store::{EndpointRow, ErrorGroup, Place, Standing};
use crate::time::Timestamp;

use super::super::append::{EventRows, QueueRows};
use super::super::counters::{Stored, write_stored};
use super::super::days::Day;
use super::super::row::{self, Id, big, micros, place_key, sequence_key};
use super::super::settle::{AttemptRows, EndedRows};
use super::super::transaction::{Done, Transaction};

/// The shard that what was counted goes to.
const SHARD: i16 = 0;

/// The place of the next event: behind that of the last one, in the order of the source, and of its own day at the
/// earliest.
fn next_sequence(last: u64, accepted_at: Timestamp) -> u64 {
    let first = Day::at(accepted_at).sequences().start().unsigned_abs();
    first.max(last + 1)
}

fn day_of(sequence: u64) -> Day {
    Day::of_sequence(sequence_key(sequence))
}

/// Writes the records; `last` is the place of the last event. Answers that of the last one now.
pub async fn records(transaction: &Transaction, records: &[Record], last: u64) -> Done<u64> {
    let mut history = History::place(transaction, records, last).await?;
    let mut names = Names::default();
    let mut counts = Counts::default();
    for record in records {
        match record {
            Record::Setting { name, value } => {
                transaction.execute(include_str!("../sql/put_setting.sql"), &[name, value]).await?;
            }
            Record::Endpoint(row) => put_endpoint(transaction, row).await?,
            Record::Document(row) => {
                let values: [&(dyn ToSql + Sync); 4] =
                    [&row.kind.word(), &row.name, &big(row.revision), &row.document];
                transaction.execute(include_str!("../sql/put_document.sql"), &values).await?;
            }
            Record::Plugin(row) => {
                let values: [&(dyn ToSql + Sync); 3] =
                    [&vec![&row.name], &vec![big(row.revision)], &vec![&row.document]];
                transaction.execute(include_str!("../sql/put_plugins.sql"), &values).await?;
            }
            Record::Component { row, bytes } => {
                let values: [&(dyn ToSql + Sync); 4] =
                    [&&row.digest.0[..], &big(row.size), &row.kept_at.as_micros(), &&bytes[..]];
                transaction.execute(include_str!("../sql/keep_component.sql"), &values).await?;
            }
            Record::Event(event) => history.event(event)?,
            Record::Delivery(delivery) => history.delivery(delivery)?,
            Record::Name(name) => names.push(name, history.sequence_of(name.event)?),
            Record::Job { job, cursor } => {
                let mut job = job.clone();
                job.progress.cursor = cursor.map(|cursor| history.cursor(cursor)).transpose()?;
                let (id, row) = (Id(job.id.as_u128()), jobs::written(&job)?);
                transaction.execute(include_str!("../sql/put_job.sql"), &[&id, &row]).await?;
            }
            Record::Count(count) => counts.push(count)?,
            Record::Standing { endpoint, standing } => {
                put_standing(transaction, Id(endpoint.as_u128()), standing).await?;
            }
            // What the events come to.
            Record::StoredBytes { .. } => {}
            Record::ErrorGroup(group) => put_errors(transaction, group).await?,
            Record::Head { endpoint, delivery } => {
                let place = place_key(Place {
                    sequence: history.sequence_of(delivery.event())?,
                    ordinal: delivery.ordinal(),
                });
                let sql = include_str!("../sql/copy_into_heads.sql");
                transaction.execute(sql, &[&Id(endpoint.as_u128()), &place]).await?;
            }
        }
    }
    let last = history.last;
    history.write(transaction);
    names.write(transaction).await?;
    counts.write(transaction).await?;
    Ok(last)
}

async fn put_endpoint(transaction: &Transaction, endpoint: &EndpointRow) -> Done<()> {
    let id = Id(endpoint.id.as_u128());
    let (ordering, aside_after) = row::ordering(endpoint.order);
    let values: [&(dyn ToSql + Sync); 7] = [
        &id,
        &big(endpoint.revision),
        &endpoint.held,
        &ordering,
        &aside_after,
        &endpoint.judged_from.as_micros(),
        &endpoint.document,
    ];
    transaction.execute(include_str!("../sql/put_endpoint.sql"), &values).await?;
    transaction.execute(include_str!("../sql/begin_health.sql"), &[&id]).await?;
    Ok(())
}

async fn put_standing(transaction: &Transaction, endpoint: Id, standing: &Standing) -> Done<()> {
    let values: [&(dyn ToSql + Sync); 5] = [
        &endpoint,
        &big(standing.pending),
        &micros(standing.last_event_at),
        &micros(standing.last_attempt_at),
        &micros(standing.last_delivery_at),
    ];
    transaction.execute(include_str!("../sql/copy_into_standings.sql"), &values).await?;
    let health = standing.health;
    if health != Health::default() {
        let values: [&(dyn ToSql + Sync); 4] = [
            &endpoint,
            &i64::from(health.consecutive_failures),
            &micros(health.failing_since),
            &health.on_trial,
        ];
        transaction.execute(include_str!("../sql/copy_into_health.sql"), &values).await?;
    }
    Ok(())
}

async fn put_errors(transaction: &Transaction, group: &ErrorGroup) -> Done<()> {
    let values: [&(dyn ToSql + Sync); 8] = [
        &Id(group.endpoint.as_u128()),
        &group.trouble.word(),
        &group.tenant.as_str(),
        &big(group.count),
        &group.first_at.as_micros(),
        &group.last_at.as_micros(),
        &Id(group.last_delivery.as_u128()),
        &group.last_message.as_bytes(),
    ];
    transaction.execute(include_str!("../sql/copy_into_errors.sql"), &values).await?;
    Ok(())
}

/// Events and deliveries, and where they are.
#[derive(Debug, Default)]
struct History {
    last: u64,
    /// Of all events that the records name.
    sequences: HashMap<EventId, u64>,
    events: EventRows,
    waiting: QueueRows,
    ended: EndedRows,
    attempts: AttemptRows,
    stored: BTreeMap<(Tenant, Day), Stored>,
}

impl History {
    /// Gives places to new events, and looks for those of the others.
    async fn place(transaction: &Transaction, records: &[Record], last: u64) -> Done<Self> {
        let mut history = Self { last, ..Self::default() };
        let (mut others, mut days) = (Vec::new(), BTreeSet::new());
        for record in records {
            let named = match record {
                Record::Event(event) => {
                    let event = record::decode_event_head(&event.row)?.event;
                    history.last = next_sequence(history.last, event.accepted_at);
                    history.sequences.insert(event.id, history.last);
                    days.insert(day_of(history.last));
                    None
                }
                Record::Name(name) => Some(name.event),
                Record::Delivery(copied) => Some(copied.delivery.id.event()),
                Record::Head { delivery, .. } => Some(delivery.event()),
                Record::Job { cursor: Some(Cursor::Before { event, .. }), .. } => {
                    Some(EventId::from_u128(*event))
                }
                _ => None,
            };
            others.extend(
                named.filter(|event| !history.sequences.contains_key(event)).map(|id| Id(id.as_u128())),
            );
        }
        for day in days {
            transaction.gives_places_in([day, day]);
        }
        if !others.is_empty() {
            for row in transaction.query(include_str!("../sql/copy_sequences.sql"), &[&others]).await? {
                let event = EventId::from_u128(row.try_get::<_, Id>("id")?.0);
                history.sequences.insert(event, row.try_get::<_, i64>("sequence")?.unsigned_abs());
            }
        }
        Ok(history)
    }

    fn sequence_of(&self, event: EventId) -> Done<u64> {
        let sequence = self.sequences.get(&event).copied();
        Ok(sequence
            .ok_or_else(|| corrupt(format!("the event {event} was not copied before what is said of it")))?)
    }

    fn cursor(&self, cursor: Cursor) -> Done<Place> {
        match cursor {
            Cursor::End => Ok(Place { sequence: self.last + 1, ordinal: 0 }),
            Cursor::Before { event, ordinal } => {
                Ok(Place { sequence: self.sequence_of(EventId::from_u128(event))?, ordinal })
            }
        }
    }

    fn event(&mut self, copied: &CopiedEvent) -> Done<()> {
        let stored = record::decode_event(&copied.row)?;
        let sequence = self.sequence_of(stored.event.id)?;
        let kept = self.stored.entry((stored.event.tenant.clone(), day_of(sequence))).or_default();
        kept.events += 1;
        kept.bytes += big(stored.event.payload.len());
        self.events.push(sequence, &Arc::new(stored.event), &stored.endpoints)?;
        self.events.has_given(copied.next_ordinal);
        Ok(())
    }

    fn delivery(&mut self, copied: &CopiedDelivery) -> Done<()> {
        let CopiedDelivery { delivery, turn, attempts } = copied;
        let sequence = self.sequence_of(delivery.id.event())?;
        let place = place_key(Place { sequence, ordinal: delivery.id.ordinal() });
        self.stored.entry((delivery.tenant.clone(), day_of(sequence))).or_default().deliveries += 1;
        let (mut attempts, mut last) = (attempts.as_slice(), None);
        if delivery.state.is_final() {
            if let Some(((_, line), before)) = attempts.split_last() {
                (attempts, last) = (before, Some(line.clone()));
            }
            self.ended.push(place, delivery, last)?;
        } else {
            self.waiting.push(place, delivery, None, 0, turn.map(big))?;
        }
        for (number, line) in attempts {
            self.attempts.push(place, *number, line.clone());
        }
        Ok(())
    }

    fn write(self, transaction: &Transaction) {
        self.events.write(transaction);
        self.waiting.write(transaction);
        self.ended.write(transaction);
        self.attempts.write(transaction);
        write_stored(transaction, self.stored, SHARD);
    }
}

/// Columns of producers' ids.
#[derive(Debug, Default)]
struct Names<'a> {
    tenants: Vec<&'a str>,
    names: Vec<&'a str>,
    sequences: Vec<i64>,
    events: Vec<Id>,
    contents: Vec<&'a [u8]>,
    deliveries: Vec<i64>,
}

impl<'a> Names<'a> {
    fn push(&mut self, name: &'a ProducerName, sequence: u64) {
        self.sequences.push(sequence_key(sequence));
        self.tenants.push(name.tenant.as_str());
        self.names.push(name.name.as_str());
        self.events.push(Id(name.event.as_u128()));
        self.contents.push(&name.content.0);
        self.deliveries.push(i64::from(name.deliveries));
    }

    async fn write(&self, transaction: &Transaction) -> Done<()> {
        if !self.names.is_empty() {
            let values: [&(dyn ToSql + Sync); 6] =
                [&self.tenants, &self.names, &self.sequences, &self.events, &self.contents, &self.deliveries];
            transaction.execute(include_str!("../sql/insert_producer_ids.sql"), &values).await?;
        }
        Ok(())
    }
}

/// Columns of counts.
#[derive(Debug, Default)]
struct Counts<'a> {
    resolutions: Vec<i16>,
    scopes: Vec<&'a [u8]>,
    buckets: Vec<i64>,
    rows: Vec<Vec<u8>>,
}

impl<'a> Counts<'a> {
    fn push(&mut self, count: &'a Count) -> Done<()> {
        self.resolutions.push(i16::from(count.resolution));
        self.scopes.push(&count.scope);
        self.buckets.push(count.bucket);
        self.rows.push(counters::encode_tally(&count.tally)?);
        Ok(())
    }

    async fn write(&self, transaction: &Transaction) -> Done<()> {
        if !self.rows.is_empty() {
            let values: [&(dyn ToSql + Sync); 5] =
                [&self.resolutions, &self.scopes, &self.buckets, &self.rows, &SHARD];
            transaction.execute(include_str!("../sql/write_tallies.sql"), &values).await?;
        }
        Ok(())
    }
}
