//! The one file that knows everyone: builds the host from its settings, and runs it.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinHandle};
use tokio::time::MissedTickBehavior;
use tracing::{info, warn};

use crate::access::{KeyDigest, key_text};
use crate::api::{self, Api, Budget, Failures, Meters};
use crate::book::Book;
use crate::config::{Config, HostRole};
use crate::disk::Disk;
use crate::dispatch::backlog::{Backlog, Bounds};
use crate::dispatch::feed::Agenda;
use crate::dispatch::shares::Shares;
use crate::dispatch::turns::Turns;
use crate::dispatch::usage::Usage;
use crate::dispatch::users::Everybody;
use crate::dispatch::wardrobe::Wardrobe;
use crate::dispatch::worker::{self, Workshop};
use crate::dispatch::{self, Dispatcher};
use crate::ingest::Ingest;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::plugin::{self, Catalog, Engine, Trust};
use crate::rekey::{self, Rekeyed};
use crate::seal::{self, FINGERPRINT_SETTING, NEXT_FINGERPRINT_SETTING, SealingKey};
use crate::send::{self, Client, ssrf};
use crate::server::{self, Tls};
use crate::store::Store;
use crate::store::copy::{self, Digests, Kind, Readable, Step, Target};
use crate::store::postgres::copy::PostgresCopy;
use crate::store::postgres::{self, Address, Migrated, PostgresStore};
use crate::store::redb::copy::{RedbSource, RedbTarget};
use crate::store::redb::{self, RedbStore};
use crate::supervisor::Supervisor;
use crate::time::{Clock, SystemClock};

/// Names under which the host keeps facts in its store.
const ADMIN_KEY_DIGEST: &str = "admin_key_digest";

/// Names in the data directory; this one is of the store.
pub const STORE_FILE: &str = "hookwright.redb";
const CACHE_FOLDER: &str = "cache";

mod identity;

use identity::Identity;

/// How often it is looked whether other hosts changed something.
const FOLLOW: Duration = Duration::from_secs(1);
/// How often a host with the store to itself looks whether something is due, in case that a clock leaps.
const LONGEST_REST: Duration = Duration::from_secs(1);
/// How often it is looked for jobs that deliver again, and the same where other hosts take them on.
const REPLAYS: Duration = Duration::from_secs(60);
const REPLAYS_OF_OTHERS: Duration = Duration::from_secs(2);

/// A host that is ready to run.
pub struct App {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Tls>,
    supervisor: Arc<Supervisor>,
    config: Arc<Config>,
    identity: Option<Identity>,
    admin_key_note: Option<String>,
    api: Arc<Api>,
    dispatcher: Dispatcher,
    housekeeping: Part,
    replays: Part,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

/// Opens everything the host needs. Nothing is delivered before [`App::run`].
///
/// # Errors
///
/// What stands in the way, as a sentence with what to do about it.
pub async fn build(config: Config) -> anyhow::Result<App> {
    let data_dir = config.host.data_dir.clone();
    make_private(&data_dir)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    if let Some(address) = address(&config)? {
        let store = Arc::new(PostgresStore::open(&address, postgres_options(&config)).await?);
        return build_on(store, config, clock).await;
    }
    let options = redb::Options {
        attempts_kept: u32::try_from(config.retention.attempts_kept).unwrap_or(u32::MAX),
        clock: clock.clone(),
        ..redb::Options::default()
    };
    let store: Arc<dyn Store> = Arc::new(RedbStore::open(&data_dir.join(STORE_FILE), options)?);
    build_on(store, config, clock).await
}

/// Makes the tables of the database that the settings name, or brings them up to date.
///
/// # Errors
///
/// What stands in the way, as a sentence with what to do about it.
pub async fn migrate(config: &Config) -> anyhow::Result<Migrated> {
    let address = address(config)?.context("there is no database; name it with --store postgres://...")?;
    Ok(PostgresStore::migrate(&address).await?)
}

/// Where the database is, if there is one.
fn address(config: &Config) -> anyhow::Result<Option<Address>> {
    let Some(url) = &config.store.url else { return Ok(None) };
    with_password(Address::parse(url.expose())?, config).map(Some)
}

/// With the password that the settings give, if they do.
fn with_password(address: Address, config: &Config) -> anyhow::Result<Address> {
    if let Some(password) = &config.store_password {
        return Ok(address.with_password(password.expose()));
    }
    let Some(file) = &config.store.password_file else { return Ok(address) };
    let password = std::fs::read_to_string(file)
        .with_context(|| format!("the database's password cannot be read from {}", file.display()))?;
    Ok(address.with_password(password.trim_end_matches(['\r', '\n'])))
}

/// Where a store is that is copied, or made.
#[derive(Debug, Clone)]
pub enum StorePlace {
    /// A data directory, or the file in it.
    File(PathBuf),
    Database(Box<Address>),
}

impl StorePlace {
    /// # Errors
    ///
    /// Where the text is neither `redb:PATH` nor the address of a database.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        match text.strip_prefix("redb:") {
            Some("") => anyhow::bail!("`redb:` has to be followed by a data directory"),
            Some(path) => Ok(Self::File(PathBuf::from(path))),
            None => Address::parse(text)
                .map(|address| Self::Database(Box::new(address)))
                .context("it is neither `redb:` with a data directory nor the address of a database"),
        }
    }

    fn file(path: &Path) -> PathBuf {
        let names_file = path.is_file() || path.extension() == Path::new(STORE_FILE).extension();
        if names_file { path.to_owned() } else { path.join(STORE_FILE) }
    }
}

/// What came of copying a store.
#[derive(Debug)]
pub struct Copied {
    pub digests: Digests,
    /// Of the sealing key; `None` where the store has none yet.
    pub fingerprint: Option<String>,
    /// Where the key is, if it is beside a file that was copied.
    pub key_file: Option<PathBuf>,
    pub has_plugins: bool,
}

/// Copies everything from one store into another, which is empty or holds an unfinished copy of the same one. No host may
/// use either meanwhile.
///
/// # Errors
///
/// What stands in the way, as a sentence with what to do about it.
pub async fn copy_store(
    config: &Config,
    from: &StorePlace,
    to: &StorePlace,
    anew: bool,
    watch: impl FnMut(Step) -> ControlFlow<()>,
) -> anyhow::Result<Copied> {
    let source: Box<dyn Readable> = match from {
        StorePlace::File(path) => Box::new(RedbSource::open(&StorePlace::file(path))?),
        StorePlace::Database(address) => {
            Box::new(PostgresCopy::source(&with_password(Address::clone(address), config)?).await?)
        }
    };
    let identity = source.identity().await?;
    anyhow::ensure!(
        identity.setting(NEXT_FINGERPRINT_SETTING).is_empty(),
        "the sealing key of the source is being replaced, and that was not finished; finish it with `hookwright rekey` first"
    );
    let target: Box<dyn Target> = match to {
        StorePlace::File(path) => {
            let file = StorePlace::file(path);
            make_private(
                file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")),
            )?;
            Box::new(RedbTarget::open(&file, anew)?)
        }
        StorePlace::Database(address) => {
            Box::new(PostgresCopy::target(&with_password(Address::clone(address), config)?, anew).await?)
        }
    };
    let digests = copy::run(source.as_ref(), target.as_ref(), watch).await?;
    let beside = match from {
        StorePlace::File(path) => StorePlace::file(path).parent().map(|folder| folder.join(seal::KEY_FILE)),
        StorePlace::Database(_) => None,
    };
    let has_plugins = digests.kinds().any(|(kind, digest)| kind == Kind::Plugin && digest.count > 0);
    Ok(Copied {
        fingerprint: Some(identity.setting(FINGERPRINT_SETTING))
            .filter(|fingerprint| !fingerprint.is_empty()),
        key_file: beside.filter(|file| file.exists()),
        has_plugins,
        digests,
    })
}

/// How a database is opened.
pub fn postgres_options(config: &Config) -> postgres::Options {
    postgres::Options {
        attempts_kept: u32::try_from(config.retention.attempts_kept).unwrap_or(u32::MAX),
        connections: config.store.connections,
        deadline: config.store.timeout,
        whole_days: config.retention.whole_days.min(config.retention.events),
    }
}

/// Replaces the sealing key of the store, which no host may use meanwhile: see [`rekey::run`].
///
/// # Errors
///
/// What stands in the way, as a sentence with what to do about it.
pub async fn rekey(
    config: &Config,
    brought: Option<&SealingKey>,
    watch: impl FnMut(rekey::Step) -> ControlFlow<()>,
) -> anyhow::Result<Rekeyed> {
    let data_dir = &config.host.data_dir;
    let file = config.sealing_key_file();
    let keys = rekey::Keys { given: config.sealing_key.as_ref(), file: &file, brought };
    if let Some(address) = address(config)? {
        make_private(data_dir)?;
        let store = PostgresStore::open_alone(&address, SystemClock.now()).await?;
        return Ok(rekey::run(&store, &store, keys, watch).await?);
    }
    let path = data_dir.join(STORE_FILE);
    anyhow::ensure!(
        path.exists(),
        "there is no store in {}; say where the data is with --data-dir",
        data_dir.display()
    );
    let store = RedbStore::open(&path, redb::Options::default())?;
    Ok(rekey::run(&store, &store, keys, watch).await?)
}

/// As [`build`], on a store that is open.
pub async fn build_on(store: Arc<dyn Store>, config: Config, clock: Arc<dyn Clock>) -> anyhow::Result<App> {
    let config = Arc::new(config);
    let data_dir = &config.host.data_dir;
    let is_shared = config.store.url.is_some();
    anyhow::ensure!(
        !is_shared || config.sealing_key.is_some() || config.sealing_key_file().exists(),
        "servers that share a database need the same sealing key; make one with `openssl rand -base64 32`, and give it to \
         each of them in HOOKWRIGHT_SEALING_KEY or in a file named by `sealing_key_file`"
    );
    let delivers = config.has_role(HostRole::Deliver);
    anyhow::ensure!(
        is_shared || delivers,
        "nobody would deliver: with a file of its own this server is the only one. Add `deliver` to its roles, or share a \
         database with --store postgres://..."
    );
    let key =
        seal::establish(store.as_ref(), config.sealing_key.as_ref(), &config.sealing_key_file()).await?;
    let book = Arc::new(Book::open(store.clone(), key.clone(), config.delivery.timeout).await?);
    let tls = open_tls(&config)?;
    let trust = open_trust(&config)?;
    // After the files that may be missing, and before the listener: a first start compiles for some seconds, and whoever asked
    // meanwhile would hang.
    let catalog = Arc::new(open_catalog(&config, &store, &book, &clock).await?);
    let listener = bind(config.host.listen).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let rule = ssrf::Rule { allow: config.host.allow_targets.clone(), ..ssrf::Rule::default() };
    rule.own.set(vec![address]);
    let client = Client::new(send::Config {
        rule: rule.clone(),
        trust,
        proxy: config.host.egress_proxy.clone(),
        answer_body_limit: config.delivery.answer_body_limit.0,
        ..send::Config::default()
    })?;
    // The last step that can fail: a key that is made now is shown, or it is not kept.
    let (admin_key, admin_key_note) = admin_key(store.as_ref(), &config).await?;
    let metrics = Arc::new(Metrics::new());
    let live = Arc::new(Live::new(config.dashboard.live_buffer));
    let usage = Arc::new(Usage::new(clock.now()));
    // Only where there are others to appear to.
    let identity = is_shared.then(|| Identity::of(data_dir, clock.now()));
    let shares = identity.as_ref().map_or_else(Shares::whole, |identity| Shares::none(identity.host));
    let workshop = Arc::new(Workshop {
        book: book.clone(),
        catalog: catalog.clone(),
        client,
        queue: store.clone(),
        clock: clock.clone(),
        metrics: metrics.clone(),
        live: live.clone(),
        agenda: Arc::new(Agenda::new()),
        wardrobe: Wardrobe::default(),
        turns: Turns::new(config.plugin.max_concurrent_calls),
        shares: Arc::new(shares),
        usage: usage.clone(),
        unwritten: worker::Unwritten::default(),
        settings: worker::Settings {
            lease: config.delivery.lease,
            poll: if is_shared { config.store.poll } else { LONGEST_REST },
            max_age: config.delivery.max_age,
            retry_after_limit: config.delivery.retry_after_limit,
            stored_request_body: config.delivery.stored_request_body.0,
            stored_answer_body: config.delivery.stored_answer_body.0,
            judged_answer_body: config.delivery.judged_answer_body.0,
        },
    });
    let backlog = Backlog::new(Bounds {
        deliveries: config.delivery.backlog_deliveries,
        bytes: config.delivery.backlog_bytes.0,
    });
    let mut dispatcher = Dispatcher::new(workshop, backlog, config.delivery.max_in_flight);
    match &identity {
        None => dispatcher.recall_rates(store.as_ref()).await?,
        Some(identity) if delivers => dispatcher = dispatcher.beside_others(identity.host, store.clone()),
        Some(_) => dispatcher = dispatcher.idle(),
    }
    let disk = Arc::new(Disk::new(data_dir.clone(), config.ingest.disk_floor.0 as u64));
    let (stop, stopped) = watch::channel(false);
    let retention = dispatch::Retention {
        events: config.retention.events,
        minutes: config.retention.statistics_minutes,
        hours: config.retention.statistics_hours,
        days: config.retention.statistics_days,
    };
    let housekeeping = dispatch::start_housekeeping(
        &dispatcher,
        store.clone(),
        store.clone(),
        disk.clone(),
        retention,
        stopped.clone(),
    );
    let replay_news = Arc::new(Notify::new());
    let replays = dispatch::start_replays(
        &dispatcher,
        store.clone(),
        dispatch::replays::Settings {
            rate: config.replay.rate,
            max_pending: config.replay.max_pending,
            kept_for: config.retention.events,
            kept: config.replay.max_kept,
            rest: if is_shared { REPLAYS_OF_OTHERS } else { REPLAYS },
        },
        replay_news.clone(),
        stopped.clone(),
    );
    let intake = dispatcher.intake();
    let tester = dispatcher.tester(config.endpoint.max_tests);
    let rehearsal = dispatcher.rehearsal(config.plugin.max_dry_runs);
    let backtests = dispatcher.backtests(
        &store,
        dispatch::backtest::Settings {
            bytes: config.backtest.bytes.0,
            time_limit: config.backtest.time_limit,
            max_running: config.backtest.max_running,
            max_kept: config.backtest.max_kept,
            samples: config.backtest.samples,
            sample_body: config.backtest.sample_body.0,
        },
        stopped.clone(),
    );
    let ingest = Ingest {
        inbox: store.clone(),
        disk,
        book: book.clone(),
        intake: intake.clone(),
        clock: clock.clone(),
        lease: config.delivery.lease,
        metrics: metrics.clone(),
        live: live.clone(),
    };
    let api = Arc::new(Api {
        store,
        book,
        ingest: Arc::new(ingest),
        plugins: catalog,
        targets: rule,
        metrics,
        clock,
        budget: Budget::new(config.ingest.in_flight_bytes.0),
        meters: Meters::default(),
        config: config.clone(),
        admin_key,
        sealing: key,
        failures: Failures::default(),
        live,
        seats: Arc::default(),
        draining: stopped.clone(),
        intake,
        tester,
        rehearsal,
        backtests,
        usage,
        replay_news,
        stopping: Arc::new(AtomicBool::new(false)),
    });
    let supervisor = Arc::default();
    Ok(App {
        listener,
        address,
        tls,
        supervisor,
        config,
        identity,
        admin_key_note,
        api,
        dispatcher,
        housekeeping,
        replays,
        stop,
        stopped,
    })
}

impl App {
    /// Where the host listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients on this machine find it.
    pub fn origin(&self) -> String {
        format!("{}://{}", if self.tls.is_some() { "https" } else { "http" }, self.address)
    }

    /// Has the service manager told what the host does.
    #[must_use]
    pub fn supervised(mut self, supervisor: Supervisor) -> Self {
        self.supervisor = Arc::new(supervisor);
        self
    }

    /// The admin key, where it was made just now: to be shown this once.
    pub fn admin_key_note(&self) -> Option<String> {
        self.admin_key_note.clone()
    }

    /// Serves and delivers until `shutdown` ends, then finishes what is under way, for `server.drain_timeout` at the
    /// most. What is not finished then is on disk, and goes on at the next start.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> anyhow::Result<()> {
        let origin = self.origin();
        let App {
            listener,
            tls,
            supervisor,
            config,
            identity: _identity,
            api,
            dispatcher,
            housekeeping,
            replays,
            stop,
            stopped,
            ..
        } = self;
        let drain = config.server.drain_timeout;
        let stopping = api.stopping.clone();
        tokio::spawn({
            let (stopping, supervisor) = (stopping.clone(), supervisor.clone());
            async move {
                shutdown.await;
                supervisor.stopping();
                stopping.store(true, Ordering::Relaxed);
                stop.send_replace(true);
            }
        });
        let catalog = api.plugins.clone();
        let following = tokio::spawn(follow(api.clone(), stopped.clone()));
        let watching = tokio::spawn({
            let stopped = ended(stopped.clone());
            async move { catalog.watch(stopped).await }
        });
        let watching_tls = tls.clone().map(|tls| {
            let stopped = ended(stopped.clone());
            tokio::spawn(async move { tls.watch(stopped).await })
        });
        let pulse = dispatcher.pulse();
        let mut delivering = Some(tokio::spawn(dispatcher.run(ended(stopped.clone()), drain)));
        let mut housekeeping = Some(housekeeping);
        let mut replays = Some(replays);
        info!(%origin, data_dir = %config.host.data_dir.display(), "serving");
        supervisor.ready(&format!("serving on {origin}"));
        let alive = tokio::spawn(async move { supervisor.keep_alive(pulse, dispatch::BEAT).await });
        let limits = server::Limits::from(&config.server);
        let metrics = api.metrics.clone();
        let mut serving = pin!(server::run(listener, tls, api::router(api), limits, metrics, ended(stopped)));
        // A part that ends by itself takes the host with it: one that takes events and delivers none would be worse.
        loop {
            tokio::select! {
                drained = &mut serving => {
                    if !drained {
                        warn!("some connections did not end within server.drain_timeout");
                    }
                    break;
                }
                done = end_of(&mut delivering) => {
                    done?;
                    anyhow::ensure!(stopping.load(Ordering::Relaxed), "the dispatcher stopped by itself");
                }
                done = end_of(&mut housekeeping) => {
                    done?;
                    anyhow::ensure!(stopping.load(Ordering::Relaxed), "housekeeping stopped by itself");
                }
                done = end_of(&mut replays) => {
                    done?;
                    anyhow::ensure!(stopping.load(Ordering::Relaxed), "replays stopped by themselves");
                }
            }
        }
        // The store is open for as long as these go on, and whoever starts next on the same data wants it free.
        for part in [&mut delivering, &mut housekeeping, &mut replays] {
            if part.is_some() {
                end_of(part).await?;
            }
        }
        for watch in [Some(watching), Some(following), watching_tls, Some(alive)].into_iter().flatten() {
            watch.abort();
            let _ = watch.await;
        }
        info!("stopped");
        Ok(())
    }
}

/// Takes in what other hosts on the same store change. A store that is a file has no other.
async fn follow(api: Arc<Api>, stopped: watch::Receiver<bool>) {
    if api.config.store.url.is_none() {
        return;
    }
    let mut looks = tokio::time::interval(FOLLOW);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !*stopped.borrow() {
        looks.tick().await;
        if let Err(error) = api.book.follow().await {
            warn!(%error, "what other hosts changed cannot be seen");
        } else if let Err(error) = api.plugins.follow().await {
            warn!(%error, "what other hosts changed of the plugins cannot be seen");
        }
    }
}

/// A part of the host that runs by itself.
type Part = JoinHandle<Result<(), JoinError>>;

/// Waits for the end of a part, once.
async fn end_of(part: &mut Option<Part>) -> anyhow::Result<()> {
    let Some(task) = part else { return std::future::pending().await };
    let done = task.await;
    *part = None;
    done.and_then(|inner| inner).context("a part of the host failed; start the server again")
}

/// Ends once the watched value is true, or nobody can set it any more.
async fn ended(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} cannot be listened on; stop what uses it, or choose another address with --listen")
    })
}

fn open_tls(config: &Config) -> anyhow::Result<Option<Tls>> {
    let (Some(cert), Some(key)) = (&config.host.tls_cert, &config.host.tls_key) else { return Ok(None) };
    let tls = Tls::open(cert, key).context("the server cannot speak TLS; check --tls-cert and --tls-key");
    tls.map(Some)
}

fn open_trust(config: &Config) -> anyhow::Result<send::Trust> {
    let extra = match &config.host.ca_file {
        Some(file) => {
            send::authorities(file).context("private receivers cannot be trusted; check --ca-file")?
        }
        None => Vec::new(),
    };
    Ok(send::Trust { extra, ..send::Trust::default() })
}

async fn open_catalog(
    config: &Config,
    store: &Arc<dyn Store>,
    book: &Arc<Book>,
    clock: &Arc<dyn Clock>,
) -> anyhow::Result<Catalog> {
    let settings = &config.plugin;
    let folder = config.plugins_dir();
    let is_shared = config.store.url.is_some();
    if is_shared && holds_plugins(&folder) {
        warn!(
            folder = %folder.display(),
            "the plugins there are not used: servers that share a database share the plugins that are uploaded to any of \
             them; upload each with `hookwright plugin push`"
        );
    }
    if !is_shared {
        // So that it can be watched from the beginning, and an operator finds where to drop plugins.
        std::fs::create_dir_all(&folder).with_context(|| {
            format!("{} cannot be made; choose another folder with --plugins-dir", folder.display())
        })?;
    }
    let cache = config.host.data_dir.join(CACHE_FOLDER);
    let engine = Engine::new(plugin::Limits {
        time_limit: settings.time_limit,
        memory_limit: settings.memory_limit.0,
        table_limit: settings.table_limit,
        output_limit: settings.output_limit.0,
        log_lines: settings.log_lines,
        log_line_length: settings.log_line_length,
        ceiling: plugin::Ceiling {
            time: settings.max_time,
            memory: settings.max_memory.0,
            output: settings.max_output.0,
            log_lines: settings.max_log_lines,
        },
        plugins: settings.limits.0.clone(),
        patience: settings.patience,
        max_concurrent_calls: settings.max_concurrent_calls,
        file_size_limit: settings.file_size_limit.0 as u64,
        cache_dir: Some(cache),
    })?;
    let setup = plugin::Setup {
        engine,
        // Each host would retire what lies in the folders of the others.
        folder: Some(folder).filter(|_| !is_shared),
        store: store.clone(),
        users: Arc::new(Everybody(book.clone())),
        trust: Trust { keys: settings.signature_keys.clone(), required: settings.require_signatures },
        clock: clock.clone(),
        kept_versions: settings.kept_versions,
    };
    Ok(Catalog::set_up(setup, plugin::bundled()).await?)
}

fn holds_plugins(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.into_iter().any(|entry| entry.path().extension().is_some_and(|extension| extension == "wasm"))
}

/// The key that was given, which from now on is the one, or the one that was made at the first start. Only its digest
/// is kept.
async fn admin_key(store: &dyn Store, config: &Config) -> anyhow::Result<(KeyDigest, Option<String>)> {
    if let Some(given) = &config.admin_key {
        let digest = KeyDigest::of(given.expose());
        if store.setting(ADMIN_KEY_DIGEST).await?.as_deref() != Some(&digest.0) {
            store.put_setting(ADMIN_KEY_DIGEST, digest.0.to_vec()).await?;
        }
        return Ok((digest, None));
    }
    let key = key_text(rand::random());
    let digest = KeyDigest::of(key.expose());
    let stored = store.setting_or(ADMIN_KEY_DIGEST, digest.0.to_vec()).await?;
    if stored == digest.0 {
        return Ok((digest, Some(key.expose().to_owned())));
    }
    let stored =
        stored.try_into().map_err(|_| anyhow::anyhow!("the stored digest of the admin key is damaged"))?;
    Ok((KeyDigest(stored), None))
}

/// Makes the data directory, for this user alone.
pub(crate) fn make_private(folder: &Path) -> anyhow::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).with_context(|| {
        format!("{} cannot be made; choose another directory with --data-dir", folder.display())
    })?;
    #[cfg(unix)]
    if others_can_read(folder) {
        warn!("{0} can be read by other users of this machine; run `chmod 700 {0}`", folder.display());
    }
    Ok(())
}

/// What was there before is left as it is: it may be meant so.
#[cfg(unix)]
fn others_can_read(folder: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(folder).is_ok_and(|found| found.permissions().mode() & 0o077 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;
    use crate::store::memory::MemoryStore;

    async fn key_of(store: &MemoryStore, given: Option<&str>) -> (KeyDigest, Option<String>) {
        let config = Config { admin_key: given.map(Secret::new), ..Config::default() };
        admin_key(store, &config).await.unwrap()
    }

    #[tokio::test]
    async fn a_start_that_fails_makes_no_key() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let store = Arc::new(MemoryStore::new());
        let mut config = Config::default();
        config.host.listen = taken.local_addr().unwrap();
        config.host.data_dir = std::env::temp_dir().join(format!(
            "hookwright-app-{}-{:x}",
            std::process::id(),
            rand::random::<u64>()
        ));
        make_private(&config.host.data_dir).unwrap();
        let folder = config.host.data_dir.clone();
        let failed = build_on(store.clone(), config, Arc::new(SystemClock)).await;
        std::fs::remove_dir_all(folder).unwrap();
        assert!(failed.err().unwrap().to_string().contains("cannot be listened on"));
        let (_, note) = key_of(&store, None).await;
        assert!(note.is_some(), "the next start makes the key and shows it");
    }

    #[cfg(unix)]
    #[test]
    fn a_data_directory_that_was_there_is_looked_at() {
        use std::os::unix::fs::PermissionsExt;
        let folder = std::env::temp_dir().join(format!("hookwright-private-{:x}", rand::random::<u64>()));
        make_private(&folder).unwrap();
        assert!(!others_can_read(&folder));
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755)).unwrap();
        make_private(&folder).unwrap();
        assert!(others_can_read(&folder), "it is told and left");
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_given_key_replaces_the_old_one_for_good() {
        let store = MemoryStore::new();
        let (first, note) = key_of(&store, None).await;
        assert!(first == KeyDigest::of(&note.unwrap()));
        assert!(key_of(&store, None).await == (first, None), "a made key stays");
        let given = KeyDigest::of("hwk_a-key-of-my-own");
        assert!(key_of(&store, Some("hwk_a-key-of-my-own")).await == (given.clone(), None));
        assert!(key_of(&store, None).await == (given, None), "the given one stays, the old one is gone");
    }
}
