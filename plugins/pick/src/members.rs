//! The members of a result, in the order in which they were written down.

use std::{borrow::Cow, fmt};

use hookwright_plugin::{
    Path, config,
    prelude::*,
    schemars::{Schema, SchemaGenerator, json_schema},
    serde_json::value::RawValue,
};
use serde::{
    Deserializer,
    de::{Error, MapAccess, Visitor, value::MapAccessDeserializer},
};

/// Names and where their values come from.
#[derive(Debug, Default)]
pub struct Members(pub Vec<(String, Source)>);

/// Where a value comes from: a path, or an object with exactly one of `path` and `members`.
#[derive(Debug, Default)]
pub struct Source {
    /// Where the value is.
    pub path: Option<Path>,
    /// An object with members of its own.
    pub members: Option<Members>,
    /// The value is a list; of each element an object is made, with paths that begin at the element.
    pub each: Option<Members>,
    /// What is written where nothing is there, or `null`.
    pub default: Option<Box<RawValue>>,
    /// What happens where nothing is there and there is no default.
    pub missing: Missing,
}

/// What happens where nothing is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// The member is left out.
    #[default]
    Omit,
    /// The member is `null`.
    Null,
    /// The transform fails.
    Fail,
}

/// The long form of a source. `Source` reads a path as well.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// Where the value is.
    #[serde(default)]
    path: Option<Path>,
    /// An object with members of its own.
    #[serde(default)]
    members: Option<Members>,
    /// The value is a list; of each element an object is made, with paths that begin at the element.
    #[serde(default)]
    each: Option<Members>,
    /// What is written where nothing is there, or `null`.
    #[serde(default, deserialize_with = "config::present")]
    default: Option<Box<RawValue>>,
    /// What happens where nothing is there and there is no default.
    #[serde(default)]
    missing: Missing,
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object of names and paths")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

impl<'de> Deserialize<'de> for Source {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShortOrLong)
    }
}

struct ShortOrLong;

impl<'de> Visitor<'de> for ShortOrLong {
    type Value = Source;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a path or an object")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Source, E> {
        let path = Path::parse(text).map_err(E::custom)?;
        Ok(Source { path: Some(path), ..Source::default() })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Source, A::Error> {
        let long = Long::deserialize(MapAccessDeserializer::new(map))?;
        let Long { path, members, each, default, missing } = long;
        Ok(Source { path, members, each, default, missing })
    }
}

impl JsonSchema for Members {
    fn schema_name() -> Cow<'static, str> {
        "Members".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let source = generator.subschema_for::<Source>();
        json_schema!({
            "type": "object",
            "description": "Names of the result, in their order, and where their values come from.",
            "minProperties": 1,
            "propertyNames": {"minLength": 1, "maxLength": 200},
            "additionalProperties": source,
        })
    }
}

impl JsonSchema for Source {
    fn schema_name() -> Cow<'static, str> {
        "Source".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (path, long) = (generator.subschema_for::<Path>(), generator.subschema_for::<Long>());
        json_schema!({"anyOf": [path, long]})
    }
}
