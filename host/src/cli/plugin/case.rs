//! `cases/*.json`: an event, a configuration, and what is to come of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::outcome::{Expect, Outcome};
use crate::cli::json;
use crate::plugin::{Answer, Call, Event, LogLine, Message, Plugin, Run};
use crate::time::Timestamp;

const JSON: &str = "application/json";
/// As in the plugins' own examples: 2026-03-22T08:30:00Z, and the attempt began a second later.
const HAPPENED: Timestamp = Timestamp::from_secs(1_774_168_200);
const ONE_SECOND: Duration = Duration::from_secs(1);

/// A call of a plugin, with what it is expected to come to. Exactly one of the inputs, or an answer, is given.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Posted>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Box<RawValue>>,
    /// What an earlier link of a chain could have set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Shaped>,
    /// A payload in JSON, given to the plugin in the bytes that stand here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_base64: Option<String>,
    /// What a receiver answered, for a plugin that judges answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answered>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
}

#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Posted {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempted_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Shaped {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_and_query: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Answered {
    status: u16,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(String, String)>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    text: String,
}

/// What a case came to, and what that cost.
#[derive(Debug)]
pub struct Ran {
    pub outcome: Outcome,
    pub log: Vec<LogLine>,
    pub time: Duration,
    pub memory_peak: usize,
}

impl Case {
    /// # Errors
    ///
    /// Where the file is no case.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
        serde_json::from_str(&text).with_context(|| format!("{} is no case", path.display()))
    }

    /// Lays the case out in the file that it came from.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string(self)?;
        let text = json::pretty(&text).unwrap_or(text) + "\n";
        fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
    }

    /// Calls the plugin as a server would, which asks about the configuration first.
    ///
    /// # Errors
    ///
    /// Where the case says no call.
    pub async fn run(&self, plugin: &Plugin) -> anyhow::Result<Ran> {
        let config = self.config.as_deref().map_or("{}", RawValue::get);
        if let Err(errors) = plugin.check_config(config).await {
            let outcome = Outcome::Refused(errors);
            return Ok(Ran { outcome, log: Vec::new(), time: Duration::ZERO, memory_peak: 0 });
        }
        match &self.answer {
            Some(answer) => self.judge(plugin, answer, config).await,
            None => self.transform(plugin, config).await,
        }
    }

    async fn transform(&self, plugin: &Plugin, config: &str) -> anyhow::Result<Ran> {
        let moments = self.moments()?;
        let posted = self.event.clone().unwrap_or_default();
        let attributes: Vec<(String, String)> = posted.attributes.into_iter().collect();
        let event = Event {
            id: posted.id.as_deref().unwrap_or("evt_example"),
            event_type: posted.event_type.as_deref().unwrap_or("example"),
            tenant: posted.tenant.as_deref().unwrap_or("default"),
            timestamp: moments.0,
            attempted_at: moments.1,
            attempt: posted.attempt.unwrap_or(1),
            channels: &posted.channels,
            attributes: &attributes,
        };
        let message = self.message()?;
        let run = plugin.transform(Call { event, message: &message, config, seed: [0; 32] }).await;
        Ok(Ran::of(run, |result| result.map_or_else(Outcome::Failed, Outcome::Decided)))
    }

    async fn judge(&self, plugin: &Plugin, answer: &Answered, config: &str) -> anyhow::Result<Ran> {
        if !plugin.exports_judge() {
            bail!(
                "the plugin does not judge answers: it was built for the world `plugin`, not `destination`"
            );
        }
        let (timestamp, _) = self.moments()?;
        let run = plugin.judge(Answer {
            status: answer.status,
            headers: &answer.headers,
            body: answer.text.as_bytes(),
            config,
            timestamp,
            seed: [0; 32],
        });
        Ok(Ran::of(run.await, |result| result.map_or_else(Outcome::Failed, Outcome::Judged)))
    }

    /// When the event happened, and when the attempt began.
    fn moments(&self) -> anyhow::Result<(Timestamp, Timestamp)> {
        let event = self.event.as_ref();
        let read = |text: Option<&String>| text.map(|text| Timestamp::parse(text)).transpose();
        let happened = read(event.and_then(|event| event.timestamp.as_ref())).context("event.timestamp")?;
        let attempted =
            read(event.and_then(|event| event.attempted_at.as_ref())).context("event.attempted_at")?;
        let happened = happened.unwrap_or(HAPPENED);
        Ok((happened, attempted.unwrap_or_else(|| happened.plus(ONE_SECOND))))
    }

    fn message(&self) -> anyhow::Result<Message> {
        let shaped = self.message.as_ref();
        Ok(Message {
            method: shaped.and_then(|it| it.method.clone()),
            path_and_query: shaped.and_then(|it| it.path_and_query.clone()),
            content_type: shaped.and_then(|it| it.content_type.clone()).unwrap_or_else(|| JSON.to_owned()),
            headers: shaped.map(|it| it.headers.clone()).unwrap_or_default(),
            body: self.input()?,
        })
    }

    fn input(&self) -> anyhow::Result<Bytes> {
        match (&self.input, &self.input_text, &self.input_base64) {
            (Some(json), None, None) => Ok(json.get().to_owned().into()),
            (None, Some(text), None) => Ok(text.clone().into()),
            (None, None, Some(base64)) => {
                let bytes = BASE64.decode(base64.as_bytes());
                Ok(bytes.map_err(|error| anyhow!("input_base64 is no base64: {error}"))?.into())
            }
            _ => bail!("it takes one of `input`, `input_text`, `input_base64` and `answer`"),
        }
    }
}

impl Ran {
    fn of<T>(run: Run<T>, outcome: impl FnOnce(Result<T, crate::plugin::Failure>) -> Outcome) -> Self {
        Self { outcome: outcome(run.result), log: run.log, time: run.time, memory_peak: run.memory_peak }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(text: &str) -> Case {
        serde_json::from_str(text).expect("a case")
    }

    #[test]
    fn the_input_is_what_stands_there() {
        for (text, want) in [
            (r#"{"input":{ "n": 1.50 }}"#, Some(&b"{ \"n\": 1.50 }"[..])),
            (r#"{"input_text":"a=1"}"#, Some(b"a=1")),
            (r#"{"input_base64":"/w=="}"#, Some(b"\xff")),
            (r#"{"input_base64":"?"}"#, None),
            (r#"{"input":1,"input_text":"1"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(case(text).input().ok().as_deref(), want, "{text}");
        }
    }

    #[test]
    fn a_case_is_written_as_it_was_read() {
        let text = "{\n  \"title\": \"t\",\n  \"event\": {\n    \"type\": \"a\",\n    \"attributes\": {\n      \"webhook-id\": \"msg_1\"\n    }\n  },\n  \"config\": {\n    \"z\": 1.0,\n    \"a\": 2\n  },\n  \"input\": 12345678901234567890.10\n}\n";
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.json");
        case(text).write(&path).expect("to write");
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
        fs::write(&path, r#"{"imput":1}"#).expect("to write");
        let error = format!("{:#}", Case::read(&path).expect_err("to be refused"));
        assert!(error.contains("imput") && error.contains("a.json"), "{error}");
    }

    #[test]
    fn times_are_read_or_those_of_the_examples() {
        let (happened, attempted) = case("{}").moments().expect("times");
        assert_eq!(happened.to_string(), "2026-03-22T08:30:00Z");
        assert_eq!(attempted.to_string(), "2026-03-22T08:30:01Z");
        let (_, attempted) =
            case(r#"{"event":{"timestamp":"2026-01-01T00:00:00Z"}}"#).moments().expect("times");
        assert_eq!(attempted.to_string(), "2026-01-01T00:00:01Z");
        assert!(case(r#"{"event":{"timestamp":"soon"}}"#).moments().is_err());
    }
}
