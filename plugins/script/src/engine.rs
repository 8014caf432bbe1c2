//! The JavaScript engine: a script goes in, a function comes out, and what went wrong has a place.

use std::{fmt, path::Path};

use boa_engine::{
    Context, JsArgs, JsError, JsNativeError, JsResult, JsValue, NativeFunction, Script, Source,
    builtins::error::Error as ErrorObject,
    js_string,
    object::{ObjectInitializer, builtins::JsFunction},
    property::Attribute,
};
use hookwright_plugin::{
    Failure,
    log::{self, Level},
};

/// A fresh engine, with `console` and `addHandler`.
pub(crate) struct Engine {
    pub(crate) context: Context,
    code: String,
}

/// The function that shapes messages, and what it expects.
pub(crate) struct Handler {
    pub(crate) function: JsFunction,
    pub(crate) style: Style,
}

/// How a handler is called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// `handler(webhook)`, with `webhook.payload`.
    Webhook,
    /// `addHandler("transform", (request, context) => ...)`, with `request.body`.
    Request,
}

/// What is wrong with a script or what went wrong in it, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    message: String,
    place: Option<Place>,
}

/// A line and a column, both from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    line: u32,
    column: u32,
    /// The engine knows no better place than the beginning of the function.
    is_function: bool,
}

impl Engine {
    pub(crate) fn start() -> Self {
        let mut context = Context::default();
        let limits = context.runtime_limits_mut();
        limits.set_recursion_limit(MAX_CALLS);
        limits.set_backtrace_limit(MAX_TRACE);
        let mut engine = Self { context, code: String::new() };
        engine.furnish();
        engine
    }

    /// Runs a script, and gives the handler that it declares.
    pub(crate) fn load(&mut self, code: &str) -> Result<Handler, Fault> {
        code.clone_into(&mut self.code);
        let source = Source::from_bytes(code).with_path(Path::new(NAME));
        let script =
            Script::parse(source, None, &mut self.context).map_err(|error| Fault::of_syntax(&error, code))?;
        script.evaluate(&mut self.context).map_err(|error| self.fault(&error))?;
        self.handler()
    }

    /// What an error says to a person.
    pub(crate) fn fault(&self, error: &JsError) -> Fault {
        let text = error.to_string();
        let place = text.lines().find_map(place_in_trace);
        let shown: Vec<_> = text.lines().take_while(|line| !line.starts_with(TRACE)).collect();
        let message = without_place(&shown.join(" ")).to_owned();
        let place = place.map(|place| Place { is_function: self.opens_function(place), ..place });
        Fault { message, place }
    }

    fn opens_function(&self, place: Place) -> bool {
        let before = |n: u32| usize::try_from(n.saturating_sub(1)).unwrap_or(usize::MAX);
        let line = self.code.lines().nth(before(place.line));
        line.and_then(|line| line.chars().nth(before(place.column))) == Some('{')
    }

    fn handler(&mut self) -> Result<Handler, Fault> {
        if let Some(Registered(function)) = self.context.get_data::<Registered>() {
            return Ok(Handler { function: function.clone(), style: Style::Request });
        }
        // One that is declared with `const` is no member of the global object, but a script sees it.
        let found = self.context.eval(Source::from_bytes(FIND_HANDLER)).ok();
        match found.as_ref().and_then(JsValue::as_object).and_then(JsFunction::from_object) {
            Some(function) => Ok(Handler { function, style: Style::Webhook }),
            None => Err(Fault::plain(
                "The script has no handler; it needs `function handler(webhook) { ... return webhook; }`.",
            )),
        }
    }

    fn furnish(&mut self) {
        let context = &mut self.context;
        let console = ObjectInitializer::new(context)
            .function(NativeFunction::from_fn_ptr(say_debug), js_string!("debug"), 0)
            .function(NativeFunction::from_fn_ptr(say_info), js_string!("log"), 0)
            .function(NativeFunction::from_fn_ptr(say_info), js_string!("info"), 0)
            .function(NativeFunction::from_fn_ptr(say_warning), js_string!("warn"), 0)
            .function(NativeFunction::from_fn_ptr(say_error), js_string!("error"), 0)
            .build();
        // Both fail only where the global object is closed, and a fresh one is open.
        let _ = context.register_global_property(js_string!("console"), console, Attribute::all());
        let add = NativeFunction::from_fn_ptr(add_handler);
        let _ = context.register_global_builtin_callable(js_string!("addHandler"), 2, add);
    }
}

impl Fault {
    pub(crate) fn plain(message: impl Into<String>) -> Self {
        Self { message: message.into(), place: None }
    }

    pub(crate) fn failure(&self) -> Failure {
        Failure::new("script-error", self.to_string())
    }

    fn of_syntax(error: &JsError, code: &str) -> Self {
        let text = error.to_string();
        let text = without_place(text.lines().next().unwrap_or_default());
        let text = text.strip_prefix("SyntaxError: ").unwrap_or(text);
        let (message, place) = match text.rsplit_once(" at line ") {
            Some((message, place)) => (message, place.split_once(", col ").and_then(place_of)),
            None if text == "abrupt end" => ("the script ends too early", Some(end_of(code))),
            None => (text, Some(first_line_with(text, code))),
        };
        Self { message: format!("SyntaxError: {message}"), place }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(Place { line, column, is_function }) = self.place {
            let of = if is_function { "In the function at line" } else { "Line" };
            write!(f, "{of} {line}, column {column}: ")?;
        }
        let stop = if self.message.ends_with(['.', '!', '?']) { "" } else { "." };
        write!(f, "{}{stop}", self.message)
    }
}

/// In places of the script.
const NAME: &str = "script";
const FIND_HANDLER: &str = "typeof handler === 'function' ? handler : undefined";
/// How deep calls may nest. Calls through the engine's own functions, such as `map`, use its stack.
const MAX_CALLS: usize = 256;
/// The most calls that an error remembers.
const MAX_TRACE: usize = 16;
/// How a line of an error's trace begins.
const TRACE: &str = "    at ";

struct Registered(JsFunction);

fn add_handler(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let function = arguments.get_or_undefined(1).as_object().and_then(JsFunction::from_object);
    let kind = arguments.get_or_undefined(0).to_string(context)?;
    match function {
        Some(function) if kind == js_string!("transform") => {
            context.insert_data(Registered(function));
            Ok(JsValue::undefined())
        }
        _ => Err(JsNativeError::typ().with_message("addHandler takes \"transform\" and a function").into()),
    }
}

fn say_debug(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    say(Level::Debug, arguments, context)
}

fn say_info(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    say(Level::Info, arguments, context)
}

fn say_warning(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    say(Level::Warn, arguments, context)
}

fn say_error(_: &JsValue, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    say(Level::Error, arguments, context)
}

/// Strings as they are, anything else as a person would write it down.
fn say(level: Level, arguments: &[JsValue], context: &mut Context) -> JsResult<JsValue> {
    let mut line = String::new();
    for argument in arguments {
        if !line.is_empty() {
            line.push(' ');
        }
        match argument.as_string() {
            Some(text) => line.push_str(&text.to_std_string_lossy()),
            None => line.push_str(&shown(argument, context)?),
        }
    }
    log::write(level, &line);
    Ok(JsValue::undefined())
}

fn shown(value: &JsValue, context: &mut Context) -> JsResult<String> {
    let is_data =
        value.as_object().is_some_and(|object| !object.is_callable() && !object.is::<ErrorObject>());
    if is_data && let Some(json) = crate::convert::stringify(value, None, context)? {
        return Ok(json);
    }
    Ok(value.to_string(context)?.to_std_string_lossy())
}

/// From `    at handler (script:3:12)`.
fn place_in_trace(line: &str) -> Option<Place> {
    let (_, place) = line.strip_prefix(TRACE)?.rsplit_once('(')?;
    let mut parts = place.strip_suffix(')')?.rsplit(':');
    let (column, row) = (parts.next()?, parts.next()?);
    place_of((row, column))
}

/// `TypeError: ... (script:3:12)` says where it was made, which the trace says better.
fn without_place(message: &str) -> &str {
    match message.rsplit_once(" (") {
        Some((message, place)) if place.starts_with(NAME) || place.starts_with("native") => message,
        _ => message,
    }
}

fn place_of((line, column): (&str, &str)) -> Option<Place> {
    Some(Place { line: line.parse().ok()?, column: column.parse().ok()?, is_function: false })
}

/// For what the engine tells without a place, such as a text without its end: the first line that brings it about.
fn first_line_with(message: &str, code: &str) -> Place {
    let ends: Vec<usize> = code.match_indices('\n').map(|(at, _)| at + 1).chain([code.len()]).collect();
    let says = |end: &usize| {
        let mut context = Context::default();
        let parsed = Script::parse(Source::from_bytes(&code[..*end]), None, &mut context);
        parsed.is_err_and(|error| error.to_string().contains(message))
    };
    let line = ends.partition_point(|end| !says(end)).min(ends.len() - 1);
    let start = line.checked_sub(1).map_or(0, |before| ends[before]);
    let indent = code[start..].chars().take_while(|c| matches!(c, ' ' | '\t')).count();
    Place { line: one_more(line), column: one_more(indent), is_function: false }
}

fn one_more(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX).saturating_add(1)
}

fn end_of(code: &str) -> Place {
    let (line, last) = code.split('\n').enumerate().last().unwrap_or((0, ""));
    Place { line: one_more(line), column: one_more(last.chars().count()), is_function: false }
}
