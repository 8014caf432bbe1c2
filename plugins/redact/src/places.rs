//! Places in a payload, with wildcards.

use std::borrow::Cow;

use hookwright_plugin::{
    prelude::*,
    schemars::{Schema, SchemaGenerator, json_schema},
};
use serde::{Deserializer, de::Error as _};

/// Places in a payload: dotted names in which `*` stands for any one name or index, with indexes as in
/// `items[0].ssn`, `items[*].ssn` or `items.*.ssn`; or a JSON Pointer, `/items/*/ssn`, for names with a dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places(Vec<String>);

/// The most names in one path.
const MAX_NAMES: usize = 64;
/// Any one name or index.
const ANY: &str = "*";

impl Places {
    /// Reads a path.
    ///
    /// # Errors
    ///
    /// A sentence that says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let names = match text.as_bytes().first() {
            None => return Err("A path is empty.".to_owned()),
            Some(b'@') => return Err("Only what stands in the payload can be redacted.".to_owned()),
            Some(b'/') => {
                text.split('/').skip(1).map(|name| name.replace("~1", "/").replace("~0", "~")).collect()
            }
            Some(_) => dotted(text)?,
        };
        match names.len() {
            0..=MAX_NAMES => Ok(Self(names)),
            _ => Err(format!("The path has more than {MAX_NAMES} names.")),
        }
    }

    /// Whether this is one of the places.
    pub(crate) fn contain(&self, place: &[Cow<'_, str>]) -> bool {
        let fits = |(name, step): (&String, &Cow<'_, str>)| name == ANY || name == step;
        self.0.len() == place.len() && self.0.iter().zip(place).all(fits)
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Places {
    fn schema_name() -> Cow<'static, str> {
        "Places".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "description": "Places in the payload: dotted names (`items[*].ssn`), where `*` stands for any one name or \
                index, or a JSON Pointer (`/items/*/ssn`).",
        })
    }
}

fn dotted(text: &str) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for part in text.split('.') {
        let (name, indexes) = part.find('[').map_or((part, ""), |at| part.split_at(at));
        if name.is_empty() && (indexes.is_empty() || !names.is_empty()) {
            return Err(format!(
                "The path `{text}` has an empty name; names with a dot need a JSON Pointer, `/a.b`."
            ));
        }
        if !name.is_empty() {
            names.push(name.to_owned());
        }
        push_indexes(indexes, &mut names).ok_or_else(|| {
            format!("The path `{text}` has a bracket that is no index; `[0]` and `[*]` are, and other names with brackets need a JSON Pointer.")
        })?;
    }
    Ok(names)
}

/// From `[0][*]`.
fn push_indexes(mut text: &str, names: &mut Vec<String>) -> Option<()> {
    while !text.is_empty() {
        let (index, rest) = text.strip_prefix('[')?.split_once(']')?;
        let is_number = !index.is_empty() && index.bytes().all(|byte| byte.is_ascii_digit());
        (is_number || index == ANY).then_some(())?;
        names.push(index.to_owned());
        text = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_paths() {
        let table: [(&str, &[&str]); 6] = [
            ("a.b", &["a", "b"]),
            ("items[*].ssn", &["items", "*", "ssn"]),
            ("items.*.ssn", &["items", "*", "ssn"]),
            ("[0][12].a", &["0", "12", "a"]),
            ("/a.b/c~1d/*", &["a.b", "c/d", "*"]),
            ("*", &["*"]),
        ];
        for (text, names) in table {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(Places::parse(text), Ok(Places(names)), "{text}");
        }
        let long = "a.".repeat(64) + "a";
        for text in ["", ".", "a.", "a..b", "a[", "a[]", "a[-1]", "a[x]", "a[0]b", "a.[0]", "@type", &long] {
            assert!(Places::parse(text).is_err(), "{text}");
        }
    }
}
