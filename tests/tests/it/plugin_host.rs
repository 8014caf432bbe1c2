//! The plugin host against real components: each bad habit has its name, and none hurts the next call.

use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use hookwright::plugin::{
    Answer, Bundled, Call, Catalog, Engine, Event, Example, Failure, FailureKind, Judgement, Level, Limits,
    Message, Plugin, Run, Source, Verdict, bundled,
};
use hookwright::time::{Clock, SystemClock, Timestamp};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

const HOSTILE: &str = env!("GUEST_HOSTILE");

fn read(path: &str) -> Bytes {
    std::fs::read(path).expect("the guest was built").into()
}

/// On a busy machine a call may hardly run for long: nothing but its own running time ends it here.
fn limits() -> Limits {
    let time_limit = Duration::from_millis(500);
    Limits { time_limit, patience: 1_000, max_concurrent_calls: 8, ..Limits::default() }
}

/// One runtime and one engine for all tests, as in the server: what one test breaks shows in the others.
fn run<T>(test: impl AsyncFnOnce(&Plugin) -> T) -> T {
    static HOST: OnceLock<(Runtime, Plugin)> = OnceLock::new();
    let (runtime, plugin) = HOST.get_or_init(|| {
        let runtime = Runtime::new().expect("a runtime");
        let engine = Engine::new(limits()).expect("an engine");
        let plugin = runtime.block_on(engine.load(read(HOSTILE), None)).expect("the hostile guest");
        (runtime, plugin)
    });
    runtime.block_on(test(plugin))
}

fn message() -> Message {
    Message {
        method: None,
        path_and_query: None,
        content_type: "application/json".into(),
        headers: vec![("x-one".into(), "1".into())],
        body: Bytes::from_static(br#"{"n":12345678901234567890.10}"#),
    }
}

async fn call(plugin: &Plugin, config: &str) -> Run {
    call_with(plugin, config, [1; 32]).await
}

async fn call_with(plugin: &Plugin, config: &str, seed: [u8; 32]) -> Run {
    let event = event();
    let message = &message();
    plugin.transform(Call { event, message, config, seed }).await
}

fn event() -> Event<'static> {
    Event {
        id: "evt_1",
        event_type: "lead.captured",
        tenant: "default",
        timestamp: Timestamp::parse("2026-01-02T03:04:05.5Z").expect("a time"),
        attempted_at: SystemClock.now(),
        attempt: 1,
        channels: &[],
        attributes: &[],
    }
}

async fn failure(plugin: &Plugin, config: &str) -> Failure {
    let run = call(plugin, config).await;
    run.result.expect_err(config)
}

#[test]
fn each_bad_habit_has_its_name_and_does_not_hurt_the_next_call() {
    run(async |plugin| {
        for (config, kind, said) in [
            ("spin", FailureKind::TimeLimit, "time limit of 500 ms"),
            ("wait", FailureKind::TimeLimit, "time limit of 500 ms"),
            ("eat-memory", FailureKind::MemoryLimit, "limit of 67108864 bytes"),
            ("nibble-memory", FailureKind::MemoryLimit, "limit of 67108864 bytes"),
            ("panic", FailureKind::Trap, "panicked at hostile/src/lib.rs:"),
            ("panic", FailureKind::Trap, ": boom at evt_1"),
            ("noisy-panic", FailureKind::Trap, "heard over the noise"),
            ("trap", FailureKind::Trap, "stopped itself without a message"),
            ("exit", FailureKind::Trap, "exit"),
            ("recurse", FailureKind::Trap, "endless recursion"),
            ("forge", FailureKind::BadOutput, "`webhook-signature`, which belongs to the host"),
            ("fail", FailureKind::Error { code: "bad-payload".into() }, "the field `a` is missing"),
        ] {
            let failure = failure(plugin, config).await;
            assert_eq!(failure.kind, kind, "{config}: {failure}");
            assert!(failure.message.contains(said), "{config}: {failure}");
            assert_eq!(call(plugin, "echo").await.result, Ok(Verdict::Replace(message())), "after {config}");
        }
    });
}

/// The message never gets in: the trap is in the code that takes it.
#[test]
fn a_trap_in_the_allocator_is_a_failure_like_any_other() {
    run(async |plugin| {
        let stingy = plugin.engine().load(read(env!("GUEST_STINGY")), None).await.expect("the guest");
        let (event, large) = (event(), Message { body: vec![b'a'; 100_000].into(), ..message() });
        let call = async |message: &Message| {
            stingy.transform(Call { event, message, config: "{}", seed: [1; 32] }).await.result
        };
        let failure = call(&large).await.expect_err("too large for it");
        assert_eq!(failure.kind, FailureKind::Trap, "{failure}");
        assert_eq!(call(&message()).await, Ok(Verdict::Replace(message())));
    });
}

#[test]
fn a_hundred_megabytes_are_not_taken_even_where_they_fit_into_memory() {
    run(async |_| {
        let limits = Limits { memory_limit: 256 << 20, max_concurrent_calls: 2, ..limits() };
        let engine =
            Engine::new(Limits { time_limit: Duration::from_secs(60), ..limits }).expect("an engine");
        let plugin = engine.load(read(HOSTILE), None).await.expect("the guest");
        let failure = failure(&plugin, "large").await;
        assert_eq!(failure.kind, FailureKind::OutputLimit, "{failure}");
    });
}

#[test]
fn verdicts_come_through_and_cannot_steer_a_terminal() {
    run(async |plugin| {
        for (config, want) in [
            ("pass", Verdict::Pass),
            ("echo", Verdict::Replace(message())),
            ("drop", Verdict::Drop("not[2J for you".into())),
            ("reject", Verdict::Reject("never".into())),
            // Time stands still, so a sleep of an hour is over.
            ("sleep", Verdict::Pass),
        ] {
            assert_eq!(call(plugin, config).await.result, Ok(want), "{config}");
        }
    });
}

#[test]
fn no_call_sees_another() {
    run(async |plugin| {
        for _ in 0..3 {
            assert_eq!(call(plugin, "count").await.result, Ok(Verdict::Drop("0".into())));
        }
    });
}

#[test]
fn floods_of_log_lines_are_cut_and_counted() {
    run(async |plugin| {
        let flood = call(plugin, "print-flood").await;
        assert_eq!(flood.result, Ok(Verdict::Pass));
        assert_eq!(flood.log.len(), 101);
        assert_eq!((flood.log[7].level, flood.log[7].text.as_str()), (Level::Info, "line 7"));
        assert_eq!(flood.log[100].text, "900 more lines were not kept");

        let long = call(plugin, "long-line").await;
        assert!(long.log[0].text.len() <= 1_000, "{}", long.log[0].text.len());
        assert!(long.log[0].text.starts_with("ää"));

        // Too many to be through in time: what was kept by then is there all the same.
        assert_eq!(call(plugin, "log-flood").await.log[99].text, "line 99");
    });
}

#[test]
fn a_guest_sees_nothing_and_the_same_each_time() {
    run(async |plugin| {
        let look = async |seed| match call_with(plugin, "look", seed).await.result {
            Ok(Verdict::Replace(message)) => String::from_utf8(message.body.to_vec()).expect("text"),
            other => panic!("{other:?}"),
        };
        let (seen, again, other) = (look([1; 32]).await, look([1; 32]).await, look([2; 32]).await);
        assert_eq!(seen, again);
        for line in [
            "wall clock: Ok(1767323045.5s)",
            "elapsed: 0ns",
            "timestamp: 2026-01-02T03:04:05.5Z",
            "environment: []",
            "arguments: []",
            "read /: refused",
            "read .: refused",
            "write: refused",
            "connect: refused",
            "bind: refused",
            "look up: refused",
            "standard input: Ok(0)",
        ] {
            assert!(seen.lines().any(|seen| seen == line), "no `{line}` in:\n{seen}");
        }
        let line = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).map(str::to_owned);
            line.unwrap_or_else(|| panic!("no {name} in {text}"))
        };
        assert_ne!(line(&seen, "random"), line(&other, "random"));
        assert_ne!(line(&seen, "hash order"), line(&other, "hash order"));
    });
}

#[test]
fn configurations_are_checked_within_the_same_bounds() {
    run(async |plugin| {
        assert_eq!(plugin.check_config("{}").await, Ok(()));
        let errors = plugin.check_config("refuse").await.expect_err("refused");
        assert_eq!(errors.len(), 1);
        assert_eq!(errors[0].pointer, "/fields/0");
        assert_eq!(errors[0].message, "is not[31m a field");
        let errors = plugin.check_config("spin").await.expect_err("refused");
        assert!(errors[0].message.contains("time limit"), "{errors:?}");
    });
}

#[test]
fn more_calls_than_slots_wait_and_a_looping_one_holds_up_nobody() {
    run(async |plugin| {
        let spinning: Vec<_> = (0..4)
            .map(|_| {
                let plugin = plugin.clone();
                tokio::spawn(async move { call(&plugin, "spin").await })
            })
            .collect();
        let echoing: Vec<_> = (0..100)
            .map(|_| {
                let plugin = plugin.clone();
                tokio::spawn(async move { call(&plugin, "echo").await })
            })
            .collect();
        for call in echoing {
            assert!(call.await.expect("no panic").result.is_ok());
        }
        for call in spinning {
            let failure = call.await.expect("no panic").result.expect_err("it loops");
            assert_eq!(failure.kind, FailureKind::TimeLimit);
        }
    });
}

#[test]
fn a_call_says_what_it_used() {
    run(async |plugin| {
        let eaten = call(plugin, "eat-memory").await;
        assert!((32 << 20..=64 << 20).contains(&eaten.memory_peak), "{}", eaten.memory_peak);
        let echoed = call(plugin, "echo").await;
        assert!((1..4 << 20).contains(&echoed.memory_peak), "{}", echoed.memory_peak);
        assert!(echoed.time > Duration::ZERO);
    });
}

/// Every file that is no plugin, and what is said about it.
fn wrong_files() -> Vec<(&'static str, Bytes, &'static str)> {
    let good = read(HOSTILE);
    vec![
        ("empty", Bytes::new(), "the file is empty"),
        ("text", Bytes::from_static(b"hello"), "the file is text"),
        ("wat", Bytes::from_static(b"(component)"), "the file is text"),
        ("garbage", Bytes::from_static(&[0xde, 0xad, 0xbe, 0xef]), "not WebAssembly"),
        ("module", Bytes::from_static(b"\0asm\x01\0\0\0"), "--target wasm32-wasip2"),
        ("component", Bytes::from_static(b"\0asm\x0d\0\x01\0"), "exports nothing"),
        ("invalid", Bytes::from_static(b"\0asm\x0d\0\x01\0\x01\x02\xff\xff"), "not valid"),
        ("truncated", good.slice(..good.len() / 2), "incomplete"),
        ("stranger", read(env!("GUEST_STRANGER")), "it exports other:thing/greeter@1.0.0"),
        ("drifted", read(env!("GUEST_DRIFTED")), "changed copy of the contract"),
        ("future", read(env!("GUEST_FUTURE")), "built for hookwright:plugin 0.2.0"),
        ("mute", read(env!("GUEST_MUTE")), "could not describe itself"),
        ("networked", read(env!("GUEST_NETWORKED")), "wants the network (wasi:http/outgoing-handler"),
        ("other-name", good, "named `other-name` and the plugin calls itself `hostile`"),
    ]
}

#[test]
fn each_wrong_file_is_refused_with_what_to_do() {
    run(async |plugin| {
        let engine = Engine::new(limits()).expect("an engine");
        for (name, bytes, said) in wrong_files() {
            let refusal = engine.load(bytes, Some(name)).await.expect_err(name).to_string();
            assert!(refusal.contains(said), "{name}: {refusal}");
        }
        let small = Engine::new(Limits { file_size_limit: 10, ..limits() }).expect("an engine");
        let refusal = small.load(read(HOSTILE), None).await.expect_err("too large").to_string();
        assert!(refusal.contains("at most 10 are allowed"), "{refusal}");
        assert!(call(plugin, "echo").await.result.is_ok());
    });
}

#[test]
fn a_plugin_that_judges_reads_the_answer() {
    run(async |plugin| {
        let engine = Engine::new(limits()).expect("an engine");
        let judging = engine.load(read(env!("GUEST_JUDGING")), None).await.expect("a plugin");
        assert!(judging.exports_judge());
        for (body, want) in [
            ("ok", Judgement::Delivered),
            ("later", Judgement::Retry(Some(Duration::from_secs(7)))),
            ("gone", Judgement::Disable("gone[2J".into())),
            ("again", Judgement::Retry(None)),
            ("never", Judgement::Fail("the receiver knows no such row".into())),
            ("else", Judgement::ByStatus),
        ] {
            assert_eq!(judge(&judging, body).await.result, Ok(want), "{body}");
        }
        let failure = judge(&judging, "panic").await.result.expect_err("a panic");
        assert!(failure.message.contains("no idea"), "{failure}");

        assert!(!plugin.exports_judge());
        assert_eq!(judge(plugin, "ok").await.result, Ok(Judgement::ByStatus));
    });
}

async fn judge(plugin: &Plugin, body: &str) -> Run<Judgement> {
    let answer = Answer {
        status: 200,
        headers: &[("content-type".into(), "text/plain".into())],
        body: body.as_bytes(),
        config: "{}",
        timestamp: Timestamp::ZERO,
        seed: [0; 32],
    };
    plugin.judge(answer).await
}

#[test]
fn without_address_space_for_a_pool_calls_work_all_the_same() {
    run(async |plugin| {
        assert!(plugin.engine().is_pooled());
        let engine = Engine::new(Limits { max_concurrent_calls: 100_000, ..limits() }).expect("an engine");
        assert!(!engine.is_pooled());
        let plugin = engine.load(read(HOSTILE), None).await.expect("a plugin");
        assert!(call(&plugin, "echo").await.result.is_ok());
        let failure = failure(&plugin, "eat-memory").await;
        assert_eq!(failure.kind, FailureKind::MemoryLimit);
    });
}

#[test]
fn compiled_code_is_kept_and_a_damaged_entry_is_made_again() {
    run(async |_| {
        let dir = tempfile::tempdir().expect("a directory");
        let cache_dir = dir.path().join("compiled");
        let limits = Limits { cache_dir: Some(cache_dir.clone()), ..limits() };
        let entry = || {
            let mut entries = std::fs::read_dir(&cache_dir).expect("the cache");
            entries.next().expect("an entry").expect("readable").path()
        };
        let load = async || {
            let engine = Engine::new(limits.clone()).expect("an engine");
            let plugin = engine.load(read(HOSTILE), None).await.expect("a plugin");
            assert!(call(&plugin, "echo").await.result.is_ok());
        };
        load().await;
        let written = std::fs::read(entry()).expect("an entry");
        load().await;
        let mut damaged = written.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 1;
        std::fs::write(entry(), damaged).expect("to damage it");
        load().await;
        assert_eq!(std::fs::read(entry()).expect("an entry"), written);
    });
}

#[test]
fn the_folder_comes_before_the_bundle_and_a_bad_file_changes_nothing() {
    run(async |plugin| {
        let dir = tempfile::tempdir().expect("a directory");
        let bundle = vec![Bundled { name: "hostile", bytes: read(HOSTILE) }];
        let engine = Engine::new(limits()).expect("an engine");
        let folder = dir.path().join("plugins");
        let catalog = Catalog::open(engine, bundle, Some(folder.clone())).await;
        assert_eq!(catalog.snapshot().get("hostile").expect("bundled").source, Source::Bundled);

        std::fs::create_dir(&folder).expect("the folder");
        let file = folder.join("hostile.wasm");
        put(&file, b"\0asm\x01\0\0\0");
        catalog.rescan().await;
        let refused = catalog.snapshot();
        let entry = refused.get("hostile").expect("still there");
        assert_eq!(entry.source, Source::Bundled);
        assert!(entry.problem.as_ref().expect("why").contains("wasm32-wasip2"));
        assert_eq!(refused.refused().len(), 1);

        // The same component with one more section: another digest.
        let newer = [&read(HOSTILE)[..], b"\0\x02\x01x"].concat();
        put(&file, &newer);
        catalog.rescan().await;
        let dropped = catalog.get("hostile").expect("dropped");
        assert_ne!(dropped.digest(), plugin.digest());
        assert!(call(&dropped, "echo").await.result.is_ok());
        assert!(catalog.snapshot().refused().is_empty());

        put(&file, &newer[..newer.len() / 2]);
        catalog.rescan().await;
        let snapshot = catalog.snapshot();
        let entry = snapshot.get("hostile").expect("the last good one");
        assert_eq!(entry.plugin.digest(), dropped.digest());
        assert!(entry.problem.as_ref().expect("why").contains("incomplete"));

        std::fs::remove_file(&file).expect("to remove it");
        catalog.rescan().await;
        let snapshot = catalog.snapshot();
        assert_eq!(snapshot.get("hostile").expect("bundled again").source, Source::Bundled);
        assert!(snapshot.refused().is_empty());
        assert_eq!(catalog.pinned(dropped.digest()).expect("by digest").digest(), dropped.digest());
    });
}

#[test]
fn a_dropped_file_is_found_without_being_asked_for() {
    run(async |_| {
        let dir = tempfile::tempdir().expect("a directory");
        let engine = Engine::new(limits()).expect("an engine");
        let folder = Some(dir.path().to_owned());
        let catalog = Catalog::open(engine, Vec::new(), folder).await;
        let (stop, stopped) = oneshot::channel::<()>();
        let watch = catalog.watch(async {
            let _ = stopped.await;
        });
        let drop_file = async {
            let changed = catalog.changed();
            put(&dir.path().join("hostile.wasm"), &read(HOSTILE));
            // Sooner than the look that is taken without a hint.
            let changed = tokio::time::timeout(Duration::from_secs(25), changed).await;
            drop(stop);
            changed
        };
        let ((), changed) = tokio::join!(watch, drop_file);
        changed.expect("a change");
        assert!(catalog.get("hostile").is_some());
    });
}

#[test]
fn every_bundled_plugin_loads_and_its_examples_come_true() {
    run(async |_| {
        let engine = Engine::new(limits()).expect("an engine");
        let catalog = Catalog::open(engine, bundled(), None).await;
        assert_eq!(catalog.snapshot().refused(), []);
        for Bundled { name, .. } in bundled() {
            let plugin = catalog.get(name).expect(name);
            for example in &plugin.description().examples {
                check_example(&plugin, example).await;
            }
        }
    });
}

async fn check_example(plugin: &Plugin, example: &Example) {
    let title = format!("{}: {}", plugin.name(), example.title);
    assert_eq!(plugin.check_config(&example.config).await, Ok(()), "{title}");
    let (event, message) = (example.event(), example.message());
    let call = Call { event, message: &message, config: &example.config, seed: [0; 32] };
    assert_eq!(plugin.transform(call).await.result.as_ref(), Ok(&example.expect), "{title}");
}

/// Complete at once, as the documentation asks for.
fn put(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, bytes).expect("to write");
    std::fs::rename(temporary, path).expect("to rename");
}
