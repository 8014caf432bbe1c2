//! Reading request bodies: within a size, a time and the host's memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tokio::time::{Instant, timeout_at};

use super::Api;
use super::problem::{Kind, Problem};

/// Most bytes of a body that holds options.
pub(super) const OPTIONS_LIMIT: usize = 64 << 10;

/// A bound on bytes that all requests under way share.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Arc<AtomicUsize>,
}

impl Budget {
    pub fn new(bytes: usize) -> Self {
        Self { left: Arc::new(AtomicUsize::new(bytes)) }
    }

    fn open(&self) -> Share {
        Share { budget: self.clone(), bytes: 0 }
    }
}

/// A part of a budget; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    budget: Budget,
    bytes: usize,
}

impl Share {
    /// Grows to `bytes`. False where that is more than is left.
    fn grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let taken = self
            .budget
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(more))
            .is_ok();
        if taken {
            self.bytes += more;
        }
        taken
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

/// A whole body, and the share of the budget that it takes up.
pub(super) struct Whole {
    pub bytes: Bytes,
    pub _share: Share,
}

/// Reads a body. `limit` is asked again when the first bytes are there: what they are may decide.
pub(super) async fn read(
    api: &Api,
    headers: &HeaderMap,
    mut body: Body,
    limit: impl Fn(&[u8]) -> usize,
) -> Result<Whole, Problem> {
    let deadline = Instant::now() + api.config.ingest.body_timeout;
    let announced = content_length(headers).unwrap_or(0);
    check_size(announced, limit(&[]))?;
    let mut share = api.budget.open();
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut most = 0;
    while let Some(data) = next(api, &mut body, deadline).await? {
        // `rest` begins with what came first.
        let before = first.len().max(rest.len());
        let length = before + data.len();
        if before == 0 {
            most = limit(&data);
        }
        check_size(length, most)?;
        if before == 0 {
            take(&mut share, length)?;
            first = data;
            continue;
        }
        if rest.capacity() < length {
            let room = announced.max(length.saturating_mul(2)).min(most);
            // The share is taken before the memory is.
            take(&mut share, room)?;
            let mut roomier = BytesMut::with_capacity(room);
            roomier.extend_from_slice(if rest.is_empty() { &first } else { &rest });
            (first, rest) = (Bytes::new(), roomier);
        }
        rest.extend_from_slice(&data);
    }
    let bytes = if rest.is_empty() { first } else { rest.freeze() };
    Ok(Whole { bytes, _share: share })
}

async fn next(api: &Api, body: &mut Body, deadline: Instant) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame =
            timeout_at(deadline, body.frame()).await.map_err(|_| too_slow(api.config.ingest.body_timeout))?;
        match frame {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Problem::malformed(format!("The body broke off: {error}.")));
            }
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data().map_err(drop)
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
        }
    }
}

fn take(share: &mut Share, bytes: usize) -> Result<(), Problem> {
    if share.grow_to(bytes) {
        return Ok(());
    }
    let detail = "Too many bytes are under way (`ingest.in_flight_bytes`); try again soon.";
    Err(Problem::new(Kind::Overloaded, detail))
}

fn content_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn check_size(length: usize, limit: usize) -> Result<(), Problem> {
    if length <= limit {
        return Ok(());
    }
    Err(Problem::new(Kind::TooLarge, format!("The body is larger than {limit} bytes.")))
}

fn too_slow(span: Duration) -> Problem {
    let span = crate::time::format_span(span);
    Problem::new(Kind::Timeout, format!("The body did not arrive within {span} (`ingest.body_timeout`)."))
}

/// Refuses a content type that is not JSON. None at all is taken for JSON.
pub(super) fn require_json(headers: &HeaderMap, also: &[&str]) -> Result<(), Problem> {
    let Some(given) = media_type(headers) else { return Ok(()) };
    let known = given == "application/json" || also.contains(&given.as_str());
    if known || (given.starts_with("application/") && given.ends_with("+json")) {
        return Ok(());
    }
    let detail = format!("The content type is `{given}`; send `content-type: application/json`.");
    Err(Problem::new(Kind::UnsupportedMediaType, detail))
}

/// In lower case, without parameters.
pub(super) fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().unwrap_or("?");
    let name = text.split(';').next().unwrap_or_default();
    Some(name.trim().to_ascii_lowercase())
}

/// A JSON object, every name of which stands there once.
pub(super) fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let Strict(value) = serde_json::from_slice(bytes).map_err(not_json)?;
    match value {
        Value::Object(map) => Ok(map),
        _ => Err(no_object()),
    }
}

/// A part of a body.
pub(super) fn strict(text: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map(|Strict(value)| value).map_err(not_json)
}

/// How deep objects and lists are nested in what may be JSON.
pub(super) fn depth(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
    }
    deepest
}

fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

pub(super) fn not_json(error: serde_json::Error) -> Problem {
    Problem::malformed(format!("The body is not JSON: {error}."))
}

pub(super) fn no_object() -> Problem {
    Problem::field("", "The body must be a JSON object.")
}

/// A JSON value in which no object holds a name twice: readers differ in which one they take.
struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((name, Strict(value))) = entries.next_entry::<String, Strict>()? {
            if map.contains_key(&name) {
                return Err(de::Error::custom(format_args!("`{name}` stands there twice")));
            }
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_shared_and_given_back() {
        let budget = Budget::new(10);
        let (mut one, mut two) = (budget.open(), budget.open());
        assert!(one.grow_to(6));
        assert!(!two.grow_to(5));
        assert!(two.grow_to(4));
        assert!(one.grow_to(6));
        drop(one);
        assert!(two.grow_to(10));
        assert!(!two.grow_to(11));
    }

    #[test]
    fn objects_are_read_strictly() {
        assert_eq!(parse_object(br#"{"a":{"b":[1,2.5,"x",null,true]}}"#).unwrap().len(), 1);
        let deep = "[".repeat(200_000);
        let bad: [&[u8]; 8] =
            [b"", b"{", b"[]", b"1", br#"{"a":1,"a":2}"#, br#"{"a":{"b":1,"b":1}}"#, b"{}x", deep.as_bytes()];
        for text in bad {
            assert!(parse_object(text).is_err());
        }
    }
}
