//! `healthcheck`: asks a server how it is, for those who ask by exit code.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use url::{Host, Url};

use super::argument::span;
use super::client::{Authorities, Client};
use super::screen::say;
use super::serve::variables;
use crate::config::Config;

/// Ask whether a server is ready: exit code 0 if it is, else 1
///
/// Without `--url` it asks the server of this machine, where `--config` and the environment say that it listens. No key
/// is sent. The certificate of a server on this machine may be any, since it is often for another name.
#[derive(Debug, clap::Args)]
pub struct Healthcheck {
    /// Address of the server; otherwise that of the settings
    #[arg(long)]
    url: Option<Url>,
    /// The server's file of settings
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Certificate authorities in PEM, beside those of this machine
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CA_FILE")]
    ca_file: Option<String>,
    /// Ask only whether it is alive: also one that stops, or whose disk is full, is
    #[arg(long)]
    live: bool,
    /// How long it may take
    #[arg(long, value_name = "SPAN", default_value = "5s", value_parser = span)]
    timeout: Duration,
}

impl Healthcheck {
    pub async fn run(self) -> anyhow::Result<()> {
        let (url, own) = match &self.url {
            Some(url) => (url.clone(), is_here(url)),
            None => (self.own_url()?, true),
        };
        let authorities = if own { Authorities::Any } else { Authorities::in_file(self.ca_file.as_deref()) };
        let client = Client::trusting(url, None, authorities)?;
        let path = if self.live { "/healthz" } else { "/readyz" };
        match tokio::time::timeout(self.timeout, client.get(path, &[])).await {
            Ok(answer) => Ok(say(&answer?.text)?),
            Err(_) => bail!("the server did not answer within {:?}", self.timeout),
        }
    }

    fn own_url(&self) -> anyhow::Result<Url> {
        let config = Config::load(self.config.as_deref(), variables(), [])?;
        if config.host.listen.port() == 0 {
            bail!(
                "the settings leave the port to the system (`listen` has port 0); say where the server is with `--url`"
            );
        }
        let scheme = if config.host.tls_cert.is_some() { "https" } else { "http" };
        Url::parse(&format!("{scheme}://{}", reachable(config.host.listen))).context("`listen` is no address")
    }
}

/// One that listens everywhere listens on loopback.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

fn is_here(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_found_where_it_listens() {
        for (listen, asked) in [
            ("0.0.0.0:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("10.0.0.1:1", "10.0.0.1:1"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }

    #[test]
    fn only_this_machine_may_show_any_certificate() {
        for (url, here) in [
            ("https://localhost:1", true),
            ("https://127.9.9.9", true),
            ("https://[::1]", true),
            ("https://10.0.0.1", false),
            ("https://localhost.example", false),
        ] {
            assert_eq!(is_here(&url.parse().unwrap()), here, "{url}");
        }
    }
}
