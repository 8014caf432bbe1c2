//! `/v1/endpoints`.

use std::time::Duration;

use serde_json::{Value, json};

use super::deliveries;
use super::operation::{JSON, Operation};
use super::shape::{
    Named, about, channel, event_type, id, list, list_of, matching, number, object, or_null, page, reference,
    share, span, span_told, tenant, text, text_of, time, truth, version, words,
};
use super::terms;
use crate::api::endpoints::{
    MAX_DESCRIPTION, MAX_NAME, MAX_PARK_AFTER, MAX_PER, MAX_REQUESTS, MERGE_PATCH, MIN_PER, members,
};
use crate::api::problem::Kind;
use crate::config::Config;
use crate::secret::MAX_OVERLAP;

const GROUP: &str = "Endpoints";

const PATCH: &str = "A merge patch (RFC 7396): what is left out stays. What an answer masks as `***` may be sent back \
                     as it was shown, and stays too; so does what only answers tell.";

const DRY_RUN: &str = "All is checked that would be, and nothing is written.";

const TEST: &str = "The event goes through the endpoint's chain, signature and connection, once, whether or not it is \
                    enabled. It is marked by the header `webhook-test`, kept nowhere and counted nowhere. Without a \
                    `type` it is of one that the endpoint names.";

const ROTATE: &str = "The secret before goes on signing beside the new one for `overlap`. A `secret` of one's own is \
                      of the kind that the endpoint's signature scheme takes.";

const FIELDS: &str =
    "The members that are shown of each, separated by commas; all of them where it is not said.";

/// `*`, `invoice.*` or `invoice.paid`.
pub const PATTERN: &str = r"^(\*|[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(\.\*)?)$";

pub fn operations(_: &Config) -> Vec<Operation> {
    let operation = |name, summary| Operation::new(name, GROUP, summary).of("id", id("ep_"));
    let settled = "The endpoint, whose newest secret alone signs.";
    let changed = json!({"oneOf": [reference("Endpoint"), reference("Changes")]});
    vec![
        Operation::new("create_endpoint", GROUP, "Create an endpoint")
            .query("dry_run", DRY_RUN, truth())
            .takes(reference("NewEndpoint"))
            .answers(200, "The endpoint as it would be, of a dry run.", reference("EndpointDescribed"))
            .answers(201, "The endpoint, with its signing secret, shown this once.", reference("Endpoint"))
            .problems(&[Kind::Conflict]),
        Operation::new("list_endpoints", GROUP, "The endpoints, oldest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .some_of("fields", FIELDS, members::all().collect())
            .page(id("ep_"))
            .answers(200, "A page of endpoints.", page("EndpointInPart")),
        operation("show_endpoint", "One endpoint").answers(200, "The endpoint.", reference("Endpoint")),
        operation("change_endpoint", "Change an endpoint")
            .about(PATCH)
            .query("dry_run", DRY_RUN, truth())
            .takes_any(true, &[(JSON, reference("EndpointPatch")), (MERGE_PATCH, reference("EndpointPatch"))])
            .answers(200, "The endpoint as it is now; of a dry run, what would change.", changed)
            .problems(&[Kind::Conflict]),
        operation("delete_endpoint", "Delete an endpoint")
            .about("What waits for it is cancelled. What it did stays in the log until retention.")
            .answers_nothing(204, "It is gone.")
            .problems(&[Kind::Conflict]),
        operation("test_endpoint", "Try an endpoint with one event")
            .about(TEST)
            .may_take(reference("Test"))
            .answers(200, "What was sent, and what came back.", reference("Tested"))
            .problems(&[Kind::Conflict, Kind::Overloaded]),
        operation("rotate_secret", "Replace the signing secret")
            .about(ROTATE)
            .may_take(reference("Rotation"))
            .answers(200, "The endpoint, with its new secret, shown this once.", reference("Endpoint"))
            .problems(&[Kind::Conflict]),
        operation("promote_secret", "End a rotation")
            .answers(200, settled, reference("Endpoint"))
            .problems(&[Kind::Conflict]),
        operation("remove_previous_secret", "Remove the secret that is being replaced")
            .answers(200, settled, reference("Endpoint"))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let rotation = object(
        &[],
        &[("secret", or_null(text_of(1, 4_096))), ("overlap", or_null(span(Duration::ZERO, MAX_OVERLAP)))],
    );
    vec![
        ("Test", object(&[], &[("type", or_null(event_type())), ("payload", json!({}))])),
        ("Tested", tested()),
        ("NewEndpoint", new_endpoint(config)),
        ("EndpointPatch", patch(config)),
        ("Rotation", rotation),
        ("RateLimit", rate_limit()),
        ("Endpoint", object(&endpoint(), &[("secret", about("Shown once, when it is made.", text()))])),
        ("EndpointInPart", object(&[], &endpoint())),
        ("EndpointDescribed", object(&described(), &[])),
        ("Changes", changes()),
    ]
}

/// The attempt, and what it was for.
fn tested() -> Value {
    let mut members = vec![
        ("test", json!({"const": true})),
        ("endpoint", id("ep_")),
        ("event", id("evt_")),
        ("type", event_type()),
        ("webhook_id", id("msg_")),
        ("subscribed", truth()),
    ];
    members.extend(deliveries::attempt());
    object(&members, &[])
}

fn new_endpoint(config: &Config) -> Value {
    let mut optional = vec![
        ("tenant", or_null(tenant())),
        ("secret", or_null(about("Of the kind that the signature scheme takes.", text_of(1, 4_096)))),
    ];
    optional.extend(free(config));
    object(&stated(config), &optional)
}

fn patch(config: &Config) -> Value {
    let mut members = stated(config);
    members.extend(free(config));
    members.push(("tenant", about("It stays the same.", tenant())));
    patches_headers(&mut members);
    switched(&members, "enabled", true)
}

/// A patch; one that turns the switch to `on` may say what becomes of what has waited.
pub fn switched(members: &[(&'static str, Value)], switch: &str, on: bool) -> Value {
    let turned = |(name, schema): &(&'static str, Value)| {
        let schema = if *name == switch { json!({"const": on}) } else { schema.clone() };
        (*name, schema)
    };
    let waiting = ("waiting", words(["deliver", "skip"]));
    let all = members.iter().map(turned).chain([waiting]);
    let (required, optional): (Vec<_>, Vec<_>) =
        all.partition(|(name, _)| *name == switch || *name == "waiting");
    json!({"oneOf": [object(&[], members), object(&required, &optional)]})
}

/// A patch says which headers to add and, with null, which to remove; it may send back masks.
pub fn patches_headers(members: &mut [(&'static str, Value)]) {
    for (_, schema) in members.iter_mut().filter(|(name, _)| *name == "headers") {
        *schema = or_null(json!({"type": "object", "additionalProperties": {"type": ["string", "null"]}}));
    }
}

/// What an endpoint has to say.
pub fn stated(config: &Config) -> Vec<(&'static str, Value)> {
    let visible =
        r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$";
    let pattern = json!({"type": "string", "maxLength": 128, "pattern": PATTERN});
    vec![
        ("name", json!({"type": "string", "minLength": 1, "maxLength": MAX_NAME, "pattern": visible})),
        (
            "url",
            about(
                "Public, over https, unless the operator allows more.",
                matching(r"^https?://[!-~]{1,2000}$"),
            ),
        ),
        ("events", list_of(1, config.endpoint.max_events, pattern)),
    ]
}

/// What it may say.
fn free(config: &Config) -> Vec<(&'static str, Value)> {
    let limits = &config.endpoint;
    let mut members = vec![
        ("description", or_null(text_of(0, MAX_DESCRIPTION))),
        ("channels", or_null(list_of(0, limits.max_channels, channel()))),
        ("rate_limit", or_null(reference("RateLimit"))),
        ("concurrency", or_null(number(1, limits.max_concurrency))),
        ("enabled", or_null(truth())),
        ("version", or_null(version())),
        ("order", or_null(order())),
    ];
    members.extend(terms::said(config));
    members
}

/// One at a time, in the order of acceptance; what a head that fails does.
fn order() -> Value {
    json!({"oneOf": [
        object(&[("head", words(["wait"]))], &[]),
        object(&[("head", words(["park"]))], &[("after", number(1, MAX_PARK_AFTER))]),
    ]})
}

fn rate_limit() -> Value {
    object(&[("requests", number(1, MAX_REQUESTS)), ("per", span(MIN_PER, MAX_PER))], &[])
}

/// What can be said of an endpoint before it is made.
fn described() -> Vec<(&'static str, Value)> {
    let made = ["id", "secrets", "created_at", "updated_at"];
    endpoint().into_iter().filter(|(name, _)| !made.contains(name)).collect()
}

/// What a patch would change.
fn changes() -> Value {
    let any = || about("Masked as in any answer; null where there is none.", json!({}));
    let change = object(&[("member", text()), ("from", any()), ("to", any())], &[]);
    object(&[("changes", list(change))], &[])
}

fn endpoint() -> Vec<(&'static str, Value)> {
    let secret =
        object(&[("fingerprint", text()), ("header", text())], &[("public_key", text()), ("until", time())]);
    let limit = object(&[("requests", number(1, MAX_REQUESTS)), ("per", span_told())], &[]);
    let mut members = vec![
        ("id", id("ep_")),
        ("tenant", tenant()),
        ("name", text()),
        ("description", text()),
        ("url", about("Scheme and host; the rest is masked.", text())),
        ("events", list(text())),
        ("channels", list(channel())),
        ("inherited", about("The members that its tenant or the host decides.", list(text()))),
        ("secrets", list(secret)),
        ("rate_limit", or_null(limit)),
        ("version", or_null(version())),
        ("order", or_null(order())),
        ("concurrency", number(1, u32::MAX)),
        ("enabled", truth()),
        ("disabled_since", or_null(time())),
        ("disabled_because", or_null(text())),
        ("status", words(["active", "failing", "disabled"])),
        ("failing_because", about("Its receiver fails, or a plugin of its chain.", or_null(text()))),
        ("success_rate", or_null(share())),
        ("last_delivery_at", or_null(time())),
        ("last_event_at", or_null(time())),
        ("last_7_days", list(reference("Day"))),
        ("created_at", time()),
        ("updated_at", time()),
    ];
    members.extend(terms::told());
    members
}
