//! Percent-encoding, in the dialects that schemes sign with.

use super::alphabet::Alphabet;
use super::bytes::{Bytes, Growing};
use super::encoding::hex_pair;

/// Which bytes stay as they are, and how the others are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Percent {
    /// All but the unreserved characters of RFC 3986 section 2.3.
    Strict,
    /// The same, and `/` stays.
    Path,
    /// As browsers encode forms; a space is `+`.
    Form,
    /// JavaScript's `encodeURIComponent`.
    Uri,
    /// .NET's `HttpUtility.UrlEncode`: lower-case digits; a space is `+`.
    DotNet,
}

impl Percent {
    const fn kept(self) -> Alphabet {
        Alphabet::ALPHANUMERIC.union(Alphabet::of(match self {
            Self::Strict => b"-._~",
            Self::Path => b"-._~/",
            Self::Form => b"*-._",
            Self::Uri => b"-_.!~*'()",
            Self::DotNet => b"-_.!*()",
        }))
    }

    fn keeps(self) -> &'static [bool; 256] {
        static STRICT: [bool; 256] = Percent::Strict.kept().table();
        static PATH: [bool; 256] = Percent::Path.kept().table();
        static FORM: [bool; 256] = Percent::Form.kept().table();
        static URI: [bool; 256] = Percent::Uri.kept().table();
        static DOT_NET: [bool; 256] = Percent::DotNet.kept().table();
        match self {
            Self::Strict => &STRICT,
            Self::Path => &PATH,
            Self::Form => &FORM,
            Self::Uri => &URI,
            Self::DotNet => &DOT_NET,
        }
    }

    const fn space_is_plus(self) -> bool {
        matches!(self, Self::Form | Self::DotNet)
    }

    const fn digits(self) -> &'static [u8; 16] {
        if matches!(self, Self::DotNet) { b"0123456789abcdef" } else { b"0123456789ABCDEF" }
    }

    /// Encodes. Text with nothing to encode stays lent.
    pub(super) fn encode(self, bytes: Bytes<'_>) -> Bytes<'_> {
        let keeps = self.keeps();
        let changes = |byte: &u8| !keeps.get(usize::from(*byte)).copied().unwrap_or_default();
        let mut rest = bytes.as_slice();
        let escapes = rest.iter().filter(|byte| changes(byte)).count();
        if escapes == 0 {
            return bytes;
        }
        let mut out = Growing::with_room(rest.len().saturating_add(escapes.saturating_mul(2)));
        while let Some((plain, [byte, after @ ..])) = rest.iter().position(changes).and_then(|at| rest.split_at_checked(at)) {
            out.extend(plain);
            if *byte == b' ' && self.space_is_plus() {
                out.push(b'+');
            } else {
                let digit = |nibble: u8| self.digits().get(usize::from(nibble)).copied().unwrap_or_default();
                out.extend(&[b'%', digit(byte >> 4), digit(byte & 15)]);
            }
            rest = after;
        }
        out.extend(rest);
        out.finish()
    }

    /// What encoded text is made of.
    pub(super) const fn alphabet(self, input: Alphabet) -> Alphabet {
        let mut escaped = input.minus(self.kept());
        let mut output = input.minus(escaped);
        if self.space_is_plus() && input.contains(b' ') {
            escaped = escaped.minus(Alphabet::of(b" "));
            output = output.union(Alphabet::of(b"+"));
        }
        if escaped.count() > 0 { output.union(Alphabet::of(b"%")).union(Alphabet::of(self.digits())) } else { output }
    }
}

/// Decodes percent-encoding, once; with `plus_is_space` as forms do. A `%` without two digits behind it stays as it is. Text
/// with nothing to decode stays lent.
pub(super) fn decode(bytes: Bytes<'_>, plus_is_space: bool) -> Bytes<'_> {
    let changes = |byte: &u8| *byte == b'%' || (plus_is_space && *byte == b'+');
    let mut rest = bytes.as_slice();
    if !rest.iter().any(changes) {
        return bytes;
    }
    let mut out = Growing::with_room(rest.len());
    while let Some((plain, [byte, after @ ..])) = rest.iter().position(changes).and_then(|at| rest.split_at_checked(at)) {
        out.extend(plain);
        rest = after;
        if *byte == b'+' {
            out.push(b' ');
        } else if let Some((byte, after)) = after.split_first_chunk().and_then(|(pair, after)| Some((hex_pair(*pair)?, after))) {
            out.push(byte);
            rest = after;
        } else {
            out.push(b'%');
        }
    }
    out.extend(rest);
    out.finish()
}

/// What decoded text is made of.
pub(super) const fn decoded_alphabet(input: Alphabet, plus_is_space: bool) -> Alphabet {
    if input.contains(b'%') {
        Alphabet::ALL
    } else if plus_is_space && input.contains(b'+') {
        input.minus(Alphabet::of(b"+")).union(Alphabet::of(b" "))
    } else {
        input
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Percent; 5] = [Percent::Strict, Percent::Path, Percent::Form, Percent::Uri, Percent::DotNet];

    fn encoded(percent: Percent, text: &str) -> String {
        String::from_utf8(percent.encode(Bytes::Lent(text.as_bytes())).as_slice().to_vec()).unwrap()
    }

    #[test]
    fn each_dialect_keeps_what_its_language_keeps() {
        let text = "aZ09-._~/*!'() +%\u{fc}";
        // Python's urllib.parse.quote with safe='' and safe='/', URLSearchParams, encodeURIComponent, HttpUtility.UrlEncode.
        assert_eq!(encoded(Percent::Strict, text), "aZ09-._~%2F%2A%21%27%28%29%20%2B%25%C3%BC");
        assert_eq!(encoded(Percent::Path, text), "aZ09-._~/%2A%21%27%28%29%20%2B%25%C3%BC");
        assert_eq!(encoded(Percent::Form, text), "aZ09-._%7E%2F*%21%27%28%29+%2B%25%C3%BC");
        assert_eq!(encoded(Percent::Uri, text), "aZ09-._~%2F*!'()%20%2B%25%C3%BC");
        assert_eq!(encoded(Percent::DotNet, text), "aZ09-._%7e%2f*!%27()+%2b%25%c3%bc");
    }

    #[test]
    fn the_signature_of_rfc_5849_is_encoded_and_decoded() {
        assert_eq!(encoded(Percent::Strict, "74KNZJeDHnMBp0EMJ9ZHt/XKycU="), "74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D");
        assert_eq!(decode(Bytes::Lent(b"74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D"), false).as_slice(), b"74KNZJeDHnMBp0EMJ9ZHt/XKycU=");
    }

    #[test]
    fn a_bad_escape_stays_as_it_is() {
        for (text, plain) in
            [("%", "%"), ("%4", "%4"), ("%4g", "%4g"), ("%%41", "%A"), ("%2541", "%41"), ("a%+41", "a%+41"), ("%e4", "\u{e4}")]
        {
            let plain: Vec<u8> = plain.chars().map(|character| u8::try_from(character).unwrap()).collect();
            assert_eq!(decode(Bytes::Lent(text.as_bytes()), false).as_slice(), plain, "{text}");
        }
    }

    #[test]
    fn plus_is_a_space_in_forms_only() {
        assert_eq!(decode(Bytes::Lent(b"a+b%2B"), false).as_slice(), b"a+b+");
        assert_eq!(decode(Bytes::Lent(b"a+b%2B"), true).as_slice(), b"a b+");
    }

    #[test]
    fn text_that_does_not_change_stays_lent() {
        assert!(matches!(Percent::Strict.encode(Bytes::Lent(b"abc")), Bytes::Lent(b"abc")));
        assert!(matches!(decode(Bytes::Lent(b"a+c"), false), Bytes::Lent(b"a+c")));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            for percent in ALL {
                let text = percent.encode(Bytes::Lent(&bytes));
                let alphabet = percent.alphabet(Alphabet::of(&bytes));
                prop_assert!(alphabet.contains_all(text.as_slice()), "{:?}", percent);
                prop_assert!(decode(text, percent.space_is_plus()).as_slice() == bytes.as_slice(), "{:?}", percent);
            }
        }

        #[test]
        fn decoded_text_is_of_its_alphabet(text in "[a%+4 ]{0,40}", plus_is_space: bool) {
            let alphabet = decoded_alphabet(Alphabet::of(text.as_bytes()), plus_is_space);
            prop_assert!(alphabet.contains_all(decode(Bytes::Lent(text.as_bytes()), plus_is_space).as_slice()));
        }
    }
}
