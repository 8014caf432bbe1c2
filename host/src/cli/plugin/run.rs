//! `plugin run`: one call.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::value::RawValue;

use super::case::{Case, Posted, Ran, Shaped};
use super::component::Component;
use super::outcome::{Expect, Outcome};
use crate::cli::argument::Text;
use crate::cli::json;
use crate::cli::screen::{Paint, indented, one_line, printable, say};
use crate::plugin::Verdict;

#[derive(Debug, clap::Args)]
pub struct Run {
    /// Folder of a project, which is built first, or a .wasm file
    #[arg(value_name = "DIR|FILE")]
    plugin: PathBuf,
    /// Configuration in JSON; `@file`, or `-` for stdin
    #[arg(long, value_name = "JSON", default_value = "{}", value_parser = Text::parse)]
    config: Text,
    /// Payload; `@file`, or `-` for stdin
    #[arg(long, value_name = "PAYLOAD", value_parser = Text::parse)]
    input: Text,
    /// Type of the event
    #[arg(long, value_name = "TYPE", default_value = "example")]
    event_type: String,
    /// Tenant of the event
    #[arg(long, default_value = "default")]
    tenant: String,
    /// Content type of the payload
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
}

/// For programs.
#[derive(Serialize)]
struct Report {
    outcome: Expect,
    log: Vec<Line>,
    time_us: u128,
    memory_peak: usize,
}

#[derive(Serialize)]
struct Line {
    level: &'static str,
    text: String,
}

impl Run {
    pub async fn run(self, json: bool) -> anyhow::Result<()> {
        let case = self.case()?;
        let loaded = Component::of(&self.plugin)?.load().await?;
        let ran = case.run(&loaded.plugin).await?;
        let text =
            if json { serde_json::to_string(&Report::of(&ran))? } else { shown(&ran, Paint::stdout()) };
        say(&text)?;
        match ran.outcome {
            Outcome::Failed(failure) => bail!("the plugin failed: {failure}"),
            Outcome::Refused(_) => bail!("the plugin refuses the configuration"),
            Outcome::Decided(_) | Outcome::Judged(_) => Ok(()),
        }
    }

    fn case(&self) -> anyhow::Result<Case> {
        let config = RawValue::from_string(self.config.read()?).context("the configuration is not JSON")?;
        let input = String::from_utf8(self.input.read_bytes()?);
        let mut case = Case {
            event: Some(Posted {
                event_type: Some(self.event_type.clone()),
                tenant: Some(self.tenant.clone()),
                ..Posted::default()
            }),
            config: Some(config),
            message: Some(Shaped { content_type: Some(self.content_type.clone()), ..Shaped::default() }),
            ..Case::default()
        };
        match input {
            Ok(text) => case.input_text = Some(self.checked(text)?),
            Err(error) => case.input_base64 = Some(data_encoding::BASE64.encode(error.as_bytes())),
        }
        Ok(case)
    }

    /// Whoever names a file without the `@` is told so, rather than the plugin asked what to make of its name.
    fn checked(&self, text: String) -> anyhow::Result<String> {
        let given = matches!(self.input, Text::Given(_)) && self.content_type.contains("json");
        if given && serde_json::from_str::<serde::de::IgnoredAny>(&text).is_err() {
            bail!("the input is not JSON; a file is named as `--input @{}`", one_line(&text));
        }
        Ok(text)
    }
}

impl Report {
    fn of(ran: &Ran) -> Self {
        let line =
            |line: &crate::plugin::LogLine| Line { level: line.level.as_str(), text: line.text.clone() };
        Self {
            outcome: ran.outcome.written(None),
            log: ran.log.iter().map(line).collect(),
            time_us: ran.time.as_micros(),
            memory_peak: ran.memory_peak,
        }
    }
}

fn shown(ran: &Ran, paint: Paint) -> String {
    let cost = format!("{:.2} ms, {} KiB of memory", ran.time.as_secs_f64() * 1e3, ran.memory_peak >> 10);
    let mut text = match &ran.outcome {
        Outcome::Decided(Verdict::Replace(message)) => {
            let mut text = format!("{}  {}\n", paint.good("replace"), one_line(&message.content_type));
            if message.method.is_some() || message.path_and_query.is_some() {
                let method = message.method.as_deref().unwrap_or("POST");
                text += &format!(
                    "{} {}\n",
                    one_line(method),
                    one_line(message.path_and_query.as_deref().unwrap_or(""))
                );
            }
            for (name, value) in &message.headers {
                text += &format!("{}: {}\n", one_line(name), one_line(value));
            }
            let body = String::from_utf8_lossy(&message.body);
            text + &printable(&json::pretty(&body).unwrap_or_else(|| body.into_owned())) + "\n"
        }
        other => printable(&other.written(None).lines()) + "\n",
    };
    for line in &ran.log {
        text += &indented("  ", &paint.dim(&format!("{}: {}", line.level.as_str(), one_line(&line.text))));
    }
    text + &paint.dim(&cost)
}
