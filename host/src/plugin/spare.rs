//! Where calls go on that take long: on threads that get what the others leave of the processors, but for one, which has a
//! small part in any case. So a plugin that computes for as long as it may takes next to nothing from deliveries that do
//! not need it. Calls like one that took long lately begin there.

use std::cell::Cell;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::habit::{Expected, Habit};

/// Slices of the engine's clock that a call has before it counts as long: 4 to 6 ms. Nearly every call ends in its first
/// one.
const SLICES: u32 = 3;
/// How nice the one thread is that has a part of its own. Beside a thread of the usual priority it gets a fifteenth of a
/// processor: with less, slow plugins would be held up for minutes where the machine is busy.
#[cfg(target_os = "linux")]
const NICE: i32 = 12;

/// A call that may take long.
pub(super) type LongCall<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Started with the first call that takes long.
#[derive(Default)]
pub(super) struct Spare(OnceLock<Option<Runtime>>);

impl Spare {
    /// Runs a call to its end: here at first unless its like took long lately, then on the threads of this. Dropping the
    /// future stops the call. `kept` is dropped once the call is gone, wherever that is.
    pub async fn drive<K: Send + 'static, T: Send + 'static>(
        &self,
        habit: Option<Habit<'_>>,
        kept: K,
        mut call: LongCall<T>,
    ) -> T {
        let expected = habit.map_or(Expected::Quick, |habit| habit.expected(Instant::now()));
        if expected != Expected::Long {
            let mut slices = 0;
            let early = std::future::poll_fn(|context| match call.as_mut().poll(context) {
                Poll::Ready(value) => Poll::Ready(Some(value)),
                Poll::Pending => {
                    slices += 1;
                    if slices < SLICES { Poll::Pending } else { Poll::Ready(None) }
                }
            });
            let ended = early.await;
            match (habit, &ended) {
                (Some(habit), Some(_)) if expected == Expected::Trial => habit.was_quick(),
                (Some(habit), None) => habit.took_long(Instant::now()),
                _ => {}
            }
            if let Some(value) = ended {
                return value;
            }
        }
        match self.0.get_or_init(start) {
            Some(runtime) => {
                let moved = async move {
                    let _kept = kept;
                    std::future::poll_fn(|context| {
                        go_on();
                        call.as_mut().poll(context)
                    })
                    .await
                };
                Moved(runtime.spawn(moved)).end().await
            }
            None => call.await,
        }
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        // The last one to go may be one of its own threads, which must not wait for itself.
        if let Some(runtime) = self.0.take().flatten() {
            runtime.shutdown_background();
        }
    }
}

thread_local! {
    /// The thread's own time when it went on with a call; `None` on threads that are not held up for long.
    static SLICE_BEGAN: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// This thread goes on with a call.
pub(super) fn go_on() {
    SLICE_BEGAN.set(cpu_time());
}

/// For how long a call has really run since this thread went on with it, where the thread may have been held up meanwhile.
pub(super) fn has_run() -> Option<Duration> {
    Some(cpu_time()?.saturating_sub(SLICE_BEGAN.get()?))
}

/// Of the calling thread.
fn cpu_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime).try_into().ok();
    #[cfg(not(target_os = "linux"))]
    let time = None;
    time
}

/// A call that goes on elsewhere.
struct Moved<T>(JoinHandle<T>);

impl<T> Moved<T> {
    async fn end(mut self) -> T {
        match (&mut self.0).await {
            Ok(value) => value,
            Err(fault) => match fault.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // It is stopped by nobody but whoever waits for it, who does no longer.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

impl<T> Drop for Moved<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn start() -> Option<Runtime> {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let has_part = AtomicBool::new(false);
    let started = Builder::new_multi_thread()
        .worker_threads(processors + 1)
        .thread_name("plugin-spare")
        .on_thread_start(move || match has_part.swap(true, Ordering::Relaxed) {
            false => take_a_part(),
            true => take_what_is_left(),
        })
        .enable_all()
        .build();
    started
        .inspect_err(|error| tracing::warn!(%error, "plugins that take long run beside everything else"))
        .ok()
}

/// Gives the calling thread a low priority. On Linux a priority is a thread's own.
fn take_a_part() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::warn!(%error, "the priority of plugins that take long cannot be lowered");
    }
}

/// From now on the calling thread runs where no other one would, and stops at once where one wakes up. For good: it takes a
/// privilege to leave that policy (sched(7), `SCHED_IDLE`).
fn take_what_is_left() {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::unix::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, set_thread_priority_and_policy,
            thread_native_id,
        };

        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        let priority = thread_priority::ThreadPriority::Min;
        if let Err(error) = set_thread_priority_and_policy(thread_native_id(), priority, policy) {
            tracing::debug!(%error, "plugins that take long have a low priority instead of none");
            take_a_part();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::habit::Habits;
    use super::*;

    /// Ends after so many turns; answers the names of the threads that it was polled on.
    fn turns(count: usize) -> LongCall<Vec<String>> {
        Box::pin(async move {
            let mut names = Vec::new();
            for _ in 0..count {
                names.push(thread::current().name().unwrap_or_default().to_owned());
                tokio::task::yield_now().await;
            }
            names
        })
    }

    #[tokio::test]
    async fn what_takes_long_goes_on_elsewhere() {
        let spare = Spare::default();
        let own = thread::current().name().unwrap_or_default().to_owned();
        assert_eq!(spare.drive(None, (), turns(2)).await, [own.clone(), own.clone()]);
        assert!(spare.0.get().is_none(), "nothing was started for it");
        let names = spare.drive(None, (), turns(5)).await;
        assert_eq!(names[..3], [own.clone(), own.clone(), own]);
        assert_eq!(names[3..], ["plugin-spare", "plugin-spare"]);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn elsewhere_is_told_how_long_a_call_really_ran() {
        let call = Box::pin(async {
            let mut told = Vec::new();
            for _ in 0..5 {
                told.push(has_run().is_some());
                tokio::task::yield_now().await;
            }
            told
        });
        assert_eq!(Spare::default().drive(None, (), call).await, [false, false, false, true, true]);
    }

    #[tokio::test]
    async fn the_like_of_what_took_long_begins_elsewhere() {
        let (spare, habits) = (Spare::default(), Habits::default());
        let own = thread::current().name().unwrap_or_default().to_owned();
        let habit = Some(habits.of("acme", "slow"));
        assert_eq!(spare.drive(habit, (), turns(1)).await, std::slice::from_ref(&own));
        assert_eq!(spare.drive(habit, (), turns(4)).await.last().map(String::as_str), Some("plugin-spare"));
        assert_eq!(spare.drive(habit, (), turns(1)).await, ["plugin-spare"]);
        assert_eq!(spare.drive(Some(habits.of("acme", "quick")), (), turns(1)).await, [own]);
    }

    /// How nice this thread is, and whether it runs only where no other would.
    #[cfg(target_os = "linux")]
    fn priority() -> (i32, bool) {
        use thread_priority::unix::{
            NormalThreadSchedulePolicy, ThreadSchedulePolicy, thread_schedule_policy,
        };

        let nice = rustix::process::getpriority_process(None).unwrap();
        let policy = thread_schedule_policy().unwrap();
        (nice, policy == ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle))
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn elsewhere_is_a_low_priority() {
        let (spare, own) = (Spare::default(), priority());
        let call = Box::pin(async {
            turns(4).await;
            priority()
        });
        let there = spare.drive(None, (), call).await;
        assert!(there == (own.0.max(NICE), false) || there == (own.0, true), "{there:?}");
        assert_eq!(priority(), own, "here it is what it was");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn one_thread_has_a_part_and_the_others_what_is_left() {
        let of = |take: fn()| {
            let thread = thread::spawn(move || {
                take();
                priority()
            });
            thread.join().unwrap()
        };
        let (own, low) = (priority().0, (priority().0.max(NICE), false));
        assert_eq!(of(take_a_part), low);
        // Where a sandbox forbids the policy, they have a low priority, too.
        let left = of(take_what_is_left);
        assert!(left == (own, true) || left == low, "{left:?}");
    }

    #[tokio::test]
    async fn a_call_that_nobody_waits_for_is_stopped() {
        struct Stopped(Arc<AtomicBool>, tokio::sync::mpsc::UnboundedSender<()>);
        impl Drop for Stopped {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
                let _ = self.1.send(());
            }
        }
        let spare = Spare::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let (sender, mut gone) = tokio::sync::mpsc::unbounded_channel();
        let (moved, mut is_moved) = tokio::sync::mpsc::unbounded_channel();
        let mark = Stopped(stopped.clone(), sender);
        let call = Box::pin(async move {
            let _mark = mark;
            turns(4).await;
            let _ = moved.send(());
            std::future::pending::<()>().await;
        });
        tokio::select! {
            () = spare.drive(None, (), call) => unreachable!("it never ends"),
            _ = is_moved.recv() => {}
        }
        gone.recv().await;
        assert!(stopped.load(Ordering::SeqCst));
    }
}
