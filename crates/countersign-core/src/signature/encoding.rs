//! Bytes as text and back: hexadecimal and base64 (RFC 4648).

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::bytes::{Bytes, Growing};

/// Written with padding; read with or without. Left-over bits of the last character count for nothing, as they do for the
/// decoders of Python and Node: some vendors' secrets are text that was never encoded.
pub(super) const BASE64: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// Written without padding; read with or without.
pub(super) const BASE64_URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);

/// Lower-case hexadecimal, two digits at a time.
pub(super) fn hex<'v>(bytes: &[u8]) -> Bytes<'v> {
    let pairs = bytes.iter().map(|byte| PAIRS.get(usize::from(*byte)).copied().unwrap_or_default());
    let length = match u8::try_from(bytes.len()) {
        Ok(length @ 0..=32) => length * 2,
        _ => return Bytes::Long(pairs.flatten().collect()),
    };
    let mut short = [0; 64];
    for (to, pair) in short.as_chunks_mut::<2>().0.iter_mut().zip(pairs) {
        *to = pair;
    }
    Bytes::Short(short, length)
}

static PAIRS: [[u8; 2]; 256] = {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let (mut pairs, mut byte) = ([[0; 2]; 256], 0);
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
    while byte < 256 {
        pairs[byte] = [DIGITS[byte >> 4], DIGITS[byte & 15]];
        byte += 1;
    }
    pairs
};

/// Hexadecimal of any case. `None` for anything else.
pub(super) fn unhex<'v>(text: &[u8]) -> Option<Bytes<'v>> {
    let (pairs, []) = text.as_chunks::<2>() else { return None };
    let mut wrong = 0;
    let bytes = Bytes::collect(pairs.iter().map(|[high, low]| {
        let (high, low) = (nibble(*high), nibble(*low));
        wrong |= high | low;
        high << 4 | low & 15
    }));
    // Looked at once for all digits, so that no digit needs a branch.
    (wrong & NO_DIGIT == 0).then_some(bytes)
}

/// The byte that two hexadecimal digits of any case stand for.
pub(super) fn hex_pair([high, low]: [u8; 2]) -> Option<u8> {
    let (high, low) = (nibble(high), nibble(low));
    ((high | low) & NO_DIGIT == 0).then_some(high << 4 | low)
}

/// What a hexadecimal digit stands for, or [`NO_DIGIT`].
fn nibble(digit: u8) -> u8 {
    static NIBBLES: [u8; 256] = {
        let (mut nibbles, mut byte) = ([NO_DIGIT; 256], 0);
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
        while byte < 256 {
            nibbles[byte] = match byte as u8 {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'f' => digit - b'a' + 10,
                digit @ b'A'..=b'F' => digit - b'A' + 10,
                _ => NO_DIGIT,
            };
            byte += 1;
        }
        nibbles
    };
    NIBBLES.get(usize::from(digit)).copied().unwrap_or(NO_DIGIT)
}

/// A bit that no digit has.
const NO_DIGIT: u8 = 0x80;

/// 16 random bytes as a UUID of version 4 (RFC 9562 section 5.4), which keeps 122 of their bits. `None` for another length.
pub(super) fn uuid<'v>(bytes: &[u8]) -> Option<Bytes<'v>> {
    let mut bytes: [u8; 16] = bytes.try_into().ok()?;
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let mut text = Growing::with_room(36);
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push(b'-');
        }
        text.extend(hex(&[*byte]).as_slice());
    }
    Some(text.finish())
}

/// Encodes with [`BASE64`] or [`BASE64_URL`].
pub(super) fn base64<'v>(engine: &GeneralPurpose, bytes: &[u8]) -> Bytes<'v> {
    let mut short = [0; 64];
    match engine.encode_slice(bytes, &mut short).ok().and_then(|length| u8::try_from(length).ok()) {
        Some(length) => Bytes::Short(short, length),
        None => Bytes::Long(engine.encode(bytes).into_bytes()),
    }
}

/// Decodes with [`BASE64`] or [`BASE64_URL`]. `None` when a byte is not of the alphabet, white space included.
pub(super) fn unbase64<'v>(engine: &GeneralPurpose, text: &[u8]) -> Option<Bytes<'v>> {
    // The decoder asks for room for whole groups.
    let mut room = [0; 66];
    match engine.decode_slice(text, &mut room) {
        Ok(length) => Some(Bytes::from_slice(room.get(..length)?)),
        Err(base64::DecodeSliceError::OutputSliceTooSmall) => engine.decode(text).ok().map(Bytes::Long),
        Err(base64::DecodeSliceError::DecodeError(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hexadecimal_is_written_in_lower_case_and_read_in_any() {
        assert_eq!(hex(b"\x00\xafz").as_slice(), b"00af7a");
        assert_eq!(unhex(b"00aF7A").unwrap().as_slice(), b"\x00\xafz");
        for wrong in ["0", "0g", "0x00", " 00", "00\n", "+1", "é"] {
            assert!(unhex(wrong.as_bytes()).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid(&[0; 16]).unwrap().as_slice(), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(&[0xff; 16]).unwrap().as_slice(), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
        // The example of RFC 9562 appendix A.3.
        let example = unhex(b"919108f752d133205bacf847db4148a8").unwrap();
        assert_eq!(uuid(example.as_slice()).unwrap().as_slice(), b"919108f7-52d1-4320-9bac-f847db4148a8");
        assert!(uuid(&[0; 15]).is_none() && uuid(&[0; 17]).is_none());
    }

    #[test]
    fn base64_is_read_with_padding_or_without() {
        // The secret of Standard Webhooks' tests, which is given without padding.
        let secret = unbase64(&BASE64, b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        assert_eq!(secret.as_slice().len(), 24);
        for text in ["_-8=", "_-8", "/+8=", "/+8"] {
            let engine = if text.starts_with('_') { &BASE64_URL } else { &BASE64 };
            assert_eq!(unbase64(engine, text.as_bytes()).unwrap().as_slice(), b"\xff\xef", "{text}");
        }
        assert_eq!(base64(&BASE64, b"\xff\xef").as_slice(), b"/+8=");
        assert_eq!(base64(&BASE64_URL, b"\xff\xef").as_slice(), b"_-8");
        assert_eq!(unbase64(&BASE64, b"/+9=").unwrap().as_slice(), b"\xff\xef", "left-over bits count for nothing");
    }

    #[test]
    fn base64_with_anything_else_in_it_is_not_read() {
        for wrong in ["/+8==", "/+8= ", " /+8=", "/+\n8=", "_-8=", "/", "/+8=/+8=", "=", "é"] {
            assert!(unbase64(&BASE64, wrong.as_bytes()).is_none(), "{wrong:?}");
        }
        assert!(unbase64(&BASE64_URL, b"/+8").is_none());
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text = hex(&bytes);
            prop_assert_eq!(text.as_slice().len(), bytes.len() * 2);
            prop_assert!(unhex(text.as_slice()).unwrap().as_slice() == bytes.as_slice());
            prop_assert!(unhex(&text.as_slice().to_ascii_uppercase()).unwrap().as_slice() == bytes.as_slice());
            for engine in [BASE64, BASE64_URL] {
                let text = base64(&engine, &bytes);
                prop_assert!(unbase64(&engine, text.as_slice()).unwrap().as_slice() == bytes.as_slice());
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (unhex(&text), unbase64(&BASE64, &text), unbase64(&BASE64_URL, &text));
        }
    }
}
