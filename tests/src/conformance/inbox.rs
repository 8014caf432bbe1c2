//! Events are taken on whole, once, and as they are.

use std::sync::Arc;

use bytes::Bytes;
use hookwright::delivery::{Delivery, State};
use hookwright::event::{Event, content_digest};
use hookwright::id::{DeliveryId, MAX_DELIVERIES_PER_EVENT};
use hookwright::store::{Append, Appended, Arrival, BookVersion, EventFilter, NewDelivery};
use tokio::task::JoinSet;

use super::Subject;
use super::world::{
    LEASE_END, World, arrival, at, channel, event_type, finished, ids, sorted, taken, tenant, waiting,
};

pub async fn an_event_is_found_as_it_was_posted<S: Subject>() {
    let world = World::<S>::new().await;
    let (first, second) = (world.endpoint().await, world.endpoint().await);
    let event = Event {
        event_type: event_type("document.exported"),
        tenant: tenant("acme"),
        timestamp: at(3),
        channels: vec![channel("b"), channel("a")],
        payload: Bytes::from_static(b"{\"n\": 1}"),
        ..world.named(5, "order 17")
    };
    world.accept(vec![waiting(event.clone(), &[first, second])]).await;

    let record = world.event(event.id).await.unwrap().expect("the event is stored");
    assert_eq!(*record.event, event);
    let promised = |ordinal, endpoint| {
        let id = DeliveryId::of(event.id, ordinal);
        Delivery::new(id, endpoint, tenant("acme"), event_type("document.exported"), at(5))
    };
    assert_eq!(record.deliveries, [promised(0, first), promised(1, second)]);
    let delivery = world.delivery(DeliveryId::of(event.id, 1)).await.unwrap().expect("it is stored");
    assert_eq!(delivery.delivery, promised(1, second));
    assert_eq!(*delivery.event, event);
    assert!(delivery.attempts.is_empty());
}

pub async fn payloads_are_kept_byte_for_byte<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let payloads = [
        Bytes::new(),
        Bytes::from_static(b"{\"n\":12345678901234567890.10, \"e\":1E400,\"b\":1,\"a\":2}"),
        Bytes::from_static(b"\0\0{}\0"),
        Bytes::from_static(b"\xff\xfe not UTF-8 \x80"),
        Bytes::from("\u{e4}\u{1f600}\u{2028}"),
        (0..1024 * 1024_u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect(),
    ];
    let events = payloads.map(|payload| Event { payload, ..world.new_event(0) });
    world.accept(events.iter().map(|event| waiting(event.clone(), &[endpoint])).collect()).await;

    let claimed = world.claim_all(0).await;
    assert_eq!(claimed.len(), events.len());
    for event in &events {
        let length = event.payload.len();
        let read = world.event(event.id).await.unwrap().expect("the event is stored").event;
        assert!(read.payload == event.payload, "{length} bytes are read as they were posted");
        let handed = claimed.iter().find(|claimed| claimed.event.id == event.id).expect("it is handed out");
        assert!(handed.event.payload == event.payload, "{length} bytes are handed out as they were posted");
    }
}

pub async fn an_event_without_deliveries_is_kept<S: Subject>() {
    let world = World::<S>::new().await;
    let event = world.new_event(0);
    let answers = world.accept(vec![waiting(event.clone(), &[])]).await;
    assert_eq!(answers, [Appended::Accepted { taken: vec![] }]);
    let record = world.event(event.id).await.unwrap().expect("the event is stored");
    assert_eq!((&*record.event, record.deliveries), (&event, vec![]));
    assert_eq!(world.pending().await.unwrap(), 0);
}

pub async fn a_stale_version_writes_nothing<S: Subject>() {
    let world = World::<S>::new().await;
    let before = world.version().await;
    let endpoint = world.endpoint().await;
    let present = world.version().await;
    let event = world.named(0, "once");
    let batch =
        || vec![arrival(event.clone(), &[(endpoint, true)]), waiting(world.new_event(0), &[endpoint])];
    let answer = world.append(batch(), before, at(LEASE_END)).await.unwrap();
    assert_eq!(answer, Append::Stale(present));
    assert_eq!(world.all_events(EventFilter::default(), 10).await, []);
    assert_eq!(world.pending().await.unwrap(), 0);
    assert_eq!(world.due().await, None);

    let answer = world.append(batch(), present, at(LEASE_END)).await.unwrap();
    let Append::Done(answers) = answer else { panic!("{answer:?}") };
    assert_eq!(taken(&answers[0]).len(), 1, "the refused batch did not use up the producer id");
    let answer = world.append(batch(), BookVersion::default(), at(LEASE_END)).await.unwrap();
    assert_eq!(answer, Append::Stale(present), "what is stale is not looked up");
}

pub async fn a_batch_is_all_or_nothing<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let good = world.named(0, "good");
    let bad = overfull(&world);
    let batch =
        vec![arrival(good.clone(), &[(endpoint, true)]), bad, waiting(world.new_event(0), &[endpoint])];
    let refused = world.append(batch, world.version().await, at(LEASE_END)).await;
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(world.all_events(EventFilter::default(), 10).await, []);
    assert_eq!(world.pending().await.unwrap(), 0);
    let answers = world.accept(vec![waiting(good, &[endpoint])]).await;
    assert_eq!(answers, [Appended::Accepted { taken: vec![] }]);
}

pub async fn an_event_has_no_more_deliveries_than_it_can_have<S: Subject>() {
    let world = World::<S>::new().await;
    let refused = world.append(vec![overfull(&world)], world.version().await, at(LEASE_END)).await;
    assert!(refused.is_err(), "{refused:?}");
}

pub async fn a_known_producer_id_gets_the_first_answer<S: Subject>() {
    let world = World::<S>::new().await;
    let (first, second) = (world.endpoint().await, world.endpoint().await);
    let event = world.named(0, "once");
    world.accept(vec![arrival(event.clone(), &[(first, true), (second, false)])]).await;
    let duplicate = [Appended::Duplicate { event: event.id, deliveries: 2 }];
    assert_eq!(world.accept(vec![waiting(world.named(1, "once"), &[first])]).await, duplicate);

    world.finish_all(2, State::Failed).await;
    world.replay(DeliveryId::of(event.id, 1), false, at(3)).await.unwrap();
    let again = arrival(world.named(4, "once"), &[(first, true)]);
    assert_eq!(world.accept(vec![again]).await, duplicate, "a replay does not change the answer");
    assert_eq!(world.all_events(EventFilter::default(), 10).await, [event.id]);
    assert_eq!(world.pending().await.unwrap(), 2, "the taken one and the replay");
}

pub async fn other_content_under_a_known_producer_id_is_a_conflict<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let event = world.named(0, "once");
    world.accept(vec![waiting(event.clone(), &[endpoint])]).await;
    let other = Event { payload: Bytes::from_static(b"[]"), ..world.named(1, "once") };
    let answers = world.accept(vec![arrival(other, &[(endpoint, true)])]).await;
    assert_eq!(answers, [Appended::Conflict { event: event.id }]);
    assert_eq!(world.all_events(EventFilter::default(), 10).await, [event.id]);
    assert_eq!(world.pending().await.unwrap(), 1);
}

pub async fn producer_ids_hold_within_a_batch<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let (first, last) = (world.named(0, "once"), world.named(0, "twice"));
    let other = Event { payload: Bytes::from_static(b"[]"), ..world.named(0, "once") };
    let batch = vec![
        waiting(first.clone(), &[endpoint]),
        waiting(world.named(0, "once"), &[endpoint]),
        waiting(other, &[endpoint]),
        arrival(last.clone(), &[(endpoint, true)]),
    ];
    let answers = world.accept(batch).await;
    assert_eq!(answers[0], Appended::Accepted { taken: vec![] });
    assert_eq!(answers[1], Appended::Duplicate { event: first.id, deliveries: 1 });
    assert_eq!(answers[2], Appended::Conflict { event: first.id });
    assert_eq!(taken(&answers[3])[0].delivery, DeliveryId::of(last.id, 0));
    assert_eq!(world.all_events(EventFilter::default(), 10).await, [last.id, first.id]);
}

pub async fn one_of_many_racing_posts_is_accepted<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let version = world.version().await;
    let mut posts = JoinSet::new();
    for _ in 0..16 {
        let (store, post) = (world.shared(), waiting(world.named(0, "once"), &[endpoint]));
        posts.spawn(async move { (post.event.id, store.append(vec![post], version, at(LEASE_END)).await) });
    }
    let mut accepted = vec![];
    let mut named = vec![];
    for (id, answer) in posts.join_all().await {
        let Append::Done(answers) = answer.unwrap() else { panic!("nobody changed the endpoints") };
        match answers[..] {
            [Appended::Accepted { .. }] => accepted.push(id),
            [Appended::Duplicate { event, deliveries: 1 }] => named.push(event),
            _ => panic!("{answers:?}"),
        }
    }
    assert_eq!(accepted.len(), 1);
    assert!(named.iter().all(|event| *event == accepted[0]));
    assert_eq!(world.pending().await.unwrap(), 1);
}

pub async fn tenants_do_not_share_producer_ids<S: Subject>() {
    let world = World::<S>::new().await;
    let of = |name| Event { tenant: tenant(name), ..world.named(0, "once") };
    // Joined without a mark between them, this tenant and id would be those of "a".
    let joined = Event { tenant: tenant("ao"), ..world.named(0, "nce") };
    for event in [of("a"), of("b"), of("default"), joined] {
        let answers = world.accept(vec![waiting(event, &[])]).await;
        assert_eq!(answers, [Appended::Accepted { taken: vec![] }]);
    }
    assert_eq!(world.all_events(EventFilter::default(), 10).await.len(), 4);
}

pub async fn events_without_a_producer_id_are_never_duplicates<S: Subject>() {
    let world = World::<S>::new().await;
    let answers = world.accept((0..3).map(|_| waiting(world.new_event(0), &[])).collect()).await;
    assert_eq!(answers, vec![Appended::Accepted { taken: vec![] }; 3]);
}

pub async fn taken_deliveries_are_leased_to_the_caller<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoints = [world.endpoint().await, world.endpoint().await, world.endpoint().await];
    let [first, second, third] = endpoints;
    let (mixed, plain) = (world.new_event(0), world.new_event(0));
    let batch = vec![
        arrival(mixed.clone(), &[(first, true), (second, false), (third, true)]),
        waiting(plain.clone(), &[first]),
    ];
    let answers = world.accept(batch).await;
    let leases = taken(&answers[0]).to_vec();
    let deliveries: Vec<_> = leases.iter().map(|lease| lease.delivery).collect();
    let of = |ordinal| DeliveryId::of(mixed.id, ordinal);
    assert_eq!(deliveries, [of(0), of(2)]);
    assert_eq!(taken(&answers[1]), []);

    let claimed = world.claim_all(0).await;
    assert_eq!(sorted(ids(&claimed)), sorted(vec![of(1), DeliveryId::of(plain.id, 0)]));
    let mut settled = finished(&claimed[0], State::Delivered, 1);
    settled.lease = leases[1];
    settled.delivery = world.stored(of(2)).await.finish(State::Delivered, None, at(1));
    assert!(world.settle_one(settled).await.is_done());
    assert_eq!(world.stored(of(2)).await.state, State::Delivered);
    assert_eq!(world.pending().await.unwrap(), 3);
}

fn overfull<S: Subject>(world: &World<S>) -> Arrival {
    let event = world.new_event(0);
    let delivery = NewDelivery { endpoint: world.stranger(), take: false };
    let deliveries = vec![delivery; MAX_DELIVERIES_PER_EVENT as usize + 1];
    let content = content_digest(event.event_type.as_str(), &[], None, &event.payload);
    Arrival { event: Arc::new(event), content, deliveries }
}
