//! What a handler gets, and what is read from what it gives back.

use boa_engine::{
    JsError, JsNativeError, JsResult, JsString, JsValue,
    builtins::promise::PromiseState,
    object::{JsObject, builtins::JsArray, builtins::JsPromise},
};
use hookwright_plugin::{Event, Failure, JSON, Message, Result, Verdict, json::Value};

use crate::{
    convert::{self, Digits},
    engine::{Engine, Handler, Style},
};

/// One message on its way through a handler.
pub(crate) struct Webhook<'a> {
    pub(crate) event: &'a Event,
    pub(crate) message: &'a Message,
    pub(crate) payload: &'a Value<'a>,
}

impl Webhook<'_> {
    pub(crate) fn through(&self, engine: &mut Engine, handler: &Handler) -> Result<Verdict> {
        let mut digits = Digits::default();
        let result = self
            .call(engine, handler, &mut digits)
            .and_then(|result| self.verdict(result, handler.style, digits, engine));
        result.unwrap_or_else(|error| Err(engine.fault(&error).failure()))
    }

    fn call(&self, engine: &mut Engine, handler: &Handler, digits: &mut Digits) -> JsResult<JsValue> {
        let webhook = self.object(handler.style, digits, engine)?;
        let mut arguments = vec![JsValue::from(webhook)];
        if handler.style == Style::Request {
            arguments.push(self.facts(engine)?.into());
        }
        let result = handler.function.call(&JsValue::undefined(), &arguments, &mut engine.context)?;
        settled(result, engine)
    }

    /// `webhook`, or `request`.
    fn object(&self, style: Style, digits: &mut Digits, engine: &mut Engine) -> JsResult<JsObject> {
        let payload = convert::to_js(self.payload, digits, &mut engine.context)?;
        let object = match style {
            Style::Webhook => self.facts(engine)?,
            Style::Request => JsObject::with_object_proto(engine.context.intrinsics()),
        };
        let text = |text: &str| JsValue::from(JsString::from(text));
        let headers = JsObject::with_object_proto(engine.context.intrinsics());
        for (name, value) in &self.message.headers {
            convert::set(&headers, &name.to_ascii_lowercase(), text(value), &mut engine.context)?;
        }
        convert::set(
            &object,
            "method",
            text(self.message.method.as_deref().unwrap_or("POST")),
            &mut engine.context,
        )?;
        convert::set(
            &object,
            "path",
            self.message.path_and_query.as_deref().map_or(JsValue::null(), text),
            &mut engine.context,
        )?;
        convert::set(&object, "contentType", text(&self.message.content_type), &mut engine.context)?;
        convert::set(&object, "headers", headers.into(), &mut engine.context)?;
        convert::set(&object, "cancel", JsValue::from(false), &mut engine.context)?;
        convert::set(&object, style.body(), payload, &mut engine.context)?;
        Ok(object)
    }

    /// What is known of the event.
    fn facts(&self, engine: &mut Engine) -> JsResult<JsObject> {
        let object = JsObject::with_object_proto(engine.context.intrinsics());
        let text = |text: &str| JsValue::from(JsString::from(text));
        convert::set(&object, "eventType", text(&self.event.event_type), &mut engine.context)?;
        convert::set(&object, "eventId", text(&self.event.id), &mut engine.context)?;
        convert::set(&object, "tenant", text(&self.event.tenant), &mut engine.context)?;
        convert::set(&object, "timestamp", text(&self.event.timestamp), &mut engine.context)?;
        convert::set(&object, "attemptedAt", text(&self.event.attempted_at), &mut engine.context)?;
        convert::set(&object, "attempt", JsValue::from(self.event.attempt), &mut engine.context)?;
        let channels: Vec<JsValue> = self.event.channels.iter().map(|channel| text(channel)).collect();
        let channels = JsArray::from_iter(channels, &mut engine.context);
        convert::set(&object, "channels", channels.into(), &mut engine.context)?;
        Ok(object)
    }

    fn verdict(
        &self,
        result: JsValue,
        style: Style,
        digits: Digits,
        engine: &mut Engine,
    ) -> JsResult<Result<Verdict>> {
        let Some(object) = result.as_object() else {
            return Ok(Err(Failure::new("bad-output", NOT_RETURNED)));
        };
        let mut member = |name: &str| object.get(JsString::from(name), &mut engine.context);
        if let Some(reason) = cancelled(&member("cancel")?) {
            return Ok(Ok(Verdict::drop(reason)));
        }
        let (method, path, kind) = (member("method")?, member("path")?, member("contentType")?);
        let (headers, body) = (member("headers")?, member(style.body())?);
        let content_type = text_of(&kind).unwrap_or_else(|| JSON.to_owned());
        let Some(body) = written(&body, &content_type, digits, engine)? else {
            return Ok(Err(Failure::new(
                "bad-output",
                format!("The handler gave back no {}.", style.body()),
            )));
        };
        Ok(Ok(Verdict::Replace(Message {
            method: self.method(text_of(&method)),
            path_and_query: text_of(&path),
            content_type,
            headers: self.headers(&headers, engine)?,
            body: body.into_bytes(),
        })))
    }

    /// A handler that leaves the method alone leaves it unsaid.
    fn method(&self, method: Option<String>) -> Option<String> {
        match method {
            Some(method) if method == "POST" && self.message.method.is_none() => None,
            method => method,
        }
    }

    /// In the order of the message, and then in that of the script. A header that may come more than once keeps
    /// its spelling and its values where the script leaves it alone.
    fn headers(&self, headers: &JsValue, engine: &mut Engine) -> JsResult<Vec<(String, String)>> {
        let Some(object) = headers.as_object() else {
            return Ok(Vec::new());
        };
        let mut result = Vec::new();
        for key in object.own_property_keys(&mut engine.context)? {
            let name = key.to_string();
            let value = object.get(key, &mut engine.context)?;
            if value.is_null_or_undefined() {
                continue;
            }
            let value = value.to_string(&mut engine.context)?.to_std_string_lossy();
            let same = |(known, _): &&(String, String)| known.eq_ignore_ascii_case(&name);
            let known: Vec<_> = self.message.headers.iter().filter(same).cloned().collect();
            match known.last() {
                Some((_, last)) if *last == value => result.extend(known),
                _ => result.push((name, value)),
            }
        }
        Ok(result)
    }
}

impl Style {
    /// The member with the payload.
    fn body(self) -> &'static str {
        match self {
            Style::Webhook => "payload",
            Style::Request => "body",
        }
    }
}

const NOT_RETURNED: &str = "The handler gave nothing back; it ends with `return webhook;`.";
const CANCELLED: &str = "The script cancelled it.";

/// Why the message is not to go out.
fn cancelled(cancel: &JsValue) -> Option<String> {
    match cancel.as_string() {
        Some(reason) if !reason.is_empty() => Some(reason.to_std_string_lossy()),
        _ => cancel.to_boolean().then(|| CANCELLED.to_owned()),
    }
}

fn text_of(value: &JsValue) -> Option<String> {
    value.as_string().map(|text| text.to_std_string_lossy())
}

/// JSON, unless the content type says something else and there is a text to send.
fn written(
    body: &JsValue,
    content_type: &str,
    digits: Digits,
    engine: &mut Engine,
) -> JsResult<Option<String>> {
    match body.as_string() {
        Some(text) if !is_json(content_type) => Ok(Some(text.to_std_string_lossy())),
        _ => convert::stringify(body, Some(digits), &mut engine.context),
    }
}

fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == JSON || kind.ends_with("+json")
}

/// The result of an `async` handler, too.
fn settled(result: JsValue, engine: &mut Engine) -> JsResult<JsValue> {
    let Some(promise) = result.as_object().and_then(|object| JsPromise::from_object(object.clone()).ok())
    else {
        return Ok(result);
    };
    engine.context.run_jobs()?;
    match promise.state() {
        PromiseState::Fulfilled(value) => Ok(value),
        PromiseState::Rejected(error) => Err(JsError::from_opaque(error)),
        PromiseState::Pending => Err(JsNativeError::error()
            .with_message(
                "The handler waits for something that never comes; there are no timers and no network.",
            )
            .into()),
    }
}
