//! A clock that can be set forward.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use hookwright::time::{Clock, SystemClock, Timestamp};

/// Runs as the machine's does, from where it was set.
#[derive(Debug, Default)]
pub struct ShiftClock {
    ahead_micros: AtomicI64,
}

impl ShiftClock {
    pub fn advance(&self, span: Duration) {
        self.ahead_micros.fetch_add(i64::try_from(span.as_micros()).expect("a span"), Ordering::Relaxed);
    }
}

impl Clock for ShiftClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().as_micros() + self.ahead_micros.load(Ordering::Relaxed))
    }
}
