//! Payloads that are shaped by configuration alone: chains of the bundled plugins, from an event to what arrives.

use std::time::Duration;

use hookwright_tests::harness::{Posted, Stage, play};
use http::Method;
use serde_json::{Value, json};

const CONTACT: &str = r#"{"name":"Café Müller 😀","email":"jean@example.com","tax_id":"DE123456789","balance":12345678901234567890.10,"score":7}"#;

#[test]
fn a_chain_filters_then_redacts_then_makes_a_message() {
    play(async |world| {
        let transforms = json!([
            {"plugin": "filter", "config": {"keep": {"path": "score", "gte": 5}}},
            {"plugin": "redact", "config": {"rules": [{"path": "tax_id", "keep_last": 3}, {"pattern": "email"}]}},
            {"plugin": "slack", "config": {
                "title": "Contact {name}",
                "fields": [
                    {"label": "E-mail", "path": "email"},
                    {"label": "Tax", "path": "tax_id"},
                    {"label": "Balance", "path": "balance"},
                ],
            }},
        ]);
        world.endpoint(json!({"transforms": transforms})).await;
        world.post("contact.created", CONTACT).await;
        let arrival = world.receiver.next().await;
        let body = String::from_utf8(arrival.body.to_vec()).expect("text");
        for part in [
            "Contact Café Müller 😀",
            "*E-mail*\\n[redacted]",
            "*Tax*\\n[redacted]789",
            "*Balance*\\n12345678901234567890.10",
        ] {
            assert!(body.contains(part), "{part} in {body}");
        }
        assert!(!body.contains("jean@") && !body.contains("DE123456"), "{body}");

        let posted = world.post("contact.created", &CONTACT.replace("7}", "4}")).await;
        assert_eq!(world.outcome(&posted).await["state"], "filtered");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_redaction_that_fails_sends_nothing() {
    play(async |world| {
        let redact = json!({"plugin": "redact", "config": {"rules": [{"key": "ssn"}]}});
        let mut passing = redact.clone();
        passing["on_failure"] = json!("pass");
        let problem = world.refused(json!({"transforms": [passing]})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/transforms/0/on_failure");

        let mut failing = redact;
        failing["on_failure"] = json!("fail");
        let text =
            json!({"plugin": "template", "config": {"template": "ssn: {{ payload.ssn }}", "format": "text"}});
        world.endpoint(json!({"transforms": [text, failing]})).await;
        let posted = world.post("a", r#"{"ssn":"123-45-6789"}"#).await;
        let delivery = world.outcome(&posted).await;
        assert_eq!(delivery["state"], "failed", "{delivery:#}");
        assert_eq!(delivery["attempt_log"][0]["kind"], "bad-payload");
        assert!(world.receiver.is_empty().await);
    });
}

#[test]
fn a_template_writes_the_request() {
    play(async |world| {
        let template = "{\"text\": \"{{ payload.name }} has {{ payload.balance|number(2, ',') }}\",\n \"raw\": {{ payload }}}";
        let config = json!({"template": template, "method": "PUT", "path": "/contacts/{{ payload.name }}",
            "headers": {"x-score": "{{ payload.score }}"}});
        world.endpoint(json!({"transforms": [{"plugin": "template", "config": config}]})).await;
        world.post("contact.created", CONTACT).await;
        let arrival = world.receiver.next().await;
        let expected = format!(
            "{{\"text\": \"Café Müller 😀 has 12,345,678,901,234,567,890.10\",\n \"raw\": {CONTACT}}}"
        );
        assert_eq!(arrival.body, expected);
        assert_eq!(arrival.path(), "/contacts/Caf%C3%A9%20M%C3%BCller%20%F0%9F%98%80");
        assert_eq!(arrival.header("x-score"), Some("7"));
    });
}

#[test]
fn mistakes_are_told_with_line_and_column_when_an_endpoint_is_saved() {
    play(async |world| {
        let code = "function handler(webhook) {\n  return = webhook;\n}";
        let table = [
            ("script", json!({"code": code}), "/code", "Line 2, column 10: SyntaxError: "),
            (
                "template",
                json!({"template": "{\n  \"a\": {{ payload.x|uper }}\n}"}),
                "/template",
                "Line 2, column 21: There is no filter `uper`.",
            ),
            (
                "template",
                json!({"template": "{{ payload. }}"}),
                "/template",
                "Line 1, column 13: Syntax error",
            ),
        ];
        for (plugin, config, member, begins) in table {
            let problem = world.refused(json!({"transforms": [{"plugin": plugin, "config": config}]})).await;
            let error = &problem["errors"][0];
            assert_eq!(error["pointer"], format!("/transforms/0/config{member}"));
            assert!(
                error["message"].as_str().is_some_and(|message| message.starts_with(begins)),
                "{problem}"
            );
        }
    });
}

#[test]
fn a_script_that_fails_says_where_and_what_it_wrote_is_kept() {
    let stage = Stage::default().with(|config| {
        config.plugin.time_limit = Duration::from_millis(300);
        // On a busy machine a call may hardly run for long.
        config.plugin.patience = 1_000;
    });
    stage.play(async |world| {
        let code = "function handler(webhook) {
  const { event, loop } = webhook.payload;
  console.log('saw', { event }, 1.5);
  console.error('é😀');
  if (loop) { for (;;); }
  if (loop === false) { const all = []; for (;;) all.push(new Array(1000).fill('x')); }
  throw new RangeError('no ' + event);
}";
        let script = json!({"plugin": "script", "config": {"code": code}, "on_failure": "fail"});
        world.endpoint(json!({"transforms": [script]})).await;
        let mut attempts = Vec::new();
        for payload in [r#"{"event":"x"}"#, r#"{"event":"x","loop":true}"#, r#"{"event":"x","loop":false}"#] {
            let posted = world.post("a", payload).await;
            let delivery = world.outcome(&posted).await;
            assert_eq!(delivery["state"], "failed");
            let attempt = delivery["attempt_log"][0].clone();
            let log: Vec<&Value> = attempt["plugins"][0]["log"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|line| &line["line"])
                .collect();
            assert_eq!(log, [r#"saw {"event":"x"} 1.5"#, "é😀"]);
            attempts
                .push((attempt["kind"].clone(), attempt["reason"].as_str().expect("a sentence").to_owned()));
        }
        assert_eq!(attempts[0].0, "script-error");
        assert!(attempts[0].1.contains("Line 7, column 9: RangeError: no x"), "{}", attempts[0].1);
        assert_eq!(attempts[1].0, "time_limit", "{}", attempts[1].1);
        assert!(
            ["time_limit", "memory_limit"].contains(&attempts[2].0.as_str().expect("a word")),
            "{}",
            attempts[2].1
        );
    });
}

#[test]
fn cloudevents_that_go_out_come_in_again() {
    play(async |world| {
        for mode in ["structured", "binary"] {
            let config = json!({"mode": mode, "source": "https://e.test/{@tenant}", "subject": "{name}"});
            let endpoint =
                world.endpoint(json!({"transforms": [{"plugin": "cloudevents", "config": config}]})).await;
            let first = world.post("contact.created", CONTACT).await;
            let arrival = world.receiver.next().await;
            world.web.delete(&endpoint.path()).await.expect(204);

            world.endpoint(json!({"events": ["contact.*"]})).await;
            let names =
                ["content-type", "ce-specversion", "ce-id", "ce-source", "ce-type", "ce-time", "ce-subject"];
            let headers: Vec<(&str, &str)> =
                names.iter().filter_map(|name| Some((*name, arrival.header(name)?))).collect();
            let sent = world.web.send(Method::POST, "/v1/events", &headers, arrival.body.clone()).await;
            let again: Posted = sent.expect(202).into();
            assert_eq!(world.receiver.next().await.body, CONTACT, "{mode}");
            let event = world.event(&again.id).await;
            assert_eq!(
                (&event["type"], &event["producer_id"]),
                (&json!("contact.created"), &json!(format!("https://e.test/default {}", first.id)))
            );
            let list = world.web.get("/v1/endpoints").await.expect(200);
            for endpoint in list["items"].as_array().expect("a list") {
                world
                    .web
                    .delete(&format!("/v1/endpoints/{}", endpoint["id"].as_str().expect("an id")))
                    .await
                    .expect(204);
            }
        }
    });
}

#[test]
fn a_configuration_keeps_its_order_and_its_numbers() {
    play(async |world| {
        let spec = format!(
            r#"{{"name":"picked","events":["*"],"url":"{}","transforms":[{{"plugin":"pick","config":{{"members":{{"z":"name","a":{{"path":"none","default":12500.00}}}}}}}}]}}"#,
            world.receiver.url("/")
        );
        world
            .web
            .send(Method::POST, "/v1/endpoints", &[("content-type", "application/json")], spec)
            .await
            .expect(201);
        world.post("a", r#"{"name":1.0}"#).await;
        assert_eq!(world.receiver.next().await.body, r#"{"z":1.0,"a":12500.00}"#);
    });
}
