//! `apply`: makes a server what a file says.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use serde_json::json;

use self::description::Description;
use self::plan::Plan;
use super::client::Connection;
use super::endpoint::confirmed;
use super::recipe::Recipe;
use super::screen::{Paint, say};

pub mod description;
pub mod plan;

/// Make event types, tenants and endpoints what a TOML file says; shows the difference first
#[derive(Debug, clap::Args)]
pub struct Apply {
    #[command(flatten)]
    source: Source,
    /// Delete event types, and endpoints of the tenants concerned, that the file does not name
    #[arg(long, conflicts_with = "recipe")]
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

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Source {
    /// The file, such as a preset that `hookwright init` wrote
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A recipe as it stands; `hookwright recipe list` shows them
    #[arg(long, value_name = "NAME")]
    recipe: Option<Recipe>,
}

impl Apply {
    pub async fn run(self) -> anyhow::Result<()> {
        let description = self.source.read(|name| std::env::var(name).ok())?;
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
        let as_json = self.connection.json;
        plan.carry_out(&client, |what, secret| show_minted(what, secret, as_json)).await?;
        match as_json {
            true => Ok(()),
            false => Ok(say("Done.")?),
        }
    }
}

impl Source {
    fn read(&self, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<Description> {
        match (&self.file, self.recipe) {
            (Some(file), _) => Description::read(file, variable),
            (None, Some(recipe)) => Description::parse(recipe.text, variable)
                .with_context(|| format!("the recipe `{}` cannot be applied", recipe.name)),
            (None, None) => bail!("give a file with --file, or a recipe with --recipe"),
        }
    }
}

fn show_minted(what: &str, secret: &str, as_json: bool) -> anyhow::Result<()> {
    match as_json {
        true => say(&json!({"what": what, "secret": secret}).to_string())?,
        false => say(&format!("The secret of {what}, shown this once: {secret}"))?,
    }
    Ok(())
}
