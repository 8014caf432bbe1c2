//! The real binary as a process of its own, to be killed.

use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use crate::harness::Answer;

/// The admin key of every host here.
pub const KEY: &str = "hwk_of-the-crash-tests";
/// How long the process may take to start, and a request to be answered.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at whether it has ended.
const PAUSE: Duration = Duration::from_millis(2);

/// How to start the host, again and again on the same data.
pub struct Launch {
    binary: PathBuf,
    data_dir: PathBuf,
    environment: Vec<(String, String)>,
    arguments: Vec<String>,
    /// Most bytes of any file that it writes.
    file_limit: Option<u64>,
}

/// `serve`, running. Killed and reaped when it is dropped.
pub struct Process {
    child: Child,
    address: SocketAddr,
}

impl Launch {
    pub fn new(binary: impl Into<PathBuf>, data_dir: &Path) -> Self {
        Self {
            binary: binary.into(),
            data_dir: data_dir.to_owned(),
            environment: Vec::new(),
            arguments: Vec::new(),
            file_limit: None,
        }
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives `serve` more arguments.
    #[must_use]
    pub fn with_arguments<'a>(mut self, arguments: impl IntoIterator<Item = &'a str>) -> Self {
        self.arguments.extend(arguments.into_iter().map(str::to_owned));
        self
    }

    /// Has the system refuse to let any of its files grow beyond so many KiB, until [`Process::lift_file_limit`].
    #[must_use]
    pub fn with_file_limit(mut self, kib: u64) -> Self {
        self.file_limit = Some(kib);
        self
    }

    /// Starts it and waits until it listens.
    ///
    /// # Panics
    ///
    /// Where it does not.
    pub fn start(&self) -> Process {
        self.try_start().unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// As [`Launch::start`], or says that it does not listen.
    pub fn try_start(&self) -> Result<Process, String> {
        crate::harness::seed(&self.data_dir);
        let mut child = self.command().spawn().expect("the binary starts");
        let address = address(&mut child);
        let mut process = Process { child, address: SocketAddr::from(([0, 0, 0, 0], 0)) };
        match address {
            Some(address) => process.address = address,
            None => return Err(format!("the host does not listen: {:?}", process.child.try_wait())),
        }
        Ok(process)
    }

    fn command(&self) -> Command {
        let mut command = match self.file_limit {
            None => Command::new(&self.binary),
            Some(kib) => {
                // The signal would end the process; ignored, the write fails with an error, as on a full disk.
                let mut shell = Command::new("sh");
                let script = format!("trap '' XFSZ; ulimit -S -f {}; exec \"$0\" \"$@\"", kib * 2);
                shell.arg("-c").arg(script).arg(&self.binary);
                shell
            }
        };
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--allow-target", "127.0.0.0/8", "--data-dir"])
            .arg(&self.data_dir)
            .args(&self.arguments)
            .env("HOOKWRIGHT_ADMIN_KEY", KEY)
            .env("HOOKWRIGHT_LOG_FILTER", "error")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        command
    }
}

/// Reads where it listens off its first line.
fn address(child: &mut Child) -> Option<SocketAddr> {
    let stdout = child.stdout.take()?;
    let (sender, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let line = lines.recv_timeout(PATIENCE).ok()?;
    line.split("://").nth(1)?.trim().parse().ok()
}

impl Process {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn api(&self) -> Api {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Api { client, address: self.address }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`. Returns once the process is gone.
    pub fn kill(mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be reaped");
    }

    /// Sends SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Has it stand still, until [`Process::resume`].
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &pid]).status().expect("kill(1) runs");
        assert!(sent.success(), "no signal reached {pid}");
    }

    /// From now on files may grow.
    pub fn lift_file_limit(&self) {
        let pid = self.child.id().to_string();
        let lifted = Command::new("prlimit").args(["--pid", &pid, "--fsize=unlimited:"]).status();
        assert!(lifted.expect("prlimit(1) runs").success(), "the limit of {pid} stands");
    }

    /// Waits for its end. `None` where it has not come in time.
    pub async fn ended(&mut self, within: Duration) -> io::Result<Option<ExitStatus>> {
        let end = Instant::now() + within;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < end => tokio::time::sleep(PAUSE).await,
                status => return Ok(status),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of a host that may be gone.
#[derive(Clone)]
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
}

impl Api {
    /// `None` where no whole answer came.
    pub async fn send(&self, method: Method, path: &str, body: impl Into<Bytes>) -> Option<Answer> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("authorization", format!("Bearer {KEY}"))
            .body(Full::new(body.into()))
            .expect("a request");
        let exchange = async {
            let (head, body) = self.client.request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status.as_u16(), headers: head.headers, body })
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok()?
    }

    pub async fn post(&self, path: &str, body: &Value) -> Option<Answer> {
        self.send(Method::POST, path, body.to_string()).await
    }

    /// The JSON of an answer that has to come.
    ///
    /// # Panics
    ///
    /// Where it does not, or has another status.
    pub async fn expect(&self, method: Method, path: &str, body: &str, status: u16) -> Value {
        let answer = self.send(method, path, body.to_owned()).await;
        answer.unwrap_or_else(|| panic!("no answer to {path}")).expect(status)
    }
}
