//! The rows whose promise is a line of a preset: each is played on a host that `init --preset` and `apply` have made,
//! for a customer who says no more than where and what. With the line changed, the row has to notice.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use hookwright::config::Config;
use hookwright::receiver::Signature;
use hookwright::signature::SignatureScheme;
use hookwright_tests::harness::{Mailbox, Posted, Site, Stage, World};
use serde_json::{Value, json};

use super::{due_after, items};
use crate::verifiers::{Language, Server, Toolbox, skip};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// Brought along, so that a receiver can know it before there is an endpoint.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Payloads that are other bytes once JavaScript has parsed them and written them again.
const REWRITTEN: [&str; 6] = [
    r#"{ "id": "in_1", "paid": true }"#,
    r#"{"amount":1.0,"rates":[12500.00,1e21,-0]}"#,
    r#"{"name":"Zo\u00eb \ud83d\ude00","path":"a\/b"}"#,
    r#"{"b":1,"10":"ten","9":"nine"}"#,
    r#"{"n":12345678901234567890,"huge":1e400}"#,
    "{\n  \"twice\": 1,\n  \"__proto__\": {\"a\": 1},\n  \"twice\": 2\n}",
];

/// A preset, with one line of it changed where that is asked for.
#[derive(Clone, Copy)]
struct Preset {
    name: &'static str,
    change: Option<(&'static str, &'static str)>,
}

fn preset(name: &'static str) -> Preset {
    Preset { name, change: None }
}

impl Preset {
    /// Plays a scene on a host that is what the preset says.
    fn play(self, scene: impl AsyncFnOnce(&mut World)) {
        let folder = tempfile::tempdir().expect("a folder");
        let written =
            run(Command::new(BINARY).args(["init", "--preset", self.name, "--dir"]).arg(folder.path()));
        assert!(written.contains("Wrote"), "{written}");
        let [settings, catalogue] =
            ["hookwright.toml", "catalogue.toml"].map(|name| folder.path().join(name));
        if let Some((from, to)) = self.change {
            assert!(change(&settings, from, to) | change(&catalogue, from, to), "no {from} in {}", self.name);
        }
        let settings = Config::load(Some(&settings), [], []).expect("settings");
        let stage = Stage::default().with(move |config| {
            let (host, server) = (config.host.clone(), config.server.clone());
            *config = Config { host, server, admin_key: config.admin_key.clone(), ..settings };
        });
        stage.play(async |world: &mut World| {
            apply(world, catalogue).await;
            scene(world).await;
        });
    }
}

/// Whether there was such a line.
fn change(file: &Path, from: &str, to: &str) -> bool {
    let text = std::fs::read_to_string(file).expect("a file of the preset");
    std::fs::write(file, text.replacen(from, to, 1)).expect("to write");
    text.contains(from)
}

async fn apply(world: &World, catalogue: PathBuf) {
    let mut command = Command::new(BINARY);
    let key = world.config.admin_key.as_ref().expect("a key").expose();
    command
        .args(["apply", "--yes", "-f"])
        .arg(catalogue)
        .env("HOOKWRIGHT_URL", format!("http://{}", world.web.address()))
        .env("HOOKWRIGHT_KEY", key)
        .env("RECORDENGINE_TOKEN", "of-all-channels");
    // The host runs on the threads of this runtime.
    let shown = tokio::task::spawn_blocking(move || run(&mut command)).await.expect("it runs");
    assert!(shown.contains("+ event type `"), "{shown}");
}

fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().expect("the binary runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// An endpoint as a customer makes it, who leaves all else to the preset.
async fn customer(world: &World, url: &str, more: Value) -> Value {
    let mut spec = json!({"name": "customer", "url": url, "events": ["*"], "secret": SECRET});
    for (name, value) in more.as_object().into_iter().flatten() {
        spec[name] = value.clone();
    }
    world.web.post("/v1/endpoints", &spec).await.expect(201)
}

fn path(endpoint: &Value) -> String {
    format!("/v1/endpoints/{}", endpoint["id"].as_str().expect("an id"))
}

/// The status that the first attempt came back with.
async fn first_status(world: &World, posted: &Posted) -> Value {
    let id = world.only_delivery(posted).await;
    world.attempted(&id, 1).await["attempt_log"][0]["status"].clone()
}

/// The types of the catalogue, as all of them or as those of a group.
async fn types(world: &World, group: Option<&str>) -> Vec<String> {
    let query = group.map(|group| format!("?group={group}")).unwrap_or_default();
    let page = world.web.get(&format!("/v1/event-types{query}")).await.expect(200);
    items(&page).iter().map(|item| item["name"].as_str().expect("a name").to_owned()).collect()
}

/// The sample that the catalogue has of a type.
async fn sample_of(world: &World, event_type: &str) -> Value {
    let described = world.web.get(&format!("/v1/event-types/{event_type}")).await.expect(200);
    described["samples"][0].clone()
}

/// A sample as the system's page prints it.
fn printed(path: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/samples");
    std::fs::read_to_string(format!("{folder}/{path}.json")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands in `json` but for white space between its parts.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        let kept = quoted || !c.is_ascii_whitespace();
        quoted ^= *c == '"' && !escaped;
        escaped = quoted && *c == '\\' && !escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

/// The folder of Node's libraries, or the note that there is none.
fn node(receiver: &str) -> Option<PathBuf> {
    match Language::Node.toolbox() {
        Toolbox::Ready(folder) => Some(folder),
        Toolbox::Missing(problem) => {
            skip(receiver, Language::Node, &problem);
            None
        }
    }
}

/// `express.json()` stands before the check, which writes the body again.
fn r4(preset: Preset) {
    let Some(folder) = node("revkeen") else { return };
    let server = Server::start(&folder, "revkeen", SECRET);
    preset.play(async |world| {
        customer(world, &server.url, json!({})).await;
        for payload in REWRITTEN {
            let posted = world.post("payment.succeeded", payload).await;
            assert_eq!(first_status(world, &posted).await, 200, "{payload}");
        }
        let other = json!({"events": ["payment.failed"], "secret": "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB"});
        world
            .web
            .delete(&path(&world.web.get("/v1/endpoints").await.expect(200)["items"][0]))
            .await
            .expect(204);
        customer(world, &server.url, other).await;
        let posted = world.post("payment.failed", REWRITTEN[0]).await;
        assert_eq!(first_status(world, &posted).await, 401, "with another secret");
    });
}

/// As the page tells a customer: an endpoint at RKT's own path, its secret out of the answer, the page's own check.
fn t4(preset: Preset) {
    let Some(folder) = node("rkt") else { return };
    preset.play(async |world| {
        let own = "/api/webhooks-config";
        let spec = json!({"url": world.receiver.url("/"), "events": ["*"], "chatbotId": "cmf9n7u1c"});
        let made = world.web.post(own, &spec).await.expect(201);
        let server = Server::start(&folder, "rkt", made["secret"].as_str().expect("a secret"));
        world.web.patch(own, &json!({"id": made["id"], "url": server.url})).await.expect(200);
        for payload in REWRITTEN {
            let posted = world.post_with("lead.captured", payload, json!({"channels": ["cmf9n7u1c"]})).await;
            assert_eq!(first_status(world, &posted).await, 200, "{payload}");
        }
        let rotated =
            world.web.post(&format!("{}/secret/rotate", path(&made)), &json!({"overlap": "0s"})).await;
        rotated.expect(200);
        let posted = world.post_with("lead.captured", "{}", json!({"channels": ["cmf9n7u1c"]})).await;
        assert_eq!(first_status(world, &posted).await, 401, "with another secret");
    });
}

fn r2(preset: Preset) {
    const GROUPS: [(&str, &[&str]); 3] = [
        ("Payments", &["payment.failed", "payment.refunded", "payment.succeeded"]),
        ("Invoices", &["invoice.created", "invoice.paid", "invoice.payment_failed"]),
        ("Subscriptions", &["subscription.canceled", "subscription.created", "subscription.renewed"]),
    ];
    preset.play(async |world| {
        for (group, names) in GROUPS {
            assert_eq!(types(world, Some(group)).await, names, "{group}");
        }
        for group in ["Customers", "Checkouts", "Disputes"] {
            assert!(!types(world, Some(group)).await.is_empty(), "{group}");
        }
        assert_eq!(types(world, Some("Nothing")).await, [""; 0]);
        let first = world.web.get("/v1/event-types?group=Payments&limit=2").await.expect(200);
        let cursor = first["next"].as_str().expect("a cursor");
        let rest = format!("/v1/event-types?group=Payments&limit=2&cursor={cursor}");
        let rest = world.web.get(&rest).await.expect(200);
        assert_eq!((items(&first).len(), items(&rest).len(), &rest["next"]), (2, 1, &Value::Null));
        // Chosen ones, or all of them.
        let url = world.receiver.url("/");
        let some = customer(world, &url, json!({"events": ["payment.failed", "invoice.paid"]})).await;
        let all = types(world, None).await;
        for name in &all {
            let wanted = ["payment.failed", "invoice.paid"].contains(&name.as_str());
            assert_eq!(world.post(name, "{}").await.deliveries, u64::from(wanted), "{name}");
        }
        world.receiver.take(2).await;
        world.web.delete(&path(&some)).await.expect(204);
        customer(world, &url, json!({})).await;
        for name in &all {
            assert_eq!(world.post(name, "{}").await.deliveries, 1, "{name}");
        }
        world.receiver.take(all.len()).await;
    });
}

fn r5(preset: Preset) {
    preset.play(async |world| {
        world.receiver.answer(503);
        customer(world, &world.receiver.url("/"), json!({})).await;
        let posted = world.post("payment.failed", "{}").await;
        let id = world.only_delivery(&posted).await;
        for (attempt, seconds) in [(1, 60), (2, 300), (3, 1_800), (4, 7_200), (5, 86_400)] {
            let pause = due_after(&world.attempted(&id, attempt).await).as_secs_f64();
            let planned = f64::from(seconds);
            assert!((planned..planned * 1.1 + 30.0).contains(&pause), "after attempt {attempt}: {pause}");
            world.clock.advance(Duration::from_secs_f64(pause));
        }
        let delivery = world.ended(&id).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(6)));
        world.receiver.take(6).await;
        world.receiver.answer(200);
        let again = world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await.expect(201);
        assert_eq!(world.ended(again["id"].as_str().expect("an id")).await["state"], "delivered");
    });
}

fn t1(preset: Preset) {
    const TYPES: [&str; 10] = [
        "handoff.assigned",
        "handoff.escalated",
        "handoff.returned",
        "lead.captured",
        "message.received",
        "message.sent",
        "session.created",
        "session.resolved",
        "ticket.created",
        "ticket.updated",
    ];
    preset.play(async |world| {
        assert_eq!(types(world, None).await, TYPES);
        let url = world.receiver.url("/");
        let some = customer(world, &url, json!({"events": ["lead.captured", "session.created"]})).await;
        for name in TYPES {
            let wanted = ["lead.captured", "session.created"].contains(&name);
            assert_eq!(world.post(name, "{}").await.deliveries, u64::from(wanted), "{name}");
        }
        world.receiver.take(2).await;
        world.web.delete(&path(&some)).await.expect(204);
        customer(world, &url, json!({})).await;
        for name in TYPES {
            let sample = sample_of(world, name).await;
            assert_eq!(world.post(name, &sample.to_string()).await.deliveries, 1, "{name}");
            let body: Value = serde_json::from_slice(&world.receiver.next().await.body).expect("JSON");
            assert_eq!((&body["event"], &body["data"]), (&json!(name), &sample));
        }
        world.post_raw(r#"{"type":"lead.lost","payload":{}}"#).await.problem(422);
    });
}

fn t3(preset: Preset) {
    preset.play(async |world| {
        let sample = printed("rkt/lead.captured");
        let (_, data) = sample.split_once("\"data\":").expect("data");
        let data = data.trim_end().strip_suffix('}').expect("an object's end");
        customer(world, &world.receiver.url("/"), json!({})).await;
        let more = json!({"timestamp": "2026-03-26T15:30:00Z", "channels": ["cmf9n7u1c..."]});
        world.post_with("lead.captured", data, more).await;
        let body = world.receiver.next().await.body;
        assert_eq!(compact(&String::from_utf8_lossy(&body)), compact(&sample));
    });
}

fn t5(preset: Preset) {
    preset.play(async |world| {
        let slow = Site::open_async(|_| std::future::pending()).await;
        let endpoint = customer(world, &slow.url("/"), json!({"retry": {"attempts": 1}})).await;
        assert_eq!(endpoint["inherited"].as_array().map(|all| all.contains(&json!("timeout"))), Some(true));
        let posted = world.post("message.received", "{}").await;
        let delivery = world.outcome(&posted).await;
        let attempt = &delivery["attempt_log"][0];
        assert_eq!((&attempt["outcome"], &attempt["kind"]), (&json!("unreachable"), &json!("timeout")));
        assert!(attempt["reason"].to_string().contains("gave up after 10s,"), "{attempt}");
        assert!(attempt["duration_ms"].as_f64() >= Some(10_000.0), "{attempt}");
    });
}

fn t6(preset: Preset) {
    preset.play(async |world| {
        let made = customer(world, &world.receiver.url("/"), json!({"retry": {"attempts": 1}})).await;
        let view = async |world: &World| world.web.get(&path(&made)).await.expect(200);
        let fail = async |world: &mut World, times: usize| {
            world.receiver.answer_first(vec![500; times]);
            for _ in 0..times {
                let posted = world.post("lead.captured", "{}").await;
                world.outcome(&posted).await;
            }
        };
        fail(world, 9).await;
        let failing = view(world).await;
        assert_eq!(failing["status"], "failing", "{failing}");
        let posted = world.post("lead.captured", "{}").await;
        world.outcome(&posted).await;
        assert_eq!(view(world).await["status"], "active", "a success resets the count");
        fail(world, 9).await;
        assert_eq!(view(world).await["enabled"], true);
        fail(world, 1).await;
        let disabled = world
            .until("it is disabled", async || {
                let view = view(world).await;
                (view["status"] == "disabled").then_some(view)
            })
            .await;
        assert!(disabled["disabled_because"].to_string().contains("10 attempts in a row"), "{disabled}");
        let held = world.post("lead.captured", "{}").await;
        world.web.patch("/api/webhooks-config", &json!({"id": made["id"], "active": true})).await.expect(200);
        assert_eq!(world.outcome(&held).await["state"], "delivered", "toggled on again");
    });
}

fn k12(preset: Preset) {
    const TYPES: [&str; 7] = [
        "ai.insight.generated",
        "file.ingested",
        "payment.received",
        "record.created",
        "record.updated",
        "sync.completed",
        "user.signup",
    ];
    preset.play(async |world| {
        assert_eq!(types(world, None).await, TYPES);
        customer(world, &world.receiver.url("/"), json!({})).await;
        world.receiver.expect("/", SignatureScheme::Standard, SECRET);
        for name in TYPES {
            let sample = sample_of(world, name).await.to_string();
            assert_eq!(world.post(name, &sample).await.deliveries, 1, "{name}");
            let arrival = world.receiver.next().await;
            assert_eq!((&arrival.body[..], arrival.signature), (sample.as_bytes(), Signature::Verified));
        }
    });
}

fn e4(preset: Preset) {
    preset.play(async |world| {
        customer(world, &world.receiver.url("/"), json!({})).await;
        for event_type in types(world, None).await {
            let sample = printed(&format!("recordengine/{event_type}"));
            // Without the members of the envelope, which are its first three.
            let own: Vec<&str> = sample.lines().skip(4).collect();
            let payload = format!("{{{}", own.join("\n"));
            let more = json!({"timestamp": "2026-03-22T08:30:00.4Z"});
            world.post_with(&event_type, &payload, more).await;
            let arrival = world.receiver.next().await;
            assert_eq!(compact(&String::from_utf8_lossy(&arrival.body)), compact(&sample), "{event_type}");
            assert_eq!(arrival.header("authorization"), Some("Bearer of-all-channels"));
        }
    });
}

fn e8(preset: Preset) {
    preset.play(async |world| {
        let endpoint = customer(world, &world.receiver.url("/"), json!({})).await;
        assert_eq!(endpoint["timeout"], "30s");
        for (status, state) in
            [(200, "delivered"), (201, "delivered"), (204, "delivered"), (202, "failed"), (206, "failed")]
        {
            world.receiver.answer_first([status]);
            let posted = world.post("case.created", "{}").await;
            let id = endpoint["id"].as_str().expect("an id");
            // The channel of its own is switched off.
            let deliveries = world.deliveries(&format!("event={}&endpoint={id}", posted.id)).await;
            let ended = world.ended(deliveries[0]["id"].as_str().expect("an id")).await;
            assert_eq!(ended["state"], state, "{status}");
        }
    });
}

fn e9(preset: Preset) {
    preset.play(async |world| {
        let listed = world.web.get("/v1/endpoints").await.expect(200);
        let channel = items(&listed).iter().find(|item| item["name"] == "Documents").expect("the channel");
        let mut receiver = Mailbox::open().await;
        receiver.answer(500);
        let on = json!({"enabled": true, "url": receiver.url("/channel")});
        world.web.patch(&path(channel), &on).await.expect(200);
        let posted = world.post("document.exported", "{}").await;
        let id = world.only_delivery(&posted).await;
        for attempt in 1..=12 {
            let pause = due_after(&world.attempted(&id, attempt).await);
            assert!((10..20).contains(&pause.as_secs()), "{pause:?}");
            // Days of failing: neither the policy nor the endpoint gives up.
            world.clock.advance(Duration::from_secs(10 * 86_400));
        }
        receiver.answer(200);
        world.clock.advance(Duration::from_secs(20));
        assert_eq!(world.ended(&id).await["state"], "delivered");
        assert_eq!(world.web.get(&path(channel)).await.expect(200)["enabled"], true);
        receiver.take(12).await;
    });
}

#[test]
fn r2_event_groups() {
    r2(preset("revkeen"));
}

#[test]
fn r4_signature_re_serialised() {
    r4(preset("revkeen"));
}

#[test]
fn r5_retry_schedule() {
    r5(preset("revkeen"));
}

#[test]
fn t1_types_and_star() {
    t1(preset("rkt"));
}

#[test]
fn t3_envelope() {
    t3(preset("rkt"));
}

#[test]
fn t4_signature() {
    t4(preset("rkt"));
}

#[test]
fn t5_timeout() {
    t5(preset("rkt"));
}

#[test]
fn t6_auto_disable() {
    t6(preset("rkt"));
}

#[test]
fn k12_event_types() {
    k12(preset("recordskeeper"));
}

#[test]
fn e4_envelope_and_samples() {
    e4(preset("recordengine"));
}

#[test]
fn e8_success_codes() {
    e8(preset("recordengine"));
}

#[test]
fn e9_retry_until_it_lands() {
    e9(preset("recordengine"));
}

type Row = fn(Preset);

/// Plays each row once more with a line of its preset changed.
fn notices(name: &'static str, changes: &[(&'static str, &'static str, Row)]) {
    for (from, to, row) in changes {
        let changed = Preset { name, change: Some((from, to)) };
        let ended = catch_unwind(AssertUnwindSafe(|| row(changed)));
        assert!(ended.is_err(), "nobody noticed `{to}` in the place of `{from}` in {name}");
    }
}

#[test]
fn a_changed_line_of_revkeen_is_noticed() {
    let mut changes: Vec<(_, _, Row)> =
        vec![("\"2h\"", "\"3h\"", r5), ("group = \"Invoices\"", "group = \"Bills\"", r2)];
    if node("revkeen").is_some() {
        changes.push(("body = \"ecmascript\"", "body = \"as-is\"", r4));
        changes.push(("prefix = \"sha256=\"", "prefix = \"\"", r4));
    }
    notices("revkeen", &changes);
}

#[test]
fn a_changed_line_of_rkt_is_noticed() {
    let mut changes: Vec<(_, _, Row)> = vec![
        ("name = \"ticket.updated\"", "name = \"ticket.changed\"", t1),
        ("unknown_types = \"refuse\"", "unknown_types = \"accept\"", t1),
        ("format = \"millis\"", "format = \"seconds\"", t3),
        ("timeout = \"10s\"", "timeout = \"1s\"", t5),
        ("failures = 10", "failures = 9", t6),
    ];
    if node("rkt").is_some() {
        changes.push(("X-RKT-Signature", "X-Signature", t4));
    }
    notices("rkt", &changes);
}

#[test]
fn a_changed_line_of_recordskeeper_is_noticed() {
    notices(
        "recordskeeper",
        &[
            ("name = \"file.ingested\"", "name = \"file.taken\"", k12),
            ("scheme = \"standard\"", "scheme = \"hmac-sha256\", header = \"X-Signature\"", k12),
        ],
    );
}

#[test]
fn a_changed_line_of_recordengine_is_noticed() {
    notices(
        "recordengine",
        &[
            ("constant = \"2.0\"", "constant = \"2.1\"", e4),
            ("success = [200, 201, 204]", "success = \"2xx\"", e8),
            ("every = \"10s\"", "every = \"20s\"", e9),
        ],
    );
}
