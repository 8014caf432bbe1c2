//! What shaped attempts, and delivering again with it.

use hookwright::attempt::{Attempt, ChainId};
use hookwright::delivery::{Delivery, State};
use hookwright::id::DeliveryId;
use hookwright::store::{ChainRow, Claimed, Replay, Settled};

use super::Subject;
use super::world::{AS_RECORDED, World, at, finished, retried};

pub(super) fn row(id: u128, seconds: u64, document: &[u8]) -> ChainRow {
    ChainRow { id: ChainId(id), kept_at: at(seconds), document: document.to_vec() }
}

pub async fn chains_are_kept_by_their_ids<S: Subject>() {
    let world = World::<S>::new().await;
    let (first, last) = (row(1, 5, b"one"), row(u128::MAX, 6, &[0; 10_000]));
    for row in [&last, &first] {
        world.keep_chain(row.clone()).await.unwrap();
    }
    assert_eq!(world.chain(first.id).await.unwrap(), Some(first.clone()));
    assert_eq!(world.chain(ChainId(2)).await.unwrap(), None);
    let other = row(1, 9, b"sealed with another key");
    world.keep_chain(other.clone()).await.unwrap();
    assert_eq!(world.chains().await.unwrap(), [other, last], "in the order of their ids, each once");
}

pub async fn chains_that_are_out_of_use_are_forgotten<S: Subject>() {
    let world = World::<S>::new().await;
    for id in 1..=5 {
        world.keep_chain(row(u128::from(id), id, b"")).await.unwrap();
    }
    world.keep_chain(row(1, 50, b"again")).await.unwrap();
    assert_eq!(world.prune_chains(at(5), 2).await.unwrap(), 2);
    assert_eq!(world.prune_chains(at(5), 2).await.unwrap(), 1);
    assert_eq!(world.prune_chains(at(5), 2).await.unwrap(), 0);
    let kept: Vec<_> = world.chains().await.unwrap().into_iter().map(|row| row.id).collect();
    assert_eq!(kept, [ChainId(1), ChainId(5)]);
}

/// The latest attempt that recorded something counts; so it does for a replay of the replay.
pub async fn a_replay_takes_what_was_recorded<S: Subject>() {
    let world = World::<S>::new().await;
    let delivery = recorded_delivery(&world).await;
    let Replay::Done(again) = world.replay(delivery, AS_RECORDED, at(20)).await.unwrap() else {
        panic!("it was recorded")
    };
    assert_eq!((again.recorded, again.replay_of), (Some(ChainId(2)), Some(delivery)));
    assert_eq!(world.stored(again.id).await, again);
    let claimed = world.claim_one(20).await;
    assert_eq!(claimed.delivery, again, "whoever makes the attempt is told");
    settle(&world, &claimed, Some(ChainId(2)), 21).await;
    assert_eq!(world.stored(again.id).await.recorded, Some(ChainId(2)), "it stays so");
    let of_now = world.replay(again.id, Default::default(), at(22)).await.unwrap();
    let Replay::Done(Delivery { recorded: None, .. }) = of_now else { panic!("{of_now:?}") };
}

pub async fn what_was_not_recorded_is_not_replayed_so<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let unattempted = world.post_one(0, endpoint).await;
    world.cancel(unattempted, "Enough.".to_owned(), at(1)).await.unwrap();
    let earlier = world.finished_delivery(2, endpoint).await;
    for id in [unattempted, earlier] {
        assert_eq!(world.replay(id, AS_RECORDED, at(9)).await.unwrap(), Replay::NotRecorded);
        let event = world.event(id.event()).await.unwrap().expect("it is there");
        assert_eq!(event.deliveries.len(), 1, "nothing was made");
    }
}

/// Its first attempt recorded 1, its second 2, and its last nothing.
pub(super) async fn recorded_delivery<S: Subject>(world: &World<S>) -> DeliveryId {
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    for (seconds, chain) in [(1, ChainId(1)), (3, ChainId(2))] {
        let claimed = world.claim_one(seconds).await;
        let retried = retried(&claimed, seconds, seconds + 2);
        assert!(world.settle_one(recording(retried, Some(chain))).await.is_done());
    }
    let claimed = world.claim_one(5).await;
    settle(world, &claimed, None, 6).await;
    id
}

async fn settle<S: Subject>(world: &World<S>, claimed: &Claimed, chain: Option<ChainId>, seconds: u64) {
    let settled = recording(finished(claimed, State::Failed, seconds), chain);
    assert!(world.settle_one(settled).await.is_done());
}

fn recording(settled: Settled, chain: Option<ChainId>) -> Settled {
    let attempt = settled.attempt.clone().map(|attempt| Attempt { chain, ..attempt });
    Settled { attempt, ..settled }
}
