//! A host, a client and a receiver.

use std::fmt::Write as _;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hookwright::app::{self, App};
use hookwright::config::Config;
use hookwright::secret::Secret;
use hookwright::store::Store;
use hookwright::store::memory::MemoryStore;
use hookwright::store::postgres::{Address, PostgresStore};
use hookwright::store::redb::{Options, RedbStore};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::{Change, Kept, Mailbox, PATIENCE, ShiftClock, Web, until};

/// The admin key of every host here.
const KEY: &str = "hwk_of-the-tests";
/// What hosts share that share a database.
const SEALING_KEY: &str = "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXQ=";
const STORE_FILE: &str = "hookwright.redb";
/// Compiled plugins, kept from one host and one run to the next: compiling them takes longer than most tests.
const COMPILED: &str = concat!(env!("OUT_DIR"), "/compiled");

pub struct World {
    pub web: Web,
    pub receiver: Mailbox,
    pub clock: Arc<ShiftClock>,
    pub config: Config,
    /// Where the memory is that lasts from one start to the next.
    memory: Option<Arc<dyn Store>>,
    running: Option<Running>,
    dir: TempDir,
}

struct Running {
    stop: oneshot::Sender<()>,
    host: JoinHandle<anyhow::Result<()>>,
}

/// An endpoint as it was answered when it was created.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub id: String,
    /// The signing secret, or the public key where the secret is nobody's but the host's.
    pub secret: String,
    pub view: Value,
}

impl Endpoint {
    pub fn path(&self) -> String {
        format!("/v1/endpoints/{}", self.id)
    }
}

/// An event as it was answered when it was posted.
#[derive(Debug, Clone)]
pub struct Posted {
    pub id: String,
    pub deliveries: u64,
    pub duplicate: bool,
}

impl From<Value> for Posted {
    fn from(answer: Value) -> Self {
        Self {
            id: text(&answer["id"]),
            deliveries: answer["deliveries"].as_u64().expect("a number"),
            duplicate: answer["duplicate"].as_bool().expect("a boolean"),
        }
    }
}

impl World {
    pub(super) async fn open(changes: Vec<Change>, store: Kept) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut config = settings(dir.path());
        if store == Kept::Postgres {
            config.store.url = Some(Secret::new(crate::postgres::migrated().await));
            config.sealing_key = Some(Secret::new(SEALING_KEY));
        }
        changes.into_iter().for_each(|change| change(&mut config));
        let mut world = Self {
            web: Web::new(config.host.listen, KEY),
            receiver: Mailbox::open().await,
            clock: Arc::default(),
            config,
            memory: (store == Kept::Memory).then(|| Arc::new(MemoryStore::new()) as Arc<dyn Store>),
            running: None,
            dir,
        };
        world.start().await;
        world
    }

    /// Starts the host.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub async fn start(&mut self) {
        self.try_start().await.unwrap_or_else(|error| panic!("the host does not start: {error:#}"));
    }

    /// Starts the host, or says why that cannot be.
    pub async fn try_start(&mut self) -> anyhow::Result<()> {
        self.try_start_and_note().await.map(drop)
    }

    /// As [`World::try_start`]. Answers the admin key where one was made.
    pub async fn try_start_and_note(&mut self) -> anyhow::Result<Option<String>> {
        let app = self.build().await?;
        let note = app.admin_key_note();
        self.web = Web::new(app.address(), KEY);
        let (stop, stopped) = oneshot::channel::<()>();
        let host = tokio::spawn(app.run(async {
            let _ = stopped.await;
        }));
        self.running = Some(Running { stop, host });
        Ok(note)
    }

    async fn build(&self) -> anyhow::Result<App> {
        let cache = self.data_dir().join("cache");
        copy_files(Path::new(COMPILED), &cache);
        let app = match &self.memory {
            Some(store) => app::build_on(store.clone(), self.config.clone(), self.clock.clone()).await?,
            None if self.config.store.url.is_some() => {
                let url = self.config.store.url.as_ref().expect("it has one").expose();
                let options = app::postgres_options(&self.config);
                let store = PostgresStore::open(&Address::parse(url)?, options).await?;
                app::build_on(Arc::new(store), self.config.clone(), self.clock.clone()).await?
            }
            None => {
                let options = Options { clock: self.clock.clone(), ..Options::default() };
                let store = RedbStore::open(&self.store_file(), options)?;
                app::build_on(Arc::new(store), self.config.clone(), self.clock.clone()).await?
            }
        };
        copy_files(&cache, Path::new(COMPILED));
        Ok(app)
    }

    /// Stops the host as SIGTERM does.
    ///
    /// # Panics
    ///
    /// Where it does not end well and in time.
    pub async fn stop(&mut self) {
        let Some(Running { stop, host }) = self.running.take() else { return };
        let _ = stop.send(());
        let ended = tokio::time::timeout(PATIENCE, host).await.expect("the host does not stop");
        ended.expect("the host panicked").expect("the host ended badly");
    }

    pub async fn restart(&mut self) {
        self.stop().await;
        self.start().await;
    }

    pub(super) async fn close(mut self) {
        self.receiver = Mailbox::open().await;
        self.stop().await;
    }

    pub fn data_dir(&self) -> PathBuf {
        self.config.host.data_dir.clone()
    }

    pub fn store_file(&self) -> PathBuf {
        self.data_dir().join(STORE_FILE)
    }

    pub fn plugins_dir(&self) -> PathBuf {
        self.config.plugins_dir()
    }

    /// A place for a test's own files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Creates an endpoint that wants everything, at the receiver, with a quick retry; `spec` says what is different.
    #[track_caller]
    pub fn endpoint(&self, spec: Value) -> impl Future<Output = Endpoint> {
        let whole = self.spec(spec);
        let web = self.web.clone();
        async move {
            let view = web.post("/v1/endpoints", &whole).await.expect(201);
            let public_key = &view["secrets"][0]["public_key"];
            let secret = text(view.get("secret").unwrap_or(public_key));
            Endpoint { id: text(&view["id"]), secret, view }
        }
    }

    /// The problem that such an endpoint has.
    pub async fn refused(&self, spec: Value) -> Value {
        self.web.post("/v1/endpoints", &self.spec(spec)).await.problem(422)
    }

    fn spec(&self, spec: Value) -> Value {
        let mut whole = json!({
            "name": "receiver",
            "url": self.receiver.url("/"),
            "events": ["*"],
            "retry": {"schedule": ["100ms", "100ms"]},
        });
        for (name, value) in object(spec) {
            whole[name] = value;
        }
        whole
    }

    /// Posts an event with these very bytes as its payload.
    pub async fn post(&self, event_type: &str, payload: &str) -> Posted {
        self.post_with(event_type, payload, json!({})).await
    }

    /// Posts an event with more fields.
    pub async fn post_with(&self, event_type: &str, payload: &str, more: Value) -> Posted {
        let mut event = format!(r#"{{"type":"{event_type}","payload":{payload}"#);
        for (name, value) in object(more) {
            let _ = write!(event, r#","{name}":{value}"#);
        }
        event.push('}');
        self.post_raw(event).await.expect(202).into()
    }

    pub async fn post_raw(&self, body: impl Into<bytes::Bytes>) -> super::Answer {
        self.web.send(http::Method::POST, "/v1/events", &[], body).await
    }

    /// An event with its deliveries.
    pub async fn event(&self, id: &str) -> Value {
        self.web.get(&format!("/v1/events/{id}")).await.expect(200)
    }

    /// The first page of the deliveries that match, newest first.
    pub async fn deliveries(&self, query: &str) -> Vec<Value> {
        let page = self.web.get(&format!("/v1/deliveries?{query}")).await.expect(200);
        page["items"].as_array().expect("a list").clone()
    }

    /// A delivery with its attempts.
    pub async fn delivery(&self, id: &str) -> Value {
        self.web.get(&format!("/v1/deliveries/{id}")).await.expect(200)
    }

    /// The id of the one delivery of an event.
    pub async fn only_delivery(&self, event: &Posted) -> String {
        let deliveries = self.deliveries(&format!("event={}", event.id)).await;
        assert_eq!(deliveries.len(), 1, "{deliveries:?}");
        text(&deliveries[0]["id"])
    }

    /// The one delivery of an event, once it has ended.
    pub async fn outcome(&self, event: &Posted) -> Value {
        let id = self.only_delivery(event).await;
        self.ended(&id).await
    }

    /// A delivery, once it has ended.
    pub async fn ended(&self, id: &str) -> Value {
        self.until(&format!("{id} ends"), async || {
            let delivery = self.delivery(id).await;
            (delivery["state"] != "pending").then_some(delivery)
        })
        .await
    }

    /// A delivery, once it has so many attempts in its log.
    pub async fn attempted(&self, id: &str, attempts: u64) -> Value {
        self.until(&format!("{id} has {attempts} attempts"), async || {
            let delivery = self.delivery(id).await;
            (delivery["attempts"].as_u64() >= Some(attempts)).then_some(delivery)
        })
        .await
    }

    /// As [`super::until`].
    pub async fn until<T>(&self, what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
        until(what, look).await
    }

    /// Has the host use a plugin: from its folder, or uploaded where hosts share a store.
    ///
    /// # Panics
    ///
    /// Where it does not take it.
    pub async fn add_plugin(&mut self, name: &str, bytes: &[u8]) {
        if self.config.store.url.is_none() {
            self.drop_plugin(name, bytes);
            return self.restart().await;
        }
        let path = format!("/v1/plugins/{name}");
        let answer = self
            .web
            .send(http::Method::PUT, &path, &[("content-type", "application/wasm")], bytes.to_vec())
            .await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
    }

    /// Puts a plugin into the folder, complete at once.
    pub fn drop_plugin(&self, name: &str, bytes: &[u8]) {
        let folder = self.plugins_dir();
        fs::create_dir_all(&folder).expect("the plugins folder");
        let temporary = folder.join(format!("{name}.part"));
        fs::write(&temporary, bytes).expect("to write the plugin");
        fs::rename(temporary, folder.join(format!("{name}.wasm"))).expect("to rename the plugin");
    }

    /// Everything that happened, for a person.
    pub(super) async fn report(&self) -> String {
        let mut report = format!("the world at {}:\n", self.web.address());
        if self.running.is_none() {
            report.push_str("the host does not run\n");
            return report;
        }
        let endpoints = self.web.get("/v1/endpoints?limit=20").await.json();
        let _ = writeln!(report, "endpoints: {endpoints:#}");
        let deliveries = self.web.get("/v1/deliveries?limit=20").await.json();
        for delivery in deliveries["items"].as_array().into_iter().flatten() {
            let _ = writeln!(report, "delivery: {:#}", self.delivery(&text(&delivery["id"])).await);
        }
        report
    }
}

/// Gives a host's data directory the compiled plugins that other hosts left.
pub fn seed(data_dir: &Path) {
    private(data_dir);
    copy_files(Path::new(COMPILED), &data_dir.join("cache"));
}

fn settings(dir: &Path) -> Config {
    let mut config = Config::default();
    config.host.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    config.host.data_dir = dir.join("data");
    config.host.allow_targets = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
    config.admin_key = Some(Secret::new(KEY));
    config.server.drain_timeout = Duration::from_secs(5);
    private(&config.host.data_dir);
    config
}

fn private(folder: &Path) {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).expect("a directory");
}

/// Links or copies what is not there yet, each file complete at once. What goes wrong costs time and nothing else.
fn copy_files(from: &Path, to: &Path) {
    private(to);
    for file in fs::read_dir(from).into_iter().flatten().flatten() {
        let target = to.join(file.file_name());
        if target.exists() || file.path().extension().is_none_or(|extension| extension != "code") {
            continue;
        }
        let temporary = target.with_extension(format!("{:?}", std::thread::current().id()));
        // Compiled code is never changed in place, only replaced.
        let linked = fs::hard_link(file.path(), &temporary).is_ok();
        if linked || fs::copy(file.path(), &temporary).is_ok() {
            let _ = fs::rename(temporary, target);
        }
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
