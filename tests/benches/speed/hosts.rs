//! Several hosts on one database: what they deliver, and what a delivery costs the database.
//!
//! One, two and four hosts share a database each, beside one host with a file of its own and a relay that stores nothing;
//! they take turns, and those that do not have theirs are not running. Hosts, database, producers and receiver share this
//! machine, so more hosts cannot be faster here than the processors are: it shows whether they hinder each other. The
//! ceiling is what the same database does with batches of the same rows, put in and taken out again, and nothing else; the
//! relay shows how much of it HTTP leaves. What the database does for a delivery is told in its processor time, too, beside
//! that of such a row.
//!
//! Then claims: among few deliveries that wait and among as many as `--events=N` says. Each one is settled, and another
//! comes for it, so that what waits stays as much.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use hookwright::id::EndpointId;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::store::{Append, BookVersion, Claim, Endpoints as _, Inbox as _, NewDelivery, Queue as _};
use hookwright::time::{Clock as _, SystemClock};
use hookwright_tests::postgres;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::child::{Ground, Server};
use crate::producer::{Producer, Template};
use crate::receiver::Receiver;
use crate::table::{self, Spread, count};
use crate::{Effort, machine, micro};

const ENDPOINTS: usize = 16;
const PRODUCERS: usize = 64;
/// Events a second where hosts and database have time.
const RATE: u32 = 100;
/// What the rate of the hosts may be of the ceiling, at least.
const PART: f64 = 1.0 / 3.0;

const CLAIMED: usize = 64;
const FEW: u64 = 10_000;
/// In turns, so that what else the machine does hits both alike.
const TURNS: u32 = 10;
/// What a claim among many may take of one among few, at the most.
const BOUND: f64 = 1.5;
const LEASE: Duration = Duration::from_secs(600);

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let database =
        postgres::Server::start_durable(Path::new(env!("CARGO_TARGET_TMPDIR")), postgres::COUNTING)
            .context("there are no PostgreSQL programs on this machine")?;
    let runtime = Runtime::new()?;
    let desk = runtime.block_on(Desk::open(&database))?;
    deliveries(ground, effort, &database, &desk, &runtime)?;
    claims(effort, &database, &runtime)
}

/// Where the database tells what it did.
struct Desk {
    client: Client,
    process: u32,
}

/// What the database did, from its start.
#[derive(Debug, Clone, Copy, Default)]
struct Work {
    statements: f64,
    commits: f64,
    wal: f64,
    cpu: Duration,
}

impl Desk {
    async fn open(database: &postgres::Server) -> anyhow::Result<Self> {
        let client = database.connect().await;
        client.batch_execute("CREATE EXTENSION pg_stat_statements").await?;
        Ok(Self { client, process: database.process() })
    }

    async fn work(&self) -> anyhow::Result<Work> {
        const SQL: &str = "\
            SELECT (SELECT sum(calls)::float8 FROM pg_stat_statements WHERE toplevel) AS statements, \
            (SELECT sum(calls)::float8 FROM pg_stat_statements WHERE toplevel AND query = 'COMMIT') AS commits, \
            pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 AS wal";
        let row = self.client.query_one(SQL, &[]).await?;
        Ok(Work {
            statements: row.try_get("statements")?,
            commits: row.try_get::<_, Option<f64>>("commits")?.unwrap_or_default(),
            wal: row.try_get("wal")?,
            cpu: machine::cpu_time_with_children(self.process)?,
        })
    }
}

impl Work {
    fn add(&mut self, before: Work, after: Work) {
        self.statements += after.statements - before.statements;
        self.commits += after.commits - before.commits;
        self.wal += after.wal - before.wal;
        self.cpu += after.cpu.saturating_sub(before.cpu);
    }
}

enum Store {
    /// It passes on what comes.
    None,
    File,
    Database(String),
}

struct Contender {
    name: &'static str,
    hosts: usize,
    store: Store,
    load: Load,
    quiet: Spread,
}

/// What was measured under load, in all rounds together.
#[derive(Default)]
struct Load {
    deliveries: u64,
    time: Duration,
    hosts_cpu: Duration,
    work: Work,
    took: Vec<Spread>,
}

fn deliveries(
    ground: &Ground,
    effort: Effort,
    database: &postgres::Server,
    desk: &Desk,
    runtime: &Runtime,
) -> anyhow::Result<()> {
    let origin = Instant::now();
    let (receiver, producer) = (Receiver::start(origin)?, Producer::new(origin)?);
    let templates =
        (0..ENDPOINTS).map(|n| Template::new(&event_type(n))).collect::<anyhow::Result<Vec<_>>>()?;
    let mut contenders = Vec::new();
    let contender = |name, hosts, store| Contender {
        name,
        hosts,
        store,
        load: Load::default(),
        quiet: Spread::default(),
    };
    contenders.push(contender("a bare relay", 1, Store::None));
    contenders.push(contender("a file", 1, Store::File));
    for (name, hosts) in [("1 host", 1), ("2 hosts", 2), ("4 hosts", 4)] {
        let url = runtime.block_on(database.schema());
        runtime.block_on(PostgresStore::migrate(&Address::parse(&url)?))?;
        contenders.push(contender(name, hosts, Store::Database(url)));
    }
    for contender in contenders.iter().skip(1) {
        let first = contender.start(ground, &receiver, 0)?;
        for n in 0..ENDPOINTS {
            let url = receiver.url(&format!("/{n}"));
            let endpoint = json!({"name": event_type(n), "url": url, "events": [event_type(n)]});
            producer.endpoint(first.address, &endpoint)?;
        }
        first.stop()?;
    }
    let mut bare = Vec::new();
    for round in 0..effort.rounds {
        for contender in &mut contenders {
            let servers = contender.all(ground, &receiver)?;
            let to: Vec<_> = servers.iter().map(|server| server.address).collect();
            let fill = |time| {
                let before = receiver.arrived();
                let posted = producer.closed_loop_over(&to, &templates, PRODUCERS, time)?;
                receiver.wait_for(before + posted)?;
                anyhow::Ok(posted)
            };
            fill(effort.time / 10)?;
            receiver.take_spread();
            let cpu = cpu_of(&servers)?;
            let before = runtime.block_on(desk.work())?;
            let start = Instant::now();
            contender.load.deliveries += fill(effort.time / effort.rounds)?;
            contender.load.time += receiver.last().saturating_duration_since(start);
            contender.load.work.add(before, runtime.block_on(desk.work())?);
            contender.load.hosts_cpu += cpu_of(&servers)?.saturating_sub(cpu);
            contender.load.took.push(receiver.take_spread());
            if round == 0 {
                let before = receiver.arrived();
                let posted = producer.open_loop(to[0], &templates[..1], RATE, effort.time)?;
                receiver.wait_for(before + posted)?;
                contender.quiet = receiver.take_spread();
            }
            if !matches!(contender.store, Store::None) {
                servers.into_iter().try_for_each(Server::stop)?;
            }
        }
        for batch in BATCHES {
            let time = effort.time / effort.rounds / BATCHES.len() as u32;
            let before = runtime.block_on(desk.work())?;
            let (rows, took) = runtime.block_on(ceiling(database, batch, time))?;
            let mut work = Work::default();
            work.add(before, runtime.block_on(desk.work())?);
            bare.push(Bare { batch, rows, took, work });
        }
    }
    print(&contenders, &bare);
    Ok(())
}

fn event_type(n: usize) -> String {
    format!("document.kind_{n}")
}

impl Contender {
    fn all(&self, ground: &Ground, receiver: &Receiver) -> anyhow::Result<Vec<Server>> {
        (0..self.hosts).map(|number| self.start(ground, receiver, number)).collect()
    }

    fn start(&self, ground: &Ground, receiver: &Receiver, number: usize) -> anyhow::Result<Server> {
        let name = format!("hosts-{}-{number}", self.name.replace(' ', "-"));
        match &self.store {
            Store::None => Server::relay(receiver.address),
            Store::File => ground.host(&name),
            Store::Database(url) => ground.host_on(&name, url),
        }
    }
}

fn cpu_of(servers: &[Server]) -> anyhow::Result<Duration> {
    servers.iter().map(Server::cpu_time).sum()
}

/// Rows in a batch of the ceiling. One is about what hosts have in theirs.
const BATCHES: [usize; 2] = [16, 64];
/// As many as a host has.
const CONNECTIONS: usize = 16;

/// Rows and nothing else.
struct Bare {
    batch: usize,
    rows: usize,
    took: Duration,
    work: Work,
}

/// How many rows were put in and taken out again, and in what time.
async fn ceiling(
    database: &postgres::Server,
    batch: usize,
    time: Duration,
) -> anyhow::Result<(usize, Duration)> {
    const TABLE: &str = "\
        CREATE TABLE IF NOT EXISTS bare (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body bytea NOT NULL)";
    const INSERT: &str = "INSERT INTO bare (body) SELECT unnest($1::bytea[]) RETURNING id";
    const DELETE: &str = "DELETE FROM bare WHERE id = ANY ($1::bigint[])";
    database.connect().await.batch_execute(TABLE).await?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let client = database.connect().await;
        tasks.spawn(async move {
            let (insert, delete) = (client.prepare(INSERT).await?, client.prepare(DELETE).await?);
            let bodies = vec![vec![b'n'; crate::producer::SIZE]; batch];
            let mut rows = 0;
            while start.elapsed() < time {
                let ids = client.query(&insert, &[&bodies]).await?;
                let ids = ids.iter().map(|row| row.try_get(0)).collect::<Result<Vec<i64>, _>>()?;
                client.execute(&delete, &[&ids]).await?;
                rows += batch;
            }
            anyhow::Ok(rows)
        });
    }
    let mut rows = 0;
    while let Some(ended) = tasks.join_next().await {
        rows += ended??;
    }
    Ok((rows, start.elapsed()))
}

fn print(contenders: &[Contender], bare: &[Bare]) {
    let words = [
        "what",
        "deliveries/s",
        "of the ceiling",
        "statements each",
        "commits each",
        "WAL bytes each",
        "database CPU us each",
        "of a bare row's",
        "hosts' CPU us each",
        "p50 / p99 ms",
        "at 100/s: p50 / p99 ms",
    ];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    let each = |work: &Work, number: f64| {
        [
            format!("{:.2}", work.statements / number),
            format!("{:.3}", work.commits / number),
            count(work.wal / number),
            format!("{:.0}", work.cpu.as_secs_f64() * 1e6 / number),
        ]
    };
    let sums = BATCHES.map(|batch| {
        let (mut rows, mut took, mut work) = (0, Duration::ZERO, Work::default());
        for bare in bare.iter().filter(|bare| bare.batch == batch) {
            rows += bare.rows;
            took += bare.took;
            work.add(Work::default(), bare.work);
        }
        (batch, (rows as f64).max(1.0), took.as_secs_f64().max(1e-9), work)
    });
    let ceiling = sums.iter().map(|(_, rows, took, _)| rows / took).fold(0.0, f64::max);
    let bare_cpu = sums.iter().map(|(_, rows, _, work)| work.cpu.as_secs_f64() / rows);
    let bare_cpu = bare_cpu.fold(f64::INFINITY, f64::min).max(1e-9);
    for (batch, number, took, work) in &sums {
        let rate = number / took;
        let mut row = vec![
            format!("bare batches of {batch}, in and out"),
            count(rate),
            format!("{:.2}", rate / ceiling),
        ];
        row.extend(each(work, *number));
        row.push(format!("{:.1}", work.cpu.as_secs_f64() / number / bare_cpu));
        rows.push(row);
    }
    let mut least = f64::INFINITY;
    for Contender { name, store, load, quiet, .. } in contenders {
        let deliveries = (load.deliveries as f64).max(1.0);
        let rate = deliveries / load.time.as_secs_f64().max(1e-9);
        let mut row = vec![(*name).to_owned(), count(rate), format!("{:.2}", rate / ceiling)];
        if matches!(store, Store::Database(_)) {
            least = least.min(rate / ceiling);
            row.extend(each(&load.work, deliveries));
            row.push(format!("{:.1}", load.work.cpu.as_secs_f64() / deliveries / bare_cpu));
        } else {
            row.extend(std::iter::repeat_n(String::new(), 5));
        }
        row.push(format!("{:.0}", load.hosts_cpu.as_secs_f64() * 1e6 / deliveries));
        let mut took: Vec<&Spread> = load.took.iter().collect();
        took.sort_by_key(|spread| spread.quantile(0.5));
        row.push(took.get(took.len() / 2).map(|spread| spread.words()).unwrap_or_default());
        row.push(quiet.words());
        rows.push(row);
    }
    let title =
        format!("Hosts on one database, {PRODUCERS} producers, {ENDPOINTS} endpoints, events of 1 KiB");
    table::print(&title, &rows);
    let verdict = if least >= PART { "within" } else { "BELOW" };
    println!("\nThe least is {least:.2} of the ceiling, {verdict} a third.");
}

/// A queue in a database of its own.
struct Queue {
    store: Arc<PostgresStore>,
    version: BookVersion,
    size: u64,
    filling: Duration,
    took: Vec<Duration>,
}

fn claims(effort: Effort, database: &postgres::Server, runtime: &Runtime) -> anyhow::Result<()> {
    let few = FEW.min(effort.waiting);
    let mut queues = Vec::new();
    for size in [few, effort.waiting] {
        queues.push(runtime.block_on(Queue::filled(database, size))?);
    }
    runtime.block_on(async { database.connect().await.batch_execute("CHECKPOINT").await })?;
    for queue in &mut queues {
        runtime.block_on(queue.work(effort.time / TURNS))?;
        queue.took.clear();
    }
    for _ in 0..TURNS {
        for queue in &mut queues {
            runtime.block_on(queue.work(effort.time / TURNS))?;
        }
    }
    let mut rows =
        vec![["waiting", "claims", "p50 / p99 ms", "mean ms", "filled in s"].map(str::to_owned).to_vec()];
    let mut medians = Vec::new();
    for queue in &mut queues {
        let mean = queue.took.iter().sum::<Duration>() / queue.took.len().max(1) as u32;
        let spread = Spread::of(std::mem::take(&mut queue.took));
        medians.push(spread.quantile(0.5).as_secs_f64());
        rows.push(vec![
            count(queue.size as f64),
            count(spread.len() as f64),
            spread.words(),
            table::millis(mean),
            format!("{:.0}", queue.filling.as_secs_f64()),
        ]);
    }
    table::print(&format!("Claims of {CLAIMED} deliveries of {ENDPOINTS} endpoints"), &rows);
    let ratio = medians[1] / medians[0].max(1e-9);
    let verdict = if ratio <= BOUND { "within" } else { "BEYOND" };
    println!("\nThe median among many is {ratio:.2} times that among few, {verdict} {BOUND}.");
    Ok(())
}

impl Queue {
    async fn filled(database: &postgres::Server, size: u64) -> anyhow::Result<Self> {
        const BATCH: u64 = 1_000;
        const AT_ONCE: u64 = 4;
        let url = database.schema().await;
        let address = Address::parse(&url)?;
        PostgresStore::migrate(&address).await?;
        let store =
            Arc::new(PostgresStore::open(&address, Options { deadline: LEASE, ..Options::default() }).await?);
        let mut version = BookVersion(0);
        for endpoint in (0..ENDPOINTS).map(endpoint) {
            version = store.put_endpoint(micro::row_of(endpoint), Vec::new()).await?.unwrap_or(version);
        }
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for part in 0..AT_ONCE {
            let (store, first, end) = (store.clone(), size * part / AT_ONCE, size * (part + 1) / AT_ONCE);
            tasks.spawn(async move {
                for first in (first..end).step_by(BATCH as usize) {
                    append(&store, version, (first..end.min(first + BATCH)).map(|n| endpoint(n as usize)))
                        .await?;
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let filling = start.elapsed();
        let name = url.rsplit("%3D").next().context("the address names its schema")?;
        let desk = database.connect().await;
        for table in ["queue", "events", "endpoints"] {
            desk.batch_execute(&format!("VACUUM (ANALYZE) {name}.{table}")).await?;
        }
        Ok(Self { store, version, size, filling, took: Vec::new() })
    }

    async fn work(&mut self, time: Duration) -> anyhow::Result<()> {
        let start = Instant::now();
        while start.elapsed() < time {
            let now = SystemClock.now();
            let claim = Claim {
                now,
                lease_until: now.plus(LEASE),
                limit: CLAIMED,
                per_endpoint: CLAIMED / ENDPOINTS,
                skip: HashSet::new(),
            };
            let begin = Instant::now();
            let claimed = self.store.claim(claim).await?;
            self.took.push(begin.elapsed());
            anyhow::ensure!(claimed.len() == CLAIMED, "{} were claimed, and not {CLAIMED}", claimed.len());
            let endpoints: Vec<EndpointId> = claimed.iter().map(|one| one.delivery.endpoint).collect();
            let settled =
                claimed.into_iter().map(|one| micro::delivered(one.lease, one.delivery, now)).collect();
            self.store.settle(settled).await?;
            append(&self.store, self.version, endpoints.into_iter()).await?;
        }
        Ok(())
    }
}

fn endpoint(n: usize) -> EndpointId {
    EndpointId::from_u128((n % ENDPOINTS) as u128 + 1)
}

/// An event of a quarter of a KiB for each of these.
async fn append(
    store: &PostgresStore,
    version: BookVersion,
    endpoints: impl Iterator<Item = EndpointId>,
) -> anyhow::Result<()> {
    let body = Bytes::from(format!("{{\"text\":\"{}\"}}", "n".repeat(245)));
    let now = SystemClock.now();
    let batch = endpoints
        .map(|endpoint| micro::arrival(body.clone(), NewDelivery { endpoint, take: false }, now))
        .collect::<anyhow::Result<Vec<_>>>()?;
    match store.append(batch, version, now).await? {
        Append::Done(_) => Ok(()),
        Append::Stale(_) => anyhow::bail!("nobody else changes the endpoints"),
    }
}
