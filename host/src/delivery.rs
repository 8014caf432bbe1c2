//! The promise of one event to one endpoint, and the rule book of how it is kept.
//!
//! ```text
//!                 delivered            the receiver took it, or
//!               /                      (filtered) a plugin said: not for this endpoint
//!   pending ---+- filtered
//!     ^  |      \
//!     |  |       failed                the policy is spent, 410, a rejection, or too old
//!     +--+
//!    retry      cancelled              by a person, or because its endpoint was deleted
//! ```
//!
//! Final is final: a delivery that has left `pending` never comes back to it. To deliver again is a replay,
//! which is a new delivery.

use std::time::Duration;

use crate::attempt::{Outcome, Ruling};
use crate::event::{Event, EventType, Tenant};
use crate::id::{DeliveryId, EndpointId, WebhookId};
use crate::retry::{Progress, RetryPolicy};
use crate::time::Timestamp;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    Pending,
    Delivered,
    Filtered,
    Failed,
    Cancelled,
}

impl State {
    pub const ALL: [State; 5] =
        [State::Pending, State::Delivered, State::Filtered, State::Failed, State::Cancelled];

    pub fn word(self) -> &'static str {
        match self {
            State::Pending => "pending",
            State::Delivered => "delivered",
            State::Filtered => "filtered",
            State::Failed => "failed",
            State::Cancelled => "cancelled",
        }
    }

    pub fn parse(word: &str) -> Option<State> {
        State::ALL.into_iter().find(|state| state.word() == word)
    }

    pub fn is_final(self) -> bool {
        self != State::Pending
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    pub id: DeliveryId,
    pub webhook_id: WebhookId,
    pub endpoint: EndpointId,
    pub tenant: Tenant,
    pub event_type: EventType,
    pub state: State,
    /// When it was promised.
    pub created_at: Timestamp,
    /// Attempts made.
    pub attempts: u32,
    pub first_attempt_at: Option<Timestamp>,
    /// The endpoint's total of held time when the first attempt was made.
    pub held_before: Duration,
    /// Set while pending.
    pub due: Option<Timestamp>,
    /// Set once final.
    pub finished_at: Option<Timestamp>,
    /// Why it is not delivered (yet), as a sentence.
    pub reason: Option<String>,
    pub replay_of: Option<DeliveryId>,
}

/// What the endpoint and the settings say about retrying.
#[derive(Debug, Clone, Copy)]
pub struct Policy<'a> {
    pub retry: &'a RetryPolicy,
    /// The endpoint's total of held time as of now.
    pub held: Duration,
    /// From creation, held time included, until the delivery ends as failed.
    pub max_age: Duration,
    /// Longest pause that a receiver's `Retry-After` can ask for.
    pub retry_after_limit: Duration,
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    pub delivery: Delivery,
    /// Set where the endpoint is to be disabled too: the reason.
    pub disable_endpoint: Option<String>,
}

impl Delivery {
    pub fn new(
        id: DeliveryId,
        endpoint: EndpointId,
        tenant: Tenant,
        event_type: EventType,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            webhook_id: id.webhook_id(),
            endpoint,
            tenant,
            event_type,
            state: State::Pending,
            created_at: now,
            attempts: 0,
            first_attempt_at: None,
            held_before: Duration::ZERO,
            due: Some(now),
            finished_at: None,
            reason: None,
            replay_of: None,
        }
    }

    /// As an event promises it, from the moment it is accepted.
    pub fn promised(id: DeliveryId, endpoint: EndpointId, event: &Event) -> Self {
        Self::new(id, endpoint, event.tenant.clone(), event.event_type.clone(), event.accepted_at)
    }

    /// Of an event that did not promise it: the endpoint, or its subscription, is younger.
    pub fn late(id: DeliveryId, endpoint: EndpointId, event: &Event, now: Timestamp) -> Self {
        Self::new(id, endpoint, event.tenant.clone(), event.event_type.clone(), now)
    }

    /// A new delivery of the same event to the same endpoint, with a fresh schedule.
    pub fn replay(&self, id: DeliveryId, webhook_id: WebhookId, now: Timestamp) -> Self {
        Self {
            webhook_id,
            replay_of: Some(self.id),
            ..Self::new(id, self.endpoint, self.tenant.clone(), self.event_type.clone(), now)
        }
    }

    /// Judges an attempt that began at `started` and ended `now`. Takes a pending delivery; one that is final
    /// stays as it is. `jitter` is in 0 to 1.
    pub fn settle(
        mut self,
        outcome: &Outcome,
        policy: Policy<'_>,
        started: Timestamp,
        now: Timestamp,
        jitter: f64,
    ) -> Settlement {
        if self.state.is_final() {
            return Settlement { delivery: self, disable_endpoint: None };
        }
        self.attempts = self.attempts.saturating_add(1);
        if self.first_attempt_at.is_none() {
            self.first_attempt_at = Some(started);
            self.held_before = policy.held;
        }
        let reason = outcome.reason();
        let delivery = match outcome {
            Outcome::Delivered { .. } => self.finish(State::Delivered, None, now),
            Outcome::Filtered { .. } => self.finish(State::Filtered, reason, now),
            Outcome::Gone
            | Outcome::Rejected { .. }
            | Outcome::PluginFailed { retry: false, .. }
            | Outcome::Judged { ruling: Ruling::Fail | Ruling::Disable, .. } => {
                self.finish(State::Failed, reason, now)
            }
            Outcome::Refused { .. } | Outcome::Judged { ruling: Ruling::Retry { .. }, .. } => {
                self.retry(reason, policy, now, jitter, outcome.retry_after())
            }
            Outcome::Unreachable { .. } | Outcome::PluginFailed { .. } => {
                self.retry(reason, policy, now, jitter, None)
            }
        };
        let disables = matches!(outcome, Outcome::Gone | Outcome::Judged { ruling: Ruling::Disable, .. });
        let disable_endpoint = if disables { outcome.reason() } else { None };
        Settlement { delivery, disable_endpoint }
    }

    /// Ends it.
    #[must_use]
    pub fn finish(mut self, state: State, reason: Option<String>, now: Timestamp) -> Self {
        debug_assert!(state.is_final());
        self.state = state;
        self.due = None;
        self.finished_at = Some(now);
        self.reason = reason;
        self
    }

    /// Whether nobody wants it any more.
    pub fn is_too_old(&self, max_age: Duration, now: Timestamp) -> bool {
        now.since(self.created_at) > max_age
    }

    fn retry(
        mut self,
        reason: Option<String>,
        policy: Policy<'_>,
        now: Timestamp,
        jitter: f64,
        asked: Option<Duration>,
    ) -> Self {
        let progress = Progress {
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at.unwrap_or(now),
            held: policy.held.saturating_sub(self.held_before),
        };
        let asked = asked.map(|pause| pause.min(policy.retry_after_limit));
        match policy.retry.next(progress, now, jitter, asked) {
            Some(due) if !self.is_too_old(policy.max_age, due) => {
                self.due = Some(due);
                self.reason = reason;
                self
            }
            Some(_) => {
                let reason =
                    format!("{} It would be too old at its next attempt.", reason.unwrap_or_default());
                self.finish(State::Failed, Some(reason), now)
            }
            None => self.finish(State::Failed, reason, now),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::EventId;
    use proptest::prelude::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn delivery() -> Delivery {
        let id = DeliveryId::of(EventId::mint(START, 1), 0);
        let event_type = EventType::parse("invoice.paid").unwrap();
        Delivery::new(id, EndpointId::mint(START, 2), Tenant::default(), event_type, START)
    }

    fn policy(retry: &RetryPolicy) -> Policy<'_> {
        Policy { retry, held: Duration::ZERO, max_age: 30 * DAY, retry_after_limit: DAY }
    }

    fn outcomes() -> [(Outcome, State); 11] {
        let text = || "x".to_owned();
        let failed = |retry| Outcome::PluginFailed { plugin: text(), kind: text(), message: text(), retry };
        let judged = |ruling| Outcome::Judged { plugin: text(), status: Some(200), ruling, reason: text() };
        [
            (Outcome::Delivered { status: 200 }, State::Delivered),
            (Outcome::Filtered { plugin: text(), reason: text() }, State::Filtered),
            (Outcome::Rejected { plugin: text(), reason: text() }, State::Failed),
            (Outcome::Gone, State::Failed),
            (failed(false), State::Failed),
            (failed(true), State::Pending),
            (Outcome::Refused { status: 500, retry_after: None }, State::Pending),
            (Outcome::Unreachable { kind: text(), message: text() }, State::Pending),
            (judged(Ruling::Retry { after: None }), State::Pending),
            (judged(Ruling::Fail), State::Failed),
            (judged(Ruling::Disable), State::Failed),
        ]
    }

    #[test]
    fn each_outcome_has_its_state() {
        let retry = RetryPolicy::default();
        for (outcome, state) in outcomes() {
            let settled = delivery().settle(&outcome, policy(&retry), START, START, 0.0);
            assert_eq!(settled.delivery.state, state, "{outcome:?}");
            assert_eq!(settled.delivery.due.is_some(), state == State::Pending);
            assert_eq!(settled.delivery.finished_at.is_some(), state != State::Pending);
            let disables = matches!(outcome, Outcome::Gone | Outcome::Judged { ruling: Ruling::Disable, .. });
            assert_eq!(settled.disable_endpoint.is_some(), disables, "{outcome:?}");
        }
    }

    #[test]
    fn retry_after_is_capped() {
        let retry = RetryPolicy::default();
        let judged = |after| Outcome::Judged {
            plugin: "x".to_owned(),
            status: Some(200),
            ruling: Ruling::Retry { after: Some(after) },
            reason: "x".to_owned(),
        };
        for (outcome, pause) in [
            (Outcome::Refused { status: 429, retry_after: Some(Duration::MAX) }, DAY),
            (judged(Duration::MAX), DAY),
            (judged(DAY / 2), DAY / 2),
        ] {
            let settled = delivery().settle(&outcome, policy(&retry), START, START, 0.0);
            assert_eq!(settled.delivery.due, Some(START.plus(pause)), "{outcome:?}");
        }
    }

    #[test]
    fn what_would_be_too_old_has_failed() {
        let retry = RetryPolicy::Every { every: Duration::from_secs(10), lasting: None };
        let outcome = Outcome::Refused { status: 500, retry_after: None };
        let late = START.plus(30 * DAY);
        let settled = delivery().settle(&outcome, policy(&retry), late, late, 0.0);
        assert_eq!(settled.delivery.state, State::Failed);
        assert!(settled.delivery.reason.unwrap().contains("too old"));
    }

    #[test]
    fn held_time_before_the_first_attempt_does_not_count() {
        let retry =
            RetryPolicy::Every { every: Duration::from_secs(10), lasting: Some(Duration::from_secs(60)) };
        let outcome = Outcome::Refused { status: 500, retry_after: None };
        let held = Policy { held: DAY, ..policy(&retry) };
        let first = delivery().settle(&outcome, held, START, START, 0.0).delivery;
        let later = START.plus(Duration::from_secs(55));
        let second = first.settle(&outcome, held, later, later, 0.0).delivery;
        assert_eq!(second.state, State::Failed);
    }

    #[test]
    fn a_replay_keeps_the_webhook_id() {
        let first = delivery();
        let again = first.replay(DeliveryId::of(first.id.event(), 9), first.webhook_id, START);
        assert_eq!(again.webhook_id, first.webhook_id);
        assert_eq!(again.replay_of, Some(first.id));
        assert_eq!((again.state, again.attempts), (State::Pending, 0));
    }

    proptest! {
        #[test]
        fn attempts_end_with_the_schedule_and_final_is_final(
            pauses in prop::collection::vec(1_u64..100_000, 0..8),
            picks in prop::collection::vec((0_usize..11, 0_u64..10_000, 0.0_f64..1.0), 1..24),
        ) {
            let retry = RetryPolicy::Schedule(pauses.iter().map(|s| Duration::from_secs(*s)).collect());
            let outcomes = outcomes();
            let (mut delivery, mut now) = (delivery(), START);
            for (pick, pass, jitter) in picks {
                now = delivery.due.unwrap_or(now).plus(Duration::from_secs(pass));
                let before = delivery.clone();
                let settled = before.clone().settle(&outcomes[pick].0, policy(&retry), now, now, jitter);
                let again = before.clone().settle(&outcomes[pick].0, policy(&retry), now, now, jitter);
                prop_assert_eq!(&settled, &again);
                delivery = settled.delivery;
                if before.state.is_final() {
                    prop_assert_eq!(&delivery, &before);
                } else {
                    prop_assert_eq!(delivery.attempts, before.attempts + 1);
                    prop_assert!(delivery.attempts as usize <= pauses.len() + 1);
                    prop_assert!(delivery.due.is_none_or(|due| due > now));
                }
            }
        }
    }
}
