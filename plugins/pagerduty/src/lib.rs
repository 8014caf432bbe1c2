//! `pagerduty`: an event for PagerDuty's Events API v2, which opens, acknowledges or resolves an incident.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use hookwright_plugin::{
    card::Link,
    config::{Check, join},
    json::Value,
    prelude::*,
    text::{Dialect, Unit, cut},
};
use sha2::{Digest, Sha256};

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The integration key of a service or of an event orchestration.
    #[schemars(length(min = 1, max = 255), extend("writeOnly" = true))]
    pub routing_key: String,
    /// The incident's one line. Where it comes to nothing, the event type stands there.
    #[serde(default = "of_type")]
    pub summary: Template,
    /// What is affected. Where it comes to nothing, the tenant stands there.
    #[serde(default = "of_tenant")]
    pub source: Template,
    /// How bad it is.
    #[serde(default)]
    pub severity: Severity,
    /// What belongs to one incident has one key, such as `invoice-{invoice.id}`. Where it comes to nothing, each
    /// event is an incident of its own.
    #[serde(default = "of_webhook_id")]
    pub dedup_key: Template,
    /// Event types that acknowledge the incident of their key: `case.assigned`, `case.*`.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub acknowledge: Vec<String>,
    /// Event types that resolve the incident of their key: `invoice.paid`, `case.*`.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub resolve: Vec<String>,
    /// The part of the source that is broken. Without it, none.
    #[serde(default)]
    pub component: Option<Template>,
    /// What the source belongs to. Without it, none.
    #[serde(default)]
    pub group: Option<Template>,
    /// What kind of event it is.
    #[serde(default = "of_type")]
    pub class: Template,
    /// A link beside the incident.
    #[serde(default)]
    pub link: Option<Link>,
    /// False leaves the payload out of the incident's details.
    #[serde(default = "yes")]
    pub details: bool,
}

/// How bad an event is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Severity {
    /// Where the payload says it, such as `priority`.
    pub path: Option<Path>,
    /// What its words mean, such as `{"urgent": "critical"}`, in whatever case they are written. PagerDuty's own words
    /// and `urgent`, `highest`, `high`, `medium`, `normal`, `low` and `lowest` need not be named.
    #[schemars(extend("maxProperties" = 100))]
    pub map: BTreeMap<String, Level>,
    /// Where the payload says nothing, or something else.
    pub otherwise: Level,
}

/// PagerDuty's severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Everything stands still.
    Critical,
    /// Something does not work.
    Error,
    /// Something will not work soon.
    Warning,
    /// Good to know.
    Info,
}

impl Default for Severity {
    fn default() -> Self {
        Self { path: None, map: BTreeMap::new(), otherwise: Level::Error }
    }
}

hookwright_plugin::plugin! {
    summary: "Opens, acknowledges and resolves PagerDuty incidents.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "A payment that failed",
            "invoice.payment_failed",
            r#"{"invoice":{"id":"in_7","amount":12500.00,"priority":"High","url":"https://e.test/in_7"}}"#,
        )
        .config(r#"{"routing_key":"0123456789abcdef","summary":"Invoice {invoice.id} was not paid","dedup_key":"invoice-{invoice.id}","severity":{"path":"invoice.priority"},"resolve":["invoice.paid"],"link":{"path":"invoice.url","label":"The invoice"}}"#)
        .becomes(
            r#"{"routing_key":"0123456789abcdef","event_action":"trigger","dedup_key":"invoice-in_7","payload":{"summary":"Invoice in_7 was not paid","source":"default","severity":"error","timestamp":"2026-03-22T08:30:00Z","class":"invoice.payment_failed","custom_details":{"invoice":{"id":"in_7","amount":12500.00,"priority":"High","url":"https://e.test/in_7"}}},"links":[{"href":"https://e.test/in_7","text":"The invoice"}]}"#,
        ),
        Example::new("The payment came after all", "invoice.paid", r#"{"invoice":{"id":"in_7"}}"#)
            .config(r#"{"routing_key":"0123456789abcdef","dedup_key":"invoice-{invoice.id}","resolve":["invoice.paid"]}"#)
            .becomes(r#"{"routing_key":"0123456789abcdef","event_action":"resolve","dedup_key":"invoice-in_7"}"#),
    ],
}

/// The body of a request.
#[derive(Serialize)]
struct Body<'e> {
    routing_key: &'e str,
    event_action: Action,
    dedup_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Payload<'e>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    links: Vec<Href>,
}

#[derive(Serialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Action {
    Trigger,
    Acknowledge,
    Resolve,
}

#[derive(Serialize)]
struct Payload<'e> {
    summary: String,
    source: String,
    severity: Level,
    timestamp: &'e str,
    #[serde(skip_serializing_if = "Option::is_none")]
    component: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    custom_details: Option<Details<'e>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Details<'e> {
    Payload(&'e Value<'e>),
    LeftOut { left_out: String },
}

#[derive(Serialize)]
struct Href {
    href: String,
    text: String,
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let mut body = Body {
        routing_key: &config.routing_key,
        event_action: config.action(&event.event_type),
        dedup_key: config.dedup_key(event, &payload),
        payload: None,
        links: Vec::new(),
    };
    if body.event_action != Action::Trigger {
        return Verdict::json(message, &body);
    }
    body.payload = Some(config.payload(event, &payload));
    body.links.extend(config.link.as_ref().and_then(|link| href(link, event, &payload)));
    let verdict = Verdict::json(message, &body)?;
    let size = match &verdict {
        Verdict::Replace(message) => message.body.len(),
        _ => 0,
    };
    if size <= MAX_BYTES {
        return Ok(verdict);
    }
    if let Some(payload) = &mut body.payload {
        let left_out = format!("The payload of {} bytes is more than PagerDuty takes.", message.body.len());
        payload.custom_details = Some(Details::LeftOut { left_out });
    }
    Verdict::json(message, &body)
}

/// PagerDuty answers 202 to what it took and 400 to what it never will; everything else passes.
fn judge(answer: &Answer, _: &Config) -> Judgement {
    match answer.status {
        202 => Judgement::Delivered,
        400 => Judgement::fail(format!("PagerDuty refuses the event: {}", said(answer))),
        413 => Judgement::fail("The event is larger than PagerDuty takes."),
        _ => Judgement::ByStatus,
    }
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    check.length("/routing_key", "A routing key", &config.routing_key, 1..=255);
    check.demand(config.severity.map.len() <= MAX_LIST, "/severity/map", "At most 100 words are mapped.");
    for (member, types) in [("/acknowledge", &config.acknowledge), ("/resolve", &config.resolve)] {
        check.demand(types.len() <= MAX_LIST, member, "There are at most 100 event types.");
        for (index, pattern) in types.iter().enumerate() {
            let message = "An event type is written in full, or as its beginning with `.*`: `invoice.*`.";
            check.demand(is_pattern(pattern), join(member, index), message);
        }
    }
    check.finish()
}

impl Config {
    fn action(&self, event_type: &str) -> Action {
        let matches = |patterns: &[String]| patterns.iter().any(|pattern| is_of(event_type, pattern));
        match () {
            () if matches(&self.resolve) => Action::Resolve,
            () if matches(&self.acknowledge) => Action::Acknowledge,
            () => Action::Trigger,
        }
    }

    /// Two keys that are too long stay two: their ends are replaced by what tells them apart.
    fn dedup_key(&self, event: &Event, payload: &Value<'_>) -> String {
        let key = self.dedup_key.render(event, payload);
        let key = if key.trim().is_empty() { event.webhook_id().to_owned() } else { key.trim().to_owned() };
        if CHARS.measure(&key) <= MAX_KEY {
            return key;
        }
        let digest = HEXLOWER.encode(&Sha256::digest(key.as_bytes()));
        format!("{}{digest}", cut(&key, MAX_KEY - digest.len(), CHARS.unit))
    }

    fn payload<'e>(&self, event: &'e Event, payload: &'e Value<'e>) -> Payload<'e> {
        let line = |template: &Template| {
            let text = template.render(event, payload);
            Some(CHARS.cut(text.trim(), MAX_LINE).into_owned()).filter(|text| !text.is_empty())
        };
        Payload {
            summary: line(&self.summary).unwrap_or_else(|| event.event_type.clone()),
            source: line(&self.source).unwrap_or_else(|| event.tenant.clone()),
            severity: self.severity.of(event, payload),
            timestamp: &event.timestamp,
            component: self.component.as_ref().and_then(line),
            group: self.group.as_ref().and_then(line),
            class: line(&self.class),
            custom_details: self.details.then_some(Details::Payload(payload)),
        }
    }
}

impl Severity {
    fn of(&self, event: &Event, payload: &Value<'_>) -> Level {
        let found = self.path.as_ref().and_then(|path| path.find(event, payload));
        let Some(word) = found.map(|value| value.display().trim().to_lowercase()) else {
            return self.otherwise;
        };
        let mapped = self.map.iter().find(|(name, _)| name.trim().to_lowercase() == word);
        mapped.map(|(_, level)| *level).or_else(|| known(&word)).unwrap_or(self.otherwise)
    }
}

/// PagerDuty's own words, and those that most systems use.
fn known(word: &str) -> Option<Level> {
    Some(match word {
        "critical" | "urgent" | "highest" => Level::Critical,
        "error" | "high" => Level::Error,
        "warning" | "medium" | "normal" => Level::Warning,
        "info" | "low" | "lowest" => Level::Info,
        _ => return None,
    })
}

fn href(link: &Link, event: &Event, payload: &Value<'_>) -> Option<Href> {
    let (href, label) = link.fill(event, payload)?;
    if href.len() > MAX_URL {
        hookwright_plugin::warn!("The link is left out: it is longer than PagerDuty takes.");
        return None;
    }
    let text = CHARS.cut(label.trim(), MAX_LINE).into_owned();
    Some(Href { href, text: if text.is_empty() { "Open".to_owned() } else { text } })
}

/// PagerDuty's own words, short enough for a sentence.
fn said(answer: &Answer) -> String {
    let text = |value: &Value<'_>| value.display().into_owned();
    let said = answer.json().map(|tree| {
        let mut said: Vec<String> = tree.get("message").map(text).into_iter().collect();
        if let Some(Value::Array(errors, _)) = tree.get("errors") {
            said.extend(errors.iter().map(text));
        }
        said.join("; ")
    });
    let said = said.unwrap_or_else(|| answer.text().trim().to_owned());
    cut(&said, MAX_SAID, Unit::Chars).into_owned()
}

fn is_of(event_type: &str, pattern: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => event_type.starts_with(beginning),
        None => event_type == pattern,
    }
}

fn is_pattern(pattern: &str) -> bool {
    let beginning = pattern.strip_suffix(".*").unwrap_or(pattern);
    pattern == "*"
        || !(beginning.is_empty() || beginning.contains('*') || beginning.contains(char::is_whitespace))
}

fn of_type() -> Template {
    Template::known("{@type}")
}

fn of_tenant() -> Template {
    Template::known("{@tenant}")
}

fn of_webhook_id() -> Template {
    Template::known("{@webhook_id}")
}

fn yes() -> bool {
    true
}

const CHARS: Dialect = Dialect::plain(Unit::Utf16);
/// Of a summary, and of what else is one line.
const MAX_LINE: usize = 1_024;
const MAX_KEY: usize = 255;
const MAX_URL: usize = 4_000;
const MAX_LIST: usize = 100;
const MAX_SAID: usize = 500;
/// Of a whole request. PagerDuty documents 512 KB; this is the stricter reading.
const MAX_BYTES: usize = 512_000;

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test};

    use super::*;

    fn incident(event_type: &str, payload: &str, config: &str) -> String {
        let config = format!(r#"{{"routing_key":"k",{config}}}"#).replace(",}", "}");
        test::body::<Plugin>(event_type, payload, &config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn lines_are_cut_at_their_bounds() {
        let config = r#""summary":"{t}","source":"{t}","component":"{t}","group":"{t}","class":"{t}""#;
        for text in test::around(1_024, CHARS) {
            let body = incident("a.b", &test::object("t", &text), config);
            for member in ["summary", "source", "component", "group", "class"] {
                let shown = test::text_at(&body, &format!("/payload/{member}"));
                test::assert_cut(&shown, &text, 1_024, CHARS);
            }
        }
    }

    #[test]
    fn keys_that_are_too_long_stay_apart() {
        let key = |text: &str| {
            test::text_at(&incident("a.b", &test::object("t", text), r#""dedup_key":"{t}""#), "/dedup_key")
        };
        for text in test::around(255, CHARS) {
            let shown = key(&text);
            assert!(CHARS.measure(&shown) <= 255, "{shown}");
            assert_eq!(shown == text, CHARS.measure(&text) <= 255, "{text}");
            assert_ne!(shown, key(&format!("{text}1")), "{text}");
            assert_eq!(shown, key(&text), "the same event has the same key");
        }
        assert_eq!(key(" "), "evt_example");
    }

    #[test]
    fn a_request_keeps_its_bound() {
        let frame = incident("a.b", &test::object("t", ""), "").len();
        for script in ["a", "漢", "😀", "e\u{301}"] {
            for (goal, whole) in [(511_999, true), (512_000, true), (512_001, false), (900_000, false)] {
                let room = goal - frame;
                let text =
                    format!("{}{}", "x".repeat(room % script.len()), script.repeat(room / script.len()));
                let body = incident("a.b", &test::object("t", &text), "");
                assert!(body.len() <= 512_000, "{} bytes", body.len());
                assert_eq!(body.len() == goal, whole, "{goal} of {script}");
                assert_eq!(body.contains("more than PagerDuty takes."), !whole, "{goal} of {script}");
            }
        }
        // Escapes that the payload had stay, and count.
        let escaped = format!(r#"{{"t":"{}"}}"#, r"\u0001".repeat(100_000));
        assert!(incident("a.b", &escaped, r#""summary":"{t}""#).len() < 20_000);
        assert!(!incident("a.b", "{}", r#""details":false"#).contains("custom_details"));
    }

    #[test]
    fn types_say_what_happens_to_the_incident() {
        let config =
            r#""acknowledge":["case.assigned","work.*"],"resolve":["case.closed","case.resolved.*"]"#;
        let table = [
            ("case.created", "trigger"),
            ("case.assigned", "acknowledge"),
            ("case.assigned.again", "trigger"),
            ("work.begun", "acknowledge"),
            ("workshop", "trigger"),
            ("case.closed", "resolve"),
            ("case.resolved.late", "resolve"),
        ];
        for (event_type, action) in table {
            let body = incident(event_type, "{}", config);
            assert_eq!(test::text_at(&body, "/event_action"), action, "{event_type}");
            assert_eq!(body.contains(r#""payload""#), action == "trigger", "{event_type}");
        }
        assert_eq!(test::text_at(&incident("a.b", "{}", r#""resolve":["*"]"#), "/event_action"), "resolve");
    }

    #[test]
    fn severities_are_mapped() {
        let config = r#""severity":{"path":"p","map":{"P1":"critical","low":"warning"},"otherwise":"info"}"#;
        let table = [
            (r#""p1""#, "critical"),
            (r#""Low""#, "warning"),
            (r#""HIGH""#, "error"),
            (r#""urgent ""#, "critical"),
            (r#""medium""#, "warning"),
            (r#""what""#, "info"),
            ("null", "info"),
            ("3", "info"),
        ];
        for (priority, severity) in table {
            let body = incident("a.b", &format!(r#"{{"p":{priority}}}"#), config);
            assert_eq!(test::text_at(&body, "/payload/severity"), severity, "{priority}");
        }
        assert_eq!(test::text_at(&incident("a.b", "{}", ""), "/payload/severity"), "error");
    }

    #[test]
    fn links_are_of_the_web() {
        for (url, there) in [("https://e.test/", true), ("javascript:1", false), ("", false)] {
            let body = incident("a.b", &test::object("u", url), r#""link":{"path":"u"},"details":false"#);
            assert_eq!(
                body.contains(r#""links":[{"href":"https://e.test/","text":"Open"}]"#),
                there,
                "{body}"
            );
        }
    }

    #[test]
    fn answers_are_judged() {
        let refused = r#"{"status":"invalid event","message":"Event object is invalid","errors":["'payload.severity' is invalid"]}"#;
        let table = [
            (202, r#"{"status":"success"}"#, Judgement::Delivered),
            (
                400,
                refused,
                Judgement::fail(
                    "PagerDuty refuses the event: Event object is invalid; 'payload.severity' is invalid",
                ),
            ),
            (400, "no", Judgement::fail("PagerDuty refuses the event: no")),
            (413, "", Judgement::fail("The event is larger than PagerDuty takes.")),
            (429, "", Judgement::ByStatus),
            (500, "", Judgement::ByStatus),
            (0, "timeout", Judgement::ByStatus),
        ];
        for (status, body, judgement) in table {
            assert_eq!(
                test::judge::<Plugin>(status, body, r#"{"routing_key":"k"}"#),
                judgement,
                "{status} {body}"
            );
        }
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            ("{}", ""),
            (r#"{"routing_key":""}"#, "/routing_key"),
            (r#"{"routing_key":"k","severity":{"otherwise":"bad"}}"#, "/severity/otherwise"),
            (r#"{"routing_key":"k","severity":{"map":{"a":"fatal"}}}"#, "/severity/map/a"),
            (r#"{"routing_key":"k","resolve":["a*b"]}"#, "/resolve/0"),
            (r#"{"routing_key":"k","resolve":["a","*"],"acknowledge":[""]}"#, "/acknowledge/0"),
            (r#"{"routing_key":"k","dedup_key":"{"}"#, "/dedup_key"),
            (r#"{"routing_key":"k","event_action":"x"}"#, "/event_action"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
        let schema: serde_json::Value =
            serde_json::from_str(&test::describe::<Plugin>().config_schema).expect("the schema is JSON");
        assert_eq!(schema["properties"]["routing_key"]["writeOnly"], true);
    }
}
