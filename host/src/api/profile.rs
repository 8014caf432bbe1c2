//! What a tenant and the host have in common: terms for their endpoints, and being offline.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::Api;
use super::endpoints::{apply_to, check_chain};
use super::fields::Fields;
use super::problem::Problem;
use super::terms::{self, TermsView};
use crate::endpoint::{Hold, Waiting};
use crate::terms::Terms;
use crate::time::Timestamp;

/// The members that are not terms.
pub(super) const MEMBERS: [&str; 1] = ["offline"];

const OFFLINE_BY_REQUEST: &str = "It was put offline by request.";

#[derive(Debug, Serialize)]
pub(super) struct CommonView<'a> {
    /// What is said for all endpoints; `null` where nothing is.
    #[serde(flatten)]
    terms: TermsView<'a>,
    /// All deliveries wait.
    offline: bool,
    offline_since: Option<String>,
}

impl<'a> CommonView<'a> {
    pub fn of(terms: &'a Terms, hold: &Hold) -> Self {
        let offline = hold.current.as_ref();
        Self {
            terms: TermsView::said(terms),
            offline: offline.is_some(),
            offline_since: offline.map(|offline| offline.since.to_string()),
        }
    }
}

/// What a client would send to say the same, secrets included.
pub(super) fn in_full(terms: &Terms, hold: &Hold) -> Map<String, Value> {
    let mut whole = terms::in_full(terms);
    whole.insert("offline".to_owned(), hold.current.is_some().into());
    whole
}

/// What is shown and no client sets.
pub(super) fn told(hold: &Hold) -> Map<String, Value> {
    let since = hold.current.as_ref().map(|offline| offline.since.to_string());
    Map::from_iter([("offline_since".to_owned(), json!(since))])
}

/// A merge patch, applied.
pub(super) fn apply(
    whole: Map<String, Value>,
    told: &Map<String, Value>,
    known: &[&str],
    change: Map<String, Value>,
) -> Map<String, Value> {
    apply_to(whole, told, known, |_| false, change)
}

/// Takes the members that are in common; those that are not there stay as they are stored.
pub(super) fn read(
    fields: &mut Fields<'_>,
    api: &Api,
    terms: &mut Terms,
    hold: &mut Hold,
    waiting: Waiting,
    now: Timestamp,
) {
    *terms = terms::read(fields, &api.config, Some(terms));
    match fields.boolean("offline") {
        Some(true) => hold.disable(OFFLINE_BY_REQUEST, now),
        Some(false) => hold.resume(waiting, now),
        None => {}
    }
}

/// Whether the chain could run, where it is a new one.
pub(super) async fn check(api: &Api, before: &Terms, after: &Terms) -> Result<(), Problem> {
    if after.transforms == before.transforms {
        return Ok(());
    }
    let links = after.transforms.as_deref().unwrap_or_default();
    check_chain(&api.plugins.snapshot(), &api.plugins, links).await
}

/// Takes `waiting` out of a change: it is no member, but says what becomes of the deliveries that have waited, where
/// `member` comes to be `value` and so lets go of them.
pub(super) fn waiting(
    change: &mut Map<String, Value>,
    member: &str,
    value: bool,
) -> Result<Waiting, Problem> {
    let Some(said) = change.remove("waiting") else { return Ok(Waiting::default()) };
    if change.get(member) != Some(&Value::Bool(value)) {
        let message = format!("it says what becomes of what has waited; send it with `{member}`: {value}");
        return Err(Problem::field("/waiting", message));
    }
    match said.as_str() {
        Some("deliver") => Ok(Waiting::Deliver),
        Some("skip") => Ok(Waiting::Skip),
        _ => Err(Problem::field("/waiting", "it must be `deliver` or `skip`")),
    }
}
