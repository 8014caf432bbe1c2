//! The chain of transforms: from an event to the message that goes out, or to the reason why none does.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::attempt::{Outcome, PluginRun, Task};
use crate::book::usage::named;
use crate::endpoint::{Endpoint, OnFailure, Transform};
use crate::event::Event;
use crate::id::{EndpointId, EventId, WebhookId};
use crate::message::{Message, WEBHOOK_ID};
use crate::plugin::{
    self, Answer, Call, Catalog, Failure, FailureKind, Judgement, Plugin, Run, Snapshot, Verdict,
};
use crate::terms::{self, Allowance};
use crate::time::Timestamp;

/// Longest code of a failure that is shown.
const MAX_CODE_LENGTH: usize = 64;

/// What a chain came to.
#[derive(Debug)]
pub enum Shaped<'e> {
    /// This goes out, and who judges the answer to it.
    Message(Message, Option<Judge<'e>>),
    /// Nothing does.
    Ended(Outcome),
}

/// What an attempt is about, beside its endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Occasion<'a> {
    pub event: &'a Event,
    pub webhook_id: WebhookId,
    /// 1 for the first attempt.
    pub number: u32,
    pub started: Timestamp,
}

/// Is told of each link as the chain runs.
pub trait Observer {
    /// A link has run; `why` it dropped or rejected the message, or failed; and `message` is what there is after it.
    fn ran(&mut self, run: PluginRun, why: Option<&str>, message: &Message);
}

/// The runs of the links, and what they cost in all.
#[derive(Debug, Default)]
pub struct Runs {
    pub runs: Vec<PluginRun>,
    pub duration: Duration,
}

/// The last link, of those that took part, that reads answers.
#[derive(Debug)]
pub struct Judge<'e> {
    plugin: &'e Plugin,
    /// As the chain names it.
    pub name: &'e str,
    config: &'e str,
    limits: Allowance,
    timestamp: Timestamp,
    seed: [u8; 32],
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
    // One snapshot for the whole chain: what is activated meanwhile is for the next attempt.
    resolve_in(&catalog.snapshot(), endpoint)
}

/// As [`resolve`], as the plugins stood at one moment.
pub fn resolve_in(plugins: &Snapshot, endpoint: &Endpoint) -> Result<Vec<Plugin>, Missing> {
    if endpoint.terms.version_lost {
        return Err(Missing::Version);
    }
    let links = endpoint.terms.links().map(|transform| {
        find(plugins, &transform.plugin).ok_or_else(|| Missing::Plugin(transform.plugin.clone()))
    });
    links.collect()
}

/// Runs the chain, of its steps those that the event's type takes. `plugins` are those of its links, as [`resolve`] gave
/// them.
pub async fn shape<'e>(
    plugins: &'e [Plugin],
    endpoint: &'e Endpoint,
    occasion: Occasion<'_>,
    observer: &mut impl Observer,
) -> Shaped<'e> {
    let Occasion { event, webhook_id, number, started } = occasion;
    let mut message = Message::of_payload(event.payload.clone());
    let mut judge = None;
    if plugins.is_empty() {
        return Shaped::Message(message, judge);
    }
    let id = event.id.to_string();
    let channels: Vec<String> = event.channels.iter().map(|channel| channel.as_str().to_owned()).collect();
    let about = plugin::Event {
        id: &id,
        event_type: event.event_type.as_str(),
        tenant: event.tenant.as_str(),
        timestamp: event.timestamp,
        attempted_at: started,
        attempt: number,
        channels: &channels,
        attributes: &[(WEBHOOK_ID.to_owned(), webhook_id.to_string())],
    };
    for (link, plugin) in links(endpoint).zip(plugins).filter(|(link, _)| link.concerns(event)) {
        let transform = link.transform();
        let (config, seed) = (transform.config.expose(), link.seed(event.id, endpoint.id));
        let call = Call { event: about, message: &message, config, seed };
        let run = plugin.transform_within(call, transform.limits).await;
        if run.result.is_ok() && plugin.exports_judge() {
            let (name, timestamp) = (transform.plugin.as_str(), event.timestamp);
            judge = Some(Judge { plugin, name, config, limits: transform.limits, timestamp, seed });
        }
        let record = record(plugin, &run, Task::Transform, verdict_word);
        let why = why(&run.result);
        let mut ended = None;
        match follow(transform, run.result) {
            Next::Same => {}
            Next::Replaced(replaced) => message = replaced,
            Next::Ended(outcome) => ended = Some(outcome),
        }
        observer.ran(record, why.as_deref(), &message);
        if let Some(outcome) = ended {
            return Shaped::Ended(outcome);
        }
    }
    Shaped::Message(message, judge)
}

/// A plugin by its name, or by its name and digest: `flatten@sha256:...`.
pub fn find(plugins: &Snapshot, plugin: &str) -> Option<Plugin> {
    match named(plugin) {
        (name, Some(digest)) => plugins.pinned(digest).filter(|found| found.name() == name),
        (name, None) => plugins.active(name),
    }
}

fn links(endpoint: &Endpoint) -> impl Iterator<Item = Link<'_>> {
    let steps = endpoint.terms.steps.iter().map(|step| Link::Step(step));
    steps.chain((0_u16..).zip(&endpoint.terms.transforms).map(|(place, own)| Link::Own(place, own)))
}

/// A link of a chain.
enum Link<'e> {
    Step(&'e terms::Step),
    /// One of the transforms, and its place among them.
    Own(u16, &'e Transform),
}

impl<'e> Link<'e> {
    fn transform(&self) -> &'e Transform {
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

impl Judge<'_> {
    /// What the plugin makes of an answer, and the record of its run.
    pub async fn ask(&self, heard: &Heard<'_>) -> (Result<Judgement, Failure>, PluginRun) {
        let answer = Answer {
            status: heard.status,
            headers: &heard.headers,
            body: heard.body,
            config: self.config,
            timestamp: self.timestamp,
            seed: self.seed,
        };
        let run = self.plugin.judge_within(answer, self.limits).await;
        let record = record(self.plugin, &run, Task::Judge, |judgement| judgement.word());
        (run.result, record)
    }
}

/// What came back, as a plugin gets to see it.
#[derive(Debug)]
pub struct Heard<'a> {
    status: u16,
    headers: Vec<(String, String)>,
    body: &'a [u8],
}

impl<'a> Heard<'a> {
    /// Of the body, the first `limit` bytes.
    pub fn answer(status: u16, headers: &HeaderMap, body: &'a Bytes, limit: usize) -> Self {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        Self { status, headers: headers.collect(), body: &body[..body.len().min(limit)] }
    }

    /// No answer came: the body is the word that says why.
    pub fn nothing(kind: &'static str) -> Self {
        Self { status: 0, headers: Vec::new(), body: kind.as_bytes() }
    }
}

impl Observer for Runs {
    fn ran(&mut self, run: PluginRun, _: Option<&str>, _: &Message) {
        self.duration += run.duration;
        self.runs.push(run);
    }
}

fn record<T>(plugin: &Plugin, run: &Run<T>, task: Task, word: impl FnOnce(&T) -> &'static str) -> PluginRun {
    PluginRun {
        task,
        plugin: plugin.name().to_owned(),
        version: plugin.version().to_owned(),
        digest: plugin.digest().to_owned(),
        // Never the plugin's own code: the word is a label of the metrics.
        verdict: run.result.as_ref().map_or_else(|failure| failure.kind.as_str(), word).to_owned(),
        duration: run.time,
        memory_peak: run.memory_peak as u64,
        log: run.log.iter().map(|line| (line.level.as_str().to_owned(), line.text.clone())).collect(),
    }
}

fn why(result: &Result<Verdict, Failure>) -> Option<String> {
    match result {
        Ok(Verdict::Pass | Verdict::Replace(_)) => None,
        Ok(Verdict::Drop(reason) | Verdict::Reject(reason)) => Some(reason.clone()),
        Err(failure) => Some(failure.message.clone()),
    }
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Replace(_) => "replace",
        Verdict::Drop(_) => "drop",
        Verdict::Reject(_) => "reject",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::VersionName;
    use crate::secret::Secret;

    fn transform() -> Transform {
        Transform {
            plugin: "a".into(),
            config: Secret::new("{}"),
            on_failure: OnFailure::Retry,
            limits: Allowance::default(),
        }
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
