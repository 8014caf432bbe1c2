//! Dry runs: a chain on an event as an attempt would run it, up to the request, which nobody sends. Nothing is kept and
//! nothing is counted.

use std::sync::{Arc, Weak};

use tokio::sync::Semaphore;

use crate::attempt::{Outcome, PluginRun, RequestRecord};
use crate::endpoint::Endpoint;
use crate::message::Message;
use crate::plugin::Plugin;

use super::chain::{self, Missing, Observer, Occasion, Shaped};
use super::redact::Redactor;
use super::request::{BuildError, Outfit};
use super::tries::unsendable;
use super::worker::Workshop;

/// Makes dry runs, so many at once and no more.
pub struct Rehearsal {
    /// Not held between runs: the store is closed once nobody has the workshop any more.
    workshop: Weak<Workshop>,
    room: Semaphore,
}

/// What came of a dry run. Secrets are masked.
#[derive(Debug)]
pub struct Rehearsed {
    /// The links that ran, in their order.
    pub links: Vec<LinkRun>,
    pub end: End,
}

/// One link's run.
#[derive(Debug)]
pub struct LinkRun {
    pub run: PluginRun,
    /// Why it dropped or rejected the message, or failed.
    pub why: Option<String>,
    /// What there was after it.
    pub message: Message,
}

/// How it would go on.
#[derive(Debug)]
pub enum End {
    /// This would be sent, with its whole body.
    Request(RequestRecord),
    /// Nothing would.
    Nothing(Outcome),
}

/// Why there was no dry run.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "As many dry runs are under way as there may be at once (`plugin.max_dry_runs`); try again soon."
    )]
    Full,
    #[error("The server is stopping.")]
    Stopping,
    #[error(transparent)]
    Missing(#[from] Missing),
}

impl Rehearsal {
    pub(super) fn new(workshop: &Arc<Workshop>, at_once: usize) -> Self {
        Self { workshop: Arc::downgrade(workshop), room: Semaphore::new(at_once) }
    }

    /// Runs the endpoint's chain, whether or not the endpoint is enabled or stored at all.
    pub async fn run(&self, endpoint: &Endpoint, occasion: Occasion<'_>) -> Result<Rehearsed, Refused> {
        let _room = self.room.try_acquire().map_err(|_| Refused::Full)?;
        let workshop = self.workshop.upgrade().ok_or(Refused::Stopping)?;
        let plugins = chain::resolve(&workshop.catalog, endpoint)?;
        let _turn = workshop.turns.take(endpoint).await;
        Ok(perform(endpoint, &plugins, occasion).await)
    }
}

/// Runs a chain on an event, up to the request. `plugins` are those of its links, as [`chain::resolve`] gave them.
async fn perform(endpoint: &Endpoint, plugins: &[Plugin], occasion: Occasion<'_>) -> Rehearsed {
    let outfit = match Outfit::new(endpoint) {
        Ok(outfit) => outfit,
        Err(error) => return Rehearsed { links: Vec::new(), end: End::Nothing(unsendable(&error)) },
    };
    let mut links = Vec::new();
    let end = match chain::shape(plugins, endpoint, occasion, &mut links).await {
        Shaped::Message(message, _) => match request(&outfit, endpoint, message, occasion) {
            Ok(record) => End::Request(record),
            Err(error) => End::Nothing(unsendable(&error)),
        },
        Shaped::Ended(outcome) => End::Nothing(outfit.redactor.outcome(outcome)),
    };
    let links = links.into_iter().map(|link| masked(&outfit.redactor, link)).collect();
    Rehearsed { links, end }
}

impl Observer for Vec<LinkRun> {
    fn ran(&mut self, run: PluginRun, why: Option<&str>, message: &Message) {
        self.push(LinkRun { run, why: why.map(str::to_owned), message: message.clone() });
    }
}

fn request(
    outfit: &Outfit,
    endpoint: &Endpoint,
    message: Message,
    occasion: Occasion<'_>,
) -> Result<RequestRecord, BuildError> {
    let request = outfit.request(endpoint, message, occasion.webhook_id, occasion.started)?;
    Ok(outfit.redactor.request(&request, &occasion.event.payload, usize::MAX))
}

fn masked(redactor: &Redactor, link: LinkRun) -> LinkRun {
    let LinkRun { run, why, message } = link;
    LinkRun {
        run: redactor.run(run),
        why: why.map(|why| redactor.text(&why)),
        message: redactor.message(message),
    }
}
