//! Which plugin answers to which name: the bundled ones, and those of the plugins folder before them.
//!
//! Readers take a [`Snapshot`], which never changes; a scan of the folder puts a new one in its place. A
//! delivery that has taken a plugin keeps it, whatever happens to the folder meanwhile.

use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};

use super::bundled::Bundled;
use super::engine::{Engine, Plugin};
use super::inspect::{self, Refusal};

mod folder;

use folder::{Found, Mark};

/// Replaced plugins that can still be had by their digest.
const REPLACED: usize = 16;

/// All plugins of a host.
pub struct Catalog {
    engine: Engine,
    folder: Option<PathBuf>,
    snapshot: ArcSwap<Snapshot>,
    shelf: Mutex<Shelf>,
    changed: Notify,
}

/// The plugins at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    entries: BTreeMap<String, Entry>,
    refused: Vec<Refused>,
    by_digest: BTreeMap<String, Plugin>,
}

/// A name and the plugin that answers to it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub plugin: Plugin,
    pub source: Source,
    /// Why a newer file of this name is not the one in use.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    Bundled,
    Folder {
        path: PathBuf,
        /// When the file was last written.
        modified: Option<SystemTime>,
    },
}

/// What should be a plugin and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The name that it was meant for; empty if the file's is no plugin name.
    pub name: String,
    /// `None` if it came with the server.
    pub path: Option<PathBuf>,
    pub reason: String,
}

/// What a scan remembers for the next one.
#[derive(Default)]
struct Shelf {
    bundled: BTreeMap<String, Plugin>,
    /// Bundled plugins that were refused: a mistake of the build, or limits too narrow for them.
    broken: Vec<Refused>,
    files: BTreeMap<PathBuf, Known>,
    replaced: VecDeque<Plugin>,
}

/// What came of looking at a file.
enum Look {
    Same,
    New,
    Unsettled,
}

/// A file of the folder as it was last looked at.
struct Known {
    mark: Mark,
    name: String,
    /// The last good one of this file.
    plugin: Option<(Plugin, Option<SystemTime>)>,
    refusal: Option<String>,
}

impl Catalog {
    /// Loads the bundled plugins and what lies in `folder`, which need not exist yet. What is refused is
    /// listed as such, and the others are there all the same.
    pub async fn open(engine: Engine, bundled: Vec<Bundled>, folder: Option<PathBuf>) -> Self {
        let (bundled, broken) = load_bundled(&engine, bundled).await;
        let shelf = Shelf { bundled, broken, ..Shelf::default() };
        let catalog = Self {
            engine,
            folder,
            snapshot: ArcSwap::default(),
            shelf: Mutex::new(shelf),
            changed: Notify::new(),
        };
        catalog.publish(&*catalog.shelf.lock().await);
        // Nobody waits for a file that is half written now: it is refused, and looked at again when it changes.
        catalog.scan(Duration::ZERO).await;
        catalog
    }

    /// The plugin that answers to `name` now.
    pub fn get(&self, name: &str) -> Option<Plugin> {
        let snapshot = self.snapshot.load();
        snapshot.get(name).map(|entry| entry.plugin.clone())
    }

    /// The plugin with this digest (hex): one in use, a bundled one, or one of the last that were replaced.
    pub fn pinned(&self, digest: &str) -> Option<Plugin> {
        self.snapshot.load().by_digest.get(digest).cloned()
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    pub fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Ends when the folder's plugins or refusals next change, counted from this call.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    /// Looks at the folder, loads what is new in it, and puts it in place file by file. One that is still
    /// being written is left for the next time. True if there is such a file.
    pub async fn rescan(&self) -> bool {
        self.scan(folder::SETTLED).await
    }

    async fn scan(&self, settled: Duration) -> bool {
        let mut shelf = self.shelf.lock().await;
        let found = match &self.folder {
            Some(folder) => folder::scan(folder).await,
            None => Ok(Vec::new()),
        };
        let Ok(found) =
            found.inspect_err(|error| tracing::warn!(%error, "the plugins folder cannot be read"))
        else {
            return false;
        };
        if shelf.forget_missing(&found) {
            self.publish(&shelf);
        }
        let mut unsettled = false;
        for file in found {
            match self.look_at(&mut shelf, file, settled).await {
                Look::Same => {}
                Look::New => self.publish(&shelf),
                Look::Unsettled => unsettled = true,
            }
        }
        unsettled
    }

    async fn look_at(&self, shelf: &mut Shelf, file: Found, settled: Duration) -> Look {
        if shelf.is_known(&file) {
            return Look::Same;
        }
        let limit = self.engine.limits().file_size_limit;
        let Some((mark, read)) = folder::read(&file, limit, settled).await else {
            return Look::Unsettled;
        };
        let loaded = match (name_of(&file.path), read) {
            (Ok(name), Ok(bytes)) => self.engine.load(bytes, Some(&name)).await,
            (Err(refusal), _) | (_, Err(refusal)) => Err(refusal),
        };
        shelf.note(file, mark, loaded);
        Look::New
    }

    fn publish(&self, shelf: &Shelf) {
        self.snapshot.store(Arc::new(shelf.snapshot()));
        self.changed.notify_waiters();
    }
}

impl Snapshot {
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// By name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Files that are no plugins, with the reason. One that would replace a plugin is that entry's problem,
    /// too.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

impl Shelf {
    fn is_known(&self, file: &Found) -> bool {
        self.files.get(&file.path).is_some_and(|known| known.mark == file.mark)
    }

    /// A file that is gone takes its plugin with it. True if there is one.
    fn forget_missing(&mut self, found: &[Found]) -> bool {
        let gone: Vec<PathBuf> =
            self.files.keys().filter(|path| !found.iter().any(|file| file.path == **path)).cloned().collect();
        for path in &gone {
            tracing::info!(path = %path.display(), "a plugin file was removed");
            if let Some((plugin, _)) = self.files.remove(path).and_then(|known| known.plugin) {
                self.replace(plugin);
            }
        }
        !gone.is_empty()
    }

    fn note(&mut self, file: Found, mark: Mark, loaded: Result<Plugin, Refusal>) {
        let before = self.files.remove(&file.path).and_then(|known| known.plugin);
        let mut known =
            Known { name: name_of(&file.path).unwrap_or_default(), mark, plugin: None, refusal: None };
        match loaded {
            Ok(plugin) => {
                tracing::info!(path = %file.path.display(), ?plugin, "a plugin was loaded");
                known.plugin = Some((plugin, known.mark.modified));
                if let Some((before, _)) = before {
                    self.replace(before);
                }
            }
            Err(refusal) => {
                tracing::warn!(path = %file.path.display(), reason = %refusal, "a plugin file was refused");
                known.plugin = before;
                known.refusal = Some(refusal.to_string());
            }
        }
        self.files.insert(file.path, known);
    }

    fn replace(&mut self, plugin: Plugin) {
        self.replaced.push_back(plugin);
        if self.replaced.len() > REPLACED {
            self.replaced.pop_front();
        }
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot { refused: self.broken.clone(), ..Snapshot::default() };
        for (path, known) in &self.files {
            snapshot.add_file(path, known);
        }
        for (name, plugin) in &self.bundled {
            snapshot.entries.entry(name.clone()).or_insert_with(|| Entry {
                plugin: plugin.clone(),
                source: Source::Bundled,
                problem: None,
            });
        }
        // A refused file that has no plugin of its own may still stand for a name that a bundled one serves.
        for known in self.files.values().filter(|known| known.plugin.is_none()) {
            if let Some(entry) = snapshot.entries.get_mut(&known.name) {
                entry.problem = entry.problem.take().or_else(|| known.refusal.clone());
            }
        }
        let in_use = snapshot.entries.values().map(|entry| &entry.plugin);
        let all = self.replaced.iter().chain(self.bundled.values()).chain(in_use);
        snapshot.by_digest = all.map(|plugin| (plugin.digest().to_owned(), plugin.clone())).collect();
        snapshot
    }
}

impl Snapshot {
    fn add_file(&mut self, path: &Path, known: &Known) {
        let mut refuse = |reason: String| {
            self.refused.push(Refused { name: known.name.clone(), path: Some(path.to_owned()), reason });
        };
        if let Some(reason) = &known.refusal {
            refuse(reason.clone());
        }
        let Some((plugin, modified)) = &known.plugin else {
            return;
        };
        if self.entries.contains_key(&known.name) {
            return refuse(format!("another file stands for the name `{}`, too", known.name));
        }
        let entry = Entry {
            plugin: plugin.clone(),
            source: Source::Folder { path: path.to_owned(), modified: *modified },
            problem: known.refusal.clone(),
        };
        self.entries.insert(known.name.clone(), entry);
    }
}

/// All at once: at the start nothing else wants the processors.
async fn load_bundled(engine: &Engine, bundled: Vec<Bundled>) -> (BTreeMap<String, Plugin>, Vec<Refused>) {
    let mut loading = tokio::task::JoinSet::new();
    for Bundled { name, bytes } in bundled {
        let engine = engine.clone();
        loading.spawn(async move { (name, engine.load(bytes, Some(name)).await) });
    }
    let (mut plugins, mut broken) = (BTreeMap::new(), Vec::new());
    for (name, loaded) in loading.join_all().await {
        match loaded {
            Ok(plugin) => {
                plugins.insert(name.to_owned(), plugin);
            }
            Err(refusal) => {
                tracing::error!(name, reason = %refusal, "a bundled plugin was refused");
                broken.push(Refused { name: name.to_owned(), path: None, reason: refusal.to_string() });
            }
        }
    }
    broken.sort_by(|one, other| one.name.cmp(&other.name));
    (plugins, broken)
}

/// The stem, with `_` read as `-`: cargo writes the one where people write the other.
fn name_of(path: &Path) -> Result<String, Refusal> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().replace('_', "-"));
    let name = stem.unwrap_or_default();
    inspect::check_name(&name)?;
    Ok(name)
}
