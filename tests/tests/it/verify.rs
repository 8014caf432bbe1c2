//! `hookwright verify` on requests that were really delivered.

use std::io::Write as _;
use std::process::{Command, Stdio};

use hookwright::receiver::Arrival;
use hookwright_tests::harness::play;
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");

/// The exit code, and the codes of what it found.
fn verify(secret: &str, arguments: &[&str], request: &[u8]) -> (Option<i32>, Vec<Value>) {
    let mut child = Command::new(BINARY)
        .args(["verify", "--json", "--request", "-"])
        .args(arguments)
        .env("HOOKWRIGHT_SECRET", secret)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be run");
    child.stdin.take().expect("a pipe").write_all(request).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let findings = report["findings"].as_array().expect("a list");
    assert_eq!(report["valid"], findings.is_empty());
    assert!(findings.iter().all(|finding| finding["message"].is_string() && finding["hint"].is_string()));
    (output.status.code(), findings.iter().map(|finding| finding["code"].clone()).collect())
}

/// The request as a tool would have saved it, with a body of our own.
fn saved(arrival: &Arrival, body: &str) -> Vec<u8> {
    let mut request = format!("{} {} HTTP/1.1\r\n", arrival.method, arrival.path_and_query);
    for (name, value) in arrival.headers.iter().filter(|(name, _)| name != "content-length") {
        request += &format!("{name}: {value}\r\n");
    }
    format!("{request}\r\n{body}").into_bytes()
}

#[test]
fn a_delivery_is_told_from_what_became_of_it() {
    play(async |world| {
        let payload = r#"{ "b": 1.0 }"#;
        let standard = world.endpoint(json!({})).await;
        world.post("a", payload).await;
        let arrival = world.receiver.next().await;
        let table: [(&[&str], &str, &[&str]); 5] = [
            (&[], payload, &[]),
            (&[], "{ \"b\": 1.0 }\n", &["body-newline-added"]),
            (&[], r#"{"b":1}"#, &["no-match"]),
            (&["--at", "2000-01-01T00:00:00Z"], payload, &["timestamp-ahead"]),
            (&["--scheme", "hmac:X-Signature"], payload, &["other-scheme"]),
        ];
        for (arguments, body, expected) in table {
            let (code, found) = verify(&standard.secret, arguments, &saved(&arrival, body));
            assert_eq!(found, expected, "{arguments:?} {body:?}");
            assert_eq!(code, Some(i32::from(!expected.is_empty())));
        }
        let bare = standard.secret.trim_start_matches("whsec_");
        assert_eq!(verify(bare, &[], &saved(&arrival, payload)), (Some(0), vec![]));
        world.web.delete(&standard.path()).await.expect(204);

        let signature = json!({"scheme": "hmac-sha256", "header": "X-Signature", "prefix": "sha256="});
        let plain = world.endpoint(json!({"signature": signature, "body": "ecmascript"})).await;
        world.post("a", payload).await;
        let arrival = world.receiver.next().await;
        let table: [(&str, &str, &[&str]); 4] = [
            ("hmac:X-Signature:sha256=", r#"{"b":1}"#, &[]),
            ("hmac:X-Signature", r#"{"b":1}"#, &["prefix-extra"]),
            ("hmac:X-Signature:sha256=", payload, &["body-json-stringify"]),
            ("hmac:X-Other:sha256=", payload, &["other-header", "body-json-stringify"]),
        ];
        for (scheme, body, expected) in table {
            let (code, found) = verify(&plain.secret, &["--scheme", scheme], &saved(&arrival, body));
            assert_eq!(found, expected, "{scheme} {body:?}");
            assert_eq!(code, Some(i32::from(!expected.is_empty())));
        }
    });
}
