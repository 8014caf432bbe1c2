//! Builds the hostile guests.

#[path = "../host/build/components.rs"]
mod components;

use std::env;
use std::path::PathBuf;

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.replace('\n', "\ncargo::error="));
        std::process::exit(1);
    }
}

/// Tells the tests where each is, as `GUEST_HOSTILE` and so on.
fn run() -> Result<(), String> {
    let tests = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let guests = tests.join("fixtures/guests");
    for path in [&guests, &tests.join("../wit"), &tests.join("../host/build/components.rs")] {
        println!("cargo::rerun-if-changed={}", path.display());
    }
    for guest in components::build(&guests, &components::packages(&guests)?)? {
        let name = guest.name.to_uppercase().replace('-', "_");
        println!("cargo::rustc-env=GUEST_{name}={}", guest.path.display());
    }
    Ok(())
}
