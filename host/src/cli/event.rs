//! `event`: sending events.

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::argument::{self, Text};
use super::client::{Answer, Client, Connection, segment};
use super::screen::{one_line, say};
use super::table::Table;

const PATH: &str = "/v1/events";
const NDJSON: &str = "application/x-ndjson";
const JSON: &str = "application/json";

/// Send events, and send them again
#[derive(Debug, clap::Args)]
pub struct Event {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    Send(Send),
    /// Deliver it again to everybody who got it
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
struct Replay {
    /// evt_...
    id: String,
    /// Only to this one: id or name
    #[arg(long)]
    endpoint: Option<String>,
    /// Under a `webhook-id` of its own
    #[arg(long)]
    new_id: bool,
}

/// What a replay of an event made.
#[derive(Deserialize)]
struct Replayed {
    deliveries: Vec<ReplayedDelivery>,
    skipped: Vec<SkippedDelivery>,
}

#[derive(Deserialize)]
struct ReplayedDelivery {
    id: String,
    replay_of: Option<String>,
}

#[derive(Deserialize)]
struct SkippedDelivery {
    delivery: String,
    reason: String,
}

/// Post an event, or a file of events
///
/// With a TYPE, --data is the payload. Without one it is what the API takes: an event as an object with `type` and
/// `payload`, an array of them, or (from a file named .ndjson or .jsonl) one in each line.
#[derive(Debug, clap::Args)]
struct Send {
    /// Such as invoice.paid
    #[arg(value_name = "TYPE", required_unless_present = "data")]
    event_type: Option<String>,
    /// JSON, @file, or - for stdin; an empty object if not given
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-")]
    data: Option<Text>,
    /// Whose event it is [default: default]
    #[arg(long, requires = "event_type")]
    tenant: Option<String>,
    /// Your own id: a second event with it is not accepted again
    #[arg(long, requires = "event_type")]
    id: Option<String>,
    /// May be repeated
    #[arg(long, requires = "event_type")]
    channel: Vec<String>,
    /// When it happened, in RFC 3339
    #[arg(long, requires = "event_type", value_parser = argument::time)]
    timestamp: Option<String>,
}

/// What is posted. Payloads go out in the bytes that were given.
#[derive(Serialize)]
pub struct NewEvent<'a> {
    #[serde(rename = "type")]
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<&'a str>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    channels: &'a [String],
    payload: &'a RawValue,
}

impl<'a> NewEvent<'a> {
    pub fn new(event_type: &'a str, payload: &'a RawValue) -> Self {
        Self { event_type, id: None, tenant: None, timestamp: None, channels: &[], payload }
    }

    /// When it happened, in RFC 3339.
    pub fn at(self, timestamp: &'a str) -> Self {
        Self { timestamp: Some(timestamp), ..self }
    }
}

/// What became of an event.
#[derive(Debug, Clone, Deserialize)]
pub struct Accepted {
    pub id: String,
    pub deliveries: u32,
    #[serde(default)]
    pub duplicate: bool,
}

impl Event {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        match self.action {
            Action::Send(send) => show(&send.post(&client).await?, self.connection.json),
            Action::Replay(replay) => replay.run(&client, self.connection.json).await,
        }
    }
}

impl Replay {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => Some(super::endpoint::find(client, endpoint).await?),
            None => None,
        };
        let body = serde_json::json!({"endpoint": endpoint, "new_id": self.new_id}).to_string();
        let answer = client.post(&format!("{PATH}/{}/replay", segment(&self.id)), body).await?;
        if json {
            return answer.print();
        }
        let replayed: Replayed = answer.read()?;
        for delivery in &replayed.deliveries {
            let of = delivery.replay_of.as_deref().unwrap_or_default();
            say(&one_line(&format!("{} delivers {of} again", delivery.id)))?;
        }
        for skipped in &replayed.skipped {
            eprintln!("{}", one_line(&format!("{} is left out: {}", skipped.delivery, skipped.reason)));
        }
        Ok(())
    }
}

impl Send {
    async fn post(&self, client: &Client) -> anyhow::Result<Answer> {
        let data = match &self.data {
            Some(data) => data.read()?,
            None => "{}".to_owned(),
        };
        match &self.event_type {
            Some(event_type) => client.post(PATH, self.event(event_type, &data)?).await,
            None => client.post_as(PATH, self.media_type(), data).await,
        }
    }

    fn event(&self, event_type: &str, data: &str) -> anyhow::Result<String> {
        let payload = serde_json::from_str(data).context("--data is not JSON")?;
        let event = NewEvent {
            id: self.id.as_deref(),
            tenant: self.tenant.as_deref(),
            timestamp: self.timestamp.as_deref(),
            channels: &self.channel,
            ..NewEvent::new(event_type, payload)
        };
        Ok(serde_json::to_string(&event)?)
    }

    fn media_type(&self) -> &'static str {
        let is_lines =
            |data: &Text| ["ndjson", "jsonl"].iter().any(|extension| data.has_extension(extension));
        if self.data.as_ref().is_some_and(is_lines) { NDJSON } else { JSON }
    }
}

pub async fn post(client: &Client, event: &NewEvent<'_>) -> anyhow::Result<Accepted> {
    client.post(PATH, serde_json::to_string(event)?).await?.read()
}

/// # Errors
///
/// Where some of a batch was not accepted.
fn show(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json {
        answer.print()?;
    }
    if let Ok(one) = serde_json::from_str::<Accepted>(&answer.text) {
        return if json { Ok(()) } else { Ok(say(&sentence(&one))?) };
    }
    let batch: Batch = answer.read()?;
    if !json {
        say(&table(&batch.items).to_string())?;
    }
    match batch.refused {
        0 => Ok(()),
        refused => bail!("{refused} of {} events were not accepted", batch.items.len()),
    }
}

fn sentence(accepted: &Accepted) -> String {
    let noun = if accepted.deliveries == 1 { "delivery" } else { "deliveries" };
    let again = if accepted.duplicate { " (accepted before)" } else { "" };
    format!("{}  {} {noun}{again}", accepted.id, accepted.deliveries)
}

/// One of a batch: accepted, or not and why.
#[derive(Deserialize)]
struct Item {
    #[serde(flatten)]
    accepted: Option<Accepted>,
    problem: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    detail: String,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    refused: usize,
    items: Vec<Item>,
}

fn table(items: &[Item]) -> Table {
    let mut table = Table::new(["#", "EVENT", "DELIVERIES", "NOTE"]);
    for (number, item) in items.iter().enumerate() {
        let (id, deliveries, note) = match (&item.accepted, &item.problem) {
            (Some(accepted), _) => {
                let note = if accepted.duplicate { "accepted before" } else { "" };
                (accepted.id.clone(), accepted.deliveries.to_string(), note.to_owned())
            }
            (None, Some(problem)) => ("-".to_owned(), "-".to_owned(), problem.detail.clone()),
            (None, None) => ("-".to_owned(), "-".to_owned(), String::new()),
        };
        table.row([(number + 1).to_string(), id, deliveries, note]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_keep_their_bytes() {
        let send = Send {
            event_type: None,
            data: None,
            tenant: Some("acme".into()),
            id: None,
            channel: vec!["eu".into()],
            timestamp: None,
        };
        let event = send.event("a.b", r#"{"z":12345678901234567890.10,"a":1.0}"#).expect("an event");
        let expected = r#"{"type":"a.b","tenant":"acme","channels":["eu"],"payload":{"z":12345678901234567890.10,"a":1.0}}"#;
        assert_eq!(event, expected);
        assert!(send.event("a.b", "{").is_err());
    }

    #[test]
    fn answers_are_sentences() {
        let accepted = |deliveries, duplicate| Accepted { id: "evt_1".into(), deliveries, duplicate };
        assert_eq!(sentence(&accepted(1, false)), "evt_1  1 delivery");
        assert_eq!(sentence(&accepted(0, true)), "evt_1  0 deliveries (accepted before)");
        let batch = r#"{"accepted":1,"refused":1,"items":[{"index":0,"status":202,"id":"evt_1","deliveries":2,
            "duplicate":false},{"index":1,"status":422,"problem":{"detail":"No type."}}]}"#;
        let batch: Batch = serde_json::from_str(batch).expect("a batch");
        let expected = "#  EVENT  DELIVERIES  NOTE\n1  evt_1  2\n2  -      -           No type.\n";
        assert_eq!(table(&batch.items).to_string(), expected);
    }
}
