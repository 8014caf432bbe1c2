//! Rules, checked and ready to be applied.

use std::{borrow::Cow, ops::Range};

use hookwright_plugin::{ConfigError, config::join, json::Value, text::Unit};
use regex_lite::Regex;

use crate::{Action, Config, Pattern, Places, find};

/// What to look for.
pub(crate) enum Target<'c> {
    Places(&'c Places),
    /// In lower case.
    Name(String),
    Pattern(Pattern),
    Regex(Regex),
}

pub(crate) struct Rule<'c> {
    pub(crate) target: Target<'c>,
    pub(crate) action: Action,
    mask: &'c str,
    keep_last: usize,
}

/// The longest regular expression, in characters. It is compiled on every call.
const MAX_REGEX: usize = 1_000;

/// Checks the rules. What is wrong comes back, all of it.
pub(crate) fn compile(config: &Config) -> Result<Vec<Rule<'_>>, Vec<ConfigError>> {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for (index, rule) in config.rules.iter().enumerate() {
        match target(rule, &join("/rules", index)) {
            Ok(target) => rules.push(Rule {
                target,
                action: rule.action,
                mask: rule.mask.as_deref().unwrap_or(&config.mask),
                keep_last: rule.keep_last,
            }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
}

impl Rule<'_> {
    /// Whether the member or element at this place is meant as a whole. `name` is that of a member, in lower case.
    pub(crate) fn means(&self, place: &[Cow<'_, str>], name: Option<&str>) -> bool {
        match &self.target {
            Target::Places(places) => places.contain(place),
            Target::Name(wanted) => name == Some(wanted.as_str()),
            Target::Pattern(_) | Target::Regex(_) => false,
        }
    }

    /// The parts of a text that are meant, in their order and apart from each other.
    pub(crate) fn parts(&self, text: &str, in_number: bool) -> Vec<Range<usize>> {
        match &self.target {
            Target::Regex(regex) => {
                regex.find_iter(text).map(|found| found.range()).filter(|range| !range.is_empty()).collect()
            }
            Target::Pattern(Pattern::Card) => find::cards(text),
            Target::Pattern(_) if in_number => Vec::new(),
            Target::Pattern(Pattern::Email) => find::emails(text),
            Target::Pattern(Pattern::Iban) => find::ibans(text),
            Target::Pattern(Pattern::Phone) => find::phones(text),
            Target::Places(_) | Target::Name(_) => Vec::new(),
        }
    }

    /// What stands in the place of a whole value.
    pub(crate) fn masked(&self, value: &Value<'_>) -> String {
        match value {
            Value::String(_) | Value::Number(_) => self.masked_text(&value.display()),
            _ => self.mask.to_owned(),
        }
    }

    /// What stands in the place of a text. Of what is recognised, the gaps between groups do not count.
    pub(crate) fn masked_text(&self, text: &str) -> String {
        let grouped = matches!(self.target, Target::Pattern(_));
        let text: String = text.chars().filter(|c| !(grouped && find::is_gap(*c))).collect();
        let length = Unit::Chars.measure(&text);
        let kept = if length >= 2 * self.keep_last { self.keep_last } else { 0 };
        let mut masked = self.mask.to_owned();
        masked.extend(text.chars().skip(length - kept));
        masked
    }
}

fn target<'c>(rule: &'c crate::Rule, pointer: &str) -> Result<Target<'c>, ConfigError> {
    match (&rule.path, &rule.key, rule.pattern, &rule.regex) {
        (Some(places), None, None, None) => Ok(Target::Places(places)),
        (None, Some(key), None, None) if key.is_empty() => {
            Err(ConfigError::new(join(pointer, "key"), "A name has at least one character."))
        }
        (None, Some(key), None, None) => Ok(Target::Name(key.to_lowercase())),
        (None, None, Some(pattern), None) => Ok(Target::Pattern(pattern)),
        (None, None, None, Some(regex)) => expression(regex, &join(pointer, "regex")),
        _ => {
            Err(ConfigError::new(pointer, "A rule has exactly one of `path`, `key`, `pattern` and `regex`."))
        }
    }
}

fn expression<'c>(pattern: &str, pointer: &str) -> Result<Target<'c>, ConfigError> {
    let refuse = |message: String| ConfigError::new(pointer, message);
    if Unit::Chars.measure(pattern) > MAX_REGEX {
        return Err(refuse(format!("A regular expression has at most {MAX_REGEX} characters.")));
    }
    let regex = Regex::new(pattern)
        .map_err(|error| refuse(format!("The regular expression is refused: {error}.")))?;
    match regex.is_match("") {
        true => Err(refuse("The regular expression matches an empty text, and so everywhere.".to_owned())),
        false => Ok(Target::Regex(regex)),
    }
}
