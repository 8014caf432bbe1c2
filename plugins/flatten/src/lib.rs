//! `flatten`: nested JSON to flat keys, for targets that think in columns, such as Make.com and Google Sheets.

use std::{borrow::Cow, collections::BTreeSet};

use hookwright_plugin::{json::Value, prelude::*, text};

mod walk;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// What stands between the names of a key.
    #[schemars(length(min = 1, max = 8))]
    pub separator: String,
    /// Stands before every key, as it is.
    #[schemars(length(max = 64))]
    pub prefix: String,
    /// What becomes of lists.
    pub arrays: Arrays,
    /// What stands between the elements of a joined list.
    #[schemars(length(max = 16))]
    pub joiner: String,
    /// How many levels of names a key may have. What lies deeper is written as JSON text. Without it, no limit.
    #[schemars(range(min = 1, max = 128))]
    pub depth: Option<u32>,
    /// Keep these places alone, with all that lies below them. `*` stands for any one name or index.
    #[schemars(length(max = 1000))]
    pub keep: Vec<Path>,
    /// Leave these places out, with all that lies below them. `*` stands for any one name or index.
    #[schemars(length(max = 1000))]
    pub omit: Vec<Path>,
    /// What becomes of empty objects, and of empty lists where lists go by index.
    pub empty: Empty,
    /// What happens where two places come to the same key.
    pub collisions: Collisions,
    /// The most keys that may come out.
    #[schemars(range(min = 1, max = 100_000))]
    pub max_keys: usize,
}

/// What becomes of lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrays {
    /// Each element gets a key with its index, from 0.
    Index,
    /// One text: the elements with the joiner between them.
    Join,
    /// One text: the list as JSON.
    Json,
}

/// What becomes of empty objects and lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Empty {
    /// The key stays, with `null`: a column does not come and go.
    Null,
    /// The key stays, with the text `{}` or `[]`.
    Text,
    /// The key goes.
    Omit,
}

/// What happens where two places come to the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Collisions {
    /// The transform fails and names the key.
    Error,
    /// The second one gets `_2` after its key, the third one `_3`.
    Number,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            separator: ".".to_owned(),
            prefix: String::new(),
            arrays: Arrays::Index,
            joiner: ", ".to_owned(),
            depth: None,
            keep: Vec::new(),
            omit: Vec::new(),
            empty: Empty::Null,
            collisions: Collisions::Error,
            max_keys: 10_000,
        }
    }
}

hookwright_plugin::plugin! {
    summary: "Turns nested JSON into flat keys, for Make.com, Google Sheets and other targets that think in columns.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "An exported document",
            "document.exported",
            r#"{"event":"document.exported","document":{"id":42,"total_amount":12500.00,"custom_fields":{"PO Number":"PO-2026-099"}},"line_items":[{"description":"Office Chair","amount":10000.00}]}"#,
        )
        .becomes(
            r#"{"event":"document.exported","document.id":42,"document.total_amount":12500.00,"document.custom_fields.PO Number":"PO-2026-099","line_items.0.description":"Office Chair","line_items.0.amount":10000.00}"#,
        ),
        Example::new(
            "Some columns, lists as JSON",
            "document.exported",
            r#"{"document":{"id":42,"notes":"","tags":["a","b"]},"line_items":[{"amount":12345678901234567890.10}]}"#,
        )
        .config(r#"{"separator":"_","arrays":"json","omit":["document.notes"]}"#)
        .becomes(
            r#"{"document_id":42,"document_tags":"[\"a\",\"b\"]","line_items":"[{\"amount\":12345678901234567890.10}]"}"#,
        ),
        Example::new("Joined lists", "contact.created", r#"{"name":"Acme","tags":["buyer","china"]}"#)
            .config(r#"{"arrays":"join","prefix":"contact_"}"#)
            .becomes(r#"{"contact_name":"Acme","contact_tags":"buyer, china"}"#),
    ],
}

fn transform(_: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    if !matches!(payload, Value::Object(..) | Value::Array(..)) {
        return Err(Failure::new(
            "not-nested",
            format!("The payload is {}; flatten needs an object or a list.", payload.kind()),
        ));
    }
    let mut cells = walk::cells(&payload, config)?;
    if has_twins(&cells) {
        resolve(&mut cells, config.collisions)?;
    }
    Ok(Verdict::body(message, hookwright_plugin::JSON, write(&cells, message.body.len())))
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    let mut demand = |holds: bool, pointer: &str, message: &str| {
        if !holds {
            errors.push(ConfigError::new(pointer, message));
        }
    };
    let length = |text: &str| text::Unit::Chars.measure(text);
    demand((1..=8).contains(&length(&config.separator)), "/separator", "A separator has 1 to 8 characters.");
    demand(length(&config.prefix) <= 64, "/prefix", "A prefix has at most 64 characters.");
    demand(length(&config.joiner) <= 16, "/joiner", "A joiner has at most 16 characters.");
    demand(config.depth.is_none_or(|depth| (1..=128).contains(&depth)), "/depth", "A depth is 1 to 128.");
    demand((1..=100_000).contains(&config.max_keys), "/max_keys", "The bound on keys is 1 to 100,000.");
    for (member, paths) in [("/keep", &config.keep), ("/omit", &config.omit)] {
        demand(paths.len() <= MAX_PATHS, member, "A list of places has at most 1,000 of them.");
        for (index, path) in paths.iter().enumerate() {
            let inside = path.names().is_some_and(|names| !names.is_empty());
            let pointer = hookwright_plugin::config::join(member, index);
            demand(
                inside,
                &pointer,
                "A place to keep or omit lies in the payload, such as `document.notes`.",
            );
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// One key of the result.
pub(crate) struct Cell<'a> {
    key: String,
    value: Content<'a>,
}

pub(crate) enum Content<'a> {
    /// Written as it was parsed: its digits, its escapes.
    Scalar(&'a Value<'a>),
    Text(Cow<'a, str>),
    Null,
}

const MAX_PATHS: usize = 1_000;

fn has_twins(cells: &[Cell<'_>]) -> bool {
    let mut keys: Vec<&str> = cells.iter().map(|cell| cell.key.as_str()).collect();
    keys.sort_unstable();
    keys.windows(2).any(|pair| pair[0] == pair[1])
}

/// Numbers the second and further cells of a key, past keys that are taken. The first one keeps its key, so
/// that a column stays where it is when a twin appears.
fn resolve(cells: &mut [Cell<'_>], collisions: Collisions) -> Result<()> {
    let mut taken: BTreeSet<String> = cells.iter().map(|cell| cell.key.clone()).collect();
    let mut seen = BTreeSet::new();
    for cell in cells {
        if seen.insert(cell.key.clone()) {
            continue;
        }
        if collisions == Collisions::Error {
            return Err(Failure::new(
                "collision",
                format!(
                    "Two places come to the key {:?}; another separator, `omit`, or `\"collisions\": \"number\"` \
                     tells them apart.",
                    cell.key
                ),
            ));
        }
        cell.key = free_key(&cell.key, &taken);
        taken.insert(cell.key.clone());
    }
    Ok(())
}

/// Ends, since `taken` is finite.
fn free_key(key: &str, taken: &BTreeSet<String>) -> String {
    let mut number = 2_u64;
    loop {
        let numbered = format!("{key}_{number}");
        if !taken.contains(&numbered) {
            return numbered;
        }
        number += 1;
    }
}

fn write(cells: &[Cell<'_>], size: usize) -> String {
    let mut out = String::with_capacity(size + size / 2);
    out.push('{');
    for (index, cell) in cells.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        json::escape(&cell.key, &mut out);
        out.push(':');
        match &cell.value {
            Content::Scalar(value) => value.write(&mut out),
            Content::Text(text) => json::escape(text, &mut out),
            Content::Null => out.push_str("null"),
        }
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test};

    use super::*;

    /// The payload of a document that was exported, as it is documented by its producer.
    const DOCUMENT: &str = include_str!("../tests/document.exported.json");

    fn flat(payload: &str, config: &str) -> String {
        test::body::<Plugin>("document.exported", payload, config)
            .unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn flattens() {
        let table = [
            ("{}", r#"{"a":{"b":{"c":1}},"d":2}"#, r#"{"a.b.c":1,"d":2}"#),
            ("{}", r#"{"a":[1,[2,{"b":3}]]}"#, r#"{"a.0":1,"a.1.0":2,"a.1.1.b":3}"#),
            ("{}", r#"[{"a":1},2]"#, r#"{"0.a":1,"1":2}"#),
            ("{}", "{}", "{}"),
            ("{}", "[]", "{}"),
            ("{}", r#"{"a":null,"b":"","c":false}"#, r#"{"a":null,"b":"","c":false}"#),
            ("{}", r#"{"a":{},"b":[]}"#, r#"{"a":null,"b":null}"#),
            (r#"{"empty":"text"}"#, r#"{"a":{},"b":[]}"#, r#"{"a":"{}","b":"[]"}"#),
            (r#"{"empty":"omit"}"#, r#"{"a":{},"b":[],"c":1}"#, r#"{"c":1}"#),
            (r#"{"separator":"__"}"#, r#"{"a":{"b":1}}"#, r#"{"a__b":1}"#),
            (r#"{"prefix":"x/"}"#, r#"{"a":{"b":1}}"#, r#"{"x/a.b":1}"#),
            (r#"{"depth":1}"#, r#"{"a":{ "b": [1.0] },"c":1}"#, r#"{"a":"{\"b\":[1.0]}","c":1}"#),
            (r#"{"depth":2}"#, r#"{"a":{"b":[1]},"c":[]}"#, r#"{"a.b":"[1]","c":null}"#),
            (
                r#"{"arrays":"join"}"#,
                r#"{"a":[1.0,"x",null,true,{"b": 2}],"c":[]}"#,
                r#"{"a":"1.0, x, , true, {\"b\":2}","c":""}"#,
            ),
            (r#"{"arrays":"join","joiner":"|"}"#, r#"{"a":{"b":["x","y"]}}"#, r#"{"a.b":"x|y"}"#),
            (
                r#"{"arrays":"json"}"#,
                r#"{"a":[ 1, "\u00e9" ],"c":[]}"#,
                r#"{"a":"[1,\"\\u00e9\"]","c":"[]"}"#,
            ),
            (r#"{"arrays":"json"}"#, r#"[{"a":[1]}]"#, r#"{"0.a":"[1]"}"#),
        ];
        for (config, payload, expected) in table {
            assert_eq!(flat(payload, config), expected, "{payload} with {config}");
        }
    }

    #[test]
    fn numbers_and_texts_keep_their_bytes() {
        let payload =
            r#"{"a":{"n":12345678901234567890.10,"o":1.0,"e":1e400,"z":-0,"t":"caf\u00e9\/ é","k\u0022":1}}"#;
        let expected = r#"{"a.n":12345678901234567890.10,"a.o":1.0,"a.e":1e400,"a.z":-0,"a.t":"caf\u00e9\/ é","a.k\"":1}"#;
        assert_eq!(flat(payload, "{}"), expected);
    }

    #[test]
    fn keeps_and_omits() {
        let payload = r#"{"a":{"b":1,"c":2},"l":[{"x":1,"y":2},{"x":3}],"ab":4}"#;
        let table = [
            (r#"{"keep":["a"]}"#, r#"{"a.b":1,"a.c":2}"#),
            (r#"{"keep":["a.c","ab"]}"#, r#"{"a.c":2,"ab":4}"#),
            (r#"{"keep":["l.*.x"]}"#, r#"{"l.0.x":1,"l.1.x":3}"#),
            (r#"{"keep":["/l/1"]}"#, r#"{"l.1.x":3}"#),
            (r#"{"omit":["a","l.0"]}"#, r#"{"l.1.x":3,"ab":4}"#),
            (r#"{"omit":["*.b","l"]}"#, r#"{"a.c":2,"ab":4}"#),
            (r#"{"keep":["a"],"omit":["a.b"]}"#, r#"{"a.c":2}"#),
            (r#"{"keep":["l.0.x"],"arrays":"json"}"#, r#"{"l":"[{\"x\":1,\"y\":2},{\"x\":3}]"}"#),
            (r#"{"keep":["a.b.c"]}"#, "{}"),
        ];
        for (config, expected) in table {
            assert_eq!(flat(payload, config), expected, "{config}");
        }
    }

    #[test]
    fn collisions_are_named_or_numbered() {
        let payload = r#"{"a.b":1,"a":{"b":2},"a.b_2":3,"a.b":4}"#;
        let failure = test::call::<Plugin>("t", payload, "{}").expect_err("two keys");
        assert_eq!(failure.code, "collision");
        assert!(failure.message.contains("\"a.b\""), "{failure}");
        let numbered = flat(payload, r#"{"collisions":"number"}"#);
        assert_eq!(numbered, r#"{"a.b":1,"a.b_3":2,"a.b_2":3,"a.b_4":4}"#);
    }

    #[test]
    fn what_cannot_be_flattened_says_why() {
        let table = [
            ("7", "{}", "The payload is a number; flatten needs an object or a list. (not-nested)"),
            (
                "{",
                "{}",
                "The payload is not JSON: a member's name in quotes is expected at byte 1. (bad-payload)",
            ),
            (
                "[1,2,3]",
                r#"{"max_keys":2}"#,
                "The payload comes to more than 2 keys (`max_keys`). (too-many-keys)",
            ),
        ];
        for (payload, config, expected) in table {
            assert_eq!(flat(payload, config), expected);
        }
    }

    #[test]
    fn a_documented_payload_keeps_every_value() {
        let out = flat(DOCUMENT, r#"{"separator":"_"}"#);
        for part in [
            r#""document_total_amount":12500.00,"#,
            r#""document_custom_fields_PO Number":"PO-2026-099","#,
            r#""document_external_refs_salesforce_record_type":"Account","#,
            r#""line_items_0_tax_rate":13.0,"#,
            r#""line_items_total":10000.00}"#,
        ] {
            assert!(out.contains(part), "{part} is not in {out}");
        }
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"separator":""}"#, "/separator"),
            (r#"{"separator":"123456789"}"#, "/separator"),
            (r#"{"depth":0}"#, "/depth"),
            (r#"{"max_keys":0}"#, "/max_keys"),
            (r#"{"max_keys":-1}"#, "/max_keys"),
            (r#"{"arrays":"first"}"#, "/arrays"),
            (r#"{"keep":["a",""]}"#, "/keep/1"),
            (r#"{"omit":["@type"]}"#, "/omit/0"),
            (r#"{"seperator":"."}"#, "/seperator"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
        let schema: serde_json::Value =
            serde_json::from_str(&test::describe::<Plugin>().config_schema).expect("the schema is JSON");
        assert_eq!(schema["properties"]["separator"]["default"], ".");
    }
}
