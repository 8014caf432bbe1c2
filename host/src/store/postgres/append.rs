//! Events are taken on: by producers, and those that tell of a change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::try_join;
use tokio_postgres::Row;

use crate::delivery::Delivery;
use crate::endpoint::Order;
use crate::event::{Channel, ContentDigest, Event, ProducerId, Tenant};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId, EventId};
use crate::store::redb::record;
use crate::store::{Append, Appended, Arrival, BookVersion, Lease, Place, Result};
use crate::time::Timestamp;

use super::counters::Gathered;
use super::days::Day;
use super::lines::Lines;
use super::row::{self, Id, big, place_key, time};
use super::transaction::{Done, Lock, Shared, Transaction, Value};

#[derive(Debug)]
pub struct Request {
    pub batch: Vec<Arrival>,
    pub against: BookVersion,
    pub lease_until: Timestamp,
}

pub fn commit<'a>(shared: &'a Shared, requests: &'a [Request]) -> BoxFuture<'a, Result<Vec<Append>>> {
    Box::pin(shared.transact(Lock::Together, move |transaction| async move {
        let all: Vec<&Arrival> = requests.iter().flat_map(|request| &request.batch).collect();
        // Asked for at once. The place in the order is the first of it, so that what is read is as of then or later.
        let ((version, first), known, endpoints) = try_join!(
            take_sequences(&transaction, &all),
            known_names(&transaction, &all),
            endpoint_states(&transaction, wanted(&all)),
        )?;
        let mut intake = Intake::new(first, known);
        let mut lines = Lines::lock(&transaction, ordered(&endpoints)).await?;
        let mut gathered = Gathered::default();
        let mut answers = Vec::with_capacity(requests.len());
        for request in requests {
            if request.against != version {
                answers.push(Append::Stale(version));
                continue;
            }
            let until = Some(request.lease_until);
            let taken_on = request
                .batch
                .iter()
                .map(|arrival| intake.take_on(arrival, until, &endpoints, &mut lines, &mut gathered));
            answers.push(Append::Done(taken_on.collect::<Result<_>>()?));
        }
        intake.write(&transaction);
        lines.write(&transaction);
        gathered.write(&transaction, shared.append_shard)?;
        Ok(answers)
    }))
}

/// Sees to it that nobody else gives places until the end of the transaction. The version, and the first of the sequences
/// for these events: of the day of the youngest, or a later one where the order is there already.
pub async fn take_sequences(transaction: &Transaction, arrivals: &[&Arrival]) -> Done<(BookVersion, u64)> {
    let youngest = arrivals.iter().map(|arrival| arrival.event.accepted_at).max().unwrap_or_default();
    let (number, day) = (big(arrivals.len()), i64::from(Day::at(youngest).number()));
    let row = transaction.one(include_str!("sql/take_sequences.sql"), &[&number, &day]).await?;
    let (version, first): (i64, i64) = (row.try_get("version")?, row.try_get("first")?);
    transaction.gives_places_in([first, first + number].map(Day::of_sequence));
    Ok((BookVersion(version.unsigned_abs()), first.unsigned_abs()))
}

/// What a transaction has to know of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointState {
    pub held: bool,
    pub order: Order,
    pub judged_from: Timestamp,
    pub health: Health,
}

pub type EndpointStates = HashMap<EndpointId, EndpointState>;

/// Those of the endpoints that exist.
pub async fn endpoint_states(transaction: &Transaction, ids: HashSet<EndpointId>) -> Done<EndpointStates> {
    let mut states = EndpointStates::new();
    if ids.is_empty() {
        return Ok(states);
    }
    let ids: Vec<Id> = ids.into_iter().map(|id| Id(id.as_u128())).collect();
    for row in transaction.query(include_str!("sql/endpoint_states.sql"), &[&ids]).await? {
        let state = EndpointState {
            held: row.try_get("held")?,
            order: row::order(row.try_get("ordering")?, row.try_get("aside_after")?)?,
            judged_from: Timestamp::from_micros(row.try_get("judged_from")?),
            health: health(&row)?,
        };
        states.insert(EndpointId::from_u128(row.try_get::<_, Id>("id")?.0), state);
    }
    Ok(states)
}

/// As new where there is none.
pub fn health(row: &Row) -> Done<Health> {
    let failures: Option<i64> = row.try_get("failures")?;
    Ok(Health {
        consecutive_failures: failures.and_then(|number| u32::try_from(number).ok()).unwrap_or_default(),
        failing_since: time(row.try_get("failing_since")?),
        on_trial: row.try_get::<_, Option<bool>>("on_trial")?.unwrap_or_default(),
    })
}

/// The endpoints that events are promised to.
pub fn wanted(arrivals: &[&Arrival]) -> HashSet<EndpointId> {
    arrivals.iter().flat_map(|arrival| &arrival.deliveries).map(|new| new.endpoint).collect()
}

/// Those that keep an order.
pub fn ordered(states: &EndpointStates) -> Vec<EndpointId> {
    states.iter().filter(|(_, state)| state.order.is_kept()).map(|(id, _)| *id).collect()
}

/// Takes events on, in memory until they are written.
#[derive(Debug, Default)]
pub struct Intake {
    next_sequence: u64,
    known: KnownNames,
    events: EventRows,
    /// Each with its event's sequence.
    names: Vec<(u64, (Tenant, ProducerId), Known)>,
    pub queue: QueueRows,
}

type KnownNames = HashMap<(Tenant, ProducerId), Known>;

/// What the first post under a producer id was answered.
#[derive(Debug, Clone, Copy)]
struct Known {
    event: EventId,
    content: ContentDigest,
    deliveries: u32,
}

impl Known {
    fn answer(self, content: ContentDigest) -> Appended {
        match self.content == content {
            true => Appended::Duplicate { event: self.event, deliveries: self.deliveries },
            false => Appended::Conflict { event: self.event },
        }
    }
}

impl Intake {
    /// Takes on events whose places were given already.
    fn new(next_sequence: u64, known: KnownNames) -> Self {
        Self { next_sequence, known, ..Self::default() }
    }

    /// Deliveries marked `take` are leased until `until`, where one is given.
    pub fn take_on(
        &mut self,
        arrival: &Arrival,
        until: Option<Timestamp>,
        endpoints: &EndpointStates,
        lines: &mut Lines,
        gathered: &mut Gathered,
    ) -> Result<Appended> {
        let Arrival { event, content, deliveries } = arrival;
        if let Some(producer_id) = event.producer_id.clone() {
            let name = (event.tenant.clone(), producer_id);
            if let Some(known) = self.known.get(&name) {
                return Ok(known.answer(*content));
            }
            let known = Known { event: event.id, content: *content, deliveries: deliveries.len() as u32 };
            self.names.push((self.next_sequence, name.clone(), known));
            self.known.insert(name, known);
        }
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        let promised: Vec<_> = deliveries.iter().map(|new| new.endpoint).collect();
        self.events.push(sequence, event, &promised)?;
        let states: Vec<_> = promised.iter().map(|id| (*id, endpoints.get(id))).collect();
        gathered.accepted(event, Day::of_sequence(row::sequence_key(sequence)), &states);
        let mut taken = Vec::new();
        for (ordinal, (new, (_, state))) in (0..).zip(deliveries.iter().zip(&states)) {
            let id = DeliveryId::of(event.id, ordinal);
            let place = place_key(Place { sequence, ordinal });
            let turn = state.and_then(|state| lines.join(new.endpoint, state.order, place));
            let lease = until.filter(|_| new.take && turn.is_none());
            let generation = u64::from(lease.is_some());
            taken.extend(lease.map(|_| Lease { delivery: id, generation }));
            let delivery = Delivery::promised(id, new.endpoint, event);
            self.queue.push(place, &delivery, lease, generation, turn)?;
        }
        Ok(Appended::Accepted { taken })
    }

    pub fn write(self, transaction: &Transaction) {
        self.events.write(transaction);
        write_names(transaction, &self.names);
        self.queue.write(transaction);
    }
}

fn write_names(transaction: &Transaction, names: &[(u64, (Tenant, ProducerId), Known)]) {
    if names.is_empty() {
        return;
    }
    let sequences: Vec<i64> = names.iter().map(|(sequence, ..)| row::sequence_key(*sequence)).collect();
    let tenants: Vec<String> = names.iter().map(|(_, (tenant, _), _)| tenant.as_str().to_owned()).collect();
    let words: Vec<String> = names.iter().map(|(_, (_, name), _)| name.as_str().to_owned()).collect();
    let events: Vec<Id> = names.iter().map(|(.., known)| Id(known.event.as_u128())).collect();
    let contents: Vec<Vec<u8>> = names.iter().map(|(.., known)| known.content.0.to_vec()).collect();
    let deliveries: Vec<i64> = names.iter().map(|(.., known)| i64::from(known.deliveries)).collect();
    let values: Vec<Value> = vec![
        Box::new(tenants),
        Box::new(words),
        Box::new(sequences),
        Box::new(events),
        Box::new(contents),
        Box::new(deliveries),
    ];
    transaction.later(include_str!("sql/insert_producer_ids.sql"), values);
}

/// Of the producers' ids of these events, those that were taken already.
async fn known_names(transaction: &Transaction, arrivals: &[&Arrival]) -> Done<KnownNames> {
    let (mut tenants, mut names) = (Vec::new(), Vec::new());
    for event in arrivals.iter().map(|arrival| &arrival.event) {
        if let Some(name) = &event.producer_id {
            tenants.push(event.tenant.as_str());
            names.push(name.as_str());
        }
    }
    let mut known = KnownNames::new();
    if !names.is_empty() {
        for row in transaction.query(include_str!("sql/known_producer_ids.sql"), &[&tenants, &names]).await? {
            known.insert(known_name(&row)?, known_answer(&row)?);
        }
    }
    Ok(known)
}

fn known_name(row: &Row) -> Done<(Tenant, ProducerId)> {
    let tenant = Tenant::parse(row.try_get("tenant")?).map_err(record::corrupt)?;
    Ok((tenant, ProducerId::parse(row.try_get("producer_id")?).map_err(record::corrupt)?))
}

fn known_answer(row: &Row) -> Done<Known> {
    let content: &[u8] = row.try_get("content")?;
    let deliveries: i64 = row.try_get("deliveries")?;
    Ok(Known {
        event: EventId::from_u128(row.try_get::<_, Id>("event")?.0),
        content: ContentDigest(content.try_into().map_err(record::corrupt)?),
        deliveries: u32::try_from(deliveries).map_err(record::corrupt)?,
    })
}

/// Columns of new events.
#[derive(Debug, Default)]
pub struct EventRows {
    sequences: Vec<i64>,
    ids: Vec<Id>,
    events: Vec<Arc<Event>>,
    channels: Vec<String>,
    accepted: Vec<i64>,
    sizes: Vec<i64>,
    ordinals: Vec<i32>,
    rows: Vec<Vec<u8>>,
}

impl EventRows {
    pub fn push(&mut self, sequence: u64, event: &Arc<Event>, promised: &[EndpointId]) -> Result<()> {
        self.sequences.push(row::sequence_key(sequence));
        self.ids.push(Id(event.id.as_u128()));
        let channels: Vec<&str> = event.channels.iter().map(Channel::as_str).collect();
        self.channels.push(channels.join(" "));
        self.accepted.push(event.accepted_at.as_micros());
        self.sizes.push(big(event.payload.len()));
        self.ordinals.push(promised.len() as i32);
        self.rows.push(record::encode_event(event, promised)?);
        self.events.push(event.clone());
        Ok(())
    }

    /// Of the last one, so many ordinals were given.
    pub fn has_given(&mut self, ordinals: u32) {
        if let Some(next) = self.ordinals.last_mut() {
            *next = ordinals.try_into().unwrap_or(i32::MAX);
        }
    }

    pub fn write(self, transaction: &Transaction) {
        if self.sequences.is_empty() {
            return;
        }
        let tenants: Vec<String> = self.events.iter().map(|event| event.tenant.as_str().to_owned()).collect();
        let types: Vec<String> =
            self.events.iter().map(|event| event.event_type.as_str().to_owned()).collect();
        let values: Vec<Value> = vec![
            Box::new(self.sequences),
            Box::new(self.ids),
            Box::new(tenants),
            Box::new(types),
            Box::new(self.channels),
            Box::new(self.accepted),
            Box::new(self.sizes),
            Box::new(self.ordinals),
            Box::new(self.rows),
        ];
        transaction.later(include_str!("sql/insert_events.sql"), values);
    }
}

/// Columns of deliveries that begin to wait.
#[derive(Debug, Default)]
pub struct QueueRows {
    places: Vec<i64>,
    deliveries: Vec<Id>,
    endpoints: Vec<Id>,
    tenants: Vec<String>,
    types: Vec<String>,
    created: Vec<i64>,
    due: Vec<i64>,
    leased: Vec<Option<i64>>,
    generations: Vec<i64>,
    turns: Vec<Option<i64>>,
    rows: Vec<Vec<u8>>,
}

impl QueueRows {
    pub fn push(
        &mut self,
        place: i64,
        delivery: &Delivery,
        leased_until: Option<Timestamp>,
        generation: u64,
        turn: Option<i64>,
    ) -> Result<()> {
        self.places.push(place);
        self.deliveries.push(Id(delivery.id.as_u128()));
        self.endpoints.push(Id(delivery.endpoint.as_u128()));
        self.tenants.push(delivery.tenant.as_str().to_owned());
        self.types.push(delivery.event_type.as_str().to_owned());
        self.created.push(delivery.created_at.as_micros());
        self.due.push(delivery.due.unwrap_or(delivery.created_at).as_micros());
        self.leased.push(row::micros(leased_until));
        self.generations.push(big(generation));
        self.turns.push(turn);
        self.rows.push(record::encode_journal(delivery, None)?);
        Ok(())
    }

    pub fn write(self, transaction: &Transaction) {
        if self.places.is_empty() {
            return;
        }
        let values: Vec<Value> = vec![
            Box::new(self.places),
            Box::new(self.deliveries),
            Box::new(self.endpoints),
            Box::new(self.tenants),
            Box::new(self.types),
            Box::new(self.created),
            Box::new(self.due),
            Box::new(self.leased),
            Box::new(self.generations),
            Box::new(self.turns),
            Box::new(self.rows),
        ];
        transaction.later(include_str!("sql/insert_queue.sql"), values);
    }
}

/// For announcements, which are appended whatever the version is.
pub async fn open_for(transaction: &Transaction, arrivals: &[&Arrival]) -> Done<Intake> {
    if arrivals.is_empty() {
        return Ok(Intake::default());
    }
    let ((_, first), known) =
        try_join!(take_sequences(transaction, arrivals), known_names(transaction, arrivals))?;
    Ok(Intake::new(first, known))
}

/// By their endpoints, in the order of their ids.
pub fn sorted_ids(ids: impl IntoIterator<Item = EndpointId>) -> Vec<Id> {
    let ids: BTreeMap<EndpointId, ()> = ids.into_iter().map(|id| (id, ())).collect();
    ids.into_keys().map(|id| Id(id.as_u128())).collect()
}
