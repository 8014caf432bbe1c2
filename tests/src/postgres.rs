//! A private PostgreSQL server for the tests, made of the machine's own programs.
//!
//! One serves all tests of a process, each in a schema of its own. It listens on a socket in a temporary folder only, and
//! goes with the process, however that ends.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio_postgres::{Client, NoTls};

/// Set: it is a failure where there are no programs.
pub const REQUIRE: &str = "HOOKWRIGHT_REQUIRE_POSTGRES";

const HOW: &str = "there are no PostgreSQL programs (initdb, postgres) on this machine; on Debian, \
                   `apt-get install postgresql` brings them";

/// The server refuses to run as root; this user is there on every machine.
const NOBODY: u32 = 65_534;

/// Nothing here has to outlast a power cut.
const SETTINGS: &str = "-c fsync=off -c full_page_writes=off -c max_connections=400 \
                        -c shared_buffers=64MB -c listen_addresses= -c autovacuum_naptime=10s \
                        -c max_wal_size=256MB -c deadlock_timeout=200ms";

/// What is measured has to outlast it.
const DURABLE: &str =
    "-c max_connections=200 -c shared_buffers=256MB -c listen_addresses= -c max_wal_size=4GB";
/// Has statements counted.
pub const COUNTING: &str = "-c shared_preload_libraries=pg_stat_statements";

/// Makes the server, says that it is ready, and takes it down once nobody holds the other end of its input.
const SCRIPT: &str = r#"
folder=$1 bin=$2 settings=$3
"$bin/initdb" -D "$folder/data" -U tester -A trust -E UTF8 --locale=C --no-sync >"$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
"$bin/postgres" -D "$folder/data" -k "$folder" $settings >>"$folder/log" 2>&1 &
server=$!
for try in $(seq 300); do
  "$bin/pg_isready" -q -h "$folder" -U tester && break
  kill -0 $server 2>/dev/null || { cat "$folder/log" >&2; exit 1; }
  sleep 0.1
done
echo ready
cat >/dev/null
# It may have been started again meanwhile.
server=$(head -n 1 "$folder/data/postmaster.pid" 2>/dev/null) && kill -INT "$server"
for try in $(seq 100); do kill -0 "$server" 2>/dev/null || break; sleep 0.1; done
rm -rf "$folder" 2>/dev/null
"#;

/// A server of its own. It goes when this is dropped.
pub struct Server {
    folder: PathBuf,
    bin: PathBuf,
    /// Ends with its input.
    keeper: Child,
}

static SERVER: OnceLock<Option<Server>> = OnceLock::new();
static SCHEMAS: AtomicU64 = AtomicU64::new(0);

/// Whether there are programs. Where there are none, it is said that the test is skipped.
pub fn is_there() -> bool {
    server().is_some()
}

/// The address of a database of its own, empty but for its tables.
pub async fn migrated() -> String {
    let url = empty().await;
    let address = hookwright::store::postgres::Address::parse(&url).expect("it is an address");
    hookwright::store::postgres::PostgresStore::migrate(&address).await.expect("the tables are made");
    url
}

/// As [`migrated`], without tables.
pub async fn empty() -> String {
    server().expect("there is a server").schema().await
}

/// A connection to a database.
pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the server answers");
    tokio::spawn(connection);
    client
}

/// The tables of a database, but for the partitions of others.
pub async fn tables(url: &str) -> Vec<String> {
    let server = server().expect("there is a server");
    let schema = url.rsplit("%3D").next().expect("a schema");
    let client = server.connect().await;
    let sql = "SELECT relname FROM pg_class WHERE relnamespace = $1::text::regnamespace AND relkind IN ('r', 'p') \
               AND NOT relispartition ORDER BY relname";
    let rows = client.query(sql, &[&schema]).await.expect("it lists them");
    rows.iter().map(|row| row.get("relname")).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        let _ = self.keeper.wait();
        // Empty by now; where its parent is another's, its owner could not take it away.
        let _ = std::fs::remove_dir(&self.folder);
    }
}

impl Server {
    /// A server that no other test uses. `None` where there are no programs.
    pub fn start() -> Option<Self> {
        is_there().then(|| programs().map(start)).flatten()
    }

    /// A server to measure, on the disk of this folder, that keeps what it says it has kept, with more settings. `None`
    /// where there are no programs.
    pub fn start_durable(within: &Path, more: &str) -> Option<Self> {
        let folder = tempfile::tempdir_in(within).expect("a temporary folder is made").keep();
        programs().map(|bin| start_in(folder, bin, &format!("{DURABLE} {more}")))
    }

    /// The address of an empty database.
    pub async fn schema(&self) -> String {
        let name = format!("test_{}", SCHEMAS.fetch_add(1, Ordering::Relaxed));
        self.execute(&format!("CREATE SCHEMA {name}")).await;
        let host = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://tester@{host}/postgres?options=-c%20search_path%3D{name}")
    }

    /// A connection to it, in no schema of the tests.
    pub async fn connect(&self) -> Client {
        let config = format!("host={} user=tester dbname=postgres", self.folder.display());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the server answers");
        tokio::spawn(connection);
        client
    }

    /// The id of its first process, whose children do the work.
    pub fn process(&self) -> u32 {
        let file = std::fs::read_to_string(self.folder.join("data/postmaster.pid")).expect("it runs");
        file.lines().next().and_then(|line| line.trim().parse().ok()).expect("it begins with the process")
    }

    /// Cuts every connection, whatever its client is in the middle of.
    pub async fn cut_connections(&self) {
        self.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
        )
        .await;
    }

    async fn execute(&self, sql: &str) {
        let config = format!("host={} user=tester dbname=postgres", self.folder.display());
        let (client, connection) = tokio_postgres::connect(&config, NoTls).await.expect("the server answers");
        let driver = tokio::spawn(connection);
        client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
        drop(client);
        driver.await.expect("the connection ends").expect("it ends well");
    }

    /// Ends it at once, as a crash of its machine would but for what is on disk.
    pub fn crash(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    /// Starts it again.
    pub fn resume(&self) {
        let options = format!("-k {} {SETTINGS}", self.folder.display());
        let log = self.folder.join("log");
        self.control(&["start", "-o", &options, "-l", log.to_str().expect("it is text")]);
    }

    /// Has all of its processes stand still: it neither answers nor refuses.
    pub fn freeze(&self) {
        self.signal("-STOP");
    }

    pub fn thaw(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let main = self.process().to_string();
        // First who makes others.
        for (program, words) in [("kill", vec![signal]), ("pkill", vec![signal, "-P"])] {
            let sent = Command::new(program).args(words).arg(&main).status().expect("procps is there");
            assert!(sent.success(), "no signal reached the server");
        }
    }

    fn control(&self, words: &[&str]) {
        let mut control = Command::new(self.bin.join("pg_ctl"));
        control.args(words).args(["-w", "-s", "-D"]).arg(self.folder.join("data"));
        control.stdout(Stdio::null()).stdin(Stdio::null()).current_dir("/");
        as_owner(&mut control, &self.folder);
        assert!(control.status().expect("pg_ctl runs").success(), "pg_ctl {words:?}");
    }
}

fn server() -> Option<&'static Server> {
    let server = SERVER.get_or_init(|| programs().map(start)).as_ref();
    if server.is_none() {
        assert!(std::env::var_os(REQUIRE).is_none(), "{REQUIRE} is set, but {HOW}");
        eprintln!("skipped: {HOW}");
    }
    server
}

fn start(bin: PathBuf) -> Server {
    start_in(tempfile::tempdir().expect("a temporary folder is made").keep(), bin, SETTINGS)
}

fn start_in(folder: PathBuf, bin: PathBuf, settings: &str) -> Server {
    let mut keeper = Command::new("sh");
    keeper.args(["-c", SCRIPT, "keeper"]).arg(&folder).arg(&bin).arg(settings);
    keeper.stdin(Stdio::piped()).stdout(Stdio::piped()).current_dir("/").process_group(0);
    if owner(&folder) == 0 {
        std::os::unix::fs::chown(&folder, Some(NOBODY), Some(NOBODY)).expect("the folder is given away");
    }
    as_owner(&mut keeper, &folder);
    let mut keeper = keeper.spawn().expect("a shell runs");
    let mut line = String::new();
    let output = keeper.stdout.take().expect("it has an output");
    BufReader::new(output).read_line(&mut line).expect("its output is read");
    assert_eq!(line.trim(), "ready", "the PostgreSQL server starts");
    Server { folder, bin, keeper }
}

fn owner(path: &Path) -> u32 {
    path.metadata().expect("the folder is there").uid()
}

fn as_owner(command: &mut Command, folder: &Path) {
    if owner(folder) == NOBODY {
        command.uid(NOBODY).gid(NOBODY);
    }
}

/// Where the programs are, the newest ones first.
fn programs() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort_by_key(|folder| {
        let version = folder.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse().ok());
        std::cmp::Reverse(version.unwrap_or(0_u32))
    });
    let told = Command::new("pg_config").arg("--bindir").output().ok();
    let told = told.filter(|output| output.status.success());
    folders.extend(told.map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())));
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}
