//! What is counted about events, deliveries and attempts, and the spans of time that it is counted for.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::attempt::{Attempt, Outcome, Warning};
use crate::delivery::{Delivery, State};
use crate::time::Timestamp;

/// Counts of one scope in one span of time. Tallies of spans that do not overlap can be added up.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tally {
    /// Events that were accepted, also those that nobody subscribes to.
    pub events: u64,
    /// Deliveries that events promised.
    pub promised: u64,
    /// Of those promised, the ones whose endpoint was held at that moment.
    pub held: u64,
    /// Deliveries that were made to deliver again.
    pub replays: u64,
    pub delivered: u64,
    pub failed: u64,
    pub filtered: u64,
    pub cancelled: u64,
    pub attempts: u64,
    /// Attempts that came to nothing, whether or not another one follows.
    pub failed_attempts: u64,
    /// Attempts behind the first one of their delivery.
    pub retries: u64,
    /// Deliveries that arrived, but not at the first attempt.
    pub recovered: u64,
    /// By [`Warning::index`].
    pub warnings: [u64; Warning::ALL.len()],
    pub answers: AnswerTimes,
}

impl Tally {
    /// What an attempt and the state after it add.
    pub fn of_attempt(delivery: &Delivery, attempt: Option<&Attempt>) -> Self {
        let mut tally = Self::of_end(delivery.state);
        let Some(attempt) = attempt else { return tally };
        tally.attempts = 1;
        tally.failed_attempts = u64::from(is_failure(&attempt.outcome));
        tally.retries = u64::from(attempt.number > 1);
        tally.recovered = u64::from(delivery.state == State::Delivered && attempt.number > 1);
        attempt.warnings.iter().for_each(|warning| tally.warnings[warning.index()] += 1);
        tally.answers.extend(attempt.answer_time());
        tally
    }

    /// What a delivery adds that ends so; nothing while it is pending.
    pub fn of_end(state: State) -> Self {
        let mut tally = Self::default();
        match state {
            State::Pending => {}
            State::Delivered => tally.delivered = 1,
            State::Filtered => tally.filtered = 1,
            State::Failed => tally.failed = 1,
            State::Cancelled => tally.cancelled = 1,
        }
        tally
    }

    pub fn add(&mut self, other: &Tally) {
        for (sum, more) in self.counts_mut().into_iter().zip(other.counts()) {
            *sum = sum.saturating_add(more);
        }
        for (sum, more) in self.warnings.iter_mut().zip(other.warnings) {
            *sum = sum.saturating_add(more);
        }
        self.answers.add(&other.answers);
    }

    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Tally {
        let mut sum = Tally::default();
        tallies.into_iter().for_each(|tally| sum.add(tally));
        sum
    }

    /// Of the attempts that tried to deliver, the part that arrived, in 0 to 1. `None` where there was none.
    pub fn success_rate(&self) -> Option<f64> {
        let tried = self.delivered.saturating_add(self.failed_attempts);
        (tried > 0).then(|| self.delivered as f64 / tried as f64)
    }

    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The plain counts, in the order of their fields.
    pub fn counts(&self) -> [u64; 12] {
        [
            self.events,
            self.promised,
            self.held,
            self.replays,
            self.delivered,
            self.failed,
            self.filtered,
            self.cancelled,
            self.attempts,
            self.failed_attempts,
            self.retries,
            self.recovered,
        ]
    }

    /// As [`Tally::counts`], to be changed.
    pub fn counts_mut(&mut self) -> [&mut u64; 12] {
        [
            &mut self.events,
            &mut self.promised,
            &mut self.held,
            &mut self.replays,
            &mut self.delivered,
            &mut self.failed,
            &mut self.filtered,
            &mut self.cancelled,
            &mut self.attempts,
            &mut self.failed_attempts,
            &mut self.retries,
            &mut self.recovered,
        ]
    }
}

fn is_failure(outcome: &Outcome) -> bool {
    !matches!(outcome, Outcome::Delivered { .. } | Outcome::Filtered { .. })
}

/// How long receivers took to answer. The sum, least and most are exact to the microsecond; percentiles come from
/// steps of a logarithmic scale and are off by at most a sixteenth.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AnswerTimes {
    pub count: u64,
    /// In microseconds.
    pub sum: u64,
    /// In microseconds; 0 where there is no answer.
    pub least: u64,
    /// In microseconds.
    pub most: u64,
    /// Step of the scale -> answers within it. Bounded by the scale's length of [`STEPS`].
    pub steps: BTreeMap<u16, u64>,
}

/// Steps to each doubling of the time.
const STEPS_PER_DOUBLING: u64 = 8;
/// Steps of the scale; the last one holds whatever takes longer, which is more than an hour.
pub const STEPS: u16 = 256;

impl AnswerTimes {
    pub fn note(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        self.least = if self.count == 0 { micros } else { self.least.min(micros) };
        self.most = self.most.max(micros);
        self.count = self.count.saturating_add(1);
        self.sum = self.sum.saturating_add(micros);
        *self.steps.entry(step_of(micros)).or_default() += 1;
    }

    pub fn add(&mut self, other: &AnswerTimes) {
        if other.count == 0 {
            return;
        }
        self.least = if self.count == 0 { other.least } else { self.least.min(other.least) };
        self.most = self.most.max(other.most);
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        for (step, count) in &other.steps {
            let sum = self.steps.entry(*step).or_default();
            *sum = sum.saturating_add(*count);
        }
    }

    pub fn mean(&self) -> Option<Duration> {
        self.sum.checked_div(self.count).map(Duration::from_micros)
    }

    pub fn shortest(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_micros(self.least))
    }

    pub fn longest(&self) -> Option<Duration> {
        (self.count > 0).then(|| Duration::from_micros(self.most))
    }

    /// The time within which `part` of the answers came, in 0 to 1: 0.95 for the 95th percentile.
    pub fn percentile(&self, part: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * part).ceil() as u64).clamp(1, self.count.max(1));
        let mut passed = 0_u64;
        for (step, count) in &self.steps {
            passed = passed.saturating_add(*count);
            if passed >= rank {
                let middle = middle_of(*step).clamp(self.least, self.most);
                return Some(Duration::from_micros(middle));
            }
        }
        None
    }
}

impl Extend<Duration> for AnswerTimes {
    fn extend<T: IntoIterator<Item = Duration>>(&mut self, times: T) {
        times.into_iter().for_each(|time| self.note(time));
    }
}

/// The first 16 microseconds have a step each; from there on, each doubling has eight.
fn step_of(micros: u64) -> u16 {
    if micros < 2 * STEPS_PER_DOUBLING {
        return micros as u16;
    }
    let doubling = u64::from(micros.ilog2()) - 3;
    let within = micros >> doubling;
    let step = doubling * STEPS_PER_DOUBLING + within;
    step.min(u64::from(STEPS) - 1) as u16
}

fn middle_of(step: u16) -> u64 {
    let step = u64::from(step);
    if step < 2 * STEPS_PER_DOUBLING {
        return step;
    }
    let doubling = step / STEPS_PER_DOUBLING - 1;
    let within = step % STEPS_PER_DOUBLING + STEPS_PER_DOUBLING;
    (within << doubling) + (1 << doubling) / 2
}

/// How long the spans are that are counted apart. All are cut in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    Minute,
    Hour,
    Day,
}

impl Resolution {
    pub const ALL: [Resolution; 3] = [Resolution::Minute, Resolution::Hour, Resolution::Day];

    pub fn word(self) -> &'static str {
        match self {
            Resolution::Minute => "minute",
            Resolution::Hour => "hour",
            Resolution::Day => "day",
        }
    }

    pub fn parse(word: &str) -> Option<Resolution> {
        Resolution::ALL.into_iter().find(|resolution| resolution.word() == word)
    }

    pub fn span(self) -> Duration {
        Duration::from_secs(match self {
            Resolution::Minute => 60,
            Resolution::Hour => 3_600,
            Resolution::Day => 86_400,
        })
    }

    /// The number of the span that `time` falls in, counted from 1970.
    pub fn bucket(self, time: Timestamp) -> i64 {
        time.as_micros().div_euclid(self.span().as_micros() as i64)
    }

    /// When the span with this number begins.
    pub fn start(self, bucket: i64) -> Timestamp {
        Timestamp::from_micros(bucket.saturating_mul(self.span().as_micros() as i64))
    }
}

/// Most spans that can be asked for at once: a day of minutes, two months of hours, four years of days.
pub const MOST_BUCKETS: u32 = 1_500;

/// A bounded number of spans, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    resolution: Resolution,
    first: i64,
    count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWindow {
    #[error("`until` must be later than `since`")]
    Backwards,
    #[error(
        "that would be {wanted} spans of a {}; the most are {MOST_BUCKETS}: choose a coarser `resolution`, or \
         a later `since`", .resolution.word()
    )]
    TooLong { resolution: Resolution, wanted: i64 },
}

impl Window {
    /// The spans that hold some of the time from `since` up to `until`.
    pub fn new(resolution: Resolution, since: Timestamp, until: Timestamp) -> Result<Self, InvalidWindow> {
        if until <= since {
            return Err(InvalidWindow::Backwards);
        }
        let first = resolution.bucket(since);
        let wanted = resolution.bucket(Timestamp::from_micros(until.as_micros() - 1)) - first + 1;
        match u32::try_from(wanted) {
            Ok(count) if count <= MOST_BUCKETS => Ok(Self { resolution, first, count }),
            _ => Err(InvalidWindow::TooLong { resolution, wanted }),
        }
    }

    /// The last `count` spans, of which the last holds `now`; at least one, at most [`MOST_BUCKETS`].
    pub fn last(resolution: Resolution, count: u32, now: Timestamp) -> Self {
        let count = count.clamp(1, MOST_BUCKETS);
        Self { resolution, first: resolution.bucket(now) - i64::from(count) + 1, count }
    }

    pub fn resolution(&self) -> Resolution {
        self.resolution
    }

    /// The numbers of its spans, oldest first; never empty.
    pub fn buckets(&self) -> std::ops::Range<i64> {
        self.first..self.first + i64::from(self.count)
    }

    /// The fewest spans, of its own resolution and of coarser ones, that hold the same time; newest first.
    pub fn pieces(&self) -> impl Iterator<Item = (Resolution, i64)> {
        let (own, since, mut end) = (self.resolution, self.since(), self.until());
        std::iter::from_fn(move || {
            let piece = Resolution::ALL.into_iter().rev().filter(|resolution| *resolution >= own).find_map(
                |resolution| {
                    let last = resolution.bucket(end) - 1;
                    let fits = resolution.start(last + 1) == end && resolution.start(last) >= since;
                    fits.then_some((resolution, last))
                },
            )?;
            end = piece.0.start(piece.1);
            Some(piece)
        })
    }

    pub fn since(&self) -> Timestamp {
        self.resolution.start(self.first)
    }

    pub fn until(&self) -> Timestamp {
        self.resolution.start(self.first + i64::from(self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(millis: &[u64]) -> AnswerTimes {
        let mut times = AnswerTimes::default();
        times.extend(millis.iter().map(|millis| Duration::from_millis(*millis)));
        times
    }

    #[test]
    fn steps_ascend_and_the_scale_ends() {
        let mut last = 0;
        for micros in 0..100_000 {
            let step = step_of(micros);
            assert!(step == last || step == last + 1, "{micros}");
            last = step;
        }
        assert_eq!(step_of(u64::MAX), STEPS - 1);
        assert!(step_of(3_600_000_000) < STEPS - 1, "an hour is on the scale");
    }

    #[test]
    fn no_answer_has_no_time() {
        let none = AnswerTimes::default();
        assert_eq!(
            (none.mean(), none.shortest(), none.longest(), none.percentile(0.5)),
            (None, None, None, None)
        );
    }

    #[test]
    fn answer_times() {
        let hundred: Vec<u64> = (1..=100).collect();
        let times = times(&hundred);
        assert_eq!(times.mean(), Some(Duration::from_micros(50_500)));
        assert_eq!(times.shortest(), Some(Duration::from_millis(1)));
        assert_eq!(times.longest(), Some(Duration::from_millis(100)));
        for (part, exact) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0), (1.0, 100.0), (0.0, 1.0)] {
            let found = times.percentile(part).unwrap().as_secs_f64() * 1e3;
            assert!((found - exact).abs() <= exact / 16.0, "{part}: {found}");
        }
    }

    #[test]
    fn a_success_rate_counts_attempts() {
        let tally = Tally { delivered: 3, failed_attempts: 1, filtered: 9, ..Tally::default() };
        assert_eq!(tally.success_rate(), Some(0.75));
        assert_eq!(Tally { filtered: 1, ..Tally::default() }.success_rate(), None);
    }

    #[test]
    fn spans_of_time() {
        let time = Timestamp::parse("2026-03-22T08:59:59.999Z").unwrap();
        for (resolution, start) in [
            (Resolution::Minute, "2026-03-22T08:59:00Z"),
            (Resolution::Hour, "2026-03-22T08:00:00Z"),
            (Resolution::Day, "2026-03-22T00:00:00Z"),
        ] {
            assert_eq!(resolution.start(resolution.bucket(time)).to_string(), start);
            assert_eq!(Resolution::parse(resolution.word()), Some(resolution));
        }
        assert_eq!(Resolution::Day.bucket(Timestamp::from_secs(-1)), -1);
    }

    #[test]
    fn windows_are_bounded() {
        let at = Timestamp::from_secs;
        let window = Window::new(Resolution::Minute, at(59), at(120)).unwrap();
        assert_eq!((window.since(), window.until()), (at(0), at(120)));
        assert_eq!(window.buckets().count(), 2);
        assert_eq!(Window::new(Resolution::Day, at(5), at(5)), Err(InvalidWindow::Backwards));
        for (until, fits) in [(1_500 * 60, true), (1_500 * 60 + 1, false), (i64::MAX, false)] {
            assert_eq!(Window::new(Resolution::Minute, at(0), at(until)).is_ok(), fits, "{until}");
        }
        let whole = Window::new(Resolution::Minute, Timestamp::from_micros(i64::MIN), Timestamp::MAX);
        assert!(whole.is_err());
        let last = Window::last(Resolution::Day, 7, at(86_400 * 10));
        assert_eq!((last.since(), last.until()), (at(86_400 * 4), at(86_400 * 11)));
    }

    #[test]
    fn whole_hours_and_days_are_one_piece_each() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        let pieces = |resolution, since: &str, until: &str| {
            let window = Window::new(resolution, at(since), at(until)).unwrap();
            let mut end = window.until();
            let mut lengths = Vec::new();
            for (resolution, bucket) in window.pieces() {
                assert_eq!(resolution.start(bucket + 1), end, "they leave no gap");
                end = resolution.start(bucket);
                match lengths.last_mut() {
                    Some((last, count)) if *last == resolution => *count += 1,
                    _ => lengths.push((resolution, 1)),
                }
            }
            assert_eq!(end, window.since());
            lengths
        };
        use Resolution::{Day, Hour, Minute};
        let (since, until) = ("2026-03-21T21:58:00Z", "2026-03-22T22:01:30Z");
        assert_eq!(pieces(Minute, since, until), [(Minute, 2), (Hour, 24), (Minute, 2)]);
        assert_eq!(pieces(Hour, since, until), [(Hour, 26)]);
        assert_eq!(pieces(Day, since, until), [(Day, 2)]);
        let (since, until) = ("2026-03-20T23:00:00Z", "2026-03-23T01:00:00Z");
        assert_eq!(pieces(Hour, since, until), [(Hour, 1), (Day, 2), (Hour, 1)]);
        assert_eq!(pieces(Minute, "1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z"), [(Hour, 1)]);
    }

    proptest! {
        #[test]
        fn percentiles_are_off_by_a_sixteenth_at_most(
            mut micros in prop::collection::vec(0_u64..3_600_000_000, 1..200),
            part in 0.01_f64..1.0,
        ) {
            let mut times = AnswerTimes::default();
            times.extend(micros.iter().map(|micros| Duration::from_micros(*micros)));
            micros.sort_unstable();
            let rank = ((micros.len() as f64 * part).ceil() as usize).clamp(1, micros.len());
            let exact = micros[rank - 1] as f64;
            let found = times.percentile(part).unwrap().as_micros() as f64;
            prop_assert!((found - exact).abs() <= exact / 16.0 + 1.0, "{found} for {exact}");
        }

        #[test]
        fn sums_do_not_depend_on_how_they_are_cut(
            millis in prop::collection::vec(0_u64..100_000, 0..50),
            cut in 0_usize..50,
        ) {
            let (one, other) = millis.split_at(cut.min(millis.len()));
            let mut sum = Tally { answers: times(one), delivered: 1, ..Tally::default() };
            sum.add(&Tally { answers: times(other), delivered: 2, ..Tally::default() });
            prop_assert_eq!(sum, Tally { answers: times(&millis), delivered: 3, ..Tally::default() });
        }
    }
}
