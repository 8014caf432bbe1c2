//! The parts of writing JSON: strings, and text without its white space.

use std::borrow::Cow;

/// Appends `text` as a JSON string, quotes included. Only what JSON demands is escaped.
///
/// ```
/// let mut out = String::new();
/// hookwright_plugin::json::escape("a \"b\"\n", &mut out);
/// assert_eq!(out, r#""a \"b\"\n""#);
/// ```
pub fn escape(text: &str, out: &mut String) {
    out.reserve(text.len() + 2);
    out.push('"');
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= 0x20 && byte != b'"' && byte != b'\\' {
            continue;
        }
        // A byte below 0x80 is a character of its own, so both ends are character boundaries.
        out.push_str(&text[written..at]);
        escape_byte(byte, out);
        written = at + 1;
    }
    out.push_str(&text[written..]);
    out.push('"');
}

/// JSON without the white space between its tokens; the text must be JSON. Borrows where there is none.
///
/// ```
/// let text = hookwright_plugin::json::compact(r#"{ "a b": [1.0, 2] }"#);
/// assert_eq!(text, r#"{"a b":[1.0,2]}"#);
/// ```
pub fn compact(source: &str) -> Cow<'_, str> {
    let (mut out, mut written) = (String::new(), 0);
    let (mut in_string, mut escaped) = (false, false);
    for (at, byte) in source.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            b' ' | b'\t' | b'\r' | b'\n' if !in_string => {
                out.push_str(&source[written..at]);
                written = at + 1;
            }
            _ => {}
        }
    }
    if written == 0 {
        return Cow::Borrowed(source);
    }
    out.push_str(&source[written..]);
    Cow::Owned(out)
}

/// What a JSON string means, from what stands between its quotes.
pub(super) fn unescape(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let (character, length) = escaped_character(&rest[at..]);
        out.push(character);
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

fn escape_byte(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.push_str("\\\""),
        b'\\' => out.push_str("\\\\"),
        b'\n' => out.push_str("\\n"),
        b'\r' => out.push_str("\\r"),
        b'\t' => out.push_str("\\t"),
        0x08 => out.push_str("\\b"),
        0x0c => out.push_str("\\f"),
        _ => {
            out.push_str("\\u00");
            out.push(char::from(HEX[usize::from(byte >> 4)]));
            out.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
}

/// The character that the escape at the beginning of `text` stands for, and the escape's length. The parser
/// has seen that the escape is whole; what it could not have let through is given back as it stands.
fn escaped_character(text: &str) -> (char, usize) {
    let character = match text.as_bytes().get(1) {
        Some(b'n') => '\n',
        Some(b'r') => '\r',
        Some(b't') => '\t',
        Some(b'b') => '\u{8}',
        Some(b'f') => '\u{c}',
        Some(b'u') => return escaped_code_point(text),
        Some(&other) => char::from(other),
        None => return ('\\', 1),
    };
    (character, 2)
}

fn escaped_code_point(text: &str) -> (char, usize) {
    let unit = |at: usize| text.get(at + 2..at + 6).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let high = unit(0).unwrap_or(0xfffd);
    if !(0xd800..0xdc00).contains(&high) || text.as_bytes().get(6..8) != Some(b"\\u") {
        return (char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER), 6);
    }
    match unit(6) {
        Some(low @ 0xdc00..0xe000) => {
            let point = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
        }
        _ => (char::REPLACEMENT_CHARACTER, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_and_unescapes_as_serde_json_does() {
        let table = [
            "",
            "plain",
            "a \"b\" \\ / \u{8}\u{c}\n\r\t",
            "\u{0}\u{1f}\u{7f}",
            "é 漢 😀",
            "ends in \\",
            "\u{2028}",
        ];
        for text in table {
            let mut out = String::new();
            escape(text, &mut out);
            assert_eq!(Ok(&out), serde_json::to_string(text).as_ref().map_err(|_| ()), "{text:?}");
            assert_eq!(unescape(&out[1..out.len() - 1]), text);
        }
    }

    #[test]
    fn unescapes_surrogates() {
        let table = [
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d!", "\u{fffd}!"),
            (r"\ud83d\u0041", "\u{fffd}A"),
            (r"\ude00", "\u{fffd}"),
            (r"\u00E9\/", "é/"),
        ];
        for (source, text) in table {
            assert_eq!(unescape(source), text, "{source}");
        }
    }

    #[test]
    fn compact_leaves_strings_alone() {
        let table = [
            ("[ 1 , \"a  \\\" b\" ]", r#"[1,"a  \" b"]"#),
            ("{\n\t\"a\" : \"\\\\\" }", r#"{"a":"\\"}"#),
            ("[1]", "[1]"),
        ];
        for (source, text) in table {
            assert_eq!(compact(source), text);
        }
    }
}
