//! What endpoints are promised about failing, waiting, order and rates, and what is told of it.

use std::collections::HashSet;
use std::time::Duration;

use hookwright_tests::harness::{Endpoint, Mailbox, PATIENCE, Posted, World, on_each_store, play};
use serde_json::{Value, json};

async fn view(world: &World, endpoint: &Endpoint) -> Value {
    world.web.get(&endpoint.path()).await.expect(200)
}

async fn until_disabled(world: &World, endpoint: &Endpoint) -> Value {
    world
        .until("it is disabled", async || {
            let view = view(world, endpoint).await;
            (view["enabled"] == false).then_some(view)
        })
        .await
}

async fn enable(world: &World, endpoint: &Endpoint, waiting: &str) {
    world.web.patch(&endpoint.path(), &json!({"enabled": true, "waiting": waiting})).await.expect(200);
}

/// A second receiver, subscribed to what the host tells about itself.
async fn listener(world: &World, topics: Value) -> Mailbox {
    let mailbox = Mailbox::open().await;
    world.endpoint(json!({"name": "listener", "url": mailbox.url("/"), "events": topics})).await;
    mailbox
}

async fn told(mailbox: &mut Mailbox) -> Value {
    serde_json::from_slice(&mailbox.next().await.body).expect("JSON")
}

#[test]
fn an_endpoint_that_begins_anew_has_all_its_chances() {
    on_each_store(async |world| {
        world.receiver.answer(500);
        let spec = json!({"auto_disable": {"failures": 2}, "retry": {"attempts": 1}});
        let endpoint = world.endpoint(spec).await;
        for round in 0..2 {
            for n in 0..2 {
                assert_eq!(view(world, &endpoint).await["enabled"], true, "round {round}");
                let posted = world.post("a", &n.to_string()).await;
                assert_eq!(world.outcome(&posted).await["state"], "failed");
            }
            let view = until_disabled(world, &endpoint).await;
            assert!(view["disabled_because"].to_string().contains("2 attempts in a row"), "{view}");
            assert!(view["disabled_since"].is_string(), "{view}");
            enable(world, &endpoint, "deliver").await;
        }
        let posted = world.post("a", "1").await;
        world.outcome(&posted).await;
        world.web.patch(&endpoint.path(), &json!({"url": world.receiver.url("/new")})).await.expect(200);
        let posted = world.post("a", "1").await;
        world.outcome(&posted).await;
        assert_eq!(view(world, &endpoint).await["enabled"], true, "one failure elsewhere, one here");
    });
}

#[test]
fn an_endpoint_that_fails_for_too_long_is_disabled() {
    play(async |world| {
        world.receiver.answer(500);
        let spec = json!({"auto_disable": {"after": "5d"}, "retry": {"schedule": ["1d", "5d", "1h"]}});
        let endpoint = world.endpoint(spec).await;
        assert_eq!(endpoint.view["auto_disable"], json!({"after": "5d"}));
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        for (attempt, days) in [(1, 2), (2, 7)] {
            world.attempted(&id, attempt).await;
            assert_eq!(view(world, &endpoint).await["enabled"], true);
            world.clock.advance(Duration::from_secs(days * 86_400));
        }
        let view = until_disabled(world, &endpoint).await;
        assert!(view["disabled_because"].to_string().contains("for 5d"), "{view}");
    });
}

#[test]
fn what_is_told_of_an_endpoint() {
    on_each_store(async |world| {
        let mut listener =
            listener(world, json!(["hookwright.endpoint.disabled", "hookwright.endpoint.recovered"])).await;
        let spec = json!({"name": "crm", "events": ["a"], "auto_disable": {"failures": 1}, "retry": {"schedule": ["1h"]}});
        let endpoint = world.endpoint(spec).await;
        world.receiver.answer_first([503]);
        let posted = world.post("a", "1").await;
        let disabled = told(&mut listener).await;
        assert_eq!(disabled["endpoint"], json!({"id": endpoint.id, "name": "crm"}));
        assert!(disabled["reason"].to_string().contains("1 attempts in a row"), "{disabled}");
        assert_eq!(disabled["at"], view(world, &endpoint).await["disabled_since"]);

        enable(world, &endpoint, "deliver").await;
        world.clock.advance(Duration::from_secs(7_200));
        let recovered = told(&mut listener).await;
        assert_eq!(recovered["endpoint"]["id"], endpoint.id);
        assert_eq!(recovered["delivery"]["id"], world.only_delivery(&posted).await);
        assert_eq!((&recovered["delivery"]["attempts"], &recovered["status"]), (&json!(2), &json!(200)));

        let posted = world.post("a", "2").await;
        world.outcome(&posted).await;
        world.web.patch(&endpoint.path(), &json!({"enabled": false})).await.expect(200);
        let disabled = told(&mut listener).await;
        assert!(disabled["reason"].to_string().contains("by request"), "a success is told once: {disabled}");
    });
}

#[test]
fn what_is_told_of_a_delivery_and_never_of_telling_it() {
    play(async |world| {
        world.receiver.answer_first([200, 500]);
        world.endpoint(json!({"events": ["a"], "retry": {"attempts": 1}})).await;
        world.endpoint(json!({"events": ["*"], "enabled": false})).await;
        let mut all = listener(world, json!(["hookwright.*"])).await;
        let delivered = world.post_with("a", "1", json!({"id": "doc-7"})).await;
        let first = told(&mut all).await;
        let event = json!({"id": delivered.id, "type": "a", "producer_id": "doc-7"});
        assert_eq!((&first["event"], &first["status"]), (&event, &json!(200)));
        assert_eq!(first.get("reason"), None);
        let failed = world.post("a", "2").await;
        let second = told(&mut all).await;
        assert_eq!((&second["event"]["id"], &second["status"]), (&json!(failed.id), &json!(500)));
        assert!(second["reason"].to_string().contains("500"), "{second}");
        let types = |events: &[Value]| -> Vec<String> {
            events.iter().map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
        };
        world
            .until("both are delivered", async || {
                let told = world.deliveries("state=delivered&limit=50").await;
                (told.iter().filter(|one| one["type"].to_string().contains("hookwright")).count() == 2)
                    .then_some(())
            })
            .await;
        let events = world.web.get("/v1/events?limit=50").await.expect(200)["items"].clone();
        let events = types(events.as_array().expect("a list"));
        assert_eq!(events, ["hookwright.delivery.failed", "a", "hookwright.delivery.delivered", "a"]);
    });
}

#[test]
fn nothing_is_told_to_nobody() {
    play(async |world| {
        world.receiver.answer_first([500]);
        world.endpoint(json!({"events": ["*"], "retry": {"attempts": 1}})).await;
        world.endpoint(json!({"tenant": "other", "events": ["hookwright.*"]})).await;
        for n in 0..2 {
            let posted = world.post("a", &n.to_string()).await;
            world.outcome(&posted).await;
        }
        let events = world.web.get("/v1/events").await.expect(200)["items"].clone();
        assert_eq!(events.as_array().map(Vec::len), Some(2), "{events}");
    });
}

#[test]
fn what_waited_can_be_skipped() {
    on_each_store(async |world| {
        let endpoint = world.endpoint(json!({"enabled": false})).await;
        let mut skipped = Vec::new();
        for n in 0..5 {
            skipped.push(world.post("a", &n.to_string()).await);
        }
        for wrong in [json!({"waiting": "skip"}), json!({"enabled": true, "waiting": "maybe"})] {
            let problem = world.web.patch(&endpoint.path(), &wrong).await.problem(422);
            assert_eq!(problem["errors"][0]["pointer"], "/waiting", "{problem}");
        }
        enable(world, &endpoint, "skip").await;
        let next = world.post("a", "\"next\"").await;
        assert_eq!(world.receiver.next().await.body, "\"next\"");
        assert_eq!(world.outcome(&next).await["state"], "delivered");
        for posted in &skipped {
            let delivery = world.outcome(posted).await;
            assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("cancelled"), &json!(0)));
            assert!(delivery["reason"].to_string().contains("skipped"), "{delivery}");
        }
        assert!(world.receiver.is_empty().await);
    });
}

/// Chance without dice: the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// The ids that the receiver got, each where it came first.
async fn first_arrivals(world: &mut World, wanted: usize) -> Vec<String> {
    let mut seen = HashSet::new();
    let mut order = Vec::new();
    while order.len() < wanted {
        let arrival = world.receiver.next().await;
        let body = String::from_utf8(arrival.body.to_vec()).expect("text");
        if seen.insert(body.clone()) {
            order.push(body);
        }
    }
    order
}

#[test]
fn order_holds_through_failures_restarts_and_holding() {
    on_each_store(async |world| {
        // A restart waits for what is under way, however long that takes.
        world.config.server.drain_timeout = PATIENCE;
        world.restart().await;
        for seed in 0..3 {
            let mut chance = Chance(seed);
            let spec = json!({
                "order": {"head": "wait"},
                "retry": {"every": "100ms"},
                "auto_disable": "off",
                "concurrency": 16,
            });
            let endpoint = world.endpoint(spec).await;
            let statuses: Vec<u16> = (0..30).map(|_| [200, 200, 500][chance.below(3) as usize]).collect();
            world.receiver.answer_first(statuses);
            let mut expected = Vec::new();
            for n in 0..24 {
                world.post("a", &n.to_string()).await;
                expected.push(n.to_string());
                match chance.below(8) {
                    0 => world.restart().await,
                    1 => {
                        world.web.patch(&endpoint.path(), &json!({"enabled": false})).await.expect(200);
                    }
                    2 | 3 => enable(world, &endpoint, "deliver").await,
                    _ => {}
                }
            }
            enable(world, &endpoint, "deliver").await;
            assert_eq!(first_arrivals(world, expected.len()).await, expected, "seed {seed}");
            world
                .until("all are delivered", async || {
                    let query = format!("endpoint={}&state=pending", endpoint.id);
                    world.deliveries(&query).await.is_empty().then_some(())
                })
                .await;
            world.web.delete(&endpoint.path()).await.expect(204);
            while !world.receiver.is_empty().await {}
        }
    });
}

#[test]
fn a_failing_head_waits_or_steps_aside() {
    on_each_store(async |world| {
        for (order, expected) in
            [(json!({"head": "wait"}), ["0", "0", "1", "2"]), (json!({"head": "park"}), ["0", "1", "2", "0"])]
        {
            world.receiver.answer_first([500]);
            let endpoint = world.endpoint(json!({"order": order, "retry": {"schedule": ["1h"]}})).await;
            let mut posted: Vec<Posted> = Vec::new();
            for n in 0..3 {
                posted.push(world.post("a", &n.to_string()).await);
            }
            let mut arrived = Vec::new();
            if order["head"] == "park" {
                for posted in &posted[1..] {
                    world.outcome(posted).await;
                }
            }
            let head = world.only_delivery(&posted[0]).await;
            world.attempted(&head, 1).await;
            world.clock.advance(Duration::from_secs(7_200));
            for arrival in world.receiver.take(4).await {
                arrived.push(String::from_utf8(arrival.body.to_vec()).expect("text"));
            }
            assert_eq!(arrived, expected, "{order}");
            for posted in &posted {
                assert_eq!(world.outcome(posted).await["state"], "delivered");
            }
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn a_rate_holds_through_a_restart() {
    on_each_store(async |world| {
        let spec = json!({"events": ["a"], "rate_limit": {"requests": 2, "per": "1h"}});
        world.endpoint(spec).await;
        world.endpoint(json!({"events": ["b"], "url": world.receiver.url("/free")})).await;
        for n in 0..4 {
            let posted = world.post("a", &n.to_string()).await;
            if n < 2 {
                world.outcome(&posted).await;
            }
        }
        world.receiver.take(2).await;
        world.restart().await;
        // Claimed behind those that wait for the rate.
        let free = world.post("b", "1").await;
        world.outcome(&free).await;
        assert_eq!(world.receiver.next().await.path(), "/free");
        assert!(world.receiver.is_empty().await);
        world.clock.advance(Duration::from_secs(3_600 + 60));
        // Whoever is sent something has the host look at the clock.
        world.post("b", "2").await;
        let paths = world.receiver.take(3).await;
        assert_eq!(paths.iter().filter(|arrival| arrival.path() == "/").count(), 2);
    });
}
