//! Retention, step by step.

use std::sync::Arc;

use crate::event::Tenant;
use crate::store::redb::record;
use crate::store::{Pruned, Result};
use crate::time::Timestamp;

use super::counters::Gathered;
use super::row::{big, places};
use super::transaction::{Done, Lock, SHARDS, Shared, Transaction};

/// The counts of what retention takes away.
const SHARD: i16 = SHARDS - 1;

/// Looks at the next events. Hosts take turns: the row of `pruning` is held until the commit.
pub async fn step(shared: &Shared, before: Timestamp, limit: usize) -> Result<Pruned> {
    let (before, limit) = (before.as_micros(), big(limit.max(1)));
    let work = |transaction: Arc<Transaction>| async move {
        let pruned_to: i64 =
            transaction.one(include_str!("sql/pruned_to.sql"), &[]).await?.try_get("pruned_to")?;
        let sql = include_str!("sql/prune_window.sql");
        let window = transaction.one(sql, &[&pruned_to, &limit]).await?;
        let (first, last): (i64, i64) = (window.try_get("first")?, window.try_get("last")?);
        let mut pruned = Pruned { done: true, ..Pruned::default() };
        if window.try_get::<_, i64>("number")? > 0 {
            prune(&transaction, first, last, before, &mut pruned).await?;
        }
        let stopped_at = if pruned.done { 0 } else { last };
        transaction.execute(include_str!("sql/note_pruned.sql"), &[&stopped_at]).await?;
        Ok(pruned)
    };
    shared.transact(Lock::Together, work).await
}

async fn prune(
    transaction: &Transaction,
    first: i64,
    last: i64,
    before: i64,
    pruned: &mut Pruned,
) -> Done<()> {
    let ((begin, _), (_, end)) = (places(first), places(last));
    let gone = transaction.one(include_str!("sql/prune_deliveries.sql"), &[&begin, &end, &before]).await?;
    pruned.deliveries = gone.try_get::<_, i64>("number")?.unsigned_abs();
    let mut gathered = Gathered::default();
    for row in transaction.query(include_str!("sql/prune_events.sql"), &[&first, &last, &before]).await? {
        let tenant = Tenant::parse(row.try_get("tenant")?).map_err(record::corrupt)?;
        gathered.forgotten(tenant, row.try_get("size")?);
        pruned.events += row.try_get::<_, i64>("number")?.unsigned_abs();
    }
    gathered.write(transaction, SHARD).await?;
    let follow = transaction.one(include_str!("sql/events_follow.sql"), &[&last]).await?;
    pruned.done = !follow.try_get::<_, bool>("follow")?;
    Ok(())
}
