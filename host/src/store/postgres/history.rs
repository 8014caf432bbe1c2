//! Looking up what happened, as of one moment.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use crate::delivery::Delivery;
use crate::event::{Channel, Event, EventType, Tenant};
use crate::id::{DeliveryId, EventId};
use crate::store::redb::record;
use crate::store::{
    DeliveryFilter, DeliveryRecord, EventFilter, EventRecord, History, Page, PageRequest, Place, Pruned,
    Result,
};
use crate::time::Timestamp;

use super::days::Day;
use super::row::{self, Id, big, micros, place_key, place_of, sequence_key};
use super::steer::{deliveries_of, event, sequence_of};
use super::transaction::{Done, Lock, Transaction};
use super::{PostgresStore, prune};

#[async_trait]
impl History for PostgresStore {
    async fn event(&self, id: EventId) -> Result<Option<EventRecord>> {
        let work = |transaction: Arc<Transaction>| async move {
            let Some((sequence, stored)) = event(&transaction, id).await? else { return Ok(None) };
            let deliveries = deliveries_of(&transaction, sequence).await?;
            Ok(Some(EventRecord { event: record::shared(stored), deliveries }))
        };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn events(&self, filter: EventFilter, page: PageRequest) -> Result<Page<Arc<Event>>> {
        let filter = &filter;
        let work = |transaction: Arc<Transaction>| async move { events(&transaction, filter, page).await };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn delivery(&self, id: DeliveryId) -> Result<Option<DeliveryRecord>> {
        let kept = self.shared.options.attempts_kept;
        let work = |transaction: Arc<Transaction>| async move { delivery(&transaction, id, kept).await };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn deliveries(&self, filter: DeliveryFilter, page: PageRequest) -> Result<Page<Delivery>> {
        let filter = &filter;
        let work =
            |transaction: Arc<Transaction>| async move { deliveries(&transaction, filter, page).await };
        self.shared.transact(Lock::Snapshot, work).await
    }

    async fn prune(&self, before: Timestamp, limit: usize) -> Result<Pruned> {
        prune::step(&self.shared, before, limit).await
    }
}

async fn events(
    transaction: &Transaction,
    filter: &EventFilter,
    page: PageRequest,
) -> Done<Page<Arc<Event>>> {
    let limit = page.limit.max(1);
    // An event stands before its second delivery.
    let after = |place: Place| sequence_key(place.sequence) + i64::from(place.ordinal > 0);
    let after = page.after.map_or(i64::MAX, after);
    let tenant = filter.tenant.as_ref().map(Tenant::as_str);
    let event_type = filter.event_type.as_ref().map(EventType::as_str);
    let channel = filter.channel.as_ref().map(Channel::as_str);
    let (since, until, most) = (micros(filter.since), micros(filter.until), big(limit).saturating_add(1));
    let mut rows = Vec::new();
    for first in first_sequences(transaction, page.after).await? {
        let values: [&(dyn ToSql + Sync); 8] =
            [&after, &tenant, &event_type, &channel, &since, &until, &most, &first];
        rows = transaction.query(include_str!("sql/list_events.sql"), &values).await?;
        if rows.len() > limit {
            break;
        }
    }
    let (mut items, mut next) = (Vec::new(), None);
    for row in rows.iter().take(limit) {
        let sequence: i64 = row.try_get("sequence")?;
        next = Some(Place { sequence: sequence.unsigned_abs(), ordinal: 0 });
        items.push(record::shared(record::decode_event(row.try_get("row")?)?));
    }
    Ok(Page { items, next: next.filter(|_| rows.len() > limit) })
}

/// The first sequences to look at for a page: those of the latest days, which are enough for most pages, since to plan for
/// all days takes longer than to look; then all.
async fn first_sequences(transaction: &Transaction, after: Option<Place>) -> Done<[i64; 2]> {
    let latest = match after {
        Some(place) => sequence_key(place.sequence),
        None => transaction.one(include_str!("sql/latest_sequence.sql"), &[]).await?.try_get("latest")?,
    };
    let before = Day::numbered(Day::of_sequence(latest).number() - 1);
    Ok([*before.sequences().start(), 0])
}

async fn delivery(transaction: &Transaction, id: DeliveryId, kept: u32) -> Done<Option<DeliveryRecord>> {
    let Some((sequence, stored)) = event(transaction, id.event()).await? else { return Ok(None) };
    let place = place_key(Place { sequence, ordinal: id.ordinal() });
    let rows = transaction.query(include_str!("sql/delivery_at.sql"), &[&place]).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let delivery = row::delivery(row.try_get("row")?, row.try_get("due")?)?;
    let last: Option<&[u8]> = row.try_get("attempt")?;
    let mut attempts = Vec::new();
    attempts.extend(last.map(record::decode_journal).transpose()?.and_then(|(_, attempt)| attempt));
    let room = i64::from(kept) - attempts.len() as i64;
    for row in transaction.query(include_str!("sql/attempts_of.sql"), &[&place, &room.max(0)]).await? {
        attempts.extend(record::decode_journal(row.try_get("row")?)?.1);
    }
    attempts.reverse();
    Ok(Some(DeliveryRecord { delivery, event: record::shared(stored), attempts }))
}

async fn deliveries(
    transaction: &Transaction,
    filter: &DeliveryFilter,
    page: PageRequest,
) -> Done<Page<Delivery>> {
    let limit = page.limit.max(1);
    let mut after = page.after.map_or(i64::MAX, place_key);
    let firsts = match filter.only_event() {
        None => first_sequences(transaction, page.after).await?.map(|first| row::places(first).0).to_vec(),
        Some(event) => {
            let Some(sequence) = sequence_of(transaction, event).await? else {
                return Ok(Page { items: Vec::new(), next: None });
            };
            let (begin, end) = row::places(sequence);
            after = after.min(end + 1);
            vec![begin]
        }
    };
    let tenant = filter.tenant.as_ref().map(Tenant::as_str);
    let endpoint = filter.endpoint.map(|id| Id(id.as_u128()));
    let event_type = filter.event_type.as_ref().map(EventType::as_str);
    let state = filter.state.map(|state| i16::from(record::encode_state(state)));
    let (since, until, most) = (micros(filter.since), micros(filter.until), big(limit).saturating_add(1));
    let mut rows = Vec::new();
    for first in firsts {
        let values: [&(dyn ToSql + Sync); 9] =
            [&after, &first, &tenant, &endpoint, &event_type, &since, &until, &state, &most];
        rows = transaction.query(include_str!("sql/list_deliveries.sql"), &values).await?;
        if rows.len() > limit {
            break;
        }
    }
    let (mut items, mut next) = (Vec::new(), None);
    for row in rows.iter().take(limit) {
        next = Some(place_of(row.try_get("place")?));
        let delivery = row::delivery(row.try_get("row")?, row.try_get("due")?)?;
        // A `webhook-id` and two events at once are not asked for in the statement.
        items.extend(Some(delivery).filter(|delivery| filter.fits(delivery)));
    }
    Ok(Page { items, next: next.filter(|_| rows.len() > limit) })
}
