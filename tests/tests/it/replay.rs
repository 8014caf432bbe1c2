//! Delivering again what a filter finds, in the background; and test events, of which nothing is kept.

use hookwright_tests::harness::{Endpoint, Site, Stage, World, on_each_store, play};
use serde_json::{Value, json};

/// An endpoint whose deliveries have failed, so many of them. The receiver takes everything from then on.
pub async fn outage(world: &mut World, events: usize) -> Endpoint {
    let endpoint = world.endpoint(json!({"retry": {"attempts": 1}})).await;
    world.receiver.answer(500);
    for n in 0..events {
        let posted = world.post("a", &n.to_string()).await;
        assert_eq!(world.outcome(&posted).await["state"], "failed");
    }
    world.receiver.take(events).await;
    world.receiver.answer(200);
    endpoint
}

pub async fn replay(world: &World, wanted: &Value) -> String {
    let job = world.web.post("/v1/replays", wanted).await.expect(202);
    job["id"].as_str().expect("an id").to_owned()
}

/// The job once it has ended.
pub async fn ended(world: &World, id: &str) -> Value {
    world
        .until("the replay ends", async || {
            let job = world.web.get(&format!("/v1/replays/{id}")).await.expect(200);
            (job["state"] != "running").then_some(job)
        })
        .await
}

#[test]
fn a_job_goes_on_after_a_restart() {
    for memory in [false, true] {
        let stage = Stage::default().with(|config| config.replay.rate = 10);
        let stage = if memory { stage.in_memory() } else { stage };
        stage.play(async |world| {
            let endpoint = outage(world, 12).await;
            let id = replay(world, &json!({"endpoint": endpoint.id, "state": "failed"})).await;
            let path = format!("/v1/replays/{id}");
            world
                .until("some are made", async || {
                    let job = world.web.get(&path).await.expect(200);
                    (job["progress"]["made"].as_u64() >= Some(2)).then_some(())
                })
                .await;
            world.restart().await;
            let job = ended(world, &id).await;
            assert_eq!(job["state"], "done");
            assert_eq!(job["progress"], json!({"looked_at": 12, "made": 12, "skipped": {}}));
            let mut originals: Vec<_> = world.deliveries("limit=100").await;
            assert_eq!(originals.len(), 24);
            originals.retain(|delivery| !delivery["replay_of"].is_null());
            originals.sort_by_key(|delivery| delivery["replay_of"].to_string());
            originals.dedup_by_key(|delivery| delivery["replay_of"].to_string());
            assert_eq!(originals.len(), 12, "none twice");
        });
    }
}

#[test]
fn an_endpoint_gets_what_came_before_it() {
    on_each_store(async |world| {
        let before = world.post("invoice.paid", r#"{"n":1}"#).await;
        world.post("other", "2").await;
        let endpoint = world.endpoint(json!({"events": ["invoice.*"]})).await;
        let wanted = json!({"endpoint": endpoint.id, "missing": true});
        let id = replay(world, &wanted).await;
        let job = ended(world, &id).await;
        assert_eq!(job["progress"], json!({"looked_at": 2, "made": 1, "skipped": {"not_wanted": 1}}));
        assert_eq!(&*world.receiver.next().await.body, br#"{"n":1}"#);
        assert_eq!(world.outcome(&before).await["state"], "delivered");
        let id = replay(world, &wanted).await;
        let job = ended(world, &id).await;
        assert_eq!(job["progress"]["skipped"], json!({"not_wanted": 1, "present": 1}));
    });
}

#[test]
fn a_job_is_cancelled_and_waits_for_no_endpoint_that_is_gone() {
    // One in a second: it is cancelled long before it is done.
    Stage::default().with(|config| config.replay.rate = 1).play(async |world| {
        let endpoint = outage(world, 10).await;
        let id = replay(world, &json!({"state": "failed"})).await;
        let path = format!("/v1/replays/{id}/cancel");
        let cancelled = world.web.post(&path, &Value::Null).await.expect(200);
        assert_eq!(cancelled["state"], "cancelled");
        world.web.post(&path, &Value::Null).await.problem(409);
        world.web.delete(&endpoint.path()).await.expect(204);
        let id = replay(world, &json!({"state": "failed"})).await;
        let progress = ended(world, &id).await["progress"].clone();
        assert_eq!((&progress["made"], &progress["looked_at"]), (&json!(0), &json!(10)));
        assert_eq!(world.web.get("/v1/replays").await.expect(200)["items"].as_array().map(Vec::len), Some(2));
    });
}

#[test]
fn tenants_replay_their_own_alone() {
    play(async |world| {
        let key = json!({"role": "tenant", "tenant": "acme"});
        let key = world.web.post("/v1/keys", &key).await.expect(201)["key"].clone();
        let acme = world.web.with_key(key.as_str().expect("a key"));
        let foreign = outage(world, 1).await;
        let id = replay(world, &json!({"state": "failed", "until": "2000-01-01T00:00:00Z"})).await;
        acme.post("/v1/replays", &json!({"endpoint": foreign.id})).await.problem(422);
        acme.post("/v1/replays", &json!({"state": "failed", "tenant": "default"})).await.problem(403);
        acme.get(&format!("/v1/replays/{id}")).await.problem(404);
        acme.post(&format!("/v1/replays/{id}/cancel"), &Value::Null).await.problem(404);
        acme.post(&format!("{}/test", foreign.path()), &json!({})).await.problem(404);
        let event = world.deliveries("").await[0]["event"].clone();
        let path = format!("/v1/events/{}/replay", event.as_str().expect("an id"));
        acme.post(&path, &json!({})).await.problem(404);
        let own = acme.post("/v1/replays", &json!({"state": "failed"})).await.expect(202);
        assert_eq!(own["selection"]["tenant"], "acme");
        let own = ended(world, own["id"].as_str().expect("an id")).await;
        assert_eq!(own["progress"]["looked_at"], 0);
        assert_eq!(acme.get("/v1/replays").await.expect(200)["items"].as_array().map(Vec::len), Some(1));
    });
}

#[test]
fn so_many_tests_at_once_and_no_more() {
    Stage::default().with(|config| config.endpoint.max_tests = 1).play(async |world| {
        let (go, site) = Site::gated().await;
        let endpoint = world.endpoint(json!({"url": site.url("/"), "timeout": "60s"})).await;
        let (web, path) = (world.web.clone(), format!("{}/test", endpoint.path()));
        let first = tokio::spawn({
            let (web, path) = (web.clone(), path.clone());
            async move { web.post(&path, &json!({})).await.expect(200) }
        });
        world.until("it hangs", async || (site.connections() > 0).then_some(())).await;
        let refused = web.post(&path, &json!({})).await;
        refused.problem(503);
        assert!(refused.header("retry-after").is_some());
        go.add_permits(1);
        assert_eq!(first.await.expect("an answer")["outcome"], "delivered");
    });
}

#[test]
fn a_test_keeps_to_the_rule_of_addresses() {
    play(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        world.config.host.allow_targets.clear();
        world.restart().await;
        let tested = world.web.post(&format!("{}/test", endpoint.path()), &json!({})).await.expect(200);
        assert_eq!((&tested["outcome"], &tested["response"]), (&json!("unreachable"), &Value::Null));
        assert!(world.receiver.is_empty().await);
    });
}
