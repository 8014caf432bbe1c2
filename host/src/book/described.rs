//! Things that are kept as documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BookError, RecordError, Snapshot};
use crate::access::Key;
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

/// Reads a row into its place.
pub(super) fn place(snapshot: &mut Snapshot, row: &DocumentRow, key: &SealingKey) -> Result<(), BookError> {
    match row.kind {
        DocumentKind::Tenant => place_as::<Profile>(snapshot, row, key),
        DocumentKind::Key => place_as::<Key>(snapshot, row, key),
        DocumentKind::Host => place_as::<HostProfile>(snapshot, row, key),
        DocumentKind::EventType | DocumentKind::Versions => Ok(()),
    }
}

pub(super) fn misread<T: Described>(name: &str, source: RecordError) -> BookError {
    BookError::Document { kind: T::KIND.word(), name: name.to_owned(), source }
}

fn place_as<T: Described>(
    snapshot: &mut Snapshot,
    row: &DocumentRow,
    key: &SealingKey,
) -> Result<(), BookError> {
    let value = T::read(&row.name, &row.document, key).map_err(|source| misread::<T>(&row.name, source))?;
    let kept = Kept { revision: row.revision, value: Arc::new(value) };
    T::all_mut(snapshot).insert(row.name.clone(), kept);
    Ok(())
}
