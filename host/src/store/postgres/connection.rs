//! The way to the database: its address, TLS, and a bounded number of connections.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, QueueMode, RecyclingMethod, Runtime, Timeouts,
};
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::Socket;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};

use crate::store::{Result, StoreError};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A host that stands still in the middle of a transaction keeps others waiting for so long.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(10);

/// Where the database is, and as whom to speak to it.
#[derive(Clone)]
pub struct Address {
    config: tokio_postgres::Config,
    trust: Arc<ClientConfig>,
}

/// Shows no password.
impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address({:?}, {:?})", self.config.get_hosts(), self.config.get_dbname())
    }
}

#[derive(Debug, thiserror::Error)]
pub enum InvalidAddress {
    /// Without the text, which may hold a password.
    #[error("it is not an address of a PostgreSQL database such as `postgres://user@host:5432/name`")]
    Syntax,
    #[error("`sslmode` can be `disable`, `prefer`, `require` or `verify-full`, which is the default")]
    SslMode,
    #[error("{0}")]
    Trust(String),
}

impl Address {
    /// Reads a URL. A connection over the network is encrypted and the server's certificate verified, with its name,
    /// unless `sslmode=disable` is said; one over a socket of this machine is not encrypted. `sslrootcert` names a
    /// file of authorities to trust instead of the system's.
    ///
    /// # Errors
    ///
    /// Where it is not such a URL, or the file cannot be read.
    pub fn parse(url: &str) -> std::result::Result<Self, InvalidAddress> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(InvalidAddress::Syntax);
        }
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (ours, drivers): (Vec<_>, Vec<_>) = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .partition(|(name, _)| matches!(*name, "sslmode" | "sslrootcert"));
        let said = |name: &str| ours.iter().find(|(said, _)| *said == name).map(|(_, value)| *value);
        let mode = match said("sslmode") {
            None | Some("require" | "verify-full") => SslMode::Require,
            Some("disable") => SslMode::Disable,
            Some("prefer") => SslMode::Prefer,
            Some(_) => return Err(InvalidAddress::SslMode),
        };
        let trust = Arc::new(trust(said("sslrootcert").map(Path::new))?);
        let drivers: Vec<String> = drivers.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let plain = format!("{place}?{}", drivers.join("&"));
        let plain = plain.trim_end_matches('?');
        let mut config = tokio_postgres::Config::from_str(plain).map_err(|_| InvalidAddress::Syntax)?;
        let local = config.get_hosts().iter().all(is_local);
        config.ssl_mode(if local { SslMode::Disable } else { mode });
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        if config.get_application_name().is_none() {
            config.application_name("hookwright");
        }
        Ok(Self { config, trust })
    }

    /// With a password that is not in the URL.
    #[must_use]
    pub fn with_password(mut self, password: &str) -> Self {
        self.config.password(password);
        self
    }
}

fn is_local(host: &tokio_postgres::config::Host) -> bool {
    match host {
        tokio_postgres::config::Host::Tcp(_) => false,
        #[cfg(unix)]
        tokio_postgres::config::Host::Unix(_) => true,
    }
}

fn trust(file: Option<&Path>) -> std::result::Result<ClientConfig, InvalidAddress> {
    use rustls_platform_verifier::BuilderVerifierExt;

    let fault = |error: &dyn std::fmt::Display| {
        InvalidAddress::Trust(format!("its authorities cannot be trusted: {error}"))
    };
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| fault(&error))?;
    let Some(file) = file else {
        return Ok(builder.with_platform_verifier().map_err(|error| fault(&error))?.with_no_client_auth());
    };
    let mut roots = rustls::RootCertStore::empty();
    for authority in CertificateDer::pem_file_iter(file).map_err(|error| fault(&error))? {
        let authority = authority.map_err(|error| fault(&error))?;
        roots.add(authority).map_err(|error| fault(&error))?;
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Every statement finds its rows by an index. A plan that was made while a table was small must not read all of it once it
/// is large.
pub const PLANNER: &str =
    "SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; SET jit = off";

/// A statement that waits for a lock ends once whoever asked for it has gone, and with it what was sent behind it: what
/// failed in time must not be committed later. Not every platform of a server can tell.
const WATCH_CLIENT: &str = "SELECT set_config('client_connection_check_interval', '1s', false) \
                            FROM pg_settings WHERE name = 'client_connection_check_interval' AND version() ~ 'linux'";

/// Connections that are kept open.
#[derive(Debug)]
pub struct Pool(deadpool_postgres::Pool);

impl Pool {
    pub fn new(address: &Address, most: usize, deadline: Duration) -> Result<Self> {
        let tls = MakeTls(address.trust.clone());
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(address.config.clone(), tls, recycling);
        let settle_in = format!(
            "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; \
             SET default_transaction_isolation = 'read committed'; SET client_min_messages = warning; \
             {WATCH_CLIENT}; {PLANNER}",
            deadline.as_millis(),
            IDLE_IN_TRANSACTION.as_millis()
        );
        let timeouts = Timeouts { wait: Some(deadline), create: Some(deadline), recycle: Some(deadline) };
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(most)
            .runtime(Runtime::Tokio1)
            .timeouts(timeouts)
            // The one used last knows its statements' plans and has its tables at hand.
            .queue_mode(QueueMode::Lifo)
            .post_create(Hook::async_fn(move |client, _| {
                let settle_in = settle_in.clone();
                Box::pin(async move { client.batch_execute(&settle_in).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self(pool))
    }

    pub async fn take(&self) -> Result<deadpool_postgres::Object> {
        use deadpool_postgres::PoolError;

        self.0.get().await.map_err(|error| {
            StoreError::Unavailable(match error {
                PoolError::Timeout(_) => "no connection to the database came about in time".to_owned(),
                PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
                    format!("the database cannot be reached: {}", describe(&error))
                }
                error => format!("the database cannot be reached: {error}"),
            })
        })
    }
}

/// What the server or the network said.
pub fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return format!("{} ({})", error.message(), error.code().code());
    }
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[derive(Clone)]
struct MakeTls(Arc<ClientConfig>);

impl MakeTlsConnect<Socket> for MakeTls {
    type Stream = Encrypted;
    type TlsConnect = Handshake;
    type Error = io::Error;

    fn make_tls_connect(&mut self, host: &str) -> io::Result<Handshake> {
        // It is asked for also where no TLS is spoken: with a socket of this machine, which has no name.
        let name = ServerName::try_from(host).ok().map(|name| name.to_owned());
        Ok(Handshake { connector: tokio_rustls::TlsConnector::from(self.0.clone()), name })
    }
}

struct Handshake {
    connector: tokio_rustls::TlsConnector,
    name: Option<ServerName<'static>>,
}

impl TlsConnect<Socket> for Handshake {
    type Stream = Encrypted;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted>> + Send>>;

    fn connect(self, stream: Socket) -> Self::Future {
        Box::pin(async move {
            let name = self.name.ok_or_else(|| io::Error::other("the server has no name to verify"))?;
            Ok(Encrypted(Box::new(self.connector.connect(name, stream).await?)))
        })
    }
}

struct Encrypted(Box<tokio_rustls::client::TlsStream<Socket>>);

impl TlsStream for Encrypted {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_over_the_network_are_encrypted_unless_said_otherwise() {
        for (url, mode) in [
            ("postgres://u@db.example/name", SslMode::Require),
            ("postgresql://u:p@db.example:6432/name?sslmode=verify-full", SslMode::Require),
            ("postgres://u@db.example/name?sslmode=prefer&connect_timeout=3", SslMode::Prefer),
            ("postgres://u@127.0.0.1/name?sslmode=disable", SslMode::Disable),
            ("postgres://u@%2Frun%2Fpostgresql/name?options=-c%20search_path%3Da", SslMode::Disable),
        ] {
            assert_eq!(Address::parse(url).unwrap().config.get_ssl_mode(), mode, "{url}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_repeated() {
        for wrong in
            ["", "mysql://u:secret@h/n", "postgres://u:secret@h:port/n", "postgres://h/n?sslmode=allow"]
        {
            let error = Address::parse(wrong).unwrap_err();
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let with_password = Address::parse("postgres://u:secret@h/n").unwrap();
        assert!(!format!("{with_password:?}").contains("secret"));
    }
}
