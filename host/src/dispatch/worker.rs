//! One attempt, from a leased delivery to its settlement: steps 7 to 11 of a payload's way.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tracing::{error, info, warn};

use crate::attempt::{Attempt, Outcome, Timing, Warning, Warnings};
use crate::book::Book;
use crate::delivery::{Delivery, Policy, Settlement, State};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::health::Health;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::notice::{Notice, Topic};
use crate::plugin::Catalog;
use crate::send::Client;
use crate::store::{Lease, Queue, Settle, Settled, StoreError};
use crate::time::{Clock, Timestamp};

use super::backlog::{Slot, Standing};
use super::feed::Agenda;
use super::shares::Shares;
use super::tries::{Tried, Try};
use super::turns::Turns;
use super::usage::Usage;
use super::wardrobe::Wardrobe;

/// Why a delivery that waited for too long has failed.
pub const TOO_OLD: &str = "It waited for longer than `delivery.max_age`.";

/// How often a settlement is offered again, to a store that cannot be reached, before the lease is left to run out. Long
/// enough for a database to be started anew somewhere else: as long as nobody reaches it, nobody is given the delivery.
const SETTLE_TRIES: u32 = 300;
/// The same, where the store is there and cannot write it.
const BROKEN_TRIES: u32 = 5;
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
    pub live: Arc<Live>,
    pub agenda: Arc<Agenda>,
    pub wardrobe: Wardrobe,
    pub turns: Turns,
    pub shares: Arc<Shares>,
    pub usage: Arc<Usage>,
    pub unwritten: Unwritten,
    pub settings: Settings,
}

/// Results of attempts that the store could not write yet. While there are any, no attempt is begun: whatever it came to
/// could be lost, and the delivery be made once more.
#[derive(Debug, Default)]
pub struct Unwritten(Arc<AtomicUsize>);

impl Unwritten {
    pub fn is_none(&self) -> bool {
        self.0.load(Ordering::Acquire) == 0
    }

    fn wait(&self) -> Waiting {
        self.0.fetch_add(1, Ordering::AcqRel);
        Waiting(self.0.clone())
    }
}

struct Waiting(Arc<AtomicUsize>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a claimed delivery is kept from others; renewed while it is held.
    pub lease: Duration,
    /// How often the store is asked what is due, where nobody tells.
    pub poll: Duration,
    pub max_age: Duration,
    pub retry_after_limit: Duration,
    pub stored_request_body: usize,
    pub stored_answer_body: usize,
    /// Of an answer's body, what a plugin that judges it gets to see.
    pub judged_answer_body: usize,
}

impl Workshop {
    /// Tries to deliver. `sent` is called as soon as the receiver has answered, before the result is on disk.
    pub async fn attempt(&self, job: Job, sent: impl FnOnce()) {
        if !self.holds(&job).await {
            return;
        }
        let started = self.clock.now();
        // Another host may be at it by now.
        if !self.shares.is_seated(started) {
            return self.give_back(job, started).await;
        }
        let Some(endpoint) = self.book.snapshot().open(job.delivery.endpoint).cloned() else {
            return self.give_back(job, started).await;
        };
        if self.is_skipped(&endpoint, &job.delivery) {
            return self.end(&endpoint, job, State::Cancelled, super::SKIPPED, started).await;
        }
        if job.delivery.is_too_old(self.settings.max_age, started) {
            return self.end(&endpoint, job, State::Failed, TOO_OLD, started).await;
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

    /// Whether the delivery is still this host's to send. Where its lease has run out, the store is asked for more time: so
    /// one that was handed out to somebody else meanwhile is not sent twice.
    async fn holds(&self, job: &Job) -> bool {
        let now = self.clock.now();
        match job.slot.standing(now) {
            Standing::Good => return true,
            Standing::Lost => return false,
            Standing::RunOut => {}
        }
        let until = now.plus(self.settings.lease);
        let renewed = match self.queue.renew(vec![job.lease], until).await {
            Ok(lost) => lost.is_empty(),
            Err(error) => {
                warn!(delivery = %job.lease.delivery, %error, "a lease has run out and cannot be renewed");
                false
            }
        };
        if renewed {
            job.slot.prolong(until);
        } else {
            self.agenda.expect(now);
        }
        renewed
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
            .with_if(self.book.snapshot().is_deprecated(&event.event_type), Warning::DeprecatedType)
            .with_if(paced, Warning::RateLimited);
        self.report(&event, &delivery, &attempt, now);
        if let Some(reason) = disable_endpoint {
            self.disable(endpoint, &reason, now).await;
        }
        let (due, settled) =
            (delivery.due, self.settled(endpoint, &event, lease, delivery, Some(attempt), now));
        let told = !settled.announce.is_empty() || !settled.recovery.is_empty();
        let health = self.write(settled).await;
        drop(slot);
        // What was told, and who is next in line, is due at once.
        if told || endpoint.order.is_kept() {
            self.agenda.expect(now);
        }
        due.into_iter().for_each(|due| self.agenda.expect(due));
        if let Some(reason) = health.and_then(|health| endpoint.terms.auto_disable.verdict(&health, now)) {
            self.disable(endpoint, &reason, now).await;
        }
    }

    /// With the operational events that somebody wants to have about it.
    fn settled(
        &self,
        endpoint: &Endpoint,
        event: &Event,
        lease: Lease,
        delivery: Delivery,
        attempt: Option<Attempt>,
        now: Timestamp,
    ) -> Settled {
        let book = self.book.snapshot();
        let tell = |topic: Topic| {
            let notice =
                |topic| Notice::of_delivery(topic, endpoint, event, &delivery, attempt.as_ref(), now);
            book.tell(topic, &endpoint.tenant, notice, now)
        };
        let end = Topic::of_end(&delivery);
        let works = end == Some(Topic::DeliveryDelivered);
        let announce = end.and_then(tell).into_iter().collect();
        let recovery = works.then(|| tell(Topic::EndpointRecovered)).flatten().into_iter().collect();
        Settled { lease, delivery, attempt, announce, recovery }
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
        let settled =
            Settled { lease, delivery, attempt: Some(attempt), announce: Vec::new(), recovery: Vec::new() };
        self.write(settled).await;
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

    /// Writes a settlement, and answers how the endpoint fares after it. Where the store cannot for a while, the lease
    /// runs out and the delivery is tried again.
    async fn write(&self, settled: Settled) -> Option<Health> {
        let id = settled.delivery.id;
        let mut waits = None;
        for number in 0..SETTLE_TRIES {
            match self.queue.settle(vec![settled.clone()]).await.as_deref() {
                Ok([Settle::LeaseLost, ..]) => {
                    self.metrics.lease_lost();
                    warn!(delivery = %id, "an attempt's result came too late to count");
                    return None;
                }
                Ok([Settle::Done(health), ..]) => {
                    let health = *health;
                    self.live.tell(&settled.delivery);
                    settled.announce.iter().for_each(|arrival| self.live.tell_promised(arrival));
                    return Some(health);
                }
                Ok([]) => return None,
                // It would keep everybody waiting for what no patience mends.
                Err(error) if !matches!(error, StoreError::Unavailable(_)) && number + 1 >= BROKEN_TRIES => {
                    error!(delivery = %id, %error, "an attempt's result cannot be written; it will be tried again");
                    return None;
                }
                Err(error) => {
                    if waits.is_none() {
                        error!(delivery = %id, %error, "an attempt's result could not be written yet");
                    }
                    waits.get_or_insert_with(|| self.unwritten.wait());
                    tokio::time::sleep(SETTLE_PAUSE).await;
                }
            }
        }
        None
    }

    async fn give_back(&self, job: Job, due: Timestamp) {
        let Job { lease, slot, .. } = job;
        if let Err(error) = self.queue.release(vec![lease], due).await {
            warn!(delivery = %lease.delivery, %error, "a delivery could not be given back; its lease will run out");
        }
        drop(slot);
        self.agenda.expect(due);
    }

    fn is_skipped(&self, endpoint: &Endpoint, delivery: &Delivery) -> bool {
        let skips_before = self.book.snapshot().skips_before(endpoint);
        skips_before.is_some_and(|before| delivery.created_at < before)
    }

    /// Ends what nobody wants any more.
    async fn end(&self, endpoint: &Endpoint, job: Job, state: State, reason: &str, now: Timestamp) {
        let Job { lease, delivery, event, slot, .. } = job;
        let delivery = delivery.finish(state, Some(reason.to_owned()), now);
        self.metrics.delivery_finished(delivery.state, now.since(delivery.created_at));
        self.write(self.settled(endpoint, &event, lease, delivery, None, now)).await;
        drop(slot);
        self.agenda.expect(now);
    }

    async fn disable(&self, endpoint: &Endpoint, reason: &str, now: Timestamp) {
        match self.book.disable(endpoint, reason, now).await {
            Ok(()) => warn!(endpoint = %endpoint.id, reason, "endpoint disabled"),
            Err(error) => error!(endpoint = %endpoint.id, %error, "the endpoint could not be disabled"),
        }
    }

    /// The attempt's one wide line, and its counts.
    fn report(&self, event: &Event, delivery: &Delivery, attempt: &Attempt, now: Timestamp) {
        self.metrics.attempt(&attempt.outcome, attempt.duration);
        attempt.plugins.iter().for_each(|run| self.metrics.plugin_call(run));
        self.usage.note(delivery.endpoint, &attempt.plugins, now);
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
