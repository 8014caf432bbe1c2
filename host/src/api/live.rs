//! `/v1/deliveries/live`: deliveries as they are made and change, as server-sent events.

use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderName, HeaderValue, Uri, header};
use tokio::sync::{mpsc, watch};
use tokio::time::{Interval, Sleep};

use super::Api;
use super::auth::{self, Caller};
use super::deliveries::{DeliveryView, parse_state};
use super::page::Query;
use super::problem::{Kind, Problem};
use super::terms::within;
use crate::delivery::Delivery;
use crate::event::{EventType, Tenant};
use crate::id::EndpointId;
use crate::live::{News, Watcher};
use crate::store::{BookVersion, DeliveryFilter};

pub(super) const MEDIA_TYPE: &str = "text/event-stream";

/// How often something is said, so that neither a proxy nor the client takes the silence for the end.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// How long a client waits before it asks again after an end, in milliseconds.
const PAUSE: u32 = 2_000;

/// The shortest and the longest that a client can have a stream last.
pub(super) const MIN_LIFE: Duration = Duration::from_millis(1);
pub(super) const MAX_LIFE: Duration = Duration::from_secs(24 * 3_600);

/// What goes out in one piece where much happens at once, about so many bytes.
const PIECE: usize = 64 << 10;

/// News that are looked at before others have their turn.
const NEWS_AT_ONCE: usize = 256;

/// Of all streams, one part in so many may be a tenant's.
const TENANT_PART: usize = 4;

/// Who has a stream.
#[derive(Debug, Default)]
pub struct Seats(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_tenant: HashMap<Tenant, usize>,
}

/// A stream's place among those that there can be; given back when it is dropped.
#[derive(Debug)]
struct Seat {
    seats: Arc<Seats>,
    tenant: Option<Tenant>,
}

impl Seats {
    fn take(self: &Arc<Self>, tenant: Option<&Tenant>, most: usize) -> Option<Seat> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_tenant = tenant.and_then(|tenant| taken.by_tenant.get(tenant)).copied().unwrap_or_default();
        let part = most.div_ceil(TENANT_PART);
        let of_tenants: usize = taken.by_tenant.values().sum();
        // A part of them is left to those who run the host.
        let full = tenant.is_some() && (of_tenant >= part || of_tenants >= most - part);
        if full || taken.all >= most {
            return None;
        }
        taken.all += 1;
        if let Some(tenant) = tenant {
            *taken.by_tenant.entry(tenant.clone()).or_default() += 1;
        }
        Some(Seat { seats: Arc::clone(self), tenant: tenant.cloned() })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.0.lock().unwrap_or_else(PoisonError::into_inner);
        taken.all -= 1;
        let Some(tenant) = &self.tenant else { return };
        if let Some(count) = taken.by_tenant.get_mut(tenant) {
            *count -= 1;
            if *count == 0 {
                taken.by_tenant.remove(tenant);
            }
        }
    }
}

pub(super) async fn watch(
    caller: Caller,
    State(api): State<Arc<Api>>,
    uri: Uri,
) -> Result<Response, Problem> {
    let mut query = Query::of(&uri);
    let mut filter = DeliveryFilter {
        tenant: query.take("tenant", Tenant::parse),
        endpoint: query.take("endpoint", str::parse::<EndpointId>),
        state: query.take("state", parse_state),
        event_type: query.take("type", EventType::parse),
        ..DeliveryFilter::default()
    };
    let life = query.take("for", |text| within(text, MIN_LIFE, MAX_LIFE));
    query.finish()?;
    filter.tenant = caller.narrow(filter.tenant)?;
    let most = api.config.dashboard.live_streams;
    let seat = api.seats.take(caller.tenant.as_ref(), most).ok_or_else(|| full(most))?;
    let stall = api.config.dashboard.live_stall_timeout;
    let reader = Reader::new(api, caller, filter, life, seat);
    let frames = stream::unfold(reader, async |mut reader| Some((reader.next().await?, reader)));
    // On a task of its own: the connection asks for no frame as long as its client takes none, and a seat would stay
    // taken.
    let (relayed, taken) = mpsc::channel(1);
    tokio::spawn(relay(frames, relayed, stall));
    let taken = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken)));
    let mut response = Response::new(Body::from_stream(taken.map(Ok::<_, Infallible>)));
    for (name, value) in [
        (header::CONTENT_TYPE, MEDIA_TYPE),
        (header::CACHE_CONTROL, "no-store"),
        // Proxies of one make would keep it back until there is more of it.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// Hands frames on until there are no more, nobody is there to take them, or the one who is takes none for too long.
async fn relay(frames: impl Stream<Item = Bytes>, to: mpsc::Sender<Bytes>, stall: Duration) {
    let mut frames = pin!(frames);
    loop {
        let frame = tokio::select! {
            frame = frames.next() => frame,
            () = to.closed() => None,
        };
        let Some(frame) = frame else { return };
        if !matches!(tokio::time::timeout(stall, to.send(frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}

fn full(most: usize) -> Problem {
    let detail = format!(
        "There are as many streams as there can be, {most} in all and a quarter of them of one tenant \
         (`dashboard.live_streams`); close one, or list the deliveries."
    );
    Problem::new(Kind::Overloaded, detail)
}

/// One stream.
struct Reader {
    api: Arc<Api>,
    caller: Caller,
    filter: DeliveryFilter,
    news: Watcher,
    /// What opens the door may be taken away.
    changes: watch::Receiver<BookVersion>,
    draining: watch::Receiver<bool>,
    end: Pin<Box<Sleep>>,
    beat: Interval,
    greeted: bool,
    _seat: Seat,
}

impl Reader {
    fn new(
        api: Arc<Api>,
        caller: Caller,
        filter: DeliveryFilter,
        life: Option<Duration>,
        seat: Seat,
    ) -> Self {
        let admitted = caller.by.ends_at.map(|end| end.since(api.clock.now()));
        let life = life.into_iter().chain(admitted).chain([MAX_LIFE]).min().unwrap_or(MAX_LIFE);
        Self {
            news: api.live.watch(),
            changes: api.book.watch(),
            draining: api.draining.clone(),
            end: Box::pin(tokio::time::sleep(life)),
            beat: tokio::time::interval(KEEP_ALIVE),
            greeted: false,
            api,
            caller,
            filter,
            _seat: seat,
        }
    }

    /// The next piece of the stream; `None` at its end.
    async fn next(&mut self) -> Option<Bytes> {
        if !self.greeted {
            self.greeted = true;
            self.beat.reset();
            return Some(format!("retry: {PAUSE}\n\n").into());
        }
        loop {
            let mut piece = String::new();
            tokio::select! {
                biased;
                () = &mut self.end => return None,
                () = over(&mut self.draining) => return None,
                Ok(()) = self.changes.changed() => {}
                _ = self.beat.tick() => piece.push_str(":\n\n"),
                news = self.news.next() => self.gather(news?, &mut piece),
            }
            if !auth::is_still_admitted(&self.api, &self.caller, self.api.clock.now()) {
                return None;
            }
            if !piece.is_empty() {
                self.beat.reset();
                return Some(piece.into());
            }
        }
    }

    /// What there is to tell, and what else is there already.
    fn gather(&mut self, first: News, piece: &mut String) {
        self.write(&first, piece);
        for _ in 1..NEWS_AT_ONCE {
            if piece.len() >= PIECE {
                break;
            }
            let Some(news) = self.news.next_at_once() else { break };
            self.write(&news, piece);
        }
    }

    fn write(&self, news: &News, piece: &mut String) {
        match news {
            News::Delivery(told) if self.filter.fits(&told.delivery) => {
                let text = told.text(|delivery| self.view(delivery));
                piece.extend(["event: delivery\ndata: ", text, "\n\n"]);
            }
            News::Delivery(_) => {}
            News::Many { tenant, .. } if self.filter.tenant.is_some() && self.filter.tenant != *tenant => {}
            News::Many { count, .. } | News::Lagged(count) => {
                // How much happens elsewhere is none of a tenant's business.
                let missed = match self.caller.tenant {
                    None => count.to_string(),
                    Some(_) => "null".to_owned(),
                };
                piece.extend(["event: behind\ndata: {\"missed\":", &missed, "}\n\n"]);
            }
        }
    }

    fn view(&self, delivery: &Delivery) -> String {
        let view = DeliveryView::of(delivery, &self.api.book.snapshot(), &self.api.plugins);
        serde_json::to_string(&view).unwrap_or_default()
    }
}

/// Ends once the host drains.
async fn over(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_takes_nothing_loses_the_stream() {
        let frame = || Bytes::from_static(b"frame");
        let (frames, mut taken) = mpsc::channel(1);
        relay(stream::repeat(frame()), frames, Duration::from_millis(1)).await;
        assert_eq!(taken.recv().await, Some(frame()));
        assert_eq!(taken.recv().await, None);

        let (frames, taken) = mpsc::channel(1);
        let few = relay(stream::iter([frame(), frame(), frame()]), frames, Duration::from_secs(60));
        let count = stream::unfold(taken, async |mut taken| Some((taken.recv().await?, taken))).count();
        assert_eq!(tokio::join!(few, count).1, 3);

        let (frames, gone) = mpsc::channel(1);
        drop(gone);
        relay(stream::pending(), frames, Duration::from_secs(60)).await;
    }

    #[test]
    fn seats_have_a_bound_and_come_back() {
        let seats = Arc::new(Seats::default());
        let (a, b) = (Tenant::parse("a").unwrap(), Tenant::parse("b").unwrap());
        let first = seats.take(Some(&a), 5).unwrap();
        let second = seats.take(Some(&a), 5).unwrap();
        assert!(seats.take(Some(&a), 5).is_none(), "a quarter, rounded up");
        let others: Vec<Seat> = [Some(&b), None, None].map(|tenant| seats.take(tenant, 5).unwrap()).into();
        assert!(seats.take(None, 5).is_none());
        drop(others);
        let third = seats.take(Some(&b), 5).unwrap();
        assert!(seats.take(Some(&b), 5).is_none(), "the last quarter is for no tenant");
        assert!(seats.take(None, 5).is_some());
        drop((first, third));
        assert!(seats.take(Some(&a), 5).is_some());
        drop(second);
        let taken = seats.0.lock().unwrap();
        assert_eq!((taken.all, taken.by_tenant.len()), (0, 0));
        assert!(Arc::new(Seats::default()).take(None, 0).is_none());
    }
}
