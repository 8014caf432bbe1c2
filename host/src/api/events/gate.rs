//! What the catalogue says to an event before it is taken on: whether its type is one that there is, and whether its
//! payload is as the type's schema has it.

use std::sync::Arc;

use crate::api::Api;
use crate::api::exact::computable;
use crate::api::problem::{FieldError, Problem};
use crate::book::Snapshot;
use crate::catalogue;
use crate::config::{Config, UnknownTypes};
use crate::event::{EventType, NewEvent};
use crate::schema::Schema;

use super::Posted;

/// The catalogue at one moment.
pub(super) struct Gate {
    book: Arc<Snapshot>,
    config: Arc<Config>,
}

impl Gate {
    pub fn of(api: &Api) -> Self {
        Self { book: api.book.snapshot(), config: Arc::clone(&api.config) }
    }

    /// `at` is the pointer to an event's payload.
    ///
    /// # Errors
    ///
    /// 422 where a single event may not pass; one of a batch becomes its own problem.
    pub fn admit(&self, posted: Posted, at: &str) -> Result<Posted, Problem> {
        match posted {
            Posted::One(event) => self.check(*event, at).map(|event| Posted::One(Box::new(event))),
            Posted::Many(items) => Ok(Posted::Many(
                items.into_iter().map(|item| item.and_then(|event| self.check(event, at))).collect(),
            )),
        }
    }

    /// What the producer should know about an event that is taken on.
    pub fn warning(&self, event_type: &EventType) -> Option<String> {
        let since = self.book.event_type(event_type)?.value.entry.deprecated_since?;
        Some(format!("The event type `{event_type}` is deprecated since {since}."))
    }

    fn check(&self, event: NewEvent, at: &str) -> Result<NewEvent, Problem> {
        let refuse = self.config.ingest.unknown_types == UnknownTypes::Refuse;
        let Some(listed) = self.book.event_type(&event.event_type).map(|kept| &kept.value) else {
            return if refuse { Err(self.unknown(&event.event_type)) } else { Ok(event) };
        };
        match &listed.schema {
            Some(schema) if listed.entry.check => check_payload(schema, &event.payload, at)?,
            _ => {}
        }
        Ok(event)
    }

    fn unknown(&self, event_type: &EventType) -> Problem {
        let message = catalogue::unknown_type(event_type, self.book.event_type_names());
        Problem::field("/type", format!("{message} (`ingest.unknown_types`)"))
    }
}

fn check_payload(schema: &Schema, payload: &[u8], at: &str) -> Result<(), Problem> {
    payload_error(schema, payload, at).map_or(Ok(()), |error| Err(Problem::invalid(vec![error])))
}

/// What a schema has against a payload; `at` is the pointer to it.
pub(in crate::api) fn payload_error(schema: &Schema, payload: &[u8], at: &str) -> Option<FieldError> {
    match computable(&String::from_utf8_lossy(payload)) {
        Ok(value) => {
            let found = schema.violation(&value)?;
            Some(FieldError::new(format!("{at}{}", found.pointer), found.message))
        }
        Err(message) => Some(FieldError::new(at, format!("{message}; so it cannot be checked"))),
    }
}
