//! Signatures of plugin files: Ed25519 over the bytes of the file, detached.
//!
//! A private key is kept as PKCS#8 in PEM, so that `openssl` makes and uses the same keys.

use std::fmt;

use anyhow::Context as _;
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use data_encoding::{BASE64, HEXLOWER_PERMISSIVE};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Source;
use super::inspect::Refusal;

const KEY: usize = 32;
const SIGNATURE: usize = 64;
/// Longest text of a signature that is read.
pub const SIGNATURE_TEXT: usize = 4 << 10;
/// What stands behind the name of a plugin's file in that of its signature.
pub const SIGNATURE_SUFFIX: &str = ".sig";
/// Bytes of a key's digest by which people tell keys apart.
const FINGERPRINT: usize = 4;

const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";
const PEM_LINE: usize = 64;

/// A key that plugin files may be signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; KEY]);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a public key is {KEY} bytes in base64 or hex, as `hookwright plugin keygen` prints")]
pub struct InvalidPublicKey;

/// Which files have to be signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Required {
    #[default]
    None,
    Folder,
    Upload,
    All,
}

/// Whose signatures count, and what has to have one.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    pub keys: Vec<PublicKey>,
    pub required: Required,
}

/// What plugin files are signed with.
pub struct SigningKey(Ed25519KeyPair);

impl PublicKey {
    /// Base64 or hex of 32 bytes.
    ///
    /// # Errors
    ///
    /// Where it is neither.
    pub fn parse(text: &str) -> Result<Self, InvalidPublicKey> {
        decode(text.trim()).and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or(InvalidPublicKey)
    }

    /// By which people tell keys apart: 8 hex digits.
    pub fn fingerprint(&self) -> String {
        HEXLOWER_PERMISSIVE.encode(&Sha256::digest(self.0)[..FINGERPRINT])
    }

    fn has_signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, &self.0).verify(bytes, signature).is_ok()
    }
}

/// In base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl Required {
    pub const ALL: [Required; 4] = [Required::None, Required::Folder, Required::Upload, Required::All];

    pub fn word(self) -> &'static str {
        match self {
            Required::None => "none",
            Required::Folder => "folder",
            Required::Upload => "upload",
            Required::All => "all",
        }
    }

    fn of(self, source: Source) -> bool {
        match source {
            Source::Bundled => false,
            Source::Folder => matches!(self, Required::Folder | Required::All),
            Source::Upload => matches!(self, Required::Upload | Required::All),
        }
    }
}

impl Trust {
    /// The key that the file is signed with, where it is. Without keys, signatures are not looked at.
    pub(super) fn check(
        &self,
        source: Source,
        bytes: &[u8],
        signature: Option<&str>,
    ) -> Result<Option<PublicKey>, Refusal> {
        let required = self.required.of(source);
        let Some(signature) = signature.filter(|_| required || !self.keys.is_empty()) else {
            return if required { Err(unsigned(source)) } else { Ok(None) };
        };
        let signature = decode(signature.trim()).filter(|decoded| decoded.len() == SIGNATURE);
        let signature = signature.ok_or_else(|| {
            Refusal::new("its signature is not that of a plugin: base64 of 64 bytes, as `hookwright plugin sign` writes")
        })?;
        let signer = self.keys.iter().find(|key| key.has_signed(bytes, &signature));
        signer.copied().map(Some).ok_or_else(|| {
            Refusal::new(
                "its signature does not fit: it was made of other bytes, or with a key that is not among \
                 `plugin.signature_keys`; sign the file again with `hookwright plugin sign`",
            )
        })
    }
}

fn unsigned(source: Source) -> Refusal {
    let place = match source {
        Source::Folder => "put the `.wasm.sig` beside it",
        _ => "send it in the header `Plugin-Signature`",
    };
    Refusal::new(format!(
        "it is not signed, and this server takes signed plugins alone (setting `plugin.require_signatures`); sign it \
         with `hookwright plugin sign` and {place}"
    ))
}

impl SigningKey {
    /// A new one, from the system's randomness.
    ///
    /// # Errors
    ///
    /// Where the system has none.
    pub fn generate() -> anyhow::Result<Self> {
        Ed25519KeyPair::generate().map(Self).ok().context("the system gives no randomness for a key")
    }

    /// Reads PKCS#8 in PEM.
    ///
    /// # Errors
    ///
    /// Where the text is no private Ed25519 key.
    pub fn parse_pem(text: &str) -> anyhow::Result<Self> {
        const WRONG: &str =
            "the file holds no private Ed25519 key in PEM; make one with `hookwright plugin keygen`";
        let body =
            text.split_once(PEM_BEGIN).and_then(|(_, rest)| rest.split_once(PEM_END)).context(WRONG)?.0;
        let body: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
        let der = Zeroizing::new(BASE64.decode(body.as_bytes()).ok().context(WRONG)?);
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map(Self).ok().context(WRONG)
    }

    /// PKCS#8 in PEM, as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    ///
    /// Where the library cannot write it.
    pub fn pem(&self) -> anyhow::Result<Zeroizing<String>> {
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'static> =
            self.0.as_der().ok().context("the key cannot be written")?;
        let body = Zeroizing::new(BASE64.encode(der.as_ref()));
        let mut text = Zeroizing::new(format!("{PEM_BEGIN}\n"));
        for line in body.as_bytes().chunks(PEM_LINE) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str(PEM_END);
        text.push('\n');
        Ok(text)
    }

    #[expect(clippy::expect_used, reason = "every key pair of this kind has a public key of 32 bytes")]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.public_key().as_ref().try_into().expect("32 bytes"))
    }

    /// The signature of a file's bytes, in base64.
    pub fn sign(&self, bytes: &[u8]) -> String {
        BASE64.encode(self.0.sign(bytes).as_ref())
    }
}

/// Hex where the text is that, else base64. A text of hex digits is no base64 of as many bytes.
fn decode(text: &str) -> Option<Vec<u8>> {
    let hex = [2 * KEY, 2 * SIGNATURE].contains(&text.len());
    match HEXLOWER_PERMISSIVE.decode(text.as_bytes()) {
        Ok(bytes) if hex => Some(bytes),
        _ => BASE64.decode(text.as_bytes()).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_known_by_its_key() {
        let (ours, theirs) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let good = ours.sign(b"plugin");
        let hex = HEXLOWER_PERMISSIVE.encode(&BASE64.decode(good.as_bytes()).unwrap());
        let trust = |required, keys| Trust { required, keys };
        let keys = vec![theirs.public(), ours.public()];
        for (required, source, signature, fits) in [
            (Required::None, Source::Folder, None, true),
            (Required::Folder, Source::Folder, None, false),
            (Required::Folder, Source::Upload, None, true),
            (Required::Upload, Source::Folder, None, true),
            (Required::Upload, Source::Upload, None, false),
            (Required::All, Source::Bundled, None, true),
            (Required::All, Source::Folder, Some(good.as_str()), true),
            (Required::All, Source::Upload, Some(hex.as_str()), true),
            (Required::All, Source::Upload, Some("AAAA"), false),
            (Required::All, Source::Upload, Some(theirs.sign(b"other").as_str()), false),
            // One that is there has to fit, whoever asks for it.
            (Required::None, Source::Folder, Some(theirs.sign(b"other").as_str()), false),
        ] {
            let said = trust(required, keys.clone()).check(source, b"plugin", signature);
            assert_eq!(said.is_ok(), fits, "{required:?} {source:?} {signature:?}: {said:?}");
            if let Ok(Some(key)) = said {
                assert_eq!(key, ours.public());
            }
        }
        let stranger = trust(Required::All, vec![theirs.public()]);
        let refusal = stranger.check(Source::Upload, b"plugin", Some(&good)).unwrap_err().to_string();
        assert!(refusal.contains("plugin.signature_keys"), "{refusal}");
        let blind = trust(Required::None, Vec::new());
        assert_eq!(blind.check(Source::Upload, b"plugin", Some("whatever")), Ok(None));
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::parse_pem(&key.pem().unwrap()).unwrap();
        assert_eq!(again.public(), key.public());
        let public = key.public();
        assert_eq!(PublicKey::parse(&public.to_string()), Ok(public));
        assert_eq!(PublicKey::parse(&HEXLOWER_PERMISSIVE.encode(&public.0).to_uppercase()), Ok(public));
        for wrong in ["", "AAAA", "zz", &"a".repeat(63)] {
            assert_eq!(PublicKey::parse(wrong), Err(InvalidPublicKey), "{wrong}");
        }
        for wrong in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", PEM_BEGIN] {
            assert!(SigningKey::parse_pem(wrong).is_err(), "{wrong}");
        }
    }

    /// As `openssl genpkey -algorithm ed25519` wrote it (RFC 8410, 10.3).
    #[test]
    fn keys_of_others_are_read() {
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SigningKey::parse_pem(pem).unwrap();
        assert_eq!(key.public().to_string(), "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=");
    }
}
