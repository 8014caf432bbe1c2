//! Who may do what: keys, their roles, and that nothing crosses from one tenant to another.

use std::time::Duration;

use hookwright::access::Role;
use hookwright_tests::harness::{Answer, Stage, Web, World, on_each_store, play};
use http::Method;
use serde_json::{Value, json};

/// The admin key of every host here.
const SIGNS_IN: &str = "hwk_of-the-tests";
/// In the catalogue, and posted.
const TYPE: &str = "invoice.paid";

/// A key that was just made.
struct Made {
    id: String,
    key: String,
}

async fn key(world: &World, spec: Value) -> Made {
    let made = world.web.post("/v1/keys", &spec).await.expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    Made { id: text("id"), key: text("key") }
}

async fn bearer(world: &World, spec: Value) -> Web {
    world.web.with_key(&key(world, spec).await.key)
}

/// Things of one tenant, by the names of the parameters that stand for them in paths.
struct Things {
    tenant: &'static str,
    event: String,
    endpoint: String,
    /// An endpoint that is there to be deleted in other words.
    hook: String,
    delivery: String,
    /// A job that replays.
    replay: String,
}

/// An endpoint that is disabled, an event and the delivery that waits.
async fn things(world: &World, tenant: &'static str) -> Things {
    let endpoint = world.endpoint(json!({"tenant": tenant, "name": tenant, "enabled": false})).await;
    let event = world.post_with(TYPE, "1", json!({"tenant": tenant})).await;
    let delivery = world.only_delivery(&event).await;
    let hook = world.endpoint(json!({"tenant": tenant, "events": ["none"], "enabled": false})).await;
    let job = json!({"tenant": tenant, "endpoint": endpoint.id});
    let replay = world.web.post("/v1/replays", &job).await.expect(202)["id"].to_string();
    let replay = replay.trim_matches('"').to_owned();
    Things { tenant, event: event.id, endpoint: endpoint.id, hook: hook.id, delivery, replay }
}

impl Things {
    /// The operation's path, with these things in it.
    fn path(&self, operation: &Operation) -> String {
        let path = &operation.path;
        let id = match path.split('/').nth(2) {
            Some("events") => &self.event,
            Some("deliveries") => &self.delivery,
            Some("replays") => &self.replay,
            Some("endpoints") => &self.endpoint,
            _ if path.contains("{id}") => operation.not_for_customers(&self.endpoint),
            _ => "",
        };
        let name = match path.split('/').nth(2) {
            Some("event-types") => TYPE,
            Some("plugins") => "flatten",
            _ if path.contains("{name}") => operation.not_for_customers("flatten"),
            _ => "",
        };
        let path = path.replace("{id}", id).replace("{name}", name).replace("{digest}", &"0".repeat(64));
        assert!(!path.contains('{'), "say what stands in {path} of {}", operation.id);
        path
    }

    /// A request that is good but for whom it is from.
    fn body(&self, operation: &Operation) -> String {
        let body = match operation.id.as_str() {
            "post_events" => json!({"type": "a", "payload": 1, "tenant": self.tenant}),
            "create_endpoint" => {
                json!({"name": "n", "url": "http://127.0.0.1:9/", "events": ["*"], "tenant": self.tenant})
            }
            "change_endpoint" => json!({"description": "changed"}),
            "test_endpoint" | "rotate_secret" | "replay_event" | "retry_delivery" => json!({}),
            "create_webhook" => {
                json!({"url": "http://127.0.0.1:9/", "events": ["*"], "tenant": self.tenant})
            }
            "change_webhook" => json!({"id": self.hook, "active": false}),
            "delete_webhook" => json!({"id": self.hook}),
            "create_replay" => json!({"endpoint": self.endpoint}),
            "transform" => json!({"endpoint": self.endpoint, "event": self.event}),
            "create_key" => json!({"role": "ingest"}),
            // Whoever has a key may sign in; an unknown one is refused in the dashboard's own tests.
            "sign_in" => json!({"key": SIGNS_IN}),
            _ if operation.takes => operation.not_for_customers(json!({})),
            _ => return String::new(),
        };
        body.to_string()
    }

    async fn ask(&self, web: &Web, operation: &Operation) -> Answer {
        self.ask_for(web, operation, None).await
    }

    async fn ask_for(&self, web: &Web, operation: &Operation, query: Option<(&str, &str)>) -> Answer {
        // It would go on for a day.
        let end = Some(("for", "100ms")).filter(|_| operation.id == "watch_deliveries");
        let query: Vec<String> =
            [end, query].into_iter().flatten().map(|(name, value)| format!("{name}={value}")).collect();
        let path = [self.path(operation), query.join("&")].join("?");
        self.ask_at(web, operation, path.trim_end_matches('?')).await
    }

    async fn ask_at(&self, web: &Web, operation: &Operation, path: &str) -> Answer {
        web.send(operation.method.clone(), path, &[], self.body(operation)).await
    }

    /// What lists can be asked for by the parameters of their queries.
    fn queries(&self) -> [(&str, &str); 3] {
        [("tenant", self.tenant), ("endpoint", &self.endpoint), ("event", &self.event)]
    }

    /// Whether anything of it shows.
    fn show_in(&self, answer: &Answer) -> bool {
        let text = String::from_utf8_lossy(&answer.body);
        self.marks().into_iter().any(|mark| text.contains(mark))
    }

    fn marks(&self) -> [&str; 5] {
        [&self.event, &self.endpoint, &self.hook, &self.delivery, &self.replay]
    }
}

/// An operation as the document of a running host tells it.
struct Operation {
    id: String,
    method: Method,
    path: String,
    /// Whose keys open it; `None` where it asks for none.
    roles: Option<Vec<String>>,
    /// It has a body.
    takes: bool,
    /// The parameters of its query.
    queries: Vec<String>,
}

impl Operation {
    fn read(method: &str, path: &str, told: &Value) -> Self {
        let texts = |list: &Value, at: &dyn Fn(&Value) -> Value| -> Vec<String> {
            let all = list.as_array().into_iter().flatten();
            all.filter_map(|item| at(item).as_str().map(str::to_owned)).collect()
        };
        let query = |told: &Value| if told["in"] == "query" { told["name"].clone() } else { Value::Null };
        let roles = told.get("x-roles").map(|roles| texts(roles, &Value::clone));
        assert_eq!(roles.is_some(), told.get("security").is_some(), "{method} {path}");
        Self {
            id: told["operationId"].as_str().expect("a name").to_owned(),
            method: method.to_uppercase().parse().expect("a method"),
            path: path.to_owned(),
            roles,
            takes: told.get("requestBody").is_some(),
            queries: texts(&told["parameters"], &query),
        }
    }

    fn admits(&self, role: Role) -> bool {
        self.roles.as_ref().is_none_or(|roles| roles.iter().any(|word| word == role.word()))
    }

    /// What will do where customers are refused anyway.
    fn not_for_customers<T>(&self, any: T) -> T {
        assert!(!self.admits(Role::Tenant), "say here how `{}` is asked for what is there", self.id);
        any
    }
}

/// All that the document tells of. What deletes comes last, the parts before the whole, so that the others have
/// something to find.
async fn walk(world: &World) -> Vec<Operation> {
    let document = world.web.without_key().get("/openapi.json").await.expect(200);
    let paths = document["paths"].as_object().expect("paths").iter();
    let of_path = |(path, methods): (&String, &Value)| {
        let methods = methods.as_object().expect("methods").iter();
        methods.map(|(method, told)| Operation::read(method, path, told)).collect::<Vec<_>>()
    };
    let mut operations: Vec<Operation> = paths.flat_map(of_path).collect();
    operations.sort_by_key(|operation| match operation.method {
        Method::DELETE => usize::MAX - operation.path.len(),
        _ => 0,
    });
    assert!(operations.len() > 50, "the document tells of {} operations", operations.len());
    operations
}

#[test]
fn a_key_is_shown_once_and_works_until_it_is_revoked() {
    on_each_store(async |world| {
        let spec = json!({"role": "tenant", "tenant": "acme", "description": "the portal"});
        let made = key(world, spec).await;
        assert!(made.key.starts_with("hwk_") && made.key.len() == 47, "{}", made.key);
        let web = world.web.with_key(&made.key);
        web.get("/v1/endpoints").await.expect(200);
        let path = format!("/v1/keys/{}", made.id);
        let shown = world.web.get(&path).await;
        assert_eq!(shown.expect(200)["description"], "the portal");
        assert!(!shown.text().contains(&made.key));
        let listed = world.web.get("/v1/keys").await;
        assert_eq!(listed.expect(200)["items"], json!([shown.json()]));
        // Another start knows it too.
        world.restart().await;
        let web = world.web.with_key(&made.key);
        web.get("/v1/endpoints").await.expect(200);
        world.web.delete(&path).await.expect(204);
        let refused = web.get("/v1/endpoints").await.problem(401);
        assert_eq!(refused["detail"], "This key was revoked.");
        world.web.get(&path).await.problem(404);
        world.web.delete(&path).await.problem(404);
        assert_eq!(world.web.get("/v1/keys").await.expect(200)["items"], json!([]));
    });
}

#[test]
fn a_key_expires() {
    play(async |world| {
        let web = bearer(world, json!({"role": "admin", "expires": "1h"})).await;
        web.get("/v1/keys").await.expect(200);
        world.clock.advance(Duration::from_secs(3_600));
        let refused = web.get("/v1/keys").await.problem(401);
        assert_eq!(refused["detail"], "This key has expired.");
        let listed = world.web.get("/v1/keys").await.expect(200);
        assert_eq!(listed["items"][0]["expired"], true);
    });
}

#[test]
fn keys_that_make_no_sense_are_refused() {
    Stage::default().with(|config| config.key.max = 2).play(async |world: &mut World| {
        for (spec, pointer) in [
            (json!({}), "/role"),
            (json!({"role": "root"}), "/role"),
            (json!({"role": "tenant"}), "/tenant"),
            (json!({"role": "tenant", "tenant": "a/b"}), "/tenant"),
            (json!({"role": "admin", "tenant": "acme"}), "/tenant"),
            (json!({"role": "ingest", "expires": "soon"}), "/expires"),
            (json!({"role": "ingest", "expires_at": "2001-01-01T00:00:00Z"}), "/expires_at"),
            (json!({"role": "ingest", "expires": "1h", "expires_at": "2101-01-01T00:00:00Z"}), "/expires_at"),
            (json!({"role": "ingest", "colour": "red"}), "/colour"),
        ] {
            let problem = world.web.post("/v1/keys", &spec).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{spec}: {problem}");
        }
        let first = key(world, json!({"role": "ingest"})).await;
        key(world, json!({"role": "ingest"})).await;
        let full = world.web.post("/v1/keys", &json!({"role": "ingest"})).await.problem(409);
        assert!(full["detail"].to_string().contains("key.max"), "{full}");
        world.web.delete(&format!("/v1/keys/{}", first.id)).await.expect(204);
        key(world, json!({"role": "ingest"})).await;
    });
}

#[test]
fn each_role_opens_its_own_doors_and_no_others() {
    play(async |world| {
        let own = things(world, "acme").await;
        for role in Role::ALL {
            let spec = match role {
                Role::Tenant => json!({"role": role.word(), "tenant": "acme"}),
                _ => json!({"role": role.word()}),
            };
            let web = bearer(world, spec).await;
            // Nothing is deleted here: each role is to find the same.
            for operation in walk(world).await.iter().filter(|operation| operation.method != Method::DELETE) {
                let answer = own.ask(&web, operation).await;
                let said = String::from_utf8_lossy(&answer.body[..answer.body.len().min(500)]);
                let place = format!("{role}: {}: {said}", operation.id);
                match operation.id.as_str() {
                    "metrics" => assert_eq!(answer.status == 200, role == Role::Admin, "{place}"),
                    _ => assert_eq!(answer.status != 403, operation.admits(role), "{place}"),
                }
                assert_ne!(answer.status, 401, "{place}");
                assert!(answer.status < 500, "{place}");
            }
        }
        for operation in walk(world).await.iter().filter(|operation| operation.roles.is_some()) {
            own.ask(&world.web.without_key(), operation).await.problem(401);
            own.ask(&world.web.with_key("hwk_of-nobody"), operation).await.problem(401);
        }
    });
}

#[test]
fn a_customer_finds_no_trace_of_another() {
    play(async |world| {
        let (own, planted) = (things(world, "acme").await, things(world, "planted").await);
        world.web.send(Method::PUT, &format!("/v1/event-types/{TYPE}"), &[], "{}").await.expect(201);
        let web = bearer(world, json!({"role": "tenant", "tenant": "acme"})).await;
        for operation in walk(world).await {
            crosses_nothing(&web, &operation, &planted).await;
            // With its own ids: what a customer may.
            let answer = own.ask(&web, &operation).await;
            let good = match operation.id.as_str() {
                // A job may have ended by itself before it is cancelled.
                "cancel_replay" => matches!(answer.status, 200 | 409),
                "metrics" => answer.status == 403,
                _ if operation.admits(Role::Tenant) => (200..300).contains(&answer.status),
                _ => answer.status == 403,
            };
            assert!(good, "{}: {} {}", operation.id, answer.status, answer.text());
        }
        // What was planted is as it was.
        let endpoint = world.web.get(&format!("/v1/endpoints/{}", planted.endpoint)).await.expect(200);
        assert_eq!((&endpoint["name"], &endpoint["description"]), (&json!("planted"), &json!("")));
        assert_eq!(world.delivery(&planted.delivery).await["state"], "pending");
    });
}

/// With the ids of another it is as if there were nothing.
async fn crosses_nothing(web: &Web, operation: &Operation, planted: &Things) {
    let answer = planted.ask(web, operation).await;
    // A body that names what is not there cannot be worked with.
    let refused = match operation.id.as_str() {
        "create_replay" => answer.status == 422,
        // It is about the caller alone.
        "sign_out" => answer.status == 204,
        _ => matches!(answer.status, 401 | 403 | 404),
    };
    let told = refused || (answer.status == 200 && !planted.show_in(&answer));
    assert!(told, "{} with another's ids: {} {}", operation.id, answer.status, answer.text());
    // A list that is asked for another's things has none of them, and where it is asked by name says no.
    for (query, value) in planted.queries() {
        if operation.method != Method::GET || !operation.queries.iter().any(|known| known == query) {
            continue;
        }
        let answer = planted.ask_for(web, operation, Some((query, value))).await;
        let refused = matches!(answer.status, 403 | 404);
        let told = refused || (query != "tenant" && answer.status == 200 && !planted.show_in(&answer));
        assert!(told, "{}?{query}: {} {}", operation.id, answer.status, answer.text());
    }
}

#[test]
fn what_a_customer_makes_is_its_own() {
    play(async |world| {
        let web = bearer(world, json!({"role": "tenant", "tenant": "acme"})).await;
        let spec = json!({"name": "n", "url": world.receiver.url("/"), "events": ["*"]});
        assert_eq!(web.post("/v1/endpoints", &spec).await.expect(201)["tenant"], "acme");
        let mut other = spec.clone();
        other["tenant"] = json!("default");
        web.post("/v1/endpoints", &other).await.problem(403);
        let path = format!(
            "/v1/endpoints/{}",
            web.post("/v1/endpoints", &spec).await.json()["id"].as_str().expect("an id")
        );
        assert_eq!(
            web.patch(&path, &json!({"tenant": "default"})).await.problem(409)["errors"][0]["pointer"],
            "/tenant"
        );
    });
}

#[test]
fn a_producer_of_one_tenant_posts_for_it_alone() {
    play(async |world| {
        let web = bearer(world, json!({"role": "ingest", "tenant": "acme"})).await;
        let posted = web.post("/v1/events", &json!({"type": "a", "payload": 1})).await.expect(202);
        assert_eq!(world.event(posted["id"].as_str().expect("an id")).await["tenant"], "acme");
        web.post("/v1/events", &json!({"type": "a", "payload": 1, "tenant": "default"})).await.problem(403);
        let batch = json!([
            {"type": "a", "payload": 1, "tenant": "acme"},
            {"type": "a", "payload": 1, "tenant": "planted"},
        ]);
        let answer = web.post("/v1/events", &batch).await.expect(207);
        assert_eq!(
            (&answer["items"][0]["status"], &answer["items"][1]["status"]),
            (&json!(202), &json!(403))
        );
        let any = bearer(world, json!({"role": "ingest"})).await;
        any.post("/v1/events", &json!({"type": "a", "payload": 1, "tenant": "planted"})).await.expect(202);
    });
}
