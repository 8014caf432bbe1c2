//! The interface to programs: JSON under `/v1`, and the probes.
//!
//! Errors are `application/problem+json` (RFC 9457), see `problem`; lists are cursor pages. Nothing
//! that is sealed at rest is ever part of an answer, but for a new signing secret, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::extract::rejection::PathRejection;
use axum::extract::{DefaultBodyLimit, Path};
use axum::response::Response;
use axum::routing::get;
use axum::{Router, middleware};
use http::StatusCode;
use serde::Serialize;
use tokio::sync::{Notify, watch};

use crate::access::KeyDigest;
use crate::book::Book;
use crate::config::{Config, HostRole};
use crate::dashboard;
use crate::dispatch::Intake;
use crate::dispatch::backtest::Backtests;
use crate::dispatch::rehearsal::Rehearsal;
use crate::dispatch::tester::Tester;
use crate::dispatch::usage::Usage;
use crate::ingest::Ingest;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::plugin::Catalog;
use crate::seal::SealingKey;
use crate::send::ssrf::Rule;
use crate::store::Store;
use crate::time::Clock;

pub mod auth;
pub mod backup;
mod backtests;
mod body;
mod deliveries;
mod endpoints;
mod event_types;
mod events;
mod exact;
mod fields;
mod hooks;
mod host;
mod keys;
mod live;
pub mod openapi;
mod page;
mod plugins;
mod preview;
mod probes;
pub mod problem;
mod profile;
mod quota;
mod replays;
pub mod routes;
mod session;
mod statistics;
mod tenants;
mod terms;
mod transform;
mod usage;
mod versions;

pub use body::Budget;
pub use live::Seats;
use problem::{Kind, Problem};
pub use quota::Meters;
pub use session::Failures;

/// What the handlers work with.
pub struct Api {
    pub store: Arc<dyn Store>,
    pub book: Arc<Book>,
    pub ingest: Arc<Ingest>,
    pub plugins: Arc<Catalog>,
    /// Where endpoints may point.
    pub targets: Rule,
    pub metrics: Arc<Metrics>,
    pub clock: Arc<dyn Clock>,
    pub config: Arc<Config>,
    pub admin_key: KeyDigest,
    /// Under which passes are sealed.
    pub sealing: SealingKey,
    /// Who tried to sign in and could not.
    pub failures: Failures,
    /// Tells what becomes of deliveries, to those who have a seat.
    pub live: Arc<Live>,
    pub seats: Arc<Seats>,
    /// Bytes of request bodies that may be in memory at once: `ingest.in_flight_bytes`.
    pub budget: Budget,
    /// What tenants with a quota posted lately.
    pub meters: Meters,
    /// Told when deliveries became due outside the schedule.
    pub intake: Intake,
    /// Sends test events.
    pub tester: Tester,
    /// Makes dry runs.
    pub rehearsal: Rehearsal,
    /// Runs backtests.
    pub backtests: Backtests,
    /// What plugins did since the start.
    pub usage: Arc<Usage>,
    /// Told of new jobs that deliver again.
    pub replay_news: Arc<Notify>,
    /// Set once the host drains: then it is no longer ready.
    pub stopping: Arc<AtomicBool>,
    /// Turns true then, for what would go on.
    pub draining: watch::Receiver<bool>,
}

/// All routes.
pub fn router(api: Arc<Api>) -> Router {
    routes::router(&api)
        .merge(pages(&api.config))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&api), finish_refusals))
        .layer(DefaultBodyLimit::disable())
        .with_state(api)
}

/// The dashboard, on a host that has it.
fn pages(config: &Config) -> Router<Arc<Api>> {
    if config.has_role(HostRole::Api) || !config.dashboard.enabled {
        return dashboard::router(&config.dashboard);
    }
    Router::new().route("/", get(|| async { routes::elsewhere(HostRole::Api) }))
}

impl Api {
    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

async fn not_found(uri: http::Uri) -> Problem {
    Problem::new(Kind::NotFound, format!("There is nothing at {}.", uri.path()))
}

async fn method_not_allowed(method: http::Method, uri: http::Uri) -> Problem {
    Problem::new(Kind::MethodNotAllowed, format!("{} does not take {method}.", uri.path()))
}

/// Counts it, and says when to come again where the host cannot do its work at the moment.
async fn finish_refusals(
    axum::extract::State(api): axum::extract::State<Arc<Api>>,
    request: axum::extract::Request,
    next: middleware::Next,
) -> Response {
    let mut response = next.run(request).await;
    let Some(kind) = response.extensions().get::<Kind>().copied() else { return response };
    api.metrics.request_refused(kind.word());
    if kind.status() == StatusCode::SERVICE_UNAVAILABLE {
        let pause = problem::retry_after(api.config.ingest.retry_after);
        response.headers_mut().insert(http::header::RETRY_AFTER, pause);
    }
    response
}

/// A JSON answer.
fn json(status: StatusCode, value: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(value).map_err(|error| Problem::internal(&error))?;
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static("application/json");
    response.headers_mut().insert(http::header::CONTENT_TYPE, content_type);
    Ok(response)
}

/// The part of the path behind the resource's name.
fn path(part: Result<Path<String>, PathRejection>) -> Result<String, Problem> {
    match part {
        Ok(Path(text)) => Ok(text),
        Err(_) => Err(Problem::malformed("The path is not UTF-8.")),
    }
}

/// The id in the path. What is none names nothing.
fn id<T>(part: Result<Path<String>, PathRejection>) -> Result<T, Problem>
where
    T: std::str::FromStr<Err = crate::id::InvalidId>,
{
    path(part)?.parse().map_err(|error| Problem::new(Kind::NotFound, format!("{error}.")))
}

#[cfg(test)]
mod tests;
