//! A client of the API.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

use super::PATIENCE;

#[derive(Clone)]
pub struct Web {
    client: Client<HttpConnector, Full<Bytes>>,
    address: SocketAddr,
    authorization: Option<String>,
}

/// What the API answered.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Web {
    pub fn new(address: SocketAddr, key: &str) -> Self {
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { client, address, authorization: Some(format!("Bearer {key}")) }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn without_key(&self) -> Self {
        Self { authorization: None, ..self.clone() }
    }

    #[must_use]
    pub fn with_key(&self, key: &str) -> Self {
        Self { authorization: Some(format!("Bearer {key}")), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::POST, path, &[], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PUT, path, &[], body.to_string()).await
    }

    pub async fn patch(&self, path: &str, body: &Value) -> Answer {
        self.send(Method::PATCH, path, &[], body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    /// # Panics
    ///
    /// Where no whole answer comes.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let exchange = async {
            let (head, body) = self.client.request(request).await.expect("an answer").into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        };
        tokio::time::timeout(PATIENCE, exchange).await.unwrap_or_else(|_| panic!("no answer to {path}"))
    }
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The answer's JSON.
    ///
    /// # Panics
    ///
    /// Where the status is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        if self.body.is_empty() { Value::Null } else { self.json() }
    }

    /// The answer as a problem, with a sentence for a person.
    ///
    /// # Panics
    ///
    /// Where it is none, or of another status.
    #[track_caller]
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{}", self.text());
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty(), "{problem}");
        problem
    }
}
