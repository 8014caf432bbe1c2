//! `init`: writes the files that a host begins with.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::preset::Preset;
use super::screen::say;

/// The configuration of the host.
const CONFIGURATION: &str = "hookwright.toml";
/// What `apply` makes of the host.
const CATALOGUE: &str = "catalogue.toml";

/// Write the configuration and the catalogue of a known system
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The system
    #[arg(long, value_name = "NAME")]
    preset: Preset,
    /// Where the files go
    #[arg(long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
}

impl Init {
    pub fn run(self) -> anyhow::Result<()> {
        let (settings, catalogue) = self.preset.split();
        let files = [(CONFIGURATION, settings), (CATALOGUE, catalogue)];
        if let Some((name, _)) = files.iter().find(|(name, _)| self.dir.join(name).exists()) {
            bail!("{} is there already; choose another folder with --dir", self.dir.join(name).display());
        }
        std::fs::create_dir_all(&self.dir)
            .with_context(|| format!("{} cannot be made", self.dir.display()))?;
        for (name, text) in &files {
            write_new(&self.dir.join(name), text)?;
        }
        let (configuration, catalogue) = (self.dir.join(CONFIGURATION), self.dir.join(CATALOGUE));
        Ok(say(&format!(
            "Wrote {0} and {1}.\nStart the server:  hookwright serve --config {0}\nThen, with its key: hookwright apply -f {1}",
            configuration.display(),
            catalogue.display()
        ))?)
    }
}

/// Never in the place of another file.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let written = OpenOptions::new().write(true).create_new(true).open(path);
    let written = written.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}
