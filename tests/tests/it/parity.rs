//! What four systems promise their users, row by row: each test is named after its row.

use std::sync::Arc;
use std::time::Duration;

use hookwright::receiver::Arrival;
use hookwright::time::Timestamp;
use hookwright_tests::harness::{Mailbox, Site, Stage, World, on_each_store, play};
use serde_json::{Value, json};

use crate::replay::{ended, outage, replay};

mod presets;

fn items(page: &Value) -> &[Value] {
    page["items"].as_array().expect("a list")
}

/// Posts an event to the one endpoint of the type, which answers so, and waits for the end.
async fn run_into(world: &mut World, event_type: &str, status: u16) {
    world.receiver.answer(status);
    let posted = world.post(event_type, "1").await;
    world.outcome(&posted).await;
}

async fn hint(world: &World, kind: &str) -> String {
    let page = world.web.get("/v1/errors").await.expect(200);
    let group = items(&page).iter().find(|group| group["kind"] == kind);
    let hint = group.unwrap_or_else(|| panic!("no {kind} in {page:#}"))["hint"].as_str();
    hint.expect("a hint").to_lowercase()
}

/// Everything that the API says about an endpoint and what was delivered to it.
async fn shown(world: &World, path: &str) -> String {
    let mut shown = String::new();
    for path in [path, "/v1/endpoints", "/v1/events", "/v1/deliveries", "/metrics"] {
        shown.push_str(world.web.get(path).await.text());
    }
    for delivery in world.deliveries("").await {
        shown.push_str(&world.delivery(delivery["id"].as_str().expect("an id")).await.to_string());
    }
    shown
}

/// The signatures of the next delivery, each as the receiver got it.
async fn signatures(world: &mut World) -> Vec<String> {
    world.post("a", "1").await;
    let arrival = world.receiver.next().await;
    arrival.header("webhook-signature").expect("signatures").split(' ').map(str::to_owned).collect()
}

/// The next arrival that is wanted, of those that come first.
async fn arrival(world: &mut World, wanted: impl Fn(&Arrival) -> bool) -> Arrival {
    for _ in 0..100 {
        let arrival = world.receiver.next().await;
        if wanted(&arrival) {
            return arrival;
        }
    }
    panic!("what was wanted is not among the first arrivals");
}

#[test]
fn e2_one_token_for_all_channels() {
    play(async |world| {
        let tenant = "/v1/tenants/acme";
        world.web.patch(tenant, &json!({"auth": {"type": "bearer", "token": "first"}})).await.expect(200);
        for channel in ["document.exported", "contact.created"] {
            let spec = json!({
                "tenant": "acme", "events": [channel], "url": world.receiver.url(&format!("/{channel}")),
                "retry": {"every": "100ms"},
            });
            world.endpoint(spec).await;
        }
        world.receiver.answer(401);
        let refused = world.post_with("document.exported", "1", json!({"tenant": "acme"})).await;
        let delivery = world.only_delivery(&refused).await;
        world.attempted(&delivery, 1).await;
        assert_eq!(world.receiver.next().await.header("authorization"), Some("Bearer first"));
        // What waits to be tried again takes the new token with it.
        world.web.patch(tenant, &json!({"auth": {"token": "second"}})).await.expect(200);
        arrival(world, |arrival| arrival.header("authorization") == Some("Bearer second")).await;
        world.receiver.answer(200);
        assert_eq!(world.ended(&delivery).await["state"], "delivered");
        let other = world.post_with("contact.created", "1", json!({"tenant": "acme"})).await;
        assert_eq!(world.outcome(&other).await["state"], "delivered");
        let arrival = arrival(world, |arrival| arrival.path_and_query == "/contact.created").await;
        assert_eq!(arrival.header("authorization"), Some("Bearer second"));
        // URL-based authentication instead: the channel's own URL carries it, and nothing else does.
        let spec = json!({
            "tenant": "acme", "events": ["audit.log"], "url": world.receiver.url("/audit?token=its-own"),
            "auth": {"type": "none"},
        });
        world.endpoint(spec).await;
        world.post_with("audit.log", "1", json!({"tenant": "acme"})).await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.path_and_query, "/audit?token=its-own");
        assert_eq!(arrival.header("authorization"), None);
    });
}

#[test]
fn e3_offline() {
    play(async |world| {
        for (switch, waiting) in [
            ("/v1/host", "deliver"),
            ("/v1/tenants/acme", "deliver"),
            ("/v1/host", "skip"),
            ("/v1/tenants/acme", "skip"),
        ] {
            let endpoint = world.endpoint(json!({"tenant": "acme"})).await;
            let shown = world.web.patch(switch, &json!({"offline": true})).await.expect(200);
            assert_eq!(shown["offline"], true);
            let posted = world.post_with("case.created", "1", json!({"tenant": "acme"})).await;
            assert_eq!(posted.deliveries, 1, "ingest goes on");
            let delivery = world.only_delivery(&posted).await;
            let held = world.delivery(&delivery).await;
            assert_eq!((&held["state"], &held["held"]), (&json!("pending"), &json!(true)), "{held}");
            assert!(held["reason"].to_string().contains("offline"), "{held}");
            assert!(world.receiver.is_empty().await, "no live data flows out");
            let back = json!({"offline": false, "waiting": waiting});
            assert_eq!(world.web.patch(switch, &back).await.expect(200)["offline"], false);
            let ended = world.ended(&delivery).await;
            match waiting {
                "deliver" => {
                    assert_eq!(ended["state"], "delivered", "{ended}");
                    world.receiver.next().await;
                }
                _ => assert_eq!(ended["state"], "cancelled", "{ended}"),
            }
            // What is posted from then on goes out either way.
            let after = world.post_with("case.created", "2", json!({"tenant": "acme"})).await;
            assert_eq!(world.outcome(&after).await["state"], "delivered");
            assert_eq!(world.receiver.next().await.body, "2");
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn e10_hints() {
    play(async |world| {
        world.endpoint(json!({"retry": {"attempts": 1}})).await;
        for (status, kind, words) in [
            (401, "http_401", vec!["add a token"]),
            (403, "http_403", vec!["token is the right one", "ip address"]),
            (404, "http_404", vec!["path", "regenerate"]),
            (503, "http_5xx", vec!["receiver is down", "retried by themselves"]),
        ] {
            run_into(world, "document.exported", status).await;
            let hint = hint(world, kind).await;
            assert!(words.iter().all(|word| hint.contains(word)), "{kind}: {hint}");
        }
        let failed = world.deliveries("limit=1").await.remove(0);
        let attempt = &world.delivery(failed["id"].as_str().expect("an id")).await["attempt_log"][0];
        assert_eq!(attempt["hint"].as_str().map(str::to_lowercase), Some(hint(world, "http_5xx").await));
    });
}

#[test]
fn e11_volume() {
    play(async |world| {
        let only = world.endpoint(json!({"events": ["document.exported"]})).await;
        for _ in 0..5 {
            world.post("audit.log", "1").await;
        }
        let posted = world.post("document.exported", "2").await;
        world.outcome(&posted).await;
        let overview = world.web.get("/v1/overview").await.expect(200);
        let volume = |view: &Value, name: &str| {
            let types = view["event_types"].as_array().expect("a list").clone();
            types.into_iter().find(|volume| volume["type"] == name).map(|volume| volume["events"].clone())
        };
        assert_eq!(volume(&overview, "audit.log"), Some(json!(5)), "counted though nobody subscribes");
        assert_eq!(volume(&overview, "document.exported"), Some(json!(1)));
        assert_eq!(overview["totals"]["events"], 6);
        let stats = world.web.get(&format!("{}/stats", only.path())).await.expect(200);
        assert_eq!(volume(&stats, "audit.log"), None, "not what the endpoint asked for");
        assert_eq!(volume(&stats, "document.exported"), Some(json!(1)));
        let other = world.web.get("/v1/overview?tenant=other").await.expect(200);
        assert_eq!((&other["event_types"], &other["totals"]["events"]), (&json!([]), &json!(0)));
    });
}

#[test]
fn k2_overview_api() {
    play(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        world.receiver.answer_first([500]);
        let recovered = world.post("a", "1").await;
        world.outcome(&recovered).await;
        let good = world.post("a", "2").await;
        world.outcome(&good).await;
        world.receiver.answer(500);
        let bad = world.post("a", "3").await;
        world.outcome(&bad).await;
        for path in ["/v1/overview".to_owned(), format!("{}/stats", endpoint.path())] {
            let view = world.web.get(&path).await.expect(200);
            let totals = &view["totals"];
            let count = |name: &str| totals[name].as_u64().expect("a number");
            assert_eq!((count("delivered"), count("failed"), count("filtered")), (2, 1, 0), "{path}");
            assert_eq!((count("attempts"), count("retried"), count("recovered")), (6, 3, 1), "{path}");
            assert_eq!(totals["success_rate"], json!(2.0 / 6.0));
            let times = &totals["answer_ms"];
            let time = |name: &str| times[name].as_f64().expect("a time");
            assert_eq!(times["count"], 6);
            assert!(0.0 < time("min") && time("min") <= time("avg") && time("avg") <= time("max"));
            assert!(time("p50") <= time("p95") && time("p95") <= time("p99") && time("p99") <= time("max"));
            let over_time = view["buckets"].as_array().expect("a list");
            let delivered: u64 = over_time.iter().filter_map(|bucket| bucket["delivered"].as_u64()).sum();
            assert_eq!((delivered, view["resolution"].as_str()), (2, Some("hour")), "{path}");
            assert_eq!(view["last_7_days"].as_array().map(Vec::len), Some(7));
            assert_eq!(
                (&view["last_7_days"][6]["delivered"], &view["queue"]["pending"]),
                (&json!(2), &json!(0))
            );
            assert!(view["last_delivery_at"].is_string());
        }
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!((&view["status"], &view["success_rate"]), (&json!("failing"), &json!(2.0 / 6.0)));
        assert_eq!(
            view["last_7_days"][6],
            json!({"day": view["last_7_days"][6]["day"], "events": 3, "delivered": 2, "failed": 1})
        );
        world.web.patch(&endpoint.path(), &json!({"enabled": false})).await.expect(200);
        world.post("a", "4").await;
        let overview = world.web.get("/v1/overview?resolution=minute").await.expect(200);
        assert_eq!(overview["endpoints"], json!({"active": 0, "failing": 0, "disabled": 1}));
        assert_eq!((&overview["queue"]["pending"], &overview["queue"]["held"]), (&json!(1), &json!(1)));
        assert_eq!(overview["totals"]["held"], 1);
        assert!(overview["queue"]["oldest_pending_at"].is_string());
        world.restart().await;
        let after = world.web.get("/v1/overview?resolution=minute").await.expect(200);
        assert_eq!(after["totals"], overview["totals"], "a restart forgets nothing");
        for bad in
            ["resolution=week", "since=soon", "since=2000-01-01T00:00:00Z&resolution=minute", "colour=red"]
        {
            world.web.get(&format!("/v1/overview?{bad}")).await.problem(422);
        }
    });
}

#[test]
fn k4_basic_auth() {
    play(async |world| {
        let basic =
            |user: &str, password: &str| json!({"type": "basic", "username": user, "password": password});
        let said = json!({"auth": basic("Aladdin", "open sesame")});
        world.web.patch("/v1/tenants/acme", &said).await.expect(200);
        world.endpoint(json!({"tenant": "acme"})).await;
        world.endpoint(json!({"tenant": "acme", "auth": basic("test", "123")})).await;
        world.post_with("record.created", "1", json!({"tenant": "acme"})).await;
        let arrivals = world.receiver.take(2).await;
        let mut sent: Vec<_> =
            arrivals.iter().filter_map(|arrival| arrival.header("authorization")).collect();
        sent.sort_unstable();
        assert_eq!(sent, ["Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Basic dGVzdDoxMjM="]);
    });
}

#[test]
fn k3_create_fields() {
    // As in production: nothing but https.
    Stage::default().with(|config| config.host.allow_targets.clear()).play(async |world| {
        let spec = json!({
            "name": "Website Events → Zapier",
            "url": "https://hooks.example.com/zapier",
            "description": "Optional context for teammates.",
            "events": ["record.created", "user.signup", "payment.received"],
        });
        let created = world.web.post("/v1/endpoints", &spec).await.expect(201);
        let id = created["id"].as_str().expect("an id");
        let shown = world.web.get(&format!("/v1/endpoints/{id}")).await.expect(200);
        for member in ["name", "description", "events"] {
            assert_eq!(shown[member], spec[member]);
        }
        assert_eq!(shown["url"], "https://hooks.example.com/***");
        for (member, value) in
            [("url", json!("http://hooks.example.com/zapier")), ("name", json!("")), ("events", json!([]))]
        {
            let mut bad = spec.clone();
            bad[member] = value;
            let problem = world.web.post("/v1/endpoints", &bad).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], format!("/{member}"));
        }
    });
}

/// Versions as a client gives them, with the steps back from the second and from the third.
fn versions(count: usize) -> Value {
    let all = json!([
        {"name": "2025-06"},
        {"name": "2026-01", "description": "Records are nested.", "steps": [
            {"events": ["record.*"], "plugin": "flatten", "config": {"separator": "_"}},
        ]},
        {"name": "2026-09", "description": "Records have an envelope.", "steps": [
            {"events": ["record.created"], "plugin": "envelope",
             "config": {"members": [{"name": "record", "from": "data.record"}]}},
        ]},
    ]);
    json!({"versions": all.as_array().expect("a list")[..count]})
}

#[test]
fn k5_api_version() {
    play(async |world| {
        world.web.put("/v1/versions", &versions(2)).await.expect(200);
        let pinned = world
            .endpoint(
                json!({"url": world.receiver.url("/pinned"), "version": "2025-06", "events": ["record.*"]}),
            )
            .await;
        let newest = world.endpoint(json!({"url": world.receiver.url("/newest")})).await;
        assert_eq!(
            (&pinned.view["version"], &newest.view["version"]),
            (&json!("2025-06"), &json!("2026-01"))
        );

        let (flat, nested) =
            (r#"{"record_id":7,"record_total":12500.00}"#, r#"{"record":{"id":7,"total":12500.00}}"#);
        world.post("record.created", nested).await;
        let got = by_path(world, 2).await;
        assert_eq!((got["/pinned"].as_str(), got["/newest"].as_str()), (flat, nested));

        // The product moves on; for those who were there nothing changes.
        world.web.put("/v1/versions", &versions(3)).await.expect(200);
        world.endpoint(json!({"url": world.receiver.url("/late")})).await;
        let posted = world.post("record.created", &format!(r#"{{"data":{nested}}}"#)).await;
        let got = by_path(world, 3).await;
        assert_eq!((got["/pinned"].as_str(), got["/newest"].as_str()), (flat, nested));
        assert_eq!(got["/late"], format!(r#"{{"data":{nested}}}"#));
        let deliveries = world.deliveries(&format!("event={}&endpoint={}", posted.id, pinned.id)).await;
        let delivery = world.ended(deliveries[0]["id"].as_str().expect("an id")).await;
        let runs = delivery["attempt_log"][0]["plugins"].as_array().expect("a list");
        let plugins: Vec<_> = runs.iter().map(|run| run["plugin"].as_str().expect("a name")).collect();
        assert_eq!(plugins, ["envelope", "flatten"], "newest first");

        // A type that no step is for stays as it is; an endpoint's own chain comes after the steps.
        world.post("record.updated", nested).await;
        let got = by_path(world, 3).await;
        assert_eq!((got["/pinned"].as_str(), got["/newest"].as_str()), (flat, nested));
        let chain = json!({"transforms": [{"plugin": "envelope",
            "config": {"members": [{"name": "all", "from": "@payload"}]}}]});
        world.web.patch(&pinned.path(), &chain).await.expect(200);
        world.post("record.updated", nested).await;
        assert_eq!(by_path(world, 3).await["/pinned"], format!(r#"{{"all":{flat}}}"#));

        // A version that is in use stays; the endpoint moves on when it is changed.
        let problem =
            world.web.put("/v1/versions", &json!({"versions": [{"name": "2026-01"}]})).await.problem(409);
        assert!(problem["detail"].as_str().expect("a sentence").contains(&pinned.id), "{problem}");
        let unknown = world.web.patch(&pinned.path(), &json!({"version": "2024-01"})).await.problem(422);
        assert_eq!(unknown["errors"][0]["pointer"], "/version");
        world.refused(json!({"version": "2024-01"})).await;
        for (version, body) in [(json!("2026-01"), nested), (json!(null), nested)] {
            let changed =
                world.web.patch(&pinned.path(), &json!({"version": version, "transforms": []})).await;
            assert_eq!(changed.expect(200)["version"], version);
            world.post("record.updated", nested).await;
            assert_eq!(by_path(world, 3).await["/pinned"], body);
        }
    });
}

/// The bodies of the next requests, by their paths.
async fn by_path(world: &mut World, requests: usize) -> std::collections::BTreeMap<String, String> {
    let arrivals = world.receiver.take(requests).await;
    let text = |body: &[u8]| String::from_utf8(body.to_vec()).expect("text");
    arrivals.iter().map(|arrival| (arrival.path_and_query.clone(), text(&arrival.body))).collect()
}

#[test]
fn k6_secret_once() {
    play(async |world| {
        let plain = json!({"scheme": "hmac-sha256", "header": "X-Sig", "prefix": ""});
        for signature in [json!({"scheme": "standard"}), plain] {
            let endpoint = world.endpoint(json!({"signature": signature})).await;
            let rotate = format!("{}/secret/rotate", endpoint.path());
            let rotated = world.web.post(&rotate, &json!({})).await.expect(200);
            let new = rotated["secret"].as_str().expect("the new secret, this once").to_owned();
            let posted = world.post("a", "1").await;
            world.receiver.next().await;
            world.outcome(&posted).await;
            let patched = world.web.patch(&endpoint.path(), &json!({"name": "other"})).await.expect(200);
            let promoted = world.web.post(&format!("{}/secret/promote", endpoint.path()), &json!({})).await;
            let all = shown(world, &endpoint.path()).await + &patched.to_string() + promoted.text();
            for secret in [&endpoint.secret, &new] {
                assert!(secret.starts_with("whsec_") && secret.len() > 40, "{secret}");
                assert!(!all.contains(secret.trim_start_matches("whsec_")), "{all}");
            }
            world.web.delete(&endpoint.path()).await.expect(204);
        }
        // A private key is not shown even once; its public half always is.
        let private = world.endpoint(json!({"signature": {"scheme": "standard-asymmetric"}})).await;
        assert!(private.view.get("secret").is_none(), "{}", private.view);
        let view = world.web.get(&private.path()).await.expect(200);
        assert_eq!(view["secrets"], private.view["secrets"]);
        assert!(view["secrets"][0]["public_key"].as_str().is_some_and(|key| key.starts_with("whpk_")));
        world.stop().await;
        let stored = std::fs::read(world.store_file()).expect("the store");
        assert!(!stored.windows(6).any(|window| window == b"whsec_" || window.starts_with(b"whsk_")));
    });
}

#[test]
fn k9_patch_subscription() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({"events": ["record.created"]})).await;
        assert_eq!(world.post("record.updated", "1").await.deliveries, 0);
        let change = json!({"events": ["record.updated", "ai.insight.*"]});
        let changed = world.web.patch(&endpoint.path(), &change).await.expect(200);
        assert_eq!(changed["events"], change["events"]);
        assert_eq!(world.post("record.created", "2").await.deliveries, 0);
        for event_type in ["record.updated", "ai.insight.generated"] {
            assert_eq!(world.post(event_type, "3").await.deliveries, 1);
            assert_eq!(world.receiver.next().await.body, "3");
        }
    });
}

#[test]
fn k10_error_groups() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"retry": {"attempts": 1}})).await;
        for (status, title) in [
            (401, "Invalid key"),
            (400, "Unknown parameters"),
            (404, "Not found"),
            (403, "Permission denied"),
            (429, "Rate limit exceeded"),
            (422, "Invalid input"),
        ] {
            run_into(world, "record.created", status).await;
            run_into(world, "record.created", status).await;
            let page = world.web.get("/v1/errors?limit=1").await.expect(200);
            let [group] = items(&page) else { panic!("{page:#}") };
            assert_eq!((&group["title"], &group["count"]), (&json!(title), &json!(2)), "the latest first");
            assert_eq!(group["kind"], format!("http_{status}"));
            assert_eq!(group["endpoint"], endpoint.id.as_str());
            assert_eq!(group["endpoint_name"], "receiver");
            assert!(group["hint"].as_str().is_some_and(|hint| hint.ends_with('.')), "{group:#}");
            let last = world.deliveries("limit=1").await.remove(0);
            assert_eq!(group["last_delivery"], last["id"]);
            assert_eq!(group["last_message"], format!("The receiver answered {status}."));
        }
        let (mut kinds, mut path) = (Vec::new(), "/v1/errors?limit=4".to_owned());
        loop {
            let page = world.web.get(&path).await.expect(200);
            kinds.extend(items(&page).iter().map(|group| group["kind"].clone()));
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/errors?limit=4&cursor={next}");
        }
        assert_eq!(kinds, ["http_422", "http_429", "http_403", "http_404", "http_400", "http_401"]);
        for (filter, count) in [
            (format!("endpoint={}", endpoint.id), 6),
            ("tenant=default".to_owned(), 6),
            ("tenant=other".to_owned(), 0),
            ("since=2100-01-01T00:00:00Z".to_owned(), 0),
        ] {
            let page = world.web.get(&format!("/v1/errors?{filter}")).await.expect(200);
            assert_eq!(items(&page).len(), count, "{filter}");
        }
    });
}

#[test]
fn k10_warnings() {
    const PER: Duration = Duration::from_secs(300);
    let stage = Stage::default().with(|config| {
        config.delivery.stored_answer_body.0 = 4;
        // A leap of the clock takes nothing away from the host that waits or sends meanwhile.
        config.delivery.lease = PER * 2;
    });
    stage.play(async |world| {
        let limited = json!({"events": ["a"], "rate_limit": {"requests": 1, "per": "5m"}, "timeout": "60s"});
        let endpoint = world.endpoint(limited).await;
        let has = |delivery: &Value, kind: &str| {
            let last = delivery["attempt_log"].as_array().and_then(|log| log.last()).expect("an attempt");
            last["warnings"].as_array().is_some_and(|all| all.contains(&json!(kind)))
        };
        world.receiver.answer_first([503]);
        let recovered = world.post("a", "1").await;
        let id = world.only_delivery(&recovered).await;
        world.attempted(&id, 1).await;
        world.clock.advance(PER);
        let recovered = world.ended(&id).await;
        assert!(has(&recovered, "recovered"), "{recovered:#}");

        // The answer takes so long by the host's clock alone.
        let clock = Arc::clone(&world.clock);
        let slow = Site::open(move |_| {
            clock.advance(Duration::from_secs(50));
            http::Response::default()
        })
        .await;
        world.web.patch(&endpoint.path(), &json!({"url": slow.url("/")})).await.expect(200);
        world.clock.advance(PER);
        let posted = world.post("a", "2").await;
        let late = world.outcome(&posted).await;
        assert!(has(&late, "near_timeout") && !has(&late, "rate_limited"), "{late:#}");

        let waiting = world.post("a", "3").await;
        // Whoever was posted after it has had a turn, and so it has had its own, in which the rate held it back.
        world.endpoint(json!({"events": ["b"]})).await;
        let other = world.post("b", "4").await;
        world.outcome(&other).await;
        world.clock.advance(PER);
        let limited = world.outcome(&waiting).await;
        assert!(has(&limited, "rate_limited"), "{limited:#}");

        let page = world.web.get(&format!("/v1/warnings?endpoint={}", endpoint.id)).await.expect(200);
        let kinds: Vec<_> = items(&page).iter().filter_map(|warning| warning["kind"].as_str()).collect();
        for kind in ["near_timeout", "recovered", "rate_limited"] {
            assert!(kinds.contains(&kind), "{kind} in {page:#}");
        }
    });
}

#[test]
fn k11_trace_and_replay() {
    play(async |world| {
        world.endpoint(json!({})).await;
        let posted = world.post("invoice.paid", r#"{"n":1}"#).await;
        let arrival = world.receiver.next().await;
        let webhook_id = arrival.header("webhook-id").expect("an id").to_owned();
        world.outcome(&posted).await;
        // What the receiver logged leads to the delivery, and to what was sent.
        let traced = world.deliveries(&format!("webhook_id={webhook_id}")).await;
        assert_eq!((traced.len(), &traced[0]["event"]), (1, &json!(posted.id)));
        let delivery = world.delivery(traced[0]["id"].as_str().expect("an id")).await;
        let sent = delivery["attempt_log"][0]["request"]["headers"].to_string();
        assert!(sent.contains(arrival.header("webhook-signature").expect("a signature")), "{sent}");

        let path = format!("/v1/events/{}/replay", posted.id);
        let replayed = world.web.post(&path, &json!({})).await.expect(201);
        assert_eq!(replayed["deliveries"][0]["replay_of"], delivery["id"]);
        assert_eq!(replayed["skipped"], json!([]));
        let again = world.receiver.next().await;
        assert_eq!((again.header("webhook-id"), &again.body), (Some(webhook_id.as_str()), &arrival.body));
        world.ended(replayed["deliveries"][0]["id"].as_str().expect("an id")).await;

        world.web.post(&path, &json!({"new_id": true})).await.expect(201);
        assert_ne!(world.receiver.next().await.header("webhook-id"), Some(webhook_id.as_str()));
        let stranger = json!({"endpoint": "ep_00000000000000000000000000"});
        world.web.post(&path, &stranger).await.problem(409);
    });
}

#[test]
fn k13_replay_after_an_outage() {
    play(async |world| {
        let endpoint = outage(world, 3).await;
        let since = world.deliveries("").await[1]["created_at"].clone();
        let ids = async |world: &World| -> Vec<Value> {
            let mut failed = world.deliveries("state=failed&limit=2").await;
            failed.iter_mut().map(|delivery| delivery["webhook_id"].take()).collect()
        };
        let failed = ids(world).await;
        let wanted = json!({"endpoint": endpoint.id, "state": "failed", "since": since});
        let job = replay(world, &wanted).await;
        let job = ended(world, &job).await;
        assert_eq!(job["progress"], json!({"looked_at": 2, "made": 2, "skipped": {}}));
        let mut arrived: Vec<Value> =
            world.receiver.take(2).await.iter().map(|a| json!(a.header("webhook-id"))).collect();
        arrived.sort_by_key(Value::to_string);
        let mut expected = failed;
        expected.sort_by_key(Value::to_string);
        assert_eq!(arrived, expected);
        let again = replay(world, &wanted).await;
        let again = ended(world, &again).await;
        assert_eq!(again["progress"], json!({"looked_at": 2, "made": 0, "skipped": {"replayed": 2}}));
    });
}

#[test]
fn k14_rotation() {
    on_each_store(async |world| {
        let fingerprints = |view: &Value| -> Vec<String> {
            let live = view["secrets"].as_array().expect("a list").iter();
            live.map(|secret| secret["fingerprint"].as_str().expect("a fingerprint").to_owned()).collect()
        };
        let endpoint = world.endpoint(json!({})).await;
        let rotate = format!("{}/secret/rotate", endpoint.path());
        assert_eq!(signatures(world).await.len(), 1);

        // Both sign for a day, if nothing else is said.
        let rotated = world.web.post(&rotate, &json!({})).await.expect(200);
        let [new, old] = fingerprints(&rotated).try_into().expect("two");
        assert_eq!(fingerprints(&endpoint.view), [old.as_str()]);
        assert_eq!(signatures(world).await.len(), 2);
        world.clock.advance(Duration::from_secs(23 * 3_600));
        assert_eq!(signatures(world).await.len(), 2);
        world.clock.advance(Duration::from_secs(3_600));
        assert_eq!(signatures(world).await.len(), 1);
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(fingerprints(&view), [new.as_str()]);

        // The old one can be removed at any time.
        world.web.post(&rotate, &json!({"overlap": "7d"})).await.expect(200);
        assert_eq!(signatures(world).await.len(), 2);
        world.web.delete(&format!("{}/secret/previous", endpoint.path())).await.expect(200);
        assert_eq!(signatures(world).await.len(), 1);
        world.web.post(&rotate, &json!({"overlap": "8d"})).await.problem(422);
    });
}

#[test]
fn k16_staging() {
    play(async |world| {
        let mut staging = Mailbox::open().await;
        world.endpoint(json!({"name": "production"})).await;
        let spec = json!({"name": "staging", "url": staging.url("/"), "enabled": false});
        let endpoint = world.endpoint(spec).await;
        world.post("invoice.paid", "1").await;
        world.receiver.next().await;
        let tested = json!({"type": "invoice.paid", "payload": {"n": 2}});
        let tested = world.web.post(&format!("{}/test", endpoint.path()), &tested).await.expect(200);
        assert_eq!((&tested["outcome"], &tested["subscribed"]), (&json!("delivered"), &json!(true)));
        let arrival = staging.next().await;
        assert_eq!((arrival.header("webhook-test"), &*arrival.body), (Some("true"), &br#"{"n":2}"#[..]));
        assert!(staging.is_empty().await, "real events wait until it is enabled");
        let held = world.deliveries(&format!("endpoint={}", endpoint.id)).await;
        assert_eq!((held.len(), &held[0]["held"]), (1, &json!(true)));
    });
}

#[test]
fn r3_https_and_a_secret_of_its_own() {
    play(async |world| {
        let plain = world.refused(json!({"url": "http://93.184.216.34/"})).await;
        assert!(plain.to_string().contains("https"), "{plain}");
        let (one, other) = (world.endpoint(json!({})).await, world.endpoint(json!({})).await);
        assert!(one.secret.starts_with("whsec_") && one.secret != other.secret);
    });
}

#[test]
fn r6_test_event() {
    play(async |world| {
        let transforms = json!([{"plugin": "flatten", "config": {}}]);
        let auth = json!({"type": "bearer", "token": "a-secret-token"});
        let endpoint = world.endpoint(json!({"transforms": transforms, "auth": auth})).await;
        world.receiver.expect("/", hookwright::signature::SignatureScheme::Standard, &endpoint.secret);
        let path = format!("{}/test", endpoint.path());
        let wanted = json!({"type": "payment.succeeded", "payload": {"customer": {"id": 7}}});
        let tested = world.web.post(&path, &wanted).await.expect(200);
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.header("webhook-test"), Some("true"));
        assert_eq!(arrival.header("authorization"), Some("Bearer a-secret-token"));
        assert_eq!(tested["webhook_id"], json!(arrival.header("webhook-id")));
        assert_eq!((&tested["outcome"], &tested["status"]), (&json!("delivered"), &json!(200)));
        assert_eq!((&tested["test"], &tested["type"]), (&json!(true), &wanted["type"]));
        assert_eq!(tested["request"]["body"]["content"].as_str().map(str::as_bytes), Some(&*arrival.body));
        assert_ne!(tested["request"]["body"]["content"], wanted["payload"].to_string(), "it was flattened");
        assert!(!tested.to_string().contains("a-secret-token"), "{tested}");
        assert_eq!(tested["plugins"][0]["plugin"], "flatten");
        assert!(tested["duration_ms"].as_f64() > Some(0.0));

        // What does not arrive is told, and changes nothing.
        world.receiver.answer(410);
        let refused = world.web.post(&path, &Value::Null).await;
        assert_eq!(refused.status, 422, "null is no request");
        let gone = world.web.post(&path, &json!({})).await.expect(200);
        assert_eq!((&gone["outcome"], &gone["response"]["status"]), (&json!("gone"), &json!(410)));
        world.receiver.next().await;
        let shown = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!((&shown["status"], &shown["last_event_at"]), (&json!("active"), &Value::Null));
        for list in ["events", "deliveries", "errors", "warnings"] {
            let page = world.web.get(&format!("/v1/{list}")).await.expect(200);
            assert!(items(&page).is_empty(), "{list}: {page}");
        }
        let metrics = world.web.get("/metrics").await;
        let counted = metrics.text().lines().filter(|line| line.starts_with("hookwright_attempts_total"));
        assert_eq!(counted.count(), 0, "no attempt is counted");
    });
}

#[test]
fn t2_webhooks_config() {
    play(async |world| {
        const PATH: &str = "/api/webhooks-config";
        let made = world.web.post("/v1/keys", &json!({"role": "tenant", "tenant": "rkt"})).await.expect(201);
        let web = world.web.with_key(made["key"].as_str().expect("a key"));
        let url = world.receiver.url("/webhook");
        let events = json!(["lead.captured", "session.created"]);
        let spec = json!({"url": url, "events": events, "chatbotId": "cmf9n7u1c"});
        let made = web.post(PATH, &spec).await.expect(201);
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        assert!(secret.starts_with("whsec_"), "{made}");
        assert_eq!(
            (&made["events"], &made["chatbotId"], &made["active"]),
            (&events, &json!("cmf9n7u1c"), &json!(true))
        );
        let id = made["id"].as_str().expect("an id");
        let listed = web.get(PATH).await;
        assert_eq!(listed.expect(200)["items"][0]["id"], id);
        assert!(!listed.text().contains(&secret), "only shown once");
        let lead = async |channel: &str| {
            let more = json!({"tenant": "rkt", "channels": [channel]});
            world.post_with("lead.captured", r#"{"leadId":"clx"}"#, more).await
        };
        assert_eq!(lead("another").await.deliveries, 0, "another chatbot's");
        assert_eq!(world.outcome(&lead("cmf9n7u1c").await).await["state"], "delivered");
        // Off and on again; what came meanwhile waits.
        let toggled = web.patch(PATH, &json!({"id": id, "active": false})).await.expect(200);
        assert_eq!(toggled["active"], false);
        let waiting = world.only_delivery(&lead("cmf9n7u1c").await).await;
        assert_eq!(world.delivery(&waiting).await["held"], true);
        web.patch(&format!("{PATH}?id={id}"), &json!({"active": true})).await.expect(200);
        assert_eq!(world.ended(&waiting).await["state"], "delivered");
        for (spec, pointer) in [
            (json!({"url": "nonsense", "events": ["*"]}), "/url"),
            (json!({"url": url}), "/events"),
            (json!({"url": url, "events": ["*"], "chatbotId": "a b"}), "/chatbotId"),
            (json!({"url": url, "events": ["*"], "secret": "x"}), "/secret"),
        ] {
            let problem = web.post(PATH, &spec).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{spec}: {problem}");
            assert_eq!(problem["error"], problem["detail"], "for clients that look there");
        }
        web.patch(PATH, &json!({"active": true})).await.problem(422);
        web.delete(&format!("{PATH}?id={id}")).await.expect(200);
        let body = json!({"id": id}).to_string();
        web.send(http::Method::DELETE, PATH, &[], body).await.problem(404);
        assert_eq!(web.get(PATH).await.expect(200)["items"], json!([]));
        let again = web.post(PATH, &spec).await.expect(201);
        let body = json!({"id": again["id"]}).to_string();
        web.send(http::Method::DELETE, PATH, &[], body).await.expect(200);
    });
}

/// The pause after a delivery's last attempt, from that one's beginning.
pub fn due_after(delivery: &Value) -> Duration {
    let time = |name: &str| Timestamp::parse(delivery[name].as_str().expect("a time")).expect("a time");
    let last = delivery["attempt_log"].as_array().and_then(|log| log.last()).expect("an attempt");
    let started = Timestamp::parse(last["started_at"].as_str().expect("a time")).expect("a time");
    time("due_at").since(started)
}

#[test]
fn k7_signature_on_every_delivery() {
    on_each_store(async |world| {
        world.receiver.answer_first([500]);
        let made = world.endpoint(json!({"retry": {"schedule": ["100ms"]}})).await;
        world.receiver.expect("/", hookwright::signature::SignatureScheme::Standard, &made.secret);
        for n in 0..3 {
            world.post("a", &n.to_string()).await;
        }
        for arrival in world.receiver.take(4).await {
            assert_eq!(arrival.signature, hookwright::receiver::Signature::Verified);
            assert!(arrival.header("webhook-signature").is_some_and(|value| value.starts_with("v1,")));
            assert!(arrival.header("webhook-id").is_some() && arrival.header("webhook-timestamp").is_some());
        }
    });
}

#[test]
fn k8_disable_enable() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        let path = endpoint.path();
        let disabled = world.web.patch(&path, &json!({"enabled": false})).await.expect(200);
        assert_eq!(disabled["status"], "disabled");
        let skipped = world.post("record.created", "1").await;
        let enabled = world.web.patch(&path, &json!({"enabled": true, "waiting": "skip"})).await.expect(200);
        assert_eq!(enabled["status"], "active");
        assert_eq!(world.outcome(&skipped).await["state"], "cancelled");
        world.web.patch(&path, &json!({"enabled": false})).await.expect(200);
        let resumed = world.post("record.created", "2").await;
        world.web.patch(&path, &json!({"enabled": true, "waiting": "deliver"})).await.expect(200);
        assert_eq!(world.receiver.next().await.body, "2");
        assert_eq!(world.outcome(&resumed).await["state"], "delivered");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn k13_retries_and_log() {
    on_each_store(async |world| {
        world.receiver.answer_first([500, 429]);
        world.endpoint(json!({"retry": {"schedule": ["1m", "10m", "1h"]}})).await;
        let posted = world.post("sync.completed", "1").await;
        let id = world.only_delivery(&posted).await;
        let mut pauses = Vec::new();
        for attempt in 1..=2 {
            pauses.push(due_after(&world.attempted(&id, attempt).await));
            world.clock.advance(Duration::from_secs(3_600));
        }
        let delivery = world.ended(&id).await;
        assert_eq!(delivery["state"], "delivered");
        let log = delivery["attempt_log"].as_array().expect("a log");
        let statuses: Vec<u64> = log.iter().filter_map(|attempt| attempt["status"].as_u64()).collect();
        assert_eq!(statuses, [500, 429, 200]);
        assert!(pauses[0] >= Duration::from_secs(60) && pauses[1] >= Duration::from_secs(600), "{pauses:?}");

        // Nobody listens there: a network error is retried too.
        let closed = Site::open(|_| http::Response::default()).await.url("/");
        world.endpoint(json!({"events": ["lost"], "url": closed, "retry": {"schedule": ["1h"]}})).await;
        let posted = world.post("lost", "1").await;
        let deliveries = world.deliveries(&format!("event={}", posted.id)).await;
        assert_eq!(deliveries.len(), 2);
        let waiting = world
            .until("it waits for its retry", async || {
                let deliveries = world.deliveries(&format!("event={}&state=pending", posted.id)).await;
                deliveries.into_iter().find(|delivery| delivery["attempts"] == 1)
            })
            .await;
        assert_eq!(
            world.delivery(waiting["id"].as_str().expect("an id")).await["attempt_log"][0]["outcome"],
            "unreachable"
        );
    });
}

#[test]
fn r8_held_then_delivered() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({"enabled": false})).await;
        let mut posted = Vec::new();
        for n in 0..3 {
            posted.push(world.post("invoice.paid", &n.to_string()).await);
        }
        assert_eq!(world.event(&posted[0].id).await["deliveries"][0]["held"], true);
        world.restart().await;
        assert!(world.receiver.is_empty().await);
        world.web.patch(&endpoint.path(), &json!({"enabled": true})).await.expect(200);
        let mut bodies: Vec<_> =
            world.receiver.take(3).await.into_iter().map(|arrival| arrival.body).collect();
        bodies.sort();
        assert_eq!(bodies, ["0", "1", "2"]);
    });
}

#[test]
fn e12_delivered_event() {
    on_each_store(async |world| {
        let mut sender = Mailbox::open().await;
        let spec = json!({
            "name": "sender",
            "url": sender.url("/synced"),
            "events": ["hookwright.delivery.delivered"],
        });
        world.endpoint(spec).await;
        world.receiver.answer_first([500, 200]);
        world.endpoint(json!({"events": ["document.exported"]})).await;
        let posted = world.post_with("document.exported", "1", json!({"id": "doc-1"})).await;
        let arrival = sender.next().await;
        let told: Value = serde_json::from_slice(&arrival.body).expect("JSON");
        let event = json!({"id": posted.id, "type": "document.exported", "producer_id": "doc-1"});
        assert_eq!((&told["event"], &told["delivery"]["attempts"]), (&event, &json!(2)));
        let delivery = world.event(&posted.id).await["deliveries"][0].clone();
        assert_eq!((&delivery["state"], &delivery["delivered_at"]), (&json!("delivered"), &told["at"]));
        assert!(sender.is_empty().await);
    });
}
