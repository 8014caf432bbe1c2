//! From a typed function to the exports of a component.

use std::marker::PhantomData;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::{
    Answer, ConfigError, Event, Example, Judgement, Message, Result, Verdict,
    bindings::{Guest, judging::receiver, types},
    config,
};

/// What [`plugin!`](crate::plugin!) implements for you.
pub trait Plugin {
    /// The plugin's configuration. Give it `#[serde(deny_unknown_fields)]`, so that a misspelt member is an
    /// error when the endpoint is created rather than a surprise later.
    type Config: DeserializeOwned + JsonSchema;

    /// In `[a-z0-9-]`, the same as the file's stem.
    const NAME: &'static str;
    /// Semantic Versioning 2.0.
    const VERSION: &'static str;
    /// One sentence.
    const SUMMARY: &'static str;
    /// True where passing a message through unchanged after a failure would be wrong, as for a filter.
    const MUST_RUN: bool;

    /// The work.
    ///
    /// # Errors
    ///
    /// Where the plugin cannot do it; the endpoint's `on_failure` decides what follows.
    fn transform(event: &Event, message: &Message, config: &Self::Config) -> Result<Verdict>;

    /// What the types of the configuration cannot say. Called when an endpoint is created or changed.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its place.
    fn check(config: &Self::Config) -> Result<(), Vec<ConfigError>>;

    /// What the target's answer means. The host asks only plugins that were declared with `judge`, and only the
    /// last link of a chain that has it.
    fn judge(_answer: &Answer, _config: &Self::Config) -> Judgement {
        Judgement::ByStatus
    }

    /// Documentation that can be run.
    fn examples() -> Vec<Example>;
}

/// Makes a plugin of a function. Use it once, in the root of the crate; it declares `pub struct Plugin`, so the
/// configuration has to be `pub` as well.
///
/// ```
/// use hookwright_plugin::prelude::*;
///
/// #[derive(Deserialize, JsonSchema, Default)]
/// #[serde(deny_unknown_fields, default)]
/// pub struct Config {
///     /// How many exclamation marks to add, at most 3.
///     marks: usize,
/// }
///
/// fn shout(_: &Event, message: &Message, config: &Config) -> Result<Verdict> {
///     let tree = message.tree()?;
///     let name = tree.get("name").map(|name| name.display()).unwrap_or_default();
///     Verdict::json(message, &format!("{}{}", name.to_uppercase(), "!".repeat(config.marks)))
/// }
///
/// fn check(config: &Config) -> Result<(), Vec<ConfigError>> {
///     match config.marks {
///         0..=3 => Ok(()),
///         _ => Err(vec![ConfigError::new("/marks", "More than 3 marks are rude.")]),
///     }
/// }
///
/// hookwright_plugin::plugin! {
///     summary: "Says the name aloud.",
///     config: Config,
///     transform: shout,
///     must_run: false,
///     check: check,
///     examples: [
///         Example::new("A contact", "contact.created", r#"{"name":"Acme"}"#)
///             .config(r#"{"marks":2}"#)
///             .becomes(r#""ACME!!""#),
///     ],
/// }
///
/// fn main() {
///     hookwright_plugin::test::run_examples::<Plugin>();
/// }
/// ```
///
/// # Judging answers
///
/// Where 200 can mean failure, or where a refusal says when to come back, declare `judge`: the plugin is then one
/// of the world `destination`, and what it says of an answer holds instead of the endpoint's success codes. It is
/// asked about every attempt, also where no answer came ([`Answer::fault`]). A configuration that cannot be read
/// any more leaves it to the status.
///
/// ```
/// use hookwright_plugin::prelude::*;
///
/// #[derive(Deserialize, JsonSchema)]
/// #[serde(deny_unknown_fields)]
/// pub struct Config {}
///
/// fn pass(_: &Event, _: &Message, _: &Config) -> Result<Verdict> {
///     Ok(Verdict::Pass)
/// }
///
/// fn judge(answer: &Answer, _: &Config) -> Judgement {
///     match answer.json().and_then(|tree| tree.get("code")?.as_i64()) {
///         Some(0) => Judgement::Delivered,
///         Some(9) => Judgement::retry_after(30.0),
///         Some(code) => Judgement::fail(format!("The target refused it with code {code}.")),
///         None => Judgement::ByStatus,
///     }
/// }
///
/// hookwright_plugin::plugin! {
///     summary: "Passes, and reads the answer.",
///     config: Config,
///     transform: pass,
///     judge: judge,
///     examples: [Example::new("Anything", "contact.created", "{}")],
/// }
///
/// fn main() {
///     use hookwright_plugin::test;
///     assert_eq!(test::judge::<Plugin>(200, r#"{"code":9}"#, "{}"), Judgement::Retry(Some(30)));
///     assert_eq!(test::judge::<Plugin>(0, "timeout", "{}"), Judgement::ByStatus);
/// }
/// ```
///
/// `must_run`, `check`, `judge` and `examples` may be left out; their order is fixed. Name and version are those
/// of the package.
#[macro_export]
macro_rules! plugin {
    (
        summary: $summary:expr,
        config: $config:ty,
        transform: $transform:path
        $(, must_run: $must_run:expr)?
        $(, check: $check:path)?
        $(, judge: $judge:path)?
        $(, examples: [$($example:expr),* $(,)?])?
        $(,)?
    ) => {
        /// The plugin of this crate.
        pub struct Plugin;

        impl $crate::Plugin for Plugin {
            type Config = $config;

            const NAME: &'static str = ::core::env!("CARGO_PKG_NAME");
            const VERSION: &'static str = ::core::env!("CARGO_PKG_VERSION");
            const SUMMARY: &'static str = $summary;
            const MUST_RUN: bool = false $(|| $must_run)?;

            fn transform(
                event: &$crate::Event,
                message: &$crate::Message,
                config: &$config,
            ) -> $crate::Result<$crate::Verdict> {
                $transform(event, message, config)
            }

            fn check(_config: &$config) -> $crate::Result<(), ::std::vec::Vec<$crate::ConfigError>> {
                $($check(_config)?;)?
                Ok(())
            }

            $(
                fn judge(answer: &$crate::Answer, config: &$config) -> $crate::Judgement {
                    $judge(answer, config)
                }
            )?

            fn examples() -> ::std::vec::Vec<$crate::Example> {
                ::std::vec![$($($example),*)?]
            }
        }

        // Only a component can export these names: a native linker refuses them.
        #[cfg(target_family = "wasm")]
        mod hookwright_exports {
            type Exports = $crate::Exports<super::Plugin>;
            $crate::bindings::export!(Exports with_types_in $crate::bindings);
            $($crate::plugin!(@judging $judge);)?
        }
    };
    (@judging $judge:path) => {
        $crate::bindings::judging::export!(Exports with_types_in $crate::bindings::judging);
    };
}

/// Answers the host's calls with a [`Plugin`].
#[doc(hidden)]
pub struct Exports<P>(PhantomData<P>);

impl<P: Plugin> Guest for Exports<P> {
    fn describe() -> types::Description {
        describe::<P>()
    }

    fn check_config(config: String) -> Result<(), Vec<ConfigError>> {
        check_config::<P>(&config)
    }

    fn transform(event: Event, message: Message, config: String) -> Result<Verdict, types::Failure> {
        transform::<P>(&event, &message, &config).map_err(Into::into)
    }
}

impl<P: Plugin> receiver::Guest for Exports<P> {
    fn judge(status: u16, headers: Vec<types::Pair>, body: Vec<u8>, config: String) -> Judgement {
        judge::<P>(&Answer { status, headers, body }, &config)
    }
}

pub(crate) fn describe<P: Plugin>() -> types::Description {
    types::Description {
        name: P::NAME.to_owned(),
        version: P::VERSION.to_owned(),
        summary: P::SUMMARY.to_owned(),
        config_schema: schemars::schema_for!(P::Config).as_value().to_string(),
        must_run: P::MUST_RUN,
        examples: P::examples(),
    }
}

pub(crate) fn check_config<P: Plugin>(text: &str) -> Result<(), Vec<ConfigError>> {
    P::check(&config::parse(text)?)
}

pub(crate) fn transform<P: Plugin>(event: &Event, message: &Message, text: &str) -> Result<Verdict> {
    P::transform(event, message, &config::parse(text)?)
}

/// The configuration passed its check when the endpoint was saved. Where a newer version of the plugin cannot read
/// it, the transform has failed already, so there is nothing left to say here.
pub(crate) fn judge<P: Plugin>(answer: &Answer, text: &str) -> Judgement {
    config::parse(text).map_or(Judgement::ByStatus, |config| P::judge(answer, &config))
}
