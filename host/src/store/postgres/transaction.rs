//! One call, one transaction: begun under the store's lock, tried again where others were in the way, and given up at
//! its deadline.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deadpool_postgres::Object;
use futures_util::future::{MaybeDone, maybe_done};
use futures_util::poll;
use tokio::sync::Notify;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Row, Statement};
use tracing::warn;

use crate::store::{Result, StoreError};

use super::Options;
use super::connection::{Pool, describe};
use super::days::{self, Day};

/// Writers of counts.
pub const SHARDS: i16 = 16;
/// The number of the lock of housekeeping, which one host does at a time.
pub const HOUSEKEEPING: i16 = 100;
/// How often a transaction is tried that others were in the way of.
const MOST_TRIES: usize = 8;

/// What all calls of a store share.
#[derive(Debug)]
pub struct Shared {
    pub options: Options,
    /// The shards that this store's appends and settlements count in.
    pub append_shard: i16,
    pub settle_shard: i16,
    /// Told of each transaction that changed counts.
    pub counted: Notify,
    pool: Pool,
    /// The number of the store's lock; the next ones are those of its shards.
    lock: i64,
}

/// How a transaction holds the store's lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// Beside others that hold it together.
    Together,
    /// While nobody else changes anything.
    Alone,
    /// Not at all: what is changed bears everything else.
    Free,
    /// Not at all: everything is read as of one moment.
    Snapshot,
}

pub type Done<T> = std::result::Result<T, Fault>;

#[derive(Debug)]
pub enum Fault {
    /// Others were in the way: the same again can succeed.
    InTheWay(String),
    /// What was to be written is of a day without partitions.
    NoPartition,
    Store(StoreError),
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Store(error)
    }
}

impl From<tokio_postgres::Error> for Fault {
    fn from(error: tokio_postgres::Error) -> Self {
        let text = describe(&error);
        match error.code() {
            Some(code)
                if [
                    SqlState::T_R_DEADLOCK_DETECTED,
                    SqlState::T_R_SERIALIZATION_FAILURE,
                    // What was sent behind one of those, and is heard of first.
                    SqlState::IN_FAILED_SQL_TRANSACTION,
                ]
                .contains(code) =>
            {
                Fault::InTheWay(text)
            }
            // A check of a row has a name.
            Some(code) if *code == SqlState::CHECK_VIOLATION && constraint(&error).is_none() => {
                Fault::NoPartition
            }
            _ => Fault::Store(StoreError::Unavailable(format!("the database failed: {text}"))),
        }
    }
}

fn constraint(error: &tokio_postgres::Error) -> Option<&str> {
    error.as_db_error().and_then(|error| error.constraint())
}

impl Fault {
    pub fn error(self) -> StoreError {
        match self {
            Fault::InTheWay(text) => StoreError::Unavailable(format!("others were in the way: {text}")),
            Fault::NoPartition => {
                StoreError::Unavailable("the database has no room for such a day".to_owned())
            }
            Fault::Store(error) => error,
        }
    }
}

impl Shared {
    pub async fn new(pool: Pool, options: Options) -> Result<Self> {
        let lock = {
            let client = pool.take().await?;
            let row = client
                .query_one(include_str!("sql/lock_number.sql"), &[])
                .await
                .map_err(|error| Fault::from(error).error())?;
            row.try_get("number").map_err(|error| Fault::from(error).error())?
        };
        let append_shard = rand::random_range(0..SHARDS / 2) * 2;
        Ok(Self { options, append_shard, settle_shard: append_shard + 1, counted: Notify::new(), pool, lock })
    }

    /// The number of the store's lock.
    pub fn number(&self) -> i64 {
        self.lock
    }

    /// Runs `work` in a transaction and commits it.
    pub async fn transact<T, F>(&self, lock: Lock, work: impl Fn(Arc<Transaction>) -> F) -> Result<T>
    where
        F: Future<Output = Done<T>>,
    {
        let tries = async {
            let mut tries = 1;
            loop {
                match self.attempt(lock, &work).await {
                    Err(Fault::InTheWay(text)) if tries < MOST_TRIES => {
                        warn!(%text, tries, "a transaction is tried again");
                        tries += 1;
                    }
                    done => return done.map_err(Fault::error),
                }
            }
        };
        tokio::time::timeout(self.options.deadline, tries).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable("the database did not answer in time".to_owned()))
        })
    }

    async fn attempt<T, F>(&self, lock: Lock, work: impl Fn(Arc<Transaction>) -> F) -> Done<T>
    where
        F: Future<Output = Done<T>>,
    {
        let transaction = Arc::new(Transaction::new(self.pool.take().await?, lock, self.lock));
        let done = match work(transaction.clone()).await {
            Ok(answer) => transaction.commit().await.map(|()| answer),
            Err(fault) => Err(fault),
        };
        match done {
            Ok(answer) => {
                if transaction.counts.load(Ordering::Relaxed) {
                    self.counted.notify_one();
                }
                Ok(answer)
            }
            Err(fault) => {
                let _ = transaction.take_back().await;
                let days = transaction.days();
                drop(transaction);
                match fault {
                    Fault::NoPartition if !days.is_empty() => {
                        days::make(self, &days).await?;
                        Err(Fault::InTheWay("a day had no partitions yet".to_owned()))
                    }
                    fault => Err(fault),
                }
            }
        }
    }

    /// A connection that is used otherwise than for one transaction.
    pub async fn connection(&self) -> Result<Object> {
        self.pool.take().await
    }

    /// What a lock of the store with this number is in the database.
    pub fn key(&self, number: i16) -> i64 {
        self.lock + 1 + i64::from(number)
    }
}

/// One that is under way. Where it is dropped before its end, its connection is closed, and with it the transaction.
///
/// What nobody has to hear the answer of waits until something else is asked for, or for the end, and goes to the
/// database with it at once: a transaction takes as many journeys there and back as it asks questions.
#[derive(Debug)]
pub struct Transaction {
    client: Option<Object>,
    ended: AtomicBool,
    lock: i64,
    /// Those that it gives places in.
    days: Mutex<Vec<Day>>,
    waiting: Mutex<Vec<Waiting>>,
    counts: AtomicBool,
    /// Something failed, or what waited was lost on its way: nothing may follow it, least of all a commit.
    broken: AtomicBool,
    /// Flights whose answers were not all heard.
    unheard: AtomicUsize,
    /// Held by whoever sends, so that each statement is sent in its turn.
    sending: tokio::sync::Mutex<()>,
}

/// What is sent with the next statement.
#[derive(Debug)]
enum Waiting {
    /// Begins the transaction.
    Begin(String),
    Change(&'static str, Vec<Value>),
}

/// A value of a statement that waits.
pub type Value = Box<dyn ToSql + Sync + Send>;

impl Transaction {
    fn new(client: Object, lock: Lock, number: i64) -> Self {
        let begin = match lock {
            Lock::Together => format!("BEGIN; SELECT pg_advisory_xact_lock_shared({number})"),
            Lock::Alone => format!("BEGIN; SELECT pg_advisory_xact_lock({number})"),
            Lock::Free => "BEGIN".to_owned(),
            // What is asked for differs too much for one plan.
            Lock::Snapshot => "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
                               SET LOCAL plan_cache_mode = force_custom_plan"
                .to_owned(),
        };
        Self {
            client: Some(client),
            // Until something is sent, there is nothing to end.
            ended: AtomicBool::new(true),
            lock: number,
            days: Mutex::default(),
            waiting: Mutex::new(vec![Waiting::Begin(begin)]),
            counts: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            unheard: AtomicUsize::new(0),
            sending: tokio::sync::Mutex::default(),
        }
    }

    async fn commit(&self) -> Done<()> {
        if !self.has_begun() && !self.has_changes() {
            return Ok(());
        }
        if self.unheard.load(Ordering::Relaxed) > 0 {
            return Err(Fault::Store(StoreError::Closed));
        }
        // Where something that goes before it fails, the database takes everything back.
        self.ask(Ask::Run("COMMIT")).await?;
        self.ended.store(true, Ordering::Relaxed);
        Ok(())
    }

    async fn take_back(&self) -> Done<()> {
        if self.has_begun() {
            self.client()?.batch_execute("ROLLBACK").await?;
            self.ended.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    fn has_begun(&self) -> bool {
        !self.ended.load(Ordering::Relaxed)
    }

    fn client(&self) -> Done<&Object> {
        self.client.as_ref().ok_or(Fault::Store(StoreError::Closed))
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_changes(&self) -> bool {
        self.waiting().iter().any(|waiting| matches!(waiting, Waiting::Change(..)))
    }

    /// Waits for a lock of the store that is held until the end of the transaction: a shard's, or another number from
    /// [`SHARDS`] on.
    pub async fn hold(&self, number: i16) -> Done<()> {
        let key = self.lock + 1 + i64::from(number);
        self.query("SELECT pg_advisory_xact_lock($1)", &[&key]).await?;
        Ok(())
    }

    /// Takes such a lock unless somebody else has it.
    pub async fn try_hold(&self, number: i16) -> Done<bool> {
        let key = self.lock + 1 + i64::from(number);
        Ok(self.one("SELECT pg_try_advisory_xact_lock($1) AS mine", &[&key]).await?.try_get("mine")?)
    }

    /// Where these days have no partitions, they are made and the transaction is tried again.
    pub fn gives_places_in(&self, days: [Day; 2]) {
        self.days.lock().unwrap_or_else(PoisonError::into_inner).extend(days);
    }

    /// In their order.
    fn days(&self) -> Vec<Day> {
        let mut days = self.days.lock().unwrap_or_else(PoisonError::into_inner).clone();
        days.sort();
        days.dedup();
        days
    }

    /// It changes counts.
    pub fn counts(&self) {
        self.counts.store(true, Ordering::Relaxed);
    }

    /// A change that nobody has to wait for. Where it fails, whatever is asked for next fails, or the transaction.
    pub fn later(&self, sql: &'static str, values: Vec<Value>) {
        self.waiting().push(Waiting::Change(sql, values));
    }

    /// A statement without values, of which there is no plan to keep.
    pub async fn run(&self, sql: &str) -> Done<()> {
        self.ask(Ask::Run(sql)).await.map(drop)
    }

    /// As [`Transaction::query`], where there will be no such statement again.
    pub async fn query_once(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Done<Vec<Row>> {
        Ok(self.ask(Ask::Once(sql, values)).await?.rows)
    }

    pub async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Done<Vec<Row>> {
        Ok(self.ask(Ask::Rows(sql, values)).await?.rows)
    }

    /// The one row that a statement answers.
    pub async fn one(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Done<Row> {
        let row = self.query(sql, values).await?.pop();
        row.ok_or_else(|| Fault::Store(StoreError::Corrupt("a statement answered no row".to_owned())))
    }

    /// The number of rows that it changed.
    pub async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Done<u64> {
        Ok(self.ask(Ask::Change(sql, values)).await?.changed)
    }

    /// Sends what waits, and this behind it.
    async fn ask(&self, ask: Ask<'_>) -> Done<Answer> {
        let turn = self.sending.lock().await;
        if self.broken.load(Ordering::Relaxed) {
            return Err(Fault::Store(StoreError::Closed));
        }
        let mut flight = Flight { transaction: self, is_sent: false };
        // From here on the connection may have something under way.
        self.ended.store(false, Ordering::Relaxed);
        let client = self.client()?;
        let waiting = std::mem::take(&mut *self.waiting());
        let values: Vec<Vec<&(dyn ToSql + Sync)>> = waiting.iter().map(Waiting::values).collect();
        let asks = waiting.iter().zip(&values).map(|(waiting, values)| waiting.ask(values));
        // All are prepared before the first is sent, so that they go one right behind the other.
        let mut prepared = Vec::with_capacity(waiting.len() + 1);
        for ask in asks.chain([ask]) {
            prepared.push(Prepared::by(client, ask).await?);
        }
        let number = prepared.len();
        let mut sent = Vec::with_capacity(number);
        for prepared in prepared {
            let mut request = Box::pin(maybe_done(prepared.perform(client)));
            // A request is sent at its first poll. Behind one that could not be sent none may follow.
            let _ = poll!(&mut request);
            let failed = matches!(&*request, MaybeDone::Done(Err(_)));
            sent.push(request);
            if failed {
                break;
            }
        }
        flight.is_sent = sent.len() == number;
        self.unheard.fetch_add(1, Ordering::Relaxed);
        drop((flight, turn));
        let mut last = Answer::default();
        for mut request in sent {
            request.as_mut().await;
            // The first failure is why those behind it failed.
            match request.as_mut().take_output() {
                Some(Ok(answer)) => last = answer,
                Some(Err(error)) => {
                    self.broken.store(true, Ordering::Relaxed);
                    return Err(error.into());
                }
                None => {}
            }
        }
        self.unheard.fetch_sub(1, Ordering::Relaxed);
        Ok(last)
    }
}

/// Statements on their way. Where not all of them are sent, nothing may follow.
struct Flight<'a> {
    transaction: &'a Transaction,
    is_sent: bool,
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        if !self.is_sent {
            self.transaction.broken.store(true, Ordering::Relaxed);
        }
    }
}

impl Waiting {
    fn values(&self) -> Vec<&(dyn ToSql + Sync)> {
        match self {
            Waiting::Begin(_) => Vec::new(),
            Waiting::Change(_, values) => {
                values.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect()
            }
        }
    }

    fn ask<'a>(&'a self, values: &'a [&'a (dyn ToSql + Sync)]) -> Ask<'a> {
        match self {
            Waiting::Begin(sql) => Ask::Run(sql),
            Waiting::Change(sql, _) => Ask::Change(sql, values),
        }
    }
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Run(&'a str),
    Once(&'a str, &'a [&'a (dyn ToSql + Sync)]),
    Rows(&'a str, &'a [&'a (dyn ToSql + Sync)]),
    Change(&'a str, &'a [&'a (dyn ToSql + Sync)]),
}

#[derive(Default)]
struct Answer {
    rows: Vec<Row>,
    changed: u64,
}

/// What is sent, with its plan where it has one that is kept.
enum Prepared<'a> {
    Run(&'a str),
    Once(&'a str, &'a [&'a (dyn ToSql + Sync)]),
    Rows(Statement, &'a [&'a (dyn ToSql + Sync)]),
    Change(Statement, &'a [&'a (dyn ToSql + Sync)]),
}

impl<'a> Prepared<'a> {
    async fn by(client: &Object, ask: Ask<'a>) -> Done<Self> {
        Ok(match ask {
            Ask::Run(sql) => Self::Run(sql),
            Ask::Once(sql, values) => Self::Once(sql, values),
            Ask::Rows(sql, values) => Self::Rows(client.prepare_cached(sql).await?, values),
            Ask::Change(sql, values) => Self::Change(client.prepare_cached(sql).await?, values),
        })
    }

    async fn perform(self, client: &Object) -> std::result::Result<Answer, tokio_postgres::Error> {
        let mut answer = Answer::default();
        match self {
            Self::Run(sql) => client.batch_execute(sql).await?,
            Self::Once(sql, values) => answer.rows = client.query(sql, values).await?,
            Self::Rows(statement, values) => answer.rows = client.query(&statement, values).await?,
            Self::Change(statement, values) => answer.changed = client.execute(&statement, values).await?,
        }
        Ok(answer)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended.load(Ordering::Relaxed) {
            drop(self.client.take().map(Object::take));
        }
    }
}
