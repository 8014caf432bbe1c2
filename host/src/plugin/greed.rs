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
/// For how long it is remembered that a configuration was greedy.
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
        let one = greedy.get_mut(&key).filter(|one| one.times >= IN_A_ROW && one.next > now)?;
        let begin = one.next;
        one.next += REST;
        Some(begin)
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
        assert_eq!(greed.rests_until(1, now + REST * 4), None, "the rest is over");
        greed.reached_its_bound(1, now + REST * 4);
        assert_eq!(greed.rests_until(1, now + REST * 4), Some(now + REST * 5));
        greed.had_enough(1);
        assert!(greed.is_none());
        assert_eq!(greed.rests_until(1, now + REST * 4), None);
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
