//! Turns at the plugins: an endpoint whose plugin takes long gets no more than a part of the slots for calls, and of those
//! that are left where others take long, too. So a few of them leave room for those whose plugins are quick.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::endpoint::Endpoint;
use crate::id::EndpointId;

/// An endpoint may use this part of the slots that are left, and one in any case.
const SHARE: usize = 4;

#[derive(Debug)]
pub struct Turns(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    slots: usize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    used: usize,
    /// Those that use a slot or wait for one.
    lanes: HashMap<EndpointId, Lane>,
}

#[derive(Debug, Default)]
struct Lane {
    used: usize,
    waiting: usize,
    news: Arc<Notify>,
}

/// A turn, given back when it is dropped.
#[derive(Debug)]
pub struct Turn {
    shared: Arc<Shared>,
    endpoint: EndpointId,
}

impl Turns {
    /// `slots` is how many calls run at once.
    pub fn new(slots: usize) -> Self {
        Self(Arc::new(Shared { slots, ledger: Mutex::default() }))
    }

    /// Waits for a turn; `None` where the endpoint has no plugins.
    pub async fn take(&self, endpoint: &Endpoint) -> Option<Turn> {
        endpoint.terms.links().next()?;
        Some(self.take_for(endpoint.id).await)
    }

    async fn take_for(&self, endpoint: EndpointId) -> Turn {
        let shared = &self.0;
        loop {
            let waiting = match shared.enter(endpoint) {
                Ok(()) => return Turn { shared: shared.clone(), endpoint },
                Err(news) => Waiting { shared, endpoint, news },
            };
            waiting.news.notified().await;
        }
    }
}

impl Shared {
    /// Takes a slot for the endpoint, or says who tells when one is free.
    fn enter(&self, endpoint: EndpointId) -> Result<(), Arc<Notify>> {
        let mut ledger = self.ledger();
        let share = (self.slots.saturating_sub(ledger.used) / SHARE).max(1);
        let lane = ledger.lanes.entry(endpoint).or_default();
        if lane.used >= share {
            lane.waiting += 1;
            return Err(lane.news.clone());
        }
        lane.used += 1;
        // There may be room for another one, since others have left meanwhile.
        if lane.waiting > 0 && lane.used < share {
            lane.news.notify_one();
        }
        ledger.used += 1;
        Ok(())
    }

    fn change(&self, endpoint: EndpointId, change: impl FnOnce(&mut Lane)) {
        let mut ledger = self.ledger();
        let Some(lane) = ledger.lanes.get_mut(&endpoint) else { return };
        change(lane);
        if lane.used == 0 && lane.waiting == 0 {
            ledger.lanes.remove(&endpoint);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.ledger().used -= 1;
        self.shared.change(self.endpoint, |lane| {
            lane.used -= 1;
            lane.news.notify_one();
        });
    }
}

/// Whoever waits for a turn, and may go away.
struct Waiting<'s> {
    shared: &'s Shared,
    endpoint: EndpointId,
    news: Arc<Notify>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.change(self.endpoint, |lane| lane.waiting -= 1);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn ep(number: u128) -> EndpointId {
        EndpointId::from_u128(number)
    }

    /// As many turns as it can get.
    fn all(turns: &Turns, endpoint: EndpointId) -> Vec<Turn> {
        std::iter::from_fn(|| turns.take_for(endpoint).now_or_never()).collect()
    }

    #[test]
    fn slow_ones_leave_room_for_others() {
        let turns = Turns::new(64);
        let held: Vec<Vec<Turn>> = (0..8).map(|number| all(&turns, ep(number))).collect();
        let counts: Vec<usize> = held.iter().map(Vec::len).collect();
        assert_eq!(counts, [13, 10, 8, 6, 5, 4, 3, 3]);
        assert_eq!(all(&turns, ep(9)).len(), 2, "there is room after all of them");
        assert_eq!(all(&Turns::new(1), ep(9)).len(), 1);
    }

    #[tokio::test]
    async fn who_waits_is_told() {
        let turns = Turns::new(16);
        let mut held = all(&turns, ep(1));
        assert_eq!(held.len(), 3);
        let mut waits = pin!(turns.take_for(ep(1)));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(held.pop());
        drop(waits.await);
        drop(held);
        assert!(turns.0.ledger().lanes.is_empty(), "nobody is remembered");
        assert_eq!(turns.0.ledger().used, 0);
    }

    /// One that goes away while it waits takes nobody's turn.
    #[tokio::test]
    async fn who_goes_away_is_passed_over() {
        let turns = Turns::new(4);
        let held = turns.take_for(ep(1)).await;
        let mut waits = pin!(turns.take_for(ep(1)));
        {
            let mut gone = Box::pin(turns.take_for(ep(1)));
            assert!(gone.as_mut().now_or_never().is_none());
            assert!(waits.as_mut().now_or_never().is_none());
            drop(held);
        }
        drop(waits.await);
        assert!(turns.0.ledger().lanes.is_empty());
    }
}
