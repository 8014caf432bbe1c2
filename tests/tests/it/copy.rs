//! Everything that is kept, brought from one kind of store to another.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookwright::event::{Event, ProducerId};
use hookwright::id::{EndpointId, EventId};
use hookwright::secret::Secret;
use hookwright::store::copy::{Begun, Mark, Readable as _, Target as _};
use hookwright::store::postgres::copy::PostgresCopy;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::store::redb::copy::RedbSource;
use hookwright::store::redb::{self, RedbStore};
use hookwright::store::{
    Append, Arrival, BookVersion, Endpoints as _, Inbox as _, NewDelivery, PageRequest, Queue as _,
    Settings as _, Settled, Store,
};
use hookwright_tests::conformance::world as small;
use hookwright_tests::harness::{Mailbox, PATIENCE, Stage, World, runtime};
use hookwright_tests::postgres;
use serde_json::{Value, json};

use super::plugin_catalog::version;

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// How many deliveries are copied where the copy is killed again and again. A million of them in an optimised build:
/// `HOOKWRIGHT_COPY_DELIVERIES=1000000 cargo test --release --workspace --test it copy::killed -- --nocapture`.
const SIZE: &str = "HOOKWRIGHT_COPY_DELIVERIES";

fn command(from: &str, to: &str, more: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["store", "copy", "--from", from, "--to", to]).args(more).env_clear().stdin(Stdio::null());
    command
}

async fn copy(from: &str, to: &str, more: &[&str]) -> Output {
    let mut command = command(from, to, more);
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts")
}

async fn copied(from: &str, to: &str) -> Value {
    let output = copy(from, to, &["--json"]).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

async fn refused(from: &str, to: &str, why: &str) {
    let output = copy(from, to, &[]).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{said}");
}

fn file(folder: &Path) -> String {
    format!("redb:{}", folder.display())
}

/// How many there are of a kind.
fn count(copied: &Value, kind: &str) -> u64 {
    let found = copied["copied"].as_array().expect("a list").iter().find(|row| row["kind"] == kind);
    found.expect(kind)["count"].as_u64().expect("a number")
}

/// What a scene leaves behind.
struct Filled {
    flaky: Mailbox,
    /// Events whose deliveries wait for two hours, in the order in which they came.
    waiting: Vec<String>,
    job: String,
}

/// Has a host make something of everything.
async fn fill(world: &mut World) -> Filled {
    let flaky = Mailbox::open().await;
    flaky.answer(500);
    world.drop_plugin("hostile", &std::fs::read(env!("GUEST_HOSTILE")).expect("the guest was built"));
    world.restart().await;
    let web = &world.web;
    web.patch("/v1/tenants/acme", &json!({"description": "a customer", "timeout": "7s"})).await.expect(200);
    web.patch("/v1/host", &json!({"headers": {"X-Host": "h"}})).await.expect(200);
    web.put("/v1/event-types/invoice.paid", &json!({"description": "Somebody paid."})).await.expect(201);
    web.post("/v1/keys", &json!({"role": "ingest"})).await.expect(201);
    for shape in ["mark one", "mark two"] {
        let headers = [("content-type", "application/wasm")];
        let answer = web.send(http::Method::PUT, "/v1/plugins/changing", &headers, version(shape)).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    }
    let chain = json!([{"plugin": "hostile", "config": "echo", "on_failure": "fail"}]);
    world.endpoint(json!({"name": "dropped", "events": ["dropped"], "transforms": chain})).await;
    let chain = json!([{"plugin": "changing"}]);
    let good = json!({"name": "good", "tenant": "acme", "transforms": chain, "auth": {"type": "bearer", "token": "t"}});
    world.endpoint(good).await;
    let keep = json!([{"plugin": "filter", "config": {"keep": {"path": "n", "gte": 5}}}]);
    world.endpoint(json!({"name": "filtered", "events": ["n"], "transforms": keep})).await;
    let late = json!({"schedule": ["2h"]});
    world.endpoint(json!({"name": "flaky", "events": ["late"], "url": flaky.url("/"), "retry": late})).await;
    let line = json!({"name": "line", "events": ["line"], "url": flaky.url("/line"), "retry": late, "order": {"head": "wait"}});
    world.endpoint(line).await;
    let failing =
        json!({"name": "failing", "events": ["fails"], "url": flaky.url("/"), "retry": {"attempts": 1}});
    let failing = world.endpoint(failing).await;
    let off = world.endpoint(json!({"name": "off", "events": ["off"]})).await;
    world.web.patch(&off.path(), &json!({"enabled": false})).await.expect(200);
    let gone = world.endpoint(json!({"name": "gone", "events": ["gone"]})).await;

    let more = json!({"tenant": "acme", "id": "once", "channels": ["a", "b"]});
    let first = world.post_with("invoice.paid", r#"{"n":1}"#, more.clone()).await;
    world.outcome(&first).await;
    assert!(world.post_with("invoice.paid", r#"{"n":1}"#, more).await.duplicate);
    world.post("nobody.wants.it", "1").await;
    for n in [1, 9] {
        let posted = world.post("n", &format!("{{\"n\":{n}}}")).await;
        world.outcome(&posted).await;
    }
    let posted = world.post("gone", "1").await;
    world.outcome(&posted).await;
    world.web.delete(&gone.path()).await.expect(204);
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let posted = world.post("late", "1").await;
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        waiting.push(posted.id);
    }
    for n in 0..4 {
        waiting.push(world.post("line", &n.to_string()).await.id);
    }
    let head = world.event(&waiting[2]).await["deliveries"][0]["id"].as_str().expect("an id").to_owned();
    world.attempted(&head, 1).await;
    waiting.push(world.post("off", "1").await.id);
    let cancelled = world.post("off", "2").await;
    let id = world.only_delivery(&cancelled).await;
    world.web.post(&format!("/v1/deliveries/{id}/cancel"), &json!({})).await.expect(200);
    for n in 0..12 {
        let posted = world.post("fails", &n.to_string()).await;
        assert_eq!(world.outcome(&posted).await["state"], "failed");
    }
    // One in a second: it is stopped in the middle.
    let wanted = json!({"endpoint": failing.id, "state": "failed"});
    let job =
        world.web.post("/v1/replays", &wanted).await.expect(202)["id"].as_str().expect("an id").to_owned();
    let path = format!("/v1/replays/{job}");
    let some = async || {
        let job = world.web.get(&path).await.expect(200);
        (job["progress"]["made"].as_u64() >= Some(2)).then_some(())
    };
    world.until("some are delivered again", some).await;
    world.stop().await;
    all(&mut world.receiver).await;
    Filled { flaky, waiting, job }
}

/// What a host with nothing to do shows of everything, but for what goes by its own time.
async fn shown(store: &dyn Store) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    let page = PageRequest { after: None, limit: 1_000 };
    let (_, endpoints) = store.endpoints().await.unwrap();
    let ids: Vec<_> = endpoints.iter().map(|row| row.id).collect();
    shown.insert("standings".to_owned(), format!("{:#?}", store.standings(ids).await.unwrap()));
    shown.insert("endpoints".to_owned(), format!("{endpoints:#?}"));
    shown.insert("documents".to_owned(), format!("{:#?}", store.documents().await.unwrap()));
    shown.insert("plugins".to_owned(), format!("{:#?}", store.plugin_rows().await.unwrap()));
    let components = store.components().await.unwrap();
    for row in &components {
        let bytes = store.component(row.digest).await.unwrap().expect("it is kept");
        assert_eq!(hookwright::store::plugins::ComponentDigest::of(&bytes), row.digest);
    }
    shown.insert("components".to_owned(), format!("{components:#?}"));
    let events = store.events(Default::default(), page).await.unwrap();
    shown.insert("events".to_owned(), format!("{:#?}", events.items));
    let deliveries = store.deliveries(Default::default(), page).await.unwrap();
    shown.insert("deliveries".to_owned(), format!("{:#?}", deliveries.items));
    for delivery in &deliveries.items {
        let record = store.delivery(delivery.id).await.unwrap().expect("it is there");
        shown.insert(delivery.id.to_string(), format!("{:#?}", (record.delivery, record.attempts)));
    }
    let page = hookwright::store::ErrorPageRequest { after: None, limit: 1_000 };
    shown.insert(
        "errors".to_owned(),
        format!("{:#?}", store.errors(Default::default(), page).await.unwrap().groups),
    );
    let mut jobs = store.jobs().await.unwrap();
    for job in &mut jobs {
        // Places are of the store; what comes after them is not.
        let after = job.progress.cursor.take();
        let page = PageRequest { after, limit: 1_000 };
        let left = store.deliveries(job.deliveries(), page).await.unwrap().items;
        let left: Vec<_> = left.iter().map(|delivery| delivery.id).collect();
        shown.insert(format!("what is left to {}", job.id), format!("{left:?}"));
    }
    shown.insert("jobs".to_owned(), format!("{jobs:#?}"));
    shown.insert("pending".to_owned(), store.pending().await.unwrap().to_string());
    for tenant in ["acme", "default"] {
        let tenant = hookwright::event::Tenant::parse(tenant).unwrap();
        shown.insert(format!("bytes of {tenant:?}"), store.stored_bytes(tenant).await.unwrap().to_string());
    }
    shown
}

fn assert_same(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) {
    for (what, before) in before {
        assert_eq!(after.get(what), Some(before), "{what}");
    }
    assert_eq!(before.len(), after.len());
}

fn open_file(folder: &Path) -> RedbStore {
    RedbStore::open(&folder.join("hookwright.redb"), redb::Options::default()).expect("the file opens")
}

async fn open_database(url: &str) -> PostgresStore {
    PostgresStore::open(&Address::parse(url).expect("an address"), Options::default())
        .await
        .expect("it opens")
}

/// The statistics of a fixed hour, and lists, as a host shows them.
async fn overview(world: &World) -> BTreeMap<&'static str, Value> {
    let mut shown = BTreeMap::new();
    for path in
        ["/v1/endpoints", "/v1/plugins/changing/versions", "/v1/keys", "/v1/tenants/acme", "/v1/errors"]
    {
        shown.insert(path, world.web.get(path).await.expect(200));
    }
    let stats = world.web.get("/v1/overview").await.expect(200);
    shown.insert("overview", stats["totals"].clone());
    shown
}

/// There and back, with a host that goes on at each end.
#[test]
fn everything_moves_and_goes_on_where_it_was() {
    if !postgres::is_there() {
        return;
    }
    let stage = Stage::default().in_a_file().with(|config| {
        config.replay.rate = 1;
        // What is in the hands of a host cannot be copied.
        config.server.drain_timeout = PATIENCE;
    });
    stage.play(async |world| {
        let mut filled = fill(world).await;
        let home = world.data_dir();
        let before = shown(&open_file(&home)).await;
        assert!(before["jobs"].contains("Running"), "{}", before["jobs"]);

        let url = postgres::migrated().await;
        let there = copied(&file(&home), &url).await;
        let kinds = there["copied"].as_array().expect("a list");
        let missing: Vec<_> = kinds.iter().filter(|kind| kind["count"] == 0).collect();
        assert!(missing.is_empty(), "the scene has nothing of {missing:?}");
        assert!(there["sealing_key_fingerprint"].is_string());
        assert_same(&before, &shown(&open_database(&url).await).await);

        // And back again, into another folder.
        let other = world.dir().join("other");
        let back = copied(&url, &file(&other)).await;
        assert_eq!(back["copied"], there["copied"]);
        assert_same(&before, &shown(&open_file(&other)).await);

        // A host goes on in the database with what was begun in the file.
        world.config.replay.rate = 100;
        world.config.store.url = Some(Secret::new(url.clone()));
        world.start().await;
        goes_on(world, &mut filled).await;
        let in_database = overview(world).await;
        world.stop().await;
        let last = world.dir().join("last");
        let third = copied(&url, &file(&last)).await;
        assert!(count(&third, "events") > count(&there, "events"));
        world.config.store.url = None;
        std::fs::create_dir(last.join("plugins")).expect("a folder");
        for file in ["sealing.key", "plugins/hostile.wasm"] {
            std::fs::copy(home.join(file), last.join(file)).expect("it is copied");
        }
        world.config.host.data_dir = last;
        world.start().await;
        assert_eq!(overview(world).await, in_database);
        let posted = world.post_with("invoice.paid", r#"{"n":2}"#, json!({"tenant": "acme"})).await;
        assert_eq!(world.outcome(&posted).await["state"], "delivered");
    });
}

/// What has arrived and nobody has looked at.
async fn all(mailbox: &mut Mailbox) -> Vec<hookwright::receiver::Arrival> {
    let mut arrivals = Vec::new();
    while let Ok(arrival) = tokio::time::timeout(Duration::ZERO, mailbox.next()).await {
        arrivals.push(arrival);
    }
    arrivals
}

/// What waited arrives, in its order; the job ends; what a producer posted once is known.
async fn goes_on(world: &mut World, filled: &mut Filled) {
    let job = format!("/v1/replays/{}", filled.job);
    let ended = async || {
        let job = world.web.get(&job).await.expect(200);
        (job["state"] != "running").then_some(job)
    };
    let job = world.until("the replay ends", ended).await;
    assert_eq!(job["progress"], json!({"looked_at": 12, "made": 12, "skipped": {}}));
    let more = json!({"tenant": "acme", "id": "once", "channels": ["a", "b"]});
    assert!(world.post_with("invoice.paid", r#"{"n":1}"#, more).await.duplicate);
    filled.flaky.answer(200);
    for endpoint in world.web.get("/v1/endpoints").await.expect(200)["items"].as_array().expect("a list") {
        if endpoint["name"] == "off" {
            let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().expect("an id"));
            world.web.patch(&path, &json!({"enabled": true})).await.expect(200);
        }
    }
    world.clock.advance(Duration::from_secs(3 * 3_600));
    for event in &filled.waiting {
        let id = world.event(event).await["deliveries"][0]["id"].as_str().expect("an id").to_owned();
        assert_eq!(world.ended(&id).await["state"], "delivered", "{event}");
    }
    let line = all(&mut filled.flaky).await.into_iter();
    let line = line.filter(|arrival| arrival.path_and_query == "/line" && arrival.status == 200);
    let line: Vec<_> = line.map(|arrival| String::from_utf8_lossy(&arrival.body).into_owned()).collect();
    assert_eq!(line, ["0", "1", "2", "3"]);
    let posted = world.post_with("invoice.paid", r#"{"n":3}"#, json!({"tenant": "acme"})).await;
    assert_eq!(world.outcome(&posted).await["state"], "delivered");
    let posted = world.post("dropped", r#"{"n":3}"#).await;
    assert_eq!(world.outcome(&posted).await["state"], "delivered");
    let bodies = all(&mut world.receiver).await.into_iter();
    let bodies: Vec<_> = bodies.map(|arrival| String::from_utf8_lossy(&arrival.body).into_owned()).collect();
    assert!(bodies.iter().any(|body| body.ends_with("two")), "the uploaded plugin works: {bodies:?}");
}

/// A file with so many deliveries, one for each event: most of them have arrived, some wait.
async fn fill_file(path: &Path, deliveries: u64) {
    const STEP: u64 = 1_000;
    let store = RedbStore::open(path, redb::Options::default()).expect("a file");
    let endpoint = EndpointId::from_u128(7);
    let version = store.put_endpoint(small::row(endpoint, 1, false), vec![]).await.unwrap().unwrap();
    store.put_setting("sealing-key-fingerprint", b"of a key".to_vec()).await.unwrap();
    for first in (0..deliveries).step_by(STEP as usize) {
        let batch: Vec<Arrival> =
            (first..deliveries.min(first + STEP)).map(|n| arrival(n, endpoint)).collect();
        settle(&store, batch, version).await;
    }
}

async fn settle(store: &RedbStore, batch: Vec<Arrival>, version: BookVersion) {
    let Append::Done(answers) = store.append(batch.clone(), version, small::at(3_600)).await.unwrap() else {
        panic!("nobody changed the endpoints")
    };
    let leases = answers.iter().flat_map(small::taken).copied();
    let settled = leases.zip(&batch).enumerate().map(|(n, (lease, arrival))| {
        let delivery = hookwright::delivery::Delivery::promised(
            lease.delivery,
            arrival.deliveries[0].endpoint,
            &arrival.event,
        );
        let event = arrival.event.clone();
        let claimed = hookwright::store::Claimed { lease, delivery, event };
        if n % 10 == 0 {
            small::retried(&claimed, 1, 7_200)
        } else {
            small::finished(&claimed, hookwright::delivery::State::Delivered, 1)
        }
    });
    let settled: Vec<Settled> = settled.collect();
    assert!(store.settle(settled).await.unwrap().iter().all(|answer| answer.is_done()));
}

fn arrival(number: u64, endpoint: EndpointId) -> Arrival {
    let event = Event {
        id: EventId::mint(small::at(number / 1_000), number << 20),
        producer_id: Some(ProducerId::parse(&format!("producer-{number}")).unwrap()),
        event_type: small::event_type("invoice.paid"),
        tenant: Default::default(),
        timestamp: small::START,
        accepted_at: small::at(number / 1_000),
        channels: vec![],
        payload: format!(r#"{{"number":{number},"text":"{}"}}"#, "x".repeat(400)).into(),
    };
    let mut arrival = small::arrival(event, &[]);
    arrival.deliveries = vec![NewDelivery { endpoint, take: true }];
    arrival
}

/// Starts a copy, and kills it once it has come so far: while it copies (0) or checks (1), to so many percent.
fn kill_at(from: &str, to: &str, stage: usize, percent: u64) {
    let mut child =
        command(from, to, &[]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let lines = BufReader::new(child.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    let mut said = Vec::new();
    for line in lines {
        let at = |word: &str| line.strip_prefix(word)?.strip_suffix(" %")?.parse::<u64>().ok();
        let reached = (at("copied: ").map(|at| (0, at))).or(at("checked: ").map(|at| (1, at)));
        said.push(line.clone());
        if reached >= Some((stage, percent)) {
            break;
        }
    }
    child.kill().expect("it is killed");
    let ended = child.wait().expect("it is reaped");
    assert!(!ended.success(), "it never came so far, or had ended by itself: {said:?}");
}

/// The source stays as it is, so that both ways can be compared with it.
#[test]
fn killed_again_and_again_a_copy_goes_on_where_it_was() {
    if !postgres::is_there() {
        return;
    }
    let deliveries = std::env::var(SIZE).map_or(20_000, |size| size.parse().expect("a number"));
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let first = folder.path().join("first");
        std::fs::create_dir_all(&first).expect("a folder");
        fill_file(&first.join("hookwright.redb"), deliveries).await;
        let url = postgres::migrated().await;
        let there = moved(&file(&first), &url, async || {
            let unfinished = PostgresStore::open(&Address::parse(&url).unwrap(), Options::default()).await;
            unfinished.expect_err("it is refused").to_string()
        })
        .await;
        assert_eq!((count(&there, "events"), count(&there, "deliveries")), (deliveries, deliveries));
        let back = file(&folder.path().join("back"));
        let again = moved(&url, &back, async || {
            let path = folder.path().join("back/hookwright.redb");
            RedbStore::open(&path, redb::Options::default()).expect_err("it is refused").to_string()
        })
        .await;
        assert_eq!(again["copied"], there["copied"]);
        let stores: [Arc<dyn Store>; 2] =
            [Arc::new(open_database(&url).await), Arc::new(open_file(&folder.path().join("back")))];
        for store in stores {
            assert_eq!(store.pending().await.unwrap(), deliveries.div_ceil(10));
            assert_eq!(store.claim(small::all(7_200)).await.unwrap().len() as u64, deliveries.div_ceil(10));
        }
    });
}

async fn moved(from: &str, to: &str, unfinished: impl AsyncFn() -> String) -> Value {
    let begun = Instant::now();
    for (stage, percent) in [(0, 0), (0, 10), (0, 50), (0, 80), (1, 30)] {
        let (from, to) = (from.to_owned(), to.to_owned());
        let killing = tokio::task::spawn_blocking(move || kill_at(&from, &to, stage, percent));
        killing.await.expect("it is killed");
        let told = unfinished().await;
        assert!(told.contains("unfinished copy") && told.contains("`hookwright store copy`"), "{told}");
    }
    let killed = begun.elapsed();
    let moved = copied(from, to).await;
    println!("{from} to {to}: killed for {killed:?}, in all {:?}", begun.elapsed());
    moved
}

#[test]
fn what_cannot_be_copied_is_refused_with_a_reason() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let place = |name: &str| -> PathBuf { folder.path().join(name) };
        for (name, deliveries) in [("one", 3), ("two", 4)] {
            std::fs::create_dir_all(place(name)).expect("a folder");
            fill_file(&place(name).join("hookwright.redb"), deliveries).await;
        }
        let (one, two) = (file(&place("one")), file(&place("two")));
        refused(&file(&place("none")), &two, "there is none").await;
        refused(&one, &two, "the target is not empty").await;
        let url = postgres::empty().await;
        refused(&one, &url, "run `hookwright migrate`").await;
        let url = postgres::migrated().await;
        let open = open_file(&place("one"));
        refused(&one, &url, "is in use by another process").await;
        drop(open);
        let host = open_database(&url).await;
        host.put_setting("a", vec![1]).await.expect("it is written");
        refused(&one, &url, "the target is not empty").await;
        drop(host);

        // An unfinished copy is of one source, as it was.
        let url = postgres::migrated().await;
        begin(&place("one"), &url).await;
        refused(&two, &url, "--anew").await;
        let changed = open_file(&place("one"));
        changed.put_setting("b", vec![1]).await.expect("it is written");
        drop(changed);
        refused(&one, &url, "--anew").await;
        refused(&url, &file(&place("empty")), "unfinished copy").await;
        let anew = copy(&two, &url, &["--anew"]).await;
        assert!(anew.status.success(), "{}", String::from_utf8_lossy(&anew.stderr));

        let store = open_database(&url).await;
        let mut claim = small::all(7_200);
        claim.lease_until = hookwright::time::Timestamp::MAX;
        assert_eq!(store.claim(claim).await.expect("a claim").len(), 1);
        refused(&url, &file(&place("empty")), "in the hands of a server").await;
    });
}

/// As a copy that is killed as soon as it has begun.
async fn begin(from: &Path, to: &str) {
    let source = RedbSource::open(&from.join("hookwright.redb")).expect("it opens");
    let target =
        PostgresCopy::target(&Address::parse(to).expect("an address"), false).await.expect("it opens");
    let begun = target.begin(&source.identity().await.expect("it has one")).await.expect("it begins");
    assert_eq!(begun, Begun::From(Mark::BEGINNING));
}

/// Each table is emptied where a copy begins anew, or holds nothing that is copied.
#[test]
fn no_table_is_forgotten() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::migrated().await;
        let emptied =
            include_str!("../../../host/src/store/postgres/sql/copy_empty.sql").replace([',', '\n'], " ");
        let emptied: Vec<&str> = emptied.split_whitespace().collect();
        for table in postgres::tables(&url).await {
            let kept =
                ["migrations", "bearing", "book", "days", "pruning", "hosts"].contains(&table.as_str());
            assert!(kept != emptied.contains(&table.as_str()), "{table}");
        }
    });
}
