//! `/v1/plugins/{name}/stats`: what a plugin did since the start. What it did for an endpoint is among that endpoint's
//! statistics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;

use super::auth::Caller;
use super::page::Query;
use super::problem::{Kind, Problem};
use super::{Api, json};
use crate::dispatch::usage::Account;
use crate::id::EndpointId;

/// Most endpoints that are shown.
const ENDPOINTS_SHOWN: usize = 100;

#[derive(Serialize)]
struct PluginStats {
    plugin: String,
    /// When the host was started: nothing is counted from before.
    since: String,
    #[serde(flatten)]
    account: AccountView,
    /// Those with most calls first.
    endpoints: Vec<OfEndpoint>,
    /// There are more endpoints than are shown.
    endpoints_partial: bool,
}

#[derive(Serialize)]
struct OfEndpoint {
    endpoint: String,
    #[serde(flatten)]
    account: AccountView,
}

/// What a plugin did for an endpoint.
#[derive(Debug, Serialize)]
pub(super) struct OfPlugin {
    plugin: String,
    #[serde(flatten)]
    account: AccountView,
}

#[derive(Debug, Serialize)]
struct AccountView {
    calls: u64,
    failures: u64,
    /// Without a success between.
    failures_in_a_row: u32,
    last_failure_at: Option<String>,
    last_failure_kind: Option<String>,
    verdicts: Vec<VerdictView>,
    time_ms: TimesView,
    memory_peak_bytes: u64,
}

#[derive(Debug, Serialize)]
struct VerdictView {
    task: &'static str,
    /// A verdict, a judgement, or the kind of a failure.
    verdict: String,
    count: u64,
}

#[derive(Debug, Serialize)]
struct TimesView {
    p50: Option<f64>,
    p99: Option<f64>,
    max: Option<f64>,
}

pub(super) async fn of_plugin(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Result<Response, Problem> {
    Query::of(&uri).finish()?;
    let name = super::path(name)?;
    let (account, endpoints, found) = api.usage.of_plugin(&name, ENDPOINTS_SHOWN);
    if account.calls == 0 && api.plugins.get(&name).is_none() {
        let detail = "There is no plugin of this name; `GET /v1/plugins` lists them.";
        return Err(Problem::new(Kind::NotFound, detail));
    }
    let view = PluginStats {
        plugin: name,
        since: api.usage.since().to_string(),
        account: AccountView::of(&account),
        endpoints_partial: found > endpoints.len(),
        endpoints: endpoints
            .iter()
            .map(|(id, account)| OfEndpoint { endpoint: id.to_string(), account: AccountView::of(account) })
            .collect(),
    };
    json(StatusCode::OK, &view)
}

/// What the plugins of an endpoint's chain, now or before, did for it since the start.
pub(super) fn of_endpoint(api: &Api, endpoint: EndpointId) -> Vec<OfPlugin> {
    let accounts = api.usage.of_endpoint(endpoint).into_iter();
    accounts.map(|(plugin, account)| OfPlugin { plugin, account: AccountView::of(&account) }).collect()
}

pub(super) fn millis(time: Option<Duration>) -> Option<f64> {
    time.map(|time| time.as_micros() as f64 / 1_000.0)
}

impl AccountView {
    fn of(account: &Account) -> Self {
        let verdicts = account.verdicts.iter().map(|((task, verdict), count)| VerdictView {
            task: task.word(),
            verdict: verdict.clone(),
            count: *count,
        });
        Self {
            calls: account.calls,
            failures: account.failures,
            failures_in_a_row: account.failures_in_a_row,
            last_failure_at: account.last_failure.as_ref().map(|failure| failure.at.to_string()),
            last_failure_kind: account.last_failure.as_ref().map(|failure| failure.kind.clone()),
            verdicts: verdicts.collect(),
            time_ms: TimesView {
                p50: millis(account.times.percentile(0.5)),
                p99: millis(account.times.percentile(0.99)),
                max: millis(account.times.longest()),
            },
            memory_peak_bytes: account.memory_peak,
        }
    }
}
