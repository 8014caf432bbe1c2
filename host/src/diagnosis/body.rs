//! The forms in which a body may have been when it was signed, as seen from how it is now.

use std::borrow::Cow;
use std::fmt;

use crate::ecmascript;

/// A form of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyForm {
    AsIs,
    /// As `JSON.stringify(JSON.parse(body))` gives it.
    Stringified,
    /// The same JSON without white space, everything else as it was.
    Compact,
    /// In lines, indented by two or by four spaces.
    Indented(usize),
    /// With a space behind each colon and comma.
    Spaced,
    /// The same, with escapes in place of everything beyond ASCII.
    SpacedAscii,
    /// Without white space, with such escapes.
    Ascii,
    WithNewline,
    WithoutNewline,
    WithLineFeeds,
    WithCarriageReturns,
    WithoutMark,
    Empty,
}

/// Most bytes of JSON in lines: deep nesting makes much of little.
const MAX_LAID_OUT: usize = 256 << 20;

const MARK: &[u8] = b"\xef\xbb\xbf";

impl BodyForm {
    pub const ALL: [BodyForm; 14] = [
        BodyForm::AsIs,
        BodyForm::WithNewline,
        BodyForm::WithoutNewline,
        BodyForm::Stringified,
        BodyForm::Compact,
        BodyForm::Indented(2),
        BodyForm::Indented(4),
        BodyForm::Spaced,
        BodyForm::SpacedAscii,
        BodyForm::Ascii,
        BodyForm::WithLineFeeds,
        BodyForm::WithCarriageReturns,
        BodyForm::WithoutMark,
        BodyForm::Empty,
    ];

    /// The body in this form; `None` where it has no such form.
    pub fn of(self, body: &[u8]) -> Option<Cow<'_, [u8]>> {
        let owned = |text: String| Some(Cow::Owned(text.into_bytes()));
        match self {
            BodyForm::AsIs => Some(Cow::Borrowed(body)),
            BodyForm::Stringified => owned(ecmascript::stringify(body).ok()?),
            BodyForm::Compact => owned(compact(body)?),
            BodyForm::Indented(step) => owned(laid_out(&compact(body)?, Some(step))?),
            BodyForm::Spaced => owned(laid_out(&compact(body)?, None)?),
            BodyForm::SpacedAscii => owned(ascii(&laid_out(&compact(body)?, None)?)),
            BodyForm::Ascii => owned(ascii(&compact(body)?)),
            BodyForm::WithNewline => Some(Cow::Owned([body, b"\n"].concat())),
            BodyForm::WithoutNewline => {
                let trimmed = body.trim_ascii_end();
                (trimmed != body).then_some(Cow::Borrowed(trimmed))
            }
            BodyForm::WithLineFeeds => owned(str::from_utf8(body).ok()?.replace("\r\n", "\n")),
            BodyForm::WithCarriageReturns => {
                owned(str::from_utf8(body).ok()?.replace("\r\n", "\n").replace('\n', "\r\n"))
            }
            BodyForm::WithoutMark => body.strip_prefix(MARK).map(Cow::Borrowed),
            BodyForm::Empty => Some(Cow::Borrowed(b"")),
        }
    }

    pub(super) fn code(self) -> &'static str {
        match self {
            BodyForm::AsIs => "body-as-is",
            BodyForm::Stringified => "body-json-stringify",
            BodyForm::Compact => "body-compact",
            BodyForm::Indented(_) => "body-indented",
            BodyForm::Spaced | BodyForm::SpacedAscii => "body-spaced",
            BodyForm::Ascii => "body-escaped",
            BodyForm::WithNewline => "body-newline-lost",
            BodyForm::WithoutNewline => "body-newline-added",
            BodyForm::WithLineFeeds | BodyForm::WithCarriageReturns => "body-line-ends",
            BodyForm::WithoutMark => "body-bom",
            BodyForm::Empty => "body-empty",
        }
    }

    pub(super) fn hint(self) -> &'static str {
        match self {
            BodyForm::Stringified => {
                "check what `JSON.stringify(JSON.parse(body))` gives; or, where the body was laid out after it arrived, \
                 check the bytes that arrived"
            }
            BodyForm::WithNewline | BodyForm::WithoutNewline => {
                "check the bytes that arrived; an editor or `echo` adds a line's end to a file"
            }
            BodyForm::Empty => "hand the body to the check before something else reads it to its end",
            _ => {
                "check the bytes that arrived, before anything parses them: `express.raw()`, `request.get_data()`, \
                 `await request.text()`"
            }
        }
    }
}

impl fmt::Display for BodyForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyForm::AsIs => "the body",
            BodyForm::Stringified => "the JSON as JSON.stringify writes it",
            BodyForm::Compact => "the JSON without white space",
            BodyForm::Indented(_) => "the JSON in indented lines",
            BodyForm::Spaced => "the JSON with a space behind each colon and comma",
            BodyForm::SpacedAscii => {
                "the JSON with a space behind each colon and comma, and escapes beyond ASCII"
            }
            BodyForm::Ascii => "the JSON with escapes for everything beyond ASCII",
            BodyForm::WithNewline => "the body with a line's end behind it",
            BodyForm::WithoutNewline => "the body without the white space at its end",
            BodyForm::WithLineFeeds => "the body with line feeds alone at its lines' ends",
            BodyForm::WithCarriageReturns => "the body with carriage returns at its lines' ends",
            BodyForm::WithoutMark => "the body without the byte order mark before it",
            BodyForm::Empty => "an empty body",
        })
    }
}

/// Whether it is just what `JSON.stringify` writes.
pub(super) fn is_canonical(body: &[u8]) -> bool {
    ecmascript::stringify(body).is_ok_and(|written| written.as_bytes() == body)
}

/// JSON without the white space between its parts; `None` where it is none.
fn compact(body: &[u8]) -> Option<String> {
    ecmascript::stringify(body).ok()?;
    let text = str::from_utf8(body).ok()?;
    let mut quotes = Quotes::default();
    Some(text.chars().filter(|c| quotes.inside(*c) || !c.is_ascii_whitespace()).collect())
}

/// Follows a text through its quoted parts.
#[derive(Default)]
struct Quotes {
    open: bool,
    escaped: bool,
}

impl Quotes {
    /// Whether a character, the next one, stands within quotes or is one of them.
    fn inside(&mut self, c: char) -> bool {
        let was_open = self.open;
        self.open ^= c == '"' && !self.escaped;
        self.escaped = was_open && c == '\\' && !self.escaped;
        was_open || self.open
    }
}

/// Compact JSON in lines, each deeper by `step` spaces; or in one line, with spaces behind colons and commas.
/// `None` where that is too much.
fn laid_out(compact: &str, step: Option<usize>) -> Option<String> {
    let mut out = String::with_capacity(compact.len() * 2);
    let mut quotes = Quotes::default();
    let mut depth = 0_usize;
    let mut chars = compact.chars().peekable();
    while let Some(c) = chars.next() {
        if out.len() > MAX_LAID_OUT {
            return None;
        }
        let plain = !quotes.inside(c);
        let closes = chars.peek().is_some_and(|next| matches!(next, ']' | '}'));
        match c {
            '[' | '{' if plain => {
                out.push(c);
                if let Some(end) = chars.next_if(|_| closes) {
                    out.push(end);
                } else {
                    depth += 1;
                    new_line(&mut out, step, depth);
                }
            }
            ']' | '}' if plain => {
                depth = depth.saturating_sub(1);
                new_line(&mut out, step, depth);
                out.push(c);
            }
            ',' if plain => {
                out.push(',');
                match step {
                    Some(_) => new_line(&mut out, step, depth),
                    None => out.push(' '),
                }
            }
            ':' if plain => out.push_str(": "),
            c => out.push(c),
        }
    }
    Some(out)
}

fn new_line(out: &mut String, step: Option<usize>, depth: usize) {
    if let Some(step) = step {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', step.saturating_mul(depth)));
    }
}

fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        match c.is_ascii() {
            true => out.push(c),
            false => {
                c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")))
            }
        }
    }
    out
}
