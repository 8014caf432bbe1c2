//! A copy of the store's rows as of one moment: how a running store gives it away, and how a store is made of it.
//!
//! It holds rows, not pages, so it depends on neither the version of redb nor the state of the file. Its form:
//!
//! * the magic line, the archive's version (u32), the label (length as u32, then its bytes);
//! * for each table, 1, then its name and its shape (each with a length as u32), then for each row, 2, the key and the
//!   value (each with a length as u32);
//! * 0, the number of rows (u64), and the SHA-256 of all that stands before that digest.
//!
//! Numbers are big-endian.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redb::{
    Database, Key, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    TableHandle, Value, WriteTransaction,
};
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::{OpenError, Options, RedbStore, Shared, io, tables};
use crate::store::{Result, StoreError};

/// What a copy is told about by whoever took it. It is kept as it is.
const LABEL_LIMIT: u32 = 64 << 10;

/// Chunks that wait for their taker.
pub(super) const CHUNKS: usize = 4;
/// Bytes of a chunk, more or less: a row is not cut.
const CHUNK: usize = 256 << 10;
/// Bytes of rows that are written in one commit when a store is made.
const COMMIT: usize = 8 << 20;
/// Most bytes of a table's name or shape.
const NAME_LIMIT: u32 = 1 << 10;
/// Most bytes of a key or a value; an event is smaller by far.
const CELL_LIMIT: u32 = 1 << 30;

const MAGIC: &[u8] = b"HOOKWRIGHT BACKUP\n";
const VERSION: u32 = 1;
const DIGEST: usize = 32;

const END: u8 = 0;
const TABLE: u8 = 1;
const ROW: u8 = 2;

/// What an archive says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// What the one who made it noted.
    pub label: Vec<u8>,
    pub rows: u64,
    pub bytes: u64,
    pub digest: [u8; DIGEST],
}

#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is no backup of Hookwright", file.display())]
    Foreign { file: PathBuf },
    #[error(
        "{} was made by a newer version (backup format {found}; this one knows up to {VERSION}); use that version",
        file.display()
    )]
    Newer { file: PathBuf, found: u32 },
    #[error("{} is not whole: {reason}. Take another copy of it, or another backup", file.display())]
    Damaged { file: PathBuf, reason: String },
    #[error("{} exists already", file.display())]
    Exists { file: PathBuf },
    #[error("the store cannot be written to {}: {reason}", file.display())]
    Unwritable { file: PathBuf, reason: String },
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Reads an archive from end to end and checks that it is what was written.
///
/// # Errors
///
/// Where it is not, or cannot be read.
pub fn check(file: &Path) -> std::result::Result<Summary, ArchiveError> {
    let unreadable = |source| ArchiveError::Unreadable { file: file.to_owned(), source };
    let damaged = |reason: &str| ArchiveError::Damaged { file: file.to_owned(), reason: reason.to_owned() };
    let opened = File::open(file).map_err(unreadable)?;
    let bytes = opened.metadata().map_err(unreadable)?.len();
    let mut input = BufReader::with_capacity(CHUNK, opened);
    let label = head(&mut input, file)?;
    let mut whole = BufReader::with_capacity(CHUNK, File::open(file).map_err(unreadable)?);
    let covered = bytes.checked_sub(DIGEST as u64).ok_or_else(|| damaged("it breaks off"))?;
    let mut hasher = Sha256::new();
    let mut last = Vec::new();
    let mut left = covered;
    let mut chunk = vec![0; CHUNK];
    while left > 0 {
        let wanted = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        whole.read_exact(&mut chunk[..wanted]).map_err(unreadable)?;
        hasher.update(&chunk[..wanted]);
        // The end mark and the number of rows, wherever chunks part.
        last.extend_from_slice(&chunk[..wanted]);
        last.drain(..last.len().saturating_sub(1 + size_of::<u64>()));
        left -= wanted as u64;
    }
    let mut digest = [0; DIGEST];
    whole.read_exact(&mut digest).map_err(unreadable)?;
    if digest != <[u8; DIGEST]>::from(hasher.finalize()) {
        return Err(damaged("its checksum does not fit"));
    }
    match last.split_first_chunk::<1>() {
        Some(([END], rows)) => {
            let rows = rows.try_into().map(u64::from_be_bytes).map_err(|_| damaged("it breaks off"))?;
            Ok(Summary { label, rows, bytes, digest })
        }
        _ => Err(damaged("it does not end as a backup does")),
    }
}

/// Makes a store of an archive: checks it, writes the rows, opens the store once. `store` must not exist yet; it
/// appears when all of that is done.
///
/// # Errors
///
/// Nothing is left behind then but what cannot be removed.
pub fn restore(archive: &Path, store: &Path) -> std::result::Result<Summary, ArchiveError> {
    let summary = check(archive)?;
    if store.exists() {
        return Err(ArchiveError::Exists { file: store.to_owned() });
    }
    let unfinished = PathBuf::from(format!("{}.part", store.display()));
    let made = make(archive, &unfinished).and_then(|()| put_in_place(&unfinished, store));
    if made.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    made.map(|()| summary)
}

fn make(archive: &Path, unfinished: &Path) -> std::result::Result<(), ArchiveError> {
    let unwritable = |reason: &dyn std::fmt::Display| ArchiveError::Unwritable {
        file: unfinished.to_owned(),
        reason: reason.to_string(),
    };
    OpenOptions::new().write(true).create_new(true).open(unfinished).map_err(|error| unwritable(&error))?;
    let database = Database::create(unfinished).map_err(|error| unwritable(&error))?;
    // The checksum keeps accidents out. What was forged can still be no row at all, and the tables' types panic then.
    catch_unwind(AssertUnwindSafe(|| fill(archive, &database, &unwritable))).map_err(|_| {
        ArchiveError::Damaged { file: archive.to_owned(), reason: "a row in it is none".to_owned() }
    })??;
    drop(database);
    drop(RedbStore::open(unfinished, Options::default())?);
    Ok(())
}

fn put_in_place(unfinished: &Path, store: &Path) -> std::result::Result<(), ArchiveError> {
    let unwritable =
        |error: io::Error| ArchiveError::Unwritable { file: store.to_owned(), reason: error.to_string() };
    std::fs::rename(unfinished, store).map_err(unwritable)?;
    let folder = store.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), |folder| File::open(folder)?.sync_all()).map_err(unwritable)
}

fn fill(
    archive: &Path,
    database: &Database,
    unwritable: &dyn Fn(&dyn std::fmt::Display) -> ArchiveError,
) -> std::result::Result<(), ArchiveError> {
    let mut frames = Frames::open(archive)?;
    let mut kind: Option<&Kind> = None;
    let mut rows = Rows::default();
    loop {
        let frame = frames.next()?;
        let flush = !matches!(frame, Frame::Row(..)) || rows.bytes >= COMMIT;
        if let Some(kind) = kind.filter(|_| flush) {
            let write = database.begin_write().map_err(|error| unwritable(&error))?;
            (kind.load)(&write, &std::mem::take(&mut rows)).map_err(|error| unwritable(&error))?;
            write.commit().map_err(|error| unwritable(&error))?;
        }
        match (frame, kind) {
            (Frame::Table { name, shape }, _) => kind = Some(frames.kind(&name, &shape)?),
            (Frame::Row(key, value), Some(_)) => rows.push(key, value),
            (Frame::Row(..), None) => return Err(frames.damaged("a row stands in no table")),
            (Frame::End, _) => return Ok(()),
        }
    }
}

/// How the rows of a table leave and enter a store.
struct Kind {
    name: &'static str,
    shape: fn() -> String,
    dump: fn(&ReadTransaction, &mut Sink) -> Result<()>,
    load: fn(&WriteTransaction, &Rows) -> Result<()>,
}

/// Rows on their way into a table.
#[derive(Default)]
struct Rows {
    rows: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Rows {
    fn push(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.bytes += key.len() + value.len();
        self.rows.push((key, value));
    }
}

macro_rules! kinds {
    ($($table:ident),* $(,)?) => {
        /// Every table. A store with one that is missing here refuses to be copied.
        const KINDS: &[Kind] = &[$(Kind {
            name: stringify!($table),
            shape: || shape_of(tables::$table),
            dump: |read, sink| dump(read, tables::$table, sink),
            load: |write, rows| load(write, tables::$table, rows),
        }),*];
    };
}

kinds![
    META,
    SETTINGS,
    ENDPOINTS,
    DOCUMENTS,
    JOBS,
    PLUGINS,
    COMPONENTS,
    COMPONENT_PARTS,
    EVENTS,
    SEQUENCES,
    PRODUCER_IDS,
    JOURNAL,
    DUE,
    BY_ENDPOINT,
    ORDINALS,
    POSTINGS,
    SPANS,
    TALLIES,
    STANDINGS,
    PENDING_SINCE,
    ERRORS,
    ERROR_TIMES,
    LINES,
    TURNS,
    HEADS,
    STORED_BYTES,
];

impl Kind {
    /// As the archive calls it.
    fn table(&self) -> String {
        self.name.to_ascii_lowercase()
    }
}

fn shape_of<K: Key + 'static, V: Value + 'static>(_: TableDefinition<'_, K, V>) -> String {
    format!("{} -> {}", K::type_name().name(), V::type_name().name())
}

fn dump<K, V>(read: &ReadTransaction, table: TableDefinition<'_, K, V>, sink: &mut Sink) -> Result<()>
where
    K: Key + 'static,
    V: Value + 'static,
{
    let rows = match read.open_table(table) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(()),
        opened => opened.map_err(io)?,
    };
    for row in rows.iter().map_err(io)? {
        let (key, value) = row.map_err(io)?;
        sink.row(K::as_bytes(&key.value()).as_ref(), V::as_bytes(&value.value()).as_ref())?;
    }
    Ok(())
}

fn load<K, V>(write: &WriteTransaction, table: TableDefinition<'_, K, V>, rows: &Rows) -> Result<()>
where
    K: Key + 'static,
    V: Value + 'static,
{
    let mut table = write.open_table(table).map_err(io)?;
    for (key, value) in &rows.rows {
        table.insert(K::from_bytes(key), V::from_bytes(value)).map_err(io)?;
    }
    Ok(())
}

/// Gives all rows of the store away, as of now.
pub(super) fn give_away(
    shared: &Shared,
    label: &[u8],
    chunks: &mpsc::Sender<Result<Bytes>>,
    patience: Duration,
    runtime: &Handle,
) -> Result<()> {
    let read = shared.database()?.begin_read().map_err(io)?;
    check_tables(&read)?;
    let mut sink = Sink {
        shared,
        chunks,
        patience,
        runtime,
        buffer: Vec::with_capacity(CHUNK),
        hasher: Sha256::new(),
        rows: 0,
    };
    sink.put(MAGIC);
    sink.put(&VERSION.to_be_bytes());
    sink.cell(&label[..label.len().min(LABEL_LIMIT as usize)])?;
    for kind in KINDS {
        sink.put(&[TABLE]);
        sink.cell(kind.table().as_bytes())?;
        sink.cell((kind.shape)().as_bytes())?;
        (kind.dump)(&read, &mut sink)?;
    }
    sink.end()
}

/// A table that nobody thought of would be missing in every backup.
pub(super) fn check_tables(read: &ReadTransaction) -> Result<()> {
    let known: Vec<String> = KINDS.iter().map(Kind::table).collect();
    let tables = read.list_tables().map_err(io)?.map(|table| table.name().to_owned());
    let multimaps = read.list_multimap_tables().map_err(io)?;
    let multimaps = multimaps.map(|table| redb::MultimapTableHandle::name(&table).to_owned());
    match tables.chain(multimaps).find(|name| !known.contains(name)) {
        Some(name) => {
            Err(StoreError::Unavailable(format!("a backup or a copy would not hold the table `{name}`")))
        }
        None => Ok(()),
    }
}

/// Where rows go on their way out.
struct Sink<'a> {
    shared: &'a Shared,
    chunks: &'a mpsc::Sender<Result<Bytes>>,
    patience: Duration,
    runtime: &'a Handle,
    buffer: Vec<u8>,
    hasher: Sha256,
    rows: u64,
}

impl Sink<'_> {
    fn row(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.rows += 1;
        self.put(&[ROW]);
        self.cell(key)?;
        self.cell(value)?;
        if self.buffer.len() >= CHUNK { self.send() } else { Ok(()) }
    }

    fn cell(&mut self, bytes: &[u8]) -> Result<()> {
        let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= CELL_LIMIT);
        let length = length.ok_or_else(|| StoreError::Corrupt("a row is too large".to_owned()))?;
        self.put(&length.to_be_bytes());
        self.put(bytes);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    fn end(mut self) -> Result<()> {
        self.put(&[END]);
        let rows = self.rows.to_be_bytes();
        self.put(&rows);
        self.hasher.update(&self.buffer);
        let digest: [u8; DIGEST] = self.hasher.finalize_reset().into();
        self.put(&digest);
        self.send()
    }

    /// Waits for room, since the whole store has none in memory. A taker who takes nothing is not waited for: what
    /// this reads cannot be reused in the file meanwhile. Nor is a store that has to be opened anew.
    fn send(&mut self) -> Result<()> {
        self.shared.database()?;
        self.hasher.update(&self.buffer);
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK)));
        let (chunks, patience) = (self.chunks, self.patience);
        match self.runtime.block_on(async { tokio::time::timeout(patience, chunks.send(Ok(chunk))).await }) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(StoreError::Unavailable("whoever asked for the backup went away".to_owned())),
            Err(_) => Err(StoreError::Unavailable(format!(
                "whoever asked for the backup took nothing for {:?} (server.backup_stall_timeout)",
                self.patience
            ))),
        }
    }
}

enum Frame {
    Table { name: String, shape: String },
    Row(Vec<u8>, Vec<u8>),
    End,
}

/// An archive that is read.
struct Frames {
    file: PathBuf,
    input: BufReader<File>,
}

impl Frames {
    fn open(file: &Path) -> std::result::Result<Self, ArchiveError> {
        let opened =
            File::open(file).map_err(|source| ArchiveError::Unreadable { file: file.to_owned(), source })?;
        let mut input = BufReader::with_capacity(CHUNK, opened);
        head(&mut input, file)?;
        Ok(Self { file: file.to_owned(), input })
    }

    fn next(&mut self) -> std::result::Result<Frame, ArchiveError> {
        let [tag] = self.read(array)?;
        match tag {
            TABLE => Ok(Frame::Table { name: self.text()?, shape: self.text()? }),
            ROW => {
                let key = self.read(|input| cell(input, CELL_LIMIT))?;
                Ok(Frame::Row(key, self.read(|input| cell(input, CELL_LIMIT))?))
            }
            END => Ok(Frame::End),
            _ => Err(self.damaged("it holds something that is neither table nor row")),
        }
    }

    fn text(&mut self) -> std::result::Result<String, ArchiveError> {
        let bytes = self.read(|input| cell(input, NAME_LIMIT))?;
        String::from_utf8(bytes).map_err(|_| self.damaged("the name of a table is no text"))
    }

    fn read<T>(
        &mut self,
        read: impl FnOnce(&mut BufReader<File>) -> io::Result<T>,
    ) -> std::result::Result<T, ArchiveError> {
        read(&mut self.input).map_err(|error| self.damaged(&error.to_string()))
    }

    fn kind(&self, name: &str, shape: &str) -> std::result::Result<&'static Kind, ArchiveError> {
        let kind = KINDS.iter().find(|kind| kind.table() == name && (kind.shape)() == shape);
        kind.ok_or_else(|| self.damaged(&format!("its table `{name}` ({shape}) is none of this version")))
    }

    fn damaged(&self, reason: &str) -> ArchiveError {
        ArchiveError::Damaged { file: self.file.clone(), reason: reason.to_owned() }
    }
}

/// Reads up to the first table, and answers the label.
fn head(input: &mut BufReader<File>, file: &Path) -> std::result::Result<Vec<u8>, ArchiveError> {
    let foreign = |_| ArchiveError::Foreign { file: file.to_owned() };
    let magic: [u8; MAGIC.len()] = array(input).map_err(foreign)?;
    if magic != MAGIC {
        return Err(ArchiveError::Foreign { file: file.to_owned() });
    }
    let damaged =
        |error: io::Error| ArchiveError::Damaged { file: file.to_owned(), reason: error.to_string() };
    let found = u32::from_be_bytes(array(input).map_err(damaged)?);
    if found > VERSION {
        return Err(ArchiveError::Newer { file: file.to_owned(), found });
    }
    cell(input, LABEL_LIMIT).map_err(damaged)
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Takes no more memory than there are bytes to read.
fn cell(input: &mut impl Read, limit: u32) -> io::Result<Vec<u8>> {
    let length = u32::from_be_bytes(array(input)?);
    if length > limit {
        return Err(io::Error::other("a length in it is out of bounds"));
    }
    let mut bytes = Vec::new();
    match input.take(length.into()).read_to_end(&mut bytes)? == length as usize {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Begins to give the store away, off the async threads. `permit` is held until that has ended.
pub(super) fn begin(
    shared: Arc<Shared>,
    label: Vec<u8>,
    patience: Duration,
    permit: tokio::sync::OwnedSemaphorePermit,
) -> mpsc::Receiver<Result<Bytes>> {
    let (chunks, taken) = mpsc::channel(CHUNKS);
    let runtime = Handle::current();
    tokio::task::spawn_blocking(move || {
        let _permit = permit;
        if let Err(error) = give_away(&shared, &label, &chunks, patience, &runtime) {
            tracing::warn!(%error, "a backup was broken off");
            // So that nobody takes what there is for the whole. No room for it means that nobody takes anything.
            let _ = chunks.try_send(Err(error));
        }
    });
    taken
}

/// All that there are.
#[cfg(test)]
pub(super) fn table_names() -> Vec<String> {
    KINDS.iter().map(Kind::table).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Backup as _, Copying, Settings as _};

    struct Folder(PathBuf);

    impl Folder {
        fn new() -> Self {
            let folder = std::env::temp_dir().join(format!("hookwright-archive-{:x}", rand::random::<u64>()));
            std::fs::create_dir_all(&folder).unwrap();
            Self(folder)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn store(&self, name: &str) -> RedbStore {
            RedbStore::open(&self.file(name), Options::default()).unwrap()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    async fn begun(store: &RedbStore, patience: Duration) -> mpsc::Receiver<Result<Bytes>> {
        match store.backup(b"the label".to_vec(), patience).await.unwrap() {
            Copying::Begun(chunks) => chunks,
            other => panic!("{other:?}"),
        }
    }

    async fn save(store: &RedbStore, file: &Path) {
        let mut chunks = begun(store, PATIENCE).await;
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            whole.extend_from_slice(&chunk.unwrap());
        }
        std::fs::write(file, whole).unwrap();
    }

    /// Rows that fill many chunks and several commits.
    async fn fill(store: &RedbStore) {
        for number in 0..24u32 {
            let value = vec![number as u8; 1 << 20];
            store.put_setting(&format!("setting {number}"), value).await.unwrap();
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_restored_is_what_there_was_when_it_began() {
        let folder = Folder::new();
        let store = folder.store("one.redb");
        fill(&store).await;
        let mut chunks = begun(&store, PATIENCE).await;
        let mut whole = chunks.recv().await.unwrap().unwrap().to_vec();
        // The store goes on meanwhile; what it takes on now is not in the copy.
        assert!(matches!(store.backup(Vec::new(), PATIENCE).await.unwrap(), Copying::UnderWay));
        store.put_setting("late", vec![1]).await.unwrap();
        while let Some(chunk) = chunks.recv().await {
            let chunk = chunk.unwrap();
            assert!(chunk.len() < 2 * (1 << 20), "memory is bounded");
            whole.extend_from_slice(&chunk);
        }
        let archive = folder.file("backup");
        std::fs::write(&archive, whole).unwrap();
        let summary = restore(&archive, &folder.file("two.redb")).unwrap();
        assert_eq!(summary, check(&archive).unwrap());
        assert_eq!(summary.label, b"the label");
        assert!(summary.rows >= 24);
        let two = folder.store("two.redb");
        for number in 0..24u32 {
            let value = two.setting(&format!("setting {number}")).await.unwrap().unwrap();
            assert!(value.len() == 1 << 20 && value.iter().all(|byte| *byte == number as u8));
        }
        assert_eq!(two.setting("late").await.unwrap(), None);
        assert!(!folder.file("two.redb.part").exists());
        let exists = restore(&archive, &folder.file("two.redb")).unwrap_err();
        assert!(matches!(exists, ArchiveError::Exists { .. }), "{exists}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_archive_that_is_not_whole_is_refused_wherever_it_is_hurt() {
        let folder = Folder::new();
        let store = folder.store("one.redb");
        store.put_setting("a", vec![7; 300]).await.unwrap();
        let archive = folder.file("backup");
        save(&store, &archive).await;
        let good = std::fs::read(&archive).unwrap();
        let hurt = |bytes: &[u8]| {
            std::fs::write(&archive, bytes).unwrap();
            let error = restore(&archive, &folder.file("two.redb")).unwrap_err();
            assert!(!folder.file("two.redb").exists() && !folder.file("two.redb.part").exists());
            error
        };
        for place in (0..good.len()).step_by(7) {
            let mut changed = good.clone();
            changed[place] ^= 1;
            hurt(&changed);
            hurt(&good[..place]);
        }
        assert!(matches!(hurt(b"something else"), ArchiveError::Foreign { .. }));
        let mut newer = good.clone();
        newer[MAGIC.len() + 3] = 2;
        assert!(matches!(hurt(&newer), ArchiveError::Newer { found: 2, .. }));
        // Forged: the checksum fits and the rows do not.
        let forged = |from: &[u8], to: &[u8]| {
            let at = memchr::memmem::find(&good, from).unwrap();
            let mut forged = good[..good.len() - DIGEST].to_vec();
            forged[at..at + to.len()].copy_from_slice(to);
            let digest = Sha256::digest(&forged);
            forged.extend_from_slice(&digest);
            hurt(&forged).to_string()
        };
        assert!(forged(b"settings", b"sittings").contains("`sittings`"));
        assert!(forged(b"watermark", b"\xff\xff\xff\xffmark").contains("a row in it is none"));
        std::fs::write(&archive, &good).unwrap();
        restore(&archive, &folder.file("two.redb")).unwrap();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_taker_that_takes_nothing_is_not_waited_for() {
        let folder = Folder::new();
        let store = folder.store("one.redb");
        fill(&store).await;
        let mut idle = begun(&store, Duration::from_millis(50)).await;
        // Its permit is free once it has given up, so the next one can begin.
        let next = async {
            loop {
                match store.backup(Vec::new(), PATIENCE).await.unwrap() {
                    Copying::UnderWay => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => return other,
                }
            }
        };
        let next = tokio::time::timeout(PATIENCE, next).await.unwrap();
        assert!(matches!(next, Copying::Begun(_)));
        let mut whole = 0;
        while let Some(Ok(chunk)) = idle.recv().await {
            whole += chunk.len();
        }
        assert!(whole < 24 << 20, "the idle one has only what waited for it: {whole}");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_table_is_forgotten() {
        let folder = Folder::new();
        drop(folder.store("one.redb"));
        let database = Database::open(folder.file("one.redb")).unwrap();
        check_tables(&database.begin_read().unwrap()).unwrap();
        let write = database.begin_write().unwrap();
        write.open_table(TableDefinition::<u64, u64>::new("new")).unwrap();
        write.commit().unwrap();
        let error = check_tables(&database.begin_read().unwrap()).unwrap_err();
        assert!(error.to_string().contains("`new`"), "{error}");
    }
}
