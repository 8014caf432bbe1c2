//! Errors as RFC 9457 problem details: a stable `type`, a sentence for the person, and for input the places
//! that are wrong.

use std::fmt;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use crate::book::BookError;
use crate::ingest::IngestError;
use crate::store::StoreError;

pub const CONTENT_TYPE: &str = "application/problem+json";

/// Most places that one answer names.
const MAX_ERRORS: usize = 50;

/// The kinds of problems. Their words end up in `type` and stay as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It cannot be read as what it says it is.
    Malformed,
    Unauthorized,
    /// The key is good, and not for this.
    Forbidden,
    NotFound,
    MethodNotAllowed,
    Timeout,
    /// Another host on the same store does it.
    Elsewhere,
    Conflict,
    TooLarge,
    UnsupportedMediaType,
    /// It can be read and is not acceptable.
    Invalid,
    /// More than a quota allows.
    OverQuota,
    /// Too much at once.
    Overloaded,
    /// The store or the host cannot do its work.
    Unavailable,
    Internal,
}

impl Kind {
    pub fn word(self) -> &'static str {
        self.parts().1
    }

    pub fn status(self) -> StatusCode {
        self.parts().0
    }

    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Kind::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request cannot be read"),
            Kind::Unauthorized => (StatusCode::UNAUTHORIZED, "unauthorized", "A key is needed"),
            Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This key does not open it"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Kind::MethodNotAllowed => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Not with this method")
            }
            Kind::Timeout => (StatusCode::REQUEST_TIMEOUT, "timeout", "The request took too long to arrive"),
            Kind::Elsewhere => (
                StatusCode::MISDIRECTED_REQUEST,
                "elsewhere",
                "This server does not do that; another one does",
            ),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict", "It conflicts with what is there"),
            Kind::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The request is too large"),
            Kind::UnsupportedMediaType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "The content type is not supported",
            ),
            Kind::Invalid => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not acceptable"),
            Kind::OverQuota => {
                (StatusCode::TOO_MANY_REQUESTS, "over-quota", "It is more than the quota allows")
            }
            Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded", "Too much at once"),
            Kind::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "The server cannot do its work at the moment",
            ),
            Kind::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "Something is wrong with the server")
            }
        }
    }
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// RFC 6901 JSON Pointer into the request's body, or into what `of` names.
    pub pointer: String,
    pub message: String,
    /// What is wrong, where it is not the request: `endpoint ep_...`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
}

impl FieldError {
    pub fn new(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { pointer: pointer.into(), message: message.to_string(), of: None }
    }

    /// Of something else than the request.
    pub fn of(of: impl Into<String>, pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { of: Some(of.into()), ..Self::new(pointer, message) }
    }
}

/// An error answer.
#[derive(Debug, Clone)]
pub struct Problem {
    pub kind: Kind,
    /// A sentence for a person.
    pub detail: String,
    pub errors: Vec<FieldError>,
    /// When to come again, where that is known.
    pub retry_after: Option<Duration>,
    /// The sentence stands in `error` too, for clients that look there.
    pub in_a_word: bool,
}

/// How a problem is written.
#[derive(Debug, Serialize)]
pub struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), errors: Vec::new(), retry_after: None, in_a_word: false }
    }

    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(Kind::Malformed, detail)
    }

    /// The first error is the sentence. Of very many, the first ones and a count.
    pub fn invalid(mut errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [] => "The request is not acceptable.".to_owned(),
            [only] => sentence(only),
            [first, rest @ ..] => format!("{} ({} more in `errors`)", sentence(first), rest.len()),
        };
        if errors.len() > MAX_ERRORS {
            let more = errors.len() - MAX_ERRORS;
            errors.truncate(MAX_ERRORS);
            errors.push(FieldError::new("", format_args!("and {more} more")));
        }
        Self { errors, ..Self::new(Kind::Invalid, detail) }
    }

    pub fn field(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self::invalid(vec![FieldError::new(pointer, message)])
    }

    /// It is acceptable by itself, and does not go with what is there.
    pub fn conflict(pointer: impl Into<String>, message: impl fmt::Display) -> Self {
        Self { kind: Kind::Conflict, ..Self::field(pointer, message) }
    }

    pub fn in_a_word(self) -> Self {
        Self { in_a_word: true, ..self }
    }

    /// One sentence for the client, the cause for the log.
    pub fn internal(cause: &dyn fmt::Display) -> Self {
        tracing::error!(%cause, "a request failed");
        Self::new(Kind::Internal, "The server's log says more.")
    }

    pub fn document(&self) -> Document<'_> {
        let (status, word, title) = self.kind.parts();
        Document {
            kind: format!("/problems/{word}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            error: self.in_a_word.then_some(self.detail.as_str()),
            errors: &self.errors,
        }
    }
}

fn sentence(error: &FieldError) -> String {
    let places = [error.of.as_deref(), Some(error.pointer.as_str())].into_iter().flatten();
    let place: Vec<&str> = places.filter(|place| !place.is_empty()).collect();
    match place.is_empty() {
        true => error.message.clone(),
        false => format!("{}: {}", place.join(", "), error.message),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self.document()).unwrap_or_default();
        let mut response = Response::new(body.into());
        *response.status_mut() = self.kind.status();
        response.extensions_mut().insert(self.kind);
        let headers = response.headers_mut();
        if let Some(pause) = self.retry_after {
            headers.insert(header::RETRY_AFTER, retry_after(pause));
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hookwright\""));
        }
        // What is left of the body is not read, so the connection cannot go on.
        if matches!(self.kind, Kind::Timeout | Kind::TooLarge) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// What `Retry-After` says.
pub(super) fn retry_after(pause: Duration) -> HeaderValue {
    HeaderValue::from(whole_seconds(pause))
}

/// Rounded up.
pub(super) fn whole_seconds(pause: Duration) -> u64 {
    u64::try_from(pause.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(_) => Self::internal(&error),
            error => {
                tracing::error!(cause = %error, "the store failed a request");
                Self::new(Kind::Unavailable, "The store cannot do its work at the moment; try again.")
            }
        }
    }
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Store(error) => error.into(),
            BookError::Contended(_) => Self::new(Kind::Conflict, sentence_of(&error)),
            error => Self::internal(&error),
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Store(error) => error.into(),
            IngestError::Book(error) => error.into(),
            error @ (IngestError::Unsteady | IngestError::DiskLow) => {
                Self::new(Kind::Overloaded, error.to_string())
            }
            error @ IngestError::TooManyEndpoints { .. } => Self::new(Kind::Conflict, sentence_of(&error)),
        }
    }
}

fn sentence_of(error: &dyn fmt::Display) -> String {
    format!("{error}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_are_documents() {
        let problem = Problem::field("/url", "it is none");
        let text = serde_json::to_value(problem.document()).unwrap();
        assert_eq!(text["type"], "/problems/invalid");
        assert_eq!(text["status"], 422);
        assert_eq!(text["detail"], "/url: it is none");
        assert_eq!(text["errors"][0]["pointer"], "/url");
    }

    #[test]
    fn very_many_errors_are_counted() {
        let errors = |count| (0..count).map(|index| FieldError::new(format!("/{index}"), "x")).collect();
        assert_eq!(Problem::invalid(errors(50)).errors.len(), 50);
        let problem = Problem::invalid(errors(53));
        assert_eq!(problem.errors.len(), 51);
        assert_eq!(problem.errors[50], FieldError::new("", "and 3 more"));
        assert_eq!(problem.detail, "/0: x (52 more in `errors`)");
    }

    #[test]
    fn answers_carry_what_clients_need() {
        assert_eq!(retry_after(Duration::from_millis(1_001)), "2");
        let keyless = Problem::new(Kind::Unauthorized, "x").into_response();
        assert!(keyless.headers().contains_key("www-authenticate"));
        assert_eq!(keyless.headers()["content-type"], CONTENT_TYPE);
    }
}
