//! The documents: what operators describe beside endpoints.

use async_trait::async_trait;
use redb::{ReadableDatabase, ReadableTable};

use super::writer::Txn;
use super::{RedbStore, blocking, io, raise_version, record, tables};
use crate::store::{BookVersion, DocumentKind, DocumentRow, Documents, Result, StoreError};

#[async_trait]
impl Documents for RedbStore {
    async fn documents(&self) -> Result<(BookVersion, Vec<DocumentRow>)> {
        let shared = self.shared.clone();
        blocking(move || {
            let (version, read) = {
                let desk = shared.desk();
                (desk.version, shared.database()?.begin_read().map_err(io)?)
            };
            let table = read.open_table(tables::DOCUMENTS).map_err(io)?;
            let rows = table.iter().map_err(io)?.map(|row| {
                let (key, row) = row.map_err(io)?;
                let (kind, name) = key.value();
                record::decode_document(self::kind(kind)?, name, row.value())
            });
            Ok((version, rows.collect::<Result<_>>()?))
        })
        .await
    }

    async fn put_document(&self, row: DocumentRow) -> Result<Option<BookVersion>> {
        self.write(move |txn| {
            if row.revision != stored_revision(txn, row.kind, &row.name)? + 1 {
                return Ok(None);
            }
            let bytes = record::encode_document(&row)?;
            let key = (row.kind.word(), row.name.as_str());
            txn.tables.documents.insert(key, bytes.as_slice()).map_err(io)?;
            raise_version(txn).map(Some)
        })
        .await
    }

    async fn delete_document(&self, kind: DocumentKind, name: &str) -> Result<Option<BookVersion>> {
        let name = name.to_owned();
        self.write(move |txn| {
            let found = txn.tables.documents.remove((kind.word(), name.as_str())).map_err(io)?.is_some();
            if found { raise_version(txn).map(Some) } else { Ok(None) }
        })
        .await
    }
}

fn stored_revision(txn: &Txn<'_>, kind: DocumentKind, name: &str) -> Result<u64> {
    let stored = txn.tables.documents.get((kind.word(), name)).map_err(io)?;
    let stored = stored.map(|row| record::decode_document(kind, name, row.value())).transpose()?;
    Ok(stored.map_or(0, |row| row.revision))
}

fn kind(word: &str) -> Result<DocumentKind> {
    DocumentKind::parse(word)
        .ok_or_else(|| StoreError::Corrupt(format!("a document is of the unknown kind `{word}`")))
}
