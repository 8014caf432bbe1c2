//! `/v1/plugins`: what endpoints can name in their transforms.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::auth::Caller;
use super::page::Query;
use super::problem::{Kind, Problem};
use super::{Api, json};
use crate::plugin::{Entry, Example, Refused, Source, Verdict};

#[derive(Serialize)]
struct Plugins {
    items: Vec<PluginView>,
    /// Files that are no plugins, with the reason.
    refused: Vec<RefusedView>,
}

#[derive(Serialize)]
struct PluginView {
    name: String,
    version: String,
    summary: String,
    /// SHA-256 of the component, in hex. `name@sha256:<digest>` in a transform pins it.
    digest: String,
    size: usize,
    source: &'static str,
    file: Option<String>,
    must_run: bool,
    /// Why a newer file of this name is not the one in use.
    problem: Option<String>,
}

#[derive(Serialize)]
struct RefusedView {
    /// The name that it was meant for.
    name: String,
    /// Its path, or that it came with the server.
    file: String,
    reason: String,
}

#[derive(Serialize)]
struct PluginInFull {
    #[serde(flatten)]
    plugin: PluginView,
    /// JSON Schema; null where the plugin has none.
    config_schema: Value,
    examples: Vec<ExampleView>,
}

#[derive(Serialize)]
struct ExampleView {
    title: String,
    config: Value,
    event_type: String,
    input: String,
    verdict: &'static str,
    /// The message's body, or the reason.
    output: Option<String>,
}

impl PluginView {
    fn of(entry: &Entry) -> Self {
        let (plugin, description) = (&entry.plugin, entry.plugin.description());
        let (source, file) = match &entry.source {
            Source::Bundled => ("bundled", None),
            Source::Folder { path, .. } => ("folder", Some(path.display().to_string())),
        };
        Self {
            name: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            summary: description.summary.clone(),
            digest: plugin.digest().to_owned(),
            size: plugin.size(),
            source,
            file,
            must_run: description.must_run,
            problem: entry.problem.clone(),
        }
    }
}

impl RefusedView {
    fn of(file: &Refused) -> Self {
        let path = file.path.as_ref().map(|path| path.display().to_string());
        Self {
            name: file.name.clone(),
            file: path.unwrap_or_else(|| format!("{} (bundled)", file.name)),
            reason: file.reason.clone(),
        }
    }
}

impl ExampleView {
    fn of(example: &Example) -> Self {
        let (verdict, output) = match &example.expect {
            Verdict::Pass => ("pass", None),
            Verdict::Replace(message) => {
                ("replace", Some(String::from_utf8_lossy(&message.body).into_owned()))
            }
            Verdict::Drop(reason) => ("drop", Some(reason.clone())),
            Verdict::Reject(reason) => ("reject", Some(reason.clone())),
        };
        Self {
            title: example.title.clone(),
            config: json_or_text(&example.config),
            event_type: example.event_type.clone(),
            input: String::from_utf8_lossy(&example.input).into_owned(),
            verdict,
            output,
        }
    }
}

/// What plugins say is shown as JSON where it is that.
fn json_or_text(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

pub(super) async fn list(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri).finish()?;
    let snapshot = api.plugins.snapshot();
    let plugins = Plugins {
        items: snapshot.entries().map(PluginView::of).collect(),
        refused: snapshot.refused().iter().map(RefusedView::of).collect(),
    };
    json(StatusCode::OK, &plugins)
}

pub(super) async fn show(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let snapshot = api.plugins.snapshot();
    let entry = snapshot.get(&name).ok_or_else(|| {
        Problem::new(Kind::NotFound, "There is no plugin of this name; `GET /v1/plugins` lists them.")
    })?;
    let description = entry.plugin.description();
    let view = PluginInFull {
        plugin: PluginView::of(entry),
        config_schema: json_or_text(&description.config_schema),
        examples: description.examples.iter().map(ExampleView::of).collect(),
    };
    json(StatusCode::OK, &view)
}
