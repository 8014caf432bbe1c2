//! Which texts of a configuration are shown: those that the plugin's schema knows and does not call `writeOnly`.
//! Whatever it does not tell of could be a credential, and stays masked.

use serde_json::Value;

use super::show::mask;
use crate::api::exact::Json;

/// Most parts of a schema that are looked at for one place of a configuration: references may lead in circles.
const PLACES_LOOKED_AT: usize = 64;

/// The configuration as it is shown to those who may change it.
pub(super) fn readable(config: Json, schema: &Value) -> Json {
    walk(config, vec![schema], schema)
}

/// `places`: the parts of the schema that speak of this value.
fn walk(value: Json, places: Vec<&Value>, root: &Value) -> Json {
    let places = spread(places, root);
    if places.iter().any(|place| place["writeOnly"] == true) {
        return mask(value);
    }
    match value {
        Json::Text(_) if !places.iter().any(|place| tells_of_text(place)) => mask(value),
        Json::Array(items) => {
            let items = items.into_iter().enumerate();
            Json::Array(items.map(|(at, item)| walk(item, item_places(&places, at), root)).collect())
        }
        Json::Object(members) => {
            let open = |(name, member): (String, Json)| {
                let open = walk(member, member_places(&places, &name), root);
                (name, open)
            };
            Json::Object(members.into_iter().map(open).collect())
        }
        other => other,
    }
}

/// With all that they refer to and choose among.
fn spread<'a>(mut waiting: Vec<&'a Value>, root: &'a Value) -> Vec<&'a Value> {
    let mut places = Vec::new();
    while let Some(place) = waiting.pop() {
        if places.len() == PLACES_LOOKED_AT {
            // Too much to be sure of: as if nothing were told.
            return Vec::new();
        }
        if let Some(target) = place["$ref"].as_str() {
            match target.strip_prefix('#').and_then(|target| root.pointer(target)) {
                Some(found) => waiting.push(found),
                // It may say anything.
                None => return Vec::new(),
            }
        }
        for branches in ["allOf", "anyOf", "oneOf"] {
            waiting.extend(place[branches].as_array().into_iter().flatten());
        }
        for branch in ["if", "then", "else"] {
            waiting.extend(place.get(branch));
        }
        places.push(place);
    }
    places
}

fn tells_of_text(place: &Value) -> bool {
    let is_string = |value: &Value| value == "string";
    let words = place["enum"].as_array().is_some_and(|words| words.iter().any(Value::is_string));
    is_string(&place["type"])
        || place["type"].as_array().is_some_and(|kinds| kinds.iter().any(is_string))
        || words
        || place["const"].is_string()
}

fn item_places<'a>(places: &[&'a Value], at: usize) -> Vec<&'a Value> {
    let of = |place: &&'a Value| place["prefixItems"].get(at).or_else(|| place.get("items"));
    places.iter().filter_map(of).collect()
}

fn member_places<'a>(places: &[&'a Value], name: &str) -> Vec<&'a Value> {
    let of = |place: &&'a Value| -> Vec<&'a Value> {
        let known = place["properties"].get(name);
        // Which of them fit the name is not looked at: one that hides hides all.
        let patterns = place["patternProperties"].as_object().into_iter().flat_map(|all| all.values());
        let others = known.is_none().then(|| place.get("additionalProperties")).flatten();
        known.into_iter().chain(patterns).chain(others).collect()
    };
    places.iter().flat_map(of).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn shown(config: &str, schema: &Value) -> String {
        readable(Json::parse(config).unwrap(), schema).to_string()
    }

    #[test]
    fn what_the_schema_tells_of_is_shown() {
        let schema = json!({
            "$defs": {"field": {"type": "object", "properties": {
                "label": {"type": "string"},
                "token": {"type": "string", "writeOnly": true},
                "inner": {"$ref": "#/$defs/field"},
            }}},
            "type": "object",
            "properties": {
                "title": {"type": ["string", "null"]},
                "kind": {"enum": ["a", "b"]},
                "fields": {"type": "array", "items": {"$ref": "#/$defs/field"}},
                "keys": {"type": "object", "additionalProperties": {"type": "string"}},
                "hidden": {"type": "object", "writeOnly": true, "properties": {"x": {"type": "string"}}},
                "anything": {},
                "either": {"anyOf": [{"type": "string"}, {"type": "object", "properties": {"key": {"type": "string"}}}]},
                "elsewhere": {"type": "string", "$ref": "#/$defs/nowhere"},
                "patterned": {"properties": {"x": {"type": "string"}}, "patternProperties": {"^x": {"writeOnly": true}}},
                "unsure": {"oneOf": [{"type": "string"}, {"type": "string", "writeOnly": true}]},
            },
        });
        let table = [
            (r#"{"title":"T","n":1.50}"#, r#"{"title":"T","n":1.50}"#),
            (r#"{"kind":"a"}"#, r#"{"kind":"a"}"#),
            (r#"{"fields":[{"label":"L","token":"t"}]}"#, r#"{"fields":[{"label":"L","token":"***"}]}"#),
            (
                r#"{"fields":[{"inner":{"inner":{"label":"L","token":"t"}}}]}"#,
                r#"{"fields":[{"inner":{"inner":{"label":"L","token":"***"}}}]}"#,
            ),
            (r#"{"keys":{"a":"b"}}"#, r#"{"keys":{"a":"b"}}"#),
            (r#"{"hidden":{"x":"y"}}"#, r#"{"hidden":{"x":"***"}}"#),
            (r#"{"anything":"x","unknown":"y"}"#, r#"{"anything":"***","unknown":"***"}"#),
            (r#"{"anything":{"deep":["x",true]}}"#, r#"{"anything":{"deep":["***",true]}}"#),
            (r#"{"either":"x"}"#, r#"{"either":"x"}"#),
            (r#"{"either":{"key":"x","other":"y"}}"#, r#"{"either":{"key":"x","other":"***"}}"#),
            (r#"{"unsure":"x"}"#, r#"{"unsure":"***"}"#),
            (r#"{"elsewhere":"x"}"#, r#"{"elsewhere":"***"}"#),
            (r#"{"patterned":{"x":"y"}}"#, r#"{"patterned":{"x":"***"}}"#),
        ];
        for (config, expected) in table {
            assert_eq!(shown(config, &schema), expected);
        }
    }

    #[test]
    fn a_schema_that_says_nothing_shows_nothing() {
        for schema in [
            json!(true),
            json!({}),
            json!("text"),
            json!({"$ref": "#"}),
            json!({"$ref": "https://a.example/"}),
        ] {
            assert_eq!(shown(r#"{"a":"x"}"#, &schema), r#"{"a":"***"}"#, "{schema}");
        }
    }
}
