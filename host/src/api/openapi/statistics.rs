//! `/v1/overview`, `/v1/endpoints/{id}/stats`, `/v1/errors` and `/v1/warnings`.

use serde_json::{Value, json};

use super::operation::Operation;
use super::shape::{
    Named, count, event_type, id, list, matching, milliseconds, object, or_null, page, reference, share,
    tenant, text, time, time_given, truth, words,
};
use crate::api::problem::Kind;
use crate::attempt::{Task, Warning};
use crate::tally::Resolution;
use crate::trouble::Trouble;

const GROUP: &str = "Statistics";

pub fn operations() -> Vec<Operation> {
    vec![
        window(
            Operation::new("endpoint_stats", GROUP, "How an endpoint fares over time").of("id", id("ep_")),
        )
        .answers(200, "Its statistics.", reference("EndpointStats")),
        window(Operation::new("overview", GROUP, "How the host, or a tenant, fares over time").query(
            "tenant",
            "Only this tenant.",
            tenant(),
        ))
        .answers(200, "Its statistics.", reference("Overview")),
        Operation::new("list_errors", GROUP, "Recent errors by endpoint and kind, the latest first")
            .query("tenant", "Only those of this tenant.", tenant())
            .query("endpoint", "Only those of this endpoint.", id("ep_"))
            .query("since", "Only those that came at this time or later.", time_given())
            .page(matching(&cursor()))
            .answers(200, "A page of errors.", page("ErrorGroup")),
        window(
            Operation::new("list_warnings", GROUP, "What to look at before it becomes an error")
                .query("tenant", "Only this tenant.", tenant())
                .query("endpoint", "Only this endpoint.", id("ep_")),
        )
        .answers(200, "Counts of each warning.", reference("Warnings")),
    ]
}

fn window(operation: Operation) -> Operation {
    operation
        .query("since", "The start; a fitting span before the end where it is not said.", time_given())
        .query("until", "The end, after the start; now where it is not said.", time_given())
        .query("resolution", "How long each span is; 1,500 of them at the most.", resolution())
        .problems(&[Kind::Invalid])
}

fn resolution() -> Value {
    words(Resolution::ALL.map(Resolution::word))
}

fn cursor() -> String {
    let kinds = Trouble::ALL.map(Trouble::word).join("|");
    format!(r"^[0-9]{{1,16}}\.ep_[0-9a-v]{{25}}[048cgkos]\.({kinds})$")
}

pub fn schemas() -> Vec<Named> {
    let overview = [
        ("tenant", or_null(tenant())),
        ("endpoints", object(&["active", "failing", "disabled"].map(|status| (status, count())), &[])),
        ("queue", reference("Queue")),
        ("last_delivery_at", or_null(time())),
    ];
    let stats = [
        ("endpoint", id("ep_")),
        ("status", words(["active", "failing", "disabled"])),
        ("failing_because", or_null(text())),
        ("consecutive_failures", count()),
        ("failing_since", or_null(time())),
        ("queue", reference("Queue")),
        ("last_attempt_at", or_null(time())),
        ("last_delivery_at", or_null(time())),
        ("last_event_at", or_null(time())),
        ("plugins", list(plugin_account("plugin", text()))),
    ];
    let warnings = [("since", time()), ("until", time()), ("items", list(reference("Warning")))];
    vec![
        ("Overview", object(&[&overview, course().as_slice()].concat(), &[])),
        ("EndpointStats", object(&[&stats, course().as_slice()].concat(), &[])),
        ("Tally", object(&tally(), &[])),
        ("Bucket", object(&[vec![("start", time())], tally()].concat(), &[])),
        ("Day", day()),
        ("Queue", queue()),
        ("ErrorGroup", error_group()),
        ("Warning", warning()),
        ("Warnings", object(&warnings, &[])),
    ]
}

/// What a plugin did since the start, in all or for an endpoint.
pub fn plugin_account(name: &'static str, of: Value) -> Value {
    object(&[&[(name, of)], account().as_slice()].concat(), &[])
}

pub fn account() -> Vec<(&'static str, Value)> {
    let verdict =
        object(&[("task", words(Task::ALL.map(Task::word))), ("verdict", text()), ("count", count())], &[]);
    let times = ["p50", "p99", "max"].map(|name| (name, or_null(milliseconds())));
    vec![
        ("calls", count()),
        ("failures", count()),
        ("failures_in_a_row", count()),
        ("last_failure_at", or_null(time())),
        ("last_failure_kind", or_null(text())),
        ("verdicts", list(verdict)),
        ("time_ms", object(&times, &[])),
        ("memory_peak_bytes", count()),
    ]
}

fn course() -> Vec<(&'static str, Value)> {
    let volume = object(
        &[("type", event_type()), ("events", count()), ("delivered", count()), ("failed", count())],
        &[],
    );
    vec![
        ("since", time()),
        ("until", time()),
        ("resolution", resolution()),
        ("totals", reference("Tally")),
        ("warnings", list(reference("Warning"))),
        ("buckets", list(reference("Bucket"))),
        ("last_7_days", list(reference("Day"))),
        ("event_types", list(volume)),
        ("event_types_partial", truth()),
    ]
}

fn tally() -> Vec<(&'static str, Value)> {
    let counts = [
        "events",
        "promised",
        "held",
        "replayed",
        "delivered",
        "failed",
        "filtered",
        "cancelled",
        "attempts",
        "failed_attempts",
        "retried",
        "recovered",
    ];
    let times = ["min", "avg", "max", "p50", "p95", "p99"].map(|name| (name, milliseconds()));
    let answers = object(&[[("count", count())].as_slice(), &times].concat(), &[]);
    let mut members: Vec<(&str, Value)> = counts.map(|name| (name, count())).to_vec();
    members.push(("success_rate", or_null(share())));
    members.push(("answer_ms", or_null(answers)));
    members
}

fn day() -> Value {
    let day = json!({"type": "string", "format": "date"});
    object(&[("day", day), ("events", count()), ("delivered", count()), ("failed", count())], &[])
}

fn queue() -> Value {
    object(
        &[
            ("pending", count()),
            ("held", count()),
            ("oldest_pending_at", or_null(time())),
            ("oldest_pending_age_s", or_null(count())),
            ("partial", truth()),
        ],
        &[],
    )
}

fn error_group() -> Value {
    object(
        &[
            ("endpoint", id("ep_")),
            ("endpoint_name", or_null(text())),
            ("tenant", tenant()),
            ("kind", words(Trouble::ALL.map(Trouble::word))),
            ("title", text()),
            ("hint", text()),
            ("count", count()),
            ("first_at", time()),
            ("last_at", time()),
            ("last_delivery", id("dlv_")),
            ("last_message", text()),
        ],
        &[],
    )
}

fn warning() -> Value {
    let kinds = words(Warning::ALL.iter().copied().map(Warning::word));
    object(&[("kind", kinds), ("count", count()), ("hint", text())], &[])
}
