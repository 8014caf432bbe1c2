//! Days. What is stored of events lies in partitions, one a day for each of three tables.
//!
//! A sequence holds its day, and is given once only, so a day that has gone by gets no more events: what is in its
//! partitions can only end, be delivered again, and go.

use std::ops::RangeInclusive;

use futures_util::future::BoxFuture;
use tracing::info;

use crate::id::EventId;
use crate::store::Result;
use crate::time::Timestamp;

use super::transaction::{Done, Lock, Shared, Transaction};

/// The bits of a sequence below its day. More than two thousand million events in a day take numbers of the next one.
const BITS: u32 = 31;
/// The last one whose places are numbers of 63 bits: in the year 2149.
const LAST: i32 = 65_534;
const MICROS: i64 = 86_400_000_000;
/// Days that have partitions before they come.
const AHEAD: i32 = 2;

/// Since 1970, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(i32);

impl Day {
    pub fn at(time: Timestamp) -> Self {
        Self(time.as_micros().div_euclid(MICROS).clamp(0, LAST.into()) as i32)
    }

    pub fn of_sequence(sequence: i64) -> Self {
        Self((sequence >> BITS).clamp(0, LAST.into()) as i32)
    }

    pub fn of_place(place: i64) -> Self {
        Self::of_sequence(place >> 16)
    }

    /// The day of its number in a row.
    pub fn numbered(number: i32) -> Self {
        Self(number.clamp(0, LAST))
    }

    pub fn number(self) -> i32 {
        self.0
    }

    pub fn sequences(self) -> RangeInclusive<i64> {
        let first = i64::from(self.0) << BITS;
        first..=first + (1 << BITS) - 1
    }

    /// A partition of the day: `events_2026_11_30`.
    pub fn part(self, table: &str) -> String {
        let midnight = Timestamp::from_micros(i64::from(self.0) * MICROS).to_string();
        let date = midnight.split('T').next().unwrap_or_default().replace('-', "_");
        format!("{table}_{date}")
    }
}

/// Where the event is, unless it was taken on while the days had gone further than its own: a sequence's day is never
/// before that of its event, and hosts that agree on the time to within hours have given it no later one than the next.
pub fn likely(event: EventId) -> RangeInclusive<i64> {
    let minted =
        Timestamp::from_micros(i64::try_from(event.as_u128() >> 80).unwrap_or(i64::MAX / 1_000) * 1_000);
    let day = Day::at(minted);
    *day.sequences().start()..=*Day(day.0 + 1).sequences().end()
}

/// The tables that are partitioned, in the order in which a day's parts go; of each, what a sequence is multiplied with
/// to be its key.
pub const PARTED: [(&str, i64); 3] = [("attempts", 65_536), ("deliveries", 65_536), ("events", 1)];

/// Sees to it that the coming days have partitions.
pub async fn make_ahead(shared: &Shared) -> Result<()> {
    let missing =
        shared.transact(Lock::Free, |transaction| async move { missing(&transaction).await }).await?;
    if !missing.is_empty() {
        make(shared, &missing).await?;
    }
    Ok(())
}

/// The coming days that have no partitions yet, by the database's clock.
async fn missing(transaction: &Transaction) -> Done<Vec<Day>> {
    let rows = transaction.query(include_str!("sql/missing_days.sql"), &[&AHEAD]).await?;
    rows.iter().map(|row| Ok(Day::numbered(row.try_get("day")?))).collect()
}

/// Makes the partitions of these days, in their order, each unless others have or are about to.
pub fn make<'a>(shared: &'a Shared, days: &'a [Day]) -> BoxFuture<'a, Result<()>> {
    Box::pin(shared.transact(Lock::Free, move |transaction| async move {
        for day in days {
            // Whoever makes the same one waits here until this one is made.
            if transaction.execute(include_str!("sql/add_day.sql"), &[&day.number()]).await? > 0 {
                make_parts(&transaction, *day).await?;
                info!(part = day.part("events"), "made the partitions of a day");
            }
        }
        Ok(())
    }))
}

/// A table is made and then attached, since that is done beside whoever reads and writes the others.
async fn make_parts(transaction: &Transaction, day: Day) -> Done<()> {
    let sequences = day.sequences();
    for (table, factor) in PARTED {
        let (from, to) = (sequences.start() * factor, (sequences.end() + 1) * factor);
        let fill = |sql: &str| {
            let sql = sql.replace("{part}", &day.part(table)).replace("{table}", table);
            sql.replace("{from}", &from.to_string()).replace("{to}", &to.to_string())
        };
        transaction.run(&fill(include_str!("sql/make_part.sql"))).await?;
        transaction.run(&fill(include_str!("sql/attach_part.sql"))).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_secs(1_700_049_600);

    #[test]
    fn a_day_is_told_by_times_sequences_and_places() {
        let day = Day::at(NOON);
        assert_eq!(day.number(), 19_676);
        assert_eq!(day.part("events"), "events_2023_11_15");
        let midnight = Timestamp::from_secs(19_677 * 86_400);
        assert_eq!(Day::at(Timestamp::from_micros(midnight.as_micros() - 1)), day);
        assert_eq!(Day::at(midnight).number(), 19_677);
        let sequences = day.sequences();
        for sequence in [sequences.start(), sequences.end()] {
            assert_eq!(Day::of_sequence(*sequence), day);
            assert_eq!(Day::of_place(sequence << 16 | 0xffff), day);
        }
        assert_eq!(Day::of_sequence(sequences.end() + 1).number(), day.number() + 1);
    }

    #[test]
    fn times_beyond_all_days_have_the_first_and_the_last_one() {
        assert_eq!(Day::at(Timestamp::from_secs(-1)).number(), 0);
        assert_eq!(Day::at(Timestamp::MAX).number(), LAST);
        let end = Day::at(Timestamp::MAX).sequences().end() + 1;
        assert!(end.checked_mul(65_536).is_some(), "the bound of its partitions is a number");
    }

    #[test]
    fn an_event_is_looked_for_on_its_day_and_the_next() {
        let likely = likely(EventId::mint(NOON, 7));
        assert_eq!(Day::of_sequence(*likely.start()), Day::at(NOON));
        assert_eq!(Day::of_sequence(*likely.end()).number(), 19_677);
    }
}
