//! The store for one process alone: to copy it, or to change what no host may see half changed.
//!
//! One connection does all of it, and holds the store's lock as long as it lives. A host that runs all the same changes
//! nothing meanwhile that it would need the lock for, and is seen as it waits.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::error::SqlState;

use crate::store::{Result, StoreError};
use crate::time::Timestamp;

use super::connection::{Address, Pool};
use super::transaction::{Fault, Lock, Shared, Transaction};
use super::{Options, migrations};

/// How long a statement may take: an index of a large table is read from end to end.
const DEADLINE: Duration = Duration::from_secs(3_600);

/// Opens the store, whose tables have to be there, and takes its lock.
pub async fn open(address: &Address) -> Result<Arc<Shared>> {
    let pool = Pool::new(address, 1, DEADLINE)?;
    migrations::check(&pool).await?;
    let options = Options { connections: 1, deadline: DEADLINE, ..Options::default() };
    let shared = Arc::new(Shared::new(pool, options).await?);
    let connection = shared.connection().await?;
    let locked = connection.query_one(include_str!("sql/lock_for_long.sql"), &[&shared.number()]).await;
    locked.map_err(|error| match error.code() {
        Some(code) if *code == SqlState::LOCK_NOT_AVAILABLE => StoreError::Unavailable(
            "a server, or another command, uses the database; stop it first".to_owned(),
        ),
        _ => Fault::from(error).error(),
    })?;
    drop(connection);
    Ok(shared)
}

/// Whether a host uses the store all the same, as a sentence.
pub async fn is_used(shared: &Shared, now: Timestamp) -> Result<Option<String>> {
    let (now, lock) = (now.as_micros(), shared.number());
    let work = |transaction: Arc<Transaction>| async move {
        let hosts = transaction.query(include_str!("sql/seats.sql"), &[]).await?.len();
        let sql = include_str!("sql/count_leases.sql");
        let leased: i64 = transaction.one(sql, &[&now]).await?.try_get("number")?;
        let sql = include_str!("sql/count_waiters.sql");
        let waiting: i64 = transaction.one(sql, &[&lock]).await?.try_get("number")?;
        Ok((hosts, leased, waiting))
    };
    Ok(match shared.transact(Lock::Free, work).await? {
        (0, 0, 0) => None,
        (0, 0, _) => {
            Some("a server uses the database; stop all of them, and run the same command again".to_owned())
        }
        (0, leased, _) => Some(format!(
            "{leased} deliveries are in the hands of a server; stop all of them first (what one that was killed had in hand is \
             free after its `delivery.lease`)"
        )),
        (hosts, ..) => Some(format!(
            "servers that deliver use the database, {hosts} of them; stop all of them first (one that was killed counts for its \
             `delivery.lease` and a third more)"
        )),
    })
}
