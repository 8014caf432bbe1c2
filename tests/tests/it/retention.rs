//! The days of a shared store: each has tables of its own, and goes with them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hookwright::delivery::State;
use hookwright::event::Tenant;
use hookwright::id::EndpointId;
use hookwright::store::postgres::{Address, Options, PostgresStore};
use hookwright::store::{Append, Appended, DeliveryFilter, EventFilter, History, Inbox, Replay, Store};
use hookwright_tests::conformance::Subject;
use hookwright_tests::conformance::world::{World, at, finished, ids, retried, waiting};
use hookwright_tests::harness::{runtime, until};
use hookwright_tests::postgres;
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

/// The worlds begin shortly before the midnight at the end of 2023-11-14.
const MIDNIGHT: u64 = 6_400;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// The seconds of a world at this hour of the so manieth day after the one on which it begins: the first is 2023-11-15.
fn hour(day: u64, hour: u64) -> u64 {
    MIDNIGHT + (day - 1) * DAY + hour * HOUR
}

struct Database {
    store: Arc<dyn Store>,
    url: String,
}

#[async_trait]
impl Subject for Database {
    fn is_there() -> bool {
        postgres::is_there()
    }

    async fn create() -> Self {
        let url = postgres::migrated().await;
        Self { store: open(&url, Duration::ZERO).await, url }
    }

    fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }
}

/// Another host.
async fn open(url: &str, whole_days: Duration) -> Arc<PostgresStore> {
    let options =
        Options { connections: 6, deadline: Duration::from_secs(30), whole_days, ..Options::default() };
    Arc::new(PostgresStore::open(&Address::parse(url).unwrap(), options).await.unwrap())
}

/// Somebody who looks at the tables.
async fn look(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

fn play(scene: impl AsyncFnOnce(World<Database>)) {
    if postgres::is_there() {
        runtime().block_on(async { scene(World::new().await).await });
    }
}

/// The tables of a day such as `2023_11_15`.
async fn tables(world: &World<Database>, day: &str) -> Vec<String> {
    let sql = "SELECT relname::text FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
               AND relkind = 'r' AND relname LIKE '%\\_' || $1 ORDER BY relname";
    let rows = look(&world.subject.url).await.query(sql, &[&day]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn bytes(world: &World<Database>) -> u64 {
    world.stored_bytes(Tenant::default()).await.unwrap()
}

/// An event under this name, delivered an hour later.
async fn deliver_named(world: &World<Database>, seconds: u64, name: &str, endpoint: EndpointId) {
    let answers = world.accept(vec![waiting(world.named(seconds, name), &[endpoint])]).await;
    assert!(matches!(answers[0], Appended::Accepted { .. }), "{answers:?}");
    world.finish_all(seconds + HOUR, State::Delivered).await;
}

#[test]
fn a_day_goes_with_its_tables() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        deliver_named(&world, hour(1, 12), "n-1", endpoint).await;
        let one = bytes(&world).await;
        assert!(one > 0);
        deliver_named(&world, hour(2, 12), "n-2", endpoint).await;
        let failing = world.post_one(hour(2, 14), endpoint).await;
        let claimed = world.claim_one(hour(2, 14)).await;
        world.settle_one(retried(&claimed, hour(2, 15), hour(9, 0))).await;
        assert_eq!(bytes(&world).await, 3 * one);
        let all = |day: &str| ["attempts", "deliveries", "events"].map(|table| format!("{table}_{day}"));
        assert_eq!(tables(&world, "2023_11_15").await, all("2023_11_15"));

        assert_eq!(world.prune_all(hour(2, 1), 10).await, (1, 1));
        assert_eq!(tables(&world, "2023_11_15").await, <[String; 0]>::default());
        assert_eq!(tables(&world, "2023_11_16").await, all("2023_11_16"));
        assert_eq!(world.all_events(EventFilter::default(), 10).await.len(), 2);
        assert_eq!(world.all_deliveries(DeliveryFilter::default(), 10).await.len(), 2);
        assert_eq!(world.attempts(failing).await.len(), 1);
        assert_eq!(bytes(&world).await, 2 * one);

        let again = world.accept(vec![waiting(world.named(hour(2, 16), "n-1"), &[])]).await;
        assert!(matches!(again[0], Appended::Accepted { .. }), "its name is free: {again:?}");
        let known = world.accept(vec![waiting(world.named(hour(2, 16), "n-2"), &[])]).await;
        assert!(!matches!(known[0], Appended::Accepted { .. }), "this one's is not: {known:?}");
    });
}

#[test]
fn a_day_with_something_pending_stays_and_loses_the_rest() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        world.finished_delivery(hour(1, 12), endpoint).await;
        let pending = world.post_one(hour(1, 13), endpoint).await;
        assert_eq!(world.prune_all(hour(20, 0), 10).await, (1, 1));
        assert_eq!(tables(&world, "2023_11_15").await.len(), 3);
        assert_eq!(world.stored(pending).await.state, State::Pending);
        let claimed = world.claim_one(hour(20, 0)).await;
        assert_eq!(claimed.delivery.id, pending);
        world.settle_one(finished(&claimed, State::Delivered, hour(20, 1))).await;
        assert_eq!(world.prune_all(hour(20, 1), 10).await, (0, 0), "it ended at that very time");
        assert_eq!(world.prune_all(hour(20, 2), 10).await, (1, 1));
        assert_eq!(tables(&world, "2023_11_15").await.len(), 0);
        assert_eq!(bytes(&world).await, 0);
    });
}

/// What an operator allows it: the old waits for the young of its day, so that they go together, but not for ever.
#[test]
fn a_day_may_wait_until_it_can_go_whole() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        world.finished_delivery(hour(1, 12), endpoint).await;
        world.post_one(hour(1, 13), endpoint).await;
        let late = world.claim_one(hour(1, 13)).await;
        world.settle_one(finished(&late, State::Delivered, hour(2, 12))).await;
        world.finished_delivery(hour(3, 12), endpoint).await;
        world.post_one(hour(3, 13), endpoint).await;
        let patient = open(&world.subject.url, Duration::from_secs(2 * DAY)).await;
        let prune = async |seconds| {
            let mut sum = (0, 0);
            loop {
                let pruned = patient.prune(at(seconds), 10).await.unwrap();
                sum = (sum.0 + pruned.events, sum.1 + pruned.deliveries);
                if pruned.done {
                    return sum;
                }
            }
        };
        assert_eq!(prune(hour(2, 6)).await, (0, 0), "a delivery of the day is too young");
        assert_eq!(prune(hour(2, 13)).await, (2, 2), "all of the day together");
        assert_eq!(tables(&world, "2023_11_15").await.len(), 0);
        assert_eq!(prune(hour(5, 12)).await, (0, 0), "one of the third day is pending");
        assert_eq!(prune(hour(5, 13)).await, (1, 1), "two days are over");
        assert_eq!(tables(&world, "2023_11_17").await.len(), 3);
    });
}

#[test]
fn two_hosts_that_prune_at_once_count_nothing_twice() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        for number in 0..60 {
            deliver_named(&world, hour(1 + number / 15, number % 15), &format!("n-{number}"), endpoint).await;
        }
        let stays = world.post_one(hour(4, 20), endpoint).await;
        let looker = Arc::new(look(&world.subject.url).await);
        let mut pruning = JoinSet::new();
        for _ in 0..3 {
            let (host, looker) = (open(&world.subject.url, Duration::ZERO).await, looker.clone());
            pruning.spawn(async move {
                let mut sum = (0, 0);
                loop {
                    let pruned = host.prune(at(hour(9, 0)), 7).await.unwrap();
                    sum = (sum.0 + pruned.events, sum.1 + pruned.deliveries);
                    let left = "SELECT (SELECT count(*) FROM events) + (SELECT count(*) FROM days WHERE day < 19679)";
                    let left: i64 = looker.query_one(left, &[]).await.unwrap().get(0);
                    if left == 1 {
                        return sum;
                    }
                }
            });
        }
        let sums = pruning.join_all().await;
        let sum = sums.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        assert_eq!(sum, (60, 60), "{sums:?}");
        assert_eq!(world.stored(stays).await.state, State::Pending);
        assert_eq!(bytes(&world).await, 2, "of what stays");
    });
}

/// Somebody reads a day for long, say for a backup; then the connection of the host that waits for it is cut.
#[test]
fn what_was_cut_off_in_the_middle_is_finished_by_the_next() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        for number in 0..5 {
            deliver_named(&world, hour(1, number), &format!("n-{number}"), endpoint).await;
        }
        let [reader, looker] = [look(&world.subject.url).await, look(&world.subject.url).await];
        reader.batch_execute("BEGIN; SELECT count(*) FROM deliveries").await.unwrap();
        let host = open(&world.subject.url, Duration::ZERO).await;
        let pruning = tokio::spawn(async move { host.prune(at(hour(3, 0)), 10).await });
        let waits = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%DETACH%deliveries\\_2023\\_11\\_15%' \
                     AND $1 = ANY (pg_blocking_pids(pid))";
        let reading: i32 = reader.query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0);
        let waiting_for = async || looker.query_opt(waits, &[&reading]).await.unwrap();
        let pid: i32 = until("the host waits for the reader", waiting_for).await.get(0);

        let other = world.post_one(hour(2, 1), endpoint).await;
        world.finish_all(hour(2, 1), State::Delivered).await;
        assert_eq!(world.stored(other).await.state, State::Delivered, "deliveries do not wait");

        looker.query_one("SELECT pg_terminate_backend($1)", &[&pid]).await.unwrap();
        pruning.await.unwrap().unwrap_err();
        // Its locks go with its process, which says so first.
        let sql = "SELECT FROM pg_stat_activity WHERE pid = $1";
        let is_gone = async || looker.query_opt(sql, &[&pid]).await.unwrap().is_none().then_some(());
        until("its process has ended", is_gone).await;
        let detaching =
            "SELECT count(*) FROM pg_inherits WHERE inhdetachpending AND inhparent = 'deliveries'::regclass";
        let detaching: i64 = looker.query_one(detaching, &[]).await.unwrap().get(0);
        assert_eq!(detaching, 1, "it was cut off in the middle");
        assert_eq!(world.post_one(hour(2, 2), endpoint).await, ids(&world.claim_all(hour(2, 2)).await)[0]);
        reader.batch_execute("COMMIT").await.unwrap();

        assert_eq!(world.prune_all(hour(2, 0), 10).await, (5, 5));
        assert_eq!(tables(&world, "2023_11_15").await.len(), 0);
        assert_eq!(world.prune_all(hour(2, 0), 10).await, (0, 0));
        assert_eq!(bytes(&world).await, 4, "of the second day");
    });
}

#[test]
fn what_was_cut_off_between_detaching_and_dropping_is_finished() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        deliver_named(&world, hour(1, 1), "n-1", endpoint).await;
        let left_behind = "UPDATE days SET stage = 'leaving' WHERE day = 19676; DROP TABLE attempts_2023_11_15; \
                           ALTER TABLE deliveries DETACH PARTITION deliveries_2023_11_15";
        look(&world.subject.url).await.batch_execute(left_behind).await.unwrap();
        assert_eq!(world.prune_all(1, 10).await, (1, 1), "whatever is old by now");
        assert_eq!(tables(&world, "2023_11_15").await.len(), 0);
        assert_eq!(bytes(&world).await, 0);
        deliver_named(&world, hour(1, 2), "n-1", endpoint).await;
    });
}

/// More than are made free in one step.
#[test]
fn all_names_of_a_day_are_free_once_it_is_gone() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        deliver_named(&world, hour(1, 1), "n-0", endpoint).await;
        deliver_named(&world, hour(3, 1), "kept", endpoint).await;
        let many = "INSERT INTO producer_ids (tenant, producer_id, sequence, event, content, deliveries) \
                    SELECT tenant, 'n-' || number, sequence + number, event, content, deliveries \
                    FROM producer_ids, generate_series(1, 25000) AS number WHERE producer_id = 'n-0'";
        let looker = look(&world.subject.url).await;
        looker.batch_execute(many).await.unwrap();
        assert_eq!(world.prune_all(hour(3, 0), 10).await, (1, 1));
        let left = looker.query("SELECT producer_id FROM producer_ids", &[]).await.unwrap();
        let left: Vec<&str> = left.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, ["kept"]);
    });
}

#[test]
fn nothing_is_delivered_again_of_a_day_that_is_marked() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        let id = world.finished_delivery(hour(1, 1), endpoint).await;
        let mark = "UPDATE days SET stage = 'marked' WHERE day = 19676";
        look(&world.subject.url).await.batch_execute(mark).await.unwrap();
        assert_eq!(world.replay(id, false, at(hour(1, 3))).await.unwrap(), Replay::NotFound);
        assert_eq!(world.prune_all(hour(1, 1), 10).await, (0, 0), "it is too young after all");
        let again = world.replay(id, false, at(hour(1, 3))).await.unwrap();
        assert!(matches!(again, Replay::Done(_)), "{again:?}");
        assert_eq!(world.prune_all(hour(9, 0), 10).await, (0, 1), "the replay keeps its event and its day");
        assert_eq!(tables(&world, "2023_11_15").await.len(), 3);
    });
}

#[test]
fn events_around_midnight_keep_their_order_and_are_found() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        let batch = [MIDNIGHT - 1, MIDNIGHT + 1, MIDNIGHT - 2].map(|seconds| world.new_event(seconds));
        let mut posted: Vec<_> = batch.iter().map(|event| event.id).collect();
        world.accept(batch.map(|event| waiting(event, &[endpoint])).into()).await;
        // The clock of one host is behind, and the order has gone further.
        for seconds in [MIDNIGHT - 3, hour(4, 1), hour(1, 1)] {
            posted.push(world.post_one(seconds, endpoint).await.event());
        }
        let newest_first: Vec<_> = posted.iter().rev().copied().collect();
        assert_eq!(world.all_events(EventFilter::default(), 2).await, newest_first);
        for id in &posted {
            let record = world.event(*id).await.unwrap().expect("it is found by its id");
            assert_eq!(record.deliveries.len(), 1);
        }
        world.finish_all(hour(4, 2), State::Delivered).await;
        let delivered = world.all_deliveries(DeliveryFilter::default(), 4).await;
        let events: Vec<_> = delivered.iter().map(|delivery| delivery.id.event()).collect();
        assert_eq!(events, newest_first);
        assert_eq!(tables(&world, "2023_11_14").await.len(), 0, "one day for all of a batch");
    });
}

/// One host's clock is off by decades, and it does not take the others along.
#[test]
fn a_clock_far_ahead_does_no_harm() {
    play(async |world| {
        let endpoint = world.endpoint().await;
        let astray = world.post_one(hour(40_000, 0), endpoint).await;
        let next = world.post_one(hour(1, 0), endpoint).await;
        world.finish_all(hour(40_000, 1), State::Delivered).await;
        assert_eq!(world.stored(astray).await.state, State::Delivered);
        assert_eq!(world.stored(next).await.state, State::Delivered);
        let last = "SELECT max(day) <= extract(epoch FROM now()) / 86400 + 2 FROM days";
        let near: bool = look(&world.subject.url).await.query_one(last, &[]).await.unwrap().get(0);
        assert!(near, "no day lies far ahead");
    });
}

#[test]
fn hosts_that_are_first_on_a_day_at_once_make_it_once() {
    play(async |world| {
        let (endpoint, version) = (world.endpoint().await, world.version().await);
        let mut writers = JoinSet::new();
        for number in 0..12_u64 {
            let host = open(&world.subject.url, Duration::ZERO).await;
            let arrivals: Vec<_> =
                (1..4).map(|day| waiting(world.new_event(hour(day, number)), &[endpoint])).collect();
            writers.spawn(async move {
                for arrival in arrivals {
                    let answer = host.append(vec![arrival], version, at(hour(5, 0))).await.unwrap();
                    assert!(matches!(answer, Append::Done(_)), "{answer:?}");
                }
            });
        }
        writers.join_all().await;
        assert_eq!(world.all_events(EventFilter::default(), 50).await.len(), 36);
        assert_eq!(tables(&world, "2023_11_17").await.len(), 3);
    });
}

/// A host that starts, and retention, which runs again and again, make the coming days before they are needed.
#[test]
fn the_coming_days_are_there_before_they_come() {
    play(async |world| {
        let looker = look(&world.subject.url).await;
        let ahead = "SELECT count(*) FROM days WHERE day > extract(epoch FROM now()) / 86400";
        let count = async || -> i64 { looker.query_one(ahead, &[]).await.unwrap().get(0) };
        assert_eq!(count().await, 2);
        let gone = "DO $$ DECLARE part text; BEGIN \
                    FOR part IN SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace \
                        AND relkind = 'r' AND relname ~ '_\\d{4}_\\d\\d_\\d\\d$' \
                    LOOP EXECUTE 'DROP TABLE ' || part; END LOOP; DELETE FROM days; END $$";
        looker.batch_execute(gone).await.unwrap();
        world.prune(at(0), 1).await.unwrap();
        assert_eq!(count().await, 2);
    });
}
