//! A store in plain memory, for tests and trials. Nothing outlives it.
//!
//! It is also the model that other stores are compared with: each method looks at all there is, so that it can be
//! read as the meaning of its promise.

mod jobs;
mod plugins;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::ledger::Ledger;
use super::*;
use crate::event::ProducerId;

#[derive(Debug)]
pub struct MemoryStore {
    contents: Mutex<Contents>,
    attempts_kept: usize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    pub fn new() -> Self {
        Self::keeping(ATTEMPTS_KEPT)
    }

    /// An empty store that keeps so many attempts of a delivery, the latest ones.
    pub fn keeping(attempts: u32) -> Self {
        Self { contents: Mutex::default(), attempts_kept: attempts as usize }
    }

    /// A copy that goes its own way from here.
    pub fn fork(&self) -> Self {
        let contents = self.contents().clone();
        Self { contents: Mutex::new(contents), attempts_kept: self.attempts_kept }
    }

    /// A copy in which nobody holds a lease, as after a restart.
    pub fn restarted(&self) -> Self {
        let copy = self.fork();
        copy.contents().deliveries.values_mut().for_each(|row| row.leased_until = None);
        copy
    }

    /// No method leaves the contents half changed, so they are good even where a holder of the lock panicked.
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Inbox for MemoryStore {
    async fn append(
        &self,
        batch: Vec<Arrival>,
        against: BookVersion,
        lease_until: Timestamp,
    ) -> Result<Append> {
        let mut contents = self.contents();
        if against != contents.version {
            return Ok(Append::Stale(contents.version));
        }
        batch.iter().try_for_each(super::check_room)?;
        let answers = batch.into_iter().map(|arrival| contents.take_on(arrival, lease_until)).collect();
        contents.count();
        Ok(Append::Done(answers))
    }
}

impl Hosts for MemoryStore {}

#[async_trait]
impl Queue for MemoryStore {
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        let mut contents = self.contents();
        let turns = contents.turns(&claim);
        Ok(turns.into_iter().filter_map(|place| contents.hand_out(place, claim.lease_until)).collect())
    }

    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>> {
        let mut contents = self.contents();
        let mut lost = Vec::new();
        for lease in leases {
            match contents.leased(lease) {
                Some(row) => row.leased_until = Some(until),
                None => lost.push(lease),
            }
        }
        Ok(lost)
    }

    async fn settle(&self, batch: Vec<Settled>) -> Result<Vec<Settle>> {
        batch.iter().flat_map(|settled| &settled.announce).try_for_each(super::check_room)?;
        let mut contents = self.contents();
        let answers = batch.into_iter().map(|settled| contents.settle(settled, self.attempts_kept)).collect();
        contents.count();
        Ok(answers)
    }

    async fn release(&self, leases: Vec<Lease>, due: Timestamp) -> Result<()> {
        let mut contents = self.contents();
        for lease in leases {
            if let Some(row) = contents.leased(lease) {
                row.leased_until = None;
                row.delivery.due = Some(due);
            }
        }
        Ok(())
    }

    async fn next_due(&self, skip: HashSet<EndpointId>) -> Result<Option<Timestamp>> {
        Ok(self.contents().waiting(&skip).map(|(_, _, from)| from).min())
    }

    async fn retry_now(&self, delivery: DeliveryId, now: Timestamp) -> Result<Steer> {
        Ok(self.contents().steer(delivery, |row| {
            if row.leased_until.is_none() && !row.in_line {
                row.delivery.due = Some(now);
            }
        }))
    }

    async fn cancel(&self, delivery: DeliveryId, reason: String, now: Timestamp) -> Result<Steer> {
        let mut contents = self.contents();
        let steer = contents.steer(delivery, |row| drop(row.cancel(reason, now)));
        if let Steer::Done(delivery) = &steer {
            contents.note_end(delivery);
        }
        contents.count();
        Ok(steer)
    }

    async fn replay(&self, delivery: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay> {
        let mut contents = self.contents();
        let replay = contents.replay(delivery, new_webhook_id, now);
        if let Replay::Done(delivery) = &replay {
            contents.ledger.0.replayed(delivery);
        }
        contents.count();
        Ok(replay)
    }

    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<usize> {
        let mut contents = self.contents();
        let Contents { deliveries, endpoints, .. } = &mut *contents;
        let orphans = deliveries
            .values_mut()
            .filter(|row| row.is_pending() && !endpoints.contains_key(&row.delivery.endpoint))
            .take(limit);
        let ended: Vec<_> = orphans.map(|row| row.cancel(ORPHANED.to_owned(), now)).collect();
        ended.iter().for_each(|delivery| contents.note_end(delivery));
        contents.count();
        Ok(ended.len())
    }

    async fn cancel_waiting(
        &self,
        endpoint: EndpointId,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
    ) -> Result<usize> {
        let mut contents = self.contents();
        let waits = |row: &Row| row.delivery.endpoint == endpoint && row.delivery.created_at < before;
        let waiting =
            contents.deliveries.values_mut().filter(|row| row.is_pending() && waits(row)).take(limit);
        let ended: Vec<_> = waiting.map(|row| row.cancel(reason.clone(), now)).collect();
        ended.iter().for_each(|delivery| contents.note_end(delivery));
        contents.count();
        Ok(ended.len())
    }

    async fn expire(
        &self,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
        tell: Tell,
    ) -> Result<usize> {
        let mut contents = self.contents();
        let waits =
            |row: &Row| row.leased_until.is_none() && row.delivery.due.is_some_and(|due| due < before);
        let old =
            contents.deliveries.iter_mut().filter(|(_, row)| row.is_pending() && waits(row)).take(limit);
        let ended: Vec<_> =
            old.map(|(place, row)| (place.sequence, row.end(State::Failed, reason.clone(), now))).collect();
        for (sequence, delivery) in &ended {
            contents.note_end(delivery);
            let event = contents.events.get(sequence).map(|entry| entry.event.clone());
            let told = event.and_then(|event| tell(&event, delivery));
            contents.announce(told.into_iter().collect());
        }
        contents.count();
        Ok(ended.len())
    }

    async fn pending(&self) -> Result<u64> {
        Ok(self.contents().deliveries.values().filter(|row| row.is_pending()).count() as u64)
    }
}

#[async_trait]
impl Endpoints for MemoryStore {
    async fn endpoints(&self) -> Result<(BookVersion, Vec<EndpointRow>)> {
        let contents = self.contents();
        Ok((contents.version, contents.endpoints.values().cloned().collect()))
    }

    async fn put_endpoint(&self, row: EndpointRow, announce: Vec<Arrival>) -> Result<Option<BookVersion>> {
        announce.iter().try_for_each(super::check_room)?;
        let mut contents = self.contents();
        let stored = contents.endpoints.get(&row.id).map_or(0, |stored| stored.revision);
        if row.revision != stored + 1 {
            return Ok(None);
        }
        let id = row.id;
        let before = contents.endpoints.insert(id, row.clone());
        if before.is_some_and(|before| before.judged_from != row.judged_from) {
            let standing = contents.standings.entry(id).or_default();
            standing.health = standing.health.anew();
        }
        contents.follow_order(id);
        contents.announce(announce);
        contents.count();
        Ok(Some(contents.next_version()))
    }

    async fn delete_endpoint(&self, id: EndpointId) -> Result<Option<BookVersion>> {
        let mut contents = self.contents();
        let deleted = contents.endpoints.remove(&id);
        contents.standings.remove(&id);
        contents.follow_order(id);
        Ok(deleted.map(|_| contents.next_version()))
    }
}

#[async_trait]
impl Documents for MemoryStore {
    async fn documents(&self) -> Result<(BookVersion, Vec<DocumentRow>)> {
        let contents = self.contents();
        Ok((contents.version, contents.documents.values().cloned().collect()))
    }

    async fn put_document(&self, row: DocumentRow) -> Result<Option<BookVersion>> {
        let mut contents = self.contents();
        let key = (row.kind, row.name.clone());
        let stored = contents.documents.get(&key).map_or(0, |stored| stored.revision);
        if row.revision != stored + 1 {
            return Ok(None);
        }
        contents.documents.insert(key, row);
        Ok(Some(contents.next_version()))
    }

    async fn delete_document(&self, kind: DocumentKind, name: &str) -> Result<Option<BookVersion>> {
        let mut contents = self.contents();
        let deleted = contents.documents.remove(&(kind, name.to_owned()));
        Ok(deleted.map(|_| contents.next_version()))
    }
}

#[async_trait]
impl Settings for MemoryStore {
    async fn setting(&self, name: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.contents().settings.get(name).cloned())
    }

    async fn setting_or(&self, name: &str, value: Vec<u8>) -> Result<Vec<u8>> {
        Ok(self.contents().settings.entry(name.to_owned()).or_insert(value).clone())
    }

    async fn put_setting(&self, name: &str, value: Vec<u8>) -> Result<()> {
        self.contents().settings.insert(name.to_owned(), value);
        Ok(())
    }
}

#[async_trait]
impl Backup for MemoryStore {
    async fn backup(&self, _: Vec<u8>, _: Duration) -> Result<Copying> {
        Ok(Copying::Impossible)
    }
}

#[async_trait]
impl History for MemoryStore {
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>> {
        let contents = self.contents();
        Ok(contents.sequences.get(&id).and_then(|sequence| contents.event_record(*sequence)))
    }

    async fn events(&self, filter: EventFilter, page: PageRequest) -> Result<Page<Arc<Event>>> {
        let contents = self.contents();
        let newest_first = contents
            .events
            .iter()
            .rev()
            .map(|(sequence, entry)| (Place { sequence: *sequence, ordinal: 0 }, &entry.event))
            .filter(|(_, event)| filter.fits(event));
        Ok(cut(newest_first.map(|(place, event)| (place, event.clone())), page))
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
        let contents = self.contents();
        Ok(contents.place(id).and_then(|place| contents.delivery_record(place)))
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>> {
        let contents = self.contents();
        let newest_first = contents.deliveries.iter().rev().filter(|(_, row)| filter.fits(&row.delivery));
        Ok(cut(newest_first.map(|(place, row)| (*place, row.delivery.clone())), page))
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        Ok(self.contents().prune(before, limit))
    }
}

#[async_trait]
impl Statistics for MemoryStore {
    async fn tallies(&self, scopes: Vec<Scope>, window: Window) -> Result<Vec<Vec<Bucket>>> {
        let contents = self.contents();
        Ok(scopes.iter().map(|scope| contents.buckets(scope, window)).collect())
    }

    async fn volumes(&self, tenant: Option<Tenant>, window: Window) -> Result<Volumes> {
        let contents = self.contents();
        let mut types: BTreeMap<EventType, Tally> = BTreeMap::new();
        for ((resolution, bucket, scope), tally) in &contents.tallies {
            let in_window = *resolution == window.resolution() && window.buckets().contains(bucket);
            let event_type = match scope {
                Scope::HostType(event_type) if tenant.is_none() => event_type,
                Scope::TenantType(of, event_type) if tenant.as_ref() == Some(of) => event_type,
                _ => continue,
            };
            if in_window {
                types.entry(event_type.clone()).or_default().add(tally);
            }
        }
        Ok(Volumes { types: types.into_iter().collect(), partial: false })
    }

    async fn standings(&self, endpoints: Vec<EndpointId>) -> Result<Vec<Standing>> {
        let contents = self.contents();
        Ok(endpoints.into_iter().map(|endpoint| contents.standing(endpoint)).collect())
    }

    async fn errors(&self, filter: ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage> {
        let contents = self.contents();
        let behind = |group: &&ErrorGroup| page.after.is_none_or(|after| group.place() < after);
        let mut groups: Vec<_> =
            contents.errors.values().filter(|group| filter.fits(group)).filter(behind).cloned().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.place()));
        let more = groups.len() > page.limit.max(1);
        groups.truncate(page.limit.max(1));
        let next = groups.last().filter(|_| more).map(ErrorGroup::place);
        Ok(ErrorPage { groups, next })
    }

    async fn stored_bytes(&self, tenant: Tenant) -> Result<u64> {
        let contents = self.contents();
        let of_tenant = contents.events.values().filter(|entry| entry.event.tenant == tenant);
        Ok(of_tenant.map(|entry| entry.event.payload.len() as u64).sum())
    }

    async fn prune_statistics(&self, kept: Kept, limit: usize) -> Result<usize> {
        let mut contents = self.contents();
        let old = |(resolution, bucket, _): &&(Resolution, i64, Scope)| {
            resolution.start(*bucket) < kept.since(*resolution)
        };
        let gone: Vec<_> = contents.tallies.keys().filter(old).take(limit).cloned().collect();
        gone.iter().for_each(|key| drop(contents.tallies.remove(key)));
        let errors = contents.errors.iter().filter(|(_, group)| group.last_at < kept.hours);
        let errors: Vec<_> = errors.map(|(key, _)| *key).take(limit - gone.len()).collect();
        errors.iter().for_each(|key| drop(contents.errors.remove(key)));
        Ok(gone.len() + errors.len())
    }
}

#[derive(Debug, Clone, Default)]
struct Contents {
    version: BookVersion,
    endpoints: BTreeMap<EndpointId, EndpointRow>,
    documents: BTreeMap<(DocumentKind, String), DocumentRow>,
    settings: BTreeMap<String, Vec<u8>>,
    last_sequence: u64,
    /// By their sequence.
    events: BTreeMap<u64, Entry>,
    sequences: BTreeMap<EventId, u64>,
    deliveries: BTreeMap<Place, Row>,
    lines: BTreeMap<EndpointId, Line>,
    jobs: BTreeMap<crate::id::JobId, super::jobs::Job>,
    plugins: BTreeMap<String, super::plugins::PluginRow>,
    components: BTreeMap<super::plugins::ComponentDigest, (Bytes, Timestamp)>,
    known: BTreeMap<(Tenant, ProducerId), Known>,
    /// The sequence that the last call of `prune` stopped behind; 0 to begin anew.
    pruned_to: u64,
    tallies: BTreeMap<(Resolution, i64, Scope), Tally>,
    /// What is pending is counted anew each time.
    standings: BTreeMap<EndpointId, Standing>,
    errors: BTreeMap<(EndpointId, Trouble), ErrorGroup>,
    ledger: OpenLedger,
}

/// The line of an endpoint that keeps an order.
#[derive(Debug, Clone, Default)]
struct Line {
    head: Option<DeliveryId>,
    behind: VecDeque<DeliveryId>,
}

/// Empty between two calls, so that a copy begins with an empty one.
#[derive(Debug, Default)]
struct OpenLedger(Ledger);

impl Clone for OpenLedger {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[derive(Debug, Clone)]
struct Entry {
    event: Arc<Event>,
    /// By its append.
    promised: Vec<EndpointId>,
    /// Never falls, so that the ordinal of a pruned delivery is not given again.
    next_ordinal: u16,
}

#[derive(Debug, Clone)]
struct Row {
    delivery: Delivery,
    generation: u64,
    /// Stands until it is given up, taken away or replaced, even where it has expired.
    leased_until: Option<Timestamp>,
    /// It stands in line, behind the head.
    in_line: bool,
    attempts: Vec<Attempt>,
}

/// What the first post under a producer id was answered.
#[derive(Debug, Clone, Copy)]
struct Known {
    event: EventId,
    content: ContentDigest,
    deliveries: u32,
}

impl Known {
    fn answer(self, content: ContentDigest) -> Appended {
        match self.content == content {
            true => Appended::Duplicate { event: self.event, deliveries: self.deliveries },
            false => Appended::Conflict { event: self.event },
        }
    }
}

impl Row {
    fn new(delivery: Delivery) -> Self {
        Self { delivery, generation: 0, leased_until: None, in_line: false, attempts: Vec::new() }
    }

    fn is_pending(&self) -> bool {
        !self.delivery.state.is_final()
    }

    /// When it can be claimed; `None` once it is final, and while it stands in line.
    fn claimable_from(&self) -> Option<Timestamp> {
        self.delivery
            .due
            .filter(|_| !self.in_line)
            .map(|due| self.leased_until.map_or(due, |until| until.max(due)))
    }

    fn lease(&mut self, until: Timestamp) -> Lease {
        self.generation += 1;
        self.leased_until = Some(until);
        Lease { delivery: self.delivery.id, generation: self.generation }
    }

    fn cancel(&mut self, reason: String, now: Timestamp) -> Delivery {
        self.end(State::Cancelled, reason, now)
    }

    fn end(&mut self, state: State, reason: String, now: Timestamp) -> Delivery {
        self.leased_until = None;
        self.delivery = self.delivery.clone().finish(state, Some(reason), now);
        self.delivery.clone()
    }

    fn write(&mut self, settled: Settled, attempts_kept: usize) {
        // A pending delivery always has a time: without one it would be forgotten.
        let due = settled.delivery.due.or(self.delivery.due);
        self.delivery = settled.delivery;
        self.delivery.due = due.filter(|_| !self.delivery.state.is_final());
        self.leased_until = None;
        self.attempts.extend(settled.attempt);
        let surplus = self.attempts.len().saturating_sub(attempts_kept);
        self.attempts.drain(..surplus);
    }
}

impl Contents {
    fn next_version(&mut self) -> BookVersion {
        self.version.0 += 1;
        self.version
    }

    fn take_on(&mut self, arrival: Arrival, lease_until: Timestamp) -> Appended {
        let name = arrival.event.producer_id.clone().map(|id| (arrival.event.tenant.clone(), id));
        if let Some(known) = name.as_ref().and_then(|name| self.known.get(name)) {
            return known.answer(arrival.content);
        }
        if let Some(name) = name {
            let deliveries = arrival.deliveries.len() as u32;
            let (event, content) = (arrival.event.id, arrival.content);
            self.known.insert(name, Known { event, content, deliveries });
        }
        Appended::Accepted { taken: self.insert(arrival, lease_until) }
    }

    fn insert(&mut self, Arrival { event, deliveries, .. }: Arrival, lease_until: Timestamp) -> Vec<Lease> {
        self.last_sequence += 1;
        let sequence = self.last_sequence;
        self.sequences.insert(event.id, sequence);
        let promised = deliveries.iter().map(|new| new.endpoint).collect();
        let entry = Entry { event: event.clone(), promised, next_ordinal: deliveries.len() as u16 };
        self.events.insert(sequence, entry);
        let mut taken = Vec::new();
        let held = deliveries.iter().map(|new| (new.endpoint, self.endpoints.get(&new.endpoint)));
        let held = held.map(|(endpoint, row)| (endpoint, row.is_some_and(|row| row.held)));
        self.ledger.0.accepted(&event, held);
        for (ordinal, NewDelivery { endpoint, take }) in (0..).zip(deliveries) {
            if self.endpoints.contains_key(&endpoint) {
                self.standings.entry(endpoint).or_default().promised(event.accepted_at);
            }
            let id = DeliveryId::of(event.id, ordinal);
            let (tenant, event_type) = (event.tenant.clone(), event.event_type.clone());
            let mut row = Row::new(Delivery::new(id, endpoint, tenant, event_type, event.accepted_at));
            row.in_line = self.joins(endpoint, id);
            taken.extend((take && !row.in_line).then(|| row.lease(lease_until)));
            self.deliveries.insert(Place { sequence, ordinal }, row);
        }
        taken
    }

    fn place(&self, id: DeliveryId) -> Option<Place> {
        let sequence = *self.sequences.get(&id.event())?;
        Some(Place { sequence, ordinal: id.ordinal() })
    }

    fn row(&mut self, id: DeliveryId) -> Option<&mut Row> {
        let place = self.place(id)?;
        self.deliveries.get_mut(&place)
    }

    /// The row that the lease is the present one of.
    fn leased(&mut self, lease: Lease) -> Option<&mut Row> {
        self.row(lease.delivery)
            .filter(|row| row.leased_until.is_some() && row.generation == lease.generation)
    }

    /// What could be handed out, now or later, and from when.
    fn waiting<'a>(
        &'a self,
        skip: &'a HashSet<EndpointId>,
    ) -> impl Iterator<Item = (Place, &'a Delivery, Timestamp)> {
        let open =
            |id: &EndpointId| !skip.contains(id) && self.endpoints.get(id).is_some_and(|row| !row.held);
        self.deliveries
            .iter()
            .filter(move |(_, row)| open(&row.delivery.endpoint))
            .filter_map(|(place, row)| Some((*place, &row.delivery, row.claimable_from()?)))
    }

    /// What a claim hands out: the first of each endpoint's line, then the second of each, and so on.
    fn turns(&self, claim: &Claim) -> Vec<Place> {
        let mut lines: BTreeMap<EndpointId, Vec<_>> = BTreeMap::new();
        for (place, delivery, _) in self.waiting(&claim.skip).filter(|(_, _, from)| *from <= claim.now) {
            lines.entry(delivery.endpoint).or_default().push((delivery.due, place));
        }
        let mut turns = Vec::new();
        for line in lines.values_mut() {
            line.sort();
            let turn = line.iter().take(claim.per_endpoint).enumerate();
            turns.extend(turn.map(|(turn, (due, place))| (turn, *due, *place)));
        }
        turns.sort();
        turns.into_iter().take(claim.limit).map(|(_, _, place)| place).collect()
    }

    fn hand_out(&mut self, place: Place, until: Timestamp) -> Option<Claimed> {
        let event = self.events.get(&place.sequence)?.event.clone();
        let row = self.deliveries.get_mut(&place)?;
        Some(Claimed { lease: row.lease(until), delivery: row.delivery.clone(), event })
    }

    fn settle(&mut self, mut settled: Settled, attempts_kept: usize) -> Settle {
        if self.leased(settled.lease).is_none() {
            return Settle::LeaseLost;
        }
        let before = self.standings.get(&settled.delivery.endpoint).copied().unwrap_or_default().health;
        let health = self.note_settled(&settled.delivery, settled.attempt.as_ref());
        let mut announce = std::mem::take(&mut settled.announce);
        if before.recovers(&health) {
            announce.append(&mut settled.recovery);
        }
        let (delivery, attempted) = (settled.delivery.clone(), settled.attempt.is_some());
        if let Some(row) = self.leased(settled.lease) {
            row.write(settled, attempts_kept);
        }
        self.after_attempt(&delivery, attempted);
        self.announce(announce);
        Settle::Done(health)
    }

    fn note_settled(&mut self, delivery: &Delivery, attempt: Option<&Attempt>) -> Health {
        self.ledger.0.settled(delivery, attempt);
        let Some(row) = self.endpoints.get(&delivery.endpoint) else { return Health::default() };
        let standing = self.standings.entry(delivery.endpoint).or_default();
        standing.settled(delivery, attempt, row.judged_from);
        standing.health
    }

    fn note_end(&mut self, delivery: &Delivery) {
        self.note_settled(delivery, None);
        self.leave_line(delivery);
    }

    fn order(&self, endpoint: EndpointId) -> Order {
        self.endpoints.get(&endpoint).map(|row| row.order).unwrap_or_default()
    }

    /// Whether a new delivery has to stand in line; the first one is the head.
    fn joins(&mut self, endpoint: EndpointId, id: DeliveryId) -> bool {
        if !self.order(endpoint).is_kept() {
            return false;
        }
        let line = self.lines.entry(endpoint).or_default();
        match line.head {
            None => line.head = Some(id),
            Some(_) => line.behind.push_back(id),
        }
        line.head != Some(id)
    }

    fn after_attempt(&mut self, delivery: &Delivery, attempted: bool) {
        let aside = attempted && self.order(delivery.endpoint).steps_aside(delivery.attempts);
        if delivery.state.is_final() || aside {
            self.leave_line(delivery);
        }
    }

    fn leave_line(&mut self, delivery: &Delivery) {
        let Some(line) = self.lines.get_mut(&delivery.endpoint) else { return };
        line.behind.retain(|id| *id != delivery.id);
        if line.head == Some(delivery.id) {
            line.head = None;
            self.advance(delivery.endpoint);
        }
        if let Some(row) = self.row(delivery.id) {
            row.in_line = false;
        }
    }

    /// The first one behind the head is the head.
    fn advance(&mut self, endpoint: EndpointId) {
        let Some(line) = self.lines.get_mut(&endpoint) else { return };
        line.head = line.behind.pop_front();
        if let Some(row) = line.head.and_then(|head| self.row(head)) {
            row.in_line = false;
        }
    }

    /// Brings the line to what the endpoint's row says: one that keeps no order has none, one that does has a head.
    fn follow_order(&mut self, endpoint: EndpointId) {
        let Some(line) = self.lines.get_mut(&endpoint) else { return };
        match self.endpoints.get(&endpoint) {
            Some(row) if row.order.is_kept() && line.head.is_some() => {}
            Some(row) if row.order.is_kept() => self.advance(endpoint),
            Some(_) => {
                let behind = std::mem::take(&mut line.behind);
                self.lines.remove(&endpoint);
                for id in behind {
                    self.row(id).into_iter().for_each(|row| row.in_line = false);
                }
            }
            None => line.head = None,
        }
    }

    fn announce(&mut self, announce: Vec<Arrival>) {
        for mut arrival in announce {
            arrival.deliveries.iter_mut().for_each(|delivery| delivery.take = false);
            self.take_on(arrival, Timestamp::ZERO);
        }
    }

    /// Writes what the ledger gathered.
    fn count(&mut self) {
        let (minutes, errors) = self.ledger.0.take();
        for (key, tally) in minutes.spread() {
            self.tallies.entry(key).or_default().add(&tally);
        }
        for group in errors {
            match self.errors.get_mut(&(group.endpoint, group.trouble)) {
                Some(stored) => stored.add(group),
                None => drop(self.errors.insert((group.endpoint, group.trouble), group)),
            }
        }
    }

    fn buckets(&self, scope: &Scope, window: Window) -> Vec<Bucket> {
        let resolution = window.resolution();
        let tallies = window.buckets().filter_map(|bucket| {
            let tally = self.tallies.get(&(resolution, bucket, scope.clone()))?.clone();
            Some(Bucket { start: resolution.start(bucket), tally })
        });
        tallies.collect()
    }

    fn standing(&self, endpoint: EndpointId) -> Standing {
        let pending = || {
            let of_it = |row: &&Row| row.is_pending() && row.delivery.endpoint == endpoint;
            self.deliveries.values().filter(of_it).map(|row| row.delivery.created_at)
        };
        Standing {
            pending: pending().count() as u64,
            oldest_pending_at: pending().min(),
            ..self.standings.get(&endpoint).copied().unwrap_or_default()
        }
    }

    fn steer(&mut self, id: DeliveryId, change: impl FnOnce(&mut Row)) -> Steer {
        match self.row(id) {
            None => Steer::NotFound,
            Some(row) if !row.is_pending() => Steer::Final(row.delivery.clone()),
            Some(row) => {
                change(row);
                Steer::Done(row.delivery.clone())
            }
        }
    }

    fn replay(&mut self, id: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Replay {
        let Some(original) = self.row(id).map(|row| row.delivery.clone()) else { return Replay::NotFound };
        if !original.state.is_final() {
            return Replay::Pending(original);
        }
        if !self.endpoints.contains_key(&original.endpoint) {
            return Replay::NoEndpoint;
        }
        let Some(place) = self.next_place(id.event()) else { return Replay::Full };
        let id = DeliveryId::of(id.event(), place.ordinal);
        let webhook_id = if new_webhook_id { id.webhook_id() } else { original.webhook_id };
        let delivery = original.replay(id, webhook_id, now);
        let in_line = self.joins(delivery.endpoint, id);
        self.deliveries.insert(place, Row { in_line, ..Row::new(delivery.clone()) });
        Replay::Done(delivery)
    }

    /// The place of the event's next delivery, unless it is full.
    fn next_place(&mut self, event: EventId) -> Option<Place> {
        let sequence = *self.sequences.get(&event)?;
        let entry = self.events.get_mut(&sequence)?;
        let ordinal = entry.next_ordinal;
        entry.next_ordinal = ordinal.checked_add(1)?;
        Some(Place { sequence, ordinal })
    }

    fn event_record(&self, sequence: u64) -> Option<EventRecord> {
        let event = self.events.get(&sequence)?.event.clone();
        let rows = self.deliveries.range(places(sequence));
        Some(EventRecord { event, deliveries: rows.map(|(_, row)| row.delivery.clone()).collect() })
    }

    fn delivery_record(&self, place: Place) -> Option<DeliveryRecord> {
        let row = self.deliveries.get(&place)?;
        let event = self.events.get(&place.sequence)?.event.clone();
        Some(DeliveryRecord { delivery: row.delivery.clone(), event, attempts: row.attempts.clone() })
    }

    fn prune(&mut self, before: Timestamp, limit: usize) -> Pruned {
        let ahead = self.events.range(self.pruned_to + 1..).map(|(sequence, _)| *sequence);
        let looked_at: Vec<u64> = ahead.take(limit.max(1)).collect();
        let last = looked_at.last().copied().unwrap_or(self.last_sequence);
        let mut pruned = Pruned::default();
        for sequence in looked_at {
            pruned.deliveries += self.prune_deliveries(sequence, before);
            pruned.events += self.prune_event(sequence, before);
        }
        pruned.done = self.events.range(last + 1..).next().is_none();
        self.pruned_to = if pruned.done { 0 } else { last };
        pruned
    }

    fn prune_deliveries(&mut self, sequence: u64, before: Timestamp) -> u64 {
        let rows = self.deliveries.range(places(sequence));
        let ended = |row: &Row| row.delivery.finished_at.is_some_and(|at| at < before);
        let gone: Vec<Place> = rows.filter(|(_, row)| ended(row)).map(|(place, _)| *place).collect();
        gone.iter().for_each(|place| drop(self.deliveries.remove(place)));
        gone.len() as u64
    }

    fn prune_event(&mut self, sequence: u64, before: Timestamp) -> u64 {
        let Some(Entry { event, next_ordinal, .. }) = self.events.get(&sequence).cloned() else { return 0 };
        let had_deliveries = next_ordinal > 0;
        let over = had_deliveries || event.accepted_at < before;
        if !over || self.deliveries.range(places(sequence)).next().is_some() {
            return 0;
        }
        self.events.remove(&sequence);
        self.sequences.remove(&event.id);
        if let Some(producer_id) = event.producer_id.clone() {
            self.known.remove(&(event.tenant.clone(), producer_id));
        }
        1
    }
}

/// The places of an event's deliveries.
fn places(sequence: u64) -> std::ops::RangeInclusive<Place> {
    Place { sequence, ordinal: 0 }..=Place { sequence, ordinal: u16::MAX }
}

/// Cuts a page out of all that fit, newest first.
fn cut<T>(newest_first: impl Iterator<Item = (Place, T)>, page: PageRequest) -> Page<T> {
    let mut rest = newest_first.filter(|(place, _)| page.after.is_none_or(|after| *place < after)).peekable();
    let mut next = None;
    let mut items = Vec::new();
    while let Some((place, item)) = rest.next_if(|_| items.len() < page.limit.max(1)) {
        next = Some(place);
        items.push(item);
    }
    Page { items, next: next.filter(|_| rest.peek().is_some()) }
}
