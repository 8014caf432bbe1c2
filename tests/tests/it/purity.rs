//! The same event, configuration and digest give the same bytes: in a thousand calls, in two processes, and through
//! both stores.

use std::process::Command;

use bytes::Bytes;
use hookwright::plugin::{Catalog, Engine, Limits, Plugin, Verdict, bundled};
use hookwright_tests::harness::{Stage, World, play, runtime};
use hookwright_tests::purity;
use serde_json::{Value, json};

#[test]
fn a_thousand_calls_and_a_second_process_come_to_the_same_bytes() {
    let second = Command::new(env!("CARGO_BIN_EXE_purity"));
    let second = std::thread::spawn(move || { let mut second = second; second.output().expect("it runs") });
    let reports = runtime().block_on(purity::call_all(purity::CALLS)).expect("equal calls come to equal results");
    assert_eq!(reports.len(), bundled().len());
    let second = second.join().expect("no panic");
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(String::from_utf8_lossy(&second.stdout), purity::transcript(&reports));
}
