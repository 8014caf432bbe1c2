//! The template engine: compiled per call, bounded, and with errors that have a place.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, Mutex},
};

use hookwright_plugin::{Failure, json};
use minijinja::{AutoEscape, Environment, Error, Output, State, UndefinedBehavior, value::Value};

use crate::{
    Format, Undefined, filters,
    numbers::Numbers,
    quotes, values,
    write::{self, Writer},
};

/// Names and what they stand for.
pub(crate) type Context = Vec<(&'static str, Value)>;

/// How values are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As JSON, byte for byte as it was.
    Json,
    /// As JSON on one line.
    Line,
    Text,
    /// As text without control characters.
    Header,
    /// Percent-encoded.
    Path,
}

/// Why there is no message to send.
#[derive(Debug)]
pub(crate) enum Ending {
    Drop(String),
    Reject(String),
    Fault(Fault),
}

/// What went wrong, and where in the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    code: &'static str,
    message: String,
    /// Line and column, both from 1.
    place: Option<(usize, usize)>,
}

/// What a template said with `drop` or `reject`.
pub(crate) type Said = Arc<Mutex<Option<Ending>>>;

pub(crate) struct Engine {
    environment: Environment<'static>,
    numbers: Arc<Numbers>,
    said: Said,
}

/// How many steps a template may take. The host's limit on time stands behind it.
const FUEL: u64 = 2_000_000;
/// How deep macros may nest.
const MAX_RECURSION: usize = 64;

impl Mode {
    pub(crate) fn of(format: Format) -> Self {
        match format {
            Format::Json => Self::Json,
            Format::Ndjson | Format::Form => Self::Line,
            Format::Text => Self::Text,
        }
    }

    fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Line)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Line => "line",
            Self::Text => "text",
            Self::Header => "header",
            Self::Path => "path",
        }
    }
}

impl Engine {
    pub(crate) fn new(undefined: Undefined) -> Self {
        let (numbers, said) = (Arc::new(Numbers::default()), Said::default());
        let mut environment = Environment::new();
        environment.set_debug(true);
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(MAX_RECURSION);
        environment.set_undefined_behavior(match undefined {
            Undefined::Strict => UndefinedBehavior::Strict,
            Undefined::Lenient => UndefinedBehavior::Chainable,
        });
        // A template is named after its mode.
        environment.set_auto_escape_callback(|name| AutoEscape::Custom(Cow::Owned(name.to_owned())));
        // The default delimiters, which are no error.
        if let Ok(syntax) = minijinja::syntax::SyntaxConfig::builder().keep_trailing_newline(true).build() {
            environment.set_syntax(syntax);
        }
        environment.remove_global("debug");
        let writer = Writer { numbers: numbers.clone(), strict: undefined == Undefined::Strict };
        filters::add(&mut environment, &writer, &said);
        environment.set_formatter(move |out, state, value| format(out, state, value, &writer));
        Self { environment, numbers, said }
    }

    pub(crate) fn numbers(&self) -> &Arc<Numbers> {
        &self.numbers
    }

    /// Renders a template; `member` is its name in the configuration.
    pub(crate) fn render(
        &self,
        member: &str,
        mode: Mode,
        template: &str,
        context: &Context,
    ) -> Result<String, Ending> {
        let text = quotes::rewrite(template, mode.is_json());
        let context = Value::from_pairs(context.clone());
        let compiled = self.environment.template_from_named_str(mode.name(), &text.text);
        let rendered = compiled.and_then(|template| template.render(context));
        rendered.map_err(|error| {
            let said = self.said.lock().ok().and_then(|mut said| said.take());
            said.unwrap_or_else(|| {
                let mut fault = Fault::of(&error, &text, template);
                if member != "template" {
                    fault.message = format!("In `{member}`: {}", fault.message);
                }
                Ending::Fault(fault)
            })
        })
    }

    /// Everything that can be known about a template before it is used.
    pub(crate) fn check(&self, mode: Mode, template: &str) -> Result<(), Fault> {
        let text = quotes::rewrite(template, mode.is_json());
        let compiled = self.environment.template_from_named_str(mode.name(), &text.text);
        let compiled = compiled.map_err(|error| Fault::of(&error, &text, template))?;
        for (name, at) in &text.filters {
            if !self.knows_filter(name) {
                return Err(Fault::at(template, *at, format!("There is no filter `{name}`")));
            }
        }
        let mut unknown: Vec<_> = compiled.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| !values::NAMES.contains(&name.as_str()) && !self.is_global(name));
        unknown.sort();
        match unknown.first() {
            None => Ok(()),
            Some(name) => {
                let at = text.names.iter().find(|(known, _)| known == name).map_or(0, |(_, at)| *at);
                let message = format!("There is no `{name}`; there are `{}`", values::NAMES.join("`, `"));
                Err(Fault::at(template, at, message))
            }
        }
    }

    fn is_global(&self, name: &str) -> bool {
        self.environment.globals().any(|(global, _)| global == name)
    }

    fn knows_filter(&self, name: &str) -> bool {
        let asked = self.environment.compile_expression("name is filter");
        let answer = asked.and_then(|asked| asked.eval(Value::from_pairs([("name", name)])));
        answer.is_ok_and(|answer| answer.is_true())
    }
}

impl Fault {
    pub(crate) fn output(message: &str) -> Self {
        Self { code: Failure::BAD_OUTPUT, message: message.to_owned(), place: None }
    }

    /// What was written, or which line of it, and where it stops to be JSON.
    pub(crate) fn not_json(error: &json::Error, text: &str, line: Option<usize>) -> Self {
        const SHOWN: usize = 30;
        let what = match line {
            Some(line) => format!("Line {line} of what the template wrote"),
            None => "What the template wrote".to_owned(),
        };
        if text.is_empty() {
            return Self::output(&format!("{what} is empty, and so no JSON."));
        }
        let (before, after) = text.split_at_checked(error.offset).unwrap_or((text, ""));
        let before: String = before.chars().skip(before.chars().count().saturating_sub(SHOWN)).collect();
        let after: String = after.chars().take(SHOWN).collect();
        Self::output(&format!("{what} is not JSON, {error}: it is `{before}` and then `{after}`."))
    }

    pub(crate) fn failure(&self) -> Failure {
        Failure::new(self.code, self.to_string())
    }

    fn of(error: &Error, text: &quotes::Rewritten, template: &str) -> Self {
        let message = match error.detail() {
            Some(detail) => format!("{}: {detail}", error.kind()),
            None => error.kind().to_string(),
        };
        let mut fault = match error.range() {
            Some(range) => Self::at(template, text.original(range.start), message),
            None => Self { place: error.line().map(|line| (line, 1)), ..Self::at(template, 0, message) },
        };
        let mut first = fault.message.chars();
        if let Some(letter) = first.next() {
            fault.message = letter.to_uppercase().chain(first).collect();
        }
        fault
    }

    fn at(template: &str, offset: usize, message: String) -> Self {
        let before = template.get(..offset).unwrap_or(template);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Self { code: "template-error", message, place: Some((line, column)) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((line, column)) = self.place {
            write!(f, "Line {line}, column {column}: ")?;
        }
        let stop = if self.message.ends_with(['.', '!', '?']) { "" } else { "." };
        write!(f, "{}{stop}", self.message)
    }
}

impl From<Fault> for Ending {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

fn format(
    out: &mut Output<'_>,
    state: &mut State<'_, '_>,
    value: &Value,
    writer: &Writer,
) -> Result<(), Error> {
    if value.is_safe() {
        return Ok(out.write_str(value.as_str().unwrap_or_default())?);
    }
    let mode = match state.auto_escape() {
        AutoEscape::Custom(mode) => mode.as_ref(),
        _ => Mode::Text.name(),
    };
    let written = match mode {
        "json" => Cow::Owned(writer.json(value, false)?),
        "line" => Cow::Owned(writer.json(value, true)?),
        "path" => Cow::Owned(write::percent(&writer.text(value)?)),
        "header" => Cow::Owned(writer.text(value)?.replace(char::is_control, " ")),
        _ => writer.text(value)?,
    };
    Ok(out.write_str(&written)?)
}
