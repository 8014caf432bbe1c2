//! Many requests, one transaction: those that come while one is on its way go into the next one together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::store::{Result, StoreError};

use super::transaction::Shared;

/// Most requests that wait; more wait for their turn to wait.
const QUEUE_LENGTH: usize = 4_096;
/// Most requests in one transaction.
const BATCH_LENGTH: usize = 512;
/// After a transaction of so many requests, more are waited for, half as long as it took: a transaction costs the database
/// as much as dozens of requests, and the more hosts there are, the fewer come to each of them while one is under way.
const BUSY_LENGTH: usize = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(10);

type Commit<R, A> = for<'a> fn(&'a Shared, &'a [R]) -> BoxFuture<'a, Result<Vec<A>>>;

/// The way to the one that gathers. It goes on until this is dropped.
#[derive(Debug)]
pub struct Gather<R, A>(mpsc::Sender<Waiting<R, A>>);

type Waiting<R, A> = (R, oneshot::Sender<Result<A>>);

impl<R: Send + Sync + 'static, A: Send + 'static> Gather<R, A> {
    /// `commit` answers each of the requests, in their order.
    pub fn start(shared: Arc<Shared>, commit: Commit<R, A>) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(run(shared, commit, receiver));
        Self(sender)
    }

    pub async fn submit(&self, request: R) -> Result<A> {
        let (reply, answer) = oneshot::channel();
        self.0.send((request, reply)).await.map_err(|_| StoreError::Closed)?;
        answer.await.unwrap_or(Err(StoreError::Closed))
    }
}

async fn run<R, A>(shared: Arc<Shared>, commit: Commit<R, A>, mut receiver: mpsc::Receiver<Waiting<R, A>>) {
    let (mut batch, mut pause) = (Vec::new(), None);
    while receiver.recv_many(&mut batch, BATCH_LENGTH).await > 0 {
        if let Some(end) = pause
            && batch.len() < BATCH_LENGTH
        {
            // At once where the rush is over, and the end with it.
            tokio::time::sleep_until(end).await;
            while batch.len() < BATCH_LENGTH
                && let Ok(more) = receiver.try_recv()
            {
                batch.push(more);
            }
        }
        let (is_busy, begun) = (batch.len() >= BUSY_LENGTH, Instant::now());
        let (requests, replies): (Vec<R>, Vec<_>) = batch.drain(..).unzip();
        let answers = commit(&shared, &requests).await;
        drop(requests);
        pause = is_busy.then(|| Instant::now() + (begun.elapsed() / 2).min(LONGEST_PAUSE));
        match answers {
            Ok(answers) => {
                for (reply, answer) in replies.into_iter().zip(answers) {
                    let _ = reply.send(Ok(answer));
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
            }
        }
    }
}
