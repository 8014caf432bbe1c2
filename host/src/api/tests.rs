//! The handlers behind their routes, on a store in memory and with the bundled plugins.

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tower_service::Service;

use super::*;
use crate::dispatch::Dispatcher;
use crate::dispatch::backlog::{Backlog, Bounds};
use crate::dispatch::feed::Agenda;
use crate::dispatch::worker::{Settings, Workshop};
use crate::id::EndpointId;
use crate::plugin::{self, Engine};
use crate::send::{self, Client};
use crate::store::memory::MemoryStore;
use crate::time::SystemClock;

const KEY: &str = "hwk_test";

/// Compiled once for all tests.
static CATALOG: OnceCell<Arc<Catalog>> = OnceCell::const_new();

async fn open_catalog() -> Arc<Catalog> {
    let engine = Engine::new(plugin::Limits::default()).unwrap();
    Arc::new(Catalog::open(engine, plugin::bundled(), None).await)
}

/// A host whose dispatcher stands still.
struct Host {
    router: Router,
    api: Arc<Api>,
    _dispatcher: Dispatcher,
}

struct Answer {
    status: StatusCode,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// The place of the first error of a problem.
    fn pointer(&self) -> Value {
        self.json()["errors"][0]["pointer"].clone()
    }
}

impl Host {
    async fn start(config: Config) -> Self {
        let store = Arc::new(MemoryStore::new());
        let book = Arc::new(
            Book::open(store.clone(), SealingKey::generate(), Config::default().delivery.timeout)
                .await
                .unwrap(),
        );
        let catalog = CATALOG.get_or_init(open_catalog).await.clone();
        let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(SystemClock));
        let usage = Arc::new(crate::dispatch::usage::Usage::new(clock.now()));
        let live = Arc::new(crate::live::Live::new(16));
        let workshop = Workshop {
            live: live.clone(),
            usage: usage.clone(),
            book: book.clone(),
            catalog: catalog.clone(),
            client: Client::new(send::Config::default()).unwrap(),
            queue: store.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            agenda: Arc::new(Agenda::new()),
            wardrobe: crate::dispatch::wardrobe::Wardrobe::default(),
            shares: Arc::new(crate::dispatch::shares::Shares::whole()),
            turns: crate::dispatch::turns::Turns::new(64),
            unwritten: Default::default(),
            settings: Settings {
                lease: config.delivery.lease,
                poll: config.store.poll,
                max_age: config.delivery.max_age,
                retry_after_limit: config.delivery.retry_after_limit,
                stored_request_body: config.delivery.stored_request_body.0,
                stored_answer_body: config.delivery.stored_answer_body.0,
                judged_answer_body: config.delivery.judged_answer_body.0,
            },
        };
        let backlog = Backlog::new(Bounds { deliveries: 10, bytes: 1 << 20 });
        let dispatcher = Dispatcher::new(Arc::new(workshop), backlog, 1);
        let ingest = Ingest {
            inbox: store.clone(),
            disk: Arc::new(crate::disk::Disk::new(std::env::temp_dir(), 0)),
            book: book.clone(),
            intake: dispatcher.intake(),
            clock: clock.clone(),
            lease: config.delivery.lease,
            metrics: metrics.clone(),
            live: live.clone(),
        };
        let backtests = crate::dispatch::backtest::Settings {
            bytes: 1 << 20,
            time_limit: std::time::Duration::from_secs(60),
            max_running: 1,
            max_kept: 1,
            samples: 1,
            sample_body: 100,
        };
        let store: Arc<dyn crate::store::Store> = store;
        let (_, stop) = tokio::sync::watch::channel(false);
        let backtests = dispatcher.backtests(&store, backtests, stop);
        let api = Api {
            store,
            book,
            ingest: Arc::new(ingest),
            plugins: catalog,
            targets: Rule::default(),
            metrics,
            clock,
            admin_key: KeyDigest::of(KEY),
            sealing: SealingKey::generate(),
            failures: Failures::default(),
            live,
            seats: Arc::default(),
            draining: tokio::sync::watch::channel(false).1,
            budget: Budget::new(config.ingest.in_flight_bytes.0),
            meters: Meters::default(),
            config: Arc::new(config),
            intake: dispatcher.intake(),
            tester: dispatcher.tester(2),
            rehearsal: dispatcher.rehearsal(2),
            backtests,
            usage,
            replay_news: Arc::default(),
            stopping: Arc::new(AtomicBool::new(false)),
        };
        let api = Arc::new(api);
        Self { router: router(api.clone()), api, _dispatcher: dispatcher }
    }

    async fn call(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Body>,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("authorization", format!("Bearer {KEY}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.call(request.body(body.into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, &[("content-type", "application/json")], body.to_string()).await
    }

    async fn endpoint(&self) -> Value {
        let answer = self.post("/v1/endpoints", endpoint()).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json()
    }
}

fn endpoint() -> Value {
    json!({
        "name": "CRM",
        "url": "https://hooks.example.com/planted-path",
        "events": ["*"],
        "transforms": [
            {"plugin": "flatten", "config": {"separator": "shown"}},
            {"plugin": "envelope", "config": {"members": [{"name": "shown", "constant": "planted"}]}},
        ],
        "auth": {"type": "bearer", "token": "planted-token"},
        "headers": {"X-Key": "planted-header"},
    })
}

#[tokio::test]
async fn nothing_is_told_without_the_key() {
    let host = Host::start(Config::default()).await;
    for (method, path) in [
        ("POST", "/v1/events"),
        ("GET", "/v1/endpoints"),
        ("DELETE", "/v1/endpoints/ep_x"),
        ("POST", "/v1/deliveries/dlv_x/retry"),
        ("GET", "/v1/plugins"),
        ("GET", "/metrics"),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let answer = host.call(request).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{method} {path}");
        assert!(answer.headers.contains_key("www-authenticate"), "{method} {path}");
    }
    for path in ["/healthz", "/readyz"] {
        let answer = host.call(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    }
}

#[tokio::test]
async fn wrong_turns_are_problems() {
    let host = Host::start(Config::default()).await;
    let json_type = ("content-type", "application/json");
    let table = [
        ("GET", "/nowhere", json_type, 404),
        ("GET", "/v1/events/evt_x", json_type, 404),
        ("GET", "/v1/events/%ff", json_type, 400),
        ("GET", "/v1/endpoints/ep_aaaaaaaaaaaaaaaaaaaaaaaaaa", json_type, 404),
        ("GET", "/v1/plugins/nothing", json_type, 404),
        ("POST", "/v1/deliveries/dlv_x/retry", json_type, 404),
        ("PUT", "/v1/events", json_type, 405),
        ("DELETE", "/v1/plugins", json_type, 405),
        ("GET", "/v1/events?colour=red", json_type, 422),
        ("GET", "/v1/deliveries?state=lost", json_type, 422),
        ("GET", "/v1/deliveries?limit=501", json_type, 422),
        ("POST", "/v1/events", json_type, 400),
        ("POST", "/v1/events", ("content-type", "text/plain"), 415),
        ("POST", "/v1/endpoints", json_type, 400),
        ("POST", "/v1/events", ("content-length", "99999999999"), 413),
    ];
    for (method, path, header, status) in table {
        let answer = host.send(method, path, &[header], "").await;
        assert_eq!(answer.status.as_u16(), status, "{method} {path}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], problem::CONTENT_TYPE, "{method} {path}");
        assert_eq!(answer.json()["status"], status);
    }
}

#[tokio::test]
async fn an_event_is_taken_once_and_shown_as_it_was_posted() {
    let host = Host::start(Config::default()).await;
    host.endpoint().await;
    let payload = r#"{"z":12345678901234567890.10, "a":1}"#;
    let body = format!(r#"{{"type":"invoice.paid","id":"i-1","payload":{payload}}}"#);
    let headers = [("content-type", "application/json"), ("idempotency-key", "i-1")];
    let first = host.send("POST", "/v1/events", &headers, body.clone()).await;
    assert_eq!(first.status, StatusCode::ACCEPTED, "{}", first.text);
    assert_eq!((&first.json()["deliveries"], &first.json()["duplicate"]), (&json!(1), &json!(false)));
    let again = host.send("POST", "/v1/events", &headers[..1], body.clone()).await;
    assert_eq!((&again.json()["id"], &again.json()["duplicate"]), (&first.json()["id"], &json!(true)));
    let other = host.send("POST", "/v1/events", &headers[..1], body.replace("\"a\":1", "\"a\":2")).await;
    assert_eq!(other.status, StatusCode::CONFLICT);

    let id = first.json()["id"].as_str().unwrap().to_owned();
    let shown = host.get(&format!("/v1/events/{id}")).await;
    assert!(shown.text.contains(payload), "{}", shown.text);
    assert_eq!(shown.json()["deliveries"][0]["state"], "pending");
    let listed = host.get("/v1/events?type=invoice.paid&limit=1").await.json();
    assert_eq!(listed["items"][0]["id"], id);
    assert_eq!(host.get("/v1/events?tenant=other").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_batch_answers_for_each_item() {
    let host = Host::start(Config::default()).await;
    let items = r#"[{"type":"a","payload":1},{"type":"a b","payload":1},{"type":"a","id":"x","payload":1},
                    {"type":"a","id":"x","payload":2}]"#;
    let answer = host.send("POST", "/v1/events", &[], items).await;
    assert_eq!(answer.status, StatusCode::MULTI_STATUS, "{}", answer.text);
    let body = answer.json();
    let statuses: Vec<_> =
        body["items"].as_array().unwrap().iter().map(|item| item["status"].clone()).collect();
    assert_eq!(statuses, [202, 422, 202, 409]);
    assert_eq!((&body["accepted"], &body["refused"]), (&json!(2), &json!(2)));
    assert_eq!(body["items"][1]["problem"]["errors"][0]["pointer"], "/type");

    let lines = "{\"type\":\"a\",\"payload\":1}\n\n{\"type\":\"a\",\"payload\":2}\n";
    let ndjson = ("content-type", "application/x-ndjson");
    let answer = host.send("POST", "/v1/events", &[ndjson], lines).await;
    assert_eq!((answer.status, &answer.json()["accepted"]), (StatusCode::ACCEPTED, &json!(2)));
    let keyed = host.send("POST", "/v1/events", &[ndjson, ("idempotency-key", "k")], lines).await;
    assert_eq!(keyed.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn sizes_and_memory_have_bounds() {
    let mut config = Config::default();
    config.ingest.in_flight_bytes.0 = 2 << 20;
    config.ingest.retry_after = std::time::Duration::from_millis(6_500);
    let host = Host::start(config).await;
    let event = |size: usize| format!(r#"{{"type":"a","payload":"{}"}}"#, "x".repeat(size));
    assert_eq!(
        host.send("POST", "/v1/events", &[], event(1 << 20)).await.status,
        StatusCode::PAYLOAD_TOO_LARGE
    );
    let batch = format!("[{}]", vec![event(900 << 10); 3].join(","));
    let busy = host.send("POST", "/v1/events", &[], batch).await;
    assert_eq!(busy.status, StatusCode::SERVICE_UNAVAILABLE, "{}", busy.text);
    assert_eq!(busy.headers["retry-after"], "7");
    let chunked = |parts: usize| Body::new(Chunks { part: "[1,2,3]".repeat(1 << 14).into(), left: parts });
    assert_eq!(
        host.send("POST", "/v1/events", &[], chunked(30)).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(host.send("POST", "/v1/events", &[], chunked(8)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(host.send("POST", "/v1/events", &[], event(1_000)).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let mut config = Config::default();
    config.ingest.body_timeout = std::time::Duration::from_millis(1);
    let host = Host::start(config).await;
    let answer = host.send("POST", "/v1/events", &[], Body::new(Stalled)).await;
    assert_eq!(answer.status, StatusCode::REQUEST_TIMEOUT, "{}", answer.text);
}

/// A body that comes in parts, of a length that nobody announced.
struct Chunks {
    part: bytes::Bytes,
    left: usize,
}

impl http_body::Body for Chunks {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Ready((self.left > 0).then(|| {
            self.left -= 1;
            Ok(http_body::Frame::data(self.part.clone()))
        }))
    }
}

/// A body of which nothing comes.
struct Stalled;

impl http_body::Body for Stalled {
    type Data = bytes::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Self::Data>, Self::Error>>> {
        std::task::Poll::Pending
    }
}

#[tokio::test]
async fn an_endpoint_shows_its_secret_once_and_the_rest_never() {
    let host = Host::start(Config::default()).await;
    let created = host.endpoint().await;
    assert!(created["secret"].as_str().unwrap().starts_with("whsec_"));
    let path = format!("/v1/endpoints/{}", created["id"].as_str().unwrap());
    for answer in [host.get(&path).await, host.get("/v1/endpoints").await] {
        assert_eq!(answer.status, StatusCode::OK);
        assert!(!answer.text.contains("planted") && !answer.text.contains("whsec_"), "{}", answer.text);
        assert!(answer.text.contains("https://hooks.example.com/***"), "{}", answer.text);
        assert!(answer.text.contains(r#"{"separator":"shown"}"#), "{}", answer.text);
        assert!(answer.text.contains(r#"{"constant":"***","name":"shown"}"#), "{}", answer.text);
    }
    let shown = host.get(&path).await;
    let back = host.send("PATCH", &path, &[], shown.text.clone()).await;
    assert_eq!(back.status, StatusCode::OK, "{}", back.text);
    assert_eq!(back.json()["url"], shown.json()["url"]);

    assert_eq!(host.send("DELETE", &path, &[], "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(host.send("DELETE", &path, &[], "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(host.get(&path).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_configuration_is_kept_and_shown_as_it_was_posted() {
    let host = Host::start(Config::default()).await;
    let body = |config: &str| {
        format!(
            r#"{{"name":"x","url":"https://a.example/","events":["*"],
                "transforms":[{{"plugin":"envelope","config":{config}}}]}}"#
        )
    };
    let config = r#"{"members":[{"name":"z","constant":12345678901234567890.10},{"constant":["kept",12500.00],"name":"a"}]}"#;
    let made = host.send("POST", "/v1/endpoints", &[], body(config)).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let masked = config.replace("kept", "***");
    assert!(made.text.contains(&masked), "{}", made.text);
    let path = format!("/v1/endpoints/{}", made.json()["id"].as_str().unwrap());
    let back = format!(r#"{{"transforms":[{{"plugin":"envelope","config":{masked}}}]}}"#);
    let patched = host.send("PATCH", &path, &[], back.replace("12500.00", "0.50")).await;
    assert!(patched.text.contains(&masked.replace("12500.00", "0.50")), "{}", patched.text);

    let twice = host.send("POST", "/v1/endpoints", &[], body(r#"{"members":[],"members":[]}"#)).await;
    assert_eq!(twice.pointer(), "/transforms/0/config", "{}", twice.text);
    let shorter =
        r#"{"transforms":[{"plugin":"envelope","config":{"members":[{"name":"a","constant":"***"}]}}]}"#;
    let refused = host.send("PATCH", &path, &[], shorter).await;
    assert_eq!(refused.pointer(), "/transforms/0/config/members/0/constant", "{}", refused.text);
}

#[tokio::test]
async fn what_could_not_be_delivered_is_refused_by_its_place() {
    let host = Host::start(Config::default()).await;
    let path = format!("/v1/endpoints/{}", host.endpoint().await["id"].as_str().unwrap());
    let table = [
        (json!({"transforms": [{"plugin": "nothing"}]}), "/transforms/0/plugin"),
        (json!({"transforms": [{"plugin": "flatten", "config": {"separator": 7}}]}), "/transforms/0/config"),
        (json!({"url": "http://localhost:3000"}), "/url"),
        (json!({"tenant": "other"}), "/tenant"),
        (json!({"id": "ep_other"}), "/id"),
        (json!({"secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}), "/secret"),
        (json!({"name": null}), "/name"),
    ];
    for (change, pointer) in table {
        let patched = host.send("PATCH", &path, &[], change.to_string()).await;
        // What would be sound in itself, but not for an endpoint that is there.
        let expected =
            if pointer == "/tenant" { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
        assert_eq!(patched.status, expected, "{change}: {}", patched.text);
        let place = patched.pointer();
        assert!(place.as_str().unwrap().starts_with(pointer), "{change}: {}", patched.text);
        if pointer.starts_with("/transforms") || pointer == "/url" {
            let mut whole = endpoint();
            whole.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            assert_eq!(host.post("/v1/endpoints", whole).await.pointer(), place);
        }
    }
}

#[tokio::test]
async fn deliveries_are_found_held_and_steered() {
    let host = Host::start(Config::default()).await;
    let endpoint = host.endpoint().await;
    let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().unwrap());
    let disabled = host.send("PATCH", &path, &[], r#"{"enabled":false}"#).await;
    assert_eq!(disabled.json()["enabled"], false, "{}", disabled.text);
    host.post("/v1/events", json!({"type": "a", "payload": {}})).await;

    let listed = host.get("/v1/deliveries?state=pending").await.json();
    let delivery = listed["items"][0].clone();
    assert_eq!(delivery["held"], true, "{listed}");
    assert!(delivery["reason"].as_str().unwrap().contains("disabled"), "{listed}");
    let found =
        host.get(&format!("/v1/deliveries?webhook_id={}", delivery["webhook_id"].as_str().unwrap())).await;
    assert_eq!(found.json()["items"][0]["id"], delivery["id"]);

    let path = format!("/v1/deliveries/{}", delivery["id"].as_str().unwrap());
    assert_eq!(host.post(&format!("{path}/retry"), json!({})).await.status, StatusCode::OK);
    let cancelled = host.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(cancelled.json()["state"], "cancelled", "{}", cancelled.text);
    assert_eq!(host.post(&format!("{path}/cancel"), json!({})).await.status, StatusCode::CONFLICT);
    let replayed = host.post(&format!("{path}/retry"), json!({})).await;
    assert_eq!(replayed.status, StatusCode::CREATED, "{}", replayed.text);
    assert_eq!(replayed.json()["replay_of"], delivery["id"]);
    assert_eq!(replayed.json()["webhook_id"], delivery["webhook_id"]);
    assert_eq!(host.post(&format!("{path}/retry"), json!({"new_id": 1})).await.pointer(), "/new_id");
    assert_eq!(host.get(&path).await.json()["attempt_log"], json!([]));
}

#[tokio::test]
async fn a_delivery_that_waits_for_a_plugin_says_so() {
    let host = Host::start(Config::default()).await;
    let endpoint: EndpointId = host.endpoint().await["id"].as_str().unwrap().parse().unwrap();
    host.post("/v1/events", json!({"type": "a", "payload": {}})).await;
    assert_eq!(host.get("/v1/deliveries").await.json()["items"][0]["held"], false);
    // As if its file had been taken away.
    let gone = |endpoint: &mut crate::endpoint::Endpoint| {
        endpoint.own.transforms.as_mut().unwrap()[0].plugin = "gone".to_owned();
    };
    host.api.book.change(endpoint, gone).await.unwrap();
    let delivery = host.get("/v1/deliveries").await.json()["items"][0].clone();
    assert_eq!(delivery["held"], true, "{delivery}");
    assert!(delivery["reason"].as_str().unwrap().contains("`gone`"), "{delivery}");
}

#[tokio::test]
async fn an_event_shows_its_first_deliveries_and_where_the_rest_is() {
    let host = Host::start(Config::default()).await;
    let posted = async || {
        let answer = host.post("/v1/events", json!({"type": "a", "payload": {}})).await;
        host.get(&format!("/v1/events/{}", answer.json()["id"].as_str().unwrap())).await.json()
    };
    for number in 0..101 {
        if number == 100 {
            let whole = posted().await;
            assert_eq!((whole["deliveries"].as_array().unwrap().len(), &whole["more"]), (100, &Value::Null));
        }
        let endpoint = json!({"name": number.to_string(), "url": "https://a.example/", "events": ["*"]});
        assert_eq!(host.post("/v1/endpoints", endpoint).await.status, StatusCode::CREATED);
    }
    let part = posted().await;
    assert_eq!(part["deliveries"].as_array().unwrap().len(), 100);
    let all = host.get(&format!("{}&limit=500", part["more"].as_str().unwrap())).await.json();
    assert_eq!(all["items"].as_array().unwrap().len(), 101);
}

#[tokio::test]
async fn plugins_are_described() {
    let host = Host::start(Config::default()).await;
    let listed = host.get("/v1/plugins").await.json();
    let names: Vec<_> = listed["items"].as_array().unwrap().iter().map(|item| item["name"].clone()).collect();
    assert!(names.contains(&json!("flatten")), "{listed}");
    let flatten = host.get("/v1/plugins/flatten").await.json();
    assert_eq!(flatten["source"], "bundled");
    assert!(flatten["config_schema"].is_object(), "{flatten}");
}
