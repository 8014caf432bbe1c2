//! Jobs that deliver again, step by step.

use hookwright::delivery::State;
use hookwright::id::{DeliveryId, EndpointId, EventId, JobId};
use hookwright::store::jobs::{Job, JobEnd, JobState, Progress, Selection, Skip, Step, Target};
use hookwright::store::{DeliveryFilter, Place};

use super::world::{START, World, at, sorted, waiting};
use super::{Lasting, Subject};

fn job(number: u64, seconds: u64) -> Job {
    Job {
        id: JobId::mint(START, number << 20),
        created_at: at(seconds),
        selection: Selection { state: Some(State::Failed), ..Selection::default() },
        new_id: false,
        state: JobState::Running,
        finished_at: None,
        reason: None,
        progress: Progress::default(),
    }
}

fn step(job: &Job, next: Option<u64>, targets: Vec<Target>) -> Step {
    let next = next.map(|sequence| Place { sequence, ordinal: 0 });
    Step { job: job.id, from: job.progress.cursor, next, targets, passed_over: 0, now: at(60) }
}

async fn started<S: Subject>(world: &World<S>, number: u64) -> Job {
    let job = job(number, 50);
    world.create_job(job.clone()).await.unwrap();
    job
}

/// Makes the step, which has to fit.
async fn advanced<S: Subject>(world: &World<S>, step: Step) -> Job {
    world.advance(step).await.unwrap().expect("the step fits")
}

fn skipped(job: &Job) -> Vec<(Skip, u64)> {
    job.progress.skipped.iter().map(|(why, count)| (*why, *count)).collect()
}

async fn deliveries<S: Subject>(world: &World<S>, event: EventId) -> Vec<(EndpointId, Option<DeliveryId>)> {
    let filter = DeliveryFilter { event: Some(event), ..DeliveryFilter::default() };
    let found = world.all_deliveries(filter, 10).await;
    sorted(found.into_iter().map(|delivery| (delivery.endpoint, delivery.replay_of)).collect())
}

pub async fn jobs_are_kept_as_they_are<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let mut full = job(2, 7);
    full.selection = Selection {
        tenant: Some(super::world::tenant("acme")),
        endpoint: Some(endpoint),
        state: None,
        event_type: Some(super::world::event_type("invoice.paid")),
        since: Some(at(1)),
        until: Some(at(2)),
        missing: true,
    };
    full.new_id = true;
    let plain = started(&world, 1).await;
    world.create_job(full.clone()).await.unwrap();
    assert_eq!(world.jobs().await.unwrap(), [full.clone(), plain], "the newest first");
    assert_eq!(world.job(full.id).await.unwrap(), Some(full));
    assert_eq!(world.job(job(3, 0).id).await.unwrap(), None);
}

pub async fn a_step_delivers_again_and_says_how_far_it_came<S: Subject>() {
    let world = World::<S>::new().await;
    let (open, deleted) = (world.endpoint().await, world.endpoint().await);
    let failed = world.finished_delivery(0, open).await;
    let lost = world.finished_delivery(1, deleted).await;
    let pending = world.post_one(2, open).await;
    let unknown = DeliveryId::of(world.new_event(3).id, 0);
    world.delete_endpoint(deleted).await.unwrap();
    let job = started(&world, 1).await;
    let targets = [failed, lost, pending, unknown].map(Target::Again).to_vec();
    let after = advanced(&world, step(&job, Some(5), targets)).await;
    assert_eq!((after.state, after.progress.looked_at, after.progress.made), (JobState::Running, 4, 1));
    assert_eq!(skipped(&after), [(Skip::Pending, 1), (Skip::EndpointDeleted, 1), (Skip::Forgotten, 1)]);
    assert_eq!(world.job(job.id).await.unwrap(), Some(after.clone()));
    assert_eq!(deliveries(&world, failed.event()).await, [(open, None), (open, Some(failed))]);
    let done = advanced(&world, step(&after, None, vec![])).await;
    assert_eq!((done.state, done.finished_at), (JobState::Done, Some(at(60))));
    assert_eq!(done.progress.cursor, after.progress.cursor);
}

pub async fn a_step_is_made_once<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let failed = world.finished_delivery(0, endpoint).await;
    let job = started(&world, 1).await;
    let step = step(&job, Some(5), vec![Target::Again(failed)]);
    advanced(&world, step.clone()).await;
    assert_eq!(world.advance(step).await.unwrap(), None, "the job has come further");
    assert_eq!(deliveries(&world, failed.event()).await.len(), 2);
}

pub async fn what_was_delivered_again_stands_for_its_line<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let first = world.finished_delivery(0, endpoint).await;
    world.replay(first, false, at(5)).await.unwrap();
    world.finish_all(6, State::Failed).await;
    let filter = DeliveryFilter { event: Some(first.event()), ..DeliveryFilter::default() };
    let line: Vec<_> = world.all_deliveries(filter, 10).await.iter().map(|delivery| delivery.id).collect();
    let job = started(&world, 1).await;
    let targets = line.iter().copied().map(Target::Again).collect();
    let after = advanced(&world, step(&job, None, targets)).await;
    assert_eq!((after.progress.made, skipped(&after)), (1, vec![(Skip::Replayed, 1)]));
}

pub async fn an_endpoint_gets_what_it_never_got<S: Subject>() {
    let world = World::<S>::new().await;
    let (old, young) = (world.endpoint().await, world.endpoint().await);
    let got = world.finished_delivery(0, old).await.event();
    let alone = world.new_event(1);
    let alone_id = alone.id;
    world.accept(vec![waiting(alone, &[])]).await;
    let job = started(&world, 1).await;
    let missing = |event, endpoint| Target::Missing(event, endpoint);
    let unknown = world.new_event(2).id;
    let targets = vec![
        missing(got, young),
        missing(got, old),
        missing(alone_id, young),
        missing(unknown, young),
        missing(got, world.stranger()),
    ];
    let after = advanced(&world, Step { passed_over: 3, ..step(&job, Some(9), targets) }).await;
    assert_eq!((after.progress.made, after.progress.looked_at), (2, 8));
    let expected =
        [(Skip::EndpointDeleted, 1), (Skip::Forgotten, 1), (Skip::Present, 1), (Skip::NotWanted, 3)];
    assert_eq!(skipped(&after), expected);
    let again = vec![missing(got, young), missing(alone_id, young)];
    let after = advanced(&world, step(&after, None, again)).await;
    assert_eq!(after.progress.made, 2, "what it has by now it does not get twice");
    assert_eq!(deliveries(&world, got).await, sorted(vec![(old, None), (young, None)]));
    assert_eq!(deliveries(&world, alone_id).await, [(young, None)]);
    assert_eq!(world.claimed_ids(60).await.len(), 2);
}

pub async fn a_job_ends_once<S: Subject>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let failed = world.finished_delivery(0, endpoint).await;
    let job = started(&world, 1).await;
    let cancel = || world.end_job(job.id, JobState::Cancelled, Some("Enough.".to_owned()), at(55));
    let JobEnd::Done(ended) = cancel().await.unwrap() else { panic!("it ran") };
    assert_eq!((ended.state, ended.finished_at), (JobState::Cancelled, Some(at(55))));
    assert_eq!(cancel().await.unwrap(), JobEnd::Ended(ended.clone()));
    assert_eq!(world.advance(step(&job, None, vec![Target::Again(failed)])).await.unwrap(), None);
    assert_eq!(deliveries(&world, failed.event()).await.len(), 1);
    let unknown = world.end_job(JobId::mint(START, 9 << 20), JobState::Failed, None, at(56)).await.unwrap();
    assert_eq!(unknown, JobEnd::NotFound);
}

pub async fn old_jobs_are_forgotten_and_running_ones_are_not<S: Subject>() {
    let world = World::<S>::new().await;
    let running = started(&world, 1).await;
    for number in 2..6 {
        let job = started(&world, number).await;
        world.end_job(job.id, JobState::Done, None, at(number)).await.unwrap();
    }
    assert_eq!(world.prune_jobs(at(3), 2).await.unwrap(), 2);
    let left: Vec<_> = world.jobs().await.unwrap().iter().map(|job| job.id).collect();
    assert_eq!(left, [job(5, 0).id, job(4, 0).id, running.id]);
    assert_eq!(world.prune_jobs(at(5), 2).await.unwrap(), 1, "by its age");
    assert_eq!(world.prune_jobs(at(500), 0).await.unwrap(), 1);
    assert_eq!(world.jobs().await.unwrap(), [running]);
}

pub(super) async fn goes_on_after_a_restart<S: Lasting>() {
    let world = World::<S>::new().await;
    let endpoint = world.endpoint().await;
    let failed = [world.finished_delivery(0, endpoint).await, world.finished_delivery(1, endpoint).await];
    let job = started(&world, 1).await;
    let made = advanced(&world, step(&job, Some(5), vec![Target::Again(failed[1])])).await;

    let world = world.reopen().await;
    assert_eq!(world.job(job.id).await.unwrap(), Some(made.clone()));
    let stale = step(&job, Some(5), vec![Target::Again(failed[1])]);
    assert_eq!(world.advance(stale).await.unwrap(), None);
    let done = advanced(&world, step(&made, None, vec![Target::Again(failed[0])])).await;
    assert_eq!((done.state, done.progress.made, done.progress.looked_at), (JobState::Done, 2, 2));
    for delivery in failed {
        assert_eq!(deliveries(&world, delivery.event()).await.len(), 2);
    }
}
