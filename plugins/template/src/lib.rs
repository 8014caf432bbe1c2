//! `template`: a body from a template in the language of Jinja.

use hookwright_plugin::{JSON, config::join, json, prelude::*, text::Unit};

mod dates;
mod engine;
mod filters;
mod form;
mod numbers;
mod quotes;
mod values;
mod write;

use engine::{Ending, Engine, Fault};
use values::Headers;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The template of the body.
    #[schemars(length(min = 1, max = 65536))]
    pub template: String,
    /// What comes out.
    #[serde(default)]
    pub format: Format,
    /// What a name stands for that nothing has.
    #[serde(default)]
    pub undefined: Undefined,
    /// Another content type than that of the format.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    pub content_type: Option<String>,
    /// A template of the method, such as `PUT`.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub method: Option<String>,
    /// A template of path and query. What comes from the payload is percent-encoded.
    #[serde(default)]
    #[schemars(length(max = 8192))]
    pub path: Option<String>,
    /// Names of headers and templates of their values. A header that comes to nothing is left out.
    #[serde(default)]
    pub headers: Headers,
}

/// What comes out of a template.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// JSON, and checked to be that. Values are written as JSON, and as text inside of quotes.
    #[default]
    Json,
    /// Lines of JSON, each checked.
    Ndjson,
    /// Any text. Values are written as text.
    Text,
    /// A form: the template makes a JSON object, whose members become fields.
    Form,
}

/// What a name stands for that nothing has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Undefined {
    /// It is an error, except where `default` or `is defined` asks for it.
    #[default]
    Strict,
    /// It is `null` in JSON and nothing in a text.
    Lenient,
}

hookwright_plugin::plugin! {
    summary: "Writes the body from a template in the language of Jinja, and checks what comes out.",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "JSON: as JSON, and as text inside of quotes",
            "document.exported",
            r#"{"document":{"invoice_number":"INV \"42\"","vendor_name":"Café 😀","total_amount":12500.00,"currency":"CNY"},"line_items":[{"amount":12345678901234567890.10,"n":1}, {"amount":5.50}]}"#,
        )
        .config(r#"{"template":"{\"text\": \"Invoice {{ payload.document.invoice_number }} of {{ payload.document.vendor_name }}: {{ payload.document.total_amount|number(2, ',') }} {{ payload.document.currency }}\",\n \"lines\": [{% for line in payload.line_items %}{{ line.amount }}{% if not loop.last %}, {% endif %}{% endfor %}],\n \"first\": {{ payload.line_items[0] }}}"}"#)
        .becomes("{\"text\": \"Invoice INV \\\"42\\\" of Café 😀: 12,500.00 CNY\",\n \"lines\": [12345678901234567890.10, 5.50],\n \"first\": {\"amount\":12345678901234567890.10,\"n\":1}}"),
        Example::new("Not for this endpoint", "contact.created", r#"{"status":"draft"}"#)
            .config(r#"{"template":"{% if payload.status == 'draft' %}{{ drop('it is a draft') }}{% endif %}{{ payload }}"}"#)
            .drops("it is a draft"),
        Example::new("A form", "contact.created", r#"{"name":"Müller & Söhne","since":"2026-03-22T08:30:00Z"}"#)
            .config(r#"{"format":"form","template":"{\"name\": {{ payload.name }}, \"since\": \"{{ payload.since|date('%d.%m.%Y %H:%M', '+01:00') }}\"}"}"#)
            .comes_to(Verdict::Replace(Message {
                content_type: FORM.to_owned(),
                ..Message::json("name=M%C3%BCller+%26+S%C3%B6hne&since=22.03.2026+09%3A30")
            })),
    ],
}

const FORM: &str = "application/x-www-form-urlencoded";
/// The longest template, in bytes. It is compiled on every call.
const MAX_TEMPLATE: usize = 64 << 10;
/// The longest template of a method, a path or a header, in bytes.
const MAX_SHORT: usize = 8 << 10;
/// The most headers.
const MAX_HEADERS: usize = 50;

impl Format {
    fn content_type(self) -> &'static str {
        match self {
            Self::Json => JSON,
            Self::Ndjson => "application/x-ndjson",
            Self::Text => "text/plain; charset=utf-8",
            Self::Form => FORM,
        }
    }
}

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let engine = Engine::new(config.undefined);
    let context = values::context(event, message, engine.numbers())?;
    match replaced(&engine, &context, message, config) {
        Ok(message) => Ok(Verdict::Replace(message)),
        Err(Ending::Drop(reason)) => Ok(Verdict::drop(reason)),
        Err(Ending::Reject(reason)) => Ok(Verdict::reject(reason)),
        Err(Ending::Fault(fault)) => Err(fault.failure()),
    }
}

fn replaced(
    engine: &Engine,
    context: &engine::Context,
    message: &Message,
    config: &Config,
) -> Result<Message, Ending> {
    let short = |name: &str, mode, text: &Option<String>| {
        let text = text.as_ref().map(|text| engine.render(name, mode, text, context));
        text.transpose().map(|text| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    };
    let rendered = engine.render("template", engine::Mode::of(config.format), &config.template, context)?;
    let body = checked(config.format, &rendered)?;
    let mut headers = message.headers.clone();
    for (name, template) in &config.headers.0 {
        headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        let value = short(name, engine::Mode::Header, &Some(template.clone()))?;
        headers.extend(value.map(|value| (name.clone(), value)));
    }
    let content_type = config.content_type.as_deref().unwrap_or(config.format.content_type());
    Ok(Message {
        method: short("method", engine::Mode::Text, &config.method)?.or_else(|| message.method.clone()),
        path_and_query: short("path", engine::Mode::Path, &config.path)?
            .or_else(|| message.path_and_query.clone()),
        content_type: content_type.to_owned(),
        headers,
        body: body.into_bytes(),
    })
}

/// Holds what was written to its format.
fn checked(format: Format, text: &str) -> Result<String, Fault> {
    let space = [' ', '\t', '\r', '\n'];
    match format {
        Format::Text => Ok(text.to_owned()),
        Format::Json => {
            let text = text.trim_matches(space);
            json::parse(text.as_bytes()).map_err(|error| Fault::not_json(&error, text, None))?;
            Ok(text.to_owned())
        }
        Format::Ndjson => {
            let mut out = String::with_capacity(text.len());
            let lines = text.lines().map(|line| line.trim_matches(space)).filter(|line| !line.is_empty());
            for (index, line) in lines.enumerate() {
                json::parse(line.as_bytes())
                    .map_err(|error| Fault::not_json(&error, line, Some(index + 1)))?;
                out.push_str(line);
                out.push('\n');
            }
            Ok(out)
        }
        Format::Form => {
            let value = json::parse(text.as_bytes()).map_err(|error| Fault::not_json(&error, text, None))?;
            form::encoded(&value)
                .ok_or_else(|| Fault::output("What the template wrote is no JSON object, and so no form."))
        }
    }
}

fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let engine = Engine::new(config.undefined);
    let mut errors = Vec::new();
    let mut read = |pointer: &str, mode, text: &str, most: usize| {
        if text.len() > most {
            errors.push(ConfigError::new(pointer, format!("A template has at most {most} bytes here.")));
        } else {
            errors.extend(
                engine.check(mode, text).err().map(|fault| ConfigError::new(pointer, fault.to_string())),
            );
        }
    };
    read("/template", engine::Mode::of(config.format), &config.template, MAX_TEMPLATE);
    read("/method", engine::Mode::Text, config.method.as_deref().unwrap_or_default(), MAX_SHORT);
    read("/path", engine::Mode::Path, config.path.as_deref().unwrap_or_default(), MAX_SHORT);
    for (name, template) in &config.headers.0 {
        read(&join("/headers", name), engine::Mode::Header, template, MAX_SHORT);
    }
    check_headers(config, &mut errors);
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn check_headers(config: &Config, errors: &mut Vec<ConfigError>) {
    if config.template.trim().is_empty() {
        errors.push(ConfigError::new("/template", "The template is empty."));
    }
    if config.headers.0.len() > MAX_HEADERS {
        errors.push(ConfigError::new("/headers", "There are at most 50 headers."));
    }
    for (index, (name, _)) in config.headers.0.iter().enumerate() {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let pointer = join("/headers", name);
        if name.is_empty() || !name.bytes().all(token) {
            errors.push(ConfigError::new(pointer, "This is not the name of a header."));
        } else if config.headers.0[..index].iter().any(|(earlier, _)| earlier.eq_ignore_ascii_case(name)) {
            errors.push(ConfigError::new(pointer, "Two headers have this name."));
        }
    }
    let length =
        |text: &String| (1..=200).contains(&Unit::Chars.measure(text)) && !text.contains(char::is_control);
    if !config.content_type.as_ref().is_none_or(length) {
        errors.push(ConfigError::new("/content_type", "A content type has 1 to 200 characters."));
    }
}

#[cfg(test)]
mod tests;
