//! What shaped attempts: noted as they are made, and put on again where a delivery is to be made as it was.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing::warn;

use crate::attempt::ChainId;
use crate::book::usage::named;
use crate::book::{Book, BookError};
use crate::endpoint::Endpoint;
use crate::id::EndpointId;
use crate::plugin::{Catalog, Plugin};
use crate::store::{ChainRow, Chains, StoreError};
use crate::terms::BodyForm;
use crate::time::{Clock, Timestamp};

/// How long a chain that is in use goes without being kept again, which says that it is.
pub const KEPT_FOR: Duration = Duration::from_secs(86_400);

pub struct Records {
    chains: Arc<dyn Chains>,
    book: Arc<Book>,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    /// What is known to be kept.
    known: Mutex<HashMap<EndpointId, Known>>,
}

/// The chain of a version of an endpoint with these versions of its plugins.
struct Known {
    endpoint: Arc<Endpoint>,
    digests: Vec<String>,
    id: ChainId,
    kept_at: Timestamp,
}

/// Why what was recorded cannot be put on again.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    #[error(
        "The configuration that its attempt recorded is no longer kept. Replay it with the transforms of now."
    )]
    Chain,
    #[error(
        "The version of the plugin `{0}` that its attempt recorded is no longer kept. Put its file back, or replay \
             it with the transforms of now."
    )]
    Plugin(String),
    #[error("What its attempt recorded cannot be read: {0}. Replay it with the transforms of now.")]
    Unreadable(BookError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Records {
    pub fn new(
        chains: Arc<dyn Chains>,
        book: Arc<Book>,
        catalog: Arc<Catalog>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { chains, book, catalog, clock, known: Mutex::default() }
    }

    /// Names what shapes an attempt, once the store keeps it. `None` where it cannot be kept.
    pub async fn note(&self, endpoint: &Arc<Endpoint>, plugins: &[Plugin]) -> Option<ChainId> {
        if plugins.is_empty() && endpoint.terms.body == BodyForm::AsIs {
            return Some(ChainId::NOTHING);
        }
        let now = self.clock.now();
        if let Some(id) = self.find(endpoint, plugins, now) {
            return Some(id);
        }
        let digests: Vec<&str> = plugins.iter().map(Plugin::digest).collect();
        let kept = match self.book.chain(endpoint, &digests, now) {
            Ok(Some(row)) => self.keep(row).await,
            Ok(None) => return Some(ChainId::NOTHING),
            Err(error) => Err(error),
        };
        let id = kept.inspect_err(|error| {
            warn!(endpoint = %endpoint.id, %error, "what shapes an attempt could not be recorded");
        });
        let id = id.ok()?;
        let digests = digests.into_iter().map(str::to_owned).collect();
        let known = Known { endpoint: endpoint.clone(), digests, id, kept_at: now };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(endpoint.id, known);
        Some(id)
    }

    async fn keep(&self, row: ChainRow) -> Result<ChainId, BookError> {
        let id = row.id;
        self.chains.keep_chain(row).await?;
        Ok(id)
    }

    fn find(&self, endpoint: &Arc<Endpoint>, plugins: &[Plugin], now: Timestamp) -> Option<ChainId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&endpoint.id)?;
        let same = Arc::ptr_eq(&known.endpoint, endpoint)
            && known.digests.iter().map(String::as_str).eq(plugins.iter().map(Plugin::digest))
            && now.since(known.kept_at) < KEPT_FOR;
        same.then_some(known.id)
    }

    /// The endpoint as it is now, with what shaped an attempt; the plugins are at hand then.
    ///
    /// # Errors
    ///
    /// Where something of it is gone, or the store cannot say.
    pub async fn put_on(&self, endpoint: &Endpoint, chain: ChainId) -> Result<Arc<Endpoint>, Lost> {
        let row = match chain {
            ChainId::NOTHING => None,
            chain => Some(self.chains.chain(chain).await?.ok_or(Lost::Chain)?),
        };
        let clad = self.book.clad(endpoint, row.as_ref()).map_err(Lost::Unreadable)?;
        for link in clad.terms.links() {
            let (name, digest) = named(&link.plugin);
            let found = match digest {
                Some(digest) => self.catalog.fetch(name, digest).await,
                None => None,
            };
            found.ok_or_else(|| Lost::Plugin(name.to_owned()))?;
        }
        Ok(Arc::new(clad))
    }

    /// Forgets what is known of endpoints that are gone.
    pub fn retain(&self, is_there: impl Fn(EndpointId) -> bool) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| is_there(*id));
    }
}
