//! `plugin push`: to a running server.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
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
    /// Push again whenever a file changes
    #[arg(long)]
    watch: bool,
}

#[derive(Debug, Deserialize)]
struct Pushed {
    name: String,
    version: String,
    digest: String,
    activated: bool,
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
        let signature = signature(&component.path)?;
        let header = signature.as_deref().map(|signature| (SIGNATURE, signature));
        let answer = client.upload(&path, WASM, component.bytes, header).await?;
        if json {
            return answer.print();
        }
        let Pushed { name, version, digest, activated } = answer.read()?;
        let active = if activated { "active from now on" } else { "active already" };
        let (name, version, digest) = (one_line(&name), one_line(&version), one_line(&digest));
        Ok(say(&format!("{name} {version}  sha256:{digest}  {active}"))?)
    }
}

/// What `plugin sign` put beside the component. None if there is nothing.
fn signature(component: &Path) -> anyhow::Result<Option<String>> {
    let file = signature_file(component);
    if !file.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(Some(text.trim().to_owned()))
}
