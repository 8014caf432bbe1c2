//! Which version of a plugin answers, and who chooses it: the API's twins.

use clap::Args;
use serde::Deserialize;

use super::PATH;
use super::backtest::{self, Bounds};
use crate::cli::client::{Client, segment};
use crate::cli::endpoint::confirmed;
use crate::cli::screen::{Paint, one_line, say};
use crate::cli::table::Table;

/// Digits of a digest in a table.
const SHORT: usize = 12;

#[derive(Debug, Args)]
pub struct Named {
    /// Name of one of the server's plugins
    name: String,
}

#[derive(Debug, Args)]
pub struct Activate {
    /// Name of one of the server's plugins
    name: String,
    /// The version: its digest, or the first digits of it
    digest: String,
    /// Only where nothing newly fails on the last events of the endpoints that use the plugin
    #[arg(long)]
    gate: bool,
    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Name of one of the server's plugins
    name: String,
    /// One version alone: its digest, or the first digits of it
    #[arg(long, value_name = "DIGEST")]
    digest: Option<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    name: String,
    version: String,
    summary: String,
    digest: String,
    source: String,
    file: Option<String>,
    problem: Option<String>,
    active_since: String,
    activated_by: String,
    versions: usize,
    endpoints: usize,
    users: Vec<User>,
}

#[derive(Debug, Deserialize)]
struct User {
    kind: String,
    id: Option<String>,
    name: Option<String>,
    tenant: Option<String>,
    chain_of: String,
    pinned: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Versions {
    items: Vec<Version>,
    history: Vec<Turn>,
}

#[derive(Debug, Deserialize)]
struct Version {
    digest: String,
    version: String,
    size: u64,
    source: String,
    added_at: String,
    signed: bool,
    active: bool,
    pins: usize,
}

#[derive(Debug, Deserialize)]
struct Turn {
    digest: Option<String>,
    at: String,
    cause: String,
}

impl Named {
    pub async fn show(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.get(&path(&self.name), &[]).await?;
        if json { answer.print() } else { Ok(say(&answer.read::<Shown>()?.text(Paint::stdout()))?) }
    }

    pub async fn versions(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.get(&format!("{}/versions", path(&self.name)), &[]).await?;
        if json { answer.print() } else { Ok(say(&answer.read::<Versions>()?.text(Paint::stdout()))?) }
    }

    pub async fn roll_back(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.post(&format!("{}/rollback", path(&self.name)), String::new()).await?;
        if json {
            return answer.print();
        }
        let now: Shown = answer.read()?;
        Ok(say(&format!("Rolled back: {} is at {} now, {}", now.name, now.version, short(&now.digest)))?)
    }
}

impl Activate {
    pub async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let digest = whole_digest(client, &self.name, &self.digest).await?;
        anyhow::ensure!(self.gate || self.bounds.events.is_none(), "`--events` is for `--gate`");
        if self.gate {
            return backtest::activate(client, &self.name, digest, self.bounds, json).await;
        }
        let body = serde_json::json!({ "digest": digest }).to_string();
        let answer = client.post(&format!("{}/activate", path(&self.name)), body).await?;
        if json {
            return answer.print();
        }
        let now: Shown = answer.read()?;
        Ok(say(&format!("Active: {} {}, {}", now.name, now.version, short(&now.digest)))?)
    }
}

impl Remove {
    pub async fn run(&self, client: &Client) -> anyhow::Result<()> {
        let (place, what) = match &self.digest {
            Some(version) => {
                let digest = whole_digest(client, &self.name, version).await?;
                let what = format!("version {} of {}", short(&digest), self.name);
                (format!("{}/versions/{digest}", path(&self.name)), what)
            }
            None => (path(&self.name), format!("all that was uploaded of {}", self.name)),
        };
        if !self.yes && !confirmed(&format!("Remove {what}? [y/N] "))? {
            anyhow::bail!("nothing was removed");
        }
        client.delete(&place).await?;
        Ok(say(&format!("Removed {what}"))?)
    }
}

pub(super) fn path(name: &str) -> String {
    format!("{PATH}/{}", segment(name))
}

/// The one version whose digest begins so.
pub(super) async fn whole_digest(client: &Client, name: &str, given: &str) -> anyhow::Result<String> {
    let versions: Versions = client.get(&format!("{}/versions", path(name)), &[]).await?.read()?;
    Ok(only(versions.items.iter().map(|version| version.digest.as_str()), name, given)?.to_owned())
}

fn only<'a>(mut digests: impl Iterator<Item = &'a str>, name: &str, given: &str) -> anyhow::Result<&'a str> {
    let begins = given.trim_start_matches("sha256:");
    let mut fitting = digests.by_ref().filter(|digest| digest.starts_with(begins));
    match (fitting.next(), fitting.next()) {
        (Some(digest), None) => Ok(digest),
        (None, _) => anyhow::bail!(
            "{name} has no version whose digest begins with `{begins}`\nhint: `hookwright plugin versions {name}` \
             lists them"
        ),
        (Some(_), Some(_)) => {
            anyhow::bail!("several versions of {name} begin with `{begins}`; give more digits")
        }
    }
}

pub(super) fn short(digest: &str) -> String {
    format!("sha256:{}", digest.chars().take(SHORT).collect::<String>())
}

impl Shown {
    fn text(&self, paint: Paint) -> String {
        let title = format!("{} {}", one_line(&self.name), one_line(&self.version));
        let mut text = format!("{}  {}\n", paint.bold(&title), one_line(&self.summary));
        text += &format!("  digest     sha256:{}\n", one_line(&self.digest));
        text += &format!("  active     since {}, by {}\n", self.active_since, spoken(&self.activated_by));
        let file = self.file.as_ref().map(|file| format!(", {}", one_line(file))).unwrap_or_default();
        text += &format!("  source     {}{file}\n", self.source);
        text += &format!("  versions   {}\n  endpoints  {}\n", self.versions, self.endpoints);
        if let Some(problem) = &self.problem {
            text += &format!("  problem    {}\n", one_line(problem));
        }
        if !self.users.is_empty() {
            let mut table = Table::new(["USED BY", "NAME", "TENANT", "CHAIN OF", "VERSION"]);
            for user in &self.users {
                let id = user.id.clone().unwrap_or_else(|| user.kind.clone());
                let (name, tenant) = (user.name.clone(), user.tenant.clone());
                let version = user.pinned.as_deref().map_or_else(|| "follows".to_owned(), short);
                table.row([
                    id,
                    name.unwrap_or_default(),
                    tenant.unwrap_or_default(),
                    user.chain_of.clone(),
                    version,
                ]);
            }
            text += &format!("\n{table}");
        }
        text
    }
}

impl Versions {
    fn text(&self, paint: Paint) -> String {
        let mut table = Table::new(["", "DIGEST", "VERSION", "SOURCE", "SIZE", "ADDED", "SIGNED", "PINS"]);
        for version in &self.items {
            table.row([
                if version.active { "*" } else { "" }.to_owned(),
                short(&version.digest),
                version.version.clone(),
                version.source.clone(),
                version.size.to_string(),
                version.added_at.clone(),
                if version.signed { "yes" } else { "no" }.to_owned(),
                version.pins.to_string(),
            ]);
        }
        let mut history = Table::new(["SINCE", "ACTIVE", "BY"]);
        for turn in &self.history {
            let digest = turn.digest.as_deref().map_or_else(|| "none".to_owned(), short);
            history.row([turn.at.clone(), digest, spoken(&turn.cause).to_owned()]);
        }
        format!("{table}\n{}\n{history}", paint.bold("History"))
    }
}

fn spoken(cause: &str) -> &str {
    match cause {
        "roll_back" => "roll-back",
        "removal" => "removal of another",
        "bundled" => "the server",
        "folder" => "the folder",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_by_the_first_digits_of_its_digest() {
        let digests = ["abc1", "abd2", "ff00"];
        for (given, found) in [("abc", Some("abc1")), ("sha256:f", Some("ff00")), ("ab", None), ("0", None)] {
            assert_eq!(only(digests.into_iter(), "flatten", given).ok(), found, "{given}");
        }
    }
}
