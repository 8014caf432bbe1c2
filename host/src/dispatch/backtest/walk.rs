//! The way through endpoints and events.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::attempt::{PluginRun, Task};
use crate::dispatch::backlog::Backlog;
use crate::dispatch::chain::{self, Observer, Occasion, Shaped};
use crate::dispatch::redact::Redactor;
use crate::dispatch::request::Outfit;
use crate::dispatch::tries::unsendable;
use crate::dispatch::worker::Workshop;
use crate::endpoint::Endpoint;
use crate::id::EventId;
use crate::message::Message;
use crate::plugin::{Plugin, Snapshot};
use crate::store::{DeliveryFilter, DeliveryRecord, PageRequest, Store, StoreError};

use super::comparison::{self, Change, Counts, End, Sample, Shown};
use super::{Backtest, OfEndpoint, Pair, SAMPLES_OF_A_KIND, Settings, Summary, Times, Way};

/// Deliveries that are asked for at once.
const PAGE: usize = 100;
/// Pause before it is looked again whether live traffic leaves room.
const WAIT: Duration = Duration::from_millis(50);

/// Everything a backtest works with, for as long as it runs.
pub(super) struct Walk {
    pub backtest: Arc<Backtest>,
    pub settings: Settings,
    pub backlog: Arc<Backlog>,
    /// As they were when it began.
    pub plugins: Arc<Snapshot>,
    pub store: Arc<dyn Store>,
    // The last, so that who waits for the workshop finds the store free.
    pub workshop: Arc<Workshop>,
}

/// An endpoint and the plugins of its chain.
#[derive(Clone)]
pub(super) struct Subject {
    pub endpoint: Endpoint,
    pub plugins: Vec<Plugin>,
}

/// A subject, ready to run.
struct Side {
    subject: Subject,
    outfit: Outfit,
}

/// Why a walk stops.
enum Halt {
    Short(String),
    Failed(String),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Halt::Failed(error.to_string())
    }
}

impl Walk {
    pub async fn go(&self, endpoints: Vec<Arc<Endpoint>>) -> Way {
        let mut bytes = 0;
        for endpoint in endpoints {
            match self.endpoint(&endpoint, &mut bytes).await {
                Ok(()) => {}
                Err(Halt::Short(reason)) => return Way::Short(reason),
                Err(Halt::Failed(reason)) => return Way::Failed(reason),
            }
        }
        Way::Through
    }

    async fn endpoint(&self, endpoint: &Arc<Endpoint>, bytes: &mut usize) -> Result<(), Halt> {
        let sides = self.sides(endpoint);
        self.backtest.now().endpoints.push(OfEndpoint {
            endpoint: endpoint.clone(),
            counts: Counts::default(),
            times: Pair::default(),
            problem: sides.as_ref().err().cloned(),
        });
        let Ok(sides) = sides else { return Ok(()) };
        self.events(endpoint, &sides, bytes).await
    }

    fn sides(&self, endpoint: &Arc<Endpoint>) -> Result<Pair<Side>, String> {
        let plugins = chain::resolve_in(&self.plugins, endpoint).map_err(|missing| missing.to_string())?;
        let candidate = self.backtest.order.with_candidate(endpoint, &plugins);
        let active = Subject { endpoint: Endpoint::clone(endpoint), plugins };
        Ok(Pair { active: Side::of(active)?, candidate: Side::of(candidate)? })
    }

    async fn events(&self, endpoint: &Endpoint, sides: &Pair<Side>, bytes: &mut usize) -> Result<(), Halt> {
        let mut times = Pair::default();
        let filter = DeliveryFilter { endpoint: Some(endpoint.id), ..DeliveryFilter::default() };
        let wanted = self.backtest.order.events;
        // An event that was delivered again counts once.
        let mut seen: HashSet<EventId> = HashSet::new();
        let mut after = None;
        loop {
            let page = PageRequest { after, limit: PAGE.min(wanted - seen.len()) };
            let page = self.store.deliveries(filter.clone(), page).await?;
            for delivery in &page.items {
                if !seen.insert(delivery.id.event()) {
                    continue;
                }
                self.give_way().await;
                // What was forgotten since the page was read is passed over.
                let Some(record) = self.store.delivery(delivery.id).await? else { continue };
                *bytes = bytes.saturating_add(record.event.payload.len());
                if *bytes > self.settings.bytes {
                    let reason = "It had looked at as many bytes of payloads as it may (`backtest.bytes`).";
                    return Err(Halt::Short(reason.to_owned()));
                }
                self.event(&record, sides, &mut times, seen.len().is_multiple_of(2)).await;
            }
            after = page.next;
            if after.is_none() || seen.len() >= wanted {
                return Ok(());
            }
        }
    }

    /// Live traffic goes first.
    async fn give_way(&self) {
        tokio::task::yield_now().await;
        while self.backlog.is_busy() {
            tokio::time::sleep(WAIT).await;
        }
    }

    /// Both run in the same moment: that in which the delivery was made. Who goes first alternates, since what runs first
    /// finds the caches cold.
    async fn event(
        &self,
        record: &DeliveryRecord,
        sides: &Pair<Side>,
        times: &mut Pair<Times>,
        candidate_first: bool,
    ) {
        let event = &record.event;
        let (webhook_id, started) = (record.delivery.webhook_id, record.delivery.created_at);
        let occasion = Occasion { event, webhook_id, number: 1, started };
        let (active, candidate);
        if candidate_first {
            candidate = self.run(&sides.candidate, occasion).await;
            active = self.run(&sides.active, occasion).await;
        } else {
            active = self.run(&sides.active, occasion).await;
            candidate = self.run(&sides.candidate, occasion).await;
        }
        active.calls.iter().for_each(|span| times.active.note(*span));
        candidate.calls.iter().for_each(|span| times.candidate.note(*span));
        self.note(record, sides, &active, &candidate, times);
    }

    async fn run(&self, side: &Side, occasion: Occasion<'_>) -> Ran {
        let Subject { endpoint, plugins } = &side.subject;
        let _turn = self.workshop.turns.take(endpoint).await;
        let mut watch = Watch { plugin: &self.backtest.order.plugin, calls: Vec::new() };
        let end = match chain::shape(plugins, endpoint, occasion, &mut watch).await {
            Shaped::Ended(outcome) => End::Nothing(outcome),
            Shaped::Message(message, _) => side.request(message, occasion),
        };
        Ran { end, calls: watch.calls }
    }

    fn note(
        &self,
        record: &DeliveryRecord,
        sides: &Pair<Side>,
        active: &Ran,
        candidate: &Ran,
        times: &Pair<Times>,
    ) {
        let mut standing = self.backtest.now();
        let change = standing.counts.note(&active.end, &candidate.end);
        active.calls.iter().for_each(|span| standing.times.active.note(*span));
        candidate.calls.iter().for_each(|span| standing.times.candidate.note(*span));
        if let Some(of_endpoint) = standing.endpoints.last_mut() {
            of_endpoint.counts.note(&active.end, &candidate.end);
            of_endpoint.times =
                Pair { active: Summary::of(&times.active), candidate: Summary::of(&times.candidate) };
        }
        let endpoint = record.delivery.endpoint;
        let room = room_for(&standing.samples, change, self.settings.samples, |sample| {
            sample.endpoint == endpoint && sample.change == change
        });
        drop(standing);
        let Some(room) = room else { return };
        let sample = Arc::new(self.sample(record, sides, &active.end, &candidate.end, change));
        let mut standing = self.backtest.now();
        if room < standing.samples.len() {
            standing.samples.remove(room);
        }
        standing.samples.push(sample);
    }

    fn sample(
        &self,
        record: &DeliveryRecord,
        sides: &Pair<Side>,
        active: &End,
        candidate: &End,
        change: Change,
    ) -> Sample {
        let limit = self.settings.sample_body;
        let (before, after) = (&sides.active.outfit.redactor, &sides.candidate.outfit.redactor);
        Sample {
            endpoint: record.delivery.endpoint,
            event: record.event.id,
            event_type: record.event.event_type.clone(),
            change,
            active: Shown::of(active, before, limit),
            candidate: Shown::of(candidate, after, limit),
            difference: difference((active, before), (candidate, after), limit),
        }
    }
}

fn difference(active: (&End, &Redactor), candidate: (&End, &Redactor), limit: usize) -> Option<String> {
    let told = comparison::difference(active, candidate, limit)?;
    let hidden = "(the messages differ in white space, in what is masked, or behind what is shown)\n";
    Some(if told.is_empty() { hidden.to_owned() } else { told })
}

/// Where a sample of this change goes: behind the others, or in the place of one that weighs less.
fn room_for(
    samples: &[Arc<Sample>],
    change: Change,
    most: usize,
    is_alike: impl Fn(&Sample) -> bool,
) -> Option<usize> {
    if change == Change::Same || samples.iter().filter(|sample| is_alike(sample)).count() >= SAMPLES_OF_A_KIND
    {
        return None;
    }
    if samples.len() < most {
        return Some(samples.len());
    }
    samples.iter().rposition(|sample| sample.change.weight() < change.weight())
}

impl Side {
    fn of(subject: Subject) -> Result<Self, String> {
        let outfit = Outfit::new(&subject.endpoint).map_err(|error| error.to_string())?;
        Ok(Self { subject, outfit })
    }

    fn request(&self, message: Message, occasion: Occasion<'_>) -> End {
        let request = self.outfit.request(
            &self.subject.endpoint,
            message.clone(),
            occasion.webhook_id,
            occasion.started,
        );
        match request {
            Ok(request) => End::Message(Message { body: request.body, ..message }),
            Err(error) => End::Nothing(unsendable(&error)),
        }
    }
}

/// What one side made of an event, and how long each call of the plugin took.
struct Ran {
    end: End,
    calls: Vec<Duration>,
}

/// Takes the times of the calls of one plugin.
struct Watch<'w> {
    plugin: &'w str,
    calls: Vec<Duration>,
}

impl Observer for Watch<'_> {
    fn ran(&mut self, run: PluginRun, _: Option<&str>, _: &Message) {
        if run.task == Task::Transform && run.plugin == self.plugin {
            self.calls.push(run.duration);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::Outcome;
    use crate::event::EventType;
    use crate::id::EndpointId;

    fn sample(change: Change) -> Arc<Sample> {
        let shown = || Shown { message: None, body_length: 0, outcome: None::<Outcome> };
        Arc::new(Sample {
            endpoint: EndpointId::from_u128(1),
            event: EventId::from_u128(0),
            event_type: EventType::parse("a").unwrap(),
            change,
            active: shown(),
            candidate: shown(),
            difference: None,
        })
    }

    #[test]
    fn samples_that_tell_more_take_the_place_of_others() {
        let samples = [Change::NewlyFailing, Change::Changed, Change::Changed].map(sample);
        let room = |change, most| room_for(&samples, change, most, |sample| sample.change == change);
        assert_eq!(room(Change::Same, 9), None);
        assert_eq!(room(Change::Changed, 9), Some(3));
        assert_eq!(room(Change::Changed, 3), None);
        assert_eq!(room(Change::NewlyDropped, 3), Some(2));
        let three = [Change::Changed; 3].map(sample);
        assert_eq!(room_for(&three, Change::Changed, 9, |sample| sample.change == Change::Changed), None);
    }
}
