//! From bytes to a tree, in one pass and without copying a string.

use std::fmt;

use super::{Text, Value};

/// How deep objects and lists may nest. The host's own limit is the same or lower.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not JSON, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    reason: &'static str,
    /// Bytes from the beginning of the text.
    pub offset: usize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.reason, self.offset)
    }
}

impl std::error::Error for Error {}

/// Reads one JSON value (RFC 8259), with white space around it.
///
/// # Errors
///
/// Where the bytes are not JSON or not UTF-8, or nest deeper than [`MAX_DEPTH`].
pub fn parse(bytes: &[u8]) -> Result<Value<'_>, Error> {
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Error { reason: "not UTF-8", offset: error.valid_up_to() })?;
    let mut parser = Parser { text, bytes, at: 0, depth: 0 };
    let value = parser.value()?;
    parser.skip_space();
    match parser.at == bytes.len() {
        true => Ok(value),
        false => parser.fail("something follows the value"),
    }
}

struct Parser<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Stands on a character boundary whenever a slice is taken: tokens begin and end with ASCII.
    at: usize,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self) -> Result<Value<'a>, Error> {
        self.skip_space();
        match self.peek() {
            Some(b'"') => Ok(Value::String(self.string()?)),
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            Some(_) => self.fail("a value is expected"),
            None => self.fail("the text ends where a value is expected"),
        }
    }

    fn nested(&mut self, read: fn(&mut Self, usize) -> Result<Value<'a>, Error>) -> Result<Value<'a>, Error> {
        if self.depth == MAX_DEPTH {
            return self.fail("more than 128 levels of nesting");
        }
        self.depth += 1;
        let start = self.at;
        self.at += 1;
        let value = read(self, start);
        self.depth -= 1;
        value
    }

    fn object(&mut self, start: usize) -> Result<Value<'a>, Error> {
        let mut members = Vec::new();
        if !self.closes(b'}') {
            loop {
                members.push(self.member()?);
                if self.ends_item(b'}', "`,` or `}` is expected")? {
                    break;
                }
            }
        }
        Ok(Value::Object(members, &self.text[start..self.at]))
    }

    fn member(&mut self) -> Result<(Text<'a>, Value<'a>), Error> {
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.fail("a member's name in quotes is expected");
        }
        let name = self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fail("`:` is expected");
        }
        self.at += 1;
        Ok((name, self.value()?))
    }

    fn array(&mut self, start: usize) -> Result<Value<'a>, Error> {
        let mut elements = Vec::new();
        if !self.closes(b']') {
            loop {
                elements.push(self.value()?);
                if self.ends_item(b']', "`,` or `]` is expected")? {
                    break;
                }
            }
        }
        Ok(Value::Array(elements, &self.text[start..self.at]))
    }

    /// After the opening bracket: is this the closing one? Then it is consumed.
    fn closes(&mut self, bracket: u8) -> bool {
        self.skip_space();
        let closes = self.peek() == Some(bracket);
        self.at += usize::from(closes);
        closes
    }

    /// After an element: consumes `,` (false) or the closing bracket (true).
    fn ends_item(&mut self, bracket: u8, expected: &'static str) -> Result<bool, Error> {
        self.skip_space();
        match self.peek() {
            Some(byte) if byte == b',' || byte == bracket => {
                self.at += 1;
                Ok(byte == bracket)
            }
            _ => self.fail(expected),
        }
    }

    fn string(&mut self) -> Result<Text<'a>, Error> {
        self.at += 1;
        let (start, mut escaped) = (self.at, false);
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(0..0x20) => return self.fail("a control character in a string"),
                Some(_) => self.at += 1,
                None => return self.fail("the text ends inside a string"),
            }
        }
        let source = &self.text[start..self.at];
        self.at += 1;
        Ok(if escaped { Text::Escaped(source) } else { Text::Plain(source) })
    }

    fn escape(&mut self) -> Result<(), Error> {
        let length = match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') if self.has_four_hex_digits() => 6,
            _ => return self.fail("an escape that JSON does not know"),
        };
        self.at += length;
        Ok(())
    }

    fn has_four_hex_digits(&self) -> bool {
        self.bytes.get(self.at + 2..self.at + 6).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    }

    fn number(&mut self) -> Result<Value<'a>, Error> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Value::Number(&self.text[start..self.at]))
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), Error> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        match self.at == start {
            true => self.fail("a digit is expected"),
            false => Ok(()),
        }
    }

    fn word(&mut self, word: &str, value: Value<'a>) -> Result<Value<'a>, Error> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return self.fail("a value is expected");
        }
        self.at += word.len();
        Ok(value)
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn fail<T>(&self, reason: &'static str) -> Result<T, Error> {
        Err(Error { reason, offset: self.at })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    /// Texts at the borders of the grammar; serde_json says which of them are JSON.
    const TEXTS: &[&str] = &[
        "",
        " ",
        "0",
        "-0",
        "00",
        "01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e5",
        "1e",
        "1e+",
        "1e5",
        "1E-5",
        "1e5.0",
        "0x1",
        "NaN",
        "tru",
        "true",
        "truee",
        "nul",
        "null",
        "[",
        "]",
        "[]",
        "[ ]",
        "[,]",
        "[1,]",
        "[1 2]",
        "[1,2]",
        "{",
        "{}",
        "{,}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\":1}",
        "{a:1}",
        "{\"a\" : 1 , \"b\":[{}]}",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u123g\"",
        "\"\\u1234\"",
        "\"\t\"",
        "\"\u{7f}\"",
        "\"\\/\"",
        "1 2",
        "{} x",
        "'a'",
        "[1]]",
        "\u{feff}1",
        "\"é😀\"",
        "[\"é\",1]",
        "\u{a0}1",
        "-a",
        "--1",
        "// c\n1",
    ];

    #[test]
    fn accepts_what_json_is_and_nothing_else() {
        for text in TEXTS {
            let judged = serde_json::from_str::<&RawValue>(text).is_ok();
            assert_eq!(parse(text.as_bytes()).is_ok(), judged, "{text:?}");
        }
    }

    #[test]
    fn cut_and_garbled_documents_never_panic() {
        let text = r#"{"a":[1.5e-3,"caf\u00e9 é",{"b":null,"c":[true,false]}],"d":"\ud83d\ude00"}"#;
        for end in 0..text.len() {
            assert!(parse(&text.as_bytes()[..end]).is_err(), "{end}");
        }
        for (at, byte) in (0..text.len()).flat_map(|at| [0, b'"', b'\\', b'{', 0xff].map(|byte| (at, byte))) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[at] = byte;
            let judged = serde_json::from_slice::<&RawValue>(&bytes).is_ok();
            assert_eq!(parse(&bytes).is_ok(), judged, "byte {byte} at {at}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        let error = parse(nested(MAX_DEPTH + 1).as_bytes()).expect_err("too deep");
        assert_eq!(error.to_string(), "more than 128 levels of nesting at byte 128");
        assert!(parse("[".repeat(1_000_000).as_bytes()).is_err());
    }

    #[test]
    fn errors_say_where() {
        assert_eq!(parse(b"{\"a\": tru}").expect_err("word").to_string(), "a value is expected at byte 6");
        assert_eq!(parse(b"[\"\xff\"]").expect_err("bytes").to_string(), "not UTF-8 at byte 2");
    }
}
