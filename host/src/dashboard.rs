//! The pages for people, at `/`: files that are embedded in the program, and what a browser has to know about them.
//!
//! The pages speak the interface under `/v1` as any other client does, and hold no privilege of their own. A build for
//! development reads them from the source tree at each request instead.

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use crate::config::{DashboardSettings, Origin};

mod files;

use self::files::Page;

const INDEX: &str = "index.html";

/// What pages may load and do: what comes from here, and nothing that stands in a page itself.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors ";

/// What every answer says beside its policy.
const SAFETY: [(HeaderName, &str); 3] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The pages, unless the settings say that there are none.
pub fn router<S: Clone + Send + Sync + 'static>(settings: &DashboardSettings) -> Router<S> {
    if !settings.enabled {
        return Router::new();
    }
    let policy: Arc<str> = policy(&settings.frame_ancestors).into();
    Router::new().route("/", get(index)).route("/dashboard/{*path}", get(file)).with_state(policy)
}

async fn index(State(policy): State<Arc<str>>, headers: HeaderMap) -> Response {
    answer(INDEX, &policy, &headers)
}

async fn file(State(policy): State<Arc<str>>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    answer(&path, &policy, &headers)
}

fn answer(path: &str, policy: &str, asked: &HeaderMap) -> Response {
    let mut response = match files::page(path) {
        Some(page) => show(&page, asked),
        None => (StatusCode::NOT_FOUND, "There is no such page.\n").into_response(),
    };
    let headers = response.headers_mut();
    for (name, value) in SAFETY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn show(page: &Page, asked: &HeaderMap) -> Response {
    let mut response = Response::default();
    let packed = page.packed.as_ref().filter(|_| takes_gzip(asked));
    // Each form of a page has a mark of its own.
    let mark =
        if packed.is_some() { format!("\"{}-gzip\"", page.mark) } else { format!("\"{}\"", page.mark) };
    let known = is_known(asked, &mark);
    let headers = response.headers_mut();
    if let Ok(mark) = HeaderValue::from_str(&mark) {
        headers.insert(header::ETAG, mark);
    }
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    if packed.is_some() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *response.body_mut() = packed.unwrap_or(&page.content).clone().into();
    response
}

/// A client that refuses it says so by a weight of nothing.
fn takes_gzip(asked: &HeaderMap) -> bool {
    let given = asked.get_all(header::ACCEPT_ENCODING).into_iter().filter_map(|value| value.to_str().ok());
    given.flat_map(|value| value.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip") || name == "*");
        let weight = parts.find_map(|part| part.strip_prefix("q=").or(part.strip_prefix("Q=")));
        named && weight.is_none_or(|weight| weight.trim().parse::<f32>().is_ok_and(|weight| weight > 0.0))
    })
}

/// Whether the client has it in this very form.
fn is_known(asked: &HeaderMap, mark: &str) -> bool {
    let given = asked.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    given
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == mark)
}

fn policy(frame_ancestors: &[Origin]) -> String {
    let ancestors: Vec<&str> = frame_ancestors.iter().map(Origin::as_str).collect();
    format!("{POLICY}{}", if ancestors.is_empty() { Cow::from("'none'") } else { ancestors.join(" ").into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    #[test]
    fn gzip_is_for_those_who_take_it() {
        for (value, takes) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5, br", true),
            ("*", true),
            ("gzip;q=0", false),
            ("gzip; q=0.0", false),
            ("identity", false),
            ("", false),
            ("xgzip", false),
        ] {
            assert_eq!(takes_gzip(&headers(header::ACCEPT_ENCODING, value)), takes, "{value}");
        }
        assert!(!takes_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_page_that_is_known_is_not_sent_again() {
        for (value, known) in [
            ("\"a\"", true),
            ("W/\"a\"", true),
            ("\"b\", \"a\"", true),
            ("*", true),
            ("\"b\"", false),
            ("a", false),
        ] {
            assert_eq!(is_known(&headers(header::IF_NONE_MATCH, value), "\"a\""), known, "{value}");
        }
    }

    #[test]
    fn frames_are_for_those_who_are_named() {
        let origins = ["https://a.example", "http://localhost:3000"].map(|text| Origin::parse(text).unwrap());
        assert!(policy(&[]).ends_with("; frame-ancestors 'none'"));
        assert!(policy(&origins).ends_with("; frame-ancestors https://a.example http://localhost:3000"));
    }
}
