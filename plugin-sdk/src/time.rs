//! Times, for targets that want them written in another way.

use std::fmt;

/// A point in time, to the nanosecond, in UTC.
///
/// ```
/// use hookwright_plugin::Timestamp;
///
/// let time = Timestamp::parse("2026-03-26T15:30:00.25Z")?;
/// assert_eq!(time.to_seconds(), "2026-03-26T15:30:00Z");
/// assert_eq!(time.to_millis(), "2026-03-26T15:30:00.250Z");
/// assert_eq!(time.to_micros(), "2026-03-26T15:30:00.250000Z");
/// assert_eq!(time.unix_seconds(), 1_774_539_000);
/// assert_eq!(time.unix_millis(), 1_774_539_000_250);
/// assert_eq!(time.unix_micros(), 1_774_539_000_250_000);
/// # Ok::<(), hookwright_plugin::time::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
}

/// The text is not a time in the form of RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    text: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not a time in the form of RFC 3339, such as 2026-03-22T08:30:00Z.", self.text)
    }
}

impl std::error::Error for Error {}

impl Timestamp {
    /// Reads RFC 3339, with any offset. Of a fraction nine digits count; the second 60 counts as 59.
    ///
    /// # Errors
    ///
    /// Where the text has another form or names a day that does not exist.
    pub fn parse(text: &str) -> Result<Self, Error> {
        read(text).ok_or_else(|| Error { text: text.chars().take(64).collect() })
    }

    /// From seconds since 1970-01-01T00:00:00Z, and nanoseconds after these. None before the year 0 and after 9999.
    ///
    /// ```
    /// use hookwright_plugin::Timestamp;
    ///
    /// let time = Timestamp::from_unix(1_774_539_000, 250_000_000).unwrap();
    /// assert_eq!(time.to_millis(), "2026-03-26T15:30:00.250Z");
    /// ```
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        let known = FIRST_SECOND..=LAST_SECOND;
        (known.contains(&seconds) && nanos < 1_000_000_000).then_some(Self { seconds, nanos })
    }

    /// `2026-03-22T08:30:00Z`; a fraction is cut off.
    pub fn to_seconds(self) -> String {
        format!("{}Z", self.date_and_time())
    }

    /// `2026-03-22T08:30:00.000Z`; what is smaller is cut off.
    pub fn to_millis(self) -> String {
        format!("{}.{:03}Z", self.date_and_time(), self.nanos / 1_000_000)
    }

    /// `2026-03-22T08:30:00.000000Z`; what is smaller is cut off.
    pub fn to_micros(self) -> String {
        format!("{}.{:06}Z", self.date_and_time(), self.nanos / 1_000)
    }

    /// Seconds since 1970-01-01T00:00:00Z; a fraction is cut off towards the past.
    pub fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Milliseconds since 1970-01-01T00:00:00Z; what is smaller is cut off towards the past.
    pub fn unix_millis(self) -> i64 {
        self.seconds * 1000 + i64::from(self.nanos / 1_000_000)
    }

    /// Microseconds since 1970-01-01T00:00:00Z; what is smaller is cut off towards the past.
    pub fn unix_micros(self) -> i64 {
        self.seconds * 1_000_000 + i64::from(self.nanos / 1_000)
    }

    fn date_and_time(self) -> String {
        let (year, month, day) = civil(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")
    }
}

const DAY: i64 = 86_400;
/// Of the year 0, and of 9999.
const FIRST_SECOND: i64 = -62_167_219_200;
const LAST_SECOND: i64 = 253_402_300_799;

fn read(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let part = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let marks = [(4, "-"), (7, "-"), (10, "Tt "), (13, ":"), (16, ":")];
    if !marks.iter().all(|(at, marks)| bytes.get(*at).is_some_and(|byte| marks.as_bytes().contains(byte))) {
        return None;
    }
    let days = days(part(0, 4)?, part(5, 7)?, part(8, 10)?)?;
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanos, rest) = fraction(&bytes[19..])?;
    let seconds = days * DAY + hour * 3600 + minute * 60 + second.min(59) - offset(rest)?;
    Some(Timestamp { seconds, nanos })
}

/// The nanoseconds of a fraction, if there is one, and what follows it.
fn fraction(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let Some(fraction) = bytes.strip_prefix(b".") else {
        return Some((0, bytes));
    };
    let length = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = fraction.split_at_checked(length).filter(|(digits, _)| !digits.is_empty())?;
    let nanos = (0..9)
        .fold(0, |nanos, place| nanos * 10 + fraction.get(place).map_or(0, |digit| u32::from(digit - b'0')));
    Some((nanos, rest))
}

/// Seconds east of Greenwich.
fn offset(bytes: &[u8]) -> Option<i64> {
    let (sign, hours, minutes) = match bytes {
        b"Z" | b"z" => return Some(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [*h1, *h2], [*m1, *m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [*h1, *h2], [*m1, *m2]),
        _ => return None,
    };
    let (hours, minutes) = (digits(&hours)?, digits(&minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i64::from(byte - b'0')))
}

/// Days since 1970-01-01 of a day that exists, in the proleptic Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let shifted = (month + 9) % 12;
    let year_of_march = if month > 2 { year } else { year - 1 };
    let (era, of_era) = (year_of_march.div_euclid(400), year_of_march.rem_euclid(400));
    let of_year = (153 * shifted + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    // A day that does not exist, such as 30 February, comes back as another one.
    ((1..=12).contains(&month) && civil(days) == (year, month, day)).then_some(days)
}

/// Year, month and day from days since 1970-01-01. Years begin in March, so that the leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes() {
        let table = [
            ("1970-01-01T00:00:00Z", 0, "1970-01-01T00:00:00.000Z"),
            ("1969-12-31T23:59:59.9999Z", -1, "1969-12-31T23:59:59.999Z"),
            ("2024-02-29T12:00:00Z", 1_709_208_000_000, "2024-02-29T12:00:00.000Z"),
            ("2026-03-22T09:30:00.123456789+01:00", 1_774_168_200_123, "2026-03-22T08:30:00.123Z"),
            ("2025-12-31t20:00:00.5-05:30", 1_767_231_000_500, "2026-01-01T01:30:00.500Z"),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            ("9999-12-31T23:59:60Z", 253_402_300_799_000, "9999-12-31T23:59:59.000Z"),
        ];
        for (text, millis, written) in table {
            let time = Timestamp::parse(text).expect(text);
            assert_eq!((time.unix_millis(), time.to_millis().as_str()), (millis, written), "{text}");
            assert_eq!(time.unix_micros().div_euclid(1_000), millis, "{text}");
        }
        let before_1970 = Timestamp::parse("1969-12-31T23:59:59.9999994Z").expect("a time");
        assert_eq!(
            (before_1970.unix_micros(), before_1970.to_micros().as_str()),
            (-1, "1969-12-31T23:59:59.999999Z")
        );
        for text in ["0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999Z"] {
            assert_eq!(
                Timestamp::parse(text).expect("a time").to_micros().len(),
                "0000-00-00T00:00:00.000000Z".len()
            );
        }
    }

    #[test]
    fn refuses_other_forms() {
        let table = [
            "",
            "2026",
            "2026-03-22",
            "2026-03-22T08:30:00",
            "2026-3-22T08:30:00Z",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:60:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00ZZ",
            "２026-01-01T00:00:00Z",
            "1774168200",
        ];
        for text in table {
            assert!(Timestamp::parse(text).is_err(), "{text}");
        }
    }
}
