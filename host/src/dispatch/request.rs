//! From a message to a signed request.

use bytes::Bytes;
use data_encoding::BASE64;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use url::Url;

use crate::ecmascript;
use crate::endpoint::{Auth, Endpoint};
use crate::id::WebhookId;
use crate::message::{Message, WEBHOOK_ID};
use crate::secret::{MASK, Secret};
use crate::send::Request;
use crate::signature;
use crate::terms::BodyForm;
use crate::time::Timestamp;

use super::redact::Redactor;

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

/// What an endpoint puts into each of its requests, made once for each of its versions.
#[derive(Debug)]
pub struct Outfit {
    url: Url,
    headers: HeaderMap,
    pub redactor: Redactor,
}

impl Outfit {
    pub fn new(endpoint: &Endpoint) -> Result<Self, BuildError> {
        let mut headers = HeaderMap::new();
        for (name, value) in &endpoint.terms.headers {
            let (name, mut value) = header(name, value.expose())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        if let Some(auth) = &endpoint.terms.auth {
            let (name, mut value) = header(AUTHORIZATION.as_str(), authorization(auth).expose())?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = Url::parse(endpoint.url.expose()).map_err(|_| BuildError::Url)?;
        Ok(Self { redactor: Redactor::new(endpoint, &url), url, headers })
    }

    /// Puts together what is sent. What the endpoint says comes after what the plugins said, and the host's own headers
    /// last, so that no plugin can set them.
    pub fn request(
        &self,
        endpoint: &Endpoint,
        message: Message,
        webhook_id: WebhookId,
        now: Timestamp,
    ) -> Result<Request, BuildError> {
        let mut headers = HeaderMap::with_capacity(message.headers.len() + self.headers.len() + 4);
        let body = in_form(endpoint.terms.body, &message);
        for (name, value) in &message.headers {
            let (name, value) = header(name, value)?;
            headers.append(name, value);
        }
        let (name, value) = header(CONTENT_TYPE.as_str(), &message.content_type)?;
        headers.insert(name, value);
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        // No other signature than the host's, also where one is not in use at the moment.
        for name in endpoint.terms.signature.own_headers() {
            headers.remove(name);
        }
        let webhook_id = webhook_id.to_string();
        let signed = signature::sign(&endpoint.terms.signature, &endpoint.secrets, &webhook_id, now, &body);
        for (name, value) in std::iter::once((WEBHOOK_ID.to_owned(), webhook_id)).chain(signed) {
            let (name, value) = header(&name, &value)?;
            headers.insert(name, value);
        }
        Ok(Request {
            method: method(message.method.as_deref())?,
            url: self.target(message.path_and_query.as_deref()),
            headers,
            body,
            timeout: endpoint.terms.timeout,
        })
    }

    /// The endpoint's URL, with the plugin's path and query where it set one. Scheme, host and port stay.
    fn target(&self, path_and_query: Option<&str>) -> Url {
        let mut url = self.url.clone();
        if let Some(path_and_query) = path_and_query {
            let (path, query) = match path_and_query.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (path_and_query, None),
            };
            url.set_path(path);
            url.set_query(query);
        }
        url
    }
}

/// The body as the endpoint wants it. What is no JSON, or nested too deep, goes out as it is.
fn in_form(form: BodyForm, message: &Message) -> Bytes {
    match form {
        BodyForm::Ecmascript if message.is_json() => {
            ecmascript::stringify(&message.body).map_or_else(|_| message.body.clone(), Bytes::from)
        }
        BodyForm::AsIs | BodyForm::Ecmascript => message.body.clone(),
    }
}

fn rejected(name: &str) -> BuildError {
    BuildError::Header(name.to_owned())
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), BuildError> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| rejected(name))?;
    Ok((parsed, HeaderValue::from_str(value).map_err(|_| rejected(name))?))
}

pub fn authorization(auth: &Auth) -> Secret {
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

/// Scheme, host and port. The rest of a URL is often a credential.
pub fn origin(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_path("/");
    shown.set_query(None);
    let rest = if url.path() == "/" && url.query().is_none() { "" } else { MASK };
    format!("{shown}{rest}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;
    use crate::endpoint::{Hold, Order};
    use crate::event::Tenant;
    use crate::id::EndpointId;
    use crate::secret::SigningSecret;
    use crate::signature::SignatureScheme;
    use crate::subscription::{Pattern, Subscription};
    use crate::terms::{InForce, Terms};

    #[test]
    fn bodies_are_written_anew_where_they_are_json() {
        let formed = |content_type: &str, body: &'static str| {
            let message = Message {
                content_type: content_type.to_owned(),
                ..Message::of_payload(Bytes::from_static(body.as_bytes()))
            };
            assert_eq!(in_form(BodyForm::AsIs, &message), body);
            in_form(BodyForm::Ecmascript, &message)
        };
        assert_eq!(formed("application/json", "{ \"a\": 1.0 }"), "{\"a\":1}");
        for (content_type, body) in
            [("text/plain", "{ \"a\": 1.0 }"), ("application/json", "{ \"a\": 1.0"), ("application/json", "")]
        {
            assert_eq!(formed(content_type, body), body);
        }
    }

    #[test]
    fn the_headers_of_a_signature_are_the_hosts() {
        let signature = SignatureScheme::HmacSha256 { header: "X-Sig".into(), prefix: String::new() };
        let forged = |name: &str| (name.to_owned(), Secret::new("forged"));
        let own = Terms {
            signature: Some(signature),
            headers: vec![forged("X-SIG-next"), forged("X-Other")],
            ..Terms::default()
        };
        let endpoint = Endpoint {
            id: EndpointId::from_u128(1),
            tenant: Tenant::default(),
            name: String::new(),
            description: String::new(),
            url: Secret::new("https://example.com/"),
            subscription: Subscription { events: vec![Pattern::Any], channels: Vec::new() },
            version: None,
            terms: InForce::of(&[&own], Duration::from_secs(1)),
            own,
            secrets: SigningSecret::from_key([7; 32]).into(),
            rate_limit: None,
            concurrency: 1,
            order: Order::Free,
            judged_from: Timestamp::ZERO,
            hold: Hold::default(),
            created_at: Timestamp::ZERO,
            updated_at: Timestamp::ZERO,
        };
        let mut message = Message::of_payload(Bytes::from_static(b"1"));
        message.headers = vec![("x-sig-next".into(), "forged".into()), ("x-sig".into(), "forged".into())];
        let outfit = Outfit::new(&endpoint).unwrap();
        let id = WebhookId::from_u128(1);
        let request = outfit.request(&endpoint, message, id, Timestamp::ZERO).unwrap();
        assert_eq!(request.headers.get("x-sig-next"), None);
        assert_eq!(request.headers.get_all("x-sig").iter().count(), 1);
        assert_ne!(request.headers["x-sig"], "forged");
        assert_eq!(request.headers["x-other"], "forged");
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
