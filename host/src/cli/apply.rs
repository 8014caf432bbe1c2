//! `apply`: makes a server what a file says.

use std::path::PathBuf;

use anyhow::bail;

use self::description::Description;
use self::plan::Plan;
use super::client::Connection;
use super::endpoint::confirmed;
use super::screen::{Paint, say};

pub mod description;
mod plan;

/// Make event types, tenants and endpoints what a TOML file says; shows the difference first
#[derive(Debug, clap::Args)]
pub struct Apply {
    /// The file, such as a preset that `hookwright init` wrote
    #[arg(long, short, value_name = "FILE")]
    file: PathBuf,
    /// Delete event types, and endpoints of the tenants concerned, that the file does not name
    #[arg(long)]
    prune: bool,
    /// Show the difference and change nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    connection: Connection,
}

impl Apply {
    pub async fn run(self) -> anyhow::Result<()> {
        let description = Description::read(&self.file, |name| std::env::var(name).ok())?;
        let client = self.connection.client()?;
        let plan = Plan::make(&client, &description, self.prune).await?;
        match self.connection.json {
            true => say(&plan.to_json()?)?,
            false => say(&plan.show(Paint::stdout()))?,
        }
        if plan.is_empty() || self.dry_run {
            return Ok(());
        }
        if !self.yes && !confirmed("Make these changes? [y/N] ")? {
            bail!("nothing was changed");
        }
        plan.carry_out(&client).await?;
        if self.connection.json {
            return Ok(());
        }
        Ok(say("Done.")?)
    }
}
