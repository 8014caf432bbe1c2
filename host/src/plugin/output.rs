//! What a plugin may send: the check between its verdict and the wire.

use http::{HeaderName, HeaderValue, Method};

use super::limits::Bounds;
use super::text::clean;
use super::{Failure, FailureKind, Message};
use crate::message::belongs_to_host;

/// Most headers of one message.
const HEADERS: usize = 100;
/// Most bytes of all names and values together.
const HEADER_BYTES: usize = 32 << 10;
/// Most bytes of a path with its query.
const PATH_BYTES: usize = 8 << 10;
/// Most bytes of guest text in a sentence about it.
const QUOTED: usize = 100;

pub(super) fn check(message: Message, bounds: &Bounds<'_>) -> Result<Message, Failure> {
    if message.body.len() > bounds.output.value {
        return Err(too_large(bounds));
    }
    check_target(&message).and_then(|()| check_headers(&message)).map_err(bad)?;
    Ok(message)
}

pub(super) fn too_large(bounds: &Bounds<'_>) -> Failure {
    Failure {
        kind: FailureKind::OutputLimit,
        message: format!(
            "the plugin gave back more than its output limit of {} bytes ({})",
            bounds.output.value,
            bounds.place("output", &bounds.output)
        ),
    }
}

fn bad(message: String) -> Failure {
    Failure { kind: FailureKind::BadOutput, message }
}

fn check_target(message: &Message) -> Result<(), String> {
    if let Some(method) = &message.method {
        check_method(method)?;
    }
    if let Some(path) = &message.path_and_query {
        check_path(path)?;
    }
    Ok(())
}

fn check_method(method: &str) -> Result<(), String> {
    match Method::from_bytes(method.as_bytes()) {
        Ok(method) if method != Method::CONNECT => Ok(()),
        _ => Err(format!(
            "the plugin set the method {}, which cannot be sent; use one such as POST or PUT",
            quoted(method)
        )),
    }
}

/// `//host/path` would be read as another host by whoever joins it to a URL.
fn check_path(path: &str) -> Result<(), String> {
    let valid = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('#')
        && path.len() <= PATH_BYTES
        && path.parse::<http::uri::PathAndQuery>().is_ok();
    valid.then_some(()).ok_or_else(|| {
        format!(
            "the plugin set the path {}; it has to begin with one `/`, be percent-encoded and have at most \
             {PATH_BYTES} bytes",
            quoted(path)
        )
    })
}

fn check_headers(message: &Message) -> Result<(), String> {
    check_content_type(&message.content_type)?;
    if message.headers.len() > HEADERS {
        return Err(format!("the plugin set {} headers, and {HEADERS} are allowed", message.headers.len()));
    }
    let bytes: usize = message.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > HEADER_BYTES {
        return Err(format!("the plugin set {bytes} bytes of headers, and {HEADER_BYTES} are allowed"));
    }
    message.headers.iter().try_for_each(|(name, value)| check_header(name, value))
}

fn check_content_type(content_type: &str) -> Result<(), String> {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let valid = essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
        && HeaderValue::from_str(content_type).is_ok();
    valid.then_some(()).ok_or_else(|| {
        format!(
            "the plugin set the content type {}; it has to be one such as `application/json`",
            quoted(content_type)
        )
    })
}

/// Header names and media types are made of the same characters.
fn is_token(text: &str) -> bool {
    HeaderName::from_bytes(text.as_bytes()).is_ok()
}

fn check_header(name: &str, value: &str) -> Result<(), String> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        return Err(format!("the plugin set a header named {}, which is no header name", quoted(name)));
    };
    if parsed == http::header::CONTENT_TYPE {
        return Err("the plugin set the header `content-type`; the message has a field for it".into());
    }
    if belongs_to_host(parsed.as_str()) {
        return Err(format!("the plugin set the header `{parsed}`, which belongs to the host"));
    }
    match HeaderValue::from_str(value) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!(
            "the plugin gave the header `{parsed}` a value with characters that no header may have"
        )),
    }
}

fn quoted(text: &str) -> String {
    format!("`{}`", clean(text, QUOTED))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::plugin::limits::Limits;
    use crate::terms::Allowance;

    fn bounds() -> Bounds<'static> {
        Limits::default().bounds("p", Allowance::default())
    }

    fn message() -> Message {
        Message {
            method: Some("PUT".into()),
            path_and_query: Some("/a/b?c=d".into()),
            content_type: "application/json; charset=utf-8".into(),
            headers: vec![("x-kind".into(), "lead".into())],
            body: Bytes::from_static(b"{}"),
        }
    }

    fn refused(change: impl FnOnce(&mut Message)) -> Failure {
        let mut message = message();
        change(&mut message);
        check(message, &bounds()).expect_err("to be refused")
    }

    #[test]
    fn a_proper_message_goes_through_unchanged() {
        assert_eq!(check(message(), &bounds()), Ok(message()));
    }

    #[test]
    fn the_hosts_headers_are_refused_by_name() {
        for name in [
            "Authorization",
            "webhook-id",
            "Webhook-Anything",
            "Proxy-Anything",
            "HOST",
            "Content-Length",
            "te",
        ] {
            let failure = refused(|message| message.headers.push((name.into(), "1".into())));
            assert_eq!(failure.kind, FailureKind::BadOutput);
            assert!(failure.message.contains(&name.to_lowercase()), "{failure}");
        }
    }

    #[test]
    fn what_would_break_the_request_is_refused() {
        let header = |name: &str, value: &str| {
            let pair = (name.to_owned(), value.to_owned());
            refused(|message| message.headers.push(pair))
        };
        for failure in [
            header("x-a", "1\r\nwebhook-id: 2"),
            header("x a", "1"),
            header("", "1"),
            header("content-type", "text/plain"),
            header("x-long", &"a".repeat(HEADER_BYTES)),
            refused(|message| message.headers = vec![("x-a".into(), String::new()); HEADERS + 1]),
            refused(|message| message.method = Some("GET / HTTP/1.1\r\n".into())),
            refused(|message| message.method = Some("CONNECT".into())),
            refused(|message| message.method = Some(String::new())),
            refused(|message| message.path_and_query = Some("https://example.com/".into())),
            refused(|message| message.path_and_query = Some("//example.com/".into())),
            refused(|message| message.path_and_query = Some("/a b".into())),
            refused(|message| message.path_and_query = Some(String::new())),
            refused(|message| message.content_type = "json".into()),
            refused(|message| message.content_type = "a/b\r\nx: y".into()),
        ] {
            assert_eq!(failure.kind, FailureKind::BadOutput, "{failure}");
            assert!(!failure.message.contains('\n'), "{failure}");
        }
    }

    #[test]
    fn the_body_has_a_limit_too() {
        let large = Bytes::from(vec![0; Limits::default().output_limit + 1]);
        let failure = refused(|message| message.body = large);
        assert_eq!(failure.kind, FailureKind::OutputLimit);
    }
}
