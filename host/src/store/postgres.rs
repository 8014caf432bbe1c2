//! A store in PostgreSQL, shared by any number of hosts.
//!
//! Every change is one transaction. Those that come often, of many requests at once, run side by side and hold the
//! store's lock together: append, claim, renew, settle, release. What comes seldom and looks at much holds the lock
//! alone: steering, and what operators describe. So only the former have to bear each other:
//!
//! * Whoever appends holds the row of `book`, so that places are given, and become visible, in one order.
//! * Rows of `queue`, then `health`, then `heads` are locked, each in the order of its keys.
//! * Counts that are added to go to the writer's own shard, and those by time to a row of their own each, which one host
//!   after the other adds up.
//!
//! A delivery is a row of `queue` until it ends, then one of `deliveries`. A lease stands in its row, and outlives the
//! host that holds it until it expires. What is kept of a day lies in partitions of its own, which go with it.

mod alone;
mod append;
mod connection;
pub mod copy;
mod counters;
mod days;
mod desk;
mod fold;
mod gather;
mod history;
mod hosts;
mod jobs;
mod lines;
mod migrations;
mod plugins;
mod prune;
mod queue;
mod row;
mod settle;
mod steer;
mod transaction;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::*;

pub use self::connection::{Address, InvalidAddress, PLANNER};
pub use self::migrations::Migrated;

use self::connection::Pool;
use self::fold::Folder;
use self::gather::Gather;
use self::transaction::Shared;

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many attempts of a delivery are kept: the latest ones.
    pub attempts_kept: u32,
    /// Most connections at once.
    pub connections: usize,
    /// How long a call may take, waiting for a connection included; then it fails.
    pub deadline: Duration,
    /// For how much longer [`History::prune`] keeps what has ended, so that it goes with all of its day.
    pub whole_days: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            attempts_kept: ATTEMPTS_KEPT,
            connections: 16,
            deadline: Duration::from_secs(10),
            whole_days: Duration::ZERO,
        }
    }
}

#[derive(Debug)]
pub struct PostgresStore {
    shared: Arc<Shared>,
    appends: Gather<append::Request, Append>,
    settlements: Gather<Vec<Settled>, Vec<Settle>>,
    _folder: Folder,
}

impl PostgresStore {
    /// Opens the store, whose tables have to be there.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached, or migrations are pending: then the sentence names the command.
    pub async fn open(address: &Address, options: Options) -> Result<Self> {
        let pool = Pool::new(address, options.connections, options.deadline)?;
        migrations::check(&pool).await?;
        let shared = Arc::new(Shared::new(pool, options).await?);
        copy::refuse_unfinished(&shared).await?;
        days::make_ahead(&shared).await?;
        Ok(Self::on(shared))
    }

    /// As [`PostgresStore::open`], for a process that is the only one on it: nobody else changes anything until this is
    /// dropped.
    ///
    /// # Errors
    ///
    /// As there, and where a host uses it.
    pub async fn open_alone(address: &Address, now: Timestamp) -> Result<Self> {
        let shared = alone::open(address).await?;
        copy::refuse_unfinished(&shared).await?;
        match alone::is_used(&shared, now).await? {
            None => Ok(Self::on(shared)),
            Some(why) => Err(StoreError::Unavailable(why)),
        }
    }

    fn on(shared: Arc<Shared>) -> Self {
        Self {
            appends: Gather::start(shared.clone(), append::commit),
            settlements: Gather::start(shared.clone(), settle::commit),
            _folder: Folder::start(shared.clone()),
            shared,
        }
    }

    /// Brings the tables to what this version needs.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached or refuses, or is of a newer version.
    pub async fn migrate(address: &Address) -> Result<Migrated> {
        let options = Options { connections: 1, deadline: Duration::from_secs(60), ..Options::default() };
        let pool = Pool::new(address, options.connections, options.deadline)?;
        let migrated = migrations::run(&pool).await?;
        days::make_ahead(&Shared::new(pool, options).await?).await?;
        Ok(migrated)
    }
}

#[async_trait]
impl Inbox for PostgresStore {
    async fn append(
        &self,
        batch: Vec<Arrival>,
        against: BookVersion,
        lease_until: Timestamp,
    ) -> Result<Append> {
        batch.iter().try_for_each(super::check_room)?;
        self.appends.submit(append::Request { batch, against, lease_until }).await
    }
}

#[async_trait]
impl Queue for PostgresStore {
    async fn claim(&self, claim: Claim) -> Result<Vec<Claimed>> {
        queue::claim(&self.shared, &claim).await
    }

    async fn renew(&self, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>> {
        queue::renew(&self.shared, leases, until).await
    }

    async fn settle(&self, batch: Vec<Settled>) -> Result<Vec<Settle>> {
        let told = batch.iter().flat_map(|settled| settled.announce.iter().chain(&settled.recovery));
        told.into_iter().try_for_each(super::check_room)?;
        self.settlements.submit(batch).await
    }

    async fn release(&self, leases: Vec<Lease>, due: Timestamp) -> Result<()> {
        queue::release(&self.shared, leases, due).await
    }

    async fn next_due(&self, skip: HashSet<EndpointId>) -> Result<Option<Timestamp>> {
        queue::next_due(&self.shared, skip).await
    }

    async fn retry_now(&self, delivery: DeliveryId, now: Timestamp) -> Result<Steer> {
        steer::retry_now(&self.shared, delivery, now).await
    }

    async fn cancel(&self, delivery: DeliveryId, reason: String, now: Timestamp) -> Result<Steer> {
        steer::cancel(&self.shared, delivery, &reason, now).await
    }

    async fn replay(&self, delivery: DeliveryId, new_webhook_id: bool, now: Timestamp) -> Result<Replay> {
        steer::replay(&self.shared, delivery, new_webhook_id, now).await
    }

    async fn cancel_orphans(&self, limit: usize, now: Timestamp) -> Result<usize> {
        steer::cancel_orphans(&self.shared, limit, now).await
    }

    async fn cancel_waiting(
        &self,
        endpoint: EndpointId,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
    ) -> Result<usize> {
        steer::cancel_waiting(&self.shared, endpoint, before, limit, &reason, now).await
    }

    async fn expire(
        &self,
        before: Timestamp,
        limit: usize,
        reason: String,
        now: Timestamp,
        tell: Tell,
    ) -> Result<usize> {
        steer::expire(&self.shared, before, limit, &reason, now, &tell).await
    }

    async fn pending(&self) -> Result<u64> {
        queue::pending(&self.shared).await
    }
}

#[async_trait]
impl Hosts for PostgresStore {
    async fn attend(&self, seat: Seat, span: Duration) -> Result<Vec<Seat>> {
        hosts::attend(&self.shared, &seat, span).await
    }

    async fn seats(&self) -> Result<Vec<Seat>> {
        hosts::seats(&self.shared).await
    }

    async fn leave(&self, host: HostId) -> Result<()> {
        hosts::leave(&self.shared, host).await
    }
}

#[async_trait]
impl Backup for PostgresStore {
    /// PostgreSQL has tools of its own for it.
    async fn backup(&self, _: Vec<u8>, _: Duration) -> Result<Copying> {
        Ok(Copying::Impossible)
    }
}
