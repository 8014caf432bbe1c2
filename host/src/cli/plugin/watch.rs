//! Tells when something in a project was changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Between two looks. Looking works on every file system and takes less than a millisecond where sources are few.
const PAUSE: Duration = Duration::from_millis(250);
/// What tools write, and what is theirs.
const NOT_SOURCES: [&str; 4] = ["target", "dist", "node_modules", "__pycache__"];
/// Most files that are looked at.
const FILES: usize = 10_000;

/// What a folder held when it was last looked at.
pub struct Watch {
    root: PathBuf,
    seen: Look,
    last: Look,
}

/// Each file's time and size.
type Look = BTreeMap<PathBuf, (Option<SystemTime>, u64)>;

impl Watch {
    /// `root` may be a file, too.
    pub fn new(root: &Path) -> Self {
        let seen = look(root);
        Self { root: root.to_owned(), last: seen.clone(), seen }
    }

    /// Returns once something is different from what was seen before.
    pub async fn changed(&mut self) {
        while !self.has_changed() {
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// What differs has to stay so for one look: editors write in steps.
    fn has_changed(&mut self) -> bool {
        let now = look(&self.root);
        let settled = now == self.last && now != self.seen;
        if settled {
            self.seen.clone_from(&now);
        }
        self.last = now;
        settled
    }
}

fn look(root: &Path) -> Look {
    let mut look = Look::new();
    let mut left = vec![root.to_owned()];
    while let Some(path) = left.pop().filter(|_| look.len() < FILES) {
        for entry in fs::read_dir(&path).into_iter().flatten().flatten() {
            // Links are not followed into folders, which may hold the link.
            let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
            match is_source(&entry.file_name().to_string_lossy()) {
                true if is_folder => left.push(entry.path()),
                true => note(entry.path(), &mut look),
                false => {}
            }
        }
        note(path, &mut look);
    }
    look
}

/// What cannot be read is as good as not there: it is looked at again the next time.
fn note(path: PathBuf, look: &mut Look) {
    if let Some(metadata) = fs::metadata(&path).ok().filter(|metadata| metadata.is_file()) {
        look.insert(path, (metadata.modified().ok(), metadata.len()));
    }
}

fn is_source(name: &str) -> bool {
    !name.starts_with('.') && !NOT_SOURCES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_source_is_seen_and_of_a_result_is_not() {
        let dir = tempfile::tempdir().expect("a folder");
        let (source, result) = (dir.path().join("plugin.js"), dir.path().join("dist/a.wasm"));
        fs::create_dir_all(dir.path().join("dist")).expect("a folder");
        fs::write(&source, "1").expect("to write");
        let mut watch = Watch::new(dir.path());
        let mut twice = || (watch.has_changed(), watch.has_changed());
        fs::write(result, "1").expect("to write");
        assert_eq!(twice(), (false, false));
        fs::write(&source, "12").expect("to write");
        assert_eq!(twice(), (false, true), "it is told once it has settled");
        assert_eq!(twice(), (false, false));
        fs::remove_file(&source).expect("to remove");
        assert_eq!(twice(), (false, true));
    }

    #[test]
    fn a_file_can_be_watched_alone() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("a.wasm");
        let mut watch = Watch::new(&file);
        fs::write(&file, "1").expect("to write");
        assert_eq!((watch.has_changed(), watch.has_changed()), (false, true));
    }
}
