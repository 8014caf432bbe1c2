//! How long calls took, in little room.

use std::time::Duration;

/// Spans are told apart to a sixteenth of themselves, or to a microsecond where that is more.
const STEPS: u64 = 16;
/// Longer ones are taken for this, about 71 minutes.
const LONGEST: u64 = u32::MAX as u64;
/// One more than the place of [`LONGEST`].
const PLACES: usize = 464;

/// A histogram of spans of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times {
    counts: Box<[u32; PLACES]>,
    pub calls: u64,
    pub longest: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self { counts: Box::new([0; PLACES]), calls: 0, longest: Duration::ZERO }
    }
}

impl Times {
    pub fn note(&mut self, span: Duration) {
        let micros = u64::try_from(span.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        let count = &mut self.counts[place(micros)];
        *count = count.saturating_add(1);
        self.calls += 1;
        self.longest = self.longest.max(span);
    }

    pub fn add(&mut self, other: &Times) {
        for (count, more) in self.counts.iter_mut().zip(other.counts.iter()) {
            *count = count.saturating_add(*more);
        }
        self.calls += other.calls;
        self.longest = self.longest.max(other.longest);
    }

    /// The span that this share of the calls (0 to 1) did not exceed, to a sixteenth. `None` where there was no call.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = ((self.calls as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })?;
        Some(Duration::from_micros(least_above(found)).min(self.longest))
    }
}

fn place(micros: u64) -> usize {
    if micros < 2 * STEPS {
        return micros as usize;
    }
    let shift = u64::from(micros.ilog2() - STEPS.ilog2());
    (shift * STEPS + (micros >> shift)) as usize
}

/// The longest span that stands in a place.
fn least_above(place: usize) -> u64 {
    let place = place as u64;
    if place < 2 * STEPS {
        return place;
    }
    let shift = place / STEPS - 1;
    ((place - shift * STEPS + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_span_has_a_place_and_the_place_tells_the_span() {
        assert_eq!(place(LONGEST), PLACES - 1);
        for micros in (0..70_000).chain([1 << 20, (1 << 31) + 12_345, LONGEST]) {
            let told = least_above(place(micros));
            assert!(told >= micros && told - micros <= micros / STEPS, "{micros}: {told}");
        }
    }

    #[test]
    fn quantiles_are_of_all_calls() {
        let mut times = Times::default();
        assert_eq!(times.quantile(0.5), None);
        (1..=98).for_each(|_| times.note(Duration::from_micros(20)));
        let mut slow = Times::default();
        (1..=2).for_each(|_| slow.note(Duration::from_millis(5)));
        times.add(&slow);
        assert_eq!(times.quantile(0.5), Some(Duration::from_micros(20)));
        assert_eq!(times.quantile(0.98), Some(Duration::from_micros(20)));
        assert_eq!(times.quantile(0.99), Some(Duration::from_millis(5)), "no longer than the longest");
        assert_eq!((times.calls, times.longest), (100, Duration::from_millis(5)));
    }
}
