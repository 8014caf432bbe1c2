//! Run a plugin in a test, natively and without a host.
//!
//! ```
//! # use hookwright_plugin::prelude::*;
//! # #[derive(Deserialize, JsonSchema)] pub struct Config {}
//! # fn pass(_: &Event, _: &Message, _: &Config) -> Result<Verdict> { Ok(Verdict::Pass) }
//! # hookwright_plugin::plugin! { summary: "Passes.", config: Config, transform: pass }
//! use hookwright_plugin::test;
//!
//! # fn main() -> Result<()> {
//! let verdict = test::call::<Plugin>("contact.created", r#"{"name":"Acme"}"#, "{}")?;
//! assert_eq!(verdict, Verdict::Pass);
//! # Ok(())
//! # }
//! ```
//!
//! The work happens as in the host, but for what only a component can do: bounds on time and memory.
//!
//! Targets have limits. [`around`] gives texts below, at and above one, in scripts that count differently, and
//! [`assert_cut`] says whether a text was cut as it should be:
//!
//! ```
//! use hookwright_plugin::{test, text::SLACK};
//!
//! for text in test::around(150, SLACK) {
//!     test::assert_cut(&SLACK.fit(&text, 150), &text, 150, SLACK);
//! }
//! ```

use crate::{
    Answer, ConfigError, Event, Failure, Judgement, Message, Plugin, Result, Verdict,
    bindings::types::Description, json, plugin, text::Dialect,
};

/// An event of this type, with fixed values elsewhere: tenant `default`, no channels, first attempt, said to
/// have happened at `2026-03-22T08:30:00Z`.
pub fn event(event_type: &str) -> Event {
    Event {
        id: "evt_example".to_owned(),
        event_type: event_type.to_owned(),
        tenant: "default".to_owned(),
        timestamp: "2026-03-22T08:30:00Z".to_owned(),
        attempted_at: "2026-03-22T08:30:01Z".to_owned(),
        attempt: 1,
        channels: Vec::new(),
        attributes: Vec::new(),
    }
}

/// Transforms a JSON payload with a configuration, also JSON.
///
/// # Errors
///
/// What the host would record: the plugin's failure, or that the configuration is refused.
pub fn call<P: Plugin>(event_type: &str, payload: &str, config: &str) -> Result<Verdict> {
    call_with::<P>(&event(event_type), &Message::json(payload), config)
}

/// As [`call`], with an event and a message of your own.
///
/// # Errors
///
/// As [`call`].
pub fn call_with<P: Plugin>(event: &Event, message: &Message, config: &str) -> Result<Verdict> {
    plugin::check_config::<P>(config)?;
    plugin::transform::<P>(event, message, config)
}

/// As [`call`], and gives the text of the body that replaces the payload.
///
/// # Errors
///
/// As [`call`], and where the verdict is another than to replace.
pub fn body<P: Plugin>(event_type: &str, payload: &str, config: &str) -> Result<String> {
    match call::<P>(event_type, payload, config)? {
        Verdict::Replace(message) => Ok(String::from_utf8_lossy(&message.body).into_owned()),
        verdict => Err(Failure::new("not-replaced", format!("The verdict is {verdict:?}."))),
    }
}

/// What the plugin makes of an answer with this status and body; status 0 and one word mean that none came.
pub fn judge<P: Plugin>(status: u16, body: &str, config: &str) -> Judgement {
    judge_with::<P>(&Answer::new(status, body), config)
}

/// As [`judge`], with an answer of your own.
pub fn judge_with<P: Plugin>(answer: &Answer, config: &str) -> Judgement {
    plugin::judge::<P>(answer, config)
}

/// What is wrong with a configuration, as the host would say when an endpoint is created.
pub fn config_errors<P: Plugin>(config: &str) -> Vec<ConfigError> {
    plugin::check_config::<P>(config).err().unwrap_or_default()
}

/// What the plugin says of itself.
pub fn describe<P: Plugin>() -> Description {
    plugin::describe::<P>()
}

/// Runs every example of the plugin, and checks the rest of its description.
///
/// # Panics
///
/// Where an example comes to something else, or there is none.
pub fn run_examples<P: Plugin>() {
    let description = describe::<P>();
    assert!(!description.examples.is_empty(), "the plugin {:?} has no examples", P::NAME);
    assert!(description.summary.ends_with('.'), "the summary is not a sentence: {:?}", P::SUMMARY);
    for example in description.examples {
        let input = Message::json(example.input);
        let verdict = call_with::<P>(&event(&example.event_type), &input, &example.config)
            .unwrap_or_else(|failure| panic!("example {:?} failed: {failure}", example.title));
        assert_eq!(readable(&verdict), readable(&example.expect), "example {:?}", example.title);
        assert_eq!(verdict, example.expect, "example {:?}", example.title);
    }
}

/// Texts that measure just below, exactly and just above `limit` once they are escaped: of plain letters, of CJK, of
/// surrogate pairs, of letters with combining accents, and of what the target escapes.
pub fn around(limit: usize, dialect: Dialect) -> Vec<String> {
    const SCRIPTS: [&str; 6] = ["a", "漢", "😀", "e\u{301}", "&", "\""];
    let mut texts = Vec::new();
    for script in SCRIPTS {
        for goal in [limit.saturating_sub(1), limit, limit + 1, limit * 2] {
            texts.push(of_length(script, goal, dialect));
        }
    }
    texts
}

/// Letters for what is left where the script's own characters are too long.
fn of_length(script: &str, goal: usize, dialect: Dialect) -> String {
    let each = dialect.measure(&dialect.escape(script)).max(1);
    format!("{}{}", "x".repeat(goal % each), script.repeat(goal / each))
}

/// Checks what became of `text` where it has `limit` units: the whole of it, escaped, or as much of that as fits
/// with an ellipsis.
///
/// # Panics
///
/// Where it is neither.
pub fn assert_cut(sent: &str, text: &str, limit: usize, dialect: Dialect) {
    let whole = dialect.escape(text);
    if dialect.measure(&whole) <= limit {
        assert_eq!(sent, whole, "a text within {limit} was changed");
        return;
    }
    let length = dialect.measure(sent);
    assert!(length <= limit, "{length} > {limit}: {sent}");
    let kept = sent.strip_suffix('…').unwrap_or_else(|| panic!("no ellipsis within {limit}: {sent}"));
    assert!(whole.starts_with(kept), "within {limit} it became another text: {sent}");
    // What is missing is the ellipsis, and at most one character with its escape or its accent.
    assert!(length + 12 > limit, "{length} is far below {limit}: {sent}");
}

/// A JSON object with one member, a text.
pub fn object(name: &str, text: &str) -> String {
    let mut out = String::from("{");
    json::escape(name, &mut out);
    out.push(':');
    json::escape(text, &mut out);
    out.push('}');
    out
}

/// The text at a JSON Pointer of a document.
///
/// # Panics
///
/// Where none is there.
pub fn text_at(document: &str, pointer: &str) -> String {
    let tree: serde_json::Value =
        serde_json::from_str(document).unwrap_or_else(|error| panic!("{error}: {document}"));
    let value = tree.pointer(pointer).unwrap_or_else(|| panic!("nothing at {pointer} of {document}"));
    value.as_str().unwrap_or_else(|| panic!("no text at {pointer} of {document}")).to_owned()
}

/// A body as text, because a list of numbers helps nobody.
fn readable(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Replace(message) => String::from_utf8_lossy(&message.body).into_owned(),
        verdict => format!("{verdict:?}"),
    }
}
