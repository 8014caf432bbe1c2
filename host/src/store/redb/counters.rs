//! Counters and the standing of endpoints, written once for each commit.
//!
//! The key of a count begins with its span of time, so that a commit writes rows that lie side by side at the right
//! edge, and retention cuts whole ranges off the left one.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable};
use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::delivery::Delivery;
use crate::event::{Event, EventType, Tenant};
use crate::health::Health;
use crate::id::{DeliveryId, EndpointId};
use crate::store::ledger::Ledger;
use crate::store::{
    Bucket, ErrorFilter, ErrorGroup, ErrorPage, ErrorPageRequest, ErrorPlace, Kept, NewDelivery, Place,
    Result, SCAN_LIMIT, Scope, Standing, VOLUME_SCAN_LIMIT, Volumes,
};
use crate::tally::{AnswerTimes, Resolution, Tally, Window};
use crate::time::Timestamp;
use crate::trouble::Trouble;

use super::desk::Desk;
use super::queue::last_delivery;
use super::record::{corrupt, decode, encode};
use super::tables::{
    ERROR_TIMES, ERRORS, META_COUNTERS, META_STORED_BYTES, PENDING_SINCE, STANDINGS, STORED_BYTES, TALLIES,
    Tables, pending_key, place_of,
};
use super::writer::Txn;
use super::{desk, io};

/// What one commit adds, until it is written.
#[derive(Debug, Default)]
pub struct Gathered {
    ledger: Ledger,
    standings: HashMap<EndpointId, Standing>,
    /// Bytes of payloads that come and go.
    stored: HashMap<Tenant, i64>,
}

/// Counts an event that is taken on, with the deliveries that it promises.
pub fn accepted(txn: &mut Txn<'_>, event: &Event, deliveries: &[NewDelivery]) -> Result<()> {
    let held = |endpoint: &EndpointId| txn.desk.endpoints.get(endpoint).is_some_and(|endpoint| endpoint.held);
    let promised: Vec<_> = deliveries.iter().map(|new| (new.endpoint, held(&new.endpoint))).collect();
    for (endpoint, _) in &promised {
        let known = txn.desk.endpoints.contains_key(endpoint);
        let standing = standing(txn, *endpoint)?;
        match known {
            true => standing.promised(event.accepted_at),
            false => standing.pending += 1,
        }
    }
    *txn.gathered.stored.entry(event.tenant.clone()).or_default() += event.payload.len() as i64;
    txn.gathered.ledger.accepted(event, promised);
    Ok(())
}

/// Counts an event that is not kept any longer.
pub fn forgotten(txn: &mut Txn<'_>, event: &Event) {
    *txn.gathered.stored.entry(event.tenant.clone()).or_default() -= event.payload.len() as i64;
}

/// Counts a delivery that is made to deliver again.
pub fn replayed(txn: &mut Txn<'_>, delivery: &Delivery) -> Result<()> {
    standing(txn, delivery.endpoint)?.pending += 1;
    txn.gathered.ledger.replayed(delivery);
    Ok(())
}

/// Counts an attempt, or an end without one. Answers how the endpoint fared before it and fares after it.
pub fn settled(
    txn: &mut Txn<'_>,
    delivery: &Delivery,
    attempt: Option<&Attempt>,
) -> Result<(Health, Health)> {
    let known = txn.desk.endpoints.get(&delivery.endpoint).map(|state| state.judged_from);
    let attempt_of_known = attempt.filter(|_| known.is_some());
    let standing = standing(txn, delivery.endpoint)?;
    let before = standing.health;
    standing.settled(delivery, attempt_of_known, known.unwrap_or(Timestamp::ZERO));
    let health = standing.health;
    txn.gathered.ledger.settled(delivery, attempt);
    Ok((before, health))
}

/// The endpoint is judged anew.
pub fn begins_anew(txn: &mut Txn<'_>, endpoint: EndpointId) -> Result<()> {
    let standing = standing(txn, endpoint)?;
    standing.health = standing.health.anew();
    Ok(())
}

/// The places of the endpoint's deliveries that have rows, wait and were made before `before`; up to `limit`.
pub fn waiting_since(
    txn: &Txn<'_>,
    endpoint: EndpointId,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<Place>> {
    let endpoint = endpoint.as_u128();
    let rows = txn.tables.pending_since.range((endpoint, i64::MIN, 0)..(endpoint, before.as_micros(), 0));
    let places = rows.map_err(io)?.take(limit).map(|row| Ok(place_of(row.map_err(io)?.0.value().2)));
    places.collect()
}

/// Forgets how a deleted endpoint stood, but for what is pending.
pub fn endpoint_deleted(txn: &mut Txn<'_>, endpoint: EndpointId) -> Result<()> {
    let standing = standing(txn, endpoint)?;
    *standing = Standing { pending: standing.pending, ..Standing::default() };
    Ok(())
}

/// Notes a delivery that got a row of its own, which tells since when it is pending.
pub fn began_to_wait(txn: &mut Txn<'_>, place: Place, delivery: &Delivery) -> Result<()> {
    txn.tables.pending_since.insert(pending_key(delivery, place), ()).map_err(io)?;
    Ok(())
}

/// The counterpart of [`began_to_wait`], where the delivery has ended.
pub fn waits_no_more(txn: &mut Txn<'_>, place: Place, delivery: &Delivery) -> Result<()> {
    txn.tables.pending_since.remove(pending_key(delivery, place)).map_err(io)?;
    Ok(())
}

/// Writes what the commit gathered.
pub fn flush(txn: &mut Txn<'_>) -> Result<()> {
    for (endpoint, standing) in std::mem::take(&mut txn.gathered.standings) {
        let key = endpoint.as_u128();
        if standing.pending == 0 && !txn.desk.endpoints.contains_key(&endpoint) {
            txn.tables.standings.remove(key).map_err(io)?;
        } else {
            let row = encode_standing(standing)?;
            txn.tables.standings.insert(key, row.as_slice()).map_err(io)?;
        }
    }
    for (tenant, change) in std::mem::take(&mut txn.gathered.stored) {
        add_stored(txn, &tenant, change)?;
    }
    let (minutes, errors) = txn.gathered.ledger.take();
    for ((resolution, bucket, scope), tally) in minutes.spread() {
        add_tally(txn, (resolution_key(resolution), bucket, scope_key(&scope).as_slice()), tally)?;
    }
    errors.into_iter().try_for_each(|group| add_errors(txn, group))
}

fn add_stored(txn: &mut Txn<'_>, tenant: &Tenant, change: i64) -> Result<()> {
    let stored = txn.tables.stored.get(tenant.as_str()).map_err(io)?.map_or(0, |row| row.value());
    match stored.saturating_add_signed(change) {
        0 => drop(txn.tables.stored.remove(tenant.as_str()).map_err(io)?),
        stored => drop(txn.tables.stored.insert(tenant.as_str(), stored).map_err(io)?),
    }
    Ok(())
}

fn add_tally(txn: &mut Txn<'_>, key: (u8, i64, &[u8]), mut tally: Tally) -> Result<()> {
    if let Some(stored) = txn.tables.tallies.get(key).map_err(io)? {
        tally.add(&decode_tally(stored.value())?);
    }
    let row = encode_tally(&tally)?;
    txn.tables.tallies.insert(key, row.as_slice()).map_err(io)?;
    Ok(())
}

fn add_errors(txn: &mut Txn<'_>, group: ErrorGroup) -> Result<()> {
    let key = (group.endpoint.as_u128(), group.trouble.word());
    let stored = txn.tables.errors.get(key).map_err(io)?;
    let stored = stored.map(|row| decode_group(group.endpoint, group.trouble, row.value())).transpose()?;
    let group = match stored {
        Some(mut stored) => {
            txn.tables.error_times.remove(time_key(&stored)).map_err(io)?;
            stored.add(group);
            stored
        }
        None => group,
    };
    put_group(&mut txn.tables, &group)
}

pub fn put_group(tables: &mut Tables<'_>, group: &ErrorGroup) -> Result<()> {
    tables.error_times.insert(time_key(group), ()).map_err(io)?;
    let row = encode_group(group)?;
    tables.errors.insert((group.endpoint.as_u128(), group.trouble.word()), row.as_slice()).map_err(io)?;
    Ok(())
}

/// How the endpoint stands within this commit.
fn standing<'a>(txn: &'a mut Txn<'_>, endpoint: EndpointId) -> Result<&'a mut Standing> {
    use std::collections::hash_map::Entry;
    Ok(match txn.gathered.standings.entry(endpoint) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let stored = txn.tables.standings.get(endpoint.as_u128()).map_err(io)?;
            let standing = stored.map(|row| decode_standing(row.value())).transpose()?;
            entry.insert(standing.unwrap_or_default())
        }
    })
}

/// Counts what is pending in a file that was written before there were counters.
pub fn begin(txn: &mut Txn<'_>) -> Result<()> {
    begin_stored(txn)?;
    if txn.tables.meta.get(META_COUNTERS).map_err(io)?.is_some() {
        return Ok(());
    }
    let mut waiting = Vec::new();
    for row in txn.tables.due.iter().map_err(io)? {
        waiting.push(place_of(row.map_err(io)?.0.value().2));
    }
    for place in waiting {
        let delivery = last_delivery(&txn.tables.journal, place)?;
        standing(txn, delivery.endpoint)?.pending += 1;
        began_to_wait(txn, place, &delivery)?;
    }
    flush(txn)?;
    txn.tables.meta.insert(META_COUNTERS, 1).map_err(io)?;
    Ok(())
}

/// Counts the bytes of a file that was written before they were.
fn begin_stored(txn: &mut Txn<'_>) -> Result<()> {
    if txn.tables.meta.insert(META_STORED_BYTES, 1).map_err(io)?.is_some() {
        return Ok(());
    }
    for row in txn.tables.events.iter().map_err(io)? {
        let event = super::record::decode_event(row.map_err(io)?.1.value())?.event;
        *txn.gathered.stored.entry(event.tenant.clone()).or_default() += event.payload.len() as i64;
    }
    flush(txn)
}

/// Forgets up to `limit` rows that are older than is kept.
pub fn prune(txn: &mut Txn<'_>, kept: Kept, limit: usize) -> Result<usize> {
    let mut gone = 0;
    for resolution in Resolution::ALL {
        gone += prune_tallies(txn, resolution, kept.since(resolution), limit - gone)?;
    }
    Ok(gone + prune_errors(txn, kept.hours, limit - gone)?)
}

fn prune_tallies(txn: &mut Txn<'_>, resolution: Resolution, since: Timestamp, limit: usize) -> Result<usize> {
    let key = resolution_key(resolution);
    let begun = resolution.bucket(since);
    let first_kept = begun + i64::from(resolution.start(begun) < since);
    let none: &[u8] = &[];
    let mut old = Vec::new();
    for row in
        txn.tables.tallies.range((key, i64::MIN, none)..(key, first_kept, none)).map_err(io)?.take(limit)
    {
        let (key, _) = row.map_err(io)?;
        let (_, bucket, scope) = key.value();
        old.push((bucket, scope.to_vec()));
    }
    for (bucket, scope) in &old {
        txn.tables.tallies.remove((key, *bucket, scope.as_slice())).map_err(io)?;
    }
    Ok(old.len())
}

fn prune_errors(txn: &mut Txn<'_>, since: Timestamp, limit: usize) -> Result<usize> {
    let mut old = Vec::new();
    for row in
        txn.tables.error_times.range((i64::MIN, 0, "")..(since.as_micros(), 0, "")).map_err(io)?.take(limit)
    {
        let key = row.map_err(io)?.0;
        let (last_at, endpoint, word) = key.value();
        old.push((last_at, endpoint, word.to_owned()));
    }
    for (last_at, endpoint, word) in &old {
        txn.tables.error_times.remove((*last_at, *endpoint, word.as_str())).map_err(io)?;
        txn.tables.errors.remove((*endpoint, word.as_str())).map_err(io)?;
    }
    Ok(old.len())
}

/// The tables of the counters, as of one moment.
pub struct Counters {
    tallies: ReadOnlyTable<(u8, i64, &'static [u8]), &'static [u8]>,
    standings: ReadOnlyTable<u128, &'static [u8]>,
    pending_since: ReadOnlyTable<(u128, i64, u64), ()>,
    errors: ReadOnlyTable<(u128, &'static str), &'static [u8]>,
    error_times: ReadOnlyTable<(i64, u128, &'static str), ()>,
    stored: ReadOnlyTable<&'static str, u64>,
}

/// For each endpoint with deliveries that have no row yet, when the oldest of them was made.
pub type Rowless = HashMap<EndpointId, Timestamp>;

pub fn rowless(desk: &Desk) -> Rowless {
    let mut oldest = Rowless::new();
    for desk::Implied { endpoint, event, .. } in desk.implied.values() {
        let known = oldest.entry(*endpoint).or_insert(event.accepted_at);
        *known = event.accepted_at.min(*known);
    }
    oldest
}

impl Counters {
    pub fn open(txn: &ReadTransaction) -> Result<Self> {
        Ok(Self {
            tallies: txn.open_table(TALLIES).map_err(io)?,
            standings: txn.open_table(STANDINGS).map_err(io)?,
            pending_since: txn.open_table(PENDING_SINCE).map_err(io)?,
            errors: txn.open_table(ERRORS).map_err(io)?,
            error_times: txn.open_table(ERROR_TIMES).map_err(io)?,
            stored: txn.open_table(STORED_BYTES).map_err(io)?,
        })
    }

    pub fn stored_bytes(&self, tenant: &Tenant) -> Result<u64> {
        Ok(self.stored.get(tenant.as_str()).map_err(io)?.map_or(0, |row| row.value()))
    }

    pub fn tallies(&self, scope: &Scope, window: Window) -> Result<Vec<Bucket>> {
        let (resolution, scope) = (window.resolution(), scope_key(scope));
        let mut buckets = Vec::new();
        for bucket in window.buckets() {
            let key = (resolution_key(resolution), bucket, scope.as_slice());
            if let Some(row) = self.tallies.get(key).map_err(io)? {
                let tally = decode_tally(row.value())?;
                buckets.push(Bucket { start: resolution.start(bucket), tally });
            }
        }
        Ok(buckets)
    }

    pub fn volumes(&self, tenant: Option<&Tenant>, window: Window) -> Result<Volumes> {
        let Range { start: from, end: to } = type_keys(tenant);
        let mut types: BTreeMap<Vec<u8>, Tally> = BTreeMap::new();
        let mut looked_at = 0;
        'pieces: for (resolution, bucket) in window.pieces() {
            let resolution = resolution_key(resolution);
            let keys = (resolution, bucket, from.as_slice())..(resolution, bucket, to.as_slice());
            for row in self.tallies.range(keys).map_err(io)? {
                looked_at += 1;
                if looked_at > VOLUME_SCAN_LIMIT {
                    break 'pieces;
                }
                let (key, row) = row.map_err(io)?;
                let (_, _, scope) = key.value();
                match types.get_mut(scope) {
                    Some(tally) => add_counts(tally, row.value())?,
                    None => add_counts(types.entry(scope.to_vec()).or_default(), row.value())?,
                }
            }
        }
        let types = types.into_iter().map(|(scope, tally)| Ok((type_of(&scope, &from)?, tally)));
        Ok(Volumes { types: types.collect::<Result<_>>()?, partial: looked_at > VOLUME_SCAN_LIMIT })
    }

    pub fn standing(&self, endpoint: EndpointId, rowless: &Rowless) -> Result<Standing> {
        let key = endpoint.as_u128();
        let stored = self.standings.get(key).map_err(io)?;
        let standing = stored.map(|row| decode_standing(row.value())).transpose()?.unwrap_or_default();
        let keys = (key, i64::MIN, 0)..=(key, i64::MAX, u64::MAX);
        let first = self.pending_since.range(keys).map_err(io)?.next().transpose().map_err(io)?;
        let waiting = first.map(|(key, _)| Timestamp::from_micros(key.value().1));
        let oldest = waiting.into_iter().chain(rowless.get(&endpoint).copied()).min();
        Ok(Standing { oldest_pending_at: oldest, ..standing })
    }

    pub fn errors(&self, filter: &ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage> {
        match filter.endpoint {
            Some(endpoint) => self.errors_of(endpoint, filter, page),
            None => self.latest_errors(filter, page),
        }
    }

    /// There are as many groups of an endpoint as kinds, at most.
    fn errors_of(
        &self,
        endpoint: EndpointId,
        filter: &ErrorFilter,
        page: ErrorPageRequest,
    ) -> Result<ErrorPage> {
        let mut groups = Vec::new();
        for trouble in Trouble::ALL {
            let row = self.errors.get((endpoint.as_u128(), trouble.word())).map_err(io)?;
            let group = row.map(|row| decode_group(endpoint, trouble, row.value())).transpose()?;
            groups.extend(group.filter(|group| filter.fits(group)));
        }
        groups.retain(|group| page.after.is_none_or(|after| group.place() < after));
        groups.sort_by_key(|group| std::cmp::Reverse(group.place()));
        let more = groups.len() > page.limit;
        groups.truncate(page.limit);
        let next = groups.last().filter(|_| more).map(ErrorGroup::place);
        Ok(ErrorPage { groups, next })
    }

    fn latest_errors(&self, filter: &ErrorFilter, page: ErrorPageRequest) -> Result<ErrorPage> {
        let from = filter.since.map_or(i64::MIN, Timestamp::as_micros);
        let end = page.after.map_or((i64::MAX, u128::MAX, ""), |after| {
            (after.last_at.as_micros(), after.endpoint.as_u128(), after.kind)
        });
        let mut found = ErrorPage { groups: Vec::new(), next: None };
        if (from, 0, "") >= end {
            return Ok(found);
        }
        let rows = self.error_times.range((from, 0, "")..end).map_err(io)?;
        for (looked_at, row) in rows.rev().enumerate() {
            if found.groups.len() == page.limit || looked_at == SCAN_LIMIT {
                return Ok(found);
            }
            let key = row.map_err(io)?.0;
            let (last_at, endpoint, word) = key.value();
            // A kind that this version does not know was written by a newer one.
            let Some(trouble) = Trouble::parse(word) else { continue };
            let endpoint = EndpointId::from_u128(endpoint);
            let last_at = Timestamp::from_micros(last_at);
            found.next = Some(ErrorPlace { last_at, endpoint, kind: trouble.word() });
            if let Some(row) = self.errors.get((endpoint.as_u128(), word)).map_err(io)? {
                let group = decode_group(endpoint, trouble, row.value())?;
                found.groups.extend(Some(group).filter(|group| filter.fits(group)));
            }
        }
        Ok(ErrorPage { next: None, ..found })
    }
}

pub fn resolution_key(resolution: Resolution) -> u8 {
    match resolution {
        Resolution::Minute => 0,
        Resolution::Hour => 1,
        Resolution::Day => 2,
    }
}

const HOST: u8 = 0;
const TENANT: u8 = 1;
const ENDPOINT: u8 = 2;
const HOST_TYPE: u8 = 3;
const TENANT_TYPE: u8 = 4;

/// A kind and a name. The 0 byte cannot be in the name of a tenant.
pub fn scope_key(scope: &Scope) -> Vec<u8> {
    match scope {
        Scope::Host => vec![HOST],
        Scope::Tenant(tenant) => [&[TENANT], tenant.as_str().as_bytes()].concat(),
        Scope::Endpoint(endpoint) => [&[ENDPOINT][..], &endpoint.as_u128().to_be_bytes()].concat(),
        Scope::HostType(event_type) => [&[HOST_TYPE], event_type.as_str().as_bytes()].concat(),
        Scope::TenantType(tenant, event_type) => {
            [&[TENANT_TYPE], tenant.as_str().as_bytes(), &[0], event_type.as_str().as_bytes()].concat()
        }
    }
}

/// The keys of a tenant's event types, or the host's. Each begins with the first of them.
pub fn type_keys(tenant: Option<&Tenant>) -> Range<Vec<u8>> {
    match tenant {
        None => vec![HOST_TYPE]..vec![HOST_TYPE + 1],
        Some(tenant) => {
            let key = |last| [&[TENANT_TYPE], tenant.as_str().as_bytes(), &[last]].concat();
            key(0)..key(1)
        }
    }
}

pub fn type_of(key: &[u8], prefix: &[u8]) -> Result<EventType> {
    let name = key.strip_prefix(prefix).and_then(|name| std::str::from_utf8(name).ok());
    EventType::parse(name.unwrap_or_default()).map_err(corrupt)
}

fn time_key(group: &ErrorGroup) -> (i64, u128, &'static str) {
    (group.last_at.as_micros(), group.endpoint.as_u128(), group.trouble.word())
}

/// Counts that are added behind the others are 0 in rows that lack them.
#[derive(Serialize, Deserialize)]
pub struct TallyRow {
    counts: Vec<u64>,
    warnings: Vec<u64>,
    answers: Option<AnswersRow>,
}

#[derive(Serialize, Deserialize)]
struct AnswersRow {
    /// count, sum, least, most
    numbers: [u64; 4],
    steps: Vec<(u16, u64)>,
}

impl From<&Tally> for TallyRow {
    fn from(tally: &Tally) -> Self {
        let AnswerTimes { count, sum, least, most, ref steps } = tally.answers;
        let steps = || steps.iter().map(|(step, count)| (*step, *count)).collect();
        Self {
            counts: trimmed(&tally.counts()),
            warnings: trimmed(&tally.warnings),
            answers: (count > 0).then(|| AnswersRow { numbers: [count, sum, least, most], steps: steps() }),
        }
    }
}

fn trimmed(counts: &[u64]) -> Vec<u64> {
    let length = counts.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
    counts[..length].to_vec()
}

impl TallyRow {
    pub fn tally(self) -> Tally {
        let mut tally = Tally::default();
        tally.counts_mut().into_iter().zip(self.counts).for_each(|(count, stored)| *count = stored);
        tally.warnings.iter_mut().zip(self.warnings).for_each(|(count, stored)| *count = stored);
        if let Some(AnswersRow { numbers: [count, sum, least, most], steps }) = self.answers {
            tally.answers = AnswerTimes { count, sum, least, most, steps: steps.into_iter().collect() };
        }
        tally
    }
}

pub fn encode_tally(tally: &Tally) -> Result<Vec<u8>> {
    encode(&TallyRow::from(tally))
}

pub fn decode_tally(bytes: &[u8]) -> Result<Tally> {
    decode(bytes).map(TallyRow::tally)
}

/// Adds the plain counts of a row, which stand at its beginning; the rest is not read.
fn add_counts(tally: &mut Tally, bytes: &[u8]) -> Result<()> {
    let CountsRow { counts } = decode(bytes)?;
    let sums = tally.counts_mut().into_iter().zip(counts);
    sums.for_each(|(sum, more)| *sum = sum.saturating_add(more));
    Ok(())
}

#[derive(Deserialize)]
struct CountsRow {
    counts: Vec<u64>,
}

#[derive(Serialize, Deserialize)]
struct StandingRow {
    pending: u64,
    consecutive_failures: u32,
    failing_since: Option<i64>,
    on_trial: bool,
    last_attempt_at: Option<i64>,
    last_delivery_at: Option<i64>,
    last_event_at: Option<i64>,
}

impl From<Standing> for StandingRow {
    fn from(standing: Standing) -> Self {
        Self {
            pending: standing.pending,
            consecutive_failures: standing.health.consecutive_failures,
            failing_since: standing.health.failing_since.map(Timestamp::as_micros),
            on_trial: standing.health.on_trial,
            last_attempt_at: standing.last_attempt_at.map(Timestamp::as_micros),
            last_delivery_at: standing.last_delivery_at.map(Timestamp::as_micros),
            last_event_at: standing.last_event_at.map(Timestamp::as_micros),
        }
    }
}

pub fn encode_standing(standing: Standing) -> Result<Vec<u8>> {
    encode(&StandingRow::from(standing))
}

pub fn decode_standing(bytes: &[u8]) -> Result<Standing> {
    let row: StandingRow = decode(bytes)?;
    Ok(Standing {
        pending: row.pending,
        oldest_pending_at: None,
        health: Health {
            consecutive_failures: row.consecutive_failures,
            failing_since: row.failing_since.map(Timestamp::from_micros),
            on_trial: row.on_trial,
        },
        last_attempt_at: row.last_attempt_at.map(Timestamp::from_micros),
        last_delivery_at: row.last_delivery_at.map(Timestamp::from_micros),
        last_event_at: row.last_event_at.map(Timestamp::from_micros),
    })
}

#[derive(Serialize, Deserialize)]
struct GroupRow<'a> {
    tenant: &'a str,
    count: u64,
    first_at: i64,
    last_at: i64,
    last_delivery: u128,
    last_message: &'a str,
}

impl<'a> GroupRow<'a> {
    fn of(group: &'a ErrorGroup) -> Self {
        Self {
            tenant: group.tenant.as_str(),
            count: group.count,
            first_at: group.first_at.as_micros(),
            last_at: group.last_at.as_micros(),
            last_delivery: group.last_delivery.as_u128(),
            last_message: &group.last_message,
        }
    }
}

pub fn encode_group(group: &ErrorGroup) -> Result<Vec<u8>> {
    encode(&GroupRow::of(group))
}

pub fn decode_group(endpoint: EndpointId, trouble: Trouble, bytes: &[u8]) -> Result<ErrorGroup> {
    let row: GroupRow<'_> = decode(bytes)?;
    Ok(ErrorGroup {
        endpoint,
        tenant: Tenant::parse(row.tenant).map_err(corrupt)?,
        trouble,
        count: row.count,
        first_at: Timestamp::from_micros(row.first_at),
        last_at: Timestamp::from_micros(row.last_at),
        last_delivery: DeliveryId::from_u128(row.last_delivery),
        last_message: row.last_message.to_owned(),
    })
}
