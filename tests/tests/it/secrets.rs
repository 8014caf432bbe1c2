//! What is planted as a secret is found nowhere.

use std::io;
use std::sync::{Arc, Mutex, OnceLock};

use bytes::Bytes;
use hookwright_tests::harness::{Heard, Said, Site, Stage, World, play};
use serde_json::{Value, json};
use tracing_subscriber::fmt::MakeWriter;

const PATH: &str = "planted-path-7a1";
const QUERY: &str = "planted-query-7a2";
const HEADER: &str = "planted-header-7a3";
const TOKEN: &str = "planted-token-7a4";
const PASSWORD: &str = "planted-password-7a5";
const CONFIG: &str = "planted-config-7a6";
/// The signing secret: `whsec_` and this.
const KEY: &str = "cGxhbnRlZC1zaWduaW5nLWtleS0tLS0tLS0tLS0tLTdhNw==";

/// What the process logs, from the first call on.
#[derive(Clone)]
struct Logged(Arc<Mutex<Vec<u8>>>);

impl io::Write for Logged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Logged {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

fn log() -> &'static Logged {
    static LOG: OnceLock<Logged> = OnceLock::new();
    LOG.get_or_init(|| {
        let log = Logged(Arc::default());
        let filter = tracing_subscriber::EnvFilter::new("info,hookwright=trace");
        let started = tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).try_init();
        started.expect("no other log");
        log
    })
}

/// Says back everything that it heard, whole and in parts, where a receiver might.
fn echo(status: u16) -> impl Fn(&Heard) -> Said + Clone + Send + Sync + 'static {
    move |heard| {
        let mut body = format!("{} {}\n", heard.method(), heard.uri());
        body.push_str(&format!("path {}\nquery {:?}\n", heard.uri().path(), heard.uri().query()));
        for pair in heard.uri().query().unwrap_or_default().split('&') {
            body.push_str(&format!("parameter {pair}\n"));
        }
        let headers: Vec<(String, String)> = heard
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        body.push_str(&json!(headers).to_string());
        body.push_str(&String::from_utf8_lossy(heard.body()));
        let mut answer = http::Response::builder().status(status);
        for name in ["authorization", "x-key"] {
            if let Some(value) = heard.headers().get(name) {
                answer = answer.header(format!("x-echo-{name}"), value).header(name, value);
            }
        }
        answer = answer.header("x-echo-url", heard.uri().to_string()).header("set-cookie", TOKEN);
        answer.body(Bytes::from(body)).expect("an answer")
    }
}

fn spec(url: &str, auth: Value) -> Value {
    json!({
        "url": format!("{url}/hooks/{PATH}/in?key={QUERY}&other=1"),
        "auth": auth,
        "headers": {"X-Key": HEADER},
        "secret": format!("whsec_{KEY}"),
        "retry": {"attempts": 1},
        "transforms": [{"plugin": "envelope", "config": {"members": [
            {"name": "data", "from": "@payload"}, {"name": "chatbotId", "constant": CONFIG}]}}],
    })
}

fn planted() -> Vec<String> {
    let basic = data_encoding::BASE64.encode(format!("ada:{PASSWORD}").as_bytes());
    [PATH, QUERY, HEADER, TOKEN, PASSWORD, CONFIG, KEY]
        .map(str::to_owned)
        .into_iter()
        .chain([basic])
        .collect()
}

#[track_caller]
fn none_in(place: &str, bytes: &[u8]) {
    for secret in planted() {
        let found = bytes.windows(secret.len()).position(|window| window == secret.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
            panic!("{secret} is in {place}: ...{}...", String::from_utf8_lossy(around));
        }
    }
}

/// Everything that the API and the metrics show.
async fn look_everywhere(world: &World) {
    let list = |answer: &Value| answer["items"].as_array().expect("a list").clone();
    for kind in ["endpoints", "events", "deliveries"] {
        let all = world.web.get(&format!("/v1/{kind}")).await;
        none_in(kind, &all.body);
        for item in list(&all.json()) {
            let path = format!("/v1/{kind}/{}", item["id"].as_str().expect("an id"));
            none_in(&path, &world.web.get(&path).await.body);
        }
    }
    for path in ["/metrics", "/v1/plugins", "/healthz", "/readyz"] {
        none_in(path, &world.web.get(path).await.body);
    }
}

#[test]
fn nothing_that_is_secret_is_shown_logged_or_stored_in_the_open() {
    let log = log();
    Stage::default().in_a_file().play(async |world| {
        let (good, bad) = (Site::open(echo(200)).await, Site::open(echo(500)).await);
        let bearer = json!({"type": "bearer", "token": TOKEN});
        let basic = json!({"type": "basic", "username": "ada", "password": PASSWORD});
        let cut = Site::raw(b"HTTP/1.1 nonsense\r\n\r\n").await;
        for url in [good.url(""), bad.url(""), cut.url(""), "http://nowhere.invalid".to_owned()] {
            for auth in [&bearer, &basic] {
                world.endpoint(spec(&url, auth.clone())).await;
            }
        }
        // Longer than what is kept of a body, so that what is kept ends in the middle of something.
        for payload in ["{\"a\":1}".to_owned(), format!("\"{}\"", "ä".repeat(40_000))] {
            let posted = world.post("a", &payload).await;
            assert_eq!(posted.deliveries, 8);
            for delivery in world.deliveries(&format!("event={}", posted.id)).await {
                world.ended(delivery["id"].as_str().expect("an id")).await;
            }
        }
        look_everywhere(world).await;
        let endpoints = world.web.get("/v1/endpoints").await.expect(200);
        for (index, endpoint) in endpoints["items"].as_array().expect("a list").iter().enumerate() {
            let path = format!("/v1/endpoints/{}", endpoint["id"].as_str().expect("an id"));
            let refused = world.web.patch(&path, &json!({"transforms": [{"plugin": "nope"}]})).await;
            none_in(&path, &refused.body);
            let answer = match index % 2 {
                0 => world.web.delete(&path).await,
                _ => world.web.patch(&path, &json!({"enabled": false})).await,
            };
            none_in(&path, &answer.body);
        }
        look_everywhere(world).await;
        world.stop().await;
        none_in("the store", &std::fs::read(world.store_file()).expect("the store"));
        none_in("the log", &log.0.lock().expect("no panic"));
        assert!(!log.0.lock().expect("no panic").is_empty(), "something was logged");
    });
}

#[test]
fn what_a_receiver_says_is_masked_also_where_it_is_no_text() {
    play(async |world| {
        let site = Site::open(|heard| {
            let header = heard.headers()["x-key"].as_bytes();
            let body = [&b"\xff\xfe"[..], header, b"\xff"].concat();
            http::Response::builder().status(200).body(Bytes::from(body)).expect("an answer")
        })
        .await;
        world.endpoint(json!({"url": site.url("/"), "headers": {"X-Key": HEADER}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        let body = &delivery["attempt_log"][0]["response"]["body"];
        assert_eq!(body["encoding"], "base64", "{body}");
        let bytes = data_encoding::BASE64.decode(body["content"].as_str().expect("text").as_bytes());
        none_in("the answer", &bytes.expect("base64"));
    });
}

#[test]
fn a_secret_that_the_end_of_what_is_kept_cuts_in_two_is_not_shown_in_part() {
    play(async |world| {
        let site = Site::open(|heard| {
            let header = heard.headers()["x-key"].to_str().expect("text");
            // All but the last bytes of it are within the 16 KiB that are kept.
            let body = format!("{}{header}{}", "x".repeat((16 << 10) - header.len() + 3), "y".repeat(100));
            http::Response::builder().status(200).body(Bytes::from(body)).expect("an answer")
        })
        .await;
        world.endpoint(json!({"url": site.url("/"), "headers": {"X-Key": HEADER}})).await;
        let posted = world.post("a", "1").await;
        let delivery = world.outcome(&posted).await;
        let shown = delivery["attempt_log"][0]["response"]["body"]["content"].as_str().expect("text");
        assert!(!shown.contains(&HEADER[..HEADER.len() / 2]), "...{}", &shown[shown.len() - 60..]);
    });
}
