//! How passes that were ended before their time are written down.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::{RecordError, malformed};
use super::{Described, Kept, Snapshot};
use crate::access::{Ended, PassId};
use crate::seal::SealingKey;
use crate::store::DocumentKind;
use crate::time::Timestamp;

#[derive(Serialize, Deserialize)]
struct EndedDocument {
    ends_at: i64,
}

impl Described for Ended {
    const KIND: DocumentKind = DocumentKind::EndedSession;

    fn name(&self) -> String {
        self.id.to_string()
    }

    fn write(&self, _: &SealingKey) -> Result<Vec<u8>, RecordError> {
        serde_json::to_vec(&EndedDocument { ends_at: self.ends_at.as_micros() }).map_err(malformed)
    }

    fn read(name: &str, document: &[u8], _: &SealingKey) -> Result<Self, RecordError> {
        let read: EndedDocument = serde_json::from_slice(document).map_err(malformed)?;
        let id = PassId::parse(name).ok_or_else(|| malformed("its id is none"))?;
        Ok(Self { id, ends_at: Timestamp::from_micros(read.ends_at) })
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
        let ended = Ended { id: PassId(7), ends_at: Timestamp::from_secs(9) };
        let document = ended.write(&sealing).unwrap();
        assert_eq!(Ended::read(&ended.name(), &document, &sealing).unwrap(), ended);
        assert!(Ended::read("nonsense", &document, &sealing).is_err());
    }
}
