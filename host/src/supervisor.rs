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
    use super::*;

    #[tokio::test]
    async fn a_heart_that_stands_still_gives_no_sign() {
        for (beats, span, expected) in [
            (0, Duration::ZERO, 0),
            (1, Duration::ZERO, 1),
            (3, Duration::ZERO, 3),
            (3, Duration::from_secs(3_600), 1),
        ] {
            let (heart, mut pulse) = watch::channel(0);
            let mut signs = 0;
            let passing = pass_on(&mut pulse, span, || signs += 1);
            let beating = async {
                for beat in 1..=beats {
                    heart.send_replace(beat);
                    tokio::task::yield_now().await;
                }
                drop(heart);
            };
            tokio::join!(passing, beating);
            assert_eq!(signs, expected, "{beats} beats, {span:?}");
        }
    }
}
