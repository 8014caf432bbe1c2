//! Appending, claiming and settling, inside one commit.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use redb::ReadableTable;
use tracing::error;

use crate::attempt::Attempt;
use crate::delivery::{Delivery, State};
use crate::event::Event;
use crate::id::{DeliveryId, EndpointId, EventId, MAX_DELIVERIES_PER_EVENT};
use crate::store::{
    Append, Appended, Arrival, BookVersion, Claim, Claimed, Lease, Place, Replay, Result, Settle, Settled,
    Steer, StoreError, Tell,
};
use crate::time::Timestamp;

use super::counters;
use super::desk::{Desk, Held, Implied};
use super::index;
use super::record::{self, StoredEvent};
use super::tables::{Snapshot, due_key, place_at, place_key, place_of};
use super::writer::Txn;
use super::{io, lines};

/// Most deliveries that get their rows in one commit.
const ROWS_PER_COMMIT: usize = 2_000;

pub fn append(
    txn: &mut Txn<'_>,
    batch: Vec<Arrival>,
    against: BookVersion,
    until: Timestamp,
) -> Result<Append> {
    if against != txn.desk.version {
        return Ok(Append::Stale(txn.desk.version));
    }
    batch.into_iter().map(|arrival| append_one(txn, arrival, until)).collect::<Result<_>>().map(Append::Done)
}

fn append_one(txn: &mut Txn<'_>, arrival: Arrival, until: Timestamp) -> Result<Appended> {
    if let Some(known) = known(txn, &arrival)? {
        return Ok(known);
    }
    let Arrival { event, content, deliveries } = arrival;
    let sequence = txn.desk.next_sequence;
    txn.desk.next_sequence += 1;
    let endpoints: Vec<_> = deliveries.iter().map(|delivery| delivery.endpoint).collect();
    let row = record::encode_event(&event, &endpoints)?;
    txn.tables.events.insert(sequence, row.as_slice()).map_err(io)?;
    txn.tables.sequences.insert(event.id.as_u128(), sequence).map_err(io)?;
    index::note_several(txn, sequence, &endpoints)?;
    txn.desk.index.appended(sequence, &event);
    if let Some(producer_id) = &event.producer_id {
        let key = (event.tenant.as_str(), producer_id.as_str());
        txn.tables.producer_ids.insert(key, (event.id.as_u128(), content.0)).map_err(io)?;
    }
    counters::accepted(txn, &event, &deliveries)?;
    let mut taken = Vec::new();
    for (ordinal, new) in (0..).zip(&deliveries) {
        let place = Place { sequence, ordinal };
        let id = DeliveryId::of(event.id, ordinal);
        if lines::joins(txn, place, id, new.endpoint, event.accepted_at)? {
            stand(txn, place, &Delivery::promised(id, new.endpoint, &event))?;
        } else if new.take {
            taken.push(imply(txn, id, place, new.endpoint, &event, until));
        } else {
            promise(txn, place, new.endpoint, &event)?;
        }
    }
    Ok(Appended::Accepted { taken })
}

/// Appends events that tell of a change, whatever the version of the set of endpoints.
pub fn announce(txn: &mut Txn<'_>, events: Vec<Arrival>) -> Result<()> {
    for mut arrival in events {
        arrival.deliveries.iter_mut().for_each(|delivery| delivery.take = false);
        append_one(txn, arrival, txn.now)?;
    }
    Ok(())
}

/// Writes a delivery that its event promises, due at once.
pub fn promise(txn: &mut Txn<'_>, place: Place, endpoint: EndpointId, event: &Event) -> Result<()> {
    let id = DeliveryId::of(event.id, place.ordinal);
    wait(txn, place, &Delivery::promised(id, endpoint, event), None, None)
}

fn known(txn: &Txn<'_>, arrival: &Arrival) -> Result<Option<Appended>> {
    let Some(producer_id) = &arrival.event.producer_id else { return Ok(None) };
    let key = (arrival.event.tenant.as_str(), producer_id.as_str());
    let Some(found) = txn.tables.producer_ids.get(key).map_err(io)? else { return Ok(None) };
    let (id, content) = found.value();
    let event = EventId::from_u128(id);
    if content != arrival.content.0 {
        return Ok(Some(Appended::Conflict { event }));
    }
    let sequence = sequence_of(&txn.tables.sequences, event)?;
    let stored = sequence.map(|sequence| stored_event(&txn.tables.events, sequence)).transpose()?.flatten();
    let deliveries = stored.map_or(0, |stored| stored.endpoints.len() as u32);
    Ok(Some(Appended::Duplicate { event, deliveries }))
}

fn imply(
    txn: &mut Txn<'_>,
    delivery: DeliveryId,
    place: Place,
    endpoint: EndpointId,
    event: &Arc<Event>,
    until: Timestamp,
) -> Lease {
    txn.desk.implied.insert(place, Implied { delivery, endpoint, event: event.clone(), since: txn.now });
    txn.desk.lease(delivery, Held { generation: 0, until, place, endpoint, due: None })
}

/// Whether a delivery has waited without a row for `row_after`.
pub fn has_aged(desk: &Desk, now: Timestamp, row_after: Duration) -> bool {
    desk.implied.values().next().is_some_and(|first| now.since(first.since) >= row_after)
}

/// Gives rows to the deliveries that have waited without one for `row_after`, so that recovery has little to look at
/// and memory little to hold.
pub fn give_rows(txn: &mut Txn<'_>, row_after: Duration) -> Result<()> {
    for _ in 0..ROWS_PER_COMMIT {
        if !has_aged(txn.desk, txn.now, row_after) {
            break;
        }
        let Some((place, implied)) = txn.desk.implied.pop_first() else { break };
        give_row(txn, place, &implied)?;
    }
    Ok(())
}

/// Gives rows to the deliveries whose lease has run out.
pub fn give_rows_to_expired(txn: &mut Txn<'_>, now: Timestamp) -> Result<()> {
    let places: Vec<Place> = txn
        .desk
        .implied
        .iter()
        .filter(|(_, implied)| !txn.desk.is_leased(implied.delivery, now))
        .map(|(place, _)| *place)
        .collect();
    for place in places {
        if let Some(implied) = txn.desk.implied.remove(&place) {
            give_row(txn, place, &implied)?;
        }
    }
    Ok(())
}

fn give_row(txn: &mut Txn<'_>, place: Place, implied: &Implied) -> Result<()> {
    let delivery = implied.delivery();
    wait(txn, place, &delivery, None, None)?;
    if let Some(held) = txn.desk.leases.get_mut(&implied.delivery) {
        held.due = delivery.due;
    }
    Ok(())
}

/// Writes a pending delivery and its due row; `before` as for [`write_line`].
fn wait(
    txn: &mut Txn<'_>,
    place: Place,
    delivery: &Delivery,
    before: Option<State>,
    attempt: Option<Attempt>,
) -> Result<()> {
    let due =
        delivery.due.ok_or_else(|| StoreError::Corrupt(format!("{} waits for nothing", delivery.id)))?;
    write_line(txn, place, delivery, before, attempt)?;
    counters::began_to_wait(txn, place, delivery)?;
    let key = due_key(delivery.endpoint, due, place);
    if txn.tables.due.insert(key, delivery.id.as_u128()).map_err(io)?.is_none() {
        txn.desk.waiting += 1;
    }
    txn.desk.waits(delivery.endpoint, due);
    Ok(())
}

/// Writes a delivery that stands in line.
fn stand(txn: &mut Txn<'_>, place: Place, delivery: &Delivery) -> Result<()> {
    write_line(txn, place, delivery, None, None)?;
    counters::began_to_wait(txn, place, delivery)
}

/// Writes a line of the journal: a new one for an attempt, else the last one anew. `before` is the state in the
/// delivery's last line; `None` where it has none yet.
fn write_line(
    txn: &mut Txn<'_>,
    place: Place,
    delivery: &Delivery,
    before: Option<State>,
    attempt: Option<Attempt>,
) -> Result<()> {
    let key = place_key(place);
    let (number, attempt) = match attempt {
        Some(attempt) => (attempt.number, Some(attempt)),
        None => {
            last_line(&txn.tables.journal, place)?.map_or((0, None), |(number, _, attempt)| (number, attempt))
        }
    };
    let row = record::encode_journal(delivery, attempt)?;
    txn.tables.journal.insert((key, number), row.as_slice()).map_err(io)?;
    if let Some(outdated) = number.checked_sub(txn.attempts_kept) {
        txn.tables.journal.remove((key, outdated)).map_err(io)?;
    }
    index::moved(txn, place, delivery, before)
}

fn remove_due(txn: &mut Txn<'_>, endpoint: EndpointId, due: Option<Timestamp>, place: Place) -> Result<()> {
    let Some(due) = due else { return Ok(()) };
    if txn.tables.due.remove(due_key(endpoint, due, place)).map_err(io)?.is_some() {
        txn.desk.waiting = txn.desk.waiting.saturating_sub(1);
    }
    Ok(())
}

pub fn settle(txn: &mut Txn<'_>, batch: Vec<Settled>) -> Result<Vec<Settle>> {
    batch.into_iter().map(|settled| settle_one(txn, settled)).collect()
}

fn settle_one(txn: &mut Txn<'_>, settled: Settled) -> Result<Settle> {
    let Some(held) = txn.desk.give_up(settled.lease) else { return Ok(Settle::LeaseLost) };
    let before = forget_implied(txn, held.place);
    remove_due(txn, held.endpoint, held.due, held.place)?;
    let Settled { delivery, attempt, announce: events, recovery, .. } = settled;
    let (fared, health) = counters::settled(txn, &delivery, attempt.as_ref())?;
    let attempted = attempt.is_some();
    match delivery.state {
        State::Pending => wait(txn, held.place, &delivery, before, attempt)?,
        _ => {
            if held.due.is_some() {
                counters::waits_no_more(txn, held.place, &delivery)?;
            }
            write_line(txn, held.place, &delivery, before, attempt)?;
        }
    }
    lines::after_attempt(txn, held.place, &delivery, attempted)?;
    announce(txn, events)?;
    if fared.recovers(&health) {
        announce(txn, recovery)?;
    }
    Ok(Settle::Done(health))
}

/// The state in the last line of a pending delivery; `None` where it has been implied until now.
fn forget_implied(txn: &mut Txn<'_>, place: Place) -> Option<State> {
    match txn.desk.implied.remove(&place) {
        Some(_) => None,
        None => Some(State::Pending),
    }
}

pub fn release(txn: &mut Txn<'_>, leases: &[Lease], due: Timestamp) -> Result<()> {
    for lease in leases {
        let Some(held) = txn.desk.give_up(*lease) else { continue };
        let (waiting, before) = match txn.desk.implied.remove(&held.place) {
            Some(implied) => (implied.delivery(), None),
            None => (last_delivery(&txn.tables.journal, held.place)?, Some(State::Pending)),
        };
        remove_due(txn, held.endpoint, held.due, held.place)?;
        wait(txn, held.place, &Delivery { due: Some(due), ..waiting }, before, None)?;
    }
    Ok(())
}

/// Where a delivery stands, if the store knows it.
enum Standing {
    Implied(Place, Delivery),
    Written(Place, Delivery),
    Unknown,
}

fn standing(txn: &Txn<'_>, id: DeliveryId) -> Result<Standing> {
    let Some(sequence) = sequence_of(&txn.tables.sequences, id.event())? else {
        return Ok(Standing::Unknown);
    };
    let place = place_at(sequence, id);
    if let Some(implied) = txn.desk.implied.get(&place) {
        return Ok(Standing::Implied(place, implied.delivery()));
    }
    Ok(match last_line(&txn.tables.journal, place)? {
        Some((_, delivery, _)) => Standing::Written(place, delivery),
        None => Standing::Unknown,
    })
}

pub fn retry_now(txn: &mut Txn<'_>, id: DeliveryId, now: Timestamp) -> Result<Steer> {
    match standing(txn, id)? {
        Standing::Unknown => Ok(Steer::NotFound),
        Standing::Written(_, delivery) if delivery.state.is_final() => Ok(Steer::Final(delivery)),
        Standing::Implied(_, delivery) => Ok(Steer::Done(delivery)),
        Standing::Written(_, delivery) if txn.desk.leases.contains_key(&id) => Ok(Steer::Done(delivery)),
        Standing::Written(place, delivery) if lines::stands(txn, place, delivery.endpoint)? => {
            Ok(Steer::Done(delivery))
        }
        Standing::Written(place, delivery) => {
            remove_due(txn, delivery.endpoint, delivery.due, place)?;
            let delivery = Delivery { due: Some(now), ..delivery };
            wait(txn, place, &delivery, Some(State::Pending), None)?;
            Ok(Steer::Done(delivery))
        }
    }
}

pub fn cancel(txn: &mut Txn<'_>, id: DeliveryId, reason: String, now: Timestamp) -> Result<Steer> {
    match standing(txn, id)? {
        Standing::Unknown => Ok(Steer::NotFound),
        Standing::Written(_, delivery) if delivery.state.is_final() => Ok(Steer::Final(delivery)),
        Standing::Written(place, delivery) | Standing::Implied(place, delivery) => {
            end(txn, place, delivery, State::Cancelled, reason, now).map(Steer::Done)
        }
    }
}

fn end(
    txn: &mut Txn<'_>,
    place: Place,
    delivery: Delivery,
    state: State,
    reason: String,
    now: Timestamp,
) -> Result<Delivery> {
    txn.desk.leases.remove(&delivery.id);
    let before = forget_implied(txn, place);
    remove_due(txn, delivery.endpoint, delivery.due, place)?;
    counters::waits_no_more(txn, place, &delivery)?;
    let delivery = delivery.finish(state, Some(reason), now);
    counters::settled(txn, &delivery, None)?;
    write_line(txn, place, &delivery, before, None)?;
    lines::leave(txn, place, &delivery)?;
    Ok(delivery)
}

pub fn replay(txn: &mut Txn<'_>, id: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay> {
    let (place, delivery) = match standing(txn, id)? {
        Standing::Unknown => return Ok(Replay::NotFound),
        Standing::Implied(_, delivery) => return Ok(Replay::Pending(delivery)),
        Standing::Written(_, delivery) if !delivery.state.is_final() => return Ok(Replay::Pending(delivery)),
        Standing::Written(place, delivery) => (place, delivery),
    };
    if !txn.desk.endpoints.contains_key(&delivery.endpoint) {
        return Ok(Replay::NoEndpoint);
    }
    let Some(ordinal) = next_ordinal(txn, place.sequence)? else { return Ok(Replay::Full) };
    let id = DeliveryId::of(id.event(), ordinal);
    let webhook_id = if new_webhook_id { id.webhook_id() } else { delivery.webhook_id };
    let again = delivery.replay(id, webhook_id, now);
    let place = Place { sequence: place.sequence, ordinal };
    match lines::joins(txn, place, id, again.endpoint, now)? {
        true => stand(txn, place, &again)?,
        false => wait(txn, place, &again, None, None)?,
    }
    counters::replayed(txn, &again)?;
    txn.desk.index.replayed(place.sequence, now);
    Ok(Replay::Done(again))
}

/// Makes a delivery that the event did not promise, due at `now`. False where the event is full.
pub fn make_late(
    txn: &mut Txn<'_>,
    sequence: u64,
    event: &Event,
    endpoint: EndpointId,
    now: Timestamp,
) -> Result<bool> {
    let Some(ordinal) = next_ordinal(txn, sequence)? else { return Ok(false) };
    let id = DeliveryId::of(event.id, ordinal);
    let (place, delivery) = (Place { sequence, ordinal }, Delivery::late(id, endpoint, event, now));
    match lines::joins(txn, place, id, endpoint, now)? {
        true => stand(txn, place, &delivery)?,
        false => wait(txn, place, &delivery, None, None)?,
    }
    counters::replayed(txn, &delivery)?;
    txn.desk.index.replayed(sequence, now);
    Ok(true)
}

/// The ordinal behind the event's own deliveries and its replays. None is given twice, also where deliveries were
/// pruned.
fn next_ordinal(txn: &mut Txn<'_>, sequence: u64) -> Result<Option<u16>> {
    let given = txn.tables.ordinals.get(sequence).map_err(io)?.map(|given| given.value());
    let given = match given {
        Some(given) => given,
        None => stored_event(&txn.tables.events, sequence)?.map_or(0, |stored| stored.endpoints.len() as u32),
    };
    if given >= MAX_DELIVERIES_PER_EVENT {
        return Ok(None);
    }
    txn.tables.ordinals.insert(sequence, given + 1).map_err(io)?;
    Ok(u16::try_from(given).ok())
}

pub fn cancel_orphans(txn: &mut Txn<'_>, limit: usize, now: Timestamp) -> Result<usize> {
    let orphans = orphans(txn, limit)?;
    for (place, delivery) in &orphans {
        end(txn, *place, delivery.clone(), State::Cancelled, crate::store::ORPHANED.to_owned(), now)?;
    }
    if orphans.len() < limit {
        let Desk { lanes, endpoints, .. } = &mut *txn.desk;
        lanes.retain(|endpoint, _| endpoints.contains_key(endpoint));
    }
    Ok(orphans.len())
}

fn orphans(txn: &Txn<'_>, limit: usize) -> Result<Vec<(Place, Delivery)>> {
    let known = |endpoint: &EndpointId| txn.desk.endpoints.contains_key(endpoint);
    let mut orphans: Vec<_> = txn
        .desk
        .implied
        .iter()
        .filter(|(_, implied)| !known(&implied.endpoint))
        .take(limit)
        .map(|(place, implied)| (*place, implied.delivery()))
        .collect();
    let leased = txn.desk.leases.values().map(|held| held.endpoint);
    let in_line = txn.desk.lines.iter().copied();
    let lanes: HashSet<EndpointId> = txn.desk.lanes.keys().copied().chain(leased).chain(in_line).collect();
    for id in lanes.into_iter().filter(|endpoint| !known(endpoint)) {
        for place in lines::due_before(txn, id, Timestamp::MAX, limit - orphans.len())? {
            orphans.push((place, last_delivery(&txn.tables.journal, place)?));
        }
        let endpoint = id.as_u128();
        for row in
            txn.tables.due.range((endpoint, i64::MIN, 0)..=(endpoint, i64::MAX, u64::MAX)).map_err(io)?
        {
            if orphans.len() >= limit {
                return Ok(orphans);
            }
            let place = place_of(row.map_err(io)?.0.value().2);
            orphans.push((place, last_delivery(&txn.tables.journal, place)?));
        }
    }
    Ok(orphans)
}

pub fn cancel_waiting(
    txn: &mut Txn<'_>,
    endpoint: EndpointId,
    before: Timestamp,
    limit: usize,
    reason: &str,
    now: Timestamp,
) -> Result<usize> {
    let implied = txn.desk.implied.iter().map(|(place, implied)| (*place, implied.delivery()));
    let implied = implied.filter(|(_, one)| one.endpoint == endpoint && one.created_at < before);
    let mut waiting: Vec<_> = implied.take(limit).collect();
    for place in counters::waiting_since(txn, endpoint, before, limit - waiting.len())? {
        waiting.push((place, last_delivery(&txn.tables.journal, place)?));
    }
    for (place, delivery) in &waiting {
        end(txn, *place, delivery.clone(), State::Cancelled, reason.to_owned(), now)?;
    }
    Ok(waiting.len())
}

/// Ends what was due before `before` and is not leased, and tells of it.
pub fn expire(
    txn: &mut Txn<'_>,
    before: Timestamp,
    limit: usize,
    reason: &str,
    now: Timestamp,
    tell: &Tell,
) -> Result<usize> {
    let mut expired = Vec::new();
    for endpoint in
        txn.desk.lanes.iter().filter(|(_, head)| **head < before).map(|(endpoint, _)| endpoint.as_u128())
    {
        let rows =
            txn.tables.due.range((endpoint, i64::MIN, 0)..(endpoint, before.as_micros(), 0)).map_err(io)?;
        for row in rows.take(limit - expired.len()) {
            let (key, id) = row.map_err(io)?;
            if !txn.desk.leases.contains_key(&DeliveryId::from_u128(id.value())) {
                expired.push(place_of(key.value().2));
            }
        }
    }
    for endpoint in &txn.desk.lines {
        expired.extend(lines::due_before(txn, *endpoint, before, limit - expired.len())?);
    }
    for place in &expired {
        let delivery = last_delivery(&txn.tables.journal, *place)?;
        let ended = end(txn, *place, delivery, State::Failed, reason.to_owned(), now)?;
        let stored = stored_event(&txn.tables.events, place.sequence)?;
        let told = stored.and_then(|stored| tell(&stored.event, &ended));
        announce(txn, told.into_iter().collect())?;
    }
    Ok(expired.len())
}

/// Leases what is due. The desk is locked throughout, and `snapshot` was opened under that lock: a settled delivery
/// has lost its lease and its row together.
pub fn claim(desk: &mut Desk, snapshot: &Snapshot, claim: &Claim) -> Result<Vec<Claimed>> {
    let mut lanes: Vec<(Timestamp, EndpointId)> = desk
        .lanes
        .iter()
        .filter(|(endpoint, head)| {
            **head <= claim.now && desk.is_open(**endpoint) && !claim.skip.contains(endpoint)
        })
        .map(|(endpoint, head)| (*head, *endpoint))
        .collect();
    lanes.sort_unstable();
    // First each lane gets an equal part, then the longest due get what is left.
    let part = (claim.limit / lanes.len().max(1)).max(1);
    let mut claimed = Vec::new();
    let mut counts = vec![0; lanes.len()];
    for bound in [part.min(claim.per_endpoint), claim.per_endpoint] {
        for ((_, endpoint), count) in lanes.iter().zip(&mut counts) {
            let room = (bound - *count).min(claim.limit - claimed.len());
            if room > 0 {
                *count += claim_lane(desk, snapshot, claim, *endpoint, room, &mut claimed)?;
            }
        }
    }
    Ok(claimed)
}

/// Leases up to `room` of the lane's rows, and answers how many.
fn claim_lane(
    desk: &mut Desk,
    snapshot: &Snapshot,
    claim: &Claim,
    endpoint: EndpointId,
    room: usize,
    claimed: &mut Vec<Claimed>,
) -> Result<usize> {
    let mut found = 0;
    let mut head = None;
    for row in lane_rows(snapshot, endpoint)? {
        let (key, id) = row.map_err(io)?;
        let (_, due, place) = key.value();
        let (due, place, id) =
            (Timestamp::from_micros(due), place_of(place), DeliveryId::from_u128(id.value()));
        // A lease may be asked for that has run out already.
        if desk.is_leased(id, claim.now) || claimed.iter().any(|other| other.delivery.id == id) {
            continue;
        }
        if due > claim.now || found == room {
            head = Some(due);
            break;
        }
        let (delivery, event) = match read(snapshot, place) {
            Ok(read) => read,
            // One row that cannot be read must not keep all others waiting.
            Err(error @ StoreError::Corrupt(_)) => {
                error!(delivery = %id, %error, "a delivery is passed over");
                continue;
            }
            Err(error) => return Err(error),
        };
        let held = Held { generation: 0, until: claim.lease_until, place, endpoint, due: Some(due) };
        claimed.push(Claimed { lease: desk.lease(id, held), delivery, event });
        found += 1;
    }
    match head {
        Some(head) => desk.lanes.insert(endpoint, head),
        None => desk.lanes.remove(&endpoint),
    };
    Ok(found)
}

fn read(snapshot: &Snapshot, place: Place) -> Result<(Delivery, Arc<Event>)> {
    Ok((last_delivery(&snapshot.journal, place)?, event_at(snapshot, place.sequence)?))
}

type LaneRows = redb::Range<'static, (u128, i64, u64), u128>;

fn lane_rows(snapshot: &Snapshot, endpoint: EndpointId) -> Result<LaneRows> {
    let endpoint = endpoint.as_u128();
    snapshot.due.range((endpoint, i64::MIN, 0)..=(endpoint, i64::MAX, u64::MAX)).map_err(io)
}

/// When the next delivery can be claimed. Makes the heads of the lanes exact on the way.
pub fn next_due(
    desk: &mut Desk,
    snapshot: &Snapshot,
    skip: &HashSet<EndpointId>,
) -> Result<Option<Timestamp>> {
    let open = |desk: &Desk, endpoint: &EndpointId| desk.is_open(*endpoint) && !skip.contains(endpoint);
    let lanes: Vec<EndpointId> = desk.lanes.keys().filter(|endpoint| open(desk, endpoint)).copied().collect();
    let mut next =
        desk.leases.values().filter(|held| open(desk, &held.endpoint)).map(|held| held.until).min();
    for endpoint in lanes {
        match lane_head(desk, snapshot, endpoint)? {
            Some(head) => {
                desk.lanes.insert(endpoint, head);
                next = Some(next.map_or(head, |next| next.min(head)));
            }
            None => {
                desk.lanes.remove(&endpoint);
            }
        }
    }
    Ok(next)
}

fn lane_head(desk: &Desk, snapshot: &Snapshot, endpoint: EndpointId) -> Result<Option<Timestamp>> {
    for row in lane_rows(snapshot, endpoint)? {
        let (key, id) = row.map_err(io)?;
        if !desk.leases.contains_key(&DeliveryId::from_u128(id.value())) {
            return Ok(Some(Timestamp::from_micros(key.value().1)));
        }
    }
    Ok(None)
}

pub fn sequence_of(table: &impl ReadableTable<u128, u64>, event: EventId) -> Result<Option<u64>> {
    Ok(table.get(event.as_u128()).map_err(io)?.map(|guard| guard.value()))
}

pub fn stored_event(
    table: &impl ReadableTable<u64, &'static [u8]>,
    sequence: u64,
) -> Result<Option<StoredEvent>> {
    table.get(sequence).map_err(io)?.map(|row| record::decode_event(row.value())).transpose()
}

pub fn event_at(snapshot: &Snapshot, sequence: u64) -> Result<Arc<Event>> {
    stored_event(&snapshot.events, sequence)?
        .map(record::shared)
        .ok_or_else(|| StoreError::Corrupt(format!("event {sequence} of a delivery is missing")))
}

type Line = (u32, Delivery, Option<Attempt>);

pub fn last_line(
    table: &impl ReadableTable<(u64, u32), &'static [u8]>,
    place: Place,
) -> Result<Option<Line>> {
    let key = place_key(place);
    let Some(row) = table.range((key, 0)..=(key, u32::MAX)).map_err(io)?.next_back() else { return Ok(None) };
    let (key, row) = row.map_err(io)?;
    let (delivery, attempt) = record::decode_journal(row.value())?;
    Ok(Some((key.value().1, delivery, attempt)))
}

pub fn last_delivery(
    table: &impl ReadableTable<(u64, u32), &'static [u8]>,
    place: Place,
) -> Result<Delivery> {
    let key = place_key(place);
    match table.range((key, 0)..=(key, u32::MAX)).map_err(io)?.next_back() {
        Some(row) => record::decode_delivery(row.map_err(io)?.1.value()),
        None => Err(StoreError::Corrupt(format!("the delivery at {place:?} has no line in the journal"))),
    }
}
