//! Terms: how deliveries are made, as requests say it and as answers tell it.

use std::time::Duration;

use serde_json::{Value, json};

use super::shape::{
    Named, about, count, list, list_of, matching, number, object, or_null, reference, span, span_told, text,
    text_of, words,
};
use crate::api::terms::{
    MAX_FAILURES, MAX_PATIENCE, MAX_SUCCESS_CODES, MIN_PATIENCE, MIN_TIMEOUT, ON_FAILURE,
};
use crate::config::{Config, MIN_PLUGIN_MEMORY, MIN_PLUGIN_OUTPUT, MIN_PLUGIN_TIME, PluginSettings};
use crate::retry::{MAX_PAUSE, MAX_RETRIES, MIN_PAUSE, RetryPolicy};
use crate::secret::MASK;
use crate::terms::BodyForm;

/// What a client may call a header that it adds to deliveries: not what others decide.
const HEADER: &str = r"^(?![Ww][Ee][Bb][Hh][Oo][Oo][Kk]-|[Pp][Rr][Oo][Xx][Yy]-|([Aa][Uu][Tt][Hh][Oo][Rr][Ii][Zz][Aa][Tt][Ii][Oo][Nn]|[Cc][Oo][Nn][Tt][Ee][Nn][Tt]-([Tt][Yy][Pp][Ee]|[Ll][Ee][Nn][Gg][Tt][Hh])|[Cc][Oo][Nn][Nn][Ee][Cc][Tt][Ii][Oo][Nn]|[Hh][Oo][Ss][Tt]|[Hh][Tt][Tt][Pp]2-[Ss][Ee][Tt][Tt][Ii][Nn][Gg][Ss]|[Kk][Ee][Ee][Pp]-[Aa][Ll][Ii][Vv][Ee]|[Tt][Ee]|[Tt][Rr][Aa][Ii][Ll][Ee][Rr]|[Tt][Rr][Aa][Nn][Ss][Ff][Ee][Rr]-[Ee][Nn][Cc][Oo][Dd][Ii][Nn][Gg]|[Uu][Pp][Gg][Rr][Aa][Dd][Ee])$)[A-Za-z0-9_-]{1,100}$";

/// The members of a request that are terms. `null` says nothing, so that others decide.
pub fn said(config: &Config) -> Vec<(&'static str, Value)> {
    let limits = &config.endpoint;
    vec![
        ("transforms", or_null(list_of(0, limits.max_transforms, reference("Transform")))),
        ("body", or_null(words(BodyForm::ALL.map(BodyForm::word)))),
        ("signature", or_null(reference("SignatureScheme"))),
        ("auth", or_null(reference("Auth"))),
        ("headers", or_null(reference("Headers"))),
        ("retry", or_null(reference("Retries"))),
        ("timeout", or_null(span(MIN_TIMEOUT, config.delivery.max_timeout))),
        ("success", or_null(reference("SuccessCodes"))),
        ("auto_disable", or_null(reference("AutoDisable"))),
    ]
}

/// The members of an answer that are terms, what is secret masked. With `null` where nothing is said.
pub fn told() -> Vec<(&'static str, Value)> {
    let link = object(
        &[("plugin", text()), ("config", json!({})), ("on_failure", words(ON_FAILURE.map(|(word, _)| word)))],
        &[("limits", limits_told())],
    );
    let headers = json!({"type": "object", "additionalProperties": {"type": "string"}});
    vec![
        ("transforms", or_null(list(link))),
        ("body", or_null(words(BodyForm::ALL.map(BodyForm::word)))),
        ("signature", or_null(reference("SignatureScheme"))),
        ("auth", or_null(auth_told())),
        ("headers", headers),
        ("retry", or_null(retries_told())),
        ("timeout", or_null(span_told())),
        ("success", or_null(reference("SuccessCodes"))),
        ("auto_disable", or_null(auto_disable(span_told()))),
    ]
}

pub fn schemas(config: &Config) -> Vec<Named> {
    let limits = &config.endpoint;
    let transform = object(
        &[("plugin", about("A name, or `name@sha256:<digest>`.", text_of(1, 200)))],
        &[
            ("config", about("What the plugin's `config_schema` says.", json!({}))),
            ("on_failure", or_null(words(ON_FAILURE.map(|(word, _)| word)))),
            ("limits", or_null(reference("PluginLimits"))),
        ],
    );
    let statuses = list_of(1, MAX_SUCCESS_CODES, number(200, 599));
    let value = json!({"type": "string", "maxLength": limits.max_header_value.0, "pattern": r"^(?!\*\*\*$)[\t -~]*$"});
    let headers = json!({
        "type": "object",
        "maxProperties": limits.max_headers,
        "propertyNames": {"pattern": HEADER},
        "additionalProperties": value,
    });
    vec![
        ("Transform", transform),
        ("PluginLimits", plugin_limits(&config.plugin)),
        ("SignatureScheme", signature()),
        ("Auth", auth()),
        ("Headers", headers),
        ("Retries", retries()),
        ("AutoDisable", auto_disable(span(MIN_PATIENCE, MAX_PATIENCE))),
        ("SuccessCodes", json!({"anyOf": [{"const": "2xx"}, statuses]})),
    ]
}

/// What one call may use; `null` leaves it as it is elsewhere.
fn plugin_limits(settings: &PluginSettings) -> Value {
    let number = |least: usize, most: usize| {
        let fits = |bound: usize| u32::try_from(bound).unwrap_or(u32::MAX);
        or_null(number(fits(least), fits(most)))
    };
    about(
        "What one call of the plugin may use here, in bytes and lines.",
        object(
            &[],
            &[
                ("time", or_null(span(MIN_PLUGIN_TIME, settings.max_time))),
                ("memory", number(MIN_PLUGIN_MEMORY, settings.max_memory.0)),
                ("output", number(MIN_PLUGIN_OUTPUT, settings.max_output.0)),
                ("log_lines", number(0, settings.max_log_lines)),
            ],
        ),
    )
}

pub fn limits_told() -> Value {
    let members = [("time", span_told()), ("memory", count()), ("output", count()), ("log_lines", count())];
    object(&[], &members)
}

/// After so many failures in a row, or after failing for so long.
fn auto_disable(span: Value) -> Value {
    let (failures, after) = (("failures", number(1, MAX_FAILURES)), ("after", span));
    json!({"anyOf": [
        {"const": "off"},
        object(std::slice::from_ref(&failures), &[(after.0, or_null(after.1.clone()))]),
        object(&[after], &[(failures.0, or_null(failures.1))]),
    ]})
}

fn signature() -> Value {
    let header = matching(HEADER);
    json!({"oneOf": [
        object(&[("scheme", words(["standard", "standard-asymmetric"]))], &[]),
        object(
            &[("scheme", words(["hmac-sha256"])), ("header", header)],
            &[("prefix", or_null(matching("^[!-~]{0,64}$")))],
        ),
    ]})
}

/// Credentials are shown as `***`.
fn auth_told() -> Value {
    let mask = || json!({"const": MASK});
    json!({"oneOf": [
        object(&[("type", words(["bearer"])), ("token", mask())], &[]),
        object(&[("type", words(["basic"])), ("username", mask()), ("password", mask())], &[]),
        object(&[("type", words(["none"]))], &[]),
    ]})
}

/// None of them is the mask itself.
fn auth() -> Value {
    json!({"oneOf": [
        object(&[("type", words(["bearer"])), ("token", matching(r"^(?!\*\*\*$)[!-~]{1,8192}$"))], &[]),
        object(
            &[
                ("type", words(["basic"])),
                ("username", matching(r"^(?!\*\*\*$)[ -9;-~]{1,8192}$")),
                ("password", matching(r"^(?!\*\*\*$)[ -~]{0,8192}$")),
            ],
            &[],
        ),
        object(&[("type", words(["none"]))], &[]),
    ]})
}

fn retries() -> Value {
    let pause = || span(MIN_PAUSE, MAX_PAUSE);
    let RetryPolicy::Schedule(pauses) = RetryPolicy::default() else { return json!({}) };
    let most = u32::try_from(pauses.len() + 1).unwrap_or(u32::MAX);
    let ten_years = Duration::from_secs(10 * 365 * 86_400);
    json!({"oneOf": [
        object(&[("schedule", list_of(0, MAX_RETRIES, pause()))], &[]),
        object(&[("every", pause())], &[("for", or_null(span(MIN_PAUSE, ten_years)))]),
        object(&[("attempts", number(1, most))], &[]),
    ]})
}

fn retries_told() -> Value {
    json!({"oneOf": [
        object(&[("schedule", list(span_told()))], &[]),
        object(&[("every", span_told())], &[("for", span_told())]),
        object(&[("attempts", number(1, 1))], &[]),
    ]})
}
