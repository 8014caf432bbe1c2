//! `/v1/tenants` and `/v1/host`.

use serde_json::{Value, json};

use super::endpoints::{patches_headers, switched};
use super::operation::{JSON, Operation};
use super::shape::{Named, object, or_null, page, reference, span_told, tenant, text, text_of, time, truth};
use super::terms;
use crate::api::endpoints::{MAX_DESCRIPTION, MERGE_PATCH};
use crate::api::problem::Kind;
use crate::api::tenants::MAX_STORED_BYTES;
use crate::config::Config;

const TENANTS: &str = "Tenants";
const HOST: &str = "Host";

const PATCH: &str = "A merge patch (RFC 7396). With `\"offline\": false`, `waiting` says what becomes of what has \
                     waited.";

pub fn operations() -> Vec<Operation> {
    let operation = |name, summary| Operation::new(name, TENANTS, summary).of("id", tenant());
    let forms = |schema: &str| [(JSON, reference(schema)), (MERGE_PATCH, reference(schema))];
    vec![
        Operation::new("list_tenants", TENANTS, "The tenants that somebody has described, by name")
            .page(tenant())
            .answers(200, "A page of tenants.", page("Tenant")),
        operation("show_tenant", "One tenant").answers(200, "The tenant.", reference("Tenant")),
        operation("change_tenant", "Describe a tenant, or change what is said of it")
            .about(PATCH)
            .takes_any(true, &forms("TenantPatch"))
            .answers(200, "The tenant as it is now.", reference("Tenant"))
            .problems(&[Kind::Conflict]),
        operation("delete_tenant", "Forget what was said of a tenant")
            .query("force", "Whether its endpoints are deleted and its keys revoked.", truth())
            .answers_nothing(204, "Nothing is said of it any more.")
            .problems(&[Kind::Conflict]),
        Operation::new("show_host", HOST, "What holds for all endpoints")
            .answers(200, "What is said for all of them.", reference("Host"))
            .problems(&[Kind::Invalid]),
        Operation::new("change_host", HOST, "Change what holds for all endpoints")
            .about(PATCH)
            .takes_any(true, &forms("HostPatch"))
            .answers(200, "What is said now.", reference("Host"))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let mut common = terms::said(config);
    common.push(("offline", or_null(truth())));
    patches_headers(&mut common);
    let bytes = json!({"type": "integer", "minimum": 0, "maximum": MAX_STORED_BYTES});
    let quota =
        object(&[], &[("ingest", or_null(reference("RateLimit"))), ("stored_bytes", or_null(bytes.clone()))]);
    let own = [("description", or_null(text_of(0, MAX_DESCRIPTION))), ("quota", or_null(quota))];
    vec![
        ("HostPatch", switched(&common, "offline", false)),
        ("TenantPatch", switched(&[common.as_slice(), &own].concat(), "offline", false)),
        ("Host", object(&told(), &[])),
        ("Tenant", object(&[told(), of_tenant(&bytes)].concat(), &[])),
    ]
}

fn told() -> Vec<(&'static str, Value)> {
    let mut told = terms::told();
    told.extend([("offline", truth()), ("offline_since", or_null(time()))]);
    told
}

fn of_tenant(bytes: &Value) -> Vec<(&'static str, Value)> {
    let rate = object(&[("requests", json!({"type": "integer", "minimum": 1})), ("per", span_told())], &[]);
    let quota = object(&[("ingest", or_null(rate)), ("stored_bytes", or_null(bytes.clone()))], &[]);
    vec![
        ("id", tenant()),
        ("description", text()),
        ("quota", quota),
        ("created_at", time()),
        ("updated_at", time()),
    ]
}
