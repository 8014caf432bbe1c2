//! From a message to a signed request, and from both to what is kept of them.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::attempt::{BodyRecord, RequestRecord, ResponseRecord};
use crate::endpoint::{Auth, Endpoint};
use crate::id::WebhookId;
use crate::message::{Message, WEBHOOK_ID};
use crate::secret::{MASK, Secret};
use crate::send::{Answer, Request};
use crate::signature;
use crate::time::Timestamp;

/// Shortest text of a plugin's configuration that can be a credential, and that is masked in records.
const SHORTEST_CREDENTIAL: usize = 16;

/// Why no request could be made of a message. Endpoints and plugin output are checked before, so it names a
/// fault of the host or of its store.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("the endpoint's URL cannot be read")]
    Url,
    #[error("`{0}` is not a method")]
    Method(String),
    #[error("the header `{0}` cannot be sent")]
    Header(String),
}

/// Puts together what is sent. What the endpoint says comes after what the plugins said, and the host's own headers
/// last, so that no plugin can set them.
pub fn build(
    endpoint: &Endpoint,
    message: Message,
    webhook_id: WebhookId,
    now: Timestamp,
) -> Result<Request, BuildError> {
    let mut headers = HeaderMap::new();
    for (name, value) in &message.headers {
        let (name, value) = header(name, value)?;
        headers.append(name, value);
    }
    let content_type =
        HeaderValue::from_str(&message.content_type).map_err(|_| rejected(CONTENT_TYPE.as_str()))?;
    headers.insert(CONTENT_TYPE, content_type);
    for (name, value) in &endpoint.headers {
        let (name, value) = header(name, value.expose())?;
        headers.insert(name, value);
    }
    if let Some(auth) = &endpoint.auth {
        let mut value = HeaderValue::from_str(authorization(auth).expose())
            .map_err(|_| rejected(AUTHORIZATION.as_str()))?;
        value.set_sensitive(true);
        headers.insert(AUTHORIZATION, value);
    }
    let webhook_id = webhook_id.to_string();
    let signed = signature::sign(&endpoint.signature, &endpoint.secrets, &webhook_id, now, &message.body);
    for (name, value) in std::iter::once((WEBHOOK_ID.to_owned(), webhook_id)).chain(signed) {
        let (name, value) = header(&name, &value)?;
        headers.insert(name, value);
    }
    Ok(Request {
        method: method(message.method.as_deref())?,
        url: target(endpoint, message.path_and_query.as_deref())?,
        headers,
        body: message.body,
        timeout: endpoint.timeout,
    })
}

fn rejected(name: &str) -> BuildError {
    BuildError::Header(name.to_owned())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BuildError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| rejected(name))?;
    Ok((parsed, HeaderValue::from_str(value).map_err(|_| rejected(name))?))
}

fn authorization(auth: &Auth) -> Secret {
    Secret::new(match auth {
        Auth::Bearer { token } => format!("Bearer {}", token.expose()),
        Auth::Basic { username, password } => {
            format!(
                "Basic {}",
                BASE64.encode(format!("{}:{}", username.expose(), password.expose()).as_bytes())
            )
        }
    })
}

fn method(name: Option<&str>) -> Result<Method, BuildError> {
    let Some(name) = name else { return Ok(Method::POST) };
    Method::from_bytes(name.as_bytes()).map_err(|_| BuildError::Method(name.to_owned()))
}

/// The endpoint's URL, with the plugin's path and query where it set one. Scheme, host and port stay.
fn target(endpoint: &Endpoint, path_and_query: Option<&str>) -> Result<Url, BuildError> {
    let mut url = Url::parse(endpoint.url.expose()).map_err(|_| BuildError::Url)?;
    if let Some(path_and_query) = path_and_query {
        let (path, query) = match path_and_query.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path_and_query, None),
        };
        url.set_path(path);
        url.set_query(query);
    }
    Ok(url)
}

/// Scheme, host and port. The rest of a URL is often a credential.
pub fn origin(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_path("/");
    shown.set_query(None);
    let rest = if url.path() == "/" && url.query().is_none() { "" } else { MASK };
    format!("{shown}{rest}")
}

/// Replaces an endpoint's secrets wherever a record would show them.
#[derive(Debug)]
pub struct Redactor {
    secrets: Vec<Secret>,
    headers: Vec<HeaderName>,
}

impl Redactor {
    pub fn new(endpoint: &Endpoint) -> Self {
        let mut secrets: Vec<Secret> = endpoint.secrets.iter().map(|secret| secret.text().clone()).collect();
        secrets.extend(endpoint.headers.iter().map(|(_, value)| value.clone()));
        match &endpoint.auth {
            Some(Auth::Bearer { token }) => secrets.push(token.clone()),
            Some(auth @ Auth::Basic { password, .. }) => {
                let encoded = authorization(auth);
                secrets.push(Secret::new(encoded.expose().trim_start_matches("Basic ")));
                secrets.push(password.clone());
            }
            None => {}
        }
        if let Ok(url) = Url::parse(endpoint.url.expose()) {
            secrets.push(Secret::new(&url[url::Position::BeforePath..]));
        }
        for transform in &endpoint.transforms {
            let config = serde_json::from_str(transform.config.expose()).unwrap_or_default();
            credentials(&config, &mut secrets);
        }
        secrets.retain(|secret| secret.expose().len() > 1);
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
        let headers =
            endpoint.headers.iter().filter_map(|(name, _)| name.parse().ok()).chain([AUTHORIZATION]);
        Self { headers: headers.collect(), secrets }
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret.expose()) {
                text = text.replace(secret.expose(), MASK);
            }
        }
        text
    }

    fn bytes(&self, bytes: &Bytes) -> Bytes {
        match std::str::from_utf8(bytes) {
            Ok(text) if self.secrets.iter().any(|secret| text.contains(secret.expose())) => {
                self.text(text).into()
            }
            _ => bytes.clone(),
        }
    }

    fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = |name: &HeaderName, value: &HeaderValue| {
            if self.headers.contains(name) || name == http::header::SET_COOKIE {
                MASK.to_owned()
            } else {
                self.text(&String::from_utf8_lossy(value.as_bytes()))
            }
        };
        headers.iter().map(|(name, value)| (name.to_string(), shown(name, value))).collect()
    }

    /// What is kept of a request: at most `limit` bytes of its body, and none of a body that is the payload.
    pub fn request(&self, request: &Request, payload: &Bytes, limit: usize) -> RequestRecord {
        let body = if request.body == payload {
            BodyRecord::Payload
        } else {
            let kept = self.bytes(&request.body.slice(..request.body.len().min(limit)));
            BodyRecord::Bytes { kept, length: request.body.len() as u64 }
        };
        RequestRecord {
            method: request.method.to_string(),
            url: origin(&request.url),
            headers: self.headers(&request.headers),
            body,
        }
    }

    /// What is kept of an answer: at most `limit` bytes of its body.
    pub fn response(&self, answer: &Answer, limit: usize) -> ResponseRecord {
        ResponseRecord {
            status: answer.status,
            headers: self.headers(&answer.headers),
            body: self.bytes(&answer.body.slice(..answer.body.len().min(limit))),
            truncated: answer.truncated || answer.body.len() > limit,
        }
    }
}

fn credentials(config: &serde_json::Value, found: &mut Vec<Secret>) {
    match config {
        serde_json::Value::String(text) if looks_like_a_credential(text) => {
            found.push(Secret::new(text.as_str()))
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| credentials(item, found)),
        serde_json::Value::Object(members) => members.values().for_each(|member| credentials(member, found)),
        _ => {}
    }
}

/// Long, without a space, with letters and digits: a key or a token, not a path, a title or a template.
fn looks_like_a_credential(text: &str) -> bool {
    text.len() >= SHORTEST_CREDENTIAL
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=_-.:~".contains(&b))
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().any(|b| b.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_told_from_words() {
        for credential in ["xoxb-1234567890-abcdef", "R0ut1ngKeyR0ut1ngKey", "eyJhbGciOiJIUzI1NiJ9.e30.abc"] {
            assert!(looks_like_a_credential(credential), "{credential}");
        }
        for word in
            ["document.total_amount", "Invoice {number} of 2026", "custom_01", "an ordinary sentence 1"]
        {
            assert!(!looks_like_a_credential(word), "{word}");
        }
    }

    #[test]
    fn an_origin_shows_no_more_than_where() {
        for (url, shown) in [
            ("https://hooks.example.com/services/T0/B0/secret?key=1", "https://hooks.example.com/***"),
            ("https://example.com:8443/", "https://example.com:8443/"),
            ("http://127.0.0.1:3000?token=1", "http://127.0.0.1:3000/***"),
        ] {
            assert_eq!(origin(&Url::parse(url).unwrap()), shown);
        }
    }
}
