//! `feishu`: a message for a custom bot of Feishu or Lark, signed in its body.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use hookwright_plugin::{
    card::{Field, Link, Outline},
    config::Check,
    prelude::*,
    text::{Dialect, FEISHU, FEISHU_TEXT, Unit},
};
use sha2::Sha256;

mod body;
mod judge;

use body::Signature;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// How the message looks.
    pub form: Form,
    /// The heading. Where it comes to nothing, the event type stands there.
    pub title: Template,
    /// A paragraph below the heading: Feishu's Markdown in a card, else plain. What comes from the payload is
    /// escaped.
    pub text: Option<Template>,
    /// Labels with values. Without it, the first values of the payload; an empty list shows none.
    #[schemars(length(max = 100))]
    pub fields: Option<Vec<Field>>,
    /// A button, or a link in the text. Without it and without `fields`, the first URL of the payload.
    pub link: Option<Link>,
    /// The bot's secret, where it demands signatures.
    #[schemars(length(min = 1, max = 200), extend("writeOnly" = true))]
    pub secret: Option<String>,
}

/// How a message looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// A card with a heading, columns and a button.
    Card,
    /// A heading and lines.
    Post,
    /// Lines.
    Text,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            form: Form::Card,
            title: Template::known("{@type}"),
            text: None,
            fields: None,
            link: None,
            secret: None,
        }
    }
}

hookwright_plugin::plugin! {
    summary: "Makes a Feishu or Lark message with fields and a link, signs it, and reads Feishu's code.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "An exported document, signed",
            "document.exported",
            r#"{"document":{"doc_url":"https://yourinstance.recordengine.ai/api/document/42/view","vendor_name":"Acme <Ltd>","invoice_number":"INV-2026-0042","total_amount":12500.00,"currency":"CNY"}}"#,
        )
        .config(r#"{"title":"Invoice {document.invoice_number}","text":"From **{document.vendor_name}**","fields":[{"label":"Total","value":"{document.total_amount} {document.currency}"}],"link":{"path":"document.doc_url","label":"Open the document"},"secret":"demo-secret"}"#)
        .becomes(
            r#"{"timestamp":"1774168201","sign":"CK2KGSNB1tbUENGZut2PnwC7G+sfH4uu5kgwgaV/reg=","msg_type":"interactive","card":{"header":{"title":{"tag":"plain_text","content":"Invoice INV-2026-0042"},"template":"blue"},"elements":[{"tag":"div","text":{"tag":"lark_md","content":"From **Acme &#60;Ltd&#62;**"}},{"tag":"div","fields":[{"is_short":true,"text":{"tag":"lark_md","content":"**Total**\n12500.00 CNY"}}]},{"tag":"action","actions":[{"tag":"button","text":{"tag":"plain_text","content":"Open the document"},"type":"primary","url":"https://yourinstance.recordengine.ai/api/document/42/view"}]}]}}"#,
        ),
        Example::new("A post", "case.created", r#"{"title":"Missing tax ID","priority":"high"}"#)
            .config(r#"{"form":"post","title":"{title}","fields":[{"label":"Priority","path":"priority"}]}"#)
            .becomes(
                r#"{"msg_type":"post","content":{"post":{"zh_cn":{"title":"Missing tax ID","content":[[{"tag":"text","text":"Priority: high"}]]}}}}"#,
            ),
        Example::new("Plain text, without anything said", "lead.captured", r#"{"event":"lead.captured","data":{"name":"John Doe"}}"#)
            .config(r#"{"form":"text"}"#)
            .becomes(r#"{"msg_type":"text","content":{"text":"lead.captured\nName: John Doe"}}"#),
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
    let card = outline.fill(event, &payload, &config.form.dialect());
    let signature = config.secret.as_deref().map(|secret| sign(secret, event)).transpose()?;
    Verdict::json(message, &body::write(&card, config.form, signature))
}

fn judge(answer: &Answer, _: &Config) -> Judgement {
    judge::judge(answer)
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    Field::check_all(config.fields.as_deref().unwrap_or_default(), "/fields", &mut check);
    if let Some(secret) = &config.secret {
        check.length("/secret", "A secret", secret, 1..=200);
    }
    check.finish()
}

impl Form {
    fn dialect(self) -> Dialect {
        match self {
            Form::Card => FEISHU,
            Form::Post => Dialect::plain(Unit::JsonBytes),
            Form::Text => FEISHU_TEXT,
        }
    }
}

/// Time and secret are the key, and nothing is what is signed. Feishu takes a time of the last hour, so each attempt
/// has its own.
fn sign(secret: &str, event: &Event) -> Result<Signature> {
    let timestamp = Timestamp::parse(&event.attempted_at)?.unix_seconds().to_string();
    let mac = Hmac::<Sha256>::new_from_slice(format!("{timestamp}\n{secret}").as_bytes())
        .map_err(|_| Failure::new(Failure::BAD_CONFIG, "The secret cannot be a key."))?;
    let sign = BASE64.encode(&mac.finalize().into_bytes());
    Ok(Signature { timestamp, sign })
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test};

    use super::*;

    fn message(payload: &str, config: &str) -> String {
        test::body::<Plugin>("case.created", payload, config).unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn signatures_are_those_of_the_attempt() {
        // Made by another implementation of HMAC.
        let table = [
            (
                "2026-03-22T08:30:01Z",
                "demo-secret",
                "1774168201",
                "CK2KGSNB1tbUENGZut2PnwC7G+sfH4uu5kgwgaV/reg=",
            ),
            (
                "2026-03-22T09:30:01.999Z",
                "漢字",
                "1774171801",
                "t+j/4nh80Nr7hEkU6ISjhj0yn+WD8rAZWluYdKkw54w=",
            ),
        ];
        for (attempted_at, secret, timestamp, sign) in table {
            let event = Event { attempted_at: attempted_at.to_owned(), ..test::event("a.b") };
            let config = format!(r#"{{"secret":"{secret}"}}"#);
            let verdict = test::call_with::<Plugin>(&event, &Message::json("{}"), &config);
            let Ok(Verdict::Replace(message)) = verdict else { panic!("{verdict:?}") };
            let body = String::from_utf8(message.body).expect("UTF-8");
            assert_eq!(test::text_at(&body, "/timestamp"), timestamp);
            assert_eq!(test::text_at(&body, "/sign"), sign);
        }
    }

    #[test]
    fn a_request_is_cut_at_its_bound_and_uses_it() {
        let config = r#"{"title":"T","text":"{t}","fields":[],"secret":"s"}"#;
        // One byte is that of a comma, which the first element does not need.
        let frame = message(&test::object("t", "x"), config).len() - 1 + 1;
        for text in test::around(20_000 - frame, FEISHU) {
            let body = message(&test::object("t", &text), config);
            assert!(body.len() <= 20_000, "{} bytes", body.len());
            let shown = test::text_at(&body, "/card/elements/0/text/content");
            test::assert_cut(&shown, &text, 20_000 - frame, FEISHU);
        }
    }

    #[test]
    fn nothing_makes_a_request_too_large() {
        let payload = |script: &str, length: usize| {
            let text = script.repeat(length / script.len());
            format!(r#"{{"t":"{text}","url":"https://e.test/{}"}}"#, "p".repeat(3_000))
        };
        let fields: Vec<String> = (0..100).map(|n| format!(r#"{{"label":"F{n}","path":"t"}}"#)).collect();
        for form in ["card", "post", "text"] {
            let config = format!(
                r#"{{"form":"{form}","title":"{{t}}","text":"{{t}}","fields":[{}],"link":{{"path":"url"}},"secret":"s"}}"#,
                fields.join(",")
            );
            for script in ["a", "漢", "😀", "e\u{301}", "&", "<at user_id=all>", r"\\n"] {
                let body = message(&payload(script, 6_000), &config);
                assert!((15_000..=20_000).contains(&body.len()), "{form} of {script}: {} bytes", body.len());
                assert!(
                    body.contains("fields are left out: the message would be too long for Feishu."),
                    "{body}"
                );
            }
            for length in [10, 60, 70, 80, 90, 100, 110, 120, 150, 300] {
                let body = message(&payload("é", length), &config);
                assert!(body.len() <= 20_000, "{form} of {length}: {} bytes", body.len());
                assert!(
                    length > 60 || !body.contains("left out"),
                    "{form} of {length}: {} bytes",
                    body.len()
                );
            }
        }
    }

    #[test]
    fn a_payload_mentions_nobody() {
        let payload = r#"{"a":"<at user_id=\"all\"></at> *b* [x](https://e.test)"}"#;
        let card = message(payload, r#"{"title":"{a}","text":"{a}","fields":[]}"#);
        assert_eq!(
            test::text_at(&card, "/card/elements/0/text/content"),
            "&#60;at user&#95;id=\"all\"&#62;&#60;/at&#62; &#42;b&#42; &#91;x&#93;(https://e.test)"
        );
        assert_eq!(test::text_at(&card, "/card/header/title/tag"), "plain_text");
        let text = message(payload, r#"{"form":"text","title":"{a}","fields":[]}"#);
        assert!(!text.contains("<at") && !text.contains("</at"), "{text}");
    }

    #[test]
    fn what_is_missing_leaves_no_hole() {
        for form in ["card", "post", "text"] {
            let config = format!(
                r#"{{"form":"{form}","title":"{{a}}","text":"{{b}}","fields":[{{"label":"X","path":"x"}}],"link":{{"path":"u"}}}}"#
            );
            for payload in ["{}", r#"{"a":" ","x":null,"u":"javascript:1"}"#, "7"] {
                let body = message(payload, &config);
                assert!(body.contains("case.created"), "{body}");
                assert!(!body.contains("javascript") && !body.contains(r#""X"#), "{body}");
            }
        }
        let card: serde_json::Value = serde_json::from_str(&message("{}", "{}")).expect("JSON");
        assert_eq!(card["card"]["elements"].as_array().map(Vec::len), Some(1), "a card needs an element");
    }

    #[test]
    fn the_secret_is_marked_in_the_schema() {
        let schema: serde_json::Value =
            serde_json::from_str(&test::describe::<Plugin>().config_schema).expect("the schema is JSON");
        assert_eq!(schema["properties"]["secret"]["writeOnly"], true);
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"form":"image"}"#, "/form"),
            (r#"{"title":"{a"}"#, "/title"),
            (r#"{"fields":[{"label":"a"}]}"#, "/fields/0"),
            (r#"{"secret":""}"#, "/secret"),
            (r#"{"sign":"x"}"#, "/sign"),
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
