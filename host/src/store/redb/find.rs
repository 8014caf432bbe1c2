//! Finding events by the index, newest first, chunk by chunk.
//!
//! A search is a conjunction of terms. Each knows the newest chunk that it has something in; the oldest of these is where
//! all of them may meet, so there they leap.

use std::ops::Range;

use redb::AccessGuard;

use crate::store::Result;

use super::bits::{Bits, chunk_of, chunk_start, place_in_chunk};
use super::index::{Attribute, Noted, Span, Times, Wanted, decode_row};
use super::io;
use super::record;
use super::tables::Snapshot;

/// Rows that are passed over one by one before a new way is looked for from the root of the tree.
const STEPS: u32 = 4;

/// What a search came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// An event that has what is wanted, by its sequence.
    Event(u64),
    /// No more events from this sequence on.
    NoneFrom(u64),
}

/// Finds the events that have what is wanted, newest first.
pub struct Search<'a> {
    terms: Vec<Term<'a>>,
    /// Only events before this sequence.
    end: u64,
    chunk: u64,
    /// What is left of the chunk, in ascending order.
    places: Vec<u16>,
}

impl<'a> Search<'a> {
    /// Looks for events before `end`. `wanted` has a term at least.
    pub fn start(snapshot: &'a Snapshot, wanted: &Wanted, mut noted: Noted, end: u64) -> Result<Self> {
        let newest = chunk_of(end.saturating_sub(1));
        let mut stream = |key: &Vec<u8>| {
            let young = noted.young.remove(key).unwrap_or_default();
            Stream::start(snapshot, key.clone(), young, newest)
        };
        let mut terms = Vec::new();
        for keys in &wanted.terms {
            terms.push(Term::AnyOf(keys.iter().map(&mut stream).collect::<Result<_>>()?));
        }
        if let Some(times) = wanted.times {
            let replays = times.replays.then(|| stream(&Attribute::Replayed.key())).transpose()?;
            let spans = noted.spans.unwrap_or_default();
            terms.push(Term::Within(Box::new(Within { snapshot, spans, times, replays })));
        }
        let mut search = Self { terms, end, chunk: 0, places: Vec::new() };
        search.seek(newest)?;
        Ok(search)
    }

    fn seek(&mut self, chunk: u64) -> Result<()> {
        self.terms.iter_mut().try_for_each(|term| term.seek(chunk))
    }

    /// The newest chunk that all terms may have something in.
    fn head(&self) -> Option<u64> {
        let heads: Option<Vec<u64>> = self.terms.iter().map(Term::head).collect();
        heads?.into_iter().min()
    }

    /// Looks into the next chunk, or leaps nearer to it.
    fn leap(&mut self, chunk: u64) -> Result<()> {
        self.seek(chunk)?;
        if self.terms.iter().any(|term| term.head() != Some(chunk)) {
            return Ok(());
        }
        let mut both: Option<Bits> = None;
        for term in &mut self.terms {
            let bits = term.bits(chunk)?;
            match &mut both {
                Some(both) => both.intersect(&bits),
                None => both = Some(bits),
            }
        }
        let mut both = both.unwrap_or_default();
        if chunk == chunk_of(self.end) {
            both = both.split_below(place_in_chunk(self.end));
        }
        (self.chunk, self.places) = (chunk, both.descending().collect());
        self.places.reverse();
        match chunk.checked_sub(1) {
            Some(older) => self.seek(older),
            None => {
                self.terms = vec![Term::AnyOf(Vec::new())];
                Ok(())
            }
        }
    }
}

impl Iterator for Search<'_> {
    type Item = Result<Found>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(place) = self.places.pop() {
            return Some(Ok(Found::Event(chunk_start(self.chunk) + u64::from(place))));
        }
        let chunk = self.head()?;
        let passed = Found::NoneFrom(chunk_start(chunk + 1).min(self.end));
        Some(self.leap(chunk).map(|()| passed))
    }
}

enum Term<'a> {
    /// Events that have one of these attributes.
    AnyOf(Vec<Stream<'a>>),
    Within(Box<Within<'a>>),
}

impl Term<'_> {
    /// The newest chunk in which it has something.
    fn head(&self) -> Option<u64> {
        match self {
            Term::AnyOf(streams) => streams.iter().filter_map(Stream::head).max(),
            Term::Within(within) => within.spans.last().map(|(chunk, _)| *chunk),
        }
    }

    /// Forgets what is newer than `chunk`.
    fn seek(&mut self, chunk: u64) -> Result<()> {
        match self {
            Term::AnyOf(streams) => streams.iter_mut().try_for_each(|stream| stream.seek(chunk)),
            Term::Within(within) => within.seek(chunk),
        }
    }

    /// What it has in that chunk, its head.
    fn bits(&mut self, chunk: u64) -> Result<Bits> {
        match self {
            Term::AnyOf(streams) => {
                let mut any = Bits::default();
                for stream in streams {
                    stream.add_to(&mut any, chunk)?;
                }
                Ok(any)
            }
            Term::Within(within) => within.bits(chunk),
        }
    }
}

type Row = (u64, AccessGuard<'static, &'static [u8]>);
type Rows = redb::Range<'static, (&'static [u8], u64), &'static [u8]>;

/// The rows of one attribute, newest first, with what is not written down yet.
struct Stream<'a> {
    snapshot: &'a Snapshot,
    key: Vec<u8>,
    rows: Rows,
    row: Option<Row>,
    /// In ascending order.
    young: Vec<(u64, Bits)>,
}

impl<'a> Stream<'a> {
    fn start(snapshot: &'a Snapshot, key: Vec<u8>, young: Vec<(u64, Bits)>, newest: u64) -> Result<Self> {
        let mut rows = rows_to(snapshot, &key, newest)?;
        let row = next_row(&mut rows)?;
        Ok(Self { snapshot, key, rows, row, young })
    }

    fn head(&self) -> Option<u64> {
        let row = self.row.as_ref().map(|(chunk, _)| *chunk);
        row.max(self.young.last().map(|(chunk, _)| *chunk))
    }

    fn seek(&mut self, chunk: u64) -> Result<()> {
        while self.young.pop_if(|(young, _)| *young > chunk).is_some() {}
        for _ in 0..STEPS {
            if self.row.as_ref().is_none_or(|(at, _)| *at <= chunk) {
                return Ok(());
            }
            self.row = next_row(&mut self.rows)?;
        }
        if self.row.as_ref().is_some_and(|(at, _)| *at > chunk) {
            self.rows = rows_to(self.snapshot, &self.key, chunk)?;
            self.row = next_row(&mut self.rows)?;
        }
        Ok(())
    }

    fn add_to(&self, bits: &mut Bits, chunk: u64) -> Result<()> {
        if let Some((_, row)) = self.row.as_ref().filter(|(at, _)| *at == chunk) {
            bits.unite(&decode_row(row.value())?);
        }
        if let Some((_, young)) = self.young.last().filter(|(at, _)| *at == chunk) {
            bits.unite(young);
        }
        Ok(())
    }
}

fn rows_to(snapshot: &Snapshot, key: &[u8], newest: u64) -> Result<Rows> {
    snapshot.postings.range((key, 0)..=(key, newest)).map_err(io)
}

fn next_row(rows: &mut Rows) -> Result<Option<Row>> {
    let Some(row) = rows.next_back() else { return Ok(None) };
    let (key, row) = row.map_err(io)?;
    Ok(Some((key.value().1, row)))
}

/// The events of a time, and those with replays of that time.
struct Within<'a> {
    snapshot: &'a Snapshot,
    /// Chunks that may have some, in ascending order.
    spans: Vec<(u64, Span)>,
    times: Times,
    replays: Option<Stream<'a>>,
}

impl Within<'_> {
    fn seek(&mut self, chunk: u64) -> Result<()> {
        while self.spans.pop_if(|(at, _)| *at > chunk).is_some() {}
        Ok(())
    }

    fn bits(&mut self, chunk: u64) -> Result<Bits> {
        let Some((_, span)) = self.spans.last().copied() else { return Ok(Bits::default()) };
        let events = narrow(chunk_start(chunk)..chunk_start(chunk + 1), &span, self.times, |events| {
            let event = self.snapshot.events.range(events).map_err(io)?.next().transpose().map_err(io)?;
            let accepted = |row: &[u8]| record::decode_accepted(row);
            event.map(|(sequence, row)| Ok((sequence.value(), accepted(row.value())?))).transpose()
        })?;
        let length = events.end - events.start;
        let first = place_in_chunk(events.start);
        let mut bits = Bits::between(first, first + length as u16);
        if let Some(replays) = self.replays.as_mut().filter(|_| self.times.meet_replays(&span)) {
            replays.seek(chunk)?;
            replays.add_to(&mut bits, chunk)?;
        }
        Ok(bits)
    }
}

/// Cuts off what lies before or after the wanted times at the ends of a chunk, by halving. `first_in` answers the first
/// event in a range with the time of its acceptance.
///
/// No event's time lies more than the span's disorder before that of an earlier one. So behind an event that is
/// younger than that, all are too young; and before one that is older than that, all are too old.
fn narrow(
    events: Range<u64>,
    span: &Span,
    times: Times,
    first_in: impl Fn(Range<u64>) -> Result<Option<(u64, i64)>>,
) -> Result<Range<u64>> {
    if span.first >= times.until || span.last < times.since {
        return Ok(events.start..events.start);
    }
    let Range { start: mut from, end: mut to } = events.clone();
    if span.first < times.since {
        let mut right = to;
        while from < right {
            let middle = from.midpoint(right);
            match first_in(middle..right)? {
                Some((sequence, accepted)) if accepted.saturating_add(span.disorder) < times.since => {
                    from = sequence + 1;
                }
                _ => right = middle,
            }
        }
    }
    if span.last >= times.until {
        let mut left = from;
        let mut right = to;
        while left < right {
            let middle = left.midpoint(right);
            match first_in(middle..right)? {
                Some((sequence, accepted)) if accepted < times.until.saturating_add(span.disorder) => {
                    left = sequence + 1;
                }
                Some((sequence, _)) => (right, to) = (middle, sequence),
                None => right = middle,
            }
        }
    }
    Ok(from..to.max(from))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Some events are gone, and the clock goes back now and then.
        #[test]
        fn halving_leaves_no_fitting_event_out(
            steps in prop::collection::vec((-20_i64..40, prop::bool::weighted(0.8)), 1..80),
            since in -100_i64..1_000,
            length in 0_i64..1_000,
        ) {
            let mut now = 0;
            let mut events = Vec::new();
            let mut span: Option<Span> = None;
            for (sequence, (step, stays)) in (1_000_u64..).zip(steps) {
                now += step;
                span = Some(match span {
                    None => Span { first: now, last: now, disorder: 0, replays: None },
                    Some(before) => Span {
                        first: before.first.min(now),
                        last: before.last.max(now),
                        disorder: before.disorder.max(before.last - now),
                        replays: None,
                    },
                });
                if stays {
                    events.push((sequence, now));
                }
            }
            let times = Times { since, until: since + length, replays: false };
            let first_in = |range: Range<u64>| {
                Ok(events.iter().copied().find(|(sequence, _)| range.contains(sequence)))
            };
            let span = span.unwrap();
            let found = narrow(900..1_100, &span, times, first_in).unwrap();
            for (sequence, accepted) in &events {
                let fits = (since..since + length).contains(accepted);
                prop_assert!(!fits || found.contains(sequence), "{sequence} at {accepted}: {found:?}");
            }
            if span.disorder == 0 {
                let in_vain = events.iter().filter(|(sequence, accepted)| {
                    found.contains(sequence) && !(since..since + length).contains(accepted)
                });
                prop_assert_eq!(in_vain.count(), 0);
            }
        }
    }
}
