//! `script`: a message shaped by a JavaScript function of the operator's own.
//!
//! The engine is compiled in, so nothing of the outside is there: no `fetch`, no timers, no modules. Each call
//! gets a fresh engine.

use hookwright_plugin::prelude::*;

mod convert;
mod engine;
mod webhook;

use engine::Engine;
use webhook::Webhook;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// JavaScript that declares `function handler(webhook)`, which returns the webhook as it is to be sent.
    #[schemars(length(min = 1, max = 65536))]
    pub code: String,
}

hookwright_plugin::plugin! {
    summary: "Shapes a message with a JavaScript function of your own: handler(webhook).",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "A message for a chat",
            "document.exported",
            r#"{"document":{"invoice_number":"INV-2026-0042","vendor_name":"Café Müller 😀","total_amount":1250.50,"currency":"CNY"}}"#,
        )
        .config(r#"{"code":"function handler(webhook) {\n  const { document } = webhook.payload;\n  webhook.payload = { text: `${document.invoice_number} of ${document.vendor_name}`, total: document.total_amount };\n  return webhook;\n}"}"#)
        .becomes(r#"{"text":"INV-2026-0042 of Café Müller 😀","total":1250.50}"#),
        Example::new("Not for this endpoint", "contact.created", r#"{"email":"jean@example.com"}"#)
            .config(r#"{"code":"function handler(webhook) {\n  if (webhook.payload.email.endsWith('@example.com')) {\n    webhook.cancel = 'an internal address';\n  }\n  return webhook;\n}"}"#)
            .drops("an internal address"),
        Example::new("In the style of a registered handler", "contact.created", r#"{"id":12345678901234567890.10}"#)
            .config(r#"{"code":"addHandler('transform', (request, context) => {\n  request.body.type = context.eventType;\n  return request;\n});"}"#)
            .becomes(r#"{"id":12345678901234567890.10,"type":"contact.created"}"#),
    ],
}

/// The longest script, in bytes. It is read on every call.
const MAX_CODE: usize = 64 << 10;

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let mut engine = Engine::start();
    let handler = engine.load(&config.code).map_err(|fault| fault.failure())?;
    Webhook { event, message, payload: &payload }.through(&mut engine, &handler)
}

/// Runs what stands outside of functions, as every call does.
fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let refuse = |message: String| Err(vec![ConfigError::new("/code", message)]);
    if config.code.len() > MAX_CODE {
        return refuse(format!("A script has at most {MAX_CODE} bytes; this one has {}.", config.code.len()));
    }
    match Engine::start().load(&config.code) {
        Ok(_) => Ok(()),
        Err(fault) => refuse(fault.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::{serde_json, test};

    use super::*;

    fn config(code: &str) -> String {
        serde_json::json!({ "code": code }).to_string()
    }

    /// What comes of a payload, as text: a body, a reason, or a failure.
    fn run(code: &str, payload: &str) -> String {
        match test::call::<Plugin>("contact.created", payload, &config(code)) {
            Ok(Verdict::Replace(message)) => String::from_utf8_lossy(&message.body).into_owned(),
            Ok(Verdict::Drop(reason)) => format!("dropped: {reason}"),
            Ok(verdict) => format!("{verdict:?}"),
            Err(failure) => failure.to_string(),
        }
    }

    /// A handler that sends the value of an expression over `p`, the payload.
    fn value(expression: &str, payload: &str) -> String {
        run(
            &format!("function handler(w) {{ const p = w.payload; w.payload = {expression}; return w; }}"),
            payload,
        )
    }

    fn replaced(message: &Message, code: &str) -> Message {
        match test::call_with::<Plugin>(&test::event("a.b"), message, &config(code)) {
            Ok(Verdict::Replace(message)) => message,
            other => panic!("{code}: {other:?}"),
        }
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
    }

    #[test]
    fn numbers_that_are_not_whole_keep_their_digits() {
        let table = [
            ("12.50", "12.50"),
            ("12345678901234567890.10", "12345678901234567890.10"),
            ("9007199254740993", "9007199254740993"),
            ("0.10", "0.10"),
            ("-1.5e-7", "-1.5e-7"),
            ("1e400", "null"),
            ("12500.00", "12500"),
            ("1E2", "100"),
            ("7", "7"),
            ("-0", "0"),
        ];
        for (number, expected) in table {
            assert_eq!(
                value("{ x: [p.n] }", &format!(r#"{{"n":{number}}}"#)),
                format!(r#"{{"x":[{expected}]}}"#)
            );
        }
        assert_eq!(value("p.a + p.b", r#"{"a":12.50,"b":0.25}"#), "12.75");
        // JavaScript cannot tell these two apart, so neither keeps its digits.
        assert_eq!(
            value("[p.a, p.b]", r#"{"a":0.12345678901234567891,"b":0.12345678901234567892}"#),
            "[0.12345678901234568,0.12345678901234568]"
        );
        assert_eq!(value("p", r#"{"a":1.10,"b":1.1}"#), r#"{"a":1.10,"b":1.10}"#);
    }

    #[test]
    fn texts_and_names_come_through() {
        let table = [
            ("p.t.length", r#"{"t":"é😀"}"#, "3"),
            (
                "p",
                r#"{"z":"caf\u00e9 \/ 😀","a":null,"__proto__":{"x":1},"constructor":true}"#,
                r#"{"z":"café / 😀","a":null,"__proto__":{"x":1},"constructor":true}"#,
            ),
            ("[...p.t].reverse().join('')", r#"{"t":"añb😀"}"#, "\"😀bña\""),
            ("p.t.normalize('NFD').length", r#"{"t":"é"}"#, "2"),
            (
                "p.d.map(d => new Date(d).toISOString())",
                r#"{"d":["2026-03-22T09:30:00+01:00"]}"#,
                r#"["2026-03-22T08:30:00.000Z"]"#,
            ),
            (
                "p.t.replace(/(\\p{L}+) (?<last>\\p{L}+)/u, '$<last>, $1')",
                r#"{"t":"Jörg Müller"}"#,
                "\"Müller, Jörg\"",
            ),
            ("new Map(Object.entries(p)).get('a')", r#"{"a":[1]}"#, "[1]"),
            ("{ a: undefined, b: () => 1, c: [undefined] }", "{}", r#"{"c":[null]}"#),
        ];
        for (expression, payload, expected) in table {
            assert_eq!(value(expression, payload), expected, "{expression}");
        }
    }

    #[test]
    fn a_handler_decides() {
        let table = [
            ("function handler(w) { w.cancel = true; return w; }", "dropped: The script cancelled it."),
            ("function handler(w) { w.cancel = 'not today 😀'; return w; }", "dropped: not today 😀"),
            ("const handler = (w) => ({ ...w, payload: w.eventType });", "\"contact.created\""),
            (
                "var handler = async (w) => { w.payload = await Promise.resolve([w.attempt]); return w; }",
                "[1]",
            ),
            (
                "addHandler('transform', (request, context) => ({ body: context.eventId }));",
                "\"evt_example\"",
            ),
            ("function handler(w) { return { payload: 1 }; }", "1"),
            (
                "function handler(w) { }",
                "The handler gave nothing back; it ends with `return webhook;`. (bad-output)",
            ),
            ("function handler(w) { return {}; }", "The handler gave back no payload. (bad-output)"),
            (
                "function handler(w) { return new Promise(() => {}); }",
                "Error: The handler waits for something that never comes; there are no timers and no network. (script-error)",
            ),
        ];
        for (code, expected) in table {
            assert_eq!(run(code, "{}"), expected, "{code}");
        }
    }

    #[test]
    fn method_path_headers_and_content_type_can_change() {
        let mut message = Message::json(r#"{"a":1.50}"#);
        message.headers = vec![("X-One".to_owned(), "1".to_owned()), ("X-Two".to_owned(), "é".to_owned())];
        let same = replaced(&message, "const handler = (w) => w;");
        assert_eq!(same, message, "nothing changes where nothing is changed");

        let code = "function handler(w) {
            w.method = 'PUT'; w.path = '/orders/7?x=1'; w.contentType = 'text/csv';
            w.headers['x-two'] = 2; delete w.headers['x-one']; w.headers['X-New'] = 'yes';
            w.payload = 'a,b\\n1,2'; return w; }";
        let changed = replaced(&message, code);
        assert_eq!(
            (changed.method.as_deref(), changed.path_and_query.as_deref()),
            (Some("PUT"), Some("/orders/7?x=1"))
        );
        assert_eq!(
            (changed.content_type.as_str(), changed.body.as_slice()),
            ("text/csv", b"a,b\n1,2".as_slice())
        );
        let headers =
            [("x-two", "2"), ("X-New", "yes")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(changed.headers, headers);
    }

    #[test]
    fn the_world_outside_is_not_there() {
        for name in [
            "fetch",
            "setTimeout",
            "require",
            "process",
            "XMLHttpRequest",
            "WebAssembly",
            "Deno",
            "Temporal",
            "Intl",
        ] {
            assert_eq!(value(&format!("typeof {name}"), "{}"), "\"undefined\"", "{name}");
        }
    }

    #[test]
    fn errors_say_where() {
        let table = [
            (
                "function handler(w) {\n  throw new Error('no é');\n}",
                "Line 2, column 9: Error: no é. (script-error)",
            ),
            (
                "function handler(w) {\n  throw 'just text';\n}",
                "Line 2, column 9: \"just text\". (script-error)",
            ),
            (
                "function handler(w) {\n  return nobody(w);\n}",
                "In the function at line 1, column 21: ReferenceError: nobody is not defined. (script-error)",
            ),
            (
                "function handler(w) {\n  const x = w.payload.a.b;\n  return w;\n}",
                "Line 2, column 25: TypeError: cannot convert 'null' or 'undefined' to object. (script-error)",
            ),
        ];
        for (code, expected) in table {
            assert_eq!(run(code, "{}"), expected, "{code}");
        }
        let endless = run("function handler(w) { return handler(w); }", "{}");
        assert!(endless.contains("maximum number of recursive calls"), "{endless}");
    }

    #[test]
    fn scripts_are_checked_when_an_endpoint_is_saved() {
        let table = [
            ("function handler(webhook) {\n  return webhook;\n", "Line 3, column 1: SyntaxError: "),
            ("function handler(webhook) {\n  return = webhook;\n}", "Line 2, column 10: SyntaxError: "),
            (
                "function handler(webhook) {\n  const é = '😀;\n}",
                "Line 2, column 3: SyntaxError: unterminated",
            ),
            ("import x from 'y';", "Line 1, column 8: SyntaxError: "),
            ("nobody();", "ReferenceError: nobody is not defined."),
            ("let x = 1;", "The script has no handler; it needs `function handler(webhook)"),
            ("const handler = 7;", "The script has no handler"),
            (
                "addHandler('filter', (r) => r);",
                "Line 1, column 11: TypeError: addHandler takes \"transform\" and a function.",
            ),
            ("addHandler('transform');", "Line 1, column 11: TypeError: addHandler takes"),
        ];
        for (code, begins) in table {
            let errors = test::config_errors::<Plugin>(&config(code));
            let said: Vec<_> =
                errors.iter().map(|error| (error.pointer.as_str(), error.message.as_str())).collect();
            assert!(
                matches!(said[..], [("/code", message)] if message.starts_with(begins)),
                "{code}: {said:?}"
            );
        }
        for config in ["{}", r#"{"code":7}"#, r#"{"code":"","extra":1}"#] {
            assert_eq!(test::config_errors::<Plugin>(config).len(), 1, "{config}");
        }
        let long = config(&format!("function handler(w) {{ return w; }} //{}", "x".repeat(MAX_CODE)));
        assert_eq!(test::config_errors::<Plugin>(&long)[0].pointer, "/code");
    }

    #[test]
    fn no_code_panics() {
        let code = "function handler(w) { const a = [1.5, 'é😀']; return `${a}` ? w : null; }";
        for (end, _) in code.char_indices() {
            run(&code[..end], "{}");
            run(&format!("{}\u{0}\"`{{{}", &code[..end], &code[end..]), "{}");
        }
    }
}
