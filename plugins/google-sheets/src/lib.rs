//! `google-sheets`: rows for a Google spreadsheet, taken by a script inside it.
//!
//! The script, to be pasted into the spreadsheet under Extensions, Apps Script:
//!
//! ```javascript
#![doc = include_str!("../doPost.gs")]
//! ```

use std::collections::BTreeSet;

use hookwright_plugin::{
    config::{Check, join},
    json::Value,
    prelude::*,
    text::{Unit, cut},
};

mod cell;

/// The configuration.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("x-doPost" = SCRIPT))]
pub struct Config {
    /// The name of the sheet in the spreadsheet, which is made where there is none. Without it, the first sheet.
    pub sheet: Option<Template>,
    /// Where a list is, such as `line_items`: each of its elements makes a row. Without it, the event makes one.
    pub each: Option<Path>,
    /// The columns. Without them, each member of the payload, or of the element, is one.
    #[schemars(length(max = 200))]
    pub columns: Vec<Column>,
}

/// A column: exactly one of `path`, `element` and `value`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Column {
    /// Its name, in the first row of the sheet.
    #[schemars(length(min = 1, max = 200))]
    pub name: String,
    /// Where the value is in the payload.
    #[serde(default)]
    pub path: Option<Path>,
    /// Where the value is in the element that makes the row; `@payload` is the element itself.
    #[serde(default)]
    pub element: Option<Path>,
    /// The value as text with places in the payload: `{document.total_amount} {document.currency}`.
    #[serde(default)]
    pub value: Option<Template>,
}

hookwright_plugin::plugin! {
    summary: "Makes rows for a Google spreadsheet, one for an event or for each element of a list.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    judge: judge,
    examples: [
        Example::new(
            "A row for each line of an invoice",
            "document.exported",
            r#"{"document":{"invoice_number":"0042","doc_url":"https://yourinstance.recordengine.ai/api/document/42/view"},"line_items":[{"description":"Office Chair","amount":10000.00},{"description":"=Desk","amount":12345678901234567890.10}]}"#,
        )
        .config(r#"{"sheet":"Invoices","each":"line_items","columns":[{"name":"Invoice","path":"document.invoice_number"},{"name":"Item","element":"description"},{"name":"Amount","element":"amount"},{"name":"Link","path":"document.doc_url"}]}"#)
        .becomes(
            r#"{"id":"evt_example","sheet":"Invoices","columns":["Invoice","Item","Amount","Link"],"rows":[["'0042","Office Chair",10000.00,"https://yourinstance.recordengine.ai/api/document/42/view"],["'0042","'=Desk","'12345678901234567890.10","https://yourinstance.recordengine.ai/api/document/42/view"]]}"#,
        ),
        Example::new("Each member a column", "contact.created", r#"{"contact_id":7,"name":"Acme","last_name":null,"tags":["a"]}"#)
            .becomes(r#"{"id":"evt_example","sheet":"","columns":["contact_id","name","last_name","tags"],"rows":[[7,"Acme",null,"[\"a\"]"]]}"#),
        Example::new("No lines", "document.exported", r#"{"line_items":[]}"#)
            .config(r#"{"each":"line_items"}"#)
            .drops("There is no row to write: `line_items` is empty."),
    ],
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let Some(path) = &config.each else {
        return written(event, message, config, &payload, &[&payload]);
    };
    let found = path.find(event, &payload).filter(|list| !list.is_null());
    match found.as_deref() {
        None => Ok(Verdict::drop(format!("There is no row to write: `{path}` is not there."))),
        Some(Value::Array(elements, _)) if elements.is_empty() => {
            Ok(Verdict::drop(format!("There is no row to write: `{path}` is empty.")))
        }
        Some(Value::Array(elements, _)) if elements.len() > MAX_ROWS => Ok(Verdict::reject(format!(
            "`{path}` has {} elements, and at most 1,000 rows are written at once.",
            elements.len()
        ))),
        Some(Value::Array(elements, _)) => {
            written(event, message, config, &payload, &elements.iter().collect::<Vec<_>>())
        }
        Some(other) => Err(Failure::new(
            Failure::BAD_PAYLOAD,
            format!("`{path}` is {}, where a list is needed.", other.kind()),
        )),
    }
}

/// A redirect to where the script's answer can be fetched means that the script ran to its end. What it throws comes
/// as a page with status 200.
fn judge(answer: &Answer, _: &Config) -> Judgement {
    match answer.status {
        301..=308 => match answer.header("location").map(host) {
            Some("script.googleusercontent.com") => Judgement::Delivered,
            Some("accounts.google.com") => Judgement::disable(
                "The script asks for a login: deploy it as a web app with access for \"Anyone\", and use the new URL.",
            ),
            _ => Judgement::ByStatus,
        },
        200 if answer.text().trim() == "ok" => Judgement::Delivered,
        200 => Judgement::retry(),
        _ => Judgement::ByStatus,
    }
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut check = Check::default();
    if let Some(path) = &config.each {
        check.demand(
            path.names().is_some(),
            "/each",
            "The list lies in the payload, such as at `line_items`.",
        );
    }
    check.demand(config.columns.len() <= MAX_COLUMNS, "/columns", "There are at most 200 columns.");
    let mut seen = BTreeSet::from([ID]);
    for (index, column) in config.columns.iter().enumerate() {
        let pointer = join("/columns", index);
        check.length(join(&pointer, "name"), "A name", &column.name, 1..=200);
        let message = format!("There is a column {:?} already.", column.name);
        check.demand(seen.insert(&column.name), join(&pointer, "name"), message);
        let sources = [column.path.is_some(), column.element.is_some(), column.value.is_some()];
        let message = "A column has exactly one of `path`, `element` and `value`.";
        check.demand(sources.iter().filter(|given| **given).count() == 1, &*pointer, message);
        let message = "There are elements only where `each` names a list.";
        check.demand(column.element.is_none() || config.each.is_some(), join(&pointer, "element"), message);
    }
    check.finish()
}

fn written(
    event: &Event,
    message: &Message,
    config: &Config,
    payload: &Value<'_>,
    elements: &[&Value<'_>],
) -> Result<Verdict> {
    let names = if config.columns.is_empty() { members(elements)? } else { named(&config.columns) };
    let sheet = config.sheet.as_ref().map(|sheet| sheet.render(event, payload)).unwrap_or_default();
    let mut out = String::with_capacity(message.body.len() + 256);
    out.push_str("{\"id\":");
    json::escape(event.webhook_id(), &mut out);
    out.push_str(",\"sheet\":");
    json::escape(&cut(sheet.trim(), MAX_SHEET, Unit::Utf16), &mut out);
    out.push_str(",\"columns\":");
    list(&mut out, &names, |name, out| json::escape(name, out));
    out.push_str(",\"rows\":");
    list(&mut out, elements, |element, out| match config.columns.is_empty() {
        true => list(out, &names, |name, out| cell::write(element.get(name).unwrap_or(&Value::Null), out)),
        false => list(out, &config.columns, |column, out| column.write(event, payload, element, out)),
    });
    out.push('}');
    Ok(Verdict::body(message, hookwright_plugin::JSON, out))
}

fn named(columns: &[Column]) -> Vec<String> {
    columns.iter().map(|column| column.name.clone()).collect()
}

/// The names of the elements' members, each once, in the order in which they come.
fn members(elements: &[&Value<'_>]) -> Result<Vec<String>> {
    let (mut names, mut seen) = (Vec::new(), BTreeSet::from([ID.to_owned()]));
    for element in elements {
        let Value::Object(members, _) = element else {
            let message =
                format!("Without `columns`, a row is made of an object, and here is {}.", element.kind());
            return Err(Failure::new(Failure::BAD_PAYLOAD, message));
        };
        let new = members.iter().map(|(name, _)| name.decode().into_owned());
        names.extend(new.filter(|name| !name.trim().is_empty() && seen.insert(name.clone())));
    }
    match names.len() {
        0 => Err(Failure::new(Failure::BAD_PAYLOAD, "The payload has no members to make columns of.")),
        1..=MAX_COLUMNS => Ok(names),
        many => Err(Failure::new(
            "too-many-columns",
            format!(
                "The payload has {many} members, and there are at most 200 columns; name those you need in `columns`."
            ),
        )),
    }
}

impl Column {
    fn write(&self, event: &Event, payload: &Value<'_>, element: &Value<'_>, out: &mut String) {
        if let Some(template) = &self.value {
            return json::escape(&cell::text(&template.render(event, payload)), out);
        }
        let (path, tree) = match &self.element {
            Some(path) => (Some(path), element),
            None => (self.path.as_ref(), payload),
        };
        let found = path.and_then(|path| path.find(event, tree));
        cell::write(found.as_deref().unwrap_or(&Value::Null), out);
    }
}

fn list<T>(out: &mut String, items: &[T], write: impl Fn(&T, &mut String)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(']');
}

fn host(url: &str) -> &str {
    let rest = url.trim().split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#', ':']).next().unwrap_or_default()
}

/// The script that takes the rows.
const SCRIPT: &str = include_str!("../doPost.gs");
/// The column by which the script knows what it has written.
const ID: &str = "webhook-id";
const MAX_ROWS: usize = 1_000;
const MAX_COLUMNS: usize = 200;
/// Of a sheet's name.
const MAX_SHEET: usize = 100;

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test, text::Dialect};

    use super::*;

    fn rows(payload: &str, config: &str) -> String {
        test::body::<Plugin>("document.exported", payload, config)
            .unwrap_or_else(|failure| failure.to_string())
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn texts_are_cut_at_the_bounds_of_a_cell_and_of_a_name() {
        let units = Dialect::plain(Unit::Utf16);
        let config = r#"{"sheet":"{t}","columns":[{"name":"A","path":"t"},{"name":"B","value":"{t}"}]}"#;
        for text in test::around(50_000, units) {
            let body = rows(&test::object("t", &text), config);
            for pointer in ["/rows/0/0", "/rows/0/1"] {
                test::assert_cut(&test::text_at(&body, pointer), &text, 50_000, units);
            }
        }
        for text in test::around(100, units) {
            test::assert_cut(
                &test::text_at(&rows(&test::object("t", &text), config), "/sheet"),
                &text,
                100,
                units,
            );
        }
        for length in [49_998, 49_999, 50_000, 50_001] {
            let body = rows(&test::object("t", &format!("={}", "x".repeat(length - 1))), config);
            let shown = test::text_at(&body, "/rows/0/0");
            assert_eq!(shown.encode_utf16().count(), (length + 1).min(50_000), "{length}");
            assert_eq!(shown.ends_with('…'), length > 49_999, "{length}");
        }
    }

    #[test]
    fn rows_have_a_bound() {
        let payload = |rows: usize| format!(r#"{{"l":[{}]}}"#, vec![r#"{"a":1}"#; rows].join(","));
        let config = r#"{"each":"l"}"#;
        for (count, sent) in [(1, true), (999, true), (1_000, true), (1_001, false)] {
            let verdict = test::call::<Plugin>("a.b", &payload(count), config).expect("a verdict");
            assert_eq!(matches!(verdict, Verdict::Replace(_)), sent, "{count}");
            assert_eq!(matches!(verdict, Verdict::Reject(_)), !sent, "{count}");
        }
        let columns = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!(r#""m{n}":1"#)).collect();
            rows(&format!("{{{}}}", members.join(",")), "{}")
        };
        assert!(columns(200).contains("m199"));
        assert!(columns(201).contains("(too-many-columns)"));
    }

    #[test]
    fn rows_are_made() {
        let table = [
            (
                r#"{"l":[{"a":1},{"b":2,"a":3}]}"#,
                r#"{"each":"l"}"#,
                r#""columns":["a","b"],"rows":[[1,null],[3,2]]}"#,
            ),
            (
                r#"{"n":7,"l":["x",null]}"#,
                r#"{"each":"l","columns":[{"name":"N","path":"n"},{"name":"L","element":"@payload"},{"name":"T","element":"@type"}]}"#,
                r#""columns":["N","L","T"],"rows":[[7,"x","document.exported"],[7,null,"document.exported"]]}"#,
            ),
            (
                r#"{"a":1}"#,
                r#"{"columns":[{"name":"V","value":"{a} {b|none}"}]}"#,
                r#""columns":["V"],"rows":[["1 none"]]}"#,
            ),
            (r#"{"webhook-id":"x","a":1}"#, "{}", r#""columns":["a"],"rows":[[1]]}"#),
            ("[1]", "{}", "Without `columns`, a row is made of an object, and here is a list. (bad-payload)"),
            ("{}", "{}", "The payload has no members to make columns of. (bad-payload)"),
            (r#"{"l":7}"#, r#"{"each":"l"}"#, "`l` is a number, where a list is needed. (bad-payload)"),
        ];
        for (payload, config, end) in table {
            let out = rows(payload, config);
            assert!(out.ends_with(end), "{payload}: {out}");
        }
        let nothing = test::call::<Plugin>("a.b", "{}", r#"{"each":"l"}"#);
        assert_eq!(nothing, Ok(Verdict::drop("There is no row to write: `l` is not there.")));
    }

    #[test]
    fn rows_carry_the_webhook_id() {
        let attributes = vec![("webhook-id".to_owned(), "msg_2".to_owned())];
        let event = Event { attributes, ..test::event("a.b") };
        let Ok(Verdict::Replace(message)) =
            test::call_with::<Plugin>(&event, &Message::json(r#"{"a":1}"#), "{}")
        else {
            panic!("no message");
        };
        assert!(message.body.starts_with(br#"{"id":"msg_2","#));
    }

    #[test]
    fn answers_are_judged() {
        let to = |location: &str| {
            Answer::new(302, "<HTML>Moved Temporarily</HTML>").with_header("Location", location)
        };
        let judge = |answer: &Answer| test::judge_with::<Plugin>(answer, "{}");
        let table = [
            (to("https://script.googleusercontent.com/macros/echo?user_content_key=a"), Judgement::Delivered),
            (to("https://script.googleusercontent.com.evil.test/macros/echo"), Judgement::ByStatus),
            (to("/elsewhere"), Judgement::ByStatus),
            (Answer::new(302, ""), Judgement::ByStatus),
            (Answer::new(200, "ok"), Judgement::Delivered),
            (Answer::new(200, "<!DOCTYPE html><title>Error</title>TypeError: x"), Judgement::Retry(None)),
            (Answer::new(404, ""), Judgement::ByStatus),
            (Answer::new(429, ""), Judgement::ByStatus),
            (Answer::new(0, "timeout"), Judgement::ByStatus),
        ];
        for (answer, judgement) in table {
            assert_eq!(judge(&answer), judgement, "{answer:?}");
        }
        let login = judge(&to("https://accounts.google.com/ServiceLogin?passive=1"));
        assert!(matches!(login, Judgement::Disable(_)), "{login:?}");
    }

    #[test]
    fn the_schema_brings_the_script() {
        let schema: serde_json::Value =
            serde_json::from_str(&test::describe::<Plugin>().config_schema).expect("the schema is JSON");
        let script = schema["x-doPost"].as_str().expect("a script");
        assert!(script.contains("function doPost(e)") && script.contains("{ id, sheet, columns, rows }"));
        assert!(script.contains(&format!("const ID = '{ID}';")));
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"each":"@type"}"#, "/each"),
            (r#"{"columns":[{"name":"a"}]}"#, "/columns/0"),
            (r#"{"columns":[{"name":"a","path":"a","value":"x"}]}"#, "/columns/0"),
            (r#"{"columns":[{"name":"a","element":"a"}]}"#, "/columns/0/element"),
            (r#"{"columns":[{"name":"","path":"a"}]}"#, "/columns/0/name"),
            (r#"{"columns":[{"name":"a","path":"a"},{"name":"a","path":"b"}]}"#, "/columns/1/name"),
            (r#"{"columns":[{"name":"webhook-id","path":"a"}]}"#, "/columns/0/name"),
            (r#"{"sheet":"{"}"#, "/sheet"),
            (r#"{"tab":"x"}"#, "/tab"),
        ];
        for (config, pointer) in table {
            let errors = test::config_errors::<Plugin>(config);
            assert_eq!(
                errors.first().map(|error| error.pointer.as_str()),
                Some(pointer),
                "{config}: {errors:?}"
            );
        }
    }
}
