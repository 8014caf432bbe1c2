//! `/v1/plugins`.

use serde_json::{Value, json};

use super::operation::Operation;
use super::shape::{
    Named, about, count, id, list, list_of, matching, object, or_null, reference, text, text_of, time, truth,
    words,
};
use super::statistics::{account, plugin_account};
use crate::api::plugins::MEDIA_TYPE;
use crate::api::problem::Kind;
use crate::plugin::Cause;

const GROUP: &str = "Plugins";

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new("list_plugins", GROUP, "The plugins that transforms can name").answers(
            200,
            "All plugins, and the files that are none.",
            reference("Plugins"),
        ),
        Operation::new("show_plugin", GROUP, "One plugin, with the schema of its configuration")
            .of("name", text_of(1, 200))
            .answers(200, "The plugin.", reference("PluginInFull")),
        Operation::new("upload_plugin", GROUP, "Take a version of a plugin up, and activate it")
            .about(
                "The body is the component. Before it becomes active, its own examples have to come to what they say, \
                 and the configuration of every chain that follows the name has to be accepted; else nothing changes, \
                 and `errors` names each chain. Attempts under way keep the version that they began with; the next ones \
                 take the new one, also those of deliveries that wait for a retry.",
            )
            .of("name", name())
            .query("activate", "Whether it becomes the active version. True where it is not said.", truth())
            .query("dry_run", "It is only looked at, as if it were to become active; nothing is kept.", truth())
            .header("Plugin-Signature", "Ed25519 over the body, in base64, where the host asks for it.", signature())
            .takes_any(true, &[(MEDIA_TYPE, json!({"type": "string", "format": "binary", "minLength": 1}))])
            .answers(200, "A version that was known, or only looked at.", reference("PluginTaken"))
            .answers(201, "A new version.", reference("PluginTaken"))
            .problems(&[Kind::Conflict]),
        Operation::new("remove_plugin", GROUP, "Remove all that was uploaded of a plugin")
            .about("What came with the server under this name is active then. Refused while somebody needs what goes.")
            .of("name", name())
            .answers_nothing(204, "It is gone.")
            .problems(&[Kind::Conflict, Kind::Invalid]),
        Operation::new("list_plugin_versions", GROUP, "The versions of a plugin, and which was active when")
            .of("name", text_of(1, 200))
            .answers(200, "The versions and the history.", reference("PluginVersions")),
        Operation::new("remove_plugin_version", GROUP, "Remove one version of a plugin")
            .of("name", name())
            .of("digest", digest())
            .answers_nothing(204, "It is gone.")
            .problems(&[Kind::Conflict]),
        Operation::new("activate_plugin", GROUP, "Make a version of a plugin the active one")
            .about("Checked as an upload is.")
            .of("name", name())
            .takes(object(&[("digest", digest())], &[]))
            .answers(200, "The plugin as it is now.", reference("PluginInFull")),
        Operation::new("roll_back_plugin", GROUP, "Make active what was active before")
            .about(
                "A second roll-back goes further back. A file in the folder is not activated again before its bytes \
                 change.",
            )
            .of("name", name())
            .answers(200, "The plugin as it is now.", reference("PluginInFull"))
            .problems(&[Kind::Conflict, Kind::Invalid]),
        Operation::new("plugin_stats", GROUP, "What a plugin did since the host was started")
            .about("Test events and dry runs are not counted. Times are those of single calls.")
            .of("name", text_of(1, 200))
            .answers(
                200,
                "Its counts, and those for the endpoints with most calls.",
                reference("PluginStats"),
            ),
    ]
}

pub fn name() -> Value {
    json!({"type": "string", "pattern": "^[a-z0-9-]{1,64}$"})
}

pub fn digest() -> Value {
    matching("^[0-9a-f]{64}$")
}

/// 64 bytes in base64.
fn signature() -> Value {
    matching("^[A-Za-z0-9+/]{85}[AQgw]==$")
}

fn causes() -> Value {
    words(Cause::ALL.map(Cause::word))
}

pub fn schemas() -> Vec<Named> {
    let members = [
        ("name", text()),
        ("version", text()),
        ("summary", text()),
        ("digest", matching("^[0-9a-f]{64}$")),
        ("size", count()),
        ("source", words(["bundled", "folder", "upload"])),
        ("file", or_null(text())),
        ("must_run", truth()),
        ("problem", or_null(text())),
        ("active_since", time()),
        ("activated_by", causes()),
        ("versions", about("Versions that can be activated.", count())),
        ("endpoints", about("Endpoints that run it, whoever says their chain.", count())),
        ("calls", about("Since the host was started; null for a tenant.", or_null(count()))),
        ("failures", about("Of the calls; null for a tenant.", or_null(count()))),
        ("time_ms_p99", or_null(json!({"type": "number", "minimum": 0}))),
    ];
    let example = object(
        &[
            ("title", text()),
            ("config", json!({})),
            ("event_type", text()),
            ("input", text()),
            ("verdict", words(["pass", "replace", "drop", "reject"])),
            ("output", or_null(text())),
        ],
        &[],
    );
    let user = object(
        &[
            ("kind", words(["endpoint", "tenant", "host", "version"])),
            ("id", or_null(text())),
            ("name", or_null(text())),
            ("tenant", or_null(text())),
            ("chain_of", about("Who says the chain.", words(["endpoint", "tenant", "host", "version"]))),
            ("pinned", about("The digest; null where the name is followed.", or_null(digest()))),
        ],
        &[],
    );
    let version = object(
        &[
            ("digest", digest()),
            ("version", text()),
            ("size", count()),
            ("source", words(["bundled", "folder", "upload"])),
            ("added_at", time()),
            ("signed", truth()),
            ("active", truth()),
            ("pins", about("Links that pin it.", count())),
        ],
        &[],
    );
    let turn = object(
        &[
            ("digest", about("Null: nothing answered to the name from then on.", or_null(digest()))),
            ("at", time()),
            ("cause", causes()),
        ],
        &[],
    );
    let taken = [
        ("name", name()),
        ("version", text()),
        ("digest", digest()),
        ("size", count()),
        ("new", about("The catalogue did not know this version.", truth())),
        ("activated", about("It became active through this request.", truth())),
    ];
    let more = [
        ("config_schema", json!({})),
        ("examples", list(example)),
        ("users", about("Those whose chains name it, the first ones.", list_of(0, 100, user))),
    ];
    let refused = object(&[("name", text()), ("file", text()), ("reason", text())], &[]);
    let stats = [
        ("plugin", text()),
        ("since", time()),
        ("endpoints", list(plugin_account("endpoint", id("ep_")))),
        ("endpoints_partial", truth()),
    ];
    vec![
        ("PluginStats", object(&[stats.as_slice(), &account()].concat(), &[])),
        ("Plugin", object(&members, &[])),
        ("PluginInFull", object(&[members.as_slice(), &more].concat(), &[])),
        ("PluginTaken", object(&taken, &[])),
        ("PluginVersions", object(&[("items", list(version)), ("history", list(turn))], &[])),
        ("Plugins", object(&[("items", list(reference("Plugin"))), ("refused", list(refused))], &[])),
    ]
}
