//! Which addresses a request may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// For whom an address is reachable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A host of the public Internet.
    Public,
    /// Not for the public: loopback, private networks, ranges for documentation, tests and tunnels. Allowed only where
    /// the operator says so.
    Private,
    /// Never the address of a service that somebody means to name: link-local (where clouds hand out credentials),
    /// multicast, broadcast, the unspecified address, and the well-known metadata services.
    Never,
}

/// Ranges that are not for the public, by the IANA special-purpose registry for IPv4 (RFC 6890 and its successors).
const V4: &[(Ipv4Addr, u32, Reach)] = &[
    (Ipv4Addr::new(0, 0, 0, 0), 8, Reach::Never), // "this network": on Linux, this host (RFC 791)
    (Ipv4Addr::new(10, 0, 0, 0), 8, Reach::Private), // RFC 1918
    (Ipv4Addr::new(100, 100, 100, 200), 32, Reach::Never), // a cloud's metadata service, within the next range
    (Ipv4Addr::new(100, 64, 0, 0), 10, Reach::Private),    // carrier-grade NAT (RFC 6598)
    (Ipv4Addr::new(127, 0, 0, 0), 8, Reach::Private),      // loopback (RFC 1122)
    (Ipv4Addr::new(168, 63, 129, 16), 32, Reach::Never),   // a cloud's host service, on an address of its own
    (Ipv4Addr::new(169, 254, 0, 0), 16, Reach::Never), // link-local (RFC 3927), with the metadata services
    (Ipv4Addr::new(172, 16, 0, 0), 12, Reach::Private), // RFC 1918
    (Ipv4Addr::new(192, 0, 0, 0), 24, Reach::Private), // protocol assignments (RFC 6890); a metadata service
    (Ipv4Addr::new(192, 0, 2, 0), 24, Reach::Private), // documentation (RFC 5737)
    (Ipv4Addr::new(192, 88, 99, 0), 24, Reach::Private), // relays of 6to4, deprecated (RFC 7526)
    (Ipv4Addr::new(192, 168, 0, 0), 16, Reach::Private), // RFC 1918
    (Ipv4Addr::new(198, 18, 0, 0), 15, Reach::Private), // benchmarks (RFC 2544)
    (Ipv4Addr::new(198, 51, 100, 0), 24, Reach::Private), // documentation (RFC 5737)
    (Ipv4Addr::new(203, 0, 113, 0), 24, Reach::Private), // documentation (RFC 5737)
    (Ipv4Addr::new(224, 0, 0, 0), 4, Reach::Never),    // multicast (RFC 5771)
    (Ipv4Addr::new(240, 0, 0, 0), 4, Reach::Never), // reserved, and the broadcast address (RFC 1112, RFC 919)
];

/// The same for IPv6. What is in none of these ranges is public if it is global unicast (2000::/3), else private.
const V6: &[(Ipv6Addr, u32, Reach)] = &[
    (Ipv6Addr::UNSPECIFIED, 128, Reach::Never),
    (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23, Reach::Private), // Teredo, ORCHID, … (RFC 2928)
    (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32, Reach::Private), // documentation (RFC 3849)
    (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20, Reach::Private), // documentation (RFC 9637)
    (Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254), 128, Reach::Never), // a cloud's metadata service
    (Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254), 128, Reach::Never), // another's
    (Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10, Reach::Never),   // link-local (RFC 4291)
    (Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0), 8, Reach::Never),    // multicast (RFC 4291)
];

impl Reach {
    /// For whom this address is reachable. An IPv6 address that stands for an IPv4 address (mapped, compatible,
    /// translated, NAT64, 6to4) is at most as public as that one.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => v4(address),
            IpAddr::V6(address) => v6(address),
        }
    }

    /// Whether a request may go there.
    #[must_use]
    pub const fn allowed(self, private: bool) -> bool {
        match self {
            Self::Public => true,
            Self::Private => private,
            Self::Never => false,
        }
    }
}

fn v4(address: Ipv4Addr) -> Reach {
    let bits = address.to_bits();
    let within = |&&(range, length, _): &&(Ipv4Addr, u32, Reach)| {
        let host = u32::BITS - length;
        bits >> host == range.to_bits() >> host
    };
    V4.iter().find(within).map_or(Reach::Public, |(_, _, reach)| *reach)
}

fn v6(address: Ipv6Addr) -> Reach {
    let bits = address.to_bits();
    let within = |&&(range, length, _): &&(Ipv6Addr, u32, Reach)| {
        let host = u128::BITS - length;
        bits >> host == range.to_bits() >> host
    };
    if let Some((_, _, reach)) = V6.iter().find(within) {
        return *reach;
    }
    let own = if bits >> 125 == 1 { Reach::Public } else { Reach::Private };
    match embedded(address) {
        // A connection to a mapped address is one to the IPv4 address; a translator passes on what goes to 64:ff9b::.
        Some((inner, true)) => v4(inner),
        // Tunnels that nobody offers a service on; what they lead to still decides whether it is worse than private.
        Some((inner, false)) => match v4(inner) {
            Reach::Never => Reach::Never,
            Reach::Public | Reach::Private => Reach::Private,
        },
        None => own,
    }
}

/// The IPv4 address within, and whether a connection to the one is as good as one to the other.
fn embedded(address: Ipv6Addr) -> Option<(Ipv4Addr, bool)> {
    if address == Ipv6Addr::LOCALHOST {
        return None;
    }
    let last = |[.., g, h]: [u16; 8]| quad(g, h);
    match address.segments() {
        // IPv4-mapped (RFC 4291) and the well-known prefix of NAT64 (RFC 6052).
        all @ ([0, 0, 0, 0, 0, 0xffff, _, _] | [0x64, 0xff9b, 0, 0, 0, 0, _, _]) => Some((last(all), true)),
        // IPv4-compatible (RFC 4291, deprecated), translated (RFC 2765), local NAT64 (RFC 8215), ISATAP (RFC 5214).
        all @ ([0, 0, 0, 0, 0, 0, _, _]
        | [0, 0, 0, 0, 0xffff, 0, _, _]
        | [0x64, 0xff9b, 1, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, _, _]) => Some((last(all), false)),
        // 6to4 (RFC 3056, deprecated by RFC 7526).
        [0x2002, high, low, ..] => Some((quad(high, low), false)),
        _ => None,
    }
}

fn quad(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn reach(text: &str) -> Reach {
        Reach::of(text.parse().unwrap_or_else(|_| panic!("{text} is no address")))
    }

    #[test]
    fn public_hosts_are_public() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "203.0.114.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:82a::200e",
            "2001:4860:4860::8888",
            "2000::1",
            "3ffe::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "168.63.129.15",
        ] {
            assert_eq!(reach(address), Reach::Public, "{address}");
        }
    }

    #[test]
    fn what_is_not_for_the_public_is_not() {
        for address in [
            "10.0.0.0",
            "10.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "172.16.0.0",
            "172.31.255.255",
            "192.0.0.0",
            "192.0.0.192",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.0.0",
            "192.168.255.255",
            "198.18.0.0",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.255",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "::127.0.0.1",
            "::8.8.8.8",
            "::ffff:0:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b:1::8.8.8.8",
            "2002:7f00:1::",
            "2002:808:808::1",
            "2001::1",
            "2001:1::1",
            "2001:db8::1",
            "3fff:fff::1",
            "fc00::1",
            "fdff::1",
            "fec0::1",
            "100::1",
            "5f00::1",
            "4000::1",
            "1fff::1",
            "2a00::5efe:a00:1",
        ] {
            assert_eq!(reach(address), Reach::Private, "{address}");
        }
    }

    #[test]
    fn what_nobody_means_to_name_is_refused_whatever_is_allowed() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "168.63.129.16",
            "100.100.100.200",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "::ffff:169.254.169.254",
            "::169.254.169.254",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::169.254.169.254",
            "2002:a9fe:a9fe::1",
            "::ffff:0:169.254.169.254",
            "::ffff:0.0.0.0",
            "2a00::200:5efe:a9fe:a9fe",
        ] {
            assert_eq!(reach(address), Reach::Never, "{address}");
            assert!(!reach(address).allowed(true));
        }
    }

    proptest! {
        /// No spelling of an IPv4 address in IPv6 is more public than the address itself.
        #[test]
        fn no_disguise_makes_an_address_more_public(bits in any::<u32>(), site in any::<u16>()) {
            let plain = Ipv4Addr::from_bits(bits);
            let (high, low) = ((bits >> 16) as u16, (bits & 0xffff) as u16);
            for disguise in [
                plain.to_ipv6_mapped(),
                Ipv6Addr::new(0, 0, 0, 0, 0xffff, 0, high, low),
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 1, site, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, site, 0, 0, 0, 1),
                Ipv6Addr::new(0x2a00, site, 0, 0, 0, 0x5efe, high, low),
            ] {
                for private in [false, true] {
                    prop_assert!(
                        v4(plain).allowed(private) || !Reach::of(IpAddr::V6(disguise)).allowed(private),
                        "{plain} as {disguise}"
                    );
                }
            }
        }

        /// What the standard library knows not to be for the public is not for the public here.
        #[test]
        fn agrees_with_the_standard_library_where_it_has_a_word(bits in any::<u32>()) {
            let a = Ipv4Addr::from_bits(bits);
            let special = a.is_private() || a.is_loopback() || a.is_link_local() || a.is_multicast()
                || a.is_broadcast() || a.is_documentation() || a.is_unspecified();
            prop_assert!(!special || v4(a) != Reach::Public, "{a}");
        }

        /// Outside of the global unicast range only mapped and translated addresses are public.
        #[test]
        fn only_global_unicast_is_public(bits in any::<u128>()) {
            let a = Ipv6Addr::from_bits(bits);
            let global = bits >> 125 == 1;
            prop_assert!(v6(a) != Reach::Public || global || embedded(a).is_some_and(|(_, same)| same), "{a}");
        }
    }
}
