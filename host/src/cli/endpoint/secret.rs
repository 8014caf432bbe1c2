//! `endpoint secret`: replacing what messages are signed with.

use std::time::Duration;

use clap::Subcommand;
use serde::Serialize;

use super::super::argument::{self, Text};
use super::super::client::Client;
use super::super::screen::{Paint, one_line, say};
use super::super::table::Table;
use super::{Name, Shown, path};
use crate::time::format_span;

#[derive(Debug, clap::Args)]
pub struct Secret {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show which secrets are live, by their fingerprints
    Show(Name),
    /// Make a new secret, or take yours; prints it, this once. The old one signs too for a while
    Rotate(Rotate),
    /// Let the new secret alone sign from now on
    Promote(Name),
    /// Remove the secret that is being replaced, now
    RemovePrevious(Name),
}

#[derive(Debug, clap::Args)]
struct Rotate {
    /// Id or name
    endpoint: String,
    /// A secret of your own; otherwise the server makes one
    #[arg(long, value_name = "TEXT|@FILE|-", value_parser = Text::parse)]
    secret: Option<Text>,
    /// For how long the old secret signs too, 0s to 7d [default: the server's, 1d]
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    overlap: Option<Duration>,
}

/// The body of `POST .../secret/rotate`.
#[derive(Debug, Serialize)]
struct Rotation {
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<String>,
}

impl Secret {
    pub async fn run(self, client: &Client, json: bool) -> anyhow::Result<()> {
        match self.action {
            Action::Show(Name { endpoint }) => show(client, &endpoint, json).await,
            Action::Rotate(rotate) => rotate.run(client, json).await,
            Action::Promote(Name { endpoint }) => promote(client, &endpoint, json).await,
            Action::RemovePrevious(Name { endpoint }) => remove_previous(client, &endpoint, json).await,
        }
    }
}

impl Rotate {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let rotation = Rotation {
            secret: self.secret.as_ref().map(read).transpose()?,
            overlap: self.overlap.map(format_span),
        };
        let path = format!("{}/secret/rotate", path(client, &self.endpoint).await?);
        let answer = client.post(&path, serde_json::to_string(&rotation)?).await?;
        if json {
            return answer.print();
        }
        let shown: Shown = answer.read()?;
        say(&format!("Rotated the secret of {}  {}", shown.id, one_line(&shown.name)))?;
        say_key(&shown)?;
        say_overlap(&shown)
    }
}

async fn show(client: &Client, endpoint: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.get(&path(client, endpoint).await?, &[]).await?;
    if json {
        return answer.print();
    }
    let shown: Shown = answer.read()?;
    let mut table = Table::new(["FINGERPRINT", "SIGNS IN", "UNTIL", "PUBLIC KEY"]);
    for secret in shown.secrets {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        table.row([secret.fingerprint, secret.header, or_none(secret.until), or_none(secret.public_key)]);
    }
    Ok(say(&table.to_string())?)
}

async fn promote(client: &Client, endpoint: &str, json: bool) -> anyhow::Result<()> {
    let path = format!("{}/secret/promote", path(client, endpoint).await?);
    let answer = client.post(&path, "{}".to_owned()).await?;
    if json {
        return answer.print();
    }
    say_settled(&answer.read()?)
}

async fn remove_previous(client: &Client, endpoint: &str, json: bool) -> anyhow::Result<()> {
    let answer = client.delete(&format!("{}/secret/previous", path(client, endpoint).await?)).await?;
    if json {
        return answer.print();
    }
    say_settled(&answer.read()?)
}

/// A secret is one line; what ends it in a file is no part of it.
pub(super) fn read(text: &Text) -> anyhow::Result<String> {
    Ok(text.read()?.trim_end().to_owned())
}

/// What the receiver needs, as long as it can be had.
pub(super) fn say_key(shown: &Shown) -> anyhow::Result<()> {
    let paint = Paint::stdout();
    if let Some(secret) = &shown.secret {
        say(&format!("Signing secret, shown this once: {}", paint.bold(secret)))?;
    } else if let Some(key) = shown.key() {
        say(&format!("Public key, to check signatures with: {}", paint.bold(key)))?;
    }
    Ok(())
}

fn say_overlap(shown: &Shown) -> anyhow::Result<()> {
    let [new, old] = shown.secrets.as_slice() else {
        return Ok(say("The new secret alone signs from now on.")?);
    };
    let until = old.until.as_deref().unwrap_or("the end of the overlap");
    let (id, fingerprint) = (&shown.id, &old.fingerprint);
    let places = match new.header == old.header {
        true => format!("Both sign in `{}`", new.header),
        false => format!("The old secret signs in `{}`, the new one in `{}`", old.header, new.header),
    };
    say(&format!("{places}, until {until}; then the new one alone signs in `{}`.", old.header))?;
    eprintln!(
        "hint: once the receiver has the new one, end it with `hookwright endpoint secret promote {id}`; the old one has \
         the fingerprint {fingerprint}"
    );
    Ok(())
}

fn say_settled(shown: &Shown) -> anyhow::Result<()> {
    let fingerprint = shown.secrets.first().map_or("-", |secret| secret.fingerprint.as_str());
    let name = one_line(&shown.name);
    Ok(say(&format!(
        "One secret signs for {}  {name}: the one with the fingerprint {fingerprint}",
        shown.id
    ))?)
}
