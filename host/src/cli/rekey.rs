//! `rekey`: replaces the key that seals secrets at rest.

use std::env;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use serde_json::json;

use super::screen::say;
use super::signals;
use crate::app;
use crate::config::Config;
use crate::rekey::{Rekeyed, Step};
use crate::seal::{self, SealingKey};
use crate::secret::Secret;

const NEW: &str = "HOOKWRIGHT_NEW_SEALING_KEY";

/// Replace the key that seals secrets in the store
///
/// Stop the server first, or all servers that share the database, and give the new key to each of them. The key in
/// force is found as `serve` finds it. The new one is taken from HOOKWRIGHT_NEW_SEALING_KEY or --new-key-file (base64 of
/// 32 bytes), or made. Broken off or killed, it is finished by running it again. Backups made before open with the old
/// key only. Where the old key may have leaked together with the data, rotate the secrets themselves too.
#[derive(Debug, clap::Args)]
pub struct Rekey {
    /// Where everything is kept [default: hookwright-data] [env: HOOKWRIGHT_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// The database that several servers share [env: HOOKWRIGHT_STORE_URL]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A file with the database's password [env: HOOKWRIGHT_STORE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// A file of settings, in TOML
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// A file with the new key, readable by its owner alone
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

impl Rekey {
    pub async fn run(self) -> anyhow::Result<()> {
        let next = signals::between_steps()?;
        let brought = self.brought()?;
        let one = |key, value: Option<String>| value.map(|value| (key, vec![value]));
        let flags = [
            one("data_dir", self.data_dir),
            one("store.url", self.store),
            one("store.password_file", self.store_password_file),
        ];
        let flags = flags.into_iter().flatten();
        let config = Config::load(self.config.as_deref(), super::serve::variables(), flags)?;
        let is_shared = config.store.url.is_some();
        let watch = |step| {
            tell(step);
            next()
        };
        let done = app::rekey(&config, brought.as_ref(), watch).await?;
        if self.json { say_json(&done) } else { say_done(&done, is_shared) }
    }

    fn brought(&self) -> anyhow::Result<Option<SealingKey>> {
        if let Some(file) = &self.new_key_file {
            let key = seal::read_key(file)?;
            return key.with_context(|| format!("{} does not exist", file.display())).map(Some);
        }
        let given = env::var(NEW).ok().filter(|text| !text.trim().is_empty()).map(Secret::new);
        Ok(given.map(|text| seal::parse_key(&text, NEW)).transpose()?)
    }
}

/// Progress goes to stderr, where nobody needs to read along.
fn tell(step: Step) {
    if let Step::Sealed(done, all) = step {
        let end = if done == all { "\n" } else { "" };
        let _ = write!(std::io::stderr(), "\rsealed anew: {done} of {all}{end}");
    }
}

fn say_json(done: &Rekeyed) -> anyhow::Result<()> {
    let told = json!({
        "fingerprint": done.fingerprint,
        "file": done.file,
        "old_file": done.old_file,
        "environment_is_outdated": done.given_is_outdated,
    });
    Ok(say(&told.to_string())?)
}

fn say_done(done: &Rekeyed, is_shared: bool) -> anyhow::Result<()> {
    say(&format!("The store is sealed with the new key, fingerprint {}.", done.fingerprint))?;
    match &done.file {
        Some(file) => say(&format!("It is in {}; back it up apart from the data.", file.display()))?,
        None => say("It is not kept here: start the server with it in HOOKWRIGHT_SEALING_KEY.")?,
    }
    if let Some(old) = &done.old_file {
        let old = old.display();
        say(&format!("The old key is in {old}; delete it once no backup needs it any more."))?;
    }
    if done.given_is_outdated && done.file.is_some() {
        eprintln!("hint: HOOKWRIGHT_SEALING_KEY holds the old key; unset it before you start the server");
    }
    if is_shared {
        eprintln!("hint: give the new key to every server on the database before you start it");
    }
    Ok(())
}
