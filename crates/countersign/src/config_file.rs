//! What the configuration file says, value by value with its place. `config_check.rs` makes a [`Config`](crate::config::Config)
//! of it.
//!
//! Every table refuses keys that it does not know. Units are in the names: `_seconds`, `_bytes`.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The data directory; `countersign-data` when absent. Relative paths start at the file's own directory.
    pub data: Option<Spanned<String>>,
    /// A file with the master key.
    pub master_key_file: Option<Spanned<String>>,
    /// Data threads, 1 to 256; as many as cores when absent.
    pub threads: Option<Spanned<i64>>,
    /// Where requests come in.
    #[serde(default)]
    pub listener: Vec<Spanned<ListenerTable>>,
    /// Where the operator comes in.
    #[serde(default)]
    pub admin: AdminTable,
    /// What things may cost.
    #[serde(default)]
    pub limits: LimitsTable,
    /// The APIs behind the gateway, by name.
    #[serde(default)]
    pub upstream: BTreeMap<Spanned<String>, Spanned<UpstreamTable>>,
    /// The routes.
    #[serde(default)]
    pub route: Vec<Spanned<RouteTable>>,
    /// Signature profiles that are not built in, or have constants.
    #[serde(default)]
    pub profile: Vec<Spanned<ProfileTable>>,
    /// Logins and tokens.
    #[serde(default)]
    pub tokens: TokensTable,
    /// How the upstream is told who came.
    #[serde(default)]
    pub identity_headers: IdentityHeadersTable,
    /// The log.
    #[serde(default)]
    pub log: LogTable,
}

/// `[[listener]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListenerTable {
    /// `address:port`.
    pub address: Spanned<String>,
    /// `http` or `https`; `http` when absent.
    pub public_scheme: Option<Spanned<String>>,
    /// Networks whose word about the client is taken.
    #[serde(default)]
    pub trusted_proxies: Vec<Spanned<String>>,
    /// `connection`, `x-forwarded-for` or `forwarded`; `connection` when absent.
    pub client_address_from: Option<Spanned<String>>,
}

/// `[admin]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminTable {
    /// `address:port`; `127.0.0.1:8081` when absent.
    pub address: Option<Spanned<String>>,
    /// The local socket; `control/countersign.sock` in the data directory when absent.
    pub socket: Option<Spanned<String>>,
    /// Allows an address that other machines can reach.
    #[serde(default)]
    pub danger_admin_on_network: bool,
}

/// `[limits]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsTable {
    /// 1024 to 65000.
    pub head_bytes: Option<Spanned<i64>>,
    /// 10 to 1000.
    pub headers: Option<Spanned<i64>>,
    /// 1 to 300.
    pub head_seconds: Option<Spanned<i64>>,
    /// 1 to 3600.
    pub idle_seconds: Option<Spanned<i64>>,
    /// 1 to 3600.
    pub body_idle_seconds: Option<Spanned<i64>>,
    /// 0 to 1 GiB.
    pub signed_body_bytes: Option<Spanned<i64>>,
    /// 1 MiB to 1 TiB, at least `signed_body_bytes`.
    pub body_budget_bytes: Option<Spanned<i64>>,
    /// 0 to 1 TiB.
    pub spool_bytes: Option<Spanned<i64>>,
    /// 0 to 1 PiB, at least `spool_bytes`.
    pub spool_total_bytes: Option<Spanned<i64>>,
    /// 1 to 1000000.
    pub connections: Option<Spanned<i64>>,
    /// 100 to 100000000.
    pub nonces_per_key: Option<Spanned<i64>>,
    /// 0 to 3600.
    pub drain_seconds: Option<Spanned<i64>>,
    /// 1 to 256.
    pub hashing_threads: Option<Spanned<i64>>,
    /// 0 to 100000.
    pub hashing_queue: Option<Spanned<i64>>,
    /// 1 to 100000.
    pub control_requests: Option<Spanned<i64>>,
}

/// `[upstream.NAME]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTable {
    /// `http://host:port`.
    pub url: Spanned<String>,
    /// 1 to 60.
    pub connect_seconds: Option<Spanned<i64>>,
    /// 1 to 3600.
    pub response_seconds: Option<Spanned<i64>>,
    /// 0 to 3600.
    pub idle_seconds: Option<Spanned<i64>>,
    /// 0 to 10000.
    pub idle_connections: Option<Spanned<i64>>,
}

/// `[[profile]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileTable {
    /// A built-in profile.
    pub name: Option<Spanned<String>>,
    /// A file of the operator's own.
    pub file: Option<Spanned<String>>,
    /// Values of its constants.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// `[[route]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteTable {
    /// One host, or `*.suffix`; any host when absent.
    pub host: Option<Spanned<String>>,
    /// One path pattern or several.
    pub path: Spanned<OneOrMany>,
    /// The methods; all when absent.
    pub methods: Option<Vec<Spanned<String>>>,
    /// The rule.
    pub require: Option<Spanned<String>>,
    /// To where.
    pub upstream: Option<Spanned<String>>,
    /// `self-check`: the gateway answers itself, and says what it found.
    pub answer: Option<Spanned<String>>,
    /// Answers 404 to everything that matches.
    pub refuse: Option<Spanned<bool>>,
    /// Checks of the request that this route relaxes, by their code.
    #[serde(default)]
    pub allow: Vec<Spanned<String>>,
    /// Headers that may come with a signed request although no signature covers them.
    #[serde(default)]
    pub allow_unsigned_headers: Vec<Spanned<String>>,
    /// The key of signatures that name none.
    pub signing_key: Option<Spanned<String>>,
    /// Passes credentials on that the gateway has checked.
    pub forward_credentials: Option<Spanned<bool>>,
    /// The largest body, 0 to 1 PiB; no limit when absent.
    pub body_bytes: Option<Spanned<i64>>,
}

/// `"a"` or `["a", "b"]`
#[derive(Debug)]
pub enum OneOrMany {
    /// A string. Its place is that of the whole value.
    One(String),
    /// A list of strings, each with its place.
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        // By hand, because serde's untagged enums buffer and so lose the places inside the list.
        impl<'de> Visitor<'de> for Reader {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany::One(text.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneOrMany, A::Error> {
                let mut many = Vec::new();
                while let Some(one) = list.next_element()? {
                    many.push(one);
                }
                Ok(OneOrMany::Many(many))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// `[tokens]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensTable {
    /// The `iss` claim.
    pub issuer: Option<Spanned<String>>,
    /// The `aud` claim; the issuer when absent.
    pub audience: Option<Spanned<String>>,
    /// 60 to 3600.
    pub access_seconds: Option<Spanned<i64>>,
    /// 60 to 31536000.
    pub refresh_idle_seconds: Option<Spanned<i64>>,
    /// 60 to 31536000, at least `refresh_idle_seconds`.
    pub session_seconds: Option<Spanned<i64>>,
    /// 0 to 60.
    pub grace_seconds: Option<Spanned<i64>>,
    /// A path, or `false`.
    pub token_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub refresh_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub revoke_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub introspect_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub logout_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub jwks_path: Option<Spanned<PathOrOff>>,
    /// A path, or `false`.
    pub metadata_path: Option<Spanned<PathOrOff>>,
}

/// Where an endpoint is, or `false` to switch it off.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a path such as \"/token\", or false to switch the endpoint off")]
pub enum PathOrOff {
    /// `"/token"`
    Path(String),
    /// `false`
    Off(bool),
}

/// `[identity_headers]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityHeadersTable {
    /// `X-Consumer-ID` when absent.
    pub consumer_id: Option<Spanned<String>>,
    /// `X-Consumer-Username` when absent.
    pub consumer_username: Option<Spanned<String>>,
    /// `X-Credential-Identifier` when absent.
    pub credential_identifier: Option<Spanned<String>>,
    /// `X-Consumer-Scopes` when absent.
    pub consumer_scopes: Option<Spanned<String>>,
}

/// `[log]`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogTable {
    /// `auto`, `text` or `json`.
    pub format: Option<Spanned<String>>,
}
