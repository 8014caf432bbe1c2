//! JSON for people: laid out in lines, with every number and text as it was written.

use serde_json::value::RawValue;

const STEP: &str = "  ";

/// Lays `text` out. `None` where it is not JSON.
///
/// Not by way of `serde_json::Value`, which would round numbers and sort keys.
pub fn pretty(text: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    let mut out = Layout { text: String::with_capacity(text.len() * 2), depth: 0 };
    let mut rest = raw.get().chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => out.copy_text(&mut rest),
            '{' | '[' => {
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                match rest.next_if(|c| matches!(c, '}' | ']')) {
                    Some(end) => out.text.extend([c, end]),
                    None => out.open(c),
                }
            }
            '}' | ']' => out.close(c),
            ',' => {
                out.text.push(',');
                out.line();
            }
            ':' => out.text.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            c => out.text.push(c),
        }
    }
    Some(out.text)
}

struct Layout {
    text: String,
    depth: usize,
}

impl Layout {
    fn open(&mut self, bracket: char) {
        self.text.push(bracket);
        self.depth += 1;
        self.line();
    }

    fn close(&mut self, bracket: char) {
        self.depth = self.depth.saturating_sub(1);
        self.line();
        self.text.push(bracket);
    }

    fn line(&mut self) {
        self.text.push('\n');
        self.text.extend(std::iter::repeat_n(STEP, self.depth));
    }

    /// Up to and with the closing quote; the opening one has been taken.
    fn copy_text(&mut self, rest: &mut impl Iterator<Item = char>) {
        self.text.push('"');
        while let Some(c) = rest.next() {
            self.text.push(c);
            match c {
                '"' => return,
                '\\' => self.text.extend(rest.next()),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lays_out_and_changes_nothing() {
        let shown =
            pretty(r#" {"b":12345678901234567890.10,"a":[1, {"x":"y, \"{\" \u00e9"}],"e":{ },"n":null}"#);
        let expected = "{\n  \"b\": 12345678901234567890.10,\n  \"a\": [\n    1,\n    {\n      \"x\": \"y, \\\"{\\\" \\u00e9\"\n    }\n  ],\n  \"e\": {},\n  \"n\": null\n}";
        assert_eq!(shown.as_deref(), Some(expected));
        assert_eq!(pretty("[]").as_deref(), Some("[]"));
        assert_eq!(pretty("7").as_deref(), Some("7"));
        for bad in ["", "{", "{}{}", "a=b", "[1,]"] {
            assert_eq!(pretty(bad), None, "{bad}");
        }
    }
}
