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
