//! The files of the dashboard, embedded where the build is optimised. Others read them from the source tree whenever
//! they are asked for, so that a changed page is there without a build.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// A list of names and contents, as Rust; an empty one where nothing is embedded.
pub fn list(folder: &Path) -> Result<String, String> {
    let mut files = Vec::new();
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        println!("cargo::rerun-if-changed={}", folder.display());
        collect(folder, &mut files)?;
    }
    files.sort();
    let mut list = String::from("static EMBEDDED: &[(&str, &[u8])] = &[\n");
    for path in files {
        let inside = path.strip_prefix(folder).map_err(|error| error.to_string())?;
        let name = inside.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
        let _ = writeln!(list, "    ({name:?}, include_bytes!({path:?})),");
    }
    list += "];\n";
    Ok(list)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let unreadable = |error: std::io::Error| format!("{}: {error}", folder.display());
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
