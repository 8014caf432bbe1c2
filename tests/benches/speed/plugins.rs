//! The bundled plugins: what a call costs, and what of it the sandbox costs.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use bytes::Bytes;
use hookwright::plugin::{self, Bundled, Call, Catalog, Engine, Limits, Message, Plugin};
use hookwright::time::Timestamp;
use hookwright_plugin::test;
use http::Method;
use serde_json::json;

use crate::Effort;
use crate::child::Ground;
use crate::producer::Producer;
use crate::table::{self, Spread};

/// Figures of one run, which share its time.
const FIGURES: u32 = 30;
/// Times that a component is compiled or read, which takes far longer than a call.
const COMPILATIONS: usize = 5;
/// Endpoints that are made, in a call of the API each: as many as a tenant may have.
const ENDPOINTS: usize = 10_000;
const QUICK_ENDPOINTS: usize = 200;

const DOCUMENT: &str = include_str!("../../../host/demo/document.exported.json");
const LEAD: &str = include_str!("../../../host/demo/lead.captured.json");

/// What a plugin is measured on: a payload of `seeds`, and what an operator would have configured for it.
struct Work {
    plugin: &'static str,
    event_type: &'static str,
    payload: &'static str,
    config: &'static str,
    /// The same code without a sandbox, where it was compiled so.
    native: Option<fn(&str, &str, &str) -> bool>,
}

fn native<P: hookwright_plugin::Plugin>(event_type: &str, payload: &str, config: &str) -> bool {
    black_box(test::call::<P>(event_type, payload, config)).is_ok()
}

macro_rules! on {
    ($plugin:ident, $name:literal, $event_type:literal, $payload:expr, $config:literal) => {
        Work {
            plugin: $name,
            event_type: $event_type,
            payload: $payload,
            config: $config,
            native: Some(native::<$plugin::Plugin>),
        }
    };
}

/// The engine of `script` takes minutes to compile, so without the feature `engine` it runs in the sandbox alone.
#[cfg(feature = "engine")]
const ENGINE: Option<fn(&str, &str, &str) -> bool> = Some(native::<script::Plugin>);
#[cfg(not(feature = "engine"))]
const ENGINE: Option<fn(&str, &str, &str) -> bool> = None;

/// The first one is also compiled and read again and again.
const WORKS: [Work; 17] = [
    on!(flatten, "flatten", "document.exported", DOCUMENT, "{}"),
    on!(
        filter,
        "filter",
        "document.exported",
        DOCUMENT,
        r#"{"keep":{"path":"document.total_amount","gte":1}}"#
    ),
    on!(filter, "filter", "lead.captured", LEAD, r#"{"keep":{"path":"@type","equals":"lead.captured"}}"#),
    on!(
        envelope,
        "envelope",
        "lead.captured",
        LEAD,
        r#"{"members":[{"name":"event","from":"@type"},{"name":"data","from":"@payload"}]}"#
    ),
    on!(
        pick,
        "pick",
        "document.exported",
        DOCUMENT,
        r#"{"members":{"Vendor":"document.vendor_name","Invoice":"document.invoice_number","Event":"@type"}}"#
    ),
    on!(
        redact,
        "redact",
        "document.exported",
        DOCUMENT,
        r#"{"rules":[{"pattern":"email"},{"path":"document.vendor_name"}]}"#
    ),
    on!(cloudevents, "cloudevents", "document.exported", DOCUMENT, "{}"),
    on!(
        slack,
        "slack",
        "document.exported",
        DOCUMENT,
        r#"{"title":"Invoice {document.invoice_number}","text":"{document.ai_summary}","link":{"path":"document.doc_url"}}"#
    ),
    on!(
        teams,
        "teams",
        "document.exported",
        DOCUMENT,
        r#"{"title":"Invoice {document.invoice_number}","text":"{document.ai_summary}","link":{"path":"document.doc_url"}}"#
    ),
    on!(
        discord,
        "discord",
        "document.exported",
        DOCUMENT,
        r#"{"title":"Invoice {document.invoice_number}","text":"{document.ai_summary}","link":{"path":"document.doc_url"}}"#
    ),
    on!(
        feishu,
        "feishu",
        "document.exported",
        DOCUMENT,
        r#"{"title":"Invoice {document.invoice_number}","text":"{document.ai_summary}","secret":"a-secret-of-a-bot"}"#
    ),
    on!(google_sheets, "google-sheets", "document.exported", DOCUMENT, r#"{"each":"line_items"}"#),
    on!(jira, "jira", "document.exported", DOCUMENT, r#"{"project":"OPS"}"#),
    on!(
        pagerduty,
        "pagerduty",
        "document.exported",
        DOCUMENT,
        r#"{"routing_key":"0123456789abcdef","dedup_key":"invoice-{document.id}"}"#
    ),
    on!(splunk_hec, "splunk-hec", "document.exported", DOCUMENT, "{}"),
    on!(
        template,
        "template",
        "document.exported",
        DOCUMENT,
        r#"{"template":"{\"text\": \"Invoice {{ payload.document.invoice_number }}\", \"total\": {{ payload.document.total_amount }}}"}"#
    ),
    Work {
        plugin: "script",
        event_type: "document.exported",
        payload: DOCUMENT,
        config: r#"{"code":"function handler(webhook) {\n  const { document } = webhook.payload;\n  webhook.payload = { text: `Invoice ${document.invoice_number}`, total: document.total_amount };\n  return webhook;\n}"}"#,
        native: ENGINE,
    },
];

pub fn measure(ground: &Ground, effort: Effort) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let time = effort.time / FIGURES;
    runtime.block_on(calls(ground, time))?;
    runtime.block_on(starts(ground, time))?;
    let endpoints = if effort.rounds > 1 { ENDPOINTS } else { QUICK_ENDPOINTS };
    configurations(ground, endpoints)
}

/// In the sandbox and without, in turn.
async fn calls(ground: &Ground, time: Duration) -> anyhow::Result<()> {
    let engine = engine(ground)?;
    let noop = noop(&engine).await?;
    let catalog = Catalog::open(engine, plugin::bundled(), None).await;
    let words = ["plugin", "p50 us", "p99 us", "over a no-op", "native p50 us", "work / native"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    for work in &WORKS {
        let plugin = catalog.get(work.plugin).with_context(|| format!("{} is not bundled", work.plugin))?;
        let mut took: [Vec<Duration>; 3] = Default::default();
        let end = Instant::now() + time;
        while Instant::now() < end {
            let [empty, guest, native] = &mut took;
            empty.push(transform(&noop, work).await?);
            guest.push(transform(&plugin, work).await?);
            native.extend(work.natively()?);
        }
        let [empty, guest, native] = took.map(Spread::of);
        let over = guest.quantile(0.5).saturating_sub(empty.quantile(0.5));
        rows.push(vec![
            format!("{} on {}", work.plugin, work.event_type),
            micros(guest.quantile(0.5)),
            micros(guest.quantile(0.99)),
            micros(over),
            work.native.map_or_else(|| "-".to_owned(), |_| micros(native.quantile(0.5))),
            work.native.map_or_else(
                || "-".to_owned(),
                |_| format!("{:.1}", over.as_secs_f64() / native.quantile(0.5).as_secs_f64()),
            ),
        ]);
    }
    table::print("Plugins, each call in a fresh instance, beside the same code without a sandbox", &rows);
    Ok(())
}

/// What it costs that there is an instance at all.
async fn starts(ground: &Ground, time: Duration) -> anyhow::Result<()> {
    let engine = engine(ground)?;
    let noop = noop(&engine).await?;
    let work = &WORKS[0];
    let mut fresh = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        fresh.push(transform(&noop, work).await?);
    }
    let Bundled { bytes, name } = plugin::bundled()
        .into_iter()
        .find(|bundled| bundled.name == work.plugin)
        .context("a bundled plugin")?;
    let without_cache = Engine::new(Limits { cache_dir: None, ..Limits::default() })?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..COMPILATIONS {
        cold.push(load_and_call(&without_cache, &bytes, name, work).await?);
        warm.push(load_and_call(&engine, &bytes, name, work).await?);
    }
    let words = ["what", "p50 us", "p99 us"];
    let mut rows = vec![words.map(str::to_owned).to_vec()];
    for (what, took) in [
        ("fresh instance, a call that does nothing, the message copied in", fresh),
        ("flatten, its compiled code read from the disk for the call", warm),
        ("flatten, compiled and instantiated for the call", cold),
    ] {
        let took = Spread::of(took);
        rows.push(vec![what.to_owned(), micros(took.quantile(0.5)), micros(took.quantile(0.99))]);
    }
    table::print("What stands around a call", &rows);
    Ok(())
}

async fn load_and_call(engine: &Engine, bytes: &Bytes, name: &str, work: &Work) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let plugin = engine.load(bytes.clone(), Some(name)).await;
    let plugin = plugin.map_err(|refusal| anyhow::anyhow!("{name}: {refusal}"))?;
    transform(&plugin, work).await?;
    Ok(start.elapsed())
}

/// Many endpoints that have one plugin in common, each with a configuration of its own.
fn configurations(ground: &Ground, endpoints: usize) -> anyhow::Result<()> {
    let producer = Producer::new(Instant::now())?;
    let host = ground.host("configurations")?;
    let make = |number: usize| {
        producer.endpoint(
            host.address,
            &json!({
                "name": format!("endpoint {number}"),
                "url": "http://127.0.0.1:9/",
                "events": ["document.exported"],
                "transforms": [{"plugin": "flatten", "config": {"prefix": format!("p{number}.")}}],
            }),
        )
    };
    make(0)?;
    let before = host.resident()?;
    for number in 1..endpoints {
        make(number)?;
    }
    let _: serde_json::Value =
        producer.call(host.address, Method::GET, "/v1/endpoints?limit=1", &json!(null))?;
    let grown = host.resident()? - before;
    let rows = [
        ["endpoints", "resident MiB more", "KiB each"].map(str::to_owned).to_vec(),
        vec![
            endpoints.to_string(),
            format!("{grown:.1}"),
            format!("{:.1}", grown * 1024.0 / endpoints as f64),
        ],
    ];
    table::print("Endpoints with a configuration each of one plugin", &rows);
    Ok(())
}

impl Work {
    fn natively(&self) -> anyhow::Result<Option<Duration>> {
        let Some(native) = self.native else { return Ok(None) };
        let start = Instant::now();
        let done = native(self.event_type, self.payload, self.config);
        anyhow::ensure!(done, "{} fails without a sandbox", self.plugin);
        Ok(Some(start.elapsed()))
    }
}

async fn transform(plugin: &Plugin, work: &Work) -> anyhow::Result<Duration> {
    let message = Message::of_payload(Bytes::from_static(work.payload.as_bytes()));
    let moment = Timestamp::from_secs(1_774_168_200);
    let event = plugin::Event {
        id: "evt_0",
        event_type: work.event_type,
        tenant: "default",
        timestamp: moment,
        attempted_at: moment,
        attempt: 1,
        channels: &[],
        attributes: &[],
    };
    let start = Instant::now();
    let run = plugin.transform(Call { event, message: &message, config: work.config, seed: [0; 32] }).await;
    let took = start.elapsed();
    run.result.map_err(|failure| anyhow::anyhow!("{}: {failure}", plugin.name()))?;
    Ok(took)
}

fn engine(ground: &Ground) -> anyhow::Result<Engine> {
    let cache_dir = Some(ground.path().join("prepare/cache"));
    Engine::new(Limits { cache_dir, ..Limits::default() })
}

async fn noop(engine: &Engine) -> anyhow::Result<Plugin> {
    let loaded = engine.load(std::fs::read(env!("GUEST_JUDGING"))?.into(), None).await;
    loaded.map_err(|refusal| anyhow::anyhow!("the plugin that does nothing: {refusal}"))
}

fn micros(duration: Duration) -> String {
    format!("{:.1}", duration.as_secs_f64() * 1e6)
}
