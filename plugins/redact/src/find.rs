//! What texts have in them, found in one pass each and without a regular expression.
//!
//! Each function gives the parts of a text in their order, apart from each other.

use std::ops::Range;

/// E-mail addresses: what stands around an `@`, if its right side has a dot.
pub(crate) fn emails(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let floor = found.last().map_or(0, |last| last.end);
        let left = text[floor..at].char_indices().rev().take_while(|(_, c)| in_mailbox(*c)).last();
        let right = &text[at + 1..];
        let length = right.find(|c| !in_domain(c)).unwrap_or(right.len());
        let domain = right[..length].trim_end_matches(['.', '-']);
        if let Some((left, _)) = left
            && domain.trim_matches('.').contains('.')
        {
            found.push(floor + left..at + 1 + domain.len());
        }
    }
    found
}

/// The numbers of payment cards: 13 to 19 digits, by themselves or in groups, that pass the check of Luhn and begin
/// as those of the large networks do.
pub(crate) fn cards(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut scan = Scan::new(text);
    while let Some(run) = scan.next_run(|c| digit(c).is_some(), is_gap) {
        let mut from = 0;
        while from < run.len() {
            let card = (MIN_CARD..=MAX_CARD).rev().find(|length| {
                let end = from + length;
                starts_word(&run, from) && ends_word(&run, end) && is_card(&run[from..end])
            });
            match card {
                Some(length) => {
                    found.push(span(&run[from..from + length]));
                    from += length;
                }
                None => from += 1,
            }
        }
    }
    found
}

/// International bank account numbers: two letters, two check digits, and up to 30 letters and digits, also in groups.
pub(crate) fn ibans(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut scan = Scan::new(text);
    while let Some(run) = scan.next_run(|c| c.is_ascii_alphanumeric(), is_gap) {
        let mut from = 0;
        while from < run.len() {
            let iban = (MIN_IBAN..=MAX_IBAN).rev().find(|length| {
                let end = from + length;
                starts_word(&run, from) && ends_word(&run, end) && is_iban(&run[from..end])
            });
            match iban {
                Some(length) => {
                    found.push(span(&run[from..from + length]));
                    from += length;
                }
                None => from += 1,
            }
        }
    }
    found
}

/// Telephone numbers, as far as they can be told from other numbers.
pub(crate) fn phones(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(|c: char| c == '+' || c == '(' || digit(c).is_some()) {
        let start = from + start;
        let end = end_of_phone(&text[start..]) + start;
        if stands_alone(text, start, end) && is_phone(&text[start..end]) {
            found.push(start..end);
        }
        // Digits that follow digits are no beginning, so the next look is behind all of them.
        from = end.max(start + text[start..].chars().next().map_or(1, char::len_utf8));
    }
    found
}

const MIN_CARD: usize = 13;
const MAX_CARD: usize = 19;
const MIN_IBAN: usize = 15;
const MAX_IBAN: usize = 34;
/// The most digits of a telephone number with its country, and the fewest of one that is meant here.
const MAX_PHONE: usize = 15;
const MIN_PHONE: usize = 7;
/// The fewest digits of a number without a country.
const MIN_NATIONAL: usize = 9;

/// A character, and where it stands.
#[derive(Clone, Copy)]
struct Unit {
    at: usize,
    c: char,
    /// It follows a gap or something else.
    first: bool,
    /// A gap or something else follows it.
    last: bool,
}

/// Cuts a text into runs of wanted characters with single gaps between them.
struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    fn next_run(&mut self, wanted: impl Fn(char) -> bool, gap: impl Fn(char) -> bool) -> Option<Vec<Unit>> {
        let start = self.at + self.text[self.at..].find(&wanted)?;
        let before = self.text[..start].chars().next_back();
        let mut run: Vec<Unit> = Vec::new();
        let mut first = !before.is_some_and(char::is_alphanumeric);
        let mut gaps = 0;
        self.at = self.text.len();
        for (offset, c) in self.text[start..].char_indices() {
            let at = start + offset;
            if wanted(c) {
                run.push(Unit { at, c, first, last: false });
                (first, gaps) = (false, 0);
            } else if gap(c) && gaps == 0 {
                mark_last(&mut run, true);
                (first, gaps) = (true, 1);
            } else {
                mark_last(&mut run, gaps > 0 || !c.is_alphanumeric());
                self.at = at;
                return Some(run);
            }
        }
        mark_last(&mut run, true);
        Some(run)
    }
}

fn mark_last(run: &mut [Unit], last: bool) {
    if let Some(unit) = run.last_mut() {
        unit.last = unit.last || last;
    }
}

fn starts_word(run: &[Unit], at: usize) -> bool {
    run.get(at).is_some_and(|unit| unit.first)
}

fn ends_word(run: &[Unit], end: usize) -> bool {
    end.checked_sub(1).and_then(|last| run.get(last)).is_some_and(|unit| unit.last)
}

fn span(run: &[Unit]) -> Range<usize> {
    match (run.first(), run.last()) {
        (Some(first), Some(last)) => first.at..last.at + last.c.len_utf8(),
        _ => 0..0,
    }
}

fn is_card(run: &[Unit]) -> bool {
    let known = run.first().and_then(|unit| digit(unit.c)).is_some_and(|first| (2..=6).contains(&first));
    known && luhn(run)
}

/// Every second digit from the right counts double, and the sum ends in 0.
fn luhn(run: &[Unit]) -> bool {
    let sum: u32 = run
        .iter()
        .rev()
        .filter_map(|unit| digit(unit.c))
        .enumerate()
        .map(|(index, digit)| match (index % 2, digit * 2) {
            (0, _) => digit,
            (_, doubled) => doubled / 10 + doubled % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

/// The first four characters moved to the end, letters as 10 to 35: the remainder by 97 is 1.
fn is_iban(run: &[Unit]) -> bool {
    let Some((head, tail)) = run.split_at_checked(4) else {
        return false;
    };
    let shape = |index: usize, unit: &Unit| match index {
        0 | 1 => unit.c.is_ascii_alphabetic(),
        _ => unit.c.is_ascii_digit(),
    };
    if !head.iter().enumerate().all(|(index, unit)| shape(index, unit)) {
        return false;
    }
    let remainder = tail.iter().chain(head).filter_map(|unit| unit.c.to_digit(36)).fold(0, |rest, value| {
        let shift = if value > 9 { 100 } else { 10 };
        (rest * shift + value) % 97
    });
    remainder == 1
}

/// Where what could be a telephone number ends: at its last digit.
fn end_of_phone(text: &str) -> usize {
    let mut end = 0;
    let mut gaps = 0;
    for (at, c) in text.char_indices() {
        match digit(c) {
            Some(_) => {
                end = at + c.len_utf8();
                gaps = 0;
            }
            None if at == 0 && (c == '+' || c == '(') => {}
            // Two at most stand between digits: `) `.
            None if gaps < 2 && (is_gap(c) || matches!(c, '(' | ')' | '/' | '.')) => gaps += 1,
            None => break,
        }
    }
    end
}

fn stands_alone(text: &str, start: usize, end: usize) -> bool {
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    let joins = |c: char| c.is_alphanumeric() || matches!(c, ':' | '_' | '@' | '#' | '$' | '€' | '%' | '=');
    let leads = |c: char| joins(c) || matches!(c, '.' | ',' | '-' | '/');
    !before.is_some_and(leads) && !after.is_some_and(joins)
}

fn is_phone(text: &str) -> bool {
    let digits: String =
        text.chars().filter_map(digit).filter_map(|digit| char::from_digit(digit, 10)).collect();
    let gaps = text.chars().filter(|c| digit(*c).is_none() && *c != '+').count();
    let decimal = text.matches('.').count() == 1 && gaps == 1;
    let national = (MIN_NATIONAL..=MAX_PHONE).contains(&digits.len());
    match text.chars().next() {
        _ if decimal => false,
        Some('+') => (MIN_PHONE..=MAX_PHONE).contains(&digits.len()),
        Some('(') => national && text.contains(')'),
        _ if digits.starts_with("00") => (MIN_PHONE + 2..=MAX_PHONE + 2).contains(&digits.len()),
        _ if digits.starts_with('0') => national && !is_date(text),
        _ => groups(text) == [3, 3, 4],
    }
}

/// `01.02.2026 12` and alike: days begin with 0, too.
fn is_date(text: &str) -> bool {
    groups(text).get(..3).is_some_and(|first| first == [2, 2, 4])
}

/// How many digits stand together.
fn groups(text: &str) -> Vec<usize> {
    text.split(|c| digit(c).is_none())
        .map(|group| group.chars().count())
        .filter(|length| *length > 0)
        .collect()
}

/// Of a digit as it is written in the West, also in its full width.
fn digit(c: char) -> Option<u32> {
    match c {
        '0'..='9' => c.to_digit(10),
        '０'..='９' => Some(u32::from(c) - u32::from('０')),
        _ => None,
    }
}

/// What may stand between groups: spaces and hyphens of all widths.
pub(crate) fn is_gap(c: char) -> bool {
    matches!(c, ' ' | '-' | '\u{a0}' | '\u{202f}' | '\u{2009}' | '\u{2010}'..='\u{2013}' | '\u{3000}')
}

fn in_mailbox(c: char) -> bool {
    c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c)
}

fn in_domain(c: char) -> bool {
    c.is_alphanumeric() || c == '-' || c == '.'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(find: fn(&str) -> Vec<Range<usize>>, text: &str) -> Vec<&str> {
        find(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn finds_emails() {
        let table: [(&str, &[&str]); 11] = [
            ("jean.dupont+tag@mail.example.com", &["jean.dupont+tag@mail.example.com"]),
            ("Write to <a@b.de>, or c@d.org.", &["a@b.de", "c@d.org"]),
            ("jürgen@müller.de 😀x@y.io😀", &["jürgen@müller.de", "x@y.io"]),
            ("用户@例子.公司", &["用户@例子.公司"]),
            ("mailto:a@b.de?subject=x", &["a@b.de"]),
            ("a@b.de@c.de", &["a@b.de"]),
            ("@handle and me@localhost", &[]),
            ("@", &[]),
            ("a@.", &[]),
            ("a@..b", &[]),
            ("a@b.c-", &["a@b.c"]),
        ];
        for (text, found) in table {
            assert_eq!(parts(emails, text), found, "{text}");
        }
    }

    #[test]
    fn finds_cards() {
        let table: [(&str, &[&str]); 13] = [
            ("4111111111111111", &["4111111111111111"]),
            ("4111 1111 1111 1111, thanks", &["4111 1111 1111 1111"]),
            ("5500-0000-0000-0004", &["5500-0000-0000-0004"]),
            ("amex 378282246310005.", &["378282246310005"]),
            ("on 2026 4111 1111 1111 1111 12", &["4111 1111 1111 1111"]),
            ("４１１１ １１１１ １１１１ １１１１", &["４１１１ １１１１ １１１１ １１１１"]),
            ("4111\u{a0}1111\u{a0}1111\u{a0}1111", &["4111\u{a0}1111\u{a0}1111\u{a0}1111"]),
            ("4111111111111112", &[]),
            ("94111111111111111", &[]),
            ("x4111111111111111", &[]),
            ("4111111111111111é", &[]),
            ("1774168200000", &[]),
            ("4111111111111111 5500000000000004", &["4111111111111111", "5500000000000004"]),
        ];
        for (text, found) in table {
            assert_eq!(parts(cards, text), found, "{text}");
        }
    }

    #[test]
    fn finds_ibans() {
        let table: [(&str, &[&str]); 8] = [
            ("DE89370400440532013000", &["DE89370400440532013000"]),
            ("IBAN: DE89 3704 0044 0532 0130 00 (Café)", &["DE89 3704 0044 0532 0130 00"]),
            ("gb29nwbk60161331926819", &["gb29nwbk60161331926819"]),
            ("NO9386011117947", &["NO9386011117947"]),
            ("MT84 MALT 0110 0001 2345 MTLC AST0 01S", &["MT84 MALT 0110 0001 2345 MTLC AST0 01S"]),
            ("DE89370400440532013001", &[]),
            ("XDE89370400440532013000", &[]),
            ("DE", &[]),
        ];
        for (text, found) in table {
            assert_eq!(parts(ibans, text), found, "{text}");
        }
    }

    #[test]
    fn finds_telephones_and_leaves_other_numbers_alone() {
        let table: [(&str, &[&str]); 24] = [
            ("+49 30 1234567", &["+49 30 1234567"]),
            ("call +1 (415) 555-2671 now", &["+1 (415) 555-2671"]),
            ("(415) 555-2671", &["(415) 555-2671"]),
            ("415-555-2671", &["415-555-2671"]),
            ("415.555.2671", &["415.555.2671"]),
            ("Tel. 030/1234567-0", &["030/1234567-0"]),
            ("0049 30 1234567", &["0049 30 1234567"]),
            ("📞 +8613812345678😀", &["+8613812345678"]),
            ("＋８６", &[]),
            ("2026-03-22", &[]),
            ("2026-03-22T08:30:00.123456789Z", &[]),
            ("2026-03-22 08:30:00.123456789+01:00", &[]),
            ("22.03.2026", &[]),
            ("01.02.2026 14", &[]),
            ("INV-2026-0042-000123456", &[]),
            ("550e8400-e29b-41d4-a716-446655440000", &[]),
            ("12500.00", &[]),
            ("0.1234567890", &[]),
            ("1,234,567.00", &[]),
            ("€ 0123456789", &["0123456789"]),
            ("12345678901234567890", &[]),
            ("+1234", &[]),
            ("", &[]),
            ("+", &[]),
        ];
        for (text, found) in table {
            assert_eq!(parts(phones, text), found, "{text}");
        }
    }

    #[test]
    fn no_text_is_too_strange() {
        let pieces = ["4", "1", " ", "-", "@", "a", ".", "é", "😀", "+", "(", ")", "0", "DE", "９", "\u{a0}"];
        for n in 0..40_000_usize {
            let text: String = (0..6).map(|place| pieces[n / 16_usize.pow(place % 4) % 16]).collect();
            for find in [emails, cards, ibans, phones] {
                let ranges = find(&text);
                assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "{text}");
                assert!(
                    ranges.iter().all(|range| text.get(range.clone()).is_some_and(|part| !part.is_empty()))
                );
            }
        }
    }
}
