//! JSON in the form of ECMAScript is what an engine for ECMAScript writes.

use data_encoding::BASE64;
use hookwright::ecmascript::{Unchanged, stringify};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use crate::verifiers::{Language, Toolbox, asked, node, skip};

const DOCUMENTS: usize = 4_000;

/// JSON as nobody would write it, and what a slip of the hand makes of it.
fn document() -> impl Strategy<Value = String> {
    let slip = (any::<prop::sample::Index>(), prop_oneof![Just(None), any::<char>().prop_map(Some)]);
    (json(), prop::option::weighted(0.25, slip)).prop_map(|(text, slip)| match slip {
        None => text,
        Some((place, instead)) => {
            let mut chars: Vec<char> = text.chars().collect();
            let place = place.index(chars.len());
            chars.splice(place..=place, instead);
            chars.into_iter().collect()
        }
    })
}

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![number(), text(), "true|false|null"];
    let nested = leaf.prop_recursive(5, 48, 6, |inner| {
        let spaced = |item: BoxedStrategy<String>| {
            (space(), item, space()).prop_map(|(before, item, behind)| before + &item + &behind)
        };
        let member = (name(), space(), inner.clone())
            .prop_map(|(name, space, value)| format!("{name}{space}:{value}"));
        prop_oneof![
            vec(spaced(inner.boxed()), 0..6).prop_map(|items| format!("[{}]", items.join(","))),
            vec(spaced(member.boxed()), 0..10).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    (space(), nested, space()).prop_map(|(before, json, behind)| before + &json + &behind)
}

fn space() -> impl Strategy<Value = String> {
    prop_oneof![4 => Just(String::new()), 1 => "[ \t\n\r]{1,2}"]
}

fn number() -> impl Strategy<Value = String> {
    let double = any::<u64>().prop_map(f64::from_bits);
    let double = double.prop_filter("a finite one", |number| number.is_finite());
    prop_oneof![
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,25})?([eE][+-]?[0-9]{1,3})?",
        double.prop_map(|number| format!("{number:e}")),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?[0-9]{1,3}\\.0{1,3}",
    ]
}

/// With escapes that are needed and some that are not, halves of pairs among them.
fn text() -> impl Strategy<Value = String> {
    let plain =
        any::<char>().prop_filter("plain", |c| !matches!(c, '"' | '\\' | ..' ')).prop_map(String::from);
    let piece = prop_oneof![
        plain,
        "[a-z \u{7f}\u{e9}\u{2028}\u{1f600}]{1,4}",
        "\\\\[\"\\\\/bfnrt]",
        any::<u16>().prop_map(|unit| format!("\\u{unit:04x}")),
        (0xd800_u16..0xe000).prop_map(|unit| format!("\\u{unit:04X}")),
        (0_u16..0x80).prop_map(|unit| format!("\\u{unit:04x}")),
    ];
    vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "\"(a|b|c|__proto__|toJSON|length|constructor|\\\\u0061|\\\\u0031)\"",
        "\"(0|[1-9]|01|-1|1\\.0|1e3|429496729[0-9])\"",
        "\"[0-9]{1,12}\"",
        text(),
    ]
}

#[test]
fn thousands_of_documents_are_written_as_node_writes_them() {
    let folder = match Language::Node.toolbox() {
        Toolbox::Ready(folder) => folder,
        Toolbox::Missing(problem) => return skip("JSON.stringify", Language::Node, &problem),
    };
    let mut runner = TestRunner::deterministic();
    let strategy = document();
    let documents: Vec<String> =
        (0..DOCUMENTS).map(|_| strategy.new_tree(&mut runner).expect("a document").current()).collect();
    let input: Vec<String> = documents.iter().map(|text| BASE64.encode(text.as_bytes())).collect();
    let written = asked(&mut node(&folder, "stringify.js"), &input.into());
    assert_eq!(written.len(), DOCUMENTS);
    let (mut changed, mut refused) = (0, 0);
    for (document, written) in documents.iter().zip(written) {
        let own = match stringify(document.as_bytes()) {
            Ok(text) => Value::String(text),
            Err(Unchanged::NotJson(_)) => Value::Null,
            Err(Unchanged::TooDeep) => panic!("{document} is not that deep"),
        };
        assert_eq!(own, written, "{document}");
        changed += usize::from(written.as_str().is_some_and(|text| text != document));
        refused += usize::from(written.is_null());
    }
    // Otherwise the documents were too tame to show anything.
    assert!(changed > DOCUMENTS / 4 && refused > DOCUMENTS / 20, "{changed} changed, {refused} refused");
}
