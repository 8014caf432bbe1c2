//! Text for targets with limits: escaping, and cutting where nothing breaks.
//!
//! A [`Dialect`] knows what a target counts and escapes; [`SLACK`], [`TEAMS`], [`DISCORD`], [`FEISHU`] and
//! [`FEISHU_TEXT`] are ready. What comes from a payload goes through [`Dialect::escape`], and then what is to be sent through
//! [`Dialect::cut`]; [`Dialect::fit`] does both.
//!
//! ```
//! use hookwright_plugin::text::{DISCORD, SLACK};
//!
//! assert_eq!(SLACK.fit("R&D <all>", 100), "R&amp;D &lt;all&gt;");
//! assert_eq!(SLACK.fit("R&D", 5), "R…");
//! assert_eq!(DISCORD.fit("*bold* @all", 100), r"\*bold\* @all");
//! assert_eq!(DISCORD.fit("**bold**", 4), r"\*…");
//! ```

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
    /// Bytes of UTF-8 inside a JSON string, where a quote takes two: for limits of a whole request.
    JsonBytes,
    /// UTF-16 units inside a JSON string.
    JsonUtf16,
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
            Unit::JsonBytes => json_escape(c).unwrap_or(c.len_utf8()),
            Unit::JsonUtf16 => json_escape(c).unwrap_or(c.len_utf16()),
        }
    }

    /// True where a byte of the text may count for more than one.
    fn grows(self) -> bool {
        matches!(self, Unit::JsonBytes | Unit::JsonUtf16)
    }
}

/// How long the escape of a character is that JSON does not let stand, as [`json::escape`](crate::json::escape)
/// and serde_json write it.
fn json_escape(c: char) -> Option<usize> {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' | '\u{8}' | '\u{c}' => Some(2),
        '\0'..='\u{1f}' => Some(6),
        _ => None,
    }
}

/// How a target writes characters that would mean something to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Escapes {
    /// It does not: all text is text.
    None,
    /// `&amp;`, `&lt;`, `&gt;`.
    Markup,
    /// A backslash before each of these ASCII characters.
    Backslash(&'static str),
    /// The number of each of these ASCII characters, `&#42;`.
    Numbered(&'static str),
    /// A space without width after each of these ASCII characters, for targets that have no escape: `<at>` is no
    /// mention any more.
    Spaced(&'static str),
}

/// What a target counts, and how it escapes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// For its limits.
    pub unit: Unit,
    /// For what comes from a payload.
    pub escapes: Escapes,
}

/// Slack's mrkdwn and plain text, in UTF-16 units, the strictest reading of its documents.
pub const SLACK: Dialect = Dialect { unit: Unit::Utf16, escapes: Escapes::Markup };
/// Markdown in Adaptive Cards. The limit is one of the whole request, so that it counts bytes of JSON.
pub const TEAMS: Dialect = Dialect { unit: Unit::JsonBytes, escapes: Escapes::Backslash("\\`*_[]~#") };
/// Discord's Markdown, in UTF-16 units, the strictest reading of its documents. `<` begins a mention.
pub const DISCORD: Dialect = Dialect { unit: Unit::Utf16, escapes: Escapes::Backslash("\\`*_~|[]<>#") };
/// `lark_md` in Feishu's cards. The limit is one of the whole request, so that it counts bytes of JSON.
pub const FEISHU: Dialect = Dialect { unit: Unit::JsonBytes, escapes: Escapes::Numbered("&<>*_~[]`\\") };

/// Feishu's plain messages, in which `<at ...>` mentions somebody.
pub const FEISHU_TEXT: Dialect = Dialect { unit: Unit::JsonBytes, escapes: Escapes::Spaced("<") };

impl Dialect {
    /// Text without escapes, for a limit in this unit.
    pub const fn plain(unit: Unit) -> Self {
        Self { unit, escapes: Escapes::None }
    }

    /// The text with everything escaped that would mean something to the target.
    pub fn escape<'t>(&self, text: &'t str) -> Cow<'t, str> {
        match self.escapes {
            Escapes::None => Cow::Borrowed(text),
            Escapes::Markup => escape_markup(text),
            Escapes::Backslash(marks) => replace(text, marks, |mark, out| {
                out.push('\\');
                out.push(mark);
            }),
            Escapes::Numbered(marks) => replace(text, marks, |mark, out| {
                out.push_str("&#");
                out.push_str(&u32::from(mark).to_string());
                out.push(';');
            }),
            Escapes::Spaced(marks) => replace(text, marks, |mark, out| {
                out.push(mark);
                out.push(NO_WIDTH);
            }),
        }
    }

    /// How long a text is that was escaped.
    pub fn measure(&self, escaped: &str) -> usize {
        self.unit.measure(escaped)
    }

    /// Cuts a text that was escaped to at most `limit` units, the last of them an ellipsis: as [`cut`], never
    /// inside one of this target's escapes.
    pub fn cut<'t>(&self, escaped: &'t str, limit: usize) -> Cow<'t, str> {
        cut_before(escaped, limit, self.unit, |end| match self.escapes {
            Escapes::None | Escapes::Spaced(_) => end,
            Escapes::Markup | Escapes::Numbered(_) => before_entity(escaped, end),
            Escapes::Backslash(_) => before_backslash(escaped, end),
        })
    }

    /// Escapes, then cuts.
    pub fn fit(&self, text: &str, limit: usize) -> String {
        let escaped = self.escape(text);
        match self.cut(&escaped, limit) {
            Cow::Borrowed(whole) if whole.len() == escaped.len() => escaped.into_owned(),
            cut => cut.into_owned(),
        }
    }
}

/// Replaces `&`, `<` and `>` by `&amp;`, `&lt;` and `&gt;`, as Slack and markup want it.
///
/// ```
/// assert_eq!(hookwright_plugin::text::escape_markup("R&D <b>"), "R&amp;D &lt;b&gt;");
/// ```
pub fn escape_markup(text: &str) -> Cow<'_, str> {
    replace(text, "&<>", |mark, out| {
        out.push_str(match mark {
            '&' => "&amp;",
            '<' => "&lt;",
            _ => "&gt;",
        });
    })
}

/// Cuts `text` to at most `limit` units, the last of them an ellipsis (`…`). Never cuts inside a code point, inside
/// an escape such as `&amp;`, or between a character and the accents, joiners and variants that belong to it. A
/// limit too small for the ellipsis gives an empty text.
///
/// ```
/// use hookwright_plugin::text::{Unit, cut};
///
/// assert_eq!(cut("short", 5, Unit::Chars), "short");
/// assert_eq!(cut("too long", 5, Unit::Chars), "too …");
/// assert_eq!(cut("a &amp; b", 5, Unit::Chars), "a …");
/// assert_eq!(cut("cafe\u{301} au lait", 5, Unit::Chars), "caf…");
/// ```
pub fn cut(text: &str, limit: usize, unit: Unit) -> Cow<'_, str> {
    cut_before(text, limit, unit, |end| before_entity(text, end))
}

/// Cuts where `before` moves the end to, so that no escape is torn.
fn cut_before(text: &str, limit: usize, unit: Unit, before: impl Fn(usize) -> usize) -> Cow<'_, str> {
    // Most units count at most one for a byte, so a text this short needs no measuring.
    let is_short = !unit.grows() && text.len() <= limit;
    if is_short || unit.measure(text) <= limit {
        return Cow::Borrowed(text);
    }
    let Some(room) = limit.checked_sub(unit.of(ELLIPSIS)) else {
        return Cow::Borrowed("");
    };
    let end = before(before_marks(text, end_within(text, room, unit)));
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

/// `end`, or the beginning of the character whose marks would be cut off. A character with more of them than
/// anybody writes is cut all the same.
fn before_marks(text: &str, end: usize) -> usize {
    let mut at = end;
    for _ in 0..MAX_MARKS {
        let follows = text[at..].chars().next().is_some_and(belongs_to_the_last);
        let mut before = text[..at].chars();
        let Some(last) = before.next_back() else {
            return 0;
        };
        if !(follows || last == JOINER) {
            return at;
        }
        at = before.as_str().len();
    }
    end
}

/// Accents, variants, skin colours and the joiner of emoji.
fn belongs_to_the_last(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{3099}' | '\u{309a}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}'
        | '\u{1f3fb}'..='\u{1f3ff}' | JOINER)
}

/// `end`, or the beginning of the entity that it stands in.
fn before_entity(text: &str, end: usize) -> usize {
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

/// `end`, or the place of the backslash whose character would be cut off.
fn before_backslash(text: &str, end: usize) -> usize {
    let backslashes = text.as_bytes()[..end].iter().rev().take_while(|byte| **byte == b'\\').count();
    end - backslashes % 2
}

/// The text with each of the ASCII characters in `marks` written by `write`.
fn replace<'t>(text: &'t str, marks: &str, write: impl Fn(char, &mut String)) -> Cow<'t, str> {
    let is_mark = |byte: &u8| marks.as_bytes().contains(byte);
    if !text.as_bytes().iter().any(is_mark) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + text.len() / 4 + 16);
    let mut written = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| is_mark(byte)) {
        out.push_str(&text[written..at]);
        write(char::from(byte), &mut out);
        written = at + 1;
    }
    out.push_str(&text[written..]);
    Cow::Owned(out)
}

const ELLIPSIS: char = '…';
const NO_WIDTH: char = '\u{200b}';
const JOINER: char = '\u{200d}';
/// The longest name of an escape, without `&` and `;`.
const MAX_ESCAPE: usize = 10;
/// The most marks of one character that are kept together with it.
const MAX_MARKS: usize = 32;

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
            (r#"""""#, 6, Unit::JsonBytes, r#"""""#),
            (r#"""""#, 5, Unit::JsonBytes, r#""…"#),
            ("\u{1}\u{1}\u{1}", 17, Unit::JsonBytes, "\u{1}\u{1}…"),
            ("漢漢\n漢", 10, Unit::JsonBytes, "漢漢…"),
            ("漢漢\n漢", 5, Unit::JsonUtf16, "漢漢\n漢"),
            ("漢漢\n漢", 4, Unit::JsonUtf16, "漢漢…"),
        ];
        for (text, limit, unit, expected) in table {
            assert_eq!(cut(text, limit, unit), expected, "{text} to {limit} {unit:?}");
        }
    }

    #[test]
    fn json_units_are_those_of_the_json_that_is_written() {
        let text = "a\"\\\n\r\t\u{8}\u{c}\u{0}\u{1f}\u{7f}\u{2028}é漢😀/";
        let written = serde_json::to_string(text).expect("a text");
        assert_eq!(Unit::JsonBytes.measure(text), written.len() - 2);
        assert_eq!(Unit::JsonUtf16.measure(text), written.encode_utf16().count() - 2);
    }

    #[test]
    fn a_character_keeps_its_marks() {
        let table = [
            ("ae\u{301}x", 3, "a…"),
            ("ae\u{301}xy", 4, "ae\u{301}…"),
            ("e\u{301}e\u{301}", 2, "…"),
            ("a👍🏽bc", 3, "a…"),
            ("a👨\u{200d}👩\u{200d}👧bc", 5, "a…"),
            ("a👨\u{200d}👩\u{200d}👧bc", 7, "a👨\u{200d}👩\u{200d}👧…"),
            ("a❤\u{fe0f}bc", 3, "a…"),
            ("がか\u{3099}か\u{3099}", 4, "がか\u{3099}…"),
        ];
        for (text, limit, expected) in table {
            assert_eq!(cut(text, limit, Unit::Chars), expected, "{text} to {limit}");
        }
        let piled_up = format!("a{}", "\u{301}".repeat(100));
        assert_eq!(Unit::Chars.measure(&cut(&piled_up, 50, Unit::Chars)), 50, "no end of marks");
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

    /// What an escaped text means to its target.
    fn unescaped(dialect: Dialect, text: &str) -> String {
        let mut out = String::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let entity = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>')];
            let named = entity.iter().find(|(name, _)| rest.starts_with(name));
            let (meant, length) = match (dialect.escapes, c) {
                (Escapes::Backslash(marks), '\\') => {
                    let next = rest.chars().nth(1).expect("a backslash at the end");
                    assert!(marks.contains(next), "{next} needs no backslash");
                    (next, 2)
                }
                (Escapes::Markup, '&') => named.map(|(name, c)| (*c, name.len())).expect("half an entity"),
                (Escapes::Numbered(_), '&') => {
                    let end = rest.find(';').expect("half an entity");
                    let number = rest[2..end].parse().ok().and_then(char::from_u32).expect("a number");
                    (number, end + 1)
                }
                (Escapes::Spaced(_), NO_WIDTH) => {
                    rest = &rest[NO_WIDTH.len_utf8()..];
                    continue;
                }
                (_, c) => (c, c.len_utf8()),
            };
            out.push(meant);
            rest = &rest[length..];
        }
        out
    }

    #[test]
    fn each_dialect_means_what_the_text_says_wherever_it_is_cut() {
        let text = r"R&D <@all> *b* \_i_ ~[x](y)~ `c` | # 漢字 😀 e";
        for dialect in [SLACK, TEAMS, DISCORD, FEISHU, FEISHU_TEXT, Dialect::plain(Unit::Bytes)] {
            let whole = dialect.escape(text);
            assert_eq!(unescaped(dialect, &whole), text, "{whole}");
            let length = dialect.measure(&whole);
            assert_eq!(dialect.fit(text, length), whole);
            for limit in 0..length {
                let short = dialect.fit(text, limit);
                assert!(dialect.measure(&short) <= limit, "{limit}: {short}");
                let meant = unescaped(dialect, &short);
                let kept = meant.strip_suffix(ELLIPSIS).unwrap_or_default();
                assert!(text.starts_with(kept), "{limit}: {short}");
                // At most the longest escape and the ellipsis are missing from the limit.
                assert!(limit < 3 || dialect.measure(&short) + 10 > limit, "{limit}: {short}");
            }
        }
    }
}
