//! The presets, through the command line and the real host: written, served, applied, applied again, and used.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hookwright_tests::harness::{Mailbox, runtime, until};
use hookwright_tests::process::{KEY, Launch, Process};
use http::Method;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// A host that is what a preset says.
struct Preset {
    host: Process,
    launch: Launch,
    folder: tempfile::TempDir,
}

impl Preset {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().display().to_string();
        succeeds(run(&["init", "--preset", name, "--dir", &dir], None));
        let config = folder.path().join("hookwright.toml").display().to_string();
        let launch = Launch::new(BINARY, &folder.path().join("data"));
        let launch = launch.with_arguments(["--config", config.as_str()]);
        let preset = Self { host: launch.start(), launch, folder };
        let shown = succeeds(preset.apply(&["--yes"]));
        assert!(shown.contains("+ event type `"), "{shown}");
        preset
    }

    /// Kills the host and starts another one on its data.
    fn killed_and_started(self) -> Self {
        let Self { host, launch, folder } = self;
        host.kill();
        Self { host: launch.start(), launch, folder }
    }

    /// Points a channel of the preset at a receiver, and switches it on.
    async fn switch_on(&self, channel: &str, receiver: &Mailbox) {
        let api = self.host.api();
        let list = api.expect(Method::GET, "/v1/endpoints", "", 200).await;
        let found = list["items"].as_array().into_iter().flatten().find(|item| item["name"] == channel);
        let id = found.and_then(|item| item["id"].as_str()).expect("the channel").to_owned();
        let change = json!({"enabled": true, "url": receiver.url("/channel")}).to_string();
        api.expect(Method::PATCH, &format!("/v1/endpoints/{id}"), &change, 200).await;
    }

    fn apply(&self, more: &[&str]) -> Output {
        let file = self.catalogue().display().to_string();
        let mut words = vec!["apply", "-f", &file];
        words.extend(more);
        run(&words, Some(&self.host))
    }

    fn catalogue(&self) -> std::path::PathBuf {
        self.folder.path().join("catalogue.toml")
    }

    fn change(&self, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.catalogue()).expect("the catalogue");
        assert!(text.contains(from), "{text}");
        std::fs::write(self.catalogue(), text.replacen(from, to, 1)).expect("to write");
    }
}

fn run(words: &[&str], host: Option<&Process>) -> Output {
    let mut command = Command::new(BINARY);
    command.args(words).env("HOOKWRIGHT_KEY", KEY).env("RECORDENGINE_TOKEN", "of-all-channels");
    if let Some(host) = host {
        command.env("HOOKWRIGHT_URL", format!("http://{}", host.address()));
    }
    command.stdin(Stdio::null()).output().expect("the binary runs")
}

fn succeeds(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn every_preset_is_applied_once_and_then_nothing_is_left_to_change() {
    for name in ["recordskeeper", "revkeen", "rkt", "recordengine"] {
        let preset = Preset::new(name);
        assert_eq!(succeeds(preset.apply(&["--yes"])).trim(), "Nothing to change.", "{name}");
        assert_eq!(succeeds(preset.apply(&["--yes", "--prune"])).trim(), "Nothing to change.", "{name}");
    }
}

#[test]
fn apply_shows_the_difference_and_deletes_only_when_told_to() {
    let preset = Preset::new("recordengine");
    preset.change("timeout = \"30s\"", "timeout = \"20s\"");
    let shown = succeeds(preset.apply(&["--dry-run"]));
    assert!(shown.contains("timeout: \"30s\" -> \"20s\""), "{shown}");
    // Nobody can agree where there is no terminal.
    assert!(!preset.apply(&[]).status.success());
    assert_eq!(succeeds(preset.apply(&["--dry-run"])), shown, "a dry run changes nothing");
    preset.change("name = \"Cases\"\nurl", "name = \"Renamed\"\nurl");
    let shown = succeeds(preset.apply(&["--yes"]));
    assert!(shown.contains("+ endpoint `Renamed`") && !shown.contains("- endpoint"), "{shown}");
    let shown = succeeds(preset.apply(&["--yes", "--prune"]));
    assert!(shown.contains("- endpoint `Cases`"), "{shown}");
    assert_eq!(succeeds(preset.apply(&["--yes", "--prune"])).trim(), "Nothing to change.");
    let shown = succeeds(preset.apply(&["--dry-run", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&shown).expect("JSON"), json!({"steps": []}));
}

#[test]
fn init_overwrites_nothing_and_says_what_is_missing() {
    let folder = tempfile::tempdir().expect("a folder");
    let dir = folder.path().display().to_string();
    succeeds(run(&["init", "--preset", "rkt", "--dir", &dir], None));
    assert!(!run(&["init", "--preset", "rkt", "--dir", &dir], None).status.success());
    let file = folder.path().join("x.toml");
    std::fs::write(&file, "[tenants.a]\nauth = { env = \"NOT_SET_ANYWHERE\" }\n").expect("to write");
    let output = run(&["apply", "-f", &file.display().to_string()], None);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("NOT_SET_ANYWHERE is not set"), "{said}");
}

/// E1, E2, E4 and E8 together: a channel's own event arrives in the printed form, with the token of all channels.
#[test]
fn e1_seven_channels() {
    let preset = Preset::new("recordengine");
    runtime().block_on(async {
        let (api, mut receiver) = (preset.host.api(), Mailbox::open().await);
        let list = api.expect(Method::GET, "/v1/endpoints", "", 200).await;
        let channels = list["items"].as_array().expect("a list").clone();
        assert_eq!(channels.len(), 7);
        for channel in &channels {
            assert_eq!(channel["enabled"], false, "{channel}");
            let path = format!("/v1/endpoints/{}", channel["id"].as_str().unwrap_or_default());
            let change = json!({"enabled": true, "url": receiver.url("/channel")}).to_string();
            api.expect(Method::PATCH, &path, &change, 200).await;
        }
        for channel in &channels {
            let event_type = channel["events"][0].as_str().expect("a type");
            let printed = printed(event_type);
            let event = format!(
                r#"{{"type":"{event_type}","timestamp":"2026-03-22T08:30:00Z","payload":{printed}}}"#
            );
            api.expect(Method::POST, "/v1/events", &event, 202).await;
            let arrival = receiver.next().await;
            assert_eq!(arrival.header("authorization"), Some("Bearer of-all-channels"));
            let same = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(same(&String::from_utf8_lossy(&arrival.body)), same(&printed), "{event_type}");
        }
    });
}

fn printed(event_type: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/samples/recordengine");
    std::fs::read_to_string(folder.join(format!("{event_type}.json"))).expect("a sample")
}

/// The whole of RKT's promise: an endpoint made at its own path, the envelope, and the signature that its page checks.
#[test]
fn rkt_as_its_page_prints_it() {
    let preset = Preset::new("rkt");
    runtime().block_on(async {
        let (api, mut receiver) = (preset.host.api(), Mailbox::open().await);
        let body = json!({"url": receiver.url("/webhook"), "events": ["lead.captured"], "chatbotId": "cmf9n7u1c"});
        let made = api.post("/api/webhooks-config", &body).await.expect("an answer");
        assert!(matches!(made.status, 200 | 201), "{made:?}");
        let event = r#"{"type":"lead.captured","timestamp":"2026-03-26T15:30:00Z","channels":["cmf9n7u1c"],"payload":{"leadId":"clx"}}"#;
        api.expect(Method::POST, "/v1/events", event, 202).await;
        let arrival = receiver.next().await;
        let expected = r#"{"event":"lead.captured","chatbotId":"cmf9n7u1c","timestamp":"2026-03-26T15:30:00.000Z","data":{"leadId":"clx"}}"#;
        assert_eq!(arrival.body, expected);
        let signature = arrival.header("x-rkt-signature").expect("text");
        assert!(signature.len() == 64 && signature.bytes().all(|byte| byte.is_ascii_hexdigit()), "{signature}");
        let list = api.expect(Method::GET, "/v1/endpoints", "", 200).await;
        assert_eq!(list["items"][0]["timeout"], "10s");
        assert_eq!(list["items"][0]["auto_disable"], json!({"failures": 10}));
    });
}

/// An event type that the catalogue does not list is refused under the presets that say so.
#[test]
fn revkeen_takes_what_its_page_lists() {
    let preset = Preset::new("revkeen");
    runtime().block_on(async {
        let (api, mut receiver) = (preset.host.api(), Mailbox::open().await);
        let spec =
            json!({"name": "all", "url": receiver.url("/webhooks/revkeen"), "events": ["*"]}).to_string();
        let made = api.expect(Method::POST, "/v1/endpoints", &spec, 201).await;
        assert_eq!(made["retry"], json!({"schedule": ["1m", "5m", "30m", "2h", "1d"]}));
        let unknown = r#"{"type":"payment.imagined","payload":{}}"#;
        api.expect(Method::POST, "/v1/events", unknown, 422).await;
        let event = r#"{"type":"payment.succeeded","payload":{"b": 1.0, "2": "\u00e9", "1": null}}"#;
        api.expect(Method::POST, "/v1/events", event, 202).await;
        let arrival = receiver.next().await;
        assert_eq!(arrival.body, "{\"1\":null,\"2\":\"é\",\"b\":1}");
        let signature = arrival.header("x-revkeen-signature").expect("text");
        assert!(signature.starts_with("sha256="), "{signature}");
    });
}

/// How long the receivers fail, and how often documents are tried meanwhile: as the preset says, or so much quicker.
fn outage() -> (Duration, &'static str) {
    match std::env::var_os("HOOKWRIGHT_LONG_TESTS").filter(|value| value == "1") {
        Some(_) => (Duration::from_secs(60), "10s"),
        None => (Duration::from_secs(2), "300ms"),
    }
}

/// What the page says would be lost is not: the documents land by themselves, and one command replays the rest.
#[test]
fn recordengine_loses_nothing_when_it_is_killed() {
    const KILLS: u64 = 4;
    const EVENTS: u64 = 5;
    let (outage, pace) = outage();
    let mut preset = Preset::new("recordengine");
    if pace != "10s" {
        preset.change("every = \"10s\"", &format!("every = \"{pace}\""));
        succeeds(preset.apply(&["--yes"]));
    }
    runtime().block_on(async move {
        let (mut documents, mut contacts) = (Mailbox::open().await, Mailbox::open().await);
        preset.switch_on("Documents", &documents).await;
        preset.switch_on("Contacts", &contacts).await;
        documents.answer(500);
        contacts.answer(500);
        let failing = Instant::now();
        for round in 0..KILLS {
            let api = preset.host.api();
            for n in round * EVENTS..(round + 1) * EVENTS {
                for event_type in ["document.exported", "contact.created"] {
                    let event = json!({"type": event_type, "payload": {"n": n}}).to_string();
                    api.expect(Method::POST, "/v1/events", &event, 202).await;
                }
            }
            // Killed with requests under way, and after they were answered.
            if round % 2 == 1 {
                documents.take(EVENTS as usize).await;
            }
            preset = preset.killed_and_started();
        }
        while failing.elapsed() < outage {
            assert_eq!(documents.next().await.status, 500);
        }
        documents.answer(200);
        contacts.answer(200);
        let all: BTreeSet<u64> = (0..KILLS * EVENTS).collect();
        assert_eq!(landed(&mut documents, &all).await, all, "they land by themselves");
        // What had no answer yet when the host was killed is tried once more by itself.
        until("nothing waits", async || {
            let pending =
                preset.host.api().expect(Method::GET, "/v1/deliveries?state=pending", "", 200).await;
            (pending["items"] == json!([])).then_some(())
        })
        .await;
        succeeds(run(
            &["replay", "--endpoint", "Contacts", "--state", "failed", "--wait"],
            Some(&preset.host),
        ));
        assert_eq!(landed(&mut contacts, &all).await, all, "one command delivers the rest");
    });
}

/// The numbers that have arrived and were taken, once those are all that there are.
async fn landed(receiver: &mut Mailbox, all: &BTreeSet<u64>) -> BTreeSet<u64> {
    let mut landed = BTreeSet::new();
    while landed.len() < all.len() {
        let arrival = receiver.next().await;
        let body: Value = serde_json::from_slice(&arrival.body).expect("JSON");
        if arrival.status == 200 {
            landed.insert(body["n"].as_u64().expect("a number"));
        }
    }
    landed
}

/// Every event of each catalogue goes out, and is verified by a receiver that knows the endpoint's secret.
#[test]
fn the_demo_shows_each_preset() {
    for (name, types, endpoint) in [
        ("recordskeeper", 7, "customer"),
        ("revkeen", 16, "customer"),
        ("rkt", 10, "customer"),
        ("recordengine", 7, "Audit Log"),
    ] {
        let shown = succeeds(run(&["demo", "--preset", name, "--once"], None));
        assert_eq!(shown.matches("delivered, verified").count(), types, "{name}: {shown}");
        assert!(shown.contains(endpoint), "{name}: {shown}");
    }
}

/// Each line of the presets that a page promises, as endpoints and catalogue show it.
#[test]
fn presets_say_what_the_pages_say() {
    let table: [(&str, usize, Value); 4] = [
        ("recordskeeper", 7, json!({"signature": {"scheme": "standard"}, "success": "2xx", "body": "as-is"})),
        (
            "revkeen",
            16,
            json!({
                "signature": {"scheme": "hmac-sha256", "header": "X-RevKeen-Signature", "prefix": "sha256="},
                "body": "ecmascript",
                "retry": {"schedule": ["1m", "5m", "30m", "2h", "1d"]},
            }),
        ),
        (
            "rkt",
            10,
            json!({
                "signature": {"scheme": "hmac-sha256", "header": "X-RKT-Signature", "prefix": ""},
                "timeout": "10s",
                "auto_disable": {"failures": 10},
            }),
        ),
        (
            "recordengine",
            7,
            json!({
                "timeout": "30s",
                "success": [200, 201, 204],
                "retry": {"attempts": 1},
                "auto_disable": "off",
                "auth": {"type": "bearer", "token": "***"},
            }),
        ),
    ];
    for (name, types, expected) in table {
        let preset = Preset::new(name);
        runtime().block_on(async {
            let api = preset.host.api();
            let catalogue = api.expect(Method::GET, "/v1/event-types", "", 200).await;
            let listed = catalogue["items"].as_array().expect("a list");
            assert_eq!(listed.len(), types, "{name}");
            assert!(listed.iter().all(|entry| entry["group"] != "" && entry["sample_count"] == 1), "{name}");
            let spec = json!({"name": "own", "url": "http://127.0.0.1:9/", "events": ["*"]}).to_string();
            let made = api.expect(Method::POST, "/v1/endpoints", &spec, 201).await;
            for (member, value) in expected.as_object().expect("members") {
                assert_eq!(made[member], *value, "{name}: {member}");
            }
        });
    }
}
