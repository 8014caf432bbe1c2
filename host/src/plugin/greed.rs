//! Which configurations keep asking for more memory than they may have. A call that fills all it may costs everybody
//! memory traffic that no priority holds back, and comes to nothing; so calls of such a configuration rest between each
//! other, until one does not.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Calls in a row that reached their bound of memory, from which on the next ones rest.
const IN_A_ROW: u32 = 3;
/// From the beginning of one call to that of the next.
const REST: Duration = Duration::from_millis(250);
/// A call rests for so long at the most, however many do: it holds a place among its tenant's calls meanwhile.
const LONGEST_REST: Duration = Duration::from_secs(2);
/// After so long without a call a configuration is thought to be like any other.
const REMEMBERED: Duration = Duration::from_secs(60);
/// Most that is remembered of one plugin.
const MOST: usize = 1_024;

/// Of one plugin, by the keys of its tenants' configurations.
#[derive(Debug, Default)]
pub(super) struct Greed {
    greedy: Mutex<HashMap<u64, Greedy>>,
    /// Nearly always nothing is remembered, and then nobody has to look.
    some: AtomicBool,
}

#[derive(Debug, Clone, Copy)]
struct Greedy {
    times: u32,
    /// When the next call may begin.
    next: Instant,
}

impl Greed {
    fn greedy(&self) -> MutexGuard<'_, HashMap<u64, Greedy>> {
        self.greedy.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn is_none(&self) -> bool {
        !self.some.load(Ordering::Relaxed)
    }

    /// Until when a call of this configuration rests. The next one rests for longer.
    pub fn rests_until(&self, key: u64, now: Instant) -> Option<Instant> {
        let mut greedy = self.greedy();
        let one = greedy.get_mut(&key)?;
        if one.next + REMEMBERED < now {
            one.times = 0;
        }
        if one.times < IN_A_ROW {
            return None;
        }
        let begin = one.next.clamp(now, now + LONGEST_REST);
        one.next = begin + REST;
        (begin > now).then_some(begin)
    }

    pub fn reached_its_bound(&self, key: u64, now: Instant) {
        let mut greedy = self.greedy();
        if greedy.len() >= MOST {
            greedy.retain(|_, one| one.next + REMEMBERED > now);
        }
        if greedy.len() < MOST || greedy.contains_key(&key) {
            let one = greedy.entry(key).or_insert(Greedy { times: 0, next: now });
            one.times = one.times.saturating_add(1);
            one.next = one.next.max(now + REST);
            self.some.store(true, Ordering::Relaxed);
        }
    }

    /// A call of it had enough.
    pub fn had_enough(&self, key: u64) {
        let mut greedy = self.greedy();
        greedy.remove(&key);
        self.some.store(!greedy.is_empty(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reached_the_bound_three_times_in_a_row_rests() {
        let (greed, now) = (Greed::default(), Instant::now());
        for _ in 0..IN_A_ROW {
            assert_eq!(greed.rests_until(1, now), None);
            greed.reached_its_bound(1, now);
        }
        assert_eq!(greed.rests_until(1, now), Some(now + REST));
        assert_eq!(greed.rests_until(1, now), Some(now + REST * 2), "one after the other");
        assert_eq!(greed.rests_until(2, now), None, "it says nothing of others");
        let later = now + REST * 4;
        assert_eq!(greed.rests_until(1, later), None, "the rest is over");
        assert_eq!(greed.rests_until(1, later), Some(later + REST), "also where many come at once");
        let longest = (0..100).filter_map(|_| greed.rests_until(1, later)).max();
        assert_eq!(longest, Some(later + LONGEST_REST));
        greed.had_enough(1);
        assert!(greed.is_none());
        assert_eq!(greed.rests_until(1, later), None);
    }

    #[test]
    fn what_was_long_ago_is_forgotten() {
        let (greed, now) = (Greed::default(), Instant::now());
        (0..IN_A_ROW).for_each(|_| greed.reached_its_bound(1, now));
        let later = now + REMEMBERED + REST * 2;
        assert_eq!(greed.rests_until(1, later), None);
        greed.reached_its_bound(1, later);
        assert_eq!(greed.rests_until(1, later), None, "once in a row is not three times");
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let (greed, now) = (Greed::default(), Instant::now());
        for _ in 0..IN_A_ROW {
            (0..=MOST as u64).for_each(|key| greed.reached_its_bound(key, now));
        }
        assert_eq!(greed.rests_until(MOST as u64, now), None, "there was no room for it");
        assert!(greed.rests_until(0, now).is_some());
        let later = now + REMEMBERED + REST * 2;
        (0..IN_A_ROW).for_each(|_| greed.reached_its_bound(MOST as u64, later));
        assert!(greed.rests_until(MOST as u64, later).is_some(), "the others are forgotten");
        assert_eq!(greed.greedy().len(), 1);
    }
}
