//! What plugins did since the start, each alone and for each endpoint: in memory alone, and no more of it than is
//! bounded here. A plugin that keeps failing is found by it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use crate::attempt::{PluginRun, Task};
use crate::endpoint::Endpoint;
use crate::id::EndpointId;
use crate::tally::AnswerTimes;
use crate::time::Timestamp;

/// Most pairs of an endpoint and a plugin that are counted; what more there are counts for its plugin alone.
const MAX_PAIRS: usize = 10_000;
/// Most plugins that are counted.
const MAX_PLUGINS: usize = 1_000;
/// From so many failures in a row on, a plugin keeps failing.
const KEEPS_FAILING: u32 = 3;

#[derive(Debug)]
pub struct Usage {
    since: Timestamp,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    plugins: HashMap<String, Account>,
    endpoints: HashMap<EndpointId, BTreeMap<String, Account>>,
    pairs: usize,
}

/// The runs of one plugin.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    pub calls: u64,
    /// By task and verdict or kind of failure: words of the host's alone.
    pub verdicts: BTreeMap<(Task, String), u64>,
    pub failures: u64,
    pub failures_in_a_row: u32,
    pub last_failure: Option<LastFailure>,
    pub times: AnswerTimes,
    /// In bytes.
    pub memory_peak: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct LastFailure {
    pub kind: String,
    pub at: Timestamp,
}

impl Usage {
    pub fn new(since: Timestamp) -> Self {
        Self { since, ledger: Mutex::default() }
    }

    /// Since when is counted.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Plugins ran in an attempt that ended `now`.
    pub fn note(&self, endpoint: EndpointId, runs: &[PluginRun], now: Timestamp) {
        if !runs.is_empty() {
            self.with(|ledger| runs.iter().for_each(|run| ledger.note(endpoint, run, now)));
        }
    }

    /// What a plugin did in all.
    pub fn in_all(&self, name: &str) -> Account {
        self.with(|ledger| ledger.plugins.get(name).cloned().unwrap_or_default())
    }

    /// What a plugin did in all; and for each endpoint, at most `limit` of them, those with most calls first. Says too
    /// how many endpoints there are.
    pub fn of_plugin(&self, name: &str, limit: usize) -> (Account, Vec<(EndpointId, Account)>, usize) {
        self.with(|ledger| {
            let of_endpoint = |(id, accounts): (&EndpointId, &BTreeMap<String, Account>)| {
                accounts.get(name).map(|account| (*id, account.clone()))
            };
            let mut endpoints: Vec<_> = ledger.endpoints.iter().filter_map(of_endpoint).collect();
            let found = endpoints.len();
            endpoints.sort_by_key(|(id, account)| (u64::MAX - account.calls, *id));
            endpoints.truncate(limit);
            (ledger.plugins.get(name).cloned().unwrap_or_default(), endpoints, found)
        })
    }

    /// What each plugin did for an endpoint.
    pub fn of_endpoint(&self, endpoint: EndpointId) -> BTreeMap<String, Account> {
        self.with(|ledger| ledger.endpoints.get(&endpoint).cloned().unwrap_or_default())
    }

    /// That a plugin of the endpoint's chain keeps failing, as a sentence; `None` where none does.
    pub fn complaint(&self, endpoint: &Endpoint) -> Option<String> {
        self.with(|ledger| {
            let accounts = ledger.endpoints.get(&endpoint.id)?;
            let names = endpoint.terms.links().map(|link| name_of(&link.plugin));
            names.into_iter().find_map(|name| accounts.get(name)?.complaint(name))
        })
    }

    /// Forgets those of endpoints that are gone.
    pub fn keep(&self, is_there: impl Fn(EndpointId) -> bool) {
        self.with(|ledger| {
            ledger.endpoints.retain(|id, _| is_there(*id));
            ledger.pairs = ledger.endpoints.values().map(BTreeMap::len).sum();
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Ledger) -> T) -> T {
        act(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Ledger {
    fn note(&mut self, endpoint: EndpointId, run: &PluginRun, now: Timestamp) {
        if self.plugins.len() < MAX_PLUGINS || self.plugins.contains_key(&run.plugin) {
            self.plugins.entry(run.plugin.clone()).or_default().note(run, now);
        }
        let known = self.endpoints.get(&endpoint).is_some_and(|accounts| accounts.contains_key(&run.plugin));
        if !known && self.pairs >= MAX_PAIRS {
            return;
        }
        self.pairs += usize::from(!known);
        let accounts = self.endpoints.entry(endpoint).or_default();
        accounts.entry(run.plugin.clone()).or_default().note(run, now);
    }
}

impl Account {
    fn note(&mut self, run: &PluginRun, now: Timestamp) {
        self.calls += 1;
        *self.verdicts.entry((run.task, run.verdict.clone())).or_default() += 1;
        self.times.note(run.duration);
        self.memory_peak = self.memory_peak.max(run.memory_peak);
        if run.has_failed() {
            self.failures += 1;
            self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
            self.last_failure = Some(LastFailure { kind: run.verdict.clone(), at: now });
        } else {
            self.failures_in_a_row = 0;
        }
    }

    fn complaint(&self, name: &str) -> Option<String> {
        let LastFailure { kind, at } = self.last_failure.as_ref()?;
        let failures = self.failures_in_a_row;
        (failures >= KEEPS_FAILING).then(|| {
            format!("Plugin `{name}` has failed {failures} times in a row, the last time at {at}: {kind}.")
        })
    }
}

/// What a chain names, without the digest that pins it.
fn name_of(plugin: &str) -> &str {
    plugin.split_once('@').map_or(plugin, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn run(plugin: &str, verdict: &str, millis: u64, memory_peak: u64) -> PluginRun {
        PluginRun {
            task: Task::Transform,
            plugin: plugin.to_owned(),
            version: "1.0.0".to_owned(),
            digest: String::new(),
            verdict: verdict.to_owned(),
            duration: Duration::from_millis(millis),
            memory_peak,
            log: Vec::new(),
        }
    }

    #[test]
    fn runs_are_counted_for_plugin_and_endpoint() {
        let usage = Usage::new(NOW);
        let (one, two) = (EndpointId::from_u128(1), EndpointId::from_u128(2));
        usage.note(one, &[run("a", "pass", 1, 10), run("b", "trap", 3, 30)], NOW);
        usage.note(two, &[run("a", "replace", 2, 20)], NOW);
        usage.note(two, &[run("a", "pass", 2, 5)], NOW);
        let (all, endpoints, found) = usage.of_plugin("a", 1);
        assert_eq!((all.calls, all.failures, all.memory_peak, found), (3, 0, 20, 2));
        assert_eq!(all.verdicts[&(Task::Transform, "pass".to_owned())], 2);
        assert_eq!((endpoints.len(), endpoints[0].0, endpoints[0].1.calls), (1, two, 2), "most calls first");
        assert_eq!(usage.of_endpoint(one)["b"].last_failure.as_ref().map(|f| f.kind.as_str()), Some("trap"));
        usage.keep(|id| id == two);
        assert!(usage.of_endpoint(one).is_empty());
        assert_eq!(usage.of_plugin("b", 9).0.calls, 1, "the plugin's own count stays");
    }

    #[test]
    fn who_fails_again_and_again_is_told_of_until_it_works() {
        let mut account = Account::default();
        for _ in 0..KEEPS_FAILING {
            assert_eq!(account.complaint("a"), None);
            account.note(&run("a", "time_limit", 1, 1), NOW);
        }
        let complaint = account.complaint("a").unwrap();
        assert!(
            complaint.contains("`a` has failed 3 times") && complaint.ends_with("time_limit."),
            "{complaint}"
        );
        account.note(&run("a", "drop", 1, 1), NOW);
        assert_eq!(account.complaint("a"), None);
    }

    #[test]
    fn there_are_no_more_pairs_than_are_allowed() {
        let usage = Usage::new(NOW);
        for id in 0..=MAX_PAIRS as u128 {
            usage.note(EndpointId::from_u128(id), &[run("a", "pass", 1, 1)], NOW);
        }
        let (all, _, found) = usage.of_plugin("a", 0);
        assert_eq!((all.calls, found), (MAX_PAIRS as u64 + 1, MAX_PAIRS));
        usage.note(EndpointId::from_u128(0), &[run("a", "pass", 1, 1)], NOW);
        assert_eq!(usage.of_endpoint(EndpointId::from_u128(0))["a"].calls, 2, "those that are known go on");
    }
}
