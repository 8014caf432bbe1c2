//! Three hosts on one database, killed, stopped and cut off under load: what was answered with 202 arrives, in its order
//! where one is kept, and is settled once.
//!
//! `HOOKWRIGHT_LONG_FAULTS=1` makes 100,000 deliveries of it.

use std::collections::BTreeMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hookwright::receiver::Receiver;
use hookwright::store::postgres::{Address, PostgresStore};
use hookwright_tests::harness::Answer;
use hookwright_tests::postgres;
use hookwright_tests::process::{Api, Launch, Process};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinSet;

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");
const SEALING_KEY: &str = "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXQ=";
const HOSTS: usize = 3;
const LEASE: Duration = Duration::from_secs(6);
/// Requests under way at once to the endpoint without an order, over all hosts.
const CONCURRENCY: usize = 24;
/// Of the events, one in so many is for the endpoint that keeps an order.
const ORDERED: usize = 20;
const PRODUCERS: usize = 12;
/// Events in one post.
const BATCH: usize = 10;
const KILLS_EVERY: Duration = Duration::from_secs(5);
/// Without any progress.
const PATIENCE: Duration = Duration::from_secs(120);

fn events() -> usize {
    let long = std::env::var_os("HOOKWRIGHT_LONG_FAULTS").is_some_and(|value| value == "1");
    if long { 100_000 } else { 3_000 }
}

/// How often each event came, and which ones of the ordered endpoint came for the first time, as they did.
#[derive(Default)]
struct Seen {
    free: BTreeMap<usize, usize>,
    ordered: BTreeMap<usize, usize>,
    first: Vec<usize>,
}

type Shared = Arc<Mutex<Seen>>;

fn look<T>(seen: &Shared, look: impl FnOnce(&mut Seen) -> T) -> T {
    look(&mut seen.lock().unwrap_or_else(PoisonError::into_inner))
}

async fn open_receiver(note: impl Fn(usize) + Send + 'static) -> String {
    let mut receiver = Receiver::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a port");
    let url = receiver.url("/");
    tokio::spawn(async move {
        loop {
            let body: Value = serde_json::from_slice(&receiver.next().await.body).expect("JSON");
            note(body["n"].as_u64().expect("a number") as usize);
        }
    });
    url
}

fn launch(url: &str, data_dir: &Path) -> Launch {
    Launch::new(BINARY, data_dir)
        .with("HOOKWRIGHT_STORE_URL", url)
        .with("HOOKWRIGHT_STORE_CONNECTIONS", "8")
        .with("HOOKWRIGHT_SEALING_KEY", SEALING_KEY)
        .with("HOOKWRIGHT_DELIVERY_LEASE", &format!("{}s", LEASE.as_secs()))
        // What is done to them is meant to be logged.
        .with("HOOKWRIGHT_LOG_FILTER", &std::env::var("HOOKWRIGHT_FAULTS_LOG").unwrap_or("off".into()))
}

/// Starts a host, and some times more where the database has no time for it.
fn start(launch: &Launch) -> Process {
    const MORE: usize = 5;
    for _ in 0..MORE {
        match launch.try_start() {
            Ok(started) => return started,
            Err(problem) => println!("{problem}"),
        }
    }
    launch.start()
}

/// Three places, each with a host or between two.
struct Site {
    hosts: Vec<Mutex<Option<Process>>>,
    launches: Vec<Launch>,
    kills: AtomicUsize,
    /// Of the [`FAULTS`], those that have begun.
    begun: watch::Sender<usize>,
}

impl Site {
    fn open(url: &str, folder: &Path) -> Self {
        let impatient = |number: usize| {
            launch(url, &folder.join(number.to_string())).with("HOOKWRIGHT_STORE_TIMEOUT", "5s")
        };
        let launches: Vec<Launch> = (0..HOSTS).map(impatient).collect();
        let hosts = launches.iter().map(|launch| Mutex::new(Some(start(launch)))).collect();
        Self { hosts, launches, kills: AtomicUsize::new(0), begun: watch::Sender::new(0) }
    }

    fn with<T>(&self, number: usize, work: impl FnOnce(&mut Option<Process>) -> T) -> T {
        work(&mut self.hosts[number % HOSTS].lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn api(&self, number: usize) -> Option<Api> {
        self.with(number, |host| host.as_ref().map(Process::api))
    }

    /// `kill -9`, and another start on the same folder.
    async fn kill(&self, number: usize) {
        let victim = self.with(number, Option::take).expect("one kills at a time");
        tokio::task::block_in_place(|| victim.kill());
        self.kills.fetch_add(1, Ordering::SeqCst);
        let started = tokio::task::block_in_place(|| start(&self.launches[number % HOSTS]));
        self.with(number, |host| *host = Some(started));
    }

    /// An answer of any host, however long that takes.
    async fn send(&self, first: usize, method: Method, path: &str, body: &str, status: u16) -> Value {
        let begun = Instant::now();
        for number in first.. {
            if let Some(answer) = self.try_send(number, method.clone(), path, body).await {
                return answer.expect(status);
            }
            assert!(begun.elapsed() < PATIENCE, "nobody takes {path} {body}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        unreachable!("there are always more")
    }

    /// `None` where there is no answer, or the host cannot do it at the moment.
    async fn try_send(&self, number: usize, method: Method, path: &str, body: &str) -> Option<Answer> {
        let api = self.api(number)?;
        let answer = tokio::time::timeout(LEASE, api.send(method, path, body.to_owned())).await.ok()??;
        if answer.status == 503 {
            assert!(answer.header("retry-after").is_some(), "{:?}", answer.headers);
            return None;
        }
        Some(answer)
    }
}

fn event(number: usize) -> Value {
    let event_type = if number.is_multiple_of(ORDERED) { "step" } else { "bulk" };
    json!({"type": event_type, "id": number.to_string(), "payload": {"n": number}})
}

/// Posts everything, what is ordered one after the other, and the rest in batches of many producers. What is left waits
/// for a fault that is due, so that each of them meets a load.
async fn load(site: Arc<Site>, accepted: Arc<AtomicUsize>) {
    let mut producers = JoinSet::new();
    for producer in 0..PRODUCERS {
        let (site, accepted) = (site.clone(), accepted.clone());
        producers.spawn(async move {
            let mine: Vec<usize> = match producer {
                0 => (0..events()).step_by(ORDERED).collect(),
                _ => {
                    let rest = (0..events()).filter(|number| number % ORDERED != 0);
                    rest.filter(|number| number % (PRODUCERS - 1) == producer - 1).collect()
                }
            };
            for (turn, batch) in mine.chunks(if producer == 0 { 1 } else { BATCH }).enumerate() {
                let faults = due(accepted.load(Ordering::SeqCst));
                site.begun.subscribe().wait_for(|begun| *begun >= faults).await.expect("the site is there");
                let body: Vec<Value> = batch.iter().map(|number| event(*number)).collect();
                let body = Value::from(body).to_string();
                site.send(producer + turn, Method::POST, "/v1/events", &body, 202).await;
                accepted.fetch_add(batch.len(), Ordering::SeqCst);
            }
        });
    }
    while let Some(ended) = producers.join_next().await {
        ended.expect("a producer gets no other answer than 202 or 503");
    }
}

/// What is done beside killing, each once, when so much of the load was accepted.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Pause,
    Crash,
    Cut,
}

const FAULTS: [Fault; 4] = [Fault::Cut, Fault::Pause, Fault::Crash, Fault::Cut];

/// How many of the [`FAULTS`] are due once so many events were accepted.
fn due(accepted: usize) -> usize {
    (accepted * (FAULTS.len() + 1) / events()).min(FAULTS.len())
}

/// Kills all the while, and does the rest in its turn. Answers how often something was done that leaves attempts behind.
async fn harm(
    site: Arc<Site>,
    server: &postgres::Server,
    accepted: Arc<AtomicUsize>,
    done: impl Fn() -> bool,
) -> usize {
    let (mut begun, mut harmed, mut killed) = (0, 0, Instant::now());
    while !done() {
        if due(accepted.load(Ordering::SeqCst)) > begun {
            let fault = FAULTS[begun];
            begun += 1;
            site.begun.send_replace(begun);
            harmed += 1;
            match fault {
                Fault::Pause => {
                    site.with(harmed, |host| host.as_ref().expect("it runs").pause());
                    tokio::time::sleep(LEASE * 2).await;
                    site.with(harmed, |host| host.as_ref().expect("it runs").resume());
                }
                Fault::Crash => {
                    tokio::task::block_in_place(|| server.crash());
                    tokio::time::sleep(Duration::from_secs(2)).await;
                    tokio::task::block_in_place(|| server.resume());
                }
                Fault::Cut => {
                    for _ in 0..10 {
                        server.cut_connections().await;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        }
        if killed.elapsed() >= KILLS_EVERY {
            site.kill(RandomState::new().hash_one(harmed) as usize).await;
            harmed += 1;
            killed = Instant::now();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(begun, FAULTS.len(), "not done: {:?}", &FAULTS[begun..]);
    harmed
}

/// Waits until all of it arrived, as long as more arrives.
async fn all_arrive(seen: &Shared) {
    let (mut last, mut since) = (0, Instant::now());
    loop {
        let arrived = look(seen, |seen| seen.free.len() + seen.ordered.len());
        if arrived == events() {
            return;
        }
        if arrived != last {
            (last, since) = (arrived, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "{arrived} of {} arrived", events());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn delivered(site: &Site, endpoint: &str) -> u64 {
    let path = format!("/v1/endpoints/{endpoint}/stats");
    let stats = site.send(0, Method::GET, &path, "", 200).await;
    stats["totals"]["delivered"].as_u64().unwrap_or_else(|| panic!("{stats}"))
}

#[test]
fn three_hosts_lose_nothing_and_settle_once_whatever_happens_to_them() {
    let Some(server) = postgres::Server::start() else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let url = server.schema().await;
        PostgresStore::migrate(&Address::parse(&url).expect("an address")).await.expect("tables");
        let folder = tempfile::tempdir().expect("a directory");
        let seen = Shared::default();
        let (free, ordered) = (seen.clone(), seen.clone());
        let free = open_receiver(move |n| look(&free, |seen| *seen.free.entry(n).or_default() += 1)).await;
        let ordered = open_receiver(move |n| {
            look(&ordered, |seen| {
                let times = seen.ordered.entry(n).or_default();
                *times += 1;
                if *times == 1 {
                    seen.first.push(n);
                }
            });
        })
        .await;
        // A host that gives the database all its time makes them, so that each is made once.
        let patient = launch(&url, &folder.path().join("patient")).with("HOOKWRIGHT_STORE_TIMEOUT", "60s");
        let mut patient = start(&patient);
        let mut ids = Vec::new();
        for (url, events, more) in [
            (&free, "bulk", json!({"concurrency": CONCURRENCY})),
            (&ordered, "step", json!({"order": {"head": "wait"}})),
        ] {
            let mut spec = json!({"name": events, "url": url, "events": [events], "retry": {"every": "1s"}});
            more.as_object().expect("an object").iter().for_each(|(name, value)| spec[name] = value.clone());
            let view = patient.api().expect(Method::POST, "/v1/endpoints", &spec.to_string(), 201).await;
            ids.push(view["id"].as_str().expect("an id").to_owned());
        }
        patient.terminate();
        let ended = patient.ended(PATIENCE).await.expect("a status").expect("it ends");
        assert!(ended.success(), "{ended}");

        let site = Arc::new(Site::open(&url, folder.path()));
        let accepted = Arc::<AtomicUsize>::default();
        let producing = tokio::spawn(load(site.clone(), accepted.clone()));
        let harmed = harm(site.clone(), &server, accepted.clone(), || producing.is_finished()).await;
        producing.await.expect("the load was taken on");
        all_arrive(&seen).await;

        let begun = Instant::now();
        loop {
            let pending = "/v1/deliveries?state=pending&limit=1";
            let page = site.send(0, Method::GET, pending, "", 200).await;
            if page["items"].as_array().is_some_and(Vec::is_empty) {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "something stays pending: {page}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let ordered_events = events().div_ceil(ORDERED);
        let settled = [delivered(&site, &ids[0]).await, delivered(&site, &ids[1]).await];
        assert_eq!(settled, [(events() - ordered_events) as u64, ordered_events as u64], "each settled once");
        let again = look(&seen, |seen| {
            assert!(seen.first.is_sorted(), "out of order: {:?}", seen.first);
            let times = seen.free.values().chain(seen.ordered.values());
            times.map(|times| times - 1).sum::<usize>()
        });
        println!(
            "{} deliveries, {harmed} faults ({} kills), {again} made once more",
            events(),
            site.kills.load(Ordering::SeqCst)
        );
        // Of each fault what was under way, and what had been answered and was about to be written.
        assert!(again <= harmed * (CONCURRENCY + 1) * 2, "{again} came once more after {harmed} faults");
    });
}
