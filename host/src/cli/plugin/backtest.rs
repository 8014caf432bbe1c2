//! `plugin backtest`: a candidate on stored events, beside what is active.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::catalogue::{path, short, whole_digest};
use crate::cli::argument::Text;
use crate::cli::client::{Answer, Client, segment};
use crate::cli::endpoint;
use crate::cli::screen::{Paint, indented, one_line, printable, say};
use crate::cli::signals;
use crate::cli::table::Table;

const PATH: &str = "/v1/backtests";

/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);

/// Try a version or a configuration on stored events, and send nothing
///
/// The candidate runs beside what is active, on the last events of each endpoint that uses the plugin. A version may be
/// one that was active before, or one that was added with `plugin push --add`.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("candidate").args(["digest", "config"]).required(true).multiple(true))]
pub struct Backtest {
    /// Name of one of the server's plugins
    name: String,
    /// The version to try: its digest, or the first digits of it
    digest: Option<String>,
    /// Id or name of an endpoint: that one alone
    #[arg(long)]
    endpoint: Option<String>,
    /// Another configuration of the endpoint's link
    #[arg(long, value_parser = Text::parse, value_name = "JSON|@FILE|-", requires = "endpoint")]
    config: Option<Text>,
    /// Which link, from 0, where several name the plugin
    #[arg(long, requires = "config", value_name = "PLACE")]
    link: Option<u32>,
    #[command(flatten)]
    bounds: Bounds,
    /// Activate the version where nothing newly fails
    #[arg(long, conflicts_with_all = ["endpoint", "config"])]
    gate: bool,
}

#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Bounds {
    /// How many of the last events of each endpoint [default: the server's setting]
    #[arg(long, value_name = "NUMBER")]
    pub events: Option<u32>,
}

/// The body of the request.
#[derive(Debug, Default, Serialize)]
struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    endpoint: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    config: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u32>,
    gate: bool,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    plugin: String,
    state: String,
    reason: Option<String>,
    active: Option<Version>,
    candidate: Version,
    gate: bool,
    activated: bool,
    complete: bool,
    progress: Progress,
    counts: Counts,
    times: Times,
    objections: Vec<Objection>,
    endpoints: Vec<OfEndpoint>,
    samples: Vec<Sample>,
}

#[derive(Debug, Deserialize)]
struct Version {
    version: String,
    digest: String,
}

#[derive(Debug, Deserialize)]
struct Progress {
    endpoints: u64,
    events_done: u64,
    percent: u64,
}

#[derive(Debug, Deserialize)]
struct Counts {
    events: u64,
    same: u64,
    changed: u64,
    newly_dropped: u64,
    newly_passed: u64,
    newly_failing: u64,
    newly_working: u64,
    both_failing: u64,
}

#[derive(Debug, Deserialize)]
struct Times {
    active: OfCalls,
    candidate: OfCalls,
}

#[derive(Debug, Deserialize)]
struct OfCalls {
    p50_us: Option<u64>,
    p99_us: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Objection {
    of: String,
    pointer: String,
    message: String,
}

#[derive(Debug, Deserialize)]
struct OfEndpoint {
    id: String,
    name: String,
    counts: Counts,
    problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Sample {
    endpoint: String,
    event: String,
    change: String,
    candidate: Side,
    diff: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Side {
    outcome: Option<String>,
    reason: Option<String>,
}

impl Backtest {
    pub async fn run(self, client: &Client, json: bool) -> anyhow::Result<()> {
        let asked = self.asked(client).await?;
        let ended = wait(client, &self.name, &asked).await?;
        ended.show(json)
    }

    async fn asked(&self, client: &Client) -> anyhow::Result<Asked> {
        let digest = match &self.digest {
            Some(digest) => Some(whole_digest(client, &self.name, digest).await?),
            None => None,
        };
        let endpoint = match &self.endpoint {
            Some(named) => Some(endpoint::find(client, named).await?),
            None => None,
        };
        let config = match &self.config {
            Some(text) => Some(RawValue::from_string(text.read()?).context("the configuration is not JSON")?),
            None => None,
        };
        let events = self.bounds.events;
        Ok(Asked { digest, endpoint, config, link: self.link, events, gate: self.gate })
    }
}

/// Activates a version where a backtest finds nothing that newly fails.
pub(super) async fn activate(
    client: &Client,
    name: &str,
    digest: String,
    bounds: Bounds,
    json: bool,
) -> anyhow::Result<()> {
    let asked = Asked { digest: Some(digest), events: bounds.events, gate: true, ..Asked::default() };
    wait(client, name, &asked).await?.show(json)
}

/// One that has ended.
struct Ended {
    answer: Answer,
    backtest: Shown,
}

/// Begins one and looks until it has ended. Whoever breaks this off ends the backtest, too.
async fn wait(client: &Client, name: &str, asked: &Asked) -> anyhow::Result<Ended> {
    let answer = client.post(&format!("{}/backtest", path(name)), serde_json::to_string(asked)?).await?;
    let id = answer.read::<Shown>()?.id;
    let broken_off = signals::shutdown()?;
    tokio::select! {
        ended = follow(client, answer) => ended,
        () = broken_off => {
            client.post(&format!("{PATH}/{}/cancel", segment(&id)), String::new()).await?;
            bail!("the backtest was cancelled")
        }
    }
}

/// On a terminal somebody looks on.
async fn follow(client: &Client, mut answer: Answer) -> anyhow::Result<Ended> {
    let bar = if std::io::stderr().is_terminal() { ProgressBar::new(100) } else { ProgressBar::hidden() };
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3} % {elapsed} {msg}")?);
    loop {
        let backtest: Shown = answer.read()?;
        bar.set_position(backtest.progress.percent);
        bar.set_message(backtest.counts.sentence());
        if backtest.state != "running" {
            bar.finish_and_clear();
            return Ok(Ended { answer, backtest });
        }
        tokio::time::sleep(LOOK).await;
        answer = client.get(&format!("{PATH}/{}", segment(&backtest.id)), &[]).await?;
    }
}

impl Ended {
    /// # Errors
    ///
    /// Where it did not come to its end, or the gate let nothing through.
    fn show(&self, json: bool) -> anyhow::Result<()> {
        let Self { answer, backtest } = self;
        if json {
            answer.print()?;
        } else {
            say(&backtest.text(Paint::stdout()))?;
        }
        let reason = backtest.reason.as_deref().unwrap_or_default();
        ensure!(
            backtest.state == "done",
            "the backtest is {}: {}",
            one_line(&backtest.state),
            one_line(reason)
        );
        ensure!(!backtest.gate || backtest.activated, "{} was not activated", one_line(&backtest.plugin));
        Ok(())
    }
}

impl Shown {
    fn text(&self, paint: Paint) -> String {
        let active = self.active.as_ref().map_or_else(|| "none".to_owned(), Version::text);
        let mut text = format!("{}  {}\n", paint.bold(&one_line(&self.plugin)), one_line(&self.state));
        text += &format!("  active     {active}\n  candidate  {}\n", self.candidate.text());
        text +=
            &format!("  events     {} (endpoints: {})", self.progress.events_done, self.progress.endpoints);
        text += if self.complete { "\n" } else { ", not all that were asked for\n" };
        text += &format!("  found      {}\n", self.counts.sentence());
        text += &format!("  a call     {} active, {} candidate\n", self.times.active, self.times.candidate);
        if let Some(reason) = &self.reason {
            text += &format!("  {}\n", one_line(reason));
        }
        if self.activated {
            text += &format!("  {}\n", paint.good("activated"));
        }
        for Objection { of, pointer, message } in &self.objections {
            let line = format!("{} {}: {}", one_line(of), one_line(pointer), one_line(message));
            text += &format!("  {}\n", paint.bad(&line));
        }
        text += &self.endpoints_text();
        self.samples.iter().for_each(|sample| text += &sample.text(paint));
        text
    }

    fn endpoints_text(&self) -> String {
        let told = |endpoint: &&OfEndpoint| {
            endpoint.problem.is_some() || endpoint.counts.same != endpoint.counts.events
        };
        let told: Vec<&OfEndpoint> = self.endpoints.iter().filter(told).collect();
        if told.is_empty() {
            return String::new();
        }
        let mut table = Table::new([
            "ENDPOINT", "NAME", "EVENTS", "SAME", "CHANGED", "DROPPED", "PASSED", "FAILING", "WORKING",
            "PROBLEM",
        ]);
        for OfEndpoint { id, name, counts, problem } in told {
            let Counts {
                events,
                same,
                changed,
                newly_dropped,
                newly_passed,
                newly_failing,
                newly_working,
                ..
            } = counts;
            let counts = [events, same, changed, newly_dropped, newly_passed, newly_failing, newly_working];
            let [events, same, changed, dropped, passed, failing, working] =
                counts.map(|count| count.to_string());
            let problem = problem.clone().unwrap_or_default();
            let (id, name) = (id.clone(), name.clone());
            table.row([id, name, events, same, changed, dropped, passed, failing, working, problem]);
        }
        format!("\n{table}")
    }
}

impl Version {
    fn text(&self) -> String {
        format!("{} {}", one_line(&self.version), short(&self.digest))
    }
}

impl Counts {
    fn sentence(&self) -> String {
        let both = match self.both_failing {
            0 => String::new(),
            both => format!(" ({both} fail with both)"),
        };
        let mut text = format!("{} same{both}", self.same);
        for (count, word) in [
            (self.changed, "changed"),
            (self.newly_dropped, "newly dropped"),
            (self.newly_passed, "no longer dropped"),
            (self.newly_failing, "newly failing"),
            (self.newly_working, "newly working"),
        ] {
            if count > 0 {
                text += &format!(", {count} {word}");
            }
        }
        text
    }
}

impl std::fmt::Display for OfCalls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.p50_us, self.p99_us) {
            (Some(p50), Some(p99)) => write!(f, "p50 {p50} us, p99 {p99} us"),
            _ => f.write_str("none"),
        }
    }
}

impl Sample {
    fn text(&self, paint: Paint) -> String {
        let change = self.change.replace('_', " ");
        let title = format!("{}  {} to {}", change, self.event, self.endpoint);
        let mut text = format!("\n{}\n", paint.bold(&one_line(&title)));
        if let Some(outcome) = &self.candidate.outcome {
            let reason = self.candidate.reason.as_deref().unwrap_or_default();
            text += &format!("  {}: {}\n", one_line(outcome), one_line(reason));
        }
        for line in self.diff.as_deref().unwrap_or_default().lines() {
            let shown = printable(line);
            text += &indented(
                "  ",
                &match line.as_bytes().first() {
                    Some(b'-') => paint.bad(&shown),
                    Some(b'+') => paint.good(&shown),
                    _ => shown,
                },
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_a_sentence() {
        let counts = |text| serde_json::from_str::<Counts>(text).expect("counts").sentence();
        let none = r#"{"events":3,"same":3,"changed":0,"newly_dropped":0,"newly_passed":0,"newly_failing":0,
            "newly_working":0,"both_failing":0}"#;
        assert_eq!(counts(none), "3 same");
        let some = r#"{"events":9,"same":3,"changed":1,"newly_dropped":0,"newly_passed":2,"newly_failing":3,
            "newly_working":0,"both_failing":2}"#;
        assert_eq!(
            counts(some),
            "3 same (2 fail with both), 1 changed, 2 no longer dropped, 3 newly failing"
        );
    }
}
