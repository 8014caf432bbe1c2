//! The log: on stderr, as text for people or as JSON for programs.

use std::env;
use std::io::{self, IsTerminal};

use anyhow::{Context as _, anyhow};
use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Sends what the process logs to stderr, from now until it ends.
///
/// # Errors
///
/// A filter that does not parse, and a second call in one process.
pub fn start(log: &Log) -> anyhow::Result<()> {
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.filter)?).with_writer(io::stderr);
    let started = match log.format {
        LogFormat::Text => builder.with_ansi(colours()).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow!("the log cannot be started: {error}"))
}

fn filter(text: &str) -> anyhow::Result<EnvFilter> {
    EnvFilter::builder().parse(text).with_context(|| {
        format!(
            "`log.filter` is `{text}`, which is no filter such as `info` or `info,hookwright::send=debug`"
        )
    })
}

fn colours() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for good in ["info", "warn,hookwright::send=debug", "off"] {
            assert!(filter(good).is_ok(), "{good}");
        }
        let error = filter("info,hookwright=loud").expect_err("no such level");
        assert!(error.to_string().contains("`log.filter` is `info,hookwright=loud`"), "{error}");
    }
}
