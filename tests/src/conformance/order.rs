//! Endpoints that keep an order: a line whose head alone is handed out.

use std::sync::Arc;

use hookwright::delivery::State;
use hookwright::endpoint::Order;
use hookwright::id::{DeliveryId, EndpointId};
use hookwright::store::{EndpointRow, Replay, Settle, Steer};

use super::Subject;
use super::world::{World, arrival, at, finished, retried, row, taken};

pub(super) async fn ordered<S: Subject>(world: &World<S>, order: Order) -> EndpointId {
    let id = world.stranger();
    world.put_endpoint(EndpointRow { order, ..row(id, 1, false) }, vec![]).await.unwrap().expect("it is new");
    id
}

async fn reorder<S: Subject>(world: &World<S>, id: EndpointId, revision: u64, order: Order) {
    let next = EndpointRow { order, ..row(id, revision, false) };
    world.put_endpoint(next, vec![]).await.unwrap().expect("nobody was faster");
}

pub(super) async fn line<S: Subject>(world: &World<S>, endpoint: EndpointId, length: u64) -> Vec<DeliveryId> {
    let mut ids = vec![];
    for seconds in 0..length {
        ids.push(world.post_one(seconds, endpoint).await);
    }
    ids
}

/// Ends each delivery as it is handed out; in which order that was.
pub(super) async fn delivered<S: Subject>(world: &World<S>, seconds: u64) -> Vec<DeliveryId> {
    let mut order = vec![];
    loop {
        let claimed = world.claim_all(seconds).await;
        assert!(claimed.len() <= 1, "one at a time, not {claimed:?}");
        let Some(claimed) = claimed.first() else { return order };
        order.push(claimed.delivery.id);
        assert!(world.settle_one(finished(claimed, State::Delivered, seconds)).await.is_done());
    }
}

pub async fn only_the_head_is_handed_out<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 5).await;
    assert_eq!(world.pending().await.unwrap(), 5);
    assert_eq!(world.due().await, Some(at(0)));
    assert_eq!(delivered(&world, 10).await, ids);
    assert_eq!(world.pending().await.unwrap(), 0);
}

/// However the clock went: what was appended first goes first.
pub async fn the_order_is_that_of_the_appends<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let mut ids = vec![];
    for seconds in [5, 9, 1, 7] {
        ids.push(world.post_one(seconds, endpoint).await);
    }
    assert_eq!(delivered(&world, 10).await, ids);
}

pub async fn a_failing_head_keeps_the_others_waiting<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 3).await;
    for seconds in [10, 20, 30] {
        let claimed = world.claim_one(seconds).await;
        assert_eq!(claimed.delivery.id, ids[0]);
        assert!(world.settle_one(retried(&claimed, seconds, seconds + 10)).await.is_done());
        assert_eq!(world.claim_all(seconds + 9).await.len(), 0);
        assert_eq!(world.due().await, Some(at(seconds + 10)));
    }
    let claimed = world.claim_one(40).await;
    assert!(world.settle_one(finished(&claimed, State::Failed, 40)).await.is_done());
    assert_eq!(delivered(&world, 41).await, ids[1..]);
}

pub async fn a_head_given_back_stays_the_head<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 2).await;
    let claimed = world.claim_one(10).await;
    world.release(vec![claimed.lease], at(20)).await.unwrap();
    assert_eq!(world.claim_all(19).await.len(), 0);
    assert_eq!(delivered(&world, 20).await, ids);
}

pub async fn a_head_steps_aside_where_it_is_to<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Parking { after: 2 }).await;
    let ids = line(&world, endpoint, 3).await;
    let first = world.claim_one(10).await;
    assert!(world.settle_one(retried(&first, 10, 20)).await.is_done());
    assert_eq!(world.claim_all(19).await.len(), 0, "not after the first attempt");
    let second = world.claim_one(20).await;
    assert!(world.settle_one(retried(&second, 20, 100)).await.is_done());
    assert_eq!(delivered(&world, 21).await, ids[1..]);
    assert_eq!(delivered(&world, 100).await, ids[..1], "in its own time");
}

pub async fn only_the_head_is_taken<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let free = world.endpoint().await;
    let mut leases = vec![];
    for seconds in [0, 1] {
        let arrival = arrival(world.new_event(seconds), &[(endpoint, true), (free, true)]);
        let id = arrival.event.id;
        let answers = world.accept(vec![arrival]).await;
        let ordinals: Vec<_> = taken(&answers[0]).iter().map(|lease| lease.delivery.ordinal()).collect();
        assert_eq!(ordinals, if seconds == 0 { vec![0, 1] } else { vec![1] });
        leases.push((id, taken(&answers[0]).to_vec()));
    }
    assert_eq!(world.claim_all(5).await.len(), 0, "all that may go is leased");
    let head = leases[0].1[0];
    let delivery = world.stored(head.delivery).await.finish(State::Delivered, None, at(6));
    let settled = hookwright::store::Settled {
        lease: head,
        delivery,
        attempt: None,
        announce: vec![],
        recovery: vec![],
    };
    assert!(world.settle_one(settled).await.is_done());
    assert_eq!(delivered(&world, 7).await, [DeliveryId::of(leases[1].0, 0)]);
}

pub async fn the_next_one_follows_whoever_is_cancelled<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 5).await;
    let head = world.claim_one(10).await;
    let cancel = async |id| world.cancel(id, "Enough.".to_owned(), at(11)).await.unwrap();
    assert!(matches!(cancel(ids[2]).await, Steer::Done(_)));
    assert!(matches!(cancel(ids[0]).await, Steer::Done(_)));
    assert_eq!(world.settle_one(finished(&head, State::Delivered, 12)).await, Settle::LeaseLost);
    assert_eq!(world.pending().await.unwrap(), 3);
    assert_eq!(delivered(&world, 12).await, [ids[1], ids[3], ids[4]]);
}

pub async fn nobody_jumps_the_line<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 2).await;
    let head = world.claim_one(10).await;
    assert!(world.settle_one(retried(&head, 10, 50)).await.is_done());
    assert!(matches!(world.retry_now(ids[1], at(11)).await.unwrap(), Steer::Done(_)));
    assert_eq!(world.claim_all(12).await.len(), 0);
    assert!(matches!(world.retry_now(ids[0], at(13)).await.unwrap(), Steer::Done(_)));
    assert_eq!(delivered(&world, 13).await, ids);
}

pub async fn a_replay_comes_last<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let first = world.post_one(0, endpoint).await;
    assert_eq!(delivered(&world, 1).await, [first]);
    let ids = line(&world, endpoint, 2).await;
    let Replay::Done(replay) = world.replay(first, false, at(2)).await.unwrap() else {
        panic!("it has ended")
    };
    let last = world.post_one(3, endpoint).await;
    assert_eq!(delivered(&world, 10).await, [ids[0], ids[1], replay.id, last]);
}

pub async fn what_was_made_before_is_in_no_line<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Free).await;
    let before = world.post_one(0, endpoint).await;
    let claimed = world.claim_one(1).await;
    assert!(world.settle_one(retried(&claimed, 1, 50)).await.is_done());
    reorder(&world, endpoint, 2, Order::Strict).await;
    let ids = line(&world, endpoint, 3).await;
    assert_eq!(delivered(&world, 10).await, ids);
    assert_eq!(delivered(&world, 50).await, [before]);
}

pub async fn a_line_ends_with_the_order<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 4).await;
    reorder(&world, endpoint, 2, Order::Free).await;
    let free = world.post_one(8, endpoint).await;
    let claimed = world.claimed_ids(10).await;
    assert_eq!(claimed, [&ids[..], &[free]].concat());
    reorder(&world, endpoint, 3, Order::Strict).await;
    let head = world.post_one(11, endpoint).await;
    world.post_one(12, endpoint).await;
    assert_eq!(world.claimed_ids(20).await, [head]);
}

pub async fn a_line_waited_too_long<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let ids = line(&world, endpoint, 4).await;
    assert_eq!(world.expire(at(2), 10, "too old".to_owned(), at(9), Arc::new(|_, _| None)).await.unwrap(), 2);
    assert_eq!(world.stored(ids[1]).await.state, State::Failed);
    assert_eq!(delivered(&world, 10).await, ids[2..]);
}

pub async fn a_line_goes_with_its_endpoint<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    line(&world, endpoint, 5).await;
    world.claim_one(9).await;
    world.delete_endpoint(endpoint).await.unwrap();
    assert_eq!(world.cancel_orphans(3, at(10)).await.unwrap(), 3);
    assert_eq!(world.cancel_orphans(3, at(10)).await.unwrap(), 2);
    assert_eq!(world.pending().await.unwrap(), 0);
    assert_eq!(world.cancel_orphans(3, at(11)).await.unwrap(), 0);
}

/// Deliveries that wait anywhere: in line, at its head, leased, or for a retry.
pub async fn what_waits_is_cancelled_up_to_a_moment<S: Subject>() {
    let world = World::<S>::new().await;
    let (other, free) = (world.endpoint().await, world.endpoint().await);
    let endpoint = ordered(&world, Order::Strict).await;
    let mut ids = line(&world, endpoint, 3).await;
    let young = world.post_one(5, endpoint).await;
    world.post_one(0, other).await;
    let implied = world.accept(vec![arrival(world.new_event(1), &[(free, true)])]).await;
    let implied = taken(&implied[0])[0].delivery;
    let cancel = async |endpoint, limit| {
        world.cancel_waiting(endpoint, at(5), limit, "Skipped.".to_owned(), at(9)).await.unwrap()
    };
    assert_eq!(cancel(endpoint, 2).await, 2);
    assert_eq!(cancel(endpoint, 2).await, 1);
    assert_eq!(cancel(endpoint, 2).await, 0);
    assert_eq!(cancel(free, 9).await, 1);
    ids.push(implied);
    for id in ids {
        let delivery = world.stored(id).await;
        assert_eq!((delivery.state, delivery.finished_at), (State::Cancelled, Some(at(9))));
        assert_eq!(delivery.reason.as_deref(), Some("Skipped."));
    }
    assert_eq!(world.pending().await.unwrap(), 2);
    assert!(world.claimed_ids(10).await.contains(&young));
}
