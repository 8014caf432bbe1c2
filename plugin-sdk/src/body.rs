//! Bodies that are not one JSON document, and the parts of URLs.

use std::borrow::Cow;

use crate::{Message, Verdict, json};

/// The content type of a form.
pub const FORM: &str = "application/x-www-form-urlencoded";
/// The content type of one JSON document on each line.
pub const NDJSON: &str = "application/x-ndjson";

/// A form's body: names and values, encoded as browsers do it.
///
/// ```
/// use hookwright_plugin::body;
///
/// let form = body::form([("To", "+49 151"), ("Body", "R&D: 100 % café")]);
/// assert_eq!(form, "To=%2B49+151&Body=R%26D%3A+100+%25+caf%C3%A9");
/// ```
pub fn form<N: AsRef<str>, V: AsRef<str>>(members: impl IntoIterator<Item = (N, V)>) -> String {
    let mut out = String::new();
    for (name, value) in members {
        if !out.is_empty() {
            out.push('&');
        }
        encode_into(name.as_ref(), is_form_safe, true, &mut out);
        out.push('=');
        encode_into(value.as_ref(), is_form_safe, true, &mut out);
    }
    out
}

/// Documents of JSON, each on a line of its own, the last one ended as well. White space between the tokens of a
/// document goes, so that it stays on its line.
///
/// ```
/// use hookwright_plugin::body;
///
/// let lines = body::ndjson([r#"{"create": {"_id": "evt_1"}}"#, "{\n  \"total\": 12500.00\n}"]);
/// assert_eq!(lines, "{\"create\":{\"_id\":\"evt_1\"}}\n{\"total\":12500.00}\n");
/// ```
pub fn ndjson<T: AsRef<str>>(documents: impl IntoIterator<Item = T>) -> String {
    let mut out = String::new();
    for document in documents {
        out.push_str(&json::compact(document.as_ref()));
        out.push('\n');
    }
    out
}

/// One part of a URL, such as a segment of its path or a value of its query: everything but letters, digits and
/// `-._~` is encoded.
///
/// ```
/// use hookwright_plugin::body;
///
/// assert_eq!(body::percent_encode("PO/2026 099"), "PO%2F2026%20099");
/// ```
pub fn percent_encode(text: &str) -> Cow<'_, str> {
    if text.bytes().all(is_unreserved) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    encode_into(text, is_unreserved, false, &mut out);
    Cow::Owned(out)
}

/// A URL as it may stand in Markdown or markup: white space, quotes, brackets and what else could end it there is
/// encoded. Nothing where it begins with neither `https://` nor `http://`, as a link to a script would.
///
/// ```
/// use hookwright_plugin::body;
///
/// assert_eq!(body::web_url(" https://e.test/a b?c=(d) ").as_deref(), Some("https://e.test/a%20b?c=%28d%29"));
/// assert_eq!(body::web_url("javascript:alert(1)"), None);
/// ```
pub fn web_url(text: &str) -> Option<String> {
    let text = text.trim();
    let scheme = text.split_once("://").map(|(scheme, _)| scheme)?;
    if !(scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")) {
        return None;
    }
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<'
            | '>'
            | '('
            | ')'
            | '['
            | ']'
            | '{'
            | '}'
            | '|'
            | '"'
            | '\\'
            | '^'
            | '`'
            | '\0'..=' '
            | '\u{7f}' => {
                push_encoded(u32::from(c) as u8, &mut out);
            }
            c => out.push(c),
        }
    }
    Some(out)
}

impl Verdict {
    /// Send a form; method, path and headers stay as `message` has them.
    pub fn form<N: AsRef<str>, V: AsRef<str>>(
        message: &Message,
        members: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        Self::body(message, FORM, form(members))
    }

    /// Send documents of JSON, each on a line of its own; method, path and headers stay as `message` has them.
    pub fn ndjson<T: AsRef<str>>(message: &Message, documents: impl IntoIterator<Item = T>) -> Self {
        Self::body(message, NDJSON, ndjson(documents))
    }
}

fn encode_into(text: &str, is_safe: fn(u8) -> bool, plus: bool, out: &mut String) {
    for byte in text.bytes() {
        match byte {
            b' ' if plus => out.push('+'),
            byte if is_safe(byte) => out.push(char::from(byte)),
            byte => push_encoded(byte, out),
        }
    }
}

fn push_encoded(byte: u8, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(HEX[usize::from(byte >> 4)]));
    out.push(char::from(HEX[usize::from(byte & 15)]));
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn is_form_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_encoded_as_browsers_do_it() {
        let table: [(&[(&str, &str)], &str); 5] = [
            (&[], ""),
            (&[("a", "")], "a="),
            (&[("a", "1"), ("a", "2")], "a=1&a=2"),
            (&[("ä b", "*-._~")], "%C3%A4+b=*-._%7E"),
            (&[("x", "\r\n\0😀")], "x=%0D%0A%00%F0%9F%98%80"),
        ];
        for (members, expected) in table {
            assert_eq!(form(members.iter().copied()), expected, "{members:?}");
        }
    }

    #[test]
    fn bodies_have_their_types() {
        let message = Message { method: Some("PUT".to_owned()), ..Message::json("{}") };
        let Verdict::Replace(form) = Verdict::form(&message, [("a", "b")]) else { panic!("no message") };
        assert_eq!((form.content_type.as_str(), form.body.as_slice()), (FORM, b"a=b".as_slice()));
        assert_eq!(form.method.as_deref(), Some("PUT"));
        let Verdict::Replace(lines) = Verdict::ndjson(&message, ["[1, 2]"]) else { panic!("no message") };
        assert_eq!((lines.content_type.as_str(), lines.body.as_slice()), (NDJSON, b"[1,2]\n".as_slice()));
    }

    #[test]
    fn urls_are_of_the_web() {
        let table = [
            ("https://e.test/?a=1&b=<x>|y", Some("https://e.test/?a=1&b=%3Cx%3E%7Cy")),
            ("HTTP://e.test", Some("HTTP://e.test")),
            ("https://e.test/漢", Some("https://e.test/漢")),
            ("ftp://e.test", None),
            ("data:text/html,https://", None),
            ("//e.test", None),
            ("", None),
        ];
        for (text, url) in table {
            assert_eq!(web_url(text).as_deref(), url, "{text}");
        }
    }
}
