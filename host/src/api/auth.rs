//! Who asks: the bearer of a key.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::request::Parts;
use http::{HeaderMap, header};

use super::Api;
use super::problem::{Kind, Problem};
use super::routes::Who;
use crate::access::{KeyDigest, Role};
use crate::event::Tenant;
use crate::id::KeyId;

/// Who asks. Handlers take it as their first argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub role: Role,
    /// The one tenant whose things exist for the caller; `None` where all do.
    pub tenant: Option<Tenant>,
    /// `None`: the admin key of the settings.
    pub key: Option<KeyId>,
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
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let caller = identify(&api, request.headers())?;
    check_role(who, caller.role)?;
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

pub(super) fn check_role(who: Who, role: Role) -> Result<(), Problem> {
    if who.admits(role) {
        return Ok(());
    }
    let roles = who.roles().iter().map(|role| role.word()).collect::<Vec<_>>().join("` or `");
    let detail = format!("A key with the role `{role}` does not open this; it takes one with `{roles}`.");
    Err(Problem::new(Kind::Forbidden, detail))
}

/// Whose key the request carries.
pub(super) fn identify(api: &Api, headers: &HeaderMap) -> Result<Caller, Problem> {
    let digest = KeyDigest::of(bearer(headers)?);
    if api.admin_key.matches(&digest) {
        return Ok(Caller { role: Role::Admin, tenant: None, key: None });
    }
    let book = api.book.snapshot();
    let key = book.key(&digest).ok_or_else(|| refused("This key is not known here."))?;
    match key.closed_because(api.clock.now()) {
        Some(why) => Err(refused(why)),
        None => Ok(Caller { role: key.role, tenant: key.tenant.clone(), key: Some(key.id) }),
    }
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
    fn a_tenant_keeps_to_itself() {
        let tenant = |name: &str| Tenant::parse(name).unwrap();
        let all = Caller { role: Role::Admin, tenant: None, key: None };
        let acme = Caller { role: Role::Tenant, tenant: Some(tenant("acme")), key: None };
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
