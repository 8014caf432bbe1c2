//! What happened can be looked up, newest first.

use std::collections::HashSet;
use std::sync::Arc;

use hookwright::delivery::{Delivery, State};
use hookwright::event::Event;
use hookwright::id::{DeliveryId, EventId};
use hookwright::store::{DeliveryFilter, EventFilter, PageRequest, Store};

use super::Subject;
use super::world::{
    Cursor, LEASE_END, World, all, arrival, at, channel, event_type, finished, taken, tenant, waiting,
};

pub async fn events_come_newest_first<S: Subject>() {
    let world = World::<S>::new().await;
    // The order is that of the append, whatever the clocks said.
    let events: Vec<_> = [7, 3, 9, 9, 1].iter().map(|seconds| world.new_event(*seconds)).collect();
    for batch in [&events[..2], &events[2..]] {
        world.accept(batch.iter().map(|event| waiting(event.clone(), &[])).collect()).await;
    }
    let newest_first: Vec<_> = events.iter().rev().map(|event| event.id).collect();
    for limit in [1, 2, 5, 100] {
        assert_eq!(world.all_events(EventFilter::default(), limit).await, newest_first, "pages of {limit}");
    }
    let page = world.events(EventFilter::default(), PageRequest { after: None, limit: 1 }).await.unwrap();
    assert_eq!(*page.items[0], events[4]);
}

pub async fn deliveries_come_newest_first<S: Subject>() {
    let world = World::<S>::new().await;
    let (first, second) = (world.endpoint().await, world.endpoint().await);
    let mut posted = vec![];
    for seconds in [4, 2, 8] {
        posted.extend(world.post(seconds, &[first, second]).await);
    }
    world.claim_all(2).await;
    world.finish_all(4, State::Delivered).await;
    posted.reverse();
    for limit in [1, 2, 3, 100] {
        let listed = world.all_deliveries(DeliveryFilter::default(), limit).await;
        assert_eq!(listed.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), posted, "pages of {limit}");
    }
    let listed = world.all_deliveries(DeliveryFilter::default(), 100).await;
    for delivery in listed {
        assert_eq!(delivery, world.stored(delivery.id).await);
    }
}

pub async fn each_event_filter_finds_its_own<S: Subject>() {
    let world = World::<S>::new().await;
    let mut events = vec![];
    for (seconds, name, kind) in
        [(0, "a", "invoice.paid"), (1, "b", "invoice.paid"), (2, "a", "invoice.sent"), (3, "a", "invoice")]
    {
        let channels = [vec![], vec![channel("x")], vec![channel("x"), channel("y")]];
        let event = Event {
            tenant: tenant(name),
            event_type: event_type(kind),
            channels: channels[seconds as usize % 3].clone(),
            ..world.new_event(seconds)
        };
        events.push(event.clone());
        world.accept(vec![waiting(event, &[])]).await;
    }
    let any = EventFilter::default;
    let filters = [
        any(),
        EventFilter { tenant: Some(tenant("a")), ..any() },
        EventFilter { tenant: Some(tenant("nobody")), ..any() },
        EventFilter { event_type: Some(event_type("invoice.paid")), ..any() },
        EventFilter { event_type: Some(event_type("invoice")), ..any() },
        EventFilter { since: Some(at(2)), ..any() },
        EventFilter { until: Some(at(2)), ..any() },
        EventFilter { since: Some(at(1)), until: Some(at(3)), ..any() },
        EventFilter { since: Some(at(3)), until: Some(at(1)), ..any() },
        EventFilter { channel: Some(channel("x")), ..any() },
        EventFilter { channel: Some(channel("y")), tenant: Some(tenant("a")), ..any() },
        EventFilter { channel: Some(channel("z")), ..any() },
        EventFilter {
            tenant: Some(tenant("a")),
            event_type: Some(event_type("invoice.sent")),
            since: Some(at(1)),
            ..any()
        },
    ];
    for filter in filters {
        let fitting = events.iter().rev().filter(|event| filter.fits(event));
        let expected: Vec<_> = fitting.map(|event| event.id).collect();
        for limit in [1, 100] {
            assert_eq!(world.all_events(filter.clone(), limit).await, expected, "{filter:?}");
        }
    }
}

pub async fn each_delivery_filter_finds_its_own<S: Subject>() {
    let world = World::<S>::new().await;
    let history = varied_history(&world).await;
    let any = DeliveryFilter::default;
    let (first, last) = (&history[0], history.last().unwrap());
    let mut filters = vec![
        any(),
        DeliveryFilter { tenant: Some(tenant("a")), ..any() },
        DeliveryFilter { tenant: Some(tenant("nobody")), ..any() },
        DeliveryFilter { endpoint: Some(first.endpoint), ..any() },
        DeliveryFilter { endpoint: Some(world.stranger()), ..any() },
        DeliveryFilter { endpoint: Some(first.endpoint), tenant: Some(first.tenant.clone()), ..any() },
        DeliveryFilter { endpoint: Some(first.endpoint), tenant: Some(tenant("a")), ..any() },
        DeliveryFilter { event: Some(last.id.event()), ..any() },
        DeliveryFilter { event: Some(world.new_event(0).id), ..any() },
        DeliveryFilter { event_type: Some(event_type("invoice.sent")), ..any() },
        DeliveryFilter { since: Some(at(3)), ..any() },
        DeliveryFilter { until: Some(at(3)), ..any() },
        // Of an event that was accepted before, a replay is found too.
        DeliveryFilter { since: Some(at(9)), until: Some(at(10)), ..any() },
        DeliveryFilter { webhook_id: Some(last.webhook_id), ..any() },
        DeliveryFilter { webhook_id: Some(DeliveryId::of(last.id.event(), 40).webhook_id()), ..any() },
        DeliveryFilter { webhook_id: Some(first.webhook_id), event: Some(last.id.event()), ..any() },
    ];
    for state in State::ALL {
        filters.push(DeliveryFilter { state: Some(state), ..any() });
        filters.push(DeliveryFilter { state: Some(state), endpoint: Some(first.endpoint), ..any() });
        filters.push(DeliveryFilter {
            state: Some(state),
            tenant: Some(tenant("a")),
            since: Some(at(1)),
            ..any()
        });
    }
    for filter in filters {
        let expected: Vec<_> = history.iter().filter(|delivery| filter.fits(delivery)).cloned().collect();
        for limit in [1, 3, 100] {
            assert_eq!(world.all_deliveries(filter.clone(), limit).await, expected, "{filter:?}");
        }
    }
}

pub async fn what_is_unknown_is_not_found<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let unknown = world.new_event(0).id;
    assert!(world.event(unknown).await.unwrap().is_none());
    for id in
        [DeliveryId::of(id.event(), 1), DeliveryId::of(id.event(), u16::MAX), DeliveryId::of(unknown, 0)]
    {
        assert!(world.delivery(id).await.unwrap().is_none(), "{id}");
    }
}

pub async fn pages_neither_skip_nor_repeat_events<S: Subject>() {
    let world = World::<S>::new().await;
    let expected = oldest_last(&world, 20).await;
    let mut cursor = Cursor::<Arc<Event>>::new(3);
    while let Some(page) = cursor.page() {
        cursor.put(world.events(EventFilter::default(), page).await.unwrap());
        world.accept(vec![waiting(world.new_event(0), &[])]).await;
    }
    assert_eq!(cursor.items.iter().map(|event| event.id).collect::<Vec<_>>(), expected);
}

pub async fn pages_neither_skip_nor_repeat_deliveries<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for _ in 0..20 {
        world.post(0, &[endpoint, endpoint]).await;
    }
    let everything = world.all_deliveries(DeliveryFilter::default(), 100).await;
    let expected: Vec<_> = everything.iter().map(|delivery| delivery.id).collect();
    let mut cursor = Cursor::<Delivery>::new(3);
    while let Some(page) = cursor.page() {
        cursor.put(world.deliveries(DeliveryFilter::default(), page).await.unwrap());
        world.post_one(0, endpoint).await;
        for claimed in world.claim(hookwright::store::Claim { limit: 4, ..all(0) }).await.unwrap() {
            world.settle_one(finished(&claimed, State::Delivered, 1)).await;
        }
    }
    assert_eq!(cursor.items.iter().map(|delivery| delivery.id).collect::<Vec<_>>(), expected);
}

pub async fn pages_hold_under_concurrent_writes<S: Subject>() {
    let world = World::<S>::new().await;
    let expected = oldest_last(&world, 30).await;
    let version = world.version().await;
    let (store, posts) = (world.shared(), (0..60).map(|_| world.new_event(0)).collect::<Vec<_>>());
    let writer = tokio::spawn(async move {
        for post in posts {
            store.append(vec![arrival(post, &[])], version, at(LEASE_END)).await.unwrap();
        }
    });
    while !writer.is_finished() {
        let listed = world.all_events(EventFilter::default(), 7).await;
        let distinct: HashSet<_> = listed.iter().collect();
        assert_eq!(distinct.len(), listed.len(), "none is listed twice");
        assert!(listed.ends_with(&expected), "what was there before is listed, in its order");
    }
    writer.await.unwrap();
    assert_eq!(world.all_events(EventFilter::default(), 7).await.len(), 90);
}

/// More events than any part of an index holds, of which some are pruned; the clock leaps back in between.
pub async fn long_histories_are_found_whole<S: Subject>() {
    const EVENTS: u64 = 10_000;
    let world = World::<S>::new().await;
    let endpoints = [world.endpoint().await, world.endpoint().await, world.endpoint().await];
    let rare = tenant("rare");
    for first in (0..EVENTS).step_by(1_000) {
        let batch = (first..first + 1_000).map(|n| {
            let seconds = if n < 6_000 { n } else { n - 2_000 };
            let is_rare = n % 4_000 == 7;
            let event = Event {
                tenant: if is_rare { rare.clone() } else { tenant("a") },
                event_type: event_type(if n % 50 < 25 { "invoice.paid" } else { "invoice.sent" }),
                ..world.new_event(seconds)
            };
            let endpoint = endpoints[if is_rare { 2 } else { n as usize % 2 }];
            arrival(event, &[(endpoint, n % 3 != 0)])
        });
        let batch: Vec<_> = batch.collect();
        let posted = batch.iter().map(|arrival| (arrival.event.clone(), arrival.deliveries.clone()));
        let posted: Vec<_> = posted.collect();
        let answers = world.accept(batch).await;
        let mut settled = vec![];
        for ((event, deliveries), answer) in posted.into_iter().zip(&answers) {
            for lease in taken(answer) {
                let delivery = Delivery::promised(lease.delivery, deliveries[0].endpoint, &event);
                let claimed = hookwright::store::Claimed { lease: *lease, delivery, event: event.clone() };
                let failed = (event.accepted_at.as_secs() - at(0).as_secs()) % 700 == 1;
                let state = if failed { State::Failed } else { State::Delivered };
                settled.push(finished(&claimed, state, first));
            }
        }
        world.settle(settled).await.unwrap();
    }
    // What has not ended stays, and its events with it.
    world.prune_all(2_500, 500).await;
    let kept = world.all_deliveries(DeliveryFilter::default(), 500).await;
    assert!(kept.len() > 7_000 && kept.len() < 9_500, "{} are left", kept.len());

    let any = DeliveryFilter::default;
    let state = |state| DeliveryFilter { state: Some(state), ..any() };
    let between = |since, until| DeliveryFilter { since: Some(at(since)), until: Some(at(until)), ..any() };
    for filter in [
        state(State::Failed),
        state(State::Cancelled),
        DeliveryFilter { endpoint: Some(endpoints[1]), ..state(State::Pending) },
        DeliveryFilter { endpoint: Some(endpoints[2]), ..any() },
        DeliveryFilter { tenant: Some(rare.clone()), endpoint: Some(endpoints[2]), ..any() },
        DeliveryFilter { tenant: Some(rare.clone()), endpoint: Some(endpoints[0]), ..any() },
        DeliveryFilter { tenant: Some(tenant("a")), endpoint: Some(endpoints[2]), ..any() },
        DeliveryFilter { tenant: Some(rare.clone()), ..any() },
        DeliveryFilter { tenant: Some(rare.clone()), ..state(State::Failed) },
        DeliveryFilter { event_type: Some(event_type("invoice.paid")), ..state(State::Failed) },
        DeliveryFilter { tenant: Some(rare.clone()), event_type: Some(event_type("invoice.sent")), ..any() },
        DeliveryFilter { until: Some(at(1_000)), ..any() },
        between(4_095, 4_097),
        between(4_500, 5_500),
        between(7_990, 20_000),
        DeliveryFilter { endpoint: Some(endpoints[0]), ..between(5_000, 5_100) },
    ] {
        let expected: Vec<_> = kept.iter().filter(|delivery| filter.fits(delivery)).cloned().collect();
        for limit in [90, 500] {
            assert_eq!(world.all_deliveries(filter.clone(), limit).await, expected, "{filter:?}");
        }
    }
    let between = EventFilter { since: Some(at(5_990)), until: Some(at(6_000)), ..EventFilter::default() };
    assert_eq!(world.all_events(between, 7).await.len(), 20, "the clock showed that time twice");
}

/// Posts so many events; their ids, newest first.
async fn oldest_last<S: Subject>(world: &World<S>, count: usize) -> Vec<EventId> {
    let events: Vec<_> = (0..count).map(|_| world.new_event(0)).collect();
    let ids = events.iter().rev().map(|event| event.id).collect();
    world.accept(events.into_iter().map(|event| waiting(event, &[])).collect()).await;
    ids
}

/// Deliveries of two tenants, types and endpoints in every state, with replays; newest first.
async fn varied_history<S: Subject>(world: &World<S>) -> Vec<Delivery> {
    let endpoints = [world.endpoint().await, world.endpoint().await];
    let others = [world.endpoint().await, world.endpoint().await];
    let mut events = vec![];
    for (seconds, state) in (0..).zip(State::ALL) {
        for (name, kind, endpoints) in [("a", "invoice.paid", endpoints), ("b", "invoice.sent", others)] {
            let event =
                Event { tenant: tenant(name), event_type: event_type(kind), ..world.new_event(seconds) };
            events.push(event.id);
            world.accept(vec![waiting(event, &endpoints)]).await;
        }
        if state.is_final() {
            world.finish_all(seconds, state).await;
        } else {
            world.claim(hookwright::store::Claim { limit: 1, ..all(seconds) }).await.unwrap();
        }
    }
    for event in [events[5], events[9]] {
        world.replay(DeliveryId::of(event, 1), false, at(9)).await.unwrap();
        world.replay(DeliveryId::of(event, 1), true, at(9)).await.unwrap();
    }
    let store: &dyn Store = &**world;
    let mut history = vec![];
    for event in events.into_iter().rev() {
        let record = store.event(event).await.unwrap().expect("the event is stored");
        history.extend(record.deliveries.into_iter().rev());
    }
    history
}
