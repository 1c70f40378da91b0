//! Access tokens (RFC 9068): signed here, verified here, and nothing else is taken for one (RFC 8725).
//!
//! A token begins with a header that one of our keys writes, byte by byte, or it is not ours: the header of a stranger is never
//! read. Then its signature is verified, and only then are its claims read. All that is not ours says `invalid_token`; only a
//! token of ours that is too old says so.

use std::sync::Arc;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};

use crate::code::{Code, Refusal};
use crate::directory::TokenAlgorithm;
use crate::id::{ClientName, SessionId, TokenKeyId};
use crate::now::UnixMillis;
use crate::principal::{Principal, PrincipalId, Scopes};
use crate::rule::Kind;
use crate::secret::{SecretBytes, SecretText};
use crate::verified::{Identity, Verified};

/// The longest access token that is looked at, in bytes. Ours have about 600.
pub const MOST_BYTES: usize = 8 * 1024;

/// How far in the future `iat` may be, in seconds: nodes' clocks differ a little.
const IAT_AHEAD: i64 = 60;

/// The media type of access tokens (RFC 9068 section 2.1), as `typ` says it.
const TYP: &str = "at+jwt";

/// What an access token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessClaims {
    /// `iss`: who signed it.
    pub issuer: Arc<str>,
    /// `aud`: whom it is for.
    pub audience: Arc<str>,
    /// `sub` and `preferred_username`: who.
    pub principal: Principal,
    /// `client_id`: the application that logged in.
    pub client: ClientName,
    /// `sid`: the login.
    pub session: SessionId,
    /// `jti`: this token. 1 to 128 characters.
    pub id: String,
    /// `iat`: when it was signed. Whole seconds are kept.
    pub issued: UnixMillis,
    /// `exp`: from when it is no longer good. Whole seconds are kept.
    pub expires: UnixMillis,
    /// `scope`: what it may do.
    pub scopes: Scopes,
}

/// Whose tokens are taken, and for whom they must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    /// `iss`, compared byte by byte.
    pub issuer: Arc<str>,
    /// `aud`, compared byte by byte.
    pub audience: Arc<str>,
}

/// Verifies an access token.
pub fn verify(token: &[u8], ring: &TokenRing, expected: &Expected, now: UnixMillis) -> Result<Verified<Identity>, Refusal> {
    let claims = read(token, ring, expected, now)?;
    // No leeway: the clock that signed it is ours.
    if now >= claims.expires {
        return Err(Code::TokenExpired.into());
    }
    Ok(Verified::new(Identity {
        kind: Kind::Jwt,
        principal: Arc::new(claims.principal),
        credential: claims.session.as_str().into(),
        scopes: Arc::new(claims.scopes),
        session: Some(claims.session),
        expires: Some(claims.expires),
    }))
}

/// Verifies an access token that may have expired, for the endpoint that is shown one beside a refresh token. It says which
/// session it belongs to and nothing more.
pub fn verify_ignoring_expiry(token: &[u8], ring: &TokenRing, expected: &Expected, now: UnixMillis) -> Result<SessionId, Refusal> {
    read(token, ring, expected, now).map(|claims| claims.session)
}

/// The public keys of tokens that may still be shown, by `kid`.
#[derive(Debug, Default)]
pub struct TokenRing(Vec<VerifyingKey>);

impl TokenRing {
    /// A ring of these keys.
    pub fn new(keys: Vec<VerifyingKey>) -> Self {
        Self(keys)
    }

    /// The keys, to publish them.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0
    }

    /// The key with whose header `signed` begins, and the claims behind it.
    fn find<'t>(&self, signed: &'t [u8], now: UnixMillis) -> Option<(&VerifyingKey, &'t [u8])> {
        self.0
            .iter()
            .filter(|key| key.ends.is_none_or(|ends| now < ends))
            .find_map(|key| Some((key, signed.strip_prefix(key.begins.as_bytes())?)))
    }
}

/// What the tokens of a key begin with: the header (RFC 7515 section 4), encoded, and a dot. Other nodes and earlier versions
/// write the same: it must stay as it is.
fn beginning(id: &TokenKeyId, algorithm: TokenAlgorithm) -> String {
    let header = format!(r#"{{"typ":"{TYP}","alg":"{}","kid":"{}"}}"#, algorithm.as_str(), id.as_str());
    URL_SAFE_NO_PAD.encode(header) + "."
}

/// A public key: verifies with one algorithm and no other (RFC 8725 section 3.1).
#[derive(Debug)]
pub struct VerifyingKey {
    id: TokenKeyId,
    /// What its tokens begin with.
    begins: String,
    algorithm: TokenAlgorithm,
    point: [u8; 65],
    key: DecodingKey,
    ends: Option<UnixMillis>,
}

impl VerifyingKey {
    /// Reads the public key of a [`crate::directory::TokenKey`]: the uncompressed point. `ends` is when it no longer verifies.
    pub fn new(id: TokenKeyId, algorithm: TokenAlgorithm, public: &[u8], ends: Option<UnixMillis>) -> Result<Self, BadTokenKey> {
        let TokenAlgorithm::Es256 = algorithm;
        let point = <[u8; 65]>::try_from(public).map_err(|_| BadTokenKey)?;
        // A point off the curve is refused here, not at the first token.
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).map_err(|_| BadTokenKey)?;
        Ok(Self { begins: beginning(&id, algorithm), id, algorithm, point, key: DecodingKey::from_ec_der(&point), ends })
    }

    /// The `kid`.
    pub const fn id(&self) -> &TokenKeyId {
        &self.id
    }

    /// The key as a JWK (RFC 7517, RFC 7518 section 6.2).
    pub fn jwk(&self) -> serde_json::Value {
        let (x, y) = self.point.get(1..).unwrap_or_default().split_at(32);
        serde_json::json!({
            "kty": "EC",
            "use": "sig",
            "alg": self.algorithm.as_str(),
            "kid": self.id.as_str(),
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(x),
            "y": URL_SAFE_NO_PAD.encode(y),
        })
    }
}

/// A key that cannot be used: not of its algorithm, or not on its curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token key is not a P-256 key")]
pub struct BadTokenKey;

/// Signs access tokens.
pub struct TokenSigner {
    begins: String,
    key: EncodingKey,
    public: Vec<u8>,
}

impl TokenSigner {
    /// Reads a private key in PKCS#8 (RFC 5958), DER.
    pub fn new(id: &TokenKeyId, private: &SecretBytes) -> Result<Self, BadTokenKey> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, private.expose()).map_err(|_| BadTokenKey)?;
        let begins = beginning(id, TokenAlgorithm::Es256);
        Ok(Self { begins, key: EncodingKey::from_ec_der(private.expose()), public: pair.public_key().as_ref().to_vec() })
    }

    /// The public key: the uncompressed point.
    pub fn public(&self) -> &[u8] {
        &self.public
    }

    /// Signs a token. The random number inside an ECDSA signature is the cryptographic library's own business; it is the one
    /// thing in this crate that does not follow from its arguments.
    pub fn sign(&self, claims: &AccessClaims) -> Result<SecretText, CannotSignToken> {
        let scope = claims.scopes.to_string();
        let written = Written {
            iss: &claims.issuer,
            sub: claims.principal.id.as_str(),
            aud: &claims.audience,
            client_id: claims.client.as_str(),
            exp: claims.expires.seconds(),
            iat: claims.issued.seconds(),
            jti: &claims.id,
            sid: claims.session.as_str(),
            scope: &scope,
            preferred_username: &claims.principal.name,
        };
        let claims = serde_json::to_vec(&written).map_err(|_| CannotSignToken)?;
        let signed = format!("{}{}", self.begins, URL_SAFE_NO_PAD.encode(claims));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.key, Algorithm::ES256).map_err(|_| CannotSignToken)?;
        Ok(SecretText::new(format!("{signed}.{signature}")))
    }
}

/// The cryptographic library refused to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cannot sign the access token")]
pub struct CannotSignToken;

#[derive(Serialize)]
struct Written<'c> {
    iss: &'c str,
    sub: &'c str,
    aud: &'c str,
    client_id: &'c str,
    exp: i64,
    iat: i64,
    jti: &'c str,
    sid: &'c str,
    scope: &'c str,
    preferred_username: &'c str,
}

/// The claims of our tokens, each there and each of its type. A claim that is not known here could be a limit that a newer
/// node has put on the token, so it is refused.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ShownClaims {
    iss: String,
    sub: String,
    aud: Audience,
    client_id: String,
    exp: i64,
    iat: i64,
    jti: String,
    sid: String,
    scope: String,
    preferred_username: String,
}

/// RFC 7519 section 4.1.3: a string, or an array of strings.
#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// Exactly ours: a token that is also for somebody else could be replayed here by them.
    fn is(&self, expected: &str) -> bool {
        match self {
            Self::One(one) => one == expected,
            Self::Many(many) => matches!(many.as_slice(), [one] if one == expected),
        }
    }
}

/// Everything but the expiry.
fn read(token: &[u8], ring: &TokenRing, expected: &Expected, now: UnixMillis) -> Result<AccessClaims, Refusal> {
    let (signed, signature) = split(token).ok_or_else(|| not_one(token))?;
    // With the header the key is found, and with the key the algorithm: nothing of it is up to who sent the token.
    let Some((key, payload)) = ring.find(signed, now) else {
        // A quote in front, or a line that was broken in the header.
        return Err(not_one(token.get(..96).unwrap_or(token)));
    };
    let TokenAlgorithm::Es256 = key.algorithm;
    let signature = std::str::from_utf8(signature).map_err(|_| Code::InvalidToken)?;
    if !jsonwebtoken::crypto::verify(signature, signed, &key.key, Algorithm::ES256).unwrap_or(false) {
        return Err(not_one(token));
    }
    let text = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Code::InvalidToken)?;
    let shown: ShownClaims = json(&text).ok_or(Code::InvalidToken)?;
    if shown.iss != *expected.issuer || !shown.aud.is(&expected.audience) {
        return Err(Code::InvalidToken.into());
    }
    claims(shown, expected, now).ok_or_else(|| Code::InvalidToken.into())
}

/// The refusal of what cannot be read, or was not signed by us.
fn not_one(token: &[u8]) -> Refusal {
    // Without branches, so that the compiler looks at many bytes at once.
    let plain = |byte: u8| {
        let letter_or_digit = ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10);
        letter_or_digit | (byte == b'-') | (byte == b'_') | (byte == b'.')
    };
    if token.iter().fold(true, |good, byte| good & plain(*byte)) {
        return Code::InvalidToken.into();
    }
    Refusal::with(Code::InvalidToken, "the token holds something else than letters, digits, - _ and the dots between its parts")
}

fn claims(shown: ShownClaims, expected: &Expected, now: UnixMillis) -> Option<AccessClaims> {
    let in_order = 0 <= shown.iat && shown.iat < shown.exp && shown.iat <= now.seconds().saturating_add(IAT_AHEAD);
    let sized = (1..=128).contains(&shown.jti.len()) && !shown.preferred_username.is_empty();
    if !in_order || !sized {
        return None;
    }
    Some(AccessClaims {
        issuer: Arc::clone(&expected.issuer),
        audience: Arc::clone(&expected.audience),
        principal: Principal { id: shown.sub.parse::<PrincipalId>().ok()?, name: shown.preferred_username.into() },
        client: shown.client_id.parse().ok()?,
        session: shown.sid.parse().ok()?,
        id: shown.jti,
        issued: UnixMillis::from_seconds(shown.iat),
        expires: UnixMillis::from_seconds(shown.exp),
        scopes: shown.scope.parse().ok()?,
    })
}

/// What is signed and the signature of a compact JWS (RFC 7515 section 7.1), and nothing that only looks like one: the claims and
/// the signature are decoded strictly later, so that they hold no padding and no further dot.
fn split(token: &[u8]) -> Option<(&[u8], &[u8])> {
    if token.len() > MOST_BYTES {
        return None;
    }
    // An ES256 signature has 64 bytes (RFC 7518 section 3.4): 86 characters.
    let (signed, signature) = token.split_at_checked(token.len().checked_sub(86)?)?;
    Some((signed.strip_suffix(b".")?, signature))
}

/// Strict: UTF-8, an object (serde would fill a struct from an array too), each member once.
fn json<'t, T: Deserialize<'t>>(text: &'t [u8]) -> Option<T> {
    if text.first() != Some(&b'{') {
        return None;
    }
    // Looked at once for all strings in it.
    serde_json::from_str(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests;
