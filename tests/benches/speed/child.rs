//! The processes that are measured: this program, started again as host or as relay.

use std::env;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;

use crate::machine;

/// The key of every host's API.
pub const KEY: &str = "hwk_for_benchmarks_alone";

/// Under which hosts that share a database seal what is secret.
const SEALING_KEY: &str = "c2VhbGluZyBrZXkgb2YgdGhlIHRlc3RzLCAzMiBieXQ=";

/// Where all hosts keep their data, and the compiled plugins that each begins with.
pub struct Ground {
    dir: TempDir,
}

/// A process that listens. Killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    process: Child,
    _stdout: BufReader<ChildStdout>,
}

impl Ground {
    /// Compiles the bundled plugins once, so that no figure holds the compiler's time and memory.
    pub fn prepare() -> anyhow::Result<Self> {
        // Made by Cargo, on the disk of the target directory; /tmp is often no disk at all.
        let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let ground = Self { dir };
        ground.host("prepare")?.stop()?;
        Ok(ground)
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Starts a host whose data directory has this name; one that was used before is used again.
    pub fn host(&self, name: &str) -> anyhow::Result<Server> {
        self.start(name, again())
    }

    /// As [`Ground::host`], with a database to keep everything in.
    pub fn host_on(&self, name: &str, url: &str) -> anyhow::Result<Server> {
        let mut command = again();
        command.env("HOOKWRIGHT_STORE_URL", url).env("HOOKWRIGHT_SEALING_KEY", SEALING_KEY);
        self.start(name, command)
    }

    fn start(&self, name: &str, mut command: Command) -> anyhow::Result<Server> {
        let data = self.dir.path().join(name);
        let cache = data.join("cache");
        if !cache.exists() {
            copy(&self.dir.path().join("prepare/cache"), &cache)?;
        }
        let log_path = self.dir.path().join(format!("{name}.log"));
        let log = File::options().create(true).append(true).open(&log_path)?;
        command.args(["serve", "--listen", "127.0.0.1:0", "--allow-target", "127.0.0.0/8", "--data-dir"]);
        command.arg(data).env("HOOKWRIGHT_ADMIN_KEY", KEY).stderr(log);
        Server::start(command).with_context(|| {
            let said = fs::read_to_string(&log_path).unwrap_or_default();
            format!("host {name}: {}", said.lines().last().unwrap_or("nothing in its log"))
        })
    }
}

impl Server {
    pub fn relay(target: SocketAddr) -> anyhow::Result<Self> {
        let mut command = again();
        command.args(["relay", &target.to_string()]);
        Self::start(command)
    }

    /// The process says where it listens on its first line.
    fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut stdout = BufReader::new(process.stdout.take().context("the process has no stdout")?);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").and_then(|(_, address)| address.parse().ok());
        let Some(address) = address else {
            let _ = process.kill();
            anyhow::bail!("a process did not start; it said `{}`", line.trim());
        };
        machine::reset_peak(process.id());
        Ok(Self { address, process, _stdout: stdout })
    }

    pub fn cpu_time(&self) -> anyhow::Result<Duration> {
        machine::cpu_time(self.process.id())
    }

    /// In MiB.
    pub fn resident(&self) -> anyhow::Result<f64> {
        machine::memory(self.process.id(), "VmRSS")
    }

    /// In MiB, since it was ready.
    pub fn peak(&self) -> anyhow::Result<f64> {
        machine::memory(self.process.id(), "VmHWM")
    }

    /// Asks it to stop, and waits until it has.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let asked = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status()?;
        anyhow::ensure!(asked.success(), "the host could not be asked to stop");
        let ended = self.process.wait()?;
        anyhow::ensure!(ended.success(), "the host ended with {ended}");
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// This program, with no setting of the host but the defaults.
fn again() -> Command {
    let mut command = Command::new(env::current_exe().unwrap_or_else(|_| PathBuf::from("/proc/self/exe")));
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("HOOKWRIGHT_") {
            command.env_remove(name);
        }
    }
    command
}

/// Copies a folder of files and folders; nothing where there is none.
fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    if !from.exists() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy(&entry.path(), &target)?,
            false => fs::copy(entry.path(), target).map(|_| ())?,
        }
    }
    Ok(())
}
