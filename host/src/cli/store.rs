//! `store copy`: everything from one store into another.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::screen::say;
use super::signals;
use super::table::Table;
use crate::app::{self, Copied, StorePlace};
use crate::config::Config;
use crate::store::copy::Step;

/// Move everything from one kind of store to another
#[derive(Debug, clap::Args)]
pub struct Store {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Copy(CopyStore),
}

/// Copy everything into an empty store, and check that it is the same
///
/// Stop all servers on both first. Events, deliveries that are pending or finished, attempts, endpoints, keys, plugins,
/// counts: all of it, but not the sealing key, which the servers on the new store need too. Broken off or killed, it goes
/// on with the same command; no server starts on a store whose copy is not complete. What is left in the source is as it
/// was.
#[derive(Debug, clap::Args)]
struct CopyStore {
    /// Where everything is: redb:DIRECTORY (a data directory, or its file) or postgres://user@host/name
    #[arg(long, value_name = "STORE")]
    from: String,
    /// Where it is to be, as with --from. A database has to have its tables (`hookwright migrate`) and nothing in them
    #[arg(long, value_name = "STORE")]
    to: String,
    /// A file with the database's password [env: HOOKWRIGHT_STORE_PASSWORD_FILE; HOOKWRIGHT_STORE_PASSWORD holds the
    /// password itself]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// A file of settings, in TOML
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Throw away what an unfinished copy has left in the target, and begin again
    #[arg(long)]
    anew: bool,
    /// Print what was copied as JSON
    #[arg(long)]
    json: bool,
}

impl Store {
    pub async fn run(self) -> anyhow::Result<()> {
        let Action::Copy(copy) = self.action;
        copy.run().await
    }
}

impl CopyStore {
    async fn run(self) -> anyhow::Result<()> {
        let from = StorePlace::parse(&self.from).context("--from names no store")?;
        let to = StorePlace::parse(&self.to).context("--to names no store")?;
        let next = signals::between_steps()?;
        let flags = self.store_password_file.map(|file| ("store.password_file", vec![file]));
        let config = Config::load(self.config.as_deref(), super::serve::variables(), flags)?;
        let mut told = Told::new()?;
        let watch = |step| {
            told.step(step);
            next()
        };
        let copied = app::copy_store(&config, &from, &to, self.anew, watch).await;
        told.end();
        let copied = copied?;
        if self.json { say_json(&copied) } else { say_done(&copied) }
    }
}

/// Progress goes to stderr: a bar for a person, some lines for a log.
struct Told {
    bar: Option<ProgressBar>,
    line: String,
}

impl Told {
    fn new() -> anyhow::Result<Self> {
        let bar = std::io::stderr().is_terminal().then(|| ProgressBar::new(0));
        if let Some(bar) = &bar {
            bar.set_style(ProgressStyle::with_template(
                "{msg} {bar:30} {human_pos} of {human_len} events, {elapsed}",
            )?);
        }
        Ok(Self { bar, line: String::new() })
    }

    fn step(&mut self, step: Step) {
        let (what, events, of) = match step {
            Step::Copied { events, of } => ("copied", events, of),
            Step::Checked { events, of } => ("checked", events, of),
        };
        if let Some(bar) = &self.bar {
            bar.set_message(what);
            bar.set_length(of);
            bar.set_position(events);
            return;
        }
        let line = format!("{what}: {} %", (events * 10).checked_div(of).unwrap_or(10) * 10);
        if line != self.line {
            // Nobody needs to read along.
            let _ = writeln!(std::io::stderr(), "{line}");
            self.line = line;
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn say_json(copied: &Copied) -> anyhow::Result<()> {
    let kinds = copied.digests.kinds().map(
        |(kind, digest)| json!({"kind": kind.plural(), "count": digest.count, "digest": digest.to_string()}),
    );
    let told = json!({"copied": kinds.collect::<Vec<_>>(), "sealing_key_fingerprint": copied.fingerprint});
    Ok(say(&told.to_string())?)
}

fn say_done(copied: &Copied) -> anyhow::Result<()> {
    let mut table = Table::new(["COUNT", "WHAT", "DIGEST"]);
    for (kind, digest) in copied.digests.kinds().filter(|(_, digest)| digest.count > 0) {
        table.row([digest.count.to_string(), kind.plural().to_owned(), digest.to_string()]);
    }
    say(&table.to_string())?;
    say(
        "All of it is in the new store, and was read back the same. The old one is as it was; delete it once you do not \
         need it any more, and start no server on it.",
    )?;
    if let Some(fingerprint) = &copied.fingerprint {
        let key =
            copied.key_file.as_ref().map(|file| format!(" (now in {})", file.display())).unwrap_or_default();
        eprintln!(
            "hint: the sealing key{key}, fingerprint {fingerprint}, is not in the store: give it to every server on the new \
             one, in HOOKWRIGHT_SEALING_KEY or in a file that `sealing_key_file` names"
        );
    }
    if copied.has_plugins {
        eprintln!(
            "hint: plugins are copied, but not the files of a plugins folder; a server on a file looks for them in its own"
        );
    }
    eprintln!("hint: a page of a list that a client holds (`after=`) does not go on in the new store");
    Ok(())
}
