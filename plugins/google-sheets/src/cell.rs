//! Values as a spreadsheet should take them: numbers that it can hold as numbers, and text as text.

use std::borrow::Cow;

use hookwright_plugin::{
    json::{self, Value},
    text::{Unit, cut},
};

/// Appends the value as a cell, in JSON. What is nested becomes JSON text, `null` stays.
pub(crate) fn write(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Null | Value::Bool(_) => value.write(out),
        Value::Number(digits) if is_exact(digits) => out.push_str(digits),
        Value::Number(digits) => json::escape(&format!("'{digits}"), out),
        Value::String(_) | Value::Array(..) | Value::Object(..) => json::escape(&text(&value.display()), out),
    }
}

/// Text that the spreadsheet takes for neither a formula nor a number, within the limit of a cell.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    match begins_a_formula(text) || is_a_code(text) {
        true => Cow::Owned(format!("'{}", cut(text, MAX_CELL - 1, Unit::Utf16))),
        false => cut(text, MAX_CELL, Unit::Utf16),
    }
}

/// A formula could read the rest of the spreadsheet and send it elsewhere.
fn begins_a_formula(text: &str) -> bool {
    text.trim_start().starts_with(['=', '+', '-', '@', '\''])
}

/// Digits that would lose their leading zeros or their end, such as a postcode or an account.
fn is_a_code(text: &str) -> bool {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    is_number && ((text.starts_with('0') && !text.starts_with("0.") && text.len() > 1) || !is_exact(text))
}

/// A spreadsheet counts with 15 digits.
fn is_exact(digits: &str) -> bool {
    let (mantissa, exponent) = digits.split_once(['e', 'E']).unwrap_or((digits, "0"));
    let significant = mantissa.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    significant <= MAX_DIGITS && exponent.parse::<i32>().is_ok_and(|exponent| exponent.abs() <= MAX_EXPONENT)
}

/// Of a cell, in UTF-16 units.
pub(crate) const MAX_CELL: usize = 50_000;
const MAX_DIGITS: usize = 15;
const MAX_EXPONENT: i32 = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_hold_what_was_meant() {
        let table = [
            ("12500.00", "12500.00"),
            ("-0.5", "-0.5"),
            ("1e5", "1e5"),
            ("999999999999999", "999999999999999"),
            ("1234567890123456", "\"'1234567890123456\""),
            ("12345678901234567890.10", "\"'12345678901234567890.10\""),
            ("1e400", "\"'1e400\""),
            ("0.000000000000000000012", "0.000000000000000000012"),
            ("null", "null"),
            ("true", "true"),
            (r#""Acme""#, r#""Acme""#),
            (r#""=IMPORTXML(\"https://e.test\")""#, r#""'=IMPORTXML(\"https://e.test\")""#),
            (r#"" =1+1""#, r#""' =1+1""#),
            (r#""+86 21 5555 1234""#, r#""'+86 21 5555 1234""#),
            (r#""-1""#, r#""'-1""#),
            (r#""@all""#, r#""'@all""#),
            (r#""'quoted'""#, r#""''quoted'""#),
            (r#""00420""#, r#""'00420""#),
            (r#""0.5""#, r#""0.5""#),
            (r#""0""#, r#""0""#),
            (r#""12345678901234567890""#, r#""'12345678901234567890""#),
            (r#""2026-03-15""#, r#""2026-03-15""#),
            (r#""""#, r#""""#),
            (r#"[1, "a"]"#, r#""[1,\"a\"]""#),
            (r#"{"a": 1.0}"#, r#""{\"a\":1.0}""#),
        ];
        for (value, expected) in table {
            let mut out = String::new();
            write(&json::parse(value.as_bytes()).expect(value), &mut out);
            assert_eq!(out, expected, "{value}");
        }
    }
}
