//! What the bundled plugins make of the same calls, again and again: by contract always the same bytes.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use hookwright::plugin::{Call, Engine, Event, Limits, Message, Plugin, Run, bundled};
use hookwright::time::Timestamp;

/// The payloads of the systems that are replaced, beside the plugins' own examples.
const SAMPLES: [(&str, &str); 8] = [
    ("lead.captured", include_str!("../fixtures/samples/rkt/lead.captured.json")),
    ("document.exported", include_str!("../fixtures/samples/recordengine/document.exported.json")),
    ("rule.executed", include_str!("../fixtures/samples/recordengine/rule.executed.json")),
    ("folder.created", include_str!("../fixtures/samples/recordengine/folder.created.json")),
    ("case.created", include_str!("../fixtures/samples/recordengine/case.created.json")),
    ("notification.created", include_str!("../fixtures/samples/recordengine/notification.created.json")),
    ("audit.log", include_str!("../fixtures/samples/recordengine/audit.log.json")),
    ("contact.created", include_str!("../fixtures/samples/recordengine/contact.created.json")),
];

/// How often the first case of each plugin is called.
pub const CALLS: usize = 1_000;
/// How often every other case is called.
const CALLS_OF_OTHERS: usize = 3;

/// Equal calls, of which each plugin has many.
struct Case {
    title: String,
    event_type: String,
    config: String,
    body: Bytes,
}

/// What one plugin came to.
pub struct Report {
    pub plugin: String,
    /// A line for each case: what came of it. Equal in every process.
    pub results: String,
    /// Of the first case: the median time of a call, and the most memory that one took, in bytes.
    pub time: Duration,
    pub memory: usize,
    /// How long it took to compile it.
    pub compiled_in: Duration,
    pub cases: usize,
}

/// Calls every bundled plugin with its own examples and with the samples.
///
/// # Errors
///
/// Where two equal calls come to different results, or a plugin cannot be loaded.
pub async fn call_all(calls: usize) -> Result<Vec<Report>> {
    let engine = Engine::new(Limits { time_limit: Duration::from_secs(20), ..Limits::default() })?;
    let mut reports = Vec::new();
    for plugin in bundled() {
        let started = Instant::now();
        let loaded = engine.load(plugin.bytes, Some(plugin.name)).await.context(plugin.name)?;
        let compiled_in = started.elapsed();
        reports.push(Report { compiled_in, ..call_one(&loaded, calls).await.context(plugin.name)? });
    }
    Ok(reports)
}

/// Everything that came out, for another process to compare.
pub fn transcript(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let _ = write!(text, "{}\n{}", report.plugin, report.results);
    }
    text
}

async fn call_one(plugin: &Plugin, calls: usize) -> Result<Report> {
    let cases = cases(plugin);
    let mut report = Report {
        plugin: format!("{} {} {}", plugin.name(), plugin.version(), plugin.digest()),
        results: String::new(),
        time: Duration::ZERO,
        memory: 0,
        compiled_in: Duration::ZERO,
        cases: cases.len(),
    };
    for (index, case) in cases.iter().enumerate() {
        let times = if index == 0 { calls } else { CALLS_OF_OTHERS };
        let runs = repeat(plugin, case, times).await?;
        let Some(first) = runs.first() else { continue };
        let _ = writeln!(report.results, "{}: {:?} {:?}", case.title, first.result, first.log);
        if index == 0 {
            let mut taken: Vec<Duration> = runs.iter().map(|run| run.time).collect();
            taken.sort_unstable();
            report.time = taken[taken.len() / 2];
            report.memory = runs.iter().map(|run| run.memory_peak).max().unwrap_or_default();
        }
    }
    Ok(report)
}

async fn repeat(plugin: &Plugin, case: &Case, times: usize) -> Result<Vec<Run>> {
    let mut runs: Vec<Run> = Vec::with_capacity(times);
    for number in 0..times {
        let run = call(plugin, case).await;
        if let Some(first) =
            runs.first().filter(|first| (&first.result, &first.log) != (&run.result, &run.log))
        {
            bail!(
                "{}: call {number} came to {:?}, and the first to {:?}",
                case.title,
                run.result,
                first.result
            );
        }
        runs.push(run);
    }
    Ok(runs)
}

async fn call(plugin: &Plugin, case: &Case) -> Run {
    let event = Event {
        id: "evt_example",
        event_type: &case.event_type,
        tenant: "default",
        timestamp: Timestamp::from_secs(1_774_168_200),
        attempted_at: Timestamp::from_secs(1_774_168_201),
        attempt: 1,
        channels: &[],
        attributes: &[],
    };
    let message = Message {
        method: None,
        path_and_query: None,
        content_type: "application/json".into(),
        headers: Vec::new(),
        body: case.body.clone(),
    };
    plugin.transform(Call { event, message: &message, config: &case.config, seed: [7; 32] }).await
}

/// The plugin's examples, and each of their configurations with each sample.
fn cases(plugin: &Plugin) -> Vec<Case> {
    let examples = &plugin.description().examples;
    let own = examples.iter().map(|example| Case {
        title: example.title.clone(),
        event_type: example.event_type.clone(),
        config: example.config.clone(),
        body: example.input.clone(),
    });
    let foreign = examples.iter().flat_map(|example| {
        SAMPLES.iter().map(|(event_type, body)| Case {
            title: format!("{} of {event_type}", example.title),
            event_type: (*event_type).to_owned(),
            config: example.config.clone(),
            body: Bytes::from_static(body.as_bytes()),
        })
    });
    own.chain(foreign).collect()
}
