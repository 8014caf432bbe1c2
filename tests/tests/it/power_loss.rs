//! What the file store has answered outlives a power cut at any moment, and a disk that fails or is full.
//!
//! A workload of everything that writes runs on a disk that forgets ([`hookwright_tests::lossy`]). A ledger notes what was
//! answered; a call that was not answered may or may not have happened. What is left on the disk has to agree with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookwright::attempt::Outcome;
use hookwright::delivery::{Delivery, State};
use hookwright::event::{Event, ProducerId, Tenant};
use hookwright::id::{DeliveryId, EndpointId, EventId};
use hookwright::store::redb::{OpenError, Options, RedbStore};
use hookwright::store::{
    Append, Appended, Arrival, BookVersion, Claimed, EndpointRow, Endpoints as _, History as _, Inbox as _,
    Lease, ORPHANED, Queue as _, Replay, Settings as _, Settle, Settled, Steer, StoreError,
};
use hookwright::time::{Clock, Timestamp};
use hookwright_tests::conformance::world::{
    LEASE_END, START, all, arrival, at, attempt, event_type, finished, retried, row, taken,
};
use hookwright_tests::lossy::{Disk, Survivors};

/// More syncs, or operations, than the workload has.
const ENDLESS: u64 = 10_000;
/// Later than everything that the workload makes due, and than the end of every lease.
const LATER: u64 = 2 * LEASE_END;
/// How long a store may take to open itself again.
const PATIENCE: Duration = Duration::from_secs(20);

/// A call as the ledger sees it.
type Answer<T> = Result<T, StoreError>;

fn long() -> bool {
    std::env::var_os("HOOKWRIGHT_LONG_TESTS").is_some_and(|value| value == "1")
}

/// Seconds after the start, set by hand.
#[derive(Default)]
struct Hands(AtomicU64);

impl Clock for Hands {
    fn now(&self) -> Timestamp {
        at(self.0.load(Ordering::Relaxed))
    }
}

fn open(disk: &Disk, clock: &Arc<Hands>) -> Result<RedbStore, OpenError> {
    let options =
        Options { cache_size: 256 << 10, most_young: 3, clock: clock.clone(), ..Options::default() };
    let disk = disk.clone();
    RedbStore::with_backend(move || disk.clone(), options)
}

fn opened(disk: &Disk) -> RedbStore {
    open(disk, &Arc::default()).expect("what is left on the disk is a store")
}

/// What may be true of each thing, after the answers so far.
#[derive(Debug, Clone, Default)]
struct Ledger {
    arrivals: Vec<Promised>,
    deliveries: BTreeMap<DeliveryId, Vec<Option<Delivery>>>,
    endpoints: BTreeMap<EndpointId, Vec<Option<EndpointRow>>>,
    settings: BTreeMap<&'static str, Vec<Option<Vec<u8>>>>,
    /// Leases end where the store has to open itself again.
    leases_may_be_lost: bool,
}

#[derive(Debug, Clone)]
struct Promised {
    arrival: Arrival,
    /// It was answered, and nothing was asked for since that would make it go.
    certain: bool,
}

/// Notes a call's effect: certain if it was answered, else one possibility more.
fn note<T: PartialEq + Clone>(possible: &mut Vec<T>, answered: bool, after: T) {
    if answered {
        possible.clear();
    }
    if !possible.contains(&after) {
        possible.push(after);
    }
}

/// Like [`note`], where the effect depends on what was there before.
fn change<T: PartialEq + Clone>(possible: &mut Vec<T>, answered: bool, change: impl Fn(&T) -> T) {
    let before = possible.clone();
    if answered {
        possible.clear();
    }
    for after in before.iter().map(change) {
        note(possible, false, after);
    }
}

impl Ledger {
    fn appended(&mut self, arrival: &Arrival, answered: bool) {
        let event = &arrival.event;
        for (ordinal, new) in (0..).zip(&arrival.deliveries) {
            let id = DeliveryId::of(event.id, ordinal);
            let fresh = Delivery::new(
                id,
                new.endpoint,
                event.tenant.clone(),
                event.event_type.clone(),
                event.accepted_at,
            );
            note(self.deliveries.entry(id).or_insert_with(|| vec![None]), answered, Some(fresh));
        }
        self.arrivals.push(Promised { arrival: arrival.clone(), certain: answered });
    }

    fn settled(&mut self, settled: &Settled, answer: Option<Settle>) {
        match answer {
            Some(Settle::LeaseLost) => assert!(self.leases_may_be_lost, "{settled:?}"),
            _ => {
                let possible = self.deliveries.entry(settled.delivery.id).or_default();
                note(possible, answer.is_some(), Some(settled.delivery.clone()));
            }
        }
    }

    /// The store has said how a delivery stands.
    fn seen(&mut self, delivery: &Delivery) {
        self.deliveries.insert(delivery.id, vec![Some(delivery.clone())]);
    }

    fn pruned(&mut self, before: Timestamp, done: bool) {
        let old = |delivery: &Option<Delivery>| {
            delivery.as_ref().is_none_or(|delivery| delivery.finished_at.is_some_and(|at| at < before))
        };
        for possible in self.deliveries.values_mut() {
            change(possible, done, |delivery| if old(delivery) { None } else { delivery.clone() });
        }
        for promised in &mut self.arrivals {
            let event = &promised.arrival.event;
            let may_go = (self.deliveries.range(event_range(event.id)))
                .all(|(_, possible)| possible.iter().any(Option::is_none));
            promised.certain &=
                !(may_go && (!promised.arrival.deliveries.is_empty() || event.accepted_at < before));
        }
    }
}

fn event_range(event: EventId) -> std::ops::RangeInclusive<DeliveryId> {
    DeliveryId::of(event, 0)..=DeliveryId::of(event, u16::MAX)
}

/// Does everything that writes, and keeps the ledger. Goes on after a failure.
struct Workload {
    store: RedbStore,
    clock: Arc<Hands>,
    ledger: Ledger,
    minted: u64,
    version: BookVersion,
    /// A call was not answered, and the store has not been opened since: that call may take effect at any later time.
    unsettled: bool,
}

impl Workload {
    fn on_new(disk: &Disk) -> Self {
        let clock = Arc::new(Hands::default());
        let store = open(disk, &clock).expect("an empty disk can be used");
        Self { store, clock, ledger: Ledger::default(), minted: 0, version: BookVersion(0), unsettled: false }
    }

    /// Leases may be lost, because the store opens itself again.
    fn on_failing(disk: &Disk) -> Self {
        let mut workload = Self::on_new(disk);
        workload.ledger.leases_may_be_lost = true;
        workload
    }

    fn mint(&mut self) -> u64 {
        self.minted += 1;
        self.minted << 20
    }

    fn event(&mut self, seconds: u64, producer_id: Option<&str>, size: usize) -> Event {
        let fill = self.mint();
        Event {
            id: EventId::mint(at(seconds), fill),
            producer_id: producer_id.map(|text| ProducerId::parse(text).unwrap()),
            event_type: event_type("invoice.paid"),
            tenant: Tenant::default(),
            timestamp: at(seconds),
            accepted_at: at(seconds),
            channels: vec![],
            payload: Bytes::from(format!("[{fill},\"{}\"]", "x".repeat(size))),
        }
    }

    async fn run(&mut self) {
        for base in [0, 400] {
            self.round(base).await;
        }
    }

    async fn round(&mut self, base: u64) {
        let name = |name: &str| format!("{name}-{base}");
        self.clock.0.store(base, Ordering::Relaxed);
        let (crm, erp, held) =
            (self.endpoint(false).await, self.endpoint(false).await, self.endpoint(true).await);
        self.setting("note", base.to_string().into_bytes()).await;

        let first = self.event(base, Some(&name("first")), 10);
        let large = self.event(base, None, 60_000);
        let alone = self.event(base, Some(&name("alone")), 10);
        let leases = self.append(&[arrival(first, &[(crm, true), (erp, false), (held, false)])]).await;
        self.append(&[arrival(large, &[(crm, false), (erp, false)]), arrival(alone, &[])]).await;
        for lease in leases {
            self.settle_taken(lease, crm, base + 1).await;
        }
        for (place, claimed) in self.claim(base + 2).await.into_iter().enumerate() {
            let settled = match place % 3 {
                0 => finished(&claimed, State::Delivered, base + 3),
                1 => retried(&claimed, base + 3, base + 20),
                _ => finished(&claimed, State::Failed, base + 3),
            };
            self.settle(settled).await;
        }

        // Many at once: they share commits.
        let taken = self.flood(base + 4, &[(crm, true), (erp, false)]).await;
        // What has been in memory for long gets its row.
        self.clock.0.store(base + 10, Ordering::Relaxed);
        let late = self.event(base + 10, None, 3_000);
        self.append(&[arrival(late, &[(crm, false)])]).await;
        for (place, lease) in taken.into_iter().enumerate() {
            match place % 3 {
                0 => self.settle_taken(lease, crm, base + 11).await,
                1 => self.release(lease, base + 15).await,
                _ => self.cancel(lease.delivery, base + 11).await,
            }
        }
        for claimed in self.claim(base + 12).await.into_iter().take(2) {
            self.retry_now(claimed.delivery.id, base + 12).await;
            self.cancel(claimed.delivery.id, base + 12).await;
            self.replay(claimed.delivery.id, base + 13).await;
        }
        self.delete(erp).await;
        self.cancel_orphans(base + 14).await;
        self.prune(base + 12).await;
        let last = self.event(base + 15, Some(&name("last")), 200);
        for lease in self.append(&[arrival(last, &[(crm, true), (held, false)])]).await {
            self.settle_taken(lease, crm, base + 16).await;
        }
    }

    /// Passes the answer on; after a failure waits until the store is open again, if it will be.
    async fn heard<T: Debug>(&mut self, answer: Answer<T>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(error) => {
                assert!(!matches!(error, StoreError::Corrupt(_)), "{error}");
                match self.ledger.leases_may_be_lost {
                    true => self.recover().await,
                    false => self.unsettled = true,
                }
                None
            }
        }
    }

    /// Until the store is open again.
    async fn recover(&mut self) {
        let opened = tokio::time::timeout(PATIENCE, async {
            loop {
                // A write, because reads go on for a moment on what failed.
                let written = self.store.put_setting("probe", vec![]).await;
                if let (Ok(()), Ok((version, _))) = (written, self.store.endpoints().await) {
                    return version;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        self.version = opened.await.expect("the store opens itself again");
    }

    async fn endpoint(&mut self, held: bool) -> EndpointId {
        let id = EndpointId::mint(START, self.mint());
        let answer = self.store.put_endpoint(row(id, 1, held), vec![]).await;
        let answered = self.heard(answer).await.flatten();
        self.version = answered.unwrap_or(self.version);
        let possible = self.ledger.endpoints.entry(id).or_insert_with(|| vec![None]);
        note(possible, answered.is_some(), Some(row(id, 1, held)));
        id
    }

    async fn delete(&mut self, id: EndpointId) {
        let answer = self.store.delete_endpoint(id).await;
        let answered = self.heard(answer).await;
        self.version = answered.flatten().unwrap_or(self.version);
        note(self.ledger.endpoints.entry(id).or_default(), answered.is_some(), None);
    }

    async fn setting(&mut self, name: &'static str, value: Vec<u8>) {
        let answer = self.store.put_setting(name, value.clone()).await;
        let answered = self.heard(answer).await.is_some();
        note(self.ledger.settings.entry(name).or_insert_with(|| vec![None]), answered, Some(value));
    }

    async fn append(&mut self, batch: &[Arrival]) -> Vec<Lease> {
        let answer = self.store.append(batch.to_vec(), self.version, at(LEASE_END)).await;
        match self.heard(answer).await {
            Some(Append::Done(appended)) => {
                batch.iter().for_each(|arrival| self.ledger.appended(arrival, true));
                appended.iter().flat_map(taken).copied().collect()
            }
            Some(Append::Stale(version)) => {
                // A change of the endpoints that was not answered has happened all the same.
                assert!(self.ledger.leases_may_be_lost, "the version is {:?}, not {version:?}", self.version);
                self.version = version;
                vec![]
            }
            None => {
                batch.iter().for_each(|arrival| self.ledger.appended(arrival, false));
                vec![]
            }
        }
    }

    async fn flood(&mut self, seconds: u64, deliveries: &[(EndpointId, bool)]) -> Vec<Lease> {
        let arrivals: Vec<Arrival> = (0..9)
            .map(|n| self.event(seconds, Some(&format!("flood-{seconds}-{n}")), 100 * n))
            .map(|event| arrival(event, deliveries))
            .collect();
        let store = &self.store;
        let version = self.version;
        let posts =
            arrivals.iter().map(|arrival| store.append(vec![arrival.clone()], version, at(LEASE_END)));
        let answers = together(posts).await;
        let mut leases = Vec::new();
        for (arrival, answer) in arrivals.iter().zip(answers) {
            match self.heard(answer).await {
                Some(Append::Done(appended)) => {
                    self.ledger.appended(arrival, true);
                    leases.extend(appended.iter().flat_map(taken));
                }
                Some(Append::Stale(_)) => {}
                None => self.ledger.appended(arrival, false),
            }
        }
        leases
    }

    /// Settles a delivery that came with its append.
    async fn settle_taken(&mut self, lease: Lease, endpoint: EndpointId, seconds: u64) {
        let event = lease.delivery.event();
        let promised = self.ledger.arrivals.iter().find(|promised| promised.arrival.event.id == event);
        let event = promised.expect("it was appended").arrival.event.clone();
        let delivery = Delivery::new(
            lease.delivery,
            endpoint,
            event.tenant.clone(),
            event.event_type.clone(),
            event.accepted_at,
        );
        let claimed = Claimed { lease, delivery, event };
        let settled = match lease.generation % 2 {
            0 => finished(&claimed, State::Filtered, seconds),
            _ => retried(&claimed, seconds, seconds + 5),
        };
        self.settle(settled).await;
    }

    async fn settle(&mut self, settled: Settled) {
        let answer = self.store.settle(vec![settled.clone()]).await;
        let answer = self.heard(answer).await.map(|answers| answers[0]);
        self.ledger.settled(&settled, answer);
    }

    async fn release(&mut self, lease: Lease, due: u64) {
        let answer = self.store.release(vec![lease], at(due)).await;
        let answered = self.heard(answer).await.is_some() && !self.ledger.leases_may_be_lost;
        let possible = self.ledger.deliveries.entry(lease.delivery).or_default();
        change(possible, answered, |delivery| {
            delivery.clone().map(|delivery| match delivery.state {
                State::Pending => Delivery { due: Some(at(due)), ..delivery },
                _ => delivery,
            })
        });
    }

    async fn claim(&mut self, seconds: u64) -> Vec<Claimed> {
        let answer = self.store.claim(all(seconds)).await;
        let claimed = self.heard(answer).await.unwrap_or_default();
        for claimed in &claimed {
            check_possible(&self.ledger, claimed.delivery.id, Some(&claimed.delivery));
            if !self.unsettled {
                self.ledger.seen(&claimed.delivery);
            }
        }
        claimed
    }

    async fn retry_now(&mut self, id: DeliveryId, seconds: u64) {
        let answer = self.store.retry_now(id, at(seconds)).await;
        match self.heard(answer).await {
            Some(Steer::Done(delivery) | Steer::Final(delivery)) => self.ledger.seen(&delivery),
            Some(Steer::NotFound) => panic!("{id} is not there"),
            None => {
                let possible = self.ledger.deliveries.entry(id).or_default();
                change(possible, false, |delivery| {
                    delivery.clone().map(|delivery| Delivery { due: Some(at(seconds)), ..delivery })
                });
            }
        }
    }

    async fn cancel(&mut self, id: DeliveryId, seconds: u64) {
        let answer = self.store.cancel(id, "Enough.".to_owned(), at(seconds)).await;
        match self.heard(answer).await {
            Some(Steer::Done(delivery) | Steer::Final(delivery)) => {
                assert!(delivery.state.is_final());
                self.ledger.seen(&delivery);
            }
            Some(Steer::NotFound) => panic!("{id} is not there"),
            None => {
                let possible = self.ledger.deliveries.entry(id).or_default();
                change(possible, false, |delivery| {
                    delivery.clone().map(|it| cancelled(it, "Enough.", seconds))
                });
            }
        }
    }

    async fn replay(&mut self, id: DeliveryId, seconds: u64) {
        let answer = self.store.replay(id, false, at(seconds)).await;
        match self.heard(answer).await {
            Some(Replay::Done(delivery)) => self.ledger.seen(&delivery),
            Some(_) => {}
            None => {
                let ordinal = self.ledger.deliveries.range(event_range(id.event())).count();
                let again = DeliveryId::of(id.event(), ordinal as u16);
                let original = self.ledger.deliveries[&id].iter().flatten().next().cloned();
                let replayed = original.map(|it| it.replay(again, it.webhook_id, at(seconds)));
                note(self.ledger.deliveries.entry(again).or_insert_with(|| vec![None]), false, replayed);
            }
        }
    }

    async fn cancel_orphans(&mut self, seconds: u64) {
        let answer = self.store.cancel_orphans(1_000, at(seconds)).await;
        let answered = self.heard(answer).await.is_some();
        let Ledger { deliveries, endpoints, .. } = &mut self.ledger;
        for possible in deliveries.values_mut() {
            let Some(endpoint) = possible.iter().flatten().map(|delivery| delivery.endpoint).next() else {
                continue;
            };
            let rows = &endpoints[&endpoint];
            if rows.contains(&None) {
                let certain = answered && rows.len() == 1;
                change(possible, certain, |it| it.clone().map(|it| cancelled(it, ORPHANED, seconds)));
            }
        }
    }

    async fn prune(&mut self, seconds: u64) {
        loop {
            let answer = self.store.prune(at(seconds), 5).await;
            match self.heard(answer).await {
                Some(pruned) if !pruned.done => self.ledger.pruned(at(seconds), false),
                answer => return self.ledger.pruned(at(seconds), answer.is_some()),
            }
        }
    }
}

fn cancelled(delivery: Delivery, reason: &str, seconds: u64) -> Delivery {
    match delivery.state {
        State::Pending => delivery.finish(State::Cancelled, Some(reason.to_owned()), at(seconds)),
        _ => delivery,
    }
}

/// Polls all of them at once; the answers are in their order.
async fn together<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *answer = Some(value);
            }
        }
        match answers.iter().all(Option::is_some) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}

fn check_possible(ledger: &Ledger, id: DeliveryId, found: Option<&Delivery>) {
    let possible = &ledger.deliveries[&id];
    let fits = possible.iter().any(|delivery| delivery.as_ref() == found);
    assert!(fits, "{id} is {found:?}; possible is {possible:?}");
}

/// Holds a store to the ledger.
struct Audit<'a> {
    store: &'a RedbStore,
    ledger: &'a Ledger,
}

impl Audit<'_> {
    async fn check(&self) {
        self.check_endpoints().await;
        let present = self.check_events().await;
        let pending = self.check_deliveries().await;
        assert_eq!(self.store.pending().await.unwrap(), pending.len() as u64);
        self.check_queue(pending).await;
        self.check_producer_ids(&present).await;
    }

    async fn check_endpoints(&self) {
        let (_, rows) = self.store.endpoints().await.unwrap();
        for (id, possible) in &self.ledger.endpoints {
            let found = rows.iter().find(|row| row.id == *id).cloned();
            assert!(possible.contains(&found), "{id} is {found:?}; possible is {possible:?}");
        }
        for (name, possible) in &self.ledger.settings {
            let found = self.store.setting(name).await.unwrap();
            assert!(possible.contains(&found), "{name} is {found:?}; possible is {possible:?}");
        }
    }

    /// Answers which events are there.
    async fn check_events(&self) -> BTreeSet<EventId> {
        let mut present = BTreeSet::new();
        for Promised { arrival, certain } in &self.ledger.arrivals {
            match self.store.event(arrival.event.id).await.unwrap() {
                Some(record) => {
                    assert_eq!(record.event, arrival.event);
                    present.insert(arrival.event.id);
                }
                None => assert!(!certain, "{} was answered and is not there", arrival.event.id),
            }
        }
        present
    }

    /// Answers which deliveries are pending, with their endpoints.
    async fn check_deliveries(&self) -> BTreeMap<DeliveryId, EndpointId> {
        let mut pending = BTreeMap::new();
        for id in self.ledger.deliveries.keys() {
            let record = self.store.delivery(*id).await.unwrap();
            check_possible(self.ledger, *id, record.as_ref().map(|record| &record.delivery));
            let Some(record) = record else { continue };
            assert_eq!(record.attempts.len(), record.delivery.attempts as usize, "{id}");
            if record.delivery.state == State::Pending {
                pending.insert(*id, record.delivery.endpoint);
            }
        }
        pending
    }

    /// Everything pending can be claimed once, and nothing else.
    async fn check_queue(&self, pending: BTreeMap<DeliveryId, EndpointId>) {
        let (_, rows) = self.store.endpoints().await.unwrap();
        for held in rows.iter().filter(|row| row.held) {
            let open = EndpointRow { revision: held.revision + 1, held: false, ..held.clone() };
            self.store.put_endpoint(open, vec![]).await.unwrap().expect("nobody was faster");
        }
        let orphans = self.store.cancel_orphans(usize::MAX, at(LATER)).await.unwrap();
        let claimed = self.store.claim(all(LATER)).await.unwrap();
        let ids: BTreeSet<DeliveryId> = claimed.iter().map(|claimed| claimed.delivery.id).collect();
        assert_eq!(ids.len(), claimed.len(), "a delivery was handed out twice");
        let exists = |endpoint: &EndpointId| rows.iter().any(|row| row.id == *endpoint);
        let expected: BTreeSet<DeliveryId> =
            pending.iter().filter(|(_, endpoint)| exists(endpoint)).map(|(id, _)| *id).collect();
        assert_eq!(ids, expected);
        assert_eq!(orphans, pending.len() - expected.len());
        for claimed in claimed {
            check_possible(self.ledger, claimed.delivery.id, Some(&claimed.delivery));
            let settled = finished(&claimed, State::Delivered, LATER);
            assert!(self.store.settle(vec![settled]).await.unwrap()[0].is_done());
        }
    }

    /// The same event posted again is no second one.
    async fn check_producer_ids(&self, present: &BTreeSet<EventId>) {
        let (version, _) = self.store.endpoints().await.unwrap();
        let named = self.ledger.arrivals.iter().filter(|it| it.arrival.event.producer_id.is_some());
        for (n, Promised { arrival: before, .. }) in (1..).zip(named) {
            let id = before.event.id;
            let again = Event { id: EventId::mint(at(LATER), n << 20), ..(*before.event).clone() };
            let other = Event { payload: Bytes::from_static(b"7"), ..again.clone() };
            let again = Arrival { event: Arc::new(again), ..before.clone() };
            let batch = vec![again, arrival(other, &[])];
            let answers = match self.store.append(batch, version, at(LEASE_END)).await.unwrap() {
                Append::Done(answers) => answers,
                Append::Stale(version) => panic!("the version is {version:?}"),
            };
            match present.contains(&id) {
                true => {
                    let deliveries = before.deliveries.len() as u32;
                    let duplicate = Appended::Duplicate { event: id, deliveries };
                    assert_eq!(answers, [duplicate, Appended::Conflict { event: id }]);
                }
                false => assert!(matches!(answers[0], Appended::Accepted { .. }), "{answers:?}"),
            }
        }
    }
}

async fn audit(store: &RedbStore, ledger: &Ledger) {
    Audit { store, ledger }.check().await;
}

/// The store goes on: what is written now is there after the next opening.
async fn goes_on(disk: &Disk, store: RedbStore) {
    store.put_setting("after", b"1".to_vec()).await.unwrap();
    drop(store);
    let store = opened(disk);
    assert_eq!(store.setting("after").await.unwrap().as_deref(), Some(&b"1"[..]));
    store.cancel_orphans(usize::MAX, at(LATER)).await.unwrap();
    assert_eq!(store.pending().await.unwrap(), store.claim(all(LATER)).await.unwrap().len() as u64);
}

/// Runs the workload on a disk that loses its power in the `n`th sync. `None` where it has fewer.
async fn cut(n: u64) -> Option<(Disk, Ledger)> {
    let disk = Disk::default();
    let mut workload = Workload::on_new(&disk);
    disk.cut_at_sync(n);
    workload.run().await;
    disk.is_cut().then_some((disk, workload.ledger))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_at_any_sync_loses_nothing_that_was_answered() {
    let mut cuts = 0;
    for n in 1..ENDLESS {
        let Some((disk, ledger)) = cut(n).await else { break };
        cuts += 1;
        let torn = (0..if long() { 8 } else { 2 }).map(|seed| Survivors::Some(seed * ENDLESS + n));
        for survivors in [Survivors::Nothing, Survivors::All].into_iter().chain(torn) {
            let disk = disk.after_power_cut(survivors);
            let store = opened(&disk);
            audit(&store, &ledger).await;
            goes_on(&disk, store).await;
        }
    }
    println!("the power was cut at each of {cuts} syncs");
    assert!(cuts > 50, "the workload has {cuts} syncs");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_cut_while_the_store_opens_loses_nothing_either() {
    let step = if long() { 2 } else { 9 };
    let mut interrupted = 0;
    for n in (1..ENDLESS).step_by(step) {
        let Some((disk, ledger)) = cut(n).await else { break };
        for m in 1..ENDLESS {
            let again = disk.after_power_cut(Survivors::Some(n));
            again.cut_at_sync(m);
            let store = open(&again, &Arc::default());
            if !again.is_cut() {
                break;
            }
            drop(store);
            interrupted += 1;
            let disk = again.after_power_cut(Survivors::Some(m));
            let store = opened(&disk);
            audit(&store, &ledger).await;
            goes_on(&disk, store).await;
        }
    }
    assert!(interrupted > 5, "{interrupted} openings were interrupted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_fails_once_loses_nothing_that_was_answered() {
    let step = if long() { 3 } else { 23 };
    let mut failures = 0;
    for n in (1..ENDLESS * 100).step_by(step) {
        let disk = Disk::default();
        let mut workload = Workload::on_failing(&disk);
        disk.fail_at_operation(n);
        workload.run().await;
        if !disk.has_failed() {
            break;
        }
        failures += 1;
        let Workload { store, ledger, .. } = workload;
        audit(&store, &ledger).await;
        goes_on(&disk, store).await;
    }
    println!("the disk failed at {failures} operations");
    assert!(failures > 10, "{failures} failures");
}

#[tokio::test]
async fn a_lease_from_before_a_failure_is_outdated() {
    let disk = Disk::default();
    let mut workload = Workload::on_failing(&disk);
    let endpoint = workload.endpoint(false).await;
    let event = workload.event(0, None, 10);
    workload.append(&[arrival(event, &[(endpoint, false)])]).await;
    let before = workload.claim(1).await.remove(0);
    disk.fail_at_operation(1);
    assert!(workload.store.put_setting("x", vec![]).await.is_err());
    workload.recover().await;
    let after = workload.claim(1).await.remove(0);
    assert_eq!(before.delivery, after.delivery);
    let late = finished(&before, State::Failed, 2);
    assert_eq!(workload.store.settle(vec![late]).await.unwrap(), [Settle::LeaseLost]);
    assert_eq!(workload.store.renew(vec![before.lease], at(9)).await.unwrap(), [before.lease]);
    let good = finished(&after, State::Delivered, 3);
    assert_eq!(good.attempt, Some(attempt(1, 3, Outcome::Delivered { status: 200 })));
    assert!(workload.store.settle(vec![good]).await.unwrap()[0].is_done());
}

#[tokio::test]
async fn a_full_disk_refuses_and_goes_on_once_there_is_room() {
    let disk = Disk::default();
    let mut workload = Workload::on_failing(&disk);
    let endpoint = workload.endpoint(false).await;
    disk.limit(Some(disk.size() + (256 << 10)));
    let mut accepted = 0;
    let refusal = loop {
        let event = workload.event(accepted, Some(&format!("n-{accepted}")), 20_000);
        let posted = arrival(event, &[(endpoint, false)]);
        let answer = workload.store.append(vec![posted.clone()], workload.version, at(LEASE_END)).await;
        workload.ledger.appended(&posted, answer.is_ok());
        match answer {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < ENDLESS, "the disk is never full");
    };
    assert!(accepted > 0, "nothing fits");
    assert!(matches!(refusal, StoreError::Unavailable(_)), "{refusal:?}");
    disk.limit(None);
    workload.recover().await;
    let event = workload.event(LATER, Some("with room"), 20_000);
    workload.append(&[arrival(event, &[(endpoint, false)])]).await;
    assert!(workload.ledger.arrivals.last().is_some_and(|last| last.certain));
    let Workload { store, ledger, .. } = workload;
    audit(&store, &ledger).await;
    goes_on(&disk, store).await;
}

#[tokio::test]
async fn a_store_whose_making_was_cut_off_is_made_anew() {
    let folder = tempfile::tempdir().expect("a directory");
    let file = folder.path().join("store.redb");
    std::fs::write(folder.path().join("store.redb.new"), vec![0; 1 << 20]).expect("half a store");
    for value in [b"1", b"2"] {
        let store = RedbStore::open(&file, Options::default()).expect("a store");
        assert_eq!(store.setting("n").await.unwrap().is_some(), value == b"2");
        store.put_setting("n", value.to_vec()).await.unwrap();
        drop(store);
        assert_eq!(std::fs::read_dir(folder.path()).expect("a directory").count(), 1);
    }
}
