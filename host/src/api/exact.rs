//! JSON as it was written: numbers keep their digits and members their order, which a reader into `f64` and a sorted
//! map would not. For plugins' configurations, whose meaning only the plugin knows.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Error as _, Serialize, SerializeMap, Serializer};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

/// How deep it may be nested.
const MAX_DEPTH: usize = 128;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Json {
    Object(Vec<(String, Json)>),
    Array(Vec<Json>),
    Text(String),
    /// A number, `true`, `false` or `null`.
    Other(String),
}

/// The members of an object in their order, as they stand there. No name stands there twice, since readers differ in
/// which one they take.
#[derive(Debug)]
pub(super) struct Members<'a>(pub Vec<(String, &'a RawValue)>);

impl Json {
    /// # Errors
    ///
    /// What is wrong with it, to follow "it ...".
    pub fn parse(text: &str) -> Result<Self, String> {
        let raw: &RawValue =
            serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))?;
        Self::read(raw, MAX_DEPTH)
    }

    /// As a value to compute with. A number that `f64` cannot hold becomes the nearest one that it can.
    pub fn into_value(self) -> Value {
        match self {
            Json::Object(members) => {
                Value::Object(members.into_iter().map(|(name, value)| (name, value.into_value())).collect())
            }
            Json::Array(items) => Value::Array(items.into_iter().map(Self::into_value).collect()),
            Json::Text(text) => Value::String(text),
            Json::Other(text) => serde_json::from_str(&text).unwrap_or_else(|_| nearest(&text)),
        }
    }

    fn read(raw: &RawValue, depth: usize) -> Result<Self, String> {
        let text = raw.get();
        let depth =
            depth.checked_sub(1).ok_or_else(|| format!("it is nested deeper than {MAX_DEPTH} levels"))?;
        let invalid = |error: serde_json::Error| format!("it cannot be read: {error}");
        match text.as_bytes().first() {
            Some(b'{') => {
                let Members(members) = serde_json::from_str(text).map_err(invalid)?;
                let read = |(name, raw): (String, &RawValue)| Ok((name, Self::read(raw, depth)?));
                members.into_iter().map(read).collect::<Result<_, _>>().map(Json::Object)
            }
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).map_err(invalid)?;
                items.into_iter().map(|raw| Self::read(raw, depth)).collect::<Result<_, _>>().map(Json::Array)
            }
            Some(b'"') => serde_json::from_str(text).map(Json::Text).map_err(invalid),
            _ => Ok(Json::Other(text.to_owned())),
        }
    }
}

/// A payload as a value to compute with, whatever its numbers are.
///
/// # Errors
///
/// What readers of it would differ in, such as a name that stands twice in an object; to follow "it ...".
pub(super) fn computable(text: &str) -> Result<Value, String> {
    match super::body::strict(text) {
        Ok(value) => Ok(value),
        Err(_) => Json::parse(text).map(Json::into_value),
    }
}

/// The number that is nearest to one beyond the range of `f64`.
fn nearest(text: &str) -> Value {
    let number: f64 = text.parse().unwrap_or(0.0);
    Number::from_f64(number.clamp(f64::MIN, f64::MAX)).map_or(Value::Null, Value::Number)
}

/// Without white space.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Json::Object(members) => {
                let mut map = serializer.serialize_map(Some(members.len()))?;
                for (name, value) in members {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
            Json::Array(items) => serializer.collect_seq(items),
            Json::Text(text) => serializer.serialize_str(text),
            Json::Other(text) => {
                RawValue::from_string(text.clone()).map_err(S::Error::custom)?.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some((name, raw)) = entries.next_entry::<String, &RawValue>()? {
            if !names.insert(name.clone()) {
                return Err(de::Error::custom(format_args!("`{name}` stands there twice")));
            }
            members.push((name, raw));
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_written_as_it_was() {
        for text in [
            r#"{"z":12345678901234567890.10,"a":[12500.00,1e400,-0.0,true,null,"x\n\"y\""],"m":{}}"#,
            "[]",
            "0.10",
            "\"***\"",
        ] {
            assert_eq!(Json::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Json::parse(" { \"b\" : 1.0 , \"a\" : 2 } ").unwrap().to_string(), r#"{"b":1.0,"a":2}"#);
    }

    #[test]
    fn what_readers_differ_in_is_refused() {
        let deep = format!("{}1{}", "[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
        for bad in
            ["", "{", "[1,]", "01", r#"{"a":1,"a":2}"#, r#"[{"a":{"b":1,"\u0062":1}}]"#, r#""\ud800""#, &deep]
        {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
        assert!(Json::parse(&deep[1..deep.len() - 1]).is_ok());
    }

    #[test]
    fn any_number_can_be_computed_with() {
        for (text, value) in [
            ("[1e400,-1e400,1e-400]", serde_json::json!([f64::MAX, f64::MIN, 0.0])),
            ("123456789012345678901234567890", serde_json::json!(1.2345678901234568e29)),
            (r#"{"n":1.50,"big":1e999,"s":"x"}"#, serde_json::json!({"n": 1.5, "big": f64::MAX, "s": "x"})),
        ] {
            assert_eq!(computable(text), Ok(value), "{text}");
        }
        for bad in [r#"{"a":1,"a":2}"#, r#""\ud800""#, "{"] {
            assert!(computable(bad).is_err(), "{bad}");
        }
    }
}
