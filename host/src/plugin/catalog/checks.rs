//! What has to hold before a version becomes active.

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use crate::plugin::text::clean;
use crate::plugin::{Call, ConfigError, Example, Failure, FailureKind, Plugin, Verdict};
use crate::secret::Secret;

/// Most bytes of an expected or an actual outcome that an objection quotes.
const QUOTED: usize = 300;
/// Different configurations that a version may refuse before no more are looked at: each may take as long as a call may.
const REFUSALS: usize = 20;

/// Who runs plugins, as the catalogue asks before it changes what answers to a name, or forgets a version.
pub trait Users: Send + Sync + 'static {
    /// The links that name this plugin, those that pin one of its versions included.
    fn links(&self, plugin: &str) -> Vec<Link>;

    /// The digests that links pin, whatever the plugin.
    fn pinned(&self) -> BTreeSet<String>;

    /// Changes with whatever the two above answer.
    fn version(&self) -> u64;
}

/// A link of somebody's chain.
#[derive(Clone, Debug)]
pub struct Link {
    /// Whose it is, such as `endpoint ep_...`.
    pub user: String,
    /// JSON Pointer to it there, such as `/transforms/0`.
    pub at: String,
    /// The digest that it is pinned to; `None` where it follows the name.
    pub pin: Option<String>,
    /// JSON.
    pub config: Secret,
    /// `on_failure` is `pass`.
    pub passes_failures: bool,
}

/// Nobody runs anything: for a catalogue by itself.
#[derive(Clone, Copy, Debug)]
pub struct Nobody;

impl Users for Nobody {
    fn links(&self, _: &str) -> Vec<Link> {
        Vec::new()
    }

    fn pinned(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }

    fn version(&self) -> u64 {
        0
    }
}

/// Why a version is not activated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// Whose it is: `endpoint ep_...`, or an example of the plugin's own.
    pub of: String,
    /// JSON Pointer to the place there; empty for an example.
    pub at: String,
    pub message: String,
}

impl Objection {
    /// It can pass without another file: somebody's configuration speaks against it.
    pub(super) fn can_pass(&self) -> bool {
        !self.at.is_empty()
    }
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at.as_str() {
            "" => write!(f, "{}: {}", self.of, self.message),
            at => write!(f, "{}, {at}: {}", self.of, self.message),
        }
    }
}

/// All that speaks against making `plugin` the active version of its name. What else has to hold before that, such as
/// the outcome of a backtest, is one more line here.
pub(super) async fn objections(plugin: &Plugin, users: &dyn Users) -> Vec<Objection> {
    let mut objections = of_examples(plugin).await;
    objections.extend(of_users(plugin, users).await);
    objections
}

/// Its own examples come to what they say. One that takes too long is the last.
async fn of_examples(plugin: &Plugin) -> Vec<Objection> {
    let mut objections = Vec::new();
    for example in &plugin.description().examples {
        let result = run(plugin, example).await;
        if result.as_ref() != Ok(&example.expect) {
            let message = format!(
                "it says that it comes to {}, and came to {}",
                shown(&example.expect),
                result.as_ref().map_or_else(ToString::to_string, shown)
            );
            let title = clean(&example.title, QUOTED);
            objections.push(Objection { of: format!("its example `{title}`"), at: String::new(), message });
        }
        if result.is_err_and(|failure| failure.kind == FailureKind::TimeLimit) {
            break;
        }
    }
    objections
}

async fn run(plugin: &Plugin, example: &Example) -> Result<Verdict, Failure> {
    let (event, message) = (example.event(), example.message());
    let call = Call { event, message: &message, config: &example.config, seed: [0; 32] };
    plugin.transform(call).await.result
}

/// It accepts the configuration of everybody who follows its name. Equal ones are checked once.
pub(super) async fn of_users(plugin: &Plugin, users: &dyn Users) -> Vec<Objection> {
    let mut known: HashMap<(String, bool), Vec<ConfigError>> = HashMap::new();
    let (mut objections, mut refusals) = (Vec::new(), 0);
    for link in users.links(plugin.name()).into_iter().filter(|link| link.pin.is_none()) {
        let key = (link.config.expose().to_owned(), link.passes_failures);
        let errors = match known.get(&key) {
            Some(errors) => errors.clone(),
            None if refusals == REFUSALS => continue,
            None => {
                let errors = plugin.objections(link.config.expose(), link.passes_failures).await;
                refusals += usize::from(!errors.is_empty());
                known.entry(key).or_insert(errors).clone()
            }
        };
        let objection = |error: ConfigError| Objection {
            of: link.user.clone(),
            at: format!("{}{}", link.at, error.pointer),
            message: error.message,
        };
        objections.extend(errors.into_iter().map(objection));
    }
    objections
}

fn shown(verdict: &Verdict) -> String {
    let (word, text) = match verdict {
        Verdict::Pass => return "`pass`".to_owned(),
        Verdict::Replace(message) => ("replace", String::from_utf8_lossy(&message.body).into_owned()),
        Verdict::Drop(reason) => ("drop", reason.clone()),
        Verdict::Reject(reason) => ("reject", reason.clone()),
    };
    format!("`{word}` with `{}`", clean(&text, QUOTED))
}
