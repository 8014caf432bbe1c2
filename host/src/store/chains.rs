//! What shaped attempts: kept once for all that refer to it, so that a delivery can be made again as it was.

use async_trait::async_trait;

use super::Result;
use crate::attempt::ChainId;
use crate::time::Timestamp;

/// Keeps chains by the ids that attempts refer to them with.
#[async_trait]
pub trait Chains: Send + Sync + 'static {
    /// All that are kept, in the order of their ids.
    async fn chains(&self) -> Result<Vec<ChainRow>>;

    async fn chain(&self, id: ChainId) -> Result<Option<ChainRow>>;

    /// Keeps it, in the place of one with its id.
    async fn keep_chain(&self, row: ChainRow) -> Result<()>;

    /// Forgets up to `limit` of those that were last kept before `before`. Answers how many.
    async fn prune_chains(&self, before: Timestamp, limit: usize) -> Result<usize>;
}

/// A chain as a store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainRow {
    pub id: ChainId,
    /// When an attempt was last about to refer to it.
    pub kept_at: Timestamp,
    /// Sealed.
    pub document: Vec<u8>,
}
