//! Which version of a plugin answers to which name, and since when.
//!
//! Each version is a digest. They come from the plugins folder, by upload, and with the server; the store keeps those
//! that came in the first two ways, and the history of every name ([`Record`]). What happened last is active: a file
//! that appeared or changed, an upload, an activation, a roll-back. A version becomes active only where nothing speaks
//! against it (`checks`), in one commit.
//!
//! Readers take a [`Snapshot`], which never changes; a change puts a new one in its place. An attempt that has taken a
//! plugin keeps it, whatever happens meanwhile.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, Notify};

use super::bundled::Bundled;
use super::engine::{Engine, Plugin};
use super::inspect::{self, Refusal};
use super::trust::Trust;
use crate::store::memory::MemoryStore;
use crate::store::plugins::{ComponentDigest, PluginRow, Plugins};
use crate::store::{self, StoreError};
use crate::time::{Clock, SystemClock, Timestamp};

mod changes;
mod checks;
mod folder;
mod history;

pub use changes::{CatalogError, Take, Taken};
pub use checks::{Link, Nobody, Objection, Users};
pub use history::{Record, Turn, Version};

use folder::{Found, Mark, Read};

/// Plugins that are kept in memory after nobody names them any more: the latest ones.
const REPLACED: usize = 16;
/// Most names.
const NAMES: usize = 1_000;
/// A file in the store that no record names is forgotten when it is so old: a younger one may be about to be named.
const STRAY_AGE: Duration = Duration::from_secs(3_600);

/// How often those are looked for who came while a version was checked.
const NEWCOMERS: usize = 8;

/// A version was checked with everybody who ran it at this version of the users.
#[derive(Clone, Copy)]
struct Checked {
    users: u64,
}

/// All plugins of a host.
pub struct Catalog {
    engine: Engine,
    folder: Option<PathBuf>,
    store: Arc<dyn Plugins>,
    users: Arc<dyn Users>,
    trust: Trust,
    clock: Arc<dyn Clock>,
    kept_versions: usize,
    snapshot: ArcSwap<Snapshot>,
    /// Held from the checks of a change until its result is in place, so that changes come one after the other.
    shelf: Mutex<Shelf>,
    changed: Notify,
}

/// What a catalogue works with.
pub struct Setup {
    pub engine: Engine,
    /// It need not exist yet.
    pub folder: Option<PathBuf>,
    pub store: Arc<dyn Plugins>,
    pub users: Arc<dyn Users>,
    pub trust: Trust,
    pub clock: Arc<dyn Clock>,
    /// Most versions of a name; those in use are kept beyond it.
    pub kept_versions: usize,
}

/// The plugins at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    entries: BTreeMap<String, Entry>,
    records: BTreeMap<String, Arc<Record>>,
    refused: Vec<Refused>,
    by_digest: BTreeMap<String, Plugin>,
}

/// A name and the plugin that answers to it.
#[derive(Clone, Debug)]
pub struct Entry {
    pub plugin: Plugin,
    pub source: Source,
    /// The folder's file that it is, if it is one.
    pub file: Option<PathBuf>,
    /// Since when it is active.
    pub since: Timestamp,
    /// What made it active.
    pub cause: Cause,
    /// Why a newer file of this name is not the one in use.
    pub problem: Option<String>,
}

/// How a version came to the host. Of several ways the last of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// With the server.
    Bundled,
    /// As a file of the plugins folder.
    Folder,
    Upload,
}

/// What made a version active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// It came with the server, and nothing else answered to the name.
    Bundled,
    /// Its file appeared in the folder, or changed.
    Folder,
    Upload,
    /// Somebody chose it.
    Activation,
    /// Somebody went back to what was active before.
    RollBack,
    /// What was active before it was removed.
    Removal,
}

/// What should be a plugin and is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The name that it was meant for; empty if the file's is no plugin name.
    pub name: String,
    /// `None` if it came with the server, or is in the store.
    pub path: Option<PathBuf>,
    pub reason: String,
}

/// What stands behind a snapshot.
#[derive(Default)]
struct Shelf {
    records: BTreeMap<String, Arc<Record>>,
    /// The digests of the server's own plugins, by their names.
    bundled: BTreeMap<String, String>,
    /// The files of the server's own plugins.
    own_files: Vec<Bundled>,
    /// Bundled plugins that were refused: a mistake of the build, or limits too narrow for them.
    broken: Vec<Refused>,
    files: BTreeMap<PathBuf, Known>,
    /// Active versions that could not be loaded, by their names.
    unusable: BTreeMap<String, String>,
    /// Compiled plugins, by their digests.
    at_hand: BTreeMap<String, Plugin>,
    /// The digests of those that came last, the latest at the end.
    recent: VecDeque<String>,
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
    /// `None` where it is refused.
    digest: Option<String>,
    refusal: Option<String>,
    /// It is refused for what others say of it, which can change without the file.
    looked_at_again: bool,
}

impl Source {
    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Source::Bundled => "bundled",
            Source::Folder => "folder",
            Source::Upload => "upload",
        }
    }
}

impl Cause {
    pub const ALL: [Cause; 6] =
        [Cause::Bundled, Cause::Folder, Cause::Upload, Cause::Activation, Cause::RollBack, Cause::Removal];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Cause::Bundled => "bundled",
            Cause::Folder => "folder",
            Cause::Upload => "upload",
            Cause::Activation => "activation",
            Cause::RollBack => "roll_back",
            Cause::Removal => "removal",
        }
    }
}

impl Catalog {
    /// A catalogue by itself: its history lasts as long as it, and nobody runs its plugins. What is refused of the
    /// bundled plugins and of what lies in `folder` is listed as such, and the others are there all the same.
    pub async fn open(engine: Engine, bundled: Vec<Bundled>, folder: Option<PathBuf>) -> Self {
        let catalog = Self::empty(Setup {
            engine,
            folder,
            store: Arc::new(MemoryStore::new()),
            users: Arc::new(Nobody),
            trust: Trust::default(),
            clock: Arc::new(SystemClock),
            kept_versions: usize::MAX,
        });
        if let Err(error) = catalog.start(bundled).await {
            tracing::error!(%error, "the plugins cannot be listed");
        }
        catalog
    }

    /// Reads what the store remembers, and follows what changed meanwhile: in the folder, and with the server.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read or written. What is refused is listed as such and is no error.
    pub async fn set_up(setup: Setup, bundled: Vec<Bundled>) -> Result<Self, StoreError> {
        let catalog = Self::empty(setup);
        catalog.start(bundled).await?;
        Ok(catalog)
    }

    fn empty(setup: Setup) -> Self {
        let Setup { engine, folder, store, users, trust, clock, kept_versions } = setup;
        Self {
            engine,
            folder,
            store,
            users,
            trust,
            clock,
            kept_versions,
            snapshot: ArcSwap::default(),
            shelf: Mutex::default(),
            changed: Notify::new(),
        }
    }

    /// The plugin that answers to `name` now.
    pub fn get(&self, name: &str) -> Option<Plugin> {
        self.snapshot.load().active(name)
    }

    /// The plugin with this digest (hex): an active one, one that is pinned, or one of the last that were in use.
    /// [`Catalog::fetch`] finds the others.
    pub fn pinned(&self, digest: &str) -> Option<Plugin> {
        self.snapshot.load().pinned(digest)
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

    /// Ends when what is active, listed or refused next changes, counted from this call.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    /// A version of `name` by its digest, loaded where it is not in memory. `None` where the catalogue has none, or it
    /// cannot be loaded.
    pub async fn fetch(&self, name: &str, digest: &str) -> Option<Plugin> {
        let of_that_name = |plugin: &Plugin| plugin.name() == name;
        if let Some(plugin) = self.pinned(digest) {
            return Some(plugin).filter(of_that_name);
        }
        let mut shelf = self.shelf.lock().await;
        let plugin = self.load_version(&shelf, name, digest).await.ok()?;
        shelf.hold(plugin.clone());
        self.publish(&mut shelf);
        Some(plugin)
    }

    /// What would speak against activating this version now.
    pub async fn objections(&self, plugin: &Plugin) -> Vec<Objection> {
        checks::objections(plugin, self.users.as_ref()).await
    }

    /// Looks at the folder, takes up what is new in it, file by file, and loads what is pinned. A file that is still
    /// being written is left for the next time. True if there is such a file.
    pub async fn rescan(&self) -> bool {
        let mut shelf = self.shelf.lock().await;
        let unsettled = self.scan(&mut shelf, folder::SETTLED).await;
        self.keep_pinned(&mut shelf).await;
        if self.load_needed(&mut shelf).await {
            self.publish(&mut shelf);
        }
        unsettled
    }

    /// Takes in what other hosts on the same store changed.
    ///
    /// # Errors
    ///
    /// Where the store cannot be read.
    pub async fn follow(&self) -> Result<(), StoreError> {
        let mut shelf = self.shelf.lock().await;
        let records = read_records(self.store.plugin_rows().await?)?;
        let revisions = |records: &BTreeMap<String, Arc<Record>>| -> Vec<(String, u64)> {
            records.iter().map(|(name, record)| (name.clone(), record.revision)).collect()
        };
        if revisions(&records) == revisions(&shelf.records) {
            return Ok(());
        }
        shelf.records = records;
        self.load_needed(&mut shelf).await;
        self.publish(&mut shelf);
        Ok(())
    }

    async fn start(&self, bundled: Vec<Bundled>) -> Result<(), StoreError> {
        let mut shelf = self.shelf.lock().await;
        shelf.records = read_records(self.store.plugin_rows().await?)?;
        let (plugins, broken) = load_bundled(&self.engine, bundled.clone()).await;
        shelf.own_files = bundled;
        shelf.broken = broken;
        self.follow_bundled(&mut shelf, plugins).await?;
        // Nobody waits for a file that is half written now: it is refused, and looked at again when it changes.
        self.scan(&mut shelf, Duration::ZERO).await;
        self.load_needed(&mut shelf).await;
        self.publish(&mut shelf);
        self.forget_strays(&shelf).await
    }

    /// What came with the server is active where nothing else is, and where it was in the last server.
    async fn follow_bundled(&self, shelf: &mut Shelf, plugins: Vec<Plugin>) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut own: BTreeMap<String, Version> = BTreeMap::new();
        for plugin in plugins {
            own.insert(plugin.name().to_owned(), Version::of(&plugin, Source::Bundled, None, now));
            shelf.bundled.insert(plugin.name().to_owned(), plugin.digest().to_owned());
            shelf.at_hand.insert(plugin.digest().to_owned(), plugin);
        }
        let names: BTreeSet<String> = own.keys().chain(shelf.records.keys()).cloned().collect();
        let mut changed = Vec::new();
        for name in names {
            let before = shelf.records.get(&name).map(|record| Record::clone(record)).unwrap_or_default();
            let mut record = before.clone();
            record.follow_bundled(own.remove(&name), now);
            if record != before {
                changed.push((name, record));
            }
        }
        self.write(shelf, changed).await.map(drop)
    }

    async fn scan(&self, shelf: &mut Shelf, settled: Duration) -> bool {
        // Where there is none, what came from one stays: the store may be a copy of one that had a folder.
        let Some(folder) = &self.folder else { return false };
        let Ok(found) = folder::scan(folder)
            .await
            .inspect_err(|error| tracing::warn!(%error, "the plugins folder cannot be read"))
        else {
            return false;
        };
        if shelf.forget_missing(&found) {
            self.publish(shelf);
        }
        self.retire_missing(shelf, &found).await;
        let mut unsettled = false;
        for file in found {
            match self.look_at(shelf, file, settled).await {
                Look::Same => {}
                Look::New => self.publish(shelf),
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
        let name = name_of(&file.path);
        let taken = match (&name, read) {
            (Ok(name), Ok(read)) => self.take_file(shelf, name, &file, read).await,
            (Err(refusal), _) => Err(CatalogError::Refused(refusal.clone())),
            (_, Err(refusal)) => Err(CatalogError::Refused(refusal)),
        };
        let refusal = match &taken {
            Ok(_) => None,
            Err(error @ (CatalogError::Store(_) | CatalogError::Contended(_))) => {
                tracing::warn!(path = %file.path.display(), %error, "a plugin file is looked at again later");
                return Look::Same;
            }
            Err(refusal) => Some(refusal.to_string()),
        };
        let known = Known {
            mark,
            name: name.unwrap_or_default(),
            digest: taken.as_ref().ok().cloned(),
            looked_at_again: matches!(&taken, Err(CatalogError::Objected(said)) if said.iter().any(Objection::can_pass)),
            refusal,
        };
        shelf.note(file.path, known)
    }

    /// Takes a file up, where it differs from what was last taken up from there, and answers its digest.
    async fn take_file(
        &self,
        shelf: &mut Shelf,
        name: &str,
        file: &Found,
        read: Read,
    ) -> Result<String, CatalogError> {
        let double = |(path, known): (&PathBuf, &Known)| {
            *path != file.path && known.name == name && known.digest.is_some()
        };
        if shelf.files.iter().any(double) {
            let reason = format!("another file stands for the name `{name}`, too");
            return Err(Refusal::new(reason).into());
        }
        let Read { bytes, digest, signature } = read;
        let known = shelf.records.get(name).filter(|record| record.folder() == Some(digest.as_str()));
        let taken_up = known.and_then(|record| record.version(&digest)).cloned();
        if let Some(version) = taken_up {
            self.follow_signature(shelf, name, &version, &bytes, signature).await?;
            return Ok(digest);
        }
        let plugin = self.prepare(name, bytes.clone(), Source::Folder, signature.as_deref()).await?;
        let checked = self.check(&plugin).await?;
        let now = self.clock.now();
        self.store.keep_component(bytes, now).await?;
        self.check_newcomers(&plugin, checked).await?;
        let mut record = shelf.record(name);
        record.add(Version::of(&plugin, Source::Folder, signature, now));
        record.note_folder(Some(&digest));
        record.turn(Some(&digest), Cause::Folder, now);
        tracing::info!(path = %file.path.display(), ?plugin, "a plugin was loaded");
        shelf.hold(plugin);
        self.commit(shelf, name, record).await?;
        Ok(digest)
    }

    /// A file whose bytes are known may have been signed since.
    async fn follow_signature(
        &self,
        shelf: &mut Shelf,
        name: &str,
        version: &Version,
        bytes: &Bytes,
        signature: Option<String>,
    ) -> Result<(), CatalogError> {
        let given = signature.as_deref().or(version.signature.as_deref());
        self.verify(Source::Folder, bytes.clone(), given.map(str::to_owned)).await?;
        if signature.is_none() || signature == version.signature {
            return Ok(());
        }
        let mut record = shelf.record(name);
        record.add(Version { signature, ..version.clone() });
        self.commit(shelf, name, record).await
    }

    /// A file that is gone takes its version with it.
    async fn retire_missing(&self, shelf: &mut Shelf, found: &[Found]) {
        let there: BTreeSet<String> = found.iter().filter_map(|file| name_of(&file.path).ok()).collect();
        let gone =
            |(name, record): &(&String, &Arc<Record>)| record.folder().is_some() && !there.contains(*name);
        let gone: Vec<String> = shelf.records.iter().filter(gone).map(|(name, _)| name.clone()).collect();
        for name in gone {
            if let Err(error) = self.retire(shelf, &name).await {
                tracing::warn!(name, %error, "the removal of a plugin file is looked at again later");
            }
        }
    }

    async fn retire(&self, shelf: &mut Shelf, name: &str) -> Result<(), CatalogError> {
        let mut record = shelf.record(name);
        let digest = record.folder().map(str::to_owned);
        let came_so =
            |digest: &str| record.version(digest).is_some_and(|found| found.source == Source::Folder);
        let was_active =
            digest.as_deref().is_some_and(|digest| record.active() == Some(digest) && came_so(digest));
        record.note_folder(None);
        if was_active {
            let next = record.fallback().map(str::to_owned);
            record.turn(next.as_deref(), Cause::Removal, self.clock.now());
        }
        tracing::info!(name, "a plugin file was removed");
        self.commit(shelf, name, record).await?;
        if self.load_needed(shelf).await {
            self.publish(shelf);
        }
        Ok(())
    }

    /// What somebody pins of the server's own plugins is put into the store, for the next server may bring others.
    async fn keep_pinned(&self, shelf: &mut Shelf) {
        let pinned = self.users.pinned();
        let to_keep = |record: &Arc<Record>, digest: &String| {
            pinned.contains(digest) && record.version(digest).is_some_and(|version| !version.is_kept)
        };
        let wanted = shelf
            .bundled
            .iter()
            .filter(|(name, digest)| shelf.records.get(*name).is_some_and(|record| to_keep(record, digest)));
        for (name, digest) in wanted.map(|(name, digest)| (name.clone(), digest.clone())).collect::<Vec<_>>()
        {
            if let Err(error) = self.keep_own(shelf, &name, &digest).await {
                tracing::warn!(name, %error, "a pinned version is put into the store later");
            }
        }
    }

    async fn keep_own(&self, shelf: &mut Shelf, name: &str, digest: &str) -> Result<(), CatalogError> {
        let Some(own) = shelf.own_files.iter().find(|own| own.name == name) else { return Ok(()) };
        self.store.keep_component(own.bytes.clone(), self.clock.now()).await?;
        let mut record = shelf.record(name);
        record.note_kept(digest);
        self.commit(shelf, name, record).await
    }

    /// Loads what is active or pinned and not in memory. True where something came of it.
    async fn load_needed(&self, shelf: &mut Shelf) -> bool {
        let mut changed = false;
        let pinned = self.users.pinned();
        let records: Vec<_> =
            shelf.records.iter().map(|(name, record)| (name.clone(), record.clone())).collect();
        for (name, record) in records {
            let versions = record.versions().iter().map(|version| version.digest.as_str());
            let wanted: BTreeSet<&str> =
                versions.filter(|digest| pinned.contains(*digest)).chain(record.active()).collect();
            for digest in
                wanted.into_iter().filter(|digest| !shelf.at_hand.contains_key(*digest)).collect::<Vec<_>>()
            {
                changed |= self.load_one(shelf, &name, digest, record.active() == Some(digest)).await;
            }
        }
        changed
    }

    async fn load_one(&self, shelf: &mut Shelf, name: &str, digest: &str, is_active: bool) -> bool {
        match self.load_version(shelf, name, digest).await {
            Ok(plugin) => {
                shelf.unusable.remove(name);
                shelf.hold(plugin);
                true
            }
            Err(error) => {
                let reason = format!("its version sha256:{digest} cannot be loaded: {error}");
                let said = shelf.unusable.get(name) == Some(&reason);
                if !said {
                    tracing::error!(name, digest, %error, "a version of a plugin cannot be loaded");
                }
                if is_active {
                    shelf.unusable.insert(name.to_owned(), reason);
                }
                !said
            }
        }
    }

    /// A version that the catalogue knows: from memory, else from the store.
    async fn load_version(&self, shelf: &Shelf, name: &str, digest: &str) -> Result<Plugin, CatalogError> {
        let known = shelf.records.get(name).and_then(|record| record.version(digest));
        let version = known.ok_or_else(|| changes::no_version(name, digest))?;
        if let Some(plugin) = shelf.at_hand.get(digest) {
            return Ok(plugin.clone());
        }
        let stored = match ComponentDigest::parse(digest) {
            Some(digest) => self.store.component(digest).await?,
            None => None,
        };
        let bytes = stored.ok_or_else(|| Refusal::new("its file is not kept; put it in place again"))?;
        let plugin = self.prepare(name, bytes, version.source, version.signature.as_deref()).await?;
        match plugin.digest() == digest {
            true => Ok(plugin),
            false => Err(Refusal::new("its file in the store is damaged; put it in place again").into()),
        }
    }

    /// Compiles a component, once it is known to be one that may run here.
    async fn prepare(
        &self,
        name: &str,
        bytes: Bytes,
        source: Source,
        signature: Option<&str>,
    ) -> Result<Plugin, CatalogError> {
        if bytes.len() as u64 <= self.engine.limits().file_size_limit {
            self.verify(source, bytes.clone(), signature.map(str::to_owned)).await?;
        }
        Ok(self.engine.load(bytes, Some(name)).await?)
    }

    /// Away from the async threads: a file may be large.
    async fn verify(
        &self,
        source: Source,
        bytes: Bytes,
        signature: Option<String>,
    ) -> Result<(), CatalogError> {
        let trust = self.trust.clone();
        let checked =
            tokio::task::spawn_blocking(move || trust.check(source, &bytes, signature.as_deref())).await;
        checked
            .unwrap_or_else(|_| Err(Refusal::new("its signature could not be checked")))
            .map_err(Into::into)
            .map(drop)
    }

    async fn check(&self, plugin: &Plugin) -> Result<Checked, CatalogError> {
        let users = self.users.version();
        let objections = self.objections(plugin).await;
        if objections.is_empty() { Ok(Checked { users }) } else { Err(CatalogError::Objected(objections)) }
    }

    /// Whether it fits those, too, who came while it was checked or kept. For right before the commit.
    async fn check_newcomers(&self, plugin: &Plugin, mut checked: Checked) -> Result<(), CatalogError> {
        for _ in 0..NEWCOMERS {
            let users = self.users.version();
            if users == checked.users {
                break;
            }
            let objections = checks::of_users(plugin, self.users.as_ref()).await;
            if !objections.is_empty() {
                return Err(CatalogError::Objected(objections));
            }
            checked = Checked { users };
        }
        Ok(())
    }

    /// Writes a record, in one commit, and puts it in place.
    async fn commit(&self, shelf: &mut Shelf, name: &str, mut record: Record) -> Result<(), CatalogError> {
        let pinned = self.users.pinned();
        let surplus = record.surplus(self.kept_versions, |digest| pinned.contains(digest));
        record.forget(&surplus);
        if !self.write(shelf, vec![(name.to_owned(), record)]).await? {
            shelf.records = read_records(self.store.plugin_rows().await?)?;
            return Err(CatalogError::Contended(name.to_owned()));
        }
        self.forget(&surplus).await;
        self.publish(shelf);
        Ok(())
    }

    async fn write(&self, shelf: &mut Shelf, records: Vec<(String, Record)>) -> Result<bool, StoreError> {
        let mut rows = Vec::with_capacity(records.len());
        for (name, record) in &records {
            let document = record.write().map_err(|error| StoreError::Corrupt(error.to_string()))?;
            rows.push(PluginRow { name: name.clone(), revision: record.revision + 1, document });
        }
        let written = rows.is_empty() || self.store.put_plugin_rows(rows).await?;
        if written {
            for (name, mut record) in records {
                record.revision += 1;
                shelf.records.insert(name, Arc::new(record));
            }
        }
        Ok(written)
    }

    /// Files that stay behind are strays, and forgotten at a later start.
    async fn forget(&self, digests: &[String]) {
        let digests: Vec<_> = digests.iter().filter_map(|digest| ComponentDigest::parse(digest)).collect();
        if digests.is_empty() {
            return;
        }
        if let Err(error) = self.store.forget_components(digests).await {
            tracing::warn!(%error, "plugin files that nobody needs stay in the store for now");
        }
    }

    async fn forget_strays(&self, shelf: &Shelf) -> Result<(), StoreError> {
        let named: BTreeSet<&str> = shelf
            .records
            .values()
            .flat_map(|record| record.versions())
            .map(|version| version.digest.as_str())
            .collect();
        let now = self.clock.now();
        let kept = self.store.components().await?;
        let strays =
            kept.iter().filter(|row| now.since(row.kept_at) > STRAY_AGE).map(|row| row.digest.to_string());
        let strays: Vec<String> = strays.filter(|digest| !named.contains(digest.as_str())).collect();
        self.forget(&strays).await;
        Ok(())
    }

    fn publish(&self, shelf: &mut Shelf) {
        shelf.put_away(&self.users.pinned());
        self.snapshot.store(Arc::new(shelf.snapshot()));
        self.changed.notify_waiters();
    }
}

impl Snapshot {
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name)
    }

    /// The plugin that answers to `name`.
    pub fn active(&self, name: &str) -> Option<Plugin> {
        self.entries.get(name).map(|entry| entry.plugin.clone())
    }

    /// The plugin with this digest (hex), where it is in memory.
    pub fn pinned(&self, digest: &str) -> Option<Plugin> {
        self.by_digest.get(digest).cloned()
    }

    /// By name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// What is remembered of a name, also where nothing answers to it any more.
    pub fn record(&self, name: &str) -> Option<&Arc<Record>> {
        self.records.get(name)
    }

    /// Files that are no plugins, with the reason. One that would replace a plugin is that entry's problem,
    /// too.
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }
}

impl Version {
    fn of(plugin: &Plugin, source: Source, signature: Option<String>, now: Timestamp) -> Self {
        Self {
            digest: plugin.digest().to_owned(),
            version: plugin.version().to_owned(),
            size: plugin.size() as u64,
            source,
            added_at: now,
            signature,
            is_kept: source != Source::Bundled,
        }
    }
}

impl Shelf {
    /// What is remembered of the name, to be changed.
    fn record(&self, name: &str) -> Record {
        self.records.get(name).map(|record| Record::clone(record)).unwrap_or_default()
    }

    fn is_known(&self, file: &Found) -> bool {
        self.files.get(&file.path).is_some_and(|known| known.mark == file.mark && !known.looked_at_again)
    }

    /// True where a file is gone. What was refused beside it for its name is looked at again.
    fn forget_missing(&mut self, found: &[Found]) -> bool {
        let is_there = |path: &PathBuf| found.iter().any(|file| file.path == *path);
        let gone: Vec<String> = self
            .files
            .iter()
            .filter(|(path, _)| !is_there(path))
            .map(|(_, known)| known.name.clone())
            .collect();
        self.files
            .retain(|path, known| is_there(path) && !(known.digest.is_none() && gone.contains(&known.name)));
        !gone.is_empty()
    }

    fn note(&mut self, path: PathBuf, known: Known) -> Look {
        let before = self.files.get(&path);
        let is_same = before.is_some_and(|before| {
            before.mark == known.mark && before.refusal == known.refusal && before.digest == known.digest
        });
        if let Some(reason) = known.refusal.as_deref().filter(|_| !is_same) {
            tracing::warn!(path = %path.display(), reason, "a plugin file was refused");
        }
        self.files.insert(path, known);
        if is_same { Look::Same } else { Look::New }
    }

    fn hold(&mut self, plugin: Plugin) {
        let digest = plugin.digest().to_owned();
        self.recent.retain(|known| *known != digest);
        self.recent.push_back(digest.clone());
        self.at_hand.insert(digest, plugin);
    }

    /// Lets go of compiled plugins that nobody names and that are not among the latest.
    fn put_away(&mut self, pinned: &BTreeSet<String>) {
        let active: BTreeSet<&str> = self.records.values().filter_map(|record| record.active()).collect();
        let own: BTreeSet<&String> = self.bundled.values().collect();
        let needed = |digest: &String| {
            active.contains(digest.as_str()) || own.contains(digest) || pinned.contains(digest)
        };
        self.recent.retain(|digest| !needed(digest));
        let surplus = self.recent.len().saturating_sub(REPLACED);
        for digest in self.recent.drain(..surplus) {
            self.at_hand.remove(&digest);
        }
        // What is needed now may be replaced later, and is then among the latest.
        let held = self.at_hand.keys().filter(|digest| needed(digest) && !own.contains(digest)).cloned();
        self.recent.extend(held.collect::<Vec<_>>());
    }

    fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot {
            refused: self.broken.clone(),
            records: self.records.clone(),
            by_digest: self.at_hand.clone(),
            ..Snapshot::default()
        };
        for (path, known) in &self.files {
            let refusal = known.refusal.iter().map(|reason| Refused {
                name: known.name.clone(),
                path: Some(path.clone()),
                reason: reason.clone(),
            });
            snapshot.refused.extend(refusal);
        }
        for (name, record) in &self.records {
            match self.entry(name, record) {
                Some(entry) => drop(snapshot.entries.insert(name.clone(), entry)),
                None => snapshot.refused.extend(self.unusable.get(name).map(|reason| Refused {
                    name: name.clone(),
                    path: None,
                    reason: reason.clone(),
                })),
            }
        }
        snapshot
    }

    fn entry(&self, name: &str, record: &Record) -> Option<Entry> {
        let turn = record.last_turn()?;
        let digest = turn.digest.as_ref()?;
        let plugin = self.at_hand.get(digest)?.clone();
        let mut files = self.files.iter().filter(|(_, known)| known.name == name);
        let file = files.clone().find(|(_, known)| known.digest.as_ref() == Some(digest));
        Some(Entry {
            plugin,
            source: record.version(digest).map_or(Source::Upload, |version| version.source),
            file: file.map(|(path, _)| path.clone()),
            since: turn.at,
            cause: turn.cause,
            problem: files.find_map(|(_, known)| known.refusal.clone()),
        })
    }
}

fn read_records(rows: Vec<PluginRow>) -> store::Result<BTreeMap<String, Arc<Record>>> {
    let read = |row: PluginRow| match Record::read(row.revision, &row.document) {
        Ok(record) => Ok((row.name, Arc::new(record))),
        Err(error) => Err(StoreError::Corrupt(format!("the plugin `{}`: {error}", row.name))),
    };
    rows.into_iter().map(read).collect()
}

/// All at once: at the start nothing else wants the processors. The largest begins first, so that it is not compiled
/// alone when all others are done.
async fn load_bundled(engine: &Engine, mut bundled: Vec<Bundled>) -> (Vec<Plugin>, Vec<Refused>) {
    bundled.sort_by_key(|bundled| Reverse(bundled.bytes.len()));
    let mut loading = tokio::task::JoinSet::new();
    for Bundled { name, bytes } in bundled {
        let engine = engine.clone();
        loading.spawn(async move { (name, engine.load(bytes, Some(name)).await) });
    }
    let (mut plugins, mut broken) = (Vec::new(), Vec::new());
    for (name, loaded) in loading.join_all().await {
        match loaded {
            Ok(plugin) => plugins.push(plugin),
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
