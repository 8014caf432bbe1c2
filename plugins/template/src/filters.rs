//! What templates can do beyond the language itself.

use hookwright_plugin::{
    Timestamp, log,
    text::{self, Unit},
};
use minijinja::{Environment, Error, ErrorKind, value::Value};

use crate::{
    dates,
    engine::{Ending, Said},
    numbers::formatted,
    quotes::{CAPTURED, QUOTED, UNSAFE},
    write::{self, Writer},
};

/// The most decimal places of a number.
const MAX_DECIMALS: usize = 100;

pub(crate) fn add(environment: &mut Environment<'static>, writer: &Writer, said: &Said) {
    add_functions(environment, said);
    add_times(environment, writer);
    add_texts(environment, writer);
    let known = writer.clone();
    environment.add_filter(QUOTED, move |value: Value| {
        if value.is_safe() { Ok(value) } else { safe(write::inside_quotes(&known.text(&value)?)) }
    });
    let known = writer.clone();
    environment.add_filter(CAPTURED, move |value: Value| safe(known.text(&value)?.into_owned()));
    environment.add_filter(UNSAFE, |value: Value| Value::from(value.as_str().unwrap_or_default()));
    let known = writer.clone();
    environment.add_filter("tojson", move |value: Value| safe(known.json(&value, true)?));
    let known = writer.clone();
    environment.add_filter(
        "number",
        move |value: Value, decimals: Option<usize>, thousands: Option<String>, point: Option<String>| {
            let digits = match value.as_str() {
                Some(text) => Some(text.trim().to_owned()),
                None => write::number(&value, &known.numbers).filter(|_| value.is_number()),
            };
            let (thousands, point) = (thousands.unwrap_or_default(), point.unwrap_or_else(|| ".".to_owned()));
            let decimals = decimals.map(|decimals| decimals.min(MAX_DECIMALS));
            digits
                .and_then(|digits| formatted(&digits, decimals, &thousands, &point))
                .ok_or_else(|| wrong("number", "a number", &value))
        },
    );
}

fn add_functions(environment: &mut Environment<'static>, said: &Said) {
    let slot = said.clone();
    environment.add_function("drop", move |reason: String| end(&slot, Ending::Drop(reason)));
    let slot = said.clone();
    environment.add_function("reject", move |reason: String| end(&slot, Ending::Reject(reason)));
    environment.add_function("log", |line: String| {
        log::write(log::Level::Info, &line);
        Value::from_safe_string(String::new())
    });
}

fn add_times(environment: &mut Environment<'static>, writer: &Writer) {
    let known = writer.clone();
    environment.add_filter("date", move |value: Value, format: Option<String>, zone: Option<String>| {
        let time = time("date", &value, &known)?;
        let zone = zone.as_deref().unwrap_or("Z");
        let offset = dates::offset(zone)
            .ok_or_else(|| refuse(format!("{zone:?} is no offset from UTC, such as +01:00")))?;
        dates::write(time, offset, format.as_deref().unwrap_or("%Y-%m-%d")).map_err(refuse)
    });
    let known = writer.clone();
    environment.add_filter("epoch", move |value: Value, unit: Option<String>| {
        let time = time("epoch", &value, &known)?;
        match unit.as_deref() {
            None | Some("seconds") => Ok(time.unix_seconds()),
            Some("millis") => Ok(time.unix_millis()),
            Some("micros") => Ok(time.unix_micros()),
            Some(unit) => Err(refuse(format!("epoch knows seconds, millis and micros, not {unit:?}"))),
        }
    });
}

fn add_texts(environment: &mut Environment<'static>, writer: &Writer) {
    let known = writer.clone();
    environment.add_filter("truncate", move |value: Value, limit: usize, unit: Option<String>| {
        let unit = match unit.as_deref() {
            None | Some("chars") => Unit::Chars,
            Some("utf16") => Unit::Utf16,
            Some("bytes") => Unit::Bytes,
            Some(unit) => return Err(refuse(format!("truncate knows chars, utf16 and bytes, not {unit:?}"))),
        };
        Ok(text::cut(&known.text(&value)?, limit, unit).into_owned())
    });
    type Escape = fn(&str) -> String;
    let escapes: [(&str, Escape); 6] = [
        ("string", str::to_owned),
        ("slack", |text| text::escape_markup(text).into_owned()),
        ("html", html),
        ("escape", html),
        ("e", html),
        ("url", write::percent),
    ];
    for (name, escape) in escapes {
        let known = writer.clone();
        environment.add_filter(name, move |value: Value| known.text(&value).map(|text| escape(&text)));
    }
    let known = writer.clone();
    environment.add_filter("join", move |value: Value, between: Option<String>| {
        let mut out = String::new();
        for (index, element) in value.try_iter()?.enumerate() {
            out.push_str(if index > 0 { between.as_deref().unwrap_or_default() } else { "" });
            out.push_str(&known.text(&element)?);
        }
        Ok::<_, Error>(out)
    });
}

/// Ends the template; the error is seen by nobody.
fn end(said: &Said, ending: Ending) -> Result<Value, Error> {
    if let Ok(mut said) = said.lock() {
        *said = Some(ending);
    }
    Err(refuse("the template ended itself".to_owned()))
}

fn safe(text: String) -> Result<Value, Error> {
    Ok(Value::from_safe_string(text))
}

fn time(filter: &str, value: &Value, writer: &Writer) -> Result<Timestamp, Error> {
    dates::read(writer.text(value)?.trim()).ok_or_else(|| wrong(filter, "a time", value))
}

fn html(text: &str) -> String {
    text::escape_markup(text).replace('"', "&quot;").replace('\'', "&#39;")
}

fn wrong(filter: &str, wanted: &str, value: &Value) -> Error {
    let shown: String = format!("{value:?}").chars().take(60).collect();
    refuse(format!("`{filter}` needs {wanted}, and this is {shown}"))
}

fn refuse(message: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, message)
}
