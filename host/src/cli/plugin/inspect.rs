//! `plugin inspect`: what a plugin says about itself, what it asks for, and what it costs.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::PATH;
use super::component::{Component, Loaded};
use crate::cli::client::{Client, Connection, segment};
use crate::cli::json;
use crate::cli::screen::{Paint, indented, one_line, printable, say};
use crate::plugin::{self, Call, Verdict};

/// Calls that the time per call is taken from, over all examples.
const CALLS: usize = 200;
/// Longest time that is spent on them.
const CALLING: Duration = Duration::from_secs(2);

#[derive(Debug, clap::Args)]
pub struct Inspect {
    /// Name of one of the server's plugins; or a .wasm file or the folder of a project, which need no server
    #[arg(value_name = "NAME|FILE|DIR")]
    plugin: String,
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
    #[serde(flatten, skip_deserializing)]
    measured: Option<Measured>,
}

/// What shows where the plugin is at hand.
#[derive(Debug, Serialize)]
struct Measured {
    world: &'static str,
    contract: String,
    imports: Vec<String>,
    /// Checking, compiling and describing.
    load_time_us: u128,
    /// The median over calls with the examples; none without examples.
    call_time_us: Option<u128>,
    memory_peak: usize,
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

impl Inspect {
    pub async fn run(self, connection: &Connection, json: bool) -> anyhow::Result<()> {
        match is_file(&self.plugin) {
            true => inspect_file(Path::new(&self.plugin), json).await,
            false => inspect_named(&connection.client()?, &self.plugin, json).await,
        }
    }
}

/// Names of plugins have neither dots nor slashes.
fn is_file(plugin: &str) -> bool {
    plugin.contains(['.', '/', '\\'])
}

async fn inspect_named(client: &Client, name: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.get(&format!("{PATH}/{}", segment(name)), &[]).await?;
    if json { answer.print() } else { Ok(say(&answer.read::<InFull>()?.shown(Paint::stdout()))?) }
}

/// Checks and compiles a file as the server would, and runs its examples.
async fn inspect_file(path: &Path, json: bool) -> anyhow::Result<()> {
    let loaded = Component::of(path)?.load().await?;
    let shown = InFull { measured: Some(measure(&loaded).await), ..InFull::of(&loaded.plugin) };
    let text = if json { serde_json::to_string(&shown)? } else { shown.shown(Paint::stdout()) };
    say(&text)?;
    check_examples(&loaded.plugin).await
}

async fn measure(loaded: &Loaded) -> Measured {
    let (plugin, world) = (&loaded.plugin, loaded.plugin.world());
    let (mut times, mut memory_peak, mut spent) = (Vec::new(), 0, Duration::ZERO);
    for example in plugin.description().examples.iter().cycle().take(CALLS) {
        let (event, message) = (example.event(), example.message());
        let call = Call { event, message: &message, config: &example.config, seed: [0; 32] };
        let run = plugin.transform(call).await;
        times.push(run.time);
        memory_peak = memory_peak.max(run.memory_peak);
        spent += run.time;
        if spent > CALLING {
            break;
        }
    }
    times.sort_unstable();
    Measured {
        world: world.name(),
        contract: world.contract.clone(),
        imports: world.imports.clone(),
        load_time_us: loaded.time.as_micros(),
        call_time_us: times.get(times.len() / 2).map(Duration::as_micros),
        memory_peak,
    }
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
            measured: None,
        }
    }

    fn shown(&self, paint: Paint) -> String {
        let title = format!("{} {}", one_line(&self.name), one_line(&self.version));
        let mut text = format!("{}  {}\n", paint.bold(&title), one_line(&self.summary));
        text += &format!("  digest    sha256:{}\n  size      {} bytes\n", one_line(&self.digest), self.size);
        self.measured.iter().for_each(|measured| text += &measured.shown());
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

impl Measured {
    fn shown(&self) -> String {
        let milliseconds =
            |micros: u128| format!("{:.2} ms", Duration::from_micros(micros as u64).as_secs_f64() * 1e3);
        let mut text = format!("  world     hookwright:plugin/{}@{}\n", self.world, self.contract);
        text += &format!("  compiled  in {}\n", milliseconds(self.load_time_us));
        if let Some(time) = self.call_time_us {
            text +=
                &format!("  a call    {}, {} KiB of memory\n", milliseconds(time), self.memory_peak >> 10);
        }
        text + &format!("  imports   {}\n", one_line(&self.imports.join(" ")))
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
