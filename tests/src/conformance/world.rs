//! The small language that the promises are written in.
//!
//! Times are seconds after [`START`]; nothing here reads a clock.

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookwright::attempt::{
    Attempt, BodyRecord, Outcome, PluginRun, RequestRecord, ResponseRecord, Task, Timing, Warning, Warnings,
};
use hookwright::delivery::{Delivery, State};
use hookwright::endpoint::Order;
use hookwright::event::{Channel, Event, EventType, ProducerId, Tenant, content_digest};
use hookwright::id::{DeliveryId, EndpointId, EventId};
use hookwright::store::{
    Append, Appended, Arrival, BookVersion, Claim, Claimed, DeliveryFilter, EndpointRow, EventFilter, Lease,
    NewDelivery, Page, PageRequest, Place, Settle, Settled, Store,
};
use hookwright::time::Timestamp;

use super::{Lasting, Subject};

pub const START: Timestamp = Timestamp::from_secs(1_700_000_000);

/// So many seconds after the start.
pub fn at(seconds: u64) -> Timestamp {
    START.plus(Duration::from_secs(seconds))
}

/// The leases of most tests run until then.
pub const LEASE_END: u64 = 1_000;

/// A subject and what the tests do with it; the store's own methods are at hand too.
pub struct World<S> {
    pub subject: S,
    minted: AtomicU64,
}

impl<S: Subject> Deref for World<S> {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        &**self.subject.store()
    }
}

impl<S: Subject> World<S> {
    pub async fn new() -> Self {
        Self { subject: S::create().await, minted: AtomicU64::new(1) }
    }

    pub fn shared(&self) -> Arc<dyn Store> {
        self.subject.store().clone()
    }

    fn mint(&self) -> u64 {
        self.minted.fetch_add(1, Ordering::Relaxed) << 20
    }

    /// A new id of an endpoint that is not in the store.
    pub fn stranger(&self) -> EndpointId {
        EndpointId::mint(START, self.mint())
    }

    pub async fn endpoint(&self) -> EndpointId {
        let id = self.stranger();
        self.put_endpoint(row(id, 1, false), vec![]).await.unwrap().expect("a new endpoint is created");
        id
    }

    /// Holds an endpoint or lets go of it.
    pub async fn hold(&self, id: EndpointId, held: bool) {
        let (_, rows) = self.endpoints().await.unwrap();
        let stored = rows.into_iter().find(|row| row.id == id).expect("the endpoint exists");
        self.put_endpoint(row(id, stored.revision + 1, held), vec![])
            .await
            .unwrap()
            .expect("nobody was faster");
    }

    pub async fn version(&self) -> BookVersion {
        self.endpoints().await.unwrap().0
    }

    /// An event of the default tenant, accepted so many seconds after the start.
    pub fn new_event(&self, seconds: u64) -> Event {
        Event {
            id: EventId::mint(at(seconds), self.mint()),
            producer_id: None,
            event_type: event_type("invoice.paid"),
            tenant: Tenant::default(),
            timestamp: at(seconds),
            accepted_at: at(seconds),
            channels: vec![],
            payload: Bytes::from_static(b"{}"),
        }
    }

    /// Like [`World::new_event`], under a producer id.
    pub fn named(&self, seconds: u64, producer_id: &str) -> Event {
        Event { producer_id: Some(ProducerId::parse(producer_id).unwrap()), ..self.new_event(seconds) }
    }

    /// Appends against the present version, leases until [`LEASE_END`].
    pub async fn accept(&self, batch: Vec<Arrival>) -> Vec<Appended> {
        let version = self.version().await;
        match self.append(batch, version, at(LEASE_END)).await.unwrap() {
            Append::Done(answers) => answers,
            Append::Stale(version) => panic!("nobody changed the endpoints, yet it is stale: {version:?}"),
        }
    }

    /// Accepts an event with a waiting delivery to each endpoint and answers the deliveries' ids.
    pub async fn post(&self, seconds: u64, endpoints: &[EndpointId]) -> Vec<DeliveryId> {
        let event = self.new_event(seconds);
        let id = event.id;
        self.accept(vec![waiting(event, endpoints)]).await;
        (0..endpoints.len()).map(|ordinal| DeliveryId::of(id, ordinal as u16)).collect()
    }

    /// Accepts an event with one waiting delivery.
    pub async fn post_one(&self, seconds: u64, endpoint: EndpointId) -> DeliveryId {
        self.post(seconds, &[endpoint]).await[0]
    }

    /// Claims all that is due, leases until [`LEASE_END`].
    pub async fn claim_all(&self, seconds: u64) -> Vec<Claimed> {
        self.claim(all(seconds)).await.unwrap()
    }

    /// Claims the one delivery that is due.
    pub async fn claim_one(&self, seconds: u64) -> Claimed {
        let mut claimed = self.claim_all(seconds).await;
        assert_eq!(claimed.len(), 1, "exactly one delivery is due at {seconds} s: {claimed:?}");
        claimed.remove(0)
    }

    /// What a claim of everything hands out, as ids in their order.
    pub async fn claimed_ids(&self, seconds: u64) -> Vec<DeliveryId> {
        ids(&self.claim_all(seconds).await)
    }

    pub async fn settle_one(&self, settled: Settled) -> Settle {
        let answers = self.settle(vec![settled]).await.unwrap();
        assert_eq!(answers.len(), 1);
        answers[0]
    }

    /// Claims all that is due and ends it so.
    pub async fn finish_all(&self, seconds: u64, state: State) {
        let claimed = self.claim_all(seconds).await;
        let batch: Vec<_> = claimed.iter().map(|claimed| finished(claimed, state, seconds)).collect();
        let answers = self.settle(batch).await.unwrap();
        assert!(answers.iter().all(|answer| answer.is_done()), "{answers:?}");
    }

    /// A waiting delivery, taken through to its end.
    pub async fn finished_delivery(&self, seconds: u64, endpoint: EndpointId) -> DeliveryId {
        let id = self.post_one(seconds, endpoint).await;
        self.finish_all(seconds, State::Delivered).await;
        id
    }

    /// The delivery as it is stored.
    pub async fn stored(&self, id: DeliveryId) -> Delivery {
        self.delivery(id).await.unwrap().expect("the delivery is stored").delivery
    }

    pub async fn attempts(&self, id: DeliveryId) -> Vec<Attempt> {
        self.delivery(id).await.unwrap().expect("the delivery is stored").attempts
    }

    pub async fn due(&self) -> Option<Timestamp> {
        self.next_due(HashSet::new()).await.unwrap()
    }

    /// All events that fit, page by page.
    pub async fn all_events(&self, filter: EventFilter, limit: usize) -> Vec<EventId> {
        let mut cursor = Cursor::new(limit);
        while let Some(page) = cursor.page() {
            cursor.put(self.events(filter.clone(), page).await.unwrap());
        }
        cursor.items.iter().map(|event| event.id).collect()
    }

    /// All deliveries that fit, page by page.
    pub async fn all_deliveries(&self, filter: DeliveryFilter, limit: usize) -> Vec<Delivery> {
        let mut cursor = Cursor::new(limit);
        while let Some(page) = cursor.page() {
            cursor.put(self.deliveries(filter.clone(), page).await.unwrap());
        }
        cursor.items
    }

    /// Prunes step by step to the end; how many events and deliveries went.
    pub async fn prune_all(&self, seconds: u64, limit: usize) -> (u64, u64) {
        let mut sum = (0, 0);
        for _ in 0..10_000 {
            let pruned = self.prune(at(seconds), limit).await.unwrap();
            sum = (sum.0 + pruned.events, sum.1 + pruned.deliveries);
            if pruned.done {
                return sum;
            }
        }
        panic!("the end is not reached in 10,000 calls");
    }
}

impl<S: Lasting> World<S> {
    /// Closes and opens the store.
    pub async fn reopen(self) -> Self {
        Self { subject: self.subject.reopen().await, minted: self.minted }
    }
}

/// Walks through the pages of a list.
pub struct Cursor<T> {
    pub items: Vec<T>,
    limit: usize,
    after: Option<Place>,
    ended: bool,
}

impl<T> Cursor<T> {
    pub fn new(limit: usize) -> Self {
        Self { items: vec![], limit, after: None, ended: false }
    }

    /// What to ask for; `None` at the end.
    pub fn page(&self) -> Option<PageRequest> {
        (!self.ended).then_some(PageRequest { after: self.after, limit: self.limit })
    }

    pub fn put(&mut self, page: Page<T>) {
        assert!(
            page.items.len() <= self.limit,
            "{} items where {} are the most",
            page.items.len(),
            self.limit
        );
        let forward = page.next.is_none() || self.after.is_none() || page.next < self.after;
        assert!(forward, "the next page begins at {:?}, this one at {:?}", page.next, self.after);
        self.items.extend(page.items);
        self.ended = page.next.is_none();
        self.after = page.next;
    }
}

pub fn row(id: EndpointId, revision: u64, held: bool) -> EndpointRow {
    let (order, judged_from) = (Order::Free, START);
    EndpointRow {
        id,
        revision,
        held,
        order,
        judged_from,
        document: format!("revision {revision}").into_bytes(),
    }
}

pub fn event_type(text: &str) -> EventType {
    EventType::parse(text).unwrap()
}

pub fn tenant(text: &str) -> Tenant {
    Tenant::parse(text).unwrap()
}

pub fn channel(text: &str) -> Channel {
    Channel::parse(text).unwrap()
}

/// An event with these deliveries, each with whether to take it.
pub fn arrival(event: Event, deliveries: &[(EndpointId, bool)]) -> Arrival {
    let content = content_digest(event.event_type.as_str(), &event.channels, None, &event.payload);
    let deliveries =
        deliveries.iter().map(|(endpoint, take)| NewDelivery { endpoint: *endpoint, take: *take });
    Arrival { content, deliveries: deliveries.collect(), event: Arc::new(event) }
}

/// An event whose deliveries wait in the queue.
pub fn waiting(event: Event, endpoints: &[EndpointId]) -> Arrival {
    let deliveries: Vec<_> = endpoints.iter().map(|endpoint| (*endpoint, false)).collect();
    arrival(event, &deliveries)
}

/// The leases of an accepted event.
pub fn taken(appended: &Appended) -> &[Lease] {
    match appended {
        Appended::Accepted { taken } => taken,
        other => panic!("the event is accepted, not {other:?}"),
    }
}

/// A claim of everything that is due.
pub fn all(seconds: u64) -> Claim {
    Claim {
        now: at(seconds),
        lease_until: at(LEASE_END),
        limit: usize::MAX,
        per_endpoint: usize::MAX,
        skip: HashSet::new(),
    }
}

pub fn ids(claimed: &[Claimed]) -> Vec<DeliveryId> {
    claimed.iter().map(|claimed| claimed.delivery.id).collect()
}

pub fn sorted<T: Ord>(mut items: Vec<T>) -> Vec<T> {
    items.sort();
    items
}

/// The settlement that ends a claimed delivery.
pub fn finished(claimed: &Claimed, state: State, seconds: u64) -> Settled {
    let mut delivery = attempted(&claimed.delivery, seconds);
    let attempt = attempt(delivery.attempts, seconds, Outcome::Delivered { status: 200 });
    let reason = (state != State::Delivered).then(|| format!("It is {}.", state.word()));
    delivery = delivery.finish(state, reason, at(seconds));
    Settled { lease: claimed.lease, delivery, attempt: Some(attempt), announce: vec![], recovery: vec![] }
}

/// The settlement that has a claimed delivery tried again.
pub fn retried(claimed: &Claimed, seconds: u64, due: u64) -> Settled {
    let mut delivery = attempted(&claimed.delivery, seconds);
    delivery.due = Some(at(due));
    delivery.reason = Some("The receiver answered 500.".to_owned());
    let outcome = Outcome::Refused { status: 500, retry_after: None };
    let attempt = attempt(delivery.attempts, seconds, outcome);
    Settled { lease: claimed.lease, delivery, attempt: Some(attempt), announce: vec![], recovery: vec![] }
}

fn attempted(delivery: &Delivery, seconds: u64) -> Delivery {
    let mut delivery = delivery.clone();
    delivery.attempts += 1;
    delivery.first_attempt_at.get_or_insert(at(seconds));
    delivery
}

/// An attempt without a request.
pub fn attempt(number: u32, seconds: u64, outcome: Outcome) -> Attempt {
    Attempt {
        number,
        started_at: at(seconds),
        duration: Duration::from_micros(1_234),
        outcome,
        request: None,
        response: None,
        timing: Timing::default(),
        plugins: vec![],
        warnings: Warnings::NONE,
    }
}

/// An attempt that has something of everything.
pub fn full_attempt(number: u32, outcome: Outcome, body: BodyRecord) -> Attempt {
    let headers =
        || vec![("content-type".to_owned(), "a\u{e9}\u{0}b".to_owned()), (String::new(), String::new())];
    let millis = |millis| Some(Duration::from_millis(millis));
    Attempt {
        request: Some(RequestRecord {
            method: "POST".to_owned(),
            url: "https://example.com:8443".to_owned(),
            headers: headers(),
            body,
        }),
        response: Some(ResponseRecord {
            status: 503,
            headers: headers(),
            body: Bytes::from_static(b"\xff\0not text"),
            truncated: true,
        }),
        timing: Timing {
            queue: millis(0),
            transform: millis(1),
            dns: None,
            connect: millis(u64::from(u32::MAX)),
            tls: None,
            first_byte: millis(5),
        },
        plugins: vec![PluginRun {
            task: Task::Judge,
            plugin: "flatten".to_owned(),
            version: "0.1.0".to_owned(),
            digest: "0f".repeat(32),
            verdict: "replace".to_owned(),
            duration: Duration::from_nanos(1_500_000_000),
            memory_peak: u64::MAX,
            log: vec![("info".to_owned(), "two\nlines".to_owned())],
        }],
        warnings: Warnings::NONE.with(Warning::Recovered).with(Warning::DeprecatedType),
        ..attempt(number, 7, outcome)
    }
}
