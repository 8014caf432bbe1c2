//! How an endpoint is written down: JSON with a version, and in it one sealed part that holds all that is
//! secret.
//!
//! A field that is added is optional here; a changed meaning is a new version.

use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use url::{Position, Url};
use zeroize::{Zeroize, Zeroizing};

use crate::endpoint::{Auth, Disabled, Endpoint, Hold, OnFailure, RateLimit, SuccessCodes, Transform};
use crate::event::{Channel, Tenant};
use crate::id::EndpointId;
use crate::retry::RetryPolicy;
use crate::seal::{Owner, SealError, SealingKey};
use crate::secret::{Secret, SigningSecret};
use crate::signature::SignatureScheme;
use crate::subscription::{Pattern, Subscription};
use crate::time::Timestamp;

const VERSION: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    #[error("its record has version {0}; this program knows {VERSION}. Start a newer program.")]
    Newer(u32),
    #[error("its record cannot be read: {0}. Restore a backup.")]
    Malformed(String),
    #[error("its secrets cannot be opened: {0}. Is the sealing key the right one?")]
    Sealed(#[from] SealError),
}

pub(super) fn write(endpoint: &Endpoint, key: &SealingKey) -> Result<Vec<u8>, RecordError> {
    let (target, _) = split(endpoint.url.expose())?;
    let plain = Zeroizing::new(serde_json::to_vec(&Hidden::of(endpoint)?).map_err(malformed)?);
    let owner = Owner { tenant: &endpoint.tenant, endpoint: endpoint.id };
    let document = Document {
        version: VERSION,
        tenant: endpoint.tenant.to_string(),
        name: endpoint.name.clone(),
        description: endpoint.description.clone(),
        target,
        events: endpoint.subscription.events.iter().map(Pattern::to_string).collect(),
        channels: endpoint.subscription.channels.iter().map(Channel::to_string).collect(),
        transforms: endpoint.transforms.iter().map(Link::of).collect(),
        signature: Signature::of(&endpoint.signature),
        retry: Retry::of(&endpoint.retry),
        timeout_ms: millis(endpoint.timeout),
        success: match &endpoint.success {
            SuccessCodes::Any2xx => None,
            SuccessCodes::Only(codes) => Some(codes.clone()),
        },
        rate_limit: endpoint
            .rate_limit
            .map(|limit| Rate { requests: limit.requests, per_ms: millis(limit.per) }),
        concurrency: endpoint.concurrency,
        disabled: endpoint
            .hold
            .current
            .as_ref()
            .map(|held| Held { since: held.since.as_micros(), reason: held.reason.clone() }),
        held_past_us: endpoint.hold.past.as_micros() as u64,
        created_at: endpoint.created_at.as_micros(),
        updated_at: endpoint.updated_at.as_micros(),
        sealed: BASE64.encode(&key.seal(owner, &plain)?),
    };
    serde_json::to_vec(&document).map_err(malformed)
}

pub(super) fn read(id: EndpointId, document: &[u8], key: &SealingKey) -> Result<Endpoint, RecordError> {
    let Version { version } = serde_json::from_slice(document).map_err(malformed)?;
    if version != VERSION {
        return Err(RecordError::Newer(version));
    }
    let open: Document = serde_json::from_slice(document).map_err(malformed)?;
    let tenant = Tenant::parse(&open.tenant).map_err(malformed)?;
    let sealed = BASE64.decode(open.sealed.as_bytes()).map_err(malformed)?;
    let plain = key.open(Owner { tenant: &tenant, endpoint: id }, &sealed)?;
    let mut hidden: Hidden = serde_json::from_slice(&plain).map_err(malformed)?;
    if hidden.configs.len() != open.transforms.len() {
        return Err(malformed("it has more transforms than configurations"));
    }
    let configs = std::mem::take(&mut hidden.configs);
    let transforms = open.transforms.into_iter().zip(configs);
    Ok(Endpoint {
        id,
        tenant,
        name: open.name,
        description: open.description,
        url: Secret::new(format!("{}{}", open.target, hidden.tail)),
        subscription: Subscription {
            events: parse_all(&open.events, Pattern::parse)?,
            channels: parse_all(&open.channels, Channel::parse)?,
        },
        transforms: transforms.map(|(link, config)| link.with(config)).collect(),
        signature: open.signature.into_word(),
        secrets: parse_all(&hidden.secrets, SigningSecret::parse)?,
        auth: hidden.auth.as_ref().map(Credential::to_word),
        headers: hidden
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), Secret::new(value.as_str())))
            .collect(),
        retry: open.retry.into_word(),
        timeout: Duration::from_millis(open.timeout_ms),
        success: open.success.map_or(SuccessCodes::Any2xx, SuccessCodes::Only),
        rate_limit: open
            .rate_limit
            .map(|rate| RateLimit { requests: rate.requests, per: Duration::from_millis(rate.per_ms) }),
        concurrency: open.concurrency,
        hold: Hold {
            current: open
                .disabled
                .map(|held| Disabled { since: Timestamp::from_micros(held.since), reason: held.reason }),
            past: Duration::from_micros(open.held_past_us),
        },
        created_at: Timestamp::from_micros(open.created_at),
        updated_at: Timestamp::from_micros(open.updated_at),
    })
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct Document {
    version: u32,
    tenant: String,
    name: String,
    description: String,
    /// Scheme, host and port of the URL.
    target: String,
    events: Vec<String>,
    channels: Vec<String>,
    transforms: Vec<Link>,
    signature: Signature,
    retry: Retry,
    timeout_ms: u64,
    success: Option<Vec<u16>>,
    rate_limit: Option<Rate>,
    concurrency: u32,
    disabled: Option<Held>,
    held_past_us: u64,
    created_at: i64,
    updated_at: i64,
    /// Base64 of the sealed [`Hidden`].
    sealed: String,
}

/// What is sealed.
#[derive(Serialize, Deserialize)]
struct Hidden {
    /// Path and query of the URL.
    tail: String,
    secrets: Vec<String>,
    auth: Option<Credential>,
    headers: Vec<(String, String)>,
    /// One for each transform.
    configs: Vec<String>,
}

impl Hidden {
    fn of(endpoint: &Endpoint) -> Result<Self, RecordError> {
        Ok(Self {
            tail: split(endpoint.url.expose())?.1,
            secrets: endpoint.secrets.iter().map(|secret| secret.text().expose().to_owned()).collect(),
            auth: endpoint.auth.as_ref().map(Credential::of),
            headers: endpoint
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.expose().to_owned()))
                .collect(),
            configs: endpoint
                .transforms
                .iter()
                .map(|transform| transform.config.expose().to_owned())
                .collect(),
        })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.tail.zeroize();
        self.secrets.zeroize();
        self.configs.zeroize();
        self.headers.iter_mut().for_each(|(_, value)| value.zeroize());
        match &mut self.auth {
            Some(Credential::Bearer { token }) => token.zeroize(),
            Some(Credential::Basic { password, .. }) => password.zeroize(),
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
                Self::Basic { username: username.clone(), password: password.expose().to_owned() }
            }
        }
    }

    fn to_word(&self) -> Auth {
        match self {
            Self::Bearer { token } => Auth::Bearer { token: Secret::new(token.as_str()) },
            Self::Basic { username, password } => {
                Auth::Basic { username: username.clone(), password: Secret::new(password.as_str()) }
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Link {
    plugin: String,
    on_failure: Follow,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Follow {
    Retry,
    Fail,
    Pass,
}

impl Link {
    fn of(transform: &Transform) -> Self {
        let on_failure = match transform.on_failure {
            OnFailure::Retry => Follow::Retry,
            OnFailure::Fail => Follow::Fail,
            OnFailure::Pass => Follow::Pass,
        };
        Self { plugin: transform.plugin.clone(), on_failure }
    }

    fn with(self, config: String) -> Transform {
        let on_failure = match self.on_failure {
            Follow::Retry => OnFailure::Retry,
            Follow::Fail => OnFailure::Fail,
            Follow::Pass => OnFailure::Pass,
        };
        Transform { plugin: self.plugin, config: Secret::new(config), on_failure }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "scheme")]
enum Signature {
    #[serde(rename = "standard")]
    Standard,
    #[serde(rename = "hmac-sha256")]
    HmacSha256 { header: String, prefix: String },
}

impl Signature {
    fn of(scheme: &SignatureScheme) -> Self {
        match scheme {
            SignatureScheme::Standard => Self::Standard,
            SignatureScheme::HmacSha256 { header, prefix } => {
                Self::HmacSha256 { header: header.clone(), prefix: prefix.clone() }
            }
        }
    }

    fn into_word(self) -> SignatureScheme {
        match self {
            Self::Standard => SignatureScheme::Standard,
            Self::HmacSha256 { header, prefix } => SignatureScheme::HmacSha256 { header, prefix },
        }
    }
}

#[derive(Serialize, Deserialize)]
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

#[derive(Serialize, Deserialize)]
struct Rate {
    requests: u32,
    per_ms: u64,
}

#[derive(Serialize, Deserialize)]
struct Held {
    since: i64,
    reason: String,
}

/// Scheme, host and port; path and query. The URL was parsed once and is written as the parser writes it.
fn split(url: &str) -> Result<(String, String), RecordError> {
    let url = Url::parse(url).map_err(|_| malformed("its URL is none"))?;
    Ok((url[..Position::BeforePath].to_owned(), url[Position::BeforePath..].to_owned()))
}

fn parse_all<T, E: ToString>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, RecordError> {
    texts.iter().map(|text| parse(text).map_err(|error| malformed(error.to_string()))).collect()
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Says nothing of the value that was read.
fn malformed(error: impl ToString) -> RecordError {
    RecordError::Malformed(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Everything set, and each secret with a text to look for.
    pub(in crate::book) fn endpoint() -> Endpoint {
        Endpoint {
            id: EndpointId::from_u128(7),
            tenant: Tenant::parse("acme").unwrap(),
            name: "CRM".into(),
            description: String::new(),
            url: Secret::new("https://hooks.example.com:8443/planted-path?planted-query=1"),
            subscription: Subscription {
                events: vec![Pattern::Any, Pattern::parse("invoice.*").unwrap()],
                channels: vec![Channel::parse("eu").unwrap()],
            },
            transforms: vec![Transform {
                plugin: "flatten".into(),
                config: Secret::new(r#"{"separator":"planted-config"}"#),
                on_failure: OnFailure::Fail,
            }],
            signature: SignatureScheme::HmacSha256 { header: "X-Sig".into(), prefix: "sha256=".into() },
            secrets: vec![SigningSecret::from_key([7; 32])],
            auth: Some(Auth::Basic { username: "u".into(), password: Secret::new("planted-password") }),
            headers: vec![("X-Key".into(), Secret::new("planted-header"))],
            retry: RetryPolicy::Every { every: Duration::from_secs(10), lasting: None },
            timeout: Duration::from_secs(10),
            success: SuccessCodes::Only(vec![200, 204]),
            rate_limit: Some(RateLimit { requests: 1, per: Duration::from_secs(1) }),
            concurrency: 4,
            hold: Hold {
                current: Some(Disabled { since: Timestamp::from_secs(5), reason: "by hand".into() }),
                past: Duration::from_micros(3),
            },
            created_at: Timestamp::from_secs(1),
            updated_at: Timestamp::from_secs(2),
        }
    }

    #[test]
    fn what_is_written_is_read_and_hides_its_secrets() {
        let key = SealingKey::generate();
        let document = write(&endpoint(), &key).unwrap();
        assert_eq!(read(endpoint().id, &document, &key).unwrap(), endpoint());
        let text = String::from_utf8(document).unwrap();
        assert!(text.contains("https://hooks.example.com:8443"));
        assert!(!text.contains("planted"), "{text}");
        assert!(!text.contains("whsec_"), "{text}");
    }

    #[test]
    fn every_variant_comes_back() {
        let key = SealingKey::generate();
        let other = Endpoint {
            signature: SignatureScheme::Standard,
            auth: Some(Auth::Bearer { token: Secret::new("t") }),
            retry: RetryPolicy::default(),
            success: SuccessCodes::Any2xx,
            rate_limit: None,
            hold: Hold::default(),
            transforms: vec![],
            ..endpoint()
        };
        let document = write(&other, &key).unwrap();
        assert_eq!(read(other.id, &document, &key).unwrap(), other);
    }

    #[test]
    fn strangers_do_not_open() {
        let key = SealingKey::generate();
        let document = write(&endpoint(), &key).unwrap();
        let elsewhere = read(EndpointId::from_u128(8), &document, &key);
        assert!(matches!(elsewhere, Err(RecordError::Sealed(_))));
        let newer = String::from_utf8(document).unwrap().replacen("\"version\":1", "\"version\":2", 1);
        assert!(matches!(read(endpoint().id, newer.as_bytes(), &key), Err(RecordError::Newer(2))));
        assert!(matches!(read(endpoint().id, b"{}", &key), Err(RecordError::Malformed(_))));
    }
}
