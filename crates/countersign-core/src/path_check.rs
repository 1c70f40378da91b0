//! What the path of a request may hold. One pass over the bytes; nothing is decoded, nothing is repaired.

use crate::code::Code;
use crate::request_view::Relax;

/// Judges `path` (the target up to `?`). What no route can allow is an error; what a route may relax is returned.
///
/// The path must be visible ASCII that starts with `/`. A segment begins behind `/` and, because a lenient upstream might
/// decode it, behind `%2f`; it ends there too, and at `;`.
pub(crate) fn check(path: &str) -> Result<Relax, Code> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(Code::BadTarget);
    }
    let mut found = Relax::default();
    let class = |byte: &u8| CLASS.get(usize::from(*byte)).copied().unwrap_or(Class::Never);
    let mut rest = bytes;
    while let Some((byte, after)) = rest.iter().position(|byte| class(byte) != Class::Plain).and_then(|at| rest.get(at..)?.split_first()) {
        rest = after;
        match class(byte) {
            Class::Slash => segment_begins(rest, &mut found)?,
            Class::Percent => rest = percent(after, &mut found)?,
            Class::Semicolon => found.insert(Relax::PATH_PARAMETER),
            Class::Backslash => return Err(Code::Backslash),
            Class::Control => return Err(Code::ControlInPath),
            Class::Never | Class::Plain => return Err(Code::BadTarget),
        }
    }
    Ok(found)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Slash,
    Percent,
    Semicolon,
    Backslash,
    Control,
    Never,
}

static CLASS: [Class; 256] = {
    let mut table = [Class::Plain; 256];
    let mut byte = 0;
    #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, within the length of the table")]
    while byte < 256 {
        table[byte] = match byte as u8 {
            b'/' => Class::Slash,
            b'%' => Class::Percent,
            b';' => Class::Semicolon,
            b'\\' => Class::Backslash,
            0..=0x1f | 0x7f => Class::Control,
            // RFC 3986 section 2 has no place for these; the rest of what it excludes, browsers send as it is.
            b' ' | b'"' | b'<' | b'>' | b'`' | b'#' | b'?' | 0x80.. => Class::Never,
            _ => Class::Plain,
        };
        byte += 1;
    }
    table
};

/// Judges the first bytes of a segment: an empty one, or one of dots only.
fn segment_begins(mut rest: &[u8], found: &mut Relax) -> Result<(), Code> {
    match rest {
        [b'/' | b';', ..] | [b'%', b'2', b'f' | b'F', ..] => {
            found.insert(Relax::EMPTY_SEGMENT);
            return Ok(());
        }
        [b'.', ..] | [b'%', b'2', b'e' | b'E', ..] => {}
        _ => return Ok(()),
    }
    for _ in 0..2 {
        rest = match rest {
            [b'.', after @ ..] | [b'%', b'2', b'e' | b'E', after @ ..] => after,
            _ => break,
        };
        let ends = matches!(rest, [] | [b'/' | b'\\' | b';', ..] | [b'%', b'2', b'f' | b'F', ..] | [b'%', b'5', b'c' | b'C', ..])
            || matches!(rest, [b'%', b'3', b'b' | b'B', ..]);
        if ends {
            return Err(Code::DotSegment);
        }
    }
    Ok(())
}

/// Judges what follows a `%` and returns what follows that.
fn percent<'p>(after: &'p [u8], found: &mut Relax) -> Result<&'p [u8], Code> {
    let (byte, rest) = hex_pair(after).ok_or(Code::BadPercent)?;
    match byte {
        b'/' => {
            found.insert(Relax::ENCODED_SLASH);
            segment_begins(rest, found)?;
        }
        b'\\' => return Err(Code::Backslash),
        b';' => found.insert(Relax::PATH_PARAMETER),
        // Decoding twice would make something else of it.
        b'%' if hex_pair(rest).is_some() => return Err(Code::BadPercent),
        0..=0x1f | 0x7f => return Err(Code::ControlInPath),
        b'-' | b'.' | b'_' | b'~' => return Err(Code::EncodedUnreserved),
        _ if byte.is_ascii_alphanumeric() => return Err(Code::EncodedUnreserved),
        0x80.. => return encoded_character(byte, rest),
        _ => {}
    }
    Ok(rest)
}

/// Reads the rest of one percent-encoded UTF-8 character (RFC 3629: no overlong forms, no surrogates).
fn encoded_character(first: u8, mut rest: &[u8]) -> Result<&[u8], Code> {
    let mut bytes = [first, 0, 0, 0];
    let length: usize = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Err(Code::BadPathText),
    };
    for slot in bytes.iter_mut().take(length).skip(1) {
        let Some((b'%', after)) = rest.split_first() else { return Err(Code::BadPathText) };
        (*slot, rest) = hex_pair(after).ok_or(Code::BadPercent)?;
    }
    let text = std::str::from_utf8(bytes.get(..length).unwrap_or_default()).map_err(|_| Code::BadPathText)?;
    if text.contains(char::is_control) { Err(Code::ControlInPath) } else { Ok(rest) }
}

fn hex_pair(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, rest @ ..] = bytes else { return None };
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    Some((digit(*high)? << 4 | digit(*low)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_route_can_allow_these() {
        for (code, paths) in [
            (Code::BadTarget, &["", "a", "*", "a/b", "/a b", "/a#b", "/\u{e9}", "/\u{ff0f}", "/a\"b", "/<", "/>", "/`"][..]),
            (Code::Backslash, &["/a\\b", "/\\", "/a%5cb", "/a%5Cb", "/..%c3%a4/\\"]),
            (Code::ControlInPath, &["/a\0", "/a\t", "/a\x7f", "/a%00", "/a%0a", "/a%0D", "/a%09", "/a%7f", "/a%c2%80"]),
            (
                Code::BadPercent,
                &["/%", "/a%", "/a%2", "/%zz", "/%2", "/%u002f", "/a%252f", "/a%2500", "/a%25%32", "/%%30", "/%e2%8", "/%-1", "/%+1"],
            ),
            (
                Code::DotSegment,
                &[
                    "/.",
                    "/..",
                    "/./a",
                    "/../a",
                    "/a/.",
                    "/a/..",
                    "/a/../b",
                    "/a/.%2e/b",
                    "/a/%2e%2e/b",
                    "/a/%2E./b",
                    "/%2e",
                    "/a/..;/b",
                    "/a/.;x=y",
                    "/a/..%3b/b",
                    "/a/..%2fb",
                    "/a%2f..%2fb",
                    "/a%2f.",
                    "/a/..\\b",
                    "/a/..%5cb",
                    "/;/../a",
                ],
            ),
            (Code::EncodedUnreserved, &["/%61", "/api/%763.0/x", "/a%2db", "/a%2Eb", "/a%5fb", "/a%7eb", "/%30", "/...%2e", "/.%2ea"]),
            (Code::BadPathText, &["/%c0%af", "/%ff", "/%80", "/%e2%82", "/%e2a", "/%ed%a0%80", "/%f8%80%80%80", "/%f4%90%80%80", "/%c3/"]),
        ] {
            for path in paths {
                let got = check(path);
                let expected: &[Code] = match *path {
                    // Two things are wrong with it; either is an answer.
                    "/a%25%32" => &[Code::BadPercent, Code::EncodedUnreserved],
                    "/..%c3%a4/\\" => &[Code::Backslash],
                    _ => &[code],
                };
                assert!(got.is_err_and(|got| expected.contains(&got)), "{path:?}: {got:?}");
            }
        }
    }

    #[test]
    fn a_route_may_allow_these_by_name() {
        for (code, paths) in [
            (Code::EncodedSlash, &["/a%2fb", "/a%2Fb", "/a%2f"][..]),
            (Code::PathParameter, &["/a;b=c", "/a;", "/a%3bb", "/a%3B"]),
            (Code::EmptySegment, &["//", "//a", "///a", "/a//b", "/a//", "//evil.example/a"]),
        ] {
            for path in paths {
                assert_eq!(check(path).unwrap().first(), Some(code), "{path}");
            }
        }
        // What becomes an empty segment once decoded or stripped is one already.
        for path in ["/%2fa", "/a/%2Fb", "/;/a", "/a/;x/b", "/a%2f/b", "/a%2f%2fb"] {
            assert!(check(path).unwrap().contains(Relax::EMPTY_SEGMENT), "{path}");
        }
    }

    #[test]
    fn ordinary_paths_are_let_through() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c",
            "/...",
            "/a/.../b",
            "/.well-known/jwks.json",
            "/a..b/c",
            "/..a",
            "/a.",
            "/a%20b",
            "/a%25",
            "/100%25/x",
            "/a%3fb",
            "/a%23b",
            "/%c3%a9",
            "/%F0%9F%98%80",
            "/a:b@c",
            "/a,b'(c)*!$&+=",
            "/a|b^{c}[d]",
            "/~user/-_",
            "/a%40b",
        ] {
            assert_eq!(check(path), Ok(Relax::default()), "{path}");
        }
    }

    proptest! {
        /// Whatever is let through means the same once decoded: no byte of structure appears, nothing decodes twice.
        #[test]
        fn an_accepted_path_has_one_reading(tail in "([/.;%a-c\\\\]|%2[5efEF]|%5[cC]|%[0-9a-f]{2}|\\.\\.){0,12}") {
            let path = format!("/{tail}");
            if check(&path) == Ok(Relax::default()) {
                let mut decoded = Vec::new();
                let mut rest = path.as_bytes();
                while let Some((&b, after)) = rest.split_first() {
                    let (b, after) = if b == b'%' { hex_pair(after).unwrap() } else { (b, after) };
                    decoded.push(b);
                    rest = after;
                }
                let decoded = String::from_utf8(decoded).unwrap();
                prop_assert_eq!(decoded.matches('/').count(), path.matches('/').count());
                prop_assert!(!decoded.contains(['\\', ';']) && !decoded.contains(char::is_control));
                prop_assert!(!decoded.contains("//"));
                prop_assert!(decoded.split('/').all(|s| s != "." && s != ".."));
                let twice = decoded.match_indices('%').any(|(at, _)| hex_pair(&decoded.as_bytes()[at + 1..]).is_some());
                // `%25` before two literal digits is refused; before an encoded digit the digit itself is refused.
                prop_assert!(!twice);
            }
        }
    }
}
