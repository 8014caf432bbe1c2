//! `plugin build`: the component of a project.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::component::Component;
use super::project::Project;
use crate::cli::screen::say;

#[derive(Debug, clap::Args)]
pub struct Build {
    /// Folder of the project
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Build {
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        let component = Component::of(&Project::open(&self.dir)?.build()?)?;
        let (path, size) = (component.path, component.bytes.len());
        let digest = HEXLOWER.encode(&Sha256::digest(&component.bytes));
        let text = match json {
            true => json!({"path": path, "size": size, "digest": digest}).to_string(),
            false => format!("{}\n  digest  sha256:{digest}\n  size    {size} bytes", path.display()),
        };
        Ok(say(&text)?)
    }
}
