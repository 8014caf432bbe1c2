//! What Feishu means: it answers 200 also where it refuses, and says so by a code in the body.

use hookwright_plugin::{
    Answer, Judgement,
    text::{Unit, cut},
};

pub(crate) fn judge(answer: &Answer) -> Judgement {
    if answer.fault().is_some() {
        return Judgement::ByStatus;
    }
    match code(answer) {
        Some(0) => Judgement::Delivered,
        Some(code) if THROTTLED.contains(&code) => retry(answer),
        Some(code) => match sentence(code) {
            Some(sentence) => Judgement::fail(format!("{sentence} (code {code}{})", said(answer))),
            None => Judgement::retry(),
        },
        // Success is a code of 0 and nothing else; a refusal without a code keeps its status.
        None if (200..300).contains(&answer.status) => Judgement::retry(),
        None => Judgement::ByStatus,
    }
}

/// Older bots answer `StatusCode`.
fn code(answer: &Answer) -> Option<i64> {
    let tree = answer.json()?;
    tree.get("code").or_else(|| tree.get("StatusCode"))?.as_i64()
}

/// After what the gateway says, if it does.
fn retry(answer: &Answer) -> Judgement {
    let seconds = answer.header("x-ogw-ratelimit-reset").and_then(|text| text.trim().parse().ok());
    seconds.map_or(Judgement::retry(), Judgement::retry_after)
}

/// What can be done about a refusal that will be repeated.
fn sentence(code: i64) -> Option<&'static str> {
    Some(match code {
        19021 => "Feishu refuses the signature: check the bot's secret in `secret`, and this server's clock",
        19001 => "Feishu does not know the bot: copy its URL again",
        19022 => "Feishu takes messages for this bot from listed addresses only: add this server's",
        19024 => "The bot demands a keyword that the message lacks: put it into `title`, or drop the demand",
        9499 | 19002 | 230_001 => "Feishu refuses a parameter of the message",
        11_246 | 230_099 => "Feishu refuses the card",
        _ => return None,
    })
}

/// Feishu's own words, short enough for a sentence.
fn said(answer: &Answer) -> String {
    let said = answer.json().and_then(|tree| tree.get("msg")?.as_text().map(|text| text.into_owned()));
    said.map_or_else(String::new, |said| format!(": {}", cut(&said, MAX_SAID, Unit::Chars)))
}

/// Too many messages for the bot, the tenant or the app.
const THROTTLED: [i64; 4] = [11_232, 11_233, 11_247, 99_991_400];
const MAX_SAID: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_judged_by_their_code() {
        let table = [
            (200, r#"{"code":0,"msg":"success","data":{}}"#, Judgement::Delivered),
            (200, r#"{"StatusCode":0,"StatusMessage":"success"}"#, Judgement::Delivered),
            (200, r#"{"code":11232,"msg":"frequency limited psm"}"#, Judgement::Retry(None)),
            (429, r#"{"code":99991400,"msg":"request trigger frequency limit"}"#, Judgement::Retry(None)),
            (200, r#"{"code":1500,"msg":"internal error"}"#, Judgement::Retry(None)),
            (500, r#"{"code":1500,"msg":"internal error"}"#, Judgement::Retry(None)),
            (200, "", Judgement::Retry(None)),
            (200, "<html>login</html>", Judgement::Retry(None)),
            (200, r#"{"msg":"success"}"#, Judgement::Retry(None)),
            (502, "<html>", Judgement::ByStatus),
            (0, "timeout", Judgement::ByStatus),
        ];
        for (status, body, judgement) in table {
            assert_eq!(judge(&Answer::new(status, body)), judgement, "{status} {body}");
        }
    }

    #[test]
    fn what_will_be_refused_again_fails_with_what_to_do() {
        for code in [19021, 19001, 19022, 19024, 9499, 19002, 230_001, 11_246, 230_099] {
            for status in [200, 400] {
                let judgement = judge(&Answer::new(status, format!(r#"{{"code":{code},"msg":"no"}}"#)));
                let Judgement::Fail(reason) = judgement else { panic!("{code}: {judgement:?}") };
                assert!(reason.ends_with(&format!("(code {code}: no)")), "{reason}");
            }
        }
    }

    #[test]
    fn a_throttle_says_when() {
        let answer = Answer::new(429, r#"{"code":99991400}"#).with_header("x-ogw-ratelimit-reset", "42");
        assert_eq!(judge(&answer), Judgement::Retry(Some(42)));
    }
}
