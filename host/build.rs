//! Builds the bundled plugins and embeds them, and beside them what authors of plugins begin with and the dashboard.

#[path = "build/components.rs"]
mod components;
#[path = "build/kit.rs"]
mod kit;
#[path = "build/pages.rs"]
mod pages;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use components::Component;

fn main() {
    if let Err(error) = run() {
        println!("cargo::error={}", error.replace('\n', "\ncargo::error="));
        std::process::exit(1);
    }
}

fn run() -> Result<(), String> {
    let host = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("CARGO_MANIFEST_DIR is not set")?);
    let workspace = host.parent().ok_or("the host has to be in its workspace")?;
    for path in ["wit", "plugin-sdk", "plugins", "Cargo.toml", "Cargo.lock", "LICENSE"] {
        println!("cargo::rerun-if-changed={}", workspace.join(path).display());
    }
    println!("cargo::rerun-if-changed=build/components.rs");
    println!("cargo::rerun-if-changed=build/kit.rs");
    println!("cargo::rerun-if-changed=build/pages.rs");
    write("kit.rs", &kit::list(workspace)?)?;
    write("pages.rs", &pages::list(&host.join("dashboard"))?)?;
    embed(&components::build(workspace, &bundled(workspace)?)?)
}

/// Documentation is made where no target but the host's is installed.
fn bundled(workspace: &Path) -> Result<Vec<String>, String> {
    if env::var_os("DOCS_RS").is_some() {
        return Ok(Vec::new());
    }
    components::packages(&workspace.join("plugins"))
}

/// Copies the components beside the list that names them, so that a later build cannot change them under
/// this one.
fn embed(components: &[Component]) -> Result<(), String> {
    let out_dir = out_dir()?;
    let mut list = String::from("static COMPONENTS: &[(&str, &[u8])] = &[\n");
    for Component { name, path } in components {
        let file = format!("{name}.wasm");
        fs::copy(path, out_dir.join(&file)).map_err(|error| format!("{}: {error}", path.display()))?;
        list += &format!("    ({name:?}, include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))),\n");
    }
    list += "];\n";
    write("bundled.rs", &list)
}

fn write(name: &str, text: &str) -> Result<(), String> {
    fs::write(out_dir()?.join(name), text).map_err(|error| error.to_string())
}

fn out_dir() -> Result<PathBuf, String> {
    env::var_os("OUT_DIR").map(PathBuf::from).ok_or_else(|| "OUT_DIR is not set".to_owned())
}
