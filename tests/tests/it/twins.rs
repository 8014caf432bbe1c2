//! The command line's twins of the interface: what they send, and what they show of it.

use std::process::{Command, Output, Stdio};

use hookwright_tests::harness::{World, play};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// Runs a command against the world's host, with nothing of this process's environment.
async fn cli(world: &World, line: &[&str]) -> Output {
    let key = world.config.admin_key.as_ref().expect("a key").expose();
    let mut command = Command::new(BINARY);
    command
        .args(line)
        .env_clear()
        .env("HOOKWRIGHT_URL", format!("http://{}", world.web.address()))
        .env("HOOKWRIGHT_KEY", key)
        .stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.expect("no panic").expect("it starts")
}

/// What it prints, where it does what it is asked for.
async fn told(world: &World, line: &[&str]) -> String {
    let output = cli(world, line).await;
    assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// As [`told`], with `--json`.
async fn json_of(world: &World, line: &[&str]) -> Value {
    let text = told(world, &[line, &["--json"]].concat()).await;
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line:?}: {error}: {text}"))
}

/// Refused, with a sentence that says why.
async fn refused(world: &World, line: &[&str], why: &str) {
    let output = cli(world, line).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains(why), "{line:?}: {said}");
}

#[test]
fn keys() {
    play(async |world| {
        let line = ["key", "create", "tenant", "--tenant", "acme", "--description", "the portal"];
        let made = json_of(world, &[line.as_slice(), &["--expires", "90d"]].concat()).await;
        let (id, key) = (made["id"].as_str().expect("an id"), made["key"].as_str().expect("a key"));
        let web = world.web.with_key(key);
        web.get("/v1/endpoints").await.expect(200);
        let listed = told(world, &["key", "list"]).await;
        assert!(listed.contains(id) && listed.contains("the portal") && !listed.contains(key), "{listed}");
        let once = told(world, &["key", "create", "ingest"]).await;
        assert!(once.contains("shown this once: hwk_"), "{once}");
        refused(world, &["key", "create", "tenant"], "--tenant").await;
        refused(world, &["key", "revoke", id], "--yes").await;
        told(world, &["key", "revoke", id, "--yes"]).await;
        web.get("/v1/endpoints").await.problem(401);
        assert_eq!(json_of(world, &["key", "list"]).await.as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn tenants_and_the_host() {
    play(async |world| {
        let set = ["tenant", "set", "acme", "--description", "a customer", "--timeout", "5s"];
        told(world, &[set.as_slice(), &["--ingest", "100/1s", "--bearer", "planted"]].concat()).await;
        let shown = told(world, &["tenant", "show", "acme"]).await;
        let view: Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!((&view["timeout"], &view["description"]), (&json!("5s"), &json!("a customer")));
        assert_eq!(view["quota"]["ingest"], json!({"requests": 100, "per": "1s"}));
        assert!(!shown.contains("planted"), "{shown}");
        let link = told(world, &["tenant", "portal", "acme", "--expires", "30m"]).await;
        let (page, token) = link.trim().split_once("/#/portal/").expect("a link");
        assert_eq!(page, format!("http://{}", world.web.address()));
        assert_eq!(world.web.with_key(token).get("/v1/session").await.expect(200)["tenant"], "acme");
        assert!(json_of(world, &["tenant", "portal", "acme"]).await["token"].is_string());
        refused(world, &["tenant", "portal", "acme", "--expires", "2d"], "/expires").await;
        told(world, &["tenant", "offline", "acme"]).await;
        assert!(told(world, &["tenant", "list"]).await.contains("offline"));
        told(world, &["host", "set", "--timeout", "7s"]).await;
        told(world, &["host", "offline"]).await;
        let host: Value = serde_json::from_str(&told(world, &["host", "show"]).await).expect("JSON");
        assert_eq!((&host["timeout"], &host["offline"]), (&json!("7s"), &json!(true)));
        // What waited goes out once neither of them holds it.
        world.endpoint(json!({"tenant": "acme"})).await;
        let posted = world.post_with("a", "1", json!({"tenant": "acme"})).await;
        told(world, &["host", "online"]).await;
        assert!(world.receiver.is_empty().await, "the tenant is offline still");
        told(world, &["tenant", "online", "acme", "--waiting", "deliver"]).await;
        assert_eq!(world.outcome(&posted).await["state"], "delivered");
        assert_eq!(world.receiver.next().await.header("authorization"), Some("Bearer planted"));
        refused(world, &["tenant", "delete", "acme", "--yes"], "force").await;
        told(world, &["tenant", "delete", "acme", "--force", "--yes"]).await;
        world.web.get("/v1/tenants/acme").await.problem(404);
    });
}

#[test]
fn event_types() {
    play(async |world| {
        let file = world.dir().join("type.json");
        std::fs::write(&file, r#"{"group":"Invoices","samples":[{"total": 12.50}]}"#).expect("to write");
        let file = file.to_str().expect("a path");
        told(world, &["event-type", "put", "invoice.paid", "--file", file]).await;
        let patch = r#"{"description":"Somebody paid.","deprecated":true}"#;
        told(world, &["event-type", "patch", "invoice.paid", "--data", patch]).await;
        let shown = json_of(world, &["event-type", "show", "invoice.paid"]).await;
        assert_eq!((&shown["group"], &shown["deprecated"]), (&json!("Invoices"), &json!(true)));
        assert_eq!(
            (&shown["description"], &shown["samples"][0]["total"]),
            (&json!("Somebody paid."), &json!(12.5))
        );
        let listed = told(world, &["event-type", "list", "--group", "Invoices"]).await;
        assert!(listed.contains("invoice.paid") && listed.contains("deprecated"), "{listed}");
        refused(world, &["event-type", "patch", "invoice.paid", "--data", r#"{"colour":1}"#], "/colour")
            .await;
        refused(world, &["event-type", "patch", "invoice.lost", "--data", "{}"], "invoice.lost").await;
        told(world, &["event-type", "delete", "invoice.paid", "--yes"]).await;
        world.web.get("/v1/event-types/invoice.paid").await.problem(404);
    });
}

#[test]
fn endpoints_are_patched_and_show_their_version() {
    play(async |world| {
        let versions = json!({"versions": [{"name": "2025-06"}, {"name": "2026-01"}]});
        world.web.put("/v1/versions", &versions).await.expect(200);
        let endpoint = world.endpoint(json!({"name": "CRM", "headers": {"X-A": "1", "X-B": "2"}})).await;
        let listed = told(world, &["endpoint", "list"]).await;
        assert!(listed.contains("VERSION") && listed.contains("2026-01"), "{listed}");
        let patch = r#"{"version":"2025-06","timeout":"5s","headers":{"X-A":null}}"#;
        assert!(told(world, &["endpoint", "patch", "CRM", "--data", patch]).await.contains(&endpoint.id));
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!((&view["version"], &view["timeout"]), (&json!("2025-06"), &json!("5s")));
        assert_eq!(view["headers"], json!({"X-B": "***"}));
        let same = json_of(world, &["endpoint", "update", "CRM", "--data", "{}"]).await;
        assert_eq!(same["id"], endpoint.id.as_str());
        refused(world, &["endpoint", "patch", "CRM", "--data", r#"{"timeout":"soon"}"#], "/timeout").await;
    });
}
