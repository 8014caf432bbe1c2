//! The difference between what a server is and what a file says, and how it is made up for.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use anyhow::Context as _;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::description::{Description, Endpoint, Object};
use crate::cli::client::{Client, segment};
use crate::cli::json::pretty;
use crate::cli::screen::{Paint, one_line};

/// Longest text of a value in the difference, in characters.
const SHOWN: usize = 60;

/// Members of an event type that are JSON in themselves: texts in a file, values in a request.
const JSON_MEMBERS: [&str; 2] = ["samples", "schema"];

/// The steps, in the order in which they are taken.
#[derive(Debug, Default)]
pub struct Plan {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    verb: Verb,
    what: String,
    changes: Vec<Change>,
    path: String,
    body: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Create,
    Put,
    Change,
    Delete,
}

/// What a dry run answers of one member.
#[derive(Debug, Deserialize)]
struct Change {
    member: String,
    from: Value,
    to: Value,
}

#[derive(Debug, Deserialize)]
struct Changes {
    changes: Vec<Change>,
}

#[derive(Debug, Deserialize)]
struct Named {
    name: String,
}

#[derive(Debug, Deserialize)]
struct Known {
    id: String,
    name: String,
}

/// What a request brings along, or an answer tells, of a new endpoint's secret.
#[derive(Debug, Deserialize)]
struct Brought {
    #[serde(default)]
    secret: Option<String>,
}

impl Plan {
    /// Asks the server what it is. Nothing is changed.
    pub async fn make(client: &Client, wanted: &Description, prune: bool) -> anyhow::Result<Self> {
        let mut plan = Self::default();
        if let Some(host) = &wanted.host {
            plan.patch(client, "the host's defaults", "/v1/host", host).await?;
        }
        for (name, members) in &wanted.tenants {
            let path = format!("/v1/tenants/{}", segment(name));
            plan.patch(client, &format!("tenant `{name}`"), &path, members).await?;
        }
        let mut pruned = plan.event_types(client, wanted).await?;
        if let Some(versions) = &wanted.versions {
            plan.versions(client, versions).await?;
        }
        for tenant in wanted.concerned() {
            let endpoints = wanted.endpoints.iter().filter(|endpoint| endpoint.tenant == tenant);
            pruned.extend(plan.endpoints(client, tenant, endpoints.collect()).await?);
        }
        if prune {
            plan.steps.extend(pruned);
        }
        Ok(plan)
    }

    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    pub fn show(&self, paint: Paint) -> String {
        if self.steps.is_empty() {
            return "Nothing to change.".to_owned();
        }
        let mut text = String::new();
        for step in &self.steps {
            let line = format!("{} {}", step.verb.sign(), step.what);
            let _ = writeln!(text, "{}", step.verb.paint(paint, &line));
            for Change { member, from, to } in &step.changes {
                let _ = writeln!(text, "    {member}: {} -> {}", shown(from), shown(to));
            }
        }
        text
    }

    /// # Errors
    ///
    /// Never in practice: the plan is made of JSON.
    pub fn to_json(&self) -> anyhow::Result<String> {
        let steps: Vec<Value> = self.steps.iter().map(Step::to_json).collect();
        Ok(serde_json::to_string(&json!({ "steps": steps }))?)
    }

    /// Stops at the first step that the server refuses; those before it are made. `minted` is told each secret that the
    /// server made for an endpoint, as soon as it is there: the server never tells it again.
    pub async fn carry_out(
        &self,
        client: &Client,
        mut minted: impl FnMut(&str, &str) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (done, step) in self.steps.iter().enumerate() {
            let secret = step
                .take(client)
                .await
                .with_context(|| format!("{}, after {done} changes were made", step.what))?;
            if let Some(secret) = secret {
                minted(&step.what, &secret)?;
            }
        }
        Ok(())
    }

    async fn patch(
        &mut self,
        client: &Client,
        what: &str,
        path: &str,
        members: &Object,
    ) -> anyhow::Result<()> {
        let body = serde_json::to_string(members)?;
        let answer = client.dry_run(Method::PATCH, path, body.clone()).await;
        let Changes { changes } = answer.with_context(|| what.to_owned())?.read()?;
        if !changes.is_empty() {
            let (verb, what, path) = (Verb::Change, what.to_owned(), path.to_owned());
            self.steps.push(Step { verb, what, changes, path, body: Some(body) });
        }
        Ok(())
    }

    /// Answers the steps that delete what the file does not name.
    async fn event_types(&mut self, client: &Client, wanted: &Description) -> anyhow::Result<Vec<Step>> {
        const PATH: &str = "/v1/event-types";
        if wanted.event_types.is_empty() {
            return Ok(Vec::new());
        }
        let known: Vec<Named> = client.all(PATH).await?;
        let known: HashSet<String> = known.into_iter().map(|known| known.name).collect();
        for (name, members) in &wanted.event_types {
            let body = event_type(members).with_context(|| format!("event type `{name}`"))?;
            let (what, path) = (format!("event type `{name}`"), format!("{PATH}/{}", segment(name)));
            let (verb, changes) = match known.contains(name) {
                true => (Verb::Put, differences(&client.get(&path, &[]).await?.read()?, &body)),
                false => (Verb::Create, Vec::new()),
            };
            if verb == Verb::Put && changes.is_empty() {
                continue;
            }
            let body = Some(serde_json::to_string(&body)?);
            self.steps.push(Step { verb, what, changes, path, body });
        }
        let named: HashSet<&String> = wanted.event_types.iter().map(|(name, _)| name).collect();
        let others = known.iter().filter(|name| !named.contains(name));
        Ok(others
            .map(|name| Step::delete(format!("event type `{name}`"), format!("{PATH}/{}", segment(name))))
            .collect())
    }

    async fn versions(&mut self, client: &Client, versions: &Value) -> anyhow::Result<()> {
        const PATH: &str = "/v1/versions";
        let body = serde_json::to_string(&json!({ "versions": versions }))?;
        let Changes { changes } = client.dry_run(Method::PUT, PATH, body.clone()).await?.read()?;
        if !changes.is_empty() {
            let (what, path) = ("the versions of payload shapes".to_owned(), PATH.to_owned());
            self.steps.push(Step { verb: Verb::Put, what, changes, path, body: Some(body) });
        }
        Ok(())
    }

    /// Answers the steps that delete what the file does not name.
    async fn endpoints(
        &mut self,
        client: &Client,
        tenant: &str,
        wanted: Vec<&Endpoint>,
    ) -> anyhow::Result<Vec<Step>> {
        const PATH: &str = "/v1/endpoints";
        let known: Vec<Known> = client.all_of(PATH, &[("tenant", tenant.to_owned())]).await?;
        for endpoint in &wanted {
            let what = format!("endpoint `{}`", endpoint.name);
            let mut named = known.iter().filter(|known| known.name == endpoint.name);
            match (named.next(), named.next()) {
                (None, _) => self.steps.push(Step::create(what, PATH, endpoint)?),
                (Some(known), None) => {
                    let path = format!("{PATH}/{}", segment(&known.id));
                    self.patch(client, &what, &path, &endpoint.lasting()).await?;
                }
                (Some(_), Some(_)) => anyhow::bail!(
                    "several endpoints of the tenant `{tenant}` are named `{}`; rename all but one, since a file tells \
                     them by their names",
                    endpoint.name
                ),
            }
        }
        let others = known.iter().filter(|known| !wanted.iter().any(|wanted| wanted.name == known.name));
        Ok(others
            .map(|known| {
                Step::delete(format!("endpoint `{}`", known.name), format!("{PATH}/{}", segment(&known.id)))
            })
            .collect())
    }
}

impl Verb {
    fn sign(self) -> char {
        match self {
            Verb::Create => '+',
            Verb::Put | Verb::Change => '~',
            Verb::Delete => '-',
        }
    }

    fn word(self) -> &'static str {
        match self {
            Verb::Create => "create",
            Verb::Put | Verb::Change => "change",
            Verb::Delete => "delete",
        }
    }

    fn paint(self, paint: Paint, text: &str) -> String {
        match self {
            Verb::Create => paint.good(text),
            Verb::Put | Verb::Change => paint.odd(text),
            Verb::Delete => paint.bad(text),
        }
    }
}

impl Step {
    fn create(what: String, path: &str, endpoint: &Endpoint) -> anyhow::Result<Self> {
        let mut members = endpoint.members.clone();
        members.insert("name".to_owned(), endpoint.name.clone().into());
        members.insert("tenant".to_owned(), endpoint.tenant.clone().into());
        let body = Some(serde_json::to_string(&members)?);
        Ok(Self { verb: Verb::Create, what, changes: Vec::new(), path: path.to_owned(), body })
    }

    fn delete(what: String, path: String) -> Self {
        Self { verb: Verb::Delete, what, changes: Vec::new(), path, body: None }
    }

    /// The secret that was minted on the way, if one was.
    async fn take(&self, client: &Client) -> anyhow::Result<Option<String>> {
        let body = self.body.clone().unwrap_or_default();
        match self.verb {
            // An event type is put into its place; an endpoint has none yet.
            Verb::Create if self.path.ends_with("/endpoints") => {
                let brought: Brought = serde_json::from_str(&body)?;
                let created: Brought = client.post(&self.path, body).await?.read()?;
                return Ok(created.secret.filter(|_| brought.secret.is_none()));
            }
            Verb::Create | Verb::Put => client.put(&self.path, body).await?,
            Verb::Change => client.patch(&self.path, body).await?,
            Verb::Delete => client.delete(&self.path).await?,
        };
        Ok(None)
    }

    fn to_json(&self) -> Value {
        let changes = self.changes.iter();
        let changes: Vec<Value> = changes
            .map(|change| json!({"member": change.member, "from": change.from, "to": change.to}))
            .collect();
        json!({"verb": self.verb.word(), "what": self.what, "changes": changes})
    }
}

/// The body of a request about an event type.
fn event_type(members: &Object) -> anyhow::Result<BTreeMap<String, Box<RawValue>>> {
    let raw = |name: &String, value: &Value| match value {
        Value::Array(texts) if name == "samples" => {
            let texts: anyhow::Result<Vec<_>> = texts.iter().map(|text| json_text(name, text)).collect();
            Ok(serde_json::value::to_raw_value(&texts?)?)
        }
        text if JSON_MEMBERS.contains(&name.as_str()) => json_text(name, text),
        other => Ok(serde_json::value::to_raw_value(other)?),
    };
    members.iter().map(|(name, value)| Ok((name.clone(), raw(name, value)?))).collect()
}

fn json_text(name: &str, value: &Value) -> anyhow::Result<Box<RawValue>> {
    let text = value.as_str().with_context(|| format!("`{name}` has to hold JSON as text"))?;
    RawValue::from_string(text.trim().to_owned()).with_context(|| format!("`{name}` holds what is not JSON"))
}

/// The members that are other than they are known, whitespace aside.
fn differences(
    known: &BTreeMap<String, Box<RawValue>>,
    wanted: &BTreeMap<String, Box<RawValue>>,
) -> Vec<Change> {
    let same = |a: &RawValue, b: &RawValue| pretty(a.get()) == pretty(b.get());
    let value = |raw: &RawValue| serde_json::from_str(raw.get()).unwrap_or_default();
    let changed =
        wanted.iter().filter(|(name, wanted)| !known.get(*name).is_some_and(|known| same(known, wanted)));
    changed
        .map(|(name, wanted)| Change {
            member: name.clone(),
            from: known.get(name).map(|known| value(known)).unwrap_or_default(),
            to: value(wanted),
        })
        .collect()
}

fn shown(value: &Value) -> String {
    let text = one_line(&value.to_string());
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(members: &Value) -> BTreeMap<String, Box<RawValue>> {
        event_type(members.as_object().unwrap()).unwrap()
    }

    #[test]
    fn only_what_is_wanted_is_compared_and_whitespace_is_not() {
        let wanted = raw(&json!({"group": "A", "samples": ["{\n  \"n\": 1.0\n}\n"]}));
        let known: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(r#"{"name":"a","group":"A","samples":[{"n":1.0}],"deprecated":false}"#)
                .unwrap();
        assert!(differences(&known, &wanted).is_empty());
        let known: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(r#"{"group":"B","samples":[{"n":1}]}"#).unwrap();
        let changed: Vec<String> =
            differences(&known, &wanted).into_iter().map(|change| change.member).collect();
        assert_eq!(changed, ["group", "samples"]);
    }

    #[test]
    fn long_values_are_cut() {
        assert_eq!(shown(&json!("ä".repeat(100))).chars().count(), SHOWN + 3);
        assert_eq!(shown(&json!(null)), "null");
    }
}
