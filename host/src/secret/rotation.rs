//! Replacing a signing secret without a gap: for a while two are live.

use std::time::Duration;

use super::SigningSecret;
use crate::time::Timestamp;

/// The longest time for which the secret that is replaced may go on signing.
pub const MAX_OVERLAP: Duration = Duration::from_secs(7 * 86_400);

/// An endpoint's signing secrets: one, or two while a rotation lasts. Which of them are live depends on the moment
/// that is asked about and on nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningSecrets {
    newest: SigningSecret,
    previous: Option<Previous>,
}

/// A secret that is being replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Previous {
    pub secret: SigningSecret,
    /// It signs before this moment, and never from it on.
    pub until: Timestamp,
}

/// Who stays beside the new secret where a rotation begins while another one lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Succession {
    /// Receivers find both signatures in one place and have followed to the newest: that one stays, the oldest goes.
    SideBySide,
    /// Receivers look where the oldest signs: that one stays, the one that was never promoted goes.
    OldLeads,
}

impl SigningSecrets {
    pub fn new(secret: SigningSecret) -> Self {
        Self { newest: secret, previous: None }
    }

    /// As they were written down.
    pub fn restored(newest: SigningSecret, previous: Option<Previous>) -> Self {
        Self { newest, previous }
    }

    pub fn newest(&self) -> &SigningSecret {
        &self.newest
    }

    /// The one that is being replaced, until its end.
    pub fn previous(&self, now: Timestamp) -> Option<&Previous> {
        self.previous.as_ref().filter(|previous| now < previous.until)
    }

    /// Those that sign: newest first.
    pub fn live(&self, now: Timestamp) -> impl Iterator<Item = &SigningSecret> {
        std::iter::once(&self.newest).chain(self.previous(now).map(|previous| &previous.secret))
    }

    /// Those that are kept, over or not: newest first. For sealing and for masking.
    pub fn kept(&self) -> impl Iterator<Item = &SigningSecret> {
        self.live(Timestamp::from_micros(i64::MIN))
    }

    /// When the one that is being replaced ends, over or not.
    pub fn overlap_end(&self) -> Option<Timestamp> {
        self.previous.as_ref().map(|previous| previous.until)
    }

    /// With `secret` as the newest and one of the others beside it for `overlap`, at most [`MAX_OVERLAP`]; without an
    /// overlap, alone. Doing it again with the same secret changes nothing.
    #[must_use]
    pub fn rotated(
        &self,
        secret: SigningSecret,
        succession: Succession,
        overlap: Duration,
        now: Timestamp,
    ) -> Self {
        if overlap.is_zero() {
            return Self::new(secret);
        }
        if secret == self.newest {
            return self.tidied(now);
        }
        let staying = match (succession, self.previous(now)) {
            (Succession::OldLeads, Some(previous)) => &previous.secret,
            _ => &self.newest,
        };
        if secret == *staying {
            return Self::new(secret);
        }
        let until = now.plus(overlap.min(MAX_OVERLAP));
        Self { newest: secret, previous: Some(Previous { secret: staying.clone(), until }) }
    }

    /// The newest alone.
    #[must_use]
    pub fn settled(&self) -> Self {
        Self::new(self.newest.clone())
    }

    /// Without what is over.
    #[must_use]
    pub fn tidied(&self, now: Timestamp) -> Self {
        Self { newest: self.newest.clone(), previous: self.previous(now).cloned() }
    }
}

impl From<SigningSecret> for SigningSecrets {
    fn from(secret: SigningSecret) -> Self {
        Self::new(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::Succession::{OldLeads, SideBySide};
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn secret(number: u8) -> SigningSecret {
        SigningSecret::from_key([number; 32])
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + hours * 3_600)
    }

    /// The numbers of the live secrets, newest first.
    fn live(secrets: &SigningSecrets, now: Timestamp) -> Vec<u8> {
        let number = |secret: &SigningSecret| (0..10).find(|n| *secret == self::secret(*n)).unwrap();
        secrets.live(now).map(number).collect()
    }

    #[test]
    fn rotations() {
        // (how, rotations as (to, hour, hours of overlap), hour that is looked at, live then)
        type Row = (Succession, &'static [(u8, i64, u32)], i64, &'static [u8]);
        let table: [Row; 18] = [
            (SideBySide, &[], 0, &[0]),
            (SideBySide, &[(1, 0, 24)], 0, &[1, 0]),
            (SideBySide, &[(1, 0, 24)], 23, &[1, 0]),
            (SideBySide, &[(1, 0, 24)], 24, &[1]),
            (SideBySide, &[(1, 0, 0)], 0, &[1]),
            // A clock that goes back finds what was live then.
            (SideBySide, &[(1, 0, 24)], -1, &[1, 0]),
            // Again during the overlap.
            (SideBySide, &[(1, 0, 24), (2, 1, 24)], 1, &[2, 1]),
            (SideBySide, &[(1, 0, 24), (2, 1, 24)], 25, &[2]),
            (OldLeads, &[(1, 0, 24), (2, 1, 24)], 1, &[2, 0]),
            (OldLeads, &[(1, 0, 24), (2, 1, 24)], 24, &[2, 0]),
            (OldLeads, &[(1, 0, 24), (2, 1, 24)], 25, &[2]),
            // Again after it.
            (OldLeads, &[(1, 0, 24), (2, 24, 24)], 24, &[2, 1]),
            // The same again; back to the one before.
            (SideBySide, &[(1, 0, 24), (1, 5, 24)], 23, &[1, 0]),
            (SideBySide, &[(1, 0, 24), (1, 5, 24)], 24, &[1]),
            (SideBySide, &[(1, 0, 24), (0, 5, 24)], 5, &[0, 1]),
            (OldLeads, &[(1, 0, 24), (0, 5, 24)], 5, &[0]),
            (SideBySide, &[(1, 0, 24), (2, 1, 0)], 1, &[2]),
            (SideBySide, &[(1, 0, 24 * 365)], 24 * 7, &[1]),
        ];
        for (succession, rotations, hour, expected) in table {
            let mut secrets = SigningSecrets::new(secret(0));
            for (to, hour, overlap) in rotations {
                secrets = secrets.rotated(secret(*to), succession, HOUR * *overlap, at(*hour));
            }
            assert_eq!(live(&secrets, at(hour)), expected, "{succession:?} {rotations:?} at {hour}");
        }
    }

    #[test]
    fn an_old_secret_can_go_at_any_time() {
        let rotated = SigningSecrets::new(secret(0)).rotated(secret(1), SideBySide, 24 * HOUR, at(0));
        assert_eq!(live(&rotated.settled(), at(0)), [1]);
        assert_eq!(rotated.kept().count(), 2);
        assert_eq!(rotated.tidied(at(24)), rotated.settled());
        assert_eq!(rotated.tidied(at(23)), rotated);
    }
}
