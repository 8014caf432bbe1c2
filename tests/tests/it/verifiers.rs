//! What receivers run accepts real deliveries, and nothing else: the official libraries, and checks as the pages of other
//! systems show them.
//!
//! The libraries are installed below the target directory. Where that cannot be, the tests say so and pass, unless
//! `HOOKWRIGHT_REQUIRE_VERIFIERS=1`.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use data_encoding::BASE64;
use hookwright::receiver::Arrival;
use hookwright_tests::harness::play;
use serde_json::{Map, Value, json};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/verifiers");
const INSTALLED: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/verifiers");

/// Bodies that show whether somebody signs or checks anything but the bytes themselves.
const PAYLOADS: [&str; 3] = [
    r#"{"n":12345678901234567890.10,"z":1,"a":[1E+2,-0.0]}"#,
    "{ \"name\" : \"Zo\u{eb} \u{1f469}\u{200d}\u{1f680}\u{2028}\",\n\t\"escaped\": \"\\u00e9\\/\" }",
    r#"[]"#,
];

/// A language's libraries, installed.
pub enum Toolbox {
    Ready(PathBuf),
    /// Why they are not there, and what would mend it.
    Missing(String),
}

#[derive(Clone, Copy)]
pub enum Language {
    Python,
    Node,
}

impl Language {
    fn program(self) -> &'static str {
        match self {
            Language::Python => "python3",
            Language::Node => "node",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Language::Python => "requirements.txt",
            Language::Node => "package.json",
        }
    }

    /// What runs a verifier with the libraries at hand.
    fn command(self, folder: &Path, verifier: &str) -> Command {
        let mut command = match self {
            Language::Python => {
                let mut python = Command::new(folder.join("venv/bin/python"));
                python.arg(Path::new(SCRIPTS).join("verify.py"));
                python
            }
            Language::Node => node(folder, "verify.js"),
        };
        command.arg(verifier);
        command
    }

    /// Installs the libraries, unless these very ones are there. One at a time does it.
    pub fn toolbox(self) -> Toolbox {
        let folder = Path::new(INSTALLED).join(self.program());
        fs::create_dir_all(&folder).expect("a folder below the target directory");
        let lock = File::create(folder.join("lock")).expect("a lock");
        lock.lock().expect("the lock is free at some time");
        let manifest = fs::read_to_string(Path::new(SCRIPTS).join(self.manifest())).expect("a manifest");
        let stamp = folder.join("installed");
        if let Err(problem) = run(Command::new(self.program()).arg("--version")) {
            return Toolbox::Missing(problem);
        }
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == manifest) {
            return Toolbox::Ready(folder);
        }
        match self.install(&folder) {
            Ok(()) => {
                fs::write(stamp, manifest).expect("to note what is installed");
                Toolbox::Ready(folder)
            }
            Err(problem) => Toolbox::Missing(problem),
        }
    }

    fn install(self, folder: &Path) -> Result<(), String> {
        match self {
            Language::Python => {
                let python = folder.join("venv/bin/python");
                run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder.join("venv")))?;
                run(Command::new(python)
                    .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"])
                    .arg(Path::new(SCRIPTS).join(self.manifest())))
            }
            Language::Node => {
                let manifest = Path::new(SCRIPTS).join(self.manifest());
                fs::copy(manifest, folder.join(self.manifest())).map_err(|error| error.to_string())?;
                let options = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--loglevel=error"];
                run(Command::new("npm").args(options).current_dir(folder))
            }
        }
    }
}

/// Runs a command; what it says where it fails is the error.
fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("`{}`", command.get_program().display());
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{shown} cannot be run ({error}); install it"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Err(format!("{shown} failed: {last}"))
}

/// Real deliveries, signed so, and the same with one byte changed, have to be told apart by the verifier.
fn judge(language: Language, verifier: &'static str, scheme: Value) {
    let folder = match language.toolbox() {
        Toolbox::Ready(folder) => folder,
        Toolbox::Missing(problem) => return skip(verifier, language, &problem),
    };
    play(async |world| {
        let endpoint = world.endpoint(json!({ "signature": scheme })).await;
        let mut genuine = Vec::new();
        for payload in PAYLOADS {
            world.post("document.exported", payload).await;
            let arrival = world.receiver.next().await;
            assert_eq!(arrival.body, payload.as_bytes());
            genuine.push(arrival);
        }
        let tampered = genuine.iter().map(|arrival| {
            let mut body = arrival.body.to_vec();
            // Still the same JSON.
            body.push(b' ');
            Arrival { body: body.into(), ..arrival.clone() }
        });
        let requests: Vec<Value> = genuine.iter().cloned().chain(tampered).map(|it| request(&it)).collect();
        let verdicts =
            verdicts(language, &folder, verifier, &json!({"secret": endpoint.secret, "requests": requests}));
        let (accepted, refused) = verdicts.split_at(PAYLOADS.len());
        assert!(accepted.iter().all(Value::is_null), "{verifier} refused a delivery: {accepted:?}");
        assert!(refused.iter().all(Value::is_string), "{verifier} took a changed body: {refused:?}");
        assert_eq!(refused.len(), PAYLOADS.len());
    });
}

/// A receiver written in JavaScript, on a port of its own. It ends when this is dropped.
pub struct Server {
    child: Child,
    pub url: String,
}

impl Server {
    /// Starts `serve.js` as the receiver of that name, with this signing secret.
    pub fn start(folder: &Path, receiver: &str, secret: &str) -> Self {
        let mut child = node(folder, "serve.js")
            .arg(receiver)
            .env("WEBHOOK_SECRET", secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node can be run");
        let mut port = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut port).expect("a port");
        assert!(!port.is_empty(), "{receiver} did not start");
        Self { child, url: format!("http://127.0.0.1:{}/", port.trim()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What runs a script with the libraries at hand.
pub fn node(folder: &Path, script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(Path::new(SCRIPTS).join(script)).env("NODE_PATH", folder.join("node_modules"));
    command
}

fn request(arrival: &Arrival) -> Value {
    let headers = arrival.headers.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    json!({"headers": headers.collect::<Map<_, _>>(), "body": BASE64.encode(&arrival.body)})
}

fn verdicts(language: Language, folder: &Path, verifier: &str, input: &Value) -> Vec<Value> {
    asked(&mut language.command(folder, verifier), input)
}

/// What a script answers to what it is given, both in JSON.
pub fn asked(command: &mut Command, input: &Value) -> Vec<Value> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the script can be run");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.to_string().as_bytes()).expect("the script reads");
    drop(stdin);
    let output = child.wait_with_output().expect("the script ends");
    assert!(output.status.success(), "{command:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).expect("the script answers in JSON")
}

/// Says that a test is skipped, and why; panics where that is not to be.
pub fn skip(verifier: &str, language: Language, problem: &str) {
    let message = format!(
        "skipped: {verifier} in {}: {problem}. To have it, install python3 with venv, node and npm, and let pip and \
         npm reach their registries.",
        language.program()
    );
    println!("{message}");
    let required = std::env::var_os("HOOKWRIGHT_REQUIRE_VERIFIERS").is_some_and(|value| value == "1");
    assert!(!required, "{message}");
}

fn standard() -> Value {
    json!({"scheme": "standard"})
}

#[test]
fn standardwebhooks_for_python_accepts_deliveries() {
    judge(Language::Python, "standardwebhooks", standard());
}

#[test]
fn svix_for_python_accepts_deliveries() {
    judge(Language::Python, "svix", standard());
}

#[test]
fn standardwebhooks_for_node_accepts_deliveries() {
    judge(Language::Node, "standardwebhooks", standard());
}

#[test]
fn svix_for_node_accepts_deliveries() {
    judge(Language::Node, "svix", standard());
}

#[test]
fn a_check_with_the_public_key_accepts_deliveries() {
    judge(Language::Node, "asymmetric", json!({"scheme": "standard-asymmetric"}));
}

#[test]
fn a_check_of_a_prefixed_digest_accepts_deliveries() {
    let scheme = json!({"scheme": "hmac-sha256", "header": "X-RevKeen-Signature", "prefix": "sha256="});
    judge(Language::Node, "revkeen", scheme);
}

#[test]
fn a_check_of_a_plain_digest_accepts_deliveries() {
    let scheme = json!({"scheme": "hmac-sha256", "header": "X-RKT-Signature", "prefix": ""});
    judge(Language::Node, "rkt", scheme);
}
