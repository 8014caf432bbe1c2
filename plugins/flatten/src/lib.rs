//! `flatten`: nested JSON to flat keys, for targets that think in columns, such as Make.com and Google Sheets.

use std::{borrow::Cow, collections::BTreeSet};

use hookwright_plugin::{config::Check, json::Value, prelude::*};

mod columns;
mod walk;

pub use columns::Numbered;

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
    /// The values of one object once more under numbers, `custom_01` to `custom_20`, always all of them. Without it,
    /// none.
    pub numbered: Option<Numbered>,
    /// Keys that are always there, in this order, with `null` where there is nothing: for targets that learn their
    /// structure once.
    #[schemars(length(max = 1000))]
    pub keys: Vec<String>,
    /// What becomes of keys that are not among `keys`, where these are given.
    pub others: Others,
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

/// What becomes of keys that are not among the fixed ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Others {
    /// They follow.
    Append,
    /// They go.
    Omit,
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
            numbered: None,
            keys: Vec::new(),
            others: Others::Append,
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
        Example::new(
            "The same columns every time",
            "document.exported",
            r#"{"document":{"id":42,"custom_fields":{"PO Number":"PO-2026-099","Approved By":"Finance Manager"},"due_date":"2026-04-15"}}"#,
        )
        .config(r#"{"omit":["document.custom_fields"],"numbered":{"count":3},"keys":["document.id","document.vendor_name","document.due_date"]}"#)
        .becomes(
            r#"{"document.id":42,"document.vendor_name":null,"document.due_date":"2026-04-15","custom_01":"PO-2026-099","custom_02":"Finance Manager","custom_03":null}"#,
        ),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
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
    if let Some(numbered) = &config.numbered {
        columns::number(&mut cells, numbered, event, &payload, config)?;
    }
    if !config.keys.is_empty() {
        cells = columns::arrange(cells, config)?;
    }
    Ok(Verdict::body(message, hookwright_plugin::JSON, write(&cells, message.body.len())))
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    check.length("/separator", "A separator", &config.separator, 1..=8);
    check.length("/prefix", "A prefix", &config.prefix, 0..=64);
    check.length("/joiner", "A joiner", &config.joiner, 0..=16);
    let depth = config.depth.is_none_or(|depth| (1..=128).contains(&depth));
    check.demand(depth, "/depth", "A depth is 1 to 128.");
    let max_keys = (1..=100_000).contains(&config.max_keys);
    check.demand(max_keys, "/max_keys", "The bound on keys is 1 to 100,000.");
    for (member, paths) in [("/keep", &config.keep), ("/omit", &config.omit)] {
        check.demand(paths.len() <= MAX_PATHS, member, "A list of places has at most 1,000 of them.");
        for (index, path) in paths.iter().enumerate() {
            let pointer = hookwright_plugin::config::join(member, index);
            let message = "A place to keep or omit lies in the payload, such as `document.notes`.";
            check.demand(is_inside(path), pointer, message);
        }
    }
    check_numbered(config, &mut check);
    check_keys(&config.keys, &mut check);
    check.finish()
}

fn check_numbered(config: &Config, check: &mut Check) {
    let Some(numbered) = &config.numbered else {
        return;
    };
    let message = "The values to be numbered lie in the payload, such as at `document.custom_fields`.";
    check.demand(numbered.path.names().is_some(), "/numbered/path", message);
    check.length("/numbered/prefix", "A prefix", &numbered.prefix, 1..=64);
    let count = (1..=MAX_FIXED).contains(&numbered.count);
    check.demand(count, "/numbered/count", "The number of keys is 1 to 1,000.");
    let width = (1..=4).contains(&numbered.width);
    check.demand(width, "/numbered/width", "The fewest digits of a number are 1 to 4.");
}

fn check_keys(keys: &[String], check: &mut Check) {
    check.demand(keys.len() <= MAX_FIXED, "/keys", "There are at most 1,000 keys.");
    let mut seen = BTreeSet::new();
    for (index, key) in keys.iter().enumerate() {
        let message = format!("The key {key:?} stands in the list already.");
        check.demand(seen.insert(key), hookwright_plugin::config::join("/keys", index), message);
    }
}

fn is_inside(path: &Path) -> bool {
    path.names().is_some_and(|names| !names.is_empty())
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
/// The most keys that are always there.
const MAX_FIXED: usize = 1_000;

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

pub(crate) fn too_many_keys(config: &Config) -> Failure {
    let message = format!("The payload comes to more than {} keys (`max_keys`).", config.max_keys);
    Failure::new("too-many-keys", message)
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
    fn values_are_numbered() {
        let payload = r#"{"d":{"f":{"A":"x","B":1.50,"C":{"k": 1},"D":null,"E":"e"}},"l":[1],"n_2":"own"}"#;
        let table = [
            (r#"{"path":"d.f","count":2}"#, r#""custom_01":"x","custom_02":1.50}"#),
            (
                r#"{"path":"d.f","prefix":"c","count":6,"width":1}"#,
                r#""c1":"x","c2":1.50,"c3":"{\"k\":1}","c4":null,"c5":"e","c6":null}"#,
            ),
            (r#"{"path":"l","prefix":"n_","count":3,"width":1}"#, r#""n_2":"own","n_1":1,"n_3":null}"#),
            (r#"{"path":"none","count":2}"#, r#""custom_01":null,"custom_02":null}"#),
            (r#"{"path":"d.f.A","count":1,"width":4}"#, r#""custom_0001":null}"#),
        ];
        for (numbered, end) in table {
            let out = flat(payload, &format!(r#"{{"numbered":{numbered}}}"#));
            assert!(out.ends_with(end), "{numbered}: {out}");
        }
    }

    #[test]
    fn a_documented_payload_has_all_its_custom_columns() {
        let out = flat(DOCUMENT, r#"{"numbered":{}}"#);
        let all: Vec<String> = (3..=20).map(|n| format!(r#""custom_{n:02}":null"#)).collect();
        let end = format!(r#""custom_01":"PO-2026-099","custom_02":"Finance Manager",{}}}"#, all.join(","));
        assert!(out.ends_with(&end), "{out}");
        let beside = flat(DOCUMENT, r#"{"numbered":{"prefix":"document.custom_"}}"#);
        assert_eq!(beside.matches("\"document.custom_01\"").count(), 1, "{beside}");
        assert!(beside.contains(r#""document.custom_20":null"#), "{beside}");
    }

    #[test]
    fn keys_are_always_there_in_their_order() {
        let keys = r#""keys":["b.c","z","a"]"#;
        let table = [
            (r#"{"a":1,"b":{"c":2,"d":3}}"#, "append", r#"{"b.c":2,"z":null,"a":1,"b.d":3}"#),
            (r#"{"a":1,"b":{"c":2,"d":3}}"#, "omit", r#"{"b.c":2,"z":null,"a":1}"#),
            ("{}", "append", r#"{"b.c":null,"z":null,"a":null}"#),
            ("[]", "omit", r#"{"b.c":null,"z":null,"a":null}"#),
            (r#"{"x":{"y":[]}}"#, "append", r#"{"b.c":null,"z":null,"a":null,"x.y":null}"#),
        ];
        for (payload, others, expected) in table {
            let config = format!(r#"{{{keys},"others":"{others}"}}"#);
            assert_eq!(flat(payload, &config), expected, "{payload} {others}");
        }
        let few = flat(r#"{"q":1}"#, &format!(r#"{{{keys},"max_keys":3}}"#));
        assert!(few.contains("(too-many-keys)"), "{few}");
        let few = flat("{}", r#"{"numbered":{"count":4},"max_keys":3}"#);
        assert!(few.contains("(too-many-keys)"), "{few}");
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
            (r#"{"numbered":{"path":"@type"}}"#, "/numbered/path"),
            (r#"{"numbered":{"prefix":""}}"#, "/numbered/prefix"),
            (r#"{"numbered":{"count":0}}"#, "/numbered/count"),
            (r#"{"numbered":{"count":1001}}"#, "/numbered/count"),
            (r#"{"numbered":{"width":5}}"#, "/numbered/width"),
            (r#"{"keys":["a","b","a"]}"#, "/keys/2"),
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
