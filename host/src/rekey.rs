//! Replacing the sealing key of a store that no host uses.
//!
//! It may be killed at any point and is finished by doing it again, since nothing is taken away before its successor is
//! on disk:
//!
//! 1. The new key is put into a file beside the old one, where it is to end up in a file.
//! 2. The store notes its fingerprint as that of the key to come. From here on no host starts on the store.
//! 3. Row by row, what is sealed is sealed with the new key. Which key a row is under shows when it is opened.
//! 4. The store notes the new fingerprint as that of the key in force.
//! 5. The old key is put aside under its fingerprint, for backups made before; the new one takes its file's name.
//! 6. The note of the key to come is taken away.

use std::ffi::OsString;
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::book::{self, BookError};
use crate::seal::{
    self, FINGERPRINT_SETTING, GIVEN, KeyError, NEXT_FINGERPRINT_SETTING, SealingKey, fingerprint_in,
};
use crate::secret::Secret;
use crate::store::{Settings, Shelf, StoreError};

/// Digits of a fingerprint in the name of the file of a key that was put aside.
const NAME_DIGITS: usize = 8;

/// Where keys are.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// What the environment gives, as for [`seal::establish`].
    pub given: Option<&'a Secret>,
    /// The file of the key in force; it need not be there.
    pub file: &'a Path,
    /// The key to come, where somebody brings it along; otherwise one is made.
    pub brought: Option<&'a SealingKey>,
}

/// What was done, as far as a person has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    pub fingerprint: String,
    /// Where the new key is; `None` where only whoever brought it has it.
    pub file: Option<PathBuf>,
    /// Where the key before was put aside, if that was done now.
    pub old_file: Option<PathBuf>,
    /// The environment gives another key, which no longer opens the store.
    pub given_is_outdated: bool,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The new key is safe, and the store knows that it comes.
    Begun,
    /// So many of so many rows that were left.
    Sealed(usize, usize),
    /// The store knows the new key as its own.
    Recorded,
    /// The new key is in its place.
    Placed,
}

#[derive(Debug, thiserror::Error)]
pub enum RekeyError {
    #[error("This store has no sealing key yet; there is nothing to replace.")]
    Nothing,
    #[error("The new key is the one that the store has already.")]
    Same,
    #[error(
        "Replacing the key was begun with another new key (fingerprint {expected}) than the one that is given \
         (fingerprint {found}). Give that one."
    )]
    OtherNew { expected: String, found: String },
    #[error(
        "Replacing the key was begun with a new key (fingerprint {0}) that is not here. Give it in \
         HOOKWRIGHT_NEW_SEALING_KEY or with --new-key-file."
    )]
    NewGone(String),
    #[error(
        "The key that the store is sealed with (fingerprint {expected}) is neither in HOOKWRIGHT_SEALING_KEY nor in {}.",
        file.display()
    )]
    OldGone { expected: String, file: PathBuf },
    #[error("It was broken off. What is done is done; run it again to finish it.")]
    BrokenOff,
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("{0}.")]
    Book(#[from] BookError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Replaces the key, or finishes what was begun. `watch` hears of each step once it is done and may break it off there.
///
/// # Errors
///
/// See [`RekeyError`]; running it again goes on from where it was.
pub async fn run(
    shelf: &dyn Shelf,
    settings: &dyn Settings,
    keys: Keys<'_>,
    mut watch: impl FnMut(Step) -> ControlFlow<()>,
) -> Result<Rekeyed, RekeyError> {
    let in_force = fingerprint_in(settings, FINGERPRINT_SETTING).await?.ok_or(RekeyError::Nothing)?;
    let begun = fingerprint_in(settings, NEXT_FINGERPRINT_SETTING).await?;
    let new = match &begun {
        Some(fingerprint) => keys.find_new(fingerprint)?,
        None => keys.stage(&in_force)?,
    };
    let mut go_on = |step| match watch(step) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(RekeyError::BrokenOff),
    };
    settings.put_setting(NEXT_FINGERPRINT_SETTING, new.fingerprint().into_bytes()).await?;
    go_on(Step::Begun)?;
    if in_force != new.fingerprint() {
        let old = keys.find_old(&in_force)?;
        let resealed = book::reseal(shelf, &old, &new, |done, all| match go_on(Step::Sealed(done, all)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        });
        if resealed.await?.is_break() {
            return Err(RekeyError::BrokenOff);
        }
        settings.put_setting(FINGERPRINT_SETTING, new.fingerprint().into_bytes()).await?;
    }
    go_on(Step::Recorded)?;
    let old_file = keys.place(&new)?;
    go_on(Step::Placed)?;
    settings.put_setting(NEXT_FINGERPRINT_SETTING, Vec::new()).await?;
    keys.rekeyed(&new, old_file)
}

impl Keys<'_> {
    /// Decides on the new key and has it on disk where it is to be there: if it was made here, or takes the place of one
    /// that is in a file.
    fn stage(&self, in_force: &str) -> Result<SealingKey, RekeyError> {
        // Refused now, before anything has changed.
        self.find_old(in_force)?;
        let left = match seal::read_key(&self.staged()) {
            Err(KeyError::Malformed { .. }) => None,
            read => read?,
        };
        let new = match (self.brought, left) {
            (Some(brought), _) => brought.clone(),
            (None, Some(left)) => left,
            (None, None) => SealingKey::generate(),
        };
        if new.fingerprint() == in_force {
            return Err(RekeyError::Same);
        }
        if self.brought.is_none() || self.file.exists() {
            seal::put_key(&self.staged(), &new)?;
        } else if self.staged().exists() {
            let unusable = |source| KeyError::File { file: self.staged(), source };
            fs::remove_file(self.staged()).map_err(unusable)?;
        }
        Ok(new)
    }

    /// The new key of what was begun.
    fn find_new(&self, fingerprint: &str) -> Result<SealingKey, RekeyError> {
        if let Some(brought) = self.brought {
            return match brought.fingerprint() {
                found if found == fingerprint => Ok(brought.clone()),
                found => Err(RekeyError::OtherNew { expected: fingerprint.to_owned(), found }),
            };
        }
        let found = [seal::read_key(&self.staged())?, seal::read_key(self.file)?, self.given()?];
        let found = found.into_iter().flatten().find(|key| key.fingerprint() == fingerprint);
        found.ok_or_else(|| RekeyError::NewGone(fingerprint.to_owned()))
    }

    fn find_old(&self, fingerprint: &str) -> Result<SealingKey, RekeyError> {
        let found = [self.given()?, seal::read_key(self.file)?];
        let found = found.into_iter().flatten().find(|key| key.fingerprint() == fingerprint);
        let gone = || RekeyError::OldGone { expected: fingerprint.to_owned(), file: self.file.to_owned() };
        found.ok_or_else(gone)
    }

    /// Puts the old key aside, answering where, and the new one into its place, where it was staged.
    fn place(&self, new: &SealingKey) -> Result<Option<PathBuf>, RekeyError> {
        let staged = seal::read_key(&self.staged())?;
        if staged.is_none_or(|staged| staged.fingerprint() != new.fingerprint()) {
            return Ok(None);
        }
        let mut aside = None;
        if let Some(old) = seal::read_key(self.file)?.filter(|old| old.fingerprint() != new.fingerprint()) {
            let digits: String = old.fingerprint().chars().take(NAME_DIGITS).collect();
            let file = self.beside(&format!(".old-{digits}"));
            seal::put_key(&file, &old)?;
            aside = Some(file);
        }
        seal::rename_key(&self.staged(), self.file)?;
        Ok(aside)
    }

    fn rekeyed(&self, new: &SealingKey, old_file: Option<PathBuf>) -> Result<Rekeyed, RekeyError> {
        let is_new = |key: &SealingKey| key.fingerprint() == new.fingerprint();
        let in_file = seal::read_key(self.file)?.is_some_and(|key| is_new(&key));
        Ok(Rekeyed {
            fingerprint: new.fingerprint(),
            file: in_file.then(|| self.file.to_owned()),
            old_file,
            given_is_outdated: self.given()?.is_some_and(|key| !is_new(&key)),
        })
    }

    fn given(&self) -> Result<Option<SealingKey>, KeyError> {
        self.given.map(|text| seal::parse_key(text, GIVEN)).transpose()
    }

    fn staged(&self) -> PathBuf {
        self.beside(".next")
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(self.file);
        name.push(ending);
        PathBuf::from(name)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_trait::async_trait;

    use super::*;
    use crate::book::Book;
    use crate::endpoint::{Endpoint, Hold, Order};
    use crate::event::Tenant;
    use crate::id::EndpointId;
    use crate::secret::SigningSecret;
    use crate::store::memory::MemoryStore;
    use crate::store::{
        Arrival, BookVersion, DocumentKind, DocumentRow, Documents, EndpointRow, Endpoints,
        Result as StoreResult, Store,
    };
    use crate::subscription::{Pattern, Subscription};
    use crate::tenant::Profile;
    use crate::terms::{Auth, InForce, Terms};
    use crate::time::Timestamp;

    const ENDPOINTS: u128 = 3;

    /// A store that is gone after so many writes.
    struct Dying {
        inner: Arc<MemoryStore>,
        left: AtomicUsize,
    }

    impl Dying {
        fn after(inner: &Arc<MemoryStore>, writes: usize) -> Self {
            Self { inner: inner.clone(), left: AtomicUsize::new(writes) }
        }

        fn write(&self) -> StoreResult<()> {
            let left = |left: usize| left.checked_sub(1);
            let taken = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, left);
            taken.map(drop).map_err(|_| StoreError::Unavailable("it was killed".to_owned()))
        }
    }

    #[async_trait]
    impl Endpoints for Dying {
        async fn endpoints(&self) -> StoreResult<(BookVersion, Vec<EndpointRow>)> {
            self.inner.endpoints().await
        }

        async fn put_endpoint(
            &self,
            row: EndpointRow,
            announce: Vec<Arrival>,
        ) -> StoreResult<Option<BookVersion>> {
            self.write()?;
            self.inner.put_endpoint(row, announce).await
        }

        async fn delete_endpoint(&self, id: EndpointId) -> StoreResult<Option<BookVersion>> {
            self.inner.delete_endpoint(id).await
        }
    }

    #[async_trait]
    impl Documents for Dying {
        async fn documents(&self) -> StoreResult<(BookVersion, Vec<DocumentRow>)> {
            self.inner.documents().await
        }

        async fn put_document(&self, row: DocumentRow) -> StoreResult<Option<BookVersion>> {
            self.write()?;
            self.inner.put_document(row).await
        }

        async fn delete_document(&self, kind: DocumentKind, name: &str) -> StoreResult<Option<BookVersion>> {
            self.inner.delete_document(kind, name).await
        }
    }

    #[async_trait]
    impl Settings for Dying {
        async fn setting(&self, name: &str) -> StoreResult<Option<Vec<u8>>> {
            self.inner.setting(name).await
        }

        async fn setting_or(&self, name: &str, value: Vec<u8>) -> StoreResult<Vec<u8>> {
            self.inner.setting_or(name, value).await
        }

        async fn put_setting(&self, name: &str, value: Vec<u8>) -> StoreResult<()> {
            self.write()?;
            self.inner.put_setting(name, value).await
        }
    }

    /// A store with sealed things in it, and the folder with its key.
    struct Site {
        store: Arc<MemoryStore>,
        folder: PathBuf,
    }

    impl Site {
        async fn new(given: Option<&Secret>) -> Self {
            let name = format!("hookwright-rekey-{}-{:x}", std::process::id(), rand::random::<u64>());
            let site = Self { store: Arc::new(MemoryStore::new()), folder: std::env::temp_dir().join(name) };
            fs::create_dir_all(&site.folder).unwrap();
            let key = seal::establish(site.store.as_ref(), given, &site.file()).await.unwrap();
            let book = Arc::new(Book::open(site.store.clone(), key, Duration::ZERO).await.unwrap());
            for id in 0..ENDPOINTS {
                book.create(endpoint(id)).await.unwrap();
            }
            book.put_document(profile(), 0).await.unwrap();
            site
        }

        fn file(&self) -> PathBuf {
            self.folder.join(seal::KEY_FILE)
        }

        fn keys<'k>(&self, file: &'k Path, given: Option<&'k Secret>) -> Keys<'k> {
            Keys { given, file, brought: None }
        }

        /// Everything opens with the key that a host would find.
        async fn check(&self, given: Option<&Secret>, fingerprint: &str) {
            let key = seal::establish(self.store.as_ref(), given, &self.file()).await.unwrap();
            assert_eq!(key.fingerprint(), fingerprint);
            let book = Book::open(self.store.clone(), key, Duration::ZERO).await.unwrap().snapshot();
            assert_eq!(book.entries().count() as u128, ENDPOINTS);
            for entry in book.entries() {
                let auth = profile().terms.auth;
                assert_eq!(entry.endpoint.own, endpoint(0).own);
                assert_eq!(Some(entry.endpoint.terms.auth.clone()), auth, "its tenant's");
                assert_eq!(entry.endpoint.secrets, endpoint(0).secrets);
            }
        }
    }

    impl Drop for Site {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    fn tenant() -> Tenant {
        Tenant::parse("acme").unwrap()
    }

    fn endpoint(id: u128) -> Endpoint {
        let own = Terms { headers: vec![("X-Key".into(), Secret::new("k"))], ..Terms::default() };
        Endpoint {
            id: EndpointId::from_u128(id),
            tenant: tenant(),
            name: "CRM".into(),
            description: String::new(),
            url: Secret::new("https://hooks.example.com/path"),
            subscription: Subscription { events: vec![Pattern::Any], channels: Vec::new() },
            version: None,
            terms: InForce::of(&[&own], Duration::ZERO),
            own,
            secrets: SigningSecret::from_key([7; 32]).into(),
            rate_limit: None,
            concurrency: 1,
            order: Order::Free,
            judged_from: Timestamp::ZERO,
            hold: Hold::default(),
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(1),
        }
    }

    fn profile() -> Profile {
        let auth = Some(Some(Auth::Bearer { token: Secret::new("of-the-tenant") }));
        let terms = Terms { auth, ..Terms::default() };
        Profile { terms, ..Profile::new(tenant(), Timestamp::from_secs(1)) }
    }

    fn go_on(_: Step) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    async fn rekey(site: &Site, keys: Keys<'_>) -> Result<Rekeyed, RekeyError> {
        run(site.store.as_ref(), site.store.as_ref(), keys, go_on).await
    }

    #[tokio::test]
    async fn a_made_key_takes_the_place_of_the_old_one() {
        let site = Site::new(None).await;
        let file = site.file();
        let before = seal::read_key(&file).unwrap().unwrap();
        let done = rekey(&site, site.keys(&file, None)).await.unwrap();
        assert_ne!(done.fingerprint, before.fingerprint());
        assert_eq!(done.file.as_deref(), Some(file.as_path()));
        site.check(None, &done.fingerprint).await;
        let aside = seal::read_key(&done.old_file.unwrap()).unwrap().unwrap();
        assert_eq!(aside.fingerprint(), before.fingerprint());
        assert_eq!(fs::read_dir(&site.folder).unwrap().count(), 2, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_store_that_fails_at_any_write_is_finished_by_the_next_run() {
        for writes in 0.. {
            let site = Site::new(None).await;
            let file = site.file();
            let before = seal::read_key(&file).unwrap().unwrap().fingerprint();
            let dying = Dying::after(&site.store, writes);
            let first = run(&dying, &dying, site.keys(&file, None), go_on).await;
            let Err(error) = first else {
                // Two settings, every row, the setting again.
                assert_eq!(writes as u128, ENDPOINTS + 4);
                return;
            };
            assert!(error.to_string().contains("it was killed"), "{error}");
            match seal::establish(site.store.as_ref(), None, &file).await {
                Ok(key) => assert_eq!((writes, key.fingerprint()), (0, before)),
                Err(error) => assert!(matches!(error, KeyError::Rekeying), "{error}"),
            }
            let done = rekey(&site, site.keys(&file, None)).await.unwrap();
            site.check(None, &done.fingerprint).await;
        }
    }

    #[tokio::test]
    async fn broken_off_at_any_step_it_is_finished_by_the_next_run() {
        for steps in 0.. {
            let site = Site::new(None).await;
            let file = site.file();
            let mut seen = 0;
            let first = run(site.store.as_ref(), site.store.as_ref(), site.keys(&file, None), |_| {
                seen += 1;
                if seen > steps { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            if let Err(error) = first.await {
                assert!(matches!(error, RekeyError::BrokenOff), "{error}");
                let done = rekey(&site, site.keys(&file, None)).await.unwrap();
                site.check(None, &done.fingerprint).await;
            } else {
                assert_eq!(steps, 5, "each step was broken off");
                return;
            }
        }
    }

    #[tokio::test]
    async fn keys_of_the_environment() {
        let text = |key: [u8; 32]| Secret::new(data_encoding::BASE64.encode(&key));
        let (old, new) = (text([1; 32]), text([2; 32]));
        let brought = seal::parse_key(&new, "a test").unwrap();
        let other = seal::parse_key(&text([3; 32]), "a test").unwrap();
        let site = Site::new(Some(&old)).await;
        let file = site.file();
        let with = |brought| Keys { brought: Some(brought), ..site.keys(&file, Some(&old)) };
        let of_old = seal::parse_key(&old, "a test").unwrap();
        assert!(matches!(rekey(&site, with(&of_old)).await, Err(RekeyError::Same)));
        let stranger = Keys { given: Some(&new), ..with(&other) };
        assert!(matches!(rekey(&site, stranger).await, Err(RekeyError::OldGone { .. })));

        let dying = Dying::after(&site.store, 2);
        run(&dying, &dying, with(&brought), go_on).await.unwrap_err();
        assert!(matches!(rekey(&site, with(&other)).await, Err(RekeyError::OtherNew { .. })));
        let without = site.keys(&file, Some(&old));
        assert!(matches!(rekey(&site, without).await, Err(RekeyError::NewGone(_))));
        let done = rekey(&site, with(&brought)).await.unwrap();
        assert_eq!((done.file, done.given_is_outdated), (None, true));
        assert_eq!(fs::read_dir(&site.folder).unwrap().count(), 0, "no key lies beside the data");
        site.check(Some(&new), &brought.fingerprint()).await;
    }

    #[tokio::test]
    async fn a_store_without_a_key_has_nothing_to_replace() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let keys = Keys { given: None, file: Path::new("no/such/file"), brought: None };
        let refused = run(store.as_ref(), store.as_ref(), keys, go_on).await;
        assert!(matches!(refused, Err(RekeyError::Nothing)));
    }
}
