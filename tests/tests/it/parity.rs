//! What four systems promise their users, row by row: each test is named after its row.

use hookwright_tests::harness::{World, play};
use serde_json::{Value, json};

use crate::verifiers::{Language, Server, Toolbox, skip};

/// Brought along, so that a receiver can know it before there is an endpoint.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Payloads that are other bytes once JavaScript has parsed them and written them again.
const REWRITTEN: [&str; 6] = [
    r#"{ "id": "in_1", "paid": true }"#,
    r#"{"amount":1.0,"rates":[12500.00,1e21,-0]}"#,
    r#"{"name":"Zo\u00eb \ud83d\ude00","path":"a\/b"}"#,
    r#"{"b":1,"10":"ten","9":"nine"}"#,
    r#"{"n":12345678901234567890,"huge":1e400}"#,
    "{\n  \"twice\": 1,\n  \"__proto__\": {\"a\": 1},\n  \"twice\": 2\n}",
];

/// A receiver in JavaScript, or the note that there is no Node.
fn javascript(receiver: &str) -> Option<Server> {
    match Language::Node.toolbox() {
        Toolbox::Ready(folder) => Some(Server::start(&folder, receiver, SECRET)),
        Toolbox::Missing(problem) => {
            skip(receiver, Language::Node, &problem);
            None
        }
    }
}

/// Posts an event to an endpoint of its own, and says how that delivery ended.
async fn delivered(world: &World, spec: &Value, payload: &str) -> (Value, Value) {
    let endpoint = world.endpoint(spec.clone()).await;
    let posted = world.post("payment.succeeded", payload).await;
    let delivery = world.outcome(&posted).await;
    world.web.delete(&endpoint.path()).await.expect(204);
    (delivery["state"].clone(), delivery["attempt_log"][0]["status"].clone())
}

#[test]
fn r4_signature_re_serialised() {
    let Some(server) = javascript("revkeen") else { return };
    play(async |world| {
        let spec = |body: &str| {
            json!({
                "url": server.url,
                "secret": SECRET,
                "signature": {"scheme": "hmac-sha256", "header": "X-RevKeen-Signature", "prefix": "sha256="},
                "body": body,
                "retry": {"attempts": 1},
            })
        };
        for payload in REWRITTEN {
            let accepted = delivered(world, &spec("ecmascript"), payload).await;
            assert_eq!(accepted, (json!("delivered"), json!(200)), "{payload}");
            let refused = delivered(world, &spec("as-is"), payload).await;
            assert_eq!(refused, (json!("failed"), json!(401)), "{payload}, as it is");
        }
    });
}

#[test]
fn t4_signature() {
    let Some(server) = javascript("rkt") else { return };
    play(async |world| {
        let spec = json!({
            "url": server.url,
            "secret": SECRET,
            "signature": {"scheme": "hmac-sha256", "header": "X-RKT-Signature"},
            "retry": {"attempts": 1},
        });
        for payload in REWRITTEN {
            let accepted = delivered(world, &spec, payload).await;
            assert_eq!(accepted, (json!("delivered"), json!(200)), "{payload}");
        }
        let mut other = spec.clone();
        other["secret"] = json!("whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB");
        let refused = delivered(world, &other, REWRITTEN[0]).await;
        assert_eq!(refused, (json!("failed"), json!(401)), "with another secret");
    });
}

/// A sample as the system's page prints it.
fn sample(path: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/samples");
    std::fs::read_to_string(format!("{folder}/{path}.json")).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What stands in `json` but for white space between its parts.
fn compact(json: &str) -> String {
    let (mut quoted, mut escaped) = (false, false);
    let keep = |c: &char| {
        let kept = quoted || !c.is_ascii_whitespace();
        quoted ^= *c == '"' && !escaped;
        escaped = quoted && *c == '\\' && !escaped;
        kept
    };
    json.chars().filter(keep).collect()
}

/// What an endpoint with this envelope gets for an event.
async fn enveloped(world: &mut World, config: Value, event_type: &str, payload: &str, more: Value) -> String {
    let endpoint = world.endpoint(json!({"transforms": [{"plugin": "envelope", "config": config}]})).await;
    world.post_with(event_type, payload, more).await;
    let arrival = world.receiver.next().await;
    world.web.delete(&endpoint.path()).await.expect(204);
    String::from_utf8(arrival.body.to_vec()).expect("text")
}

#[test]
fn t3_envelope() {
    play(async |world| {
        let sample = sample("rkt/lead.captured");
        let config = json!({"members": [
            {"name": "event", "from": "@type"},
            {"name": "chatbotId", "from": "@channel"},
            {"name": "timestamp", "from": "@timestamp", "format": "millis"},
            {"name": "data", "from": "@payload"},
        ]});
        let (_, data) = sample.split_once("\"data\":").expect("data");
        let data = data.trim_end().strip_suffix('}').expect("an object's end");
        let more = json!({"timestamp": "2026-03-26T15:30:00Z", "channels": ["cmf9n7u1c..."]});
        let body = enveloped(world, config, "lead.captured", data, more).await;
        assert_eq!(compact(&body), compact(&sample));
    });
}

#[test]
fn e4_envelope_and_samples() {
    play(async |world| {
        let config = json!({"merge": true, "members": [
            {"name": "schema_version", "constant": "2.0"},
            {"name": "event", "from": "@type"},
            {"name": "timestamp", "from": "@timestamp", "format": "seconds"},
        ]});
        for event_type in [
            "document.exported",
            "contact.created",
            "folder.created",
            "case.created",
            "notification.created",
            "rule.executed",
            "audit.log",
        ] {
            let sample = sample(&format!("recordengine/{event_type}"));
            // Without the members of the envelope, which are its first three.
            let own: Vec<&str> = sample.lines().skip(4).collect();
            let payload = format!("{{{}", own.join("\n"));
            let more = json!({"timestamp": "2026-03-22T08:30:00.4Z"});
            let body = enveloped(world, config.clone(), event_type, &payload, more).await;
            assert_eq!(compact(&body), compact(&sample), "{event_type}");
        }
    });
}
