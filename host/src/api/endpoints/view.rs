//! An endpoint as it is shown: what is sealed at rest is masked.

use serde::Serialize;
use serde_json::{Map, Value, json};
use url::{Position, Url};

use super::spec::ON_FAILURE;
use crate::api::exact::Json;
use crate::endpoint::{Auth, Endpoint, SuccessCodes, Transform};
use crate::retry::RetryPolicy;
use crate::secret::{MASK, SigningSecret};
use crate::signature::SignatureScheme;
use crate::time::format_span;

#[derive(Debug, Serialize)]
pub(super) struct EndpointView<'a> {
    id: String,
    tenant: &'a str,
    name: &'a str,
    description: &'a str,
    url: String,
    events: Vec<String>,
    channels: Vec<&'a str>,
    transforms: Vec<LinkView<'a>>,
    signature: Value,
    auth: Option<Value>,
    headers: Map<String, Value>,
    retry: Value,
    timeout: String,
    success: Value,
    rate_limit: Option<Value>,
    concurrency: u32,
    enabled: bool,
    disabled_since: Option<String>,
    disabled_because: Option<&'a str>,
    created_at: String,
    updated_at: String,
    /// Shown once, when the endpoint is created.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct LinkView<'a> {
    plugin: &'a str,
    config: Option<Json>,
    on_failure: &'static str,
}

impl<'a> LinkView<'a> {
    fn of(transform: &'a Transform) -> Self {
        Self {
            plugin: &transform.plugin,
            config: Json::parse(transform.config.expose()).ok().map(mask),
            on_failure: on_failure(transform),
        }
    }
}

impl<'a> EndpointView<'a> {
    pub fn of(endpoint: &'a Endpoint) -> Self {
        let disabled = endpoint.hold.current.as_ref();
        Self {
            id: endpoint.id.to_string(),
            tenant: endpoint.tenant.as_str(),
            name: &endpoint.name,
            description: &endpoint.description,
            url: masked_url(endpoint.url.expose()),
            events: endpoint.subscription.events.iter().map(ToString::to_string).collect(),
            channels: endpoint.subscription.channels.iter().map(|channel| channel.as_str()).collect(),
            transforms: endpoint.transforms.iter().map(LinkView::of).collect(),
            signature: signature(&endpoint.signature),
            auth: endpoint.auth.as_ref().map(|auth| self::auth(auth, |_| MASK.to_owned())),
            headers: headers(endpoint, |_| MASK.to_owned()),
            retry: retry(&endpoint.retry),
            timeout: format_span(endpoint.timeout),
            success: success(&endpoint.success),
            rate_limit: rate_limit(endpoint),
            concurrency: endpoint.concurrency,
            enabled: endpoint.enabled(),
            disabled_since: disabled.map(|disabled| disabled.since.to_string()),
            disabled_because: disabled.map(|disabled| disabled.reason.as_str()),
            created_at: endpoint.created_at.to_string(),
            updated_at: endpoint.updated_at.to_string(),
            secret: None,
        }
    }

    pub fn with_secret(self, secret: &'a SigningSecret) -> Self {
        Self { secret: Some(secret.text().expose()), ..self }
    }
}

/// What a client would send to create the endpoint as it stands, secrets included and configurations as text: for
/// merging a patch into.
pub(super) fn in_full(endpoint: &Endpoint) -> Map<String, Value> {
    let subscription = &endpoint.subscription;
    let events: Vec<String> = subscription.events.iter().map(ToString::to_string).collect();
    let channels: Vec<&str> = subscription.channels.iter().map(|channel| channel.as_str()).collect();
    let transforms: Vec<Value> = endpoint.transforms.iter().map(link).collect();
    let whole = json!({
        "tenant": endpoint.tenant.as_str(),
        "name": endpoint.name,
        "description": endpoint.description,
        "url": endpoint.url.expose(),
        "events": events,
        "channels": channels,
        "transforms": transforms,
        "signature": signature(&endpoint.signature),
        "auth": endpoint.auth.as_ref().map(|auth| self::auth(auth, str::to_owned)),
        "headers": headers(endpoint, str::to_owned),
        "retry": retry(&endpoint.retry),
        "timeout": format_span(endpoint.timeout),
        "success": success(&endpoint.success),
        "rate_limit": rate_limit(endpoint),
        "concurrency": endpoint.concurrency,
        "enabled": endpoint.enabled(),
    });
    match whole {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        _ => Map::new(),
    }
}

/// Scheme, host and port. Path and query are often the credential.
pub(super) fn masked_url(url: &str) -> String {
    match Url::parse(url) {
        Ok(url) if &url[Position::BeforePath..] == "/" => url.to_string(),
        Ok(url) => format!("{}/{MASK}", &url[..Position::BeforePath]),
        Err(_) => MASK.to_owned(),
    }
}

/// What is told about an endpoint and no client sets.
pub(super) fn told(endpoint: &Endpoint) -> Value {
    let disabled = endpoint.hold.current.as_ref();
    json!({
        "id": endpoint.id.to_string(),
        "disabled_since": disabled.map(|disabled| disabled.since.to_string()),
        "disabled_because": disabled.map(|disabled| disabled.reason.as_str()),
        "created_at": endpoint.created_at.to_string(),
        "updated_at": endpoint.updated_at.to_string(),
    })
}

/// Names and shape stay, so that a person sees what is configured; every text is masked.
fn mask(value: Json) -> Json {
    match value {
        Json::Text(_) => Json::Text(MASK.to_owned()),
        Json::Array(items) => Json::Array(items.into_iter().map(mask).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, mask(value))).collect())
        }
        other => other,
    }
}

fn link(transform: &Transform) -> Value {
    json!({
        "plugin": transform.plugin,
        "config": transform.config.expose(),
        "on_failure": on_failure(transform),
    })
}

fn on_failure(transform: &Transform) -> &'static str {
    let known = ON_FAILURE.iter().find(|(_, value)| *value == transform.on_failure);
    known.map_or("retry", |(word, _)| *word)
}

fn signature(scheme: &SignatureScheme) -> Value {
    match scheme {
        SignatureScheme::Standard => json!({"scheme": "standard"}),
        SignatureScheme::HmacSha256 { header, prefix } => {
            json!({"scheme": "hmac-sha256", "header": header, "prefix": prefix})
        }
    }
}

fn auth(auth: &Auth, show: impl Fn(&str) -> String) -> Value {
    match auth {
        Auth::Bearer { token } => json!({"type": "bearer", "token": show(token.expose())}),
        Auth::Basic { username, password } => {
            json!({"type": "basic", "username": show(username.expose()), "password": show(password.expose())})
        }
    }
}

fn headers(endpoint: &Endpoint, show: impl Fn(&str) -> String) -> Map<String, Value> {
    endpoint.headers.iter().map(|(name, value)| (name.clone(), show(value.expose()).into())).collect()
}

fn retry(policy: &RetryPolicy) -> Value {
    match policy {
        RetryPolicy::Schedule(pauses) if pauses.is_empty() => json!({"attempts": 1}),
        RetryPolicy::Schedule(pauses) => {
            json!({"schedule": pauses.iter().copied().map(format_span).collect::<Vec<_>>()})
        }
        RetryPolicy::Every { every, lasting: None } => json!({"every": format_span(*every)}),
        RetryPolicy::Every { every, lasting: Some(lasting) } => {
            json!({"every": format_span(*every), "for": format_span(*lasting)})
        }
    }
}

fn success(success: &SuccessCodes) -> Value {
    match success {
        SuccessCodes::Any2xx => "2xx".into(),
        SuccessCodes::Only(codes) => codes.as_slice().into(),
    }
}

fn rate_limit(endpoint: &Endpoint) -> Option<Value> {
    let limit = endpoint.rate_limit?;
    Some(json!({"requests": limit.requests, "per": format_span(limit.per)}))
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

    #[test]
    fn configurations_keep_their_shape() {
        let config = r#"{"z":"secret","b":["secret",12500.00,true,null],"a":{"d":"secret"}}"#;
        let shown = r#"{"z":"***","b":["***",12500.00,true,null],"a":{"d":"***"}}"#;
        assert_eq!(mask(Json::parse(config).unwrap()).to_string(), shown);
    }
}
