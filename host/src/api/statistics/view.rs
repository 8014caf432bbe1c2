//! Counts as they are shown.

use std::time::Duration;

use serde::Serialize;

use super::{Bucket, Status, Tally, text};
use crate::attempt::Warning;
use crate::event::EventType;
use crate::tally::AnswerTimes;

#[derive(Debug, Serialize)]
pub struct TallyView {
    /// Events that were accepted, also those that nobody subscribes to. 0 where one endpoint is asked about.
    events: u64,
    /// Deliveries that events promised.
    promised: u64,
    /// Of those, the ones whose endpoint was disabled at that moment.
    held: u64,
    replayed: u64,
    delivered: u64,
    failed: u64,
    filtered: u64,
    cancelled: u64,
    attempts: u64,
    failed_attempts: u64,
    /// Attempts behind the first of their delivery.
    retried: u64,
    /// Deliveries that arrived, but not at the first attempt.
    recovered: u64,
    /// Of the attempts that tried to deliver, the part that arrived, in 0 to 1.
    success_rate: Option<f64>,
    /// How long receivers took to answer; `null` where none did.
    answer_ms: Option<AnswerView>,
}

#[derive(Debug, Serialize)]
struct AnswerView {
    count: u64,
    min: f64,
    avg: f64,
    max: f64,
    /// Percentiles are off by a sixteenth at most.
    p50: f64,
    p95: f64,
    p99: f64,
}

#[derive(Debug, Serialize)]
pub struct BucketView {
    start: String,
    #[serde(flatten)]
    tally: TallyView,
}

#[derive(Debug, Serialize)]
pub struct DayView {
    day: String,
    events: u64,
    delivered: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
pub struct VolumeView {
    #[serde(rename = "type")]
    event_type: String,
    events: u64,
    delivered: u64,
    failed: u64,
}

#[derive(Debug, Serialize)]
pub struct WarningView {
    kind: &'static str,
    count: u64,
    hint: &'static str,
}

/// How many endpoints stand how.
#[derive(Debug, Default, Serialize)]
pub struct StatusCounts {
    active: u64,
    failing: u64,
    disabled: u64,
}

impl TallyView {
    pub fn of(tally: &Tally) -> Self {
        Self {
            events: tally.events,
            promised: tally.promised,
            held: tally.held,
            replayed: tally.replays,
            delivered: tally.delivered,
            failed: tally.failed,
            filtered: tally.filtered,
            cancelled: tally.cancelled,
            attempts: tally.attempts,
            failed_attempts: tally.failed_attempts,
            retried: tally.retries,
            recovered: tally.recovered,
            success_rate: tally.success_rate(),
            answer_ms: AnswerView::of(&tally.answers),
        }
    }
}

impl AnswerView {
    fn of(times: &AnswerTimes) -> Option<Self> {
        let percentile = |part| times.percentile(part).map(millis);
        Some(Self {
            count: times.count,
            min: millis(times.shortest()?),
            avg: millis(times.mean()?),
            max: millis(times.longest()?),
            p50: percentile(0.5)?,
            p95: percentile(0.95)?,
            p99: percentile(0.99)?,
        })
    }
}

impl BucketView {
    pub fn of(bucket: &Bucket) -> Self {
        Self { start: text(bucket.start), tally: TallyView::of(&bucket.tally) }
    }
}

impl DayView {
    pub fn of(bucket: &Bucket) -> Self {
        let Bucket { start, tally } = bucket;
        let day = text(*start).chars().take("2026-03-22".len()).collect();
        Self { day, events: events(tally), delivered: tally.delivered, failed: tally.failed }
    }
}

impl VolumeView {
    pub fn of(event_type: &EventType, tally: &Tally) -> Self {
        let event_type = event_type.to_string();
        Self { event_type, events: tally.events, delivered: tally.delivered, failed: tally.failed }
    }
}

impl WarningView {
    /// Of each kind that there was.
    pub fn all(tally: &Tally) -> Vec<Self> {
        let counted = Warning::ALL.into_iter().zip(tally.warnings).filter(|(_, count)| *count > 0);
        counted.map(|(warning, count)| Self { kind: warning.word(), count, hint: warning.hint() }).collect()
    }
}

impl FromIterator<Status> for StatusCounts {
    fn from_iter<T: IntoIterator<Item = Status>>(statuses: T) -> Self {
        let mut counts = Self::default();
        for status in statuses {
            match status {
                Status::Active => counts.active += 1,
                Status::Failing => counts.failing += 1,
                Status::Disabled => counts.disabled += 1,
            }
        }
        counts
    }
}

/// For an endpoint, those that promised it a delivery.
fn events(tally: &Tally) -> u64 {
    if tally.events > 0 { tally.events } else { tally.promised }
}

fn millis(span: Duration) -> f64 {
    span.as_micros() as f64 / 1_000.0
}
