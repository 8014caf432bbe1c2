//! `version`: the versions of the payloads' shapes.

use clap::Subcommand;
use serde::Deserialize;

use super::argument::Text;
use super::client::{Client, Connection};
use super::event_type::file;
use super::json;
use super::screen::say;
use super::table::Table;

const PATH: &str = "/v1/versions";

/// Manage the versions of payloads' shapes, which endpoints are pinned to
#[derive(Debug, clap::Args)]
pub struct Version {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the versions, oldest to newest
    List,
    /// Show them with the steps from each back to the one before
    Show,
    /// Replace them: `{"versions":[{"name":"1"},{"name":"2","steps":[{"events":["*"],"plugin":"flatten"}]}]}`
    Put(Put),
}

#[derive(Debug, clap::Args)]
struct Put {
    /// All versions, oldest to newest, as JSON; what `version show` prints can be changed and put back
    #[arg(long = "file", short, value_name = "FILE|-", value_parser = file)]
    file: Text,
}

/// As far as they are shown.
#[derive(Debug, Deserialize)]
struct Shown {
    versions: Vec<ShownVersion>,
}

#[derive(Debug, Deserialize)]
struct ShownVersion {
    name: String,
    description: String,
    steps: Vec<ShownStep>,
}

#[derive(Debug, Deserialize)]
struct ShownStep {
    plugin: String,
}

impl Version {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let json = self.connection.json;
        match self.action {
            Action::List => list(&client, json).await,
            Action::Show => show(&client, json).await,
            Action::Put(put) => put.run(&client, json).await,
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.get(PATH, &[]).await?;
    if json {
        return answer.print();
    }
    let shown: Shown = answer.read()?;
    if shown.versions.is_empty() {
        eprintln!(
            "No versions: every endpoint gets payloads as they are posted.\nhint: hookwright version put -f FILE"
        );
        return Ok(());
    }
    let mut table = Table::new(["VERSION", "STEPS BACK", "DESCRIPTION"]);
    for version in shown.versions {
        let plugins: Vec<&str> = version.steps.iter().map(|step| step.plugin.as_str()).collect();
        let steps = if plugins.is_empty() { "-".to_owned() } else { plugins.join(" > ") };
        table.row([version.name, steps, version.description]);
    }
    Ok(say(&table.to_string())?)
}

async fn show(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.get(PATH, &[]).await?;
    if json {
        return answer.print();
    }
    Ok(say(&json::pretty(&answer.text).unwrap_or(answer.text))?)
}

impl Put {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.put(PATH, self.file.read()?).await?;
        if json {
            return answer.print();
        }
        let shown: Shown = answer.read()?;
        let newest = shown.versions.last().map_or("none", |version| version.name.as_str());
        Ok(say(&format!("{} versions; the newest is {newest}", shown.versions.len()))?)
    }
}
