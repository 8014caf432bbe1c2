//! The book: every endpoint and every document, opened, in memory, as of one version of the store's set.
//!
//! Readers take a [`Snapshot`], which never changes. Every change goes through the store first, under the
//! revision it was made from, and is then put in place; so what a reader sees is on disk.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, watch};
use tracing::error;

use crate::access::{Ended, Key, KeyDigest, PassId};
use crate::catalogue::Versions;
use crate::endpoint::{Endpoint, Hold};
use crate::event::{Channel, EventType, Tenant};
use crate::id::EndpointId;
use crate::notice::{Notice, Topic};
use crate::seal::SealingKey;
use crate::store::{Arrival, BookVersion, DocumentRow, EndpointRow, Shelf, StoreError};
use crate::subscription::Pattern;
use crate::tenant::{HostProfile, Profile};
use crate::terms::{InForce, Terms};
use crate::time::Timestamp;

mod catalogue;
mod described;
mod ended;
mod keys;
mod profiles;
mod record;
mod reseal;
mod terms;
pub mod usage;

pub use catalogue::Listed;
pub use described::{Described, Kept};
pub use record::RecordError;
pub use reseal::reseal;

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
    #[error("{kind} `{name}`: {source}")]
    Document { kind: &'static str, name: String, source: RecordError },
    #[error("{0} is changed by others all the time; try again")]
    Contended(String),
}

pub struct Book {
    store: Arc<dyn Shelf>,
    key: SealingKey,
    /// An attempt's, where nobody says one.
    timeout: Duration,
    snapshot: ArcSwap<Snapshot>,
    /// Held from the write to the store until its result is in place, so that versions come in order.
    writing: Mutex<()>,
    changed: watch::Sender<BookVersion>,
}

/// Everything that is described, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    version: BookVersion,
    timeout: Duration,
    by_id: BTreeMap<EndpointId, Entry>,
    by_tenant: HashMap<Tenant, Vec<Arc<Endpoint>>>,
    /// How many endpoints of a tenant want operational events.
    listening: HashMap<Tenant, usize>,
    tenants: BTreeMap<String, Kept<Profile>>,
    /// One at the most.
    host: BTreeMap<String, Kept<HostProfile>>,
    /// By their digests.
    keys: BTreeMap<String, Kept<Key>>,
    /// By their ids.
    ended: BTreeMap<String, Kept<Ended>>,
    event_types: BTreeMap<String, Kept<Listed>>,
    /// One at the most.
    versions: BTreeMap<String, Kept<Versions>>,
}

/// An endpoint and how often it was written.
#[derive(Debug, Clone)]
pub struct Entry {
    pub revision: u64,
    pub endpoint: Arc<Endpoint>,
}

impl Book {
    /// Reads everything. `timeout` is an attempt's where nobody says one.
    ///
    /// # Errors
    ///
    /// Where the store or one of its records cannot be read: none is ever passed over.
    pub async fn open(store: Arc<dyn Shelf>, key: SealingKey, timeout: Duration) -> Result<Self, BookError> {
        let snapshot = read(store.as_ref(), &key, timeout).await?;
        let (changed, _) = watch::channel(snapshot.version);
        let snapshot = ArcSwap::from_pointee(snapshot);
        Ok(Self { store, key, timeout, snapshot, writing: Mutex::new(()), changed })
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

    /// Takes in what others changed, where they did.
    pub async fn follow(&self) -> Result<(), BookError> {
        let there = self.store.book_version().await?;
        if there > self.snapshot.load().version { self.reload().await } else { Ok(()) }
    }

    /// Reads everything again, for changes made by others.
    pub async fn reload(&self) -> Result<(), BookError> {
        let _writing = self.writing.lock().await;
        self.reload_locked().await
    }

    /// Writes a new endpoint.
    pub async fn create(self: &Arc<Self>, endpoint: Endpoint) -> Result<Arc<Endpoint>, BookError> {
        let id = endpoint.id;
        self.put(endpoint, 1).await?.ok_or_else(|| BookError::Contended(format!("endpoint {id}")))
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
        Err(BookError::Contended(format!("endpoint {id}")))
    }

    /// Holds the endpoint's deliveries, unless it has begun anew since `endpoint`: enabled again, or pointed elsewhere.
    /// One that is disabled already keeps its reason.
    pub async fn disable(
        self: &Arc<Self>,
        endpoint: &Endpoint,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), BookError> {
        let judged_from = endpoint.judged_from;
        let disable = |current: &mut Endpoint| {
            if current.judged_from == judged_from {
                current.hold.disable(reason, now);
            }
        };
        self.change(endpoint.id, disable).await.map(|_| ())
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
        let row = EndpointRow {
            id,
            revision,
            held: !endpoint.enabled(),
            order: endpoint.order,
            judged_from: endpoint.judged_from,
            document,
        };
        let book = Arc::clone(self);
        to_the_end(async move {
            let _writing = book.writing.lock().await;
            let Some(version) =
                book.store.put_endpoint(row, book.snapshot().told_of_change(&endpoint)).await?
            else {
                book.reload_locked().await?;
                return Ok(None);
            };
            book.place(version, |snapshot| snapshot.insert(endpoint, revision)).await?;
            Ok(book.get(id))
        })
        .await
    }

    /// Writes a document in the place of the one with `revision` (0 where there is none). `None` where that is no
    /// longer the stored one.
    pub async fn put_document<T: Described>(
        self: &Arc<Self>,
        value: T,
        revision: u64,
    ) -> Result<Option<Kept<T>>, BookError> {
        let (name, revision) = (value.name(), revision + 1);
        let document = value.write(&self.key).map_err(|source| described::misread::<T>(&name, source))?;
        let row = DocumentRow { kind: T::KIND, name: name.clone(), revision, document };
        let book = Arc::clone(self);
        to_the_end(async move {
            let _writing = book.writing.lock().await;
            let Some(version) = book.store.put_document(row).await? else {
                book.reload_locked().await?;
                return Ok(None);
            };
            let kept = Kept { revision, value: Arc::new(value) };
            let placed = kept.clone();
            book.place(version, |snapshot| snapshot.keep(name, Some(placed))).await?;
            Ok(Some(kept))
        })
        .await
    }

    /// Changes a document by a function that may be called more than once; where there is none, from `new`.
    pub async fn change_document<T: Described>(
        self: &Arc<Self>,
        name: &str,
        new: impl Fn() -> T,
        change: impl Fn(&mut T),
    ) -> Result<Kept<T>, BookError> {
        for _ in 0..TRIES {
            let stored = T::all(&self.snapshot()).get(name).cloned();
            let revision = stored.as_ref().map_or(0, |kept| kept.revision);
            let mut value = stored.map_or_else(&new, |kept| T::clone(&kept.value));
            change(&mut value);
            if let Some(written) = self.put_document(value, revision).await? {
                return Ok(written);
            }
        }
        Err(BookError::Contended(format!("{} `{name}`", T::KIND.word())))
    }

    /// Deletes a document. False where there is none.
    pub async fn delete_document<T: Described>(self: &Arc<Self>, name: &str) -> Result<bool, BookError> {
        let (book, name) = (Arc::clone(self), name.to_owned());
        to_the_end(async move {
            let _writing = book.writing.lock().await;
            let Some(version) = book.store.delete_document(T::KIND, &name).await? else { return Ok(false) };
            book.place(version, |snapshot| snapshot.keep::<T>(name, None)).await?;
            Ok(true)
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
        let snapshot = read(self.store.as_ref(), &self.key, self.timeout).await?;
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

    /// The operational event of this topic, made by `notice` where somebody subscribes to it.
    pub fn tell(
        &self,
        topic: Topic,
        tenant: &Tenant,
        notice: impl FnOnce(Topic) -> Notice,
        now: Timestamp,
    ) -> Option<Arrival> {
        self.listening.get(tenant)?;
        let notice = notice(topic);
        let event_type = topic.event_type().ok()?;
        let wants = |endpoint: &&Arc<Endpoint>| endpoint.subscription.matches(&event_type, &notice.channels);
        let to: Vec<_> = self.of_tenant(tenant).iter().filter(wants).cloned().collect();
        if to.is_empty() {
            return None;
        }
        let arrival = notice.arrival(&to, rand::random(), now);
        arrival.inspect_err(|error| error!(topic = topic.word(), error, "an operational event is lost")).ok()
    }

    /// What there is to tell about an endpoint that becomes as it is here.
    fn told_of_change(&self, next: &Endpoint) -> Vec<Arrival> {
        let was_enabled = self.entry(next.id).is_some_and(|entry| entry.endpoint.enabled());
        let Some(disabled) = next.hold.current.as_ref().filter(|_| was_enabled) else { return Vec::new() };
        let notice = |_| Notice::of_disabled(next, disabled);
        self.tell(Topic::EndpointDisabled, &next.tenant, notice, disabled.since).into_iter().collect()
    }

    /// What was made before then is not delivered to the endpoint: it waited, and was skipped.
    pub fn skips_before(&self, endpoint: &Endpoint) -> Option<Timestamp> {
        self.holds(endpoint).iter().flatten().filter_map(|hold| hold.skips_before).max()
    }

    /// A tenant that somebody has described.
    pub fn tenant(&self, tenant: &Tenant) -> Option<&Kept<Profile>> {
        self.tenants.get(tenant.as_str())
    }

    /// Those that somebody has described, by name.
    pub fn tenants(&self) -> impl ExactSizeIterator<Item = &Arc<Profile>> {
        self.tenants.values().map(|kept| &kept.value)
    }

    /// The key with this digest, also one that opens nothing any more.
    pub fn key(&self, digest: &KeyDigest) -> Option<&Arc<Key>> {
        let found = &self.keys.get(&digest.text())?.value;
        found.digest.matches(digest).then_some(found)
    }

    /// All of them, by digest; also those that open nothing any more.
    pub fn keys(&self) -> impl Iterator<Item = &Arc<Key>> {
        self.keys.values().map(|kept| &kept.value)
    }

    /// Whether the pass was ended before its time.
    pub fn is_ended(&self, id: PassId) -> bool {
        !self.ended.is_empty() && self.ended.contains_key(&id.to_string())
    }

    /// Passes that were ended before their time, in no order.
    pub fn ended(&self) -> impl ExactSizeIterator<Item = &Ended> {
        self.ended.values().map(|kept| &*kept.value)
    }

    pub fn host(&self) -> Option<&Kept<HostProfile>> {
        self.host.values().next()
    }

    /// Those whose deliveries wait.
    pub fn held(&self) -> HashSet<EndpointId> {
        let held = |entry: &&Entry| self.held_because(&entry.endpoint).is_some();
        self.by_id.values().filter(held).map(|entry| entry.endpoint.id).collect()
    }

    /// The endpoint, if its deliveries may go out.
    pub fn open(&self, id: EndpointId) -> Option<&Arc<Endpoint>> {
        self.by_id.get(&id).map(|entry| &entry.endpoint).filter(|found| self.held_because(found).is_none())
    }

    /// Why an endpoint's deliveries wait, as a sentence; `None` where they go out.
    pub fn held_because(&self, endpoint: &Endpoint) -> Option<String> {
        let [own, tenant, host] = self.holds(endpoint).map(|hold| hold?.current.as_ref());
        own.map(|disabled| format!("Its endpoint is disabled: {}", disabled.reason))
            .or_else(|| tenant.map(|offline| format!("Its tenant is offline: {}", offline.reason)))
            .or_else(|| host.map(|offline| format!("The host is offline: {}", offline.reason)))
    }

    /// All the time for which the endpoint's deliveries have waited. Times in which several held them count more than
    /// once, so a delivery is tried for longer then, never for less.
    pub fn held_for(&self, endpoint: &Endpoint, now: Timestamp) -> Duration {
        self.holds(endpoint).iter().flatten().map(|hold| hold.total(now)).sum()
    }

    /// What holds for an endpoint of `tenant` that says so itself.
    pub fn in_force(&self, own: &Terms, tenant: &Tenant) -> InForce {
        let tenant = self.tenant(tenant).map(|kept| &kept.value.terms);
        let host = self.host().map(|kept| &kept.value.terms);
        let said: Vec<_> = [Some(own), tenant, host].into_iter().flatten().collect();
        InForce::of(&said, self.timeout)
    }

    fn holds<'s>(&'s self, endpoint: &'s Endpoint) -> [Option<&'s Hold>; 3] {
        let tenant = self.tenant(&endpoint.tenant).map(|kept| &kept.value.hold);
        [Some(&endpoint.hold), tenant, self.host().map(|kept| &kept.value.hold)]
    }

    fn keep<T: Described>(&mut self, name: String, kept: Option<Kept<T>>) {
        match kept {
            Some(kept) => T::all_mut(self).insert(name.clone(), kept),
            None => T::all_mut(self).remove(&name),
        };
        T::follow(self, &name);
    }

    fn insert(&mut self, mut endpoint: Endpoint, revision: u64) {
        endpoint.terms = self.terms_of(&endpoint);
        let (id, tenant) = (endpoint.id, endpoint.tenant.clone());
        self.remove(id);
        let endpoint = Arc::new(endpoint);
        if endpoint.subscription.events.iter().any(Pattern::is_reserved) {
            *self.listening.entry(tenant.clone()).or_default() += 1;
        }
        let row = self.by_tenant.entry(tenant).or_default();
        let place = row.partition_point(|other| other.id < id);
        row.insert(place, Arc::clone(&endpoint));
        self.by_id.insert(id, Entry { revision, endpoint });
    }

    /// As [`Self::in_force`], with the steps back to the version that the endpoint is pinned to.
    fn terms_of(&self, endpoint: &Endpoint) -> InForce {
        let steps = self.steps_of(endpoint);
        InForce {
            version_lost: steps.is_err(),
            steps: steps.unwrap_or_default(),
            ..self.in_force(&endpoint.own, &endpoint.tenant)
        }
    }

    /// Brings endpoints to what their tenants, the host and the versions say now. Those that it changes nothing for stay
    /// the same.
    fn put_in_force(&mut self, concerned: impl Fn(&Tenant) -> bool) {
        let entries = self.by_id.values().filter(|entry| concerned(&entry.endpoint.tenant));
        let outdated = entries.filter(|entry| self.terms_of(&entry.endpoint) != entry.endpoint.terms);
        for Entry { revision, endpoint } in outdated.cloned().collect::<Vec<_>>() {
            self.insert(Endpoint::clone(&endpoint), revision);
        }
    }

    fn remove(&mut self, id: EndpointId) {
        let Some(entry) = self.by_id.remove(&id) else { return };
        if entry.endpoint.subscription.events.iter().any(Pattern::is_reserved) {
            let listening = self.listening.remove(&entry.endpoint.tenant).unwrap_or(1);
            self.listening.extend((listening > 1).then(|| (entry.endpoint.tenant.clone(), listening - 1)));
        }
        if let Some(row) = self.by_tenant.get_mut(&entry.endpoint.tenant) {
            row.retain(|other| other.id != id);
            if row.is_empty() {
                self.by_tenant.remove(&entry.endpoint.tenant);
            }
        }
    }
}

async fn read(store: &dyn Shelf, key: &SealingKey, timeout: Duration) -> Result<Snapshot, BookError> {
    let (version, endpoints, documents) = read_rows(store).await?;
    let mut snapshot = Snapshot { version, timeout, ..Snapshot::default() };
    for row in &documents {
        described::place(&mut snapshot, row, key)?;
    }
    for EndpointRow { id, revision, document, .. } in endpoints {
        let endpoint = record::read(id, &document, key).map_err(|source| BookError::Record { id, source })?;
        snapshot.insert(endpoint, revision);
    }
    Ok(snapshot)
}

/// Endpoints and documents as of one version.
async fn read_rows(
    store: &dyn Shelf,
) -> Result<(BookVersion, Vec<EndpointRow>, Vec<DocumentRow>), BookError> {
    for _ in 0..TRIES {
        let (version, documents) = store.documents().await?;
        let (same, endpoints) = store.endpoints().await?;
        if version == same {
            return Ok((version, endpoints, documents));
        }
    }
    Err(BookError::Contended("the set of endpoints".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::record::tests::endpoint;
    use super::*;
    use crate::store::memory::MemoryStore;

    const TIMEOUT: Duration = Duration::from_secs(15);

    fn enabled(id: u128) -> Endpoint {
        Endpoint { id: EndpointId::from_u128(id), hold: Default::default(), ..endpoint() }
    }

    fn ids(endpoints: &[Arc<Endpoint>]) -> Vec<u128> {
        endpoints.iter().map(|endpoint| endpoint.id.as_u128()).collect()
    }

    #[tokio::test]
    async fn two_books_on_one_store_agree() {
        let store: Arc<dyn Shelf> = Arc::new(MemoryStore::new());
        let key = SealingKey::generate();
        let one = Arc::new(Book::open(store.clone(), key.clone(), TIMEOUT).await.unwrap());
        let other = Arc::new(Book::open(store.clone(), key, TIMEOUT).await.unwrap());
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
        other.disable(&Endpoint { judged_from: now, ..first.clone() }, "outdated", now).await.unwrap();
        assert!(other.snapshot().held().is_empty());
        other.disable(&first, "gone", now).await.unwrap();
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
