//! Who may ask: the bearer of the admin key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::Api;
use super::problem::{Kind, Problem};

/// SHA-256 of a key. Keys are long and random, so a plain hash keeps them.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    pub fn of(key: &str) -> Self {
        Self(Sha256::digest(key.as_bytes()).into())
    }

    /// Takes the same time wherever the two differ.
    fn matches(&self, key: &str) -> bool {
        self.0.ct_eq(&Self::of(key).0).into()
    }
}

pub(super) async fn require_key(
    State(api): State<Arc<Api>>,
    request: Request,
    next: Next,
) -> Result<Response, Problem> {
    check(&api.admin_key, request.headers())?;
    Ok(next.run(request).await)
}

pub(super) fn check(admin_key: &KeyDigest, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |detail: &str| Problem::new(Kind::Unauthorized, detail);
    let given = headers
        .get(header::AUTHORIZATION)
        .ok_or_else(|| refused("Send the header `Authorization: Bearer <key>`."))?;
    let key = given
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, key)| key.trim())
        .ok_or_else(|| refused("The Authorization header is not `Bearer <key>`."))?;
    match !key.is_empty() && admin_key.matches(key) {
        true => Ok(()),
        false => Err(refused("This key is not known here.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_bearer_passes() {
        let digest = KeyDigest::of("hwk_right");
        let table = [
            (None, false),
            (Some("Bearer hwk_right"), true),
            (Some("bearer  hwk_right"), true),
            (Some("Bearer hwk_wrong"), false),
            (Some("Bearer hwk_right2"), false),
            (Some("Bearer "), false),
            (Some("Basic hwk_right"), false),
            (Some("hwk_right"), false),
            (Some(""), false),
        ];
        for (value, passes) in table {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("authorization", value.parse().unwrap());
            }
            assert_eq!(check(&digest, &headers).is_ok(), passes, "{value:?}");
        }
        let mut headers = HeaderMap::new();
        headers.insert("authorization", "Bearer ".parse().unwrap());
        assert!(check(&KeyDigest::of(""), &headers).is_err(), "an empty key opens nothing");
    }
}
