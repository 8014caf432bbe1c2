//! What a client says about an endpoint, checked for everything that a delivery would need.

use std::time::Duration;

use serde_json::{Map, Value};

use crate::api::Api;
use crate::api::auth::Caller;
use crate::api::fields::Fields;
use crate::api::problem::Problem;
use crate::api::terms::{self, span};
use crate::config::Config;
use crate::endpoint::{Endpoint, Order, RateLimit};
use crate::event::{Channel, Tenant, VersionName};
use crate::secret::{MASK, Secret};
use crate::send::check_url;
use crate::send::ssrf::Rule;
use crate::subscription::{Pattern, Subscription};
use crate::terms::Terms;

/// The members that are not terms.
const MEMBERS: [&str; 12] = [
    "name",
    "description",
    "url",
    "tenant",
    "events",
    "channels",
    "version",
    "secret",
    "rate_limit",
    "concurrency",
    "order",
    "enabled",
];

pub const MAX_NAME: usize = 200;
pub const MAX_DESCRIPTION: usize = 2_000;
/// Most attempts after which the head of a line steps aside.
pub const MAX_PARK_AFTER: u32 = 100;
pub const MAX_REQUESTS: u32 = 1_000_000;
pub const MIN_PER: Duration = Duration::from_millis(1);
pub const MAX_PER: Duration = Duration::from_secs(86_400);

/// All that can be said of an endpoint.
pub(super) fn known_members() -> Vec<&'static str> {
    [&MEMBERS, terms::MEMBERS.as_slice()].concat()
}

#[derive(Debug)]
pub(super) struct Spec {
    pub name: String,
    pub description: String,
    pub url: Secret,
    pub tenant: Tenant,
    pub subscription: Subscription,
    /// As it was said: whether there is such a version is for the caller to see.
    pub version: Option<VersionName>,
    pub terms: Terms,
    /// Brought along by whoever creates the endpoint; which scheme has to take it, the book says.
    pub secret: Option<Secret>,
    pub rate_limit: Option<RateLimit>,
    pub concurrency: u32,
    pub order: Order,
    pub enabled: bool,
}

impl Spec {
    /// # Errors
    ///
    /// Everything that is wrong, but for what only plugins know. A tenant that is not the caller's.
    pub fn read(api: &Api, caller: &Caller, mut map: Map<String, Value>) -> Result<Self, Problem> {
        if let (Some(own), None | Some(Value::Null)) = (&caller.tenant, map.get("tenant")) {
            map.insert("tenant".to_owned(), own.as_str().into());
        }
        let spec = read(&api.config, &api.targets, None, map)?;
        caller.owner(Some(spec.tenant.clone()))?;
        Ok(spec)
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
    let version = from.member(
        "version",
        |stored| stored.version.clone(),
        |fields| fields.parsed("version", VersionName::parse),
    );
    let terms = terms::read(&mut from.fields, config, from.stored.map(|stored| &stored.own));
    let secret = from.fields.text("secret").map(Secret::new);
    let rate_limit =
        from.member("rate_limit", |stored| stored.rate_limit, |fields| rate_limit(fields, "rate_limit"));
    let concurrency = from.member(
        "concurrency",
        |stored| Some(stored.concurrency),
        |fields| fields.number("concurrency", 1, limits.max_concurrency),
    );
    let order = from.member("order", |stored| stored.order, |fields| order(fields).unwrap_or_default());
    let enabled =
        from.member("enabled", Endpoint::enabled, |fields| fields.boolean("enabled").unwrap_or(true));
    from.fields.finish(&known_members());
    Some(Spec {
        name: name?,
        description,
        url: url?,
        tenant,
        subscription: Subscription { events, channels },
        version,
        terms,
        secret,
        rate_limit,
        concurrency: concurrency.unwrap_or(delivery.concurrency),
        order,
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

pub(in crate::api) fn description(fields: &mut Fields<'_>) -> String {
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

/// So many in so long.
pub(in crate::api) fn rate_limit(fields: &mut Fields<'_>, name: &str) -> Option<RateLimit> {
    let map = fields.object(name)?;
    let mut fields = fields.below(name, map);
    let before = fields.error_count();
    let requests = fields.number("requests", 1, MAX_REQUESTS);
    let per = span(&mut fields, "per", MIN_PER, MAX_PER);
    if (requests.is_none() || per.is_none()) && fields.error_count() == before {
        fields.wrong::<()>("", "it needs both `requests` and `per`, such as 10 and \"1s\"");
    }
    fields.finish(&["requests", "per"]);
    Some(RateLimit { requests: requests?, per: per? })
}

fn order(fields: &mut Fields<'_>) -> Option<Order> {
    let map = fields.object("order")?;
    let mut fields = fields.below("order", map);
    match fields.required("head")?.as_str() {
        "wait" => {
            fields.finish(&["head"]);
            Some(Order::Strict)
        }
        "park" => {
            let given = fields.has("after");
            let after = fields.number("after", 1, MAX_PARK_AFTER);
            fields.finish(&["head", "after"]);
            after.or((!given).then_some(1)).map(|after| Order::Parking { after })
        }
        _ => fields.wrong("head", "it must be `wait` or `park`"),
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
    use crate::retry::RetryPolicy;
    use crate::secret::Secret;
    use crate::terms::{Auth, AutoDisable};
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
    fn the_least_says_nothing_of_terms() {
        let spec = read_for_test(base()).unwrap();
        assert_eq!(spec.terms, Terms::default());
        assert_eq!(spec.concurrency, 16);
        assert!(spec.enabled);
        assert_eq!(spec.url.expose(), "https://hooks.example.com/x?y=1");
    }

    #[test]
    fn a_key_as_user_name_needs_no_password() {
        let auth = json!({"type": "basic", "username": "key", "password": ""});
        let spec = read_for_test(with("auth", auth)).unwrap();
        let expected = Auth::Basic { username: Secret::new("key"), password: Secret::new("") };
        assert_eq!(spec.terms.auth, Some(Some(expected)));
    }

    #[test]
    fn retry_forms() {
        let secs = |seconds: &[u64]| seconds.iter().copied().map(Duration::from_secs).collect();
        let table = [
            (json!({"schedule": ["1m", "5m"]}), RetryPolicy::Schedule(secs(&[60, 300]))),
            (json!({"schedule": []}), RetryPolicy::Schedule(vec![])),
            (json!({"attempts": 1}), RetryPolicy::Schedule(vec![])),
            (json!({"attempts": 3}), RetryPolicy::Schedule(secs(&[5, 60]))),
            (json!({"attempts": 3.0}), RetryPolicy::Schedule(secs(&[5, 60]))),
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
            let read = read_for_test(with("retry", value.clone())).unwrap();
            assert_eq!(read.terms.retry, Some(expected), "{value}");
        }
    }

    #[test]
    fn orders() {
        for (value, expected) in [
            (json!(null), Order::Free),
            (json!({"head": "wait"}), Order::Strict),
            (json!({"head": "park"}), Order::Parking { after: 1 }),
            (json!({"head": "park", "after": 5}), Order::Parking { after: 5 }),
        ] {
            assert_eq!(read_for_test(with("order", value.clone())).unwrap().order, expected, "{value}");
        }
    }

    #[test]
    fn patience_with_a_failing_endpoint() {
        let days = Duration::from_secs(5 * 86_400);
        for (value, after_failures, after) in [
            (json!("off"), None, None),
            (json!({"failures": 10}), Some(10), None),
            (json!({"after": "5d"}), None, Some(days)),
            (json!({"failures": 10, "after": "5d"}), Some(10), Some(days)),
        ] {
            let read = read_for_test(with("auto_disable", value.clone())).unwrap();
            assert_eq!(read.terms.auto_disable, Some(AutoDisable { after_failures, after }), "{value}");
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
            ("version", json!("a b"), "/version"),
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
            ("secret", json!(7), "/secret"),
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
            ("retry", json!({"attempts": null}), "/retry/attempts"),
            ("retry", json!({"attempts": 1.5}), "/retry/attempts"),
            ("retry", json!({"schedule": null}), "/retry/schedule"),
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
            ("order", json!(true), "/order"),
            ("order", json!({}), "/order/head"),
            ("order", json!({"head": "sit"}), "/order/head"),
            ("order", json!({"head": "wait", "after": 2}), "/order/after"),
            ("order", json!({"head": "park", "after": 0}), "/order/after"),
            ("auto_disable", json!("never"), "/auto_disable"),
            ("auto_disable", json!({}), "/auto_disable"),
            ("auto_disable", json!({"failures": 0}), "/auto_disable/failures"),
            ("auto_disable", json!({"after": "1ms"}), "/auto_disable/after"),
            ("colour", json!("red"), "/colour"),
        ];
        for (field, value, pointer) in table {
            let errors = read_for_test(with(field, value.clone())).map(|spec| spec.name).unwrap_err();
            assert_eq!(errors.len(), 1, "{field}={value}: {errors:?}");
            assert_eq!(errors[0].pointer, pointer, "{field}={value}: {errors:?}");
        }
    }

    #[test]
    fn headers_of_the_signature_are_nobody_elses() {
        for name in ["X-Sig", "x-sig", "X-Sig-Next", "x-SIG-next"] {
            let mut spec = with("signature", json!({"scheme": "hmac-sha256", "header": "X-Sig"}));
            spec["headers"] = json!({name: "1"});
            let errors = read_for_test(spec).map(|_| ()).unwrap_err();
            assert_eq!(errors[0].pointer, format!("/headers/{name}"), "{errors:?}");
        }
    }

    #[test]
    fn a_refused_address_says_what_opens_it() {
        let errors = read_for_test(with("url", json!("http://localhost:3000"))).map(|_| ()).unwrap_err();
        assert!(errors[0].message.contains("--allow-target"), "{errors:?}");
    }
}
