//! Instants and spans. The only module that reads the clock.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    pub const ZERO: Timestamp = Timestamp(0);
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// Time from `earlier` to `self`; zero where the clock went back.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0) as u64)
    }

    #[must_use]
    pub fn plus(self, span: Duration) -> Timestamp {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(micros))
    }

    #[must_use]
    pub fn minus(self, span: Duration) -> Timestamp {
        let micros = i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_sub(micros))
    }

    /// Reads RFC 3339, for the years 0000 to 9999. A leap second counts as the second after it.
    pub fn parse(text: &str) -> Result<Self, InvalidTime> {
        let time = text.parse::<jiff::Timestamp>().ok().filter(|_| is_rfc3339(text));
        time.map(|time| Timestamp(time.as_microsecond()))
            .filter(|time| *time >= YEAR_ZERO)
            .ok_or_else(|| InvalidTime(text.chars().take(64).collect()))
    }
}

/// 0000-01-01T00:00:00Z.
const YEAR_ZERO: Timestamp = Timestamp::from_secs(-62_167_219_200);

/// Whether it has the form and nothing else; the parser knows more forms, and judges the numbers.
fn is_rfc3339(text: &str) -> bool {
    let fits = |text: &str, form: &str| {
        text.len() == form.len()
            && text.bytes().zip(form.bytes()).all(|(byte, form)| match form {
                b'0' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't' | b' '),
                b'+' => matches!(byte, b'+' | b'-'),
                form => byte == form,
            })
    };
    let Some((start, rest)) = text.split_at_checked("0000-00-00T00:00:00".len()) else { return false };
    let offset = match rest.strip_prefix('.') {
        Some(fraction) => fraction.trim_start_matches(|c: char| c.is_ascii_digit()),
        None => rest,
    };
    fits(start, "0000-00-00T00:00:00") && (matches!(offset, "Z" | "z") || fits(offset, "+00:00"))
}

/// RFC 3339 in UTC, with as many digits of a second as it needs: `2026-03-22T08:30:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX);
        write!(f, "{time}")
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a time in RFC 3339 form such as `2026-03-22T08:30:00Z`")]
pub struct InvalidTime(String);

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the one place")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::ZERO.plus(since)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a span such as `500ms`, `10s`, `5m`, `2h` or `30d`")]
pub struct InvalidSpan(String);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a whole number and one unit: `500ms`, `10s`, `5m`, `2h`, `30d`.
pub fn parse_span(text: &str) -> Result<Duration, InvalidSpan> {
    let invalid = || InvalidSpan(text.chars().take(64).collect());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
    number.checked_mul(*factor).map(Duration::from_millis).ok_or_else(invalid)
}

/// Writes the span in the largest unit that needs no fraction, as [`parse_span`] reads it.
pub fn format_span(span: Duration) -> String {
    let millis = span.as_millis() as u64;
    let (unit, factor) = UNITS
        .iter()
        .rev()
        .find(|(_, factor)| millis >= *factor && millis.is_multiple_of(*factor))
        .unwrap_or(&("s", 1_000));
    format!("{}{unit}", millis / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (text, millis) in [
            ("0s", 0),
            ("250ms", 250),
            ("10s", 10_000),
            ("90s", 90_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
            ("30d", 2_592_000_000),
        ] {
            assert_eq!(parse_span(text), Ok(Duration::from_millis(millis)), "{text}");
            assert_eq!(format_span(Duration::from_millis(millis)), text);
        }
        for text in
            ["", "10", "s", "-1s", "1.5s", "10 s", "10w", "99999999999999999999s", "18446744073709551615d"]
        {
            assert!(parse_span(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times() {
        let time = Timestamp::parse("2026-03-22T09:30:00.5+01:00").unwrap();
        assert_eq!(time.to_string(), "2026-03-22T08:30:00.5Z");
        assert_eq!(Timestamp::parse(&time.to_string()), Ok(time));
        for same in ["2026-03-22t08:30:00.500z", "2026-03-22 08:30:00.5-00:00"] {
            assert_eq!(Timestamp::parse(same), Ok(time), "{same}");
        }
        for bad in [
            "",
            "yesterday",
            "2026-03-22",
            "2026-03-22T08:30Z",
            "20260322T083000Z",
            "2026-03-22T08:30:00",
            "2026-03-22T08:30:00,5Z",
            "2026-03-22T08:30:00+01",
            "2026-03-22T08:30:00Z[UTC]",
            "2026-03-22T08:30:00+01:00[Europe/Berlin]",
            "2026-03-22T08:30:00+01:00:30",
            "-000001-03-22T08:30:00Z",
            "+002026-03-22T08:30:00Z",
            "0000-01-01T00:00:00+01:00",
            "2026-13-22T08:30:00Z",
            "2026-03-22T08:30:00.Z",
        ] {
            assert!(Timestamp::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Timestamp::parse("0000-01-01T00:00:00Z"), Ok(YEAR_ZERO));
        assert_eq!(YEAR_ZERO.to_string(), "0000-01-01T00:00:00Z");
    }

    #[test]
    fn arithmetic_saturates() {
        let time = Timestamp::from_secs(100);
        assert_eq!(time.since(Timestamp::from_secs(130)), Duration::ZERO);
        assert_eq!(time.plus(Duration::MAX), Timestamp::MAX);
    }
}
