//! The set of endpoints, and who was faster.

use hookwright::delivery::State;
use hookwright::health::Health;
use hookwright::id::EndpointId;
use hookwright::store::{BookVersion, Claim, DeliveryFilter, EndpointRow, Settle, Settled};
use tokio::task::JoinSet;

use super::Subject;
use super::world::{World, all, at, finished, retried, row, waiting};

pub async fn rows_are_kept_as_they_are<S: Subject>() {
    let world = World::<S>::new().await;
    assert_eq!(world.endpoints().await.unwrap(), (BookVersion(0), vec![]));
    let documents = [vec![], b"\0\xff sealed".to_vec(), vec![7; 200_000]];
    let rows = documents.map(|document| EndpointRow { document, ..row(world.stranger(), 1, true) });
    for row in &rows {
        world.put_endpoint(row.clone(), vec![]).await.unwrap().expect("a new endpoint is created");
    }
    let replaced = EndpointRow { held: false, revision: 2, ..rows[1].clone() };
    world.put_endpoint(replaced.clone(), vec![]).await.unwrap().expect("nobody was faster");
    let (_, mut stored) = world.endpoints().await.unwrap();
    stored.sort_by_key(|row| row.id);
    assert_eq!(stored, [rows[0].clone(), replaced, rows[2].clone()]);
}

pub async fn each_change_raises_the_version<S: Subject>() {
    let world = World::<S>::new().await;
    let id = world.stranger();
    assert_eq!(world.put_endpoint(row(id, 1, false), vec![]).await.unwrap(), Some(BookVersion(1)));
    assert_eq!(world.put_endpoint(row(id, 2, true), vec![]).await.unwrap(), Some(BookVersion(2)));
    assert_eq!(world.delete_endpoint(id).await.unwrap(), Some(BookVersion(3)));
    assert_eq!(world.delete_endpoint(id).await.unwrap(), None);
    assert_eq!(world.endpoints().await.unwrap(), (BookVersion(3), vec![]));
}

pub async fn the_faster_change_wins<S: Subject>() {
    let world = World::<S>::new().await;
    let id = world.stranger();
    for revision in [0, 2, u64::MAX] {
        assert_eq!(
            world.put_endpoint(row(id, revision, false), vec![]).await.unwrap(),
            None,
            "{revision} of none"
        );
    }
    for revision in [1, 2] {
        world.put_endpoint(row(id, revision, false), vec![]).await.unwrap().expect("nobody was faster");
    }
    for revision in [0, 1, 2, 4, u64::MAX] {
        assert_eq!(
            world.put_endpoint(row(id, revision, true), vec![]).await.unwrap(),
            None,
            "{revision} of 2"
        );
    }
    assert_eq!(world.endpoints().await.unwrap(), (BookVersion(2), vec![row(id, 2, false)]));
}

pub async fn one_of_many_racing_changes_is_made<S: Subject>() {
    let world = World::<S>::new().await;
    let id = world.endpoint().await;
    let mut changes = JoinSet::new();
    for _ in 0..16 {
        let store = world.shared();
        changes.spawn(async move { store.put_endpoint(row(id, 2, true), vec![]).await.unwrap() });
    }
    let made: Vec<_> = changes.join_all().await.into_iter().flatten().collect();
    assert_eq!(made, [BookVersion(2)]);
}

pub async fn a_deleted_endpoint_can_be_created_again<S: Subject>() {
    let world = World::<S>::new().await;
    let id = world.endpoint().await;
    world.hold(id, true).await;
    let posted = world.post_one(0, id).await;
    world.delete_endpoint(id).await.unwrap();
    assert_eq!(world.put_endpoint(row(id, 3, false), vec![]).await.unwrap(), None);
    assert_eq!(world.put_endpoint(row(id, 1, false), vec![]).await.unwrap(), Some(BookVersion(4)));
    assert_eq!(world.cancel_orphans(10, super::world::at(1)).await.unwrap(), 0);
    assert_eq!(world.claimed_ids(0).await, [posted], "what waited has its endpoint again");
}

pub async fn an_endpoint_is_judged_anew<S: Subject>() {
    let world = World::<S>::new().await;
    let id = world.endpoint().await;
    let health = async || world.standings(vec![id]).await.unwrap()[0].health;
    world.post_one(0, id).await;
    let claimed = world.claim_one(1).await;
    world.settle_one(retried(&claimed, 1, 2)).await;
    assert_eq!(health().await.consecutive_failures, 1);
    let under_way = world.claim_one(2).await;
    let anew = EndpointRow { judged_from: at(5), ..row(id, 2, false) };
    world.put_endpoint(anew, vec![]).await.unwrap().expect("nobody was faster");
    let expected = Health { on_trial: true, ..Health::default() };
    assert_eq!(health().await, expected);
    assert_eq!(world.settle_one(retried(&under_way, 4, 6)).await, Settle::Done(expected), "it began before");
    let claimed = world.claim_one(6).await;
    world.settle_one(retried(&claimed, 6, 7)).await;
    assert_eq!(health().await.consecutive_failures, 1);
}

pub async fn a_recovery_is_told_once<S: Subject>() {
    let world = World::<S>::new().await;
    let (id, told) = (world.endpoint().await, world.endpoint().await);
    let told_of = DeliveryFilter { endpoint: Some(told), ..DeliveryFilter::default() };
    let mut count = vec![];
    for (seconds, fails) in [(0, false), (10, true), (20, false), (30, false)] {
        world.post_one(seconds, id).await;
        let claimed = world.claim(claim_but(told, seconds)).await.unwrap().remove(0);
        if fails {
            world.settle_one(retried(&claimed, seconds, seconds + 5)).await;
            continue;
        }
        let recovery = vec![waiting(world.new_event(seconds), &[told])];
        world.settle_one(Settled { recovery, ..finished(&claimed, State::Delivered, seconds) }).await;
        count.push(world.all_deliveries(told_of.clone(), 10).await.len());
    }
    assert_eq!(count, [0, 1, 1]);
}

/// Of all but one endpoint.
fn claim_but(skipped: EndpointId, seconds: u64) -> Claim {
    Claim { skip: [skipped].into(), ..all(seconds) }
}
