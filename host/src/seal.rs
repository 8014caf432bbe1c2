//! Sealing what must not lie in the open: an authenticated cipher under one key of the host.
//!
//! The key comes from the environment or from a file of mode 0600 beside the data. The store keeps its
//! fingerprint, so that a wrong key is found at the start and not at the first delivery.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::access::Pass;
use crate::event::Tenant;
use crate::id::EndpointId;
use crate::secret::Secret;
use crate::store::{Settings, Store, StoreError};

/// The name of the key's file in the data directory.
pub const KEY_FILE: &str = "sealing.key";

/// The variable of the environment that gives the key.
pub const GIVEN: &str = "HOOKWRIGHT_SEALING_KEY";

/// The setting of the store that holds the key's fingerprint.
pub const FINGERPRINT_SETTING: &str = "sealing-key-fingerprint";

/// The setting of the store that holds the fingerprint of the key to come while the key is being replaced; empty or
/// missing otherwise.
pub const NEXT_FINGERPRINT_SETTING: &str = "sealing-key-next-fingerprint";

const KEY_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 24;
const FINGERPRINT_LENGTH: usize = 16;
/// Most characters of a sealed pass.
const LONGEST_PASS: usize = 512;
const FINGERPRINT_DOMAIN: &[u8] = b"hookwright sealing key fingerprint v1";

/// The key. Wiped when dropped; shows its fingerprint alone.
#[derive(Clone)]
pub struct SealingKey {
    key: Zeroizing<[u8; KEY_LENGTH]>,
    fingerprint: [u8; FINGERPRINT_LENGTH],
}

/// What a sealed text belongs to. It opens nowhere else.
#[derive(Debug, Clone, Copy)]
pub enum Owner<'a> {
    Endpoint {
        tenant: &'a Tenant,
        endpoint: EndpointId,
    },
    Tenant(&'a Tenant),
    Host,
    /// The versions of payloads' shapes.
    Versions,
    /// What stands in for a key, in the hands of its holder.
    Passes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the sealed part was changed, or sealed for another endpoint or with another key")]
    Broken,
    #[error("the cipher refused the text: it is too long")]
    TooLong,
}

/// Why there is no key to work with. Each is a sentence that ends `serve`.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(
        "The sealing key in {origin} is not the base64 of 32 bytes; `openssl rand -base64 32` makes one."
    )]
    Malformed { origin: String },
    #[error(
        "This store was sealed with another key (fingerprint {expected}) than the one in {origin} (fingerprint \
         {found}). Give the right key in HOOKWRIGHT_SEALING_KEY or in {}.", file.display()
    )]
    Other { origin: String, expected: String, found: String, file: PathBuf },
    #[error(
        "This store is sealed (key fingerprint {expected}), and there is no key: HOOKWRIGHT_SEALING_KEY is not set \
         and {} does not exist. Give the key that the store was begun with.", file.display()
    )]
    Missing { expected: String, file: PathBuf },
    #[error(
        "The store holds endpoints but not the fingerprint of the key that sealed them. Restore a whole backup."
    )]
    NoFingerprint,
    #[error(
        "The sealing key of this store is being replaced, and that was not finished. Finish it with \
         `hookwright rekey`, as it was begun."
    )]
    Rekeying,
    #[error("{} can be read by others than its owner; run `chmod 600 {}`.", file.display(), file.display())]
    OpenToOthers { file: PathBuf },
    #[error("The sealing key's file {} cannot be used: {source}.", file.display())]
    File { file: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl SealingKey {
    pub fn generate() -> Self {
        Self::from_bytes(Zeroizing::new(rand::random()))
    }

    /// From base64. `None` where it is not 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(BASE64.decode(text.trim().as_bytes()).ok()?);
        let key: [u8; KEY_LENGTH] = bytes.as_slice().try_into().ok()?;
        Some(Self::from_bytes(Zeroizing::new(key)))
    }

    /// Tells keys apart and says nothing else about them.
    pub fn fingerprint(&self) -> String {
        HEXLOWER.encode(&self.fingerprint)
    }

    /// # Errors
    ///
    /// Only for texts beyond what the cipher can take (256 GiB).
    pub fn seal(&self, owner: Owner<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let nonce: [u8; NONCE_LENGTH] = rand::random();
        let aad = self.associated(owner);
        let text = self
            .cipher()
            .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
            .map_err(|_| SealError::TooLong)?;
        Ok([nonce.as_slice(), &text].concat())
    }

    /// # Errors
    ///
    /// Where anything about it is not as it was sealed.
    pub fn open(&self, owner: Owner<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LENGTH>().ok_or(SealError::Broken)?;
        let aad = self.associated(owner);
        self.cipher()
            .decrypt(&XNonce::from(*nonce), Payload { msg: text, aad: &aad })
            .map(Zeroizing::new)
            .map_err(|_| SealError::Broken)
    }

    /// A pass as its holder gets it.
    pub fn seal_pass(&self, pass: &Pass) -> Result<String, SealError> {
        let sealed = self.seal(Owner::Passes, &pass.to_bytes())?;
        Ok(BASE64URL_NOPAD.encode(&sealed))
    }

    /// The pass that is shown here; `None` where it is none, or was sealed with another key.
    pub fn open_pass(&self, text: &str) -> Option<Pass> {
        // What cannot be one is not worth the work.
        let text = Some(text.as_bytes()).filter(|text| text.len() <= LONGEST_PASS)?;
        let sealed = BASE64URL_NOPAD.decode(text).ok()?;
        Pass::from_bytes(&self.open(Owner::Passes, &sealed).ok()?)
    }

    fn from_bytes(key: Zeroizing<[u8; KEY_LENGTH]>) -> Self {
        let digest = Sha256::new().chain_update(FINGERPRINT_DOMAIN).chain_update(&key[..]).finalize();
        let mut fingerprint = [0; FINGERPRINT_LENGTH];
        fingerprint.copy_from_slice(&digest[..FINGERPRINT_LENGTH]);
        Self { key, fingerprint }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.key))
    }

    /// Each part behind its length, so that no two owners read the same.
    fn associated(&self, owner: Owner<'_>) -> Vec<u8> {
        let id: [u8; 16];
        let (tenant, part): (&str, &[u8]) = match owner {
            Owner::Endpoint { tenant, endpoint } => {
                id = endpoint.as_u128().to_be_bytes();
                (tenant.as_str(), &id)
            }
            Owner::Tenant(tenant) => (tenant.as_str(), b"tenant"),
            Owner::Host => ("", b"host"),
            Owner::Versions => ("", b"versions"),
            Owner::Passes => ("", b"passes"),
        };
        let mut bytes = Vec::with_capacity(96);
        for part in [tenant.as_bytes(), part, &self.fingerprint] {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    fn encoded(&self) -> Zeroizing<String> {
        Zeroizing::new(BASE64.encode(&self.key[..]))
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.fingerprint())
    }
}

/// Finds the store's key: `given`, else the file at `file`. A store that has none yet, and no endpoints, takes
/// what is found, or a new one that is written to `file`.
///
/// # Errors
///
/// See [`KeyError`]; the store and the file are unchanged then.
pub async fn establish(
    store: &dyn Store,
    given: Option<&Secret>,
    file: &Path,
) -> Result<SealingKey, KeyError> {
    if fingerprint_in(store, NEXT_FINGERPRINT_SETTING).await?.is_some() {
        return Err(KeyError::Rekeying);
    }
    let expected = fingerprint_in(store, FINGERPRINT_SETTING).await?;
    let found = find(given, file)?;
    let (key, origin) = match (expected, found) {
        (None, _) if !store.endpoints().await?.1.is_empty() => return Err(KeyError::NoFingerprint),
        (Some(expected), None) => return Err(KeyError::Missing { expected, file: file.to_owned() }),
        (None, None) => (make(file)?, file.display().to_string()),
        (_, Some(found)) => found,
    };
    let stands = store.setting_or(FINGERPRINT_SETTING, key.fingerprint().into_bytes()).await?;
    match String::from_utf8_lossy(&stands).into_owned() {
        expected if expected == key.fingerprint() => Ok(key),
        expected => {
            Err(KeyError::Other { origin, expected, found: key.fingerprint(), file: file.to_owned() })
        }
    }
}

/// A fingerprint that the store knows; `None` where it is empty too.
pub async fn fingerprint_in(
    settings: &(impl Settings + ?Sized),
    name: &str,
) -> Result<Option<String>, StoreError> {
    let bytes = settings.setting(name).await?.unwrap_or_default();
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty()))
}

/// The key in a text that came from `origin`.
pub fn parse_key(text: &Secret, origin: &str) -> Result<SealingKey, KeyError> {
    SealingKey::parse(text.expose()).ok_or_else(|| KeyError::Malformed { origin: origin.to_owned() })
}

/// The key in a file, where there is one.
pub fn read_key(file: &Path) -> Result<Option<SealingKey>, KeyError> {
    let Some(text) = read(file)? else { return Ok(None) };
    parse_key(&Secret::new(text.as_str()), &file.display().to_string()).map(Some)
}

/// Puts a key into a file, in the place of what is there: whole or not at all, and on disk before this returns.
pub fn put_key(file: &Path, key: &SealingKey) -> Result<(), KeyError> {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let unusable = |source| KeyError::File { file: file.to_owned(), source };
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    write_new(&part, key).and_then(|()| rename(&part, file)).map_err(unusable)
}

/// Gives a key's file another name, in the place of what is there, on disk before this returns.
pub fn rename_key(from: &Path, to: &Path) -> Result<(), KeyError> {
    rename(from, to).map_err(|source| KeyError::File { file: to.to_owned(), source })
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    sync_folder(to)
}

/// The key that is there, and where it was.
fn find(given: Option<&Secret>, file: &Path) -> Result<Option<(SealingKey, String)>, KeyError> {
    if let Some(text) = given {
        return parse_key(text, GIVEN).map(|key| Some((key, GIVEN.to_owned())));
    }
    Ok(read_key(file)?.map(|key| (key, file.display().to_string())))
}

fn read(file: &Path) -> Result<Option<Zeroizing<String>>, KeyError> {
    let unusable = |source| KeyError::File { file: file.to_owned(), source };
    match fs::metadata(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(error)),
        Ok(metadata) if open_to_others(&metadata, file) => {
            return Err(KeyError::OpenToOthers { file: file.to_owned() });
        }
        Ok(_) => {}
    }
    fs::read_to_string(file).map(|text| Some(Zeroizing::new(text))).map_err(unusable)
}

/// On disk before it is used: a store sealed with a lost key is lost.
fn make(file: &Path) -> Result<SealingKey, KeyError> {
    let key = SealingKey::generate();
    write_new(file, &key).map_err(|source| KeyError::File { file: file.to_owned(), source })?;
    Ok(key)
}

fn write_new(file: &Path, key: &SealingKey) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut opened = options.open(file)?;
    opened.write_all(key.encoded().as_bytes())?;
    opened.write_all(b"\n")?;
    opened.sync_all()?;
    sync_folder(file)
}

#[cfg(unix)]
fn sync_folder(file: &Path) -> io::Result<()> {
    let folder = file.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn open_to_others(metadata: &fs::Metadata, file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    // One that a platform handed over elsewhere is often readable by its group: systemd gives the service access by an
    // ACL, whose mask shows as the group's bits.
    let ours = file.file_name().is_some_and(|name| name == KEY_FILE);
    metadata.permissions().mode() & if ours { 0o077 } else { 0o027 } != 0
}

#[cfg(not(unix))]
fn open_to_others(_: &fs::Metadata, _: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{KeyDigest, PassId, PassKind};
    use crate::time::Timestamp;

    #[test]
    fn opens_for_its_owner_alone() {
        let key = SealingKey::generate();
        let (a, b) = (Tenant::parse("a").unwrap(), Tenant::parse("b").unwrap());
        let (one, two) = (EndpointId::from_u128(1), EndpointId::from_u128(2));
        let owner = Owner::Endpoint { tenant: &a, endpoint: one };
        let sealed = key.seal(owner, b"hunter2").unwrap();
        assert_eq!(key.open(owner, &sealed).unwrap().as_slice(), b"hunter2");
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, key.seal(owner, b"hunter2").unwrap());
        let strangers = [
            Owner::Endpoint { tenant: &b, endpoint: one },
            Owner::Endpoint { tenant: &a, endpoint: two },
            Owner::Tenant(&a),
            Owner::Host,
            Owner::Versions,
            Owner::Passes,
        ];
        for stranger in strangers {
            assert_eq!(key.open(stranger, &sealed), Err(SealError::Broken));
        }
        assert_eq!(SealingKey::generate().open(owner, &sealed), Err(SealError::Broken));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert_eq!(key.open(owner, &changed), Err(SealError::Broken), "{place}");
        }
        assert_eq!(key.open(owner, b"short"), Err(SealError::Broken));
    }

    #[test]
    fn passes_open_with_the_key_that_sealed_them() {
        let key = SealingKey::generate();
        let pass = Pass {
            kind: PassKind::Session,
            link: None,
            id: PassId(7),
            key: KeyDigest::of("hwk_planted"),
            tenant: None,
            starts_at: Timestamp::from_secs(1),
            ends_at: Timestamp::from_secs(2),
        };
        let text = key.seal_pass(&pass).unwrap();
        assert_eq!(key.open_pass(&text), Some(pass.clone()));
        assert_eq!(SealingKey::generate().open_pass(&text), None);
        let elsewhere = key.seal(Owner::Host, &pass.to_bytes()).unwrap();
        for bad in ["", "a", &text[1..], &BASE64URL_NOPAD.encode(&elsewhere), &"A".repeat(LONGEST_PASS + 4)] {
            assert_eq!(key.open_pass(bad), None, "{bad}");
        }
    }

    #[test]
    fn keys_are_read_back() {
        let key = SealingKey::generate();
        let again = SealingKey::parse(&format!("{}\n", *key.encoded())).unwrap();
        assert_eq!(again.fingerprint(), key.fingerprint());
        assert_ne!(SealingKey::generate().fingerprint(), key.fingerprint());
        assert!(!format!("{key:?}").contains(key.encoded().as_str()));
        for bad in ["", "AAAA", "not base64", &BASE64.encode(&[0; 31]), &BASE64.encode(&[0; 33])] {
            assert!(SealingKey::parse(bad).is_none(), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_store_keeps_to_its_key() {
        let directory = std::env::temp_dir().join(format!("hookwright-seal-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let file = directory.join(KEY_FILE);
        let store = crate::store::memory::MemoryStore::new();
        let made = establish(&store, None, &file).await.unwrap();
        assert_eq!(establish(&store, None, &file).await.unwrap().fingerprint(), made.fingerprint());

        let given = Secret::new(made.encoded().as_str());
        let stranger = Secret::new(SealingKey::generate().encoded().as_str());
        assert!(establish(&store, Some(&given), &directory.join("none")).await.is_ok());
        let other = establish(&store, Some(&stranger), &file).await.unwrap_err();
        assert!(matches!(other, KeyError::Other { .. }), "{other}");
        let malformed = establish(&store, Some(&Secret::new("short")), &file).await.unwrap_err();
        assert!(matches!(malformed, KeyError::Malformed { .. }), "{malformed}");
        let missing = establish(&store, None, &directory.join("none")).await.unwrap_err();
        assert!(matches!(missing, KeyError::Missing { .. }), "{missing}");
        assert!(!directory.join("none").exists());
        store.put_setting(NEXT_FINGERPRINT_SETTING, b"0123".to_vec()).await.unwrap();
        let unfinished = establish(&store, None, &file).await.unwrap_err();
        assert!(matches!(unfinished, KeyError::Rekeying), "{unfinished}");
        store.put_setting(NEXT_FINGERPRINT_SETTING, Vec::new()).await.unwrap();
        assert!(establish(&store, None, &file).await.is_ok());

        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let open = establish(&store, None, &file).await.unwrap_err();
            assert!(matches!(open, KeyError::OpenToOthers { .. }), "{open}");
            // One that was handed over elsewhere may be its group's to read, never anybody's.
            let handed = directory.join("credential");
            fs::copy(&file, &handed).unwrap();
            for (mode, good) in [(0o400, true), (0o440, true), (0o444, false), (0o660, false)] {
                fs::set_permissions(&handed, fs::Permissions::from_mode(mode)).unwrap();
                assert_eq!(establish(&store, None, &handed).await.is_ok(), good, "{mode:o}");
            }
        }
        fs::remove_dir_all(&directory).unwrap();
    }
}
