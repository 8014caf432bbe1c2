//! Every setting: the defaults, before them a TOML file, before it the environment, before that the flags.
//!
//! A setting is named by its group and key, such as `ingest.event_limit`; the environment calls the same one
//! `HOOKWRIGHT_INGEST_EVENT_LIMIT`. `config.default.toml` beside this crate's manifest is the manual.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;

use crate::plugin::{PublicKey, Required};
use crate::seal;
use crate::secret::{MAX_OVERLAP, Secret};
use crate::send::Proxy;
use crate::spelling::distance;

mod value;

use value::{Given, Setting};
pub use value::{HostRole, LogFormat, Origin, PluginLimits, Size, UnknownTypes};

/// What every variable of the environment begins with.
pub const ENVIRONMENT_PREFIX: &str = "HOOKWRIGHT_";

/// The manual: every setting with its default.
pub const DEFAULT_FILE: &str = include_str!("../config.default.toml");

/// Fewest characters of an admin key.
const SHORTEST_ADMIN_KEY: usize = 16;

/// Most bytes of a configuration file.
const FILE_LIMIT: u64 = 1 << 20;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
/// The least that one call of a plugin can be allowed.
pub const MIN_PLUGIN_TIME: Duration = Duration::from_millis(10);
pub const MIN_PLUGIN_MEMORY: usize = 64 * KIB;
pub const MIN_PLUGIN_OUTPUT: usize = KIB;

const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long a link to a tenant's portal can last.
pub const MIN_PORTAL: Duration = Duration::from_secs(60);
pub const MAX_PORTAL: Duration = DAY;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration file {} cannot be read: {source}", path.display())]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error("the configuration file {} is larger than {FILE_LIMIT} bytes; is it the right file?", path.display())]
    TooLarge { path: PathBuf },
    #[error("the configuration file {} is not TOML: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{origin}: there is no setting `{key}`{}", hint(nearest))]
    Unknown { origin: String, key: String, nearest: Option<String> },
    #[error("{origin}: `{key}` {problem}")]
    Value { origin: String, key: String, problem: String },
    #[error(
        "{origin}: `{key}` is a secret and has no place in a file; set `{}` in the environment",
        variable(key)
    )]
    SecretInFile { origin: String, key: String },
    #[error("`{key}` {problem}")]
    Range { key: &'static str, problem: String },
}

/// Declares a group of settings: its struct, its defaults and how a key finds its field.
macro_rules! settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty = $default:expr,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            /// `None` where the group has no such key.
            fn set(&mut self, key: &str, given: &Given) -> Option<Result<(), String>> {
                match key {
                    $(stringify!($field) => Some(<$type as Setting>::read(given).map(|value| self.$field = value)),)*
                    _ => None,
                }
            }
        }
    };
}

/// Declares the groups and the settings that stand in none.
macro_rules! groups {
    ($($group:ident: $type:ident,)*) => {
        /// All settings.
        #[derive(Debug, Clone, PartialEq, Default)]
        pub struct Config {
            /// What stands before the first group of the file.
            pub host: Host,
            /// From the environment alone; the host makes one at its first start where there is none.
            pub admin_key: Option<Secret>,
            /// From the environment alone; base64 of 32 bytes. Otherwise `sealing.key` in the data directory.
            pub sealing_key: Option<Secret>,
            /// From the environment alone; or in the file that `store.password_file` names.
            pub store_password: Option<Secret>,
            $(pub $group: $type,)*
        }

        impl Config {
            fn set(&mut self, key: &str, given: &Given) -> Option<Result<(), String>> {
                match key.split_once('.') {
                    None => self.host.set(key, given),
                    $(Some((stringify!($group), key)) => self.$group.set(key, given),)*
                    Some(_) => None,
                }
            }

            /// The names of all settings, those of secrets apart.
            pub fn keys() -> Vec<String> {
                let mut keys: Vec<String> = Host::KEYS.iter().map(|key| (*key).to_owned()).collect();
                $(keys.extend($type::KEYS.iter().map(|key| format!("{}.{key}", stringify!($group))));)*
                keys
            }
        }
    };
}

groups! {
    store: StoreSettings,
    server: Server,
    ingest: Ingest,
    catalogue: CatalogueSettings,
    delivery: DeliverySettings,
    endpoint: EndpointSettings,
    key: KeySettings,
    tenant: TenantSettings,
    plugin: PluginSettings,
    replay: ReplaySettings,
    backtest: BacktestSettings,
    retention: Retention,
    metrics: MetricsSettings,
    dashboard: DashboardSettings,
    log: Log,
}

settings! {
    /// Where the host listens and keeps its things.
    Host {
        listen: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8420),
        /// Where others on the same database do the rest.
        roles: Vec<HostRole> = HostRole::ALL.to_vec(),
        /// Both or neither: with them the listener speaks TLS.
        tls_cert: Option<PathBuf> = None,
        tls_key: Option<PathBuf> = None,
        data_dir: PathBuf = PathBuf::from("hookwright-data"),
        /// `None`: `plugins` in the data directory.
        plugins_dir: Option<PathBuf> = None,
        /// Address ranges, otherwise refused, that endpoints may point to.
        allow_targets: Vec<IpNet> = Vec::new(),
        /// Certificate authorities of receivers, beside those of the platform.
        ca_file: Option<PathBuf> = None,
        /// Through which deliveries go.
        egress_proxy: Option<Proxy> = None,
        /// `None`: `sealing.key` in the data directory.
        sealing_key_file: Option<PathBuf> = None,
    }
}

settings! {
    /// Where events, deliveries and everything else are kept.
    StoreSettings {
        /// `None`: a file in the data directory. Shows no password.
        url: Option<Secret> = None,
        password_file: Option<PathBuf> = None,
        /// To the database, of this host.
        connections: usize = 16,
        /// How long the database may take over anything.
        timeout: Duration = Duration::from_secs(10),
        /// How often it is looked whether something is due that another host took on.
        poll: Duration = Duration::from_millis(250),
    }
}

settings! {
    /// Connections.
    Server {
        max_connections: usize = 4_096,
        tls_handshake_timeout: Duration = Duration::from_secs(10),
        /// For each request's head, and for a new connection's first one.
        header_timeout: Duration = Duration::from_secs(10),
        header_limit: Size = Size(64 * KIB),
        max_headers: usize = 100,
        drain_timeout: Duration = Duration::from_secs(30),
        /// How long a client may keep a backup waiting.
        backup_stall_timeout: Duration = Duration::from_secs(60),
        /// Whose word is taken for where a request came from.
        trusted_proxies: Vec<IpNet> = Vec::new(),
    }
}

settings! {
    /// Taking events on.
    Ingest {
        event_limit: Size = Size(MIB),
        batch_limit: Size = Size(16 * MIB),
        batch_items: usize = 1_000,
        json_depth: usize = 128,
        max_channels: usize = 32,
        body_timeout: Duration = Duration::from_secs(30),
        /// Over the bodies of all requests under way.
        in_flight_bytes: Size = Size(64 * MIB),
        /// Fewest bytes that have to be free where the data is.
        disk_floor: Size = Size(256 * MIB),
        retry_after: Duration = Duration::from_secs(1),
        /// What becomes of an event whose type the catalogue does not name.
        unknown_types: UnknownTypes = UnknownTypes::Accept,
    }
}

settings! {
    /// What the catalogue of event types may hold.
    CatalogueSettings {
        max_event_types: usize = 1_000,
        /// Of one event type.
        max_samples: usize = 16,
        max_sample: Size = Size(64 * KIB),
        max_schema: Size = Size(256 * KIB),
        max_versions: usize = 100,
        /// Of all versions with their steps, as they are given.
        versions_limit: Size = Size(4 * MIB),
        /// Of one version.
        max_steps: usize = 100,
    }
}

settings! {
    /// Delivering.
    DeliverySettings {
        timeout: Duration = Duration::from_secs(15),
        max_timeout: Duration = Duration::from_secs(60),
        /// For which a host that claims a delivery keeps it from others, unless it renews that.
        lease: Duration = Duration::from_secs(42),
        max_age: Duration = Duration::from_secs(30 * 86_400),
        retry_after_limit: Duration = 24 * HOUR,
        max_in_flight: usize = 1_024,
        concurrency: u32 = 16,
        backlog_deliveries: usize = 10_000,
        backlog_bytes: Size = Size(16 * MIB),
        answer_body_limit: Size = Size(64 * KIB),
        stored_request_body: Size = Size(64 * KIB),
        stored_answer_body: Size = Size(16 * KIB),
        /// What a plugin that judges the answer gets to see of its body.
        judged_answer_body: Size = Size(64 * KIB),
    }
}

settings! {
    /// What one endpoint may ask for.
    EndpointSettings {
        max_per_tenant: usize = 10_000,
        max_transforms: usize = 16,
        max_config: Size = Size(64 * KIB),
        max_headers: usize = 32,
        max_header_value: Size = Size(8 * KIB),
        max_events: usize = 100,
        max_channels: usize = 100,
        max_concurrency: u32 = 1_000,
        /// For which the secret that is replaced goes on signing, unless the rotation says otherwise.
        rotation_overlap: Duration = DAY,
        /// Test events under way at once, over all endpoints.
        max_tests: usize = 16,
    }
}

settings! {
    /// Keys of the API.
    KeySettings {
        max: usize = 1_000,
    }
}

settings! {
    /// Tenants that somebody describes.
    TenantSettings {
        max: usize = 10_000,
    }
}

settings! {
    /// The bounds of one call of a plugin, and what the catalogue takes.
    PluginSettings {
        time_limit: Duration = Duration::from_secs(1),
        memory_limit: Size = Size(64 * MIB),
        table_limit: usize = 20_000,
        output_limit: Size = Size(4 * MIB),
        log_lines: usize = 100,
        log_line_length: usize = 1_000,
        /// The most that can be said instead, of a plugin below or of a transform.
        max_time: Duration = Duration::from_secs(5),
        max_memory: Size = Size(128 * MIB),
        max_output: Size = Size(8 * MIB),
        max_log_lines: usize = 1_000,
        /// By plugin, what holds in place of the limits above.
        limits: PluginLimits = PluginLimits::default(),
        /// A call ends after so many times its time limit, however little of that it ran.
        patience: u32 = 10,
        max_concurrent_calls: usize = 64,
        file_size_limit: Size = Size(64 * MIB),
        /// Of one plugin; those in use are kept beyond it.
        kept_versions: usize = 20,
        /// Which plugin files have to be signed.
        require_signatures: Required = Required::None,
        /// The public keys that they may be signed with.
        signature_keys: Vec<PublicKey> = Vec::new(),
        /// Dry runs under way at once.
        max_dry_runs: usize = 8,
        /// Of the message after each link, what a dry run shows.
        dry_run_body: Size = Size(64 * KIB),
    }
}

settings! {
    /// Jobs that deliver again.
    ReplaySettings {
        /// Deliveries made in a second, by all jobs together.
        rate: usize = 200,
        /// Deliveries of one endpoint that may be pending before its replays wait.
        max_pending: usize = 10_000,
        /// Jobs that run at once, in turns.
        max_running: usize = 16,
        /// Jobs kept that have ended.
        max_kept: usize = 1_000,
    }
}

settings! {
    /// Backtests of plugins.
    BacktestSettings {
        /// Of each endpoint, where a request does not say how many, and the most that it can say.
        events: usize = 1_000,
        max_events: usize = 10_000,
        /// Of payloads that one looks at.
        bytes: Size = Size(256 * MIB),
        time_limit: Duration = Duration::from_secs(600),
        /// Those that run at once.
        max_running: usize = 2,
        /// Those kept that have ended.
        max_kept: usize = 20,
        /// Events that one shows, and what it shows of each body.
        samples: usize = 30,
        sample_body: Size = Size(8 * KIB),
    }
}

settings! {
    /// How long what is over is kept.
    Retention {
        events: Duration = 30 * DAY,
        /// In a database, for how much longer at the most, so that a day goes whole.
        whole_days: Duration = 4 * DAY,
        /// For each delivery, the latest ones.
        attempts_kept: usize = 100,
        /// Statistics by the minute, the hour and the day.
        statistics_minutes: Duration = 2 * DAY,
        statistics_hours: Duration = 60 * DAY,
        statistics_days: Duration = 730 * DAY,
    }
}

settings! {
    /// `/metrics`.
    MetricsSettings {
        /// Whether it is shown without a key.
        open: bool = false,
    }
}

settings! {
    /// The pages for people, who is signed in there, and what they watch.
    DashboardSettings {
        enabled: bool = true,
        /// How long one who signed in may go on.
        session: Duration = 12 * HOUR,
        /// How long a link to a tenant's portal lasts, unless whoever makes it says otherwise.
        portal_expires: Duration = HOUR,
        /// Failures of one address in a minute before it has to wait.
        sign_in_attempts: u32 = 10,
        /// Sessions remembered that were ended before their time.
        max_ended_sessions: usize = 10_000,
        /// Streams of deliveries at once.
        live_streams: usize = 64,
        /// Deliveries that a stream may lag behind before it misses some.
        live_buffer: usize = 4_096,
        /// How long a client may take nothing of a stream that has something for it.
        live_stall_timeout: Duration = Duration::from_secs(60),
        /// Where else the pages are reached, such as through a proxy that speaks TLS.
        origins: Vec<Origin> = Vec::new(),
        /// Whose pages may show these in a frame.
        frame_ancestors: Vec<Origin> = Vec::new(),
    }
}

settings! {
    /// What is written to stderr.
    Log {
        format: LogFormat = LogFormat::Text,
        filter: String = "info".to_owned(),
    }
}

/// The settings that are secret: environment only.
const SECRETS: [&str; 3] = ["admin_key", "sealing_key", "store_password"];

impl Config {
    /// Reads the file, if there is one, then what `environment` holds under [`ENVIRONMENT_PREFIX`], then
    /// `overrides`: the flags, by the names of their settings, each with one or (for lists) more values.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, a name that no setting has, a value that a setting cannot take.
    pub fn load(
        file: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        overrides: impl IntoIterator<Item = (&'static str, Vec<String>)>,
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        if let Some(path) = file {
            config.read_toml(&read_file(path)?, path)?;
        }
        config.read_environment(environment)?;
        for (key, values) in overrides {
            let flag = format!("--{}", key.replace(['_', '.'], "-"));
            config.apply(&flag, key, &Given::Many(values))?;
        }
        config.check()?;
        Ok(config)
    }

    pub fn has_role(&self, role: HostRole) -> bool {
        self.host.roles.contains(&role)
    }

    /// Where plugins are dropped.
    pub fn plugins_dir(&self) -> PathBuf {
        self.host.plugins_dir.clone().unwrap_or_else(|| self.host.data_dir.join("plugins"))
    }

    /// Where the sealing key is, unless the environment holds it.
    pub fn sealing_key_file(&self) -> PathBuf {
        let default = || self.host.data_dir.join(seal::KEY_FILE);
        self.host.sealing_key_file.clone().unwrap_or_else(default)
    }

    fn read_toml(&mut self, text: &str, path: &Path) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::Syntax {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        let origin = path.display().to_string();
        for (key, value) in table {
            match value {
                toml::Value::Table(group) => {
                    for (name, value) in group {
                        self.read_value(&origin, &format!("{key}.{name}"), &value)?;
                    }
                }
                value => self.read_value(&origin, &key, &value)?,
            }
        }
        Ok(())
    }

    fn read_value(&mut self, origin: &str, key: &str, value: &toml::Value) -> Result<(), ConfigError> {
        if SECRETS.contains(&key) {
            return Err(ConfigError::SecretInFile { origin: origin.to_owned(), key: key.to_owned() });
        }
        let given = Given::of_toml(value).map_err(|problem| ConfigError::Value {
            origin: origin.to_owned(),
            key: key.to_owned(),
            problem,
        })?;
        self.apply(origin, key, &given)
    }

    fn read_environment(
        &mut self,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        let keys = Self::keys();
        for (name, text) in environment {
            let secret = |key| (name == variable(key)).then(|| Secret::new(text.trim()));
            if let Some(key) = secret("admin_key") {
                self.admin_key = Some(key);
            } else if let Some(key) = secret("sealing_key") {
                self.sealing_key = Some(key);
            } else if let Some(password) = secret("store_password") {
                self.store_password = Some(password);
            } else if let Some(key) = keys.iter().find(|key| variable(key) == name) {
                self.apply(&name, key, &Given::One(text))?;
            }
        }
        Ok(())
    }

    fn apply(&mut self, origin: &str, key: &str, given: &Given) -> Result<(), ConfigError> {
        match self.set(key, given) {
            Some(Ok(())) => Ok(()),
            Some(Err(problem)) => {
                Err(ConfigError::Value { origin: origin.to_owned(), key: key.to_owned(), problem })
            }
            None => Err(ConfigError::Unknown {
                origin: origin.to_owned(),
                key: key.to_owned(),
                nearest: nearest(key, &Self::keys()),
            }),
        }
    }

    /// Bounds that types do not hold.
    fn check(&self) -> Result<(), ConfigError> {
        let span = |span: Duration| span.as_millis() as usize;
        let year = span(366 * DAY);
        let rows: &[(&'static str, usize, usize, usize)] = &[
            ("store.connections", self.store.connections, 4, 1_000),
            ("store.timeout", span(self.store.timeout), 100, 3_600_000),
            ("store.poll", span(self.store.poll), 10, 10_000),
            ("server.max_connections", self.server.max_connections, 1, 1_000_000),
            ("server.tls_handshake_timeout", span(self.server.tls_handshake_timeout), 1, year),
            ("server.backup_stall_timeout", span(self.server.backup_stall_timeout), 1, year),
            ("server.header_timeout", span(self.server.header_timeout), 1, year),
            ("server.header_limit", self.server.header_limit.0, 8 * KIB, 16 * MIB),
            ("server.max_headers", self.server.max_headers, 16, 10_000),
            ("ingest.event_limit", self.ingest.event_limit.0, 1, 256 * MIB),
            ("ingest.batch_limit", self.ingest.batch_limit.0, self.ingest.event_limit.0, 1_024 * MIB),
            ("ingest.batch_items", self.ingest.batch_items, 1, 10_000),
            ("ingest.json_depth", self.ingest.json_depth, 1, 128),
            ("ingest.body_timeout", span(self.ingest.body_timeout), 1, year),
            ("ingest.in_flight_bytes", self.ingest.in_flight_bytes.0, self.ingest.batch_limit.0, usize::MAX),
            ("catalogue.max_event_types", self.catalogue.max_event_types, 1, 10_000),
            ("catalogue.max_samples", self.catalogue.max_samples, 0, 1_000),
            ("catalogue.max_sample", self.catalogue.max_sample.0, 1, 16 * MIB),
            ("catalogue.max_schema", self.catalogue.max_schema.0, 2, 16 * MIB),
            ("catalogue.max_versions", self.catalogue.max_versions, 1, 1_000),
            ("catalogue.versions_limit", self.catalogue.versions_limit.0, 2, 256 * MIB),
            ("catalogue.max_steps", self.catalogue.max_steps, 1, 1_000),
            ("delivery.timeout", span(self.delivery.timeout), 1, span(self.delivery.max_timeout)),
            ("delivery.lease", span(self.delivery.lease), 3_000, 600_000),
            ("delivery.max_age", span(self.delivery.max_age), 1, usize::MAX),
            ("delivery.max_in_flight", self.delivery.max_in_flight, 1, 1_000_000),
            ("delivery.backlog_deliveries", self.delivery.backlog_deliveries, 1, 100_000_000),
            ("delivery.concurrency", self.delivery.concurrency as usize, 1, self.endpoint_concurrency()),
            ("delivery.answer_body_limit", self.delivery.answer_body_limit.0, 0, 256 * MIB),
            ("delivery.stored_request_body", self.delivery.stored_request_body.0, 0, 256 * MIB),
            ("delivery.judged_answer_body", self.delivery.judged_answer_body.0, 0, self.answer_limit()),
            ("delivery.stored_answer_body", self.delivery.stored_answer_body.0, 0, self.answer_limit()),
            ("endpoint.max_per_tenant", self.endpoint.max_per_tenant, 1, 60_000),
            ("endpoint.max_transforms", self.endpoint.max_transforms, 0, 1_000),
            ("endpoint.max_config", self.endpoint.max_config.0, 2, 16 * MIB),
            ("endpoint.max_headers", self.endpoint.max_headers, 0, 1_000),
            ("endpoint.max_header_value", self.endpoint.max_header_value.0, 0, 64 * KIB),
            ("endpoint.max_events", self.endpoint.max_events, 1, 10_000),
            ("endpoint.max_channels", self.endpoint.max_channels, 0, 10_000),
            ("endpoint.max_concurrency", self.endpoint_concurrency(), 1, 1_000_000),
            ("endpoint.max_tests", self.endpoint.max_tests, 1, 10_000),
            ("key.max", self.key.max, 1, 100_000),
            ("endpoint.rotation_overlap", span(self.endpoint.rotation_overlap), 0, span(MAX_OVERLAP)),
            ("tenant.max", self.tenant.max, 1, 1_000_000),
            ("plugin.time_limit", span(self.plugin.time_limit), span(MIN_PLUGIN_TIME), year),
            ("plugin.memory_limit", self.plugin.memory_limit.0, MIN_PLUGIN_MEMORY, 4_095 * MIB),
            ("plugin.table_limit", self.plugin.table_limit, 0, 10_000_000),
            ("plugin.output_limit", self.plugin.output_limit.0, MIN_PLUGIN_OUTPUT, 256 * MIB),
            ("plugin.log_lines", self.plugin.log_lines, 0, 10_000),
            ("plugin.log_line_length", self.plugin.log_line_length, 0, 64 * KIB),
            ("plugin.max_time", span(self.plugin.max_time), span(self.plugin.time_limit), year),
            ("plugin.max_memory", self.plugin.max_memory.0, self.plugin.memory_limit.0, 4_095 * MIB),
            ("plugin.max_output", self.plugin.max_output.0, self.plugin.output_limit.0, 256 * MIB),
            ("plugin.max_log_lines", self.plugin.max_log_lines, self.plugin.log_lines, 10_000),
            ("plugin.patience", self.plugin.patience as usize, 1, 1_000),
            ("plugin.max_concurrent_calls", self.plugin.max_concurrent_calls, 1, 100_000),
            ("plugin.file_size_limit", self.plugin.file_size_limit.0, KIB, 1_024 * MIB),
            ("plugin.kept_versions", self.plugin.kept_versions, 2, 10_000),
            ("plugin.max_dry_runs", self.plugin.max_dry_runs, 1, 10_000),
            ("plugin.dry_run_body", self.plugin.dry_run_body.0, 0, 256 * MIB),
            ("replay.rate", self.replay.rate, 1, 1_000_000),
            ("replay.max_pending", self.replay.max_pending, 1, 1_000_000_000),
            ("replay.max_running", self.replay.max_running, 1, 1_000),
            ("replay.max_kept", self.replay.max_kept, 1, 10_000),
            ("backtest.max_events", self.backtest.max_events, 1, 1_000_000),
            ("backtest.events", self.backtest.events, 1, self.backtest.max_events),
            ("backtest.bytes", self.backtest.bytes.0, 1, usize::MAX),
            ("backtest.time_limit", span(self.backtest.time_limit), 1_000, span(DAY)),
            ("backtest.max_running", self.backtest.max_running, 1, 100),
            ("backtest.max_kept", self.backtest.max_kept, 1, 1_000),
            ("backtest.samples", self.backtest.samples, 0, 1_000),
            ("backtest.sample_body", self.backtest.sample_body.0, 0, MIB),
            ("retention.events", span(self.retention.events), 1, usize::MAX),
            ("retention.whole_days", span(self.retention.whole_days), 0, usize::MAX),
            ("retention.statistics_minutes", span(self.retention.statistics_minutes), 3_600_000, usize::MAX),
            ("retention.statistics_hours", span(self.retention.statistics_hours), span(DAY), usize::MAX),
            ("retention.statistics_days", span(self.retention.statistics_days), span(8 * DAY), usize::MAX),
            ("dashboard.session", span(self.dashboard.session), 60_000, span(90 * DAY)),
            (
                "dashboard.portal_expires",
                span(self.dashboard.portal_expires),
                span(MIN_PORTAL),
                span(MAX_PORTAL),
            ),
            ("dashboard.sign_in_attempts", self.dashboard.sign_in_attempts as usize, 1, 1_000_000),
            ("dashboard.max_ended_sessions", self.dashboard.max_ended_sessions, 1, 1_000_000),
            ("dashboard.live_streams", self.dashboard.live_streams, 0, 10_000),
            ("dashboard.live_buffer", self.dashboard.live_buffer, 1, 1_000_000),
            ("dashboard.live_stall_timeout", span(self.dashboard.live_stall_timeout), 1_000, span(DAY)),
            ("retention.attempts_kept", self.retention.attempts_kept, 1, 100_000),
        ];
        self.check_admin_key()?;
        self.check_plugin_limits()?;
        self.check_tls()?;
        self.check_signatures()?;
        match rows.iter().find(|(_, value, least, most)| value < least || value > most) {
            Some((key, value, least, most)) => Err(ConfigError::Range {
                key,
                problem: format!(
                    "is {value}; it must be from {least} to {most} (bytes, milliseconds or a number)"
                ),
            }),
            None => Ok(()),
        }
    }

    /// A key that can be guessed, or that no header can carry, would be no key.
    fn check_admin_key(&self) -> Result<(), ConfigError> {
        let Some(key) = self.admin_key.as_ref().map(Secret::expose) else { return Ok(()) };
        if key.len() >= SHORTEST_ADMIN_KEY && key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Ok(());
        }
        Err(ConfigError::Value {
            origin: variable("admin_key"),
            key: "admin_key".to_owned(),
            problem: format!(
                "takes {SHORTEST_ADMIN_KEY} or more visible ASCII characters, as `openssl rand -hex 32` prints; \
                 without the variable the host makes a key itself"
            ),
        })
    }

    /// What holds for a plugin alone is within the bounds for all.
    fn check_plugin_limits(&self) -> Result<(), ConfigError> {
        let settings = &self.plugin;
        let span = |span: Duration| span.as_millis() as usize;
        for (plugin, said) in &settings.limits.0 {
            let rows = [
                ("time", said.time.map(span), span(MIN_PLUGIN_TIME), "max_time", span(settings.max_time)),
                ("memory", said.memory, MIN_PLUGIN_MEMORY, "max_memory", settings.max_memory.0),
                ("output", said.output, MIN_PLUGIN_OUTPUT, "max_output", settings.max_output.0),
                ("log_lines", said.log_lines, 0, "max_log_lines", settings.max_log_lines),
            ];
            for (key, value, least, ceiling, most) in rows {
                if let Some(value) = value.filter(|value| !(least..=most).contains(value)) {
                    let problem = format!(
                        "is {value}; it must be from {least} to {most} (bytes, milliseconds or a number), which is \
                         `plugin.{ceiling}`"
                    );
                    let (origin, key) = ("settings".to_owned(), format!("plugin.limits.{plugin}.{key}"));
                    return Err(ConfigError::Value { origin, key, problem });
                }
            }
        }
        Ok(())
    }

    fn check_tls(&self) -> Result<(), ConfigError> {
        let missing = match (&self.host.tls_cert, &self.host.tls_key) {
            (Some(_), None) => "tls_key",
            (None, Some(_)) => "tls_cert",
            _ => return Ok(()),
        };
        let problem =
            "is missing; `tls_cert` and `tls_key` belong together: give both, or neither".to_owned();
        Err(ConfigError::Range { key: missing, problem })
    }

    /// Without a key nothing could ever be signed as it has to be.
    fn check_signatures(&self) -> Result<(), ConfigError> {
        if self.plugin.require_signatures == Required::None || !self.plugin.signature_keys.is_empty() {
            return Ok(());
        }
        let problem = format!(
            "is empty while `plugin.require_signatures` is `{}`; list the public keys that `hookwright plugin keygen` \
             printed",
            self.plugin.require_signatures.word()
        );
        Err(ConfigError::Range { key: "plugin.signature_keys", problem })
    }

    fn endpoint_concurrency(&self) -> usize {
        self.endpoint.max_concurrency as usize
    }

    fn answer_limit(&self) -> usize {
        self.delivery.answer_body_limit.0
    }
}

/// Variables of the environment that look like settings and are none, each as a sentence for the log. They are
/// no error: container platforms put variables of their own under a service's name.
pub fn unknown_variables(names: impl IntoIterator<Item = String>) -> Vec<String> {
    const OTHERS: [&str; 5] = [
        "HOOKWRIGHT_URL",
        "HOOKWRIGHT_KEY",
        "HOOKWRIGHT_CONFIG",
        "HOOKWRIGHT_SECRET",
        "HOOKWRIGHT_NEW_SEALING_KEY",
    ];
    let keys = Config::keys();
    let known = |name: &str| {
        OTHERS.contains(&name)
            || SECRETS.iter().any(|key| variable(key) == name)
            || keys.iter().any(|key| variable(key) == name)
    };
    names
        .into_iter()
        .filter(|name| name.starts_with(ENVIRONMENT_PREFIX) && !known(name))
        .map(|name| format!("`{name}` in the environment is no setting and is ignored"))
        .collect()
}

/// How the environment calls a setting.
pub fn variable(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.replace('.', "_").to_ascii_uppercase())
}

fn read_file(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_LIMIT {
        return Err(ConfigError::TooLarge { path: path.to_owned() });
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|key| format!("; did you mean `{key}`?")).unwrap_or_default()
}

/// The known key that takes the fewest changes to reach, if they are few.
fn nearest(key: &str, known: &[String]) -> Option<String> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let changes = |candidate: &String| {
        let whole = distance(key, candidate, FARTHEST);
        let in_another_group =
            distance(&last(key), &last(candidate), FARTHEST - 1).map(|changes| 1 + changes);
        whole.into_iter().chain(in_another_group).min()
    };
    known.iter().filter_map(|key| Some((changes(key)?, key))).min().map(|(_, key)| key.clone())
}

/// Changes from which on a key is another one.
const FARTHEST: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::Allowance;

    fn read(text: &str) -> Result<Config, ConfigError> {
        let mut config = Config::default();
        config.read_toml(text, Path::new("test.toml"))?;
        config.check()?;
        Ok(config)
    }

    #[test]
    fn plugins_have_limits_of_their_own() {
        let said = "[plugin.limits.script]\ntime = \"200ms\"\nmemory = \"32MiB\"\nlog_lines = 0\n[plugin.limits.a-b]";
        let limits = read(said).unwrap().plugin.limits.0;
        let script = Allowance {
            time: Some(Duration::from_millis(200)),
            memory: Some(32 * MIB),
            output: None,
            log_lines: Some(0),
        };
        assert_eq!(limits, [("script".to_owned(), script), ("a-b".to_owned(), Allowance::default())].into());
        for (said, part) in [
            ("[plugin]\nlimits = 1", "[plugin.limits.NAME]"),
            ("[plugin.limits]\nscript = 1", "`script` is none"),
            ("[plugin.limits.Script]", "names are of a-z"),
            ("[plugin.limits.x]\ntables = 1", "there is no limit `tables`"),
            ("[plugin.limits.x]\ntime = 1", "`time` takes a span"),
            (
                "[plugin.limits.x]\ntime = \"1m\"",
                "`plugin.limits.x.time` is 60000; it must be from 10 to 5000",
            ),
            ("[plugin.limits.x]\nmemory = \"1GiB\"", "`plugin.max_memory`"),
            ("[server]\nmax_connections = {}", "takes no table"),
        ] {
            let message = read(said).unwrap_err().to_string();
            assert!(message.contains(part), "{said}: {message}");
        }
    }

    #[test]
    fn the_manual_says_what_the_code_does() {
        assert_eq!(read(DEFAULT_FILE).unwrap(), Config::default());
        let table: toml::Table = DEFAULT_FILE.parse().unwrap();
        for key in Config::keys() {
            let stands = match key.split_once('.') {
                Some((group, key)) => table.get(group).and_then(|group| group.get(key)).is_some(),
                None => table.contains_key(&key),
            };
            assert!(stands, "{key} is missing in config.default.toml");
        }
    }

    #[test]
    fn later_sources_win() {
        let directory = std::env::temp_dir().join(format!("hookwright-config-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = directory.join("a.toml");
        std::fs::write(
            &file,
            "listen = \"127.0.0.1:1\"\n[ingest]\nevent_limit = \"2MiB\"\nbatch_items = 7\n",
        )
        .unwrap();
        let environment = [
            ("HOOKWRIGHT_INGEST_EVENT_LIMIT", "3MiB"),
            ("HOOKWRIGHT_ALLOW_TARGETS", "10.0.0.0/8, ::1/128"),
            ("HOOKWRIGHT_ADMIN_KEY", " hwk_0123456789ab\n"),
            ("HOOKWRIGHT_LISTEN", "127.0.0.1:2"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let flags = [("listen", vec!["127.0.0.1:3".to_owned()])];
        let config = Config::load(Some(&file), environment, flags).unwrap();
        std::fs::remove_dir_all(&directory).unwrap();
        assert_eq!(config.host.listen.port(), 3);
        assert_eq!(config.ingest.event_limit, Size(3 * MIB));
        assert_eq!(config.ingest.batch_items, 7);
        assert_eq!(config.host.allow_targets.len(), 2);
        assert_eq!(config.admin_key.unwrap().expose(), "hwk_0123456789ab");
    }

    #[test]
    fn a_weak_admin_key_is_refused_and_not_shown() {
        let load = |key: &str| {
            Config::load(None, [("HOOKWRIGHT_ADMIN_KEY".to_owned(), key.to_owned())], [])
                .map_err(|error| error.to_string())
        };
        assert!(load("hwk_0123456789ab").is_ok());
        for weak in ["", " \t\n", "hwk_0123456789a", "hwk_0123456789 abcdef", "hwk_0123456789\u{e4}bcdef"] {
            let message = load(weak).unwrap_err();
            assert!(message.contains("HOOKWRIGHT_ADMIN_KEY") && !message.contains("hwk_"), "{message}");
        }
    }

    #[test]
    fn errors_name_the_key() {
        let table = [
            ("lisen = \"x\"", "did you mean `listen`?"),
            ("[ingest]\nevnt_limit = 1", "did you mean `ingest.event_limit`?"),
            ("event_limit = 1", "did you mean `ingest.event_limit`?"),
            ("[ingest]\nevent_limit = \"1MB\"", "`ingest.event_limit`"),
            ("[ingest]\njson_depth = 129", "`ingest.json_depth`"),
            ("[ingest]\nbody_timeout = 30", "`ingest.body_timeout`"),
            ("[log]\nformat = \"xml\"", "`log.format`"),
            ("[ingest]\nunknown_types = \"drop\"", "`ingest.unknown_types`"),
            ("[catalogue]\nmax_event_types = 0", "`catalogue.max_event_types`"),
            ("[plugin]\noutput_limit = 0", "`plugin.output_limit`"),
            ("[endpoint]\nrotation_overlap = \"8d\"", "`endpoint.rotation_overlap`"),
            ("[plugin]\nlog_lines = 1000000", "`plugin.log_lines`"),
            ("[plugin]\npatience = 0", "`plugin.patience`"),
            ("[delivery]\nlease = \"2s\"", "`delivery.lease`"),
            ("[delivery]\nstored_answer_body = \"1MiB\"", "`delivery.stored_answer_body`"),
            ("listen = \"localhost\"", "`listen`"),
            ("roles = [\"ingest\", \"worker\"]", "`roles` holds `worker`"),
            ("roles = []", "`roles` is empty"),
            ("[store]\npoll = \"1ms\"", "`store.poll`"),
            ("allow_targets = [\"10.0.0.0/33\"]", "`allow_targets`"),
            ("admin_key = \"x\"", "HOOKWRIGHT_ADMIN_KEY"),
            ("tls_cert = \"cert.pem\"", "`tls_key` is missing"),
            ("tls_key = \"key.pem\"", "`tls_cert` is missing"),
            ("egress_proxy = \"https://proxy.example\"", "`egress_proxy` does not begin with `http://`"),
            ("[server]\ntls_handshake_timeout = \"0s\"", "`server.tls_handshake_timeout`"),
            ("[server]\nbackup_stall_timeout = \"0s\"", "`server.backup_stall_timeout`"),
            ("[server]\ntrusted_proxies = [\"10.0.0.0/33\"]", "`server.trusted_proxies`"),
            ("[dashboard]\nsession = \"59s\"", "`dashboard.session`"),
            ("[dashboard]\nportal_expires = \"25h\"", "`dashboard.portal_expires`"),
            ("[dashboard]\nsign_in_attempts = 0", "`dashboard.sign_in_attempts`"),
            ("[dashboard]\nmax_ended_sessions = 0", "`dashboard.max_ended_sessions`"),
            ("[dashboard]\nlive_streams = 10001", "`dashboard.live_streams`"),
            ("[dashboard]\nlive_buffer = 0", "`dashboard.live_buffer`"),
            ("[dashboard]\nlive_stall_timeout = \"0s\"", "`dashboard.live_stall_timeout`"),
            ("[dashboard]\norigins = [\"hooks.example\"]", "`dashboard.origins`"),
            ("[dashboard]\nframe_ancestors = [\"https://a.example;\"]", "`dashboard.frame_ancestors`"),
            ("zzzzzzzz = 1", "there is no setting `zzzzzzzz`"),
            ("= 1", "is not TOML"),
        ];
        for (text, expected) in table {
            let message = read(text).unwrap_err().to_string();
            assert!(message.contains(expected), "{text}: {message}");
        }
    }

    #[test]
    fn the_password_of_a_proxy_is_never_shown() {
        let given = |url: &str| {
            let flag = [("egress_proxy", vec![url.to_owned()])];
            Config::load(None, [], flag).map_err(|error| error.to_string())
        };
        let config = given("http://user:swordfish@proxy.example:3128").unwrap();
        assert_eq!(config.host.egress_proxy.as_ref().unwrap().to_string(), "proxy.example:3128");
        assert!(!format!("{config:?}").contains("swordfish"));
        let refused = given("https://user:swordfish@proxy.example").unwrap_err();
        assert!(refused.contains("--egress-proxy") && !refused.contains("swordfish"), "{refused}");
        assert_eq!(given("").unwrap().host.egress_proxy, None);
    }

    #[test]
    fn strangers_in_the_environment_are_told_not_refused() {
        let names = ["HOOKWRIGHT_PORT", "HOOKWRIGHT_LISTEN", "HOOKWRIGHT_KEY", "HOOKWRIGHT_SECRET", "PATH"]
            .map(str::to_owned);
        let told = unknown_variables(names);
        assert_eq!(told.len(), 1);
        assert!(told[0].contains("HOOKWRIGHT_PORT"));
    }
}
