//! `serve`: runs the host.

use std::env;
use std::path::PathBuf;

use anyhow::Context as _;

use super::screen::{Paint, say};
use super::signals;
use crate::app;
use crate::config::{self, Config};
use crate::supervisor::Supervisor;
use crate::telemetry;

/// Run the server.
///
/// Needs no configuration. Each setting can stand in a TOML file, in the environment or, for these few, in a flag;
/// the later one wins.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address and port of the API [default: 127.0.0.1:8420] [env: HOOKWRIGHT_LISTEN]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// What this server does, where several share a database: ingest, deliver, api [default: all of them]
    /// [env: HOOKWRIGHT_ROLES]
    #[arg(long = "role", alias = "roles", value_name = "ROLE,...", value_delimiter = ',')]
    roles: Vec<String>,
    /// A certificate in PEM, to speak TLS with; needs --tls-key [env: HOOKWRIGHT_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// The certificate's private key in PEM [env: HOOKWRIGHT_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// Where everything is kept [default: hookwright-data] [env: HOOKWRIGHT_DATA_DIR]
    #[arg(long, value_name = "DIR")]
    data_dir: Option<String>,
    /// A PostgreSQL database to keep everything in, such as postgres://user@host/name; shared by several servers
    /// [env: HOOKWRIGHT_STORE_URL]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// A file with the database's password [env: HOOKWRIGHT_STORE_PASSWORD_FILE; HOOKWRIGHT_STORE_PASSWORD holds the
    /// password itself]
    #[arg(long, value_name = "FILE")]
    store_password_file: Option<String>,
    /// Where plugins are dropped [default: `plugins` in the data directory] [env: HOOKWRIGHT_PLUGINS_DIR]
    #[arg(long, value_name = "DIR")]
    plugins_dir: Option<String>,
    /// A range of private addresses that endpoints may point to, such as 127.0.0.0/8; may be repeated
    /// [env: HOOKWRIGHT_ALLOW_TARGETS, with commas]
    #[arg(long, value_name = "CIDR")]
    allow_target: Vec<String>,
    /// Certificate authorities of private receivers, in PEM, beside those of this machine [env: HOOKWRIGHT_CA_FILE]
    #[arg(long, value_name = "FILE")]
    ca_file: Option<String>,
    /// An HTTP proxy for all deliveries, such as http://proxy.example:3128 [env: HOOKWRIGHT_EGRESS_PROXY, the place
    /// for a password]
    #[arg(long, value_name = "URL")]
    egress_proxy: Option<String>,
    /// A file of settings, in TOML
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CONFIG")]
    config: Option<PathBuf>,
}

impl Serve {
    pub async fn run(self) -> anyhow::Result<()> {
        let config = self.settings()?;
        telemetry::start(&config.log)?;
        for warning in config::unknown_variables(variables().map(|(name, _)| name)) {
            tracing::warn!("{warning}");
        }
        let shutdown = signals::shutdown().context("signals cannot be listened to")?;
        let app = app::build(config).await?.supervised(Supervisor::from_environment());
        greet(&app)?;
        app.run(shutdown).await
    }

    fn settings(self) -> Result<Config, config::ConfigError> {
        let one = |key, value: Option<String>| value.map(|value| (key, vec![value]));
        let flags = [
            one("listen", self.listen),
            one("tls_cert", self.tls_cert),
            one("tls_key", self.tls_key),
            one("data_dir", self.data_dir),
            one("store.url", self.store),
            one("store.password_file", self.store_password_file),
            one("plugins_dir", self.plugins_dir),
            one("ca_file", self.ca_file),
            one("egress_proxy", self.egress_proxy),
            (!self.roles.is_empty()).then_some(("roles", self.roles)),
            (!self.allow_target.is_empty()).then_some(("allow_targets", self.allow_target)),
        ];
        Config::load(self.config.as_deref(), variables(), flags.into_iter().flatten())
    }
}

/// Those of the environment that are text; the settings' are ASCII.
pub(super) fn variables() -> impl Iterator<Item = (String, String)> {
    env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn greet(app: &app::App) -> anyhow::Result<()> {
    let paint = Paint::stdout();
    say(&format!("Hookwright listens on {}", paint.bold(&app.origin())))?;
    if let Some(key) = app.admin_key_note() {
        say(&format!("Admin key, shown this once: {}", paint.bold(&key)))?;
        say(&format!("hint: export HOOKWRIGHT_KEY={key}"))?;
    }
    Ok(())
}
