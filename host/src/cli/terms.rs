//! What `tenant set` and `host set` say: how deliveries are made.

use anyhow::Context as _;
use clap::ArgGroup;
use serde_json::{Map, Value, json};

use super::argument::{self, Schedule, Success, Text};
use crate::signature::SignatureScheme;
use crate::time::format_span;

/// What is not said stays as it is.
#[derive(Debug, Default, clap::Args)]
#[command(group = ArgGroup::new("authentication").args(["bearer", "basic", "no_auth"]))]
#[command(group = ArgGroup::new("retries").args(["retry", "every"]))]
pub struct Said {
    /// Send `Authorization: Bearer`; @file and - keep the token out of the process list
    #[arg(long, value_name = "TOKEN|@FILE|-", value_parser = Text::parse)]
    bearer: Option<Text>,
    /// Send `Authorization: Basic`
    #[arg(long, value_name = "USER:PASSWORD|@FILE|-", value_parser = Text::parse)]
    basic: Option<Text>,
    /// Send no `Authorization`
    #[arg(long)]
    no_auth: bool,
    /// A header of your own; may be repeated
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument::pair)]
    header: Vec<(String, String)>,
    /// standard, hmac:HEADER or hmac:HEADER:PREFIX
    #[arg(long, value_parser = argument::signature)]
    signature: Option<SignatureScheme>,
    /// Pauses before the retries, such as 1m,5m,30m; none for a single attempt
    #[arg(long, value_name = "SPANS", value_parser = argument::schedule)]
    retry: Option<Schedule>,
    /// Retry at this pace until it lands
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    every: Option<std::time::Duration>,
    /// For a whole attempt
    #[arg(long, value_name = "SPAN", value_parser = argument::span)]
    timeout: Option<std::time::Duration>,
    /// 2xx, or the statuses that mean success
    #[arg(long, value_name = "2xx|STATUSES", value_parser = argument::success)]
    success: Option<Success>,
    /// Let others decide this again; may be repeated
    #[arg(long, value_name = "MEMBER")]
    unset: Vec<String>,
    /// A merge patch with whatever else there is to say
    #[arg(long, value_name = "JSON|@FILE|-", value_parser = Text::parse)]
    patch: Option<Text>,
}

impl Said {
    /// The members of a merge patch.
    pub fn members(&self) -> anyhow::Result<Map<String, Value>> {
        let mut members = match &self.patch {
            Some(patch) => serde_json::from_str(&patch.read()?).context("--patch is no JSON object")?,
            None => Map::new(),
        };
        let success = self.success.as_ref().map(|success| match success {
            Success::Any2xx => json!("2xx"),
            Success::Only(codes) => json!(codes),
        });
        let headers: Map<String, Value> =
            self.header.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
        let said = [
            ("auth", self.auth()?),
            ("headers", (!headers.is_empty()).then_some(Value::Object(headers))),
            ("signature", self.signature.as_ref().map(signature)),
            ("retry", self.retries()),
            ("timeout", self.timeout.map(|timeout| format_span(timeout).into())),
            ("success", success),
        ];
        members.extend(said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        members.extend(self.unset.iter().map(|name| (name.clone(), Value::Null)));
        Ok(members)
    }

    fn auth(&self) -> anyhow::Result<Option<Value>> {
        if self.no_auth {
            return Ok(Some(json!({"type": "none"})));
        }
        if let Some(token) = &self.bearer {
            return Ok(Some(json!({"type": "bearer", "token": token.read()?.trim_end()})));
        }
        let Some(basic) = &self.basic else { return Ok(None) };
        let text = basic.read()?;
        let (username, password) =
            text.trim_end().split_once(':').context("--basic is not of the form USER:PASSWORD")?;
        Ok(Some(json!({"type": "basic", "username": username, "password": password})))
    }

    fn retries(&self) -> Option<Value> {
        let every = self.every.map(|every| json!({"every": format_span(every)}));
        every.or_else(|| {
            self.retry.as_ref().map(|schedule| match argument::spans(schedule) {
                spans if spans.is_empty() => json!({"attempts": 1}),
                schedule => json!({"schedule": schedule}),
            })
        })
    }
}

fn signature(scheme: &SignatureScheme) -> Value {
    match scheme {
        SignatureScheme::Standard => json!({"scheme": "standard"}),
        SignatureScheme::StandardAsymmetric => json!({"scheme": "standard-asymmetric"}),
        SignatureScheme::HmacSha256 { header, prefix } => {
            json!({"scheme": "hmac-sha256", "header": header, "prefix": prefix})
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        said: Said,
    }

    #[test]
    fn only_what_is_said_is_patched() {
        for (line, expected) in [
            ("x", json!({})),
            (
                "x --bearer t --timeout 30s",
                json!({"auth": {"type": "bearer", "token": "t"}, "timeout": "30s"}),
            ),
            ("x --basic a:b:c", json!({"auth": {"type": "basic", "username": "a", "password": "b:c"}})),
            ("x --no-auth --success 200,201", json!({"auth": {"type": "none"}, "success": [200, 201]})),
            ("x --every 10s --unset signature", json!({"retry": {"every": "10s"}, "signature": null})),
            ("x --retry none --header X-A=1", json!({"retry": {"attempts": 1}, "headers": {"X-A": "1"}})),
            ("x --patch {\"a\":1}", json!({"a": 1})),
        ] {
            let line = Line::try_parse_from(line.split(' ')).expect(line);
            assert_eq!(Value::Object(line.said.members().expect("members")), expected);
        }
        assert!(Line::try_parse_from(["x", "--bearer", "t", "--no-auth"]).is_err());
    }
}
