//! Names to addresses, under one budget of time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;

use super::fault::{Fault, FaultKind};

/// Asks the system's name servers and hosts file; ahead of both, names the operator fixed.
pub(super) struct Resolver {
    fixed: HashMap<String, Vec<IpAddr>>,
    system: TokioResolver,
    budget: Duration,
}

impl Resolver {
    pub(super) fn new(fixed: HashMap<String, Vec<IpAddr>>, budget: Duration) -> Result<Self, NetError> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no usable DNS configuration on this machine; asking 127.0.0.1:53");
            let config = ResolverConfig::from_parts(None, Vec::new(), local_name_server());
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        });
        tune(builder.options_mut(), budget);
        Ok(Self { fixed, system: builder.build()?, budget })
    }

    /// All addresses of a name, in both families.
    pub(super) async fn resolve(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        if let Some(fixed) = self.fixed.get(name.trim_end_matches('.')) {
            return Ok(fixed.clone());
        }
        match tokio::time::timeout(self.budget, self.system.lookup_ip(name)).await {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) => Err(fault(name, &error)),
            Err(_) => Err(dns(format!("looking up {name} took longer than {:?}", self.budget))),
        }
    }
}

/// What the system's own resolver does where nothing is configured.
fn local_name_server() -> Vec<NameServerConfig> {
    vec![NameServerConfig::udp_and_tcp(Ipv4Addr::LOCALHOST.into())]
}

/// One unanswered query must leave room for a second one within the budget.
fn tune(options: &mut ResolverOpts, budget: Duration) {
    options.timeout = options.timeout.min(budget * 2 / 5);
    options.attempts = options.attempts.min(ATTEMPTS);
    options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    options.positive_max_ttl = Some(POSITIVE_TTL_LIMIT);
    options.negative_max_ttl = Some(NEGATIVE_TTL_LIMIT);
}

/// The resolver's own detail (which server, which record) goes to the log, never to whoever owns the endpoint.
fn fault(name: &str, error: &NetError) -> Fault {
    tracing::debug!(name, %error, "name lookup failed");
    if error.is_nx_domain() {
        return dns(format!("the name {name} does not exist"));
    }
    if error.is_no_records_found() {
        return dns(format!("the name {name} has no address"));
    }
    dns(format!("looking up {name} failed: the name servers gave no usable answer"))
}

fn dns(message: String) -> Fault {
    Fault::new(FaultKind::Dns, message)
}

const ATTEMPTS: usize = 2;
/// A receiver that moves is found again within minutes, whatever its records say.
const POSITIVE_TTL_LIMIT: Duration = Duration::from_secs(300);
/// A name that was just created is not held missing for long.
const NEGATIVE_TTL_LIMIT: Duration = Duration::from_secs(10);
