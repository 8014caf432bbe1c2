//! Backtests: a candidate on stored events beside what is active. It reports what would change, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use hookwright_tests::harness::{Endpoint, Site, Stage, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::plugin_catalog::version;

const PATH: &str = "/v1/plugins/changing";

async fn upload(world: &World, shape: &str, query: &str) -> String {
    let headers = [("content-type", "application/wasm")];
    let answer = world.web.send(Method::PUT, &format!("{PATH}{query}"), &headers, version(shape)).await;
    text(&answer.expect(201)["digest"])
}

/// A version that is not active.
async fn add(world: &World, shape: &str) -> String {
    upload(world, shape, "?activate=false").await
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn begin(world: &World, asked: Value) -> Value {
    world.web.post(&format!("{PATH}/backtest"), &asked).await.expect(202)
}

async fn look(world: &World, backtest: &Value) -> Value {
    world.web.get(&format!("/v1/backtests/{}", text(&backtest["id"]))).await.expect(200)
}

/// Once it has ended.
async fn ended(world: &World, backtest: &Value) -> Value {
    world
        .until("the backtest ends", async || {
            let seen = look(world, backtest).await;
            (seen["state"] != "running").then_some(seen)
        })
        .await
}

async fn run(world: &World, asked: Value) -> Value {
    let begun = begin(world, asked).await;
    ended(world, &begun).await
}

/// An endpoint whose chain follows the plugin, and events of it whose payloads are the numbers from 0, all delivered.
async fn numbered(world: &mut World, count: usize) -> Endpoint {
    let spec = json!({"name": "numbered", "events": ["number"], "transforms": [{"plugin": "changing"}]});
    let endpoint = world.endpoint(spec).await;
    let events: Vec<Value> = (0..count).map(|number| json!({"type": "number", "payload": number})).collect();
    for batch in events.chunks(500) {
        world.post_raw(json!(batch).to_string()).await.expect(202);
    }
    world.receiver.take(count).await;
    world
        .until("all are on record", async || {
            let waiting = world.deliveries(&format!("endpoint={}&state=pending", endpoint.id)).await;
            waiting.is_empty().then_some(())
        })
        .await;
    endpoint
}

async fn active(world: &World) -> String {
    text(&world.web.get(PATH).await.expect(200)["digest"])
}

/// What the API says of the store, and of what plugins did.
async fn traces(world: &World) -> Vec<String> {
    let mut traces = Vec::new();
    for path in ["/v1/deliveries?limit=500", "/v1/events?limit=500", &format!("{PATH}/stats")] {
        traces.push(world.web.get(path).await.text().to_owned());
    }
    traces
}

#[test]
fn the_planted_changes_are_counted_and_nothing_is_sent() {
    on_each_store(async |world| {
        let plain = upload(world, "mark one", "").await;
        let candidate = add(world, "by number one").await;
        let endpoint = numbered(world, 1_000).await;
        world.endpoint(json!({"name": "other", "events": ["number"]})).await;
        let before = traces(world).await;

        let found = run(world, json!({"digest": candidate, "events": 1_000})).await;
        assert_eq!((&found["state"], &found["complete"]), (&json!("done"), &json!(true)), "{found}");
        let counts = json!({
            "events": 1_000, "same": 400, "changed": 300, "newly_dropped": 200, "newly_passed": 0,
            "newly_failing": 100, "newly_working": 0, "both_failing": 0,
        });
        assert_eq!(found["counts"], counts);
        assert_eq!(
            found["progress"],
            json!({
                "endpoints": 1, "endpoints_done": 1, "events_done": 1_000, "percent": 100,
            })
        );
        assert_eq!(found["active"]["digest"], plain.as_str());
        assert_eq!(found["candidate"]["digest"], candidate.as_str());
        let of_endpoint = &found["endpoints"];
        assert_eq!(of_endpoint.as_array().map(Vec::len), Some(1));
        assert_eq!((&of_endpoint[0]["id"], &of_endpoint[0]["counts"]), (&json!(endpoint.id), &counts));
        for side in ["active", "candidate"] {
            let times = &found["times"][side];
            assert_eq!(times["calls"], 1_000);
            assert!(
                times["p50_us"].as_u64() > Some(0) && times["p99_us"].as_u64() >= times["p50_us"].as_u64()
            );
        }
        assert_eq!(traces(world).await, before, "nothing was written");
        assert!(world.receiver.is_empty().await, "nothing was sent");
        assert_eq!(active(world).await, plain);

        // The other way round.
        world.web.post(&format!("{PATH}/activate"), &json!({"digest": candidate})).await.expect(200);
        let found = run(world, json!({"digest": plain, "events": 100})).await;
        let counts = json!({
            "events": 100, "same": 40, "changed": 30, "newly_dropped": 0, "newly_passed": 20,
            "newly_failing": 0, "newly_working": 10, "both_failing": 0,
        });
        assert_eq!(found["counts"], counts);
        let itself = run(world, json!({"digest": candidate, "events": 100})).await;
        assert_eq!((&itself["counts"]["same"], &itself["counts"]["both_failing"]), (&json!(100), &json!(10)));
    });
}

#[test]
fn samples_show_what_would_change() {
    play(async |world| {
        upload(world, "mark one", "").await;
        let candidate = add(world, "by number one").await;
        numbered(world, 20).await;
        let found = run(world, json!({"digest": candidate})).await;
        let samples = found["samples"].as_array().expect("a list");
        let of = |change: &str| {
            let fitting = samples.iter().filter(|sample| sample["change"] == change);
            fitting.cloned().collect::<Vec<Value>>()
        };
        assert_eq!(["changed", "newly_dropped", "newly_failing"].map(|change| of(change).len()), [3, 3, 2]);
        let changed = &of("changed")[0];
        let body = |side: &str| text(&changed[side]["message"]["body"]["content"]);
        let number = body("active").split_once('|').expect("a mark").0.to_owned();
        assert_eq!((body("active"), body("candidate")), (format!("{number}|one"), format!("{number}|other")));
        let diff = text(&changed["diff"]);
        assert!(diff.starts_with("--- active\n+++ candidate\n"), "{diff}");
        assert!(diff.contains(&format!("-{number}|one\n+{number}|other\n")), "{diff}");
        let failing = &of("newly_failing")[0]["candidate"];
        assert_eq!((&failing["outcome"], &failing["kind"]), (&json!("plugin_failed"), &json!("planted")));
        assert_eq!(failing["message"], Value::Null);
        assert_eq!(
            of("newly_dropped")[0]["candidate"]["reason"].as_str().map(|why| why.contains("1 or 2")),
            Some(true)
        );
    });
}

#[test]
fn a_configuration_is_tried_on_one_endpoint() {
    play(async |world| {
        let chain = json!([{"plugin": "filter", "config": {"keep": {"path": "n", "gte": 5}}}]);
        let endpoint = world.endpoint(json!({"events": ["n"], "transforms": chain})).await;
        for number in 0..10 {
            world.post("n", &format!("{{\"n\":{number}}}")).await;
        }
        world.receiver.take(5).await;
        let path = "/v1/plugins/filter/backtest";
        let asked = |config: Value| json!({"endpoint": endpoint.id, "config": config});
        let config = json!({"keep": {"path": "n", "gte": 8}});
        let begun = world.web.post(path, &asked(config)).await.expect(202);
        let found = ended(world, &begun).await;
        assert_eq!(found["counts"]["newly_dropped"], 3);
        assert_eq!((&found["counts"]["events"], &found["candidate"]["link"]), (&json!(10), &json!(0)));
        let config = json!({"keep": {"path": "n", "gte": 0}});
        let begun = world.web.post(path, &asked(config)).await.expect(202);
        assert_eq!(ended(world, &begun).await["counts"]["newly_passed"], 5);
        let refused = world.web.post(path, &asked(json!({"keep": 7}))).await.problem(422);
        assert!(
            refused["errors"][0]["pointer"].as_str().is_some_and(|at| at.starts_with("/config")),
            "{refused}"
        );
        let shown = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(shown["transforms"], endpoint.view["transforms"], "the endpoint is what it was");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn the_gate_lets_through_what_fails_nowhere() {
    play(async |world| {
        let one = upload(world, "mark one", "").await;
        let (failing, two) = (add(world, "by number one").await, add(world, "mark two").await);
        numbered(world, 20).await;
        let found = run(world, json!({"digest": failing, "gate": true})).await;
        assert_eq!((&found["state"], &found["activated"]), (&json!("done"), &json!(false)));
        assert!(text(&found["reason"]).contains("2 of the events newly fail"), "{found}");
        assert_eq!(active(world).await, one);

        let found = run(world, json!({"digest": two, "gate": true})).await;
        assert_eq!((&found["counts"]["changed"], &found["activated"]), (&json!(20), &json!(true)), "{found}");
        assert_eq!(active(world).await, two);

        let picky = add(world, "picky").await;
        let refused =
            world.web.post(&format!("{PATH}/backtest"), &json!({"digest": picky, "gate": true})).await;
        let refused = refused.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], "/transforms/0/config/mode");
        let told = run(world, json!({"digest": picky})).await;
        assert_eq!(told["objections"][0]["pointer"], "/transforms/0/config/mode");
        assert_eq!(active(world).await, two);
    });
}

/// A receiver that answers once it may, and a host that is busy until then.
async fn busy(world: &World) -> (Arc<Semaphore>, Site) {
    let (go, site) = Site::gated().await;
    world.endpoint(json!({"url": site.url("/"), "events": ["busy"]})).await;
    world.post("busy", "1").await;
    world.until("it hangs", async || (site.connections() > 0).then_some(())).await;
    (go, site)
}

#[test]
fn another_version_that_became_active_meanwhile_stands() {
    let stage = Stage::default().with(|config| config.delivery.backlog_deliveries = 1);
    stage.play(async |world| {
        upload(world, "mark one", "").await;
        let (two, three) = (add(world, "mark two").await, add(world, "mark three").await);
        numbered(world, 3).await;
        let (go, _site) = busy(world).await;
        let begun = begin(world, json!({"digest": two, "gate": true})).await;
        world.web.post(&format!("{PATH}/activate"), &json!({"digest": three})).await.expect(200);
        assert_eq!(look(world, &begun).await["state"], "running", "live traffic goes first");
        go.add_permits(1);
        let found = ended(world, &begun).await;
        assert_eq!((&found["counts"]["events"], &found["activated"]), (&json!(3), &json!(false)), "{found}");
        assert!(text(&found["reason"]).contains("became active meanwhile"), "{found}");
        assert_eq!(active(world).await, three);
    });
}

#[test]
fn a_backtest_is_cancelled_and_bounded() {
    let stage = Stage::default().with(|config| {
        config.delivery.backlog_deliveries = 1;
        config.backtest.max_running = 1;
        config.backtest.max_kept = 2;
        config.backtest.bytes = hookwright::config::Size(3);
    });
    stage.play(async |world| {
        upload(world, "mark one", "").await;
        let two = add(world, "mark two").await;
        numbered(world, 9).await;
        let asked = json!({"digest": two});
        let short = run(world, json!({"digest": two, "gate": true})).await;
        assert_eq!((&short["counts"]["events"], &short["complete"]), (&json!(3), &json!(false)), "{short}");
        let reason = text(&short["reason"]);
        assert!(reason.contains("backtest.bytes") && reason.contains("Nothing was activated"), "{short}");

        let (go, _site) = busy(world).await;
        let begun = begin(world, asked.clone()).await;
        let path = format!("/v1/backtests/{}", text(&begun["id"]));
        let full = world.web.post(&format!("{PATH}/backtest"), &asked).await.problem(409);
        assert!(full["detail"].to_string().contains("backtest.max_running"), "{full}");
        let cancelled = world.web.post(&format!("{path}/cancel"), &json!({})).await.expect(200);
        assert_eq!((&cancelled["state"], &cancelled["counts"]["events"]), (&json!("cancelled"), &json!(0)));
        world.web.post(&format!("{path}/cancel"), &json!({})).await.problem(409);
        go.add_permits(1);
        let latest = run(world, asked.clone()).await;
        run(world, asked).await;
        let kept = world.web.get("/v1/backtests?plugin=changing").await.expect(200);
        let kept = kept["items"].as_array().expect("a list").clone();
        assert_eq!(kept.len(), 3, "two that had ended when the last one began, and that one");
        assert_eq!(kept[1]["id"], latest["id"]);
        assert_eq!(look(world, &begun).await["state"], "cancelled", "what was found stays");
        world.web.get(&format!("/v1/backtests/{}", text(&short["id"]))).await.problem(404);
    });
}

#[test]
fn the_settings_bound_what_one_looks_at_and_shows() {
    let stage = Stage::default().with(|config| {
        (config.backtest.events, config.backtest.max_events) = (5, 5);
        config.backtest.samples = 1;
        config.backtest.sample_body = hookwright::config::Size(4);
    });
    stage.play(async |world| {
        upload(world, "mark one", "").await;
        let two = add(world, "mark two").await;
        numbered(world, 6).await;
        let asked = json!({"digest": two, "events": 6});
        let refused = world.web.post(&format!("{PATH}/backtest"), &asked).await.problem(422);
        assert_eq!(refused["errors"][0]["pointer"], "/events", "{refused}");

        let found = run(world, json!({"digest": two, "events": 5})).await;
        assert_eq!(found["counts"]["changed"], 5, "{found}");
        let samples = found["samples"].as_array().expect("a list");
        assert_eq!(samples.len(), 1, "{found}");
        assert_eq!(text(&samples[0]["active"]["message"]["body"]["content"]).len(), 4, "{found}");
    });
}

#[test]
fn a_backtest_that_takes_too_long_ends() {
    let stage = Stage::default().with(|config| {
        config.delivery.backlog_deliveries = 1;
        config.backtest.time_limit = Duration::from_millis(50);
    });
    stage.play(async |world| {
        upload(world, "mark one", "").await;
        let two = add(world, "mark two").await;
        numbered(world, 1).await;
        // It waits as long as the host is busy.
        let (_go, _site) = busy(world).await;
        let late = run(world, json!({"digest": two, "gate": true})).await;
        assert_eq!((&late["complete"], &late["activated"]), (&json!(false), &json!(false)), "{late}");
        assert!(text(&late["reason"]).contains("backtest.time_limit"), "{late}");
    });
}

#[test]
fn what_cannot_be_tried_is_refused_with_its_place() {
    play(async |world| {
        let one = upload(world, "mark one", "").await;
        let chain = json!([{"plugin": "changing"}, {"plugin": "changing"}]);
        let twice = world.endpoint(json!({"transforms": chain})).await;
        let pinned = json!([{"plugin": format!("changing@sha256:{one}")}]);
        let pinned = world.endpoint(json!({"transforms": pinned})).await;
        let other = world.endpoint(json!({})).await;
        for (asked, pointer) in [
            (json!({}), "/digest"),
            (json!({"digest": one, "events": 0}), "/events"),
            (json!({"digest": one, "events": 10_001}), "/events"),
            (json!({"config": {}}), "/endpoint"),
            (json!({"digest": one, "endpoint": "ep_x"}), "/endpoint"),
            (json!({"digest": one, "endpoint": other.id}), "/endpoint"),
            (json!({"digest": one, "endpoint": pinned.id}), "/endpoint"),
            (json!({"endpoint": twice.id, "config": {}}), "/link"),
            (json!({"endpoint": twice.id, "config": {}, "link": 2}), "/link"),
            (json!({"digest": one, "endpoint": twice.id, "gate": true}), "/gate"),
        ] {
            let problem = world.web.post(&format!("{PATH}/backtest"), &asked).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{asked}: {problem}");
        }
        let unknown = json!({"digest": "0".repeat(64)});
        world.web.post(&format!("{PATH}/backtest"), &unknown).await.problem(404);
        world.web.post("/v1/plugins/nothing/backtest", &json!({"digest": one})).await.problem(404);
        let key = json!({"role": "tenant", "tenant": "default"});
        let key = text(&world.web.post("/v1/keys", &key).await.expect(201)["key"]);
        let tenant = world.web.with_key(&key);
        tenant.post(&format!("{PATH}/backtest"), &json!({"digest": one})).await.problem(403);
        tenant.get("/v1/backtests").await.problem(403);
    });
}
