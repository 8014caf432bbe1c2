//! What operators describe, and small facts about the host.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use crate::id::EndpointId;
use crate::store::{
    Arrival, BookVersion, DocumentKind, DocumentRow, Documents, EndpointRow, Endpoints, Result, Settings,
    StoreError,
};
use crate::time::Timestamp;

use super::PostgresStore;
use super::append;
use super::counters::Gathered;
use super::lines::Lines;
use super::row::{self, Id};
use super::steer::SHARD;
use super::transaction::{Done, Lock, Transaction};

#[async_trait]
impl Endpoints for PostgresStore {
    async fn book_version(&self) -> Result<BookVersion> {
        self.shared.transact(Lock::Free, |transaction| async move { version(&transaction).await }).await
    }

    async fn endpoints(&self) -> Result<(BookVersion, Vec<EndpointRow>)> {
        let work = |transaction: Arc<Transaction>| async move {
            let version = version(&transaction).await?;
            let mut endpoints = Vec::new();
            for row in transaction.query(include_str!("sql/endpoints.sql"), &[]).await? {
                let revision: i64 = row.try_get("revision")?;
                endpoints.push(EndpointRow {
                    id: EndpointId::from_u128(row.try_get::<_, Id>("id")?.0),
                    revision: revision.unsigned_abs(),
                    held: row.try_get("held")?,
                    order: row::order(row.try_get("ordering")?, row.try_get("aside_after")?)?,
                    judged_from: Timestamp::from_micros(row.try_get("judged_from")?),
                    document: row.try_get("document")?,
                });
            }
            Ok((version, endpoints))
        };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn put_endpoint(&self, row: EndpointRow, announce: Vec<Arrival>) -> Result<Option<BookVersion>> {
        announce.iter().try_for_each(crate::store::check_room)?;
        let (row, announce) = (&row, &announce);
        let work = |transaction: Arc<Transaction>| async move {
            if !write_endpoint(&transaction, row).await? {
                return Ok(None);
            }
            let arrivals: Vec<&Arrival> = announce.iter().collect();
            let mut intake = append::open_for(&transaction, &arrivals).await?;
            let mut known: HashSet<EndpointId> = append::wanted(&arrivals);
            known.insert(row.id);
            let endpoints = append::endpoint_states(&transaction, known).await?;
            let mut lines = follow_order(&transaction, row, append::ordered(&endpoints)).await?;
            let mut gathered = Gathered::default();
            for arrival in announce {
                intake.take_on(arrival, None, &endpoints, &mut lines, &mut gathered)?;
            }
            intake.write(&transaction);
            lines.write(&transaction);
            gathered.write(&transaction, SHARD)?;
            raise_version(&transaction).await.map(Some)
        };
        self.shared.transact(Lock::Alone, work).await
    }

    async fn delete_endpoint(&self, id: EndpointId) -> Result<Option<BookVersion>> {
        let id = Id(id.as_u128());
        let work = |transaction: Arc<Transaction>| async move {
            if transaction.execute(include_str!("sql/delete_endpoint.sql"), &[&id]).await? == 0 {
                return Ok(None);
            }
            transaction.execute(include_str!("sql/delete_health.sql"), &[&id]).await?;
            transaction.execute(include_str!("sql/forget_last_times.sql"), &[&id]).await?;
            transaction.execute(include_str!("sql/lose_head.sql"), &[&id]).await?;
            raise_version(&transaction).await.map(Some)
        };
        self.shared.transact(Lock::Alone, work).await
    }
}

/// Writes the row and how the endpoint fares. False where its revision does not follow.
async fn write_endpoint(transaction: &Transaction, endpoint: &EndpointRow) -> Done<bool> {
    let id = Id(endpoint.id.as_u128());
    let stored = transaction.query(include_str!("sql/endpoint_revision.sql"), &[&id]).await?;
    let revision: i64 = stored.first().map_or(Ok(0), |row| row.try_get("revision"))?;
    if endpoint.revision != revision.unsigned_abs() + 1 {
        return Ok(false);
    }
    let before: Option<i64> = stored.first().map(|row| row.try_get("judged_from")).transpose()?;
    let (ordering, aside_after) = row::ordering(endpoint.order);
    let (revision, judged_from) = (revision + 1, endpoint.judged_from.as_micros());
    let values: [&(dyn ToSql + Sync); 7] =
        [&id, &revision, &endpoint.held, &ordering, &aside_after, &judged_from, &endpoint.document];
    transaction.execute(include_str!("sql/put_endpoint.sql"), &values).await?;
    transaction.execute(include_str!("sql/begin_health.sql"), &[&id]).await?;
    if before.is_some_and(|before| before != judged_from) {
        let states = append::endpoint_states(transaction, HashSet::from([endpoint.id])).await?;
        let health = states.get(&endpoint.id).map(|state| state.health).unwrap_or_default().anew();
        let failures = i64::from(health.consecutive_failures);
        let since = row::micros(health.failing_since);
        let sql = include_str!("sql/write_health.sql");
        transaction.execute(sql, &[&vec![id], &vec![failures], &vec![since], &vec![health.on_trial]]).await?;
    }
    Ok(true)
}

/// Brings the line to what the row says: one that keeps no order has none, one that does has a head.
async fn follow_order(
    transaction: &Transaction,
    endpoint: &EndpointRow,
    ordered: Vec<EndpointId>,
) -> Done<Lines> {
    let id = Id(endpoint.id.as_u128());
    if endpoint.order.is_kept() {
        transaction.execute(include_str!("sql/begin_line.sql"), &[&id]).await?;
    } else {
        transaction.execute(include_str!("sql/dissolve_line.sql"), &[&id]).await?;
        transaction.execute(include_str!("sql/delete_line.sql"), &[&id]).await?;
    }
    let mut lines = Lines::lock(transaction, ordered).await?;
    if endpoint.order.is_kept() && !lines.has_head(endpoint.id) {
        lines.advance(transaction, vec![endpoint.id]).await?;
    }
    Ok(lines)
}

pub async fn version(transaction: &Transaction) -> Done<BookVersion> {
    let version: i64 =
        transaction.one(include_str!("sql/book_version.sql"), &[]).await?.try_get("version")?;
    Ok(BookVersion(version.unsigned_abs()))
}

async fn raise_version(transaction: &Transaction) -> Done<BookVersion> {
    let version: i64 =
        transaction.one(include_str!("sql/raise_version.sql"), &[]).await?.try_get("version")?;
    Ok(BookVersion(version.unsigned_abs()))
}

#[async_trait]
impl Documents for PostgresStore {
    async fn documents(&self) -> Result<(BookVersion, Vec<DocumentRow>)> {
        let work = |transaction: Arc<Transaction>| async move {
            let version = version(&transaction).await?;
            let mut documents = Vec::new();
            for row in transaction.query(include_str!("sql/documents.sql"), &[]).await? {
                let kind: &str = row.try_get("kind")?;
                let unknown = || StoreError::Corrupt(format!("`{kind}` is no kind of a document"));
                let revision: i64 = row.try_get("revision")?;
                documents.push(DocumentRow {
                    kind: DocumentKind::parse(kind).ok_or_else(unknown)?,
                    name: row.try_get("name")?,
                    revision: revision.unsigned_abs(),
                    document: row.try_get("document")?,
                });
            }
            Ok((version, documents))
        };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn put_document(&self, row: DocumentRow) -> Result<Option<BookVersion>> {
        let row = &row;
        let work = |transaction: Arc<Transaction>| async move {
            let (kind, name) = (row.kind.word(), row.name.as_str());
            let stored =
                transaction.query(include_str!("sql/document_revision.sql"), &[&kind, &name]).await?;
            let revision: i64 = stored.first().map_or(Ok(0), |row| row.try_get("revision"))?;
            if row.revision != revision.unsigned_abs() + 1 {
                return Ok(None);
            }
            let sql = include_str!("sql/put_document.sql");
            transaction.execute(sql, &[&kind, &name, &(revision + 1), &row.document]).await?;
            raise_version(&transaction).await.map(Some)
        };
        self.shared.transact(Lock::Alone, work).await
    }

    async fn delete_document(&self, kind: DocumentKind, name: &str) -> Result<Option<BookVersion>> {
        let work = |transaction: Arc<Transaction>| async move {
            let sql = include_str!("sql/delete_document.sql");
            if transaction.execute(sql, &[&kind.word(), &name]).await? == 0 {
                return Ok(None);
            }
            raise_version(&transaction).await.map(Some)
        };
        self.shared.transact(Lock::Alone, work).await
    }
}

#[async_trait]
impl Settings for PostgresStore {
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let work = |transaction: Arc<Transaction>| async move { setting(&transaction, name).await };
        self.shared.transact(Lock::Free, work).await
    }

    async fn setting_or(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        let value = &value;
        let work = |transaction: Arc<Transaction>| async move {
            transaction.execute(include_str!("sql/setting_or.sql"), &[&name, value]).await?;
            Ok(setting(&transaction, name).await?.unwrap_or_else(|| value.clone()))
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        let value = &value;
        let work = |transaction: Arc<Transaction>| async move {
            transaction.execute(include_str!("sql/put_setting.sql"), &[&name, value]).await?;
            Ok(())
        };
        self.shared.transact(Lock::Free, work).await
    }
}

async fn setting(transaction: &Transaction, name: &str) -> Done<Option<Vec<u8>>> {
    let rows = transaction.query(include_str!("sql/setting.sql"), &[&name]).await?;
    rows.first().map(|row| Ok(row.try_get("value")?)).transpose()
}
