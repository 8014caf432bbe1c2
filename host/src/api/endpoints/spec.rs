//! What a client says about an endpoint, checked for everything that a delivery would need.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use crate::api::Api;
use crate::api::exact::Json;
use crate::api::fields::{Fields, escape};
use crate::api::problem::Problem;
use crate::config::Config;
use crate::endpoint::{Auth, Endpoint, OnFailure, RateLimit, SuccessCodes, Transform};
use crate::event::{Channel, Tenant};
use crate::message::belongs_to_host;
use crate::retry::{MAX_PAUSE, MAX_RETRIES, MIN_PAUSE, RetryPolicy};
use crate::secret::{MASK, Secret, SigningSecret};
use crate::send::check_url;
use crate::send::ssrf::Rule;
use crate::signature::SignatureScheme;
use crate::subscription::{Pattern, Subscription};
use crate::time::{format_span, parse_span};

const MAX_NAME: usize = 200;
const MAX_DESCRIPTION: usize = 2_000;
const MAX_PLUGIN_NAME: usize = 200;
const MAX_CREDENTIAL: usize = 8 << 10;
const MAX_PREFIX: usize = 64;
const MIN_TIMEOUT: Duration = Duration::from_millis(100);
const MAX_REQUESTS: u32 = 1_000_000;
const MIN_PER: Duration = Duration::from_millis(1);
const MAX_PER: Duration = Duration::from_secs(86_400);
const MAX_SUCCESS_CODES: usize = 100;

/// Headers that other fields of an endpoint, or its transforms, decide.
const DECIDED_ELSEWHERE: [(&str, &str); 2] = [
    ("authorization", "say it in `auth`"),
    ("content-type", "it is `application/json`, or what the transforms make of it"),
];

/// The words for what follows a plugin's failure.
pub(super) const ON_FAILURE: [(&str, OnFailure); 3] =
    [("retry", OnFailure::Retry), ("fail", OnFailure::Fail), ("pass", OnFailure::Pass)];

#[derive(Debug)]
pub(super) struct Spec {
    pub name: String,
    pub description: String,
    pub url: Secret,
    pub tenant: Tenant,
    pub subscription: Subscription,
    pub transforms: Vec<Transform>,
    pub signature: SignatureScheme,
    /// Brought along by whoever creates the endpoint.
    pub secret: Option<SigningSecret>,
    pub auth: Option<Auth>,
    pub headers: Vec<(String, Secret)>,
    pub retry: RetryPolicy,
    pub timeout: Duration,
    pub success: SuccessCodes,
    pub rate_limit: Option<RateLimit>,
    pub concurrency: u32,
    pub enabled: bool,
}

impl Spec {
    /// # Errors
    ///
    /// Everything that is wrong, but for what only plugins know.
    pub fn read(api: &Api, map: Map<String, Value>) -> Result<Self, Problem> {
        read(&api.config, &api.targets, None, map)
    }

    /// As [`Spec::read`], but members that are not there stay as they are stored, and are not judged again: settings
    /// may have become narrower since.
    pub fn read_over(api: &Api, stored: &Endpoint, changed: Map<String, Value>) -> Result<Self, Problem> {
        read(&api.config, &api.targets, Some(stored), changed)
    }
}

/// Where the members of an endpoint come from.
struct Source<'s, 'e> {
    fields: Fields<'e>,
    stored: Option<&'s Endpoint>,
}

impl<'s, 'e> Source<'s, 'e> {
    fn member<T>(
        &mut self,
        name: &str,
        stored: impl FnOnce(&'s Endpoint) -> T,
        read: impl FnOnce(&mut Fields<'e>) -> T,
    ) -> T {
        match self.stored {
            Some(endpoint) if !self.fields.has(name) => stored(endpoint),
            _ => read(&mut self.fields),
        }
    }
}

fn read(
    config: &Config,
    targets: &Rule,
    stored: Option<&Endpoint>,
    map: Map<String, Value>,
) -> Result<Spec, Problem> {
    let mut errors = Vec::new();
    let fields = Fields::new(map, "", &mut errors);
    let spec = read_fields(config, targets, Source { fields, stored });
    match spec {
        Some(spec) if errors.is_empty() => Ok(spec),
        _ => Err(Problem::invalid(errors)),
    }
}

fn read_fields(config: &Config, targets: &Rule, mut from: Source<'_, '_>) -> Option<Spec> {
    let (limits, delivery) = (&config.endpoint, &config.delivery);
    let name = from.member("name", |stored| Some(stored.name.clone()), name);
    let description = from.member("description", |stored| stored.description.clone(), description);
    let url = from.member("url", |stored| Some(stored.url.clone()), |fields| url(fields, targets));
    let tenant = from.member(
        "tenant",
        |stored| stored.tenant.clone(),
        |fields| fields.parsed("tenant", Tenant::parse).unwrap_or_default(),
    );
    let events = from.member(
        "events",
        |stored| stored.subscription.events.clone(),
        |fields| events(fields, limits.max_events),
    );
    let channels = from.member(
        "channels",
        |stored| stored.subscription.channels.clone(),
        |fields| fields.list_of("channels", limits.max_channels, Channel::parse).unwrap_or_default(),
    );
    let transforms = from.member(
        "transforms",
        |stored| stored.transforms.clone(),
        |fields| transforms(fields, limits.max_transforms, limits.max_config.0),
    );
    let signature = from.member("signature", |stored| Some(stored.signature.clone()), signature);
    let secret = from.fields.parsed("secret", SigningSecret::parse);
    let auth = from.member("auth", |stored| stored.auth.clone(), auth);
    let headers = from.member(
        "headers",
        |stored| stored.headers.clone(),
        |fields| headers(fields, limits.max_headers, limits.max_header_value.0),
    );
    let retry = from.member("retry", |stored| stored.retry.clone(), retry);
    let timeout = from.member(
        "timeout",
        |stored| Some(stored.timeout),
        |fields| span(fields, "timeout", MIN_TIMEOUT, delivery.max_timeout),
    );
    let success = from.member("success", |stored| stored.success.clone(), success);
    let rate_limit = from.member("rate_limit", |stored| stored.rate_limit, rate_limit);
    let concurrency = from.member(
        "concurrency",
        |stored| Some(stored.concurrency),
        |fields| fields.number("concurrency", 1, limits.max_concurrency),
    );
    let enabled =
        from.member("enabled", Endpoint::enabled, |fields| fields.boolean("enabled").unwrap_or(true));
    let mut fields = from.fields;
    check_signature_header(&mut fields, signature.as_ref(), &headers);
    fields.finish(&[
        "name",
        "description",
        "url",
        "tenant",
        "events",
        "channels",
        "transforms",
        "signature",
        "secret",
        "auth",
        "headers",
        "retry",
        "timeout",
        "success",
        "rate_limit",
        "concurrency",
        "enabled",
    ]);
    Some(Spec {
        name: name?,
        description,
        url: url?,
        tenant,
        subscription: Subscription { events, channels },
        transforms,
        signature: signature?,
        secret,
        auth,
        headers,
        retry,
        timeout: timeout.unwrap_or(delivery.timeout),
        success,
        rate_limit,
        concurrency: concurrency.unwrap_or(delivery.concurrency),
        enabled,
    })
}

fn name(fields: &mut Fields<'_>) -> Option<String> {
    let name = fields.required("name")?;
    match name.trim().is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        true => {
            fields.wrong("name", format!("it must have 1 to {MAX_NAME} characters, none a control character"))
        }
        false => Some(name),
    }
}

fn description(fields: &mut Fields<'_>) -> String {
    let text = fields.text("description").unwrap_or_default();
    if text.chars().count() > MAX_DESCRIPTION {
        fields.wrong::<()>("description", format!("it is longer than {MAX_DESCRIPTION} characters"));
    }
    text
}

fn url(fields: &mut Fields<'_>, targets: &Rule) -> Option<Secret> {
    let text = fields.required("url")?;
    if text.contains(MASK) {
        return fields.wrong("url", "it is masked; give the whole URL");
    }
    match check_url(&text, targets) {
        Ok(url) => Some(Secret::new(String::from(url))),
        Err(error) => fields.wrong("url", error),
    }
}

fn events(fields: &mut Fields<'_>, most: usize) -> Vec<Pattern> {
    let before = fields.error_count();
    let events = fields.list_of("events", most, Pattern::parse).unwrap_or_default();
    if events.is_empty() && fields.error_count() == before {
        fields.wrong::<()>("events", "it must name at least one event type or pattern, such as `*`");
    }
    events
}

fn transforms(fields: &mut Fields<'_>, most: usize, config_limit: usize) -> Vec<Transform> {
    let items = fields.list("transforms", most).unwrap_or_default();
    let mut transforms = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("transforms/{index}");
        match item {
            Value::Object(map) => transforms.extend(transform(fields.below(&at, map), config_limit)),
            _ => {
                fields.wrong::<()>(&at, "it must be an object such as `{\"plugin\":\"flatten\"}`");
            }
        }
    }
    transforms
}

fn transform(mut fields: Fields<'_>, config_limit: usize) -> Option<Transform> {
    let plugin = fields.required("plugin");
    let config = fields.text("config").unwrap_or_else(|| "{}".to_owned());
    let on_failure = fields.parsed("on_failure", |word| {
        let known = ON_FAILURE.iter().find(|(name, _)| *name == word);
        known.map(|(_, value)| *value).ok_or("it must be `retry`, `fail` or `pass`")
    });
    check_config(&mut fields, &config, config_limit);
    if plugin.as_ref().is_some_and(|name| name.len() > MAX_PLUGIN_NAME) {
        fields.wrong::<()>("plugin", format!("it is longer than {MAX_PLUGIN_NAME} bytes"));
    }
    fields.finish(&["plugin", "config", "on_failure"]);
    Some(Transform {
        plugin: plugin?,
        config: Secret::new(config),
        on_failure: on_failure.unwrap_or_default(),
    })
}

fn check_config(fields: &mut Fields<'_>, text: &str, limit: usize) {
    if text.len() > limit {
        fields.wrong::<()>("config", format!("it is larger than {limit} bytes"));
        return;
    }
    match Json::parse(text).map(|config| masked(&config)) {
        Ok(None) => {}
        Ok(Some(place)) => {
            let message =
                "it is masked, and which stored value it stands for is unknown; give the value itself";
            fields.wrong::<()>(&format!("config{place}"), message);
        }
        Err(message) => {
            fields.wrong::<()>("config", message);
        }
    }
}

/// Where a masked text stands in a configuration.
fn masked(value: &Json) -> Option<String> {
    match value {
        Json::Text(text) => (text == MASK).then(String::new),
        Json::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| masked(item).map(|rest| format!("/{index}{rest}"))),
        Json::Object(members) => members
            .iter()
            .find_map(|(name, item)| masked(item).map(|rest| format!("/{}{rest}", escape(name)))),
        Json::Other(_) => None,
    }
}

fn signature(fields: &mut Fields<'_>) -> Option<SignatureScheme> {
    let before = fields.error_count();
    let Some(map) = fields.object("signature") else {
        return (fields.error_count() == before).then_some(SignatureScheme::Standard);
    };
    let mut fields = fields.below("signature", map);
    match fields.required("scheme")?.as_str() {
        "standard" => {
            fields.finish(&["scheme"]);
            Some(SignatureScheme::Standard)
        }
        "hmac-sha256" => plain_signature(fields),
        _ => fields.wrong("scheme", "it must be `standard` or `hmac-sha256`"),
    }
}

fn plain_signature(mut fields: Fields<'_>) -> Option<SignatureScheme> {
    let header = fields.required("header");
    let header = header.and_then(|name| match header_name(&name) {
        Ok(_) => Some(name),
        Err(message) => fields.wrong("header", message),
    });
    let prefix = fields.text("prefix").unwrap_or_default();
    if prefix.len() > MAX_PREFIX || !prefix.bytes().all(|byte| byte.is_ascii_graphic()) {
        fields.wrong::<()>("prefix", format!("it must have up to {MAX_PREFIX} visible ASCII characters"));
    }
    fields.finish(&["scheme", "header", "prefix"]);
    Some(SignatureScheme::HmacSha256 { header: header?, prefix })
}

fn auth(fields: &mut Fields<'_>) -> Option<Auth> {
    let map = fields.object("auth")?;
    let mut fields = fields.below("auth", map);
    match fields.required("type")?.as_str() {
        "bearer" => {
            let token = credential(&mut fields, "token", 1, |byte| byte.is_ascii_graphic());
            fields.finish(&["type", "token"]);
            Some(Auth::Bearer { token: Secret::new(token?) })
        }
        "basic" => {
            let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            let username = credential(&mut fields, "username", 1, |byte| visible(byte) && byte != b':');
            // Some receivers take a key as the user name, with nothing behind it.
            let password = credential(&mut fields, "password", 0, visible);
            fields.finish(&["type", "username", "password"]);
            Some(Auth::Basic { username: Secret::new(username?), password: Secret::new(password?) })
        }
        _ => fields.wrong("type", "it must be `bearer` or `basic`"),
    }
}

fn credential(
    fields: &mut Fields<'_>,
    name: &str,
    least: usize,
    fits: impl Fn(u8) -> bool,
) -> Option<String> {
    let text = fields.required(name)?;
    if text == MASK {
        return fields.wrong(name, "it is masked; give the value itself");
    }
    match !(least..=MAX_CREDENTIAL).contains(&text.len()) || !text.bytes().all(fits) {
        true => fields.wrong(
            name,
            format!(
                "it must have {least} to {MAX_CREDENTIAL} ASCII characters that can stand in this place of a header"
            ),
        ),
        false => Some(text),
    }
}

fn headers(fields: &mut Fields<'_>, most: usize, value_limit: usize) -> Vec<(String, Secret)> {
    let Some(map) = fields.object("headers") else { return Vec::new() };
    if map.len() > most {
        fields.wrong::<()>("headers", format!("it has {} entries; {most} are allowed", map.len()));
        return Vec::new();
    }
    let mut headers: Vec<(String, Secret)> = Vec::with_capacity(map.len());
    for (name, value) in map {
        let taken = headers.iter().any(|(other, _)| other.eq_ignore_ascii_case(&name));
        let read = match taken {
            true => Err("the header stands there twice, in different case".to_owned()),
            false => header(&name, &value, value_limit),
        };
        match read {
            Ok(value) => headers.push((name, value)),
            Err(message) => {
                fields.wrong::<()>(&format!("headers/{}", escape(&name)), message);
            }
        }
    }
    headers
}

fn check_signature_header(
    fields: &mut Fields<'_>,
    signature: Option<&SignatureScheme>,
    headers: &[(String, Secret)],
) {
    let Some(SignatureScheme::HmacSha256 { header, .. }) = signature else { return };
    if let Some((name, _)) = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(header)) {
        fields.wrong::<()>(&format!("headers/{}", escape(name)), "the signature goes into this header");
    }
}

fn header(name: &str, value: &Value, limit: usize) -> Result<Secret, String> {
    header_name(name)?;
    let Value::String(text) = value else { return Err("it must be a string".to_owned()) };
    if text == MASK {
        return Err("it is masked; give the value itself".to_owned());
    }
    if text.len() > limit {
        return Err(format!("it is longer than {limit} bytes"));
    }
    match HeaderValue::from_str(text).is_ok_and(|value| value.to_str().is_ok()) {
        true => Ok(Secret::new(text.as_str())),
        false => Err("it must be visible ASCII characters and spaces".to_owned()),
    }
}

fn header_name(name: &str) -> Result<(), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "it is no header name".to_owned())?;
    match DECIDED_ELSEWHERE.iter().find(|(other, _)| *other == parsed.as_str()) {
        Some((_, advice)) => Err(format!("this header is not set here: {advice}")),
        None if belongs_to_host(parsed.as_str()) => Err("this header is the host's own".to_owned()),
        None => Ok(()),
    }
}

fn retry(fields: &mut Fields<'_>) -> RetryPolicy {
    let Some(map) = fields.object("retry") else { return RetryPolicy::default() };
    let forms = ["schedule", "every", "attempts"];
    let given: Vec<&str> = forms.into_iter().filter(|form| map.contains_key(*form)).collect();
    let mut fields = fields.below("retry", map);
    let policy = match given.as_slice() {
        ["schedule"] => schedule(&mut fields),
        ["every"] => every(&mut fields),
        ["attempts"] => attempts(&mut fields),
        _ => fields.wrong("", "it takes one of `schedule`, `every` (with or without `for`) and `attempts`"),
    };
    if policy.is_some() {
        fields.finish(&["schedule", "every", "for", "attempts"]);
    }
    policy.unwrap_or_default()
}

fn schedule(fields: &mut Fields<'_>) -> Option<RetryPolicy> {
    let pauses = fields.list_of("schedule", MAX_RETRIES, |text| within(text, MIN_PAUSE, MAX_PAUSE))?;
    Some(RetryPolicy::Schedule(pauses))
}

fn every(fields: &mut Fields<'_>) -> Option<RetryPolicy> {
    let every = span(fields, "every", MIN_PAUSE, MAX_PAUSE)?;
    let lasting = fields.parsed("for", |text| within(text, MIN_PAUSE, Duration::MAX));
    Some(RetryPolicy::Every { every, lasting })
}

/// So many attempts in all, along the default schedule.
fn attempts(fields: &mut Fields<'_>) -> Option<RetryPolicy> {
    let RetryPolicy::Schedule(mut pauses) = RetryPolicy::default() else { return None };
    let most = u32::try_from(pauses.len() + 1).unwrap_or(u32::MAX);
    let attempts = fields.number("attempts", 1, most)?;
    pauses.truncate(attempts as usize - 1);
    Some(RetryPolicy::Schedule(pauses))
}

fn success(fields: &mut Fields<'_>) -> SuccessCodes {
    let message = "it must be \"2xx\" or a list of statuses from 200 to 599";
    match fields.take("success") {
        None => SuccessCodes::Any2xx,
        Some(Value::String(text)) if text == "2xx" => SuccessCodes::Any2xx,
        Some(Value::Array(items)) if (1..=MAX_SUCCESS_CODES).contains(&items.len()) => {
            let codes: Option<Vec<u16>> = items.iter().map(status).collect();
            let codes = codes.or_else(|| fields.wrong("success", message));
            codes.map_or(SuccessCodes::Any2xx, SuccessCodes::Only)
        }
        Some(_) => {
            fields.wrong::<()>("success", message);
            SuccessCodes::Any2xx
        }
    }
}

fn status(value: &Value) -> Option<u16> {
    let status = u16::try_from(value.as_u64()?).ok()?;
    (200..600).contains(&status).then_some(status)
}

fn rate_limit(fields: &mut Fields<'_>) -> Option<RateLimit> {
    let map = fields.object("rate_limit")?;
    let mut fields = fields.below("rate_limit", map);
    let before = fields.error_count();
    let requests = fields.number("requests", 1, MAX_REQUESTS);
    let per = span(&mut fields, "per", MIN_PER, MAX_PER);
    if (requests.is_none() || per.is_none()) && fields.error_count() == before {
        fields.wrong::<()>("", "it needs both `requests` and `per`, such as 10 and \"1s\"");
    }
    fields.finish(&["requests", "per"]);
    Some(RateLimit { requests: requests?, per: per? })
}

fn span(fields: &mut Fields<'_>, name: &str, least: Duration, most: Duration) -> Option<Duration> {
    fields.parsed(name, |text| within(text, least, most))
}

fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    match (least..=most).contains(&span) {
        true => Ok(span),
        false if most == Duration::MAX => Err(format!("it must be at least {}", format_span(least))),
        false => Err(format!("it must be from {} to {}", format_span(least), format_span(most))),
    }
}

/// For tests of this module's neighbours.
#[cfg(test)]
pub(super) fn read_for_test(value: Value) -> Result<Spec, Vec<crate::api::problem::FieldError>> {
    let map = super::document::parse(value.to_string().as_bytes()).map_err(|problem| problem.errors)?;
    read(&Config::default(), &Rule::default(), None, map).map_err(|problem| problem.errors)
}

#[cfg(test)]
pub(super) fn read_over_for_test(
    config: &Config,
    stored: &Endpoint,
    changed: Map<String, Value>,
) -> Result<Spec, Vec<crate::api::problem::FieldError>> {
    read(config, &Rule::default(), Some(stored), changed).map_err(|problem| problem.errors)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base() -> Value {
        json!({"name": "CRM", "url": "https://hooks.example.com/x?y=1", "events": ["invoice.*"]})
    }

    fn with(name: &str, value: Value) -> Value {
        let mut spec = base();
        spec[name] = value;
        spec
    }

    #[test]
    fn the_least_gets_the_defaults() {
        let spec = read_for_test(base()).unwrap();
        assert_eq!(spec.retry, RetryPolicy::default());
        assert_eq!(spec.signature, SignatureScheme::Standard);
        assert_eq!(spec.timeout, Duration::from_secs(15));
        assert_eq!(spec.concurrency, 16);
        assert!(spec.enabled);
        assert_eq!(spec.url.expose(), "https://hooks.example.com/x?y=1");
    }

    #[test]
    fn a_key_as_user_name_needs_no_password() {
        let auth = json!({"type": "basic", "username": "key", "password": ""});
        let spec = read_for_test(with("auth", auth)).unwrap();
        let expected = Auth::Basic { username: Secret::new("key"), password: Secret::new("") };
        assert_eq!(spec.auth, Some(expected));
    }

    #[test]
    fn retry_forms() {
        let secs = |seconds: &[u64]| seconds.iter().copied().map(Duration::from_secs).collect();
        let table = [
            (json!({"schedule": ["1m", "5m"]}), RetryPolicy::Schedule(secs(&[60, 300]))),
            (json!({"schedule": []}), RetryPolicy::Schedule(vec![])),
            (json!({"attempts": 1}), RetryPolicy::Schedule(vec![])),
            (json!({"attempts": 3}), RetryPolicy::Schedule(secs(&[5, 60]))),
            (json!({"every": "10s"}), RetryPolicy::Every { every: Duration::from_secs(10), lasting: None }),
            (
                json!({"every": "10s", "for": "72h"}),
                RetryPolicy::Every {
                    every: Duration::from_secs(10),
                    lasting: Some(Duration::from_secs(72 * 3_600)),
                },
            ),
        ];
        for (value, expected) in table {
            assert_eq!(read_for_test(with("retry", value.clone())).unwrap().retry, expected, "{value}");
        }
    }

    #[test]
    fn each_error_names_its_place() {
        let table = [
            ("name", json!(""), "/name"),
            ("name", json!(null), "/name"),
            ("url", json!("http://localhost:3000"), "/url"),
            ("url", json!("https://2130706433/"), "/url"),
            ("url", json!("https://example.com/***"), "/url"),
            ("events", json!([]), "/events"),
            ("events", json!(["a", "*.b"]), "/events/1"),
            ("channels", json!(["a b"]), "/channels/0"),
            ("tenant", json!(""), "/tenant"),
            ("transforms", json!([{"config": {}}]), "/transforms/0/plugin"),
            ("transforms", json!([{"plugin": "a"}, 1]), "/transforms/1"),
            ("transforms", json!([{"plugin": "a", "on_failure": "shrug"}]), "/transforms/0/on_failure"),
            ("transforms", json!([{"plugin": "a", "config": {"x": ["***"]}}]), "/transforms/0/config/x/0"),
            ("transforms", json!([{"plugin": "a", "extra": 1}]), "/transforms/0/extra"),
            ("signature", json!({"scheme": "rot13"}), "/signature/scheme"),
            ("signature", json!({"scheme": "hmac-sha256"}), "/signature/header"),
            ("signature", json!({"scheme": "hmac-sha256", "header": "Host"}), "/signature/header"),
            ("signature", json!({"scheme": "hmac-sha256", "header": "webhook-id"}), "/signature/header"),
            ("signature", json!("standard"), "/signature"),
            ("secret", json!("whsec_AAAA"), "/secret"),
            ("auth", json!({"type": "bearer"}), "/auth/token"),
            ("auth", json!({"type": "bearer", "token": "***"}), "/auth/token"),
            ("auth", json!({"type": "bearer", "token": "a\r\nb"}), "/auth/token"),
            ("auth", json!({"type": "basic", "username": "a:b", "password": "c"}), "/auth/username"),
            ("auth", json!({"type": "basic", "username": "***", "password": "c"}), "/auth/username"),
            ("auth", json!({"type": "basic", "username": "a"}), "/auth/password"),
            ("headers", json!({"Content-Length": "1"}), "/headers/Content-Length"),
            ("headers", json!({"Authorization": "x"}), "/headers/Authorization"),
            ("headers", json!({"a/b": "x"}), "/headers/a~1b"),
            ("headers", json!({"X-A": "x\ny"}), "/headers/X-A"),
            ("headers", json!({"X-A": "1", "x-a": "2"}), "/headers/x-a"),
            ("retry", json!({}), "/retry"),
            ("retry", json!({"every": "10s", "attempts": 1}), "/retry"),
            ("retry", json!({"attempts": 0}), "/retry/attempts"),
            ("retry", json!({"schedule": ["1m", "soon"]}), "/retry/schedule/1"),
            ("retry", json!({"schedule": ["1ms"]}), "/retry/schedule/0"),
            ("retry", json!({"schedule": ["1m"], "for": "1h"}), "/retry/for"),
            ("timeout", json!("61s"), "/timeout"),
            ("timeout", json!(10), "/timeout"),
            ("success", json!("3xx"), "/success"),
            ("success", json!([200, 99]), "/success"),
            ("success", json!([]), "/success"),
            ("rate_limit", json!({"requests": 0, "per": "1s"}), "/rate_limit/requests"),
            ("rate_limit", json!({"requests": 1}), "/rate_limit"),
            ("concurrency", json!(0), "/concurrency"),
            ("enabled", json!("yes"), "/enabled"),
            ("colour", json!("red"), "/colour"),
        ];
        for (field, value, pointer) in table {
            let errors = read_for_test(with(field, value.clone())).map(|spec| spec.name).unwrap_err();
            assert_eq!(errors.len(), 1, "{field}={value}: {errors:?}");
            assert_eq!(errors[0].pointer, pointer, "{field}={value}: {errors:?}");
        }
    }

    #[test]
    fn a_refused_address_says_what_opens_it() {
        let errors = read_for_test(with("url", json!("http://localhost:3000"))).map(|_| ()).unwrap_err();
        assert!(errors[0].message.contains("--allow-target"), "{errors:?}");
    }
}
