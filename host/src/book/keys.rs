//! How keys are written down: under their digests, so that one that is sent is found by its own.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{RecordError, malformed};
use super::{Described, Kept, Snapshot};
use crate::access::{Key, KeyDigest, Role};
use crate::event::Tenant;
use crate::seal::SealingKey;
use crate::store::DocumentKind;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct KeyDocument {
    id: String,
    role: String,
    tenant: Option<String>,
    description: String,
    created_at: i64,
    expires_at: Option<i64>,
    revoked_at: Option<i64>,
}

impl Described for Key {
    const KIND: DocumentKind = DocumentKind::Key;

    fn name(&self) -> String {
        self.digest.text()
    }

    fn write(&self, _: &SealingKey) -> Result<Vec<u8>, RecordError> {
        let document = KeyDocument {
            id: self.id.to_string(),
            role: self.role.word().to_owned(),
            tenant: self.tenant.as_ref().map(Tenant::to_string),
            description: self.description.clone(),
            created_at: self.created_at.as_micros(),
            expires_at: self.expires_at.map(Timestamp::as_micros),
            revoked_at: self.revoked_at.map(Timestamp::as_micros),
        };
        serde_json::to_vec(&document).map_err(malformed)
    }

    fn read(name: &str, document: &[u8], _: &SealingKey) -> Result<Self, RecordError> {
        let read: KeyDocument = serde_json::from_slice(document).map_err(malformed)?;
        let role = Role::parse(&read.role).ok_or_else(|| malformed("its role is unknown"))?;
        let tenant = read.tenant.as_deref().map(Tenant::parse).transpose().map_err(malformed)?;
        // A tenant's key without its tenant would open everybody's doors.
        if role == Role::Tenant && tenant.is_none() {
            return Err(malformed("it names no tenant"));
        }
        Ok(Self {
            id: read.id.parse().map_err(malformed)?,
            digest: KeyDigest::parse(name).ok_or_else(|| malformed("its digest is none"))?,
            role,
            tenant,
            description: read.description,
            created_at: Timestamp::from_micros(read.created_at),
            expires_at: read.expires_at.map(Timestamp::from_micros),
            revoked_at: read.revoked_at.map(Timestamp::from_micros),
        })
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.keys
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::KeyId;

    fn key() -> Key {
        Key {
            id: KeyId::from_u128(9),
            digest: KeyDigest::of("hwk_planted"),
            role: Role::Tenant,
            tenant: Some(Tenant::default()),
            description: "the portal".to_owned(),
            created_at: Timestamp::from_secs(1),
            expires_at: Some(Timestamp::from_secs(2)),
            revoked_at: Some(Timestamp::from_secs(3)),
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let sealing = SealingKey::generate();
        for key in
            [key(), Key { role: Role::Ingest, tenant: None, expires_at: None, revoked_at: None, ..key() }]
        {
            let document = key.write(&sealing).unwrap();
            assert_eq!(Key::read(&key.name(), &document, &sealing).unwrap(), key);
            assert!(!String::from_utf8(document).unwrap().contains("hwk_"));
        }
    }

    #[test]
    fn a_tenants_key_that_names_none_is_damaged() {
        let sealing = SealingKey::generate();
        let document = Key { tenant: None, ..key() }.write(&sealing).unwrap();
        assert!(Key::read(&key().name(), &document, &sealing).is_err());
        assert!(Key::read("nonsense", &key().write(&sealing).unwrap(), &sealing).is_err());
    }
}
