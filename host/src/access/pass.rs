//! What stands in for a key for a while: a session of the dashboard, or the link to a tenant's portal.
//!
//! A pass says of which key it came, and opens no more and no longer than that key does. Nobody keeps passes: whoever
//! holds one shows it sealed, and all that is remembered is which of them were [`Ended`] before their time.

use std::fmt;

use super::KeyDigest;
use crate::event::Tenant;
use crate::time::Timestamp;

/// What every pass for a portal begins with, as it is handed out.
pub const PORTAL_PREFIX: &str = "hwp_";

/// How passes are written; another number would be another form.
const FORM: u8 = 1;

/// Stands where there is no link. Ids are random, so that none is this one.
const NO_LINK: u128 = 0;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pass {
    pub kind: PassKind,
    pub id: PassId,
    /// The link that a session was opened with; it ends with it.
    pub link: Option<PassId>,
    /// Of the key that it was got with.
    pub key: KeyDigest,
    /// The one tenant that it is for, where the key opens the doors of more.
    pub tenant: Option<Tenant>,
    pub starts_at: Timestamp,
    /// From then on it opens nothing.
    pub ends_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PassKind {
    /// Of somebody who signed in.
    Session,
    /// Handed to a customer, as part of a link.
    Portal,
}

/// Tells passes apart; nobody can guess one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassId(pub u128);

impl fmt::Display for PassId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl PassId {
    pub fn parse(text: &str) -> Option<Self> {
        let is_one = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16).ok().filter(|_| is_one).map(Self)
    }
}

impl PassKind {
    fn number(self) -> u8 {
        match self {
            PassKind::Session => 1,
            PassKind::Portal => 2,
        }
    }

    fn of_number(number: u8) -> Option<Self> {
        [PassKind::Session, PassKind::Portal].into_iter().find(|kind| kind.number() == number)
    }
}

impl Pass {
    /// Whether its time has come and is not over.
    pub fn is_good_at(&self, now: Timestamp) -> bool {
        self.starts_at <= now && now < self.ends_at
    }

    /// As bytes, to be sealed.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM, self.kind.number()];
        bytes.extend_from_slice(&self.id.0.to_be_bytes());
        bytes.extend_from_slice(&self.link.map_or(NO_LINK, |link| link.0).to_be_bytes());
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.starts_at.as_micros().to_be_bytes());
        bytes.extend_from_slice(&self.ends_at.as_micros().to_be_bytes());
        bytes.extend_from_slice(self.tenant.as_ref().map(Tenant::as_str).unwrap_or_default().as_bytes());
        bytes
    }

    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<2>()?;
        let (id, rest) = rest.split_first_chunk()?;
        let (link, rest) = rest.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let (starts_at, rest) = rest.split_first_chunk()?;
        let (ends_at, tenant) = rest.split_first_chunk()?;
        let tenant = match std::str::from_utf8(tenant).ok()? {
            "" => None,
            tenant => Some(Tenant::parse(tenant).ok()?),
        };
        Some(Self {
            kind: PassKind::of_number(head[1]).filter(|_| head[0] == FORM)?,
            id: PassId(u128::from_be_bytes(*id)),
            link: Some(u128::from_be_bytes(*link)).filter(|link| *link != NO_LINK).map(PassId),
            key: KeyDigest(*key),
            tenant,
            starts_at: Timestamp::from_micros(i64::from_be_bytes(*starts_at)),
            ends_at: Timestamp::from_micros(i64::from_be_bytes(*ends_at)),
        })
    }
}

/// A pass that was ended before its time: by signing out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub id: PassId,
    /// Whose it was: the key that it came of, and the tenant that it was for.
    pub key: KeyDigest,
    pub tenant: Option<Tenant>,
    /// When its time is over, and nobody needs to remember it any more.
    pub ends_at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Pass {
        Pass {
            kind: PassKind::Portal,
            id: PassId(7),
            link: None,
            key: KeyDigest::of("hwk_planted"),
            tenant: Some(Tenant::parse("acme").unwrap()),
            starts_at: Timestamp::from_secs(10),
            ends_at: Timestamp::from_secs(20),
        }
    }

    #[test]
    fn passes_come_back() {
        let session = Pass { kind: PassKind::Session, link: Some(PassId(9)), tenant: None, ..pass() };
        for pass in [pass(), session] {
            let bytes = pass.to_bytes();
            assert_eq!(Pass::from_bytes(&bytes), Some(pass.clone()));
            for cut in 0..82 {
                assert_eq!(Pass::from_bytes(&bytes[..cut]), None, "{cut}");
            }
        }
        let bytes = pass().to_bytes();
        for (place, wrong) in [(0, 2), (1, 0), (1, 3), (82, b'/')] {
            let mut changed = bytes.clone();
            changed[place] = wrong;
            assert_eq!(Pass::from_bytes(&changed), None, "{place}");
        }
    }

    #[test]
    fn a_pass_has_its_time() {
        for (second, good) in [(9, false), (10, true), (19, true), (20, false)] {
            assert_eq!(pass().is_good_at(Timestamp::from_secs(second)), good, "{second}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [PassId(0), PassId(7), PassId(u128::MAX)] {
            assert_eq!(PassId::parse(&id.to_string()), Some(id));
        }
        for bad in ["", "7", "+0000000000000000000000000000007", &"g".repeat(32), &"0".repeat(33)] {
            assert_eq!(PassId::parse(bad), None, "{bad}");
        }
    }
}
