//! Plugins that judge the answer: what they say holds, and what they say wrongly harms nobody.

use hookwright_tests::harness::{Endpoint, Stage, World, on_each_store, play};
use serde_json::{Value, json};

async fn prepared(world: &mut World) {
    world.add_plugin("judging", &std::fs::read(env!("GUEST_JUDGING")).expect("the guest was built")).await;
}

async fn endpoint(world: &World, config: &str) -> Endpoint {
    world.endpoint(json!({"transforms": [{"plugin": "judging", "config": config}]})).await
}

/// The one delivery of an event, once it has ended, after these answers.
async fn after(world: &mut World, answers: &[(u16, &str)]) -> Value {
    world.receiver.say_first(answers.iter().copied());
    let posted = world.post("a", "1").await;
    world.outcome(&posted).await
}

/// The run of an attempt's judge.
fn judges_run(attempt: &Value) -> &Value {
    let runs = attempt["plugins"].as_array().expect("a list");
    assert_eq!((&runs[0]["task"], runs.len()), (&json!("transform"), 2), "{attempt:#}");
    assert_eq!(runs[1]["task"], "judge", "{attempt:#}");
    &runs[1]
}

#[test]
fn a_judge_says_what_the_answer_means() {
    on_each_store(async |world| {
        prepared(world).await;
        endpoint(world, "").await;
        for (answers, state, outcomes, verdicts) in [
            (&[(200, "ok")][..], "delivered", &["delivered"][..], &["delivered"][..]),
            (&[(500, "ok")], "delivered", &["delivered"], &["delivered"]),
            (&[(302, "")], "delivered", &["delivered"], &["delivered"]),
            (&[(200, "never")], "failed", &["judged"], &["fail"]),
            (&[(200, "again"), (200, "ok")], "delivered", &["judged", "delivered"], &["retry", "delivered"]),
            (
                &[(410, "again"), (200, "else")],
                "delivered",
                &["judged", "delivered"],
                &["retry", "by_status"],
            ),
            (
                &[(500, "else"), (200, "ok")],
                "delivered",
                &["refused", "delivered"],
                &["by_status", "delivered"],
            ),
        ] {
            let delivery = after(world, answers).await;
            assert_eq!(delivery["state"], state, "{answers:?}");
            let attempts = delivery["attempt_log"].as_array().expect("a list");
            let shown: Vec<_> = attempts.iter().map(|attempt| &attempt["outcome"]).collect();
            assert_eq!(shown, outcomes, "{answers:?}");
            let judged: Vec<_> = attempts.iter().map(|attempt| &judges_run(attempt)["verdict"]).collect();
            assert_eq!(judged, verdicts, "{answers:?}");
            assert_eq!(
                attempts.iter().map(|a| &a["warnings"]).filter(|w| **w == json!(["judge_failed"])).count(),
                0
            );
        }
    });
}

#[test]
fn the_attempt_shows_what_the_judge_saw_and_said() {
    play(async |world| {
        prepared(world).await;
        endpoint(world, "").await;
        let delivery = after(world, &[(200, "never")]).await;
        let attempt = &delivery["attempt_log"][0];
        assert_eq!((&attempt["outcome"], &attempt["kind"]), (&json!("judged"), &json!("fail")));
        assert_eq!((&attempt["status"], &attempt["response"]["status"]), (&json!(200), &json!(200)));
        let reason = "Plugin `judging` judged that it has failed for good: the receiver knows no such row";
        assert_eq!((&attempt["reason"], &delivery["reason"]), (&json!(reason), &json!(reason)));
        assert!(attempt["hint"].to_string().contains("never take this message"), "{attempt}");
        let run = judges_run(attempt);
        assert_eq!(run["log"], json!([{"level": "info", "line": "200 5 true"}]), "status, length, headers");
        assert!(run["duration_ms"].as_f64() > Some(0.0) && run["memory_bytes"].as_u64() > Some(0), "{run}");
        let errors = world.web.get("/v1/errors").await.expect(200);
        assert_eq!(errors["items"][0]["kind"], "judged_fail", "{errors}");
    });
}

#[test]
fn a_judge_may_ask_for_a_pause() {
    play(async |world| {
        prepared(world).await;
        endpoint(world, "").await;
        world.receiver.say_first([(200, "later")]);
        let posted = world.post("a", "1").await;
        let id = world.only_delivery(&posted).await;
        let delivery = world.attempted(&id, 1).await;
        let attempt = &delivery["attempt_log"][0];
        assert_eq!((&attempt["outcome"], &attempt["retry_after_s"]), (&json!("judged"), &json!(7)));
        let due = delivery["due_at"].as_str().expect("a time");
        let started = attempt["started_at"].as_str().expect("a time");
        let second = |time: &str| time[17..19].parse::<i32>().expect("seconds");
        let pause = (second(due) - second(started)).rem_euclid(60);
        assert!((7..=37).contains(&pause), "from {started} to {due}, not the 100 ms of the schedule");
    });
}

#[test]
fn a_judge_may_disable_the_endpoint_and_that_is_told() {
    play(async |world| {
        prepared(world).await;
        let watched = endpoint(world, "").await;
        let url = world.receiver.url("/operations");
        world.endpoint(json!({"url": url, "events": ["hookwright.endpoint.disabled"]})).await;
        let delivery = after(world, &[(200, "gone")]).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(1)));
        let view = world
            .until("it is disabled", async || {
                let view = world.web.get(&watched.path()).await.expect(200);
                (view["enabled"] == false).then_some(view)
            })
            .await;
        let because = view["disabled_because"].as_str().expect("a reason");
        assert!(because.contains("`judging`") && because.ends_with("gone[2J"), "{because}");
        world.receiver.next().await;
        let told = world.receiver.next().await;
        let told: Value = serde_json::from_slice(&told.body).expect("JSON");
        assert_eq!(told["endpoint"]["id"], watched.id.as_str(), "{told}");
        assert_eq!(told["reason"], because, "{told}");
    });
}

#[test]
fn a_judge_that_fails_leaves_it_to_the_status() {
    play(async |world| {
        prepared(world).await;
        endpoint(world, "").await;
        let delivery = after(world, &[(503, "panic"), (200, "panic")]).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(2)));
        let attempts = delivery["attempt_log"].as_array().expect("a list");
        for (attempt, outcome) in attempts.iter().zip(["refused", "delivered"]) {
            assert_eq!(attempt["outcome"], outcome);
            assert_eq!(judges_run(attempt)["verdict"], "trap");
            assert!(attempt["warnings"].to_string().contains("judge_failed"), "{attempt:#}");
        }
    });
}

#[test]
fn a_judge_is_asked_too_where_no_answer_came() {
    play(async |world| {
        prepared(world).await;
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", closed.local_addr().expect("an address"));
        drop(closed);
        for (config, outcome, attempts) in [("unanswered", "judged", 1), ("", "unreachable", 3)] {
            let transforms = json!([{"plugin": "judging", "config": config}]);
            let endpoint = world.endpoint(json!({"url": url, "transforms": transforms})).await;
            let posted = world.post("a", "1").await;
            let delivery = world.outcome(&posted).await;
            assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("failed"), &json!(attempts)));
            let attempt = &delivery["attempt_log"][0];
            assert_eq!((&attempt["outcome"], &attempt["status"]), (&json!(outcome), &Value::Null));
            assert_eq!(judges_run(attempt)["log"][0]["line"], "0 7 false", "`connect`, and no headers");
            if outcome == "judged" {
                assert!(delivery["reason"].to_string().contains("no answer came: connect"), "{delivery}");
            }
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn the_last_link_that_took_part_judges() {
    play(async |world| {
        prepared(world).await;
        let link = |config: &str| json!({"plugin": "judging", "config": config, "on_failure": "pass"});
        for (chain, judges) in [
            (json!([link("unanswered"), {"plugin": "flatten"}]), true),
            (json!([link("fail")]), false),
            (json!([{"plugin": "flatten"}]), false),
        ] {
            let endpoint = world.endpoint(json!({"transforms": chain})).await;
            world.receiver.say_first([(500, "ok")]);
            let posted = world.post("a", r#"{"n":1}"#).await;
            let delivery = world.outcome(&posted).await;
            let attempts = if judges { 1 } else { 2 };
            assert_eq!(delivery["attempts"], attempts, "{chain}");
            let runs = delivery["attempt_log"][0]["plugins"].as_array().expect("a list");
            assert_eq!(
                runs.iter().filter(|run| run["task"] == "judge").count(),
                usize::from(judges),
                "{chain}"
            );
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn the_body_that_a_judge_sees_is_bounded() {
    Stage::default().with(|config| config.delivery.judged_answer_body.0 = 2).play(async |world| {
        prepared(world).await;
        endpoint(world, "").await;
        let delivery = after(world, &[(200, "okay")]).await;
        let attempt = &delivery["attempt_log"][0];
        assert_eq!(judges_run(attempt)["log"][0]["line"], "200 2 true");
        assert_eq!(judges_run(attempt)["verdict"], "delivered", "`ok` is left of it");
        assert_eq!(attempt["response"]["body"]["content"], "okay", "what is kept has a bound of its own");
    });
}

#[test]
fn a_test_event_is_judged_too() {
    play(async |world| {
        prepared(world).await;
        let endpoint = endpoint(world, "").await;
        world.receiver.say_first([(200, "gone")]);
        let tested = world.web.post(&format!("{}/test", endpoint.path()), &json!({})).await.expect(200);
        assert_eq!((&tested["outcome"], &tested["kind"]), (&json!("judged"), &json!("disable")));
        assert_eq!(judges_run(&tested)["verdict"], "disable");
        let view = world.web.get(&endpoint.path()).await.expect(200);
        assert_eq!(view["enabled"], true, "a test changes nothing");
    });
}

#[test]
fn plugins_are_told_the_webhook_id() {
    play(async |world| {
        prepared(world).await;
        world.receiver.answer_first([500]);
        endpoint(world, "attributes").await;
        world.post("a", "1").await;
        let arrivals = world.receiver.take(2).await;
        for arrival in &arrivals {
            let id = arrival.header("webhook-id").expect("an id");
            assert_eq!(arrival.body, format!("webhook-id={id}"));
        }
        assert_eq!(arrivals[0].body, arrivals[1].body, "the same for all attempts");
    });
}
