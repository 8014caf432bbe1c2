//! CloudEvents 1.0 as they are posted: the JSON format, and the HTTP binding's binary mode.
//!
//! | CloudEvents | here |
//! |---|---|
//! | `source` and `id` | the producer's id: both, with a space between them; what such an id cannot hold, as a digest |
//! | `type` | the event's type |
//! | `time` | its timestamp |
//! | `tenant`, `channels` (extensions) | its tenant; its channels, with commas between them |
//! | `data` or `data_base64` | its payload, byte for byte, which has to be JSON; `null` where there is none |
//!
//! `subject`, `dataschema` and other extensions are read and not kept: receivers get the data.

use std::fmt::Display;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use http::HeaderMap;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::posted::{self, kept};
use crate::api::body::media_type;
use crate::api::exact::Members;
use crate::api::fields::escape;
use crate::api::problem::{FieldError, Kind, Problem};
use crate::config::Ingest as Limits;
use crate::event::{Channel, EventType, NewEvent, ProducerId, Tenant, content_digest};
use crate::time::Timestamp;

pub const ONE: &str = "application/cloudevents+json";
pub const BATCH: &str = "application/cloudevents-batch+json";

const VERSION: &str = "1.0";
const HEADER: &str = "ce-";
const REQUIRED: [&str; 4] = ["specversion", "id", "source", "type"];
/// What a structured event's data stands under.
const DATA: &str = "data";
const DATA_BASE64: &str = "data_base64";
const CONTENT_TYPE: &str = "datacontenttype";

/// Whether a request's headers say that its body is the data of a CloudEvent.
pub fn is_binary(headers: &HeaderMap) -> bool {
    REQUIRED.iter().any(|name| headers.contains_key(format!("{HEADER}{name}")))
}

/// What is said about an event beside its data, by name.
#[derive(Debug)]
pub struct Attributes {
    mode: Mode,
    values: Vec<(String, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Binary,
    Structured,
}

impl Mode {
    fn error(self, attribute: &str, message: impl Display) -> FieldError {
        match self {
            Mode::Binary => FieldError::new("", format_args!("the header `{HEADER}{attribute}`: {message}")),
            Mode::Structured => FieldError::new(format!("/{}", escape(attribute)), message),
        }
    }
}

impl Attributes {
    /// Those of the binary mode.
    ///
    /// # Errors
    ///
    /// 400 for headers that cannot be read.
    pub fn of_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut values = Vec::new();
        for name in headers.keys() {
            let Some(attribute) = name.as_str().strip_prefix(HEADER) else { continue };
            let mut given = headers.get_all(name).iter();
            let (Some(value), None) = (given.next(), given.next()) else {
                return Err(Problem::malformed(format!("The header `{name}` stands there twice.")));
            };
            let value = header_value(value.as_bytes()).ok_or_else(|| {
                Problem::malformed(format!("The header `{name}` is not percent-encoded UTF-8."))
            })?;
            values.push((attribute.to_owned(), value));
        }
        let attributes = Self { mode: Mode::Binary, values };
        match attributes.get(CONTENT_TYPE) {
            Some(_) => Err(Problem::malformed(
                "The type of the data is said by `content-type`; leave `ce-datacontenttype` out.",
            )),
            None => Ok(attributes),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.values.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// The event of a request in the binary mode, of which `body` is the data.
///
/// # Errors
///
/// 413, 400, 415 and 422, as for events in the host's own form.
pub fn of_binary(
    limits: &Limits,
    attributes: &Attributes,
    headers: &HeaderMap,
    body: &Bytes,
) -> Result<NewEvent, Problem> {
    posted::check_bounds(limits, body)?;
    if body.is_empty() {
        return event(limits, attributes, Bytes::from_static(b"null"));
    }
    check_json_type(media_type(headers).as_deref())?;
    check_json(body)?;
    event(limits, attributes, body.clone())
}

/// The event that `item`, a part of `whole` or all of it, says in the JSON format.
///
/// # Errors
///
/// As for [`of_binary`].
pub fn of_json(limits: &Limits, whole: &Bytes, item: &[u8]) -> Result<NewEvent, Problem> {
    posted::check_bounds(limits, item)?;
    let Members(members) = serde_json::from_slice(item).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => Problem::field("", error),
        _ => Problem::malformed(format!("The event is not JSON: {error}.")),
    })?;
    let (data, attributes): (Vec<_>, Vec<_>) =
        members.into_iter().partition(|(name, _)| name == DATA || name == DATA_BASE64);
    let attributes = structured(attributes)?;
    let payload = match data.as_slice() {
        [] => Bytes::from_static(b"null"),
        [(name, data)] => {
            check_json_type(attributes.get(CONTENT_TYPE))?;
            if name == DATA { kept(whole, data.get().as_bytes()) } else { decoded(limits, data)? }
        }
        _ => return Err(Problem::field("/data_base64", "there is `data` as well; an event has one of them")),
    };
    event(limits, &attributes, payload)
}

fn structured(members: Vec<(String, &RawValue)>) -> Result<Attributes, Problem> {
    let mut values = Vec::with_capacity(members.len());
    let mut errors = Vec::new();
    for (name, raw) in members {
        match scalar(&name, raw) {
            Ok(Some(value)) => values.push((name, value)),
            Ok(None) => {}
            Err(message) => errors.push(Mode::Structured.error(&name, message)),
        }
    }
    match errors.is_empty() {
        true => Ok(Attributes { mode: Mode::Structured, values }),
        false => Err(Problem::invalid(errors)),
    }
}

/// An attribute's value as text. `null` says that it is not set.
fn scalar(name: &str, raw: &RawValue) -> Result<Option<String>, &'static str> {
    if name.is_empty() || !name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9')) {
        return Err("the name of an attribute has lower-case letters and digits alone");
    }
    let text = raw.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Some).map_err(|_| "it is no text in Unicode"),
        Some(b'{' | b'[') => {
            Err("an attribute is a text, a number or a truth value; what has parts goes into `data`")
        }
        Some(b'n') => Ok(None),
        _ if KNOWN.contains(&name) => Err("it must be a string"),
        _ => Ok(Some(text.to_owned())),
    }
}

/// Attributes that are read, all of them texts.
const KNOWN: [&str; 8] = ["specversion", "id", "source", "type", "time", "tenant", "channels", CONTENT_TYPE];

fn decoded(limits: &Limits, data: &RawValue) -> Result<Bytes, Problem> {
    let wrong = |message: &str| Problem::field(format!("/{DATA_BASE64}"), message);
    let text: String = serde_json::from_str(data.get()).map_err(|_| wrong("it must be a string"))?;
    let bytes = BASE64.decode(text.as_bytes()).map_err(|_| wrong("it is not base64"))?;
    posted::check_bounds(limits, &bytes)?;
    check_json(&bytes)?;
    Ok(bytes.into())
}

/// No type at all is taken for JSON.
fn check_json_type(given: Option<&str>) -> Result<(), Problem> {
    let Some(given) = given else { return Ok(()) };
    let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let subtype = essence.split_once('/').map_or("", |(_, subtype)| subtype);
    if subtype == "json" || subtype.ends_with("+json") {
        return Ok(());
    }
    let detail =
        format!("The event's data is `{essence}`; payloads are JSON. Send the data as `application/json`.");
    Err(Problem::new(Kind::UnsupportedMediaType, detail))
}

fn check_json(data: &[u8]) -> Result<(), Problem> {
    serde_json::from_slice::<&RawValue>(data)
        .map(drop)
        .map_err(|error| Problem::malformed(format!("The event's data is not JSON: {error}.")))
}

fn event(limits: &Limits, attributes: &Attributes, payload: Bytes) -> Result<NewEvent, Problem> {
    check_version(attributes)?;
    let mut errors = Vec::new();
    let mut note = |name: &str, message: &dyn Display| errors.push(attributes.mode.error(name, message));
    let id = required(attributes, "id", &mut note).filter(|id| is_printable("id", id, &mut note));
    let source =
        required(attributes, "source", &mut note).filter(|source| is_uri("source", source, &mut note));
    let event_type = required(attributes, "type", &mut note)
        .and_then(|text| EventType::parse_posted(text).map_err(|error| note("type", &error)).ok());
    let mut parsed = Parsed { attributes, note: &mut note };
    let tenant = parsed.optional("tenant", Tenant::parse);
    let timestamp = parsed.optional("time", Timestamp::parse);
    let channels =
        parsed.optional("channels", |text| channels(text, limits.max_channels)).unwrap_or_default();
    match (id, source, event_type) {
        (Some(id), Some(source), Some(event_type)) if errors.is_empty() => Ok(NewEvent {
            producer_id: Some(producer_id(source, id)?),
            content: content_digest(event_type.as_str(), &channels, attributes.get("time"), &payload),
            event_type,
            tenant,
            timestamp,
            channels,
            payload,
        }),
        _ => Err(Problem::invalid(errors)),
    }
}

/// Of another version nothing else is judged.
fn check_version(attributes: &Attributes) -> Result<(), Problem> {
    let message = match attributes.get("specversion") {
        Some(VERSION) => return Ok(()),
        Some(other) => {
            let other: String = other.chars().take(16).collect();
            format!("it is `{other}`; events of version `{VERSION}` are understood")
        }
        None => format!("it is missing; write `{VERSION}`"),
    };
    Err(Problem::invalid(vec![attributes.mode.error("specversion", message)]))
}

fn required<'a>(
    attributes: &'a Attributes,
    name: &str,
    note: &mut dyn FnMut(&str, &dyn Display),
) -> Option<&'a str> {
    match attributes.get(name) {
        Some("") => note(name, &"it is empty"),
        None => note(name, &"it is missing"),
        Some(text) => return Some(text),
    }
    None
}

fn is_printable(name: &str, text: &str, note: &mut dyn FnMut(&str, &dyn Display)) -> bool {
    let printable = !text.chars().any(char::is_control);
    if !printable {
        note(name, &"it holds a control character");
    }
    printable
}

fn is_uri(name: &str, text: &str, note: &mut dyn FnMut(&str, &dyn Display)) -> bool {
    let fits = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    if !fits {
        note(name, &"it is no URI reference such as `https://example.com/orders` or `/orders`");
    }
    fits
}

struct Parsed<'a, 'n> {
    attributes: &'a Attributes,
    note: &'n mut dyn FnMut(&str, &dyn Display),
}

impl Parsed<'_, '_> {
    fn optional<T, E: Display>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Option<T> {
        parse(self.attributes.get(name)?).map_err(|error| (self.note)(name, &error)).ok()
    }
}

fn channels(text: &str, most: usize) -> Result<Vec<Channel>, String> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    if parts.len() > most {
        return Err(format!("it has {} entries; {most} are allowed", parts.len()));
    }
    parts.into_iter().map(|part| Channel::parse(part).map_err(|error| error.to_string())).collect()
}

/// No source holds a space, so that no two events have one id but those that are the same to CloudEvents.
fn producer_id(source: &str, id: &str) -> Result<ProducerId, Problem> {
    let both = format!("{source} {id}");
    ProducerId::parse(&both)
        .or_else(|_| ProducerId::parse(&format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&both)))))
        .map_err(|error| Problem::internal(&error))
}

/// A header's value, out of its quotes if it has some and then out of its percent-encoding, once.
fn header_value(raw: &[u8]) -> Option<String> {
    let text = str::from_utf8(raw).ok()?;
    let quoted = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let text = quoted.map_or_else(|| text.to_owned(), unescaped);
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, behind @ ..] = rest {
        rest = behind;
        bytes.push(match byte {
            b'%' => {
                let (digits, behind) = rest.split_at_checked(2)?;
                rest = behind;
                digits
                    .iter()
                    .try_fold(0, |byte: u8, digit| Some(byte << 4 | char::from(*digit).to_digit(16)? as u8))?
            }
            byte => *byte,
        });
    }
    String::from_utf8(bytes).ok()
}

fn unescaped(quoted: &str) -> String {
    let mut chars = quoted.chars();
    let mut text = String::with_capacity(quoted.len());
    while let Some(c) = chars.next() {
        text.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    text
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let line = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        lines.iter().map(line).collect()
    }

    fn binary(lines: &[(&'static str, &str)], body: &'static str) -> Result<NewEvent, Problem> {
        let headers = headers(lines);
        assert!(is_binary(&headers));
        let body = Bytes::from_static(body.as_bytes());
        of_binary(&Limits::default(), &Attributes::of_headers(&headers)?, &headers, &body)
    }

    fn one(text: &str) -> Result<NewEvent, Problem> {
        let whole = Bytes::copy_from_slice(text.as_bytes());
        of_json(&Limits::default(), &whole, &whole)
    }

    const BINARY: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-type", "a.b"), ("ce-id", "7"), ("ce-source", "/s")];

    fn with(more: &[(&'static str, &'static str)]) -> Vec<(&'static str, &'static str)> {
        let others = BINARY.into_iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        others.chain(more.iter().copied()).collect()
    }

    #[test]
    fn header_values_are_decoded_once() {
        for (raw, value) in [
            ("Euro%20%E2%82%AC%20%F0%9F%98%80", Some("Euro \u{20ac} \u{1f600}")),
            ("plain", Some("plain")),
            ("%41%2d%2F", Some("A-/")),
            ("%2541", Some("%41")),
            (r#""in \"quotes\" 100%25""#, Some(r#"in "quotes" 100%"#)),
            ("\"", Some("\"")),
            ("\u{20ac}", Some("\u{20ac}")),
            ("%C0%A0", None),
            ("%4", None),
            ("100%", None),
            ("%+1", None),
        ] {
            assert_eq!(header_value(raw.as_bytes()).as_deref(), value, "{raw}");
        }
    }

    #[test]
    fn attributes_become_an_event() {
        let lines = with(&[
            ("ce-time", "2018-04-05T17:31:00Z"),
            ("ce-tenant", "acme"),
            ("ce-channels", "eu,%20us"),
            ("ce-subject", "larger%20context"),
            ("content-type", "application/vnd.acme+json; charset=utf-8"),
        ]);
        let event = binary(&lines, "{ \"n\": 1.0 }\n").unwrap();
        assert_eq!(event.producer_id.as_ref().map(ProducerId::as_str), Some("/s 7"));
        assert_eq!((event.event_type.as_str(), &event.tenant), ("a.b", &Tenant::parse("acme").ok()));
        assert_eq!(event.timestamp, Timestamp::parse("2018-04-05T17:31:00Z").ok());
        assert_eq!(event.channels.iter().map(Channel::as_str).collect::<Vec<_>>(), ["eu", "us"]);
        assert_eq!(event.payload, "{ \"n\": 1.0 }\n");
        let same = one(
            r#"{"specversion":"1.0","type":"a.b","id":"7","source":"/s","time":"2018-04-05T17:31:00Z","tenant":"acme",
                "channels":"eu,us","subject":null,"other":5,"data_base64":"eyAibiI6IDEuMCB9Cg=="}"#,
        );
        let same = same.unwrap();
        assert_eq!((same.producer_id, same.content), (event.producer_id, event.content));
        assert_eq!(binary(&BINARY, "").unwrap().payload, "null");
    }

    #[test]
    fn sources_and_ids_do_not_run_together() {
        let id = |source, id| producer_id(source, id).unwrap().as_str().to_owned();
        assert_eq!(id("/a#b", "c d"), "/a#b c d");
        assert_ne!(id("/a", "b c"), id("/a%20b", "c"));
        let long = "x".repeat(300);
        assert!(id("/a", &long).starts_with("sha256:") && id("/a", "\u{e9}").starts_with("sha256:"));
        assert_ne!(id("/a", &long), id("/b", &long));
    }

    #[test]
    fn what_is_wrong_with_headers_is_named() {
        let table = [
            (vec![("ce-id", "7")], "1", 422, "the header `ce-specversion`: it is missing"),
            (with(&[("ce-specversion", "0.3")]), "1", 422, "`0.3`"),
            (
                vec![("ce-specversion", "1.0"), ("ce-id", "7")],
                "1",
                422,
                "the header `ce-source`: it is missing",
            ),
            (with(&[("ce-id", "")]), "1", 422, "the header `ce-id`: it is empty"),
            (with(&[("ce-id", "%0A")]), "1", 422, "control character"),
            (with(&[("ce-source", "a%20b")]), "1", 422, "URI reference"),
            (with(&[("ce-type", "a b")]), "1", 422, "the header `ce-type`"),
            (with(&[("ce-type", "hookwright.x")]), "1", 422, "host's own"),
            (with(&[("ce-time", "noon")]), "1", 422, "the header `ce-time`"),
            (with(&[("ce-tenant", "a/b")]), "1", 422, "the header `ce-tenant`"),
            (with(&[("ce-channels", "a,,b")]), "1", 422, "the header `ce-channels`"),
            (with(&[("ce-subject", "%ff")]), "1", 400, "`ce-subject` is not percent-encoded"),
            (with(&[("ce-datacontenttype", "application/json")]), "1", 400, "`content-type`"),
            (with(&[("content-type", "application/xml")]), "<much wow=\"xml\"/>", 415, "`application/xml`"),
            (with(&[("content-type", "application/json")]), "<xml/>", 400, "not JSON"),
        ];
        for (lines, body, status, part) in table {
            let problem = binary(&lines, body).expect_err(part);
            assert_eq!(problem.kind.status().as_u16(), status, "{problem:?}");
            assert!(problem.detail.contains(part), "{part} in {}", problem.detail);
        }
        let twice = headers(&[("ce-id", "1"), ("ce-id", "2")]);
        assert_eq!(Attributes::of_headers(&twice).unwrap_err().kind, Kind::Malformed);
    }

    #[test]
    fn what_is_wrong_with_json_is_named() {
        let event =
            |members: &str| format!(r#"{{"specversion":"1.0","type":"a","id":"7","source":"/s"{members}}}"#);
        assert_eq!(one(&event("")).unwrap().payload, "null");
        assert_eq!(one(&event(r#","data":"a string""#)).unwrap().payload, r#""a string""#);
        let table = [
            ("[]".to_owned(), 422, ""),
            ("{".to_owned(), 400, ""),
            (r#"{"type":"a"}"#.to_owned(), 422, "/specversion"),
            (event(r#","data":1,"data_base64":"MQ==""#), 422, "/data_base64"),
            (event(r#","data_base64":"1""#), 422, "/data_base64"),
            (event(r#","data_base64":1"#), 422, "/data_base64"),
            (event(r#","data_base64":"PHhtbC8+""#), 400, ""),
            (event(r#","dataContentType":"x/y""#), 422, "/dataContentType"),
            (event(r#","time":7"#), 422, "/time"),
            (event(r#","channels":["a"]"#), 422, "/channels"),
            (event(r#","id":"8""#), 422, ""),
            (event(r#","datacontenttype":"application/xml","data":"<xml/>""#), 415, ""),
        ];
        for (text, status, pointer) in table {
            let problem = one(&text).expect_err(&text);
            assert_eq!(problem.kind.status().as_u16(), status, "{text}: {problem:?}");
            assert_eq!(problem.errors.first().map_or("", |error| &error.pointer), pointer, "{text}");
        }
        let deep = event(&format!(r#","data":{}1{}"#, "[".repeat(128), "]".repeat(128)));
        assert_eq!(one(&deep).unwrap_err().kind, Kind::Malformed);
        let large = event(&format!(r#","data":"{}""#, "x".repeat(1 << 20)));
        assert_eq!(one(&large).unwrap_err().kind, Kind::TooLarge);
    }
}
