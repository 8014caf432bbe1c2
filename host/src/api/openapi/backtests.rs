//! `/v1/backtests`, and how one begins.

use serde_json::{Value, json};

use super::operation::Operation;
use super::plugins::{digest, name};
use super::shape::{
    Named, about, count, event_type, id, list, list_of, number, object, or_null, page, reference, tenant,
    text, time, truth, words,
};
use super::transform::message;
use crate::api::backtests::{ENDPOINTS, OBJECTIONS};
use crate::api::problem::Kind;
use crate::config::Config;
use crate::dispatch::backtest::Change;

const GROUP: &str = "Backtests";

pub fn operations(config: &Config) -> Vec<Operation> {
    vec![
        Operation::new("backtest_plugin", GROUP, "Try a version or a configuration on stored events")
            .about(
                "Runs the candidate on the events that were stored last for each endpoint whose chain follows the \
                 plugin's name, beside what is active, in the background. Nothing is sent, and nothing is stored. With \
                 `gate` the version becomes the active one in the end, where all was looked at, nothing newly fails, and \
                 none but the version that it was held against is active. A configuration is that of one endpoint's link; \
                 masks in it stand for what is stored.",
            )
            .of("name", name())
            .takes(new_backtest(config))
            .answers(202, "The backtest, which has begun.", reference("BacktestInFull"))
            .problems(&[Kind::Conflict]),
        Operation::new("list_backtests", GROUP, "The backtests, newest first")
            .about("Those that run, and the latest that have ended since the server was started.")
            .query("plugin", "Only those of this plugin.", text())
            .page(id("job_"))
            .answers(200, "A page of backtests.", page("Backtest")),
        Operation::new("show_backtest", GROUP, "One backtest, with its progress and what it has found so far")
            .of("id", id("job_"))
            .answers(200, "The backtest.", reference("BacktestInFull")),
        Operation::new("cancel_backtest", GROUP, "Stop a backtest")
            .about("What it has found stays.")
            .of("id", id("job_"))
            .answers(200, "The backtest, which has ended.", reference("BacktestInFull"))
            .problems(&[Kind::Conflict]),
    ]
}

/// A version for all who follow the name or for one of them, with the gate or without; or one endpoint's configuration.
fn new_backtest(config: &Config) -> Value {
    let most = |most: usize| u32::try_from(most).unwrap_or(u32::MAX);
    let events = ("events", or_null(number(1, most(config.backtest.max_events))));
    let unsaid = || json!({"type": "null"});
    let no_gate = || json!({"type": ["boolean", "null"], "enum": [false, null]});
    let place = number(0, most(config.endpoint.max_transforms.saturating_sub(1)));
    let anything = json!({"type": ["object", "array", "string", "number", "boolean"]});
    let version = [("digest", digest())];
    let rest = [("config", unsaid()), ("link", or_null(place.clone())), events.clone()];
    let of_one = [("endpoint", or_null(id("ep_"))), ("gate", no_gate())];
    let for_all = [("endpoint", unsaid()), ("gate", or_null(truth()))];
    let configured = [("endpoint", id("ep_")), ("config", about("The link's configuration.", anything))];
    let with_config = [
        ("digest", or_null(digest())),
        ("link", about("Its place among the transforms, where several name the plugin.", or_null(place))),
        ("gate", no_gate()),
        events,
    ];
    json!({"anyOf": [
        object(&version, &[of_one.as_slice(), &rest].concat()),
        object(&version, &[for_all.as_slice(), &rest].concat()),
        object(&configured, &with_config),
    ]})
}

fn counts() -> Value {
    let words = Change::ALL.map(|change| (change.word(), count()));
    let both = about("Those of `same` that fail with both.", count());
    object(&[[("events", count())].as_slice(), &words, &[("both_failing", both)]].concat(), &[])
}

fn times() -> Value {
    let micros = || json!({"type": "integer", "minimum": 0});
    let of_calls = || {
        object(
            &[
                ("calls", count()),
                ("p50_us", or_null(micros())),
                ("p99_us", or_null(micros())),
                ("max_us", micros()),
            ],
            &[],
        )
    };
    about(
        "Of the plugin's calls, in microseconds.",
        object(&[("active", of_calls()), ("candidate", of_calls())], &[]),
    )
}

fn shown() -> Value {
    object(
        &[
            (
                "message",
                about(
                    "What would be sent, before the endpoint's own headers and its signature.",
                    or_null(message()),
                ),
            ),
            ("outcome", about("What it would come to where nothing would be sent.", or_null(text()))),
            ("kind", or_null(text())),
            ("reason", or_null(text())),
        ],
        &[],
    )
}

pub fn schemas() -> Vec<Named> {
    let version = [("version", text()), ("digest", digest())];
    let link = about("The link whose configuration is another one.", or_null(count()));
    let progress = object(
        &[
            ("endpoints", count()),
            ("endpoints_done", count()),
            ("events_done", count()),
            ("percent", number(0, 100)),
        ],
        &[],
    );
    let members = [
        ("id", id("job_")),
        ("plugin", text()),
        ("state", words(["running", "done", "cancelled", "failed"])),
        ("created_at", time()),
        ("finished_at", or_null(time())),
        (
            "reason",
            about("Why it was cancelled or failed, stopped short, or activated nothing.", or_null(text())),
        ),
        ("active", about("What answered to the name when it began.", or_null(object(&version, &[])))),
        ("candidate", object(&[version.as_slice(), &[("link", link)]].concat(), &[])),
        ("endpoint", about("This one alone.", or_null(id("ep_")))),
        ("events", about("The last ones of each endpoint.", count())),
        ("gate", truth()),
        ("activated", about("It made the candidate the active version.", truth())),
        ("complete", about("All events that were asked for were looked at.", truth())),
        ("progress", progress),
        ("counts", counts()),
        ("times", times()),
    ];
    let objection = object(&[("of", text()), ("pointer", text()), ("message", text())], &[]);
    let endpoint = object(
        &[
            ("id", id("ep_")),
            ("name", text()),
            ("tenant", tenant()),
            ("counts", counts()),
            ("times", times()),
            ("problem", about("Why nothing of it could be run.", or_null(text()))),
        ],
        &[],
    );
    let sample = object(
        &[
            ("endpoint", id("ep_")),
            ("event", id("evt_")),
            ("type", event_type()),
            ("change", words(Change::ALL.map(Change::word))),
            ("active", shown()),
            ("candidate", shown()),
            ("diff", about("In the form of `diff -u`, where both would send.", or_null(text()))),
        ],
        &[],
    );
    let more = [
        (
            "objections",
            about("What would speak against activating the candidate.", list_of(0, OBJECTIONS, objection)),
        ),
        ("endpoints", about("Those with most changes first.", list_of(0, ENDPOINTS, endpoint))),
        ("samples", about("Events with a change, a few of each kind.", list(sample))),
    ];
    vec![
        ("Backtest", object(&members, &[])),
        ("BacktestInFull", object(&[members.as_slice(), &more].concat(), &[])),
    ]
}
