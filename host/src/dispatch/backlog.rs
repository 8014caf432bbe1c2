//! How much pending work may be in memory, and which leases it holds.
//!
//! An endpoint may use a part of the room that is left. So one that hangs, or a hundred, never takes all of it:
//! what they cannot have waits in the store.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::id::{DeliveryId, EndpointId};
use crate::store::Lease;
use crate::time::Timestamp;

/// An endpoint may hold as many deliveries in memory as this part of the room that is left.
const SHARE: usize = 4;

/// Most deliveries and payload bytes in memory.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub deliveries: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Backlog {
    bounds: Bounds,
    books: Mutex<Books>,
    room: Notify,
}

#[derive(Debug, Default)]
struct Books {
    deliveries: usize,
    bytes: usize,
    lanes: HashMap<EndpointId, usize>,
    /// Until when each is good, as far as is known here.
    leases: HashMap<DeliveryId, (Lease, Timestamp)>,
    /// Endpoints that were refused room since it was last looked for.
    refused: HashSet<EndpointId>,
    /// There was no room at all when it was last asked for.
    was_full: bool,
}

impl Books {
    /// How many deliveries an endpoint may have, as things stand.
    fn share(&self, bounds: Bounds) -> usize {
        (bounds.deliveries.saturating_sub(self.deliveries) / SHARE).max(1)
    }
}

/// How a lease stands, as far as is known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Good,
    /// It has run out, so that somebody else may have been given the delivery: the store knows.
    RunOut,
    Lost,
}

/// Room for one delivery, given back when it is dropped.
#[derive(Debug)]
pub struct Slot {
    backlog: Arc<Backlog>,
    endpoint: EndpointId,
    bytes: usize,
    lease: Option<Lease>,
}

impl Backlog {
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Arc::new(Self { bounds, books: Mutex::default(), room: Notify::new() })
    }

    /// Room for a delivery of `bytes` to the endpoint, if there is any, and where it has fewer than `most` here.
    pub fn reserve(
        self: &Arc<Self>,
        endpoint: EndpointId,
        bytes: usize,
        most: Option<usize>,
    ) -> Option<Slot> {
        let mut books = self.books();
        let share = books.share(self.bounds).min(most.unwrap_or(usize::MAX));
        let used = books.lanes.get(&endpoint).copied().unwrap_or(0);
        let full =
            books.deliveries >= self.bounds.deliveries || books.bytes + bytes > self.bounds.bytes.max(bytes);
        if full || used >= share {
            books.refused.insert(endpoint);
            return None;
        }
        drop(books);
        Some(self.occupy(endpoint, bytes))
    }

    /// Room for a delivery that has been claimed already: it is counted even where it passes the bound.
    pub fn occupy(self: &Arc<Self>, endpoint: EndpointId, bytes: usize) -> Slot {
        let mut books = self.books();
        books.deliveries += 1;
        books.bytes += bytes;
        *books.lanes.entry(endpoint).or_default() += 1;
        Slot { backlog: self.clone(), endpoint, bytes, lease: None }
    }

    /// How many more deliveries there is room for.
    pub fn room(&self) -> usize {
        let mut books = self.books();
        let full = books.bytes >= self.bounds.bytes || books.deliveries >= self.bounds.deliveries;
        books.was_full |= full;
        if full { 0 } else { self.bounds.deliveries - books.deliveries }
    }

    /// Whether more than half of the room is taken: what can wait had better do so.
    pub fn is_busy(&self) -> bool {
        let books = self.books();
        books.deliveries * 2 > self.bounds.deliveries || books.bytes * 2 > self.bounds.bytes
    }

    /// How many one endpoint could get now, and the endpoints that have their share already.
    pub fn shares(&self) -> (usize, HashSet<EndpointId>) {
        let mut books = self.books();
        let share = books.share(self.bounds);
        let full: HashSet<_> = books
            .lanes
            .iter()
            .filter(|(_, used)| **used * 2 >= share)
            .map(|(endpoint, _)| *endpoint)
            .collect();
        books.refused.extend(full.iter().copied());
        (share.div_ceil(2), full)
    }

    /// Waits until an endpoint that was refused room, or found full, could have some.
    pub async fn room_again(&self) {
        self.room.notified().await;
    }

    pub fn leases(&self) -> Vec<Lease> {
        self.books().leases.values().map(|(lease, _)| *lease).collect()
    }

    /// Notes that leases were renewed until then, those that are still held.
    pub fn prolong(&self, leases: &[Lease], until: Timestamp) {
        let mut books = self.books();
        for lease in leases {
            if let Some((held, good)) = books.leases.get_mut(&lease.delivery)
                && held == lease
            {
                *good = until;
            }
        }
    }

    /// Notes that a lease is lost: what holds it must not be sent.
    pub fn revoke(&self, delivery: DeliveryId) {
        self.books().leases.remove(&delivery);
    }

    /// The endpoints that have something here.
    pub fn endpoints(&self) -> Vec<EndpointId> {
        self.books().lanes.keys().copied().collect()
    }

    pub fn is_empty(&self) -> bool {
        self.books().deliveries == 0
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slot {
    pub fn hold(&mut self, lease: Lease, until: Timestamp) {
        self.lease = Some(lease);
        self.backlog.books().leases.insert(lease.delivery, (lease, until));
    }

    /// How its lease stands. A host that stood still, or could not reach the store, may wake up to leases that have
    /// run out.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let books = self.backlog.books();
        let held =
            self.lease.and_then(|lease| books.leases.get(&lease.delivery).filter(|held| held.0 == lease));
        match held {
            Some((_, until)) if *until > now => Standing::Good,
            Some(_) => Standing::RunOut,
            None => Standing::Lost,
        }
    }

    /// Notes that its lease was renewed until then.
    pub fn prolong(&self, until: Timestamp) {
        self.backlog.prolong(self.lease.as_slice(), until);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut books = self.backlog.books();
        books.deliveries = books.deliveries.saturating_sub(1);
        books.bytes = books.bytes.saturating_sub(self.bytes);
        if let Some(lease) = self.lease {
            // A later lease of the same delivery is another slot's.
            if books.leases.get(&lease.delivery).is_some_and(|(held, _)| *held == lease) {
                books.leases.remove(&lease.delivery);
            }
        }
        let left = books.lanes.get_mut(&self.endpoint).map_or(0, |used| {
            *used = used.saturating_sub(1);
            *used
        });
        if left == 0 {
            books.lanes.remove(&self.endpoint);
        }
        let low = left * 4 <= books.share(self.backlog.bounds) && books.refused.remove(&self.endpoint);
        let bounds = self.backlog.bounds;
        let waited_for = books.was_full || !books.refused.is_empty();
        let half_empty = books.deliveries * 2 <= bounds.deliveries && books.bytes * 2 <= bounds.bytes;
        if low || (half_empty && waited_for) {
            books.was_full = false;
            self.backlog.room.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_u128(n)
    }

    #[test]
    fn one_endpoint_never_takes_all() {
        let backlog = Backlog::new(Bounds { deliveries: 100, bytes: 1_000 });
        let hung: Vec<_> = std::iter::from_fn(|| backlog.reserve(endpoint(1), 1, None)).collect();
        assert_eq!(hung.len(), 20);
        assert!(backlog.reserve(endpoint(2), 1, None).is_some());
        assert!(backlog.shares().1.contains(&endpoint(1)));
    }

    #[test]
    fn bytes_are_bounded_but_one_payload_always_fits() {
        let backlog = Backlog::new(Bounds { deliveries: 100, bytes: 1_000 });
        let large = backlog.reserve(endpoint(1), 5_000, None);
        assert!(large.is_some());
        assert!(backlog.reserve(endpoint(2), 1, None).is_none());
        assert_eq!(backlog.room(), 0);
        drop(large);
        assert_eq!(backlog.room(), 100);
        assert!(backlog.reserve(endpoint(2), 1, None).is_some());
    }

    #[tokio::test]
    async fn who_was_refused_is_told_of_room() {
        let backlog = Backlog::new(Bounds { deliveries: 4, bytes: 1_000 });
        let slot = backlog.reserve(endpoint(1), 1, None).unwrap();
        assert!(backlog.reserve(endpoint(1), 1, None).is_none());
        drop(slot);
        backlog.room_again().await;
        assert!(backlog.reserve(endpoint(1), 1, None).is_some());
    }

    #[test]
    fn leases_go_with_their_slots() {
        let backlog = Backlog::new(Bounds { deliveries: 4, bytes: 1_000 });
        let lease = Lease { delivery: DeliveryId::from_u128(7), generation: 1 };
        let mut slot = backlog.occupy(endpoint(1), 1);
        let (now, later) = (Timestamp::from_secs(1), Timestamp::from_secs(2));
        slot.hold(lease, later);
        assert_eq!(backlog.leases(), [lease]);
        drop(slot);
        assert!(backlog.leases().is_empty() && backlog.is_empty());
        assert_eq!(backlog.occupy(endpoint(1), 1).standing(now), Standing::Lost);
    }

    #[test]
    fn a_lease_that_has_run_out_is_good_again_once_it_is_renewed() {
        let backlog = Backlog::new(Bounds { deliveries: 4, bytes: 1_000 });
        let lease = Lease { delivery: DeliveryId::from_u128(7), generation: 1 };
        let at = Timestamp::from_secs;
        let mut slot = backlog.occupy(endpoint(1), 1);
        slot.hold(lease, at(10));
        assert_eq!(slot.standing(at(9)), Standing::Good);
        assert_eq!(slot.standing(at(10)), Standing::RunOut);
        backlog.prolong(&[Lease { generation: 2, ..lease }], at(20));
        assert_eq!(slot.standing(at(10)), Standing::RunOut, "that was another lease");
        backlog.prolong(&[lease], at(20));
        assert_eq!(slot.standing(at(10)), Standing::Good);
        backlog.revoke(lease.delivery);
        assert_eq!(slot.standing(at(9)), Standing::Lost);
    }
}
