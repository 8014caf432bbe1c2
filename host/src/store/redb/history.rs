//! Reading what happened, and forgetting what is old.

use std::sync::Arc;
use std::time::Duration;

use redb::ReadableTable;

use crate::delivery::Delivery;
use crate::event::Event;
use crate::id::{DeliveryId, EndpointId, EventId};
use crate::store::{
    DeliveryFilter, DeliveryRecord, EventFilter, EventRecord, Page, PageRequest, Place, Pruned, Result,
    SCAN_LIMIT,
};
use crate::time::Timestamp;

use super::desk::Desk;
use super::io;
use super::queue::{event_at, last_delivery, sequence_of, stored_event};
use super::record;
use super::tables::{Snapshot, first_place, place_at, place_key, place_of};
use super::writer::Txn;

/// Deliveries without a row, in ascending order of their places.
pub type Implied = Vec<(Place, Delivery)>;

pub fn implied(desk: &Desk, filter: &DeliveryFilter) -> Implied {
    desk.implied
        .iter()
        .map(|(place, implied)| (*place, implied.delivery()))
        .filter(|(_, delivery)| filter.fits(delivery))
        .collect()
}

pub fn event(snapshot: &Snapshot, implied: &Implied, id: EventId) -> Result<Option<EventRecord>> {
    let Some(sequence) = sequence_of(&snapshot.sequences, id)? else { return Ok(None) };
    let event = event_at(snapshot, sequence)?;
    let mut deliveries: Vec<(Place, Delivery)> = deliveries_of(snapshot, sequence)?;
    deliveries.extend(implied.iter().filter(|(place, _)| place.sequence == sequence).cloned());
    deliveries.sort_by_key(|(place, _)| *place);
    Ok(Some(EventRecord {
        event,
        deliveries: deliveries.into_iter().map(|(_, delivery)| delivery).collect(),
    }))
}

/// The event's deliveries that have lines in the journal.
fn deliveries_of(snapshot: &Snapshot, sequence: u64) -> Result<Vec<(Place, Delivery)>> {
    let mut found: Vec<(Place, Delivery)> = Vec::new();
    for row in snapshot.journal.range(journal_range(sequence)).map_err(io)? {
        let (key, row) = row.map_err(io)?;
        let place = place_of(key.value().0);
        found.pop_if(|(last, _)| *last == place);
        found.push((place, record::decode_delivery(row.value())?));
    }
    Ok(found)
}

fn journal_range(sequence: u64) -> std::ops::RangeInclusive<(u64, u32)> {
    let last = Place { sequence, ordinal: u16::MAX };
    (place_key(first_place(sequence)), 0)..=(place_key(last), u32::MAX)
}

pub fn events(snapshot: &Snapshot, filter: &EventFilter, page: PageRequest) -> Result<Page<Arc<Event>>> {
    let end = page.after.map_or(u64::MAX, |place| place.sequence);
    let mut found = Page { items: Vec::new(), next: None };
    for (looked_at, row) in snapshot.events.range(..end).map_err(io)?.rev().enumerate() {
        if found.items.len() == page.limit || looked_at == SCAN_LIMIT {
            return Ok(found);
        }
        let (sequence, row) = row.map_err(io)?;
        let event = record::decode_event(row.value())?.event;
        found.next = Some(first_place(sequence.value()));
        if filter.fits(&event) {
            found.items.push(Arc::new(event));
        }
    }
    Ok(Page { next: None, ..found })
}

pub fn delivery(snapshot: &Snapshot, implied: &Implied, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
    let Some(sequence) = sequence_of(&snapshot.sequences, id.event())? else { return Ok(None) };
    let place = place_at(sequence, id);
    let event = event_at(snapshot, sequence)?;
    if let Some((_, delivery)) = implied.iter().find(|(at, _)| *at == place) {
        return Ok(Some(DeliveryRecord { delivery: delivery.clone(), event, attempts: Vec::new() }));
    }
    let mut last = None;
    let mut attempts = Vec::new();
    let key = place_key(place);
    for row in snapshot.journal.range((key, 0)..=(key, u32::MAX)).map_err(io)? {
        let (delivery, attempt) = record::decode_journal(row.map_err(io)?.1.value())?;
        attempts.extend(attempt);
        last = Some(delivery);
    }
    Ok(last.map(|delivery| DeliveryRecord { delivery, event, attempts }))
}

pub fn deliveries(
    snapshot: &Snapshot,
    implied: Implied,
    filter: &DeliveryFilter,
    page: PageRequest,
) -> Result<Page<Delivery>> {
    let behind = |place: &Place| page.after.is_none_or(|after| *place < after);
    let implied = implied.into_iter().rev().filter(|(place, _)| behind(place));
    match (filter.only_event(), filter.endpoint) {
        (Some(event), _) => {
            let written = match sequence_of(&snapshot.sequences, event)? {
                Some(sequence) => deliveries_of(snapshot, sequence)?,
                None => Vec::new(),
            };
            let written = written.into_iter().rev().filter(|(place, _)| behind(place));
            merge(written.map(|(place, delivery)| Ok((place, Some(delivery)))), implied, filter, page.limit)
        }
        (None, Some(endpoint)) => {
            merge(by_endpoint(snapshot, filter, endpoint, page)?, implied, filter, page.limit)
        }
        (None, None) => merge(journal(snapshot, page)?, implied, filter, page.limit),
    }
}

/// A row that was looked at, and its delivery unless the row alone told that it does not fit.
type Looked = Result<(Place, Option<Delivery>)>;

fn by_endpoint<'a>(
    snapshot: &'a Snapshot,
    filter: &'a DeliveryFilter,
    endpoint: EndpointId,
    page: PageRequest,
) -> Result<impl Iterator<Item = Looked> + 'a> {
    let end = page.after.map_or(u64::MAX, place_key);
    let endpoint = endpoint.as_u128();
    let rows = snapshot.by_endpoint.range((endpoint, 0)..(endpoint, end)).map_err(io)?;
    Ok(rows.rev().map(move |row| {
        let (key, state) = row.map_err(io)?;
        let place = place_of(key.value().1);
        let state = record::decode_state(state.value())?;
        let fits = filter.state.is_none_or(|wanted| wanted == state);
        let delivery = fits.then(|| last_delivery(&snapshot.journal, place)).transpose()?;
        Ok((place, delivery))
    }))
}

/// The last line of each delivery, newest first.
fn journal(snapshot: &Snapshot, page: PageRequest) -> Result<impl Iterator<Item = Looked>> {
    let end = page.after.map_or(u64::MAX, place_key);
    let mut last = None;
    let rows = snapshot.journal.range(..(end, 0)).map_err(io)?;
    Ok(rows.rev().filter_map(move |row| {
        let (key, row) = match row.map_err(io) {
            Ok(row) => row,
            Err(error) => return Some(Err(error)),
        };
        let place = place_of(key.value().0);
        if last.replace(place) == Some(place) {
            return None;
        }
        Some(record::decode_delivery(row.value()).map(|delivery| (place, Some(delivery))))
    }))
}

/// Merges two descending orders, up to the page's end or the bound on looking.
fn merge(
    written: impl Iterator<Item = Looked>,
    implied: impl Iterator<Item = (Place, Delivery)>,
    filter: &DeliveryFilter,
    limit: usize,
) -> Result<Page<Delivery>> {
    let mut page = Page { items: Vec::new(), next: None };
    let mut written = written.peekable();
    let mut implied = implied.peekable();
    for _ in 0..SCAN_LIMIT {
        if page.items.len() == limit {
            break;
        }
        let newer = match (written.peek(), implied.peek()) {
            (None, None) => return Ok(Page { next: None, ..page }),
            (Some(Ok((place, _))), Some((other, _))) => other > place,
            (None, Some(_)) => true,
            (Some(_), _) => false,
        };
        let (place, delivery) = if newer {
            implied.next().map(|(place, delivery)| (place, Some(delivery)))
        } else {
            written.next().transpose()?
        }
        .unwrap_or((first_place(0), None));
        page.next = Some(place);
        page.items.extend(delivery.filter(|delivery| filter.fits(delivery)));
    }
    let ended = written.peek().is_none() && implied.peek().is_none();
    Ok(if ended { Page { next: None, ..page } } else { page })
}

/// Sequences follow the clock but for its leaps back: pruning looks so much further than it has to.
const CLOCK_SLACK: Duration = Duration::from_secs(3_600);

/// Lines of journals after which a commit that prunes is long enough.
const LINES_PER_COMMIT: usize = 5_000;

pub fn prune(txn: &mut Txn<'_>, before: Timestamp, limit: usize) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    let horizon = before.plus(CLOCK_SLACK);
    let mut lines = 0;
    for _ in 0..limit.max(1) {
        if lines > LINES_PER_COMMIT {
            break;
        }
        let Some((sequence, event)) = next_event(txn, horizon)? else { break };
        lines += prune_event(txn, sequence, &event, before, &mut pruned)?;
        txn.desk.prune_from = sequence + 1;
    }
    pruned.done = next_event(txn, horizon)?.is_none();
    if pruned.done {
        txn.desk.prune_from = 0;
    }
    Ok(pruned)
}

/// The next event to look at, unless it and what follows is too young.
fn next_event(txn: &Txn<'_>, horizon: Timestamp) -> Result<Option<(u64, Event)>> {
    for row in txn.tables.events.range(txn.desk.prune_from..).map_err(io)? {
        let (sequence, row) = row.map_err(io)?;
        let event = record::decode_event(row.value())?.event;
        if event.accepted_at < horizon {
            return Ok(Some((sequence.value(), event)));
        }
        // What was accepted by a clock that was ahead stands in nobody's way.
        if event.accepted_at <= txn.now {
            break;
        }
    }
    Ok(None)
}

fn prune_event(
    txn: &mut Txn<'_>,
    sequence: u64,
    event: &Event,
    before: Timestamp,
    pruned: &mut Pruned,
) -> Result<usize> {
    let last = Place { sequence, ordinal: u16::MAX };
    let mut remaining = txn.desk.implied.range(first_place(sequence)..=last).count();
    let mut lines: Vec<((u64, u32), Delivery)> = Vec::new();
    for row in txn.tables.journal.range(journal_range(sequence)).map_err(io)? {
        let (key, row) = row.map_err(io)?;
        lines.push((key.value(), record::decode_delivery(row.value())?));
    }
    for delivery in lines.chunk_by(|a, b| a.0.0 == b.0.0) {
        let Some(((key, _), last)) = delivery.last() else { continue };
        if last.finished_at.is_none_or(|finished| finished >= before) {
            remaining += 1;
            continue;
        }
        for (line, _) in delivery {
            txn.tables.journal.remove(*line).map_err(io)?;
        }
        txn.tables.by_endpoint.remove((last.endpoint.as_u128(), *key)).map_err(io)?;
        pruned.deliveries += 1;
    }
    let promised = stored_event(&txn.tables.events, sequence)?.map_or(0, |stored| stored.endpoints.len());
    if remaining == 0 && (promised > 0 || event.accepted_at < before) {
        forget(txn, sequence, event)?;
        pruned.events += 1;
    }
    Ok(lines.len())
}

fn forget(txn: &mut Txn<'_>, sequence: u64, event: &Event) -> Result<()> {
    txn.tables.events.remove(sequence).map_err(io)?;
    txn.tables.ordinals.remove(sequence).map_err(io)?;
    txn.tables.sequences.remove(event.id.as_u128()).map_err(io)?;
    if let Some(producer_id) = &event.producer_id {
        let key = (event.tenant.as_str(), producer_id.as_str());
        txn.tables.producer_ids.remove(key).map_err(io)?;
    }
    Ok(())
}

/// Gives rows to the deliveries that the last process left without one.
pub fn recover(txn: &mut Txn<'_>, watermark: u64) -> Result<u64> {
    let mut recovered = 0;
    for sequence in watermark..txn.desk.next_sequence {
        let Some(stored) = stored_event(&txn.tables.events, sequence)? else { continue };
        for (ordinal, endpoint) in (0..).zip(&stored.endpoints) {
            let place = Place { sequence, ordinal };
            let written = txn.tables.journal.range((place_key(place), 0)..=(place_key(place), u32::MAX));
            if written.map_err(io)?.next().is_none() {
                super::queue::promise(txn, place, *endpoint, &stored.event)?;
                recovered += 1;
            }
        }
    }
    Ok(recovered)
}
