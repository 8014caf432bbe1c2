//! Numbers as they were written, and numbers as people want to read them: digits, never rounded by the way.

use std::{collections::BTreeMap, sync::Mutex};

use hookwright_plugin::json::compare_numbers;

/// How numbers of the payload are written that the engine has as floats. The engine cannot carry digits along, so they
/// are found again by value: `{{ payload.total }}` writes what stood there last with that value.
#[derive(Debug, Default)]
pub(crate) struct Numbers(Mutex<BTreeMap<u64, Option<String>>>);

impl Numbers {
    /// Two numbers that differ and are one float have no digits: it is not known which one is meant.
    pub(crate) fn note(&self, value: f64, digits: &str) {
        let Ok(mut known) = self.0.lock() else { return };
        let known = known.entry(value.to_bits()).or_insert_with(|| Some(digits.to_owned()));
        if known.as_deref().is_some_and(|known| compare_numbers(known, digits).is_ne()) {
            *known = None;
        } else if known.is_some() {
            *known = Some(digits.to_owned());
        }
    }

    /// The number as it goes out; nothing where it is none, such as the result of a division by 0.
    pub(crate) fn written(&self, value: f64) -> Option<String> {
        let known = self.0.lock().ok().and_then(|known| known.get(&value.to_bits()).cloned().flatten());
        known.or_else(|| value.is_finite().then(|| plain(value)))
    }
}

/// The fewest digits that mean this number; `2` rather than `2.0`, since a calculation with whole numbers has whole
/// results.
fn plain(value: f64) -> String {
    format!("{value}")
}

/// Rounds to `decimals` places, half away from zero, and puts `thousands` between groups of three. Works on the digits,
/// so that nothing is lost. None for what is no number or has an exponent beyond 400.
pub(crate) fn formatted(
    digits: &str,
    decimals: Option<usize>,
    thousands: &str,
    point: &str,
) -> Option<String> {
    let (negative, digits) = digits.strip_prefix('-').map_or((false, digits), |rest| (true, rest));
    let (whole, fraction) = expanded(digits)?;
    let (whole, fraction) = match decimals {
        Some(places) => rounded(&whole, &fraction, places),
        None => (whole, fraction),
    };
    let zero = whole.iter().chain(&fraction).all(|digit| *digit == b'0');
    let mut out = String::from(if negative && !zero { "-" } else { "" });
    for (place, digit) in whole.iter().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            out.push_str(thousands);
        }
        out.push(char::from(*digit));
    }
    if !fraction.is_empty() {
        out.push_str(point);
        out.extend(fraction.iter().map(|digit| char::from(*digit)));
    }
    Some(out)
}

/// The largest exponent that is written out.
const MAX_EXPONENT: usize = 400;

/// The digits before and after the point, without an exponent.
fn expanded(text: &str) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let exponent: i64 = exponent.parse().ok()?;
    let shift = usize::try_from(exponent.unsigned_abs()).ok().filter(|shift| *shift <= MAX_EXPONENT)?;
    let (mut whole, mut fraction) = (whole.as_bytes().to_vec(), fraction.as_bytes().to_vec());
    for _ in 0..shift {
        if exponent > 0 {
            whole.push(if fraction.is_empty() { b'0' } else { fraction.remove(0) });
        } else {
            fraction.insert(0, whole.pop().unwrap_or(b'0'));
        }
    }
    let zeros = whole.iter().take_while(|digit| **digit == b'0').count().min(whole.len().saturating_sub(1));
    whole.drain(..zeros);
    if whole.is_empty() {
        whole.push(b'0');
    }
    Some((whole, fraction))
}

fn rounded(whole: &[u8], fraction: &[u8], places: usize) -> (Vec<u8>, Vec<u8>) {
    let mut digits = whole.to_vec();
    digits.extend(fraction.iter().copied().chain(std::iter::repeat(b'0')).take(places));
    if fraction.get(places).is_some_and(|next| *next >= b'5') && increment(&mut digits) {
        digits.insert(0, b'1');
    }
    let fraction = digits.split_off(digits.len() - places);
    (digits, fraction)
}

/// Adds one to the last place. True where a 1 is carried out of the first.
fn increment(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        match *digit {
            b'9' => *digit = b'0',
            _ => {
                *digit += 1;
                return false;
            }
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let table = [
            ("12500.00", Some(2), ",", ".", "12,500.00"),
            ("12345678901234567890.10", Some(1), ".", ",", "12.345.678.901.234.567.890,1"),
            ("0.005", Some(2), "", ".", "0.01"),
            ("-0.005", Some(2), "", ".", "-0.01"),
            ("-0.004", Some(2), "", ".", "0.00"),
            ("999.995", Some(2), ",", ".", "1,000.00"),
            ("1.5e3", None, " ", ".", "1 500"),
            ("15E-3", None, "", ".", "0.015"),
            ("7", Some(3), "", ".", "7.000"),
            ("2.675", Some(2), "", ".", "2.68"),
            ("0", None, ",", ".", "0"),
            ("1e-400", Some(2), "", ".", "0.00"),
            ("100", Some(0), ",", ".", "100"),
            ("0.5", Some(0), ",", ".", "1"),
            ("123456", None, "\u{202f}", ",", "123\u{202f}456"),
        ];
        for (digits, decimals, thousands, point, expected) in table {
            assert_eq!(formatted(digits, decimals, thousands, point).as_deref(), Some(expected), "{digits}");
        }
        for digits in ["", "x", "1e401", "1e99999999999999999999", "1.2.3", "--1", "NaN"] {
            assert_eq!(formatted(digits, Some(2), ",", "."), None, "{digits}");
        }
    }
}
