//! `teams`: an Adaptive Card for a channel or chat of Microsoft Teams, sent to a Workflows URL.

use hookwright_plugin::{
    card::{Field, Link, Outline},
    config::Check,
    prelude::*,
    text::TEAMS,
};

mod card;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The heading. Where it comes to nothing, the event type stands there.
    pub title: Template,
    /// A paragraph below the heading, in the Markdown of Adaptive Cards; what comes from the payload is escaped.
    pub text: Option<Template>,
    /// Labels with values. Without it, the first values of the payload; an empty list shows none.
    #[schemars(length(max = 100))]
    pub fields: Option<Vec<Field>>,
    /// A button that opens a link. Without it and without `fields`, the first URL of the payload.
    pub link: Option<Link>,
    /// The most bytes of a message. Teams takes about 28 KB; where a tenant refuses less, lower it.
    #[schemars(range(min = 1000, max = 28_000))]
    pub max_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self { title: Template::known("{@type}"), text: None, fields: None, link: None, max_bytes: MAX_BYTES }
    }
}

hookwright_plugin::plugin! {
    summary: "Makes an Adaptive Card for Microsoft Teams with a title, fields and a button.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "An exported document",
            "document.exported",
            r#"{"document":{"doc_url":"https://yourinstance.recordengine.ai/api/document/42/view","vendor_name":"Acme [Ltd]","invoice_number":"INV-2026-0042","total_amount":12500.00,"currency":"CNY","due_date":null}}"#,
        )
        .config(r#"{"title":"Invoice {document.invoice_number}","text":"From **{document.vendor_name}**","fields":[{"label":"Total","value":"{document.total_amount} {document.currency}"},{"label":"Due","path":"document.due_date","missing":"not said"}],"link":{"path":"document.doc_url","label":"Open the document"}}"#)
        .becomes(
            r#"{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","type":"AdaptiveCard","version":"1.4","msteams":{"width":"Full"},"body":[{"type":"TextBlock","text":"Invoice INV-2026-0042","wrap":true,"size":"Large","weight":"Bolder"},{"type":"TextBlock","text":"From **Acme \\[Ltd\\]**","wrap":true},{"type":"FactSet","facts":[{"title":"Total","value":"12500.00 CNY"},{"title":"Due","value":"not said"}]}],"actions":[{"type":"Action.OpenUrl","title":"Open the document","url":"https://yourinstance.recordengine.ai/api/document/42/view"}]}}]}"#,
        ),
        Example::new(
            "Without a configuration",
            "lead.captured",
            r#"{"event":"lead.captured","timestamp":"2026-03-26T15:30:00.000Z","data":{"name":"John Doe","email":"john@example.com"}}"#,
        )
        .becomes(
            r#"{"type":"message","attachments":[{"contentType":"application/vnd.microsoft.card.adaptive","content":{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","type":"AdaptiveCard","version":"1.4","msteams":{"width":"Full"},"body":[{"type":"TextBlock","text":"lead.captured","wrap":true,"size":"Large","weight":"Bolder"},{"type":"FactSet","facts":[{"title":"Name","value":"John Doe"},{"title":"Email","value":"john@example.com"}]}],"actions":[]}}]}"#,
        ),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let outline = Outline {
        title: &config.title,
        text: config.text.as_ref(),
        fields: config.fields.as_deref(),
        link: config.link.as_ref(),
    };
    Verdict::json(message, &card::write(&outline.fill(event, &payload, &TEAMS), config.max_bytes))
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    Field::check_all(config.fields.as_deref().unwrap_or_default(), "/fields", &mut check);
    let bounds = 1_000..=MAX_BYTES;
    check.demand(bounds.contains(&config.max_bytes), "/max_bytes", "A message has 1,000 to 28,000 bytes.");
    check.finish()
}

/// Of a whole message. Teams documents "approximately 28 KB".
const MAX_BYTES: usize = 28_000;

#[cfg(test)]
mod tests {
    use hookwright_plugin::{
        serde_json, test,
        text::{Dialect, Unit},
    };

    use super::*;

    const CONTENT: &str = "/attachments/0/content";

    fn message(payload: &str, config: &str) -> String {
        test::body::<Plugin>("case.created", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn a_message_is_cut_at_its_bound_and_uses_it() {
        let config = r#"{"title":"T","text":"{t}","fields":[]}"#;
        // The letter of this one, and in its place a comma: the title counts with one, though it is the first.
        let frame = message(&test::object("t", "x"), config).len();
        for text in test::around(28_000 - frame, TEAMS) {
            let body = message(&test::object("t", &text), config);
            assert!(body.len() <= 28_000, "{} bytes", body.len());
            let shown = test::text_at(&body, &format!("{CONTENT}/body/1/text"));
            test::assert_cut(&shown, &text, 28_000 - frame, TEAMS);
        }
    }

    #[test]
    fn a_value_is_cut_at_its_bound() {
        for text in test::around(4_000, TEAMS) {
            let body = message(&test::object("t", &text), r#"{"fields":[{"label":"L","path":"t"}]}"#);
            let shown = test::text_at(&body, &format!("{CONTENT}/body/1/facts/0/value"));
            test::assert_cut(&shown, &text, 4_000, TEAMS);
        }
    }

    #[test]
    fn nothing_makes_a_message_too_large() {
        let long = "a&[😀]\\n\\u0001\\\"".repeat(20_000);
        let payload = format!(r#"{{"long":"{long}","url":"https://e.test/{}"}}"#, "p".repeat(3_900));
        let fields: Vec<String> = (0..100).map(|n| format!(r#"{{"label":"F{n}","path":"long"}}"#)).collect();
        for max_bytes in [1_000, 1_001, 5_000, 21_000, 28_000] {
            let config = format!(
                r#"{{"max_bytes":{max_bytes},"title":"{{long}}","text":"{{long}}","fields":[{}],"link":{{"path":"url"}}}}"#,
                fields.join(",")
            );
            let body = message(&payload, &config);
            assert!(body.len() <= max_bytes, "{} > {max_bytes}", body.len());
            assert!(serde_json::from_str::<serde_json::Value>(&body).is_ok(), "{body}");
        }
        let body = message(&payload, &format!(r#"{{"fields":[{}]}}"#, fields.join(",")));
        assert!(body.contains("fields are left out: the message would be too long for Teams."), "{body}");
        assert!(body.len() > 23_000, "{} bytes: there was room for more", body.len());
    }

    #[test]
    fn a_payload_makes_no_links() {
        let body = message(
            r#"{"a":"[x](https://e.test) *b* _i_ `c`"}"#,
            r#"{"title":"{a}","text":"_{a}_","fields":[]}"#,
        );
        let escaped = r"\[x\](https://e.test) \*b\* \_i\_ \`c\`";
        assert_eq!(test::text_at(&body, &format!("{CONTENT}/body/0/text")), escaped);
        assert_eq!(test::text_at(&body, &format!("{CONTENT}/body/1/text")), format!("_{escaped}_"));
    }

    #[test]
    fn what_is_missing_leaves_no_hole() {
        let config =
            r#"{"title":"{a}","text":"{b}","fields":[{"label":"X","path":"x"}],"link":{"path":"url"}}"#;
        for payload in ["{}", r#"{"a":" ","x":null,"url":"javascript:alert(1)"}"#, "7"] {
            let body: serde_json::Value = serde_json::from_str(&message(payload, config)).expect("JSON");
            let content = body.pointer(CONTENT).expect("content");
            assert_eq!(content["body"].as_array().map(Vec::len), Some(1), "{payload}");
            assert_eq!(content["body"][0]["text"], "case.created", "{payload}");
            assert_eq!(content["actions"].as_array().map(Vec::len), Some(0), "{payload}");
        }
        assert!(message("{", config).contains("(bad-payload)"));
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"title":"{a"}"#, "/title"),
            (r#"{"fields":[{"label":"","path":"a"}]}"#, "/fields/0/label"),
            (r#"{"fields":[{"label":"a"}]}"#, "/fields/0"),
            (r#"{"link":{}}"#, "/link"),
            (r#"{"max_bytes":999}"#, "/max_bytes"),
            (r#"{"max_bytes":28001}"#, "/max_bytes"),
            (r#"{"webhook":"x"}"#, "/webhook"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
        assert_eq!(TEAMS.unit, Dialect::plain(Unit::JsonBytes).unit);
    }
}
