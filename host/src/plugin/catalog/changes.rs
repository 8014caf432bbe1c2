//! What people change in the catalogue: versions are uploaded, activated, rolled back and removed.
//!
//! Each change is made to its end, also where nobody waits for it any more.

use std::sync::Arc;

use bytes::Bytes;

use super::{Catalog, Cause, NAMES, Objection, Record, Shelf, Source, Version};
use crate::plugin::Plugin;
use crate::plugin::inspect::Refusal;
use crate::store::StoreError;

/// Most of what speaks against a version that one sentence tells.
const TOLD: usize = 3;

/// Why the catalogue stays as it was.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is no plugin, or none that may run here.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// It must not become active.
    #[error("it was not activated: {}", told(.0))]
    Objected(Vec<Objection>),
    #[error("{0}")]
    NotFound(String),
    #[error("{reason}")]
    InUse { reason: String, users: Vec<String> },
    #[error("{0}")]
    Conflict(String),
    #[error("the plugin `{0}` is changed by others at the same time; try again")]
    Contended(String),
}

fn told(objections: &[Objection]) -> String {
    let first: Vec<String> = objections.iter().take(TOLD).map(ToString::to_string).collect();
    match objections.len().saturating_sub(TOLD) {
        0 => first.join("; "),
        more => format!("{}; and {more} more", first.join("; ")),
    }
}

/// What becomes of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// Nothing: it is only looked at, as if it were to become active.
    Check,
    /// It is one of the plugin's versions from now on.
    Add,
    Activate,
}

/// What came of an upload.
#[derive(Clone, Debug)]
pub struct Taken {
    pub plugin: Plugin,
    /// The catalogue did not know this version.
    pub is_new: bool,
    /// It became active through this.
    pub activated: bool,
}

impl Catalog {
    /// Takes a component up as a version of `name`.
    ///
    /// # Errors
    ///
    /// Where it is no plugin of that name, is not signed as it has to be, or something speaks against activating it
    /// while that was asked for.
    pub async fn upload(
        self: &Arc<Self>,
        name: String,
        bytes: Bytes,
        signature: Option<String>,
        take: Take,
    ) -> Result<Taken, CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move { catalog.take_upload(&name, bytes, signature, take).await }).await
    }

    /// Makes a version active. False where it is.
    ///
    /// # Errors
    ///
    /// Where there is no such version, or something speaks against it.
    pub async fn activate(self: &Arc<Self>, name: String, digest: String) -> Result<bool, CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move {
            let mut shelf = catalog.shelf.lock().await;
            catalog.turn_to(&mut shelf, &name, &digest, Cause::Activation).await
        })
        .await
    }

    /// Makes a version active in the place of `before`, the digest of the one that is. For whom has held the two against
    /// each other.
    ///
    /// # Errors
    ///
    /// As [`Catalog::activate`]; and where another one is active by now.
    pub async fn activate_over(
        self: &Arc<Self>,
        name: String,
        digest: String,
        before: Option<String>,
    ) -> Result<bool, CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move {
            let mut shelf = catalog.shelf.lock().await;
            let active = shelf.records.get(&name).and_then(|record| record.active());
            if active != before.as_deref() {
                let reason = format!("another version of `{name}` became active meanwhile; begin again");
                return Err(CatalogError::Conflict(reason));
            }
            catalog.turn_to(&mut shelf, &name, &digest, Cause::Activation).await
        })
        .await
    }

    /// Makes active what was active before.
    ///
    /// # Errors
    ///
    /// Where nothing was, or something speaks against it.
    pub async fn roll_back(self: &Arc<Self>, name: String) -> Result<(), CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move {
            let mut shelf = catalog.shelf.lock().await;
            let record = shelf.records.get(&name).ok_or_else(|| no_plugin(&name))?;
            let before = record.before().map(str::to_owned).ok_or_else(|| {
                CatalogError::Conflict(format!(
                    "there is nothing to go back to: no other version of `{name}` was active before that is kept still"
                ))
            })?;
            catalog.turn_to(&mut shelf, &name, &before, Cause::RollBack).await.map(drop)
        })
        .await
    }

    /// Removes what was uploaded of a name, with its history. The server's own plugin of that name is active then.
    ///
    /// # Errors
    ///
    /// Where its file lies in the folder, nothing was uploaded, or somebody runs it and the server has none of its own.
    pub async fn remove(self: &Arc<Self>, name: String) -> Result<(), CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move { catalog.remove_all(&name).await }).await
    }

    /// Removes one version.
    ///
    /// # Errors
    ///
    /// Where it is active, pinned, the folder's or the server's own.
    pub async fn remove_version(self: &Arc<Self>, name: String, digest: String) -> Result<(), CatalogError> {
        let catalog = Arc::clone(self);
        to_the_end(async move { catalog.remove_one(&name, &digest).await }).await
    }

    async fn take_upload(
        &self,
        name: &str,
        bytes: Bytes,
        signature: Option<String>,
        take: Take,
    ) -> Result<Taken, CatalogError> {
        // Compiled before anybody has to wait for it.
        let plugin = self.prepare(name, bytes.clone(), Source::Upload, signature.as_deref()).await?;
        let mut shelf = self.shelf.lock().await;
        if !shelf.records.contains_key(name) && shelf.records.len() >= NAMES {
            let reason = format!("the catalogue has {NAMES} plugins, which is the limit; remove one first");
            return Err(CatalogError::Conflict(reason));
        }
        let checked = match take {
            Take::Add => None,
            Take::Check | Take::Activate => Some(self.check(&plugin).await?),
        };
        let mut record = shelf.record(name);
        let known = record.version(plugin.digest()).map(|version| version.source);
        let mut taken = Taken { plugin, is_new: known.is_none(), activated: false };
        if take == Take::Check {
            return Ok(taken);
        }
        let (now, before) = (self.clock.now(), record.clone());
        self.store.keep_component(bytes, now).await?;
        if let Some(checked) = checked {
            self.check_newcomers(&taken.plugin, checked).await?;
        }
        record.add(Version::of(&taken.plugin, Source::Upload, signature, now));
        taken.activated =
            take == Take::Activate && record.turn(Some(taken.plugin.digest()), Cause::Upload, now);
        if record != before {
            shelf.hold(taken.plugin.clone());
            self.commit(&mut shelf, name, record).await?;
            tracing::info!(plugin = ?taken.plugin, activated = taken.activated, "a plugin was uploaded");
        }
        Ok(taken)
    }

    async fn turn_to(
        &self,
        shelf: &mut Shelf,
        name: &str,
        digest: &str,
        cause: Cause,
    ) -> Result<bool, CatalogError> {
        if !shelf.records.contains_key(name) {
            return Err(no_plugin(name));
        }
        let plugin = self.load_version(shelf, name, digest).await?;
        let mut record = shelf.record(name);
        if record.active() == Some(digest) && shelf.at_hand.contains_key(digest) {
            return Ok(false);
        }
        let checked = self.check(&plugin).await?;
        self.check_newcomers(&plugin, checked).await?;
        let turned = record.turn(Some(digest), cause, self.clock.now());
        shelf.unusable.remove(name);
        shelf.hold(plugin.clone());
        self.commit(shelf, name, record).await?;
        tracing::info!(?plugin, cause = cause.word(), "a version of a plugin was activated");
        Ok(turned)
    }

    async fn remove_all(&self, name: &str) -> Result<(), CatalogError> {
        let mut shelf = self.shelf.lock().await;
        let mut record =
            shelf.records.get(name).map(|record| Record::clone(record)).ok_or_else(|| no_plugin(name))?;
        if record.folder().is_some() {
            let reason = format!("the file of `{name}` lies in the plugins folder; remove it there");
            return Err(CatalogError::Conflict(reason));
        }
        let uploaded = record.versions().iter().any(|version| version.source != Source::Bundled);
        let bundled = shelf.bundled.get(name).and_then(|digest| shelf.at_hand.get(digest)).cloned();
        if !uploaded && bundled.is_some() {
            let reason = format!("`{name}` came with the server, and nothing was uploaded beside it");
            return Err(CatalogError::Conflict(reason));
        }
        let own = bundled.as_ref().map(|plugin| plugin.digest().to_owned());
        self.refuse_in_use(name, |pin| match pin {
            Some(pin) => Some(pin) != own.as_deref(),
            None => own.is_none(),
        })?;
        if let Some(bundled) = &bundled {
            let checked = self.check(bundled).await?;
            self.check_newcomers(bundled, checked).await?;
        }
        let gone: Vec<String> = digests(&record).filter(|digest| Some(digest) != own.as_ref()).collect();
        match &own {
            Some(own) => {
                record.forget_all_but_bundled();
                record.turn(Some(own), Cause::Removal, self.clock.now());
                self.commit(&mut shelf, name, record).await?;
            }
            None if !self.store.delete_plugin_row(name, record.revision).await? => {
                return Err(CatalogError::Contended(name.to_owned()));
            }
            None => {
                shelf.records.remove(name);
                shelf.unusable.remove(name);
                self.publish(&mut shelf);
            }
        }
        // What the bundled one shares with an upload is not kept for it.
        self.forget(&gone.into_iter().chain(own).collect::<Vec<_>>()).await;
        tracing::info!(name, "a plugin was removed");
        Ok(())
    }

    async fn remove_one(&self, name: &str, digest: &str) -> Result<(), CatalogError> {
        let mut shelf = self.shelf.lock().await;
        let mut record =
            shelf.records.get(name).map(|record| Record::clone(record)).ok_or_else(|| no_plugin(name))?;
        record.version(digest).ok_or_else(|| no_version(name, digest))?;
        let held = [
            (record.active(), "it is active; activate another version first"),
            (record.folder(), "its file lies in the plugins folder; remove it there"),
            (record.bundled(), "it came with the server"),
        ];
        if let Some((_, reason)) = held.into_iter().find(|(held, _)| *held == Some(digest)) {
            return Err(CatalogError::Conflict(format!("this version of `{name}` stays: {reason}")));
        }
        self.refuse_in_use(name, |pin| pin == Some(digest))?;
        let gone = [digest.to_owned()];
        record.forget(&gone);
        self.commit(&mut shelf, name, record).await?;
        self.forget(&gone).await;
        Ok(())
    }

    /// `concerns` says of a link, by its pin, whether it would lose what it runs.
    fn refuse_in_use(&self, name: &str, concerns: impl Fn(Option<&str>) -> bool) -> Result<(), CatalogError> {
        let links = self.users.links(name).into_iter().filter(|link| concerns(link.pin.as_deref()));
        let mut users: Vec<String> = links.map(|link| link.user).collect();
        users.dedup();
        let Some(first) = users.first() else { return Ok(()) };
        let more = match users.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let reason = format!("`{name}` is in use by {first}{more}; take it out of their chains first");
        Err(CatalogError::InUse { reason, users })
    }
}

pub(super) fn no_plugin(name: &str) -> CatalogError {
    CatalogError::NotFound(format!("there is no plugin `{name}`; `GET /v1/plugins` lists them"))
}

pub(super) fn no_version(name: &str, digest: &str) -> CatalogError {
    CatalogError::NotFound(format!(
        "`{name}` has no version with the digest `{digest}`; `GET /v1/plugins/{name}/versions` lists them"
    ))
}

fn digests(record: &Record) -> impl Iterator<Item = String> + '_ {
    record.versions().iter().map(|version| version.digest.clone())
}

/// Between the store and the snapshot, the two would tell different things.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, CatalogError>> + Send + 'static,
) -> Result<T, CatalogError> {
    match tokio::spawn(change).await {
        Ok(done) => done,
        Err(fault) => Err(StoreError::Unavailable(fault.to_string()).into()),
    }
}
