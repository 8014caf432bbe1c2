//! `/v1/transform`.

use serde_json::{Value, json};

use super::deliveries::{OUTCOMES, headers, request, run_members};
use super::operation::Operation;
use super::shape::{
    Named, about, channel, event_type, id, list, list_of, number, object, or_null, reference, text, time,
    time_given, words,
};
use crate::api::problem::Kind;
use crate::config::Config;

const GROUP: &str = "Plugins";

const ABOUT: &str = "The chain of an endpoint, or one that is given in `transforms` (with an `endpoint` it stands in \
                     place of the endpoint's own), runs on a stored event or a given one, as an attempt would run it. \
                     Nothing is sent, stored or counted. Where the endpoint has a delivery of the stored event, the \
                     `webhook-id` is that delivery's; `attempt` and `attempted_at` say which attempt it would be: with \
                     those of an attempt, the request is the one that was sent, byte for byte. Secrets are masked.";

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("transform", GROUP, "Run a chain, and send nothing")
            .about(ABOUT)
            .takes(reference("DryRun"))
            .answers(200, "What each link made of it, and what would be sent.", reference("Rehearsed"))
            .problems(&[Kind::NotFound, Kind::Conflict]),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let link = [
        ("reason", about("Why it dropped or rejected the message, or failed.", or_null(text()))),
        ("message", about("What there was after it, its body cut.", message())),
    ];
    let rehearsed = object(
        &[
            ("event", id("evt_")),
            ("type", event_type()),
            ("endpoint", or_null(id("ep_"))),
            ("webhook_id", id("msg_")),
            ("attempt", number(1, u32::MAX)),
            ("attempted_at", time()),
            ("links", list(object(&[run_members().as_slice(), &link].concat(), &[]))),
            (
                "request",
                about("Without an endpoint: no URL, no signature.", or_null(request(or_null(text())))),
            ),
            ("outcome", about("Where nothing would be sent.", or_null(words(OUTCOMES)))),
            ("kind", or_null(text())),
            ("reason", or_null(text())),
            ("hint", or_null(text())),
        ],
        &[],
    );
    vec![("DryRun", wanted(config)), ("Rehearsed", rehearsed)]
}

/// A chain and an event, each given or named.
fn wanted(config: &Config) -> Value {
    let chain = || list_of(0, config.endpoint.max_transforms, reference("Transform"));
    let when = [("attempt", or_null(number(1, u32::MAX))), ("attempted_at", or_null(time_given()))];
    let given = [
        ("channels", or_null(list_of(0, config.ingest.max_channels, channel()))),
        ("timestamp", or_null(time_given())),
    ];
    // What is null is not said, but for a payload.
    let unsaid = || json!({"type": "null"});
    let form = |required: &[Named], more: &[Named]| object(required, &[more, &when].concat());
    let (named, not_named) = ([("endpoint", id("ep_"))], [("endpoint", unsaid())]);
    let (inline, other) = ([("transforms", chain())], [("transforms", or_null(chain()))]);
    let (stored, not_stored) = ([("event", id("evt_"))], [("event", unsaid())]);
    let fresh = [("type", event_type()), ("payload", json!({}))];
    let not_fresh = ["type", "channels", "timestamp"].map(|name| (name, unsaid()));
    let given = [not_stored.as_slice(), &given].concat();
    json!({"anyOf": [
        form(&[named.as_slice(), &stored].concat(), &[other.as_slice(), &not_fresh].concat()),
        form(&[named.as_slice(), &fresh].concat(), &[other.as_slice(), &given].concat()),
        form(&[inline.as_slice(), &stored].concat(), &[not_named.as_slice(), &not_fresh].concat()),
        form(&[inline.as_slice(), &fresh].concat(), &[not_named.as_slice(), &given].concat()),
    ]})
}

pub fn message() -> Value {
    object(
        &[
            ("method", text()),
            ("path_and_query", or_null(text())),
            ("content_type", text()),
            ("headers", headers()),
            ("body", reference("Body")),
        ],
        &[],
    )
}
