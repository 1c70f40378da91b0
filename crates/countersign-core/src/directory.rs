//! Who and what is known: users, clients, and the keys that clients hold. Records as values; the store keeps them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use unicode_normalization::UnicodeNormalization as _;

use crate::id::{AdminKeyId, ApiKeyId, BadId, ClientId, ClientName, KeyId, ProfileName, SecretId, TokenKeyId, UserId};
use crate::now::UnixMillis;
use crate::principal::{Principal, PrincipalId, Scopes};
use crate::secret::CredentialHash;

/// What a user logs in with, in one canonical form: NFKC, lower case, no surrounding white space, 1 to 128 characters.
/// `Bob`, `BOB ` and full-width `ｂob` are one user and one throttle counter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Username(Arc<str>);

impl Username {
    /// The canonical form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Username {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let bad = || BadId { what: "a username (1 to 128 characters without control characters)", text: text.chars().take(80).collect() };
        if text.len() > 1024 {
            return Err(bad());
        }
        // Twice, because lower-casing can leave NFKC.
        let lower: String = text.trim().nfkc().collect::<String>().to_lowercase();
        let name: String = lower.nfkc().collect::<String>().trim().to_owned();
        if (1..=128).contains(&name.chars().count()) && !name.chars().any(char::is_control) { Ok(Self(name.into())) } else { Err(bad()) }
    }
}

impl fmt::Display for Username {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A password hash in PHC string form (`$argon2id$v=19$m=...,t=...,p=...$salt$hash`). Not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(pub Arc<str>);

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

/// A person who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The identity; never used again for another person.
    pub id: UserId,
    /// What the user logs in with; unique.
    pub username: Username,
    /// How the password is checked.
    pub password: PasswordHash,
    /// The scopes that a login gives.
    pub scopes: Scopes,
    /// Whether the user may log in and hold sessions.
    pub enabled: bool,
    /// When the user was added.
    pub created: UnixMillis,
}

impl User {
    /// The user as a principal.
    pub fn principal(&self) -> Principal {
        Principal { id: PrincipalId::User(self.id.clone()), name: self.username.as_str().into() }
    }
}

/// A program or partner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The identity; never used again for another client.
    pub id: ClientId,
    /// What people call it; unique.
    pub name: ClientName,
    /// The scopes that its keys have.
    pub scopes: Scopes,
    /// Whether any of its keys work.
    pub enabled: bool,
    /// When the client was added.
    pub created: UnixMillis,
}

impl Client {
    /// The client as a principal.
    pub fn principal(&self) -> Principal {
        Principal { id: PrincipalId::Client(self.id.clone()), name: self.name.as_str().into() }
    }
}

/// Bytes encrypted under the master key (`sealed.rs`): nonce, ciphertext and tag. Safe to store, not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sealed(..)")
    }
}

/// One of the up to two live secrets of a signing key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySecret {
    /// Its name, in lists and in the audit log.
    pub id: SecretId,
    /// The secret, encrypted. Bound to `id`, so it cannot be moved to another row.
    pub sealed: Sealed,
    /// When it was made.
    pub created: UnixMillis,
    /// When it stops working, if that is planned.
    pub ends: Option<UnixMillis>,
}

/// A key that signs requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// What the request names.
    pub id: KeyId,
    /// Whose it is.
    pub client: ClientId,
    /// The scheme it is for.
    pub profile: ProfileName,
    /// Whether it works.
    pub enabled: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// Until when refusals of its signatures say what was done wrong.
    pub diagnose_until: Option<UnixMillis>,
    /// The live secrets, oldest first; one or two.
    pub secrets: Vec<KeySecret>,
}

impl SigningKey {
    /// The most secrets that a key has at once.
    pub const MOST_SECRETS: usize = 2;
}

/// A key for scripts and services (`csk_...`), stored as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// Its name, in lists and for the upstream.
    pub id: ApiKeyId,
    /// Whose it is.
    pub client: ClientId,
    /// What people call it.
    pub label: String,
    /// How it is found.
    pub hash: CredentialHash,
    /// Whether it works.
    pub enabled: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// When it stops working, if ever.
    pub expires: Option<UnixMillis>,
}

/// What an admin key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdminScope {
    /// Read everything except secrets.
    Read,
    /// Change allow-lists.
    AllowLists,
    /// Change users and end sessions.
    Users,
    /// Change clients and their keys.
    Clients,
    /// Make and remove admin keys.
    AdminKeys,
}

impl AdminScope {
    /// Every scope.
    pub const ALL: [Self; 5] = [Self::Read, Self::AllowLists, Self::Users, Self::Clients, Self::AdminKeys];

    /// The scope as text: `allow-lists`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::AllowLists => "allow-lists",
            Self::Users => "users",
            Self::Clients => "clients",
            Self::AdminKeys => "admin-keys",
        }
    }
}

impl FromStr for AdminScope {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or_else(|| BadId {
            what: "an admin scope (read, allow-lists, users, clients, admin-keys)",
            text: text.chars().take(80).collect(),
        })
    }
}

/// A key for the admin API (`csa_...`), stored as a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminKey {
    /// Its name, in lists and in the audit log.
    pub id: AdminKeyId,
    /// What people call it.
    pub label: String,
    /// How it is found.
    pub hash: CredentialHash,
    /// What it may do, sorted, without repeats.
    pub scopes: Vec<AdminScope>,
    /// Whether it works.
    pub enabled: bool,
    /// When it was made.
    pub created: UnixMillis,
    /// When it stops working, if ever.
    pub expires: Option<UnixMillis>,
}

/// A key that signs access tokens. Published before it signs and kept after it has stopped, so that no valid token is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenKey {
    /// The `kid`.
    pub id: TokenKeyId,
    /// What it signs with; one key has one algorithm (RFC 8725 section 3.1).
    pub algorithm: TokenAlgorithm,
    /// The private key as PKCS#8, encrypted and bound to `id`.
    pub private: Sealed,
    /// The public key: the uncompressed point (`04 || x || y`) for ES256.
    pub public: Vec<u8>,
    /// When it was made and published.
    pub created: UnixMillis,
    /// From when it signs.
    pub signs_from: UnixMillis,
    /// When it no longer signs, if that is planned.
    pub signs_until: Option<UnixMillis>,
    /// When it no longer verifies either and may be removed.
    pub ends: Option<UnixMillis>,
}

/// How access tokens are signed (RFC 7518 section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
}

impl TokenAlgorithm {
    /// The `alg` value.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
        }
    }
}

/// Everything that decisions need to know of clients and their keys, and of users that may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// All clients.
    pub clients: Vec<Client>,
    /// All signing keys.
    pub signing_keys: Vec<SigningKey>,
    /// All API keys.
    pub api_keys: Vec<ApiKey>,
    /// All admin keys.
    pub admin_keys: Vec<AdminKey>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_username_are_one_user() {
        let bob: Username = "bob".parse().unwrap();
        for spelling in ["Bob", "BOB ", "\u{ff42}ob", " bob\t"] {
            assert_eq!(spelling.parse::<Username>().unwrap(), bob, "{spelling:?}");
        }
        for bad in ["", "   ", "a\0b", "a\nb", &"x".repeat(129)] {
            assert!(bad.parse::<Username>().is_err(), "{bad:?}");
        }
    }
}
