//! What a call is given, held for as long as it runs: a call may go on on another thread than it began.

use bytes::Bytes;

use super::{Answer, Call, Event};
use crate::message::Message;
use crate::time::Timestamp;

/// A [`Call`] that borrows from nobody.
pub(super) struct OwnedCall {
    id: String,
    event_type: String,
    tenant: String,
    timestamp: Timestamp,
    attempted_at: Timestamp,
    attempt: u32,
    channels: Vec<String>,
    attributes: Vec<(String, String)>,
    message: Message,
    config: String,
    seed: [u8; 32],
}

impl OwnedCall {
    pub fn of(call: &Call<'_>) -> Self {
        let Call { event, message, config, seed } = *call;
        Self {
            id: event.id.to_owned(),
            event_type: event.event_type.to_owned(),
            tenant: event.tenant.to_owned(),
            timestamp: event.timestamp,
            attempted_at: event.attempted_at,
            attempt: event.attempt,
            channels: event.channels.to_vec(),
            attributes: event.attributes.to_vec(),
            message: message.clone(),
            config: config.to_owned(),
            seed,
        }
    }

    pub fn get(&self) -> Call<'_> {
        let event = Event {
            id: &self.id,
            event_type: &self.event_type,
            tenant: &self.tenant,
            timestamp: self.timestamp,
            attempted_at: self.attempted_at,
            attempt: self.attempt,
            channels: &self.channels,
            attributes: &self.attributes,
        };
        Call { event, message: &self.message, config: &self.config, seed: self.seed }
    }
}

/// An [`Answer`] that borrows from nobody.
pub(super) struct OwnedAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Bytes,
    config: String,
    timestamp: Timestamp,
    seed: [u8; 32],
}

impl OwnedAnswer {
    pub fn of(answer: &Answer<'_>) -> Self {
        let Answer { status, headers, body, config, timestamp, seed } = *answer;
        let (headers, body) = (headers.to_vec(), Bytes::copy_from_slice(body));
        Self { status, headers, body, config: config.to_owned(), timestamp, seed }
    }

    pub fn get(&self) -> Answer<'_> {
        Answer {
            status: self.status,
            headers: &self.headers,
            body: &self.body,
            config: &self.config,
            timestamp: self.timestamp,
            seed: self.seed,
        }
    }
}
