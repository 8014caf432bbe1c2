//! Dry runs: they show what an attempt would do, to the byte, and do nothing.

use hookwright::receiver::Arrival;
use hookwright_tests::harness::{Endpoint, Posted, Stage, World, on_each_store, play};
use serde_json::{Value, json};

const PAYLOAD: &str = r#"{ "document": {"total": 12500.00, "note": "größer"}, "n": 1e2 }"#;

async fn run(world: &World, wanted: Value) -> Value {
    world.web.post("/v1/transform", &wanted).await.expect(200)
}

/// What would be sent, against what was.
fn assert_same(request: &Value, arrival: &Arrival) {
    assert_eq!(request["method"], arrival.method.as_str());
    assert_eq!(request["body"]["truncated"], false);
    assert_eq!(request["body"]["content"].as_str().expect("text").as_bytes(), arrival.body);
    let headers = request["headers"].as_array().expect("a list");
    assert!(headers.len() >= 3, "{request}");
    for header in headers.iter().filter(|header| header[1] != "***") {
        let name = header[0].as_str().expect("a name");
        assert_eq!(header[1], arrival.header(name).expect(name), "{name}");
    }
}

/// The dry run of an attempt that was made.
async fn again(world: &World, endpoint: &Endpoint, posted: &Posted, attempt: &Value) -> Value {
    let wanted = json!({
        "endpoint": endpoint.id,
        "event": posted.id,
        "attempt": attempt["number"],
        "attempted_at": attempt["started_at"],
    });
    run(world, wanted).await
}

#[test]
fn a_dry_run_equals_the_request_then_received() {
    on_each_store(async |world| {
        let chains = [
            json!([]),
            json!([{"plugin": "flatten"}]),
            json!([
                {"plugin": "filter", "config": {"keep": {"path": "document.total", "gte": 1}}},
                {"plugin": "envelope", "config": {"members": [
                    {"name": "at", "from": "@timestamp"}, {"name": "data", "from": "@payload"},
                ]}},
            ]),
        ];
        for (chain, more) in chains.into_iter().zip([
            json!({"headers": {"X-Own": "planted-secret"}, "body": "ecmascript"}),
            json!({"signature": {"scheme": "hmac-sha256", "header": "X-Sig", "prefix": "sha256="}}),
            json!({"signature": {"scheme": "standard-asymmetric"}, "auth": {"type": "bearer", "token": "planted-token"}}),
        ]) {
            let mut spec = more;
            spec["transforms"] = chain;
            world.receiver.answer_first([500]);
            let endpoint = world.endpoint(spec).await;
            let posted = world.post("document.exported", PAYLOAD).await;
            let delivery = world.outcome(&posted).await;
            for attempt in delivery["attempt_log"].as_array().expect("a list") {
                let arrival = world.receiver.next().await;
                let shown = again(world, &endpoint, &posted, attempt).await;
                assert_same(&shown["request"], &arrival);
                assert_eq!(shown["request"], attempt["request"], "and what the log shows");
                assert_eq!(shown["webhook_id"], delivery["webhook_id"]);
                assert!(!shown.to_string().contains("planted"), "{shown}");
            }
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn the_body_of_a_given_event_is_the_one_that_arrives() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        let text = format!(r#"{{"endpoint":"{}","type":"a","payload":{PAYLOAD}}}"#, endpoint.id);
        let answer = world.web.send(http::Method::POST, "/v1/transform", &[], text).await;
        let shown = answer.expect(200);
        world.post("a", PAYLOAD).await;
        let arrival = world.receiver.next().await;
        assert_eq!(shown["request"]["body"]["content"].as_str().expect("text").as_bytes(), arrival.body);
        assert_ne!(shown["webhook_id"], arrival.header("webhook-id").expect("an id"), "made up");
        assert!(world.receiver.is_empty().await, "nothing was sent");
        let events = world.web.get("/v1/events").await.expect(200);
        assert_eq!(events["items"].as_array().map(Vec::len), Some(1), "nothing was stored");
        let page = world.web.get("/metrics").await;
        assert!(page.text().contains(r#"plugin="flatten""#));
        assert!(
            page.text().contains("hookwright_attempts_total{outcome=\"delivered\"} 1"),
            "{}",
            page.text()
        );
    });
}

#[test]
fn each_link_shows_what_there_is_after_it() {
    play(async |world| {
        world
            .add_plugin("hostile", &std::fs::read(env!("GUEST_HOSTILE")).expect("the guest was built"))
            .await;
        let chain = |last: &str| {
            json!([
                {"plugin": "flatten"},
                {"plugin": "hostile", "config": "fail", "on_failure": "pass"},
                {"plugin": "hostile", "config": last},
                {"plugin": "flatten"},
            ])
        };
        let wanted = |last: &str| json!({"transforms": chain(last), "type": "a", "payload": {"a": {"b": 1}}});
        let shown = run(world, wanted("print-flood")).await;
        let links = shown["links"].as_array().expect("a list");
        let of = |index: usize, name: &str| links[index][name].clone();
        let verdicts: Vec<_> = (0..4).map(|index| of(index, "verdict")).collect();
        assert_eq!(verdicts[..3], [json!("replace"), json!("error"), json!("pass")], "{shown:#}");
        let body = &links[0]["message"]["body"]["content"];
        assert!(body.as_str().is_some_and(|body| body.contains("a.b")), "{body}");
        assert_eq!(&links[1]["message"]["body"]["content"], body, "passed over");
        assert!(of(1, "reason").is_string() && of(0, "reason").is_null());
        assert!(of(2, "log").as_array().is_some_and(|log| log.len() > 1), "{}", of(2, "log"));
        for link in links {
            assert!(
                link["duration_ms"].as_f64() > Some(0.0) && link["memory_bytes"].as_u64() > Some(0),
                "{link}"
            );
        }
        let request = &shown["request"];
        assert_eq!((&request["url"], &shown["endpoint"]), (&Value::Null, &Value::Null));
        assert!(request.to_string().contains("webhook-id") && !request.to_string().contains("signature"));

        for (last, outcome, links) in
            [("drop", "filtered", 3), ("reject", "rejected", 3), ("panic", "plugin_failed", 3)]
        {
            let shown = run(world, wanted(last)).await;
            assert_eq!((&shown["outcome"], &shown["request"]), (&json!(outcome), &Value::Null), "{last}");
            assert_eq!(shown["links"].as_array().map(Vec::len), Some(links), "{last}: {shown:#}");
            assert!(shown["reason"].as_str().is_some_and(|reason| reason.contains("hostile")), "{shown}");
        }
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_chain_can_be_tried_in_place_of_an_endpoints_own() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"transforms": [], "enabled": false})).await;
        let posted = world.post("a", r#"{"a":{"b":1}}"#).await;
        let wanted =
            json!({"endpoint": endpoint.id, "event": posted.id, "transforms": [{"plugin": "flatten"}]});
        let shown = run(world, wanted).await;
        assert!(
            shown["request"]["body"]["content"].as_str().is_some_and(|body| body.contains("a.b")),
            "{shown}"
        );
        let delivery = world.delivery(&world.only_delivery(&posted).await).await;
        assert_eq!(shown["webhook_id"], delivery["webhook_id"], "that of the delivery that waits");
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("pending"), &json!(0)));
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(view["transforms"], json!([]));
    });
}

#[test]
fn what_cannot_be_run_is_said_by_its_place() {
    play(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        let other = world.endpoint(json!({"tenant": "other"})).await;
        let posted = world.post("a", "1").await;
        for (wanted, pointer) in [
            (json!({"type": "a", "payload": 1}), "/endpoint"),
            (json!({"endpoint": "x", "type": "a", "payload": 1}), "/endpoint"),
            (json!({"transforms": []}), "/type"),
            (json!({"transforms": [], "type": "a"}), "/payload"),
            (json!({"transforms": [], "type": "a b", "payload": 1}), "/type"),
            (json!({"transforms": [], "event": posted.id, "payload": 1}), "/event"),
            (json!({"transforms": [{"plugin": "none"}], "type": "a", "payload": 1}), "/transforms/0/plugin"),
            (
                json!({"transforms": [{"plugin": "filter", "config": {}}], "type": "a", "payload": 1}),
                "/transforms/0/config",
            ),
            (json!({"endpoint": other.id, "event": posted.id}), "/event"),
            (json!({"endpoint": endpoint.id, "event": posted.id, "attempt": 0}), "/attempt"),
            (json!({"endpoint": endpoint.id, "event": posted.id, "attempted_at": "now"}), "/attempted_at"),
            (json!({"transforms": [], "type": "a", "payload": 1, "channels": ["a b"]}), "/channels/0"),
        ] {
            let problem = world.web.post("/v1/transform", &wanted).await.problem(422);
            let at = problem["errors"][0]["pointer"].as_str().expect("a pointer");
            assert!(at.starts_with(pointer), "{wanted}: {problem}");
        }
        let gone = json!({"endpoint": "ep_0000000000000000000000000g", "type": "a", "payload": 1});
        world.web.post("/v1/transform", &gone).await.problem(404);
    });
}

#[test]
fn dry_runs_are_bounded() {
    let small = |config: &mut hookwright::config::Config| {
        config.plugin.dry_run_body.0 = 3;
        config.ingest.event_limit.0 = 1_000;
        config.endpoint.max_config.0 = 2;
    };
    Stage::default().with(small).play(async |world| {
        let chain = json!([{"plugin": "flatten"}]);
        let shown = run(world, json!({"transforms": chain, "type": "a", "payload": {"abc": 1}})).await;
        let body = &shown["links"][0]["message"]["body"];
        assert_eq!((&body["truncated"], &body["content"]), (&json!(true), &json!("{\"a")), "{body}");
        assert_eq!(shown["request"]["body"]["content"], r#"{"abc":1}"#, "the request is whole");
        for length in [1_001, 100_000] {
            let large = json!({"transforms": [], "type": "a", "payload": "a".repeat(length)});
            world.web.post("/v1/transform", &large).await.problem(413);
        }
    });
}
