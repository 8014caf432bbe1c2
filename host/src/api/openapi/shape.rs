//! The small schemas that descriptions are made of.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// A schema and its name.
pub type Named = (&'static str, Value);

const TENANT: &str = "^[A-Za-z0-9_.:-]{1,64}$";
const CHANNEL: &str = "^[A-Za-z0-9_.:-]{1,128}$";
/// Parts of letters, digits, `_` and `-`, joined by dots.
pub const EVENT_TYPE: &str = r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$";

const UNITS: [(&str, u128); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object with these members and no others.
pub fn object(required: &[(&str, Value)], optional: &[(&str, Value)]) -> Value {
    let members = required.iter().chain(optional);
    let properties: Map<String, Value> =
        members.map(|(name, schema)| ((*name).to_owned(), schema.clone())).collect();
    let mut object = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        object["required"] = required.iter().map(|(name, _)| *name).collect();
    }
    object
}

/// A page of a list.
pub fn page(item: &str) -> Value {
    object(&[("items", list(reference(item))), ("next", or_null(text()))], &[])
}

pub fn list(items: Value) -> Value {
    json!({"type": "array", "items": items})
}

pub fn list_of(least: usize, most: usize, items: Value) -> Value {
    json!({"type": "array", "minItems": least, "maxItems": most, "items": items})
}

/// The schema, or `null`.
pub fn or_null(mut schema: Value) -> Value {
    match schema.get("type") {
        Some(Value::String(kind)) => {
            schema["type"] = json!([kind, "null"]);
            if let Some(Value::Array(words)) = schema.get_mut("enum") {
                words.push(Value::Null);
            }
            schema
        }
        _ => json!({"anyOf": [schema, {"type": "null"}]}),
    }
}

pub fn about(text: &str, mut schema: Value) -> Value {
    schema["description"] = text.into();
    schema
}

pub fn text() -> Value {
    json!({"type": "string"})
}

pub fn text_of(least: usize, most: usize) -> Value {
    json!({"type": "string", "minLength": least, "maxLength": most})
}

pub fn matching(pattern: &str) -> Value {
    json!({"type": "string", "pattern": pattern})
}

pub fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Value {
    json!({"type": "string", "enum": words.into_iter().collect::<Vec<_>>()})
}

pub fn truth() -> Value {
    json!({"type": "boolean"})
}

pub fn count() -> Value {
    json!({"type": "integer", "minimum": 0})
}

pub fn number(least: u32, most: u32) -> Value {
    json!({"type": "integer", "minimum": least, "maximum": most})
}

/// A part of a whole: 0 to 1.
pub fn share() -> Value {
    json!({"type": "number", "minimum": 0, "maximum": 1})
}

pub fn milliseconds() -> Value {
    json!({"type": "number", "minimum": 0})
}

/// An id under its prefix. Of the last character only the first three bits count.
pub fn id(prefix: &str) -> Value {
    matching(&format!("^{prefix}[0-9a-v]{{25}}[048cgkos]$"))
}

pub fn tenant() -> Value {
    matching(TENANT)
}

pub fn channel() -> Value {
    matching(CHANNEL)
}

pub fn version() -> Value {
    matching(TENANT)
}

pub fn event_type() -> Value {
    json!({"type": "string", "maxLength": 128, "pattern": EVENT_TYPE})
}

/// A time as answers tell it: in UTC.
pub fn time() -> Value {
    json!({"type": "string", "format": "date-time", "examples": ["2026-03-22T08:30:00Z"]})
}

/// A time as requests may say it, with the days that each month has.
pub fn time_given() -> Value {
    time_within("19[7-9]|2[0-9]{2}", "2[0-9]", "2026-03-22T09:30:00+01:00")
}

/// A time as requests may say it, which is not over for long.
pub fn time_ahead() -> Value {
    time_within("2[1-9][0-9]", "2[1-9]", "2126-03-22T09:30:00+01:00")
}

/// A time in one of these decades; with 29 February in leap years of these centuries.
fn time_within(decades: &str, centuries: &str, example: &str) -> Value {
    let days = "(0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8])";
    let leap_day = format!("{centuries}([02468][48]|[2468]0|[13579][26])-02-29");
    let time =
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])";
    let pattern = format!("^(({decades})[0-9]-({days})|{leap_day}){time}$");
    json!({"type": "string", "pattern": pattern, "examples": [example]})
}

/// A span of time as answers tell it.
pub fn span_told() -> Value {
    matching("^[0-9]+(ms|s|m|h|d)$")
}

/// A span of time as requests may say it: a whole number and a unit, within bounds.
pub fn span(least: Duration, most: Duration) -> Value {
    let (least, most) = (least.as_millis(), most.as_millis());
    let forms = UNITS.iter().filter_map(|(unit, factor)| {
        let (least, most) = (least.div_ceil(*factor), most / factor);
        (least <= most).then(|| format!("({}){unit}", digits(least, most)))
    });
    let pattern = format!("^({})$", forms.collect::<Vec<_>>().join("|"));
    json!({"type": "string", "pattern": pattern, "examples": [crate::time::format_span(Duration::from_millis(
        u64::try_from(most).unwrap_or(u64::MAX)))]})
}

/// A pattern for the whole numbers from `least` to `most`, without leading zeros.
fn digits(least: u128, most: u128) -> String {
    let mut forms = Vec::new();
    let mut start = least;
    while start <= most {
        // The longest run of numbers from here that differ in their last places alone, and hold all of those.
        let mut step = 1;
        while start.is_multiple_of(step * 10) && start + step * 10 - 1 <= most && start >= step * 10 {
            step *= 10;
        }
        let leading = start / step;
        let last = ((most + 1 - start) / step + leading - 1).min(leading - leading % 10 + 9);
        let rest = "[0-9]".repeat(step.to_string().len() - 1);
        let head = if leading >= 10 { (leading / 10).to_string() } else { String::new() };
        let (low, high) = (leading % 10, last % 10);
        forms.push(match low == high {
            true => format!("{head}{low}{rest}"),
            false => format!("{head}[{low}-{high}]{rest}"),
        });
        start = (last + 1) * step;
    }
    forms.join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(schema: &Value, text: &str) -> bool {
        jsonschema::draft202012::is_valid(schema, &text.into())
    }

    #[test]
    fn spans_are_those_that_are_taken() {
        for (least, most) in [(100, 60_000), (1, 86_400_000), (100, 2_592_000_000), (0, 604_800_000), (7, 7)]
        {
            let schema = span(Duration::from_millis(least), Duration::from_millis(most));
            for (unit, factor) in UNITS {
                let bounds = [least, most].map(|bound| u128::from(bound) / factor);
                let near = bounds.iter().flat_map(|bound| bound.saturating_sub(2)..bound + 12);
                for number in near.chain([0, 1, 9, 10, 11, 99, 100, 101, 999, 1_000, 59_999, 60_001]) {
                    let expected = (u128::from(least)..=u128::from(most)).contains(&(number * factor));
                    assert_eq!(
                        fits(&schema, &format!("{number}{unit}")),
                        expected,
                        "{number}{unit} {schema}"
                    );
                }
            }
        }
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        use crate::time::Timestamp;
        let schema = time_given();
        for date in
            ["2026-02-28", "2028-02-29", "2027-02-29", "2026-04-31", "2026-13-01", "2026-12-31", "2026-00-10"]
        {
            for rest in ["T08:30:00Z", "T23:59:59.123456+23:59", "T24:00:00Z", "T08:30Z", ""] {
                let text = format!("{date}{rest}");
                assert_eq!(fits(&schema, &text), Timestamp::parse(&text).is_ok(), "{text}");
            }
        }
    }

    #[test]
    fn times_ahead_are_no_times_of_this_century() {
        let schema = time_ahead();
        for (date, ahead) in [
            ("2099-12-31", false),
            ("2004-02-29", false),
            ("2096-02-29", false),
            ("2100-01-01", true),
            ("2104-02-29", true),
            ("2101-02-29", false),
        ] {
            let text = format!("{date}T08:30:00+01:00");
            assert_eq!(fits(&schema, &text), ahead, "{text}");
            assert!(!ahead || fits(&time_given(), &text), "{text}");
        }
    }
}
