//! A file as the source or the target of a copy: see [`crate::store::copy`].
//!
//! A target is a file whose format says that it is unfinished, so that no host opens it, of this version or an older
//! one. What is made of the events and the journal alone, the index of the lists, is made when it is finished.

use std::collections::HashSet;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableError};
use tokio::sync::mpsc;

use crate::delivery::Delivery;
use crate::event::{ContentDigest, ProducerId, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, JobId};
use crate::store::copy::{
    Batch, Begun, CopiedDelivery, CopiedEvent, Count, Cursor, Identity, Kind, Mark, Outbox, PROGRESS_SETTING,
    ProducerName, Progress, Readable, Record, Target,
};
use crate::store::plugins::{ComponentRow, PluginRow};
use crate::store::{BookVersion, DocumentKind, Place, Result, StoreError};
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::record::{self, corrupt};
use super::tables::{self, Tables, due_key, first_place, pending_key, place_at, place_key, place_of};
use super::{
    OpenError, Options, RedbStore, Source, UNFINISHED, archive, blocking, counters, io, jobs, plugins,
};

/// A file that is copied. No host can open it meanwhile.
#[derive(Debug)]
pub struct RedbSource(RedbStore);

impl RedbSource {
    /// Opens the file as a host does, so that what the last one left behind is in order.
    pub fn open(path: &Path) -> std::result::Result<Self, OpenError> {
        if !path.exists() {
            let reason = "there is none".to_owned();
            return Err(OpenError::Other { path: path.display().to_string(), reason });
        }
        RedbStore::open(path, Options::default()).map(Self)
    }

    fn begin_read(&self) -> Result<ReadTransaction> {
        self.0.shared.database()?.begin_read().map_err(io)
    }
}

#[async_trait]
impl Readable for RedbSource {
    async fn identity(&self) -> Result<Identity> {
        let read = self.begin_read()?;
        blocking(move || identity(&read)).await
    }

    async fn events(&self) -> Result<u64> {
        count_events(&self.begin_read()?)
    }

    fn read(&self, after: Mark) -> mpsc::Receiver<Result<Batch>> {
        start(self.begin_read(), after)
    }

    /// The lock of the file keeps hosts out.
    async fn is_used(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

/// A file that is made.
#[derive(Debug)]
pub struct RedbTarget {
    path: PathBuf,
    /// `None` once it is finished.
    database: std::sync::Mutex<Option<Arc<Database>>>,
    /// It was there before, and is no unfinished copy.
    foreign: bool,
}

impl RedbTarget {
    /// Opens what is there of a copy, or makes a file. `anew` throws away what is there of a copy.
    pub fn open(path: &Path, anew: bool) -> std::result::Result<Self, OpenError> {
        let shown = path.display().to_string();
        let other = |reason: &dyn std::fmt::Display| OpenError::Other {
            path: shown.clone(),
            reason: reason.to_string(),
        };
        let found = path.exists().then(|| open_raw(path)).transpose()?;
        let unfinished = found.as_ref().map(is_unfinished).transpose().map_err(|error| other(&error))?;
        let database = match (found, unfinished) {
            (Some(database), Some(false)) => return Ok(Self::of(path, database, true)),
            (Some(database), _) if !anew => database,
            (found, _) => {
                drop(found);
                make(path).map_err(|error| other(&error))?;
                open_raw(path)?
            }
        };
        Ok(Self::of(path, database, false))
    }

    fn of(path: &Path, database: Database, foreign: bool) -> Self {
        Self { path: path.to_owned(), database: std::sync::Mutex::new(Some(Arc::new(database))), foreign }
    }

    fn database(&self) -> Result<Arc<Database>> {
        let database = self.database.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        database.ok_or(StoreError::Closed)
    }

    fn begin_read(&self) -> Result<ReadTransaction> {
        self.database()?.begin_read().map_err(io)
    }
}

fn open_raw(path: &Path) -> std::result::Result<Database, OpenError> {
    let shown = path.display().to_string();
    Database::builder()
        .set_cache_size(Options::default().cache_size)
        .open(path)
        .map_err(|error| super::refused(&shown, &error))
}

fn is_unfinished(database: &Database) -> Result<bool> {
    let read = database.begin_read().map_err(io)?;
    let meta = match read.open_table(tables::META) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(false),
        opened => opened.map_err(io)?,
    };
    Ok(meta.get(tables::META_FORMAT).map_err(io)?.is_some_and(|format| format.value() == UNFINISHED))
}

/// Makes a file that is unfinished from the moment at which it is there.
fn make(path: &Path) -> Result<()> {
    let unusable = |error: std::io::Error| StoreError::Unavailable(error.to_string());
    let beside = PathBuf::from(format!("{}.new", path.display()));
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    let database = Database::create(&beside).map_err(io)?;
    let write = database.begin_write().map_err(io)?;
    Tables::open(&write)?.meta.insert(tables::META_FORMAT, UNFINISHED).map_err(io)?;
    write.commit().map_err(io)?;
    drop(database);
    std::fs::rename(&beside, path).map_err(unusable)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all()).map_err(unusable)
}

#[async_trait]
impl Readable for RedbTarget {
    async fn identity(&self) -> Result<Identity> {
        let read = self.begin_read()?;
        blocking(move || identity(&read)).await
    }

    async fn events(&self) -> Result<u64> {
        count_events(&self.begin_read()?)
    }

    fn read(&self, after: Mark) -> mpsc::Receiver<Result<Batch>> {
        start(self.begin_read(), after)
    }

    async fn is_used(&self) -> Result<Option<String>> {
        Ok(None)
    }
}

#[async_trait]
impl Target for RedbTarget {
    async fn begin(&self, source: &Identity) -> Result<Begun> {
        if self.foreign {
            return Ok(Begun::NotEmpty);
        }
        let (database, source) = (self.database()?, source.clone());
        blocking(move || {
            let write = database.begin_write().map_err(io)?;
            let begun = {
                let mut tables = Tables::open(&write)?;
                match progress(&tables)? {
                    Some(progress) if progress.source != source.digest => Begun::Other,
                    Some(progress) => Begun::From(progress.mark),
                    None => {
                        put_progress(&mut tables, &Progress::begun(&source))?;
                        Begun::From(Mark::BEGINNING)
                    }
                }
            };
            write.commit().map_err(io)?;
            Ok(begun)
        })
        .await
    }

    async fn take(&self, batch: Batch) -> Result<()> {
        let database = self.database()?;
        blocking(move || {
            let write = database.begin_write().map_err(io)?;
            {
                let mut tables = Tables::open(&write)?;
                let mut progress = progress(&tables)?.ok_or(StoreError::Closed)?;
                let mut intake = Intake { tables: &mut tables, sequence: progress.sequence };
                batch.records.into_iter().try_for_each(|record| intake.take(record))?;
                progress.sequence = intake.sequence;
                progress.mark = batch.mark;
                put_progress(&mut tables, &progress)?;
            }
            write.commit().map_err(io)
        })
        .await
    }

    async fn finish(&self, version: BookVersion) -> Result<()> {
        let database = self.database.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let database = database.ok_or(StoreError::Closed)?;
        let path = self.path.clone();
        blocking(move || {
            let write = database.begin_write().map_err(io)?;
            {
                let mut tables = Tables::open(&write)?;
                let next = progress(&tables)?.ok_or(StoreError::Closed)?.sequence + 1;
                for (name, value) in [
                    (tables::META_BOOK_VERSION, version.0),
                    (tables::META_NEXT_SEQUENCE, next),
                    (tables::META_WATERMARK, next),
                    (tables::META_COUNTERS, 1),
                    (tables::META_STORED_BYTES, 1),
                ] {
                    tables.meta.insert(name, value).map_err(io)?;
                }
            }
            write.commit().map_err(io)?;
            drop(database);
            // In one commit: the index of the lists, and that it is finished.
            let opened = RedbStore::start(Source::Copied(path), Options::default());
            opened.map(drop).map_err(|error| StoreError::Unavailable(error.to_string()))
        })
        .await
    }
}

/// Forgets that the file was a copy. To be committed together with the format of a whole one.
pub fn forget_progress(tables: &mut Tables<'_>) -> Result<()> {
    tables.settings.remove(PROGRESS_SETTING).map_err(io)?;
    Ok(())
}

fn progress(tables: &Tables<'_>) -> Result<Option<Progress>> {
    let stored = tables.settings.get(PROGRESS_SETTING).map_err(io)?;
    stored.map(|value| Progress::decode(value.value())).transpose()
}

fn put_progress(tables: &mut Tables<'_>, progress: &Progress) -> Result<()> {
    tables.settings.insert(PROGRESS_SETTING, progress.encode()?.as_slice()).map_err(io)?;
    Ok(())
}

fn identity(read: &ReadTransaction) -> Result<Identity> {
    let meta = read.open_table(tables::META).map_err(io)?;
    let number =
        |name: &str| -> Result<u64> { Ok(meta.get(name).map_err(io)?.map_or(0, |value| value.value())) };
    let (version, sequence) =
        (BookVersion(number(tables::META_BOOK_VERSION)?), number(tables::META_NEXT_SEQUENCE)?);
    let pending = read.open_table(tables::PENDING_SINCE).map_err(io)?.len().map_err(io)?;
    Identity::of(settings(read)?, version, sequence, pending)
}

fn settings(read: &ReadTransaction) -> Result<Vec<(String, Vec<u8>)>> {
    let table = read.open_table(tables::SETTINGS).map_err(io)?;
    let rows = table.iter().map_err(io)?.map(|row| {
        let (name, value) = row.map_err(io)?;
        Ok((name.value().to_owned(), value.value().to_vec()))
    });
    let rows: Result<Vec<_>> = rows.collect();
    Ok(rows?.into_iter().filter(|(name, _)| name != PROGRESS_SETTING).collect())
}

fn count_events(read: &ReadTransaction) -> Result<u64> {
    read.open_table(tables::EVENTS).map_err(io)?.len().map_err(io)
}

fn start(read: Result<ReadTransaction>, after: Mark) -> mpsc::Receiver<Result<Batch>> {
    let (outbox, batches) = Outbox::new();
    let failures = outbox.failures();
    tokio::task::spawn_blocking(move || {
        let done = read.and_then(|read| Reader { read: &read, outbox }.read(&after));
        if let Err(error) = done {
            // Whoever went away does not hear it.
            let _ = failures.blocking_send(Err(error));
        }
    });
    batches
}

/// Reads a file from end to end.
struct Reader<'a> {
    read: &'a ReadTransaction,
    outbox: Outbox,
}

impl Reader<'_> {
    fn read(mut self, after: &Mark) -> Result<()> {
        archive::check_tables(self.read)?;
        for kind in Kind::ALL.into_iter().filter(|kind| !after.is_behind(*kind)) {
            match kind {
                Kind::Setting => self.settings()?,
                Kind::Endpoint => self.endpoints()?,
                Kind::Document => self.documents()?,
                Kind::Plugin => self.plugins()?,
                Kind::Component => self.components()?,
                Kind::Event => self.history(after)?,
                Kind::Delivery | Kind::Attempt => {}
                Kind::Name => self.names(after)?,
                Kind::Job => self.jobs()?,
                Kind::Count => self.counts(after)?,
                Kind::Standing => self.standings()?,
                Kind::StoredBytes => self.stored_bytes()?,
                Kind::ErrorGroup => self.errors()?,
                Kind::Head => self.heads()?,
            }
        }
        self.outbox.send_blocking(Mark::End)
    }

    fn put(&mut self, record: Record, mark: impl FnOnce() -> Mark) -> Result<()> {
        if self.outbox.push(record) { self.outbox.send_blocking(mark()) } else { Ok(()) }
    }

    fn settings(&mut self) -> Result<()> {
        for (name, value) in settings(self.read)? {
            self.put(Record::Setting { name, value }, || Mark::Before(Kind::Setting))?;
        }
        Ok(())
    }

    fn endpoints(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::ENDPOINTS).map_err(io)?.iter().map_err(io)? {
            let (id, row) = row.map_err(io)?;
            let row = record::decode_endpoint(EndpointId::from_u128(id.value()), row.value())?;
            self.put(Record::Endpoint(row), || Mark::Before(Kind::Endpoint))?;
        }
        Ok(())
    }

    fn documents(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::DOCUMENTS).map_err(io)?.iter().map_err(io)? {
            let (key, row) = row.map_err(io)?;
            let (word, name) = key.value();
            let unknown = || corrupt(format!("a document is of the unknown kind `{word}`"));
            let kind = DocumentKind::parse(word).ok_or_else(unknown)?;
            let row = record::decode_document(kind, name, row.value())?;
            self.put(Record::Document(row), || Mark::Before(Kind::Document))?;
        }
        Ok(())
    }

    fn plugins(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::PLUGINS).map_err(io)?.iter().map_err(io)? {
            let (name, row) = row.map_err(io)?;
            let (revision, document) = record::decode_described(row.value())?;
            let row = PluginRow { name: name.value().to_owned(), revision, document };
            self.put(Record::Plugin(row), || Mark::Before(Kind::Plugin))?;
        }
        Ok(())
    }

    fn components(&mut self) -> Result<()> {
        let parts = self.read.open_table(tables::COMPONENT_PARTS).map_err(io)?;
        for row in self.read.open_table(tables::COMPONENTS).map_err(io)?.iter().map_err(io)? {
            let (digest, row) = row.map_err(io)?;
            let (size, _, kept_at) = row.value();
            let digest = plugins::digest_of(digest.value())?;
            let bytes = plugins::joined(&parts, digest, size)?;
            let row = ComponentRow { digest, size, kept_at: Timestamp::from_micros(kept_at) };
            self.put(Record::Component { row, bytes }, || Mark::Before(Kind::Component))?;
        }
        Ok(())
    }

    /// Events and the journal side by side, both in the order of their places.
    fn history(&mut self, after: &Mark) -> Result<()> {
        let (sequence, done) = match after {
            Mark::History { sequence, ordinal } => (*sequence, Some(*ordinal)),
            _ => (0, None),
        };
        let from = match done {
            Some(Some(ordinal)) => place_key(Place { sequence, ordinal }) + 1,
            _ => place_key(first_place(sequence)),
        };
        let lines = Lines::open(self.read)?;
        let ordinals = self.read.open_table(tables::ORDINALS).map_err(io)?;
        let journal = self.read.open_table(tables::JOURNAL).map_err(io)?;
        let mut journal = journal.range((from, 0)..).map_err(io)?.peekable();
        for row in self.read.open_table(tables::EVENTS).map_err(io)?.range(sequence..).map_err(io)? {
            let (key, row) = row.map_err(io)?;
            let place = key.value();
            let row = row.value().to_vec();
            if done.is_none() || place > sequence {
                let given = ordinals.get(place).map_err(io)?.map(|given| given.value());
                let promised = || record::decode_event_head(&row).map(|stored| stored.endpoints.len() as u32);
                let next_ordinal = given.map_or_else(promised, Ok)?;
                let event = CopiedEvent { row, next_ordinal };
                self.put(Record::Event(event), || Mark::History { sequence: place, ordinal: None })?;
            }
            while let Some((at, delivery)) = next_delivery(&mut journal, place, &lines)? {
                let mark = || Mark::History { sequence: place, ordinal: Some(at.ordinal) };
                self.put(Record::Delivery(Box::new(delivery)), mark)?;
            }
        }
        match journal.next().transpose().map_err(io)? {
            None => Ok(()),
            Some((key, _)) => Err(corrupt(format!("the delivery at {} has no event", key.value().0))),
        }
    }

    fn names(&mut self, after: &Mark) -> Result<()> {
        let from = match after {
            Mark::Name { tenant, name } => (tenant.as_str(), name.as_str()),
            _ => ("", ""),
        };
        let events = self.read.open_table(tables::EVENTS).map_err(io)?;
        let sequences = self.read.open_table(tables::SEQUENCES).map_err(io)?;
        for row in self.read.open_table(tables::PRODUCER_IDS).map_err(io)?.range(from..).map_err(io)? {
            let (key, row) = row.map_err(io)?;
            if key.value() == from && matches!(after, Mark::Name { .. }) {
                continue;
            }
            let ((tenant, name), (event, content)) = (key.value(), row.value());
            let sequence = sequences.get(event).map_err(io)?.map(|sequence| sequence.value());
            let stored = sequence.map(|sequence| events.get(sequence).map_err(io)).transpose()?.flatten();
            let deliveries = stored.map(|row| record::decode_event_head(row.value())).transpose()?;
            let named = ProducerName {
                tenant: Tenant::parse(tenant).map_err(corrupt)?,
                name: ProducerId::parse(name).map_err(corrupt)?,
                event: EventId::from_u128(event),
                content: ContentDigest(content),
                deliveries: deliveries.map_or(0, |stored| stored.endpoints.len() as u32),
            };
            let mark = || Mark::Name { tenant: tenant.to_owned(), name: name.to_owned() };
            self.put(Record::Name(named), mark)?;
        }
        Ok(())
    }

    fn jobs(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::JOBS).map_err(io)?.iter().map_err(io)? {
            let (id, row) = row.map_err(io)?;
            let mut job = jobs::read(JobId::from_u128(id.value()), row.value())?;
            let cursor = job.progress.cursor.take().map(|place| self.cursor(place)).transpose()?;
            self.put(Record::Job { job, cursor }, || Mark::Before(Kind::Job))?;
        }
        Ok(())
    }

    /// The first event from there on: what stands before the place stands before that too.
    fn cursor(&self, place: Place) -> Result<Cursor> {
        let events = self.read.open_table(tables::EVENTS).map_err(io)?;
        let next = events.range(place.sequence..).map_err(io)?.next();
        let Some((sequence, row)) = next.transpose().map_err(io)? else { return Ok(Cursor::End) };
        let event = record::decode_event_head(row.value())?.event.id.as_u128();
        let ordinal = if sequence.value() == place.sequence { place.ordinal } else { 0 };
        Ok(Cursor::Before { event, ordinal })
    }

    fn counts(&mut self, after: &Mark) -> Result<()> {
        let from = match after {
            Mark::Count { resolution, bucket, scope } => (*resolution, *bucket, scope.as_slice()),
            _ => (0, i64::MIN, &[][..]),
        };
        for row in self.read.open_table(tables::TALLIES).map_err(io)?.range(from..).map_err(io)? {
            let (key, row) = row.map_err(io)?;
            let (resolution, bucket, scope) = key.value();
            if (resolution, bucket, scope) == from {
                continue;
            }
            let tally = counters::decode_tally(row.value())?;
            if tally == Default::default() {
                continue;
            }
            let count = Count { resolution, bucket, scope: scope.to_vec(), tally };
            let mark = || Mark::Count { resolution, bucket, scope: scope.to_vec() };
            self.put(Record::Count(count), mark)?;
        }
        Ok(())
    }

    fn standings(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::STANDINGS).map_err(io)?.iter().map_err(io)? {
            let (endpoint, row) = row.map_err(io)?;
            let endpoint = EndpointId::from_u128(endpoint.value());
            let standing = counters::decode_standing(row.value())?;
            if standing != Default::default() {
                self.put(Record::Standing { endpoint, standing }, || Mark::Before(Kind::Standing))?;
            }
        }
        Ok(())
    }

    fn stored_bytes(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::STORED_BYTES).map_err(io)?.iter().map_err(io)? {
            let (tenant, bytes) = row.map_err(io)?;
            let tenant = Tenant::parse(tenant.value()).map_err(corrupt)?;
            let record = Record::StoredBytes { tenant, bytes: bytes.value() };
            self.put(record, || Mark::Before(Kind::StoredBytes))?;
        }
        Ok(())
    }

    fn errors(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::ERRORS).map_err(io)?.iter().map_err(io)? {
            let (key, row) = row.map_err(io)?;
            let (endpoint, word) = key.value();
            let unknown = || corrupt(format!("`{word}` is no kind of error that this version knows"));
            let trouble = Trouble::parse(word).ok_or_else(unknown)?;
            let group = counters::decode_group(EndpointId::from_u128(endpoint), trouble, row.value())?;
            self.put(Record::ErrorGroup(group), || Mark::Before(Kind::ErrorGroup))?;
        }
        Ok(())
    }

    fn heads(&mut self) -> Result<()> {
        for row in self.read.open_table(tables::HEADS).map_err(io)?.iter().map_err(io)? {
            let (endpoint, head) = row.map_err(io)?;
            let endpoint = EndpointId::from_u128(endpoint.value());
            let delivery = DeliveryId::from_u128(head.value());
            self.put(Record::Head { endpoint, delivery }, || Mark::Before(Kind::Head))?;
        }
        Ok(())
    }
}

/// Who stands in line where.
struct Lines {
    turns: redb::ReadOnlyTable<u64, u64>,
    /// Those that keep no order: whoever is still in their lines goes by his time.
    free: HashSet<EndpointId>,
}

impl Lines {
    fn open(read: &ReadTransaction) -> Result<Self> {
        let mut free = HashSet::new();
        for row in read.open_table(tables::ENDPOINTS).map_err(io)?.iter().map_err(io)? {
            let (id, row) = row.map_err(io)?;
            let row = record::decode_endpoint(EndpointId::from_u128(id.value()), row.value())?;
            if !row.order.is_kept() {
                free.insert(row.id);
            }
        }
        Ok(Self { turns: read.open_table(tables::TURNS).map_err(io)?, free })
    }

    fn turn(&self, place: Place, delivery: &Delivery) -> Result<Option<u64>> {
        if delivery.state.is_final() || self.free.contains(&delivery.endpoint) {
            return Ok(None);
        }
        Ok(self.turns.get(place_key(place)).map_err(io)?.map(|turn| turn.value()))
    }
}

type Journal = Peekable<redb::Range<'static, (u64, u32), &'static [u8]>>;

/// Lines of a delivery, by their numbers.
type Written = Vec<(u32, Vec<u8>)>;

/// The next delivery of the event at that place. Its last line is how it stands.
fn next_delivery(
    journal: &mut Journal,
    event: u64,
    lines: &Lines,
) -> Result<Option<(Place, CopiedDelivery)>> {
    let mut found: Option<(u64, Written)> = None;
    loop {
        let next = match journal.peek() {
            Some(Ok((key, _))) => Some(key.value().0),
            Some(Err(_)) => {
                return Err(journal.next().and_then(std::result::Result::err).map_or(StoreError::Closed, io));
            }
            None => None,
        };
        let fits = match (&found, next) {
            (None, Some(place)) => place_of(place).sequence == event,
            (Some((at, _)), Some(place)) => *at == place,
            (_, None) => false,
        };
        let row = if fits { journal.next().transpose().map_err(io)? } else { None };
        let Some((key, line)) = row else { break };
        let (place, number) = key.value();
        found.get_or_insert_with(|| (place, Vec::new())).1.push((number, line.value().to_vec()));
    }
    let Some((place, mut attempts)) = found else { return Ok(None) };
    let place = place_of(place);
    let last = attempts.last().map_or(&[][..], |(_, line)| line);
    let delivery = record::decode_delivery(last)?;
    // The line of a delivery that began to wait before its first attempt.
    attempts.retain(|(number, _)| *number > 0);
    let turn = lines.turn(place, &delivery)?;
    Ok(Some((place, CopiedDelivery { delivery, turn, attempts })))
}

/// Writes records.
struct Intake<'a, 'txn> {
    tables: &'a mut Tables<'txn>,
    /// The place of the last event.
    sequence: u64,
}

impl Intake<'_, '_> {
    fn take(&mut self, record: Record) -> Result<()> {
        let tables = &mut *self.tables;
        match record {
            Record::Setting { name, value } => {
                tables.settings.insert(name.as_str(), value.as_slice()).map_err(io)?;
            }
            Record::Endpoint(row) => {
                let bytes = record::encode_endpoint(&row)?;
                tables.endpoints.insert(row.id.as_u128(), bytes.as_slice()).map_err(io)?;
            }
            Record::Document(row) => {
                let bytes = record::encode_document(&row)?;
                tables
                    .documents
                    .insert((row.kind.word(), row.name.as_str()), bytes.as_slice())
                    .map_err(io)?;
            }
            Record::Plugin(row) => {
                let bytes = record::encode_described(row.revision, &row.document)?;
                tables.plugins.insert(row.name.as_str(), bytes.as_slice()).map_err(io)?;
            }
            Record::Component { row, bytes } => plugins::put_whole(tables, &row, &bytes)?,
            Record::Event(event) => self.event(&event)?,
            Record::Delivery(delivery) => self.delivery(*delivery)?,
            Record::Name(ProducerName { tenant, name, event, content, .. }) => {
                let row = (event.as_u128(), content.0);
                tables.producer_ids.insert((tenant.as_str(), name.as_str()), row).map_err(io)?;
            }
            Record::Job { mut job, cursor } => {
                job.progress.cursor = cursor.map(|cursor| self.place(cursor)).transpose()?;
                let row = jobs::written(&job)?;
                self.tables.jobs.insert(job.id.as_u128(), row.as_slice()).map_err(io)?;
            }
            Record::Count(Count { resolution, bucket, scope, tally }) => {
                let row = counters::encode_tally(&tally)?;
                tables.tallies.insert((resolution, bucket, scope.as_slice()), row.as_slice()).map_err(io)?;
            }
            Record::Standing { endpoint, standing } => {
                let row = counters::encode_standing(standing)?;
                tables.standings.insert(endpoint.as_u128(), row.as_slice()).map_err(io)?;
            }
            Record::StoredBytes { tenant, bytes } => {
                tables.stored.insert(tenant.as_str(), bytes).map_err(io)?;
            }
            Record::ErrorGroup(group) => counters::put_group(tables, &group)?,
            Record::Head { endpoint, delivery } => {
                tables.heads.insert(endpoint.as_u128(), delivery.as_u128()).map_err(io)?;
            }
        }
        Ok(())
    }

    fn event(&mut self, event: &CopiedEvent) -> Result<()> {
        self.sequence += 1;
        let stored = record::decode_event_head(&event.row)?;
        self.tables.events.insert(self.sequence, event.row.as_slice()).map_err(io)?;
        self.tables.sequences.insert(stored.event.id.as_u128(), self.sequence).map_err(io)?;
        let endpoints: HashSet<&EndpointId> = stored.endpoints.iter().collect();
        let several = endpoints.len() < stored.endpoints.len();
        if several || event.next_ordinal as usize != stored.endpoints.len() {
            self.tables.ordinals.insert(self.sequence, event.next_ordinal).map_err(io)?;
        }
        Ok(())
    }

    fn delivery(&mut self, copied: CopiedDelivery) -> Result<()> {
        let CopiedDelivery { delivery, turn, mut attempts } = copied;
        let place = place_at(self.sequence_of(delivery.id.event())?, delivery.id);
        let key = place_key(place);
        let (number, attempt) = match attempts.pop() {
            Some((number, line)) => (number, record::decode_journal(&line)?.1),
            None => (0, None),
        };
        for (number, line) in &attempts {
            self.tables.journal.insert((key, *number), line.as_slice()).map_err(io)?;
        }
        let last = record::encode_journal(&delivery, attempt)?;
        self.tables.journal.insert((key, number), last.as_slice()).map_err(io)?;
        if delivery.state.is_final() {
            return Ok(());
        }
        self.tables.pending_since.insert(pending_key(&delivery, place), ()).map_err(io)?;
        let due = delivery.due.unwrap_or(delivery.created_at);
        match turn {
            None => {
                let due = due_key(delivery.endpoint, due, place);
                self.tables.due.insert(due, delivery.id.as_u128()).map_err(io)?;
            }
            Some(turn) => {
                let row = (delivery.id.as_u128(), key, due.as_micros());
                self.tables.lines.insert((delivery.endpoint.as_u128(), turn), row).map_err(io)?;
                self.tables.turns.insert(key, turn).map_err(io)?;
            }
        }
        Ok(())
    }

    fn place(&self, cursor: Cursor) -> Result<Place> {
        match cursor {
            Cursor::End => Ok(first_place(self.sequence + 1)),
            Cursor::Before { event, ordinal } => {
                Ok(Place { sequence: self.sequence_of(EventId::from_u128(event))?, ordinal })
            }
        }
    }

    fn sequence_of(&self, event: EventId) -> Result<u64> {
        let sequence = super::queue::sequence_of(&self.tables.sequences, event)?;
        sequence.ok_or_else(|| corrupt(format!("the event {event} was not copied before what is said of it")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of each table.
    const TABLES: [(&str, Copied); 26] = [
        ("meta", Copied::Made),
        ("settings", Copied::As(Kind::Setting)),
        ("endpoints", Copied::As(Kind::Endpoint)),
        ("documents", Copied::As(Kind::Document)),
        ("jobs", Copied::As(Kind::Job)),
        ("plugins", Copied::As(Kind::Plugin)),
        ("components", Copied::As(Kind::Component)),
        ("component_parts", Copied::As(Kind::Component)),
        ("events", Copied::As(Kind::Event)),
        ("sequences", Copied::As(Kind::Event)),
        ("producer_ids", Copied::As(Kind::Name)),
        ("journal", Copied::As(Kind::Delivery)),
        ("due", Copied::As(Kind::Delivery)),
        ("by_endpoint", Copied::Made),
        ("ordinals", Copied::As(Kind::Event)),
        ("postings", Copied::Made),
        ("spans", Copied::Made),
        ("tallies", Copied::As(Kind::Count)),
        ("standings", Copied::As(Kind::Standing)),
        ("pending_since", Copied::As(Kind::Delivery)),
        ("errors", Copied::As(Kind::ErrorGroup)),
        ("error_times", Copied::As(Kind::ErrorGroup)),
        ("lines", Copied::As(Kind::Delivery)),
        ("turns", Copied::As(Kind::Delivery)),
        ("heads", Copied::As(Kind::Head)),
        ("stored_bytes", Copied::As(Kind::StoredBytes)),
    ];

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Copied {
        As(Kind),
        /// Made anew at the target, of the rest.
        Made,
    }

    #[test]
    fn no_table_is_forgotten() {
        let known: Vec<&str> = TABLES.iter().map(|(name, _)| *name).collect();
        assert_eq!(archive::table_names(), known);
        for kind in Kind::ALL.into_iter().filter(|kind| *kind != Kind::Attempt) {
            assert!(TABLES.iter().any(|(_, copied)| *copied == Copied::As(kind)), "{kind:?} is in no table");
        }
    }
}
