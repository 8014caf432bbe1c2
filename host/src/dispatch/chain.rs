//! The chain of transforms: from an event to the message that goes out, or to the reason why none does.

use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::attempt::{Outcome, PluginRun};
use crate::book::usage::named;
use crate::endpoint::{Endpoint, OnFailure, Transform};
use crate::event::Event;
use crate::id::{EndpointId, EventId};
use crate::message::Message;
use crate::plugin::{self, Call, Catalog, Failure, FailureKind, Plugin, Run, Snapshot, Verdict};
use crate::terms;
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

/// An endpoint's chain cannot run: its deliveries are held until it can.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    #[error("There is no plugin `{0}`.")]
    Plugin(String),
    #[error("The catalogue no longer names the version that the endpoint is pinned to.")]
    Version,
}

/// The plugins of an endpoint's chain, as they stand now, in its order: those of all steps that take payloads back to its
/// version, then those of its transforms.
pub fn resolve(catalog: &Catalog, endpoint: &Endpoint) -> Result<Vec<Plugin>, Missing> {
    if endpoint.terms.version_lost {
        return Err(Missing::Version);
    }
    // One snapshot for the whole chain: what is activated meanwhile is for the next attempt.
    let plugins = catalog.snapshot();
    let links = endpoint.terms.links().map(|transform| {
        find(&plugins, &transform.plugin).ok_or_else(|| Missing::Plugin(transform.plugin.clone()))
    });
    links.collect()
}

/// Runs the chain, of its steps those that the event's type takes. `links` are its plugins, as [`resolve`] gave them.
pub async fn shape(
    links: &[Plugin],
    endpoint: &Endpoint,
    event: &Event,
    attempt: u32,
    attempted_at: Timestamp,
) -> (Shaped, Runs) {
    let mut runs = Runs::default();
    let mut message = Message::of_payload(event.payload.clone());
    if links.is_empty() {
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
    let steps = endpoint.terms.steps.iter().map(|step| Link::Step(step));
    let own = (0_u16..).zip(&endpoint.terms.transforms).map(|(place, own)| Link::Own(place, own));
    let taken = steps.chain(own).zip(links).filter(|(link, _)| link.concerns(event));
    for (link, plugin) in taken {
        let transform = link.transform();
        let call = Call {
            event: about,
            message: &message,
            config: transform.config.expose(),
            seed: link.seed(event.id, endpoint.id),
        };
        let run = plugin.transform(call).await;
        runs.note(plugin, &run);
        match follow(transform, run.result) {
            Next::Same => {}
            Next::Replaced(replaced) => message = replaced,
            Next::Ended(outcome) => return (Shaped::Ended(outcome), runs),
        }
    }
    (Shaped::Message(message), runs)
}

/// A plugin by its name, or by its name and digest: `flatten@sha256:...`.
pub fn find(plugins: &Snapshot, plugin: &str) -> Option<Plugin> {
    match named(plugin) {
        (name, Some(digest)) => plugins.pinned(digest).filter(|found| found.name() == name),
        (name, None) => plugins.active(name),
    }
}

/// A link of a chain.
enum Link<'e> {
    Step(&'e terms::Step),
    /// One of the transforms, and its place among them.
    Own(u16, &'e Transform),
}

impl Link<'_> {
    fn transform(&self) -> &Transform {
        match self {
            Link::Step(step) => &step.transform,
            Link::Own(_, transform) => transform,
        }
    }

    fn concerns(&self, event: &Event) -> bool {
        match self {
            Link::Step(step) => step.concerns(&event.event_type),
            Link::Own(..) => true,
        }
    }

    /// Everything random that a link sees comes from here, so that each attempt sees the same. A step's place is within its
    /// version, so that it stays what it was when newer versions come.
    fn seed(&self, event: EventId, endpoint: EndpointId) -> [u8; 32] {
        let hash = Sha256::new()
            .chain_update(event.as_u128().to_be_bytes())
            .chain_update(endpoint.as_u128().to_be_bytes());
        let hash = match self {
            Link::Own(place, _) => hash.chain_update(place.to_be_bytes()),
            Link::Step(step) => {
                hash.chain_update(step.place.to_be_bytes()).chain_update(step.version.as_str())
            }
        };
        hash.finalize().into()
    }
}

enum Next {
    Same,
    Replaced(Message),
    Ended(Outcome),
}

fn follow(transform: &Transform, result: Result<Verdict, Failure>) -> Next {
    let plugin = transform.plugin.clone();
    match result {
        Ok(Verdict::Pass) => Next::Same,
        Ok(Verdict::Replace(message)) => Next::Replaced(message),
        Ok(Verdict::Drop(reason)) => Next::Ended(Outcome::Filtered { plugin, reason }),
        Ok(Verdict::Reject(reason)) => Next::Ended(Outcome::Rejected { plugin, reason }),
        Err(_) if transform.on_failure == OnFailure::Pass => Next::Same,
        Err(failure) => {
            let retry = transform.on_failure == OnFailure::Retry;
            Next::Ended(Outcome::PluginFailed {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::VersionName;
    use crate::secret::Secret;

    fn transform() -> Transform {
        Transform { plugin: "a".into(), config: Secret::new("{}"), on_failure: OnFailure::Retry }
    }

    /// Attempts that began before and after an update have to send the same bytes.
    #[test]
    fn seeds_stay_what_they_were() {
        let (event, endpoint) = (EventId::from_u128(1), EndpointId::from_u128(2));
        let (own, version) = (transform(), VersionName::parse("2").unwrap());
        let before: [u8; 32] = Sha256::new()
            .chain_update(1_u128.to_be_bytes())
            .chain_update(2_u128.to_be_bytes())
            .chain_update(3_u16.to_be_bytes())
            .finalize()
            .into();
        assert_eq!(Link::Own(3, &own).seed(event, endpoint), before);
        let step = terms::Step { version, place: 3, events: Vec::new(), transform: transform() };
        assert_ne!(Link::Step(&step).seed(event, endpoint), before);
    }
}
