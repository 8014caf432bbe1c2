//! The real binary, killed under load, asked to stop, and out of room: what it answered with 202 arrives.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookwright::id::{DeliveryId, EventId};
use hookwright::receiver::{Arrival, Receiver, Reply};
use hookwright_tests::process::{Api, Launch, Process};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// Posts under way at each kill.
const PRODUCERS: usize = 50;
/// Deliveries pending at each kill, at the least.
const PENDING: usize = 1_000;
const PATIENCE: Duration = Duration::from_secs(120);

fn rounds() -> usize {
    let long = std::env::var_os("HOOKWRIGHT_LONG_TESTS").is_some_and(|value| value == "1");
    if long { 20 } else { 3 }
}

fn launch(dir: &Path) -> Launch {
    Launch::new(BINARY, &dir.join("data"))
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// A receiver that keeps count.
struct Inbox {
    url: String,
    reply: watch::Sender<Reply>,
    seen: Arc<Mutex<Seen>>,
}

/// For each event's key, by which `webhook-id`s it came and how often it was taken.
type Seen = BTreeMap<String, BTreeMap<String, usize>>;

impl Inbox {
    async fn open() -> Self {
        let mut receiver = Receiver::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
        let url = receiver.url("/");
        let (reply, mut replies) = watch::channel(Reply::status(StatusCode::OK));
        let seen = Arc::<Mutex<Seen>>::default();
        let noted = seen.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    arrival = receiver.next() => note(&noted, &arrival),
                    changed = replies.changed() => match changed {
                        Ok(()) => receiver.reply(replies.borrow_and_update().clone()),
                        Err(_) => return,
                    },
                }
            }
        });
        Self { url, reply, seen }
    }

    fn answer(&self, status: StatusCode) {
        self.reply.send_replace(Reply::status(status));
    }

    fn answer_after(&self, delay: Duration) {
        self.reply.send_replace(Reply { delay, ..Reply::status(StatusCode::OK) });
    }

    fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until all of these have arrived.
    async fn has(&self, keys: &BTreeSet<String>) {
        until("all of them arrive", async || {
            let seen = self.seen();
            let taken = |key| seen.get(key).is_some_and(|ids| ids.values().any(|times| *times > 0));
            keys.iter().all(taken).then_some(())
        })
        .await;
    }
}

fn note(seen: &Mutex<Seen>, arrival: &Arrival) {
    let body: Value = serde_json::from_slice(&arrival.body).expect("the payload is JSON");
    let id = arrival.header("webhook-id").expect("it has a webhook-id").to_owned();
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let times = seen.entry(text(&body["key"])).or_default().entry(id).or_default();
    *times += usize::from(arrival.status == StatusCode::OK.as_u16());
}

/// Looks again and again until there is something to see.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "waited for {PATIENCE:?}, and not: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

/// An event whose key is also its producer id.
fn event(event_type: &str, key: &str) -> Value {
    json!({"type": event_type, "id": key, "payload": {"key": key}})
}

async fn endpoint(api: &Api, inbox: &Inbox, events: &str) -> String {
    let spec = json!({
        "name": events,
        "url": inbox.url,
        "events": [events],
        "retry": {"every": "2s"},
        "concurrency": 32,
    });
    text(&api.expect(Method::POST, "/v1/endpoints", &spec.to_string(), 201).await["id"])
}

async fn pending(api: &Api, filter: &str) -> usize {
    let mut count = 0;
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/deliveries?state=pending&limit=500{filter}{cursor}");
        let page = api.expect(Method::GET, &path, "", 200).await;
        count += page["items"].as_array().expect("a list").len();
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

/// What was answered.
#[derive(Default)]
struct Answers {
    /// By key, the event of each 202.
    accepted: BTreeMap<String, EventId>,
    /// Keys of posts without an answer.
    unanswered: Vec<String>,
}

/// Posts one event after the other, many at a time.
struct Load {
    answers: Arc<Mutex<Answers>>,
    under_way: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
    producers: tokio::task::JoinSet<()>,
}

impl Load {
    fn start(api: &Api, round: usize) -> Self {
        let mut load = Self {
            answers: Arc::default(),
            under_way: Arc::default(),
            answered: Arc::default(),
            producers: tokio::task::JoinSet::new(),
        };
        for producer in 0..PRODUCERS {
            let (api, answers) = (api.clone(), load.answers.clone());
            let (under_way, answered) = (load.under_way.clone(), load.answered.clone());
            load.producers.spawn(async move {
                for n in 0.. {
                    let key = format!("{round}-{producer}-{n}");
                    under_way.fetch_add(1, Ordering::SeqCst);
                    let answer = api.post("/v1/events", &event("order.paid", &key)).await;
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
                    let Some(answer) = answer else {
                        answers.unanswered.push(key);
                        return;
                    };
                    answers.accepted.insert(key, accepted(&answer.expect(202)));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        load
    }

    /// Kills the process in the midst of it: after so many answers, with a post of every producer under way.
    async fn kill(mut self, host: Process, after: usize) -> Answers {
        let busy = || {
            self.answered.load(Ordering::SeqCst) >= after
                && self.under_way.load(Ordering::SeqCst) == PRODUCERS
        };
        until("all producers are busy", async || busy().then_some(())).await;
        tokio::task::block_in_place(|| host.kill());
        while let Some(ended) = self.producers.join_next().await {
            ended.expect("a producer gets no other answer than 202");
        }
        std::mem::take(&mut *self.answers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn accepted(answer: &Value) -> EventId {
    text(&answer["id"]).parse().expect("an event's id")
}

/// A thousand events of which none can be delivered for now.
async fn pile_up(api: &Api, round: usize, flaky: &str) -> BTreeMap<String, EventId> {
    let keys: Vec<String> = (0..PENDING).map(|n| format!("{round}-batch-{n}")).collect();
    let batch: Vec<Value> = keys.iter().map(|key| event("order.placed", key)).collect();
    let answer = api.expect(Method::POST, "/v1/events", &Value::from(batch).to_string(), 202).await;
    let items = answer["items"].as_array().expect("a list");
    let waiting = pending(api, &format!("&endpoint={flaky}")).await;
    assert!(waiting >= PENDING, "{waiting} deliveries are pending");
    keys.into_iter().zip(items.iter().map(accepted)).collect()
}

/// Posts again what had no answer, and some of what had one: no event is taken on twice.
async fn post_again(api: &Api, answers: &mut Answers) {
    for key in std::mem::take(&mut answers.unanswered) {
        let answer = api.post("/v1/events", &event("order.paid", &key)).await.expect("an answer");
        answers.accepted.insert(key, accepted(&answer.expect(202)));
    }
    for (key, before) in answers.accepted.iter().take(20) {
        let answer = api.post("/v1/events", &event("order.paid", key)).await.expect("an answer").expect(202);
        assert_eq!(answer, json!({"id": before.to_string(), "deliveries": 2, "duplicate": true}));
    }
}

#[test]
fn what_was_answered_arrives_however_often_the_host_is_killed() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let launch = launch(dir.path());
        let (steady, flaky) = (Inbox::open().await, Inbox::open().await);
        let mut host = launch.start();
        let mut api = host.api();
        endpoint(&api, &steady, "order.paid").await;
        let flaky_id = endpoint(&api, &flaky, "order.*").await;
        let flaky_path = format!("/v1/endpoints/{flaky_id}");
        let switch = |on: bool| json!({ "enabled": on }).to_string();

        let (mut paid, mut placed) = (BTreeMap::new(), BTreeMap::new());
        for round in 0..rounds() {
            // What waits, waits for a person in one round, and for the receiver in the next.
            match round % 2 {
                0 => drop(api.expect(Method::PATCH, &flaky_path, &switch(false), 200).await),
                _ => flaky.answer(StatusCode::SERVICE_UNAVAILABLE),
            }
            placed.extend(pile_up(&api, round, &flaky_id).await);
            let load = Load::start(&api, round);
            let mut answers = load.kill(host, 100 + round * 37 % 150).await;
            assert!(answers.unanswered.len() <= PRODUCERS);
            host = launch.start();
            api = host.api();
            if round % 3 != 1 {
                post_again(&api, &mut answers).await;
            }
            paid.extend(answers.accepted);
            flaky.answer(StatusCode::OK);
            drop(api.expect(Method::PATCH, &flaky_path, &switch(true), 200).await);
        }

        steady.has(&paid.keys().cloned().collect()).await;
        flaky.has(&paid.keys().chain(placed.keys()).cloned().collect()).await;
        until("nothing is pending", async || (pending(&api, "").await == 0).then_some(())).await;
        check_ids(&steady.seen(), &flaky.seen(), &paid, &placed);
    });
}

/// One `webhook-id` for each delivery, over all of its attempts, and the one that belongs to its event.
fn check_ids(
    steady: &Seen,
    flaky: &Seen,
    paid: &BTreeMap<String, EventId>,
    placed: &BTreeMap<String, EventId>,
) {
    let webhook_id = |event: &EventId, ordinal| DeliveryId::of(*event, ordinal).webhook_id().to_string();
    for (key, ids) in steady.iter().chain(flaky) {
        assert_eq!(ids.len(), 1, "{key} came as {ids:?}");
    }
    for (key, event) in placed {
        assert!(flaky[key].contains_key(&webhook_id(event, 0)), "{event} came as {:?}", flaky[key]);
    }
    for (key, event) in paid {
        let ids: BTreeSet<&String> = steady[key].keys().chain(flaky[key].keys()).collect();
        let (first, second) = (webhook_id(event, 0), webhook_id(event, 1));
        assert_eq!(ids, BTreeSet::from([&first, &second]), "{event}");
    }
    let count = |seen: &Seen| {
        seen.values().flat_map(|ids| ids.values()).map(|times| times.saturating_sub(1)).sum::<usize>()
    };
    println!(
        "{} events answered with 202; {} and {} deliveries made once more",
        paid.len() + placed.len(),
        count(steady),
        count(flaky)
    );
}

#[test]
fn a_signal_to_stop_ends_in_order_and_loses_nothing() {
    const EVENTS: usize = 60;
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let launch = launch(dir.path());
        let inbox = Inbox::open().await;
        inbox.answer_after(Duration::from_millis(200));
        let mut host = launch.start();
        let api = host.api();
        endpoint(&api, &inbox, "*").await;
        let keys: BTreeSet<String> = (0..EVENTS).map(|n| n.to_string()).collect();
        for key in &keys {
            api.post("/v1/events", &event("order.paid", key)).await.expect("an answer").expect(202);
        }
        host.terminate();
        let status = host.ended(Duration::from_secs(30)).await.expect("a status").expect("it ends in time");
        assert_eq!(status.code(), Some(0), "{status}");
        let before = inbox.seen().len();
        assert!(before > 0, "nothing was under way");

        inbox.answer(StatusCode::OK);
        let host = launch.start();
        inbox.has(&keys).await;
        until("nothing is pending", async || (pending(&host.api(), "").await == 0).then_some(())).await;
        // What was under way was seen to its end, so nothing is sent twice.
        for (key, ids) in inbox.seen() {
            assert_eq!(ids.values().sum::<usize>(), 1, "{key} came as {ids:?}");
        }
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let launch = launch(dir.path());
        let inbox = Inbox::open().await;
        inbox.answer_after(PATIENCE);
        let mut host = launch.start();
        let api = host.api();
        endpoint(&api, &inbox, "*").await;
        api.post("/v1/events", &event("order.paid", "hangs")).await.expect("an answer").expect(202);
        let keys = BTreeSet::from(["hangs".to_owned()]);
        inbox.has(&keys).await;

        host.terminate();
        until("it takes no more connections", async || {
            tokio::net::TcpStream::connect(host.address()).await.err()
        })
        .await;
        assert!(
            host.ended(Duration::ZERO).await.expect("a status").is_none(),
            "it waits for what is under way"
        );
        host.terminate();
        let status = host.ended(PATIENCE).await.expect("a status").expect("it ends at once");
        assert_eq!(status.code(), Some(143), "{status}");

        inbox.answer(StatusCode::OK);
        let host = launch.start();
        until("nothing is pending", async || (pending(&host.api(), "").await == 0).then_some(())).await;
        let seen = &inbox.seen()["hangs"];
        assert_eq!(seen.values().collect::<Vec<_>>(), [&2], "{seen:?}");
    });
}

/// The system's limit on the size of files stands in for a full disk: a file that cannot grow.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_answered_with_503_and_work_goes_on_once_there_is_room() {
    const FILE_LIMIT_KIB: u64 = 6 << 10;
    runtime().block_on(async {
        let dir = tempfile::tempdir().expect("a directory");
        let inbox = Inbox::open().await;
        // It is meant to log errors.
        let quiet = launch(dir.path()).with("HOOKWRIGHT_LOG_FILTER", "off");
        let host = quiet.with_file_limit(FILE_LIMIT_KIB).start();
        let api = host.api();
        endpoint(&api, &inbox, "*").await;
        let large = |key: &str| {
            let padding = "x".repeat(300 << 10);
            json!({"type": "order.paid", "id": key, "payload": {"key": key, "padding": padding}})
        };
        let mut keys = BTreeSet::new();
        let refusal = loop {
            let key = keys.len().to_string();
            let answer = api.post("/v1/events", &large(&key)).await.expect("an answer");
            if answer.status == 503 {
                break answer;
            }
            answer.expect(202);
            keys.insert(key);
            assert!(keys.len() < 1_000, "the disk is never full");
        };
        assert!(!keys.is_empty(), "not one event fits");
        assert!(refusal.header("retry-after").is_some(), "{:?}", refusal.headers);
        assert_eq!(refusal.problem(503)["type"], "/problems/unavailable");
        let health = api.send(Method::GET, "/healthz", "").await.expect("an answer");
        assert_eq!(health.status, 200);

        host.lift_file_limit();
        let refused = keys.len().to_string();
        until("the refused event is taken on", async || {
            let answer = api.post("/v1/events", &large(&refused)).await.expect("an answer");
            (answer.status == 202).then_some(())
        })
        .await;
        keys.insert(refused);
        inbox.has(&keys).await;
        until("nothing is pending", async || (pending(&api, "").await == 0).then_some(())).await;
        for (key, ids) in inbox.seen() {
            assert_eq!(ids.len(), 1, "{key} came as {ids:?}");
        }
    });
}
