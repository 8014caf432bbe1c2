//! Plugins, in plain memory.

use async_trait::async_trait;
use bytes::Bytes;

use super::MemoryStore;
use crate::store::Result;
use crate::store::plugins::{ComponentDigest, ComponentRow, PluginRow, Plugins};
use crate::time::Timestamp;

#[async_trait]
impl Plugins for MemoryStore {
    async fn plugin_rows(&self) -> Result<Vec<PluginRow>> {
        Ok(self.contents().plugins.values().cloned().collect())
    }

    async fn put_plugin_rows(&self, rows: Vec<PluginRow>) -> Result<bool> {
        let mut contents = self.contents();
        let stored = |name: &str| contents.plugins.get(name).map_or(0, |row| row.revision);
        if rows.iter().any(|row| row.revision != stored(&row.name) + 1) {
            return Ok(false);
        }
        contents.plugins.extend(rows.into_iter().map(|row| (row.name.clone(), row)));
        Ok(true)
    }

    async fn delete_plugin_row(&self, name: &str, revision: u64) -> Result<bool> {
        let mut contents = self.contents();
        let found = contents.plugins.get(name).is_some_and(|row| row.revision == revision);
        if found {
            contents.plugins.remove(name);
        }
        Ok(found)
    }

    async fn keep_component(&self, bytes: Bytes, now: Timestamp) -> Result<ComponentDigest> {
        let digest = ComponentDigest::of(&bytes);
        self.contents().components.entry(digest).or_insert_with(|| (bytes, now));
        Ok(digest)
    }

    async fn component(&self, digest: ComponentDigest) -> Result<Option<Bytes>> {
        Ok(self.contents().components.get(&digest).map(|(bytes, _)| bytes.clone()))
    }

    async fn components(&self) -> Result<Vec<ComponentRow>> {
        let row = |(digest, (bytes, kept_at)): (&ComponentDigest, &(Bytes, Timestamp))| ComponentRow {
            digest: *digest,
            size: bytes.len() as u64,
            kept_at: *kept_at,
        };
        Ok(self.contents().components.iter().map(row).collect())
    }

    async fn forget_components(&self, digests: Vec<ComponentDigest>) -> Result<()> {
        let mut contents = self.contents();
        digests.iter().for_each(|digest| drop(contents.components.remove(digest)));
        Ok(())
    }
}
