//! From which address a request came, where proxies stand in between.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

const FORWARDED: &str = "x-forwarded-for";

/// The address next to the proxies that are trusted: each of them adds the one that it was asked from at the end of
/// `X-Forwarded-For`, and what stands before an address that is not trusted anybody may have written.
pub fn origin(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    let mut address = peer.to_canonical();
    let lines: Vec<&str> =
        headers.get_all(FORWARDED).into_iter().filter_map(|line| line.to_str().ok()).collect();
    for named in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        if !is_trusted(&address) {
            break;
        }
        let Ok(before) = named.trim().parse::<IpAddr>() else { break };
        address = before.to_canonical();
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_trusted_proxies_say_counts() {
        let trusted: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        for (peer, lines, expected) in [
            ("198.51.100.7", vec!["203.0.113.9"], "198.51.100.7"),
            ("10.0.0.1", vec![], "10.0.0.1"),
            ("10.0.0.1", vec!["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["192.0.2.1, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", vec!["192.0.2.1", "203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", vec!["10.0.0.3,10.0.0.2"], "10.0.0.3"),
            ("::ffff:10.0.0.1", vec!["::ffff:203.0.113.9"], "203.0.113.9"),
            ("fd00::1", vec!["2001:db8::7"], "2001:db8::7"),
            ("10.0.0.1", vec!["203.0.113.9, nonsense"], "10.0.0.1"),
            ("10.0.0.1", vec![""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in &lines {
                headers.append(FORWARDED, line.parse().unwrap());
            }
            let found = origin(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
        }
    }
}
