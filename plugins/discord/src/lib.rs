//! `discord`: an embed for a channel of Discord, sent to a webhook's URL.

use hookwright_plugin::{
    card::{Field, Link, Outline},
    config::Check,
    prelude::*,
    text::{DISCORD, Dialect, Unit},
};

mod embeds;

use embeds::{Embed, Look};

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Text above the embed, in Discord's Markdown; what comes from the payload is escaped. Without it, none.
    pub content: Option<Template>,
    /// The heading. Where it comes to nothing, the event type stands there.
    pub title: Template,
    /// A paragraph below the heading, in Discord's Markdown; what comes from the payload is escaped.
    pub text: Option<Template>,
    /// Labels with values. Without it, the first values of the payload; an empty list shows none.
    #[schemars(length(max = 100))]
    pub fields: Option<Vec<Field>>,
    /// True where fields may stand beside each other.
    pub inline: bool,
    /// Where title and last line lead. Without it and without `fields`, the first URL of the payload.
    pub link: Option<Link>,
    /// The colour of the embed's edge, such as `#3366cc`. Without it, Discord's own.
    #[schemars(regex(pattern = "^#[0-9A-Fa-f]{6}$"))]
    pub color: Option<String>,
    /// Who the message seems to come from, at most 80 characters. Without it, the webhook's name.
    #[schemars(length(min = 1, max = 80))]
    pub username: Option<String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            content: None,
            title: Template::known("{@type}"),
            text: None,
            fields: None,
            inline: true,
            link: None,
            color: None,
            username: None,
        }
    }
}

hookwright_plugin::plugin! {
    summary: "Makes a Discord message with an embed, fields and a link, and reads how long to wait.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "An exported document",
            "document.exported",
            r#"{"document":{"doc_url":"https://yourinstance.recordengine.ai/api/document/42/view","vendor_name":"Acme_Supplies @everyone","invoice_number":"INV-2026-0042","total_amount":12500.00,"currency":"CNY"}}"#,
        )
        .config(r##"{"content":"**{document.vendor_name}** sent an invoice","title":"Invoice {document.invoice_number}","fields":[{"label":"Total","value":"{document.total_amount} {document.currency}"}],"link":{"path":"document.doc_url","label":"Open the document"},"color":"#3366cc"}"##)
        .becomes(
            r#"{"content":"**Acme\\_Supplies @everyone** sent an invoice","embeds":[{"title":"Invoice INV-2026-0042","url":"https://yourinstance.recordengine.ai/api/document/42/view","description":"[Open the document](https://yourinstance.recordengine.ai/api/document/42/view)","color":3368652,"fields":[{"name":"Total","value":"12500.00 CNY","inline":true}]}],"allowed_mentions":{"parse":[]}}"#,
        ),
        Example::new(
            "Without a configuration",
            "lead.captured",
            r#"{"event":"lead.captured","timestamp":"2026-03-26T15:30:00.000Z","data":{"name":"John Doe","email":"john@example.com"}}"#,
        )
        .becomes(
            r#"{"embeds":[{"title":"lead.captured","fields":[{"name":"Name","value":"John Doe","inline":true},{"name":"Email","value":"john@example.com","inline":true}]}],"allowed_mentions":{"parse":[]}}"#,
        ),
    ],
}

/// The body of a message.
#[derive(Serialize)]
struct Body {
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    embeds: Vec<Embed>,
    allowed_mentions: Mentions,
}

/// Nobody is notified, whatever the text says.
#[derive(Serialize)]
struct Mentions {
    parse: [&'static str; 0],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let outline = Outline {
        title: &config.title,
        text: config.text.as_ref(),
        fields: config.fields.as_deref(),
        link: config.link.as_ref(),
    };
    let content = config.content.as_ref();
    let content = content.map(|content| content.render_with(event, &payload, |found| DISCORD.escape(found)));
    let look = Look { color: config.color.as_deref().and_then(color), inline: config.inline };
    let body = Body {
        content: content
            .map(|content| DISCORD.cut(content.trim(), MAX_CONTENT).into_owned())
            .filter(|content| !content.is_empty()),
        username: config.username.clone(),
        embeds: embeds::write(&outline.fill(event, &payload, &DISCORD), &look),
        allowed_mentions: Mentions { parse: [] },
    };
    Verdict::json(message, &body)
}

/// Discord says how long to wait to the millisecond in the body; its header rounds. A webhook that is gone stays so,
/// and whoever goes on asking is shut out from all of Discord.
fn judge(answer: &Answer, _: &Config) -> Judgement {
    let member = |name: &str| answer.json().and_then(|tree| tree.get(name)?.as_f64());
    match answer.status {
        200 | 204 => Judgement::Delivered,
        429 => member("retry_after").map_or(Judgement::ByStatus, Judgement::retry_after),
        404 if member("code") == Some(UNKNOWN_WEBHOOK) => Judgement::disable(
            "Discord does not know the webhook any more; make a new one and change the URL.",
        ),
        401 if member("code") == Some(INVALID_TOKEN) => {
            Judgement::disable("Discord refuses the token in the webhook's URL; copy the URL again.")
        }
        _ => Judgement::ByStatus,
    }
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    Field::check_all(config.fields.as_deref().unwrap_or_default(), "/fields", &mut check);
    if let Some(text) = &config.color {
        check.demand(color(text).is_some(), "/color", "A colour is written like `#3366cc`.");
    }
    if let Some(username) = &config.username {
        let length = Dialect::plain(Unit::Utf16).measure(username);
        let holds = (1..=MAX_USERNAME).contains(&length) && !username.trim().is_empty();
        check.demand(holds, "/username", "A username has 1 to 80 characters.");
    }
    check.finish()
}

fn color(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok())?
}

const MAX_CONTENT: usize = 2_000;
const MAX_USERNAME: usize = 80;
/// Discord's own codes, in the body of a refusal.
const UNKNOWN_WEBHOOK: f64 = 10_015.0;
const INVALID_TOKEN: f64 = 50_027.0;

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
    fn texts_are_cut_at_the_bounds_of_discord() {
        let config = r#"{"content":"{t}","title":"{t}","text":"{t}","fields":[]}"#;
        let one = r#"{"title":"T","fields":[{"label":"L","path":"t"}]}"#;
        let bounds = [
            (config, "/content", 2_000),
            (config, "/embeds/0/title", 256),
            (config, "/embeds/0/description", 4_096),
            (one, "/embeds/0/fields/0/value", 1_024),
        ];
        for (config, pointer, limit) in bounds {
            for text in test::around(limit, DISCORD) {
                let body = message(&test::object("t", &text), config);
                test::assert_cut(&test::text_at(&body, pointer), &text, limit, DISCORD);
            }
        }
    }

    /// What Discord counts towards 6,000.
    fn total(body: &str) -> usize {
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        let embeds = body["embeds"].as_array().expect("embeds").clone();
        assert!((1..=10).contains(&embeds.len()), "{} embeds", embeds.len());
        let length = |value: &serde_json::Value| value.as_str().map_or(0, |text| text.encode_utf16().count());
        let of_fields = |embed: &serde_json::Value| {
            let fields = embed["fields"].as_array().cloned().unwrap_or_default();
            assert!(fields.len() <= 25);
            fields.iter().map(|field| length(&field["name"]) + length(&field["value"])).sum::<usize>()
        };
        let of = |embed: &serde_json::Value| {
            length(&embed["title"])
                + length(&embed["description"])
                + length(&embed["footer"]["text"])
                + of_fields(embed)
        };
        embeds.iter().map(of).sum()
    }

    #[test]
    fn all_embeds_together_stay_within_6000() {
        let fields: Vec<String> = (0..100).map(|n| format!(r#"{{"label":"F{n}","path":"t"}}"#)).collect();
        let config = |title: &str| {
            let fields = fields.join(",");
            format!(r#"{{"title":"{title}","text":"{{x}}","fields":[{fields}],"link":{{"path":"url"}}}}"#)
        };
        // The labels have 290 units, each value has 57, the title has the rest.
        for (title, fits) in [(9, true), (10, true), (11, false)] {
            for script in ["a", "漢", "😀", "e\u{301}"] {
                let each = script.encode_utf16().count();
                let text = format!("{}{}", "x".repeat(57 % each), script.repeat(57 / each));
                let body = message(&test::object("t", &text), &config(&"T".repeat(title)));
                assert!(total(&body) <= 6_000, "{title} and {script}: {}", total(&body));
                assert_eq!(total(&body) == 5_990 + title, fits, "{title} and {script}: {}", total(&body));
                assert_eq!(body.contains("fields are left out: the message"), !fits, "{body}");
            }
        }
        let long = "😀&_".repeat(10_000);
        let payload =
            format!(r#"{{"t":"{long}","x":"{long}","url":"https://e.test/{}"}}"#, "p".repeat(2_000));
        let body = message(&payload, &config("{x}"));
        assert!((5_000..=6_000).contains(&total(&body)), "{}", total(&body));
    }

    #[test]
    fn many_fields_go_into_several_embeds() {
        let fields: Vec<String> = (0..60).map(|n| format!(r#"{{"label":"F{n}","path":"v"}}"#)).collect();
        let body = message(r#"{"v":1.50}"#, &format!(r#"{{"fields":[{}]}}"#, fields.join(",")));
        let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        let counts: Vec<usize> =
            (0..3).filter_map(|n| body["embeds"][n]["fields"].as_array().map(Vec::len)).collect();
        assert_eq!(counts, [25, 25, 10]);
        assert_eq!(body["embeds"][2]["fields"][9]["value"], "1.50");
    }

    #[test]
    fn a_payload_mentions_nobody_and_links_nowhere() {
        let body = message(
            r#"{"a":"<@1> @everyone [x](https://e.test) ||s|| `c`"}"#,
            r#"{"content":"{a}","fields":[]}"#,
        );
        assert_eq!(
            test::text_at(&body, "/content"),
            r"\<@1\> @everyone \[x\](https://e.test) \|\|s\|\| \`c\`"
        );
        assert!(body.contains(r#""allowed_mentions":{"parse":[]}"#));
    }

    #[test]
    fn links_that_are_too_long_or_of_another_kind_are_left_out() {
        let config = r#"{"fields":[],"link":{"path":"u","label":" "}}"#;
        let long = |length: usize| format!("https://e.test/{}", "p".repeat(length - "https://e.test/".len()));
        let table = [(long(2_048), true), (long(2_049), false), ("javascript:1".to_owned(), false)];
        for (url, is_there) in table {
            let body = message(&test::object("u", &url), config);
            assert_eq!(body.contains(&format!("[Open]({url})")), is_there, "{body}");
            assert_eq!(body.contains(r#""url":"#), is_there, "{body}");
        }
    }

    #[test]
    fn answers_are_judged() {
        let limited = r#"{"message":"You are being rate limited.","retry_after":64.57,"global":false}"#;
        let table = [
            (204, "", Judgement::Delivered),
            (200, r#"{"id":"1"}"#, Judgement::Delivered),
            (429, limited, Judgement::Retry(Some(65))),
            (429, r#"{"retry_after":0.25}"#, Judgement::Retry(Some(1))),
            (429, "<html>error 1015</html>", Judgement::ByStatus),
            (400, r#"{"code":50035}"#, Judgement::ByStatus),
            (404, "", Judgement::ByStatus),
            (500, "", Judgement::ByStatus),
            (0, "timeout", Judgement::ByStatus),
        ];
        for (status, body, judgement) in table {
            assert_eq!(test::judge::<Plugin>(status, body, "{}"), judgement, "{status} {body}");
        }
        for (status, body) in [(404, r#"{"code":10015}"#), (401, r#"{"code":50027}"#)] {
            let judgement = test::judge::<Plugin>(status, body, "{}");
            assert!(matches!(judgement, Judgement::Disable(_)), "{status}: {judgement:?}");
        }
    }

    #[test]
    fn configurations_are_checked() {
        let long = format!(r#"{{"username":"{}"}}"#, "u".repeat(81));
        let table = [
            (r#"{"title":"{a"}"#, "/title"),
            (r#"{"fields":[{"label":"a"}]}"#, "/fields/0"),
            (r#"{"color":"red"}"#, "/color"),
            (r##"{"color":"#+12345"}"##, "/color"),
            (r#"{"username":""}"#, "/username"),
            (long.as_str(), "/username"),
            (r#"{"embeds":[]}"#, "/embeds"),
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
