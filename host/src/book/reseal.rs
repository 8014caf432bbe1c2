//! Everything that is sealed, from one key to another.

use std::ops::ControlFlow;

use futures_util::future::try_join_all;

use super::{BookError, RecordError, described, read_rows, record};
use crate::seal::SealingKey;
use crate::store::{DocumentRow, EndpointRow, Shelf};

/// Rows that are written at once: a store puts them on disk together.
const BATCH: usize = 64;

/// A row under its new key.
enum Row {
    Endpoint(EndpointRow),
    Document(DocumentRow),
}

/// Seals with `new` what is sealed with `old`, and leaves what is sealed with `new` already; so it may be broken off
/// anywhere and begun again. `watch` hears how many of how many rows are done, before the first and after each
/// batch, and may break it off.
///
/// # Errors
///
/// Where a row opens with neither key, or the store fails.
pub async fn reseal(
    shelf: &dyn Shelf,
    old: &SealingKey,
    new: &SealingKey,
    mut watch: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, BookError> {
    let (_, endpoints, documents) = read_rows(shelf).await?;
    let mut rows = Vec::new();
    for row in documents {
        if let Some(document) = described::resealed(&row, old, new)? {
            rows.push(Row::Document(DocumentRow { revision: row.revision + 1, document, ..row }));
        }
    }
    for row in endpoints {
        if let Some(document) = resealed(&row, old, new)? {
            rows.push(Row::Endpoint(EndpointRow { revision: row.revision + 1, document, ..row }));
        }
    }
    let all = rows.len();
    let mut rows = rows.into_iter();
    loop {
        if watch(all - rows.len(), all).is_break() {
            return Ok(ControlFlow::Break(()));
        }
        let batch: Vec<Row> = rows.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(ControlFlow::Continue(()));
        }
        try_join_all(batch.into_iter().map(|row| put(shelf, row))).await?;
    }
}

fn resealed(row: &EndpointRow, old: &SealingKey, new: &SealingKey) -> Result<Option<Vec<u8>>, BookError> {
    let read = |key| record::read(row.id, &row.document, key);
    let resealed = match read(new) {
        Err(RecordError::Sealed(_)) => read(old).and_then(|endpoint| record::write(&endpoint, new)).map(Some),
        read => read.map(|_| None),
    };
    resealed.map_err(|source| BookError::Record { id: row.id, source })
}

async fn put(shelf: &dyn Shelf, row: Row) -> Result<(), BookError> {
    let (written, what) = match row {
        Row::Endpoint(row) => {
            let what = format!("endpoint {}", row.id);
            (shelf.put_endpoint(row, Vec::new()).await?, what)
        }
        Row::Document(row) => {
            let what = format!("{} `{}`", row.kind.word(), row.name);
            (shelf.put_document(row).await?, what)
        }
    };
    written.map(drop).ok_or(BookError::Contended(what))
}
