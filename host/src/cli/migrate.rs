//! `migrate`: brings the database to what this version needs.

use std::path::PathBuf;

use super::screen::say;
use crate::app;
use crate::config::Config;
use crate::store::postgres::Migrated;

/// Make the tables of a PostgreSQL store, or bring them up to date
///
/// Run it once before the first start on a database, and after each upgrade before the new servers start. Servers of the
/// version before go on meanwhile.
#[derive(Debug, clap::Args)]
pub struct Migrate {
    /// The database, such as postgres://user@host/name [env: HOOKWRIGHT_STORE_URL]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A file with the database's password [env: HOOKWRIGHT_STORE_PASSWORD_FILE]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// A file of settings, in TOML
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CONFIG")]
    config: Option<PathBuf>,
}

impl Migrate {
    pub async fn run(self) -> anyhow::Result<()> {
        let one = |key, value: Option<String>| value.map(|value| (key, vec![value]));
        let flags = [one("store.url", self.store), one("store.password_file", self.store_password_file)];
        let flags = flags.into_iter().flatten();
        let config = Config::load(self.config.as_deref(), super::serve::variables(), flags)?;
        let migrated = app::migrate(&config).await?;
        say(&match migrated {
            Migrated { from, to } if from == to => format!("The tables are of version {to} already."),
            Migrated { from, to } => format!("The tables were brought from version {from} to {to}."),
        })?;
        Ok(())
    }
}
