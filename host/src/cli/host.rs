//! `host`: what holds for all endpoints, and the switch that holds everything.

use clap::{Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Client, Connection};
use super::json as layout;
use super::screen::say;
use super::terms::Said;

const PATH: &str = "/v1/host";

/// Manage what holds for all endpoints, and go offline
#[derive(Debug, clap::Args)]
pub struct Host {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show what is said for all endpoints
    Show,
    /// Say something for all endpoints whose tenant says nothing of it
    Set(Box<Said>),
    /// Keep all deliveries waiting; events are still taken
    Offline,
    /// Deliver again
    Online(Back),
}

/// What becomes of what has waited.
#[derive(Debug, clap::Args)]
pub struct Back {
    /// What becomes of what has waited
    #[arg(long, value_enum, default_value_t = Waiting::Deliver)]
    waiting: Waiting,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Waiting {
    /// It goes out
    Deliver,
    /// It is cancelled
    Skip,
}

impl Back {
    pub fn members(&self) -> Map<String, Value> {
        let waiting = match self.waiting {
            Waiting::Deliver => "deliver",
            Waiting::Skip => "skip",
        };
        Map::from_iter([("offline".to_owned(), json!(false)), ("waiting".to_owned(), json!(waiting))])
    }
}

impl Host {
    pub async fn run(self) -> anyhow::Result<()> {
        let (client, json) = (self.connection.client()?, self.connection.json);
        match self.action {
            Action::Show => show(&client, PATH).await,
            Action::Set(said) => announce(&client, PATH, said.members()?, "Changed", json).await,
            Action::Offline => {
                let offline = Map::from_iter([("offline".to_owned(), json!(true))]);
                announce(&client, PATH, offline, "The host is offline: all deliveries wait", json).await
            }
            Action::Online(back) => announce(&client, PATH, back.members(), "The host is back", json).await,
        }
    }
}

/// As the API shows it, laid out.
pub async fn show(client: &Client, path: &str) -> anyhow::Result<()> {
    let answer = client.get(path, &[]).await?;
    Ok(say(&layout::pretty(&answer.text).unwrap_or(answer.text))?)
}

/// Patches, and tells what was done.
pub async fn announce(
    client: &Client,
    path: &str,
    members: Map<String, Value>,
    what: &str,
    json: bool,
) -> anyhow::Result<()> {
    let answer = client.patch(path, Value::Object(members).to_string()).await?;
    if json { answer.print() } else { Ok(say(what)?) }
}
