//! Text that must not be shown.

use std::fmt;

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// What stands in the place of a secret wherever one would be shown.
pub const MASK: &str = "***";

/// A secret text: wiped when dropped, `***` when printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself: for signing, sending and sealing only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(MASK)
    }
}

/// A symmetric signing secret in the form of Standard Webhooks: `whsec_` and the base64 of its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SigningSecret {
    text: Secret,
    key: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a signing secret is `whsec_` followed by the base64 of {MIN_KEY} to {MAX_KEY} random bytes")]
pub struct InvalidSigningSecret;

const PREFIX: &str = "whsec_";
const MIN_KEY: usize = 24;
const MAX_KEY: usize = 64;

/// Random bytes in a secret that the host makes.
pub const NEW_KEY_LENGTH: usize = 32;

impl SigningSecret {
    /// From random bytes.
    pub fn from_key(key: [u8; NEW_KEY_LENGTH]) -> Self {
        let text = Secret::new(format!("{PREFIX}{}", BASE64.encode(&key)));
        Self { text, key: Zeroizing::new(key.to_vec()) }
    }

    pub fn parse(text: &str) -> Result<Self, InvalidSigningSecret> {
        let encoded = text.strip_prefix(PREFIX).ok_or(InvalidSigningSecret)?;
        let key = BASE64.decode(encoded.as_bytes()).map_err(|_| InvalidSigningSecret)?;
        if !(MIN_KEY..=MAX_KEY).contains(&key.len()) {
            return Err(InvalidSigningSecret);
        }
        Ok(Self { text: Secret::new(text), key: Zeroizing::new(key) })
    }

    /// As it was shown, `whsec_` included.
    pub fn text(&self) -> &Secret {
        &self.text
    }

    /// The bytes behind `whsec_`, decoded.
    pub fn key(&self) -> &[u8] {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = SigningSecret::from_key([7; 32]);
        let shown = format!("{:?} {:?}", secret.text(), Secret::new("hunter2"));
        assert_eq!(shown, "*** ***");
    }

    #[test]
    fn signing_secrets() {
        let secret = SigningSecret::from_key([7; 32]);
        assert_eq!(SigningSecret::parse(secret.text().expose()).as_ref(), Ok(&secret));
        assert_eq!(SigningSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap().key().len(), 24);
        for bad in
            ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA", "whsec_not base64!", "whsk_AAAA"]
        {
            assert!(SigningSecret::parse(bad).is_err(), "{bad}");
        }
    }
}
