//! Write plugins for Hookwright, the self-hosted webhook delivery server: small WebAssembly components that filter
//! and reshape what it sends.
//!
//! # A plugin in one file
//!
//! A plugin is a function from an event, a message and a configuration to a [`Verdict`]. Depend on
//! `hookwright-plugin` and `serde`, make the crate a `cdylib`, and write
//!
//! ```
//! use hookwright_plugin::prelude::*;
//!
//! /// What a user writes under `"config"` in an endpoint's transform.
//! #[derive(Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields, default)]
//! pub struct Config {
//!     /// The member of the payload that becomes the text.
//!     path: Path,
//! }
//!
//! impl Default for Config {
//!     fn default() -> Self {
//!         Self { path: Path::parse("message").expect("a path") }
//!     }
//! }
//!
//! #[derive(Serialize)]
//! struct Body<'a> {
//!     text: &'a str,
//! }
//!
//! fn say(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
//!     let payload = message.tree()?;
//!     let Some(text) = config.path.find(event, &payload) else {
//!         return Ok(Verdict::drop(format!("The payload has no {}.", config.path)));
//!     };
//!     Verdict::json(message, &Body { text: &text.display() })
//! }
//!
//! hookwright_plugin::plugin! {
//!     summary: "Sends one member of the payload as text.",
//!     config: Config,
//!     transform: say,
//!     examples: [
//!         Example::new("A notification", "notification.created", r#"{"message":"Review it"}"#)
//!             .becomes(r#"{"text":"Review it"}"#),
//!         Example::new("Another member", "case.created", r#"{"title":"Missing tax ID"}"#)
//!             .config(r#"{"path":"title"}"#)
//!             .becomes(r#"{"text":"Missing tax ID"}"#),
//!         Example::new("Nothing to say", "case.created", "{}").drops("The payload has no message."),
//!     ],
//! }
//!
//! // In your crate this is a test, and `cargo test` runs it without a host:
//! fn main() {
//!     hookwright_plugin::test::run_examples::<Plugin>();
//! }
//! ```
//!
//! `hookwright plugin new NAME` writes a project of this kind, with this crate beside it, and these commands see it
//! through:
//!
//! ```text
//! hookwright plugin test              # builds it, runs its examples and cases/*.json in the server's own engine
//! hookwright plugin run . --input '{"message":"Review it"}'
//! hookwright plugin inspect .         # what it says, imports and costs
//! hookwright plugin push              # to a running server
//! ```
//!
//! By hand it is `cargo build --release --target wasm32-wasip2`, and the `.wasm` file goes into the server's
//! plugins folder. The file's stem is the plugin's name, as is the package's.
//!
//! # What a plugin can count on
//!
//! It is a pure function: no network, no files, no environment, a clock that stands still at the event's
//! timestamp. Each call gets a fresh instance, so nothing stays from one call to the next, and whatever is set
//! up before the work is set up every time: prefer a `match` or a sorted slice to a map in a static. Time,
//! memory and output are bounded by the host.
//!
//! # Saying no
//!
//! | to say | write | the delivery |
//! |---|---|---|
//! | leave the message as it is | `Ok(Verdict::Pass)` | goes on; nothing is copied |
//! | send this instead | [`Verdict::json`], [`Verdict::body`], `Verdict::Replace` | goes on |
//! | not for this endpoint | [`Verdict::drop`] | ends as filtered, a success |
//! | it can never be delivered | [`Verdict::reject`] | ends as failed, without a retry |
//! | the plugin could not do its work | `?`, or [`Failure::new`] | as the endpoint's `on_failure` says |
//!
//! # Where to look next
//!
//! * [`plugin!`]: everything that a plugin can declare, `judge` among it, which reads the target's answer.
//! * [`json`]: payloads whose numbers and order survive. [`Path`] and [`Template`] are ready to be members of
//!   a configuration, and [`Path::require`] fails with the name of what is missing. [`Timestamp`] rewrites times.
//! * [`text`] escapes and cuts for targets with limits, by characters, UTF-16 units or bytes. [`card`] is what
//!   plugins for people share: title, text, fields and a link.
//! * [`body`]: forms, NDJSON and the parts of URLs.
//! * The configuration's schema says what is shown again: texts that it knows, but for those that
//!   `#[schemars(extend("writeOnly" = true))]` marks. Mark every credential.
//! * [`config::Check`] collects what is wrong with a configuration, each with its place.
//! * [`info!`] and its kin write to the plugin log of the attempt, which the server shows beside the request.
//! * [`test`](mod@test): call a plugin natively.
#![warn(missing_docs)]

pub mod body;
pub mod card;
pub mod config;
pub mod json;
pub mod log;
pub mod test;
pub mod text;
pub mod time;

mod answer;
mod example;
mod failure;
mod path;
mod plugin;
mod template;
mod verdict;

#[doc(hidden)]
pub mod bindings;

pub use answer::{Answer, Fault, Judgement};
pub use config::ConfigError;
pub use example::Example;
pub use failure::Failure;
pub use path::Path;
pub use plugin::Plugin;
pub use template::Template;
pub use time::Timestamp;
pub use verdict::{Event, JSON, Message, Verdict};

#[doc(hidden)]
pub use plugin::Exports;
#[doc(no_inline)]
pub use schemars;
#[doc(no_inline)]
pub use serde_json;

/// The result of a transform.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// `use hookwright_plugin::prelude::*;` brings what most plugins name.
pub mod prelude {
    #[doc(no_inline)]
    pub use crate::{
        Answer, ConfigError, Event, Example, Failure, Judgement, Message, Path, Result, Template, Timestamp,
        Verdict, json, schemars,
    };
    #[doc(no_inline)]
    pub use schemars::JsonSchema;
    #[doc(no_inline)]
    pub use serde::{Deserialize, Serialize};
}
