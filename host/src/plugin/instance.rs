//! One call: a store, an instance in it, the answer, and what it cost. Nothing outlives the call.

use std::time::Instant;

use crate::time::Timestamp;
use wasmtime::component::HasSelf;
use wasmtime::{Store, Trap, WasmBacktrace};
use wasmtime_wasi::{I32Exit, WasiCtxView, WasiView};

use super::bindings::v0_1;
use super::journal::{Journal, Level};
use super::limits::{Bound, Bounds, Meter};
use super::sandbox::{HasSandbox, Sandbox};
use super::text::clean;
use super::{Failure, FailureKind, Judgement, Run, Verdict, output};

/// Room for what comes beside a body: headers, a log line, a description.
const OUTPUT_SLACK: usize = 256 << 10;
/// Most component handles that an instance holds at once.
const HANDLES: usize = 1_000;

/// What the host's side of an instance consists of.
pub(super) struct State {
    sandbox: Sandbox,
    meter: Meter,
    journal: Journal,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.sandbox.view()
    }
}

impl HasSandbox for State {
    fn sandbox(&mut self) -> &mut Sandbox {
        &mut self.sandbox
    }
}

impl v0_1::hookwright::plugin::log::Host for State {
    fn write(&mut self, level: v0_1::hookwright::plugin::log::Level, message: String) {
        self.journal.write(Level::from(level), &message);
    }
}

pub(super) fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<wasmtime::component::Linker<State>> {
    let mut linker = wasmtime::component::Linker::new(engine);
    super::sandbox::add_to_linker(&mut linker)?;
    v0_1::hookwright::plugin::log::add_to_linker::<State, HasSelf<State>>(&mut linker, |state| state)?;
    Ok(linker)
}

/// A fresh store, bounded in all that it can use.
pub(super) fn store(
    engine: &wasmtime::Engine,
    bounds: &Bounds<'_>,
    now: Timestamp,
    seed: [u8; 32],
) -> Store<State> {
    let journal = Journal::new(bounds);
    let state =
        State { sandbox: Sandbox::new(now, seed, journal.clone()), meter: Meter::new(bounds), journal };
    let mut store = Store::new(engine, state);
    store.limiter(|state| &mut state.meter);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|mut store| store.data_mut().meter.tick());
    store.set_hostcall_fuel(bounds.output.value.saturating_add(OUTPUT_SLACK));
    store.set_max_component_handles(HANDLES);
    store
}

/// Ends a call. `check` holds what the plugin gave back to what can be used.
pub(super) fn conclude<A, T>(
    store: Store<State>,
    answer: wasmtime::Result<A>,
    started: Instant,
    bounds: &Bounds<'_>,
    check: impl FnOnce(A) -> Result<T, Failure>,
) -> Run<T> {
    let state = store.into_data();
    let (log, panic) = state.journal.finish();
    let result = answer.map_err(|error| explain(&error, &state.meter, panic, bounds)).and_then(check);
    Run { result, log, time: started.elapsed(), memory_peak: state.meter.memory_peak() }
}

/// Ends a call of anything else, of which the answer alone is of interest.
pub(super) fn answer<T>(
    store: Store<State>,
    answer: wasmtime::Result<T>,
    bounds: &Bounds<'_>,
) -> Result<T, Failure> {
    let state = store.into_data();
    answer.map_err(|error| {
        let (_, panic) = state.journal.finish();
        explain(&error, &state.meter, panic, bounds)
    })
}

pub(super) fn check_verdict(verdict: Verdict, bounds: &Bounds<'_>) -> Result<Verdict, Failure> {
    Ok(match verdict {
        Verdict::Pass => Verdict::Pass,
        Verdict::Replace(message) => Verdict::Replace(output::check(message, bounds)?),
        Verdict::Drop(reason) => Verdict::Drop(clean(&reason, bounds.log_line_length)),
        Verdict::Reject(reason) => Verdict::Reject(clean(&reason, bounds.log_line_length)),
    })
}

pub(super) fn check_judgement(judgement: Judgement, bounds: &Bounds<'_>) -> Judgement {
    match judgement {
        Judgement::Fail(reason) => Judgement::Fail(clean(&reason, bounds.log_line_length)),
        Judgement::Disable(reason) => Judgement::Disable(clean(&reason, bounds.log_line_length)),
        other => other,
    }
}

/// What the plugin itself says about its failure.
pub(super) fn legible(failure: Failure, bounds: &Bounds<'_>) -> Failure {
    Failure { message: clean(&failure.message, bounds.log_line_length), ..failure }
}

/// Says in a sentence why a call ended without an answer: the bound that was reached, else the guest's own
/// last words, else the trap.
fn explain(error: &wasmtime::Error, meter: &Meter, panic: Option<String>, bounds: &Bounds<'_>) -> Failure {
    if let Some(bound) = meter.reached() {
        return out_of_bounds(bound, bounds);
    }
    if error.root_cause().to_string().contains(HOSTCALL_FUEL) {
        return output::too_large(bounds);
    }
    match stop(error, panic) {
        Some(message) => Failure { kind: FailureKind::Trap, message },
        None => Failure {
            kind: FailureKind::Host,
            message: format!(
                "the plugin could not be run: {}",
                clean(&format!("{error:#}"), bounds.log_line_length)
            ),
        },
    }
}

/// From wasmtime's text, which has no type that could be asked for.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

fn out_of_bounds(bound: Bound, bounds: &Bounds<'_>) -> Failure {
    let (kind, message) = match bound {
        Bound::Time => (
            FailureKind::TimeLimit,
            format!(
                "the plugin ran longer than its time limit of {} ms ({})",
                bounds.time.value.as_millis(),
                bounds.place("time", &bounds.time)
            ),
        ),
        Bound::Memory => (
            FailureKind::MemoryLimit,
            format!(
                "the plugin wanted more memory than its limit of {} bytes ({})",
                bounds.memory.value,
                bounds.place("memory", &bounds.memory)
            ),
        ),
        Bound::Table => (
            FailureKind::MemoryLimit,
            format!(
                "the plugin wanted more table elements than its limit of {} (setting `plugin.table_limit`)",
                bounds.table
            ),
        ),
    };
    Failure { kind, message }
}

fn stop(error: &wasmtime::Error, panic: Option<String>) -> Option<String> {
    if let Some(panic) = panic {
        return Some(format!("the plugin panicked {panic}"));
    }
    if let Some(exit) = error.downcast_ref::<I32Exit>() {
        return Some(format!("the plugin ended itself with exit code {}", exit.0));
    }
    let trap = error.downcast_ref::<Trap>()?;
    let what = match trap {
        Trap::StackOverflow => "used up its stack (an endless recursion?)".to_owned(),
        Trap::MemoryOutOfBounds => {
            "reached outside its memory (an endless recursion does that, too)".to_owned()
        }
        Trap::UnreachableCodeReached => "stopped itself without a message".to_owned(),
        other => format!("was stopped: {other}"),
    };
    Some(match place(error) {
        Some(function) => format!("the plugin {what}, in `{function}`"),
        None => format!("the plugin {what}"),
    })
}

/// The innermost function that has a name.
fn place(error: &wasmtime::Error) -> Option<String> {
    const FUNCTION_NAME: usize = 200;
    let backtrace = error.downcast_ref::<WasmBacktrace>()?;
    let symbols = backtrace.frames().iter().flat_map(|frame| {
        let symbols = frame.symbols().iter().filter_map(|symbol| symbol.name());
        symbols.chain(frame.func_name())
    });
    symbols.map(|name| clean(name, FUNCTION_NAME)).next()
}
