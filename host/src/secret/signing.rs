//! What messages are signed with, in the forms that people hold it: `whsec_...`, `whsk_...`, a text of their own;
//! and what such signatures are checked with.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use data_encoding::{BASE64, HEXLOWER};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::Secret;

/// Random bytes in a secret that the host makes.
pub const NEW_KEY_LENGTH: usize = 32;

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";

const MIN_KEY: usize = 24;
const MAX_KEY: usize = 64;
const MIN_TEXT: usize = 16;
const MAX_TEXT: usize = 256;
const SEED_LENGTH: usize = 32;
const PUBLIC_LENGTH: usize = 32;
/// Hex digits by which people tell secrets apart.
const FINGERPRINT_DIGITS: usize = 8;

/// A secret that signs. Two are equal where their texts are.
#[derive(Clone)]
pub struct SigningSecret {
    text: Secret,
    key: Key,
}

#[derive(Clone)]
enum Key {
    /// What stands behind `whsec_`, decoded.
    Symmetric(Zeroizing<Vec<u8>>),
    Asymmetric(Arc<Ed25519KeyPair>),
    /// The text as it is.
    Text,
}

/// Which schemes a secret fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretForm {
    /// `whsec_`
    Symmetric,
    /// `whsk_`
    Asymmetric,
    /// Any other text.
    Text,
}

/// What a standard signature is computed with.
pub enum SigningKey<'a> {
    /// For HMAC-SHA256.
    Shared(&'a [u8]),
    Private(&'a Ed25519KeyPair),
}

/// Says nothing of the text that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSigningSecret {
    #[error("a signing secret is `whsec_` followed by the base64 of {MIN_KEY} to {MAX_KEY} random bytes")]
    Symmetric,
    #[error(
        "a private signing key is `whsk_` followed by the base64 of an Ed25519 seed of {SEED_LENGTH} bytes, or of the \
         seed and its public key"
    )]
    Asymmetric,
    #[error(
        "a signing secret for this scheme is {MIN_TEXT} to {MAX_TEXT} visible ASCII characters, and not a key that \
         begins with `whsk_` or `whpk_`"
    )]
    Text,
}

/// The public half of an asymmetric secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; PUBLIC_LENGTH]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a public key is `whpk_` followed by the base64 of {PUBLIC_LENGTH} bytes")]
pub struct InvalidPublicKey;

/// What a receiver checks signatures with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerifyingKey {
    Secret(SigningSecret),
    Public(PublicKey),
}

impl SigningSecret {
    /// A symmetric secret of random bytes.
    pub fn from_key(key: [u8; NEW_KEY_LENGTH]) -> Self {
        let text = Secret::new(format!("{SYMMETRIC}{}", BASE64.encode(&key)));
        Self { text, key: Key::Symmetric(Zeroizing::new(key.to_vec())) }
    }

    /// An asymmetric secret of random bytes, written with its public key behind the seed.
    pub fn from_seed(seed: [u8; NEW_KEY_LENGTH]) -> Self {
        #[expect(clippy::expect_used, reason = "any 32 bytes are a seed (RFC 8032, 5.1.5)")]
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).expect("a seed");
        let both = Zeroizing::new([seed.as_slice(), pair.public_key().as_ref()].concat());
        let text = Secret::new(format!("{PRIVATE}{}", BASE64.encode(&both)));
        Self { text, key: Key::Asymmetric(Arc::new(pair)) }
    }

    /// A symmetric secret: `whsec_`, as Standard Webhooks writes it.
    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        let invalid = InvalidSigningSecret::Symmetric;
        let key = decoded(text, SYMMETRIC).ok_or(invalid)?;
        if !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
            return Err(invalid);
        }
        Ok(Self { text: Secret::new(text), key: Key::Symmetric(key) })
    }

    /// An asymmetric secret: `whsk_`.
    pub fn parse_private(text: &str) -> Result<Self, InvalidSigningSecret> {
        let invalid = InvalidSigningSecret::Asymmetric;
        let bytes = decoded(text, PRIVATE).ok_or(invalid)?;
        let pair = match bytes.split_at_checked(SEED_LENGTH) {
            Some((seed, [])) => Ed25519KeyPair::from_seed_unchecked(seed),
            Some((seed, public)) => Ed25519KeyPair::from_seed_and_public_key(seed, public),
            None => return Err(invalid),
        };
        let pair = pair.map_err(|_| invalid)?;
        Ok(Self { text: Secret::new(text), key: Key::Asymmetric(Arc::new(pair)) })
    }

    /// A text that somebody holds already. One in the form of `whsec_` is that.
    pub fn parse_text(text: &str) -> Result<Self, InvalidSigningSecret> {
        if let Ok(symmetric) = Self::parse(text) {
            return Ok(symmetric);
        }
        let fits = (MIN_TEXT..=MAX_TEXT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !fits || text.starts_with(PRIVATE) || text.starts_with(PUBLIC) {
            return Err(InvalidSigningSecret::Text);
        }
        Ok(Self { text: Secret::new(text), key: Key::Text })
    }

    /// In any form, as [`SigningSecret::text`] gave it.
    pub fn restore(text: &str) -> Result<Self, InvalidSigningSecret> {
        if text.starts_with(PRIVATE) { Self::parse_private(text) } else { Self::parse_text(text) }
    }

    /// As it was given or shown, prefix included.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The text without the prefix of its form.
    pub fn bare_text(&self) -> &str {
        let text = self.text.expose();
        let prefix = match self.form() {
            SecretForm::Symmetric => SYMMETRIC,
            SecretForm::Asymmetric => PRIVATE,
            SecretForm::Text => "",
        };
        text.strip_prefix(prefix).unwrap_or(text)
    }

    pub fn form(&self) -> SecretForm {
        match self.key {
            Key::Symmetric(_) => SecretForm::Symmetric,
            Key::Asymmetric(_) => SecretForm::Asymmetric,
            Key::Text => SecretForm::Text,
        }
    }

    pub fn key(&self) -> SigningKey<'_> {
        match &self.key {
            Key::Symmetric(key) => SigningKey::Shared(key),
            Key::Asymmetric(pair) => SigningKey::Private(pair),
            Key::Text => SigningKey::Shared(self.text.expose().as_bytes()),
        }
    }

    pub fn public_key(&self) -> Option<PublicKey> {
        match &self.key {
            Key::Asymmetric(pair) => pair.public_key().as_ref().try_into().ok().map(PublicKey),
            Key::Symmetric(_) | Key::Text => None,
        }
    }

    /// The first hex digits of the SHA-256 of what its holder has: the text, or the public key's. Tells secrets
    /// apart without showing them.
    pub fn fingerprint(&self) -> String {
        let held = self.public_key().map(|key| key.to_string());
        let digest = Sha256::digest(held.as_deref().unwrap_or(self.text.expose()));
        let mut digits = HEXLOWER.encode(&digest);
        digits.truncate(FINGERPRINT_DIGITS);
        digits
    }
}

fn decoded(text: &str, prefix: &str) -> Option<Zeroizing<Vec<u8>>> {
    BASE64.decode(text.strip_prefix(prefix)?.as_bytes()).ok().map(Zeroizing::new)
}

impl PartialEq for SigningSecret {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SigningSecret {}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningSecret({})", self.fingerprint())
    }
}

impl PublicKey {
    pub fn parse(text: &str) -> Result<Self, InvalidPublicKey> {
        let bytes = decoded(text, PUBLIC).ok_or(InvalidPublicKey)?;
        bytes.as_slice().try_into().map(Self).map_err(|_| InvalidPublicKey)
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// `whpk_` and base64.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC}{}", BASE64.encode(&self.0))
    }
}

impl VerifyingKey {
    /// In any form: a secret that is shared with the sender, or the sender's public key (`whpk_`).
    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        match PublicKey::parse(text) {
            Ok(key) => Ok(Self::Public(key)),
            Err(_) => SigningSecret::restore(text).map(Self::from),
        }
    }
}

/// Of an asymmetric secret, the public key.
impl From<SigningSecret> for VerifyingKey {
    fn from(secret: SigningSecret) -> Self {
        match secret.public_key() {
            Some(key) => Self::Public(key),
            None => Self::Secret(secret),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symmetric_secrets() {
        let secret = SigningSecret::from_key([7; 32]);
        assert_eq!(SigningSecret::parse(secret.text().expose()).as_ref(), Ok(&secret));
        let short = SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert!(matches!(short.key(), SigningKey::Shared(key) if key.len() == 24));
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_not base64!", "whsk_AAAA"]
        {
            assert!(SigningSecret::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn asymmetric_secrets() {
        let secret = SigningSecret::from_seed([7; 32]);
        let text = secret.text().expose();
        assert_eq!(SigningSecret::parse_private(text).as_ref(), Ok(&secret));
        let seed = format!("whsk_{}", BASE64.encode(&[7; 32]));
        let from_seed = SigningSecret::parse_private(&seed).unwrap();
        assert_eq!(from_seed.public_key(), secret.public_key());
        assert_eq!(from_seed.fingerprint(), secret.fingerprint());
        let public = secret.public_key().unwrap();
        assert_eq!(PublicKey::parse(&public.to_string()), Ok(public));
        let of_another = [[7; 32].as_slice(), &[8; 32]].concat();
        for bad in [
            "whsk_".to_owned(),
            format!("whsk_{}", BASE64.encode(&[7; 31])),
            format!("whsk_{}", BASE64.encode(&[7; 33])),
            format!("whsk_{}", BASE64.encode(&of_another)),
            SigningSecret::from_key([7; 32]).text().expose().to_owned(),
        ] {
            assert!(SigningSecret::parse_private(&bad).is_err(), "{bad}");
        }
    }

    /// RFC 8032, section 7.1: seed, public key.
    #[test]
    fn public_keys_of_known_seeds() {
        for (seed, public) in [
            (
                "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            ),
            (
                "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            ),
        ] {
            let seed = HEXLOWER.decode(seed.as_bytes()).unwrap().try_into().unwrap();
            let key = SigningSecret::from_seed(seed).public_key().unwrap();
            assert_eq!(HEXLOWER.encode(key.as_bytes()), public);
        }
    }

    #[test]
    fn texts_of_ones_own() {
        let own = |text: &str| SigningSecret::parse_text(text);
        let (least, most) = ("x".repeat(16), "x".repeat(256));
        for good in [least.as_str(), &most, "s3cr3t/of=another+system!"] {
            let secret = own(good).unwrap();
            assert_eq!((secret.form(), secret.bare_text()), (SecretForm::Text, good));
            assert_eq!(SigningSecret::restore(good), Ok(secret));
        }
        let standard = SigningSecret::from_key([7; 32]);
        assert_eq!(own(standard.text().expose()).unwrap().form(), SecretForm::Symmetric);
        let private = SigningSecret::from_seed([7; 32]);
        let public = private.public_key().unwrap().to_string();
        let (short, long) = ("x".repeat(15), "x".repeat(257));
        for bad in
            ["", &short, &long, "sixteen and a space", "sixteen-and-\u{e9}", private.text().expose(), &public]
        {
            assert!(own(bad).is_err(), "{bad}");
        }
        assert_eq!(SigningSecret::restore(private.text().expose()), Ok(private));
    }

    /// As `printf %s "$SECRET" | sha256sum` prints it.
    #[test]
    fn fingerprints() {
        assert_eq!(SigningSecret::parse_text("0123456789abcdef").unwrap().fingerprint(), "9f9f5111");
    }

    #[test]
    fn verifying_keys() {
        let (shared, private) = (SigningSecret::from_key([7; 32]), SigningSecret::from_seed([7; 32]));
        let public = private.public_key().unwrap();
        let table = [
            (shared.text().expose().to_owned(), Ok(VerifyingKey::Secret(shared))),
            (private.text().expose().to_owned(), Ok(VerifyingKey::Public(public))),
            (public.to_string(), Ok(VerifyingKey::Public(public))),
            ("whpk_AAAA-AAAA-AAAA-AAAA".to_owned(), Err(InvalidSigningSecret::Text)),
            ("swordfish".to_owned(), Err(InvalidSigningSecret::Text)),
        ];
        for (text, expected) in table {
            assert_eq!(VerifyingKey::parse(&text), expected, "{text}");
        }
    }
}
