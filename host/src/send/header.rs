//! Header names that belong to the host.

use http::HeaderName;

/// Whether neither an endpoint's custom headers nor a plugin may set this header: framing, which belongs to
/// the connection, and `webhook-*`, which belongs to the signature. The name may be in any case.
pub fn forbidden_request_header(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    name.starts_with("webhook-") || is_framing(&name)
}

/// Headers by which one message ends and the next begins: set by the connection alone.
pub(super) fn belongs_to_connection(name: &HeaderName) -> bool {
    is_framing(name.as_str())
}

fn is_framing(name: &str) -> bool {
    name.starts_with("proxy-") || name.starts_with(':') || FRAMING.contains(&name)
}

const FRAMING: &[&str] = &[
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_framing_and_signature_headers() {
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
            "webhook-id",
            "Webhook-Signature",
            "WEBHOOK-anything",
            " host ",
            ":authority",
            "http2-settings",
        ] {
            assert!(forbidden_request_header(name), "{name} should be forbidden");
        }
        for name in
            ["x-webhook-id", "authorization", "content-type", "user-agent", "x-host", "hosts", "teapot"]
        {
            assert!(!forbidden_request_header(name), "{name} should be free");
        }
    }
}
