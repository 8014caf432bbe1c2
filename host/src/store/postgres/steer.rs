//! Steering single deliveries, and ending those that nobody wants. All of it is done alone.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;

use crate::delivery::{Delivery, State};
use crate::event::Event;
use crate::id::{DeliveryId, EndpointId, EventId};
use crate::store::redb::record;
use crate::store::{Arrival, ORPHANED, Place, Replay, Result, Steer, Tell};
use crate::time::Timestamp;

use super::append::{self, EndpointStates, QueueRows};
use super::counters::Gathered;
use super::days::{self, Day};
use super::lines::Lines;
use super::queue::event_rows;
use super::row::{self, Id, big, place_key, place_of, sequence_key};
use super::settle::EndedRows;
use super::transaction::{Done, Lock, Shared, Transaction};

/// Whoever is alone counts where he likes.
pub const SHARD: i16 = 0;

/// A delivery and where it is.
#[derive(Debug, Clone)]
pub struct Found {
    pub place: i64,
    pub delivery: Delivery,
}

pub async fn sequence_of(transaction: &Transaction, event: EventId) -> Done<Option<i64>> {
    let row = seek(transaction, include_str!("sql/sequence_of.sql"), event).await?;
    row.map(|row| Ok(row.try_get("sequence")?)).transpose()
}

/// What a statement finds of an event: where it is likely to be, else anywhere.
async fn seek(transaction: &Transaction, sql: &str, event: EventId) -> Done<Option<Row>> {
    for sequences in [days::likely(event), 0..=i64::MAX] {
        let (first, last) = (sequences.start(), sequences.end());
        let found = transaction.query(sql, &[&Id(event.as_u128()), first, last]).await?.pop();
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

pub async fn find(transaction: &Transaction, id: DeliveryId) -> Done<Option<Found>> {
    let Some(sequence) = sequence_of(transaction, id.event()).await? else { return Ok(None) };
    let place = sequence << 16 | i64::from(id.ordinal());
    let rows = transaction.query(include_str!("sql/delivery_at.sql"), &[&place]).await?;
    rows.first().map(found).transpose()
}

fn found(row: &Row) -> Done<Found> {
    let delivery = row::delivery(row.try_get("row")?, row.try_get("due")?)?;
    Ok(Found { place: row.try_get("place")?, delivery })
}

fn all_found(rows: &[Row]) -> Done<Vec<Found>> {
    rows.iter().map(found).collect()
}

pub async fn retry_now(shared: &Shared, id: DeliveryId, now: Timestamp) -> Result<Steer> {
    let work = |transaction: Arc<Transaction>| async move {
        let Some(found) = find(&transaction, id).await? else { return Ok(Steer::NotFound) };
        if found.delivery.state.is_final() {
            return Ok(Steer::Final(found.delivery));
        }
        let (sql, due) = (include_str!("sql/retry_now.sql"), now.as_micros());
        let changed = transaction.execute(sql, &[&found.place, &due]).await? > 0;
        let due = if changed { Some(now) } else { found.delivery.due };
        Ok(Steer::Done(Delivery { due, ..found.delivery }))
    };
    shared.transact(Lock::Alone, work).await
}

pub async fn cancel(shared: &Shared, id: DeliveryId, reason: &str, now: Timestamp) -> Result<Steer> {
    let work = |transaction: Arc<Transaction>| async move {
        let Some(found) = find(&transaction, id).await? else { return Ok(Steer::NotFound) };
        if found.delivery.state.is_final() {
            return Ok(Steer::Final(found.delivery));
        }
        let mut ended = end(&transaction, vec![found], State::Cancelled, reason, now, None).await?;
        Ok(ended.pop().map_or(Steer::NotFound, |ended| Steer::Done(ended.delivery)))
    };
    shared.transact(Lock::Alone, work).await
}

/// Ends pending deliveries, tells of them, and answers them as they are then.
async fn end(
    transaction: &Transaction,
    pending: Vec<Found>,
    state: State,
    reason: &str,
    now: Timestamp,
    tell: Option<&Tell>,
) -> Done<Vec<Found>> {
    let finish = |found: Found| {
        let delivery = found.delivery.finish(state, Some(reason.to_owned()), now);
        Found { place: found.place, delivery }
    };
    let ended: Vec<Found> = pending.into_iter().map(finish).collect();
    let told = match tell {
        Some(tell) => told(transaction, &ended, tell).await?,
        None => Vec::new(),
    };
    let arrivals: Vec<&Arrival> = told.iter().collect();
    let mut intake = append::open_for(transaction, &arrivals).await?;
    let mut known: HashSet<EndpointId> = ended.iter().map(|found| found.delivery.endpoint).collect();
    known.extend(append::wanted(&arrivals));
    let mut endpoints = append::endpoint_states(transaction, known).await?;
    let mut lines = Lines::lock(transaction, append::ordered(&endpoints)).await?;
    let (mut gathered, mut rows) = (Gathered::default(), EndedRows::default());
    for Found { place, delivery } in &ended {
        rows.push(*place, delivery, None)?;
        gathered.settled(delivery, None, endpoints.get_mut(&delivery.endpoint));
    }
    rows.write(transaction);
    let leavers: Vec<_> = ended.iter().map(|found| (found.delivery.endpoint, found.place)).collect();
    lines.leave(transaction, &leavers).await?;
    for arrival in &told {
        intake.take_on(arrival, None, &endpoints, &mut lines, &mut gathered)?;
    }
    intake.write(transaction);
    lines.write(transaction);
    gathered.write(transaction, SHARD)?;
    Ok(ended)
}

async fn told(transaction: &Transaction, ended: &[Found], tell: &Tell) -> Done<Vec<Arrival>> {
    let sequences: BTreeSet<i64> =
        ended.iter().map(|found| sequence_key(place_of(found.place).sequence)).collect();
    let mut told = Vec::new();
    let mut events = HashMap::new();
    for row in event_rows(transaction, sequences).await? {
        let sequence: i64 = row.try_get("sequence")?;
        events.insert(sequence, record::decode_event(row.try_get("row")?)?.event);
    }
    for found in ended {
        let event = events.get(&sequence_key(place_of(found.place).sequence));
        told.extend(event.and_then(|event| tell(event, &found.delivery)));
    }
    for arrival in &told {
        crate::store::check_room(arrival)?;
    }
    Ok(told)
}

pub async fn replay(shared: &Shared, id: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay> {
    let work = |transaction: Arc<Transaction>| async move {
        let mut remake = Remake::default();
        let answer = remake.replay(&transaction, id, new_webhook_id, now).await?;
        remake.write(&transaction)?;
        Ok(answer)
    };
    shared.transact(Lock::Alone, work).await
}

/// Deliveries that are made beside what events promised.
#[derive(Debug, Default)]
pub struct Remake {
    gathered: Gathered,
}

impl Remake {
    pub async fn replay(
        &mut self,
        transaction: &Transaction,
        id: DeliveryId,
        new_webhook_id: bool,
        now: Timestamp,
    ) -> Done<Replay> {
        let Some(Found { place, delivery }) = find(transaction, id).await? else {
            return Ok(Replay::NotFound);
        };
        if !delivery.state.is_final() {
            return Ok(Replay::Pending(delivery));
        }
        let endpoints = append::endpoint_states(transaction, HashSet::from([delivery.endpoint])).await?;
        if !endpoints.contains_key(&delivery.endpoint) {
            return Ok(Replay::NoEndpoint);
        }
        let sequence = place_of(place).sequence;
        let Some(ordinal) = next_ordinal(transaction, sequence).await? else { return Ok(Replay::Full) };
        let id = DeliveryId::of(id.event(), ordinal);
        let webhook_id = if new_webhook_id { id.webhook_id() } else { delivery.webhook_id };
        let again = delivery.replay(id, webhook_id, now);
        self.wait(transaction, Place { sequence, ordinal }, &again, &endpoints).await?;
        Ok(Replay::Done(again))
    }

    /// Makes a delivery that the event did not promise. False where the event is full.
    pub async fn make_late(
        &mut self,
        transaction: &Transaction,
        sequence: u64,
        event: &Event,
        endpoint: EndpointId,
        now: Timestamp,
        endpoints: &EndpointStates,
    ) -> Done<bool> {
        let Some(ordinal) = next_ordinal(transaction, sequence).await? else { return Ok(false) };
        let delivery = Delivery::late(DeliveryId::of(event.id, ordinal), endpoint, event, now);
        self.wait(transaction, Place { sequence, ordinal }, &delivery, endpoints).await?;
        Ok(true)
    }

    async fn wait(
        &mut self,
        transaction: &Transaction,
        place: Place,
        delivery: &Delivery,
        endpoints: &EndpointStates,
    ) -> Done<()> {
        let mut lines = Lines::lock(transaction, append::ordered(endpoints)).await?;
        let order = endpoints.get(&delivery.endpoint).map(|state| state.order).unwrap_or_default();
        let key = place_key(place);
        let turn = lines.join(delivery.endpoint, order, key);
        let mut rows = QueueRows::default();
        rows.push(key, delivery, None, 0, turn)?;
        rows.write(transaction);
        lines.write(transaction);
        self.gathered.replayed(delivery, Day::of_place(key));
        Ok(())
    }

    pub fn write(self, transaction: &Transaction) -> Result<()> {
        self.gathered.write(transaction, SHARD)
    }
}

/// The ordinal behind those that the event has given. None is given twice, also where deliveries were pruned.
async fn next_ordinal(transaction: &Transaction, sequence: u64) -> Done<Option<u16>> {
    let rows = transaction.query(include_str!("sql/next_ordinal.sql"), &[&sequence_key(sequence)]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let ordinal: i32 = row.try_get("ordinal")?;
    Ok(u16::try_from(ordinal).ok())
}

pub async fn cancel_orphans(shared: &Shared, limit: usize, now: Timestamp) -> Result<usize> {
    let found = shared.transact(Lock::Free, |transaction| async move {
        let row = transaction.one(include_str!("sql/has_orphans.sql"), &[]).await?;
        Ok(row.try_get::<_, bool>("found")?)
    });
    if !found.await? {
        return Ok(0);
    }
    let limit = big(limit);
    let work = |transaction: Arc<Transaction>| async move {
        let rows = transaction.query(include_str!("sql/orphans.sql"), &[&limit]).await?;
        let orphans = all_found(&rows)?;
        let ended = end(&transaction, orphans, State::Cancelled, ORPHANED, now, None).await?;
        transaction.execute(include_str!("sql/forget_empty_lines.sql"), &[]).await?;
        transaction.execute(include_str!("sql/forget_empty_standings.sql"), &[]).await?;
        Ok(ended.len())
    };
    shared.transact(Lock::Alone, work).await
}

pub async fn cancel_waiting(
    shared: &Shared,
    endpoint: EndpointId,
    before: Timestamp,
    limit: usize,
    reason: &str,
    now: Timestamp,
) -> Result<usize> {
    let (id, before, limit) = (Id(endpoint.as_u128()), before.as_micros(), big(limit));
    let work = |transaction: Arc<Transaction>| async move {
        let rows = transaction.query(include_str!("sql/waiting_since.sql"), &[&id, &before, &limit]).await?;
        let waiting = all_found(&rows)?;
        Ok(end(&transaction, waiting, State::Cancelled, reason, now, None).await?.len())
    };
    shared.transact(Lock::Alone, work).await
}

pub async fn expire(
    shared: &Shared,
    before: Timestamp,
    limit: usize,
    reason: &str,
    now: Timestamp,
    tell: &Tell,
) -> Result<usize> {
    let (before, limit) = (before.as_micros(), big(limit));
    let overdue = |transaction: Arc<Transaction>| async move {
        transaction.query(include_str!("sql/overdue.sql"), &[&before, &limit]).await
    };
    if shared.transact(Lock::Free, overdue).await?.is_empty() {
        return Ok(0);
    }
    let work = |transaction: Arc<Transaction>| async move {
        let rows = transaction.query(include_str!("sql/overdue.sql"), &[&before, &limit]).await?;
        let overdue = all_found(&rows)?;
        Ok(end(&transaction, overdue, State::Failed, reason, now, Some(tell)).await?.len())
    };
    shared.transact(Lock::Alone, work).await
}

/// An event that is stored.
pub async fn event(transaction: &Transaction, id: EventId) -> Done<Option<(u64, record::StoredEvent)>> {
    let Some(row) = seek(transaction, include_str!("sql/event.sql"), id).await? else { return Ok(None) };
    let sequence: i64 = row.try_get("sequence")?;
    Ok(Some((sequence.unsigned_abs(), record::decode_event(row.try_get("row")?)?)))
}

/// What there is of an event's deliveries, in the order of their ordinals.
pub async fn deliveries_of(transaction: &Transaction, sequence: u64) -> Done<Vec<Delivery>> {
    let (first, last) = row::places(sequence_key(sequence));
    let rows = transaction.query(include_str!("sql/deliveries_between.sql"), &[&first, &last]).await?;
    Ok(all_found(&rows)?.into_iter().map(|found| found.delivery).collect())
}
