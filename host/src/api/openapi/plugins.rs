//! `/v1/plugins`.

use serde_json::json;

use super::operation::Operation;
use super::shape::{
    Named, count, id, list, matching, object, or_null, reference, text, text_of, time, truth, words,
};
use super::statistics::{account, plugin_account};

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

pub fn schemas() -> Vec<Named> {
    let members = [
        ("name", text()),
        ("version", text()),
        ("summary", text()),
        ("digest", matching("^[0-9a-f]{64}$")),
        ("size", count()),
        ("source", words(["bundled", "folder"])),
        ("file", or_null(text())),
        ("must_run", truth()),
        ("problem", or_null(text())),
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
    let more = [("config_schema", json!({})), ("examples", list(example))];
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
        ("Plugins", object(&[("items", list(reference("Plugin"))), ("refused", list(refused))], &[])),
    ]
}
