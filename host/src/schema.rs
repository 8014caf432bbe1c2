//! JSON Schemas of payloads. A schema is compiled once and then asked for each event; nothing it names is ever fetched.
//!
//! `format` is checked where the schema's draft says so: in drafts 4, 6 and 7, and not in 2019-09 and 2020-12, which is
//! the draft of a schema that names none.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use bytes::Bytes;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

/// Most references to other documents that are told of a schema.
const MAX_TOLD: usize = 20;
/// Most ways through a schema, times values of a payload, that are gone to say what is wrong and where.
const MAX_WAYS: usize = 1_000_000;
/// Most parts of a schema, each counted as often as a value may meet it.
const MAX_SIZE: usize = 100_000;
/// The size of a part that is being found out. Smaller than any.
const OPEN: usize = 0;
/// How deep parts of a schema may stand in one another, references included, to be weighed.
const MAX_DEPTH: usize = 256;
/// Most characters of a violation's message.
const MAX_MESSAGE: usize = 300;
/// Most bytes that a compiled pattern may take.
const PATTERN_SIZE: usize = 1 << 20;

/// The keywords that refer to other schemas.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// What stands under these is data.
const DATA: [&str; 4] = ["const", "enum", "default", "examples"];
/// What stands under these only counts where something refers to it.
const DEFINITIONS: [&str; 2] = ["$defs", "definitions"];

/// A schema, as text and, from its first use on, compiled.
pub struct Schema {
    text: Bytes,
    compiled: OnceLock<Result<Compiled, Violation>>,
}

/// Something that is not as it has to be, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// RFC 6901 JSON Pointer into what was checked.
    pub pointer: String,
    pub message: String,
}

impl Schema {
    /// A schema that was compiled before, and is compiled again when it is first asked.
    pub fn kept(text: Bytes) -> Self {
        Self { text, compiled: OnceLock::new() }
    }

    /// Compiles a schema, which was given as this text.
    ///
    /// # Errors
    ///
    /// What is wrong with it, the pointer into the schema: each reference to another document, or the first thing that
    /// is against the rules of its draft.
    pub fn compile(text: Bytes, value: &Value) -> Result<Self, Vec<Violation>> {
        let remote = remote_references(value);
        if !remote.is_empty() {
            return Err(remote);
        }
        let compiled = Compiled::of(value).map_err(|violation| vec![violation])?;
        Ok(Self { text, compiled: OnceLock::from(Ok(compiled)) })
    }

    pub fn text(&self) -> &Bytes {
        &self.text
    }

    /// What the schema has against a payload, if anything: the first thing, and where. One that can no longer be compiled
    /// has something against every payload: what was to be checked must not pass unchecked.
    pub fn violation(&self, payload: &Value) -> Option<Violation> {
        let compiled = self.compiled.get_or_init(|| {
            let value = serde_json::from_slice(&self.text).map_err(|error| outdated(&error))?;
            Compiled::of(&value).map_err(|violation| outdated(&violation.message))
        });
        match compiled {
            Ok(compiled) => compiled.violation(payload),
            Err(outdated) => Some(outdated.clone()),
        }
    }
}

struct Compiled {
    validator: Validator,
    /// How many of its parts one value of a payload may meet; `None` where that depends on the payload.
    size: Option<usize>,
}

impl Compiled {
    fn of(schema: &Value) -> Result<Self, Violation> {
        let mut sizes = Sizes::of(schema);
        let size = sizes.size(schema, 0);
        if size >= MAX_SIZE {
            let message = format!(
                "with what it refers to in place of each reference it has more than {MAX_SIZE} parts"
            );
            return Err(Violation { pointer: String::new(), message });
        }
        let patterns = PatternOptions::regex().size_limit(PATTERN_SIZE).dfa_size_limit(PATTERN_SIZE);
        let options = jsonschema::options().offline().with_pattern_options(patterns);
        let validator = options.build(schema).map_err(|error| violation(&error, error.to_string()))?;
        Ok(Self { validator, size: (!sizes.circular).then_some(size) })
    }

    /// To say yes or no takes time in proportion to both sizes, since results of circular references are remembered. To say
    /// where may take all ways through the schema, so that is only asked where they are few.
    fn violation(&self, payload: &Value) -> Option<Violation> {
        if self.validator.is_valid(payload) {
            return None;
        }
        if self.size.is_none_or(|size| size.saturating_mul(places(payload)) > MAX_WAYS) {
            let message = "it is not as the schema of its event type has it; the schema is circular, or the payload too large, to say where";
            return Some(Violation { pointer: String::new(), message: message.to_owned() });
        }
        self.validator
            .validate(payload)
            .err()
            .map(|error| violation(&error, error.masked_with("it").to_string()))
    }
}

/// How many values a payload holds.
fn places(payload: &Value) -> usize {
    let (mut places, mut left) = (0, vec![payload]);
    while let Some(value) = left.pop() {
        places += 1;
        match value {
            Value::Object(members) => left.extend(members.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    places
}

/// The sizes of a schema's parts with what they refer to in place of each reference, up to [`MAX_SIZE`].
struct Sizes<'s> {
    root: &'s Value,
    known: HashMap<&'s str, usize>,
    /// A reference leads back to where it stands.
    circular: bool,
}

impl<'s> Sizes<'s> {
    fn of(root: &'s Value) -> Self {
        Self { root, known: HashMap::new(), circular: false }
    }

    fn size(&mut self, schema: &'s Value, depth: usize) -> usize {
        if depth > MAX_DEPTH {
            return MAX_SIZE;
        }
        let mut sum: usize = 1;
        match schema {
            Value::Object(members) => {
                for (name, value) in members {
                    sum = sum.saturating_add(self.size_of_member(name, value, depth));
                }
            }
            Value::Array(items) => {
                for item in items {
                    sum = sum.saturating_add(self.size(item, depth + 1));
                }
            }
            _ => {}
        }
        sum.min(MAX_SIZE)
    }

    fn size_of_member(&mut self, name: &str, value: &'s Value, depth: usize) -> usize {
        match value.as_str().filter(|_| REFERENCES.contains(&name)) {
            Some(target) => self.size_of_target(target, depth),
            None if DATA.contains(&name) || DEFINITIONS.contains(&name) => 1,
            None => self.size(value, depth + 1),
        }
    }

    /// What is referred to by a name of its own, and not by a pointer, may lead anywhere.
    fn size_of_target(&mut self, target: &'s str, depth: usize) -> usize {
        if let Some(size) = self.known.get(target) {
            self.circular |= *size == OPEN;
            return *size;
        }
        self.known.insert(target, OPEN);
        let pointer =
            target.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let size = match pointer.and_then(|pointer| self.root.pointer(pointer)) {
            Some(schema) => self.size(schema, depth + 1),
            None => {
                self.circular = true;
                self.size(self.root, depth + 1)
            }
        };
        self.known.insert(target, size);
        size
    }
}

impl PartialEq for Schema {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schema({} bytes)", self.text.len())
    }
}

fn violation(error: &ValidationError<'_>, message: String) -> Violation {
    let message = match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}...", &message[..end]),
        None => message,
    };
    Violation { pointer: error.instance_path().as_str().to_owned(), message }
}

fn outdated(error: &dyn fmt::Display) -> Violation {
    let message = format!("the schema of its event type cannot be compiled any more ({error}); put it again");
    Violation { pointer: String::new(), message }
}

/// The references that lead out of the schema. Its depth is bounded by its reader.
fn remote_references(schema: &Value) -> Vec<Violation> {
    let mut found = Vec::new();
    let mut left = vec![(String::new(), schema)];
    while let Some((at, value)) = left.pop() {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let pointer = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
                    match value.as_str().filter(|_| REFERENCES.contains(&name.as_str())) {
                        Some(target) if !target.starts_with('#') => found.push(remote(pointer, target)),
                        Some(_) => {}
                        None if DATA.contains(&name.as_str()) => {}
                        None => left.push((pointer, value)),
                    }
                }
            }
            Value::Array(items) => {
                let items = items.iter().enumerate();
                left.extend(items.map(|(index, value)| (format!("{at}/{index}"), value)));
            }
            _ => {}
        }
    }
    found.sort_by(|one, other| one.pointer.cmp(&other.pointer));
    found.truncate(MAX_TOLD);
    found
}

fn remote(pointer: String, target: &str) -> Violation {
    let shown: String = target.chars().take(MAX_MESSAGE).collect();
    let message = format!(
        "it refers to `{shown}`, and nothing is fetched; put that schema under `$defs` and refer to `#/$defs/...`"
    );
    Violation { pointer, message }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compiled(schema: &Value) -> Result<Schema, Vec<Violation>> {
        Schema::compile(schema.to_string().into(), schema)
    }

    /// Where the schema has something against the payload.
    fn place(schema: &Value, payload: &Value) -> Option<String> {
        compiled(schema).unwrap().violation(payload).map(|violation| violation.pointer)
    }

    #[test]
    fn violations_name_their_place() {
        let schema = json!({
            "type": "object",
            "required": ["id"],
            "properties": {
                "id": {"type": "integer"},
                "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
                "a/b": {"maximum": 3},
            },
            "$defs": {"line": {"type": "object", "properties": {"amount": {"type": "number", "minimum": 0}}}},
        });
        let table = [
            (json!({"id": 1, "lines": [{"amount": 0.5}]}), None),
            (json!([]), Some("")),
            (json!({}), Some("")),
            (json!({"id": "x"}), Some("/id")),
            (json!({"id": 1.0}), None),
            (json!({"id": 1, "lines": [{"amount": 1}, {"amount": -1}]}), Some("/lines/1/amount")),
            (json!({"id": 1, "a/b": 4}), Some("/a~1b")),
        ];
        for (payload, expected) in table {
            assert_eq!(place(&schema, &payload).as_deref(), expected, "{payload}");
        }
        let message = compiled(&schema).unwrap().violation(&json!({"id": "secret"})).unwrap();
        assert!(message.message.starts_with("it is not of type"), "{message:?}");
    }

    #[test]
    fn schemas_that_cannot_be_used_are_refused() {
        let table = [
            (json!({"$ref": "https://example.com/x.json"}), "/$ref", "https://example.com/x.json"),
            (json!({"properties": {"a/b": {"$ref": "x.json#/a"}}}), "/properties/a~1b/$ref", "x.json"),
            (json!({"allOf": [{"$dynamicRef": "file:///etc/passwd"}]}), "/allOf/0/$dynamicRef", "passwd"),
            (json!({"type": "colour"}), "/type", "colour"),
            (json!({"properties": {"a": {"pattern": "("}}}), "/properties/a/pattern", ""),
        ];
        for (schema, pointer, part) in table {
            let violations = compiled(&schema).unwrap_err();
            assert_eq!(violations[0].pointer, pointer, "{schema}: {violations:?}");
            assert!(violations[0].message.contains(part), "{schema}: {violations:?}");
        }
        for schema in [
            json!({"$ref": "#/$defs/nowhere"}),
            json!({"$schema": "https://example.com/my-draft"}),
            json!({"$schema": "https://json-schema.org/draft/2020-12/schema", "items": {"$id": "http://["}}),
        ] {
            assert!(compiled(&schema).is_err(), "{schema}");
        }
        assert!(compiled(&json!({"const": {"$ref": "https://example.com"}})).is_ok());
        assert!(compiled(&json!({"properties": {"$ref": {"type": "string"}}})).is_ok());
    }

    #[test]
    fn patterns_take_bounded_time() {
        let schema = json!({"pattern": "^(a|aa)+$"});
        let text = format!("{}b", "a".repeat(100_000));
        assert_eq!(place(&schema, &json!(text)).as_deref(), Some(""));
        for pattern in ["(?=a)b", "(?<!x)y", r"(a)\1", "(a{1000}){1000}"] {
            let violations = compiled(&json!({"items": {"pattern": pattern}})).unwrap_err();
            assert_eq!(violations[0].pointer, "/items/pattern", "{violations:?}");
        }
    }

    /// Each level doubles the ways in which a payload could fit.
    #[test]
    fn branches_take_bounded_time() {
        let again = json!({"type": "object", "properties": {"x": {"$ref": "#/$defs/a"}}, "required": ["x"]});
        let circular = json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [again, again]}}});
        let payload = (0..60).fold(json!(1), |inner, _| json!({"x": inner}));
        let violation = compiled(&circular).unwrap().violation(&payload).unwrap();
        assert!(violation.message.contains("circular"), "{violation:?}");

        let chain = |levels: usize| {
            let mut definitions = serde_json::Map::new();
            for level in 0..levels {
                let next = json!({"$ref": format!("#/$defs/{}", level + 1)});
                definitions.insert(level.to_string(), json!({"anyOf": [next, next]}));
            }
            definitions.insert(levels.to_string(), json!({"type": "string"}));
            json!({"properties": {"x": {"$ref": "#/$defs/0"}}, "$defs": definitions})
        };
        assert_eq!(place(&chain(5), &json!({"x": 1})).as_deref(), Some("/x"));
        for levels in [20, 60, 5_000] {
            let violations = compiled(&chain(levels)).unwrap_err();
            assert!(violations[0].message.contains("parts"), "{violations:?}");
        }
    }

    #[test]
    fn trees_can_be_described() {
        let tree = json!({"type": "object", "properties": {"children": {"items": {"$ref": "#"}}}});
        assert_eq!(place(&tree, &json!({"children": [{"children": []}, {}]})), None);
        assert!(place(&tree, &json!({"children": [{"children": [7]}]})).is_some());
    }

    #[test]
    fn only_large_payloads_are_refused_without_a_place() {
        let schema = json!({"items": {"type": "string"}});
        let numbers = |count: usize| Value::Array(vec![json!(1); count]);
        assert_eq!(place(&schema, &numbers(1_000)).as_deref(), Some("/0"));
        assert_eq!(place(&schema, &numbers(MAX_WAYS)).as_deref(), Some(""));
    }

    #[test]
    fn what_cannot_be_checked_does_not_pass() {
        let schema = Schema::kept(Bytes::from_static(br#"{"type":"colour"}"#));
        assert!(schema.violation(&json!(1)).unwrap().message.contains("put it again"));
        let schema = Schema::kept(Bytes::from_static(br#"{"type":"string"}"#));
        assert!(schema.violation(&json!(1)).is_some());
        assert_eq!(schema.violation(&json!("x")), None);
    }
}
