//! What changes add to the counters, written once for each transaction, and what has been counted.

use std::collections::{BTreeMap, HashSet};

use async_trait::async_trait;

use crate::attempt::Attempt;
use crate::delivery::Delivery;
use crate::event::{Event, EventType, Tenant};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId};
use crate::store::ledger::{Ledger, Tallies};
use crate::store::redb::counters::{
    decode_tally, encode_tally, resolution_key, scope_key, type_keys, type_of,
};
use crate::store::{
    Bucket, ErrorFilter, ErrorGroup, ErrorPage, ErrorPageRequest, Kept, Result, Scope, Standing, Statistics,
    StoreError, VOLUME_SCAN_LIMIT, Volumes,
};
use crate::tally::{Resolution, Tally, Window};
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::PostgresStore;
use super::append::EndpointState;
use super::days::Day;
use super::fold;
use super::row::{Id, big, micros, time};
use super::transaction::{Done, Lock, Transaction, Value};

/// What one transaction adds, until it is written.
#[derive(Debug, Default)]
pub struct Gathered {
    pub ledger: Ledger,
    standings: BTreeMap<EndpointId, Change>,
    /// What comes and goes.
    stored: BTreeMap<(Tenant, Day), Stored>,
}

/// What is kept of a tenant's events of a day.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stored {
    pub events: i64,
    pub deliveries: i64,
    /// Of payloads.
    pub bytes: i64,
}

#[derive(Debug, Default)]
struct Change {
    pending: i64,
    last_event_at: Option<Timestamp>,
    last_attempt_at: Option<Timestamp>,
    last_delivery_at: Option<Timestamp>,
}

impl Gathered {
    /// An event was taken on, with a delivery to each of these endpoints; what is known of them.
    pub fn accepted(&mut self, event: &Event, day: Day, endpoints: &[(EndpointId, Option<&EndpointState>)]) {
        for (endpoint, state) in endpoints {
            let change = self.standings.entry(*endpoint).or_default();
            change.pending += 1;
            if state.is_some() {
                change.last_event_at = change.last_event_at.max(Some(event.accepted_at));
            }
        }
        let stored = self.stored.entry((event.tenant.clone(), day)).or_default();
        stored.events += 1;
        stored.deliveries += big(endpoints.len());
        stored.bytes += big(event.payload.len());
        let held = |state: &Option<&EndpointState>| state.is_some_and(|state| state.held);
        self.ledger.accepted(event, endpoints.iter().map(|(endpoint, state)| (*endpoint, held(state))));
    }

    /// An attempt was made, or a delivery has ended without one. Brings `state`, that of a known endpoint, to how it
    /// fares after it, and answers how that is.
    pub fn settled(
        &mut self,
        delivery: &Delivery,
        attempt: Option<&Attempt>,
        state: Option<&mut EndpointState>,
    ) -> Health {
        self.ledger.settled(delivery, attempt);
        let change = self.standings.entry(delivery.endpoint).or_default();
        change.pending -= i64::from(delivery.state.is_final());
        let Some(state) = state else { return Health::default() };
        let mut standing = Standing { health: state.health, ..Standing::default() };
        standing.settled(delivery, attempt, state.judged_from);
        change.last_attempt_at = change.last_attempt_at.max(standing.last_attempt_at);
        change.last_delivery_at = change.last_delivery_at.max(standing.last_delivery_at);
        state.health = standing.health;
        standing.health
    }

    /// A delivery was made of an event of this day.
    pub fn replayed(&mut self, delivery: &Delivery, day: Day) {
        self.stored.entry((delivery.tenant.clone(), day)).or_default().deliveries += 1;
        self.standings.entry(delivery.endpoint).or_default().pending += 1;
        self.ledger.replayed(delivery);
    }

    /// So much is not kept any longer.
    pub fn forgotten(&mut self, tenant: Tenant, day: Day, gone: Stored) {
        let stored = self.stored.entry((tenant, day)).or_default();
        stored.events -= gone.events;
        stored.deliveries -= gone.deliveries;
        stored.bytes -= gone.bytes;
    }

    /// Writes it, what is added to into the writer's shard.
    pub fn write(mut self, transaction: &Transaction, shard: i16) -> Result<()> {
        let (minutes, errors) = self.ledger.take();
        write_standings(transaction, self.standings, shard);
        write_stored(transaction, self.stored, shard);
        write_errors(transaction, errors);
        fold::write(transaction, &minutes)
    }
}

fn write_standings(transaction: &Transaction, changes: BTreeMap<EndpointId, Change>, shard: i16) {
    if changes.is_empty() {
        return;
    }
    let endpoints: Vec<Id> = changes.keys().map(|id| Id(id.as_u128())).collect();
    let pending: Vec<i64> = changes.values().map(|change| change.pending).collect();
    let event: Vec<_> = changes.values().map(|change| micros(change.last_event_at)).collect();
    let attempt: Vec<_> = changes.values().map(|change| micros(change.last_attempt_at)).collect();
    let delivery: Vec<_> = changes.values().map(|change| micros(change.last_delivery_at)).collect();
    let sql = include_str!("sql/add_standings.sql");
    let shard: Value = Box::new(shard);
    let columns: [Value; 5] =
        [Box::new(endpoints), Box::new(pending), Box::new(event), Box::new(attempt), Box::new(delivery)];
    transaction.later(sql, columns.into_iter().chain([shard]).collect());
}

pub fn write_stored(transaction: &Transaction, changes: BTreeMap<(Tenant, Day), Stored>, shard: i16) {
    if changes.is_empty() {
        return;
    }
    let tenants: Vec<String> = changes.keys().map(|(tenant, _)| tenant.as_str().to_owned()).collect();
    let days: Vec<i32> = changes.keys().map(|(_, day)| day.number()).collect();
    let events: Vec<i64> = changes.values().map(|stored| stored.events).collect();
    let deliveries: Vec<i64> = changes.values().map(|stored| stored.deliveries).collect();
    let bytes: Vec<i64> = changes.values().map(|stored| stored.bytes).collect();
    let sql = include_str!("sql/add_stored.sql");
    let values: Vec<Value> = vec![
        Box::new(tenants),
        Box::new(days),
        Box::new(events),
        Box::new(deliveries),
        Box::new(bytes),
        Box::new(shard),
    ];
    transaction.later(sql, values);
}

fn write_errors(transaction: &Transaction, mut groups: Vec<ErrorGroup>) {
    if groups.is_empty() {
        return;
    }
    groups.sort_by_key(|group| (group.endpoint, group.trouble.word()));
    let endpoints: Vec<Id> = groups.iter().map(|group| Id(group.endpoint.as_u128())).collect();
    let kinds: Vec<&str> = groups.iter().map(|group| group.trouble.word()).collect();
    let tenants: Vec<String> = groups.iter().map(|group| group.tenant.as_str().to_owned()).collect();
    let counts: Vec<i64> = groups.iter().map(|group| big(group.count)).collect();
    let first: Vec<i64> = groups.iter().map(|group| group.first_at.as_micros()).collect();
    let last: Vec<i64> = groups.iter().map(|group| group.last_at.as_micros()).collect();
    let deliveries: Vec<Id> = groups.iter().map(|group| Id(group.last_delivery.as_u128())).collect();
    let messages: Vec<Vec<u8>> = groups.into_iter().map(|group| group.last_message.into_bytes()).collect();
    let sql = include_str!("sql/add_errors.sql");
    let values: Vec<Value> = vec![
        Box::new(endpoints),
        Box::new(kinds),
        Box::new(tenants),
        Box::new(counts),
        Box::new(first),
        Box::new(last),
        Box::new(deliveries),
        Box::new(messages),
    ];
    transaction.later(sql, values);
}

/// Whoever adds holds the shard's lock: what is read here is written, and nobody else may write it in between.
pub async fn add_tallies(transaction: &Transaction, tallies: Tallies, shard: i16) -> Done<()> {
    if tallies.is_empty() {
        return Ok(());
    }
    let mut sums: BTreeMap<(i16, Vec<u8>, i64), Tally> = BTreeMap::new();
    for ((resolution, bucket, scope), tally) in tallies {
        sums.insert((i16::from(resolution_key(resolution)), scope_key(&scope), bucket), tally);
    }
    let resolutions: Vec<i16> = sums.keys().map(|key| key.0).collect();
    let scopes: Vec<Vec<u8>> = sums.keys().map(|key| key.1.clone()).collect();
    let buckets: Vec<i64> = sums.keys().map(|key| key.2).collect();
    let sql = include_str!("sql/stored_tallies.sql");
    for row in transaction.query(sql, &[&resolutions, &scopes, &buckets, &shard]).await? {
        let key = (row.try_get("resolution")?, row.try_get("scope")?, row.try_get("bucket")?);
        if let Some(sum) = sums.get_mut(&key) {
            sum.add(&decode_tally(row.try_get("row")?)?);
        }
    }
    let rows = sums.values().map(encode_tally).collect::<Result<Vec<Vec<u8>>>>()?;
    let sql = include_str!("sql/write_tallies.sql");
    let values: Vec<Value> =
        vec![Box::new(resolutions), Box::new(scopes), Box::new(buckets), Box::new(rows), Box::new(shard)];
    transaction.later(sql, values);
    Ok(())
}

#[async_trait]
impl Statistics for PostgresStore {
    async fn tallies(&self, scopes: Vec<Scope>, window: Window) -> Result<Vec<Vec<Bucket>>> {
        let keys: &Vec<Vec<u8>> = &scopes.iter().map(scope_key).collect();
        let resolution = window.resolution();
        let mut found: BTreeMap<Vec<u8>, BTreeMap<i64, Tally>> = self
            .shared
            .transact(Lock::Snapshot, |transaction| async move {
                let sql = include_str!("sql/tallies.sql");
                let (key, span) = (i16::from(resolution_key(resolution)), window.buckets());
                let mut found: BTreeMap<Vec<u8>, BTreeMap<i64, Tally>> = BTreeMap::new();
                for row in transaction.query(sql, &[&key, keys, &span.start, &span.end]).await? {
                    let buckets = found.entry(row.try_get("scope")?).or_default();
                    let bucket = buckets.entry(row.try_get("bucket")?).or_default();
                    bucket.add(&decode_tally(row.try_get("row")?)?);
                }
                let asked: HashSet<&Vec<u8>> = keys.iter().collect();
                for ((of, bucket, scope), tally) in fold::waiting(&transaction).await?.spread() {
                    let scope = scope_key(&scope);
                    if of == resolution && span.contains(&bucket) && asked.contains(&scope) {
                        found.entry(scope).or_default().entry(bucket).or_default().add(&tally);
                    }
                }
                Ok(found)
            })
            .await?;
        let mut known: BTreeMap<&Vec<u8>, Vec<Bucket>> = BTreeMap::new();
        let answers = keys.iter().map(|key| {
            let buckets = known.entry(key).or_insert_with(|| {
                let buckets = found.remove(key).unwrap_or_default().into_iter();
                buckets.map(|(bucket, tally)| Bucket { start: resolution.start(bucket), tally }).collect()
            });
            buckets.clone()
        });
        Ok(answers.collect())
    }

    async fn volumes(&self, tenant: Option<Tenant>, window: Window) -> Result<Volumes> {
        let keys = &type_keys(tenant.as_ref());
        let work = |transaction: std::sync::Arc<Transaction>| async move {
            let (key, span) = (i16::from(resolution_key(window.resolution())), window.buckets());
            let limit = big(VOLUME_SCAN_LIMIT) + 1;
            let sql = include_str!("sql/volumes.sql");
            let values: [&(dyn tokio_postgres::types::ToSql + Sync); 6] =
                [&key, &span.start, &span.end, &keys.start, &keys.end, &limit];
            let rows = transaction.query(sql, &values).await?;
            let mut types: BTreeMap<EventType, Tally> = BTreeMap::new();
            for row in rows.iter().take(VOLUME_SCAN_LIMIT) {
                let event_type = type_of(row.try_get("scope")?, &keys.start)?;
                types.entry(event_type).or_default().add(&decode_tally(row.try_get("row")?)?);
            }
            for ((of, bucket, scope), tally) in fold::waiting(&transaction).await?.spread() {
                let scope = scope_key(&scope);
                if of == window.resolution() && span.contains(&bucket) && keys.contains(&scope) {
                    types.entry(type_of(&scope, &keys.start)?).or_default().add(&tally);
                }
            }
            Ok(Volumes { types: types.into_iter().collect(), partial: rows.len() > VOLUME_SCAN_LIMIT })
        };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn standings(&self, endpoints: Vec<EndpointId>) -> Result<Vec<Standing>> {
        let asked: &Vec<Id> = &super::append::sorted_ids(endpoints.iter().copied());
        let found: BTreeMap<EndpointId, Standing> = self
            .shared
            .transact(Lock::Snapshot, |transaction| async move {
                let mut found = BTreeMap::new();
                for row in transaction.query(include_str!("sql/standings.sql"), &[asked]).await? {
                    let endpoint = EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0);
                    let pending: i64 = row.try_get("pending")?;
                    let standing = Standing {
                        pending: u64::try_from(pending).unwrap_or_default(),
                        oldest_pending_at: time(row.try_get("oldest")?),
                        health: super::append::health(&row)?,
                        last_attempt_at: time(row.try_get("last_attempt_at")?),
                        last_delivery_at: time(row.try_get("last_delivery_at")?),
                        last_event_at: time(row.try_get("last_event_at")?),
                    };
                    found.insert(endpoint, standing);
                }
                Ok(found)
            })
            .await?;
        Ok(endpoints.iter().map(|id| found.get(id).copied().unwrap_or_default()).collect())
    }

    async fn errors(&self, filter: ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage> {
        let limit = page.limit.max(1);
        let (filter, asked) = (&filter, big(limit).saturating_add(1));
        let mut groups: Vec<ErrorGroup> = self
            .shared
            .transact(Lock::Snapshot, |transaction| async move {
                let tenant = filter.tenant.as_ref().map(Tenant::as_str);
                let endpoint = filter.endpoint.map(|id| Id(id.as_u128()));
                let since = micros(filter.since);
                let after = page.after.map(|place| place.last_at.as_micros());
                let behind = page.after.map(|place| Id(place.endpoint.as_u128()));
                let kind = page.after.map(|place| place.kind);
                let values: [&(dyn tokio_postgres::types::ToSql + Sync); 7] =
                    [&tenant, &endpoint, &since, &after, &behind, &kind, &asked];
                let rows = transaction.query(include_str!("sql/list_errors.sql"), &values).await?;
                let mut groups = Vec::new();
                for row in rows {
                    groups.extend(group(&row)?);
                }
                Ok(groups)
            })
            .await?;
        let more = groups.len() > limit;
        groups.truncate(limit);
        let next = groups.last().filter(|_| more).map(ErrorGroup::place);
        Ok(ErrorPage { groups, next })
    }

    async fn stored_bytes(&self, tenant: Tenant) -> Result<u64> {
        let tenant = tenant.as_str();
        let bytes: i64 = self
            .shared
            .transact(Lock::Free, |transaction| async move {
                let row = transaction.one(include_str!("sql/stored_bytes.sql"), &[&tenant]).await?;
                Ok(row.try_get("bytes")?)
            })
            .await?;
        Ok(u64::try_from(bytes).unwrap_or_default())
    }

    async fn prune_statistics(&self, kept: Kept, limit: usize) -> Result<usize> {
        let mut gone = 0;
        fold::everything(&self.shared).await?;
        for resolution in Resolution::ALL {
            let since = kept.since(resolution);
            let begun = resolution.bucket(since);
            let first_kept = begun + i64::from(resolution.start(begun) < since);
            let (key, left) = (i16::from(resolution_key(resolution)), big(limit - gone));
            // Who is alone keeps everybody waiting, so only where there is something to do.
            let found = self.shared.transact(Lock::Free, |transaction| async move {
                let row =
                    transaction.one(include_str!("sql/has_old_tallies.sql"), &[&key, &first_kept]).await?;
                Ok(row.try_get::<_, bool>("found")?)
            });
            if !found.await? {
                continue;
            }
            let pruned = self.shared.transact(Lock::Alone, |transaction| async move {
                transaction.execute(include_str!("sql/prune_tallies.sql"), &[&key, &first_kept, &left]).await
            });
            gone += pruned.await? as usize;
        }
        let (before, left) = (kept.hours.as_micros(), big(limit - gone));
        let found = self.shared.transact(Lock::Free, |transaction| async move {
            let row = transaction.one(include_str!("sql/has_old_errors.sql"), &[&before]).await?;
            Ok(row.try_get::<_, bool>("found")?)
        });
        if !found.await? {
            return Ok(gone);
        }
        let pruned = self.shared.transact(Lock::Alone, |transaction| async move {
            transaction.execute(include_str!("sql/prune_errors.sql"), &[&before, &left]).await
        });
        Ok(gone + pruned.await? as usize)
    }
}

/// `None` where a newer version wrote a kind that this one does not know.
fn group(row: &tokio_postgres::Row) -> Done<Option<ErrorGroup>> {
    let Some(trouble) = Trouble::parse(row.try_get("kind")?) else { return Ok(None) };
    let corrupt = |error: crate::event::InvalidWord| StoreError::Corrupt(error.to_string());
    let count: i64 = row.try_get("count")?;
    Ok(Some(ErrorGroup {
        endpoint: EndpointId::from_u128(row.try_get::<_, Id>("endpoint")?.0),
        tenant: Tenant::parse(row.try_get("tenant")?).map_err(corrupt)?,
        trouble,
        count: u64::try_from(count).unwrap_or_default(),
        first_at: Timestamp::from_micros(row.try_get("first_at")?),
        last_at: Timestamp::from_micros(row.try_get("last_at")?),
        last_delivery: DeliveryId::from_u128(row.try_get::<_, Id>("last_delivery")?.0),
        last_message: String::from_utf8_lossy(row.try_get("last_message")?).into_owned(),
    }))
}
