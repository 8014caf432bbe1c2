//! `/v1/events`.

use serde_json::{Value, json};

use super::deliveries::CURSOR;
use super::operation::{JSON, Operation};
use super::shape::{
    EVENT_TYPE, Named, about, channel, count, event_type, id, list, list_of, matching, number, object,
    or_null, page, reference, tenant, text, time, time_given, truth,
};
use crate::api::events::{CLOUD_EVENT, CLOUD_EVENTS, NDJSON};
use crate::api::problem::Kind;
use crate::config::Config;

const GROUP: &str = "Events";

const POST: &str = "One event, or many: a JSON array, one object a line (NDJSON), or CloudEvents 1.0, structured, in \
                    a batch, or in the binary mode, where the headers `ce-specversion`, `ce-id`, `ce-source` and \
                    `ce-type` (and `ce-time`, `ce-tenant`, `ce-channels`) say what the body, as `application/json`, \
                    is the data of. The items of a batch are judged one by one: 207 where some are refused. An event \
                    that was posted before under the same id is answered as it was then.";

const KEY: &str = "The producer's name for the one event of this request, as its `id`. Not with a batch, nor with \
                   CloudEvents, nor beside another `id`.";

pub fn operations() -> Vec<Operation> {
    let producer_id = matching("^[!-~]([ -~]{0,254}[!-~])?$");
    let forms = [
        (JSON, json!({"anyOf": [reference("NewEvent"), reference("Batch")]})),
        (NDJSON, about("An event a line.", text())),
        (CLOUD_EVENT, reference("CloudEvent")),
        (CLOUD_EVENTS, reference("CloudEventBatch")),
    ];
    vec![
        Operation::new("post_events", GROUP, "Post events")
            .about(POST)
            .header("Idempotency-Key", KEY, producer_id)
            .takes_any(true, &forms)
            .answers(
                202,
                "All of it is on disk and will be delivered.",
                json!({"anyOf": [reference("Taken"), reference("BatchTaken")]}),
            )
            .answers(207, "Some items were refused.", reference("BatchTaken"))
            .problems(&[Kind::Conflict, Kind::Overloaded, Kind::OverQuota]),
        Operation::new("list_events", GROUP, "Events, newest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .query("type", "Only those of this type.", event_type())
            .query("channel", "Only those with this channel.", channel())
            .query("since", "Only those accepted at this time or later.", time_given())
            .query("until", "Only those accepted before this time.", time_given())
            .page(matching(CURSOR))
            .answers(200, "A page of events.", page("Event")),
        Operation::new("show_event", GROUP, "One event, with its payload and its first deliveries")
            .of("id", id("evt_"))
            .answers(200, "The event.", reference("EventInFull")),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let most = config.ingest.batch_items;
    let batch = |item: &str| list_of(1, most, json!({"anyOf": [reference(item), {}]}));
    let taken = [("id", id("evt_")), ("deliveries", count()), ("duplicate", truth())];
    let warning = [("warning", about("What should be changed all the same.", text()))];
    let refused = object(
        &[("index", count()), ("status", number(400, 599)), ("problem", reference("Problem"))],
        &[("retry_after_s", about("Seconds until it is worth posting it again.", count()))],
    );
    let accepted =
        object(&[[("index", count()), ("status", number(202, 202))].as_slice(), &taken].concat(), &warning);
    let batch_taken = object(
        &[
            ("accepted", count()),
            ("refused", count()),
            ("items", list(json!({"anyOf": [accepted, refused]}))),
        ],
        &[],
    );
    let shown =
        [("payload", about("As it was posted.", json!({}))), ("deliveries", list(reference("Delivery")))];
    let more = [("more", about("Where all deliveries are listed, if these are not all.", text()))];
    let mut cloud_events = batch("CloudEvent");
    cloud_events["minItems"] = 0.into();
    vec![
        ("NewEvent", new_event(config)),
        ("Batch", batch("NewEvent")),
        ("CloudEvent", cloud_event(config)),
        ("CloudEventBatch", cloud_events),
        ("Taken", object(&taken, &warning)),
        ("BatchTaken", batch_taken),
        ("Event", object(&event(), &[])),
        ("EventInFull", object(&[event().as_slice(), &shown].concat(), &more)),
    ]
}

/// The types that begin with `hookwright.` are the host's own.
pub fn posted_type() -> Value {
    let pattern = EVENT_TYPE.replacen('^', r"^(?!hookwright(\.|$))", 1);
    json!({"type": "string", "minLength": 1, "maxLength": 128, "pattern": pattern, "examples": ["invoice.paid"]})
}

fn new_event(config: &Config) -> Value {
    object(
        &[("type", posted_type()), ("payload", about("Any JSON. It goes out byte for byte.", json!({})))],
        &[
            ("id", or_null(matching("^[ -~]{1,256}$"))),
            ("tenant", or_null(tenant())),
            ("timestamp", or_null(time_given())),
            ("channels", or_null(list_of(0, config.ingest.max_channels, channel()))),
        ],
    )
}

fn cloud_event(config: &Config) -> Value {
    let channels = "[A-Za-z0-9_.:-]{1,128}";
    let more = config.ingest.max_channels.saturating_sub(1);
    let mut event = object(
        &[
            ("specversion", json!({"const": "1.0"})),
            ("id", matching(r"^[^\u0000-\u001f\u007f-\u009f]+$")),
            ("source", matching(r"^[^\s\u0000-\u001f\u007f-\u009f]+$")),
            ("type", posted_type()),
        ],
        &[
            ("time", or_null(time_given())),
            ("tenant", or_null(tenant())),
            ("channels", or_null(matching(&format!("^{channels}(,{channels}){{0,{more}}}$")))),
            ("datacontenttype", or_null(matching(r"^application/([a-z0-9.]+\+)?json$"))),
            ("data", json!({})),
            ("data_base64", about("Base64 of JSON; not beside `data`.", text())),
        ],
    );
    // Extensions.
    event["additionalProperties"] = json!({"type": ["string", "number", "boolean", "null"]});
    event["propertyNames"] = json!({"pattern": "^([a-z0-9]+|data_base64)$"});
    event
}

fn event() -> Vec<(&'static str, Value)> {
    vec![
        ("id", id("evt_")),
        ("type", event_type()),
        ("tenant", tenant()),
        ("producer_id", or_null(text())),
        ("timestamp", time()),
        ("accepted_at", time()),
        ("channels", list(channel())),
    ]
}
