//! When to try again.

use std::time::Duration;

use crate::time::Timestamp;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RetryPolicy {
    /// One retry after each span; then the delivery has failed. Empty: a single attempt.
    Schedule(Vec<Duration>),
    /// A retry after each span, for so long after the first attempt, or until it lands.
    Every { every: Duration, lasting: Option<Duration> },
}

/// Most entries in a schedule.
pub const MAX_RETRIES: usize = 100;
/// Shortest pause between two attempts.
pub const MIN_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between two attempts.
pub const MAX_PAUSE: Duration = Duration::from_secs(30 * 86_400);

/// How much of a pause jitter may add, at the most: spreads out retries that would fall together.
const JITTER: f64 = 0.1;

impl Default for RetryPolicy {
    /// Nine retries over about three days.
    fn default() -> Self {
        const SECONDS: [u64; 9] = [5, 60, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000];
        RetryPolicy::Schedule(SECONDS.map(Duration::from_secs).to_vec())
    }
}

/// How the attempts so far went by.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Attempts made, the one that just failed included.
    pub attempts: u32,
    pub first_attempt_at: Timestamp,
    /// How long the delivery has been held since its first attempt.
    pub held: Duration,
}

impl RetryPolicy {
    /// When to try next, or `None` where the policy is spent. `jitter` is in 0 to 1. An `asked` pause (from
    /// `Retry-After`) only ever lengthens the policy's own.
    pub fn next(
        &self,
        progress: Progress,
        now: Timestamp,
        jitter: f64,
        asked: Option<Duration>,
    ) -> Option<Timestamp> {
        let pause = match self {
            RetryPolicy::Schedule(pauses) => {
                let index = usize::try_from(progress.attempts).ok()?.checked_sub(1)?;
                spread(*pauses.get(index)?, jitter)
            }
            RetryPolicy::Every { every, .. } => *every,
        };
        let next = now.plus(pause.max(asked.unwrap_or_default()));
        match self {
            RetryPolicy::Every { lasting: Some(lasting), .. } => {
                let end = progress.first_attempt_at.plus(*lasting).plus(progress.held);
                (next <= end).then_some(next)
            }
            _ => Some(next),
        }
    }
}

fn spread(pause: Duration, jitter: f64) -> Duration {
    pause + pause.mul_f64(JITTER * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000_000);

    fn progress(attempts: u32) -> Progress {
        Progress { attempts, first_attempt_at: START, held: Duration::ZERO }
    }

    fn secs(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_schedule_is_walked_and_then_spent() {
        let policy = RetryPolicy::Schedule([60, 300, 1_800, 7_200, 86_400].map(secs).to_vec());
        for (attempts, pause) in [(1, 60), (2, 300), (3, 1_800), (4, 7_200), (5, 86_400)] {
            assert_eq!(policy.next(progress(attempts), START, 0.0, None), Some(START.plus(secs(pause))));
        }
        assert_eq!(policy.next(progress(6), START, 0.0, None), None);
        assert_eq!(RetryPolicy::Schedule(vec![]).next(progress(1), START, 0.0, None), None);
    }

    #[test]
    fn every_goes_on_until_its_end() {
        let policy = RetryPolicy::Every { every: secs(10), lasting: Some(secs(60)) };
        let at = |s| START.plus(secs(s));
        assert_eq!(policy.next(progress(5), at(50), 0.5, None), Some(at(60)));
        assert_eq!(policy.next(progress(6), at(51), 0.5, None), None);
        let held = Progress { held: secs(3_600), ..progress(6) };
        assert_eq!(policy.next(held, at(3_650), 0.5, None), Some(at(3_660)));
        let endless = RetryPolicy::Every { every: secs(10), lasting: None };
        assert_eq!(endless.next(progress(u32::MAX), at(1 << 30), 0.0, None), Some(at((1 << 30) + 10)));
    }

    #[test]
    fn an_asked_pause_lengthens_and_never_shortens() {
        let policy = RetryPolicy::Schedule(vec![secs(60)]);
        assert_eq!(policy.next(progress(1), START, 0.0, Some(secs(10))), Some(START.plus(secs(60))));
        assert_eq!(policy.next(progress(1), START, 0.0, Some(secs(120))), Some(START.plus(secs(120))));
    }

    #[test]
    fn jitter_adds_up_to_a_tenth() {
        let policy = RetryPolicy::Schedule(vec![secs(100)]);
        assert_eq!(policy.next(progress(1), START, 1.0, None), Some(START.plus(secs(110))));
        assert_eq!(policy.next(progress(1), START, 9.0, None), Some(START.plus(secs(110))));
    }
}
