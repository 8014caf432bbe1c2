//! From what is due to what has been tried: the driver, which is a list of verbs.
//!
//! Jobs come from ingest, straight from memory, and from the [`feed`], out of the store. The [`schedule`] says whose
//! turn it is, a [`worker`] makes the attempt, and what it came to goes back to the store.

pub mod attendance;
pub mod backlog;
pub mod backtest;
pub mod chain;
pub mod feed;
pub mod housekeeping;
pub mod rates;
pub mod redact;
pub mod rehearsal;
pub mod replays;
pub mod request;
pub mod schedule;
pub mod shares;
pub mod tester;
pub mod tries;
pub mod turns;
pub mod usage;
pub mod users;
pub mod wardrobe;
pub mod worker;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{JoinError, JoinHandle, JoinSet};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::delivery::Delivery;
use crate::disk::Disk;
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::id::{DeliveryId, EndpointId, HostId};
use crate::store::{Lease, Queue, Statistics, Store};
use crate::time::Timestamp;

use self::attendance::Attendance;
use self::backlog::{Backlog, Slot};
use self::backtest::Backtests;
use self::feed::Agenda;
pub use self::housekeeping::Retention;
use self::rehearsal::Rehearsal;
use self::schedule::{Limits, Schedule};
use self::shares::{Roster, Shares};
use self::tester::Tester;
use self::worker::{Job, Workshop};

/// Why a delivery was skipped.
pub const SKIPPED: &str = "It waited while its endpoint was held, and was skipped when that ended.";
/// Leases are renewed so many times before they would run out: one that is late loses nothing.
pub const RENEWALS: u32 = 6;
/// How often the driver shows that its loop goes round.
pub const BEAT: Duration = Duration::from_millis(500);
/// How often the schedule forgets lanes that have nothing to do.
const TIDY: Duration = Duration::from_secs(30);

/// How often a drain looks whether the last attempts have ended: nobody tells when a task lets go of the workshop.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// Most messages that the driver takes note of before it starts attempts again.
const MESSAGES_AT_ONCE: usize = 64;

/// What the driver is told.
#[derive(Debug)]
pub enum Message {
    Jobs(Vec<Job>),
    Finished(EndpointId),
    /// All hosts agree on who they are. What comes to this one was sent that.
    Settle {
        roster: Roster,
        sent: Vec<(EndpointId, Vec<Timestamp>)>,
        done: oneshot::Sender<()>,
    },
}

/// Where ingest hands over what it took on.
#[derive(Debug, Clone)]
pub struct Intake {
    jobs: mpsc::UnboundedSender<Message>,
    backlog: Arc<Backlog>,
    agenda: Arc<Agenda>,
    shares: Arc<Shares>,
}

impl Intake {
    /// Room in memory for a delivery; without it, the delivery waits in the store, for this host or another.
    pub fn reserve(&self, endpoint: &Endpoint, bytes: usize) -> Option<Slot> {
        match self.shares.most_taken(endpoint) {
            Some(0) => None,
            most => self.backlog.reserve(endpoint.id, bytes, most),
        }
    }

    /// Hands over deliveries whose leases came with the append, and are good until then.
    pub fn hand_over(
        &self,
        event: &Arc<Event>,
        until: Timestamp,
        taken: impl IntoIterator<Item = (Lease, EndpointId, Slot)>,
    ) {
        let jobs = taken.into_iter().map(|(lease, endpoint, mut slot)| {
            slot.hold(lease, until);
            let delivery = Delivery::promised(lease.delivery, endpoint, event);
            Job { lease, delivery, event: event.clone(), slot, paced: false }
        });
        let jobs: Vec<_> = jobs.collect();
        if !jobs.is_empty() {
            // A closed channel means that the host stops; the leases end with it.
            let _ = self.jobs.send(Message::Jobs(jobs));
        }
    }

    /// A delivery is no longer to be sent, though it may wait in memory.
    pub fn revoke(&self, delivery: DeliveryId) {
        self.backlog.revoke(delivery);
    }

    /// Something waits in the store, due then.
    pub fn expect(&self, due: Timestamp) {
        self.agenda.expect(due);
    }
}

/// The driver.
pub struct Dispatcher {
    workshop: Arc<Workshop>,
    schedule: Schedule<Job>,
    backlog: Arc<Backlog>,
    sender: mpsc::UnboundedSender<Message>,
    messages: mpsc::UnboundedReceiver<Message>,
    pulse: watch::Sender<u64>,
    company: Option<Company>,
    delivers: bool,
}

/// The other hosts on the store.
struct Company {
    me: HostId,
    store: Arc<dyn Store>,
}

impl Dispatcher {
    pub fn new(workshop: Arc<Workshop>, backlog: Arc<Backlog>, max_in_flight: usize) -> Self {
        let (sender, messages) = mpsc::unbounded_channel();
        let pulse = watch::Sender::new(0);
        let schedule = Schedule::new(max_in_flight);
        Self { workshop, schedule, backlog, sender, messages, pulse, company: None, delivers: true }
    }

    /// Shares the store with other hosts that deliver: its shares begin as [`Shares::none`].
    #[must_use]
    pub fn beside_others(mut self, me: HostId, store: Arc<dyn Store>) -> Self {
        self.company = Some(Company { me, store });
        self
    }

    /// Leaves delivering to other hosts.
    #[must_use]
    pub fn idle(mut self) -> Self {
        self.delivers = false;
        self
    }

    /// Changes every [`BEAT`] for as long as the driver's loop goes round, and ends with it.
    pub fn pulse(&self) -> watch::Receiver<u64> {
        self.pulse.subscribe()
    }

    /// Has the rates of endpoints go on from what was sent before the host started.
    ///
    /// # Errors
    ///
    /// Where the store cannot say what that was.
    pub async fn recall_rates(&mut self, store: &dyn Statistics) -> crate::store::Result<()> {
        let (book, now) = (self.workshop.book.snapshot(), self.workshop.clock.now());
        for (id, sent) in rates::recall(store, &book, now, |_| true).await? {
            if let Some(entry) = book.entry(id) {
                self.schedule.recall(id, self.workshop.shares.limits(&entry.endpoint), sent);
            }
        }
        Ok(())
    }

    pub fn intake(&self) -> Intake {
        Intake {
            jobs: self.sender.clone(),
            backlog: self.backlog.clone(),
            agenda: self.workshop.agenda.clone(),
            shares: self.workshop.shares.clone(),
        }
    }

    /// Sends test events, so many at once.
    pub fn tester(&self, at_once: usize) -> Tester {
        Tester::new(&self.workshop, at_once)
    }

    /// Makes dry runs, so many at once.
    pub fn rehearsal(&self, at_once: usize) -> Rehearsal {
        Rehearsal::new(&self.workshop, at_once)
    }

    /// Runs backtests, until `stop` is true.
    pub fn backtests(
        &self,
        store: &Arc<dyn Store>,
        settings: backtest::Settings,
        stop: watch::Receiver<bool>,
    ) -> Backtests {
        Backtests::new(&self.workshop, store, self.backlog.clone(), settings, stop)
    }

    /// Delivers until `shutdown` ends, then waits for what is under way, for `drain` at the most. What is left stays
    /// in the store.
    ///
    /// # Errors
    ///
    /// Where a part of it stopped by itself, which is a fault of the host's.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>, drain: Duration) -> Result<(), JoinError> {
        let mut parts = JoinSet::new();
        if self.delivers {
            parts.spawn(self.feed().run());
        }
        let mut company = JoinSet::new();
        if let Some(attendance) = self.attendance() {
            company.spawn(attendance.run());
        }
        let mut changes = self.workshop.book.watch();
        let mut shares = self.workshop.shares.watch();
        let mut tidy = tokio::time::interval(TIDY);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut messages = Vec::with_capacity(MESSAGES_AT_ONCE);
        tokio::pin!(shutdown);
        loop {
            // Before anything begins: what was dealt anew holds from now on, whatever woke this up.
            if shares.has_changed().unwrap_or_default() {
                shares.mark_unchanged();
                self.follow_book();
            }
            self.promise();
            self.start_attempts();
            // Otherwise the next beat looks again.
            let next = self.schedule.poll_timeout().filter(|_| self.may_begin());
            let wake_up = wake_up(next, self.workshop.clock.now());
            tokio::select! {
                // Never none: the driver itself holds a sender.
                _ = self.messages.recv_many(&mut messages, MESSAGES_AT_ONCE) => {
                    messages.drain(..).for_each(|message| self.note(message));
                }
                () = wake_up => {}
                Ok(()) = changes.changed() => self.follow_book(),
                Ok(()) = shares.changed() => self.follow_book(),
                _ = beat.tick() => self.pulse.send_modify(|beats| *beats = beats.wrapping_add(1)),
                _ = tidy.tick() => self.schedule.tidy(self.workshop.clock.now()),
                () = &mut shutdown => break,
                Some(Err(fault)) = parts.join_next() => return Err(fault),
                Some(Err(fault)) = company.join_next() => return Err(fault),
            }
        }
        parts.shutdown().await;
        let others = self.company.take();
        self.drain(drain).await;
        // They counted on it until its last attempt had ended, and need not wait until it is missed.
        company.shutdown().await;
        if let Some(Company { me, store }) = others
            && let Err(error) = store.leave(me).await
        {
            warn!(%error, "the other hosts could not be told that this one leaves");
        }
        Ok(())
    }

    fn feed(&self) -> feed::Feed {
        feed::Feed {
            queue: self.workshop.queue.clone(),
            backlog: self.backlog.clone(),
            agenda: self.workshop.agenda.clone(),
            book: self.workshop.book.clone(),
            catalog: self.workshop.catalog.clone(),
            clock: self.workshop.clock.clone(),
            lease: self.workshop.settings.lease,
            rest: self.workshop.settings.poll,
            shares: self.workshop.shares.clone(),
            jobs: self.sender.clone(),
        }
    }

    fn attendance(&self) -> Option<Attendance> {
        let Company { me, store } = self.company.as_ref()?;
        Some(Attendance {
            me: *me,
            hosts: store.clone(),
            statistics: store.clone(),
            shares: self.workshop.shares.clone(),
            book: self.workshop.book.clone(),
            clock: self.workshop.clock.clone(),
            lease: self.workshop.settings.lease,
            driver: self.sender.clone(),
        })
    }

    /// Where it may not, nothing is taken off the schedule: what would be given back has had its turn, and counts for a rate.
    fn may_begin(&self) -> bool {
        let Workshop { shares, unwritten, clock, .. } = &*self.workshop;
        let is_seated = shares.is_seated(clock.now());
        if !is_seated {
            shares.call();
        }
        is_seated && unwritten.is_none()
    }

    fn start_attempts(&mut self) {
        while self.may_begin()
            && let Some((endpoint, mut job)) = self.schedule.poll(self.workshop.clock.now())
        {
            job.paced = self.schedule.was_paced(endpoint);
            let workshop = self.workshop.clone();
            let end = End { sender: self.sender.clone(), endpoint };
            let (lease, delivery) = (job.lease, job.delivery.clone());
            tokio::spawn(async move {
                let attempt = AssertUnwindSafe(workshop.attempt(job, || drop(end)));
                if attempt.catch_unwind().await.is_err() {
                    workshop.own_up(lease, delivery).await;
                }
            });
        }
        self.workshop.metrics.set_in_flight(self.schedule.in_flight());
    }

    fn note(&mut self, message: Message) {
        match message {
            Message::Finished(endpoint) => self.schedule.finished(endpoint),
            Message::Jobs(jobs) => {
                let mut back = Vec::new();
                for job in jobs {
                    let endpoint = job.delivery.endpoint;
                    // One that was deleted meanwhile goes through a worker, which gives it back.
                    let limits = self.workshop.book.get(endpoint);
                    let limits = limits.map_or(NO_LIMITS, |endpoint| self.workshop.shares.limits(&endpoint));
                    if limits.concurrency == 0 {
                        back.push(job);
                    } else {
                        self.schedule.push(endpoint, limits, job);
                    }
                }
                self.give_back(back);
            }
            Message::Settle { roster, sent, done } => {
                self.settle(&roster, sent);
                let _ = done.send(());
            }
        }
    }

    /// Takes back what waits in memory for endpoints that are held, gone or other hosts', and keeps to changed limits.
    fn follow_book(&mut self) {
        let book = self.workshop.book.snapshot();
        let mut back = Vec::new();
        for id in self.schedule.endpoints() {
            let limits = book.open(id).map(|endpoint| self.workshop.shares.limits(endpoint));
            if let Some(limits) = limits {
                self.schedule.set_limits(id, limits);
            }
            if limits.is_none_or(|limits| limits.concurrency == 0) {
                back.extend(self.schedule.drain(id));
            }
        }
        self.workshop.wardrobe.keep(|id| book.entry(id).is_some());
        self.workshop.usage.keep(|id| book.entry(id).is_some());
        self.give_back(back);
    }

    /// Beside the driver, since it waits for a commit; the jobs keep their room until then.
    fn give_back(&self, jobs: Vec<Job>) {
        let (workshop, now) = (self.workshop.clone(), self.workshop.clock.now());
        if !jobs.is_empty() {
            tokio::spawn(async move {
                give_back(&workshop.queue, jobs, now).await;
                workshop.agenda.expect(now);
            });
        }
    }

    /// Promises the other hosts to keep to what was seen last, once all that is under way is within it; and what is no
    /// longer this host's has ended.
    fn promise(&mut self) {
        let Some(asked) = self.workshop.shares.asked() else { return };
        self.follow_book();
        let Workshop { shares, book, .. } = &*self.workshop;
        let is_others =
            |id: &EndpointId| book.get(*id).is_some_and(|endpoint| shares.limits(&endpoint).concurrency == 0);
        if self.schedule.is_within_limits() && !self.backlog.endpoints().iter().any(is_others) {
            shares.promise(asked);
        }
    }

    fn settle(&mut self, roster: &Roster, sent: Vec<(EndpointId, Vec<Timestamp>)>) {
        let (book, now) = (self.workshop.book.snapshot(), self.workshop.clock.now());
        self.workshop.shares.settle(roster, now);
        for (id, sent) in sent {
            if let Some(entry) = book.entry(id) {
                self.schedule.recall(id, self.workshop.shares.limits(&entry.endpoint), sent);
            }
        }
        self.follow_book();
    }

    /// Housekeeping has ended by then.
    async fn renew(&self) {
        let (leases, now) = (self.backlog.leases(), self.workshop.clock.now());
        if leases.is_empty() {
            return;
        }
        if let Err(error) = self.workshop.queue.renew(leases, now.plus(self.workshop.settings.lease)).await {
            warn!(%error, "the leases of what is under way could not be renewed");
        }
    }

    async fn drain(mut self, limit: Duration) {
        let waiting: Vec<Job> =
            self.schedule.endpoints().into_iter().flat_map(|id| self.schedule.drain(id)).collect();
        let mut renewal = tokio::time::interval(self.workshop.settings.lease / RENEWALS);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = async {
            give_back(&self.workshop.queue, waiting, self.workshop.clock.now()).await;
            // An attempt's task holds the workshop, and with it the store, to its very end.
            while self.schedule.in_flight() > 0
                || !self.backlog.is_empty()
                || Arc::strong_count(&self.workshop) > 1
            {
                self.promise();
                tokio::select! {
                    _ = renewal.tick() => self.renew().await,
                    Some(message) = self.messages.recv() => match message {
                        Message::Finished(endpoint) => self.schedule.finished(endpoint),
                        Message::Jobs(jobs) => give_back(&self.workshop.queue, jobs, self.workshop.clock.now()).await,
                        Message::Settle { .. } => {}
                    },
                    () = tokio::time::sleep(DRAIN_LOOK) => {}
                }
            }
        };
        match tokio::time::timeout(limit, ended).await {
            Ok(()) => info!("all attempts have ended"),
            Err(_) => {
                warn!("some attempts have not ended; their deliveries are tried again at the next start")
            }
        }
    }
}

async fn wake_up(time: Option<Timestamp>, now: Timestamp) {
    match time {
        Some(time) => tokio::time::sleep(time.since(now)).await,
        None => std::future::pending().await,
    }
}

/// Tells the driver that an attempt is over, also where the attempt's task ends in any other way.
struct End {
    sender: mpsc::UnboundedSender<Message>,
    endpoint: EndpointId,
}

impl Drop for End {
    fn drop(&mut self) {
        let _ = self.sender.send(Message::Finished(self.endpoint));
    }
}

const NO_LIMITS: Limits = Limits { concurrency: 1, rate: None };

async fn give_back(queue: &Arc<dyn Queue>, jobs: Vec<Job>, now: Timestamp) {
    let leases: Vec<Lease> = jobs.iter().map(|job| job.lease).collect();
    if leases.is_empty() {
        return;
    }
    if let Err(error) = queue.release(leases, now).await {
        warn!(%error, "deliveries could not be given back; their leases will run out");
    }
}

/// Does the jobs that deliver again, until `stop` is true. `news` tells of new ones.
pub fn start_replays(
    dispatcher: &Dispatcher,
    store: Arc<dyn Store>,
    settings: replays::Settings,
    news: Arc<Notify>,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<(), JoinError>> {
    let workshop = &dispatcher.workshop;
    if !dispatcher.delivers {
        return idle(stop);
    }
    let replays = replays::Replays {
        store,
        book: workshop.book.clone(),
        clock: workshop.clock.clone(),
        backlog: dispatcher.backlog.clone(),
        agenda: workshop.agenda.clone(),
        live: workshop.live.clone(),
        settings,
        news,
        stop,
    };
    tokio::spawn(async move {
        replays.run().await;
        Ok(())
    })
}

/// In the place of a part that other hosts have.
fn idle(mut stop: watch::Receiver<bool>) -> JoinHandle<Result<(), JoinError>> {
    tokio::spawn(async move {
        let _ = stop.wait_for(|stop| *stop).await;
        Ok(())
    })
}

/// The parts of the driver that run beside it, until `stop` is true or its other end is gone.
pub fn start_housekeeping(
    dispatcher: &Dispatcher,
    history: Arc<dyn crate::store::History>,
    statistics: Arc<dyn crate::store::Statistics>,
    disk: Arc<Disk>,
    retention: Retention,
    stop: watch::Receiver<bool>,
) -> JoinHandle<Result<(), JoinError>> {
    let workshop = &dispatcher.workshop;
    let delivers = dispatcher.delivers;
    let housekeeping = housekeeping::Housekeeping {
        queue: workshop.queue.clone(),
        history,
        statistics,
        disk,
        backlog: dispatcher.backlog.clone(),
        agenda: workshop.agenda.clone(),
        book: workshop.book.clone(),
        clock: workshop.clock.clone(),
        metrics: workshop.metrics.clone(),
        live: workshop.live.clone(),
        max_age: workshop.settings.max_age,
        lease: workshop.settings.lease,
        retention,
        stop,
    };
    tokio::spawn(async move {
        if delivers {
            housekeeping.run().await
        } else {
            housekeeping.watch_disk().await
        }
        Ok(())
    })
}
