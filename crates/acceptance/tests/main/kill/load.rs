//! What the server is kept busy with, and the ledger of what it has acknowledged.

use crate::program::wire::{Answer, Client, Lost, Wire};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

pub const CALLBACK: &str = "https://app.example/cb";
/// RFC 7636 appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Who and what the load acts for.
pub struct Cast {
    /// Signs users in.
    pub portal: Client,
    /// Acts for itself.
    pub robot: Client,
    /// One user for each worker that signs in: their attempts do not stand in each other's way.
    pub users: Vec<(String, String)>,
}

/// A browser that has been signed in.
#[derive(Clone)]
pub struct Session {
    pub cookies: String,
}

/// A grant with everything that it was ever represented by.
#[derive(Clone)]
pub struct Family {
    pub code: String,
    /// Refresh tokens that were exchanged for the next one.
    pub spent: Vec<String>,
    pub refresh_token: String,
    pub access_token: String,
}

/// What was under way when the server died.
pub enum InFlight {
    Code(String),
    Refresh(Family),
    /// The family is not to be found alive whether or not the revocation was done; it may be.
    Revocation(Family),
}

/// Everything that the server has acknowledged, and what it owes an answer for.
#[derive(Default)]
pub struct Ledger {
    pub sessions: Mutex<Vec<Session>>,
    pub families: Mutex<Vec<Family>>,
    pub revoked: Mutex<Vec<Family>>,
    pub in_flight: Mutex<Vec<InFlight>>,
    /// Admissions of clients that act for themselves.
    pub robots: Count,
    pub sign_ins: Count,
    /// Redemptions of codes that are certain to have happened.
    pub codes: AtomicUsize,
    /// Rotations that are certain to have happened.
    pub rotations: AtomicUsize,
}

/// How often something was acknowledged, and how often no answer came.
#[derive(Default)]
pub struct Count {
    pub acknowledged: AtomicUsize,
    pub lost: AtomicUsize,
}

impl Count {
    fn note<T>(&self, answer: Result<T, Lost>) -> Result<T, Lost> {
        let counter = if answer.is_ok() { &self.acknowledged } else { &self.lost };
        counter.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

impl Ledger {
    /// What has happened so far, for whoever reads a failure.
    pub fn summary(&self) -> String {
        let of = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        format!(
            "{} sign-ins ({} unanswered), {} tokens of clients ({}), {} codes, {} rotations; {} grants live, {} over, {} to settle",
            of(&self.sign_ins.acknowledged),
            of(&self.sign_ins.lost),
            of(&self.robots.acknowledged),
            of(&self.robots.lost),
            of(&self.codes),
            of(&self.rotations),
            self.families.lock().unwrap().len(),
            self.revoked.lock().unwrap().len(),
            self.in_flight.lock().unwrap().len(),
        )
    }
}

fn push<T>(list: &Mutex<Vec<T>>, item: T) {
    list.lock().unwrap().push(item);
}

/// Signs a user in through the page.
pub async fn sign_in(wire: &mut Wire, user: &(String, String)) -> Result<Session, Lost> {
    let page = wire.get("/signin", "").await?.expect(200);
    let browser = page.cookie("browser");
    let marker = "name=\"csrf\" value=\"";
    let token = page.body.split_once(marker).and_then(|(_, rest)| rest.split_once('"')).unwrap().0;
    let form = [("csrf", token), ("username", &user.0), ("password", &user.1)];
    let answer = wire.post("/signin", &browser, &form).await?.expect(303);
    Ok(Session { cookies: format!("{browser}; {}", answer.cookie("session")) })
}

/// Whether a session is live: the sign-in page then has nothing to do.
pub async fn is_live(wire: &mut Wire, session: &Session) -> bool {
    let answer = wire.get("/signin", &session.cookies).await.unwrap();
    match answer.status.as_u16() {
        303 => answer.location.unwrap().ends_with("/account"),
        200 => false,
        _ => panic!("{answer:?}"),
    }
}

/// Redeems a code.
pub async fn redeem(wire: &mut Wire, cast: &Cast, code: &str) -> Result<Answer, Lost> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    wire.call("/token", &cast.portal, &form).await
}

/// Uses a refresh token.
pub async fn refresh(wire: &mut Wire, cast: &Cast, token: &str) -> Result<Answer, Lost> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", token)];
    wire.call("/token", &cast.portal, &form).await
}

/// Revokes a refresh token.
async fn revoke(wire: &mut Wire, cast: &Cast, token: &str) -> Result<Answer, Lost> {
    wire.call("/revoke", &cast.portal, &[("token", token)]).await
}

/// A new code for somebody who is signed in.
async fn authorize(wire: &mut Wire, cast: &Cast, session: &Session) -> Result<String, Lost> {
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs([
            ("client_id", cast.portal.id.as_str()),
            ("response_type", "code"),
            ("scope", "openid profile"),
            ("redirect_uri", CALLBACK),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .finish();
    let answer = wire.get(&format!("/authorize?{query}"), &session.cookies).await?.expect(303);
    let location = url::Url::parse(answer.location.as_deref().unwrap()).unwrap();
    let code = location.query_pairs().find(|(name, _)| name == "code");
    Ok(code.unwrap_or_else(|| panic!("{answer:?}")).1.into_owned())
}

impl Family {
    pub fn of_code(code: String, answer: &Answer) -> Self {
        Self {
            code,
            spent: Vec::new(),
            refresh_token: answer.text("refresh_token"),
            access_token: answer.text("access_token"),
        }
    }

    /// The family after its refresh token was exchanged.
    pub fn rotated(mut self, answer: &Answer) -> Self {
        self.spent.push(std::mem::replace(&mut self.refresh_token, answer.text("refresh_token")));
        self.access_token = answer.text("access_token");
        self
    }
}

/// A cheap sequence of numbers that look random; each worker has its own.
pub struct Dice(AtomicU64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// One of `sides` numbers from 0.
    pub fn roll(&self, sides: u64) -> u64 {
        // SplitMix64.
        let mut bits = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % sides
    }
}

/// Signs in over and over, until the server dies.
pub async fn keep_signing_in(address: SocketAddr, cast: &Cast, ledger: &Ledger, user: usize) -> Lost {
    let run = async {
        let mut wire = Wire::open(address).await?;
        loop {
            let session = ledger.sign_ins.note(sign_in(&mut wire, &cast.users[user]).await)?;
            push(&ledger.sessions, session);
        }
    };
    ended(run.await)
}

/// Gets a client's own tokens over and over, until the server dies.
pub async fn keep_robots_going(address: SocketAddr, cast: &Cast, ledger: &Ledger) -> Lost {
    let run = async {
        let mut wire = Wire::open(address).await?;
        loop {
            let form = [("grant_type", "client_credentials")];
            let answer = ledger.robots.note(wire.call("/token", &cast.robot, &form).await)?;
            answer.expect(200);
        }
    };
    ended(run.await)
}

/// Begins grants, rotates their refresh tokens and ends some, until the server dies.
pub async fn keep_granting(
    address: SocketAddr,
    (cast, ledger): (&Cast, &Ledger),
    session: Session,
    dice: Dice,
) -> Lost {
    let run = async {
        let mut wire = Wire::open(address).await?;
        loop {
            let idle = ledger.families.lock().unwrap().len() as u64;
            if dice.roll(3) == 0 || idle == 0 {
                begin(&mut wire, cast, ledger, &session).await?;
                continue;
            }
            let which = usize::try_from(dice.roll(idle)).unwrap();
            let family = {
                let mut families = ledger.families.lock().unwrap();
                // Another worker may have taken some meanwhile.
                if which >= families.len() {
                    continue;
                }
                families.swap_remove(which)
            };
            if dice.roll(12) == 0 {
                end(&mut wire, cast, ledger, family).await?;
            } else {
                rotate(&mut wire, cast, ledger, family).await?;
            }
        }
    };
    ended(run.await)
}

async fn begin(wire: &mut Wire, cast: &Cast, ledger: &Ledger, session: &Session) -> Result<(), Lost> {
    let code = authorize(wire, cast, session).await?;
    match redeem(wire, cast, &code).await {
        Ok(answer) => {
            ledger.codes.fetch_add(1, Ordering::Relaxed);
            push(&ledger.families, Family::of_code(code, &answer.expect(200)));
            Ok(())
        }
        Err(lost) => {
            push(&ledger.in_flight, InFlight::Code(code));
            Err(lost)
        }
    }
}

async fn rotate(wire: &mut Wire, cast: &Cast, ledger: &Ledger, family: Family) -> Result<(), Lost> {
    match refresh(wire, cast, &family.refresh_token).await {
        Ok(answer) => {
            ledger.rotations.fetch_add(1, Ordering::Relaxed);
            push(&ledger.families, family.rotated(&answer.expect(200)));
            Ok(())
        }
        Err(lost) => {
            push(&ledger.in_flight, InFlight::Refresh(family));
            Err(lost)
        }
    }
}

async fn end(wire: &mut Wire, cast: &Cast, ledger: &Ledger, family: Family) -> Result<(), Lost> {
    match revoke(wire, cast, &family.refresh_token).await {
        Ok(answer) => {
            answer.expect(200);
            push(&ledger.revoked, family);
            Ok(())
        }
        Err(lost) => {
            push(&ledger.in_flight, InFlight::Revocation(family));
            Err(lost)
        }
    }
}

fn ended(run: Result<std::convert::Infallible, Lost>) -> Lost {
    match run {
        Err(lost) => lost,
        Ok(never) => match never {},
    }
}
