//! JSON that comes out as it went in.
//!
//! [`parse`] makes a tree that borrows from the text: numbers stay the digits that were written, however many,
//! members stay in their order, and writing a value gives back its own bytes. serde_json's `Value` turns
//! `12500.00` into `12500.0` and rounds `12345678901234567890.10`; its feature that keeps numbers changes how
//! numbers are deserialised in every crate of a build, and breaks untagged and flattened enums there.
//!
//! ```
//! use hookwright_plugin::json;
//!
//! let tree = json::parse(br#"{"total": 12500.00, "lines": [{"n": 12345678901234567890.10}]}"#)?;
//! let number = tree.get("lines").and_then(|lines| lines.at(0)).and_then(|line| line.get("n"));
//! assert_eq!(number.map(|n| n.to_json()).as_deref(), Some("12345678901234567890.10"));
//! # Ok::<(), json::Error>(())
//! ```

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

mod number;
mod parser;
mod write;

pub use number::compare as compare_numbers;
pub use parser::{Error, MAX_DEPTH, parse};
pub use write::{compact, escape};

/// A JSON value that borrows from the text it was parsed from.
#[derive(Debug, Clone)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// The digits as they were written.
    Number(&'a str),
    /// A string, escaped or not.
    String(Text<'a>),
    /// A list, and the text it was parsed from.
    Array(Vec<Value<'a>>, &'a str),
    /// Members in their order, and the text they were parsed from. A name may come twice: the last one counts.
    Object(Vec<(Text<'a>, Value<'a>)>, &'a str),
}

impl<'a> Value<'a> {
    /// The member of this name, if the value is an object that has one.
    pub fn get(&self, name: &str) -> Option<&Value<'a>> {
        let Value::Object(members, _) = self else {
            return None;
        };
        members.iter().rev().find(|(key, _)| key.is(name)).map(|(_, value)| value)
    }

    /// The element at this index, if the value is a list that has one.
    pub fn at(&self, index: usize) -> Option<&Value<'a>> {
        let Value::Array(elements, _) = self else {
            return None;
        };
        elements.get(index)
    }

    /// The text, if the value is a string.
    pub fn as_text(&self) -> Option<Cow<'a, str>> {
        let Value::String(text) = self else {
            return None;
        };
        Some(text.decode())
    }

    /// The number, if the value is one and has neither fraction nor exponent and fits.
    pub fn as_i64(&self) -> Option<i64> {
        self.digits()?.parse().ok()
    }

    /// The number, rounded to what a float can hold.
    pub fn as_f64(&self) -> Option<f64> {
        self.digits()?.parse().ok()
    }

    /// The truth value, if the value is one.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    fn digits(&self) -> Option<&'a str> {
        match self {
            Value::Number(digits) => Some(digits),
            _ => None,
        }
    }

    /// True for `null`.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What a person would call it: `a number`, `an object`.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a string",
            Value::Array(..) => "a list",
            Value::Object(..) => "an object",
        }
    }

    /// For reading: a string without quotes and escapes, nothing for `null`, and any other value as JSON
    /// without white space.
    ///
    /// ```
    /// # use hookwright_plugin::json;
    /// let tree = json::parse(br#"["caf\u00e9", 1.50, null, [1, 2]]"#)?;
    /// let shown: Vec<_> = (0..4).filter_map(|i| tree.at(i)).map(|value| value.display()).collect();
    /// assert_eq!(shown, ["café", "1.50", "", "[1,2]"]);
    /// # Ok::<(), json::Error>(())
    /// ```
    pub fn display(&self) -> Cow<'a, str> {
        match self {
            Value::Null => Cow::Borrowed(""),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Number(digits) => Cow::Borrowed(digits),
            Value::String(text) => text.decode(),
            Value::Array(_, source) | Value::Object(_, source) => compact(source),
        }
    }

    /// Appends the value as JSON, byte for byte as it was parsed.
    pub fn write(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::String(text) => text.write(out),
            Value::Number(source) | Value::Array(_, source) | Value::Object(_, source) => {
                out.push_str(source)
            }
        }
    }

    /// The value as JSON, byte for byte as it was parsed.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    /// True where both mean the same: `1.0` is `1`, the order of members does not count, `"A"` is `"\u0041"`.
    pub fn same(&self, other: &Value<'_>) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Number(a), Value::Number(b)) => compare_numbers(a, b).is_eq(),
            (Value::String(a), Value::String(b)) => a.decode() == b.decode(),
            (Value::Array(a, _), Value::Array(b, _)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b))
            }
            (Value::Object(a, _), Value::Object(b, _)) => {
                a.len() == b.len()
                    && a.iter().all(|(name, value)| other.get(&name.decode()).is_some_and(|b| value.same(b)))
            }
            _ => false,
        }
    }
}

/// Writes the value's own bytes where the serializer is serde_json's.
impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text = self.to_json();
        let raw: &RawValue = serde_json::from_str(&text).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

/// The text of a string or of a member's name.
#[derive(Debug, Clone, Copy)]
pub enum Text<'a> {
    /// The text itself.
    Plain(&'a str),
    /// What stands between the quotes, with at least one escape in it.
    Escaped(&'a str),
}

impl<'a> Text<'a> {
    /// The text without escapes. Half of a surrogate pair, which JSON allows and Unicode does not, becomes
    /// U+FFFD.
    pub fn decode(&self) -> Cow<'a, str> {
        match self {
            Text::Plain(text) => Cow::Borrowed(text),
            Text::Escaped(source) => Cow::Owned(write::unescape(source)),
        }
    }

    /// True where this is the text.
    pub fn is(&self, text: &str) -> bool {
        match self {
            Text::Plain(plain) => *plain == text,
            Text::Escaped(_) => self.decode() == text,
        }
    }

    /// Appends the string with its quotes, byte for byte as it was parsed.
    pub fn write(&self, out: &mut String) {
        match self {
            Text::Plain(text) => escape(text, out),
            Text::Escaped(source) => {
                out.push('"');
                out.push_str(source);
                out.push('"');
            }
        }
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.decode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_they_went_in() {
        let table = [
            "12345678901234567890.10",
            "1.0",
            "1e400",
            "-0",
            "1E+5",
            "-0.0e-0",
            r#""caf\u00e9 \/ \ud83d\ude00 \ud800""#,
            r#""😀 é""#,
            "[ 1,  2 ]",
            r#"{ "b": 1, "a" :2, "b": 3 }"#,
            "true",
            "null",
        ];
        for text in table {
            let tree = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(tree.to_json(), text);
            let through_serde = serde_json::to_string(&[&tree]);
            if !text.contains("ud800") {
                assert_eq!(through_serde.ok(), Some(format!("[{text}]")));
            }
        }
    }

    #[test]
    fn the_last_of_two_members_counts() {
        let tree = parse(br#"{"a":1,"\u0061":2}"#).expect("valid");
        assert_eq!(tree.get("a").map(Value::to_json).as_deref(), Some("2"));
        assert!(tree.get("b").is_none());
    }

    #[test]
    fn numbers_are_read_where_they_fit() {
        let table = [
            ("11232", Some(11232), Some(11232.0)),
            ("-1", Some(-1), Some(-1.0)),
            ("0.5", None, Some(0.5)),
            ("1e2", None, Some(100.0)),
            ("12345678901234567890", None, Some(12345678901234567890.0)),
            (r#""7""#, None, None),
            ("null", None, None),
        ];
        for (text, whole, float) in table {
            let value = parse(text.as_bytes()).expect(text);
            assert_eq!((value.as_i64(), value.as_f64()), (whole, float), "{text}");
        }
        assert_eq!(parse(b"true").expect("valid").as_bool(), Some(true));
    }

    #[test]
    fn same_means_equal_in_meaning() {
        let table = [
            ("1", "1.0", true),
            ("100", "1e2", true),
            ("12345678901234567890", "12345678901234567891", false),
            (r#""A""#, r#""\u0041""#, true),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":2}"#, false),
            ("1", r#""1""#, false),
            ("null", "false", false),
            ("[1,2]", "[2,1]", false),
        ];
        for (a, b, same) in table {
            let (left, right) = (parse(a.as_bytes()).expect(a), parse(b.as_bytes()).expect(b));
            assert_eq!(left.same(&right), same, "{a} and {b}");
        }
    }
}
