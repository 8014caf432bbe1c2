//! Columns that are always there: an object's values under numbers, and a fixed list of keys.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use hookwright_plugin::{json::Value, prelude::*};

use crate::{Cell, Config, Content, Others};

/// An object's values, or a list's elements, as keys with numbers.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Numbered {
    /// Where the object is.
    pub path: Path,
    /// Stands before the number.
    #[schemars(length(min = 1, max = 64))]
    pub prefix: String,
    /// How many keys there are, from 1 on. Those without a value are `null`.
    #[schemars(range(min = 1, max = 1000))]
    pub count: usize,
    /// The fewest digits of a number: 2 makes `01`.
    #[schemars(range(min = 1, max = 4))]
    pub width: usize,
}

impl Default for Numbered {
    fn default() -> Self {
        Self {
            path: Path::parse("document.custom_fields").expect("the default path is one"),
            prefix: "custom_".to_owned(),
            count: 20,
            width: 2,
        }
    }
}

/// Adds the numbered keys. A key that the payload has already stays as it is there.
///
/// # Errors
///
/// Where more than `max_keys` come out.
pub(crate) fn number<'a>(
    cells: &mut Vec<Cell<'a>>,
    numbered: &Numbered,
    event: &'a Event,
    payload: &'a Value<'a>,
    config: &Config,
) -> Result<()> {
    let values = values(numbered, event, payload);
    if values.len() > numbered.count {
        hookwright_plugin::warn!(
            "{} holds {} values, and there are {} numbered keys: the rest has none.",
            numbered.path,
            values.len(),
            numbered.count
        );
    }
    let taken: BTreeSet<String> = cells.iter().map(|cell| cell.key.clone()).collect();
    let keys = (1..=numbered.count).map(|number| {
        let (prefix, width) = (&numbered.prefix, numbered.width);
        format!("{}{prefix}{number:0width$}", config.prefix)
    });
    for (index, key) in keys.enumerate().filter(|(_, key)| !taken.contains(key)) {
        cells.push(Cell { key, value: values.get(index).copied().map_or(Content::Null, content) });
    }
    within_bound(cells.len(), config)
}

/// The keys of the fixed list in its order, `null` where there is nothing, then the others.
///
/// # Errors
///
/// Where more than `max_keys` come out.
pub(crate) fn arrange<'a>(cells: Vec<Cell<'a>>, config: &Config) -> Result<Vec<Cell<'a>>> {
    let places: BTreeMap<&str, usize> =
        config.keys.iter().enumerate().map(|(place, key)| (key.as_str(), place)).collect();
    let mut arranged: Vec<Cell<'a>> =
        config.keys.iter().map(|key| Cell { key: key.clone(), value: Content::Null }).collect();
    for cell in cells {
        match places.get(cell.key.as_str()) {
            Some(place) => arranged[*place] = cell,
            None if config.others == Others::Append => arranged.push(cell),
            None => {}
        }
    }
    within_bound(arranged.len(), config)?;
    Ok(arranged)
}

fn values<'a>(numbered: &Numbered, event: &'a Event, payload: &'a Value<'a>) -> Vec<&'a Value<'a>> {
    match numbered.path.find(event, payload) {
        Some(Cow::Borrowed(Value::Object(members, _))) => members.iter().map(|(_, value)| value).collect(),
        Some(Cow::Borrowed(Value::Array(elements, _))) => elements.iter().collect(),
        _ => Vec::new(),
    }
}

fn content<'a>(value: &'a Value<'a>) -> Content<'a> {
    match value {
        Value::Object(..) | Value::Array(..) => Content::Text(value.display()),
        scalar => Content::Scalar(scalar),
    }
}

fn within_bound(keys: usize, config: &Config) -> Result<()> {
    if keys <= config.max_keys { Ok(()) } else { Err(crate::too_many_keys(config)) }
}
