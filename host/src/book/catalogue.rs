//! How event types and versions are written down. Only the configurations of a version's steps are sealed.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::record::{RecordError, malformed, parse_all};
use super::terms::Link;
use super::{Described, Kept, Snapshot};
use crate::catalogue::{EventTypeEntry, UnknownVersion, Version, Versions};
use crate::endpoint::Endpoint;
use crate::event::{EventType, VersionName};
use crate::schema::Schema;
use crate::seal::{Owner, SealingKey};
use crate::store::DocumentKind;
use crate::subscription::Pattern;
use crate::terms::Step;
use crate::time::Timestamp;

/// An event type of the catalogue, its schema ready to be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    pub entry: EventTypeEntry,
    pub schema: Option<Arc<Schema>>,
}

impl Listed {
    /// The schema is compiled when it is first asked.
    pub fn new(entry: EventTypeEntry) -> Self {
        let schema = entry.schema.clone().map(|text| Arc::new(Schema::kept(text)));
        Self { entry, schema }
    }
}

impl Snapshot {
    pub fn event_type(&self, name: &EventType) -> Option<&Kept<Listed>> {
        self.event_types.get(name.as_str())
    }

    /// In the order of their names.
    pub fn event_types(&self) -> impl ExactSizeIterator<Item = &Kept<Listed>> {
        self.event_types.values()
    }

    /// Those behind `name`, in the order of their names.
    pub fn event_types_after(&self, name: Option<&EventType>) -> impl Iterator<Item = &Kept<Listed>> {
        let from = name.map_or(Bound::Unbounded, |name| Bound::Excluded(name.as_str()));
        self.event_types.range::<str, _>((from, Bound::Unbounded)).map(|(_, kept)| kept)
    }

    pub fn event_type_names(&self) -> impl Iterator<Item = &str> {
        self.event_types.keys().map(String::as_str)
    }

    pub fn is_deprecated(&self, name: &EventType) -> bool {
        self.event_type(name).is_some_and(|kept| kept.value.entry.deprecated_since.is_some())
    }

    /// A payload to test with: the first one that the catalogue gives for the type.
    pub fn sample(&self, name: &EventType) -> Option<&Bytes> {
        self.event_type(name)?.value.entry.samples.first()
    }

    pub fn versions(&self) -> Option<&Kept<Versions>> {
        self.versions.values().next()
    }

    /// The steps that come before an endpoint's own chain.
    pub(super) fn steps_of(&self, endpoint: &Endpoint) -> Result<Vec<Arc<Step>>, UnknownVersion> {
        match (&endpoint.version, self.versions()) {
            (None, _) => Ok(Vec::new()),
            (Some(pinned), Some(versions)) => versions.value.back_to(pinned),
            (Some(pinned), None) => Err(UnknownVersion::of_none(pinned.clone())),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct TypeDocument {
    group: String,
    description: String,
    samples: Vec<String>,
    schema: Option<String>,
    check: bool,
    deprecated_since: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

impl Described for Listed {
    const KIND: DocumentKind = DocumentKind::EventType;

    fn name(&self) -> String {
        self.entry.name.to_string()
    }

    fn write(&self, _: &SealingKey) -> Result<Vec<u8>, RecordError> {
        let entry = &self.entry;
        let document = TypeDocument {
            group: entry.group.clone(),
            description: entry.description.clone(),
            samples: entry.samples.iter().map(text).collect::<Result<_, _>>()?,
            schema: entry.schema.as_ref().map(text).transpose()?,
            check: entry.check,
            deprecated_since: entry.deprecated_since.map(Timestamp::as_micros),
            created_at: entry.created_at.as_micros(),
            updated_at: entry.updated_at.as_micros(),
        };
        serde_json::to_vec(&document).map_err(malformed)
    }

    fn read(name: &str, document: &[u8], _: &SealingKey) -> Result<Self, RecordError> {
        let read: TypeDocument = serde_json::from_slice(document).map_err(malformed)?;
        Ok(Self::new(EventTypeEntry {
            name: EventType::parse(name).map_err(malformed)?,
            group: read.group,
            description: read.description,
            samples: read.samples.into_iter().map(Bytes::from).collect(),
            schema: read.schema.map(Bytes::from),
            check: read.check,
            deprecated_since: read.deprecated_since.map(Timestamp::from_micros),
            created_at: Timestamp::from_micros(read.created_at),
            updated_at: Timestamp::from_micros(read.updated_at),
        }))
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.event_types
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.event_types
    }
}

#[derive(Serialize, Deserialize)]
struct VersionsDocument {
    versions: Vec<VersionDocument>,
    updated_at: i64,
    /// Base64 of the sealed configurations, one for each step, in their order.
    sealed: String,
}

#[derive(Serialize, Deserialize)]
struct VersionDocument {
    name: String,
    description: String,
    steps: Vec<StepDocument>,
}

#[derive(Serialize, Deserialize)]
struct StepDocument {
    events: Vec<String>,
    #[serde(flatten)]
    link: Link,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Configs(Vec<String>);

impl Drop for Configs {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Described for Versions {
    const KIND: DocumentKind = DocumentKind::Versions;

    fn name(&self) -> String {
        String::new()
    }

    fn write(&self, key: &SealingKey) -> Result<Vec<u8>, RecordError> {
        let steps = self.versions.iter().flat_map(|version| &version.steps);
        let configs = Configs(steps.map(|step| step.transform.config.expose().to_owned()).collect());
        let plain = Zeroizing::new(serde_json::to_vec(&configs).map_err(malformed)?);
        let document = VersionsDocument {
            versions: self.versions.iter().map(VersionDocument::of).collect(),
            updated_at: self.updated_at.as_micros(),
            sealed: BASE64.encode(&key.seal(Owner::Versions, &plain)?),
        };
        serde_json::to_vec(&document).map_err(malformed)
    }

    fn read(_: &str, document: &[u8], key: &SealingKey) -> Result<Self, RecordError> {
        let read: VersionsDocument = serde_json::from_slice(document).map_err(malformed)?;
        let sealed = BASE64.decode(read.sealed.as_bytes()).map_err(malformed)?;
        let mut configs: Configs =
            serde_json::from_slice(&key.open(Owner::Versions, &sealed)?).map_err(malformed)?;
        if configs.0.len() != read.versions.iter().map(|version| version.steps.len()).sum::<usize>() {
            return Err(malformed("it has not one configuration for each step"));
        }
        let mut configs = configs.0.drain(..);
        let versions = read.versions.into_iter().map(|version| version.with(&mut configs));
        Ok(Self {
            versions: versions.collect::<Result<_, _>>()?,
            updated_at: Timestamp::from_micros(read.updated_at),
        })
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.versions
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.versions
    }

    fn follow(snapshot: &mut Snapshot, _name: &str) {
        snapshot.put_in_force(|_| true);
    }
}

impl VersionDocument {
    fn of(version: &Version) -> Self {
        let step = |step: &Arc<Step>| StepDocument {
            events: step.events.iter().map(Pattern::to_string).collect(),
            link: Link::of(&step.transform),
        };
        Self {
            name: version.name.to_string(),
            description: version.description.clone(),
            steps: version.steps.iter().map(step).collect(),
        }
    }

    /// `configs` has one for each step that is left.
    fn with(self, configs: &mut impl Iterator<Item = String>) -> Result<Version, RecordError> {
        let name = VersionName::parse(&self.name).map_err(malformed)?;
        let steps = (0_u16..).zip(self.steps).zip(configs).map(|((place, step), config)| {
            let events = parse_all(&step.events, Pattern::parse)?;
            let transform = step.link.with(config);
            Ok(Arc::new(Step { version: name.clone(), place, events, transform }))
        });
        let steps = steps.collect::<Result<_, RecordError>>()?;
        Ok(Version { name, description: self.description, steps })
    }
}

fn text(bytes: &Bytes) -> Result<String, RecordError> {
    std::str::from_utf8(bytes).map(str::to_owned).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::terms::{Allowance, OnFailure, Transform};

    fn step(version: &VersionName, place: u16, config: &str) -> Arc<Step> {
        let transform = Transform {
            plugin: "flatten".into(),
            config: Secret::new(config),
            on_failure: OnFailure::Fail,
            limits: Allowance::default(),
        };
        let events = vec![Pattern::Any, Pattern::parse("invoice.*").unwrap()];
        Arc::new(Step { version: version.clone(), place, events, transform })
    }

    fn versions() -> Versions {
        let name = |text: &str| VersionName::parse(text).unwrap();
        let version = |text: &str, configs: &[&str]| Version {
            name: name(text),
            description: format!("about {text}"),
            steps: (0..).zip(configs).map(|(place, config)| step(&name(text), place, config)).collect(),
        };
        let versions = vec![
            version("1", &[]),
            version("2", &[r#"{"a":"planted"}"#, "{ \"b\" : 1.0 }"]),
            version("3", &["{}"]),
        ];
        Versions { versions, updated_at: Timestamp::from_secs(3) }
    }

    #[test]
    fn versions_come_back_and_hide_their_configurations() {
        let key = SealingKey::generate();
        let document = versions().write(&key).unwrap();
        assert_eq!(Versions::read("", &document, &key).unwrap(), versions());
        assert!(!String::from_utf8(document.clone()).unwrap().contains("planted"));
        let stranger = Versions::read("", &document, &SealingKey::generate());
        assert!(matches!(stranger, Err(RecordError::Sealed(_))));
    }

    #[test]
    fn event_types_come_back_byte_for_byte() {
        let key = SealingKey::generate();
        let plain = EventTypeEntry::new(EventType::parse("invoice.paid").unwrap(), Timestamp::from_secs(1));
        let full = EventTypeEntry {
            group: "Payments".into(),
            description: "It was paid.".into(),
            samples: vec![Bytes::from_static(b"{ \"n\": 12345678901234567890.10,\n \"a\":\"\\u00e9\"}")],
            schema: Some(Bytes::from_static(b"{\"z\":1,  \"type\":\"object\"}")),
            check: true,
            deprecated_since: Some(Timestamp::from_secs(2)),
            updated_at: Timestamp::from_secs(3),
            ..plain.clone()
        };
        for entry in [plain, full] {
            let listed = Listed::new(entry);
            let document = listed.write(&key).unwrap();
            assert_eq!(Listed::read("invoice.paid", &document, &key).unwrap(), listed);
        }
    }
}
