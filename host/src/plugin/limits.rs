//! What one call may use, and the meter that holds it to that.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use wasmtime::{ResourceLimiter, UpdateDeadline};

use crate::terms::Allowance;

use super::spare;

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
    /// The most that any call can be allowed, whoever says so.
    pub ceiling: Ceiling,
    /// What holds for single plugins, by name.
    pub plugins: BTreeMap<String, Allowance>,
    /// A call ends, too, once so many times its time limit has gone by since it began: where the machine is so busy that
    /// it hardly runs, whoever waits for it shall not wait for ever.
    pub patience: u32,
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
            ceiling: Ceiling::default(),
            plugins: BTreeMap::new(),
            patience: 10,
            max_concurrent_calls: 64,
            file_size_limit: 64 << 20,
            cache_dir: None,
        }
    }
}

/// The most that one call can be allowed.
#[derive(Clone, Copy, Debug)]
pub struct Ceiling {
    pub time: Duration,
    /// In bytes. The pool's memories are made for it.
    pub memory: usize,
    pub output: usize,
    pub log_lines: usize,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self { time: Duration::from_secs(5), memory: 128 << 20, output: 8 << 20, log_lines: 1_000 }
    }
}

impl Limits {
    /// What one call of `plugin` may use, where its link says `own`.
    pub(super) fn bounds<'a>(&self, plugin: &'a str, own: Allowance) -> Bounds<'a> {
        let said = self.plugins.get(plugin).copied().unwrap_or_default();
        let ceiling = &self.ceiling;
        Bounds {
            plugin,
            time: bound(self.time_limit, said.time, own.time, ceiling.time),
            memory: bound(self.memory_limit, said.memory, own.memory, ceiling.memory),
            table: self.table_limit,
            output: bound(self.output_limit, said.output, own.output, ceiling.output),
            log_lines: bound(self.log_lines, said.log_lines, own.log_lines, ceiling.log_lines).value,
            log_line_length: self.log_line_length,
            patience: self.patience,
        }
    }

    /// The most memory that any call has, in bytes.
    pub(super) fn most_memory(&self) -> usize {
        self.memory_limit.max(self.ceiling.memory)
    }
}

/// What one call may use in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds<'a> {
    plugin: &'a str,
    pub time: Held<Duration>,
    pub memory: Held<usize>,
    pub table: usize,
    pub output: Held<usize>,
    pub log_lines: usize,
    pub log_line_length: usize,
    patience: u32,
}

/// A bound, and who said it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<T> {
    pub value: T,
    by: By,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Default,
    Plugin,
    Link,
    /// Somebody said more than there can be.
    Ceiling,
}

fn bound<T: Ord>(default: T, plugin: Option<T>, link: Option<T>, ceiling: T) -> Held<T> {
    let said = link.map(|value| (value, By::Link)).or(plugin.map(|value| (value, By::Plugin)));
    match said {
        None => Held { value: default, by: By::Default },
        Some((value, _)) if value > ceiling => Held { value: ceiling, by: By::Ceiling },
        Some((value, by)) => Held { value, by },
    }
}

impl Bounds<'_> {
    /// Where `time`, `memory` or `output` was said.
    pub fn place<T>(&self, name: &str, held: &Held<T>) -> String {
        match held.by {
            By::Default => format!("setting `plugin.{name}_limit`"),
            By::Plugin => format!("setting `plugin.limits.{}.{name}`", self.plugin),
            By::Link => format!("`limits.{name}` of the transform"),
            By::Ceiling => format!("setting `plugin.max_{name}`"),
        }
    }
}

/// Counts what one instance uses. Remembers which bound was reached, so that nobody has to guess it from the
/// text of a trap.
pub(super) struct Meter {
    ticks_left: u64,
    end: Instant,
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
    pub fn new(bounds: &Bounds<'_>) -> Self {
        Self {
            ticks_left: ticks(bounds.time.value),
            end: Instant::now() + bounds.time.value.saturating_mul(bounds.patience),
            memory: 0,
            memory_limit: bounds.memory.value,
            memory_peak: 0,
            tables: 0,
            table_limit: bounds.table,
            reached: None,
        }
    }

    /// One more tick of running. Time that the guest spends waiting for a turn is not counted: it gives way
    /// to other tasks after each tick, and only then is its next deadline set. Nor is a tick in which its thread
    /// was held up for most of the time.
    pub fn tick(&mut self) -> wasmtime::Result<UpdateDeadline> {
        let was_held_up = spare::has_run().is_some_and(|ran| ran < TICK / 4);
        match self.ticks_left.checked_sub(u64::from(!was_held_up)) {
            Some(left) if Instant::now() < self.end => {
                self.ticks_left = left;
                Ok(UpdateDeadline::Yield(1))
            }
            _ => Err(self.stop(Bound::Time)),
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

    fn meter(limits: &Limits) -> Meter {
        Meter::new(&limits.bounds("p", Allowance::default()))
    }

    #[test]
    fn who_is_nearer_decides_within_the_ceiling() {
        let of = |time| Allowance { time: Some(Duration::from_millis(time)), ..Allowance::default() };
        let limits = Limits { plugins: [("slow".to_owned(), of(2_000))].into(), ..Limits::default() };
        for (plugin, own, millis, place) in [
            ("p", Allowance::default(), 1_000, "setting `plugin.time_limit`"),
            ("slow", Allowance::default(), 2_000, "setting `plugin.limits.slow.time`"),
            ("slow", of(200), 200, "`limits.time` of the transform"),
            ("p", of(60_000), 5_000, "setting `plugin.max_time`"),
        ] {
            let bounds = limits.bounds(plugin, own);
            assert_eq!(bounds.time.value, Duration::from_millis(millis), "{plugin} {own:?}");
            assert_eq!(bounds.place("time", &bounds.time), place);
        }
    }

    #[test]
    fn time_runs_out_after_the_limit() {
        let mut meter = meter(&Limits { time_limit: TICK * 5 / 2, ..Limits::default() });
        for _ in 0..3 {
            assert!(meter.tick().is_ok());
        }
        assert!(meter.tick().is_err());
        assert_eq!(meter.reached(), Some(Bound::Time));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_tick_in_which_its_thread_was_held_up_does_not_count() {
        let mut meter = meter(&Limits { time_limit: TICK * 2, patience: 1_000_000, ..Limits::default() });
        spare::go_on();
        for _ in 0..20 {
            assert!(meter.tick().is_ok());
        }
        while spare::has_run().unwrap() < TICK / 4 {}
        assert!((0..3).any(|_| meter.tick().is_err()));
    }

    #[test]
    fn a_call_that_hardly_runs_ends_all_the_same() {
        let mut meter = meter(&Limits { patience: 0, ..Limits::default() });
        assert!(meter.tick().is_err());
        assert_eq!(meter.reached(), Some(Bound::Time));
    }

    #[test]
    fn memories_share_one_limit() {
        let mut meter = meter(&Limits { memory_limit: 100, ..Limits::default() });
        assert!(meter.memory_growing(0, 60, None).unwrap());
        assert!(!meter.memory_growing(0, 30, Some(20)).unwrap());
        assert!(meter.memory_growing(0, 40, None).unwrap());
        assert!(meter.memory_growing(40, 41, None).is_err());
        assert_eq!(meter.reached(), Some(Bound::Memory));
        assert_eq!(meter.memory_peak(), 100);
    }
}
