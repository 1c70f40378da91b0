//! What the tests of the control side share: a whole control side on SQLite in a directory of its own, with a clock and dice
//! that the test moves, and a store that can be told to fail.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use countersign_core::id::Revision;
use countersign_core::now::UnixMillis;
use countersign_core::routes::RouteTable;
use countersign_core::sealed::MasterKey;
use countersign_core::secret::SecretBytes;
use countersign_core::signature::Profile;
use countersign_store::SharedStore;
use countersign_store::sqlite::SqliteStore;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower_service::Service as _;

use crate::admin_api::{self, Peer};
use crate::ambient::fixed::{CountingEntropy, FixedClock};
use crate::config::Tokens;
use crate::control::Control;
use crate::faulty_store::FaultyStore;
use crate::hashing::HashingPool;
use crate::publish::Parts;
use crate::snapshot::{Snapshot, TokenTrust};
use crate::token_keys;
use crate::tokens_api;

pub const PASSWORD: &str = "cobalt walrus teapot orbit";
pub const NOW: i64 = 1_800_000_000;

/// A control side under test.
pub struct Bench {
    pub control: Arc<Control>,
    pub clock: Arc<FixedClock>,
    pub dice: Arc<CountingEntropy>,
    pub faults: Arc<FaultyStore>,
    tokens: Router,
    admin: Router,
    _directory: tempfile::TempDir,
}

/// An answer, read whole.
#[derive(Debug)]
pub struct Answered {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answered {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {:?}", String::from_utf8_lossy(&self.body)))
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    pub fn text(&self, name: &str) -> String {
        self.json()[name].as_str().unwrap_or_else(|| panic!("no {name} in {}", self.json())).to_owned()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(4, Tokens::for_issuer("https://gate.example")).await
    }

    /// With so many hashing places, none waiting, and these token settings.
    pub async fn with(hashing: usize, tokens: Tokens) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(&directory.path().join("state.db")).await.unwrap();
        let faults = Arc::new(FaultyStore::new(Arc::new(sqlite)));
        let store: SharedStore = faults.clone();
        let (clock, dice) = (Arc::new(FixedClock::at(NOW)), Arc::new(CountingEntropy::default()));
        let mut key = vec![7; 32];
        key[0] = 1;
        let master = MasterKey::parse(&SecretBytes::new(key)).ok().unwrap();
        let start = Snapshot {
            revision: Revision::default(),
            routes: Arc::new(RouteTable::build(Vec::new()).unwrap()),
            profiles: Arc::new([Profile::native().unwrap()]),
            identity_headers: Arc::default(),
            lists: Arc::default(),
            keys: Arc::default(),
            tokens: Arc::new(TokenTrust::of_nobody(&tokens)),
            ended: Arc::default(),
        };
        let hashing = HashingPool::new(hashing.try_into().unwrap(), 0);
        let control = Control::of(store, clock.clone(), dice.clone(), master, hashing, tokens, start);
        control.publish(Parts::ALL).await.unwrap();
        token_keys::ensure(&control).await.unwrap();
        Self {
            tokens: tokens_api::router(Arc::clone(&control)),
            admin: admin_api::router(Arc::clone(&control)),
            control,
            clock,
            dice,
            faults,
            _directory: directory,
        }
    }

    /// With the user `bob`, who has the scopes `read` and `write`.
    pub async fn with_bob() -> Self {
        let bench = Self::new().await;
        bench.add_user("bob", "read write").await;
        bench
    }

    pub async fn add_user(&self, name: &str, scopes: &str) {
        let scopes: Vec<&str> = scopes.split_whitespace().collect();
        let body = json!({"username": name, "password": PASSWORD, "scopes": scopes});
        let added = self.local("POST", "/users", &body).await;
        assert_eq!(added.status, 201, "{}", added.json());
    }

    /// A request to the token endpoints from 192.0.2.1.
    pub async fn post(&self, path: &str, media_type: &str, body: &str) -> Answered {
        self.post_from("192.0.2.1", path, media_type, body).await
    }

    pub async fn post_from(&self, address: &str, path: &str, media_type: &str, body: &str) -> Answered {
        let request = Request::post(path).header("content-type", media_type).body(Body::from(body.to_owned())).unwrap();
        self.token_request(address, request).await
    }

    pub async fn token_request(&self, address: &str, mut request: Request<Body>) -> Answered {
        request.extensions_mut().insert(address.parse::<IpAddr>().unwrap());
        request.extensions_mut().insert("rq_0000000000000007".parse::<countersign_core::id::RequestId>().unwrap());
        answered(self.tokens.clone().call(request).await.unwrap()).await
    }

    pub async fn form(&self, body: &str) -> Answered {
        self.post("/token", "application/x-www-form-urlencoded", body).await
    }

    pub async fn log_in(&self) -> Answered {
        let answer = self.form(&format!("grant_type=password&username=bob&password={}", PASSWORD.replace(' ', "+"))).await;
        assert_eq!(answer.status, 200, "{}", answer.json());
        answer
    }

    pub async fn refresh(&self, token: &str) -> Answered {
        self.form(&format!("grant_type=refresh_token&refresh_token={token}")).await
    }

    /// A request over the local socket, with a JSON body unless it is null.
    pub async fn local(&self, method: &str, path: &str, body: &Value) -> Answered {
        self.local_with(method, path, body, &[]).await
    }

    pub async fn local_with(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answered {
        self.admin_request(Peer::Local { uid: 1000 }, method, path, body, headers).await
    }

    /// A request over TCP.
    pub async fn tcp(&self, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answered {
        let peer = Peer::Tcp { peer: "127.0.0.1:5000".parse().unwrap(), local: "127.0.0.1:8081".parse().unwrap() };
        self.admin_request(peer, method, path, body, headers).await
    }

    async fn admin_request(&self, peer: Peer, method: &str, path: &str, body: &Value, headers: &[(&str, &str)]) -> Answered {
        let mut request = Request::builder().method(method).uri(format!("/admin/v1{path}"));
        let says_type = headers.iter().any(|(name, _)| *name == "content-type");
        if !body.is_null() && !says_type {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let mut request = request.body(body).unwrap();
        request.extensions_mut().insert(peer);
        answered(self.admin.clone().call(request).await.unwrap()).await
    }

    /// Whether an access token is taken now, as the data path would see it.
    pub fn takes(&self, access: &str) -> bool {
        let live = self.control.publisher.live();
        let now: UnixMillis = self.control.now();
        countersign_core::access_token::verify(access.as_bytes(), &live.tokens.ring, &live.tokens.expected, now)
            .is_ok_and(|verified| verified.get().session.as_ref().is_some_and(|session| !live.ended.contains(session)))
    }

    pub fn forward(&self, seconds: u64) {
        self.clock.forward(Duration::from_secs(seconds));
    }
}

async fn answered(response: http::Response<Body>) -> Answered {
    let (head, body) = response.into_parts();
    Answered { status: head.status, headers: head.headers, body: body.collect().await.unwrap().to_bytes().to_vec() }
}
