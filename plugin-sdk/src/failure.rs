//! The error of a transform.

use std::fmt;

use crate::{ConfigError, bindings::types};

/// The plugin could not do its work. The endpoint's `on_failure` decides what follows: try again (the
/// default), fail the delivery, or send the message unchanged.
///
/// It is not for messages that an endpoint does not want ([`Verdict::drop`](crate::Verdict::drop)) or that
/// can never be delivered ([`Verdict::reject`](crate::Verdict::reject)).
///
/// `?` makes one from the errors of this crate and of serde_json.
///
/// ```
/// use hookwright_plugin::Failure;
///
/// let failure = Failure::new("no-amount", "The payload has no member \"amount\".");
/// assert_eq!(failure.to_string(), "The payload has no member \"amount\". (no-amount)");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// A stable word in `[a-z0-9_-]`, for programs.
    pub code: String,
    /// A sentence for the person who reads the attempt.
    pub message: String,
}

impl Failure {
    /// The payload is not what the plugin can work on.
    pub const BAD_PAYLOAD: &'static str = "bad-payload";
    /// The configuration is not one that `check-config` would accept.
    pub const BAD_CONFIG: &'static str = "bad-config";
    /// Something that is needed is not in the payload.
    pub const MISSING: &'static str = "missing";
    /// What came out cannot be written as JSON.
    pub const BAD_OUTPUT: &'static str = "bad-output";

    /// A failure with a stable `code` in `[a-z0-9_-]` and a sentence for a person.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.message, self.code)
    }
}

impl std::error::Error for Failure {}

impl From<crate::json::Error> for Failure {
    fn from(error: crate::json::Error) -> Self {
        Self::new(Self::BAD_PAYLOAD, format!("The payload is not JSON: {error}."))
    }
}

impl From<serde_json::Error> for Failure {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Self::BAD_PAYLOAD, format!("The payload is not of the expected form: {error}."))
    }
}

impl From<crate::time::Error> for Failure {
    fn from(error: crate::time::Error) -> Self {
        Self::new("bad-time", error.to_string())
    }
}

/// The first of the errors, since a person mends one at a time.
impl From<Vec<ConfigError>> for Failure {
    fn from(errors: Vec<ConfigError>) -> Self {
        let message = match errors.first() {
            Some(error) if error.pointer.is_empty() => error.message.clone(),
            Some(error) => format!("At {}: {}", error.pointer, error.message),
            None => "The configuration is refused.".to_owned(),
        };
        Self::new(Self::BAD_CONFIG, message)
    }
}

impl From<Failure> for types::Failure {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, message: failure.message }
    }
}
