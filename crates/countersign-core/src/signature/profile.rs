//! A signature scheme as data. One interpreter runs them all; what is here is what a profile says and the checks that it
//! passes once, before any request comes.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use aws_lc_rs::hmac;
use http::HeaderName;

use super::LiveSecret;
use super::coverage::{Coverage, Parts, Slot};
use super::template::{self, Expression, Missing, Piece, Role, Slots, Source, Step};
use crate::id::ProfileName;

/// A signature scheme that passed its checks.
pub struct Profile {
    pub(super) draft: Draft,
    /// Verified against when the key is unknown, so that an unknown key costs what a known one costs.
    pub(super) nobody: LiveSecret,
}

/// What a profile says. [`Profile::compile`] judges it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What rules call it.
    pub name: ProfileName,
    /// The headers that are read, by slot.
    pub headers: Vec<HeaderName>,
    /// The request is signed by this scheme when one of these headers is there.
    pub detect: Vec<Slot>,
    /// Names the key.
    pub key_id: Field,
    /// When it was signed.
    pub timestamp: Field,
    /// Makes the request distinct.
    pub nonce: Field,
    /// The MAC.
    pub mac: Field,
    /// How the MAC is written.
    pub encoding: MacEncoding,
    /// How it is computed.
    pub algorithm: MacAlgorithm,
    /// What of the secret is the key.
    pub key: KeyMaterial,
    /// The string to sign.
    pub message: Vec<Piece>,
    /// How old a signature may be.
    pub time: TimeRule,
    /// What is known not to be covered. Never the sources of the time check and the replay check.
    pub uncovered: Parts,
}

/// Where a field of a signature stands and what it may look like.
#[derive(Debug, Clone)]
pub struct Field {
    /// The header.
    pub slot: Slot,
    /// What the header's value starts with, before the field.
    pub prefix: Cow<'static, str>,
    /// What the field may look like.
    pub shape: Shape,
}

/// A set of characters and a range of lengths. Keeping the line feed out is what makes lines unambiguous.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The characters, as a set of ASCII.
    pub allowed: Characters,
    /// How many of them.
    pub length: RangeInclusive<usize>,
    /// The same in words: `10 digits`.
    pub words: Cow<'static, str>,
}

/// A set of ASCII characters, as a table: each field of each request is looked at byte by byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Characters([bool; 256]);

impl Characters {
    /// The characters of `text`.
    pub fn of(text: &[u8]) -> Self {
        let mut set = [false; 256];
        for (is_in, byte) in set.iter_mut().zip(0u8..=127) {
            *is_in = text.contains(&byte);
        }
        Self(set)
    }

    /// Whether `byte` is one of them.
    pub fn contains(&self, byte: u8) -> bool {
        self.0.get(usize::from(byte)).copied().unwrap_or(false)
    }

    /// Whether every byte of `text` is one of them.
    pub fn hold(&self, text: &[u8]) -> bool {
        text.iter().all(|byte| self.contains(*byte))
    }
}

/// How the MAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacEncoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Base64 with padding (RFC 4648 section 4).
    Base64,
}

/// How the MAC is computed. A closed set: a request never chooses outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-256 (RFC 2104, FIPS 198-1).
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl MacAlgorithm {
    pub(super) const fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    /// Bytes of the MAC.
    pub const fn length(self) -> usize {
        match self {
            Self::HmacSha256 => 32,
            Self::HmacSha512 => 64,
        }
    }
}

/// What of the secret is the key of the MAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyMaterial {
    /// The UTF-8 bytes of the secret's text, at least so many.
    Text {
        /// A shorter secret is refused when it is loaded.
        least: usize,
    },
}

/// How old a signature may be, by the timestamp that was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRule {
    /// How the timestamp is written.
    pub format: TimeFormat,
    /// How far in the past it may be.
    pub past: Duration,
    /// How far in the future it may be.
    pub future: Duration,
}

/// How a timestamp is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeFormat {
    /// Whole seconds since 1970, plain digits.
    UnixSeconds,
}

/// Why a profile cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadProfile {
    /// A part of the request would not be signed, and is not named in `uncovered`.
    #[error("the string to sign does not cover: {0}; put it into message or name it in uncovered")]
    Uncovered(String),
    /// What the time check or the replay check reads would not be signed. That can never be allowed.
    #[error("the {0} is checked but not signed; put it into message")]
    Unsigned(&'static str),
    /// Two values of any length stand side by side, so that bytes could move from one to the other.
    #[error("pieces {0} and {1} of message are two values with nothing between them; put a delimiter there")]
    Undelimited(usize, usize),
    /// A slot that is not in the list of headers, or too many headers.
    #[error("the profile reads a header that it does not list, or more than {} headers", Slot::MOST)]
    Slots,
}

impl Profile {
    /// Checks a draft.
    pub fn compile(draft: Draft) -> Result<Self, BadProfile> {
        if draft.headers.len() > Slot::MOST || draft.slots_used().any(|slot| usize::from(slot.0) >= draft.headers.len()) {
            return Err(BadProfile::Slots);
        }
        // A value of fixed length between two others does not keep them apart: all three can shift together.
        let mut open = None;
        for (i, piece) in draft.message.iter().enumerate() {
            match (piece, open) {
                (Piece::Text(text), _) if !text.is_empty() => open = None,
                (Piece::Value(value), Some(before)) if draft.varies(value) => return Err(BadProfile::Undelimited(before, i)),
                (Piece::Value(value), None) if draft.varies(value) => open = Some(i),
                _ => (),
            }
        }
        let mut coverage = Coverage::default();
        for piece in &draft.message {
            if let Piece::Value(expression) = piece {
                coverage.add(template::provenance(expression.source, draft.slots()));
            }
        }
        for (what, field) in [("timestamp", &draft.timestamp), ("nonce", &draft.nonce)] {
            if !coverage.lacks(Parts::header(field.slot)).is_empty() {
                return Err(BadProfile::Unsigned(what));
            }
        }
        let lacks = coverage.lacks(Parts::REQUIRED.without(draft.uncovered));
        if !lacks.is_empty() {
            return Err(BadProfile::Uncovered(lacks.to_string()));
        }
        let nobody = LiveSecret::nobody(draft.algorithm);
        Ok(Self { draft, nobody })
    }

    /// What rules call it.
    pub const fn name(&self) -> &ProfileName {
        &self.draft.name
    }

    /// What it leaves uncovered.
    pub const fn uncovered(&self) -> Parts {
        self.draft.uncovered
    }

    /// How old a signature may be, and how far ahead of our clock.
    pub const fn time(&self) -> TimeRule {
        self.draft.time
    }

    /// The native scheme, `v3.0` (section 2.2 of the design): four headers, nine lines, no options.
    pub fn native() -> Self {
        const DIGITS: &[u8] = b"0123456789";
        const HEX: &[u8] = b"0123456789abcdef";
        const TOKEN: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
        let [key_id, timestamp, nonce, mac, content_type] = [0, 1, 2, 3, 4].map(Slot);
        let field = |slot, prefix, allowed: &[u8], length, words| {
            let (prefix, words) = (Cow::Borrowed(prefix), Cow::Borrowed(words));
            Field { slot, prefix, shape: Shape { allowed: Characters::of(allowed), length, words } }
        };
        let value = |source, steps: &[Step]| Piece::Value(Expression { source, steps: steps.into(), missing: Missing::Refuse });
        let line = || Piece::Text((*b"\n").into());
        let message = vec![
            Piece::Text((*b"v3.0\n").into()),
            value(Source::Field(Role::KeyId), &[]),
            line(),
            value(Source::Field(Role::Timestamp), &[]),
            line(),
            value(Source::Field(Role::Nonce), &[]),
            line(),
            value(Source::Method, &[]),
            line(),
            value(Source::Host, &[]),
            line(),
            value(Source::Target, &[]),
            line(),
            Piece::Value(Expression { source: Source::Header(content_type), steps: [].into(), missing: Missing::Empty }),
            line(),
            value(Source::BodySha256, &[Step::Hex]),
        ];
        let draft = Draft {
            name: ProfileName::native(),
            headers: vec![
                HeaderName::from_static("x-key-id"),
                HeaderName::from_static("x-timestamp"),
                HeaderName::from_static("x-nonce"),
                HeaderName::from_static("x-signature"),
                http::header::CONTENT_TYPE,
            ],
            detect: vec![key_id, mac],
            key_id: field(key_id, "", KEY_ID, 1..=128, "1 to 128 visible characters without space, comma, quote or backslash"),
            timestamp: field(timestamp, "", DIGITS, 10..=10, "10 digits: whole seconds since 1970, not milliseconds"),
            nonce: field(nonce, "", TOKEN, 16..=64, "16 to 64 of A-Z a-z 0-9 _ -"),
            mac: field(mac, "v3=", HEX, 64..=64, "v3= and 64 lower-case hexadecimal digits"),
            encoding: MacEncoding::Hex,
            algorithm: MacAlgorithm::HmacSha256,
            key: KeyMaterial::Text { least: 32 },
            message,
            time: TimeRule { format: TimeFormat::UnixSeconds, past: Duration::from_secs(300), future: Duration::from_secs(60) },
            uncovered: Parts::NONE,
        };
        let nobody = LiveSecret::nobody(draft.algorithm);
        // Not `compile`, which can refuse; a test compiles it.
        Self { draft, nobody }
    }
}

/// The characters of a [`crate::id::KeyId`].
const KEY_ID: &[u8] = b"!#$%&()*+-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[]^_`abcdefghijklmnopqrstuvwxyz{|}~";

impl Draft {
    pub(super) fn slots(&self) -> Slots<'_> {
        Slots { names: &self.headers, key_id: self.key_id.slot, timestamp: self.timestamp.slot, nonce: self.nonce.slot }
    }

    fn fields(&self) -> impl Iterator<Item = &Field> {
        [&self.key_id, &self.timestamp, &self.nonce, &self.mac].into_iter()
    }

    fn slots_used(&self) -> impl Iterator<Item = Slot> {
        let read = self.message.iter().filter_map(|piece| match piece {
            Piece::Value(Expression { source: Source::Header(slot), .. }) => Some(*slot),
            _ => None,
        });
        self.fields().map(|field| field.slot).chain(self.detect.iter().copied()).chain(read)
    }

    /// Whether the length of a value depends on the request.
    fn varies(&self, expression: &Expression) -> bool {
        let fixed = |field: &Field| field.shape.length.start() == field.shape.length.end();
        match expression.source {
            Source::BodySha256 => false,
            Source::Field(Role::KeyId) => !fixed(&self.key_id),
            Source::Field(Role::Timestamp) => !fixed(&self.timestamp),
            Source::Field(Role::Nonce) => !fixed(&self.nonce),
            _ => true,
        }
    }
}
