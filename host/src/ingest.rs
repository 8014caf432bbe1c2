//! Taking events on.

use crate::event::NewEvent;
use crate::id::EventId;
use crate::store::StoreError;

/// What became of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk. `duplicate`: it had been before.
    Done { id: EventId, deliveries: u32, duplicate: bool },
    /// Other content stands under its id.
    Conflict { event: EventId },
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub struct Ingest {}

impl Ingest {
    /// All of them or, with an error, none; in the order of the batch.
    pub async fn accept(&self, _events: Vec<NewEvent>) -> Result<Vec<Accepted>, IngestError> {
        Err(IngestError::Store(StoreError::Closed))
    }
}
