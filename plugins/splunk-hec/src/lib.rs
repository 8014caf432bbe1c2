//! `splunk-hec`: events for Splunk's HTTP Event Collector, one for an event or for each element of a list.

use std::collections::BTreeMap;

use hookwright_plugin::{
    config::{Check, join},
    json::Value,
    prelude::*,
    text::{Unit, cut},
};

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where a list is, such as `line_items`: each of its elements becomes an event. Without it, the payload is one.
    pub each: Option<Path>,
    /// The event as text with places in it. Without it, the payload or the element as it stands.
    pub event: Option<Template>,
    /// When it happened: a time in the form of RFC 3339, or seconds since 1970 as a number.
    pub time: Path,
    /// Splunk's `host`.
    pub host: Template,
    /// Splunk's `source`.
    pub source: Template,
    /// Splunk's `sourcetype`.
    pub sourcetype: Template,
    /// The index. Without it, the token's own.
    pub index: Option<Template>,
    /// Fields that are indexed beside the event, by their names. By the `webhook_id` of the defaults an event that
    /// arrived twice is found.
    #[schemars(extend("maxProperties" = 100))]
    pub fields: BTreeMap<String, Template>,
    /// The most bytes of a request.
    #[schemars(range(min = 1000, max = 4_000_000))]
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            each: None,
            event: None,
            time: Path::parse("@timestamp").expect("the default time is a path"),
            host: Template::known("{@tenant}"),
            source: Template::known("{@type}"),
            sourcetype: Template::known("_json"),
            index: None,
            fields: BTreeMap::from([("webhook_id".to_owned(), Template::known("{@webhook_id}"))]),
            max_bytes: 1_000_000,
        }
    }
}

hookwright_plugin::plugin! {
    summary: "Makes events for Splunk's HTTP Event Collector, and reads its code.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "An entry of the audit log",
            "audit.log",
            r#"{"event":"audit.log","timestamp":"2026-03-22T08:30:00Z","audit_id":1024,"user":"jean","logged_at":"2026-03-22T08:29:59.250Z"}"#,
        )
        .config(r#"{"time":"logged_at","host":"recordengine","sourcetype":"recordengine:audit","index":"audit","fields":{"user":"{user}"}}"#)
        .becomes(
            r#"{"time":1774168199.250,"host":"recordengine","source":"audit.log","sourcetype":"recordengine:audit","index":"audit","event":{"event":"audit.log","timestamp":"2026-03-22T08:30:00Z","audit_id":1024,"user":"jean","logged_at":"2026-03-22T08:29:59.250Z"},"fields":{"user":"jean"}}"#,
        ),
        Example::new("Each line an event", "document.exported", r#"{"line_items":[{"amount":10000.00},{"amount":2.50}]}"#)
            .config(r#"{"each":"line_items"}"#)
            .becomes(concat!(
                r#"{"time":1774168200.000,"host":"default","source":"document.exported","sourcetype":"_json","event":{"amount":10000.00},"fields":{"webhook_id":"evt_example"}}"#,
                "\n",
                r#"{"time":1774168200.000,"host":"default","source":"document.exported","sourcetype":"_json","event":{"amount":2.50},"fields":{"webhook_id":"evt_example"}}"#,
            )),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let Some(path) = &config.each else {
        return send(event, message, config, &payload, std::slice::from_ref(&payload));
    };
    let found = path.find(event, &payload).filter(|list| !list.is_null());
    match found.as_deref() {
        None => Ok(Verdict::drop(format!("There is nothing to log: `{path}` is not there."))),
        Some(Value::Array(elements, _)) if elements.is_empty() => {
            Ok(Verdict::drop(format!("There is nothing to log: `{path}` is empty.")))
        }
        Some(Value::Array(elements, _)) => send(event, message, config, &payload, elements),
        Some(other) => Err(Failure::new(
            Failure::BAD_PAYLOAD,
            format!("`{path}` is {}, where a list is needed.", other.kind()),
        )),
    }
}

/// Splunk says by a code what it took. What is wrong with the token or the index can be mended while it is tried
/// again; what is wrong with the event cannot.
fn judge(answer: &Answer, _: &Config) -> Judgement {
    let tree = answer.json();
    let code = tree.as_ref().and_then(|tree| tree.get("code")?.as_i64());
    match code {
        Some(0) => Judgement::Delivered,
        Some(BUSY | INTERNAL | UNHEALTHY..=SHUTTING_DOWN | AT_CAPACITY) => Judgement::retry(),
        Some(NO_DATA | INVALID_DATA | EVENT_REQUIRED | EVENT_BLANK | BAD_FIELDS) => {
            let said =
                tree.as_ref().and_then(|tree| tree.get("text")).map(|text| text.display().into_owned());
            let said = cut(said.as_deref().unwrap_or_default(), MAX_SAID, Unit::Chars).into_owned();
            Judgement::fail(format!("Splunk refuses the event: {said} (code {})", code.unwrap_or_default()))
        }
        _ => Judgement::ByStatus,
    }
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    if let Some(path) = &config.each {
        check.demand(
            path.names().is_some(),
            "/each",
            "The list lies in the payload, such as at `line_items`.",
        );
    }
    check.demand(config.fields.len() <= MAX_FIELDS, "/fields", "There are at most 100 fields.");
    for name in config.fields.keys() {
        check.length(join("/fields", name), "The name of a field", name, 1..=200);
    }
    let bounds = (1_000..=4_000_000).contains(&config.max_bytes);
    check.demand(bounds, "/max_bytes", "A request has 1,000 to 4,000,000 bytes.");
    check.finish()
}

fn send(
    event: &Event,
    message: &Message,
    config: &Config,
    payload: &Value<'_>,
    items: &[Value<'_>],
) -> Result<Verdict> {
    let (before, after) = frame(event, config, payload)?;
    let text = config.event.as_ref().map(|template| template.render(event, payload));
    let mut out = String::with_capacity(message.body.len() + items.len() * (before.len() + after.len() + 1));
    for item in items {
        if !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&before);
        match &text {
            Some(text) if is_nothing(text) => return Ok(nothing()),
            Some(text) => json::escape(text, &mut out),
            None if is_nothing(&item.display()) => return Ok(nothing()),
            None => out.push_str(&json::compact(&item.to_json())),
        }
        out.push_str(&after);
        if out.len() > config.max_bytes {
            return Ok(too_large(config));
        }
    }
    Ok(Verdict::body(message, hookwright_plugin::JSON, out))
}

/// What stands before and after the event, the same for all of a request.
fn frame(event: &Event, config: &Config, payload: &Value<'_>) -> Result<(String, String)> {
    let mut before = format!("{{\"time\":{}", time(&config.time, event, payload)?);
    let names = [
        ("host", Some(&config.host)),
        ("source", Some(&config.source)),
        ("sourcetype", Some(&config.sourcetype)),
    ];
    for (name, template) in names.into_iter().chain([("index", config.index.as_ref())]) {
        let text = template.map(|template| template.render(event, payload)).unwrap_or_default();
        if !is_nothing(&text) {
            before.push_str(&format!(",\"{name}\":"));
            json::escape(&cut(text.trim(), MAX_NAME, Unit::Utf16), &mut before);
        }
    }
    before.push_str(",\"event\":");
    Ok((before, fields(event, config, payload)))
}

fn fields(event: &Event, config: &Config, payload: &Value<'_>) -> String {
    let mut out = String::new();
    for (name, template) in &config.fields {
        let text = template.render(event, payload);
        if is_nothing(&text) {
            continue;
        }
        out.push_str(if out.is_empty() { ",\"fields\":{" } else { "," });
        json::escape(name, &mut out);
        out.push(':');
        json::escape(&cut(&text, MAX_NAME, Unit::Utf16), &mut out);
    }
    out.push_str(if out.is_empty() { "}" } else { "}}" });
    out
}

/// In seconds since 1970, to the millisecond.
fn time(path: &Path, event: &Event, payload: &Value<'_>) -> Result<String> {
    let value = path.require(event, payload)?;
    if let Value::Number(digits) = *value {
        return Ok(digits.to_owned());
    }
    let time = Timestamp::parse(&path.require_text(event, payload)?)
        .map_err(|error| Failure::new("bad-time", format!("At `{path}`: {error}")))?;
    let millis = time.unix_millis();
    let sign = if millis < 0 { "-" } else { "" };
    let millis = millis.unsigned_abs();
    Ok(format!("{sign}{}.{:03}", millis / 1_000, millis % 1_000))
}

fn nothing() -> Verdict {
    Verdict::reject("There is nothing to log, and Splunk refuses an event that is blank.")
}

fn too_large(config: &Config) -> Verdict {
    Verdict::reject(format!(
        "It comes to more than the {} bytes of a request (`max_bytes`).",
        config.max_bytes
    ))
}

fn is_nothing(text: &str) -> bool {
    text.trim().is_empty()
}

/// Splunk's codes.
const NO_DATA: i64 = 5;
const INVALID_DATA: i64 = 6;
const INTERNAL: i64 = 8;
const BUSY: i64 = 9;
const EVENT_REQUIRED: i64 = 12;
const EVENT_BLANK: i64 = 13;
const BAD_FIELDS: i64 = 15;
const UNHEALTHY: i64 = 18;
const SHUTTING_DOWN: i64 = 23;
const AT_CAPACITY: i64 = 26;

/// Of host, source, sourcetype, index and the values of indexed fields.
const MAX_NAME: usize = 1_024;
const MAX_FIELDS: usize = 100;
const MAX_SAID: usize = 200;

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test, text::Dialect};

    use super::*;

    fn events(payload: &str, config: &str) -> String {
        test::body::<Plugin>("audit.log", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn a_request_keeps_its_bound() {
        for max_bytes in [1_000, 100_000, 1_000_000] {
            let config = format!(r#"{{"max_bytes":{max_bytes}}}"#);
            let frame = events(&test::object("t", ""), &config).len();
            for script in ["a", "漢", "😀", "e\u{301}"] {
                for (goal, sent) in [(max_bytes - 1, true), (max_bytes, true), (max_bytes + 1, false)] {
                    let room = goal - frame;
                    let text =
                        format!("{}{}", "x".repeat(room % script.len()), script.repeat(room / script.len()));
                    match test::call::<Plugin>("audit.log", &test::object("t", &text), &config) {
                        Ok(Verdict::Replace(message)) => assert_eq!((message.body.len(), sent), (goal, true)),
                        Ok(Verdict::Reject(reason)) => {
                            assert!(!sent && reason.contains("max_bytes"), "{reason}")
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    #[test]
    fn names_are_cut_at_their_bound() {
        let units = Dialect::plain(Unit::Utf16);
        let config = r#"{"host":"{t}","source":"{t}","sourcetype":"{t}","index":"{t}","fields":{"f":"{t}"}}"#;
        for text in test::around(1_024, units) {
            let body = events(&test::object("t", &text), config);
            for pointer in ["/host", "/source", "/sourcetype", "/index", "/fields/f"] {
                test::assert_cut(&test::text_at(&body, pointer), &text, 1_024, units);
            }
        }
    }

    #[test]
    fn events_are_concatenated() {
        let table = [
            (
                r#"{"a": [1, 2.50]}"#,
                "{}",
                r#""sourcetype":"_json","event":{"a":[1,2.50]},"fields":{"webhook_id":"evt_example"}}"#,
            ),
            (r#"{"a":1}"#, r#"{"event":"a is {a}","fields":{}}"#, r#""event":"a is 1"}"#),
            (
                r#"{"a":1}"#,
                r#"{"fields":{"x":"{none}"},"sourcetype":" "}"#,
                r#""source":"audit.log","event":{"a":1}}"#,
            ),
            (r#""text""#, r#"{"fields":{}}"#, r#""event":"text"}"#),
            (r#"{"l":7}"#, r#"{"each":"l"}"#, "`l` is a number, where a list is needed. (bad-payload)"),
        ];
        for (payload, config, end) in table {
            let body = events(payload, config);
            assert!(body.ends_with(end), "{payload}: {body}");
        }
        let body = events(r#"{"l":[{"n":1},"two",[3]]}"#, r#"{"each":"l"}"#);
        let parts: Vec<serde_json::Value> = serde_json::Deserializer::from_str(&body)
            .into_iter()
            .collect::<Result<_, _>>()
            .expect("JSON after JSON");
        let events: Vec<String> = parts.iter().map(|part| part["event"].to_string()).collect();
        assert_eq!(events, [r#"{"n":1}"#, r#""two""#, "[3]"]);
    }

    #[test]
    fn what_splunk_would_refuse_is_not_sent() {
        for (payload, config) in [
            ("null", "{}"),
            (r#"" ""#, "{}"),
            ("{}", r#"{"event":"{none}"}"#),
            (r#"{"l":[1,""]}"#, r#"{"each":"l"}"#),
        ] {
            let verdict = test::call::<Plugin>("a.b", payload, config);
            assert!(matches!(verdict, Ok(Verdict::Reject(_))), "{payload}: {verdict:?}");
        }
        for payload in ["{}", r#"{"l":[]}"#, r#"{"l":null}"#] {
            let verdict = test::call::<Plugin>("a.b", payload, r#"{"each":"l"}"#);
            assert!(matches!(verdict, Ok(Verdict::Drop(_))), "{payload}: {verdict:?}");
        }
    }

    #[test]
    fn times_are_seconds() {
        let table = [
            (r#"{"t":"2026-03-22T09:30:00+01:00"}"#, r#"{"time":1774168200.000,"#),
            (r#"{"t":"2026-03-22T08:30:00.1239Z"}"#, r#"{"time":1774168200.123,"#),
            (r#"{"t":"1969-12-31T23:59:58.5Z"}"#, r#"{"time":-1.500,"#),
            (r#"{"t":1774168200.5}"#, r#"{"time":1774168200.5,"#),
            (r#"{"t":"today"}"#, "At `t`: \"today\" is not a time"),
            ("{}", "`t` is not there, and is needed here. (missing)"),
        ];
        for (payload, beginning) in table {
            let body = events(payload, r#"{"time":"t"}"#);
            assert!(body.starts_with(beginning), "{payload}: {body}");
        }
    }

    #[test]
    fn answers_are_judged() {
        let table = [
            (200, r#"{"text":"Success","code":0}"#, Judgement::Delivered),
            (503, r#"{"text":"Server is busy","code":9}"#, Judgement::Retry(None)),
            (500, r#"{"text":"Internal server error","code":8}"#, Judgement::Retry(None)),
            (503, r#"{"text":"HEC is unhealthy, queues are full","code":18}"#, Judgement::Retry(None)),
            (503, r#"{"text":"Server is shutting down","code":23}"#, Judgement::Retry(None)),
            (429, r#"{"text":"Queue is at capacity","code":26}"#, Judgement::Retry(None)),
            (
                400,
                r#"{"text":"Invalid data format","code":6,"invalid-event-number":0}"#,
                Judgement::fail("Splunk refuses the event: Invalid data format (code 6)"),
            ),
            (
                400,
                r#"{"text":"Event field is required","code":12}"#,
                Judgement::fail("Splunk refuses the event: Event field is required (code 12)"),
            ),
            (400, r#"{"text":"Incorrect index","code":7}"#, Judgement::ByStatus),
            (403, r#"{"text":"Invalid token","code":4}"#, Judgement::ByStatus),
            (200, "<html>", Judgement::ByStatus),
            (413, "", Judgement::ByStatus),
            (0, "timeout", Judgement::ByStatus),
        ];
        for (status, body, judgement) in table {
            assert_eq!(test::judge::<Plugin>(status, body, "{}"), judgement, "{status} {body}");
        }
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"each":"@type"}"#, "/each"),
            (r#"{"time":""}"#, "/time"),
            (r#"{"host":"{"}"#, "/host"),
            (r#"{"fields":{"":"x"}}"#, "/fields/"),
            (r#"{"fields":{"a":"{"}}"#, "/fields/a"),
            (r#"{"max_bytes":999}"#, "/max_bytes"),
            (r#"{"max_bytes":4000001}"#, "/max_bytes"),
            (r#"{"token":"x"}"#, "/token"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
    }
}
