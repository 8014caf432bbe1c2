//! An endpoint as it is shown: what is sealed at rest is masked.

use serde::Serialize;
use serde_json::{Map, Value, json};
use url::{Position, Url};

use crate::api::statistics::Fare;
use crate::api::terms::{self, TermsView};
use crate::endpoint::{Endpoint, Order};
use crate::plugin::Snapshot;
use crate::secret::{MASK, SecretForm, SigningSecret};
use crate::time::{Timestamp, format_span};

#[derive(Debug, Serialize)]
pub(super) struct EndpointView<'a> {
    /// Of one that is made, as are its secrets and times.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    tenant: &'a str,
    name: &'a str,
    description: &'a str,
    url: String,
    events: Vec<String>,
    channels: Vec<&'a str>,
    /// `null`: whatever the newest one is.
    version: Option<&'a str>,
    #[serde(flatten)]
    terms: TermsView<'a>,
    /// The members that its tenant or the host decides.
    inherited: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secrets: Option<Vec<SecretView>>,
    rate_limit: Option<Value>,
    concurrency: u32,
    order: Option<Value>,
    enabled: bool,
    disabled_since: Option<String>,
    disabled_because: Option<&'a str>,
    #[serde(flatten)]
    fare: Fare,
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<String>,
    /// Shown once: when the endpoint is created, and when its secret is rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

/// A live signing secret, told from others but not shown. The newest comes first.
#[derive(Debug, Serialize)]
struct SecretView {
    fingerprint: String,
    /// The header that its signatures are in.
    header: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    /// When it ends, where it is being replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl<'a> EndpointView<'a> {
    pub fn of(endpoint: &'a Endpoint, fare: Fare, now: Timestamp) -> Self {
        let disabled = endpoint.hold.current.as_ref();
        Self {
            id: Some(endpoint.id.to_string()),
            tenant: endpoint.tenant.as_str(),
            name: &endpoint.name,
            description: &endpoint.description,
            url: masked_url(endpoint.url.expose()),
            events: endpoint.subscription.events.iter().map(ToString::to_string).collect(),
            channels: endpoint.subscription.channels.iter().map(|channel| channel.as_str()).collect(),
            version: endpoint.version.as_ref().map(|version| version.as_str()),
            terms: TermsView::in_force(&endpoint.terms),
            inherited: terms::inherited(endpoint),
            secrets: Some(secrets(endpoint, now)),
            rate_limit: rate_limit(endpoint),
            concurrency: endpoint.concurrency,
            order: order(endpoint.order),
            enabled: endpoint.enabled(),
            disabled_since: disabled.map(|disabled| disabled.since.to_string()),
            disabled_because: disabled.map(|disabled| disabled.reason.as_str()),
            fare,
            created_at: Some(endpoint.created_at.to_string()),
            updated_at: Some(endpoint.updated_at.to_string()),
            secret: None,
        }
    }

    /// With what its own chain says, as far as it may be seen. What others say for it is theirs to see.
    pub fn readable(self, endpoint: &'a Endpoint, plugins: &Snapshot) -> Self {
        match endpoint.own.transforms.as_deref() {
            Some(chain) => Self { terms: self.terms.with_readable(chain, plugins), ..self },
            None => self,
        }
    }

    /// Of an endpoint that was only asked about.
    pub fn not_made(self) -> Self {
        Self { id: None, secrets: None, created_at: None, updated_at: None, ..self }
    }

    /// Shows a secret that the receiver has to have. A private key is nobody's but the host's.
    pub fn with_secret(self, secret: &'a SigningSecret) -> Self {
        let shared = secret.form() != SecretForm::Asymmetric;
        Self { secret: shared.then_some(secret.text().expose()), ..self }
    }
}

/// What a client would send to create the endpoint as it stands, secrets included and configurations as text: for
/// merging a patch into.
pub(super) fn in_full(endpoint: &Endpoint) -> Map<String, Value> {
    let subscription = &endpoint.subscription;
    let events: Vec<String> = subscription.events.iter().map(ToString::to_string).collect();
    let channels: Vec<&str> = subscription.channels.iter().map(|channel| channel.as_str()).collect();
    let whole = json!({
        "tenant": endpoint.tenant.as_str(),
        "name": endpoint.name,
        "description": endpoint.description,
        "url": endpoint.url.expose(),
        "events": events,
        "channels": channels,
        "version": endpoint.version.as_ref().map(|version| version.as_str()),
        "rate_limit": rate_limit(endpoint),
        "concurrency": endpoint.concurrency,
        "order": order(endpoint.order),
        "enabled": endpoint.enabled(),
    });
    match whole {
        Value::Object(map) => {
            let stated = map.into_iter().filter(|(_, value)| !value.is_null());
            stated.chain(terms::in_full(&endpoint.own)).collect()
        }
        _ => Map::new(),
    }
}

/// Scheme, host and port. Path and query are often the credential.
pub(in crate::api) fn masked_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if &url[Position::BeforePath..] == "/" => url.to_string(),
        Ok(url) => format!("{}/{MASK}", &url[..Position::BeforePath]),
        Err(_) => MASK.to_owned(),
    }
}

/// What is told about an endpoint and no client sets, what others say for it included.
pub(super) fn told(endpoint: &Endpoint) -> Map<String, Value> {
    let disabled = endpoint.hold.current.as_ref();
    let inherited = terms::inherited(endpoint);
    let in_force = serde_json::to_value(TermsView::in_force(&endpoint.terms)).unwrap_or_default();
    let others = inherited.iter().map(|name| ((*name).to_owned(), in_force[*name].clone()));
    let facts = json!({
        "inherited": inherited,
        "id": endpoint.id.to_string(),
        "disabled_since": disabled.map(|disabled| disabled.since.to_string()),
        "disabled_because": disabled.map(|disabled| disabled.reason.as_str()),
        "created_at": endpoint.created_at.to_string(),
        "updated_at": endpoint.updated_at.to_string(),
    });
    facts.as_object().cloned().unwrap_or_default().into_iter().chain(others).collect()
}

/// Whether `shown` is what was told about the endpoint's secrets, now or before some of them ended.
pub(super) fn are_secrets_of(endpoint: &Endpoint, shown: &Value) -> bool {
    let Some(shown) = shown.as_array() else { return false };
    let known: Vec<String> = endpoint.secrets.kept().map(SigningSecret::fingerprint).collect();
    (1..=known.len()).contains(&shown.len())
        && shown.iter().zip(&known).all(|(shown, known)| shown["fingerprint"] == known.as_str())
}

fn secrets(endpoint: &Endpoint, now: Timestamp) -> Vec<SecretView> {
    let newest = endpoint.secrets.newest();
    let end = endpoint.secrets.overlap_end().map(|end| end.to_string());
    let view = |(header, secret): (String, &SigningSecret)| SecretView {
        fingerprint: secret.fingerprint(),
        header,
        public_key: secret.public_key().map(|key| key.to_string()),
        until: end.clone().filter(|_| secret != newest),
    };
    endpoint.terms.signature.places(&endpoint.secrets, now).into_iter().map(view).collect()
}

fn rate_limit(endpoint: &Endpoint) -> Option<Value> {
    let limit = endpoint.rate_limit?;
    Some(json!({"requests": limit.requests, "per": format_span(limit.per)}))
}

fn order(order: Order) -> Option<Value> {
    match order {
        Order::Free => None,
        Order::Strict => Some(json!({"head": "wait"})),
        Order::Parking { after } => Some(json!({"head": "park", "after": after})),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_show_where_and_hide_what() {
        for (url, shown) in [
            ("https://hooks.example.com/services/T0/B0/secret", "https://hooks.example.com/***"),
            ("https://example.com:8443/?key=secret", "https://example.com:8443/***"),
            ("https://example.com/", "https://example.com/"),
            ("http://[::1]:3000/x", "http://[::1]:3000/***"),
            ("nonsense", "***"),
        ] {
            assert_eq!(masked_url(url), shown);
        }
    }
}
