//! `backup` and `restore`: the store as one file, and back.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use data_encoding::HEXLOWER;
use serde::Serialize;

use super::client::Connection;
use super::screen::{one_line, say};
use crate::api::backup::{Label, SealingKeyPlace};
use crate::app::{STORE_FILE, make_private};
use crate::seal::{self, FINGERPRINT_SETTING, SealingKey};
use crate::store::Settings as _;
use crate::store::redb::archive::{self, Summary};
use crate::store::redb::{Options, RedbStore};

/// Save all that a running server keeps into a file
///
/// The file holds events, deliveries and endpoints as of one moment; the server goes on meanwhile. Neither the sealing
/// key nor dropped plugins are in it.
#[derive(Debug, clap::Args)]
pub struct Backup {
    /// The file to write; it appears when all of it is there
    file: PathBuf,
    /// Replace the file where there is one
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Make a data directory of a backup
///
/// The server must not run on it. What was pending when the backup was made is delivered at the next start, also where
/// it was delivered since: receivers tell by the `webhook-id`.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// A file that `backup` wrote
    file: PathBuf,
    /// The directory to make; it may be there, with nothing in it but the sealing key
    #[arg(long, value_name = "DIR", env = "HOOKWRIGHT_DATA_DIR")]
    data_dir: PathBuf,
}

/// What `backup --json` prints.
#[derive(Debug, Serialize)]
struct Saved<'a> {
    file: String,
    bytes: u64,
    rows: u64,
    sha256: String,
    #[serde(flatten)]
    label: &'a Label,
}

impl Backup {
    pub async fn run(self) -> anyhow::Result<()> {
        self.check_free()?;
        let unfinished = Unfinished::create(&self.file)?;
        let mut written = &unfinished.file;
        let path = "/v1/backup";
        self.connection.client()?.download(path, |bytes| written.write_all(bytes)).await?;
        unfinished.file.sync_all().with_context(|| format!("{} cannot be written", self.file.display()))?;
        let summary =
            archive::check(&unfinished.path).context("the backup did not arrive whole; try again")?;
        self.check_free()?;
        unfinished.finish(&self.file)?;
        self.report(&summary)
    }

    fn check_free(&self) -> anyhow::Result<()> {
        if !self.force && self.file.symlink_metadata().is_ok() {
            bail!(
                "{} exists already; choose another name, or replace it with `--force`",
                self.file.display()
            );
        }
        Ok(())
    }

    fn report(&self, summary: &Summary) -> anyhow::Result<()> {
        let label = label_of(summary)?;
        let file = self.file.display().to_string();
        if self.connection.json {
            let sha256 = HEXLOWER.encode(&summary.digest);
            let saved = Saved { file, bytes: summary.bytes, rows: summary.rows, sha256, label: &label };
            return Ok(say(&serde_json::to_string(&saved)?)?);
        }
        say(&format!("{} rows ({}) are in {file}.", summary.rows, size(summary.bytes)))?;
        let SealingKeyPlace { fingerprint, place } = &label.sealing_key;
        let (place, fingerprint) = (one_line(place), one_line(fingerprint));
        Ok(say(&format!(
            "The sealing key (fingerprint {fingerprint}) is not in it: it is {place}. Keep a copy of it elsewhere; \
             without it the backup is of no use.\nPlugins that were dropped into the plugins folder are not in it \
             either."
        ))?)
    }
}

impl Restore {
    pub async fn run(self) -> anyhow::Result<()> {
        check_empty(&self.data_dir)?;
        let summary = archive::check(&self.file)?;
        let label = label_of(&summary)?;
        make_private(&self.data_dir)?;
        let store = self.data_dir.join(STORE_FILE);
        let (file, made) = (self.file.clone(), store.clone());
        tokio::task::spawn_blocking(move || archive::restore(&file, &made)).await??;
        let fingerprint = fingerprint(&store).await?;
        say(&format!(
            "{} is restored from the backup of {} ({} rows).",
            self.data_dir.display(),
            one_line(&label.made_at),
            summary.rows
        ))?;
        Ok(say(&key_note(&self.data_dir, &fingerprint, &label))?)
    }
}

fn label_of(summary: &Summary) -> anyhow::Result<Label> {
    serde_json::from_slice(&summary.label).context("the backup does not say what it is of")
}

/// The key may be put there before the data, and a new file system has a folder of its own.
fn check_empty(folder: &Path) -> anyhow::Result<()> {
    let unusable = || format!("{} cannot be used as a data directory", folder.display());
    let found = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        found => found.with_context(unusable)?,
    };
    for entry in found {
        let name = entry.with_context(unusable)?.file_name();
        if name != seal::KEY_FILE && name != "lost+found" {
            bail!(
                "{} is not empty (it holds {}); choose another directory, or move away what is there",
                folder.display(),
                name.to_string_lossy()
            );
        }
    }
    Ok(())
}

async fn fingerprint(store: &Path) -> anyhow::Result<String> {
    let store = RedbStore::open(store, Options::default())?;
    let fingerprint = store.setting(FINGERPRINT_SETTING).await?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&fingerprint).into_owned())
}

/// Where the key is, or has to come from.
fn key_note(data_dir: &Path, fingerprint: &str, label: &Label) -> String {
    let file = data_dir.join(seal::KEY_FILE);
    let found = std::fs::read_to_string(&file).ok().and_then(|text| SealingKey::parse(&text));
    let shown = one_line(fingerprint);
    match found {
        Some(key) if key.fingerprint() == fingerprint => {
            format!("Its sealing key (fingerprint {shown}) is there already, in {}.", file.display())
        }
        found => format!(
            "Its sealing key (fingerprint {shown}) was not in the backup: when that was made, it was {}.\nhint: before \
             you start the server, {} {} (mode 600), or give it in HOOKWRIGHT_SEALING_KEY",
            one_line(&label.sealing_key.place),
            if found.is_some() { "replace with it the other key in" } else { "put it into" },
            file.display()
        ),
    }
}

fn size(bytes: u64) -> String {
    match bytes {
        0..1_024 => format!("{bytes} bytes"),
        1_024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1_024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

/// A file on its way to its name. Removed where it does not get there.
struct Unfinished {
    path: PathBuf,
    file: File,
    done: bool,
}

impl Unfinished {
    /// Beside the file that it will be, readable by its owner alone.
    fn create(target: &Path) -> anyhow::Result<Self> {
        let name = target.file_name().with_context(|| format!("{} names no file", target.display()))?;
        let name = format!(".{}.{:x}.part", name.to_string_lossy(), rand::random::<u32>());
        let path = target.with_file_name(name);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&path).with_context(|| format!("{} cannot be written", target.display()))?;
        Ok(Self { path, file, done: false })
    }

    fn finish(mut self, target: &Path) -> anyhow::Result<()> {
        let unwritable = || format!("{} cannot be written", target.display());
        std::fs::rename(&self.path, target).with_context(unwritable)?;
        self.done = true;
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))
            .and_then(|folder| folder.sync_all())
            .with_context(unwritable)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!([size(1_023), size(1_536), size(3 << 30)], ["1023 bytes", "1.5 KiB", "3072.0 MiB"]);
    }
}
