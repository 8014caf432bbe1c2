//! From the text of a configuration to the plugin's own type, or to errors that say where.

use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_path_to_error::Segment;

use crate::text::Unit;

pub use crate::bindings::types::ConfigError;

impl ConfigError {
    /// Something wrong at `pointer`, an RFC 6901 JSON Pointer; empty for the whole configuration.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), message: message.into() }
    }
}

/// Reads a configuration. An empty text and `null` mean `{}`, so an endpoint may leave it out.
///
/// # Errors
///
/// One, since serde stops at the first: the pointer is the deepest place that was reached.
pub fn parse<C: DeserializeOwned>(text: &str) -> Result<C, Vec<ConfigError>> {
    let text = or_empty_object(text);
    // serde would take a list for the members in their order.
    if !text.starts_with('{') {
        return Err(vec![ConfigError::new("", "A configuration is a JSON object.")]);
    }
    serde_json::from_str(text).map_err(|error| vec![locate::<C>(text).unwrap_or_else(|| plain(&error))])
}

/// Appends one member name or array index to a JSON Pointer.
///
/// ```
/// let pointer = hookwright_plugin::config::join("/fields", "a/b");
/// assert_eq!(pointer, "/fields/a~1b");
/// ```
pub fn join(pointer: &str, segment: impl std::fmt::Display) -> String {
    let segment = segment.to_string().replace('~', "~0").replace('/', "~1");
    format!("{pointer}/{segment}")
}

/// Collects what is wrong with a configuration, so that a person sees all of it at once.
///
/// ```
/// use hookwright_plugin::config::Check;
///
/// let mut check = Check::default();
/// check.demand(8 <= 5, "/limit", "A limit is at most 5.");
/// check.length("/labels/0", "A label", "", 1..=200);
/// let errors = check.finish().unwrap_err();
/// assert_eq!(errors[1].message, "A label has 1 to 200 characters.");
/// ```
#[derive(Debug, Default)]
pub struct Check {
    errors: Vec<ConfigError>,
}

impl Check {
    /// Notes `message` at `pointer` unless something holds.
    pub fn demand(&mut self, holds: bool, pointer: impl Into<String>, message: impl Into<String>) {
        if !holds {
            self.errors.push(ConfigError::new(pointer, message));
        }
    }

    /// Demands that a text has that many characters. `what` begins the sentence.
    pub fn length(
        &mut self,
        pointer: impl Into<String>,
        what: &str,
        text: &str,
        bounds: RangeInclusive<usize>,
    ) {
        if bounds.contains(&Unit::Chars.measure(text)) {
            return;
        }
        let (least, most) = (bounds.start(), bounds.end());
        let range = if *least == 0 { format!("at most {most}") } else { format!("{least} to {most}") };
        self.errors.push(ConfigError::new(pointer, format!("{what} has {range} characters.")));
    }

    /// Notes what was found elsewhere.
    pub fn extend(&mut self, errors: impl IntoIterator<Item = ConfigError>) {
        self.errors.extend(errors);
    }

    /// The end of a check.
    ///
    /// # Errors
    ///
    /// All that was noted.
    pub fn finish(self) -> Result<(), Vec<ConfigError>> {
        if self.errors.is_empty() { Ok(()) } else { Err(self.errors) }
    }
}

/// For an optional member that may be `null` and means it: without this, serde takes `null` for a member that
/// is not there.
///
/// ```
/// use hookwright_plugin::{config, prelude::*, serde_json::value::RawValue};
///
/// #[derive(Deserialize)]
/// struct Config {
///     #[serde(default, deserialize_with = "config::present")]
///     equals: Option<Box<RawValue>>,
/// }
///
/// let config: Config = config::parse(r#"{"equals": null}"#).map_err(Failure::from)?;
/// assert_eq!(config.equals.map(|value| value.get().to_owned()).as_deref(), Some("null"));
/// # Ok::<(), Failure>(())
/// ```
///
/// # Errors
///
/// Those of the value.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn or_empty_object(text: &str) -> &str {
    match text.trim() {
        "" | "null" => "{}",
        text => text,
    }
}

/// Reads a refused text again, this time keeping track of the place: the common way stays free of it.
fn locate<C: DeserializeOwned>(text: &str) -> Option<ConfigError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, C>(&mut reader).err()?;
    let pointer = error.path().iter().fold(String::new(), |pointer, segment| match segment {
        Segment::Seq { index } => join(&pointer, index),
        Segment::Map { key } => join(&pointer, key),
        Segment::Enum { variant } => join(&pointer, variant),
        Segment::Unknown => pointer,
    });
    Some(ConfigError { pointer, ..plain(error.inner()) })
}

fn plain(error: &serde_json::Error) -> ConfigError {
    let text = error.to_string();
    // Line and column say nothing where the configuration was part of a larger document, as it usually was.
    let text = match (error.classify(), text.rfind(" at line ")) {
        (serde_json::error::Category::Data, Some(end)) => &text[..end],
        _ => &text,
    };
    ConfigError::new("", sentence(text))
}

fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    let first = rest.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let stop = if text.ends_with(['.', '?', '!']) { "" } else { "." };
    format!("{first}{}{stop}", rest.as_str())
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    #[allow(dead_code)]
    struct Config {
        label: String,
        fields: Vec<Field>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Field {
        #[serde(rename = "a/b")]
        limit: u8,
    }

    #[test]
    fn nothing_means_defaults() {
        for text in ["", " ", "null", " null\n", "{}"] {
            assert!(parse::<Config>(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn errors_say_where_and_what() {
        let table = [
            (r#"{"label": 1}"#, "/label", "Invalid type: integer `1`, expected a string."),
            (
                r#"{"fields": [{"a/b": 1}, {"a/b": 256}]}"#,
                "/fields/1/a~1b",
                "Invalid value: integer `256`, expected u8.",
            ),
            (r#"{"fields": [{}]}"#, "/fields/0", "Missing field `a/b`."),
            (r#"{"label": "x""#, "", "EOF while parsing an object at line 1 column 13."),
            (r#"["x"]"#, "", "A configuration is a JSON object."),
        ];
        for (text, pointer, message) in table {
            let errors = parse::<Config>(text).expect_err(text);
            assert_eq!(errors, [ConfigError::new(pointer, message)], "{text}");
        }
        let errors = parse::<Config>(r#"{"lable": "x"}"#).expect_err("unknown member");
        assert_eq!(errors[0].message, "Unknown field `lable`, expected `label` or `fields`.");
    }
}
