//! Who may send now, and when to look again. Pure: jobs go in, jobs come out, and time is an argument.
//!
//! Endpoints take turns. Each has its own bound on requests under way; where the host as a whole runs short of
//! room, an endpoint may use no more than a part of what is left, so that those which hang leave room for those
//! which answer.

use std::collections::{BTreeSet, HashMap, VecDeque};

use crate::endpoint::RateLimit;
use crate::id::EndpointId;
use crate::time::Timestamp;

/// An endpoint may have as many requests under way as this part of the room that is left.
const SHARE: usize = 4;

/// How many lanes that waited for the host's room are looked at when a request ends.
const WOKEN_PER_END: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Requests under way at once. None: it is for other hosts.
    pub concurrency: u32,
    pub rate: Option<RateLimit>,
}

#[derive(Debug)]
pub struct Schedule<J> {
    lanes: HashMap<EndpointId, Lane<J>>,
    /// Lanes to look at, in turn.
    turns: VecDeque<EndpointId>,
    /// Lanes whose rate lets them send at that time.
    paced: BTreeSet<(Timestamp, EndpointId)>,
    /// Lanes that wait for room in the host.
    starved: VecDeque<EndpointId>,
    in_flight: usize,
    max_in_flight: usize,
}

#[derive(Debug)]
struct Lane<J> {
    queue: VecDeque<J>,
    limits: Limits,
    in_flight: u32,
    /// The beginnings of the latest requests, as many as the rate allows in its span.
    sent: VecDeque<Timestamp>,
    /// Stands in `turns`, `paced` or `starved`.
    listed: bool,
    /// Has waited for its rate since it last had nothing to send.
    was_paced: bool,
}

impl<J> Schedule<J> {
    /// `max_in_flight` is at least 1.
    pub fn new(max_in_flight: usize) -> Self {
        Self {
            lanes: HashMap::new(),
            turns: VecDeque::new(),
            paced: BTreeSet::new(),
            starved: VecDeque::new(),
            in_flight: 0,
            max_in_flight: max_in_flight.max(1),
        }
    }

    pub fn push(&mut self, endpoint: EndpointId, limits: Limits, job: J) {
        let lane = self.lanes.entry(endpoint).or_insert_with(|| Lane::new(limits));
        lane.limits = limits;
        lane.was_paced &= !lane.queue.is_empty();
        lane.queue.push_back(job);
        self.list(endpoint);
    }

    /// Notes when requests to the endpoint began that this schedule did not start, oldest first.
    pub fn recall(&mut self, endpoint: EndpointId, limits: Limits, sent: Vec<Timestamp>) {
        let lane = self.lanes.entry(endpoint).or_insert_with(|| Lane::new(limits));
        sent.into_iter().for_each(|time| lane.note(time));
    }

    /// The next job that may be sent, if any. Its request is under way until [`Schedule::finished`].
    pub fn poll(&mut self, now: Timestamp) -> Option<(EndpointId, J)> {
        self.wake(now);
        while self.in_flight < self.max_in_flight {
            let endpoint = self.turns.pop_front()?;
            let share = ((self.max_in_flight - self.in_flight) / SHARE).max(1);
            let Some(lane) = self.lanes.get_mut(&endpoint) else { continue };
            lane.listed = false;
            if lane.queue.is_empty() || lane.in_flight >= lane.limits.concurrency {
                continue;
            }
            if lane.in_flight as usize >= share {
                lane.listed = true;
                self.starved.push_back(endpoint);
                continue;
            }
            if let Some(later) = lane.paced_until(now) {
                lane.listed = true;
                lane.was_paced = true;
                self.paced.insert((later, endpoint));
                continue;
            }
            let job = lane.queue.pop_front()?;
            lane.begin(now);
            self.in_flight += 1;
            self.list(endpoint);
            return Some((endpoint, job));
        }
        None
    }

    /// Whether the job that came last for the endpoint, and what stands behind it, had to wait for its rate.
    pub fn was_paced(&self, endpoint: EndpointId) -> bool {
        self.lanes.get(&endpoint).is_some_and(|lane| lane.was_paced)
    }

    /// When to poll again, beside after a push or an end.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.paced.first().map(|(time, _)| *time)
    }

    /// A request of the endpoint has ended.
    pub fn finished(&mut self, endpoint: EndpointId) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&endpoint) {
            lane.in_flight = lane.in_flight.saturating_sub(1);
        }
        self.list(endpoint);
        for _ in 0..WOKEN_PER_END {
            let Some(starved) = self.starved.pop_front() else { break };
            self.turns.push_back(starved);
        }
    }

    /// Takes back what waits for an endpoint.
    pub fn drain(&mut self, endpoint: EndpointId) -> Vec<J> {
        self.lanes.get_mut(&endpoint).map(|lane| lane.queue.drain(..).collect()).unwrap_or_default()
    }

    /// Changes the limits of a lane that stands.
    pub fn set_limits(&mut self, endpoint: EndpointId, limits: Limits) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        let changed = lane.limits != limits;
        lane.limits = limits;
        if changed && self.paced.iter().any(|(_, paced)| *paced == endpoint) {
            self.paced.retain(|(_, paced)| *paced != endpoint);
            self.turns.push_back(endpoint);
        }
        self.list(endpoint);
    }

    /// Forgets lanes that have nothing to send, nothing under way and no rate to remember.
    pub fn tidy(&mut self, now: Timestamp) {
        self.lanes.retain(|_, lane| {
            lane.listed || !lane.queue.is_empty() || lane.in_flight > 0 || lane.counts_for_its_rate(now)
        });
    }

    /// Whether no endpoint has more under way than it may by now.
    pub fn is_within_limits(&self) -> bool {
        self.lanes.values().all(|lane| lane.in_flight <= lane.limits.concurrency)
    }

    pub fn endpoints(&self) -> Vec<EndpointId> {
        self.lanes.keys().copied().collect()
    }

    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    fn list(&mut self, endpoint: EndpointId) {
        let Some(lane) = self.lanes.get_mut(&endpoint) else { return };
        if !lane.listed && !lane.queue.is_empty() {
            lane.listed = true;
            self.turns.push_back(endpoint);
        }
    }

    fn wake(&mut self, now: Timestamp) {
        while let Some((_, endpoint)) = self.paced.pop_first_if(|(time, _)| *time <= now) {
            self.turns.push_back(endpoint);
        }
    }
}

trait PopFirstIf<T> {
    fn pop_first_if(&mut self, test: impl FnOnce(&T) -> bool) -> Option<T>;
}

impl<T: Ord> PopFirstIf<T> for BTreeSet<T> {
    fn pop_first_if(&mut self, test: impl FnOnce(&T) -> bool) -> Option<T> {
        if self.first().is_some_and(test) { self.pop_first() } else { None }
    }
}

impl<J> Lane<J> {
    fn new(limits: Limits) -> Self {
        Self {
            queue: VecDeque::new(),
            limits,
            in_flight: 0,
            sent: VecDeque::new(),
            listed: false,
            was_paced: false,
        }
    }

    /// When the rate lets the lane send again; `None` where it may now.
    fn paced_until(&self, now: Timestamp) -> Option<Timestamp> {
        let rate = self.limits.rate?;
        let requests = rate.requests.max(1) as usize;
        let oldest = self.sent.len().checked_sub(requests).and_then(|index| self.sent.get(index))?;
        // Where the clock went back, no lane waits for longer than the rate's span.
        let free = oldest.plus(rate.per).min(now.plus(rate.per));
        (free > now).then_some(free)
    }

    /// Whether something was sent within the rate's span.
    fn counts_for_its_rate(&self, now: Timestamp) -> bool {
        // What seems to come later was sent before the clock went back.
        let counts = |per, last: Timestamp| last.plus(per) > now && last <= now.plus(per);
        self.limits.rate.zip(self.sent.back()).is_some_and(|(rate, last)| counts(rate.per, *last))
    }

    fn begin(&mut self, now: Timestamp) {
        self.in_flight += 1;
        self.note(now);
    }

    /// For the rate.
    fn note(&mut self, sent: Timestamp) {
        if let Some(rate) = self.limits.rate {
            self.sent.push_back(sent);
            while self.sent.len() > rate.requests.max(1) as usize {
                self.sent.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn endpoint(n: u128) -> EndpointId {
        EndpointId::from_u128(n)
    }

    fn limits(concurrency: u32) -> Limits {
        Limits { concurrency, rate: None }
    }

    #[test]
    fn endpoints_take_turns() {
        let mut schedule = Schedule::new(100);
        for job in 0..3 {
            schedule.push(endpoint(1), limits(9), ("a", job));
        }
        schedule.push(endpoint(2), limits(9), ("b", 0));
        let order: Vec<_> = std::iter::from_fn(|| schedule.poll(NOW)).map(|(_, job)| job).collect();
        assert_eq!(order, [("a", 0), ("b", 0), ("a", 1), ("a", 2)]);
    }

    #[test]
    fn concurrency_holds_until_an_end() {
        let mut schedule = Schedule::new(100);
        (0..3).for_each(|job| schedule.push(endpoint(1), limits(2), job));
        assert!(schedule.poll(NOW).is_some());
        assert!(schedule.poll(NOW).is_some());
        assert!(schedule.poll(NOW).is_none());
        schedule.finished(endpoint(1));
        assert_eq!(schedule.poll(NOW), Some((endpoint(1), 2)));
    }

    #[test]
    fn endpoints_that_hang_leave_room_for_others() {
        let mut schedule = Schedule::new(64);
        for hanging in 0..32 {
            (0..16).for_each(|job| schedule.push(endpoint(hanging), limits(16), job));
        }
        while schedule.poll(NOW).is_some() {}
        assert!(schedule.in_flight() < 64);
        schedule.push(endpoint(99), limits(16), 0);
        assert_eq!(schedule.poll(NOW), Some((endpoint(99), 0)));
    }

    #[test]
    fn what_a_rate_has_left_is_remembered_while_nothing_is_sent() {
        let rate = Some(RateLimit { requests: 2, per: Duration::from_secs(10) });
        let limits = Limits { concurrency: 9, rate };
        let mut schedule = Schedule::new(100);
        let at = |s| NOW.plus(Duration::from_secs(s));
        schedule.push(endpoint(1), limits, 0);
        assert!(schedule.poll(at(0)).is_some());
        schedule.finished(endpoint(1));
        schedule.tidy(at(5));
        (1..3).for_each(|job| schedule.push(endpoint(1), limits, job));
        assert!(schedule.poll(at(6)).is_some());
        assert!(schedule.poll(at(6)).is_none(), "it has sent two within ten seconds");
        assert_eq!(schedule.poll_timeout(), Some(at(10)));
        assert!(schedule.poll(at(10)).is_some());
        (0..2).for_each(|_| schedule.finished(endpoint(1)));
        schedule.tidy(at(20));
        assert!(schedule.endpoints().is_empty(), "there is nothing left to remember");
    }

    #[test]
    fn a_rate_is_kept_in_any_span() {
        let rate = Some(RateLimit { requests: 2, per: Duration::from_secs(10) });
        let mut schedule = Schedule::new(100);
        (0..5).for_each(|job| schedule.push(endpoint(1), Limits { concurrency: 9, rate }, job));
        let at = |s| NOW.plus(Duration::from_secs(s));
        assert!(schedule.poll(at(0)).is_some());
        assert!(schedule.poll(at(4)).is_some());
        assert!(!schedule.was_paced(endpoint(1)));
        assert!(schedule.poll(at(9)).is_none());
        assert!(schedule.was_paced(endpoint(1)));
        assert_eq!(schedule.poll_timeout(), Some(at(10)));
        assert!(schedule.poll(at(10)).is_some());
        assert!(schedule.poll(at(13)).is_none());
        assert_eq!(schedule.poll_timeout(), Some(at(14)));
        assert!(schedule.poll(at(14)).is_some());
        assert!(schedule.poll(at(50)).is_some() && schedule.was_paced(endpoint(1)));
        schedule.push(endpoint(1), Limits { concurrency: 9, rate }, 5);
        assert!(schedule.poll(at(100)).is_some() && !schedule.was_paced(endpoint(1)), "it stood alone");
    }

    #[test]
    fn what_was_sent_before_counts_for_the_rate() {
        let limits =
            Limits { concurrency: 9, rate: Some(RateLimit { requests: 2, per: Duration::from_secs(10) }) };
        let mut schedule = Schedule::new(100);
        schedule.recall(endpoint(1), limits, vec![NOW.minus(Duration::from_secs(4)), NOW]);
        schedule.push(endpoint(1), limits, 0);
        schedule.tidy(NOW);
        assert!(schedule.poll(NOW).is_none());
        assert_eq!(schedule.poll_timeout(), Some(NOW.plus(Duration::from_secs(6))));
    }

    #[test]
    fn a_changed_rate_counts_at_once() {
        let rate = |per| Limits {
            concurrency: 9,
            rate: Some(RateLimit { requests: 1, per: Duration::from_secs(per) }),
        };
        let mut schedule = Schedule::new(100);
        (0..2).for_each(|job| schedule.push(endpoint(1), rate(86_400), job));
        assert!(schedule.poll(NOW).is_some());
        assert!(schedule.poll(NOW).is_none());
        schedule.set_limits(endpoint(1), rate(1));
        assert!(schedule.poll(NOW).is_none());
        assert_eq!(schedule.poll_timeout(), Some(NOW.plus(Duration::from_secs(1))));
    }

    #[test]
    fn a_clock_that_goes_back_silences_nobody() {
        let limits =
            Limits { concurrency: 9, rate: Some(RateLimit { requests: 1, per: Duration::from_secs(1) }) };
        let mut schedule = Schedule::new(100);
        (0..2).for_each(|job| schedule.push(endpoint(1), limits, job));
        assert!(schedule.poll(NOW).is_some());
        let back = NOW.minus(Duration::from_secs(500));
        assert!(schedule.poll(back).is_none());
        assert_eq!(schedule.poll_timeout(), Some(back.plus(Duration::from_secs(1))));
    }

    #[test]
    fn what_is_drained_is_not_sent() {
        let mut schedule = Schedule::new(100);
        (0..3).for_each(|job| schedule.push(endpoint(1), limits(1), job));
        assert_eq!(schedule.poll(NOW), Some((endpoint(1), 0)));
        assert_eq!(schedule.drain(endpoint(1)), [1, 2]);
        schedule.finished(endpoint(1));
        assert_eq!(schedule.poll(NOW), None);
        schedule.tidy(NOW);
        assert!(schedule.endpoints().is_empty());
    }

    proptest! {
        /// Random pushes, polls and ends: nothing is lost or sent twice, no bound is passed, and what the
        /// timeout does not announce is not ready.
        #[test]
        fn bounds_hold_and_nothing_is_lost(
            steps in prop::collection::vec((0_u8..4, 0_u128..5, 0_u64..3), 1..400),
            max in 1_usize..12,
            rated in any::<bool>(),
        ) {
            let rate = rated.then_some(RateLimit { requests: 2, per: Duration::from_secs(3) });
            let limits = Limits { concurrency: 3, rate };
            let mut schedule = Schedule::new(max);
            let (mut now, mut pushed, mut sent) = (NOW, 0_u32, Vec::new());
            let mut flying: HashMap<EndpointId, u32> = HashMap::new();
            for (step, n, pass) in steps {
                match step {
                    0 => {
                        schedule.push(endpoint(n), limits, pushed);
                        pushed += 1;
                    }
                    1 | 2 => {
                        if let Some((endpoint, job)) = schedule.poll(now) {
                            sent.push(job);
                            *flying.entry(endpoint).or_default() += 1;
                        }
                    }
                    _ => {
                        now = now.plus(Duration::from_secs(pass));
                        if let Some(count) = flying.get_mut(&endpoint(n)).filter(|count| **count > 0) {
                            *count -= 1;
                            schedule.finished(endpoint(n));
                        }
                    }
                }
                prop_assert!(flying.values().all(|count| *count <= 3));
                prop_assert_eq!(flying.values().sum::<u32>() as usize, schedule.in_flight());
                prop_assert!(schedule.in_flight() <= max);
            }
            for round in 0..10_000 {
                if let Some((endpoint, job)) = schedule.poll(now) {
                    sent.push(job);
                    schedule.finished(endpoint);
                } else if let Some((endpoint, _)) = flying.iter().find(|(_, count)| **count > 0).map(|(e, c)| (*e, *c)) {
                    *flying.get_mut(&endpoint).unwrap() -= 1;
                    schedule.finished(endpoint);
                } else if let Some(later) = schedule.poll_timeout() {
                    prop_assert!(later > now);
                    now = later;
                } else {
                    break;
                }
                prop_assert!(round < 9_999);
            }
            sent.sort_unstable();
            prop_assert_eq!(sent, (0..pushed).collect::<Vec<_>>());
        }
    }
}
