//! `plugin new`: a project that builds and passes its tests as it is.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::kit;
use super::project::Language;
use crate::cli::screen::say;
use crate::plugin;

/// Words that no Rust crate can be called; the SDK and serde are what the crate depends on.
const TAKEN: [&str; 57] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "hookwright-plugin",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
];

#[derive(Debug, clap::Args)]
pub struct New {
    /// Name of the plugin: of a-z, 0-9 and `-`
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value = "rust")]
    lang: Language,
    /// Where it goes; unless said otherwise, into a folder of its name
    #[arg(long, value_name = "DIR")]
    path: Option<PathBuf>,
}

impl New {
    pub fn run(self, json: bool) -> anyhow::Result<()> {
        check_name(&self.name, self.lang)?;
        let dir = self.path.unwrap_or_else(|| PathBuf::from(&self.name));
        let files = kit::files(self.lang, &self.name)?;
        if let Some((path, _)) = files.iter().find(|(path, _)| dir.join(path).exists()) {
            let there = dir.join(path);
            bail!(
                "{} is there already, and nothing was written; name another folder with `--path`",
                there.display()
            );
        }
        for (path, text) in &files {
            write_new(&dir.join(path), text)?;
        }
        if json {
            let files: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
            return Ok(say(&json!({"name": self.name, "path": dir, "files": files}).to_string())?);
        }
        Ok(say(&next(&self.name, self.lang, &dir))?)
    }
}

fn check_name(name: &str, language: Language) -> anyhow::Result<()> {
    plugin::check_name(name)?;
    if language == Language::Rust
        && (!name.starts_with(|c: char| c.is_ascii_lowercase()) || TAKEN.contains(&name))
    {
        bail!("`{name}` cannot be the name of a Rust package; choose another that begins with a letter");
    }
    Ok(())
}

/// Never in the place of another file.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let made = fs::create_dir_all(folder);
    let file = made.and_then(|()| OpenOptions::new().write(true).create_new(true).open(path));
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("{} cannot be written", path.display()))
}

fn next(name: &str, language: Language, dir: &Path) -> String {
    let tools = match language {
        Language::Rust => "rustup target add wasm32-wasip2   # once",
        Language::Js => "npm install                       # once",
        Language::Python => "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt   # once",
    };
    format!(
        "Wrote the plugin `{name}` into {0}. What it is made of is in {1}. Next:\n\n  cd {0}\n  {tools}\n  \
         hookwright plugin test            # builds it, and runs its cases",
        dir.display(),
        dir.join("README.md").display()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_not_be_built_are_refused() {
        for (name, language, fits) in [
            ("lead-score2", Language::Rust, true),
            ("2fast", Language::Rust, false),
            ("2fast", Language::Js, true),
            ("match", Language::Rust, false),
            ("match", Language::Python, true),
            ("hookwright-plugin", Language::Rust, false),
            ("Lead", Language::Js, false),
            ("", Language::Python, false),
            ("../x", Language::Js, false),
        ] {
            assert_eq!(check_name(name, language).is_ok(), fits, "{name} {language:?}");
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().expect("a folder");
        let readme = dir.path().join("README.md");
        fs::write(&readme, "mine").expect("to write");
        let new = New { name: "a".into(), lang: Language::Js, path: Some(dir.path().to_owned()) };
        let error = new.run(true).expect_err("to be refused").to_string();
        assert!(error.contains("README.md is there already"), "{error}");
        assert_eq!(fs::read_to_string(readme).expect("a file"), "mine");
        assert_eq!(fs::read_dir(dir.path()).expect("a folder").count(), 1);
    }
}
