//! The bundled plugins for known services, from the event to what the service's answer is taken for.

use hookwright_tests::harness::{World, on_each_store, play};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

const DOCUMENT: &str = include_str!("../../fixtures/samples/recordengine/document.exported.json");

/// The delivery of a document, once it has ended.
async fn delivered(world: &mut World, url: Option<&str>, plugin: &str, config: &Value) -> Value {
    let mut spec = json!({"transforms": [{"plugin": plugin, "config": config}]});
    if let Some(url) = url {
        spec["url"] = json!(url);
    }
    let endpoint = world.endpoint(spec).await;
    let posted = world.post("document.exported", DOCUMENT).await;
    let delivery = world.outcome(&posted).await;
    world.web.delete(&endpoint.path()).await.expect(204);
    delivery
}

fn outcomes(delivery: &Value) -> Vec<&str> {
    let attempts = delivery["attempt_log"].as_array().expect("a list");
    attempts.iter().filter_map(|attempt| attempt["outcome"].as_str()).collect()
}

/// A plugin with its configuration, the service's answers one after the other, and how the delivery ends: its state, and
/// the outcomes of its attempts.
type Case<'c> = (&'c str, &'c Value, &'c [(u16, &'c str)], &'c str, &'c [&'c str]);

#[test]
fn a_service_s_own_words_decide_what_was_delivered() {
    on_each_store(async |world| {
        let feishu = json!({"secret": "s", "title": "{document.invoice_number}"});
        let jira = json!({"project": "OPS"});
        let pagerduty = json!({"routing_key": "0123456789abcdef"});
        let table: [Case<'_>; 8] = [
            (
                "feishu",
                &feishu,
                &[
                    (200, r#"{"code":11232,"msg":"frequency limited"}"#),
                    (200, r#"{"code":0,"msg":"success"}"#),
                ],
                "delivered",
                &["judged", "delivered"],
            ),
            ("feishu", &feishu, &[(200, r#"{"code":19021,"msg":"sign match fail"}"#)], "failed", &["judged"]),
            (
                "discord",
                &json!({}),
                &[(429, r#"{"retry_after":0.01}"#), (204, "")],
                "delivered",
                &["judged", "delivered"],
            ),
            (
                "google-sheets",
                &json!({}),
                &[(200, "<title>Error</title>"), (200, "ok")],
                "delivered",
                &["judged", "delivered"],
            ),
            ("jira", &jira, &[(400, r#"{"errors":{"project":"unknown"}}"#)], "failed", &["judged"]),
            (
                "jira",
                &jira,
                &[(503, ""), (201, r#"{"key":"OPS-1"}"#)],
                "delivered",
                &["refused", "delivered"],
            ),
            ("pagerduty", &pagerduty, &[(400, r#"{"message":"invalid"}"#)], "failed", &["judged"]),
            (
                "splunk-hec",
                &json!({}),
                &[(503, r#"{"text":"Server is busy","code":9}"#), (200, r#"{"code":0}"#)],
                "delivered",
                &["judged", "delivered"],
            ),
        ];
        for (plugin, config, answers, state, expected) in table {
            world.receiver.say_first(answers.iter().copied());
            let delivery = delivered(world, None, plugin, config).await;
            assert_eq!(
                (&delivery["state"], outcomes(&delivery)),
                (&json!(state), expected.to_vec()),
                "{plugin}: {delivery:#}"
            );
        }
    });
}

#[test]
fn a_spreadsheet_s_redirect_is_a_success() {
    play(async |world| {
        let location = "https://script.googleusercontent.com/macros/echo?user_content_key=a";
        world.receiver.answer_first_with(302, "location", location);
        let delivery = delivered(world, None, "google-sheets", &json!({"each": "line_items"})).await;
        assert_eq!((&delivery["state"], outcomes(&delivery)), (&json!("delivered"), vec!["delivered"]));
        let arrival = world.receiver.next().await;
        let id = arrival.header("webhook-id").expect("an id").to_owned();
        let rows: Value = serde_json::from_slice(&arrival.body).expect("JSON");
        assert_eq!((&rows["id"], &rows["rows"][0][1]), (&json!(id), &json!("Office Chair")), "{rows:#}");
    });
}

#[test]
fn an_issue_that_may_be_there_is_not_made_again() {
    play(async |world| {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/rest/api/3/issue", listener.local_addr().expect("an address"));
        let hangs_up = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.read(&mut [0; 1024]).await;
            }
        });
        for (retry, outcome, attempts) in [(false, "judged", 1), (true, "unreachable", 3)] {
            let config = json!({"project": "OPS", "retry_after_timeout": retry});
            let delivery = delivered(world, Some(&url), "jira", &config).await;
            assert_eq!(
                (&delivery["state"], &delivery["attempts"]),
                (&json!("failed"), &json!(attempts)),
                "{delivery:#}"
            );
            assert_eq!(delivery["attempt_log"][0]["outcome"], outcome);
            assert_eq!(
                delivery["reason"].to_string().contains("may have made the issue"),
                !retry,
                "{delivery:#}"
            );
        }
        hangs_up.abort();
    });
}
