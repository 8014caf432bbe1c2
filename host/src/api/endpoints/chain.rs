//! Whether a chain of transforms could run: its plugins are there and accept their configuration.

use crate::api::problem::{FieldError, Problem};
use crate::book::usage::named;
use crate::dispatch::chain;
use crate::endpoint::{OnFailure, Transform};
use crate::plugin::{Catalog, Plugin, Snapshot};

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
    match find(snapshot, catalog, &transform.plugin).await {
        Ok(plugin) => {
            let passes_failures = transform.on_failure == OnFailure::Pass;
            let refused = plugin.objections(transform.config.expose(), passes_failures).await;
            errors.extend(
                refused
                    .into_iter()
                    .map(|error| FieldError::new(format!("{at}{}", error.pointer), error.message)),
            );
        }
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
    let missing = |transform: &&Transform| chain::find(&snapshot, &transform.plugin).is_none();
    links.into_iter().find(missing).map(|transform| transform.plugin.as_str())
}

/// A pinned version may have to be loaded first.
async fn find(snapshot: &Snapshot, catalog: &Catalog, reference: &str) -> Result<Plugin, String> {
    match named(reference) {
        (name, Some(digest)) => catalog
            .fetch(name, digest)
            .await
            .ok_or_else(|| format!("the catalogue has no version of `{name}` with the digest `{digest}`")),
        (name, None) => snapshot.active(name).ok_or_else(|| unknown(snapshot, name)),
    }
}

fn unknown(snapshot: &Snapshot, name: &str) -> String {
    let names: Vec<&str> = snapshot.entries().map(|entry| entry.plugin.name()).collect();
    let shown: String = name.chars().take(64).collect();
    match names.is_empty() {
        true => format!(
            "there is no plugin `{shown}`, nor any other; upload it, or drop its file into the plugins folder"
        ),
        false => format!(
            "there is no plugin `{shown}`; there are `{}`. Upload it, drop its file into the plugins folder, or \
             choose one of these",
            names.join("`, `")
        ),
    }
}
