//! What ended is forgotten after a while, and nothing else.

use hookwright::delivery::State;
use hookwright::id::{DeliveryId, EndpointId};
use hookwright::store::{Appended, DeliveryFilter, EventFilter, Replay, Steer};

use super::Subject;
use super::world::{World, at, finished, retried, waiting};

pub async fn pending_deliveries_are_kept_however_old<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let leased = world.post_one(0, endpoint).await;
    world.claim_one(0).await;
    let retrying = world.post_one(0, endpoint).await;
    world.settle_one(retried(&world.claim_one(0).await, 1, 500)).await;
    let waiting = world.post_one(0, endpoint).await;
    let orphan = world.post_one(0, world.stranger()).await;
    assert_eq!(world.prune_all(1_000_000, 2).await, (0, 0));
    for id in [leased, retrying, waiting, orphan] {
        assert_eq!(world.stored(id).await.state, State::Pending);
    }
    assert_eq!(world.attempts(retrying).await.len(), 1);
    assert_eq!(world.pending().await.unwrap(), 4);
}

pub async fn what_ended_goes_by_itself<S: Subject>() {
    let world = World::<S>::new().await;
    let posted = staggered(&world).await;
    assert_eq!(world.prune_all(10, 10).await, (0, 0), "what ended at that very time is kept");
    assert_eq!(world.prune_all(11, 10).await, (0, 1));
    assert!(world.delivery(posted[0]).await.unwrap().is_none());
    assert_eq!(world.retry_now(posted[0], at(50)).await.unwrap(), Steer::NotFound);
    assert_eq!(world.replay(posted[0], false, at(50)).await.unwrap(), Replay::NotFound);
    let record = world.event(posted[0].event()).await.unwrap().expect("its siblings keep the event");
    let ids: Vec<_> = record.deliveries.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ids, posted[1..]);
    let listed = world.all_deliveries(DeliveryFilter::default(), 10).await;
    assert_eq!(listed.len(), 2);
    let filter = DeliveryFilter { state: Some(State::Delivered), ..DeliveryFilter::default() };
    assert_eq!(world.all_deliveries(filter, 10).await.len(), 1);
}

pub async fn an_event_goes_with_its_last_delivery<S: Subject>() {
    let world = World::<S>::new().await;
    let posted = staggered(&world).await;
    world.cancel(posted[2], "Enough.".to_owned(), at(30)).await.unwrap();
    assert_eq!(world.prune_all(30, 10).await, (0, 2));
    assert_eq!(world.prune_all(31, 10).await, (1, 1));
    assert!(world.event(posted[0].event()).await.unwrap().is_none());
    assert_eq!(world.all_events(EventFilter::default(), 10).await, []);
    assert_eq!(world.all_deliveries(DeliveryFilter::default(), 10).await, []);
    assert_eq!(world.prune_all(31, 10).await, (0, 0));
}

pub async fn an_event_goes_though_the_clock_went_back<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(100, endpoint).await;
    let claimed = world.claim_one(100).await;
    world.settle_one(finished(&claimed, State::Delivered, 10)).await;
    assert_eq!(world.prune_all(11, 10).await, (1, 1));
    assert_eq!(world.all_events(EventFilter::default(), 10).await, []);
}

pub async fn an_event_without_deliveries_goes_by_its_age<S: Subject>() {
    let world = World::<S>::new().await;
    let (old, new) = (world.new_event(5), world.new_event(6));
    world.accept(vec![waiting(old.clone(), &[]), waiting(new.clone(), &[])]).await;
    assert_eq!(world.prune_all(5, 10).await, (0, 0));
    assert_eq!(world.prune_all(6, 10).await, (1, 0));
    assert_eq!(world.all_events(EventFilter::default(), 10).await, [new.id]);
}

pub async fn replays_keep_their_event<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.finished_delivery(0, endpoint).await;
    let Replay::Done(again) = world.replay(id, false, at(5)).await.unwrap() else {
        panic!("it can be replayed")
    };
    assert_eq!(world.prune_all(1_000, 10).await, (0, 1));
    let filter = DeliveryFilter { webhook_id: Some(id.webhook_id()), ..DeliveryFilter::default() };
    let line = world.all_deliveries(filter, 10).await;
    assert_eq!(line.iter().collect::<Vec<_>>(), [&again], "its `webhook-id` still finds it");
    let claimed = world.claim_one(5).await;
    assert_eq!(claimed.delivery, again);
    world.settle_one(finished(&claimed, State::Delivered, 6)).await;
    assert_eq!(world.prune_all(1_000, 10).await, (1, 1));
}

pub async fn ordinals_are_not_given_again<S: Subject>() {
    let world = World::<S>::new().await;
    let posted = staggered(&world).await;
    for (ordinal, seconds) in [(3, 40), (4, 50)] {
        let answer = world.replay(posted[1], false, at(seconds)).await.unwrap();
        let Replay::Done(again) = answer else { panic!("{answer:?}") };
        assert_eq!(again.id, DeliveryId::of(posted[0].event(), ordinal));
        world.cancel(again.id, "Enough.".to_owned(), at(5)).await.unwrap();
        world.prune_all(6, 10).await;
        assert!(world.delivery(again.id).await.unwrap().is_none());
    }
}

pub async fn a_pruned_producer_id_is_free<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let deliveries: [&[EndpointId]; 2] = [&[], &[endpoint]];
    for endpoints in deliveries {
        let first = world.named(0, "once");
        world.accept(vec![waiting(first.clone(), endpoints)]).await;
        world.finish_all(0, State::Delivered).await;
        let known = world.accept(vec![waiting(world.named(1, "once"), endpoints)]).await;
        let deliveries = endpoints.len() as u32;
        assert_eq!(known, [Appended::Duplicate { event: first.id, deliveries }]);
        assert_eq!(world.prune_all(5, 10).await.0, 1);
        let again = world.named(6, "once");
        let answers = world.accept(vec![waiting(again.clone(), endpoints)]).await;
        assert_eq!(answers, [Appended::Accepted { taken: vec![] }]);
        world.finish_all(6, State::Delivered).await;
        assert_eq!(world.prune_all(7, 10).await.0, 1);
    }
}

pub async fn held_past_retention_arrives<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    world.hold(endpoint, true).await;
    assert_eq!(world.prune_all(1_000_000, 10).await, (0, 0));
    world.hold(endpoint, false).await;
    let claimed = world.claim_one(1).await;
    assert_eq!((claimed.delivery.id, claimed.event.id), (id, id.event()));
}

pub async fn a_call_looks_at_so_many_events<S: Subject>() {
    let world = World::<S>::new().await;
    world.accept((0..10).map(|_| waiting(world.new_event(0), &[])).collect()).await;
    for limit in [3, 4] {
        let pruned = world.prune(at(1), limit).await.unwrap();
        assert_eq!((pruned.events, pruned.done), (limit as u64, false));
    }
    assert_eq!(world.prune_all(1, 2).await, (3, 0), "it went on where it stopped");
    let kept = world.new_event(9);
    world.accept(vec![waiting(kept.clone(), &[]), waiting(world.new_event(0), &[])]).await;
    assert_eq!(world.prune_all(1, 1).await, (1, 0));
    assert_eq!(world.prune_all(10, 1).await, (1, 0), "the next round looks at what was kept");
}

/// An event with three deliveries: ended at 10 s, ended at 20 s, waiting.
async fn staggered<S: Subject>(world: &World<S>) -> Vec<DeliveryId> {
    let posted =
        world.post(0, &[world.endpoint().await, world.endpoint().await, world.endpoint().await]).await;
    let mut claimed = world.claim_all(0).await;
    claimed.sort_by_key(|claimed| claimed.delivery.id);
    let batch = vec![
        finished(&claimed[0], State::Delivered, 10),
        finished(&claimed[1], State::Delivered, 20),
        retried(&claimed[2], 10, 500),
    ];
    world.settle(batch).await.unwrap();
    posted
}
