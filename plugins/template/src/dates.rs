//! Times, read from what payloads have and written in a form of one's own.

use hookwright_plugin::Timestamp;

/// A time: RFC 3339, a date alone, or seconds or milliseconds since 1970.
pub(crate) fn read(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<i64>() {
        // Seconds reach this in the year 5138, milliseconds have passed it in 1973.
        return match number.abs() < 100_000_000_000 {
            true => Timestamp::from_unix(number, 0),
            false => from_millis(number),
        };
    }
    let is_date = text.len() == "2026-03-22".len();
    let text = if is_date { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::parse(&text).ok()
}

/// Seconds east of Greenwich, from `+01:00`, `-0530`, `Z` or `UTC`.
pub(crate) fn offset(text: &str) -> Option<i64> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ if matches!(text, "Z" | "UTC") => return Some(0),
        _ => return None,
    };
    let digits: String = rest.chars().filter(|c| *c != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (digits[..2].parse::<i64>().ok()?, digits[2..].parse::<i64>().ok()?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Writes a time as `format` says, with the letters of `strftime`. An error names the letter that is unknown.
pub(crate) fn write(time: Timestamp, offset: i64, format: &str) -> Result<String, String> {
    let local = Timestamp::from_unix(time.unix_seconds() + offset, 0).ok_or("the time is out of range")?;
    let fields = Fields { text: local.to_seconds(), local, time, offset };
    let mut out = String::new();
    let mut rest = format.chars();
    while let Some(c) = rest.next() {
        match c {
            '%' => out.push_str(&fields.one(rest.next())?),
            c => out.push(c),
        }
    }
    Ok(out)
}

fn from_millis(number: i64) -> Option<Timestamp> {
    let nanos = u32::try_from(number.rem_euclid(1000)).ok()? * 1_000_000;
    Timestamp::from_unix(number.div_euclid(1000), nanos)
}

struct Fields {
    /// `2026-03-22T08:30:00Z`, in local time.
    text: String,
    local: Timestamp,
    time: Timestamp,
    offset: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// 1970-01-01 was a Thursday.
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];

impl Fields {
    fn one(&self, letter: Option<char>) -> Result<String, String> {
        Ok(match letter {
            Some('Y') => self.part(0, 4).to_owned(),
            Some('y') => self.part(2, 4).to_owned(),
            Some('m') => self.part(5, 7).to_owned(),
            Some('d') => self.part(8, 10).to_owned(),
            Some('e') => self.number(8, 10).to_string(),
            Some('H') => self.part(11, 13).to_owned(),
            Some('I') => format!("{:02}", (self.number(11, 13) + 11) % 12 + 1),
            Some('p') => if self.number(11, 13) < 12 { "AM" } else { "PM" }.to_owned(),
            Some('M') => self.part(14, 16).to_owned(),
            Some('S') => self.part(17, 19).to_owned(),
            Some('L') => format!("{:03}", self.time.unix_millis().rem_euclid(1_000)),
            Some('f') => format!("{:06}", self.time.unix_micros().rem_euclid(1_000_000)),
            Some('B') => self.month().to_owned(),
            Some('b') => self.month()[..3].to_owned(),
            Some('A') => self.day().to_owned(),
            Some('a') => self.day()[..3].to_owned(),
            Some('j') => format!("{:03}", self.day_of_year()),
            Some('F') => self.part(0, 10).to_owned(),
            Some('T') => self.part(11, 19).to_owned(),
            Some('z') => self.offset(""),
            Some(':') => self.offset(":"),
            Some('s') => self.time.unix_seconds().to_string(),
            Some('%') => "%".to_owned(),
            Some(other) => return Err(format!("`%{other}` is not known in a format of dates")),
            None => return Err("a format of dates ends in `%`".to_owned()),
        })
    }

    fn part(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }

    fn number(&self, from: usize, to: usize) -> usize {
        self.part(from, to).parse().unwrap_or_default()
    }

    fn month(&self) -> &'static str {
        MONTHS[(self.number(5, 7) + 11) % 12]
    }

    fn day(&self) -> &'static str {
        DAYS[usize::try_from(self.local.unix_seconds().div_euclid(86_400).rem_euclid(7)).unwrap_or_default()]
    }

    fn day_of_year(&self) -> i64 {
        let first = Timestamp::parse(&format!("{}-01-01T00:00:00Z", self.part(0, 4)));
        first.map_or(0, |first| (self.local.unix_seconds() - first.unix_seconds()) / 86_400 + 1)
    }

    fn offset(&self, colon: &str) -> String {
        let (sign, minutes) = (if self.offset < 0 { '-' } else { '+' }, self.offset.abs() / 60);
        format!("{sign}{:02}{colon}{:02}", minutes / 60, minutes % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let table = [
            ("2026-03-22T08:30:00Z", "+01:00", "%d.%m.%Y %H:%M", "22.03.2026 09:30"),
            (
                "2026-03-22T23:30:05.123456Z",
                "+08:00",
                "%F %T.%L %f %z %:",
                "2026-03-23 07:30:05.123 123456 +0800 +08:00",
            ),
            ("2025-12-31T20:00:00-05:30", "Z", "%A, %e %B %y, %I %p", "Thursday, 1 January 26, 01 AM"),
            ("2024-12-31", "UTC", "%a %b %j %%", "Tue Dec 366 %"),
            ("1774168200", "-0530", "%H:%M %s", "03:00 1774168200"),
            ("1774168200123", "Z", "%I:%M:%S.%L %p", "08:30:00.123 AM"),
            ("0", "Z", "年%Y é😀", "年1970 é😀"),
        ];
        for (text, zone, format, expected) in table {
            let time = read(text).expect(text);
            assert_eq!(write(time, offset(zone).expect(zone), format).as_deref(), Ok(expected), "{text}");
        }
        for text in ["", "today", "2026-02-30", "2026-3-1", "99999999999999999", "é23456789"] {
            assert!(read(text).is_none(), "{text}");
        }
        for zone in ["", "1", "+1", "+25:00", "+01:60", "+é", "CET", "+01:0é"] {
            assert!(offset(zone).is_none(), "{zone}");
        }
        let time = read("0").expect("a time");
        for format in ["%", "%Q", "%é"] {
            assert!(write(time, 0, format).is_err(), "{format}");
        }
        assert!(write(read("9999-12-31T23:59:59Z").expect("a time"), 3600, "%Y").is_err());
    }
}
