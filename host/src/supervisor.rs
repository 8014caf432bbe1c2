//! What a service manager is told, in systemd's notify protocol: ready, stopping, alive.
//!
//! Without `NOTIFY_SOCKET` in the environment nothing is told, and nothing is different.

use std::time::{Duration, Instant};

use sd_notify::NotifyState;
use tokio::sync::watch;

/// Signs of life for each span within which one is expected.
const SIGNS: u32 = 4;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor {
    present: bool,
    /// Within which it wants to hear that the process is alive.
    watchdog: Option<Duration>,
}

impl Supervisor {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub fn from_environment() -> Self {
        let present = std::env::var_os("NOTIFY_SOCKET").is_some();
        Self { present, watchdog: sd_notify::watchdog_enabled().filter(|_| present) }
    }

    /// The host listens and delivers.
    pub fn ready(&self, status: &str) {
        self.tell(&[NotifyState::Ready, NotifyState::Status(status)]);
    }

    /// The host finishes what is under way.
    pub fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("finishing what is under way")]);
    }

    /// Passes signs of life on until `pulse` ends: one for several beats, and none where the heart stands still.
    /// `beat` is how far apart beats are.
    pub async fn keep_alive(&self, mut pulse: watch::Receiver<u64>, beat: Duration) {
        let Some(watchdog) = self.watchdog else { return };
        if watchdog < beat * SIGNS {
            tracing::warn!(
                ?watchdog,
                "the service's watchdog is too short; give it at least {:?}",
                beat * SIGNS
            );
        }
        pass_on(&mut pulse, watchdog / SIGNS, || self.tell(&[NotifyState::Watchdog])).await;
    }

    fn tell(&self, states: &[NotifyState<'_>]) {
        if !self.present {
            return;
        }
        if let Err(error) = sd_notify::notify(states) {
            tracing::warn!(%error, "the service manager cannot be told");
        }
    }
}

/// Calls `sign` at a beat, unless it did so less than `span` ago.
async fn pass_on(pulse: &mut watch::Receiver<u64>, span: Duration, mut sign: impl FnMut()) {
    let mut last: Option<Instant> = None;
    while pulse.changed().await.is_ok() {
        if last.is_none_or(|last| last.elapsed() >= span) {
            last = Some(Instant::now());
            sign();
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// The heart of a host, and the signs of life that are passed on.
    fn alive(span: Duration) -> (watch::Sender<u64>, mpsc::UnboundedReceiver<()>) {
        let (heart, mut pulse) = watch::channel(0);
        let (signs, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move { pass_on(&mut pulse, span, || _ = signs.send(())).await });
        (heart, seen)
    }

    #[tokio::test]
    async fn a_heart_that_stands_still_gives_no_sign() {
        let (heart, mut seen) = alive(Duration::ZERO);
        for beat in 1..=3 {
            heart.send_replace(beat);
            assert_eq!(seen.recv().await, Some(()));
        }
        assert!(seen.try_recv().is_err(), "one beat, one sign");
        drop(heart);
        assert_eq!(seen.recv().await, None, "and none at its end");
    }

    #[tokio::test]
    async fn signs_are_not_given_more_often_than_they_have_to_be() {
        let (heart, mut seen) = alive(Duration::from_secs(3_600));
        heart.send_replace(1);
        assert_eq!(seen.recv().await, Some(()));
        heart.send_replace(2);
        drop(heart);
        assert_eq!(seen.recv().await, None);
    }
}
