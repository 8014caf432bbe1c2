//! Rows as bytes: one format byte, then postcard.
//!
//! The words carry no serialisation of their own, so each has a row type here. A changed row is a new format
//! byte, and old ones stay readable.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::attempt::{
    Attempt, BodyRecord, Outcome, PluginRun, RequestRecord, ResponseRecord, Ruling, Task, Timing, Warnings,
};
use crate::delivery::{Delivery, State};
use crate::endpoint::Order;
use crate::event::{Channel, Event, EventType, ProducerId, Tenant};
use crate::id::{DeliveryId, EndpointId, EventId, WebhookId};
use crate::store::{DocumentKind, DocumentRow, EndpointRow, Result, StoreError};
use crate::time::Timestamp;

const FORMAT: u8 = 1;
/// A line of the journal with the attempt's warnings behind it.
const FORMAT_WITH_WARNINGS: u8 = 2;
/// A line of the journal with the attempt's warnings behind it, and more about the runs of its plugins.
const FORMAT_WITH_RUNS: u8 = 3;
/// An endpoint with its order and since when it is judged.
const FORMAT_WITH_ORDER: u8 = 2;

pub fn encode(row: &impl Serialize) -> Result<Vec<u8>> {
    encode_as(FORMAT, row)
}

fn encode_as(format: u8, row: &impl Serialize) -> Result<Vec<u8>> {
    postcard::to_extend(row, vec![format]).map_err(corrupt)
}

pub fn decode<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&FORMAT, row)) => {
            postcard::from_bytes(row).map_err(|error| StoreError::Corrupt(error.to_string()))
        }
        Some((other, _)) => Err(StoreError::Corrupt(format!("a row has the unknown format {other}"))),
        None => Err(StoreError::Corrupt("a row is empty".to_owned())),
    }
}

pub fn corrupt(error: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(error.to_string())
}

/// An event with the endpoints that it was promised to, by ordinal.
#[derive(Serialize, Deserialize)]
struct EventRow<'a> {
    id: u128,
    producer_id: Option<&'a str>,
    event_type: &'a str,
    tenant: &'a str,
    timestamp: i64,
    accepted_at: i64,
    #[serde(borrow)]
    channels: Vec<&'a str>,
    endpoints: Vec<u128>,
    #[serde(with = "payload")]
    payload: &'a [u8],
}

/// Byte strings as such, instead of a sequence of numbers.
mod payload {
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<&'de [u8], D::Error> {
        Deserialize::deserialize(deserializer)
    }
}

#[derive(Debug, Clone)]
pub struct StoredEvent {
    pub event: Event,
    pub endpoints: Vec<EndpointId>,
}

pub fn encode_event(event: &Event, endpoints: &[EndpointId]) -> Result<Vec<u8>> {
    encode(&EventRow {
        id: event.id.as_u128(),
        producer_id: event.producer_id.as_ref().map(ProducerId::as_str),
        event_type: event.event_type.as_str(),
        tenant: event.tenant.as_str(),
        timestamp: event.timestamp.as_micros(),
        accepted_at: event.accepted_at.as_micros(),
        channels: event.channels.iter().map(Channel::as_str).collect(),
        endpoints: endpoints.iter().map(|id| id.as_u128()).collect(),
        payload: &event.payload,
    })
}

pub fn decode_event(bytes: &[u8]) -> Result<StoredEvent> {
    let row: EventRow<'_> = decode(bytes)?;
    let payload = Bytes::copy_from_slice(row.payload);
    stored(row, payload)
}

/// As [`decode_event`], without the payload.
pub fn decode_event_head(bytes: &[u8]) -> Result<StoredEvent> {
    stored(decode(bytes)?, Bytes::new())
}

/// When an event was accepted, in microseconds.
pub fn decode_accepted(bytes: &[u8]) -> Result<i64> {
    Ok(decode::<EventRow<'_>>(bytes)?.accepted_at)
}

fn stored(row: EventRow<'_>, payload: Bytes) -> Result<StoredEvent> {
    let event = Event {
        id: EventId::from_u128(row.id),
        producer_id: row.producer_id.map(ProducerId::parse).transpose().map_err(corrupt)?,
        event_type: EventType::parse(row.event_type).map_err(corrupt)?,
        tenant: Tenant::parse(row.tenant).map_err(corrupt)?,
        timestamp: Timestamp::from_micros(row.timestamp),
        accepted_at: Timestamp::from_micros(row.accepted_at),
        channels: row
            .channels
            .into_iter()
            .map(Channel::parse)
            .collect::<std::result::Result<_, _>>()
            .map_err(corrupt)?,
        payload,
    };
    Ok(StoredEvent { event, endpoints: row.endpoints.into_iter().map(EndpointId::from_u128).collect() })
}

#[derive(Serialize, Deserialize)]
struct DeliveryRow<'a> {
    id: u128,
    webhook_id: u128,
    endpoint: u128,
    tenant: &'a str,
    event_type: &'a str,
    state: u8,
    created_at: i64,
    attempts: u32,
    first_attempt_at: Option<i64>,
    held_before: Duration,
    due: Option<i64>,
    finished_at: Option<i64>,
    reason: Option<&'a str>,
    replay_of: Option<u128>,
}

impl<'a> DeliveryRow<'a> {
    fn of(delivery: &'a Delivery) -> Self {
        Self {
            id: delivery.id.as_u128(),
            webhook_id: delivery.webhook_id.as_u128(),
            endpoint: delivery.endpoint.as_u128(),
            tenant: delivery.tenant.as_str(),
            event_type: delivery.event_type.as_str(),
            state: encode_state(delivery.state),
            created_at: delivery.created_at.as_micros(),
            attempts: delivery.attempts,
            first_attempt_at: delivery.first_attempt_at.map(Timestamp::as_micros),
            held_before: delivery.held_before,
            due: delivery.due.map(Timestamp::as_micros),
            finished_at: delivery.finished_at.map(Timestamp::as_micros),
            reason: delivery.reason.as_deref(),
            replay_of: delivery.replay_of.map(DeliveryId::as_u128),
        }
    }

    fn into_delivery(self) -> Result<Delivery> {
        Ok(Delivery {
            id: DeliveryId::from_u128(self.id),
            webhook_id: WebhookId::from_u128(self.webhook_id),
            endpoint: EndpointId::from_u128(self.endpoint),
            tenant: Tenant::parse(self.tenant).map_err(corrupt)?,
            event_type: EventType::parse(self.event_type).map_err(corrupt)?,
            state: decode_state(self.state)?,
            created_at: Timestamp::from_micros(self.created_at),
            attempts: self.attempts,
            first_attempt_at: self.first_attempt_at.map(Timestamp::from_micros),
            held_before: self.held_before,
            due: self.due.map(Timestamp::from_micros),
            finished_at: self.finished_at.map(Timestamp::from_micros),
            reason: self.reason.map(str::to_owned),
            replay_of: self.replay_of.map(DeliveryId::from_u128),
        })
    }
}

pub fn encode_state(state: State) -> u8 {
    match state {
        State::Pending => 0,
        State::Delivered => 1,
        State::Filtered => 2,
        State::Failed => 3,
        State::Cancelled => 4,
    }
}

pub fn decode_state(byte: u8) -> Result<State> {
    State::ALL
        .into_iter()
        .find(|state| encode_state(*state) == byte)
        .ok_or_else(|| StoreError::Corrupt(format!("{byte} is no state of a delivery")))
}

#[derive(Serialize, Deserialize)]
enum OutcomeRow {
    Delivered { status: u16 },
    Refused { status: u16, retry_after: Option<Duration> },
    Gone,
    Unreachable { kind: String, message: String },
    Filtered { plugin: String, reason: String },
    Rejected { plugin: String, reason: String },
    PluginFailed { plugin: String, kind: String, message: String, retry: bool },
    Judged { plugin: String, status: Option<u16>, ruling: RulingRow, reason: String },
}

#[derive(Serialize, Deserialize)]
enum RulingRow {
    Retry { after: Option<Duration> },
    Fail,
    Disable,
}

impl From<Ruling> for RulingRow {
    fn from(ruling: Ruling) -> Self {
        match ruling {
            Ruling::Retry { after } => RulingRow::Retry { after },
            Ruling::Fail => RulingRow::Fail,
            Ruling::Disable => RulingRow::Disable,
        }
    }
}

impl From<RulingRow> for Ruling {
    fn from(row: RulingRow) -> Self {
        match row {
            RulingRow::Retry { after } => Ruling::Retry { after },
            RulingRow::Fail => Ruling::Fail,
            RulingRow::Disable => Ruling::Disable,
        }
    }
}

impl From<Outcome> for OutcomeRow {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Delivered { status } => OutcomeRow::Delivered { status },
            Outcome::Refused { status, retry_after } => OutcomeRow::Refused { status, retry_after },
            Outcome::Gone => OutcomeRow::Gone,
            Outcome::Unreachable { kind, message } => OutcomeRow::Unreachable { kind, message },
            Outcome::Filtered { plugin, reason } => OutcomeRow::Filtered { plugin, reason },
            Outcome::Rejected { plugin, reason } => OutcomeRow::Rejected { plugin, reason },
            Outcome::PluginFailed { plugin, kind, message, retry } => {
                OutcomeRow::PluginFailed { plugin, kind, message, retry }
            }
            Outcome::Judged { plugin, status, ruling, reason } => {
                OutcomeRow::Judged { plugin, status, ruling: ruling.into(), reason }
            }
        }
    }
}

impl From<OutcomeRow> for Outcome {
    fn from(row: OutcomeRow) -> Self {
        match row {
            OutcomeRow::Delivered { status } => Outcome::Delivered { status },
            OutcomeRow::Refused { status, retry_after } => Outcome::Refused { status, retry_after },
            OutcomeRow::Gone => Outcome::Gone,
            OutcomeRow::Unreachable { kind, message } => Outcome::Unreachable { kind, message },
            OutcomeRow::Filtered { plugin, reason } => Outcome::Filtered { plugin, reason },
            OutcomeRow::Rejected { plugin, reason } => Outcome::Rejected { plugin, reason },
            OutcomeRow::PluginFailed { plugin, kind, message, retry } => {
                Outcome::PluginFailed { plugin, kind, message, retry }
            }
            OutcomeRow::Judged { plugin, status, ruling, reason } => {
                Outcome::Judged { plugin, status, ruling: ruling.into(), reason }
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct AttemptRow {
    number: u32,
    started_at: i64,
    duration: Duration,
    outcome: OutcomeRow,
    request: Option<RequestRow>,
    response: Option<ResponseRow>,
    /// queue, transform, dns, connect, tls, first byte
    timing: [Option<Duration>; 6],
    plugins: Vec<PluginRunRow>,
}

#[derive(Serialize, Deserialize)]
struct RequestRow {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    /// `None`: the event's payload.
    body: Option<(Vec<u8>, u64)>,
}

#[derive(Serialize, Deserialize)]
struct ResponseRow {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    truncated: bool,
}

#[derive(Serialize, Deserialize)]
struct PluginRunRow {
    plugin: String,
    version: String,
    digest: String,
    verdict: String,
    duration: Duration,
    log: Vec<(String, String)>,
}

impl From<Attempt> for AttemptRow {
    fn from(attempt: Attempt) -> Self {
        let t = attempt.timing;
        Self {
            number: attempt.number,
            started_at: attempt.started_at.as_micros(),
            duration: attempt.duration,
            outcome: attempt.outcome.into(),
            request: attempt.request.map(|request| RequestRow {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: match request.body {
                    BodyRecord::Payload => None,
                    BodyRecord::Bytes { kept, length } => Some((kept.into(), length)),
                },
            }),
            response: attempt.response.map(|response| ResponseRow {
                status: response.status,
                headers: response.headers,
                body: response.body.into(),
                truncated: response.truncated,
            }),
            timing: [t.queue, t.transform, t.dns, t.connect, t.tls, t.first_byte],
            plugins: attempt.plugins.into_iter().map(PluginRunRow::from).collect(),
        }
    }
}

impl From<AttemptRow> for Attempt {
    fn from(row: AttemptRow) -> Self {
        let [queue, transform, dns, connect, tls, first_byte] = row.timing;
        Self {
            number: row.number,
            started_at: Timestamp::from_micros(row.started_at),
            duration: row.duration,
            outcome: row.outcome.into(),
            request: row.request.map(|request| RequestRecord {
                method: request.method,
                url: request.url,
                headers: request.headers,
                body: match request.body {
                    None => BodyRecord::Payload,
                    Some((kept, length)) => BodyRecord::Bytes { kept: kept.into(), length },
                },
            }),
            response: row.response.map(|response| ResponseRecord {
                status: response.status,
                headers: response.headers,
                body: response.body.into(),
                truncated: response.truncated,
            }),
            timing: Timing { queue, transform, dns, connect, tls, first_byte },
            plugins: row.plugins.into_iter().map(PluginRun::from).collect(),
            warnings: Warnings::NONE,
        }
    }
}

impl From<PluginRun> for PluginRunRow {
    fn from(run: PluginRun) -> Self {
        let PluginRun { plugin, version, digest, verdict, duration, log, .. } = run;
        Self { plugin, version, digest, verdict, duration, log }
    }
}

impl From<PluginRunRow> for PluginRun {
    fn from(row: PluginRunRow) -> Self {
        let PluginRunRow { plugin, version, digest, verdict, duration, log } = row;
        Self { task: Task::Transform, plugin, version, digest, verdict, duration, memory_peak: 0, log }
    }
}

/// A line of a delivery's journal: how it stood, and the attempt that brought it there. The last line of a delivery
/// is the delivery.
#[derive(Serialize, Deserialize)]
struct JournalRow<'a> {
    #[serde(borrow)]
    delivery: DeliveryRow<'a>,
    attempt: Option<AttemptRow>,
}

/// As it is written where the attempt has warnings.
#[derive(Serialize, Deserialize)]
struct WarnedRow<'a> {
    #[serde(borrow)]
    line: JournalRow<'a>,
    warnings: u8,
}

/// As it is written where plugins ran.
#[derive(Serialize, Deserialize)]
struct RunsRow<'a> {
    #[serde(borrow)]
    line: JournalRow<'a>,
    warnings: u8,
    /// Of each run, in their order.
    more: Vec<RunRow>,
}

/// What [`PluginRunRow`] does not say.
#[derive(Serialize, Deserialize)]
struct RunRow {
    judges: bool,
    memory_peak: u64,
}

impl RunRow {
    fn of(run: &PluginRun) -> Self {
        Self { judges: run.task == Task::Judge, memory_peak: run.memory_peak }
    }

    fn add_to(&self, run: &mut PluginRun) {
        run.task = if self.judges { Task::Judge } else { Task::Transform };
        run.memory_peak = self.memory_peak;
    }
}

/// Reads the delivery without its attempt, which may be long.
#[derive(Deserialize)]
struct JournalHead<'a> {
    #[serde(borrow)]
    delivery: DeliveryRow<'a>,
}

/// Reads how a delivery stands and whose it is, and nothing else: the first members of its row.
#[derive(Deserialize)]
struct StandingRow<'a> {
    #[expect(dead_code, reason = "it stands before what is wanted")]
    id: u128,
    #[expect(dead_code, reason = "it stands before what is wanted")]
    webhook_id: u128,
    endpoint: u128,
    #[expect(dead_code, reason = "it stands before what is wanted")]
    tenant: &'a str,
    #[expect(dead_code, reason = "it stands before what is wanted")]
    event_type: &'a str,
    state: u8,
}

pub fn encode_journal(delivery: &Delivery, attempt: Option<Attempt>) -> Result<Vec<u8>> {
    let warnings = attempt.as_ref().map_or(Warnings::NONE, |attempt| attempt.warnings);
    let more: Vec<RunRow> = attempt.iter().flat_map(|attempt| &attempt.plugins).map(RunRow::of).collect();
    let line = JournalRow { delivery: DeliveryRow::of(delivery), attempt: attempt.map(AttemptRow::from) };
    match warnings {
        warnings if !more.is_empty() => {
            encode_as(FORMAT_WITH_RUNS, &RunsRow { line, warnings: warnings.bits(), more })
        }
        Warnings::NONE => encode(&line),
        warnings => encode_as(FORMAT_WITH_WARNINGS, &WarnedRow { line, warnings: warnings.bits() }),
    }
}

pub fn decode_journal(bytes: &[u8]) -> Result<(Delivery, Option<Attempt>)> {
    let (line, warnings, more) = match bytes.split_first() {
        Some((&FORMAT_WITH_RUNS, row)) => {
            let RunsRow { line, warnings, more } = postcard::from_bytes(row).map_err(corrupt)?;
            (line, Warnings::from_bits(warnings), more)
        }
        Some((&FORMAT_WITH_WARNINGS, row)) => {
            let WarnedRow { line, warnings } = postcard::from_bytes(row).map_err(corrupt)?;
            (line, Warnings::from_bits(warnings), Vec::new())
        }
        _ => (decode(bytes)?, Warnings::NONE, Vec::new()),
    };
    let mut attempt = line.attempt.map(|row| Attempt { warnings, ..Attempt::from(row) });
    let runs = attempt.iter_mut().flat_map(|attempt| &mut attempt.plugins);
    runs.zip(more).for_each(|(run, more)| more.add_to(run));
    Ok((line.delivery.into_delivery()?, attempt))
}

pub fn decode_delivery(bytes: &[u8]) -> Result<Delivery> {
    decode_line_head::<JournalHead<'_>>(bytes)?.delivery.into_delivery()
}

/// The delivery stands at the beginning of a line in all formats.
fn decode_line_head<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    match bytes.split_first() {
        Some((&(FORMAT_WITH_WARNINGS | FORMAT_WITH_RUNS), row)) => postcard::from_bytes(row).map_err(corrupt),
        _ => decode(bytes),
    }
}

/// The endpoint and the state of a line's delivery.
pub fn decode_standing(bytes: &[u8]) -> Result<(EndpointId, State)> {
    let row: StandingRow<'_> = decode_line_head(bytes)?;
    Ok((EndpointId::from_u128(row.endpoint), decode_state(row.state)?))
}

/// As endpoints were written before there were orders.
#[derive(Serialize, Deserialize)]
struct PlainEndpoint<'a> {
    revision: u64,
    held: bool,
    #[serde(with = "payload")]
    document: &'a [u8],
}

#[derive(Serialize, Deserialize)]
struct EndpointDocument<'a> {
    revision: u64,
    held: bool,
    order: OrderRow,
    judged_from: i64,
    #[serde(with = "payload")]
    document: &'a [u8],
}

#[derive(Serialize, Deserialize)]
enum OrderRow {
    Free,
    Strict,
    Parking { after: u32 },
}

pub fn encode_endpoint(row: &EndpointRow) -> Result<Vec<u8>> {
    let order = match row.order {
        Order::Free => OrderRow::Free,
        Order::Strict => OrderRow::Strict,
        Order::Parking { after } => OrderRow::Parking { after },
    };
    let document = EndpointDocument {
        revision: row.revision,
        held: row.held,
        order,
        judged_from: row.judged_from.as_micros(),
        document: &row.document,
    };
    encode_as(FORMAT_WITH_ORDER, &document)
}

pub fn decode_endpoint(id: EndpointId, bytes: &[u8]) -> Result<EndpointRow> {
    let Some((&FORMAT_WITH_ORDER, row)) = bytes.split_first() else {
        let row: PlainEndpoint<'_> = decode(bytes)?;
        let (order, judged_from) = (Order::Free, Timestamp::ZERO);
        let document = row.document.to_vec();
        return Ok(EndpointRow { id, revision: row.revision, held: row.held, order, judged_from, document });
    };
    let row: EndpointDocument<'_> = postcard::from_bytes(row).map_err(corrupt)?;
    let order = match row.order {
        OrderRow::Free => Order::Free,
        OrderRow::Strict => Order::Strict,
        OrderRow::Parking { after } => Order::Parking { after },
    };
    let judged_from = Timestamp::from_micros(row.judged_from);
    let document = row.document.to_vec();
    Ok(EndpointRow { id, revision: row.revision, held: row.held, order, judged_from, document })
}

#[derive(Serialize, Deserialize)]
struct Described<'a> {
    revision: u64,
    #[serde(with = "payload")]
    document: &'a [u8],
}

pub fn encode_document(row: &DocumentRow) -> Result<Vec<u8>> {
    encode(&Described { revision: row.revision, document: &row.document })
}

pub fn decode_document(kind: DocumentKind, name: &str, bytes: &[u8]) -> Result<DocumentRow> {
    let row: Described<'_> = decode(bytes)?;
    Ok(DocumentRow { kind, name: name.to_owned(), revision: row.revision, document: row.document.to_vec() })
}

pub fn encode_described(revision: u64, document: &[u8]) -> Result<Vec<u8>> {
    encode(&Described { revision, document })
}

pub fn decode_described(bytes: &[u8]) -> Result<(u64, Vec<u8>)> {
    let row: Described<'_> = decode(bytes)?;
    Ok((row.revision, row.document.to_vec()))
}

pub fn shared(stored: StoredEvent) -> Arc<Event> {
    Arc::new(stored.event)
}
