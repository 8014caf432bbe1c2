//! The plugin host: WebAssembly components that filter and reshape what goes out.
//!
//! [`Engine`] compiles a component into a [`Plugin`]; [`Plugin::transform`] runs it once, in an instance of
//! its own that lives for that call alone; [`Catalog`] knows which plugin answers to which name and follows
//! the plugins folder.
//!
//! A plugin is a pure function here. It is given bytes and gives bytes back, within the bounds of
//! [`Limits`]; there is no network, no file and no environment behind it, its clock stands still and its
//! randomness is seeded. This module, in turn, knows neither endpoints nor their secrets.

mod bindings;
mod bundled;
mod cache;
mod catalog;
mod engine;
mod greed;
mod habit;
mod inspect;
mod instance;
mod journal;
mod limits;
mod output;
mod owned;
mod sandbox;
mod spare;
mod text;
mod trust;
mod watch;

use std::fmt;
use std::time::Duration;

use crate::time::Timestamp;
use bytes::Bytes;

pub use bundled::{Bundled, bundled};
pub use catalog::{
    Catalog, CatalogError, Cause, Entry, Link, Nobody, Objection, Record, Refused, Setup, Snapshot, Source,
    Take, Taken, Turn, Users, Version,
};
pub use engine::{Engine, Plugin};
pub use inspect::{Refusal, World, check_name};
pub use journal::{Level, LogLine};
pub use limits::{Ceiling, Limits};
pub use trust::{InvalidPublicKey, PublicKey, Required, SIGNATURE_SUFFIX, SigningKey, Trust};

pub use crate::message::Message;

/// What was posted, without its payload: that is the body of the first [`Message`].
#[derive(Clone, Copy, Debug)]
pub struct Event<'a> {
    pub id: &'a str,
    pub event_type: &'a str,
    pub tenant: &'a str,
    /// Where both clocks of the plugin stand.
    pub timestamp: Timestamp,
    /// When this attempt began: data for the plugin, not its clock.
    pub attempted_at: Timestamp,
    /// 1 for the first attempt of a delivery.
    pub attempt: u32,
    pub channels: &'a [String],
    pub attributes: &'a [(String, String)],
}

/// Everything one call depends on: equal calls of equal plugins give equal verdicts.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub event: Event<'a>,
    pub message: &'a Message,
    /// JSON.
    pub config: &'a str,
    /// From event, endpoint and link; everything random that the plugin sees comes from it.
    pub seed: [u8; 32],
}

/// What a receiver answered, for a plugin that can read it.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// 0 where no answer came: then there are no headers, and the body is the word that says why.
    pub status: u16,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    /// JSON: that of the plugin's link.
    pub config: &'a str,
    /// As in the call of `transform`: where the clocks stand, and where randomness comes from.
    pub timestamp: Timestamp,
    pub seed: [u8; 32],
}

/// One call, from outside: what came of it and what it cost.
#[derive(Clone, Debug)]
pub struct Run<T = Verdict> {
    pub result: Result<T, Failure>,
    /// What the plugin logged and printed, in order, within [`Limits::log_lines`].
    pub log: Vec<LogLine>,
    /// From the instantiation to the result, without the wait for a free slot.
    pub time: Duration,
    /// The most linear memory the instance had, in bytes.
    pub memory_peak: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The message stays as it is.
    Pass,
    /// This message instead.
    Replace(Message),
    /// Not for this endpoint, and why.
    Drop(String),
    /// It can never be delivered, and why.
    Reject(String),
}

/// What an answer means, where its status code does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// The endpoint's success codes decide.
    ByStatus,
    Delivered,
    /// Try again, after this time or on the endpoint's own schedule.
    Retry(Option<Duration>),
    /// Failed for good, and why.
    Fail(String),
    /// As `Fail`, and the endpoint is disabled.
    Disable(String),
}

impl Judgement {
    /// A stable word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::ByStatus => "by_status",
            Self::Delivered => "delivered",
            Self::Retry(_) => "retry",
            Self::Fail(_) => "fail",
            Self::Disable(_) => "disable",
        }
    }
}

/// The plugin could not do its work. Never the receiver's fault, and never another endpoint's business.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// A sentence for the person who reads the attempt, free of control characters.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// It stopped in the middle: a panic, a bad memory access, an exit.
    Trap,
    TimeLimit,
    MemoryLimit,
    OutputLimit,
    /// It said so itself, with this code.
    Error {
        code: String,
    },
    /// Its answer cannot be sent, such as a header that belongs to the host.
    BadOutput,
    /// It could not be started.
    Host,
}

impl FailureKind {
    /// A stable word for logs, metrics and the API.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::TimeLimit => "time_limit",
            Self::MemoryLimit => "memory_limit",
            Self::OutputLimit => "output_limit",
            Self::Error { .. } => "error",
            Self::BadOutput => "bad_output",
            Self::Host => "host",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One thing that is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct ConfigError {
    /// RFC 6901 JSON Pointer; empty for the whole configuration.
    pub pointer: String,
    pub message: String,
}

/// What a plugin says about itself, checked when it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    pub name: String,
    pub version: String,
    pub summary: String,
    /// JSON Schema of the configuration; empty where the plugin has none.
    pub config_schema: String,
    /// `on_failure: pass` is refused for it.
    pub must_run: bool,
    pub examples: Vec<Example>,
}

/// Documentation that can be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub title: String,
    /// JSON.
    pub config: String,
    pub event_type: String,
    pub input: Bytes,
    pub expect: Verdict,
}

impl Example {
    /// The event that every example is run with, here and in the tests of plugin authors: it happened at
    /// 2026-03-22T08:30:00Z, and the attempt began a second later.
    pub fn event(&self) -> Event<'_> {
        Event {
            id: "evt_example",
            event_type: &self.event_type,
            tenant: "default",
            timestamp: Timestamp::from_secs(1_774_168_200),
            attempted_at: Timestamp::from_secs(1_774_168_201),
            attempt: 1,
            channels: &[],
            attributes: &[],
        }
    }

    /// The payload as the first link of a chain gets it.
    pub fn message(&self) -> Message {
        Message {
            method: None,
            path_and_query: None,
            content_type: "application/json".into(),
            headers: Vec::new(),
            body: self.input.clone(),
        }
    }
}
