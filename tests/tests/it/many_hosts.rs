//! Several hosts, each a process of its own, deliver from one database.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use hookwright::receiver::{Arrival, Receiver, Reply};
use hookwright::time::{Clock as _, SystemClock, Timestamp};
use hookwright_tests::harness::{PATIENCE, Stage, runtime, until};
use hookwright_tests::postgres;
use hookwright_tests::process::{Api, Launch, Process};
use http::{Method, StatusCode};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");
const SEALING_KEY: &str = "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXQ=";
/// So that nobody waits for long until what a host held is taken up.
const LEASE: Duration = Duration::from_secs(4);

/// A database, and folders for the hosts on it.
struct Site {
    url: String,
    folder: tempfile::TempDir,
}

impl Site {
    async fn open() -> Self {
        Self { url: postgres::migrated().await, folder: tempfile::tempdir().expect("a directory") }
    }

    fn launch(&self, name: &str) -> Launch {
        launch(&self.url, &self.folder.path().join(name))
    }
}

fn launch(url: &str, data_dir: &Path) -> Launch {
    Launch::new(BINARY, data_dir)
        .with("HOOKWRIGHT_STORE_URL", url)
        .with("HOOKWRIGHT_STORE_CONNECTIONS", "6")
        .with("HOOKWRIGHT_SEALING_KEY", SEALING_KEY)
        .with("HOOKWRIGHT_DELIVERY_LEASE", &format!("{}s", LEASE.as_secs()))
}

async fn receiver() -> Receiver {
    Receiver::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port")
}

async fn endpoint(api: &Api, receiver: &Receiver, events: &str, more: Value) -> Value {
    let mut spec = json!({
        "name": events,
        "url": receiver.url("/"),
        "events": [events],
        "retry": {"every": "1s"},
    });
    for (name, value) in more.as_object().expect("an object") {
        spec[name] = value.clone();
    }
    api.expect(Method::POST, "/v1/endpoints", &spec.to_string(), 201).await
}

/// Posts as a producer does: where the host cannot take it now, once more.
async fn post(api: &Api, event_type: &str, number: usize) {
    let event = json!({"type": event_type, "id": format!("{event_type}-{number}"), "payload": {"n": number}});
    until("it is accepted", async || {
        let answer = api.post("/v1/events", &event).await.expect("an answer");
        (answer.status != 503).then(|| answer.expect(202))
    })
    .await;
}

/// The next so many arrivals.
async fn arrivals(receiver: &mut Receiver, count: usize) -> Vec<Arrival> {
    let mut arrived = Vec::with_capacity(count);
    while arrived.len() < count {
        let next = tokio::time::timeout(PATIENCE * 2, receiver.next()).await;
        arrived.push(next.unwrap_or_else(|_| panic!("{} of {count} arrived", arrived.len())));
    }
    arrived
}

/// The most arrivals within any such span.
fn most_within(arrived: &[Arrival], span: Duration) -> usize {
    let mut times: Vec<Timestamp> = arrived.iter().map(|arrival| arrival.at).collect();
    times.sort_unstable();
    let within =
        |first: &Timestamp| times.iter().filter(|at| *at >= first && at.since(*first) < span).count();
    times.iter().map(within).max().unwrap_or_default()
}

fn number(arrival: &Arrival) -> usize {
    let body: Value = serde_json::from_slice(&arrival.body).expect("JSON");
    body["n"].as_u64().expect("a number") as usize
}

fn numbers(arrived: &[Arrival]) -> Vec<usize> {
    arrived.iter().map(number).collect()
}

/// Attempts that a host has made.
async fn attempts(host: &Process) -> u64 {
    let page = host.api().send(Method::GET, "/metrics", "").await.expect("an answer");
    let text = String::from_utf8(page.body.to_vec()).expect("text");
    let lines = text.lines().filter(|line| line.starts_with("hookwright_attempts_total"));
    lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// Two requests at once, and one at a time, however many hosts send them, and while hosts come and go.
#[test]
fn concurrency_holds_over_all_hosts_together() {
    const EVENTS: usize = 16;
    const TAKES: Duration = Duration::from_millis(300);
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let site = Site::open().await;
        let (mut pairs, mut single) = (receiver().await, receiver().await);
        for receiver in [&pairs, &single] {
            receiver.reply(Reply { delay: TAKES, ..Reply::status(StatusCode::OK) });
        }
        let first = site.launch("first").start();
        let api = first.api();
        endpoint(&api, &pairs, "pairs", json!({"concurrency": 2})).await;
        endpoint(&api, &single, "single", json!({"concurrency": 1})).await;
        for number in 0..EVENTS {
            post(&api, "pairs", number).await;
            post(&api, "single", number).await;
        }
        let mut arrived = arrivals(&mut pairs, 4).await;
        // Both join in the midst of it.
        let (second, third) = (site.launch("second").start(), site.launch("third").start());
        for number in EVENTS..EVENTS * 2 {
            post(&second.api(), "pairs", number).await;
            post(&third.api(), "single", number).await;
        }
        arrived.extend(arrivals(&mut pairs, EVENTS).await);
        let killed = attempts(&second).await;
        tokio::task::block_in_place(|| second.kill());
        let second = site.launch("second").start();
        let all = |arrived: &[Arrival]| {
            let mut seen = numbers(arrived);
            seen.sort_unstable();
            seen.dedup();
            seen.len() == EVENTS * 2
        };
        while !all(&arrived) {
            arrived.extend(arrivals(&mut pairs, 1).await);
        }
        let mut alone = arrivals(&mut single, EVENTS * 2).await;
        while !all(&alone) {
            alone.extend(arrivals(&mut single, 1).await);
        }
        let span = TAKES - Duration::from_millis(20);
        assert_eq!((most_within(&alone, span), most_within(&arrived, span)), (1, 2));
        // Whoever looked first may have taken all that there was. What is posted to a host with a share is its own.
        pairs.reply(Reply::status(StatusCode::OK));
        let hosts = [(&first, 0), (&second, killed), (&third, 0)];
        let mut more = EVENTS * 2..;
        until("two hosts have had work", async || {
            let mut busy = 0;
            for (host, before) in hosts {
                busy += usize::from(before + attempts(host).await > 0);
            }
            if busy >= 2 {
                return Some(());
            }
            for ((host, _), number) in hosts.into_iter().zip(more.by_ref()) {
                post(&host.api(), "pairs", number).await;
            }
            None
        })
        .await;
    });
}

/// One host has an endpoint with a rate; when another takes it over, it goes on from what was sent.
#[test]
fn a_rate_holds_over_all_hosts_together() {
    const REQUESTS: usize = 4;
    const EVENTS: usize = 14;
    const PER: Duration = Duration::from_secs(3);
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let site = Site::open().await;
        let mut paced = receiver().await;
        let (first, second) = (site.launch("first").start(), site.launch("second").start());
        let rate = json!({"rate_limit": {"requests": REQUESTS, "per": format!("{}s", PER.as_secs())}});
        endpoint(&first.api(), &paced, "paced", rate).await;
        for number in 0..EVENTS {
            let host = if number % 2 == 0 { &first } else { &second };
            post(&host.api(), "paced", number).await;
        }
        let mut arrived = arrivals(&mut paced, REQUESTS + 1).await;
        // Whichever of them had it: the other goes on.
        first.terminate();
        let (mut first, second) = (first, second);
        let ended = first.ended(PATIENCE).await.expect("a status").expect("it ends");
        assert!(ended.success(), "{ended}");
        arrived.extend(arrivals(&mut paced, EVENTS - REQUESTS - 1).await);
        let mut seen = numbers(&arrived);
        seen.sort_unstable();
        assert_eq!(seen, (0..EVENTS).collect::<Vec<_>>(), "each once");
        let most = most_within(&arrived, PER - Duration::from_secs(1));
        assert!(most <= REQUESTS, "{most} within less than {PER:?}");
        assert!(attempts(&second).await > 0, "it went on");
    });
}

/// What a dead host had in hand goes on elsewhere, once its leases have run out.
#[test]
fn what_a_dead_host_held_is_taken_up() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let site = Site::open().await;
        let mut hung = receiver().await;
        hung.reply(Reply { delay: PATIENCE, ..Reply::status(StatusCode::OK) });
        let first = site.launch("first").start();
        endpoint(&first.api(), &hung, "*", json!({"concurrency": 2})).await;
        for number in 0..5 {
            post(&first.api(), "held", number).await;
        }
        arrivals(&mut hung, 2).await;
        hung.reply(Reply::status(StatusCode::OK));
        tokio::task::block_in_place(|| first.kill());
        let second = site.launch("second").start();
        let mut seen = numbers(&arrivals(&mut hung, 5).await);
        seen.sort_unstable();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
        drop(second);
    });
}

/// A host that stood still for longer than its leases sends nothing that others have sent meanwhile.
#[test]
fn a_host_that_wakes_up_sends_nothing_that_others_have_sent() {
    const EVENTS: usize = 40;
    const AT_ONCE: usize = 2;
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let site = Site::open().await;
        let mut slow = receiver().await;
        slow.reply(Reply { delay: Duration::from_millis(200), ..Reply::status(StatusCode::OK) });
        let first = site.launch("first").start();
        endpoint(&first.api(), &slow, "*", json!({"concurrency": AT_ONCE})).await;
        for number in 0..EVENTS {
            post(&first.api(), "slow", number).await;
        }
        let mut arrived = arrivals(&mut slow, 4).await;
        first.pause();
        slow.reply(Reply::status(StatusCode::OK));
        let second = site.launch("second").start();
        let api = second.api();
        until("nothing is pending", async || {
            let page = api.expect(Method::GET, "/v1/deliveries?state=pending&limit=1", "", 200).await;
            page["items"].as_array().is_some_and(Vec::is_empty).then_some(())
        })
        .await;
        // What was sent twice before, as its result was not written when the host stood still, is another matter.
        let woken = SystemClock.now();
        first.resume();
        // It is well again: what is posted there arrives.
        post(&first.api(), "slow", EVENTS).await;
        let mut missing: BTreeSet<usize> = (0..=EVENTS).collect();
        let mut again = Vec::new();
        while !missing.is_empty() {
            for arrival in arrived.drain(..) {
                if !missing.remove(&number(&arrival)) && arrival.at >= woken {
                    again.push(number(&arrival));
                }
            }
            arrived = if missing.is_empty() { Vec::new() } else { arrivals(&mut slow, 1).await };
        }
        assert!(again.len() <= AT_ONCE, "these came once more: {again:?}");
    });
}

#[test]
fn roles_are_divided_among_hosts() {
    if !postgres::is_there() {
        return;
    }
    runtime().block_on(async {
        let site = Site::open().await;
        let mut inbox = receiver().await;
        let of_role = |role: &str| site.launch(role).with_arguments(["--role", role]).start();
        let (ingest, api) = (of_role("ingest"), of_role("api"));
        endpoint(&api.api(), &inbox, "*", json!({})).await;
        post(&ingest.api(), "invoice.paid", 1).await;
        let misdirected = async |host: &Process, method: Method, path: &str, role: &str| {
            let answer = host.api().send(method, path, "{}").await.expect("an answer");
            let problem = answer.problem(421);
            assert_eq!(problem["type"], "/problems/elsewhere");
            assert!(problem["detail"].as_str().expect("text").contains(&format!("`{role}`")), "{problem}");
        };
        misdirected(&api, Method::POST, "/v1/events", "ingest").await;
        misdirected(&ingest, Method::GET, "/v1/events", "api").await;
        misdirected(&ingest, Method::GET, "/", "api").await;
        let pending = api.api().expect(Method::GET, "/v1/deliveries?state=pending", "", 200).await;
        assert_eq!(pending["items"].as_array().map(Vec::len), Some(1), "nobody delivers yet: {pending}");
        let deliver = of_role("deliver");
        misdirected(&deliver, Method::POST, "/v1/events", "ingest").await;
        assert_eq!(numbers(&arrivals(&mut inbox, 1).await), [1]);
        for host in [&ingest, &api, &deliver] {
            for probe in ["/healthz", "/readyz", "/metrics"] {
                let answer = host.api().send(Method::GET, probe, "").await.expect("an answer");
                assert_eq!(answer.status, 200, "{probe}");
            }
        }
        let event = api.api().expect(Method::GET, "/v1/deliveries", "", 200).await;
        let delivery = event["items"][0]["id"].as_str().expect("an id").to_owned();
        until("it is delivered", async || {
            let shown = api.api().expect(Method::GET, &format!("/v1/deliveries/{delivery}"), "", 200).await;
            (shown["state"] == "delivered").then_some(())
        })
        .await;
        // A job that is made where nobody delivers is done where somebody does.
        let all = json!({"state": "delivered"}).to_string();
        api.api().expect(Method::POST, "/v1/replays", &all, 202).await;
        assert_eq!(numbers(&arrivals(&mut inbox, 1).await), [1]);
    });
}

#[test]
fn a_host_with_its_own_file_has_to_deliver() {
    Stage::default().in_a_file().play(async |world| {
        world.stop().await;
        world.config.host.roles = vec![hookwright::config::HostRole::Api];
        let error = world.try_start().await.expect_err("nobody would deliver").to_string();
        assert!(error.contains("`deliver`"), "{error}");
        world.config.host.roles.push(hookwright::config::HostRole::Deliver);
        world.start().await;
    });
}
