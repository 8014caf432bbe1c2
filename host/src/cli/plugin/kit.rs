//! What a new project begins with, out of this binary: a starter, the contract, and for Rust the SDK.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow};
use toml::{Table, Value};

use super::project::Language;

/// The name that the starters have.
const STARTER: &str = "shout";
const STARTERS: &str = "plugin-sdk/starters/";
/// Of each language.
const CASES: &str = "plugin-sdk/starters/cases/";
const CONTRACT: &str = "wit/0.1.0/";
const SDK: &str = "plugin-sdk/";
const SDK_SOURCES: &str = "plugin-sdk/src/";
const SDK_PACKAGE: &str = "hookwright-plugin";
/// The SDK finds the contract in `../wit`, here as in the repository.
const VENDORED_SDK: &str = "vendor/hookwright-plugin/";
const VENDORED_CONTRACT: &str = "vendor/wit/0.1.0/";

/// A file to write: its path, with `/`, in the project, and its text.
pub type File = (String, String);

/// All files of a new project.
///
/// # Errors
///
/// Where this binary was built from a workspace whose manifests are not what this module expects of them.
pub fn files(language: Language, name: &str) -> anyhow::Result<Vec<File>> {
    let starter = format!("{STARTERS}{}/", language.folder());
    let mut files = copied(&starter, "", |text| text.replace(STARTER, name));
    files.extend(copied(CASES, "cases/", str::to_owned));
    match language {
        Language::Rust => files.extend(vendored()?),
        Language::Js | Language::Python => files.extend(copied(CONTRACT, "wit/", str::to_owned)),
    }
    files.sort();
    Ok(files)
}

/// The embedded files below `from`, as they are called below `to`.
fn copied(from: &str, to: &str, change: impl Fn(&str) -> String) -> Vec<File> {
    let below = FILES.iter().filter_map(|(path, text)| Some((path.strip_prefix(from)?, text)));
    below.map(|(path, text)| (format!("{to}{path}"), change(text))).collect()
}

fn vendored() -> anyhow::Result<Vec<File>> {
    let mut files = copied(SDK_SOURCES, &format!("{VENDORED_SDK}src/"), str::to_owned);
    files.extend(copied(CONTRACT, VENDORED_CONTRACT, str::to_owned));
    let manifest = standalone(embedded(&format!("{SDK}Cargo.toml"))?, embedded("Cargo.toml")?)?;
    files.push((format!("{VENDORED_SDK}Cargo.toml"), manifest));
    files.push((format!("{VENDORED_SDK}LICENSE"), embedded("LICENSE")?.to_owned()));
    files.push(("Cargo.lock".to_owned(), pruned(embedded("Cargo.lock")?, SDK_PACKAGE)?));
    Ok(files)
}

fn embedded(path: &str) -> anyhow::Result<&'static str> {
    let file = FILES.iter().find(|(name, _)| *name == path);
    file.map(|(_, text)| *text).ok_or_else(|| anyhow!("{path} is not in this binary"))
}

/// A manifest with what it inherits from its workspace written out, for use without that workspace.
fn standalone(manifest: &str, workspace: &str) -> anyhow::Result<String> {
    let mut manifest: Table = manifest.parse()?;
    let workspace: Table = workspace.parse()?;
    let workspace = workspace.get("workspace").context("the workspace's manifest says nothing of one")?;
    for (section, inherited) in [("package", "package"), ("dependencies", "dependencies")] {
        let Some(Value::Table(members)) = manifest.get_mut(section) else { continue };
        for (name, value) in members {
            if inherits(value) {
                let whole = workspace.get(inherited).and_then(|section| section.get(name));
                *value = whole.with_context(|| format!("the workspace has no {inherited}.{name}"))?.clone();
            }
        }
    }
    // The workspace's own affairs, and its tests'.
    manifest.remove("lints");
    manifest.remove("dev-dependencies");
    Ok(toml::to_string(&manifest)?)
}

fn inherits(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// The part of a lock file that `root` needs: a new project builds with the versions that this SDK was tested with.
fn pruned(lock: &str, root: &str) -> anyhow::Result<String> {
    let mut lock: Table = lock.parse()?;
    let packages = lock.get_mut("package").and_then(Value::as_array_mut).context("the lock file is empty")?;
    let mut needed: BTreeSet<String> = BTreeSet::new();
    let mut looked_at = vec![root.to_owned()];
    while let Some(name) = looked_at.pop() {
        let fresh: Vec<&Value> = packages.iter().filter(|package| is_called(package, &name)).collect();
        if needed.insert(name) {
            looked_at.extend(fresh.into_iter().flat_map(dependencies));
        }
    }
    packages.retain(|package| needed.iter().any(|name| is_called(package, name)));
    Ok(toml::to_string(&lock)?)
}

fn is_called(package: &Value, name: &str) -> bool {
    package.get("name").and_then(Value::as_str) == Some(name)
}

/// The names alone; of several versions of one package all are kept, and cargo drops what it does not use.
fn dependencies(package: &Value) -> Vec<String> {
    let dependencies = package.get("dependencies").and_then(Value::as_array);
    let words = dependencies.into_iter().flatten().filter_map(Value::as_str);
    words.filter_map(|words| words.split(' ').next()).map(str::to_owned).collect()
}

// FILES: &[(&str, &str)]
include!(concat!(env!("OUT_DIR"), "/kit.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[File]) -> Vec<&str> {
        files.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn each_language_has_a_plugin_cases_a_readme_and_the_contract() {
        for (language, wanted) in [
            (Language::Rust, ["src/lib.rs", "Cargo.toml", "vendor/wit/0.1.0/plugin.wit"]),
            (Language::Js, ["plugin.js", "package.json", "wit/plugin.wit"]),
            (Language::Python, ["plugin.py", "pyproject.toml", "wit/plugin.wit"]),
        ] {
            let files = files(language, "lead-score").expect("a kit");
            let names = names(&files);
            for name in wanted.into_iter().chain(["README.md", ".gitignore", "cases/title.json"]) {
                assert!(names.contains(&name), "{name} in {names:?}");
            }
            let own = files.iter().filter(|(name, _)| !name.starts_with("vendor/"));
            assert!(own.clone().any(|(_, text)| text.contains("lead-score")));
            own.for_each(|(name, text)| assert!(!text.contains(STARTER), "{name} still says {STARTER}"));
        }
    }

    #[test]
    fn the_vendored_sdk_needs_no_workspace() {
        let manifest = embedded("plugin-sdk/Cargo.toml").expect("a manifest");
        let alone =
            standalone(manifest, embedded("Cargo.toml").expect("a manifest")).expect("to stand alone");
        assert!(!alone.contains("workspace"), "{alone}");
        let alone: Table = alone.parse().expect("TOML");
        assert_eq!(alone["package"]["name"].as_str(), Some(SDK_PACKAGE));
        assert!(alone["package"]["edition"].is_str());
        assert!(alone["dependencies"]["serde"]["features"].is_array(), "{alone}");
    }

    #[test]
    fn a_lock_file_is_cut_to_what_is_needed() {
        let lock = "version = 4\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\ndependencies = [\"b 2.0.0\"]\n\
                    [[package]]\nname = \"b\"\nversion = \"2.0.0\"\n[[package]]\nname = \"c\"\nversion = \"1.0.0\"\n";
        let cut: Table = pruned(lock, "a").expect("a lock file").parse().expect("TOML");
        let left: Vec<_> = cut["package"].as_array().expect("a list").iter().map(|it| &it["name"]).collect();
        assert_eq!(left, [&Value::from("a"), &Value::from("b")]);
        let own: Table =
            pruned(embedded("Cargo.lock").expect("a file"), SDK_PACKAGE).expect("one").parse().expect("TOML");
        let own = own["package"].as_array().expect("a list");
        assert!(own.iter().any(|package| is_called(package, "wit-bindgen")));
        assert!(!own.iter().any(|package| is_called(package, "wasmtime")));
    }
}
