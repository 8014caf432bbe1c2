//! `/v1/plugins`.

use serde_json::json;

use super::operation::Operation;
use super::shape::{Named, count, list, matching, object, or_null, reference, text, text_of, truth, words};

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
    vec![
        ("Plugin", object(&members, &[])),
        ("PluginInFull", object(&[members.as_slice(), &more].concat(), &[])),
        ("Plugins", object(&[("items", list(reference("Plugin"))), ("refused", list(refused))], &[])),
    ]
}
