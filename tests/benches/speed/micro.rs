//! The parts one by one, in this process.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hookwright::attempt::{Attempt, BodyRecord, Outcome, RequestRecord, ResponseRecord, Timing};
use hookwright::delivery::{Delivery, State};
use hookwright::endpoint::Order;
use hookwright::event::{Event, EventType, Tenant, content_digest};
use hookwright::id::{EndpointId, EventId};
use hookwright::secret::SigningSecret;
use hookwright::signature::{self, SignatureScheme};
use hookwright::store::redb::{Options, RedbStore};
use hookwright::store::{
    Append, Appended, Arrival, BookVersion, EndpointRow, Inbox as _, Lease, NewDelivery, Queue as _, Settled,
};
use hookwright::time::{Clock as _, SystemClock, Timestamp};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::child::Ground;
use crate::producer::payload;
use crate::table::{self, Spread, count};
use crate::{Effort, machine};

/// Requests to the store under way at once.
const CONCURRENCY: [usize; 4] = [1, 16, 64, 256];
/// A fixed part of the effort for each of these figures: they need less time than whole deliveries.
const PARTS: u32 = 5;
const LEASE: Duration = Duration::from_secs(600);

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let runtime = Runtime::new()?;
    let time = effort.time / PARTS;
    runtime.block_on(store(ground, time))?;
    let mut rows = vec![vec!["one call".to_owned(), "median us".to_owned(), "p99 us".to_owned()]];
    rows.push(sign(time)?);
    table::print("Signing 1 KiB", &rows);
    Ok(())
}

/// A new endpoint, as a store sees it.
pub fn row_of(id: EndpointId) -> EndpointRow {
    let (order, judged_from) = (Order::Free, Timestamp::ZERO);
    EndpointRow { id, revision: 1, held: false, order, judged_from, document: Vec::new() }
}

fn row(name: &str, spread: &Spread) -> Vec<String> {
    let micros = |part| format!("{:.1}", spread.quantile(part).as_secs_f64() * 1e6);
    vec![name.to_owned(), micros(0.5), micros(0.99)]
}

fn sign(time: Duration) -> anyhow::Result<Vec<String>> {
    let (body, secrets) = (payload()?, SigningSecret::from_key([7; 32]).into());
    let mut took = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let start = Instant::now();
        let headers = signature::sign(
            &SignatureScheme::Standard,
            &secrets,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            Timestamp::from_secs(1_614_265_330),
            body.as_bytes(),
        );
        took.push(start.elapsed());
        black_box(headers);
    }
    Ok(row("sign", &Spread::of(took)))
}

async fn store(ground: &Ground, time: Duration) -> anyhow::Result<()> {
    let words = ["what", "at once", "per second", "CPU us each", "p50 / p99 ms"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    for concurrency in CONCURRENCY {
        let path = ground.path().join(format!("micro-{concurrency}.redb"));
        let store = Arc::new(RedbStore::open(&path, Options { row_after: LEASE, ..Options::default() })?);
        let payload = Bytes::from(payload()?);
        let to = store.clone();
        let appends = crowd(concurrency, time, move || {
            let (store, payload) = (to.clone(), payload.clone());
            async move { append(&store, payload).await }
        });
        let (leases, line) = appends.await?;
        rows.push(line.row("append and commit", concurrency));
        let leases = Arc::new(std::sync::Mutex::new(leases));
        let settles = crowd(concurrency, time, move || {
            let (store, leases) = (store.clone(), leases.clone());
            async move {
                let next = leases.lock().map(|mut leases| leases.pop()).unwrap_or_default();
                match next {
                    Some((lease, event)) => settle(&store, lease, &event).await.map(Some),
                    None => Ok(None),
                }
            }
        });
        rows.push(settles.await?.1.row("settle and commit", concurrency));
    }
    table::print("The store (redb): events of 1 KiB, durable before the answer", &rows);
    Ok(())
}

/// What so many tasks did together.
struct Line {
    time: Duration,
    cpu: Duration,
    took: Spread,
    count: usize,
}

impl Line {
    fn row(&self, what: &str, concurrency: usize) -> Vec<String> {
        let each = self.cpu.as_secs_f64() * 1e6 / self.count.max(1) as f64;
        vec![
            what.to_owned(),
            concurrency.to_string(),
            count(self.count as f64 / self.time.as_secs_f64().max(1e-9)),
            format!("{each:.1}"),
            self.took.words(),
        ]
    }
}

/// Repeats `work` in so many tasks, for a time or until there is no more of it.
async fn crowd<T, F>(
    concurrency: usize,
    time: Duration,
    work: impl Fn() -> F + Clone + Send + 'static,
) -> anyhow::Result<(Vec<T>, Line)>
where
    T: Send + 'static,
    F: Future<Output = anyhow::Result<Option<T>>> + Send,
{
    let (cpu, start) = (machine::cpu_time(std::process::id())?, Instant::now());
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let work = work.clone();
        tasks.spawn(async move {
            let mut done = Vec::new();
            while start.elapsed() < time {
                let begun = Instant::now();
                let Some(result) = work().await? else { break };
                done.push((result, begun.elapsed()));
            }
            anyhow::Ok(done)
        });
    }
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        done.extend(ended??);
    }
    let time = start.elapsed();
    let cpu = machine::cpu_time(std::process::id())?.saturating_sub(cpu);
    let (results, took): (Vec<T>, Vec<Duration>) = done.into_iter().unzip();
    let count = results.len();
    Ok((results, Line { time, cpu, took: Spread::of(took), count }))
}

type Leased = (Lease, Arc<Event>);

async fn append(store: &RedbStore, payload: Bytes) -> anyhow::Result<Option<Leased>> {
    let now = SystemClock.now();
    let arrival = arrival(payload, NewDelivery { endpoint: ENDPOINT, take: true }, now)?;
    let event = arrival.event.clone();
    match store.append(vec![arrival], BookVersion(0), now.plus(LEASE)).await? {
        Append::Done(done) => match done.into_iter().next() {
            Some(Appended::Accepted { taken }) => Ok(taken.first().map(|lease| (*lease, event))),
            other => anyhow::bail!("the store answered {other:?}"),
        },
        Append::Stale(_) => anyhow::bail!("the store's endpoints have changed"),
    }
}

/// An event of now, with one delivery.
pub fn arrival(payload: Bytes, delivery: NewDelivery, now: Timestamp) -> anyhow::Result<Arrival> {
    let event_type = EventType::parse("document.exported")?;
    let content = content_digest(event_type.as_str(), &[], None, &payload);
    let event = Arc::new(Event {
        id: EventId::mint(now, random()),
        producer_id: None,
        event_type,
        tenant: Tenant::default(),
        timestamp: now,
        accepted_at: now,
        channels: Vec::new(),
        payload,
    });
    Ok(Arrival { event, content, deliveries: vec![delivery] })
}

const ENDPOINT: EndpointId = EndpointId::from_u128(1);

/// Tells events of one microsecond apart.
fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0)
}

async fn settle(store: &RedbStore, lease: Lease, event: &Event) -> anyhow::Result<()> {
    let (tenant, event_type) = (event.tenant.clone(), event.event_type.clone());
    let delivery = Delivery::new(lease.delivery, ENDPOINT, tenant, event_type, event.accepted_at);
    store.settle(vec![delivered(lease, delivery, SystemClock.now())]).await?;
    Ok(())
}

/// It went well, at the first attempt.
pub fn delivered(lease: Lease, delivery: Delivery, now: Timestamp) -> Settled {
    let mut delivery = delivery.finish(State::Delivered, None, now);
    delivery.attempts = 1;
    Settled { lease, delivery, attempt: Some(attempt(now)), announce: Vec::new(), recovery: Vec::new() }
}

/// As large as the host's.
pub fn attempt(now: Timestamp) -> Attempt {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let signature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    Attempt {
        number: 1,
        started_at: now,
        duration: Duration::from_micros(300),
        outcome: Outcome::Delivered { status: 200 },
        request: Some(RequestRecord {
            method: "POST".to_owned(),
            url: "http://127.0.0.1:3000/***".to_owned(),
            headers: vec![
                pair("content-type", "application/json"),
                pair("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                pair("webhook-timestamp", "1614265330"),
                pair("webhook-signature", signature),
            ],
            body: BodyRecord::Payload,
        }),
        response: Some(ResponseRecord {
            status: 200,
            headers: vec![pair("content-length", "0"), pair("date", "Sun, 22 Mar 2026 08:30:00 GMT")],
            body: Bytes::new(),
            truncated: false,
        }),
        timing: Timing { first_byte: Some(Duration::from_micros(250)), ..Timing::default() },
        plugins: Vec::new(),
        warnings: Default::default(),
    }
}
