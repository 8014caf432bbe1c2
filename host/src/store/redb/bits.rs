//! A set of the events of one chunk: the row of the index.
//!
//! While few belong to it, a row lists them in ascending order, 2 bytes each; else it has a bit for each event of the
//! chunk. Its length tells which.

use std::iter;

/// Events in a chunk.
pub const CHUNK: u64 = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 12;
const WORDS: usize = CHUNK as usize / 64;
/// Bytes of a row that has a bit for each event.
const MANY_LENGTH: usize = WORDS * 8;
/// Most events that are listed: one more would take as much room as all the bits.
const MOST_LISTED: usize = MANY_LENGTH / 2 - 1;

/// The chunk that an event is in.
pub fn chunk_of(sequence: u64) -> u64 {
    sequence >> CHUNK_BITS
}

/// The place of an event in its chunk.
pub fn place_in_chunk(sequence: u64) -> u16 {
    (sequence & (CHUNK - 1)) as u16
}

/// The first sequence of a chunk, or the end of the one before it.
pub fn chunk_start(chunk: u64) -> u64 {
    chunk << CHUNK_BITS
}

/// Places in a chunk, each below [`CHUNK`].
#[derive(Debug, Clone)]
pub enum Bits {
    /// In ascending order.
    Few(Vec<u16>),
    Many(Box<[u64; WORDS]>),
}

impl Default for Bits {
    fn default() -> Self {
        Bits::Few(Vec::new())
    }
}

impl PartialEq for Bits {
    fn eq(&self, other: &Self) -> bool {
        self.descending().eq(other.descending())
    }
}

impl Bits {
    /// All from `start` up to, but without, `end`.
    pub fn between(start: u16, end: u16) -> Self {
        let places = start..end.min(CHUNK as u16);
        if places.len() <= MOST_LISTED {
            return Bits::Few(places.collect());
        }
        let mut words = Box::new([0; WORDS]);
        places.for_each(|place| words[word(place)] |= bit(place));
        Bits::Many(words)
    }

    pub fn insert(&mut self, place: u16) {
        debug_assert!(u64::from(place) < CHUNK);
        match self {
            Bits::Many(words) => words[word(place)] |= bit(place),
            Bits::Few(places) => {
                // Places come in ascending order nearly always.
                let at = match places.last() {
                    Some(last) if *last >= place => places.binary_search(&place),
                    _ => Err(places.len()),
                };
                let Err(at) = at else { return };
                if places.len() < MOST_LISTED {
                    return places.insert(at, place);
                }
                let mut words = self.to_words();
                words[word(place)] |= bit(place);
                *self = Bits::Many(words);
            }
        }
    }

    pub fn remove(&mut self, place: u16) {
        match self {
            Bits::Many(words) => words[word(place)] &= !bit(place),
            Bits::Few(places) => {
                if let Ok(at) = places.binary_search(&place) {
                    places.remove(at);
                }
            }
        }
    }

    pub fn contains(&self, place: u16) -> bool {
        match self {
            Bits::Many(words) => words[word(place)] & bit(place) != 0,
            Bits::Few(places) => places.binary_search(&place).is_ok(),
        }
    }

    pub fn is_empty(&self) -> bool {
        match self {
            Bits::Many(words) => words.iter().all(|word| *word == 0),
            Bits::Few(places) => places.is_empty(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Bits::Many(words) => words.iter().map(|word| word.count_ones() as usize).sum(),
            Bits::Few(places) => places.len(),
        }
    }

    /// Takes in what belongs to `other`.
    pub fn unite(&mut self, other: &Bits) {
        match (&mut *self, other) {
            (_, Bits::Few(places)) => places.iter().for_each(|place| self.insert(*place)),
            (Bits::Many(words), Bits::Many(others)) => each(words, others, |word, other| word | other),
            (Bits::Few(places), Bits::Many(_)) => {
                let places = std::mem::take(places);
                *self = other.clone();
                places.into_iter().for_each(|place| self.insert(place));
            }
        }
    }

    /// Keeps what belongs to `other` too.
    pub fn intersect(&mut self, other: &Bits) {
        match (&mut *self, other) {
            (Bits::Few(places), _) => places.retain(|place| other.contains(*place)),
            (Bits::Many(words), Bits::Many(others)) => each(words, others, |word, other| word & other),
            (Bits::Many(_), Bits::Few(places)) => {
                let both = places.iter().copied().filter(|place| self.contains(*place)).collect();
                *self = Bits::Few(both);
            }
        }
    }

    /// Drops what belongs to `other`.
    pub fn subtract(&mut self, other: &Bits) {
        match (&mut *self, other) {
            (Bits::Many(words), Bits::Many(others)) => each(words, others, |word, other| word & !other),
            (_, Bits::Few(places)) => places.iter().for_each(|place| self.remove(*place)),
            (Bits::Few(places), Bits::Many(_)) => places.retain(|place| !other.contains(*place)),
        }
    }

    /// Takes out all below `end`.
    pub fn split_below(&mut self, end: u16) -> Bits {
        let (mut below, mut rest) = (Bits::default(), Bits::default());
        for place in self.descending().collect::<Vec<_>>().into_iter().rev() {
            if place < end { below.insert(place) } else { rest.insert(place) }
        }
        *self = rest;
        below
    }

    /// From the last to the first.
    pub fn descending(&self) -> impl Iterator<Item = u16> + '_ {
        let (places, words): (&[u16], &[u64]) = match self {
            Bits::Few(places) => (places, &[]),
            Bits::Many(words) => (&[], &words[..]),
        };
        let listed = places.iter().rev().copied();
        let set = words
            .iter()
            .enumerate()
            .rev()
            .flat_map(|(index, word)| set_bits(*word).map(move |bit| index as u16 * 64 + bit));
        listed.chain(set)
    }

    /// As a row.
    pub fn encode(&self) -> Vec<u8> {
        if self.len() <= MOST_LISTED {
            let mut places: Vec<u16> = self.descending().collect();
            places.reverse();
            return places.iter().flat_map(|place| place.to_le_bytes()).collect();
        }
        self.to_words().iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    /// `None` where the row is no such set.
    pub fn decode(row: &[u8]) -> Option<Self> {
        if row.len() == MANY_LENGTH {
            let (words, _) = row.as_chunks::<8>();
            let mut read = Box::new([0; WORDS]);
            read.iter_mut().zip(words).for_each(|(read, word)| *read = u64::from_le_bytes(*word));
            return Some(Bits::Many(read));
        }
        let (places, rest) = row.as_chunks::<2>();
        let places: Vec<u16> = places.iter().map(|place| u16::from_le_bytes(*place)).collect();
        let fits = rest.is_empty()
            && places.len() <= MOST_LISTED
            && places.is_sorted_by(|a, b| a < b)
            && places.last().is_none_or(|last| u64::from(*last) < CHUNK);
        fits.then_some(Bits::Few(places))
    }

    fn to_words(&self) -> Box<[u64; WORDS]> {
        match self {
            Bits::Many(words) => words.clone(),
            Bits::Few(places) => {
                let mut words = Box::new([0; WORDS]);
                places.iter().for_each(|place| words[word(*place)] |= bit(*place));
                words
            }
        }
    }
}

fn word(place: u16) -> usize {
    usize::from(place) / 64
}

fn bit(place: u16) -> u64 {
    1 << (place % 64)
}

fn each(words: &mut [u64; WORDS], others: &[u64; WORDS], merge: impl Fn(u64, u64) -> u64) {
    for (word, other) in words.iter_mut().zip(others) {
        *word = merge(*word, *other);
    }
}

/// The places of a word's set bits, from the highest to the lowest.
fn set_bits(word: u64) -> impl Iterator<Item = u16> {
    let mut left = word;
    iter::from_fn(move || {
        let highest = left.checked_ilog2()?;
        left &= !(1 << highest);
        Some(highest as u16)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(places: &BTreeSet<u16>) -> Bits {
        let mut bits = Bits::default();
        places.iter().for_each(|place| bits.insert(*place));
        bits
    }

    fn places(bits: &Bits) -> BTreeSet<u16> {
        bits.descending().collect()
    }

    /// Few or many, scattered or close together.
    fn set() -> impl Strategy<Value = BTreeSet<u16>> {
        let all = 0..CHUNK as u16;
        prop_oneof![
            prop::collection::btree_set(all.clone(), 0..20),
            prop::collection::btree_set(all.clone(), 200..300),
            prop::collection::btree_set(all.clone(), 400..2_000),
            (all.clone(), all).prop_map(|(a, b)| (a.min(b)..a.max(b)).collect()),
        ]
    }

    proptest! {
        #[test]
        fn it_is_a_set(one in set(), other in set(), end in 0..=CHUNK as u16) {
            let (bits, others) = (of(&one), of(&other));
            prop_assert_eq!(places(&bits), one.clone());
            prop_assert_eq!((bits.len(), bits.is_empty()), (one.len(), one.is_empty()));
            let order: Vec<u16> = bits.descending().collect();
            prop_assert!(order.is_sorted_by(|a, b| a > b));
            let after = |change: fn(&mut Bits, &Bits)| {
                let mut changed = bits.clone();
                change(&mut changed, &others);
                places(&changed)
            };
            prop_assert_eq!(after(Bits::unite), &one | &other);
            prop_assert_eq!(after(Bits::intersect), &one & &other);
            prop_assert_eq!(after(Bits::subtract), &one - &other);
            let mut rest = bits.clone();
            let below = rest.split_below(end);
            prop_assert_eq!(places(&below), one.range(..end).copied().collect());
            prop_assert_eq!(places(&rest), one.range(end..).copied().collect());
        }

        #[test]
        fn single_places_come_and_go(start in set(), changes in prop::collection::vec((0..CHUNK as u16, any::<bool>()), 0..500)) {
            let (mut bits, mut expected) = (of(&start), start);
            for (place, present) in changes {
                if present { bits.insert(place) } else { bits.remove(place) }
                if present { expected.insert(place) } else { expected.remove(&place) };
                prop_assert_eq!(bits.contains(place), present);
            }
            prop_assert_eq!(places(&bits), expected);
        }

        #[test]
        fn rows_are_read_as_they_were_written(one in set()) {
            let row = of(&one).encode();
            prop_assert!(row.len() <= MANY_LENGTH);
            prop_assert_eq!(Bits::decode(&row).as_ref().map(places), Some(one));
        }

        #[test]
        fn any_bytes_are_a_row_or_refused(row in prop::collection::vec(any::<u8>(), 0..520)) {
            if let Some(bits) = Bits::decode(&row) {
                prop_assert!(bits.descending().all(|place| u64::from(place) < CHUNK));
            }
        }
    }

    #[test]
    fn ranges_end_with_the_chunk() {
        for (start, end, length) in
            [(0, 0, 0), (7, 9, 2), (9, 7, 0), (0, 4_096, 4_096), (4_000, u16::MAX, 96)]
        {
            assert_eq!(Bits::between(start, end).len(), length, "{start}..{end}");
        }
    }

    #[test]
    fn what_is_no_row_is_refused() {
        let rows: [&[u8]; 5] = [&[1], &[2, 0, 1, 0], &[1, 0, 1, 0], &[0, 16], &[0; 514]];
        for row in rows {
            assert_eq!(Bits::decode(row), None, "{row:?}");
        }
    }
}
