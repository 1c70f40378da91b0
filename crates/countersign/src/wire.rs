//! What stands in JSON bodies, and how it becomes values of the core. Used by the edges of this crate only: nothing below
//! knows these shapes, and unknown members are refused.

use countersign_core::allow_list::{AllowList, Entry, Methods};
use countersign_core::audit::AuditRow;
use countersign_core::directory::{AdminKey, ApiKey, Client, SigningKey, User};
use countersign_core::now::UnixMillis;
use countersign_core::principal::Scopes;
use countersign_core::refresh::Session;
use countersign_core::secret::SecretText;
use countersign_store::Use;
use serde::{Deserialize, Deserializer, Serialize};

/// A moment as people read it: RFC 3339 in UTC.
pub fn time(at: UnixMillis) -> String {
    jiff::Timestamp::from_millisecond(at.millis()).map_or_else(|_beyond| at.to_string(), |at| at.to_string())
}

/// Reads RFC 3339 with any offset.
pub fn parse_time(text: &str) -> Option<UnixMillis> {
    text.parse::<jiff::Timestamp>().ok().map(|at| UnixMillis::from_millis(at.as_millisecond()))
}

fn times(at: Option<UnixMillis>) -> Option<String> {
    at.map(time)
}

fn scopes(scopes: &Scopes) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

// The token endpoints.

/// RFC 6749 section 5.1.
#[derive(Serialize)]
pub struct OAuthTokens<'a> {
    pub access_token: &'a str,
    pub token_type: &'static str,
    pub expires_in: u64,
    pub refresh_token: &'a str,
    pub scope: &'a str,
}

/// The answer of `/api/Auth/RefreshToken`.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct PairTokens<'a> {
    pub access_token: &'a str,
    pub refresh_token: &'a str,
    pub token_type: &'static str,
    pub expires_in: u64,
}

/// RFC 6749 section 5.2, with members of ours.
#[derive(Serialize)]
pub struct OAuthError<'a> {
    pub error: &'static str,
    pub error_description: &'a str,
    pub code: &'static str,
    pub request_id: &'a str,
}

// What the admin API reads. Text stays text here; `admin_api` parses it into values and names the field that is wrong.

/// A secret in a body.
pub struct SecretIn(pub SecretText);

impl<'de> Deserialize<'de> for SecretIn {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from).map(|text| Self(SecretText::new(text)))
    }
}

/// `POST /users`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    pub username: String,
    pub password: SecretIn,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// `PATCH /users/{username}`: one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    pub enabled: Option<bool>,
    pub password: Option<SecretIn>,
    pub scopes: Option<Vec<String>>,
}

/// `POST /clients`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewClient {
    pub name: String,
    #[serde(default)]
    pub scopes: Vec<String>,
}

/// `PATCH` of what can be switched on and off.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnabledPatch {
    pub enabled: bool,
}

/// `POST /clients/{id}/signing-keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSigningKey {
    pub id: Option<String>,
    pub profile: Option<String>,
    /// A secret that the partner or the service has already; one is made when absent.
    pub secret: Option<SecretIn>,
}

/// `PATCH /signing-keys/{id}`: one of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SigningKeyPatch {
    pub enabled: Option<bool>,
    /// For how long refusals of its signatures say what was done wrong; 0 ends it.
    pub diagnose_seconds: Option<u64>,
}

/// `POST /signing-keys/{id}/secrets`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSecret {
    /// How long the old secret goes on working; a day when absent.
    pub overlap_seconds: Option<u64>,
    /// A secret that the partner or the service has already; one is made when absent.
    pub secret: Option<SecretIn>,
}

/// `POST /explain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToExplain {
    pub profile: String,
    pub method: String,
    /// `https` when absent.
    pub scheme: Option<String>,
    pub target: String,
    /// Names and values, in order; Host among them.
    pub headers: Vec<(String, String)>,
    pub body: Option<String>,
    pub body_base64: Option<String>,
    /// The key, when the scheme names none.
    pub key_id: Option<String>,
    /// Unix seconds to judge at; now when absent.
    pub at: Option<i64>,
    /// What the caller signed: says where it differs first.
    pub string_to_sign: Option<String>,
}

/// `POST /clients/{id}/api-keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewApiKey {
    #[serde(default)]
    pub label: String,
    pub expires: Option<String>,
}

/// `POST /admin-keys`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAdminKey {
    #[serde(default)]
    pub label: String,
    pub scopes: Vec<String>,
    pub expires: Option<String>,
}

/// `POST /allow-lists`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewList {
    pub name: String,
}

/// `POST` and `PUT` of an entry; what a merge patch is applied to.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EntryIn {
    pub network: String,
    #[serde(default)]
    pub methods: Vec<String>,
    pub path: Option<String>,
    pub principal: Option<String>,
    #[serde(default)]
    pub note: String,
    pub valid_from: Option<String>,
    pub valid_until: Option<String>,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Says that a very wide network is meant.
    #[serde(default, skip_serializing, alias = "confirm_any")]
    pub wide: bool,
}

const fn yes() -> bool {
    true
}

impl EntryIn {
    /// An entry as it would have been sent.
    pub fn of(entry: &Entry) -> Self {
        Self {
            network: entry.network.to_string(),
            methods: methods(&entry.methods),
            path: entry.path.as_ref().map(ToString::to_string),
            principal: entry.principal.as_ref().map(ToString::to_string),
            note: entry.note.clone(),
            valid_from: times(entry.valid_from),
            valid_until: times(entry.valid_until),
            enabled: entry.enabled,
            wide: false,
        }
    }
}

fn methods(methods: &Methods) -> Vec<String> {
    methods.iter().map(str::to_owned).collect()
}

// What the admin API answers. No secret has a place here except in `Shown`.

/// One page of a list.
#[derive(Serialize)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// What to send as `after` for the next page; null when this is the last.
    pub next: Option<String>,
}

/// Something that was made together with its secret, which is shown now and never again.
#[derive(Serialize)]
pub struct Shown<'a, T> {
    #[serde(flatten)]
    pub made: T,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<&'a str>,
}

/// A user.
#[derive(Serialize)]
pub struct UserOut {
    pub id: String,
    pub username: String,
    pub scopes: Vec<String>,
    pub enabled: bool,
    pub created: String,
}

impl From<&User> for UserOut {
    fn from(user: &User) -> Self {
        Self {
            id: user.id.to_string(),
            username: user.username.to_string(),
            scopes: scopes(&user.scopes),
            enabled: user.enabled,
            created: time(user.created),
        }
    }
}

/// A client.
#[derive(Serialize)]
pub struct ClientOut {
    pub id: String,
    pub name: String,
    pub scopes: Vec<String>,
    pub enabled: bool,
    pub created: String,
}

impl From<&Client> for ClientOut {
    fn from(client: &Client) -> Self {
        Self {
            id: client.id.to_string(),
            name: client.name.to_string(),
            scopes: scopes(&client.scopes),
            enabled: client.enabled,
            created: time(client.created),
        }
    }
}

/// How often something was used.
#[derive(Serialize, Default)]
pub struct Used {
    pub uses: u64,
    pub last_used: Option<String>,
}

impl Used {
    /// What was counted for `id`.
    pub fn of(id: &str, counted: &[Use]) -> Self {
        let counted = counted.iter().find(|counted| counted.id == id);
        counted.map(|counted| Self { uses: counted.count, last_used: Some(time(counted.last)) }).unwrap_or_default()
    }
}

/// A signing key, without its secrets' text.
#[derive(Serialize)]
pub struct SigningKeyOut {
    pub id: String,
    pub client: String,
    pub profile: String,
    pub enabled: bool,
    pub created: String,
    /// Until when refusals of its signatures say what was done wrong.
    pub diagnose_until: Option<String>,
    pub secrets: Vec<SecretOut>,
}

/// What is known of a secret without knowing it.
#[derive(Serialize)]
pub struct SecretOut {
    pub id: String,
    pub created: String,
    pub ends: Option<String>,
    #[serde(flatten)]
    pub used: Used,
}

impl SigningKeyOut {
    /// A key with what was counted for its secrets.
    pub fn of(key: &SigningKey, counted: &[Use]) -> Self {
        let secret = |secret: &countersign_core::directory::KeySecret| SecretOut {
            id: secret.id.to_string(),
            created: time(secret.created),
            ends: times(secret.ends),
            used: Used::of(secret.id.as_str(), counted),
        };
        Self {
            id: key.id.to_string(),
            client: key.client.to_string(),
            diagnose_until: key.diagnose_until.map(time),
            profile: key.profile.to_string(),
            enabled: key.enabled,
            created: time(key.created),
            secrets: key.secrets.iter().map(secret).collect(),
        }
    }
}

/// An API key, without its text.
#[derive(Serialize)]
pub struct ApiKeyOut {
    pub id: String,
    pub client: String,
    pub label: String,
    pub enabled: bool,
    pub created: String,
    pub expires: Option<String>,
    #[serde(flatten)]
    pub used: Used,
}

impl ApiKeyOut {
    /// A key with what was counted for it.
    pub fn of(key: &ApiKey, counted: &[Use]) -> Self {
        Self {
            id: key.id.to_string(),
            client: key.client.to_string(),
            label: key.label.clone(),
            enabled: key.enabled,
            created: time(key.created),
            expires: times(key.expires),
            used: Used::of(key.id.as_str(), counted),
        }
    }
}

/// An admin key, without its text.
#[derive(Serialize)]
pub struct AdminKeyOut {
    pub id: String,
    pub label: String,
    pub scopes: Vec<&'static str>,
    pub enabled: bool,
    pub created: String,
    pub expires: Option<String>,
}

impl From<&AdminKey> for AdminKeyOut {
    fn from(key: &AdminKey) -> Self {
        Self {
            id: key.id.to_string(),
            label: key.label.clone(),
            scopes: key.scopes.iter().map(|scope| scope.as_str()).collect(),
            enabled: key.enabled,
            created: time(key.created),
            expires: times(key.expires),
        }
    }
}

/// A session.
#[derive(Serialize)]
pub struct SessionOut {
    pub id: String,
    pub user: String,
    pub client: String,
    pub scopes: Vec<String>,
    pub opened: String,
    pub expires: String,
}

impl From<&Session> for SessionOut {
    fn from(session: &Session) -> Self {
        Self {
            id: session.id.to_string(),
            user: session.user.to_string(),
            client: session.client.to_string(),
            scopes: scopes(&session.scopes),
            opened: time(session.opened),
            expires: time(session.expires),
        }
    }
}

/// An allow-list, without its entries.
#[derive(Serialize)]
pub struct ListOut {
    pub name: String,
    pub version: u64,
    pub created: String,
    pub entries: usize,
}

impl From<&AllowList> for ListOut {
    fn from(list: &AllowList) -> Self {
        Self { name: list.name.to_string(), version: list.version, created: time(list.created), entries: list.entries.len() }
    }
}

/// An entry of an allow-list.
#[derive(Serialize)]
pub struct EntryOut {
    pub id: String,
    pub list: String,
    pub version: u64,
    #[serde(flatten)]
    pub content: EntryIn,
    pub created_by: String,
    pub created: String,
    #[serde(flatten)]
    pub used: Used,
}

impl EntryOut {
    /// An entry with what was counted for it.
    pub fn of(entry: &Entry, counted: &[Use]) -> Self {
        Self {
            id: entry.id.to_string(),
            list: entry.list.to_string(),
            version: entry.version,
            content: EntryIn::of(entry),
            created_by: entry.created_by.clone(),
            created: time(entry.created),
            used: Used::of(entry.id.as_str(), counted),
        }
    }
}

/// A row of the audit log.
#[derive(Serialize)]
pub struct AuditOut {
    pub number: u64,
    pub at: String,
    pub actor: String,
    pub action: String,
    pub target: String,
    pub detail: serde_json::Value,
    pub request_id: Option<String>,
    pub hash: String,
}

impl From<&AuditRow> for AuditOut {
    fn from(row: &AuditRow) -> Self {
        let mut hash = String::with_capacity(64);
        countersign_core::secret::push_hex(&mut hash, &row.hash);
        Self {
            number: row.number,
            at: time(row.at),
            actor: row.actor.clone(),
            action: row.action.clone(),
            target: row.target.clone(),
            detail: row.detail.clone(),
            request_id: row.request.clone(),
            hash,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_utc_and_read_with_any_offset() {
        let noon = parse_time("2026-11-23T13:00:00+01:00").unwrap();
        assert_eq!(time(noon), "2026-11-23T12:00:00Z");
        assert_eq!(parse_time("2026-11-23T12:00:00.250Z").unwrap().millis() - noon.millis(), 250);
        for bad in ["", "tomorrow", "2026-11-23", "2026-11-23T12:00:00", "1764000000"] {
            assert_eq!(parse_time(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn members_that_nobody_knows_are_refused() {
        assert!(serde_json::from_str::<EntryIn>(r#"{"network":"10.0.0.0/8","enable":false}"#).is_err());
        assert!(serde_json::from_str::<EntryIn>(r#"{"network":"10.0.0.0/8"}"#).unwrap().enabled);
    }
}
