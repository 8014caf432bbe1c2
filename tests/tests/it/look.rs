//! Looking at what happened, and steering it.

use hookwright_tests::harness::{World, on_each_store, play};
use serde_json::{Value, json};

/// The ids of a list, page by page.
async fn paged(world: &World, path: &str) -> Vec<String> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = world.web.get(&format!("{path}{cursor}")).await.expect(200);
        ids.extend(
            page["items"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|item| item["id"].as_str().expect("an id").to_owned()),
        );
        let Some(next) = page["next"].as_str() else { return ids };
        cursor = format!("&cursor={next}");
    }
}

#[test]
fn an_event_that_nobody_wants_is_kept() {
    on_each_store(async |world| {
        let posted = world
            .post_with(
                "a.b",
                r#"{"n":1.0}"#,
                json!({"tenant": "t", "channels": ["c"], "timestamp": "2026-03-22T08:30:00Z"}),
            )
            .await;
        assert_eq!(posted.deliveries, 0);
        let event = world.event(&posted.id).await;
        assert_eq!(
            (&event["type"], &event["tenant"], &event["channels"]),
            (&json!("a.b"), &json!("t"), &json!(["c"]))
        );
        assert_eq!((&event["timestamp"], &event["deliveries"]), (&json!("2026-03-22T08:30:00Z"), &json!([])));
        world.web.get("/v1/events/evt_00000000000000000000000000").await.problem(404);
    });
}

#[test]
fn lists_are_newest_first_filtered_and_paged() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({"events": ["x", "y"]})).await;
        world.endpoint(json!({"tenant": "t"})).await;
        let mut events = Vec::new();
        for n in 0..9 {
            let more = if n % 3 == 0 { json!({"tenant": "t"}) } else { json!({}) };
            events.push(world.post_with(if n % 2 == 0 { "x" } else { "y" }, &n.to_string(), more).await.id);
        }
        world.receiver.take(9).await;
        events.reverse();
        assert_eq!(paged(world, "/v1/events?limit=2").await, events);
        let some = |keep: &dyn Fn(usize) -> bool| -> Vec<String> {
            events.iter().enumerate().filter(|(index, _)| keep(8 - index)).map(|(_, id)| id.clone()).collect()
        };
        assert_eq!(paged(world, "/v1/events?limit=2&tenant=t").await, some(&|n| n % 3 == 0));
        assert_eq!(paged(world, "/v1/events?limit=2&type=y").await, some(&|n| n % 2 == 1));
        let fifth = world.event(&events[4]).await;
        let since = fifth["accepted_at"].as_str().expect("a time");
        assert_eq!(paged(world, &format!("/v1/events?limit=2&since={since}")).await, events[..5]);
        assert_eq!(paged(world, &format!("/v1/events?limit=2&until={since}")).await, events[5..]);
        assert_eq!(paged(world, "/v1/events?limit=2&channel=none").await, [""; 0]);

        let of = async |query: String| paged(world, &format!("/v1/deliveries?limit=2{query}")).await;
        let deliveries = of(String::new()).await;
        assert_eq!(deliveries.len(), 9);
        for id in &deliveries {
            world.ended(id).await;
        }
        assert_eq!(of(format!("&endpoint={}", endpoint.id)).await.len(), 6);
        assert_eq!(of(format!("&endpoint={}&tenant=default", endpoint.id)).await.len(), 6);
        assert_eq!(of(format!("&endpoint={}&tenant=t", endpoint.id)).await.len(), 0);
        assert_eq!(of("&tenant=t".to_owned()).await.len(), 3);
        assert_eq!(of("&type=x".to_owned()).await.len(), 5);
        assert_eq!(of("&state=delivered".to_owned()).await.len(), 9);
        assert_eq!(of("&state=pending".to_owned()).await.len(), 0);
        assert_eq!(of(format!("&event={}", events[0])).await, deliveries[..1]);
        assert_eq!(of(format!("&since={since}")).await, deliveries[..5]);
        assert_eq!(of(format!("&until={since}")).await, deliveries[5..]);
        for bad in ["state=lost", "endpoint=x", "since=now", "limit=501", "limit=1&limit=2", "order=asc"] {
            world.web.get(&format!("/v1/deliveries?{bad}")).await.problem(422);
        }
    });
}

#[test]
fn an_attempt_shows_the_request_and_the_answer() {
    on_each_store(async |world| {
        world.receiver.answer_first_with(503, "x-why", "busy");
        world.endpoint(json!({"url": world.receiver.url("/in?x=1")})).await;
        let posted = world.post("a", r#"{"n":1.0}"#).await;
        let delivery = world.outcome(&posted).await;
        let attempts = delivery["attempt_log"].as_array().expect("a list");
        assert_eq!(attempts.len(), 2);
        let (first, second) = (&attempts[0], &attempts[1]);
        assert_eq!(
            (&first["number"], &first["outcome"], &first["status"]),
            (&json!(1), &json!("refused"), &json!(503))
        );
        assert_eq!(
            (&second["number"], &second["outcome"], &second["status"]),
            (&json!(2), &json!("delivered"), &json!(200))
        );
        assert_eq!(first["request"]["method"], "POST");
        assert_eq!(first["request"]["url"], format!("{}/***", world.receiver.url("")));
        assert_eq!(first["request"]["body"]["content"], r#"{"n":1.0}"#);
        let header = |side: &str, name: &str| {
            let headers = first[side]["headers"].as_array().expect("a list").iter();
            headers.clone().find(|pair| pair[0] == name).map(|pair| pair[1].clone())
        };
        assert_eq!(header("request", "webhook-id"), Some(delivery["webhook_id"].clone()));
        assert_eq!(header("response", "x-why"), Some(json!("busy")));
        assert!(
            first["duration_ms"].as_f64().is_some() && first["timing_ms"]["first_byte"].as_f64().is_some()
        );
        assert!(first["reason"].to_string().contains("503") && second["reason"].is_null());
    });
}

#[test]
fn a_pending_delivery_can_be_hurried() {
    on_each_store(async |world| {
        world.receiver.answer_first([500]);
        world.endpoint(json!({"retry": {"schedule": ["2h"]}})).await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        let hurried = world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await.expect(200);
        assert_eq!(hurried["id"], id.as_str());
        assert_eq!(world.ended(&id).await["state"], "delivered");
        assert_eq!(world.receiver.take(2).await.len(), 2);
    });
}

#[test]
fn a_finished_delivery_can_be_replayed_under_its_webhook_id() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        let posted = world.post("a", r#"{"n":1.0}"#).await;
        let first = world.outcome(&posted).await;
        let path = format!("/v1/deliveries/{}/retry", first["id"].as_str().expect("an id"));
        let again = world.web.post(&path, &json!({})).await.expect(201);
        assert_eq!((&again["replay_of"], &again["webhook_id"]), (&first["id"], &first["webhook_id"]));
        assert_ne!(again["id"], first["id"]);
        let other = world.web.post(&path, &json!({"new_id": true})).await.expect(201);
        assert_ne!(other["webhook_id"], first["webhook_id"]);
        let arrivals = world.receiver.take(3).await;
        assert!(arrivals.iter().all(|arrival| arrival.body == r#"{"n":1.0}"#));
        let ids: Vec<_> =
            arrivals.iter().map(|arrival| arrival.header("webhook-id").expect("an id").to_owned()).collect();
        assert_eq!(ids.iter().filter(|id| **id == first["webhook_id"].as_str().expect("an id")).count(), 2);
        for delivery in [&again, &other] {
            let ended = world.ended(delivery["id"].as_str().expect("an id")).await;
            assert_eq!((&ended["state"], &ended["attempts"]), (&json!("delivered"), &json!(1)));
        }
        let found =
            world.deliveries(&format!("webhook_id={}", first["webhook_id"].as_str().expect("an id"))).await;
        assert_eq!(found.iter().map(|found| &found["id"]).collect::<Vec<_>>(), [&again["id"], &first["id"]]);
        let found =
            world.deliveries(&format!("webhook_id={}", other["webhook_id"].as_str().expect("an id"))).await;
        assert_eq!(found.iter().map(|found| &found["id"]).collect::<Vec<_>>(), [&other["id"]]);
        assert_eq!(world.event(&posted.id).await["deliveries"].as_array().map(Vec::len), Some(3));
    });
}

#[test]
fn a_pending_delivery_can_be_cancelled_and_a_finished_one_cannot() {
    on_each_store(async |world| {
        world.receiver.answer_first([500]);
        world.endpoint(json!({"retry": {"schedule": ["2h"]}})).await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        let path = format!("/v1/deliveries/{id}/cancel");
        assert_eq!(world.web.post(&path, &Value::Null).await.expect(200)["state"], "cancelled");
        world.web.post(&path, &Value::Null).await.problem(409);
        world.web.post("/v1/deliveries/dlv_x/cancel", &Value::Null).await.problem(404);
        world.receiver.next().await;
        world.clock.advance(std::time::Duration::from_secs(3 * 3_600));
        let marker = world.post("a", "2").await;
        world.outcome(&marker).await;
        assert_eq!(world.receiver.next().await.body, "2");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn metrics_count_what_happened() {
    play(async |world| {
        world.receiver.answer_first([500]);
        world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        let posted = world.post("a", "{}").await;
        world.outcome(&posted).await;
        world.post_raw("{").await.problem(400);
        let page = world.web.get("/metrics").await;
        assert!(
            page.header("content-type").is_some_and(|text| text.starts_with("application/openmetrics-text"))
        );
        for line in [
            "hookwright_events_accepted_total 1",
            "hookwright_attempts_total{outcome=\"delivered\"} 1",
            "hookwright_attempts_total{outcome=\"refused\"} 1",
            "hookwright_deliveries_finished_total{state=\"delivered\"} 1",
            "hookwright_plugin_calls_total{plugin=\"flatten\",task=\"transform\",verdict=\"replace\"} 2",
            "hookwright_requests_refused_total{reason=\"malformed\"} 1",
            "hookwright_deliveries_pending 0",
        ] {
            assert!(page.text().lines().any(|found| found == line), "{line} in\n{}", page.text());
        }
    });
}

#[test]
fn what_is_not_there_is_a_problem_too() {
    play(async |world| {
        world.web.get("/v1/nothing").await.problem(404);
        world.web.get("/nothing").await.problem(404);
        world.web.delete("/v1/events").await.problem(405);
        world.web.get("/v1/deliveries/nonsense").await.problem(404);
        world.web.get("/v1/events/%ff").await.problem(400);
    });
}
