//! Plugins on their way to a receiver: the bundled ones on real payloads, and those of the folder.

use hookwright_tests::harness::{Stage, World, play};
use serde_json::{Value, json};

const DOCUMENT: &str = include_str!("../../../host/demo/document.exported.json");
const CONTACT: &str = include_str!("../../../host/demo/contact.created.json");
const LEAD: &str = include_str!("../../../host/demo/lead.captured.json");
const PAYMENT: &str = include_str!("../../../host/demo/payment.succeeded.json");

fn hostile() -> Vec<u8> {
    std::fs::read(env!("GUEST_HOSTILE")).expect("the guest was built")
}

/// What arrives of a payload behind a chain.
async fn shaped(world: &mut World, transforms: Value, payload: &str) -> Value {
    let endpoint = world.endpoint(json!({"transforms": transforms})).await;
    world.post("document.exported", payload).await;
    let arrival = world.receiver.next().await;
    world.web.delete(&endpoint.path()).await.expect(204);
    assert_eq!(arrival.header("content-type"), Some("application/json"));
    serde_json::from_slice(&arrival.body).expect("JSON")
}

#[test]
fn flatten_makes_one_flat_row_of_each_payload() {
    play(async |world| {
        for payload in [DOCUMENT, CONTACT, LEAD, PAYMENT] {
            let row = shaped(world, json!([{"plugin": "flatten"}]), payload).await;
            let members = row.as_object().expect("an object");
            assert!(members.len() >= 5, "{row}");
            assert!(members.values().all(|value| !value.is_object() && !value.is_array()), "{row:#}");
        }
        let row = shaped(world, json!([{"plugin": "flatten"}]), DOCUMENT).await;
        let of = |end: &str| {
            row.as_object()
                .expect("an object")
                .iter()
                .find(|(key, _)| key.ends_with(end))
                .map(|(_, value)| value.clone())
        };
        assert_eq!(of("vendor_name"), Some(json!("Acme Supplies Ltd")));
        assert_eq!(of("record_id"), Some(json!("001Dn000003XyZA")));
    });
}

#[test]
fn slack_makes_a_message_with_a_link() {
    play(async |world| {
        let config = json!({
            "title": "Invoice {document.invoice_number}",
            "fields": [{"label": "Vendor", "path": "document.vendor_name"}],
            "link": {"path": "document.doc_url", "label": "Open"},
        });
        let message = shaped(world, json!([{"plugin": "slack", "config": config}]), DOCUMENT).await;
        let blocks = message["blocks"].to_string();
        for part in ["Invoice INV-2026-0042", "Acme Supplies Ltd", "api/document/42/view"] {
            assert!(blocks.contains(part), "{part} in {message:#}");
        }
    });
}

#[test]
fn envelope_puts_the_payload_into_its_members() {
    play(async |world| {
        let config = json!({"members": [
            {"name": "event", "from": "@type"},
            {"name": "chatbotId", "constant": "bot-7"},
            {"name": "timestamp", "from": "@timestamp"},
            {"name": "data", "from": "@payload"},
        ]});
        let body = shaped(world, json!([{"plugin": "envelope", "config": config}]), LEAD).await;
        assert_eq!((&body["event"], &body["chatbotId"]), (&json!("document.exported"), &json!("bot-7")));
        assert_eq!(body["data"], serde_json::from_str::<Value>(LEAD).expect("JSON"));
    });
}

#[test]
fn a_chain_runs_in_its_order_and_a_drop_ends_it() {
    play(async |world| {
        let above = |amount: u32| {
            let keep = json!({"path": "document.total_amount", "gte": amount});
            json!([
                {"plugin": "filter", "config": {"keep": keep}},
                {"plugin": "slack", "config": {"title": "Invoice {document.invoice_number}"}},
            ])
        };
        let message = shaped(world, above(100), DOCUMENT).await;
        assert!(message["blocks"].to_string().contains("INV-2026-0042"));

        world.endpoint(json!({"transforms": above(50_000)})).await;
        let posted = world.post("document.exported", DOCUMENT).await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("filtered"), &json!(1)));
        assert!(delivery["reason"].to_string().contains("filter"), "{delivery}");
        let attempt = &delivery["attempt_log"][0];
        assert_eq!((&attempt["outcome"], &attempt["request"]), (&json!("filtered"), &Value::Null));
        let runs = attempt["plugins"].as_array().expect("a list");
        assert_eq!(runs.len(), 1, "slack was not asked");
        assert_eq!((&runs[0]["plugin"], &runs[0]["verdict"]), (&json!("filter"), &json!("drop")));
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_rejection_ends_the_delivery_without_a_retry() {
    play(async |world| {
        world.add_plugin("hostile", &hostile()).await;
        world.endpoint(json!({"transforms": [{"plugin": "hostile", "config": "reject"}]})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
        assert_eq!(delivery["attempt_log"][0]["outcome"], "rejected");
        assert!(delivery["reason"].to_string().contains("never"), "{delivery}");
    });
}

#[test]
fn the_endpoint_says_what_follows_a_plugins_failure() {
    play(async |world| {
        world.add_plugin("hostile", &hostile()).await;
        for (on_failure, state, attempts) in
            [("retry", "failed", 3), ("fail", "failed", 1), ("pass", "delivered", 1)]
        {
            let transforms = json!([{"plugin": "hostile", "config": "fail", "on_failure": on_failure}]);
            let endpoint = world.endpoint(json!({"transforms": transforms})).await;
            let posted = world.post("a", r#"{"n":1.0}"#).await;
            let delivery = world.outcome(&posted).await;
            assert_eq!(delivery["state"], state, "{on_failure}");
            assert_eq!(delivery["attempts"], attempts, "{on_failure}");
            let run = &delivery["attempt_log"][0]["plugins"][0];
            assert_eq!(run["verdict"], "error", "{on_failure}");
            world.web.delete(&endpoint.path()).await.expect(204);
        }
        assert_eq!(world.receiver.next().await.body, r#"{"n":1.0}"#, "passed on as it was");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn every_attempt_sends_the_same_bytes() {
    play(async |world| {
        world.add_plugin("hostile", &hostile()).await;
        world.receiver.answer_first([500, 500]);
        let transforms = json!([{"plugin": "hostile", "config": "look"}]);
        world.endpoint(json!({"transforms": transforms})).await;
        let posted = world.post("a", "1").await;
        let arrivals = world.receiver.take(3).await;
        assert!(
            arrivals.iter().all(|arrival| arrival.body == arrivals[0].body),
            "clock and randomness stand still"
        );
        let delivery = world.outcome(&posted).await;
        let attempts = delivery["attempt_log"].as_array().expect("a list");
        assert_eq!(attempts.len(), 3);
        for attempt in attempts {
            assert_eq!(
                attempt["request"]["body"]["content"].as_str().map(str::as_bytes),
                Some(&arrivals[0].body[..])
            );
        }
    });
}

#[test]
fn an_attempt_names_the_plugins_that_it_ran() {
    play(async |world| {
        world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        let posted = world.post("a", "{}").await;
        let delivery = world.outcome(&posted).await;
        let run = &delivery["attempt_log"][0]["plugins"][0];
        let plugin = world.web.get("/v1/plugins/flatten").await.expect(200);
        assert_eq!(run["digest"], plugin["digest"]);
        assert_eq!(run["version"], plugin["version"]);
        assert_eq!(plugin["digest"].as_str().map(str::len), Some(64));
        assert!(plugin["config_schema"].is_object() && plugin["examples"].is_array());
        world.web.get("/v1/plugins/nope").await.problem(404);
    });
}

/// The plugin as it is listed, once that fits.
async fn listed(world: &World, name: &str, fits: impl Fn(&Value) -> bool) -> Value {
    world
        .until(&format!("{name} is listed so"), async || {
            let plugins = world.web.get("/v1/plugins").await.expect(200);
            let found =
                plugins["items"].as_array().expect("a list").iter().find(|plugin| plugin["name"] == name);
            found.filter(|plugin| fits(plugin)).cloned()
        })
        .await
}

#[test]
fn a_dropped_file_is_taken_up_and_a_bad_one_leaves_the_last_good_one() {
    Stage::default().in_a_file().play(async |world| {
        let missing = world.refused(json!({"transforms": [{"plugin": "hostile"}]})).await;
        assert_eq!(missing["errors"][0]["pointer"], "/transforms/0/plugin");
        world.drop_plugin("hostile", &hostile());
        let first = listed(world, "hostile", |_| true).await;
        assert_eq!((&first["source"], &first["problem"]), (&json!("folder"), &Value::Null));
        world.endpoint(json!({"transforms": [{"plugin": "hostile", "config": "log"}]})).await;
        world.post("a", "1").await;
        world.receiver.next().await;

        world.drop_plugin("hostile", &hostile()[..1_000]);
        let damaged = listed(world, "hostile", |plugin| plugin["problem"].is_string()).await;
        assert_eq!(damaged["digest"], first["digest"]);
        let posted = world.post("a", "2").await;
        assert_eq!(world.receiver.next().await.body, "2");
        assert_eq!(world.outcome(&posted).await["attempt_log"][0]["plugins"][0]["digest"], first["digest"]);

        // The same component with one more section: another digest.
        world.drop_plugin("hostile", &[&hostile()[..], b"\0\x02\x01x"].concat());
        let newer = listed(world, "hostile", |plugin| plugin["problem"].is_null()).await;
        assert_ne!(newer["digest"], first["digest"]);
        let posted = world.post("a", "3").await;
        assert_eq!(world.outcome(&posted).await["attempt_log"][0]["plugins"][0]["digest"], newer["digest"]);
    });
}

#[test]
fn deliveries_wait_for_a_plugin_that_was_removed() {
    Stage::default().in_a_file().play(async |world| {
        world.add_plugin("hostile", &hostile()).await;
        world.endpoint(json!({"transforms": [{"plugin": "hostile", "config": "pass"}]})).await;
        std::fs::remove_file(world.plugins_dir().join("hostile.wasm")).expect("to remove it");
        world.restart().await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        assert_eq!(world.delivery(&id).await["state"], "pending");
        world.drop_plugin("hostile", &hostile());
        listed(world, "hostile", |_| true).await;
        world.clock.advance(std::time::Duration::from_secs(10));
        let delivery = world.ended(&id).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
    });
}
