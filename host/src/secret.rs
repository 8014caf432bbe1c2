//! Text that must not be shown, and the keys that messages are signed with.

use std::fmt;

use zeroize::Zeroizing;

mod rotation;
mod signing;

pub use rotation::{MAX_OVERLAP, Previous, SigningSecrets, Succession};
pub use signing::{
    InvalidPublicKey, InvalidSigningSecret, NEW_KEY_LENGTH, PublicKey, SecretForm, SigningKey, SigningSecret,
    VerifyingKey,
};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let secret = SigningSecret::from_key([7; 32]);
        let private = SigningSecret::from_seed([7; 32]);
        let shown = format!("{:?} {:?} {secret:?} {private:?}", secret.text(), Secret::new("hunter2"));
        assert_eq!(shown, "*** *** SigningSecret(7605e053) SigningSecret(aa6afcfb)");
    }
}
