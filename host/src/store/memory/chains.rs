//! Chains, in plain memory.

use async_trait::async_trait;

use super::MemoryStore;
use crate::attempt::ChainId;
use crate::store::{ChainRow, Chains, Result};
use crate::time::Timestamp;

#[async_trait]
impl Chains for MemoryStore {
    async fn chains(&self) -> Result<Vec<ChainRow>> {
        Ok(self.contents().chains.values().cloned().collect())
    }

    async fn chain(&self, id: ChainId) -> Result<Option<ChainRow>> {
        Ok(self.contents().chains.get(&id).cloned())
    }

    async fn keep_chain(&self, row: ChainRow) -> Result<()> {
        self.contents().chains.insert(row.id, row);
        Ok(())
    }

    async fn prune_chains(&self, before: Timestamp, limit: usize) -> Result<usize> {
        let mut contents = self.contents();
        let old = contents.chains.values().filter(|row| row.kept_at < before);
        let old: Vec<ChainId> = old.map(|row| row.id).take(limit).collect();
        old.iter().for_each(|id| drop(contents.chains.remove(id)));
        Ok(old.len())
    }
}
