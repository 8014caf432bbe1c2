//! Endpoints: made, shown, changed, refused and deleted.

use hookwright_tests::harness::{Mailbox, Stage, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};

fn pointers(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().expect("a list");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

fn message(problem: &Value) -> &str {
    problem["errors"][0]["message"].as_str().expect("a sentence")
}

#[test]
fn an_endpoint_is_made_read_listed_changed_and_deleted() {
    on_each_store(async |world| {
        let made =
            world.endpoint(json!({"name": "CRM", "description": "ours", "events": ["invoice.*"]})).await;
        assert!(made.id.starts_with("ep_"), "{made:?}");
        let read = world.web.get(&made.path()).await.expect(200);
        assert_eq!(read["name"], "CRM");
        assert_eq!(read["enabled"], true);
        let listed = world.web.get("/v1/endpoints").await.expect(200);
        assert_eq!(listed["items"], json!([read]));
        let change = json!({"name": "ERP", "timeout": "3s", "success": [200, 204]});
        let changed = world.web.patch(&made.path(), &change).await.expect(200);
        assert_eq!(changed["name"], "ERP");
        assert_eq!(changed["description"], "ours");
        assert_eq!(changed["success"], json!([200, 204]));
        assert_eq!(world.web.get(&made.path()).await.expect(200), changed);
        world.web.delete(&made.path()).await.expect(204);
        world.web.get(&made.path()).await.problem(404);
        world.web.patch(&made.path(), &json!({})).await.problem(404);
        world.web.delete(&made.path()).await.problem(404);
        world.web.get("/v1/endpoints/nonsense").await.problem(404);
        assert_eq!(world.post("invoice.paid", "1").await.deliveries, 0);
    });
}

#[test]
fn the_secret_is_shown_once_and_nothing_sealed_is_shown_again() {
    play(async |world| {
        let spec = json!({
            "url": world.receiver.url("/planted-path?key=planted-query"),
            "auth": {"type": "basic", "username": "ada", "password": "planted-password"},
            "headers": {"X-Key": "planted-header"},
            "transforms": [{
                "plugin": "template",
                "config": {"template": "{\"shown\":1}", "headers": {"X-Api-Key": "planted-key"}},
            }],
        });
        let made = world.endpoint(spec).await;
        assert!(made.secret.starts_with("whsec_"));
        assert!(!made.view.to_string().contains("planted"), "{}", made.view);
        let list = world.web.get("/v1/endpoints").await;
        let read = world.web.get(&made.path()).await;
        let changed = world.web.patch(&made.path(), &json!({"name": "x"})).await;
        for answer in [list, read, changed] {
            assert!(!answer.text().contains("planted"), "{}", answer.text());
            assert!(!answer.text().contains("whsec_"), "{}", answer.text());
        }
        let read = world.web.get(&made.path()).await.expect(200);
        assert_eq!(read["url"], format!("{}/***", world.receiver.url("")));
        assert_eq!(read["auth"], json!({"type": "basic", "username": "***", "password": "***"}));
        assert_eq!(read["headers"], json!({"X-Key": "***"}));
        let config = json!({"template": "{\"shown\":1}", "headers": {"X-Api-Key": "***"}});
        assert_eq!(
            read["transforms"][0]["config"], config,
            "what its schema knows and does not hide can be read again"
        );
    });
}

#[test]
fn a_secret_that_is_brought_along_is_kept() {
    play(async |world| {
        let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let made = world.endpoint(json!({"secret": secret})).await;
        assert_eq!(made.secret, secret);
        let problem = world.web.patch(&made.path(), &json!({"secret": secret})).await.problem(422);
        assert_eq!(pointers(&problem), ["/secret"]);
    });
}

#[test]
fn a_patch_keeps_what_is_masked() {
    play(async |world| {
        let spec = json!({
            "url": world.receiver.url("/hooks/1?key=2"),
            "auth": {"type": "bearer", "token": "the-token"},
            "headers": {"X-Key": "the-header", "X-Other": "other"},
            "transforms": [{"plugin": "envelope", "config": {"members": [
                {"name": "key", "constant": "the-constant"}, {"name": "data", "from": "@payload"}]}}],
        });
        let made = world.endpoint(spec).await;
        let shown = world.web.get(&made.path()).await.expect(200);
        let back = world.web.patch(&made.path(), &shown).await;
        let problem = (back.status != 200).then(|| back.text().to_owned());
        assert_eq!(problem, None, "what was shown can be sent back");
        world.web.patch(&made.path(), &json!({"headers": {"x-other": null}})).await.expect(200);
        world.post("a", "1").await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.path_and_query, "/hooks/1?key=2");
        assert_eq!(arrival.header("authorization"), Some("Bearer the-token"));
        assert_eq!(arrival.header("x-key"), Some("the-header"));
        assert_eq!(arrival.header("x-other"), None);
        assert_eq!(arrival.body, r#"{"key":"the-constant","data":1}"#);
    });
}

#[test]
fn a_patch_that_lost_a_race_is_made_again() {
    play(async |world| {
        let made = world.endpoint(json!({})).await;
        let patches: Vec<_> = (0..5)
            .map(|n| {
                let (web, path) = (world.web.clone(), made.path());
                tokio::spawn(
                    async move { web.patch(&path, &json!({"headers": {format!("X-{n}"): "1"}})).await },
                )
            })
            .collect();
        for patch in patches {
            patch.await.expect("no panic").expect(200);
        }
        let read = world.web.get(&made.path()).await.expect(200);
        assert_eq!(read["headers"].as_object().map(|headers| headers.len()), Some(5), "{read}");
    });
}

#[test]
fn lists_come_in_pages_that_neither_skip_nor_repeat() {
    on_each_store(async |world| {
        let mut made = Vec::new();
        for n in 0..7 {
            let tenant = if n % 2 == 0 { "even" } else { "odd" };
            made.push((world.endpoint(json!({"tenant": tenant})).await.id, tenant));
        }
        let (mut seen, mut path) = (Vec::new(), "/v1/endpoints?limit=3".to_owned());
        loop {
            let page = world.web.get(&path).await.expect(200);
            seen.extend(page["items"].as_array().expect("a list").iter().map(|item| item["id"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/endpoints?limit=3&cursor={next}");
        }
        let ids: Vec<&str> = made.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(seen, ids);
        let odd = world.web.get("/v1/endpoints?tenant=odd").await.expect(200);
        assert_eq!(odd["items"].as_array().map(Vec::len), Some(3));
        let part = world.web.get("/v1/endpoints?limit=1&fields=id,status").await.expect(200);
        assert_eq!(part["items"], json!([{"id": ids[0], "status": "active"}]));
        for name in world.endpoint(json!({})).await.view.as_object().expect("an object").keys() {
            let part = world.web.get(&format!("/v1/endpoints?fields={name}")).await;
            if name != "secret" {
                assert!(part.expect(200)["items"][0].as_object().expect("an object").keys().eq([name]));
            }
        }
        for bad in [
            "limit=0",
            "limit=x",
            "cursor=x",
            "colour=red",
            "tenant=a%2Fb",
            "fields=",
            "fields=id,none",
            "fields=secret",
        ] {
            world.web.get(&format!("/v1/endpoints?{bad}")).await.problem(422);
        }
    });
}

/// A refused address, or one that is spelled so that it does not look like one.
async fn refused_address(world: &World, url: &str) -> String {
    let problem = world.refused(json!({"url": url})).await;
    assert_eq!(pointers(&problem), ["/url"], "{url}: {problem}");
    message(&problem).to_owned()
}

#[test]
fn an_address_that_is_not_open_is_refused_with_what_opens_it() {
    let stage = Stage::default().with(|config| config.host.allow_targets.clear());
    stage.play(async |world| {
        let sentence = refused_address(world, "http://localhost:3000").await;
        assert!(sentence.contains("--allow-target 127.0.0.0/8"), "{sentence}");
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::1]/",
            "https://0/",
            "https://10.0.0.1/",
            "https://192.168.1.1/",
            "https://172.16.0.1/",
            "https://169.254.169.254/latest/meta-data/",
            "https://100.64.0.1/",
            "https://[fd00::1]/",
            "https://[fe80::1]/",
            "https://[64:ff9b::7f00:1]/",
            "https://[2002:7f00:1::]/",
            "https://224.0.0.1/",
            "https://localhost./",
            "https://a.localhost/",
            "https://127.0.0.1.:443/",
            "https://%31%32%37.0.0.1/",
            "https://①②⑦.0.0.1/",
            "http://example.com/",
            "ftp://example.com/",
            "https://user:pass@example.com/",
            "https://example.com/#x",
            "https://example.com:0/",
            "//example.com",
            "nonsense",
        ] {
            let sentence = refused_address(world, url).await;
            assert!(!sentence.is_empty());
        }
        world.endpoint(json!({"url": "https://example.com/hooks"})).await;
    });
}

#[test]
fn the_hosts_own_listener_is_no_target_even_where_its_range_is_open() {
    play(async |world| {
        let own = format!("http://{}/v1/events", world.web.address());
        refused_address(world, &own).await;
    });
}

#[test]
fn what_a_delivery_could_not_use_is_refused_with_its_place() {
    play(async |world| {
        let table = [
            (json!({"name": ""}), "/name"),
            (json!({"events": []}), "/events"),
            (json!({"events": ["*.x"]}), "/events/0"),
            (json!({"channels": [7]}), "/channels/0"),
            (json!({"transforms": [{"plugin": "flatter"}]}), "/transforms/0/plugin"),
            (json!({"transforms": [{"plugin": "flatten"}, {"plugin": "filter"}]}), "/transforms/1/config"),
            (
                json!({"transforms": [{"plugin": "flatten", "config": {"arrays": "sideways"}}]}),
                "/transforms/0/config/arrays",
            ),
            (
                json!({"transforms": [{"plugin": "filter", "config": {"keep": {"path": "a", "exists": true}},
                    "on_failure": "pass"}]}),
                "/transforms/0/on_failure",
            ),
            (
                json!({"transforms": [{"plugin": "flatten", "on_failure": "shrug"}]}),
                "/transforms/0/on_failure",
            ),
            (json!({"headers": {"Content-Length": "1"}}), "/headers/Content-Length"),
            (json!({"headers": {"Webhook-Id": "1"}}), "/headers/Webhook-Id"),
            (json!({"headers": {"Authorization": "x"}}), "/headers/Authorization"),
            (json!({"headers": {"X-A": "a\r\nX-B: b"}}), "/headers/X-A"),
            (json!({"signature": {"scheme": "none"}}), "/signature/scheme"),
            (json!({"signature": {"scheme": "hmac-sha256"}}), "/signature/header"),
            (json!({"auth": {"type": "bearer"}}), "/auth/token"),
            (json!({"retry": {"schedule": ["1ms"]}}), "/retry/schedule/0"),
            (json!({"retry": {"every": "10s", "attempts": 2}}), "/retry"),
            (json!({"timeout": "5m"}), "/timeout"),
            (json!({"success": [99]}), "/success"),
            (json!({"rate_limit": {"requests": 1}}), "/rate_limit"),
            (json!({"concurrency": 0}), "/concurrency"),
            (json!({"enabled": 1}), "/enabled"),
            (json!({"secret": "mine"}), "/secret"),
            (json!({"colour": "red"}), "/colour"),
        ];
        for (spec, pointer) in table {
            let problem = world.refused(spec.clone()).await;
            let named = pointers(&problem);
            assert!(named.iter().all(|named| named.starts_with(pointer)), "{spec}: {problem:#}");
        }
        let unknown = world.refused(json!({"transforms": [{"plugin": "flatter"}]})).await;
        assert!(message(&unknown).contains("`flatten`"), "it names what there is: {unknown}");
        for (body, status) in [("", 400), ("{", 400), ("[]", 422), (r#"{"name":"a","name":"b"}"#, 400)] {
            world.web.send(Method::POST, "/v1/endpoints", &[], body).await.problem(status);
        }
        assert_eq!(world.web.get("/v1/endpoints").await.expect(200)["items"], json!([]));

        let made = world.endpoint(json!({})).await;
        let patched = world.web.patch(&made.path(), &json!({"transforms": [{"plugin": "flatter"}]})).await;
        assert_eq!(pointers(&patched.problem(422)), ["/transforms/0/plugin"]);
        let moved = world.web.patch(&made.path(), &json!({"tenant": "other"})).await;
        assert_eq!(pointers(&moved.problem(409)), ["/tenant"]);
    });
}

#[test]
fn a_disabled_endpoint_holds_and_an_enabled_one_sends_what_waited() {
    on_each_store(async |world| {
        let made = world.endpoint(json!({})).await;
        let disabled = world.web.patch(&made.path(), &json!({"enabled": false})).await.expect(200);
        assert!(disabled["disabled_since"].is_string() && disabled["disabled_because"].is_string());
        let mut waiting = Vec::new();
        for n in 0..5 {
            waiting.push(world.post("a", &n.to_string()).await);
        }
        let held = world.deliveries(&format!("endpoint={}&state=pending", made.id)).await;
        assert_eq!(held.len(), 5);
        assert!(held.iter().all(|delivery| delivery["held"] == true), "{held:?}");
        let enabled = world.web.patch(&made.path(), &json!({"enabled": true})).await.expect(200);
        assert_eq!(enabled["disabled_since"], Value::Null);
        let mut bodies: Vec<_> =
            world.receiver.take(5).await.into_iter().map(|arrival| arrival.body).collect();
        bodies.sort();
        assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
        for posted in &waiting {
            assert_eq!(world.outcome(posted).await["attempts"], 1);
        }
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_deleted_endpoints_deliveries_are_cancelled_and_its_log_stays() {
    on_each_store(async |world| {
        let made = world.endpoint(json!({"retry": {"schedule": ["1h"]}})).await;
        let arrived = world.post("a", "1").await;
        assert_eq!(world.outcome(&arrived).await["state"], "delivered");
        world.receiver.answer(500);
        let waiting = world.post("a", "2").await;
        let id = world.only_delivery(&waiting).await;
        world.attempted(&id, 1).await;
        world.web.delete(&made.path()).await.expect(204);
        let cancelled = world.ended(&id).await;
        assert_eq!(cancelled["state"], "cancelled");
        assert_eq!(cancelled["attempt_log"].as_array().map(Vec::len), Some(1));
        assert!(cancelled["reason"].to_string().contains("deleted"), "{cancelled}");
        let log = world.deliveries(&format!("endpoint={}", made.id)).await;
        assert_eq!(log.len(), 2);
        assert_eq!(world.outcome(&arrived).await["attempt_log"][0]["status"], 200);
        world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await.problem(409);
    });
}

#[test]
fn a_deleted_endpoint_that_hangs_gets_nothing_more() {
    play(async |world| {
        let mut slow = Mailbox::open().await;
        slow.hang();
        let made = world.endpoint(json!({"url": slow.url("/"), "concurrency": 1})).await;
        let (first, second) = (world.post("a", "1").await, world.post("a", "2").await);
        slow.next().await;
        world.web.delete(&made.path()).await.expect(204);
        for posted in [&first, &second] {
            assert_eq!(world.outcome(posted).await["state"], "cancelled");
        }
        assert!(slow.is_empty().await);
        drop(slow);
    });
}

#[test]
fn an_endpoint_made_between_two_events_gets_the_second() {
    on_each_store(async |world| {
        assert_eq!(world.post("a", "1").await.deliveries, 0);
        world.endpoint(json!({})).await;
        assert_eq!(world.post("a", "2").await.deliveries, 1);
        assert_eq!(world.receiver.next().await.body, "2");
    });
}
