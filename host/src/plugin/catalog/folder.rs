//! The plugins folder as files: what is there, and whether somebody is still writing it.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::Refusal;
use crate::plugin::trust::{SIGNATURE_SUFFIX, SIGNATURE_TEXT};
use crate::store::plugins::ComponentDigest;

/// A file that stays as it is for so long is complete. One that was renamed into place always is; should one
/// be read half-written all the same, it is refused, changes, and is looked at again.
pub(super) const SETTLED: Duration = Duration::from_millis(100);
/// Most files that are looked at.
const FILES: usize = 1_000;

pub(super) struct Found {
    pub path: PathBuf,
    pub mark: Mark,
}

/// Changes when the file does, or its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    file: Stamp,
    signature: Option<Stamp>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

/// What was in a file, and what its signature says.
pub(super) struct Read {
    pub bytes: Bytes,
    /// In hex.
    pub digest: String,
    pub signature: Option<String>,
}

/// The `.wasm` files, by name. A folder that is not there is empty; one that cannot be read is an error, so
/// that a drive that is away for a moment takes no plugin with it.
pub(super) async fn scan(folder: &Path) -> io::Result<Vec<Found>> {
    let folder = folder.to_owned();
    let listed = tokio::task::spawn_blocking(move || list(&folder)).await;
    match listed.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        listed => listed,
    }
}

/// `None` if the file changes while it is looked at.
pub(super) async fn read(
    file: &Found,
    limit: u64,
    settled: Duration,
) -> Option<(Mark, Result<Read, Refusal>)> {
    tokio::time::sleep(settled).await;
    let path = file.path.clone();
    let read = tokio::task::spawn_blocking(move || {
        let read = read_signed(&path, limit);
        (mark(&path), read)
    });
    match read.await {
        Ok((Ok(mark), read)) if mark == file.mark => Some((mark, read)),
        _ => None,
    }
}

fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder)?.flatten() {
        let path = file.path();
        if !is_candidate(&path) {
            continue;
        }
        if found.len() == FILES {
            tracing::warn!("the plugins folder has more than {FILES} plugins, the rest is not looked at");
            break;
        }
        if let Ok(mark) = mark(&path) {
            found.push(Found { path, mark });
        }
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

/// Editors and copying programs hide their temporary files behind a dot.
fn is_candidate(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
    !hidden && path.extension().is_some_and(|extension| extension == "wasm")
}

fn mark(path: &Path) -> io::Result<Mark> {
    let signature = stamp(&signature_of(path)).ok();
    Ok(Mark { file: stamp(path)?, signature })
}

fn stamp(path: &Path) -> io::Result<Stamp> {
    let metadata = std::fs::metadata(path)?;
    Ok(Stamp { modified: metadata.modified().ok(), size: metadata.len(), inode: inode(&metadata) })
}

fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(SIGNATURE_SUFFIX);
    name.into()
}

fn read_signed(path: &Path, limit: u64) -> Result<Read, Refusal> {
    let bytes = read_bounded(path, limit)?;
    let signature = signature_of(path);
    let signature = match signature.exists() {
        true => {
            let text = read_bounded(&signature, SIGNATURE_TEXT as u64).map_err(|refusal| {
                Refusal::new(format!("its signature in `{}` cannot be taken: {refusal}", signature.display()))
            })?;
            Some(String::from_utf8_lossy(&text).trim().to_owned())
        }
        false => None,
    };
    Ok(Read { digest: ComponentDigest::of(&bytes).to_string(), bytes, signature })
}

#[cfg(unix)]
fn inode(metadata: &Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &Metadata) -> u64 {
    0
}

fn read_bounded(path: &Path, limit: u64) -> Result<Bytes, Refusal> {
    let unreadable = |error: io::Error| Refusal::new(format!("the file cannot be read: {error}"));
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Refusal::new("it is not a file"));
    }
    if metadata.len() > limit {
        return Err(Refusal::too_large(metadata.len(), limit));
    }
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes.into())
}
