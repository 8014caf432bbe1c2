//! The same event, configuration and digest give the same bytes: in a thousand calls, in two processes, and through
//! both stores.

use std::process::Command;

use bytes::Bytes;
use hookwright::plugin::{Catalog, Engine, Limits, Plugin, Verdict, bundled};
use hookwright_tests::harness::{Stage, World, play, runtime};
use hookwright_tests::purity;
use serde_json::{Value, json};

#[test]
fn a_thousand_calls_and_a_second_process_come_to_the_same_bytes() {
    let second = Command::new(env!("CARGO_BIN_EXE_purity"));
    let second = std::thread::spawn(move || {
        let mut second = second;
        second.output().expect("it runs")
    });
    let reports =
        runtime().block_on(purity::call_all(purity::CALLS)).expect("equal calls come to equal results");
    assert_eq!(reports.len(), bundled().len());
    let second = second.join().expect("no panic");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(String::from_utf8_lossy(&second.stdout), purity::transcript(&reports));
}

/// What arrives of a payload behind each bundled plugin, with the configuration of its first example that sends one.
async fn arrivals(world: &mut World) -> Vec<(String, Bytes)> {
    let mut arrivals = Vec::new();
    for (name, config, payload) in sent_examples(world).await {
        let transforms = json!([{"plugin": name, "config": config}]);
        let endpoint = world.endpoint(json!({"transforms": transforms})).await;
        let more = json!({"timestamp": "2026-03-22T08:30:00Z"});
        world.post_with("document.exported", &payload, more).await;
        let arrival = world.receiver.next().await;
        world.web.delete(&endpoint.path()).await.expect(204);
        arrivals.push((name, arrival.body));
    }
    arrivals
}

/// With the code that the host has compiled already.
async fn sent_examples(world: &World) -> Vec<(String, Value, String)> {
    let limits = Limits { cache_dir: Some(world.data_dir().join("cache")), ..Limits::default() };
    let engine = Engine::new(limits).expect("an engine");
    let catalog = Catalog::open(engine, bundled(), None).await;
    let plugins = bundled().into_iter().filter_map(|plugin| catalog.get(plugin.name));
    plugins.filter_map(|plugin| sent_example(&plugin)).collect()
}

fn sent_example(plugin: &Plugin) -> Option<(String, Value, String)> {
    let sent = |verdict: &Verdict| matches!(verdict, Verdict::Replace(_) | Verdict::Pass);
    let example = plugin.description().examples.iter().find(|example| sent(&example.expect))?;
    let config = serde_json::from_str(&example.config).expect("JSON");
    let payload = String::from_utf8(example.input.to_vec()).expect("text");
    Some((plugin.name().to_owned(), config, payload))
}

/// Ids are the host's, and new each time; a signature in a body is over the time of the attempt. These are taken out.
fn without_ids(arrivals: Vec<(String, Bytes)>) -> Vec<(String, String)> {
    let plain = |name: &str, body: &Bytes| {
        let text = String::from_utf8_lossy(body).into_owned();
        let text = ["evt_", "msg_"].iter().fold(text, |text, prefix| blank(&text, prefix));
        if name == "feishu" { unsigned(&text) } else { text }
    };
    arrivals.into_iter().map(|(name, body)| (name.clone(), plain(&name, &body))).collect()
}

/// What follows a prefix, taken out wherever it is.
fn blank(text: &str, prefix: &str) -> String {
    let mut parts = text.split(prefix);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        text + prefix + part.trim_start_matches(|c: char| c.is_ascii_alphanumeric())
    })
}

fn unsigned(text: &str) -> String {
    let mut body: Value = serde_json::from_str(text).expect("JSON");
    for member in ["timestamp", "sign"] {
        assert!(body[member].is_string(), "a signature and its time: {body}");
        body[member] = Value::Null;
    }
    body.to_string()
}

#[test]
fn both_stores_deliver_the_same_bytes() {
    let (on_disk, in_memory) = (std::sync::Mutex::new(Vec::new()), std::sync::Mutex::new(Vec::new()));
    play(async |world| *on_disk.lock().expect("a lock") = without_ids(arrivals(world).await));
    Stage::default().in_memory().play(async |world: &mut World| {
        *in_memory.lock().expect("a lock") = without_ids(arrivals(world).await)
    });
    let (on_disk, in_memory) = (on_disk.into_inner().expect("done"), in_memory.into_inner().expect("done"));
    assert_eq!(on_disk.len(), bundled().len(), "each plugin has an example that sends something");
    assert_eq!(on_disk, in_memory);
}

#[test]
fn a_script_sees_the_event_as_its_clock_and_the_delivery_as_its_dice() {
    play(async |world| {
        let code = "function handler(w) {
            const spin = () => { for (let i = 0; i < 1000; i++); };
            const first = Date.now(); spin();
            w.payload = { now: [first, Date.now(), new Date().getTimezoneOffset()], dice: [Math.random(), Math.random()] };
            return w; }";
        world.receiver.answer_first([500, 500]);
        world.endpoint(json!({"transforms": [{"plugin": "script", "config": {"code": code}}]})).await;
        let more = json!({"timestamp": "2026-03-22T08:30:00Z"});
        world.post_with("a", "{}", more.clone()).await;
        let bodies: Vec<Bytes> =
            world.receiver.take(3).await.into_iter().map(|arrival| arrival.body).collect();
        assert_eq!(bodies[0], bodies[1], "a retry is the same");
        assert_eq!(bodies[0], bodies[2], "and so is the next one");
        let seen: Value = serde_json::from_slice(&bodies[0]).expect("JSON");
        assert_eq!(seen["now"], json!([1_774_168_200_000_u64, 1_774_168_200_000_u64, 0]));
        assert_ne!(seen["dice"][0], seen["dice"][1]);

        world.post_with("a", "{}", more).await;
        let other: Value = serde_json::from_slice(&world.receiver.next().await.body).expect("JSON");
        assert_ne!(other["dice"], seen["dice"], "another event has other dice");
        assert_eq!(other["now"], seen["now"]);
    });
}
