//! `delivery`: what became of events.

use std::collections::HashMap;

use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use serde::Deserialize;

use super::argument::Moment;
use super::client::{Answer, Client, Connection, Page, segment};
use super::endpoint::{self, Shown as Endpoint};
use super::json;
use super::screen::{Paint, indented, one_line, printable, say};
use super::table::Table;
use crate::delivery::State;
use crate::time::{Clock as _, SystemClock};

const PATH: &str = "/v1/deliveries";

/// Look at deliveries, and retry them
#[derive(Debug, clap::Args)]
pub struct Delivery {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List deliveries, latest first
    List(List),
    /// Show one with its attempts
    Show {
        /// dlv_...
        id: String,
    },
    /// Deliver now: a pending one at once, a finished one anew
    Retry {
        /// dlv_...
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct List {
    /// Id or name of an endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// evt_...
    #[arg(long)]
    event: Option<String>,
    /// What became of them
    #[arg(long, value_parser = PossibleValuesParser::new(State::ALL.map(State::word)))]
    state: Option<String>,
    /// An event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    #[arg(long)]
    tenant: Option<String>,
    /// What the receiver saw in `webhook-id`: msg_...
    #[arg(long, value_name = "ID")]
    webhook_id: Option<String>,
    /// A time in RFC 3339, or a span back from now such as 2h
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    since: Option<Moment>,
    /// Likewise: only what was created before
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    until: Option<Moment>,
    /// Most to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    limit: u16,
    /// Where the page before ended
    #[arg(long)]
    cursor: Option<String>,
}

/// As far as it is shown.
#[derive(Debug, Clone, Deserialize)]
pub struct Shown {
    pub id: String,
    pub event: String,
    pub endpoint: String,
    #[serde(rename = "type")]
    pub event_type: String,
    pub webhook_id: String,
    pub state: String,
    #[serde(default)]
    pub held: bool,
    pub reason: Option<String>,
    pub attempts: u32,
    pub created_at: String,
    pub due_at: Option<String>,
    pub finished_at: Option<String>,
    pub replay_of: Option<String>,
    /// Where one delivery was asked for.
    #[serde(default)]
    pub attempt_log: Vec<Attempt>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Attempt {
    number: u32,
    started_at: String,
    duration_ms: f64,
    outcome: String,
    reason: Option<String>,
    request: Option<Request>,
    response: Option<Response>,
    #[serde(default)]
    plugins: Vec<PluginRun>,
    #[serde(default)]
    warnings: Vec<String>,
    hint: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Request {
    method: String,
    /// `None` where nobody said where it would go.
    url: Option<String>,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone, Deserialize)]
struct Response {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Body {
    encoding: String,
    content: String,
    #[serde(default)]
    truncated: bool,
}

#[derive(Debug, Clone, Deserialize)]
pub struct PluginRun {
    /// `transform`, or `judge`; hosts of before there were judges say nothing.
    #[serde(default)]
    task: String,
    pub plugin: String,
    version: String,
    digest: String,
    pub verdict: String,
    duration_ms: f64,
    #[serde(default)]
    log: Vec<LogLine>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct LogLine {
    level: String,
    line: String,
}

impl Delivery {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let json = self.connection.json;
        match self.action {
            Action::List(list) => list.run(&client, json).await,
            Action::Show { id } => show(&client, &id, json).await,
            Action::Retry { id } => retry(&client, &id, json).await,
        }
    }
}

impl List {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.get(PATH, &self.query(client).await?).await?;
        if json {
            return answer.print();
        }
        let page: Page<Shown> = answer.read()?;
        if page.items.is_empty() {
            eprintln!("No deliveries.");
        } else {
            say(&table(&page.items, &names(client).await?).to_string())?;
        }
        if let Some(cursor) = page.next {
            eprintln!("hint: there may be more, with `--cursor {}`", one_line(&cursor));
        }
        Ok(())
    }

    async fn query(&self, client: &Client) -> anyhow::Result<Vec<(&'static str, String)>> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => Some(endpoint::find(client, endpoint).await?),
            None => None,
        };
        let now = SystemClock.now();
        let time = |moment: Option<Moment>| moment.map(|moment| moment.resolve(now).to_string());
        let parameters = [
            ("endpoint", endpoint),
            ("event", self.event.clone()),
            ("state", self.state.clone()),
            ("type", self.event_type.clone()),
            ("tenant", self.tenant.clone()),
            ("webhook_id", self.webhook_id.clone()),
            ("since", time(self.since)),
            ("until", time(self.until)),
            ("limit", Some(self.limit.to_string())),
            ("cursor", self.cursor.clone()),
        ];
        Ok(parameters.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }
}

async fn names(client: &Client) -> anyhow::Result<HashMap<String, String>> {
    let endpoints: Vec<Endpoint> = client.all("/v1/endpoints").await?;
    Ok(endpoints.into_iter().map(|endpoint| (endpoint.id, endpoint.name)).collect())
}

fn table(deliveries: &[Shown], names: &HashMap<String, String>) -> Table {
    let mut table = Table::new(["ID", "CREATED", "TYPE", "ENDPOINT", "STATE", "TRIES", "REASON"]);
    for delivery in deliveries {
        let endpoint = names.get(&delivery.endpoint).unwrap_or(&delivery.endpoint);
        table.row([
            delivery.id.clone(),
            short(&delivery.created_at).to_owned(),
            delivery.event_type.clone(),
            endpoint.clone(),
            delivery.state_word().to_owned(),
            delivery.attempts.to_string(),
            delivery.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// A time without its fraction.
fn short(time: &str) -> &str {
    time.split('.').next().unwrap_or(time)
}

impl Shown {
    fn state_word(&self) -> &str {
        if self.held { "held" } else { &self.state }
    }

    fn head(&self, paint: Paint) -> String {
        let state = match self.state.as_str() {
            "delivered" => paint.good(self.state_word()),
            "failed" => paint.bad(self.state_word()),
            _ => paint.odd(self.state_word()),
        };
        let mut text = format!("{}  {state}\n", paint.bold(&self.id));
        let lines = [
            ("reason", self.reason.as_deref()),
            ("event", Some(self.event.as_str())),
            ("type", Some(self.event_type.as_str())),
            ("endpoint", Some(self.endpoint.as_str())),
            ("webhook-id", Some(self.webhook_id.as_str())),
            ("created", Some(self.created_at.as_str())),
            ("due", self.due_at.as_deref()),
            ("finished", self.finished_at.as_deref()),
            ("replay of", self.replay_of.as_deref()),
        ];
        for (name, value) in lines {
            if let Some(value) = value {
                text += &format!("  {name:<11} {}\n", one_line(value));
            }
        }
        text
    }
}

async fn show(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.get(&format!("{PATH}/{}", segment(id)), &[]).await?;
    if json {
        return answer.print();
    }
    let delivery: Shown = answer.read()?;
    let paint = Paint::stdout();
    let mut text = delivery.head(paint);
    for attempt in &delivery.attempt_log {
        text += &attempt.shown(paint);
    }
    Ok(say(&text)?)
}

async fn retry(client: &Client, id: &str, json: bool) -> anyhow::Result<()> {
    let answer: Answer = client.post(&format!("{PATH}/{}/retry", segment(id)), String::new()).await?;
    if json {
        return answer.print();
    }
    let delivery: Shown = answer.read()?;
    let line = match &delivery.replay_of {
        Some(of) if delivery.id != id => format!("{} delivers {of} again", delivery.id),
        _ if delivery.held => format!("{} is due, and waits: its endpoint is disabled", delivery.id),
        _ => format!("{} is due now", delivery.id),
    };
    Ok(say(&one_line(&line))?)
}

impl Attempt {
    pub fn arrived(&self) -> bool {
        self.outcome == "delivered"
    }

    pub fn shown(&self, paint: Paint) -> String {
        let title = format!("Attempt {}", self.number);
        let mut text = format!(
            "\n{}  {}  {}  {:.1} ms\n",
            paint.bold(&title),
            one_line(&self.started_at),
            one_line(&self.outcome),
            self.duration_ms
        );
        if let Some(reason) = &self.reason {
            text += &format!("  {}\n", one_line(reason));
        }
        if let Some(hint) = &self.hint {
            text += &format!("  hint: {}\n", one_line(hint));
        }
        if !self.warnings.is_empty() {
            text += &format!("  {}: {}\n", paint.odd("warnings"), one_line(&self.warnings.join(", ")));
        }
        for run in &self.plugins {
            text += &run.shown();
        }
        if let Some(request) = &self.request {
            text += &request.shown();
        }
        if let Some(Response { status, headers, body }) = &self.response {
            text += &part(&format!("< {status}"), headers, body);
        }
        text
    }
}

impl Request {
    pub fn shown(&self) -> String {
        let Self { method, url, headers, body } = self;
        let url = url.as_deref().unwrap_or_default();
        part(format!("> {} {}", one_line(method), one_line(url)).trim_end(), headers, body)
    }
}

impl PluginRun {
    pub fn shown(&self) -> String {
        let digest: String = self.digest.chars().take(12).collect();
        let mut text = format!(
            "  {} {} {} ({}): {} in {:.1} ms\n",
            if self.task == "judge" { "judge" } else { "plugin" },
            one_line(&self.plugin),
            one_line(&self.version),
            one_line(&digest),
            one_line(&self.verdict),
            self.duration_ms
        );
        for LogLine { level, line } in &self.log {
            text += &format!("    {}: {}\n", one_line(level), one_line(line));
        }
        text
    }
}

pub fn part(first: &str, headers: &[(String, String)], body: &Body) -> String {
    let mut text = format!("  {first}\n");
    for (name, value) in headers {
        text += &format!("    {}: {}\n", one_line(name), one_line(value));
    }
    let content = match body.encoding.as_str() {
        "utf-8" => json::pretty(&body.content).unwrap_or_else(|| body.content.clone()),
        other => format!("({} bytes of {})", body.content.len(), other),
    };
    if !content.is_empty() {
        text += &format!("\n{}", indented("    ", &printable(&content)));
    }
    if body.truncated {
        text += "    ... (cut)\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILTERED: &str = r#"{"id":"dlv_1","event":"evt_1","endpoint":"ep_1","tenant":"default","type":"a.b",
        "webhook_id":"msg_1","state":"filtered","held":false,"reason":"Plugin `filter` dropped it: too\nsmall",
        "attempts":1,"created_at":"2026-03-22T08:30:00.000000Z","due_at":null,
        "finished_at":"2026-03-22T08:30:00.100000Z","replay_of":null,
        "attempt_log":[{"number":1,"started_at":"2026-03-22T08:30:00.000000Z","duration_ms":1.25,
        "outcome":"filtered","kind":null,"reason":"too small","status":null,"request":null,"response":null,
        "timing_ms":{},"plugins":[{"plugin":"filter","version":"0.1.0","digest":"0123456789abcdef",
        "verdict":"drop","duration_ms":0.5,"log":[{"level":"info","line":"small"}]}]}]}"#;

    #[test]
    fn a_list_is_a_table() {
        let delivery: Shown = serde_json::from_str(FILTERED).expect("a delivery");
        let names = HashMap::from([("ep_1".to_owned(), "crm".to_owned())]);
        assert_eq!(
            table(&[delivery], &names).to_string(),
            "ID     CREATED              TYPE  ENDPOINT  STATE     TRIES  REASON\n\
             dlv_1  2026-03-22T08:30:00  a.b   crm       filtered  1      Plugin `filter` dropped it: too small\n"
        );
    }

    #[test]
    fn an_attempt_says_what_its_plugins_did() {
        let delivery: Shown = serde_json::from_str(FILTERED).expect("a delivery");
        assert_eq!(
            delivery.attempt_log[0].shown(Paint::stdout()),
            "\nAttempt 1  2026-03-22T08:30:00.000000Z  filtered  1.2 ms\n  too small\n  \
             plugin filter 0.1.0 (0123456789ab): drop in 0.5 ms\n    info: small\n"
        );
    }

    #[test]
    fn a_request_is_laid_out() {
        let body = Body { encoding: "utf-8".into(), content: r#"{"n":1.10}"#.into(), truncated: true };
        let headers = [("webhook-id".to_owned(), "msg_1".to_owned())];
        assert_eq!(
            part("< 200", &headers, &body),
            "  < 200\n    webhook-id: msg_1\n\n    {\n      \"n\": 1.10\n    }\n    ... (cut)\n"
        );
    }
}
