//! One attempt, from a leased delivery to its settlement: steps 7 to 11 of a payload's way.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use crate::attempt::{Attempt, Outcome, Timing, Warning, Warnings};
use crate::book::Book;
use crate::delivery::{Delivery, Policy, Settlement, State};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::metrics::Metrics;
use crate::plugin::Catalog;
use crate::send::Client;
use crate::store::{Lease, Queue, Settle, Settled};
use crate::time::{Clock, Timestamp};

use super::backlog::Slot;
use super::feed::Agenda;
use super::tries::{Tried, Try};
use super::turns::Turns;
use super::wardrobe::Wardrobe;

/// How often a settlement that the store could not write is offered again before the lease is left to run out.
const SETTLE_TRIES: u32 = 5;
const SETTLE_PAUSE: Duration = Duration::from_secs(1);

/// A leased delivery in memory.
#[derive(Debug)]
pub struct Job {
    pub lease: Lease,
    pub delivery: Delivery,
    pub event: Arc<Event>,
    pub slot: Slot,
    /// It had to wait for the endpoint's rate limit.
    pub paced: bool,
}

/// What attempts share.
pub struct Workshop {
    pub book: Arc<Book>,
    pub catalog: Arc<Catalog>,
    pub client: Client,
    pub queue: Arc<dyn Queue>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub agenda: Arc<Agenda>,
    pub wardrobe: Wardrobe,
    pub turns: Turns,
    pub settings: Settings,
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    pub max_age: Duration,
    pub retry_after_limit: Duration,
    pub stored_request_body: usize,
    pub stored_answer_body: usize,
}

impl Workshop {
    /// Tries to deliver. `sent` is called as soon as the receiver has answered, before the result is on disk.
    pub async fn attempt(&self, job: Job, sent: impl FnOnce()) {
        if !job.slot.is_live() {
            return;
        }
        let started = self.clock.now();
        let Some(endpoint) = self.book.snapshot().open(job.delivery.endpoint).cloned() else {
            return self.give_back(job, started).await;
        };
        if job.delivery.is_too_old(self.settings.max_age, started) {
            return self.give_up(job, started).await;
        }
        let this = Try {
            endpoint: &endpoint,
            event: &job.event,
            delivery: job.delivery.id,
            webhook_id: job.delivery.webhook_id,
            number: job.delivery.attempts.saturating_add(1),
            started,
            is_test: false,
        };
        // Held, as long as one of its plugins is missing.
        let Ok(tried) = self.make_try(this).await else {
            return self.give_back(job, started).await;
        };
        sent();
        self.settle(&endpoint, job, started, tried).await;
    }

    async fn settle(&self, endpoint: &Arc<Endpoint>, job: Job, started: Timestamp, tried: Tried) {
        let now = self.clock.now();
        let policy = self.policy(endpoint, now);
        let Job { lease, delivery, event, slot, paced } = job;
        let queued_for = started.since(delivery.due.unwrap_or(started));
        let Settlement { delivery, disable_endpoint } =
            delivery.settle(&tried.outcome, policy, started, now, rand::random());
        let mut attempt = tried.into_attempt(delivery.attempts, started, now.since(started));
        attempt.timing.queue = Some(queued_for);
        attempt.warnings = attempt
            .warnings
            .with_if(delivery.state == State::Delivered && delivery.attempts > 1, Warning::Recovered)
            .with_if(paced, Warning::RateLimited);
        self.report(&event, &delivery, &attempt, now);
        // Not where the endpoint has been pointed elsewhere meanwhile.
        if let Some(reason) = disable_endpoint
            && self.book.get(endpoint.id).is_some_and(|current| current.url == endpoint.url)
        {
            self.disable(endpoint, &reason, now).await;
        }
        let due = delivery.due;
        self.write(Settled { lease, delivery, attempt: Some(attempt), announce: Vec::new() }).await;
        drop(slot);
        if let Some(due) = due {
            self.agenda.expect(due);
        }
    }

    /// Settles an attempt that panicked: the host's fault, and yet it counts, or the delivery would go round for ever.
    pub async fn own_up(&self, lease: Lease, delivery: Delivery) {
        let now = self.clock.now();
        let Some(endpoint) = self.book.get(delivery.endpoint) else { return };
        let message =
            "The host failed within the attempt; its own log says where. Please report it.".to_owned();
        let outcome = Outcome::Unreachable { kind: "internal".to_owned(), message };
        let delivery = delivery.settle(&outcome, self.policy(&endpoint, now), now, now, 0.0).delivery;
        let attempt = Attempt {
            number: delivery.attempts,
            started_at: now,
            duration: Duration::ZERO,
            outcome,
            request: None,
            response: None,
            timing: Timing::default(),
            plugins: Vec::new(),
            warnings: Warnings::NONE,
        };
        let due = delivery.due;
        self.write(Settled { lease, delivery, attempt: Some(attempt), announce: Vec::new() }).await;
        due.into_iter().for_each(|due| self.agenda.expect(due));
    }

    fn policy<'e>(&self, endpoint: &'e Endpoint, now: Timestamp) -> Policy<'e> {
        Policy {
            retry: &endpoint.terms.retry,
            held: self.book.snapshot().held_for(endpoint, now),
            max_age: self.settings.max_age,
            retry_after_limit: self.settings.retry_after_limit,
        }
    }

    /// Writes a settlement. Where the store cannot for a while, the lease runs out and the delivery is tried again.
    async fn write(&self, settled: Settled) {
        let id = settled.delivery.id;
        for _ in 0..SETTLE_TRIES {
            match self.queue.settle(vec![settled.clone()]).await.as_deref() {
                Ok([Settle::LeaseLost, ..]) => {
                    self.metrics.lease_lost();
                    return warn!(delivery = %id, "an attempt's result came too late to count");
                }
                Ok(_) => return,
                Err(error) => {
                    error!(delivery = %id, %error, "an attempt's result could not be written");
                    tokio::time::sleep(SETTLE_PAUSE).await;
                }
            }
        }
    }

    async fn give_back(&self, job: Job, due: Timestamp) {
        let Job { lease, slot, .. } = job;
        if let Err(error) = self.queue.release(vec![lease], due).await {
            warn!(delivery = %lease.delivery, %error, "a delivery could not be given back; its lease will run out");
        }
        drop(slot);
        self.agenda.expect(due);
    }

    /// Ends what nobody wants any more.
    async fn give_up(&self, job: Job, now: Timestamp) {
        let reason = "It waited for longer than `delivery.max_age`.".to_owned();
        let delivery = job.delivery.finish(State::Failed, Some(reason), now);
        self.metrics.delivery_finished(delivery.state, now.since(delivery.created_at));
        self.write(Settled { lease: job.lease, delivery, attempt: None, announce: Vec::new() }).await;
    }

    async fn disable(&self, endpoint: &Endpoint, reason: &str, now: Timestamp) {
        match self.book.disable(endpoint.id, reason, now).await {
            Ok(()) => warn!(endpoint = %endpoint.id, reason, "endpoint disabled"),
            Err(error) => error!(endpoint = %endpoint.id, %error, "the endpoint could not be disabled"),
        }
    }

    /// The attempt's one wide line, and its counts.
    fn report(&self, event: &Event, delivery: &Delivery, attempt: &Attempt, now: Timestamp) {
        self.metrics.attempt(&attempt.outcome, attempt.duration);
        attempt.plugins.iter().for_each(|run| self.metrics.plugin_call(run));
        if delivery.state.is_final() {
            self.metrics.delivery_finished(delivery.state, now.since(delivery.created_at));
        }
        info!(
            delivery = %delivery.id,
            event = %event.id,
            endpoint = %delivery.endpoint,
            tenant = %event.tenant,
            r#type = %event.event_type,
            attempt = attempt.number,
            outcome = attempt.outcome.word(),
            kind = attempt.outcome.kind(),
            status = attempt.response.as_ref().map(|response| response.status),
            state = delivery.state.word(),
            next = delivery.due.map(tracing::field::display),
            ms = attempt.duration.as_secs_f64() * 1e3,
            reason = delivery.reason.as_deref(),
            "attempt"
        );
    }
}
