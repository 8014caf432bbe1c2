//! Which calls took long lately. What a plugin does depends on its configuration above all, so calls for one tenant with
//! one configuration count as alike; what they are like says nothing of anybody else's.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// For how long the like of a call that took long is thought to take long, too. Then one is tried again.
const REMEMBERED: Duration = Duration::from_secs(5);
/// Most that is remembered of one plugin.
const MOST: usize = 1_024;

/// Of one plugin.
#[derive(Default)]
pub(super) struct Habits {
    long: Mutex<Long>,
    /// Nearly always nothing is remembered, and then nobody has to look.
    some: AtomicBool,
    hasher: RandomState,
}

#[derive(Default)]
struct Long {
    /// By a hash of tenant and configuration.
    until: HashMap<u64, Instant>,
    /// When the last of them ends.
    last: Option<Instant>,
}

/// Of a plugin's calls for one tenant with one configuration.
#[derive(Clone, Copy)]
pub(super) struct Habit<'h> {
    habits: &'h Habits,
    tenant: &'h str,
    config: &'h str,
}

/// What a call is thought to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expected {
    Quick,
    /// Its like took long some time ago: it shows whether they still do.
    Trial,
    Long,
}

impl Habits {
    pub fn of<'h>(&'h self, tenant: &'h str, config: &'h str) -> Habit<'h> {
        Habit { habits: self, tenant, config }
    }

    fn long(&self) -> MutexGuard<'_, Long> {
        self.long.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Habit<'_> {
    pub fn expected(&self, now: Instant) -> Expected {
        if !self.habits.some.load(Ordering::Relaxed) {
            return Expected::Quick;
        }
        let (key, mut long) = (self.key(), self.habits.long());
        match long.until.get(&key) {
            Some(until) if now < *until => Expected::Long,
            // The others wait for what this one shows.
            Some(_) => {
                long.note(key, now);
                Expected::Trial
            }
            None => {
                if long.last.is_some_and(|last| last <= now) {
                    *long = Long::default();
                    self.habits.some.store(false, Ordering::Relaxed);
                }
                Expected::Quick
            }
        }
    }

    pub fn took_long(&self, now: Instant) {
        let (key, mut long) = (self.key(), self.habits.long());
        if long.until.len() >= MOST {
            long.until.retain(|_, until| now < *until);
        }
        if long.until.len() < MOST || long.until.contains_key(&key) {
            long.note(key, now);
            self.habits.some.store(true, Ordering::Relaxed);
        }
    }

    /// One that was tried again was quick.
    pub fn was_quick(&self) {
        self.habits.long().until.remove(&self.key());
    }

    /// Of tenant and configuration.
    pub fn key(&self) -> u64 {
        self.habits.hasher.hash_one((self.tenant, self.config))
    }
}

impl Long {
    fn note(&mut self, key: u64, now: Instant) {
        let until = now + REMEMBERED;
        self.until.insert(key, until);
        self.last = self.last.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_thought_to_take_long_for_a_while() {
        let (habits, now) = (Habits::default(), Instant::now());
        let slow = habits.of("acme", "{}");
        assert_eq!(slow.expected(now), Expected::Quick);
        slow.took_long(now);
        assert_eq!(slow.expected(now + REMEMBERED / 2), Expected::Long);
        for other in [habits.of("acme", "{\"rounds\":1}"), habits.of("other", "{}")] {
            assert_eq!(other.expected(now), Expected::Quick, "it says nothing of others");
        }
        let later = now + REMEMBERED;
        assert_eq!(slow.expected(later), Expected::Trial);
        assert_eq!(slow.expected(later), Expected::Long, "one is tried, and not all");
        slow.was_quick();
        assert_eq!(slow.expected(later), Expected::Quick);
    }

    #[test]
    fn what_nobody_asks_for_again_is_forgotten() {
        let (habits, now) = (Habits::default(), Instant::now());
        habits.of("gone", "{}").took_long(now);
        let other = habits.of("acme", "{}");
        assert_eq!(other.expected(now), Expected::Quick);
        assert!(habits.some.load(Ordering::Relaxed));
        assert_eq!(other.expected(now + REMEMBERED), Expected::Quick);
        assert!(!habits.some.load(Ordering::Relaxed) && habits.long().until.is_empty());
    }

    #[test]
    fn no_more_are_remembered_than_fit() {
        let (habits, now) = (Habits::default(), Instant::now());
        let configs: Vec<String> = (0..MOST + 1).map(|number| number.to_string()).collect();
        let of = |number: usize| habits.of("acme", &configs[number]);
        (0..=MOST).for_each(|number| of(number).took_long(now));
        assert_eq!(of(MOST).expected(now), Expected::Quick, "there was no room for it");
        assert_eq!(of(0).expected(now), Expected::Long);
        let later = now + REMEMBERED;
        of(MOST).took_long(later);
        assert_eq!(of(MOST).expected(later), Expected::Long, "the others' time is over");
        assert_eq!(habits.long().until.len(), 1);
    }
}
