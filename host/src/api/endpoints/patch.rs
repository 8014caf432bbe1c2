//! Changing an endpoint by a JSON merge patch (RFC 7396).
//!
//! What an answer masks may be sent back as it was shown: `***` keeps what is stored there. A link of a chain
//! without `config` keeps that of the same plugin. `retry`, `signature`, `rate_limit` and their like are replaced whole,
//! and so is `auth` where its type changes, since half of one form and half of another make neither.

use serde_json::{Map, Value};

use super::spec::known_members;
use super::view::{are_secrets_of, in_full, masked_url, told};
use crate::api::exact::Json;
use crate::api::statistics::FARE_FIELDS;
use crate::endpoint::Endpoint;
use crate::secret::MASK;

/// The members that are to be other than they are stored, as a client would send them; `null` where one is to go.
pub(super) fn apply(stored: &Endpoint, mut change: Map<String, Value>) -> Map<String, Value> {
    let own = |name: &str| stored.own.headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
    let others = |name: &str| stored.terms.headers.iter().any(|(known, _)| known == name) && !own(name);
    // How it fares changes between a client's look and its patch.
    change.retain(|name, value| {
        !FARE_FIELDS.contains(&name.as_str()) && (name != "secrets" || !are_secrets_of(stored, value))
    });
    apply_to(in_full(stored), &told(stored), &known_members(), others, change)
}

/// As [`apply`], to anything that has terms. `whole` is what a client would send to make it, `told` what is shown and
/// not set; `known` has all members' names; `others` knows the headers that are shown and that others say.
pub(in crate::api) fn apply_to(
    mut whole: Map<String, Value>,
    told: &Map<String, Value>,
    known: &[&str],
    others: impl Fn(&str) -> bool,
    change: Map<String, Value>,
) -> Map<String, Value> {
    let mut changed = Map::new();
    for (name, value) in change {
        if told.get(&name) == Some(&value) {
            continue;
        }
        // Nothing to take away; left for the check to name.
        if value.is_null() && !whole.contains_key(&name) && !known.contains(&name.as_str()) {
            changed.insert(name, value);
            continue;
        }
        let kept = whole.remove(&name);
        let before = kept.clone();
        let merged = match (name.as_str(), kept) {
            (_, None) => (!value.is_null()).then_some(value),
            ("url", Some(Value::String(kept))) if value == masked_url(&kept) => Some(Value::String(kept)),
            ("retry" | "signature" | "auto_disable" | "order" | "rate_limit", _) => Some(value),
            ("auth", Some(kept)) if changes_type(&kept, &value) => Some(value),
            ("quota", Some(kept)) => merge(without_rate(kept, &value), value),
            ("transforms", Some(kept)) => Some(chain(kept, value)),
            ("headers", Some(kept)) => headers(kept, without_inherited(&others, value)),
            (_, Some(kept)) => merge(kept, value),
        };
        let merged = merged.filter(|merged| !merged.is_null());
        if merged != before {
            changed.insert(name, merged.unwrap_or_default());
        }
    }
    changed
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

/// The rate of a quota is replaced whole too.
fn without_rate(mut stored: Value, patch: &Value) -> Value {
    if let (Some(stored), Some(Value::Object(_))) = (stored.as_object_mut(), patch.get("ingest")) {
        stored.remove("ingest");
    }
    stored
}

fn changes_type(stored: &Value, patch: &Value) -> bool {
    patch.get("type").is_some_and(|named| stored.get("type") != Some(named))
}

/// Without the headers that come back as they were shown and are others'.
fn without_inherited(others: &impl Fn(&str) -> bool, mut patch: Value) -> Value {
    if let Value::Object(patch) = &mut patch {
        patch.retain(|name, value| *value != MASK || !others(name));
    }
    patch
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
pub(in crate::api) fn chain(stored: Value, patch: Value) -> Value {
    let (Value::Array(stored), Value::Array(mut links)) = (stored, patch.clone()) else { return patch };
    let places: Vec<Place<'_>> = (0..links.len()).map(|index| place(&stored, &links, index)).collect();
    for (link, place) in links.iter_mut().zip(places) {
        let Value::Object(link) = link else { continue };
        match (place, link.get_mut("config")) {
            (Place::Found(kept), None) => {
                link.insert("config".to_owned(), kept.into());
            }
            (Place::Found(kept), Some(Value::String(config))) => unmask_text(config, kept),
            // Neither dropped nor taken from the wrong link: the check asks for it.
            (Place::Unclear, None) => {
                link.insert("config".to_owned(), Value::String(format!("\"{MASK}\"")));
            }
            _ => {}
        }
    }
    Value::Array(links)
}

/// Where the configuration is stored that a link leaves out or masks.
enum Place<'a> {
    Found(&'a str),
    /// In one of several links.
    Unclear,
    Nowhere,
}

/// In the only link of the same plugin, or, where there are more, in the same place of a chain of the same plugins.
fn place<'a>(stored: &'a [Value], links: &[Value], index: usize) -> Place<'a> {
    let Some(name) = links.get(index).and_then(plugin) else { return Place::Nowhere };
    let of_name = |link: &&Value| plugin(link) == Some(name);
    let found = match (stored.iter().filter(of_name).count(), links.iter().filter(of_name).count()) {
        (0, _) => return Place::Nowhere,
        (1, 1) => stored.iter().find(of_name),
        _ if stored.iter().map(plugin).eq(links.iter().map(plugin)) => stored.get(index),
        _ => None,
    };
    found.and_then(|link| link.get("config")?.as_str()).map_or(Place::Unclear, Place::Found)
}

/// Its name, whatever digest it is pinned to.
fn plugin(link: &Value) -> Option<&str> {
    link.get("plugin")?.as_str()?.split('@').next()
}

/// A configuration that comes out as it is stored stays that text, byte for byte.
fn unmask_text(config: &mut String, stored: &str) {
    let (Ok(mut given), Ok(kept)) = (Json::parse(config), Json::parse(stored)) else { return };
    if !unmask(&mut given, &kept) {
        return;
    }
    *config = if given == kept { stored.to_owned() } else { given.to_string() };
}

/// Puts the stored texts back where masks stand. In a list of another length nobody knows which is which, so there
/// they stay. True where something was put back.
fn unmask(config: &mut Json, stored: &Json) -> bool {
    match (config, stored) {
        (Json::Text(text), Json::Text(kept)) if text == MASK => {
            text.clone_from(kept);
            true
        }
        (Json::Array(items), Json::Array(kept)) if items.len() == kept.len() => {
            items.iter_mut().zip(kept).fold(false, |any, (item, kept)| unmask(item, kept) || any)
        }
        (Json::Object(members), Json::Object(kept)) => {
            members.iter_mut().fold(false, |any, (name, value)| {
                let kept = kept.iter().find(|(other, _)| other == name);
                kept.is_some_and(|(_, kept)| unmask(value, kept)) || any
            })
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::endpoints::document;
    use crate::api::endpoints::endpoint;
    use crate::api::endpoints::spec::{read_for_test, read_over_for_test};
    use crate::api::endpoints::view::EndpointView;
    use crate::api::statistics::Fare;
    use crate::endpoint::Hold;
    use crate::id::EndpointId;
    use crate::secret::SigningSecret;
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
            "auth": {"type": "basic", "username": "planted-user", "password": "planted-password"},
            "headers": {"X-Key": "planted-header", "X-Other": "planted-other"},
            "retry": {"schedule": ["1m"]},
        });
        let spec = read_for_test(spec).unwrap();
        let now = Timestamp::from_secs(1);
        let secret = SigningSecret::from_key([7; 32]);
        endpoint(spec, EndpointId::from_u128(1), secret.into(), Hold::default(), now, now)
    }

    fn patched(change: Value) -> Value {
        let change = document::parse(change.to_string().as_bytes()).unwrap();
        Value::Object(apply(&stored(), change))
    }

    #[test]
    fn what_is_no_member_is_named_also_where_it_is_null() {
        assert_eq!(patched(json!({"": null, "rate_limit": null, "version": null})), json!({"": null}));
    }

    #[test]
    fn what_was_shown_changes_nothing_when_it_comes_back() {
        let endpoint = stored();
        let view = EndpointView::of(&endpoint, Fare::default(), Timestamp::ZERO);
        let shown = serde_json::to_string(&view).unwrap();
        assert!(!shown.contains("planted"), "{shown}");
        let back = document::parse(shown.as_bytes()).unwrap();
        assert_eq!(Value::Object(apply(&endpoint, back)), json!({}));
    }

    #[test]
    fn patches() {
        let table = [
            (json!({"name": "new"}), json!({"name": "new"})),
            (json!({"name": "CRM"}), json!({})),
            (json!({"enabled": false}), json!({"enabled": false})),
            (json!({"url": "https://other.example/"}), json!({"url": "https://other.example/"})),
            (json!({"auth": null}), json!({"auth": null})),
            (
                json!({"auth": {"password": "new"}}),
                json!({"auth": {"type": "basic", "username": "planted-user", "password": "new"}}),
            ),
            (
                json!({"auth": {"type": "bearer", "token": "t"}}),
                json!({"auth": {"type": "bearer", "token": "t"}}),
            ),
            (json!({"retry": {"attempts": 1}}), json!({"retry": {"attempts": 1}})),
            (json!({"retry": null}), json!({"retry": null})),
            (json!({"rate_limit": null}), json!({})),
            (json!({"headers": {"x-key": null}}), json!({"headers": {"X-Other": "planted-other"}})),
            (json!({"headers": {"x-key": "***"}}), json!({})),
            (json!({"colour": "red"}), json!({"colour": "red"})),
            (json!({"secrets": [{"fingerprint": "0"}]}), json!({"secrets": [{"fingerprint": "0"}]})),
        ];
        for (change, expected) in table {
            assert_eq!(patched(change.clone()), expected, "{change}");
        }
    }

    /// The configurations of a patched chain.
    fn configs(stored: &str, patch: &str) -> Vec<String> {
        let links = |text: &str| document::parse(format!("{{\"transforms\":{text}}}").as_bytes()).unwrap();
        let links = |text: &str| links(text).remove("transforms").unwrap();
        let chain = chain(links(stored), links(patch));
        let config = |link: &Value| link.get("config").and_then(Value::as_str).unwrap_or("none").to_owned();
        chain.as_array().unwrap().iter().map(config).collect()
    }

    #[test]
    fn configurations_stay_with_their_plugin() {
        let one = r#"[{"plugin":"a","config":{"k": "A", "n":1.50}},{"plugin":"b","config":["B"]}]"#;
        let two = r#"[{"plugin":"f","config":{}},{"plugin":"a","config":"1"},{"plugin":"a","config":"2"}]"#;
        let table = [
            (one, r#"[{"plugin":"b"},{"plugin":"a"}]"#, [r#"["B"]"#, r#"{"k": "A", "n":1.50}"#].as_slice()),
            (one, r#"[{"plugin":"c"}]"#, &["none"]),
            (one, r#"[{"plugin":"b@sha256:0"}]"#, &[r#"["B"]"#]),
            (one, r#"[{"plugin":"a","config":{}}]"#, &["{}"]),
            (one, r#"[{"plugin":"a","config":{"k":"***","n":1.50}}]"#, &[r#"{"k": "A", "n":1.50}"#]),
            (one, r#"[{"plugin":"a","config":{"n":0.10,"k":"***"}}]"#, &[r#"{"n":0.10,"k":"A"}"#]),
            // Nobody can tell which of the two is meant.
            (one, r#"[{"plugin":"b","config":["***","***"]}]"#, &[r#"["***","***"]"#]),
            (one, r#"[{"plugin":"b"},{"plugin":"b","config":"***"}]"#, &[r#""***""#, r#""***""#]),
            (
                two,
                r#"[{"plugin":"a","config":"***"},{"plugin":"a","config":"***"}]"#,
                &[r#""***""#, r#""***""#],
            ),
            (two, r#"[{"plugin":"a"}]"#, &[r#""***""#]),
            (
                two,
                r#"[{"plugin":"f"},{"plugin":"a","config":"***"},{"plugin":"a"}]"#,
                &["{}", r#""1""#, r#""2""#],
            ),
        ];
        for (stored, patch, expected) in table {
            assert_eq!(configs(stored, patch), expected, "{patch}");
        }
    }

    #[test]
    fn settings_that_became_narrower_are_not_held_against_what_is_stored() {
        let mut narrow = crate::config::Config::default();
        narrow.delivery.max_timeout = std::time::Duration::from_secs(1);
        narrow.endpoint.max_config.0 = 0;
        narrow.endpoint.max_headers = 0;
        narrow.endpoint.max_events = 0;
        narrow.endpoint.max_concurrency = 0;
        let here = Endpoint { url: crate::secret::Secret::new("http://127.0.0.1:3000/x"), ..stored() };
        let patch = |change: Value| {
            let change = document::parse(change.to_string().as_bytes()).unwrap();
            read_over_for_test(&narrow, &here, apply(&here, change))
        };
        let shown = serde_json::to_value(EndpointView::of(&here, Fare::default(), Timestamp::ZERO)).unwrap();
        for change in [json!({"enabled": false}), json!({"name": "new"}), shown] {
            let spec = patch(change).unwrap();
            assert_eq!((&spec.url, &spec.terms), (&here.url, &here.own));
        }
        let refused = patch(json!({"url": "http://127.0.0.1:3000/y"})).unwrap_err();
        assert_eq!(refused[0].pointer, "/url");
        let refused = patch(json!({"signature": {"scheme": "hmac-sha256", "header": "x-key"}})).unwrap_err();
        assert_eq!(refused[0].pointer, "/headers/X-Key");
    }
}
