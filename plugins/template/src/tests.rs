use hookwright_plugin::{serde_json, test};

use super::*;

const PAYLOAD: &str = r#"{"total":12500.00,"big":12345678901234567890.10,"one":1,"tax":13.0,"rate":13.00,"huge":1e400,"neg":-0,
    "text":"caf\u00e9 \"<b>\" 😀 & R\\D","none":null,"ok":true,"list":[ 1.50, "x", null],"empty":[],"id":9007199254740993,
    "items":[{"n":"a","q":2,"p":10.50},{"n":"b","q":1,"p":0.25}],"__proto__":1,"at":"2026-03-22T08:30:00Z"}"#;

/// A configuration with a template, and more members.
fn config(template: &str, more: &str) -> String {
    let template = serde_json::Value::from(template);
    format!(r#"{{"template":{template}{more}}}"#)
}

fn said(result: Result<Verdict>) -> String {
    match result {
        Ok(Verdict::Replace(message)) => String::from_utf8_lossy(&message.body).into_owned(),
        Ok(verdict) => format!("{verdict:?}"),
        Err(failure) => failure.to_string(),
    }
}

fn rendered(template: &str, more: &str) -> String {
    said(test::call::<Plugin>("document.exported", PAYLOAD, &config(template, more)))
}

/// What a template of text comes to.
fn text(template: &str) -> String {
    rendered(template, r#","format":"text""#)
}

#[test]
fn examples_hold() {
    test::run_examples::<Plugin>();
}

#[test]
fn values_are_json_and_text_inside_of_quotes() {
    let table = [
        ("{{ payload.total }}", "12500.00"),
        ("[{{ payload.tax }},{{ payload.rate }},{{ payload.tax }}]", "[13.0,13.00,13.0]"),
        (
            "[{{ payload.big }},{{ payload.huge }},{{ payload.neg }},{{ payload.id }}]",
            "[12345678901234567890.10,1e400,-0,9007199254740993]",
        ),
        ("{{ payload.list }}", "[ 1.50, \"x\", null]"),
        ("{{ payload.text }}", "\"café \\\"<b>\\\" 😀 & R\\\\D\""),
        (r#"{"t": "{{ payload.text }}!"}"#, r#"{"t": "café \"<b>\" 😀 & R\\D!"}"#),
        (
            r#""{{ payload.total }} {{ payload.none }}{{ payload.ok }} {{ payload.list }}""#,
            r#""12500.00 true [1.50,\"x\",null]""#,
        ),
        (
            "{{ {'b': payload.big, 'a': [payload.one, payload.text|upper]} }}",
            "{\"b\":12345678901234567890.10,\"a\":[1,\"CAFÉ \\\"<B>\\\" 😀 & R\\\\D\"]}",
        ),
        (
            "[{% for i in payload['items'] %}{{ i.p * i.q }}{{ ',' if not loop.last else '' }}{% endfor %}]",
            "What the template wrote",
        ),
        (
            "[{% for i in payload.items %}{{ i.p * i.q }}{% if not loop.last %},{% endif %}{% endfor %}]",
            "[21,0.25]",
        ),
        (
            "{% if payload.total > 10000 and payload.big > payload.total and payload.tax == 13 %}1{% else %}2{% endif %}",
            "1",
        ),
        (
            r#"{% set t %}{{ payload.text }} "{{ payload.total }}"{% endset %}[{{ t }}, "{{ t }}"]"#,
            r#"["café \"<b>\" 😀 & R\\D \"12500.00\"", "café \"<b>\" 😀 & R\\D \"12500.00\""]"#,
        ),
        (
            r#"{% macro f(k, v) %}{"{{ k }}": {{ v }}}{% endmacro %}[{{ f("x", payload.text|upper) }},{{ f('y', 1) }}]"#,
            r#"[{"x": "CAFÉ \"<B>\" 😀 & R\\D"},{"y": 1}]"#,
        ),
        (
            r#"{"e": {{ event }}}"#,
            r#"{"e": {"type":"document.exported","id":"evt_example","tenant":"default","timestamp":"2026-03-22T08:30:00Z","attempted_at":"2026-03-22T08:30:01Z","attempt":1,"channels":[],"attributes":{}}}"#,
        ),
        ("{{ payload['items']|map(attribute='n')|join(', ') }}", "\"a, b\""),
        ("[{{ payload.list|tojson }},{{ payload.list[0]|string }}]", r#"[[1.50,"x",null],"1.50"]"#),
        ("{{ payload['__proto__'] + 1 }}", "2"),
        (" \n{{ payload.one }} \n", "1"),
    ];
    for (template, expected) in table {
        let out = rendered(template, "");
        if expected.starts_with("What") {
            assert!(out.starts_with(expected), "{template}: {out}");
        } else {
            assert_eq!(out, expected, "{template}");
        }
    }
}

#[test]
fn filters_work_on_what_stands_there() {
    let table = [
        (
            "{{ payload.total|number(2, ',') }} {{ payload.big|number(0, '.', ',') }}",
            "12,500.00 12.345.678.901.234.567.890",
        ),
        (
            "{{ '7.125'|number(2) }} {{ payload.one|number(2) }} {{ (payload.total * 2)|number(1) }}",
            "7.13 1.00 25000.0",
        ),
        (
            "{{ payload.at|date }} {{ payload.at|date('%d.%m.%Y %H:%M', '+08:00') }}",
            "2026-03-22 22.03.2026 16:30",
        ),
        ("{{ payload.at|epoch }} {{ event.attempted_at|epoch('millis') }}", "1774168200 1774168201000"),
        (
            "{{ payload.text|truncate(6) }}|{{ '😀😀😀'|truncate(4, 'utf16') }}|{{ 'ééé'|truncate(5, 'bytes') }}",
            "café …|😀…|é…",
        ),
        ("{{ payload.text|slack }}", "café \"&lt;b&gt;\" 😀 &amp; R\\D"),
        ("{{ payload.text|html }}", "café &quot;&lt;b&gt;&quot; 😀 &amp; R\\D"),
        ("{{ payload.text|url }}", "caf%C3%A9%20%22%3Cb%3E%22%20%F0%9F%98%80%20%26%20R%5CD"),
        ("{{ payload.text|tojson }}", "\"café \\\"<b>\\\" 😀 & R\\\\D\""),
        (
            "{{ payload.total }} {{ payload.none }} {{ payload.ok }} {{ payload.list }}",
            "12500.00  true [1.50,\"x\",null]",
        ),
        ("{{ payload.nobody|default('x') }}{{ payload.nobody is defined }}", "xfalse"),
        ("{{ log('seen') }}{{ payload.one }}", "1"),
    ];
    for (template, expected) in table {
        assert_eq!(text(template), expected, "{template}");
    }
}

#[test]
fn a_template_decides() {
    let table = [
        ("{{ drop('not 😀') }}", "Verdict::Drop(\"not 😀\")"),
        ("{% if payload.one == 1 %}{{ reject('never') }}{% endif %}", "Verdict::Reject(\"never\")"),
        ("{% set x %}{{ drop('inside') }}{% endset %}{{ x }}", "Verdict::Drop(\"inside\")"),
    ];
    for (template, expected) in table {
        assert_eq!(rendered(template, ""), expected, "{template}");
    }
}

#[test]
fn each_format_is_held_to_what_it_says() {
    let table = [
        (
            "ndjson",
            "{% for i in payload['items'] %}{{ i }}\n{% endfor %}",
            "{\"n\":\"a\",\"q\":2,\"p\":10.50}\n{\"n\":\"b\",\"q\":1,\"p\":0.25}\n",
            "application/x-ndjson",
        ),
        (
            "ndjson",
            "{{ payload.list }}\n\n {{ payload.total }}",
            "[1.50,\"x\",null]\n12500.00\n",
            "application/x-ndjson",
        ),
        (
            "form",
            r#"{"a b": {{ payload.text }}, "n": {{ payload.total }}, "l": {{ payload.list }}, "o": {"x": 1.0}, "z": null}"#,
            "a+b=caf%C3%A9+%22%3Cb%3E%22+%F0%9F%98%80+%26+R%5CD&n=12500.00&l=1.50&l=x&l=&o=%7B%22x%22%3A1.0%7D",
            FORM,
        ),
        ("text", " a\n", " a\n", "text/plain; charset=utf-8"),
    ];
    for (format, template, expected, content_type) in table {
        let config = config(template, &format!(r#","format":"{format}""#));
        let Ok(Verdict::Replace(message)) = test::call::<Plugin>("a", PAYLOAD, &config) else {
            panic!("{template}")
        };
        assert_eq!(
            (String::from_utf8_lossy(&message.body).as_ref(), message.content_type.as_str()),
            (expected, content_type)
        );
    }
    let table = [
        (
            "json",
            "{\"é\": {{ payload.one }},}",
            "What the template wrote is not JSON, a member's name in quotes is expected at byte 9: it is `{\"é\": 1,` and then `}`. (bad-output)",
        ),
        ("json", " ", "(bad-config)"),
        ("json", "{# nothing #}", "What the template wrote is empty, and so no JSON. (bad-output)"),
        ("ndjson", "1\n\nx", "Line 2 of what the template wrote is not JSON"),
        ("form", "[1]", "What the template wrote is no JSON object, and so no form. (bad-output)"),
    ];
    for (format, template, part) in table {
        let out = rendered(template, &format!(r#","format":"{format}""#));
        assert!(out.contains(part), "{template}: {out}");
    }
}

#[test]
fn method_path_headers_and_content_type_are_templates() {
    let mut message = Message::json(r#"{"id":"7/é?","name":"a\r\nb","m":"put"}"#);
    message.headers = vec![("X-One".to_owned(), "1".to_owned()), ("X-Name".to_owned(), "old".to_owned())];
    let more = r#","content_type":"application/vnd.x+json","method":"{{ payload.m|upper }}","path":"/orders/{{ payload.id }}?x=1","headers":{"x-name":"{{ payload.name }}","x-none":" ","X-Old":"{{ headers['x-one'] }}"}"#;
    let Ok(Verdict::Replace(out)) =
        test::call_with::<Plugin>(&test::event("a"), &message, &config("{{ payload.id }}", more))
    else {
        panic!("no message")
    };
    assert_eq!(
        (out.method.as_deref(), out.path_and_query.as_deref()),
        (Some("PUT"), Some("/orders/7%2F%C3%A9%3F?x=1"))
    );
    assert_eq!(
        (out.content_type.as_str(), out.body.as_slice()),
        ("application/vnd.x+json", "\"7/é?\"".as_bytes())
    );
    let headers = [("X-One", "1"), ("x-name", "a  b"), ("X-Old", "1")];
    assert_eq!(out.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn what_is_missing_is_an_error_unless_it_is_allowed() {
    let strict = rendered("{\n \"a\": \"{{ payload.nobody }}\"}", "");
    assert!(strict.starts_with("Line 2, column ") && strict.contains("ndefined"), "{strict}");
    assert!(strict.ends_with("(template-error)"), "{strict}");
    let lenient = r#","undefined":"lenient""#;
    assert_eq!(
        rendered(r#"[{{ payload.nobody.at.all }}, "{{ payload.nobody }}"]"#, lenient),
        r#"[null, ""]"#
    );
}

#[test]
fn a_body_that_is_no_json_is_text() {
    let message = Message { content_type: "text/plain".to_owned(), ..Message::json("a \"é\"") };
    let out = test::call_with::<Plugin>(&test::event("a"), &message, &config(r#"{"t": "{{ body }}"}"#, ""));
    assert_eq!(said(out), r#"{"t": "a \"é\""}"#);
    let out = test::call::<Plugin>("a", "{", &config("1", "")).expect_err("no JSON");
    assert_eq!(out.code, Failure::BAD_PAYLOAD);
}

#[test]
fn a_template_cannot_run_for_ever() {
    for template in [
        "{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}1",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    ] {
        let out = rendered(template, "");
        assert!(out.ends_with("(template-error)"), "{template}: {out}");
    }
}

#[test]
fn templates_are_checked_when_an_endpoint_is_saved() {
    let long = config(&"x".repeat(MAX_TEMPLATE + 1), "");
    let table = [
        (config("{\n  \"é\": \"{{ payload.a | }}\"\n}", ""), "/template", "Line 2, column 24: Syntax error"),
        (config("{% if payload %}", ""), "/template", "Line 1, column 1"),
        (config("é {{ payload.x|uper }}", ""), "/template", "Line 1, column 16: There is no filter `uper`."),
        (
            config("{% filter uper %}x{% endfilter %}", ""),
            "/template",
            "Line 1, column 11: There is no filter `uper`.",
        ),
        (
            config("\n\n{{ paylod.x }}", ""),
            "/template",
            "Line 3, column 4: There is no `paylod`; there are `payload`, `event`",
        ),
        (config(" ", ""), "/template", "The template is empty."),
        (long, "/template", "A template has at most 65536 bytes here."),
        (config("1", r#","path":"/{{ x""#), "/path", "Line 1, column "),
        (config("1", r#","headers":{"x y":"1"}"#), "/headers/x y", "This is not the name of a header."),
        (config("1", r#","headers":{"x":"{{ y }}"}"#), "/headers/x", "Line 1, column 4: There is no `y`"),
        (config("1", r#","headers":{"x":"1","X":"1"}"#), "/headers/X", "Two headers have this name."),
        (config("1", r#","format":"xml""#), "/format", "Unknown variant"),
        (config("1", r#","content_type":"""#), "/content_type", "A content type has 1 to 200 characters."),
        ("{}".to_owned(), "", "Missing field `template`."),
    ];
    for (config, pointer, begins) in table {
        let errors = test::config_errors::<Plugin>(&config);
        let first = errors.first().map(|error| (error.pointer.as_str(), error.message.as_str()));
        assert!(
            first.is_some_and(|(at, message)| at == pointer && message.starts_with(begins)),
            "{config}: {errors:?}"
        );
    }
    let good = "{% for i in payload.x %}{{ loop.index }}{% endfor %}{% set a = 1 %}{{ a }}{{ range(3)|list }}{{ namespace() }}{% if payload is mapping %}{% endif %}";
    assert_eq!(test::config_errors::<Plugin>(&config(good, "")), []);
}

#[test]
fn no_template_panics() {
    let template = r#"{"a": "{{ payload.text|truncate(3) }}", {% for x in payload.list %}{{ x }},{% endfor %}"é": {{ 1 }}}"#;
    for (end, _) in template.char_indices() {
        rendered(&template[..end], "");
        rendered(&format!("{}%}}{{{{\"é{}", &template[..end], &template[end..]), "");
    }
}
