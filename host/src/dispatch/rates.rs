//! What endpoints with a rate were sent before the host started, or by the host that they were of before, so that neither
//! a restart nor another host lets anybody pass a rate.
//!
//! It is told by what the store counts, in the same commit as the attempts themselves; nothing is written for it. Each
//! attempt is taken to have been made at the end of its span of time, a minute for rates over up to an hour and an
//! hour for longer ones: so an endpoint may wait for that much longer after it, and never goes faster. What a
//! host that was killed had under way is not known.

use std::collections::HashMap;

use crate::book;
use crate::endpoint::{Endpoint, RateLimit};
use crate::id::EndpointId;
use crate::store::{Bucket, Result, Scope, Statistics};
use crate::tally::{Resolution, Window};
use crate::time::Timestamp;

/// Up to so many minutes back, minutes are asked for: they are kept for an hour at the least.
const MOST_MINUTES: u32 = 61;
/// Endpoints asked about at once.
const ENDPOINTS_AT_ONCE: usize = 200;

/// When those of the endpoints that have a rate and are `asked` about were sent something, oldest first, as far as their
/// rates still ask for it.
pub async fn recall(
    store: &dyn Statistics,
    book: &book::Snapshot,
    now: Timestamp,
    asked: impl Fn(&Endpoint) -> bool,
) -> Result<Vec<(EndpointId, Vec<Timestamp>)>> {
    let mut windows: HashMap<(Resolution, u32), Vec<(EndpointId, RateLimit)>> = HashMap::new();
    for book::Entry { endpoint, .. } in book.entries() {
        if let Endpoint { id, rate_limit: Some(rate), .. } = **endpoint
            && asked(endpoint)
        {
            windows.entry(window(rate)).or_default().push((id, rate));
        }
    }
    let mut recalled = Vec::new();
    for ((resolution, count), endpoints) in windows {
        let window = Window::last(resolution, count, now);
        for part in endpoints.chunks(ENDPOINTS_AT_ONCE) {
            let scopes = part.iter().map(|(id, _)| Scope::Endpoint(*id)).collect();
            let tallies = store.tallies(scopes, window).await?;
            let sent = part
                .iter()
                .zip(tallies)
                .map(|((id, rate), buckets)| (*id, sent(*rate, resolution, &buckets, now)));
            recalled.extend(sent.filter(|(_, sent)| !sent.is_empty()));
        }
    }
    Ok(recalled)
}

/// The spans that cover what a rate looks back on, the one under way included.
fn window(rate: RateLimit) -> (Resolution, u32) {
    let spans = |resolution: Resolution| {
        let whole = rate.per.as_micros().div_ceil(resolution.span().as_micros());
        u32::try_from(whole).unwrap_or(u32::MAX).saturating_add(1)
    };
    match spans(Resolution::Minute) {
        minutes if minutes <= MOST_MINUTES => (Resolution::Minute, minutes),
        _ => (Resolution::Hour, spans(Resolution::Hour)),
    }
}

fn sent(rate: RateLimit, resolution: Resolution, buckets: &[Bucket], now: Timestamp) -> Vec<Timestamp> {
    let most = rate.requests.max(1) as usize;
    let mut sent = Vec::new();
    for bucket in buckets.iter().rev() {
        let at = bucket.start.plus(resolution.span()).min(now);
        if sent.len() >= most || at.plus(rate.per) <= now {
            break;
        }
        let attempts = usize::try_from(bucket.tally.attempts).unwrap_or(usize::MAX);
        sent.extend(std::iter::repeat_n(at, attempts.min(most - sent.len())));
    }
    sent.reverse();
    sent
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tally::Tally;
    use std::time::Duration;

    fn rate(requests: u32, seconds: u64) -> RateLimit {
        RateLimit { requests, per: Duration::from_secs(seconds) }
    }

    fn minutes(attempts: &[(i64, u64)]) -> Vec<Bucket> {
        let bucket = |(minute, attempts): &(i64, u64)| Bucket {
            start: Resolution::Minute.start(*minute),
            tally: Tally { attempts: *attempts, ..Tally::default() },
        };
        attempts.iter().map(bucket).collect()
    }

    #[test]
    fn what_is_looked_back_on_is_covered() {
        for (seconds, expected) in [
            (1, (Resolution::Minute, 2)),
            (60, (Resolution::Minute, 2)),
            (61, (Resolution::Minute, 3)),
            (3_600, (Resolution::Minute, 61)),
            (3_601, (Resolution::Hour, 3)),
            (86_400, (Resolution::Hour, 25)),
        ] {
            assert_eq!(window(rate(1, seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn attempts_are_taken_to_be_as_late_as_can_be() {
        let now = Timestamp::from_secs(10 * 60 + 30);
        let at = Timestamp::from_secs;
        let counted = minutes(&[(8, 2), (9, 1), (10, 3)]);
        for (rate, expected) in [
            (rate(10, 300), vec![at(540), at(540), at(600), now, now, now]),
            (rate(4, 300), vec![at(600), now, now, now]),
            (rate(2, 300), vec![now, now]),
            (rate(10, 60), vec![at(600), now, now, now]),
            (rate(10, 30), vec![now, now, now]),
        ] {
            assert_eq!(sent(rate, Resolution::Minute, &counted, now), expected, "{rate:?}");
        }
    }
}
