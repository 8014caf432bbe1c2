//! `/v1/endpoints/{id}/secret`: replacing what an endpoint's messages are signed with.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;

use super::{TRIES, contended, entry, view};
use crate::api::auth::Caller;
use crate::api::body;
use crate::api::fields::Fields;
use crate::api::problem::Problem;
use crate::api::statistics::Fare;
use crate::api::{Api, json};
use crate::book::Entry;
use crate::endpoint::Endpoint;
use crate::id::EndpointId;
use crate::secret::{MAX_OVERLAP, SigningSecret, SigningSecrets};
use crate::signature::SignatureScheme;
use crate::time::{Timestamp, format_span, parse_span};

/// Gives the endpoint a new signing secret, which is in the answer, this once. The one before goes on signing beside
/// it for `overlap` (`endpoint.rotation_overlap` where it is not said, none with `0s`).
///
/// At most two are live. Where a rotation begins during another one, the oldest goes under the standard schemes; under
/// the plain ones it stays in its header, and the one that was to come after it goes. The same `secret` again changes
/// nothing, so that a request may be repeated.
pub(in crate::api) async fn rotate(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Response, Problem> {
    let id: EndpointId = crate::api::id(id)?;
    let (parts, content) = request.into_parts();
    let whole = body::read(&api, &parts.headers, content, |_| body::OPTIONS_LIMIT).await?;
    if !whole.bytes.is_empty() {
        body::require_json(&parts.headers, &[])?;
    }
    let random = rand::random();
    let rotated = change(&api, &caller, id, |endpoint, now| {
        let scheme = &endpoint.terms.signature;
        let options = Options::read(&whole.bytes, scheme, api.config.endpoint.rotation_overlap)?;
        let secret = options.secret.unwrap_or_else(|| scheme.new_secret(random));
        Ok(endpoint.secrets.rotated(secret, scheme.succession(), options.overlap, now))
    });
    let endpoint = rotated.await?;
    let fare = Fare::of(&api, &endpoint).await?;
    let view = view(&api, &endpoint, fare);
    json(StatusCode::OK, &view.with_secret(endpoint.secrets.newest()))
}

/// Ends a rotation: the new secret alone signs from now on. Where there is none, nothing changes.
pub(in crate::api) async fn promote(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    settle(&api, &caller, crate::api::id(id)?).await
}

/// Removes the secret that is being replaced, which ends the rotation as [`promote`] does.
pub(in crate::api) async fn remove_previous(
    caller: Caller,
    State(api): State<Arc<Api>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    settle(&api, &caller, crate::api::id(id)?).await
}

async fn settle(api: &Api, caller: &Caller, id: EndpointId) -> Result<Response, Problem> {
    let endpoint = change(api, caller, id, |endpoint, _| Ok(endpoint.secrets.settled())).await?;
    let fare = Fare::of(api, &endpoint).await?;
    json(StatusCode::OK, &view(api, &endpoint, fare))
}

/// Writes other secrets, made from those that stand.
async fn change(
    api: &Api,
    caller: &Caller,
    id: EndpointId,
    change: impl Fn(&Endpoint, Timestamp) -> Result<SigningSecrets, Problem>,
) -> Result<Arc<Endpoint>, Problem> {
    for _ in 0..TRIES {
        let book = api.book.snapshot();
        let Entry { revision, endpoint } = entry(&book, caller, id)?;
        let now = api.clock.now();
        let secrets = change(endpoint, now)?;
        if secrets == endpoint.secrets {
            return Ok(endpoint.clone());
        }
        let changed = Endpoint { secrets, updated_at: now, ..Endpoint::clone(endpoint) };
        if let Some(written) = api.book.replace(changed, *revision).await? {
            return Ok(written);
        }
    }
    Err(contended())
}

struct Options {
    secret: Option<SigningSecret>,
    overlap: Duration,
}

impl Options {
    fn read(bytes: &[u8], scheme: &SignatureScheme, default: Duration) -> Result<Self, Problem> {
        if bytes.is_empty() {
            return Ok(Self { secret: None, overlap: default });
        }
        let mut errors = Vec::new();
        let mut fields = Fields::new(body::parse_object(bytes)?, "", &mut errors);
        let secret = fields.parsed("secret", |text| scheme.read_secret(text));
        let overlap = fields.parsed("overlap", overlap).unwrap_or(default);
        fields.finish(&["secret", "overlap"]);
        match errors.is_empty() {
            true => Ok(Self { secret, overlap }),
            false => Err(Problem::invalid(errors)),
        }
    }
}

fn overlap(text: &str) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    match span <= MAX_OVERLAP {
        true => Ok(span),
        false => Err(format!("it must be from 0s to {}", format_span(MAX_OVERLAP))),
    }
}
