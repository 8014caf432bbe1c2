//! `tenant`: what holds for all endpoints of a tenant.

use std::time::Duration;

use anyhow::bail;
use clap::Subcommand;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::argument::{self, Rate};
use super::client::{Client, Connection, segment};
use super::endpoint::confirmed;
use super::host::{Back, announce};
use super::screen::say;
use super::table::Table;
use super::terms::Said;
use crate::time::format_span;

const PATH: &str = "/v1/tenants";

/// Manage tenants: what holds for all of their endpoints
#[derive(Debug, clap::Args)]
pub struct Tenant {
    #[command(subcommand)]
    action: Action,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List those that are described
    List,
    /// Show one
    Show(Name),
    /// Say something for all of its endpoints, or how much it may post
    Set(Box<Set>),
    /// Keep its deliveries waiting; its events are still taken
    Offline(Name),
    /// Deliver again
    Online(Online),
    /// Forget what was said of it
    Delete(Delete),
    /// Make a link with which its people see and manage what is theirs
    Portal(Portal),
}

#[derive(Debug, clap::Args)]
struct Name {
    tenant: String,
}

#[derive(Debug, clap::Args)]
struct Online {
    tenant: String,
    #[command(flatten)]
    back: Back,
}

#[derive(Debug, clap::Args)]
struct Set {
    tenant: String,
    #[arg(long)]
    description: Option<String>,
    /// Most events that it may post, such as 100/1s
    #[arg(long, value_name = "N/SPAN", value_parser = argument::rate)]
    ingest: Option<Rate>,
    /// Most bytes of payloads that are kept for it
    #[arg(long, value_name = "BYTES")]
    stored_bytes: Option<u64>,
    #[command(flatten)]
    said: Said,
}

#[derive(Debug, clap::Args)]
struct Delete {
    tenant: String,
    /// Delete its endpoints and revoke its keys too
    #[arg(long)]
    force: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, clap::Args)]
struct Portal {
    tenant: String,
    /// How long it lasts, from 1m to 24h [default: `dashboard.portal_expires` of the server]
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    expires: Option<Duration>,
}

/// The answer to `POST /v1/tenants/{id}/portal`.
#[derive(Debug, Deserialize)]
struct Link {
    path: String,
    expires_at: String,
}

/// As far as it is shown.
#[derive(Debug, Deserialize)]
struct Shown {
    id: String,
    description: String,
    offline: bool,
}

impl Tenant {
    pub async fn run(self) -> anyhow::Result<()> {
        let (client, json) = (self.connection.client()?, self.connection.json);
        match self.action {
            Action::List => list(&client, json).await,
            Action::Show(Name { tenant }) => super::host::show(&client, &path(&tenant)).await,
            Action::Set(set) => {
                let what = format!("Changed the tenant {}", set.tenant);
                announce(&client, &path(&set.tenant), set.members()?, &what, json).await
            }
            Action::Offline(Name { tenant }) => {
                let what = format!("The tenant {tenant} is offline: its deliveries wait");
                announce(
                    &client,
                    &path(&tenant),
                    Map::from_iter([("offline".to_owned(), true.into())]),
                    &what,
                    json,
                )
                .await
            }
            Action::Online(Online { tenant, back }) => {
                let what = format!("The tenant {tenant} is back");
                announce(&client, &path(&tenant), back.members(), &what, json).await
            }
            Action::Delete(delete) => delete.run(&client, json).await,
            Action::Portal(portal) => portal.run(&client, json).await,
        }
    }
}

impl Set {
    fn members(&self) -> anyhow::Result<Map<String, Value>> {
        let mut members = self.said.members()?;
        if let Some(description) = &self.description {
            members.insert("description".to_owned(), description.as_str().into());
        }
        let mut quota = Map::new();
        if let Some(rate) = self.ingest {
            quota.insert(
                "ingest".to_owned(),
                json!({"requests": rate.requests, "per": format_span(rate.per)}),
            );
        }
        if let Some(bytes) = self.stored_bytes {
            quota.insert("stored_bytes".to_owned(), bytes.into());
        }
        if !quota.is_empty() {
            members.insert("quota".to_owned(), quota.into());
        }
        Ok(members)
    }
}

impl Delete {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let what = if self.force { ", its endpoints and its keys" } else { "" };
        if !self.yes && !confirmed(&format!("Delete the tenant {}{what}? [y/N] ", self.tenant))? {
            bail!("nothing was deleted");
        }
        let query = self.force.then(|| ("force", "true".to_owned()));
        client.delete_with(&path(&self.tenant), query.as_slice()).await?;
        if json { Ok(()) } else { Ok(say(&format!("Deleted the tenant {}", self.tenant))?) }
    }
}

impl Portal {
    async fn run(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let members = self.expires.map(|span| ("expires".to_owned(), format_span(span).into()));
        let body = Value::Object(members.into_iter().collect());
        let answer = client.post(&format!("{}/portal", path(&self.tenant)), body.to_string()).await?;
        if json {
            return answer.print();
        }
        let link: Link = answer.read()?;
        say(&client.page(&link.path))?;
        eprintln!("Whoever opens it is {} until {}.", self.tenant, link.expires_at);
        Ok(())
    }
}

async fn list(client: &Client, json: bool) -> anyhow::Result<()> {
    if json {
        let all: Vec<Box<RawValue>> = client.all(PATH).await?;
        return Ok(say(&serde_json::to_string(&all)?)?);
    }
    let tenants: Vec<Shown> = client.all(PATH).await?;
    if tenants.is_empty() {
        eprintln!("No tenant is described.\nhint: hookwright tenant set NAME --description TEXT");
        return Ok(());
    }
    let mut table = Table::new(["TENANT", "STATE", "DESCRIPTION"]);
    for tenant in tenants {
        let state = if tenant.offline { "offline" } else { "online" };
        table.row([tenant.id, state.to_owned(), tenant.description]);
    }
    Ok(say(&table.to_string())?)
}

fn path(tenant: &str) -> String {
    format!("{PATH}/{}", segment(tenant))
}
