//! What an operator does: TLS, private networks, backups, service managers, containers.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use hookwright_tests::harness::{Mailbox, Stage, World, runtime, seed};
use hookwright_tests::process::{KEY, Launch, Process};
use http::Method;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

const BINARY: &str = env!("CARGO_BIN_EXE_hookwright-under-test");
const PATIENCE: Duration = Duration::from_secs(120);

/// A certificate for this machine, in a folder.
struct Certified {
    cert: PathBuf,
    key: PathBuf,
}

impl Certified {
    fn new(folder: &Path) -> Self {
        let certified = Self { cert: folder.join("cert.pem"), key: folder.join("key.pem") };
        certified.renew();
        certified
    }

    fn renew(&self) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let certificate = params.and_then(|params| params.self_signed(&key)).expect("a certificate");
        std::fs::write(&self.cert, pem("CERTIFICATE", certificate.der())).expect("to write");
        std::fs::write(&self.key, pem("PRIVATE KEY", &key.serialize_der())).expect("to write");
    }

    fn arguments(&self) -> [&str; 4] {
        ["--tls-cert", text(&self.cert), "--tls-key", text(&self.key)]
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", data_encoding::BASE64.encode(der))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Runs a command of the product, with nothing of this process's environment.
async fn cli(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(BINARY);
    command.args(arguments).env_clear().envs(environment.iter().copied()).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the command ends");
    ended.expect("no panic").expect("it starts")
}

fn succeeded(output: &Output) -> String {
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[track_caller]
fn failed(output: &Output, expected: &str) {
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(expected), "{expected}: {told}");
}

/// Looks again and again until there is something to see.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(Instant::now() < end, "waited for {PATIENCE:?}, and not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_host_speaks_tls_and_takes_a_new_certificate() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let certified = Certified::new(folder.path());
        let host =
            Launch::new(BINARY, &folder.path().join("data")).with_arguments(certified.arguments()).start();
        let url = format!("https://{}", host.address());
        let list = async |authorities: &str| {
            let environment = [("HOOKWRIGHT_KEY", KEY), ("HOOKWRIGHT_CA_FILE", authorities)];
            cli(&["endpoint", "list", "--json", "--url", &url], &environment).await
        };
        let old = folder.path().join("old.pem");
        std::fs::copy(&certified.cert, &old).expect("to copy");
        succeeded(&list(text(&old)).await);
        failed(&list("").await, "certificate");
        failed(&list("/no/such/file").await, "/no/such/file cannot be read");

        // Whoever asks for a sign of health needs neither key nor trust, as the settings say or by the address.
        let listen = host.address().to_string();
        let settings = [
            ("HOOKWRIGHT_LISTEN", listen.as_str()),
            ("HOOKWRIGHT_TLS_CERT", text(&certified.cert)),
            ("HOOKWRIGHT_TLS_KEY", text(&certified.key)),
        ];
        assert_eq!(succeeded(&cli(&["healthcheck"], &settings).await), "ready\n");
        assert_eq!(succeeded(&cli(&["healthcheck", "--live", "--url", &url], &[]).await), "ok\n");
        failed(&cli(&["healthcheck"], &settings[..1]).await, &format!("http://{listen}"));

        certified.renew();
        until("the new certificate is shown", async || {
            list(text(&certified.cert)).await.status.success().then_some(())
        })
        .await;
        failed(&list(text(&old)).await, "certificate");
    });
}

#[test]
fn a_start_that_cannot_keep_its_promises_is_refused_with_a_sentence() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let certified = Certified::new(folder.path());
        let data = folder.path().join("data");
        let none = folder.path().join("none.pem");
        std::fs::write(&none, "nothing").expect("to write");
        let start = ["serve", "--listen", "127.0.0.1:0", "--data-dir", text(&data)];
        for (more, expected) in [
            (vec!["--tls-cert", text(&certified.cert)], "`tls_key` is missing"),
            (vec!["--tls-key", text(&certified.key)], "`tls_cert` is missing"),
            (vec!["--tls-cert", text(&certified.key), "--tls-key", text(&certified.key)], "no certificate"),
            (vec!["--tls-cert", text(&certified.cert), "--tls-key", "/no/key"], "/no/key cannot be read"),
            (vec!["--ca-file", text(&none)], "holds no certificate"),
            (vec!["--ca-file", "/no/such/file"], "check --ca-file"),
            (vec!["--egress-proxy", "https://user:swordfish@proxy.example"], "does not begin with `http://`"),
        ] {
            let output = cli(&[&start[..], &more].concat(), &[]).await;
            failed(&output, expected);
            assert!(!String::from_utf8_lossy(&output.stderr).contains("swordfish"));
        }
    });
}

#[test]
fn a_health_check_says_what_is_wrong() {
    runtime().block_on(async {
        let free = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("its address");
        let listen = free.to_string();
        failed(&cli(&["healthcheck"], &[("HOOKWRIGHT_LISTEN", &listen)]).await, "nothing listens on");
        failed(&cli(&["healthcheck"], &[("HOOKWRIGHT_LISTEN", "127.0.0.1:0")]).await, "--url");
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", silent.local_addr().expect("its address"));
        failed(&cli(&["healthcheck", "--url", &url, "--timeout", "100ms"], &[]).await, "within 100ms");
    });
    let low = Stage::default().with(|config| config.ingest.disk_floor = hookwright::config::Size(usize::MAX));
    low.play(async |world| {
        let url = format!("http://{}", world.web.address());
        failed(&cli(&["healthcheck", "--url", &url], &[]).await, "disk_floor");
        succeeded(&cli(&["healthcheck", "--live", "--url", &url], &[]).await);
    });
}

/// An HTTP proxy that notes whom it was asked to connect to, and with what credentials, and does it.
async fn proxy() -> (SocketAddr, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let (heads, heard) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let heads = heads.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                let head = String::from_utf8(head).expect("text");
                let target = head.split(' ').nth(1).expect("a target").to_owned();
                let _ = heads.send(head);
                let mut onward = TcpStream::connect(target).await.expect("the receiver");
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.expect("to answer");
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut onward).await;
            });
        }
    });
    (address, heard)
}

async fn post(host: &Process, url: &str) -> Value {
    let api = host.api();
    let endpoint = json!({"name": "e", "url": url, "events": ["*"], "retry": {"attempts": 1}});
    api.expect(Method::POST, "/v1/endpoints", &endpoint.to_string(), 201).await;
    api.expect(Method::POST, "/v1/events", r#"{"type":"a","payload":{"n":1}}"#, 202).await
}

/// The one delivery with its first attempt.
async fn attempt(host: &Process) -> Value {
    let api = host.api();
    let id = until("an attempt", async || {
        let page = api.expect(Method::GET, "/v1/deliveries", "", 200).await;
        let delivery = &page["items"][0];
        (delivery["attempts"] == 1).then(|| delivery["id"].as_str().expect("an id").to_owned())
    })
    .await;
    api.expect(Method::GET, &format!("/v1/deliveries/{id}"), "", 200).await
}

#[test]
fn deliveries_go_through_the_named_proxy_and_no_other() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let mut receiver = Mailbox::open().await;
        let target: SocketAddr = receiver.url("").trim_start_matches("http://").parse().expect("an address");
        let strangers = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let launch = |name: &str| {
            let launch = Launch::new(BINARY, &folder.path().join(name));
            strangers.iter().fold(launch, |launch, variable| launch.with(variable, "http://127.0.0.1:1"))
        };

        let host = launch("straight").start();
        post(&host, &receiver.url("/straight")).await;
        assert_eq!(receiver.next().await.path(), "/straight");
        drop(host);

        let (address, mut heard) = proxy().await;
        let url = format!("http://user:pass@{address}");
        let host = launch("proxied").with("HOOKWRIGHT_EGRESS_PROXY", &url).start();
        post(&host, &format!("http://localhost:{}/proxied", target.port())).await;
        let arrival = receiver.next().await;
        assert_eq!(arrival.path(), "/proxied");
        assert_eq!(arrival.header("host"), Some(format!("localhost:{}", target.port()).as_str()));
        assert_eq!(
            heard.recv().await.expect("a request"),
            format!("CONNECT {target} HTTP/1.1\r\nhost: {target}\r\nproxy-authorization: Basic dXNlcjpwYXNz\r\n\r\n")
        );
        drop(host);

        let host = launch("lost").with_arguments(["--egress-proxy", "http://127.0.0.1:1"]).start();
        post(&host, &receiver.url("/lost")).await;
        let attempt = attempt(&host).await.to_string();
        assert!(attempt.contains(r#""proxy""#) && attempt.contains("the egress proxy cannot be reached"), "{attempt}");
        assert!(receiver.is_empty().await);
    });
}

/// The receiver is another host, which answers everything it does not know with 404.
#[test]
fn private_receivers_are_trusted_by_their_authority() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let certified = Certified::new(folder.path());
        let receiver = Launch::new(BINARY, &folder.path().join("receiver"))
            .with_arguments(certified.arguments())
            .start();
        let url = format!("https://{}/hook", receiver.address());

        let host = Launch::new(BINARY, &folder.path().join("trusting"));
        let host = host.with_arguments(["--ca-file", text(&certified.cert)]).start();
        post(&host, &url).await;
        let seen = attempt(&host).await.to_string();
        assert!(seen.contains("404"), "{seen}");

        let host = Launch::new(BINARY, &folder.path().join("wary")).start();
        post(&host, &url).await;
        let seen = attempt(&host).await.to_string();
        assert!(seen.contains(r#""tls""#) && seen.contains("certificate"), "{seen}");
    });
}

fn saved(world: &World, file: &Path, more: &[&str]) -> impl Future<Output = Output> {
    let url = format!("http://{}", world.web.address());
    let arguments: Vec<String> =
        ["backup", text(file), "--url", &url].iter().chain(more).map(|word| (*word).to_owned()).collect();
    async move {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        cli(&arguments, &[("HOOKWRIGHT_KEY", "hwk_of-the-tests")]).await
    }
}

async fn restored(file: &Path, folder: &Path) -> Output {
    cli(&["restore", text(file), "--data-dir", text(folder)], &[]).await
}

#[test]
fn a_backup_of_a_running_host_becomes_a_host_that_goes_on() {
    Stage::default().in_a_file().play(async |world| {
        let spec = json!({"auth": {"type": "bearer", "token": "the-token"}, "events": ["sent", "held"]});
        let endpoint = world.endpoint(spec).await;
        world.receiver.expect("/", hookwright::signature::SignatureScheme::Standard, &endpoint.secret);
        let sent = world.post("sent", "1").await;
        world.receiver.next().await;
        let before = world.outcome(&sent).await;
        world.web.patch(&endpoint.path(), &json!({"enabled": false})).await.expect(200);
        let mut held = Vec::new();
        for number in 0..20 {
            held.push(world.post("held", &number.to_string()).await);
        }

        let file = world.dir().join("all.backup");
        let told = succeeded(&saved(world, &file, &[]).await);
        assert!(told.contains("sealing.key") && told.contains("not in it"), "{told}");
        failed(&saved(world, &file, &[]).await, "--force");
        let told: Value =
            serde_json::from_str(&succeeded(&saved(world, &file, &["--force", "--json"]).await))
                .expect("JSON");
        assert_eq!(told["bytes"], std::fs::metadata(&file).expect("the file").len());
        assert_eq!(told["sha256"].as_str().map(str::len), Some(64));
        let names = std::fs::read_dir(world.dir()).expect("the folder").flatten();
        assert!(
            !names.into_iter().any(|entry| text(&entry.path()).ends_with(".part")),
            "nothing is left over"
        );
        let late = world.post("held", "20").await;

        let folder = world.dir().join("restored");
        let told = succeeded(&restored(&file, &folder).await);
        let key = world.data_dir().join("sealing.key");
        assert!(told.contains(text(&key)) && told.contains("was not in the backup"), "{told}");
        failed(&restored(&file, &folder).await, "is not empty (it holds hookwright.redb)");

        // Without its key the store stays shut, with it it goes on.
        world.stop().await;
        world.config.host.data_dir = folder.clone();
        let refused = world.try_start().await.expect_err("no key");
        assert!(format!("{refused:#}").contains("there is no key"), "{refused:#}");
        std::fs::copy(&key, folder.join("sealing.key")).expect("to copy the key");
        world.start().await;
        assert_eq!(world.outcome(&sent).await, before);
        world.web.get(&format!("/v1/events/{}", late.id)).await.problem(404);
        world.web.patch(&endpoint.path(), &json!({"enabled": true})).await.expect(200);
        for _ in &held {
            let arrival = world.receiver.next().await;
            assert_eq!((arrival.status, arrival.header("authorization")), (200, Some("Bearer the-token")));
        }
        for posted in &held {
            assert_eq!(world.outcome(posted).await["state"], "delivered");
        }
    });
}

#[test]
fn a_host_goes_on_while_it_is_copied() {
    Stage::default().in_a_file().play(async |world| {
        world.endpoint(json!({})).await;
        let big = format!("\"{}\"", "x".repeat(500_000));
        for _ in 0..16 {
            world.post("a", &big).await;
        }
        world.receiver.take(16).await;
        // A taker who takes the beginning and no more: the copy stands, and the host does not.
        let mut slow = TcpStream::connect(world.web.address()).await.expect("a connection");
        let request = "POST /v1/backup HTTP/1.1\r\nhost: h\r\nauthorization: Bearer hwk_of-the-tests\r\n\r\n";
        slow.write_all(request.as_bytes()).await.expect("to ask");
        let mut head = [0; 15];
        slow.read_exact(&mut head).await.expect("an answer");
        assert_eq!(&head, b"HTTP/1.1 200 OK");
        let posted = world.post("a", "1").await;
        assert_eq!(world.receiver.next().await.body, "1");
        assert_eq!(world.outcome(&posted).await["state"], "delivered");
        world.web.post("/v1/backup", &Value::Null).await.problem(409);
        drop(slow);
        let file = world.dir().join("all.backup");
        world
            .until("the next copy begins", async || {
                saved(world, &file, &["--force"]).await.status.success().then_some(())
            })
            .await;
    });
}

#[test]
fn what_cannot_be_backed_up_or_restored_says_so() {
    Stage::default().in_memory().play(async |world| {
        let file = world.dir().join("all.backup");
        failed(&saved(world, &file, &[]).await, "no backups of its own");
        assert!(!file.exists());
        world.web.without_key().post("/v1/backup", &Value::Null).await.problem(401);
    });
    Stage::default().in_a_file().play(async |world| {
        let (file, folder) = (world.dir().join("all.backup"), world.dir().join("restored"));
        succeeded(&saved(world, &file, &[]).await);
        let mut bytes = std::fs::read(&file).expect("the backup");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, &bytes).expect("to write");
        failed(&restored(&file, &folder).await, "its checksum does not fit");
        std::fs::write(&file, "something").expect("to write");
        failed(&restored(&file, &folder).await, "is no backup of Hookwright");
        failed(&restored(&world.dir().join("none"), &folder).await, "cannot be read");
        assert!(!folder.join("hookwright.redb").exists());
        failed(&restored(&file, &world.data_dir()).await, "is not empty");
        failed(&saved(world, &world.dir().join("no/such/folder/file"), &[]).await, "cannot be written");
    });
}

/// What the service manager would be told, and when, in a thread of its own.
fn listen(path: &Path) -> mpsc::UnboundedReceiver<(Instant, String)> {
    let socket = UnixDatagram::bind(path).expect("a socket");
    let (messages, told) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(length) = socket.recv(&mut buffer) {
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if messages.send((Instant::now(), message)).is_err() {
                return;
            }
        }
    });
    told
}

async fn next(told: &mut mpsc::UnboundedReceiver<(Instant, String)>) -> (Instant, String) {
    tokio::time::timeout(PATIENCE, told.recv()).await.expect("a message").expect("the socket")
}

#[test]
fn the_service_manager_is_told() {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let socket = folder.path().join("notify");
        let mut told = listen(&socket);
        let launch = Launch::new(BINARY, &folder.path().join("data"))
            .with("NOTIFY_SOCKET", text(&socket))
            .with("WATCHDOG_USEC", "4000000");
        let mut host = launch.start();
        let (_, ready) = next(&mut told).await;
        assert!(ready.starts_with("READY=1\n") && ready.contains(&host.address().to_string()), "{ready}");
        let url = format!("http://{}", host.address());
        succeeded(&cli(&["healthcheck", "--url", &url], &[]).await);
        let mut signs = Vec::new();
        for _ in 0..4 {
            let (at, sign) = next(&mut told).await;
            assert_eq!(sign, "WATCHDOG=1\n");
            signs.push(at);
        }
        // Four in each span, where a heart beats eight times; one that is late by itself may be followed soon.
        let took = signs[3] - signs[0];
        assert!(took >= Duration::from_secs(2), "it is told more often than it has to be: within {took:?}");
        host.terminate();
        let stopping = loop {
            match next(&mut told).await {
                (_, sign) if sign == "WATCHDOG=1\n" => {}
                (_, other) => break other,
            }
        };
        assert!(stopping.starts_with("STOPPING=1\n"), "{stopping}");
        assert!(host.ended(PATIENCE).await.expect("its end").expect("in time").success());
    });
}

fn deploy(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../host/deploy").join(name);
    std::fs::read_to_string(path).expect("the file")
}

/// What the image sets and runs, without an engine to build it: the very variables and commands, as another user would
/// have them.
#[test]
fn the_container_file_runs_what_there_is() {
    let file = deploy("Containerfile").replace("\\\n", "");
    let words = |keyword: &str| -> Vec<String> {
        let line = file.lines().rev().find(|line| line.starts_with(keyword)).expect(keyword);
        let list = &line[line.find('[').expect("a list")..];
        serde_json::from_str(list).expect("a list of words")
    };
    let line = file.lines().find(|line| line.starts_with("ENV ")).expect("ENV");
    let environment: BTreeMap<&str, &str> =
        line[4..].split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
    assert_eq!(environment["HOOKWRIGHT_DATA_DIR"], "/data");
    assert!(file.contains("VOLUME /data\n") && file.contains("USER 65532:65532\n"));
    let [serve, check] = [[words("ENTRYPOINT"), words("CMD")].concat(), words("HEALTHCHECK")];
    assert_eq!(serve, ["hookwright", "serve"]);

    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a directory");
        let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("it").port();
        let listen = environment["HOOKWRIGHT_LISTEN"].replace("8420", &port.to_string());
        assert_eq!(listen, format!("0.0.0.0:{port}"));
        let data = folder.path().join("data");
        seed(&data);
        let mut environment: BTreeMap<&str, &str> = environment.clone();
        environment.extend([("HOOKWRIGHT_LISTEN", listen.as_str()), ("HOOKWRIGHT_DATA_DIR", text(&data))]);
        let environment: Vec<_> = environment.into_iter().collect();
        let check: Vec<&str> = check[1..].iter().map(String::as_str).collect();
        failed(&cli(&check, &environment).await, "nothing listens");
        let mut host = Command::new(BINARY);
        host.args(&serve[1..]).env_clear().envs(environment.iter().copied()).stdout(Stdio::null());
        let _host = Killed(host.spawn().expect("it starts"));
        until("it is healthy", async || cli(&check, &environment).await.status.success().then_some(())).await;
    });
}

/// A process that ends with the test.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether each name in a unit means something is for `systemd-analyze`, where there is one.
#[test]
fn the_units_give_what_the_host_takes() {
    for (name, instance) in
        [("hookwright.service", "hookwright.service"), ("hookwright@.service", "hookwright@1.service")]
    {
        let unit = deploy(name);
        let values = |key: &str| -> Vec<&str> {
            unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
        };
        assert_eq!(values("Type"), ["notify"]);
        assert_eq!(values("ExecStart"), ["/usr/local/bin/hookwright serve"]);
        assert_eq!(values("MemoryDenyWriteExecute"), ["no"]);
        let given: Vec<&str> = values("Environment")
            .iter()
            .filter_map(|pair| pair.split_once("=%d/"))
            .map(|(_, name)| name)
            .collect();
        let loaded: Vec<&str> =
            values("LoadCredential").iter().filter_map(|pair| pair.split(':').next()).collect();
        assert_eq!(given, loaded, "what is loaded is what is given");
        assert!(given.contains(&"sealing-key"));
        known_settings(values("Environment").iter().filter_map(|pair| pair.split('=').next()));
        let folder = tempfile::tempdir().expect("a directory");
        let file = folder.path().join(instance);
        std::fs::write(&file, unit.replace("/usr/local/bin/hookwright", BINARY)).expect("to write");
        let Ok(verified) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&file).output()
        else {
            eprintln!("systemd-analyze is not here: the unit's names are not checked");
            return;
        };
        let told = String::from_utf8_lossy(&verified.stderr);
        assert!(verified.status.success() && !told.contains(&format!("{instance}:")), "{told}");
    }
}

fn known_settings<'a>(names: impl Iterator<Item = &'a str>) {
    for name in names {
        assert!(hookwright::config::unknown_variables([name.to_owned()]).is_empty(), "{name} is no setting");
    }
}

/// The names of settings in what operators are given for several servers, and the path that balancers ask for.
#[test]
fn what_several_servers_are_made_with_names_what_there_is() {
    let (compose, balancer) = (deploy("compose.yaml"), deploy("haproxy.cfg"));
    let page = deploy("../SCALING.md");
    for text in [&compose, &page, &deploy("hookwright@.service")] {
        let words = text.split(|c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_'));
        let names: Vec<&str> = words.filter(|word| word.starts_with("HOOKWRIGHT_")).collect();
        assert!(!names.is_empty());
        known_settings(names.into_iter());
    }
    for text in [&compose, &balancer] {
        assert!(text.contains("option httpchk GET /readyz\n"), "{text}");
    }
    assert!(compose.contains("dockerfile: host/deploy/Containerfile\n"));
    for command in ["command: [\"migrate\"]", "command: [\"serve\"]"] {
        assert!(compose.contains(command), "{command}");
    }
    // What the page says of settings by their names in a file.
    let manual = deploy("../config.default.toml");
    for (section, name) in
        [("store", "connections"), ("store", "timeout"), ("server", "drain_timeout"), ("retention", "events")]
    {
        assert!(page.contains(&format!("`{section}.{name}`")), "{section}.{name}");
        let section = manual.split(&format!("\n[{section}]\n")).nth(1).expect("the section");
        assert!(section.split("\n[").next().expect("it").contains(&format!("\n{name} = ")), "{name}");
    }
}
