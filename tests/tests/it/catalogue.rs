//! Event types and versions, over the API.

use hookwright::config::UnknownTypes;
use hookwright_tests::harness::{Answer, Stage, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};

async fn put_type(world: &World, name: &str, body: &str) -> Answer {
    world.web.send(Method::PUT, &format!("/v1/event-types/{name}"), &[], body.to_owned()).await
}

/// The places that a problem names.
fn places(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().expect("errors");
    errors.iter().map(|error| error["pointer"].as_str().expect("a pointer")).collect()
}

#[test]
fn what_is_put_comes_back_byte_for_byte_and_survives_a_restart() {
    play(async |world| {
        let samples = r#"[{ "z" : 12345678901234567890.10,"a":1E+040, "t":"\u00e9" },"x",null]"#;
        let schema = r#"{"type" : ["object","string","null"], "z":1.50,"a":{}}"#;
        let body =
            format!(r#"{{"group":"Invoices","description":"d","samples":{samples},"schema":{schema}}}"#);
        let created = put_type(world, "invoice.paid", &body).await;
        created.expect(201);
        put_type(world, "invoice.paid", &body).await.expect(200);
        world.restart().await;
        let shown = world.web.get("/v1/event-types/invoice.paid").await;
        shown.expect(200);
        for part in [r#"{ "z" : 12345678901234567890.10,"a":1E+040, "t":"\u00e9" }"#, schema] {
            assert!(shown.text().contains(part), "{part} in {}", shown.text());
        }
        // What was shown can be put back.
        let again = put_type(world, "invoice.paid", shown.text()).await;
        assert_eq!(again.expect(200)["created_at"], created.json()["created_at"]);

        let change = json!({"description": "new", "deprecated": true});
        let changed = world.web.patch("/v1/event-types/invoice.paid", &change).await.expect(200);
        assert_eq!((&changed["group"], &changed["description"]), (&json!("Invoices"), &json!("new")));
        assert_eq!(changed["sample_count"], 3);
        assert!(changed["deprecated_since"].is_string());
        put_type(world, "invoice.paid", "{}").await.expect(200);
        assert_eq!(world.web.get("/v1/event-types/invoice.paid").await.json()["schema"], Value::Null);
        world.web.delete("/v1/event-types/invoice.paid").await.expect(204);
        world.web.delete("/v1/event-types/invoice.paid").await.problem(404);
        world.web.get("/v1/event-types/invoice.paid").await.problem(404);
        world.web.patch("/v1/event-types/invoice.paid", &json!({})).await.problem(404);
        put_type(world, "hookwright.x", "{}").await.problem(422);
    });
}

#[test]
fn a_schema_refuses_what_does_not_fit_and_says_where() {
    on_each_store(async |world| {
        let schema = r##"{"schema":{"type":"object","required":["id"],"properties":{
            "total":{"type":"number","minimum":0},
            "lines":{"items":{"$ref":"#/$defs/line"}}
        },"$defs":{"line":{"properties":{"amount":{"type":"number"}}}}},"check":true}"##;
        put_type(world, "invoice.paid", schema).await.expect(201);
        let refused =
            |payload: &str| world.post_raw(format!(r#"{{"type":"invoice.paid","payload":{payload}}}"#));
        for (payload, place) in [
            ("{}", "/payload"),
            ("7", "/payload"),
            (r#"{"id":1,"total":"12"}"#, "/payload/total"),
            (r#"{"id":1,"lines":[{"amount":1},{"amount":"x"}]}"#, "/payload/lines/1/amount"),
            (r#"{"id":1,"id":2}"#, "/payload"),
        ] {
            let problem = refused(payload).await.problem(422);
            assert_eq!(places(&problem), [place], "{payload}: {problem}");
        }
        // Numbers that no `f64` holds are numbers all the same.
        for payload in [
            r#"{"id":1,"total":12345678901234567890.10}"#,
            r#"{"id":1,"total":1e400}"#,
            r#"{"id":123456789012345678901234567890}"#,
        ] {
            refused(payload).await.expect(202);
        }
        let batch = r#"[{"type":"invoice.paid","payload":{"id":1}},{"type":"invoice.paid","payload":{"id":1,"total":-1}}]"#;
        let answer = world.post_raw(batch).await.expect(207);
        assert_eq!(
            (&answer["items"][0]["status"], &answer["items"][1]["status"]),
            (&json!(202), &json!(422))
        );
        assert_eq!(answer["items"][1]["index"], 1);
        assert_eq!(places(&answer["items"][1]["problem"]), ["/payload/total"]);

        // Not checked, and for another type, nothing is refused.
        world.web.patch("/v1/event-types/invoice.paid", &json!({"check": false})).await.expect(200);
        refused("7").await.expect(202);
        world.post("invoice.voided", "7").await;
    });
}

#[test]
fn cloud_events_are_checked_too() {
    play(async |world| {
        put_type(world, "a.b", r#"{"schema":{"properties":{"n":{"type":"number"}}},"check":true}"#)
            .await
            .expect(201);
        let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"a.b","data":{"n":"x"}}"#;
        let headers = [("content-type", "application/cloudevents+json")];
        let problem = world.web.send(Method::POST, "/v1/events", &headers, event).await.problem(422);
        assert_eq!(places(&problem), ["/data/n"]);
    });
}

#[test]
fn schemas_and_samples_that_cannot_be_are_refused() {
    play(async |world| {
        for (body, place) in [
            (r#"{"schema":{"$ref":"http://127.0.0.1:1/x.json"}}"#, "/schema/$ref"),
            (r#"{"schema":{"items":{"$ref":"other.json#/a"}}}"#, "/schema/items/$ref"),
            (r#"{"schema":{"type":"colour"}}"#, "/schema/type"),
            (r#"{"schema":{"type":"object"},"check":true,"samples":[{},7]}"#, "/samples/1"),
        ] {
            let problem = put_type(world, "a", body).await.problem(422);
            assert_eq!(places(&problem), [place], "{problem}");
        }
        world.web.get("/v1/event-types/a").await.problem(404);
    });
}

#[test]
fn unknown_types_are_refused_where_the_setting_says_so() {
    Stage::default().with(|config| config.ingest.unknown_types = UnknownTypes::Refuse).play(async |world| {
        put_type(world, "invoice.paid", "{}").await.expect(201);
        world.post("invoice.paid", "1").await;
        let problem = world.post_raw(r#"{"type":"invoice.payed","payload":1}"#).await.problem(422);
        assert_eq!(places(&problem), ["/type"]);
        assert!(problem["detail"].as_str().expect("a sentence").contains("did you mean `invoice.paid`?"));
    });
    play(async |world| {
        put_type(world, "invoice.paid", "{}").await.expect(201);
        world.post("invoice.payed", "1").await;
    });
}

#[test]
fn deprecated_types_are_taken_on_with_a_warning() {
    play(async |world| {
        put_type(world, "invoice.paid", r#"{"deprecated":true}"#).await.expect(201);
        world.endpoint(json!({})).await;
        let answer = world.post_raw(r#"{"type":"invoice.paid","payload":1}"#).await.expect(202);
        assert!(answer["warning"].as_str().expect("a warning").contains("deprecated since"), "{answer}");
        let delivery = world.outcome(&answer.into()).await;
        assert_eq!(delivery["attempt_log"][0]["warnings"], json!(["deprecated_type"]));
        let batch = r#"[{"type":"a","payload":1},{"type":"invoice.paid","payload":1}]"#;
        let answer = world.post_raw(batch).await.expect(202);
        assert_eq!(answer["items"][0].get("warning"), None);
        assert!(answer["items"][1]["warning"].is_string(), "{answer}");
    });
}

#[test]
fn the_catalogue_has_bounds() {
    Stage::default().with(|config| config.catalogue.max_event_types = 2).play(async |world| {
        for name in ["a", "b", "b"] {
            assert!(put_type(world, name, "{}").await.status < 300);
        }
        let problem = put_type(world, "c", "{}").await.problem(409);
        assert!(problem["detail"].as_str().expect("a sentence").contains("catalogue.max_event_types"));
    });
}

#[test]
fn customers_read_the_catalogue_and_change_nothing() {
    play(async |world| {
        put_type(world, "a", "{}").await.expect(201);
        let versions = json!({"versions": [{"name": "1"}, {"name": "2", "steps": [
            {"events": ["*"], "plugin": "flatten"},
        ]}]});
        world.web.put("/v1/versions", &versions).await.expect(200);
        let key = world.web.post("/v1/keys", &json!({"role": "tenant", "tenant": "acme"})).await.expect(201);
        let customer = world.web.with_key(key["key"].as_str().expect("a key"));
        customer.get("/v1/event-types").await.expect(200);
        customer.get("/v1/event-types/a").await.expect(200);
        let shown = customer.get("/v1/versions").await.expect(200);
        assert_eq!(
            shown["versions"],
            json!([{"name": "1", "description": ""}, {"name": "2", "description": ""}])
        );
        customer.put("/v1/versions", &versions).await.problem(403);
        customer.put("/v1/event-types/a", &json!({})).await.problem(403);
        customer.patch("/v1/event-types/a", &json!({})).await.problem(403);
        customer.delete("/v1/event-types/a").await.problem(403);
    });
}

#[test]
fn a_step_is_checked_when_it_is_put() {
    play(async |world| {
        let with = |step: Value| json!({"versions": [{"name": "1"}, {"name": "2", "steps": [step]}]});
        for (step, place) in [
            (json!({"events": ["*"], "plugin": "nope"}), "/versions/1/steps/0/plugin"),
            (
                json!({"events": ["*"], "plugin": "flatten", "config": {"colour": 1}}),
                "/versions/1/steps/0/config/colour",
            ),
            (
                json!({"events": ["*"], "plugin": "filter", "on_failure": "pass",
                       "config": {"keep": {"path": "a", "exists": true}}}),
                "/versions/1/steps/0/on_failure",
            ),
        ] {
            let problem = world.web.put("/v1/versions", &with(step)).await.problem(422);
            assert_eq!(places(&problem), [place], "{problem}");
        }
        assert_eq!(world.web.get("/v1/versions").await.expect(200)["versions"], json!([]));
    });
}

#[test]
fn a_step_that_is_put_right_reaches_the_retries_that_wait() {
    play(async |world| {
        world.receiver.answer_first([500]);
        let steps = |separator: &str| {
            json!({"versions": [{"name": "1"}, {"name": "2", "steps": [
                {"events": ["*"], "plugin": "flatten", "config": {"separator": separator}},
            ]}]})
        };
        world.web.put("/v1/versions", &steps("_")).await.expect(200);
        world.endpoint(json!({"version": "1", "retry": {"schedule": ["1h"]}})).await;
        let posted = world.post("a", r#"{"a":{"b":1.0}}"#).await;
        assert_eq!(world.receiver.next().await.body, r#"{"a_b":1.0}"#);
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        world.web.put("/v1/versions", &steps("/")).await.expect(200);
        world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await;
        assert_eq!(world.receiver.next().await.body, r#"{"a/b":1.0}"#);
    });
}
