//! Random operations on the store and on its model, plain memory: the answers are the same, and so is what can be
//! seen afterwards.
//!
//! `PROPTEST_CASES` asks for more rounds. A failure prints the shortest list of operations that shows it.
//!
//! What stores may do differently is not compared: the numbers of generations, and whose turn it is where a claim
//! has not room for all. There the model follows the store, within the bounds of the claim.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use hookwright::delivery::{Delivery, State};
use hookwright::endpoint::Order;
use hookwright::event::{Event, EventType, ProducerId};
use hookwright::id::{DeliveryId, EndpointId, EventId};
use hookwright::store::memory::MemoryStore;
use hookwright::store::{
    Append, Appended, Arrival, BookVersion, Claim, Claimed, DeliveryFilter, DeliveryRecord, EndpointRow,
    Endpoints, ErrorFilter, ErrorPageRequest, EventFilter, EventRecord, History, Inbox, Lease, PageRequest,
    Queue, Replay, Scope, Settings, Settle, Settled, Statistics, Steer, Store, Volumes,
};
use hookwright::tally::{Resolution, Tally, Window};
use hookwright::time::Timestamp;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};
use tokio::runtime::Handle;

use super::world::{Cursor, START, arrival, attempt, channel, event_type, full_attempt, row, tenant};
use super::{Lasting, Subject};

/// Rounds, unless `PROPTEST_CASES` says otherwise.
const CASES: u32 = 24;
const MOST_OPERATIONS: usize = 60;
const ENDPOINTS: usize = 5;
/// A bit for each endpoint of the first tenant; the others are of the second.
const OF_FIRST_TENANT: u8 = 0b0101_0101;
/// Leases are picked out of the latest ones, so that most of them are good.
const LATEST_LEASES: usize = 10;
/// Far more than a round has to prune.
const MOST_PRUNE_CALLS: usize = 10_000;
/// Filters that are tried after each operation; at the end of a round all are.
const FILTERS_BETWEEN: u64 = 4;
/// Operations between two openings.
const OPERATIONS_PER_OPENING: usize = 8;

pub async fn the_memory_store_agrees<S: Subject>() {
    rounds(check::<S>).await;
}

/// The same, where the store is closed and opened every now and then.
pub(super) async fn the_memory_store_agrees_with_what_is_opened_again<S: Lasting>() {
    rounds(check_reopening::<S>).await;
}

async fn rounds<F: Future<Output = ()>>(check: impl Fn(Vec<Operation>) -> F + Send + 'static) {
    let runtime = Handle::current();
    let rounds = tokio::task::spawn_blocking(move || {
        let operations = prop::collection::vec(operation(), 1..MOST_OPERATIONS);
        TestRunner::new(config()).run(&operations, |operations| {
            runtime.block_on(check(operations));
            Ok(())
        })
    });
    if let Err(failure) = rounds.await.expect("the rounds end") {
        panic!("{failure}");
    }
}

fn config() -> Config {
    let asked = Config { failure_persistence: None, ..Config::default() };
    match std::env::var_os("PROPTEST_CASES") {
        Some(_) => asked,
        None => Config { cases: CASES, ..asked },
    }
}

/// Endpoints, leases and deliveries are picked out of what there is when the operation's turn comes.
#[derive(Debug, Clone)]
enum Operation {
    Pass { seconds: u64 },
    Append { posts: Vec<Post>, stale: bool, lease: u64 },
    Claim { limit: usize, per_endpoint: usize, skip: u8, lease: u64 },
    Settle { picks: Vec<(Index, Fate)> },
    Renew { pick: Index, lease: u64 },
    Release { pick: Index, pause: u64 },
    Retry { pick: Index },
    Cancel { pick: Index },
    Replay { pick: Index, new_webhook_id: bool },
    PutEndpoint { pick: usize, held: bool, order: Order, late: bool },
    DeleteEndpoint { pick: usize },
    CancelOrphans,
    CancelWaiting { pick: usize, age: u64 },
    Prune { age: u64, limit: usize },
    PutSetting { name: u8, value: u8, only_if_absent: bool },
}

#[derive(Debug, Clone)]
struct Post {
    producer_id: Option<u8>,
    tenant: u8,
    content: u8,
    /// A bit for each endpoint.
    deliveries: u8,
    take: u8,
}

#[derive(Debug, Clone, Copy)]
enum Fate {
    Ends(State),
    Retries {
        pause: u64,
    },
    /// Like `Retries`, but without an attempt.
    Waits {
        pause: u64,
    },
}

fn operation() -> impl Strategy<Value = Operation> {
    let pick = any::<Index>;
    let endpoint = || 0..ENDPOINTS;
    let lease = || 1..40_u64;
    prop_oneof![
        2 => (1..30_u64).prop_map(|seconds| Operation::Pass { seconds }),
        6 => (prop::collection::vec(post(), 0..4), prop::bool::weighted(0.1), lease())
            .prop_map(|(posts, stale, lease)| Operation::Append { posts, stale, lease }),
        6 => (prop_oneof![0..6_usize, Just(usize::MAX)], prop_oneof![0..3_usize, Just(usize::MAX)], any::<u8>(), any::<u8>(), lease())
            .prop_map(|(limit, per_endpoint, skip, and, lease)| Operation::Claim { limit, per_endpoint, skip: skip & and, lease }),
        6 => prop::collection::vec((pick(), fate()), 1..5).prop_map(|picks| Operation::Settle { picks }),
        1 => (pick(), lease()).prop_map(|(pick, lease)| Operation::Renew { pick, lease }),
        2 => (pick(), 0..30_u64).prop_map(|(pick, pause)| Operation::Release { pick, pause }),
        2 => pick().prop_map(|pick| Operation::Retry { pick }),
        2 => pick().prop_map(|pick| Operation::Cancel { pick }),
        3 => (pick(), any::<bool>()).prop_map(|(pick, new_webhook_id)| Operation::Replay { pick, new_webhook_id }),
        4 => (endpoint(), prop::bool::weighted(0.3), order(), prop::bool::weighted(0.1))
            .prop_map(|(pick, held, order, late)| Operation::PutEndpoint { pick, held, order, late }),
        1 => endpoint().prop_map(|pick| Operation::DeleteEndpoint { pick }),
        1 => Just(Operation::CancelOrphans),
        1 => (endpoint(), 0..60_u64).prop_map(|(pick, age)| Operation::CancelWaiting { pick, age }),
        2 => (0..60_u64, 1..5_usize).prop_map(|(age, limit)| Operation::Prune { age, limit }),
        1 => (0..3_u8, any::<u8>(), any::<bool>())
            .prop_map(|(name, value, only_if_absent)| Operation::PutSetting { name, value, only_if_absent }),
    ]
}

fn post() -> impl Strategy<Value = Post> {
    (prop::option::weighted(0.3, 0..4_u8), 0..2_u8, 0..2_u8, any::<u8>(), any::<u8>()).prop_map(
        |(producer_id, tenant, content, deliveries, take)| Post {
            producer_id,
            tenant,
            content,
            deliveries,
            take,
        },
    )
}

fn order() -> impl Strategy<Value = Order> {
    prop_oneof![Just(Order::Free), Just(Order::Strict), (1..3_u32).prop_map(|after| Order::Parking { after })]
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        3 => prop::sample::select(&State::ALL[1..]).prop_map(Fate::Ends),
        3 => (0..30_u64).prop_map(|pause| Fate::Retries { pause }),
        1 => (0..30_u64).prop_map(|pause| Fate::Waits { pause }),
    ]
}

async fn check<S: Subject>(operations: Vec<Operation>) {
    let mut pair = Pair::<S>::new().await;
    for operation in operations {
        pair.run(operation).await;
        pair.compare_lists().await;
        pair.compare_counts().await;
    }
    pair.compare_records().await;
    pair.compare_all_filters().await;
}

async fn check_reopening<S: Lasting>(operations: Vec<Operation>) {
    let mut pair = Pair::<S>::new().await;
    for operations in operations.chunks(OPERATIONS_PER_OPENING) {
        for operation in operations {
            pair.run(operation.clone()).await;
        }
        pair = pair.reopen().await;
        pair.compare_lists().await;
    }
    pair.compare_records().await;
    pair.compare_all_filters().await;
}

/// Calls a method of both stores and answers what both of them answered.
macro_rules! same {
    ($pair:ident.$method:ident($($argument:expr),*)) => {{
        let expected = $pair.model.$method($($argument.clone()),*).await.unwrap();
        let answer = $pair.store().$method($($argument.clone()),*).await.unwrap();
        assert_eq!(answer, expected, "`{}` answers what the model answers", stringify!($method));
        answer
    }};
}

struct Pair<S> {
    model: MemoryStore,
    subject: S,
    endpoints: Vec<EndpointId>,
    /// Every lease there ever was.
    leases: Vec<Held>,
    seconds: u64,
    /// Makes all times different, so that what is due first is never a matter of taste.
    moments: u64,
    plain: Plain,
}

/// What came of the operations, counted one by one.
#[derive(Debug, Default, PartialEq)]
struct Plain {
    events: u64,
    promised: u64,
    replays: u64,
    attempts: u64,
    /// Deliveries that ended, by [`State::ALL`].
    ends: [u64; 5],
}

impl Plain {
    fn appended(&mut self, arrival: &Arrival) {
        self.events += 1;
        self.promised += arrival.deliveries.len() as u64;
    }

    fn ended(&mut self, state: State, number: usize) {
        let place = State::ALL.iter().position(|other| *other == state).unwrap();
        self.ends[place] += number as u64;
    }

    /// The same out of a store's counters.
    fn of(tally: &Tally) -> Self {
        let ends = [0, tally.delivered, tally.filtered, tally.failed, tally.cancelled];
        let Tally { events, promised, replays, attempts, .. } = *tally;
        Self { events, promised, replays, attempts, ends }
    }
}

struct Held {
    model: Lease,
    store: Lease,
    until: Timestamp,
}

impl<S: Subject> Pair<S> {
    async fn new() -> Self {
        let endpoints = (0..ENDPOINTS as u64).map(|n| EndpointId::mint(START, n << 20)).collect();
        let (model, subject) = (MemoryStore::new(), S::create().await);
        Self { model, subject, endpoints, leases: vec![], seconds: 0, moments: 0, plain: Plain::default() }
    }

    /// As after a restart: whoever held a lease is gone.
    async fn reopen(self) -> Self
    where
        S: Lasting,
    {
        let (model, subject) = (self.model.restarted(), self.subject.reopen().await);
        Self { model, subject, leases: vec![], ..self }
    }

    fn store(&self) -> &dyn Store {
        &**self.subject.store()
    }

    /// A moment of its own, so many seconds from now.
    fn moment(&mut self, seconds: u64) -> Timestamp {
        self.moments += 1;
        START.plus(Duration::from_secs(self.seconds + seconds) + Duration::from_micros(self.moments))
    }

    async fn run(&mut self, operation: Operation) {
        match operation {
            Operation::Pass { seconds } => self.seconds += seconds,
            Operation::Append { posts, stale, lease } => self.append(posts, stale, lease).await,
            Operation::Claim { limit, per_endpoint, skip, lease } => {
                let (now, lease_until) = (self.moment(0), self.moment(lease));
                let skip = self.chosen(skip).collect();
                self.claim(Claim { now, lease_until, limit, per_endpoint, skip }).await;
            }
            Operation::Settle { picks } => self.settle(picks).await,
            Operation::Renew { pick, lease } => self.renew(pick, lease).await,
            Operation::Release { pick, pause } => self.release(pick, pause).await,
            Operation::Retry { .. } | Operation::Cancel { .. } | Operation::Replay { .. } => {
                self.steer(operation).await;
            }
            Operation::PutEndpoint { pick, held, order, late } => {
                self.put_endpoint(pick, held, order, late).await;
            }
            Operation::DeleteEndpoint { pick } => drop(same!(self.delete_endpoint(self.endpoints[pick]))),
            Operation::CancelOrphans => {
                let now = self.moment(0);
                let cancelled = same!(self.cancel_orphans(usize::MAX, now));
                self.plain.ended(State::Cancelled, cancelled);
            }
            Operation::CancelWaiting { pick, age } => {
                let now = self.moment(0);
                let (endpoint, before) = (self.endpoints[pick], now.minus(Duration::from_secs(age)));
                let cancelled =
                    same!(self.cancel_waiting(endpoint, before, usize::MAX, "Skipped.".to_owned(), now));
                self.plain.ended(State::Cancelled, cancelled);
            }
            Operation::Prune { age, limit } => self.prune(age, limit).await,
            Operation::PutSetting { name, value, only_if_absent } => {
                self.put_setting(&format!("setting {name}"), vec![value], only_if_absent).await;
            }
        }
    }

    async fn append(&mut self, posts: Vec<Post>, stale: bool, lease: u64) {
        let batch: Vec<Arrival> = posts.into_iter().map(|post| self.arrival(post)).collect();
        let BookVersion(version) = same!(self.endpoints()).0;
        let against = BookVersion(version - u64::from(stale && version > 0));
        let until = self.moment(lease);
        let expected = self.model.append(batch.clone(), against, until).await.unwrap();
        let answer = self.store().append(batch.clone(), against, until).await.unwrap();
        let (expected, answer) = match (expected, answer) {
            (Append::Done(expected), Append::Done(answer)) => (expected, answer),
            (expected, answer) => return assert_eq!(answer, expected),
        };
        assert_eq!(answer.len(), expected.len());
        for ((expected, answer), arrival) in expected.into_iter().zip(answer).zip(&batch) {
            if matches!(expected, Appended::Accepted { .. }) {
                self.plain.appended(arrival);
            }
            self.compare_appended(expected, answer, until);
        }
    }

    fn compare_appended(&mut self, expected: Appended, answer: Appended, until: Timestamp) {
        let (expected, answer) = match (expected, answer) {
            (Appended::Accepted { taken: expected }, Appended::Accepted { taken }) => (expected, taken),
            (expected, answer) => return assert_eq!(answer, expected),
        };
        let named = |leases: &[Lease]| leases.iter().map(|lease| lease.delivery).collect::<Vec<_>>();
        assert_eq!(named(&answer), named(&expected), "the taken deliveries");
        let pairs = expected.into_iter().zip(answer);
        self.leases.extend(pairs.map(|(model, store)| Held { model, store, until }));
    }

    fn arrival(&mut self, post: Post) -> Arrival {
        let now = self.moment(0);
        let event = Event {
            id: EventId::mint(now, self.moments << 20),
            producer_id: post.producer_id.map(|id| ProducerId::parse(&format!("id {id}")).unwrap()),
            event_type: event_type(["invoice.paid", "invoice.sent"][usize::from(post.content)]),
            tenant: tenant(["a", "b"][usize::from(post.tenant)]),
            timestamp: now,
            accepted_at: now,
            channels: if post.content == post.tenant { vec![channel("x")] } else { vec![] },
            payload: Bytes::from(vec![post.content]),
        };
        let take: HashSet<_> = self.chosen(post.take).collect();
        let own = self.chosen(post.deliveries & (OF_FIRST_TENANT << post.tenant));
        let deliveries: Vec<_> = own.map(|id| (id, take.contains(&id))).collect();
        arrival(event, &deliveries)
    }

    /// The endpoints whose bits are set.
    fn chosen(&self, bits: u8) -> impl Iterator<Item = EndpointId> {
        self.endpoints.iter().enumerate().filter(move |(n, _)| bits & (1 << n) != 0).map(|(_, id)| *id)
    }

    async fn claim(&mut self, claim: Claim) {
        let room = self.model.fork().claim(claim.clone()).await.unwrap().len();
        let answer = self.store().claim(claim.clone()).await.unwrap();
        assert_eq!(answer.len(), room, "as many are handed out as the bounds allow");
        let mut by_endpoint: BTreeMap<EndpointId, Vec<Claimed>> = BTreeMap::new();
        for claimed in answer {
            by_endpoint.entry(claimed.delivery.endpoint).or_default().push(claimed);
        }
        for (endpoint, answer) in by_endpoint {
            assert!(answer.len() <= claim.per_endpoint && !claim.skip.contains(&endpoint));
            self.follow(endpoint, answer, &claim).await;
        }
    }

    /// Has the model hand out as many deliveries of the endpoint as the store did, which must be the same ones.
    async fn follow(&mut self, endpoint: EndpointId, answer: Vec<Claimed>, claim: &Claim) {
        let skip = self.endpoints.iter().copied().filter(|id| *id != endpoint).collect();
        let alike = Claim { limit: answer.len(), per_endpoint: usize::MAX, skip, ..claim.clone() };
        let expected = self.model.claim(alike).await.unwrap();
        let told = |claimed: &[Claimed]| -> Vec<(Delivery, Event)> {
            claimed.iter().map(|claimed| (claimed.delivery.clone(), (*claimed.event).clone())).collect()
        };
        assert_eq!(told(&answer), told(&expected), "the longest due of {endpoint}");
        let pairs = expected.into_iter().zip(answer);
        let until = claim.lease_until;
        self.leases.extend(pairs.map(|(model, store)| Held {
            model: model.lease,
            store: store.lease,
            until,
        }));
    }

    /// A lease out of all. None that has expired and was not claimed again: a store may, but need not, still take
    /// its settlement.
    fn pick(&mut self, pick: Index) -> Option<usize> {
        let now = self.moment(0);
        let settled: Vec<usize> = (0..self.leases.len())
            .filter(|n| {
                let held = &self.leases[*n];
                let later = &self.leases[n + 1..];
                held.until > now || later.iter().any(|later| later.model.delivery == held.model.delivery)
            })
            .collect();
        let latest = &settled[settled.len().saturating_sub(LATEST_LEASES)..];
        (!latest.is_empty()).then(|| *pick.get(latest))
    }

    async fn settle(&mut self, picks: Vec<(Index, Fate)>) {
        let (mut for_model, mut for_store) = (vec![], vec![]);
        for (pick, fate) in picks {
            let Some(n) = self.pick(pick) else { return };
            let (model, store) = (self.leases[n].model, self.leases[n].store);
            let Some(record) = self.model.delivery(model.delivery).await.unwrap() else { continue };
            let settled = self.settlement(model, record.delivery, fate);
            for_store.push(Settled { lease: store, ..settled.clone() });
            for_model.push(settled);
        }
        let expected: Vec<Settle> = self.model.settle(for_model.clone()).await.unwrap();
        assert_eq!(self.store().settle(for_store).await.unwrap(), expected, "`settle`");
        for (settled, _) in for_model.iter().zip(&expected).filter(|(_, answer)| answer.is_done()) {
            self.plain.attempts += u64::from(settled.attempt.is_some());
            self.plain.ended(settled.delivery.state, usize::from(settled.delivery.state.is_final()));
            settled.announce.iter().for_each(|arrival| self.plain.appended(arrival));
        }
    }

    fn settlement(&mut self, lease: Lease, mut delivery: Delivery, fate: Fate) -> Settled {
        use hookwright::attempt::{BodyRecord, Outcome};

        let now = self.moment(0);
        let seconds = self.seconds;
        delivery.attempts += 1;
        delivery.first_attempt_at.get_or_insert(now);
        let number = delivery.attempts;
        let refused = Outcome::Refused { status: 500, retry_after: None };
        let (delivery, attempt) = match fate {
            Fate::Ends(state) => {
                let ended = delivery.finish(state, Some(state.word().to_owned()), now);
                (ended, Some(full_attempt(number, refused, BodyRecord::Payload)))
            }
            Fate::Retries { pause } => {
                let due = Some(self.moment(pause));
                let waiting = Delivery { state: State::Pending, due, finished_at: None, ..delivery };
                (waiting, Some(attempt(number, seconds, refused)))
            }
            Fate::Waits { pause } => {
                let due = Some(self.moment(pause));
                (Delivery { state: State::Pending, due, finished_at: None, ..delivery }, None)
            }
        };
        let told = Post { producer_id: None, tenant: 0, content: 0, deliveries: 0b1, take: 0b1 };
        let tells = delivery.state == State::Failed;
        let announce = if tells { vec![self.arrival(told)] } else { vec![] };
        Settled { lease, delivery, attempt, announce, recovery: vec![] }
    }

    async fn renew(&mut self, pick: Index, lease: u64) {
        let Some(n) = self.pick(pick) else { return };
        let until = self.moment(lease);
        let lost = self.model.renew(vec![self.leases[n].model], until).await.unwrap();
        let answer = self.store().renew(vec![self.leases[n].store], until).await.unwrap();
        assert_eq!(answer.len(), lost.len(), "`renew`");
        if lost.is_empty() {
            self.leases[n].until = until;
        }
    }

    async fn release(&mut self, pick: Index, pause: u64) {
        let Some(n) = self.pick(pick) else { return };
        let due = self.moment(pause);
        self.model.release(vec![self.leases[n].model], due).await.unwrap();
        self.store().release(vec![self.leases[n].store], due).await.unwrap();
    }

    async fn steer(&mut self, operation: Operation) {
        let now = self.moment(0);
        let known = every_delivery(&self.model).await;
        if known.is_empty() {
            return;
        }
        // One in so many is a delivery that does not exist.
        let id = |pick: Index| match pick.index(known.len() + 1).checked_sub(1) {
            Some(n) => known[n].id,
            None => DeliveryId::of(known[0].id.event(), u16::MAX),
        };
        match operation {
            Operation::Retry { pick } => drop(same!(self.retry_now(id(pick), now))),
            Operation::Cancel { pick } => {
                let steer = same!(self.cancel(id(pick), "Enough.".to_owned(), now));
                self.plain.ended(State::Cancelled, usize::from(matches!(steer, Steer::Done(_))));
            }
            Operation::Replay { pick, new_webhook_id } => {
                let replay = same!(self.replay(id(pick), new_webhook_id, now));
                self.plain.replays += u64::from(matches!(replay, Replay::Done(_)));
            }
            other => unreachable!("{other:?} steers no delivery"),
        }
    }

    async fn put_endpoint(&mut self, pick: usize, held: bool, order: Order, late: bool) {
        let id = self.endpoints[pick];
        let (_, rows) = self.model.endpoints().await.unwrap();
        let stored = rows.iter().find(|row| row.id == id).map_or(0, |row| row.revision);
        let row = EndpointRow { order, ..row(id, stored + u64::from(!late), held) };
        same!(self.put_endpoint(row, vec![]));
    }

    async fn put_setting(&mut self, name: &str, value: Vec<u8>, only_if_absent: bool) {
        if only_if_absent {
            same!(self.setting_or(name, value));
        } else {
            same!(self.put_setting(name, value));
        }
        same!(self.setting(name));
    }

    async fn prune(&mut self, age: u64, limit: usize) {
        let before = self.moment(0).minus(Duration::from_secs(age));
        let expected = prune_all(&self.model, before, limit).await;
        assert_eq!(prune_all(self.store(), before, limit).await, expected, "`prune`");
    }

    async fn compare_lists(&self) {
        assert_eq!(sorted_rows(self.store()).await, sorted_rows(&self.model).await);
        assert_eq!(every_delivery(self.store()).await, every_delivery(&self.model).await);
        assert_eq!(every_event(self.store()).await, every_event(&self.model).await);
        same!(self.pending());
        for skip in [0, 0b10101, 0b01010] {
            let skip: HashSet<_> = self.chosen(skip).collect();
            same!(self.next_due(skip));
        }
        let (everything, filters) = (every_delivery(&self.model).await, self.delivery_filters());
        for n in 0..FILTERS_BETWEEN {
            let pick = (self.moments * FILTERS_BETWEEN + n) * 7_919 % filters.len() as u64;
            self.compare_deliveries(&filters[pick as usize], &everything).await;
        }
    }

    /// Every combination of what can be asked for finds what looking at everything finds.
    async fn compare_all_filters(&self) {
        let everything = every_delivery(&self.model).await;
        for filter in self.delivery_filters() {
            self.compare_deliveries(&filter, &everything).await;
        }
        let everything = self.model.events(EventFilter::default(), PAGE).await.unwrap().items;
        for filter in self.event_filters() {
            let answer = self.store().events(filter.clone(), PAGE).await.unwrap().items;
            let expected: Vec<_> = everything.iter().filter(|event| filter.fits(event)).cloned().collect();
            assert_eq!(answer, expected, "{filter:?}");
        }
    }

    async fn compare_deliveries(&self, filter: &DeliveryFilter, everything: &[Delivery]) {
        let expected: Vec<_> = everything.iter().filter(|delivery| filter.fits(delivery)).cloned().collect();
        assert_eq!(listed(self.store(), filter).await, expected, "{filter:?}");
        if expected.len() > 1 {
            let mut cursor = Cursor::new(expected.len() / 2);
            while let Some(page) = cursor.page() {
                cursor.put(self.store().deliveries(filter.clone(), page).await.unwrap());
            }
            assert_eq!(cursor.items, expected, "{filter:?}, in pages");
        }
    }

    fn delivery_filters(&self) -> Vec<DeliveryFilter> {
        let mut filters = vec![];
        let without_channel = self.event_filters().into_iter().filter(|filter| filter.channel.is_none());
        for EventFilter { tenant, event_type, since, until, .. } in without_channel {
            for endpoint in [None, Some(self.endpoints[0]), Some(self.endpoints[3])] {
                for state in State::ALL.map(Some).into_iter().chain([None]) {
                    let (tenant, event_type) = (tenant.clone(), event_type.clone());
                    let any = DeliveryFilter::default();
                    filters.push(DeliveryFilter { tenant, endpoint, state, event_type, since, until, ..any });
                }
            }
        }
        filters
    }

    fn event_filters(&self) -> Vec<EventFilter> {
        let time = |part| START.plus(Duration::from_secs(self.seconds * part / 3));
        let mut filters = vec![];
        for tenant in [None, Some(tenant("a")), Some(tenant("b"))] {
            for event_type in [None, Some(event_type("invoice.paid")), Some(event_type("invoice.sent"))] {
                for (since, until) in [(None, None), (Some(1), None), (None, Some(2)), (Some(1), Some(2))] {
                    for channel in [None, Some(channel("x"))] {
                        let (tenant, event_type) = (tenant.clone(), event_type.clone());
                        let (since, until) = (since.map(time), until.map(time));
                        filters.push(EventFilter { tenant, event_type, channel, since, until });
                    }
                }
            }
        }
        filters
    }

    async fn compare_counts(&self) {
        let window = Window::new(Resolution::Minute, START, START.plus(Duration::from_secs(7_200))).unwrap();
        let types = ["invoice.paid", "invoice.sent"].map(event_type);
        let mut scopes =
            vec![Scope::Host, Scope::Tenant(tenant("a")), Scope::TenantType(tenant("b"), types[0].clone())];
        scopes.extend(self.endpoints.iter().map(|id| Scope::Endpoint(*id)));
        let buckets = same!(self.tallies(scopes, window));
        let host = Tally::sum(buckets[0].iter().map(|bucket| &bucket.tally));
        assert_eq!(Plain::of(&host), self.plain, "the counters say what happened");
        for tenant in [None, Some(tenant("a"))] {
            let expected = counts(self.model.volumes(tenant.clone(), window).await.unwrap());
            assert_eq!(counts(self.store().volumes(tenant, window).await.unwrap()), expected, "`volumes`");
        }
        same!(self.standings(self.endpoints));
        let page = ErrorPageRequest { after: None, limit: 3 };
        same!(self.errors(ErrorFilter::default(), page));
    }

    async fn compare_records(&self) {
        let told = |record: EventRecord| (record.event, record.deliveries);
        for id in every_event(&self.model).await {
            let expected = self.model.event(id).await.unwrap().map(told);
            assert_eq!(self.store().event(id).await.unwrap().map(told), expected);
        }
        let told = |record: DeliveryRecord| (record.delivery, record.event, record.attempts);
        for Delivery { id, .. } in every_delivery(&self.model).await {
            let expected = self.model.delivery(id).await.unwrap().map(told);
            assert_eq!(self.store().delivery(id).await.unwrap().map(told), expected);
        }
    }
}

/// In pages large enough for a round.
const PAGE: PageRequest = PageRequest { after: None, limit: 10_000 };

/// What stores agree on of volumes.
fn counts(volumes: Volumes) -> Vec<(EventType, [u64; 12])> {
    volumes.types.into_iter().map(|(event_type, tally)| (event_type, tally.counts())).collect()
}

async fn every_event(store: &dyn Store) -> Vec<EventId> {
    let page = store.events(EventFilter::default(), PAGE).await.unwrap();
    page.items.iter().map(|event| event.id).collect()
}

async fn every_delivery(store: &dyn Store) -> Vec<Delivery> {
    listed(store, &DeliveryFilter::default()).await
}

async fn listed(store: &dyn Store, filter: &DeliveryFilter) -> Vec<Delivery> {
    store.deliveries(filter.clone(), PAGE).await.unwrap().items
}

async fn sorted_rows(store: &dyn Store) -> (BookVersion, Vec<EndpointRow>) {
    let (version, mut rows) = store.endpoints().await.unwrap();
    rows.sort_by_key(|row| row.id);
    (version, rows)
}

async fn prune_all(store: &dyn Store, before: Timestamp, limit: usize) -> (u64, u64) {
    let mut sum = (0, 0);
    for _ in 0..MOST_PRUNE_CALLS {
        let pruned = store.prune(before, limit).await.unwrap();
        sum = (sum.0 + pruned.events, sum.1 + pruned.deliveries);
        if pruned.done {
            return sum;
        }
    }
    panic!("the end is not reached in {MOST_PRUNE_CALLS} calls");
}
