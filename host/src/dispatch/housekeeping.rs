//! What goes on in the background: leases are renewed, orphans cancelled, and what is old is forgotten.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use crate::book::Book;
use crate::disk::Disk;
use crate::metrics::Metrics;
use crate::store::{History, Queue, Result};
use crate::time::Clock;

use super::backlog::Backlog;
use super::{LEASE, RENEWAL};

/// How often the store is asked for deliveries whose endpoint was deleted, beside at each change of the endpoints.
const ORPHANS: Duration = Duration::from_secs(30);
/// Deliveries cancelled in one commit, so that the writer is never kept from others for long.
const ORPHANS_AT_ONCE: usize = 500;
/// How often retention looks for what is old.
const PRUNE: Duration = Duration::from_secs(60);
/// Events looked at in one commit.
const EVENTS_AT_ONCE: usize = 200;
/// Pause between two commits of the background, in which others go first.
const BREATHER: Duration = Duration::from_millis(20);
/// How often the number of pending deliveries is counted.
const COUNT: Duration = Duration::from_secs(5);
/// How often the disk is asked for its room.
const DISK: Duration = Duration::from_secs(1);

pub struct Housekeeping {
    pub queue: Arc<dyn Queue>,
    pub history: Arc<dyn History>,
    pub disk: Arc<Disk>,
    pub backlog: Arc<Backlog>,
    pub book: Arc<Book>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Arc<Metrics>,
    /// How long what has ended is kept.
    pub retention: Duration,
}

impl Housekeeping {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut changes = self.book.watch();
        let mut renewal = tokio::time::interval(RENEWAL);
        let mut orphans = tokio::time::interval(ORPHANS);
        let mut prune = tokio::time::interval(PRUNE);
        let mut count = tokio::time::interval(COUNT);
        let mut disk = tokio::time::interval(DISK);
        loop {
            let done = tokio::select! {
                _ = renewal.tick() => self.renew().await,
                _ = orphans.tick() => self.cancel_orphans().await,
                Ok(()) = changes.changed() => self.cancel_orphans().await,
                _ = prune.tick() => self.prune().await,
                _ = count.tick() => self.count().await,
                _ = disk.tick() => {
                    self.disk.look();
                    Ok(())
                }
            };
            if let Err(error) = done {
                warn!(%error, "housekeeping has to wait");
            }
        }
    }

    async fn renew(&self) -> Result<()> {
        let leases = self.backlog.leases();
        if !leases.is_empty() {
            self.queue.renew(leases, self.clock.now().plus(LEASE)).await?;
        }
        Ok(())
    }

    async fn cancel_orphans(&self) -> Result<()> {
        while self.queue.cancel_orphans(ORPHANS_AT_ONCE, self.clock.now()).await? == ORPHANS_AT_ONCE {
            tokio::time::sleep(BREATHER).await;
        }
        Ok(())
    }

    async fn prune(&self) -> Result<()> {
        let before = self.clock.now().minus(self.retention);
        let (mut events, mut deliveries) = (0, 0);
        loop {
            let pruned = self.history.prune(before, EVENTS_AT_ONCE).await?;
            events += pruned.events;
            deliveries += pruned.deliveries;
            if pruned.done {
                break;
            }
            // Leases must not run out while much is old.
            self.renew().await?;
            tokio::time::sleep(BREATHER).await;
        }
        if events + deliveries > 0 {
            info!(events, deliveries, "forgot what is older than the retention");
        }
        Ok(())
    }

    async fn count(&self) -> Result<()> {
        self.metrics.set_pending(self.queue.pending().await?);
        Ok(())
    }
}
