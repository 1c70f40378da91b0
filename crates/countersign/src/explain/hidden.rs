//! What is taken out of an explanation: what would let its reader send the request again.

use std::cmp::Reverse;
use std::ops::Range;

use countersign_core::secret::MadeSecret;
use countersign_core::signature::{Profile, Trace};

/// MACs that are shorter are none that could be good: of those only the fields are hidden that they were read from.
const SHORTEST_MAC: usize = 16;

/// And so are those that are longer than any in any encoding, which would take long to search for: base64 of 128 digits has 172.
const LONGEST_MAC: usize = 176;

/// Leaves of each MAC only its beginning, in everything that it was read from and wherever else it stands in another encoding
/// or none: a request that was refused can become good by waiting. And takes out secrets of ours.
pub(super) fn hide_macs(trace: &mut Trace, profile: &Profile) {
    let is_mac = |field: &str| field.strip_suffix("[]").unwrap_or(field) == profile.mac_field();
    let mut macs: Vec<String> = trace.fields.iter().filter(|(field, _)| is_mac(field)).map(|(_, mac)| folded(mac)).collect();
    macs.retain(|mac| (SHORTEST_MAC..=LONGEST_MAC).contains(&mac.len()));
    macs.sort_unstable();
    macs.dedup();
    for (_, value) in trace.fields.iter_mut().filter(|(field, _)| profile.reads_mac_from(field)) {
        *value = shortened(value);
    }
    let named = trace.fields.iter_mut().chain(&mut trace.pieces).map(|(_, text)| text);
    for bytes in named.chain(&mut trace.strings_to_sign) {
        hide(bytes, &macs);
        if let Ok(text) = std::str::from_utf8(bytes) {
            *bytes = without_secrets(text).into_bytes();
        }
    }
}

/// The beginning of a MAC, if it is text.
fn shortened(mac: &[u8]) -> Vec<u8> {
    let beginning = mac.get(..8).filter(|beginning| mac.len() >= SHORTEST_MAC && beginning.is_ascii()).unwrap_or_default();
    [beginning, b"<signature>"].concat()
}

/// Shortens MACs wherever they stand.
fn hide(text: &mut Vec<u8>, macs: &[String]) {
    let read = Read::of(text).0;
    let plain: String = read.iter().map(|(byte, _, _)| fold(*byte)).collect();
    // Each is searched for in one pass, however nearly it is everywhere.
    let places = macs.iter().flat_map(|mac| plain.match_indices(mac.as_str()).map(|(at, mac)| at..at.saturating_add(mac.len())));
    let mut places: Vec<Range<usize>> = places.collect();
    places.sort_unstable_by_key(|place| (place.start, Reverse(place.end)));
    let (mut from, mut over) = (0, 0);
    let mut shown = Vec::new();
    for place in places {
        if place.start < over {
            continue;
        }
        over = place.end;
        let (start, end) = Read::range(read.get(place).unwrap_or_default());
        shown.extend_from_slice(text.get(from..start).unwrap_or_default());
        shown.extend(shortened(text.get(start..end).unwrap_or_default()));
        from = end;
    }
    if from > 0 {
        shown.extend_from_slice(text.get(from..).unwrap_or_default());
        *text = shown;
    }
}

/// A MAC as it is searched for. Without padding, which is perhaps left out.
fn folded(mac: &[u8]) -> String {
    let folded: String = Read::of(mac).0.into_iter().map(|(byte, _, _)| fold(byte)).collect();
    folded.trim_end_matches('=').to_owned()
}

/// Letters of both cases are one here, as hexadecimal digits are; and so are both alphabets of base64, and a plus that was
/// taken for a space. What is not ASCII is in no MAC.
const fn fold(byte: u8) -> char {
    match byte {
        b'-' | b' ' => '+',
        b'_' => '/',
        0x80.. => '\0',
        byte => byte.to_ascii_lowercase() as char,
    }
}

/// A text with its percent-encoding read, and for each byte where it stood.
struct Read(Vec<(u8, usize, usize)>);

impl Read {
    /// Reads encodings of encodings as well, as schemes that sign encoded texts have them; not as many as a text can nest.
    fn of(text: &[u8]) -> Self {
        let plain = text.iter().enumerate().map(|(at, byte)| (*byte, at, at.saturating_add(1))).collect();
        Self((0..3).fold(plain, |read: Vec<_>, _| Self::once(&read)))
    }

    fn once(mut rest: &[(u8, usize, usize)]) -> Vec<(u8, usize, usize)> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut read = Vec::with_capacity(rest.len());
        while let [first, after @ ..] = rest {
            if let ((b'%', start, _), [(high, ..), (low, _, end), after @ ..]) = (first, after)
                && let (Some(high), Some(low)) = (digit(*high), digit(*low))
            {
                read.push((high << 4 | low, *start, *end));
                rest = after;
            } else {
                read.push(*first);
                rest = after;
            }
        }
        read
    }

    /// Where a part of it stood.
    fn range(part: &[(u8, usize, usize)]) -> (usize, usize) {
        let (start, end) = (part.first().map_or(0, |(_, start, _)| *start), part.last().map_or(0, |(_, _, end)| *end));
        (start, end)
    }
}

/// The name of a parameter, as the schemes read it.
pub(super) fn read_name(name: &str) -> Vec<u8> {
    Read::of(name.as_bytes()).0.into_iter().map(|(byte, _, _)| byte).collect()
}

/// A text without secrets of ours, which clients put where a key id belongs.
pub(super) fn without_secrets(text: &str) -> String {
    let read = Read::of(text.as_bytes()).0;
    let mut shown = String::with_capacity(text.len());
    let (mut from, mut rest) = (0, read.as_slice());
    while !rest.is_empty() {
        let begins = |prefix: &str| prefix.len() <= rest.len() && rest.iter().zip(prefix.bytes()).all(|((byte, _, _), of)| *byte == of);
        let length = MadeSecret::ALL.into_iter().map(MadeSecret::prefix).find(|prefix| begins(prefix)).map_or(0, str::len);
        if length == 0 {
            rest = rest.get(1..).unwrap_or_default();
            continue;
        }
        rest = rest.get(length..).unwrap_or_default();
        let random = rest.iter().take_while(|(byte, _, _)| byte.is_ascii_alphanumeric()).count();
        if let Some((random, after)) = rest.split_at_checked(random).filter(|_| random >= 32) {
            let (start, end) = Read::range(random);
            shown.push_str(text.get(from..start).unwrap_or_default());
            shown.push_str("<secret>");
            (from, rest) = (end, after);
        }
    }
    shown.push_str(text.get(from..).unwrap_or_default());
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_not_shown_wherever_they_stand() {
        for kind in MadeSecret::ALL {
            let (prefix, random) = (kind.prefix(), "0a".repeat(36));
            let text = format!("a ä {prefix}{random}&{prefix}{} {prefix}short", "1".repeat(40));
            assert_eq!(without_secrets(&text), format!("a ä {prefix}<secret>&{prefix}<secret> {prefix}short"));
            let encoded = prefix.replace('_', "%5F");
            assert_eq!(without_secrets(&format!("/x?k={encoded}{random}")), format!("/x?k={encoded}<secret>"));
            assert_eq!(without_secrets(prefix), prefix);
        }
        assert_eq!(without_secrets("csx_%zz%"), "csx_%zz%");
    }

    #[test]
    fn what_nests_without_end_is_read_in_bounded_time() {
        let text = "%25".repeat(20_000) + &"25".repeat(20_000);
        assert_eq!(without_secrets(&text), text);
    }

    #[test]
    fn of_two_macs_at_one_place_the_longer_one_is_hidden() {
        let macs = [folded(b"aaaaaaaaaaaaaaaaaaaa"), folded(b"aaaaaaaaaaaaaaaaaaaabbbb")];
        let mut text = b"x aaaaaaaaaaaaaaaaaaaabbbb y aaaaaaaaaaaaaaaaaaaaaaaa".to_vec();
        hide(&mut text, &macs);
        assert_eq!(String::from_utf8(text).unwrap(), "x aaaaaaaa<signature> y aaaaaaaa<signature>aaaa");
    }

    #[test]
    fn a_mac_is_found_in_every_encoding() {
        let mac = folded(b"K60sehaGMiaW8/HCu0v8HP0+0/Q=");
        for other in [
            "K60sehaGMiaW8/HCu0v8HP0+0/Q=",
            "K60sehaGMiaW8%2FHCu0v8HP0%2b0/Q%3D",
            "K60sehaGMiaW8%252fHCu0v8HP0%252B0%252FQ",
            "K60sehaGMiaW8_HCu0v8HP0-0_Q",
        ] {
            assert_eq!(folded(other.as_bytes()), mac, "{other}");
            let mut text = format!("a={other}&b=ä{other}").into_bytes();
            hide(&mut text, std::slice::from_ref(&mac));
            let text = String::from_utf8(text).unwrap();
            assert!(
                text.starts_with("a=K60sehaG<signature>") && text.contains("&b=äK60sehaG<signature>") && !text.contains("MiaW8"),
                "{text}"
            );
        }
        let mut other = b"K60sehaGMiaW8/HCu0v8HP0+0/R=%".to_vec();
        let before = other.clone();
        hide(&mut other, &[mac]);
        assert_eq!(other, before);
    }
}
