//! Whom to trust, and what to say when that fails.

use std::error::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::fault::{Fault, FaultKind, cause, chain};

/// The certificate authorities that receivers are checked against.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Those that the operating system trusts. Where it has none the server starts all the same, and
    /// deliveries over https fail with a sentence that says so.
    pub platform: bool,
    /// Those of the operator, in DER.
    pub extra: Vec<CertificateDer<'static>>,
}

impl Default for Trust {
    fn default() -> Self {
        Self { platform: true, extra: Vec::new() }
    }
}

/// Why a file of certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error("the file of certificate authorities {} cannot be read: {source}", file.display())]
    Unreadable { file: PathBuf, source: io::Error },
    #[error(
        "the file of certificate authorities {} is larger than {AUTHORITIES_LIMIT} bytes; is it the right one?",
        file.display()
    )]
    TooLarge { file: PathBuf },
    #[error(
        "the file of certificate authorities {} holds no certificate; it takes PEM, which begins with `-----BEGIN \
         CERTIFICATE-----`",
        file.display()
    )]
    Empty { file: PathBuf },
    #[error("certificate {number} in {} cannot be used: {reason}", file.display())]
    Certificate { file: PathBuf, number: usize, reason: String },
}

/// The certificates in a PEM file, each one that can be an authority.
///
/// # Errors
///
/// Where there is none, or one of them is damaged.
pub fn authorities(file: &Path) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
    let file = file.to_owned();
    let unreadable = |source| AuthorityError::Unreadable { file: file.clone(), source };
    if fs::metadata(&file).map_err(unreadable)?.len() > AUTHORITIES_LIMIT {
        return Err(AuthorityError::TooLarge { file });
    }
    let text = fs::read(&file).map_err(unreadable)?;
    let mut found = Vec::new();
    for (index, certificate) in CertificateDer::pem_slice_iter(&text).enumerate() {
        let broken =
            |reason: String| AuthorityError::Certificate { file: file.clone(), number: index + 1, reason };
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        RootCertStore::empty().add(certificate.clone()).map_err(|error| broken(error.to_string()))?;
        found.push(certificate);
    }
    if found.is_empty() { Err(AuthorityError::Empty { file }) } else { Ok(found) }
}

/// The TLS side of a client, and whether it knows any authority at all.
pub(super) struct Tls {
    pub(super) config: ClientConfig,
    pub(super) has_roots: bool,
}

impl Tls {
    pub(super) fn new(trust: &Trust, http2: bool) -> Result<Self, rustls::Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let (mut config, has_roots) = if trust.platform {
            match Verifier::new_with_extra_roots(trust.extra.iter().cloned(), provider.clone()) {
                Ok(verifier) => (with_verifier(verifier, provider)?, true),
                Err(error) if trust.extra.is_empty() => {
                    tracing::warn!(%error, "no CA certificates on this machine: https deliveries will fail");
                    (with_roots(&[], provider)?, false)
                }
                Err(error) => return Err(error),
            }
        } else {
            (with_roots(&trust.extra, provider)?, !trust.extra.is_empty())
        };
        config.alpn_protocols = protocols(http2);
        Ok(Self { config, has_roots })
    }
}

/// Says in a sentence why the handshake with `host` failed.
pub(super) fn fault(host: &str, error: &(dyn Error + 'static), has_roots: bool) -> Fault {
    if let Some(error) = cause::<rustls::Error>(error) {
        return handshake_fault(host, error, has_roots);
    }
    let message = if chain(error).any(is_closed) {
        format!("{host} closed the connection during the TLS handshake")
    } else {
        format!("the TLS handshake with {host} failed: {error}")
    };
    Fault::new(FaultKind::Tls, message)
}

fn with_verifier(verifier: Verifier, provider: Arc<CryptoProvider>) -> Result<ClientConfig, rustls::Error> {
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    Ok(builder.with_no_client_auth())
}

fn with_roots(
    extra: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<ClientConfig, rustls::Error> {
    let mut roots = RootCertStore::empty();
    for certificate in extra {
        roots.add(certificate.clone())?;
    }
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn protocols(http2: bool) -> Vec<Vec<u8>> {
    let http1 = b"http/1.1".to_vec();
    if http2 { vec![b"h2".to_vec(), http1] } else { vec![http1] }
}

fn handshake_fault(host: &str, error: &rustls::Error, has_roots: bool) -> Fault {
    use rustls::Error as E;
    match error {
        E::InvalidCertificate(why) => certificate_fault(host, why, has_roots),
        E::AlertReceived(alert) => tls(alert_message(host, *alert)),
        E::PeerIncompatible(why) => {
            tls(format!("{host} and this server have no TLS version or cipher in common ({why:?}): {NEEDED}"))
        }
        E::InvalidMessage(_) => tls(format!(
            "{host} does not speak TLS on this port: check the port, or whether it serves plain http"
        )),
        E::NoCertificatesPresented => tls(format!("{host} presented no certificate")),
        other => tls(format!("the TLS handshake with {host} failed: {other}")),
    }
}

fn certificate_fault(host: &str, why: &CertificateError, has_roots: bool) -> Fault {
    use CertificateError as C;
    match why {
        C::Expired | C::ExpiredContext { .. } => tls(format!("the certificate of {host} has expired")),
        C::NotValidYet | C::NotValidYetContext { .. } => {
            tls(format!("the certificate of {host} is not valid yet: check the clocks of both machines"))
        }
        C::NotValidForName => tls(format!("the certificate of {host} is for another name")),
        C::NotValidForNameContext { presented, .. } => {
            tls(format!("the certificate of {host} is for another name{}", names(presented)))
        }
        C::UnknownIssuer if !has_roots => {
            tls(format!("the certificate of {host} could not be checked: no CA certificates are installed"))
                .with_hint("install the package `ca-certificates`, or name a bundle in SSL_CERT_FILE")
        }
        C::UnknownIssuer => tls(format!(
            "the certificate of {host} was issued by an unknown authority: it may be self-signed, or the \
             receiver does not send its intermediate certificates"
        ))
        .with_hint("if the authority is your own, name the file of its certificate with `--ca-file`"),
        C::Revoked => tls(format!("the certificate of {host} has been revoked")),
        other => tls(format!("the certificate of {host} was not accepted: {other}")),
    }
}

/// At most a few of the names a certificate is for: it may have hundreds.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return String::new();
    }
    let shown = presented.iter().take(NAMES_SHOWN).map(String::as_str);
    format!(" ({})", shown.collect::<Vec<_>>().join(", "))
}

fn alert_message(host: &str, alert: AlertDescription) -> String {
    use AlertDescription as A;
    match alert {
        A::HandshakeFailure | A::InsufficientSecurity => {
            format!("{host} refused the handshake, most likely for want of a common cipher: {NEEDED}")
        }
        A::ProtocolVersion => format!("{host} refused the TLS version: {NEEDED}"),
        A::UnrecognisedName => format!("{host} says that it does not serve this name"),
        A::CertificateRequired | A::BadCertificate => {
            format!("{host} asks for a client certificate, which deliveries do not have")
        }
        A::NoApplicationProtocol => format!("{host} speaks neither HTTP/1.1 nor HTTP/2 here"),
        other => format!("{host} broke off the TLS handshake ({other:?})"),
    }
}

fn is_closed(error: &(dyn Error + 'static)) -> bool {
    use io::ErrorKind as K;
    let kind = error.downcast_ref().map(io::Error::kind);
    matches!(kind, Some(K::UnexpectedEof | K::ConnectionReset | K::ConnectionAborted | K::BrokenPipe))
}

fn tls(message: String) -> Fault {
    Fault::new(FaultKind::Tls, message)
}

const NEEDED: &str = "it needs TLS 1.2 with ECDHE and AES-GCM or ChaCha20-Poly1305, or TLS 1.3";
const NAMES_SHOWN: usize = 3;
/// Most bytes of a file of authorities; the system's own bundle has a quarter of it.
const AUTHORITIES_LIMIT: u64 = 1 << 20;
