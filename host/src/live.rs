//! What becomes of deliveries, told as it happens to whoever watches. Where nobody does, it costs a look at a counter.
//!
//! It is told after the commit, by those who know of it: ingest, the workers, and who steers deliveries. A watcher that
//! is slower than what happens misses the oldest of it, and learns how much that was; nobody waits for one.

use std::sync::{Arc, OnceLock};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

use crate::delivery::Delivery;
use crate::event::Tenant;
use crate::id::DeliveryId;
use crate::store::Arrival;

#[derive(Debug)]
pub struct Live(broadcast::Sender<News>);

#[derive(Debug, Clone)]
pub enum News {
    /// A delivery was made, or is another than before.
    Delivery(Arc<Told>),
    /// So many changed that are not told one by one; of one tenant, where that is known.
    Many { tenant: Option<Tenant>, count: u64 },
    /// The watcher was too slow for so much, of whatever tenants.
    Lagged(u64),
}

/// A delivery as it stands after a commit.
#[derive(Debug)]
pub struct Told {
    pub delivery: Delivery,
    text: OnceLock<String>,
}

impl Told {
    /// The delivery as `write` has it, which is asked once for all who watch.
    pub fn text(&self, write: impl FnOnce(&Delivery) -> String) -> &str {
        self.text.get_or_init(|| write(&self.delivery))
    }
}

/// One who watches.
#[derive(Debug)]
pub struct Watcher(broadcast::Receiver<News>);

impl Live {
    /// `buffer`: how much a watcher may lag behind before it misses something; 1 or more.
    pub fn new(buffer: usize) -> Self {
        Self(broadcast::Sender::new(buffer.max(1)))
    }

    pub fn watch(&self) -> Watcher {
        Watcher(self.0.subscribe())
    }

    /// Whether anybody would hear it.
    pub fn is_watched(&self) -> bool {
        self.0.receiver_count() > 0
    }

    /// A delivery was made, or is another than before.
    pub fn tell(&self, delivery: &Delivery) {
        if self.is_watched() {
            self.send(delivery.clone());
        }
    }

    /// An event's deliveries were made.
    pub fn tell_promised(&self, arrival: &Arrival) {
        if !self.is_watched() {
            return;
        }
        for (ordinal, new) in (0..=u16::MAX).zip(&arrival.deliveries) {
            let id = DeliveryId::of(arrival.event.id, ordinal);
            self.send(Delivery::promised(id, new.endpoint, &arrival.event));
        }
    }

    /// So many changed, and nobody knows which; of one tenant, where that is known.
    pub fn tell_of_many(&self, tenant: Option<&Tenant>, count: usize) {
        if count > 0 && self.is_watched() {
            let _ = self.0.send(News::Many { tenant: tenant.cloned(), count: count as u64 });
        }
    }

    /// Where the last watcher left meanwhile, nobody hears it.
    fn send(&self, delivery: Delivery) {
        let told = Told { delivery, text: OnceLock::new() };
        let _ = self.0.send(News::Delivery(Arc::new(told)));
    }
}

impl Watcher {
    /// The next that there is to tell; `None` where nothing more can come.
    pub async fn next(&mut self) -> Option<News> {
        match self.0.recv().await {
            Ok(news) => Some(news),
            Err(RecvError::Lagged(count)) => Some(News::Lagged(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// The next, where it is there already.
    pub fn next_at_once(&mut self) -> Option<News> {
        match self.0.try_recv() {
            Ok(news) => Some(news),
            Err(TryRecvError::Lagged(count)) => Some(News::Lagged(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventType;
    use crate::id::{EndpointId, EventId};
    use crate::time::Timestamp;

    fn delivery(number: u16) -> Delivery {
        let id = DeliveryId::of(EventId::from_u128(1 << 16), number);
        let event_type = EventType::parse("a").unwrap();
        Delivery::new(id, EndpointId::from_u128(1), Tenant::default(), event_type, Timestamp::ZERO)
    }

    fn number(news: Option<News>) -> Option<u16> {
        match news? {
            News::Delivery(told) => Some(told.delivery.id.ordinal()),
            news => panic!("{news:?}"),
        }
    }

    #[tokio::test]
    async fn watchers_hear_what_comes_after_them_in_order() {
        let live = Live::new(8);
        live.tell(&delivery(1));
        let mut watcher = live.watch();
        live.tell(&delivery(2));
        live.tell(&delivery(3));
        assert_eq!(number(watcher.next().await), Some(2));
        assert_eq!(number(watcher.next_at_once()), Some(3));
        assert!(watcher.next_at_once().is_none());
        live.tell_of_many(Some(&Tenant::default()), 0);
        live.tell_of_many(None, 7);
        assert!(matches!(watcher.next_at_once(), Some(News::Many { tenant: None, count: 7 })));
        drop(live);
        assert!(watcher.next().await.is_none());
    }

    #[tokio::test]
    async fn who_is_too_slow_learns_how_much_it_missed() {
        let live = Live::new(4);
        let mut watcher = live.watch();
        (0..10).for_each(|number| live.tell(&delivery(number)));
        assert!(matches!(watcher.next().await, Some(News::Lagged(6))));
        assert_eq!(number(watcher.next().await), Some(6));
    }

    #[test]
    fn a_delivery_is_written_once() {
        let live = Live::new(4);
        let (mut one, mut other) = (live.watch(), live.watch());
        assert!(live.is_watched());
        live.tell(&delivery(1));
        let texts = [&mut one, &mut other].map(|watcher| match watcher.next_at_once() {
            Some(News::Delivery(told)) => told,
            news => panic!("{news:?}"),
        });
        assert_eq!(texts[0].text(|_| "first".to_owned()), "first");
        assert_eq!(texts[1].text(|_| "second".to_owned()), "first");
        drop((one, other));
        assert!(!live.is_watched());
    }
}
