//! What plugins may use, where the operator or an endpoint says other than the default.

use std::time::Duration;

use hookwright::config::Config;
use hookwright::terms::Allowance;
use hookwright_tests::harness::{Stage, World, play};
use serde_json::{Value, json};

async fn prepared(world: &mut World) {
    world.add_plugin("hostile", &std::fs::read(env!("GUEST_HOSTILE")).expect("the guest was built")).await;
}

/// The reason that an attempt gives for a plugin's failure.
async fn failure(world: &World, what: &str, limits: Value) -> String {
    let transforms = json!([{"plugin": "hostile", "config": what, "on_failure": "fail", "limits": limits}]);
    let endpoint = world.endpoint(json!({"transforms": transforms})).await;
    let posted = world.post("a", &format!("\"{}\"", "0".repeat(2_000))).await;
    let delivery = world.outcome(&posted).await;
    world.web.delete(&endpoint.path()).await.expect(204);
    delivery["reason"].as_str().expect("a reason").to_owned()
}

#[test]
fn a_transform_says_what_its_calls_may_use() {
    play(async |world| {
        prepared(world).await;
        for (what, limits, words) in [
            ("wait", json!({"time": "20ms"}), ["20 ms", "`limits.time` of the transform"]),
            (
                "eat-memory",
                json!({"memory": 2_097_152}),
                ["2097152 bytes", "`limits.memory` of the transform"],
            ),
            ("echo", json!({"output": 1_024}), ["1024 bytes", "`limits.output` of the transform"]),
            ("eat-memory", json!(null), ["67108864 bytes", "setting `plugin.memory_limit`"]),
        ] {
            let reason = failure(world, what, limits).await;
            assert!(words.iter().all(|word| reason.contains(word)), "{what}: {reason}");
        }
        let transforms = json!([{"plugin": "hostile", "config": "log-flood", "limits": {"log_lines": 3}}]);
        let shown = json!({"transforms": transforms, "type": "a", "payload": 1});
        let shown = world.web.post("/v1/transform", &shown).await.expect(200);
        let log = shown["links"][0]["log"].as_array().expect("a list");
        assert!((3..=4).contains(&log.len()), "three lines, and one that says so: {log:?}");
    });
}

#[test]
fn the_operator_says_what_one_plugin_may_use() {
    let change = |config: &mut Config| {
        let said = Allowance {
            time: Some(Duration::from_millis(30)),
            memory: Some(4 << 20),
            ..Allowance::default()
        };
        config.plugin.limits.0.insert("hostile".to_owned(), said);
        // On a busy machine a call may hardly run for long.
        config.plugin.patience = 1_000;
    };
    Stage::default().with(change).play(async |world| {
        prepared(world).await;
        let reason = failure(world, "wait", json!(null)).await;
        assert!(reason.contains("30 ms (setting `plugin.limits.hostile.time`)"), "{reason}");
        let reason = failure(world, "eat-memory", json!(null)).await;
        assert!(reason.contains("(setting `plugin.limits.hostile.memory`)"), "{reason}");
        let reason = failure(world, "wait", json!({"time": "50ms"})).await;
        assert!(
            reason.contains("50 ms (`limits.time` of the transform)"),
            "the transform is nearer: {reason}"
        );
    });
}

#[test]
fn more_than_the_default_is_had_up_to_the_ceiling() {
    let change = |config: &mut Config| {
        config.plugin.memory_limit.0 = 2 << 20;
        config.plugin.max_memory.0 = 8 << 20;
        config.plugin.output_limit.0 = 1 << 10;
        config.plugin.max_output.0 = 1 << 20;
    };
    Stage::default().with(change).play(async |world| {
        let payload = format!("[{}1]", "1,".repeat(200_000));
        let spec = |limits: Value| json!({"transforms": [{"plugin": "flatten", "limits": limits}]});
        world.endpoint(spec(json!({"memory": 8_388_608, "output": 1_048_576}))).await;
        world.post("a", r#"{"a":1}"#).await;
        world.receiver.next().await;
        let posted = world.post("a", &payload).await;
        let delivery = world.outcome(&posted).await;
        assert!(
            delivery["attempt_log"][0]["plugins"][0]["memory_bytes"].as_u64() > Some(2 << 20),
            "{delivery}"
        );
        let refused = world.refused(spec(json!({"memory": 8_388_609}))).await;
        assert_eq!(refused["errors"][0]["pointer"], "/transforms/0/limits/memory", "{refused}");
    });
}

#[test]
fn limits_are_kept_and_shown() {
    play(async |world| {
        let limits = json!({"time": "200ms", "memory": 1_048_576, "log_lines": 0});
        let endpoint = world.endpoint(json!({"transforms": [{"plugin": "flatten", "limits": limits}]})).await;
        world.restart().await;
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(view["transforms"][0]["limits"], limits);
        let again = json!({"transforms": view["transforms"]});
        let view = world.web.patch(&endpoint.path(), &again).await.expect(200);
        assert_eq!(view["transforms"][0]["limits"], limits);
        for (wrong, pointer) in [
            (json!({"time": "1m"}), "time"),
            (json!({"time": "1ms"}), "time"),
            (json!({"memory": 1}), "memory"),
            (json!({"output": 1}), "output"),
            (json!({"log_lines": 1_000_000}), "log_lines"),
            (json!({"tables": 1}), "tables"),
        ] {
            let refused =
                world.refused(json!({"transforms": [{"plugin": "flatten", "limits": wrong}]})).await;
            let pointer = format!("/transforms/0/limits/{pointer}");
            assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        }
    });
}
