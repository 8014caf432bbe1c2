//! The tables of the file, and what their keys mean.
//!
//! A place is an event's sequence with a delivery's ordinal in the low 16 bits, so that keys ascend in the order of
//! acceptance: appends touch the right edge of each tree only.

use redb::{ReadOnlyTable, ReadTransaction, Table, TableDefinition, WriteTransaction};

use crate::delivery::Delivery;
use crate::id::{DeliveryId, EndpointId};
use crate::store::{Place, Result};
use crate::time::Timestamp;

use super::io;

/// Sequence -> the event, its payload, and the endpoints that it was promised to.
pub const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// Event id -> sequence.
pub const SEQUENCES: TableDefinition<'_, u128, u64> = TableDefinition::new("sequences");
/// (tenant, producer id) -> (event id, content digest).
pub const PRODUCER_IDS: TableDefinition<'_, (&str, &str), (u128, [u8; 32])> =
    TableDefinition::new("producer_ids");
/// (place, attempt number) -> the delivery as it stood after that attempt. 0 is the line of a delivery that began to
/// wait before its first attempt. A delivery without a line is still in its event's promise alone.
pub const JOURNAL: TableDefinition<'_, (u64, u32), &[u8]> = TableDefinition::new("journal");
/// (endpoint, due, place) of each delivery that waits -> its id.
pub const DUE: TableDefinition<'_, (u128, i64, u64), u128> = TableDefinition::new("due");
/// (attribute, chunk) -> which events of the chunk have it: see `index` and `bits`.
pub const POSTINGS: TableDefinition<'_, (&[u8], u64), &[u8]> = TableDefinition::new("postings");
/// Chunk -> when its events were accepted.
pub const SPANS: TableDefinition<'_, u64, SpanRow> = TableDefinition::new("spans");
/// (endpoint, place) -> state. What lists of an endpoint were read from until format 2.
pub const BY_ENDPOINT: TableDefinition<'_, (u128, u64), u8> = TableDefinition::new("by_endpoint");
/// Sequence -> how many ordinals of the event have been given, where one endpoint has, or had, several of its deliveries:
/// through replays, or from the beginning.
pub const ORDINALS: TableDefinition<'_, u64, u32> = TableDefinition::new("ordinals");
pub const ENDPOINTS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("endpoints");
/// (kind, name) -> what an operator described.
pub const DOCUMENTS: TableDefinition<'_, (&str, &str), &[u8]> = TableDefinition::new("documents");
/// Job -> what it delivers again, and how far it has come.
pub const JOBS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("jobs");
/// Plugin -> what is told of it: the catalogue's document.
pub const PLUGINS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("plugins");
/// Digest of a plugin's file -> its size, in how many parts it is kept, and since when.
pub const COMPONENTS: TableDefinition<'_, &[u8], (u64, u32, i64)> = TableDefinition::new("components");
/// (digest, part) -> that part of the file. One without a row in `components` was never written to its end.
pub const COMPONENT_PARTS: TableDefinition<'_, (&[u8], u32), &[u8]> = TableDefinition::new("component_parts");
pub const SETTINGS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("settings");
/// Names -> numbers that the store keeps for itself.
pub const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// (resolution, span of time, scope) -> counts. [`super::counters`] says how the key is written.
pub const TALLIES: TableDefinition<'_, (u8, i64, &[u8]), &[u8]> = TableDefinition::new("tallies");
/// Endpoint -> what is pending and how it fares.
pub const STANDINGS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("standings");
/// (endpoint, when it was made, place) of each delivery that waits.
pub const PENDING_SINCE: TableDefinition<'_, (u128, i64, u64), ()> = TableDefinition::new("pending_since");
/// (endpoint, kind) -> its errors of that kind.
pub const ERRORS: TableDefinition<'_, (u128, &str), &[u8]> = TableDefinition::new("errors");
/// (last time, endpoint, kind) of each row of `errors`.
pub const ERROR_TIMES: TableDefinition<'_, (i64, u128, &str), ()> = TableDefinition::new("error_times");

/// (endpoint, turn) of each delivery that stands in line -> its id, its place, and when it is due once it is the head.
pub const LINES: TableDefinition<'_, (u128, u64), (u128, u64, i64)> = TableDefinition::new("lines");
/// Place of each delivery that stands in line -> its turn.
pub const TURNS: TableDefinition<'_, u64, u64> = TableDefinition::new("turns");
/// Endpoint -> the delivery at the head of its line.
pub const HEADS: TableDefinition<'_, u128, u128> = TableDefinition::new("heads");
/// Tenant -> bytes of the payloads of its events.
pub const STORED_BYTES: TableDefinition<'_, &str, u64> = TableDefinition::new("stored_bytes");

pub const META_FORMAT: &str = "format";
pub const META_NEXT_SEQUENCE: &str = "next_sequence";
/// The oldest sequence with a delivery that may be unfinished and has no line in the journal.
pub const META_WATERMARK: &str = "watermark";
/// Set since the file has counters.
pub const META_COUNTERS: &str = "counters";
/// Set since the file counts bytes of payloads.
pub const META_STORED_BYTES: &str = "stored_bytes";
pub const META_BOOK_VERSION: &str = "book_version";
/// The oldest sequence whose rows in `postings` and `spans` are not written yet.
pub const META_INDEXED: &str = "indexed";

/// Acceptance of the first and the last event, in microseconds; how far the clock went back between two of them; and
/// when the first and the last replay were made, the other way round where there is none.
pub type SpanRow = (i64, i64, i64, i64, i64);

/// All tables, open for one transaction.
pub struct Tables<'txn> {
    pub events: Table<'txn, u64, &'static [u8]>,
    pub sequences: Table<'txn, u128, u64>,
    pub producer_ids: Table<'txn, (&'static str, &'static str), (u128, [u8; 32])>,
    pub journal: Table<'txn, (u64, u32), &'static [u8]>,
    pub due: Table<'txn, (u128, i64, u64), u128>,
    pub postings: Table<'txn, (&'static [u8], u64), &'static [u8]>,
    pub spans: Table<'txn, u64, SpanRow>,
    pub ordinals: Table<'txn, u64, u32>,
    pub endpoints: Table<'txn, u128, &'static [u8]>,
    pub documents: Table<'txn, (&'static str, &'static str), &'static [u8]>,
    pub jobs: Table<'txn, u128, &'static [u8]>,
    pub plugins: Table<'txn, &'static str, &'static [u8]>,
    pub components: Table<'txn, &'static [u8], (u64, u32, i64)>,
    pub component_parts: Table<'txn, (&'static [u8], u32), &'static [u8]>,
    pub settings: Table<'txn, &'static str, &'static [u8]>,
    pub meta: Table<'txn, &'static str, u64>,
    pub tallies: Table<'txn, (u8, i64, &'static [u8]), &'static [u8]>,
    pub standings: Table<'txn, u128, &'static [u8]>,
    pub pending_since: Table<'txn, (u128, i64, u64), ()>,
    pub errors: Table<'txn, (u128, &'static str), &'static [u8]>,
    pub error_times: Table<'txn, (i64, u128, &'static str), ()>,
    pub lines: Table<'txn, (u128, u64), (u128, u64, i64)>,
    pub turns: Table<'txn, u64, u64>,
    pub heads: Table<'txn, u128, u128>,
    pub stored: Table<'txn, &'static str, u64>,
}

impl<'txn> Tables<'txn> {
    pub fn open(txn: &'txn WriteTransaction) -> Result<Self> {
        Ok(Self {
            events: txn.open_table(EVENTS).map_err(io)?,
            sequences: txn.open_table(SEQUENCES).map_err(io)?,
            producer_ids: txn.open_table(PRODUCER_IDS).map_err(io)?,
            journal: txn.open_table(JOURNAL).map_err(io)?,
            due: txn.open_table(DUE).map_err(io)?,
            postings: txn.open_table(POSTINGS).map_err(io)?,
            spans: txn.open_table(SPANS).map_err(io)?,
            ordinals: txn.open_table(ORDINALS).map_err(io)?,
            endpoints: txn.open_table(ENDPOINTS).map_err(io)?,
            documents: txn.open_table(DOCUMENTS).map_err(io)?,
            jobs: txn.open_table(JOBS).map_err(io)?,
            plugins: txn.open_table(PLUGINS).map_err(io)?,
            components: txn.open_table(COMPONENTS).map_err(io)?,
            component_parts: txn.open_table(COMPONENT_PARTS).map_err(io)?,
            settings: txn.open_table(SETTINGS).map_err(io)?,
            meta: txn.open_table(META).map_err(io)?,
            tallies: txn.open_table(TALLIES).map_err(io)?,
            standings: txn.open_table(STANDINGS).map_err(io)?,
            pending_since: txn.open_table(PENDING_SINCE).map_err(io)?,
            errors: txn.open_table(ERRORS).map_err(io)?,
            error_times: txn.open_table(ERROR_TIMES).map_err(io)?,
            lines: txn.open_table(LINES).map_err(io)?,
            turns: txn.open_table(TURNS).map_err(io)?,
            heads: txn.open_table(HEADS).map_err(io)?,
            stored: txn.open_table(STORED_BYTES).map_err(io)?,
        })
    }
}

/// What reading needs, as of one moment.
pub struct Snapshot {
    pub events: ReadOnlyTable<u64, &'static [u8]>,
    pub sequences: ReadOnlyTable<u128, u64>,
    pub journal: ReadOnlyTable<(u64, u32), &'static [u8]>,
    pub due: ReadOnlyTable<(u128, i64, u64), u128>,
    pub postings: ReadOnlyTable<(&'static [u8], u64), &'static [u8]>,
}

impl Snapshot {
    pub fn open(txn: &ReadTransaction) -> Result<Self> {
        Ok(Self {
            events: txn.open_table(EVENTS).map_err(io)?,
            sequences: txn.open_table(SEQUENCES).map_err(io)?,
            journal: txn.open_table(JOURNAL).map_err(io)?,
            due: txn.open_table(DUE).map_err(io)?,
            postings: txn.open_table(POSTINGS).map_err(io)?,
        })
    }
}

pub fn place_key(place: Place) -> u64 {
    (place.sequence << 16) | u64::from(place.ordinal)
}

pub fn place_of(key: u64) -> Place {
    Place { sequence: key >> 16, ordinal: key as u16 }
}

pub fn first_place(sequence: u64) -> Place {
    Place { sequence, ordinal: 0 }
}

pub fn due_key(endpoint: EndpointId, due: Timestamp, place: Place) -> (u128, i64, u64) {
    (endpoint.as_u128(), due.as_micros(), place_key(place))
}

pub fn pending_key(delivery: &Delivery, place: Place) -> (u128, i64, u64) {
    (delivery.endpoint.as_u128(), delivery.created_at.as_micros(), place_key(place))
}

pub fn place_at(sequence: u64, delivery: DeliveryId) -> Place {
    Place { sequence, ordinal: delivery.ordinal() }
}
