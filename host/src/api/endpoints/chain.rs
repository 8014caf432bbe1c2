//! Whether a chain of transforms could run: its plugins are there and accept their configuration.

use crate::api::problem::{FieldError, Problem};
use crate::endpoint::{OnFailure, Transform};
use crate::plugin::{Catalog, Plugin, Snapshot};

/// What stands between a plugin's name and the digest that pins it.
const PIN: &str = "@sha256:";

pub(in crate::api) async fn check(
    snapshot: &Snapshot,
    catalog: &Catalog,
    transforms: &[Transform],
) -> Result<(), Problem> {
    let mut errors = Vec::new();
    for (index, transform) in transforms.iter().enumerate() {
        let link = format!("/transforms/{index}");
        errors.extend(link_errors(snapshot, catalog, transform, &link).await);
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(errors)),
    }
}

/// Why a link could not run; `at` is the pointer to it.
pub(in crate::api) async fn link_errors(
    snapshot: &Snapshot,
    catalog: &Catalog,
    transform: &Transform,
    at: &str,
) -> Vec<FieldError> {
    let mut errors = Vec::new();
    match find(snapshot, catalog, &transform.plugin) {
        Ok(plugin) => check_link(&plugin, transform, at, &mut errors).await,
        Err(message) => errors.push(FieldError::new(format!("{at}/plugin"), message)),
    }
    errors
}

/// The first plugin of a chain that is not there, as the chain names it.
pub(in crate::api) fn missing_plugin<'a>(
    catalog: &Catalog,
    links: impl IntoIterator<Item = &'a Transform>,
) -> Option<&'a str> {
    let snapshot = catalog.snapshot();
    let missing = |transform: &&Transform| find(&snapshot, catalog, &transform.plugin).is_err();
    links.into_iter().find(missing).map(|transform| transform.plugin.as_str())
}

async fn check_link(plugin: &Plugin, transform: &Transform, link: &str, errors: &mut Vec<FieldError>) {
    if transform.on_failure == OnFailure::Pass && plugin.description().must_run {
        let message = format!(
            "plugin `{}` must run: what it did not see must not go out unchanged; choose `retry` or `fail`",
            plugin.name()
        );
        errors.push(FieldError::new(format!("{link}/on_failure"), message));
    }
    if let Err(refused) = plugin.check_config(transform.config.expose()).await {
        let error = |error: crate::plugin::ConfigError| {
            FieldError::new(format!("{link}/config{}", error.pointer), error.message)
        };
        errors.extend(refused.into_iter().map(error));
    }
}

fn find(snapshot: &Snapshot, catalog: &Catalog, reference: &str) -> Result<Plugin, String> {
    match reference.split_once(PIN) {
        Some((name, digest)) => catalog
            .pinned(digest)
            .filter(|plugin| plugin.name() == name)
            .ok_or_else(|| format!("no plugin `{name}` with the digest `{digest}` is loaded")),
        None => snapshot
            .get(reference)
            .map(|entry| entry.plugin.clone())
            .ok_or_else(|| unknown(snapshot, reference)),
    }
}

fn unknown(snapshot: &Snapshot, name: &str) -> String {
    let names: Vec<&str> = snapshot.entries().map(|entry| entry.plugin.name()).collect();
    let shown: String = name.chars().take(64).collect();
    match names.is_empty() {
        true => format!("there is no plugin `{shown}`, nor any other; drop its file into the plugins folder"),
        false => format!(
            "there is no plugin `{shown}`; there are `{}`. Drop its file into the plugins folder, or choose one \
             of these",
            names.join("`, `")
        ),
    }
}
