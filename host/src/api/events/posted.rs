//! One event as it is posted: from bytes to [`NewEvent`]. The payload stays the bytes that were posted.

use std::fmt::Display;

use bytes::Bytes;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::field;
use crate::api::body::depth;
use crate::api::problem::{FieldError, Kind, Problem};
use crate::config::Ingest as Limits;
use crate::event::{Channel, EventType, NewEvent, ProducerId, Tenant, content_digest};
use crate::time::Timestamp;

/// `null` counts as absent, but for the payload, which may be any JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope<'a> {
    #[serde(borrow, default, rename = "type")]
    event_type: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    payload: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tenant: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    channels: Option<&'a RawValue>,
}

/// Parses `item`, which is a part of `whole` or all of it. `key` is the request's `Idempotency-Key`.
///
/// # Errors
///
/// 413 where it is too large, 400 where it is not JSON, 422 where it is no event.
pub fn parse(
    limits: &Limits,
    whole: &Bytes,
    item: &[u8],
    key: Option<ProducerId>,
) -> Result<NewEvent, Problem> {
    check_bounds(limits, item)?;
    let envelope = envelope(item)?;
    let mut errors = Vec::new();
    let event = read(&envelope, limits, whole, key.as_ref(), &mut errors);
    match event {
        Some(event) if errors.is_empty() => with_key(event, key),
        _ => Err(Problem::invalid(errors)),
    }
}

/// Whether an event is neither too large nor nested too deep.
pub fn check_bounds(limits: &Limits, item: &[u8]) -> Result<(), Problem> {
    if item.len() > limits.event_limit.0 {
        let detail = format!("The event is larger than {} bytes.", limits.event_limit.0);
        return Err(Problem::new(Kind::TooLarge, detail));
    }
    if depth(item) > limits.json_depth {
        let detail = format!("The event's JSON is nested deeper than {} levels.", limits.json_depth);
        return Err(Problem::malformed(detail));
    }
    Ok(())
}

fn envelope(item: &[u8]) -> Result<Envelope<'_>, Problem> {
    // A list would be read member by member.
    if item.trim_ascii_start().starts_with(b"[") {
        return Err(Problem::field("", "an event is a JSON object"));
    }
    serde_json::from_slice(item).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::field("", error),
        _ if item.iter().all(u8::is_ascii_whitespace) => Problem::malformed("The event is empty."),
        _ => Problem::malformed(format!("The event is not JSON: {error}.")),
    })
}

fn read(
    envelope: &Envelope<'_>,
    limits: &Limits,
    whole: &Bytes,
    key: Option<&ProducerId>,
    errors: &mut Vec<FieldError>,
) -> Option<NewEvent> {
    let mut note = |pointer: &str, message: &dyn Display| errors.push(field(pointer, message));
    if envelope.event_type.is_none() {
        note("/type", &"it is missing");
    }
    if envelope.payload.is_none() {
        note("/payload", &"it is missing");
    }
    let event_type = parsed(envelope.event_type, "/type", EventType::parse_posted, &mut note);
    let producer_id = parsed(envelope.id, "/id", ProducerId::parse, &mut note);
    let tenant = parsed(envelope.tenant, "/tenant", Tenant::parse, &mut note);
    let given_time = text(envelope.timestamp, "/timestamp", &mut note);
    let timestamp = parsed(envelope.timestamp, "/timestamp", Timestamp::parse, &mut |_, message| {
        // That it is no string was said already.
        if given_time.is_some() {
            note("/timestamp", message);
        }
    });
    let channels = channels(envelope.channels, limits.max_channels, &mut note);
    let (event_type, payload) = (event_type?, envelope.payload?.get().as_bytes());
    let content = content_digest(event_type.as_str(), &channels, given_time.as_deref(), payload);
    Some(NewEvent {
        producer_id: producer_id.or_else(|| key.cloned()),
        event_type,
        tenant,
        timestamp,
        channels,
        payload: kept(whole, payload),
        content,
    })
}

/// A slice of the body where it is most of it. A small part of a batch is copied, so that it does not keep the
/// whole batch in memory while it waits.
pub fn kept(whole: &Bytes, payload: &[u8]) -> Bytes {
    match payload.len() >= whole.len() / 2 {
        true => whole.slice_ref(payload),
        false => Bytes::copy_from_slice(payload),
    }
}

fn with_key(event: NewEvent, key: Option<ProducerId>) -> Result<NewEvent, Problem> {
    match (&event.producer_id, &key) {
        (Some(id), Some(key)) if id != key => Err(Problem::malformed(
            "The event's `id` and the header Idempotency-Key differ; send one of them, or both the same.",
        )),
        _ => Ok(event),
    }
}

fn parsed<T, E: Display>(
    raw: Option<&RawValue>,
    pointer: &str,
    parse: impl Fn(&str) -> Result<T, E>,
    note: &mut dyn FnMut(&str, &dyn Display),
) -> Option<T> {
    let text = text(raw, pointer, note)?;
    parse(&text).map_err(|error| note(pointer, &error)).ok()
}

fn text(raw: Option<&RawValue>, pointer: &str, note: &mut dyn FnMut(&str, &dyn Display)) -> Option<String> {
    serde_json::from_str(raw?.get()).map_err(|_| note(pointer, &"it must be a string")).ok()
}

fn channels(raw: Option<&RawValue>, most: usize, note: &mut dyn FnMut(&str, &dyn Display)) -> Vec<Channel> {
    let Some(raw) = raw else { return Vec::new() };
    let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
        note("/channels", &"it must be a list of strings");
        return Vec::new();
    };
    if items.len() > most {
        note("/channels", &format_args!("it has {} entries; {most} are allowed", items.len()));
        return Vec::new();
    }
    let item = |(index, item)| parsed(Some(item), &format!("/channels/{index}"), Channel::parse, note);
    items.into_iter().enumerate().filter_map(item).collect()
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(text: &str, key: Option<&str>) -> Result<NewEvent, Problem> {
        let whole = Bytes::copy_from_slice(text.as_bytes());
        parse(&Limits::default(), &whole, &whole, key.map(|key| ProducerId::parse(key).unwrap()))
    }

    #[test]
    fn the_payload_keeps_its_bytes() {
        let payload = r#"{ "n":12345678901234567890.10,  "a" : [1e400, "\u00e4\ud800"], "n":1 }"#;
        let event =
            post(&format!(r#" {{"type":"a.b" ,"payload": {payload} ,"channels":null}} "#), None).unwrap();
        assert_eq!(event.payload, payload.as_bytes());
        assert_eq!(event.tenant, None);
        assert_eq!(post(r#"{"type":"a","payload":null}"#, None).unwrap().payload, "null");
    }

    #[test]
    fn a_large_payload_is_not_copied() {
        let whole = Bytes::from(format!(r#"{{"type":"a","payload":"{}"}}"#, "x".repeat(1_000)));
        let event = parse(&Limits::default(), &whole, &whole, None).unwrap();
        let range = whole.as_ptr_range();
        assert!(range.contains(&event.payload.as_ptr()));
    }

    #[test]
    fn every_field_is_read() {
        let text = r#"{"type":"a","payload":1,"id":"i","tenant":"t","timestamp":"2026-03-22T09:30:00+01:00",
                       "channels":["x","y"]}"#;
        let event = post(text, Some("i")).unwrap();
        assert_eq!(event.producer_id.unwrap().as_str(), "i");
        assert_eq!(event.tenant, Tenant::parse("t").ok());
        assert_eq!(event.timestamp, Timestamp::parse("2026-03-22T08:30:00Z").ok());
        assert_eq!(event.channels.len(), 2);
        assert_eq!(
            post(r#"{"type":"a","payload":1}"#, Some("k")).unwrap().producer_id.unwrap().as_str(),
            "k"
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        let table = [
            ("", 400, ""),
            ("{", 400, ""),
            ("nul", 400, ""),
            ("{\"type\":\"a\",\"payload\":{\"a\":\"\u{1}\"}}", 400, ""),
            ("1", 422, ""),
            (r#"["a",1]"#, 422, ""),
            ("{}", 422, "/type"),
            (r#"{"type":"a"}"#, 422, "/payload"),
            (r#"{"type":"a","payload":1,"colour":2}"#, 422, ""),
            (r#"{"type":"a","type":"b","payload":1}"#, 422, ""),
            (r#"{"type":7,"payload":1}"#, 422, "/type"),
            (r#"{"type":"hookwright.x","payload":1}"#, 422, "/type"),
            (r#"{"type":"a b","payload":1}"#, 422, "/type"),
            (r#"{"type":"a","payload":1,"id":""}"#, 422, "/id"),
            (r#"{"type":"a","payload":1,"tenant":"ä"}"#, 422, "/tenant"),
            (r#"{"type":"a","payload":1,"timestamp":7}"#, 422, "/timestamp"),
            (r#"{"type":"a","payload":1,"timestamp":"now"}"#, 422, "/timestamp"),
            (r#"{"type":"a","payload":1,"channels":"x"}"#, 422, "/channels"),
            (r#"{"type":"a","payload":1,"channels":["x",""]}"#, 422, "/channels/1"),
        ];
        for (text, status, pointer) in table {
            let problem = post(text, None).unwrap_err();
            assert_eq!(problem.kind.status().as_u16(), status, "{text}");
            assert_eq!(problem.errors.first().map_or("", |error| error.pointer.as_str()), pointer, "{text}");
            assert!(problem.errors.len() <= 2, "{text}: {:?}", problem.errors);
        }
        let both = post(r#"{"type":"a","payload":1,"id":"x"}"#, Some("y")).unwrap_err();
        assert_eq!(both.kind, Kind::Malformed);
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |levels: usize| {
            format!(r#"{{"type":"a","payload":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        assert!(post(&nested(126), None).is_ok());
        assert_eq!(post(&nested(128), None).unwrap_err().kind, Kind::Malformed);
        assert_eq!(post(&nested(300_000), None).unwrap_err().kind, Kind::Malformed);
        assert_eq!(depth(br#"{"a[{\"[":[1]}"#), 2);
    }

    #[test]
    fn size_has_a_bound() {
        let text = format!(r#"{{"type":"a","payload":"{}"}}"#, "x".repeat(1 << 20));
        assert_eq!(post(&text, None).unwrap_err().kind, Kind::TooLarge);
    }
}
