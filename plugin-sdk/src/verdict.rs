//! The words of a transform, with the ways to make them.

use serde::{Serialize, de::DeserializeOwned};

use crate::{Failure, Result, json};

pub use crate::bindings::types::{Event, Message, Verdict};

/// The content type of a JSON body.
pub const JSON: &str = "application/json";

impl Verdict {
    /// Send `body` as JSON; method, path and headers stay as `message` has them.
    ///
    /// ```
    /// # use hookwright_plugin::{Message, Verdict};
    /// let message = Message::json(r#"{"name":"Acme"}"#);
    /// let verdict = Verdict::json(&message, &["Acme"])?;
    /// assert_eq!(verdict, Verdict::Replace(Message::json(r#"["Acme"]"#)));
    /// # Ok::<(), hookwright_plugin::Failure>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Failure::BAD_OUTPUT`] where `body` is a value that JSON has no form for, such as a map whose keys
    /// are not strings.
    pub fn json<T: Serialize + ?Sized>(message: &Message, body: &T) -> Result<Self> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Failure::new(Failure::BAD_OUTPUT, format!("The result cannot be written as JSON: {error}."))
        })?;
        Ok(Self::body(message, JSON, body))
    }

    /// Send these bytes; method, path and headers stay as `message` has them.
    pub fn body(message: &Message, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self::Replace(Message {
            method: message.method.clone(),
            path_and_query: message.path_and_query.clone(),
            content_type: content_type.to_owned(),
            headers: message.headers.clone(),
            body: body.into(),
        })
    }

    /// Not for this endpoint: the delivery ends as filtered, which is a success. `reason` is a sentence.
    pub fn drop(reason: impl Into<String>) -> Self {
        Self::Drop(reason.into())
    }

    /// It can never be delivered: the delivery ends as failed, without a retry. `reason` is a sentence.
    pub fn reject(reason: impl Into<String>) -> Self {
        Self::Reject(reason.into())
    }
}

impl Event {
    /// The value of an attribute, if the host gave it.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The id under which the message goes out: the same on every attempt, and on a replay that does not ask for
    /// another. From a host that does not tell it, the event's.
    pub fn webhook_id(&self) -> &str {
        self.attribute("webhook-id").unwrap_or(&self.id)
    }
}

impl Message {
    /// A message as the first link of a chain gets it: a JSON body and nothing else.
    pub fn json(body: impl Into<Vec<u8>>) -> Self {
        Self {
            method: None,
            path_and_query: None,
            content_type: JSON.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// The body as a tree that borrows from it and keeps every number and key as it was written.
    ///
    /// # Errors
    ///
    /// Where the body is not JSON, is not UTF-8, or nests deeper than [`json::MAX_DEPTH`].
    pub fn tree(&self) -> Result<json::Value<'_>> {
        Ok(json::parse(&self.body)?)
    }

    /// The body as a type of your own. Numbers go through Rust's, which have an end: where they have to come
    /// out as they went in, use [`tree`](Self::tree).
    ///
    /// # Errors
    ///
    /// Where the body is not JSON or not of that form.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_slice(&self.body)?)
    }
}
