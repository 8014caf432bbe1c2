//! Numbers of any length, compared without rounding.

use std::cmp::Ordering;

/// Compares two JSON numbers by value, digit for digit; there is no precision to lose.
///
/// Exponents beyond those of an `i64` count as its ends.
///
/// ```
/// use hookwright_plugin::json::compare_numbers;
///
/// assert!(compare_numbers("12345678901234567890.10", "12345678901234567890.1").is_eq());
/// assert!(compare_numbers("12345678901234567890", "12345678901234567891").is_lt());
/// assert!(compare_numbers("1e3", "999.99").is_gt());
/// ```
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Decimal::of(a), Decimal::of(b));
    match (a.sign(), b.sign()) {
        (-1, -1) => b.compare_magnitude(&a),
        (1, 1) => a.compare_magnitude(&b),
        (left, right) => left.cmp(&right),
    }
}

/// `0.d1d2d3... * 10^magnitude`, where d1 is not 0.
struct Decimal<'a> {
    negative: bool,
    /// From the first digit that is not 0; may contain the point. Empty for zero.
    digits: &'a str,
    magnitude: i64,
}

impl<'a> Decimal<'a> {
    fn of(text: &'a str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let first = mantissa.find(|c: char| matches!(c, '1'..='9')).unwrap_or(mantissa.len());
        let point = mantissa.find('.').unwrap_or(mantissa.len());
        // Digits before the point count up; zeros between the point and the first digit count down.
        let place = if first < point { (point - first) as i64 } else { -((first - point) as i64) + 1 };
        Self { negative, digits: &mantissa[first..], magnitude: exponent_of(exponent).saturating_add(place) }
    }

    fn sign(&self) -> i8 {
        match (self.digits.is_empty(), self.negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        }
    }

    fn compare_magnitude(&self, other: &Self) -> Ordering {
        self.magnitude.cmp(&other.magnitude).then_with(|| compare_digits(self.digits, other.digits))
    }
}

fn compare_digits(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (digits(a), digits(b));
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match a.unwrap_or(b'0').cmp(&b.unwrap_or(b'0')) {
                Ordering::Equal => {}
                order => return order,
            },
        }
    }
}

fn digits(text: &str) -> impl Iterator<Item = u8> {
    text.bytes().filter(u8::is_ascii_digit)
}

fn exponent_of(text: &str) -> i64 {
    let end = if text.starts_with('-') { i64::MIN / 2 } else { i64::MAX / 2 };
    text.strip_prefix('+').unwrap_or(text).parse().unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compares_by_value() {
        let ascending = [
            "-1e400",
            "-12345678901234567891",
            "-12345678901234567890.1",
            "-10",
            "-9.99",
            "-1e-9",
            "0",
            "1e-400",
            "0.0009",
            "0.001",
            "0.01",
            "0.1",
            "0.10001",
            "1",
            "9",
            "10",
            "10.5",
            "1e2",
            "12345678901234567890.10",
            "12345678901234567890.11",
            "1e400",
            "1e99999999999999999999",
        ];
        for (i, a) in ascending.iter().enumerate() {
            for (j, b) in ascending.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} and {b}");
            }
        }
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        let groups: [&[&str]; 3] = [
            &["0", "-0", "0.0", "0e5", "-0.00E-3"],
            &["1", "1.0", "10e-1", "0.01e2"],
            &["-250", "-2.5e2", "-250.000"],
        ];
        for group in groups {
            for (a, b) in group.iter().flat_map(|a| group.iter().map(move |b| (a, b))) {
                assert!(compare(a, b).is_eq(), "{a} and {b}");
            }
        }
    }
}
