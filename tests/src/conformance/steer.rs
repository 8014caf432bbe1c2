//! People steer deliveries: retry, cancel, replay.

use std::sync::Arc;

use hookwright::delivery::{Delivery, State};
use hookwright::event::{Event, EventType};
use hookwright::id::{DeliveryId, EndpointId, MAX_DELIVERIES_PER_EVENT};
use hookwright::store::{DeliveryFilter, ORPHANED, Replay, Settle, Steer};

use super::Subject;
use super::world::{World, arrival, at, finished, retried, sorted, taken};

pub async fn retry_now_makes_a_waiting_delivery_due<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let settled = retried(&world.claim_one(0).await, 1, 500);
    let expected = Delivery { due: Some(at(20)), ..settled.delivery.clone() };
    world.settle_one(settled).await;
    assert_eq!(world.retry_now(id, at(20)).await.unwrap(), Steer::Done(expected.clone()));
    assert_eq!(world.stored(id).await, expected);
    assert_eq!(world.claimed_ids(19).await, []);
    assert_eq!(world.claimed_ids(20).await, [id]);
}

pub async fn retry_now_leaves_a_leased_delivery_to_its_holder<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let claimed = world.claim_one(0).await;
    let before = world.stored(id).await;
    assert_eq!(world.retry_now(id, at(5)).await.unwrap(), Steer::Done(before.clone()));
    assert_eq!(world.stored(id).await, before);
    assert_eq!(world.claimed_ids(6).await, []);
    assert!(world.settle_one(finished(&claimed, State::Delivered, 7)).await.is_done());
}

pub async fn cancel_ends_a_waiting_delivery<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let expected = world.stored(id).await.finish(State::Cancelled, Some("Enough.".to_owned()), at(5));
    let answer = world.cancel(id, "Enough.".to_owned(), at(5)).await.unwrap();
    assert_eq!(answer, Steer::Done(expected.clone()));
    assert_eq!(world.stored(id).await, expected);
    assert_eq!(world.claimed_ids(10).await, []);
}

pub async fn cancel_takes_the_lease_away<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let claimed = world.claim_one(0).await;
    world.cancel(id, "Enough.".to_owned(), at(5)).await.unwrap();
    for settled in [finished(&claimed, State::Delivered, 6), retried(&claimed, 6, 7)] {
        assert_eq!(world.settle_one(settled).await, Settle::LeaseLost);
    }
    world.release(vec![claimed.lease], at(7)).await.unwrap();
    assert_eq!(world.stored(id).await.state, State::Cancelled);
    assert_eq!(world.attempts(id).await, []);
    assert_eq!(world.claimed_ids(10_000).await, []);
}

pub async fn final_deliveries_are_not_steered<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for state in [State::Delivered, State::Filtered, State::Failed, State::Cancelled] {
        let id = world.post_one(0, endpoint).await;
        world.finish_all(0, state).await;
        let stored = world.stored(id).await;
        assert_eq!(world.retry_now(id, at(9)).await.unwrap(), Steer::Final(stored.clone()));
        let cancelled = world.cancel(id, "Too late.".to_owned(), at(9)).await.unwrap();
        assert_eq!(cancelled, Steer::Final(stored.clone()));
        assert_eq!(world.stored(id).await, stored);
        assert_eq!(world.claimed_ids(10).await, []);
    }
}

pub async fn unknown_deliveries_are_not_found<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.finished_delivery(0, endpoint).await;
    let no_such_event = DeliveryId::of(world.new_event(0).id, 0);
    for id in [DeliveryId::of(id.event(), 1), no_such_event] {
        assert_eq!(world.retry_now(id, at(1)).await.unwrap(), Steer::NotFound);
        assert_eq!(world.cancel(id, "None.".to_owned(), at(1)).await.unwrap(), Steer::NotFound);
        assert_eq!(world.replay(id, false, at(1)).await.unwrap(), Replay::NotFound);
    }
    assert_eq!(world.pending().await.unwrap(), 0);
}

pub async fn a_replay_is_a_new_delivery<S: Subject>() {
    let world = World::<S>::new().await;
    let (first, second) = (world.endpoint().await, world.endpoint().await);
    let posted = world.post(0, &[first, second]).await;
    world.finish_all(1, State::Delivered).await;
    let original = world.stored(posted[0]).await;
    let again = replayed(&world, posted[0], false, 5).await;
    let id = DeliveryId::of(posted[0].event(), 2);
    assert_eq!(again, original.replay(id, original.webhook_id, at(5)));
    assert_eq!(world.stored(again.id).await, again);
    assert_eq!(world.stored(posted[0]).await, original, "the original stays as it was");
    assert_eq!(world.claimed_ids(4).await, []);
    let claimed = world.claim_one(5).await;
    assert_eq!((&claimed.delivery, claimed.event.id), (&again, id.event()));
    assert!(world.settle_one(finished(&claimed, State::Failed, 6)).await.is_done());
    let record = world.event(id.event()).await.unwrap().expect("the event is stored");
    let states: Vec<_> = record.deliveries.iter().map(|delivery| delivery.state).collect();
    assert_eq!(states, [State::Delivered, State::Delivered, State::Failed]);
}

pub async fn a_replay_can_have_a_webhook_id_of_its_own<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.finished_delivery(0, endpoint).await;
    let again = replayed(&world, id, true, 5).await;
    assert_eq!(again.webhook_id, again.id.webhook_id());
    assert_ne!(again.webhook_id, id.webhook_id());
    assert_eq!(again.replay_of, Some(id));
    assert_eq!(world.stored(again.id).await, again);
}

pub async fn replays_of_replays_keep_the_line<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.finished_delivery(0, endpoint).await;
    let second = replayed(&world, id, false, 5).await;
    world.finish_all(6, State::Failed).await;
    let third = replayed(&world, second.id, false, 7).await;
    let fourth = replayed(&world, id, false, 8).await;
    assert_eq!((third.replay_of, fourth.replay_of), (Some(second.id), Some(id)));
    let of_event = |ordinal| DeliveryId::of(id.event(), ordinal);
    assert_eq!([second.id, third.id, fourth.id], [of_event(1), of_event(2), of_event(3)]);
    let filter = DeliveryFilter { webhook_id: Some(id.webhook_id()), ..DeliveryFilter::default() };
    let line: Vec<_> = world.all_deliveries(filter, 2).await.iter().map(|delivery| delivery.id).collect();
    assert_eq!(line, [fourth.id, third.id, second.id, id], "`webhook-id` finds the whole line");
}

pub async fn pending_deliveries_are_not_replayed<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    for _ in ["waiting", "leased"] {
        let stored = world.stored(id).await;
        assert_eq!(world.replay(id, false, at(1)).await.unwrap(), Replay::Pending(stored));
        world.claim_all(0).await;
    }
    assert_eq!(world.pending().await.unwrap(), 1);
}

pub async fn nothing_is_replayed_to_a_deleted_endpoint<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.finished_delivery(0, endpoint).await;
    world.delete_endpoint(endpoint).await.unwrap();
    assert_eq!(world.replay(id, false, at(1)).await.unwrap(), Replay::NoEndpoint);
    assert_eq!(world.pending().await.unwrap(), 0);
}

pub async fn a_full_event_is_not_replayed<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let mut deliveries = vec![(endpoint, false); MAX_DELIVERIES_PER_EVENT as usize - 1];
    deliveries[0].1 = true;
    let event = world.new_event(0);
    let answers = world.accept(vec![arrival(event, &deliveries)]).await;
    let id = taken(&answers[0])[0].delivery;
    world.cancel(id, "Enough.".to_owned(), at(1)).await.unwrap();
    let last = replayed(&world, id, false, 2).await;
    assert_eq!(u32::from(last.id.ordinal()), MAX_DELIVERIES_PER_EVENT - 1);
    assert_eq!(world.replay(id, false, at(3)).await.unwrap(), Replay::Full);
    assert_eq!(world.pending().await.unwrap(), u64::from(MAX_DELIVERIES_PER_EVENT) - 1);
}

pub async fn orphans_are_cancelled<S: Subject>() {
    let world = World::<S>::new().await;
    let (kept, deleted) = (world.endpoint().await, world.endpoint().await);
    let done = world.finished_delivery(0, deleted).await;
    let mut orphans = vec![];
    for seconds in 1..=5 {
        orphans.push(world.post(seconds, &[kept, deleted]).await[1]);
    }
    assert_eq!(world.cancel_orphans(10, at(10)).await.unwrap(), 0);
    world.delete_endpoint(deleted).await.unwrap();
    assert_eq!(world.cancel_orphans(2, at(11)).await.unwrap(), 2);
    assert_eq!(world.cancel_orphans(10, at(11)).await.unwrap(), 3);
    assert_eq!(world.cancel_orphans(10, at(12)).await.unwrap(), 0);
    for id in orphans {
        let delivery = world.stored(id).await;
        assert_eq!((delivery.state, delivery.finished_at), (State::Cancelled, Some(at(11))));
        assert_eq!(delivery.reason.as_deref(), Some(ORPHANED));
    }
    assert_eq!(world.stored(done).await.state, State::Delivered);
    assert_eq!(world.attempts(done).await.len(), 1, "its log stays");
    assert_eq!(world.pending().await.unwrap(), 5);
    let of_type =
        DeliveryFilter { event_type: EventType::parse("invoice.paid").ok(), ..waiting_for(deleted) };
    assert_eq!(world.all_deliveries(of_type, 100).await, []);
    assert_eq!(world.claim_all(20).await.len(), 5);
}

pub async fn orphans_lose_their_leases<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let waiting = world.post_one(0, endpoint).await;
    let claimed = world.claim_one(0).await;
    let answers = world.accept(vec![arrival(world.new_event(0), &[(endpoint, true)])]).await;
    let from_append = taken(&answers[0])[0];
    world.delete_endpoint(endpoint).await.unwrap();
    assert_eq!(world.cancel_orphans(10, at(5)).await.unwrap(), 2);
    assert_eq!(world.settle_one(finished(&claimed, State::Delivered, 6)).await, Settle::LeaseLost);
    let lost = world.renew(vec![claimed.lease, from_append], at(100)).await.unwrap();
    let lost = sorted(lost.iter().map(|lease| lease.delivery).collect());
    assert_eq!(lost, sorted(vec![waiting, from_append.delivery]));
    assert_eq!(world.stored(waiting).await.state, State::Cancelled);
}

async fn replayed<S: Subject>(world: &World<S>, id: DeliveryId, new_id: bool, seconds: u64) -> Delivery {
    match world.replay(id, new_id, at(seconds)).await.unwrap() {
        Replay::Done(delivery) => delivery,
        other => panic!("{id} can be replayed, but: {other:?}"),
    }
}

fn waiting_for(endpoint: EndpointId) -> DeliveryFilter {
    DeliveryFilter { endpoint: Some(endpoint), state: Some(State::Pending), ..DeliveryFilter::default() }
}

pub async fn what_waited_too_long_has_failed<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let under_way = world.post_one(1, endpoint).await;
    assert_eq!(world.claim_one(1).await.delivery.id, under_way);
    let old = world.post_one(2, endpoint).await;
    let young = world.post_one(5, endpoint).await;
    world.hold(endpoint, true).await;
    let told = world.new_event(9);
    let expire = || {
        let told = arrival(told.clone(), &[(endpoint, false)]);
        let tell = move |_: &Event, ended: &Delivery| (ended.state == State::Failed).then(|| told.clone());
        world.expire(at(5), 10, "too old".to_owned(), at(9), Arc::new(tell))
    };
    assert_eq!(expire().await.unwrap(), 1, "neither what is leased nor what is young");
    assert_eq!(expire().await.unwrap(), 0);
    let told = world.event(told.id).await.unwrap().expect("what tells of it is there");
    assert_eq!(told.deliveries.len(), 1);
    assert_eq!(world.stored(under_way).await.state, State::Pending);
    assert_eq!(world.stored(young).await.state, State::Pending);
    let old = world.stored(old).await;
    assert_eq!(
        (old.state, old.reason.as_deref(), old.finished_at),
        (State::Failed, Some("too old"), Some(at(9)))
    );
}
