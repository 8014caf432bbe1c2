//! `slack`: a Block Kit message for a Slack incoming webhook.

use hookwright_plugin::{
    card::{Field, Link, Outline},
    config::Check,
    prelude::*,
    text::SLACK,
};

mod blocks;

use blocks::Blocks;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The heading. Where it comes to nothing, the event type stands there.
    pub title: Template,
    /// A paragraph below the heading, in Slack's mrkdwn; what comes from the payload is escaped.
    pub text: Option<Template>,
    /// Labels with values, in two columns.
    #[schemars(length(max = 100))]
    pub fields: Vec<Field>,
    /// A link below the fields.
    pub link: Option<Link>,
    /// What notifications and screen readers say. Without it, the title.
    pub fallback: Option<Template>,
}

impl Default for Config {
    fn default() -> Self {
        Self { title: Template::known("{@type}"), text: None, fields: Vec::new(), link: None, fallback: None }
    }
}

hookwright_plugin::plugin! {
    summary: "Makes a Slack message with a title, fields and a link.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "An exported document",
            "document.exported",
            r#"{"document":{"doc_url":"https://yourinstance.recordengine.ai/api/document/42/view","vendor_name":"Acme & Sons <Ltd>","invoice_number":"INV-2026-0042","total_amount":12500.00,"currency":"CNY","notes":""}}"#,
        )
        .config(r#"{"title":"Invoice {document.invoice_number}","fields":[{"label":"Vendor","path":"document.vendor_name"},{"label":"Total","value":"{document.total_amount} {document.currency}"},{"label":"Notes","path":"document.notes"},{"label":"Due","path":"document.due_date","missing":"not said"}],"link":{"path":"document.doc_url","label":"Open the document"}}"#)
        .becomes(
            r#"{"text":"Invoice INV-2026-0042","blocks":[{"type":"header","text":{"type":"plain_text","text":"Invoice INV-2026-0042"}},{"type":"section","fields":[{"type":"mrkdwn","text":"*Vendor*\nAcme &amp; Sons &lt;Ltd&gt;"},{"type":"mrkdwn","text":"*Total*\n12500.00 CNY"},{"type":"mrkdwn","text":"*Due*\nnot said"}]},{"type":"section","text":{"type":"mrkdwn","text":"<https://yourinstance.recordengine.ai/api/document/42/view|Open the document>"}}]}"#,
        ),
        Example::new("Without a configuration", "contact.created", r#"{"name":"Acme"}"#)
            .becomes(r#"{"text":"contact.created","blocks":[{"type":"header","text":{"type":"plain_text","text":"contact.created"}}]}"#),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let outline = Outline {
        title: &config.title,
        text: config.text.as_ref(),
        fields: Some(&config.fields),
        link: config.link.as_ref(),
    };
    let card = outline.fill(event, &payload, &SLACK);
    let fallback = config.fallback.as_ref().map(|fallback| fallback.render(event, &payload));
    let fallback = fallback.filter(|fallback| !fallback.trim().is_empty());

    let mut blocks = Blocks::new(fallback.as_deref().unwrap_or(&card.title));
    blocks.header(&card.title);
    if let Some(text) = &card.text {
        blocks.section(text);
    }
    blocks.fields(&card.fields);
    if let Some((url, label)) = &card.link
        && !blocks.link(url, label)
    {
        hookwright_plugin::warn!("The link is left out: it is longer than Slack takes.");
    }
    Verdict::json(message, &blocks)
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    Field::check_all(&config.fields, "/fields", &mut check);
    check.finish()
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::{
        json::{self, Value},
        test,
        text::Unit,
    };

    use super::*;

    fn message(payload: &str, config: &str) -> String {
        test::body::<Plugin>("case.created", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn mentions_in_a_payload_stay_text() {
        let payload = r#"{"title":"<!channel> *R&D*","url":"https://e.test/?a=1&b=<x>|y z"}"#;
        let config = r#"{"title":"{title}","text":"_Case_: {title} <https://e.test|docs>","link":{"path":"url","label":"{title}"}}"#;
        let expected = concat!(
            r#"{"text":"&lt;!channel&gt; *R&amp;D*","blocks":["#,
            r#"{"type":"header","text":{"type":"plain_text","text":"&lt;!channel&gt; *R&amp;D*"}},"#,
            r#"{"type":"section","text":{"type":"mrkdwn","text":"_Case_: &lt;!channel&gt; *R&amp;D* <https://e.test|docs>"}},"#,
            r#"{"type":"section","text":{"type":"mrkdwn","text":"<https://e.test/?a=1&amp;b=%3Cx%3E%7Cy%20z|&lt;!channel&gt; *R&amp;D*>"}}]}"#,
        );
        assert_eq!(message(payload, config), expected);
    }

    #[test]
    fn what_is_missing_leaves_no_hole() {
        let config = r#"{"title":"{a}","text":"{b}","fallback":"{c}","fields":[{"label":"X","path":"x"},{"label":"Y","value":"{y}"}],"link":{"path":"url"}}"#;
        let bare = r#"{"text":"case.created","blocks":[{"type":"header","text":{"type":"plain_text","text":"case.created"}}]}"#;
        for payload in [
            "{}",
            r#"{"x":null,"y":"","url":null,"a":" "}"#,
            r#"{"url":"javascript:alert(1)"}"#,
            r#"{"url":{}}"#,
            "7",
        ] {
            assert_eq!(message(payload, config), bare, "{payload}");
        }
        assert!(message("{", config).contains("(bad-payload)"));
    }

    #[test]
    fn nothing_exceeds_the_limits_of_slack() {
        let long = "a&😀".repeat(20_000);
        let payload = format!(r#"{{"long":"{long}","url":"https://e.test/{}"}}"#, "p".repeat(4_000));
        let fields: Vec<String> = (0..100).map(|n| format!(r#"{{"label":"F{n}","path":"long"}}"#)).collect();
        let config = format!(
            r#"{{"title":"{{long}}","text":"{{long}}","fallback":"{{long}}","fields":[{}],"link":{{"path":"url"}}}}"#,
            fields.join(",")
        );
        let body = message(&payload, &config);
        let tree = json::parse(body.as_bytes()).expect("JSON");
        let length = |value: Option<&Value<'_>>| {
            let text = value
                .and_then(|value| value.get("text"))
                .map(|text| text.display().into_owned())
                .unwrap_or_default();
            assert!(!text.contains("&…") && !text.contains("&am…") && !text.is_empty(), "an escape is cut");
            Unit::Utf16.measure(&text)
        };
        let Some(Value::Array(blocks, _)) = tree.get("blocks") else { panic!("no blocks in {body}") };
        assert!(blocks.len() <= 50);
        let mut total = 0;
        for block in blocks {
            match block.get("fields") {
                Some(Value::Array(fields, _)) => {
                    assert!((1..=10).contains(&fields.len()));
                    total += fields
                        .iter()
                        .map(|field| length(Some(field)).min(2_001))
                        .inspect(|n| assert!(*n <= 2_000))
                        .sum::<usize>();
                }
                _ if block.get("elements").is_some() => {}
                _ => {
                    let limit = if block.get("type").is_some_and(|kind| kind.display() == "header") {
                        150
                    } else {
                        3_000
                    };
                    let length = length(block.get("text"));
                    assert!(length <= limit, "{length} > {limit}");
                    total += length;
                }
            }
        }
        assert!(total <= 12_000, "{total}");
        assert!(body.contains("fields are left out"), "the reader is told");
    }

    #[test]
    fn texts_are_cut_at_the_bounds_of_slack() {
        let config = r#"{"title":"{t}","text":"{t}","fields":[{"label":"L","path":"t"}]}"#;
        let bounds = [
            ("/blocks/0/text/text", "", 150),
            ("/blocks/1/text/text", "", 3_000),
            ("/blocks/2/fields/0/text", "*L*\n", 2_000),
        ];
        for (pointer, before, limit) in bounds {
            for text in test::around(limit - before.len(), SLACK) {
                let body = message(&test::object("t", &text), config);
                let shown = test::text_at(&body, pointer);
                test::assert_cut(&shown[before.len()..], &text, limit - before.len(), SLACK);
            }
        }
    }

    #[test]
    fn many_fields_go_into_sections_of_ten() {
        let fields: Vec<String> = (0..23).map(|n| format!(r#"{{"label":"F{n}","path":"v"}}"#)).collect();
        let body = message(r#"{"v":1.50}"#, &format!(r#"{{"fields":[{}]}}"#, fields.join(",")));
        assert_eq!(body.matches(r#"{"type":"section","fields":["#).count(), 3);
        assert!(body.contains(r#""*F22*\n1.50""#), "{body}");
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"title":"{a"}"#, "/title"),
            (r#"{"fields":[{"label":"","path":"a"}]}"#, "/fields/0/label"),
            (r#"{"fields":[{"label":"a","path":"a"},{"label":"b"}]}"#, "/fields/1"),
            (r#"{"fields":[{"label":"b","path":"a","value":"{a}"}]}"#, "/fields/0"),
            (r#"{"fields":[{"path":"a"}]}"#, "/fields/0"),
            (r#"{"link":{"path":"a[0]"}}"#, "/link/path"),
            (r#"{"link":{}}"#, "/link"),
            (r#"{"channel":"x"}"#, "/channel"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
        assert!(test::config_errors::<Plugin>("").is_empty());
        assert!(Template::parse("{@type}").is_ok() && Template::parse("Open").is_ok());
    }
}
