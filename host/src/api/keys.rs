//! `/v1/keys`: who else may ask. A key is shown once, when it is made; what is kept is its digest.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};

use super::auth::Caller;
use super::body::{self, require_json};
use super::fields::Fields;
use super::page::{Page, Query};
use super::problem::{Kind, Problem};
use super::terms::within;
use super::{Api, json};
use crate::access::{Key, KeyDigest, Role, key_text};
use crate::book::Described;
use crate::event::Tenant;
use crate::id::KeyId;
use crate::secret::Secret;
use crate::time::Timestamp;

const MEMBERS: [&str; 5] = ["role", "tenant", "description", "expires", "expires_at"];
const MAX_DESCRIPTION: usize = 2_000;
const SHORTEST_LIFE: Duration = Duration::from_secs(1);
const LONGEST_LIFE: Duration = Duration::from_secs(100 * 365 * 86_400);

/// For so long a revoked key is told that it was revoked.
const REMEMBERED: Duration = Duration::from_secs(30 * 86_400);

#[derive(Serialize)]
struct KeyView<'a> {
    id: String,
    role: &'static str,
    tenant: Option<&'a str>,
    description: &'a str,
    created_at: String,
    expires_at: Option<String>,
    /// It opens nothing any more.
    expired: bool,
    /// Shown once, when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
}

impl<'a> KeyView<'a> {
    fn of(key: &'a Key, now: Timestamp) -> Self {
        Self {
            id: key.id.to_string(),
            role: key.role.word(),
            tenant: key.tenant.as_ref().map(Tenant::as_str),
            description: &key.description,
            created_at: key.created_at.to_string(),
            expires_at: key.expires_at.map(|end| end.to_string()),
            expired: key.closed_because(now).is_some(),
            key: None,
        }
    }
}

pub(super) async fn create(
    _: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    require_json(&parts.headers, &[])?;
    let whole = body::read(&api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    let (now, text) = (api.clock.now(), key_text(rand::random()));
    let key = read(body::parse_object(&whole.bytes)?, &text, now)?;
    check_room(&api)?;
    let kept = api.book.put_document(key, 0).await?;
    let key = kept.ok_or_else(|| Problem::internal(&"a new key was there before"))?.value;
    forget(&api, now).await?;
    json(StatusCode::CREATED, &KeyView { key: Some(text.expose()), ..KeyView::of(&key, now) })
}

/// In the order in which they were made.
pub(super) async fn list(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let tenant = query.take("tenant", Tenant::parse);
    let role = query.take("role", parse_role);
    let after = query.take("cursor", str::parse::<KeyId>);
    let limit = query.limit();
    query.finish()?;
    let (book, now) = (api.book.snapshot(), api.clock.now());
    let mut keys: Vec<&Arc<Key>> = book
        .keys()
        .filter(|key| key.revoked_at.is_none() && after.is_none_or(|after| key.id > after))
        .filter(|key| tenant.is_none() || key.tenant == tenant)
        .filter(|key| role.is_none_or(|role| key.role == role))
        .collect();
    keys.sort_by_key(|key| key.id);
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(|key| key.id.to_string());
    let items = keys.iter().map(|key| KeyView::of(key, now)).collect();
    json(StatusCode::OK, &Page { items, next })
}

pub(super) async fn show(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let key = find(&api, super::id(id)?)?;
    json(StatusCode::OK, &KeyView::of(&key, api.clock.now()))
}

pub(super) async fn revoke(
    _: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let key = find(&api, super::id(id)?)?;
    close(&api, &key).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// From the answer on, it opens nothing.
pub(super) async fn close(api: &Api, key: &Key) -> Result<(), Problem> {
    let now = api.clock.now();
    let revoke = |key: &mut Key| {
        key.revoked_at.get_or_insert(now);
    };
    api.book.change_document(&key.name(), || key.clone(), revoke).await?;
    forget(api, now).await
}

fn read(map: Map<String, Value>, text: &Secret, now: Timestamp) -> Result<Key, Problem> {
    let mut errors = Vec::new();
    let mut fields = Fields::new(map, "", &mut errors);
    let role = role(&mut fields);
    let tenant = fields.parsed("tenant", Tenant::parse);
    check_tenant(&mut fields, role, tenant.as_ref());
    let description = fields.text("description").unwrap_or_default();
    if description.chars().count() > MAX_DESCRIPTION {
        fields.wrong::<()>("description", format!("it is longer than {MAX_DESCRIPTION} characters"));
    }
    let expires_at = end(&mut fields, now);
    fields.finish(&MEMBERS);
    match role {
        Some(role) if errors.is_empty() => Ok(Key {
            id: KeyId::mint(now, rand::random()),
            digest: KeyDigest::of(text.expose()),
            role,
            tenant,
            description,
            created_at: now,
            expires_at,
            revoked_at: None,
        }),
        _ => Err(Problem::invalid(errors)),
    }
}

fn role(fields: &mut Fields<'_>) -> Option<Role> {
    let word = fields.required("role")?;
    match parse_role(&word) {
        Ok(role) => Some(role),
        Err(message) => fields.wrong("role", message),
    }
}

fn parse_role(word: &str) -> Result<Role, String> {
    let words = Role::ALL.map(Role::word).join("`, `");
    Role::parse(word).ok_or_else(|| format!("there is no such role; there are `{words}`"))
}

fn check_tenant(fields: &mut Fields<'_>, role: Option<Role>, tenant: Option<&Tenant>) {
    let message = match (role, tenant) {
        (Some(Role::Tenant), None) if !fields.failed("tenant") => "a tenant's key needs to say whose it is",
        (Some(Role::Admin), Some(_)) => {
            "an admin's key is for all tenants; leave it out, or choose another role"
        }
        _ => return,
    };
    fields.wrong::<()>("tenant", message);
}

/// `expires` counts from now; `expires_at` is the end itself.
fn end(fields: &mut Fields<'_>, now: Timestamp) -> Option<Timestamp> {
    if fields.has("expires") && fields.has("expires_at") {
        return fields.wrong("expires_at", "give one of `expires` and `expires_at`");
    }
    let life = fields.parsed("expires", |text| within(text, SHORTEST_LIFE, LONGEST_LIFE));
    let end = fields.parsed("expires_at", |text| match Timestamp::parse(text) {
        Ok(end) if end <= now => Err("it is over already".to_owned()),
        Ok(end) => Ok(end),
        Err(error) => Err(error.to_string()),
    });
    end.or(life.map(|life| now.plus(life)))
}

/// What was revoked is not there any more, for whoever looks.
fn find(api: &Api, id: KeyId) -> Result<Arc<Key>, Problem> {
    let book = api.book.snapshot();
    let found = book.keys().find(|key| key.id == id && key.revoked_at.is_none()).cloned();
    found.ok_or_else(|| Problem::new(Kind::NotFound, format!("There is no key {id}.")))
}

fn check_room(api: &Api) -> Result<(), Problem> {
    let most = api.config.key.max;
    if api.book.snapshot().keys().filter(|key| key.revoked_at.is_none()).count() < most {
        return Ok(());
    }
    let detail =
        format!("There are {most} keys, which is the limit (`key.max`). Revoke those that nobody uses.");
    Err(Problem::new(Kind::Conflict, detail))
}

/// Lets go of revoked keys: of those that were revoked long ago, and of the oldest where there are too many.
async fn forget(api: &Api, now: Timestamp) -> Result<(), Problem> {
    let book = api.book.snapshot();
    let mut revoked: Vec<_> = book.keys().filter_map(|key| Some((key.revoked_at?, key))).collect();
    revoked.sort_by_key(|(at, key)| (*at, key.id));
    let surplus = revoked.len().saturating_sub(api.config.key.max);
    for (place, (at, key)) in revoked.into_iter().enumerate() {
        if place < surplus || now.since(at) > REMEMBERED {
            api.book.delete_document::<Key>(&key.name()).await?;
        }
    }
    Ok(())
}
