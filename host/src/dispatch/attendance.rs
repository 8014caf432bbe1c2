//! Tells the other hosts on the store that this one is there, and sees who they are.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tracing::{info, warn};

use crate::book::Book;
use crate::endpoint::Endpoint;
use crate::id::{EndpointId, HostId};
use crate::store::{Hosts, Result, Seat, Statistics};
use crate::time::{Clock, Timestamp};

use super::shares::{Roster, Seen, Shares};
use super::{Message, RENEWALS, rates};

/// How often it is looked who is there.
const LOOK: Duration = Duration::from_secs(1);
/// The same, while not all hosts agree on it.
const QUICK_LOOK: Duration = Duration::from_millis(200);

/// Where hosts share a store: this one among them.
pub struct Attendance {
    pub me: HostId,
    pub hosts: Arc<dyn Hosts>,
    pub statistics: Arc<dyn Statistics>,
    pub shares: Arc<Shares>,
    pub book: Arc<Book>,
    pub clock: Arc<dyn Clock>,
    /// How long what is claimed is kept from others.
    pub lease: Duration,
    pub driver: mpsc::UnboundedSender<Message>,
}

/// What was written down last, and when.
type Said = Option<(Roster, Timestamp)>;

impl Attendance {
    /// Runs until it is dropped.
    pub async fn run(self) {
        let mut said = None;
        loop {
            if let Err(error) = self.look(&mut said).await {
                warn!(%error, "it cannot be seen which other hosts deliver");
            }
            let pause = if self.shares.is_settled() { LOOK } else { QUICK_LOOK };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shares.called() => {}
            }
        }
    }

    async fn look(&self, said: &mut Said) -> Result<()> {
        let now = self.clock.now();
        if said.is_some() && !self.shares.is_seated(now) {
            warn!(
                "this host was not heard of for so long that the others may have taken over; it begins anew"
            );
            self.shares.lapse();
            *said = None;
        }
        let keeps_to = self.shares.promised();
        let is_fresh = |(kept, at): &(Roster, Timestamp)| {
            *kept == keeps_to && *at <= now && now.since(*at) < self.lease / RENEWALS
        };
        let seats = if said.as_ref().is_some_and(is_fresh) {
            self.hosts.seats().await?
        } else {
            let seat = Seat { host: self.me, keeps_to: keeps_to.hosts().to_vec() };
            // Others pass this host over a while after it, and what it holds, has run out.
            let seats = self.hosts.attend(seat, self.lease + self.lease / RENEWALS * 2).await?;
            self.shares.seat(now.plus(self.lease));
            *said = Some((keeps_to, now));
            seats
        };
        match self.shares.see(&seats) {
            Seen::Nothing => {}
            Seen::Others => {
                info!(hosts = seats.len(), "other hosts deliver from the store than before");
                if !seats.iter().any(|seat| seat.host == self.me) {
                    *said = None;
                }
            }
            Seen::Agreed(roster) => self.settle(roster).await?,
        }
        Ok(())
    }

    /// What comes to this host may have a rate, which goes on from what others sent.
    async fn settle(&self, roster: Roster) -> Result<()> {
        let (book, now) = (self.book.snapshot(), self.clock.now());
        let comes = |endpoint: &Endpoint| self.shares.limits(endpoint).concurrency == 0;
        let sent: Vec<(EndpointId, Vec<Timestamp>)> =
            rates::recall(self.statistics.as_ref(), &book, now, comes).await?;
        let (done, settled) = oneshot::channel();
        // Where the driver is gone, the host stops.
        let _ = self.driver.send(Message::Settle { roster, sent, done });
        let _ = settled.await;
        Ok(())
    }
}
