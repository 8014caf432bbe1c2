//! How terms are written down: what is open, and what goes into the sealed part.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use super::record::{RecordError, malformed, millis};
use crate::retry::RetryPolicy;
use crate::secret::Secret;
use crate::signature::SignatureScheme;
use crate::terms::{Allowance, Auth, AutoDisable, BodyForm, OnFailure, SuccessCodes, Terms, Transform};

#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct OpenTerms {
    transforms: Option<Vec<Link>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    body: Option<Body>,
    signature: Option<Signature>,
    /// No authentication, whoever else says one.
    #[serde(default)]
    no_auth: bool,
    retry: Option<Retry>,
    timeout_ms: Option<u64>,
    /// Empty: all of 2xx.
    success: Option<Vec<u16>>,
    #[serde(default)]
    auto_disable: Option<Patience>,
}

#[derive(Default, Serialize, Deserialize)]
pub(super) struct HiddenTerms {
    auth: Option<Credential>,
    headers: Vec<(String, String)>,
    /// One for each transform.
    configs: Vec<String>,
}

impl OpenTerms {
    pub fn of(terms: &Terms) -> Self {
        Self {
            transforms: terms.transforms.as_ref().map(|links| links.iter().map(Link::of).collect()),
            body: terms.body.map(Body::of),
            signature: terms.signature.as_ref().map(Signature::of),
            no_auth: terms.auth == Some(None),
            retry: terms.retry.as_ref().map(Retry::of),
            timeout_ms: terms.timeout.map(millis),
            success: terms.success.as_ref().map(|success| match success {
                SuccessCodes::Any2xx => Vec::new(),
                SuccessCodes::Only(codes) => codes.clone(),
            }),
            auto_disable: terms.auto_disable.as_ref().map(Patience::of),
        }
    }

    pub fn with(self, mut hidden: HiddenTerms) -> Result<Terms, RecordError> {
        let configs = std::mem::take(&mut hidden.configs);
        if configs.len() != self.transforms.as_ref().map_or(0, Vec::len) {
            return Err(malformed("it has not one configuration for each transform"));
        }
        let auth = hidden.auth.as_ref().map(Credential::to_word);
        let headers = hidden.headers.iter();
        Ok(Terms {
            transforms: self.transforms.map(|links| {
                links.into_iter().zip(configs).map(|(link, config)| link.with(config)).collect()
            }),
            body: self.body.map(Body::into_word),
            signature: self.signature.map(Signature::into_word),
            auth: if self.no_auth { Some(None) } else { auth.map(Some) },
            headers: headers.map(|(name, value)| (name.clone(), Secret::new(value.as_str()))).collect(),
            retry: self.retry.map(Retry::into_word),
            timeout: self.timeout_ms.map(Duration::from_millis),
            success: self.success.map(|codes| match codes.is_empty() {
                true => SuccessCodes::Any2xx,
                false => SuccessCodes::Only(codes),
            }),
            auto_disable: self.auto_disable.map(Patience::into_word),
        })
    }
}

impl HiddenTerms {
    pub fn of(terms: &Terms) -> Self {
        let links = terms.transforms.iter().flatten();
        let headers = terms.headers.iter();
        Self {
            auth: terms.auth.iter().flatten().next().map(Credential::of),
            headers: headers.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
            configs: links.map(|link| link.config.expose().to_owned()).collect(),
        }
    }
}

impl Drop for HiddenTerms {
    fn drop(&mut self) {
        self.configs.zeroize();
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        match &mut self.auth {
            Some(Credential::Bearer { token }) => token.zeroize(),
            Some(Credential::Basic { username, password }) => {
                username.zeroize();
                password.zeroize();
            }
            None => {}
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Credential {
    Bearer { token: String },
    Basic { username: String, password: String },
}

impl Credential {
    fn of(auth: &Auth) -> Self {
        match auth {
            Auth::Bearer { token } => Self::Bearer { token: token.expose().to_owned() },
            Auth::Basic { username, password } => {
                Self::Basic { username: username.expose().to_owned(), password: password.expose().to_owned() }
            }
        }
    }

    fn to_word(&self) -> Auth {
        match self {
            Self::Bearer { token } => Auth::Bearer { token: Secret::new(token.as_str()) },
            Self::Basic { username, password } => Auth::Basic {
                username: Secret::new(username.as_str()),
                password: Secret::new(password.as_str()),
            },
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Link {
    plugin: String,
    on_failure: Follow,
    #[serde(default, skip_serializing_if = "Within::is_nothing")]
    limits: Within,
}

/// What one call may use.
#[derive(Debug, Default, Serialize, Deserialize, PartialEq)]
struct Within {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    time_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    memory: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    log_lines: Option<usize>,
}

impl Within {
    fn of(allowance: Allowance) -> Self {
        let Allowance { time, memory, output, log_lines } = allowance;
        Self { time_ms: time.map(millis), memory, output, log_lines }
    }

    fn to_word(&self) -> Allowance {
        let Self { time_ms, memory, output, log_lines } = *self;
        Allowance { time: time_ms.map(Duration::from_millis), memory, output, log_lines }
    }

    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Follow {
    Retry,
    Fail,
    Pass,
}

impl Link {
    pub fn of(transform: &Transform) -> Self {
        let on_failure = match transform.on_failure {
            OnFailure::Retry => Follow::Retry,
            OnFailure::Fail => Follow::Fail,
            OnFailure::Pass => Follow::Pass,
        };
        let limits = Within::of(transform.limits);
        Self { plugin: transform.plugin.clone(), on_failure, limits }
    }

    pub fn with(self, config: String) -> Transform {
        let on_failure = match self.on_failure {
            Follow::Retry => OnFailure::Retry,
            Follow::Fail => OnFailure::Fail,
            Follow::Pass => OnFailure::Pass,
        };
        let limits = self.limits.to_word();
        Transform { plugin: self.plugin, config: Secret::new(config), on_failure, limits }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    AsIs,
    Ecmascript,
}

impl Body {
    fn of(form: BodyForm) -> Self {
        match form {
            BodyForm::AsIs => Self::AsIs,
            BodyForm::Ecmascript => Self::Ecmascript,
        }
    }

    fn into_word(self) -> BodyForm {
        match self {
            Self::AsIs => BodyForm::AsIs,
            Self::Ecmascript => BodyForm::Ecmascript,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "scheme")]
enum Signature {
    #[serde(rename = "standard")]
    Standard,
    #[serde(rename = "standard-asymmetric")]
    StandardAsymmetric,
    #[serde(rename = "hmac-sha256")]
    HmacSha256 { header: String, prefix: String },
}

impl Signature {
    fn of(scheme: &SignatureScheme) -> Self {
        match scheme {
            SignatureScheme::Standard => Self::Standard,
            SignatureScheme::StandardAsymmetric => Self::StandardAsymmetric,
            SignatureScheme::HmacSha256 { header, prefix } => {
                Self::HmacSha256 { header: header.clone(), prefix: prefix.clone() }
            }
        }
    }

    fn into_word(self) -> SignatureScheme {
        match self {
            Self::Standard => SignatureScheme::Standard,
            Self::StandardAsymmetric => SignatureScheme::StandardAsymmetric,
            Self::HmacSha256 { header, prefix } => SignatureScheme::HmacSha256 { header, prefix },
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Retry {
    ScheduleMs(Vec<u64>),
    Every { every_ms: u64, lasting_ms: Option<u64> },
}

impl Retry {
    fn of(policy: &RetryPolicy) -> Self {
        match policy {
            RetryPolicy::Schedule(pauses) => Self::ScheduleMs(pauses.iter().copied().map(millis).collect()),
            RetryPolicy::Every { every, lasting } => {
                Self::Every { every_ms: millis(*every), lasting_ms: lasting.map(millis) }
            }
        }
    }

    fn into_word(self) -> RetryPolicy {
        match self {
            Self::ScheduleMs(pauses) => {
                RetryPolicy::Schedule(pauses.into_iter().map(Duration::from_millis).collect())
            }
            Self::Every { every_ms, lasting_ms } => RetryPolicy::Every {
                every: Duration::from_millis(every_ms),
                lasting: lasting_ms.map(Duration::from_millis),
            },
        }
    }
}

/// Neither: never.
#[derive(Debug, Serialize, Deserialize)]
struct Patience {
    failures: Option<u32>,
    after_ms: Option<u64>,
}

impl Patience {
    fn of(policy: &AutoDisable) -> Self {
        Self { failures: policy.after_failures, after_ms: policy.after.map(millis) }
    }

    fn into_word(self) -> AutoDisable {
        AutoDisable { after_failures: self.failures, after: self.after_ms.map(Duration::from_millis) }
    }
}
