//! How much came lately, against a bound.

use std::collections::VecDeque;
use std::time::Duration;

use crate::endpoint::RateLimit;
use crate::time::Timestamp;

/// Into so many slices the window is cut. What came in a slice counts until all of the slice is past the window, so
/// never more than the limit comes in any window, and up to one part in this many less.
const SLICES: u128 = 64;

/// Counts what came, by slices of time; its size is bounded by their number.
#[derive(Debug, Clone, Default)]
pub struct Meter {
    per: Duration,
    /// The number of each slice in which something came, and how much; oldest first.
    slices: VecDeque<(i128, u32)>,
}

impl Meter {
    /// Counts one more where the limit allows it.
    ///
    /// # Errors
    ///
    /// How long to wait until there is room for one.
    pub fn take(&mut self, limit: RateLimit, now: Timestamp) -> Result<(), Duration> {
        self.room(limit, now)?;
        let slice = i128::from(now.as_micros()).div_euclid(slice_length(limit.per));
        match self.slices.back_mut() {
            // A clock that was put back counts where it was.
            Some((last, count)) if *last >= slice => *count = count.saturating_add(1),
            _ => self.slices.push_back((slice, 1)),
        }
        Ok(())
    }

    /// Whether there is room for one more, without counting it.
    ///
    /// # Errors
    ///
    /// As [`Meter::take`].
    pub fn room(&mut self, limit: RateLimit, now: Timestamp) -> Result<(), Duration> {
        let length = slice_length(limit.per);
        if self.per != limit.per {
            *self = Self { per: limit.per, slices: VecDeque::new() };
        }
        let now = i128::from(now.as_micros());
        let counts_until = |slice: i128| (slice + 1) * length + limit.per.as_micros() as i128;
        while self.slices.front().is_some_and(|(slice, _)| counts_until(*slice) <= now) {
            self.slices.pop_front();
        }
        let taken: u64 = self.slices.iter().map(|(_, count)| u64::from(*count)).sum();
        if let Some((oldest, _)) = self.slices.front().filter(|_| taken >= u64::from(limit.requests)) {
            let wait = u64::try_from(counts_until(*oldest) - now).unwrap_or(u64::MAX);
            return Err(Duration::from_micros(wait));
        }
        Ok(())
    }

    /// Whether nothing is counted any more, as of the last look.
    pub fn is_idle(&self) -> bool {
        self.slices.is_empty()
    }
}

/// In microseconds.
fn slice_length(per: Duration) -> i128 {
    (per.as_micros() / SLICES).max(1) as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn never_more_than_the_limit_in_any_window() {
        let per = Duration::from_millis(640);
        let limit = RateLimit { requests: 7, per };
        let mut meter = Meter::default();
        // Every millisecond one asks, for five windows.
        let taken: Vec<i64> =
            (0..3_200_000).step_by(1_000).filter(|now| meter.take(limit, at(*now)).is_ok()).collect();
        for (place, start) in taken.iter().enumerate() {
            let window = taken[place..].iter().take_while(|other| **other < start + 640_000).count();
            assert!(window <= 7, "{window} from {start}");
        }
        assert!(taken.len() >= 4 * 7, "it lets on what it may: {}", taken.len());
        assert!(meter.slices.len() as u128 <= SLICES + 2);
    }

    #[test]
    fn whoever_waits_as_long_as_told_gets_room() {
        let limit = RateLimit { requests: 2, per: Duration::from_secs(1) };
        let mut meter = Meter::default();
        assert_eq!(meter.take(limit, at(5)), Ok(()));
        assert_eq!(meter.take(limit, at(600_000)), Ok(()));
        let wait = meter.take(limit, at(700_000)).unwrap_err();
        assert!(wait > Duration::from_millis(300) && wait < Duration::from_millis(320), "{wait:?}");
        assert_eq!(meter.take(limit, at(700_000).plus(wait)), Ok(()));
    }

    #[test]
    fn another_window_begins_anew_and_a_clock_may_go_back() {
        let limit = RateLimit { requests: 1, per: Duration::from_secs(1) };
        let mut meter = Meter::default();
        assert!(meter.take(limit, at(9_000_000)).is_ok());
        assert!(meter.take(limit, at(8_000_000)).is_err());
        assert!(meter.take(RateLimit { requests: 1, per: Duration::from_secs(2) }, at(8_000_000)).is_ok());
    }
}
