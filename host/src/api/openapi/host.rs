//! The host itself: probes, this document, backups, and what all problems look like.

use serde_json::json;

use super::operation::Operation;
use super::shape::{Named, about, list, object, text};
use crate::api::backup;
use crate::api::problem::Kind;
use crate::metrics;

const GROUP: &str = "Host";

pub fn operations() -> Vec<Operation> {
    let plain = "text/plain";
    vec![
        Operation::new("healthz", GROUP, "Whether the process answers")
            .answers_with(200, "It does.", plain, json!({"const": "ok\n"})),
        Operation::new("readyz", GROUP, "Whether the host takes events")
            .answers_with(200, "It does.", plain, json!({"const": "ready\n"}))
            .problems(&[Kind::Unavailable]),
        Operation::new("metrics", GROUP, "Metrics in the Prometheus text format")
            .about("Asks for an admin's key, unless the setting `metrics.open` is set.")
            .answers_with(200, "The metrics.", metrics_type(), text())
            .problems(&[Kind::Unauthorized, Kind::Forbidden, Kind::Unavailable]),
        Operation::new("openapi", GROUP, "This document")
            .answers(200, "The interface in OpenAPI 3.1.", json!({"type": "object"})),
        Operation::new("docs", GROUP, "This document for people")
            .answers_with(200, "A page without scripts.", "text/html", text()),
        Operation::new("take_backup", GROUP, "A copy of the store, while the host goes on")
            .about("`hookwright backup FILE` fetches it and `hookwright restore` takes it. The sealing key is not in it.")
            .answers_with(200, "The backup.", backup::MEDIA_TYPE, json!({"type": "string", "format": "binary"}))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas() -> Vec<Named> {
    let error = object(&[("pointer", text()), ("message", text())], &[("of", text())]);
    let problem = object(
        &[
            ("type", json!({"type": "string", "pattern": "^/problems/[a-z-]+$"})),
            ("title", text()),
            ("status", json!({"type": "integer", "minimum": 400, "maximum": 599})),
            ("detail", text()),
        ],
        &[("errors", list(error)), ("error", about("As `detail`, under /api/webhooks-config.", text()))],
    );
    vec![("Problem", problem)]
}

/// Without its parameters.
fn metrics_type() -> &'static str {
    metrics::CONTENT_TYPE.split(';').next().unwrap_or(metrics::CONTENT_TYPE)
}
