//! What producers post.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::id::EventId;
use crate::time::Timestamp;

/// Event types with this prefix are the host's own; producers may not post them.
pub const RESERVED_PREFIX: &str = "hookwright.";

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidWord {
    #[error("{what} must have 1 to {max} characters; this one has {len}")]
    Length { what: &'static str, max: usize, len: usize },
    #[error("{what} may hold {allowed}; `{found}` is none of them")]
    Character { what: &'static str, allowed: &'static str, found: char },
    #[error("{what} `{text}` has an empty part between its dots")]
    EmptyPart { what: &'static str, text: String },
    #[error("event types that begin with `hookwright.` are the host's own; choose another name")]
    Reserved,
}

macro_rules! word {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            pub const MAX_LENGTH: usize = $max;

            pub fn parse(text: &str) -> Result<Self, InvalidWord> {
                check(text, $what, $max, $allowed, $check)?;
                Ok(Self(text.into()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &self.0)
            }
        }
    };
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':')
}

word!(
    /// Whose events they are.
    Tenant, "a tenant", 64, "letters, digits and `_ - . :`", is_name
);
word!(
    /// A tag of an event; an endpoint with channels gets the events that share one.
    Channel, "a channel", 128, "letters, digits and `_ - . :`", is_name
);
word!(
    /// The producer's own name for an event, unique in its tenant while the event is retained.
    ProducerId, "an event's id or Idempotency-Key", 256, "printable ASCII characters", |c| c.is_ascii_graphic() || c == ' '
);

word!(
    /// The name of a version of the payloads' shapes, such as `2026-03`.
    VersionName, "a version", 64, "letters, digits and `_ - . :`", is_name
);

impl Default for Tenant {
    fn default() -> Self {
        Self("default".into())
    }
}

/// For example `document.exported`: parts of letters, digits, `_` and `-`, joined by dots.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventType(Arc<str>);

impl EventType {
    pub const MAX_LENGTH: usize = 128;
    const WHAT: &'static str = "an event type";

    pub fn parse(text: &str) -> Result<Self, InvalidWord> {
        let allowed = "letters, digits, `_`, `-` and dots between parts";
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        check(text, Self::WHAT, Self::MAX_LENGTH, allowed, fits)?;
        if text.split('.').any(str::is_empty) {
            return Err(InvalidWord::EmptyPart { what: Self::WHAT, text: text.to_owned() });
        }
        Ok(Self(text.into()))
    }

    /// As [`EventType::parse`], for what producers post.
    pub fn parse_posted(text: &str) -> Result<Self, InvalidWord> {
        let event_type = Self::parse(text)?;
        if event_type.is_reserved() {
            return Err(InvalidWord::Reserved);
        }
        Ok(event_type)
    }

    pub fn is_reserved(&self) -> bool {
        self.0.starts_with(RESERVED_PREFIX) || &*self.0 == "hookwright"
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &self.0)
    }
}

fn check(
    text: &str,
    what: &'static str,
    max: usize,
    allowed: &'static str,
    fits: impl Fn(char) -> bool,
) -> Result<(), InvalidWord> {
    if text.is_empty() || text.len() > max {
        return Err(InvalidWord::Length { what, max, len: text.chars().count() });
    }
    match text.chars().find(|c| !fits(*c)) {
        Some(found) => Err(InvalidWord::Character { what, allowed, found }),
        None => Ok(()),
    }
}

/// An event as it was posted, checked, before the host gave it a name.
#[derive(Debug, Clone)]
pub struct NewEvent {
    pub producer_id: Option<ProducerId>,
    pub event_type: EventType,
    /// `None`: the default one.
    pub tenant: Option<Tenant>,
    pub timestamp: Option<Timestamp>,
    pub channels: Vec<Channel>,
    /// The very bytes of `payload`.
    pub payload: Bytes,
    /// Of what was posted: see [`content_digest`].
    pub content: ContentDigest,
}

/// An event that the host took on. Never changed afterwards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventId,
    pub producer_id: Option<ProducerId>,
    pub event_type: EventType,
    pub tenant: Tenant,
    /// What the producer said, or when the event was accepted.
    pub timestamp: Timestamp,
    pub accepted_at: Timestamp,
    pub channels: Vec<Channel>,
    pub payload: Bytes,
}

impl NewEvent {
    pub fn accept(self, id: EventId, now: Timestamp) -> Event {
        Event {
            id,
            producer_id: self.producer_id,
            event_type: self.event_type,
            tenant: self.tenant.unwrap_or_default(),
            timestamp: self.timestamp.unwrap_or(now),
            accepted_at: now,
            channels: self.channels,
            payload: self.payload,
        }
    }
}

/// SHA-256 of what makes two posts the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentDigest(pub [u8; 32]);

/// `timestamp` as it was given. Each part is hashed behind its length, so that no two different posts
/// have the same concatenation.
pub fn content_digest(
    event_type: &str,
    channels: &[Channel],
    timestamp: Option<&str>,
    payload: &[u8],
) -> ContentDigest {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_be_bytes());
        hash.update(bytes);
    };
    part(event_type.as_bytes());
    part(&(channels.len() as u64).to_be_bytes());
    channels.iter().for_each(|channel| part(channel.as_str().as_bytes()));
    part(timestamp.unwrap_or_default().as_bytes());
    part(payload);
    ContentDigest(hash.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_types() {
        for good in ["a", "document.exported", "ai.insight.generated", "invoice.payment_failed", "A-1.b"] {
            assert!(EventType::parse_posted(good).is_ok(), "{good}");
        }
        let long = "a".repeat(129);
        for bad in
            ["", ".", "a.", ".a", "a..b", "a b", "invoice.*", "ä", "a\n", "hookwright.x", "hookwright", &long]
        {
            assert!(EventType::parse_posted(bad).is_err(), "{bad}");
        }
        assert!(EventType::parse_posted("hookwrights.x").is_ok());
    }

    #[test]
    fn the_digest_tells_posts_apart() {
        let channel = |c| Channel::parse(c).unwrap();
        let base = content_digest("a", &[], None, b"{}");
        assert_eq!(base, content_digest("a", &[], None, b"{}"));
        for other in [
            content_digest("b", &[], None, b"{}"),
            content_digest("a", &[channel("x")], None, b"{}"),
            content_digest("a", &[], Some("2026-01-01T00:00:00Z"), b"{}"),
            content_digest("a", &[], None, b"{} "),
        ] {
            assert_ne!(base, other);
        }
        assert_ne!(
            content_digest("a", &[channel("x"), channel("y")], None, b"{}"),
            content_digest("a", &[channel("xy")], None, b"{}"),
        );
    }
}
