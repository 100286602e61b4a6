use super::*;
use proptest::prelude::*;

fn client(peer: &str, header: &'static str, values: &[&str]) -> String {
    let by = if header == "forwarded" { ForwardedBy::Forwarded } else { ForwardedBy::XForwardedFor };
    let proxies = TrustedProxies::parse(&["10.0.0.0/8", "2001:db8:f::1"], by).unwrap();
    let headers = values.iter().map(|v| (header.parse().unwrap(), v.parse().unwrap())).collect();
    proxies.client_address(peer.parse().unwrap(), &headers).to_string()
}

fn xff(peer: &str, values: &[&str]) -> String {
    client(peer, "x-forwarded-for", values)
}

#[test]
fn a_peer_that_is_not_trusted_speaks_for_itself() {
    assert_eq!(xff("192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
    assert_eq!(xff("::ffff:192.0.2.9", &["198.51.100.1"]), "192.0.2.9");
    let headers = [(header::FORWARDED, HeaderValue::from_static("for=198.51.100.1"))].into_iter().collect();
    assert_eq!(
        TrustedProxies::none().client_address("127.0.0.1".parse().unwrap(), &headers).to_string(),
        "127.0.0.1"
    );
}

#[test]
fn entries_are_read_from_the_right_to_the_first_untrusted() {
    assert_eq!(xff("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    assert_eq!(xff("::ffff:10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
    assert_eq!(xff("10.0.0.1", &["1.1.1.1, 198.51.100.1, 10.2.2.2"]), "198.51.100.1");
    assert_eq!(xff("10.0.0.1", &["1.1.1.1", "198.51.100.1,10.2.2.2", "10.3.3.3"]), "198.51.100.1");
    assert_eq!(xff("2001:db8:f::1", &["2001:db8:1::7"]), "2001:db8:1::7");
    assert_eq!(xff("10.0.0.1", &["198.51.100.1:4711"]), "198.51.100.1");
    assert_eq!(xff("10.0.0.1", &["[2001:db8::7]:4711"]), "2001:db8::7");
    assert_eq!(xff("10.0.0.1", &["[2001:db8::7]"]), "2001:db8::7");
    // All of them proxies: the farthest is the client.
    assert_eq!(xff("10.0.0.1", &["10.9.9.9, 10.2.2.2"]), "10.9.9.9");
    assert_eq!(xff("10.0.0.1", &[]), "10.0.0.1");
}

#[test]
fn ac_13_an_unreadable_entry_yields_the_peer_and_never_an_error() {
    for bad in [
        "",
        "unknown",
        "10.1.1.1,",
        ",",
        "1.2.3",
        "1.2.3.4.5",
        "999.1.1.1",
        "_hidden",
        "1.2.3.4 5",
        "[::1",
        "évil",
    ] {
        assert_eq!(xff("10.0.0.1", &[bad]), "10.0.0.1", "{bad}");
    }
    assert_eq!(xff("10.0.0.1", &["198.51.100.1, unknown, 10.2.2.2"]), "10.0.0.1");
    // What stands left of the first untrusted address is the client's own writing and is never looked at.
    assert_eq!(xff("10.0.0.1", &["%00garbage, 198.51.100.1"]), "198.51.100.1");
    let many = vec!["10.1.1.1"; MAX_FORWARDED_HOPS + 1].join(",");
    assert_eq!(xff("10.0.0.1", &[&many]), "10.0.0.1");
}

#[test]
fn forwarded_is_read_by_rfc_7239() {
    let fwd = |values: &[&str]| client("10.0.0.1", "forwarded", values);
    assert_eq!(fwd(&["for=198.51.100.1"]), "198.51.100.1");
    assert_eq!(fwd(&["For=\"[2001:db8:cafe::17]:4711\";proto=https"]), "2001:db8:cafe::17");
    assert_eq!(fwd(&["for=1.1.1.1, for=198.51.100.1;by=203.0.113.43, for=10.2.2.2"]), "198.51.100.1");
    for bad in ["for=unknown", "for=_obf", "by=1.1.1.1", "for=1.1.1.1;for=2.2.2.2", "for", "for=\"1.1.1.1"] {
        assert_eq!(fwd(&[bad]), "10.0.0.1", "{bad}");
    }
}

#[test]
fn only_the_configured_header_is_read() {
    let proxies = TrustedProxies::parse(&["10.0.0.0/8"], ForwardedBy::XForwardedFor).unwrap();
    let headers = [
        (header::FORWARDED, HeaderValue::from_static("for=203.0.113.66")),
        ("x-forwarded-for".parse().unwrap(), HeaderValue::from_static("198.51.100.1")),
    ];
    let client = proxies.client_address("10.0.0.1".parse().unwrap(), &headers.into_iter().collect());
    assert_eq!(client.to_string(), "198.51.100.1");
}

#[test]
fn a_wrong_network_is_named() {
    let error = TrustedProxies::parse(&["10.0.0.0/8", "10.0.0.0/33"], ForwardedBy::default()).unwrap_err();
    assert_eq!(error.to_string(), "'10.0.0.0/33' is neither an IP address nor a network such as 10.0.0.0/8");
}

#[test]
fn a_user_agent_is_cut_and_tamed() {
    let agent = |bytes: &[u8]| {
        let value = HeaderValue::from_bytes(bytes).unwrap();
        user_agent(&[(header::USER_AGENT, value)].into_iter().collect()).unwrap()
    };
    assert_eq!(agent(b"curl/8\twith tab"), "curl/8 with tab");
    assert_eq!(agent(b"\xff"), "\u{fffd}");
    let long = "é".repeat(MAX_USER_AGENT_BYTES);
    assert_eq!(agent(long.as_bytes()).len(), MAX_USER_AGENT_BYTES);
    assert_eq!(user_agent(&HeaderMap::new()), None);
}

/// A moment that does not pass.
struct Still(i64);

impl keyreeve_base::Clock for Still {
    fn now(&self) -> keyreeve_base::Timestamp {
        keyreeve_base::Timestamp::from_micros(self.0)
    }
}

struct Nothing;

impl keyreeve_base::Random for Nothing {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(0);
    }
}

fn ids_at(micros: i64) -> RequestIds {
    RequestIds::new(&World::new(Arc::new(Still(micros)), Arc::new(Nothing)))
}

#[test]
fn request_identifiers_differ_and_do_not_count_up() {
    let ids = RequestIds { next: AtomicU64::new(u64::MAX - 5000), ..ids_at(1) };
    let made: Vec<_> = (0..10_000).map(|_| ids.next()).collect();
    let distinct: std::collections::BTreeSet<_> = made.iter().map(RequestId::as_str).collect();
    assert_eq!(distinct.len(), made.len());
    assert!(made.iter().all(|id| id.as_str().len() == 16));
    // Neighbours differ in about half of their bits.
    let flipped: u32 = (0..1000).map(|n| (mixed(n) ^ mixed(n + 1)).count_ones()).sum();
    assert!((30_000..34_000).contains(&flipped), "{flipped}");
}

#[test]
fn request_identifiers_of_one_moment_stand_together() {
    let now = 1_800_000_000_000_000;
    let of = |micros| URL_SAFE_NO_PAD.decode(ids_at(micros).next().as_str()).unwrap();
    let (first, second, later) = (of(now), of(now + 1), of(now + 5_000));
    assert_eq!(first[..5], second[..5]);
    assert!(first[..5] < later[..5] && first[..4] == later[..4]);
}

proptest! {
    #[test]
    fn ac_13_any_header_yields_an_address(text in "[0-9a-f:.,\\[\\] \"=;for]{0,60}|[ -~]{0,60}") {
        let line = text.as_str();
        for header in ["x-forwarded-for", "forwarded"] {
            prop_assert!(client("10.0.0.1", header, &[line]).parse::<IpAddr>().is_ok());
            prop_assert_eq!(client("192.0.2.1", header, &[line]), "192.0.2.1");
        }
    }

    #[test]
    fn ac_13_no_client_can_choose_its_address(text in "[ -~]{0,60}") {
        // The proxy appends what it sees, to the same line or as a line of its own.
        let appended = format!("{text},198.51.100.1");
        prop_assert_eq!(xff("10.0.0.1", &[&appended]), "198.51.100.1");
        prop_assert_eq!(xff("10.0.0.1", &[&text, "198.51.100.1"]), "198.51.100.1");
    }
}
