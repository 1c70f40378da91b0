//! What the sections of a profile say, in compiled form.

use std::time::Duration;

use aws_lc_rs::hmac;

use super::bytes::Bytes;
use super::coverage::Slot;
use super::encoding::{self, BASE64, BASE64_URL};
use super::expression::{Expr, Info, Template};
use super::hash::Hash;
use super::message_signatures;
use super::shape::Shape;
use super::time_format::TimeFormat;

/// A field of a signature.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) name: Box<str>,
    pub(super) from: FieldSource,
    pub(super) shape: Option<Shape>,
    pub(super) optional: bool,
    pub(super) info: Info,
    pub(super) slot: Slot,
}

/// Where a field comes from.
#[derive(Debug, Clone)]
pub(super) enum FieldSource {
    Expr(Expr),
    /// A parameter of the signature that the built-in found.
    Builtin(message_signatures::Param),
}

/// How the key of the MAC is made of the secret.
#[derive(Debug, Clone)]
pub(super) struct KeyRule {
    pub(super) material: Template,
    pub(super) derive: Vec<Derive>,
    pub(super) derived_as: KeyText,
    /// The fewest bytes of a secret.
    pub(super) least: usize,
    pub(super) attributes: Vec<String>,
    /// Whether the key depends on the secret alone, and is made once.
    pub(super) is_static: bool,
}

/// One step of a chain: the key becomes the MAC of this text.
#[derive(Debug, Clone)]
pub(super) enum Derive {
    Text(Template),
    Each(Expr),
}

/// How a derived key is used as a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyText {
    Bytes,
    Hex,
    Base64,
}

/// How the MAC is computed and written.
#[derive(Debug, Clone)]
pub(super) struct MacRule {
    /// What counts when the request says nothing.
    pub(super) algorithm: Option<MacAlgorithm>,
    /// What the request may say, from a closed table.
    pub(super) chosen: Option<(Expr, Vec<NamedAlgorithm>)>,
    pub(super) encoding: MacEncoding,
    /// The string to sign, and what may be signed instead.
    pub(super) messages: Vec<Template>,
    /// Whether a message reads the secret.
    pub(super) reads_secret: bool,
    pub(super) undelimited: bool,
}

/// What a request calls an algorithm.
pub(super) type NamedAlgorithm = (Box<str>, MacAlgorithm);

/// How the MAC is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MacEncoding {
    Hex,
    Base64,
    Base64Url,
    /// Base64 of the hexadecimal text.
    Base64OfHex,
}

impl MacEncoding {
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Hex => "hexadecimal",
            Self::Base64 => "base64",
            Self::Base64Url => "base64url",
            Self::Base64OfHex => "base64 of hexadecimal",
        }
    }

    pub(super) fn encode(self, mac: &[u8]) -> String {
        let written = match self {
            Self::Hex => encoding::hex(mac),
            Self::Base64 => encoding::base64(&BASE64, mac),
            Self::Base64Url => encoding::base64(&BASE64_URL, mac),
            Self::Base64OfHex => encoding::base64(&BASE64, encoding::hex(mac).as_slice()),
        };
        String::from_utf8_lossy(written.as_slice()).into_owned()
    }

    pub(super) fn decode<'v>(self, written: &[u8]) -> Option<Bytes<'v>> {
        match self {
            Self::Hex => encoding::unhex(written),
            Self::Base64 => encoding::unbase64(&BASE64, written),
            Self::Base64Url => encoding::unbase64(&BASE64_URL, written),
            Self::Base64OfHex => encoding::unhex(encoding::unbase64(&BASE64, written)?.as_slice()),
        }
    }
}

/// How the MAC is computed. A closed set: a request never chooses outside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MacAlgorithm {
    /// HMAC with SHA-1 (RFC 2104): still sound as a MAC, and what many older schemes ask for.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

impl MacAlgorithm {
    /// Every algorithm, with its name in profiles.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::HmacSha1, "hmac-sha1"),
        (Self::HmacSha256, "hmac-sha256"),
        (Self::HmacSha384, "hmac-sha384"),
        (Self::HmacSha512, "hmac-sha512"),
    ];

    pub(super) fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::HmacSha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::HmacSha256 => hmac::HMAC_SHA256,
            Self::HmacSha384 => hmac::HMAC_SHA384,
            Self::HmacSha512 => hmac::HMAC_SHA512,
        }
    }

    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::HmacSha1 => Hash::Sha1,
            Self::HmacSha256 => Hash::Sha256,
            Self::HmacSha384 => Hash::Sha384,
            Self::HmacSha512 => Hash::Sha512,
        }
    }

    /// Bytes of the MAC.
    pub const fn length(self) -> usize {
        match self {
            Self::HmacSha1 => 20,
            Self::HmacSha256 => 32,
            Self::HmacSha384 => 48,
            Self::HmacSha512 => 64,
        }
    }
}

/// What a request must hold beside its MAC.
#[derive(Debug, Clone)]
pub(super) struct Require {
    /// Only if this is there, or is not.
    pub(super) condition: Option<(Expr, bool)>,
    pub(super) what: Requirement,
    pub(super) mistake: Box<str>,
    /// Whether it reads the credential: then it is checked once the MAC says which one that is.
    pub(super) of_credential: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Requirement {
    Equal(Expr, Expr),
    /// A list must hold one of each group, in any case.
    Includes(Expr, Vec<Vec<Box<str>>>),
    OneOf(Expr, Vec<Box<[u8]>>),
    Present(Expr),
    Absent(Expr),
}

/// How old a signature may be.
#[derive(Debug, Clone)]
pub(super) struct TimeRule {
    pub(super) at: Option<Expr>,
    pub(super) formats: Vec<TimeFormat>,
    pub(super) past: Duration,
    pub(super) future: Duration,
    pub(super) window: Option<Window>,
    pub(super) expires: Option<Expr>,
    pub(super) expires_formats: Vec<TimeFormat>,
    /// How far ahead an end may be when there is no time of signing.
    pub(super) ahead_most: Duration,
}

/// A window that the request chooses.
#[derive(Debug, Clone)]
pub(super) struct Window {
    pub(super) from: Expr,
    pub(super) in_millis: bool,
    pub(super) most: Duration,
}

/// What is claimed beside the hash of what was signed.
#[derive(Debug, Clone)]
pub(super) struct ReplayRule {
    pub(super) once: Vec<Expr>,
    pub(super) counter: Option<Expr>,
    /// How long claims are kept when signatures have no time.
    pub(super) keep: Duration,
}

/// What signing adds.
#[derive(Debug)]
pub(super) struct SignStep {
    pub(super) to: SignTo,
    pub(super) value: Template,
    pub(super) condition: Option<(Expr, bool)>,
}

#[derive(Debug)]
pub(super) enum SignTo {
    /// A text for later steps.
    Let,
    Header(http::HeaderName, Box<str>),
    Query(Box<str>),
}
