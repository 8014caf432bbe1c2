//! Writing to stdout.

use std::env;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write as _};

/// Writes `text` and a line's end.
///
/// # Errors
///
/// As `std::io`; a reader that went away is `BrokenPipe`.
pub fn say(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.strip_suffix('\n').unwrap_or(text).as_bytes())?;
    out.write_all(b"\n")?;
    out.flush()
}

/// `text` without what could steer a terminal: control characters, line ends and tabs apart, are shown escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_harmless(c) {
            shown.push(c);
        } else {
            let _ = write!(shown, "{}", c.escape_unicode());
        }
    }
    shown
}

/// As [`printable`], in one line.
pub fn one_line(text: &str) -> String {
    printable(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn is_harmless(c: char) -> bool {
    matches!(c, '\n' | '\t') || !(c.is_control() || is_bidi(c))
}

/// Characters that change the order in which others are shown.
fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Colours, where there is somebody to see them.
#[derive(Debug, Clone, Copy)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// For stdout: on where that is a terminal and `NO_COLOR` is not set.
    pub fn stdout() -> Self {
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { on: wanted && io::stdout().is_terminal() }
    }

    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    pub fn good(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub fn bad(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub fn odd(self, text: &str) -> String {
        self.wrap("33", text)
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.on { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// Each line of `text` behind `margin`.
pub fn indented(margin: &str, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        if !line.is_empty() {
            out += margin;
            out += line;
        }
        out.push('\n');
    }
    out
}

/// `text` in lines of at most `width` characters, broken between words. A longer word has a line of its own.
pub fn wrapped(text: &str, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_not_steered() {
        assert_eq!(printable("a\x1b[2Jb\r\n\tc"), "a\\u{1b}[2Jb\\u{d}\n\tc");
        assert_eq!(printable("\u{202e}txt.exe"), "\\u{202e}txt.exe");
        assert_eq!(one_line("a\n  b\tc "), "a b c");
    }

    #[test]
    fn no_colour_without_a_terminal() {
        assert_eq!(Paint { on: false }.good("yes"), "yes");
        assert_eq!(Paint { on: true }.good("yes"), "\x1b[32myes\x1b[0m");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two  three fourteen 5", 7), "one two\nthree\nfourteen\n5");
        assert_eq!(wrapped("", 7), "");
    }

    #[test]
    fn empty_lines_stay_empty() {
        assert_eq!(indented("  ", "a\n\nb"), "  a\n\n  b\n");
    }
}
