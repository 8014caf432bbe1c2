//! Text that a guest wrote, made fit for logs, terminals and web pages.

/// Without control characters and marks that reorder text, cut to `max` bytes on a character's boundary.
pub(super) fn clean(text: &str, max: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(max));
    for c in text.chars() {
        let c = if c == '\t' || c == '\n' { ' ' } else { c };
        if hides(c) {
            continue;
        }
        if clean.len() + c.len_utf8() > max {
            return cut(clean, max);
        }
        clean.push(c);
    }
    clean
}

fn hides(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Ends in an ellipsis where there is room for one.
fn cut(mut text: String, max: usize) -> String {
    const ELLIPSIS: char = '…';
    if max >= ELLIPSIS.len_utf8() {
        while text.len() + ELLIPSIS.len_utf8() > max {
            text.pop();
        }
        text.push(ELLIPSIS);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn guests_cannot_steer_a_terminal() {
        for (given, max, want) in [
            ("plain", 10, "plain"),
            ("\u{1b}[31mred\u{7}\r", 20, "[31mred"),
            ("a\tb\nc", 20, "a b c"),
            ("user\u{202e}gpj.exe", 20, "usergpj.exe"),
            ("abcdefghij", 10, "abcdefghij"),
            ("abcdefghijk", 10, "abcdefg…"),
            ("äöüäöü", 7, "äö…"),
            ("abc", 2, "ab"),
        ] {
            assert_eq!(clean(given, max), want, "{given:?} to {max}");
        }
    }
}
