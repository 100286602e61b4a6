//! A tenant, the room, and a receiver of messages that answers as it is told.

use keyreeve_audit::{Actor, Entry, Event, Outcome};
use keyreeve_base::{Origin, TenantId};
use keyreeve_crypto::password::{HashPolicy, PoolSize};
use keyreeve_crypto::seal::MasterKey;
use keyreeve_events::Events;
use keyreeve_fetch::{Addresses, FetchOptions, Fetcher, Resolve};
use keyreeve_identity::{Cause, Identity, IdentityOptions, NewTenant, TenantSettings};
use keyreeve_store::{Migration, Store, Tx};
use keyreeve_testkit::{Engine, TestStore, store};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub fn migrations() -> Vec<Migration> {
    [keyreeve_audit::MIGRATIONS, keyreeve_identity::MIGRATIONS, keyreeve_events::MIGRATIONS].concat()
}

/// Every name is this machine.
pub struct Loopback;

impl Resolve for Loopback {
    fn resolve(&self, _host: &str) -> Addresses {
        Box::pin(async { Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]) })
    }
}

pub struct House {
    pub events: Events,
    pub tenant: TenantId,
    pub test: TestStore,
    master: String,
}

fn fetcher(allow_private: bool) -> Fetcher {
    let options = FetchOptions { allow_private, resolver: Arc::new(Loopback), ..FetchOptions::default() };
    Fetcher::new(options).expect("a fetcher")
}

fn room(store: &Store, test: &TestStore, master: &str, allow_private: bool) -> (Events, Identity) {
    let options = IdentityOptions {
        hash_policy: HashPolicy { memory_kib: 64, iterations: 1, parallelism: 1 },
        hash_pool: PoolSize { workers: 1, queue: 4 },
        ..IdentityOptions::default()
    };
    let master = MasterKey::from_text(master).expect("a key");
    let identity = Identity::new(store.clone(), test.world.clone(), master.into(), &options).expect("a room");
    (Events::new(store.clone(), test.world.clone(), identity.clone(), fetcher(allow_private)), identity)
}

impl House {
    pub async fn new(engine: Engine) -> Self {
        Self::with(engine, true).await
    }

    pub async fn with(engine: Engine, allow_private: bool) -> Self {
        let test = store(engine, &migrations()).await;
        let master: String = (0..32_u8).map(|byte| format!("{:02x}", byte.wrapping_mul(37) ^ 0x5a)).collect();
        let (events, identity) = room(&test.store, &test, &master, allow_private);
        let new = NewTenant {
            slug: "default".to_owned(),
            name: "Default".to_owned(),
            settings: TenantSettings::default(),
        };
        let tenant = identity.tenants().create(new, &Cause::operator()).await.expect("a tenant").id;
        let house = Self { events, tenant, test, master };
        house.seal().await;
        house
    }

    /// Another node on the same database.
    pub async fn second(&self) -> Events {
        let store = match self.test.store.engine() {
            Engine::Sqlite => self.test.store.clone(),
            Engine::Postgres => self.test.open_again(&migrations()).await.expect("a second node"),
        };
        room(&store, &self.test, &self.master, true).0
    }

    /// Writes entries, each with its number in the detail, and seals them.
    pub async fn happen(&self, action: &'static str, count: usize) {
        let (world, tenant) = (self.test.world.clone(), self.tenant);
        self.test
            .store
            .write(async move |tx: &mut Tx<'_>| {
                for n in 0..count {
                    let event = Event {
                        tenant,
                        actor: Actor::System,
                        action,
                        target: None,
                        outcome: if action.ends_with("refuse") { Outcome::Refused } else { Outcome::Success },
                        reason: None,
                        origin: &Origin::local(),
                        detail: json!({ "n": n }),
                    };
                    keyreeve_audit::record(tx, &world, &event).await?;
                }
                Ok::<_, keyreeve_store::Error>(())
            })
            .await
            .expect("entries");
        self.seal().await;
    }

    pub async fn seal(&self) {
        while self
            .test
            .store
            .write(async |tx: &mut Tx<'_>| keyreeve_audit::seal(tx).await)
            .await
            .expect("sealing")
            > 0
        {}
    }

    pub async fn entries(&self) -> Vec<Entry> {
        self.seal().await;
        let tenant = self.tenant;
        self.test
            .store
            .scan(async move |tx: &mut Tx<'_>| keyreeve_audit::list(tx, tenant, 0, 1_000).await)
            .await
            .expect("the log")
    }

    /// Lets `events` deliver until `done`, or gives up after ten seconds.
    pub async fn deliver_until<F: Future<Output = bool>>(&self, events: &Events, done: impl Fn() -> F) {
        for _ in 0..500 {
            self.seal().await;
            events.deliver().await.expect("a round");
            if done().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it did not come to pass");
    }
}

/// A request as the receiver got it.
#[derive(Debug, Clone)]
pub struct Received {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    pub fn seq(&self) -> i64 {
        self.json()["data"]["seq"].as_i64().expect("a number")
    }
}

/// A receiver: answers with the statuses that it is told, and 204 when it was told no more; 0 never answers.
#[derive(Clone, Default)]
pub struct Receiver {
    pub port: u16,
    got: Arc<Mutex<Vec<Received>>>,
    answers: Arc<Mutex<VecDeque<u16>>>,
}

impl Receiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self { port, ..Self::default() };
        let own = receiver.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let own = own.clone();
                tokio::spawn(async move { own.answer(socket).await });
            }
        });
        receiver
    }

    pub fn url(&self) -> String {
        format!("http://receiver.test:{}/hook?key=in-the-query", self.port)
    }

    pub fn will_answer(&self, statuses: &[u16]) {
        self.answers.lock().unwrap().extend(statuses);
    }

    /// It takes whatever comes from now on.
    pub fn recovers(&self) {
        self.answers.lock().unwrap().clear();
    }

    pub fn got(&self) -> Vec<Received> {
        self.got.lock().unwrap().clone()
    }

    pub fn seqs(&self) -> Vec<i64> {
        let mut seqs: Vec<i64> = self.got().iter().map(Received::seq).collect();
        seqs.sort_unstable();
        seqs
    }

    async fn answer(&self, mut socket: tokio::net::TcpStream) {
        let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
        let request = loop {
            let read = socket.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return;
            }
            bytes.extend_from_slice(&buffer[..read]);
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let mut lines = head.lines();
            let path = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
            let headers: BTreeMap<String, String> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
                .collect();
            if body.len() >= headers["content-length"].parse().unwrap() {
                break Received { path, headers, body: body.to_owned() };
            }
        };
        self.got.lock().unwrap().push(request);
        let status = self.answers.lock().unwrap().pop_front().unwrap_or(204);
        if status == 0 {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        let location = format!("Location: http://receiver.test:{}/elsewhere\r\n", self.port);
        let answer =
            format!("HTTP/1.1 {status} X\r\n{location}Content-Length: 0\r\nConnection: close\r\n\r\n");
        drop(socket.write_all(answer.as_bytes()).await);
    }
}
