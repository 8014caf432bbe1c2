//! One try: shape, sign, send, and read the answer. Steps 7 to 9 of a payload's way, for deliveries and test events
//! alike.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tracing::warn;

use crate::attempt::{
    Attempt, Outcome, PluginRun, RequestRecord, ResponseRecord, Timing, Warning, Warnings, is_near_timeout,
};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::id::{DeliveryId, WebhookId};
use crate::message::Message;
use crate::send;
use crate::time::Timestamp;

use super::chain::{self, Missing, Shaped};
use super::request::{BuildError, Outfit};
use super::worker::Workshop;

/// What tells a receiver that a message is a test. No endpoint and no plugin can set a header of this prefix.
pub const TEST_HEADER: HeaderName = HeaderName::from_static("webhook-test");

/// What is to be tried.
#[derive(Debug, Clone, Copy)]
pub struct Try<'a> {
    pub endpoint: &'a Arc<Endpoint>,
    pub event: &'a Event,
    /// For the log alone.
    pub delivery: DeliveryId,
    pub webhook_id: WebhookId,
    /// 1 for the first.
    pub number: u32,
    pub started: Timestamp,
    /// It says so of itself, in [`TEST_HEADER`].
    pub is_test: bool,
}

/// What came of it, before it is judged. The endpoint's secrets are masked.
#[derive(Debug)]
pub struct Tried {
    pub outcome: Outcome,
    pub request: Option<RequestRecord>,
    pub response: Option<ResponseRecord>,
    pub timing: Timing,
    pub plugins: Vec<PluginRun>,
    pub warnings: Warnings,
}

impl Workshop {
    /// # Errors
    ///
    /// Where a plugin of the chain is not there; nothing was sent then.
    pub async fn make_try(&self, this: Try<'_>) -> Result<Tried, Missing> {
        let outfit = match self.wardrobe.outfit(this.endpoint) {
            Ok(outfit) => outfit,
            Err(error) => return Ok(Tried::without_request(unsendable(&error))),
        };
        let links = chain::resolve(&self.catalog, this.endpoint)?;
        let (shaped, runs) = {
            let _turn = self.turns.take(this.endpoint).await;
            chain::shape(&links, this.endpoint, this.event, this.number, this.started).await
        };
        let tried = match shaped {
            Shaped::Message(message) => self.send(this, &outfit, message).await,
            Shaped::Ended(outcome) => Tried::without_request(outcome),
        };
        let transform = (!runs.runs.is_empty()).then_some(runs.duration);
        Ok(Tried {
            outcome: outfit.redactor.outcome(tried.outcome),
            timing: Timing { transform, ..tried.timing },
            plugins: outfit.redactor.runs(runs.runs),
            ..tried
        })
    }

    async fn send(&self, this: Try<'_>, outfit: &Outfit, message: Message) -> Tried {
        let Try { endpoint, event, .. } = this;
        let mut request = match outfit.request(endpoint, message, this.webhook_id, this.started) {
            Ok(request) => request,
            Err(error) => return Tried::without_request(unsendable(&error)),
        };
        if this.is_test {
            request.headers.insert(TEST_HEADER, HeaderValue::from_static("true"));
        }
        let redactor = &outfit.redactor;
        let record = redactor.request(&request, &event.payload, self.settings.stored_request_body);
        let sent_at = self.clock.now();
        let exchange = self.client.send(request).await;
        let spent = self.clock.now().since(sent_at);
        let near_timeout = exchange.result.is_ok() && is_near_timeout(spent, endpoint.terms.timeout);
        let answer = exchange.result.as_ref().ok();
        let response = answer.map(|answer| redactor.response(answer, self.settings.stored_answer_body));
        let truncated = response.as_ref().is_some_and(|response| response.truncated);
        let times = exchange.times;
        Tried {
            outcome: self.outcome(this, exchange.result),
            request: Some(record),
            response,
            timing: Timing {
                dns: times.dns,
                connect: times.connect,
                tls: times.tls,
                first_byte: times.first_byte,
                ..Timing::default()
            },
            plugins: Vec::new(),
            warnings: Warnings::NONE
                .with_if(near_timeout, Warning::NearTimeout)
                .with_if(truncated, Warning::AnswerTruncated),
        }
    }

    fn outcome(&self, this: Try<'_>, result: Result<send::Answer, send::Fault>) -> Outcome {
        match result {
            Ok(answer) => {
                let asked = send::retry_after(&answer.headers, self.clock.now().as_secs());
                Outcome::of_answer(answer.status, &this.endpoint.terms.success, asked)
            }
            Err(fault) => {
                if let Some(hint) = &fault.hint {
                    // For the operator alone: it may name addresses of the operator's network.
                    let kind = fault.kind.as_str();
                    warn!(delivery = %this.delivery, endpoint = %this.endpoint.id, kind, hint);
                }
                Outcome::Unreachable { kind: fault.kind.as_str().to_owned(), message: fault.message }
            }
        }
    }
}

impl Tried {
    fn without_request(outcome: Outcome) -> Self {
        Self {
            outcome,
            request: None,
            response: None,
            timing: Timing::default(),
            plugins: Vec::new(),
            warnings: Warnings::NONE,
        }
    }

    /// As it is kept and shown.
    pub fn into_attempt(self, number: u32, started_at: Timestamp, duration: Duration) -> Attempt {
        Attempt {
            number,
            started_at,
            duration,
            outcome: self.outcome,
            request: self.request,
            response: self.response,
            timing: self.timing,
            plugins: self.plugins,
            warnings: self.warnings,
        }
    }
}

fn unsendable(error: &BuildError) -> Outcome {
    let message = format!("No request could be made: {error}.");
    Outcome::Unreachable { kind: "invalid_request".to_owned(), message }
}
