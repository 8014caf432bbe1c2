//! `plugin push`: to a running server.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use http::{HeaderName, HeaderValue};
use serde::Deserialize;

use super::component::Component;
use super::signing::signature_file;
use super::watch::Watch;
use crate::cli::client::{Client, segment};
use crate::cli::screen::{one_line, say};

const WASM: &str = "application/wasm";
const SIGNATURE: &str = "plugin-signature";

#[derive(Debug, clap::Args)]
pub struct Push {
    /// Folder of a project, which is built first, or a .wasm file
    #[arg(value_name = "DIR|FILE", default_value = ".")]
    plugin: PathBuf,
    /// Name of the plugin; unless said otherwise that of the file
    #[arg(long)]
    name: Option<String>,
    /// Do not activate it: for `plugin backtest`, and `plugin activate` later
    #[arg(long)]
    add: bool,
    /// Push again whenever a file changes
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Deserialize)]
struct Pushed {
    name: String,
    version: String,
    digest: String,
}

impl Push {
    pub async fn run(self, client: &Client, json: bool) -> anyhow::Result<()> {
        if !self.watch {
            return self.once(client, json).await;
        }
        let mut watch = Watch::new(&self.plugin);
        loop {
            if let Err(error) = self.once(client, json).await {
                eprintln!("error: {error:#}");
            }
            eprintln!("waiting for a change");
            watch.changed().await;
        }
    }

    async fn once(&self, client: &Client, json: bool) -> anyhow::Result<()> {
        let component = Component::of(&self.plugin)?;
        let stem = component.path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-"));
        let name = self.name.clone().or(stem).context("the plugin needs a name; give it with `--name`")?;
        let path = format!("/v1/plugins/{}", segment(&name));
        let query = [("activate", (!self.add).to_string())];
        let signature = signature(&component.path)?;
        let answer = client.upload(&path, &query, (WASM, component.bytes), signature).await?;
        if json {
            return answer.print();
        }
        let Pushed { name, version, digest } = answer.read()?;
        Ok(say(&format!("{} {}  sha256:{}", one_line(&name), one_line(&version), one_line(&digest)))?)
    }
}

/// As `plugin sign` left it beside the file, for servers that ask for one.
fn signature(plugin: &Path) -> anyhow::Result<Option<(HeaderName, HeaderValue)>> {
    let file = signature_file(plugin);
    if !file.exists() {
        return Ok(None);
    }
    let text =
        std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    let value = HeaderValue::from_str(text.trim());
    let value = value.with_context(|| format!("{} holds no signature", file.display()))?;
    Ok(Some((HeaderName::from_static(SIGNATURE), value)))
}
