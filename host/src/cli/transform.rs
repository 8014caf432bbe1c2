//! `transform`: what a chain makes of an event, and what would be sent.

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::argument::{self, Text};
use super::client::Connection;
use super::delivery::{self, Body, PluginRun, Request};
use super::endpoint;
use super::screen::{Paint, one_line, say};

const PATH: &str = "/v1/transform";

/// Run a chain of plugins on an event, and send nothing
///
/// The chain is an endpoint's, or the plugins that are named here, in their order. Both together try those plugins in
/// place of the endpoint's chain.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("chain").args(["endpoint", "plugin"]).required(true).multiple(true))]
#[command(group = clap::ArgGroup::new("what").args(["event", "input"]).required(true))]
pub struct Transform {
    /// Id or name
    #[arg(long)]
    endpoint: Option<String>,
    /// A plugin, such as flatten; may be repeated
    #[arg(long, value_name = "NAME")]
    plugin: Vec<String>,
    /// Its configuration: the first one is the first plugin's, and so on [default: {}]
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-", requires = "plugin")]
    config: Vec<Text>,
    /// A stored event: evt_...
    #[arg(long)]
    event: Option<String>,
    /// The payload of an event that is made up for this
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-")]
    input: Option<Text>,
    /// Its type
    #[arg(long = "type", value_name = "TYPE", default_value = "test", conflicts_with = "event")]
    event_type: String,
    /// When the attempt would begin, in RFC 3339 [default: now]
    #[arg(long, value_parser = argument::time, value_name = "TIME")]
    at: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Serialize)]
struct DryRun<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transforms: Option<Vec<Link<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempted_at: Option<&'a str>,
}

#[derive(Serialize)]
struct Link<'a> {
    plugin: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct Rehearsed {
    links: Vec<LinkRun>,
    request: Option<Request>,
    outcome: Option<String>,
    reason: Option<String>,
    hint: Option<String>,
}

#[derive(Deserialize)]
struct LinkRun {
    #[serde(flatten)]
    run: PluginRun,
    memory_bytes: u64,
    reason: Option<String>,
    message: Message,
}

#[derive(Deserialize)]
struct Message {
    method: String,
    path_and_query: Option<String>,
    content_type: String,
    headers: Vec<(String, String)>,
    body: Body,
}

impl Transform {
    /// # Errors
    ///
    /// Where the chain fails or rejects the event too, once it is shown.
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let endpoint = match &self.endpoint {
            Some(named) => Some(endpoint::find(&client, named).await?),
            None => None,
        };
        let answer = client.post(PATH, serde_json::to_string(&self.body(endpoint)?)?).await?;
        let rehearsed: Rehearsed = answer.read()?;
        if self.connection.json {
            answer.print()?;
        } else {
            say(&rehearsed.shown(Paint::stdout()))?;
        }
        match rehearsed.outcome.as_deref() {
            None | Some("filtered") => Ok(()),
            Some(outcome) => bail!("nothing would be sent: {}", one_line(outcome)),
        }
    }

    fn body(&self, endpoint: Option<String>) -> anyhow::Result<DryRun<'_>> {
        anyhow::ensure!(self.config.len() <= self.plugin.len(), "there are more --config than --plugin");
        let payload = self.input.as_ref().map(|text| raw(text, "--input")).transpose()?;
        Ok(DryRun {
            endpoint,
            transforms: if self.plugin.is_empty() { None } else { Some(self.links()?) },
            event: self.event.as_deref(),
            event_type: payload.is_some().then_some(self.event_type.as_str()),
            payload,
            attempted_at: self.at.as_deref(),
        })
    }

    fn links(&self) -> anyhow::Result<Vec<Link<'_>>> {
        let mut configs = self.config.iter();
        let link = |plugin| {
            let config = configs.next().map(|text| raw(text, "--config")).transpose()?;
            Ok(Link { plugin, config })
        };
        self.plugin.iter().map(String::as_str).map(link).collect()
    }
}

fn raw(text: &Text, name: &str) -> anyhow::Result<Box<RawValue>> {
    RawValue::from_string(text.read()?.trim().to_owned()).with_context(|| format!("{name} is not JSON"))
}

impl Rehearsed {
    fn shown(&self, paint: Paint) -> String {
        let mut text = String::new();
        for link in &self.links {
            text += &link.shown(paint);
        }
        match (&self.request, &self.outcome) {
            (Some(request), _) => text += &format!("\n{}\n{}", paint.bold("Would be sent"), request.shown()),
            (None, outcome) => {
                let outcome = outcome.as_deref().unwrap_or("nothing");
                text += &format!("\n{}: {}\n", paint.bold("Would not be sent"), one_line(outcome));
            }
        }
        for (name, line) in [("", &self.reason), ("hint: ", &self.hint)] {
            if let Some(line) = line {
                text += &format!("  {name}{}\n", one_line(line));
            }
        }
        text
    }
}

impl LinkRun {
    fn shown(&self, paint: Paint) -> String {
        let Self { run, memory_bytes, reason, message } = self;
        let mut text = format!("{}\n{}", paint.bold(&one_line(&run.plugin)), run.shown());
        text += &format!("    {} KiB of memory\n", memory_bytes >> 10);
        if let Some(reason) = reason {
            text += &format!("    {}\n", one_line(reason));
        }
        if run.verdict == "replace" {
            let mut headers = vec![("content-type".to_owned(), message.content_type.clone())];
            headers.extend(message.headers.iter().cloned());
            let target = message.path_and_query.as_deref().unwrap_or_default();
            let head = format!("= {} {}", one_line(&message.method), one_line(target));
            text += &delivery::part(head.trim_end(), &headers, &message.body);
        }
        text
    }
}
