//! What brings the tables to the version that this program needs. Each migration runs once, in a transaction of its
//! own, and never changes after a release. One that only adds to the tables leaves hosts of the version before at work,
//! and lets them start again: so hosts are replaced one by one.

use crate::store::{Result, StoreError};

use super::connection::{Pool, describe};

const MIGRATIONS: [(i64, &str); 2] =
    [(1, include_str!("migrations/0001_begin.sql")), (2, include_str!("migrations/0002_tally_changes.sql"))];

/// The migrations that were run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    pub from: i64,
    pub to: i64,
}

/// # Errors
///
/// Where migrations are pending, or the tables are of a newer version that this one does not get along with.
pub async fn check(pool: &Pool) -> Result<()> {
    let client = pool.take().await?;
    let version = version(&client).await?;
    let newest = newest();
    match version {
        version if version == newest => Ok(()),
        version if version > newest => bears(&client, version).await,
        version => Err(StoreError::Unavailable(format!(
            "the database's tables are of version {version}, and version {newest} is needed; run `hookwright migrate` with \
             the same --store"
        ))),
    }
}

pub async fn run(pool: &Pool) -> Result<Migrated> {
    let mut client = pool.take().await?;
    let transaction = client.transaction().await.map_err(fault)?;
    transaction.batch_execute(include_str!("sql/lock_migrations.sql")).await.map_err(fault)?;
    let from = version(transaction.client()).await?;
    if from > newest() {
        return bears(transaction.client(), from).await.map(|()| Migrated { from, to: from });
    }
    for (number, sql) in MIGRATIONS.iter().filter(|(number, _)| *number > from) {
        transaction.batch_execute(sql).await.map_err(fault)?;
        transaction.execute(include_str!("sql/note_migration.sql"), &[number]).await.map_err(fault)?;
    }
    transaction.commit().await.map_err(fault)?;
    Ok(Migrated { from, to: newest() })
}

/// Refuses newer tables that this program does not get along with.
async fn bears(client: &tokio_postgres::Client, version: i64) -> Result<()> {
    let row = client.query_one(include_str!("sql/oldest_borne.sql"), &[]).await.map_err(fault)?;
    let oldest: i64 = row.try_get("oldest").map_err(fault)?;
    if oldest <= newest() { Ok(()) } else { Err(newer(version)) }
}

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |(number, _)| *number)
}

/// 0 where there are no tables yet.
async fn version(client: &tokio_postgres::Client) -> Result<i64> {
    let known = client.query_one(include_str!("sql/has_migrations.sql"), &[]).await.map_err(fault)?;
    if !known.try_get::<_, bool>("known").map_err(fault)? {
        return Ok(0);
    }
    let row = client.query_one(include_str!("sql/schema_version.sql"), &[]).await.map_err(fault)?;
    row.try_get("version").map_err(fault)
}

fn newer(version: i64) -> StoreError {
    StoreError::Unavailable(format!(
        "the database's tables are of version {version}, which is newer than this program knows; start a newer one"
    ))
}

fn fault(error: tokio_postgres::Error) -> StoreError {
    StoreError::Unavailable(format!("the database failed: {}", describe(&error)))
}
