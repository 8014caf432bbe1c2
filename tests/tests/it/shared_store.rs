//! Several hosts on one database, and a database that goes away.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hookwright::app;
use hookwright::config::Config;
use hookwright::id::EndpointId;
use hookwright::secret::Secret;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::store::{
    Append, Arrival, Claim, Endpoints, EventFilter, History, Inbox, NewDelivery, PageRequest, Queue,
};
use hookwright_tests::conformance::world;
use hookwright_tests::harness::{Stage, runtime, until};
use hookwright_tests::postgres;
use serde_json::json;
use tokio::task::JoinSet;

async fn open(url: &str) -> Arc<PostgresStore> {
    let options = Options { connections: 6, ..Options::default() };
    Arc::new(PostgresStore::open(&Address::parse(url).unwrap(), options).await.unwrap())
}

fn arrival(number: u64, endpoint: EndpointId) -> Arrival {
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
    arrival.deliveries = vec![NewDelivery { endpoint, take: false }];
    arrival
}

/// Whatever two hosts append at the same time: a reader that goes on from where it stopped misses nothing.
#[test]
fn events_become_visible_in_their_order() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let url = postgres::migrated().await;
        let hosts = [open(&url).await, open(&url).await];
        let endpoint = EndpointId::from_u128(7);
        let version = hosts[0].put_endpoint(world::row(endpoint, 1, false), vec![]).await.unwrap().unwrap();
        let mut writers = JoinSet::new();
        for writer in 0..8_u64 {
            let host = hosts[(writer % 2) as usize].clone();
            writers.spawn(async move {
                for number in 0..25 {
                    let batch = vec![arrival(writer * 100 + number, endpoint)];
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
