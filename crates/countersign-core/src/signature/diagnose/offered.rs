//! The MACs that the client sent, in every way in which they can be read.

use super::super::bytes::Bytes;
use super::super::encoding::{BASE64, BASE64_URL, unbase64, unhex};
use super::super::percent;
use super::super::rules::{MacAlgorithm, MacEncoding};
use super::mistake::Mistake;

/// How many readings are compared.
const MOST: usize = 32;

/// One reading.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) bytes: Vec<u8>,
    /// The algorithm whose MACs are as long.
    pub(super) algorithm: MacAlgorithm,
    /// What the client did wrong if this is what it meant.
    pub(super) mistakes: Vec<Mistake>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Hex,
    Base64,
    Base64Url,
    Base64OfHex,
}

/// Reads what was written. `fits` is whether the texts have the shape that the profile asks for.
pub(super) fn read<'t>(written: impl Iterator<Item = &'t [u8]>, encoding: MacEncoding, fits: bool) -> Vec<Offered> {
    let mut all = Vec::new();
    for text in written {
        forms(text, encoding, fits, &[], &mut all);
        let cleaned = clean(text);
        if cleaned != text {
            forms(&cleaned, encoding, fits, &[Mistake::MacEscaped], &mut all);
        }
    }
    // The reading that the scheme asks for first.
    all.sort_by_key(|offered| offered.mistakes.len());
    all.truncate(MOST);
    all
}

/// Reads what a built-in decoded already.
pub(super) fn decoded(bytes: &[u8]) -> Vec<Offered> {
    let mut all = Vec::new();
    add(bytes.to_vec(), Vec::new(), &mut all);
    if let Some(inner) = unhex(bytes) {
        add(inner.as_slice().to_vec(), vec![Mistake::Base64OfHex], &mut all);
    }
    all
}

fn forms(text: &[u8], encoding: MacEncoding, fits: bool, also: &[Mistake], all: &mut Vec<Offered>) {
    let mut push = |bytes: Option<Bytes<'_>>, form: Form| {
        if let Some(bytes) = bytes {
            let mistakes = also.iter().copied().chain(mistake(encoding, form, text, fits)).collect();
            add(bytes.as_slice().to_vec(), mistakes, all);
        }
    };
    push(unhex(text), Form::Hex);
    for (engine, form) in [(&BASE64, Form::Base64), (&BASE64_URL, Form::Base64Url)] {
        let bytes = unbase64(engine, text);
        if let Some(inner) = bytes.as_ref().and_then(|bytes| unhex(bytes.as_slice())) {
            push(Some(inner), Form::Base64OfHex);
        }
        push(bytes, form);
    }
}

fn add(bytes: Vec<u8>, mistakes: Vec<Mistake>, all: &mut Vec<Offered>) {
    let algorithm = MacAlgorithm::ALL.into_iter().map(|(algorithm, _)| algorithm).find(|algorithm| algorithm.length() == bytes.len());
    let Some(algorithm) = algorithm else { return };
    // Text without `+`, `/`, `-` and `_` is the same in both alphabets.
    if let Some(known) = all.iter_mut().find(|known| known.bytes == bytes) {
        if mistakes.len() < known.mistakes.len() {
            known.mistakes = mistakes;
        }
        return;
    }
    all.push(Offered { bytes, algorithm, mistakes });
}

/// What is wrong with a MAC of one form where another is asked for.
fn mistake(encoding: MacEncoding, form: Form, text: &[u8], fits: bool) -> Option<Mistake> {
    match (encoding, form) {
        (MacEncoding::Hex, Form::Hex) => (!fits && text.iter().any(u8::is_ascii_uppercase)).then_some(Mistake::UpperCaseHex),
        (MacEncoding::Base64, Form::Base64) | (MacEncoding::Base64Url, Form::Base64Url) => None,
        (MacEncoding::Base64OfHex, Form::Base64OfHex) => None,
        (MacEncoding::Base64OfHex, Form::Base64 | Form::Base64Url) => Some(Mistake::Base64OfBytes),
        (MacEncoding::Hex, Form::Base64 | Form::Base64Url) => Some(Mistake::Base64ForHex),
        (_, Form::Hex) => Some(Mistake::HexForBase64),
        (_, Form::Base64OfHex) => Some(Mistake::Base64OfHex),
        (MacEncoding::Base64 | MacEncoding::Base64Url, Form::Base64 | Form::Base64Url) => Some(Mistake::Base64Alphabet),
    }
}

/// Without what may stand around a MAC: percent-encoding, white space, quotes, line feeds, a name and `=` or a comma.
fn clean(text: &[u8]) -> Vec<u8> {
    let decoded = percent::decode(Bytes::Lent(text), false);
    let mut inner = decoded.as_slice();
    for escaped in [&b"\\n"[..], b"\\r"] {
        inner = inner.strip_suffix(escaped).unwrap_or(inner);
    }
    let around = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>');
    let start = inner.iter().position(|byte| !around(byte)).unwrap_or(0);
    let end = inner.iter().rposition(|byte| !around(byte)).map_or(0, |last| last + 1);
    let mut text = inner.get(start..end).unwrap_or_default().to_vec();
    // A name in front ends at a mark that is not padding.
    let end = text.iter().rposition(|byte| *byte != b'=').map_or(0, |last| last + 1);
    let marks = text.get(..end).unwrap_or_default();
    if let Some(at) = marks.iter().rposition(|byte| matches!(byte, b'=' | b',' | b':' | b' ')) {
        text.drain(..=at);
    }
    text.retain(|byte| !around(byte));
    text
}

#[cfg(test)]
mod tests {
    use super::super::super::encoding::{base64, hex};
    use super::*;

    fn mistakes(text: &[u8], encoding: MacEncoding) -> Option<Vec<Mistake>> {
        let all = read([text].into_iter(), encoding, false);
        all.into_iter().find(|offered| offered.bytes == MAC).map(|offered| offered.mistakes)
    }

    const MAC: [u8; 32] = *b"\xfb\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\xfb\xff\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e";

    #[test]
    fn a_mac_is_read_in_every_form() {
        use MacEncoding::{Base64, Base64OfHex, Base64Url, Hex};
        let in_hex = hex(&MAC).as_slice().to_vec();
        let upper = in_hex.to_ascii_uppercase();
        let in_base64 = base64(&BASE64, &MAC).as_slice().to_vec();
        let in_url = base64(&BASE64_URL, &MAC).as_slice().to_vec();
        let of_hex = base64(&BASE64, &in_hex).as_slice().to_vec();
        for (text, encoding, expected) in [
            (&in_hex, Hex, vec![]),
            (&upper, Hex, vec![Mistake::UpperCaseHex]),
            (&in_base64, Hex, vec![Mistake::Base64ForHex]),
            (&of_hex, Hex, vec![Mistake::Base64OfHex]),
            (&in_hex, Base64, vec![Mistake::HexForBase64]),
            (&in_url, Base64, vec![Mistake::Base64Alphabet]),
            (&of_hex, Base64, vec![Mistake::Base64OfHex]),
            (&in_base64, Base64Url, vec![Mistake::Base64Alphabet]),
            (&in_base64, Base64OfHex, vec![Mistake::Base64OfBytes]),
            (&of_hex, Base64OfHex, vec![]),
        ] {
            assert_eq!(mistakes(text, encoding), Some(expected), "{} {encoding:?}", String::from_utf8_lossy(text));
        }
        let dressed = [b" \"sha256=".as_slice(), &in_hex, b"\" "].concat();
        assert_eq!(mistakes(&dressed, Hex), Some(vec![Mistake::MacEscaped]));
        let padded = String::from_utf8(in_base64).unwrap().replace('+', "%2B").replace('=', "%3D");
        assert_eq!(mistakes(padded.as_bytes(), Base64), Some(vec![Mistake::MacEscaped]));
        assert_eq!(mistakes(b"", Hex), None);
        assert_eq!(mistakes(b"===", Base64), None);
    }

    #[test]
    fn the_length_says_the_algorithm() {
        let all = read([hex(&[7; 20]).as_slice()].into_iter(), MacEncoding::Hex, true);
        assert!(all.iter().any(|offered| offered.algorithm == MacAlgorithm::HmacSha1 && offered.mistakes.is_empty()));
    }
}
