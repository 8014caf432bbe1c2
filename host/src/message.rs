//! What goes out.

use bytes::Bytes;

/// Headers that a receiver sees and that the host alone sets.
pub const WEBHOOK_ID: &str = "webhook-id";
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

/// Whether the host alone sets this header, so that neither an endpoint's own headers nor a plugin may: framing, which
/// belongs to the connection; `webhook-*`, which belongs to the signature; `authorization`, which belongs to the
/// endpoint's authentication. The name may be in any case.
pub fn belongs_to_host(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    name.starts_with("webhook-") || name == "authorization" || belongs_to_connection(&name)
}

/// Whether one message ends and the next begins by this header, so that the connection alone sets it. In lower case.
pub fn belongs_to_connection(name: &str) -> bool {
    name.starts_with("proxy-") || name.starts_with(':') || FRAMING.contains(&name)
}

const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

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

    /// Whether its content type says that it is JSON.
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_told_by_its_content_type() {
        let of = |content_type: &str| {
            let content_type = content_type.to_owned();
            Message { content_type, ..Message::of_payload(Bytes::new()) }.is_json()
        };
        assert!(
            of("application/json") && of("Application/JSON; charset=utf-8") && of("application/x+json ;a=b")
        );
        assert!(!of("text/plain") && !of("application/x-ndjson") && !of("application/json5") && !of(""));
    }

    #[test]
    fn the_host_keeps_its_headers() {
        for name in [
            "Host",
            "content-length",
            "Transfer-Encoding",
            "connection",
            "TE",
            "upgrade",
            "expect",
            "trailer",
            "keep-alive",
            "Proxy-Authorization",
            "proxy-connection",
            "proxy-anything",
            "webhook-id",
            "Webhook-Signature",
            "WEBHOOK-anything",
            "Authorization",
            " host ",
            ":authority",
            "http2-settings",
        ] {
            assert!(belongs_to_host(name), "{name} is the host's");
        }
        for name in
            ["x-webhook-id", "x-authorization", "content-type", "user-agent", "x-host", "hosts", "teapot"]
        {
            assert!(!belongs_to_host(name), "{name} is free");
        }
    }
}
