//! Chains, in a table of their own.

use async_trait::async_trait;
use redb::{AccessGuard, ReadableDatabase, ReadableTable};

use super::{RedbStore, blocking, io, tables};
use crate::attempt::ChainId;
use crate::store::{ChainRow, Chains, Result};
use crate::time::Timestamp;

#[async_trait]
impl Chains for RedbStore {
    async fn chains(&self) -> Result<Vec<ChainRow>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::CHAINS).map_err(io)?;
            let rows = table.iter().map_err(io)?.map(|row| {
                let (id, row) = row.map_err(io)?;
                Ok(chain(ChainId(id.value()), &row))
            });
            rows.collect()
        })
        .await
    }

    async fn chain(&self, id: ChainId) -> Result<Option<ChainRow>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::CHAINS).map_err(io)?;
            Ok(table.get(id.0).map_err(io)?.map(|row| chain(id, &row)))
        })
        .await
    }

    async fn keep_chain(&self, row: ChainRow) -> Result<()> {
        self.write(move |txn| {
            let ChainRow { id, kept_at, document } = &row;
            txn.tables.chains.insert(id.0, (kept_at.as_micros(), document.as_slice())).map_err(io)?;
            Ok(())
        })
        .await
    }

    async fn prune_chains(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let is_old = |row: &ChainRow| row.kept_at < before;
        let mut old: Vec<ChainId> =
            self.chains().await?.into_iter().filter(is_old).map(|row| row.id).collect();
        old.truncate(limit);
        if old.is_empty() {
            return Ok(0);
        }
        self.write(move |txn| {
            let mut forgotten = 0;
            for id in &old {
                let stored = txn.tables.chains.get(id.0).map_err(io)?.map(|row| row.value().0);
                // It may have been kept again meanwhile.
                if stored.is_some_and(|kept_at| kept_at < before.as_micros()) {
                    txn.tables.chains.remove(id.0).map_err(io)?;
                    forgotten += 1;
                }
            }
            Ok(forgotten)
        })
        .await
    }
}

fn chain(id: ChainId, row: &AccessGuard<'_, (i64, &'static [u8])>) -> ChainRow {
    let (kept_at, document) = row.value();
    ChainRow { id, kept_at: Timestamp::from_micros(kept_at), document: document.to_vec() }
}
