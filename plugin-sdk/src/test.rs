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

use crate::{
    ConfigError, Event, Failure, Message, Plugin, Result, Verdict, bindings::types::Description, plugin,
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

/// A body as text, because a list of numbers helps nobody.
fn readable(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Replace(message) => String::from_utf8_lossy(&message.body).into_owned(),
        verdict => format!("{verdict:?}"),
    }
}
