//! What a product sends: its event types, and the versions of its payloads' shapes.

use std::sync::Arc;

use bytes::Bytes;

use crate::event::{EventType, VersionName};
use crate::spelling;
use crate::terms::Step;
use crate::time::Timestamp;

/// An event type, described for those who subscribe to it.
#[derive(Debug, Clone, PartialEq)]
pub struct EventTypeEntry {
    pub name: EventType,
    /// What it is listed under, such as `Payments`; may be empty.
    pub group: String,
    pub description: String,
    /// Payloads to show and to test with, byte for byte as they were given.
    pub samples: Vec<Bytes>,
    /// JSON Schema of the payload, byte for byte as it was given.
    pub schema: Option<Bytes>,
    /// Events whose payload the schema refuses are not taken on.
    pub check: bool,
    /// Set once it should no longer be used.
    pub deprecated_since: Option<Timestamp>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl EventTypeEntry {
    /// With nothing said about it.
    pub fn new(name: EventType, now: Timestamp) -> Self {
        Self {
            name,
            group: String::new(),
            description: String::new(),
            samples: Vec::new(),
            schema: None,
            check: false,
            deprecated_since: None,
            created_at: now,
            updated_at: now,
        }
    }
}

/// The versions of the payloads' shapes. What is posted has the shape of the newest.
#[derive(Debug, Clone, PartialEq)]
pub struct Versions {
    /// Oldest to newest; no two have one name.
    pub versions: Vec<Version>,
    pub updated_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Version {
    pub name: VersionName,
    pub description: String,
    /// Take a payload from this version back to the one before, in this order. The oldest one has none.
    pub steps: Vec<Arc<Step>>,
}

/// The catalogue names no such version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no version `{}`{}", unknown, names(known))]
pub struct UnknownVersion {
    pub unknown: VersionName,
    known: Vec<VersionName>,
}

/// Most names that a sentence lists.
const NAMES_SHOWN: usize = 20;

impl Versions {
    pub fn newest(&self) -> Option<&VersionName> {
        self.versions.last().map(|version| &version.name)
    }

    pub fn contains(&self, name: &VersionName) -> bool {
        self.versions.iter().any(|version| version.name == *name)
    }

    /// The steps that take a payload of any type from the newest version back to `pinned`: newest first.
    ///
    /// # Errors
    ///
    /// Where `pinned` is none of the versions.
    pub fn back_to(&self, pinned: &VersionName) -> Result<Vec<Arc<Step>>, UnknownVersion> {
        let Some(place) = self.versions.iter().position(|version| version.name == *pinned) else {
            return Err(self.unknown(pinned));
        };
        let newer = self.versions[place + 1..].iter().rev();
        Ok(newer.flat_map(|version| version.steps.iter().cloned()).collect())
    }

    /// The steps that an event of this type takes from the newest version back to `pinned`, in their order.
    ///
    /// # Errors
    ///
    /// Where `pinned` is none of the versions.
    pub fn steps(
        &self,
        pinned: &VersionName,
        event_type: &EventType,
    ) -> Result<Vec<Arc<Step>>, UnknownVersion> {
        let mut steps = self.back_to(pinned)?;
        steps.retain(|step| step.concerns(event_type));
        Ok(steps)
    }

    /// The versions that gave payloads of this type a new shape, oldest first.
    pub fn reshaping(&self, event_type: &EventType) -> impl Iterator<Item = &VersionName> {
        let reshapes = |version: &&Version| version.steps.iter().any(|step| step.concerns(event_type));
        self.versions.iter().filter(reshapes).map(|version| &version.name)
    }

    pub fn unknown(&self, name: &VersionName) -> UnknownVersion {
        let known = self.versions.iter().rev().take(NAMES_SHOWN).map(|version| version.name.clone());
        UnknownVersion { unknown: name.clone(), known: known.collect() }
    }
}

impl UnknownVersion {
    /// Where the catalogue names no versions at all.
    pub fn of_none(name: VersionName) -> Self {
        Self { unknown: name, known: Vec::new() }
    }
}

fn names(known: &[VersionName]) -> String {
    let known: Vec<&str> = known.iter().map(VersionName::as_str).collect();
    match known.is_empty() {
        true => ", nor any other; name versions with PUT /v1/versions".to_owned(),
        false => format!("; newest first there are `{}`", known.join("`, `")),
    }
}

/// Why an event of a type that the catalogue does not name is refused, to follow "the event's type ...".
pub fn unknown_type<'k>(name: &EventType, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = spelling::near(name.as_str(), known, NEAR_SHOWN);
    let hint = match near.is_empty() {
        true => String::new(),
        false => format!("; did you mean `{}`?", near.join("`, `")),
    };
    format!("the catalogue names no event type `{name}`{hint}")
}

/// Most names that stand behind "did you mean".
const NEAR_SHOWN: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::subscription::Pattern;
    use crate::terms::{Allowance, OnFailure, Transform};

    fn name(text: &str) -> VersionName {
        VersionName::parse(text).unwrap()
    }

    fn version(text: &str, steps: &[(&str, &[&str])]) -> Version {
        let step = |(place, (plugin, events)): (usize, &(&str, &[&str]))| {
            Arc::new(Step {
                version: name(text),
                place: place as u16,
                events: events.iter().map(|event| Pattern::parse(event).unwrap()).collect(),
                transform: Transform {
                    plugin: (*plugin).to_owned(),
                    config: Secret::new("{}"),
                    on_failure: OnFailure::Retry,
                    limits: Allowance::default(),
                },
            })
        };
        Version {
            name: name(text),
            description: String::new(),
            steps: steps.iter().enumerate().map(step).collect(),
        }
    }

    fn versions() -> Versions {
        let versions = vec![
            version("1", &[]),
            version("2", &[("a", &["*"]), ("b", &["invoice.*", "contact.created"])]),
            version("3", &[]),
            version("4", &[("c", &["invoice.paid"])]),
        ];
        Versions { versions, updated_at: Timestamp::from_secs(0) }
    }

    #[test]
    fn steps_lead_from_the_newest_back() {
        let versions = versions();
        for (pinned, event_type, expected) in [
            ("4", "invoice.paid", &[][..]),
            ("3", "invoice.paid", &["c"]),
            ("2", "invoice.paid", &["c"]),
            ("1", "invoice.paid", &["c", "a", "b"]),
            ("1", "invoice.voided", &["a", "b"]),
            ("1", "contact.created", &["a", "b"]),
            ("1", "contact.deleted", &["a"]),
            ("3", "contact.created", &[]),
            ("1", "hookwright.endpoint.disabled", &[]),
        ] {
            let steps = versions.steps(&name(pinned), &EventType::parse(event_type).unwrap()).unwrap();
            let plugins: Vec<&str> = steps.iter().map(|step| step.transform.plugin.as_str()).collect();
            assert_eq!(plugins, expected, "{pinned} {event_type}");
        }
        assert_eq!(versions.newest(), Some(&name("4")));
        let reshaped = |event_type: &str| {
            let event_type = EventType::parse(event_type).unwrap();
            versions.reshaping(&event_type).map(VersionName::to_string).collect::<Vec<_>>()
        };
        assert_eq!(reshaped("invoice.paid"), ["2", "4"]);
        assert_eq!(reshaped("a"), ["2"]);
    }

    #[test]
    fn unknown_versions_are_named_with_those_that_there_are() {
        let unknown = versions().back_to(&name("5")).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no version `5`; newest first there are `4`, `3`, `2`, `1`");
        assert!(UnknownVersion::of_none(name("5")).to_string().contains("nor any other"));
    }

    #[test]
    fn near_names_are_told() {
        let known = ["invoice.paid", "invoice.pain", "contact.created"];
        let told = |text: &str| unknown_type(&EventType::parse(text).unwrap(), known);
        assert!(told("invoice.payed").ends_with("did you mean `invoice.paid`, `invoice.pain`?"));
        assert_eq!(told("folder.created"), "the catalogue names no event type `folder.created`");
    }
}
