//! `plugin`: what endpoints can name in their chains.

use std::path::Path;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::client::{Client, Connection, segment};
use super::json;
use super::screen::{Paint, indented, one_line, printable, say};
use super::table::Table;
use crate::plugin::{self, Call, Engine, Limits, Verdict};

mod catalogue;
mod signing;

const PATH: &str = "/v1/plugins";

/// Look at plugins, and choose which version answers
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
    /// Show what a plugin says about itself
    Inspect {
        /// Name of one of the server's plugins, or a .wasm file, which needs no server
        plugin: String,
    },
    /// Show which version of a plugin is active, and who uses it
    Show(catalogue::Named),
    /// List the versions of a plugin, and which was active when
    Versions(catalogue::Named),
    /// Make a version of a plugin the active one
    Activate(catalogue::Activate),
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

/// A plugin in full, as the API shows it.
#[derive(Debug, Deserialize, Serialize)]
struct InFull {
    name: String,
    version: String,
    summary: String,
    digest: String,
    size: usize,
    must_run: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    config_schema: Option<Box<RawValue>>,
    examples: Vec<Example>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Example {
    title: String,
    config: Option<Box<RawValue>>,
    event_type: String,
    input: String,
    verdict: String,
    output: Option<String>,
}

impl Plugin {
    pub async fn run(self) -> anyhow::Result<()> {
        let json = self.connection.json;
        match self.action {
            Action::List => list(&self.connection.client()?, json).await,
            Action::Inspect { plugin } if is_file(&plugin) => inspect_file(Path::new(&plugin), json).await,
            Action::Inspect { plugin } => inspect_named(&self.connection.client()?, &plugin, json).await,
            Action::Show(plugin) => plugin.show(&self.connection.client()?, json).await,
            Action::Versions(plugin) => plugin.versions(&self.connection.client()?, json).await,
            Action::Activate(version) => version.run(&self.connection.client()?, json).await,
            Action::Rollback(plugin) => plugin.roll_back(&self.connection.client()?, json).await,
            Action::Remove(what) => what.run(&self.connection.client()?).await,
            Action::Keygen(key) => key.run(json),
            Action::Sign(files) => files.run(json),
        }
    }
}

/// Names of plugins have neither dots nor slashes.
fn is_file(plugin: &str) -> bool {
    plugin.contains(['.', '/', '\\'])
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

async fn inspect_named(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.get(&format!("{PATH}/{}", segment(name)), &[]).await?;
    if json { answer.print() } else { Ok(say(&answer.read::<InFull>()?.shown(Paint::stdout()))?) }
}

/// Checks and compiles a file as the server would, and runs its examples.
async fn inspect_file(path: &Path, json: bool) -> anyhow::Result<()> {
    let bytes = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let engine = Engine::new(Limits::default())?;
    let loaded = engine.load(bytes.into(), None).await;
    let plugin = loaded.with_context(|| format!("{} is no plugin", path.display()))?;
    let shown = InFull::of(&plugin);
    let text = if json { serde_json::to_string(&shown)? } else { shown.shown(Paint::stdout()) };
    say(&text)?;
    check_examples(&plugin).await
}

/// # Errors
///
/// Where an example does not come to what it says; the others are told on stderr.
async fn check_examples(plugin: &plugin::Plugin) -> anyhow::Result<()> {
    let examples = &plugin.description().examples;
    let mut wrong = 0;
    for example in examples {
        let (event, message) = (example.event(), example.message());
        let call = Call { event, message: &message, config: &example.config, seed: [0; 32] };
        let result = plugin.transform(call).await.result;
        if result.as_ref() != Ok(&example.expect) {
            wrong += 1;
            let came = result.map_or_else(|failure| failure.to_string(), |verdict| outcome(&verdict));
            eprintln!("{} came to: {}", one_line(&example.title), printable(&came));
        }
    }
    match wrong {
        0 => Ok(()),
        wrong => bail!("{wrong} of {} examples did not come to what they say", examples.len()),
    }
}

fn outcome(verdict: &Verdict) -> String {
    let (word, output) = parts(verdict);
    output.map_or_else(|| word.to_owned(), |output| format!("{word}: {output}"))
}

/// The verdict's word, and its body or reason.
fn parts(verdict: &Verdict) -> (&'static str, Option<String>) {
    match verdict {
        Verdict::Pass => ("pass", None),
        Verdict::Replace(message) => ("replace", Some(String::from_utf8_lossy(&message.body).into_owned())),
        Verdict::Drop(reason) => ("drop", Some(reason.clone())),
        Verdict::Reject(reason) => ("reject", Some(reason.clone())),
    }
}

impl InFull {
    fn of(plugin: &plugin::Plugin) -> Self {
        let description = plugin.description().clone();
        Self {
            name: description.name,
            version: description.version,
            summary: description.summary,
            digest: plugin.digest().to_owned(),
            size: plugin.size(),
            must_run: description.must_run,
            problem: None,
            config_schema: RawValue::from_string(description.config_schema).ok(),
            examples: description.examples.into_iter().map(Example::of).collect(),
        }
    }

    fn shown(&self, paint: Paint) -> String {
        let title = format!("{} {}", one_line(&self.name), one_line(&self.version));
        let mut text = format!("{}  {}\n", paint.bold(&title), one_line(&self.summary));
        text += &format!("  digest    sha256:{}\n  size      {} bytes\n", one_line(&self.digest), self.size);
        if self.must_run {
            text += "  must run  an endpoint cannot pass over its failure\n";
        }
        if let Some(problem) = &self.problem {
            text += &format!("  problem   {}\n", one_line(problem));
        }
        if let Some(schema) = self.config_schema.as_deref().filter(|schema| schema.get() != "null") {
            text += &format!("\n{}\n{}", paint.bold("Configuration"), block(schema.get()));
        }
        for example in &self.examples {
            text += &example.shown(paint);
        }
        text
    }
}

impl Example {
    fn of(example: plugin::Example) -> Self {
        let (verdict, output) = parts(&example.expect);
        Self {
            title: example.title,
            config: RawValue::from_string(example.config).ok(),
            event_type: example.event_type,
            input: String::from_utf8_lossy(&example.input).into_owned(),
            verdict: verdict.to_owned(),
            output,
        }
    }

    fn shown(&self, paint: Paint) -> String {
        let title = format!("Example: {}", one_line(&self.title));
        let mut text = format!("\n{}\n", paint.bold(&title));
        if let Some(config) = self.config.as_deref().filter(|config| config.get() != "null") {
            text += &format!("  configuration\n{}", block(config.get()));
        }
        text += &format!("  {}\n{}", one_line(&self.event_type), block(&self.input));
        text += &format!("  {}\n", one_line(&self.verdict));
        self.output.iter().for_each(|output| text += &block(output));
        text
    }
}

fn block(text: &str) -> String {
    indented("    ", &printable(&json::pretty(text).unwrap_or_else(|| text.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_names_are_told_apart() {
        assert!(is_file("x.wasm") && is_file("./x") && is_file("/tmp/x"));
        assert!(!is_file("flatten") && !is_file("my-plugin2"));
    }
}
