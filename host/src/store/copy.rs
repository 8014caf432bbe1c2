//! Everything that one store keeps, brought into another, of whatever kinds they are.
//!
//! A store gives itself away as records, in the order of [`Kind::ALL`] and in batches; each batch says with a [`Mark`]
//! how far it has come. The one that takes them writes a batch and its mark in one commit, so that a copy that is killed
//! goes on behind the last mark. Until the copy has been checked, no host starts on what is there of it.
//!
//! Events get new places at the target, in their order. So nothing in a record says a place: it names an event, or a
//! delivery. What is leased is pending in a record.

use std::fmt;
use std::ops::ControlFlow;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use crate::delivery::Delivery;
use crate::event::{ContentDigest, ProducerId, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId};
use crate::tally::Tally;

use super::jobs::Job;
use super::plugins::{ComponentRow, PluginRow};
use super::redb::{jobs, record};
use super::{BookVersion, DocumentRow, EndpointRow, ErrorGroup, Result, Standing, StoreError};

/// The setting in which a target keeps how far a copy into it has come. It is no part of what is copied.
pub const PROGRESS_SETTING: &str = "store-copy";

/// Records of a batch, at the most.
const BATCH_RECORDS: usize = 2_000;
/// Bytes after which a batch is full. A record that is larger is one of its own.
const BATCH_BYTES: usize = 4 << 20;
/// Batches that wait for their taker.
const BATCHES: usize = 2;

/// What there is to be copied, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Kind {
    Setting,
    Endpoint,
    Document,
    Plugin,
    Component,
    /// Each is followed by its deliveries.
    Event,
    Delivery,
    /// They come with their deliveries.
    Attempt,
    Name,
    Job,
    Count,
    Standing,
    StoredBytes,
    ErrorGroup,
    Head,
}

impl Kind {
    pub const ALL: [Kind; 15] = [
        Kind::Setting,
        Kind::Endpoint,
        Kind::Document,
        Kind::Plugin,
        Kind::Component,
        Kind::Event,
        Kind::Delivery,
        Kind::Attempt,
        Kind::Name,
        Kind::Job,
        Kind::Count,
        Kind::Standing,
        Kind::StoredBytes,
        Kind::ErrorGroup,
        Kind::Head,
    ];

    /// Many of it, for people.
    pub fn plural(self) -> &'static str {
        match self {
            Kind::Setting => "facts about the host",
            Kind::Endpoint => "endpoints",
            Kind::Document => "documents (tenants, event types, keys)",
            Kind::Plugin => "plugins",
            Kind::Component => "plugin files",
            Kind::Event => "events",
            Kind::Delivery => "deliveries",
            Kind::Attempt => "attempts",
            Kind::Name => "producers' ids",
            Kind::Job => "replays",
            Kind::Count => "counts",
            Kind::Standing => "endpoints' standings",
            Kind::StoredBytes => "tenants' stored bytes",
            Kind::ErrorGroup => "groups of errors",
            Kind::Head => "heads of lines",
        }
    }
}

#[derive(Debug, Clone)]
pub enum Record {
    Setting { name: String, value: Vec<u8> },
    Endpoint(EndpointRow),
    Document(DocumentRow),
    Plugin(PluginRow),
    Component { row: ComponentRow, bytes: Bytes },
    Event(CopiedEvent),
    Delivery(Box<CopiedDelivery>),
    Name(ProducerName),
    Job { job: Job, cursor: Option<Cursor> },
    Count(Count),
    Standing { endpoint: EndpointId, standing: Standing },
    StoredBytes { tenant: Tenant, bytes: u64 },
    ErrorGroup(ErrorGroup),
    Head { endpoint: EndpointId, delivery: DeliveryId },
}

#[derive(Debug, Clone)]
pub struct CopiedEvent {
    /// As both kinds of stores write it: `record::encode_event`.
    pub row: Vec<u8>,
    /// The ordinal of its next delivery.
    pub next_ordinal: u32,
}

#[derive(Debug, Clone)]
pub struct CopiedDelivery {
    /// As it stands. Where it waits, `due` says until when; else there is none.
    pub delivery: Delivery,
    /// Where it stands in the line of its endpoint, behind the head.
    pub turn: Option<u64>,
    /// Its attempts, oldest first: their numbers, and each as `record::encode_journal` wrote it.
    pub attempts: Vec<(u32, Vec<u8>)>,
}

/// What a producer called an event, so that it is taken on once.
#[derive(Debug, Clone)]
pub struct ProducerName {
    pub tenant: Tenant,
    pub name: ProducerId,
    pub event: EventId,
    pub content: ContentDigest,
    /// What the first post was answered; 0 where the event is not kept any longer.
    pub deliveries: u32,
}

/// Where a job goes on: before this delivery, in the order of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Cursor {
    Before {
        event: u128,
        ordinal: u16,
    },
    /// Behind the last event that is kept.
    End,
}

#[derive(Debug, Clone)]
pub struct Count {
    /// As stores write them: `resolution_key` and `scope_key`.
    pub resolution: u8,
    pub bucket: i64,
    pub scope: Vec<u8>,
    pub tally: Tally,
}

impl Record {
    /// More or less, in memory.
    fn size(&self) -> usize {
        match self {
            Record::Setting { value, .. } => value.len(),
            Record::Endpoint(row) => row.document.len(),
            Record::Document(row) => row.document.len(),
            Record::Plugin(row) => row.document.len(),
            Record::Component { bytes, .. } => bytes.len(),
            Record::Event(event) => event.row.len(),
            Record::Delivery(copied) => copied.attempts.iter().map(|(_, line)| line.len()).sum(),
            _ => 0,
        }
    }

    /// What it is, word for word, whichever store it comes from.
    fn canonical(&self, mut each: impl FnMut(Kind, Vec<u8>)) -> Result<()> {
        match self {
            Record::Setting { name, value } => each(Kind::Setting, record::encode(&(name, value))?),
            Record::Endpoint(row) => {
                each(
                    Kind::Endpoint,
                    [&row.id.as_u128().to_be_bytes()[..], &record::encode_endpoint(row)?].concat(),
                );
            }
            Record::Document(row) => {
                let name = record::encode(&(row.kind.word(), &row.name))?;
                each(Kind::Document, [name, record::encode_document(row)?].concat());
            }
            Record::Plugin(row) => {
                each(Kind::Plugin, record::encode(&(&row.name, row.revision, &row.document))?);
            }
            Record::Component { row, .. } => {
                each(Kind::Component, record::encode(&(row.digest.0, row.size, row.kept_at.as_micros()))?);
            }
            Record::Event(event) => {
                each(Kind::Event, [&event.next_ordinal.to_be_bytes()[..], &event.row].concat());
            }
            Record::Delivery(copied) => {
                let CopiedDelivery { delivery, turn, attempts } = &**copied;
                let turn = record::encode(turn)?;
                each(Kind::Delivery, [turn, record::encode_journal(delivery, None)?].concat());
                for (_, line) in attempts {
                    let (_, attempt) = record::decode_journal(line)?;
                    each(Kind::Attempt, record::encode_journal(delivery, attempt)?);
                }
            }
            Record::Name(ProducerName { tenant, name, event, content, .. }) => {
                let row = (tenant.as_str(), name.as_str(), event.as_u128(), content.0);
                each(Kind::Name, record::encode(&row)?);
            }
            Record::Job { job, cursor } => {
                let id = job.id.as_u128().to_be_bytes();
                each(Kind::Job, [&id[..], &jobs::written(job)?, &record::encode(cursor)?].concat());
            }
            Record::Count(Count { resolution, bucket, scope, tally }) => {
                let key = record::encode(&(resolution, bucket, scope))?;
                each(Kind::Count, [key, super::redb::counters::encode_tally(tally)?].concat());
            }
            Record::Standing { endpoint, standing } => {
                let row = super::redb::counters::encode_standing(*standing)?;
                each(Kind::Standing, [&endpoint.as_u128().to_be_bytes()[..], &row].concat());
            }
            Record::StoredBytes { tenant, bytes } => {
                each(Kind::StoredBytes, record::encode(&(tenant.as_str(), bytes))?);
            }
            Record::ErrorGroup(group) => {
                let key = record::encode(&(group.endpoint.as_u128(), group.trouble.word()))?;
                each(Kind::ErrorGroup, [key, super::redb::counters::encode_group(group)?].concat());
            }
            Record::Head { endpoint, delivery } => {
                each(Kind::Head, record::encode(&(endpoint.as_u128(), delivery.as_u128()))?);
            }
        }
        Ok(())
    }
}

/// How far a copy has come, in the terms of its source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mark {
    /// All kinds before this one are done.
    Before(Kind),
    /// This event is, and of its deliveries those up to the ordinal.
    History {
        sequence: u64,
        ordinal: Option<u16>,
    },
    Name {
        tenant: String,
        name: String,
    },
    Count {
        resolution: u8,
        bucket: i64,
        scope: Vec<u8>,
    },
    /// All is done.
    End,
}

impl Mark {
    pub const BEGINNING: Mark = Mark::Before(Kind::Setting);

    /// Whether all of a kind is done.
    pub fn is_behind(&self, kind: Kind) -> bool {
        match self {
            Mark::Before(next) => kind < *next,
            Mark::History { .. } => kind < Kind::Event,
            Mark::Name { .. } => kind < Kind::Name,
            Mark::Count { .. } => kind < Kind::Count,
            Mark::End => true,
        }
    }
}

#[derive(Debug)]
pub struct Batch {
    pub records: Vec<Record>,
    pub mark: Mark,
    /// Events that were passed to get there.
    pub events: u64,
}

/// Where a store that is read puts its records.
#[derive(Debug)]
pub struct Outbox {
    sender: mpsc::Sender<Result<Batch>>,
    records: Vec<Record>,
    bytes: usize,
    events: u64,
}

impl Outbox {
    pub fn new() -> (Self, mpsc::Receiver<Result<Batch>>) {
        let (sender, batches) = mpsc::channel(BATCHES);
        (Self { sender, records: Vec::new(), bytes: 0, events: 0 }, batches)
    }

    /// Takes a record. True where the batch is full: it has to be sent.
    pub fn push(&mut self, record: Record) -> bool {
        self.bytes += record.size();
        self.events += u64::from(matches!(record, Record::Event(_)));
        self.records.push(record);
        self.records.len() >= BATCH_RECORDS || self.bytes >= BATCH_BYTES
    }

    pub async fn send(&mut self, mark: Mark) -> Result<()> {
        let batch = self.batch(mark);
        self.sender.send(Ok(batch)).await.map_err(|_| StoreError::Closed)
    }

    /// As [`Outbox::send`], off the async threads.
    pub fn send_blocking(&mut self, mark: Mark) -> Result<()> {
        let batch = self.batch(mark);
        self.sender.blocking_send(Ok(batch)).map_err(|_| StoreError::Closed)
    }

    fn batch(&mut self, mark: Mark) -> Batch {
        self.bytes = 0;
        Batch { records: std::mem::take(&mut self.records), mark, events: std::mem::take(&mut self.events) }
    }

    /// Says why nothing more comes.
    pub fn failures(&self) -> mpsc::Sender<Result<Batch>> {
        self.sender.clone()
    }
}

/// Tells a store from others, and from itself once it has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub digest: [u8; 32],
    /// Of what operators describe.
    pub version: BookVersion,
    /// In the order of their names.
    settings: Vec<(String, Vec<u8>)>,
}

impl Identity {
    /// Of a store with these facts about its host (in the order of their names), which gave out places up to `sequence`
    /// and has so much pending.
    pub fn of(
        settings: Vec<(String, Vec<u8>)>,
        version: BookVersion,
        sequence: u64,
        pending: u64,
    ) -> Result<Self> {
        let told = record::encode(&(&settings, version.0, sequence, pending))?;
        Ok(Self { digest: Sha256::digest(&told).into(), version, settings })
    }

    /// A fact about the host, as text; empty where there is none.
    pub fn setting(&self, name: &str) -> String {
        let found = self.settings.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

/// What a target notes of a copy into it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    pub source: [u8; 32],
    pub mark: Mark,
    /// The place of the last event.
    pub sequence: u64,
}

impl Progress {
    pub fn begun(source: &Identity) -> Self {
        Self { source: source.digest, mark: Mark::BEGINNING, sequence: 0 }
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        record::encode(self)
    }

    pub fn decode(bytes: &[u8]) -> Result<Self> {
        record::decode(bytes)
    }
}

/// A store that no host uses, to be read from end to end.
#[async_trait]
pub trait Readable: Send + Sync {
    async fn identity(&self) -> Result<Identity>;

    /// How many events there are.
    async fn events(&self) -> Result<u64>;

    /// Begins to read what is behind the mark, as of one moment. The last batch has [`Mark::End`]; where another one is
    /// the last, not all was read.
    fn read(&self, after: Mark) -> mpsc::Receiver<Result<Batch>>;

    /// Whether a host uses it all the same, as a sentence.
    async fn is_used(&self) -> Result<Option<String>>;
}

/// A store that is made of another one.
#[async_trait]
pub trait Target: Readable {
    /// Begins, or goes on with what was begun of the same source.
    async fn begin(&self, source: &Identity) -> Result<Begun>;

    /// Writes a batch, all of it and its mark or nothing.
    async fn take(&self, batch: Batch) -> Result<()>;

    /// Has hosts start on it from now on.
    async fn finish(&self, version: BookVersion) -> Result<()>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    From(Mark),
    /// It holds something that is no unfinished copy.
    NotEmpty,
    /// It holds an unfinished copy of another store, or of this one as it was before.
    Other,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many of so many events, with their deliveries. Those of an earlier run count.
    Copied { events: u64, of: u64 },
    /// So many of so many events of both stores together were read again.
    Checked { events: u64, of: u64 },
}

#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error("the target is not empty. Choose another one; a copy goes into an empty store alone")]
    NotEmpty,
    #[error(
        "the target holds an unfinished copy of another store, or of this one as it was before a server ran on it. Begin \
         again with --anew, which throws away what is there of that copy"
    )]
    Other,
    #[error("{0}")]
    Used(String),
    #[error(
        "what was copied differs from the source: {0}. A server must have run on one of them meanwhile. Stop it, and begin \
         again with --anew"
    )]
    Differs(String),
    #[error("the copy was broken off. What is done is done; the same command goes on from there")]
    BrokenOff,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Copies everything, checks it, and has hosts start on the target. `watch` hears of each step and may break it off.
///
/// # Errors
///
/// See [`CopyError`]. Where it was not refused at the beginning, calling it again goes on from where it was.
pub async fn run(
    source: &dyn Readable,
    target: &dyn Target,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> std::result::Result<Digests, CopyError> {
    check_unused(source).await?;
    let identity = source.identity().await?;
    let mark = match target.begin(&identity).await? {
        Begun::From(mark) => mark,
        Begun::NotEmpty => return Err(CopyError::NotEmpty),
        Begun::Other => return Err(CopyError::Other),
    };
    let of = source.events().await?;
    let mut go_on = |step| match watch(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CopyError::BrokenOff),
    };
    let mut events = target.events().await?;
    go_on(Step::Copied { events, of })?;
    let mut batches = source.read(mark.clone());
    let mut last = mark;
    while let Some(batch) = batches.recv().await {
        let batch = batch?;
        (last, events) = (batch.mark.clone(), events + batch.events);
        target.take(batch).await?;
        go_on(Step::Copied { events, of })?;
    }
    ended(&last)?;
    check_unused(source).await?;
    let (mut read, both) = (0, of * 2);
    let (ours, theirs) = digests(source, target, |events| {
        read += events;
        go_on(Step::Checked { events: read, of: both })
    })
    .await?;
    ours.compare(&theirs)?;
    check_unused(source).await?;
    target.finish(identity.version).await?;
    Ok(ours)
}

async fn check_unused(source: &dyn Readable) -> std::result::Result<(), CopyError> {
    source.is_used().await?.map_or(Ok(()), |why| Err(CopyError::Used(why)))
}

fn ended(last: &Mark) -> Result<()> {
    match last {
        Mark::End => Ok(()),
        _ => Err(StoreError::Unavailable("a store was not read to its end".to_owned())),
    }
}

/// Reads both side by side. `passed` hears how many events were read, and may break it off.
async fn digests(
    source: &dyn Readable,
    target: &dyn Readable,
    mut passed: impl FnMut(u64) -> std::result::Result<(), CopyError>,
) -> std::result::Result<(Digests, Digests), CopyError> {
    let (told, mut hear) = mpsc::channel(BATCHES);
    let mut readers =
        [source, target].map(|store| tokio::spawn(digest(store.read(Mark::BEGINNING), told.clone())));
    drop(told);
    while let Some(events) = hear.recv().await {
        if let Err(broken_off) = passed(events) {
            readers.iter().for_each(|reader| reader.abort());
            return Err(broken_off);
        }
    }
    let [ours, theirs] = &mut readers;
    let joined = |error: tokio::task::JoinError| StoreError::Unavailable(error.to_string());
    Ok((ours.await.map_err(joined)??, theirs.await.map_err(joined)??))
}

async fn digest(mut batches: mpsc::Receiver<Result<Batch>>, told: mpsc::Sender<u64>) -> Result<Digests> {
    let mut digests = Digests::default();
    let mut last = Mark::BEGINNING;
    while let Some(batch) = batches.recv().await {
        let Batch { records, mark, events } = batch?;
        last = mark;
        // Hashing a batch takes milliseconds.
        digests = tokio::task::spawn_blocking(move || digests.with(&records))
            .await
            .map_err(|error| StoreError::Unavailable(error.to_string()))??;
        // Nobody may listen any more.
        let _ = told.send(events).await;
    }
    ended(&last)?;
    Ok(digests)
}

/// What a store holds, by kinds: how many records, and a digest that does not depend on their order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digests([Digest; Kind::ALL.len()]);

/// The sum of the SHA-256 of all records, number by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Digest {
    pub count: u64,
    sum: [u64; 4],
}

impl Digest {
    fn add(&mut self, canonical: &[u8]) {
        self.count += 1;
        let hash: [u8; 32] = Sha256::digest(canonical).into();
        for (sum, part) in self.sum.iter_mut().zip(hash.chunks_exact(8)) {
            let part = part.try_into().map_or(0, u64::from_be_bytes);
            *sum = sum.wrapping_add(part);
        }
    }
}

/// In hex, the first digits of it.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.sum[0].to_be_bytes()))
    }
}

impl Digests {
    fn with(mut self, records: &[Record]) -> Result<Self> {
        for record in records {
            record.canonical(|kind, bytes| self.0[kind as usize].add(&bytes))?;
        }
        Ok(self)
    }

    pub fn kinds(&self) -> impl Iterator<Item = (Kind, &Digest)> {
        Kind::ALL.into_iter().zip(&self.0)
    }

    fn compare(&self, other: &Self) -> std::result::Result<(), CopyError> {
        let differ = self.kinds().zip(&other.0).filter(|((_, ours), theirs)| ours != theirs);
        let told = differ.map(|((kind, ours), theirs)| match ours.count == theirs.count {
            true => format!("{} {} are not the same", ours.count, kind.plural()),
            false => format!("{} {} became {}", ours.count, kind.plural(), theirs.count),
        });
        match told.collect::<Vec<_>>() {
            differences if differences.is_empty() => Ok(()),
            differences => Err(CopyError::Differs(differences.join(", "))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: u8) -> Record {
        Record::Setting { name: name.to_owned(), value: vec![value] }
    }

    #[test]
    fn a_digest_knows_what_there_is_and_not_its_order() {
        let of = |records: &[Record]| Digests::default().with(records).unwrap();
        let all = of(&[setting("a", 1), setting("b", 2)]);
        assert_eq!(all, of(&[setting("b", 2), setting("a", 1)]));
        all.compare(&all).unwrap();
        let missing = all.compare(&of(&[setting("a", 1)])).unwrap_err().to_string();
        assert!(missing.contains("2 facts about the host became 1"), "{missing}");
        let other = all.compare(&of(&[setting("a", 1), setting("b", 3)])).unwrap_err().to_string();
        assert!(other.contains("2 facts about the host are not the same"), "{other}");
    }

    #[test]
    fn marks_are_behind_what_is_done() {
        let marks = [
            (Mark::BEGINNING, None),
            (Mark::Before(Kind::Event), Some(Kind::Component)),
            (Mark::History { sequence: 1, ordinal: None }, Some(Kind::Component)),
            (Mark::Name { tenant: String::new(), name: String::new() }, Some(Kind::Attempt)),
            (Mark::Count { resolution: 0, bucket: 0, scope: Vec::new() }, Some(Kind::Job)),
            (Mark::End, Some(Kind::Head)),
        ];
        for (mark, last_done) in marks {
            for kind in Kind::ALL {
                assert_eq!(mark.is_behind(kind), Some(kind) <= last_done, "{mark:?} {kind:?}");
            }
            let progress = Progress { source: [7; 32], mark, sequence: 9 };
            assert_eq!(Progress::decode(&progress.encode().unwrap()).unwrap(), progress);
        }
    }

    #[test]
    fn a_batch_is_bounded() {
        let (mut outbox, _batches) = Outbox::new();
        let full = (1..).find(|_| outbox.push(setting("a", 1))).unwrap();
        assert_eq!(full, BATCH_RECORDS);
        let (mut outbox, _batches) = Outbox::new();
        let large = Record::Setting { name: String::new(), value: vec![0; BATCH_BYTES] };
        assert!(outbox.push(large));
    }
}
