//! `jira`: an issue in Jira Cloud, by the third version of its REST interface.

use std::collections::{BTreeMap, BTreeSet};

use hookwright_plugin::{
    card::{Field, Link, Outline},
    config::{Check, join},
    json::Value,
    prelude::*,
    serde_json::value::{RawValue, to_raw_value},
    text::{Dialect, Unit},
};

mod document;
mod judge;

use document::Document;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The project's key, such as `OPS`.
    #[schemars(regex(pattern = "^[A-Za-z][A-Za-z0-9_]{0,254}$"))]
    pub project: String,
    /// The name of the issue's type.
    #[serde(default = "task")]
    #[schemars(length(min = 1, max = 255))]
    pub issue_type: String,
    /// The issue's one line. Where it comes to nothing, the event type stands there.
    #[serde(default = "summary")]
    pub summary: Template,
    /// What the description begins with; each line becomes a paragraph.
    #[serde(default)]
    pub description: Option<Template>,
    /// Labels with values, as a list in the description. Without it, the first values of the payload; an empty list
    /// shows none.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub fields: Option<Vec<Field>>,
    /// A link at the end of the description. Without it and without `fields`, the first URL of the payload.
    #[serde(default)]
    pub link: Option<Link>,
    /// The issue's labels; white space in them becomes `-`.
    #[serde(default)]
    #[schemars(length(max = 50))]
    pub labels: Vec<Template>,
    /// False leaves out the label by which an issue is found again: the `webhook-id`.
    #[serde(default = "yes")]
    pub label_webhook_id: bool,
    /// The name of a priority: `{priority|Medium}`.
    #[serde(default)]
    pub priority: Option<Template>,
    /// More of Jira's fields by their ids, such as `customfield_10010`.
    #[serde(default)]
    #[schemars(extend("maxProperties" = 100))]
    pub set: BTreeMap<String, Setting>,
    /// True tries again where no answer came, although the issue may have been made: then there are two.
    #[serde(default)]
    pub retry_after_timeout: bool,
}

/// What a field of Jira's is set to: exactly one of the three.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setting {
    /// Where the value is; it goes out as it stands there. Where nothing is, the field is left out.
    #[serde(default)]
    pub path: Option<Path>,
    /// Text with places in it. Where it comes to nothing, the field is left out.
    #[serde(default)]
    pub value: Option<Template>,
    /// Any JSON, as Jira expects it: `{"accountId": "..."}`.
    #[serde(default, deserialize_with = "hookwright_plugin::config::present")]
    #[schemars(with = "Option<hookwright_plugin::serde_json::Value>")]
    pub constant: Option<Box<RawValue>>,
}

hookwright_plugin::plugin! {
    summary: "Makes a Jira issue, labelled with the webhook-id, and does not make it twice.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "An insight",
            "ai.insight.generated",
            r#"{"insight":{"title":"Contract renews in 10 days","text":"Acme's contract renews.\nNotice is due on 1 April.","confidence":0.930,"record_url":"https://records.example/r/42"}}"#,
        )
        .config(r#"{"project":"OPS","issue_type":"Story","summary":"{insight.title}","description":"{insight.text}","fields":[{"label":"Confidence","path":"insight.confidence"}],"link":{"path":"insight.record_url","label":"Open the record"},"labels":["ai insight"],"priority":"{priority|Medium}","set":{"customfield_10010":{"path":"insight.confidence"},"assignee":{"constant":{"accountId":"5b10"}}}}"#)
        .becomes(
            r#"{"fields":{"project":{"key":"OPS"},"issuetype":{"name":"Story"},"summary":"Contract renews in 10 days","description":{"type":"doc","version":1,"content":[{"type":"paragraph","content":[{"type":"text","text":"Acme's contract renews."}]},{"type":"paragraph","content":[{"type":"text","text":"Notice is due on 1 April."}]},{"type":"bulletList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"Confidence","marks":[{"type":"strong"}]},{"type":"text","text":": 0.930"}]}]}]},{"type":"paragraph","content":[{"type":"text","text":"Open the record","marks":[{"type":"link","attrs":{"href":"https://records.example/r/42"}}]}]}]},"labels":["ai-insight","evt_example"],"priority":{"name":"Medium"},"assignee":{"accountId":"5b10"},"customfield_10010":0.930}}"#,
        ),
        Example::new("The project alone", "case.created", r#"{"event":"case.created","case_id":5,"title":"Missing tax ID"}"#)
            .config(r#"{"project":"OPS"}"#)
            .becomes(
                r#"{"fields":{"project":{"key":"OPS"},"issuetype":{"name":"Task"},"summary":"case.created","description":{"type":"doc","version":1,"content":[{"type":"bulletList","content":[{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"Case id","marks":[{"type":"strong"}]},{"type":"text","text":": 5"}]}]},{"type":"listItem","content":[{"type":"paragraph","content":[{"type":"text","text":"Title","marks":[{"type":"strong"}]},{"type":"text","text":": Missing tax ID"}]}]}]}]},"labels":["evt_example"]}}"#,
            ),
    ],
}

/// The body of a request.
#[derive(Serialize)]
struct Issue<'c> {
    fields: Fields<'c>,
}

#[derive(Serialize)]
struct Fields<'c> {
    project: Key<'c>,
    issuetype: Name<'c>,
    summary: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<Document>,
    labels: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Name<'c>>,
    #[serde(flatten)]
    set: BTreeMap<&'c str, Box<RawValue>>,
}

#[derive(Serialize)]
struct Key<'c> {
    key: &'c str,
}

#[derive(Serialize)]
struct Name<'c> {
    name: std::borrow::Cow<'c, str>,
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let outline = Outline {
        title: &config.summary,
        text: config.description.as_ref(),
        fields: config.fields.as_deref(),
        link: config.link.as_ref(),
    };
    let card = outline.fill(event, &payload, &PLAIN);
    let priority = config.priority.as_ref().map(|priority| priority.render(event, &payload));
    let priority = priority.filter(|priority| !priority.trim().is_empty());
    let fields = Fields {
        project: Key { key: &config.project },
        issuetype: Name { name: config.issue_type.as_str().into() },
        summary: one_line(&card.title),
        description: document::write(&card),
        labels: labels(event, &payload, config),
        priority: priority.map(|name| Name { name: name.trim().to_owned().into() }),
        set: settings(event, &payload, config)?,
    };
    Verdict::json(message, &Issue { fields })
}

fn judge(answer: &Answer, config: &Config) -> Judgement {
    judge::judge(answer, config.retry_after_timeout)
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    check.demand(
        is_key(&config.project),
        "/project",
        "A project's key is letters, digits and `_`, such as `OPS`.",
    );
    check.length("/issue_type", "The name of a type", &config.issue_type, 1..=255);
    Field::check_all(config.fields.as_deref().unwrap_or_default(), "/fields", &mut check);
    check.demand(config.labels.len() <= MAX_LABELS, "/labels", "There are at most 50 labels.");
    check.demand(config.set.len() <= MAX_SET, "/set", "At most 100 fields are set.");
    for (id, setting) in &config.set {
        let pointer = join("/set", id);
        let message = format!("The plugin sets `{id}` itself.");
        check.demand(!id.is_empty() && !OWN.contains(&id.as_str()), &*pointer, message);
        let sources = [setting.path.is_some(), setting.value.is_some(), setting.constant.is_some()];
        let message = "A field is set by exactly one of `path`, `value` and `constant`.";
        check.demand(sources.iter().filter(|given| **given).count() == 1, pointer, message);
    }
    check.finish()
}

/// Jira refuses a summary with a line break.
fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Dialect::plain(Unit::Utf16).cut(&line, MAX_SUMMARY).into_owned()
}

/// Each once, without white space, which Jira refuses.
fn labels(event: &Event, payload: &Value<'_>, config: &Config) -> Vec<String> {
    let own = config.label_webhook_id.then(|| event.webhook_id().to_owned());
    let named = config.labels.iter().map(|label| label.render(event, payload));
    let mut seen = BTreeSet::new();
    named
        .chain(own)
        .map(|label| label.split_whitespace().collect::<Vec<_>>().join("-"))
        .map(|label| Dialect::plain(Unit::Utf16).cut(&label, MAX_LABEL).into_owned())
        .filter(|label| !label.is_empty() && seen.insert(label.clone()))
        .collect()
}

fn settings<'c>(
    event: &Event,
    payload: &Value<'_>,
    config: &'c Config,
) -> Result<BTreeMap<&'c str, Box<RawValue>>> {
    let mut set = BTreeMap::new();
    for (id, setting) in &config.set {
        if let Some(value) = setting.fill(event, payload)? {
            set.insert(id.as_str(), value);
        }
    }
    Ok(set)
}

impl Setting {
    fn fill(&self, event: &Event, payload: &Value<'_>) -> Result<Option<Box<RawValue>>> {
        if let Some(constant) = &self.constant {
            return Ok(Some(constant.clone()));
        }
        if let Some(template) = &self.value {
            let text = template.render(event, payload);
            return Ok(if text.trim().is_empty() { None } else { Some(to_raw_value(&text)?) });
        }
        let found = self.path.as_ref().and_then(|path| path.find(event, payload));
        let found = found.filter(|value| !value.is_null());
        Ok(found.map(|value| RawValue::from_string(value.to_json())).transpose()?)
    }
}

fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    text.len() <= MAX_KEY
        && bytes.next().is_some_and(|first| first.is_ascii_alphabetic())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn task() -> String {
    "Task".to_owned()
}

fn summary() -> Template {
    Template::known("{@type}")
}

fn yes() -> bool {
    true
}

/// What comes from a payload is text in a document, never markup.
const PLAIN: Dialect = Dialect::plain(Unit::JsonUtf16);
/// Members that the configuration has words of its own for.
const OWN: [&str; 6] = ["project", "issuetype", "summary", "description", "labels", "priority"];
const MAX_KEY: usize = 255;
/// Jira's own, in UTF-16 units.
const MAX_SUMMARY: usize = 255;
const MAX_LABEL: usize = 255;
const MAX_LABELS: usize = 50;
const MAX_SET: usize = 100;

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test};

    use super::*;

    fn issue(payload: &str, config: &str) -> String {
        test::body::<Plugin>("case.created", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    fn description(body: &str) -> serde_json::Value {
        let body: serde_json::Value =
            serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
        body["fields"]["description"].clone()
    }

    /// In UTF-16 units of the JSON, which no reading of the limit exceeds.
    fn length(description: &serde_json::Value) -> usize {
        description.to_string().encode_utf16().count()
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn a_description_is_cut_at_its_bound_and_uses_it() {
        let config = r#"{"project":"A","description":"{t}","fields":[]}"#;
        // One unit is that of a comma, which the first paragraph does not need.
        let frame = length(&description(&issue(&test::object("t", "x"), config))) - 1 + 1;
        for text in test::around(32_767 - frame, PLAIN) {
            let body = issue(&test::object("t", &text), config);
            let description = description(&body);
            assert!(length(&description) <= 32_767, "{} units", length(&description));
            let shown = test::text_at(&body, "/fields/description/content/0/content/0/text");
            test::assert_cut(&shown, &text, 32_767 - frame, PLAIN);
        }
    }

    #[test]
    fn summaries_and_labels_are_cut_at_their_bounds() {
        let units = Dialect::plain(Unit::Utf16);
        let config = r#"{"project":"A","summary":"{t}","labels":["{t}"],"fields":[]}"#;
        for text in test::around(255, units) {
            let body = issue(&test::object("t", &text), config);
            for pointer in ["/fields/summary", "/fields/labels/0"] {
                test::assert_cut(&test::text_at(&body, pointer), &text, 255, units);
            }
        }
    }

    #[test]
    fn nothing_makes_a_description_too_long() {
        let fields: Vec<String> = (0..100).map(|n| format!(r#"{{"label":"F{n}","path":"t"}}"#)).collect();
        let config = format!(
            r#"{{"project":"A","summary":"{{t}}","description":"{{t}}","fields":[{}],"link":{{"path":"u"}}}}"#,
            fields.join(",")
        );
        for script in ["a", "漢", "😀", "e\u{301}", "\\n", "x\\n", "\\\""] {
            let long = script.repeat(12_000);
            let payload = format!(r#"{{"t":"{long}","u":"https://e.test/{}"}}"#, "p".repeat(3_000));
            let body = issue(&payload, &config);
            let length = length(&description(&body));
            assert!(length <= 32_767, "{script:?}: {length}");
            assert!(script == "\\n" || length > 25_000, "{script:?}: {length}");
        }
        for (value, all) in [(50, true), (150, true), (165, true), (185, false), (200, false), (300, false)] {
            let body = issue(&test::object("t", &"漢".repeat(value)), &config);
            let length = length(&description(&body));
            assert!(length <= 32_767, "{value}: {length}");
            let left_out = body.contains("left out: the message would be too long for Jira.");
            assert_eq!(left_out, !all, "{value}: {length}");
        }
    }

    #[test]
    fn what_jira_would_refuse_is_mended() {
        let body = issue(
            r#"{"t":"two\nlines\tand more","empty":" "}"#,
            r#"{"project":"A","summary":"{t}","description":"{empty}","labels":["{t}","{empty}","evt_example"],"fields":[],"set":{"a":{"value":"{none}"},"b":{"path":"none"},"c":{"constant":null}}}"#,
        );
        assert_eq!(
            body,
            r#"{"fields":{"project":{"key":"A"},"issuetype":{"name":"Task"},"summary":"two lines and more","labels":["two-lines-and-more","evt_example"],"c":null}}"#
        );
    }

    #[test]
    fn an_issue_is_labelled_with_the_webhook_id() {
        let attributes = vec![("webhook-id".to_owned(), "msg_2".to_owned())];
        let event = Event { attributes, ..test::event("a.b") };
        for (config, labels) in [
            (r#"{"project":"A"}"#, r#""labels":["msg_2"]"#),
            (r#"{"project":"A","label_webhook_id":false}"#, r#""labels":[]"#),
        ] {
            let verdict = test::call_with::<Plugin>(&event, &Message::json("{}"), config);
            let Ok(Verdict::Replace(message)) = verdict else { panic!("{verdict:?}") };
            assert!(String::from_utf8_lossy(&message.body).contains(labels), "{config}");
        }
    }

    #[test]
    fn the_configuration_says_whether_silence_is_tried_again() {
        let judge = |config| test::judge::<Plugin>(0, "timeout", config);
        assert!(matches!(judge(r#"{"project":"A"}"#), Judgement::Fail(_)));
        assert_eq!(judge(r#"{"project":"A","retry_after_timeout":true}"#), Judgement::ByStatus);
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            ("{}", ""),
            (r#"{"project":""}"#, "/project"),
            (r#"{"project":"A B"}"#, "/project"),
            (r#"{"project":"A","issue_type":""}"#, "/issue_type"),
            (r#"{"project":"A","summary":"{"}"#, "/summary"),
            (r#"{"project":"A","fields":[{"label":"a"}]}"#, "/fields/0"),
            (r#"{"project":"A","set":{"summary":{"value":"x"}}}"#, "/set/summary"),
            (r#"{"project":"A","set":{"x":{}}}"#, "/set/x"),
            (r#"{"project":"A","set":{"x":{"path":"a","constant":1}}}"#, "/set/x"),
            (r#"{"project":"A","token":"x"}"#, "/token"),
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
