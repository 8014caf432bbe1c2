//! `/v1/event-types` and `/v1/versions`.

use serde_json::{Value, json};

use super::endpoints::PATTERN;
use super::events::posted_type;
use super::operation::{JSON, Operation};
use super::shape::{
    Named, about, count, event_type, list, list_of, object, or_null, page, reference, text, text_of, time,
    truth, version, words,
};
use super::terms::limits_told;
use crate::api::endpoints::{MAX_DESCRIPTION, MERGE_PATCH};
use crate::api::problem::Kind;
use crate::api::terms::ON_FAILURE;
use crate::config::Config;

const TYPES: &str = "Event types";
const VERSIONS: &str = "Versions";

pub fn operations() -> Vec<Operation> {
    let full = || reference("EventTypeInFull");
    let taken = || reference("NewEventType");
    vec![
        Operation::new("list_event_types", TYPES, "The event types, by name")
            .query("group", "Only those of this group.", text())
            .page(event_type())
            .answers(200, "A page of event types.", page("EventType")),
        Operation::new("show_event_type", TYPES, "One event type, with its samples and schema")
            .of("name", event_type())
            .answers(200, "The event type.", full()),
        Operation::new("put_event_type", TYPES, "Describe an event type")
            .of("name", posted_type())
            .takes(taken())
            .answers(200, "The event type, replaced.", full())
            .answers(201, "The event type, which is new.", full())
            .problems(&[Kind::Conflict]),
        Operation::new("change_event_type", TYPES, "Change an event type")
            .about("A merge patch (RFC 7396), but that `samples` and `schema` are replaced whole.")
            .of("name", event_type())
            .takes_any(true, &[(JSON, taken()), (MERGE_PATCH, taken())])
            .answers(200, "The event type as it is now.", full())
            .problems(&[Kind::Conflict]),
        Operation::new("delete_event_type", TYPES, "Take an event type out of the catalogue")
            .about("Its events, and the endpoints that want them, stay as they are.")
            .of("name", event_type())
            .answers_nothing(204, "It is gone."),
        Operation::new("show_versions", VERSIONS, "The versions of payloads' shapes, oldest first").answers(
            200,
            "The versions; with their steps for admins.",
            reference("Versions"),
        ),
        Operation::new("put_versions", VERSIONS, "Replace the versions")
            .about("Each version but the oldest takes its payloads back to the one before by its steps.")
            .takes(reference("NewVersions"))
            .answers(200, "The versions as they are now.", reference("Versions"))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let limits = &config.catalogue;
    let schema = json!({"type": ["object", "boolean", "null"]});
    let group = json!({"type": "string", "maxLength": 100, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"});
    let new = object(
        &[],
        &[
            ("name", or_null(about("As in the path.", text()))),
            ("group", or_null(group)),
            ("description", or_null(text_of(0, MAX_DESCRIPTION))),
            ("samples", or_null(list_of(0, limits.max_samples, json!({})))),
            ("schema", about("JSON Schema, without remote references.", schema)),
            ("check", about("Whether payloads are held to the schema.", or_null(truth()))),
            ("deprecated", or_null(truth())),
        ],
    );
    let more = [("samples", list(json!({}))), ("schema", json!({}))];
    vec![
        ("NewEventType", new),
        ("EventType", object(&told(), &[])),
        ("EventTypeInFull", object(&[told().as_slice(), &more].concat(), &[])),
        ("NewVersions", new_versions(config)),
        ("Versions", versions()),
    ]
}

fn told() -> Vec<(&'static str, Value)> {
    vec![
        ("name", event_type()),
        ("group", text()),
        ("description", text()),
        ("check", truth()),
        ("deprecated", truth()),
        ("deprecated_since", or_null(time())),
        ("versions", list(version())),
        ("sample_count", count()),
        ("created_at", time()),
        ("updated_at", time()),
    ]
}

fn new_versions(config: &Config) -> Value {
    let pattern = json!({"type": "string", "maxLength": 128, "pattern": PATTERN});
    let step = object(
        &[("events", list_of(1, config.endpoint.max_events, pattern)), ("plugin", text_of(1, 200))],
        &[
            ("config", json!({})),
            ("on_failure", or_null(words(ON_FAILURE.map(|(word, _)| word)))),
            ("limits", or_null(reference("PluginLimits"))),
        ],
    );
    let steps = list_of(0, config.catalogue.max_steps, step);
    let one = object(
        &[("name", version())],
        &[("description", or_null(text_of(0, MAX_DESCRIPTION))), ("steps", or_null(steps))],
    );
    let seen = about("As it was shown: refused where others have changed the versions since.", text());
    let all = or_null(list_of(0, config.catalogue.max_versions, one));
    object(&[("versions", all)], &[("updated_at", or_null(seen))])
}

fn versions() -> Value {
    let step = object(
        &[
            ("events", list(text())),
            ("plugin", text()),
            ("config", json!({})),
            ("on_failure", words(ON_FAILURE.map(|(word, _)| word))),
        ],
        &[("limits", limits_told())],
    );
    let one = object(&[("name", version()), ("description", text())], &[("steps", list(step))]);
    object(&[("versions", list(one)), ("updated_at", or_null(time()))], &[])
}
