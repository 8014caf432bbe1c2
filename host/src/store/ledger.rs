//! What changes add to the counters, gathered before it is written: one place says what counts, for every store.

use std::collections::HashMap;

use crate::attempt::Attempt;
use crate::delivery::Delivery;
use crate::event::{Event, EventType, Tenant};
use crate::id::EndpointId;
use crate::tally::{Resolution, Tally};
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::{ErrorGroup, Scope, Standing};

/// Most characters of an error's message that are kept with its group.
pub const MESSAGE_LENGTH: usize = 500;

/// What each scope's spans of time get added.
pub type Tallies = HashMap<(Resolution, i64, Scope), Tally>;

/// Counts by the minute, from which those of all scopes and spans follow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Minutes {
    pub shared: HashMap<(i64, Tenant, EventType), Tally>,
    pub endpoints: HashMap<(i64, EndpointId), Tally>,
}

impl Minutes {
    pub fn is_empty(&self) -> bool {
        self.shared.is_empty() && self.endpoints.is_empty()
    }

    pub fn add(&mut self, other: Minutes) {
        for (key, tally) in other.shared {
            self.shared.entry(key).or_default().add(&tally);
        }
        for (key, tally) in other.endpoints {
            self.endpoints.entry(key).or_default().add(&tally);
        }
    }

    /// What each scope's minutes, hours and days get added.
    pub fn spread(self) -> Tallies {
        let mut tallies = Tallies::new();
        for ((minute, tenant, event_type), tally) in self.shared {
            let scopes = [
                Scope::Host,
                Scope::Tenant(tenant.clone()),
                Scope::HostType(event_type.clone()),
                Scope::TenantType(tenant, event_type),
            ];
            scopes.into_iter().for_each(|scope| spread(&mut tallies, minute, &scope, &tally));
        }
        for ((minute, endpoint), tally) in self.endpoints {
            spread(&mut tallies, minute, &Scope::Endpoint(endpoint), &tally);
        }
        tallies
    }
}

/// Changes since it was last emptied. Its size is bounded by that of what changed.
#[derive(Debug, Default)]
pub struct Ledger {
    minutes: Minutes,
    errors: HashMap<(EndpointId, Trouble), ErrorGroup>,
}

impl Ledger {
    /// An event was taken on, with a delivery to each of these; whether each is held.
    pub fn accepted(&mut self, event: &Event, deliveries: impl IntoIterator<Item = (EndpointId, bool)>) {
        let minute = Resolution::Minute.bucket(event.accepted_at);
        let mut all = Tally { events: 1, ..Tally::default() };
        for (endpoint, held) in deliveries {
            let one = Tally { promised: 1, held: u64::from(held), ..Tally::default() };
            all.add(&one);
            self.minutes.endpoints.entry((minute, endpoint)).or_default().add(&one);
        }
        self.minutes
            .shared
            .entry((minute, event.tenant.clone(), event.event_type.clone()))
            .or_default()
            .add(&all);
    }

    /// A delivery was made to deliver again.
    pub fn replayed(&mut self, delivery: &Delivery) {
        self.note(delivery, delivery.created_at, &Tally { replays: 1, ..Tally::default() });
    }

    /// An attempt was made, or a delivery has ended without one.
    pub fn settled(&mut self, delivery: &Delivery, attempt: Option<&Attempt>) {
        let at = settled_at(delivery, attempt);
        self.note(delivery, at, &Tally::of_attempt(delivery, attempt));
        if let Some((trouble, group)) = attempt.and_then(|attempt| trouble(delivery, attempt, at)) {
            match self.errors.get_mut(&(delivery.endpoint, trouble)) {
                Some(stored) => stored.add(group),
                None => drop(self.errors.insert((delivery.endpoint, trouble), group)),
            }
        }
    }

    /// Empties it: the counts, and what each group of errors gets added.
    pub fn take(&mut self) -> (Minutes, Vec<ErrorGroup>) {
        let errors = self.errors.drain().map(|(_, group)| group).collect();
        (std::mem::take(&mut self.minutes), errors)
    }

    fn note(&mut self, delivery: &Delivery, at: Timestamp, tally: &Tally) {
        if tally.is_empty() {
            return;
        }
        let minute = Resolution::Minute.bucket(at);
        let scope = (minute, delivery.tenant.clone(), delivery.event_type.clone());
        self.minutes.shared.entry(scope).or_default().add(tally);
        self.minutes.endpoints.entry((minute, delivery.endpoint)).or_default().add(tally);
    }
}

/// Adds a minute's tally to that minute, its hour and its day.
fn spread(tallies: &mut Tallies, minute: i64, scope: &Scope, tally: &Tally) {
    let at = Resolution::Minute.start(minute);
    for resolution in Resolution::ALL {
        tallies.entry((resolution, resolution.bucket(at), scope.clone())).or_default().add(tally);
    }
}

/// When it happened, which says what span of time it counts for.
fn settled_at(delivery: &Delivery, attempt: Option<&Attempt>) -> Timestamp {
    match attempt {
        Some(attempt) => attempt.started_at.plus(attempt.duration),
        None => delivery.finished_at.unwrap_or(delivery.created_at),
    }
}

fn trouble(delivery: &Delivery, attempt: &Attempt, at: Timestamp) -> Option<(Trouble, ErrorGroup)> {
    let trouble = Trouble::of(&attempt.outcome)?;
    let message = attempt.outcome.reason().unwrap_or_default().chars().take(MESSAGE_LENGTH).collect();
    let group = ErrorGroup {
        endpoint: delivery.endpoint,
        tenant: delivery.tenant.clone(),
        trouble,
        count: 1,
        first_at: at,
        last_at: at,
        last_delivery: delivery.id,
        last_message: message,
    };
    Some((trouble, group))
}

impl ErrorGroup {
    pub(super) fn add(&mut self, other: ErrorGroup) {
        let count = self.count.saturating_add(other.count);
        let first_at = self.first_at.min(other.first_at);
        if other.last_at >= self.last_at {
            *self = other;
        }
        self.count = count;
        self.first_at = first_at;
    }
}

impl Standing {
    /// An event promised a delivery to the endpoint.
    pub(super) fn promised(&mut self, at: Timestamp) {
        self.pending += 1;
        self.last_event_at = self.last_event_at.max(Some(at));
    }

    /// As [`Ledger::settled`]. Attempts that began before `judged_from` do not count for its health.
    pub(super) fn settled(&mut self, delivery: &Delivery, attempt: Option<&Attempt>, judged_from: Timestamp) {
        if delivery.state.is_final() {
            self.pending = self.pending.saturating_sub(1);
        }
        let Some(attempt) = attempt else { return };
        let at = settled_at(delivery, Some(attempt));
        if attempt.started_at >= judged_from {
            self.health = self.health.after(&attempt.outcome, at);
        }
        self.last_attempt_at = self.last_attempt_at.max(Some(at));
        if delivery.state == crate::delivery::State::Delivered {
            self.last_delivery_at = self.last_delivery_at.max(Some(at));
        }
    }
}
