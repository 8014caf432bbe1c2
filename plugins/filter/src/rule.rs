//! Conditions, checked and ready to be asked.

use std::{borrow::Cow, cmp::Ordering};

use hookwright_plugin::{
    ConfigError, Event, Path,
    config::join,
    json::{self, Value, compare_numbers},
    serde_json::value::RawValue,
    text::{self, Unit},
};
use regex_lite::Regex;

use crate::Condition;

/// A condition without contradictions. Borrows from the configuration.
pub(crate) enum Rule<'c> {
    All(Vec<Rule<'c>>),
    Any(Vec<Rule<'c>>),
    Not(Box<Rule<'c>>),
    Tests { path: &'c Path, tests: Vec<Test<'c>> },
}

/// Which ways round a comparison may come out.
type Holds = fn(Ordering) -> bool;

/// One test of the value at a path.
pub(crate) enum Test<'c> {
    Exists(bool),
    Equals(Value<'c>),
    NotEquals(Value<'c>),
    In(Vec<Value<'c>>),
    Range { word: &'static str, holds: Holds, bound: Value<'c> },
    Prefix(&'c str),
    Suffix(&'c str),
    Contains(Value<'c>),
    Matches(&'c str, Regex),
}

/// A sentence without its full stop. In `Ok` why a rule holds, in `Err` why it does not.
type Answer = Result<String, String>;

/// Checks a condition. What is wrong goes to `errors`, all of it; then there is no rule.
pub(crate) fn compile<'c>(
    condition: &'c Condition,
    pointer: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<Rule<'c>> {
    let before = errors.len();
    let tests = tests(condition, pointer, errors);
    let kinds =
        [condition.all.is_some(), condition.any.is_some(), condition.not.is_some(), condition.path.is_some()];
    if let (None, Some(test)) = (&condition.path, tests.first()) {
        errors.push(ConfigError::new(join(pointer, test.member()), "A test needs a `path` beside it."));
    } else if kinds.iter().filter(|kind| **kind).count() != 1 {
        let message = "A condition has exactly one of `path`, `all`, `any` and `not`.";
        errors.push(ConfigError::new(pointer, message));
    } else if condition.path.is_some() && tests.is_empty() && errors.len() == before {
        let message = "A path needs a test: `exists`, `equals`, `not_equals`, `in`, `gt`, `gte`, `lt`, `lte`, \
            `prefix`, `suffix`, `contains` or `regex`.";
        errors.push(ConfigError::new(pointer, message));
    }
    let rule = rule(condition, tests, pointer, errors);
    if errors.len() == before { rule } else { None }
}

impl Rule<'_> {
    /// Does it hold? Says nothing and allocates nothing, since most messages go on.
    pub(crate) fn holds(&self, event: &Event, payload: &Value<'_>) -> bool {
        match self {
            Rule::All(rules) => rules.iter().all(|rule| rule.holds(event, payload)),
            Rule::Any(rules) => rules.iter().any(|rule| rule.holds(event, payload)),
            Rule::Not(rule) => !rule.holds(event, payload),
            Rule::Tests { path, tests } => {
                let value = path.find(event, payload);
                tests.iter().all(|test| test.passes(value.as_deref()))
            }
        }
    }

    /// Why it holds or does not: a sentence without its full stop.
    pub(crate) fn reason(&self, event: &Event, payload: &Value<'_>) -> String {
        self.answer(event, payload).unwrap_or_else(|why| why)
    }

    fn answer(&self, event: &Event, payload: &Value<'_>) -> Answer {
        match self {
            Rule::All(rules) => all(rules.iter().map(|rule| rule.answer(event, payload))),
            Rule::Any(rules) => swap(all(rules.iter().map(|rule| swap(rule.answer(event, payload))))),
            Rule::Not(rule) => swap(rule.answer(event, payload)),
            Rule::Tests { path, tests } => {
                let value = path.find(event, payload);
                all(tests.iter().map(|test| test.answer(path, value.as_deref())))
            }
        }
    }
}

impl Test<'_> {
    /// Where nothing is there, only what denies something holds.
    fn passes(&self, value: Option<&Value<'_>>) -> bool {
        match (self, value) {
            (Test::Exists(wanted), value) => value.is_some() == *wanted,
            (_, Some(value)) => self.holds(value),
            (_, None) => matches!(self, Test::NotEquals(_)),
        }
    }

    fn answer(&self, path: &Path, value: Option<&Value<'_>>) -> Answer {
        let holds = self.passes(value);
        let why = match (value, self) {
            (None, _) => format!("{path} is not there"),
            (Some(_), Test::Exists(_)) => format!("{path} is there"),
            (Some(value), _) => format!("{path} {}", self.finding(value, holds)),
        };
        if holds { Ok(why) } else { Err(why) }
    }

    fn holds(&self, value: &Value<'_>) -> bool {
        match self {
            Test::Exists(wanted) => *wanted,
            Test::Equals(wanted) => value.same(wanted),
            Test::NotEquals(unwanted) => !value.same(unwanted),
            Test::In(wanted) => wanted.iter().any(|wanted| value.same(wanted)),
            Test::Range { holds, bound, .. } => compare(value, bound).is_some_and(holds),
            Test::Prefix(prefix) => value.as_text().is_some_and(|text| text.starts_with(prefix)),
            Test::Suffix(suffix) => value.as_text().is_some_and(|text| text.ends_with(suffix)),
            Test::Contains(part) => contains(value, part),
            Test::Matches(_, regex) => value.as_text().is_some_and(|text| regex.is_match(&text)),
        }
    }

    /// What was found, as the end of a sentence that begins with the path.
    fn finding(&self, value: &Value<'_>, holds: bool) -> String {
        let found = shown(value);
        let verb = |affirmed: &str, denied: &str| match value {
            _ if holds => affirmed.to_owned(),
            Value::String(_) | Value::Array(..) => denied.to_owned(),
            other => format!("is {}, which {denied}", other.kind()),
        };
        match self {
            Test::Equals(wanted) if !holds => format!("is {found}, not {}", shown(wanted)),
            Test::In(wanted) if !holds => {
                let wanted: Vec<_> = wanted.iter().map(shown).collect();
                format!("is {found}, none of {}", short(&wanted.join(", ")))
            }
            Test::Range { word, bound, .. } if !holds => {
                format!("is {found}, not {word} {}", shown(bound))
            }
            Test::Range { word, bound, .. } => format!("is {found}, {word} {}", shown(bound)),
            Test::Exists(_) | Test::Equals(_) | Test::NotEquals(_) | Test::In(_) => {
                format!("is {found}")
            }
            Test::Prefix(prefix) => {
                format!("{} {}", verb("begins with", "does not begin with"), quoted(prefix))
            }
            Test::Suffix(suffix) => format!("{} {}", verb("ends with", "does not end with"), quoted(suffix)),
            Test::Contains(part) => {
                format!("{} {}", verb("contains", "does not contain"), shown(part))
            }
            Test::Matches(pattern, _) => {
                format!("{} {}", verb("matches", "does not match"), short(pattern))
            }
        }
    }

    /// The name of the configuration's member.
    fn member(&self) -> &'static str {
        match self {
            Test::Exists(_) => "exists",
            Test::Equals(_) => "equals",
            Test::NotEquals(_) => "not_equals",
            Test::In(_) => "in",
            Test::Range { word: GREATER, .. } => "gt",
            Test::Range { word: GREATER_OR_EQUAL, .. } => "gte",
            Test::Range { word: LESS, .. } => "lt",
            Test::Range { .. } => "lte",
            Test::Prefix(_) => "prefix",
            Test::Suffix(_) => "suffix",
            Test::Contains(_) => "contains",
            Test::Matches(..) => "regex",
        }
    }
}

const GREATER: &str = "greater than";
const GREATER_OR_EQUAL: &str = "greater than or equal to";
const LESS: &str = "less than";
const LESS_OR_EQUAL: &str = "less than or equal to";
/// A regular expression compiles on every call.
const MAX_REGEX_CHARS: usize = 1_000;
/// Of a value that a reason quotes.
const MAX_SHOWN_CHARS: usize = 60;

fn rule<'c>(
    condition: &'c Condition,
    tests: Vec<Test<'c>>,
    pointer: &str,
    errors: &mut Vec<ConfigError>,
) -> Option<Rule<'c>> {
    let all = condition.all.as_ref().map(|list| group(list, &join(pointer, "all"), errors));
    let any = condition.any.as_ref().map(|list| group(list, &join(pointer, "any"), errors));
    let not = condition.not.as_ref().and_then(|not| compile(not, &join(pointer, "not"), errors));
    let path = condition.path.as_ref().map(|path| Rule::Tests { path, tests });
    path.or(all.map(Rule::All)).or(any.map(Rule::Any)).or(not.map(|not| Rule::Not(Box::new(not))))
}

fn group<'c>(list: &'c [Condition], pointer: &str, errors: &mut Vec<ConfigError>) -> Vec<Rule<'c>> {
    if list.is_empty() {
        errors.push(ConfigError::new(pointer, "A list of conditions has at least one."));
    }
    let rule = |(index, condition)| compile(condition, &join(pointer, index), errors);
    list.iter().enumerate().filter_map(rule).collect()
}

fn tests<'c>(condition: &'c Condition, pointer: &str, errors: &mut Vec<ConfigError>) -> Vec<Test<'c>> {
    let ranges: [(_, _, Holds, _); 4] = [
        ("gt", GREATER, Ordering::is_gt, &condition.gt),
        ("gte", GREATER_OR_EQUAL, Ordering::is_ge, &condition.gte),
        ("lt", LESS, Ordering::is_lt, &condition.lt),
        ("lte", LESS_OR_EQUAL, Ordering::is_le, &condition.lte),
    ];
    let mut value = |member: &str, raw: &'c RawValue| literal(raw, &join(pointer, member), errors);
    let mut tests: Vec<Test<'c>> = condition.exists.map(Test::Exists).into_iter().collect();
    tests.extend(condition.equals.as_deref().and_then(|raw| value("equals", raw)).map(Test::Equals));
    tests.extend(
        condition.not_equals.as_deref().and_then(|raw| value("not_equals", raw)).map(Test::NotEquals),
    );
    tests.extend(condition.contains.as_deref().and_then(|raw| value("contains", raw)).map(Test::Contains));
    if let Some(list) = &condition.one_of {
        tests.push(Test::In(list.iter().filter_map(|raw| value("in", raw)).collect()));
    }
    for (member, word, holds, raw) in ranges {
        let bound = raw.as_deref().and_then(|raw| value(member, raw));
        tests.extend(bound.map(|bound| Test::Range { word, holds, bound }));
    }
    tests.extend(condition.prefix.as_deref().map(Test::Prefix));
    tests.extend(condition.suffix.as_deref().map(Test::Suffix));
    if let Some(pattern) = &condition.regex {
        tests.extend(expression(pattern, &join(pointer, "regex"), errors));
    }
    errors.extend(tests.iter().filter_map(|test| test.complaint(pointer)));
    tests
}

impl Test<'_> {
    /// A test that could never hold.
    fn complaint(&self, pointer: &str) -> Option<ConfigError> {
        let message = match self {
            Test::In(list) if list.is_empty() => "A list of values has at least one.",
            Test::Range { bound, .. } if !matches!(bound, Value::Number(_) | Value::String(_)) => {
                "A bound is a number or a text."
            }
            _ => return None,
        };
        Some(ConfigError::new(join(pointer, self.member()), message))
    }
}

fn literal<'c>(raw: &'c RawValue, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Value<'c>> {
    json::parse(raw.get().as_bytes())
        .map_err(|error| errors.push(ConfigError::new(pointer, format!("The value is refused: {error}."))))
        .ok()
}

fn expression<'c>(pattern: &'c str, pointer: &str, errors: &mut Vec<ConfigError>) -> Option<Test<'c>> {
    let mut refuse = |message: String| errors.push(ConfigError::new(pointer, message));
    if Unit::Chars.measure(pattern) > MAX_REGEX_CHARS {
        refuse(format!("A regular expression has at most {MAX_REGEX_CHARS} characters."));
        return None;
    }
    match Regex::new(pattern) {
        Ok(regex) => Some(Test::Matches(pattern, regex)),
        Err(error) => {
            refuse(format!("The regular expression is refused: {error}."));
            None
        }
    }
}

/// Numbers with numbers and texts with texts; nothing else has an order.
fn compare(value: &Value<'_>, bound: &Value<'_>) -> Option<Ordering> {
    match (value, bound) {
        (Value::Number(value), Value::Number(bound)) => Some(compare_numbers(value, bound)),
        (Value::String(value), Value::String(bound)) => Some(value.decode().cmp(&bound.decode())),
        _ => None,
    }
}

fn contains(value: &Value<'_>, part: &Value<'_>) -> bool {
    match (value, part) {
        (Value::Array(elements, _), part) => elements.iter().any(|element| element.same(part)),
        (Value::String(text), Value::String(part)) => text.decode().contains(&*part.decode()),
        _ => false,
    }
}

/// The first that does not hold, or everything that does.
fn all(answers: impl Iterator<Item = Answer>) -> Answer {
    let reasons: Result<Vec<String>, String> = answers.collect();
    reasons.map(|reasons| reasons.join(", and "))
}

fn swap(answer: Answer) -> Answer {
    match answer {
        Ok(why) => Err(why),
        Err(why) => Ok(why),
    }
}

fn shown(value: &Value<'_>) -> String {
    match value {
        Value::String(text) => quoted(&text.decode()),
        Value::Null => "null".to_owned(),
        other => short(&other.display()).into_owned(),
    }
}

fn quoted(text: &str) -> String {
    let mut out = String::new();
    json::escape(&short(text), &mut out);
    out
}

fn short(text: &str) -> Cow<'_, str> {
    text::cut(text, MAX_SHOWN_CHARS, Unit::Chars)
}
