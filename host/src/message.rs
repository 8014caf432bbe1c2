//! What goes out.

use bytes::Bytes;

/// Headers that a receiver sees and that the host alone sets.
pub const WEBHOOK_ID: &str = "webhook-id";
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// The part of a request that transforms may shape. Scheme, host and port are the endpoint's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// `None` means POST.
    pub method: Option<String>,
    /// `None` means the endpoint's own. Begins with `/`.
    pub path_and_query: Option<String>,
    pub content_type: String,
    /// In order of sending.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Message {
    /// The message that a chain begins with.
    pub fn of_payload(payload: Bytes) -> Self {
        Self {
            method: None,
            path_and_query: None,
            content_type: "application/json".to_owned(),
            headers: Vec::new(),
            body: payload,
        }
    }
}
