//! Takes events on: names them, finds the endpoints that want them, appends both in one commit, and hands what it
//! could lease straight to the dispatcher.

use std::sync::Arc;
use std::time::Duration;

use crate::book::{Book, BookError};
use crate::disk::Disk;
use crate::dispatch::Intake;
use crate::dispatch::backlog::Slot;
use crate::event::{Event, NewEvent};
use crate::id::{EndpointId, EventId, MAX_DELIVERIES_PER_EVENT};
use crate::live::Live;
use crate::metrics::Metrics;
use crate::store::{Append, Appended, Arrival, BookVersion, Inbox, NewDelivery, StoreError};
use crate::time::{Clock, Timestamp};

/// How often a batch is matched again because endpoints changed, before the producer is asked to come again.
const MATCH_TRIES: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Book(#[from] BookError),
    #[error("The disk has too little room left (`ingest.disk_floor`).")]
    DiskLow,
    #[error("The endpoints change faster than events can be matched with them. Try again in a second.")]
    Unsteady,
    #[error(
        "{endpoints} endpoints want this event; {MAX_DELIVERIES_PER_EVENT} is the most an event can have"
    )]
    TooManyEndpoints { endpoints: usize },
}

/// What became of one event of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is on disk; it was there before if it is a duplicate.
    Event { id: EventId, deliveries: u32, duplicate: bool },
    /// Other content was posted under its id before, as this event.
    Conflict { event: EventId },
}

pub struct Ingest {
    pub inbox: Arc<dyn Inbox>,
    pub disk: Arc<Disk>,
    pub book: Arc<Book>,
    pub intake: Intake,
    pub clock: Arc<dyn Clock>,
    /// How long what is taken is kept from others.
    pub lease: Duration,
    pub metrics: Arc<Metrics>,
    pub live: Arc<Live>,
}

/// An event and the room that its deliveries have in memory, by ordinal.
struct Matched {
    arrival: Arrival,
    slots: Vec<Option<Slot>>,
}

impl Ingest {
    /// Takes on all of the events or none. In their order: what became of each. `Ok` means that they are on disk.
    ///
    /// Goes on to its end where the caller does not wait for it: between the commit and the hand-over, leases would be
    /// left without a holder.
    pub async fn accept(self: &Arc<Self>, batch: Vec<NewEvent>) -> Result<Vec<Accepted>, IngestError> {
        let ingest = self.clone();
        let accepting = tokio::spawn(async move { ingest.take_on(batch).await });
        accepting.await.unwrap_or_else(|fault| Err(StoreError::Unavailable(fault.to_string()).into()))
    }

    async fn take_on(&self, batch: Vec<NewEvent>) -> Result<Vec<Accepted>, IngestError> {
        if self.disk.is_low() {
            return Err(IngestError::DiskLow);
        }
        let now = self.clock.now();
        let contents: Vec<_> = batch.iter().map(|new| new.content).collect();
        let name = |new: NewEvent| Arc::new(new.accept(EventId::mint(now, rand::random()), now));
        let events: Vec<Arc<Event>> = batch.into_iter().map(name).collect();
        for _ in 0..MATCH_TRIES {
            let (version, matched) = self.match_all(&events, &contents)?;
            let arrivals = matched.iter().map(|matched| matched.arrival.clone()).collect();
            // Anew for each try: what is handed over has a whole lease before it.
            let lease_until = self.clock.now().plus(self.lease);
            match self.inbox.append(arrivals, version, lease_until).await? {
                Append::Stale(newer) => self.book.caught_up(newer).await?,
                Append::Done(appended) => {
                    return Ok(matched
                        .into_iter()
                        .zip(appended)
                        .map(|(m, a)| self.conclude(m, a, lease_until))
                        .collect());
                }
            }
        }
        Err(IngestError::Unsteady)
    }

    fn match_all(
        &self,
        events: &[Arc<Event>],
        contents: &[crate::event::ContentDigest],
    ) -> Result<(BookVersion, Vec<Matched>), IngestError> {
        let book = self.book.snapshot();
        let matched = events.iter().zip(contents).map(|(event, content)| {
            let endpoints = book.matching(&event.tenant, &event.event_type, &event.channels);
            if endpoints.len() > MAX_DELIVERIES_PER_EVENT as usize {
                return Err(IngestError::TooManyEndpoints { endpoints: endpoints.len() });
            }
            let slots: Vec<_> = endpoints
                .iter()
                .map(|endpoint| {
                    if book.held_because(endpoint).is_none() {
                        self.intake.reserve(endpoint, event.payload.len())
                    } else {
                        None
                    }
                })
                .collect();
            let deliveries = endpoints
                .iter()
                .zip(&slots)
                .map(|(endpoint, slot)| NewDelivery { endpoint: endpoint.id, take: slot.is_some() })
                .collect();
            let arrival = Arrival { event: event.clone(), content: *content, deliveries };
            Ok(Matched { arrival, slots })
        });
        Ok((book.version(), matched.collect::<Result<_, _>>()?))
    }

    fn conclude(&self, matched: Matched, appended: Appended, lease_until: Timestamp) -> Accepted {
        let Matched { arrival, slots } = matched;
        match appended {
            Appended::Accepted { taken } => {
                self.metrics.event_accepted();
                // Before they are handed over, so that what becomes of them is told after it.
                self.live.tell_promised(&arrival);
                let deliveries = arrival.deliveries.len() as u32;
                if taken.len() < arrival.deliveries.len() {
                    self.intake.expect(arrival.event.accepted_at);
                }
                // What has to stand in line has room and no lease; the room is given back.
                let mut room: Vec<Option<(EndpointId, Slot)>> = arrival
                    .deliveries
                    .iter()
                    .zip(slots)
                    .map(|(delivery, slot)| Some((delivery.endpoint, slot?)))
                    .collect();
                let taken = taken.into_iter().filter_map(|lease| {
                    let (endpoint, slot) = room.get_mut(usize::from(lease.delivery.ordinal()))?.take()?;
                    Some((lease, endpoint, slot))
                });
                self.intake.hand_over(&arrival.event, lease_until, taken);
                Accepted::Event { id: arrival.event.id, deliveries, duplicate: false }
            }
            Appended::Duplicate { event, deliveries } => {
                self.metrics.event_duplicate();
                Accepted::Event { id: event, deliveries, duplicate: true }
            }
            Appended::Conflict { event } => {
                self.metrics.event_conflict();
                Accepted::Conflict { event }
            }
        }
    }
}
