//! The body of a request about an endpoint.
//!
//! A transform's configuration is kept as the text that was posted: in the object that comes out of here, and in
//! those that are made from it, each link's `config` is a string that holds it.

use axum::body::Body;
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::api::Api;
use crate::api::body;
use crate::api::exact::Members;
use crate::api::problem::Problem;
use crate::config::EndpointSettings;

/// Bytes of a body beside configurations and header values.
const REST: usize = 1 << 20;

pub(in crate::api) async fn read(
    api: &Api,
    headers: &HeaderMap,
    body: Body,
) -> Result<Map<String, Value>, Problem> {
    let limit = size_limit(&api.config.endpoint);
    let whole = body::read(api, headers, body, |_| limit).await?;
    parse(&whole.bytes)
}

/// Room for all that the settings allow.
fn size_limit(settings: &EndpointSettings) -> usize {
    let configs = settings.max_config.0.saturating_mul(settings.max_transforms);
    let headers = settings.max_header_value.0.saturating_mul(settings.max_headers);
    configs.saturating_add(headers).saturating_add(REST)
}

pub(super) fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let whole: &RawValue = serde_json::from_slice(bytes).map_err(body::not_json)?;
    if !whole.get().starts_with('{') {
        return Err(body::no_object());
    }
    let Members(members) = read_as(whole)?;
    let value = |(name, raw): (String, &RawValue)| {
        let value = if name == "transforms" { chain(raw)? } else { body::strict(raw.get())? };
        Ok((name, value))
    };
    members.into_iter().map(value).collect()
}

/// A list of links with their configurations as text. What is no chain is left for the check to name.
pub(in crate::api) fn chain(raw: &RawValue) -> Result<Value, Problem> {
    if !raw.get().starts_with('[') {
        return body::strict(raw.get());
    }
    let links: Vec<&RawValue> = read_as(raw)?;
    links.into_iter().map(link).collect::<Result<_, _>>().map(Value::Array)
}

fn link(raw: &RawValue) -> Result<Value, Problem> {
    if !raw.get().starts_with('{') {
        return body::strict(raw.get());
    }
    let Members(members) = read_as(raw)?;
    let value = |(name, raw): (String, &RawValue)| {
        let value = match (name.as_str(), raw.get()) {
            ("config", "null") => Value::Null,
            ("config", text) => text.into(),
            (_, text) => body::strict(text)?,
        };
        Ok((name, value))
    };
    members.into_iter().map(value).collect::<Result<_, _>>().map(Value::Object)
}

fn read_as<'a, T: serde::Deserialize<'a>>(raw: &'a RawValue) -> Result<T, Problem> {
    serde_json::from_str(raw.get()).map_err(body::not_json)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn configurations_stay_text() {
        let read =
            parse(br#" {"a":{"b":1},"transforms":[{"plugin":"x","config":{"z": 1e400, "a":12500.00}},7]} "#);
        let links = json!([{"plugin": "x", "config": r#"{"z": 1e400, "a":12500.00}"#}, 7]);
        assert_eq!(Value::Object(read.unwrap()), json!({"a": {"b": 1}, "transforms": links}));
        let none = parse(br#"{"transforms":[{"config":null}]}"#).unwrap();
        assert_eq!(none["transforms"], json!([{"config": null}]));
    }

    #[test]
    fn bodies_are_read_strictly() {
        for (bad, status) in [
            (&b""[..], 400),
            (b"{", 400),
            (b"[]", 422),
            (b"{}x", 400),
            (b"{\"a\":\"\xff\"}", 400),
            (br#"{"a":1,"a":2}"#, 400),
            (br#"{"a":{"b":1,"b":1}}"#, 400),
            (br#"{"transforms":[],"transforms":[]}"#, 400),
            (br#"{"transforms":[{"config":1,"config":2}]}"#, 400),
        ] {
            assert_eq!(parse(bad).unwrap_err().kind.status().as_u16(), status, "{bad:?}");
        }
    }
}
