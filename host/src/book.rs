//! The endpoint book: every endpoint, opened, in memory, as of one version of the store's set.
//!
//! Readers take a [`Snapshot`], which never changes. Every change goes through the store first, under the
//! revision it was made from, and is then put in place; so what a reader sees is on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};

use crate::endpoint::Endpoint;
use crate::event::{Channel, EventType, Tenant};
use crate::id::EndpointId;
use crate::seal::SealingKey;
use crate::store::{BookVersion, EndpointRow, Endpoints, StoreError};
use crate::time::Timestamp;

mod record;

pub use record::RecordError;

/// How long [`Book::caught_up`] waits for a change made elsewhere before it reads the store itself.
const PATIENCE: Duration = Duration::from_millis(50);

/// How often a change is tried again that lost to another one.
const TRIES: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum BookError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("endpoint {id}: {source}")]
    Record { id: EndpointId, source: RecordError },
    #[error("endpoint {0} is changed by others all the time; try again")]
    Contended(EndpointId),
}

pub struct Book {
    store: Arc<dyn Endpoints>,
    key: SealingKey,
    snapshot: ArcSwap<Snapshot>,
    /// Held from the write to the store until its result is in place, so that versions come in order.
    writing: Mutex<()>,
    changed: watch::Sender<BookVersion>,
}

/// The endpoints at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    version: BookVersion,
    by_id: BTreeMap<EndpointId, Entry>,
    by_tenant: HashMap<Tenant, Vec<Arc<Endpoint>>>,
}

/// An endpoint and how often it was written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub revision: u64,
    pub endpoint: Arc<Endpoint>,
}

impl Book {
    /// Reads all endpoints.
    ///
    /// # Errors
    ///
    /// Where the store or one of its records cannot be read: an endpoint is never passed over.
    pub async fn open(store: Arc<dyn Endpoints>, key: SealingKey) -> Result<Self, BookError> {
        let snapshot = read(store.as_ref(), &key).await?;
        let (changed, _) = watch::channel(snapshot.version);
        let snapshot = ArcSwap::from_pointee(snapshot);
        Ok(Self { store, key, snapshot, writing: Mutex::new(()), changed })
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn get(&self, id: EndpointId) -> Option<Arc<Endpoint>> {
        self.snapshot.load().entry(id).map(|entry| Arc::clone(&entry.endpoint))
    }

    /// The endpoints of `tenant` that want such an event, and the version that says so. Held ones are among them.
    pub fn matching(
        &self,
        tenant: &Tenant,
        event_type: &EventType,
        channels: &[Channel],
    ) -> (BookVersion, Vec<Arc<Endpoint>>) {
        let snapshot = self.snapshot.load();
        (snapshot.version, snapshot.matching(tenant, event_type, channels))
    }

    /// Tells each new version.
    pub fn watch(&self) -> watch::Receiver<BookVersion> {
        self.changed.subscribe()
    }

    /// Returns once the snapshot is at `version` or later. For whom the store called its version stale.
    pub async fn caught_up(&self, version: BookVersion) -> Result<(), BookError> {
        let mut changes = self.changed.subscribe();
        let arrived = changes.wait_for(|seen| *seen >= version);
        let in_time = tokio::time::timeout(PATIENCE, arrived).await.is_ok();
        if in_time { Ok(()) } else { self.reload().await }
    }

    /// Reads everything again, for changes made by others.
    pub async fn reload(&self) -> Result<(), BookError> {
        let _writing = self.writing.lock().await;
        self.reload_locked().await
    }

    /// Writes a new endpoint.
    pub async fn create(self: &Arc<Self>, endpoint: Endpoint) -> Result<Arc<Endpoint>, BookError> {
        let id = endpoint.id;
        self.put(endpoint, 1).await?.ok_or(BookError::Contended(id))
    }

    /// Writes `endpoint` in the place of the one with `revision`. `None` where that is no longer the stored one.
    pub async fn replace(
        self: &Arc<Self>,
        endpoint: Endpoint,
        revision: u64,
    ) -> Result<Option<Arc<Endpoint>>, BookError> {
        self.put(endpoint, revision + 1).await
    }

    /// Changes an endpoint by a function that may be called more than once. `None` where there is none.
    pub async fn change(
        self: &Arc<Self>,
        id: EndpointId,
        change: impl Fn(&mut Endpoint),
    ) -> Result<Option<Arc<Endpoint>>, BookError> {
        for _ in 0..TRIES {
            let Some(entry) = self.snapshot().entry(id).cloned() else { return Ok(None) };
            let mut endpoint = Endpoint::clone(&entry.endpoint);
            change(&mut endpoint);
            if endpoint == *entry.endpoint {
                return Ok(Some(entry.endpoint));
            }
            if let Some(written) = self.replace(endpoint, entry.revision).await? {
                return Ok(Some(written));
            }
        }
        Err(BookError::Contended(id))
    }

    /// Holds its deliveries. One that is disabled already keeps its reason.
    pub async fn disable(
        self: &Arc<Self>,
        id: EndpointId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), BookError> {
        self.change(id, |endpoint| endpoint.hold.disable(reason, now)).await.map(|_| ())
    }

    /// Deletes it with its secrets. False where there is none.
    pub async fn delete(self: &Arc<Self>, id: EndpointId) -> Result<bool, BookError> {
        let book = Arc::clone(self);
        to_the_end(async move {
            let _writing = book.writing.lock().await;
            let Some(version) = book.store.delete_endpoint(id).await? else { return Ok(false) };
            book.place(version, |snapshot| snapshot.remove(id)).await?;
            Ok(true)
        })
        .await
    }

    async fn put(
        self: &Arc<Self>,
        endpoint: Endpoint,
        revision: u64,
    ) -> Result<Option<Arc<Endpoint>>, BookError> {
        let id = endpoint.id;
        let document =
            record::write(&endpoint, &self.key).map_err(|source| BookError::Record { id, source })?;
        let row = EndpointRow { id, revision, held: !endpoint.enabled(), document };
        let book = Arc::clone(self);
        to_the_end(async move {
            let _writing = book.writing.lock().await;
            let Some(version) = book.store.put_endpoint(row).await? else {
                book.reload_locked().await?;
                return Ok(None);
            };
            let endpoint = Arc::new(endpoint);
            let entry = Entry { revision, endpoint: Arc::clone(&endpoint) };
            book.place(version, |snapshot| snapshot.insert(entry)).await?;
            Ok(Some(endpoint))
        })
        .await
    }

    /// Puts one change in place where it is the only one since; otherwise reads everything.
    async fn place(&self, version: BookVersion, change: impl FnOnce(&mut Snapshot)) -> Result<(), BookError> {
        let mut snapshot = Snapshot::clone(&self.snapshot.load());
        if version.0 != snapshot.version.0 + 1 {
            return self.reload_locked().await;
        }
        change(&mut snapshot);
        snapshot.version = version;
        self.swap(snapshot);
        Ok(())
    }

    async fn reload_locked(&self) -> Result<(), BookError> {
        let snapshot = read(self.store.as_ref(), &self.key).await?;
        self.swap(snapshot);
        Ok(())
    }

    fn swap(&self, snapshot: Snapshot) {
        let version = snapshot.version;
        self.snapshot.store(Arc::new(snapshot));
        self.changed.send_replace(version);
    }
}

/// Runs a change to its end, also where the caller does not wait for it: between the store and the snapshot, the two
/// would tell different things.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, BookError>> + Send + 'static,
) -> Result<T, BookError> {
    let fault = |fault: tokio::task::JoinError| StoreError::Unavailable(fault.to_string());
    tokio::spawn(change).await.map_err(fault)?
}

impl Snapshot {
    pub fn version(&self) -> BookVersion {
        self.version
    }

    pub fn entry(&self, id: EndpointId) -> Option<&Entry> {
        self.by_id.get(&id)
    }

    /// In the order of their ids, which is that of their creation.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.by_id.values()
    }

    pub fn of_tenant(&self, tenant: &Tenant) -> &[Arc<Endpoint>] {
        self.by_tenant.get(tenant).map_or(&[], Vec::as_slice)
    }

    pub fn matching(
        &self,
        tenant: &Tenant,
        event_type: &EventType,
        channels: &[Channel],
    ) -> Vec<Arc<Endpoint>> {
        let wants = |endpoint: &&Arc<Endpoint>| endpoint.subscription.matches(event_type, channels);
        self.of_tenant(tenant).iter().filter(wants).cloned().collect()
    }

    /// Those whose deliveries wait.
    pub fn held(&self) -> HashSet<EndpointId> {
        self.by_id.iter().filter(|(_, entry)| !entry.endpoint.enabled()).map(|(id, _)| *id).collect()
    }

    fn insert(&mut self, entry: Entry) {
        let (id, tenant) = (entry.endpoint.id, entry.endpoint.tenant.clone());
        self.remove(id);
        let row = self.by_tenant.entry(tenant).or_default();
        let place = row.partition_point(|other| other.id < id);
        row.insert(place, Arc::clone(&entry.endpoint));
        self.by_id.insert(id, entry);
    }

    fn remove(&mut self, id: EndpointId) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        if let Some(row) = self.by_tenant.get_mut(&entry.endpoint.tenant) {
            row.retain(|other| other.id != id);
            if row.is_empty() {
                self.by_tenant.remove(&entry.endpoint.tenant);
            }
        }
    }
}

async fn read(store: &dyn Endpoints, key: &SealingKey) -> Result<Snapshot, BookError> {
    let (version, rows) = store.endpoints().await?;
    let mut snapshot = Snapshot { version, ..Snapshot::default() };
    for EndpointRow { id, revision, document, .. } in rows {
        let endpoint = record::read(id, &document, key).map_err(|source| BookError::Record { id, source })?;
        snapshot.insert(Entry { revision, endpoint: Arc::new(endpoint) });
    }
    Ok(snapshot)
}

#[cfg(test)]
mod tests {
    use super::record::tests::endpoint;
    use super::*;
    use crate::store::memory::MemoryStore;

    fn enabled(id: u128) -> Endpoint {
        Endpoint { id: EndpointId::from_u128(id), hold: Default::default(), ..endpoint() }
    }

    fn ids(endpoints: &[Arc<Endpoint>]) -> Vec<u128> {
        endpoints.iter().map(|endpoint| endpoint.id.as_u128()).collect()
    }

    #[tokio::test]
    async fn two_books_on_one_store_agree() {
        let store: Arc<dyn Endpoints> = Arc::new(MemoryStore::new());
        let key = SealingKey::generate();
        let one = Arc::new(Book::open(store.clone(), key.clone()).await.unwrap());
        let other = Arc::new(Book::open(store.clone(), key).await.unwrap());
        let (first, second) = (enabled(1), enabled(2));
        let (event_type, eu) = (EventType::parse("invoice.paid").unwrap(), Channel::parse("eu").unwrap());
        let wanted = |book: &Book| book.matching(&first.tenant, &event_type, std::slice::from_ref(&eu));

        one.create(second.clone()).await.unwrap();
        one.create(first.clone()).await.unwrap();
        let (version, endpoints) = wanted(&one);
        assert_eq!(ids(&endpoints), [1, 2]);
        assert!(one.matching(&Tenant::default(), &event_type, std::slice::from_ref(&eu)).1.is_empty());
        assert!(wanted(&other).1.is_empty());
        other.caught_up(version).await.unwrap();
        assert_eq!(wanted(&other), (version, endpoints));

        let now = Timestamp::from_secs(9);
        other.disable(first.id, "gone", now).await.unwrap();
        assert_eq!(other.snapshot().held(), HashSet::from([first.id]));
        // A change that was made from an outdated state is refused, and what stands is then known.
        assert!(one.replace(first.clone(), 1).await.unwrap().is_none());
        assert!(!one.get(first.id).unwrap().enabled());
        one.change(first.id, |endpoint| endpoint.hold.enable(now)).await.unwrap();
        assert!(one.snapshot().held().is_empty());

        assert!(one.delete(first.id).await.unwrap());
        assert!(!one.delete(first.id).await.unwrap());
        assert_eq!(ids(&wanted(&one).1), [2]);
    }
}
