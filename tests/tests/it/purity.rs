//! The same event, configuration and digest give the same bytes: in a thousand calls and in two processes.

use std::process::Command;

use bytes::Bytes;
use hookwright::plugin::bundled;
use hookwright_tests::harness::{play, runtime};
use hookwright_tests::purity;
use serde_json::{Value, json};

#[test]
fn a_thousand_calls_and_a_second_process_come_to_the_same_bytes() {
    let second = Command::new(env!("CARGO_BIN_EXE_purity"));
    let second = std::thread::spawn(move || {
        let mut second = second;
        second.output().expect("it runs")
    });
    let reports =
        runtime().block_on(purity::call_all(purity::CALLS)).expect("equal calls come to equal results");
    assert_eq!(reports.len(), bundled().len());
    let second = second.join().expect("no panic");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(String::from_utf8_lossy(&second.stdout), purity::transcript(&reports));
}

#[test]
fn a_script_sees_the_event_as_its_clock_and_the_delivery_as_its_dice() {
    play(async |world| {
        let code = "function handler(w) {
            const spin = () => { for (let i = 0; i < 1000; i++); };
            const first = Date.now(); spin();
            w.payload = { now: [first, Date.now(), new Date().getTimezoneOffset()], dice: [Math.random(), Math.random()] };
            return w; }";
        world.receiver.answer_first([500, 500]);
        world.endpoint(json!({"transforms": [{"plugin": "script", "config": {"code": code}}]})).await;
        let more = json!({"timestamp": "2026-03-22T08:30:00Z"});
        world.post_with("a", "{}", more.clone()).await;
        let bodies: Vec<Bytes> =
            world.receiver.take(3).await.into_iter().map(|arrival| arrival.body).collect();
        assert_eq!(bodies[0], bodies[1], "a retry is the same");
        assert_eq!(bodies[0], bodies[2], "and so is the next one");
        let seen: Value = serde_json::from_slice(&bodies[0]).expect("JSON");
        assert_eq!(seen["now"], json!([1_774_168_200_000_u64, 1_774_168_200_000_u64, 0]));
        assert_ne!(seen["dice"][0], seen["dice"][1]);

        world.post_with("a", "{}", more).await;
        let other: Value = serde_json::from_slice(&world.receiver.next().await.body).expect("JSON");
        assert_ne!(other["dice"], seen["dice"], "another event has other dice");
        assert_eq!(other["now"], seen["now"]);
    });
}
