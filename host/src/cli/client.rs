//! A client of the API.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::screen::say;
use crate::secret::Secret;
use crate::send;

/// For a whole request.
const TIMEOUT: Duration = Duration::from_secs(60);
/// For one that makes the server compile a component.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(300);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Most bytes of an answer.
const MAX_ANSWER: usize = 256 << 20;
/// Most pages that a command reads by itself.
const MAX_PAGES: usize = 1_000;

/// Items asked for in a page.
const PAGE: usize = 500;

const JSON: &str = "application/json";

/// Where the server is, and how to show what it says.
#[derive(Debug, Clone, clap::Args)]
pub struct Connection {
    /// Address of the server
    // Not named `url`: arguments of subcommands are, and the two would be one.
    #[arg(
        long = "url",
        value_name = "URL",
        env = "HOOKWRIGHT_URL",
        default_value = "http://127.0.0.1:8420",
        global = true
    )]
    server: Url,
    /// Key of the API: the admin key that `serve` printed at its first start
    #[arg(long, env = "HOOKWRIGHT_KEY", hide_env_values = true, global = true, value_parser = secret)]
    key: Option<Secret>,
    /// Certificate authorities of the server in PEM, beside those of this machine
    #[arg(long, value_name = "FILE", env = "HOOKWRIGHT_CA_FILE", global = true)]
    // Text, since an empty one is none, as it is for the server.
    ca_file: Option<String>,
    /// Print what the API answers, as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

impl Connection {
    pub fn client(&self) -> anyhow::Result<Client> {
        let authorities = Authorities::in_file(self.ca_file.as_deref());
        Client::trusting(self.server.clone(), self.key.clone(), authorities)
    }
}

fn secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

/// Whose certificates a server may show.
#[derive(Debug, Clone, Copy)]
pub enum Authorities<'a> {
    /// Those that this machine trusts, and those of the file.
    Known(Option<&'a Path>),
    /// Anybody's: for a server on this machine that is told nothing.
    Any,
}

impl<'a> Authorities<'a> {
    /// An empty name is none.
    pub fn in_file(name: Option<&'a str>) -> Self {
        Authorities::Known(name.filter(|name| !name.is_empty()).map(Path::new))
    }
}

pub struct Client {
    base: Url,
    key: Option<Secret>,
    http: legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A successful answer, in the bytes that came.
#[derive(Debug, Clone)]
pub struct Answer {
    pub text: String,
}

/// A page of a list.
#[derive(Debug, Deserialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// RFC 9457, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Problem {
    title: String,
    detail: String,
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    #[serde(default)]
    pointer: String,
    message: String,
    /// What is wrong, where it is not the request.
    of: Option<String>,
}

impl Client {
    /// # Errors
    ///
    /// An address that is not http or https; for https, a machine without certificate authorities.
    pub fn new(base: Url, key: Option<Secret>) -> anyhow::Result<Self> {
        Self::trusting(base, key, Authorities::Known(None))
    }

    /// As [`Client::new`]. A file of authorities that is no good is an error too.
    pub fn trusting(base: Url, key: Option<Secret>, authorities: Authorities<'_>) -> anyhow::Result<Self> {
        let https = match base.scheme() {
            "http" => false,
            "https" => true,
            other => bail!("the server's address begins with `{other}:`; it has to be http or https"),
        };
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
        connector.set_nodelay(true);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls(https, authorities)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(connector);
        let http = legacy::Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { base, key, http })
    }

    /// Where a page of the server is, for a browser.
    pub fn page(&self, path: &str) -> String {
        format!("{}{path}", self.base.as_str().trim_end_matches('/'))
    }

    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Answer> {
        self.call(Method::GET, path, query, None).await
    }

    pub async fn post(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, &[], Some((JSON, body))).await
    }

    pub async fn post_as(&self, path: &str, media_type: &str, body: String) -> anyhow::Result<Answer> {
        self.call(Method::POST, path, &[], Some((media_type, body))).await
    }

    pub async fn patch(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        self.call(Method::PATCH, path, &[], Some((JSON, body))).await
    }

    pub async fn put(&self, path: &str, body: String) -> anyhow::Result<Answer> {
        self.call(Method::PUT, path, &[], Some((JSON, body))).await
    }

    /// Puts something other than JSON, which the server may look at for as long as it takes.
    pub async fn upload(
        &self,
        path: &str,
        query: &[(&str, String)],
        (media_type, bytes): (&str, Bytes),
        header: Option<(HeaderName, HeaderValue)>,
    ) -> anyhow::Result<Answer> {
        let mut request = self.request(Method::PUT, path, query, Some((media_type, bytes)))?;
        request.headers_mut().extend(header);
        self.exchange(request, UPLOAD_TIMEOUT).await
    }

    /// What a change would change, without making it.
    pub async fn dry_run(&self, method: Method, path: &str, body: String) -> anyhow::Result<Answer> {
        self.call(method, path, &[("dry_run", "true".to_owned())], Some((JSON, body))).await
    }

    pub async fn delete(&self, path: &str) -> anyhow::Result<Answer> {
        self.call(Method::DELETE, path, &[], None).await
    }

    /// Posts, and hands the bytes of the answer on as they come, however many.
    pub async fn download(
        &self,
        path: &str,
        mut take: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let request = self.request(Method::POST, path, &[], None)?;
        let late = |_| anyhow!("{} did not answer within {} seconds", self.origin(), TIMEOUT.as_secs());
        let response = tokio::time::timeout(TIMEOUT, self.http.request(request)).await.map_err(late)?;
        let (head, mut body) = response.map_err(|error| self.unreachable(&error))?.into_parts();
        if !head.status.is_success() {
            let body = Limited::new(body, MAX_ANSWER).collect();
            let body = tokio::time::timeout(TIMEOUT, body).await.map_err(late)?.map_err(broken)?.to_bytes();
            return Err(self.refused(head.status, &String::from_utf8_lossy(&body)));
        }
        while let Some(frame) = tokio::time::timeout(TIMEOUT, body.frame()).await.map_err(late)? {
            if let Some(bytes) = frame.map_err(broken)?.data_ref() {
                take(bytes).context("what the server sends cannot be written")?;
            }
        }
        Ok(())
    }

    pub async fn delete_with(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Answer> {
        self.call(Method::DELETE, path, query, None).await
    }

    /// All pages of a list.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<Vec<T>> {
        self.all_of(path, &[]).await
    }

    /// All pages of a list, of what the filters let through.
    pub async fn all_of<T: DeserializeOwned>(
        &self,
        path: &str,
        filters: &[(&str, String)],
    ) -> anyhow::Result<Vec<T>> {
        let mut items = Vec::new();
        let first = [filters, &[("limit", PAGE.to_string())]].concat();
        let mut query = first.clone();
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.get(path, &query).await?.read()?;
            items.extend(page.items);
            match page.next {
                Some(cursor) => query = [first.as_slice(), &[("cursor", cursor)]].concat(),
                None => return Ok(items),
            }
        }
        bail!("{path} has more than {MAX_PAGES} pages")
    }

    async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<(&str, String)>,
    ) -> anyhow::Result<Answer> {
        let body = body.map(|(media_type, text)| (media_type, Bytes::from(text)));
        self.exchange(self.request(method, path, query, body)?, TIMEOUT).await
    }

    async fn exchange(&self, request: Request<Full<Bytes>>, timeout: Duration) -> anyhow::Result<Answer> {
        let exchange = async {
            let response = self.http.request(request).await.map_err(|error| self.unreachable(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(broken)?.to_bytes();
            anyhow::Ok((head.status, String::from_utf8_lossy(&body).into_owned()))
        };
        let (status, text) = tokio::time::timeout(timeout, exchange).await.map_err(|_| {
            anyhow!("{} did not answer within {} seconds", self.origin(), timeout.as_secs())
        })??;
        if status.is_success() { Ok(Answer { text }) } else { Err(self.refused(status, &text)) }
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<(&str, Bytes)>,
    ) -> anyhow::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder().method(method).uri(address(&self.base, path, query));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.expose()));
        }
        let body = match body {
            Some((media_type, body)) => {
                request = request.header(header::CONTENT_TYPE, media_type);
                Full::new(body)
            }
            None => Full::default(),
        };
        request.body(body).context("the key, or the server's address, cannot be written into a request")
    }

    fn unreachable(&self, error: &legacy::Error) -> anyhow::Error {
        let mut cause = error.source();
        let mut last = error.to_string();
        while let Some(error) = cause {
            last = error.to_string();
            if let Some(io) = error.downcast_ref::<std::io::Error>()
                && io.kind() == std::io::ErrorKind::ConnectionRefused
            {
                return anyhow!(
                    "nothing listens on {}\nhint: start the server with `hookwright serve`, or say where it is with \
                     `--url` or HOOKWRIGHT_URL",
                    self.origin()
                );
            }
            cause = error.source();
        }
        anyhow!("{} cannot be reached: {last}", self.origin())
    }

    fn refused(&self, status: StatusCode, text: &str) -> anyhow::Error {
        let mut message = explain(status, text);
        if status == StatusCode::UNAUTHORIZED {
            message += match self.key {
                Some(_) => "\nhint: check `--key` or HOOKWRIGHT_KEY",
                None => "\nhint: give the admin key with `--key` or HOOKWRIGHT_KEY",
            };
        }
        anyhow!(message)
    }

    fn origin(&self) -> String {
        self.base.origin().ascii_serialization()
    }
}

impl Answer {
    /// # Errors
    ///
    /// Where it is not what this version of the command expects.
    pub fn read<T: DeserializeOwned>(&self) -> anyhow::Result<T> {
        serde_json::from_str(&self.text)
            .context("the server's answer is not what was expected; is it a Hookwright of this version?")
    }

    pub fn print(&self) -> anyhow::Result<()> {
        Ok(say(&self.text)?)
    }
}

/// The detail; where there are several errors, all of them with their places instead.
fn explain(status: StatusCode, text: &str) -> String {
    let problem: Problem = serde_json::from_str(text).unwrap_or_default();
    let first = [&problem.detail, &problem.title].into_iter().find(|text| !text.is_empty());
    let first = first.cloned().unwrap_or_else(|| format!("the server answered {status}"));
    if problem.errors.len() < 2 {
        return first;
    }
    let mut message = format!("{} things are wrong with the request", problem.errors.len());
    for FieldError { pointer, message: reason, of } in &problem.errors {
        let places = [of.as_deref(), Some(pointer.as_str())].into_iter().flatten();
        let place: Vec<&str> = places.filter(|place| !place.is_empty()).collect();
        message += &match place.is_empty() {
            true => format!("\n  {reason}"),
            false => format!("\n  {}: {reason}", place.join(", ")),
        };
    }
    message
}

/// A path below the server's address, which may have one of its own.
fn address(base: &Url, path: &str, query: &[(&str, String)]) -> String {
    let mut url = base.clone();
    url.set_path(&format!("{}{path}", base.path().trim_end_matches('/')));
    url.set_query(None);
    url.set_fragment(None);
    if !query.is_empty() {
        url.query_pairs_mut().extend_pairs(query);
    }
    url.into()
}

/// A value as one segment of a path.
pub fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

fn broken(error: impl fmt::Display) -> anyhow::Error {
    anyhow!("the server's answer broke off: {error}")
}

fn tls(https: bool, authorities: Authorities<'_>) -> anyhow::Result<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    if !https {
        // Never used: there is no https address, and redirects are not followed.
        return Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth());
    }
    let verifier: Arc<dyn ServerCertVerifier> = match authorities {
        Authorities::Any => Arc::new(Anybody(provider)),
        Authorities::Known(file) => {
            let extra = file.map(send::authorities).transpose()?.unwrap_or_default();
            let verifier = Verifier::new_with_extra_roots(extra, provider);
            Arc::new(verifier.context(
                "this machine has no certificate authorities for https; name one with `--ca-file`",
            )?)
        }
    };
    Ok(builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth())
}

/// Takes any certificate, though its holder has to have the key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let at = |base: &str, query: &[(&str, String)]| {
            address(&Url::parse(base).expect("a URL"), "/v1/events", query)
        };
        assert_eq!(at("http://h:1", &[]), "http://h:1/v1/events");
        assert_eq!(at("https://h/hooks/?x=1#y", &[]), "https://h/hooks/v1/events");
        let query = [("type", "a b&c".to_owned()), ("limit", "5".to_owned())];
        assert_eq!(at("http://h", &query), "http://h/v1/events?type=a+b%26c&limit=5");
        assert_eq!(segment("../a b?é"), "..%2Fa%20b%3F%C3%A9");
    }

    #[test]
    fn problems_are_shown_with_their_places() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        let one = r#"{"title":"t","detail":"/url: it is none","errors":[{"pointer":"/url","message":"it is none"}]}"#;
        assert_eq!(explain(status, one), "/url: it is none");
        let two =
            r#"{"detail":"two","errors":[{"pointer":"/a","message":"b"},{"pointer":"","message":"c"}]}"#;
        assert_eq!(explain(status, two), "2 things are wrong with the request\n  /a: b\n  c");
        assert_eq!(explain(status, r#"{"title":"Not so"}"#), "Not so");
        assert_eq!(explain(StatusCode::BAD_GATEWAY, "<html>"), "the server answered 502 Bad Gateway");
    }

    #[tokio::test]
    async fn a_server_that_is_not_there() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let url = Url::parse(&format!("http://{}", free.expect("a free port"))).expect("a URL");
        let error =
            Client::new(url, None).expect("a client").get("/v1/events", &[]).await.expect_err("nobody");
        assert!(error.to_string().contains("hint: start the server with `hookwright serve`"), "{error}");
    }
}
