//! The filters that make bytes of bytes. Each says beforehand what its values can be made of and how long they are, which is
//! how a profile is judged before any request comes.

use super::alphabet::Alphabet;
use super::bytes::Bytes;
use super::encoding::{BASE64, BASE64_URL, base64, hex, unbase64, unhex, uuid};
use super::hash::Hash;
use super::percent::{Percent, decode, decoded_alphabet};
use super::text;

/// One filter with its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    Lower,
    Upper,
    Trim,
    Squeeze,
    SqueezeUnquoted,
    EscapeLines,
    /// Every one of the first becomes the second.
    Replace(Box<[u8]>, Box<[u8]>),
    Before(Box<[u8]>),
    After(Box<[u8]>),
    Take(usize),
    StripPrefix(Box<[u8]>),
    DropPrefix(Box<[u8]>),
    DropSuffix(Box<[u8]>),
    Is(Box<[Box<[u8]>]>),
    Hex,
    Base64,
    Base64Url,
    Unhex,
    Unbase64,
    Unbase64Url,
    /// 16 bytes as a UUID of version 4.
    Uuid,
    /// The number of bytes, in decimal.
    Length,
    Digest(Hash),
    Encode(Percent),
    Unpct,
    UnpctForm,
    NormalPath,
    /// The name of an authentication scheme.
    Scheme(Box<[u8]>),
}

/// What a filter made of a value.
pub(super) struct Applied<'v> {
    pub(super) bytes: Bytes<'v>,
    /// Whether something that stood in the value was left out: then what is signed is not all of it. Canonical forms and
    /// encodings leave nothing out, and neither does taking away a prefix that must be there.
    pub(super) cut: bool,
}

impl Filter {
    /// The filter of this name. `None` when it is none of these; an error says what arguments it takes.
    pub(super) fn parse(name: &str, arguments: &[Vec<u8>]) -> Option<Result<Self, String>> {
        let takes = match name {
            "replace" => "two texts, of which the first is not empty",
            "before" | "after" | "strip_prefix" | "drop_prefix" | "drop_suffix" => "one text that is not empty",
            "scheme" => "the name of an authentication scheme",
            "take" => "a number of bytes from 1 to 4294967295",
            "is" => "one text or more",
            _ => "no arguments",
        };
        Some(Self::with(name, arguments)?.ok_or_else(|| format!("the filter {name} takes {takes}")))
    }

    fn with(name: &str, arguments: &[Vec<u8>]) -> Option<Option<Self>> {
        let plain = |filter| Some(arguments.is_empty().then_some(filter));
        let text = |make: fn(Box<[u8]>) -> Self| {
            let [text] = arguments else { return Some(None) };
            Some((!text.is_empty()).then(|| make(text.as_slice().into())))
        };
        match name {
            "lower" => plain(Self::Lower),
            "upper" => plain(Self::Upper),
            "trim" => plain(Self::Trim),
            "squeeze" => plain(Self::Squeeze),
            "squeeze_unquoted" => plain(Self::SqueezeUnquoted),
            "escape_lines" => plain(Self::EscapeLines),
            "replace" => Some(match arguments {
                [from, to] if !from.is_empty() => Some(Self::Replace(from.as_slice().into(), to.as_slice().into())),
                _ => None,
            }),
            "before" => text(Self::Before),
            "after" => text(Self::After),
            "take" => Some(take(arguments)),
            "strip_prefix" => text(Self::StripPrefix),
            "drop_prefix" => text(Self::DropPrefix),
            "drop_suffix" => text(Self::DropSuffix),
            "is" => Some((!arguments.is_empty()).then(|| Self::Is(arguments.iter().map(|text| text.as_slice().into()).collect()))),
            "hex" => plain(Self::Hex),
            "base64" => plain(Self::Base64),
            "base64url" => plain(Self::Base64Url),
            "unhex" => plain(Self::Unhex),
            "unbase64" => plain(Self::Unbase64),
            "unbase64url" => plain(Self::Unbase64Url),
            "uuid" => plain(Self::Uuid),
            "length" => plain(Self::Length),
            "md5" => plain(Self::Digest(Hash::Md5)),
            "sha1" => plain(Self::Digest(Hash::Sha1)),
            "sha256" => plain(Self::Digest(Hash::Sha256)),
            "sha384" => plain(Self::Digest(Hash::Sha384)),
            "sha512" => plain(Self::Digest(Hash::Sha512)),
            "pct" => plain(Self::Encode(Percent::Strict)),
            "pct_path" => plain(Self::Encode(Percent::Path)),
            "pct_form" => plain(Self::Encode(Percent::Form)),
            "pct_uri" => plain(Self::Encode(Percent::Uri)),
            "pct_dotnet" => plain(Self::Encode(Percent::DotNet)),
            "unpct" => plain(Self::Unpct),
            "unpct_form" => plain(Self::UnpctForm),
            "normal_path" => plain(Self::NormalPath),
            "scheme" => text(Self::Scheme),
            _ => None,
        }
    }

    /// Makes the value. `None` means that it is absent: a prefix, a scheme or a text that had to be there is not, or what
    /// should be decoded is not of its alphabet.
    pub(super) fn apply<'v>(&self, bytes: Bytes<'v>) -> Option<Applied<'v>> {
        let mut cut = false;
        let bytes = match self {
            Self::Lower => text::lower(bytes),
            Self::Upper => text::upper(bytes),
            Self::Trim => text::trim(bytes),
            Self::Squeeze => text::squeeze(bytes, false),
            Self::SqueezeUnquoted => text::squeeze(bytes, true),
            Self::EscapeLines => text::escape_lines(bytes),
            Self::Replace(from, to) => text::replace(bytes, from, to),
            Self::Before(end) => match text::find(bytes.as_slice(), end) {
                Some(at) => {
                    cut = true;
                    bytes.sub(0..at)
                }
                None => bytes,
            },
            Self::After(start) => {
                let length = bytes.as_slice().len();
                cut = length > 0;
                let at = text::find(bytes.as_slice(), start).map_or(length, |at| at.saturating_add(start.len()));
                bytes.sub(at..length)
            }
            Self::Take(most) => {
                cut = bytes.as_slice().len() > *most;
                bytes.sub(0..*most)
            }
            Self::StripPrefix(prefix) => {
                let length = bytes.as_slice().len();
                if !bytes.as_slice().starts_with(prefix) {
                    return None;
                }
                bytes.sub(prefix.len()..length)
            }
            Self::DropPrefix(prefix) => {
                // With it or without it, the text is the same.
                cut = bytes.as_slice().starts_with(prefix);
                let range = if cut { prefix.len() } else { 0 }..bytes.as_slice().len();
                bytes.sub(range)
            }
            Self::DropSuffix(suffix) => {
                cut = bytes.as_slice().ends_with(suffix);
                let end = bytes.as_slice().strip_suffix(&**suffix).unwrap_or(bytes.as_slice()).len();
                bytes.sub(0..end)
            }
            Self::Is(texts) => {
                if !texts.iter().any(|text| **text == *bytes.as_slice()) {
                    return None;
                }
                bytes
            }
            Self::Hex => hex(bytes.as_slice()),
            Self::Base64 => base64(&BASE64, bytes.as_slice()),
            Self::Base64Url => base64(&BASE64_URL, bytes.as_slice()),
            Self::Unhex => unhex(bytes.as_slice())?,
            Self::Unbase64 => unbase64(&BASE64, bytes.as_slice())?,
            Self::Unbase64Url => unbase64(&BASE64_URL, bytes.as_slice())?,
            Self::Uuid => {
                // Version and variant are written over.
                cut = true;
                uuid(bytes.as_slice())?
            }
            Self::Length => {
                cut = !bytes.as_slice().is_empty();
                Bytes::from_slice(bytes.as_slice().len().to_string().as_bytes())
            }
            Self::Digest(hash) => hash.digest(bytes.as_slice()),
            Self::Encode(percent) => percent.encode(bytes),
            Self::Unpct => decode(bytes, false),
            Self::UnpctForm => decode(bytes, true),
            Self::NormalPath => text::normal_path(bytes),
            Self::Scheme(name) => {
                let range = text::credentials(bytes.as_slice(), name)?;
                bytes.sub(range)
            }
        };
        Some(Applied { bytes, cut })
    }

    /// Whether it may leave something out: [`Applied::cut`], known before any value comes.
    pub(super) const fn can_cut(&self) -> bool {
        matches!(
            self,
            Self::Before(_) | Self::After(_) | Self::Take(_) | Self::Length | Self::DropPrefix(_) | Self::DropSuffix(_) | Self::Uuid
        )
    }

    /// What its values can be made of, when its input is made of `input`. May be more than what ever comes, never less.
    pub(super) fn alphabet(&self, input: Alphabet) -> Alphabet {
        let of = Alphabet::of;
        match self {
            Self::Lower if input.meets(Alphabet::UPPER) => input.minus(Alphabet::UPPER).union(Alphabet::LOWER),
            Self::Upper if input.meets(Alphabet::LOWER) => input.minus(Alphabet::LOWER).union(Alphabet::UPPER),
            Self::Squeeze if input.contains(b'\t') => input.minus(of(b"\t")).union(of(b" ")),
            Self::SqueezeUnquoted if input.contains(b'\t') => input.union(of(b" ")),
            Self::EscapeLines if input.contains(b'\n') => input.minus(of(b"\n")).union(of(b"\\n")),
            Self::Replace(from, to) if input.contains_all(from) => match **from {
                [byte] => input.minus(of(&[byte])).union(of(to)),
                _ => input.union(of(to)),
            },
            Self::Before(end) => match **end {
                [byte] => input.minus(of(&[byte])),
                _ => input,
            },
            Self::Is(texts) => texts.iter().fold(Alphabet::NONE, |set, text| set.union(of(text))),
            Self::Hex => Alphabet::DIGITS.union(of(b"abcdef")),
            Self::Uuid => Alphabet::DIGITS.union(of(b"abcdef-")),
            Self::Length => Alphabet::DIGITS,
            Self::Base64 => Alphabet::ALPHANUMERIC.union(of(b"+/=")),
            Self::Base64Url => Alphabet::ALPHANUMERIC.union(of(b"-_")),
            Self::Unhex | Self::Unbase64 | Self::Unbase64Url | Self::Digest(_) => Alphabet::ALL,
            Self::Encode(percent) => percent.alphabet(input),
            Self::Unpct => decoded_alphabet(input, false),
            Self::UnpctForm => decoded_alphabet(input, true),
            Self::NormalPath => input.union(of(b"/")),
            Self::Lower
            | Self::Upper
            | Self::Trim
            | Self::Squeeze
            | Self::SqueezeUnquoted
            | Self::EscapeLines
            | Self::Replace(..)
            | Self::After(_)
            | Self::Take(_)
            | Self::StripPrefix(_)
            | Self::DropPrefix(_)
            | Self::DropSuffix(_)
            | Self::Scheme(_) => input,
        }
    }

    /// The length of its values, if they all have the same, when all of its input has the length `input`.
    pub(super) fn fixed_length(&self, input: Option<usize>) -> Option<usize> {
        match self {
            Self::Lower | Self::Upper => input,
            Self::Replace(from, to) if from.len() == to.len() => input,
            Self::Take(most) => input.map(|length| length.min(*most)),
            Self::StripPrefix(prefix) => input?.checked_sub(prefix.len()),
            Self::Is(texts) => {
                let (first, rest) = texts.split_first()?;
                rest.iter().all(|text| text.len() == first.len()).then_some(first.len())
            }
            Self::Hex => input?.checked_mul(2),
            Self::Base64 => input?.div_ceil(3).checked_mul(4),
            Self::Base64Url => input?.checked_mul(4).map(|bits| bits.div_ceil(3)),
            Self::Unhex => Some(input? / 2),
            Self::Uuid => Some(36),
            Self::Length => Some(input?.to_string().len()),
            Self::Digest(hash) => Some(hash.length()),
            _ => None,
        }
    }
}

fn take(arguments: &[Vec<u8>]) -> Option<Filter> {
    let [number] = arguments else { return None };
    if !number.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let most: u32 = std::str::from_utf8(number).ok()?.parse().ok()?;
    (most > 0).then_some(Filter::Take(usize::try_from(most).ok()?))
}

#[cfg(test)]
mod tests;
