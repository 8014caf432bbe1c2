//! Files of an older format open as if they had always been of this one; and the index that is kept, change by change, is
//! the one that is made at once.

use std::collections::BTreeMap;
use std::path::Path;

use hookwright::delivery::{Delivery, State};
use hookwright::event::Event;
use hookwright::id::{DeliveryId, EndpointId, EventId};
use hookwright::store::redb::{OpenError, Options, RedbStore};
use hookwright::store::{
    Append, BookVersion, DeliveryFilter, Endpoints as _, EventFilter, History as _, Inbox as _, PageRequest,
    Queue as _, Statistics as _,
};
use hookwright::time::Timestamp;
use hookwright_tests::conformance::world::{
    LEASE_END, START, all, arrival, at, channel, event_type, finished, retried, row, tenant,
};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};
use tempfile::TempDir;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const POSTINGS: TableDefinition<'_, (&[u8], u64), &[u8]> = TableDefinition::new("postings");
const SPANS: TableDefinition<'_, u64, (i64, i64, i64, i64, i64)> = TableDefinition::new("spans");
/// Of the counters, those that tell what is pending.
const STANDINGS: TableDefinition<'_, u128, &[u8]> = TableDefinition::new("standings");
const PENDING_SINCE: TableDefinition<'_, (u128, i64, u64), ()> = TableDefinition::new("pending_since");
/// Of format 1: (endpoint, place) -> state.
const BY_ENDPOINT: TableDefinition<'_, (u128, u64), u8> = TableDefinition::new("by_endpoint");

/// A store's folder, and what happens in it.
struct Ground {
    folder: TempDir,
    endpoints: Vec<EndpointId>,
    minted: u64,
}

/// What a store answers to every list.
type Lists = (Vec<EventId>, Vec<Delivery>, Vec<Vec<Delivery>>);

impl Ground {
    async fn new(endpoints: u64) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let endpoints: Vec<_> = (1..=endpoints).map(|n| EndpointId::mint(START, n << 20)).collect();
        let ground = Self { folder, endpoints, minted: 100 };
        let store = ground.open();
        for endpoint in &ground.endpoints {
            store.put_endpoint(row(*endpoint, 1, false), Vec::new()).await.unwrap().expect("a new endpoint");
        }
        ground
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("store.redb")
    }

    /// Each commit writes all it knows into the index.
    fn open(&self) -> RedbStore {
        RedbStore::open(&self.path(), Options { most_young: 0, ..Options::default() }).expect("a store")
    }

    fn event(&mut self, seconds: u64) -> Event {
        self.minted += 1;
        let n = self.minted;
        Event {
            id: EventId::mint(at(seconds), n << 20),
            producer_id: None,
            event_type: event_type(["invoice.paid", "invoice.sent"][(n % 2) as usize]),
            tenant: tenant(["a", "b", "c"][(n % 3) as usize]),
            timestamp: at(seconds),
            accepted_at: at(seconds),
            channels: if n.is_multiple_of(5) { vec![channel("x")] } else { vec![] },
            payload: bytes::Bytes::from_static(b"{}"),
        }
    }

    /// Accepts events with deliveries of every kind: some end at once, some after a retry, some never; some are
    /// cancelled, replayed, or pruned.
    async fn live(&mut self, store: &RedbStore, base: u64) {
        let version = BookVersion(self.endpoints.len() as u64);
        for n in 0..30 {
            let event = self.event(base + n);
            // An endpoint is of one tenant, as an event is.
            let own: Vec<_> = self.endpoints.iter().skip((self.minted % 3) as usize).step_by(3).collect();
            // Some events have several deliveries to one endpoint.
            let deliveries: Vec<_> = (0..n % 4)
                .filter_map(|m| own.get(((n * m) as usize) % own.len().max(1)).copied())
                .map(|endpoint| (*endpoint, n % 5 == 0))
                .collect();
            let done = store.append(vec![arrival(event, &deliveries)], version, at(LEASE_END)).await.unwrap();
            assert!(matches!(done, Append::Done(_)));
        }
        let claimed = store.claim(all(base + 31)).await.unwrap();
        let mut settled = vec![];
        for (n, claimed) in claimed.iter().enumerate() {
            settled.push(match n % 5 {
                0 => retried(claimed, base + 32, base + 35),
                1 => finished(claimed, State::Failed, base + 32),
                2 => continue,
                _ => finished(claimed, State::Delivered, base + 32),
            });
        }
        store.settle(settled).await.unwrap();
        for (n, claimed) in store.claim(all(base + 40)).await.unwrap().iter().enumerate() {
            let id = claimed.delivery.id;
            match n % 3 {
                0 => drop(store.cancel(id, "Enough.".to_owned(), at(base + 41)).await.unwrap()),
                1 => drop(store.settle(vec![finished(claimed, State::Filtered, base + 41)]).await.unwrap()),
                _ => store.release(vec![claimed.lease], at(base + 50)).await.unwrap(),
            }
        }
        for (n, claimed) in claimed.iter().enumerate().step_by(3) {
            store.replay(claimed.delivery.id, n % 2 == 0, at(base + 42)).await.unwrap();
        }
    }
}

async fn lists(store: &RedbStore, endpoints: &[EndpointId]) -> Lists {
    let page = PageRequest { after: None, limit: 4_000 };
    let events = store.events(EventFilter::default(), page).await.unwrap();
    let mut filters = vec![];
    for endpoint in endpoints.iter().copied().map(Some).chain([None]) {
        for state in State::ALL.map(Some).into_iter().chain([None]) {
            for name in [None, Some(tenant("a"))] {
                filters.push(DeliveryFilter { endpoint, state, tenant: name, ..DeliveryFilter::default() });
            }
        }
    }
    let everything = store.deliveries(DeliveryFilter::default(), page).await.unwrap().items;
    let mut found = vec![];
    for filter in filters {
        let listed = store.deliveries(filter.clone(), page).await.unwrap().items;
        let expected: Vec<_> = everything.iter().filter(|delivery| filter.fits(delivery)).cloned().collect();
        assert_eq!(listed, expected, "{filter:?}");
        found.push(listed);
    }
    (events.items.iter().map(|event| event.id).collect(), everything, found)
}

/// How many deliveries of each endpoint are pending, and since when.
async fn queues(store: &RedbStore, endpoints: &[EndpointId]) -> Vec<(u64, Option<Timestamp>)> {
    let standings = store.standings(endpoints.to_vec()).await.unwrap();
    standings.iter().map(|standing| (standing.pending, standing.oldest_pending_at)).collect()
}

type Postings = BTreeMap<(Vec<u8>, u64), Vec<u8>>;

fn postings(path: &Path) -> Postings {
    let database = Database::open(path).expect("a file");
    let read = database.begin_read().expect("a snapshot");
    let table = read.open_table(POSTINGS).expect("an index");
    let rows = table.iter().expect("its rows").map(|row| {
        let (key, row) = row.expect("a row");
        ((key.value().0.to_vec(), key.value().1), row.value().to_vec())
    });
    rows.collect()
}

/// Makes a file what it would be in format 1.
fn take_back(path: &Path, deliveries: &[(u64, Delivery)]) {
    let database = Database::open(path).expect("a file");
    let write = database.begin_write().expect("a commit");
    write.delete_table(POSTINGS).expect("an index");
    write.delete_table(SPANS).expect("an index");
    write.delete_table(STANDINGS).expect("counters");
    write.delete_table(PENDING_SINCE).expect("counters");
    {
        let mut meta = write.open_table(META).expect("a table");
        assert_eq!(meta.insert("format", 1).expect("a row").map(|before| before.value()), Some(2));
        meta.remove("indexed").expect("a row");
        meta.remove("counters").expect("a row");
        let mut by_endpoint = write.open_table(BY_ENDPOINT).expect("a table");
        for (place, delivery) in deliveries {
            let state = State::ALL.iter().position(|state| *state == delivery.state).expect("a state");
            by_endpoint.insert((delivery.endpoint.as_u128(), *place), state as u8).expect("a row");
        }
    }
    write.commit().expect("a commit");
}

/// Deliveries with the keys of their places: events have the sequences 1, 2, ... in the order of their ids.
fn places(events: &[EventId], deliveries: &[Delivery], pruned: u64) -> Vec<(u64, Delivery)> {
    let mut oldest_first = events.to_vec();
    oldest_first.sort();
    let place = |id: DeliveryId| {
        let index = oldest_first.iter().position(|event| *event == id.event()).expect("its event") as u64;
        ((index + 1 + pruned) << 16) | u64::from(id.ordinal())
    };
    deliveries.iter().map(|delivery| (place(delivery.id), delivery.clone())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_format_1_has_the_same_lists() {
    let mut ground = Ground::new(3).await;
    let store = ground.open();
    ground.live(&store, 0).await;
    ground.live(&store, 100).await;
    let before = lists(&store, &ground.endpoints).await;
    assert!(before.0.len() == 60 && before.1.len() > 60, "{} deliveries", before.1.len());
    let queues_before = queues(&store, &ground.endpoints).await;
    assert!(queues_before.iter().all(|(pending, _)| *pending > 0), "{queues_before:?}");
    drop(store);
    take_back(&ground.path(), &places(&before.0, &before.1, 0));

    for round in 0..2 {
        let store = RedbStore::open(&ground.path(), Options::default()).expect("an older file is opened");
        assert_eq!(lists(&store, &ground.endpoints).await, before, "opening {round}");
        assert_eq!(queues(&store, &ground.endpoints).await, queues_before, "opening {round}");
    }
    let store = ground.open();
    ground.live(&store, 200).await;
    assert_eq!(lists(&store, &ground.endpoints).await.0.len(), 90, "it is used like any other");
    drop(store);
    let database = Database::open(ground.path()).expect("a file");
    let read = database.begin_read().expect("a snapshot");
    assert!(read.open_table(BY_ENDPOINT).is_err(), "what nobody reads any more is gone");
    assert_eq!(read.open_table(META).unwrap().get("format").unwrap().map(|it| it.value()), Some(2));
}

#[tokio::test]
async fn a_file_of_a_newer_format_is_refused() {
    let ground = Ground::new(1).await;
    let database = Database::open(ground.path()).expect("a file");
    let write = database.begin_write().expect("a commit");
    write.open_table(META).expect("a table").insert("format", 3).expect("a row");
    write.commit().expect("a commit");
    drop(database);
    let refused = RedbStore::open(&ground.path(), Options::default());
    assert!(matches!(refused, Err(OpenError::Newer { found: 3, .. })), "{refused:?}");
}

/// No row names an event in vain, nor leaves one out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_index_that_is_kept_is_the_one_that_is_made() {
    let mut ground = Ground::new(3).await;
    for base in [0, 100, 200] {
        let store = ground.open();
        ground.live(&store, base).await;
        while !store.prune(at(base + 41), 10).await.unwrap().done {}
        drop(store);
        // What was on its way gets its rows.
        drop(ground.open());
        let kept = postings(&ground.path());
        assert!(kept.len() > 20, "{} rows", kept.len());
        take_back(&ground.path(), &[]);
        drop(ground.open());
        let made = postings(&ground.path());
        for key in kept.keys().chain(made.keys()) {
            let attribute = key.0.escape_ascii();
            assert_eq!(kept.get(key), made.get(key), "{attribute} in chunk {} after {base} s", key.1);
        }
    }
}
