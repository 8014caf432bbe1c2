//! A folder in which a plugin is written, and how it becomes a component.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::Value;

const TARGET: &str = "wasm32-wasip2";
/// Where components are put, in every language.
const DIST: &str = "dist";
const CASES: &str = "cases";
const VENV: &str = ".venv";
const COMPONENTIZE_PY: &str = "componentize-py";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    Rust,
    /// JavaScript, by way of componentize-qjs
    #[value(alias = "javascript")]
    Js,
    /// Python, by way of componentize-py
    Python,
}

impl Language {
    const ALL: [Self; 3] = [Self::Rust, Self::Js, Self::Python];

    /// Of its starter.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "javascript",
            Self::Python => "python",
        }
    }

    /// Says what a project is written in.
    fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Js => "package.json",
            Self::Python => "pyproject.toml",
        }
    }
}

#[derive(Debug)]
pub struct Project {
    dir: PathBuf,
    language: Language,
    name: String,
    manifest: Value,
}

impl Project {
    /// # Errors
    ///
    /// Where the folder holds none.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        let language = Language::ALL.into_iter().find(|language| dir.join(language.manifest()).is_file());
        let language = language.with_context(|| {
            format!(
                "{} is no project of a plugin: it has neither Cargo.toml nor package.json nor pyproject.toml; \
                 `hookwright plugin new NAME` writes one",
                dir.display()
            )
        })?;
        let path = dir.join(language.manifest());
        let manifest = read_manifest(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let name =
            name(language, &manifest).with_context(|| format!("{} names no package", path.display()))?;
        Ok(Self { dir: dir.to_owned(), language, name, manifest })
    }

    pub fn cases(&self) -> PathBuf {
        self.dir.join(CASES)
    }

    /// Has the language's own tools make the component. What they say goes to stderr.
    ///
    /// # Errors
    ///
    /// Where a tool is missing, or fails.
    pub fn build(&self) -> anyhow::Result<PathBuf> {
        let dist = self.dir.join(DIST);
        fs::create_dir_all(&dist).with_context(|| format!("{} cannot be made", dist.display()))?;
        let component = dist.join(format!("{}.wasm", self.name));
        match self.language {
            Language::Rust => self.build_rust(&component)?,
            Language::Js => self.build_js(&component)?,
            Language::Python => self.build_python(&component)?,
        }
        Ok(component)
    }

    fn build_rust(&self, component: &Path) -> anyhow::Result<()> {
        self.check_target()?;
        let mut cargo = self.command("cargo");
        cargo.args(["build", "--release", "--lib", "--target", TARGET]);
        cargo.arg("--message-format=json-render-diagnostics");
        let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| missing_rust(&error))?;
        let mut made = None;
        // Read to the end, or cargo would wait for its reader.
        if let Some(stdout) = child.stdout.take() {
            for line in BufReader::new(stdout).lines() {
                made = self.made(&line?).or(made);
            }
        }
        succeeded("cargo build", child.wait()?)?;
        let made = made.with_context(|| {
            format!(
                "`cargo build` made no component; {} needs `[lib]` with `crate-type = [\"cdylib\"]`",
                self.dir.join("Cargo.toml").display()
            )
        })?;
        replace(&made, component).with_context(|| format!("{} cannot be written", component.display()))
    }

    /// The component, if this line of cargo's says that it was made.
    fn made(&self, line: &str) -> Option<PathBuf> {
        #[derive(Deserialize)]
        struct Artifact {
            manifest_path: PathBuf,
            filenames: Vec<PathBuf>,
        }
        let artifact: Artifact = serde_json::from_str(line).ok()?;
        let own = fs::canonicalize(self.dir.join("Cargo.toml")).ok()?;
        if fs::canonicalize(artifact.manifest_path).ok()? != own {
            return None;
        }
        artifact
            .filenames
            .into_iter()
            .find(|file| file.extension().is_some_and(|extension| extension == "wasm"))
    }

    /// Asks the compiler where the target's standard library would be, and looks.
    fn check_target(&self) -> anyhow::Result<()> {
        let mut rustc = self.command("rustc");
        rustc.args(["--print", "target-libdir", "--target", TARGET]);
        let output = rustc.stderr(Stdio::inherit()).output().map_err(|error| missing_rust(&error))?;
        succeeded("rustc", output.status)?;
        if !Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir() {
            bail!(
                "Rust's target {TARGET}, which plugins are built for, is not installed; run `rustup target add {TARGET}`"
            );
        }
        Ok(())
    }

    fn build_js(&self, component: &Path) -> anyhow::Result<()> {
        if !self.dir.join("node_modules").is_dir() {
            bail!("the project's tools are not installed; run `npm install` in {}", self.dir.display());
        }
        forget(component)?;
        let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
        let ran = self.command(npm).args(["run", "--silent", "build"]).stdout(io::stderr()).status();
        let ran = ran.map_err(|error| missing(&error, npm, "install Node.js"))?;
        succeeded("npm run build", ran)?;
        self.check_made("npm run build", component)
    }

    fn build_python(&self, component: &Path) -> anyhow::Result<()> {
        forget(component)?;
        let setting = |name: &str| {
            let value = self.manifest.pointer(&format!("/tool/hookwright/{name}"));
            value.and_then(Value::as_str).unwrap_or("plugin").to_owned()
        };
        let mut tool = self.command(self.componentize_py());
        tool.args(["--quiet", "--wit-path", "wit", "--world", &setting("world"), "componentize"]);
        // Seen from the project, where the tool runs.
        tool.arg(setting("module")).arg("--output").arg(Path::new(DIST).join(format!("{}.wasm", self.name)));
        let advice = format!(
            "run `python3 -m venv {VENV} && {VENV}/bin/pip install -r requirements.txt` in {}",
            self.dir.display()
        );
        let ran = tool.stdout(io::stderr()).status();
        let ran = ran.map_err(|error| missing(&error, COMPONENTIZE_PY, &advice))?;
        succeeded(COMPONENTIZE_PY, ran)?;
        self.check_made(COMPONENTIZE_PY, component)
    }

    /// The project's own, else that of the PATH.
    fn componentize_py(&self) -> OsString {
        let own = match cfg!(windows) {
            true => Path::new(VENV).join("Scripts").join("componentize-py.exe"),
            false => Path::new(VENV).join("bin").join(COMPONENTIZE_PY),
        };
        // Absolute, since it runs in another folder than this process.
        let own = env::current_dir().unwrap_or_default().join(&self.dir).join(own);
        if own.is_file() { own.into() } else { COMPONENTIZE_PY.into() }
    }

    fn check_made(&self, tool: &str, component: &Path) -> anyhow::Result<()> {
        if component.is_file() {
            return Ok(());
        }
        bail!(
            "`{tool}` ended well and left no {}; the name in {} is the one that the component has to have",
            component.display(),
            self.language.manifest()
        )
    }

    fn command(&self, program: impl Into<OsString>) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(&self.dir).stdin(Stdio::null());
        command
    }
}

fn read_manifest(path: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(path)?;
    match path.extension().is_some_and(|extension| extension == "json") {
        true => Ok(serde_json::from_str(&text)?),
        false => Ok(toml::from_str(&text)?),
    }
}

/// As the plugin is called. npm knows scopes, and Python takes `_`, `.` and `-` for the same.
fn name(language: Language, manifest: &Value) -> Option<String> {
    let pointer = match language {
        Language::Rust => "/package/name",
        Language::Js => "/name",
        Language::Python => "/project/name",
    };
    let name = manifest.pointer(pointer)?.as_str()?;
    let name = name.rsplit('/').next().unwrap_or(name);
    Some(name.to_lowercase().replace(['_', '.'], "-"))
}

/// Complete at once: somebody may be watching the folder.
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    let temporary = to.with_extension("part");
    fs::copy(from, &temporary)?;
    fs::rename(temporary, to)
}

/// What an earlier build left must not be taken for the result of this one.
fn forget(component: &Path) -> anyhow::Result<()> {
    match fs::remove_file(component) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("{} cannot be replaced", component.display()))
        }
        _ => Ok(()),
    }
}

fn succeeded(tool: &str, status: ExitStatus) -> anyhow::Result<()> {
    if !status.success() {
        bail!("`{tool}` failed ({status}); what it said is above");
    }
    Ok(())
}

fn missing_rust(error: &io::Error) -> anyhow::Error {
    missing(error, "cargo", "install Rust from https://rustup.rs")
}

fn missing(error: &io::Error, tool: &str, advice: &str) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::NotFound => anyhow::anyhow!("`{tool}` is not there; {advice}"),
        _ => anyhow::anyhow!("`{tool}` cannot be run: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, anyhow::Result<Project>) {
        let dir = tempfile::tempdir().expect("a folder");
        files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).expect("to write"));
        let project = Project::open(dir.path());
        (dir, project)
    }

    #[test]
    fn a_folder_says_what_it_is() {
        for (file, text, language, name) in [
            ("Cargo.toml", "[package]\nname = \"lead_score\"\n", Language::Rust, "lead-score"),
            ("package.json", r#"{"name":"@acme/lead-score"}"#, Language::Js, "lead-score"),
            ("pyproject.toml", "[project]\nname = \"Lead.Score\"\n", Language::Python, "lead-score"),
        ] {
            let (_dir, project) = project(&[(file, text)]);
            let project = project.expect("a project");
            assert_eq!((project.language, project.name.as_str()), (language, name));
        }
        for (files, want) in [
            (&[][..], "hookwright plugin new"),
            (&[("Cargo.toml", "[workspace]\n")][..], "names no package"),
            (&[("package.json", "{")][..], "cannot be read"),
        ] {
            let error = project(files).1.expect_err("no project").to_string();
            assert!(error.contains(want), "{error}");
        }
    }

    #[test]
    fn tools_that_are_not_there_are_named_with_what_would_mend_it() {
        let (_dir, js) = project(&[("package.json", r#"{"name":"a"}"#)]);
        let error = js.expect("a project").build().expect_err("no tools").to_string();
        assert!(error.contains("npm install"), "{error}");
        let error = missing(&io::ErrorKind::NotFound.into(), "x", "install it").to_string();
        assert_eq!(error, "`x` is not there; install it");
    }
}
