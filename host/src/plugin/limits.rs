//! What one call may use, and the meter that holds it to that.

use std::path::PathBuf;
use std::time::Duration;

use wasmtime::{ResourceLimiter, UpdateDeadline};

/// The engine's clock: time limits are counted in these.
pub(super) const TICK: Duration = Duration::from_millis(2);

/// The bounds of the plugin host. Each call has them for itself alone.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of running time, in steps of 2 ms.
    pub time_limit: Duration,
    /// Of linear memory, in bytes, over all memories of an instance.
    pub memory_limit: usize,
    /// Of table elements, over all tables of an instance.
    pub table_limit: usize,
    /// Of what a plugin hands to the host at once, in bytes: the message it gives back, above all.
    pub output_limit: usize,
    /// Lines kept of what one call logs and prints.
    pub log_lines: usize,
    /// In bytes; longer lines are cut.
    pub log_line_length: usize,
    /// Calls that run at once; more wait for their turn.
    pub max_concurrent_calls: usize,
    /// Of a component, in bytes.
    pub file_size_limit: u64,
    /// Where compiled code is kept from one start to the next. Native code is loaded from here, so it has
    /// to be a directory that nobody else writes to, and never the plugins folder.
    pub cache_dir: Option<PathBuf>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            time_limit: Duration::from_secs(1),
            memory_limit: 64 << 20,
            table_limit: 20_000,
            output_limit: 4 << 20,
            log_lines: 100,
            log_line_length: 1_000,
            max_concurrent_calls: 64,
            file_size_limit: 64 << 20,
            cache_dir: None,
        }
    }
}

/// Counts what one instance uses. Remembers which bound was reached, so that nobody has to guess it from the
/// text of a trap.
pub(super) struct Meter {
    ticks_left: u64,
    memory: usize,
    memory_limit: usize,
    memory_peak: usize,
    tables: usize,
    table_limit: usize,
    reached: Option<Bound>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Time,
    Memory,
    Table,
}

impl Meter {
    pub fn new(limits: &Limits) -> Self {
        Self {
            ticks_left: ticks(limits.time_limit),
            memory: 0,
            memory_limit: limits.memory_limit,
            memory_peak: 0,
            tables: 0,
            table_limit: limits.table_limit,
            reached: None,
        }
    }

    /// One more tick of running. Time that the guest spends waiting for a turn is not counted: it gives way
    /// to other tasks after each tick, and only then is its next deadline set.
    pub fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        match self.ticks_left.checked_sub(1) {
            Some(left) => {
                self.ticks_left = left;
                Ok(UpdateDeadline::Yield(1))
            }
            None => Err(self.stop(Bound::Time)),
        }
    }

    pub fn memory_peak(&self) -> usize {
        self.memory_peak
    }

    pub fn reached(&self) -> Option<Bound> {
        self.reached
    }

    fn stop(&mut self, bound: Bound) -> wasmtime::Error {
        self.reached = Some(bound);
        wasmtime::Error::msg("a limit of the plugin was reached")
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.memory.saturating_add(desired.saturating_sub(current));
        if total > self.memory_limit {
            return Err(self.stop(Bound::Memory));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.memory = total;
        self.memory_peak = self.memory_peak.max(total);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.tables.saturating_add(desired.saturating_sub(current));
        if total > self.table_limit {
            return Err(self.stop(Bound::Table));
        }
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.tables = total;
        Ok(true)
    }
}

/// Rounded up: nobody gets less than what the setting says.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_runs_out_after_the_limit() {
        let mut meter = Meter::new(&Limits { time_limit: TICK * 5 / 2, ..Limits::default() });
        for _ in 0..3 {
            assert!(meter.tick().is_ok());
        }
        assert!(meter.tick().is_err());
        assert_eq!(meter.reached(), Some(Bound::Time));
    }

    #[test]
    fn memories_share_one_limit() {
        let mut meter = Meter::new(&Limits { memory_limit: 100, ..Limits::default() });
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 30, Some(20)).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert!(meter.memory_growing(40, 41, None).is_err());
        assert_eq!(meter.reached(), Some(Bound::Memory));
        assert_eq!(meter.memory_peak(), 100);
    }
}
