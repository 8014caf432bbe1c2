//! What machines ask: is it alive, is it ready, how is it doing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};

use super::problem::{Kind, Problem};
use super::routes::Who;
use super::{Api, auth};
use crate::metrics::CONTENT_TYPE;

/// The process answers.
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// It takes events: the store works, and it is not about to stop.
pub(super) async fn readyz(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    if api.is_stopping() {
        return Err(Problem::new(Kind::Unavailable, "The server is stopping."));
    }
    if api.ingest.disk.is_low() {
        let detail = "The disk has too little room left (`ingest.disk_floor`).";
        return Err(Problem::new(Kind::Unavailable, detail));
    }
    api.store.pending().await?;
    Ok((StatusCode::OK, "ready\n").into_response())
}

/// With an admin's key, or without where `metrics.open` is set.
pub(super) async fn metrics(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    if !api.config.metrics.open {
        let (parts, _) = request.into_parts();
        auth::check_role(Who::Admins, auth::identify(&api, &parts)?.role)?;
    }
    api.metrics.set_pending(api.store.pending().await?);
    let page = api.metrics.encode().map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], page).into_response())
}
