//! One operation, as its resource describes it, and as OpenAPI writes it.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::shape::reference;
use crate::api::problem::{CONTENT_TYPE, Kind};
use crate::api::routes::Route;

pub const JSON: &str = "application/json";

/// What one operation takes and answers. What all of those behind a key have in common is added by itself.
#[derive(Debug, Clone)]
pub struct Operation {
    /// As the table of routes names it.
    pub name: &'static str,
    group: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    answers: Vec<(u16, Value)>,
    problems: Vec<Kind>,
}

impl Operation {
    pub fn new(name: &'static str, group: &'static str, summary: &'static str) -> Self {
        Self {
            name,
            group,
            summary,
            description: "",
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn about(self, description: &'static str) -> Self {
        Self { description, ..self }
    }

    /// A part of the path, which names something that may not be there.
    pub fn of(self, name: &'static str, schema: Value) -> Self {
        let parameter = json!({"name": name, "in": "path", "required": true, "schema": schema});
        self.parameter(parameter).problems(&[Kind::NotFound])
    }

    /// A parameter of the query.
    pub fn query(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        let parameter = json!({"name": name, "in": "query", "description": about, "schema": schema});
        self.parameter(parameter).problems(&[Kind::Invalid])
    }

    /// A parameter of the query that names some of `names`, separated by commas.
    pub fn some_of(self, name: &'static str, about: &'static str, names: Value) -> Self {
        let schema = json!({"type": "array", "minItems": 1, "items": {"enum": names}});
        let parameter = json!({
            "name": name, "in": "query", "description": about, "style": "form", "explode": false, "schema": schema,
        });
        self.parameter(parameter).problems(&[Kind::Invalid])
    }

    /// `cursor` and `limit`.
    pub fn page(self, cursor: Value) -> Self {
        self.query("cursor", "`next` of the page before.", cursor).query(
            "limit",
            "Most items of the page; 50 where it is not said.",
            json!({"type": "integer", "minimum": 1, "maximum": 500}),
        )
    }

    pub fn header(self, name: &'static str, about: &'static str, schema: Value) -> Self {
        self.parameter(json!({"name": name, "in": "header", "description": about, "schema": schema}))
    }

    /// A body in JSON.
    pub fn takes(self, schema: Value) -> Self {
        self.takes_any(true, &[(JSON, schema)])
    }

    /// A body that may be left out.
    pub fn may_take(self, schema: Value) -> Self {
        self.takes_any(false, &[(JSON, schema)])
    }

    pub fn takes_any(self, required: bool, forms: &[(&str, Value)]) -> Self {
        let content: Map<String, Value> =
            forms.iter().map(|(form, schema)| ((*form).to_owned(), json!({"schema": schema}))).collect();
        let body = Some(json!({"required": required, "content": content}));
        Self { body, ..self }.problems(&[
            Kind::Malformed,
            Kind::Timeout,
            Kind::TooLarge,
            Kind::UnsupportedMediaType,
            Kind::Invalid,
        ])
    }

    pub fn answers(self, status: u16, about: &str, schema: Value) -> Self {
        self.answers_with(status, about, JSON, schema)
    }

    pub fn answers_with(mut self, status: u16, about: &str, form: &str, schema: Value) -> Self {
        let answer = json!({"description": about, "content": {form: {"schema": schema}}});
        self.answers.push((status, answer));
        self
    }

    /// An answer without a body.
    pub fn answers_nothing(mut self, status: u16, about: &str) -> Self {
        self.answers.push((status, json!({"description": about})));
        self
    }

    pub fn problems(mut self, kinds: &[Kind]) -> Self {
        self.problems.extend(kinds);
        self
    }

    pub fn document(&self, route: &Route) -> Value {
        let mut operation = json!({
            "operationId": self.name,
            "tags": [self.group],
            "summary": self.summary,
            "responses": self.responses(route),
        });
        if !self.description.is_empty() {
            operation["description"] = self.description.into();
        }
        if !self.parameters.is_empty() {
            operation["parameters"] = self.parameters.clone().into();
        }
        if let Some(body) = &self.body {
            operation["requestBody"] = body.clone();
        }
        if let Some(roles) = super::roles(route) {
            operation["security"] = json!([{"key": []}, {"session": []}]);
            operation["x-roles"] = roles.into();
        }
        operation
    }

    fn parameter(mut self, parameter: Value) -> Self {
        self.parameters.push(parameter);
        self
    }

    fn responses(&self, route: &Route) -> Value {
        let mut kinds = self.problems.clone();
        kinds.push(Kind::Internal);
        kinds.extend(route.role().map(|_| Kind::Elsewhere));
        if super::roles(route).is_some() {
            kinds.extend([Kind::Unauthorized, Kind::Forbidden, Kind::Unavailable]);
        }
        let mut by_status: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
        for kind in kinds {
            let words = by_status.entry(kind.status().as_u16()).or_default();
            if !words.contains(&kind.word()) {
                words.push(kind.word());
            }
        }
        let refusals = by_status.into_iter().map(|(status, words)| (status, refusal(status, &words)));
        let all = self.answers.iter().cloned().chain(refusals);
        all.map(|(status, answer)| (status.to_string(), answer)).collect::<Map<_, _>>().into()
    }
}

fn refusal(status: u16, words: &[&str]) -> Value {
    let types: Vec<String> = words.iter().map(|word| format!("`/problems/{word}`")).collect();
    let about = format!("A problem of type {}.", types.join(" or "));
    let mut answer = json!({
        "description": about,
        "content": {CONTENT_TYPE: {"schema": reference("Problem")}},
    });
    if status == 401 {
        answer["headers"] = json!({"WWW-Authenticate": {"schema": {"type": "string"}, "required": true}});
    }
    if matches!(status, 429 | 503) {
        let about = "Seconds until it is worth trying again.";
        answer["headers"] = json!({"Retry-After": {"description": about, "schema": {"type": "string", "pattern": "^[0-9]+$"}}});
    }
    answer
}
