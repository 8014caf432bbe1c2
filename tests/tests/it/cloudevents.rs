//! Posting CloudEvents. The events are the examples of the CloudEvents specification, version 1.0.2: its JSON format
//! and its HTTP binding.

use hookwright::config::Size;
use hookwright_tests::harness::{Answer, Posted, Stage, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};

const STRUCTURED: &str = "application/cloudevents+json; charset=UTF-8";
const BATCH: &str = "application/cloudevents-batch+json";

const WITH_DATA: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "subject": null,
    "id" : "C234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "datacontenttype" : "application/json",
    "data" : {
        "appinfoA" : "abc",
        "appinfoB" : 123,
        "appinfoC" : true
    }
}"#;
const DATA: &str = r#"{
        "appinfoA" : "abc",
        "appinfoB" : 123,
        "appinfoC" : true
    }"#;

const WITH_TEXT: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "subject": null,
    "id" : "D234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "data" : "I'm just a string"
}"#;

const WITH_XML: &str = r#"{
    "specversion" : "1.0",
    "type" : "com.example.someevent",
    "source" : "/mycontext",
    "id" : "B234-1234-1234",
    "time" : "2018-04-05T17:31:00Z",
    "comexampleextension1" : "value",
    "comexampleothervalue" : 5,
    "unsetextension": null,
    "datacontenttype" : "application/xml",
    "data" : "<much wow=\"xml\"/>"
}"#;

async fn post(world: &World, headers: &[(&str, &str)], body: impl Into<bytes::Bytes>) -> Answer {
    world.web.send(Method::POST, "/v1/events", headers, body).await
}

async fn structured(world: &World, body: &str) -> Answer {
    post(world, &[("content-type", STRUCTURED)], body.to_owned()).await
}

#[test]
fn a_structured_event_is_delivered_with_its_data() {
    on_each_store(async |world| {
        world.endpoint(json!({"events": ["com.example.*"]})).await;
        let posted: Posted = structured(world, WITH_DATA).await.expect(202).into();
        assert_eq!(world.receiver.next().await.body, DATA, "byte for byte");
        let event = world.event(&posted.id).await;
        assert_eq!(event["type"], "com.example.someevent");
        assert_eq!(event["producer_id"], "/mycontext C234-1234-1234");
        assert_eq!(event["timestamp"], "2018-04-05T17:31:00Z");

        let again: Posted = structured(world, WITH_DATA).await.expect(202).into();
        assert_eq!((again.id, again.duplicate), (posted.id, true));
        let elsewhere = WITH_DATA.replace("/mycontext", "/another");
        let elsewhere: Posted = structured(world, &elsewhere).await.expect(202).into();
        assert!(!elsewhere.duplicate, "another source's id is another event");
        structured(world, &WITH_DATA.replace("123,", "124,")).await.problem(409);

        structured(world, WITH_TEXT).await.expect(202);
        let bodies: Vec<_> = world.receiver.take(2).await.into_iter().map(|arrival| arrival.body).collect();
        assert!(bodies.contains(&"\"I'm just a string\"".into()), "{bodies:?}");
    });
}

#[test]
fn a_binary_event_is_the_same_event() {
    play(async |world| {
        world.endpoint(json!({"channels": ["eu"]})).await;
        let headers = [
            ("ce-specversion", "1.0"),
            ("ce-type", "com.example.someevent"),
            ("ce-time", "2018-04-05T03:56:24Z"),
            ("ce-id", "1234-1234-1234"),
            ("ce-source", "/mycontext/subcontext"),
            ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("ce-channels", "%65u,us"),
            ("content-type", "application/json; charset=utf-8"),
        ];
        // Begins as a batch does, and is none.
        let data = "[ {\"n\": 1.0} ]\n";
        let posted: Posted = post(world, &headers, data).await.expect(202).into();
        assert_eq!((posted.deliveries, posted.duplicate), (1, false));
        assert_eq!(world.receiver.next().await.body, data);
        let event = world.event(&posted.id).await;
        assert_eq!(event["producer_id"], "/mycontext/subcontext 1234-1234-1234");
        assert_eq!(
            (&event["channels"], &event["timestamp"]),
            (&json!(["eu", "us"]), &json!("2018-04-05T03:56:24Z"))
        );

        let structured_form = json!({
            "specversion": "1.0", "type": "com.example.someevent", "time": "2018-04-05T03:56:24Z",
            "id": "1234-1234-1234", "source": "/mycontext/subcontext", "channels": "eu,us",
            "data_base64": data_encoding::BASE64.encode(data.as_bytes()),
        });
        let same: Posted = structured(world, &structured_form.to_string()).await.expect(202).into();
        assert_eq!((same.id, same.duplicate), (posted.id, true));
    });
}

#[test]
fn a_batch_answers_for_each_of_its_events() {
    on_each_store(async |world| {
        world.endpoint(json!({})).await;
        let version = WITH_DATA.replace("\"1.0\"", "\"0.3\"");
        let batch = format!("[ {WITH_DATA},\n{WITH_XML} , {version}, {WITH_TEXT}]");
        let answer = post(world, &[("content-type", BATCH)], batch).await.expect(207);
        let statuses: Vec<&Value> = (0..4).map(|index| &answer["items"][index]["status"]).collect();
        assert_eq!(statuses, [202, 415, 422, 202], "{answer:#}");
        let place = &answer["items"][2]["problem"]["errors"][0]["pointer"];
        assert_eq!(place, "/specversion");
        world.receiver.take(2).await;

        let empty = post(world, &[("content-type", BATCH)], "[]").await.expect(202);
        assert_eq!(empty, json!({"accepted": 0, "refused": 0, "items": []}));
    });
}

#[test]
fn what_is_no_cloudevent_is_refused() {
    let stage = Stage::default().with(|config| {
        config.ingest.event_limit = Size(2_000);
        config.ingest.batch_items = 2;
    });
    stage.play(async |world| {
        structured(world, WITH_XML).await.problem(415);
        structured(world, "[]").await.problem(422);
        structured(world, &format!("[{WITH_DATA}]")).await.problem(422);
        structured(world, "{").await.problem(400);
        let missing = structured(world, r#"{"specversion":"1.0"}"#).await.problem(422);
        let places: Vec<&Value> = (0..3).map(|index| &missing["errors"][index]["pointer"]).collect();
        assert_eq!(places, ["/id", "/source", "/type"]);
        post(world, &[("content-type", "application/cloudevents+avro")], "x").await.problem(415);
        post(world, &[("content-type", "application/cloudevents-batch+xml")], "x").await.problem(415);
        post(world, &[("content-type", BATCH)], WITH_DATA).await.problem(422);
        post(world, &[("content-type", BATCH)], format!("[{WITH_DATA},{WITH_DATA},{WITH_DATA}]"))
            .await
            .problem(413);
        let keyed = [("content-type", STRUCTURED), ("idempotency-key", "C234-1234-1234")];
        post(world, &keyed, WITH_DATA).await.problem(400);
        let nameless =
            post(world, &[("ce-id", "1"), ("ce-source", "/s"), ("ce-specversion", "1.0")], "1").await;
        assert!(nameless.problem(422)["detail"].to_string().contains("`ce-type`"));
        let large = format!("\"{}\"", "x".repeat(2_000));
        let binary = [
            ("ce-id", "1"),
            ("ce-source", "/s"),
            ("ce-specversion", "1.0"),
            ("ce-type", "a"),
            ("content-type", "text/json"),
        ];
        post(world, &binary, large).await.problem(413);
        post(world, &binary, "{").await.problem(400);
        assert_eq!(world.web.get("/v1/events").await.expect(200)["items"], json!([]));
        post(world, &binary, "{}").await.expect(202);
    });
}
