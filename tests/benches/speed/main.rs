//! How fast the host is, beside the ceiling of what this machine could do at all.
//!
//! `cargo bench -p hookwright-tests` prints everything but `hostile`, `hosts` and `retention`, `-- --quick` takes a few
//! seconds and shows that it works, `-- micro` (or `deliveries`, `neighbour`, `hostile`, `hosts`, `pending`, `lists`,
//! `plugins`, `retention`) prints one part. `HOOKWRIGHT_BENCH_SECONDS` is the time spent on a figure; 10 unless it is set.
//! `--events=N` says how many events `retention` lets go and how many wait in `hosts`; 5,000,000 unless it is said.
//! `--guest=NAME` is the only one that `hostile` shows then, `loops` for instance.
//!
//! Host and relay run as processes of their own, which are this program started again; producers and receiver share
//! this one, each with a thread to itself. All talk over loopback. The host's data is on the disk that the build's
//! target directory is on, and its log, at the default level, goes to a file there.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

mod child;
mod deliveries;
mod hostile;
mod hosts;
mod lists;
mod machine;
mod micro;
mod neighbour;
mod pending;
mod plugins;
mod producer;
mod receiver;
mod relay;
mod retention;
mod table;

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Per figure.
    pub time: Duration,
    /// Parts that a saturation figure is measured in, in turn with those it is compared with.
    pub rounds: u32,
    /// Deliveries that wait in `pending`.
    pub pending: usize,
    /// Deliveries that are stored in `lists`, which are compared with a thousand.
    pub stored: u64,
    /// Events of the day that goes in `retention`.
    pub retained: u64,
    /// Deliveries among which claims are made in `hosts`.
    pub waiting: u64,
}

const FULL: Effort = Effort {
    time: Duration::from_secs(10),
    rounds: 3,
    pending: 100_000,
    stored: 1_000_000,
    retained: 5_000_000,
    waiting: 5_000_000,
};
const QUICK: Effort = Effort {
    time: Duration::from_millis(600),
    rounds: 1,
    pending: 2_000,
    stored: 10_000,
    retained: 10_000,
    waiting: 20_000,
};

fn main() -> ExitCode {
    // What follows `speed` decides which of the processes this is.
    let words: Vec<String> = env::args().skip(1).collect();
    let done = match words.first().map(String::as_str) {
        Some("serve") => return hookwright::cli::main(),
        Some("relay") => relay::run(words.get(1).map_or("", String::as_str)),
        _ => measure(&words),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn measure(words: &[String]) -> anyhow::Result<()> {
    let effort = effort(words)?;
    // Cargo adds `--bench`.
    let parts: Vec<&str> = words.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    let wanted = |part| parts.is_empty() || parts.contains(&part);
    println!("{}", machine::describe());
    let ground = child::Ground::prepare()?;
    if wanted("deliveries") {
        deliveries::measure(&ground, effort)?;
    }
    if wanted("neighbour") {
        neighbour::measure(&ground, effort)?;
    }
    // Minutes, and of use on a quiet machine alone: only where it is asked for.
    if parts.contains(&"hostile") {
        let guest = words.iter().find_map(|word| word.strip_prefix("--guest="));
        hostile::measure(&ground, effort, guest)?;
    }
    // These fill a database with gigabytes.
    if parts.contains(&"hosts") {
        hosts::measure(&ground, effort)?;
    }
    if parts.contains(&"retention") {
        retention::measure(&ground, effort)?;
    }
    if wanted("pending") {
        pending::measure(&ground, effort)?;
    }
    if wanted("lists") {
        lists::measure(&ground, effort)?;
    }
    if wanted("plugins") {
        plugins::measure(&ground, effort)?;
    }
    if wanted("micro") {
        micro::measure(&ground, effort)?;
    }
    Ok(())
}

fn effort(words: &[String]) -> anyhow::Result<Effort> {
    let effort = time(words)?;
    let Some(events) = words.iter().find_map(|word| word.strip_prefix("--events=")) else {
        return Ok(effort);
    };
    let number = || format!("--events={events} is no number of events");
    let events = events.parse().with_context(number)?;
    Ok(Effort { retained: events, waiting: events, ..effort })
}

fn time(words: &[String]) -> anyhow::Result<Effort> {
    if words.iter().any(|word| word == "--quick") {
        return Ok(QUICK);
    }
    match env::var("HOOKWRIGHT_BENCH_SECONDS") {
        Ok(text) => {
            let seconds: f64 = text
                .parse()
                .map_err(|_| anyhow::anyhow!("HOOKWRIGHT_BENCH_SECONDS is `{text}`, which is no number"))?;
            Ok(Effort { time: Duration::from_secs_f64(seconds.clamp(0.1, 3_600.0)), ..FULL })
        }
        Err(_) => Ok(FULL),
    }
}
