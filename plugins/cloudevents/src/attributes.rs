//! The attributes of an event, in their order.

use std::{borrow::Cow, fmt};

use hookwright_plugin::{
    Event, Failure, Template,
    json::{self, Value},
    prelude::{Deserialize, JsonSchema, Result},
    schemars::{Schema, SchemaGenerator, json_schema},
    serde_json::value::RawValue,
};
use serde::{
    Deserializer,
    de::{Error, MapAccess, Visitor},
};

use crate::{Config, encode};

/// Names and values of attributes beyond those of the specification, in their order.
#[derive(Debug, Default)]
pub struct Extensions(pub Vec<(String, Extension)>);

/// The value of an extension.
#[derive(Debug)]
pub enum Extension {
    /// Text with places in it.
    Template(Template),
    /// As it is written in the configuration.
    Constant(Constant),
}

/// A value that every event has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Constant {
    /// `true` or `false`
    Truth(bool),
    /// The digits as they were written.
    Digits(String),
}

/// A value as it goes out.
#[derive(Debug)]
pub(crate) enum Attribute {
    Text(String),
    Constant(Constant),
}

/// All that have a value.
pub(crate) struct Attributes(Vec<(String, Attribute)>);

impl Attributes {
    pub(crate) fn of(event: &Event, payload: &Value<'_>, config: &Config) -> Result<Self> {
        let mut attributes = Self(Vec::with_capacity(8 + config.extensions.0.len()));
        let render = |template: &Template| template.render(event, payload);
        let demanded = |name: &str, text: String| match text.trim().is_empty() {
            true => Err(Failure::new("missing", format!("The {name} of the event comes to nothing."))),
            false => Ok(text),
        };
        attributes.add("specversion", "1.0".to_owned());
        attributes.add("id", event.id.clone());
        attributes.add("source", encode::uri(&demanded("source", render(&config.source))?));
        attributes.add("type", demanded("type", render(&config.kind))?);
        attributes.add("time", event.timestamp.clone());
        attributes.add("subject", config.subject.as_ref().map(render).unwrap_or_default());
        let schema = config.dataschema.as_ref().map(render).unwrap_or_default();
        attributes.add("dataschema", encode::uri(&schema));
        for (name, value) in &config.extensions.0 {
            match value {
                Extension::Template(template) => attributes.add(name, render(template)),
                Extension::Constant(value) => {
                    attributes.0.push((name.clone(), Attribute::Constant(value.clone())))
                }
            }
        }
        Ok(attributes)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &Attribute)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Without what no attribute may have in it, and only where something is left.
    fn add(&mut self, name: &str, text: String) {
        let text: String = text.chars().filter(|c| !c.is_control()).collect();
        if !text.trim().is_empty() {
            self.0.push((name.to_owned(), Attribute::Text(text)));
        }
    }
}

impl Attribute {
    /// As JSON. The specification knows whole numbers of 32 bits and no other; what is none of these is a text.
    pub(crate) fn write(&self, out: &mut String) {
        match self {
            Self::Text(text) => json::escape(text, out),
            Self::Constant(Constant::Truth(truth)) => out.push_str(if *truth { "true" } else { "false" }),
            Self::Constant(Constant::Digits(digits)) if digits.parse::<i32>().is_ok() => out.push_str(digits),
            Self::Constant(Constant::Digits(digits)) => json::escape(digits, out),
        }
    }

    pub(crate) fn text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) | Self::Constant(Constant::Digits(text)) => Cow::Borrowed(text),
            Self::Constant(Constant::Truth(truth)) => Cow::Owned(truth.to_string()),
        }
    }
}

impl<'de> Deserialize<'de> for Extensions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Extensions;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and values")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extensions, A::Error> {
        let mut extensions = Vec::new();
        while let Some(extension) = map.next_entry()? {
            extensions.push(extension);
        }
        Ok(Extensions(extensions))
    }
}

impl<'de> Deserialize<'de> for Extension {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        match json::parse(raw.get().as_bytes()) {
            Ok(Value::String(text)) => {
                Template::parse(&text.decode()).map(Self::Template).map_err(D::Error::custom)
            }
            Ok(Value::Bool(truth)) => Ok(Self::Constant(Constant::Truth(truth))),
            Ok(Value::Number(digits)) => Ok(Self::Constant(Constant::Digits(digits.to_owned()))),
            _ => Err(D::Error::custom("an extension is a template, a number or a boolean")),
        }
    }
}

impl JsonSchema for Extensions {
    fn schema_name() -> Cow<'static, str> {
        "Extensions".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let template = generator.subschema_for::<Template>();
        json_schema!({
            "type": "object",
            "description": "Names of a to z and 0 to 9, and their values.",
            "maxProperties": 50,
            "propertyNames": {"pattern": "^[a-z0-9]{1,20}$"},
            "additionalProperties": {"anyOf": [template, {"type": "number"}, {"type": "boolean"}]},
        })
    }
}
