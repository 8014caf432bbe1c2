//! The server's side of the dashboard: its files, who is signed in, links to portals, and deliveries as they happen.

use std::io::Read as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::read::GzDecoder;
use hookwright::config::Config;
use hookwright_tests::harness::{Answer, PATIENCE, Stage, Web, World, on_each_store, play};
use http::Method;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

/// The admin key of every host here.
const KEY: &str = "hwk_of-the-tests";

/// A browser: what it sends along without being asked.
struct Browser {
    web: Web,
    cookie: String,
    origin: String,
}

impl Browser {
    /// Signs in.
    async fn open(world: &World, key: &str) -> Self {
        let signed_in = sign_in(world, key).await;
        signed_in.expect(200);
        Self::with(world, cookie(&signed_in))
    }

    fn with(world: &World, cookie: String) -> Self {
        let web = world.web.without_key();
        let origin = format!("http://{}", web.address());
        Self { web, cookie, origin }
    }

    /// As our own pages do.
    async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        self.send_from(&[("origin", &self.origin)], method, path, body).await
    }

    async fn send_from(&self, said: &[(&str, &str)], method: Method, path: &str, body: Value) -> Answer {
        let headers = [&[("cookie", self.cookie.as_str())], said].concat();
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.web.send(method, path, &headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send_from(&[], Method::GET, path, Value::Null).await
    }
}

async fn sign_in(world: &World, key: &str) -> Answer {
    world.web.without_key().post("/v1/session", &json!({"key": key})).await
}

/// What the browser keeps of an answer.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").expect("a cookie").split(';').next().expect("a pair").to_owned()
}

async fn key_of(world: &World, spec: Value) -> (String, String) {
    let made = world.web.post("/v1/keys", &spec).await.expect(201);
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    (text("id"), text("key"))
}

async fn portal(world: &World, tenant: &str, spec: Value) -> Value {
    world.web.post(&format!("/v1/tenants/{tenant}/portal"), &spec).await.expect(201)
}

#[test]
fn pages_are_served_safely_and_once() {
    play(async |world| {
        let web = world.web.without_key();
        let page = web.get("/").await;
        assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self'; style-src 'self';"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cache-control", "no-cache"),
        ] {
            assert_eq!(page.header(name), Some(value), "{name}");
        }
        let mark = page.header("etag").expect("a mark").to_owned();
        let again = web.send(Method::GET, "/", &[("if-none-match", &mark)], "").await;
        assert_eq!((again.status, again.body.len()), (304, 0));
        assert_eq!(again.header("etag"), Some(mark.as_str()));
        let head = web.send(Method::HEAD, "/", &[], "").await;
        assert_eq!((head.status, head.body.len()), (200, 0));

        assert_eq!(web.get("/dashboard/index.html").await.body, page.body);
        for path in [
            "/dashboard/nothing.js",
            "/dashboard/../Cargo.toml",
            "/dashboard/%2e%2e/Cargo.toml",
            "/dashboard//etc/passwd",
        ] {
            let missing = web.get(path).await;
            assert_eq!(missing.status, 404, "{path}");
        }
        assert_eq!(web.post("/", &json!({})).await.status, 405);
    });
}

#[test]
fn pages_are_packed_for_those_who_take_it() {
    play(async |world| {
        let web = world.web.without_key();
        let plain = web.get("/dashboard/index.html").await;
        let packed =
            web.send(Method::GET, "/dashboard/index.html", &[("accept-encoding", "br, gzip")], "").await;
        assert_eq!(plain.header("content-encoding"), None);
        // What is small goes out as it is.
        if packed.header("content-encoding").is_some() {
            let mut text = Vec::new();
            GzDecoder::new(&packed.body[..]).read_to_end(&mut text).expect("gzip");
            assert_eq!(text, plain.body);
            assert_ne!(packed.header("etag"), plain.header("etag"));
        }
        assert_eq!(packed.header("vary"), Some("accept-encoding"));
    });
}

#[test]
fn frames_are_for_those_who_are_named_and_no_pages_for_nobody() {
    let named = |config: &mut Config| {
        let origin = hookwright::config::Origin::parse("https://app.example").expect("an origin");
        config.dashboard.frame_ancestors = vec![origin];
    };
    Stage::default().with(named).play(async |world: &mut World| {
        let page = world.web.get("/").await;
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.ends_with("frame-ancestors https://app.example"), "{policy}");
    });
    Stage::default().with(|config| config.dashboard.enabled = false).play(async |world: &mut World| {
        world.web.get("/").await.problem(404);
        world.web.get("/dashboard/index.html").await.problem(404);
    });
}

#[test]
fn a_session_stands_in_for_its_key() {
    on_each_store(async |world| {
        let signed_in = sign_in(world, KEY).await;
        let view = signed_in.expect(200);
        assert_eq!((&view["role"], &view["tenant"]), (&json!("admin"), &Value::Null));
        assert_eq!((&view["offline"], &view["version"]), (&json!(false), &json!(env!("CARGO_PKG_VERSION"))));
        let set = signed_in.header("set-cookie").expect("a cookie");
        assert!(set.contains("; HttpOnly; SameSite=Strict; Path=/; Max-Age=43200"), "{set}");
        assert!(!set.contains("Secure") && !set.contains(KEY), "{set}");
        assert_eq!(signed_in.header("cache-control"), Some("no-store"));
        let browser = Browser::with(world, cookie(&signed_in));
        assert_eq!(browser.get("/v1/session").await.expect(200), view);
        browser.get("/v1/keys").await.expect(200);
        let spec = json!({"name": "n", "url": world.receiver.url("/"), "events": ["*"]});
        let made = browser.send(Method::POST, "/v1/endpoints", spec).await.expect(201);
        let path = format!("/v1/endpoints/{}", made["id"].as_str().expect("an id"));
        browser.send(Method::PATCH, &path, json!({"name": "m"})).await.expect(200);
        browser.send(Method::GET, "/api/webhooks-config", Value::Null).await.expect(200);
        world.web.patch("/v1/host", &json!({"offline": true})).await.expect(200);
        assert_eq!(browser.get("/v1/session").await.expect(200)["offline"], true);

        // Another start of the host knows it too.
        world.restart().await;
        let browser = Browser::with(world, browser.cookie);
        browser.get("/v1/session").await.expect(200);
        world.clock.advance(Duration::from_secs(12 * 3_600));
        let over = browser.get("/v1/session").await.problem(401);
        assert_eq!(over["detail"], "This session is over; sign in again.");
    });
}

#[test]
fn a_key_that_is_sent_says_who_it_is() {
    play(async |world| {
        let view = world.web.get("/v1/session").await.expect(200);
        assert_eq!((&view["role"], &view["expires_at"]), (&json!("admin"), &Value::Null));
        let (_, key) = key_of(world, json!({"role": "tenant", "tenant": "acme", "expires": "1h"})).await;
        let view = world.web.with_key(&key).get("/v1/session").await.expect(200);
        assert_eq!((&view["role"], &view["tenant"]), (&json!("tenant"), &json!("acme")));
        assert!(view["expires_at"].is_string(), "{view}");
        let (_, ingest) = key_of(world, json!({"role": "ingest"})).await;
        world.web.with_key(&ingest).get("/v1/session").await.problem(403);
        assert!(sign_in(world, &ingest).await.problem(403)["detail"].to_string().contains("posting events"));
        // A session lasts no longer than its key.
        let signed_in = sign_in(world, &key).await;
        assert_eq!(signed_in.expect(200)["expires_at"], view["expires_at"]);
        // Where both come, the key is what counts.
        let browser = Browser::open(world, KEY).await;
        let (both, cookie) = (browser.web.with_key(&key), [("cookie", browser.cookie.as_str())]);
        let both = both.send(Method::GET, "/v1/session", &cookie, "").await;
        assert_eq!(both.expect(200)["role"], "tenant");
    });
}

#[test]
fn changes_with_a_session_come_from_our_own_pages() {
    let proxied = |config: &mut Config| {
        let origin = hookwright::config::Origin::parse("https://hooks.example").expect("an origin");
        config.dashboard.origins = vec![origin];
    };
    Stage::default().with(proxied).play(async |world: &mut World| {
        let browser = Browser::open(world, KEY).await;
        let own = browser.origin.clone();
        let other_port = format!("{own}0");
        let other_scheme = own.replace("http:", "https:");
        let table: [(&[(&str, &str)], bool); 10] = [
            (&[], false),
            (&[("origin", "https://evil.example")], false),
            (&[("origin", "null")], false),
            (&[("origin", "")], false),
            (&[("origin", &other_port)], false),
            (&[("origin", &other_scheme)], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")], false),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("origin", "https://hooks.example")], true),
        ];
        for (said, good) in table {
            let answer = browser.send_from(said, Method::POST, "/v1/keys", json!({"role": "ingest"})).await;
            match good {
                true => drop(answer.expect(201)),
                false => assert!(
                    answer.problem(403)["detail"].to_string().contains("dashboard.origins"),
                    "{said:?}"
                ),
            }
        }
        browser.send(Method::POST, "/v1/keys", json!({"role": "ingest"})).await.expect(201);
        assert_eq!(browser.get("/v1/keys").await.expect(200)["items"].as_array().map(Vec::len), Some(3));
        for (method, path) in
            [(Method::DELETE, "/v1/session"), (Method::PUT, "/v1/versions"), (Method::PATCH, "/v1/host")]
        {
            let evil = [("origin", "https://evil.example")];
            browser.send_from(&evil, method, path, json!({})).await.problem(403);
        }
        // Nor can another page have a browser sign in.
        let body = json!({"key": KEY}).to_string();
        let web = world.web.without_key();
        let from = |origin: &'static str| [("origin", origin)];
        web.send(Method::POST, "/v1/session", &from("https://evil.example"), body.clone()).await.problem(403);
        let proxied = web.send(Method::POST, "/v1/session", &from("https://hooks.example"), body).await;
        proxied.expect(200);
        assert!(proxied.header("set-cookie").expect("a cookie").ends_with("; Secure"));
    });
}

#[test]
fn what_is_no_session_opens_nothing() {
    play(async |world| {
        let browser = Browser::open(world, KEY).await;
        let (name, sealed) = browser.cookie.split_once('=').expect("a pair");
        let changed = |place: usize| {
            let mut bytes = sealed.to_owned().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            String::from_utf8(bytes).expect("text")
        };
        let token = portal(world, "acme", json!({})).await["token"].as_str().expect("a text").to_owned();
        let forged =
            ["", "a", &changed(0), &changed(sealed.len() / 2), KEY, &token, token.trim_start_matches("hwp_")];
        for value in forged {
            let browser = Browser::with(world, format!("{name}={value}"));
            browser.get("/v1/session").await.problem(401);
            browser.send(Method::POST, "/v1/keys", json!({"role": "admin"})).await.problem(401);
        }
        // Nor is one a key.
        world.web.with_key(sealed).get("/v1/session").await.problem(401);
        world.web.with_key(&format!("hwp_{sealed}")).get("/v1/session").await.problem(401);
    });
}

#[test]
fn a_session_ends_with_its_key_and_by_signing_out() {
    on_each_store(async |world| {
        let (id, key) = key_of(world, json!({"role": "admin"})).await;
        let (first, second) = (Browser::open(world, &key).await, Browser::open(world, &key).await);
        let gone = first.send(Method::DELETE, "/v1/session", Value::Null).await;
        gone.expect(204);
        assert!(gone.header("set-cookie").expect("a cookie").contains("hookwright_session=; "));
        first.get("/v1/session").await.problem(401);
        second.get("/v1/session").await.expect(200);
        // It is remembered, and the other one is as it was.
        world.restart().await;
        Browser::with(world, first.cookie).get("/v1/session").await.problem(401);
        let second = Browser::with(world, second.cookie);
        second.get("/v1/session").await.expect(200);
        world.web.delete(&format!("/v1/keys/{id}")).await.expect(204);
        assert_eq!(second.get("/v1/session").await.problem(401)["detail"], "This key was revoked.");
        // A key that signs out stays a key.
        world.web.delete("/v1/session").await.expect(204);
        world.web.get("/v1/session").await.expect(200);
    });
}

#[test]
fn ended_sessions_are_remembered_within_a_bound() {
    let few = Stage::default().with(|config| config.dashboard.max_ended_sessions = 3);
    few.play(async |world: &mut World| {
        let own = Browser::open(world, KEY).await;
        own.send(Method::DELETE, "/v1/session", Value::Null).await.expect(204);
        let link = portal(world, "acme", json!({})).await;
        let mut ended = Vec::new();
        for _ in 0..4 {
            let visitor = Browser::open(world, link["token"].as_str().expect("a text")).await;
            visitor.send(Method::DELETE, "/v1/session", Value::Null).await.expect(204);
            ended.push(visitor);
        }
        let mut remembered = 0;
        for visitor in &ended {
            remembered += usize::from(visitor.get("/v1/session").await.status == 401);
        }
        assert_eq!(remembered, 2);
        own.get("/v1/session").await.problem(401);
    });
}

#[test]
fn sessions_of_a_link_end_with_it() {
    play(async |world| {
        let link = portal(world, "acme", json!({})).await;
        let token = link["token"].as_str().expect("a text");
        let visitor = Browser::open(world, token).await;
        visitor.get("/v1/session").await.expect(200);
        world.web.with_key(token).delete("/v1/session").await.expect(204);
        visitor.get("/v1/session").await.problem(401);
        world.web.get("/v1/session").await.expect(200);
    });
}

#[test]
fn another_admin_key_ends_the_sessions_of_the_one_before() {
    play(async |world| {
        let browser = Browser::open(world, KEY).await;
        let link = portal(world, "acme", json!({})).await;
        let token = link["token"].as_str().expect("a text").to_owned();
        world.stop().await;
        world.config.admin_key = Some(hookwright::secret::Secret::new("hwk_another-one-of-them"));
        world.start().await;
        Browser::with(world, browser.cookie).get("/v1/session").await.problem(401);
        world.web.with_key(&token).get("/v1/session").await.problem(401);
    });
}

#[test]
fn behind_a_trusted_proxy_each_client_has_attempts_of_its_own() {
    let trusting = Stage::default().with(|config| {
        config.dashboard.sign_in_attempts = 1;
        config.server.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")];
    });
    trusting.play(async |world: &mut World| {
        let from = async |client: &str, key: &str| {
            let web = world.web.without_key();
            let headers = [("x-forwarded-for", client), ("content-type", "application/json")];
            web.send(Method::POST, "/v1/session", &headers, json!({"key": key}).to_string()).await.status
        };
        assert_eq!(from("203.0.113.1", "hwk_wrong").await, 401);
        assert_eq!(from("203.0.113.1", KEY).await, 429);
        assert_eq!(
            from("198.51.100.9, 203.0.113.1", KEY).await,
            429,
            "what a client writes before does not count"
        );
        assert_eq!(from("203.0.113.2", KEY).await, 200);
    });
}

#[test]
fn wrong_keys_are_tried_a_few_times() {
    play(async |world| {
        for _ in 0..10 {
            sign_in(world, "hwk_wrong").await.problem(401);
        }
        let refused = sign_in(world, KEY).await;
        let problem = refused.problem(429);
        assert!(problem["detail"].to_string().contains("dashboard.sign_in_attempts"), "{problem}");
        let wait: u64 = refused.header("retry-after").expect("a pause").parse().expect("a number");
        assert!((1..=62).contains(&wait), "{wait}");
        // Who is signed in, or sends a key, is not kept waiting.
        world.web.get("/v1/session").await.expect(200);
        world.clock.advance(Duration::from_secs(wait));
        sign_in(world, KEY).await.expect(200);
        // What cannot be read is no attempt.
        for _ in 0..20 {
            world.web.without_key().post("/v1/session", &json!({"key": 1})).await.problem(422);
        }
        sign_in(world, KEY).await.expect(200);
    });
}

#[test]
fn a_link_opens_the_portal_of_one_tenant() {
    play(async |world| {
        let own = world.endpoint(json!({"tenant": "acme", "name": "own"})).await;
        let other = world.endpoint(json!({"tenant": "planted", "name": "planted"})).await;
        let link = portal(world, "acme", json!({"expires": "10m"})).await;
        let token = link["token"].as_str().expect("a text");
        assert!(token.starts_with("hwp_") && !token.contains("acme"), "{token}");
        assert_eq!(link["path"], format!("/#/portal/{token}"));
        let bearer = world.web.with_key(token);
        let browser = Browser::open(world, token).await;
        for answer in [bearer.get("/v1/session").await, browser.get("/v1/session").await] {
            let view = answer.expect(200);
            assert_eq!((&view["role"], &view["tenant"]), (&json!("tenant"), &json!("acme")));
            assert_eq!(view["expires_at"], link["expires_at"]);
        }
        for web in [&bearer, &world.web.without_key()] {
            let cookie = [("cookie", browser.cookie.as_str())];
            let get = async |path: &str| web.send(Method::GET, path, &cookie, "").await;
            let listed = get("/v1/endpoints").await.expect(200);
            assert_eq!((&listed["items"][0]["id"], &listed["items"][1]), (&json!(own.id), &Value::Null));
            get(&other.path()).await.problem(404);
            get("/v1/endpoints?tenant=planted").await.problem(403);
            get("/v1/keys").await.problem(403);
        }
        // It manages what is its own, and makes no other link.
        bearer.patch(&own.path(), &json!({"enabled": false})).await.expect(200);
        bearer.post("/v1/tenants/acme/portal", &json!({})).await.problem(403);
        browser.send(Method::POST, "/v1/tenants/planted/portal", json!({})).await.problem(403);
        world.clock.advance(Duration::from_secs(600));
        assert_eq!(
            bearer.get("/v1/session").await.problem(401)["detail"],
            "This link is over; ask for another one."
        );
        browser.get("/v1/session").await.problem(401);
    });
}

#[test]
fn a_link_lasts_no_longer_than_the_key_it_was_made_with() {
    play(async |world| {
        let (id, key) = key_of(world, json!({"role": "admin", "expires": "30m"})).await;
        let signed_in = Browser::open(world, &key).await;
        let made = signed_in
            .send(Method::POST, "/v1/tenants/acme/portal", json!({"expires": "24h"}))
            .await
            .expect(201);
        let ends = world.web.with_key(&key).get("/v1/session").await.expect(200)["expires_at"].clone();
        assert_eq!(made["expires_at"], ends);
        let token = made["token"].as_str().expect("a text");
        let browser = Browser::open(world, token).await;
        // The session that made it may end.
        signed_in.send(Method::DELETE, "/v1/session", Value::Null).await.expect(204);
        world.web.with_key(token).get("/v1/endpoints").await.expect(200);
        world.web.delete(&format!("/v1/keys/{id}")).await.expect(204);
        world.web.with_key(token).get("/v1/endpoints").await.problem(401);
        browser.get("/v1/endpoints").await.problem(401);

        for (spec, pointer) in [
            (json!({"expires": "59s"}), "/expires"),
            (json!({"expires": "25h"}), "/expires"),
            (json!({"expires": "soon"}), "/expires"),
            (json!({"role": "admin"}), "/role"),
        ] {
            let problem = world.web.post("/v1/tenants/acme/portal", &spec).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
        }
        world.web.post("/v1/tenants/a%20b/portal", &json!({})).await.problem(404);
        // One that signs out is over, for all who have it.
        let link = portal(world, "acme", json!({})).await;
        let web = world.web.with_key(link["token"].as_str().expect("a text"));
        web.delete("/v1/session").await.expect(204);
        web.get("/v1/session").await.problem(401);
    });
}

/// A stream of deliveries, as it comes.
struct Stream {
    body: Incoming,
    text: String,
}

impl Stream {
    async fn open(world: &World, key: &str, query: &str) -> Self {
        Self::answer(world, key, query).await.map_err(|status| panic!("{status}")).expect("a stream")
    }

    /// The status where it is none.
    async fn answer(world: &World, key: &str, query: &str) -> Result<Self, u16> {
        let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
        let url = format!("http://{}/v1/deliveries/live?{query}", world.web.address());
        let request = http::Request::builder().uri(url).header("authorization", format!("Bearer {key}"));
        let answer =
            client.request(request.body(Full::default()).expect("a request")).await.expect("an answer");
        if answer.status() != 200 {
            return Err(answer.status().as_u16());
        }
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let mut stream = Self { body: answer.into_body(), text: String::new() };
        assert!(stream.frame().await.expect("a beginning").starts_with("retry: "));
        Ok(stream)
    }

    /// The next frame; `None` at the end.
    async fn frame(&mut self) -> Option<String> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let (frame, rest) = (frame.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(frame);
            }
            let part = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("something comes");
            let part = part?.expect("a whole answer").into_data().expect("data");
            self.text.push_str(std::str::from_utf8(&part).expect("text"));
        }
    }

    /// The next event of this name, past others.
    async fn event(&mut self, name: &str) -> Value {
        let begun = Instant::now();
        loop {
            // What only says that the stream lives is no event.
            assert!(begun.elapsed() < PATIENCE * 2, "no `{name}` came");
            let frame = self.frame().await.expect("another event");
            if let Some(data) = frame.strip_prefix(&format!("event: {name}\ndata: ")) {
                return serde_json::from_str(data).expect("JSON");
            }
        }
    }

    async fn delivery(&mut self) -> Value {
        self.event("delivery").await
    }

    /// Up to its end, all that still comes.
    async fn rest(mut self) -> Vec<String> {
        let mut frames = Vec::new();
        while let Some(frame) = self.frame().await {
            frames.push(frame);
        }
        frames
    }
}

#[test]
fn deliveries_are_told_as_they_are_made_and_change() {
    on_each_store(async |world| {
        let mut stream = Stream::open(world, KEY, "").await;
        world.receiver.answer_first([500]);
        world.endpoint(json!({})).await;
        let posted = world.post("a", "1").await;
        let (made, tried, arrived) =
            (stream.delivery().await, stream.delivery().await, stream.delivery().await);
        let listed = world.deliveries(&format!("event={}", posted.id)).await.remove(0);
        assert_eq!(arrived, listed, "as lists show it");
        for (told, state, attempts) in
            [(&made, "pending", 0), (&tried, "pending", 1), (&arrived, "delivered", 2)]
        {
            assert_eq!((&told["id"], &told["state"]), (&listed["id"], &json!(state)), "{told}");
            assert_eq!(told["attempts"], attempts, "{told}");
        }
    });
}

#[test]
fn what_people_do_to_deliveries_is_told() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"enabled": false})).await;
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        let mut stream = Stream::open(world, KEY, "").await;
        world.web.post(&format!("/v1/deliveries/{id}/cancel"), &json!({})).await.expect(200);
        assert_eq!(stream.delivery().await["state"], "cancelled");
        let again = world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await.expect(201);
        let told = stream.delivery().await;
        assert_eq!(
            (&told["id"], &told["replay_of"], &told["held"]),
            (&again["id"], &json!(id), &json!(true))
        );
        world.web.post(&format!("/v1/events/{}/replay", posted.id), &json!({})).await.expect(200);
        // A job of the background.
        world
            .web
            .post(&format!("/v1/deliveries/{}/cancel", told["id"].as_str().expect("an id")), &json!({}))
            .await
            .expect(200);
        assert_eq!(stream.delivery().await["state"], "cancelled");
        world.web.post("/v1/replays", &json!({"endpoint": endpoint.id})).await.expect(202);
        let told = stream.delivery().await;
        assert_eq!((&told["state"], &told["replay_of"]), (&json!("pending"), &again["id"]));
        // Those of an endpoint that goes are not told one by one.
        world.web.delete(&endpoint.path()).await.expect(204);
        assert_eq!(stream.event("behind").await, json!({"missed": 1}));
    });
}

#[test]
fn a_stream_has_what_it_is_asked_for_and_what_is_ones_own() {
    play(async |world| {
        let (_, key) = key_of(world, json!({"role": "tenant", "tenant": "acme"})).await;
        let token = portal(world, "acme", json!({})).await["token"].as_str().expect("a text").to_owned();
        let own = world.endpoint(json!({"tenant": "acme"})).await;
        let planted = world.endpoint(json!({"tenant": "planted"})).await;
        let mut of_tenant = Stream::open(world, &key, "").await;
        let mut of_link = Stream::open(world, &token, "tenant=acme").await;
        let mut of_endpoint = Stream::open(world, KEY, &format!("endpoint={}", own.id)).await;
        let mut of_state = Stream::open(world, KEY, "state=delivered&type=b&tenant=acme").await;
        let of_another = Stream::open(world, &key, &format!("endpoint={}&for=2s", planted.id)).await;
        assert_eq!(Stream::answer(world, &key, "tenant=planted").await.err(), Some(403));
        for (tenant, event_type) in [("planted", "a"), ("acme", "a"), ("planted", "b"), ("acme", "b")] {
            let posted = world.post_with(event_type, "1", json!({"tenant": tenant})).await;
            world.outcome(&posted).await;
        }
        for stream in [&mut of_tenant, &mut of_link, &mut of_endpoint] {
            for (event_type, state) in
                [("a", "pending"), ("a", "delivered"), ("b", "pending"), ("b", "delivered")]
            {
                let told = stream.delivery().await;
                assert_eq!((&told["tenant"], &told["type"]), (&json!("acme"), &json!(event_type)), "{told}");
                assert_eq!(told["state"], state, "{told}");
            }
        }
        let told = of_state.delivery().await;
        assert_eq!(
            (&told["type"], &told["state"], &told["tenant"]),
            (&json!("b"), &json!("delivered"), &json!("acme"))
        );
        assert_eq!(of_another.rest().await, Vec::<String>::new());
        // Nor how much happens to others.
        world.web.patch(&planted.path(), &json!({"enabled": false})).await.expect(200);
        world.post_with("a", "1", json!({"tenant": "planted"})).await;
        world.web.delete(&planted.path()).await.expect(204);
        world.web.patch(&own.path(), &json!({"enabled": false})).await.expect(200);
        world.post_with("c", "1", json!({"tenant": "acme"})).await;
        assert_eq!(of_tenant.delivery().await["type"], "c");
        world.web.delete(&own.path()).await.expect(204);
        assert_eq!(of_tenant.event("behind").await, json!({"missed": null}));
        for query in ["state=lost", "endpoint=1", "for=0ms", "for=25h", "limit=1"] {
            assert_eq!(Stream::answer(world, KEY, query).await.err(), Some(422), "{query}");
        }
    });
}

#[test]
fn a_stream_ends_with_what_opened_it() {
    play(async |world| {
        let (id, key) = key_of(world, json!({"role": "admin"})).await;
        let made = world.web.with_key(&key).post("/v1/tenants/acme/portal", &json!({})).await.expect(201);
        let token = made["token"].as_str().expect("a text");
        let (of_key, of_link) = (Stream::open(world, &key, "").await, Stream::open(world, token, "").await);
        let signs_out = portal(world, "acme", json!({})).await["token"].as_str().expect("a text").to_owned();
        let of_other = Stream::open(world, &signs_out, "").await;
        world.web.delete(&format!("/v1/keys/{id}")).await.expect(204);
        of_key.rest().await;
        of_link.rest().await;
        world.web.with_key(&signs_out).delete("/v1/session").await.expect(204);
        of_other.rest().await;
        // The host's own end waits for none.
        let stream = Stream::open(world, KEY, "").await;
        world.stop().await;
        stream.rest().await;
    });
}

#[test]
fn streams_have_a_bound_and_who_is_slow_misses_some() {
    let narrow = |config: &mut Config| {
        config.dashboard.live_streams = 2;
        config.dashboard.live_buffer = 1;
    };
    Stage::default().with(narrow).play(async |world: &mut World| {
        let (_, key) = key_of(world, json!({"role": "tenant", "tenant": "acme"})).await;
        let mut stream = Stream::open(world, &key, "").await;
        assert_eq!(Stream::answer(world, &key, "").await.err(), Some(503), "a quarter, rounded up");
        let other = Stream::open(world, KEY, "for=1ms").await;
        other.rest().await;
        let mut other = Stream::open(world, KEY, "").await;
        let full = world.web.get("/v1/deliveries/live").await;
        assert!(full.problem(503)["detail"].to_string().contains("dashboard.live_streams"));
        assert!(full.header("retry-after").is_some());
        world.endpoint(json!({"tenant": "acme", "enabled": false})).await;
        let batch: Vec<Value> =
            (0..50).map(|n| json!({"type": "a", "tenant": "acme", "payload": n})).collect();
        world.web.post("/v1/events", &json!(batch)).await.expect(202);
        assert!(other.event("behind").await["missed"].as_u64().expect("a number") > 0);
        assert_eq!(stream.event("behind").await, json!({"missed": null}));
    });
}

#[test]
fn a_tenant_sees_plugins_and_none_of_the_hosts_affairs() {
    Stage::default().in_a_file().play(async |world| {
        let chain = json!([{"plugin": "flatten"}]);
        let own = world.endpoint(json!({"tenant": "acme", "transforms": chain})).await;
        world.endpoint(json!({"tenant": "planted", "name": "planted", "transforms": chain})).await;
        world.drop_plugin("broken", b"no plugin");
        world
            .until("the folder is looked at", async || {
                let refused = &world.web.get("/v1/plugins").await.expect(200)["refused"];
                (!refused.as_array().expect("a list").is_empty()).then_some(())
            })
            .await;
        let (_, key) = key_of(world, json!({"role": "tenant", "tenant": "acme"})).await;
        let web = world.web.with_key(&key);
        let listed = web.get("/v1/plugins").await.expect(200);
        assert_eq!(listed["refused"], json!([]));
        for item in listed["items"].as_array().expect("a list") {
            assert_eq!((&item["file"], &item["problem"]), (&Value::Null, &Value::Null), "{item}");
            assert_eq!(item["endpoints"], u32::from(item["name"] == "flatten"), "{item}");
        }
        let flatten = web.get("/v1/plugins/flatten").await.expect(200);
        assert!(flatten["config_schema"].is_object(), "{flatten}");
        let users = flatten["users"].as_array().expect("a list");
        assert_eq!((users.len(), &users[0]["id"]), (1, &json!(own.id)));
        let all = world.web.get("/v1/plugins/flatten").await.expect(200);
        assert_eq!((all["users"].as_array().map(Vec::len), &all["endpoints"]), (Some(2), &json!(2)));
        web.get("/v1/plugins/flatten/versions").await.problem(403);
        web.get("/v1/plugins/flatten/stats").await.problem(403);
        web.post("/v1/plugins/flatten/rollback", &json!({})).await.problem(403);
    });
}

#[test]
fn an_endpoint_can_be_asked_about_before_it_is_made() {
    play(async |world| {
        world.web.patch("/v1/host", &json!({"timeout": "7s"})).await.expect(200);
        let url = world.receiver.url("/path?key=planted");
        let spec = json!({"name": "n", "url": url, "events": ["*"], "transforms": [{"plugin": "flatten"}]});
        let asked = world.web.post("/v1/endpoints?dry_run=true", &spec).await;
        let view = asked.expect(200);
        assert_eq!(
            (&view["name"], &view["timeout"], &view["tenant"]),
            (&json!("n"), &json!("7s"), &json!("default"))
        );
        assert!(!asked.text().contains("planted"), "{view}");
        for made in ["id", "secret", "secrets", "created_at"] {
            assert!(view.get(made).is_none(), "{view}");
        }
        for (member, value, pointer) in [
            ("url", json!("http://10.0.0.1/"), "/url"),
            (
                "transforms",
                json!([{"plugin": "flatten", "config": {"separator": 7}}]),
                "/transforms/0/config/separator",
            ),
            ("secret", json!("short"), "/secret"),
            ("version", json!("2020"), "/version"),
        ] {
            let mut wrong = spec.clone();
            wrong[member] = value;
            let asked = world.web.post("/v1/endpoints?dry_run=true", &wrong).await.problem(422);
            assert_eq!(asked["errors"][0]["pointer"], pointer, "{asked}");
            assert_eq!(asked, world.web.post("/v1/endpoints", &wrong).await.problem(422));
        }
        assert_eq!(world.web.get("/v1/endpoints").await.expect(200)["items"], json!([]));

        let endpoint = world.endpoint(json!({})).await;
        let path = format!("{}?dry_run=true", endpoint.path());
        let changes = world.web.patch(&path, &json!({"name": "other", "enabled": false})).await.expect(200);
        let members: Vec<_> =
            changes["changes"].as_array().expect("a list").iter().map(|c| c["member"].clone()).collect();
        assert_eq!(members, ["enabled", "name"]);
        world.web.patch(&path, &json!({"timeout": "soon"})).await.problem(422);
        assert_eq!(world.web.get(&endpoint.path()).await.expect(200)["name"], "receiver");
        // A tenant asks about its own.
        let (_, key) = key_of(world, json!({"role": "tenant", "tenant": "acme"})).await;
        let web = world.web.with_key(&key);
        assert_eq!(web.post("/v1/endpoints?dry_run=true", &spec).await.expect(200)["tenant"], "acme");
        web.patch(&path, &json!({"name": "other"})).await.problem(404);
    });
}
