//! How deliveries are made: what an endpoint says, its tenant for all of its endpoints, and the host for all tenants.

use std::sync::Arc;
use std::time::Duration;

use crate::event::{EventType, VersionName};
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::signature::SignatureScheme;
use crate::subscription::Pattern;

/// What one of them says. Where it says nothing, the next one is asked.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Terms {
    pub transforms: Option<Vec<Transform>>,
    pub body: Option<BodyForm>,
    pub signature: Option<SignatureScheme>,
    /// `Some(None)`: none, whatever the next one says.
    pub auth: Option<Option<Auth>>,
    /// Beside those of the next one; of two with one name, the first one holds.
    pub headers: Vec<(String, Secret)>,
    pub retry: Option<RetryPolicy>,
    /// For the whole of an attempt's request, from resolving the name to the end of the answer.
    pub timeout: Option<Duration>,
    pub success: Option<SuccessCodes>,
    pub auto_disable: Option<AutoDisable>,
}

/// What holds for an endpoint in the end.
#[derive(Debug, Clone, PartialEq)]
pub struct InForce {
    pub transforms: Vec<Transform>,
    pub body: BodyForm,
    pub signature: SignatureScheme,
    pub auth: Option<Auth>,
    pub headers: Vec<(String, Secret)>,
    pub retry: RetryPolicy,
    pub timeout: Duration,
    pub success: SuccessCodes,
    pub auto_disable: AutoDisable,
    /// Come before the transforms: they take payloads back to the version that the endpoint is pinned to.
    pub steps: Vec<Arc<Step>>,
    /// The endpoint is pinned to a version that the catalogue does not name: nothing can be shaped for it.
    pub version_lost: bool,
}

/// A link that takes payloads of some event types from one version of their shape back to the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The newer one of the two.
    pub version: VersionName,
    /// Among the steps of that version.
    pub place: u16,
    pub events: Vec<Pattern>,
    pub transform: Transform,
}

impl Step {
    pub fn concerns(&self, event_type: &EventType) -> bool {
        self.events.iter().any(|pattern| pattern.matches(event_type))
    }
}

/// A plugin and its configuration: one link of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    /// A name, or a name and digest: `flatten`, `flatten@sha256:...`.
    pub plugin: String,
    /// JSON.
    pub config: Secret,
    pub on_failure: OnFailure,
    /// What one call may use, where it is not what the plugin may use elsewhere.
    pub limits: Allowance,
}

/// What one call of a plugin may use. Where nothing is said, what holds more generally does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allowance {
    /// Of running time.
    pub time: Option<Duration>,
    /// Of linear memory, in bytes.
    pub memory: Option<usize>,
    /// Of what it hands back, in bytes.
    pub output: Option<usize>,
    /// Lines kept of what it logs and prints.
    pub log_lines: Option<usize>,
}

/// In which bytes JSON goes out, once the chain has run: what is signed, sent and recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BodyForm {
    /// As they came out of the chain.
    #[default]
    AsIs,
    /// As ECMAScript writes them: see [`crate::ecmascript`].
    Ecmascript,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it must be `as-is` or `ecmascript`")]
pub struct InvalidBodyForm;

/// What follows when a plugin fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnFailure {
    #[default]
    Retry,
    Fail,
    /// Go on with the message as it was before the link.
    Pass,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    Bearer { token: Secret },
    Basic { username: Secret, password: Secret },
}

/// Which statuses mean that the receiver took the message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SuccessCodes {
    Any2xx,
    Only(Vec<u16>),
}

impl BodyForm {
    pub const ALL: [BodyForm; 2] = [BodyForm::AsIs, BodyForm::Ecmascript];

    pub fn word(self) -> &'static str {
        match self {
            BodyForm::AsIs => "as-is",
            BodyForm::Ecmascript => "ecmascript",
        }
    }

    pub fn parse(word: &str) -> Result<Self, InvalidBodyForm> {
        Self::ALL.into_iter().find(|form| form.word() == word).ok_or(InvalidBodyForm)
    }
}

/// When an endpoint that fails is disabled. With neither, it never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AutoDisable {
    /// After so many failures in a row; at least 1.
    pub after_failures: Option<u32>,
    /// After it has failed for so long without a success between.
    pub after: Option<Duration>,
}

impl AutoDisable {
    pub const NEVER: AutoDisable = AutoDisable { after_failures: None, after: None };
}

/// Five days of failures.
impl Default for AutoDisable {
    fn default() -> Self {
        Self { after_failures: None, after: Some(Duration::from_secs(5 * 86_400)) }
    }
}

impl SuccessCodes {
    pub fn contains(&self, status: u16) -> bool {
        match self {
            SuccessCodes::Any2xx => (200..300).contains(&status),
            SuccessCodes::Only(codes) => codes.contains(&status),
        }
    }
}

impl InForce {
    /// `said` begins with the one that is asked first. `timeout` holds where nobody says one.
    pub fn of(said: &[&Terms], timeout: Duration) -> Self {
        Self {
            transforms: first(said, |terms| terms.transforms.as_ref()).unwrap_or_default(),
            body: first(said, |terms| terms.body.as_ref()).unwrap_or_default(),
            signature: first(said, |terms| terms.signature.as_ref()).unwrap_or(SignatureScheme::Standard),
            auth: first(said, |terms| terms.auth.as_ref()).flatten(),
            headers: headers(said),
            retry: first(said, |terms| terms.retry.as_ref()).unwrap_or_default(),
            timeout: first(said, |terms| terms.timeout.as_ref()).unwrap_or(timeout),
            success: first(said, |terms| terms.success.as_ref()).unwrap_or(SuccessCodes::Any2xx),
            auto_disable: first(said, |terms| terms.auto_disable.as_ref()).unwrap_or_default(),
            steps: Vec::new(),
            version_lost: false,
        }
    }

    /// All that may have to run, in its order: the steps, whatever events they are for, and the transforms.
    pub fn links(&self) -> impl Iterator<Item = &Transform> {
        self.steps.iter().map(|step| &step.transform).chain(&self.transforms)
    }
}

fn first<T: Clone>(said: &[&Terms], term: impl Fn(&Terms) -> Option<&T>) -> Option<T> {
    said.iter().find_map(|terms| term(terms)).cloned()
}

fn headers(said: &[&Terms]) -> Vec<(String, Secret)> {
    let mut headers: Vec<(String, Secret)> = Vec::new();
    for (name, value) in said.iter().flat_map(|terms| &terms.headers) {
        if !headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            headers.push((name.clone(), value.clone()));
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Duration = Duration::from_secs(15);

    fn bearer(token: &str) -> Auth {
        Auth::Bearer { token: Secret::new(token) }
    }

    #[test]
    fn success_codes() {
        let strict = SuccessCodes::Only(vec![200, 201, 204]);
        for (status, lax_holds, strict_holds) in [
            (200, true, true),
            (202, true, false),
            (204, true, true),
            (299, true, false),
            (302, false, false),
            (199, false, false),
        ] {
            assert_eq!(SuccessCodes::Any2xx.contains(status), lax_holds, "{status}");
            assert_eq!(strict.contains(status), strict_holds, "{status}");
        }
    }

    #[test]
    fn who_says_something_first_is_right() {
        let endpoint = Terms { timeout: Some(Duration::from_secs(1)), ..Terms::default() };
        let tenant = Terms {
            timeout: Some(Duration::from_secs(2)),
            auth: Some(Some(bearer("tenant"))),
            success: Some(SuccessCodes::Only(vec![200])),
            body: Some(BodyForm::Ecmascript),
            ..Terms::default()
        };
        let in_force = InForce::of(&[&endpoint, &tenant], DEFAULT);
        assert_eq!(in_force.timeout, Duration::from_secs(1));
        assert_eq!(in_force.auth, Some(bearer("tenant")));
        assert_eq!(in_force.success, SuccessCodes::Only(vec![200]));
        assert_eq!(in_force.body, BodyForm::Ecmascript);
        assert_eq!(in_force.retry, RetryPolicy::default());
        assert_eq!(InForce::of(&[], DEFAULT).timeout, DEFAULT);
    }

    #[test]
    fn an_endpoint_can_do_without_its_tenants_credentials() {
        let tenant = Terms { auth: Some(Some(bearer("tenant"))), ..Terms::default() };
        let endpoint = Terms { auth: Some(None), ..Terms::default() };
        assert_eq!(InForce::of(&[&endpoint, &tenant], DEFAULT).auth, None);
    }

    #[test]
    fn headers_come_together() {
        let named = |pairs: &[(&str, &str)]| Terms {
            headers: pairs.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect(),
            ..Terms::default()
        };
        let said = [&named(&[("X-A", "endpoint")]), &named(&[("x-a", "tenant"), ("X-B", "tenant")])];
        let headers = InForce::of(&said, DEFAULT).headers;
        let shown: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(shown, [("X-A", "endpoint"), ("X-B", "tenant")]);
    }
}
