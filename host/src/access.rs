//! Who may ask the host for what: keys and their roles.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::event::Tenant;
use crate::id::KeyId;
use crate::secret::Secret;
use crate::time::Timestamp;

mod pass;

pub use self::pass::{Ended, PORTAL_PREFIX, Pass, PassId, PassKind};

/// What every key begins with that the host makes.
const PREFIX: &str = "hwk_";

/// A key that was handed out, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    pub id: KeyId,
    pub digest: KeyDigest,
    pub role: Role,
    /// The one tenant that it is for: always there for [`Role::Tenant`], never for [`Role::Admin`].
    pub tenant: Option<Tenant>,
    pub description: String,
    pub created_at: Timestamp,
    /// From then on it opens nothing.
    pub expires_at: Option<Timestamp>,
    /// It is remembered for a while, so that whoever still sends it learns why it is refused.
    pub revoked_at: Option<Timestamp>,
}

impl Key {
    /// Why it opens nothing, as a sentence; `None` where it does.
    pub fn closed_because(&self, now: Timestamp) -> Option<&'static str> {
        match (self.revoked_at, self.expires_at) {
            (Some(_), _) => Some("This key was revoked."),
            (None, Some(end)) if end <= now => Some("This key has expired."),
            _ => None,
        }
    }
}

/// A new key, of which `random` is all that nobody can guess.
pub fn key_text(random: [u8; 32]) -> Secret {
    Secret::new(format!("{PREFIX}{}", BASE64URL_NOPAD.encode(&random)))
}

/// SHA-256 of a key. Keys are long and random, so a plain hash keeps them.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Takes the same time wherever the two differ.
    pub fn matches(&self, other: &KeyDigest) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    /// In hex.
    pub fn text(&self) -> String {
        HEXLOWER.encode(&self.0)
    }

    pub fn parse(text: &str) -> Option<Self> {
        HEXLOWER.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyDigest(***)")
    }
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Everything.
    Admin,
    /// Posts events, and nothing else.
    Ingest,
    /// What a customer may: sees and manages what belongs to its tenant.
    Tenant,
}

impl Role {
    pub const ALL: [Role; 3] = [Role::Admin, Role::Ingest, Role::Tenant];

    /// A stable word.
    pub fn word(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Ingest => "ingest",
            Role::Tenant => "tenant",
        }
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_match_their_key_alone() {
        let digest = KeyDigest::of("hwk_right");
        assert!(digest.matches(&KeyDigest::of("hwk_right")));
        for other in ["hwk_wrong", "hwk_right2", ""] {
            assert!(!digest.matches(&KeyDigest::of(other)), "{other}");
        }
        assert_eq!(KeyDigest::parse(&digest.text()), Some(digest));
        assert_eq!(KeyDigest::parse("00"), None);
    }

    #[test]
    fn when_a_key_opens_nothing() {
        let at = Timestamp::from_secs;
        let key = Key {
            id: KeyId::from_u128(1),
            digest: KeyDigest::of("x"),
            role: Role::Admin,
            tenant: None,
            description: String::new(),
            created_at: at(0),
            expires_at: Some(at(10)),
            revoked_at: None,
        };
        let revoked = Key { revoked_at: Some(at(3)), ..key.clone() };
        let lasting = Key { expires_at: None, ..key.clone() };
        for (key, now, why) in [
            (&key, 9, None),
            (&key, 10, Some("This key has expired.")),
            (&revoked, 3, Some("This key was revoked.")),
            (&revoked, 20, Some("This key was revoked.")),
            (&lasting, i64::from(u32::MAX), None),
        ] {
            assert_eq!(key.closed_because(at(now)), why, "{key:?} at {now}");
        }
    }

    #[test]
    fn keys_carry_all_of_their_randomness() {
        let text = key_text([0xff; 32]);
        assert_eq!(text.expose().len(), PREFIX.len() + 43);
        assert_ne!(text, key_text([0xfe; 32]));
    }

    #[test]
    fn roles_have_words() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.word()), Some(role));
        }
    }
}
