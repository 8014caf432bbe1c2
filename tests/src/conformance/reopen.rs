//! A store that leaves something behind finds all of it again.

use hookwright::delivery::State;
use hookwright::endpoint::Order;
use hookwright::id::DeliveryId;
use hookwright::store::plugins::PluginRow;
use hookwright::store::{Appended, DeliveryFilter, ErrorFilter, EventFilter, Scope, Settle};

use super::order::{delivered, line, ordered};
use super::plugins::file;
use super::statistics::{errors, fail, standing, tally};
use super::world::{World, arrival, at, finished, retried, sorted, taken, waiting};
use super::{Lasting, model};

pub async fn everything_is_still_there<S: Lasting>() {
    let world = World::<S>::new().await;
    let (first, second) = (world.endpoint().await, world.endpoint().await);
    world.hold(second, true).await;
    let done = world.finished_delivery(0, first).await;
    world.replay(done, true, at(5)).await.unwrap();
    world.post(6, &[first, second]).await;
    world.put_setting("name", b"value".to_vec()).await.unwrap();
    let (rows, events) =
        (world.endpoints().await.unwrap(), world.all_events(EventFilter::default(), 10).await);
    let deliveries = world.all_deliveries(DeliveryFilter::default(), 10).await;
    let attempts = world.attempts(done).await;

    let world = world.reopen().await;
    assert_eq!(world.endpoints().await.unwrap(), rows);
    assert_eq!(world.all_events(EventFilter::default(), 10).await, events);
    assert_eq!(world.all_deliveries(DeliveryFilter::default(), 10).await, deliveries);
    assert_eq!((world.attempts(done).await, attempts.len()), (attempts, 1));
    assert_eq!(world.setting("name").await.unwrap(), Some(b"value".to_vec()));
    assert_eq!(world.pending().await.unwrap(), 3);
}

/// Whatever was done before, and between any two openings.
pub async fn lists_are_the_same<S: Lasting>() {
    model::the_memory_store_agrees_with_what_is_opened_again::<S>().await;
}

/// The holder of a lease goes with the process that opened the store.
pub async fn leases_end<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let mut posted = vec![world.post_one(0, endpoint).await];
    let claimed = world.claim_one(0).await;
    let answers = world.accept(vec![arrival(world.new_event(0), &[(endpoint, true)])]).await;
    posted.push(taken(&answers[0])[0].delivery);

    let world = world.reopen().await;
    assert_eq!(world.settle_one(finished(&claimed, State::Failed, 1)).await, Settle::LeaseLost);
    assert_eq!(world.due().await, Some(at(0)));
    assert_eq!(sorted(world.claimed_ids(0).await), sorted(posted));
}

pub async fn the_order_goes_on<S: Lasting>() {
    let mut world = World::<S>::new().await;
    let mut expected = vec![];
    for seconds in [9, 5, 7] {
        let event = world.new_event(seconds);
        expected.insert(0, event.id);
        world.accept(vec![waiting(event, &[])]).await;
        world = world.reopen().await;
    }
    assert_eq!(world.all_events(EventFilter::default(), 2).await, expected);
}

pub async fn producer_ids_are_remembered<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let event = world.named(0, "once");
    world.accept(vec![waiting(event.clone(), &[endpoint, endpoint])]).await;
    let world = world.reopen().await;
    let answers = world.accept(vec![waiting(world.named(1, "once"), &[endpoint])]).await;
    assert_eq!(answers, [Appended::Duplicate { event: event.id, deliveries: 2 }]);
}

pub async fn waiting_deliveries_keep_their_time<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let retried_one = world.post_one(0, endpoint).await;
    world.settle_one(retried(&world.claim_one(0).await, 1, 70)).await;
    let released = world.post_one(0, endpoint).await;
    world.release(vec![world.claim_one(0).await.lease], at(60)).await.unwrap();
    let hurried = world.post_one(80, endpoint).await;
    world.retry_now(hurried, at(50)).await.unwrap();
    let cancelled = world.post_one(40, endpoint).await;
    world.cancel(cancelled, "Enough.".to_owned(), at(41)).await.unwrap();

    let world = world.reopen().await;
    for (due, id) in [(50, hurried), (60, released), (70, retried_one)] {
        assert_eq!(world.due().await, Some(at(due)));
        assert_eq!(world.claimed_ids(due).await, [id]);
    }
    assert_eq!(world.claimed_ids(500).await, []);
}

pub async fn deleted_endpoints_stay_deleted<S: Lasting>() {
    let world = World::<S>::new().await;
    let (kept, deleted) = (world.endpoint().await, world.endpoint().await);
    let posted = world.post(0, &[kept, deleted]).await;
    world.delete_endpoint(deleted).await.unwrap();
    let version = world.version().await;
    let world = world.reopen().await;
    assert_eq!(world.version().await, version);
    assert_eq!(world.claimed_ids(0).await, posted[..1]);
    assert_eq!(
        world.cancel_orphans(10, at(5)).await.unwrap(),
        1,
        "what was not cancelled yet is cancelled now"
    );
    assert_eq!(world.pending().await.unwrap(), 1);
}

pub async fn counts_outlast_the_store<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    world.finish_all(1, State::Delivered).await;
    world.post_one(2, endpoint).await;
    fail(&world, 3, 500).await;
    let taken = arrival(world.new_event(4), &[(endpoint, true)]);
    world.accept(vec![taken]).await;
    let before = (
        tally(&world, Scope::Host).await,
        tally(&world, Scope::Endpoint(endpoint)).await,
        standing(&world, endpoint).await,
        errors(&world, ErrorFilter::default()).await,
    );
    assert_eq!((before.2.pending, before.2.oldest_pending_at), (2, Some(at(2))));
    let world = world.reopen().await;
    let after = (
        tally(&world, Scope::Host).await,
        tally(&world, Scope::Endpoint(endpoint)).await,
        standing(&world, endpoint).await,
        errors(&world, ErrorFilter::default()).await,
    );
    assert_eq!(after, before);
}

pub async fn the_line_stands_after_a_restart<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = ordered(&world, Order::Strict).await;
    let first = arrival(world.new_event(0), &[(endpoint, true)]);
    let head = DeliveryId::of(first.event.id, 0);
    world.accept(vec![first]).await;
    let ids = line(&world, endpoint, 3).await;
    let world = world.reopen().await;
    assert_eq!(world.pending().await.unwrap(), 4);
    let claimed = world.claim_one(10).await;
    assert_eq!(claimed.delivery.id, head);
    assert!(world.settle_one(retried(&claimed, 10, 20)).await.is_done());
    let world = world.reopen().await;
    assert_eq!(world.claim_all(19).await.len(), 0);
    let last = world.post_one(19, endpoint).await;
    assert_eq!(delivered(&world, 20).await, [&[head], &ids[..], &[last]].concat());
}

pub async fn a_job_goes_on_after_a_restart<S: Lasting>() {
    super::jobs::goes_on_after_a_restart::<S>().await;
}

pub async fn plugins_outlast_the_store<S: Lasting>() {
    let world = World::<S>::new().await;
    let row = PluginRow { name: "a".to_owned(), revision: 1, document: b"told".to_vec() };
    world.put_plugin_rows(vec![row.clone()]).await.unwrap();
    let (kept, gone) = (file(900_000, 1), file(900_000, 2));
    let digest = world.keep_component(kept.clone(), at(3)).await.unwrap();
    let forgotten = world.keep_component(gone, at(3)).await.unwrap();
    world.forget_components(vec![forgotten]).await.unwrap();
    let before = world.components().await.unwrap();
    let world = world.reopen().await;
    assert_eq!(world.plugin_rows().await.unwrap(), std::slice::from_ref(&row));
    assert_eq!(world.components().await.unwrap(), before);
    assert_eq!(world.component(digest).await.unwrap(), Some(kept));
    assert_eq!(world.component(forgotten).await.unwrap(), None);
    assert!(!world.put_plugin_rows(vec![row]).await.unwrap(), "its revision is remembered");
}
