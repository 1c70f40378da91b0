//! One parameter of the query (RFC 9421 section 2.2.8): read as HTML forms are, written in one canonical encoding.

use super::Wrong;

/// Writes the value of the parameter `name`, which is in canonical encoding itself.
///
/// A parameter that comes twice is refused: upstreams differ in which one counts.
pub(super) fn write(name: &str, query: &str, text: &mut String) -> Result<(), Wrong> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let mut values = pairs.filter(|(encoded, _)| decode(encoded).flat_map(encode).eq(name.bytes())).map(|(_, value)| value);
    let (Some(value), rest) = (values.next(), values.next()) else { return Err("there is no such parameter".into()) };
    if rest.is_some() {
        return Err("the parameter comes more than once: sign @query instead".into());
    }
    let decoded: Vec<u8> = decode(value).collect();
    if std::str::from_utf8(&decoded).is_err() {
        return Err("the value is not UTF-8: sign @query instead".into());
    }
    text.extend(decoded.into_iter().flat_map(encode).map(char::from));
    Ok(())
}

/// Decodes as the URL standard does for `application/x-www-form-urlencoded`: a `%` without two digits stands for itself.
fn decode(encoded: &str) -> impl Iterator<Item = u8> {
    let mut rest = encoded.as_bytes();
    std::iter::from_fn(move || {
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..).unwrap_or_default()),
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Percent-encodes all but `A-Z a-z 0-9 * - . _`, with upper-case digits.
fn encode(byte: u8) -> impl Iterator<Item = u8> {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let stays = byte.is_ascii_alphanumeric() || matches!(byte, b'*' | b'-' | b'.' | b'_');
    let digit = |value: u8| DIGITS.get(usize::from(value)).copied();
    let bytes = if stays { [Some(byte), None, None] } else { [Some(b'%'), digit(byte >> 4), digit(byte & 15)] };
    bytes.into_iter().flatten()
}
