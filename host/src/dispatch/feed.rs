//! Brings what is due from the store to the schedule.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tracing::{debug, warn};

use crate::book::{self, Book};
use crate::id::EndpointId;
use crate::plugin::{self, Catalog};
use crate::store::{Claim, Claimed, Queue, Result};
use crate::time::{Clock, Timestamp};

use super::Message;
use super::backlog::Backlog;
use super::chain;
use super::shares::Shares;
use super::worker::Job;

/// Most deliveries claimed at once. With it, payloads claimed can pass the backlog's bound in bytes by no more than
/// this many payloads.
const CLAIM_LIMIT: usize = 64;
/// Pause after the store could not answer.
const FAILURE_PAUSE: Duration = Duration::from_secs(1);

/// When something will be due, told by those who know.
#[derive(Debug)]
pub struct Agenda {
    next: AtomicI64,
    changed: Notify,
}

impl Agenda {
    pub fn new() -> Self {
        Self { next: AtomicI64::new(i64::MAX), changed: Notify::new() }
    }

    /// Something is due then.
    pub fn expect(&self, due: Timestamp) {
        if self.note(due) {
            self.changed.notify_one();
        }
    }

    /// As [`Agenda::expect`], by the feed itself, which would only wake itself up. Whether it is sooner than all else.
    fn note(&self, due: Timestamp) -> bool {
        self.next.fetch_min(due.as_micros(), Ordering::AcqRel) > due.as_micros()
    }

    fn take(&self) -> Timestamp {
        Timestamp::from_micros(self.next.swap(i64::MAX, Ordering::AcqRel))
    }

    fn next(&self) -> Timestamp {
        Timestamp::from_micros(self.next.load(Ordering::Acquire))
    }
}

impl Default for Agenda {
    fn default() -> Self {
        Self::new()
    }
}

pub struct Feed {
    pub queue: Arc<dyn Queue>,
    pub backlog: Arc<Backlog>,
    pub agenda: Arc<Agenda>,
    pub book: Arc<Book>,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    /// How long what is claimed is kept from others.
    pub lease: Duration,
    /// How long the feed rests at the most: hints are lost when another host writes, or a clock leaps.
    pub rest: Duration,
    pub shares: Arc<Shares>,
    pub jobs: mpsc::UnboundedSender<Message>,
}

/// The endpoints whose deliveries are not for this host, as of a version of the book, of the catalogue and of the shares:
/// held ones, those whose chains name a plugin that is not there, and those that other hosts deliver to.
#[derive(Default)]
struct Waiting {
    as_of: Option<(Arc<book::Snapshot>, Arc<plugin::Snapshot>, u64)>,
    endpoints: HashSet<EndpointId>,
}

impl Waiting {
    fn look(&mut self, feed: &Feed) -> &HashSet<EndpointId> {
        let Feed { book, catalog, shares, .. } = feed;
        let (endpoints, plugins, dealt) = (book.snapshot(), catalog.snapshot(), shares.version());
        let known = self.as_of.as_ref();
        let is_same = |(e, p, d): &(Arc<book::Snapshot>, Arc<plugin::Snapshot>, u64)| {
            Arc::ptr_eq(e, &endpoints) && Arc::ptr_eq(p, &plugins) && *d == dealt
        };
        if known.is_some_and(is_same) {
            return &self.endpoints;
        }
        let before = std::mem::take(&mut self.endpoints);
        for entry in endpoints.entries() {
            let id = entry.endpoint.id;
            let is_others = shares.limits(&entry.endpoint).concurrency == 0;
            if is_others || endpoints.held_because(&entry.endpoint).is_some() {
                self.endpoints.insert(id);
            } else if let Err(missing) = chain::resolve(catalog, &entry.endpoint) {
                if !before.contains(&id) {
                    warn!(endpoint = %id, reason = %missing, "its deliveries are held");
                }
                self.endpoints.insert(id);
            }
        }
        self.as_of = Some((endpoints, plugins, dealt));
        &self.endpoints
    }
}

impl Feed {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut changes = self.book.watch();
        let mut shares = self.shares.watch();
        let mut waiting = Waiting::default();
        loop {
            let plugins_changed = self.catalog.changed();
            let held = waiting.look(&self);
            if let Err(error) = self.bring(held).await {
                warn!(%error, "the store could not say what is due");
                tokio::time::sleep(FAILURE_PAUSE).await;
            }
            tokio::select! {
                () = self.rest() => {}
                () = self.agenda.changed.notified() => {}
                () = self.backlog.room_again() => {}
                () = plugins_changed => {}
                Ok(()) = changes.changed() => {}
                Ok(()) = shares.changed() => {}
            }
        }
    }

    /// Waits for what is due next.
    async fn rest(&self) {
        let left = self.agenda.next().since(self.clock.now());
        tokio::time::sleep(left.min(self.rest)).await;
    }

    /// Claims all that is due and that there is room for, but for the endpoints that are `held`.
    async fn bring(&self, held: &HashSet<EndpointId>) -> Result<()> {
        self.agenda.take();
        loop {
            let limit = self.backlog.room().min(CLAIM_LIMIT);
            if limit == 0 {
                return Ok(());
            }
            let (per_endpoint, mut skip) = self.backlog.shares();
            skip.extend(held);
            let now = self.clock.now();
            let lease_until = now.plus(self.lease);
            let claim = Claim { now, lease_until, limit, per_endpoint, skip: skip.clone() };
            let claimed = self.queue.claim(claim).await?;
            debug!(claimed = claimed.len(), "claimed");
            if claimed.is_empty() {
                if let Some(next) = self.queue.next_due(skip).await? {
                    self.agenda.note(next);
                }
                return Ok(());
            }
            self.hand_over(claimed, lease_until);
        }
    }

    fn hand_over(&self, claimed: Vec<Claimed>, until: Timestamp) {
        let jobs = claimed.into_iter().map(|Claimed { lease, delivery, event }| {
            let mut slot = self.backlog.occupy(delivery.endpoint, event.payload.len());
            slot.hold(lease, until);
            Job { lease, delivery, event, slot, paced: false }
        });
        // A closed channel means that the host stops; the leases end with it.
        let _ = self.jobs.send(Message::Jobs(jobs.collect()));
    }
}
