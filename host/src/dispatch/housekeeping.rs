//! What goes on in the background: leases are renewed, orphans cancelled, and what is old is forgotten.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::book::{Book, Entry};
use crate::delivery::Delivery;
use crate::disk::Disk;
use crate::id::EndpointId;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::notice::{Notice, Topic};
use crate::store::{History, Kept, Queue, Result, Statistics, Tell};
use crate::time::{Clock, Timestamp};

use super::RENEWALS;
use super::backlog::Backlog;
use super::feed::Agenda;

/// How often the store is asked for deliveries whose endpoint was deleted, beside at each change of the endpoints.
const ORPHANS: Duration = Duration::from_secs(30);
/// Deliveries cancelled in one commit, so that the writer is never kept from others for long.
const ORPHANS_AT_ONCE: usize = 500;
/// How often retention looks for what is old.
const PRUNE: Duration = Duration::from_secs(60);
/// Deliveries ended for their age in one commit.
const EXPIRED_AT_ONCE: usize = 500;
/// Deliveries skipped in one commit.
const SKIPPED_AT_ONCE: usize = 500;
/// Events looked at in one commit.
const EVENTS_AT_ONCE: usize = 200;
/// Counts forgotten in one commit.
const COUNTS_AT_ONCE: usize = 1_000;
/// Pause between two commits of the background, in which others go first.
const BREATHER: Duration = Duration::from_millis(20);
/// How often the number of pending deliveries is counted.
const COUNT: Duration = Duration::from_secs(5);
/// How often the disk is asked for its room.
const DISK: Duration = Duration::from_secs(1);

/// How long what is over is kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// What has ended.
    pub events: Duration,
    /// Counts, by their resolution.
    pub minutes: Duration,
    pub hours: Duration,
    pub days: Duration,
}

pub struct Housekeeping {
    pub queue: Arc<dyn Queue>,
    pub history: Arc<dyn History>,
    pub statistics: Arc<dyn Statistics>,
    pub disk: Arc<Disk>,
    pub backlog: Arc<Backlog>,
    pub agenda: Arc<Agenda>,
    pub book: Arc<Book>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    pub live: Arc<Live>,
    /// How long a delivery may wait, held time included.
    pub max_age: Duration,
    /// How long what is claimed is kept from others, unless it is renewed.
    pub lease: Duration,
    pub retention: Retention,
    /// Turns true once.
    pub stop: watch::Receiver<bool>,
}

/// Up to when an endpoint's deliveries have been skipped, all of them.
type Skipped = HashMap<EndpointId, Timestamp>;

impl Housekeeping {
    /// Runs until it is told to stop, and then finishes what it is at: a task that is dropped in the middle of a read
    /// would leave the store open behind it. What is urgent never waits for what takes long.
    pub async fn run(self) {
        tokio::join!(self.watch_leases(), self.watch_disk(), self.tidy());
    }

    async fn watch_leases(&self) {
        let mut renewal = tokio::time::interval(self.lease / RENEWALS);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = self.told_to_stop() => return,
                _ = renewal.tick() => {}
            }
            report(self.renew().await);
        }
    }

    pub async fn watch_disk(&self) {
        let mut disk = tokio::time::interval(DISK);
        loop {
            tokio::select! {
                () = self.told_to_stop() => return,
                _ = disk.tick() => self.disk.look(),
            }
        }
    }

    async fn tidy(&self) {
        let mut changes = self.book.watch();
        let mut orphans = tokio::time::interval(ORPHANS);
        let mut prune = tokio::time::interval(PRUNE);
        let mut count = tokio::time::interval(COUNT);
        let mut skipped = HashMap::new();
        loop {
            report(tokio::select! {
                () = self.told_to_stop() => return,
                _ = orphans.tick() => self.cancel(&mut skipped).await,
                Ok(()) = changes.changed() => self.cancel(&mut skipped).await,
                _ = prune.tick() => self.forget().await,
                _ = count.tick() => self.count().await,
            });
        }
    }

    async fn told_to_stop(&self) {
        let mut stop = self.stop.clone();
        let _ = stop.wait_for(|stop| *stop).await;
    }

    async fn renew(&self) -> Result<()> {
        let leases = self.backlog.leases();
        if !leases.is_empty() {
            let until = self.clock.now().plus(self.lease);
            let lost = self.queue.renew(leases.clone(), until).await?;
            // Somebody else has them now; what waits here must not be sent too.
            lost.into_iter().for_each(|lease| self.backlog.revoke(lease.delivery));
            self.backlog.prolong(&leases, until);
        }
        Ok(())
    }

    /// Cancels what has nowhere to go any more.
    async fn cancel(&self, skipped: &mut Skipped) -> Result<()> {
        self.cancel_orphans().await?;
        self.cancel_skipped(skipped).await
    }

    /// What was skipped does not go out, whether or not it has been cancelled already; but it is to be seen as it is.
    async fn cancel_skipped(&self, skipped: &mut Skipped) -> Result<()> {
        let book = self.book.snapshot();
        for Entry { endpoint, .. } in book.entries() {
            let Some(before) = book.skips_before(endpoint) else { continue };
            if skipped.get(&endpoint.id) == Some(&before) {
                continue;
            }
            loop {
                let cancelled = self.cancel_some(endpoint.id, before).await?;
                self.live.tell_of_many(Some(&endpoint.tenant), cancelled);
                if cancelled < SKIPPED_AT_ONCE {
                    break;
                }
                if self.stops() {
                    return Ok(());
                }
                tokio::time::sleep(BREATHER).await;
            }
            skipped.insert(endpoint.id, before);
        }
        skipped.retain(|id, _| book.entry(*id).is_some());
        Ok(())
    }

    async fn cancel_some(&self, endpoint: EndpointId, before: Timestamp) -> Result<usize> {
        let (reason, now) = (super::SKIPPED.to_owned(), self.clock.now());
        self.queue.cancel_waiting(endpoint, before, SKIPPED_AT_ONCE, reason, now).await
    }

    async fn cancel_orphans(&self) -> Result<()> {
        loop {
            let cancelled = self.queue.cancel_orphans(ORPHANS_AT_ONCE, self.clock.now()).await?;
            self.live.tell_of_many(None, cancelled);
            if cancelled < ORPHANS_AT_ONCE || self.stops() {
                return Ok(());
            }
            tokio::time::sleep(BREATHER).await;
        }
    }

    /// Ends what nobody wants any more, and forgets what ended long ago.
    async fn forget(&self) -> Result<()> {
        let now = self.clock.now();
        let reason = super::worker::TOO_OLD;
        let before = now.minus(self.max_age);
        loop {
            let (tell, seen) = self.teller(now);
            let ended = self.queue.expire(before, EXPIRED_AT_ONCE, reason.to_owned(), now, tell).await?;
            seen.lock().unwrap_or_else(PoisonError::into_inner).iter().for_each(|seen| self.live.tell(seen));
            if ended > 0 {
                // What tells of it is due.
                self.agenda.expect(now);
            }
            if ended < EXPIRED_AT_ONCE || self.stops() {
                break;
            }
            tokio::time::sleep(BREATHER).await;
        }
        self.prune().await?;
        self.prune_statistics().await
    }

    /// The operational events about deliveries that end for their age; and these deliveries, where somebody watches.
    fn teller(&self, now: Timestamp) -> (Tell, Arc<Mutex<Vec<Delivery>>>) {
        let (book, live, seen) = (Arc::clone(&self.book), Arc::clone(&self.live), Arc::default());
        let noted: Arc<Mutex<Vec<Delivery>>> = Arc::clone(&seen);
        let tell: Tell = Arc::new(move |event, delivery| {
            if live.is_watched() {
                noted.lock().unwrap_or_else(PoisonError::into_inner).push(delivery.clone());
            }
            let book = book.snapshot();
            let endpoint = &book.entry(delivery.endpoint)?.endpoint;
            let notice = |topic| Notice::of_delivery(topic, endpoint, event, delivery, None, now);
            book.tell(Topic::of_end(delivery)?, &endpoint.tenant, notice, now)
        });
        (tell, seen)
    }

    async fn prune_statistics(&self) -> Result<()> {
        let now = self.clock.now();
        let Retention { minutes, hours, days, .. } = self.retention;
        let kept = Kept { minutes: now.minus(minutes), hours: now.minus(hours), days: now.minus(days) };
        while self.statistics.prune_statistics(kept, COUNTS_AT_ONCE).await? == COUNTS_AT_ONCE && !self.stops()
        {
            tokio::time::sleep(BREATHER).await;
        }
        Ok(())
    }

    async fn prune(&self) -> Result<()> {
        let before = self.clock.now().minus(self.retention.events);
        let (mut events, mut deliveries) = (0, 0);
        loop {
            let pruned = self.history.prune(before, EVENTS_AT_ONCE).await?;
            events += pruned.events;
            deliveries += pruned.deliveries;
            if pruned.done || self.stops() {
                break;
            }
            tokio::time::sleep(BREATHER).await;
        }
        if events + deliveries > 0 {
            info!(events, deliveries, "forgot what is older than the retention");
        }
        Ok(())
    }

    fn stops(&self) -> bool {
        *self.stop.borrow()
    }

    async fn count(&self) -> Result<()> {
        self.metrics.set_pending(self.queue.pending().await?);
        Ok(())
    }
}

fn report(done: Result<()>) {
    if let Err(error) = done {
        warn!(%error, "housekeeping has to wait");
    }
}
