//! What a target answered, and what a plugin makes of it.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::json;

pub use crate::bindings::judging::receiver::Judgement;

/// The answer to a request, or why there was none: then the status is 0, and the body is one word that
/// [`fault`](Answer::fault) reads.
///
/// ```
/// use hookwright_plugin::{Answer, Fault};
///
/// let answer = Answer::new(200, r#"{"code":11232,"msg":"too many requests"}"#).with_header("X-Log-Id", "7");
/// let code = answer.json().and_then(|tree| tree.get("code")?.as_i64());
/// assert_eq!((code, answer.header("x-log-id"), answer.fault()), (Some(11232), Some("7"), None));
///
/// let silence = Answer::new(0, "timeout");
/// assert_eq!(silence.fault(), Some(Fault::Timeout));
/// assert!(silence.is_ambiguous());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// 100 to 599, or 0 where no answer came.
    pub status: u16,
    /// In the order of their arrival.
    pub headers: Vec<(String, String)>,
    /// What the host kept of it: a long body is cut.
    pub body: Vec<u8>,
}

/// Why no answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The request could not be sent as it is.
    InvalidRequest,
    /// Deliveries may not go to that address.
    RefusedAddress,
    /// The name has no address.
    Dns,
    /// No connection came about.
    Connect,
    /// The operator's proxy did not connect.
    Proxy,
    /// No TLS session came about.
    Tls,
    /// The deadline passed, perhaps after the request had arrived.
    Timeout,
    /// The receiver broke off, perhaps after the request had arrived, or answered something that is not HTTP.
    Protocol,
    /// A word that this version does not know.
    Other,
}

impl Answer {
    /// For tests: an answer without headers.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// For tests: with one more header.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The first header of this name, in whatever case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as text; what is not UTF-8 becomes U+FFFD.
    pub fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as a tree. Nothing where it is not JSON, as it is not where it was cut.
    pub fn json(&self) -> Option<json::Value<'_>> {
        json::parse(&self.body).ok()
    }

    /// The body as a type of your own, if it is JSON of that form.
    pub fn parse<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Why no answer came; nothing where one did.
    pub fn fault(&self) -> Option<Fault> {
        (self.status == 0).then(|| Fault::from_word(self.text().trim()))
    }

    /// True where the request may have been carried out although no answer says so: for a target that is not
    /// idempotent, another attempt could do it twice.
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.fault(), Some(Fault::Timeout | Fault::Protocol))
    }
}

impl Fault {
    fn from_word(word: &str) -> Self {
        match word {
            "invalid_request" => Fault::InvalidRequest,
            "refused_address" => Fault::RefusedAddress,
            "dns" => Fault::Dns,
            "connect" => Fault::Connect,
            "proxy" => Fault::Proxy,
            "tls" => Fault::Tls,
            "timeout" => Fault::Timeout,
            "protocol" => Fault::Protocol,
            _ => Fault::Other,
        }
    }
}

impl Judgement {
    /// Try again, on the endpoint's own schedule.
    pub fn retry() -> Self {
        Self::Retry(None)
    }

    /// Try again after this many seconds; a fraction counts as a whole one. What is no time, such as NaN or
    /// less than nothing, means the endpoint's own schedule.
    ///
    /// ```
    /// use hookwright_plugin::Judgement;
    ///
    /// assert_eq!(Judgement::retry_after(0.3), Judgement::Retry(Some(1)));
    /// assert_eq!(Judgement::retry_after(-1.0), Judgement::Retry(None));
    /// ```
    pub fn retry_after(seconds: f64) -> Self {
        let whole = seconds.ceil();
        // A float that is too large becomes the largest integer.
        Self::Retry((whole >= 0.0).then_some(whole as u32))
    }

    /// Failed for good. `reason` is a sentence.
    pub fn fail(reason: impl Into<String>) -> Self {
        Self::Fail(reason.into())
    }

    /// Failed for good, and the endpoint is disabled: whatever else is sent would fail as well. `reason` is a
    /// sentence.
    pub fn disable(reason: impl Into<String>) -> Self {
        Self::Disable(reason.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_words() {
        let table = [
            ("timeout", Fault::Timeout, true),
            ("protocol", Fault::Protocol, true),
            ("connect", Fault::Connect, false),
            ("dns", Fault::Dns, false),
            ("tls", Fault::Tls, false),
            ("proxy", Fault::Proxy, false),
            ("refused_address", Fault::RefusedAddress, false),
            ("invalid_request", Fault::InvalidRequest, false),
            ("moonlight", Fault::Other, false),
        ];
        for (word, fault, ambiguous) in table {
            let answer = Answer::new(0, word);
            assert_eq!((answer.fault(), answer.is_ambiguous()), (Some(fault), ambiguous), "{word}");
        }
        assert!(!Answer::new(504, "timeout").is_ambiguous());
    }

    #[test]
    fn waits_are_whole_seconds() {
        let table = [
            (0.0, Some(0)),
            (1.0, Some(1)),
            (64.57, Some(65)),
            (f64::NAN, None),
            (f64::NEG_INFINITY, None),
            (1e300, Some(u32::MAX)),
        ];
        for (seconds, expected) in table {
            assert_eq!(Judgement::retry_after(seconds), Judgement::Retry(expected), "{seconds}");
        }
    }

    #[test]
    fn a_body_that_is_not_json_is_none() {
        assert!(Answer::new(200, "{\"code\":").json().is_none());
        assert!(Answer::new(200, [0xff, 0xfe]).json().is_none());
        assert_eq!(Answer::new(200, "[1]").parse::<Vec<u8>>(), Some(vec![1]));
    }
}
