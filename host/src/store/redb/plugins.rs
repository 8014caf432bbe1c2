//! Plugins: a row for each, and their files in parts, so that neither a commit nor a row is as large as a file.

use async_trait::async_trait;
use bytes::Bytes;
use redb::{ReadableDatabase, ReadableTable};

use super::record::{corrupt, decode_described, encode_described};
use super::tables::Tables;
use super::writer::Txn;
use super::{RedbStore, blocking, io, tables};
use crate::store::plugins::{ComponentDigest, ComponentRow, PluginRow, Plugins};
use crate::store::{Result, StoreError};
use crate::time::Timestamp;

/// Most bytes of a part: what fits into a page of 256 KiB beside its key.
const PART: usize = 255 << 10;
/// Parts that are written in one commit.
const PARTS_OF_A_COMMIT: usize = 16;

#[async_trait]
impl Plugins for RedbStore {
    async fn plugin_rows(&self) -> Result<Vec<PluginRow>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::PLUGINS).map_err(io)?;
            let rows = table.iter().map_err(io)?.map(|row| {
                let (name, row) = row.map_err(io)?;
                let (revision, document) = decode_described(row.value())?;
                Ok(PluginRow { name: name.value().to_owned(), revision, document })
            });
            rows.collect()
        })
        .await
    }

    async fn put_plugin_rows(&self, rows: Vec<PluginRow>) -> Result<bool> {
        self.write(move |txn| {
            for row in &rows {
                if row.revision != stored_revision(txn, &row.name)? + 1 {
                    return Ok(false);
                }
            }
            for row in &rows {
                let bytes = encode_described(row.revision, &row.document)?;
                txn.tables.plugins.insert(row.name.as_str(), bytes.as_slice()).map_err(io)?;
            }
            Ok(true)
        })
        .await
    }

    async fn delete_plugin_row(&self, name: &str, revision: u64) -> Result<bool> {
        let name = name.to_owned();
        self.write(move |txn| {
            let stored = stored_revision(txn, &name)?;
            if stored == 0 || stored != revision {
                return Ok(false);
            }
            txn.tables.plugins.remove(name.as_str()).map_err(io)?;
            Ok(true)
        })
        .await
    }

    async fn keep_component(&self, bytes: Bytes, now: Timestamp) -> Result<ComponentDigest> {
        let (digest, bytes) = blocking(move || Ok((ComponentDigest::of(&bytes), bytes))).await?;
        if self.write(move |txn| is_kept(txn, digest)).await? {
            return Ok(digest);
        }
        let parts: Vec<Bytes> = parts(&bytes).collect();
        let count = u32::try_from(parts.len()).map_err(|_| too_large())?;
        let mut numbered = (0_u32..).zip(parts).peekable();
        while numbered.peek().is_some() {
            let next: Vec<_> = numbered.by_ref().take(PARTS_OF_A_COMMIT).collect();
            self.write(move |txn| put_parts(txn, digest, &next)).await?;
        }
        let row = (bytes.len() as u64, count, now.as_micros());
        self.write(move |txn| {
            txn.tables.components.insert(&digest.0[..], row).map_err(io)?;
            Ok(digest)
        })
        .await
    }

    async fn component(&self, digest: ComponentDigest) -> Result<Option<Bytes>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::COMPONENTS).map_err(io)?;
            let Some(row) = table.get(&digest.0[..]).map_err(io)? else { return Ok(None) };
            let (size, _, _) = row.value();
            let parts = read.open_table(tables::COMPONENT_PARTS).map_err(io)?;
            joined(&parts, digest, size).map(Some)
        })
        .await
    }

    async fn components(&self) -> Result<Vec<ComponentRow>> {
        let shared = self.shared.clone();
        blocking(move || {
            let read = shared.database()?.begin_read().map_err(io)?;
            let table = read.open_table(tables::COMPONENTS).map_err(io)?;
            let rows = table.iter().map_err(io)?.map(|row| {
                let (digest, row) = row.map_err(io)?;
                let (size, _, kept_at) = row.value();
                let digest = digest_of(digest.value())?;
                Ok(ComponentRow { digest, size, kept_at: Timestamp::from_micros(kept_at) })
            });
            rows.collect()
        })
        .await
    }

    async fn forget_components(&self, digests: Vec<ComponentDigest>) -> Result<()> {
        self.write(move |txn| {
            for digest in digests {
                txn.tables.components.remove(&digest.0[..]).map_err(io)?;
                forget_parts(txn, &digest)?;
            }
            Ok(())
        })
        .await
    }
}

/// A file of its parts.
pub fn joined(
    parts: &impl ReadableTable<(&'static [u8], u32), &'static [u8]>,
    digest: ComponentDigest,
    size: u64,
) -> Result<Bytes> {
    let mut bytes = Vec::with_capacity(usize::try_from(size).map_err(|_| too_large())?);
    for part in parts.range(all_parts(&digest)).map_err(io)? {
        bytes.extend_from_slice(part.map_err(io)?.1.value());
    }
    match bytes.len() as u64 == size {
        true => Ok(bytes.into()),
        false => Err(corrupt(format!("the plugin file {digest} is not whole"))),
    }
}

/// Keeps a file in the commit that is under way.
pub fn put_whole(tables: &mut Tables<'_>, row: &ComponentRow, bytes: &Bytes) -> Result<()> {
    let mut count = 0_u32;
    for part in parts(bytes) {
        tables.component_parts.insert((&row.digest.0[..], count), &part[..]).map_err(io)?;
        count = count.checked_add(1).ok_or_else(too_large)?;
    }
    let kept = (row.size, count, row.kept_at.as_micros());
    tables.components.insert(&row.digest.0[..], kept).map_err(io)?;
    Ok(())
}

/// Forgets the parts of files whose writing came to no end. As the store is opened, nobody is at it.
pub fn sweep(txn: &mut Txn<'_>) -> Result<()> {
    let mut from = Some(([0; 32], 0));
    while let Some(start) = from {
        let Some(found) = next_file(txn, start)? else { break };
        if !is_kept(txn, found)? {
            forget_parts(txn, &found)?;
        }
        from = Some((found.0, u32::MAX));
    }
    Ok(())
}

/// Whose part is the first one from there on.
fn next_file(txn: &Txn<'_>, (digest, part): ([u8; 32], u32)) -> Result<Option<ComponentDigest>> {
    let mut parts = txn.tables.component_parts.range((&digest[..], part)..).map_err(io)?;
    let found = parts.next().map(|row| digest_of(row.map_err(io)?.0.value().0));
    found.transpose()
}

fn stored_revision(txn: &Txn<'_>, name: &str) -> Result<u64> {
    let stored = txn.tables.plugins.get(name).map_err(io)?;
    let stored = stored.map(|row| decode_described(row.value())).transpose()?;
    Ok(stored.map_or(0, |(revision, _)| revision))
}

fn is_kept(txn: &Txn<'_>, digest: ComponentDigest) -> Result<bool> {
    Ok(txn.tables.components.get(&digest.0[..]).map_err(io)?.is_some())
}

fn parts(bytes: &Bytes) -> impl Iterator<Item = Bytes> {
    let starts = (0..bytes.len()).step_by(PART);
    starts.map(|start| bytes.slice(start..bytes.len().min(start + PART)))
}

fn put_parts(txn: &mut Txn<'_>, digest: ComponentDigest, parts: &[(u32, Bytes)]) -> Result<()> {
    for (number, part) in parts {
        txn.tables.component_parts.insert((&digest.0[..], *number), &part[..]).map_err(io)?;
    }
    Ok(())
}

fn forget_parts(txn: &mut Txn<'_>, digest: &ComponentDigest) -> Result<()> {
    txn.tables.component_parts.retain_in(all_parts(digest), |_, _| false).map_err(io)
}

fn all_parts(digest: &ComponentDigest) -> std::ops::RangeInclusive<(&[u8], u32)> {
    (&digest.0[..], 0)..=(&digest.0[..], u32::MAX)
}

pub fn digest_of(key: &[u8]) -> Result<ComponentDigest> {
    key.try_into().map(ComponentDigest).map_err(|_| corrupt("a plugin file has no digest"))
}

fn too_large() -> StoreError {
    StoreError::Unavailable("a plugin file is too large to be kept".to_owned())
}

#[cfg(test)]
mod tests {
    use redb::ReadableTableMetadata as _;

    use super::*;
    use crate::store::redb::Options;

    /// A process that is killed while it takes a file leaves nothing of it behind.
    #[tokio::test]
    async fn a_file_that_was_not_written_to_its_end_is_forgotten() {
        let folder = std::env::temp_dir().join(format!("hookwright-plugins-{:x}", rand::random::<u64>()));
        std::fs::create_dir_all(&folder).unwrap();
        let open = || RedbStore::open(&folder.join("store.redb"), Options::default()).unwrap();
        let store = open();
        let whole = Bytes::from(vec![1; 2 * PART]);
        let kept = store.keep_component(whole.clone(), Timestamp::ZERO).await.unwrap();
        for first in [0, 255] {
            let cut_off = ComponentDigest([first; 32]);
            let part = vec![(0, whole.slice(..10)), (7, whole.slice(..10))];
            store.write(move |txn| put_parts(txn, cut_off, &part)).await.unwrap();
            assert_eq!(store.component(cut_off).await.unwrap(), None, "nobody sees it");
        }
        drop(store);
        let store = open();
        assert_eq!(store.component(kept).await.unwrap(), Some(whole));
        let parts = store.write(|txn| txn.tables.component_parts.len().map_err(io)).await.unwrap();
        assert_eq!(parts, 2);
        drop(store);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
