//! Documentation that can be run.

use crate::{Message, Verdict};

pub use crate::bindings::types::Example;

/// An example begins with what goes in and says last what comes out; until then it expects
/// [`Verdict::Pass`].
///
/// ```
/// use hookwright_plugin::Example;
///
/// Example::new("A small payload", "contact.created", r#"{"name":"Acme"}"#)
///     .config(r#"{"path":"name"}"#)
///     .becomes(r#"{"text":"Acme"}"#);
/// ```
impl Example {
    /// A JSON payload of this event type, with an empty configuration.
    pub fn new(title: &str, event_type: &str, input: &str) -> Self {
        Self {
            title: title.to_owned(),
            config: "{}".to_owned(),
            event_type: event_type.to_owned(),
            input: input.as_bytes().to_vec(),
            expect: Verdict::Pass,
        }
    }

    /// The configuration, as JSON.
    #[must_use]
    pub fn config(mut self, json: &str) -> Self {
        json.clone_into(&mut self.config);
        self
    }

    /// The JSON body that comes out, byte for byte.
    #[must_use]
    pub fn becomes(self, body: &str) -> Self {
        self.comes_to(Verdict::Replace(Message::json(body)))
    }

    /// The message is dropped for this reason.
    #[must_use]
    pub fn drops(self, reason: &str) -> Self {
        self.comes_to(Verdict::drop(reason))
    }

    /// Any other verdict.
    #[must_use]
    pub fn comes_to(mut self, verdict: Verdict) -> Self {
        self.expect = verdict;
        self
    }
}
