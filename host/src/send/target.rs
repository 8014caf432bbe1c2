//! Which URLs an endpoint may have.

use std::net::IpAddr;

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
    /// Neither http nor https.
    Scheme,
    /// http where only https may go.
    PlainHttp,
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
        Some(Host::Ipv4(ip)) => check_literal(ip.into(), port, https, rule),
        Some(Host::Ipv6(ip)) => check_literal(ip.into(), port, https, rule),
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
        let message = "the URL carries a user name or password: set the endpoint's authentication instead";
        return Err(error(UrlErrorKind::Userinfo, message));
    }
    if url.fragment().is_some() {
        let message = "the URL has a fragment (#...), which is never sent: leave it out";
        return Err(error(UrlErrorKind::Fragment, message));
    }
    if url.port() == Some(0) {
        return Err(error(UrlErrorKind::Port, "port 0 cannot be connected to"));
    }
    // The client's own reading of URLs is narrower, and what it cannot read is never sent.
    match http::Uri::try_from(url.as_str()) {
        Ok(_) => Ok(()),
        Err(source) => {
            let message =
                format!("requests cannot be sent to this URL ({source}); check its host for odd characters");
            Err(error(UrlErrorKind::Malformed, message))
        }
    }
}

/// Under http a name is accepted when any range is open; the connector then holds its addresses to these.
fn check_name(https: bool, rule: &Rule) -> Result<(), UrlError> {
    if https || !rule.allow.is_empty() {
        return Ok(());
    }
    Err(UrlError {
        kind: UrlErrorKind::PlainHttp,
        message: "plain http is for opened address ranges only: use https".to_owned(),
        hint: Some("start the server with `--allow-target` and the range of this host".to_owned()),
    })
}

fn check_literal(ip: IpAddr, port: u16, https: bool, rule: &Rule) -> Result<(), Refusal> {
    match rule.verdict((ip, port).into())? {
        Reach::Public if !https => Err(ssrf::plain_http(ip)),
        Reach::Public | Reach::Opened => Ok(()),
    }
}

fn refused(refusal: &Refusal, url: &Url) -> UrlError {
    let host = url.host_str().unwrap_or_default();
    let message = match refusal.reason {
        Reason::PlainHttp => "plain http is for opened address ranges only: use https".to_owned(),
        reason => format!("deliveries may not go to {host}: it is {reason}"),
    };
    let kind = match refusal.reason {
        Reason::PlainHttp => UrlErrorKind::PlainHttp,
        reason => UrlErrorKind::Address(reason),
    };
    UrlError { kind, message, hint: refusal.opens.map(hint_to_open) }
}

fn error(kind: UrlErrorKind, message: impl Into<String>) -> UrlError {
    UrlError { kind, message: message.into(), hint: None }
}

fn mend(hint: &Option<String>) -> String {
    hint.as_ref().map(|hint| format!("; or {hint}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, allow: &[&str]) -> Result<String, UrlError> {
        let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
        let rule = Rule { allow, own: ssrf::Listeners::default() };
        check_url(text, &rule).map(String::from)
    }

    #[test]
    fn https_to_the_world_is_accepted() {
        for (text, canonical) in [
            ("https://example.com", "https://example.com/"),
            ("https://example.com/hook?a=b%20c", "https://example.com/hook?a=b%20c"),
            ("HTTPS://EXAMPLE.com:443/x/../y", "https://example.com/y"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("https://example.com./", "https://example.com./"),
            ("https://b\u{fc}cher.example/", "https://xn--bcher-kva.example/"),
            ("https://93.184.216.34/", "https://93.184.216.34/"),
            ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
            ("https://127.0.0.1.example.com/", "https://127.0.0.1.example.com/"),
            ("https://localhost.example.com/", "https://localhost.example.com/"),
            (" https://example.com/ ", "https://example.com/"),
        ] {
            assert_eq!(check(text, &[]), Ok(canonical.to_owned()), "{text}");
        }
    }

    #[test]
    fn every_spelling_of_a_forbidden_address_is_refused() {
        use Reason::*;
        for (host, reason) in [
            ("127.0.0.1", Loopback),
            ("127.0.0.1.", Loopback),
            ("127.1", Loopback),
            ("127.0.1", Loopback),
            ("2130706433", Loopback),
            ("0x7f000001", Loopback),
            ("0x7f.1", Loopback),
            ("0x7F.0x0.0x0.0x1", Loopback),
            ("0177.0.0.1", Loopback),
            ("017700000001", Loopback),
            ("00000177.1", Loopback),
            ("%31%32%37.0.0.1", Loopback),
            ("\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}", Loopback),
            ("\u{ff11}\u{ff12}\u{ff17}.0.0.1", Loopback),
            ("127\u{3002}0\u{3002}0\u{3002}1", Loopback),
            ("[::1]", Loopback),
            ("[0:0:0:0:0:0:0:1]", Loopback),
            ("[::ffff:127.0.0.1]", Loopback),
            ("[::ffff:7f00:1]", Loopback),
            ("[::127.0.0.1]", Ipv4Compatible),
            ("[64:ff9b::7f00:1]", Loopback),
            ("localhost", Loopback),
            ("localhost.", Loopback),
            ("LOCALHOST", Loopback),
            ("LocalHost.", Loopback),
            ("a.b.localhost", Loopback),
            ("loc%61lhost", Loopback),
            ("\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}", Loopback),
            ("0", Unspecified),
            ("0.0.0.0", Unspecified),
            ("0x0", Unspecified),
            ("[::]", Unspecified),
            ("[::ffff:0:0]", Unspecified),
            ("169.254.169.254", Metadata),
            ("2852039166", Metadata),
            ("0xa9fea9fe", Metadata),
            ("0251.0376.0251.0376", Metadata),
            ("[::ffff:a9fe:a9fe]", Metadata),
            ("[fd00:ec2::254]", Metadata),
            ("10.1", Private),
            ("192.168.257", Private),
            ("3232235777", Private),
            ("[fe80::1]", LinkLocal),
            ("[fd00::1]", UniqueLocal),
            ("255.255.255.255", Broadcast),
        ] {
            let refused = check(&format!("https://{host}/"), &[]).map_err(|error| error.kind);
            assert_eq!(refused, Err(UrlErrorKind::Address(reason)), "{host}");
        }
    }

    #[test]
    fn forms_that_do_not_belong_are_refused() {
        use UrlErrorKind::*;
        let long = format!("https://example.com/{}", "a".repeat(URL_LIMIT));
        for (text, kind) in [
            (long.as_str(), TooLong),
            ("", Malformed),
            ("example.com", Malformed),
            ("/hook", Malformed),
            ("https://", Malformed),
            ("https:///", Malformed),
            ("https://exa mple.com/", Malformed),
            ("https://example.com:99999/", Malformed),
            ("https://[::1/", Malformed),
            ("https://[fe80::1%25eth0]/", Malformed),
            ("https://{region}.example.com/", Malformed),
            ("https://a`b.example.com/", Malformed),
            ("https://256.0.0.1/", Malformed),
            ("https://1.2.3.4.5/", Malformed),
            ("https://127.0.0.1%00.example.com/", Malformed),
            ("ftp://example.com/", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://127.0.0.1:6379/", Scheme),
            ("javascript:alert(1)", Scheme),
            ("unix:/run/docker.sock", Scheme),
            ("http://example.com/", PlainHttp),
            ("http://93.184.216.34/", PlainHttp),
            ("https://user@example.com/", Userinfo),
            ("https://user:password@example.com/", Userinfo),
            ("https://:password@example.com/", Userinfo),
            ("https://example.com@127.0.0.1/", Userinfo),
            ("https://example.com/#part", Fragment),
            ("https://example.com/#", Fragment),
            ("https://example.com:0/", Port),
        ] {
            assert_eq!(check(text, &[]).map_err(|error| error.kind), Err(kind), "{text}");
        }
    }

    #[test]
    fn parsers_are_not_played_against_each_other() {
        // A backslash ends the host, so what follows the @ is path.
        let seen = check("https://example.com\\@127.0.0.1/", &[]);
        assert_eq!(seen.as_deref(), Ok("https://example.com/@127.0.0.1/"));
        // Tabs and newlines vanish, and what remains is judged.
        let refused = check("https://127.0\t.0.\n1/", &[]).map_err(|error| error.kind);
        assert_eq!(refused, Err(UrlErrorKind::Address(Reason::Loopback)));
    }

    #[test]
    fn the_flag_that_a_refusal_names_makes_the_url_acceptable() {
        for (text, flag) in [
            ("http://localhost:3000", "127.0.0.0/8"),
            ("https://localhost:3000", "127.0.0.0/8"),
            ("http://app.localhost:3000", "127.0.0.0/8"),
            ("http://127.0.0.1:3000", "127.0.0.0/8"),
            ("http://[::1]:3000", "::1/128"),
            ("http://10.1.2.3/", "10.1.2.3/32"),
            ("https://192.168.1.20:8443/", "192.168.1.20/32"),
            ("https://[fd12::34]/", "fd12::34/128"),
            ("http://93.184.216.34/", "93.184.216.34/32"),
        ] {
            let sentence = check(text, &[]).unwrap_err().to_string();
            let wanted = format!("; or start the server with `--allow-target {flag}`");
            assert!(sentence.ends_with(&wanted), "{text}: {sentence}");
            assert!(check(text, &[flag]).is_ok(), "{text} with {flag}");
        }
    }

    #[test]
    fn plain_http_is_for_opened_ranges() {
        let plain_http = Err(UrlErrorKind::PlainHttp);
        let kind = |text, allow| check(text, allow).map(drop).map_err(|error| error.kind);
        assert_eq!(kind("http://10.0.0.1/", &["10.0.0.0/8"]), Ok(()));
        assert_eq!(kind("http://93.184.216.34/", &["10.0.0.0/8"]), plain_http);
        assert_eq!(kind("http://receiver.internal/", &["10.0.0.0/8"]), Ok(()));
        assert_eq!(kind("http://receiver.internal/", &[]), plain_http);
    }

    #[test]
    fn an_endpoint_cannot_be_the_server_itself() {
        let rule = Rule { allow: vec!["127.0.0.0/8".parse().unwrap()], ..Rule::default() };
        rule.own.set(vec!["127.0.0.1:8080".parse().unwrap()]);
        for text in ["http://127.0.0.1:8080/", "http://localhost:8080/", "http://0x7f.1:8080/"] {
            let error = check_url(text, &rule).unwrap_err();
            assert_eq!(error.kind, UrlErrorKind::Address(Reason::OwnListener), "{text}");
            assert_eq!(error.hint, None, "{text}");
        }
        assert!(check_url("http://127.0.0.1:8081/", &rule).is_ok());
    }
}
