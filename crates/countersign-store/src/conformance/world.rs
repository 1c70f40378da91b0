//! The world that store cases run in: two of everything, no empty field.

use countersign_core::allow_list::{AllowList, Entry};
use countersign_core::audit::{Actor, AuditEvent};
use countersign_core::directory::{
    AdminKey, AdminScope, ApiKey, Client, Directory, KeySecret, PasswordHash, Sealed, SigningKey, TokenAlgorithm, TokenKey, User,
};
use countersign_core::id::{ListName, SessionId};
use countersign_core::network::Network;
use countersign_core::now::UnixMillis;
use countersign_core::refresh::{RefreshToken, Session};
use countersign_core::secret::CredentialHash;

use super::StoreBackend;
use crate::{Added, FoundRefresh, LoginReservation, NewSession, OpenOutcome, SharedStore, Use};

/// When the world is.
pub const NOW: UnixMillis = UnixMillis::from_seconds(1_800_000_000);
/// A year before.
pub const BEFORE: UnixMillis = UnixMillis::from_seconds(1_768_464_000);
/// A month after.
pub const LATER: UnixMillis = UnixMillis::from_seconds(1_802_592_000);

pub fn seconds(after: u64) -> UnixMillis {
    NOW.plus(std::time::Duration::from_secs(after))
}

pub fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub fn hash(n: u8) -> CredentialHash {
    CredentialHash([n; 32])
}

/// An audit event that a case's act tells of.
pub fn event() -> AuditEvent {
    AuditEvent {
        at: seconds(7),
        actor: Actor::AdminKey(parsed("ad_0000000000000001")),
        action: "case.ran",
        target: "something".into(),
        detail: serde_json::json!({ "why": "a test", "number": 3 }),
        request: Some(parsed("rq_0000000000000007")),
    }
}

pub fn network(n: u8) -> Network {
    parsed(&format!("192.0.2.{n}/32"))
}

pub fn user(n: u8) -> User {
    User {
        id: parsed(&format!("us_000000000000000{n}")),
        username: parsed(["ann", "bob", "cleo", "dora"][usize::from(n) % 4]),
        password: PasswordHash(format!("$argon2id$v=19$m=19456,t=2,p=1$salt{n}$hash{n}").into()),
        scopes: parsed(&format!("read user:{n}")),
        enabled: true,
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
    }
}

pub fn session(n: u8, of: u8) -> Session {
    Session {
        id: parsed(&format!("si_000000000000000{n}")),
        user: user(of).id,
        client: parsed("app"),
        scopes: parsed("read"),
        opened: NOW,
        expires: LATER,
        ended: None,
    }
}

pub fn opened(n: u8, of: u8) -> NewSession {
    NewSession { session: session(n, of), token: token(n), password: user(of).password, network: network(of), rehashed: None }
}

pub fn token(n: u8) -> RefreshToken {
    RefreshToken { hash: hash(n), session: session(n, 0).id, issued: NOW, expires: seconds(86_400), used: None }
}

pub fn client(n: u8) -> Client {
    Client {
        id: parsed(&format!("cl_000000000000000{n}")),
        name: parsed(["acme", "borg", "cyberdyne", "dunder"][usize::from(n) % 4]),
        scopes: parsed(&format!("orders client:{n}")),
        enabled: true,
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
    }
}

pub fn secret(n: u8) -> KeySecret {
    KeySecret {
        id: parsed(&format!("se_000000000000000{n}")),
        sealed: Sealed(vec![n, 0, 255, n]),
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        ends: Some(LATER.plus(std::time::Duration::from_secs(n.into()))),
    }
}

/// With two secrets.
pub fn signing_key(n: u8, of: u8) -> SigningKey {
    SigningKey {
        id: parsed(&format!("ck_000000000000000{n}")),
        client: client(of).id,
        profile: parsed("v3.0"),
        enabled: true,
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        diagnose_until: (n % 2 == 1).then_some(LATER),
        secrets: vec![secret(n * 2), secret(n * 2 + 1)],
    }
}

pub fn api_key(n: u8, of: u8) -> ApiKey {
    ApiKey {
        id: parsed(&format!("ak_000000000000000{n}")),
        client: client(of).id,
        label: format!("script {n}"),
        hash: hash(0x40 + n),
        enabled: true,
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        expires: Some(LATER),
    }
}

pub fn admin_key(n: u8) -> AdminKey {
    AdminKey {
        id: parsed(&format!("ad_000000000000000{n}")),
        label: format!("admin {n}"),
        hash: hash(0x60 + n),
        scopes: vec![AdminScope::Read, AdminScope::AllowLists],
        enabled: true,
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        expires: Some(LATER),
    }
}

/// Signs for a day from day `n` on.
pub fn token_key(n: u8) -> TokenKey {
    let day = |n: u8| seconds(u64::from(n) * 86_400);
    TokenKey {
        id: parsed(&format!("tk_000000000000000{n}")),
        algorithm: TokenAlgorithm::Es256,
        private: Sealed(vec![n; 40]),
        public: vec![4, n, n],
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        signs_from: day(n),
        signs_until: Some(day(n + 1)),
        ends: Some(LATER),
    }
}

pub fn list(n: u8) -> ListName {
    parsed(["office", "partners", "vpn", "wifi"][usize::from(n) % 4])
}

pub fn entry(n: u8, of: u8) -> Entry {
    Entry {
        id: parsed(&format!("en_000000000000000{n}")),
        list: list(of),
        version: 1,
        network: parsed(&format!("198.51.100.{n}/32")),
        methods: parsed("GET,POST"),
        path: Some(parsed("/api/*/orders")),
        principal: Some(if of == 0 { parsed(user(0).id.as_str()) } else { parsed(client(of).id.as_str()) }),
        note: format!("for the {n}. \"branch\" office"),
        created_by: "admin_key ad_0000000000000001".into(),
        created: BEFORE.plus(std::time::Duration::from_secs(n.into())),
        valid_from: Some(BEFORE),
        valid_until: Some(LATER),
        enabled: true,
    }
}

/// A store with two of everything: users 0 and 1 with sessions 0 and 1, clients 0 and 1 with a signing key and an API key each,
/// admin keys 0 and 1, token keys 0 and 1, lists 0 and 1 with two entries each (0 and 2, 1 and 3), uses of the entries.
pub struct World {
    pub store: SharedStore,
}

impl World {
    pub async fn new(backend: &impl StoreBackend) -> Self {
        let store = backend.open().await;
        let added = |outcome| assert!(matches!(outcome, Added::Added(_)), "{outcome:?}");
        for n in [0, 1] {
            added(store.add_user(&user(n), &event()).await.unwrap());
            let reserved = store.reserve_login(&user(n).username, network(n), NOW).await.unwrap();
            assert_eq!(reserved, LoginReservation::Reserved(Some(user(n))));
            assert!(matches!(store.open_session(&opened(n, n), &event()).await.unwrap(), OpenOutcome::Opened(_)));
            added(store.add_client(&client(n), &event()).await.unwrap());
            added(store.add_signing_key(&signing_key(n, n), &event()).await.unwrap());
            added(store.add_api_key(&api_key(n, n), &event()).await.unwrap());
            added(store.add_admin_key(&admin_key(n), &event()).await.unwrap());
            added(store.add_token_key(&token_key(n), &event()).await.unwrap());
            added(store.add_allow_list(&list(n), BEFORE, &event()).await.unwrap());
            for m in [n, n + 2] {
                added(store.add_entry(&entry(m, n), &event()).await.unwrap());
                store.record_uses(&[Use { id: entry(m, n).id.to_string(), count: 5, last: NOW }]).await.unwrap();
            }
        }
        Self { store }
    }

    /// Drops the store and opens it again.
    pub async fn reopened(self, backend: &impl StoreBackend) -> Self {
        drop(self.store);
        Self { store: backend.open().await }
    }

    /// Reads everything there is.
    pub async fn everything(&self) -> Everything {
        let mut tokens = Vec::new();
        for n in 0..=255 {
            tokens.extend(self.store.find_refresh(hash(n)).await.unwrap().map(|found| (n, found)));
        }
        Everything {
            revision: self.store.revision().await.unwrap().0,
            audited: self.store.list_audit(0, 10_000).await.unwrap().len(),
            directory: self.store.load_directory().await.unwrap(),
            lists: self.store.load_allow_lists().await.unwrap(),
            users: self.store.list_users(None, 1000).await.unwrap(),
            sessions: self.store.list_sessions(None, NOW, 1000).await.unwrap(),
            ended: self.store.load_ended_sessions(NOW, std::time::Duration::from_secs(900)).await.unwrap(),
            tokens,
            token_keys: self.store.load_token_keys().await.unwrap(),
            uses: self.store.load_uses().await.unwrap(),
        }
    }

    /// Everything must be as expected.
    #[track_caller]
    pub fn is(&self, expected: Everything) -> impl Future<Output = ()> {
        let at = std::panic::Location::caller();
        async move {
            let found = self.everything().await;
            assert!(found == expected, "at {at}: found {found:#?}\nexpected {expected:#?}");
        }
    }
}

/// Everything that a store holds, as its methods tell it.
#[derive(Debug, Clone, PartialEq)]
pub struct Everything {
    pub revision: u64,
    pub audited: usize,
    pub directory: Directory,
    pub lists: Vec<AllowList>,
    pub users: Vec<User>,
    /// The open ones.
    pub sessions: Vec<Session>,
    pub ended: Vec<SessionId>,
    /// By the byte their hash is made of.
    pub tokens: Vec<(u8, FoundRefresh)>,
    pub token_keys: Vec<TokenKey>,
    pub uses: Vec<Use>,
}

impl Everything {
    /// One change that was told of.
    pub fn changed(&mut self) -> &mut Self {
        self.revision += 1;
        self.audited += 1;
        self
    }

    /// The session is over, for everything that tells of it.
    pub fn session_ended(&mut self, id: &SessionId, at: UnixMillis) {
        self.sessions.retain(|session| session.id != *id);
        self.ended.push(id.clone());
        self.ended.sort();
        for (_, found) in self.tokens.iter_mut().filter(|(_, found)| found.session.id == *id) {
            found.session.ended = Some(at);
            if let Some(spent) = &mut found.token.used {
                spent.answer = None;
            }
        }
    }

    pub fn token(&mut self, n: u8) -> &mut FoundRefresh {
        &mut self.tokens.iter_mut().find(|(found, _)| *found == n).unwrap().1
    }
}
