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
    stage: AtomicU8,
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
        }
    }
}

impl Trace {
    pub(super) fn new(deadline: Instant) -> Self {
        let stage = AtomicU8::new(Stage::Answer as u8);
        Self(Arc::new(Notes {
            deadline,
            stage,
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

    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Relaxed);
    }

    pub(super) fn stage(&self) -> Stage {
        let stages = [
            Stage::Dns,
            Stage::Connect,
            Stage::Tls,
            Stage::Answer,
            Stage::Body,
        ];
        stages[usize::from(self.0.stage.load(Ordering::Relaxed))]
    }

    /// Runs one stage of making a connection and notes how long it took.
    pub(super) async fn spend<T>(&self, stage: Stage, work: impl Future<Output = T>) -> T {
        self.enter(stage);
        let started = Instant::now();
        let done = work.await;
        self.note(stage, started);
        done
    }

    pub(super) fn note(&self, stage: Stage, started: Instant) {
        if let Some(spent) = self.0.spent.get(stage as usize) {
            spent.get_or_init(|| started.elapsed());
        }
    }

    pub(super) fn spent(&self, stage: Stage) -> Option<Duration> {
        self.0.spent.get(stage as usize)?.get().copied()
    }
}
