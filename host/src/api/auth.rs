//! Who asks: the bearer of a key, or of a pass that stands in for one.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, Method, header};

use super::Api;
use super::problem::{Kind, Problem};
use super::routes::Who;
use super::session::{COOKIE, SECURE_COOKIE};
use crate::access::{KeyDigest, PORTAL_PREFIX, Pass, PassId, PassKind, Role};
use crate::config::Origin;
use crate::event::Tenant;
use crate::time::Timestamp;

/// Who asks. Handlers take it as their first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    /// The one tenant whose things exist for the caller; `None` where all do.
    pub tenant: Option<Tenant>,
    /// What opened the door.
    pub by: Admission,
}

/// What a caller was let in by, to be looked at again where a request takes long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// The key that was shown, or that the pass came of.
    pub key: KeyDigest,
    /// When the key ends.
    pub key_ends_at: Option<Timestamp>,
    /// The session or the link's token, where that was shown in place of a key.
    pub pass: Option<PassId>,
    /// The link that the session was opened with.
    pub link: Option<PassId>,
    /// The tenant that the pass is for, where its key is for more.
    pub narrowed: Option<Tenant>,
    /// From then on it opens nothing.
    pub ends_at: Option<Timestamp>,
}

impl Caller {
    /// The tenant that a list is narrowed to, whatever its filter says.
    ///
    /// # Errors
    ///
    /// Where another tenant's is asked for.
    pub fn narrow(&self, asked: Option<Tenant>) -> Result<Option<Tenant>, Problem> {
        match (&self.tenant, asked) {
            (None, asked) => Ok(asked),
            (Some(own), Some(asked)) if *own != asked => Err(self.foreign()),
            (Some(own), _) => Ok(Some(own.clone())),
        }
    }

    /// The tenant of what the caller makes; its own one where none is named.
    ///
    /// # Errors
    ///
    /// Where another one is named.
    pub fn owner(&self, named: Option<Tenant>) -> Result<Tenant, Problem> {
        self.narrow(named).map(Option::unwrap_or_default)
    }

    /// Whether what belongs to `tenant` exists for the caller. What does not is not found, as if it were not there.
    pub fn sees(&self, tenant: &Tenant) -> bool {
        self.tenant.as_ref().is_none_or(|own| own == tenant)
    }

    fn foreign(&self) -> Problem {
        let own = self.tenant.as_ref().map(Tenant::as_str).unwrap_or_default();
        Problem::new(Kind::Forbidden, format!("This key is for the tenant `{own}` alone."))
    }
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<Api>) -> Result<Self, Problem> {
        let caller = parts.extensions.get::<Caller>().cloned();
        caller.ok_or_else(|| Problem::internal(&"a handler was asked before the key was"))
    }
}

/// Lets those pass who may, and says who they are.
pub(super) async fn admit(
    State((api, who)): State<(Arc<Api>, Who)>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let caller = identify(&api, &parts)?;
    check_role(who, caller.role)?;
    parts.extensions.insert(caller);
    Ok(next.run(Request::from_parts(parts, body)).await)
}

pub(super) fn check_role(who: Who, role: Role) -> Result<(), Problem> {
    if who.admits(role) {
        return Ok(());
    }
    let roles = who.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join("` or `");
    let detail = format!("A key with the role `{role}` does not open this; it takes one with `{roles}`.");
    Err(Problem::new(Kind::Forbidden, detail))
}

/// Whose key or session the request carries. A key goes first.
pub(super) fn identify(api: &Api, parts: &Parts) -> Result<Caller, Problem> {
    let now = api.clock.now();
    if parts.headers.contains_key(header::AUTHORIZATION) {
        return bearer_of(api, bearer(&parts.headers)?, now);
    }
    let Some(sealed) = session_cookie(&parts.headers, speaks_tls(api)) else {
        return Err(refused("Send the header `Authorization: Bearer <key>`, or sign in."));
    };
    let caller = holder(api, api.sealing.open_pass(sealed), PassKind::Session, now)?;
    check_origin(api, parts)?;
    Ok(caller)
}

/// Who shows this key, or the token of a link.
pub(super) fn bearer_of(api: &Api, shown: &str, now: Timestamp) -> Result<Caller, Problem> {
    match shown.strip_prefix(PORTAL_PREFIX).and_then(|sealed| api.sealing.open_pass(sealed)) {
        Some(pass) => holder(api, Some(pass), PassKind::Portal, now),
        None => owner_of(api, KeyDigest::of(shown), now),
    }
}

/// Whether what let the caller in would let it in now.
pub(super) fn is_still_admitted(api: &Api, caller: &Caller, now: Timestamp) -> bool {
    let by = &caller.by;
    by.ends_at.is_none_or(|end| now < end)
        && !by.pass.into_iter().chain(by.link).any(|pass| api.book.snapshot().is_ended(pass))
        && owner_of(api, by.key.clone(), now).is_ok()
}

fn holder(api: &Api, pass: Option<Pass>, kind: PassKind, now: Timestamp) -> Result<Caller, Problem> {
    let book = api.book.snapshot();
    let is_open = |pass: &Pass| !book.is_ended(pass.id) && !pass.link.is_some_and(|link| book.is_ended(link));
    let good = pass.filter(|pass| pass.kind == kind && pass.is_good_at(now) && is_open(pass));
    let pass = good.ok_or_else(|| match kind {
        PassKind::Session => refused("This session is over; sign in again."),
        PassKind::Portal => refused("This link is over; ask for another one."),
    })?;
    let owner = owner_of(api, pass.key, now)?;
    let ends_at = owner.by.ends_at.map_or(pass.ends_at, |end| end.min(pass.ends_at));
    let by = Admission {
        pass: Some(pass.id),
        link: pass.link,
        narrowed: pass.tenant.clone(),
        ends_at: Some(ends_at),
        ..owner.by
    };
    Ok(match pass.tenant {
        None => Caller { by, ..owner },
        tenant => Caller { role: Role::Tenant, tenant, by },
    })
}

fn owner_of(api: &Api, digest: KeyDigest, now: Timestamp) -> Result<Caller, Problem> {
    let admission = |key, ends_at| Admission {
        key,
        key_ends_at: ends_at,
        pass: None,
        link: None,
        narrowed: None,
        ends_at,
    };
    if api.admin_key.matches(&digest) {
        return Ok(Caller { role: Role::Admin, tenant: None, by: admission(digest, None) });
    }
    let book = api.book.snapshot();
    let key = book.key(&digest).ok_or_else(|| refused("This key is not known here."))?;
    match key.closed_because(now) {
        Some(why) => Err(refused(why)),
        None => {
            Ok(Caller { role: key.role, tenant: key.tenant.clone(), by: admission(digest, key.expires_at) })
        }
    }
}

/// A browser sends the cookie along whichever page asks it to; what changes something has to come from our own pages.
fn check_origin(api: &Api, parts: &Parts) -> Result<(), Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD) || is_from_our_pages(api, parts) {
        return Ok(());
    }
    let detail = "With a session, changes are made from the dashboard's own pages. Where a proxy gives it another \
                  address than this server sees, list that in `dashboard.origins`; programs send a key instead.";
    Err(Problem::new(Kind::Forbidden, detail))
}

/// As for changes with a session, where the client is a browser.
pub(super) fn check_origin_if_said(api: &Api, parts: &Parts) -> Result<(), Problem> {
    match parts.headers.contains_key(header::ORIGIN) {
        true => check_origin(api, parts),
        false => Ok(()),
    }
}

fn is_from_our_pages(api: &Api, parts: &Parts) -> bool {
    let said = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let ours = said("origin").is_some_and(|origin| is_ours(api, parts, origin));
    ours || said("sec-fetch-site") == Some("same-origin")
}

fn is_ours(api: &Api, parts: &Parts, origin: &str) -> bool {
    let scheme = if speaks_tls(api) { "https" } else { "http" };
    let own = host(parts).map(|host| format!("{scheme}://{host}"));
    own.is_some_and(|own| own.eq_ignore_ascii_case(origin))
        || api.config.dashboard.origins.iter().any(|known| known.as_str().eq_ignore_ascii_case(origin))
}

/// Whether a cookie can be kept for connections over TLS.
pub(super) fn is_secure(api: &Api, parts: &Parts) -> bool {
    let origin = parts.headers.get(header::ORIGIN).and_then(|value| value.to_str().ok());
    speaks_tls(api) || origin.and_then(Origin::parse).is_some_and(|origin| origin.is_https())
}

fn speaks_tls(api: &Api) -> bool {
    api.config.host.tls_cert.is_some()
}

fn host(parts: &Parts) -> Option<&str> {
    let said = parts.headers.get(header::HOST).and_then(|value| value.to_str().ok());
    said.or(parts.uri.authority().map(|authority| authority.as_str()))
}

/// Where the server speaks TLS itself, only the cookie that no neighbouring host can have set.
fn session_cookie(headers: &HeaderMap, over_tls: bool) -> Option<&str> {
    let given = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let pairs: Vec<_> =
        given.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('=')).collect();
    let named = |wanted| pairs.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
    named(SECURE_COOKIE).or_else(|| named(COOKIE).filter(|_| !over_tls))
}

fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let given = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| refused("Send the header `Authorization: Bearer <key>`."))?;
    given
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .filter(|key| !key.is_empty())
        .ok_or_else(|| refused("The Authorization header is not `Bearer <key>`."))
}

fn refused(detail: &str) -> Problem {
    Problem::new(Kind::Unauthorized, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_borne() {
        let table = [
            (None, None),
            (Some("Bearer hwk_right"), Some("hwk_right")),
            (Some("bearer  hwk_right"), Some("hwk_right")),
            (Some("Bearer "), None),
            (Some("Basic hwk_right"), None),
            (Some("hwk_right"), None),
            (Some(""), None),
        ];
        for (value, key) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("authorization", value.parse().unwrap());
            }
            assert_eq!(bearer(&headers).ok(), key, "{value:?}");
        }
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let table = [
            (vec!["hookwright_session=a"], Some("a")),
            (vec!["theme=dark; hookwright_session=a;x=y"], Some("a")),
            (vec!["theme=dark", "hookwright_session=a"], Some("a")),
            (vec!["xhookwright_session=a", "hookwright_session_=b", "hookwright_session"], None),
            (vec!["hookwright_session=a; __Host-hookwright_session=b"], Some("b")),
            (vec![], None),
        ];
        for (values, cookie) in table {
            let pairs = values.iter().map(|value| (header::COOKIE, value.parse().unwrap()));
            let headers = pairs.collect();
            assert_eq!(session_cookie(&headers, false), cookie, "{values:?}");
            let secure = cookie.filter(|_| values.iter().any(|value| value.contains(SECURE_COOKIE)));
            assert_eq!(session_cookie(&headers, true), secure, "{values:?}");
        }
    }

    #[test]
    fn a_tenant_keeps_to_itself() {
        let tenant = |name: &str| Tenant::parse(name).unwrap();
        let key = KeyDigest::of("hwk_any");
        let by = Admission { key, key_ends_at: None, pass: None, link: None, narrowed: None, ends_at: None };
        let all = Caller { role: Role::Admin, tenant: None, by: by.clone() };
        let acme = Caller { role: Role::Tenant, tenant: Some(tenant("acme")), by };
        assert_eq!(all.narrow(None).unwrap(), None);
        assert_eq!(all.narrow(Some(tenant("b"))).unwrap(), Some(tenant("b")));
        assert_eq!(all.owner(None).unwrap(), Tenant::default());
        assert_eq!(acme.narrow(None).unwrap(), Some(tenant("acme")));
        assert_eq!(acme.owner(None).unwrap(), tenant("acme"));
        assert_eq!(acme.narrow(Some(tenant("b"))).unwrap_err().kind, Kind::Forbidden);
        assert_eq!(acme.owner(Some(Tenant::default())).unwrap_err().kind, Kind::Forbidden);
        assert!(acme.sees(&tenant("acme")) && !acme.sees(&tenant("b")) && all.sees(&tenant("b")));
    }
}
