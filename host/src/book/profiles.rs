//! How tenants and the host are written down: as endpoints are.

use std::collections::BTreeMap;
use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::record::{Held, Rate, RecordError, malformed};
use super::terms::{HiddenTerms, OpenTerms};
use super::{Described, Kept, Snapshot};
use crate::endpoint::Hold;
use crate::event::Tenant;
use crate::seal::{Owner, SealingKey};
use crate::store::DocumentKind;
use crate::tenant::{HostProfile, Profile, Quota};
use crate::terms::Terms;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct TenantDocument {
    description: String,
    #[serde(flatten)]
    common: Common,
    ingest: Option<Rate>,
    stored_bytes: Option<u64>,
    created_at: i64,
    updated_at: i64,
}

/// What a tenant and the host both have.
#[derive(Serialize, Deserialize)]
struct Common {
    terms: OpenTerms,
    held: Option<Held>,
    held_past_us: u64,
    #[serde(default)]
    skips_before: Option<i64>,
    /// Base64 of the sealed part of the terms.
    sealed: String,
}

impl Common {
    fn of(terms: &Terms, hold: &Hold, owner: Owner<'_>, key: &SealingKey) -> Result<Self, RecordError> {
        let plain = Zeroizing::new(serde_json::to_vec(&HiddenTerms::of(terms)).map_err(malformed)?);
        Ok(Self {
            terms: OpenTerms::of(terms),
            held: hold.current.as_ref().map(Held::of),
            held_past_us: hold.past.as_micros() as u64,
            skips_before: hold.skips_before.map(Timestamp::as_micros),
            sealed: BASE64.encode(&key.seal(owner, &plain)?),
        })
    }

    fn open(self, owner: Owner<'_>, key: &SealingKey) -> Result<(Terms, Hold), RecordError> {
        let sealed = BASE64.decode(self.sealed.as_bytes()).map_err(malformed)?;
        let hidden: HiddenTerms = serde_json::from_slice(&key.open(owner, &sealed)?).map_err(malformed)?;
        let hold = Hold {
            current: self.held.map(Held::into_word),
            past: Duration::from_micros(self.held_past_us),
            skips_before: self.skips_before.map(Timestamp::from_micros),
        };
        Ok((self.terms.with(hidden)?, hold))
    }
}

impl Described for Profile {
    const KIND: DocumentKind = DocumentKind::Tenant;

    fn name(&self) -> String {
        self.tenant.to_string()
    }

    fn write(&self, key: &SealingKey) -> Result<Vec<u8>, RecordError> {
        let document = TenantDocument {
            description: self.description.clone(),
            common: Common::of(&self.terms, &self.hold, Owner::Tenant(&self.tenant), key)?,
            ingest: self.quota.ingest.map(Rate::of),
            stored_bytes: self.quota.stored_bytes,
            created_at: self.created_at.as_micros(),
            updated_at: self.updated_at.as_micros(),
        };
        serde_json::to_vec(&document).map_err(malformed)
    }

    fn read(name: &str, document: &[u8], key: &SealingKey) -> Result<Self, RecordError> {
        let tenant = Tenant::parse(name).map_err(malformed)?;
        let read: TenantDocument = serde_json::from_slice(document).map_err(malformed)?;
        let (terms, hold) = read.common.open(Owner::Tenant(&tenant), key)?;
        Ok(Self {
            tenant,
            description: read.description,
            terms,
            hold,
            quota: Quota { ingest: read.ingest.map(Rate::into_word), stored_bytes: read.stored_bytes },
            created_at: Timestamp::from_micros(read.created_at),
            updated_at: Timestamp::from_micros(read.updated_at),
        })
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.tenants
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.tenants
    }

    fn follow(snapshot: &mut Snapshot, name: &str) {
        snapshot.put_in_force(|tenant| tenant.as_str() == name);
    }
}

impl Described for HostProfile {
    const KIND: DocumentKind = DocumentKind::Host;

    fn name(&self) -> String {
        String::new()
    }

    fn write(&self, key: &SealingKey) -> Result<Vec<u8>, RecordError> {
        serde_json::to_vec(&Common::of(&self.terms, &self.hold, Owner::Host, key)?).map_err(malformed)
    }

    fn read(_name: &str, document: &[u8], key: &SealingKey) -> Result<Self, RecordError> {
        let common: Common = serde_json::from_slice(document).map_err(malformed)?;
        let (terms, hold) = common.open(Owner::Host, key)?;
        Ok(Self { terms, hold })
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.host
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.host
    }

    fn follow(snapshot: &mut Snapshot, _name: &str) {
        snapshot.put_in_force(|_| true);
    }
}
