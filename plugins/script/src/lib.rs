//! `script`: a message shaped by a JavaScript function of the operator's own.
//!
//! The engine is compiled in, so nothing of the outside is there: no `fetch`, no timers, no modules. Each call
//! gets a fresh engine.

use hookwright_plugin::prelude::*;

mod convert;
mod engine;
mod webhook;

use engine::Engine;
use webhook::Webhook;

/// The configuration.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// JavaScript that declares `function handler(webhook)`, which returns the webhook as it is to be sent.
    #[schemars(length(min = 1, max = 65536))]
    pub code: String,
}

hookwright_plugin::plugin! {
    summary: "Shapes a message with a JavaScript function of your own: handler(webhook).",
    config: Config,
    transform: transform,
    must_run: false,
    check: check,
    examples: [
        Example::new(
            "A message for a chat",
            "document.exported",
            r#"{"document":{"invoice_number":"INV-2026-0042","vendor_name":"Café Müller 😀","total_amount":1250.50,"currency":"CNY"}}"#,
        )
        .config(r#"{"code":"function handler(webhook) {\n  const { document } = webhook.payload;\n  webhook.payload = { text: `${document.invoice_number} of ${document.vendor_name}`, total: document.total_amount };\n  return webhook;\n}"}"#)
        .becomes(r#"{"text":"INV-2026-0042 of Café Müller 😀","total":1250.50}"#),
        Example::new("Not for this endpoint", "contact.created", r#"{"email":"jean@example.com"}"#)
            .config(r#"{"code":"function handler(webhook) {\n  if (webhook.payload.email.endsWith('@example.com')) {\n    webhook.cancel = 'an internal address';\n  }\n  return webhook;\n}"}"#)
            .drops("an internal address"),
        Example::new("In the style of a registered handler", "contact.created", r#"{"id":12345678901234567890.10}"#)
            .config(r#"{"code":"addHandler('transform', (request, context) => {\n  request.body.type = context.eventType;\n  return request;\n});"}"#)
            .becomes(r#"{"id":12345678901234567890.10,"type":"contact.created"}"#),
    ],
}

/// The longest script, in bytes. It is read on every call.
const MAX_CODE: usize = 64 << 10;

fn transform(event: &Event, message: &Message, config: &Config) -> Result<Verdict> {
    let payload = message.tree()?;
    let mut engine = Engine::start();
    let handler = engine.load(&config.code).map_err(|fault| fault.failure())?;
    Webhook { event, message, payload: &payload }.through(&mut engine, &handler)
}

/// Runs what stands outside of functions, as every call does.
fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
    let refuse = |message: String| Err(vec![ConfigError::new("/code", message)]);
    if config.code.len() > MAX_CODE {
        return refuse(format!("A script has at most {MAX_CODE} bytes; this one has {}.", config.code.len()));
    }
    match Engine::start().load(&config.code) {
        Ok(_) => Ok(()),
        Err(fault) => refuse(fault.to_string()),
    }
}
