//! What transactions add to the counts: each writes a row of its own, and once a second hosts add those rows to the
//! tallies. So a transaction waits for no other one to count, and no count is written once for each of them.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tokio_postgres::Row;
use tracing::{error, warn};

use crate::event::{EventType, Tenant};
use crate::id::EndpointId;
use crate::store::Result;
use crate::store::ledger::Minutes;
use crate::store::redb::counters::TallyRow;
use crate::store::redb::record;
use crate::tally::Tally;

use super::counters;
use super::transaction::{Done, Lock, Shared, Transaction};

/// How long a change waits for others before all of them are added up.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after failures, each of which doubles it.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Most rows that one transaction adds up.
const AT_ONCE: i64 = 1_000;
/// The shard whose lock is held meanwhile, and that the sums are written to.
const SHARD: i16 = 0;

/// Adds up what is counted, until it is dropped.
#[derive(Debug)]
pub struct Folder(JoinHandle<()>);

impl Folder {
    pub fn start(shared: Arc<Shared>) -> Self {
        Self(tokio::spawn(async move {
            let mut pause = PAUSE;
            // What a host left that is gone.
            shared.counted.notify_one();
            loop {
                shared.counted.notified().await;
                tokio::time::sleep(pause).await;
                pause = match add_up(&shared, Turn::Pass).await {
                    Ok(true) => PAUSE,
                    // Another host is at it, and may have begun before the last change.
                    Ok(false) => {
                        shared.counted.notify_one();
                        PAUSE
                    }
                    Err(error) => {
                        warn!(%error, "counts are added up later");
                        shared.counted.notify_one();
                        LONGEST_PAUSE.min(pause * 2)
                    }
                };
            }
        }))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is done where another host adds up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Wait,
    Pass,
}

/// Adds up whatever has been counted.
pub async fn everything(shared: &Shared) -> Result<()> {
    add_up(shared, Turn::Wait).await.map(drop)
}

/// False where another host is at it.
async fn add_up(shared: &Shared, turn: Turn) -> Result<bool> {
    let mut after = i64::MIN;
    loop {
        let some = |transaction: Arc<Transaction>| async move { some(&transaction, turn, after).await };
        match shared.transact(Lock::Together, some).await? {
            None => return Ok(false),
            Some(None) => return Ok(true),
            Some(Some(last)) => after = last,
        }
    }
}

/// The id of the last row that was looked at, where there may be more behind it.
async fn some(transaction: &Transaction, turn: Turn, after: i64) -> Done<Option<Option<i64>>> {
    match turn {
        Turn::Wait => transaction.hold(SHARD).await?,
        Turn::Pass if !transaction.try_hold(SHARD).await? => return Ok(None),
        Turn::Pass => {}
    }
    let rows = transaction.query(include_str!("sql/tally_changes.sql"), &[&after, &AT_ONCE]).await?;
    let last = rows.last().filter(|_| super::row::big(rows.len()) == AT_ONCE);
    let last = last.map(|row| row.try_get("id")).transpose()?;
    let (sum, ids) = sum(&rows)?;
    if !ids.is_empty() {
        transaction.later(include_str!("sql/delete_tally_changes.sql"), vec![Box::new(ids)]);
        counters::add_tallies(transaction, sum.spread(), SHARD).await?;
    }
    Ok(Some(last))
}

/// What is not added up yet.
pub async fn waiting(transaction: &Transaction) -> Done<Minutes> {
    let rows = transaction.query(include_str!("sql/tally_changes.sql"), &[&i64::MIN, &i64::MAX]).await?;
    Ok(sum(&rows)?.0)
}

/// With the ids of the rows. One that cannot be read must not keep all others from being counted: it stays where it is.
fn sum(rows: &[Row]) -> Done<(Minutes, Vec<i64>)> {
    let (mut sum, mut ids) = (Minutes::default(), Vec::with_capacity(rows.len()));
    for row in rows {
        let id: i64 = row.try_get("id")?;
        match decode(row.try_get("row")?) {
            Ok(minutes) => {
                sum.add(minutes);
                ids.push(id);
            }
            Err(error) => error!(id, %error, "what a transaction counted is passed over"),
        }
    }
    Ok((sum, ids))
}

/// Writes what a transaction counted.
pub fn write(transaction: &Transaction, minutes: &Minutes) -> Result<()> {
    if !minutes.is_empty() {
        let sql = include_str!("sql/insert_tally_change.sql");
        transaction.later(sql, vec![Box::new(encode(minutes)?)]);
        transaction.counts();
    }
    Ok(())
}

#[derive(Serialize, Deserialize)]
struct MinutesRow {
    shared: Vec<(i64, String, String, TallyRow)>,
    endpoints: Vec<(i64, u128, TallyRow)>,
}

fn encode(minutes: &Minutes) -> Result<Vec<u8>> {
    let row = |tally: &Tally| TallyRow::from(tally);
    let shared = minutes.shared.iter().map(|((minute, tenant, event_type), tally)| {
        (*minute, tenant.as_str().to_owned(), event_type.as_str().to_owned(), row(tally))
    });
    let endpoints = minutes.endpoints.iter();
    let endpoints = endpoints.map(|((minute, endpoint), tally)| (*minute, endpoint.as_u128(), row(tally)));
    record::encode(&MinutesRow { shared: shared.collect(), endpoints: endpoints.collect() })
}

fn decode(bytes: &[u8]) -> Result<Minutes> {
    let row: MinutesRow = record::decode(bytes)?;
    let mut minutes = Minutes::default();
    for (minute, tenant, event_type, tally) in row.shared {
        let tenant = Tenant::parse(&tenant).map_err(record::corrupt)?;
        let event_type = EventType::parse(&event_type).map_err(record::corrupt)?;
        minutes.shared.insert((minute, tenant, event_type), tally.tally());
    }
    for (minute, endpoint, tally) in row.endpoints {
        minutes.endpoints.insert((minute, EndpointId::from_u128(endpoint)), tally.tally());
    }
    Ok(minutes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::State;

    #[test]
    fn what_was_counted_comes_back_as_it_was() {
        let tally = |delivered| Tally { delivered, attempts: 2, ..Tally::of_end(State::Failed) };
        let mut minutes = Minutes::default();
        for (number, tenant) in [(0, "acme"), (1, "other")] {
            let key = (29_000_000 + number, Tenant::parse(tenant).unwrap(), EventType::parse("a.b").unwrap());
            minutes.shared.insert(key, tally(7));
            minutes.endpoints.insert((29_000_000, EndpointId::from_u128(number as u128)), tally(1));
        }
        assert_eq!(decode(&encode(&minutes).unwrap()).unwrap(), minutes);
        let mut twice = minutes.clone();
        twice.add(minutes);
        assert!(twice.shared.values().all(|tally| tally.delivered == 14 && tally.failed == 2));
    }
}
