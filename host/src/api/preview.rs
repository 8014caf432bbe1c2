//! What a change would change, for those who ask with `?dry_run=true`: nothing is written.

use axum::response::Response;
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::endpoints::masked_url;
use super::json;
use super::page::Query;
use super::problem::Problem;
use crate::secret::MASK;

#[derive(Debug, Serialize)]
struct Preview {
    /// One for each member that would be another.
    changes: Vec<Change>,
}

#[derive(Debug, Serialize)]
pub(super) struct Change {
    pub member: String,
    /// `null` where there is none; masked as in any answer.
    pub from: Value,
    pub to: Value,
}

/// Whether the change is only asked about.
pub(super) fn is_asked(uri: &Uri) -> Result<bool, Problem> {
    let mut query = Query::of(uri);
    let asked = query.take("dry_run", str::parse::<bool>).unwrap_or(false);
    query.finish().map(|()| asked)
}

/// The difference between what a client would send to make the one and the other, secrets included.
pub(super) fn answer(before: &Map<String, Value>, after: &Map<String, Value>) -> Result<Response, Problem> {
    let mut members: Vec<&String> = before.keys().chain(after.keys()).collect();
    members.sort_unstable();
    members.dedup();
    let changed = members.into_iter().filter(|member| before.get(*member) != after.get(*member));
    let change = |member: &String| Change {
        member: member.clone(),
        from: before.get(member).map(|value| shown(member, value)).unwrap_or_default(),
        to: after.get(member).map(|value| shown(member, value)).unwrap_or_default(),
    };
    changes(changed.map(change).collect())
}

pub(super) fn changes(changes: Vec<Change>) -> Result<Response, Problem> {
    json(StatusCode::OK, &Preview { changes })
}

fn shown(member: &str, value: &Value) -> Value {
    match (member, value) {
        ("url", Value::String(url)) => masked_url(url).into(),
        ("auth" | "headers", Value::Object(parts)) => {
            let hidden = |name: &str| if name == "type" { parts[name].clone() } else { MASK.into() };
            parts.keys().map(|name| (name.clone(), hidden(name))).collect::<Map<_, _>>().into()
        }
        ("transforms", Value::Array(links)) => links.iter().map(|link| link["plugin"].clone()).collect(),
        _ => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn no_secret_is_shown() {
        let table = [
            ("url", json!("https://a.example/planted?planted"), json!("https://a.example/***")),
            (
                "auth",
                json!({"type": "bearer", "token": "planted"}),
                json!({"type": "bearer", "token": "***"}),
            ),
            ("headers", json!({"X-Key": "planted"}), json!({"X-Key": "***"})),
            ("transforms", json!([{"plugin": "flatten", "config": "\"planted\""}]), json!(["flatten"])),
            ("timeout", json!("10s"), json!("10s")),
        ];
        for (member, value, expected) in table {
            assert_eq!(shown(member, &value), expected, "{member}");
        }
    }
}
