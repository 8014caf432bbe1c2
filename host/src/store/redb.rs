//! The embedded store: one file, one writer, one sync for many requests.
//!
//! A delivery that succeeds at once is never written as pending: its event's row promises it, and the line of its
//! journal that is written when it is settled fulfils the promise. Only what waits longer gets a row of its own in
//! `due`. The watermark says from which event on promises may be open, so that a restart looks at little.

pub mod archive;
mod bits;
pub mod copy;
pub(super) mod counters;
mod desk;
mod documents;
mod find;
mod history;
mod index;
mod lines;
pub(super) mod jobs;
mod plugins;
mod queue;
pub(super) mod record;
mod tables;
mod writer;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use redb::{Database, DatabaseError, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageBackend};
use tokio::sync::Semaphore;
use tracing::info;

use self::counters::{Counters, Gathered};
use self::desk::{Desk, EndpointState};
use self::tables::{
    META_BOOK_VERSION, META_FORMAT, META_INDEXED, META_NEXT_SEQUENCE, META_WATERMARK, Snapshot, Tables,
};
use self::writer::{Txn, Writer};
use super::{
    Append, Arrival, Backup, BookVersion, Bucket, Claim, Claimed, Copying, DeliveryFilter, DeliveryRecord,
    EndpointRow, Endpoints, ErrorFilter, ErrorPage, ErrorPageRequest, EventFilter, EventRecord, History,
    Hosts, Inbox, Kept, Lease, Page, PageRequest, Pruned, Queue, Replay, Result, Scope, Settings, Settle,
    Settled, Standing, Statistics, Steer, StoreError, Tell, Volumes,
};
use crate::delivery::Delivery;
use crate::event::{Event, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId};
use crate::tally::Window;
use crate::time::{Clock, SystemClock, Timestamp};

/// The format of the file that this program writes. An older one is brought up to it; a newer one is refused.
const FORMAT: u64 = 2;
/// What stands in its place while a copy of another store is written into the file. Older versions refuse it too.
const UNFINISHED: u64 = u64::MAX;

/// How often, and how long apart, a store that is dropped looks whether its file can be closed.
const CLOSING_TRIES: u32 = 2_000;
const CLOSING_PAUSE: Duration = Duration::from_millis(1);

#[derive(Clone)]
pub struct Options {
    /// Bytes of the file that are kept in memory.
    pub cache_size: usize,
    /// Attempts kept for each delivery, the latest ones.
    pub attempts_kept: u32,
    /// How long a delivery may be unfinished before it gets a row of its own.
    pub row_after: Duration,
    /// How many of the youngest events are in the index of the lists in memory only, so that an append costs no row
    /// of it. Up to twice as many are read again when the file is opened.
    pub most_young: u64,
    pub clock: Arc<dyn Clock>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_size: 32 << 20,
            attempts_kept: super::ATTEMPTS_KEPT,
            row_after: Duration::from_secs(1),
            most_young: 1_024,
            clock: Arc::new(SystemClock),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("cache_size", &self.cache_size).finish_non_exhaustive()
    }
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("`{path}` is in use by another process. Stop that one, or choose another data directory.")]
    InUse { path: String },
    #[error(
        "`{path}` was written by a newer version (store format {found}; this one knows up to {FORMAT}). Use the newer \
         version, or another data directory."
    )]
    Newer { path: String, found: u64 },
    #[error(
        "`{path}` holds an unfinished copy of another store. Finish it with `hookwright store copy`, as it was begun."
    )]
    Unfinished { path: String },
    #[error("`{path}` cannot be opened: {reason}.")]
    Other { path: String, reason: String },
}

/// A store in a file.
#[derive(Debug)]
pub struct RedbStore {
    writer: Writer,
    shared: Arc<Shared>,
    /// One copy is taken at a time.
    copying: Arc<Semaphore>,
}

#[derive(Debug)]
struct Shared {
    source: Source,
    options: Options,
    database: Mutex<Option<Arc<Database>>>,
    /// Held by the writer from the first change of a commit until that is on disk. Taken off the async threads only.
    desk: Mutex<Desk>,
    /// As of the last commit.
    pending: AtomicU64,
    failure: Mutex<Option<StoreError>>,
}

enum Source {
    File(PathBuf),
    /// What was made of another store, and is whole now.
    Copied(PathBuf),
    Given(OpenGiven),
}

type OpenGiven = Box<dyn Fn(&Options) -> std::result::Result<Database, DatabaseError> + Send + Sync>;

impl Source {
    fn open(&self, options: &Options) -> std::result::Result<Database, OpenError> {
        match self {
            Source::File(path) | Source::Copied(path) => open_file(path, options),
            Source::Given(open) => open(options).map_err(|error| refused(&self.to_string(), &error)),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::File(path) | Source::Copied(path) => path.display().fmt(f),
            Source::Given(_) => f.write_str("the given storage"),
        }
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl RedbStore {
    /// Opens the file, or creates it.
    pub fn open(path: &Path, options: Options) -> std::result::Result<Self, OpenError> {
        Self::start(Source::File(path.to_owned()), options)
    }

    /// Opens a store on other storage than a file, such as one that loses what was not synced. `storage` is asked
    /// for a handle on it here, and again whenever the store opens itself anew after a failure.
    pub fn with_backend<B: StorageBackend>(
        storage: impl Fn() -> B + Send + Sync + 'static,
        options: Options,
    ) -> std::result::Result<Self, OpenError> {
        let open = move |options: &Options| {
            Database::builder().set_cache_size(options.cache_size).create_with_backend(storage())
        };
        Self::start(Source::Given(Box::new(open)), options)
    }

    fn start(source: Source, options: Options) -> std::result::Result<Self, OpenError> {
        let database = source.open(&options)?;
        let shared = Arc::new(Shared {
            source,
            options,
            database: Mutex::new(None),
            desk: Mutex::new(Desk::default()),
            pending: AtomicU64::new(0),
            failure: Mutex::new(None),
        });
        shared.load(database)?;
        let writer = Writer::start(shared.clone())
            .map_err(|error| OpenError::Other { path: shared.path(), reason: error.to_string() })?;
        Ok(Self { writer, shared, copying: Arc::new(Semaphore::new(1)) })
    }

    async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> Result<T> + Send + 'static,
    {
        self.writer.submit(&self.shared, work).await
    }

    /// Runs `look` with the desk locked and a snapshot as of that moment, off the async threads.
    async fn look<T, F>(&self, look: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Desk, &Snapshot) -> Result<T> + Send + 'static,
    {
        let shared = self.shared.clone();
        blocking(move || {
            let mut desk = shared.desk();
            let snapshot = shared.snapshot()?;
            look(&mut desk, &snapshot)
        })
        .await
    }

    /// As [`RedbStore::look`], for what takes longer: only `note` runs under the lock.
    async fn read<N, T, F, G>(&self, note: G, read: F) -> Result<T>
    where
        T: Send + 'static,
        G: FnOnce(&Desk) -> N + Send + 'static,
        F: FnOnce(&Snapshot, N) -> Result<T> + Send + 'static,
    {
        let shared = self.shared.clone();
        blocking(move || {
            let (noted, snapshot) = {
                let desk = shared.desk();
                (note(&desk), shared.snapshot()?)
            };
            read(&snapshot, noted)
        })
        .await
    }

    /// Reads the counters.
    async fn counted<T, F>(&self, read: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&Counters) -> Result<T> + Send + 'static,
    {
        let shared = self.shared.clone();
        blocking(move || read(&Counters::open(&shared.database()?.begin_read().map_err(io)?)?)).await
    }
}

/// Closes the file, though somebody may still be at a read: whoever opens it next finds it free.
impl Drop for RedbStore {
    fn drop(&mut self) {
        self.writer.stop();
        let mut closed = self.shared.close();
        for _ in 0..CLOSING_TRIES {
            let Some(database) = closed.take() else { return };
            match Arc::try_unwrap(database) {
                Ok(database) => return drop(database),
                // Held for as long as it takes to begin a read.
                Err(still_used) => closed = Some(still_used),
            }
            std::thread::park_timeout(CLOSING_PAUSE);
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| StoreError::Unavailable(error.to_string()))?
}

fn io(error: impl Into<redb::Error>) -> StoreError {
    StoreError::Unavailable(error.into().to_string())
}

fn refused(path: &str, error: &DatabaseError) -> OpenError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path: path.to_owned() },
        other => OpenError::Other { path: path.to_owned(), reason: other.to_string() },
    }
}

fn open_file(path: &Path, options: &Options) -> std::result::Result<Database, OpenError> {
    let shown = path.display().to_string();
    let other = |error: std::io::Error| OpenError::Other { path: shown.clone(), reason: error.to_string() };
    if !path.exists() {
        make_file(path, &shown).map_err(other)?;
    }
    let database = Database::builder()
        .set_cache_size(options.cache_size)
        .create(path)
        .map_err(|error| refused(&shown, &error))?;
    // The file's own entry must survive a power cut too.
    path.parent().map_or(Ok(()), |folder| std::fs::File::open(folder)?.sync_all()).map_err(other)?;
    Ok(database)
}

/// Makes the file under another name first: where that is cut off, nothing is left that looks like a store and cannot
/// be opened.
fn make_file(path: &Path, shown: &str) -> std::io::Result<()> {
    let unfinished = PathBuf::from(format!("{shown}.new"));
    match std::fs::remove_file(&unfinished) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    drop(Database::create(&unfinished).map_err(std::io::Error::other)?);
    std::fs::rename(unfinished, path)
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self) -> Result<Arc<Database>> {
        let database = self.database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        database.ok_or_else(|| self.failure())
    }

    fn snapshot(&self) -> Result<Snapshot> {
        Snapshot::open(&self.database()?.begin_read().map_err(io)?)
    }

    fn path(&self) -> String {
        self.source.to_string()
    }

    fn count(&self, desk: &Desk) {
        self.pending.store(desk.waiting + desk.implied.len() as u64, Ordering::Relaxed);
    }

    /// Lets nobody see what a failed commit left in memory.
    fn close(&self) -> Option<Arc<Database>> {
        self.database.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn fail(&self, failure: StoreError) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Why the store cannot work at the moment.
    fn failure(&self) -> StoreError {
        let failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Whose commit failed just now may ask before the cause is noted.
        failure.unwrap_or_else(|| StoreError::Unavailable("a write failed; the log says why".to_owned()))
    }

    /// Opens the file anew, once nobody reads `closed` any more: after a failed write nothing in memory can be trusted.
    fn reopen(&self, closed: &mut Option<Arc<Database>>) -> Result<()> {
        if let Some(database) = closed.take() {
            drop(Arc::try_unwrap(database).map_err(|still_read| {
                *closed = Some(still_read);
                self.failure()
            })?);
        }
        let unavailable = |error: OpenError| StoreError::Unavailable(error.to_string());
        let database = self.source.open(&self.options).map_err(unavailable)?;
        self.load(database).map_err(unavailable)
    }

    /// Checks the format, and brings the desk to what the file says.
    fn load(&self, database: Database) -> std::result::Result<(), OpenError> {
        let other = |error: StoreError| OpenError::Other { path: self.path(), reason: error.to_string() };
        let mut desk = self.desk().successor();
        let write = database.begin_write().map_err(io).map_err(other)?;
        {
            // Before anything else: a newer format may have other tables.
            let is_copied = matches!(self.source, Source::Copied(_));
            match format(&write).map_err(other)? {
                Some(UNFINISHED) if is_copied => {}
                Some(UNFINISHED) => return Err(OpenError::Unfinished { path: self.path() }),
                Some(found) if found > FORMAT => return Err(OpenError::Newer { path: self.path(), found }),
                _ => {}
            }
            // Lists were read from it until format 2. Loading makes the index that they are read from now.
            write.delete_table(tables::BY_ENDPOINT).map_err(io).map_err(other)?;
            let mut tables = Tables::open(&write).map_err(other)?;
            if is_copied {
                copy::forget_progress(&mut tables).map_err(other)?;
            }
            let now = self.options.clock.now();
            let attempts_kept = self.options.attempts_kept;
            let gathered = Gathered::default();
            let mut txn = Txn { tables, desk: &mut desk, now, attempts_kept, gathered };
            load_desk(&mut txn, self.options.most_young).map_err(other)?;
        }
        write.commit().map_err(io).map_err(other)?;
        self.count(&desk);
        *self.desk() = desk;
        *self.database.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(database));
        Ok(())
    }
}

fn format(write: &::redb::WriteTransaction) -> Result<Option<u64>> {
    let meta = write.open_table(tables::META).map_err(io)?;
    Ok(meta.get(META_FORMAT).map_err(io)?.map(|format| format.value()))
}

fn load_desk(txn: &mut Txn<'_>, most_young: u64) -> Result<()> {
    let meta = |txn: &Txn<'_>, name| Ok(txn.tables.meta.get(name).map_err(io)?.map(|guard| guard.value()));
    txn.tables.meta.insert(META_FORMAT, FORMAT).map_err(io)?;
    txn.desk.version = BookVersion(meta(txn, META_BOOK_VERSION)?.unwrap_or(0));
    txn.desk.next_sequence = meta(txn, META_NEXT_SEQUENCE)?.unwrap_or(1);
    let watermark = meta(txn, META_WATERMARK)?.unwrap_or(1);
    for row in txn.tables.endpoints.iter().map_err(io)? {
        let (id, row) = row.map_err(io)?;
        let row = record::decode_endpoint(EndpointId::from_u128(id.value()), row.value())?;
        txn.desk.endpoints.insert(row.id, EndpointState::of(&row));
    }
    txn.desk.waiting = txn.tables.due.len().map_err(io)? + txn.tables.lines.len().map_err(io)?;
    lines::load(txn)?;
    plugins::sweep(txn)?;
    load_lanes(txn)?;
    let indexed = meta(txn, META_INDEXED)?;
    index::load(txn, indexed, most_young)?;
    let recovered = history::recover(txn, watermark)?;
    counters::begin(txn)?;
    index::flush(txn)?;
    let next = txn.desk.next_sequence;
    txn.tables.meta.insert(META_WATERMARK, next).map_err(io)?;
    if txn.desk.waiting > 0 {
        info!(waiting = txn.desk.waiting, recovered, "deliveries wait from before");
    }
    Ok(())
}

/// Finds the first due row of each endpoint, by leaping from one endpoint to the next.
fn load_lanes(txn: &mut Txn<'_>) -> Result<()> {
    let mut from = Some((0, i64::MIN, 0));
    while let Some(start) = from {
        let Some(row) = txn.tables.due.range(start..).map_err(io)?.next() else { break };
        let (endpoint, due, _) = row.map_err(io)?.0.value();
        txn.desk.waits(EndpointId::from_u128(endpoint), Timestamp::from_micros(due));
        from = endpoint.checked_add(1).map(|next| (next, i64::MIN, 0));
    }
    Ok(())
}

#[async_trait]
impl Inbox for RedbStore {
    async fn append(
        &self,
        batch: Vec<Arrival>,
        against: BookVersion,
        lease_until: Timestamp,
    ) -> Result<Append> {
        for arrival in &batch {
            super::check_room(arrival)?;
        }
        self.write(move |txn| queue::append(txn, batch, against, lease_until)).await
    }
}

impl Hosts for RedbStore {}

#[async_trait]
impl Queue for RedbStore {
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let now = claim.now;
        if self.look(move |desk, _| Ok(desk.expire(now))).await? {
            self.write(move |txn| queue::give_rows_to_expired(txn, now)).await?;
        }
        self.look(move |desk, snapshot| queue::claim(desk, snapshot, &claim)).await
    }

    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>> {
        self.look(move |desk, _| {
            let mut lost = Vec::new();
            for lease in leases {
                match desk.leases.get_mut(&lease.delivery) {
                    Some(held) if held.generation == lease.generation => held.until = until,
                    _ => lost.push(lease),
                }
            }
            Ok(lost)
        })
        .await
    }

    async fn settle(&self, batch: Vec<Settled>) -> Result<Vec<Settle>> {
        batch.iter().flat_map(|settled| &settled.announce).try_for_each(super::check_room)?;
        self.write(move |txn| queue::settle(txn, batch)).await
    }

    async fn release(&self, leases: Vec<Lease>, due: Timestamp) -> Result<()> {
        self.write(move |txn| queue::release(txn, &leases, due)).await
    }

    async fn next_due(&self, skip: HashSet<EndpointId>) -> Result<Option<Timestamp>> {
        self.look(move |desk, snapshot| queue::next_due(desk, snapshot, &skip)).await
    }

    async fn retry_now(&self, delivery: DeliveryId, now: Timestamp) -> Result<Steer> {
        self.write(move |txn| queue::retry_now(txn, delivery, now)).await
    }

    async fn cancel(&self, delivery: DeliveryId, reason: String, now: Timestamp) -> Result<Steer> {
        self.write(move |txn| queue::cancel(txn, delivery, reason, now)).await
    }

    async fn replay(&self, delivery: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay> {
        self.write(move |txn| queue::replay(txn, delivery, new_webhook_id, now)).await
    }

    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<usize> {
        self.write(move |txn| queue::cancel_orphans(txn, limit, now)).await
    }

    async fn cancel_waiting(
        &self,
        endpoint: EndpointId,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
    ) -> Result<usize> {
        self.write(move |txn| queue::cancel_waiting(txn, endpoint, before, limit, &reason, now)).await
    }

    async fn expire(
        &self,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
        tell: Tell,
    ) -> Result<usize> {
        self.write(move |txn| queue::expire(txn, before, limit, &reason, now, &tell)).await
    }

    async fn pending(&self) -> Result<u64> {
        // Asked for its own sake: a store that cannot work is not to say how much is pending.
        self.shared.database()?;
        Ok(self.shared.pending.load(Ordering::Relaxed))
    }
}

#[async_trait]
impl Endpoints for RedbStore {
    async fn endpoints(&self) -> Result<(BookVersion, Vec<EndpointRow>)> {
        let shared = self.shared.clone();
        blocking(move || {
            let (version, read) = {
                let desk = shared.desk();
                (desk.version, shared.database()?.begin_read().map_err(io)?)
            };
            let table = read.open_table(tables::ENDPOINTS).map_err(io)?;
            let rows = table.iter().map_err(io)?.map(|row| {
                let (id, row) = row.map_err(io)?;
                record::decode_endpoint(EndpointId::from_u128(id.value()), row.value())
            });
            Ok((version, rows.collect::<Result<_>>()?))
        })
        .await
    }

    async fn put_endpoint(&self, row: EndpointRow, announce: Vec<Arrival>) -> Result<Option<BookVersion>> {
        announce.iter().try_for_each(super::check_room)?;
        self.write(move |txn| {
            let stored = txn.desk.endpoints.get(&row.id).map_or(0, |state| state.revision);
            if row.revision != stored + 1 {
                return Ok(None);
            }
            let bytes = record::encode_endpoint(&row)?;
            txn.tables.endpoints.insert(row.id.as_u128(), bytes.as_slice()).map_err(io)?;
            let before = txn.desk.endpoints.insert(row.id, EndpointState::of(&row));
            if before.is_some_and(|before| before.judged_from != row.judged_from) {
                counters::begins_anew(txn, row.id)?;
            }
            lines::follow(txn, row.id)?;
            queue::announce(txn, announce)?;
            raise_version(txn).map(Some)
        })
        .await
    }

    async fn delete_endpoint(&self, id: EndpointId) -> Result<Option<BookVersion>> {
        self.write(move |txn| {
            if txn.desk.endpoints.remove(&id).is_none() {
                return Ok(None);
            }
            txn.tables.endpoints.remove(id.as_u128()).map_err(io)?;
            counters::endpoint_deleted(txn, id)?;
            lines::follow(txn, id)?;
            raise_version(txn).map(Some)
        })
        .await
    }
}

fn raise_version(txn: &mut Txn<'_>) -> Result<BookVersion> {
    txn.desk.version.0 += 1;
    txn.tables.meta.insert(META_BOOK_VERSION, txn.desk.version.0).map_err(io)?;
    Ok(txn.desk.version)
}

#[async_trait]
impl Settings for RedbStore {
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let (shared, name) = (self.shared.clone(), name.to_owned());
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::SETTINGS).map_err(io)?;
            Ok(table.get(name.as_str()).map_err(io)?.map(|value| value.value().to_vec()))
        })
        .await
    }

    async fn setting_or(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let name = name.to_owned();
        self.write(move |txn| {
            let stored =
                txn.tables.settings.get(name.as_str()).map_err(io)?.map(|value| value.value().to_vec());
            if let Some(stored) = stored {
                return Ok(stored);
            }
            txn.tables.settings.insert(name.as_str(), value.as_slice()).map_err(io)?;
            Ok(value)
        })
        .await
    }

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        let name = name.to_owned();
        self.write(move |txn| {
            txn.tables.settings.insert(name.as_str(), value.as_slice()).map_err(io)?;
            Ok(())
        })
        .await
    }
}

#[async_trait]
impl History for RedbStore {
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>> {
        let filter = DeliveryFilter { event: Some(id), ..DeliveryFilter::default() };
        self.read(
            move |desk| history::implied(desk, &filter),
            move |snapshot, implied| history::event(snapshot, &implied, id),
        )
        .await
    }

    async fn events(&self, filter: EventFilter, page: PageRequest) -> Result<Page<Arc<Event>>> {
        let wanted = history::wanted_events(&filter);
        let noted = wanted.clone();
        self.read(
            move |desk| desk.index.note(&noted),
            move |snapshot, noted| history::events(snapshot, &wanted, noted, &filter, page),
        )
        .await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
        let filter = DeliveryFilter { event: Some(id.event()), ..DeliveryFilter::default() };
        self.read(
            move |desk| history::implied(desk, &filter),
            move |snapshot, implied| history::delivery(snapshot, &implied, id),
        )
        .await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>> {
        let wanted = history::wanted_deliveries(&filter);
        let (noted, fitting) = (wanted.clone(), filter.clone());
        self.read(
            move |desk| (history::implied_page(desk, &fitting, page), desk.index.note(&noted)),
            move |snapshot, (implied, noted)| {
                history::deliveries(snapshot, implied, &wanted, noted, &filter, page)
            },
        )
        .await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        self.write(move |txn| history::prune(txn, before, limit)).await
    }
}

#[async_trait]
impl Statistics for RedbStore {
    async fn tallies(&self, scopes: Vec<Scope>, window: Window) -> Result<Vec<Vec<Bucket>>> {
        self.counted(move |counters| scopes.iter().map(|scope| counters.tallies(scope, window)).collect())
            .await
    }

    async fn volumes(&self, tenant: Option<Tenant>, window: Window) -> Result<Volumes> {
        self.counted(move |counters| counters.volumes(tenant.as_ref(), window)).await
    }

    async fn standings(&self, endpoints: Vec<EndpointId>) -> Result<Vec<Standing>> {
        let shared = self.shared.clone();
        blocking(move || {
            let (rowless, read) = {
                let desk = shared.desk();
                (counters::rowless(&desk), shared.database()?.begin_read().map_err(io)?)
            };
            let counters = Counters::open(&read)?;
            endpoints.into_iter().map(|endpoint| counters.standing(endpoint, &rowless)).collect()
        })
        .await
    }

    async fn stored_bytes(&self, tenant: Tenant) -> Result<u64> {
        self.counted(move |counters| counters.stored_bytes(&tenant)).await
    }

    async fn errors(&self, filter: ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage> {
        let page = ErrorPageRequest { limit: page.limit.max(1), ..page };
        self.counted(move |counters| counters.errors(&filter, page)).await
    }

    async fn prune_statistics(&self, kept: Kept, limit: usize) -> Result<usize> {
        self.write(move |txn| counters::prune(txn, kept, limit)).await
    }
}

#[async_trait]
impl Backup for RedbStore {
    async fn backup(&self, label: Vec<u8>, patience: Duration) -> Result<Copying> {
        let Ok(permit) = self.copying.clone().try_acquire_owned() else { return Ok(Copying::UnderWay) };
        self.shared.database()?;
        Ok(Copying::Begun(archive::begin(self.shared.clone(), label, patience, permit)))
    }
}
