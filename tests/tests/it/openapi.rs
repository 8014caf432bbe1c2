//! `/openapi.json` says the truth about answers. `tests/schemathesis` holds requests to it as well.

use hookwright_tests::harness::{Answer, Mailbox, World, play};
use serde_json::{Value, json};

/// The document of a running host.
struct Document(Value);

impl Document {
    async fn of(world: &World) -> Self {
        Self(world.web.without_key().get("/openapi.json").await.expect(200))
    }

    /// Asks, and holds the answer to what the document says of this operation and status.
    async fn ask(&self, world: &World, method: &str, path: &str, asked: &str, body: Option<Value>) -> Answer {
        let answer = match (method, &body) {
            ("get", _) => world.web.get(asked).await,
            ("post", body) => world.web.post(asked, body.as_ref().unwrap_or(&json!({}))).await,
            ("patch", Some(body)) => world.web.patch(asked, body).await,
            ("delete", _) => world.web.delete(asked).await,
            (method, _) => panic!("{method}"),
        };
        let told = &self.0["paths"][path][method]["responses"][answer.status.to_string()];
        assert!(told.is_object(), "{method} {asked}: {} is not told of", answer.status);
        if told.get("content").is_none() {
            assert_eq!(answer.text(), "", "{method} {asked}");
            return answer;
        }
        let form = answer.header("content-type").expect("a content type");
        let mut schema = told["content"][form]["schema"].clone();
        assert!(schema.is_object(), "{method} {asked}: `{form}` is not told of");
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let wrong: Vec<String> = validator
            .iter_errors(&answer.json())
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(wrong.is_empty(), "{method} {asked}: {wrong:#?}\n{}", answer.text());
        answer
    }
}

#[test]
fn answers_are_what_the_document_says() {
    play(async |world| {
        let mut receiver = Mailbox::open().await;
        let document = Document::of(world).await;
        let spec = json!({
            "name": "CRM",
            "url": receiver.url("/"),
            "events": ["*"],
            "transforms": [{"plugin": "flatten"}],
            "headers": {"X-Shop": "7"},
            "auth": {"type": "basic", "username": "a", "password": "b"},
            "rate_limit": {"requests": 10, "per": "1s"},
            "order": {"head": "park", "after": 2},
        });
        let made = document.ask(world, "post", "/v1/endpoints", "/v1/endpoints", Some(spec)).await;
        let endpoint = made.expect(201)["id"].as_str().expect("an id").to_owned();
        let event = json!({"type": "a.b", "payload": {"x": 1}});
        let posted = document.ask(world, "post", "/v1/events", "/v1/events", Some(event.clone())).await;
        let event_id = posted.expect(202)["id"].as_str().expect("an id").to_owned();
        let batch = Some(json!([event, {}]));
        document.ask(world, "post", "/v1/events", "/v1/events", batch).await.expect(207);
        receiver.take(2).await;
        let delivery =
            world.deliveries(&format!("event={event_id}")).await[0]["id"].as_str().expect("an id").to_owned();
        world.ended(&delivery).await;
        let key = document.ask(world, "post", "/v1/keys", "/v1/keys", Some(json!({"role": "ingest"}))).await;
        let key = key.expect(201)["id"].as_str().expect("an id").to_owned();
        world.web.patch("/v1/tenants/acme", &json!({"quota": {"stored_bytes": 5}})).await.expect(200);
        let ids = [("{id}", "/v1/events/", &event_id), ("{id}", "/v1/endpoints/", &endpoint)];
        let ids =
            ids.into_iter().chain([("{id}", "/v1/deliveries/", &delivery), ("{id}", "/v1/keys/", &key)]);
        let ids: Vec<_> = ids.map(|(part, prefix, id)| (part, prefix, id.clone())).collect();
        let paths = document.0["paths"].as_object().expect("paths").clone();
        for (path, _) in paths.iter().filter(|(_, methods)| methods.get("get").is_some()) {
            if ["/healthz", "/readyz", "/metrics", "/docs", "/v1/deliveries/live"].contains(&path.as_str()) {
                continue;
            }
            let known = ids.iter().find(|(_, prefix, _)| path.starts_with(prefix));
            let asked = known.map_or(path.clone(), |(part, _, id)| path.replace(part, id));
            let asked = asked
                .replace("/tenants/{id}", "/tenants/acme")
                .replace("/plugins/{name}", "/plugins/flatten");
            document.ask(world, "get", path, &asked, None).await;
        }
        for (method, path, body) in [
            ("patch", "/v1/endpoints/{id}", Some(json!({"enabled": false}))),
            ("patch", "/v1/endpoints/{id}", Some(json!({"enabled": 1}))),
            ("post", "/v1/endpoints/{id}/secret/rotate", None),
            ("post", "/v1/endpoints/{id}/secret/promote", None),
            ("delete", "/v1/endpoints/{id}/secret/previous", None),
            ("delete", "/v1/endpoints/{id}", None),
            ("get", "/v1/endpoints/{id}", None),
        ] {
            document.ask(world, method, path, &path.replace("{id}", &endpoint), body).await;
        }
        for method in ["retry", "cancel"] {
            let path = format!("/v1/deliveries/{{id}}/{method}");
            document.ask(world, "post", &path, &path.replace("{id}", &delivery), None).await.problem(409);
        }
    });
}

#[test]
fn the_page_for_people_loads_nothing() {
    play(async |world| {
        let page = world.web.without_key().get("/docs").await;
        assert_eq!(page.status, 200);
        assert!(
            page.header("content-security-policy")
                .is_some_and(|policy| policy.starts_with("default-src 'none'"))
        );
        assert!(page.text().contains("POST</span>/v1/events"), "{}", page.text());
    });
}
