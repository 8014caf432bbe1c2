//! Compiled code, kept from one start to the next.
//!
//! Loading it runs native code, so a file is believed only if it lies in a directory that belongs to this
//! user alone, carries the name of its component's digest and of this very engine, and has the checksum that
//! it was written with. Anything that goes wrong here costs one compilation and nothing else.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;

/// Most files; the ones that were written first go first.
const ENTRIES: usize = 256;
const CHECKSUM: usize = 32;
const EXTENSION: &str = "code";

pub(super) struct Cache {
    dir: PathBuf,
    /// Version and settings of the engine: its code fits no other.
    engine: String,
}

impl Cache {
    /// `None` if the directory cannot be made, or others could write to it.
    pub fn open(dir: &Path, engine: &wasmtime::Engine) -> Option<Self> {
        let opened = private_dir(dir).map(|()| Self { dir: dir.to_owned(), engine: fingerprint(engine) });
        match opened {
            Ok(cache) => {
                cache.prune();
                Some(cache)
            }
            Err(error) => {
                tracing::warn!(dir = %dir.display(), %error, "compiled plugins are not cached");
                None
            }
        }
    }

    pub fn load(&self, engine: &wasmtime::Engine, digest: &str) -> Option<Component> {
        let file = fs::read(self.path(digest)).ok()?;
        let (checksum, code) = file.split_at_checked(CHECKSUM)?;
        if Sha256::digest(code)[..] != *checksum {
            tracing::warn!(digest, "a damaged cache entry was ignored");
            return None;
        }
        // SAFETY: `deserialize` needs bytes that `serialize` wrote. Only this user can write to the directory
        // (`private_dir`), `store` alone writes files of this name, each appears by a rename when it is
        // complete, and the checksum shows that it is still what was written. Engine version and settings
        // are in the name, and are checked by `deserialize` again.
        unsafe { Component::deserialize(engine, code) }
            .inspect_err(|error| tracing::warn!(digest, %error, "a cache entry was ignored"))
            .ok()
    }

    pub fn store(&self, component: &Component, digest: &str) {
        let written = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| self.write(&self.path(digest), &code));
        if let Err(error) = written {
            tracing::warn!(digest, %error, "a compiled plugin was not cached");
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.dir.join(format!("{digest}-{}.{EXTENSION}", self.engine))
    }

    fn write(&self, path: &Path, code: &[u8]) -> io::Result<()> {
        // Another process may be writing the same entry; each has a file of its own until the rename.
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let mut file = create_private(&temporary)?;
        file.write_all(&Sha256::digest(code))?;
        file.write_all(code)?;
        drop(file);
        fs::rename(&temporary, path)
    }

    /// Removes what other engines left, and what is too much.
    fn prune(&self) {
        let Ok(files) = fs::read_dir(&self.dir) else {
            return;
        };
        let ours = format!("-{}.{EXTENSION}", self.engine);
        let mut kept = Vec::new();
        for file in files.flatten() {
            let written = file.metadata().and_then(|metadata| metadata.modified());
            match written {
                Ok(written) if file.file_name().to_string_lossy().ends_with(&ours) => {
                    kept.push((written, file.path()));
                }
                _ => remove(&file.path()),
            }
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(ENTRIES);
        kept.iter().take(surplus).for_each(|(_, path)| remove(path));
    }
}

/// Only what looks like ours: a wrongly set directory must not be emptied.
fn remove(path: &Path) {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if matches!(extension, Some(EXTENSION | "tmp")) {
        let _ = fs::remove_file(path);
    }
}

fn fingerprint(engine: &wasmtime::Engine) -> String {
    let mut hasher = DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut hasher);
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

#[cfg(unix)]
fn private_dir(dir: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};

    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let directory = fs::symlink_metadata(dir)?;
    // Whose files are ours is told by a file of ours.
    let probe = dir.join(format!("{}.tmp", std::process::id()));
    let us = create_private(&probe)?.metadata()?.uid();
    fs::remove_file(&probe)?;
    if directory.is_dir() && directory.uid() == us && directory.mode() & 0o077 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "the directory has to belong to this user alone (chmod 700)",
    ))
}

#[cfg(unix)]
fn create_private(path: &Path) -> io::Result<fs::File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Who may write to a directory cannot be told here, so nothing is loaded from one.
#[cfg(not(unix))]
fn private_dir(_: &Path) -> io::Result<()> {
    Err(io::Error::other("supported on Unix alone"))
}

#[cfg(not(unix))]
fn create_private(path: &Path) -> io::Result<fs::File> {
    fs::File::create(path)
}
