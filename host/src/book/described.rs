//! Things that are kept as documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BookError, Listed, RecordError, Snapshot};
use crate::access::{Ended, Key};
use crate::catalogue::Versions;
use crate::seal::SealingKey;
use crate::store::{DocumentKind, DocumentRow};
use crate::tenant::{HostProfile, Profile};

/// One kind of thing.
pub trait Described: Clone + PartialEq + Send + Sync + 'static {
    const KIND: DocumentKind;

    fn name(&self) -> String;

    fn write(&self, key: &SealingKey) -> Result<Vec<u8>, RecordError>;

    fn read(name: &str, document: &[u8], key: &SealingKey) -> Result<Self, RecordError>;

    /// All of the kind, by their names.
    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>>;

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>>;

    /// Brings what else depends on it to the state that follows from a change of the one with this name.
    fn follow(_snapshot: &mut Snapshot, _name: &str) {}
}

/// A thing and how often it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept<T> {
    pub revision: u64,
    pub value: Arc<T>,
}

/// Something to do with a row, whatever it describes.
trait Work {
    type Done;

    fn with<T: Described>(self, row: &DocumentRow) -> Result<Self::Done, BookError>;
}

/// The one place that knows which kind is what.
fn by_kind<W: Work>(row: &DocumentRow, work: W) -> Result<W::Done, BookError> {
    match row.kind {
        DocumentKind::Tenant => work.with::<Profile>(row),
        DocumentKind::Host => work.with::<HostProfile>(row),
        DocumentKind::Key => work.with::<Key>(row),
        DocumentKind::EndedSession => work.with::<Ended>(row),
        DocumentKind::EventType => work.with::<Listed>(row),
        DocumentKind::Versions => work.with::<Versions>(row),
    }
}

/// Reads a row into its place.
pub(super) fn place(snapshot: &mut Snapshot, row: &DocumentRow, key: &SealingKey) -> Result<(), BookError> {
    by_kind(row, Placing { snapshot, key })
}

struct Placing<'a> {
    snapshot: &'a mut Snapshot,
    key: &'a SealingKey,
}

impl Work for Placing<'_> {
    type Done = ();

    fn with<T: Described>(self, row: &DocumentRow) -> Result<(), BookError> {
        let value = T::read(&row.name, &row.document, self.key);
        let value = Arc::new(value.map_err(|source| misread::<T>(&row.name, source))?);
        T::all_mut(self.snapshot).insert(row.name.clone(), Kept { revision: row.revision, value });
        Ok(())
    }
}

/// The document under `new`, where it is sealed under `old`. `None` where it is under `new` already, or nothing in
/// it is sealed.
pub(super) fn resealed(
    row: &DocumentRow,
    old: &SealingKey,
    new: &SealingKey,
) -> Result<Option<Vec<u8>>, BookError> {
    by_kind(row, Resealing { old, new })
}

struct Resealing<'a> {
    old: &'a SealingKey,
    new: &'a SealingKey,
}

impl Work for Resealing<'_> {
    type Done = Option<Vec<u8>>;

    fn with<T: Described>(self, row: &DocumentRow) -> Result<Option<Vec<u8>>, BookError> {
        let read = |key| T::read(&row.name, &row.document, key);
        let resealed = match read(self.new) {
            Err(RecordError::Sealed(_)) => read(self.old).and_then(|value| value.write(self.new)).map(Some),
            read => read.map(|_| None),
        };
        resealed.map_err(|source| misread::<T>(&row.name, source))
    }
}

pub(super) fn misread<T: Described>(name: &str, source: RecordError) -> BookError {
    BookError::Document { kind: T::KIND.word(), name: name.to_owned(), source }
}
