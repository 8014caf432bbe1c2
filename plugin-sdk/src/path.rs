//! Where to look in a payload or an event.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Event, Failure, json::Text, json::Value};

/// A place in a payload, or a fact about the event. It reads as one of
///
/// * dotted names, `document.vendor_name`; a number is an index into a list, `line_items.0.amount`;
/// * an RFC 6901 JSON Pointer, `/custom_fields/P.O. Number`, for names with a dot in them;
/// * a fact: `@type`, `@id`, `@tenant`, `@timestamp`, `@channel` (the first one), `@attempted_at` or
///   `@webhook_id` (the same on every attempt and on a replay);
/// * `@payload`, the whole payload.
///
/// ```
/// use hookwright_plugin::{json, Path, test};
///
/// let payload = json::parse(br#"{"document": {"lines": [{"amount": 12500.00}]}}"#)?;
/// let event = test::event("document.exported");
/// let find = |path: &str| Path::parse(path).ok()?.find(&event, &payload).map(|value| value.to_json());
///
/// assert_eq!(find("document.lines.0.amount").as_deref(), Some("12500.00"));
/// assert_eq!(find("/document/lines/1"), None);
/// assert_eq!(find("@type").as_deref(), Some("\"document.exported\""));
/// # Ok::<(), json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    text: String,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Payload(Vec<String>),
    Fact(Fact),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fact {
    Type,
    Id,
    Tenant,
    Timestamp,
    AttemptedAt,
    Channel,
    WebhookId,
}

impl Path {
    /// The most names in one path.
    pub const MAX_NAMES: usize = 64;

    /// Reads a path.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let place = match text.as_bytes().first() {
            None => return Err("A path is empty; the whole payload is `@payload`.".to_owned()),
            Some(b'@') => special(text)?,
            Some(b'/') => Place::Payload(text.split('/').skip(1).map(pointer_name).collect()),
            Some(_) => Place::Payload(dotted(text)?),
        };
        match &place {
            Place::Payload(names) if names.len() > Self::MAX_NAMES => {
                Err(format!("The path has more than {} names.", Self::MAX_NAMES))
            }
            _ => Ok(Self { text: text.to_owned(), place }),
        }
    }

    /// What is there, if anything; `null` is something.
    pub fn find<'v>(&self, event: &'v Event, payload: &'v Value<'_>) -> Option<Cow<'v, Value<'v>>> {
        match &self.place {
            Place::Payload(names) => walk(names, payload).map(Cow::Borrowed),
            Place::Fact(fact) => fact.of(event).map(|text| Cow::Owned(Value::String(Text::Plain(text)))),
        }
    }

    /// What is there, where the work cannot be done without it.
    ///
    /// ```
    /// use hookwright_plugin::{Path, json, test};
    ///
    /// let payload = json::parse(br#"{"document": {"id": null}}"#)?;
    /// let path = Path::parse("document.id").unwrap();
    /// let failure = path.require(&test::event("a"), &payload).unwrap_err();
    /// assert_eq!(failure.to_string(), "`document.id` is null, and is needed here. (missing)");
    /// # Ok::<(), json::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Failure::MISSING`], with the path, where nothing or `null` is there.
    pub fn require<'v>(
        &self,
        event: &'v Event,
        payload: &'v Value<'_>,
    ) -> Result<Cow<'v, Value<'v>>, Failure> {
        let what = match self.find(event, payload) {
            Some(value) if !value.is_null() => return Ok(value),
            Some(_) => "is null",
            None => "is not there",
        };
        Err(Failure::new(Failure::MISSING, format!("`{self}` {what}, and is needed here.")))
    }

    /// The text that is there; a number or a boolean as it was written.
    ///
    /// # Errors
    ///
    /// [`Failure::MISSING`] as for [`require`](Self::require); [`Failure::BAD_PAYLOAD`], with the path, for an
    /// object or a list.
    pub fn require_text(&self, event: &Event, payload: &Value<'_>) -> Result<String, Failure> {
        let value = self.require(event, payload)?;
        match *value {
            Value::Object(..) | Value::Array(..) => Err(Failure::new(
                Failure::BAD_PAYLOAD,
                format!("`{self}` is {}, where a text is needed.", value.kind()),
            )),
            _ => Ok(value.display().into_owned()),
        }
    }

    /// The names on the way into the payload; none for a fact about the event.
    pub fn names(&self) -> Option<&[String]> {
        match &self.place {
            Place::Payload(names) => Some(names),
            Place::Fact(_) => None,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Path {
    fn schema_name() -> Cow<'static, str> {
        "Path".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "Where to look: dotted names (`document.lines.0`), a JSON Pointer (`/document/lines/0`), \
                `@payload`, or a fact about the event (`@type`, `@id`, `@tenant`, `@timestamp`, `@channel`, \
                `@attempted_at`, `@webhook_id`).",
        })
    }
}

impl Fact {
    fn of(self, event: &Event) -> Option<&str> {
        match self {
            Fact::Type => Some(&event.event_type),
            Fact::Id => Some(&event.id),
            Fact::Tenant => Some(&event.tenant),
            Fact::Timestamp => Some(&event.timestamp),
            Fact::AttemptedAt => Some(&event.attempted_at),
            Fact::Channel => event.channels.first().map(String::as_str),
            Fact::WebhookId => Some(event.webhook_id()),
        }
    }
}

fn special(text: &str) -> Result<Place, String> {
    Ok(match text {
        "@payload" => Place::Payload(Vec::new()),
        "@type" => Place::Fact(Fact::Type),
        "@id" => Place::Fact(Fact::Id),
        "@tenant" => Place::Fact(Fact::Tenant),
        "@timestamp" => Place::Fact(Fact::Timestamp),
        "@attempted_at" => Place::Fact(Fact::AttemptedAt),
        "@channel" => Place::Fact(Fact::Channel),
        "@webhook_id" => Place::Fact(Fact::WebhookId),
        _ => {
            return Err(format!(
                "There is no `{text}`; there are @payload, @type, @id, @tenant, @timestamp, @attempted_at, \
                 @channel and @webhook_id. A member whose name begins with @ is written `/{text}`."
            ));
        }
    })
}

fn dotted(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    if names.iter().any(String::is_empty) {
        return Err(format!(
            "The path `{text}` has an empty name; names with a dot need a JSON Pointer, `/a.b`."
        ));
    }
    if text.contains('[') {
        return Err(format!(
            "The path `{text}` has a bracket; an index is written `items.0.name`, and a name with a bracket \
             as a JSON Pointer, `/a[b]`."
        ));
    }
    Ok(names)
}

fn pointer_name(name: &str) -> String {
    name.replace("~1", "/").replace("~0", "~")
}

fn walk<'v, 'a>(names: &[String], payload: &'v Value<'a>) -> Option<&'v Value<'a>> {
    names.iter().try_fold(payload, |value, name| match value {
        Value::Array(..) => value.at(name.parse().ok()?),
        _ => value.get(name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, test};

    #[test]
    fn finds_what_is_there() {
        let payload =
            json::parse(br#"{"a":{"b.c":1,"d/e~":2,"0":3},"l":[{"x":4},null],"":5}"#).expect("valid");
        let event = test::event("a.b");
        let table = [
            ("a.0", Some("3")),
            ("/a/b.c", Some("1")),
            ("/a/d~1e~0", Some("2")),
            ("l.0.x", Some("4")),
            ("/l/1", Some("null")),
            ("l.2", None),
            ("l.x", None),
            ("a.b.c", None),
            ("/", Some("5")),
            ("@id", Some("\"evt_example\"")),
            ("@channel", None),
            ("@webhook_id", Some("\"evt_example\"")),
            ("@payload", Some(r#"{"a":{"b.c":1,"d/e~":2,"0":3},"l":[{"x":4},null],"":5}"#)),
        ];
        for (path, found) in table {
            let path = Path::parse(path).expect(path);
            assert_eq!(path.find(&event, &payload).map(|value| value.to_json()).as_deref(), found, "{path}");
        }
    }

    #[test]
    fn what_is_needed_is_named() {
        let payload = json::parse(br#"{"a":{"b":[1]},"n":1.50,"z":null,"t":"x"}"#).expect("valid");
        let table = [
            ("t", Ok("x".to_owned())),
            ("n", Ok("1.50".to_owned())),
            ("@type", Ok("a.b".to_owned())),
            ("z", Err("`z` is null, and is needed here. (missing)".to_owned())),
            ("/a/c", Err("`/a/c` is not there, and is needed here. (missing)".to_owned())),
            ("a.b", Err("`a.b` is a list, where a text is needed. (bad-payload)".to_owned())),
        ];
        for (path, expected) in table {
            let found = Path::parse(path).expect(path).require_text(&test::event("a.b"), &payload);
            assert_eq!(found.map_err(|failure| failure.to_string()), expected, "{path}");
        }
    }

    #[test]
    fn the_webhook_id_is_an_attribute() {
        let mut event = test::event("a.b");
        event.attributes.push(("webhook-id".to_owned(), "msg_1".to_owned()));
        let path = Path::parse("@webhook_id").expect("a path");
        assert_eq!(path.require_text(&event, &Value::Null).as_deref(), Ok("msg_1"));
    }

    #[test]
    fn refuses_what_would_never_find_anything() {
        let long = "a.".repeat(100) + "a";
        for text in ["", ".", "a.", ".a", "a..b", "items[0]", "@typ", long.as_str()] {
            assert!(Path::parse(text).is_err(), "{text:?}");
        }
    }
}
