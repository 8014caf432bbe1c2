//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends the process.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::sync::oneshot;

/// A future that ends with the first signal. From then on a second one exits at once, with the shell's code for it
/// (128 and the signal's number).
///
/// # Errors
///
/// Where the system does not let the process listen to signals.
pub fn shutdown() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::listen()?;
    let (first, seen) = oneshot::channel();
    tokio::spawn(async move {
        signals.next().await;
        let _ = first.send(());
        let code = signals.next().await;
        std::process::exit(code);
    });
    Ok(async move {
        // An error means that the runtime is going down, which is an end as well.
        let _ = seen.await;
    })
}

/// What work that goes step by step asks after each one: whether a signal has come.
///
/// # Errors
///
/// As of [`shutdown`].
pub fn between_steps() -> anyhow::Result<impl Fn() -> ControlFlow<()> + Send + 'static> {
    let shutdown = shutdown().context("signals cannot be listened to")?;
    let stop = Arc::new(AtomicBool::new(false));
    tokio::spawn({
        let stop = stop.clone();
        async move {
            shutdown.await;
            stop.store(true, Ordering::Relaxed);
        }
    });
    Ok(move || if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// The exit code that stands for the signal.
    async fn next(&mut self) -> i32 {
        const TERMINATED: i32 = 143;
        const INTERRUPTED: i32 = 130;
        tokio::select! {
            _ = self.terminate.recv() => TERMINATED,
            _ = self.interrupt.recv() => INTERRUPTED,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        const INTERRUPTED: i32 = 130;
        let _ = tokio::signal::ctrl_c().await;
        INTERRUPTED
    }
}
