//! `filter`: keep or drop a message on conditions over its payload and event.

use hookwright_plugin::{config, prelude::*, serde_json::value::RawValue};

mod rule;

use rule::Rule;

/// The configuration: at least one of the two. A message goes on where `keep` holds and `drop` does not.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Messages go on where this holds.
    pub keep: Option<Condition>,
    /// Messages are dropped where this holds.
    pub drop: Option<Condition>,
}

/// Either one of `all`, `any` and `not`, or a `path` with at least one test; all tests of one path must hold.
/// Where nothing is at the path, no test holds but `"exists": false` and `not_equals`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Condition {
    /// All of these hold.
    #[schemars(length(min = 1))]
    pub all: Option<Vec<Condition>>,
    /// At least one of these holds.
    #[schemars(length(min = 1))]
    pub any: Option<Vec<Condition>>,
    /// This does not hold.
    pub not: Option<Box<Condition>>,

    /// What the tests look at.
    pub path: Option<Path>,
    /// Something is there, `null` included; or nothing is.
    pub exists: Option<bool>,
    /// It is this value; numbers by value, so `1.0` is `1`.
    #[serde(deserialize_with = "config::present")]
    pub equals: Option<Box<RawValue>>,
    /// It is not this value, or nothing is there.
    #[serde(deserialize_with = "config::present")]
    pub not_equals: Option<Box<RawValue>>,
    /// It is one of these values.
    #[serde(rename = "in")]
    #[schemars(length(min = 1))]
    pub one_of: Option<Vec<Box<RawValue>>>,
    /// It is greater: a number than a number, without rounding; a text than a text, which suits RFC 3339 dates.
    #[serde(deserialize_with = "config::present")]
    pub gt: Option<Box<RawValue>>,
    /// It is greater or equal.
    #[serde(deserialize_with = "config::present")]
    pub gte: Option<Box<RawValue>>,
    /// It is less.
    #[serde(deserialize_with = "config::present")]
    pub lt: Option<Box<RawValue>>,
    /// It is less or equal.
    #[serde(deserialize_with = "config::present")]
    pub lte: Option<Box<RawValue>>,
    /// It is a text that begins so.
    pub prefix: Option<String>,
    /// It is a text that ends so.
    pub suffix: Option<String>,
    /// It is a text with this part, or a list with this value.
    #[serde(deserialize_with = "config::present")]
    pub contains: Option<Box<RawValue>>,
    /// It is a text in which this regular expression matches; `^` and `$` tie it to the ends.
    #[schemars(length(max = 1000))]
    pub regex: Option<String>,
}

hookwright_plugin::plugin! {
    summary: "Keeps or drops messages on conditions over the payload.",
    config: Config,
    transform: transform,
    must_run: true,
    check: check,
    examples: [
        Example::new("Large invoices go on", "document.exported", r#"{"document":{"total_amount":12500.00,"currency":"CNY"}}"#)
            .config(r#"{"keep":{"all":[{"path":"document.total_amount","gte":10000},{"path":"document.currency","in":["CNY","EUR"]}]}}"#),
        Example::new("Small ones do not", "document.exported", r#"{"document":{"total_amount":99.90}}"#)
            .config(r#"{"keep":{"path":"document.total_amount","gte":10000}}"#)
            .drops("Not kept: document.total_amount is 99.90, not greater than or equal to 10000."),
        Example::new("Internal addresses are dropped", "contact.created", r#"{"email":"jean@example.com"}"#)
            .config(r#"{"drop":{"path":"email","suffix":"@example.com"}}"#)
            .drops("Dropped: email ends with \"@example.com\"."),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let (keep, drop) = compile(config)?;
    let payload = message.tree()?;
    if let Some(rule) = keep.filter(|rule| !rule.holds(event, &payload)) {
        return Ok(Verdict::drop(format!("Not kept: {}.", rule.reason(event, &payload))));
    }
    if let Some(rule) = drop.filter(|rule| rule.holds(event, &payload)) {
        return Ok(Verdict::drop(format!("Dropped: {}.", rule.reason(event, &payload))));
    }
    Ok(Verdict::Pass)
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    compile(config).map(drop)
}

fn compile(config: &Config) -> Result<(Option<Rule<'_>>, Option<Rule<'_>>), Vec<ConfigError>> {
    let mut errors = Vec::new();
    if config.keep.is_none() && config.drop.is_none() {
        errors.push(ConfigError::new("", "A filter needs `keep`, `drop` or both."));
    }
    let keep = config.keep.as_ref().and_then(|condition| rule::compile(condition, "/keep", &mut errors));
    let drop = config.drop.as_ref().and_then(|condition| rule::compile(condition, "/drop", &mut errors));
    if errors.is_empty() { Ok((keep, drop)) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::test;

    use super::*;

    const PAYLOAD: &str = r#"{"status":"Export","total":12500.00,"big":12345678901234567890.10,"date":"2026-03-15",
        "tags":["a","b"],"none":null,"paid":true,"nested":{"deep":[{"x":"caf\u00e9"}]},"text":"INV-2026-0042"}"#;

    /// The condition as `keep`: does it hold, and what is said where it does not?
    fn keeps(condition: &str) -> Result<(), String> {
        let config = format!(r#"{{"keep":{condition}}}"#);
        match test::call::<Plugin>("document.exported", PAYLOAD, &config) {
            Ok(Verdict::Pass) => Ok(()),
            Ok(Verdict::Drop(reason)) => Err(reason),
            other => panic!("{condition}: {other:?}"),
        }
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn conditions_that_hold() {
        let table = [
            r#"{"path":"status","equals":"Export"}"#,
            r#"{"path":"status","equals":"\u0045xport"}"#,
            r#"{"path":"status","not_equals":"Draft"}"#,
            r#"{"path":"missing","not_equals":"Draft"}"#,
            r#"{"path":"total","equals":12500}"#,
            r#"{"path":"total","in":[1,12500.0]}"#,
            r#"{"path":"total","gt":12499.99,"lt":12500.01}"#,
            r#"{"path":"total","gte":12500,"lte":1.25e4}"#,
            r#"{"path":"big","gt":12345678901234567890.09}"#,
            r#"{"path":"big","equals":12345678901234567890.1}"#,
            r#"{"path":"date","gte":"2026-03-01","lt":"2026-04-01"}"#,
            r#"{"path":"none","exists":true,"equals":null}"#,
            r#"{"path":"none","equals":null}"#,
            r#"{"path":"status","not_equals":null}"#,
            r#"{"path":"missing","exists":false}"#,
            r#"{"path":"paid","equals":true}"#,
            r#"{"path":"tags","contains":"b"}"#,
            r#"{"path":"tags","equals":["a","b"]}"#,
            r#"{"path":"nested.deep.0.x","suffix":"é","prefix":"ca","contains":"af"}"#,
            r#"{"path":"text","regex":"^INV-[0-9]{4}-\\d+$"}"#,
            r#"{"path":"@type","equals":"document.exported"}"#,
            r#"{"not":{"path":"status","equals":"Draft"}}"#,
            r#"{"any":[{"path":"status","equals":"Draft"},{"path":"paid","equals":true}]}"#,
            r#"{"all":[{"path":"status","exists":true},{"not":{"any":[{"path":"x","exists":true}]}}]}"#,
        ];
        for condition in table {
            assert_eq!(keeps(condition), Ok(()), "{condition}");
        }
    }

    #[test]
    fn conditions_that_do_not_hold_say_which_one() {
        let table = [
            (r#"{"path":"status","equals":"Draft"}"#, r#"status is "Export", not "Draft""#),
            (r#"{"path":"missing","equals":1}"#, "missing is not there"),
            (r#"{"path":"status","exists":false}"#, "status is there"),
            (r#"{"path":"status","not_equals":"Export"}"#, r#"status is "Export""#),
            (r#"{"path":"total","in":[1,2]}"#, "total is 12500.00, none of 1, 2"),
            (
                r#"{"path":"big","lt":12345678901234567890.1}"#,
                "big is 12345678901234567890.10, not less than 12345678901234567890.1",
            ),
            (r#"{"path":"status","gt":5}"#, r#"status is "Export", not greater than 5"#),
            (r#"{"path":"status","gt":"Exports"}"#, r#"status is "Export", not greater than "Exports""#),
            (r#"{"path":"total","prefix":"1"}"#, r#"total is a number, which does not begin with "1""#),
            (r#"{"path":"status","suffix":"x"}"#, r#"status does not end with "x""#),
            (r#"{"path":"tags","contains":"c"}"#, r#"tags does not contain "c""#),
            (r#"{"path":"text","regex":"^\\d"}"#, r#"text does not match ^\d"#),
            (r#"{"not":{"path":"paid","equals":true}}"#, "paid is true"),
            (
                r#"{"any":[{"path":"status","equals":"Draft"},{"path":"x","exists":true}]}"#,
                r#"status is "Export", not "Draft", and x is not there"#,
            ),
            (r#"{"all":[{"path":"paid","equals":true},{"path":"x","exists":true}]}"#, "x is not there"),
        ];
        for (condition, reason) in table {
            assert_eq!(keeps(condition), Err(format!("Not kept: {reason}.")), "{condition}");
        }
    }

    #[test]
    fn drops_where_drop_holds_and_keeps_a_long_reason_short() {
        let config = r#"{"keep":{"path":"a","exists":true},"drop":{"path":"a","regex":"x"}}"#;
        let call = |payload: &str| test::call::<Plugin>("t", payload, config);
        assert_eq!(call(r#"{"a":"abc"}"#), Ok(Verdict::Pass));
        assert_eq!(call(r#"{"a":"axc"}"#), Ok(Verdict::drop("Dropped: a matches x.")));
        assert_eq!(call("{}"), Ok(Verdict::drop("Not kept: a is not there.")));

        let long = format!(r#"{{"a":"{}"}}"#, "y".repeat(100_000));
        let Ok(Verdict::Drop(reason)) =
            test::call::<Plugin>("t", &long, r#"{"keep":{"path":"a","equals":1}}"#)
        else {
            panic!("kept");
        };
        assert!(reason.len() < 200, "{} bytes", reason.len());
    }

    #[test]
    fn a_payload_that_is_not_json_is_a_failure() {
        let failure =
            test::call::<Plugin>("t", "{", r#"{"keep":{"path":"a","exists":true}}"#).expect_err("not JSON");
        assert_eq!(failure.code, Failure::BAD_PAYLOAD);
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            ("{}", ""),
            ("null", ""),
            (r#"{"keep":{}}"#, "/keep"),
            (r#"{"keep":{"path":"a"}}"#, "/keep"),
            (r#"{"keep":{"equals":1}}"#, "/keep/equals"),
            (r#"{"keep":{"path":"a..b","exists":true}}"#, "/keep/path"),
            (r#"{"keep":{"path":"a","exists":true,"all":[{"path":"b","exists":true}]}}"#, "/keep"),
            (r#"{"keep":{"all":[]}}"#, "/keep/all"),
            (r#"{"keep":{"any":[{"path":"a","exists":true},{"not":{"path":"b"}}]}}"#, "/keep/any/1/not"),
            (r#"{"drop":{"path":"a","regex":"("}}"#, "/drop/regex"),
            (r#"{"drop":{"path":"a","gt":[1]}}"#, "/drop/gt"),
            (r#"{"drop":{"path":"a","gt":null}}"#, "/drop/gt"),
            (r#"{"drop":{"path":"a","in":[]}}"#, "/drop/in"),
            (r#"{"drop":{"path":"a","matches":"x"}}"#, "/drop/matches"),
            (r#"{"keep":{"path":"a","prefix":1}}"#, "/keep/prefix"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
        let two = r#"{"keep":{"path":"a","regex":"("},"drop":{"any":[{"path":"b"}]}}"#;
        assert_eq!(test::config_errors::<Plugin>(two).len(), 2);
    }
}
