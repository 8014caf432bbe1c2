//! `/v1/session` and the links to portals: who signs in with a key gets a pass that a browser keeps as a cookie; a
//! link holds one that is for one tenant. See [`crate::access::Pass`].

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

use super::auth::{self, Caller};
use super::body::{self, require_json};
use super::fields::Fields;
use super::problem::{Kind, Problem, whole_seconds};
use super::terms::within;
use super::{Api, json};
use crate::access::{Ended, PORTAL_PREFIX, Pass, PassId, PassKind, Role};
use crate::book::Described;
use crate::config::{MAX_PORTAL, MIN_PORTAL};
use crate::event::Tenant;
use crate::server::{self, Peer};
use crate::time::Timestamp;

mod failures;

pub use failures::Failures;

/// What the cookie is called.
pub(super) const COOKIE: &str = "hookwright_session";
/// And over TLS: no neighbouring host can set one of this name (RFC 6265bis, cookie name prefixes).
pub(super) const SECURE_COOKIE: &str = "__Host-hookwright_session";

#[derive(Serialize)]
struct SessionView<'a> {
    role: &'static str,
    tenant: Option<&'a str>,
    /// Null where it goes on until its key is revoked.
    expires_at: Option<String>,
    version: &'static str,
    /// Whether deliveries wait: the host is offline, or the caller's tenant.
    offline: bool,
}

#[derive(Serialize)]
struct PortalView {
    /// Shown once.
    token: String,
    /// Where the dashboard has it.
    path: String,
    expires_at: String,
}

/// Exchanges a key, or a link's token, for a session.
pub(super) async fn create(State(api): State<Arc<Api>>, request: Request) -> Result<Response, Problem> {
    let (parts, content) = request.into_parts();
    require_json(&parts.headers, &[])?;
    auth::check_origin_if_said(&api, &parts)?;
    let whole = body::read(&api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    let key = read_key(&whole.bytes)?;
    let now = api.clock.now();
    let peer = parts.extensions.get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let from = server::origin(peer, &parts.headers, &api.config.server.trusted_proxies);
    let most = api.config.dashboard.sign_in_attempts;
    let attempt = || auth::bearer_of(&api, &key, now);
    let caller = api.failures.attempt(from, most, now, attempt).map_err(|wait| too_often(most, wait))??;
    if caller.role == Role::Ingest {
        let detail =
            "This key is for posting events, and opens no page; sign in with an admin's or a tenant's key.";
        return Err(Problem::new(Kind::Forbidden, detail));
    }
    let end = now.plus(api.config.dashboard.session);
    let ends_at = caller.by.ends_at.map_or(end, |other| other.min(end));
    let session = Pass {
        link: caller.by.pass,
        ..pass(PassKind::Session, &caller, caller.by.narrowed.clone(), now, ends_at)
    };
    let sealed = api.sealing.seal_pass(&session).map_err(|error| Problem::internal(&error))?;
    let cookie = cookie(name_of_cookie(auth::is_secure(&api, &parts)), &sealed, ends_at.since(now));
    let mut response = show_to(&api, &caller, Some(ends_at))?;
    set_cookie(&mut response, &cookie)?;
    Ok(response)
}

/// Who the caller is.
pub(super) async fn show(caller: Caller, State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    show_to(&api, &caller, caller.by.ends_at)
}

/// Signs out. From the answer on the session, or the link's token, opens nothing, on other hosts within seconds; a key stays
/// as it is.
pub(super) async fn end(caller: Caller, State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    if let (Some(id), Some(ends_at)) = (caller.by.pass, caller.by.ends_at) {
        let ended = Ended { id, key: caller.by.key.clone(), tenant: caller.by.narrowed.clone(), ends_at };
        forget(&api, &ended, api.clock.now()).await?;
        // Somebody else may have ended it meanwhile.
        api.book.put_document(ended, 0).await?;
    }
    let mut response = StatusCode::NO_CONTENT.into_response();
    // Both, however it was opened.
    for name in [SECURE_COOKIE, COOKIE] {
        set_cookie(&mut response, &cookie(name, "", Duration::ZERO))?;
    }
    Ok(response)
}

/// A link to the portal of one tenant.
pub(super) async fn portal(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let text = super::path(id)?;
    let tenant = Tenant::parse(&text).map_err(|error| Problem::new(Kind::NotFound, format!("{error}.")))?;
    let life = asked_life(&api, request).await?.unwrap_or(api.config.dashboard.portal_expires);
    let now = api.clock.now();
    // A session may end before the links that were made in it; a key may not.
    let end = now.plus(life);
    let ends_at = caller.by.key_ends_at.map_or(end, |key| key.min(end));
    let pass = pass(PassKind::Portal, &caller, Some(tenant), now, ends_at);
    let sealed = api.sealing.seal_pass(&pass).map_err(|error| Problem::internal(&error))?;
    let token = format!("{PORTAL_PREFIX}{sealed}");
    let path = format!("/#/portal/{token}");
    json(StatusCode::CREATED, &PortalView { token, path, expires_at: ends_at.to_string() })
}

fn pass(kind: PassKind, caller: &Caller, tenant: Option<Tenant>, now: Timestamp, ends_at: Timestamp) -> Pass {
    let (id, key) = (PassId(rand::random()), caller.by.key.clone());
    Pass { kind, id, link: None, key, tenant, starts_at: now, ends_at }
}

fn show_to(api: &Api, caller: &Caller, ends_at: Option<Timestamp>) -> Result<Response, Problem> {
    let book = api.book.snapshot();
    let host_waits = book.host().is_some_and(|kept| kept.value.hold.current.is_some());
    let tenant = caller.tenant.as_ref().and_then(|tenant| book.tenant(tenant));
    let view = SessionView {
        role: caller.role.word(),
        tenant: caller.tenant.as_ref().map(Tenant::as_str),
        expires_at: ends_at.map(|end| end.to_string()),
        version: env!("CARGO_PKG_VERSION"),
        offline: host_waits || tenant.is_some_and(|kept| kept.value.hold.current.is_some()),
    };
    let mut response = json(StatusCode::OK, &view)?;
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn read_key(bytes: &[u8]) -> Result<String, Problem> {
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(bytes)?, "", &mut errors);
    let key = fields.required("key");
    fields.finish(&["key"]);
    key.filter(|_| errors.is_empty()).ok_or_else(|| Problem::invalid(errors))
}

async fn asked_life(api: &Api, request: Request) -> Result<Option<Duration>, Problem> {
    let (parts, content) = request.into_parts();
    let whole = body::read(api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    if whole.bytes.is_empty() {
        return Ok(None);
    }
    require_json(&parts.headers, &[])?;
    let mut errors = Vec::new();
    let mut fields = Fields::new(body::parse_object(&whole.bytes)?, "", &mut errors);
    let life = fields.parsed("expires", |text| within(text, MIN_PORTAL, MAX_PORTAL));
    fields.finish(&["expires"]);
    if errors.is_empty() { Ok(life) } else { Err(Problem::invalid(errors)) }
}

fn too_often(most: u32, wait: Duration) -> Problem {
    let detail = format!(
        "{most} attempts to sign in from here failed within a minute (`dashboard.sign_in_attempts`); try again in {} s.",
        whole_seconds(wait)
    );
    Problem { retry_after: Some(wait), ..Problem::new(Kind::OverQuota, detail) }
}

fn name_of_cookie(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE }
}

/// Scripts never see it, and no other site can have it sent along.
fn cookie(name: &str, value: &str, life: Duration) -> String {
    let secure = if name == SECURE_COOKIE { "; Secure" } else { "" };
    format!("{name}={value}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}", life.as_secs())
}

fn set_cookie(response: &mut Response, cookie: &str) -> Result<(), Problem> {
    let value = HeaderValue::from_str(cookie).map_err(|error| Problem::internal(&error))?;
    response.headers_mut().append(header::SET_COOKIE, value);
    Ok(())
}

/// Most ended passes that one request lets go of: each is a commit.
const FORGOTTEN_AT_ONCE: usize = 100;

/// Lets go of ended passes whose time is over and, where there are too many, of those that would have ended next of whoever
/// has ended most: nobody makes room at the expense of another, whose sessions would be open again.
async fn forget(api: &Api, next: &Ended, now: Timestamp) -> Result<(), Problem> {
    let book = api.book.snapshot();
    let (over, kept): (Vec<&Ended>, Vec<&Ended>) = book.ended().partition(|pass| pass.ends_at <= now);
    let surplus = (kept.len() + 1).saturating_sub(api.config.dashboard.max_ended_sessions);
    for pass in over.into_iter().take(FORGOTTEN_AT_ONCE).chain(surplus_of(kept, next, surplus)) {
        api.book.delete_document::<Ended>(&pass.name()).await?;
    }
    Ok(())
}

fn surplus_of<'e>(kept: Vec<&'e Ended>, next: &Ended, surplus: usize) -> Vec<&'e Ended> {
    let holder = |pass: &'e Ended| (pass.key.0, pass.tenant.as_ref());
    let mut by_holder: BTreeMap<_, Vec<&Ended>> = BTreeMap::new();
    if surplus > 0 {
        kept.into_iter().for_each(|pass| by_holder.entry(holder(pass)).or_default().push(pass));
        by_holder.values_mut().for_each(|passes| passes.sort_by_key(|pass| std::cmp::Reverse(pass.ends_at)));
    }
    let own = (next.key.0, next.tenant.as_ref());
    let most = |by_holder: &mut BTreeMap<_, Vec<&'e Ended>>| {
        let count = |(holder, passes): &(&_, &mut Vec<_>)| passes.len() + usize::from(**holder == own);
        by_holder.iter_mut().filter(|(_, passes)| !passes.is_empty()).max_by_key(count)?.1.pop()
    };
    (0..surplus).map_while(|_| most(&mut by_holder)).collect()
}
