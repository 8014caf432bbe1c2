//! Attempts as they are shown.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::Serialize;

use crate::attempt::{Attempt, BodyRecord, PluginRun, RequestRecord, ResponseRecord, Timing, Warning};
use crate::trouble::Trouble;

#[derive(Debug, Serialize)]
pub(in crate::api) struct AttemptView {
    number: u32,
    started_at: String,
    duration_ms: f64,
    outcome: &'static str,
    /// What kind of failure it was, where there are kinds.
    kind: Option<String>,
    /// Why it did not arrive.
    reason: Option<String>,
    status: Option<u16>,
    retry_after_s: Option<u64>,
    request: Option<RequestView>,
    response: Option<ResponseView>,
    timing_ms: TimingView,
    plugins: Vec<PluginView>,
    /// What to look at before it becomes trouble.
    warnings: Vec<&'static str>,
    /// What a person can do about it, where it did not arrive.
    hint: Option<&'static str>,
}

#[derive(Debug, Serialize)]
pub(in crate::api) struct RequestView {
    method: String,
    /// `None` where nobody said where it would go.
    pub url: Option<String>,
    pub headers: Vec<(String, String)>,
    body: BodyView,
}

#[derive(Debug, Serialize)]
struct ResponseView {
    status: u16,
    headers: Vec<(String, String)>,
    body: BodyView,
}

/// A body: the text itself, or the base64 of what is no UTF-8.
#[derive(Debug, PartialEq, Serialize)]
pub(in crate::api) struct BodyView {
    encoding: &'static str,
    content: String,
    /// Bytes in all, where that is known.
    length: Option<u64>,
    /// There was more than is shown.
    truncated: bool,
}

#[derive(Debug, Serialize)]
struct TimingView {
    queue: Option<f64>,
    transform: Option<f64>,
    dns: Option<f64>,
    connect: Option<f64>,
    tls: Option<f64>,
    first_byte: Option<f64>,
}

#[derive(Debug, Serialize)]
pub(in crate::api) struct PluginView {
    /// `transform`, or `judge` where it was asked what the answer means.
    task: &'static str,
    plugin: String,
    version: String,
    digest: String,
    verdict: String,
    duration_ms: f64,
    memory_bytes: u64,
    log: Vec<LogView>,
}

#[derive(Debug, Serialize)]
struct LogView {
    level: String,
    line: String,
}

impl AttemptView {
    pub fn of(attempt: &Attempt, payload: &Bytes) -> Self {
        let status = attempt.response.as_ref().map(|response| response.status);
        Self {
            number: attempt.number,
            started_at: attempt.started_at.to_string(),
            duration_ms: millis(attempt.duration),
            outcome: attempt.outcome.word(),
            kind: attempt.outcome.kind().map(str::to_owned),
            reason: attempt.outcome.reason(),
            status,
            retry_after_s: attempt.outcome.retry_after().map(|pause| pause.as_secs()),
            request: attempt.request.as_ref().map(|request| RequestView::of(request, payload)),
            response: attempt.response.as_ref().map(ResponseView::of),
            timing_ms: TimingView::of(attempt.timing),
            plugins: attempt.plugins.iter().map(PluginView::of).collect(),
            warnings: attempt.warnings.iter().map(Warning::word).collect(),
            hint: Trouble::of(&attempt.outcome).map(Trouble::hint),
        }
    }
}

impl RequestView {
    pub fn of(request: &RequestRecord, payload: &Bytes) -> Self {
        let (kept, length) = match &request.body {
            BodyRecord::Payload => (payload, payload.len() as u64),
            BodyRecord::Bytes { kept, length } => (kept, *length),
        };
        Self {
            method: request.method.clone(),
            url: Some(request.url.clone()),
            headers: request.headers.clone(),
            body: BodyView::of(kept, Some(length), (kept.len() as u64) < length),
        }
    }
}

impl ResponseView {
    fn of(response: &ResponseRecord) -> Self {
        let length = (!response.truncated).then_some(response.body.len() as u64);
        Self {
            status: response.status,
            headers: response.headers.clone(),
            body: BodyView::of(&response.body, length, response.truncated),
        }
    }
}

impl BodyView {
    /// The first `limit` bytes.
    pub fn cut(bytes: &[u8], limit: usize) -> Self {
        let kept = &bytes[..bytes.len().min(limit)];
        Self::of(kept, Some(bytes.len() as u64), kept.len() < bytes.len())
    }

    /// The first ones of so many bytes.
    pub fn part(kept: &[u8], length: usize) -> Self {
        Self::of(kept, Some(length as u64), kept.len() < length)
    }

    fn of(bytes: &[u8], length: Option<u64>, truncated: bool) -> Self {
        match text(bytes, truncated) {
            Some(text) => Self { encoding: "utf-8", content: text.into_owned(), length, truncated },
            None => Self { encoding: "base64", content: BASE64.encode(bytes), length, truncated },
        }
    }
}

/// A cut may fall into the middle of a character; that character is left out.
fn text(bytes: &[u8], truncated: bool) -> Option<Cow<'_, str>> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.into()),
        Err(error) if truncated && error.error_len().is_none() => {
            Some(String::from_utf8_lossy(&bytes[..error.valid_up_to()]))
        }
        Err(_) => None,
    }
}

impl TimingView {
    fn of(timing: Timing) -> Self {
        Self {
            queue: timing.queue.map(millis),
            transform: timing.transform.map(millis),
            dns: timing.dns.map(millis),
            connect: timing.connect.map(millis),
            tls: timing.tls.map(millis),
            first_byte: timing.first_byte.map(millis),
        }
    }
}

impl PluginView {
    pub fn of(run: &PluginRun) -> Self {
        let line = |(level, line): &(String, String)| LogView { level: level.clone(), line: line.clone() };
        Self {
            task: run.task.word(),
            plugin: run.plugin.clone(),
            version: run.version.clone(),
            digest: run.digest.clone(),
            verdict: run.verdict.clone(),
            duration_ms: millis(run.duration),
            memory_bytes: run.memory_peak,
            log: run.log.iter().map(line).collect(),
        }
    }
}

fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_text_where_they_can_be() {
        let table: [(&[u8], bool, &str, &str); 5] = [
            (b"abc", false, "utf-8", "abc"),
            ("ä".as_bytes(), false, "utf-8", "ä"),
            (&"aä".as_bytes()[..2], true, "utf-8", "a"),
            (&"aä".as_bytes()[..2], false, "base64", "YcM="),
            (b"\xff\x00", true, "base64", "/wA="),
        ];
        for (bytes, truncated, encoding, content) in table {
            let view = BodyView::of(bytes, None, truncated);
            assert_eq!((view.encoding, view.content.as_str()), (encoding, content));
        }
    }
}
