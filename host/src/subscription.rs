//! Which events an endpoint wants.

use std::fmt;

use crate::event::{Channel, EventType, InvalidWord};

/// `*`, `invoice.*` or `invoice.paid`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pattern {
    /// Every event type but the host's own.
    Any,
    /// Every event type below this one: `invoice.*` holds `invoice.paid` and `invoice.line.added`.
    Below(EventType),
    Exactly(EventType),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no event pattern ({reason}); write `*`, `invoice.*` or `invoice.paid`")]
pub struct InvalidPattern {
    text: String,
    reason: InvalidWord,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, InvalidPattern> {
        let invalid = |reason| InvalidPattern { text: text.chars().take(160).collect(), reason };
        if text == "*" {
            return Ok(Pattern::Any);
        }
        match text.strip_suffix(".*") {
            Some(stem) => EventType::parse(stem).map(Pattern::Below).map_err(invalid),
            None => EventType::parse(text).map(Pattern::Exactly).map_err(invalid),
        }
    }

    /// Whether it is about the host's own event types, which `*` is not.
    pub fn is_reserved(&self) -> bool {
        match self {
            Pattern::Any => false,
            Pattern::Below(event_type) | Pattern::Exactly(event_type) => event_type.is_reserved(),
        }
    }

    pub fn matches(&self, event_type: &EventType) -> bool {
        match self {
            Pattern::Any => !event_type.is_reserved(),
            Pattern::Exactly(wanted) => wanted == event_type,
            Pattern::Below(stem) => {
                event_type.as_str().strip_prefix(stem.as_str()).is_some_and(|rest| rest.starts_with('.'))
            }
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Any => f.write_str("*"),
            Pattern::Below(stem) => write!(f, "{stem}.*"),
            Pattern::Exactly(event_type) => write!(f, "{event_type}"),
        }
    }
}

/// Without channels, the events of all channels; with some, those that share one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Subscription {
    pub events: Vec<Pattern>,
    pub channels: Vec<Channel>,
}

impl Subscription {
    pub fn matches(&self, event_type: &EventType, channels: &[Channel]) -> bool {
        self.events.iter().any(|pattern| pattern.matches(event_type))
            && (self.channels.is_empty() || channels.iter().any(|channel| self.channels.contains(channel)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let table = [
            ("*", "invoice.paid", true),
            ("*", "hookwright.endpoint.disabled", false),
            ("hookwright.*", "hookwright.endpoint.disabled", true),
            ("invoice.*", "invoice.paid", true),
            ("invoice.*", "invoice.line.added", true),
            ("invoice.*", "invoice", false),
            ("invoice.*", "invoices.paid", false),
            ("invoice.paid", "invoice.paid", true),
            ("invoice.paid", "invoice.paid.late", false),
            ("invoice.paid", "invoice.Paid", false),
        ];
        for (pattern, event_type, expected) in table {
            let matched = Pattern::parse(pattern).unwrap().matches(&EventType::parse(event_type).unwrap());
            assert_eq!(matched, expected, "{pattern} on {event_type}");
            assert_eq!(Pattern::parse(pattern).unwrap().to_string(), pattern);
            assert_eq!(Pattern::parse(pattern).unwrap().is_reserved(), pattern.starts_with("hook"));
        }
        for bad in ["", "**", "*.paid", "invoice.*.x", "invoice*", ".*", "a b"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn channels_narrow() {
        let channel = |c| Channel::parse(c).unwrap();
        let all = Subscription { events: vec![Pattern::Any], channels: vec![] };
        let some = Subscription { events: vec![Pattern::Any], channels: vec![channel("a"), channel("b")] };
        let event_type = EventType::parse("x").unwrap();
        assert!(all.matches(&event_type, &[]));
        assert!(all.matches(&event_type, &[channel("z")]));
        assert!(some.matches(&event_type, &[channel("z"), channel("b")]));
        assert!(!some.matches(&event_type, &[channel("z")]));
        assert!(!some.matches(&event_type, &[]));
    }
}
