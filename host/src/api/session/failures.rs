//! Who tried to sign in with a wrong key lately, by where the request came from.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::endpoint::RateLimit;
use crate::meter::Meter;
use crate::time::Timestamp;

/// In which failures count.
const WINDOW: Duration = Duration::from_secs(60);

/// Most addresses that are told apart; those beyond it count as one.
const MAX_ADDRESSES: usize = 10_000;

/// Every host of several counts for itself.
#[derive(Debug, Default)]
pub struct Failures(Mutex<HashMap<IpAddr, Meter>>);

impl Failures {
    /// Tries, unless the address failed too often; a failure counts.
    ///
    /// # Errors
    ///
    /// Of `attempt`, or how long to wait before another.
    pub fn attempt<T, E>(
        &self,
        address: IpAddr,
        most: u32,
        now: Timestamp,
        attempt: impl FnOnce() -> Result<T, E>,
    ) -> Result<Result<T, E>, Duration> {
        let limit = RateLimit { requests: most, per: WINDOW };
        // Held meanwhile, so that attempts at once cannot get past the limit together.
        let mut meters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let address = told_apart(&mut meters, network(address), limit, now);
        if let Some(meter) = meters.get_mut(&address) {
            meter.room(limit, now)?;
        }
        let done = attempt();
        if done.is_err() {
            meters.entry(address).or_default().take(limit, now)?;
        }
        Ok(done)
    }
}

/// The address under which failures are counted.
fn told_apart(
    meters: &mut HashMap<IpAddr, Meter>,
    address: IpAddr,
    limit: RateLimit,
    now: Timestamp,
) -> IpAddr {
    if meters.contains_key(&address) || meters.len() < MAX_ADDRESSES {
        return address;
    }
    meters.retain(|_, meter| meter.room(limit, now).is_err() || !meter.is_idle());
    if meters.len() < MAX_ADDRESSES { address } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}

/// Of IPv6 whoever has one address mostly has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_secs(1_000);

    fn fail(failures: &Failures, address: &str, now: Timestamp) -> Result<(), Duration> {
        failures.attempt(address.parse().unwrap(), 2, now, || Err::<(), ()>(())).map(drop)
    }

    #[test]
    fn failures_count_and_pass() {
        let failures = Failures::default();
        let good = |now| failures.attempt("10.0.0.1".parse().unwrap(), 2, now, || Ok::<_, ()>(()));
        for _ in 0..5 {
            assert_eq!(good(START), Ok(Ok(())));
        }
        assert_eq!(fail(&failures, "10.0.0.1", START), Ok(()));
        assert_eq!(fail(&failures, "10.0.0.1", START), Ok(()));
        let wait = fail(&failures, "10.0.0.1", START).unwrap_err();
        assert!(wait > Duration::from_secs(59) && wait <= Duration::from_secs(62), "{wait:?}");
        assert!(good(START).is_err(), "nor is a good key looked at");
        assert_eq!(fail(&failures, "10.0.0.2", START), Ok(()), "others are not kept waiting");
        assert_eq!(good(START.plus(wait)), Ok(Ok(())));
    }

    #[test]
    fn a_network_is_one_address() {
        let failures = Failures::default();
        assert_eq!(fail(&failures, "2001:db8::1", START), Ok(()));
        assert_eq!(fail(&failures, "2001:db8::2", START), Ok(()));
        assert!(fail(&failures, "2001:db8::3", START).is_err());
        assert_eq!(fail(&failures, "2001:db8:0:1::3", START), Ok(()));
    }

    #[test]
    fn addresses_have_a_bound() {
        let failures = Failures::default();
        let address = |number: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 + number).to_string();
        for number in 0..MAX_ADDRESSES as u32 {
            assert_eq!(fail(&failures, &address(number), START), Ok(()));
        }
        for number in 0..2 {
            assert_eq!(fail(&failures, &address(90_000 + number), START), Ok(()));
        }
        assert!(fail(&failures, &address(99_999), START).is_err(), "those beyond it count as one");
        assert_eq!(failures.0.lock().unwrap().len(), MAX_ADDRESSES + 1);
        let later = START.plus(2 * WINDOW);
        assert_eq!(fail(&failures, &address(99_999), later), Ok(()));
        assert_eq!(failures.0.lock().unwrap().len(), 1, "what is past is forgotten");
    }
}
