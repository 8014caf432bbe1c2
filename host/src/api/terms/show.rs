//! Terms as they are shown, what is sealed at rest masked, and as a client would send them.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::ON_FAILURE;
use super::readable::readable;
use crate::api::exact::Json;
use crate::dispatch::chain::find;
use crate::endpoint::Endpoint;
use crate::plugin::{Plugin, Snapshot};
use crate::retry::RetryPolicy;
use crate::secret::{MASK, Secret};
use crate::signature::SignatureScheme;
use crate::terms::{Allowance, Auth, AutoDisable, BodyForm, InForce, SuccessCodes, Terms, Transform};
use crate::time::format_span;

/// `null` where nothing is said.
#[derive(Debug, Serialize)]
pub struct TermsView<'a> {
    transforms: Option<Vec<LinkView<'a>>>,
    body: Option<&'static str>,
    signature: Option<Value>,
    auth: Option<Value>,
    headers: Map<String, Value>,
    retry: Option<Value>,
    timeout: Option<String>,
    success: Option<Value>,
    auto_disable: Option<Value>,
}

/// A link of a chain.
#[derive(Debug, Serialize)]
pub struct LinkView<'a> {
    plugin: &'a str,
    config: Option<Json>,
    on_failure: &'static str,
    /// What was said of what one call may use.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<Value>,
}

impl<'a> LinkView<'a> {
    pub fn of(transform: &'a Transform) -> Self {
        Self {
            plugin: &transform.plugin,
            config: Json::parse(transform.config.expose()).ok().map(mask),
            on_failure: on_failure(transform),
            limits: limits(&transform.limits),
        }
    }

    /// With the texts that the plugin's schema lets be seen.
    fn readable(transform: &'a Transform, plugins: &Snapshot) -> Self {
        let masked = Self::of(transform);
        let plugin = find(plugins, &transform.plugin);
        let Some(schema) = plugin.as_ref().and_then(Plugin::config_schema) else { return masked };
        let config = Json::parse(transform.config.expose()).ok();
        Self { config: config.map(|config| readable(config, schema)), ..masked }
    }
}

impl<'a> TermsView<'a> {
    /// The texts of this chain's configurations are shown where their plugins' schemas let them be seen. For the eyes of
    /// those who may change the chain.
    pub fn with_readable(self, chain: &'a [Transform], plugins: &Snapshot) -> Self {
        let links = chain.iter().map(|transform| LinkView::readable(transform, plugins));
        Self { transforms: Some(links.collect()), ..self }
    }

    /// What somebody says.
    pub fn said(terms: &'a Terms) -> Self {
        Self {
            transforms: terms.transforms.as_deref().map(links),
            body: terms.body.map(BodyForm::word),
            signature: terms.signature.as_ref().map(signature),
            auth: terms.auth.as_ref().map(|said| auth(said.as_ref(), masked)),
            headers: headers(&terms.headers, masked),
            retry: terms.retry.as_ref().map(retry),
            timeout: terms.timeout.map(format_span),
            success: terms.success.as_ref().map(success),
            auto_disable: terms.auto_disable.as_ref().map(auto_disable),
        }
    }

    /// What holds.
    pub fn in_force(terms: &'a InForce) -> Self {
        Self {
            transforms: Some(links(&terms.transforms)),
            body: Some(terms.body.word()),
            signature: Some(signature(&terms.signature)),
            auth: terms.auth.as_ref().map(|used| auth(Some(used), masked)),
            headers: headers(&terms.headers, masked),
            retry: Some(retry(&terms.retry)),
            timeout: Some(format_span(terms.timeout)),
            success: Some(success(&terms.success)),
            auto_disable: Some(auto_disable(&terms.auto_disable)),
        }
    }
}

/// The members that an endpoint says nothing about, so that its tenant or the host does.
pub fn inherited(endpoint: &Endpoint) -> Vec<&'static str> {
    let own = &endpoint.own;
    let said = [
        ("transforms", own.transforms.is_some()),
        ("body", own.body.is_some()),
        ("signature", own.signature.is_some()),
        ("auth", own.auth.is_some()),
        ("retry", own.retry.is_some()),
        ("timeout", own.timeout.is_some()),
        ("success", own.success.is_some()),
        ("auto_disable", own.auto_disable.is_some()),
    ];
    said.into_iter().filter(|(_, said)| !said).map(|(name, _)| name).collect()
}

/// What a client would send to say the same, secrets included and configurations as text: for merging a patch into.
pub fn in_full(terms: &Terms) -> Map<String, Value> {
    let links = |links: &Vec<Transform>| Value::Array(links.iter().map(link).collect());
    let members = [
        ("transforms", terms.transforms.as_ref().map(links)),
        ("body", terms.body.map(|form| form.word().into())),
        ("signature", terms.signature.as_ref().map(signature)),
        ("auth", terms.auth.as_ref().map(|said| auth(said.as_ref(), str::to_owned))),
        ("headers", Some(headers(&terms.headers, str::to_owned).into())),
        ("retry", terms.retry.as_ref().map(retry)),
        ("timeout", terms.timeout.map(|timeout| format_span(timeout).into())),
        ("success", terms.success.as_ref().map(success)),
        ("auto_disable", terms.auto_disable.as_ref().map(auto_disable)),
    ];
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    said.collect()
}

fn links(transforms: &[Transform]) -> Vec<LinkView<'_>> {
    transforms.iter().map(LinkView::of).collect()
}

fn masked(_: &str) -> String {
    MASK.to_owned()
}

/// Names and shape stay, so that a person sees what is configured; every text is masked.
pub(super) fn mask(value: Json) -> Json {
    match value {
        Json::Text(_) => Json::Text(MASK.to_owned()),
        Json::Array(items) => Json::Array(items.into_iter().map(mask).collect()),
        Json::Object(members) => {
            Json::Object(members.into_iter().map(|(name, value)| (name, mask(value))).collect())
        }
        other => other,
    }
}

/// A link as a client would send it, its configuration as text.
pub fn link(transform: &Transform) -> Value {
    let mut link = json!({
        "plugin": transform.plugin,
        "config": transform.config.expose(),
        "on_failure": on_failure(transform),
    });
    if let Some(limits) = limits(&transform.limits) {
        link["limits"] = limits;
    }
    link
}

fn limits(allowance: &Allowance) -> Option<Value> {
    let Allowance { time, memory, output, log_lines } = *allowance;
    let members = [
        ("time", time.map(|time| format_span(time).into())),
        ("memory", memory.map(Value::from)),
        ("output", output.map(Value::from)),
        ("log_lines", log_lines.map(Value::from)),
    ];
    let said = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Some(said.collect::<Map<_, _>>()).filter(|said| !said.is_empty()).map(Value::Object)
}

fn on_failure(transform: &Transform) -> &'static str {
    let known = ON_FAILURE.iter().find(|(_, value)| *value == transform.on_failure);
    known.map_or("retry", |(word, _)| *word)
}

fn signature(scheme: &SignatureScheme) -> Value {
    match scheme {
        SignatureScheme::Standard => json!({"scheme": "standard"}),
        SignatureScheme::StandardAsymmetric => json!({"scheme": "standard-asymmetric"}),
        SignatureScheme::HmacSha256 { header, prefix } => {
            json!({"scheme": "hmac-sha256", "header": header, "prefix": prefix})
        }
    }
}

fn auth(auth: Option<&Auth>, show: impl Fn(&str) -> String) -> Value {
    match auth {
        None => json!({"type": "none"}),
        Some(Auth::Bearer { token }) => json!({"type": "bearer", "token": show(token.expose())}),
        Some(Auth::Basic { username, password }) => {
            json!({"type": "basic", "username": show(username.expose()), "password": show(password.expose())})
        }
    }
}

fn headers(headers: &[(String, Secret)], show: impl Fn(&str) -> String) -> Map<String, Value> {
    headers.iter().map(|(name, value)| (name.clone(), show(value.expose()).into())).collect()
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

fn auto_disable(policy: &AutoDisable) -> Value {
    match (policy.after_failures, policy.after.map(format_span)) {
        (None, None) => "off".into(),
        (Some(failures), None) => json!({"failures": failures}),
        (None, Some(after)) => json!({"after": after}),
        (Some(failures), Some(after)) => json!({"failures": failures, "after": after}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configurations_keep_their_shape() {
        let config = r#"{"z":"secret","b":["secret",12500.00,true,null],"a":{"d":"secret"}}"#;
        let shown = r#"{"z":"***","b":["***",12500.00,true,null],"a":{"d":"***"}}"#;
        assert_eq!(mask(Json::parse(config).unwrap()).to_string(), shown);
    }
}
