//! Reading a JSON object field by field, so that everything that is wrong with it is said at once, each with its
//! place.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::problem::FieldError;

/// An object that is being read. What is not taken in the end is unknown.
pub(super) struct Fields<'e> {
    map: Map<String, Value>,
    /// Pointer to the object itself.
    at: String,
    errors: &'e mut Vec<FieldError>,
}

impl<'e> Fields<'e> {
    pub fn new(map: Map<String, Value>, at: impl Into<String>, errors: &'e mut Vec<FieldError>) -> Self {
        Self { map, at: at.into(), errors }
    }

    pub fn has(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// The field, if it is there and not null.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => self.wrong(name, "it must be a string"),
        }
    }

    pub fn required(&mut self, name: &str) -> Option<String> {
        match self.map.remove(name) {
            None | Some(Value::Null) => self.wrong(name, "it is missing"),
            Some(Value::String(text)) => Some(text),
            Some(_) => self.wrong(name, "it must be a string"),
        }
    }

    /// A string, read by `parse`.
    pub fn parsed<T, E: Display>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let text = self.text(name)?;
        match parse(&text) {
            Ok(value) => Some(value),
            Err(error) => self.wrong(name, error),
        }
    }

    pub fn boolean(&mut self, name: &str) -> Option<bool> {
        match self.take(name)? {
            Value::Bool(truth) => Some(truth),
            _ => self.wrong(name, "it must be true or false"),
        }
    }

    /// A whole number within bounds.
    pub fn number(&mut self, name: &str, least: u32, most: u32) -> Option<u32> {
        let value = self.take(name)?;
        let number = whole(&value).and_then(|number| u32::try_from(number).ok());
        match number.filter(|number| (least..=most).contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(name, format!("it must be a whole number from {least} to {most}")),
        }
    }

    pub fn list(&mut self, name: &str, most: usize) -> Option<Vec<Value>> {
        match self.take(name)? {
            Value::Array(items) if items.len() <= most => Some(items),
            Value::Array(items) => {
                self.wrong(name, format!("it has {} entries; {most} are allowed", items.len()))
            }
            _ => self.wrong(name, "it must be a list"),
        }
    }

    /// A list of strings, each read by `parse`. Those that cannot be read are left out and noted.
    pub fn list_of<T, E: Display>(
        &mut self,
        name: &str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<T>> {
        let items = self.list(name, most)?;
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let read = match item {
                Value::String(text) => parse(text).map_err(|error| error.to_string()),
                _ => Err("it must be a string".to_owned()),
            };
            match read {
                Ok(value) => values.push(value),
                Err(message) => {
                    self.wrong::<()>(&format!("{name}/{index}"), message);
                }
            }
        }
        Some(values)
    }

    pub fn object(&mut self, name: &str) -> Option<Map<String, Value>> {
        match self.take(name)? {
            Value::Object(map) => Some(map),
            _ => self.wrong(name, "it must be an object"),
        }
    }

    /// A reader of an object below this one.
    pub fn below(&mut self, name: &str, map: Map<String, Value>) -> Fields<'_> {
        Fields { map, at: self.pointer(name), errors: self.errors }
    }

    /// Notes an error at a field; at the object itself where `name` is empty.
    pub fn wrong<T>(&mut self, name: &str, message: impl Display) -> Option<T> {
        let pointer = self.pointer(name);
        self.errors.push(FieldError::new(pointer, message));
        None
    }

    /// Whether something was said to be wrong with a field.
    pub fn failed(&self, name: &str) -> bool {
        let pointer = self.pointer(name);
        self.errors.iter().any(|error| error.pointer == pointer)
    }

    /// Errors noted so far, here and elsewhere.
    pub fn error_count(&self) -> usize {
        self.errors.len()
    }

    /// Notes what is left over.
    pub fn finish(mut self, known: &[&str]) {
        for name in std::mem::take(&mut self.map).keys() {
            let known = known.join("`, `");
            let shown: String = name.chars().take(64).collect();
            self.wrong::<()>(&escape(&shown), format!("there is no such field; there are `{known}`"));
        }
    }

    /// `name` may be a path of its own, its parts escaped.
    fn pointer(&self, name: &str) -> String {
        match name {
            "" => self.at.clone(),
            name => format!("{}/{name}", self.at),
        }
    }
}

/// A whole number, also where it is written with a fraction of nothing: `10.0`.
pub(super) fn whole(value: &Value) -> Option<u64> {
    const MOST: f64 = (1_u64 << 53) as f64;
    let written = value.as_f64().filter(|number| number.fract() == 0.0 && (0.0..=MOST).contains(number));
    value.as_u64().or(written.map(|number| number as u64))
}

/// A name as a part of a JSON Pointer.
pub(super) fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}
