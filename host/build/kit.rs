//! Embeds what `plugin new` writes: the SDK, the contract and the starters, as texts.

use std::fs;
use std::path::{Path, PathBuf};

/// Relative to the workspace. The manifest and the lock file of the workspace say the versions of what the SDK uses.
const SOURCES: [&str; 6] =
    ["Cargo.toml", "Cargo.lock", "LICENSE", "plugin-sdk/Cargo.toml", "plugin-sdk/src", "wit"];
const STARTERS: &str = "plugin-sdk/starters";
/// What tools leave behind where somebody tried a starter in its place.
const LEFT_BEHIND: [&str; 5] = ["target", "dist", "node_modules", ".venv", "__pycache__"];

/// `static FILES: &[(&str, &str)]`: paths relative to the workspace, with `/`, and contents.
pub fn list(workspace: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    for source in SOURCES.into_iter().chain([STARTERS]) {
        gather(&workspace.join(source), &mut files)?;
    }
    files.sort();
    let mut list = String::from("static FILES: &[(&str, &str)] = &[\n");
    for file in &files {
        let path = file.strip_prefix(workspace).map_err(|error| error.to_string())?;
        let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
        list += &format!("    ({:?}, include_str!({:?})),\n", names.join("/"), file.display().to_string());
    }
    list += "];\n";
    Ok(list)
}

fn gather(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", path.display());
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if !LEFT_BEHIND.iter().any(|name| entry.file_name() == *name) {
            gather(&entry.path(), files)?;
        }
    }
    Ok(())
}
