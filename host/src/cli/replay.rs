//! `replay`: delivering again, in the background of the server, what a filter finds.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{bail, ensure};
use clap::Subcommand;
use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::argument::Moment;
use super::client::{Answer, Client, Connection, segment};
use super::endpoint;
use super::screen::{one_line, say};
use super::table::Table;
use crate::time::{Clock as _, SystemClock};

const PATH: &str = "/v1/replays";

/// Between two looks at a replay that is waited for.
const LOOK: Duration = Duration::from_millis(250);

/// Deliver again, in the background, all that fits
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Replay {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List replays, latest first
    List,
    /// Show one, and how far it has come
    Show {
        /// job_...
        id: String,
    },
    /// End one that runs; what it has made stays
    Cancel {
        /// job_...
        id: String,
    },
}

#[derive(Debug, clap::Args)]
struct Wanted {
    /// Id or name of an endpoint
    #[arg(long)]
    endpoint: Option<String>,
    /// What became of them
    #[arg(long, value_parser = PossibleValuesParser::new(["delivered", "filtered", "failed", "cancelled"]))]
    state: Option<String>,
    /// An event type
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,
    #[arg(long)]
    tenant: Option<String>,
    /// A time in RFC 3339, or a span back from now such as 2h
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    since: Option<Moment>,
    /// Likewise: only what was created before
    #[arg(long, value_parser = Moment::parse, value_name = "TIME|SPAN")]
    until: Option<Moment>,
    /// Instead: the events that the endpoint wants by now and never got
    #[arg(long, requires = "endpoint", conflicts_with = "state")]
    missing: bool,
    /// Each under a `webhook-id` of its own
    #[arg(long)]
    new_id: bool,
    /// Stay until it is done
    #[arg(long)]
    wait: bool,
}

/// The body of `POST /v1/replays`.
#[derive(Debug, Serialize)]
struct NewReplay {
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    missing: bool,
    new_id: bool,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    state: String,
    created_at: String,
    reason: Option<String>,
    progress: Progress,
}

#[derive(Debug, Deserialize)]
struct Progress {
    looked_at: u64,
    made: u64,
    skipped: BTreeMap<String, u64>,
}

impl Replay {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let json = self.connection.json;
        match self.action {
            None => self.wanted.run(&client, json).await,
            Some(Action::List) => list(&client, json).await,
            Some(Action::Show { id }) => show(&look(&client, &id).await?, json),
            Some(Action::Cancel { id }) => {
                show(&client.post(&format!("{PATH}/{}/cancel", segment(&id)), String::new()).await?, json)
            }
        }
    }
}

impl Wanted {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let mut answer = client.post(PATH, serde_json::to_string(&self.body(client).await?)?).await?;
        if self.wait {
            answer = wait(client, answer).await?;
        }
        show(&answer, json)?;
        let replay: Shown = answer.read()?;
        ensure!(!self.wait || replay.state == "done", "the replay is {}", one_line(&replay.state));
        Ok(())
    }

    async fn body(&self, client: &Client) -> anyhow::Result<NewReplay> {
        let endpoint = match &self.endpoint {
            Some(endpoint) => Some(endpoint::find(client, endpoint).await?),
            None => None,
        };
        let now = SystemClock.now();
        let time = |moment: Option<Moment>| moment.map(|moment| moment.resolve(now).to_string());
        Ok(NewReplay {
            endpoint,
            state: self.state.clone(),
            event_type: self.event_type.clone(),
            tenant: self.tenant.clone(),
            since: time(self.since),
            until: time(self.until),
            missing: self.missing,
            new_id: self.new_id,
        })
    }
}

/// Looks until it has ended. On a terminal somebody looks on.
async fn wait(client: &Client, mut answer: Answer) -> anyhow::Result<Answer> {
    let bar =
        if std::io::stderr().is_terminal() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    loop {
        let replay: Shown = answer.read()?;
        bar.set_message(replay.progress.sentence());
        bar.tick();
        if replay.state != "running" {
            bar.finish_and_clear();
            return Ok(answer);
        }
        tokio::time::sleep(LOOK).await;
        answer = look(client, &replay.id).await?;
    }
}

async fn look(client: &Client, id: &str) -> anyhow::Result<Answer> {
    client.get(&format!("{PATH}/{}", segment(id)), &[]).await
}

fn show(answer: &Answer, json: bool) -> anyhow::Result<()> {
    if json {
        return answer.print();
    }
    let replay: Shown = answer.read()?;
    let reason = replay.reason.as_deref().unwrap_or_default();
    let line = format!("{}  {}  {} {reason}", replay.id, replay.state, replay.progress.sentence());
    Ok(say(&one_line(&line))?)
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    if json {
        let all: Vec<Box<RawValue>> = client.all(PATH).await?;
        return Ok(say(&serde_json::to_string(&all)?)?);
    }
    let replays: Vec<Shown> = client.all(PATH).await?;
    if replays.is_empty() {
        bail!("there are no replays\nhint: hookwright replay --endpoint NAME --state failed --since 1h");
    }
    let mut table = Table::new(["ID", "CREATED", "STATE", "LOOKED AT", "MADE", "SKIPPED", "REASON"]);
    for Shown { id, state, created_at, reason, progress } in replays {
        let skipped: u64 = progress.skipped.values().sum();
        let counts = [progress.looked_at, progress.made, skipped].map(|count| count.to_string());
        let [looked_at, made, skipped] = counts;
        table.row([id, created_at, state, looked_at, made, skipped, reason.unwrap_or_default()]);
    }
    Ok(say(&table.to_string())?)
}

impl Progress {
    fn sentence(&self) -> String {
        let mut text = format!("{} made of {} looked at", self.made, self.looked_at);
        if !self.skipped.is_empty() {
            let skipped: Vec<_> = self.skipped.iter().map(|(why, count)| format!("{count} {why}")).collect();
            text += &format!("; left out: {}", skipped.join(", "));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_sentence() {
        let progress = |text| serde_json::from_str::<Progress>(text).expect("progress").sentence();
        assert_eq!(progress(r#"{"looked_at":2,"made":2,"skipped":{}}"#), "2 made of 2 looked at");
        assert_eq!(
            progress(r#"{"looked_at":9,"made":2,"skipped":{"pending":3,"replayed":4}}"#),
            "2 made of 9 looked at; left out: 3 pending, 4 replayed"
        );
    }
}
