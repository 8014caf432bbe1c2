//! How what shaped an attempt is written down: all that is needed to shape another one alike, sealed, under a name that
//! follows from it.
//!
//! URL, credentials, headers and signing secrets are not in it. One that has leaked or was rotated must never come back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::record::{RecordError, malformed, parse_all};
use super::terms::{Body, Link};
use super::usage;
use super::{Book, BookError};
use crate::attempt::ChainId;
use crate::endpoint::Endpoint;
use crate::event::VersionName;
use crate::seal::{Owner, SealingKey};
use crate::store::ChainRow;
use crate::subscription::Pattern;
use crate::terms::{BodyForm, InForce, Step, Transform};
use crate::time::Timestamp;

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    body: Body,
    steps: Vec<StepRecord>,
    transforms: Vec<LinkRecord>,
}

#[derive(Serialize, Deserialize)]
struct StepRecord {
    version: String,
    place: u16,
    events: Vec<String>,
    link: LinkRecord,
}

#[derive(Serialize, Deserialize)]
struct LinkRecord {
    #[serde(flatten)]
    link: Link,
    config: String,
}

impl Drop for LinkRecord {
    fn drop(&mut self) {
        self.config.zeroize();
    }
}

impl LinkRecord {
    /// Pinned to the digest.
    fn of(transform: &Transform, digest: &str) -> Self {
        let (name, _) = usage::named(&transform.plugin);
        let pinned = Transform { plugin: usage::pinned(name, digest), ..transform.clone() };
        Self { link: Link::of(&pinned), config: transform.config.expose().to_owned() }
    }

    fn to_word(&self) -> Transform {
        self.link.clone().with(self.config.clone())
    }
}

impl Document {
    /// `digests` are those of the chain's links, in its order.
    fn of(endpoint: &Endpoint, digests: &[&str]) -> Self {
        let InForce { steps, transforms, body, .. } = &endpoint.terms;
        let (of_steps, of_transforms) = digests.split_at(steps.len().min(digests.len()));
        let step = |(step, digest): (&Arc<Step>, &&str)| StepRecord {
            version: step.version.to_string(),
            place: step.place,
            events: step.events.iter().map(Pattern::to_string).collect(),
            link: LinkRecord::of(&step.transform, digest),
        };
        let link = |(transform, digest): (&Transform, &&str)| LinkRecord::of(transform, digest);
        Self {
            version: VERSION,
            body: Body::of(*body),
            steps: steps.iter().zip(of_steps).map(step).collect(),
            transforms: transforms.iter().zip(of_transforms).map(link).collect(),
        }
    }

    fn read(row: &ChainRow, key: &SealingKey) -> Result<Self, RecordError> {
        let plain = key.open(Owner::Chain(row.id), &row.document)?;
        let document: Self = serde_json::from_slice(&plain).map_err(malformed)?;
        match document.version {
            VERSION => Ok(document),
            other => Err(RecordError::Newer(other)),
        }
    }

    /// The endpoint as it is, but for what shapes its messages.
    fn put_on(self, endpoint: &Endpoint) -> Result<Endpoint, RecordError> {
        let step = |record: &StepRecord| {
            Ok::<_, RecordError>(Arc::new(Step {
                version: VersionName::parse(&record.version).map_err(malformed)?,
                place: record.place,
                events: parse_all(&record.events, Pattern::parse)?,
                transform: record.link.to_word(),
            }))
        };
        let mut clad = shaped_by_nothing(endpoint);
        clad.terms.steps = self.steps.iter().map(step).collect::<Result<_, RecordError>>()?;
        clad.terms.transforms = self.transforms.iter().map(LinkRecord::to_word).collect();
        clad.terms.body = self.body.into_word();
        Ok(clad)
    }
}

fn shaped_by_nothing(endpoint: &Endpoint) -> Endpoint {
    let mut bare = endpoint.clone();
    bare.terms.steps = Vec::new();
    bare.terms.transforms = Vec::new();
    bare.terms.body = BodyForm::AsIs;
    bare.terms.version_lost = false;
    bare
}

impl Book {
    /// What shapes the endpoint's messages while its links run the versions with these digests, in their order. `None`
    /// where nothing does.
    pub fn chain(
        &self,
        endpoint: &Endpoint,
        digests: &[&str],
        now: Timestamp,
    ) -> Result<Option<ChainRow>, BookError> {
        if digests.is_empty() && endpoint.terms.body == BodyForm::AsIs {
            return Ok(None);
        }
        let written = write(&Document::of(endpoint, digests), &self.key, now);
        written.map(Some).map_err(|source| BookError::Record { id: endpoint.id, source })
    }

    /// The endpoint as it is now, with what shaped an attempt: `None` is for [`ChainId::NOTHING`].
    pub fn clad(&self, endpoint: &Endpoint, row: Option<&ChainRow>) -> Result<Endpoint, BookError> {
        let Some(row) = row else { return Ok(shaped_by_nothing(endpoint)) };
        let clad = Document::read(row, &self.key).and_then(|document| document.put_on(endpoint));
        clad.map_err(|source| BookError::Record { id: endpoint.id, source })
    }
}

fn write(document: &Document, key: &SealingKey, now: Timestamp) -> Result<ChainRow, RecordError> {
    let plain = Zeroizing::new(serde_json::to_vec(document).map_err(malformed)?);
    let id = ChainId(key.name(&plain));
    Ok(ChainRow { id, kept_at: now, document: key.seal(Owner::Chain(id), &plain)? })
}

/// The row under `new`, where it is sealed under `old`; `None` where it is under `new` already. Its id stays, for
/// attempts refer to it.
pub(super) fn resealed(
    row: &ChainRow,
    old: &SealingKey,
    new: &SealingKey,
) -> Result<Option<ChainRow>, RecordError> {
    let owner = Owner::Chain(row.id);
    if new.open(owner, &row.document).is_ok() {
        return Ok(None);
    }
    let document = new.seal(owner, &old.open(owner, &row.document)?)?;
    Ok(Some(ChainRow { document, ..row.clone() }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::record::tests::endpoint;
    use super::*;
    use crate::secret::Secret;
    use crate::terms::{Allowance, OnFailure};

    fn transform(plugin: &str) -> Transform {
        let limits = Allowance { time: Some(Duration::from_millis(7)), ..Allowance::default() };
        Transform {
            plugin: plugin.into(),
            config: Secret::new(r#"{"key":"planted-config"}"#),
            on_failure: OnFailure::Pass,
            limits,
        }
    }

    fn shaped() -> Endpoint {
        let mut endpoint = endpoint();
        let step = Step {
            version: VersionName::parse("2026-01-01").unwrap(),
            place: 3,
            events: vec![Pattern::parse("invoice.*").unwrap()],
            transform: transform("older"),
        };
        endpoint.terms.steps = vec![Arc::new(step)];
        endpoint.terms.transforms = vec![transform("flatten"), transform("slack@sha256:00")];
        endpoint.terms.body = BodyForm::Ecmascript;
        endpoint
    }

    #[test]
    fn a_chain_is_read_as_it_is_written_pinned() {
        let (key, endpoint) = (SealingKey::generate(), shaped());
        let row = write(&Document::of(&endpoint, &["aa", "bb", "cc"]), &key, Timestamp::ZERO).unwrap();
        let mut other = shaped_by_nothing(&endpoint);
        other.name = "Renamed".to_owned();
        let clad = Document::read(&row, &key).unwrap().put_on(&other).unwrap();
        let mut expected = endpoint.clone();
        expected.name = "Renamed".to_owned();
        let pinned = |mut step: Step| {
            step.transform.plugin = "older@sha256:aa".into();
            Arc::new(step)
        };
        expected.terms.steps = endpoint.terms.steps.iter().map(|step| pinned((**step).clone())).collect();
        expected.terms.transforms[0].plugin = "flatten@sha256:bb".into();
        expected.terms.transforms[1].plugin = "slack@sha256:cc".into();
        assert_eq!(clad, expected);
    }

    #[test]
    fn a_chain_has_one_name_and_nobody_without_the_key_sees_of_what() {
        let (key, endpoint) = (SealingKey::generate(), shaped());
        let written = |digest: &str, key: &SealingKey| {
            write(&Document::of(&endpoint, &["aa", "bb", digest]), key, Timestamp::ZERO).unwrap()
        };
        let row = written("cc", &key);
        assert_eq!(row.id, written("cc", &key).id);
        assert_ne!(row.id, written("cd", &key).id);
        assert_ne!(row.id, written("cc", &SealingKey::generate()).id);
        assert!(!String::from_utf8_lossy(&row.document).contains("planted"));
        let moved = ChainRow { id: ChainId(row.id.0 ^ 1), ..row };
        assert!(Document::read(&moved, &key).is_err(), "it opens under its own name alone");
    }
}
