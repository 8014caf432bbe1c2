//! What the catalogue remembers of one name: its versions, and which of them was active when.
//!
//! Pure: it does nothing but say what follows. The catalogue writes it to the store as a document.

use serde::{Deserialize, Serialize};

use super::{Cause, Source};
use crate::time::Timestamp;

/// Most changes that are remembered of one name; the oldest are forgotten.
const TURNS: usize = 200;

/// One name of the catalogue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// How often it was written; 0 before the first time.
    pub(super) revision: u64,
    versions: Vec<Version>,
    turns: Vec<Turn>,
    /// The digest of the folder's file as it was last taken up. It is not activated again, but where it changes.
    folder: Option<String>,
    /// The digest of the plugin that came with the server when it last started.
    bundled: Option<String>,
}

/// A version: a component that can be activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// SHA-256, in hex.
    pub digest: String,
    /// As it calls itself.
    pub version: String,
    /// In bytes.
    pub size: u64,
    pub source: Source,
    /// When the catalogue saw it first.
    pub added_at: Timestamp,
    /// As it was given with the file, if it was.
    pub signature: Option<String>,
    /// Its file is in the store: it can be had whatever the folder holds and the server brings.
    pub is_kept: bool,
}

/// A change of what is active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// `None`: no version answers to the name any more.
    pub digest: Option<String>,
    pub at: Timestamp,
    pub cause: Cause,
}

impl Record {
    /// The digest of the active version.
    pub fn active(&self) -> Option<&str> {
        self.turns.last()?.digest.as_deref()
    }

    /// The change that made the active version active.
    pub fn last_turn(&self) -> Option<&Turn> {
        self.turns.last()
    }

    /// All changes that are remembered, oldest first.
    pub fn turns(&self) -> &[Turn] {
        &self.turns
    }

    /// In the order in which they came.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    pub fn version(&self, digest: &str) -> Option<&Version> {
        self.versions.iter().find(|version| version.digest == digest)
    }

    /// What a roll-back goes to: what was active before, and can be had still. A second roll-back goes further back.
    pub fn before(&self) -> Option<&str> {
        let active = self.active();
        let stack = self.stack();
        let earlier = stack.iter().rev().skip(usize::from(active.is_some()));
        earlier
            .filter(|digest| Some(**digest) != active)
            .find(|digest| self.version(digest).is_some())
            .copied()
    }

    pub(super) fn folder(&self) -> Option<&str> {
        self.folder.as_deref()
    }

    pub(super) fn bundled(&self) -> Option<&str> {
        self.bundled.as_deref()
    }

    /// Takes a version up, or notes that it came in another way too. What was uploaded stays uploaded.
    pub(super) fn add(&mut self, version: Version) {
        match self.versions.iter_mut().find(|known| known.digest == version.digest) {
            Some(known) => {
                known.source = known.source.max(version.source);
                known.signature = version.signature.or_else(|| known.signature.take());
                known.is_kept |= version.is_kept;
            }
            None => self.versions.push(version),
        }
    }

    /// Makes a version active. False where it is.
    pub(super) fn turn(&mut self, digest: Option<&str>, cause: Cause, at: Timestamp) -> bool {
        if self.active() == digest {
            return false;
        }
        self.turns.push(Turn { digest: digest.map(str::to_owned), at, cause });
        let surplus = self.turns.len().saturating_sub(TURNS);
        self.turns.drain(..surplus);
        true
    }

    pub(super) fn note_folder(&mut self, digest: Option<&str>) {
        self.folder = digest.map(str::to_owned);
    }

    /// Follows the server's own plugin of this name, where that was active or nothing was. `None`: it has none.
    pub(super) fn follow_bundled(&mut self, bundled: Option<Version>, now: Timestamp) {
        let digest = bundled.as_ref().map(|version| version.digest.clone());
        if self.bundled == digest {
            return;
        }
        let before = std::mem::replace(&mut self.bundled, digest.clone());
        let was_active = before.is_some() && self.active() == before.as_deref();
        self.versions.retain(|known| known.is_kept || Some(&known.digest) == digest.as_ref());
        bundled.into_iter().for_each(|version| self.add(version));
        // What was uploaded as well is an operator's choice.
        let chosen = |known: &Version| known.source != Source::Bundled;
        let lost = was_active && !before.is_some_and(|before| self.version(&before).is_some_and(chosen));
        if lost || self.active().is_none() {
            let next = digest.or_else(|| self.fallback().map(str::to_owned));
            self.turn(next.as_deref(), Cause::Bundled, now);
        }
    }

    /// What answers to the name where the folder's file is gone: what was last active of what was uploaded, else what
    /// came with the server.
    pub(super) fn fallback(&self) -> Option<&str> {
        let uploaded =
            |digest: &&&str| self.version(digest).is_some_and(|version| version.source == Source::Upload);
        self.stack().iter().rev().find(uploaded).copied().or(self.bundled.as_deref())
    }

    /// Notes that the file of a version is in the store.
    pub(super) fn note_kept(&mut self, digest: &str) {
        let version = self.versions.iter_mut().find(|version| version.digest == digest);
        version.into_iter().for_each(|version| version.is_kept = true);
    }

    pub(super) fn forget(&mut self, digests: &[String]) {
        self.versions.retain(|version| !digests.contains(&version.digest));
    }

    /// Leaves nothing of what was uploaded or dropped; the server's own plugin stays, as its own again.
    pub(super) fn forget_all_but_bundled(&mut self) {
        let bundled = self.bundled.clone();
        self.versions.retain(|version| Some(&version.digest) == bundled.as_ref());
        self.versions.iter_mut().for_each(|version| {
            version.source = Source::Bundled;
            version.signature = None;
            version.is_kept = false;
        });
        self.folder = None;
    }

    /// The oldest versions beyond `most`, but for those that something holds on to.
    pub(super) fn surplus(&self, most: usize, is_held: impl Fn(&str) -> bool) -> Vec<String> {
        let needed = [self.active(), self.before(), self.folder(), self.bundled()];
        let holds = |digest: &str| needed.contains(&Some(digest)) || is_held(digest);
        let free = self.versions.iter().filter(|version| !holds(&version.digest));
        let surplus = self.versions.len().saturating_sub(most);
        free.take(surplus).map(|version| version.digest.clone()).collect()
    }

    /// What was active, without what was rolled back.
    fn stack(&self) -> Vec<&str> {
        let mut stack: Vec<&str> = Vec::new();
        for turn in &self.turns {
            let Some(digest) = turn.digest.as_deref() else { continue };
            if turn.cause == Cause::RollBack
                && let Some(place) = stack.iter().rposition(|earlier| *earlier == digest)
            {
                stack.truncate(place + 1);
                continue;
            }
            stack.push(digest);
        }
        stack
    }
}

/// How a record is written down.
#[derive(Serialize, Deserialize)]
struct Document {
    versions: Vec<VersionDocument>,
    turns: Vec<TurnDocument>,
    folder: Option<String>,
    bundled: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct VersionDocument {
    digest: String,
    version: String,
    size: u64,
    source: Source,
    added_at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    is_kept: bool,
}

#[derive(Serialize, Deserialize)]
struct TurnDocument {
    digest: Option<String>,
    at: i64,
    cause: Cause,
}

impl Record {
    pub(super) fn write(&self) -> serde_json::Result<Vec<u8>> {
        let versions = self.versions.iter().map(|version| VersionDocument {
            digest: version.digest.clone(),
            version: version.version.clone(),
            size: version.size,
            source: version.source,
            added_at: version.added_at.as_micros(),
            signature: version.signature.clone(),
            is_kept: version.is_kept,
        });
        let turns = self.turns.iter().map(|turn| TurnDocument {
            digest: turn.digest.clone(),
            at: turn.at.as_micros(),
            cause: turn.cause,
        });
        serde_json::to_vec(&Document {
            versions: versions.collect(),
            turns: turns.collect(),
            folder: self.folder.clone(),
            bundled: self.bundled.clone(),
        })
    }

    pub(super) fn read(revision: u64, document: &[u8]) -> serde_json::Result<Self> {
        let read: Document = serde_json::from_slice(document)?;
        let versions = read.versions.into_iter().map(|version| Version {
            digest: version.digest,
            version: version.version,
            size: version.size,
            source: version.source,
            added_at: Timestamp::from_micros(version.added_at),
            signature: version.signature,
            is_kept: version.is_kept,
        });
        let turns = read.turns.into_iter().map(|turn| Turn {
            digest: turn.digest,
            at: Timestamp::from_micros(turn.at),
            cause: turn.cause,
        });
        Ok(Self {
            revision,
            versions: versions.collect(),
            turns: turns.collect(),
            folder: read.folder,
            bundled: read.bundled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    fn version(digest: &str, source: Source) -> Version {
        Version {
            digest: digest.into(),
            version: "1.0.0".into(),
            size: 1,
            source,
            added_at: at(0),
            signature: None,
            is_kept: source != Source::Bundled,
        }
    }

    /// Versions that were uploaded and activated one after the other.
    fn uploaded(digests: &[&str]) -> Record {
        let mut record = Record::default();
        for digest in digests {
            record.add(version(digest, Source::Upload));
            record.turn(Some(digest), Cause::Upload, at(1));
        }
        record
    }

    fn roll_back(record: &mut Record) -> Option<String> {
        let target = record.before()?.to_owned();
        record.turn(Some(&target), Cause::RollBack, at(2));
        Some(target)
    }

    #[test]
    fn roll_backs_go_back_one_after_the_other() {
        let mut record = uploaded(&["a", "b", "c"]);
        assert_eq!(roll_back(&mut record).as_deref(), Some("b"));
        assert_eq!(roll_back(&mut record).as_deref(), Some("a"));
        assert_eq!(roll_back(&mut record), None);
        assert_eq!(record.active(), Some("a"));
        // What is activated after a roll-back is rolled back to where that went.
        record.turn(Some("c"), Cause::Activation, at(3));
        assert_eq!(roll_back(&mut record).as_deref(), Some("a"));
        assert_eq!(record.turns().len(), 7, "the history forgets nothing of it");
    }

    #[test]
    fn what_cannot_be_had_any_more_is_passed_over() {
        let mut record = uploaded(&["a", "b", "c"]);
        record.forget(&["b".to_owned()]);
        assert_eq!(record.before(), Some("a"));
        record.turn(None, Cause::Removal, at(3));
        assert_eq!(record.before(), Some("c"), "also where nothing is active");
    }

    #[test]
    fn the_active_version_is_not_activated_again() {
        let mut record = uploaded(&["a"]);
        assert!(!record.turn(Some("a"), Cause::Activation, at(5)));
        assert_eq!(record.last_turn().unwrap().at, at(1));
    }

    #[test]
    fn a_new_server_brings_its_own_where_that_was_active() {
        let bundled = |digest| Some(version(digest, Source::Bundled));
        let mut record = Record::default();
        record.follow_bundled(bundled("x"), at(1));
        assert_eq!(record.active(), Some("x"));
        record.follow_bundled(bundled("y"), at(2));
        assert_eq!((record.active(), record.versions().len()), (Some("y"), 1));

        record.add(version("a", Source::Upload));
        record.turn(Some("a"), Cause::Upload, at(3));
        record.follow_bundled(bundled("z"), at(4));
        assert_eq!(record.active(), Some("a"), "what an operator chose stays");
        record.turn(Some("z"), Cause::RollBack, at(5));
        record.follow_bundled(None, at(6));
        assert_eq!(record.active(), Some("a"), "the server has none of its own any more");
    }

    #[test]
    fn a_version_of_an_older_server_that_was_kept_can_be_had_still() {
        let bundled = |digest| Some(version(digest, Source::Bundled));
        let mut record = Record::default();
        record.follow_bundled(bundled("x"), at(1));
        record.note_kept("x");
        record.follow_bundled(bundled("y"), at(2));
        assert_eq!((record.active(), record.versions().len()), (Some("y"), 2));
        assert_eq!(record.before(), Some("x"));
        record.turn(Some("x"), Cause::RollBack, at(3));
        record.follow_bundled(bundled("z"), at(4));
        assert_eq!(record.active(), Some("x"), "it was chosen, and is no longer the server's own");
    }

    #[test]
    fn what_was_uploaded_takes_over_from_the_folder_and_then_the_bundle() {
        let mut record = Record::default();
        record.follow_bundled(Some(version("x", Source::Bundled)), at(0));
        record.add(version("a", Source::Upload));
        record.turn(Some("a"), Cause::Upload, at(1));
        record.add(version("f", Source::Folder));
        record.turn(Some("f"), Cause::Folder, at(2));
        assert_eq!(record.fallback(), Some("a"));
        record.forget(&["a".to_owned()]);
        assert_eq!(record.fallback(), Some("x"));
        record.follow_bundled(None, at(3));
        assert_eq!((record.fallback(), record.active()), (None, Some("f")));
    }

    #[test]
    fn the_oldest_that_nobody_holds_go_first() {
        let record = uploaded(&["a", "b", "c", "d", "e"]);
        assert_eq!(record.surplus(5, |_| false), Vec::<String>::new());
        assert_eq!(record.surplus(3, |_| false), ["a", "b"]);
        assert_eq!(record.surplus(3, |digest| digest == "a"), ["b", "c"]);
        assert_eq!(
            record.surplus(1, |_| false),
            ["a", "b", "c"],
            "the active one and the one before it stay"
        );
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let mut record = uploaded(&["a", "b"]);
        record.add(Version { signature: Some("s".into()), ..version("b", Source::Folder) });
        record.note_folder(Some("b"));
        record.follow_bundled(Some(version("x", Source::Bundled)), at(9));
        record.turn(None, Cause::Removal, at(10));
        record.revision = 7;
        assert_eq!(record.version("b").map(|version| version.source), Some(Source::Upload));
        assert_eq!(Record::read(7, &record.write().unwrap()).unwrap(), record);
    }

    #[test]
    fn a_long_history_is_bounded() {
        let mut record = uploaded(&["a", "b"]);
        for second in 0..1_000 {
            let digest = if second % 2 == 0 { "a" } else { "b" };
            record.turn(Some(digest), Cause::Activation, at(second));
        }
        assert_eq!(record.turns().len(), TURNS);
        assert_eq!(record.before(), Some("a"));
    }
}
