//! What is remembered: the roles that a store plays, each a trait of few methods in batch shape, so that
//! an embedded file, plain memory and a shared database fit behind them.
//!
//! Promises that hold for every store, each with a test in the conformance suite:
//!
//! * What a method answered with `Ok` is on disk (for a store that has one) before it answers.
//! * Each call is all or nothing.
//! * A delivery is leased to one holder at a time. Whoever holds an outdated lease changes nothing.
//! * A delivery that is pending is either leased or will be claimed once it is due; none is forgotten.

pub mod copy;
pub mod jobs;
mod ledger;
pub mod memory;
pub mod plugins;
pub mod postgres;
pub mod redb;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::attempt::Attempt;
use crate::delivery::{Delivery, State};
use crate::endpoint::Order;
use crate::event::{Channel, ContentDigest, Event, EventType, Tenant};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId, EventId, HostId, MAX_DELIVERIES_PER_EVENT, WebhookId};
use crate::tally::{Resolution, Tally, Window};
use crate::time::Timestamp;
use crate::trouble::Trouble;

pub use self::jobs::Jobs;
pub use self::plugins::Plugins;

#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    #[error("The store cannot do its work: {0}.")]
    Unavailable(String),
    #[error("A record in the store cannot be read: {0}. Restore a backup, or report this.")]
    Corrupt(String),
    #[error("The store is closed.")]
    Closed,
}

pub type Result<T> = std::result::Result<T, StoreError>;

/// Everything that a host needs of its store.
pub trait Store:
    Inbox + Queue + Hosts + Shelf + Settings + History + Statistics + Jobs + Plugins + Backup
{
}
impl<T: Inbox + Queue + Hosts + Shelf + Settings + History + Statistics + Jobs + Plugins + Backup> Store
    for T
{
}

/// What operators describe.
pub trait Shelf: Endpoints + Documents {}
impl<T: Endpoints + Documents> Shelf for T {}

/// Counts the changes to the endpoints and documents, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct BookVersion(pub u64);

/// Takes events on.
#[async_trait]
pub trait Inbox: Send + Sync + 'static {
    /// Appends events with their deliveries, all of them or none, and gives each its place in the order.
    ///
    /// `against` is the version of the set of endpoints that the deliveries were matched with; where the set
    /// has changed since, nothing is written and the answer is [`Append::Stale`]. An event whose
    /// `(tenant, producer id)` is known already is not appended: see [`Appended`]. That holds within the batch too.
    /// Deliveries marked `take` are leased to the caller until `lease_until`, but for those that have to stand in line
    /// ([`EndpointRow::order`]); the others wait in the queue, due now.
    async fn append(
        &self,
        batch: Vec<Arrival>,
        against: BookVersion,
        lease_until: Timestamp,
    ) -> Result<Append>;
}

#[derive(Debug, Clone)]
pub struct Arrival {
    pub event: Arc<Event>,
    pub content: ContentDigest,
    /// One for each endpoint that wants the event. The place in this list is the delivery's ordinal.
    pub deliveries: Vec<NewDelivery>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewDelivery {
    /// Of the event's tenant. All that an endpoint ever gets is of one tenant, and lists rely on it.
    pub endpoint: EndpointId,
    pub take: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Append {
    /// The set of endpoints has changed: match again, against this version or a later one.
    Stale(BookVersion),
    /// In the order of the batch.
    Done(Vec<Appended>),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Appended {
    /// `taken` holds the leases of the deliveries marked `take`, in their order; of those that stand in line, none.
    Accepted { taken: Vec<Lease> },
    /// The same content was taken on before, as this event with so many deliveries.
    Duplicate { event: EventId, deliveries: u32 },
    /// Other content was taken on before under the same producer id, as this event.
    Conflict { event: EventId },
}

/// The right to settle a delivery, until it expires or is taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    pub delivery: DeliveryId,
    /// Rises with every lease of the delivery.
    pub generation: u64,
}

/// Hands deliveries out and takes their outcomes back.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Leases pending deliveries that are due at `now` and not leased (or whose lease has expired), the longest
    /// due first, fair over endpoints. Skips those of held or deleted endpoints, and those that stand in line
    /// ([`EndpointRow::order`]).
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>>;

    /// Prolongs leases. Answers those that are lost.
    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>>;

    /// Writes what attempts came to and gives up their leases. In the order of the batch: whether the lease was
    /// still good. Where it was not, nothing of that entry is written, and none of its announcements.
    async fn settle(&self, batch: Vec<Settled>) -> Result<Vec<Settle>>;

    /// Gives deliveries back without an attempt, due at `due`. Outdated leases are passed over.
    async fn release(&self, leases: Vec<Lease>, due: Timestamp) -> Result<()>;

    /// When the next delivery that [`Queue::claim`] could hand out is due; `skip` as there.
    async fn next_due(&self, skip: HashSet<EndpointId>) -> Result<Option<Timestamp>>;

    /// Makes a waiting delivery due at `now`. One that is leased is left to its holder, and one that stands in line
    /// keeps its turn.
    async fn retry_now(&self, delivery: DeliveryId, now: Timestamp) -> Result<Steer>;

    /// Ends a pending delivery. A lease on it is taken away.
    async fn cancel(&self, delivery: DeliveryId, reason: String, now: Timestamp) -> Result<Steer>;

    /// Makes a new delivery, due at `now`, of the event of a finished one. `new_webhook_id` gives it a
    /// `webhook-id` of its own.
    async fn replay(&self, delivery: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay>;

    /// Cancels up to `limit` pending deliveries, leased or not, whose endpoint no longer exists. Answers how many.
    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<usize>;

    /// Cancels up to `limit` pending deliveries of the endpoint that were made before `before`, leased or not. Answers
    /// how many.
    async fn cancel_waiting(
        &self,
        endpoint: EndpointId,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
    ) -> Result<usize>;

    /// Ends up to `limit` deliveries that wait, unleased, and were due before `before`: nobody wants them any more, held
    /// or not. They have failed, with `reason`. What `tell` has to say of each is appended in the same commit, as
    /// [`Settled::announce`] is. Answers how many.
    async fn expire(
        &self,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
        tell: Tell,
    ) -> Result<usize>;

    /// How many deliveries are pending, leased ones included.
    async fn pending(&self) -> Result<u64>;
}

#[derive(Debug, Clone)]
pub struct Claim {
    pub now: Timestamp,
    pub lease_until: Timestamp,
    /// Most deliveries in all.
    pub limit: usize,
    /// Most deliveries of one endpoint.
    pub per_endpoint: usize,
    /// Endpoints that cannot take more at the moment.
    pub skip: HashSet<EndpointId>,
}

#[derive(Debug, Clone)]
pub struct Claimed {
    pub lease: Lease,
    pub delivery: Delivery,
    pub event: Arc<Event>,
}

/// The event that tells of an end which came without an attempt, where somebody wants to have it.
pub type Tell = Arc<dyn Fn(&Event, &Delivery) -> Option<Arrival> + Send + Sync>;

#[derive(Debug, Clone)]
pub struct Settled {
    pub lease: Lease,
    /// As it stands after the attempt.
    pub delivery: Delivery,
    pub attempt: Option<Attempt>,
    /// Events that tell of it, appended in the same commit. Their deliveries wait in the queue, due when the event was
    /// accepted, whatever `take` says, and whatever the version of the set of endpoints is by then.
    pub announce: Vec<Arrival>,
    /// As `announce`, but only where the endpoint was failing and this shows that it works again.
    pub recovery: Vec<Arrival>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// How the endpoint fares after it; as new where the endpoint no longer exists.
    Done(Health),
    LeaseLost,
}

impl Settle {
    pub fn is_done(&self) -> bool {
        matches!(self, Settle::Done(_))
    }
}

/// What came of steering one delivery.
#[derive(Debug, Clone, PartialEq)]
pub enum Steer {
    Done(Delivery),
    /// It is final; nothing was changed.
    Final(Delivery),
    NotFound,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Replay {
    Done(Delivery),
    /// The delivery is pending; nothing was changed.
    Pending(Delivery),
    /// Its endpoint no longer exists.
    NoEndpoint,
    /// The event has as many deliveries as it can have ([`crate::id::MAX_DELIVERIES_PER_EVENT`]).
    Full,
    NotFound,
}

/// Where hosts that deliver from one store see each other. A store that one host has to itself has nothing to tell.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// Says that the host is there, for so long from now on by the clock of the store, and what it keeps to. Answers as
    /// [`Hosts::seats`].
    async fn attend(&self, seat: Seat, _for: Duration) -> Result<Vec<Seat>> {
        Ok(vec![seat])
    }

    /// The hosts that are there, in the order of their ids.
    async fn seats(&self) -> Result<Vec<Seat>> {
        Ok(Vec::new())
    }

    /// The host is there no longer.
    async fn leave(&self, _host: HostId) -> Result<()> {
        Ok(())
    }
}

/// A host that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    pub host: HostId,
    /// What it sends is within what it may where these are there.
    pub keeps_to: Vec<HostId>,
}

/// Keeps the endpoints.
#[async_trait]
pub trait Endpoints: Send + Sync + 'static {
    /// The version of the set alone.
    async fn book_version(&self) -> Result<BookVersion> {
        Ok(self.endpoints().await?.0)
    }

    /// All of them, with the version of the set.
    async fn endpoints(&self) -> Result<(BookVersion, Vec<EndpointRow>)>;

    /// Creates (revision 1) or replaces (the revision after the stored one) an endpoint. `None` where the
    /// revision is any other: somebody else was faster. `announce` are events that tell of the change, appended in
    /// the same commit as those of [`Settled::announce`] are; none where the change is not made.
    async fn put_endpoint(&self, row: EndpointRow, announce: Vec<Arrival>) -> Result<Option<BookVersion>>;

    /// Deletes it. `None` where there is none.
    async fn delete_endpoint(&self, id: EndpointId) -> Result<Option<BookVersion>>;
}

/// An endpoint as a store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointRow {
    pub id: EndpointId,
    pub revision: u64,
    /// Its deliveries wait.
    pub held: bool,
    /// In which order its deliveries are handed out. Those that are made while it keeps one stand in line, in the order
    /// in which their events were appended, a replay last. Only the head of the line is handed out, once it is due;
    /// where it ends or steps aside, the next one is the head. What was made before is in no line.
    pub order: Order,
    /// Attempts that began earlier do not count for how it fares, which begins anew where this changes.
    pub judged_from: Timestamp,
    /// Its description, secrets sealed.
    pub document: Vec<u8>,
}

/// Keeps what else operators describe: tenants, event types, keys and the like, each kind by its names.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// All of them, in the order of kinds and names, with the version of the set, which is that of the endpoints too.
    async fn documents(&self) -> Result<(BookVersion, Vec<DocumentRow>)>;

    /// Creates (revision 1) or replaces (the revision after the stored one) a document. `None` where the revision is
    /// any other: somebody else was faster.
    async fn put_document(&self, row: DocumentRow) -> Result<Option<BookVersion>>;

    /// Deletes it. `None` where there is none.
    async fn delete_document(&self, kind: DocumentKind, name: &str) -> Result<Option<BookVersion>>;
}

/// A document as a store sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentRow {
    pub kind: DocumentKind,
    pub name: String,
    pub revision: u64,
    /// Secrets in it are sealed.
    pub document: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// A session that was ended before its time.
    EndedSession,
    EventType,
    /// What holds for the whole host. There is one, without a name.
    Host,
    Key,
    Tenant,
    /// The versions of payload shapes. There is one, without a name.
    Versions,
}

impl DocumentKind {
    pub const ALL: [DocumentKind; 6] = [
        DocumentKind::EndedSession,
        DocumentKind::EventType,
        DocumentKind::Host,
        DocumentKind::Key,
        DocumentKind::Tenant,
        DocumentKind::Versions,
    ];

    /// A stable word; their order is that of the kinds.
    pub fn word(self) -> &'static str {
        match self {
            DocumentKind::EndedSession => "ended_session",
            DocumentKind::EventType => "event_type",
            DocumentKind::Host => "host",
            DocumentKind::Key => "key",
            DocumentKind::Tenant => "tenant",
            DocumentKind::Versions => "versions",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// Keeps small facts about the host by their names.
#[async_trait]
pub trait Settings: Send + Sync + 'static {
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>>;

    /// Writes the value unless there is one; answers the one that stands.
    async fn setting_or(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>>;

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()>;
}

/// Answers what happened.
#[async_trait]
pub trait History: Send + Sync + 'static {
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>>;

    /// Newest first, in the store's order.
    async fn events(&self, filter: EventFilter, page: PageRequest) -> Result<Page<Arc<Event>>>;

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>>;

    /// Newest first, in the store's order.
    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>>;

    /// Forgets what ended before `before`: finished deliveries, and an event once all of its deliveries are gone (one
    /// without any by when it was accepted). Looks at `limit` events, oldest first, from where the last call stopped.
    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned>;
}

/// Answers what was counted. Every change counts in the commit that makes it, so that counts and rows agree.
///
/// An attempt counts for the time when it ended, an event for when it was accepted, an end without an attempt for
/// when it came.
#[async_trait]
pub trait Statistics: Send + Sync + 'static {
    /// For each scope, in the given order: the spans of the window with something in them, oldest first.
    async fn tallies(&self, scopes: Vec<Scope>, window: Window) -> Result<Vec<Vec<Bucket>>>;

    /// What each event type of the tenant, or of the whole host, adds up to over the window, by its plain counts
    /// ([`Tally::counts`]): a store may leave out the rest. In the order of the types. Looks at a bounded number of
    /// rows ([`VOLUME_SCAN_LIMIT`]), newest first; of whole hours and days within the window, at theirs.
    async fn volumes(&self, tenant: Option<Tenant>, window: Window) -> Result<Volumes>;

    /// How these endpoints stand, in the given order. Of one that does not exist, only what is pending.
    async fn standings(&self, endpoints: Vec<EndpointId>) -> Result<Vec<Standing>>;

    /// The latest first. Looks at a bounded number of groups ([`SCAN_LIMIT`]), so that a page may be short while more
    /// follow.
    async fn errors(&self, filter: ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage>;

    /// Bytes of the payloads of the tenant's events that are kept.
    async fn stored_bytes(&self, tenant: Tenant) -> Result<u64>;

    /// Forgets up to `limit` counts and groups of errors that are older than `kept` says. Answers how many.
    async fn prune_statistics(&self, kept: Kept, limit: usize) -> Result<usize>;
}

/// What counts are kept of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    Host,
    Tenant(Tenant),
    Endpoint(EndpointId),
    /// An event type, over all tenants.
    HostType(EventType),
    TenantType(Tenant, EventType),
}

/// What happened in one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    pub start: Timestamp,
    pub tally: Tally,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volumes {
    pub types: Vec<(EventType, Tally)>,
    /// Not all of the window was looked at.
    pub partial: bool,
}

/// Most rows that are looked at for [`Statistics::volumes`].
pub const VOLUME_SCAN_LIMIT: usize = 50_000;

/// How an endpoint stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Deliveries that are pending, leased ones included.
    pub pending: u64,
    /// When the oldest of them was made.
    pub oldest_pending_at: Option<Timestamp>,
    pub health: Health,
    /// When the last attempt ended.
    pub last_attempt_at: Option<Timestamp>,
    /// When the last message arrived.
    pub last_delivery_at: Option<Timestamp>,
    /// When the last event for it was accepted.
    pub last_event_at: Option<Timestamp>,
}

/// The errors of one kind that an endpoint's attempts ran into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorGroup {
    pub endpoint: EndpointId,
    pub tenant: Tenant,
    pub trouble: Trouble,
    pub count: u64,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub last_delivery: DeliveryId,
    /// A sentence, cut to 500 characters.
    pub last_message: String,
}

impl ErrorGroup {
    pub fn place(&self) -> ErrorPlace {
        ErrorPlace { last_at: self.last_at, endpoint: self.endpoint, kind: self.trouble.word() }
    }
}

/// Where a group of errors stands: by its last time, then by endpoint and kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ErrorPlace {
    pub last_at: Timestamp,
    pub endpoint: EndpointId,
    /// [`Trouble::word`]
    pub kind: &'static str,
}

#[derive(Debug, Clone, Default)]
pub struct ErrorFilter {
    pub tenant: Option<Tenant>,
    pub endpoint: Option<EndpointId>,
    /// The last time at or after.
    pub since: Option<Timestamp>,
}

impl ErrorFilter {
    pub fn fits(&self, group: &ErrorGroup) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == group.tenant)
            && self.endpoint.is_none_or(|endpoint| endpoint == group.endpoint)
            && self.since.is_none_or(|since| group.last_at >= since)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct ErrorPageRequest {
    /// Begin behind this place.
    pub after: Option<ErrorPlace>,
    /// Most groups, at least 1.
    pub limit: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ErrorPage {
    pub groups: Vec<ErrorGroup>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ErrorPlace>,
}

/// Since when counts are kept: a span that began earlier is forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    pub minutes: Timestamp,
    /// Groups of errors are kept as long as hours, from their last time on.
    pub hours: Timestamp,
    pub days: Timestamp,
}

impl Kept {
    pub fn since(&self, resolution: Resolution) -> Timestamp {
        match resolution {
            Resolution::Minute => self.minutes,
            Resolution::Hour => self.hours,
            Resolution::Day => self.days,
        }
    }
}

/// Gives itself away, to be kept elsewhere.
#[async_trait]
pub trait Backup: Send + Sync + 'static {
    /// Begins a copy of everything as of now, while the store goes on. `label` goes ahead of it as it is. A taker who
    /// takes nothing for as long as `patience` gets no more.
    async fn backup(&self, label: Vec<u8>, patience: Duration) -> Result<Copying>;
}

#[derive(Debug)]
pub enum Copying {
    /// The copy, bit by bit. It is whole where the last bit ends as its format says.
    Begun(mpsc::Receiver<Result<Bytes>>),
    /// Another copy is being taken; there is one at a time.
    UnderWay,
    /// This store cannot be copied so.
    Impossible,
}

#[derive(Debug, Clone)]
pub struct EventRecord {
    pub event: Arc<Event>,
    /// In the order of their ordinals; pruned ones are missing.
    pub deliveries: Vec<Delivery>,
}

#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    pub delivery: Delivery,
    pub event: Arc<Event>,
    /// The latest ones, oldest first; a store keeps a bounded number.
    pub attempts: Vec<Attempt>,
}

#[derive(Debug, Clone, Default)]
pub struct EventFilter {
    pub tenant: Option<Tenant>,
    pub event_type: Option<EventType>,
    /// Tagged with this channel, among others perhaps.
    pub channel: Option<Channel>,
    /// Accepted at or after.
    pub since: Option<Timestamp>,
    /// Accepted before.
    pub until: Option<Timestamp>,
}

impl EventFilter {
    pub fn fits(&self, event: &Event) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == event.tenant)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == event.event_type)
            && self.channel.as_ref().is_none_or(|channel| event.channels.contains(channel))
            && self.since.is_none_or(|since| event.accepted_at >= since)
            && self.until.is_none_or(|until| event.accepted_at < until)
    }
}

#[derive(Debug, Clone, Default)]
pub struct DeliveryFilter {
    pub tenant: Option<Tenant>,
    pub endpoint: Option<EndpointId>,
    pub event: Option<EventId>,
    pub state: Option<State>,
    pub event_type: Option<EventType>,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    pub webhook_id: Option<WebhookId>,
}

impl DeliveryFilter {
    pub fn fits(&self, delivery: &Delivery) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == delivery.tenant)
            && self.endpoint.is_none_or(|endpoint| endpoint == delivery.endpoint)
            && self.event.is_none_or(|event| event == delivery.id.event())
            && self.state.is_none_or(|state| state == delivery.state)
            && self.event_type.as_ref().is_none_or(|wanted| *wanted == delivery.event_type)
            && self.since.is_none_or(|since| delivery.created_at >= since)
            && self.until.is_none_or(|until| delivery.created_at < until)
            && self.webhook_id.is_none_or(|wanted| wanted == delivery.webhook_id)
    }

    /// Whether the delivery shows that none fits: all that an endpoint gets is of one tenant, and it is not this one.
    pub fn is_refuted_by(&self, delivery: &Delivery) -> bool {
        self.endpoint == Some(delivery.endpoint)
            && self.tenant.as_ref().is_some_and(|tenant| *tenant != delivery.tenant)
    }

    /// The one event that the filter can find deliveries of, if there is only one.
    pub fn only_event(&self) -> Option<EventId> {
        self.event.or(self.webhook_id.map(|id| id.first_delivery().event()))
    }
}

/// A place in the store's order: an event's, or one of its deliveries'.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub sequence: u64,
    pub ordinal: u16,
}

#[derive(Debug, Clone, Copy)]
pub struct PageRequest {
    /// Begin behind this place.
    pub after: Option<Place>,
    /// Most items, at least 1.
    pub limit: usize,
}

/// A store looks at a bounded number of rows for a page ([`SCAN_LIMIT`]), so a page may be short, even empty,
/// while more follow.
#[derive(Debug, Clone)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Place>,
}

/// Most rows that are looked at for one page: of the index, of events or of deliveries.
pub const SCAN_LIMIT: usize = 4_096;

/// How many attempts of a delivery a store keeps, unless it is told otherwise: the latest ones.
pub const ATTEMPTS_KEPT: u32 = 100;

/// Why a delivery ends whose endpoint was deleted.
pub const ORPHANED: &str = "Its endpoint was deleted.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pruned {
    pub events: u64,
    pub deliveries: u64,
    /// The end has been reached; the next call begins anew.
    pub done: bool,
}

/// Whether an event has no more deliveries than it can have.
fn check_room(arrival: &Arrival) -> Result<()> {
    let deliveries = arrival.deliveries.len();
    if deliveries <= MAX_DELIVERIES_PER_EVENT as usize {
        return Ok(());
    }
    Err(StoreError::Unavailable(format!(
        "an event would have {deliveries} deliveries; it can have {MAX_DELIVERIES_PER_EVENT}"
    )))
}
