//! Which events have what lists are asked for: so a list looks only at what it is going to show.
//!
//! A row of `postings` says which events of a chunk have an attribute. All deliveries of an event share its tenant and
//! its type, so the intersection of rows finds the events that have a fitting delivery, and none else; reading the
//! deliveries of those is all that is left to do.
//!
//! What is known of the youngest events is in memory alone, and is written down for a thousand of them at once: an
//! append or the first settlement of a delivery costs no row. At the next opening it is read from the events and the
//! journal again. What changes of an older event is gathered while a commit is made and written with it.
//!
//! A row may name an event in vain, which costs time only. It never leaves one out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use redb::ReadableTable;
use tracing::info;

use crate::delivery::{Delivery, State};
use crate::event::{Channel, Event, EventType, Tenant};
use crate::id::EndpointId;
use crate::store::{Place, Result, StoreError};
use crate::time::Timestamp;

use super::bits::{Bits, chunk_of, chunk_start, place_in_chunk};
use super::io;
use super::record;
use super::tables::{META_INDEXED, SpanRow, first_place, place_key, place_of};
use super::writer::Txn;

/// Events that are read again together, at the opening.
const STEP: usize = 1_024;
/// Bits in memory, and bytes of payloads that would be read again at the next opening: where there are more, the
/// young leave the memory at once.
const MOST_YOUNG: usize = 1 << 17;
const MOST_YOUNG_BYTES: usize = 64 << 20;
/// Lines of other deliveries that are looked at before an event stays listed as pending in vain.
const MOST_OTHERS: usize = 4_096;

/// What an event is listed by.
#[derive(Debug, Clone, Copy)]
pub enum Attribute<'a> {
    /// It is there.
    Any,
    Tenant(&'a Tenant),
    Type(&'a EventType),
    TenantType(&'a Tenant, &'a EventType),
    Channel(&'a Channel),
    /// It has a delivery that is a replay.
    Replayed,
    /// It has a delivery, with a line in the journal, in that state: of that tenant, of that type, to that endpoint.
    State(State),
    TenantState(&'a Tenant, State),
    TypeState(&'a EventType, State),
    TenantTypeState(&'a Tenant, &'a EventType, State),
    EndpointState(EndpointId, State),
    EndpointTypeState(EndpointId, &'a EventType, State),
}

impl Attribute<'_> {
    pub fn key(self) -> Vec<u8> {
        let mut key = Vec::new();
        self.write(&mut key);
        key
    }

    /// As the first part of a row's key. Tenants and types hold no zero byte.
    fn write(self, key: &mut Vec<u8>) {
        key.clear();
        let mut put = |parts: &[&[u8]]| parts.iter().for_each(|part| key.extend_from_slice(part));
        let byte = |state| [record::encode_state(state)];
        let id = |endpoint: EndpointId| endpoint.as_u128().to_be_bytes();
        match self {
            Attribute::Any => put(&[b"a"]),
            Attribute::Tenant(tenant) => put(&[b"t", tenant.as_str().as_bytes()]),
            Attribute::Type(event_type) => put(&[b"y", event_type.as_str().as_bytes()]),
            Attribute::TenantType(tenant, event_type) => {
                put(&[b"u", tenant.as_str().as_bytes(), b"\0", event_type.as_str().as_bytes()]);
            }
            Attribute::Channel(channel) => put(&[b"c", channel.as_str().as_bytes()]),
            Attribute::Replayed => put(&[b"r"]),
            Attribute::State(state) => put(&[b"S", &byte(state)]),
            Attribute::TenantState(tenant, state) => put(&[b"T", &byte(state), tenant.as_str().as_bytes()]),
            Attribute::TypeState(event_type, state) => {
                put(&[b"Y", &byte(state), event_type.as_str().as_bytes()]);
            }
            Attribute::TenantTypeState(tenant, event_type, state) => {
                let (tenant, event_type) = (tenant.as_str().as_bytes(), event_type.as_str().as_bytes());
                put(&[b"U", &byte(state), tenant, b"\0", event_type]);
            }
            Attribute::EndpointState(endpoint, state) => put(&[b"E", &id(endpoint), &byte(state)]),
            Attribute::EndpointTypeState(endpoint, event_type, state) => {
                put(&[b"F", &id(endpoint), &byte(state), event_type.as_str().as_bytes()]);
            }
        }
    }
}

/// When the events of a chunk were accepted, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub first: i64,
    pub last: i64,
    /// Most that an event's time lies before that of an earlier one: 0 where no clock went back.
    pub disorder: i64,
    /// When its replays were made, the first and the last.
    pub replays: Option<(i64, i64)>,
}

impl Span {
    fn at(accepted: i64) -> Self {
        Self { first: accepted, last: accepted, disorder: 0, replays: None }
    }

    fn add(&mut self, accepted: i64) {
        self.disorder = self.disorder.max(self.last.saturating_sub(accepted));
        self.first = self.first.min(accepted);
        self.last = self.last.max(accepted);
    }

    fn add_replay(&mut self, created: i64) {
        let (first, last) = self.replays.unwrap_or((created, created));
        self.replays = Some((first.min(created), last.max(created)));
    }

    fn of_row((first, last, disorder, replay, last_replay): SpanRow) -> Self {
        let replays = (replay <= last_replay).then_some((replay, last_replay));
        Self { first, last, disorder, replays }
    }

    fn row(&self) -> SpanRow {
        let (first, last) = self.replays.unwrap_or((i64::MAX, i64::MIN));
        (self.first, self.last, self.disorder, first, last)
    }
}

/// What a search asks for.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Events that have one of the attributes (by their keys) of each of these.
    pub terms: Vec<Vec<Vec<u8>>>,
    /// From the first on, and before the second.
    pub times: Option<Times>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    pub since: i64,
    pub until: i64,
    /// Whether replays that were made then are wanted too.
    pub replays: bool,
}

impl Times {
    /// `None` where neither end is given.
    pub fn between(since: Option<Timestamp>, until: Option<Timestamp>, replays: bool) -> Option<Self> {
        let (first, end) = (since.map(Timestamp::as_micros), until.map(Timestamp::as_micros));
        let times = Self { since: first.unwrap_or(i64::MIN), until: end.unwrap_or(i64::MAX), replays };
        (first.is_some() || end.is_some()).then_some(times)
    }

    pub fn meet(&self, span: &Span) -> bool {
        (span.first < self.until && span.last >= self.since) || self.meet_replays(span)
    }

    pub fn meet_replays(&self, span: &Span) -> bool {
        let meet = |(first, last)| first < self.until && last >= self.since;
        self.replays && span.replays.is_some_and(meet)
    }
}

/// What a search has to know beside the rows.
#[derive(Debug, Default)]
pub struct Noted {
    /// By the keys of the attributes: chunks in ascending order.
    pub young: HashMap<Vec<u8>, Vec<(u64, Bits)>>,
    /// The chunks whose events may be of the wanted time, in ascending order; `None` where any time will do.
    pub spans: Option<Vec<(u64, Span)>>,
}

/// The part of the index that is in memory.
#[derive(Debug, Default)]
pub struct Index {
    /// So many of the youngest events stay in memory, because most deliveries are settled soon; where twice as many are
    /// there, the older half leaves.
    most_young: u64,
    /// What is known of the events from this sequence on is in `young` alone.
    from: u64,
    young: HashMap<Vec<u8>, BTreeMap<u64, Bits>>,
    young_bits: usize,
    young_bytes: usize,
    /// What this commit changes in rows.
    changes: BTreeMap<Vec<u8>, BTreeMap<u64, Change>>,
    spans: BTreeMap<u64, Span>,
    changed_spans: BTreeSet<u64>,
    /// Chunks that lost an event.
    thinned: BTreeSet<u64>,
    /// Where keys are put together.
    key: Vec<u8>,
}

#[derive(Debug, Default)]
struct Change {
    set: Bits,
    unset: Bits,
}

impl Change {
    fn put(&mut self, place: u16, present: bool) {
        let (here, there) =
            if present { (&mut self.set, &mut self.unset) } else { (&mut self.unset, &mut self.set) };
        here.insert(place);
        there.remove(place);
    }
}

impl Index {
    /// What a search for `wanted` has to know, as of now.
    pub fn note(&self, wanted: &Wanted) -> Noted {
        let replays = wanted.times.filter(|times| times.replays).map(|_| Attribute::Replayed.key());
        let young = wanted.terms.iter().flatten().chain(&replays).filter_map(|key| {
            let chunks = self.young.get(key)?;
            let chunks = chunks.iter().map(|(chunk, bits)| (*chunk, bits.clone()));
            Some((key.clone(), chunks.collect()))
        });
        let spans = |times: Times| {
            let met = self.spans.iter().filter(|(_, span)| times.meet(span));
            met.map(|(chunk, span)| (*chunk, *span)).collect()
        };
        Noted { young: young.collect(), spans: wanted.times.map(spans) }
    }

    /// Takes an event on.
    pub fn appended(&mut self, sequence: u64, event: &Event) {
        self.put_event(sequence, event, true);
        self.young_bytes += event.payload.len();
        let accepted = event.accepted_at.as_micros();
        let span = self.spans.entry(chunk_of(sequence));
        span.and_modify(|span| span.add(accepted)).or_insert(Span::at(accepted));
    }

    /// Notes that a delivery was added which is a replay.
    pub fn replayed(&mut self, sequence: u64, created: Timestamp) {
        self.put(Attribute::Replayed, sequence, true);
        let chunk = chunk_of(sequence);
        if let Some(span) = self.spans.get_mut(&chunk) {
            span.add_replay(created.as_micros());
            self.changed_spans.insert(chunk);
        }
    }

    /// Forgets an event whose deliveries are gone.
    pub fn forgotten(&mut self, sequence: u64, event: &Event) {
        self.put_event(sequence, event, false);
        self.put(Attribute::Replayed, sequence, false);
        self.thinned.insert(chunk_of(sequence));
    }

    /// Forgets deliveries of an event; `kept` are those that stay.
    pub fn pruned(&mut self, sequence: u64, gone: &[Delivery], kept: &[Delivery]) {
        let states: HashSet<State> = kept.iter().map(|delivery| delivery.state).collect();
        let ends: HashSet<(EndpointId, State)> = kept.iter().map(|it| (it.endpoint, it.state)).collect();
        for delivery in gone {
            let state = delivery.state;
            let others = Others {
                in_state: states.contains(&state),
                to_endpoint: ends.contains(&(delivery.endpoint, state)),
            };
            self.left(sequence, delivery, state, &others);
        }
        let replayed = |deliveries: &[Delivery]| deliveries.iter().any(|it| it.replay_of.is_some());
        if replayed(gone) && !replayed(kept) {
            self.put(Attribute::Replayed, sequence, false);
        }
    }

    fn put_event(&mut self, sequence: u64, event: &Event, present: bool) {
        let (tenant, event_type) = (&event.tenant, &event.event_type);
        self.put(Attribute::Any, sequence, present);
        self.put(Attribute::Tenant(tenant), sequence, present);
        self.put(Attribute::Type(event_type), sequence, present);
        self.put(Attribute::TenantType(tenant, event_type), sequence, present);
        for channel in &event.channels {
            self.put(Attribute::Channel(channel), sequence, present);
        }
    }

    fn entered(&mut self, sequence: u64, delivery: &Delivery) {
        self.put_to_endpoint(sequence, delivery, delivery.state, true);
        self.put_in_state(sequence, delivery, delivery.state, true);
    }

    fn left(&mut self, sequence: u64, delivery: &Delivery, state: State, others: &Others) {
        if !others.to_endpoint {
            self.put_to_endpoint(sequence, delivery, state, false);
        }
        if !others.in_state {
            self.put_in_state(sequence, delivery, state, false);
        }
    }

    fn put_to_endpoint(&mut self, sequence: u64, delivery: &Delivery, state: State, present: bool) {
        let endpoint = delivery.endpoint;
        self.put(Attribute::EndpointState(endpoint, state), sequence, present);
        self.put(Attribute::EndpointTypeState(endpoint, &delivery.event_type, state), sequence, present);
    }

    fn put_in_state(&mut self, sequence: u64, delivery: &Delivery, state: State, present: bool) {
        let (tenant, event_type) = (&delivery.tenant, &delivery.event_type);
        self.put(Attribute::State(state), sequence, present);
        self.put(Attribute::TenantState(tenant, state), sequence, present);
        self.put(Attribute::TypeState(event_type, state), sequence, present);
        self.put(Attribute::TenantTypeState(tenant, event_type, state), sequence, present);
    }

    fn put(&mut self, attribute: Attribute<'_>, sequence: u64, present: bool) {
        let (chunk, place) = (chunk_of(sequence), place_in_chunk(sequence));
        attribute.write(&mut self.key);
        if sequence < self.from {
            let chunks = match self.changes.get_mut(self.key.as_slice()) {
                Some(chunks) => chunks,
                None => self.changes.entry(self.key.clone()).or_default(),
            };
            return chunks.entry(chunk).or_default().put(place, present);
        }
        let chunks = match self.young.get_mut(self.key.as_slice()) {
            Some(chunks) => chunks,
            None => self.young.entry(self.key.clone()).or_default(),
        };
        let bits = chunks.entry(chunk).or_default();
        if present {
            bits.insert(place)
        } else {
            bits.remove(place)
        }
        self.young_bits += 1;
    }

    /// Has the oldest of the young leave the memory with this commit, where there are many. `next` is the sequence that
    /// follows the last event.
    fn ripen(&mut self, next: u64) -> bool {
        let crowded = self.young_bits > MOST_YOUNG || self.young_bytes > MOST_YOUNG_BYTES;
        let from = match next.saturating_sub(self.from) {
            0 => return false,
            _ if crowded => next,
            young if young >= self.most_young.saturating_mul(2) => next - self.most_young,
            _ => return false,
        };
        self.changed_spans.extend(chunk_of(self.from)..=chunk_of(from - 1));
        self.from = from;
        self.young_bytes = 0;
        self.young_bits = 0;
        for (key, chunks) in &mut self.young {
            let ripe = take_below(chunks, from);
            self.young_bits += chunks.values().map(Bits::len).sum::<usize>();
            if !ripe.is_empty() {
                let changes = self.changes.entry(key.clone()).or_default();
                ripe.into_iter().for_each(|(chunk, bits)| changes.entry(chunk).or_default().set.unite(&bits));
            }
        }
        self.young.retain(|_, chunks| !chunks.is_empty());
        true
    }
}

/// Takes out what is known of events before `sequence`.
fn take_below(chunks: &mut BTreeMap<u64, Bits>, sequence: u64) -> BTreeMap<u64, Bits> {
    let rest = chunks.split_off(&chunk_of(sequence));
    let mut below = std::mem::replace(chunks, rest);
    if let Some(bits) = chunks.get_mut(&chunk_of(sequence)) {
        below.insert(chunk_of(sequence), bits.split_below(place_in_chunk(sequence)));
    }
    chunks.retain(|_, bits| !bits.is_empty());
    below.retain(|_, bits| !bits.is_empty());
    below
}

/// Whether other deliveries of the event hold it in the list that one of them leaves.
#[derive(Debug, Clone, Copy, Default)]
struct Others {
    in_state: bool,
    to_endpoint: bool,
}

/// Notes how a delivery stands now that its line is written. `before` is what its last line said; `None` for its first.
pub fn moved(txn: &mut Txn<'_>, place: Place, delivery: &Delivery, before: Option<State>) -> Result<()> {
    if before == Some(delivery.state) {
        return Ok(());
    }
    txn.desk.index.entered(place.sequence, delivery);
    if let Some(before) = before {
        let others = others(txn, place, delivery.endpoint, before)?;
        txn.desk.index.left(place.sequence, delivery, before, &others);
    }
    Ok(())
}

/// Looks behind the delivery first: where deliveries end in their order, the last one still waits.
fn others(txn: &Txn<'_>, place: Place, endpoint: EndpointId, state: State) -> Result<Others> {
    // Else no endpoint has two of them.
    let several = txn.tables.ordinals.get(place.sequence).map_err(io)?.is_some();
    let mut found = Others::default();
    let key = place_key(place);
    let (first, last) = (place_key(first_place(place.sequence)), key | u64::from(u16::MAX));
    let (before, behind) = ((first, 0)..(key, 0), (key, u32::MAX)..(last, u32::MAX));
    let behind = txn.tables.journal.range(behind).map_err(io)?.rev();
    let mut seen = None;
    for (looked, row) in behind.chain(txn.tables.journal.range(before).map_err(io)?.rev()).enumerate() {
        if looked == MOST_OTHERS {
            return Ok(Others { in_state: true, to_endpoint: true });
        }
        let (key, row) = row.map_err(io)?;
        let (at, _) = key.value();
        // The last line comes first; what stands before it is the past.
        if at == place_key(place) || seen.replace(at) == Some(at) {
            continue;
        }
        let (to, standing) = record::decode_standing(row.value())?;
        found.in_state |= standing == state;
        found.to_endpoint |= standing == state && to == endpoint;
        if found.in_state && (found.to_endpoint || !several) {
            break;
        }
    }
    Ok(found)
}

/// Marks an event of which one endpoint has several deliveries from the beginning: as if they were replays, it gets its
/// count of ordinals at once. Only such events can have two deliveries to one endpoint.
pub fn note_several(txn: &mut Txn<'_>, sequence: u64, endpoints: &[EndpointId]) -> Result<()> {
    let distinct: HashSet<&EndpointId> = endpoints.iter().collect();
    if distinct.len() < endpoints.len() && txn.tables.ordinals.get(sequence).map_err(io)?.is_none() {
        txn.tables.ordinals.insert(sequence, endpoints.len() as u32).map_err(io)?;
    }
    Ok(())
}

/// Writes what this commit changes in rows.
pub fn flush(txn: &mut Txn<'_>) -> Result<()> {
    let next = txn.desk.next_sequence;
    flush_before(txn, next)
}

fn flush_before(txn: &mut Txn<'_>, next: u64) -> Result<()> {
    let Txn { tables, desk, .. } = txn;
    let index = &mut desk.index;
    if index.ripen(next) {
        tables.meta.insert(META_INDEXED, index.from).map_err(io)?;
    }
    for (key, chunks) in std::mem::take(&mut index.changes) {
        for (chunk, change) in chunks {
            write_row(&mut tables.postings, &key, chunk, &change)?;
        }
    }
    for chunk in std::mem::take(&mut index.thinned) {
        let events = chunk_start(chunk)..chunk_start(chunk + 1);
        if tables.events.range(events).map_err(io)?.next().is_none() {
            index.spans.remove(&chunk);
            index.changed_spans.insert(chunk);
        }
    }
    for chunk in std::mem::take(&mut index.changed_spans) {
        match index.spans.get(&chunk) {
            Some(span) => drop(tables.spans.insert(chunk, span.row()).map_err(io)?),
            None => drop(tables.spans.remove(chunk).map_err(io)?),
        }
    }
    Ok(())
}

type Postings<'txn> = redb::Table<'txn, (&'static [u8], u64), &'static [u8]>;

fn write_row(postings: &mut Postings<'_>, key: &[u8], chunk: u64, change: &Change) -> Result<()> {
    let stored = postings.get((key, chunk)).map_err(io)?.map(|row| decode_row(row.value())).transpose()?;
    let known = stored.is_some();
    let mut bits = stored.unwrap_or_default();
    bits.subtract(&change.unset);
    bits.unite(&change.set);
    if !bits.is_empty() {
        postings.insert((key, chunk), bits.encode().as_slice()).map_err(io)?;
    } else if known {
        postings.remove((key, chunk)).map_err(io)?;
    }
    Ok(())
}

pub fn decode_row(row: &[u8]) -> Result<Bits> {
    Bits::decode(row).ok_or_else(|| StoreError::Corrupt("a row of the index is none".to_owned()))
}

/// Brings the memory to what the file says, and reads the events again that have not been written down: all of them
/// where the file has no index yet.
pub fn load(txn: &mut Txn<'_>, indexed: Option<u64>, most_young: u64) -> Result<()> {
    txn.desk.index.most_young = most_young;
    for row in txn.tables.spans.iter().map_err(io)? {
        let (chunk, row) = row.map_err(io)?;
        txn.desk.index.spans.insert(chunk.value(), Span::of_row(row.value()));
    }
    txn.desk.index.from = indexed.unwrap_or(1);
    let mut from = txn.desk.index.from;
    while let Some(next) = read_again(txn, from)? {
        flush_before(txn, next)?;
        from = next;
    }
    if indexed.is_none() && from > 1 {
        info!(events = from - 1, "the index of the lists is made");
    }
    Ok(())
}

/// Reads up to [`STEP`] events from that sequence on. Answers where the next ones begin.
fn read_again(txn: &mut Txn<'_>, from: u64) -> Result<Option<u64>> {
    let mut events = Vec::new();
    for row in txn.tables.events.range(from..).map_err(io)?.take(STEP) {
        let (sequence, row) = row.map_err(io)?;
        events.push((sequence.value(), record::decode_event_head(row.value())?));
    }
    let Some((last, _)) = events.last() else { return Ok(None) };
    let next = last + 1;
    for (sequence, stored) in &events {
        txn.desk.index.appended(*sequence, &stored.event);
        note_several(txn, *sequence, &stored.endpoints)?;
    }
    let lines = (place_key(first_place(from)), 0)..(place_key(first_place(next)), 0);
    let mut latest: Option<(Place, Delivery)> = None;
    for row in txn.tables.journal.range(lines).map_err(io)? {
        let (key, row) = row.map_err(io)?;
        let place = place_of(key.value().0);
        let finished = latest.replace((place, record::decode_delivery(row.value())?));
        if let Some((before, delivery)) = finished.filter(|(before, _)| *before != place) {
            add_again(&mut txn.desk.index, before, &delivery);
        }
    }
    if let Some((place, delivery)) = latest {
        add_again(&mut txn.desk.index, place, &delivery);
    }
    Ok(Some(next))
}

fn add_again(index: &mut Index, place: Place, delivery: &Delivery) {
    index.entered(place.sequence, delivery);
    if delivery.replay_of.is_some() {
        index.replayed(place.sequence, delivery.created_at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_attributes_share_a_key() {
        let tenants = ["a", "b", "ab"].map(|name| Tenant::parse(name).unwrap());
        let types = ["a", "b", "ab", "b.a"].map(|name| EventType::parse(name).unwrap());
        let channels = ["a", "ab"].map(|name| Channel::parse(name).unwrap());
        let endpoints = [0, 1, u128::MAX].map(EndpointId::from_u128);
        let mut keys = vec![Attribute::Any.key(), Attribute::Replayed.key()];
        keys.extend(tenants.iter().map(|tenant| Attribute::Tenant(tenant).key()));
        keys.extend(types.iter().map(|event_type| Attribute::Type(event_type).key()));
        keys.extend(channels.iter().map(|channel| Attribute::Channel(channel).key()));
        for tenant in &tenants {
            keys.extend(types.iter().map(|event_type| Attribute::TenantType(tenant, event_type).key()));
        }
        for state in State::ALL {
            keys.push(Attribute::State(state).key());
            keys.extend(tenants.iter().map(|tenant| Attribute::TenantState(tenant, state).key()));
            keys.extend(endpoints.iter().map(|endpoint| Attribute::EndpointState(*endpoint, state).key()));
            for kind in &types {
                keys.push(Attribute::TypeState(kind, state).key());
                keys.extend(
                    tenants.iter().map(|tenant| Attribute::TenantTypeState(tenant, kind, state).key()),
                );
                keys.extend(
                    endpoints.map(|endpoint| Attribute::EndpointTypeState(endpoint, kind, state).key()),
                );
            }
        }
        let distinct: BTreeSet<&Vec<u8>> = keys.iter().collect();
        assert_eq!(distinct.len(), keys.len());
    }

    #[test]
    fn a_span_knows_how_far_its_clock_went_back() {
        let mut span = Span::at(100);
        for (accepted, disorder) in [(120, 0), (110, 10), (300, 10), (90, 210), (301, 210)] {
            span.add(accepted);
            assert_eq!(span.disorder, disorder, "after {accepted}");
        }
        assert_eq!((span.first, span.last), (90, 301));
        assert_eq!(Span::of_row(span.row()), span);
        span.add_replay(500);
        span.add_replay(400);
        assert_eq!(span.replays, Some((400, 500)));
        assert_eq!(Span::of_row(span.row()), span);
    }

    #[test]
    fn what_is_young_leaves_the_memory_before_it_is_too_much() {
        let payload = bytes::Bytes::from(vec![0; MOST_YOUNG_BYTES / 4]);
        let event = |sequence: u64, payload| Event {
            id: crate::id::EventId::from_u128(u128::from(sequence) << 16),
            producer_id: None,
            event_type: EventType::parse("a").unwrap(),
            tenant: Tenant::default(),
            timestamp: Timestamp::from_secs(0),
            accepted_at: Timestamp::from_secs(0),
            channels: vec![],
            payload,
        };
        let mut index = Index { most_young: 10, from: 1, ..Index::default() };
        let add = |index: &mut Index, sequence: u64, payload| {
            index.appended(sequence, &event(sequence, payload));
            index.ripen(sequence + 1)
        };
        for sequence in 1..20 {
            assert!(!add(&mut index, sequence, bytes::Bytes::new()), "{sequence}");
        }
        assert!(add(&mut index, 20, bytes::Bytes::new()));
        assert_eq!(index.from, 11);
        for sequence in 21..25 {
            assert!(!add(&mut index, sequence, payload.clone()), "{sequence}");
        }
        assert!(add(&mut index, 25, payload.clone()));
        assert_eq!((index.from, index.young.len(), index.young_bits, index.young_bytes), (26, 0, 0, 0));
    }

    #[test]
    fn the_last_word_of_a_commit_holds() {
        let mut change = Change::default();
        for (place, present) in [(1, true), (1, false), (2, false), (2, true), (3, false)] {
            change.put(place, present);
        }
        assert_eq!(change.set.descending().collect::<Vec<_>>(), [2]);
        assert_eq!(change.unset.descending().collect::<Vec<_>>(), [3, 1]);
    }
}
