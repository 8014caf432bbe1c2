//! What is counted, and how endpoints stand.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hookwright::attempt::{Attempt, Outcome, ResponseRecord, Timing, Warning, Warnings};
use hookwright::delivery::State;
use hookwright::health::Health;
use hookwright::id::{DeliveryId, EndpointId};
use hookwright::store::{
    Claimed, ErrorFilter, ErrorGroup, ErrorPageRequest, Kept, Replay, Scope, Settle, Settled, Standing,
};
use hookwright::tally::{Resolution, Tally, Window};
use hookwright::time::Timestamp;
use hookwright::trouble::Trouble;

use super::Subject;
use super::world::{World, arrival, at, attempt, event_type, finished, retried, row, tenant, waiting};

/// All the time of most tests.
fn window() -> Window {
    Window::new(Resolution::Minute, at(0), at(600)).unwrap()
}

pub(super) async fn tally<S: Subject>(world: &World<S>, scope: Scope) -> Tally {
    let buckets = world.tallies(vec![scope], window()).await.unwrap().remove(0);
    Tally::sum(buckets.iter().map(|bucket| &bucket.tally))
}

pub(super) async fn standing<S: Subject>(world: &World<S>, endpoint: EndpointId) -> Standing {
    world.standings(vec![endpoint]).await.unwrap()[0]
}

pub(super) async fn errors<S: Subject>(world: &World<S>, filter: ErrorFilter) -> Vec<ErrorGroup> {
    world.errors(filter, ErrorPageRequest { after: None, limit: 100 }).await.unwrap().groups
}

/// The receiver's answer, which took so long.
fn answered(attempt: Attempt, status: u16, millis: u64) -> Attempt {
    let outcome = match status {
        200 => Outcome::Delivered { status },
        status => Outcome::Refused { status, retry_after: None },
    };
    let response = ResponseRecord { status, headers: vec![], body: Bytes::new(), truncated: false };
    let timing = Timing { first_byte: Some(Duration::from_millis(millis)), ..Timing::default() };
    Attempt { outcome, response: Some(response), timing, ..attempt }
}

/// Fails with a 500, to be tried again when it is due.
pub(super) async fn fail<S: Subject>(world: &World<S>, seconds: u64, due: u64) -> Settle {
    let claimed = world.claim_one(seconds).await;
    world.settle_one(retried(&claimed, seconds, due)).await
}

pub async fn each_scope_counts_its_own<S: Subject>() {
    let world = World::<S>::new().await;
    let (one, other) = (world.endpoint().await, world.endpoint().await);
    let mut foreign = world.new_event(1);
    foreign.tenant = tenant("acme");
    foreign.event_type = event_type("audit.log");
    world.accept(vec![waiting(world.new_event(0), &[one, other]), waiting(foreign, &[])]).await;
    world.finish_all(2, State::Delivered).await;
    for (scope, events, promised, delivered) in [
        (Scope::Host, 2, 2, 2),
        (Scope::Tenant(tenant("default")), 1, 2, 2),
        (Scope::Tenant(tenant("acme")), 1, 0, 0),
        (Scope::Tenant(tenant("nobody")), 0, 0, 0),
        (Scope::Endpoint(one), 0, 1, 1),
        (Scope::Endpoint(world.stranger()), 0, 0, 0),
        (Scope::HostType(event_type("audit.log")), 1, 0, 0),
        (Scope::TenantType(tenant("default"), event_type("invoice.paid")), 1, 2, 2),
        (Scope::TenantType(tenant("default"), event_type("audit.log")), 0, 0, 0),
    ] {
        let counted = tally(&world, scope.clone()).await;
        assert_eq!(
            (counted.events, counted.promised, counted.delivered),
            (events, promised, delivered),
            "{scope:?}"
        );
    }
    let volumes = world.volumes(None, window()).await.unwrap();
    let types: Vec<_> = volumes.types.iter().map(|(name, tally)| (name.as_str(), tally.events)).collect();
    assert_eq!(types, [("audit.log", 1), ("invoice.paid", 1)]);
    let of_tenant = world.volumes(Some(tenant("acme")), window()).await.unwrap();
    assert_eq!(of_tenant.types.len(), 1);
    assert!(!of_tenant.partial);
}

pub async fn each_end_is_counted<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    for (seconds, state) in [(1, State::Delivered), (2, State::Failed), (3, State::Filtered)] {
        world.post_one(seconds, endpoint).await;
        world.finish_all(seconds, state).await;
    }
    let cancelled = world.post_one(4, endpoint).await;
    world.cancel(cancelled, "Enough.".to_owned(), at(5)).await.unwrap();
    world.post_one(6, endpoint).await;
    world.expire(at(7), 10, "It is too old.".to_owned(), at(8), Arc::new(|_, _| None)).await.unwrap();
    let Replay::Done(again) = world.replay(cancelled, false, at(9)).await.unwrap() else {
        panic!("replayed")
    };
    let counted = tally(&world, Scope::Endpoint(endpoint)).await;
    assert_eq!(counted.promised, 5);
    assert_eq!((counted.delivered, counted.failed, counted.filtered, counted.cancelled), (1, 2, 1, 1));
    assert_eq!((counted.replays, counted.attempts), (1, 3));
    assert_eq!(standing(&world, endpoint).await.pending, 1);
    world.cancel(again.id, "Enough.".to_owned(), at(10)).await.unwrap();
    world.cancel(again.id, "Enough.".to_owned(), at(11)).await.unwrap();
    assert_eq!(tally(&world, Scope::Host).await.cancelled, 2, "what is final does not end again");
    assert_eq!(standing(&world, endpoint).await.pending, 0);
}

pub async fn orphans_are_counted_as_cancelled<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    world.post_one(1, endpoint).await;
    world.delete_endpoint(endpoint).await.unwrap();
    assert_eq!(standing(&world, endpoint).await.pending, 2);
    assert_eq!(world.cancel_orphans(10, at(2)).await.unwrap(), 2);
    assert_eq!(tally(&world, Scope::Endpoint(endpoint)).await.cancelled, 2);
    assert_eq!(standing(&world, endpoint).await, Standing::default());
}

pub async fn attempts_are_counted_as_they_come<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    let claimed = world.claim_one(1).await;
    let settled = retried(&claimed, 1, 2);
    let refused = answered(settled.attempt.clone().unwrap(), 500, 30);
    world.settle_one(Settled { attempt: Some(refused), ..settled }).await;
    let claimed = world.claim_one(2).await;
    let settled = finished(&claimed, State::Delivered, 2);
    let warnings = Warnings::NONE.with(Warning::Recovered).with(Warning::NearTimeout);
    let delivered = Attempt { warnings, ..answered(settled.attempt.clone().unwrap(), 200, 90) };
    world.settle_one(Settled { attempt: Some(delivered), ..settled }).await;
    for scope in [Scope::Host, Scope::Endpoint(endpoint)] {
        let counted = tally(&world, scope).await;
        assert_eq!((counted.attempts, counted.failed_attempts), (2, 1));
        assert_eq!((counted.retries, counted.recovered, counted.delivered), (1, 1, 1));
        assert_eq!(counted.success_rate(), Some(0.5));
        assert_eq!(counted.warnings, [1, 1, 0, 0, 0, 0]);
        assert_eq!(counted.answers.count, 2);
        assert_eq!(counted.answers.shortest(), Some(Duration::from_millis(30)));
        assert_eq!(counted.answers.mean(), Some(Duration::from_millis(60)));
        assert_eq!(counted.answers.longest(), Some(Duration::from_millis(90)));
        let median = counted.answers.percentile(0.5).unwrap().as_secs_f64() * 1e3;
        assert!((median - 30.0).abs() <= 30.0 / 16.0, "{median}");
    }
}

pub async fn counts_stand_in_their_span_of_time<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let later = 3_600;
    for seconds in [0, 61, later] {
        world.post_one(seconds, endpoint).await;
    }
    let day = Resolution::Day;
    for (resolution, since, until, expected) in [
        (Resolution::Minute, 0, 120, vec![(0, 1), (61, 1)]),
        (Resolution::Minute, 61, 62, vec![(61, 1)]),
        (Resolution::Hour, 0, later + 1, vec![(0, 2), (later, 1)]),
        (day, 0, later, vec![(0, 3)]),
    ] {
        let window = Window::new(resolution, at(since), at(until)).unwrap();
        let buckets = world.tallies(vec![Scope::Host], window).await.unwrap().remove(0);
        let found: Vec<_> = buckets.iter().map(|bucket| (bucket.start, bucket.tally.events)).collect();
        let start = |seconds| resolution.start(resolution.bucket(at(seconds)));
        let expected: Vec<_> =
            expected.into_iter().map(|(seconds, events)| (start(seconds), events)).collect();
        assert_eq!(found, expected, "{resolution:?} from {since} to {until}");
    }
}

pub async fn what_changes_nothing_counts_nothing<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.accept(vec![waiting(world.named(0, "a"), &[endpoint])]).await;
    world.accept(vec![waiting(world.named(1, "a"), &[endpoint])]).await;
    let claimed = world.claim_one(2).await;
    let late = Claimed { lease: claimed.lease, ..claimed.clone() };
    world.settle_one(finished(&claimed, State::Delivered, 3)).await;
    assert_eq!(world.settle_one(finished(&late, State::Failed, 4)).await, Settle::LeaseLost);
    let counted = tally(&world, Scope::Host).await;
    assert_eq!((counted.events, counted.promised), (1, 1));
    assert_eq!((counted.attempts, counted.delivered, counted.failed), (1, 1, 0));
}

pub async fn what_is_promised_to_a_held_endpoint_is_counted_as_held<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    world.hold(endpoint, true).await;
    world.post_one(1, endpoint).await;
    world.hold(endpoint, false).await;
    world.post_one(2, endpoint).await;
    let counted = tally(&world, Scope::Endpoint(endpoint)).await;
    assert_eq!((counted.promised, counted.held), (3, 1));
    assert_eq!(tally(&world, Scope::Host).await.held, 1);
}

pub async fn health_counts_failures_until_a_success<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    let since = at(1).plus(Duration::from_micros(1_234));
    let failing =
        |failures| Health { consecutive_failures: failures, failing_since: Some(since), on_trial: false };
    assert_eq!(fail(&world, 1, 10).await, Settle::Done(failing(1)));
    assert_eq!(fail(&world, 10, 20).await, Settle::Done(failing(2)));
    assert_eq!(standing(&world, endpoint).await.health, failing(2));
    let claimed = world.claim_one(20).await;
    let filtered = Outcome::Filtered { plugin: "filter".to_owned(), reason: "small".to_owned() };
    let settled = finished(&claimed, State::Filtered, 20);
    let settled = Settled { attempt: Some(attempt(3, 20, filtered)), ..settled };
    assert_eq!(world.settle_one(settled).await, Settle::Done(failing(2)));
    world.post_one(30, endpoint).await;
    let claimed = world.claim_one(31).await;
    assert_eq!(
        world.settle_one(finished(&claimed, State::Delivered, 31)).await,
        Settle::Done(Health::default())
    );
    assert_eq!(standing(&world, endpoint).await.health, Health::default());
}

pub async fn health_is_of_one_batch_too<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    world.post_one(0, endpoint).await;
    let claimed = world.claim_all(1).await;
    let batch = claimed.iter().map(|claimed| retried(claimed, 1, 9)).collect();
    let answers = world.settle(batch).await.unwrap();
    let failures: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Settle::Done(health) => health.consecutive_failures,
            Settle::LeaseLost => panic!("the lease is good"),
        })
        .collect();
    assert_eq!(failures, [1, 2]);
}

pub async fn an_endpoints_last_times_are_kept<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    assert_eq!(standing(&world, endpoint).await, Standing::default());
    world.post_one(10, endpoint).await;
    world.post_one(20, endpoint).await;
    let two = standing(&world, endpoint).await;
    assert_eq!((two.pending, two.oldest_pending_at, two.last_event_at), (2, Some(at(10)), Some(at(20))));
    assert_eq!((two.last_attempt_at, two.last_delivery_at), (None, None));
    world.finish_all(30, State::Delivered).await;
    world.post_one(40, endpoint).await;
    fail(&world, 41, 90).await;
    let ended = |seconds| Some(at(seconds).plus(Duration::from_micros(1_234)));
    let after = standing(&world, endpoint).await;
    assert_eq!((after.last_delivery_at, after.last_attempt_at), (ended(30), ended(41)));
    assert_eq!((after.pending, after.oldest_pending_at), (1, Some(at(40))));
}

pub async fn the_age_of_a_queue_is_that_of_its_oldest<S: Subject>() {
    let world = World::<S>::new().await;
    let (endpoint, other) = (world.endpoint().await, world.endpoint().await);
    let oldest = async || standing(&world, endpoint).await.oldest_pending_at;
    world.post_one(1, other).await;
    let taken = arrival(world.new_event(2), &[(endpoint, true)]);
    let taken_id = DeliveryId::of(taken.event.id, 0);
    world.accept(vec![taken]).await;
    assert_eq!(oldest().await, Some(at(2)), "one that is leased with its append");
    let younger = world.post_one(3, endpoint).await;
    // A retry moves the older one behind the younger one in the line, and yet it stays the older one.
    world.cancel(taken_id, "Enough.".to_owned(), at(4)).await.unwrap();
    assert_eq!(oldest().await, Some(at(3)));
    world.post_one(5, endpoint).await;
    world.retry_now(younger, at(50)).await.unwrap();
    assert_eq!(oldest().await, Some(at(3)));
    world.cancel(younger, "Enough.".to_owned(), at(51)).await.unwrap();
    assert_eq!(oldest().await, Some(at(5)));
    let Replay::Done(_) = world.replay(younger, false, at(60)).await.unwrap() else { panic!("replayed") };
    assert_eq!(oldest().await, Some(at(5)), "a replay is as old as itself");
    world.finish_all(70, State::Delivered).await;
    assert_eq!(oldest().await, None);
}

pub async fn errors_are_grouped_by_endpoint_and_kind<S: Subject>() {
    let world = World::<S>::new().await;
    let (one, other) = (world.endpoint().await, world.endpoint().await);
    let first = world.post_one(0, one).await;
    fail(&world, 1, 10).await;
    fail(&world, 10, 500).await;
    world.post_one(20, other).await;
    let claimed = world.claim_one(21).await;
    let timeout = Outcome::Unreachable { kind: "timeout".to_owned(), message: "x".repeat(9_000) };
    let settled = Settled { attempt: Some(attempt(1, 21, timeout)), ..retried(&claimed, 21, 500) };
    world.settle_one(settled).await;
    let ended = |seconds| at(seconds).plus(Duration::from_micros(1_234));
    let groups = errors(&world, ErrorFilter::default()).await;
    let told: Vec<_> = groups.iter().map(|group| (group.endpoint, group.trouble, group.count)).collect();
    assert_eq!(told, [(other, Trouble::Timeout, 1), (one, Trouble::ServerError, 2)], "the latest first");
    assert_eq!((groups[1].first_at, groups[1].last_at), (ended(1), ended(10)));
    assert_eq!(
        (groups[1].last_delivery, groups[1].last_message.as_str()),
        (first, "The receiver answered 500.")
    );
    assert_eq!(groups[0].last_message.len(), 500);
    let count = async |filter| errors(&world, filter).await.len();
    let any = ErrorFilter::default;
    assert_eq!(count(ErrorFilter { endpoint: Some(one), ..any() }).await, 1);
    assert_eq!(count(ErrorFilter { tenant: Some(tenant("acme")), ..any() }).await, 0);
    assert_eq!(count(ErrorFilter { tenant: Some(tenant("default")), ..any() }).await, 2);
    assert_eq!(count(ErrorFilter { since: Some(at(20)), ..any() }).await, 1);
    assert_eq!(count(ErrorFilter { since: Some(at(20)), endpoint: Some(one), ..any() }).await, 0);
}

pub async fn pages_of_errors_neither_skip_nor_repeat<S: Subject>() {
    let world = World::<S>::new().await;
    let mut endpoints = vec![];
    for n in 0..7 {
        let endpoint = world.endpoint().await;
        world.post_one(n, endpoint).await;
        // Two at a time end at the same moment.
        fail(&world, 10 + n / 2, 500).await;
        endpoints.push(endpoint);
    }
    for limit in [1, 2, 3, 7, 8] {
        let (mut found, mut after) = (vec![], None);
        for _ in 0..10 {
            let page = world.errors(ErrorFilter::default(), ErrorPageRequest { after, limit }).await.unwrap();
            assert!(page.groups.len() <= limit);
            found.extend(page.groups);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(found.is_sorted_by_key(|group| std::cmp::Reverse(group.place())), "{limit}");
        let mut named: Vec<_> = found.iter().map(|group| group.endpoint).collect();
        named.sort();
        assert_eq!(named, endpoints, "{limit} at a time");
    }
}

pub async fn old_counts_are_forgotten<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    world.post_one(0, endpoint).await;
    fail(&world, 1, 300).await;
    let day = 86_400;
    world.post_one(day, endpoint).await;
    let events = async |resolution, seconds: u64| {
        let window = Window::last(resolution, 1, at(seconds));
        Tally::sum(world.tallies(vec![Scope::Host], window).await.unwrap()[0].iter().map(|b| &b.tally)).events
    };
    let all = Kept {
        minutes: at(0).minus(Duration::from_secs(60)),
        hours: at(0).minus(Duration::from_secs(3_600)),
        days: Timestamp::ZERO,
    };
    assert_eq!(world.prune_statistics(all, 1_000).await.unwrap(), 0);
    let kept = Kept { minutes: at(day), hours: at(600), days: Timestamp::ZERO };
    let mut gone = 0;
    loop {
        let step = world.prune_statistics(kept, 3).await.unwrap();
        assert!(step <= 3, "a call keeps its bound");
        gone += step;
        if step < 3 {
            break;
        }
    }
    assert!(gone >= 5);
    assert_eq!((events(Resolution::Minute, 0).await, events(Resolution::Hour, 0).await), (0, 0));
    assert_eq!((events(Resolution::Day, 0).await, events(Resolution::Day, day).await), (1, 1));
    assert_eq!(events(Resolution::Hour, day).await, 1);
    assert_eq!(errors(&world, ErrorFilter::default()).await, []);
    assert_eq!(standing(&world, endpoint).await.pending, 2, "what is pending is never too old");
}

pub async fn announcements_come_with_what_they_tell_of<S: Subject>() {
    let world = World::<S>::new().await;
    let (endpoint, listener) = (world.endpoint().await, world.endpoint().await);
    world.post_one(0, endpoint).await;
    let claimed = world.claim_one(1).await;
    let told = world.new_event(1);
    let id = told.id;
    let announce = vec![arrival(told, &[(listener, true)])];
    let late = Settled { announce: announce.clone(), ..finished(&claimed, State::Failed, 1) };
    let settled = Settled { announce, ..finished(&claimed, State::Failed, 1) };
    assert!(world.settle_one(settled).await.is_done());
    assert_eq!(world.claimed_ids(1).await, [DeliveryId::of(id, 0)], "it waits, whatever `take` says");
    assert_eq!(tally(&world, Scope::Host).await.events, 2);
    let other = world.new_event(2);
    let unsaid = Settled { announce: vec![arrival(other.clone(), &[(listener, false)])], ..late };
    assert_eq!(world.settle_one(unsaid).await, Settle::LeaseLost);
    assert!(world.event(other.id).await.unwrap().is_none(), "a lost lease announces nothing");
}

pub async fn announcements_come_with_a_changed_endpoint<S: Subject>() {
    let world = World::<S>::new().await;
    let (endpoint, listener) = (world.endpoint().await, world.endpoint().await);
    let announce = || vec![waiting(world.new_event(1), &[listener])];
    let (late, good) = (announce(), announce());
    let unsaid = late[0].event.id;
    assert_eq!(world.put_endpoint(row(endpoint, 7, true), late).await.unwrap(), None);
    assert!(world.event(unsaid).await.unwrap().is_none());
    let said = good[0].event.id;
    assert!(world.put_endpoint(row(endpoint, 2, true), good).await.unwrap().is_some());
    assert_eq!(world.claimed_ids(1).await, [DeliveryId::of(said, 0)]);
}
