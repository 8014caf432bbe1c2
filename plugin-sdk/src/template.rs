//! Text with places in it.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{Event, Path, json::Value};

/// Text with [paths](Path) in braces, such as `Invoice {document.invoice_number}`. After a bar stands what is
/// written where nothing is found: `{document.vendor_name|an unknown vendor}`. `{{` and `}}` mean the braces
/// themselves.
///
/// ```
/// use hookwright_plugin::{Template, json, test};
///
/// let payload = json::parse(br#"{"name": "Acme", "total": 12500.00}"#)?;
/// let template = Template::parse("{name}: {total} {currency|EUR}").unwrap();
/// assert_eq!(template.render(&test::event("a"), &payload), "Acme: 12500.00 EUR");
/// # Ok::<(), json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Place { path: Path, otherwise: String },
}

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    ///
    /// A sentence that says what is wrong with a brace or a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
            } else if brace == "}" {
                return Err("There is a `}` without a `{`; the brace itself is written `}}`.".to_owned());
            } else {
                let (place, after) = rest
                    .split_once('}')
                    .ok_or("There is a `{` without a `}`; the brace itself is written `{{`.")?;
                push_literal(&mut parts, &mut literal);
                parts.push(Part::place(place)?);
                rest = after;
            }
        }
        literal.push_str(rest);
        push_literal(&mut parts, &mut literal);
        Ok(Self { parts })
    }

    /// A template that stands in the code, such as the default of a configuration. One that does not parse is
    /// empty, and so the plugin's tests show it.
    pub fn known(text: &'static str) -> Self {
        Self::parse(text).unwrap_or_default()
    }

    /// The text with each place filled in, as [`Value::display`] shows it.
    pub fn render(&self, event: &Event, payload: &Value<'_>) -> String {
        self.render_with(event, payload, |found| Cow::Borrowed(found))
    }

    /// As [`render`](Self::render), with what was found going through `escape`. The template's own text, and
    /// what it says in place of something missing, do not.
    ///
    /// ```
    /// use hookwright_plugin::{Template, json, test, text};
    ///
    /// let payload = json::parse(br#"{"name": "R&D"}"#)?;
    /// let template = Template::parse("<b>{name}</b>").unwrap();
    /// let shown = template.render_with(&test::event("a"), &payload, text::escape_markup);
    /// assert_eq!(shown, "<b>R&amp;D</b>");
    /// # Ok::<(), json::Error>(())
    /// ```
    pub fn render_with(
        &self,
        event: &Event,
        payload: &Value<'_>,
        escape: impl Fn(&str) -> Cow<'_, str>,
    ) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part.find(event, payload) {
                Ok(found) => out.push_str(&escape(&found)),
                Err(text) => out.push_str(text),
            }
        }
        out
    }
}

impl Part {
    fn place(text: &str) -> Result<Self, String> {
        let (path, otherwise) = text.split_once('|').unwrap_or((text, ""));
        Ok(Self::Place { path: Path::parse(path.trim())?, otherwise: otherwise.to_owned() })
    }

    /// What was found, or else the template's own text.
    fn find<'v>(&'v self, event: &'v Event, payload: &'v Value<'_>) -> Result<Cow<'v, str>, &'v str> {
        match self {
            Self::Literal(text) => Err(text),
            Self::Place { path, otherwise } => match path.find(event, payload) {
                Some(value) if !value.is_null() => Ok(Cow::Owned(value.display().into_owned())),
                _ => Err(otherwise),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(D::Error::custom)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> Cow<'static, str> {
        "Template".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "Text with paths in braces: `Invoice {document.invoice_number}`; \
                `{vendor|unknown}` says what to write where nothing is found; `{{` is a brace.",
        })
    }
}

fn push_literal(parts: &mut Vec<Part>, literal: &mut String) {
    if !literal.is_empty() {
        parts.push(Part::Literal(std::mem::take(literal)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{json, test};

    #[test]
    fn renders() {
        let payload = json::parse(br#"{"a":"x{y}","n":1.50,"z":null,"l":[1, 2]}"#).expect("valid");
        let table = [
            ("", ""),
            ("plain", "plain"),
            ("{a}{n}", "x{y}1.50"),
            ("{{a}} {{{a}}}", "{a} {x{y}}"),
            ("[{missing}] [{missing|none at all}] [{z|null}]", "[] [none at all] [null]"),
            ("{ l } of {@type}", "[1,2] of t.u"),
        ];
        for (text, rendered) in table {
            let template = Template::parse(text).expect(text);
            assert_eq!(template.render(&test::event("t.u"), &payload), rendered, "{text}");
        }
    }

    #[test]
    fn refuses_lonely_braces_and_bad_paths() {
        for text in ["{", "}", "{a", "a}", "{}", "{a..b}", "{@what}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
