//! What is said once for all endpoints of a tenant, or for all tenants.

use hookwright_tests::harness::{Stage, World, on_each_store, play};
use serde_json::{Value, json};

#[test]
fn a_tenant_is_described_shown_changed_and_forgotten() {
    on_each_store(async |world| {
        let path = "/v1/tenants/acme";
        world.web.get(path).await.problem(404);
        let spec = json!({
            "description": "a customer",
            "auth": {"type": "bearer", "token": "planted-token"},
            "headers": {"X-Key": "planted-header"},
            "timeout": "10s",
            "quota": {"ingest": {"requests": 5, "per": "1s"}},
        });
        let made = world.web.patch(path, &spec).await;
        let shown = made.expect(200);
        assert!(!made.text().contains("planted"), "{}", made.text());
        assert_eq!(shown["auth"], json!({"type": "bearer", "token": "***"}));
        assert_eq!((&shown["retry"], &shown["offline"]), (&Value::Null, &json!(false)));
        assert_eq!(shown["quota"]["ingest"], json!({"requests": 5, "per": "1s"}));
        // What is shown can be sent back.
        let mut back = world.web.patch(path, &shown).await.expect(200);
        back["updated_at"] = shown["updated_at"].clone();
        assert_eq!(back, shown);
        assert_eq!(world.web.get("/v1/tenants").await.expect(200)["items"][0]["id"], "acme");
        let endpoint = world.endpoint(json!({"tenant": "acme"})).await;
        assert_eq!(endpoint.view["timeout"], "10s");
        let refused = world.web.delete(path).await.problem(409);
        assert!(refused["detail"].to_string().contains("force"), "{refused}");
        world.web.delete(&format!("{path}?force=true")).await.expect(204);
        world.web.get(path).await.problem(404);
        world.web.get(&endpoint.path()).await.problem(404);
    });
}

#[test]
fn what_is_wrong_with_a_tenant_is_named() {
    Stage::default().with(|config| config.tenant.max = 1).play(async |world: &mut World| {
        for (spec, pointer) in [
            (json!({"quota": {"ingest": {"requests": 0, "per": "1s"}}}), "/quota/ingest/requests"),
            (json!({"quota": {"stored_bytes": -1}}), "/quota/stored_bytes"),
            (json!({"timeout": "1h"}), "/timeout"),
            (json!({"transforms": [{"plugin": "nothing"}]}), "/transforms/0/plugin"),
            (json!({"offline": "yes"}), "/offline"),
            (json!({"waiting": "skip"}), "/waiting"),
            (json!({"offline": false, "waiting": "shrug"}), "/waiting"),
            (json!({"colour": "red"}), "/colour"),
        ] {
            for path in ["/v1/tenants/acme", "/v1/host"] {
                let problem = world.web.patch(path, &spec).await.problem(422);
                let expected =
                    if path == "/v1/host" && pointer.starts_with("/quota") { "/quota" } else { pointer };
                assert_eq!(problem["errors"][0]["pointer"], expected, "{path} {spec}: {problem}");
            }
        }
        world.web.patch("/v1/tenants/acme", &json!({})).await.expect(200);
        let full = world.web.patch("/v1/tenants/other", &json!({})).await.problem(409);
        assert!(full["detail"].to_string().contains("tenant.max"), "{full}");
        world.web.patch("/v1/tenants/a%2Fb", &json!({})).await.problem(404);
    });
}

#[test]
fn the_host_speaks_where_nobody_else_does() {
    play(async |world| {
        let said = json!({"headers": {"X-From": "host", "X-Who": "host"}});
        world.web.patch("/v1/host", &said).await.expect(200);
        world.web.patch("/v1/tenants/acme", &json!({"headers": {"X-Who": "tenant"}})).await.expect(200);
        world.endpoint(json!({"tenant": "acme"})).await;
        world.post_with("a", "1", json!({"tenant": "acme"})).await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.header("x-from"), Some("host"));
        assert_eq!(arrival.header("x-who"), Some("tenant"));
    });
}

#[test]
fn a_tenant_posts_within_its_quota() {
    on_each_store(async |world| {
        let quota = json!({"quota": {"ingest": {"requests": 2, "per": "1h"}}});
        world.web.patch("/v1/tenants/acme", &quota).await.expect(200);
        let event = json!({"type": "a", "payload": 1, "tenant": "acme"});
        let batch = json!([event, event, event, {"type": "a", "payload": 1}]);
        let answer = world.web.post("/v1/events", &batch).await.expect(207);
        let statuses: Vec<&Value> =
            answer["items"].as_array().expect("a list").iter().map(|item| &item["status"]).collect();
        assert_eq!(statuses, [202, 202, 429, 202]);
        let pause = answer["items"][2]["retry_after_s"].as_u64().expect("seconds");
        assert!(
            (1..=3_660).contains(&pause) && answer["items"][0].get("retry_after_s").is_none(),
            "{answer}"
        );
        let refused = world.web.post("/v1/events", &event).await;
        assert!(refused.problem(429)["detail"].to_string().contains("quota.ingest"));
        let pause: u64 = refused.header("retry-after").expect("a pause").parse().expect("seconds");
        assert!((1..=3_660).contains(&pause), "{pause}");
        world.clock.advance(std::time::Duration::from_secs(pause));
        world.web.post("/v1/events", &event).await.expect(202);
    });
}

#[test]
fn a_tenant_keeps_no_more_bytes_than_its_quota() {
    on_each_store(async |world| {
        world.web.patch("/v1/tenants/acme", &json!({"quota": {"stored_bytes": 10}})).await.expect(200);
        let event = json!({"type": "a", "payload": "12345678", "tenant": "acme"});
        world.web.post("/v1/events", &event).await.expect(202);
        // What another tenant keeps does not count.
        world.web.post("/v1/events", &json!({"type": "a", "payload": "12345678"})).await.expect(202);
        world
            .web
            .post("/v1/events", &json!({"type": "a", "payload": 1, "tenant": "acme"}))
            .await
            .problem(429);
        world.restart().await;
        let refused = world.web.post("/v1/events", &event).await.problem(429);
        assert!(refused["detail"].to_string().contains("take up 10 bytes"), "{refused}");
        world.web.patch("/v1/tenants/acme", &json!({"quota": null})).await.expect(200);
        world.web.post("/v1/events", &event).await.expect(202);
    });
}
