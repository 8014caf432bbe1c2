//! Text for targets with limits: escaping, and cutting where nothing breaks.

use std::borrow::Cow;

/// What a target counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Unicode code points.
    Chars,
    /// What JavaScript and Java count: 2 for an emoji.
    Utf16,
    /// Bytes of UTF-8.
    Bytes,
}

impl Unit {
    /// How long `text` is.
    pub fn measure(self, text: &str) -> usize {
        match self {
            Unit::Bytes => text.len(),
            _ => text.chars().map(|c| self.of(c)).sum(),
        }
    }

    fn of(self, c: char) -> usize {
        match self {
            Unit::Chars => 1,
            Unit::Utf16 => c.len_utf16(),
            Unit::Bytes => c.len_utf8(),
        }
    }
}

/// Replaces `&`, `<` and `>` by `&amp;`, `&lt;` and `&gt;`, as Slack and markup want it.
///
/// ```
/// assert_eq!(hookwright_plugin::text::escape_markup("R&D <b>"), "R&amp;D &lt;b&gt;");
/// ```
pub fn escape_markup(text: &str) -> Cow<'_, str> {
    if !text.contains(['&', '<', '>']) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Cuts `text` to at most `limit` units, the last of them an ellipsis (`…`). Never cuts inside a code point or
/// inside an escape such as `&amp;`. A limit too small for the ellipsis gives an empty text.
///
/// ```
/// use hookwright_plugin::text::{Unit, cut};
///
/// assert_eq!(cut("short", 5, Unit::Chars), "short");
/// assert_eq!(cut("too long", 5, Unit::Chars), "too …");
/// assert_eq!(cut("a &amp; b", 5, Unit::Chars), "a …");
/// ```
pub fn cut(text: &str, limit: usize, unit: Unit) -> Cow<'_, str> {
    // No unit counts more than one for a byte, so a text this short needs no measuring.
    if text.len() <= limit || unit.measure(text) <= limit {
        return Cow::Borrowed(text);
    }
    let Some(room) = limit.checked_sub(unit.of(ELLIPSIS)) else {
        return Cow::Borrowed("");
    };
    let end = before_escape(text, end_within(text, room, unit));
    Cow::Owned(format!("{}{ELLIPSIS}", &text[..end]))
}

/// The last character boundary at most `room` units into the text.
fn end_within(text: &str, room: usize, unit: Unit) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += unit.of(c);
        if used > room {
            return at;
        }
    }
    text.len()
}

/// `end`, or the beginning of the escape that it stands in.
fn before_escape(text: &str, end: usize) -> usize {
    let Some(start) = text[..end].rfind('&') else {
        return end;
    };
    let inside = &text[start + 1..];
    let length = inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '#')).unwrap_or(inside.len());
    let is_escape = (1..=MAX_ESCAPE).contains(&length) && inside[length..].starts_with(';');
    match is_escape && end <= start + 1 + length {
        true => start,
        false => end,
    }
}

const ELLIPSIS: char = '…';
/// The longest name of an escape, without `&` and `;`.
const MAX_ESCAPE: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_by_each_unit() {
        let table = [
            ("😀😀😀", 3, Unit::Chars, "😀😀😀"),
            ("😀😀😀", 2, Unit::Chars, "😀…"),
            ("😀😀😀", 4, Unit::Utf16, "😀…"),
            ("😀😀😀", 6, Unit::Utf16, "😀😀😀"),
            ("😀😀😀", 8, Unit::Bytes, "😀…"),
            ("ééé", 5, Unit::Bytes, "é…"),
            ("abc", 2, Unit::Bytes, ""),
            ("abc", 0, Unit::Chars, ""),
            ("", 0, Unit::Chars, ""),
        ];
        for (text, limit, unit, expected) in table {
            assert_eq!(cut(text, limit, unit), expected, "{text} to {limit} {unit:?}");
        }
    }

    #[test]
    fn never_cuts_inside_an_escape() {
        let text = "ab&amp;&lt;cd & ef&#x1F600;gh &; &nothing";
        for limit in 0..text.len() {
            let short = cut(text, limit, Unit::Chars);
            let kept = short.strip_suffix(ELLIPSIS).unwrap_or(&short);
            assert!(Unit::Chars.measure(&short) <= limit.max(1), "{limit}: {short}");
            assert!(text.starts_with(kept), "{limit}: {short}");
            for escape in ["&amp;", "&lt;", "&#x1F600;"] {
                let broken = (1..escape.len()).any(|end| kept.ends_with(&escape[..end]));
                let lonely = kept.ends_with("d &") || kept.ends_with(" &");
                assert!(!broken || lonely, "{limit}: {short}");
            }
        }
    }
}
