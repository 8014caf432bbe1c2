//! Names for things: 128 bits, shown with a prefix that tells what they name, such as `evt_...`.
//!
//! The first 48 bits are milliseconds since 1970 (the layout of UUID version 7, RFC 9562), so that
//! ids sort by the time they were minted, in text as in binary.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_DNSSEC;

use crate::time::Timestamp;

/// The text was not an id of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {article} id: it should be `{prefix}` followed by 26 characters")]
pub struct InvalidId {
    text: String,
    article: &'static str,
    prefix: &'static str,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $article:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u128);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            pub const fn from_u128(value: u128) -> Self {
                Self(value)
            }

            pub const fn as_u128(self) -> u128 {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_id(f, $prefix, self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse_id(text, $prefix).map(Self).ok_or_else(|| InvalidId {
                    text: text.chars().take(64).collect(),
                    article: $article,
                    prefix: $prefix,
                })
            }
        }
    };
}

id!(
    /// An event. Its low 16 bits are zero: they are the place of its deliveries.
    EventId, "evt_", "an event"
);
id!(
    /// An endpoint.
    EndpointId, "ep_", "an endpoint"
);
id!(
    /// A delivery: its event's id with the delivery's ordinal in the low 16 bits.
    DeliveryId, "dlv_", "a delivery"
);
id!(
    /// What a receiver sees in `webhook-id`: the id of the first delivery of its line, under a prefix
    /// of its own. A replay is another delivery with the same `webhook-id`.
    WebhookId, "msg_", "a webhook"
);

id!(
    /// A key, which is something else than what its holder sends.
    KeyId, "key_", "a key"
);

id!(
    /// A host that delivers from a store that others deliver from too.
    HostId, "host_", "a host"
);

id!(
    /// A job of the background.
    JobId, "job_", "a job"
);

/// Most deliveries that one event can have over its life, replays included.
pub const MAX_DELIVERIES_PER_EVENT: u32 = u16::MAX as u32;

impl EventId {
    /// `random` supplies 46 bits; the rest is the time, to a quarter of a microsecond.
    pub fn mint(now: Timestamp, random: u64) -> Self {
        Self(version_7(now, random) & !0xffff)
    }
}

impl EndpointId {
    pub fn mint(now: Timestamp, random: u64) -> Self {
        Self(version_7(now, random))
    }
}

impl KeyId {
    pub fn mint(now: Timestamp, random: u64) -> Self {
        Self(version_7(now, random))
    }
}

impl JobId {
    pub fn mint(now: Timestamp, random: u64) -> Self {
        Self(version_7(now, random))
    }
}

impl HostId {
    pub fn mint(now: Timestamp, random: u64) -> Self {
        Self(version_7(now, random))
    }
}

impl DeliveryId {
    pub const fn of(event: EventId, ordinal: u16) -> Self {
        Self(event.0 | ordinal as u128)
    }

    pub const fn event(self) -> EventId {
        EventId(self.0 & !0xffff)
    }

    pub const fn ordinal(self) -> u16 {
        self.0 as u16
    }

    pub const fn webhook_id(self) -> WebhookId {
        WebhookId(self.0)
    }
}

impl WebhookId {
    /// The delivery that began the line.
    pub const fn first_delivery(self) -> DeliveryId {
        DeliveryId(self.0)
    }
}

fn version_7(now: Timestamp, random: u64) -> u128 {
    let micros = now.as_micros().max(0) as u128;
    let (millis, rest) = (micros / 1_000, micros % 1_000);
    let fraction = rest * 4_096 / 1_000;
    (millis << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | (random as u128 >> 2)
}

fn write_id(f: &mut fmt::Formatter<'_>, prefix: &str, value: u128) -> fmt::Result {
    let mut text = [0_u8; 26];
    BASE32_DNSSEC.encode_mut(&value.to_be_bytes(), &mut text);
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
}

fn parse_id(text: &str, prefix: &str) -> Option<u128> {
    let digits = text.strip_prefix(prefix)?;
    if digits.len() != 26 || digits.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let bytes = BASE32_DNSSEC.decode(digits.as_bytes()).ok()?;
    Some(u128::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_123_456);

    #[test]
    fn text_and_back() {
        let id = EndpointId::mint(NOW, 0xdead_beef_dead_beef);
        let text = id.to_string();
        assert_eq!(text.len(), "ep_".len() + 26);
        assert_eq!(text.parse::<EndpointId>(), Ok(id));
        assert!(text.parse::<EventId>().is_err());
        assert!(text.to_uppercase().parse::<EndpointId>().is_err());
        assert!("ep_".parse::<EndpointId>().is_err());
    }

    #[test]
    fn ids_sort_by_time_in_text_too() {
        let early = EventId::mint(NOW, u64::MAX);
        let late = EventId::mint(Timestamp::from_micros(NOW.as_micros() + 1), 0);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
    }

    #[test]
    fn a_delivery_knows_its_event() {
        let event = EventId::mint(NOW, 7);
        let delivery = DeliveryId::of(event, 513);
        assert_eq!(delivery.event(), event);
        assert_eq!(delivery.ordinal(), 513);
        assert_eq!(delivery.webhook_id().first_delivery(), delivery);
    }
}
