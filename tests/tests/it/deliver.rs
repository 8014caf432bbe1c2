//! Delivering: what goes out, what comes back, and what follows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use data_encoding::BASE64;
use hookwright::signature::SignatureScheme;
use hookwright::time::{Clock as _, SystemClock, Timestamp};
use hookwright_tests::harness::{Mailbox, Posted, Said, Site, Stage, on_each_store, play};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::parity::due_after;

fn said(status: u16) -> Said {
    http::Response::builder().status(status).body(Bytes::new()).expect("an answer")
}

/// From one attempt's end to the next one's beginning, at the least.
fn pauses(delivery: &Value) -> Vec<Duration> {
    let starts: Vec<Timestamp> = delivery["attempt_log"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|attempt| Timestamp::parse(attempt["started_at"].as_str().expect("a time")).expect("a time"))
        .collect();
    starts.windows(2).map(|pair| pair[1].since(pair[0])).collect()
}

#[test]
fn a_delivery_says_who_it_is_and_who_sends_it() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"url": world.receiver.url("/in/box?x=1&y=%2F")})).await;
        world.receiver.expect("/in/box", SignatureScheme::Standard, &endpoint.secret);
        let posted = world.post("a", r#"{"test": 2432232314}"#).await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.method, "POST");
        assert_eq!(arrival.path_and_query, "/in/box?x=1&y=%2F");
        assert_eq!(arrival.header("content-type"), Some("application/json"));
        assert_eq!(arrival.header("content-length"), Some("20"));
        assert!(arrival.header("user-agent").is_some_and(|agent| agent.starts_with("Hookwright/")));
        assert!(arrival.header("webhook-signature").is_some_and(|text| text.starts_with("v1,")));
        let delivery = world.outcome(&posted).await;
        assert_eq!(delivery["state"], "delivered", "the signature is right");
        assert_eq!(arrival.header("webhook-id"), delivery["webhook_id"].as_str());
    });
}

#[test]
fn a_plain_signature_is_the_bodys_with_the_secret_as_it_was_shown() {
    play(async |world| {
        let (header, prefix) = ("X-RevKeen-Signature".to_owned(), "sha256=".to_owned());
        let signature = json!({"scheme": "hmac-sha256", "header": header, "prefix": prefix});
        let endpoint = world.endpoint(json!({"signature": signature})).await;
        world.receiver.expect("/", SignatureScheme::HmacSha256 { header, prefix }, &endpoint.secret);
        let posted = world.post("a", "{}").await;
        let arrival = world.receiver.next().await;
        let value = arrival.header("x-revkeen-signature").expect("signed");
        assert_eq!(value.len(), "sha256=".len() + 64);
        assert_eq!(arrival.header("webhook-signature"), None);
        assert!(arrival.header("webhook-id").is_some());
        assert_eq!(world.outcome(&posted).await["state"], "delivered");
    });
}

#[test]
fn a_body_takes_the_endpoints_form_before_it_is_signed_and_recorded() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({"body": "ecmascript"})).await;
        assert_eq!(endpoint.view["body"], "ecmascript");
        world.receiver.expect("/", SignatureScheme::Standard, &endpoint.secret);
        let posted = world.post("a", r#"{ "b": 1.0, "1": "\u00e9" }"#).await;
        assert_eq!(world.receiver.next().await.body, r#"{"1":"é","b":1}"#);
        let delivery = world.outcome(&posted).await;
        assert_eq!(delivery["state"], "delivered", "signed over these bytes");
        assert_eq!(delivery["attempt_log"][0]["request"]["body"]["content"], r#"{"1":"é","b":1}"#);

        // What the chain made, not what was posted.
        let envelope =
            json!({"members": [{"name": "n", "constant": 2.0}, {"name": "1", "from": "@payload"}]});
        let chain = json!({"transforms": [{"plugin": "envelope", "config": envelope}]});
        world.web.patch(&endpoint.path(), &chain).await.expect(200);
        world.post("a", "7.50").await;
        assert_eq!(world.receiver.next().await.body, r#"{"1":7.5,"n":2}"#);

        let as_is =
            world.web.patch(&endpoint.path(), &json!({"body": null, "transforms": []})).await.expect(200);
        assert_eq!(as_is["body"], "as-is");
        world.post("a", "7.50").await;
        assert_eq!(world.receiver.next().await.body, "7.50");
    });
    play(async |world| {
        let problem = world.refused(json!({"body": "canonical"})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/body");
    });
}

#[test]
fn a_signature_that_the_receiver_refuses_is_a_failed_attempt() {
    play(async |world| {
        world.endpoint(json!({"retry": {"attempts": 1}})).await;
        world.receiver.expect("/", SignatureScheme::Standard, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let posted = world.post("a", "{}").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!(
            (&delivery["state"], &delivery["attempt_log"][0]["status"]),
            (&json!("failed"), &json!(401))
        );
    });
}

#[test]
fn credentials_and_headers_go_along() {
    play(async |world| {
        let bearer = json!({"type": "bearer", "token": "the-token"});
        let headers = json!({"X-Api-Key": "k 1", "X-Empty": "", "User-Agent": "ours/1"});
        let first = world.endpoint(json!({"auth": bearer, "headers": headers})).await;
        world.post("a", "1").await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.header("authorization"), Some("Bearer the-token"));
        assert_eq!(arrival.header("x-api-key"), Some("k 1"));
        assert_eq!(arrival.header("x-empty"), Some(""));
        assert_eq!(arrival.header("user-agent"), Some("ours/1"));
        let basic = json!({"auth": {"type": "basic", "username": "ada", "password": "p:w"}, "headers": null});
        world.web.patch(&first.path(), &basic).await.expect(200);
        world.post("a", "2").await;
        let arrival = world.receiver.next().await;
        let expected = format!("Basic {}", BASE64.encode(b"ada:p:w"));
        assert_eq!(arrival.header("authorization"), Some(expected.as_str()));
        assert_eq!(arrival.header("x-api-key"), None);
    });
}

#[test]
fn the_endpoint_says_which_statuses_are_a_success() {
    play(async |world| {
        let once = json!({"attempts": 1});
        let narrow = world.endpoint(json!({"success": [200, 201, 204], "retry": once})).await;
        for (status, state) in [(200, "delivered"), (201, "delivered"), (204, "delivered"), (202, "failed")] {
            world.receiver.answer(status);
            let posted = world.post("a", "1").await;
            let delivery = world.outcome(&posted).await;
            assert_eq!(delivery["state"], state, "{status}");
            assert_eq!(delivery["attempt_log"][0]["status"], status);
        }
        world.web.patch(&narrow.path(), &json!({"success": "2xx"})).await.expect(200);
        for (status, state) in [(202, "delivered"), (299, "delivered"), (304, "failed"), (400, "failed")] {
            world.receiver.answer(status);
            let posted = world.post("a", "1").await;
            assert_eq!(world.outcome(&posted).await["state"], state, "{status}");
        }
    });
}

#[test]
fn redirects_are_answers_and_not_followed() {
    play(async |world| {
        let elsewhere = Mailbox::open().await;
        world.endpoint(json!({"retry": {"attempts": 1}})).await;
        for status in [301, 302, 307, 308] {
            world.receiver.answer_first_with(status, "location", &elsewhere.url("/"));
            let posted = world.post("a", "1").await;
            let delivery = world.outcome(&posted).await;
            assert_eq!(
                (&delivery["state"], &delivery["attempt_log"][0]["status"]),
                (&json!("failed"), &json!(status))
            );
        }
        let mut elsewhere = elsewhere;
        assert!(elsewhere.is_empty().await);
    });
}

#[test]
fn a_schedule_is_walked_to_its_end_with_one_webhook_id() {
    on_each_store(async |world| {
        world.receiver.answer(500);
        world.endpoint(json!({"retry": {"schedule": ["100ms", "200ms", "100ms"]}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(4)));
        assert_eq!(delivery["due_at"], Value::Null);
        let pauses = pauses(&delivery);
        for (pause, least) in pauses.iter().zip([100, 200, 100]) {
            assert!(*pause >= Duration::from_millis(least), "{pauses:?}");
        }
        let arrivals = world.receiver.take(4).await;
        let id = delivery["webhook_id"].as_str();
        assert!(arrivals.iter().all(|arrival| arrival.header("webhook-id") == id && arrival.body == "1"));
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn every_goes_on_until_it_lands() {
    play(async |world| {
        world.receiver.answer_first([500, 503, 404, 429, 500, 500]);
        world.endpoint(json!({"retry": {"every": "100ms"}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(7)));
    });
}

#[test]
fn every_ends_with_its_time() {
    play(async |world| {
        world.receiver.answer(500);
        world.endpoint(json!({"retry": {"every": "1h", "for": "150m"}})).await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        for attempt in 1..=2 {
            world.attempted(&id, attempt).await;
            world.clock.advance(Duration::from_secs(3_600));
        }
        let delivery = world.ended(&id).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(3)));
    });
}

#[test]
fn a_single_attempt_is_a_single_attempt() {
    play(async |world| {
        world.receiver.answer(500);
        world.endpoint(json!({"retry": {"attempts": 1}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
        assert!(delivery["reason"].to_string().contains("500"), "{delivery}");
    });
}

#[test]
fn a_receiver_may_ask_for_more_time_up_to_a_limit() {
    const LIMIT: Duration = Duration::from_secs(7_200);
    // What jitter adds to a pause of the schedule, and the time that the attempt takes.
    const MORE: Duration = Duration::from_secs(120);
    let stage = Stage::default().with(|config| config.delivery.retry_after_limit = LIMIT);
    stage.play(async |world| {
        world.endpoint(json!({"retry": {"schedule": ["10m"]}})).await;
        let in_a_day = world.clock.now().plus(Duration::from_secs(86_400));
        let date = httpdate::fmt_http_date(UNIX_EPOCH + in_a_day.since(Timestamp::ZERO));
        for (value, seconds) in [("3600", 3_600), (date.as_str(), 7_200), ("soon", 600)] {
            world.receiver.answer_first_with(503, "retry-after", value);
            let posted = world.post("a", "1").await;
            let id = world.only_delivery(&posted).await;
            let pause = due_after(&world.attempted(&id, 1).await);
            let least = Duration::from_secs(seconds);
            assert!((least..least + MORE).contains(&pause), "{value}: {pause:?}");
            world.clock.advance(pause);
            assert_eq!(world.ended(&id).await["state"], "delivered");
        }
    });
}

#[test]
fn gone_ends_the_delivery_and_disables_the_endpoint() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        world.receiver.answer_first([410]);
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(view["enabled"], false);
        assert!(view["disabled_because"].to_string().contains("410"), "{view}");
        let next = world.post("a", "2").await;
        let id = world.only_delivery(&next).await;
        assert_eq!(world.delivery(&id).await["held"], true);
        world.web.patch(&endpoint.path(), &json!({"enabled": true})).await.expect(200);
        assert_eq!(world.ended(&id).await["state"], "delivered");
    });
}

#[test]
fn a_receiver_that_is_too_slow_is_let_go() {
    play(async |world| {
        world.receiver.hang();
        world.endpoint(json!({"timeout": "200ms", "retry": {"attempts": 1}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        let attempt = &delivery["attempt_log"][0];
        assert_eq!((&attempt["outcome"], &attempt["kind"]), (&json!("unreachable"), &json!("timeout")));
        assert!(attempt["reason"].to_string().contains("200"), "{attempt}");
        assert!(
            attempt["duration_ms"].as_f64().is_some_and(|ms| (200.0..60_000.0).contains(&ms)),
            "{attempt}"
        );
    });
}

#[test]
fn what_is_no_answer_is_named() {
    play(async |world| {
        let closed = Mailbox::open().await.url("/");
        let silent = Site::raw(b"").await;
        let garbled = Site::raw(b"SMTP ready\r\n\r\n").await;
        let cut = Site::raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nshort").await;
        for (url, kind) in [
            (closed, "connect"),
            (silent.url("/"), "protocol"),
            (garbled.url("/"), "protocol"),
            (cut.url("/"), "protocol"),
            ("http://nowhere.invalid/".to_owned(), "dns"),
        ] {
            let endpoint = world.endpoint(json!({"url": url, "retry": {"attempts": 1}})).await;
            let posted = world.post("a", "1").await;
            let delivery = world.outcome(&posted).await;
            let attempt = &delivery["attempt_log"][0];
            assert_eq!(
                (&delivery["state"], &attempt["kind"]),
                (&json!("failed"), &json!(kind)),
                "{delivery:#}"
            );
            assert!(attempt["reason"].is_string() && attempt["request"].is_object());
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn a_name_that_leads_to_a_refused_address_is_not_followed() {
    play(async |world| {
        // `localhost` is opened for IPv4 alone; the other loopback is refused when the name is resolved.
        let url = world.receiver.url("/").replace("127.0.0.1", "[::1]");
        let problem = world.refused(json!({"url": url})).await;
        assert!(problem["errors"][0]["message"].to_string().contains("--allow-target ::1/128"), "{problem}");
    });
}

#[test]
fn a_long_answer_is_cut() {
    play(async |world| {
        let site = Site::open(|_| http::Response::new(Bytes::from(vec![b'x'; 1 << 20]))).await;
        world.endpoint(json!({"url": site.url("/")})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        assert_eq!(delivery["state"], "delivered");
        let body = &delivery["attempt_log"][0]["response"]["body"];
        assert_eq!(body["truncated"], true);
        assert_eq!(body["content"].as_str().map(str::len), Some(16 << 10));
    });
}

#[test]
fn a_rate_limit_is_kept() {
    play(async |world| {
        let limit = json!({"requests": 2, "per": "300ms"});
        world.endpoint(json!({"rate_limit": limit})).await;
        let begun = SystemClock.now();
        // At once, so that nothing but the rate comes between them.
        let all: Vec<_> = (0..6).map(|n| json!({"type": "a", "payload": n})).collect();
        world.web.post("/v1/events", &json!(all)).await.expect(202);
        let arrivals = world.receiver.take(6).await;
        let times: Vec<Duration> = arrivals.iter().map(|arrival| arrival.at.since(begun)).collect();
        // From the first one's beginning: how long each is on its way may differ.
        for (arrival, least) in [(2, 300), (4, 600)] {
            assert!(times[arrival] >= Duration::from_millis(least), "{times:?}");
        }
    });
}

/// Where requests wait, and how many were there at once at the most.
struct Room {
    inside: AtomicUsize,
    most: AtomicUsize,
    leave: Semaphore,
}

#[test]
fn an_endpoint_gets_no_more_at_once_than_it_wants() {
    play(async |world| {
        let room = Arc::new(Room { inside: 0.into(), most: 0.into(), leave: Semaphore::new(0) });
        let waiting = Arc::clone(&room);
        let site = Site::open_async(move |_| {
            let room = Arc::clone(&waiting);
            async move {
                let inside = room.inside.fetch_add(1, Ordering::SeqCst) + 1;
                room.most.fetch_max(inside, Ordering::SeqCst);
                room.leave.acquire().await.expect("open").forget();
                room.inside.fetch_sub(1, Ordering::SeqCst);
                said(200)
            }
        })
        .await;
        world.endpoint(json!({"url": site.url("/"), "concurrency": 3})).await;
        let mut posted: Vec<Posted> = Vec::new();
        for n in 0..9 {
            posted.push(world.post("a", &n.to_string()).await);
        }
        world
            .until("three are there", async || (room.inside.load(Ordering::SeqCst) == 3).then_some(()))
            .await;
        room.leave.add_permits(9);
        for posted in &posted {
            assert_eq!(world.outcome(posted).await["state"], "delivered");
        }
        assert_eq!(room.most.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn an_endpoint_that_hangs_holds_up_nobody_else() {
    // Room for few requests in all, so that one could take it.
    let stage = Stage::default().with(|config| {
        config.delivery.max_in_flight = 8;
        config.delivery.backlog_deliveries = 40;
    });
    stage.play(async |world| {
        let mut hanging = Mailbox::open().await;
        hanging.hang();
        world.endpoint(json!({"url": hanging.url("/"), "concurrency": 100, "timeout": "60s"})).await;
        for n in 0..60 {
            world.post("a", &n.to_string()).await;
        }
        hanging.next().await;
        world.endpoint(json!({})).await;
        for n in 0..60 {
            world.post("a", &format!("\"{n}\"")).await;
        }
        let arrivals = world.receiver.take(60).await;
        assert_eq!(arrivals.len(), 60);
        drop(hanging);
    });
}

#[test]
fn patterns_and_channels_decide_who_gets_an_event() {
    on_each_store(async |world| {
        for (name, spec) in [
            ("all", json!({"events": ["*"]})),
            ("group", json!({"events": ["invoice.*"]})),
            ("exact", json!({"events": ["invoice.paid", "order.made"]})),
            ("east", json!({"events": ["*"], "channels": ["east"]})),
            ("east-or-west", json!({"events": ["*"], "channels": ["east", "west"]})),
        ] {
            let mut spec = spec;
            spec["url"] = world.receiver.url(&format!("/{name}")).into();
            world.endpoint(spec).await;
        }
        for (event_type, channels, wanted) in [
            ("invoice.paid", json!([]), vec!["all", "exact", "group"]),
            ("invoice.line.added", json!([]), vec!["all", "group"]),
            ("invoice", json!([]), vec!["all"]),
            ("order.made", json!(["west"]), vec!["all", "east-or-west", "exact"]),
            ("other", json!(["west", "east"]), vec!["all", "east", "east-or-west"]),
            ("other", json!(["north"]), vec!["all"]),
        ] {
            let posted = world.post_with(event_type, "1", json!({"channels": channels})).await;
            assert_eq!(posted.deliveries, wanted.len() as u64, "{event_type} {channels}");
            let mut got: Vec<String> = world
                .receiver
                .take(wanted.len())
                .await
                .iter()
                .map(|arrival| arrival.path()[1..].to_owned())
                .collect();
            got.sort();
            assert_eq!(got, wanted, "{event_type} {channels}");
        }
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn nothing_crosses_from_one_tenant_to_another() {
    on_each_store(async |world| {
        world.endpoint(json!({"tenant": "a", "url": world.receiver.url("/a")})).await;
        world.endpoint(json!({"tenant": "b", "url": world.receiver.url("/b")})).await;
        world.endpoint(json!({"url": world.receiver.url("/default")})).await;
        for (more, path) in
            [(json!({"tenant": "a"}), "/a"), (json!({"tenant": "b"}), "/b"), (json!({}), "/default")]
        {
            let posted = world.post_with("x", "1", more).await;
            assert_eq!(posted.deliveries, 1);
            assert_eq!(world.receiver.next().await.path(), path);
            world.outcome(&posted).await;
        }
        assert!(world.receiver.is_empty().await);
        assert_eq!(world.deliveries("tenant=a").await.len(), 1);
        assert_eq!(
            world.web.get("/v1/events?tenant=b").await.expect(200)["items"].as_array().map(Vec::len),
            Some(1)
        );
    });
}

#[test]
fn connections_are_used_again() {
    play(async |world| {
        let site = Site::open(|_| said(200)).await;
        world.endpoint(json!({"url": site.url("/")})).await;
        for n in 0..10 {
            let posted = world.post("a", &n.to_string()).await;
            assert_eq!(world.outcome(&posted).await["state"], "delivered");
        }
        // A request may come while the connection is still on its way back to the idle ones.
        let connections = site.connections();
        assert!(connections <= 3, "{connections} for 10 requests");
    });
}

#[test]
fn what_is_too_old_ends_as_failed() {
    let stage = Stage::default().with(|config| config.delivery.max_age = Duration::from_secs(3_600));
    stage.play(async |world| {
        let endpoint = world.endpoint(json!({"enabled": false})).await;
        let posted = world.post("a", "1").await;
        world.clock.advance(Duration::from_secs(3_601));
        world.web.patch(&endpoint.path(), &json!({"enabled": true})).await.expect(200);
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(0)));
        assert!(delivery["reason"].to_string().contains("max_age"), "{delivery}");
        assert!(world.receiver.is_empty().await);
    });
}

/// What housekeeping ends, before anybody takes it up again, is told as what an attempt ends.
#[test]
fn what_grew_too_old_while_it_was_held_is_told() {
    for memory in [false, true] {
        let stage = Stage::default().with(|config| config.delivery.max_age = Duration::from_secs(3_600));
        let stage = if memory { stage.in_memory() } else { stage };
        stage.play(async |world| {
            let held = world.endpoint(json!({"events": ["a"], "enabled": false})).await;
            let mut listener = Mailbox::open().await;
            let events = json!(["hookwright.delivery.failed"]);
            world.endpoint(json!({"events": events, "url": listener.url("/")})).await;
            let posted = world.post("a", "1").await;
            world.clock.advance(Duration::from_secs(3_601));
            // Housekeeping begins with what is too old.
            world.restart().await;
            let told: Value = serde_json::from_slice(&listener.next().await.body).expect("JSON");
            assert_eq!((&told["endpoint"]["id"], &told["event"]["id"]), (&json!(held.id), &json!(posted.id)));
            assert!(told["reason"].to_string().contains("max_age"), "{told}");
            assert_eq!(world.outcome(&posted).await["state"], "failed");
            assert!(listener.is_empty().await);
        });
    }
}

#[test]
fn a_long_schedule_goes_by_the_clock() {
    on_each_store(async |world| {
        world.receiver.answer_first([500, 500]);
        world.endpoint(json!({"retry": {"schedule": ["2h", "24h"]}})).await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        world.clock.advance(Duration::from_secs(3 * 3_600));
        world.attempted(&id, 2).await;
        world.clock.advance(Duration::from_secs(27 * 3_600));
        assert_eq!(world.ended(&id).await["state"], "delivered");
    });
}
