//! Where a request came from: the peer's address, or what a trusted proxy says about it; and the request's identifier.
//!
//! Nothing here fails. Whatever cannot be understood yields the peer's own address, so that every later check has an
//! address to count by (ABUSE-CASES AC-13), and what a client writes into a header never reaches past the first hop
//! that is not trusted.

use crate::limits::MAX_FORWARDED_HOPS;
use crate::problem::Problem;
use axum::extract::{ConnectInfo, FromRequestParts};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use ipnet::IpNet;
use keyreeve_base::origin::MAX_USER_AGENT_BYTES;
use keyreeve_base::{Origin, World};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which header the trusted proxies write. The other one is never read: a proxy that does not write it passes on
/// whatever the client put there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ForwardedBy {
    /// `X-Forwarded-For`, the common one.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// The proxies whose word about the client's address is taken. By default none.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    header: ForwardedBy,
}

/// An entry of the configured list is neither an address nor a network in CIDR notation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is neither an IP address nor a network such as 10.0.0.0/8")]
pub struct NetworkError(pub String);

impl TrustedProxies {
    /// No proxy: the peer's address is the client's.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// The proxies with these addresses or networks, which write `header`.
    ///
    /// # Errors
    /// [`NetworkError`] names the first entry that is neither.
    pub fn parse<T: AsRef<str>>(networks: &[T], header: ForwardedBy) -> Result<Self, NetworkError> {
        let network = |text: &str| {
            let text = text.trim();
            text.parse::<IpNet>()
                .or_else(|_| text.parse::<IpAddr>().map(IpNet::from))
                .map_err(|_| NetworkError(text.to_owned()))
        };
        let networks = networks.iter().map(|text| network(text.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { networks, header })
    }

    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// The client's address: the peer's, unless the peer is trusted; then the right-most address that is not, read
    /// from the header. When an entry on the way there is not an address, the peer's.
    #[must_use]
    pub fn client_address(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let peer = peer.to_canonical();
        if !self.trusts(peer) {
            return peer;
        }
        match self.header {
            ForwardedBy::XForwardedFor => {
                let lines = headers.get_all("x-forwarded-for").iter().rev();
                self.walk(peer, lines.map(HeaderValue::as_bytes), address_of)
            }
            ForwardedBy::Forwarded => {
                let lines = headers.get_all(header::FORWARDED).iter().rev();
                self.walk(peer, lines.map(HeaderValue::as_bytes), forwarded_for)
            }
        }
    }

    /// Walks the entries from the right to the first one that is not trusted.
    fn walk<'h>(
        &self,
        peer: IpAddr,
        lines: impl Iterator<Item = &'h [u8]>,
        read: fn(&str) -> Option<IpAddr>,
    ) -> IpAddr {
        let mut farthest = peer;
        let entries = lines.flat_map(|line| line.rsplit(|&byte| byte == b','));
        for (hop, entry) in entries.enumerate() {
            let address = std::str::from_utf8(entry).ok().and_then(|entry| read(entry.trim()));
            match address {
                Some(address) if hop < MAX_FORWARDED_HOPS => farthest = address,
                _ => return peer,
            }
            if !self.trusts(farthest) {
                break;
            }
        }
        farthest
    }
}

/// An address as proxies write it: `192.0.2.1`, `192.0.2.1:4711`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:4711`.
fn address_of(text: &str) -> Option<IpAddr> {
    let bare =
        || text.strip_prefix('[')?.strip_suffix(']')?.parse::<std::net::Ipv6Addr>().ok().map(IpAddr::from);
    text.parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))
        .or_else(bare)
        .map(|address| address.to_canonical())
}

/// The `for` parameter of one element of `Forwarded` (RFC 7239 section 4). A comma or semicolon inside a quoted string
/// tears the element apart and makes it unreadable, which no address needs.
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let mut found = None;
    for pair in element.split(';') {
        let (name, value) = pair.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("for") && found.replace(value.trim()).is_some() {
            return None;
        }
    }
    let value = found?;
    let unquoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    address_of(unquoted.unwrap_or(value))
}

/// The identifier of one request: 16 characters of base64url, made here and never taken from outside. It tells
/// requests apart in logs; it is no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestId([u8; 16]);

impl RequestId {
    /// The text of the identifier.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// Makes request identifiers: 40 bits of the time, in units of 1,024 microseconds, and 56 of a counter that starts at
/// random, its bits mixed so that two identifiers do not show how many requests lay between them. The time comes first
/// so that entries of the audit log, which bear the identifier and are found by it, stand side by side in that index as
/// they were made: an index over random values is written anew in as many places as there are entries. Asking the
/// generator each time would cost a fiftieth of a small request.
#[derive(Debug)]
pub struct RequestIds {
    world: World,
    next: AtomicU64,
}

impl RequestIds {
    /// A source with a start of its own.
    #[must_use]
    pub fn new(world: &World) -> Self {
        Self { world: world.clone(), next: AtomicU64::new(u64::from_be_bytes(world.random_bytes())) }
    }

    /// An identifier that this source has not made before.
    #[must_use]
    pub fn next(&self) -> RequestId {
        let [_, _, _, t0, t1, t2, t3, t4] = (self.world.now().micros() >> 10).to_be_bytes();
        let [_, c1, c2, c3, c4, c5, c6, c7] = mixed(self.next.fetch_add(1, Ordering::Relaxed)).to_be_bytes();
        let mut text = [0; 16];
        // Twelve bytes make exactly sixteen characters, so this cannot fail.
        let bytes = [t0, t1, t2, t3, t4, c1, c2, c3, c4, c5, c6, c7];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        debug_assert_eq!(written, Ok(16));
        RequestId(text)
    }
}

/// One-to-one on 64 bits: each step (xor with a right shift of itself, product with an odd number) can be undone.
const fn mixed(counter: u64) -> u64 {
    let once = (counter ^ (counter >> 31)).wrapping_mul(0xa3ec_6476_5935_9acd);
    let twice = (once ^ (once >> 29)).wrapping_mul(0x9e6f_0d2b_3c5b_8ad5);
    twice ^ (twice >> 32)
}

/// What [`crate::front::Front`] knows of a request; kept in its extensions.
#[derive(Clone)]
pub(crate) struct RequestContext {
    pub(crate) id: RequestId,
    pub(crate) proxies: Arc<TrustedProxies>,
}

/// The origin of the request, as an argument of a handler. Made only where one asks for it.
#[derive(Debug, Clone)]
pub struct ClientOrigin(pub Origin);

impl<S: Sync> FromRequestParts<S> for ClientOrigin {
    type Rejection = Problem;

    /// Fails only when the server is wired wrongly (no [`crate::front::Front`] around the router).
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get::<RequestContext>();
        let context = context.ok_or_else(|| Problem::of(StatusCode::INTERNAL_SERVER_ERROR))?;
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(Origin {
            address: peer.map(|peer| context.proxies.client_address(peer.0.ip(), &parts.headers)),
            user_agent: user_agent(&parts.headers),
            request_id: Some(context.id.as_str().to_owned()),
        }))
    }
}

/// The `User-Agent`, cut, control characters replaced (it goes into logs; AC-61).
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::USER_AGENT)?;
    let mut kept = String::with_capacity(value.len().min(MAX_USER_AGENT_BYTES));
    for c in String::from_utf8_lossy(value.as_bytes()).chars() {
        if kept.len() + c.len_utf8() > MAX_USER_AGENT_BYTES {
            break;
        }
        kept.push(if c.is_control() { ' ' } else { c });
    }
    Some(kept)
}

#[cfg(test)]
#[path = "origin_tests.rs"]
mod tests;
