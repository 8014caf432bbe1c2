//! What this host may send of what an endpoint allows, where several hosts deliver from one store.
//!
//! Each endpoint's `concurrency` is dealt out among the hosts in equal parts; where it does not divide, and where it is
//! less than there are hosts, a hash says who gets more. An endpoint with a rate is one host's alone, so that its rate is
//! reckoned in one place. Nothing of it costs a statement of SQL for a delivery.
//!
//! Hosts come and go, and see it at different times. So that the parts never add up to more than the whole, whoever sees
//! another [`Roster`] first keeps to the least of what the old and the new one give it, and says so once what it has
//! under way is within that. Only when all of the new roster have said so, it takes what the new one gives. One that
//! stood still for so long that others may have passed it over begins anew, with nothing.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::endpoint::Endpoint;
use crate::id::{EndpointId, HostId};
use crate::store::Seat;
use crate::time::Timestamp;

use super::schedule::Limits;

/// What a host takes of an endpoint straight from an append, for each request that it may have under way. The rest is
/// left to all hosts, so that a large batch is not one host's alone.
const TAKEN_PER_REQUEST: usize = 16;

/// The hosts that deliver, in the order of their ids.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Roster(Vec<HostId>);

impl Roster {
    pub fn of(hosts: impl IntoIterator<Item = HostId>) -> Self {
        let mut hosts: Vec<HostId> = hosts.into_iter().collect();
        hosts.sort_unstable();
        hosts.dedup();
        Self(hosts)
    }

    pub fn hosts(&self) -> &[HostId] {
        &self.0
    }

    /// What the host gets of the whole.
    fn share(&self, me: HostId, endpoint: EndpointId, whole: Limits) -> Limits {
        if self.0 == [me] {
            return whole;
        }
        if !self.0.contains(&me) {
            return Limits { concurrency: 0, ..whole };
        }
        let mine = (weight(me, endpoint), me);
        let before = self.0.iter().filter(|host| (weight(**host, endpoint), **host) > mine).count() as u32;
        let hosts = self.0.len() as u32;
        let concurrency = match whole.rate {
            Some(_) if before == 0 => whole.concurrency,
            Some(_) => 0,
            None => whole.concurrency / hosts + u32::from(before < whole.concurrency % hosts),
        };
        Limits { concurrency, ..whole }
    }
}

/// How much a host is an endpoint's: of no importance but that it is spread evenly, and the same everywhere.
fn weight(host: HostId, endpoint: EndpointId) -> u64 {
    let both = host.as_u128() ^ endpoint.as_u128().rotate_left(64);
    mixed(both as u64 ^ mixed((both >> 64) as u64))
}

/// As SplitMix64 does it.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// What came of a look at the seats of all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    Nothing,
    /// Others are there than before: less may be sent.
    Others,
    /// All of this roster keep to it.
    Agreed(Roster),
}

/// What this host keeps to. Pure.
#[derive(Debug, Clone)]
struct Table {
    me: HostId,
    /// What all agreed on last. Before that, nothing may be sent.
    settled: Option<Roster>,
    /// What was seen since; what each of them leaves is kept to as well.
    coming: Vec<Roster>,
    latest: Roster,
    /// Of `coming`, or the one that is settled: what is under way is within it.
    promised: Roster,
}

impl Table {
    fn joining(me: HostId) -> Self {
        let nobody = Roster::default();
        Self { me, settled: None, coming: Vec::new(), latest: nobody.clone(), promised: nobody }
    }

    fn share(&self, endpoint: EndpointId, whole: Limits) -> Limits {
        let Some(settled) = &self.settled else { return Limits { concurrency: 0, ..whole } };
        let shares = self.coming.iter().map(|roster| roster.share(self.me, endpoint, whole));
        let least = shares.map(|share| share.concurrency).min().unwrap_or(u32::MAX);
        let share = settled.share(self.me, endpoint, whole);
        Limits { concurrency: share.concurrency.min(least), ..share }
    }

    fn see(&mut self, seats: &[Seat]) -> Seen {
        let roster = Roster::of(seats.iter().map(|seat| seat.host));
        if !roster.0.contains(&self.me) {
            *self = Self::joining(self.me);
            return Seen::Others;
        }
        let news = self.latest != roster;
        if news {
            if !self.coming.contains(&roster) {
                self.coming.push(roster.clone());
            }
            self.latest = roster;
        }
        let agreed = self.promised == self.latest && seats.iter().all(|seat| seat.keeps_to == self.latest.0);
        match (news, agreed && !self.is_settled()) {
            (_, true) => Seen::Agreed(self.latest.clone()),
            (true, false) => Seen::Others,
            (false, false) => Seen::Nothing,
        }
    }

    /// Takes what the roster gives, unless others were seen meanwhile.
    fn settle(&mut self, roster: &Roster) {
        if *roster == self.latest && *roster == self.promised {
            self.settled = Some(roster.clone());
            self.coming.clear();
        }
    }

    fn is_settled(&self) -> bool {
        self.coming.is_empty() && self.settled.as_ref() == Some(&self.latest)
    }
}

/// What this host may send, for those who have to know.
#[derive(Debug)]
pub struct Shares {
    table: Mutex<Table>,
    /// Until when others count on this host to be there. After that it must not send.
    seated_until: AtomicI64,
    changes: watch::Sender<u64>,
    /// There is a new promise to be told, or it has to be seen who is there.
    called: Notify,
}

impl Shares {
    /// Of a host that has the store to itself: everything.
    pub fn whole() -> Self {
        let me = HostId::from_u128(0);
        let roster = Roster::of([me]);
        let table = Table {
            settled: Some(roster.clone()),
            latest: roster.clone(),
            promised: roster,
            ..Table::joining(me)
        };
        Self::new(table, i64::MAX)
    }

    /// Of a host that does not deliver, or has not joined the others yet: nothing.
    pub fn none(me: HostId) -> Self {
        Self::new(Table::joining(me), i64::MIN)
    }

    fn new(table: Table, seated_until: i64) -> Self {
        Self {
            table: Mutex::new(table),
            seated_until: AtomicI64::new(seated_until),
            changes: watch::Sender::new(0),
            called: Notify::new(),
        }
    }

    /// What this host may send to the endpoint. No concurrency means that it is for others.
    pub fn limits(&self, endpoint: &Endpoint) -> Limits {
        // One at a time is what keeps an order: the next one is not even handed out before the head has ended.
        let concurrency = if endpoint.order.is_kept() { 1 } else { endpoint.concurrency.max(1) };
        self.table().share(endpoint.id, Limits { concurrency, rate: endpoint.rate_limit })
    }

    /// How many of an endpoint's deliveries an append may hand to this host at the most; `None` for no bound.
    pub fn most_taken(&self, endpoint: &Endpoint) -> Option<usize> {
        let alone = self.table().settled.as_ref().is_some_and(|settled| settled.0.len() == 1);
        let most = self.limits(endpoint).concurrency as usize * TAKEN_PER_REQUEST;
        (!alone || most == 0).then_some(most)
    }

    /// Whether others still count on this host to be there.
    pub fn is_seated(&self, now: Timestamp) -> bool {
        now.as_micros() < self.seated_until.load(Ordering::Acquire)
    }

    pub fn seat(&self, until: Timestamp) {
        self.seated_until.store(until.as_micros(), Ordering::Release);
    }

    pub fn is_settled(&self) -> bool {
        self.table().is_settled()
    }

    pub fn see(&self, seats: &[Seat]) -> Seen {
        let seen = self.table().see(seats);
        if seen == Seen::Others {
            self.tell();
        }
        seen
    }

    /// What is to be promised, once what is under way is within [`Shares::limits`].
    pub fn asked(&self) -> Option<Roster> {
        let table = self.table();
        (table.promised != table.latest).then(|| table.latest.clone())
    }

    pub fn promise(&self, asked: Roster) {
        self.table().promised = asked;
        self.call();
    }

    pub fn promised(&self) -> Roster {
        self.table().promised.clone()
    }

    /// Has it seen at once who is there.
    pub fn call(&self) {
        self.called.notify_one();
    }

    pub async fn called(&self) {
        self.called.notified().await;
    }

    /// All keep to the roster: takes what it gives, unless that came too late.
    pub fn settle(&self, roster: &Roster, now: Timestamp) {
        if self.is_seated(now) {
            self.table().settle(roster);
            self.tell();
        }
    }

    /// Others may have passed this host over: it begins anew.
    pub fn lapse(&self) {
        {
            let mut table = self.table();
            *table = Table::joining(table.me);
        }
        self.tell();
    }

    /// Rises with each change of what may be sent.
    pub fn version(&self) -> u64 {
        *self.changes.borrow()
    }

    /// Changes with what may be sent.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn tell(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::RateLimit;
    use proptest::prelude::*;
    use std::time::Duration;

    const RATE: RateLimit = RateLimit { requests: 3, per: Duration::from_secs(1) };

    fn host(number: u128) -> HostId {
        HostId::from_u128(number)
    }

    fn endpoint(number: u128) -> EndpointId {
        EndpointId::from_u128(number)
    }

    #[test]
    fn the_parts_are_the_whole() {
        for hosts in 1..8 {
            let roster = Roster::of((0..hosts).map(host));
            for concurrency in [1, 2, 7, 16, 1_000] {
                for (number, rate) in [(1, None), (2, Some(RATE)), (3, None), (4, Some(RATE))] {
                    let whole = Limits { concurrency, rate };
                    let parts: Vec<u32> = (0..hosts)
                        .map(|me| roster.share(host(me), endpoint(number), whole).concurrency)
                        .collect();
                    assert_eq!(parts.iter().sum::<u32>(), concurrency, "{parts:?}");
                    let most = parts.iter().max().copied().unwrap_or_default();
                    match rate {
                        Some(_) => assert_eq!(most, concurrency, "one host has it alone: {parts:?}"),
                        None => assert!(parts.iter().all(|part| part + 1 >= most), "{parts:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn endpoints_with_a_rate_are_spread_over_the_hosts() {
        let roster = Roster::of((0..3).map(host));
        let whole = Limits { concurrency: 1, rate: Some(RATE) };
        for me in 0..3 {
            let mine = (0..300).filter(|n| roster.share(host(me), endpoint(*n), whole).concurrency == 1);
            let mine = mine.count();
            assert!((70..130).contains(&mine), "host {me} has {mine} of 300");
        }
    }

    /// Hosts, and what they wrote where all can see it.
    #[derive(Default)]
    struct World {
        tables: Vec<Option<Table>>,
        under_way: Vec<u32>,
        seats: Vec<Option<Vec<HostId>>>,
    }

    #[derive(Debug, Clone, Copy)]
    enum Step {
        /// Writes its seat.
        Attend(usize),
        /// Looks at the seats of all.
        Look(usize),
        /// Takes what was agreed on, which may have been some time ago.
        Settle(usize),
        Begin(usize),
        End(usize),
        /// Gone without a word; the seat stays until it runs out.
        Die(usize),
        Expire(usize),
        Join(usize),
    }

    const HOSTS: usize = 4;
    const WHOLE: u32 = 5;

    fn share(table: &Table) -> u32 {
        table.share(endpoint(1), Limits { concurrency: WHOLE, rate: None }).concurrency
    }

    impl World {
        fn new() -> Self {
            Self { tables: vec![None; HOSTS], under_way: vec![0; HOSTS], seats: vec![None; HOSTS] }
        }

        fn step(&mut self, step: Step) {
            let seats = |seats: &[Option<Vec<HostId>>]| -> Vec<Seat> {
                let seats = seats.iter().enumerate();
                seats
                    .filter_map(|(n, keeps_to)| {
                        Some(Seat { host: host(n as u128), keeps_to: keeps_to.clone()? })
                    })
                    .collect()
            };
            match step {
                Step::Join(n) => {
                    self.tables[n].get_or_insert_with(|| Table::joining(host(n as u128)));
                }
                Step::Die(n) => {
                    self.tables[n] = None;
                    self.under_way[n] = 0;
                }
                // One that is alive knows in time that its seat runs out.
                Step::Expire(n) if self.tables[n].is_none() => self.seats[n] = None,
                Step::Expire(_) => {}
                Step::Attend(n) => {
                    if let Some(table) = &mut self.tables[n] {
                        if self.under_way[n] <= share(table) {
                            table.promised = table.latest.clone();
                        }
                        self.seats[n] = Some(table.promised.0.clone());
                    }
                }
                Step::Look(n) => {
                    let seats = seats(&self.seats);
                    if let Some(table) = &mut self.tables[n] {
                        table.see(&seats);
                    }
                }
                Step::Settle(n) => {
                    let seats = seats(&self.seats);
                    if let Some(table) = &mut self.tables[n]
                        && let Seen::Agreed(roster) = table.see(&seats)
                    {
                        table.settle(&roster);
                    }
                }
                Step::Begin(n) => {
                    if self.tables[n].as_ref().is_some_and(|table| self.under_way[n] < share(table)) {
                        self.under_way[n] += 1;
                    }
                }
                Step::End(n) => self.under_way[n] = self.under_way[n].saturating_sub(1),
            }
        }
    }

    fn steps() -> impl Strategy<Value = Step> {
        (0..HOSTS, 0..16_usize).prop_map(|(n, kind)| match kind {
            0 => Step::Die(n),
            1 => Step::Expire(n),
            2 => Step::Join(n),
            3..6 => Step::Attend(n),
            6..8 => Step::Look(n),
            8..11 => Step::Settle(n),
            11..14 => Step::Begin(n),
            _ => Step::End(n),
        })
    }

    proptest! {
        #[test]
        fn what_is_under_way_never_exceeds_the_whole(trail in prop::collection::vec(steps(), 1..400)) {
            let mut world = World::new();
            for step in &trail {
                world.step(*step);
                let under_way: u32 = world.under_way.iter().sum();
                prop_assert!(under_way <= WHOLE, "{:?} after {step:?}", world.under_way);
            }
            // Once hosts neither come nor go, all of it is dealt out.
            for n in 0..HOSTS {
                world.step(Step::Expire(n));
            }
            world.under_way.fill(0);
            world.step(Step::Join(0));
            for _ in 0..4 {
                (0..HOSTS).for_each(|n| world.step(Step::Attend(n)));
                (0..HOSTS).for_each(|n| world.step(Step::Settle(n)));
            }
            let dealt: u32 = world.tables.iter().flatten().map(share).sum();
            prop_assert_eq!(dealt, WHOLE);
        }
    }
}
