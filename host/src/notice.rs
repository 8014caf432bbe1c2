//! Operational events: what the host tells about its own work. Their types begin with `hookwright.`, so that no
//! producer can post them, and `*` does not match them: who wants them names them, or `hookwright.*`.
//!
//! Each is appended in the commit that makes the change it tells of. None is made about delivering one of them, so
//! that they never go round in circles.

use std::sync::Arc;

use serde::Serialize;

use crate::attempt::{Attempt, Outcome};
use crate::delivery::{Delivery, State};
use crate::endpoint::{Disabled, Endpoint};
use crate::event::{Channel, Event, EventType, InvalidWord, ProducerId, Tenant, content_digest};
use crate::id::{EventId, MAX_DELIVERIES_PER_EVENT};
use crate::store::{Arrival, NewDelivery};
use crate::time::Timestamp;

/// What an operational event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Topic {
    /// An endpoint was disabled, by request or because it failed.
    EndpointDisabled,
    /// A message has arrived at an endpoint that had been failing.
    EndpointRecovered,
    DeliveryFailed,
    DeliveryDelivered,
}

impl Topic {
    pub const ALL: [Topic; 4] =
        [Topic::EndpointDisabled, Topic::EndpointRecovered, Topic::DeliveryFailed, Topic::DeliveryDelivered];

    /// The type of its events.
    pub fn word(self) -> &'static str {
        match self {
            Topic::EndpointDisabled => "hookwright.endpoint.disabled",
            Topic::EndpointRecovered => "hookwright.endpoint.recovered",
            Topic::DeliveryFailed => "hookwright.delivery.failed",
            Topic::DeliveryDelivered => "hookwright.delivery.delivered",
        }
    }

    /// What the attempt at a delivery has made of it, as far as somebody may want to know.
    pub fn of_end(delivery: &Delivery) -> Option<Topic> {
        match delivery.state {
            _ if delivery.event_type.is_reserved() => None,
            State::Delivered => Some(Topic::DeliveryDelivered),
            State::Failed => Some(Topic::DeliveryFailed),
            State::Pending | State::Filtered | State::Cancelled => None,
        }
    }

    pub fn event_type(self) -> Result<EventType, InvalidWord> {
        EventType::parse(self.word())
    }
}

/// An operational event in the making.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub topic: Topic,
    pub tenant: Tenant,
    /// Those of the event whose delivery it tells of.
    pub channels: Vec<Channel>,
    payload: Payload,
}

/// What a topic has nothing to say for is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Payload {
    /// When it happened.
    at: String,
    endpoint: Named,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Told>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery: Option<Tried>,
    /// The status of the receiver's last answer, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// A sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Named {
    id: String,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Told {
    id: String,
    #[serde(rename = "type")]
    event_type: String,
    /// The producer's own id of it, if it gave one.
    producer_id: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Tried {
    id: String,
    attempts: u32,
}

impl Notice {
    pub fn of_disabled(endpoint: &Endpoint, disabled: &Disabled) -> Self {
        let payload = Payload {
            at: disabled.since.to_string(),
            endpoint: Named::of(endpoint),
            event: None,
            delivery: None,
            status: None,
            reason: Some(disabled.reason.clone()),
        };
        let tenant = endpoint.tenant.clone();
        Self { topic: Topic::EndpointDisabled, tenant, channels: Vec::new(), payload }
    }

    /// `topic` is one of those that a delivery gives rise to; `attempt` the last one, if it was just made.
    pub fn of_delivery(
        topic: Topic,
        endpoint: &Endpoint,
        event: &Event,
        delivery: &Delivery,
        attempt: Option<&Attempt>,
        at: Timestamp,
    ) -> Self {
        let payload = Payload {
            at: at.to_string(),
            endpoint: Named::of(endpoint),
            event: Some(Told {
                id: event.id.to_string(),
                event_type: event.event_type.to_string(),
                producer_id: event.producer_id.as_ref().map(ProducerId::to_string),
            }),
            delivery: Some(Tried { id: delivery.id.to_string(), attempts: delivery.attempts }),
            status: attempt.and_then(status),
            reason: delivery.reason.clone(),
        };
        let channels = match topic {
            Topic::DeliveryFailed | Topic::DeliveryDelivered => event.channels.clone(),
            Topic::EndpointDisabled | Topic::EndpointRecovered => Vec::new(),
        };
        Self { topic, tenant: endpoint.tenant.clone(), channels, payload }
    }

    /// The event that tells it to these endpoints. `random` is as for [`EventId::mint`].
    ///
    /// # Errors
    ///
    /// Never, unless a word of this module is no event type or a text no JSON.
    pub fn arrival(&self, to: &[Arc<Endpoint>], random: u64, now: Timestamp) -> Result<Arrival, String> {
        let event_type = self.topic.event_type().map_err(|error| error.to_string())?;
        let payload = serde_json::to_vec(&self.payload).map_err(|error| error.to_string())?;
        let content = content_digest(event_type.as_str(), &self.channels, None, &payload);
        let event = Event {
            id: EventId::mint(now, random),
            producer_id: None,
            event_type,
            tenant: self.tenant.clone(),
            timestamp: now,
            accepted_at: now,
            channels: self.channels.clone(),
            payload: payload.into(),
        };
        let deliveries = to.iter().take(MAX_DELIVERIES_PER_EVENT as usize);
        let deliveries = deliveries.map(|endpoint| NewDelivery { endpoint: endpoint.id, take: false });
        Ok(Arrival { event: Arc::new(event), content, deliveries: deliveries.collect() })
    }
}

impl Named {
    fn of(endpoint: &Endpoint) -> Self {
        Self { id: endpoint.id.to_string(), name: endpoint.name.clone() }
    }
}

fn status(attempt: &Attempt) -> Option<u16> {
    match attempt.outcome {
        Outcome::Refused { status, .. } => Some(status),
        Outcome::Gone => Some(410),
        // A plugin may judge it delivered where no answer came.
        _ => attempt.response.as_ref().map(|response| response.status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DeliveryId, EndpointId};

    const NOW: Timestamp = Timestamp::from_secs(1_700_000_000);

    fn delivery(event_type: &str, state: State) -> Delivery {
        let id = DeliveryId::of(EventId::mint(NOW, 1 << 20), 0);
        let event_type = EventType::parse(event_type).unwrap();
        let delivery = Delivery::new(id, EndpointId::mint(NOW, 2), Tenant::default(), event_type, NOW);
        match state {
            State::Pending => delivery,
            state => delivery.finish(state, None, NOW),
        }
    }

    #[test]
    fn topics_are_reserved_event_types() {
        for topic in Topic::ALL {
            assert!(topic.event_type().unwrap().is_reserved(), "{topic:?}");
        }
    }

    #[test]
    fn what_an_end_gives_rise_to() {
        for (event_type, state, topic) in [
            ("a", State::Delivered, Some(Topic::DeliveryDelivered)),
            ("a", State::Failed, Some(Topic::DeliveryFailed)),
            ("a", State::Pending, None),
            ("a", State::Filtered, None),
            ("a", State::Cancelled, None),
            ("hookwright.delivery.failed", State::Failed, None),
            ("hookwright.endpoint.disabled", State::Delivered, None),
        ] {
            assert_eq!(Topic::of_end(&delivery(event_type, state)), topic, "{event_type} {state:?}");
        }
    }
}
