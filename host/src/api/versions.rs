//! `/v1/versions`: the versions of the payloads' shapes, and the steps from each back to the one before.

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::body::{self, require_json};
use super::endpoints::{self, document, link_errors};
use super::exact::Members;
use super::fields::Fields;
use super::problem::{FieldError, Kind, Problem};
use super::terms::{self, LinkView};
use super::{Api, json, preview};
use crate::access::Role;
use crate::book::Snapshot;
use crate::catalogue::{Version, Versions};
use crate::config::Config;
use crate::endpoint::Endpoint;
use crate::event::VersionName;
use crate::subscription::Pattern;
use crate::terms::Step;
use crate::time::Timestamp;

/// How often a change is made again that lost to another one.
const TRIES: usize = 8;
const MAX_DESCRIPTION: usize = 2_000;
/// Most endpoints that a refusal names.
const NAMED: usize = 10;

/// Only admins are shown the steps: customers need the names.
pub(super) async fn show(caller: Caller, State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    let book = api.book.snapshot();
    let mut view = VersionsView::of(book.versions().map(|kept| &*kept.value));
    if caller.role != Role::Admin {
        view.versions.iter_mut().for_each(|version| version.steps = None);
    }
    json(StatusCode::OK, &view)
}

/// Replaces the list. A configuration that is masked as it was shown stays what it is.
pub(super) async fn put(
    _: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, &[])?;
    let limit = api.config.catalogue.versions_limit.0;
    let whole = body::read(&api, &parts.headers, body, |_| limit).await?;
    let members = parse(&whole.bytes)?;
    let asked = preview::is_asked(&parts.uri)?;
    for _ in 0..TRIES {
        let book = api.book.snapshot();
        let stored = book.versions();
        let revision = stored.map_or(0, |kept| kept.revision);
        let stored = stored.map(|kept| &*kept.value);
        let versions = read(&api.config, stored, members.clone(), api.clock.now())?;
        check_steps(&api, stored, &versions).await?;
        check_pinned(&book, &versions)?;
        if asked {
            return would_change(stored, &versions);
        }
        if let Some(written) = api.book.put_document(versions, revision).await? {
            api.intake.expect(api.clock.now());
            return json(StatusCode::OK, &VersionsView::of(Some(&written.value)));
        }
    }
    Err(Problem::new(Kind::Conflict, "The versions are changed by others all the time; try again."))
}

fn would_change(stored: Option<&Versions>, wanted: &Versions) -> Result<Response, Problem> {
    let names =
        |versions: &Versions| versions.versions.iter().map(|version| version.name.to_string()).collect();
    let same = stored.map_or(wanted.versions.is_empty(), |stored| stored.versions == wanted.versions);
    let change = preview::Change {
        member: "versions".to_owned(),
        from: stored.map(names).unwrap_or_default(),
        to: names(wanted),
    };
    preview::changes(if same { Vec::new() } else { vec![change] })
}

#[derive(Serialize)]
struct VersionsView<'a> {
    /// Oldest to newest.
    versions: Vec<VersionView<'a>>,
    updated_at: Option<String>,
}

#[derive(Serialize)]
struct VersionView<'a> {
    name: &'a str,
    description: &'a str,
    /// From this version back to the one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepView<'a>>>,
}

#[derive(Serialize)]
struct StepView<'a> {
    events: Vec<String>,
    #[serde(flatten)]
    link: LinkView<'a>,
}

impl<'a> VersionsView<'a> {
    fn of(versions: Option<&'a Versions>) -> Self {
        let all = versions.into_iter().flat_map(|versions| &versions.versions);
        Self {
            versions: all.map(VersionView::of).collect(),
            updated_at: versions.map(|versions| versions.updated_at.to_string()),
        }
    }
}

impl<'a> VersionView<'a> {
    fn of(version: &'a Version) -> Self {
        let step = |step: &'a Arc<Step>| StepView {
            events: step.events.iter().map(Pattern::to_string).collect(),
            link: LinkView::of(&step.transform),
        };
        Self {
            name: version.name.as_str(),
            description: &version.description,
            steps: Some(version.steps.iter().map(step).collect()),
        }
    }
}

/// The members, each step's configuration as a string that holds its text.
fn parse(bytes: &[u8]) -> Result<Map<String, Value>, Problem> {
    let whole: &RawValue = serde_json::from_slice(bytes).map_err(body::not_json)?;
    if !whole.get().starts_with('{') {
        return Err(body::no_object());
    }
    let value = |name: &str, raw: &RawValue| match name {
        "versions" if raw.get().starts_with('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(body::not_json)?;
            items.into_iter().map(version_members).collect::<Result<_, _>>().map(Value::Array)
        }
        _ => body::strict(raw.get()),
    };
    members(whole, value)
}

fn version_members(raw: &RawValue) -> Result<Value, Problem> {
    if !raw.get().starts_with('{') {
        return body::strict(raw.get());
    }
    let value = |name: &str, raw: &RawValue| match name {
        "steps" => document::chain(raw),
        _ => body::strict(raw.get()),
    };
    members(raw, value).map(Value::Object)
}

fn members(
    object: &RawValue,
    value: impl Fn(&str, &RawValue) -> Result<Value, Problem>,
) -> Result<Map<String, Value>, Problem> {
    let Members(members) = serde_json::from_str(object.get()).map_err(body::not_json)?;
    members.into_iter().map(|(name, raw)| Ok((name.clone(), value(&name, raw)?))).collect()
}

fn read(
    config: &Config,
    stored: Option<&Versions>,
    members: Map<String, Value>,
    now: Timestamp,
) -> Result<Versions, Problem> {
    let mut errors = Vec::new();
    let mut fields = Fields::new(members, "", &mut errors);
    let shown = stored.map(|stored| stored.updated_at.to_string());
    if fields.text("updated_at").is_some_and(|given| shown.is_some_and(|shown| shown != given)) {
        let message = "others have changed the versions since; read them again, or leave this out";
        fields.wrong::<()>("updated_at", message);
    }
    if !fields.has("versions") {
        fields.wrong::<()>("versions", "it is missing");
    }
    let items = fields.list("versions", config.catalogue.max_versions).unwrap_or_default();
    let mut names = HashSet::new();
    let mut versions = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("versions/{index}");
        let Value::Object(map) = item else {
            fields.wrong::<()>(&at, "it must be an object such as `{\"name\":\"2026-03\",\"steps\":[]}`");
            continue;
        };
        let Some(version) = version(fields.below(&at, map), config, stored, index == 0) else { continue };
        if !names.insert(version.name.clone()) {
            fields.wrong::<()>(&format!("{at}/name"), "another version has this name");
        }
        versions.push(version);
    }
    fields.finish(&["versions", "updated_at"]);
    match errors.is_empty() {
        true => Ok(Versions { versions, updated_at: now }),
        false => Err(Problem::invalid(errors)),
    }
}

fn version(
    mut fields: Fields<'_>,
    config: &Config,
    stored: Option<&Versions>,
    oldest: bool,
) -> Option<Version> {
    let name = fields.required("name").and_then(|text| match VersionName::parse(&text) {
        Ok(name) => Some(name),
        Err(error) => fields.wrong("name", error),
    });
    let description = fields.text("description").unwrap_or_default();
    if description.chars().count() > MAX_DESCRIPTION {
        fields.wrong::<()>("description", format!("it is longer than {MAX_DESCRIPTION} characters"));
    }
    let items = fields.list("steps", config.catalogue.max_steps).unwrap_or_default();
    if oldest && !items.is_empty() {
        fields.wrong::<()>("steps", "the oldest version has none before it to go back to");
    }
    let name = name?;
    let before = stored.and_then(|stored| stored.versions.iter().find(|version| version.name == name));
    let items = unmasked(before, items);
    let mut steps = Vec::with_capacity(items.len());
    for (place, item) in (0_u16..).zip(items) {
        let at = format!("steps/{place}");
        match item {
            Value::Object(map) => {
                steps.extend(step(fields.below(&at, map), config, &name, place).map(Arc::new));
            }
            _ => {
                let message = "it must be an object such as `{\"events\":[\"*\"],\"plugin\":\"flatten\"}`";
                fields.wrong::<()>(&at, message);
            }
        }
    }
    fields.finish(&["name", "description", "steps"]);
    Some(Version { name, description, steps })
}

fn step(mut fields: Fields<'_>, config: &Config, version: &VersionName, place: u16) -> Option<Step> {
    let before = fields.error_count();
    let events = fields.list_of("events", config.endpoint.max_events, Pattern::parse).unwrap_or_default();
    if events.is_empty() && fields.error_count() == before {
        fields.wrong::<()>("events", "it must name the event types that it is for, such as `*`");
    }
    let transform = terms::transform(fields, config)?;
    Some(Step { version: version.clone(), place, events, transform })
}

/// The steps with the stored configurations where masks stand. One that says none has none, as in any replacement.
fn unmasked(before: Option<&Version>, mut items: Vec<Value>) -> Vec<Value> {
    for item in &mut items {
        if let Value::Object(step) = item {
            step.entry("config").or_insert_with(|| "{}".into());
        }
    }
    let Some(before) = before else { return items };
    let stored = before.steps.iter().map(|step| terms::link(&step.transform)).collect();
    match endpoints::patch::chain(stored, Value::Array(items)) {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Whether the steps that are new or other than before could run.
async fn check_steps(api: &Api, stored: Option<&Versions>, versions: &Versions) -> Result<(), Problem> {
    let plugins = api.plugins.snapshot();
    let known: Vec<&Arc<Step>> =
        stored.into_iter().flat_map(|stored| &stored.versions).flat_map(|version| &version.steps).collect();
    let mut errors: Vec<FieldError> = Vec::new();
    for (index, version) in versions.versions.iter().enumerate() {
        for step in version.steps.iter().filter(|step| !known.contains(step)) {
            let at = format!("/versions/{index}/steps/{}", step.place);
            errors.extend(link_errors(&plugins, &api.plugins, &step.transform, &at).await);
        }
    }
    match errors.is_empty() {
        true => Ok(()),
        false => Err(Problem::invalid(errors)),
    }
}

/// No version goes that an endpoint is pinned to: its events could not be shaped any more.
fn check_pinned(book: &Snapshot, versions: &Versions) -> Result<(), Problem> {
    let lost = |endpoint: &&Arc<Endpoint>| {
        let pinned = endpoint.version.as_ref();
        !endpoint.terms.version_lost && pinned.is_some_and(|pinned| !versions.contains(pinned))
    };
    let lost: Vec<&Arc<Endpoint>> = book.entries().map(|entry| &entry.endpoint).filter(lost).collect();
    if lost.is_empty() {
        return Ok(());
    }
    let shown: Vec<String> = lost.iter().take(NAMED).map(|endpoint| pinned_so(endpoint)).collect();
    let more = match lost.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let detail = format!(
        "Endpoints are pinned to versions that would go: {}{more}. Pin them to others first.",
        shown.join(", ")
    );
    Err(Problem::new(Kind::Conflict, detail))
}

fn pinned_so(endpoint: &Endpoint) -> String {
    let version = endpoint.version.as_ref().map_or("", |version| version.as_str());
    format!("{} ({}) to `{version}`", endpoint.id, endpoint.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &str = r#"{"versions":[{"name":"1"},{"name":"2","description":"flat","steps":[
        {"events":["invoice.*"],"plugin":"flatten","config":{"separator": "planted","max_keys":1.0}},
        {"events":["*"],"plugin":"envelope","on_failure":"fail"}]}]}"#;

    fn read_text(stored: Option<&Versions>, text: &str) -> Result<Versions, Problem> {
        read(&Config::default(), stored, parse(text.as_bytes())?, Timestamp::from_secs(1))
    }

    #[test]
    fn what_is_shown_comes_back() {
        let versions = read_text(None, STEPS).unwrap();
        let config = versions.versions[1].steps[0].transform.config.expose();
        assert_eq!(config, r#"{"separator": "planted","max_keys":1.0}"#);
        let shown = serde_json::to_string(&VersionsView::of(Some(&versions))).unwrap();
        assert!(!shown.contains("planted"), "{shown}");
        assert_eq!(read_text(Some(&versions), &shown).unwrap(), versions);
        // A version more, the others as they were shown.
        let more = shown.replace(r#"],"updated_at""#, r#",{"name":"3"}],"updated_at""#);
        let more = read_text(Some(&versions), &more).unwrap();
        assert_eq!(more.versions[1].steps[0].transform.config.expose(), config);
        assert_eq!(more.newest(), VersionName::parse("3").ok().as_ref());
        // What is left out is not kept.
        let without = STEPS.replace(r#","config":{"separator": "planted","max_keys":1.0}"#, "");
        let without = read_text(Some(&versions), &without).unwrap();
        assert_eq!(without.versions[1].steps[0].transform.config.expose(), "{}");
    }

    #[test]
    fn each_error_names_its_place() {
        let table = [
            ("{}", "/versions"),
            (r#"{"versions":7}"#, "/versions"),
            (r#"{"versions":[7]}"#, "/versions/0"),
            (r#"{"versions":[{}]}"#, "/versions/0/name"),
            (r#"{"versions":[{"name":"a b"}]}"#, "/versions/0/name"),
            (r#"{"versions":[{"name":"1"},{"name":"1"}]}"#, "/versions/1/name"),
            (r#"{"versions":[{"name":"1","steps":[{"events":["*"],"plugin":"a"}]}]}"#, "/versions/0/steps"),
            (r#"{"versions":[{"name":"1"},{"name":"2","steps":[7]}]}"#, "/versions/1/steps/0"),
            (
                r#"{"versions":[{"name":"1"},{"name":"2","steps":[{"plugin":"a"}]}]}"#,
                "/versions/1/steps/0/events",
            ),
            (
                r#"{"versions":[{"name":"1"},{"name":"2","steps":[{"events":["*.a"],"plugin":"a"}]}]}"#,
                "/versions/1/steps/0/events/0",
            ),
            (
                r#"{"versions":[{"name":"1"},{"name":"2","steps":[{"events":["*"]}]}]}"#,
                "/versions/1/steps/0/plugin",
            ),
            (
                r#"{"versions":[{"name":"1"},{"name":"2","steps":[{"events":["*"],"plugin":"a","config":"***"}]}]}"#,
                "/versions/1/steps/0/config",
            ),
            (r#"{"versions":[],"colour":1}"#, "/colour"),
        ];
        for (text, pointer) in table {
            let problem = read_text(None, text).unwrap_err();
            assert_eq!(problem.errors.len(), 1, "{text}: {:?}", problem.errors);
            assert_eq!(problem.errors[0].pointer, pointer, "{text}");
        }
        let stored = read_text(None, STEPS).unwrap();
        let outdated = r#"{"versions":[],"updated_at":"1999-01-01T00:00:00Z"}"#;
        assert_eq!(read_text(Some(&stored), outdated).unwrap_err().errors[0].pointer, "/updated_at");
    }
}
