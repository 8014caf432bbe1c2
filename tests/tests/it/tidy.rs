//! The house stays as its map says.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use hookwright::store::plugins::ComponentDigest;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The Rust files of the host, each with the name of the top module it belongs to.
fn host_sources() -> Vec<(String, PathBuf, String)> {
    let src = root().join("host/src");
    let mut files = Vec::new();
    let mut folders = vec![src.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(&src).unwrap();
                let module =
                    inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
                let text = fs::read_to_string(&path).unwrap();
                files.push((module, path, text));
            }
        }
    }
    files
}

/// Up to the tests at a file's end, which may use anything.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text)
}

/// The reading order of `lib.rs`, with the heading that each module stands under.
fn order() -> Vec<(String, String)> {
    let mut heading = String::new();
    let mut modules = Vec::new();
    for line in read("host/src/lib.rs").lines() {
        if let Some(comment) = line.strip_prefix("// ") {
            heading = comment.split(':').next().unwrap_or(comment).to_owned();
        }
        if let Some(module) = line.strip_prefix("pub mod ").and_then(|rest| rest.strip_suffix(';')) {
            modules.push((module.to_owned(), heading.clone()));
        }
    }
    modules
}

#[test]
fn imports_point_up_the_reading_order() {
    let order = order();
    let places: BTreeMap<&str, usize> =
        order.iter().enumerate().map(|(i, (module, _))| (module.as_str(), i)).collect();
    for (module, path, text) in host_sources() {
        let Some(own) = places.get(module.as_str()) else {
            assert!(
                matches!(module.as_str(), "lib" | "main"),
                "{} stands in no module of lib.rs",
                path.display()
            );
            continue;
        };
        for used in without_tests(&text).split("crate::").skip(1) {
            let used = used.split(|c: char| !c.is_ascii_lowercase() && c != '_').next().unwrap_or_default();
            let Some(place) = places.get(used) else { continue };
            assert!(place <= own, "{} uses crate::{used}, which comes later in lib.rs", path.display());
        }
    }
}

#[test]
fn words_are_pure() {
    let impure = ["tokio", "std::fs", "std::net", "std::thread", "rand::", "serde", "async fn", "tracing::"];
    let order = order();
    let words: Vec<&str> =
        order.iter().filter(|(_, heading)| heading == "Words").map(|(module, _)| module.as_str()).collect();
    assert!(words.contains(&"delivery"), "lib.rs has no heading `Words`");
    for (module, path, text) in host_sources() {
        if !words.contains(&module.as_str()) {
            continue;
        }
        for word in impure {
            assert!(!without_tests(&text).contains(word), "{} is a word and uses `{word}`", path.display());
        }
    }
}

#[test]
fn one_module_reads_the_clock() {
    for (module, path, text) in host_sources() {
        if module != "time" {
            let clock = ["SystemTime::now", "jiff::Timestamp::now", "Zoned::now"];
            for reading in clock {
                assert!(!without_tests(&text).contains(reading), "{} reads the clock itself", path.display());
            }
        }
    }
}

#[test]
fn the_given_packages_are_used() {
    let manifest = read("host/Cargo.toml");
    let sources: String = host_sources().iter().map(|(_, _, text)| without_tests(text)).collect();
    for package in [
        "wasmtime",
        "wasmtime-wasi",
        "tokio",
        "hyper",
        "hyper-util",
        "rustls",
        "serde_json",
        "hmac",
        "sha2",
        "redb",
        "tracing",
    ] {
        let declared = manifest
            .split("[dev-dependencies]")
            .next()
            .unwrap()
            .lines()
            .any(|line| line.strip_prefix(package).is_some_and(|rest| rest.starts_with([' ', '.', '='])));
        assert!(declared, "{package} is no dependency of the host");
        let path = format!("{}::", package.replace('-', "_"));
        assert!(sources.contains(&path), "{package} is used nowhere in the host");
    }
}

#[test]
fn the_top_level_holds_what_was_given_and_files_of_tools() {
    let given = ["Cargo.toml", "host", "plugin-sdk", "plugins", "wit", "tests", "README.md"];
    let tools = ["Cargo.lock", "LICENSE", "rust-toolchain.toml", "rustfmt.toml", "clippy.toml", "target"];
    for entry in fs::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = given.contains(&name.as_str()) || tools.contains(&name.as_str()) || name.starts_with('.');
        assert!(known, "`{name}` does not belong on the top level");
    }
    for name in given {
        assert!(root().join(name).exists(), "`{name}` is missing");
    }
}

/// Modules under these names become rooms for everything.
#[test]
fn no_module_is_a_room_for_everything() {
    for (_, path, _) in host_sources() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let rooms =
            ["util", "utils", "common", "types", "models", "core", "helpers", "manager", "mod", "misc"];
        assert!(!rooms.contains(&name), "{}", path.display());
    }
}

#[test]
fn the_map_names_every_module() {
    let map = read("host/ARCHITECTURE.md");
    for (module, _) in order() {
        assert!(map.contains(&format!("`{module}`")), "ARCHITECTURE.md does not name `{module}`");
    }
}

#[test]
fn the_readme_gives_the_commands_that_are_tested() {
    let readme = read("README.md");
    for command in [
        "rustup target add wasm32-wasip2 && cargo run --release -- demo",
        "rustup target add wasm32-wasip2 && cargo test --workspace",
    ] {
        assert!(
            readme.lines().any(|line| line == command),
            "README.md lacks `{command}` on a line of its own"
        );
    }
    let ci = read(".ci/run");
    for step in ["readme_command 'test --workspace'", "readme_command 'run --release -- demo'"] {
        assert!(ci.contains(step), ".ci/run lacks {step}");
    }
}

/// The files below `host/dashboard`, each with its path from there.
fn dashboard_files() -> Vec<(String, Vec<u8>)> {
    let base = root().join("host/dashboard");
    let (mut files, mut folders) = (Vec::new(), vec![base.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&base).unwrap().to_str().unwrap().to_owned();
                files.push((name, fs::read(&path).unwrap()));
            }
        }
    }
    files
}

#[test]
fn libraries_of_the_dashboard_are_those_of_the_table() {
    let table = read("host/dashboard/vendor/README.md");
    let told: BTreeMap<String, String> = table
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .map(|row| {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            (cells[0].trim_end_matches('`').to_owned(), cells[4].to_owned())
        })
        .collect();
    let there: BTreeMap<String, String> = dashboard_files()
        .into_iter()
        .filter_map(|(name, bytes)| Some((name.strip_prefix("vendor/")?.to_owned(), bytes)))
        .filter(|(name, _)| name != "README.md")
        .map(|(name, bytes)| (name, ComponentDigest::of(&bytes).to_string()))
        .collect();
    assert_eq!(there, told, "host/dashboard/vendor/README.md");
}

#[test]
fn pages_never_make_markup_of_text() {
    let makers = ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"];
    for (name, bytes) in dashboard_files() {
        if name.starts_with("vendor/") || !name.ends_with(".js") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        for maker in makers {
            assert!(!text.contains(maker), "host/dashboard/{name} uses {maker}");
        }
    }
}
