//! Which members of each endpoint a list shows.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, from_str};

use crate::api::statistics::FARE_FIELDS;
use crate::api::terms;

/// What is neither a term nor told of how it fares.
const OWN: [&str; 18] = [
    "id",
    "tenant",
    "name",
    "description",
    "url",
    "events",
    "channels",
    "version",
    "inherited",
    "secrets",
    "rate_limit",
    "concurrency",
    "order",
    "enabled",
    "disabled_since",
    "disabled_because",
    "created_at",
    "updated_at",
];

/// All of them, or those that were asked for.
#[derive(Debug, Default)]
pub struct Members(Option<Vec<&'static str>>);

/// Every member that can be asked for.
pub fn all() -> impl Iterator<Item = &'static str> {
    OWN.into_iter().chain(FARE_FIELDS).chain(terms::MEMBERS)
}

impl Members {
    /// Names, separated by commas.
    pub fn parse(text: &str) -> Result<Self, String> {
        let named = |name: &str| {
            all().find(|known| *known == name).ok_or_else(|| {
                format!("an endpoint has no member `{}`", name.chars().take(64).collect::<String>())
            })
        };
        text.split(',').map(named).collect::<Result<_, _>>().map(|names| Self(Some(names)))
    }

    /// Whether how it fares is asked for, for which the store is.
    pub fn tell_how_it_fares(&self) -> bool {
        FARE_FIELDS.iter().any(|name| self.have(name))
    }

    pub fn have(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| names.contains(&name))
    }

    /// The view without the others.
    pub fn of(&self, view: &impl Serialize) -> serde_json::Result<Box<RawValue>> {
        if self.0.is_none() {
            return to_raw_value(view);
        }
        let mut shown: Map<String, Value> = from_str(to_raw_value(view)?.get())?;
        shown.retain(|name, _| self.have(name));
        to_raw_value(&shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_asked_for_by_their_names() {
        let some = Members::parse("id,status").unwrap();
        assert!(some.have("id") && some.tell_how_it_fares() && !some.have("url"));
        assert!(!Members::parse("id,url").unwrap().tell_how_it_fares());
        assert!(Members::default().have("url") && Members::default().tell_how_it_fares());
        for bad in ["", "id,", "id, url", "secret", "nonsense"] {
            assert!(Members::parse(bad).is_err(), "{bad}");
        }
    }
}
