//! What the store keeps in memory: leases, and the deliveries that have no row of their own yet.
//!
//! One process owns the file, so leases need not be written: after a restart there are none.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::delivery::Delivery;
use crate::endpoint::Order;
use crate::event::Event;
use crate::id::{DeliveryId, EndpointId};
use crate::store::{BookVersion, EndpointRow, Lease, Place};
use crate::time::Timestamp;

use super::index::Index;

#[derive(Debug, Default)]
pub struct Desk {
    pub leases: HashMap<DeliveryId, Held>,
    /// Deliveries that are promised by their event's row alone. Each is leased, or its lease has run out.
    pub implied: BTreeMap<Place, Implied>,
    /// For each endpoint with due rows: no row of it that is not leased is due earlier.
    pub lanes: HashMap<EndpointId, Timestamp>,
    pub endpoints: HashMap<EndpointId, EndpointState>,
    /// The head of each line.
    pub heads: HashMap<EndpointId, DeliveryId>,
    /// Endpoints with deliveries that stand in line.
    pub lines: HashSet<EndpointId>,
    pub version: BookVersion,
    pub next_sequence: u64,
    /// Deliveries with rows in the file, due or in line.
    pub waiting: u64,
    /// The sequence at which pruning goes on.
    pub prune_from: u64,
    pub index: Index,
    generation: u64,
}

#[derive(Debug, Clone, Copy)]
pub struct Held {
    pub generation: u64,
    pub until: Timestamp,
    pub place: Place,
    pub endpoint: EndpointId,
    /// When its row is due; `None` where it has no row.
    pub due: Option<Timestamp>,
}

#[derive(Debug, Clone)]
pub struct Implied {
    pub delivery: DeliveryId,
    pub endpoint: EndpointId,
    pub event: Arc<Event>,
    pub since: Timestamp,
}

impl Implied {
    pub fn delivery(&self) -> Delivery {
        Delivery::promised(self.delivery, self.endpoint, &self.event)
    }
}

#[derive(Debug, Clone, Copy)]
pub struct EndpointState {
    pub revision: u64,
    pub held: bool,
    pub order: Order,
    pub judged_from: Timestamp,
}

impl EndpointState {
    pub fn of(row: &EndpointRow) -> Self {
        Self { revision: row.revision, held: row.held, order: row.order, judged_from: row.judged_from }
    }
}

impl Desk {
    /// An empty desk whose leases are told from those of this one.
    pub fn successor(&self) -> Self {
        Self { generation: self.generation, ..Self::default() }
    }

    pub fn lease(&mut self, delivery: DeliveryId, held: Held) -> Lease {
        self.generation += 1;
        self.leases.insert(delivery, Held { generation: self.generation, ..held });
        Lease { delivery, generation: self.generation }
    }

    /// Takes the lease away if it is still good.
    pub fn give_up(&mut self, lease: Lease) -> Option<Held> {
        self.live(lease)?;
        self.leases.remove(&lease.delivery)
    }

    pub fn live(&self, lease: Lease) -> Option<&Held> {
        self.leases.get(&lease.delivery).filter(|held| held.generation == lease.generation)
    }

    /// Notes that the endpoint has a row which is due then.
    pub fn waits(&mut self, endpoint: EndpointId, due: Timestamp) {
        let head = self.lanes.entry(endpoint).or_insert(due);
        *head = due.min(*head);
    }

    /// Whether deliveries to the endpoint may be handed out.
    pub fn is_open(&self, endpoint: EndpointId) -> bool {
        self.endpoints.get(&endpoint).is_some_and(|state| !state.held)
    }

    /// Whether somebody holds the delivery. A lease that ran out stands until somebody else takes the delivery.
    pub fn is_leased(&self, delivery: DeliveryId, now: Timestamp) -> bool {
        self.leases.get(&delivery).is_some_and(|held| held.until > now)
    }

    /// Lets the deliveries whose leases ran out be looked at again. Answers whether some of them have no row.
    pub fn expire(&mut self, now: Timestamp) -> bool {
        let Desk { leases, lanes, .. } = self;
        let mut rowless = false;
        for held in leases.values().filter(|held| held.until <= now) {
            match held.due {
                Some(due) => {
                    let head = lanes.entry(held.endpoint).or_insert(due);
                    *head = due.min(*head);
                }
                None => rowless = true,
            }
        }
        rowless
    }

    /// The oldest sequence with a delivery that has no row.
    pub fn watermark(&self) -> u64 {
        self.implied.keys().next().map_or(self.next_sequence, |place| place.sequence)
    }
}
