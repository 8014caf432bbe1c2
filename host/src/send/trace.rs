//! What one request went through, noted from within the connector.
//!
//! The pool stands between a request and the connector, so the request's trace travels in a task-local. Where
//! a request starts a connection but then takes another that became free, the times are those of the
//! connection it started: best effort, good enough to see where time goes.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;

tokio::task_local! {
    /// Set around every request, read when the pool asks for a connection.
    pub(super) static TRACE: Trace;
}

#[derive(Clone)]
pub(super) struct Trace(Arc<Notes>);

struct Notes {
    deadline: Instant,
    limit: Duration,
    stage: AtomicU8,
    tls_began: OnceLock<Instant>,
    spent: [OnceLock<Duration>; 3],
}

/// Where a request is, so that a timeout can say what it was waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    Dns,
    Connect,
    Tls,
    /// The request is being sent, or its answer's head has not arrived yet.
    Answer,
    Body,
    /// A proxy was asked for a connection to the receiver.
    Proxy,
}

impl Stage {
    /// A stable word for logs and tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Answer => "answer",
            Self::Body => "body",
            Self::Proxy => "proxy",
        }
    }
}

impl Trace {
    /// Of a request that begins now and may take as long as `limit`.
    pub(super) fn begin(limit: Duration) -> Self {
        Self(Arc::new(Notes {
            deadline: Instant::now() + limit,
            limit,
            stage: AtomicU8::new(Stage::Answer as u8),
            tls_began: OnceLock::new(),
            spent: Default::default(),
        }))
    }

    /// The trace of the request that this task is sending.
    pub(super) fn current() -> Option<Self> {
        TRACE.try_with(Clone::clone).ok()
    }

    pub(super) fn deadline(&self) -> Instant {
        self.0.deadline
    }

    pub(super) fn limit(&self) -> Duration {
        self.0.limit
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(super) fn stage(&self) -> Stage {
        let stages = [Stage::Dns, Stage::Connect, Stage::Tls, Stage::Answer, Stage::Body, Stage::Proxy];
        stages[usize::from(self.0.stage.load(Ordering::Relaxed))]
    }

    /// Runs one stage of making a connection and notes how long it took.
    pub(super) async fn spend<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        self.enter(stage);
        let began = Instant::now();
        let done = work.await;
        self.note(stage, began);
        done
    }

    /// TCP is up and the TLS handshake, which happens around the code that dialled, comes next.
    pub(super) fn begin_tls(&self) {
        self.enter(Stage::Tls);
        let _ = self.0.tls_began.set(Instant::now());
    }

    pub(super) fn connected(&self) {
        if let Some(began) = self.0.tls_began.get() {
            self.note(Stage::Tls, *began);
        }
        self.enter(Stage::Answer);
    }

    fn note(&self, stage: Stage, began: Instant) {
        if let Some(spent) = self.0.spent.get(stage as usize) {
            spent.get_or_init(|| began.elapsed());
        }
    }

    pub(super) fn spent(&self, stage: Stage) -> Option<Duration> {
        self.0.spent.get(stage as usize)?.get().copied()
    }
}
