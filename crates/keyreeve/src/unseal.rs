//! A server whose master key is split: it listens, and answers nothing but its health, until enough shares have come.
//!
//! A share is judged when it comes, by the digests in the marker that stands where the key was; so nobody can spoil a
//! gathering, and nothing that a stranger may send takes a share away again or begins anything (ABUSE-CASES AC-57). What
//! was gathered is gone with the process. How often somebody may try is bounded for each address.

use crate::Error;
use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use keyreeve_base::{TenantId, World};
use keyreeve_crypto::Secret;
use keyreeve_crypto::seal::{MasterKey, Share, SplitError, SplitPlan};
use keyreeve_http::problem::Problem;
use keyreeve_http::rate::Limiter;
use serde::Deserialize;
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use uuid::Uuid;

/// Where shares are handed in.
pub const PATH: &str = "/unseal";
/// How often one address may hand in a share, in a minute.
const PER_MINUTE: u32 = 60;
/// The longest body that is looked at, in bytes.
const MAX_BODY_BYTES: usize = 2_048;

/// The shares that have come so far. Cheap to clone.
#[derive(Clone)]
pub struct Gathering(Arc<Inner>);

struct Inner {
    plan: SplitPlan,
    shares: Mutex<Vec<Share>>,
    enough: watch::Sender<bool>,
    limiter: Limiter,
}

/// How far a gathering is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gathered {
    /// How many different shares have come.
    pub gathered: usize,
    /// How many are wanted.
    pub threshold: u8,
    /// How many there are.
    pub shares: usize,
}

impl Gathered {
    /// As it is told.
    #[must_use]
    pub fn to_json(self) -> Value {
        let sealed = self.gathered < usize::from(self.threshold);
        json!({"sealed": sealed, "gathered": self.gathered, "threshold": self.threshold, "shares": self.shares})
    }
}

impl Gathering {
    /// Nothing has come yet.
    #[must_use]
    pub fn new(plan: SplitPlan, world: World) -> Self {
        let limiter = Limiter::new(world, PER_MINUTE);
        Self(Arc::new(Inner { plan, shares: Mutex::default(), enough: watch::Sender::new(false), limiter }))
    }

    /// How far it is.
    #[must_use]
    pub fn so_far(&self) -> Gathered {
        Gathered {
            gathered: self.shares().len(),
            threshold: self.0.plan.threshold(),
            shares: self.0.plan.shares(),
        }
    }

    /// Takes a share. One that has come before changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&self, text: &str) -> Result<Gathered, SplitError> {
        let share = self.0.plan.accept(text)?;
        let mut shares = self.shares();
        if shares.len() < usize::from(self.0.plan.threshold())
            && shares.iter().all(|known| known.number() != share.number())
        {
            tracing::info!(
                number = share.number(),
                gathered = shares.len().saturating_add(1),
                "a share of the master key came"
            );
            shares.push(share);
        }
        let enough = shares.len() >= usize::from(self.0.plan.threshold());
        drop(shares);
        if enough {
            self.0.enough.send_replace(true);
        }
        Ok(self.so_far())
    }

    /// Ready when enough shares have come.
    pub async fn complete(&self) {
        // The sender is here.
        let _ = self.0.enough.subscribe().wait_for(|enough| *enough).await;
    }

    /// The key that the shares give; forgets them.
    ///
    /// # Errors
    /// [`Error::MasterKey`].
    pub fn key(&self) -> Result<MasterKey, Error> {
        let shares = std::mem::take(&mut *self.shares());
        self.0.plan.join(&shares).map_err(|error| Error::MasterKey(error.to_string()))
    }

    /// The split.
    #[must_use]
    pub fn plan(&self) -> &SplitPlan {
        &self.0.plan
    }

    fn shares(&self) -> MutexGuard<'_, Vec<Share>> {
        self.0.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a sealed server answers.
    pub fn router(&self) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route(PATH, post(hand_in).get(tell))
            .fallback(sealed)
            .method_not_allowed_fallback(sealed)
            .with_state(self.clone())
    }
}

async fn sealed() -> Response {
    let wait = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
    let problem = Problem::of(StatusCode::SERVICE_UNAVAILABLE)
        .detail("the server is sealed: shares of its master key are awaited");
    (wait, problem).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HandedIn {
    share: Secret,
}

async fn tell(State(gathering): State<Gathering>) -> Response {
    answer(&gathering.so_far())
}

async fn hand_in(
    State(gathering): State<Gathering>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    body: Bytes,
) -> Response {
    let nobody = TenantId::from_uuid(Uuid::nil());
    if gathering.0.limiter.count(nobody, as_uuid(peer.ip())).is_err() {
        let wait = [(header::RETRY_AFTER, HeaderValue::from_static("60"))];
        return (wait, Problem::of(StatusCode::TOO_MANY_REQUESTS)).into_response();
    }
    if body.len() > MAX_BODY_BYTES {
        return Problem::of(StatusCode::PAYLOAD_TOO_LARGE).into_response();
    }
    let Ok(handed) = serde_json::from_slice::<HandedIn>(&body) else {
        return Problem::of(StatusCode::BAD_REQUEST)
            .detail("wanted is {\"share\": \"krs1-…\"}")
            .into_response();
    };
    match gathering.take(handed.share.expose()) {
        Ok(so_far) => answer(&so_far),
        Err(error) => {
            tracing::warn!(%error, peer = %peer.ip(), "a share of the master key was refused");
            let problem = Problem::of(StatusCode::UNPROCESSABLE_ENTITY).detail("the share cannot be taken");
            problem.error("/share", error.to_string()).into_response()
        }
    }
}

fn answer(so_far: &Gathered) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], axum::Json(so_far.to_json())).into_response()
}

fn as_uuid(address: IpAddr) -> Uuid {
    match address {
        // A household has 64 bits of addresses to itself.
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            Uuid::from_u128(u128::from(address) & !u128::from(u64::MAX))
        }
        IpAddr::V6(address) => Uuid::from_u128(u128::from(address)),
        IpAddr::V4(address) => Uuid::from_u128(u128::from(address.to_ipv6_mapped())),
    }
}

impl std::fmt::Debug for Gathering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Gathering({:?})", self.so_far())
    }
}
