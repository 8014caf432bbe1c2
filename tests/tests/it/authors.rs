//! From `plugin new` to a delivered event, in each language that plugins are written in.
//!
//! The tools of JavaScript and Python are installed below the target directory where `HOOKWRIGHT_REQUIRE_AUTHOR_TOOLS=1`;
//! elsewhere they are used if they are there already, and the tests say that they were skipped if not.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use hookwright_tests::harness::{Stage, World, play};
use serde_json::{Value, json};

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");
/// What is kept from one run to the next: tools, and the SDK's compiled dependencies.
const KEPT: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/authors");
/// Of the plugins that are delivered with. Others have names of their own, since they share a target directory.
const NAME: &str = "lead-score";
/// For a server to compile a plugin: that of Python holds all of CPython, and the compiler here is not optimised.
const COMPILING: Duration = Duration::from_secs(300);

#[derive(Clone, Copy, PartialEq)]
enum Language {
    Rust,
    Js,
    Python,
}

/// A new project, in a folder that has nothing to do with this repository.
struct Project {
    language: Language,
    name: &'static str,
    dir: PathBuf,
    _site: tempfile::TempDir,
}

impl Language {
    fn word(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
        }
    }

    /// The folder that its tools are installed into, as it is called in a project.
    fn tools(self) -> Option<&'static str> {
        match self {
            Self::Rust => None,
            Self::Js => Some("node_modules"),
            Self::Python => Some(".venv"),
        }
    }

    /// Says which tools.
    fn manifest(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Js => "package.json",
            Self::Python => "requirements.txt",
        }
    }

    /// The commands that the project's README gives for installing them.
    fn install(self, project: &Path) -> Result<(), String> {
        match self {
            Self::Rust => Ok(()),
            Self::Js => {
                let options = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
                run(Command::new("npm").args(options).current_dir(project))
            }
            Self::Python => {
                run(Command::new("python3").args(["-m", "venv", ".venv"]).current_dir(project))?;
                let options = ["install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
                run(Command::new(project.join(".venv/bin/pip")).args(options).current_dir(project))
            }
        }
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let shown = command.get_program().display().to_string();
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("`{shown}` cannot be run ({error}); install it"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    output.status.success().then_some(()).ok_or_else(|| format!("`{shown}` failed: {last}"))
}

impl Project {
    /// `None` where the language's tools are not there and nobody insists on them.
    fn new(language: Language, name: &'static str) -> Option<Self> {
        let site = tempfile::tempdir().expect("a folder");
        let dir = site.path().join("mine");
        let path = dir.display().to_string();
        let made = command(&["plugin", "new", name, "--lang", language.word(), "--path", &path], site.path());
        succeeds(made);
        let project = Self { language, name, dir, _site: site };
        match project.tools() {
            Ok(()) => Some(project),
            Err(problem) => {
                skip(language, &problem);
                None
            }
        }
    }

    /// Gives the project the tools that were installed for an earlier one, if it asks for the same.
    fn tools(&self) -> Result<(), String> {
        let Some(tools) = self.language.tools() else { return Ok(()) };
        let kept = Path::new(KEPT).join(self.language.word());
        fs::create_dir_all(&kept).map_err(|error| error.to_string())?;
        let lock = File::create(kept.join("lock")).and_then(|lock| lock.lock().map(|()| lock));
        let _lock = lock.map_err(|error| error.to_string())?;
        let manifest = fs::read_to_string(self.dir.join(self.language.manifest())).expect("a manifest");
        let stamp = kept.join("installed");
        if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == manifest) {
            if !required() {
                return Err("its tools are not installed".to_owned());
            }
            fs::write(kept.join(self.language.manifest()), &manifest).map_err(|error| error.to_string())?;
            self.language.install(&kept)?;
            fs::write(stamp, manifest).map_err(|error| error.to_string())?;
        }
        link(&kept.join(tools), &self.dir.join(tools)).map_err(|error| error.to_string())
    }

    fn command(&self, words: &[&str]) -> Command {
        prepared(words, &self.dir)
    }

    fn hookwright(&self, words: &[&str]) -> Output {
        command(words, &self.dir)
    }

    /// As it is called in the project.
    fn path(&self) -> String {
        format!("./dist/{}.wasm", self.name)
    }

    fn component(&self) -> Vec<u8> {
        fs::read(self.dir.join(self.path())).expect("it was built")
    }
}

#[cfg(unix)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::unix::fs::symlink(from, to)
}

#[cfg(windows)]
fn link(from: &Path, to: &Path) -> std::io::Result<()> {
    std::os::windows::fs::symlink_dir(from, to)
}

/// Runs in `dir`, where nothing is fetched: the versions that a project of Rust asks for are those that built this.
fn prepared(words: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(BINARY);
    command.args(words).current_dir(dir).stdin(Stdio::null());
    command.env("CARGO_TARGET_DIR", Path::new(KEPT).join("target")).env("CARGO_NET_OFFLINE", "true");
    command
}

fn command(words: &[&str], dir: &Path) -> Output {
    prepared(words, dir).output().expect("the binary runs")
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn succeeds(output: Output) -> String {
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).expect("text")
}

fn required() -> bool {
    std::env::var_os("HOOKWRIGHT_REQUIRE_AUTHOR_TOOLS").is_some_and(|value| value == "1")
}

fn skip(language: Language, problem: &str) {
    let message = format!(
        "skipped: plugins in {}: {problem}. To have it, install python3 with venv, node and npm, let pip and npm reach \
         their registries, and set HOOKWRIGHT_REQUIRE_AUTHOR_TOOLS=1.",
        language.word()
    );
    println!("{message}");
    assert!(!required(), "{message}");
}

/// Everything from `new` to the event that arrives.
fn from_new_to_delivered(language: Language) {
    let Some(project) = Project::new(language, NAME) else { return };
    let tested = succeeds(project.hookwright(&["plugin", "test", "--json"]));
    let tested: Value = serde_json::from_str(&tested).expect("JSON");
    let tested = tested.as_array().expect("a list");
    assert_eq!(tested.len(), 5, "two examples and three cases");
    assert!(tested.iter().all(|one| one["passed"] == true), "{tested:#?}");
    Stage::default().in_a_file().play(async |world| {
        world.drop_plugin(NAME, &project.component());
        taken_up(world).await;
        let endpoint = json!({"transforms": [{"plugin": NAME, "config": {"mark": "!"}}]});
        world.endpoint(endpoint).await;
        world.post("case.created", r#"{"title":"Z\u00fcrich"}"#).await;
        assert_eq!(world.receiver.next().await.body, "{\"text\":\"ZÜRICH!\"}");
        let filtered = world.post("case.created", "{}").await;
        assert_eq!(world.outcome(&filtered).await["state"], "filtered");
        // The plugin's own check, asked by the host.
        let long = json!({"transforms": [{"plugin": NAME, "config": {"mark": "!!!!"}}]});
        let problem = world.refused(long).await;
        assert_eq!(problem["errors"][0]["pointer"], "/transforms/0/config/mark", "{problem}");
    });
}

/// Waits until the host has compiled what was dropped.
async fn taken_up(world: &World) {
    let deadline = Instant::now() + COMPILING;
    loop {
        let plugins = world.web.get("/v1/plugins").await.expect(200);
        let items = plugins["items"].as_array().expect("a list");
        if items.iter().any(|plugin| plugin["name"] == NAME) {
            return;
        }
        assert!(Instant::now() < deadline, "the host does not take the plugin up: {plugins:#}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[test]
fn a_new_plugin_in_rust_reaches_a_receiver() {
    from_new_to_delivered(Language::Rust);
}

#[test]
fn a_new_plugin_in_javascript_reaches_a_receiver() {
    from_new_to_delivered(Language::Js);
}

#[test]
fn a_new_plugin_in_python_reaches_a_receiver() {
    from_new_to_delivered(Language::Python);
}

#[test]
fn an_author_sees_what_a_plugin_does_and_what_it_costs() {
    let project = Project::new(Language::Rust, "costs").expect("Rust is there");
    let built: Value =
        serde_json::from_str(&succeeds(project.hookwright(&["plugin", "build", "--json"]))).expect("JSON");
    let component = project.path();
    assert_eq!(built["path"], component);
    assert_eq!(built["size"], project.component().len());

    let inspected = succeeds(project.hookwright(&["plugin", "inspect", &component, "--json"]));
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
    assert_eq!((&inspected["name"], &inspected["digest"]), (&json!("costs"), &built["digest"]));
    assert_eq!((&inspected["world"], &inspected["contract"]), (&json!("plugin"), &json!("0.1.0")));
    assert!(inspected["imports"].to_string().contains("hookwright:plugin/log@0.1.0"), "{inspected}");
    assert!(inspected["call_time_us"].as_u64() > Some(0) && inspected["load_time_us"].as_u64() > Some(0));
    assert_eq!(inspected["config_schema"]["properties"]["mark"]["type"], "string");

    let ran = succeeds(project.hookwright(&[
        "plugin",
        "run",
        &component,
        "--config",
        r#"{"mark":"?"}"#,
        "--input",
        r#"{"title":"a"}"#,
        "--json",
    ]));
    let ran: Value = serde_json::from_str(&ran).expect("JSON");
    assert_eq!(ran["outcome"]["body"], json!({"text": "A?"}));
    assert_eq!(ran["log"], json!([{"level": "info", "text": "the title is a"}]));
    assert!(ran["memory_peak"].as_u64() > Some(0) && ran["time_us"].as_u64() > Some(0), "{ran}");
    let wrong = project.hookwright(&["plugin", "run", &component, "--input", "payload.json"]);
    assert!(!wrong.status.success() && said(&wrong).contains("--input @payload.json"), "{}", said(&wrong));
}

#[test]
fn a_plugin_is_pushed_to_a_server_and_delivers() {
    let project = Project::new(Language::Rust, "pushed").expect("Rust is there");
    play(async |world| {
        let push = || {
            let mut push = project.command(&["plugin", "push", "--json"]);
            push.env("HOOKWRIGHT_URL", format!("http://{}", world.web.address()));
            push.env("HOOKWRIGHT_KEY", "hwk_of-the-tests");
            push
        };
        let (first, again) = (push(), push());
        let pushed: Value = serde_json::from_str(&succeeds(finished(first).await)).expect("JSON");
        assert_eq!((&pushed["name"], &pushed["activated"]), (&json!("pushed"), &json!(true)));
        let known: Value = serde_json::from_str(&succeeds(finished(again).await)).expect("JSON");
        assert_eq!(
            (&known["digest"], &known["new"]),
            (&pushed["digest"], &json!(false)),
            "built to the same bytes"
        );
        world.endpoint(json!({"transforms": [{"plugin": "pushed"}]})).await;
        world.post("case.created", r#"{"title":"a"}"#).await;
        assert_eq!(world.receiver.next().await.body, r#"{"text":"A"}"#);
    });
}

/// Runs a command while the host of this test goes on.
async fn finished(mut command: Command) -> Output {
    let output = tokio::task::spawn_blocking(move || command.output());
    output.await.expect("no panic").expect("the binary runs")
}

#[test]
fn a_case_that_differs_is_shown_and_can_be_taken_for_what_is_expected() {
    let project = Project::new(Language::Rust, "cases").expect("Rust is there");
    let file = project.dir.join("cases/title.json");
    let golden = fs::read_to_string(&file).expect("a case");
    fs::write(&file, golden.replace("MISSING", "LOST")).expect("to write");
    let failed = project.hookwright(&["plugin", "test"]);
    let shown = said(&failed);
    assert!(!failed.status.success(), "{shown}");
    for line in
        ["-     \"text\": \"LOST TAX ID", "+     \"text\": \"MISSING TAX ID", "title.json", "--update"]
    {
        assert!(shown.contains(line), "{line} in {shown}");
    }
    succeeds(project.hookwright(&["plugin", "test", "--update"]));
    assert_eq!(fs::read_to_string(&file).expect("a case"), golden, "the golden output, and nothing else");

    fs::write(&file, r#"{"inptu":{}}"#).expect("to write");
    let wrong = project.hookwright(&["plugin", "test", &project.path()]);
    assert!(!wrong.status.success() && said(&wrong).contains("inptu"), "{}", said(&wrong));
}

#[test]
fn what_stands_in_the_way_of_a_build_is_said_with_what_would_mend_it() {
    let site = tempfile::tempdir().expect("a folder");
    for (language, want) in [("js", "npm install"), ("python", "pip install -r requirements.txt")] {
        let path = site.path().join(language).display().to_string();
        succeeds(command(&["plugin", "new", NAME, "--lang", language, "--path", &path], site.path()));
        let mut build = Command::new(BINARY);
        // Nothing of the machine's own tools is in sight.
        let failed =
            build.args(["plugin", "build", &path]).env("PATH", "").output().expect("the binary runs");
        assert!(!failed.status.success() && said(&failed).contains(want), "{}", said(&failed));
        let again = command(&["plugin", "new", NAME, "--lang", language, "--path", &path], site.path());
        assert!(!again.status.success() && said(&again).contains("nothing was written"), "{}", said(&again));
    }
    let nothing = command(&["plugin", "build"], site.path());
    assert!(said(&nothing).contains("hookwright plugin new"), "{}", said(&nothing));
}
