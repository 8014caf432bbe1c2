//! `verify`: whether a request is signed as its receiver expects, and if not, why.

use std::process::ExitCode;

use anyhow::bail;
use clap::ArgGroup;
use serde::Serialize;

use super::argument::{self, Text};
use super::screen::{Paint, printable, say};
use crate::diagnosis::{self, Case, Finding, Scheme};
use crate::signature::SignatureScheme;
use crate::time::{Clock as _, SystemClock, Timestamp};

/// Tell whether a request's signature matches, and if not, why
///
/// What is usually wrong is tried until the signature matches: JSON that was parsed and written again, a line's end, a
/// secret that was decoded or was not, a prefix, base64 for hex, another header or scheme, a time that has passed. Exit
/// codes: 0 where it matches, 1 where it does not. Needs no server.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("what").args(["body", "request"]).required(true))]
pub struct Verify {
    /// The signing secret or public key, as the receiver has it; @file and - keep it out of the process list
    #[arg(
        long,
        env = "HOOKWRIGHT_SECRET",
        hide_env_values = true,
        value_name = "SECRET|@FILE|-",
        value_parser = Text::parse
    )]
    secret: Text,
    /// How the receiver checks: standard, hmac:HEADER or hmac:HEADER:PREFIX
    #[arg(long, default_value = "standard", value_parser = argument::signature)]
    scheme: SignatureScheme,
    /// A header of the request; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", value_parser = header, conflicts_with = "request")]
    header: Vec<(String, String)>,
    /// The request's headers, one in a line
    #[arg(long, value_name = "@FILE|-", value_parser = Text::parse, conflicts_with = "request")]
    headers: Option<Text>,
    /// The request's body, in the bytes that arrived
    #[arg(long, value_name = "TEXT|@FILE|-", value_parser = Text::parse)]
    body: Option<Text>,
    /// The whole request as it came over HTTP/1.1: headers, an empty line, the body
    #[arg(long, value_name = "@FILE|-", value_parser = Text::parse)]
    request: Option<Text>,
    /// When it arrived, in RFC 3339 [default: now]
    #[arg(long, value_name = "TIME", value_parser = Timestamp::parse)]
    at: Option<Timestamp>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

const PUBLIC_KEY: &str = "whpk_";

/// A request as far as a signature goes.
#[derive(Debug, PartialEq, Eq)]
struct Arrived {
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

#[derive(Serialize)]
struct Report {
    valid: bool,
    findings: Vec<Found>,
}

#[derive(Serialize)]
struct Found {
    code: &'static str,
    message: String,
    hint: String,
}

impl Verify {
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let secret = self.secret()?;
        let arrived = self.arrived()?;
        let case = Case {
            scheme: &scheme(self.scheme, &secret),
            secret: &secret,
            headers: &arrived.headers,
            body: &arrived.body,
            now: self.at.unwrap_or_else(|| SystemClock.now()),
        };
        let findings = diagnosis::diagnose(&case);
        if self.json {
            say(&serde_json::to_string(&Report::of(&findings))?)?;
        } else {
            say(&shown(&findings, Paint::stdout()))?;
        }
        Ok(if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// Of a file, without the line's end that editors leave.
    fn secret(&self) -> anyhow::Result<String> {
        let secret = self.secret.read()?;
        Ok(match self.secret {
            Text::Given(_) => secret,
            Text::File(_) | Text::Stdin => secret.trim_end_matches(['\r', '\n']).to_owned(),
        })
    }

    fn arrived(&self) -> anyhow::Result<Arrived> {
        let stdins = [Some(&self.secret), self.headers.as_ref(), self.body.as_ref(), self.request.as_ref()];
        if stdins.into_iter().flatten().filter(|text| **text == Text::Stdin).count() > 1 {
            bail!("only one of the arguments can be `-`: stdin is read once");
        }
        if let Some(request) = &self.request {
            return Arrived::parse(&request.read_bytes()?);
        }
        let mut headers = self.header.clone();
        if let Some(text) = &self.headers {
            headers.extend(header_lines(&text.read()?)?);
        }
        Ok(Arrived {
            headers,
            body: self.body.as_ref().map(Text::read_bytes).transpose()?.unwrap_or_default(),
        })
    }
}

/// A public key says by itself which of the standard forms is meant.
fn scheme(signature: SignatureScheme, secret: &str) -> Scheme {
    match signature {
        SignatureScheme::Standard if secret.trim_start().starts_with(PUBLIC_KEY) => Scheme::Asymmetric,
        SignatureScheme::Standard => Scheme::Standard,
        SignatureScheme::StandardAsymmetric => Scheme::Asymmetric,
        SignatureScheme::HmacSha256 { header, prefix } => Scheme::Plain { header, prefix },
    }
}

impl Arrived {
    /// Reads a request as it came over the wire, or as a person saved it: with or without its first line, and with
    /// line feeds alone.
    fn parse(raw: &[u8]) -> anyhow::Result<Self> {
        let Some((head, body)) = parted(raw) else {
            bail!("the request has no empty line between its headers and its body");
        };
        let Ok(head) = str::from_utf8(head) else { bail!("the request's headers are not UTF-8") };
        let headers = header_lines(head)?;
        let value = |name: &str| {
            let found = headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_str())
        };
        if value("transfer-encoding").is_some_and(|value| value.to_ascii_lowercase().contains("chunked")) {
            bail!(
                "the request's body is in chunks\nhint: give the body alone with `--body`, and headers with `-H`"
            );
        }
        // What an editor put behind it is no part of it.
        let length = value("content-length").and_then(|value| value.parse().ok()).unwrap_or(body.len());
        match body.get(..length) {
            Some(body) => Ok(Self { body: body.to_vec(), headers }),
            None => bail!("the request says that its body has {length} bytes, and there are {}", body.len()),
        }
    }
}

fn parted(raw: &[u8]) -> Option<(&[u8], &[u8])> {
    let at =
        |end: &[u8]| raw.windows(end.len()).position(|window| window == end).map(|at| (at, at + end.len()));
    let ends = [at(b"\r\n\r\n"), at(b"\n\n")];
    let (head, body) = ends.into_iter().flatten().min()?;
    Some((&raw[..head], &raw[body..]))
}

/// Headers, one in a line; a request's first line is passed over.
fn header_lines(text: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    lines.next_if(|line| line.split(' ').count() == 3 && line.trim_end().contains(" HTTP/"));
    lines.map(|line| header(line).map_err(anyhow::Error::msg)).collect()
}

fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().to_owned(), value.trim().to_owned()))
        }
        _ => Err(format!("`{}` is not of the form `Name: value`", text.chars().take(64).collect::<String>())),
    }
}

impl Report {
    fn of(findings: &[Finding]) -> Self {
        let found = |finding: &Finding| Found {
            code: finding.code(),
            message: finding.to_string(),
            hint: finding.hint(),
        };
        Self { valid: findings.is_empty(), findings: findings.iter().map(found).collect() }
    }
}

fn shown(findings: &[Finding], paint: Paint) -> String {
    if findings.is_empty() {
        return paint.good("The signature matches.");
    }
    let mut text = paint.bad("The signature does not match:");
    for finding in findings {
        text +=
            &format!("\n  {}.\n    hint: {}.", printable(&finding.to_string()), printable(&finding.hint()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_came_or_were_saved() {
        let expected = |body: &str| Arrived {
            headers: vec![("Host".into(), "h".into()), ("X-Sig".into(), "a: b".into())],
            body: body.as_bytes().to_vec(),
        };
        for (raw, body) in [
            ("POST / HTTP/1.1\r\nHost: h\r\nX-Sig: a: b\r\n\r\n{}\r\n\r\n", "{}\r\n\r\n"),
            ("POST /a?b HTTP/2\nHost: h\nX-Sig:a: b\n\n{}", "{}"),
            ("Host: h\nX-Sig: a: b\n\n", ""),
            ("Host: h\r\nX-Sig: a: b\n\r\n\r\n\n\n", "\n\n"),
        ] {
            assert_eq!(Arrived::parse(raw.as_bytes()).unwrap(), expected(body), "{raw:?}");
        }
        let cut = Arrived::parse(b"Content-Length: 2\n\n{}\n").unwrap();
        assert_eq!(cut.body, b"{}");
        for (raw, part) in [
            ("Host: h", "empty line"),
            ("nothing\n\n", "Name: value"),
            ("Content-Length: 9\n\n{}", "9 bytes"),
            ("Transfer-Encoding: chunked\n\n2\r\n{}\r\n0\r\n\r\n", "chunks"),
        ] {
            let error = Arrived::parse(raw.as_bytes()).expect_err(raw);
            assert!(error.to_string().contains(part), "{raw:?}: {error}");
        }
        assert!(Arrived::parse(b"a: \xff\n\n").is_err());
    }

    #[test]
    fn a_public_key_says_which_form_is_meant() {
        assert_eq!(scheme(SignatureScheme::Standard, "whpk_AAAA"), Scheme::Asymmetric);
        assert_eq!(scheme(SignatureScheme::Standard, "whsec_AAAA"), Scheme::Standard);
    }

    #[test]
    fn findings_are_told_with_what_mends_them() {
        let findings = [Finding::PrefixExtra { found: "sha256=".into() }, Finding::SecretPadded];
        let text = shown(&findings, Paint::stdout());
        assert_eq!(text.lines().count(), 5, "{text}");
        let json = serde_json::to_value(Report::of(&findings)).unwrap();
        assert_eq!((&json["valid"], &json["findings"][0]["code"]), (&false.into(), &"prefix-extra".into()));
        assert_eq!(serde_json::to_string(&Report::of(&[])).unwrap(), r#"{"valid":true,"findings":[]}"#);
    }
}
