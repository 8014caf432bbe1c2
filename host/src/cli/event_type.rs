//! `event-type`: the catalogue of what a product sends.

use anyhow::bail;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::argument::Text;
use super::client::{Client, Connection, segment};
use super::endpoint::confirmed;
use super::json;
use super::screen::say;
use super::table::Table;

const PATH: &str = "/v1/event-types";

/// Manage the catalogue of event types: groups, descriptions, samples, schemas
#[derive(Debug, clap::Args)]
pub struct EventType {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the event types
    List(List),
    /// Show one with its samples and its schema
    Show(Name),
    /// Create one, or replace it
    Put(Put),
    /// Change it: what is left out of the patch stays, and null takes away
    #[command(visible_alias = "update")]
    Patch(Patch),
    /// Delete it from the catalogue; events and endpoints stay as they are
    Delete(Delete),
}

#[derive(Debug, clap::Args)]
struct List {
    /// Only those of this group
    #[arg(long)]
    group: Option<String>,
}

#[derive(Debug, clap::Args)]
struct Name {
    /// Such as `invoice.paid`
    name: String,
}

#[derive(Debug, clap::Args)]
struct Put {
    /// Such as `invoice.paid`
    name: String,
    /// What is said about it, as JSON: `{"group":"Invoices","samples":[{"total":12.50}]}`
    #[arg(long = "file", short, value_name = "FILE|-", value_parser = file)]
    file: Text,
}

#[derive(Debug, clap::Args)]
struct Patch {
    /// Such as `invoice.paid`
    name: String,
    /// A merge patch (RFC 7396), but samples and schema are replaced whole: `{"deprecated":true}`
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-")]
    data: Text,
}

#[derive(Debug, clap::Args)]
struct Delete {
    /// Such as `invoice.paid`
    name: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    name: String,
    group: String,
    description: String,
    check: bool,
    deprecated: bool,
    sample_count: usize,
}

impl EventType {
    pub async fn run(self) -> anyhow::Result<()> {
        let client = self.connection.client()?;
        let json = self.connection.json;
        match self.action {
            Action::List(List { group }) => list(&client, group, json).await,
            Action::Show(Name { name }) => show(&client, &name, json).await,
            Action::Put(put) => put.run(&client, json).await,
            Action::Patch(patch) => patch.run(&client, json).await,
            Action::Delete(delete) => delete.run(&client, json).await,
        }
    }
}

/// A file by its name, or `-` for stdin.
pub fn file(text: &str) -> Result<Text, String> {
    Ok(if text == "-" { Text::Stdin } else { Text::File(text.into()) })
}

async fn list(client: &Client, group: Option<String>, json: bool) -> anyhow::Result<()> {
    let query: Vec<(&str, String)> = group.into_iter().map(|group| ("group", group)).collect();
    if json {
        let all: Vec<Box<RawValue>> = client.all_of(PATH, &query).await?;
        return Ok(say(&serde_json::to_string(&all)?)?);
    }
    let all: Vec<Shown> = client.all_of(PATH, &query).await?;
    if all.is_empty() {
        eprintln!("No event types.\nhint: hookwright event-type put invoice.paid -f FILE");
        return Ok(());
    }
    let mut table = Table::new(["NAME", "GROUP", "SAMPLES", "NOTES", "DESCRIPTION"]);
    for listed in all {
        let notes = [(listed.check, "checked"), (listed.deprecated, "deprecated")];
        let notes: Vec<&str> = notes.iter().filter(|(holds, _)| *holds).map(|(_, note)| *note).collect();
        let samples = listed.sample_count.to_string();
        table.row([listed.name, listed.group, samples, notes.join(", "), listed.description]);
    }
    Ok(say(&table.to_string())?)
}

async fn show(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.get(&path(name), &[]).await?;
    if json {
        return answer.print();
    }
    Ok(say(&json::pretty(&answer.text).unwrap_or(answer.text))?)
}

impl Put {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.put(&path(&self.name), self.file.read()?).await?;
        if json {
            return answer.print();
        }
        let shown: Shown = answer.read()?;
        Ok(say(&format!("The catalogue names {}", shown.name))?)
    }
}

impl Patch {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.patch(&path(&self.name), self.data.read()?).await?;
        if json {
            return answer.print();
        }
        let shown: Shown = answer.read()?;
        Ok(say(&format!("Changed {}", shown.name))?)
    }
}

impl Delete {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        if !self.yes && !confirmed(&format!("Delete {} from the catalogue? [y/N] ", self.name))? {
            bail!("nothing was deleted");
        }
        client.delete(&path(&self.name)).await?;
        if json { Ok(()) } else { Ok(say(&format!("Deleted {}", self.name))?) }
    }
}

fn path(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}
