//! `/v1/plugins`: what endpoints can name in their transforms, and which version of it answers.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use serde_json::Value;

use super::auth::Caller;
use super::body;
use super::fields::Fields;
use super::page::Query;
use super::problem::{FieldError, Kind, Problem};
use super::{Api, json, usage};
use crate::book;
use crate::book::usage::{Origin, Use, User};
use crate::id::EndpointId;
use crate::plugin::{CatalogError, Entry, Example, Record, Refused, Snapshot, Take, Turn, Verdict, Version};

/// What a plugin's file is.
pub(super) const MEDIA_TYPE: &str = "application/wasm";
/// Says how an upload is signed.
pub(super) const SIGNATURE_HEADER: &str = "plugin-signature";
/// Most users of a plugin that an answer lists.
const USERS: usize = 100;

#[derive(Serialize)]
struct Plugins {
    items: Vec<PluginView>,
    /// Files that are no plugins, with the reason.
    refused: Vec<RefusedView>,
}

#[derive(Serialize)]
struct PluginView {
    name: String,
    version: String,
    summary: String,
    /// SHA-256 of the component, in hex. `name@sha256:<digest>` in a transform pins it.
    digest: String,
    size: usize,
    source: &'static str,
    file: Option<String>,
    must_run: bool,
    /// Why a newer file of this name is not the one in use.
    problem: Option<String>,
    active_since: String,
    /// What made it active.
    activated_by: &'static str,
    /// Versions that can be activated.
    versions: usize,
    /// Endpoints that run it, whoever says their chain.
    endpoints: usize,
    /// Since the host was started; `null` for tenants, as are the next two.
    calls: Option<u64>,
    failures: Option<u64>,
    time_ms_p99: Option<f64>,
}

#[derive(Serialize)]
struct RefusedView {
    /// The name that it was meant for.
    name: String,
    /// Its path, or its name where it is no file of the folder.
    file: String,
    reason: String,
}

#[derive(Serialize)]
struct PluginInFull {
    #[serde(flatten)]
    plugin: PluginView,
    /// JSON Schema; null where the plugin has none.
    config_schema: Value,
    examples: Vec<ExampleView>,
    /// Those whose chains name it, the first ones.
    users: Vec<UserView>,
}

/// Somebody whose chain names a plugin.
#[derive(Clone, Serialize, PartialEq, Eq, Hash)]
struct UserView {
    /// `endpoint`, `tenant`, `host` or `version`.
    kind: &'static str,
    /// Of an endpoint.
    id: Option<String>,
    /// Of an endpoint or a version.
    name: Option<String>,
    /// Of an endpoint, or the tenant itself.
    tenant: Option<String>,
    /// Who says the chain.
    chain_of: &'static str,
    /// The digest that is pinned; null where the name is followed.
    pinned: Option<String>,
}

#[derive(Serialize)]
struct Versions {
    /// The latest first.
    items: Vec<VersionView>,
    /// What was active when, the latest first.
    history: Vec<TurnView>,
}

#[derive(Serialize)]
struct VersionView {
    digest: String,
    version: String,
    size: u64,
    source: &'static str,
    added_at: String,
    signed: bool,
    active: bool,
    /// Links that pin it.
    pins: usize,
}

#[derive(Serialize)]
struct TurnView {
    /// Null: nothing answered to the name from then on.
    digest: Option<String>,
    at: String,
    cause: &'static str,
}

#[derive(Serialize)]
struct TakenView {
    name: String,
    version: String,
    digest: String,
    size: usize,
    /// The catalogue did not know this version.
    new: bool,
    /// It became active through this request.
    activated: bool,
}

#[derive(Serialize)]
struct ExampleView {
    title: String,
    config: Value,
    event_type: String,
    input: String,
    verdict: &'static str,
    /// The message's body, or the reason.
    output: Option<String>,
}

impl PluginView {
    fn of(api: &Api, entry: &Entry, plugins: &Snapshot, endpoints: usize) -> Self {
        let account = api.usage.in_all(entry.plugin.name());
        let (plugin, description) = (&entry.plugin, entry.plugin.description());
        let record = plugins.record(plugin.name());
        Self {
            name: plugin.name().to_owned(),
            version: plugin.version().to_owned(),
            summary: description.summary.clone(),
            digest: plugin.digest().to_owned(),
            size: plugin.size(),
            source: entry.source.word(),
            file: entry.file.as_ref().map(|path| path.display().to_string()),
            must_run: description.must_run,
            problem: entry.problem.clone(),
            active_since: entry.since.to_string(),
            activated_by: entry.cause.word(),
            versions: record.map_or(0, |record| record.versions().len()),
            endpoints,
            calls: Some(account.calls),
            failures: Some(account.failures),
            time_ms_p99: usage::millis(account.times.percentile(0.99)),
        }
    }

    /// Without paths and troubles of the host and what others do with it, unless it is the caller's.
    fn for_eyes_of(self, caller: &Caller) -> Self {
        match caller.tenant {
            None => self,
            Some(_) => {
                Self { file: None, problem: None, calls: None, failures: None, time_ms_p99: None, ..self }
            }
        }
    }
}

impl RefusedView {
    fn of(file: &Refused) -> Self {
        let path = file.path.as_ref().map(|path| path.display().to_string());
        Self {
            name: file.name.clone(),
            file: path.unwrap_or_else(|| file.name.clone()),
            reason: file.reason.clone(),
        }
    }
}

impl ExampleView {
    fn of(example: &Example) -> Self {
        let (verdict, output) = match &example.expect {
            Verdict::Pass => ("pass", None),
            Verdict::Replace(message) => {
                ("replace", Some(String::from_utf8_lossy(&message.body).into_owned()))
            }
            Verdict::Drop(reason) => ("drop", Some(reason.clone())),
            Verdict::Reject(reason) => ("reject", Some(reason.clone())),
        };
        Self {
            title: example.title.clone(),
            config: json_or_text(&example.config),
            event_type: example.event_type.clone(),
            input: String::from_utf8_lossy(&example.input).into_owned(),
            verdict,
            output,
        }
    }
}

/// What plugins say is shown as JSON where it is that.
fn json_or_text(text: &str) -> Value {
    match text {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    }
}

impl UserView {
    fn of(link: &Use<'_>) -> Self {
        let (kind, id, name, tenant) = match link.user {
            User::Endpoint(endpoint) => (
                "endpoint",
                Some(endpoint.id.to_string()),
                Some(endpoint.name.clone()),
                Some(endpoint.tenant.as_str().to_owned()),
            ),
            User::Tenant(tenant) => ("tenant", None, None, Some(tenant.as_str().to_owned())),
            User::Host => ("host", None, None, None),
            User::Version(version) => ("version", None, Some(version.as_str().to_owned()), None),
        };
        let chain_of = match link.from {
            Origin::Endpoint(_) => "endpoint",
            Origin::Tenant(_) => "tenant",
            Origin::Host => "host",
            Origin::Version(_) => "version",
        };
        Self { kind, id, name, tenant, chain_of, pinned: link.pin().map(str::to_owned) }
    }
}

impl VersionView {
    fn of(version: &Version, record: &Record, pins: &BTreeMap<&str, usize>) -> Self {
        Self {
            digest: version.digest.clone(),
            version: version.version.clone(),
            size: version.size,
            source: version.source.word(),
            added_at: version.added_at.to_string(),
            signed: version.signature.is_some(),
            active: record.active() == Some(version.digest.as_str()),
            pins: pins.get(version.digest.as_str()).copied().unwrap_or(0),
        }
    }
}

impl TurnView {
    fn of(turn: &Turn) -> Self {
        Self { digest: turn.digest.clone(), at: turn.at.to_string(), cause: turn.cause.word() }
    }
}

/// A tenant sees what its chains can name, and none of the host's own affairs.
pub(super) async fn list(caller: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri).finish()?;
    let (snapshot, book) = (api.plugins.snapshot(), api.book.snapshot());
    let endpoints = endpoints_of_each(&book, &caller);
    let count = |entry: &Entry| endpoints.get(entry.plugin.name()).map_or(0, HashSet::len);
    let view = |entry| PluginView::of(&api, entry, &snapshot, count(entry)).for_eyes_of(&caller);
    let plugins = Plugins {
        items: snapshot.entries().map(view).collect(),
        refused: match caller.tenant {
            None => snapshot.refused().iter().map(RefusedView::of).collect(),
            Some(_) => Vec::new(),
        },
    };
    json(StatusCode::OK, &plugins)
}

pub(super) async fn show(
    caller: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    in_full(&api, &caller, &super::path(name)?)
}

/// Takes a version up, 201 where it is a new one. It is active then, unless `?activate=false` or `?dry_run=true`.
pub(super) async fn upload(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let (parts, content) = request.into_parts();
    let take = asked_for(&parts.uri)?;
    require_wasm(&parts.headers)?;
    let signature = signature(&parts.headers)?;
    let limit = api.config.plugin.file_size_limit.0;
    let whole = body::read(&api, &parts.headers, content, |_| limit).await?;
    let taken = api.plugins.upload(name, whole.bytes.clone(), signature, take).await?;
    let status = match take {
        Take::Add | Take::Activate if taken.is_new => StatusCode::CREATED,
        _ => StatusCode::OK,
    };
    let plugin = &taken.plugin;
    let view = TakenView {
        name: plugin.name().to_owned(),
        version: plugin.version().to_owned(),
        digest: plugin.digest().to_owned(),
        size: plugin.size(),
        new: taken.is_new,
        activated: taken.activated,
    };
    json(status, &view)
}

pub(super) async fn versions(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let (snapshot, book) = (api.plugins.snapshot(), api.book.snapshot());
    let record = snapshot.record(&name).ok_or_else(not_found)?;
    let mut pins: BTreeMap<&str, usize> = BTreeMap::new();
    let links: Vec<Use<'_>> = book.uses().filter(|link| link.plugin() == name).collect();
    links.iter().filter_map(Use::pin).for_each(|pin| *pins.entry(pin).or_default() += 1);
    let view = |version| VersionView::of(version, record, &pins);
    let versions = Versions {
        items: record.versions().iter().rev().map(view).collect(),
        history: record.turns().iter().rev().map(TurnView::of).collect(),
    };
    json(StatusCode::OK, &versions)
}

pub(super) async fn activate(
    caller: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    let (parts, content) = request.into_parts();
    body::require_json(&parts.headers, &[])?;
    let whole = body::read(&api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    let digest = read_digest(&whole.bytes)?;
    api.plugins.activate(name.clone(), digest).await?;
    in_full(&api, &caller, &name)
}

pub(super) async fn roll_back(
    caller: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let name = super::path(name)?;
    api.plugins.roll_back(name.clone()).await?;
    in_full(&api, &caller, &name)
}

pub(super) async fn remove(
    _: Caller,
    State(api): State<Arc<Api>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    api.plugins.remove(super::path(name)?).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(super) async fn remove_version(
    _: Caller,
    State(api): State<Arc<Api>>,
    place: Result<Path<(String, String)>, PathRejection>,
) -> Result<Response, Problem> {
    let Path((name, digest)) = place.map_err(|_| Problem::malformed("The path is not UTF-8."))?;
    api.plugins.remove_version(name, digest).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn in_full(api: &Api, caller: &Caller, name: &str) -> Result<Response, Problem> {
    let (snapshot, book) = (api.plugins.snapshot(), api.book.snapshot());
    let entry = snapshot.get(name).ok_or_else(not_found)?;
    let description = entry.plugin.description();
    let mut seen = HashSet::new();
    let seen_links = book.uses().filter(|link| link.plugin() == name && is_seen_by(caller, link));
    let links = seen_links.map(|link| UserView::of(&link));
    let users: Vec<UserView> = links.filter(|user| seen.insert(user.clone())).collect();
    let endpoints: HashSet<&String> = users.iter().filter_map(|user| user.id.as_ref()).collect();
    let view = PluginInFull {
        plugin: PluginView::of(api, entry, &snapshot, endpoints.len()).for_eyes_of(caller),
        config_schema: json_or_text(&description.config_schema),
        examples: description.examples.iter().map(ExampleView::of).collect(),
        users: users.into_iter().take(USERS).collect(),
    };
    json(StatusCode::OK, &view)
}

fn is_seen_by(caller: &Caller, link: &Use<'_>) -> bool {
    match link.user {
        User::Endpoint(endpoint) => caller.sees(&endpoint.tenant),
        User::Tenant(tenant) => caller.sees(tenant),
        User::Host | User::Version(_) => caller.tenant.is_none(),
    }
}

fn endpoints_of_each(book: &book::Snapshot, caller: &Caller) -> BTreeMap<String, HashSet<EndpointId>> {
    let mut each: BTreeMap<String, HashSet<EndpointId>> = BTreeMap::new();
    for link in book.uses().filter(|link| is_seen_by(caller, link)) {
        if let User::Endpoint(endpoint) = link.user {
            each.entry(link.plugin().to_owned()).or_default().insert(endpoint.id);
        }
    }
    each
}

fn asked_for(uri: &Uri) -> Result<Take, Problem> {
    let mut query = Query::of(uri);
    let dry_run = query.take("dry_run", str::parse::<bool>).unwrap_or(false);
    let activate = query.take("activate", str::parse::<bool>).unwrap_or(true);
    query.finish()?;
    Ok(match (dry_run, activate) {
        (true, _) => Take::Check,
        (false, true) => Take::Activate,
        (false, false) => Take::Add,
    })
}

/// None at all is taken for what it has to be: the bytes say it themselves.
fn require_wasm(headers: &HeaderMap) -> Result<(), Problem> {
    match body::media_type(headers).as_deref() {
        None | Some(MEDIA_TYPE | "application/octet-stream") => Ok(()),
        Some(given) => {
            let detail = format!("The content type is `{given}`; send `content-type: {MEDIA_TYPE}`.");
            Err(Problem::new(Kind::UnsupportedMediaType, detail))
        }
    }
}

fn signature(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(given) = headers.get(SIGNATURE_HEADER) else { return Ok(None) };
    let is_one = BASE64.decode(given.as_bytes()).is_ok_and(|bytes| bytes.len() == SIGNATURE_LENGTH);
    match given.to_str() {
        Ok(text) if is_one => Ok(Some(text.to_owned())),
        _ => Err(Problem::new(
            Kind::Invalid,
            "The header `Plugin-Signature` is no Ed25519 signature in base64; `hookwright plugin sign` makes one.",
        )),
    }
}

/// Of Ed25519, in bytes (RFC 8032, section 5.1.6).
const SIGNATURE_LENGTH: usize = 64;

fn read_digest(bytes: &[u8]) -> Result<String, Problem> {
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(bytes)?, "", &mut errors);
    let digest = fields.required("digest").map(|text| text.trim_start_matches("sha256:").to_owned());
    fields.finish(&["digest"]);
    match digest {
        Some(digest) if errors.is_empty() => Ok(digest),
        _ => Err(Problem::invalid(errors)),
    }
}

fn not_found() -> Problem {
    Problem::new(Kind::NotFound, "There is no plugin of this name; `GET /v1/plugins` lists them.")
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Store(error) => error.into(),
            CatalogError::Refused(refusal) => Problem::field("", refusal),
            CatalogError::Objected(objections) => {
                let errors =
                    objections.into_iter().map(|found| FieldError::of(found.of, found.at, found.message));
                Problem::invalid(errors.collect())
            }
            CatalogError::NotFound(reason) => Problem::new(Kind::NotFound, sentence(&reason)),
            CatalogError::InUse { reason, users } => {
                let errors = users.into_iter().map(|user| FieldError::of(user, "", "it runs the plugin"));
                let problem = Problem::invalid(errors.collect());
                Problem { kind: Kind::Conflict, detail: sentence(&reason), ..problem }
            }
            error @ (CatalogError::Conflict(_) | CatalogError::Contended(_)) => {
                Problem::new(Kind::Conflict, sentence(&error.to_string()))
            }
        }
    }
}

/// With a capital and a full stop.
fn sentence(reason: &str) -> String {
    let mut letters = reason.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}
