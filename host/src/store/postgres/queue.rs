//! Handing deliveries out, and taking them back without an attempt.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use tracing::error;

use crate::event::Event;
use crate::id::{DeliveryId, EndpointId};
use crate::store::redb::record;
use crate::store::{Claim, Claimed, Lease, Result, StoreError};
use crate::time::Timestamp;

use super::row::{self, Id, big, place_of, sequence_key};
use super::transaction::{Done, Lock, Shared, Transaction};

/// Leases what is due.
pub async fn claim(shared: &Shared, claim: &Claim) -> Result<Vec<Claimed>> {
    if claim.limit == 0 || claim.per_endpoint == 0 {
        return Ok(Vec::new());
    }
    shared
        .transact(Lock::Together, |transaction| async move {
            let rows = pick(&transaction, claim).await?;
            let events = events_of(&transaction, &rows).await?;
            let mut claimed = Vec::with_capacity(rows.len());
            for row in &rows {
                match read(row, &events) {
                    Ok(one) => claimed.push(one),
                    // One row that cannot be read must not keep all others waiting.
                    Err(super::transaction::Fault::Store(error @ StoreError::Corrupt(_))) => {
                        let place = place_of(row.try_get("place")?);
                        error!(?place, %error, "a delivery is passed over");
                    }
                    Err(fault) => return Err(fault),
                }
            }
            Ok(claimed)
        })
        .await
}

/// Rows of the queue, leased: the longest due first.
async fn pick(transaction: &Transaction, claim: &Claim) -> Done<Vec<Row>> {
    let now = claim.now.as_micros();
    let lanes = transaction.query(include_str!("sql/lanes.sql"), &[&now]).await?;
    let mut lanes = lanes.iter().map(|row| Ok(row.try_get("endpoint")?)).collect::<Done<Vec<Id>>>()?;
    // Here, since there may be thousands of both.
    lanes.retain(|lane| !claim.skip.contains(&EndpointId::from_u128(lane.0)));
    // First each lane gets an equal part, then the longest due get what is left.
    let part = (claim.limit / lanes.len().max(1)).clamp(1, claim.per_endpoint);
    let mut counts: HashMap<u128, usize> = HashMap::new();
    let mut picked: Vec<Row> = Vec::new();
    for bound in [part, claim.per_endpoint] {
        let room = claim.limit - picked.len();
        // A lane that had less than its part has nothing left.
        let full = |lane: &Id| bound == part || counts.get(&lane.0).copied().unwrap_or_default() == part;
        let (mut endpoints, mut rooms) = (Vec::new(), Vec::new());
        for lane in lanes.iter().filter(|lane| full(lane)) {
            endpoints.push(*lane);
            rooms.push(big(bound - counts.get(&lane.0).copied().unwrap_or_default()).min(big(room)));
        }
        if room == 0 || endpoints.is_empty() || rooms.iter().all(|room| *room == 0) {
            break;
        }
        for row in lease(transaction, claim, &endpoints, &rooms, room, &picked).await? {
            *counts.entry(row.try_get::<_, Id>("endpoint")?.0).or_default() += 1;
            picked.push(row);
        }
        if bound == claim.per_endpoint {
            break;
        }
    }
    let key = |row: &Row| -> Done<(i64, i64)> { Ok((row.try_get("due")?, row.try_get("place")?)) };
    picked.sort_by_key(|row| key(row).unwrap_or_default());
    Ok(picked)
}

async fn lease(
    transaction: &Transaction,
    claim: &Claim,
    endpoints: &Vec<Id>,
    rooms: &Vec<i64>,
    room: usize,
    picked: &[Row],
) -> Done<Vec<Row>> {
    // A lease may be asked for that has run out already; it would be handed out twice.
    let outdated = picked.iter().filter(|_| claim.lease_until <= claim.now);
    let passed_over = outdated.map(|row| Ok(row.try_get("place")?)).collect::<Done<Vec<i64>>>()?;
    let (now, until, limit) = (claim.now.as_micros(), claim.lease_until.as_micros(), big(room));
    let values: [&(dyn ToSql + Sync); 6] = [endpoints, rooms, &now, &until, &limit, &passed_over];
    transaction.query(include_str!("sql/claim.sql"), &values).await
}

async fn events_of(transaction: &Transaction, rows: &[Row]) -> Done<HashMap<u64, Arc<Event>>> {
    let mut sequences = BTreeSet::new();
    for row in rows {
        sequences.insert(sequence_key(place_of(row.try_get("place")?).sequence));
    }
    let mut events = HashMap::with_capacity(sequences.len());
    for row in event_rows(transaction, sequences).await? {
        let sequence: i64 = row.try_get("sequence")?;
        match record::decode_event(row.try_get("row")?) {
            Ok(stored) => drop(events.insert(sequence.unsigned_abs(), record::shared(stored))),
            Err(error) => error!(sequence, %error, "an event is passed over"),
        }
    }
    Ok(events)
}

/// The rows of events.
pub async fn event_rows(transaction: &Transaction, sequences: BTreeSet<i64>) -> Done<Vec<Row>> {
    let (Some(first), Some(last)) = (sequences.first().copied(), sequences.last().copied()) else {
        return Ok(Vec::new());
    };
    let sequences: Vec<i64> = sequences.into_iter().collect();
    transaction.query(include_str!("sql/event_rows.sql"), &[&sequences, &first, &last]).await
}

fn read(row: &Row, events: &HashMap<u64, Arc<Event>>) -> Done<Claimed> {
    let place = place_of(row.try_get("place")?);
    let delivery = row::delivery(row.try_get("row")?, Some(row.try_get("due")?))?;
    let event = events.get(&place.sequence).cloned();
    let event =
        event.ok_or_else(|| StoreError::Corrupt(format!("the event of {} is missing", delivery.id)))?;
    let generation: i64 = row.try_get("generation")?;
    let lease = Lease { delivery: delivery.id, generation: generation.unsigned_abs() };
    Ok(Claimed { lease, delivery, event })
}

/// Columns of leases, in the order of their deliveries.
struct LeaseRows {
    deliveries: Vec<Id>,
    generations: Vec<i64>,
}

impl LeaseRows {
    fn of(leases: &[Lease]) -> Self {
        let mut sorted = leases.to_vec();
        sorted.sort_by_key(|lease| lease.delivery);
        Self {
            deliveries: sorted.iter().map(|lease| Id(lease.delivery.as_u128())).collect(),
            generations: sorted.iter().map(|lease| big(lease.generation)).collect(),
        }
    }
}

pub async fn renew(shared: &Shared, leases: Vec<Lease>, until: Timestamp) -> Result<Vec<Lease>> {
    if leases.is_empty() {
        return Ok(leases);
    }
    let (columns, until) = (&LeaseRows::of(&leases), until.as_micros());
    let renewed: HashSet<Lease> = shared
        .transact(Lock::Together, |transaction| async move {
            let LeaseRows { deliveries, generations } = columns;
            let values: [&(dyn ToSql + Sync); 3] = [deliveries, generations, &until];
            let mut renewed = HashSet::new();
            for row in transaction.query(include_str!("sql/renew.sql"), &values).await? {
                let generation: i64 = row.try_get("generation")?;
                let delivery = DeliveryId::from_u128(row.try_get::<_, Id>("delivery")?.0);
                renewed.insert(Lease { delivery, generation: generation.unsigned_abs() });
            }
            Ok(renewed)
        })
        .await?;
    Ok(leases.into_iter().filter(|lease| !renewed.contains(lease)).collect())
}

pub async fn release(shared: &Shared, leases: Vec<Lease>, due: Timestamp) -> Result<()> {
    if leases.is_empty() {
        return Ok(());
    }
    let (columns, due) = (&LeaseRows::of(&leases), due.as_micros());
    shared
        .transact(Lock::Together, |transaction| async move {
            let LeaseRows { deliveries, generations } = columns;
            let values: [&(dyn ToSql + Sync); 3] = [deliveries, generations, &due];
            transaction.execute(include_str!("sql/release.sql"), &values).await?;
            Ok(())
        })
        .await
}

pub async fn next_due(shared: &Shared, skip: HashSet<EndpointId>) -> Result<Option<Timestamp>> {
    let skip = &skip;
    shared
        .transact(Lock::Free, |transaction| async move {
            let mut next = None;
            for row in transaction.query(include_str!("sql/next_due.sql"), &[]).await? {
                let due = Timestamp::from_micros(row.try_get("due")?);
                let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
                if !skip.contains(&endpoint) && next.is_none_or(|next| due < next) {
                    next = Some(due);
                }
            }
            Ok(next)
        })
        .await
}

pub async fn pending(shared: &Shared) -> Result<u64> {
    shared
        .transact(Lock::Free, |transaction| async move {
            let row = transaction.one(include_str!("sql/pending.sql"), &[]).await?;
            Ok(u64::try_from(row.try_get::<_, i64>("pending")?).unwrap_or_default())
        })
        .await
}
