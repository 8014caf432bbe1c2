//! JSON as ECMAScript writes it: for each text, what `JSON.stringify(JSON.parse(text))` gives.
//!
//! Some receivers check a signature over a body that they have parsed and written again. They accept a delivery only
//! where the bytes that were signed are already the ones that they will write.

/// How deep lists and objects may be nested. What is deeper is left alone.
pub const MAX_DEPTH: usize = 512;

/// Why a text stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unchanged {
    #[error("it is not JSON in UTF-8; byte {0} cannot stand where it does")]
    NotJson(usize),
    #[error("it is nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// Writes JSON as ECMAScript does. That is not what was there where
///
/// * white space stood between its parts;
/// * a number was not in its shortest form as a double: `1.0` becomes `1`, `1E21` becomes `1e+21`, `-0` becomes `0`,
///   `12345678901234567890` loses digits, and `1e400` becomes `null`;
/// * a character was escaped that need not be, such as `\u00e9` or `\/`;
/// * a name looked like an index of an array: such names come first, in ascending order;
/// * a name stood there twice: the last value stays, in the first place.
pub fn stringify(json: &[u8]) -> Result<String, Unchanged> {
    let text = str::from_utf8(json).map_err(|error| Unchanged::NotJson(error.valid_up_to()))?;
    let mut writer =
        Writer { text, at: 0, out: String::with_capacity(text.len()), numbers: ryu_js::Buffer::new() };
    writer.skip_space();
    writer.value(MAX_DEPTH)?;
    writer.skip_space();
    match writer.peek() {
        None => Ok(writer.out),
        Some(_) => Err(writer.not_json()),
    }
}

/// Reads the text once and writes while it reads. Only an object whose members change places is written twice.
struct Writer<'t> {
    text: &'t str,
    at: usize,
    out: String,
    numbers: ryu_js::Buffer,
}

/// Where a member stands in what was written: its name from `begin`, its value from behind `colon`.
#[derive(Debug, Clone, Copy)]
struct Member {
    begin: usize,
    colon: usize,
    end: usize,
}

/// Integers up to this many digits are doubles without loss, and written as they are.
const EXACT_DIGITS: usize = 15;

impl Writer<'_> {
    fn value(&mut self, depth: usize) -> Result<(), Unchanged> {
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(b't') => self.word("true"),
            Some(b'f') => self.word("false"),
            Some(b'n') => self.word("null"),
            _ => Err(self.not_json()),
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), Unchanged> {
        let depth = depth.checked_sub(1).ok_or(Unchanged::TooDeep)?;
        if self.open_is_empty(b'}') {
            return Ok(());
        }
        let first = self.out.len();
        let mut members = Vec::new();
        loop {
            members.push(self.member(depth)?);
            if self.closes(b'}')? {
                break;
            }
        }
        if let Some(arranged) = self.arranged(&members) {
            let text = arranged.iter().map(|member| &self.out[member.begin..member.end]);
            let text = text.collect::<Vec<_>>().join(",");
            self.out.truncate(first);
            self.out.push_str(&text);
        }
        self.out.push('}');
        Ok(())
    }

    fn member(&mut self, depth: usize) -> Result<Member, Unchanged> {
        self.skip_space();
        let begin = self.out.len();
        if self.peek() != Some(b'"') {
            return Err(self.not_json());
        }
        self.string()?;
        let colon = self.out.len();
        self.skip_space();
        self.expect(b':')?;
        self.skip_space();
        self.out.push(':');
        self.value(depth)?;
        Ok(Member { begin, colon, end: self.out.len() })
    }

    /// The members as an object holds them, where that is not as they stand there. Names are compared as they were
    /// written, since equal names are written the same.
    fn arranged(&self, members: &[Member]) -> Option<Vec<Member>> {
        let name = |place: usize| &self.out[members[place].begin..members[place].colon];
        let mut places: Vec<usize> = (0..members.len()).collect();
        places.sort_by_key(|place| name(*place));
        // Stable, so each group of equal names goes from the first to the last.
        let mut kept: Vec<(u32, usize, usize)> = places
            .chunk_by(|one, other| name(*one) == name(*other))
            .filter_map(|group| Some((rank(name(*group.first()?)), *group.first()?, *group.last()?)))
            .collect();
        kept.sort_unstable();
        let arranged = kept.iter().map(|(_, _, last)| *last);
        match arranged.clone().eq(0..members.len()) {
            true => None,
            false => Some(arranged.map(|place| members[place]).collect()),
        }
    }

    fn array(&mut self, depth: usize) -> Result<(), Unchanged> {
        let depth = depth.checked_sub(1).ok_or(Unchanged::TooDeep)?;
        if self.open_is_empty(b']') {
            return Ok(());
        }
        loop {
            self.skip_space();
            self.value(depth)?;
            if self.closes(b']')? {
                self.out.push(']');
                return Ok(());
            }
        }
    }

    /// Takes the opening bracket, and the closing one too where nothing stands between them.
    fn open_is_empty(&mut self, close: u8) -> bool {
        self.out.push(if close == b'}' { '{' } else { '[' });
        self.at += 1;
        self.skip_space();
        let empty = self.peek() == Some(close);
        if empty {
            self.at += 1;
            self.out.push(char::from(close));
        }
        empty
    }

    /// Takes what follows an item: a comma, or the closing bracket, which is left to be written.
    fn closes(&mut self, close: u8) -> Result<bool, Unchanged> {
        self.skip_space();
        match self.peek() {
            Some(b',') => self.out.push(','),
            Some(other) if other == close => {}
            _ => return Err(self.not_json()),
        }
        let closes = self.peek() == Some(close);
        self.at += 1;
        Ok(closes)
    }

    fn string(&mut self) -> Result<(), Unchanged> {
        self.at += 1;
        self.out.push('"');
        loop {
            let rest = &self.text[self.at..];
            let special = |byte: u8| matches!(byte, b'"' | b'\\' | ..0x20);
            let plain = rest.bytes().position(special).unwrap_or(rest.len());
            self.out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                _ => return Err(self.not_json()),
            }
        }
        self.at += 1;
        self.out.push('"');
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Unchanged> {
        self.at += 1;
        let c = match self.peek() {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.escaped_unit(),
            _ => return Err(self.not_json()),
        };
        self.at += 1;
        write_char(&mut self.out, c);
        Ok(())
    }

    /// One UTF-16 code unit, or the two of a pair. One that has no partner stays escaped, since no UTF-8 can say it.
    fn escaped_unit(&mut self) -> Result<(), Unchanged> {
        let unit = self.unit_behind("u").ok_or_else(|| self.not_json())?;
        self.at += 5;
        let pair = self.unit_behind("\\u").and_then(|low| char::decode_utf16([unit, low]).next()?.ok());
        match (char::from_u32(unit.into()), pair) {
            (Some(c), _) => write_char(&mut self.out, c),
            (None, Some(c)) => {
                self.at += 6;
                self.out.push(c);
            }
            (None, None) => self.out.push_str(&format!("\\u{unit:04x}")),
        }
        Ok(())
    }

    /// The four digits that follow `sign` here.
    fn unit_behind(&self, sign: &str) -> Option<u16> {
        let digits = self.text.as_bytes()[self.at..].strip_prefix(sign.as_bytes())?.get(..4)?;
        digits
            .iter()
            .try_fold(0, |unit: u16, digit| Some(unit << 4 | char::from(*digit).to_digit(16)? as u16))
    }

    fn number(&mut self) -> Result<(), Unchanged> {
        let begin = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        let whole = self.digits()?;
        if whole > 1 && self.text.as_bytes()[self.at - whole] == b'0' {
            return Err(self.not_json());
        }
        let mut exact = whole <= EXACT_DIGITS;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            exact = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
            exact = false;
        }
        let text = &self.text[begin..self.at];
        if exact && text != "-0" {
            self.out.push_str(text);
            return Ok(());
        }
        let number: f64 = text.parse().map_err(|_| Unchanged::NotJson(begin))?;
        // `JSON.parse` makes it infinite, and JSON has no word for that.
        let text = if number.is_finite() { self.numbers.format_finite(number) } else { "null" };
        self.out.push_str(text);
        Ok(())
    }

    /// Takes one digit or more; says how many.
    fn digits(&mut self) -> Result<usize, Unchanged> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(self.not_json()) } else { Ok(count) }
    }

    fn word(&mut self, word: &str) -> Result<(), Unchanged> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.not_json());
        }
        self.at += word.len();
        self.out.push_str(word);
        Ok(())
    }

    fn expect(&mut self, byte: u8) -> Result<(), Unchanged> {
        if self.peek() != Some(byte) {
            return Err(self.not_json());
        }
        self.at += 1;
        Ok(())
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn not_json(&self) -> Unchanged {
        Unchanged::NotJson(self.at)
    }
}

fn write_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
        c => out.push(c),
    }
}

/// Where a name, in its quotes, comes among those of its object: an index of an array by its number, all others behind
/// these. An index is a number in its shortest form from 0 to 2^32 - 2.
fn rank(quoted: &str) -> u32 {
    let name = quoted.trim_matches('"');
    let canonical = name == "0" || !name.starts_with('0') && name.bytes().all(|byte| byte.is_ascii_digit());
    match name.parse() {
        Ok(index) if canonical => index,
        _ => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> String {
        stringify(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn numbers() {
        for (text, written) in [
            ("0", "0"),
            ("-0", "0"),
            ("-0.0", "0"),
            ("1.0", "1"),
            ("12500.00", "12500"),
            ("-1E+2", "-100"),
            ("0.1", "0.1"),
            ("1e-6", "0.000001"),
            ("1e-7", "1e-7"),
            ("123456789012345", "123456789012345"),
            ("9007199254740993", "9007199254740992"),
            ("12345678901234567890", "12345678901234567000"),
            ("1e20", "100000000000000000000"),
            ("1e21", "1e+21"),
            ("123456789012345678901234567890", "1.2345678901234568e+29"),
            ("5e-324", "5e-324"),
            ("1e-400", "0"),
            ("-1e-400", "0"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            ("1e400", "null"),
            ("-1e400", "null"),
            ("1e99999999999999999999", "null"),
            ("1e-99999999999999999999", "0"),
            ("0e99999999999999999999", "0"),
        ] {
            assert_eq!(form(text), written, "{text}");
        }
    }

    #[test]
    fn texts() {
        for (text, written) in [
            (r#""\u00e9 \/ \u0041""#, r#""é / A""#),
            (r#""\u0022 \u005c \u0008\u0009\u000a\u000c\u000d""#, r#""\" \\ \b\t\n\f\r""#),
            (r#""\u0000\u001F\u007f""#, "\"\\u0000\\u001f\u{7f}\""),
            (r#""\u2028\u2029 ""#, "\"\u{2028}\u{2029} \""),
            (r#""\uD83D\uDE00""#, "\"\u{1f600}\""),
            (r#""\ud83d""#, r#""\ud83d""#),
            (r#""\uDE00\uD83D""#, r#""\ude00\ud83d""#),
            (r#""\uD83D\uD83D\uDE00!""#, "\"\\ud83d\u{1f600}!\""),
            (r#""\uD83D\u0041""#, r#""\ud83dA""#),
            (r#""\uD83D\n""#, r#""\ud83d\n""#),
        ] {
            assert_eq!(form(text), written, "{text}");
        }
    }

    #[test]
    fn objects() {
        for (text, written) in [
            (" { } ", "{}"),
            ("[ ]", "[]"),
            ("{\"b\" : [ 1 ,\n2 ],\t\"a\":{ }}", r#"{"b":[1,2],"a":{}}"#),
            (r#"{"b":1,"10":2,"9":3,"a":4,"0":5}"#, r#"{"0":5,"9":3,"10":2,"b":1,"a":4}"#),
            (r#"{"z":0,"01":1,"-1":2,"1.0":3,"+1":4,"":5}"#, r#"{"z":0,"01":1,"-1":2,"1.0":3,"+1":4,"":5}"#),
            (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
            (r#"{"a":1,"\u0061":{"x":1},"b":2}"#, r#"{"a":{"x":1},"b":2}"#),
            (r#"{"x":1,"1":2,"x":3,"\u0031":4}"#, r#"{"1":4,"x":3}"#),
            (r#"{"4294967295":1,"4294967294":2,"x":3}"#, r#"{"4294967294":2,"4294967295":1,"x":3}"#),
            (r#"{"x":1,"4294967295":2,"99999999999":3}"#, r#"{"x":1,"4294967295":2,"99999999999":3}"#),
            (r#"{"a":1,"__proto__":{"b":2},"toJSON":3}"#, r#"{"a":1,"__proto__":{"b":2},"toJSON":3}"#),
            (r#"[{"b":0,"1":{"d":0,"2":[{"e":0,"3":0}]}}]"#, r#"[{"1":{"2":[{"3":0,"e":0}],"d":0},"b":0}]"#),
        ] {
            assert_eq!(form(text), written, "{text}");
        }
    }

    #[test]
    fn what_javascript_does_not_parse_is_left_alone() {
        for text in [
            "",
            " ",
            "{",
            "[1,]",
            "{\"a\"}",
            "{\"a\":1,}",
            "{a:1}",
            "'a'",
            "01",
            "-",
            "1.",
            ".5",
            "1e",
            "1e+",
            "+1",
            "tru",
            "nulll",
            "1 2",
            "\"",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u+123\"",
            "\"\n\"",
            "NaN",
            "Infinity",
            "\u{feff}1",
            "\u{a0}1",
            "// c\n1",
            "[1}",
            "{\"a\":1]",
            "\"\\ud800\\u12\"",
        ] {
            assert!(matches!(stringify(text.as_bytes()), Err(Unchanged::NotJson(_))), "{text:?}");
        }
        assert_eq!(stringify(b"[\"a\xff\"]"), Err(Unchanged::NotJson(3)));
    }

    #[test]
    fn depth_has_a_bound() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(form(&nested(MAX_DEPTH)), nested(MAX_DEPTH));
        assert_eq!(stringify(nested(MAX_DEPTH + 1).as_bytes()), Err(Unchanged::TooDeep));
        assert_eq!(stringify("{\"a\":".repeat(1_000_000).as_bytes()), Err(Unchanged::TooDeep));
    }
}
