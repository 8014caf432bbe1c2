//! Builds WebAssembly components from within a build script. Included by the build scripts of the host (the
//! bundled plugins) and of the tests (hostile guests).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-wasip2";
/// Its own, for all profiles of the outer build: that one holds the lock of the usual target directory.
const TARGET_DIR: &str = "bundled";
const PROFILE: &str = "plugin";
/// Names another toolchain for the components, where the one in use has not got their target.
const TOOLCHAIN: &str = "HOOKWRIGHT_PLUGIN_TOOLCHAIN";

/// Settings of the outer build that are not about its target, its profile or its tools.
const KEPT: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_SOURCE_",
    "CARGO_TERM_",
];
const DROPPED: [&str; 4] = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS"];

/// One built component.
pub struct Component {
    /// Of the package.
    pub name: String,
    pub path: PathBuf,
}

/// The packages in the folders of `dir`, sorted by name. None if there is no such directory.
pub fn packages(dir: &Path) -> Result<Vec<String>, String> {
    let Ok(folders) = fs::read_dir(dir) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for folder in folders.flatten() {
        let manifest = folder.path().join("Cargo.toml");
        if manifest.is_file() {
            names.push(package_name(&manifest)?);
        }
    }
    names.sort();
    Ok(names)
}

/// Builds packages of the workspace at `workspace`, all in one go.
pub fn build(workspace: &Path, packages: &[String]) -> Result<Vec<Component>, String> {
    println!("cargo::rerun-if-env-changed={TOOLCHAIN}");
    if packages.is_empty() {
        return Ok(Vec::new());
    }
    check_target()?;
    let target_dir = target_dir()?;
    let mut cargo = clean_command("cargo");
    cargo
        .current_dir(workspace)
        .args(["build", "--lib", "--target", TARGET, "--profile", PROFILE])
        .arg("--target-dir")
        .arg(&target_dir);
    for package in packages {
        cargo.args(["--package", package]);
    }
    run(cargo)?;
    Ok(packages.iter().map(|name| component(&target_dir, name)).collect())
}

fn component(target_dir: &Path, name: &str) -> Component {
    let file = format!("{}.wasm", name.replace('-', "_"));
    Component { name: name.to_owned(), path: target_dir.join(TARGET).join(PROFILE).join(file) }
}

fn package_name(manifest: &Path) -> Result<String, String> {
    let text = fs::read_to_string(manifest).map_err(|error| format!("{}: {error}", manifest.display()))?;
    let name = text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "name").then(|| value.trim().trim_matches('"').to_owned())
    });
    name.ok_or_else(|| format!("{} has no package name", manifest.display()))
}

/// Asks the compiler where the target's standard library would be, and looks.
fn check_target() -> Result<(), String> {
    let mut rustc = clean_command("rustc");
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let output = rustc.output().map_err(|error| format!("rustc cannot be run: {error}"))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        return Err(format!("rustc does not answer:\n{}", reason.trim()));
    }
    if Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
        return Ok(());
    }
    Err(format!(
        "plugins need the compilation target {TARGET}; run `rustup target add {TARGET}`, or name a toolchain \
         that has it in {TOOLCHAIN}"
    ))
}

fn run(mut command: Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("cargo cannot be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("building the components for {TARGET} failed:\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// `program` from the PATH, where rustup's proxy is, as if called from a shell: what the outer build set for
/// its own target, profile and tools must not reach the inner one.
fn clean_command(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        let dropped = DROPPED.iter().any(|prefix| name.starts_with(prefix));
        let kept = KEPT.iter().any(|prefix| name.starts_with(prefix));
        if dropped && !kept {
            command.env_remove(name);
        }
    }
    if let Some(toolchain) = env::var_os(TOOLCHAIN) {
        command.env("RUSTUP_TOOLCHAIN", toolchain);
    }
    command.env_remove("CLIPPY_ARGS").env_remove("MAKEFLAGS");
    command
}

/// Cargo marks the root of a target directory.
fn target_dir() -> Result<PathBuf, String> {
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let root = out_dir.ancestors().find(|dir| dir.join("CACHEDIR.TAG").is_file());
    Ok(root.unwrap_or(&out_dir).join(TARGET_DIR))
}
