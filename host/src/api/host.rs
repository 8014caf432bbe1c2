//! `/v1/host`: what holds for all endpoints unless they or their tenants say otherwise, and the switch that holds
//! everything.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use serde_json::{Map, Value};

use super::auth::Caller;
use super::body::require_json;
use super::endpoints::read_document;
use super::fields::Fields;
use super::page::Query;
use super::problem::{Kind, Problem};
use super::profile::{self, CommonView};
use super::{Api, json, preview, terms};
use crate::endpoint::Waiting;
use crate::tenant::HostProfile;
use crate::time::Timestamp;

/// How often a patch is made again that lost to another change.
const TRIES: usize = 8;

pub(super) async fn show(_: Caller, State(api): State<Arc<Api>>, uri: Uri) -> Result<Response, Problem> {
    Query::of(&uri).finish()?;
    let (_, host) = stored(&api);
    json(StatusCode::OK, &CommonView::of(&host.terms, &host.hold))
}

/// A merge patch (RFC 7396); what is masked in it keeps what is stored. With `"offline": false`, `waiting` says what
/// becomes of what has waited.
pub(super) async fn patch(
    _: Caller,
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    require_json(&parts.headers, &["application/merge-patch+json"])?;
    let mut change = read_document(&api, &parts.headers, body).await?;
    let waiting = profile::waiting(&mut change, "offline", false)?;
    if preview::is_asked(&parts.uri)? {
        let (_, before) = stored(&api);
        let after = patched(&api, &before, change, waiting, api.clock.now()).await?;
        let [before, after] = [before, after].map(|host| profile::in_full(&host.terms, &host.hold));
        return preview::answer(&before, &after);
    }
    for _ in 0..TRIES {
        let (revision, before) = stored(&api);
        let now = api.clock.now();
        let after = patched(&api, &before, change.clone(), waiting, now).await?;
        if let Some(kept) = api.book.put_document(after, revision).await? {
            api.intake.expect(api.clock.now());
            return json(StatusCode::OK, &CommonView::of(&kept.value.terms, &kept.value.hold));
        }
    }
    Err(Problem::new(Kind::Conflict, "The host's profile is changed by others all the time; try again."))
}

fn stored(api: &Api) -> (u64, HostProfile) {
    let book = api.book.snapshot();
    book.host().map_or((0, HostProfile::default()), |kept| (kept.revision, HostProfile::clone(&kept.value)))
}

async fn patched(
    api: &Api,
    before: &HostProfile,
    change: Map<String, Value>,
    waiting: Waiting,
    now: Timestamp,
) -> Result<HostProfile, Problem> {
    let whole = profile::in_full(&before.terms, &before.hold);
    let known = [&profile::MEMBERS, terms::MEMBERS.as_slice()].concat();
    let changed = profile::apply(whole, &profile::told(&before.hold), &known, change);
    let (mut after, mut errors) = (before.clone(), Vec::new());
    let mut fields = Fields::new(changed, "", &mut errors);
    profile::read(&mut fields, api, &mut after.terms, &mut after.hold, waiting, now);
    fields.finish(&known);
    if !errors.is_empty() {
        return Err(Problem::invalid(errors));
    }
    profile::check(api, &before.terms, &after.terms).await?;
    Ok(after)
}
