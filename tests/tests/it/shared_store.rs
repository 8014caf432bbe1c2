//! Several hosts on one database, and a database that goes away.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookwright::app;
use hookwright::config::Config;
use hookwright::id::{DeliveryId, EndpointId};
use hookwright::secret::Secret;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::store::{
    Append, Arrival, BookVersion, Bucket, Claim, Endpoints, EventFilter, History, Inbox, NewDelivery,
    PageRequest, Queue, Scope, Statistics,
};
use hookwright::tally::{Resolution, Tally, Window};
use hookwright_tests::conformance::world;
use hookwright_tests::harness::{Stage, runtime, until};
use hookwright_tests::postgres;
use serde_json::json;
use tokio::task::JoinSet;

/// Of all deliveries here.
const ENDPOINT: EndpointId = EndpointId::from_u128(7);

async fn open(url: &str) -> Arc<PostgresStore> {
    let options = Options { connections: 6, ..Options::default() };
    Arc::new(PostgresStore::open(&Address::parse(url).unwrap(), options).await.unwrap())
}

/// On one database, which has the one endpoint.
async fn two_hosts() -> (String, [Arc<PostgresStore>; 2], BookVersion) {
    let url = postgres::migrated().await;
    let hosts = [open(&url).await, open(&url).await];
    let version = hosts[0].put_endpoint(world::row(ENDPOINT, 1, false), vec![]).await.unwrap().unwrap();
    (url, hosts, version)
}

fn arrival(number: u64) -> Arrival {
    let event = hookwright::event::Event {
        id: hookwright::id::EventId::mint(world::START, number << 20),
        producer_id: None,
        event_type: world::event_type("invoice.paid"),
        tenant: Default::default(),
        timestamp: world::START,
        accepted_at: world::START,
        channels: vec![],
        payload: b"{}".as_slice().into(),
    };
    let mut arrival = world::arrival(event, &[]);
    arrival.deliveries = vec![NewDelivery { endpoint: ENDPOINT, take: false }];
    arrival
}

/// Whatever two hosts append at the same time: a reader that goes on from where it stopped misses nothing.
#[test]
fn events_become_visible_in_their_order() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let (_, hosts, version) = two_hosts().await;
        let mut writers = JoinSet::new();
        for writer in 0..8_u64 {
            let host = hosts[(writer % 2) as usize].clone();
            writers.spawn(async move {
                for number in 0..25 {
                    let batch = vec![arrival(writer * 100 + number)];
                    let answer = host.append(batch, version, world::at(60)).await.unwrap();
                    assert!(matches!(answer, Append::Done(_)), "{answer:?}");
                }
            });
        }
        let mut seen: Vec<hookwright::id::EventId> = vec![];
        loop {
            let done = writers.is_empty() || seen.len() == 200;
            let page = PageRequest { after: None, limit: 1_000 };
            let listed = hosts[0].events(EventFilter::default(), page).await.unwrap().items;
            let listed: Vec<_> = listed.iter().rev().map(|event| event.id).collect();
            assert!(listed.starts_with(&seen), "what comes later stands behind what was there");
            seen = listed;
            if done {
                break;
            }
            while writers.try_join_next().map(|ended| ended.unwrap()).is_some() {}
        }
        assert_eq!(seen.len(), 200);
        let mut claimers = JoinSet::new();
        for host in hosts.into_iter().cycle().take(6) {
            claimers.spawn(async move {
                let mut mine = vec![];
                loop {
                    let claim = Claim { limit: 9, skip: HashSet::new(), ..world::all(0) };
                    let claimed = host.claim(claim).await.unwrap();
                    if claimed.is_empty() {
                        return mine;
                    }
                    mine.extend(claimed.into_iter().map(|claimed| claimed.delivery.id));
                }
            });
        }
        let claimed: Vec<_> = claimers.join_all().await.into_iter().flatten().collect();
        assert_eq!(claimed.len(), 200);
        assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 200, "none is handed out twice");
    });
}

#[test]
fn pending_migrations_stop_the_start_with_the_command() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::empty().await;
        let address = Address::parse(&url).unwrap();
        let refused = PostgresStore::open(&address, Options::default()).await.unwrap_err().to_string();
        assert!(refused.contains("run `hookwright migrate`"), "{refused}");
        let mut config = Config::default();
        config.store.url = Some(Secret::new(url));
        let first = app::migrate(&config).await.unwrap();
        assert_eq!((first.from, first.to > 0), (0, true));
        let again = app::migrate(&config).await.unwrap();
        assert_eq!((again.from, again.to), (first.to, first.to));
        PostgresStore::open(&address, Options::default()).await.unwrap();
    });
}

/// Of a rolling upgrade: the tables are newer already where a host of the version before starts again.
#[test]
fn newer_tables_are_worked_with_where_they_bear_this_version() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::migrated().await;
        let address = Address::parse(&url).unwrap();
        let known = PostgresStore::migrate(&address).await.unwrap().to;
        let client = postgres::connect(&url).await;
        client.batch_execute(&format!("INSERT INTO migrations VALUES ({})", known + 1)).await.unwrap();
        PostgresStore::open(&address, Options::default()).await.expect("a migration that only adds is borne");
        assert_eq!(PostgresStore::migrate(&address).await.unwrap().to, known + 1, "there is nothing to do");
        client.batch_execute(&format!("UPDATE bearing SET oldest = {}", known + 1)).await.unwrap();
        let refused = PostgresStore::open(&address, Options::default()).await.unwrap_err().to_string();
        assert!(refused.contains("start a newer one"), "{refused}");
    });
}

/// While some count and others add up what was counted, each reading is of one moment.
#[test]
fn counts_are_whole_while_they_are_added_up() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let (url, hosts, version) = two_hosts().await;
        let window = Window::new(Resolution::Minute, world::START, world::at(60)).unwrap();
        let scopes = vec![Scope::Host, Scope::Endpoint(ENDPOINT)];
        let count = async |host: &PostgresStore| {
            let counted = host.tallies(scopes.clone(), window).await.unwrap();
            let [host, endpoint] = &counted[..] else { panic!("two were asked for") };
            let sum = |buckets: &[Bucket]| Tally::sum(buckets.iter().map(|bucket| &bucket.tally)).promised;
            assert_eq!(sum(host), sum(endpoint));
            sum(host)
        };
        let client = postgres::connect(&url).await;
        let waiting = async || -> i64 {
            let row = client.query_one("SELECT count(*) FROM tally_changes", &[]).await.unwrap();
            row.get(0)
        };
        let (mut number, mut before, mut times) = (0, 0, 0);
        until("rows were added up three times", async || {
            let [writer, reader] = [number % 2, (number + 1) % 2].map(|place| &hosts[place as usize]);
            writer.append(vec![arrival(number)], version, world::at(60)).await.unwrap();
            number += 1;
            for _ in 0..4 {
                assert_eq!(count(reader).await, number);
            }
            let now = waiting().await;
            times += i32::from(now <= before);
            before = now;
            (times == 3).then_some(())
        })
        .await;
        until("all is added up", async || (waiting().await == 0).then_some(())).await;
        assert_eq!(count(&hosts[0]).await, number);
        // One that cannot be read keeps nobody from counting.
        client.batch_execute("INSERT INTO tally_changes (row) VALUES ('\\xff')").await.unwrap();
        hosts[0].append(vec![arrival(number)], version, world::at(60)).await.unwrap();
        assert_eq!(count(&hosts[1]).await, number + 1);
        until("the other one is added up", async || (waiting().await == 1).then_some(())).await;
        assert_eq!(count(&hosts[1]).await, number + 1);
    });
}

/// Where whoever asked for a change gives up while the database waits for a lock, the change is not made once it is free.
#[test]
fn what_was_given_up_is_not_committed_later() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::migrated().await;
        let options = Options { deadline: Duration::from_secs(3_600), ..Options::default() };
        let host = Arc::new(PostgresStore::open(&Address::parse(&url).unwrap(), options).await.unwrap());
        let version = host.put_endpoint(world::row(ENDPOINT, 1, false), vec![]).await.unwrap().unwrap();
        let event = arrival(0);
        let delivery = DeliveryId::of(event.event.id, 0);
        host.append(vec![event], version, world::at(60)).await.unwrap();
        let (mut lock, watch) = (postgres::connect(&url).await, postgres::connect(&url).await);
        let server: String = watch.query_one("SELECT version()", &[]).await.unwrap().get(0);
        if !server.contains("linux") {
            return eprintln!("skipped: this server cannot tell that a client has gone");
        }
        let held = lock.transaction().await.unwrap();
        held.batch_execute("LOCK TABLE standings IN EXCLUSIVE MODE").await.unwrap();
        let waits = async || -> bool {
            let sql = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE relation = 'standings'::regclass AND NOT granted)";
            watch.query_one(sql, &[]).await.unwrap().get(0)
        };
        let cancels = tokio::spawn({
            let host = host.clone();
            async move { host.cancel(delivery, "nobody wants it".to_owned(), world::at(1)).await }
        });
        until("the change waits", async || waits().await.then_some(())).await;
        cancels.abort();
        until("nobody waits any longer", async || (!waits().await).then_some(())).await;
        held.rollback().await.unwrap();
        assert_eq!(host.pending().await.unwrap(), 1);
        host.cancel(delivery, "now it is".to_owned(), world::at(2)).await.unwrap();
        assert_eq!(host.pending().await.unwrap(), 0);
    });
}

/// Another host deletes an endpoint; nobody tells this one.
#[test]
fn a_change_on_one_host_holds_on_the_other() {
    if !postgres::is_there() {
        return;
    }
    Stage::default().in_postgres().play(async |world| {
        let other = open(world.config.store.url.as_ref().unwrap().expose()).await;
        let endpoint = world.endpoint(json!({})).await;
        assert_eq!(world.web.get(&endpoint.path()).await.status, 200);
        let (_, rows) = other.endpoints().await.unwrap();
        other.delete_endpoint(rows[0].id).await.unwrap().expect("it was there");
        let gone = async || (world.web.get(&endpoint.path()).await.status == 404).then_some(());
        world.until("the endpoint is gone here too", gone).await;
        assert_eq!(world.post("invoice.paid", "{}").await.deliveries, 0);
    });
}

/// A server of its own, and settings that play on it.
fn private() -> Option<(postgres::Server, impl FnOnce(&mut Config))> {
    let server = postgres::Server::start()?;
    let url = runtime().block_on(async {
        let url = server.schema().await;
        PostgresStore::migrate(&Address::parse(&url).unwrap()).await.unwrap();
        url
    });
    let on_it = |config: &mut Config| {
        config.store.url = Some(Secret::new(url));
        config.sealing_key = Some(Secret::new("c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXQ="));
    };
    Some((server, on_it))
}

/// A database that stands still is one that is away, once it had its time.
#[test]
fn a_database_that_does_not_answer_keeps_nobody_waiting() {
    let Some((server, on_it)) = private() else { return };
    Stage::default().with(on_it).play(async |world| {
        world.endpoint(json!({})).await;
        world.post("invoice.paid", "{}").await;
        world.receiver.next().await;
        // The database had all its time for what has to be done; from now on it has little.
        world.stop().await;
        world.config.store.timeout = Duration::from_secs(2);
        until("the host starts", async || world.try_start().await.ok()).await;
        server.freeze();
        let begun = Instant::now();
        let event = r#"{"type":"invoice.paid","payload":{"n":2}}"#;
        let (refused, probe) = tokio::join!(world.post_raw(event), world.web.get("/readyz"));
        let waited = begun.elapsed();
        server.thaw();
        assert_eq!((refused.status, probe.status), (503, 503));
        assert!(refused.headers.contains_key("retry-after"));
        // Without the setting they would have waited for ten.
        assert!(waited < Duration::from_secs(9), "they waited for {waited:?}");
        let accepted = async || Some(world.post_raw(event).await).filter(|answer| answer.status == 202);
        world.until("an event is accepted again", accepted).await;
        world.receiver.next().await;
    });
}

/// What was accepted arrives, and what cannot be kept is not accepted.
#[test]
fn a_database_that_was_away_is_used_again() {
    let Some((server, on_it)) = private() else { return };
    Stage::default().with(on_it).play(async |world| {
        world.endpoint(json!({})).await;
        world.post("invoice.paid", "{}").await;
        world.receiver.next().await;
        server.crash();
        let event = r#"{"type":"invoice.paid","payload":{"n":2}}"#;
        let refused = world.post_raw(event).await;
        assert_eq!(refused.status, 503);
        assert!(refused.headers.contains_key("retry-after"));
        assert_eq!(world.web.get("/readyz").await.status, 503, "it says so");
        server.resume();
        let accepted = async || Some(world.post_raw(event).await).filter(|answer| answer.status == 202);
        world.until("an event is accepted again", accepted).await;
        world.receiver.next().await;
    });
}
