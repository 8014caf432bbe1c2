//! Reading terms: what a client says about how deliveries are made, of an endpoint, a tenant or the host.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use serde_json::Value;

use crate::api::exact::Json;
use crate::api::fields::{Fields, escape, whole};
use crate::config::{Config, MIN_PLUGIN_MEMORY, MIN_PLUGIN_OUTPUT, MIN_PLUGIN_TIME, PluginSettings};
use crate::message::belongs_to_host;
use crate::retry::{MAX_PAUSE, MAX_RETRIES, MIN_PAUSE, RetryPolicy};
use crate::secret::{MASK, Secret};
use crate::signature::SignatureScheme;
use crate::terms::{Allowance, Auth, AutoDisable, BodyForm, OnFailure, SuccessCodes, Terms, Transform};
use crate::time::{format_span, parse_span};

const MAX_PLUGIN_NAME: usize = 200;
const MAX_CREDENTIAL: usize = 8 << 10;
const MAX_PREFIX: usize = 64;
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
pub const MAX_SUCCESS_CODES: usize = 100;
pub const MAX_FAILURES: u32 = 1_000_000;
pub const MIN_PATIENCE: Duration = Duration::from_secs(1);
pub const MAX_PATIENCE: Duration = Duration::from_secs(365 * 86_400);

/// Headers that other fields of an endpoint, or its transforms, decide.
const DECIDED_ELSEWHERE: [(&str, &str); 2] = [
    ("authorization", "say it in `auth`"),
    ("content-type", "it is `application/json`, or what the transforms make of it"),
];

/// The members of a link of a chain.
const LINK_MEMBERS: [&str; 4] = ["plugin", "config", "on_failure", "limits"];

/// The words for what follows a plugin's failure.
pub const ON_FAILURE: [(&str, OnFailure); 3] =
    [("retry", OnFailure::Retry), ("fail", OnFailure::Fail), ("pass", OnFailure::Pass)];

/// Takes the members that are terms. Those that are not there stay as they are `stored`, and are not judged again:
/// settings may have become narrower since. One that is null says nothing.
pub fn read(fields: &mut Fields<'_>, config: &Config, stored: Option<&Terms>) -> Terms {
    let (limits, delivery) = (&config.endpoint, &config.delivery);
    let mut from = Source { fields, stored };
    let terms = Terms {
        transforms: from.member(
            "transforms",
            |stored| stored.transforms.clone(),
            |fields| transforms(fields, config),
        ),
        body: from.member("body", |stored| stored.body, |fields| fields.parsed("body", BodyForm::parse)),
        signature: from.member("signature", |stored| stored.signature.clone(), signature),
        auth: from.member("auth", |stored| stored.auth.clone(), auth),
        headers: from.member(
            "headers",
            |stored| stored.headers.clone(),
            |fields| headers(fields, limits.max_headers, limits.max_header_value.0),
        ),
        retry: from.member("retry", |stored| stored.retry.clone(), retry),
        timeout: from.member(
            "timeout",
            |stored| stored.timeout,
            |fields| span(fields, "timeout", MIN_TIMEOUT, delivery.max_timeout),
        ),
        success: from.member("success", |stored| stored.success.clone(), success),
        auto_disable: from.member("auto_disable", |stored| stored.auto_disable, auto_disable),
    };
    check_signature_header(from.fields, terms.signature.as_ref(), &terms.headers);
    terms
}

/// Where the members come from.
struct Source<'s, 'f, 'e> {
    fields: &'f mut Fields<'e>,
    stored: Option<&'s Terms>,
}

impl<'s, 'e> Source<'s, '_, 'e> {
    fn member<T>(
        &mut self,
        name: &str,
        stored: impl FnOnce(&'s Terms) -> T,
        read: impl FnOnce(&mut Fields<'e>) -> T,
    ) -> T {
        match self.stored {
            Some(terms) if !self.fields.has(name) => stored(terms),
            _ => read(self.fields),
        }
    }
}

/// A chain. What only the plugins know is not asked.
pub fn transforms(fields: &mut Fields<'_>, config: &Config) -> Option<Vec<Transform>> {
    let items = fields.list("transforms", config.endpoint.max_transforms)?;
    let mut transforms = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let at = format!("transforms/{index}");
        match item {
            Value::Object(map) => transforms.extend(transform(fields.below(&at, map), config)),
            _ => {
                fields.wrong::<()>(&at, "it must be an object such as `{\"plugin\":\"flatten\"}`");
            }
        }
    }
    Some(transforms)
}

/// One link; what it has beside [`LINK_MEMBERS`] was taken before.
pub fn transform(mut fields: Fields<'_>, settings: &Config) -> Option<Transform> {
    let plugin = fields.required("plugin");
    let config = fields.text("config").unwrap_or_else(|| "{}".to_owned());
    let on_failure = fields.parsed("on_failure", |word| {
        let known = ON_FAILURE.iter().find(|(name, _)| *name == word);
        known.map(|(_, value)| *value).ok_or("it must be `retry`, `fail` or `pass`")
    });
    let limits = allowance(&mut fields, &settings.plugin);
    check_config(&mut fields, &config, settings.endpoint.max_config.0);
    if plugin.as_ref().is_some_and(|name| name.len() > MAX_PLUGIN_NAME) {
        fields.wrong::<()>("plugin", format!("it is longer than {MAX_PLUGIN_NAME} bytes"));
    }
    fields.finish(&LINK_MEMBERS);
    Some(Transform {
        plugin: plugin?,
        config: Secret::new(config),
        on_failure: on_failure.unwrap_or_default(),
        limits,
    })
}

/// What one call may use: no more than the operator's ceilings.
fn allowance(fields: &mut Fields<'_>, settings: &PluginSettings) -> Allowance {
    let Some(map) = fields.object("limits") else { return Allowance::default() };
    let most = |setting: usize| u32::try_from(setting).unwrap_or(u32::MAX);
    let mut fields = fields.below("limits", map);
    let time = span(&mut fields, "time", MIN_PLUGIN_TIME, settings.max_time);
    let mut number = |name, least: usize, ceiling| {
        fields.number(name, most(least), most(ceiling)).map(|number| number as usize)
    };
    let memory = number("memory", MIN_PLUGIN_MEMORY, settings.max_memory.0);
    let output = number("output", MIN_PLUGIN_OUTPUT, settings.max_output.0);
    let log_lines = number("log_lines", 0, settings.max_log_lines);
    fields.finish(&["time", "memory", "output", "log_lines"]);
    Allowance { time, memory, output, log_lines }
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
    let map = fields.object("signature")?;
    let mut fields = fields.below("signature", map);
    match fields.required("scheme")?.as_str() {
        "standard" => {
            fields.finish(&["scheme"]);
            Some(SignatureScheme::Standard)
        }
        "standard-asymmetric" => {
            fields.finish(&["scheme"]);
            Some(SignatureScheme::StandardAsymmetric)
        }
        "hmac-sha256" => plain_signature(fields),
        _ => fields.wrong("scheme", "it must be `standard`, `standard-asymmetric` or `hmac-sha256`"),
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

/// `Some(None)` where it says that there is none.
fn auth(fields: &mut Fields<'_>) -> Option<Option<Auth>> {
    let map = fields.object("auth")?;
    let mut fields = fields.below("auth", map);
    match fields.required("type")?.as_str() {
        "bearer" => {
            let token = credential(&mut fields, "token", 1, |byte| byte.is_ascii_graphic());
            fields.finish(&["type", "token"]);
            Some(Some(Auth::Bearer { token: Secret::new(token?) }))
        }
        "basic" => {
            let visible = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            let username = credential(&mut fields, "username", 1, |byte| visible(byte) && byte != b':');
            // Some receivers take a key as the user name, with nothing behind it.
            let password = credential(&mut fields, "password", 0, visible);
            fields.finish(&["type", "username", "password"]);
            let (username, password) = (Secret::new(username?), Secret::new(password?));
            Some(Some(Auth::Basic { username, password }))
        }
        "none" => {
            fields.finish(&["type"]);
            Some(None)
        }
        _ => fields.wrong("type", "it must be `bearer`, `basic` or `none`"),
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
    let own = signature.map(SignatureScheme::own_headers).unwrap_or_default();
    for (name, _) in headers {
        if own.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            let message = "the signature goes into this header, or does while its secret is rotated";
            fields.wrong::<()>(&format!("headers/{}", escape(name)), message);
        }
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

fn retry(fields: &mut Fields<'_>) -> Option<RetryPolicy> {
    let map = fields.object("retry")?;
    let forms = ["schedule", "every", "attempts"];
    let given: Vec<&str> = forms.into_iter().filter(|form| map.contains_key(*form)).collect();
    let mut fields = fields.below("retry", map);
    let before = fields.error_count();
    let policy = match given.as_slice() {
        ["schedule"] => schedule(&mut fields),
        ["every"] => every(&mut fields),
        ["attempts"] => attempts(&mut fields),
        _ => fields.wrong("", "it takes one of `schedule`, `every` (with or without `for`) and `attempts`"),
    };
    if policy.is_none() && fields.error_count() == before {
        fields.wrong::<()>(given.first().unwrap_or(&""), "it is null; say it, or leave `retry` out");
    }
    if policy.is_some() {
        fields.finish(&["schedule", "every", "for", "attempts"]);
    }
    policy
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

fn success(fields: &mut Fields<'_>) -> Option<SuccessCodes> {
    let codes = match fields.take("success")? {
        Value::String(text) if text == "2xx" => Some(SuccessCodes::Any2xx),
        Value::Array(items) if (1..=MAX_SUCCESS_CODES).contains(&items.len()) => {
            items.iter().map(status).collect::<Option<Vec<u16>>>().map(SuccessCodes::Only)
        }
        _ => None,
    };
    let message = "it must be \"2xx\" or a list of statuses from 200 to 599";
    codes.or_else(|| fields.wrong("success", message))
}

fn status(value: &Value) -> Option<u16> {
    let status = u16::try_from(whole(value)?).ok()?;
    (200..600).contains(&status).then_some(status)
}

fn auto_disable(fields: &mut Fields<'_>) -> Option<AutoDisable> {
    let map = match fields.take("auto_disable")? {
        Value::String(text) if text == "off" => return Some(AutoDisable::NEVER),
        Value::Object(map) => map,
        _ => {
            return fields
                .wrong("auto_disable", "it must be \"off\", or an object such as {\"failures\":10}");
        }
    };
    let mut fields = fields.below("auto_disable", map);
    let before = fields.error_count();
    let after_failures = fields.number("failures", 1, MAX_FAILURES);
    let after = span(&mut fields, "after", MIN_PATIENCE, MAX_PATIENCE);
    if after_failures.is_none() && after.is_none() && fields.error_count() == before {
        fields.wrong::<()>("", "it needs `failures` (a number), `after` (a span such as \"5d\"), or both");
    }
    fields.finish(&["failures", "after"]);
    Some(AutoDisable { after_failures, after })
}

/// A span of time within bounds.
pub fn span(fields: &mut Fields<'_>, name: &str, least: Duration, most: Duration) -> Option<Duration> {
    fields.parsed(name, |text| within(text, least, most))
}

pub fn within(text: &str, least: Duration, most: Duration) -> Result<Duration, String> {
    let span = parse_span(text).map_err(|error| error.to_string())?;
    match (least..=most).contains(&span) {
        true => Ok(span),
        false if most == Duration::MAX => Err(format!("it must be at least {}", format_span(least))),
        false => Err(format!("it must be from {} to {}", format_span(least), format_span(most))),
    }
}
