//! When a receiver asks to be tried again.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

/// The longest wait that [`retry_after`] reports. Far beyond any sensible policy, yet small enough to be
/// added to a time without overflow; the caller caps it by its own setting.
pub const LONGEST_WAIT: Duration = Duration::from_secs(u32::MAX as u64);

/// How long the answer asks to wait, counted from `now_unix_seconds`.
///
/// Understands seconds (a fraction counts as a whole second) and HTTP dates; a date in the past is no wait.
/// What cannot be understood is ignored; of several headers the longest wait holds. Never more than
/// [`LONGEST_WAIT`].
pub fn retry_after(headers: &HeaderMap, now_unix_seconds: i64) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter();
    let waits = values.filter_map(|value| wait(value.to_str().ok()?.trim(), now_unix_seconds));
    waits.max()
}

fn wait(value: &str, now: i64) -> Option<Duration> {
    if value.len() > VALUE_LIMIT {
        return None;
    }
    if value.starts_with(|first: char| first.is_ascii_digit()) {
        let seconds: f64 = value.parse().ok()?;
        return Some(saturate(seconds.ceil() as u64)); // `as` saturates, also for infinity
    }
    let date = httpdate::parse_http_date(value).ok()?;
    let at = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
    let now = u64::try_from(now).unwrap_or(0);
    Some(saturate(at.saturating_sub(now)))
}

fn saturate(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}

/// Longer than any date or number that means something, in bytes.
const VALUE_LIMIT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT
    const NOW: i64 = 784_111_777;

    fn of(values: &[&[u8]]) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, http::HeaderValue::from_bytes(value).unwrap());
        }
        retry_after(&headers, NOW)
    }

    #[test]
    fn understands_seconds_and_dates_and_ignores_the_rest() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        let table: &[(&str, Option<Duration>)] = &[
            ("0", seconds(0)),
            ("120", seconds(120)),
            (" 7 ", seconds(7)),
            ("007", seconds(7)),
            ("1.5", seconds(2)),
            ("0.001", seconds(1)),
            ("3600.0", seconds(3600)),
            ("4294967295", Some(LONGEST_WAIT)),
            ("4294967296", Some(LONGEST_WAIT)),
            ("1e12", Some(LONGEST_WAIT)),
            ("1e30", Some(LONGEST_WAIT)),
            ("1e400", Some(LONGEST_WAIT)),
            ("99999999999999999999999999", Some(LONGEST_WAIT)),
            ("-1", None),
            ("-0", None),
            ("+5", None),
            ("NaN", None),
            ("inf", None),
            ("infinity", None),
            ("1e", None),
            ("0x10", None),
            ("10s", None),
            ("1 2", None),
            ("120, 240", None),
            ("", None),
            ("soon", None),
            ("Sun, 06 Nov 1994 08:49:37 GMT", seconds(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", seconds(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", seconds(60)),
            ("Sun Nov  6 08:50:37 1994", seconds(60)),
            ("Sun, 06 Nov 1994 08:48:37 GMT", seconds(0)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(LONGEST_WAIT)),
            ("Mon, 06 Nov 1994 08:50:37 GMT", None),
            ("Sun, 31 Feb 1994 08:50:37 GMT", None),
            ("Sun, 06 Nov 1994 25:00:00 GMT", None),
            ("Sun, 06 Nov 1994 08:50:37 CET", None),
        ];
        for (value, expected) in table {
            assert_eq!(of(&[value.as_bytes()]), *expected, "Retry-After: {value}");
        }
    }

    #[test]
    fn odd_headers_are_harmless() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[b"\xff\xfe"]), None);
        assert_eq!(of(&[b"5", b"60"]), Some(Duration::from_secs(60)));
        assert_eq!(of(&[b"nonsense", b"5"]), Some(Duration::from_secs(5)));
        assert_eq!(of(&[&[b'9'; 4096]]), None);
    }

    #[test]
    fn any_clock_is_harmless() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Sun, 06 Nov 1994 08:49:37 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, i64::MIN), Some(Duration::from_secs(NOW as u64)));
        assert_eq!(retry_after(&headers, i64::MAX), Some(Duration::ZERO));
    }
}
