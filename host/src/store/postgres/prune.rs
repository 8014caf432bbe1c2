//! Retention: days that are over go whole, and what is left of others row by row.
//!
//! A day goes once nothing in it is pending and all in it ended long enough ago. It is marked first, so that nothing in
//! it is delivered again; then it is looked at once more, since a replay may have been faster. From when on it is
//! leaving, there is no way back: whichever host comes by takes the next step, each of which can be taken twice, but for
//! the last, which is one transaction with the counts.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::info;

use crate::event::Tenant;
use crate::store::redb::record;
use crate::store::{Pruned, Result, StoreError};
use crate::time::Timestamp;

use super::connection::describe;
use super::counters::{Gathered, Stored};
use super::days::{self, Day, PARTED};
use super::row::{big, places};
use super::transaction::{Done, HOUSEKEEPING, Lock, SHARDS, Shared, Transaction};

/// The counts of what retention takes away.
const SHARD: i16 = SHARDS - 1;
/// Names of producers that are made free in one commit.
const NAMES_AT_ONCE: i64 = 10_000;
/// How long a step about a whole day may take; nobody waits for it.
const PATIENCE: Duration = Duration::from_secs(600);
/// Whoever says nothing for so long does the work no more: another host takes it on.
const IDLE: Duration = Duration::from_secs(60);
/// What ended before its day began, by clocks that were set back further than this, goes with its day and not earlier.
const CLOCKS_SET_BACK: Duration = Duration::from_secs(7 * 86_400);
const LATE: &str = "the database did not answer in time";

/// The next step, unless another host is at it.
pub async fn step(shared: &Shared, before: Timestamp, limit: usize) -> Result<Pruned> {
    let begins = shared.transact(Lock::Free, |transaction| async move {
        let row = transaction.one(include_str!("sql/pruned_to.sql"), &[]).await?;
        Ok(row.try_get::<_, i64>("pruned_to")? == 0)
    });
    if begins.await? {
        days::make_ahead(shared).await?;
        if let Some(pruned) = step_of_days(shared, before).await? {
            return Ok(pruned);
        }
    }
    step_of_rows(shared, before.minus(shared.options.whole_days), limit).await
}

/// `None` where no day is to go.
async fn step_of_days(shared: &Shared, before: Timestamp) -> Result<Option<Pruned>> {
    let Some(keeper) = Keeper::begin(shared).await? else {
        return Ok(Some(Pruned { done: true, ..Pruned::default() }));
    };
    let pruned = tokio::time::timeout(PATIENCE, keeper.step(before)).await;
    let pruned = pruned.unwrap_or_else(|_| Err(StoreError::Unavailable(LATE.to_owned())))?;
    keeper.end().await?;
    Ok(pruned)
}

/// Holds the lock of housekeeping, with the connection that changes tables.
struct Keeper<'a> {
    shared: &'a Shared,
    client: Option<Object>,
}

/// A day that is on its way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Leaving {
    day: Day,
    /// It was marked, but not looked at since.
    marked: bool,
}

impl<'a> Keeper<'a> {
    async fn begin(shared: &'a Shared) -> Result<Option<Self>> {
        let mut keeper = Self { shared, client: Some(shared.connection().await?) };
        let row = keeper.query("SELECT pg_try_advisory_lock($1) AS mine", &[&keeper.key()]).await?;
        let mine = row.first().map(|row| row.try_get::<_, bool>("mine")).transpose().map_err(fault)?;
        if mine != Some(true) {
            drop(keeper.client.take());
            return Ok(None);
        }
        keeper.patience(PATIENCE, shared.options.deadline).await?;
        keeper.change(&format!("SET idle_session_timeout = {}", IDLE.as_millis())).await?;
        Ok(Some(keeper))
    }

    async fn end(mut self) -> Result<()> {
        self.patience(self.shared.options.deadline, Duration::ZERO).await?;
        self.change("SET idle_session_timeout = 0").await?;
        self.query("SELECT pg_advisory_unlock($1)", &[&self.key()]).await?;
        drop(self.client.take());
        Ok(())
    }

    fn key(&self) -> i64 {
        self.shared.key(HOUSEKEEPING)
    }

    fn client(&self) -> Result<&Object> {
        self.client.as_ref().ok_or(StoreError::Closed)
    }

    async fn query(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        self.client()?.query(sql, values).await.map_err(fault)
    }

    async fn execute(&self, sql: &str, values: &[&(dyn ToSql + Sync)]) -> Result<u64> {
        self.client()?.execute(sql, values).await.map_err(fault)
    }

    /// How long a statement may take, and wait for a lock.
    async fn patience(&self, statement: Duration, lock: Duration) -> Result<()> {
        let (statement, lock) = (statement.as_millis(), lock.as_millis());
        self.change(&format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}")).await
    }

    async fn change(&self, sql: &str) -> Result<()> {
        self.client()?.batch_execute(sql).await.map_err(fault)
    }

    async fn step(&self, before: Timestamp) -> Result<Option<Pruned>> {
        let leaving = match self.leaving().await? {
            Some(leaving) => Some(leaving),
            None => self.next(before).await?,
        };
        let Some(Leaving { day, marked }) = leaving else { return Ok(None) };
        if marked && !self.judge(day, before).await? {
            return Ok(Some(Pruned::default()));
        }
        self.take_away(day).await.map(Some)
    }

    async fn leaving(&self) -> Result<Option<Leaving>> {
        let rows = self.query(include_str!("sql/leaving_day.sql"), &[]).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let day = Day::numbered(row.try_get("day").map_err(fault)?);
        let marked = row.try_get::<_, &str>("stage").map_err(fault)? == "marked";
        Ok(Some(Leaving { day, marked }))
    }

    /// Marks the first day that may go.
    async fn next(&self, before: Timestamp) -> Result<Option<Leaving>> {
        let end = Day::at(before).number();
        for row in self.query(include_str!("sql/past_days.sql"), &[&end]).await? {
            let day = Day::numbered(row.try_get("day").map_err(fault)?);
            if !self.has_young(day, before).await? && self.mark(day).await? {
                return Ok(Some(Leaving { day, marked: true }));
            }
        }
        Ok(None)
    }

    async fn has_young(&self, day: Day, before: Timestamp) -> Result<bool> {
        let sql = of_parts(include_str!("sql/day_has_young.sql"), day);
        let rows = self.query(&sql, &[&before.as_micros()]).await?;
        let found = rows.first().map(|row| row.try_get("found")).transpose().map_err(fault)?;
        Ok(found.unwrap_or_default())
    }

    /// From now on there are no new events in it, and what is in it is not found by its id. False where something in it
    /// is pending after all.
    async fn mark(&self, day: Day) -> Result<bool> {
        let work = |transaction: Arc<Transaction>| async move {
            // Whoever appends has done so, or does it behind this day.
            transaction.execute(include_str!("sql/pass_day.sql"), &[&day.number()]).await?;
            Ok(transaction.execute(include_str!("sql/mark_day.sql"), &[&day.number()]).await? > 0)
        };
        self.shared.transact(Lock::Together, work).await
    }

    /// Whether it goes for good. Where something in it is to be kept, it stays as it was.
    async fn judge(&self, day: Day, before: Timestamp) -> Result<bool> {
        let goes = !self.has_young(day, before).await?;
        let stage = if goes { "leaving" } else { "kept" };
        let sql = include_str!("sql/judge_day.sql");
        self.execute(sql, &[&day.number(), &stage]).await?;
        Ok(goes)
    }

    /// Some of its names, or all that is left of it.
    async fn take_away(&self, day: Day) -> Result<Pruned> {
        let sequences = day.sequences();
        let values: [&(dyn ToSql + Sync); 3] = [sequences.start(), sequences.end(), &NAMES_AT_ONCE];
        let freed = self.execute(include_str!("sql/free_names.sql"), &values).await?;
        if freed == NAMES_AT_ONCE.unsigned_abs() {
            return Ok(Pruned::default());
        }
        for (table, _) in PARTED {
            self.drop_part(table, &day.part(table)).await?;
        }
        let pruned = self.forget(day).await?;
        let Pruned { events, deliveries, .. } = pruned;
        info!(
            part = day.part("events"),
            events, deliveries, "dropped a day that is older than the retention"
        );
        Ok(pruned)
    }

    /// Nobody waits for it, but that it waits for whoever reads the table.
    async fn drop_part(&self, table: &str, part: &str) -> Result<()> {
        let fill = |sql: &str| sql.replace("{part}", part).replace("{table}", table);
        let rows = self.query(include_str!("sql/part_state.sql"), &[&part, &table]).await?;
        match rows.first().map(|row| row.try_get("detaching")).transpose().map_err(fault)? {
            None => {}
            Some(false) => self.change(&fill(include_str!("sql/detach_part.sql"))).await?,
            // It was begun, and cut off.
            Some(true) => self.change(&fill(include_str!("sql/finish_detach_part.sql"))).await?,
        }
        self.change(&fill(include_str!("sql/drop_part.sql"))).await
    }

    async fn forget(&self, day: Day) -> Result<Pruned> {
        let work = |transaction: Arc<Transaction>| async move {
            let day = day.number();
            if transaction.execute(include_str!("sql/forget_day.sql"), &[&day]).await? == 0 {
                return Ok(Pruned::default());
            }
            let row = transaction.one(include_str!("sql/forget_stored.sql"), &[&day]).await?;
            let (events, deliveries): (i64, i64) = (row.try_get("events")?, row.try_get("deliveries")?);
            let count = |number: i64| u64::try_from(number).unwrap_or_default();
            Ok(Pruned { events: count(events), deliveries: count(deliveries), done: false })
        };
        self.shared.transact(Lock::Together, work).await
    }
}

/// Where anything failed, the lock goes with the connection.
impl Drop for Keeper<'_> {
    fn drop(&mut self) {
        drop(self.client.take().map(Object::take));
    }
}

fn of_parts(sql: &str, day: Day) -> String {
    sql.replace("{deliveries}", &day.part("deliveries")).replace("{events}", &day.part("events"))
}

fn fault(error: tokio_postgres::Error) -> StoreError {
    StoreError::Unavailable(format!("the database failed: {}", describe(&error)))
}

/// Looks at the next events.
async fn step_of_rows(shared: &Shared, before: Timestamp, limit: usize) -> Result<Pruned> {
    let end = Day::at(before.plus(CLOCKS_SET_BACK));
    let (before, limit) = (before.as_micros(), big(limit.max(1)));
    let work = |transaction: Arc<Transaction>| async move {
        if !transaction.try_hold(HOUSEKEEPING).await? {
            return Ok(Pruned { done: true, ..Pruned::default() });
        }
        let row = transaction.one(include_str!("sql/lock_pruning.sql"), &[]).await?;
        let mut pruned = Pruned { done: true, ..Pruned::default() };
        let mut pruned_to: i64 = row.try_get("pruned_to")?;
        while let Some(day) = next_day(&transaction, pruned_to, end).await? {
            let begin = *day.sequences().start() - 1;
            let (from, begun) = (pruned_to.max(begin), pruned_to > begin);
            pruned_to = *day.sequences().end();
            if !begun && !has_old(&transaction, day, before).await? {
                continue;
            }
            let sql = include_str!("sql/prune_window.sql");
            let window = transaction.one(sql, &[&from, &pruned_to, &limit]).await?;
            let (first, last): (i64, i64) = (window.try_get("first")?, window.try_get("last")?);
            if window.try_get::<_, i64>("number")? > 0 {
                prune(&transaction, day, first, last, before, &mut pruned).await?;
                pruned_to = last;
                break;
            }
        }
        let stopped_at = if pruned.done { 0 } else { pruned_to };
        transaction.execute(include_str!("sql/note_pruned.sql"), &[&stopped_at]).await?;
        Ok(pruned)
    };
    shared.transact(Lock::Together, work).await
}

/// The first day with places behind this one, up to the last.
async fn next_day(transaction: &Transaction, behind: i64, last: Day) -> Done<Option<Day>> {
    let (first, last) = (Day::of_sequence(behind + 1).number(), last.number());
    let rows = transaction.query(include_str!("sql/next_kept_day.sql"), &[&first, &last]).await?;
    rows.first().map(|row| Ok(Day::numbered(row.try_get("day")?))).transpose()
}

/// Whether there is something in it to take away.
async fn has_old(transaction: &Transaction, day: Day, before: i64) -> Done<bool> {
    let sql = of_parts(include_str!("sql/day_has_old.sql"), day);
    let found = transaction.query_once(&sql, &[&before]).await?;
    Ok(found.first().map(|row| row.try_get("found")).transpose()?.unwrap_or_default())
}

async fn prune(
    transaction: &Transaction,
    day: Day,
    first: i64,
    last: i64,
    before: i64,
    pruned: &mut Pruned,
) -> Done<()> {
    let ((begin, _), (_, end)) = (places(first), places(last));
    let mut gathered = Gathered::default();
    let sql = include_str!("sql/prune_deliveries.sql");
    for row in transaction.query(sql, &[&begin, &end, &before]).await? {
        let tenant = Tenant::parse(row.try_get("tenant")?).map_err(record::corrupt)?;
        let deliveries: i64 = row.try_get("deliveries")?;
        gathered.forgotten(tenant, day, Stored { deliveries, ..Stored::default() });
        pruned.deliveries += deliveries.unsigned_abs();
    }
    for row in transaction.query(include_str!("sql/prune_events.sql"), &[&first, &last, &before]).await? {
        let tenant = Tenant::parse(row.try_get("tenant")?).map_err(record::corrupt)?;
        let (events, bytes): (i64, i64) = (row.try_get("events")?, row.try_get("bytes")?);
        gathered.forgotten(tenant, day, Stored { events, bytes, ..Stored::default() });
        pruned.events += events.unsigned_abs();
    }
    gathered.write(transaction, SHARD)?;
    let follow = transaction.one(include_str!("sql/events_follow.sql"), &[&last]).await?;
    pruned.done = !follow.try_get::<_, bool>("follow")?;
    Ok(())
}
