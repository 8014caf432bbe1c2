//! Which addresses a delivery may reach: a pure table.
//!
//! Public unicast addresses are open; everything that can lead back into the operator's own network is
//! refused until the operator opens its range. Addresses that carry an IPv4 address are judged by what
//! they carry where the network would translate them, and refused whole where it might.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;
use ipnet::IpNet;

/// What the operator decided about targets, and where this server itself listens.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    /// Ranges that are open although the table refuses them, and to which plain http may go.
    pub allow: Vec<IpNet>,
    /// Never a target, in opened ranges neither: a server that delivers to itself would not stop.
    pub own: Listeners,
}

impl Rule {
    /// [`verdict`] under this rule.
    pub fn verdict(&self, target: SocketAddr) -> Result<Reach, Refusal> {
        verdict(target, &self.allow, &self.own.0.load())
    }

    /// Whether `target` would be this very server, known by a connection whose two ends have the same
    /// address. It answers what the table cannot: a listener bound to the unspecified address is at every
    /// address of this machine.
    pub fn is_loop(&self, local: SocketAddr, target: SocketAddr) -> bool {
        let ip = target.ip().to_canonical();
        local.ip().to_canonical() == ip
            && (self.own.0.load().iter())
                .any(|own| own.port() == target.port() && covers_family(own.ip(), ip))
    }

    /// The addresses that `localhost` means: those of the two loopback addresses that are open.
    ///
    /// The name is special because it has an address in each family, and opening one is enough.
    pub fn localhost(&self, port: u16) -> Result<Vec<SocketAddr>, Refusal> {
        let both = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
        let verdicts = both.map(|ip| self.verdict(SocketAddr::new(ip, port)));
        if let Some(own) = verdicts.iter().find_map(own_listener) {
            return Err(own);
        }
        let open = both.iter().zip(&verdicts).filter(|(_, verdict)| verdict.is_ok());
        let open: Vec<_> = open.map(|(ip, _)| SocketAddr::new(*ip, port)).collect();
        if open.is_empty() { Err(refusal(both[0], Reason::Loopback)) } else { Ok(open) }
    }
}

/// Where this server listens; filled in once its sockets are bound. Clones share what they hold.
#[derive(Clone, Debug, Default)]
pub struct Listeners(Arc<ArcSwap<Vec<SocketAddr>>>);

impl Listeners {
    pub fn set(&self, addresses: Vec<SocketAddr>) {
        self.0.store(Arc::new(addresses));
    }
}

/// How far away an accepted target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// A public address: https only.
    Public,
    /// Inside a range the operator opened: plain http is accepted too.
    Opened,
}

/// Why an address is not a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is {reason}")]
pub struct Refusal {
    pub address: IpAddr,
    pub reason: Reason,
    /// The range to open if the operator means it; `None` where no opening would help or be wise.
    pub opens: Option<IpNet>,
}

/// The row of the table that refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    Loopback,
    Private,
    LinkLocal,
    Metadata,
    SharedCarrier,
    Multicast,
    Unspecified,
    Broadcast,
    Reserved,
    Documentation,
    Benchmark,
    Ipv4Mapped,
    Ipv4Compatible,
    Translated,
    LocalNat64,
    SixToFour,
    Teredo,
    Isatap,
    UniqueLocal,
    SiteLocal,
    OwnListener,
    PlainHttp,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "a loopback address",
            Self::Private => "a private address",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a cloud metadata address",
            Self::SharedCarrier => "a carrier-grade NAT address",
            Self::Multicast => "a multicast address",
            Self::Unspecified => "the unspecified address",
            Self::Broadcast => "the broadcast address",
            Self::Reserved => "a reserved address",
            Self::Documentation => "an address for documentation",
            Self::Benchmark => "an address for benchmarks",
            Self::Ipv4Mapped => "an IPv4-mapped IPv6 address",
            Self::Ipv4Compatible => "an IPv4-compatible IPv6 address",
            Self::Translated => "an IPv4-translated IPv6 address",
            Self::LocalNat64 => "a local NAT64 address",
            Self::SixToFour => "a 6to4 address",
            Self::Teredo => "a Teredo address",
            Self::Isatap => "an ISATAP address",
            Self::UniqueLocal => "a unique local IPv6 address",
            Self::SiteLocal => "a site-local IPv6 address",
            Self::OwnListener => "where this server itself listens",
            Self::PlainHttp => "outside the ranges that are opened for plain http",
        })
    }
}

/// Judges one address: whether a delivery may connect to it.
pub fn verdict(target: SocketAddr, allow: &[IpNet], own: &[SocketAddr]) -> Result<Reach, Refusal> {
    let ip = target.ip();
    let meant = carried_ipv4(ip).map_or(ip, IpAddr::V4);
    if own.iter().any(|own| own.port() == target.port() && is_own(own.ip(), meant)) {
        return Err(refusal(ip, Reason::OwnListener));
    }
    if allow.iter().any(|net| net.contains(&meant) || (!is_mapped(ip) && net.contains(&ip))) {
        return Ok(Reach::Opened);
    }
    match reason(ip) {
        None => Ok(Reach::Public),
        Some(reason) => Err(refusal(ip, reason)),
    }
}

/// The refusal of a public address under the scheme http.
pub fn plain_http(address: IpAddr) -> Refusal {
    refusal(address, Reason::PlainHttp)
}

fn own_listener(verdict: &Result<Reach, Refusal>) -> Option<Refusal> {
    let refusal = verdict.as_ref().err()?;
    (refusal.reason == Reason::OwnListener).then(|| refusal.clone())
}

/// The unspecified address as a target reaches loopback, so it counts as such.
fn is_own(own: IpAddr, target: IpAddr) -> bool {
    let local = target.is_loopback() || target.is_unspecified();
    let own = own.to_canonical();
    own == target || (covers_family(own, target) && local) || (own.is_loopback() && target.is_unspecified())
}

/// `[::]` also accepts IPv4, `0.0.0.0` does not accept IPv6.
fn covers_family(own: IpAddr, target: IpAddr) -> bool {
    own.is_unspecified() && (own.is_ipv6() || target.is_ipv4())
}

fn refusal(address: IpAddr, reason: Reason) -> Refusal {
    Refusal { address, reason, opens: range_to_open(address, reason) }
}

fn range_to_open(address: IpAddr, reason: Reason) -> Option<IpNet> {
    let meant = carried_ipv4(address).map_or(address, IpAddr::V4);
    match (reason, meant) {
        (
            Reason::OwnListener
            | Reason::Metadata
            | Reason::Multicast
            | Reason::Broadcast
            | Reason::Unspecified,
            _,
        ) => None,
        (Reason::Loopback, IpAddr::V4(_)) => {
            ipnet::Ipv4Net::new(Ipv4Addr::new(127, 0, 0, 0), 8).ok().map(IpNet::V4)
        }
        _ => Some(IpNet::from(meant)),
    }
}

fn is_mapped(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some())
}

/// The IPv4 address that packets to `ip` end at: of the mapped form, which the kernel translates, and of
/// the well-known NAT64 prefix, which the network does (DNS64 networks reach every IPv4 host so).
fn carried_ipv4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let low = ip.to_bits() as u32;
    let nat64 = within(ip.to_bits(), NAT64.to_bits(), 96, 128).then(|| Ipv4Addr::from_bits(low));
    ip.to_ipv4_mapped().or(nat64)
}

fn reason(ip: IpAddr) -> Option<Reason> {
    match (ip, carried_ipv4(ip)) {
        (IpAddr::V4(ip), _) => reason_v4(ip),
        (IpAddr::V6(_), Some(ipv4)) => reason_v4(ipv4).or(is_mapped(ip).then_some(Reason::Ipv4Mapped)),
        (IpAddr::V6(ip), None) => reason_v6(ip),
    }
}

fn reason_v4(ip: Ipv4Addr) -> Option<Reason> {
    let row = |&&(net, length, _): &&(Ipv4Addr, u32, Reason)| {
        within(ip.to_bits().into(), net.to_bits().into(), length, 32)
    };
    IPV4.iter().find(row).map(|(_, _, reason)| *reason)
}

fn reason_v6(ip: Ipv6Addr) -> Option<Reason> {
    let row =
        |&&(net, length, _): &&(Ipv6Addr, u32, Reason)| within(ip.to_bits(), net.to_bits(), length, 128);
    let listed = IPV6.iter().find(row).map(|(_, _, reason)| *reason);
    listed.or_else(|| is_isatap(ip).then_some(Reason::Isatap))
}

/// ISATAP hides an IPv4 address in the interface identifier, under any prefix.
fn is_isatap(ip: Ipv6Addr) -> bool {
    let segments = ip.segments();
    segments[4] & !0x0300 == 0 && segments[5] == 0x5efe
}

fn within(ip: u128, net: u128, length: u32, width: u32) -> bool {
    (ip ^ net).checked_shr(width - length).unwrap_or(0) == 0
}

const fn v4(a: u8, b: u8, c: u8, d: u8) -> Ipv4Addr {
    Ipv4Addr::new(a, b, c, d)
}

const fn v6(head: [u16; 4], tail: [u16; 4]) -> Ipv6Addr {
    let ([a, b, c, d], [e, f, g, h]) = (head, tail);
    Ipv6Addr::new(a, b, c, d, e, f, g, h)
}

const NAT64: Ipv6Addr = v6([0x64, 0xff9b, 0, 0], [0; 4]);

/// The first row that contains the address holds.
const IPV4: &[(Ipv4Addr, u32, Reason)] = &[
    (v4(0, 0, 0, 0), 32, Reason::Unspecified),
    (v4(0, 0, 0, 0), 8, Reason::Reserved),
    (v4(10, 0, 0, 0), 8, Reason::Private),
    (v4(100, 100, 100, 200), 32, Reason::Metadata),
    (v4(100, 64, 0, 0), 10, Reason::SharedCarrier),
    (v4(127, 0, 0, 0), 8, Reason::Loopback),
    (v4(168, 63, 129, 16), 32, Reason::Metadata),
    (v4(169, 254, 169, 254), 32, Reason::Metadata),
    (v4(169, 254, 170, 2), 32, Reason::Metadata),
    (v4(169, 254, 0, 0), 16, Reason::LinkLocal),
    (v4(172, 16, 0, 0), 12, Reason::Private),
    (v4(192, 0, 0, 192), 32, Reason::Metadata),
    (v4(192, 0, 0, 0), 24, Reason::Reserved),
    (v4(192, 0, 2, 0), 24, Reason::Documentation),
    (v4(192, 88, 99, 0), 24, Reason::SixToFour),
    (v4(192, 168, 0, 0), 16, Reason::Private),
    (v4(198, 18, 0, 0), 15, Reason::Benchmark),
    (v4(198, 51, 100, 0), 24, Reason::Documentation),
    (v4(203, 0, 113, 0), 24, Reason::Documentation),
    (v4(224, 0, 0, 0), 4, Reason::Multicast),
    (v4(255, 255, 255, 255), 32, Reason::Broadcast),
    (v4(240, 0, 0, 0), 4, Reason::Reserved),
];

/// The first row that contains the address holds. The last rows are all that is not 2000::/3, the only
/// space from which public unicast addresses are given out.
const IPV6: &[(Ipv6Addr, u32, Reason)] = &[
    (v6([0; 4], [0; 4]), 128, Reason::Unspecified),
    (v6([0; 4], [0, 0, 0, 1]), 128, Reason::Loopback),
    (v6([0; 4], [0; 4]), 96, Reason::Ipv4Compatible),
    (v6([0; 4], [0xffff, 0, 0, 0]), 96, Reason::Translated),
    (v6([0x64, 0xff9b, 1, 0], [0; 4]), 48, Reason::LocalNat64),
    (v6([0x2001, 0, 0, 0], [0; 4]), 32, Reason::Teredo),
    (v6([0x2001, 2, 0, 0], [0; 4]), 48, Reason::Benchmark),
    (v6([0x2001, 0, 0, 0], [0; 4]), 23, Reason::Reserved),
    (v6([0x2001, 0xdb8, 0, 0], [0; 4]), 32, Reason::Documentation),
    (v6([0x2002, 0, 0, 0], [0; 4]), 16, Reason::SixToFour),
    (v6([0x3fff, 0, 0, 0], [0; 4]), 20, Reason::Documentation),
    (v6([0xfd00, 0xec2, 0, 0], [0, 0, 0, 0x254]), 128, Reason::Metadata),
    (v6([0xfd20, 0xce, 0, 0], [0, 0, 0, 0x254]), 128, Reason::Metadata),
    (v6([0xfc00, 0, 0, 0], [0; 4]), 7, Reason::UniqueLocal),
    (v6([0xfe80, 0, 0, 0], [0; 4]), 10, Reason::LinkLocal),
    (v6([0xfec0, 0, 0, 0], [0; 4]), 10, Reason::SiteLocal),
    (v6([0xff00, 0, 0, 0], [0; 4]), 8, Reason::Multicast),
    (v6([0, 0, 0, 0], [0; 4]), 3, Reason::Reserved),
    (v6([0x4000, 0, 0, 0], [0; 4]), 2, Reason::Reserved),
    (v6([0x8000, 0, 0, 0], [0; 4]), 1, Reason::Reserved),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(ip: &str, allow: &[&str]) -> Result<Reach, Refusal> {
        let allow: Vec<IpNet> = allow.iter().map(|net| net.parse().unwrap()).collect();
        verdict(SocketAddr::new(ip.parse().unwrap(), 443), &allow, &[])
    }

    #[test]
    fn public_addresses_are_open() {
        for ip in [
            "1.0.0.0",
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "93.184.216.34",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "168.63.129.15",
            "168.63.129.17",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "191.255.255.255",
            "192.0.1.0",
            "192.0.1.255",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "198.51.101.0",
            "203.0.112.255",
            "203.0.114.0",
            "223.255.255.255",
            "2000::",
            "2001:200::1",
            "2001:4860:4860::8888",
            "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db9::",
            "2003::1",
            "2606:4700:4700::1111",
            "2a00:1450:4001:800::200e",
            "3ffe:ffff::1",
            "3fff:1000::",
            "64:ff9b::8.8.8.8",
            "64:ff9b::1.1.1.1",
        ] {
            assert_eq!(judge(ip, &[]), Ok(Reach::Public), "{ip}");
        }
    }

    #[test]
    fn every_other_address_is_refused_by_name() {
        use Reason::*;
        for (ip, reason) in [
            ("0.0.0.0", Unspecified),
            ("0.0.0.1", Reserved),
            ("0.255.255.255", Reserved),
            ("10.0.0.0", Private),
            ("10.255.255.255", Private),
            ("100.64.0.0", SharedCarrier),
            ("100.127.255.255", SharedCarrier),
            ("100.100.100.200", Metadata),
            ("127.0.0.0", Loopback),
            ("127.0.0.1", Loopback),
            ("127.255.255.255", Loopback),
            ("168.63.129.16", Metadata),
            ("169.254.0.0", LinkLocal),
            ("169.254.255.255", LinkLocal),
            ("169.254.169.254", Metadata),
            ("169.254.170.2", Metadata),
            ("172.16.0.0", Private),
            ("172.31.255.255", Private),
            ("192.0.0.0", Reserved),
            ("192.0.0.192", Metadata),
            ("192.0.0.255", Reserved),
            ("192.0.2.0", Documentation),
            ("192.0.2.255", Documentation),
            ("192.88.99.0", SixToFour),
            ("192.88.99.255", SixToFour),
            ("192.168.0.0", Private),
            ("192.168.255.255", Private),
            ("198.18.0.0", Benchmark),
            ("198.19.255.255", Benchmark),
            ("198.51.100.0", Documentation),
            ("198.51.100.255", Documentation),
            ("203.0.113.0", Documentation),
            ("203.0.113.255", Documentation),
            ("224.0.0.0", Multicast),
            ("239.255.255.255", Multicast),
            ("240.0.0.0", Reserved),
            ("255.255.255.254", Reserved),
            ("255.255.255.255", Broadcast),
            ("::", Unspecified),
            ("::1", Loopback),
            ("::2", Ipv4Compatible),
            ("::7f00:1", Ipv4Compatible),
            ("::8.8.8.8", Ipv4Compatible),
            ("::1:0:0:0", Reserved),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:10.1.2.3", Private),
            ("::ffff:169.254.169.254", Metadata),
            ("::ffff:0.0.0.0", Unspecified),
            ("::ffff:8.8.8.8", Ipv4Mapped),
            ("::ffff:0:8.8.8.8", Translated),
            ("::ffff:0:127.0.0.1", Translated),
            ("64:ff9b::127.0.0.1", Loopback),
            ("64:ff9b::10.0.0.1", Private),
            ("64:ff9b::169.254.169.254", Metadata),
            ("64:ff9b::255.255.255.255", Broadcast),
            ("64:ff9b::1:0:0", Reserved),
            ("64:ff9b:1::", LocalNat64),
            ("64:ff9b:1:ffff:ffff:ffff:ffff:ffff", LocalNat64),
            ("64:ff9b:2::", Reserved),
            ("64:ff9a::8.8.8.8", Reserved),
            ("100::", Reserved),
            ("1fff:ffff::1", Reserved),
            ("2001::", Teredo),
            ("2001:0:ffff:ffff:ffff:ffff:ffff:ffff", Teredo),
            ("2001:1::1", Reserved),
            ("2001:2::1", Benchmark),
            ("2001:10::1", Reserved),
            ("2001:20::1", Reserved),
            ("2001:1ff:ffff::1", Reserved),
            ("2001:db8::", Documentation),
            ("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Documentation),
            ("2002::", SixToFour),
            ("2002:7f00:1::", SixToFour),
            ("2002:808:808::1", SixToFour),
            ("2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", SixToFour),
            ("2606:4700::5efe:10.0.0.1", Isatap),
            ("2606:4700::200:5efe:8.8.8.8", Isatap),
            ("3fff::", Documentation),
            ("3fff:fff:ffff::1", Documentation),
            ("4000::", Reserved),
            ("5f00::1", Reserved),
            ("8000::1", Reserved),
            ("c000::1", Reserved),
            ("fbff:ffff::1", Reserved),
            ("fc00::", UniqueLocal),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("fd00:ec2::253", UniqueLocal),
            ("fdff:ffff::1", UniqueLocal),
            ("fe00::1", Reserved),
            ("fe7f::1", Reserved),
            ("fe80::", LinkLocal),
            ("fe80::5efe:10.0.0.1", LinkLocal),
            ("febf:ffff::1", LinkLocal),
            ("fec0::", SiteLocal),
            ("feff:ffff::1", SiteLocal),
            ("ff00::", Multicast),
            ("ff02::1", Multicast),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Multicast),
        ] {
            let refused = judge(ip, &[]).map_err(|refusal| refusal.reason);
            assert_eq!(refused, Err(reason), "{ip}");
        }
    }

    #[test]
    fn opening_the_range_a_refusal_names_opens_the_address() {
        for (ip, range) in [
            ("127.0.0.1", "127.0.0.0/8"),
            ("127.8.9.10", "127.0.0.0/8"),
            ("::1", "::1/128"),
            ("::ffff:127.0.0.1", "127.0.0.0/8"),
            ("10.1.2.3", "10.1.2.3/32"),
            ("::ffff:10.1.2.3", "10.1.2.3/32"),
            ("64:ff9b::10.1.2.3", "10.1.2.3/32"),
            ("::ffff:8.8.8.8", "8.8.8.8/32"),
            ("169.254.1.1", "169.254.1.1/32"),
            ("fd12::34", "fd12::34/128"),
            ("2002:7f00:1::", "2002:7f00:1::/128"),
        ] {
            let refusal = judge(ip, &[]).unwrap_err();
            let named = refusal.opens.map(|net| net.to_string());
            assert_eq!(named.as_deref(), Some(range), "{ip}");
            assert_eq!(judge(ip, &[range]), Ok(Reach::Opened), "{ip}");
        }
        for ip in ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "169.254.169.254"] {
            assert_eq!(judge(ip, &[]).unwrap_err().opens, None, "{ip}");
        }
    }

    #[test]
    fn an_opened_range_opens_nothing_else() {
        for (allow, open, closed) in [
            ("10.0.0.0/24", "10.0.0.255", "10.0.1.0"),
            ("10.0.0.0/24", "::ffff:10.0.0.1", "::ffff:10.0.1.0"),
            ("127.0.0.0/8", "127.1.2.3", "::1"),
            ("::1/128", "::1", "127.0.0.1"),
            ("fd00::/8", "fd00::1", "fc00::1"),
            ("::/0", "fe80::1", "::ffff:10.0.0.1"),
            ("0.0.0.0/0", "10.0.0.1", "fe80::1"),
        ] {
            assert_eq!(judge(open, &[allow]), Ok(Reach::Opened), "{open} in {allow}");
            assert!(judge(closed, &[allow]).is_err(), "{closed} outside {allow}");
        }
    }

    #[test]
    fn own_listeners_are_refused_in_opened_ranges_too() {
        let everything: Vec<IpNet> = vec!["0.0.0.0/0".parse().unwrap(), "::/0".parse().unwrap()];
        for (own, target, refused) in [
            ("127.0.0.1:8080", "127.0.0.1:8080", true),
            ("127.0.0.1:8080", "127.0.0.1:8081", false),
            ("127.0.0.1:8080", "127.0.0.2:8080", false),
            ("127.0.0.1:8080", "0.0.0.0:8080", true),
            ("127.0.0.1:8080", "[::ffff:127.0.0.1]:8080", true),
            ("127.0.0.1:8080", "[::1]:8080", false),
            ("0.0.0.0:8080", "127.0.0.1:8080", true),
            ("0.0.0.0:8080", "127.9.9.9:8080", true),
            ("0.0.0.0:8080", "[::1]:8080", false),
            ("0.0.0.0:8080", "10.0.0.1:8080", false),
            ("[::]:8080", "127.0.0.1:8080", true),
            ("[::]:8080", "[::1]:8080", true),
            ("[::]:8080", "[::]:8080", true),
            ("[::]:8080", "[::]:8081", false),
            ("192.168.1.5:443", "192.168.1.5:443", true),
            ("93.184.216.34:443", "93.184.216.34:443", true),
            ("[2606:4700::1]:443", "[2606:4700::1]:443", true),
        ] {
            let own: SocketAddr = own.parse().unwrap();
            let verdict = verdict(target.parse().unwrap(), &everything, &[own]);
            let is_own = verdict.is_err_and(|refusal| refusal.reason == Reason::OwnListener);
            assert_eq!(is_own, refused, "own {own}, target {target}");
        }
    }

    #[test]
    fn a_listener_on_every_address_is_known_by_the_ends_of_a_connection() {
        let rule = Rule::default();
        rule.own.set(vec!["0.0.0.0:8080".parse().unwrap()]);
        let is_loop =
            |local: &str, target: &str| rule.is_loop(local.parse().unwrap(), target.parse().unwrap());
        assert!(is_loop("192.168.1.5:50000", "192.168.1.5:8080"));
        assert!(!is_loop("192.168.1.5:50000", "192.168.1.5:8081"));
        assert!(!is_loop("192.168.1.5:50000", "192.168.1.6:8080"));
    }

    #[test]
    fn localhost_means_the_loopback_addresses_that_are_open() {
        let localhost = |allow: &[&str]| {
            let allow = allow.iter().map(|net| net.parse().unwrap()).collect();
            let rule = Rule { allow, own: Listeners::default() };
            let found = rule.localhost(80).map_err(|refusal| refusal.opens.unwrap().to_string());
            found.map(|found| found.iter().map(SocketAddr::to_string).collect::<Vec<_>>())
        };
        assert_eq!(localhost(&[]), Err("127.0.0.0/8".to_owned()));
        assert_eq!(localhost(&["10.0.0.0/8"]), Err("127.0.0.0/8".to_owned()));
        assert_eq!(localhost(&["127.0.0.0/8"]), Ok(vec!["127.0.0.1:80".to_owned()]));
        assert_eq!(localhost(&["::1/128"]), Ok(vec!["[::1]:80".to_owned()]));
        assert_eq!(
            localhost(&["::1/128", "127.0.0.1/32"]),
            Ok(vec!["127.0.0.1:80".to_owned(), "[::1]:80".to_owned()])
        );
    }
}
