//! How long a list or a statistic takes among a thousand deliveries, and among very many: it is to be the same.
//!
//! Each of these is what a route asks of the store, without HTTP and JSON, which would only make them more alike: one page
//! of at most 50, one thing by its id, or all that a route of statistics reads. The two stores take turns many times in
//! each of several rounds, and what is told is the median over the rounds, so that what else the machine does in one of
//! them decides nothing.
//!
//! What both stores hold happened within the same day, half of it in the last quarter of an hour. A statistic reads a row
//! for each span of time with something in it, so a store whose deliveries took an hour would have fewer of a day's rows
//! than one whose deliveries took two weeks, and that would be a comparison of days and not of deliveries.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookwright::delivery::{Delivery, State};
use hookwright::event::{Event, EventType, Tenant, content_digest};
use hookwright::id::{DeliveryId, EndpointId, EventId};
use hookwright::store::redb::{Options, RedbStore};
use hookwright::store::{
    Append, Appended, Arrival, BookVersion, DeliveryFilter, Endpoints as _, ErrorFilter, ErrorPageRequest,
    EventFilter, History as _, Inbox as _, NewDelivery, PageRequest, Place, Queue as _, Scope, Settled,
    Statistics as _,
};
use hookwright::tally::{Resolution, Window};
use hookwright::time::Timestamp;
use tokio::runtime::Runtime;

use crate::Effort;
use crate::child::Ground;
use crate::micro;
use crate::producer::payload;
use crate::table::{self, Spread, count};

const FEW: u64 = 1_000;
const TENANTS: u64 = 8;
const ENDPOINTS_PER_TENANT: u64 = 4;
const TYPES: u64 = 12;
/// Of each kind of event that is rare, there are so many.
const RARE: u64 = 20;
/// The first tenant has no events of the later types.
const TYPES_OF_THE_FIRST: u64 = 6;
const BATCH: u64 = 1_000;
const LIMIT: usize = 50;
/// A fixed part of the effort for each list: there are many of them.
const PARTS: u32 = 10;
/// Of each, percentiles are taken; their medians are told.
const ROUNDS: u32 = 9;
/// Within a round the two stores take turns, so that what else goes on touches both.
const TURNS: u32 = 4;
/// What the p99 among many may be of the one among few, at the most.
const BOUND: f64 = 3.0;
/// The latest part of the day, with half of what happened.
const QUARTER: Duration = Duration::from_secs(900);
const DAY: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp::from_secs(1_700_000_000);
const LATER: Duration = Duration::from_secs(100_000_000);

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let few = runtime.block_on(Filled::new(ground, FEW))?;
    let many = runtime.block_on(Filled::new(ground, effort.stored))?;
    let size = |filled: &Filled| count(filled.size as f64);
    let words =
        ["list", "length", "few: p50 us", "p99 us", "many: p50 us", "p99 us", "ratio of p50", "of p99"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    let mut worst = ("", 0.0);
    for ((name, among_few), (_, among_many)) in few.lists()?.into_iter().zip(many.lists()?) {
        // Of both as many as there are among the few, so that pages of one length are compared.
        let limit = runtime.block_on(few.read(&among_few, LIMIT))?.clamp(1, LIMIT);
        let turn = effort.time / PARTS / ROUNDS / TURNS;
        let (mut few_rounds, mut many_rounds) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (mut few_took, mut many_took) = (Vec::new(), Vec::new());
            for _ in 0..TURNS {
                runtime.block_on(few.time(&among_few, limit, turn, &mut few_took))?;
                runtime.block_on(many.time(&among_many, limit, turn, &mut many_took))?;
            }
            few_rounds.push(Spread::of(few_took));
            many_rounds.push(Spread::of(many_took));
        }
        let told = [&few_rounds, &many_rounds].map(|rounds| [0.5, 0.99].map(|part| median(rounds, part)));
        let ratios = [0, 1].map(|part| told[1][part] / told[0][part]);
        if ratios[1] > worst.1 {
            worst = (name, ratios[1]);
        }
        let mut row = vec![name.to_owned(), limit.to_string()];
        row.extend(told.as_flattened().iter().map(|micros| format!("{micros:.0}")));
        row.extend(ratios.map(|ratio| format!("{ratio:.1}")));
        rows.push(row);
    }
    table::print(&format!("Lists among {} and among {} deliveries", size(&few), size(&many)), &rows);
    let verdict = if worst.1 <= BOUND { "within" } else { "BEYOND" };
    println!("\nThe largest ratio of p99 is {:.1} (\"{}\"), {verdict} {BOUND}.", worst.1, worst.0);
    let words = ["deliveries", "file, MiB", "filled in s", "per second"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    for filled in [&few, &many] {
        let (mib, seconds) = (filled.file as f64 / f64::from(1 << 20), filled.took.as_secs_f64());
        let rate = count(filled.size as f64 / seconds);
        rows.push(vec![size(filled), format!("{mib:.1}"), format!("{seconds:.1}"), rate]);
    }
    table::print("The stores that were listed", &rows);
    Ok(())
}

/// The median over the rounds of a percentile, in microseconds.
fn median(rounds: &[Spread], part: f64) -> f64 {
    Spread::of(rounds.iter().map(|round| round.quantile(part)).collect()).quantile(0.5).as_secs_f64() * 1e6
}

/// What is asked for.
enum List {
    Events(EventFilter, Option<Place>),
    Deliveries(Box<DeliveryFilter>, Option<Place>),
    /// `GET /v1/events/{id}`
    Event(EventId),
    /// `GET /v1/deliveries/{id}`
    Delivery(DeliveryId),
    /// `GET /v1/overview`, of all or of a tenant
    Overview(Option<Tenant>, Window),
    /// `GET /v1/endpoints/{id}/stats`
    Stats(EndpointId, Tenant, Window),
    /// `GET /v1/endpoints`, which says of each how it fares; `GET /v1/endpoints/{id}` is a part of it
    Endpoints,
    /// `GET /v1/errors`
    Errors(ErrorFilter),
    /// `GET /v1/warnings`
    Warnings(Scope, Window),
    /// What a quota asks for each event that is posted
    Bytes(Tenant),
}

/// A store with so many deliveries.
struct Filled {
    store: RedbStore,
    size: u64,
    file: u64,
    took: Duration,
}

impl Filled {
    async fn new(ground: &Ground, size: u64) -> anyhow::Result<Self> {
        let path = ground.path().join(format!("lists-{size}.redb"));
        let start = Instant::now();
        let store = RedbStore::open(&path, Options { row_after: LATER, ..Options::default() })?;
        let mut version = BookVersion(0);
        for endpoint in (0..=TENANTS * ENDPOINTS_PER_TENANT).map(endpoint) {
            version = store.put_endpoint(micro::row_of(endpoint), Vec::new()).await?.unwrap_or(version);
        }
        let body = Bytes::from(payload()?);
        for first in (0..size).step_by(BATCH as usize) {
            fill(&store, first..size.min(first + BATCH), size, &body, version).await?;
        }
        // Some of the oldest are replayed, after all the others were made.
        for n in (0..size / 10).step_by((size / 100) as usize) {
            store.replay(DeliveryId::of(event_id(n, size), 0), false, moment(size + n, size)).await?;
        }
        let took = start.elapsed();
        Ok(Self { store, size, file: fs::metadata(path)?.len(), took })
    }

    /// The lists, each with a name that holds for every size.
    fn lists(&self) -> anyhow::Result<Vec<(&'static str, List)>> {
        let size = self.size;
        let (moment, event_id) = (|n| moment(n, size), |n| event_id(n, size));
        let now = moment(size);
        let window = |resolution, ago: Duration| Window::new(resolution, now.minus(ago), now);
        let minutes = window(Resolution::Minute, QUARTER)?;
        let day = window(Resolution::Hour, DAY)?;
        let errors = |endpoint, since| List::Errors(ErrorFilter { tenant: None, endpoint, since });
        let (event, delivery) = (EventFilter::default, DeliveryFilter::default);
        let events = |filter| List::Events(filter, None);
        let deliveries = |filter| List::Deliveries(Box::new(filter), None);
        let middle = |length| (Some(moment(size / 2)), Some(moment(size / 2 + length)));
        let state = |state| DeliveryFilter { state: Some(state), ..delivery() };
        let of_tenant = |n| DeliveryFilter { tenant: Some(tenant(n)), ..delivery() };
        let to = |n| DeliveryFilter { endpoint: Some(endpoint(n)), ..delivery() };
        let halfway = Some(Place { sequence: size / 2, ordinal: 0 });
        let (since, until) = middle(10);
        Ok(vec![
            ("overview, a quarter of an hour", List::Overview(None, minutes)),
            ("overview, a day", List::Overview(None, day)),
            ("overview of a tenant", List::Overview(Some(tenant(2)), minutes)),
            ("statistics of an endpoint", List::Stats(endpoint(9), tenant(2), minutes)),
            ("statistics of an endpoint, a day", List::Stats(endpoint(9), tenant(2), day)),
            ("endpoints, and how they fare", List::Endpoints),
            ("errors", errors(None, None)),
            ("errors of an endpoint", errors(Some(endpoint(9)), None)),
            ("errors since a moment ago", errors(None, Some(moment(size - 20)))),
            ("warnings", List::Warnings(Scope::Host, minutes)),
            ("warnings of an endpoint", List::Warnings(Scope::Endpoint(endpoint(9)), day)),
            ("bytes of a tenant", List::Bytes(tenant(2))),
            ("one event", List::Event(event_id(size / 2))),
            ("one delivery", List::Delivery(DeliveryId::of(event_id(size / 2), 0))),
            ("events", events(event())),
            ("events, from halfway", List::Events(event(), halfway)),
            ("events of a tenant", events(EventFilter { tenant: Some(tenant(2)), ..event() })),
            ("events of a rare tenant", events(EventFilter { tenant: Some(rare_tenant()), ..event() })),
            ("events of a type", events(EventFilter { event_type: Some(event_type(3)), ..event() })),
            ("events of a rare type", events(EventFilter { event_type: Some(rare_type()), ..event() })),
            (
                "events of tenant and type",
                events(EventFilter { tenant: Some(tenant(2)), event_type: Some(event_type(3)), ..event() }),
            ),
            (
                "events of tenant and type that never meet",
                events(EventFilter { tenant: Some(tenant(0)), event_type: Some(event_type(11)), ..event() }),
            ),
            (
                "the last events, by their time",
                events(EventFilter { since: Some(moment(size - 5)), ..event() }),
            ),
            ("events until long ago", events(EventFilter { until: Some(moment(40)), ..event() })),
            (
                "events of a tenant, the time of ten",
                events(EventFilter { tenant: Some(tenant(2)), since, until, ..event() }),
            ),
            ("deliveries", deliveries(delivery())),
            ("deliveries, from halfway", List::Deliveries(Box::new(delivery()), halfway)),
            ("delivered", deliveries(state(State::Delivered))),
            ("failed", deliveries(state(State::Failed))),
            ("cancelled (none)", deliveries(state(State::Cancelled))),
            ("pending", deliveries(state(State::Pending))),
            ("of a tenant", deliveries(of_tenant(2))),
            ("of a rare tenant", deliveries(DeliveryFilter { tenant: Some(rare_tenant()), ..delivery() })),
            (
                "failed, of a tenant without",
                deliveries(DeliveryFilter { tenant: Some(tenant(1)), ..state(State::Failed) }),
            ),
            ("failed, of a type", {
                deliveries(DeliveryFilter { event_type: Some(event_type(5)), ..state(State::Failed) })
            }),
            ("failed, of a type without", {
                deliveries(DeliveryFilter { event_type: Some(event_type(3)), ..state(State::Failed) })
            }),
            ("failed, of tenant and type", {
                let event_type = Some(event_type(5));
                deliveries(DeliveryFilter { tenant: Some(tenant(2)), event_type, ..state(State::Failed) })
            }),
            ("to an endpoint", deliveries(to(9))),
            ("to an endpoint, from halfway", List::Deliveries(Box::new(to(9)), halfway)),
            ("to an endpoint, failed", deliveries(DeliveryFilter { state: Some(State::Failed), ..to(9) })),
            (
                "to an endpoint, of a type that it never gets",
                deliveries(DeliveryFilter { event_type: Some(event_type(11)), ..to(0) }),
            ),
            (
                "to an endpoint, of another tenant",
                deliveries(DeliveryFilter { tenant: Some(tenant(3)), ..to(9) }),
            ),
            (
                "to an endpoint, since a moment ago",
                deliveries(DeliveryFilter { since: Some(moment(size - 20)), ..to(9) }),
            ),
            ("the time of ten events", deliveries(DeliveryFilter { since, until, ..delivery() })),
            ("failed, until long ago", {
                deliveries(DeliveryFilter { until: Some(moment(400)), ..state(State::Failed) })
            }),
            ("of an event", { deliveries(DeliveryFilter { event: Some(event_id(size / 2)), ..delivery() }) }),
            ("of a webhook-id", {
                let webhook_id = Some(DeliveryId::of(event_id(size / 3), 0).webhook_id());
                deliveries(DeliveryFilter { webhook_id, ..delivery() })
            }),
        ])
    }

    async fn time(
        &self,
        list: &List,
        limit: usize,
        time: Duration,
        took: &mut Vec<Duration>,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            let start = Instant::now();
            self.read(list, limit).await?;
            took.push(start.elapsed());
        }
        Ok(())
    }

    /// Answers how many items there are.
    async fn read(&self, list: &List, limit: usize) -> anyhow::Result<usize> {
        Ok(match list {
            List::Events(_, start) | List::Deliveries(_, start) => self.page(list, *start, limit).await?,
            List::Event(id) => self.store.event(*id).await?.map_or(0, |found| found.deliveries.len()),
            List::Delivery(id) => self.store.delivery(*id).await?.map_or(0, |found| found.attempts.len()),
            List::Overview(tenant, window) => {
                let of_tenant = tenant.clone().map_or(0..TENANTS, |_| 2..3);
                let endpoints = of_tenant.flat_map(endpoints_of).collect();
                self.course(tenant.clone().map_or(Scope::Host, Scope::Tenant), tenant.clone(), *window)
                    .await?
                    + self.store.standings(endpoints).await?.len()
            }
            List::Stats(endpoint, tenant, window) => {
                self.course(Scope::Endpoint(*endpoint), Some(tenant.clone()), *window).await?
                    + self.store.standings(vec![*endpoint]).await?.len()
            }
            List::Endpoints => {
                let all: Vec<EndpointId> = (0..TENANTS).flat_map(endpoints_of).collect();
                let scopes = all.iter().copied().map(Scope::Endpoint).collect();
                self.store.tallies(scopes, self.week()).await?.len() + self.store.standings(all).await?.len()
            }
            List::Errors(filter) => {
                let page = ErrorPageRequest { after: None, limit };
                self.store.errors(filter.clone(), page).await?.groups.len()
            }
            List::Warnings(scope, window) => self.store.tallies(vec![scope.clone()], *window).await?.len(),
            List::Bytes(tenant) => usize::from(self.store.stored_bytes(tenant.clone()).await? > 0),
        })
    }

    /// What the statistics of a scope are made of.
    async fn course(&self, scope: Scope, tenant: Option<Tenant>, window: Window) -> anyhow::Result<usize> {
        let volumes = self.store.volumes(tenant, window).await?;
        let week = self.store.tallies(vec![scope.clone()], self.week()).await?;
        let buckets = self.store.tallies(vec![scope], window).await?;
        Ok(volumes.types.len() + week.len() + buckets.len())
    }

    fn week(&self) -> Window {
        Window::last(Resolution::Day, 7, moment(self.size, self.size))
    }

    /// One page, or as many as it takes to come upon something: a page may be empty while more follow. Answers how many
    /// items it has.
    async fn page(&self, list: &List, mut after: Option<Place>, limit: usize) -> anyhow::Result<usize> {
        loop {
            let page = PageRequest { after, limit };
            let (items, next) = match list {
                List::Events(filter, _) => {
                    let page = self.store.events(filter.clone(), page).await?;
                    (page.items.len(), page.next)
                }
                List::Deliveries(filter, _) => {
                    let page = self.store.deliveries((**filter).clone(), page).await?;
                    (page.items.len(), page.next)
                }
                _ => return Ok(0),
            };
            if items > 0 || next.is_none() {
                return Ok(items);
            }
            after = next;
        }
    }
}

async fn fill(
    store: &RedbStore,
    range: std::ops::Range<u64>,
    size: u64,
    body: &Bytes,
    version: BookVersion,
) -> anyhow::Result<()> {
    let events: Vec<(u64, Arc<Event>)> = range.map(|n| (n, Arc::new(event(n, size, body)))).collect();
    let batch = events.iter().map(|(n, event)| Arrival {
        event: event.clone(),
        content: content_digest(event.event_type.as_str(), &[], None, &event.payload),
        deliveries: vec![NewDelivery { endpoint: endpoint_of(*n, size), take: !waits(*n) }],
    });
    let Append::Done(answers) = store.append(batch.collect(), version, START.plus(LATER)).await? else {
        anyhow::bail!("nobody else changes the endpoints");
    };
    let mut settled = Vec::new();
    for ((n, event), answer) in events.iter().zip(answers) {
        let Appended::Accepted { taken } = answer else { anyhow::bail!("the store answered {answer:?}") };
        for lease in taken {
            let mut delivery = Delivery::promised(lease.delivery, endpoint_of(*n, size), event);
            delivery.attempts = 1;
            let (state, reason) = match fails(*n) {
                true => (State::Failed, Some("The receiver answered 410.".to_owned())),
                false => (State::Delivered, None),
            };
            let delivery = delivery.finish(state, reason, moment(*n, size));
            let attempt = Some(micro::attempt(moment(*n, size)));
            let (announce, recovery) = (Vec::new(), Vec::new());
            settled.push(Settled { lease, delivery, attempt, announce, recovery });
        }
    }
    store.settle(settled).await?;
    Ok(())
}

/// When the event with that number, of so many, was accepted. What comes behind them follows at the pace of the last.
fn moment(n: u64, size: u64) -> Timestamp {
    let early = size / 2;
    let part = |time: Duration, n: u64, of: u64| Duration::from_micros(time.as_micros() as u64 * n / of);
    match n.checked_sub(early) {
        None => START.plus(part(DAY - QUARTER, n, early)),
        Some(n) => START.plus(DAY - QUARTER).plus(part(QUARTER, n, size - early)),
    }
}

fn event_id(n: u64, size: u64) -> EventId {
    EventId::mint(moment(n, size), n << 20)
}

fn endpoint(n: u64) -> EndpointId {
    EndpointId::from_u128(u128::from(n) + 1)
}

fn endpoints_of(tenant: u64) -> impl Iterator<Item = EndpointId> {
    (0..ENDPOINTS_PER_TENANT).map(move |n| endpoint(tenant * ENDPOINTS_PER_TENANT + n))
}

fn tenant_of(n: u64) -> u64 {
    n % TENANTS
}

/// A dozen events in a row are of nearly as many types.
fn type_of(n: u64) -> u64 {
    let types = if tenant_of(n) == 0 { TYPES_OF_THE_FIRST } else { TYPES };
    (n + 5 * (n / TENANTS)) % types
}

/// Each of the tenant's endpoints gets each of its types. The rare tenant has one.
fn endpoint_of(n: u64, size: u64) -> EndpointId {
    if is_rare(n, size, 2) {
        return endpoint(TENANTS * ENDPOINTS_PER_TENANT);
    }
    let of_tenant = n / TENANTS;
    endpoint(tenant_of(n) * ENDPOINTS_PER_TENANT + (of_tenant + of_tenant / TYPES) % ENDPOINTS_PER_TENANT)
}

/// One in a hundred, but none of the second tenant, nor of the fourth type.
fn fails(n: u64) -> bool {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32 & 127 == 0 && tenant_of(n) != 1 && type_of(n) != 3
}

fn waits(n: u64) -> bool {
    n % 250 == 249
}

fn tenant(n: u64) -> Tenant {
    Tenant::parse(&format!("tenant-{n}")).unwrap_or_default()
}

fn rare_tenant() -> Tenant {
    tenant(TENANTS)
}

fn event_type(n: u64) -> EventType {
    let name = format!("document.kind_{n}");
    EventType::parse(&name).unwrap_or_else(|_| unreachable!("`{name}` is an event type"))
}

fn rare_type() -> EventType {
    event_type(TYPES)
}

/// Some events are of the rare type (3), some of the rare tenant (2).
fn is_rare(n: u64, size: u64, part: u64) -> bool {
    let each = size / RARE;
    n % each == each / part
}

fn event(n: u64, size: u64, body: &Bytes) -> Event {
    Event {
        id: event_id(n, size),
        producer_id: None,
        event_type: if is_rare(n, size, 3) { rare_type() } else { event_type(type_of(n)) },
        tenant: if is_rare(n, size, 2) { rare_tenant() } else { tenant(tenant_of(n)) },
        timestamp: moment(n, size),
        accepted_at: moment(n, size),
        channels: Vec::new(),
        payload: body.clone(),
    }
}
