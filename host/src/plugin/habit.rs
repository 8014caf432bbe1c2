//! Which calls took long lately. What a plugin does depends on its configuration above all, so that those with the same
//! one count as alike: an endpoint whose filter computes for a second says nothing of another's.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// For how long the like of a call that took long is thought to take long, too. Then it is tried again, which costs the
/// others a few milliseconds.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most configurations that are remembered for one plugin.
const MOST: usize = 1_024;

/// Of one plugin.
#[derive(Default)]
pub(super) struct Habits {
    /// By a hash of the configuration: until when.
    long: Mutex<HashMap<u64, Instant>>,
    /// How many there are: nearly always none, and then nobody has to look.
    count: AtomicUsize,
    hasher: RandomState,
}

/// Of the calls of a plugin with one configuration.
#[derive(Clone, Copy)]
pub(super) struct Habit<'h> {
    habits: &'h Habits,
    config: &'h str,
}

impl Habits {
    pub fn of<'h>(&'h self, config: &'h str) -> Habit<'h> {
        Habit { habits: self, config }
    }
}

impl Habit<'_> {
    pub fn takes_long(&self, now: Instant) -> bool {
        if self.habits.count.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let (key, mut long) = (self.key(), self.habits.long.lock().unwrap_or_else(PoisonError::into_inner));
        let Some(until) = long.get(&key) else { return false };
        if now < *until {
            return true;
        }
        long.remove(&key);
        self.habits.count.store(long.len(), Ordering::Relaxed);
        false
    }

    pub fn took_long(&self, now: Instant) {
        let (key, mut long) = (self.key(), self.habits.long.lock().unwrap_or_else(PoisonError::into_inner));
        if long.len() >= MOST {
            long.retain(|_, until| now < *until);
        }
        if long.len() < MOST || long.contains_key(&key) {
            long.insert(key, now + REMEMBERED);
        }
        self.habits.count.store(long.len(), Ordering::Relaxed);
    }

    fn key(&self) -> u64 {
        self.habits.hasher.hash_one(self.config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_thought_to_take_long_for_a_while() {
        let (habits, now) = (Habits::default(), Instant::now());
        let (slow, quick) = (habits.of("{\"rounds\":1000000}"), habits.of("{}"));
        assert!(!slow.takes_long(now));
        slow.took_long(now);
        assert!(slow.takes_long(now) && slow.takes_long(now + REMEMBERED / 2));
        assert!(!quick.takes_long(now), "what another configuration does says nothing of it");
        assert!(!slow.takes_long(now + REMEMBERED), "it is tried again");
        assert!(!slow.takes_long(now), "and remembered no longer");
        assert_eq!(habits.count.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let (habits, now) = (Habits::default(), Instant::now());
        let configs: Vec<String> = (0..MOST + 1).map(|number| number.to_string()).collect();
        configs.iter().for_each(|config| habits.of(config).took_long(now));
        assert!(!habits.of(&configs[MOST]).takes_long(now), "there was no room for it");
        assert!(habits.of(&configs[0]).takes_long(now));
        let later = now + REMEMBERED;
        habits.of(&configs[MOST]).took_long(later);
        assert!(habits.of(&configs[MOST]).takes_long(later), "the others' time is over");
        assert_eq!(habits.count.load(Ordering::Relaxed), 1);
    }
}
