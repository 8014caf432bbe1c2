//! How passes that were ended before their time are written down.

use std::collections::BTreeMap;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::record::{RecordError, malformed};
use super::{Described, Kept, Snapshot};
use crate::access::{Ended, KeyDigest, PassId};
use crate::event::Tenant;
use crate::seal::SealingKey;
use crate::store::DocumentKind;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct EndedDocument {
    /// In hex.
    key: String,
    tenant: Option<String>,
    ends_at: i64,
}

impl Described for Ended {
    const KIND: DocumentKind = DocumentKind::EndedSession;

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn write(&self, _: &SealingKey) -> Result<Vec<u8>, RecordError> {
        let document = EndedDocument {
            key: HEXLOWER.encode(&self.key.0),
            tenant: self.tenant.as_ref().map(ToString::to_string),
            ends_at: self.ends_at.as_micros(),
        };
        serde_json::to_vec(&document).map_err(malformed)
    }

    fn read(name: &str, document: &[u8], _: &SealingKey) -> Result<Self, RecordError> {
        let read: EndedDocument = serde_json::from_slice(document).map_err(malformed)?;
        let id = PassId::parse(name).ok_or_else(|| malformed("its id is none"))?;
        let key = HEXLOWER.decode(read.key.as_bytes()).map_err(malformed)?;
        let key = KeyDigest(key.try_into().map_err(|_| malformed("its key's digest is none"))?);
        let tenant = read.tenant.as_deref().map(Tenant::parse).transpose().map_err(malformed)?;
        Ok(Self { id, key, tenant, ends_at: Timestamp::from_micros(read.ends_at) })
    }

    fn all(snapshot: &Snapshot) -> &BTreeMap<String, Kept<Self>> {
        &snapshot.ended
    }

    fn all_mut(snapshot: &mut Snapshot) -> &mut BTreeMap<String, Kept<Self>> {
        &mut snapshot.ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let sealing = SealingKey::generate();
        let key = KeyDigest::of("hwk_planted");
        let tenant = Some(Tenant::parse("acme").unwrap());
        let ended = Ended { id: PassId(7), key, tenant, ends_at: Timestamp::from_secs(9) };
        let document = ended.write(&sealing).unwrap();
        assert_eq!(Ended::read(&ended.name(), &document, &sealing).unwrap(), ended);
        assert!(Ended::read("nonsense", &document, &sealing).is_err());
    }
}
