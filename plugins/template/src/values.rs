//! The payload as the template sees it. Objects and lists remember how they were written, numbers too.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::Range, sync::Arc};

use hookwright_plugin::{
    Event, Message,
    json::{self, Text},
    prelude::{Deserialize, JsonSchema, Result},
    schemars::{Schema, SchemaGenerator, json_schema},
};
use minijinja::value::{Enumerator, Object, ObjectRepr, Value};
use serde::{
    Deserializer,
    de::{MapAccess, Visitor},
};

use crate::{engine::Context, numbers::Numbers};

/// Everything that a template can name.
pub(crate) fn context(event: &Event, message: &Message, numbers: &Arc<Numbers>) -> Result<Context> {
    let text = std::str::from_utf8(&message.body).ok();
    let payload = match json::parse(&message.body) {
        Ok(tree) => {
            let source: Arc<str> = Arc::from(text.unwrap_or_default());
            Some(Reader { source: &source, base: message.body.as_ptr() as usize, numbers }.value(&tree))
        }
        Err(error) if is_json(&message.content_type) => return Err(error.into()),
        Err(_) => None,
    };
    let headers =
        message.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), Value::from(value.as_str())));
    let mut context: Context = vec![
        ("event", facts(event)),
        ("headers", Value::from_pairs(headers.collect::<Vec<_>>())),
        ("method", Value::from(message.method.as_deref().unwrap_or("POST"))),
        ("path", message.path_and_query.as_deref().map_or(Value::from(()), Value::from)),
        ("content_type", Value::from(message.content_type.as_str())),
    ];
    match payload {
        Some(payload) => context.push(("payload", payload)),
        None => context.push(("body", Value::from(text.unwrap_or_default()))),
    }
    Ok(context)
}

/// What a template can name.
pub(crate) const NAMES: [&str; 7] = ["payload", "event", "headers", "method", "path", "content_type", "body"];

/// A piece of the payload's text.
#[derive(Clone)]
pub(crate) struct Slice {
    source: Arc<str>,
    range: Range<usize>,
}

impl Slice {
    pub(crate) fn text(&self) -> &str {
        self.source.get(self.range.clone()).unwrap_or_default()
    }
}

impl fmt::Debug for Slice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&json::compact(self.text()))
    }
}

/// An object or a list of the payload.
pub(crate) struct Node {
    source: Slice,
    numbers: Arc<Numbers>,
    children: Vec<Child>,
    /// Of an object: its names in their order, and where each one's last value is.
    names: Option<(Vec<Value>, BTreeMap<String, usize>)>,
}

struct Child {
    value: Value,
    /// How a number is written, where the engine's way of writing it could be another.
    digits: Option<Slice>,
}

impl Node {
    /// As it was written.
    pub(crate) fn json(&self) -> &str {
        self.source.text()
    }

    /// A number is remembered as it is looked up, so that it is written the way it stands there.
    fn child(&self, index: usize) -> Option<Value> {
        let child = self.children.get(index)?;
        if let (Some(digits), Ok(value)) = (&child.digits, f64::try_from(child.value.clone())) {
            self.numbers.note(value, digits.text());
        }
        Some(child.value.clone())
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl Object for Node {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        if self.names.is_some() { ObjectRepr::Map } else { ObjectRepr::Seq }
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match &self.names {
            Some((_, index)) => self.child(*index.get(key.as_str()?)?),
            None => self.child(key.as_usize()?),
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match &self.names {
            Some((names, _)) => Enumerator::Values(names.clone()),
            None => Enumerator::Seq(self.children.len()),
        }
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

/// Turns the parser's tree into values of the engine.
struct Reader<'r> {
    /// A copy of what was parsed, and where the original begins.
    source: &'r Arc<str>,
    base: usize,
    numbers: &'r Arc<Numbers>,
}

impl Reader<'_> {
    fn value(&self, value: &json::Value<'_>) -> Value {
        match value {
            json::Value::Null => Value::from(()),
            json::Value::Bool(truth) => Value::from(*truth),
            json::Value::Number(digits) => self.number(digits),
            json::Value::String(text) => Value::from(text.decode().as_ref()),
            json::Value::Array(elements, source) => self.node(elements.iter(), None, source),
            json::Value::Object(members, source) => {
                self.node(members.iter().map(|(_, value)| value), Some(names(members)), source)
            }
        }
    }

    fn node<'v, 'a: 'v>(
        &self,
        values: impl Iterator<Item = &'v json::Value<'a>>,
        names: Option<(Vec<Value>, BTreeMap<String, usize>)>,
        source: &str,
    ) -> Value {
        let children = values.map(|value| Child { value: self.value(value), digits: self.digits(value) });
        Value::from_object(Node {
            source: self.slice(source),
            numbers: self.numbers.clone(),
            children: children.collect(),
            names,
        })
    }

    /// Whole numbers as such, which the engine writes as they are; anything else as a float.
    fn number(&self, digits: &str) -> Value {
        match whole(digits) {
            Some(whole) => i64::try_from(whole).map_or_else(|_| Value::from(whole), Value::from),
            None => {
                let value = digits.parse().unwrap_or(f64::NAN);
                self.numbers.note(value, digits);
                Value::from(value)
            }
        }
    }

    fn digits(&self, value: &json::Value<'_>) -> Option<Slice> {
        match value {
            json::Value::Number(digits) if whole(digits).is_none() => Some(self.slice(digits)),
            _ => None,
        }
    }

    /// `part` is a piece of what was parsed, so the distance of their beginnings is its place.
    fn slice(&self, part: &str) -> Slice {
        let start = (part.as_ptr() as usize).saturating_sub(self.base);
        Slice { source: self.source.clone(), range: start..start + part.len() }
    }
}

fn whole(digits: &str) -> Option<i128> {
    digits.parse().ok().filter(|_| digits != "-0")
}

fn names(members: &[(Text<'_>, json::Value<'_>)]) -> (Vec<Value>, BTreeMap<String, usize>) {
    let (mut names, mut index) = (Vec::with_capacity(members.len()), BTreeMap::new());
    for (place, (name, _)) in members.iter().enumerate() {
        let name = name.decode();
        let value = Value::from(name.as_ref());
        if index.insert(name.into_owned(), place).is_none() {
            names.push(value);
        }
    }
    (names, index)
}

fn facts(event: &Event) -> Value {
    let channels: Vec<Value> = event.channels.iter().map(|channel| Value::from(channel.as_str())).collect();
    let attributes =
        event.attributes.iter().map(|(name, value)| (name.as_str(), Value::from(value.as_str())));
    Value::from_pairs([
        ("type", Value::from(event.event_type.as_str())),
        ("id", Value::from(event.id.as_str())),
        ("tenant", Value::from(event.tenant.as_str())),
        ("timestamp", Value::from(event.timestamp.as_str())),
        ("attempted_at", Value::from(event.attempted_at.as_str())),
        ("attempt", Value::from(event.attempt)),
        ("channels", Value::from(channels)),
        ("attributes", Value::from_pairs(attributes.collect::<Vec<_>>())),
    ])
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == hookwright_plugin::JSON || kind.ends_with("+json")
}

/// Names of headers and templates of their values, in their order.
#[derive(Debug, Default)]
pub struct Headers(pub Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Headers;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and templates")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = map.next_entry()? {
            headers.push(header);
        }
        Ok(Headers(headers))
    }
}

impl JsonSchema for Headers {
    fn schema_name() -> Cow<'static, str> {
        "Headers".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "description": "Names of headers and templates of their values.",
            "maxProperties": 50,
            "propertyNames": {"pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"},
            "additionalProperties": {"type": "string", "maxLength": 8192, "writeOnly": true},
        })
    }
}
