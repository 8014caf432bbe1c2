//! Posting events.

use std::net::SocketAddr;
use std::time::Duration;

use hookwright::config::Size;
use hookwright_tests::harness::{Posted, Stage, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const NDJSON: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

/// Everything about it is what a parser that is not careful would change.
const DELICATE: &str = "{ \"n\":12345678901234567890.10,\t\"z\" : 1,\r\n \"a\":[ 1e400, -0, 1.0 ],\"u\":\"\\u00e4\\ud83d\\ude00 \
                        ä😀\\/\", \"a\" : \"twice\" }";

async fn post_keyed(world: &World, key: &str, body: &str) -> hookwright_tests::harness::Answer {
    world.web.send(Method::POST, "/v1/events", &[("idempotency-key", key)], body.to_owned()).await
}

#[test]
fn an_event_is_answered_with_its_id_and_its_deliveries_and_is_there_at_once() {
    on_each_store(async |world| {
        let posted = world.post("document.exported", "{}").await;
        assert!(posted.id.starts_with("evt_"), "{posted:?}");
        assert_eq!((posted.deliveries, posted.duplicate), (0, false));
        world.endpoint(json!({})).await;
        world.endpoint(json!({"events": ["document.*"]})).await;
        world.endpoint(json!({"events": ["invoice.paid"]})).await;
        let posted = world.post("document.exported", "{}").await;
        assert_eq!(posted.deliveries, 2);
        assert_eq!(world.event(&posted.id).await["deliveries"].as_array().map(Vec::len), Some(2));
    });
}

#[test]
fn an_accepted_event_survives_a_host_that_stops_at_once() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"enabled": false})).await;
        let posted = world.post("a", DELICATE).await;
        world.restart().await;
        assert_eq!(world.deliveries(&format!("event={}", posted.id)).await[0]["held"], true);
        world.web.patch(&endpoint.path(), &json!({"enabled": true})).await.expect(200);
        assert_eq!(world.receiver.next().await.body, DELICATE);
    });
}

#[test]
fn a_payload_arrives_byte_for_byte() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        for payload in [DELICATE, "null", "\"\"", "12345678901234567890.10", "[\n]", "{}"] {
            let posted = world.post("a", payload).await;
            let arrival = world.receiver.next().await;
            assert_eq!(arrival.body, payload);
            assert_eq!(arrival.header("content-type"), Some("application/json"));
            let shown = world.web.get(&format!("/v1/events/{}", posted.id)).await;
            assert!(shown.text().contains(payload), "{payload} in {}", shown.text());
        }
    });
}

#[test]
fn a_flattened_payload_keeps_its_numbers() {
    play(async |world| {
        world.endpoint(json!({"transforms": [{"plugin": "flatten"}]})).await;
        world.post("a", r#"{"outer":{"n":12345678901234567890.10,"m":-1E+2}}"#).await;
        let arrival = world.receiver.next().await;
        let body = String::from_utf8_lossy(&arrival.body);
        assert!(body.contains("12345678901234567890.10") && body.contains("-1E+2"), "{body}");
    });
}

#[test]
fn a_batch_answers_for_each_of_its_items() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        let items = [
            r#"{"type":"a","payload":{"n":1.0}}"#,
            r#"{"type":"a"}"#,
            r#"{"type":"a","payload":2,"id":"x"}"#,
            r#"{"type":"a","payload":2,"id":"x"}"#,
            r#"{"type":"a","payload":3,"id":"x"}"#,
        ];
        let array = world.post_raw(format!("[{}]", items.join(" ,\n"))).await.expect(207);
        assert_eq!((&array["accepted"], &array["refused"]), (&json!(3), &json!(2)), "{array:#}");
        let statuses: Vec<&Value> = (0..5).map(|index| &array["items"][index]["status"]).collect();
        assert_eq!(statuses, [202, 422, 202, 202, 409]);
        assert_eq!(array["items"][2]["id"], array["items"][3]["id"]);
        assert_eq!(array["items"][3]["duplicate"], true);
        assert_eq!(array["items"][1]["problem"]["errors"][0]["pointer"], "/payload", "{array:#}");
        let bodies: Vec<_> = world.receiver.take(2).await.into_iter().map(|arrival| arrival.body).collect();
        assert!(bodies.contains(&"{\"n\":1.0}".into()) && bodies.contains(&"2".into()), "{bodies:?}");

        let lines = format!("{}\r\n\n{}\n", items[0], r#"{"type":"b","payload":"ä"}"#);
        let lines = world.web.send(Method::POST, "/v1/events", &NDJSON, lines).await.expect(202);
        assert_eq!((&lines["accepted"], &lines["refused"]), (&json!(2), &json!(0)));
        world.receiver.take(2).await;
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn an_event_posted_again_is_the_same_event() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        let body = r#"{"type":"a","payload":{"n":1},"id":"order-1"}"#;
        let first: Posted = world.post_raw(body).await.expect(202).into();
        let again: Posted = world.post_raw(body).await.expect(202).into();
        assert_eq!((&again.id, again.deliveries, again.duplicate), (&first.id, 1, true));
        let keyed: Posted =
            post_keyed(world, "order-1", r#"{"type":"a","payload":{"n":1}}"#).await.expect(202).into();
        assert_eq!((keyed.id, keyed.duplicate), (first.id.clone(), true));
        for other in [
            r#"{"type":"a","payload":{"n":2},"id":"order-1"}"#,
            r#"{"type":"b","payload":{"n":1},"id":"order-1"}"#,
            r#"{"type":"a","payload":{"n":1},"id":"order-1","channels":["x"]}"#,
            r#"{"type":"a","payload":{ "n":1},"id":"order-1"}"#,
        ] {
            let problem = world.post_raw(other).await.problem(409);
            assert!(problem["detail"].to_string().contains(&first.id), "{problem}");
        }
        let elsewhere = r#"{"type":"a","payload":{"n":1},"id":"order-1","tenant":"other"}"#;
        let elsewhere: Posted = world.post_raw(elsewhere).await.expect(202).into();
        assert!(!elsewhere.duplicate && elsewhere.id != first.id);
        world.receiver.next().await;
        world.outcome(&first).await;
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn the_same_event_posted_by_many_at_once_is_taken_on_once() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        let posts: Vec<_> = (0..20)
            .map(|_| {
                let web = world.web.clone();
                tokio::spawn(async move {
                    let body = r#"{"type":"a","payload":1,"id":"one"}"#;
                    web.send(Method::POST, "/v1/events", &[], body).await
                })
            })
            .collect();
        let mut posted: Vec<Posted> = Vec::new();
        for post in posts {
            posted.push(post.await.expect("no panic").expect(202).into());
        }
        assert_eq!(posted.iter().filter(|posted| !posted.duplicate).count(), 1);
        assert!(posted.iter().all(|other| other.id == posted[0].id && other.deliveries == 1));
        world.outcome(&posted[0]).await;
        world.receiver.next().await;
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_key_that_contradicts_the_event_is_refused() {
    play(async |world| {
        let both = r#"{"type":"a","payload":1,"id":"x"}"#;
        post_keyed(world, "y", both).await.problem(400);
        post_keyed(world, "x", both).await.expect(202);
        post_keyed(world, "x", &format!("[{both}]")).await.problem(400);
        post_keyed(world, "", r#"{"type":"a","payload":1}"#).await.problem(400);
        post_keyed(world, &"k".repeat(10_000), r#"{"type":"a","payload":1}"#).await.problem(400);
    });
}

#[test]
fn what_is_no_event_is_refused_with_the_place() {
    play(async |world| {
        for (body, status, pointer) in [
            ("", 400, None),
            ("{", 400, None),
            ("[", 400, None),
            ("[]", 422, Some("")),
            ("7", 422, Some("")),
            ("{}", 422, Some("/type")),
            (r#"{"type":"a"}"#, 422, Some("/payload")),
            (r#"{"type":"a","payload":1,"colour":1}"#, 422, Some("")),
            (r#"{"type":"a","payload":1,"type":"b"}"#, 422, Some("")),
            (r#"{"type":"hookwright.endpoint.disabled","payload":1}"#, 422, Some("/type")),
            (r#"{"type":"*","payload":1}"#, 422, Some("/type")),
            (r#"{"type":1,"payload":1}"#, 422, Some("/type")),
            (r#"{"type":"a","payload":1,"tenant":"a/b"}"#, 422, Some("/tenant")),
            (r#"{"type":"a","payload":1,"timestamp":"yesterday"}"#, 422, Some("/timestamp")),
            (r#"{"type":"a","payload":1,"channels":"x"}"#, 422, Some("/channels")),
            (r#"{"type":"a","payload":1,"id":7}"#, 422, Some("/id")),
        ] {
            let problem = world.post_raw(body).await.problem(status);
            let place = problem["errors"][0]["pointer"].as_str();
            assert_eq!(place, pointer, "{body}: {problem}");
        }
        let text = [("content-type", "text/plain")];
        world.web.send(Method::POST, "/v1/events", &text, "{}").await.problem(415);
        assert_eq!(world.web.get("/v1/events").await.expect(200)["items"], json!([]));
    });
}

#[test]
fn nobody_without_the_key_is_let_in() {
    play(async |world| {
        let stranger = world.web.without_key();
        for path in ["/v1/events", "/v1/endpoints", "/v1/deliveries", "/v1/plugins", "/metrics"] {
            let answer = stranger.get(path).await;
            answer.problem(401);
            assert!(answer.header("www-authenticate").is_some());
        }
        stranger.post("/v1/events", &json!({"type": "a", "payload": 1})).await.problem(401);
        let wrong = [("authorization", "Bearer hwk_wrong")];
        stranger.send(Method::GET, "/v1/events", &wrong, "").await.problem(401);
        assert_eq!(world.web.get("/v1/events").await.expect(200)["items"], json!([]));
        for open in ["/healthz", "/readyz"] {
            assert_eq!(stranger.get(open).await.status, 200);
        }
    });
}

#[test]
fn too_much_at_once_is_refused() {
    let stage = Stage::default().with(|config| {
        config.ingest.event_limit = Size(1_000);
        config.ingest.batch_limit = Size(4_000);
        config.ingest.batch_items = 3;
        config.ingest.json_depth = 5;
    });
    stage.play(async |world| {
        let event = |payload: usize| {
            format!(
                r#"{{"type":"a","payload":"{}"}}"#,
                "x".repeat(payload - r#"{"type":"a","payload":""}"#.len())
            )
        };
        world.post_raw(event(1_000)).await.expect(202);
        let problem = world.post_raw(event(1_001)).await.problem(413);
        assert!(problem["detail"].to_string().contains("1000"), "{problem}");

        let batch = |events: &[String]| format!("[{}]", events.join(","));
        world.post_raw(batch(&[event(900), event(900), event(900)])).await.expect(202);
        let parted = world.post_raw(batch(&[event(900), event(1_001)])).await.expect(207);
        assert_eq!(parted["items"][1]["status"], 413);
        world.post_raw(batch(&[event(1_500), event(1_500), event(1_500)])).await.problem(413);
        let many = world.post_raw(batch(&[event(50), event(50), event(50), event(50)])).await.problem(413);
        assert!(many["detail"].to_string().contains('3'), "{many}");
        let lines = [event(50), event(50), event(50), event(50)].join("\n");
        world.web.send(Method::POST, "/v1/events", &NDJSON, lines).await.problem(413);

        world.post("a", "[[[[1]]]]").await;
        let deep = world.post_raw(r#"{"type":"a","payload":[[[[[1]]]]]}"#).await.problem(400);
        assert!(deep["detail"].to_string().contains('5'), "{deep}");
    });
}

/// A connection of our own, to be as slow as we like.
async fn slowly(address: SocketAddr, pieces: &[&str]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    for piece in pieces {
        stream.write_all(piece.as_bytes()).await.expect("to write");
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn slow_clients_are_told_so_and_let_go() {
    let stage = Stage::default().with(|config| {
        config.server.header_timeout = Duration::from_secs(2);
        config.ingest.body_timeout = Duration::from_secs(2);
    });
    stage.play(async |world| {
        let address = world.web.address();
        let half_a_head = ["POST /v1/events HTTP/1.1\r\nhost: x\r\nx-slow: "];
        let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer hwk_of-the-tests\r\n\
                    content-length: 100\r\n\r\n";
        let half_a_body = [head, "{\"type\":"];
        let (head, body) = tokio::join!(slowly(address, &half_a_head), slowly(address, &half_a_body));
        assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
        assert!(body.starts_with("HTTP/1.1 408") && body.contains("ingest.body_timeout"), "{body}");
        world.post("a", "1").await;
    });
}

/// Sends nearly all of its body, and holds its room until it goes away.
async fn nearly_full(address: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    let head = "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer hwk_of-the-tests\r\n\
                content-length: 99995\r\n\r\n";
    stream.write_all(head.as_bytes()).await.expect("to write");
    stream.write_all(&[b' '; 99_990]).await.expect("to write");
    stream
}

#[test]
fn more_bytes_than_the_host_has_room_for_are_put_off() {
    let stage = Stage::default().with(|config| {
        config.ingest.event_limit = Size(100_000);
        config.ingest.batch_limit = Size(100_000);
        config.ingest.in_flight_bytes = Size(100_000);
    });
    stage.play(async |world| {
        let mut slow: Option<TcpStream> = None;
        let refused = async || {
            // Where the two met, the slow one may have been put off: then once more, with a head start.
            if slow.as_ref().is_none_or(|slow| slow.try_read(&mut [0]).is_ok()) {
                slow = Some(nearly_full(world.web.address()).await);
                return None;
            }
            let answer = world.post_raw(r#"{"type":"a","payload":1}"#).await;
            (answer.status != 202).then_some(answer)
        };
        let answer = world.until("there is no room", refused).await;
        answer.problem(503);
        assert_eq!(answer.header("retry-after"), Some("1"));
        drop(slow);
        world
            .until("there is room again", async || {
                (world.post_raw(r#"{"type":"a","payload":1}"#).await.status == 202).then_some(())
            })
            .await;
    });
}
