//! Stopping, starting again, and what is kept.

use std::collections::BTreeSet;
use std::time::Duration;

use hookwright::receiver::Arrival;
use hookwright_tests::harness::{Mailbox, PATIENCE, Stage, World, play};
use redb::{Database, TableDefinition};
use serde_json::json;

const DAY: Duration = Duration::from_secs(86_400);

/// Why the host does not start.
async fn refusal(world: &mut World) -> String {
    match world.try_start().await {
        Ok(()) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    }
}

#[test]
fn what_was_pending_goes_on_after_a_restart() {
    play(async |world| {
        world.receiver.answer_first([500, 500, 500]);
        let endpoint = world.endpoint(json!({"retry": {"schedule": ["2h"]}})).await;
        let mut posted = Vec::new();
        for n in 0..3 {
            posted.push(world.post("a", &n.to_string()).await);
        }
        for posted in &posted {
            let id = world.only_delivery(posted).await;
            world.attempted(&id, 1).await;
        }
        let before = world.receiver.take(3).await;
        world.restart().await;
        world.clock.advance(Duration::from_secs(3 * 3_600));
        let after = world.receiver.take(3).await;
        for posted in &posted {
            let delivery = world.outcome(posted).await;
            assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(2)));
        }
        let [before, after] = [before, after].map(|arrivals| {
            let id = |arrival: &Arrival| arrival.header("webhook-id").expect("an id").to_owned();
            arrivals.iter().map(id).collect::<BTreeSet<_>>()
        });
        assert_eq!(before, after);
        world.web.get(&endpoint.path()).await.expect(200);
    });
}

#[test]
fn secrets_and_signatures_stay_the_same_after_a_restart() {
    play(async |world| {
        let spec = json!({"auth": {"type": "bearer", "token": "the-token"}, "headers": {"X-Key": "k"}});
        let endpoint = world.endpoint(spec).await;
        world.receiver.expect("/", hookwright::signature::SignatureScheme::Standard, &endpoint.secret);
        world.restart().await;
        let posted = world.post("a", "1").await;
        let arrival = world.receiver.next().await;
        assert_eq!(arrival.header("authorization"), Some("Bearer the-token"));
        assert_eq!(arrival.header("x-key"), Some("k"));
        assert_eq!(world.outcome(&posted).await["state"], "delivered");
    });
}

#[test]
fn a_host_that_stops_finishes_what_is_under_way() {
    Stage::default().with(|config| config.server.drain_timeout = PATIENCE).play(async |world| {
        let mut slow = Mailbox::open().await;
        slow.delay(Duration::from_millis(300));
        world.endpoint(json!({"url": slow.url("/")})).await;
        let posted = world.post("a", "1").await;
        slow.next().await;
        world.restart().await;
        let delivery = world.outcome(&posted).await;
        assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
        assert!(slow.is_empty().await);
    });
}

#[test]
fn the_admin_key_is_made_once() {
    Stage::default().in_a_file().play(async |world| {
        world.stop().await;
        world.config.admin_key = None;
        world.config.host.data_dir = world.dir().join("other");
        let made = world.try_start_and_note().await.expect("a start").expect("a key is made at the first");
        assert!(made.starts_with("hwk_"));
        let with = |world: &World, key: &str| world.web.with_key(key);
        with(world, &made).get("/v1/events").await.expect(200);
        world.stop().await;
        assert_eq!(world.try_start_and_note().await.expect("a start"), None);
        with(world, &made).get("/v1/events").await.expect(200);
        with(world, "hwk_other").get("/v1/events").await.problem(401);
    });
}

#[test]
fn a_missing_or_wrong_sealing_key_stops_the_start_with_a_sentence() {
    Stage::default().in_a_file().play(async |world| {
        world.endpoint(json!({})).await;
        world.stop().await;
        let file = world.data_dir().join("sealing.key");
        let key = std::fs::read(&file).expect("the key");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&file).expect("the key").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        std::fs::remove_file(&file).expect("to remove it");
        let missing = refusal(world).await;
        assert!(missing.contains("HOOKWRIGHT_SEALING_KEY") && missing.contains("sealing.key"), "{missing}");
        assert!(!file.exists(), "no other key is made");
        world.config.sealing_key =
            Some(hookwright::secret::Secret::new(data_encoding::BASE64.encode(&[7; 32])));
        let wrong = refusal(world).await;
        assert!(wrong.contains("another key"), "{wrong}");
        world.config.sealing_key = Some(hookwright::secret::Secret::new("nonsense"));
        let malformed = refusal(world).await;
        assert!(malformed.contains("base64"), "{malformed}");
        let text = String::from_utf8(key).expect("text");
        world.config.sealing_key = Some(hookwright::secret::Secret::new(text.trim()));
        world.start().await;
        world.post("a", "1").await;
        world.receiver.next().await;
    });
}

#[test]
fn a_store_of_a_newer_version_is_refused_with_a_sentence() {
    Stage::default().in_a_file().play(async |world| {
        world.stop().await;
        let table = TableDefinition::<&str, u64>::new("meta");
        let database = Database::open(world.store_file()).expect("the store");
        let write = database.begin_write().expect("a transaction");
        write.open_table(table).expect("a table").insert("format", 1_000).expect("to write");
        write.commit().expect("to commit");
        drop(database);
        let newer = refusal(world).await;
        assert!(newer.contains("newer version") && newer.contains("1000"), "{newer}");
    });
}

#[test]
fn a_second_host_on_the_same_data_is_refused_with_a_sentence() {
    Stage::default().in_a_file().play(async |world| {
        let second = refusal(world).await;
        assert!(second.contains("in use by another process"), "{second}");
        world.post("a", "1").await;
    });
}

#[test]
fn an_address_that_is_taken_is_refused_with_a_sentence() {
    play(async |world| {
        let taken = world.web.address();
        world.config.host.listen = taken;
        world.config.host.data_dir = world.dir().join("other");
        let refused = refusal(world).await;
        assert!(refused.contains(&taken.to_string()) && refused.contains("--listen"), "{refused}");
    });
}

#[test]
fn what_ended_long_ago_is_forgotten_and_what_waits_is_not() {
    play(async |world| {
        world.endpoint(json!({"events": ["delivered"]})).await;
        let held = world.endpoint(json!({"events": ["held"], "enabled": false})).await;
        let delivered = world.post_with("delivered", "1", json!({"id": "one"})).await;
        world.outcome(&delivered).await;
        let unwanted = world.post("unwanted", "2").await;
        let waiting = world.post("held", "3").await;
        world.receiver.next().await;

        // Retention looks at once after a start.
        world.clock.advance(31 * DAY);
        world.config.delivery.max_age = 365 * DAY;
        // The day does not go whole, for what waits.
        world.config.retention.whole_days = Duration::ZERO;
        world.restart().await;
        for gone in [&delivered, &unwanted] {
            let path = format!("/v1/events/{}", gone.id);
            world
                .until("it is forgotten", async || (world.web.get(&path).await.status == 404).then_some(()))
                .await;
        }
        let again = world.post_with("delivered", "1", json!({"id": "one"})).await;
        assert!(!again.duplicate, "its id is free again");
        world.receiver.next().await;

        assert_eq!(world.event(&waiting.id).await["deliveries"][0]["held"], true);
        world.web.patch(&held.path(), &json!({"enabled": true})).await.expect(200);
        assert_eq!(world.receiver.next().await.body, "3");
        assert_eq!(world.outcome(&waiting).await["state"], "delivered");
        let young = world.event(&again.id).await;
        assert_eq!(young["deliveries"][0]["state"], "delivered");
    });
}
