//! `key`: who else may ask.

use std::time::Duration;

use anyhow::bail;
use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::argument;
use super::client::{Client, Connection, segment};
use super::endpoint::confirmed;
use super::screen::{Paint, say};
use super::table::Table;
use crate::time::format_span;

const PATH: &str = "/v1/keys";

/// Manage keys of the API
#[derive(Debug, clap::Args)]
pub struct Key {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a key; prints it, this once
    Create(Create),
    /// List all keys
    List,
    /// Let a key open nothing from now on
    Revoke(Revoke),
}

#[derive(Debug, clap::Args)]
struct Create {
    /// What it may do
    role: Role,
    /// For this tenant alone
    #[arg(long, required_if_eq("role", "tenant"))]
    tenant: Option<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// How long it lasts, such as 90d [default: until it is revoked]
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    expires: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    /// Everything
    Admin,
    /// Post events
    Ingest,
    /// Manage what belongs to one tenant
    Tenant,
}

#[derive(Debug, clap::Args)]
struct Revoke {
    /// Id of the key: `key_...`
    id: String,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// The body of `POST /v1/keys`.
#[derive(Debug, Serialize)]
struct NewKey<'a> {
    role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<String>,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    role: String,
    tenant: Option<String>,
    description: String,
    expires_at: Option<String>,
    expired: bool,
    /// There once, in the answer to its creation.
    key: Option<String>,
}

impl Key {
    pub async fn run(self) -> anyhow::Result<()> {
        let (client, json) = (self.connection.client()?, self.connection.json);
        match self.action {
            Action::Create(create) => create.run(&client, json).await,
            Action::List => list(&client, json).await,
            Action::Revoke(revoke) => revoke.run(&client, json).await,
        }
    }
}

impl Create {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let answer = client.post(PATH, serde_json::to_string(&self.body())?).await?;
        if json {
            return answer.print();
        }
        let made: Shown = answer.read()?;
        say(&format!("Created {}  {}", made.id, made.role))?;
        if let Some(key) = &made.key {
            say(&format!("Key, shown this once: {}", Paint::stdout().bold(key)))?;
        }
        Ok(())
    }

    fn body(&self) -> NewKey<'_> {
        NewKey {
            role: self.role,
            tenant: self.tenant.as_deref(),
            description: self.description.as_deref(),
            expires: self.expires.map(format_span),
        }
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    if json {
        let all: Vec<Box<RawValue>> = client.all(PATH).await?;
        return Ok(say(&serde_json::to_string(&all)?)?);
    }
    let keys: Vec<Shown> = client.all(PATH).await?;
    if keys.is_empty() {
        eprintln!("No keys but the admin key.\nhint: hookwright key create ingest");
        return Ok(());
    }
    let mut table = Table::new(["ID", "ROLE", "TENANT", "EXPIRES", "DESCRIPTION"]);
    for key in keys {
        let expires = match (key.expired, key.expires_at) {
            (true, _) => "expired".to_owned(),
            (false, end) => end.unwrap_or_else(|| "-".to_owned()),
        };
        table.row([key.id, key.role, key.tenant.unwrap_or_else(|| "-".to_owned()), expires, key.description]);
    }
    Ok(say(&table.to_string())?)
}

impl Revoke {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        if !self.yes && !confirmed(&format!("Revoke {}? Whoever uses it is locked out. [y/N] ", self.id))? {
            bail!("nothing was revoked");
        }
        client.delete(&format!("{PATH}/{}", segment(&self.id))).await?;
        if json { Ok(()) } else { Ok(say(&format!("Revoked {}", self.id))?) }
    }
}
