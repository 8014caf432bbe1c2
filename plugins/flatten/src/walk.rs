//! From the tree to cells, in the payload's own order.

use std::borrow::Cow;

use hookwright_plugin::{Path, Result, json::Value};

use crate::{Arrays, Cell, Config, Content, Empty};

/// Every value of the payload with its key.
///
/// # Errors
///
/// Where more than `max_keys` come out.
pub(crate) fn cells<'a>(payload: &'a Value<'a>, config: &'a Config) -> Result<Vec<Cell<'a>>> {
    let mut walk = Walk {
        config,
        key: config.prefix.clone(),
        place: Vec::new(),
        selects: !(config.keep.is_empty() && config.omit.is_empty()),
        cells: Vec::new(),
    };
    walk.children(payload)?;
    Ok(walk.cells)
}

struct Walk<'a> {
    config: &'a Config,
    /// The key so far; grows and shrinks with `place`.
    key: String,
    /// The names on the way, kept only as far as `depth` and `selects` need them.
    place: Vec<Cow<'a, str>>,
    selects: bool,
    cells: Vec<Cell<'a>>,
}

impl<'a> Walk<'a> {
    /// The payload itself is always opened, whatever becomes of lists inside it: it has no key of its own.
    fn children(&mut self, value: &'a Value<'a>) -> Result<()> {
        match value {
            Value::Object(members, _) => {
                members.iter().try_for_each(|(name, child)| self.child(name.decode(), child))
            }
            Value::Array(elements, _) => elements
                .iter()
                .enumerate()
                .try_for_each(|(index, child)| self.child(Cow::Owned(index.to_string()), child)),
            _ => Ok(()),
        }
    }

    fn child(&mut self, name: Cow<'a, str>, value: &'a Value<'a>) -> Result<()> {
        let length = self.key.len();
        if !self.place.is_empty() {
            self.key.push_str(&self.config.separator);
        }
        self.key.push_str(&name);
        self.place.push(name);
        let result = if self.is_left_out(value) { Ok(()) } else { self.value(value) };
        self.place.pop();
        self.key.truncate(length);
        result
    }

    fn value(&mut self, value: &'a Value<'a>) -> Result<()> {
        match self.content(value) {
            Some(content) => self.cell(content),
            None => self.children(value),
        }
    }

    /// What is written for the value, or nothing where its children are written instead.
    fn content(&self, value: &'a Value<'a>) -> Option<Content<'a>> {
        match value {
            Value::Array(elements, _) if self.config.arrays == Arrays::Join => {
                Some(Content::Text(Cow::Owned(self.joined(elements))))
            }
            Value::Array(..) if self.config.arrays == Arrays::Json => Some(Content::Text(value.display())),
            Value::Array(elements, _) if elements.is_empty() => Some(self.empty("[]")),
            Value::Object(members, _) if members.is_empty() => Some(self.empty("{}")),
            Value::Array(..) | Value::Object(..) if self.is_deep() => Some(Content::Text(value.display())),
            Value::Array(..) | Value::Object(..) => None,
            scalar => Some(Content::Scalar(scalar)),
        }
    }

    fn joined(&self, elements: &[Value<'a>]) -> String {
        let parts: Vec<_> = elements.iter().map(Value::display).collect();
        parts.join(&self.config.joiner)
    }

    /// With `empty: omit` this is not asked: [`is_left_out`](Self::is_left_out) comes first.
    fn empty(&self, text: &'static str) -> Content<'a> {
        match self.config.empty {
            Empty::Text => Content::Text(Cow::Borrowed(text)),
            Empty::Null | Empty::Omit => Content::Null,
        }
    }

    fn is_deep(&self) -> bool {
        self.config.depth.is_some_and(|depth| self.place.len() >= depth as usize)
    }

    fn cell(&mut self, value: Content<'a>) -> Result<()> {
        if self.cells.len() == self.config.max_keys {
            return Err(crate::too_many_keys(self.config));
        }
        self.cells.push(Cell { key: self.key.clone(), value });
        Ok(())
    }

    fn is_left_out(&self, value: &Value<'_>) -> bool {
        self.is_omitted_empty(value) || (self.selects && !self.is_selected(value))
    }

    fn is_omitted_empty(&self, value: &Value<'_>) -> bool {
        self.config.empty == Empty::Omit
            && match value {
                Value::Array(elements, _) => elements.is_empty() && self.config.arrays == Arrays::Index,
                Value::Object(members, _) => members.is_empty(),
                _ => false,
            }
    }

    fn is_selected(&self, value: &Value<'_>) -> bool {
        let Config { keep, omit, .. } = self.config;
        if omit.iter().any(|path| self.matches(path) == Some(Match::Inside)) {
            return false;
        }
        // On the way to a kept place only what can contain it counts.
        let contains = matches!(value, Value::Array(..) | Value::Object(..));
        keep.is_empty()
            || keep.iter().any(|path| match self.matches(path) {
                Some(Match::Inside) => true,
                Some(Match::Above) => contains,
                None => false,
            })
    }

    fn matches(&self, path: &Path) -> Option<Match> {
        let names = path.names()?;
        let agree = names.iter().zip(&self.place).all(|(name, place)| name == "*" || name == place);
        agree.then_some(if self.place.len() >= names.len() { Match::Inside } else { Match::Above })
    }
}

/// Where the walk stands, seen from a place to keep or omit.
#[derive(PartialEq)]
enum Match {
    /// On it or below it.
    Inside,
    /// On the way to it.
    Above,
}
