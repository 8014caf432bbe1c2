//! `/openapi.json` and `/docs`: the table of operations, each with what it takes and answers.
//!
//! The table says which operations there are and who may use them; a file for each resource below says the rest. An
//! operation that nobody describes, or a description of none, fails a test. `host/openapi.json` is the document under
//! the settings' defaults; a test holds it to this code.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};

use self::operation::Operation;
use super::problem::Problem;
use super::routes::{self, Route, Who};
use super::session::COOKIE;
use super::{Api, json};
use crate::access::Role;
use crate::config::Config;

mod backtests;
mod catalogue;
mod deliveries;
mod docs;
mod endpoints;
mod events;
mod hooks;
mod host;
mod keys;
mod operation;
mod plugins;
mod profiles;
mod replays;
mod session;
mod shape;
mod statistics;
mod terms;
mod transform;

/// What the page at `/docs` may load: its own style, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                                       form-action 'none'; frame-ancestors 'none'";

const ABOUT: &str = "Hookwright takes events and delivers each to the endpoints that subscribe. Errors are problem \
                     details (RFC 9457) whose `type` is stable. Lists are pages: hand `next` back as `cursor`.";

/// The interface of a host with these settings, in OpenAPI 3.1.
pub fn document(config: &Config) -> Value {
    let described: HashMap<&str, Operation> =
        operations(config).into_iter().map(|operation| (operation.name, operation)).collect();
    let mut paths = Map::new();
    for route in routes::table() {
        let Some(operation) = described.get(route.operation) else { continue };
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation.document(&route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Hookwright",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
        },
        "paths": paths,
        "components": {
            "schemas": schemas(config),
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The admin key, or one that was made with `POST /v1/keys`.",
                },
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "What `POST /v1/session` sets.",
                },
            },
        },
    })
}

/// What each operation takes and answers: a list of each resource.
fn operations(config: &Config) -> Vec<Operation> {
    [
        host::operations(),
        events::operations(),
        endpoints::operations(config),
        deliveries::operations(),
        replays::operations(),
        statistics::operations(),
        catalogue::operations(),
        session::operations(),
        keys::operations(),
        profiles::operations(),
        hooks::operations(),
        plugins::operations(),
        backtests::operations(config),
        transform::operations(),
    ]
    .concat()
}

/// The named schemas, which descriptions refer to.
fn schemas(config: &Config) -> Map<String, Value> {
    let schemas = [
        host::schemas(),
        events::schemas(config),
        endpoints::schemas(config),
        terms::schemas(config),
        deliveries::schemas(),
        replays::schemas(),
        statistics::schemas(),
        catalogue::schemas(config),
        session::schemas(),
        keys::schemas(),
        profiles::schemas(config),
        hooks::schemas(config),
        plugins::schemas(),
        backtests::schemas(),
        transform::schemas(config),
    ];
    schemas.concat().into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

pub(super) async fn show(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    json(StatusCode::OK, &document(&api.config))
}

/// The same for people, without scripts.
pub(super) async fn docs(State(api): State<Arc<Api>>) -> Response {
    let policy = HeaderValue::from_static(CONTENT_SECURITY_POLICY);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    (headers, Html(docs::page(&document(&api.config)))).into_response()
}

/// The words of the roles whose keys pass; `None` where no key is asked for.
fn roles(route: &Route) -> Option<Vec<&'static str>> {
    let words = || route.who.roles().iter().copied().map(Role::word).collect();
    (route.who != Who::Everybody).then(words)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    /// Set it to write `host/openapi.json` anew.
    const WRITE: &str = "HOOKWRIGHT_WRITE_OPENAPI";

    #[test]
    fn each_operation_is_described() {
        let described = operations(&Config::default());
        let names: BTreeSet<&str> = described.iter().map(|operation| operation.name).collect();
        let table: BTreeSet<&str> = routes::table().iter().map(|route| route.operation).collect();
        assert_eq!(names.len(), described.len(), "an operation is described twice");
        let missing: Vec<_> = table.difference(&names).collect();
        let surplus: Vec<_> = names.difference(&table).collect();
        assert!(missing.is_empty(), "describe these in api/openapi: {missing:?}");
        assert!(surplus.is_empty(), "the table knows no such operations: {surplus:?}");
    }

    #[test]
    fn references_lead_somewhere_and_all_schemas_are_used() {
        let document = document(&Config::default());
        let text = document.to_string();
        let known = document["components"]["schemas"].as_object().unwrap();
        for part in text.split("\"#/components/schemas/").skip(1) {
            let name = part.split('"').next().unwrap();
            assert!(known.contains_key(name), "{name}");
        }
        for name in known.keys() {
            assert!(text.contains(&format!("\"#/components/schemas/{name}\"")), "{name}");
        }
    }

    #[test]
    fn schemas_are_json_schema() {
        let document = document(&Config::default());
        for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
            assert!(jsonschema::draft202012::meta::is_valid(schema), "{name}");
        }
    }

    #[test]
    fn each_part_of_a_path_is_a_parameter() {
        let document = document(&Config::default());
        for route in routes::table() {
            let operation = &document["paths"][route.path][route.method.as_str().to_ascii_lowercase()];
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let said = parameters.iter().filter(|parameter| parameter["in"] == "path").count();
            assert_eq!(said, route.path.matches('{').count(), "{}", route.path);
            for parameter in parameters.iter().filter(|parameter| parameter["in"] == "path") {
                assert!(route.path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())));
            }
        }
    }

    #[test]
    fn the_file_is_what_the_code_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        let said = format!("{}\n", serde_json::to_string_pretty(&document(&Config::default())).unwrap());
        if std::env::var_os(WRITE).is_some() {
            std::fs::write(&path, &said).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(kept == said, "host/openapi.json is out of date: run this test once with {WRITE}=1");
    }

    #[test]
    fn the_page_shows_each_operation_and_runs_nothing() {
        let page = docs::page(&document(&Config::default()));
        for route in routes::table() {
            assert!(page.contains(&format!("id=\"{}\"", route.operation)), "{}", route.operation);
        }
        assert!(!page.contains("<script") && !page.contains("javascript:") && !page.contains(" src="));
    }
}
