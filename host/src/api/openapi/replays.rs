//! `/v1/replays`, and all of one event.

use serde_json::{Value, json};

use super::operation::Operation;
use super::shape::{
    Named, count, event_type, id, list, object, or_null, page, reference, tenant, text, time, time_given,
    truth, words,
};
use crate::api::problem::Kind;

const GROUP: &str = "Replays";

pub fn operations() -> Vec<Operation> {
    let operation = |name, summary| Operation::new(name, GROUP, summary);
    let made = || reference("EventReplayed");
    vec![
        operation("replay_event", "Deliver an event again")
            .of("id", id("evt_"))
            .may_take(object(&[], &[("endpoint", or_null(id("ep_"))), ("new_id", or_null(truth()))]))
            .answers(200, "Nothing of it can be delivered again.", made())
            .answers(201, "The new deliveries, and those that were skipped.", made())
            .problems(&[Kind::Conflict]),
        operation("create_replay", "Deliver again what fits, in the background")
            .takes(reference("NewReplay"))
            .answers(202, "The job.", reference("Replay"))
            .problems(&[Kind::Conflict, Kind::NotFound]),
        operation("list_replays", "The jobs, newest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .page(id("job_"))
            .answers(200, "A page of jobs.", page("Replay")),
        operation("show_replay", "One job, with its progress").of("id", id("job_")).answers(
            200,
            "The job.",
            reference("Replay"),
        ),
        operation("cancel_replay", "Stop a job")
            .about("What it has made stays.")
            .of("id", id("job_"))
            .answers(200, "The job, which has ended.", reference("Replay"))
            .problems(&[Kind::Conflict]),
    ]
}

pub fn schemas() -> Vec<Named> {
    let skipped = object(&[("delivery", id("dlv_")), ("reason", text())], &[]);
    let made = object(
        &[("event", id("evt_")), ("deliveries", list(reference("Delivery"))), ("skipped", list(skipped))],
        &[],
    );
    vec![("NewReplay", new_replay()), ("Replay", replay()), ("EventReplayed", made)]
}

/// One at least of what chooses is there; what is missing is an endpoint's and has no state.
fn new_replay() -> Value {
    let states = words(["delivered", "filtered", "failed", "cancelled"]);
    let choices = [
        ("endpoint", id("ep_")),
        ("state", states),
        ("type", event_type()),
        ("since", time_given()),
        ("until", time_given()),
    ];
    let rest = [("tenant", or_null(tenant())), ("new_id", or_null(truth()))];
    let form = |(name, schema): &(&'static str, Value)| {
        let others = choices.iter().filter(|(other, _)| other != name);
        let others = others.map(|(other, schema)| (*other, or_null(schema.clone()))).chain(rest.clone());
        let present = [("missing", or_null(json!({"type": "boolean", "enum": [false]})))];
        object(&[(*name, schema.clone())], &others.chain(present).collect::<Vec<_>>())
    };
    let mut forms: Vec<Value> = choices.iter().map(form).collect();
    let of_type = choices.iter().filter(|(name, _)| !["endpoint", "state"].contains(name));
    let of_type = of_type.map(|(name, schema)| (*name, or_null(schema.clone())));
    let missing = [("endpoint", id("ep_")), ("missing", json!({"const": true}))];
    forms.push(object(&missing, &of_type.chain(rest.clone()).collect::<Vec<_>>()));
    json!({"anyOf": forms})
}

fn replay() -> Value {
    let selection = object(
        &[
            ("tenant", or_null(tenant())),
            ("endpoint", or_null(id("ep_"))),
            ("state", or_null(text())),
            ("type", or_null(event_type())),
            ("since", or_null(time())),
            ("until", or_null(time())),
            ("missing", truth()),
        ],
        &[],
    );
    let skipped = json!({"type": "object", "additionalProperties": count()});
    let progress = object(&[("looked_at", count()), ("made", count()), ("skipped", skipped)], &[]);
    object(
        &[
            ("id", id("job_")),
            ("state", text()),
            ("created_at", time()),
            ("finished_at", or_null(time())),
            ("reason", or_null(text())),
            ("selection", selection),
            ("new_id", truth()),
            ("progress", progress),
        ],
        &[],
    )
}
