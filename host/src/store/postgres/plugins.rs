//! Plugin files by their digests, and what is told of each plugin.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;

use crate::store::plugins::{ComponentDigest, ComponentRow, PluginRow, Plugins};
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

use super::PostgresStore;
use super::row::big;
use super::transaction::{Lock, SHARDS, Transaction};

/// The lock of whoever changes rows.
const ROWS: i16 = SHARDS;

#[async_trait]
impl Plugins for PostgresStore {
    async fn plugin_rows(&self) -> Result<Vec<PluginRow>> {
        let work = |transaction: Arc<Transaction>| async move {
            let mut plugins = Vec::new();
            for row in transaction.query(include_str!("sql/plugins.sql"), &[]).await? {
                let revision: i64 = row.try_get("revision")?;
                let (name, document) = (row.try_get("name")?, row.try_get("document")?);
                plugins.push(PluginRow { name, revision: revision.unsigned_abs(), document });
            }
            Ok(plugins)
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn put_plugin_rows(&self, rows: Vec<PluginRow>) -> Result<bool> {
        let rows = &rows;
        let work = |transaction: Arc<Transaction>| async move {
            transaction.hold(ROWS).await?;
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            let mut stored: HashMap<String, i64> = HashMap::new();
            for row in transaction.query(include_str!("sql/plugin_revisions.sql"), &[&names]).await? {
                stored.insert(row.try_get("name")?, row.try_get("revision")?);
            }
            let follows = |row: &PluginRow| {
                row.revision == stored.get(&row.name).copied().unwrap_or_default().unsigned_abs() + 1
            };
            if !rows.iter().all(follows) {
                return Ok(false);
            }
            let revisions: Vec<i64> = rows.iter().map(|row| big(row.revision)).collect();
            let documents: Vec<&[u8]> = rows.iter().map(|row| row.document.as_slice()).collect();
            transaction
                .execute(include_str!("sql/put_plugins.sql"), &[&names, &revisions, &documents])
                .await?;
            Ok(true)
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn delete_plugin_row(&self, name: &str, revision: u64) -> Result<bool> {
        let revision = big(revision);
        let work = |transaction: Arc<Transaction>| async move {
            transaction.hold(ROWS).await?;
            Ok(transaction.execute(include_str!("sql/delete_plugin.sql"), &[&name, &revision]).await? > 0)
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn keep_component(&self, bytes: Bytes, now: Timestamp) -> Result<ComponentDigest> {
        let digest = ComponentDigest::of(&bytes);
        let (bytes, size, now) = (&bytes[..], big(bytes.len()), now.as_micros());
        let key = &digest.0[..];
        let work = |transaction: Arc<Transaction>| async move {
            transaction.execute(include_str!("sql/keep_component.sql"), &[&key, &size, &now, &bytes]).await?;
            Ok(())
        };
        self.shared.transact(Lock::Free, work).await?;
        Ok(digest)
    }

    async fn component(&self, digest: ComponentDigest) -> Result<Option<Bytes>> {
        let key = &digest.0[..];
        let work = |transaction: Arc<Transaction>| async move {
            let rows = transaction.query(include_str!("sql/component.sql"), &[&key]).await?;
            rows.first().map(|row| Ok(Bytes::from(row.try_get::<_, Vec<u8>>("bytes")?))).transpose()
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn components(&self) -> Result<Vec<ComponentRow>> {
        let work = |transaction: Arc<Transaction>| async move {
            let mut components = Vec::new();
            for row in transaction.query(include_str!("sql/components.sql"), &[]).await? {
                let (digest, size): (&[u8], i64) = (row.try_get("digest")?, row.try_get("size")?);
                let corrupt = |_| StoreError::Corrupt("a plugin's digest has another length".to_owned());
                components.push(ComponentRow {
                    digest: ComponentDigest(digest.try_into().map_err(corrupt)?),
                    size: size.unsigned_abs(),
                    kept_at: Timestamp::from_micros(row.try_get("kept_at")?),
                });
            }
            Ok(components)
        };
        self.shared.transact(Lock::Free, work).await
    }

    async fn forget_components(&self, digests: Vec<ComponentDigest>) -> Result<()> {
        let keys: &Vec<&[u8]> = &digests.iter().map(|digest| &digest.0[..]).collect();
        let work = |transaction: Arc<Transaction>| async move {
            transaction.execute(include_str!("sql/forget_components.sql"), &[keys]).await?;
            Ok(())
        };
        self.shared.transact(Lock::Free, work).await
    }
}
