//! Plugins that mean harm: each is contained to its own endpoint and named in the attempt.

use std::time::Duration;

use hookwright_tests::harness::{Stage, World, play};
use serde_json::{Value, json};

fn read(guest: &str) -> Vec<u8> {
    std::fs::read(guest).expect("the guest was built")
}

/// A world with the hostile plugin in its folder.
async fn invite(world: &mut World) {
    world.add_plugin("hostile", &read(env!("GUEST_HOSTILE"))).await;
}

/// The one attempt of a delivery through the hostile plugin, while the same event arrives elsewhere.
async fn attempt(world: &mut World, habit: &str) -> Value {
    let spec = json!({
        "url": world.receiver.url("/hostile"),
        "events": [format!("habit.{habit}")],
        "transforms": [{"plugin": "hostile", "config": habit, "on_failure": "fail"}],
    });
    world.endpoint(spec).await;
    let healthy = world.endpoint(json!({"events": [format!("habit.{habit}")]})).await;
    let posted = world.post(&format!("habit.{habit}"), "{}").await;
    assert_eq!(posted.deliveries, 2);
    // The healthy one arrives, whatever the other does.
    while world.receiver.next().await.path() != "/" {}
    let deliveries = world.deliveries(&format!("event={}", posted.id)).await;
    let (mut ours, mut theirs) = (Value::Null, Value::Null);
    for delivery in deliveries {
        let ended = world.ended(delivery["id"].as_str().expect("an id")).await;
        let whose = if ended["endpoint"] == healthy.id { &mut theirs } else { &mut ours };
        *whose = ended;
    }
    assert_eq!(theirs["state"], "delivered", "{habit}");
    ours
}

#[test]
fn each_bad_habit_is_named_in_the_attempt_and_harms_nobody_else() {
    play(async |world| {
        invite(world).await;
        for (habit, kind, said) in [
            ("wait", "time_limit", "time limit"),
            ("eat-memory", "memory_limit", "limit of"),
            ("panic", "trap", "panicked at hostile/src/lib.rs:"),
            ("noisy-panic", "trap", "heard over the noise"),
            ("trap", "trap", "stopped itself"),
            ("recurse", "trap", "recursion"),
            ("large", "", "limit"),
            ("exit", "trap", "exit"),
            ("forge", "bad_output", "`webhook-signature`"),
            ("fail", "bad-payload", "the field `a` is missing"),
        ] {
            let delivery = attempt(world, habit).await;
            let attempt = &delivery["attempt_log"][0];
            assert_eq!(delivery["state"], "failed", "{habit}: {delivery:#}");
            assert_eq!(attempt["outcome"], "plugin_failed", "{habit}");
            assert!(kind.is_empty() || attempt["kind"] == kind, "{habit}: {attempt:#}");
            let reason = attempt["reason"].as_str().expect("a sentence");
            assert!(reason.contains("`hostile`") && reason.contains(said), "{habit}: {reason}");
            assert_eq!(attempt["request"], Value::Null, "{habit}: nothing went out");
            assert_eq!(attempt["plugins"][0]["plugin"], "hostile");
        }
    });
}

#[test]
fn a_flood_of_log_lines_is_cut() {
    play(async |world| {
        invite(world).await;
        for habit in ["log-flood", "print-flood", "long-line"] {
            let delivery = attempt(world, habit).await;
            let log = delivery["attempt_log"][0]["plugins"][0]["log"].as_array().expect("a list").clone();
            assert!((1..=101).contains(&log.len()), "{habit}: {}", log.len());
            assert!(log.iter().all(|line| line["line"].as_str().is_some_and(|line| line.len() <= 1_000)));
        }
    });
}

#[test]
fn endpoints_whose_plugin_loops_leave_room_for_the_others() {
    let stage = Stage::default().with(|config| config.plugin.time_limit = Duration::from_millis(200));
    stage.play(async |world| {
        invite(world).await;
        let spinning = json!([{"plugin": "hostile", "config": "wait", "on_failure": "retry"}]);
        let spec = json!({"events": ["spin"], "transforms": spinning, "concurrency": 1});
        let (one, other) = (world.endpoint(spec.clone()).await, world.endpoint(spec).await);
        for _ in 0..4 {
            world.post("spin", "{}").await;
        }
        world.endpoint(json!({"events": ["fine"], "transforms": [{"plugin": "flatten"}]})).await;
        for n in 0..20 {
            world.post("fine", &format!("{{\"n\":{n}}}")).await;
        }
        assert_eq!(world.receiver.take(20).await.len(), 20);
        for looping in [one, other] {
            world.web.delete(&looping.path()).await.expect(204);
        }
    });
}

#[test]
fn a_check_that_loops_is_a_refused_configuration() {
    play(async |world| {
        invite(world).await;
        let problem = world.refused(json!({"transforms": [{"plugin": "hostile", "config": "spin"}]})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/transforms/0/config");
        assert!(problem["errors"][0]["message"].to_string().contains("time limit"), "{problem}");
    });
}

#[test]
fn files_that_are_no_plugins_are_listed_with_the_reason_and_the_host_starts() {
    Stage::default().in_a_file().play(async |world| {
        for (name, bytes, said) in [
            ("garbage", vec![0xde, 0xad, 0xbe, 0xef], "not WebAssembly"),
            ("core-module", b"\0asm\x01\0\0\0".to_vec(), "wasm32-wasip2"),
            ("stranger", read(env!("GUEST_STRANGER")), "other:thing/greeter"),
            ("future", read(env!("GUEST_FUTURE")), "0.2.0"),
            ("drifted", read(env!("GUEST_DRIFTED")), "contract"),
            ("networked", read(env!("GUEST_NETWORKED")), "network"),
        ] {
            world.drop_plugin(name, &bytes);
            world.restart().await;
            let plugins = world.web.get("/v1/plugins").await.expect(200);
            let refused = plugins["refused"].as_array().expect("a list");
            let reason =
                refused.iter().find(|refused| refused["name"] == name).map(|refused| &refused["reason"]);
            assert!(reason.is_some_and(|reason| reason.to_string().contains(said)), "{name}: {refused:?}");
            let problem = world.refused(json!({"transforms": [{"plugin": name}]})).await;
            assert_eq!(problem["errors"][0]["pointer"], "/transforms/0/plugin");
        }
        world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        world.post("a", "{}").await;
        world.receiver.next().await;
    });
}
