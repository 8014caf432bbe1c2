//! `plugin`: what endpoints can name in their chains.

use clap::Subcommand;
use serde::Deserialize;

use super::client::{Client, Connection};
use super::screen::{one_line, say};
use super::table::Table;

mod backtest;
mod build;
mod case;
mod catalogue;
mod component;
mod inspect;
mod kit;
mod new;
mod outcome;
mod project;
mod push;
mod run;
mod signing;
mod test;
mod watch;

const PATH: &str = "/v1/plugins";

/// Write plugins, look at them, and choose which version answers
#[derive(Debug, clap::Args)]
pub struct Plugin {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the server's plugins, and the files it refused
    List,
    /// Write a new plugin that builds and passes its tests as it is
    New(new::New),
    /// Build a plugin
    Build(build::Build),
    /// Run a plugin's examples and cases
    Test(test::Test),
    /// Call a plugin once
    Run(run::Run),
    /// Show what a plugin says about itself, what it asks for, and what it costs
    Inspect(inspect::Inspect),
    /// Upload a plugin to the server
    Push(push::Push),
    /// Show which version of a plugin is active, and who uses it
    Show(catalogue::Named),
    /// List the versions of a plugin, and which was active when
    Versions(catalogue::Named),
    /// Make a version of a plugin the active one
    Activate(catalogue::Activate),
    /// Try a version or a configuration on stored events, and send nothing
    Backtest(backtest::Backtest),
    /// Make active what was active before
    Rollback(catalogue::Named),
    /// Remove what was uploaded of a plugin, or one version of it
    Remove(catalogue::Remove),
    /// Make a key to sign plugin files with
    Keygen(signing::Keygen),
    /// Sign plugin files
    Sign(signing::Sign),
}

#[derive(Debug, Deserialize)]
struct Plugins {
    items: Vec<Listed>,
    #[serde(default)]
    refused: Vec<Refused>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    name: String,
    version: String,
    summary: String,
    digest: String,
    source: String,
    problem: Option<String>,
    active_since: String,
    endpoints: usize,
}

#[derive(Debug, Deserialize)]
struct Refused {
    file: String,
    reason: String,
}

impl Plugin {
    pub async fn run(self) -> anyhow::Result<()> {
        let json = self.connection.json;
        match self.action {
            Action::List => list(&self.connection.client()?, json).await,
            Action::New(new) => new.run(json),
            Action::Build(build) => build.run(json),
            Action::Test(test) => test.run(json).await,
            Action::Run(run) => run.run(json).await,
            Action::Inspect(inspect) => inspect.run(&self.connection, json).await,
            Action::Push(push) => push.run(&self.connection.client()?, json).await,
            Action::Show(plugin) => plugin.show(&self.connection.client()?, json).await,
            Action::Versions(plugin) => plugin.versions(&self.connection.client()?, json).await,
            Action::Activate(version) => version.run(&self.connection.client()?, json).await,
            Action::Backtest(backtest) => backtest.run(&self.connection.client()?, json).await,
            Action::Rollback(plugin) => plugin.roll_back(&self.connection.client()?, json).await,
            Action::Remove(what) => what.run(&self.connection.client()?).await,
            Action::Keygen(key) => key.run(json),
            Action::Sign(files) => files.run(json),
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    let answer = client.get(PATH, &[]).await?;
    if json {
        return answer.print();
    }
    let Plugins { items, refused } = answer.read()?;
    let mut table =
        Table::new(["NAME", "VERSION", "SOURCE", "DIGEST", "ENDPOINTS", "ACTIVE SINCE", "SUMMARY"]);
    let problems: Vec<String> = items
        .iter()
        .filter_map(|plugin| Some(format!("{}: {}", plugin.name, plugin.problem.as_ref()?)))
        .chain(refused.iter().map(|refused| format!("{}: {}", refused.file, refused.reason)))
        .collect();
    for plugin in items {
        let digest = plugin.digest.chars().take(12).collect();
        let endpoints = plugin.endpoints.to_string();
        let Listed { name, version, source, active_since, summary, .. } = plugin;
        table.row([name, version, source, digest, endpoints, active_since, summary]);
    }
    let mut text = table.to_string();
    if !problems.is_empty() {
        text += "\nNot in use:\n";
        problems.iter().for_each(|problem| text += &format!("  {}\n", one_line(problem)));
    }
    Ok(say(&text)?)
}
