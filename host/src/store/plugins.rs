//! Plugin files by their digests, and what is told of each plugin.

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::Result;
use crate::time::Timestamp;

/// Keeps the files of plugins, and what is told of each plugin by its name.
#[async_trait]
pub trait Plugins: Send + Sync + 'static {
    /// What is told of each plugin, in the order of the names.
    async fn plugin_rows(&self) -> Result<Vec<PluginRow>>;

    /// Creates (revision 1) or replaces (the revision after the stored one) all of these rows. False, and nothing is
    /// written, where the revision of one is any other: somebody else was faster. The names differ.
    async fn put_plugin_rows(&self, rows: Vec<PluginRow>) -> Result<bool>;

    /// Deletes the row with this revision. False where there is none.
    async fn delete_plugin_row(&self, name: &str, revision: u64) -> Result<bool>;

    /// Keeps a component under the digest of its bytes. It is there, whole, once this has answered; one that is kept
    /// already stays as it is. What a call leaves behind that came to no end is forgotten.
    async fn keep_component(&self, bytes: Bytes, now: Timestamp) -> Result<ComponentDigest>;

    async fn component(&self, digest: ComponentDigest) -> Result<Option<Bytes>>;

    /// All that are kept, in the order of their digests.
    async fn components(&self) -> Result<Vec<ComponentRow>>;

    /// Forgets components. Those that are not kept are passed over.
    async fn forget_components(&self, digests: Vec<ComponentDigest>) -> Result<()>;
}

/// A plugin as a store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginRow {
    pub name: String,
    pub revision: u64,
    pub document: Vec<u8>,
}

/// A component that is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ComponentRow {
    pub digest: ComponentDigest,
    /// In bytes.
    pub size: u64,
    pub kept_at: Timestamp,
}

/// The SHA-256 of a component's bytes. Written in hex, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentDigest(pub [u8; 32]);

impl ComponentDigest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// 64 digits in lower case.
    pub fn parse(hex: &str) -> Option<Self> {
        let bytes = HEXLOWER.decode(hex.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_read_as_it_is_written() {
        let digest = ComponentDigest::of(b"abc");
        assert!(digest.to_string().starts_with("ba7816bf"));
        assert_eq!(ComponentDigest::parse(&digest.to_string()), Some(digest));
        let upper = digest.to_string().to_uppercase();
        for wrong in ["", "ba", upper.as_str(), &digest.to_string()[1..]] {
            assert_eq!(ComponentDigest::parse(wrong), None, "{wrong}");
        }
    }
}
