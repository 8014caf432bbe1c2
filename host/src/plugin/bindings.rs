//! The contract in Rust: one module for each released folder of `wit/`, and the way between its words and
//! the host's.

/// `hookwright:plugin@0.1.0`.
pub(super) mod v0_1 {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        world: "plugin",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
    });
}

/// The same track, for plugins that judge answers too.
pub(super) mod v0_1_destination {
    wasmtime::component::bindgen!({
        path: "../wit/0.1.0",
        world: "destination",
        ownership: Borrowing { duplicate_if_necessary: true },
        exports: { default: async },
        with: {
            "hookwright:plugin/types@0.1.0": super::v0_1::hookwright::plugin::types,
            "hookwright:plugin/log@0.1.0": super::v0_1::hookwright::plugin::log,
        },
    });
}

use std::time::Duration;

use wasmtime::Store;

use super::instance::State;
use super::journal::Level;
use super::limits::Limits;
use super::text::clean;
use super::{
    Answer, Call, ConfigError, Description, Example, Failure, FailureKind, Judgement, Message, Verdict,
};
use v0_1::hookwright::plugin::{log, types as wit};
use v0_1_destination::exports::hookwright::plugin::receiver;

/// Most bytes of a failure's code.
const CODE: usize = 64;
/// Most errors of a configuration that are passed on.
const CONFIG_ERRORS: usize = 50;

pub(super) async fn transform(
    pre: &v0_1::PluginPre<State>,
    store: &mut Store<State>,
    call: &Call<'_>,
) -> wasmtime::Result<Result<Verdict, Failure>> {
    let timestamp = call.event.timestamp.to_string();
    let attempted_at = call.event.attempted_at.to_string();
    let channels: Vec<&str> = call.event.channels.iter().map(String::as_str).collect();
    let attributes = pairs(call.event.attributes);
    let headers = pairs(&call.message.headers);
    let event = wit::Event {
        id: call.event.id,
        event_type: call.event.event_type,
        tenant: call.event.tenant,
        timestamp: &timestamp,
        attempted_at: &attempted_at,
        attempt: call.event.attempt,
        channels: &channels,
        attributes: &attributes,
    };
    let message = wit::MessageParam {
        method: call.message.method.as_deref(),
        path_and_query: call.message.path_and_query.as_deref(),
        content_type: &call.message.content_type,
        headers: &headers,
        body: &call.message.body,
    };
    let plugin = pre.instantiate_async(&mut *store).await?;
    let answer =
        plugin.hookwright_plugin_transformer().call_transform(store, event, message, call.config).await?;
    Ok(answer.map(Verdict::from).map_err(Failure::from))
}

pub(super) async fn judge(
    pre: &v0_1_destination::DestinationPre<State>,
    store: &mut Store<State>,
    answer: &Answer<'_>,
) -> wasmtime::Result<Judgement> {
    let plugin = pre.instantiate_async(&mut *store).await?;
    let judgement = plugin
        .hookwright_plugin_receiver()
        .call_judge(store, answer.status, &pairs(answer.headers), answer.body, answer.config)
        .await?;
    Ok(judgement.into())
}

pub(super) async fn check_config(
    pre: &v0_1::PluginPre<State>,
    store: &mut Store<State>,
    config: &str,
) -> wasmtime::Result<Result<(), Vec<wit::ConfigError>>> {
    let plugin = pre.instantiate_async(&mut *store).await?;
    plugin.hookwright_plugin_transformer().call_check_config(store, config).await
}

pub(super) async fn describe(
    pre: &v0_1::PluginPre<State>,
    judge: Option<&v0_1_destination::DestinationPre<State>>,
    store: &mut Store<State>,
) -> wasmtime::Result<Description> {
    let description = match judge {
        Some(judge) => {
            let plugin = judge.instantiate_async(&mut *store).await?;
            plugin.hookwright_plugin_transformer().call_describe(store).await?
        }
        None => {
            let plugin = pre.instantiate_async(&mut *store).await?;
            plugin.hookwright_plugin_transformer().call_describe(store).await?
        }
    };
    Ok(description.into())
}

pub(super) fn config_errors(errors: Vec<wit::ConfigError>, limits: &Limits) -> Vec<ConfigError> {
    let cleaned = errors.into_iter().take(CONFIG_ERRORS).map(|error| ConfigError {
        pointer: clean(&error.pointer, limits.log_line_length),
        message: clean(&error.message, limits.log_line_length),
    });
    cleaned.collect()
}

fn pairs(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl From<wit::Verdict> for Verdict {
    fn from(verdict: wit::Verdict) -> Self {
        match verdict {
            wit::Verdict::Pass => Self::Pass,
            wit::Verdict::Replace(message) => Self::Replace(message.into()),
            wit::Verdict::Drop(reason) => Self::Drop(reason),
            wit::Verdict::Reject(reason) => Self::Reject(reason),
        }
    }
}

impl From<receiver::Judgement> for Judgement {
    fn from(judgement: receiver::Judgement) -> Self {
        match judgement {
            receiver::Judgement::ByStatus => Self::ByStatus,
            receiver::Judgement::Delivered => Self::Delivered,
            receiver::Judgement::Retry(after) => {
                Self::Retry(after.map(|seconds| Duration::from_secs(seconds.into())))
            }
            receiver::Judgement::Fail(reason) => Self::Fail(reason),
            receiver::Judgement::Disable(reason) => Self::Disable(reason),
        }
    }
}

impl From<wit::MessageResult> for Message {
    fn from(message: wit::MessageResult) -> Self {
        Self {
            method: message.method,
            path_and_query: message.path_and_query,
            content_type: message.content_type,
            headers: message.headers,
            body: message.body.into(),
        }
    }
}

impl From<wit::Failure> for Failure {
    fn from(failure: wit::Failure) -> Self {
        Self { kind: FailureKind::Error { code: clean(&failure.code, CODE) }, message: failure.message }
    }
}

impl From<wit::Description> for Description {
    fn from(description: wit::Description) -> Self {
        Self {
            name: description.name,
            version: description.version,
            summary: description.summary,
            config_schema: description.config_schema,
            must_run: description.must_run,
            examples: description.examples.into_iter().map(Example::from).collect(),
        }
    }
}

impl From<wit::Example> for Example {
    fn from(example: wit::Example) -> Self {
        Self {
            title: example.title,
            config: example.config,
            event_type: example.event_type,
            input: example.input.into(),
            expect: example.expect.into(),
        }
    }
}

impl From<log::Level> for Level {
    fn from(level: log::Level) -> Self {
        match level {
            log::Level::Debug => Self::Debug,
            log::Level::Info => Self::Info,
            log::Level::Warn => Self::Warn,
            log::Level::Error => Self::Error,
        }
    }
}
