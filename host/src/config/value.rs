//! How the values of settings are written.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::plugin::{PublicKey, Required};
use crate::secret::Secret;
use crate::send::{InvalidProxy, Proxy};
use crate::store::postgres::Address;
use crate::terms::Allowance;
use crate::time::parse_span;

/// A value as a file, a variable or a flag gives it.
#[derive(Debug, Clone)]
pub(super) enum Given {
    One(String),
    Many(Vec<String>),
    Table(toml::Table),
}

impl Given {
    pub fn of_toml(value: &toml::Value) -> Result<Self, String> {
        match value {
            toml::Value::Table(table) => Ok(Given::Table(table.clone())),
            toml::Value::Array(items) => items.iter().map(text_of).collect::<Result<_, _>>().map(Given::Many),
            value => text_of(value).map(Given::One),
        }
    }

    /// Of several the last: a flag given twice.
    fn one(&self) -> Result<&str, String> {
        match self {
            Given::One(text) => Ok(text.trim()),
            Given::Many(texts) => {
                texts.last().map(|text| text.trim()).ok_or_else(|| "takes one value".to_owned())
            }
            Given::Table(_) => Err("takes no table".to_owned()),
        }
    }

    fn many(&self) -> Result<Vec<&str>, String> {
        Ok(match self {
            Given::One(text) => text.split(',').map(str::trim).filter(|text| !text.is_empty()).collect(),
            Given::Many(texts) => texts.iter().map(|text| text.trim()).collect(),
            Given::Table(_) => return Err("takes no table".to_owned()),
        })
    }
}

fn text_of(value: &toml::Value) -> Result<String, String> {
    match value {
        toml::Value::String(text) => Ok(text.clone()),
        toml::Value::Integer(number) => Ok(number.to_string()),
        toml::Value::Boolean(truth) => Ok(truth.to_string()),
        other => Err(format!("takes no {}", other.type_str())),
    }
}

/// Reads itself; an error continues the sentence that begins with the setting's name.
pub(super) trait Setting: Sized {
    fn read(given: &Given) -> Result<Self, String>;
}

/// A number of bytes, written `64KiB`, `1MiB`, `2GiB` or as a plain number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

impl Setting for Size {
    fn read(given: &Given) -> Result<Self, String> {
        const UNITS: [(&str, usize); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("", 1)];
        let text = given.one()?;
        let invalid = || format!("is `{text}`; it takes a size such as `512KiB`, `16MiB` or `1048576`");
        let (digits, factor) = UNITS
            .iter()
            .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor)))
            .ok_or_else(invalid)?;
        let number: usize = digits.parse().map_err(|_| invalid())?;
        number.checked_mul(factor).map(Size).ok_or_else(invalid)
    }
}

/// What single plugins may use, by their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PluginLimits(pub BTreeMap<String, Allowance>);

impl Setting for PluginLimits {
    fn read(given: &Given) -> Result<Self, String> {
        let Given::Table(plugins) = given else {
            return Err(
                "is a table for each plugin, and stands in the file: `[plugin.limits.NAME]`".to_owned()
            );
        };
        let read = |(name, said): (&String, &toml::Value)| {
            let is_name = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            let toml::Value::Table(said) = said else {
                return Err(format!("takes a table for each plugin, and `{name}` is none"));
            };
            if name.is_empty() || !name.bytes().all(is_name) {
                return Err(format!("names the plugin `{name}`; names are of a-z, 0-9 and -"));
            }
            Ok((name.clone(), allowance(said).map_err(|problem| format!("of `{name}`: {problem}"))?))
        };
        plugins.iter().map(read).collect::<Result<_, _>>().map(Self)
    }
}

fn allowance(said: &toml::Table) -> Result<Allowance, String> {
    let mut allowance = Allowance::default();
    for (key, value) in said {
        let given = Given::of_toml(value).map_err(|problem| format!("`{key}` {problem}"))?;
        let named = |problem| format!("`{key}` {problem}");
        match key.as_str() {
            "time" => allowance.time = Some(Duration::read(&given).map_err(named)?),
            "memory" => allowance.memory = Some(Size::read(&given).map_err(named)?.0),
            "output" => allowance.output = Some(Size::read(&given).map_err(named)?.0),
            "log_lines" => allowance.log_lines = Some(usize::read(&given).map_err(named)?),
            _ => {
                return Err(format!(
                    "there is no limit `{key}`; there are `time`, `memory`, `output`, `log_lines`"
                ));
            }
        }
    }
    Ok(allowance)
}

/// Where pages come from: scheme, host and, unless it is the scheme's own, port; as a browser writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(String);

impl Origin {
    /// `None` where it is none, or says more than one does.
    pub fn parse(text: &str) -> Option<Self> {
        // A host may be written with more, and some of it would say something else in a policy.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-:/[]".contains(&byte);
        let url = Url::parse(text).ok().filter(|_| text.bytes().all(is_plain))?;
        let url = Some(url).filter(|url| matches!(url.scheme(), "http" | "https"))?;
        let origin = url.origin().ascii_serialization();
        let said = text.trim_end_matches('/').to_ascii_lowercase();
        let with_port = url.port_or_known_default().map(|port| format!("{origin}:{port}"));
        (said == origin || Some(said) == with_port).then_some(Self(origin))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl Setting for Vec<Origin> {
    fn read(given: &Given) -> Result<Self, String> {
        let origin = |text: &str| {
            Origin::parse(text).ok_or_else(|| {
                format!("holds `{text}`; it takes origins such as `https://hooks.example` or `http://localhost:3000`")
            })
        };
        given.many()?.into_iter().map(origin).collect()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Setting for LogFormat {
    fn read(given: &Given) -> Result<Self, String> {
        match given.one()? {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("is `{other}`; it takes `text` or `json`")),
        }
    }
}

/// What becomes of an event whose type the catalogue does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownTypes {
    Accept,
    Refuse,
}

impl Setting for UnknownTypes {
    fn read(given: &Given) -> Result<Self, String> {
        match given.one()? {
            "accept" => Ok(UnknownTypes::Accept),
            "refuse" => Ok(UnknownTypes::Refuse),
            other => Err(format!("is `{other}`; it takes `accept` or `refuse`")),
        }
    }
}

/// What a host does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostRole {
    /// It takes events on.
    Ingest,
    /// It delivers, makes replays and keeps house.
    Deliver,
    /// It is asked and told everything else, by programs and by people.
    Api,
}

impl HostRole {
    pub const ALL: [HostRole; 3] = [HostRole::Ingest, HostRole::Deliver, HostRole::Api];

    pub fn word(self) -> &'static str {
        match self {
            HostRole::Ingest => "ingest",
            HostRole::Deliver => "deliver",
            HostRole::Api => "api",
        }
    }
}

impl Setting for Vec<HostRole> {
    fn read(given: &Given) -> Result<Self, String> {
        let role = |text: &str| {
            let role = HostRole::ALL.into_iter().find(|role| role.word() == text);
            role.ok_or_else(|| format!("holds `{text}`; it takes `ingest`, `deliver` and `api`"))
        };
        let roles: Vec<HostRole> = given.many()?.into_iter().map(role).collect::<Result<_, _>>()?;
        if roles.is_empty() {
            return Err("is empty; it takes `ingest`, `deliver` and `api`".to_owned());
        }
        Ok(roles)
    }
}

impl Setting for Required {
    fn read(given: &Given) -> Result<Self, String> {
        let text = given.one()?;
        Required::ALL
            .into_iter()
            .find(|required| required.word() == text)
            .ok_or_else(|| format!("is `{text}`; it takes `none`, `folder`, `upload` or `all`"))
    }
}

impl Setting for Vec<PublicKey> {
    fn read(given: &Given) -> Result<Self, String> {
        let key = |text: &str| PublicKey::parse(text).map_err(|error| format!("holds `{text}`; {error}"));
        given.many()?.into_iter().map(key).collect()
    }
}

impl Setting for Duration {
    fn read(given: &Given) -> Result<Self, String> {
        parse_span(given.one()?).map_err(|error| format!("takes a span: {error}"))
    }
}

impl Setting for bool {
    fn read(given: &Given) -> Result<Self, String> {
        let text = given.one()?;
        text.parse().map_err(|_| format!("is `{text}`; it takes `true` or `false`"))
    }
}

impl Setting for String {
    fn read(given: &Given) -> Result<Self, String> {
        given.one().map(str::to_owned)
    }
}

impl Setting for PathBuf {
    fn read(given: &Given) -> Result<Self, String> {
        match given.one()? {
            "" => Err("is empty; it takes a path".to_owned()),
            path => Ok(path.into()),
        }
    }
}

/// An empty one is none.
impl Setting for Option<PathBuf> {
    fn read(given: &Given) -> Result<Self, String> {
        Ok(Some(given.one()?).filter(|path| !path.is_empty()).map(PathBuf::from))
    }
}

/// The address of a database; an empty one is none. An error repeats nothing of it, since it may hold a password.
impl Setting for Option<Secret> {
    fn read(given: &Given) -> Result<Self, String> {
        let text = given.one()?;
        if text.is_empty() {
            return Ok(None);
        }
        Address::parse(text).map_err(|error| format!("is no address of a database: {error}"))?;
        Ok(Some(Secret::new(text)))
    }
}

/// An empty one is none.
impl Setting for Option<Proxy> {
    fn read(given: &Given) -> Result<Self, String> {
        match given.one()? {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|error: InvalidProxy| error.to_string()),
        }
    }
}

impl Setting for SocketAddr {
    fn read(given: &Given) -> Result<Self, String> {
        let text = given.one()?;
        text.parse().map_err(|_| {
            format!("is `{text}`; it takes an address and a port such as `127.0.0.1:8420` or `[::]:8420`")
        })
    }
}

/// A single address is a range of one.
impl Setting for Vec<IpNet> {
    fn read(given: &Given) -> Result<Self, String> {
        let range = |text: &str| {
            text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from)).map_err(
                |_| {
                    format!("holds `{text}`; it takes ranges such as `10.0.0.0/8`, `127.0.0.1` or `fd00::/8`")
                },
            )
        };
        given.many()?.into_iter().map(range).collect()
    }
}

macro_rules! number {
    ($($type:ty),*) => {$(
        impl Setting for $type {
            fn read(given: &Given) -> Result<Self, String> {
                let text = given.one()?;
                text.parse().map_err(|_| format!("is `{text}`; it takes a whole number"))
            }
        }
    )*};
}

number!(u32, usize);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for (text, origin) in [
            ("https://hooks.example", Some("https://hooks.example")),
            ("https://Hooks.Example/", Some("https://hooks.example")),
            ("https://hooks.example:443", Some("https://hooks.example")),
            ("https://hooks.example:8443", Some("https://hooks.example:8443")),
            ("http://[::1]:8420", Some("http://[::1]:8420")),
            ("", None),
            ("*", None),
            ("null", None),
            ("hooks.example", None),
            ("https://*.example", None),
            ("https://hooks.example/path", None),
            ("https://user@hooks.example", None),
            ("https://hooks.example; script-src *", None),
            ("https://a.example https://b.example", None),
            ("javascript:alert(1)", None),
        ] {
            assert_eq!(Origin::parse(text).as_ref().map(Origin::as_str), origin, "{text}");
        }
    }
}
