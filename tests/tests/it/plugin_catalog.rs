//! The catalogue of plugins: versions come, become active, are rolled back and go, and no delivery notices but by what
//! it carries.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hookwright::plugin::{
    Bundled, Catalog, CatalogError, Engine, Limits, Link, PublicKey, Required, Setup, SigningKey, Take,
    Trust, Users,
};
use hookwright::store::memory::MemoryStore;
use hookwright::store::plugins::ComponentDigest;
use hookwright::time::SystemClock;
use hookwright_tests::harness::{
    Answer, PATIENCE, Stage, World, on_each_own_store, on_each_store, play, runtime,
};
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/v1/plugins/changing";

/// A version of the plugin `changing`: `mark TEXT` appends the text to the body, `fail` fails, `lies` has an example
/// that does not come true, `picky` wants the word in its configuration, `must run` must not be passed over, `by number
/// TEXT` goes by the last digit.
pub fn version(shape: &str) -> Bytes {
    const MARK: &[u8] = b"<<shape:";
    const ROOM: usize = 38;
    let mut bytes = std::fs::read(env!("GUEST_CHANGING")).expect("the guest was built");
    let places: Vec<usize> =
        bytes.windows(MARK.len()).enumerate().filter(|(_, seen)| *seen == MARK).map(|(at, _)| at).collect();
    for place in places {
        let room = &mut bytes[place + MARK.len()..][..ROOM];
        // The name of the mark alone stands in the code as well.
        if room.starts_with(b"mark first ") {
            room.copy_from_slice(format!("{shape:<ROOM$}").as_bytes());
        }
    }
    bytes.into()
}

async fn upload_to(world: &World, path: &str, bytes: Bytes, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("content-type", "application/wasm")], headers].concat();
    world.web.send(Method::PUT, path, &headers, bytes).await
}

/// Uploads a version, and answers its digest.
async fn upload(world: &World, shape: &str) -> String {
    let answer = upload_to(world, PATH, version(shape), &[]).await;
    assert!([200, 201].contains(&answer.status), "{}", answer.text());
    text(&answer.json()["digest"])
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

async fn digest(world: &World) -> String {
    text(&world.web.get(PATH).await.expect(200)["digest"])
}

async fn roll_back(world: &World) -> Answer {
    world.web.post(&format!("{PATH}/rollback"), &json!({})).await
}

async fn activate(world: &World, digest: &str) -> Answer {
    world.web.post(&format!("{PATH}/activate"), &json!({"digest": digest})).await
}

/// What is active when, the latest first: digests and causes.
async fn history(world: &World) -> Vec<(Option<String>, String)> {
    let versions = world.web.get(&format!("{PATH}/versions")).await.expect(200);
    let turns = versions["history"].as_array().expect("a list").iter();
    turns.map(|turn| (turn["digest"].as_str().map(str::to_owned), text(&turn["cause"]))).collect()
}

fn follows() -> Value {
    json!([{"plugin": "changing"}])
}

/// What arrives of a payload.
async fn arrives(world: &mut World, payload: &str) -> String {
    world.post("a", payload).await;
    String::from_utf8_lossy(&world.receiver.next().await.body).into_owned()
}

#[test]
fn an_upload_is_used_at_once_and_rolled_back_by_one_call() {
    on_each_store(async |world| {
        world.web.get(PATH).await.problem(404);
        let answer = upload_to(world, PATH, version("mark one"), &[]).await;
        let taken = answer.expect(201);
        assert_eq!((&taken["new"], &taken["activated"]), (&json!(true), &json!(true)));
        let one = text(&taken["digest"]);
        let endpoint = world.endpoint(json!({"transforms": follows()})).await;
        assert_eq!(arrives(world, "1").await, "1|one");

        let two = upload(world, "mark two").await;
        assert_eq!(arrives(world, "2").await, "2|two");
        let plugin = world.web.get(PATH).await.expect(200);
        assert_eq!((&plugin["source"], &plugin["activated_by"]), (&json!("upload"), &json!("upload")));
        assert_eq!((&plugin["versions"], &plugin["endpoints"]), (&json!(2), &json!(1)));
        assert_eq!(plugin["users"][0]["id"], endpoint.id.as_str());

        let back = roll_back(world).await.expect(200);
        assert_eq!((&back["digest"], &back["activated_by"]), (&json!(one), &json!("roll_back")));
        assert_eq!(arrives(world, "3").await, "3|one");
        let nothing = roll_back(world).await.problem(409);
        assert!(nothing["detail"].to_string().contains("nothing to go back to"), "{nothing}");

        // The same bytes again are no new version, and active again.
        let again = upload_to(world, PATH, version("mark two"), &[]).await;
        let again = again.expect(200);
        assert_eq!((&again["new"], &again["activated"]), (&json!(false), &json!(true)));
        let idle = upload_to(world, PATH, version("mark two"), &[]).await.expect(200);
        assert_eq!(idle["activated"], false, "it is active already");
        let (one, two) = (Some(one), Some(two));
        let expected = [(&two, "upload"), (&one, "roll_back"), (&two, "upload"), (&one, "upload")];
        let told = history(world).await;
        assert!(told.iter().map(|(digest, cause)| (digest, cause.as_str())).eq(expected), "{told:?}");
    });
}

#[test]
fn what_was_chosen_outlasts_a_restart_of_host_and_folder() {
    on_each_own_store(async |world| {
        world.drop_plugin("changing", &version("mark folder"));
        world.restart().await;
        let endpoint = world.endpoint(json!({"transforms": follows()})).await;
        assert_eq!(arrives(world, "1").await, "1|folder");
        let folder = digest(world).await;
        let uploaded = upload(world, "mark upload").await;
        let pinned = json!({"transforms": [{"plugin": format!("changing@sha256:{folder}")}]});
        world.web.patch(&endpoint.path(), &pinned).await.expect(200);
        world.restart().await;
        assert_eq!(digest(world).await, uploaded, "the folder's file did not change");
        assert_eq!(arrives(world, "2").await, "2|folder", "it is pinned");

        world.web.patch(&endpoint.path(), &json!({"transforms": follows()})).await.expect(200);
        world.drop_plugin("changing", &version("mark newer"));
        let newer = world
            .until("the changed file is active", async || {
                let active = digest(world).await;
                (active != uploaded).then_some(active)
            })
            .await;
        assert_eq!(arrives(world, "3").await, "3|newer");
        roll_back(world).await.expect(200);
        world.restart().await;
        assert_eq!(digest(world).await, uploaded, "the roll-back stands");
        activate(world, &newer).await.expect(200);

        // What is removed gives way to what was uploaded.
        std::fs::remove_file(world.plugins_dir().join("changing.wasm")).expect("to remove it");
        world.restart().await;
        assert_eq!(digest(world).await, uploaded);
        assert_eq!(history(world).await[0].1, "removal");
        assert_eq!(arrives(world, "4").await, "4|upload");
    });
}

/// Three deliveries wait for their retry behind a version that fails.
#[test]
fn a_broken_version_is_rolled_back_and_what_waits_arrives() {
    play(async |world| {
        upload(world, "mark good").await;
        world.endpoint(json!({"transforms": follows(), "retry": {"schedule": ["1h", "1h"]}})).await;
        let broken = upload(world, "fail").await;
        let mut waiting = Vec::new();
        for number in 0..3 {
            let posted = world.post("a", &number.to_string()).await;
            let id = world.only_delivery(&posted).await;
            let failed = world.attempted(&id, 1).await;
            assert_eq!(failed["attempt_log"][0]["plugins"][0]["digest"], broken.as_str());
            waiting.push(id);
        }
        assert!(world.receiver.is_empty().await);
        let good = text(&roll_back(world).await.expect(200)["digest"]);
        world.clock.advance(Duration::from_secs(3_601));
        let mut bodies = BTreeSet::new();
        for id in &waiting {
            world.web.post(&format!("/v1/deliveries/{id}/retry"), &json!({})).await.expect(200);
            bodies.insert(String::from_utf8_lossy(&world.receiver.next().await.body).into_owned());
        }
        assert_eq!(bodies, ["0|good", "1|good", "2|good"].map(str::to_owned).into());
        for id in &waiting {
            let delivery = world.ended(id).await;
            assert_eq!((&delivery["state"], &delivery["attempts"]), (&json!("delivered"), &json!(2)));
            assert_eq!(delivery["attempt_log"][1]["plugins"][0]["digest"], good.as_str());
        }
    });
}

#[test]
fn a_version_that_somebody_cannot_use_is_refused_with_their_names() {
    play(async |world| {
        let good = upload(world, "mark good").await;
        let fits = json!({"transforms": [{"plugin": "changing", "config": {"mode": "picky"}}]});
        world.endpoint(fits.clone()).await;
        let own = world.endpoint(json!({"transforms": follows()})).await;
        let pinned = json!({"transforms": [{"plugin": format!("changing@sha256:{good}")}]});
        world.endpoint(pinned).await;
        world.web.patch("/v1/tenants/acme", &json!({"transforms": follows()})).await.expect(200);
        let inherits = world.endpoint(json!({"tenant": "acme"})).await;

        let picky = upload_to(world, PATH, version("picky"), &[]).await.problem(422);
        let errors = picky["errors"].as_array().expect("a list");
        let places: BTreeSet<(String, String)> =
            errors.iter().map(|error| (text(&error["of"]), text(&error["pointer"]))).collect();
        let at = "/transforms/0/config/mode".to_owned();
        let expected =
            [format!("endpoint {}", own.id), format!("endpoint {}", inherits.id), "tenant acme".to_owned()];
        assert_eq!(places, expected.map(|of| (of, at.clone())).into(), "{picky:#}");
        assert!(errors[0]["message"] == "it has to be picky", "{picky}");
        assert_eq!(digest(world).await, good);
        assert_eq!(history(world).await.len(), 1, "nothing was kept of it");

        // It can wait among the versions, and is refused there as well.
        let added =
            upload_to(world, &format!("{PATH}?activate=false"), version("picky"), &[]).await.expect(201);
        assert_eq!(added["activated"], false);
        let added = text(&added["digest"]);
        assert_eq!(activate(world, &added).await.problem(422)["errors"].as_array().map(Vec::len), Some(3));
        for endpoint in [&own, &inherits] {
            world.web.patch(&endpoint.path(), &fits).await.expect(200);
        }
        world.web.patch("/v1/tenants/acme", &json!({"transforms": null})).await.expect(200);
        activate(world, &added).await.expect(200);
        let plain = json!({"transforms": [{"plugin": "changing", "config": {}}]});
        world.web.patch(&own.path(), &plain).await.problem(422);
    });
}

#[test]
fn what_does_not_do_as_it_says_is_refused() {
    play(async |world| {
        let lies = upload_to(world, PATH, version("lies"), &[]).await.problem(422);
        let said = lies["errors"][0].to_string();
        for part in ["A number", "1|something else", "1|lies"] {
            assert!(said.contains(part), "{part} in {said}");
        }
        let dry_run = format!("{PATH}?dry_run=true");
        upload_to(world, &dry_run, version("lies"), &[]).await.problem(422);
        let looked_at = upload_to(world, &dry_run, version("mark one"), &[]).await.expect(200);
        assert_eq!((&looked_at["new"], &looked_at["activated"]), (&json!(true), &json!(false)));
        world.web.get(&format!("{PATH}/versions")).await.problem(404);

        upload(world, "mark one").await;
        let passes = json!({"transforms": [{"plugin": "changing", "on_failure": "pass"}]});
        let endpoint = world.endpoint(passes).await;
        let must_run = upload_to(world, PATH, version("must run"), &[]).await.problem(422);
        assert_eq!(must_run["errors"][0]["of"], format!("endpoint {}", endpoint.id));
        assert_eq!(must_run["errors"][0]["pointer"], "/transforms/0/on_failure");

        for (bytes, said) in [
            (Bytes::from_static(b"hello"), "text"),
            (Bytes::new(), "empty"),
            (version("mark two").slice(..1_000), "incomplete"),
        ] {
            let refused = upload_to(world, PATH, bytes, &[]).await.problem(422);
            assert!(refused["detail"].to_string().contains(said), "{refused}");
        }
        let other = upload_to(world, "/v1/plugins/other", version("mark one"), &[]).await.problem(422);
        assert!(other["detail"].to_string().contains("calls itself `changing`"), "{other}");
        let json = world.web.put(PATH, &json!({})).await;
        assert_eq!(json.status, 422);
        let typed = world.web.send(Method::PUT, PATH, &[("content-type", "text/plain")], "x").await;
        assert_eq!(typed.status, 415);
    });
}

#[test]
fn a_file_that_somebody_cannot_use_leaves_the_last_good_one() {
    Stage::default().in_a_file().play(async |world| {
        let good = upload(world, "mark good").await;
        let endpoint = world.endpoint(json!({"transforms": follows()})).await;
        world.drop_plugin("changing", &version("picky"));
        let listed = |plugins: &Value| {
            plugins["items"].as_array().and_then(|items| {
                items
                    .iter()
                    .find(|plugin| plugin["name"] == "changing" && plugin["problem"].is_string())
                    .cloned()
            })
        };
        let refused = world
            .until("the file is refused", async || listed(&world.web.get("/v1/plugins").await.expect(200)))
            .await;
        assert_eq!(refused["digest"], good.as_str());
        let reason = text(&refused["problem"]);
        assert!(reason.contains(&endpoint.id) && reason.contains("it has to be picky"), "{reason}");
        assert_eq!(arrives(world, "1").await, "1|good");

        // Once nobody is in its way it is taken up, though the file did not change.
        world.web.delete(&endpoint.path()).await.expect(204);
        world.restart().await;
        assert_ne!(digest(world).await, good);
    });
}

#[test]
fn nothing_that_is_in_use_is_removed() {
    on_each_store(async |world| {
        let one = upload(world, "mark one").await;
        let two = upload(world, "mark two").await;
        let endpoint = world.endpoint(json!({"transforms": follows()})).await;
        let pin = json!({"transforms": [{"plugin": format!("changing@sha256:{one}")}]});
        let pinned = world.endpoint(pin).await;
        let in_use = world.web.delete(PATH).await.problem(409);
        let users: Vec<&Value> =
            in_use["errors"].as_array().expect("a list").iter().map(|e| &e["of"]).collect();
        assert_eq!(
            users,
            [&json!(format!("endpoint {}", endpoint.id)), &json!(format!("endpoint {}", pinned.id))]
        );

        let path = |digest: &str| format!("{PATH}/versions/{digest}");
        let held = world.web.delete(&path(&one)).await.problem(409);
        assert!(held["detail"].to_string().contains(&pinned.id), "{held}");
        let active = world.web.delete(&path(&two)).await.problem(409);
        assert!(active["detail"].to_string().contains("it is active"), "{active}");
        world.web.delete(&path(&"0".repeat(64))).await.problem(404);

        world.web.delete(&pinned.path()).await.expect(204);
        world.web.delete(&path(&one)).await.expect(204);
        roll_back(world).await.problem(409);
        world.web.delete(&endpoint.path()).await.expect(204);
        world.web.delete(PATH).await.expect(204);
        world.web.get(PATH).await.problem(404);
        world.web.delete(PATH).await.problem(404);
        world.restart().await;
        world.web.get(PATH).await.problem(404);

        // The server's own plugins stay, whatever is put before them.
        let own = world.web.get("/v1/plugins/flatten").await.expect(200);
        let refused = world.web.delete("/v1/plugins/flatten").await.problem(409);
        assert!(refused["detail"].to_string().contains("came with the server"), "{refused}");
        assert_eq!(own["source"], "bundled");
    });
}

#[test]
fn only_what_is_there_can_be_pinned_or_activated() {
    play(async |world| {
        upload(world, "mark one").await;
        let unknown = "0".repeat(64);
        let problem =
            world.refused(json!({"transforms": [{"plugin": format!("changing@sha256:{unknown}")}]})).await;
        assert_eq!(problem["errors"][0]["pointer"], "/transforms/0/plugin");
        activate(world, &unknown).await.problem(404);
        world.web.post("/v1/plugins/nope/rollback", &json!({})).await.problem(404);
        let wrong = world.web.post(&format!("{PATH}/activate"), &json!({"digest": 1})).await.problem(422);
        assert_eq!(wrong["errors"][0]["pointer"], "/digest");
        // A version is a plugin's own.
        let flatten = text(&world.web.get("/v1/plugins/flatten").await.expect(200)["digest"]);
        activate(world, &flatten).await.problem(404);
        world.refused(json!({"transforms": [{"plugin": format!("changing@sha256:{flatten}")}]})).await;
    });
}

#[test]
fn the_oldest_versions_go_and_those_in_use_stay() {
    Stage::default().with(|config| config.plugin.kept_versions = 3).play(async |world: &mut World| {
        let first = upload(world, "mark 0").await;
        world.endpoint(json!({"transforms": [{"plugin": format!("changing@sha256:{first}")}]})).await;
        let mut digests = vec![first.clone()];
        for number in 1..6 {
            digests.push(upload(world, &format!("mark {number}")).await);
        }
        let versions = world.web.get(&format!("{PATH}/versions")).await.expect(200);
        let kept: Vec<String> = versions["items"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|version| text(&version["digest"]))
            .collect();
        assert_eq!(kept, [&digests[5], &digests[4], &digests[0]].map(Clone::clone));
        assert_eq!(versions["items"][2]["pins"], 1);
        world.restart().await;
        assert_eq!(arrives(world, "1").await, "1|0");
        assert_eq!(text(&roll_back(world).await.expect(200)["digest"]), digests[4]);
    });
}

#[test]
fn what_is_not_signed_is_refused_where_signatures_are_required() {
    let key = SigningKey::generate().expect("a key");
    let stranger = SigningKey::generate().expect("a key");
    let public = key.public();
    let required = move |config: &mut hookwright::config::Config| {
        config.plugin.require_signatures = Required::All;
        config.plugin.signature_keys = vec![public];
    };
    Stage::default().in_a_file().with(required).play(async |world: &mut World| {
        let bytes = version("mark one");
        let refused = upload_to(world, PATH, bytes.clone(), &[]).await.problem(422);
        assert!(refused["detail"].to_string().contains("hookwright plugin sign"), "{refused}");
        for wrong in [stranger.sign(&bytes), key.sign(b"other"), "AAAA".to_owned()] {
            upload_to(world, PATH, bytes.clone(), &[("plugin-signature", &wrong)]).await.problem(422);
        }
        let good = key.sign(&bytes);
        let taken = upload_to(world, PATH, bytes.clone(), &[("plugin-signature", &good)]).await.expect(201);
        let versions = world.web.get(&format!("{PATH}/versions")).await.expect(200);
        assert_eq!(versions["items"][0]["signed"], true);

        // A file alone is refused; with its signature beside it, it is taken.
        let newer = version("mark newer");
        world.drop_plugin("changing", &newer);
        world
            .until("the file is refused", async || {
                let plugin = world.web.get(PATH).await.expect(200);
                plugin["problem"].as_str().is_some_and(|problem| problem.contains("not signed")).then_some(())
            })
            .await;
        assert_eq!(digest(world).await, text(&taken["digest"]));
        put(&world.plugins_dir().join("changing.wasm.sig"), key.sign(&newer).as_bytes());
        world
            .until("the signed file is active", async || {
                (digest(world).await != text(&taken["digest"])).then_some(())
            })
            .await;
        world.restart().await;
        assert_eq!(world.web.get(PATH).await.expect(200)["problem"], Value::Null);

        // A key that is not trusted any more opens nothing, whatever is in the store.
        world.config.plugin.signature_keys = vec![stranger.public()];
        world.restart().await;
        world.web.get(PATH).await.problem(404);
        let plugins = world.web.get("/v1/plugins").await.expect(200);
        let reasons = plugins["refused"].to_string();
        assert!(reasons.contains("plugin.signature_keys"), "{reasons}");
        world.config.plugin.signature_keys = vec![key.public()];
        world.restart().await;
        world.web.get(PATH).await.expect(200);
    });
}

/// Complete at once.
fn put(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("part");
    std::fs::write(&temporary, bytes).expect("to write");
    std::fs::rename(temporary, path).expect("to rename");
}

/// Pins one version, and runs nothing else.
struct Pinning(String);

impl Users for Pinning {
    fn links(&self, _: &str) -> Vec<Link> {
        Vec::new()
    }

    fn pinned(&self) -> BTreeSet<String> {
        [self.0.clone()].into()
    }

    fn version(&self) -> u64 {
        0
    }
}

/// Nobody, until it was looked once: then somebody whose configuration suits no picky version.
#[derive(Default)]
struct Latecomer(AtomicU64);

impl Users for Latecomer {
    fn links(&self, _: &str) -> Vec<Link> {
        let came = self.0.fetch_add(1, Ordering::SeqCst) > 0;
        let link = Link {
            user: "endpoint ep_late".into(),
            at: "/transforms/0".into(),
            pin: None,
            config: hookwright::secret::Secret::new("{}"),
            passes_failures: false,
        };
        if came { vec![link] } else { Vec::new() }
    }

    fn pinned(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn version(&self) -> u64 {
        self.0.load(Ordering::SeqCst).min(1)
    }
}

#[test]
fn who_comes_while_a_version_is_checked_is_asked_as_well() {
    runtime().block_on(async {
        let setup = Setup {
            engine: Engine::new(Limits::default()).expect("an engine"),
            folder: None,
            store: Arc::new(MemoryStore::new()),
            users: Arc::new(Latecomer::default()),
            trust: Trust::default(),
            clock: Arc::new(SystemClock),
            kept_versions: 20,
        };
        let catalog = Arc::new(Catalog::set_up(setup, Vec::new()).await.expect("a catalogue"));
        let taken = catalog.upload("changing".into(), version("picky"), None, Take::Activate).await;
        let Err(CatalogError::Objected(objections)) = taken else { panic!("{taken:?}") };
        assert_eq!(objections[0].of, "endpoint ep_late");
        assert!(catalog.get("changing").is_none());
    });
}

#[test]
fn a_pinned_version_outlasts_the_server_that_brought_it() {
    runtime().block_on(async {
        let store = Arc::new(MemoryStore::new());
        let (old, new) = (version("mark old"), version("mark new"));
        let pinned = ComponentDigest::of(&old).to_string();
        let start = async |own: &Bytes| {
            let limits = Limits { max_concurrent_calls: 4, ..Limits::default() };
            let setup = Setup {
                engine: Engine::new(limits).expect("an engine"),
                folder: None,
                store: store.clone(),
                users: Arc::new(Pinning(pinned.clone())),
                trust: Trust::default(),
                clock: Arc::new(SystemClock),
                kept_versions: 2,
            };
            let bundle = vec![Bundled { name: "changing", bytes: own.clone() }];
            Catalog::set_up(setup, bundle).await.expect("a catalogue")
        };
        let catalog = start(&old).await;
        assert_eq!(catalog.get("changing").expect("bundled").digest(), pinned);
        catalog.rescan().await;
        let catalog = start(&new).await;
        assert_ne!(catalog.get("changing").expect("bundled").digest(), pinned, "the new one is followed");
        assert_eq!(catalog.pinned(&pinned).expect("kept").digest(), pinned);
        let snapshot = catalog.snapshot();
        assert_eq!(snapshot.record("changing").expect("a record").before(), Some(pinned.as_str()));
    });
}

/// Runs the program, and answers what it said.
async fn cli(world: &World, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookwright-under-test"));
    let url = format!("http://{}", world.web.address());
    command.args(arguments).env_clear().env("HOOKWRIGHT_URL", url).env("HOOKWRIGHT_KEY", "hwk_of-the-tests");
    command.current_dir(world.dir()).stdin(Stdio::null());
    let ended = tokio::task::spawn_blocking(move || command.output());
    let ended = tokio::time::timeout(PATIENCE, ended).await.expect("the command ends");
    let ended = ended.expect("no panic").expect("it starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    if ended.status.success() { Ok(said(&ended.stdout)) } else { Err(said(&ended.stderr)) }
}

#[test]
fn the_command_line_shows_and_chooses_versions() {
    play(async |world| {
        let (one, two) = (upload(world, "mark one").await, upload(world, "mark two").await);
        let endpoint = world.endpoint(json!({"transforms": follows()})).await;
        let listed = cli(world, &["plugin", "list"]).await.expect("a list");
        assert!(
            listed.lines().any(|line| line.contains("changing") && line.contains(&two[..12])),
            "{listed}"
        );
        let shown = cli(world, &["plugin", "show", "changing"]).await.expect("a plugin");
        assert!(shown.contains(&two) && shown.contains(&endpoint.id), "{shown}");
        let back = cli(world, &["plugin", "rollback", "changing"]).await.expect("a roll-back");
        assert!(back.contains(&one[..12]), "{back}");
        let versions = cli(world, &["plugin", "versions", "changing"]).await.expect("versions");
        assert!(versions.contains("roll-back") && versions.contains(&one[..12]), "{versions}");
        cli(world, &["plugin", "activate", "changing", &two[..6]]).await.expect("an activation");
        assert_eq!(digest(world).await, two);
        let json = cli(world, &["plugin", "versions", "changing", "--json"]).await.expect("JSON");
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["items"].as_array().map(Vec::len), Some(2));

        cli(world, &["plugin", "remove", "changing", "--digest", &one, "--yes"]).await.expect("a removal");
        let in_use = cli(world, &["plugin", "remove", "changing", "--yes"]).await.expect_err("it is in use");
        assert!(in_use.contains(&endpoint.id), "{in_use}");
        world.web.delete(&endpoint.path()).await.expect(204);
        cli(world, &["plugin", "remove", "changing", "--yes"]).await.expect("a removal");
        let gone = cli(world, &["plugin", "show", "changing"]).await.expect_err("it is gone");
        assert!(gone.contains("no plugin"), "{gone}");
    });
}

#[test]
fn the_command_line_makes_keys_and_signs() {
    play(async |world| {
        let made =
            cli(world, &["plugin", "keygen", "--signing-key", "key.pem", "--json"]).await.expect("a key");
        let made: Value = serde_json::from_str(&made).expect("JSON");
        let again = cli(world, &["plugin", "keygen", "--signing-key", "key.pem"]).await;
        assert!(again.expect_err("it is there").contains("cannot be made"));
        put(&world.dir().join("changing.wasm"), &version("mark one"));
        let sign = ["plugin", "sign", "--signing-key", "key.pem", "changing.wasm"];
        cli(world, &sign).await.expect("a signature");
        let wrong = ["plugin", "sign", "--signing-key", "changing.wasm.sig", "changing.wasm"];
        assert!(cli(world, &wrong).await.expect_err("no key").contains("plugin keygen"));

        world.config.plugin.require_signatures = Required::Upload;
        world.config.plugin.signature_keys =
            vec![PublicKey::parse(made["public_key"].as_str().expect("a text")).expect("a key")];
        world.restart().await;
        upload_to(world, PATH, version("mark one"), &[]).await.problem(422);
        let signature = std::fs::read_to_string(world.dir().join("changing.wasm.sig")).expect("a signature");
        let headers = [("plugin-signature", signature.trim())];
        upload_to(world, PATH, version("mark one"), &headers).await.expect(201);
    });
}

#[test]
fn a_backup_carries_the_versions_and_their_history() {
    Stage::default().in_a_file().play(async |world| {
        upload(world, "mark one").await;
        upload(world, "mark two").await;
        world.endpoint(json!({"transforms": follows()})).await;
        roll_back(world).await.expect(200);
        let before = history(world).await;
        let (file, folder) = (world.dir().join("all.backup"), world.dir().join("restored"));
        let text_of = |path: &Path| path.to_str().expect("text").to_owned();
        cli(world, &["backup", &text_of(&file)]).await.expect("a backup");
        cli(world, &["restore", &text_of(&file), "--data-dir", &text_of(&folder)]).await.expect("a store");
        world.stop().await;
        let key = "sealing.key";
        std::fs::copy(world.data_dir().join(key), folder.join(key)).expect("to copy the key");
        world.config.host.data_dir = folder;
        world.config.host.plugins_dir = None;
        world.start().await;
        assert_eq!(history(world).await, before);
        assert_eq!(arrives(world, "1").await, "1|one");
        activate(world, before[1].0.as_deref().expect("a digest")).await.expect(200);
        assert_eq!(arrives(world, "2").await, "2|two");
    });
}

/// Each attempt is shaped by one version from beginning to end, and none fails because another becomes active.
#[test]
fn a_thousand_activations_disturb_no_attempt() {
    const ACTIVATIONS: usize = 1_000;
    const AT_ONCE: usize = 8;
    play(async |world| {
        let digests = [upload(world, "mark one").await, upload(world, "mark two").await];
        // Two links, so that a chain that took two versions would show.
        let twice = json!([{"plugin": "changing"}, {"plugin": "changing"}]);
        world.endpoint(json!({"transforms": twice})).await;
        let swapping = {
            let web = world.web.clone();
            async move {
                for number in 0..ACTIVATIONS {
                    let body = json!({"digest": digests[number % 2]});
                    web.post(&format!("{PATH}/activate"), &body).await.expect(200);
                }
            }
        };
        let mut posted = 0;
        let mut swapping = std::pin::pin!(swapping);
        let mut done = false;
        let mut shapes = BTreeSet::new();
        while !done {
            for _ in 0..AT_ONCE {
                world.post("a", "1").await;
                posted += 1;
            }
            for _ in 0..AT_ONCE {
                let arrival = tokio::select! {
                    arrival = world.receiver.next() => arrival,
                    () = &mut swapping, if !done => {
                        done = true;
                        world.receiver.next().await
                    }
                };
                shapes.insert(String::from_utf8_lossy(&arrival.body).into_owned());
            }
        }
        assert!(posted >= AT_ONCE * 2, "{posted}");
        assert_eq!(shapes, ["1|one|one", "1|two|two"].map(str::to_owned).into());
        for delivery in world.deliveries("limit=500").await {
            let delivery = world.ended(&text(&delivery["id"])).await;
            assert_eq!(
                (&delivery["state"], &delivery["attempts"]),
                (&json!("delivered"), &json!(1)),
                "{delivery}"
            );
        }
    });
}
