//! What is counted, for Prometheus. Labels are words of a bounded vocabulary: no URL, tenant or secret is one.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::attempt::{Outcome, PluginRun};
use crate::delivery::State;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub struct Metrics {
    registry: Registry,
    events: Counter,
    duplicates: Counter,
    conflicts: Counter,
    refused_requests: Family<Reason, Counter>,
    attempts: Family<OutcomeWord, Counter>,
    finished: Family<StateWord, Counter>,
    plugin_calls: Family<PluginVerdict, Counter>,
    attempt_seconds: Histogram,
    settle_seconds: Histogram,
    plugin_seconds: Family<PluginName, Histogram>,
    plugin_memory: Family<PluginName, Gauge>,
    pending: Gauge,
    in_flight: Gauge,
    connections: Gauge<i64>,
    lost_leases: Counter<u64, AtomicU64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OutcomeWord {
    outcome: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateWord {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// The name of a plugin that was loaded.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginName {
    plugin: String,
}

/// All come from plugins that were loaded and from the host's words, so there are few.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct PluginVerdict {
    plugin: String,
    task: &'static str,
    verdict: String,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("hookwright"),
            events: Counter::default(),
            duplicates: Counter::default(),
            conflicts: Counter::default(),
            refused_requests: Family::default(),
            attempts: Family::default(),
            finished: Family::default(),
            plugin_calls: Family::default(),
            attempt_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 17)),
            settle_seconds: Histogram::new(exponential_buckets(0.001, 4.0, 14)),
            plugin_seconds: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_01, 4.0, 10))
            }),
            plugin_memory: Family::default(),
            pending: Gauge::default(),
            in_flight: Gauge::default(),
            connections: Gauge::default(),
            lost_leases: Counter::default(),
        };
        metrics.register();
        metrics
    }

    /// An event was taken on.
    pub fn event_accepted(&self) {
        self.events.inc();
    }

    /// An event was posted again.
    pub fn event_duplicate(&self) {
        self.duplicates.inc();
    }

    /// Other content was posted under a known id.
    pub fn event_conflict(&self) {
        self.conflicts.inc();
    }

    /// A request was turned away. `reason` is a problem's word.
    pub fn request_refused(&self, reason: &'static str) {
        self.refused_requests.get_or_create(&Reason { reason }).inc();
    }

    pub fn attempt(&self, outcome: &Outcome, duration: Duration) {
        self.attempts.get_or_create(&OutcomeWord { outcome: outcome.word() }).inc();
        self.attempt_seconds.observe(duration.as_secs_f64());
    }

    pub fn plugin_call(&self, run: &PluginRun) {
        let (plugin, task) = (run.plugin.clone(), run.task.word());
        let labels = PluginVerdict { plugin: plugin.clone(), task, verdict: run.verdict.clone() };
        self.plugin_calls.get_or_create(&labels).inc();
        let name = PluginName { plugin };
        self.plugin_seconds.get_or_create(&name).observe(run.duration.as_secs_f64());
        let peak = i64::try_from(run.memory_peak).unwrap_or(i64::MAX);
        self.plugin_memory.get_or_create(&name).inner().fetch_max(peak, Ordering::Relaxed);
    }

    /// A delivery has ended, so long after its event was accepted.
    pub fn delivery_finished(&self, state: State, since_accepted: Duration) {
        self.finished.get_or_create(&StateWord { state: state.word() }).inc();
        self.settle_seconds.observe(since_accepted.as_secs_f64());
    }

    /// An attempt's result came too late to count.
    pub fn lease_lost(&self) {
        self.lost_leases.inc();
    }

    pub fn set_pending(&self, deliveries: u64) {
        self.pending.set(i64::try_from(deliveries).unwrap_or(i64::MAX));
    }

    pub fn set_in_flight(&self, attempts: usize) {
        self.in_flight.set(i64::try_from(attempts).unwrap_or(i64::MAX));
    }

    /// Counts a connection until it is dropped.
    pub fn connection(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    /// The page that Prometheus reads.
    ///
    /// # Errors
    ///
    /// Never by itself; the encoder's signature has room for it.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry)?;
        Ok(page)
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("events_accepted", "Events taken on", self.events.clone());
        registry.register("events_duplicate", "Events posted again", self.duplicates.clone());
        registry.register(
            "events_conflicting",
            "Events posted under a known id with other content",
            self.conflicts.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests turned away, by the problem's word",
            self.refused_requests.clone(),
        );
        registry.register("attempts", "Attempts, by their outcome", self.attempts.clone());
        registry.register("deliveries_finished", "Deliveries ended, by state", self.finished.clone());
        registry.register("plugin_calls", "Plugin calls, by verdict or failure", self.plugin_calls.clone());
        registry.register("leases_lost", "Results that came too late to count", self.lost_leases.clone());
        registry.register_with_unit(
            "attempt_duration",
            "Time of an attempt",
            Unit::Seconds,
            self.attempt_seconds.clone(),
        );
        registry.register_with_unit(
            "settle_duration",
            "Time from an event's acceptance to a delivery's end",
            Unit::Seconds,
            self.settle_seconds.clone(),
        );
        registry.register_with_unit(
            "plugin_duration",
            "Time of a plugin call",
            Unit::Seconds,
            self.plugin_seconds.clone(),
        );
        registry.register_with_unit(
            "plugin_memory_peak",
            "The most linear memory that a call of a plugin had",
            Unit::Bytes,
            self.plugin_memory.clone(),
        );
        registry.register("deliveries_pending", "Deliveries not ended yet", self.pending.clone());
        registry.register("attempts_in_flight", "Attempts under way", self.in_flight.clone());
        registry.register("connections", "Open connections to this host", self.connections.clone());
    }
}

/// Something that is counted while it lives.
pub struct Counted(Gauge<i64>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_holds_what_was_counted() {
        let metrics = Metrics::new();
        metrics.event_accepted();
        metrics.attempt(&Outcome::Delivered { status: 200 }, Duration::from_millis(3));
        metrics.delivery_finished(State::Delivered, Duration::from_millis(9));
        metrics.set_pending(5);
        drop(metrics.connection());
        let page = metrics.encode().unwrap();
        for line in [
            "hookwright_events_accepted_total 1",
            "hookwright_attempts_total{outcome=\"delivered\"} 1",
            "hookwright_deliveries_finished_total{state=\"delivered\"} 1",
            "hookwright_attempt_duration_seconds_count 1",
            "hookwright_deliveries_pending 5",
            "hookwright_connections 0",
        ] {
            assert!(page.contains(line), "{line} in\n{page}");
        }
    }
}
