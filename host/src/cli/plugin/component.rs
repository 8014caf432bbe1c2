//! The component that a command is about: a file, or what a project becomes.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;

use super::project::Project;
use crate::plugin::{Engine, Limits, Plugin};

#[derive(Debug)]
pub struct Component {
    pub path: PathBuf,
    pub bytes: Bytes,
}

/// A component that the engine has taken, and how long it took: compiling it, above all.
pub struct Loaded {
    pub plugin: Plugin,
    pub time: Duration,
}

impl Component {
    /// Builds it first, where `path` is the folder of a project.
    ///
    /// # Errors
    ///
    /// Where it cannot be built or read.
    pub fn of(path: &Path) -> anyhow::Result<Self> {
        let path = if path.is_dir() { Project::open(path)?.build()? } else { path.to_owned() };
        let bytes = read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        Ok(Self { path, bytes: bytes.into() })
    }

    /// Checks and compiles it as a server with the default limits would.
    ///
    /// # Errors
    ///
    /// Where it is no plugin.
    pub async fn load(&self) -> anyhow::Result<Loaded> {
        let engine = Engine::new(Limits::default())?;
        let started = Instant::now();
        let loaded = engine.load(self.bytes.clone(), None).await;
        let plugin = loaded.with_context(|| format!("{} is no plugin", self.path.display()))?;
        Ok(Loaded { plugin, time: started.elapsed() })
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = Limits::default().file_size_limit;
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        bail!("it has more than {limit} bytes, the most that a server takes unless told otherwise");
    }
    Ok(bytes)
}
