//! What the demo plays on: a host with a directory of its own, a receiver, and a client.

use std::fs::{self, DirBuilder};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::HEXLOWER;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use url::Url;

use crate::app;
use crate::cli::client::Client;
use crate::cli::preset::Preset;
use crate::cli::screen::Paint;
use crate::config::Config;
use crate::receiver::Receiver;
use crate::secret::Secret;
use crate::telemetry;

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// Nothing is worth a longer wait here.
const DRAIN: Duration = Duration::from_secs(5);

pub struct Stage {
    pub client: Client,
    pub receiver: Receiver,
    address: SocketAddr,
    key: String,
    /// The type of the event that people are invited to send.
    example: String,
    stop: oneshot::Sender<()>,
    host: JoinHandle<anyhow::Result<()>>,
    /// Removed when dropped.
    _dir: TempDir,
}

impl Stage {
    /// The settings are the defaults, or a preset's: what the environment says about a server is not about this one.
    pub async fn set_up(preset: Option<Preset>) -> anyhow::Result<Self> {
        let dir = TempDir::new()
            .with_context(|| format!("no directory can be made in {}", std::env::temp_dir().display()))?;
        let key = format!("hwk_demo_{}", HEXLOWER.encode(&rand::random::<[u8; 16]>()));
        let config = settings(&dir.0, &key, preset)?;
        telemetry::start(&config.log)?;
        let receiver = Receiver::bind(ANY_PORT).await.context("the receiver cannot listen on 127.0.0.1")?;
        let app = app::build(config).await?;
        let address = app.address();
        let (stop, stopped) = oneshot::channel();
        let host = tokio::spawn(app.run(async move {
            // Also where the stage is dropped.
            let _ = stopped.await;
        }));
        let url = Url::parse(&format!("http://{address}"))?;
        let client = Client::new(url, Some(Secret::new(key.as_str())))?;
        let example = "contact.created".to_owned();
        Ok(Self { client, receiver, address, key, example, stop, host, _dir: dir })
    }

    pub fn opening(&self, paint: Paint) -> String {
        format!(
            "{}\n\n  host      http://{}\n  receiver  {}",
            paint.bold(
                "Hookwright demo: events are posted, filtered, reshaped, signed, delivered and verified."
            ),
            self.address,
            self.receiver.url("")
        )
    }

    pub fn invite_with(&mut self, event_type: &str) {
        event_type.clone_into(&mut self.example);
    }

    /// What to do now that it runs.
    pub fn invitation(&self) -> String {
        let Self { address, key, example, .. } = self;
        format!(
            "\nEverything stays up until Ctrl-C. Send an event of your own:\n\n\
             curl http://{address}/v1/events -H 'Content-Type: application/json' \\\n  \
             -H 'Authorization: Bearer {key}' \\\n  \
             -d '{{\"type\":\"{example}\",\"payload\":{{\"name\":\"Ada\"}}}}'\n\n\
             or, with the command line:\n\n\
             export HOOKWRIGHT_URL=http://{address} HOOKWRIGHT_KEY={key}\n\
             hookwright event send {example} --data '{{\"name\":\"Ada\"}}'\n\
             hookwright delivery list\n\n\
             What arrives from now on:"
        )
    }

    pub async fn tear_down(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        self.host.await.context("the host ended badly")?
    }
}

fn settings(dir: &Path, key: &str, preset: Option<Preset>) -> anyhow::Result<Config> {
    let mut config = match preset {
        None => Config::default(),
        Some(preset) => {
            let file = dir.join("hookwright.toml");
            fs::write(&file, preset.split().0)?;
            Config::load(Some(&file), [], [])?
        }
    };
    config.host.listen = ANY_PORT;
    config.host.data_dir = dir.join("data");
    config.host.allow_targets = vec![IpAddr::V4(Ipv4Addr::LOCALHOST).into()];
    config.admin_key = Some(Secret::new(key));
    config.server.drain_timeout = DRAIN;
    config.log.filter = "warn".to_owned();
    Ok(config)
}

/// A directory that only its owner can read.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> std::io::Result<Self> {
        let name = format!("hookwright-demo-{}", HEXLOWER.encode(&rand::random::<[u8; 8]>()));
        let path = std::env::temp_dir().join(name);
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, "{} is left behind", self.0.display());
        }
    }
}
