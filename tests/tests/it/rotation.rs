//! Signing secrets: brought along, rotated, asymmetric; and the key that seals them, replaced.

use std::time::Duration;

use hookwright::receiver::Arrival;
use hookwright::secret::{SigningSecret, VerifyingKey};
use hookwright::signature::{self, SignatureScheme};
use hookwright::time::Clock as _;
use hookwright_tests::harness::{Endpoint, Stage, World, on_each_store, play};
use serde_json::{Value, json};

const HOUR: Duration = Duration::from_secs(3_600);
const HEADER: &str = "x-sig";
const NEXT: &str = "x-sig-next";

fn plain() -> SignatureScheme {
    SignatureScheme::HmacSha256 { header: "X-Sig".into(), prefix: "sha256=".into() }
}

fn spec(scheme: &SignatureScheme) -> Value {
    match scheme {
        SignatureScheme::Standard => json!({"scheme": "standard"}),
        SignatureScheme::StandardAsymmetric => json!({"scheme": "standard-asymmetric"}),
        SignatureScheme::HmacSha256 { header, prefix } => {
            json!({"scheme": "hmac-sha256", "header": header, "prefix": prefix})
        }
    }
}

fn schemes() -> [SignatureScheme; 3] {
    [SignatureScheme::Standard, SignatureScheme::StandardAsymmetric, plain()]
}

/// What a receiver would be given: the secret that is shown, or the newest public key.
fn key(answer: &Value) -> String {
    let public_key = &answer["secrets"][0]["public_key"];
    answer.get("secret").unwrap_or(public_key).as_str().expect("a key").to_owned()
}

async fn rotate(world: &World, endpoint: &Endpoint, options: Value) -> Value {
    world.web.post(&format!("{}/secret/rotate", endpoint.path()), &options).await.expect(200)
}

/// Posts an event and hands over what arrived.
async fn arrival(world: &mut World) -> Arrival {
    world.post("a", r#"{"n":1.0}"#).await;
    world.receiver.next().await
}

/// Whether whoever has this key takes the request, at the moment at which the host sent it.
fn accepts(world: &World, scheme: &SignatureScheme, key: &str, arrival: &Arrival) -> bool {
    let key = scheme.read_key(key).expect("a key");
    let header = |name: &str| arrival.header(&name.to_ascii_lowercase());
    signature::verify(scheme, &key, header, world.clock.now(), &arrival.body).is_ok()
}

#[test]
fn both_secrets_sign_until_the_overlap_ends() {
    on_each_store(async |world| {
        for scheme in schemes() {
            let endpoint = world.endpoint(json!({"signature": spec(&scheme)})).await;
            let old = endpoint.secret.clone();
            let rotated = rotate(world, &endpoint, json!({"overlap": "2h"})).await;
            let new = key(&rotated);
            assert_ne!(old, new);
            let secrets = rotated["secrets"].as_array().expect("a list");
            assert_eq!(secrets.len(), 2, "{secrets:?}");
            assert!(secrets[0].get("until").is_none() && secrets[1]["until"].is_string(), "{secrets:?}");

            let during = arrival(world).await;
            assert!(accepts(world, &scheme, &old, &during), "{scheme:?}");
            assert!(accepts(world, &scheme, &new, &during), "{scheme:?}");

            world.clock.advance(2 * HOUR);
            let after = arrival(world).await;
            assert!(!accepts(world, &scheme, &old, &after), "{scheme:?}");
            assert!(accepts(world, &scheme, &new, &after), "{scheme:?}");
            let shown = world.web.get(&endpoint.path()).await.expect(200);
            assert_eq!(shown["secrets"].as_array().map(Vec::len), Some(1));
            assert_eq!(shown["secrets"][0]["fingerprint"], secrets[0]["fingerprint"]);
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn a_retry_is_signed_with_what_is_live_then() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"retry": {"schedule": ["2h"]}})).await;
        world.receiver.answer_first([500]);
        let posted = world.post("a", "1").await;
        let first = world.receiver.next().await;
        let id = world.only_delivery(&posted).await;
        world.attempted(&id, 1).await;
        let rotated = rotate(world, &endpoint, json!({"overlap": "1h"})).await;
        world.clock.advance(3 * HOUR);
        let second = world.receiver.next().await;
        let standard = SignatureScheme::Standard;
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        assert!(!accepts(world, &standard, &endpoint.secret, &second));
        assert!(accepts(world, &standard, &key(&rotated), &second));
    });
}

#[test]
fn in_the_plain_form_the_header_stays_until_it_is_promoted() {
    on_each_store(async |world| {
        let own = "the-secret-of-another-system";
        let endpoint = world.endpoint(json!({"signature": spec(&plain()), "secret": own})).await;
        assert_eq!(endpoint.secret, own);
        let before = arrival(world).await;
        let expected = signature::sign(
            &plain(),
            &SigningSecret::parse_text(own).expect("a secret").into(),
            "",
            world.clock.now(),
            &before.body,
        );
        assert_eq!(before.header(HEADER), Some(expected[0].1.as_str()));
        assert_eq!(before.header(NEXT), None);

        let new = "another-secret-of-that-system";
        let rotated = rotate(world, &endpoint, json!({"secret": new})).await;
        assert_eq!(rotated["secret"], new);
        let headers: Vec<_> =
            rotated["secrets"].as_array().expect("a list").iter().map(|it| &it["header"]).collect();
        assert_eq!(headers, ["X-Sig-Next", "X-Sig"]);
        let during = arrival(world).await;
        assert_eq!(during.header(HEADER), before.header(HEADER), "an unchanged receiver goes on");
        let by_new = during.header(NEXT).expect("the new signature").to_owned();

        // A third one, while the second was never promoted: the header stays as it is.
        rotate(world, &endpoint, json!({"secret": "a-third-one-0123456789"})).await;
        let third = arrival(world).await;
        assert_eq!(third.header(HEADER), before.header(HEADER));
        assert_ne!(third.header(NEXT), Some(by_new.as_str()));
        rotate(world, &endpoint, json!({"secret": new})).await;

        for _ in 0..2 {
            let promoted = world.web.post(&format!("{}/secret/promote", endpoint.path()), &json!({})).await;
            let promoted = promoted.expect(200);
            assert_eq!(promoted["secrets"].as_array().map(Vec::len), Some(1));
            assert!(promoted.get("secret").is_none(), "{promoted}");
        }
        let after = arrival(world).await;
        assert_eq!((after.header(HEADER), after.header(NEXT)), (Some(by_new.as_str()), None));
    });
}

/// What an endpoint inherits is not judged with its own signature, and what a plugin says is known only at the attempt.
#[test]
fn nobody_else_sets_the_headers_of_a_signature() {
    play(async |world| {
        let spec = json!({"signature": spec(&plain()), "headers": {"X-Sig-Next": "1"}});
        let refused = world.refused(spec).await;
        assert_eq!(refused["errors"][0]["pointer"], "/headers/X-Sig-Next");
        let endpoint = world.endpoint(json!({"headers": {"X-Sig-Next": "1"}})).await;
        let refused = world.web.patch(&endpoint.path(), &json!({"signature": self::spec(&plain())})).await;
        assert_eq!(refused.problem(422)["errors"][0]["pointer"], "/headers/X-Sig-Next");
    });
}

#[test]
fn the_old_secret_goes_at_once_when_it_is_removed() {
    on_each_store(async |world| {
        for scheme in schemes() {
            let endpoint = world.endpoint(json!({"signature": spec(&scheme)})).await;
            let new = key(&rotate(world, &endpoint, json!({})).await);
            let path = format!("{}/secret/previous", endpoint.path());
            let removed = world.web.delete(&path).await.expect(200);
            assert_eq!(removed["secrets"].as_array().map(Vec::len), Some(1));
            let arrival = arrival(world).await;
            assert!(!accepts(world, &scheme, &endpoint.secret, &arrival), "{scheme:?}");
            assert!(accepts(world, &scheme, &new, &arrival), "{scheme:?}");
            assert_eq!(arrival.header(NEXT), None);
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn rotations_outlast_a_restart_and_requests_can_be_repeated() {
    play(async |world| {
        let endpoint = world.endpoint(json!({})).await;
        let path = format!("{}/secret/rotate", endpoint.path());
        let given = SigningSecret::from_key([9; 32]).text().expose().to_owned();
        let first = rotate(world, &endpoint, json!({"secret": given})).await;
        let again = rotate(world, &endpoint, json!({"secret": given})).await;
        assert_eq!(first, again);
        world.restart().await;
        let arrival = arrival(world).await;
        for key in [&endpoint.secret, &given] {
            assert!(accepts(world, &SignatureScheme::Standard, key, &arrival));
        }
        // Without a body too; the default is a day.
        let third = world.web.send(http::Method::POST, &path, &[], "").await.expect(200);
        let until = third["secrets"][1]["until"].as_str().expect("an end").to_owned();
        let until = hookwright::time::Timestamp::parse(&until).expect("a time");
        let left = until.since(world.clock.now());
        assert!(left <= 24 * HOUR && left > 23 * HOUR, "{left:?}");
        let last = self::arrival(world).await;
        assert!(!accepts(world, &SignatureScheme::Standard, &endpoint.secret, &last), "two are live at most");
        assert!(accepts(world, &SignatureScheme::Standard, &given, &last));
        assert!(accepts(world, &SignatureScheme::Standard, &key(&third), &last));
        rotate(world, &endpoint, json!({"overlap": "0s"})).await;
        let alone = self::arrival(world).await;
        assert!(!accepts(world, &SignatureScheme::Standard, &key(&third), &alone));
    });
}

#[test]
fn what_cannot_sign_is_refused_with_its_place() {
    play(async |world| {
        let private = SigningSecret::from_seed([7; 32]).text().expose().to_owned();
        let symmetric = SigningSecret::from_key([7; 32]).text().expose().to_owned();
        for (scheme, secret) in [
            (SignatureScheme::Standard, "whsec_AAAA"),
            (SignatureScheme::Standard, "an-own-secret-text"),
            (SignatureScheme::Standard, &private),
            (SignatureScheme::StandardAsymmetric, &symmetric),
            (plain(), "fifteen-letters"),
            (plain(), &private),
        ] {
            let refused = world.refused(json!({"signature": spec(&scheme), "secret": secret})).await;
            assert_eq!(refused["errors"][0]["pointer"], "/secret", "{scheme:?}");
            assert!(!refused.to_string().contains(&secret[6..]), "{refused}");
        }
        let endpoint = world.endpoint(json!({})).await;
        let path = format!("{}/secret/rotate", endpoint.path());
        for (options, pointer) in [
            (json!({"secret": "an-own-secret-text"}), "/secret"),
            (json!({"overlap": "8d"}), "/overlap"),
            (json!({"overlap": "soon"}), "/overlap"),
            (json!({"overlap": 5}), "/overlap"),
            (json!({"colour": "red"}), "/colour"),
        ] {
            let refused = world.web.post(&path, &options).await.problem(422);
            assert_eq!(refused["errors"][0]["pointer"], pointer, "{options}");
        }
        let change = json!({"signature": {"scheme": "standard-asymmetric"}});
        let refused = world.web.patch(&endpoint.path(), &change).await.problem(409);
        assert_eq!(refused["errors"][0]["pointer"], "/signature");
        let change = json!({"signature": spec(&plain())});
        world.web.patch(&endpoint.path(), &change).await.expect(200);
        let missing = "/v1/endpoints/ep_00000000000000000000000000/secret";
        world.web.post(&format!("{missing}/rotate"), &json!({})).await.problem(404);
        world.web.post(&format!("{missing}/promote"), &json!({})).await.problem(404);
        world.web.delete(&format!("{missing}/previous")).await.problem(404);
    });
}

#[test]
fn what_is_shown_of_secrets_can_be_sent_back() {
    play(async |world| {
        let endpoint = world.endpoint(json!({"signature": {"scheme": "standard-asymmetric"}})).await;
        assert!(endpoint.view.get("secret").is_none(), "a private key is never shown");
        rotate(world, &endpoint, json!({"overlap": "1h"})).await;
        let shown = world.web.get(&endpoint.path()).await.expect(200);
        world.clock.advance(2 * HOUR);
        world.web.patch(&endpoint.path(), &shown).await.expect(200);
        let mut other = shown.clone();
        other["secrets"] = json!([]);
        world.web.patch(&endpoint.path(), &other).await.problem(422);
    });
}

#[test]
fn the_products_receiver_checks_every_scheme() {
    play(async |world| {
        for (number, scheme) in schemes().into_iter().enumerate() {
            let path = format!("/{number}");
            let url = world.receiver.url(&path);
            let endpoint = world.endpoint(json!({"url": url, "signature": spec(&scheme)})).await;
            // The new one, while the old one is still live.
            let new = key(&rotate(world, &endpoint, json!({})).await);
            for key in [&endpoint.secret, &new] {
                world.receiver.expect(&path, scheme.clone(), key);
                let arrival = arrival(world).await;
                assert_eq!(arrival.status, 200, "{scheme:?} {:?}", arrival.signature);
            }
            let stranger = VerifyingKey::from(scheme.new_secret([1; 32]));
            let stranger = match stranger {
                VerifyingKey::Secret(secret) => secret.text().expose().to_owned(),
                VerifyingKey::Public(key) => key.to_string(),
            };
            world.receiver.expect(&path, scheme.clone(), &stranger);
            assert_eq!(arrival(world).await.status, 401, "{scheme:?}");
            world.web.delete(&endpoint.path()).await.expect(204);
        }
    });
}

#[test]
fn a_new_sealing_key_opens_what_the_old_one_sealed() {
    Stage::default().in_a_file().play(async |world| {
        let auth = json!({"type": "bearer", "token": "planted-token"});
        let endpoint = world.endpoint(json!({"auth": auth})).await;
        let go_on = |_| std::ops::ControlFlow::Continue(());
        let in_use = hookwright::app::rekey(&world.config, None, go_on).await.expect_err("a host uses it");
        assert!(in_use.to_string().contains("in use by another process"), "{in_use}");
        world.stop().await;
        let file = world.data_dir().join("sealing.key");
        let old = std::fs::read(&file).expect("a key");

        // Broken off after some of it: no host starts on what is neither.
        let broken_off = |step| match step {
            hookwright::rekey::Step::Sealed(1.., _) => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        };
        hookwright::app::rekey(&world.config, None, broken_off).await.expect_err("it was broken off");
        let refused = world.try_start().await.expect_err("it is not finished");
        assert!(refused.to_string().contains("hookwright rekey"), "{refused}");

        let done = hookwright::app::rekey(&world.config, None, go_on).await.expect("to finish it");
        assert_eq!(done.file.as_ref(), Some(&file));
        assert_ne!(std::fs::read(&file).expect("a key"), old);
        assert_eq!(std::fs::read(done.old_file.expect("the old key")).expect("a key"), old);
        world.start().await;
        let arrival = arrival(world).await;
        assert_eq!(arrival.header("authorization"), Some("Bearer planted-token"));
        assert!(accepts(world, &SignatureScheme::Standard, &endpoint.secret, &arrival));
    });
}

/// All servers get the new key; one that has the old one does not start.
#[test]
fn the_sealing_key_of_a_database_is_replaced() {
    const NEW: &str = "YW5vdGhlciBzZWFsaW5nIGtleSBvZiB0aGUgdGVzdHM=";
    Stage::default().in_postgres().play(async |world| {
        let auth = json!({"type": "bearer", "token": "planted-token"});
        let endpoint = world.endpoint(json!({"auth": auth})).await;
        world.stop().await;
        let new = hookwright::seal::SealingKey::parse(NEW).expect("a key");
        let broken_off = |step| match step {
            hookwright::rekey::Step::Sealed(1.., _) => std::ops::ControlFlow::Break(()),
            _ => std::ops::ControlFlow::Continue(()),
        };
        hookwright::app::rekey(&world.config, Some(&new), broken_off).await.expect_err("it was broken off");
        let refused = world.try_start().await.expect_err("it is not finished");
        assert!(refused.to_string().contains("hookwright rekey"), "{refused}");
        let go_on = |_| std::ops::ControlFlow::Continue(());
        let done = hookwright::app::rekey(&world.config, Some(&new), go_on).await.expect("to finish it");
        assert_eq!((done.fingerprint, done.file, done.given_is_outdated), (new.fingerprint(), None, true));
        let refused = world.try_start().await.expect_err("the old key opens nothing");
        assert!(refused.to_string().contains("another key"), "{refused}");
        world.config.sealing_key = Some(hookwright::secret::Secret::new(NEW));
        world.start().await;
        let arrival = arrival(world).await;
        assert_eq!(arrival.header("authorization"), Some("Bearer planted-token"));
        assert!(accepts(world, &SignatureScheme::Standard, &endpoint.secret, &arrival));
    });
}
