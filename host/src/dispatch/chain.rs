//! The chain of transforms: from an event to the message that goes out, or to the reason why none does.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::attempt::{Outcome, PluginRun};
use crate::endpoint::{Endpoint, OnFailure, Transform};
use crate::event::Event;
use crate::id::{EndpointId, EventId};
use crate::message::Message;
use crate::plugin::{self, Call, Catalog, Failure, FailureKind, Plugin, Run, Verdict};
use crate::time::Timestamp;

/// Longest code of a failure that is shown.
const MAX_CODE_LENGTH: usize = 64;

/// What a chain came to.
#[derive(Debug)]
pub enum Shaped {
    /// This goes out.
    Message(Message),
    /// Nothing does.
    Ended(Outcome),
}

/// The runs of the links, and what they cost in all.
#[derive(Debug, Default)]
pub struct Runs {
    pub runs: Vec<PluginRun>,
    pub duration: Duration,
}

/// A plugin of an endpoint's chain is not there: its deliveries are held until it is.
#[derive(Debug, thiserror::Error)]
#[error("There is no plugin `{plugin}`.")]
pub struct Missing {
    pub plugin: String,
}

/// The plugins of an endpoint's chain, as they stand now, in its order.
pub fn resolve(catalog: &Catalog, endpoint: &Endpoint) -> Result<Vec<Plugin>, Missing> {
    let links = endpoint.terms.transforms.iter().map(|transform| {
        find(catalog, &transform.plugin).ok_or_else(|| Missing { plugin: transform.plugin.clone() })
    });
    links.collect()
}

/// Runs the chain. `links` are its plugins.
pub async fn shape(
    links: &[Plugin],
    endpoint: &Endpoint,
    event: &Event,
    attempt: u32,
    attempted_at: Timestamp,
) -> (Shaped, Runs) {
    let mut runs = Runs::default();
    let mut message = Message::of_payload(event.payload.clone());
    if endpoint.terms.transforms.is_empty() {
        return (Shaped::Message(message), runs);
    }
    let id = event.id.to_string();
    let channels: Vec<String> = event.channels.iter().map(|channel| channel.as_str().to_owned()).collect();
    let about = plugin::Event {
        id: &id,
        event_type: event.event_type.as_str(),
        tenant: event.tenant.as_str(),
        timestamp: event.timestamp,
        attempted_at,
        attempt,
        channels: &channels,
        attributes: &[],
    };
    for (link, (transform, plugin)) in (0_u16..).zip(endpoint.terms.transforms.iter().zip(links)) {
        let call = Call {
            event: about,
            message: &message,
            config: transform.config.expose(),
            seed: seed(event.id, endpoint.id, link),
        };
        let run = plugin.transform(call).await;
        runs.note(plugin, &run);
        match follow(transform, run.result) {
            Step::Same => {}
            Step::Replaced(replaced) => message = replaced,
            Step::Ended(outcome) => return (Shaped::Ended(outcome), runs),
        }
    }
    (Shaped::Message(message), runs)
}

/// A plugin by its name, or by its name and digest: `flatten@sha256:...`.
pub fn find(catalog: &Catalog, plugin: &str) -> Option<Plugin> {
    match plugin.split_once("@sha256:") {
        Some((name, digest)) => catalog.pinned(digest).filter(|found| found.name() == name),
        None => catalog.get(plugin),
    }
}

enum Step {
    Same,
    Replaced(Message),
    Ended(Outcome),
}

fn follow(transform: &Transform, result: Result<Verdict, Failure>) -> Step {
    let plugin = transform.plugin.clone();
    match result {
        Ok(Verdict::Pass) => Step::Same,
        Ok(Verdict::Replace(message)) => Step::Replaced(message),
        Ok(Verdict::Drop(reason)) => Step::Ended(Outcome::Filtered { plugin, reason }),
        Ok(Verdict::Reject(reason)) => Step::Ended(Outcome::Rejected { plugin, reason }),
        Err(_) if transform.on_failure == OnFailure::Pass => Step::Same,
        Err(failure) => {
            let retry = transform.on_failure == OnFailure::Retry;
            Step::Ended(Outcome::PluginFailed {
                plugin,
                kind: word(&failure.kind),
                message: failure.message,
                retry,
            })
        }
    }
}

fn word(kind: &FailureKind) -> String {
    match kind {
        // The contract asks for such a word; other text could hold anything.
        FailureKind::Error { code } if is_word(code) => code.clone(),
        kind => kind.as_str().to_owned(),
    }
}

fn is_word(code: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    (1..=MAX_CODE_LENGTH).contains(&code.len()) && code.bytes().all(fits)
}

/// Everything random that a link sees comes from here, so that each attempt sees the same.
fn seed(event: EventId, endpoint: EndpointId, link: u16) -> [u8; 32] {
    Sha256::new()
        .chain_update(event.as_u128().to_be_bytes())
        .chain_update(endpoint.as_u128().to_be_bytes())
        .chain_update(link.to_be_bytes())
        .finalize()
        .into()
}

impl Runs {
    fn note(&mut self, plugin: &Plugin, run: &Run) {
        self.duration += run.time;
        self.runs.push(PluginRun {
            plugin: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            digest: plugin.digest().to_owned(),
            verdict: verdict_word(&run.result),
            duration: run.time,
            log: run.log.iter().map(|line| (line.level.as_str().to_owned(), line.text.clone())).collect(),
        });
    }
}

fn verdict_word(result: &Result<Verdict, Failure>) -> String {
    match result {
        Ok(Verdict::Pass) => "pass".to_owned(),
        Ok(Verdict::Replace(_)) => "replace".to_owned(),
        Ok(Verdict::Drop(_)) => "drop".to_owned(),
        Ok(Verdict::Reject(_)) => "reject".to_owned(),
        // Never the plugin's own code: the word is a label of the metrics.
        Err(failure) => failure.kind.as_str().to_owned(),
    }
}
