//! Who runs which plugins.

use std::collections::BTreeSet;
use std::fmt;

use super::Snapshot;
use crate::endpoint::Endpoint;
use crate::event::{Tenant, VersionName};
use crate::id::EndpointId;
use crate::terms::{Terms, Transform};

/// What stands between a plugin's name and the digest that pins one of its versions.
const PIN: &str = "@sha256:";

/// A link of a chain, and whose it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Use<'s> {
    pub user: User<'s>,
    /// Where the chain stands that it is a link of.
    pub from: Origin<'s>,
    /// Among the links of that chain.
    pub place: usize,
    pub transform: &'s Transform,
}

/// Whose chain it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum User<'s> {
    Endpoint(&'s Endpoint),
    Tenant(&'s Tenant),
    Host,
    Version(&'s VersionName),
}

/// Who says the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin<'s> {
    Endpoint(EndpointId),
    Tenant(&'s Tenant),
    Host,
    Version(&'s VersionName),
}

/// A plugin's name as a link says it, and the digest where it is pinned.
pub fn named(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once(PIN) {
        Some((name, digest)) => (name, Some(digest)),
        None => (reference, None),
    }
}

impl Use<'_> {
    /// The name of the plugin.
    pub fn plugin(&self) -> &str {
        named(&self.transform.plugin).0
    }

    /// The digest that it is pinned to.
    pub fn pin(&self) -> Option<&str> {
        named(&self.transform.plugin).1
    }

    /// JSON Pointer to the link, in what says the chain.
    pub fn pointer(&self) -> String {
        let list = if matches!(self.from, Origin::Version(_)) { "steps" } else { "transforms" };
        format!("/{list}/{}", self.place)
    }
}

impl fmt::Display for User<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            User::Endpoint(endpoint) => write!(f, "endpoint {}", endpoint.id),
            User::Tenant(tenant) => write!(f, "tenant {}", tenant.as_str()),
            User::Host => f.write_str("the host"),
            User::Version(name) => write!(f, "version {}", name.as_str()),
        }
    }
}

impl Snapshot {
    /// Every link that an endpoint runs, its own or inherited, and every one that stands ready for endpoints: those of
    /// the tenants, of the host and of the versions' steps. Endpoints come first, in the order of their creation.
    pub fn uses(&self) -> impl Iterator<Item = Use<'_>> {
        let of_endpoints = self.entries().flat_map(|entry| self.uses_of(&entry.endpoint));
        let of_tenants = self.tenants().flat_map(|profile| {
            chain(&profile.terms, User::Tenant(&profile.tenant), Origin::Tenant(&profile.tenant))
        });
        let host = self.host().into_iter();
        let of_host = host.flat_map(|kept| chain(&kept.value.terms, User::Host, Origin::Host));
        let versions = self.versions().into_iter().flat_map(|kept| &kept.value.versions);
        let of_versions = versions.flat_map(|version| {
            version.steps.iter().enumerate().map(|(place, step)| Use {
                user: User::Version(&version.name),
                from: Origin::Version(&version.name),
                place,
                transform: &step.transform,
            })
        });
        of_endpoints.chain(of_tenants).chain(of_host).chain(of_versions)
    }

    /// The digests that links pin.
    pub fn pinned_plugins(&self) -> BTreeSet<String> {
        self.uses().filter_map(|link| link.pin().map(str::to_owned)).collect()
    }

    fn uses_of<'s>(&'s self, endpoint: &'s Endpoint) -> impl Iterator<Item = Use<'s>> {
        let user = User::Endpoint(endpoint);
        let steps = endpoint.terms.steps.iter().map(move |step| Use {
            user,
            from: Origin::Version(&step.version),
            place: usize::from(step.place),
            transform: &step.transform,
        });
        let from = self.chain_of(endpoint);
        let own = endpoint.terms.transforms.iter().enumerate();
        steps.chain(own.map(move |(place, transform)| Use { user, from, place, transform }))
    }

    /// Who says the endpoint's chain.
    fn chain_of<'s>(&'s self, endpoint: &'s Endpoint) -> Origin<'s> {
        let tenant = self.tenant(&endpoint.tenant);
        match tenant.filter(|kept| kept.value.terms.transforms.is_some()) {
            _ if endpoint.own.transforms.is_some() => Origin::Endpoint(endpoint.id),
            Some(_) => Origin::Tenant(&endpoint.tenant),
            None => Origin::Host,
        }
    }
}

fn chain<'s>(terms: &'s Terms, user: User<'s>, from: Origin<'s>) -> impl Iterator<Item = Use<'s>> {
    let links = terms.transforms.iter().flatten().enumerate();
    links.map(move |(place, transform)| Use { user, from, place, transform })
}
