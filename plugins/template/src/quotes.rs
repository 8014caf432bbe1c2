//! Where in a JSON template a value stands inside of quotes.
//!
//! `{"text": "Invoice {{ payload.number }}", "lines": {{ payload.lines }}}` wants the first value as text and the second
//! as JSON. So the template is read once as JSON with holes, and each value inside of quotes is sent through a filter.
//! Branches of an `if` and bodies of a `for` begin with the quotes as they were before. What `set` and `filter` capture
//! is text. Should a template confuse this, its output is no JSON and is refused.

/// A template with its filters added, and what was found on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub(crate) text: String,
    /// Filters that are used, each with its place in the original.
    pub(crate) filters: Vec<(String, usize)>,
    /// Names that are used, each with its place in the original.
    pub(crate) names: Vec<(String, usize)>,
    /// Where something was added in `text`, and how much.
    added: Vec<(usize, usize)>,
}

impl Rewritten {
    /// The place in the original that this place in `text` comes from.
    pub(crate) fn original(&self, at: usize) -> usize {
        let before = self.added.iter().filter(|(place, _)| *place < at);
        at - before.map(|(place, length)| (*length).min(at - place)).sum::<usize>()
    }
}

/// The filter for a value inside of quotes, for one that is captured as text, and for what was captured.
pub(crate) const QUOTED: &str = "__quoted";
pub(crate) const CAPTURED: &str = "__captured";
pub(crate) const UNSAFE: &str = "__unsafe";

/// Reads a template; adds filters only where it is one of JSON.
pub(crate) fn rewrite(source: &str, is_json: bool) -> Rewritten {
    let mut reader = Reader {
        source,
        at: 0,
        copied: 0,
        is_json,
        quotes: Quotes::default(),
        blocks: Vec::new(),
        out: Rewritten::default(),
    };
    reader.read();
    reader.out
}

#[derive(Debug, Clone, Copy, Default)]
struct Quotes {
    inside: bool,
    escaped: bool,
    /// In what is captured.
    captured: bool,
}

struct Reader<'s> {
    source: &'s str,
    at: usize,
    copied: usize,
    is_json: bool,
    quotes: Quotes,
    /// The quotes as they were where each open block began.
    blocks: Vec<Quotes>,
    out: Rewritten,
}

impl Reader<'_> {
    fn read(&mut self) {
        while let Some(open) = self.source[self.at..].find('{') {
            let open = self.at + open;
            self.literal(open);
            self.at = match self.source.as_bytes().get(open + 1) {
                Some(b'{') => self.value(open + 2),
                Some(b'%') => self.tag(open + 2),
                Some(b'#') => self.after(open, "#}"),
                _ => {
                    self.literal_byte(b'{');
                    open + 1
                }
            };
        }
        self.literal(self.source.len());
        self.copy(self.source.len());
    }

    /// What stands between holes.
    fn literal(&mut self, end: usize) {
        for byte in self.source[self.at..end].bytes() {
            self.literal_byte(byte);
        }
        self.at = end;
    }

    fn literal_byte(&mut self, byte: u8) {
        match byte {
            _ if self.quotes.escaped => self.quotes.escaped = false,
            b'\\' => self.quotes.escaped = self.quotes.inside,
            b'"' => self.quotes.inside = !self.quotes.inside,
            _ => {}
        }
    }

    /// Gives the place behind the value.
    fn value(&mut self, start: usize) -> usize {
        let start = start + usize::from(matches!(self.source.as_bytes().get(start), Some(b'-' | b'+')));
        let Some(close) = self.expression(start, "}}") else {
            return self.source.len();
        };
        let end = without_sign(self.source, start, close);
        let filter = match self.quotes {
            Quotes { captured: true, .. } => Some(CAPTURED),
            Quotes { inside: true, .. } => Some(QUOTED),
            _ => None,
        };
        if let Some(filter) = filter.filter(|_| self.is_json && !self.source[start..end].trim().is_empty()) {
            self.copy(start);
            self.add("(");
            self.copy(end);
            self.add(&format!(")|{filter}"));
        }
        close + 2
    }

    fn tag(&mut self, start: usize) -> usize {
        let start = start + usize::from(matches!(self.source.as_bytes().get(start), Some(b'-' | b'+')));
        let Some(close) = self.expression(start, "%}") else {
            return self.source.len();
        };
        let end = without_sign(self.source, start, close);
        let tag = self.source[start..end].trim();
        let (word, rest) = tag.split_once(|c: char| c.is_whitespace() || c == '(').unwrap_or((tag, ""));
        let captured = Quotes { captured: true, ..Quotes::default() };
        match word {
            "if" | "for" => self.blocks.push(self.quotes),
            "elif" | "else" => self.quotes = self.blocks.last().copied().unwrap_or(self.quotes),
            "endif" | "endfor" => {
                self.blocks.pop();
            }
            "set" if !rest.contains('=') => {
                self.open(captured);
                if self.is_json {
                    self.copy(end);
                    self.add(&format!("|{UNSAFE} "));
                }
            }
            "filter" => {
                self.note_filter(rest, start);
                self.open(captured);
            }
            "macro" | "call" => self.open(Quotes::default()),
            "endset" | "endfilter" | "endmacro" | "endcall" => {
                self.quotes = self.blocks.pop().unwrap_or_default();
            }
            "raw" => return self.raw(close + 2),
            _ => {}
        }
        close + 2
    }

    fn open(&mut self, quotes: Quotes) {
        self.blocks.push(self.quotes);
        self.quotes = quotes;
    }

    fn raw(&mut self, start: usize) -> usize {
        self.at = start;
        let mut from = start;
        while let Some(open) = self.source[from..].find("{%") {
            let open = from + open;
            let tag = self.source[open + 2..].trim_start_matches(['-', '+']).trim_start();
            if tag.starts_with("endraw") {
                self.literal(open);
                return self.after(open, "%}");
            }
            from = open + 2;
        }
        self.source.len()
    }

    /// Where an expression ends: not in a text, and not in a bracket. Notes names and filters on the way.
    fn expression(&mut self, start: usize, close: &str) -> Option<usize> {
        let bytes = self.source.as_bytes();
        let (mut at, mut depth, mut before) = (start, 0_usize, b' ');
        while let Some(&byte) = bytes.get(at) {
            if depth == 0 && bytes[at..].starts_with(close.as_bytes()) {
                return Some(at);
            }
            match byte {
                b'"' | b'\'' => at = end_of_text(bytes, at),
                b'(' | b'[' | b'{' => depth += 1,
                b')' | b']' | b'}' => depth = depth.saturating_sub(1),
                byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                    let length = self.source[at..].find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                    let name = &self.source[at..length.map_or(self.source.len(), |length| at + length)];
                    match before {
                        b'|' => self.out.filters.push((name.to_owned(), at)),
                        b'.' => {}
                        _ => self.out.names.push((name.to_owned(), at)),
                    }
                    at += name.len() - 1;
                }
                _ => {}
            }
            before = if byte.is_ascii_whitespace() { before } else { bytes.get(at).copied().unwrap_or(byte) };
            at += 1;
        }
        None
    }

    /// `{% filter upper %}`
    fn note_filter(&mut self, rest: &str, start: usize) {
        let name: String =
            rest.trim().chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let at = self.source[start..].find(rest).map_or(start, |at| start + at);
        self.out.filters.push((name, at));
    }

    fn after(&self, from: usize, close: &str) -> usize {
        self.source[from..].find(close).map_or(self.source.len(), |at| from + at + close.len())
    }

    fn copy(&mut self, end: usize) {
        self.out.text.push_str(&self.source[self.copied..end]);
        self.copied = end;
    }

    fn add(&mut self, text: &str) {
        self.out.added.push((self.out.text.len(), text.len()));
        self.out.text.push_str(text);
    }
}

/// Without the sign that strips white space: `-}}`.
fn without_sign(source: &str, start: usize, close: usize) -> usize {
    let signed = close > start && matches!(source.as_bytes()[close - 1], b'-' | b'+');
    close - usize::from(signed)
}

/// The place of the closing quote, or of the last byte.
fn end_of_text(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() && bytes[at] != bytes[start] {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    at.min(bytes.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_stands_inside_of_quotes() {
        let table = [
            (r#"{"a": {{ x }}, "b": "{{ x }}"}"#, r#"{"a": {{ x }}, "b": "{{( x )|__quoted}}"}"#),
            (
                r#"{"a\"{{ x }}": "\\", "b": {{- x -}} }"#,
                r#"{"a\"{{( x )|__quoted}}": "\\", "b": {{- x -}} }"#,
            ),
            (
                r#""{{- x ~ '}}"' -}}" {{ {"a": {"b": 1}} }}"#,
                r#""{{-( x ~ '}}"' )|__quoted-}}" {{ {"a": {"b": 1}} }}"#,
            ),
            (
                r#"{% if a %}"x{% elif b %}"{{ y }}{% else %}"z{% endif %}{{ v }}" {{ w }}"#,
                r#"{% if a %}"x{% elif b %}"{{( y )|__quoted}}{% else %}"z{% endif %}{{( v )|__quoted}}" {{ w }}"#,
            ),
            (
                r#"{% set t %}a "{{ x }}{% endset %}"{{ t }}" {% set u = 1 %}{{ u }}"#,
                r#"{% set t |__unsafe %}a "{{( x )|__captured}}{% endset %}"{{( t )|__quoted}}" {% set u = 1 %}{{ u }}"#,
            ),
            (
                r#"{# "{{ x }} #}{{ x }}{% raw %}"{{ y }}{% endraw %}{{ z }}"#,
                r#"{# "{{ x }} #}{{ x }}{% raw %}"{{ y }}{% endraw %}{{( z )|__quoted}}"#,
            ),
            (
                r#""{% macro m(a) %}{{ a }}"{{ a }}"{% endmacro %}{{ m(1) }}"#,
                r#""{% macro m(a) %}{{ a }}"{{( a )|__quoted}}"{% endmacro %}{{( m(1) )|__quoted}}"#,
            ),
            (r#""{{ }}""#, r#""{{ }}""#),
            (r#""é😀 {{ x }}"#, r#""é😀 {{( x )|__quoted}}"#),
        ];
        for (source, expected) in table {
            let rewritten = rewrite(source, true);
            assert_eq!(rewritten.text, expected);
            for (at, c) in expected.char_indices().filter(|(_, c)| matches!(c, 'x' | 'y' | 'z' | '😀')) {
                assert_eq!(source[rewritten.original(at)..].chars().next(), Some(c), "{source} at {at}");
            }
            assert_eq!(rewrite(source, false).text, source);
        }
    }

    #[test]
    fn notes_filters_and_names() {
        let rewritten = rewrite("{{ a.b | upper|date('x|y', z) }}{% filter lower %}{% if c|d %}", true);
        let found = |list: &[(String, usize)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        assert_eq!(found(&rewritten.filters), ["upper", "date", "lower", "d"]);
        assert_eq!(found(&rewritten.names), ["a", "z", "filter", "lower", "if", "c"]);
        assert_eq!(rewritten.filters[0].1, 9);
    }

    #[test]
    fn no_template_is_too_strange() {
        let pieces =
            ["{", "}", "{{", "}}", "{%", "%}", "\"", "\\", "'", "é", "raw", " set ", " if ", "-", "|", "{#"];
        for n in 0..60_000_usize {
            let source: String = (0..5).map(|place| pieces[n / 16_usize.pow(place % 4) % 16]).collect();
            let rewritten = rewrite(&source, true);
            assert!(rewritten.original(rewritten.text.len()) <= source.len(), "{source}");
        }
    }
}
