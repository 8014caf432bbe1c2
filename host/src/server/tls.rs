//! The server's own certificate: read from two PEM files, and read again when they change.
//!
//! The system's notice that a file changed is a hint and no more, so the files are looked at every half a minute
//! anyway. A new pair is taken into use for new connections; those that stand are not touched. One that is no good is
//! refused, and the old one stays.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// Most bytes of either file.
const FILE_LIMIT: u64 = 1 << 20;
/// How often the files are looked at without a hint.
const LOOK_EVERY: Duration = Duration::from_secs(30);
/// The two files are written one after the other, and each causes several notices.
const HINTS_SETTLE: Duration = Duration::from_millis(250);

/// What keeps the server from speaking TLS; for a start, or for a change of the files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("{} cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error("{} is larger than {FILE_LIMIT} bytes; is it the right file?", file.display())]
    TooLarge { file: PathBuf },
    #[error(
        "{} holds no certificate; it takes PEM, the server's own first and then those that vouch for it",
        file.display()
    )]
    NoCertificate { file: PathBuf },
    #[error("a certificate in {} is damaged: {reason}", file.display())]
    Certificate { file: PathBuf, reason: String },
    #[error("{} holds no private key that can be used ({reason}); it takes PEM without a password", file.display())]
    NoKey { file: PathBuf, reason: String },
    #[error("the certificate in {} and the private key in {} do not belong together", cert.display(), key.display())]
    NotAPair { cert: PathBuf, key: PathBuf },
    #[error("TLS could not be set up: {0}")]
    Setup(rustls::Error),
}

/// A certificate in use. Clones share it.
#[derive(Clone)]
pub struct Tls {
    files: Files,
    shown: Arc<Shown>,
    config: Arc<ServerConfig>,
    provider: Arc<CryptoProvider>,
    /// Of the files as they were when they were last looked at, whether they were any good or not.
    seen: Arc<Mutex<Mark>>,
}

type Mark = [u8; 32];

impl Tls {
    /// # Errors
    ///
    /// Where the files are no certificate with its key.
    pub fn open(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let files = Files { cert: cert.to_owned(), key: key.to_owned() };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let read = files.read()?;
        let shown = Arc::new(Shown(ArcSwap::from_pointee(files.pair(&read, &provider)?)));
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(TlsError::Setup)?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let seen = Arc::new(Mutex::new(read.mark()));
        Ok(Self { files, shown, config: Arc::new(config), provider, seen })
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.config.clone())
    }

    /// Follows the files until `shutdown` ends.
    pub async fn watch(&self, shutdown: impl Future<Output = ()>) {
        tokio::select! {
            () = self.follow() => {}
            () = shutdown => {}
        }
    }

    async fn follow(&self) {
        // One hint is as good as many.
        let (hint, mut hints) = mpsc::channel(1);
        let mut watchers = Vec::new();
        loop {
            if watchers.is_empty() {
                watchers =
                    self.files.folders().iter().filter_map(|folder| watch(folder, hint.clone())).collect();
            }
            let tls = self.clone();
            // A panic in there would be told by the runtime; the next look comes all the same.
            let _ = tokio::task::spawn_blocking(move || tls.look()).await;
            if let Ok(Some(())) = tokio::time::timeout(LOOK_EVERY, hints.recv()).await {
                tokio::time::sleep(HINTS_SETTLE).await;
                let _ = hints.try_recv();
            }
        }
    }

    /// Takes the files into use where they have changed since the last look.
    fn look(&self) {
        let read = match self.files.read() {
            Ok(read) => read,
            Err(error) => return self.refuse(Mark::default(), &error),
        };
        let mark = read.mark();
        if *self.seen() == mark {
            return;
        }
        match self.files.pair(&read, &self.provider) {
            Ok(pair) => {
                self.shown.0.store(Arc::new(pair));
                *self.seen() = mark;
                tracing::info!(file = %self.files.cert.display(), "the new certificate is in use");
            }
            Err(error) => self.refuse(mark, &error),
        }
    }

    /// Warns, once for each state of the files.
    fn refuse(&self, mark: Mark, error: &TlsError) {
        if std::mem::replace(&mut *self.seen(), mark) != mark {
            tracing::warn!(%error, "the changed certificate is refused; the old one stays in use");
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Mark> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Gives each new connection what is in use then.
#[derive(Debug)]
struct Shown(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

#[derive(Debug, Clone)]
struct Files {
    cert: PathBuf,
    key: PathBuf,
}

struct Contents {
    cert: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
}

impl Contents {
    fn mark(&self) -> Mark {
        let length = (self.cert.len() as u64).to_be_bytes();
        Sha256::new().chain_update(length).chain_update(&self.cert).chain_update(&*self.key).finalize().into()
    }
}

impl Files {
    fn read(&self) -> Result<Contents, TlsError> {
        Ok(Contents { cert: read(&self.cert)?, key: Zeroizing::new(read(&self.key)?) })
    }

    fn pair(&self, contents: &Contents, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
        let certificates = self.certificates(&contents.cert)?;
        let no_key = |reason: String| TlsError::NoKey { file: self.key.clone(), reason };
        let key = PrivateKeyDer::from_pem_slice(&contents.key).map_err(|error| no_key(error.to_string()))?;
        CertifiedKey::from_der(certificates, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                TlsError::NotAPair { cert: self.cert.clone(), key: self.key.clone() }
            }
            rustls::Error::InvalidCertificate(why) => {
                TlsError::Certificate { file: self.cert.clone(), reason: format!("{why:?}") }
            }
            error => no_key(error.to_string()),
        })
    }

    fn certificates(&self, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let certificates: Vec<_> = CertificateDer::pem_slice_iter(text)
            .collect::<Result<_, _>>()
            .map_err(|error| TlsError::Certificate { file: self.cert.clone(), reason: error.to_string() })?;
        match certificates.is_empty() {
            true => Err(TlsError::NoCertificate { file: self.cert.clone() }),
            false => Ok(certificates),
        }
    }

    /// Where the files lie: they are mostly replaced, not written to.
    fn folders(&self) -> Vec<PathBuf> {
        let folder = |file: &Path| match file.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
            _ => PathBuf::from("."),
        };
        let mut folders = vec![folder(&self.cert), folder(&self.key)];
        folders.dedup();
        folders
    }
}

fn read(file: &Path) -> Result<Vec<u8>, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: file.to_owned(), source };
    if fs::metadata(file).map_err(unreadable)?.len() > FILE_LIMIT {
        return Err(TlsError::TooLarge { file: file.to_owned() });
    }
    fs::read(file).map_err(unreadable)
}

/// `None` where the system has no such service: the next look comes anyway.
fn watch(folder: &Path, hint: mpsc::Sender<()>) -> Option<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        // To read the files is an event, too, and must not lead to the next look.
        if event.is_ok_and(|event| !event.kind.is_access()) {
            // Full means that a look is due already.
            let _ = hint.try_send(());
        }
    })
    .ok()?;
    watcher.watch(folder, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

#[cfg(test)]
pub(super) mod tests {
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn pem(label: &str, der: &[u8]) -> String {
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
    }

    /// A certificate for `localhost` and its key, in PEM.
    pub fn pair() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (pem("CERTIFICATE", certificate.der()), pem("PRIVATE KEY", &key.serialize_der()))
    }

    #[test]
    fn what_is_no_pair_is_refused_at_the_start_and_later() {
        let folder = std::env::temp_dir().join(format!("hookwright-tls-{:x}", rand::random::<u64>()));
        fs::create_dir_all(&folder).unwrap();
        let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
        let missing = Tls::open(&cert, &key).err().unwrap().to_string();
        assert!(missing.contains("cert.pem cannot be read"), "{missing}");
        let (one, other) = (pair(), pair());
        let write = |pair: (&str, &str)| {
            fs::write(&cert, pair.0).unwrap();
            fs::write(&key, pair.1).unwrap();
        };
        write((&one.0, &one.1));
        let tls = Tls::open(&cert, &key).unwrap();
        let shown = || tls.shown.0.load_full();
        let first = shown();
        tls.look();
        assert!(Arc::ptr_eq(&first, &shown()), "nothing changed");
        let broken = one.0.replace("MII", "AAA");
        for ((cert_text, key_text), problem) in [
            ((one.0.as_str(), other.1.as_str()), "do not belong together"),
            (("", &one.1), "holds no certificate"),
            ((&one.1, &one.1), "holds no certificate"),
            ((&broken, &one.1), "is damaged"),
            ((&one.0, ""), "holds no private key"),
            ((&one.0, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"), "no private key"),
        ] {
            write((cert_text, key_text));
            let error = Tls::open(&cert, &key).err().unwrap().to_string();
            assert!(error.contains(problem), "{problem}: {error}");
            tls.look();
            assert!(Arc::ptr_eq(&first, &shown()), "{problem}: the old one stays");
        }
        write((&other.0, &other.1));
        tls.look();
        assert!(!Arc::ptr_eq(&first, &shown()), "a good one is taken");
        write((&one.0, &one.1));
        fs::remove_file(&key).unwrap();
        tls.look();
        fs::write(&key, &one.1).unwrap();
        tls.look();
        assert_eq!(shown().cert, first.cert, "also after one was gone for a while");
        fs::remove_dir_all(folder).unwrap();
    }
}
