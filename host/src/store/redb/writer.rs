//! The one writer: many requests, one commit.
//!
//! Requests queue up while a commit is on its way to the disk and go into the next one together. Each changes the
//! tables and the desk; a failed one takes the whole commit with it, so a request checks before it writes, and
//! after a failure the desk is made anew from the file.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use redb::{Database, Durability};
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, info};

use crate::store::{Result, StoreError};
use crate::time::Timestamp;

use super::counters::{self, Gathered};
use super::desk::Desk;
use super::tables::{META_NEXT_SEQUENCE, META_WATERMARK, Tables};
use super::{Shared, index, io, lines, queue};

/// Most requests that wait for the writer; more wait for their turn to wait.
const QUEUE_LENGTH: usize = 16_384;
/// Most requests in one commit.
const BATCH_LENGTH: usize = 1_024;
/// A commit of so many requests shows that many come.
const BUSY_LENGTH: usize = 48;
/// How long the writer then waits for more before it begins the next commit, and how often it does so while more come.
const PAUSE: Duration = Duration::from_micros(300);
const MOST_PAUSES: usize = 4;
/// How often the writer looks for deliveries that have waited without a row for too long.
const TICK: Duration = Duration::from_millis(250);
/// Pause between attempts to open the file again after a failure.
const REOPEN_PAUSE: Duration = Duration::from_secs(1);

/// One commit in the making.
pub struct Txn<'a> {
    pub tables: Tables<'a>,
    pub desk: &'a mut Desk,
    pub now: Timestamp,
    pub attempts_kept: u32,
    pub gathered: Gathered,
}

type Reply = Box<dyn FnOnce() + Send>;
type Work = Box<dyn FnOnce(&mut Txn<'_>) -> Result<Reply> + Send>;

#[derive(Debug)]
pub struct Writer {
    sender: Option<Sender<Work>>,
    permits: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(shared: Arc<Shared>) -> std::io::Result<Self> {
        let (sender, receiver) = channel();
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&shared, &receiver))?;
        let permits = Arc::new(Semaphore::new(QUEUE_LENGTH));
        Ok(Self { sender: Some(sender), permits, thread: Some(thread) })
    }

    /// Finishes what was submitted, then joins.
    pub fn stop(&mut self) {
        self.sender.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    /// Runs `work` in the next commit and answers once that is on disk.
    pub async fn submit<T, F>(&self, shared: &Shared, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Txn<'_>) -> Result<T> + Send + 'static,
    {
        let permit = self.permits.clone().acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |txn| {
            let value = work(txn)?;
            Ok(Box::new(move || {
                drop(permit);
                let _ = reply.send(value);
            }))
        });
        self.sender.as_ref().ok_or(StoreError::Closed)?.send(work).map_err(|_| StoreError::Closed)?;
        // A reply that is dropped means that its commit failed.
        answer.await.map_err(|_| shared.failure())
    }
}

fn run(shared: &Shared, receiver: &Receiver<Work>) {
    let mut busy = false;
    loop {
        let batch = match receiver.recv_timeout(TICK) {
            Ok(first) => gather(first, receiver, busy),
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return,
        };
        busy = batch.len() >= BUSY_LENGTH;
        match commit(shared, batch) {
            Ok(replies) => replies.into_iter().for_each(|reply| reply()),
            Err(closed) => reopen(shared, closed, receiver),
        }
    }
}

/// The requests of the next commit. A commit costs as much as dozens of requests, so where many come, the writer
/// waits for more, for as long as more come.
#[expect(
    clippy::disallowed_methods,
    reason = "the thread is the writer's own, and to be woken by each request would cost more"
)]
fn gather(first: Work, receiver: &Receiver<Work>, busy: bool) -> Vec<Work> {
    let mut batch: Vec<Work> = std::iter::once(first).chain(receiver.try_iter()).take(BATCH_LENGTH).collect();
    if !busy {
        return batch;
    }
    for _ in 0..MOST_PAUSES {
        std::thread::sleep(PAUSE);
        let before = batch.len();
        batch.extend(receiver.try_iter().take(BATCH_LENGTH - before));
        if batch.len() == before || batch.len() == BATCH_LENGTH {
            break;
        }
    }
    batch
}

/// Commits under the desk's lock. After a failure the store is closed before the lock is given up.
fn commit(shared: &Shared, batch: Vec<Work>) -> std::result::Result<Vec<Reply>, Option<Arc<Database>>> {
    let mut desk = shared.desk();
    // A request that panics must not take the store with it.
    let committed = catch_unwind(AssertUnwindSafe(|| commit_locked(shared, &mut desk, batch)))
        .unwrap_or_else(|_| Err(StoreError::Unavailable("a request panicked".to_owned())));
    shared.count(&desk);
    committed.map_err(|failure| {
        error!(error = %failure, "a commit failed; the store is opened again");
        shared.fail(failure);
        shared.close()
    })
}

fn commit_locked(shared: &Shared, desk: &mut Desk, batch: Vec<Work>) -> Result<Vec<Reply>> {
    let now = shared.options.clock.now();
    if batch.is_empty() && !queue::has_aged(desk, now, shared.options.row_after) && !lines::break_up(desk) {
        return Ok(Vec::new());
    }
    let database = shared.database()?;
    let mut write = database.begin_write().map_err(io)?;
    write.set_durability(Durability::Immediate).map_err(io)?;
    let (tables, attempts_kept) = (Tables::open(&write)?, shared.options.attempts_kept);
    let mut txn = Txn { tables, desk, now, attempts_kept, gathered: Gathered::default() };
    let replies = batch.into_iter().map(|work| work(&mut txn)).collect::<Result<Vec<_>>>()?;
    queue::give_rows(&mut txn, shared.options.row_after)?;
    lines::dissolve(&mut txn)?;
    counters::flush(&mut txn)?;
    index::flush(&mut txn)?;
    note_progress(&mut txn)?;
    drop(txn);
    write.commit().map_err(io)?;
    Ok(replies)
}

fn note_progress(txn: &mut Txn<'_>) -> Result<()> {
    let meta = &mut txn.tables.meta;
    meta.insert(META_NEXT_SEQUENCE, txn.desk.next_sequence).map_err(io)?;
    meta.insert(META_WATERMARK, txn.desk.watermark()).map_err(io)?;
    Ok(())
}

/// Opens the file again, refusing meanwhile what is asked for.
fn reopen(shared: &Shared, mut closed: Option<Arc<Database>>, receiver: &Receiver<Work>) {
    loop {
        match shared.reopen(&mut closed) {
            Ok(()) => return info!("the store is open again"),
            Err(failure) => shared.fail(failure),
        }
        let end = std::time::Instant::now() + REOPEN_PAUSE;
        while let Some(left) = end.checked_duration_since(std::time::Instant::now()) {
            match receiver.recv_timeout(left) {
                Ok(refused) => drop(refused),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }
}
