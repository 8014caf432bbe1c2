//! What a call came to, in the words of a case's `expect`, and how far two of them differ.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use similar::{ChangeTag, TextDiff};

use crate::cli::json;
use crate::cli::screen::{Paint, printable};
use crate::plugin::{ConfigError, Failure, FailureKind, Judgement, Message, Verdict};

const JSON: &str = "application/json";
/// Lines shown around a difference.
const CONTEXT: usize = 3;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The configuration was refused, so there was no call.
    Refused(Vec<ConfigError>),
    Decided(Verdict),
    Judged(Judgement),
    Failed(Failure),
}

/// As it is written in a file. What is left out of a message is none, but for `content_type`, which is then JSON's; a
/// failure's `message` that is left out may be any.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    judgement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Seconds until the next attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_and_query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    /// JSON, of which white space alone may differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    /// Byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Failed>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config_errors: Option<Vec<Wrong>>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Failed {
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Wrong {
    pointer: String,
    message: String,
}

impl Outcome {
    /// In the way that `like` is written, as far as there is a choice.
    pub fn written(&self, like: Option<&Expect>) -> Expect {
        let mut written = match self {
            Self::Refused(errors) => {
                Expect { config_errors: Some(errors.iter().map(Wrong::of).collect()), ..Expect::default() }
            }
            Self::Decided(verdict) => decided(verdict, like),
            Self::Judged(judgement) => judged(judgement),
            Self::Failed(failure) => Expect { failure: Some(Failed::of(failure)), ..Expect::default() },
        };
        // An expectation without a message takes any.
        let any =
            like.and_then(|like| like.failure.as_ref()).is_some_and(|failure| failure.message.is_none());
        if let Some(failure) = written.failure.as_mut().filter(|_| any) {
            failure.message = None;
        }
        written
    }
}

impl Expect {
    /// In lines, all that can be left out filled in.
    pub fn lines(&self) -> String {
        let mut whole = self.clone();
        if whole.verdict.as_deref() == Some("replace") {
            whole.content_type.get_or_insert_with(|| JSON.to_owned());
        }
        // Strings and JSON that was read: it can be written.
        let text = serde_json::to_string(&whole).unwrap_or_default();
        json::pretty(&text).unwrap_or(text)
    }

    /// The lines in which `came` differs, with some around them. `None` where it is what was expected.
    pub fn difference(&self, came: &Self, paint: Paint) -> Option<String> {
        let (expected, came) = (self.lines(), came.lines());
        (expected != came).then(|| difference(&expected, &came, paint))
    }
}

fn difference(expected: &str, came: &str, paint: Paint) -> String {
    let mut shown = String::new();
    let diff = TextDiff::from_lines(expected, came);
    for (number, group) in diff.grouped_ops(CONTEXT).iter().enumerate() {
        if number > 0 {
            shown += "  ...\n";
        }
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let line = printable(change.value().trim_end_matches('\n'));
            shown += &match change.tag() {
                ChangeTag::Delete => paint.bad(&format!("- {line}")),
                ChangeTag::Insert => paint.good(&format!("+ {line}")),
                ChangeTag::Equal => format!("  {line}"),
            };
            shown.push('\n');
        }
    }
    shown
}

fn decided(verdict: &Verdict, like: Option<&Expect>) -> Expect {
    let word = |word: &str, reason: Option<&String>| Expect {
        verdict: Some(word.to_owned()),
        reason: reason.cloned(),
        ..Expect::default()
    };
    match verdict {
        Verdict::Pass => word("pass", None),
        Verdict::Drop(reason) => word("drop", Some(reason)),
        Verdict::Reject(reason) => word("reject", Some(reason)),
        Verdict::Replace(message) => replaced(message, like),
    }
}

fn replaced(message: &Message, like: Option<&Expect>) -> Expect {
    let mut written = Expect {
        verdict: Some("replace".to_owned()),
        method: message.method.clone(),
        path_and_query: message.path_and_query.clone(),
        content_type: Some(message.content_type.clone()),
        headers: message.headers.clone(),
        ..Expect::default()
    };
    match std::str::from_utf8(&message.body) {
        Err(_) => written.base64 = Some(BASE64.encode(&message.body)),
        Ok(text) => {
            // A member that is `null` would be read as one that is not there.
            let as_text = text.trim() == "null" || like.is_some_and(|like| like.text.is_some());
            written.body = serde_json::from_str(text).ok().filter(|_| !as_text);
            written.text = written.body.is_none().then(|| text.to_owned());
        }
    }
    written
}

fn judged(judgement: &Judgement) -> Expect {
    let (word, reason, after) = match judgement {
        Judgement::ByStatus => ("by_status", None, None),
        Judgement::Delivered => ("delivered", None, None),
        Judgement::Retry(after) => ("retry", None, after.map(|after| after.as_secs())),
        Judgement::Fail(reason) => ("fail", Some(reason.clone()), None),
        Judgement::Disable(reason) => ("disable", Some(reason.clone()), None),
    };
    Expect { judgement: Some(word.to_owned()), reason, after, ..Expect::default() }
}

impl Failed {
    fn of(failure: &Failure) -> Self {
        let code = match &failure.kind {
            FailureKind::Error { code } => Some(code.clone()),
            _ => None,
        };
        Self { kind: failure.kind.as_str().to_owned(), code, message: Some(failure.message.clone()) }
    }
}

impl Wrong {
    fn of(error: &ConfigError) -> Self {
        Self { pointer: error.pointer.clone(), message: error.message.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expect(text: &str) -> Expect {
        serde_json::from_str(text).expect("an expectation")
    }

    fn message(content_type: &str, body: &'static [u8]) -> Message {
        Message {
            method: None,
            path_and_query: None,
            content_type: content_type.into(),
            headers: Vec::new(),
            body: bytes::Bytes::from_static(body),
        }
    }

    fn failure(message: &str) -> Outcome {
        let kind = FailureKind::Error { code: "bad-payload".into() };
        Outcome::Failed(Failure { kind, message: message.into() })
    }

    #[test]
    fn what_counts_and_what_does_not() {
        let json = |body| Outcome::Decided(Verdict::Replace(message(JSON, body)));
        for (outcome, text, same) in [
            (json(b"{\"a\":1.50}"), r#"{"verdict":"replace","body":{ "a" : 1.50 }}"#, true),
            (json(b"{\"a\":1.50}"), r#"{"verdict":"replace","body":{"a":1.5}}"#, false),
            (json(b"{\"a\":1,\"b\":2}"), r#"{"verdict":"replace","body":{"b":2,"a":1}}"#, false),
            (json(b"{\"a\":1}"), r#"{"verdict":"replace","text":"{\"a\":1}"}"#, true),
            (json(b"{\"a\": 1}"), r#"{"verdict":"replace","text":"{\"a\":1}"}"#, false),
            (json(b"\xff"), r#"{"verdict":"replace","base64":"/w=="}"#, true),
            (json(b"a=1"), r#"{"verdict":"replace","text":"a=1"}"#, true),
            (json(b"1"), r#"{"verdict":"replace","content_type":"text/plain","body":1}"#, false),
            (json(b"1"), r#"{"verdict":"replace","headers":[["x-a","1"]],"body":1}"#, false),
            (json(b"1"), r#"{"verdict":"pass"}"#, false),
            (Outcome::Decided(Verdict::Pass), r#"{"verdict":"pass"}"#, true),
            (Outcome::Decided(Verdict::Drop("no".into())), r#"{"verdict":"drop","reason":"no"}"#, true),
            (Outcome::Decided(Verdict::Drop("no".into())), r#"{"verdict":"reject","reason":"no"}"#, false),
            (Outcome::Judged(Judgement::Retry(None)), r#"{"judgement":"retry"}"#, true),
            (Outcome::Judged(Judgement::Retry(None)), r#"{"judgement":"retry","after":5}"#, false),
            (failure("x"), r#"{"failure":{"kind":"error","code":"bad-payload","message":"x"}}"#, true),
            (failure("x"), r#"{"failure":{"kind":"error","code":"bad-payload","message":"y"}}"#, false),
            (failure("x"), r#"{"failure":{"kind":"error","code":"bad-payload"}}"#, true),
            (failure("x"), r#"{"failure":{"kind":"trap"}}"#, false),
        ] {
            let expected = expect(text);
            let difference = expected.difference(&outcome.written(Some(&expected)), Paint::stdout());
            assert_eq!(difference.is_none(), same, "{text}: {difference:?}");
        }
    }

    #[test]
    fn a_difference_is_shown_in_its_lines() {
        let expected = expect(r#"{"verdict":"replace","body":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7}}"#);
        let came = expect(r#"{"verdict":"replace","body":{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":8}}"#);
        let shown = expected.difference(&came, Paint::stdout()).expect("a difference");
        assert_eq!(
            shown,
            "      \"d\": 4,\n      \"e\": 5,\n      \"f\": 6,\n-     \"g\": 7\n+     \"g\": 8\n    }\n  }\n"
        );
    }

    #[test]
    fn an_outcome_can_be_kept_as_the_expectation() {
        for outcome in [
            Outcome::Decided(Verdict::Replace(message("text/plain", b"a"))),
            Outcome::Decided(Verdict::Replace(message(JSON, b"null"))),
            Outcome::Decided(Verdict::Reject("never".into())),
            Outcome::Judged(Judgement::Disable("gone".into())),
            Outcome::Refused(vec![ConfigError { pointer: "/a".into(), message: "no".into() }]),
            failure("x"),
        ] {
            let kept = expect(&serde_json::to_string(&outcome.written(None)).expect("JSON"));
            assert_eq!(kept.difference(&outcome.written(Some(&kept)), Paint::stdout()), None, "{outcome:?}");
        }
    }
}
