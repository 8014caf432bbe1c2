//! What plugins do is watched: in statistics, in the metrics, and on the endpoints whose plugin keeps failing.

use hookwright_tests::harness::{Endpoint, World, play};
use serde_json::{Value, json};

async fn statistics(world: &World, plugin: &str) -> Value {
    world.web.get(&format!("/v1/plugins/{plugin}/stats")).await.expect(200)
}

async fn endpoint(world: &World, config: &str) -> Endpoint {
    let transforms = json!([{"plugin": "hostile", "config": config, "on_failure": "fail"}]);
    world.endpoint(json!({"transforms": transforms})).await
}

#[test]
fn a_plugin_that_keeps_failing_is_shown_on_its_endpoints() {
    play(async |world| {
        world
            .add_plugin("hostile", &std::fs::read(env!("GUEST_HOSTILE")).expect("the guest was built"))
            .await;
        let (broken, sound) = (endpoint(world, "panic").await, endpoint(world, "echo").await);
        for failures in 0..4 {
            let view = world.web.get(&broken.path()).await.expect(200);
            let status = if failures < 3 { "active" } else { "failing" };
            assert_eq!(view["status"], status, "after {failures}");
            assert_eq!(view["failing_because"].is_null(), failures < 3, "after {failures}");
            let posted = world.post("a", "1").await;
            for delivery in world.deliveries(&format!("event={}", posted.id)).await {
                world.ended(delivery["id"].as_str().expect("an id")).await;
            }
        }
        let view = world.web.get(&broken.path()).await.expect(200);
        let because = view["failing_because"].as_str().expect("a reason");
        assert!(
            because.contains("Plugin `hostile` has failed 4 times") && because.contains("trap"),
            "{because}"
        );
        let view = world.web.get(&sound.path()).await.expect(200);
        assert_eq!((&view["status"], &view["failing_because"]), (&json!("active"), &Value::Null));
        let overview = world.web.get("/v1/overview").await.expect(200);
        assert_eq!(overview["endpoints"], json!({"active": 1, "failing": 1, "disabled": 0}));

        let all = statistics(world, "hostile").await;
        assert_eq!(
            (&all["calls"], &all["failures"], &all["endpoints_partial"]),
            (&json!(8), &json!(4), &json!(false))
        );
        let verdict = |verdict: &str| json!({"task": "transform", "verdict": verdict, "count": 4});
        assert_eq!(all["verdicts"], json!([verdict("replace"), verdict("trap")]));
        assert_eq!(all["endpoints"].as_array().map(Vec::len), Some(2));
        let times = &all["time_ms"];
        let (p50, p99) = (times["p50"].as_f64().expect("a time"), times["p99"].as_f64().expect("a time"));
        assert!(0.0 < p50 && p50 <= p99 && Some(p99) <= times["max"].as_f64(), "{times}");
        assert!(all["memory_peak_bytes"].as_u64() >= Some(65_536), "{all}");

        let listed = world.web.get("/v1/plugins").await.expect(200);
        let listed =
            listed["items"].as_array().expect("a list").iter().find(|item| item["name"] == "hostile");
        let listed = listed.expect("the plugin");
        assert_eq!(
            (&listed["calls"], &listed["failures"], &listed["time_ms_p99"]),
            (&all["calls"], &all["failures"], &times["p99"])
        );

        let of_endpoint = world.web.get(&format!("{}/stats", broken.path())).await.expect(200);
        assert_eq!(of_endpoint["failing_because"], because);
        let own = &of_endpoint["plugins"][0];
        assert_eq!(
            (&own["plugin"], &own["calls"], &own["failures_in_a_row"]),
            (&json!("hostile"), &json!(4), &json!(4))
        );
        assert_eq!(own["last_failure_kind"], "trap");

        // Tests and dry runs are not counted, and a chain without the plugin has nothing to complain of.
        world.web.post(&format!("{}/test", broken.path()), &json!({})).await.expect(200);
        let dry = json!({"endpoint": broken.id, "type": "a", "payload": 1});
        world.web.post("/v1/transform", &dry).await.expect(200);
        assert_eq!(statistics(world, "hostile").await["calls"], 8);
        world.web.patch(&broken.path(), &json!({"transforms": []})).await.expect(200);
        assert_eq!(world.web.get(&broken.path()).await.expect(200)["status"], "active");
    });
}

#[test]
fn plugins_are_in_the_metrics_by_name_alone() {
    play(async |world| {
        world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        let posted = world.post("a", r#"{"a":1}"#).await;
        world.outcome(&posted).await;
        let page = world.web.get("/metrics").await;
        for line in [
            "hookwright_plugin_calls_total{plugin=\"flatten\",task=\"transform\",verdict=\"replace\"} 1",
            "hookwright_plugin_duration_seconds_count{plugin=\"flatten\"} 1",
            "hookwright_plugin_memory_peak_bytes{plugin=\"flatten\"} ",
        ] {
            assert!(page.text().contains(line), "{line} in\n{}", page.text());
        }
        let lines = page.text().lines().filter(|line| line.contains("plugin=")).count();
        assert!(lines < 20, "one endpoint more is no line more: {lines}");
        statistics(world, "slack").await;
        world.web.get("/v1/plugins/none/stats").await.problem(404);
    });
}
