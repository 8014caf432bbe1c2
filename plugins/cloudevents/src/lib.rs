//! `cloudevents`: a CloudEvent 1.0, structured or binary.

use hookwright_plugin::{
    config::join,
    json::{self, Value},
    prelude::*,
};

mod attributes;
mod encode;

pub use attributes::{Constant, Extensions};

use attributes::Attributes;

/// The configuration. As it stands without one, the event says of itself what it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the attributes stand.
    pub mode: Mode,
    /// In what context the event happened: a URI reference.
    pub source: Template,
    /// What kind of event it is.
    #[serde(rename = "type")]
    pub kind: Template,
    /// What it is about, within the source. Left out where it comes to nothing.
    pub subject: Option<Template>,
    /// The URI of the schema that the data follows. Left out where it comes to nothing.
    pub dataschema: Option<Template>,
    /// More attributes: a template, or a number or boolean as it is written. What comes to nothing is left out.
    pub extensions: Extensions,
}

/// Where the attributes stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Beside the data, in one JSON object.
    #[default]
    Structured,
    /// In headers, `ce-type` and so on. The payload stays as it is.
    Binary,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Structured,
            source: template("urn:hookwright:{@tenant}"),
            kind: template("{@type}"),
            subject: None,
            dataschema: None,
            extensions: Extensions::default(),
        }
    }
}

/// For the defaults of this file, which parse; a test reads them.
fn template(text: &str) -> Template {
    Template::parse(text).unwrap_or_default()
}

hookwright_plugin::plugin! {
    summary: "Makes a CloudEvent 1.0 of a message, structured or binary.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new("Structured, as it stands", "contact.created", r#"{ "name": "Café Müller 😀", "balance": 12345678901234567890.10 }"#)
            .comes_to(Verdict::Replace(Message {
                content_type: STRUCTURED.to_owned(),
                ..Message::json(r#"{"specversion":"1.0","id":"evt_example","source":"urn:hookwright:default","type":"contact.created","time":"2026-03-22T08:30:00Z","datacontenttype":"application/json","data":{ "name": "Café Müller 😀", "balance": 12345678901234567890.10 }}"#)
            })),
        Example::new("Binary, with a subject and an extension", "document.exported", r#"{"document":{"invoice_number":"INV 42 % \"é\"","pages":3}}"#)
            .config(r#"{"mode":"binary","source":"https://example.com/records","subject":"{document.invoice_number}","extensions":{"pages":"{document.pages}","sampledrate":1}}"#)
            .comes_to(Verdict::Replace(Message {
                headers: [
                    ("ce-specversion", "1.0"),
                    ("ce-id", "evt_example"),
                    ("ce-source", "https://example.com/records"),
                    ("ce-type", "document.exported"),
                    ("ce-time", "2026-03-22T08:30:00Z"),
                    ("ce-subject", "INV%2042%20%25%20%22%C3%A9%22"),
                    ("ce-pages", "3"),
                    ("ce-sampledrate", "1"),
                ]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
                ..Message::json(r#"{"document":{"invoice_number":"INV 42 % \"é\"","pages":3}}"#)
            })),
    ],
}

/// Of a structured event.
const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";
/// The most extensions.
const MAX_EXTENSIONS: usize = 50;
/// The longest name of an extension, as the specification recommends it.
const MAX_NAME: usize = 20;
/// What an extension cannot be called.
const RESERVED: [&str; 11] = [
    "id",
    "source",
    "type",
    "specversion",
    "time",
    "subject",
    "dataschema",
    "datacontenttype",
    "data",
    "data_base64",
    "base64",
];

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let parsed = json::parse(&message.body);
    let payload = parsed.as_ref().unwrap_or(&Value::Null);
    let attributes = Attributes::of(event, payload, config)?;
    Ok(Verdict::Replace(match config.mode {
        Mode::Structured => Message {
            content_type: STRUCTURED.to_owned(),
            body: structured(&attributes, message, parsed.is_ok()).into_bytes(),
            ..message.clone()
        },
        Mode::Binary => Message { headers: binary(&attributes, message), ..message.clone() },
    }))
}

fn structured(attributes: &Attributes, message: &Message, is_json: bool) -> String {
    let mut out = String::with_capacity(message.body.len() + 512);
    out.push('{');
    for (name, value) in attributes.all() {
        json::escape(name, &mut out);
        out.push(':');
        value.write(&mut out);
        out.push(',');
    }
    out.push_str("\"datacontenttype\":");
    json::escape(&message.content_type, &mut out);
    match std::str::from_utf8(&message.body) {
        Ok(text) if is_json && encode::is_json(&message.content_type) => {
            out.push_str(",\"data\":");
            out.push_str(text.trim_matches([' ', '\t', '\r', '\n']));
        }
        Ok(text) if !encode::is_json(&message.content_type) => {
            out.push_str(",\"data\":");
            json::escape(text, &mut out);
        }
        _ => {
            out.push_str(",\"data_base64\":\"");
            encode::base64(&message.body, &mut out);
            out.push('"');
        }
    }
    out.push('}');
    out
}

/// The message's own headers, and then the attributes. The content type says what the data is.
fn binary(attributes: &Attributes, message: &Message) -> Vec<(String, String)> {
    let ours = |name: &str| name.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("ce-"));
    let mut headers: Vec<_> = message.headers.iter().filter(|(name, _)| !ours(name)).cloned().collect();
    let attributes = attributes.all();
    headers.extend(attributes.map(|(name, value)| (format!("ce-{name}"), encode::header(&value.text()))));
    headers
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let mut errors = Vec::new();
    let extensions = &config.extensions.0;
    if extensions.len() > MAX_EXTENSIONS {
        errors.push(ConfigError::new("/extensions", "There are at most 50 extensions."));
    }
    for (index, (name, _)) in extensions.iter().enumerate() {
        let mut refuse = |message: &str| errors.push(ConfigError::new(join("/extensions", name), message));
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if RESERVED.contains(&name.as_str()) {
            refuse("An extension cannot have the name of an attribute.");
        } else if !plain || !(1..=MAX_NAME).contains(&name.len()) {
            refuse("The name of an extension has 1 to 20 characters, a to z and 0 to 9.");
        } else if extensions[..index].iter().any(|(earlier, _)| earlier == name) {
            refuse("Two extensions have this name.");
        }
    }
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use hookwright_plugin::{JSON, test};

    use super::*;

    fn replaced(event: &Event, message: &Message, config: &str) -> Message {
        match test::call_with::<Plugin>(event, message, config) {
            Ok(Verdict::Replace(message)) => message,
            other => panic!("{config}: {other:?}"),
        }
    }

    fn text(message: Message) -> String {
        String::from_utf8(message.body).expect("text")
    }

    #[test]
    fn examples_hold() {
        test::run_examples::<Plugin>();
        assert!(Template::parse("urn:hookwright:{@tenant}").is_ok() && Template::parse("{@type}").is_ok());
    }

    #[test]
    fn data_is_json_text_or_bytes() {
        let table: [(&str, &[u8], &str); 7] = [
            (JSON, b" {\"n\": 1.0}\n", r#""datacontenttype":"application/json","data":{"n": 1.0}}"#),
            ("application/vnd.x+json; charset=utf-8", b"1e400", r#""data":1e400}"#),
            ("text/plain", "a \"b\" é".as_bytes(), r#""datacontenttype":"text/plain","data":"a \"b\" é"}"#),
            ("application/xml", b"<much wow=\"xml\"/>", r#""data":"<much wow=\"xml\"/>"}"#),
            ("application/octet-stream", b"\xff\xfe\x00", r#""data_base64":"//4A"}"#),
            (JSON, b"{", r#""data_base64":"ew=="}"#),
            (JSON, b"\xff", r#""data_base64":"/w=="}"#),
        ];
        for (content_type, body, end) in table {
            let message = Message { content_type: content_type.to_owned(), ..Message::json(body) };
            let out = text(replaced(&test::event("a"), &message, "{}"));
            assert!(out.ends_with(end), "{content_type}: {out}");
            assert!(json::parse(out.as_bytes()).is_ok(), "{out}");
        }
    }

    #[test]
    fn attributes_come_from_event_and_payload() {
        let config = r#"{"source":"https://e.test/a b/{name}","type":"com.example.{@type}","subject":"{name}","dataschema":"https://e.test/{@type}.json","extensions":{"tenant":"{@tenant}","n":12500.00,"ok":true,"none":"{missing}","big":"{n}"}}"#;
        let message = Message::json(r#"{"name":"é\u0007 x","n":12345678901234567890.10}"#);
        let out = text(replaced(&test::event("x.y"), &message, config));
        let expected = concat!(
            r#"{"specversion":"1.0","id":"evt_example","source":"https://e.test/a%20b/%C3%A9%07%20x","type":"com.example.x.y","#,
            r#""time":"2026-03-22T08:30:00Z","subject":"é x","dataschema":"https://e.test/x.y.json","#,
            r#""tenant":"default","n":"12500.00","ok":true,"big":"12345678901234567890.10","#,
        );
        assert!(out.starts_with(expected), "{out}");
    }

    #[test]
    fn binary_leaves_the_body_and_encodes_what_headers_cannot_carry() {
        let table = [
            ("Euro € 😀", "Euro%20%E2%82%AC%20%F0%9F%98%80"),
            ("100% \\\"sure\\\"", "100%25%20%22sure%22"),
            ("a~!b", "a~!b"),
            ("\\u0000\\u007f\\u0085x", "x"),
        ];
        for (name, header) in table {
            let mut message = Message::json(format!("{{\"name\": \"{name}\"}}\n"));
            message.headers =
                vec![("x-one".to_owned(), "1".to_owned()), ("CE-Type".to_owned(), "old".to_owned())];
            let out = replaced(&test::event("a"), &message, r#"{"mode":"binary","subject":"{name}"}"#);
            assert_eq!((&out.body, &out.content_type), (&message.body, &message.content_type));
            assert_eq!(out.headers[0], message.headers[0]);
            let of = |wanted: &str| {
                let mut all = out.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
                (all.next().map(|(_, value)| value.as_str()), all.next())
            };
            assert_eq!(of("ce-subject"), (Some(header), None), "{name}");
            assert_eq!(of("ce-type"), (Some("a"), None));
        }
    }

    #[test]
    fn an_empty_source_or_type_fails() {
        for config in [r#"{"source":"{missing}"}"#, r#"{"type":" "}"#] {
            let failure = test::call::<Plugin>("a", "{}", config).expect_err(config);
            assert_eq!(failure.code, "missing", "{config}");
        }
    }

    #[test]
    fn configurations_are_checked() {
        let table = [
            (r#"{"mode":"batch"}"#, "/mode"),
            (r#"{"source":"{a"}"#, "/source"),
            (r#"{"extensions":{"Trace":"x"}}"#, "/extensions/Trace"),
            (r#"{"extensions":{"":"x"}}"#, "/extensions/"),
            (r#"{"extensions":{"a_b":"x"}}"#, "/extensions/a_b"),
            (r#"{"extensions":{"aaaaaaaaaaaaaaaaaaaaa":"x"}}"#, "/extensions/aaaaaaaaaaaaaaaaaaaaa"),
            (r#"{"extensions":{"data":"x"}}"#, "/extensions/data"),
            (r#"{"extensions":{"a":"x","a":"y"}}"#, "/extensions/a"),
            (r#"{"extensions":{"a":null}}"#, "/extensions/a"),
            (r#"{"extensions":{"a":[1]}}"#, "/extensions/a"),
            (r#"{"extensions":{"a":"{x"}}"#, "/extensions/a"),
            (r#"{"extensions":["a"]}"#, "/extensions"),
            (r#"{"sauce":"x"}"#, "/sauce"),
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
