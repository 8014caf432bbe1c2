//! The lines of the endpoints that keep an order.
//!
//! Of a line, only the head has a row in `due`, or is implied; those behind it have a place in `lines` instead. So a
//! claim, which goes by what is due, hands out nothing else. In the commit in which the head ends or steps aside, the
//! next one gets its row.

use redb::ReadableTable;

use crate::delivery::Delivery;
use crate::id::{DeliveryId, EndpointId};
use crate::store::{Place, Result};
use crate::time::Timestamp;

use super::desk::Desk;
use super::io;
use super::tables::{place_key, place_of};
use super::writer::Txn;

/// Most deliveries in one commit that leave the line of an endpoint which no longer keeps an order.
const DISSOLVED_AT_ONCE: usize = 1_000;

/// Reads who is at the head, and which endpoints have lines.
pub fn load(txn: &mut Txn<'_>) -> Result<()> {
    for row in txn.tables.heads.iter().map_err(io)? {
        let (endpoint, head) = row.map_err(io)?;
        let (endpoint, head) = (EndpointId::from_u128(endpoint.value()), head.value());
        txn.desk.heads.insert(endpoint, DeliveryId::from_u128(head));
    }
    let mut from = Some((0, 0));
    while let Some(start) = from {
        let Some(row) = txn.tables.lines.range(start..).map_err(io)?.next() else { break };
        let (endpoint, _) = row.map_err(io)?.0.value();
        txn.desk.lines.insert(EndpointId::from_u128(endpoint));
        from = endpoint.checked_add(1).map(|next| (next, 0));
    }
    Ok(())
}

/// Whether a new delivery has to stand in line. Where it need not and its endpoint keeps an order, it is the head now.
pub fn joins(
    txn: &mut Txn<'_>,
    place: Place,
    id: DeliveryId,
    endpoint: EndpointId,
    due: Timestamp,
) -> Result<bool> {
    if !keeps_order(txn.desk, endpoint) {
        return Ok(false);
    }
    if !txn.desk.heads.contains_key(&endpoint) {
        set_head(txn, endpoint, Some(id))?;
        return Ok(false);
    }
    let last = txn.tables.lines.range(line(endpoint)).map_err(io)?.next_back();
    let turn = last.transpose().map_err(io)?.map_or(0, |row| row.0.value().1 + 1);
    let row = (id.as_u128(), place_key(place), due.as_micros());
    txn.tables.lines.insert((endpoint.as_u128(), turn), row).map_err(io)?;
    txn.tables.turns.insert(place_key(place), turn).map_err(io)?;
    txn.desk.lines.insert(endpoint);
    txn.desk.waiting += 1;
    Ok(true)
}

/// Whether the delivery stands in line, behind the head.
pub fn stands(txn: &Txn<'_>, place: Place, endpoint: EndpointId) -> Result<bool> {
    Ok(txn.desk.lines.contains(&endpoint) && txn.tables.turns.get(place_key(place)).map_err(io)?.is_some())
}

/// The delivery goes out of the line, wherever it stands: it has ended, or it steps aside.
pub fn leave(txn: &mut Txn<'_>, place: Place, delivery: &Delivery) -> Result<()> {
    let endpoint = delivery.endpoint;
    if txn.desk.lines.contains(&endpoint) {
        let turn = txn.tables.turns.remove(place_key(place)).map_err(io)?.map(|turn| turn.value());
        if let Some(turn) = turn {
            txn.tables.lines.remove((endpoint.as_u128(), turn)).map_err(io)?;
            txn.desk.waiting = txn.desk.waiting.saturating_sub(1);
        }
    }
    if txn.desk.heads.get(&endpoint) == Some(&delivery.id) {
        let next = advance(txn, endpoint)?;
        set_head(txn, endpoint, next)?;
    }
    Ok(())
}

/// As [`leave`], after an attempt: does nothing while the delivery keeps its place.
pub fn after_attempt(txn: &mut Txn<'_>, place: Place, delivery: &Delivery, attempt: bool) -> Result<()> {
    let order = txn.desk.endpoints.get(&delivery.endpoint).map(|state| state.order).unwrap_or_default();
    let aside = attempt && order.steps_aside(delivery.attempts);
    if delivery.state.is_final() || aside { leave(txn, place, delivery) } else { Ok(()) }
}

/// The endpoint was written or deleted.
pub fn follow(txn: &mut Txn<'_>, endpoint: EndpointId) -> Result<()> {
    match keeps_order(txn.desk, endpoint) {
        false if txn.desk.heads.contains_key(&endpoint) => set_head(txn, endpoint, None),
        true if !txn.desk.heads.contains_key(&endpoint) && txn.desk.lines.contains(&endpoint) => {
            let next = advance(txn, endpoint)?;
            set_head(txn, endpoint, next)
        }
        _ => Ok(()),
    }
}

/// Whether there is a line that nobody keeps any more.
pub fn break_up(desk: &Desk) -> bool {
    desk.lines.iter().any(|endpoint| is_free(desk, *endpoint))
}

/// Lets those go by their time who stand in such lines, a bounded number of them.
pub fn dissolve(txn: &mut Txn<'_>) -> Result<()> {
    let free: Vec<EndpointId> =
        txn.desk.lines.iter().copied().filter(|endpoint| is_free(txn.desk, *endpoint)).collect();
    let mut left = DISSOLVED_AT_ONCE;
    for endpoint in free {
        while left > 0 && advance(txn, endpoint)?.is_some() {
            left -= 1;
        }
    }
    Ok(())
}

/// Up to `limit` deliveries that stand in the line, from its beginning on, and would have been due before `before`.
pub fn due_before(
    txn: &Txn<'_>,
    endpoint: EndpointId,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for row in txn.tables.lines.range(line(endpoint)).map_err(io)?.take(limit) {
        let (_, place, due) = row.map_err(io)?.1.value();
        if due >= before.as_micros() {
            break;
        }
        found.push(place_of(place));
    }
    Ok(found)
}

/// Gives the first one behind the head its row in `due`, and takes it out of the line.
fn advance(txn: &mut Txn<'_>, endpoint: EndpointId) -> Result<Option<DeliveryId>> {
    let first = txn.tables.lines.range(line(endpoint)).map_err(io)?.next();
    let Some((key, row)) = first.transpose().map_err(io)?.map(|(key, row)| (key.value(), row.value())) else {
        txn.desk.lines.remove(&endpoint);
        return Ok(None);
    };
    let (id, place, due) = row;
    txn.tables.lines.remove(key).map_err(io)?;
    txn.tables.turns.remove(place).map_err(io)?;
    txn.tables.due.insert((endpoint.as_u128(), due, place), id).map_err(io)?;
    txn.desk.waits(endpoint, Timestamp::from_micros(due));
    Ok(Some(DeliveryId::from_u128(id)))
}

fn set_head(txn: &mut Txn<'_>, endpoint: EndpointId, head: Option<DeliveryId>) -> Result<()> {
    match head {
        Some(head) => {
            txn.tables.heads.insert(endpoint.as_u128(), head.as_u128()).map_err(io)?;
            txn.desk.heads.insert(endpoint, head);
        }
        None => {
            txn.tables.heads.remove(endpoint.as_u128()).map_err(io)?;
            txn.desk.heads.remove(&endpoint);
        }
    }
    Ok(())
}

fn keeps_order(desk: &Desk, endpoint: EndpointId) -> bool {
    desk.endpoints.get(&endpoint).is_some_and(|state| state.order.is_kept())
}

fn is_free(desk: &Desk, endpoint: EndpointId) -> bool {
    desk.endpoints.get(&endpoint).is_some_and(|state| !state.order.is_kept())
}

fn line(endpoint: EndpointId) -> std::ops::RangeInclusive<(u128, u64)> {
    let endpoint = endpoint.as_u128();
    (endpoint, 0)..=(endpoint, u64::MAX)
}
