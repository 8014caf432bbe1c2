//! What attempts came to, of many requests in one transaction.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures_util::future::BoxFuture;
use futures_util::try_join;

use crate::attempt::Attempt;
use crate::delivery::{Delivery, State};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId};
use crate::store::redb::record;
use crate::store::{Arrival, Result, Settle, Settled};
use crate::time::Timestamp;

use super::append::{self, EndpointStates, Intake};
use super::counters::Gathered;
use super::lines::Lines;
use super::row::{Id, big, micros};
use super::transaction::{Done, Lock, Shared, Transaction, Value};

pub fn commit<'a>(
    shared: &'a Shared,
    requests: &'a [Vec<Settled>],
) -> BoxFuture<'a, Result<Vec<Vec<Settle>>>> {
    Box::pin(shared.transact(Lock::Together, move |transaction| async move {
        let all: Vec<&Settled> = requests.iter().flatten().collect();
        let told = all.iter().flat_map(|settled| settled.announce.iter().chain(&settled.recovery));
        let told: Vec<&Arrival> = told.collect();
        let mut known = append::wanted(&told);
        known.extend(all.iter().map(|settled| settled.delivery.endpoint));
        let (intake, leased, mut endpoints) = try_join!(
            append::open_for(&transaction, &told),
            lock(&transaction, &all),
            append::endpoint_states(&transaction, known),
        )?;
        lock_health(&transaction, &all, &mut endpoints).await?;
        let fared = endpoints.iter().map(|(id, state)| (*id, state.health)).collect();
        let lines = Lines::lock(&transaction, append::ordered(&endpoints)).await?;
        let mut settling = Settling {
            leased,
            endpoints,
            lines,
            intake,
            kept: shared.options.attempts_kept,
            ..Settling::default()
        };
        let answers =
            requests.iter().map(|batch| batch.iter().map(|settled| settling.settle(settled)).collect());
        let answers = answers.collect::<Result<Vec<Vec<Settle>>>>()?;
        settling.write(&transaction, &fared, shared.settle_shard).await?;
        Ok(answers)
    }))
}

/// A pending delivery, whose row is locked.
#[derive(Debug)]
struct Waiting {
    place: i64,
    generation: u64,
    leased: bool,
    due: Timestamp,
}

async fn lock(transaction: &Transaction, settled: &[&Settled]) -> Done<HashMap<DeliveryId, Waiting>> {
    let deliveries: HashSet<DeliveryId> = settled.iter().map(|settled| settled.lease.delivery).collect();
    let deliveries: Vec<Id> = deliveries.into_iter().map(|delivery| Id(delivery.as_u128())).collect();
    let mut waiting = HashMap::with_capacity(deliveries.len());
    if deliveries.is_empty() {
        return Ok(waiting);
    }
    for row in transaction.query(include_str!("sql/lock_queue.sql"), &[&deliveries]).await? {
        let generation: i64 = row.try_get("generation")?;
        let found = Waiting {
            place: row.try_get("place")?,
            generation: generation.unsigned_abs(),
            leased: row.try_get("leased")?,
            due: Timestamp::from_micros(row.try_get("due")?),
        };
        waiting.insert(DeliveryId::from_u128(row.try_get::<_, Id>("delivery")?.0), found);
    }
    Ok(waiting)
}

/// Locks how those endpoints fare that may fare otherwise afterwards, and reads it anew. One that fares well and whose
/// attempts succeeded is left alone, so that hosts that deliver to it need not wait for each other.
async fn lock_health(
    transaction: &Transaction,
    settled: &[&Settled],
    endpoints: &mut EndpointStates,
) -> Done<()> {
    let well = Health::default();
    let matters = |settled: &Settled| {
        let Some(attempt) = &settled.attempt else { return false };
        well.after(&attempt.outcome, attempt.started_at) != well
    };
    let mut ids: HashSet<EndpointId> =
        settled.iter().filter(|settled| matters(settled)).map(|settled| settled.delivery.endpoint).collect();
    ids.extend(endpoints.iter().filter(|(_, state)| state.health != well).map(|(id, _)| *id));
    if ids.is_empty() {
        return Ok(());
    }
    for row in transaction.query(include_str!("sql/lock_health.sql"), &[&append::sorted_ids(ids)]).await? {
        let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
        if let Some(state) = endpoints.get_mut(&endpoint) {
            state.health = append::health(&row)?;
        }
    }
    Ok(())
}

/// Settles in memory, until it is written.
#[derive(Debug, Default)]
struct Settling {
    leased: HashMap<DeliveryId, Waiting>,
    endpoints: EndpointStates,
    lines: Lines,
    intake: Intake,
    kept: u32,
    gathered: Gathered,
    ended: EndedRows,
    again: AgainRows,
    attempts: AttemptRows,
    leavers: Vec<(EndpointId, i64)>,
    announced: Vec<Arrival>,
}

impl Settling {
    fn settle(&mut self, settled: &Settled) -> Result<Settle> {
        let Settled { lease, attempt, announce, recovery, .. } = settled;
        let waiting = self.leased.get_mut(&lease.delivery);
        let good = waiting.filter(|waiting| waiting.leased && waiting.generation == lease.generation);
        let Some(waiting) = good else { return Ok(Settle::LeaseLost) };
        waiting.leased = false;
        let (place, due) = (waiting.place, waiting.due);
        let endpoint = settled.delivery.endpoint;
        // A pending delivery always has a time: without one it would be forgotten.
        let pending = settled.delivery.state == State::Pending;
        let due = Some(settled.delivery.due.unwrap_or(due)).filter(|_| pending);
        let delivery = Delivery { due, ..settled.delivery.clone() };
        let state = self.endpoints.get_mut(&endpoint);
        let before = state.as_ref().map(|state| state.health).unwrap_or_default();
        let order = state.as_ref().map(|state| state.order).unwrap_or_default();
        let health = self.gathered.settled(&delivery, attempt.as_ref(), state);
        self.write_down(place, &delivery, attempt.as_ref())?;
        let aside = attempt.is_some() && order.steps_aside(delivery.attempts);
        if order.is_kept() && (!pending || aside) {
            self.leavers.push((endpoint, place));
        }
        self.announced.extend(announce.iter().cloned());
        if before.recovers(&health) {
            self.announced.extend(recovery.iter().cloned());
        }
        Ok(Settle::Done(health))
    }

    fn write_down(&mut self, place: i64, delivery: &Delivery, attempt: Option<&Attempt>) -> Result<()> {
        let outdated = attempt.and_then(|attempt| attempt.number.checked_sub(self.kept));
        self.attempts.outdated.extend(outdated.map(|number| (place, i64::from(number))));
        let line =
            attempt.map(|attempt| record::encode_journal(delivery, Some(attempt.clone()))).transpose()?;
        if delivery.state.is_final() {
            return self.ended.push(place, delivery, line);
        }
        self.again.push(place, delivery)?;
        if let (Some(attempt), Some(line)) = (attempt, line) {
            self.attempts.push(place, attempt.number, line);
        }
        Ok(())
    }

    async fn write(
        mut self,
        transaction: &Transaction,
        fared: &BTreeMap<EndpointId, Health>,
        shard: i16,
    ) -> Done<()> {
        self.ended.write(transaction);
        self.again.write(transaction);
        self.attempts.write(transaction);
        self.lines.leave(transaction, &self.leavers).await?;
        for arrival in &self.announced {
            self.intake.take_on(arrival, None, &self.endpoints, &mut self.lines, &mut self.gathered)?;
        }
        self.intake.write(transaction);
        self.lines.write(transaction);
        write_health(transaction, fared, &self.endpoints);
        Ok(self.gathered.write(transaction, shard)?)
    }
}

fn write_health(
    transaction: &Transaction,
    before: &BTreeMap<EndpointId, Health>,
    endpoints: &EndpointStates,
) {
    let changed = endpoints.iter().filter(|(id, state)| before.get(id) != Some(&state.health));
    let changed: Vec<_> = changed.collect();
    if changed.is_empty() {
        return;
    }
    let ids: Vec<Id> = changed.iter().map(|(id, _)| Id(id.as_u128())).collect();
    let health = || changed.iter().map(|(_, state)| state.health);
    let failures: Vec<i64> = health().map(|health| i64::from(health.consecutive_failures)).collect();
    let since: Vec<Option<i64>> = health().map(|health| micros(health.failing_since)).collect();
    let trial: Vec<bool> = health().map(|health| health.on_trial).collect();
    let values: Vec<Value> = vec![Box::new(ids), Box::new(failures), Box::new(since), Box::new(trial)];
    transaction.later(include_str!("sql/write_health.sql"), values);
}

/// Columns of deliveries that have ended.
#[derive(Debug, Default)]
pub struct EndedRows {
    places: Vec<i64>,
    endpoints: Vec<Id>,
    tenants: Vec<String>,
    types: Vec<String>,
    states: Vec<i16>,
    created: Vec<i64>,
    finished: Vec<i64>,
    rows: Vec<Vec<u8>>,
    attempts: Vec<Option<Vec<u8>>>,
}

impl EndedRows {
    /// `attempt` is the line of the one that ended it.
    pub fn push(&mut self, place: i64, delivery: &Delivery, attempt: Option<Vec<u8>>) -> Result<()> {
        self.places.push(place);
        self.endpoints.push(Id(delivery.endpoint.as_u128()));
        self.tenants.push(delivery.tenant.as_str().to_owned());
        self.types.push(delivery.event_type.as_str().to_owned());
        self.states.push(i16::from(record::encode_state(delivery.state)));
        self.created.push(delivery.created_at.as_micros());
        self.finished.push(delivery.finished_at.unwrap_or(delivery.created_at).as_micros());
        self.rows.push(record::encode_journal(delivery, None)?);
        self.attempts.push(attempt);
        Ok(())
    }

    /// Takes them out of the queue.
    pub fn write(self, transaction: &Transaction) {
        if self.places.is_empty() {
            return;
        }
        let values: Vec<Value> = vec![
            Box::new(self.places),
            Box::new(self.endpoints),
            Box::new(self.tenants),
            Box::new(self.types),
            Box::new(self.states),
            Box::new(self.created),
            Box::new(self.finished),
            Box::new(self.rows),
            Box::new(self.attempts),
        ];
        transaction.later(include_str!("sql/end_deliveries.sql"), values);
    }
}

/// Columns of deliveries that are tried again.
#[derive(Debug, Default)]
struct AgainRows {
    places: Vec<i64>,
    due: Vec<i64>,
    rows: Vec<Vec<u8>>,
}

impl AgainRows {
    fn push(&mut self, place: i64, delivery: &Delivery) -> Result<()> {
        self.places.push(place);
        self.due.push(delivery.due.unwrap_or(delivery.created_at).as_micros());
        self.rows.push(record::encode_journal(delivery, None)?);
        Ok(())
    }

    fn write(self, transaction: &Transaction) {
        if !self.places.is_empty() {
            let values: Vec<Value> = vec![Box::new(self.places), Box::new(self.due), Box::new(self.rows)];
            transaction.later(include_str!("sql/wait_again.sql"), values);
        }
    }
}

/// Columns of attempts that did not end their delivery.
#[derive(Debug, Default)]
pub struct AttemptRows {
    places: Vec<i64>,
    numbers: Vec<i64>,
    rows: Vec<Vec<u8>>,
    /// Of a delivery, the attempts up to this number.
    outdated: Vec<(i64, i64)>,
}

impl AttemptRows {
    pub fn push(&mut self, place: i64, number: u32, row: Vec<u8>) {
        self.places.push(place);
        self.numbers.push(big(number));
        self.rows.push(row);
    }

    pub fn write(self, transaction: &Transaction) {
        if !self.places.is_empty() {
            let values: Vec<Value> = vec![Box::new(self.places), Box::new(self.numbers), Box::new(self.rows)];
            transaction.later(include_str!("sql/insert_attempts.sql"), values);
        }
        if !self.outdated.is_empty() {
            let (places, numbers): (Vec<i64>, Vec<i64>) = self.outdated.into_iter().unzip();
            let values: Vec<Value> = vec![Box::new(places), Box::new(numbers)];
            transaction.later(include_str!("sql/drop_attempts.sql"), values);
        }
    }
}
