//! A copy of a payload without what the rules mean.

use std::{borrow::Cow, collections::BTreeSet};

use hookwright_plugin::json::{self, Text, Value};

use crate::{
    Action,
    rule::{Rule, Target},
};

/// What became of a value.
pub(crate) enum Outcome {
    /// It stays, byte for byte.
    Unchanged,
    /// This JSON instead.
    Changed(String),
    /// It is left out.
    Dropped,
}

/// Applies all rules to a payload.
pub(crate) fn redact(payload: &Value<'_>, rules: &[Rule<'_>]) -> Outcome {
    let names = rules.iter().any(|rule| matches!(rule.target, Target::Name(_)));
    let parts = rules.iter().filter(|rule| matches!(rule.target, Target::Pattern(_) | Target::Regex(_)));
    Walk { rules, parts: parts.collect(), names, place: Vec::new() }.value(payload, None)
}

struct Walk<'r, 'a> {
    rules: &'r [Rule<'r>],
    /// Those that look into texts.
    parts: Vec<&'r Rule<'r>>,
    /// Whether any rule asks for names.
    names: bool,
    /// From the root to where we are. Its depth is that of the payload, which the parser bounds.
    place: Vec<Cow<'a, str>>,
}

impl<'a> Walk<'_, 'a> {
    fn value(&mut self, value: &'a Value<'a>, name: Option<&str>) -> Outcome {
        if let Some(rule) = self.rules.iter().find(|rule| rule.means(&self.place, name)) {
            return match rule.action {
                Action::Drop => Outcome::Dropped,
                Action::Mask => Outcome::Changed(quoted(&rule.masked(value))),
            };
        }
        match value {
            Value::String(text) => self.text(&text.decode(), false),
            Value::Number(digits) => self.text(digits, true),
            Value::Array(elements, _) => self.array(elements),
            Value::Object(members, _) => self.object(members),
            Value::Null | Value::Bool(_) => Outcome::Unchanged,
        }
    }

    fn text(&self, text: &str, is_number: bool) -> Outcome {
        match self.rewritten(text, is_number) {
            Err(()) => Outcome::Dropped,
            Ok(Cow::Borrowed(_)) => Outcome::Unchanged,
            Ok(Cow::Owned(text)) => Outcome::Changed(quoted(&text)),
        }
    }

    /// The text with what the rules mean masked, one rule after the other; an error where it is to be left out.
    fn rewritten<'t>(&self, text: &'t str, is_number: bool) -> Result<Cow<'t, str>, ()> {
        let mut text = Cow::Borrowed(text);
        for rule in &self.parts {
            let parts = rule.parts(&text, is_number);
            if parts.is_empty() {
                continue;
            }
            if rule.action == Action::Drop {
                return Err(());
            }
            let (mut out, mut written) = (String::with_capacity(text.len()), 0);
            for part in parts {
                out.push_str(&text[written..part.start]);
                out.push_str(&rule.masked_text(&text[part.clone()]));
                written = part.end;
            }
            out.push_str(&text[written..]);
            text = Cow::Owned(out);
        }
        Ok(text)
    }

    fn array(&mut self, elements: &'a [Value<'a>]) -> Outcome {
        let mut outcomes = Vec::with_capacity(elements.len());
        for (index, element) in elements.iter().enumerate() {
            self.place.push(Cow::Owned(index.to_string()));
            outcomes.push(self.value(element, None));
            self.place.pop();
        }
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unchanged)) {
            return Outcome::Unchanged;
        }
        let mut list = List::new('[');
        for (element, outcome) in elements.iter().zip(outcomes) {
            list.push(element, outcome, |_| {});
        }
        Outcome::Changed(list.end(']'))
    }

    fn object(&mut self, members: &'a [(Text<'a>, Value<'a>)]) -> Outcome {
        let mut outcomes = Vec::with_capacity(members.len());
        let mut renamed = false;
        for (name, value) in members {
            let decoded = name.decode();
            let new_name = self.rewritten(&decoded, false);
            renamed |= matches!(new_name, Ok(Cow::Owned(_)) | Err(()));
            let new_name = new_name.map(|name| match name {
                Cow::Borrowed(_) => None,
                Cow::Owned(name) => Some(name),
            });
            let lower = self.names.then(|| decoded.to_lowercase());
            self.place.push(decoded.clone());
            let outcome =
                if new_name.is_err() { Outcome::Dropped } else { self.value(value, lower.as_deref()) };
            self.place.pop();
            outcomes.push((new_name.ok().flatten(), outcome));
        }
        if !renamed && outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Unchanged)) {
            return Outcome::Unchanged;
        }
        let mut taken = if renamed { taken(members) } else { BTreeSet::new() };
        let mut list = List::new('{');
        for ((name, value), (new_name, outcome)) in members.iter().zip(outcomes) {
            let new_name = new_name.map(|name| free(name, &mut taken));
            list.push(value, outcome, |out| {
                match &new_name {
                    Some(name) => json::escape(name, out),
                    None => name.write(out),
                }
                out.push(':');
            });
        }
        Outcome::Changed(list.end('}'))
    }
}

/// A list or an object that is written.
struct List {
    out: String,
    empty: bool,
}

impl List {
    fn new(open: char) -> Self {
        Self { out: String::from(open), empty: true }
    }

    fn push(&mut self, value: &Value<'_>, outcome: Outcome, name: impl FnOnce(&mut String)) {
        if matches!(outcome, Outcome::Dropped) {
            return;
        }
        if !std::mem::take(&mut self.empty) {
            self.out.push(',');
        }
        name(&mut self.out);
        match outcome {
            Outcome::Changed(json) => self.out.push_str(&json),
            _ => value.write(&mut self.out),
        }
    }

    fn end(mut self, close: char) -> String {
        self.out.push(close);
        self.out
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::escape(text, &mut out);
    out
}

fn taken(members: &[(Text<'_>, Value<'_>)]) -> BTreeSet<String> {
    members.iter().map(|(name, _)| name.decode().into_owned()).collect()
}

/// Two names that are masked alike stay two members.
fn free(name: String, taken: &mut BTreeSet<String>) -> String {
    let mut free = name.clone();
    let mut number = 2_u64;
    while taken.contains(&free) {
        free = format!("{name}_{number}");
        number += 1;
    }
    taken.insert(free.clone());
    free
}
