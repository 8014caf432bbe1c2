//! Values as JSON and as text.

use std::{borrow::Cow, sync::Arc};

use hookwright_plugin::json;
use minijinja::{
    Error, ErrorKind,
    value::{Value, ValueKind},
};

use crate::{numbers::Numbers, values::Node};

/// Writes values, and knows whether there has to be one.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) numbers: Arc<Numbers>,
    pub(crate) strict: bool,
}

impl Writer {
    /// As [`json`](self::json), but for a value that nothing has.
    pub(crate) fn json(&self, value: &Value, compact: bool) -> Result<String, Error> {
        let mut out = String::new();
        json(self.defined(value)?, &self.numbers, compact, &mut out)?;
        Ok(out)
    }

    /// As [`text`](self::text), but for a value that nothing has.
    pub(crate) fn text<'v>(&self, value: &'v Value) -> Result<Cow<'v, str>, Error> {
        text(self.defined(value)?, &self.numbers)
    }

    fn defined<'v>(&self, value: &'v Value) -> Result<&'v Value, Error> {
        match self.strict && value.is_undefined() {
            false => Ok(value),
            true => Err(Error::new(
                ErrorKind::UndefinedError,
                "nothing is there; `|default(...)` says what to write then",
            )),
        }
    }
}

/// Appends a value as JSON. What comes from the payload has its own bytes, on one line where `compact`.
fn json(value: &Value, numbers: &Numbers, compact: bool, out: &mut String) -> Result<(), Error> {
    if let Some(node) = value.downcast_object_ref::<Node>() {
        match compact {
            true => out.push_str(&json::compact(node.json())),
            false => out.push_str(node.json()),
        }
        return Ok(());
    }
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => out.push_str("null"),
        ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
        ValueKind::Number => out.push_str(number(value, numbers).as_deref().unwrap_or("null")),
        ValueKind::String => json::escape(value.as_str().unwrap_or_default(), out),
        ValueKind::Map => {
            out.push('{');
            for (index, key) in value.try_iter()?.enumerate() {
                comma(index, out);
                json::escape(&text(&key, numbers)?, out);
                out.push(':');
                json(&value.get_item(&key)?, numbers, compact, out)?;
            }
            out.push('}');
        }
        ValueKind::Seq | ValueKind::Iterable => {
            out.push('[');
            for (index, element) in value.try_iter()?.enumerate() {
                comma(index, out);
                json(&element, numbers, compact, out)?;
            }
            out.push(']');
        }
        _ => return Err(Error::new(ErrorKind::BadSerialization, format!("a {} has no JSON", value.kind()))),
    }
    Ok(())
}

/// A value as text: nothing for `null`, and objects and lists as JSON.
fn text<'v>(value: &'v Value, numbers: &Numbers) -> Result<Cow<'v, str>, Error> {
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Cow::Borrowed(""),
        ValueKind::String => Cow::Borrowed(value.as_str().unwrap_or_default()),
        _ => {
            let mut out = String::new();
            json(value, numbers, true, &mut out)?;
            Cow::Owned(out)
        }
    })
}

/// The digits of a number.
pub(crate) fn number(value: &Value, numbers: &Numbers) -> Option<String> {
    if value.is_integer() {
        return Some(value.to_string());
    }
    numbers.written(f64::try_from(value.clone()).ok()?)
}

/// What stands between the quotes of a JSON string.
pub(crate) fn inside_quotes(text: &str) -> String {
    let mut out = String::new();
    json::escape(text, &mut out);
    out.get(1..out.len() - 1).unwrap_or_default().to_owned()
}

/// Everything but letters, digits and `-._~` as bytes of UTF-8 in hex.
pub(crate) fn percent(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    out
}

fn comma(index: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
}
