//! One try: shape, sign, send, and read the answer. Steps 7 to 9 of a payload's way, for deliveries and test events
//! alike.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tracing::warn;

use crate::attempt::{
    Attempt, Outcome, PluginRun, RequestRecord, ResponseRecord, Ruling, Timing, Warning, Warnings,
    is_near_timeout,
};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::id::{DeliveryId, WebhookId};
use crate::message::Message;
use crate::plugin::Judgement;
use crate::send;
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::chain::{self, Heard, Judge, Missing, Occasion, Runs, Shaped};
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

/// What came of it. The endpoint's secrets are masked.
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
        let plugins = chain::resolve(&self.catalog, this.endpoint)?;
        let mut runs = Runs::default();
        let shaped = {
            let _turn = self.turns.take(this.endpoint).await;
            chain::shape(&plugins, this.endpoint, this.occasion(), &mut runs).await
        };
        let transform = (!runs.runs.is_empty()).then_some(runs.duration);
        let tried = match shaped {
            Shaped::Message(message, judge) => self.send(this, &outfit, message, judge).await,
            Shaped::Ended(outcome) => Tried::without_request(outcome),
        };
        runs.runs.extend(tried.plugins);
        Ok(Tried {
            outcome: outfit.redactor.outcome(tried.outcome),
            timing: Timing { transform, ..tried.timing },
            plugins: outfit.redactor.runs(runs.runs),
            ..tried
        })
    }

    async fn send(
        &self,
        this: Try<'_>,
        outfit: &Outfit,
        message: Message,
        judge: Option<Judge<'_>>,
    ) -> Tried {
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
        self.tell_hint(this, &exchange.result);
        let by_status = self.by_status(this, &exchange.result);
        let judged = self.judge(this, judge, &exchange.result, &by_status).await;
        let judge_failed = judged.as_ref().is_some_and(|judged| judged.ruled.is_err());
        let (ruled, plugins) = match judged {
            Some(Judged { ruled, run }) => (ruled.unwrap_or_default(), vec![run]),
            None => (None, Vec::new()),
        };
        Tried {
            outcome: ruled.unwrap_or(by_status),
            request: Some(record),
            response,
            timing: Timing {
                dns: times.dns,
                connect: times.connect,
                tls: times.tls,
                first_byte: times.first_byte,
                ..Timing::default()
            },
            plugins,
            warnings: Warnings::NONE
                .with_if(judge_failed, Warning::JudgeFailed)
                .with_if(near_timeout, Warning::NearTimeout)
                .with_if(truncated, Warning::AnswerTruncated),
        }
    }

    /// What a plugin of the chain makes of the answer, or of there being none. It is asked of what lies with the receiver
    /// alone: no plugin can judge the operator's proxy.
    async fn judge(
        &self,
        this: Try<'_>,
        judge: Option<Judge<'_>>,
        result: &Result<send::Answer, send::Fault>,
        by_status: &Outcome,
    ) -> Option<Judged> {
        let judge = judge?;
        if Trouble::of(by_status).is_some_and(|trouble| !trouble.is_receivers()) {
            return None;
        }
        let heard = match result {
            Ok(send::Answer { status, headers, body, .. }) => {
                Heard::answer(*status, headers, body, self.settings.judged_answer_body)
            }
            Err(fault) => Heard::nothing(fault.kind.as_str()),
        };
        let _turn = self.turns.take(this.endpoint).await;
        let (judgement, run) = judge.ask(&heard).await;
        let status = result.as_ref().ok().map(|answer| answer.status);
        let ruled = judgement.map(|judgement| ruled(judge.name, judgement, status, by_status)).map_err(drop);
        Some(Judged { ruled, run })
    }

    fn by_status(&self, this: Try<'_>, result: &Result<send::Answer, send::Fault>) -> Outcome {
        match result {
            Ok(answer) => {
                let asked = send::retry_after(&answer.headers, self.clock.now().as_secs());
                Outcome::of_answer(answer.status, &this.endpoint.terms.success, asked)
            }
            Err(fault) => {
                Outcome::Unreachable { kind: fault.kind.as_str().to_owned(), message: fault.message.clone() }
            }
        }
    }

    /// Tells the operator what is for nobody else: it may name addresses of the operator's network.
    fn tell_hint(&self, this: Try<'_>, result: &Result<send::Answer, send::Fault>) {
        if let Err(send::Fault { kind, hint: Some(hint), .. }) = result {
            warn!(delivery = %this.delivery, endpoint = %this.endpoint.id, kind = kind.as_str(), hint);
        }
    }
}

/// What came of asking a plugin about an answer.
struct Judged {
    /// `None`: the status decides; an error: it failed, and the status decides too.
    ruled: Result<Option<Outcome>, ()>,
    run: PluginRun,
}

/// What follows from a plugin's judgement; `None` where the status decides. `by_status` is what would.
fn ruled(plugin: &str, judgement: Judgement, status: Option<u16>, by_status: &Outcome) -> Option<Outcome> {
    let (ruling, reason) = match judgement {
        Judgement::ByStatus => return None,
        Judgement::Delivered => return Some(Outcome::Delivered { status: status.unwrap_or(0) }),
        Judgement::Retry(after) => {
            let after = after.or(by_status.retry_after());
            let answered = || status.map(|status| format!("The receiver answered {status}."));
            (Ruling::Retry { after }, by_status.reason().or_else(answered).unwrap_or_default())
        }
        Judgement::Fail(reason) => (Ruling::Fail, reason),
        Judgement::Disable(reason) => (Ruling::Disable, reason),
    };
    Some(Outcome::Judged { plugin: plugin.to_owned(), status, ruling, reason })
}

impl<'a> Try<'a> {
    fn occasion(&self) -> Occasion<'a> {
        let Self { event, webhook_id, number, started, .. } = *self;
        Occasion { event, webhook_id, number, started }
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

/// What it comes to that no request could be made.
pub fn unsendable(error: &BuildError) -> Outcome {
    let message = format!("No request could be made: {error}.");
    Outcome::Unreachable { kind: "invalid_request".to_owned(), message }
}
