//! Deliveries are handed out to one holder at a time, when they are due, and none is forgotten.

use std::collections::HashSet;

use bytes::Bytes;
use hookwright::attempt::{BodyRecord, Outcome, Ruling};
use hookwright::delivery::State;
use hookwright::event::Event;
use hookwright::id::{DeliveryId, EndpointId};
use hookwright::store::{ATTEMPTS_KEPT, Claim, Claimed, Lease, Settle, Settled};
use std::time::Duration;
use tokio::task::JoinSet;

use super::Subject;
use super::world::{
    LEASE_END, World, all, arrival, at, attempt, finished, full_attempt, ids, retried, sorted, taken, waiting,
};

pub async fn what_waits_is_due_when_its_event_was_accepted<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let event = world.new_event(10);
    let id = DeliveryId::of(event.id, 0);
    world.accept(vec![waiting(event.clone(), &[endpoint])]).await;
    assert_eq!(world.claimed_ids(9).await, []);
    let claimed = world.claim_one(10).await;
    assert_eq!((claimed.lease.delivery, claimed.delivery.id), (id, id));
    assert_eq!(claimed.delivery, world.stored(id).await);
    assert_eq!(*claimed.event, event);
}

pub async fn claims_are_exclusive<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoints = [world.endpoint().await, world.endpoint().await, world.endpoint().await];
    let mut expected = vec![];
    for _ in 0..40 {
        expected.extend(world.post(0, &endpoints).await);
    }
    let mut claimers = JoinSet::new();
    for _ in 0..8 {
        let store = world.shared();
        claimers.spawn(async move {
            let mut all_mine = vec![];
            loop {
                let mine = store.claim(Claim { limit: 7, ..all(0) }).await.unwrap();
                if mine.is_empty() {
                    return all_mine;
                }
                all_mine.extend(mine);
                assert!(all_mine.len() <= 120, "more are handed out than there are");
            }
        });
    }
    let claimed: Vec<Claimed> = claimers.join_all().await.into_iter().flatten().collect();
    assert_eq!(sorted(ids(&claimed)), sorted(expected), "each is handed out, and to one claimer only");
}

pub async fn the_longest_due_go_first<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let mut posted = vec![];
    for seconds in [5, 3, 9, 4] {
        posted.push(world.post_one(seconds, endpoint).await);
    }
    let two = world.claim(Claim { limit: 2, ..all(8) }).await.unwrap();
    assert_eq!(ids(&two), [posted[1], posted[3]]);
    assert_eq!(world.claimed_ids(9).await, [posted[0], posted[2]]);
}

pub async fn claims_take_turns_over_endpoints<S: Subject>() {
    let world = World::<S>::new().await;
    let (busy, quiet, late) = (world.endpoint().await, world.endpoint().await, world.endpoint().await);
    for _ in 0..50 {
        world.post_one(0, busy).await;
    }
    let first_quiet = world.post_one(1, quiet).await;
    let first_late = world.post_one(2, late).await;
    let claimed = ids(&world.claim(Claim { limit: 10, ..all(2) }).await.unwrap());
    assert_eq!(claimed.len(), 10);
    for id in [first_quiet, first_late] {
        assert!(claimed.contains(&id), "50 deliveries of one endpoint do not starve {id}: {claimed:?}");
    }
}

pub async fn a_claim_keeps_its_bounds<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoints = [world.endpoint().await, world.endpoint().await, world.endpoint().await];
    for _ in 0..20 {
        world.post(0, &endpoints).await;
    }
    for (limit, per_endpoint, expected) in
        [(0, 5, 0), (5, 0, 0), (1, 5, 1), (4, 2, 4), (50, 2, 6), (50, 3, 9)]
    {
        let claimed = world.claim(Claim { limit, per_endpoint, ..all(0) }).await.unwrap();
        assert_eq!(claimed.len(), expected, "limit {limit}, per endpoint {per_endpoint}");
        for endpoint in endpoints {
            let count = claimed.iter().filter(|claimed| claimed.delivery.endpoint == endpoint).count();
            assert!(count <= per_endpoint, "{count} of one endpoint, where {per_endpoint} are the most");
        }
    }
    assert_eq!(world.claim_all(0).await.len(), 60 - 20, "what was left is still there");
}

pub async fn skipped_endpoints_wait<S: Subject>() {
    let world = World::<S>::new().await;
    let (open, full) = (world.endpoint().await, world.endpoint().await);
    let posted = world.post(0, &[full, open]).await;
    let claim = Claim { skip: HashSet::from([full]), ..all(0) };
    assert_eq!(ids(&world.claim(claim).await.unwrap()), [posted[1]]);
    assert_eq!(world.claimed_ids(0).await, [posted[0]]);
}

pub async fn held_endpoints_wait<S: Subject>() {
    let world = World::<S>::new().await;
    let (open, held) = (world.endpoint().await, world.endpoint().await);
    world.hold(held, true).await;
    let posted = world.post(0, &[held, open]).await;
    assert_eq!(world.claimed_ids(0).await, [posted[1]]);
    world.hold(held, false).await;
    assert_eq!(world.claimed_ids(0).await, [posted[0]]);

    let again = world.post_one(1, held).await;
    world.hold(held, true).await;
    assert_eq!(world.claimed_ids(1).await, [], "what waits already is held too");
    world.hold(held, false).await;
    assert_eq!(world.claimed_ids(1).await, [again]);
}

pub async fn deleted_endpoints_wait<S: Subject>() {
    let world = World::<S>::new().await;
    let (open, deleted) = (world.endpoint().await, world.endpoint().await);
    let posted = world.post(0, &[deleted, open, world.stranger()]).await;
    world.delete_endpoint(deleted).await.unwrap();
    assert_eq!(world.claimed_ids(0).await, [posted[1]]);
    assert_eq!(world.pending().await.unwrap(), 3);
}

pub async fn an_expired_lease_is_claimed_again<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let first = world.claim(Claim { lease_until: at(60), ..all(0) }).await.unwrap().remove(0);
    assert_eq!(world.claimed_ids(59).await, []);
    let second = world.claim_one(60).await;
    assert_eq!(second.delivery.id, id);
    assert!(second.lease.generation > first.lease.generation, "{:?} {:?}", second.lease, first.lease);
    assert!(world.settle_one(finished(&second, State::Delivered, 61)).await.is_done());
}

pub async fn an_expired_taken_lease_is_claimed_again<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let answers = world.accept(vec![arrival(world.new_event(0), &[(endpoint, true)])]).await;
    let lease = taken(&answers[0])[0];
    assert_eq!(world.claimed_ids(LEASE_END - 1).await, []);
    let claimed = world.claim(Claim { lease_until: at(2 * LEASE_END), ..all(LEASE_END) }).await.unwrap();
    assert_eq!(ids(&claimed), [lease.delivery]);
    assert!(claimed[0].lease.generation > lease.generation);
}

pub async fn a_late_settle_changes_nothing<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let late = world.claim(Claim { lease_until: at(60), ..all(0) }).await.unwrap().remove(0);
    let present = world.claim_one(60).await;
    let before = world.stored(id).await;
    for settled in [finished(&late, State::Failed, 61), retried(&late, 61, 70)] {
        assert_eq!(world.settle_one(settled).await, Settle::LeaseLost);
        assert_eq!(world.stored(id).await, before);
        assert_eq!(world.attempts(id).await, []);
    }
    world.release(vec![late.lease], at(0)).await.unwrap();
    assert_eq!(world.claimed_ids(61).await, [], "the present lease still stands");
    assert!(world.settle_one(finished(&present, State::Delivered, 62)).await.is_done());
    assert_eq!(world.settle_one(finished(&late, State::Failed, 63)).await, Settle::LeaseLost);
    assert_eq!(world.stored(id).await.state, State::Delivered);
    assert_eq!(world.attempts(id).await.len(), 1);
}

pub async fn renewed_leases_stand<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let claimed = world.claim(Claim { lease_until: at(60), ..all(0) }).await.unwrap().remove(0);
    assert_eq!(world.renew(vec![claimed.lease], at(100)).await.unwrap(), []);
    assert_eq!(world.claimed_ids(99).await, []);
    assert_eq!(world.due().await, Some(at(100)));
    assert_eq!(world.claimed_ids(100).await, [id], "a renewed lease ends too");
}

pub async fn lost_leases_are_not_renewed<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for _ in 0..5 {
        world.post_one(0, endpoint).await;
    }
    let short = world.claim(Claim { lease_until: at(60), limit: 1, ..all(0) }).await.unwrap().remove(0);
    let [kept, settled, released, cancelled] = world.claim_all(0).await.try_into().unwrap();
    let taken_over = world.claim_one(60).await;
    assert_eq!(taken_over.delivery.id, short.delivery.id);
    world.settle_one(finished(&settled, State::Delivered, 60)).await;
    world.release(vec![released.lease], at(500)).await.unwrap();
    world.cancel(cancelled.delivery.id, "Enough.".to_owned(), at(60)).await.unwrap();
    let unknown = Lease { delivery: DeliveryId::of(world.new_event(0).id, 0), generation: 1 };

    let lost = vec![short.lease, settled.lease, released.lease, cancelled.lease, unknown];
    let asked = lost.iter().copied().chain([kept.lease, taken_over.lease]).collect();
    let answered: HashSet<_> = world.renew(asked, at(2_000)).await.unwrap().into_iter().collect();
    assert_eq!(answered, HashSet::from_iter(lost));
    assert_eq!(world.claimed_ids(1_999).await, [released.delivery.id], "the good ones were renewed");
}

pub async fn released_deliveries_wait_until_due<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let answers = world.accept(vec![arrival(world.new_event(0), &[(endpoint, true)])]).await;
    let from_append = taken(&answers[0])[0];
    let claimed = world.claim_one(0).await;
    world.release(vec![claimed.lease, from_append], at(30)).await.unwrap();
    assert_eq!(world.stored(id).await.due, Some(at(30)));
    assert_eq!(world.stored(id).await.attempts, 0);
    assert_eq!(world.settle_one(finished(&claimed, State::Failed, 1)).await, Settle::LeaseLost);
    assert_eq!(world.claimed_ids(29).await, []);
    let again = world.claim_all(30).await;
    assert_eq!(sorted(ids(&again)), sorted(vec![id, from_append.delivery]));
    let earlier = [claimed.lease, from_append];
    for claimed in &again {
        let before = earlier.iter().find(|lease| lease.delivery == claimed.delivery.id).unwrap();
        assert!(claimed.lease.generation > before.generation);
    }
}

pub async fn a_settled_delivery_is_never_handed_out_again<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for state in [State::Delivered, State::Filtered, State::Failed, State::Cancelled] {
        let id = world.post_one(0, endpoint).await;
        let settled = finished(&world.claim_one(0).await, state, 5);
        let expected = settled.delivery.clone();
        assert!(world.settle_one(settled).await.is_done());
        assert_eq!(world.stored(id).await, expected);
        assert_eq!(world.claimed_ids(LEASE_END * 10).await, [], "{state:?}");
        assert_eq!((world.due().await, world.pending().await.unwrap()), (None, 0), "{state:?}");
    }
}

pub async fn a_retry_waits_until_it_is_due<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let mut settled = retried(&world.claim_one(0).await, 1, 40);
    settled.delivery.held_before = Duration::from_secs(77);
    let expected = settled.delivery.clone();
    assert!(world.settle_one(settled).await.is_done());
    assert_eq!(world.stored(id).await, expected);
    assert_eq!(world.claimed_ids(39).await, []);
    let again = world.claim_one(40).await;
    assert_eq!(again.delivery, expected);
    assert!(world.settle_one(retried(&again, 41, 50)).await.is_done());
    let numbers: Vec<_> = world.attempts(id).await.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, [1, 2]);
}

pub async fn a_lease_settles_once<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let claimed = world.claim_one(0).await;
    let twice = vec![retried(&claimed, 1, 40), finished(&claimed, State::Failed, 1)];
    assert!(matches!(world.settle(twice).await.unwrap()[..], [Settle::Done(_), Settle::LeaseLost]));
    assert_eq!(world.settle_one(finished(&claimed, State::Failed, 2)).await, Settle::LeaseLost);
    assert_eq!(world.stored(id).await.due, Some(at(40)));
    assert_eq!(world.attempts(id).await.len(), 1);
}

pub async fn a_lost_lease_leaves_the_rest_of_the_batch_alone<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for seconds in 0..3 {
        world.post_one(seconds, endpoint).await;
    }
    let claimed = world.claim_all(2).await;
    world.cancel(claimed[1].delivery.id, "Enough.".to_owned(), at(3)).await.unwrap();
    let mut batch: Vec<_> = claimed.iter().map(|claimed| finished(claimed, State::Delivered, 4)).collect();
    let unknown = Lease { delivery: DeliveryId::of(world.new_event(0).id, 3), generation: 1 };
    batch.insert(0, Settled { lease: unknown, ..batch[0].clone() });
    let answers = world.settle(batch).await.unwrap();
    let good: Vec<bool> = answers.iter().map(Settle::is_done).collect();
    assert_eq!(good, [false, true, false, true]);
    let mut states = vec![];
    for claimed in &claimed {
        states.push(world.stored(claimed.delivery.id).await.state);
    }
    assert_eq!(states, [State::Delivered, State::Cancelled, State::Delivered]);
    assert_eq!(world.attempts(claimed[1].delivery.id).await, []);
}

pub async fn attempts_are_kept_as_they_were<S: Subject>() {
    let text = |text: &str| text.to_owned();
    let failed =
        |retry| Outcome::PluginFailed { plugin: text("p"), kind: text("trap"), message: text("m"), retry };
    let judged =
        |status, ruling| Outcome::Judged { plugin: text("feishu"), status, ruling, reason: text("code 7") };
    let outcomes = [
        Outcome::Refused { status: 429, retry_after: Some(Duration::from_secs(120)) },
        Outcome::Refused { status: 500, retry_after: None },
        Outcome::Unreachable { kind: text("dns"), message: text("No such host.") },
        failed(true),
        failed(false),
        Outcome::Gone,
        Outcome::Filtered { plugin: text("filter"), reason: text("") },
        Outcome::Rejected { plugin: text("slack"), reason: text("r\u{e9}ason\0") },
        judged(Some(200), Ruling::Retry { after: Some(Duration::from_secs(7)) }),
        judged(None, Ruling::Fail),
        judged(Some(200), Ruling::Disable),
        Outcome::Delivered { status: 204 },
    ];
    let bodies = [
        BodyRecord::Payload,
        BodyRecord::Bytes { kept: Bytes::from_static(b"\xffbegin"), length: u64::MAX },
        BodyRecord::Bytes { kept: Bytes::new(), length: 0 },
    ];
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let mut expected = vec![];
    for (number, outcome) in (1..).zip(outcomes) {
        let attempt = full_attempt(number, outcome, bodies[number as usize % bodies.len()].clone());
        let settled = retried(&world.claim_one(0).await, 1, 0);
        world.settle_one(Settled { attempt: Some(attempt.clone()), ..settled }).await;
        expected.push(attempt);
    }
    assert_eq!(world.attempts(id).await, expected);
    let settled = retried(&world.claim_one(0).await, 1, 0);
    assert!(world.settle_one(Settled { attempt: None, ..settled }).await.is_done());
    assert_eq!(world.attempts(id).await, expected, "without an attempt none is written");
}

pub async fn the_latest_attempts_are_kept<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let id = world.post_one(0, endpoint).await;
    let last = ATTEMPTS_KEPT + 5;
    for number in 1..=last {
        let settled = retried(&world.claim_one(0).await, 1, 0);
        let attempt = attempt(number, u64::from(number), Outcome::Gone);
        assert!(world.settle_one(Settled { attempt: Some(attempt), ..settled }).await.is_done());
    }
    let numbers: Vec<_> = world.attempts(id).await.iter().map(|attempt| attempt.number).collect();
    assert_eq!(numbers, Vec::from_iter(last - ATTEMPTS_KEPT + 1..=last));
    assert_eq!(world.stored(id).await.attempts, last);
}

pub async fn next_due_is_exact<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    assert_eq!(world.due().await, None);
    world.post_one(30, endpoint).await;
    assert_eq!(world.due().await, Some(at(30)), "after an append");
    let early = world.post_one(20, endpoint).await;
    assert_eq!(world.due().await, Some(at(20)), "after an earlier one");
    let claimed = world.claim(Claim { lease_until: at(60), ..all(20) }).await.unwrap().remove(0);
    assert_eq!(world.due().await, Some(at(30)), "a leased one is not counted as due");
    let other = world.claim(Claim { lease_until: at(90), ..all(30) }).await.unwrap().remove(0);
    assert_eq!(world.due().await, Some(at(60)), "all are leased: when the first lease ends");
    world.renew(vec![claimed.lease], at(120)).await.unwrap();
    assert_eq!(world.due().await, Some(at(90)), "after a renewal");
    world.release(vec![other.lease], at(100)).await.unwrap();
    assert_eq!(world.due().await, Some(at(100)), "after a release");
    world.settle_one(retried(&claimed, 40, 95)).await;
    assert_eq!(world.due().await, Some(at(95)), "after a settlement that is to be tried again");
    world.retry_now(early, at(50)).await.unwrap();
    assert_eq!(world.due().await, Some(at(50)), "after a retry");
    world.cancel(early, "Enough.".to_owned(), at(51)).await.unwrap();
    assert_eq!(world.due().await, Some(at(100)), "after a cancellation");
    world.replay(early, false, at(55)).await.unwrap();
    assert_eq!(world.due().await, Some(at(55)), "after a replay");
    world.finish_all(100, State::Delivered).await;
    assert_eq!(world.due().await, None, "when all is final");
    world.accept(vec![arrival(world.new_event(100), &[(endpoint, true)])]).await;
    assert_eq!(world.due().await, Some(at(LEASE_END)), "after an append that took it");
}

pub async fn next_due_passes_over_what_no_claim_hands_out<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoints = [world.endpoint().await, world.endpoint().await, world.endpoint().await];
    let [skipped, held, deleted] = endpoints;
    for (seconds, endpoint) in [(10, skipped), (20, held), (30, deleted)] {
        world.post_one(seconds, endpoint).await;
    }
    let due = async |skip: &[EndpointId]| world.next_due(skip.iter().copied().collect()).await.unwrap();
    assert_eq!(due(&[]).await, Some(at(10)));
    assert_eq!(due(&[skipped]).await, Some(at(20)));
    world.hold(held, true).await;
    assert_eq!(due(&[skipped]).await, Some(at(30)));
    world.delete_endpoint(deleted).await.unwrap();
    assert_eq!(due(&[skipped]).await, None);
    assert_eq!(due(&[]).await, Some(at(10)));
    world.hold(held, false).await;
    assert_eq!(due(&[skipped]).await, Some(at(20)));
    world.claim_all(20).await;
    world.hold(held, true).await;
    assert_eq!(due(&[skipped]).await, None, "nor when the lease of a held one ends");
}

pub async fn pending_counts_what_is_not_final<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let pending = async || world.pending().await.unwrap();
    assert_eq!(pending().await, 0);
    let event = Event { accepted_at: at(0), ..world.new_event(0) };
    world
        .accept(vec![arrival(event, &[(endpoint, true), (endpoint, false), (world.stranger(), false)])])
        .await;
    assert_eq!(pending().await, 3);
    let claimed = world.claim_one(0).await;
    assert_eq!(pending().await, 3);
    world.settle_one(retried(&claimed, 1, 5)).await;
    assert_eq!(pending().await, 3);
    world.cancel_orphans(10, at(2)).await.unwrap();
    assert_eq!(pending().await, 2);
    world.finish_all(5, State::Failed).await;
    assert_eq!(pending().await, 1);
    world.replay(claimed.delivery.id, false, at(6)).await.unwrap();
    assert_eq!(pending().await, 2);
    world.cancel(claimed.delivery.id, "Final already.".to_owned(), at(7)).await.unwrap();
    assert_eq!(pending().await, 2);
}
