//! Reading what happened, and forgetting what is old.

use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

use redb::ReadableTable;

use crate::delivery::{Delivery, State};
use crate::event::{Event, EventType, Tenant};
use crate::id::{DeliveryId, EventId};
use crate::store::{
    DeliveryFilter, DeliveryRecord, EventFilter, EventRecord, Page, PageRequest, Place, Pruned, Result,
    SCAN_LIMIT,
};
use crate::time::Timestamp;

use super::desk::Desk;
use super::find::{Found, Search};
use super::index::{Attribute, Noted, Times, Wanted};
use super::io;
use super::queue::{event_at, sequence_of, stored_event};
use super::record;
use super::tables::{Snapshot, first_place, place_at, place_key, place_of};
use super::writer::Txn;

/// Deliveries without a row, with their places.
pub type Implied = Vec<(Place, Delivery)>;

pub fn implied(desk: &Desk, filter: &DeliveryFilter) -> Implied {
    desk.implied
        .iter()
        .map(|(place, implied)| (*place, implied.delivery()))
        .filter(|(_, delivery)| filter.fits(delivery))
        .collect()
}

/// The newest ones that fit, in descending order: as many as a page can need, to see that more follow.
pub fn implied_page(desk: &Desk, filter: &DeliveryFilter, page: PageRequest) -> Implied {
    let behind = page.after.map_or(Bound::Unbounded, Bound::Excluded);
    (desk.implied.range((Bound::Unbounded, behind)).rev())
        .map(|(place, implied)| (*place, implied.delivery()))
        .filter(|(_, delivery)| filter.fits(delivery))
        .take(page.limit.saturating_add(1))
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

/// What the index is asked for. All that fits is found by it.
pub fn wanted_events(filter: &EventFilter) -> Wanted {
    let mut terms: Vec<Vec<Vec<u8>>> = Vec::new();
    terms.extend(of_event(filter.tenant.as_ref(), filter.event_type.as_ref()));
    terms.extend(filter.channel.as_ref().map(|channel| vec![Attribute::Channel(channel).key()]));
    let times = Times::between(filter.since, filter.until, false);
    if terms.is_empty() && times.is_some() {
        terms.push(vec![Attribute::Any.key()]);
    }
    Wanted { terms, times }
}

fn of_event(tenant: Option<&Tenant>, event_type: Option<&EventType>) -> Option<Vec<Vec<u8>>> {
    let attribute = match (tenant, event_type) {
        (None, None) => return None,
        (Some(tenant), None) => Attribute::Tenant(tenant),
        (None, Some(event_type)) => Attribute::Type(event_type),
        (Some(tenant), Some(event_type)) => Attribute::TenantType(tenant, event_type),
    };
    Some(vec![attribute.key()])
}

/// As [`wanted_events`], for the events of the deliveries that fit and have a line in the journal.
pub fn wanted_deliveries(filter: &DeliveryFilter) -> Wanted {
    let states = filter.state.map_or(State::ALL.to_vec(), |state| vec![state]);
    let attribute = |state: State| match (filter.endpoint, &filter.tenant, &filter.event_type) {
        (Some(endpoint), _, None) => Attribute::EndpointState(endpoint, state),
        (Some(endpoint), _, Some(event_type)) => Attribute::EndpointTypeState(endpoint, event_type, state),
        (None, None, None) => Attribute::State(state),
        (None, Some(tenant), None) => Attribute::TenantState(tenant, state),
        (None, None, Some(event_type)) => Attribute::TypeState(event_type, state),
        (None, Some(tenant), Some(event_type)) => Attribute::TenantTypeState(tenant, event_type, state),
    };
    let terms = vec![states.into_iter().map(|state| attribute(state).key()).collect()];
    Wanted { terms, times: Times::between(filter.since, filter.until, true) }
}

pub fn events(
    snapshot: &Snapshot,
    wanted: &Wanted,
    noted: Noted,
    filter: &EventFilter,
    page: PageRequest,
) -> Result<Page<Arc<Event>>> {
    let end = page.after.map_or(u64::MAX, |place| place.sequence);
    if wanted.terms.is_empty() {
        let rows = snapshot.events.range(..end).map_err(io)?.rev();
        return page_of_events(rows.map(read_event), filter, page);
    }
    let search = Search::start(snapshot, wanted, noted, end)?;
    let found = search.map(|found| match found? {
        Found::NoneFrom(sequence) => Ok((sequence, None)),
        Found::Event(sequence) => {
            let stored = stored_event(&snapshot.events, sequence)?;
            Ok((sequence, stored.map(|stored| stored.event)))
        }
    });
    page_of_events(found, filter, page)
}

type EventRow = (redb::AccessGuard<'static, u64>, redb::AccessGuard<'static, &'static [u8]>);

fn read_event(row: std::result::Result<EventRow, redb::StorageError>) -> Result<(u64, Option<Event>)> {
    let (sequence, row) = row.map_err(io)?;
    Ok((sequence.value(), Some(record::decode_event(row.value())?.event)))
}

/// `found` comes newest first. A sequence without an event says that nothing follows from there on.
fn page_of_events(
    found: impl Iterator<Item = Result<(u64, Option<Event>)>>,
    filter: &EventFilter,
    page: PageRequest,
) -> Result<Page<Arc<Event>>> {
    let mut events = Page { items: Vec::new(), next: None };
    for (looked_at, found) in found.enumerate() {
        if events.items.len() == page.limit || looked_at == SCAN_LIMIT {
            return Ok(events);
        }
        let (sequence, event) = found?;
        events.next = Some(first_place(sequence));
        events.items.extend(event.filter(|event| filter.fits(event)).map(Arc::new));
    }
    Ok(Page { next: None, ..events })
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
    wanted: &Wanted,
    noted: Noted,
    filter: &DeliveryFilter,
    page: PageRequest,
) -> Result<Page<Delivery>> {
    if let Some(event) = filter.only_event() {
        let sequence = sequence_of(&snapshot.sequences, event)?;
        let lines = sequence.map(|sequence| Lines::start(snapshot, sequence, page)).transpose()?;
        return merge(lines.into_iter().flatten(), implied.into_iter(), filter, page);
    }
    let end = page.after.map_or(u64::MAX, |place| place.sequence.saturating_add(1));
    let search = Search::start(snapshot, wanted, noted, end)?;
    let written = search.flat_map(|found| match found {
        Ok(Found::Event(sequence)) => Looked::lines(snapshot, sequence, page),
        Ok(Found::NoneFrom(sequence)) => Looked::One(Some(Ok((first_place(sequence), None)))),
        Err(error) => Looked::One(Some(Err(error))),
    });
    merge(written, implied.into_iter(), filter, page)
}

/// A delivery at its place; without one, that nothing else follows from there on.
type Look = Result<(Place, Option<Delivery>)>;

/// What comes of one thing that was found.
enum Looked<'a> {
    One(Option<Look>),
    Lines(Lines<'a>),
}

impl<'a> Looked<'a> {
    fn lines(snapshot: &'a Snapshot, sequence: u64, page: PageRequest) -> Self {
        match Lines::start(snapshot, sequence, page) {
            Ok(lines) => Looked::Lines(lines),
            Err(error) => Looked::One(Some(Err(error))),
        }
    }
}

impl Iterator for Looked<'_> {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        match self {
            Looked::One(look) => look.take(),
            Looked::Lines(lines) => lines.next(),
        }
    }
}

/// An event's deliveries that have lines in the journal, the last one first.
struct Lines<'a> {
    snapshot: &'a Snapshot,
    first: (u64, u32),
    rows: redb::Range<'static, (u64, u32), &'static [u8]>,
    last: Option<u64>,
}

impl<'a> Lines<'a> {
    fn start(snapshot: &'a Snapshot, sequence: u64, page: PageRequest) -> Result<Self> {
        let (first, last) = journal_range(sequence).into_inner();
        let end = page.after.map_or(last, |after| last.min((place_key(after), 0)));
        let rows = snapshot.journal.range(first..end.max(first)).map_err(io)?;
        Ok(Self { snapshot, first, rows, last: None })
    }

    /// Only the last line of a delivery counts; the others are leapt over.
    fn step(&mut self) -> Result<Option<(Place, Option<Delivery>)>> {
        while let Some(row) = self.rows.next_back() {
            let (key, row) = row.map_err(io)?;
            let (place, _) = key.value();
            if self.last.replace(place) != Some(place) {
                return Ok(Some((place_of(place), Some(record::decode_delivery(row.value())?))));
            }
            self.rows = self.snapshot.journal.range(self.first..(place, 0)).map_err(io)?;
        }
        Ok(None)
    }
}

impl Iterator for Lines<'_> {
    type Item = Look;

    fn next(&mut self) -> Option<Look> {
        self.step().transpose()
    }
}

/// Merges two descending orders, up to the page's end or the bound on looking.
fn merge(
    written: impl Iterator<Item = Look>,
    implied: impl Iterator<Item = (Place, Delivery)>,
    filter: &DeliveryFilter,
    request: PageRequest,
) -> Result<Page<Delivery>> {
    let mut page = Page { items: Vec::new(), next: None };
    let mut written = written.peekable();
    let mut implied = implied.peekable();
    for _ in 0..SCAN_LIMIT {
        if page.items.len() == request.limit {
            break;
        }
        let newer = match (written.peek(), implied.peek()) {
            (None, None) => return Ok(Page { next: None, ..page }),
            // At the same place nothing else is written: from there on the search has found nothing.
            (Some(Ok((place, _))), Some((other, _))) => other >= place,
            (None, Some(_)) => true,
            (Some(_), _) => false,
        };
        let (place, delivery) = if newer {
            implied.next().map(|(place, delivery)| (place, Some(delivery)))
        } else {
            written.next().transpose()?
        }
        .unwrap_or((first_place(0), None));
        if delivery.as_ref().is_some_and(|delivery| filter.is_refuted_by(delivery)) {
            return Ok(Page { next: None, ..page });
        }
        page.next = Some(request.after.map_or(place, |after| after.min(place)));
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
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for delivery in lines.chunk_by(|a, b| a.0.0 == b.0.0) {
        let Some((_, last)) = delivery.last() else { continue };
        if last.finished_at.is_none_or(|finished| finished >= before) {
            remaining += 1;
            kept.push(last.clone());
            continue;
        }
        for (line, _) in delivery {
            txn.tables.journal.remove(*line).map_err(io)?;
        }
        gone.push(last.clone());
        pruned.deliveries += 1;
    }
    txn.desk.index.pruned(sequence, &gone, &kept);
    let promised = stored_event(&txn.tables.events, sequence)?.map_or(0, |stored| stored.endpoints.len());
    if remaining == 0 && (promised > 0 || event.accepted_at < before) {
        forget(txn, sequence, event)?;
        pruned.events += 1;
    }
    Ok(lines.len())
}

fn forget(txn: &mut Txn<'_>, sequence: u64, event: &Event) -> Result<()> {
    txn.desk.index.forgotten(sequence, event);
    super::counters::forgotten(txn, event);
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
