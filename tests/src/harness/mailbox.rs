//! The product's own receiver, with patience.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use hookwright::receiver::{Arrival, Expected, Receiver, Reply};
use hookwright::signature::SignatureScheme;
use http::StatusCode;

use super::PATIENCE;

/// A receiver of webhooks.
pub struct Mailbox {
    receiver: Receiver,
}

impl Mailbox {
    pub async fn open() -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self { receiver: Receiver::bind(address).await.expect("a port") }
    }

    pub fn url(&self, path: &str) -> String {
        self.receiver.url(path)
    }

    /// The next request that arrives.
    pub async fn next(&mut self) -> Arrival {
        tokio::time::timeout(PATIENCE, self.receiver.next())
            .await
            .unwrap_or_else(|_| panic!("nothing arrived within {PATIENCE:?}"))
    }

    /// As many requests as are asked for, in the order of their arrival.
    pub async fn take(&mut self, number: usize) -> Vec<Arrival> {
        let mut arrivals = Vec::with_capacity(number);
        while arrivals.len() < number {
            arrivals.push(self.next().await);
        }
        arrivals
    }

    /// Whether something has arrived that nobody has looked at.
    pub async fn is_empty(&mut self) -> bool {
        tokio::time::timeout(Duration::ZERO, self.receiver.next()).await.is_err()
    }

    /// The answer from now on.
    pub fn answer(&self, status: u16) {
        self.receiver.reply(reply(status));
    }

    /// The answers to the next requests, one each.
    pub fn answer_first(&self, statuses: impl IntoIterator<Item = u16>) {
        self.receiver.reply_first(statuses.into_iter().map(reply));
    }

    /// The next answer, with a header.
    pub fn answer_first_with(&self, status: u16, name: &str, value: &str) {
        let headers = vec![(name.to_owned(), value.to_owned())];
        self.receiver.reply_first([Reply { headers, ..reply(status) }]);
    }

    /// The next answers, each a status and a body of plain text.
    pub fn say_first<'a>(&self, answers: impl IntoIterator<Item = (u16, &'a str)>) {
        let headers = || vec![("content-type".to_owned(), "text/plain".to_owned())];
        self.receiver.reply_first(answers.into_iter().map(|(status, body)| Reply {
            headers: headers(),
            body: Bytes::copy_from_slice(body.as_bytes()),
            ..reply(status)
        }));
    }

    /// No answer at all, for longer than any test lasts.
    pub fn hang(&self) {
        self.receiver.reply(Reply { delay: PATIENCE * 10, ..reply(200) });
    }

    /// The answers come so much later than the requests.
    pub fn delay(&self, delay: Duration) {
        self.receiver.reply(Reply { delay, ..reply(200) });
    }

    /// Refuses what is not signed so. The key is the signing secret, or a public one.
    pub fn expect(&self, path: &str, scheme: SignatureScheme, key: &str) {
        let key = scheme.read_key(key).expect("a key of the scheme");
        self.receiver.expect(Some(path), Expected { scheme, key });
    }
}

fn reply(status: u16) -> Reply {
    let status = StatusCode::from_u16(status).expect("a status");
    Reply { status, headers: Vec::new(), body: Bytes::new(), delay: Duration::ZERO }
}
