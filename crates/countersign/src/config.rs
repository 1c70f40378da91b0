//! What the program runs on: every value checked, in the type it is used in. `config_file.rs` says how it is written down.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use countersign_core::forwarded::Family;
use countersign_core::id::UpstreamName;
use countersign_core::network::Network;
use countersign_core::request_view::Scheme;
use countersign_core::routes::RouteSpec;
use countersign_core::signature::Profile;
use http::HeaderName;
use http::uri::Authority;

use crate::config_check;
use crate::config_error::BadConfig;

/// One whole configuration. Holds no secret: secrets come from a file or the environment when they are needed.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where requests come in. One for now; never empty.
    pub listeners: Vec<Listener>,
    /// Where the operator comes in.
    pub admin: Admin,
    /// The directory of the database, the claim log and what is generated.
    pub data: PathBuf,
    /// Where the key comes from that encrypts secrets at rest.
    pub master_key: MasterKeySource,
    /// Threads of the data path, one runtime each.
    pub threads: NonZeroUsize,
    /// What one request, one connection and all of them together may cost.
    pub limits: Limits,
    /// The APIs behind the gateway.
    pub upstreams: BTreeMap<UpstreamName, Upstream>,
    /// The routes in the order of the file. They do not contradict each other.
    pub routes: Vec<RouteSpec>,
    /// The signature profiles that rules name, and those that the file names; the native one always.
    pub profiles: Arc<[Profile]>,
    /// Logins, access tokens and refresh tokens.
    pub tokens: Tokens,
    /// How the upstream is told who came.
    pub identity_headers: IdentityHeaders,
    /// How the log is written.
    pub log: LogFormat,
}

impl Config {
    /// Checks a text that stands for the file at `path`; relative paths in it start at the directory of `path`.
    ///
    /// # Errors
    /// The text is not TOML, or says something that cannot be used.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, BadConfig> {
        let surroundings = config_check::Surroundings::of_file(path);
        config_check::check(&path.display().to_string(), text, &surroundings).map(|checked| checked.config)
    }

    /// The routes, to build a table of.
    pub fn route_specs(&self) -> Vec<RouteSpec> {
        self.routes.clone()
    }
}

/// A socket that takes requests.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The address to bind.
    pub address: SocketAddr,
    /// The scheme under which clients reach this listener when no trusted proxy says otherwise.
    pub public_scheme: Scheme,
    /// The peers whose word about the client is taken.
    pub trusted_proxies: Vec<Network>,
    /// Which header trusted proxies speak in.
    pub client_address_from: ClientAddressFrom,
}

/// Where the client's address is read when the peer is a trusted proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAddressFrom {
    /// Always the peer of the connection.
    #[default]
    Connection,
    /// `X-Forwarded-For`, with `X-Forwarded-Proto`.
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

impl ClientAddressFrom {
    /// The same as the core says it.
    pub const fn family(self) -> Family {
        match self {
            Self::Connection => Family::None,
            Self::XForwardedFor => Family::XForwardedFor,
            Self::Forwarded => Family::Forwarded,
        }
    }
}

/// Where the operator comes in.
#[derive(Debug, Clone)]
pub struct Admin {
    /// The address of the admin API; loopback unless the file names the danger.
    pub address: SocketAddr,
    /// The local socket of the command line.
    pub socket: PathBuf,
}

/// Where the master key comes from. The key itself is read once, at start, by `master_key.rs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterKeySource {
    /// A file that must be there, readable by its owner only.
    File(PathBuf),
    /// The environment variable `COUNTERSIGN_MASTER_KEY`.
    Environment,
    /// A file that is made with mode 0600 when it is not there.
    Generated(PathBuf),
}

/// What one request, one connection and all of them together may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Header lines of a request.
    pub headers: usize,
    /// How long a request head may take to arrive.
    pub head_time: Duration,
    /// How long a connection may wait for its next request.
    pub idle_time: Duration,
    /// How long a body may pause.
    pub body_idle_time: Duration,
    /// A signed body up to this size is read whole and checked before anything is forwarded.
    pub signed_body_bytes: u64,
    /// All bodies that are held in memory, together.
    pub body_budget_bytes: u64,
    /// A large signed body without a declared digest, on disk; 0 switches spooling off.
    pub spool_bytes: u64,
    /// All spooled bodies together.
    pub spool_total_bytes: u64,
    /// Open connections from clients.
    pub connections: usize,
    /// Remembered nonces per signing secret.
    pub nonces_per_key: usize,
    /// How long requests under way may take once the process is told to stop.
    pub drain_time: Duration,
    /// Threads that hash passwords.
    pub hashing_threads: NonZeroUsize,
    /// Logins that wait for a hashing thread; the next is answered 429.
    pub hashing_queue: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            headers: 100,
            head_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            body_idle_time: Duration::from_secs(30),
            signed_body_bytes: 1 << 20,
            body_budget_bytes: 64 << 20,
            spool_bytes: 64 << 20,
            spool_total_bytes: 1 << 30,
            connections: 10_000,
            nonces_per_key: 100_000,
            drain_time: Duration::from_secs(30),
            hashing_threads: cores(),
            hashing_queue: 64,
        }
    }
}

/// The cores that this process may use; 1 when the system does not say.
pub fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// An API behind the gateway, over plain HTTP/1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Host and port; the port is always there.
    pub authority: Authority,
    /// How long connecting may take.
    pub connect_time: Duration,
    /// How long the head of the response may take.
    pub response_time: Duration,
    /// How long an unused connection is kept.
    pub idle_time: Duration,
    /// Unused connections that are kept per data thread.
    pub idle_connections: usize,
}

impl Upstream {
    /// An upstream with the usual limits.
    pub fn at(authority: Authority) -> Self {
        Self {
            authority,
            connect_time: Duration::from_secs(2),
            response_time: Duration::from_secs(60),
            idle_time: Duration::from_secs(4),
            idle_connections: 64,
        }
    }
}

/// Logins, access tokens and refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// The `iss` of access tokens, an URL without query, fragment and trailing slash.
    pub issuer: String,
    /// The `aud` of access tokens.
    pub audience: String,
    /// How long an access token lives.
    pub access_time: Duration,
    /// How long a session may go without a refresh.
    pub refresh_idle_time: Duration,
    /// How long a session lives at most.
    pub session_time: Duration,
    /// How long the immediate predecessor of a refresh token gets the same answer again.
    pub grace_time: Duration,
    /// Where the endpoints are.
    pub paths: TokenPaths,
}

impl Tokens {
    /// The usual token life cycle for `issuer`, with `issuer` as audience.
    pub fn for_issuer(issuer: impl Into<String>) -> Self {
        let issuer = issuer.into();
        Self {
            audience: issuer.clone(),
            issuer,
            access_time: Duration::from_secs(900),
            refresh_idle_time: Duration::from_secs(7 * 86_400),
            session_time: Duration::from_secs(30 * 86_400),
            grace_time: Duration::from_secs(5),
            paths: TokenPaths::default(),
        }
    }
}

/// The reserved paths: answered by the gateway itself, before any route. `None` is switched off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenPaths {
    /// Login and refresh by RFC 6749.
    pub token: Option<String>,
    /// Refresh with both tokens in JSON.
    pub refresh: Option<String>,
    /// Revocation (RFC 7009).
    pub revoke: Option<String>,
    /// Introspection (RFC 7662).
    pub introspect: Option<String>,
    /// End of a session.
    pub logout: Option<String>,
    /// The public keys (RFC 7517).
    pub jwks: Option<String>,
    /// The metadata (RFC 8414).
    pub metadata: Option<String>,
}

impl Default for TokenPaths {
    fn default() -> Self {
        let path = |text: &str| Some(text.to_owned());
        Self {
            token: path("/token"),
            refresh: path("/api/Auth/RefreshToken"),
            revoke: path("/token/revoke"),
            introspect: path("/token/introspect"),
            logout: path("/logout"),
            jwks: path("/.well-known/jwks.json"),
            metadata: path("/.well-known/oauth-authorization-server"),
        }
    }
}

impl TokenPaths {
    /// Every path that is switched on, with the setting that moves it.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("token_path", &self.token),
            ("refresh_path", &self.refresh),
            ("revoke_path", &self.revoke),
            ("introspect_path", &self.introspect),
            ("logout_path", &self.logout),
            ("jwks_path", &self.jwks),
            ("metadata_path", &self.metadata),
        ]
        .into_iter()
        .filter_map(|(setting, path)| path.as_deref().map(|path| (setting, path)))
    }
}

/// The headers in which the upstream is told who came. They differ from each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityHeaders {
    /// The principal's id.
    pub consumer_id: HeaderName,
    /// The principal's name.
    pub consumer_username: HeaderName,
    /// The key id, API key id or session.
    pub credential_identifier: HeaderName,
    /// The scopes, joined by spaces.
    pub consumer_scopes: HeaderName,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        Self {
            consumer_id: HeaderName::from_static("x-consumer-id"),
            consumer_username: HeaderName::from_static("x-consumer-username"),
            credential_identifier: HeaderName::from_static("x-credential-identifier"),
            consumer_scopes: HeaderName::from_static("x-consumer-scopes"),
        }
    }
}

/// How the log is written, to standard error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere.
    #[default]
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}
