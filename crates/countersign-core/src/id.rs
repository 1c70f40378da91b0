//! The names of things. Every noun has a type of its own, so that one cannot be passed for another.
//! Identifiers are not secret and may be logged.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::fresh::Fresh;

/// The text is not an identifier of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {what}")]
pub struct BadId {
    /// What was expected, in words: `a client id (cl_...)`.
    pub what: &'static str,
    /// The text as it came, cut to 80 characters.
    pub text: String,
}

/// Lower-case letters and digits without those that are mistaken for each other (no `i l o u`).
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 80 random bits as 16 characters after `prefix`, which is three characters long.
fn make(prefix: &str, fresh: Fresh<10>) -> Arc<str> {
    // Every request gets one: on the stack, in two halves that shift in one instruction, and in 32 bytes, which are looked
    // through a word at a time.
    let [a, b, c, d, e, f, g, h, i, j] = fresh.take();
    let halves = [[0, 0, 0, a, b, c, d, e], [0, 0, 0, f, g, h, i, j]].map(u64::from_be_bytes);
    let mut text = [b'0'; 32];
    for (to, from) in text.iter_mut().zip(prefix.bytes()) {
        *to = from;
    }
    let digits = text.get_mut(prefix.len()..).unwrap_or_default();
    for (eight, half) in digits.chunks_exact_mut(8).zip(halves) {
        for (position, to) in (0..8).rev().zip(eight) {
            let index = (half >> (position * 5)) & 31;
            *to = ALPHABET.get(index as usize).copied().unwrap_or(b'0');
        }
    }
    let text = std::str::from_utf8(&text).ok().and_then(|text| text.get(..prefix.len().saturating_add(16)));
    text.unwrap_or(prefix).into()
}

fn bad(what: &'static str, text: &str) -> BadId {
    BadId { what, text: text.chars().take(80).collect() }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// A new identifier from fresh bytes.
            pub fn new(fresh: Fresh<10>) -> Self {
                Self(make($prefix, fresh))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                match text.strip_prefix($prefix) {
                    Some(rest) if (1..=48).contains(&rest.len()) && rest.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) => {
                        Ok(Self(text.into()))
                    }
                    _ => Err(bad($what, text)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

ids! {
    /// An admin key: `ad_` and 16 characters. The key itself is another thing (`csa_...`).
    AdminKeyId "ad_" "an admin key id (ad_...)";
    /// An API key: `ak_` and 16 characters. The key itself is another thing (`csk_...`).
    ApiKeyId "ak_" "an API key id (ak_...)";
    /// A client: a program or a partner.
    ClientId "cl_" "a client id (cl_...)";
    /// An entry of an allow-list.
    EntryId "en_" "an entry id (en_...)";
    /// One secret of a signing key; a key has up to two.
    SecretId "se_" "a secret id (se_...)";
    /// A login, from its first token to its end (the `sid` claim).
    SessionId "si_" "a session id (si_...)";
    /// A key that signs access tokens (the `kid` of its header).
    TokenKeyId "tk_" "a token key id (tk_...)";
    /// A user: a person.
    UserId "us_" "a user id (us_...)";
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident $what:literal $length:expr, $allowed:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let allowed: fn(u8) -> bool = $allowed;
                if $length.contains(&text.len()) && text.bytes().all(allowed) { Ok(Self(text.into())) } else { Err(bad($what, text)) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    )*};
}

const fn slug(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.')
}

names! {
    /// What a client is called: chosen by the operator, unique, shown to the upstream.
    ClientName "a client name (1 to 64 of a-z 0-9 - _ .)" (1..=64), slug;
    /// A key id as a signed request names it. New ones are `ck_` and 16 characters; other schemes bring their own.
    KeyId "a key id (1 to 128 visible ASCII characters without space, comma, quote or backslash)" (1..=128),
        |b| b.is_ascii_graphic() && !matches!(b, b',' | b'"' | b'\'' | b'\\');
    /// An allow-list, as rules name it: `from(partners)`.
    ListName "a list name (1 to 64 of a-z 0-9 - _ .)" (1..=64), slug;
    /// A signature profile, as rules name it: `hmac(v3.0)`.
    ProfileName "a profile name (1 to 64 of a-z 0-9 - _ .)" (1..=64), slug;
    /// One request, in our answer, our logs and the upstream's request. Made by us, never taken from the caller.
    RequestId "a request id" (1..=64), slug;
    /// An upstream, as routes name it.
    UpstreamName "an upstream name (1 to 64 of a-z 0-9 - _ .)" (1..=64), slug;
}

impl KeyId {
    /// A new key id from fresh bytes.
    pub fn new(fresh: Fresh<10>) -> Self {
        Self(make("ck_", fresh))
    }
}

impl ProfileName {
    /// The name of the native signature scheme: `v3.0`.
    pub fn native() -> Self {
        Self("v3.0".into())
    }
}

impl RequestId {
    /// A new request id from fresh bytes.
    pub fn new(fresh: Fresh<10>) -> Self {
        Self(make("rq_", fresh))
    }
}

/// How often the stored state has changed. Grows by one with each change; a snapshot names the one it was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Revision(pub u64);

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_has_its_prefix_and_reads_back() {
        let id = ClientId::new(Fresh::new([0xff, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
        assert_eq!(id.as_str(), "cl_zw0g40r40m30e209");
        assert_eq!(id.as_str().parse::<ClientId>().unwrap(), id);
    }

    #[test]
    fn one_kind_is_not_another() {
        let user = UserId::new(Fresh::new([7; 10]));
        assert!(user.as_str().parse::<ClientId>().is_err());
    }

    #[test]
    fn names_refuse_what_could_break_a_header_or_a_rule() {
        for bad in ["", "a b", "a,b", "a\"b", "a\r\nb", "é", &"a".repeat(200)] {
            assert!(bad.parse::<KeyId>().is_err(), "{bad:?}");
            assert!(bad.parse::<ListName>().is_err(), "{bad:?}");
        }
        assert!("AKIA/2024:x".parse::<KeyId>().is_ok());
        assert!("Partners".parse::<ListName>().is_err());
    }
}
