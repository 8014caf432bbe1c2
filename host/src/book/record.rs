//! How an endpoint is written down: JSON with a version, and in it one sealed part that holds all that is
//! secret.
//!
//! A field that is added is optional here; a changed meaning is a new version.

use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use url::{Position, Url};
use zeroize::{Zeroize, Zeroizing};

use super::terms::{HiddenTerms, OpenTerms};
use crate::endpoint::{Disabled, Endpoint, Hold, Order, RateLimit};
use crate::event::{Channel, Tenant, VersionName};
use crate::id::EndpointId;
use crate::seal::{Owner, SealError, SealingKey};
use crate::secret::{Previous, Secret, SigningSecret, SigningSecrets};
use crate::subscription::{Pattern, Subscription};
use crate::terms::InForce;
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
    let owner = Owner::Endpoint { tenant: &endpoint.tenant, endpoint: endpoint.id };
    let document = Document {
        version: VERSION,
        tenant: endpoint.tenant.to_string(),
        name: endpoint.name.clone(),
        description: endpoint.description.clone(),
        target,
        events: endpoint.subscription.events.iter().map(Pattern::to_string).collect(),
        channels: endpoint.subscription.channels.iter().map(Channel::to_string).collect(),
        payload_version: endpoint.version.as_ref().map(VersionName::to_string),
        terms: OpenTerms::of(&endpoint.own),
        rate_limit: endpoint.rate_limit.map(Rate::of),
        concurrency: endpoint.concurrency,
        order: Line::of(endpoint.order),
        disabled: endpoint.hold.current.as_ref().map(Held::of),
        held_past_us: endpoint.hold.past.as_micros() as u64,
        skips_before: endpoint.hold.skips_before.map(Timestamp::as_micros),
        judged_from: endpoint.judged_from.as_micros(),
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
    let plain = key.open(Owner::Endpoint { tenant: &tenant, endpoint: id }, &sealed)?;
    let mut hidden: Hidden = serde_json::from_slice(&plain).map_err(malformed)?;
    let own = open.terms.with(std::mem::take(&mut hidden.terms))?;
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
        version: open.payload_version.as_deref().map(VersionName::parse).transpose().map_err(malformed)?,
        // Until the book says what else holds.
        terms: InForce::of(&[&own], Duration::ZERO),
        own,
        secrets: hidden.signing_secrets()?,
        rate_limit: open.rate_limit.map(Rate::into_word),
        concurrency: open.concurrency,
        order: open.order.map_or(Order::Free, Line::into_word),
        hold: Hold {
            current: open.disabled.map(Held::into_word),
            past: Duration::from_micros(open.held_past_us),
            skips_before: open.skips_before.map(Timestamp::from_micros),
        },
        judged_from: Timestamp::from_micros(open.judged_from),
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
    /// The version of the payloads' shapes.
    #[serde(default)]
    payload_version: Option<String>,
    #[serde(flatten)]
    terms: OpenTerms,
    rate_limit: Option<Rate>,
    concurrency: u32,
    #[serde(default)]
    order: Option<Line>,
    disabled: Option<Held>,
    held_past_us: u64,
    #[serde(default)]
    skips_before: Option<i64>,
    #[serde(default)]
    judged_from: i64,
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
    /// Newest first.
    secrets: Vec<String>,
    /// When the second one ends, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous_until: Option<i64>,
    #[serde(flatten)]
    terms: HiddenTerms,
}

impl Hidden {
    fn of(endpoint: &Endpoint) -> Result<Self, RecordError> {
        Ok(Self {
            tail: split(endpoint.url.expose())?.1,
            secrets: endpoint.secrets.kept().map(|secret| secret.text().expose().to_owned()).collect(),
            previous_until: endpoint.secrets.overlap_end().map(Timestamp::as_micros),
            terms: HiddenTerms::of(&endpoint.own),
        })
    }

    fn signing_secrets(&self) -> Result<SigningSecrets, RecordError> {
        let mut secrets = parse_all(&self.secrets, SigningSecret::restore)?.into_iter();
        let newest = secrets.next().ok_or_else(|| malformed("it has no signing secret"))?;
        let previous = match (secrets.next(), self.previous_until) {
            (Some(secret), Some(until)) => Some(Previous { secret, until: Timestamp::from_micros(until) }),
            (None, None) => None,
            _ => return Err(malformed("a signing secret has no end, or an end no secret")),
        };
        match secrets.next() {
            None => Ok(SigningSecrets::restored(newest, previous)),
            Some(_) => Err(malformed("it has more than two signing secrets")),
        }
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        self.tail.zeroize();
        self.secrets.zeroize();
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Rate {
    requests: u32,
    per_ms: u64,
}

impl Rate {
    pub fn of(limit: RateLimit) -> Self {
        Self { requests: limit.requests, per_ms: millis(limit.per) }
    }

    pub fn into_word(self) -> RateLimit {
        RateLimit { requests: self.requests, per: Duration::from_millis(self.per_ms) }
    }
}

/// Whether, and after how many attempts, the head of the line steps aside.
#[derive(Serialize, Deserialize)]
struct Line {
    park_after: Option<u32>,
}

impl Line {
    fn of(order: Order) -> Option<Self> {
        match order {
            Order::Free => None,
            Order::Strict => Some(Self { park_after: None }),
            Order::Parking { after } => Some(Self { park_after: Some(after) }),
        }
    }

    fn into_word(self) -> Order {
        self.park_after.map_or(Order::Strict, |after| Order::Parking { after })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Held {
    since: i64,
    reason: String,
}

impl Held {
    pub fn of(disabled: &Disabled) -> Self {
        Self { since: disabled.since.as_micros(), reason: disabled.reason.clone() }
    }

    pub fn into_word(self) -> Disabled {
        Disabled { since: Timestamp::from_micros(self.since), reason: self.reason }
    }
}

/// Scheme, host and port; path and query. The URL was parsed once and is written as the parser writes it.
fn split(url: &str) -> Result<(String, String), RecordError> {
    let url = Url::parse(url).map_err(|_| malformed("its URL is none"))?;
    Ok((url[..Position::BeforePath].to_owned(), url[Position::BeforePath..].to_owned()))
}

pub(super) fn parse_all<T, E: ToString>(
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, RecordError> {
    texts.iter().map(|text| parse(text).map_err(|error| malformed(error.to_string()))).collect()
}

pub(super) fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Says nothing of the value that was read.
pub(super) fn malformed(error: impl ToString) -> RecordError {
    RecordError::Malformed(error.to_string())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::retry::RetryPolicy;
    use crate::signature::SignatureScheme;
    use crate::terms::{Allowance, Auth, AutoDisable, BodyForm, OnFailure, SuccessCodes, Terms, Transform};

    fn terms() -> Terms {
        Terms {
            transforms: Some(vec![Transform {
                plugin: "flatten".into(),
                config: Secret::new(r#"{"separator":"planted-config"}"#),
                on_failure: OnFailure::Fail,
                limits: Allowance { memory: Some(1 << 20), ..Allowance::default() },
            }]),
            body: Some(BodyForm::Ecmascript),
            signature: Some(SignatureScheme::HmacSha256 { header: "X-Sig".into(), prefix: "sha256=".into() }),
            auth: Some(Some(Auth::Basic {
                username: Secret::new("planted-username"),
                password: Secret::new("planted-password"),
            })),
            headers: vec![("X-Key".into(), Secret::new("planted-header"))],
            retry: Some(RetryPolicy::Every { every: Duration::from_secs(10), lasting: None }),
            timeout: Some(Duration::from_secs(10)),
            success: Some(SuccessCodes::Only(vec![200, 204])),
            auto_disable: Some(AutoDisable { after_failures: Some(10), after: None }),
        }
    }

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
            version: Some(VersionName::parse("2026-03").unwrap()),
            terms: InForce::of(&[&terms()], Duration::ZERO),
            own: terms(),
            secrets: SigningSecrets::restored(
                SigningSecret::parse_text("planted-own-secret").unwrap(),
                Some(Previous { secret: SigningSecret::from_key([7; 32]), until: Timestamp::from_secs(9) }),
            ),
            rate_limit: Some(RateLimit { requests: 1, per: Duration::from_secs(1) }),
            concurrency: 4,
            order: Order::Parking { after: 2 },
            hold: Hold {
                current: Some(Disabled { since: Timestamp::from_secs(5), reason: "by hand".into() }),
                past: Duration::from_micros(3),
                skips_before: Some(Timestamp::from_secs(4)),
            },
            judged_from: Timestamp::from_secs(2),
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

    /// As it was written before secrets could be rotated.
    #[test]
    fn a_record_with_one_secret_and_no_end_is_read() {
        let old = r#"{"tail":"/x","secrets":["whsec_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="],"auth":null,
                      "headers":[],"configs":[]}"#;
        let hidden: Hidden = serde_json::from_str(old).unwrap();
        assert_eq!(hidden.signing_secrets().unwrap(), SigningSecret::from_key([7; 32]).into());
        for (secrets, until) in [(0, None), (1, Some(9)), (2, None), (3, Some(9))] {
            let text = SigningSecret::from_key([7; 32]).text().expose().to_owned();
            let mut hidden = Hidden::of(&endpoint()).unwrap();
            (hidden.secrets, hidden.previous_until) = (vec![text; secrets], until);
            assert!(hidden.signing_secrets().is_err(), "{secrets} {until:?}");
        }
    }

    #[test]
    fn every_variant_comes_back() {
        let key = SealingKey::generate();
        let said = [
            Terms::default(),
            Terms {
                transforms: Some(vec![]),
                body: Some(BodyForm::AsIs),
                signature: Some(SignatureScheme::Standard),
                auth: Some(Some(Auth::Bearer { token: Secret::new("t") })),
                retry: Some(RetryPolicy::default()),
                success: Some(SuccessCodes::Any2xx),
                auto_disable: Some(AutoDisable::NEVER),
                ..Terms::default()
            },
            Terms { auth: Some(None), ..terms() },
            Terms { signature: Some(SignatureScheme::StandardAsymmetric), ..terms() },
        ];
        for own in said {
            let terms = InForce::of(&[&own], Duration::ZERO);
            let secrets = terms.signature.new_secret([8; 32]).into();
            let other = Endpoint {
                own,
                terms,
                secrets,
                rate_limit: None,
                order: Order::Strict,
                hold: Hold::default(),
                ..endpoint()
            };
            let document = write(&other, &key).unwrap();
            assert_eq!(read(other.id, &document, &key).unwrap(), other);
        }
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
