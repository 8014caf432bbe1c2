//! Which URLs an endpoint may have.

use ipnet::IpNet;
use url::{Host, Url};

use super::ssrf::{self, Reach, Reason, Refusal, Rule};

/// The longest URL that is accepted, in bytes.
pub const URL_LIMIT: usize = 2048;

/// Why a URL is not accepted, in a sentence; where the operator could open the way, also how.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}{}", mend(.hint))]
pub struct UrlError {
    pub kind: UrlErrorKind,
    pub message: String,
    /// What the operator of the server would do about it, such as
    /// ``start the server with `--allow-target 127.0.0.0/8` ``.
    pub hint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UrlErrorKind {
    TooLong,
    /// Not a URL at all, or one without a host.
    Malformed,
    /// Neither http nor https, or http where only https may go.
    Scheme,
    /// `user:password@`.
    Userinfo,
    Fragment,
    Port,
    /// The host is an address, or `localhost`, that the rule refuses.
    Address(Reason),
}

/// Parses the URL of an endpoint as browsers do, so that every spelling of an address is seen as that
/// address, and judges what can be known before its name is resolved. The connector judges the rest.
pub fn check_url(text: &str, rule: &Rule) -> Result<Url, UrlError> {
    if text.len() > URL_LIMIT {
        let message = format!("the URL is longer than {URL_LIMIT} bytes");
        return Err(error(UrlErrorKind::TooLong, message));
    }
    let url = Url::parse(text).map_err(|source| {
        let message = format!("this is not a URL ({source}): write it as https://host/path");
        error(UrlErrorKind::Malformed, message)
    })?;
    vet(&url, rule)?;
    Ok(url)
}

/// The rules of [`check_url`] for a URL that is parsed already.
pub fn vet(url: &Url, rule: &Rule) -> Result<(), UrlError> {
    let https = is_https(url)?;
    check_form(url)?;
    let port = url.port_or_known_default().unwrap_or_default();
    let verdict = match url.host() {
        Some(Host::Ipv4(ip)) => rule
            .verdict((ip, port).into())
            .and_then(|reach| plain(reach, https, ip.into())),
        Some(Host::Ipv6(ip)) => rule
            .verdict((ip, port).into())
            .and_then(|reach| plain(reach, https, ip.into())),
        Some(Host::Domain(name)) if is_localhost(name) => rule.localhost(port).map(drop),
        Some(Host::Domain(_)) => return check_name(https, rule),
        None => return Err(error(UrlErrorKind::Malformed, "the URL names no host")),
    };
    verdict.map_err(|refusal| refused(&refusal, url))
}

/// Whether a host name always means this machine.
pub(super) fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    last.eq_ignore_ascii_case("localhost")
}

/// What the operator would do to let deliveries through to `range`.
pub(super) fn hint_to_open(range: IpNet) -> String {
    format!("start the server with `--allow-target {range}`")
}

fn is_https(url: &Url) -> Result<bool, UrlError> {
    match url.scheme() {
        "https" => Ok(true),
        "http" => Ok(false),
        other => {
            let message = format!("{other} is not a scheme for webhooks: use https");
            Err(error(UrlErrorKind::Scheme, message))
        }
    }
}

fn check_form(url: &Url) -> Result<(), UrlError> {
    if !url.username().is_empty() || url.password().is_some() {
        let message =
            "the URL carries a user name or password: set the endpoint's authentication instead";
        return Err(error(UrlErrorKind::Userinfo, message));
    }
    if url.fragment().is_some() {
        let message = "the URL has a fragment (#...), which is never sent: leave it out";
        return Err(error(UrlErrorKind::Fragment, message));
    }
    if url.port() == Some(0) {
        return Err(error(UrlErrorKind::Port, "port 0 cannot be connected to"));
    }
    Ok(())
}

/// Under http a name is accepted when any range is open; the connector then holds its addresses to these.
fn check_name(https: bool, rule: &Rule) -> Result<(), UrlError> {
    if https || !rule.allow.is_empty() {
        return Ok(());
    }
    Err(UrlError {
        kind: UrlErrorKind::Scheme,
        message: "plain http is for opened address ranges only: use https".to_owned(),
        hint: Some("start the server with `--allow-target` and the range of this host".to_owned()),
    })
}

fn plain(reach: Reach, https: bool, ip: std::net::IpAddr) -> Result<(), Refusal> {
    if https || reach == Reach::Opened {
        Ok(())
    } else {
        Err(ssrf::plain_http(ip))
    }
}

fn refused(refusal: &Refusal, url: &Url) -> UrlError {
    let host = url.host_str().unwrap_or_default();
    let message = match refusal.reason {
        Reason::PlainHttp => "plain http is for opened address ranges only: use https".to_owned(),
        reason => format!("deliveries may not go to {host}: it is {reason}"),
    };
    let kind = match refusal.reason {
        Reason::PlainHttp => UrlErrorKind::Scheme,
        reason => UrlErrorKind::Address(reason),
    };
    UrlError {
        kind,
        message,
        hint: refusal.opens.map(hint_to_open),
    }
}

fn error(kind: UrlErrorKind, message: impl Into<String>) -> UrlError {
    UrlError {
        kind,
        message: message.into(),
        hint: None,
    }
}

fn mend(hint: &Option<String>) -> String {
    hint.as_ref()
        .map(|hint| format!("; or {hint}"))
        .unwrap_or_default()
}
