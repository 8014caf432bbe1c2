//! What a client says about an event type. Samples and schema are kept as the text that was posted: in the object that
//! [`parse`] makes, each stands as a string that holds it.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::body;
use crate::api::events::payload_error;
use crate::api::exact::Members;
use crate::api::fields::Fields;
use crate::api::problem::{FieldError, Problem};
use crate::book::Listed;
use crate::catalogue::EventTypeEntry;
use crate::config::{CatalogueSettings, Config};
use crate::schema::Schema;
use crate::time::Timestamp;

const MEMBERS: [&str; 7] = ["name", "group", "description", "samples", "schema", "check", "deprecated"];

const MAX_GROUP: usize = 100;
const MAX_DESCRIPTION: usize = 2_000;

pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let whole: &RawValue = serde_json::from_slice(bytes).map_err(body::not_json)?;
    if !whole.get().starts_with('{') {
        return Err(body::no_object());
    }
    let Members(members) = serde_json::from_str(whole.get()).map_err(body::not_json)?;
    let value = |(name, raw): (String, &RawValue)| {
        let value = match (name.as_str(), raw.get()) {
            ("samples", text) if text.starts_with('[') => texts(text)?,
            ("schema", text) if text != "null" => text.into(),
            (_, text) => body::strict(text)?,
        };
        Ok((name, value))
    };
    members.into_iter().map(value).collect()
}

fn texts(list: &str) -> Result<Value, Problem> {
    let items: Vec<&RawValue> = serde_json::from_str(list).map_err(body::not_json)?;
    Ok(items.into_iter().map(|item| Value::from(item.get())).collect())
}

/// The members that were given, and what they are to be read over.
pub(super) struct Given {
    pub members: Map<String, Value>,
    pub base: EventTypeEntry,
    pub stored: Option<Arc<Listed>>,
    pub now: Timestamp,
}

impl Given {
    /// # Errors
    ///
    /// Everything that is wrong with it, the samples that its own schema refuses included.
    pub fn read(self, config: &Config) -> Result<Listed, Problem> {
        let Self { members, base, stored, now } = self;
        let mut errors = Vec::new();
        let fields = Fields::new(members, "", &mut errors);
        let entry =
            read_fields(fields, base, stored.as_deref(), now, &config.catalogue, config.ingest.json_depth);
        let schema = match compiled(&entry, stored.as_deref()) {
            Ok(schema) => schema,
            Err(wrong) => {
                errors.extend(wrong);
                None
            }
        };
        if let Some(schema) = schema.as_ref().filter(|_| entry.check && errors.is_empty()) {
            errors.extend(sample_errors(schema, &entry));
        }
        match errors.is_empty() {
            true => Ok(Listed { entry, schema }),
            false => Err(Problem::invalid(errors)),
        }
    }
}

fn read_fields(
    mut fields: Fields<'_>,
    base: EventTypeEntry,
    stored: Option<&Listed>,
    now: Timestamp,
    limits: &CatalogueSettings,
    depth: usize,
) -> EventTypeEntry {
    if fields.text("name").is_some_and(|name| name != base.name.as_str()) {
        fields.wrong::<()>("name", format!("the path names `{}`; an event type is not renamed", base.name));
    }
    let before = stored.and_then(|listed| listed.entry.deprecated_since);
    let entry = EventTypeEntry {
        group: match fields.has("group") {
            true => group(&mut fields),
            false => base.group,
        },
        description: match fields.has("description") {
            true => description(&mut fields),
            false => base.description,
        },
        samples: match fields.has("samples") {
            true => samples(&mut fields, limits, depth),
            false => base.samples,
        },
        schema: match fields.has("schema") {
            true => schema(&mut fields, limits.max_schema.0),
            false => base.schema,
        },
        check: match fields.has("check") {
            true => fields.boolean("check").unwrap_or(false),
            false => base.check,
        },
        deprecated_since: match fields.has("deprecated") {
            true => fields.boolean("deprecated").unwrap_or(false).then(|| before.unwrap_or(now)),
            false => base.deprecated_since,
        },
        updated_at: now,
        name: base.name,
        created_at: base.created_at,
    };
    if entry.check && entry.schema.is_none() {
        fields.wrong::<()>("check", "there is no `schema` to check payloads with");
    }
    fields.finish(&MEMBERS);
    entry
}

fn group(fields: &mut Fields<'_>) -> String {
    let group = fields.text("group").unwrap_or_default();
    if group.chars().count() > MAX_GROUP || group.chars().any(char::is_control) {
        let message = format!("it must have up to {MAX_GROUP} characters, none a control character");
        fields.wrong::<()>("group", message);
    }
    group
}

fn description(fields: &mut Fields<'_>) -> String {
    let text = fields.text("description").unwrap_or_default();
    if text.chars().count() > MAX_DESCRIPTION {
        fields.wrong::<()>("description", format!("it is longer than {MAX_DESCRIPTION} characters"));
    }
    text
}

fn samples(fields: &mut Fields<'_>, limits: &CatalogueSettings, depth: usize) -> Vec<Bytes> {
    let most = limits.max_sample.0;
    let sample = |text: &str| match text.len() <= most {
        true if body::depth(text.as_bytes()) > depth => {
            Err(format!("it is nested deeper than {depth} levels (`ingest.json_depth`)"))
        }
        true => Ok(Bytes::copy_from_slice(text.as_bytes())),
        false => Err(format!("it is larger than {most} bytes (`catalogue.max_sample`)")),
    };
    fields.list_of("samples", limits.max_samples, sample).unwrap_or_default()
}

fn schema(fields: &mut Fields<'_>, most: usize) -> Option<Bytes> {
    let text = fields.text("schema")?;
    match text.len() <= most {
        true => Some(text.into()),
        false => fields.wrong("schema", format!("it is larger than {most} bytes (`catalogue.max_schema`)")),
    }
}

/// The schema, ready to be asked; the stored one where it is the same.
fn compiled(entry: &EventTypeEntry, stored: Option<&Listed>) -> Result<Option<Arc<Schema>>, Vec<FieldError>> {
    let Some(text) = &entry.schema else { return Ok(None) };
    let kept = stored.and_then(|listed| listed.schema.clone()).filter(|schema| schema.text() == text);
    if kept.is_some() {
        return Ok(kept);
    }
    let value = std::str::from_utf8(text).map_err(|error| error.to_string()).and_then(read_schema);
    let value = value.map_err(|message| vec![FieldError::new("/schema", message)])?;
    let compiled = Schema::compile(text.clone(), &value).map_err(|violations| {
        let violations = violations.into_iter();
        violations
            .map(|found| FieldError::new(format!("/schema{}", found.pointer), found.message))
            .collect::<Vec<_>>()
    })?;
    Ok(Some(Arc::new(compiled)))
}

fn read_schema(text: &str) -> Result<Value, String> {
    match body::strict(text).map_err(|problem| problem.detail)? {
        value @ (Value::Object(_) | Value::Bool(_)) => Ok(value),
        _ => Err("it must be a JSON Schema: an object".to_owned()),
    }
}

fn sample_errors(schema: &Schema, entry: &EventTypeEntry) -> Vec<FieldError> {
    let samples = entry.samples.iter().enumerate();
    samples
        .filter_map(|(index, sample)| payload_error(schema, sample, &format!("/samples/{index}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;

    fn read(text: &str) -> Result<Listed, Problem> {
        let now = Timestamp::from_secs(7);
        let base = EventTypeEntry::new(EventType::parse("invoice.paid").unwrap(), now);
        Given { members: parse(text.as_bytes())?, base, stored: None, now }.read(&Config::default())
    }

    #[test]
    fn samples_and_schema_stay_text() {
        let listed = read(
            r#"{"name":"invoice.paid","group":"Invoices","samples":[ {"z": 1e400, "a":12500.00} ,"x",null],
                "schema": {"type" : ["object","string","null"],"maximum":1.50} ,"check":true,"deprecated":true}"#,
        )
        .unwrap();
        let samples: Vec<&[u8]> = listed.entry.samples.iter().map(|sample| &sample[..]).collect();
        assert_eq!(samples, [&br#"{"z": 1e400, "a":12500.00}"#[..], b"\"x\"", b"null"]);
        let schema = &br#"{"type" : ["object","string","null"],"maximum":1.50}"#[..];
        assert_eq!(listed.entry.schema.as_deref(), Some(schema));
        assert_eq!(listed.entry.deprecated_since, Some(Timestamp::from_secs(7)));
        assert_eq!(read("{}").unwrap().entry.samples.len(), 0);
        assert_eq!(read(r#"{"schema":null,"samples":null}"#).unwrap().entry.schema, None);
    }

    #[test]
    fn each_error_names_its_place() {
        let deep = format!(r#"{{"samples":[1,{}1{}]}}"#, "[".repeat(200), "]".repeat(200));
        let large = format!(r#"{{"samples":["{}"]}}"#, "x".repeat(64 << 10));
        let many = format!(r#"{{"samples":[{}1]}}"#, "1,".repeat(16));
        let table = [
            (r#"{"name":"invoice.voided"}"#, "/name"),
            (r#"{"group":7}"#, "/group"),
            (r#"{"group":"a\nb"}"#, "/group"),
            (r#"{"samples":{}}"#, "/samples"),
            (&deep, "/samples/1"),
            (&large, "/samples/0"),
            (&many, "/samples"),
            (r#"{"schema":7}"#, "/schema"),
            (r#"{"schema":{"a":1,"a":2}}"#, "/schema"),
            (
                r#"{"schema":{"properties":{"a":{"$ref":"https://example.com/a"}}}}"#,
                "/schema/properties/a/$ref",
            ),
            (r#"{"check":true}"#, "/check"),
            (r#"{"check":"yes"}"#, "/check"),
            (r#"{"schema":{"required":["a"]},"check":true,"samples":[{"a":1},{}]}"#, "/samples/1"),
            (r#"{"deprecated":1}"#, "/deprecated"),
            (r#"{"colour":1}"#, "/colour"),
        ];
        for (text, pointer) in table {
            let problem = read(text).unwrap_err();
            assert_eq!(problem.errors.len(), 1, "{pointer}: {:?}", problem.errors);
            assert_eq!(problem.errors[0].pointer, pointer, "{:?}", problem.errors);
        }
        for (bad, status) in [("", 400), ("[]", 422), (r#"{"group":"a","group":"b"}"#, 400)] {
            assert_eq!(read(bad).unwrap_err().kind.status().as_u16(), status, "{bad}");
        }
        assert!(read(r#"{"schema":{"required":["a"]},"samples":[{}]}"#).is_ok(), "not checked, not judged");
    }
}
