//! Changing an endpoint by a JSON merge patch (RFC 7396).
//!
//! What an answer masks may be sent back as it was shown: `***` keeps what is stored there. A link of a chain
//! without `config` keeps that of the same plugin in the same place. `retry` and `signature` are replaced whole,
//! and so is `auth` where its type changes, since half of one form and half of another make neither.

use serde_json::{Map, Value};

use super::view::{EndpointView, in_full, masked_url};
use crate::endpoint::Endpoint;
use crate::secret::MASK;

/// Fields of an answer that no client sets; they may come back unchanged.
const SHOWN_ONLY: [&str; 5] = ["id", "disabled_since", "disabled_because", "created_at", "updated_at"];

/// What a client would send to create the endpoint as it is to be.
pub(super) fn apply(stored: &Endpoint, change: Map<String, Value>) -> Map<String, Value> {
    let mut whole = in_full(stored);
    let shown = serde_json::to_value(EndpointView::of(stored)).unwrap_or_default();
    for (name, value) in change {
        if SHOWN_ONLY.contains(&name.as_str()) && shown.get(&name) == Some(&value) {
            continue;
        }
        let kept = whole.remove(&name);
        let merged = match (name.as_str(), kept) {
            (_, None) => (!value.is_null()).then_some(value),
            ("url", kept) if value == masked_url(stored.url.expose()) => kept,
            ("retry" | "signature", _) => Some(value),
            ("auth", Some(kept)) if changes_type(&kept, &value) => Some(value),
            ("transforms", Some(kept)) => Some(chain(kept, value)),
            ("headers", Some(kept)) => headers(kept, value),
            (_, Some(kept)) => merge(kept, value),
        };
        whole.extend(merged.map(|merged| (name, merged)));
    }
    whole
}

/// `None` where the patch removes the value. A mask keeps it.
fn merge(stored: Value, patch: Value) -> Option<Value> {
    match (stored, patch) {
        (_, Value::Null) => None,
        (Value::String(stored), Value::String(patch)) if patch == MASK => Some(Value::String(stored)),
        (Value::Object(mut stored), Value::Object(patch)) => {
            for (name, value) in patch {
                let merged = merge(stored.remove(&name).unwrap_or(Value::Null), value);
                stored.extend(merged.map(|merged| (name, merged)));
            }
            Some(Value::Object(stored))
        }
        (_, Value::Object(patch)) => merge(Value::Object(Map::new()), Value::Object(patch)),
        (_, patch) => Some(patch),
    }
}

fn changes_type(stored: &Value, patch: &Value) -> bool {
    patch.get("type").is_some_and(|named| stored.get("type") != Some(named))
}

/// Header names are the same in any case.
fn headers(stored: Value, patch: Value) -> Option<Value> {
    let (Value::Object(stored), Value::Object(patch)) = (&stored, &patch) else {
        return merge(stored, patch);
    };
    let spelled = |name: String| {
        let known = stored.keys().find(|known| known.eq_ignore_ascii_case(&name));
        known.cloned().unwrap_or(name)
    };
    let same_spelling: Map<String, Value> =
        patch.iter().map(|(name, value)| (spelled(name.clone()), value.clone())).collect();
    if same_spelling.len() < patch.len() {
        // One header under two spellings: left as it is for the check to name.
        return merge(Value::Object(stored.clone()), Value::Object(patch.clone()));
    }
    merge(Value::Object(stored.clone()), Value::Object(same_spelling))
}

/// A merge patch replaces lists whole; the links' configurations are what it may leave out.
fn chain(stored: Value, patch: Value) -> Value {
    let (Value::Array(stored), Value::Array(mut links)) = (stored, patch.clone()) else { return patch };
    for (index, link) in links.iter_mut().enumerate() {
        let Some(kept) = stored_config(&stored, index, link).cloned() else { continue };
        let Value::Object(link) = link else { continue };
        match link.get_mut("config") {
            None => {
                link.insert("config".to_owned(), kept);
            }
            Some(config) => unmask(config, &kept),
        }
    }
    Value::Array(links)
}

/// That of the same plugin: in the same place, or the only one of its name.
fn stored_config<'a>(stored: &'a [Value], index: usize, link: &Value) -> Option<&'a Value> {
    let same = |other: &&Value| other.get("plugin").is_some() && other.get("plugin") == link.get("plugin");
    let mut others = stored.iter().filter(same);
    let found = match stored.get(index).filter(same) {
        Some(found) => found,
        None => others.next().filter(|_| others.next().is_none())?,
    };
    found.get("config")
}

/// Puts the stored texts back where masks stand.
fn unmask(config: &mut Value, stored: &Value) {
    match (config, stored) {
        (Value::String(text), Value::String(kept)) if text == MASK => text.clone_from(kept),
        (Value::Array(items), Value::Array(kept)) => {
            items.iter_mut().zip(kept).for_each(|(item, kept)| unmask(item, kept));
        }
        (Value::Object(map), Value::Object(kept)) => {
            for (name, value) in map {
                if let Some(kept) = kept.get(name) {
                    unmask(value, kept);
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoints::spec::read_for_test;
    use crate::api::endpoints::{endpoint, new_secret};
    use crate::endpoint::Hold;
    use crate::id::EndpointId;
    use crate::time::Timestamp;
    use serde_json::json;

    fn stored() -> Endpoint {
        let spec = json!({
            "name": "CRM",
            "url": "https://hooks.example.com/planted?x=1",
            "events": ["*"],
            "transforms": [
                {"plugin": "a", "config": {"key": "planted-a", "n": 1}},
                {"plugin": "b", "config": {"list": ["planted-b"]}},
            ],
            "auth": {"type": "basic", "username": "u", "password": "planted-password"},
            "headers": {"X-Key": "planted-header", "X-Other": "planted-other"},
            "retry": {"schedule": ["1m"]},
        });
        let spec = read_for_test(spec).unwrap();
        let now = Timestamp::from_secs(1);
        endpoint(spec, EndpointId::from_u128(1), vec![new_secret()], Hold::default(), now, now)
    }

    fn patched(change: Value) -> Map<String, Value> {
        let Value::Object(change) = change else { panic!("a patch is an object") };
        apply(&stored(), change)
    }

    #[test]
    fn what_was_shown_changes_nothing_when_it_comes_back() {
        let endpoint = stored();
        let shown = serde_json::to_value(EndpointView::of(&endpoint)).unwrap();
        assert!(!shown.to_string().contains("planted"), "{shown}");
        let Value::Object(shown) = shown else { panic!("an object") };
        assert_eq!(Value::Object(apply(&endpoint, shown)), Value::Object(patched(json!({}))));
        let again = read_for_test(Value::Object(patched(json!({})))).unwrap();
        assert_eq!(again.transforms, endpoint.transforms);
        assert_eq!(again.auth, endpoint.auth);
        assert_eq!(again.headers, endpoint.headers);
        assert_eq!(again.url, endpoint.url);
        assert_eq!(again.retry, endpoint.retry);
    }

    #[test]
    fn patches() {
        let table = [
            (json!({"name": "new"}), "/name", json!("new")),
            (json!({"enabled": false}), "/enabled", json!(false)),
            (json!({"url": "https://other.example/"}), "/url", json!("https://other.example/")),
            (json!({"auth": null}), "/auth", Value::Null),
            (json!({"auth": {"password": "new"}}), "/auth/username", json!("u")),
            (
                json!({"auth": {"type": "bearer", "token": "t"}}),
                "/auth",
                json!({"type": "bearer", "token": "t"}),
            ),
            (json!({"retry": {"attempts": 1}}), "/retry", json!({"attempts": 1})),
            (json!({"retry": null}), "/retry", Value::Null),
            (json!({"headers": {"x-key": null}}), "/headers", json!({"X-Other": "planted-other"})),
            (json!({"headers": {"x-key": "***"}}), "/headers/X-Key", json!("planted-header")),
            (json!({"headers": {"X-New": "***"}}), "/headers/X-New", json!("***")),
            (json!({"transforms": [{"plugin": "b"}]}), "/transforms/0/config/list/0", json!("planted-b")),
            (json!({"transforms": [{"plugin": "c"}]}), "/transforms/0/config", Value::Null),
            (
                json!({"transforms": [{"plugin": "a", "config": {"key": "***", "n": 2}}]}),
                "/transforms/0/config",
                json!({"key": "planted-a", "n": 2}),
            ),
            (json!({"transforms": [{"plugin": "a", "config": {}}]}), "/transforms/0/config", json!({})),
            (json!({"colour": "red"}), "/colour", json!("red")),
        ];
        for (change, pointer, expected) in table {
            let whole = Value::Object(patched(change.clone()));
            assert_eq!(whole.pointer(pointer).cloned().unwrap_or_default(), expected, "{change}");
        }
    }
}
