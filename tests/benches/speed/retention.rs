//! What deliveries notice while a shared store drops a day.
//!
//! Two days that are over are filled by statements of SQL, the first with as many events as `--events=N` says, each with
//! a delivery that has ended; the second with a tenth of that. Then events come at a steady rate, and meanwhile the first
//! day is dropped as housekeeping would do it. The database is one of its own, on the disk of the target directory, with
//! settings that outlast a power cut.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use hookwright::store::History as _;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::time::{Clock as _, SystemClock, Timestamp};
use hookwright_tests::postgres;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;

use crate::Effort;
use crate::child::Ground;
use crate::producer::{Producer, Template};
use crate::receiver::Receiver;
use crate::table::{self, Spread, count, millis};

const TYPE: &str = "document.exported";
/// Events a second.
const RATE: u32 = 100;
const DAY: u64 = 86_400;
/// The first filled day was so many days ago, and what ended so many days ago is let go: that day, and not the next.
const AGE: u64 = 12;
const KEPT: u64 = 11;
/// What of a day's drop shows in deliveries may show a little later.
const AFTERMATH: Duration = Duration::from_secs(1);
/// How long a day may take to go.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the slowest delivery may take, in p99s of before.
const BOUND: f64 = 2.0;

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let database = postgres::Server::start_durable(Path::new(env!("CARGO_TARGET_TMPDIR")), "")
        .context("there are no PostgreSQL programs on this machine")?;
    let runtime = Runtime::new()?;
    let url = runtime.block_on(database.schema());
    runtime.block_on(PostgresStore::migrate(&Address::parse(&url)?))?;
    let start = Instant::now();
    let size = runtime.block_on(fill(&url, effort.retained))?;
    let filling = start.elapsed();

    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let host = ground.host_on("retention", &url)?;
    producer.endpoint(host.address, &json!({"name": "r", "url": receiver.url("/"), "events": [TYPE]}))?;
    let template = Template::new(TYPE)?;
    producer.open_loop(host.address, std::slice::from_ref(&template), RATE, effort.time / 5)?;
    receiver.take_spread();
    let store = runtime.block_on(PostgresStore::open(&Address::parse(&url)?, Options::default()))?;
    let arrived = receiver.arrived();
    let posted = producer.open_loop(host.address, std::slice::from_ref(&template), RATE, effort.time)?;
    receiver.wait_for(arrived + posted)?;
    let quiet = receiver.take_spread();
    let (dropping, meanwhile, after) = thread::scope(|scope| {
        let feeding = scope.spawn(move || {
            // As long as a large day may take, and both its sides.
            let producer = Producer::new(origin)?;
            let templates = std::slice::from_ref(&template);
            producer.open_loop(host.address, templates, RATE, effort.time * 2)
        });
        thread::park_timeout(effort.time / 4);
        receiver.take_spread();
        let dropping = runtime.block_on(drop_day(&store, effort.retained))?;
        thread::park_timeout(AFTERMATH);
        let meanwhile = receiver.take_spread();
        feeding.join().map_err(|_| anyhow::anyhow!("the producer panicked"))??;
        anyhow::Ok((dropping, meanwhile, receiver.take_spread()))
    })?;
    anyhow::ensure!(meanwhile.len() > 0, "nothing was delivered meanwhile");
    print(effort.retained, [&quiet, &meanwhile, &after], dropping, size, filling);
    Ok(())
}

/// Answers what the day to drop takes up, in bytes.
async fn fill(url: &str, events: u64) -> anyhow::Result<i64> {
    const AT_ONCE: u64 = 100_000;
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    let connection = tokio::spawn(connection);
    let today = u64::try_from(SystemClock.now().as_secs())? / DAY;
    for (day, events) in [(today - AGE, events), (today - AGE + 1, events / 10)] {
        let day = i32::try_from(day)?;
        for table in ["attempts", "deliveries", "events"] {
            let factor: i64 = if table == "events" { 1 } else { 65_536 };
            let [from, to] = [day, day + 1].map(|day| (i64::from(day) << 31) * factor);
            let part = part(table, day);
            let make = format!(
                "CREATE TABLE {part} (LIKE {table} INCLUDING ALL); \
                 ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({from}) TO ({to})"
            );
            client.batch_execute(&make).await?;
        }
        client.execute("INSERT INTO days (day) VALUES ($1)", &[&day]).await?;
        for first in (1..=events).step_by(AT_ONCE as usize) {
            let (first, last) = (i64::try_from(first)?, i64::try_from(events.min(first + AT_ONCE - 1))?);
            client.execute(EVENTS, &[&i64::from(day), &first, &last]).await?;
            client.execute(DELIVERIES, &[&i64::from(day), &first, &last]).await?;
        }
        let events = i64::try_from(events)?;
        let stored = "INSERT INTO stored (tenant, day, shard, events, deliveries, bytes) VALUES ('default', $1, 0, $2::bigint, $2, $2 * 256)";
        client.execute(stored, &[&day, &events]).await?;
    }
    client.batch_execute("VACUUM (ANALYZE)").await?;
    client.batch_execute("CHECKPOINT").await?;
    let day = i32::try_from(today - AGE)?;
    let size = format!(
        "SELECT pg_total_relation_size('{}') + pg_total_relation_size('{}')",
        part("events", day),
        part("deliveries", day)
    );
    let size = client.query_one(size.as_str(), &[]).await?.try_get(0)?;
    drop(client);
    connection.await??;
    Ok(size)
}

const EVENTS: &str = "\
INSERT INTO events (sequence, id, tenant, event_type, channels, accepted_at, size, next_ordinal, row)
SELECT ($1::bigint << 31) + number, encode(int8send(($1 * 86400000::bigint + number / 100) << 16) || int8send(number << 16), 'hex')::uuid,
    'default', 'document.exported', '{}', $1 * 86400000000::bigint + number, 256, 1, decode(repeat('ab', 256), 'hex')
FROM generate_series($2::bigint, $3::bigint) AS number";

const DELIVERIES: &str = "\
INSERT INTO deliveries (place, endpoint, tenant, event_type, state, created_at, finished_at, row, attempt)
SELECT (($1::bigint << 31) + number) << 16, '00000000-0000-0000-0000-000000000001', 'default', 'document.exported', 1,
    $1 * 86400000000::bigint + number, $1 * 86400000000::bigint + number + 1000, decode(repeat('cd', 100), 'hex'),
    decode(repeat('ef', 300), 'hex')
FROM generate_series($2::bigint, $3::bigint) AS number";

fn part(table: &str, day: i32) -> String {
    let midnight = Timestamp::from_secs(i64::from(day) * DAY as i64).to_string();
    format!("{table}_{}", midnight.split('T').next().unwrap_or_default().replace('-', "_"))
}

async fn drop_day(store: &PostgresStore, events: u64) -> anyhow::Result<Duration> {
    let (begin, before) = (Instant::now(), SystemClock.now().minus(Duration::from_secs(KEPT * DAY)));
    // The host may be at its own housekeeping just then.
    while begin.elapsed() < PATIENCE {
        let start = Instant::now();
        match store.prune(before, 1).await?.events {
            0 => tokio::task::yield_now().await,
            gone if gone == events => return Ok(start.elapsed()),
            gone => anyhow::bail!("{gone} events went, and not {events}"),
        }
    }
    anyhow::bail!("the day did not go within {PATIENCE:?}")
}

fn print(events: u64, spreads: [&Spread; 3], dropping: Duration, size: i64, filling: Duration) {
    let mut rows = vec![["deliveries", "number", "p50 / p99 ms", "slowest ms"].map(str::to_owned).to_vec()];
    for (name, spread) in ["before", "while the day goes", "after"].into_iter().zip(spreads) {
        let slowest = millis(spread.quantile(1.0));
        rows.push(vec![name.to_owned(), count(spread.len() as f64), spread.words(), slowest]);
    }
    let size = size as f64 / f64::from(1 << 20);
    let title = format!(
        "Deliveries at {RATE}/s while a day of {} events goes ({} MiB, filled in {:.0} s; gone in {} ms)",
        count(events as f64),
        count(size),
        filling.as_secs_f64(),
        millis(dropping)
    );
    table::print(&title, &rows);
    let slowest = spreads[1].quantile(1.0).as_secs_f64() / spreads[0].quantile(0.99).as_secs_f64().max(1e-9);
    let verdict = if slowest <= BOUND { "within" } else { "BEYOND" };
    println!(
        "\nThe slowest delivery meanwhile took {slowest:.1} times the p99 of before, {verdict} {BOUND}."
    );
}
