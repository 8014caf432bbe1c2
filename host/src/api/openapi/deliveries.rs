//! `/v1/deliveries`.

use serde_json::{Value, json};

use super::operation::Operation;
use super::shape::{
    Named, about, count, event_type, id, list, matching, milliseconds, number, object, or_null, page,
    reference, span, tenant, text, time, time_given, truth, words,
};
use crate::api::live::{MAX_LIFE, MEDIA_TYPE, MIN_LIFE};
use crate::api::problem::Kind;
use crate::attempt::{Task, Warning};
use crate::delivery::State;

const GROUP: &str = "Deliveries";

/// How `next` of lists by place looks.
pub const CURSOR: &str = "^[0-9a-f]{1,16}-[0-9a-f]{1,4}$";

const LIVE: &str = "Each `delivery` has one in its data as lists show it, told after the commit. `behind` says that some \
                    were missed and the list is to be read again: `missed` is how many, or null where a tenant asks. \
                    The stream ends with what it was asked with: a key, a session, a link.";

pub fn operations() -> Vec<Operation> {
    let state = || words(State::ALL.map(State::word));
    let delivery = || id("dlv_");
    vec![
        Operation::new("list_deliveries", GROUP, "Deliveries, newest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .query("endpoint", "Only those to this endpoint.", id("ep_"))
            .query("event", "Only those of this event.", id("evt_"))
            .query("state", "Only those in this state.", state())
            .query("type", "Only those of events of this type.", event_type())
            .query("since", "Only those of events accepted at this time or later.", time_given())
            .query("until", "Only those of events accepted before this time.", time_given())
            .query("webhook_id", "Only those with this `webhook-id`.", id("msg_"))
            .page(matching(CURSOR))
            .answers(200, "A page of deliveries.", page("Delivery")),
        Operation::new("watch_deliveries", GROUP, "Deliveries as they are made and change")
            .about(LIVE)
            .query("tenant", "Only those of this tenant.", tenant())
            .query("endpoint", "Only those to this endpoint.", id("ep_"))
            .query("type", "Only those of events of this type.", event_type())
            .query("state", "Only those that are in this state now.", state())
            .query("for", "How long it lasts; up to a day where it is not said.", span(MIN_LIFE, MAX_LIFE))
            .answers_with(200, "Server-sent events.", MEDIA_TYPE, text())
            .problems(&[Kind::Overloaded]),
        Operation::new("show_delivery", GROUP, "One delivery, with its attempts")
            .of("id", delivery())
            .answers(200, "The delivery.", reference("DeliveryInFull")),
        Operation::new("retry_delivery", GROUP, "Deliver now, or again")
            .about("A pending delivery becomes due now. A finished one is replayed.")
            .of("id", delivery())
            .may_take(reference("Retry"))
            .answers(200, "The delivery, which is due now.", reference("Delivery"))
            .answers(201, "The new delivery.", reference("Delivery"))
            .problems(&[Kind::Conflict]),
        Operation::new("cancel_delivery", GROUP, "Give up a delivery")
            .of("id", delivery())
            .answers(200, "The delivery, which is cancelled.", reference("Delivery"))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas() -> Vec<Named> {
    let members = delivery();
    let attempts = [("attempt_log", list(reference("Attempt")))];
    let retry = about(
        "`new_id`: whether a replay gets a `webhook-id` of its own.",
        object(&[], &[("new_id", or_null(truth()))]),
    );
    vec![
        ("Retry", retry),
        ("Delivery", object(&members, &[])),
        ("DeliveryInFull", object(&[members.as_slice(), &attempts].concat(), &[])),
        ("Attempt", object(&attempt(), &[])),
        ("Body", body()),
    ]
}

fn delivery() -> Vec<(&'static str, Value)> {
    vec![
        ("id", id("dlv_")),
        ("event", id("evt_")),
        ("endpoint", id("ep_")),
        ("tenant", tenant()),
        ("type", event_type()),
        ("webhook_id", id("msg_")),
        ("state", words(State::ALL.map(State::word))),
        ("held", about("Pending, and it waits for a person.", truth())),
        ("reason", or_null(text())),
        ("attempts", count()),
        ("created_at", time()),
        ("due_at", or_null(time())),
        ("finished_at", or_null(time())),
        ("delivered_at", or_null(time())),
        ("replay_of", or_null(id("dlv_"))),
    ]
}

/// What an attempt can come to.
pub const OUTCOMES: [&str; 8] =
    ["delivered", "refused", "gone", "unreachable", "filtered", "rejected", "plugin_failed", "judged"];

pub fn attempt() -> Vec<(&'static str, Value)> {
    vec![
        ("number", number(1, u32::MAX)),
        ("started_at", time()),
        ("duration_ms", milliseconds()),
        ("outcome", words(OUTCOMES)),
        ("kind", or_null(text())),
        ("reason", or_null(text())),
        ("status", or_null(status())),
        ("retry_after_s", or_null(count())),
        ("request", or_null(request(text()))),
        (
            "response",
            or_null(object(
                &[("status", status()), ("headers", headers()), ("body", reference("Body"))],
                &[],
            )),
        ),
        ("timing_ms", timing()),
        ("plugins", list(plugin_run())),
        ("warnings", list(words(Warning::ALL.iter().copied().map(Warning::word)))),
        ("hint", or_null(text())),
    ]
}

pub fn request(url: Value) -> Value {
    object(&[("method", text()), ("url", url), ("headers", headers()), ("body", reference("Body"))], &[])
}

fn status() -> Value {
    number(100, 999)
}

/// Name and value of each, in their order.
pub fn headers() -> Value {
    list(json!({"type": "array", "prefixItems": [text(), text()], "minItems": 2, "maxItems": 2}))
}

fn body() -> Value {
    object(
        &[
            ("encoding", words(["utf-8", "base64"])),
            ("content", text()),
            ("length", or_null(count())),
            ("truncated", truth()),
        ],
        &[],
    )
}

fn timing() -> Value {
    let steps = ["queue", "transform", "dns", "connect", "tls", "first_byte"];
    object(&steps.map(|step| (step, or_null(milliseconds()))), &[])
}

fn plugin_run() -> Value {
    object(&run_members(), &[])
}

pub fn run_members() -> Vec<(&'static str, Value)> {
    vec![
        ("task", words(Task::ALL.map(Task::word))),
        ("plugin", text()),
        ("version", text()),
        ("digest", text()),
        ("verdict", text()),
        ("duration_ms", milliseconds()),
        ("memory_bytes", about("The most linear memory that it had; 0 where that was not kept.", count())),
        ("log", list(object(&[("level", text()), ("line", text())], &[]))),
    ]
}
