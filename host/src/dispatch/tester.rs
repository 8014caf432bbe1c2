//! Test events: one try at an endpoint, of which nothing is kept and nothing is counted.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::attempt::Attempt;
use crate::endpoint::Endpoint;
use crate::event::{Event, EventType};
use crate::id::{DeliveryId, EventId, WebhookId};

use super::chain::Missing;
use super::tries::Try;
use super::worker::Workshop;

/// Sends test events, so many at once and no more.
pub struct Tester {
    /// Not held between tests: the store is closed once nobody has the workshop any more.
    workshop: Weak<Workshop>,
    room: Semaphore,
}

/// What came of a test.
#[derive(Debug)]
pub struct Tested {
    /// Minted for the test, and stored nowhere.
    pub event: Event,
    pub webhook_id: WebhookId,
    pub attempt: Attempt,
}

/// Why nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "As many test events are under way as there may be at once (`endpoint.max_tests`); try again soon."
    )]
    Full,
    #[error("The server is stopping.")]
    Stopping,
    #[error(transparent)]
    Missing(#[from] Missing),
}

impl Tester {
    pub(super) fn new(workshop: &Arc<Workshop>, at_once: usize) -> Self {
        Self { workshop: Arc::downgrade(workshop), room: Semaphore::new(at_once) }
    }

    /// Sends one event through the endpoint's chain, signature and connection, whether or not it is enabled or wants
    /// such events. Neither its rate nor its concurrency counts it.
    pub async fn test(
        &self,
        endpoint: &Arc<Endpoint>,
        event_type: EventType,
        payload: Bytes,
    ) -> Result<Tested, Refused> {
        let _room = self.room.try_acquire().map_err(|_| Refused::Full)?;
        let workshop = self.workshop.upgrade().ok_or(Refused::Stopping)?;
        let started = workshop.clock.now();
        let event = Event {
            id: EventId::mint(started, rand::random()),
            producer_id: None,
            event_type,
            tenant: endpoint.tenant.clone(),
            timestamp: started,
            accepted_at: started,
            channels: endpoint.subscription.channels.clone(),
            payload,
        };
        let delivery = DeliveryId::of(event.id, 0);
        let webhook_id = delivery.webhook_id();
        let this = Try { endpoint, event: &event, delivery, webhook_id, number: 1, started, is_test: true };
        let tried = workshop.make_try(this).await?;
        let attempt = tried.into_attempt(1, started, workshop.clock.now().since(started));
        Ok(Tested { event, webhook_id, attempt })
    }
}
