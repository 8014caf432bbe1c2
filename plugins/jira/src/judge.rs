//! What Jira's answer means. Making an issue cannot be repeated without making another one, so silence is no reason
//! to try again.

use hookwright_plugin::{
    Answer, Judgement,
    json::Value,
    text::{Unit, cut},
};

pub(crate) fn judge(answer: &Answer, retry_after_timeout: bool) -> Judgement {
    match answer.status {
        201 => Judgement::Delivered,
        400 => Judgement::fail(refusal(answer)),
        _ if may_be_made(answer) && !retry_after_timeout => Judgement::fail(UNKNOWN),
        _ => Judgement::ByStatus,
    }
}

/// 504 is the same silence, seen by a gateway.
fn may_be_made(answer: &Answer) -> bool {
    answer.is_ambiguous() || answer.status == 504
}

/// The same issue will be refused again, so the sentence has to say what to change.
fn refusal(answer: &Answer) -> String {
    let said = said(answer);
    if said.contains("CONTENT_LIMIT") {
        return format!("Jira refuses the issue, a text is too long for it: {said}");
    }
    match said.as_str() {
        "" => "Jira refuses the issue, and does not say why.".to_owned(),
        said => format!("Jira refuses the issue: {said}"),
    }
}

/// Jira's own words: sentences about the whole, and sentences about fields.
fn said(answer: &Answer) -> String {
    let Some(tree) = answer.json() else {
        return cut(answer.text().trim(), MAX_SAID, Unit::Chars).into_owned();
    };
    let mut said = Vec::new();
    if let Some(Value::Array(messages, _)) = tree.get("errorMessages") {
        said.extend(messages.iter().map(|message| message.display().into_owned()));
    }
    if let Some(Value::Object(fields, _)) = tree.get("errors") {
        said.extend(fields.iter().map(|(name, message)| format!("`{name}`: {}", message.display())));
    }
    cut(&said.join(" "), MAX_SAID, Unit::Chars).into_owned()
}

const UNKNOWN: &str = "No answer came, so that Jira may have made the issue or not. Look for one with the webhook-id of \
    this delivery as its label, and replay the delivery if there is none; `retry_after_timeout` tries again without asking.";
const MAX_SAID: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issue_is_made_once() {
        let table = [
            (201, r#"{"id":"10000","key":"ED-24"}"#, Judgement::Delivered),
            (200, "{}", Judgement::ByStatus),
            (401, "", Judgement::ByStatus),
            (429, "", Judgement::ByStatus),
            (500, "", Judgement::ByStatus),
            (503, "", Judgement::ByStatus),
            (0, "connect", Judgement::ByStatus),
            (0, "dns", Judgement::ByStatus),
            (0, "tls", Judgement::ByStatus),
            (0, "refused_address", Judgement::ByStatus),
            (0, "timeout", Judgement::fail(UNKNOWN)),
            (0, "protocol", Judgement::fail(UNKNOWN)),
            (504, "<html>", Judgement::fail(UNKNOWN)),
        ];
        for (status, body, judgement) in table {
            assert_eq!(judge(&Answer::new(status, body), false), judgement, "{status} {body}");
        }
        for (status, body) in [(0, "timeout"), (0, "protocol"), (504, "")] {
            assert_eq!(judge(&Answer::new(status, body), true), Judgement::ByStatus, "{status} {body}");
        }
    }

    #[test]
    fn a_refusal_says_what_jira_said() {
        let long = "x".repeat(1_000);
        let table = [
            (
                r#"{"errorMessages":["CONTENT_LIMIT_EXCEEDED"],"errors":{}}"#.to_owned(),
                "Jira refuses the issue, a text is too long for it: CONTENT_LIMIT_EXCEEDED".to_owned(),
            ),
            (
                r#"{"errorMessages":["No."],"errors":{"priority":"Specify a valid priority","project":"Unknown"}}"#.to_owned(),
                "Jira refuses the issue: No. `priority`: Specify a valid priority `project`: Unknown".to_owned(),
            ),
            (String::new(), "Jira refuses the issue, and does not say why.".to_owned()),
            ("{}".to_owned(), "Jira refuses the issue, and does not say why.".to_owned()),
            (long.clone(), format!("Jira refuses the issue: {}…", &long[..499])),
        ];
        for (body, reason) in table {
            assert_eq!(judge(&Answer::new(400, body.clone()), true), Judgement::Fail(reason), "{body}");
        }
    }
}
