//! What is kept of requests and answers, without an endpoint's secrets: a receiver may echo what it was sent, and a
//! plugin may say what it was configured with.

use std::cmp::Reverse;
use std::collections::HashMap;

use bytes::Bytes;
use http::header::{AUTHORIZATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memmem;
use serde_json::value::RawValue;
use url::Url;

use crate::attempt::{BodyRecord, Outcome, PluginRun, RequestRecord, ResponseRecord};
use crate::endpoint::{Auth, Endpoint};
use crate::message::Message;
use crate::secret::{MASK, Secret};
use crate::send::{Answer, Request};

use super::request::{authorization, origin};

/// Shorter secrets are masked where they stand, but not looked for in other texts: they would be found everywhere.
const SHORTEST_SECRET: usize = 6;
/// Shortest part of a URL that is looked for.
const SHORTEST_IN_URL: usize = 8;
/// Fewer bytes of a secret's beginning say nothing about it.
const SHORTEST_PART: usize = 4;
/// Shortest text of a plugin's configuration that can be a credential.
const SHORTEST_CREDENTIAL: usize = 16;

/// Replaces an endpoint's secrets wherever a record would show them.
#[derive(Debug, Default)]
pub struct Redactor {
    /// The longest first, so that no part of one is left.
    secrets: Vec<Secret>,
    /// Headers whose values are secrets.
    headers: Vec<HeaderName>,
}

impl Redactor {
    pub fn new(endpoint: &Endpoint, url: &Url) -> Self {
        let mut secrets = Vec::new();
        for signing in endpoint.secrets.kept() {
            secrets.push(signing.text().clone());
            secrets.push(Secret::new(signing.bare_text()));
        }
        secrets.extend(endpoint.terms.headers.iter().map(|(_, value)| value.clone()));
        secrets.extend(endpoint.terms.auth.iter().flat_map(of_auth));
        of_url(url, &mut secrets);
        for transform in endpoint.terms.links() {
            of_config(transform.config.expose(), &mut secrets);
        }
        secrets.retain(|secret| secret.expose().len() >= SHORTEST_SECRET);
        secrets.sort_by_key(|secret| Reverse(secret.expose().len()));
        secrets.dedup();
        let headers = endpoint.terms.headers.iter().filter_map(|(name, _)| name.parse().ok());
        Self { secrets, headers: headers.chain([AUTHORIZATION, SET_COOKIE]).collect() }
    }

    pub fn text(&self, text: &str) -> String {
        match self.masked(text.as_bytes()) {
            Some(masked) => String::from_utf8_lossy(&masked).into_owned(),
            None => text.to_owned(),
        }
    }

    /// What is kept of a request: at most `limit` bytes of its body, and none of a body that is the payload.
    pub fn request(&self, request: &Request, payload: &Bytes, limit: usize) -> RequestRecord {
        let body = if request.body == payload {
            BodyRecord::Payload
        } else {
            BodyRecord::Bytes { kept: self.body(&request.body, limit).0, length: request.body.len() as u64 }
        };
        RequestRecord {
            method: request.method.to_string(),
            url: origin(&request.url),
            headers: self.header_list(&request.headers),
            body,
        }
    }

    /// What is kept of an answer: at most `limit` bytes of its body.
    pub fn response(&self, answer: &Answer, limit: usize) -> ResponseRecord {
        let (body, cut) = self.body(&answer.body, limit);
        let body = if answer.truncated && !cut { self.without_begun(body) } else { body };
        ResponseRecord {
            status: answer.status,
            headers: self.header_list(&answer.headers),
            body,
            truncated: answer.truncated || cut,
        }
    }

    /// A plugin's own words may hold what its configuration holds.
    pub fn outcome(&self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Filtered { plugin, reason } => Outcome::Filtered { plugin, reason: self.text(&reason) },
            Outcome::Rejected { plugin, reason } => Outcome::Rejected { plugin, reason: self.text(&reason) },
            Outcome::Unreachable { kind, message } => {
                Outcome::Unreachable { kind, message: self.text(&message) }
            }
            Outcome::PluginFailed { plugin, kind, message, retry } => {
                Outcome::PluginFailed { plugin, kind: self.text(&kind), message: self.text(&message), retry }
            }
            Outcome::Judged { plugin, status, ruling, reason } => {
                Outcome::Judged { plugin, status, ruling, reason: self.text(&reason) }
            }
            other => other,
        }
    }

    pub fn runs(&self, runs: Vec<PluginRun>) -> Vec<PluginRun> {
        runs.into_iter().map(|run| self.run(run)).collect()
    }

    pub fn run(&self, mut run: PluginRun) -> PluginRun {
        run.log.iter_mut().for_each(|(_, line)| *line = self.text(line));
        run
    }

    /// What a plugin made, as it is shown.
    pub fn message(&self, message: Message) -> Message {
        let headers = message.headers.into_iter().map(|(name, value)| {
            let value = self.text(&value);
            (name, value)
        });
        Message {
            path_and_query: message.path_and_query.map(|path| self.text(&path)),
            headers: headers.collect(),
            body: self.masked(&message.body).map_or(message.body, Bytes::from),
            ..message
        }
    }

    /// Masked first and cut then, so that no secret is left in part. Also says whether it was cut.
    fn body(&self, body: &Bytes, limit: usize) -> (Bytes, bool) {
        let body = self.masked(body).map_or_else(|| body.clone(), Bytes::from);
        let cut = body.len() > limit;
        let kept = if cut { Bytes::copy_from_slice(&body[..limit]) } else { body };
        (kept, cut)
    }

    /// Where an answer was cut before it got here, a secret may have been cut in two: its beginning is left out too.
    fn without_begun(&self, mut body: Bytes) -> Bytes {
        let begun = |secret: &Secret| {
            let secret = secret.expose().as_bytes();
            (SHORTEST_PART..secret.len()).rev().find(|length| body.ends_with(&secret[..*length]))
        };
        let longest = self.secrets.iter().filter_map(begun).max().unwrap_or(0);
        body.truncate(body.len() - longest);
        body
    }

    fn header_list(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = |name: &HeaderName, value: &HeaderValue| {
            if self.headers.contains(name) {
                MASK.to_owned()
            } else {
                self.text(&String::from_utf8_lossy(value.as_bytes()))
            }
        };
        headers.iter().map(|(name, value)| (name.to_string(), shown(name, value))).collect()
    }

    /// `None` where there was nothing to mask.
    fn masked(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut masked: Option<Vec<u8>> = None;
        for secret in &self.secrets {
            let looked_at = masked.as_deref().unwrap_or(bytes);
            if let Some(replaced) = replace(looked_at, secret.expose().as_bytes()) {
                masked = Some(replaced);
            }
        }
        masked
    }
}

fn replace(bytes: &[u8], secret: &[u8]) -> Option<Vec<u8>> {
    // Most header values are shorter than any secret, and a finder costs more than the search.
    if bytes.len() < secret.len() {
        return None;
    }
    let finder = memmem::Finder::new(secret);
    finder.find(bytes)?;
    let mut replaced = Vec::with_capacity(bytes.len());
    let mut behind = 0;
    for found in finder.find_iter(bytes) {
        replaced.extend_from_slice(&bytes[behind..found]);
        replaced.extend_from_slice(MASK.as_bytes());
        behind = found + secret.len();
    }
    replaced.extend_from_slice(&bytes[behind..]);
    Some(replaced)
}

fn of_auth(auth: &Auth) -> Vec<Secret> {
    match auth {
        Auth::Bearer { token } => vec![token.clone()],
        Auth::Basic { username, password } => {
            let header = authorization(auth);
            let encoded = Secret::new(header.expose().trim_start_matches("Basic "));
            vec![encoded, username.clone(), password.clone()]
        }
    }
}

/// Path and query as a whole and apart, and the parts of them that can be a credential: receivers say back either.
fn of_url(url: &Url, found: &mut Vec<Secret>) {
    if url.path() != "/" || url.query().is_some() {
        found.push(Secret::new(&url[url::Position::BeforePath..]));
        found.push(Secret::new(url.path()));
        found.extend(url.query().map(Secret::new));
    }
    let segments = url.path_segments().into_iter().flatten();
    let values = url.query().unwrap_or_default().split('&').filter_map(|pair| Some(pair.split_once('=')?.1));
    found.extend(segments.chain(values).filter(|part| is_no_word(part)).map(Secret::new));
    found
        .extend(url.query_pairs().map(|(_, value)| value).filter(|value| is_no_word(value)).map(Secret::new));
}

/// Long enough for a credential, and not a word such as `webhooks`.
fn is_no_word(text: &str) -> bool {
    text.len() >= SHORTEST_IN_URL && !text.bytes().all(|b| b.is_ascii_lowercase())
}

/// The texts of a configuration that could be credentials. Numbers are passed over unread: some have no place in a
/// machine's number.
fn of_config(config: &str, found: &mut Vec<Secret>) {
    match config.trim_start().as_bytes().first() {
        Some(b'"') => {
            let text = serde_json::from_str::<String>(config).unwrap_or_default();
            found.extend(looks_like_a_credential(&text).then(|| Secret::new(text)));
        }
        Some(b'[') => {
            let items = serde_json::from_str::<Vec<&RawValue>>(config).unwrap_or_default();
            items.iter().for_each(|item| of_config(item.get(), found));
        }
        Some(b'{') => {
            let members = serde_json::from_str::<HashMap<String, &RawValue>>(config).unwrap_or_default();
            members.values().for_each(|member| of_config(member.get(), found));
        }
        _ => {}
    }
}

/// Long, without a space, with letters and digits: a key or a token, not a path, a title or a template.
fn looks_like_a_credential(text: &str) -> bool {
    text.len() >= SHORTEST_CREDENTIAL
        && text.bytes().all(|b| b.is_ascii_graphic() && b != b'{')
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor(secrets: &[&str]) -> Redactor {
        let secrets = secrets.iter().map(|secret| Secret::new(*secret)).collect();
        Redactor { secrets, headers: vec![AUTHORIZATION] }
    }

    #[test]
    fn credentials_are_told_from_words() {
        for credential in [
            "xoxb-1234567890-abcdef",
            "R0ut1ngKeyR0ut1ngKey",
            "eyJhbGciOiJIUzI1NiJ9.e30.abc",
            "https://x.example/h?t=abc1",
        ] {
            assert!(looks_like_a_credential(credential), "{credential}");
        }
        for word in
            ["document.total_amount", "Invoice {number} of 2026", "{custom.custom_01}", "an ordinary text 1"]
        {
            assert!(!looks_like_a_credential(word), "{word}");
        }
    }

    #[test]
    fn parts_of_a_url_are_secrets() {
        let url = Url::parse("https://h.example/services/T0AAAAAAAAAAAA/?key=abc%2Bdef&x=1").unwrap();
        let mut found = Vec::new();
        of_url(&url, &mut found);
        let found: Vec<_> = found.iter().map(Secret::expose).collect();
        for part in [
            "/services/T0AAAAAAAAAAAA/?key=abc%2Bdef&x=1",
            "T0AAAAAAAAAAAA",
            "key=abc%2Bdef&x=1",
            "abc%2Bdef",
        ] {
            assert!(found.contains(&part), "{part}");
        }
        assert!(!found.contains(&"services") && !found.contains(&"1"));
    }

    #[test]
    fn credentials_are_found_beside_any_number() {
        let mut found = Vec::new();
        of_config(r#"{"limit":1e400,"a":[{"key":"R0ut1ngKeyR0ut1ngKey"}]}"#, &mut found);
        assert_eq!(found, [Secret::new("R0ut1ngKeyR0ut1ngKey")]);
    }

    #[test]
    fn bytes_that_are_no_text_are_masked_too() {
        let mut body = b"\xff the token-12345 came".to_vec();
        body.extend_from_slice("ä".as_bytes());
        let limit = body.len() - 1;
        let (kept, cut) = redactor(&["token-12345"]).body(&Bytes::from(body), limit);
        assert!(!cut);
        assert_eq!(&kept[..11], b"\xff the *** c");
    }

    #[test]
    fn a_secret_at_the_cut_leaves_no_part() {
        let (kept, cut) = redactor(&["token-12345"]).body(&Bytes::from_static(b"abc token-12345 abc"), 8);
        assert!(cut);
        assert_eq!(&kept[..], b"abc *** ");
    }
}
