//! Compiles components and gives their calls a place to run.

use std::fmt::{self, Write as _};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::terms::Allowance;
use crate::time::Timestamp;
use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime::component::{Component, Linker};
use wasmtime::{PoolingAllocationConfig, Store, Strategy};

use super::bindings::{self, v0_1, v0_1_destination};
use super::cache::Cache;
use super::greed::Greed;
use super::habit::{Habit, Habits};
use super::inspect::{self, Refusal, World};
use super::instance::{self, State};
use super::limits::{Bounds, Limits, TICK};
use super::owned::{OwnedAnswer, OwnedCall};
use super::spare::{LongCall, Spare};
use super::{Answer, Call, ConfigError, Description, Failure, FailureKind, Judgement, Run};

/// The one engine of a process: cheap to clone, and all clones are the same engine.
#[derive(Clone)]
pub struct Engine(Arc<Shared>);

struct Shared {
    limits: Limits,
    wasmtime: wasmtime::Engine,
    linker: Linker<State>,
    /// As many as the pool has room for: calls wait here, they never find it full.
    slots: Arc<Semaphore>,
    compiling: Semaphore,
    cache: Option<Cache>,
    pooled: bool,
    spare: Spare,
    _ticker: Ticker,
}

/// A component, compiled and checked. Never changes; a newer version is another plugin.
#[derive(Clone)]
pub struct Plugin(Arc<Compiled>);

struct Compiled {
    engine: Engine,
    pre: v0_1::PluginPre<State>,
    description: Description,
    digest: String,
    size: usize,
    world: World,
    habits: Habits,
    greed: Greed,
    /// The description's schema of configurations, once somebody has asked for it.
    config_schema: OnceLock<Option<Value>>,
    /// Of plugins that judge answers.
    judge: Option<v0_1_destination::DestinationPre<State>>,
}

/// A component in front of the host's side of the contract, for one call or the other.
type Linked = (v0_1::PluginPre<State>, Option<v0_1_destination::DestinationPre<State>>);

impl Engine {
    /// Starts the engine and its clock.
    ///
    /// # Errors
    ///
    /// When the machine cannot run compiled WebAssembly, or the limits make no sense to it. A cache that
    /// cannot be used is only warned about.
    pub fn new(limits: Limits) -> anyhow::Result<Self> {
        let (wasmtime, pooled) = start(&limits)?;
        let linker = instance::linker(&wasmtime)
            .map_err(|error| anyhow!("the host's side of the plugin contract cannot be set up: {error:#}"))?;
        let cache = limits.cache_dir.as_deref().and_then(|dir| Cache::open(dir, &wasmtime));
        let parallelism = thread::available_parallelism().map_or(1, usize::from);
        Ok(Self(Arc::new(Shared {
            slots: Arc::new(Semaphore::new(limits.max_concurrent_calls.clamp(1, Semaphore::MAX_PERMITS))),
            spare: Spare::default(),
            compiling: Semaphore::new(parallelism),
            _ticker: Ticker::start(&wasmtime).context("the plugins' clock cannot be started")?,
            cache,
            pooled,
            linker,
            wasmtime,
            limits,
        })))
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// False where the machine has not enough address space for a pool of instances: then each call maps its
    /// own memory, which is slower.
    pub fn is_pooled(&self) -> bool {
        self.0.pooled
    }

    /// Checks and compiles a component. `stem` is the name that it was filed under, if it was: the plugin has
    /// to call itself the same.
    ///
    /// # Errors
    ///
    /// When the bytes are no plugin of the contract that this host serves.
    pub async fn load(&self, bytes: Bytes, stem: Option<&str>) -> Result<Plugin, Refusal> {
        let (size, limit) = (bytes.len() as u64, self.0.limits.file_size_limit);
        if size > limit {
            return Err(Refusal::too_large(size, limit));
        }
        inspect::check_bytes(&bytes)?;
        let size = bytes.len();
        let (component, digest) = self.compile(bytes).await?;
        let world = inspect::check_world(&component)?;
        let (pre, judge) = self.link(&component, world.judges)?;
        let description = self.describe(&pre, judge.as_ref(), stem).await?;
        Ok(Plugin(Arc::new(Compiled {
            engine: self.clone(),
            pre,
            description: inspect::check_description(description, stem)?,
            digest,
            size,
            world,
            habits: Habits::default(),
            greed: Greed::default(),
            config_schema: OnceLock::new(),
            judge,
        })))
    }

    /// Off the async threads, and no more at once than there are processors.
    async fn compile(&self, bytes: Bytes) -> Result<(Component, String), Refusal> {
        let _turn = self.0.compiling.acquire().await.map_err(|_| stopping())?;
        let shared = Arc::clone(&self.0);
        let compiled = tokio::task::spawn_blocking(move || shared.compile(&bytes)).await;
        compiled.map_err(|_| Refusal::new("compiling the component failed inside the compiler"))?
    }

    fn link(&self, component: &Component, judges: bool) -> Result<Linked, Refusal> {
        let pre = self.0.linker.instantiate_pre(component).map_err(|error| Refusal::imports(&error))?;
        let judge = judges.then(|| v0_1_destination::DestinationPre::new(pre.clone())).transpose();
        let plugin = v0_1::PluginPre::new(pre);
        plugin.and_then(|plugin| Ok((plugin, judge?))).map_err(|error| Refusal::invalid(&error))
    }

    /// The first instance shows whether the contract's types are the plugin's as well.
    async fn describe(
        &self,
        pre: &v0_1::PluginPre<State>,
        judge: Option<&v0_1_destination::DestinationPre<State>>,
        stem: Option<&str>,
    ) -> Result<Description, Refusal> {
        let (engine, pre, judge) = (self.clone(), pre.clone(), judge.cloned());
        let stem = stem.unwrap_or_default().to_owned();
        let described = self.drive(None, async move {
            let bounds = engine.limits().bounds(&stem, Allowance::default());
            let mut store = engine.store(&bounds, Timestamp::ZERO, [0; 32]);
            let answer = bindings::describe(&pre, judge.as_ref(), &mut store).await;
            instance::answer(store, answer, &bounds)
        });
        described.await.map_err(|failure| Refusal::describe(&failure))
    }

    /// Runs a call once it has a slot, and where it takes long out of everybody's way.
    fn drive<'e, T: Send + 'static>(
        &'e self,
        habit: Option<Habit<'e>>,
        call: impl Future<Output = T> + Send + 'static,
    ) -> impl Future<Output = T> + Send + 'e {
        // Boxed before it is awaited: the futures that wait for it need not have room for it.
        let call: LongCall<T> = Box::pin(call);
        async move {
            // Never closed, so there is always a permit in the end.
            let slot: Option<OwnedSemaphorePermit> = Arc::clone(&self.0.slots).acquire_owned().await.ok();
            self.0.spare.drive(habit, slot, call).await
        }
    }

    fn store(&self, bounds: &Bounds<'_>, now: Timestamp, seed: [u8; 32]) -> Store<State> {
        instance::store(&self.0.wasmtime, bounds, now, seed)
    }
}

impl Plugin {
    pub fn name(&self) -> &str {
        &self.0.description.name
    }

    pub fn version(&self) -> &str {
        &self.0.description.version
    }

    /// SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        &self.0.digest
    }

    /// Of the component, in bytes.
    pub fn size(&self) -> usize {
        self.0.size
    }

    /// What it asks for and offers.
    pub fn world(&self) -> &World {
        &self.0.world
    }

    pub fn description(&self) -> &Description {
        &self.0.description
    }

    /// The JSON Schema of its configurations; `None` where it gives none that can be read.
    pub fn config_schema(&self) -> Option<&Value> {
        let read = || serde_json::from_str(&self.0.description.config_schema).ok();
        self.0.config_schema.get_or_init(read).as_ref()
    }

    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// Whether it can also read the receiver's answer.
    pub fn exports_judge(&self) -> bool {
        self.0.judge.is_some()
    }

    /// Runs the plugin once. Waits for a free slot; what it finds there is an instance that nobody used.
    ///
    /// Dropping the future stops the plugin.
    pub async fn transform(&self, call: Call<'_>) -> Run {
        self.transform_within(call, Allowance::default()).await
    }

    /// As [`Plugin::transform`], where the link says what the call may use. More than [`Limits::ceiling`] it never is.
    pub async fn transform_within(&self, call: Call<'_>, limits: Allowance) -> Run {
        let (habit, greed) = (self.0.habits.of(call.event.tenant, call.config), &self.0.greed);
        if !greed.is_none()
            && let Some(begin) = greed.rests_until(habit.key(), Instant::now())
        {
            tokio::time::sleep_until(begin.into()).await;
        }
        let (plugin, owned) = (self.clone(), OwnedCall::of(&call));
        let run: Run =
            self.0.engine.drive(Some(habit), async move { plugin.run(owned.get(), limits).await }).await;
        match &run.result {
            Err(failure) if failure.kind == FailureKind::MemoryLimit => {
                greed.reached_its_bound(habit.key(), Instant::now());
            }
            Ok(_) if !greed.is_none() => greed.had_enough(habit.key()),
            _ => {}
        }
        run
    }

    async fn run(&self, call: Call<'_>, limits: Allowance) -> Run {
        let (engine, bounds) = (&self.0.engine, self.bounds(limits));
        let started = Instant::now();
        let mut store = engine.store(&bounds, call.event.timestamp, call.seed);
        let answer = bindings::transform(&self.0.pre, &mut store, &call).await;
        instance::conclude(store, answer, started, &bounds, |answer| {
            answer
                .map_err(|failure| instance::legible(failure, &bounds))
                .and_then(|verdict| instance::check_verdict(verdict, &bounds))
        })
    }

    /// Asks the plugin what an answer means. [`Judgement::ByStatus`] if it does not read answers.
    pub async fn judge(&self, answer: Answer<'_>) -> Run<Judgement> {
        self.judge_within(answer, Allowance::default()).await
    }

    /// As [`Plugin::judge`], where the link says what the call may use.
    pub async fn judge_within(&self, answer: Answer<'_>, limits: Allowance) -> Run<Judgement> {
        let (plugin, answer) = (self.clone(), OwnedAnswer::of(&answer));
        self.0.engine.drive(None, async move { plugin.rule(answer.get(), limits).await }).await
    }

    async fn rule(&self, answer: Answer<'_>, limits: Allowance) -> Run<Judgement> {
        let (engine, bounds) = (&self.0.engine, self.bounds(limits));
        let started = Instant::now();
        let mut store = engine.store(&bounds, answer.timestamp, answer.seed);
        let judgement = match &self.0.judge {
            Some(judge) => bindings::judge(judge, &mut store, &answer).await,
            None => Ok(Judgement::ByStatus),
        };
        instance::conclude(store, judgement, started, &bounds, |judgement| {
            Ok(instance::check_judgement(judgement, &bounds))
        })
    }

    /// Asks the plugin about a configuration (JSON).
    ///
    /// # Errors
    ///
    /// All that is wrong with it. A plugin that cannot answer is an error of the whole configuration.
    pub async fn check_config(&self, config: &str) -> Result<(), Vec<ConfigError>> {
        let (plugin, config) = (self.clone(), config.to_owned());
        self.0.engine.drive(None, async move { plugin.check(&config).await }).await
    }

    async fn check(&self, config: &str) -> Result<(), Vec<ConfigError>> {
        let (engine, bounds) = (&self.0.engine, self.bounds(Allowance::default()));
        let mut store = engine.store(&bounds, Timestamp::ZERO, [0; 32]);
        let answer = bindings::check_config(&self.0.pre, &mut store, config).await;
        match instance::answer(store, answer, &bounds) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(errors)) => Err(bindings::config_errors(errors, engine.limits())),
            Err(failure) => Err(vec![unanswered(&failure)]),
        }
    }
}

impl Plugin {
    /// All that speaks against a link with this configuration (JSON), with pointers into the link: whether the plugin
    /// may be passed over (`on_failure` is `pass`), and what it says itself.
    pub async fn objections(&self, config: &str, passes_failures: bool) -> Vec<ConfigError> {
        let mut errors = Vec::new();
        if passes_failures && self.description().must_run {
            let message = format!(
                "plugin `{}` must run: what it did not see must not go out unchanged; choose `retry` or `fail`",
                self.name()
            );
            errors.push(ConfigError { pointer: "/on_failure".into(), message });
        }
        let refused = self.check_config(config).await.err().unwrap_or_default();
        errors.extend(refused.into_iter().map(|ConfigError { pointer, message }| ConfigError {
            pointer: format!("/config{pointer}"),
            message,
        }));
        errors
    }

    fn bounds(&self, own: Allowance) -> Bounds<'_> {
        self.0.engine.limits().bounds(self.name(), own)
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plugin({} {} {})", self.name(), self.version(), self.digest())
    }
}

impl Shared {
    fn compile(&self, bytes: &[u8]) -> Result<(Component, String), Refusal> {
        let digest = digest(bytes);
        let cached = self.cache.as_ref().and_then(|cache| cache.load(&self.wasmtime, &digest));
        if let Some(component) = cached {
            return Ok((component, digest));
        }
        let component =
            Component::from_binary(&self.wasmtime, bytes).map_err(|error| Refusal::invalid(&error))?;
        if let Some(cache) = &self.cache {
            cache.store(&component, &digest);
        }
        Ok((component, digest))
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn stopping() -> Refusal {
    Refusal::new("the server is stopping")
}

fn unanswered(failure: &Failure) -> ConfigError {
    ConfigError {
        pointer: String::new(),
        message: format!("the plugin could not check the configuration: {failure}"),
    }
}

/// With a pool of instances if the address space has room for it, else without.
fn start(limits: &Limits) -> anyhow::Result<(wasmtime::Engine, bool)> {
    let mut config = configuration();
    config.allocation_strategy(pool(limits));
    let pooled = match wasmtime::Engine::new(&config) {
        Ok(engine) => return Ok((engine, true)),
        Err(error) => error,
    };
    let engine = wasmtime::Engine::new(&configuration())
        .map_err(|error| anyhow!("the WebAssembly engine cannot start: {error:#}"))?;
    tracing::warn!(reason = %format!("{pooled:#}"), "no room for a pool of plugin instances, calls will be slower");
    Ok((engine, false))
}

fn configuration() -> wasmtime::Config {
    let mut config = wasmtime::Config::new();
    config
        .strategy(Strategy::Cranelift)
        .epoch_interruption(true)
        // A plugin that arrives must not take the processors from the deliveries.
        .parallel_compilation(false)
        // The same bytes on every machine, whatever its processor makes of NaN.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        // No plugin needs it, and what is not there cannot be wrong. Threads and GC are not even compiled in.
        .wasm_memory64(false);
    config
}

/// Room for every call that has a slot, even if each has the largest component that is allowed: more core
/// instances, memories and tables than most use, but these cost address space alone. Python's components are those of
/// the most instances (40), JavaScript's those of the most memories (3).
fn pool(limits: &Limits) -> PoolingAllocationConfig {
    const CORE_INSTANCES: u32 = 64;
    const MEMORIES: u32 = 4;
    const TABLES: u32 = 16;
    /// Memory pages given back to the system in one go.
    const DECOMMIT_BATCH: usize = 16;
    const TABLE_KEEP_RESIDENT: usize = 64 << 10;

    let calls = u32::try_from(limits.max_concurrent_calls).unwrap_or(u32::MAX).max(1);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(calls)
        .total_core_instances(calls.saturating_mul(CORE_INSTANCES))
        .total_memories(calls.saturating_mul(MEMORIES))
        .total_tables(calls.saturating_mul(TABLES))
        .total_stacks(calls.saturating_mul(2))
        .max_core_instances_per_component(CORE_INSTANCES)
        .max_memories_per_component(MEMORIES)
        .max_tables_per_component(TABLES)
        .max_memory_size(limits.most_memory())
        .table_elements(limits.table_limit)
        .linear_memory_keep_resident(0)
        .table_keep_resident(TABLE_KEEP_RESIDENT)
        .decommit_batch_size(DECOMMIT_BATCH);
    pool
}

/// Advances the engine's epoch. A thread, not a task: it has to tick when every async thread is busy.
struct Ticker {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    fn start(engine: &wasmtime::Engine) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel::<()>();
        let engine = engine.weak();
        let thread = thread::Builder::new().name("plugin-clock".into()).spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = stopped.recv_timeout(TICK) {
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It holds nothing that could be lost with it.
            let _ = thread.join();
        }
    }
}
