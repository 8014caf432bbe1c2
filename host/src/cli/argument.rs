//! How the values of arguments are written.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};

use crate::signature::SignatureScheme;
use crate::terms::AutoDisable;
use crate::time::{Timestamp, format_span, parse_span};

/// Most bytes read for one argument: above the largest batch that the host's settings allow by default.
const MAX_INPUT: u64 = 64 << 20;

/// A text given outright, or where it is: `@file`, or `-` for stdin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    Given(String),
    File(PathBuf),
    Stdin,
}

impl Text {
    pub fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "-" => Text::Stdin,
            text => match text.strip_prefix('@') {
                Some("") => return Err("`@` has to be followed by the name of a file".to_owned()),
                Some(path) => Text::File(path.into()),
                None => Text::Given(text.to_owned()),
            },
        })
    }

    /// # Errors
    ///
    /// Where the file cannot be read, is too large or is not UTF-8.
    pub fn read(&self) -> anyhow::Result<String> {
        let text = String::from_utf8(self.read_bytes()?);
        text.map_err(|_| anyhow!("it is not UTF-8"))
            .with_context(|| format!("{} cannot be read", self.place()))
    }

    /// # Errors
    ///
    /// Where the file cannot be read or is too large.
    pub fn read_bytes(&self) -> anyhow::Result<Vec<u8>> {
        let bytes = match self {
            Text::Given(text) => return Ok(text.clone().into_bytes()),
            Text::Stdin => read_bounded(io::stdin().lock()),
            Text::File(path) => File::open(path).map_err(anyhow::Error::from).and_then(read_bounded),
        };
        bytes.with_context(|| format!("{} cannot be read", self.place()))
    }

    fn place(&self) -> String {
        match self {
            Text::Given(_) => "the argument".to_owned(),
            Text::Stdin => "stdin".to_owned(),
            Text::File(path) => path.display().to_string(),
        }
    }

    pub fn has_extension(&self, extension: &str) -> bool {
        matches!(self, Text::File(path) if path.extension().is_some_and(|other| other == extension))
    }
}

fn read_bounded(source: impl Read) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_INPUT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_INPUT {
        bail!("it has more than {MAX_INPUT} bytes");
    }
    Ok(bytes)
}

/// A link of an endpoint's chain: `flatten`, `flatten={"separator":"_"}`, `slack=@slack.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transform {
    pub plugin: String,
    pub config: Option<Text>,
}

impl Transform {
    pub fn parse(text: &str) -> Result<Self, String> {
        let (plugin, config) = match text.split_once('=') {
            Some((plugin, config)) => (plugin, Some(Text::parse(config)?)),
            None => (text, None),
        };
        if plugin.is_empty() {
            return Err("a transform is `plugin` or `plugin=JSON` or `plugin=@file`".to_owned());
        }
        if let Some(Text::Given(json)) = &config {
            serde_json::from_str::<serde::de::IgnoredAny>(json)
                .map_err(|error| format!("the configuration of `{plugin}` is not JSON: {error}"))?;
        }
        Ok(Self { plugin: plugin.to_owned(), config })
    }
}

/// `standard`, `standard-asymmetric`, `hmac:HEADER` or `hmac:HEADER:PREFIX`.
pub fn signature(text: &str) -> Result<SignatureScheme, String> {
    match text {
        "standard" => return Ok(SignatureScheme::Standard),
        "standard-asymmetric" => return Ok(SignatureScheme::StandardAsymmetric),
        _ => {}
    }
    let form = || {
        "a signature is `standard`, `standard-asymmetric`, `hmac:HEADER` or `hmac:HEADER:PREFIX`".to_owned()
    };
    let rest = text.strip_prefix("hmac:").ok_or_else(form)?;
    let (header, prefix) = rest.split_once(':').unwrap_or((rest, ""));
    header
        .parse::<http::HeaderName>()
        .map_err(|_| format!("`{header}` is no name of a header; {}", form()))?;
    Ok(SignatureScheme::HmacSha256 { header: header.to_owned(), prefix: prefix.to_owned() })
}

/// The pauses of a retry schedule: `1m,5m,2h`, or `none`.
pub fn schedule(text: &str) -> Result<Schedule, String> {
    if text == "none" {
        return Ok(Schedule(Vec::new()));
    }
    text.split(',').map(span).collect::<Result<_, _>>().map(Schedule)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule(pub Vec<Duration>);

pub fn span(text: &str) -> Result<Duration, String> {
    parse_span(text.trim()).map_err(|error| error.to_string())
}

/// `10/1s`: so many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
}

pub fn rate(text: &str) -> Result<Rate, String> {
    let form = || format!("`{text}` is no rate such as `10/1s`");
    let (requests, per) = text.split_once('/').ok_or_else(form)?;
    let requests = requests.parse().ok().filter(|requests| *requests > 0).ok_or_else(form)?;
    let per = span(per)?;
    if per.is_zero() { Err(form()) } else { Ok(Rate { requests, per }) }
}

/// When an endpoint that fails is disabled: `off`, `10` failures in a row, `5d` of failing, or both: `10,5d`.
pub fn auto_disable(text: &str) -> Result<AutoDisable, String> {
    if text == "off" {
        return Ok(AutoDisable::NEVER);
    }
    let mut policy = AutoDisable::NEVER;
    for part in text.split(',').map(str::trim) {
        match part.parse::<u32>() {
            Ok(failures) if failures > 0 && policy.after_failures.is_none() => {
                policy.after_failures = Some(failures);
            }
            Err(_) if policy.after.is_none() => policy.after = Some(span(part)?),
            _ => return Err(format!("`{text}` is none of `off`, `10`, `5d` and `10,5d`")),
        }
    }
    Ok(policy)
}

/// `2xx`, or the statuses that mean success: `200,201,204`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Success {
    Any2xx,
    Only(Vec<u16>),
}

pub fn success(text: &str) -> Result<Success, String> {
    if text == "2xx" {
        return Ok(Success::Any2xx);
    }
    let code = |text: &str| text.trim().parse().ok().filter(|code| (200..600).contains(code));
    let codes: Option<Vec<u16>> = text.split(',').map(code).collect();
    codes
        .map(Success::Only)
        .ok_or_else(|| format!("`{text}` is neither `2xx` nor statuses from 200 to 599 such as `200,204`"))
}

/// `Name=value`.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not of the form `Name=value`")),
    }
}

/// A moment: RFC 3339, or a span that reaches back from now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    At(Timestamp),
    Ago(Duration),
}

impl Moment {
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(span) = parse_span(text) {
            return Ok(Moment::Ago(span));
        }
        Timestamp::parse(text).map(Moment::At).map_err(|error| format!("{error}, nor a span such as `2h`"))
    }

    pub fn resolve(self, now: Timestamp) -> Timestamp {
        match self {
            Moment::At(time) => time,
            Moment::Ago(span) => now.minus(span),
        }
    }
}

/// RFC 3339, handed on as it was written.
pub fn time(text: &str) -> Result<String, String> {
    Timestamp::parse(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// As the API writes spans.
pub fn spans(schedule: &Schedule) -> Vec<String> {
    schedule.0.iter().copied().map(format_span).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience() {
        let days = Duration::from_secs(5 * 86_400);
        for (text, after_failures, after) in [
            ("off", None, None),
            ("10", Some(10), None),
            ("5d", None, Some(days)),
            ("10,5d", Some(10), Some(days)),
        ] {
            assert_eq!(auto_disable(text), Ok(AutoDisable { after_failures, after }), "{text}");
        }
        for bad in ["", "never", "0", "1,2", "5d,5d"] {
            assert!(auto_disable(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn transforms() {
        let read = |text| Transform::parse(text).map(|transform| (transform.plugin, transform.config));
        assert_eq!(read("flatten"), Ok(("flatten".into(), None)));
        let config = Text::Given(r#"{"separator":"="}"#.into());
        assert_eq!(read(r#"flatten={"separator":"="}"#), Ok(("flatten".into(), Some(config))));
        let file = Text::File("slack.json".into());
        assert_eq!(read("slack@sha256:ab=@slack.json"), Ok(("slack@sha256:ab".into(), Some(file))));
        for (bad, why) in [("", "plugin"), ("=1", "plugin"), ("flatten={", "not JSON"), ("flatten=@", "file")]
        {
            let error = read(bad).expect_err(bad);
            assert!(error.contains(why), "{bad}: {error}");
        }
    }

    #[test]
    fn signatures() {
        let plain = |header: &str, prefix: &str| {
            Ok(SignatureScheme::HmacSha256 { header: header.into(), prefix: prefix.into() })
        };
        assert_eq!(signature("standard"), Ok(SignatureScheme::Standard));
        assert_eq!(signature("standard-asymmetric"), Ok(SignatureScheme::StandardAsymmetric));
        assert_eq!(signature("hmac:X-RKT-Signature"), plain("X-RKT-Signature", ""));
        assert_eq!(signature("hmac:X-RevKeen-Signature:sha256="), plain("X-RevKeen-Signature", "sha256="));
        assert_eq!(signature("hmac:X-A:v1:"), plain("X-A", "v1:"));
        for bad in ["", "hmac", "hmac:", "hmac:X A", "sha1", "Standard"] {
            assert!(signature(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn schedules_rates_and_statuses() {
        let secs = Duration::from_secs;
        assert_eq!(schedule("1m,5m, 2h"), Ok(Schedule(vec![secs(60), secs(300), secs(7_200)])));
        assert_eq!(spans(&schedule("60s,5m").unwrap()), ["1m", "5m"]);
        assert_eq!(schedule("none"), Ok(Schedule(Vec::new())));
        assert_eq!(rate("10/1s"), Ok(Rate { requests: 10, per: secs(1) }));
        assert_eq!(success("2xx"), Ok(Success::Any2xx));
        assert_eq!(success("200, 204"), Ok(Success::Only(vec![200, 204])));
        assert!(["", "1m,", "1m;5m", "1"].iter().all(|bad| schedule(bad).is_err()));
        assert!(["", "10", "0/1s", "1/0s", "a/1s", "1/s"].iter().all(|bad| rate(bad).is_err()));
        assert!(["", "2XX", "99", "199", "600", "200,"].iter().all(|bad| success(bad).is_err()));
    }

    #[test]
    fn moments() {
        let now = Timestamp::from_secs(10_000);
        assert_eq!(Moment::parse("1h").map(|moment| moment.resolve(now)), Ok(Timestamp::from_secs(6_400)));
        let at = Moment::parse("1970-01-01T00:00:07Z").map(|moment| moment.resolve(now));
        assert_eq!(at, Ok(Timestamp::from_secs(7)));
        assert!(Moment::parse("yesterday").is_err());
    }

    #[test]
    fn texts_and_pairs() {
        assert_eq!(Text::parse("-"), Ok(Text::Stdin));
        assert!(Text::parse("@e.ndjson").unwrap().has_extension("ndjson"));
        assert!(Text::File("no/such/file".into()).read().unwrap_err().to_string().contains("no/such/file"));
        assert_eq!(pair("X-A=b=c"), Ok(("X-A".into(), "b=c".into())));
        assert!(pair("X-A").is_err() && pair("=b").is_err());
    }
}
