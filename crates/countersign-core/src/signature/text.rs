//! What schemes do to text before they sign it. Everything is ASCII: bytes above are left alone.

use std::ops::Range;

use super::bytes::{Bytes, Growing};

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Letters to lower case. Most values are in lower case already and stay lent.
pub(super) fn lower(bytes: Bytes<'_>) -> Bytes<'_> {
    if !bytes.as_slice().iter().any(u8::is_ascii_uppercase) {
        return bytes;
    }
    Bytes::collect(bytes.as_slice().iter().map(u8::to_ascii_lowercase))
}

/// Letters to upper case.
pub(super) fn upper(bytes: Bytes<'_>) -> Bytes<'_> {
    if !bytes.as_slice().iter().any(u8::is_ascii_lowercase) {
        return bytes;
    }
    Bytes::collect(bytes.as_slice().iter().map(u8::to_ascii_uppercase))
}

/// Without spaces and tabs at both ends.
pub(super) fn trim(bytes: Bytes<'_>) -> Bytes<'_> {
    let range = trimmed(bytes.as_slice());
    bytes.sub(range)
}

/// Where `text` is without spaces and tabs at both ends.
pub(super) fn trimmed(text: &[u8]) -> Range<usize> {
    let blank = |byte: &&u8| is_blank(**byte);
    let end = text.len().saturating_sub(text.iter().rev().take_while(blank).count());
    let start = text.iter().take_while(blank).count().min(end);
    start..end
}

/// Each run of spaces and tabs becomes one space; with `quotes`, not between a double quote and the next, or the end.
pub(super) fn squeeze(bytes: Bytes<'_>, quotes: bool) -> Bytes<'_> {
    let text = bytes.as_slice();
    if !text.contains(&b'\t') && !text.array_windows().any(|pair| pair == b"  ") {
        return bytes;
    }
    let mut out = Growing::with_room(text.len());
    let (mut quoted, mut after_blank) = (false, false);
    for byte in text {
        let blank = is_blank(*byte) && !quoted;
        if !blank {
            out.push(*byte);
        } else if !after_blank {
            out.push(b' ');
        }
        after_blank = blank;
        quoted ^= quotes && *byte == b'"';
    }
    out.finish()
}

/// `\` becomes `\\` and LF becomes `\n`.
pub(super) fn escape_lines(bytes: Bytes<'_>) -> Bytes<'_> {
    let text = bytes.as_slice();
    let changes = |byte: &&u8| matches!(byte, b'\\' | b'\n');
    let changing = text.iter().filter(changes).count();
    if changing == 0 {
        return bytes;
    }
    let mut out = Growing::with_room(text.len().saturating_add(changing));
    for byte in text {
        match byte {
            b'\\' => out.extend(b"\\\\"),
            b'\n' => out.extend(b"\\n"),
            _ => out.push(*byte),
        }
    }
    out.finish()
}

/// Every `from`, read from left to right, becomes `to`. `from` is not empty.
pub(super) fn replace<'v>(bytes: Bytes<'v>, from: &[u8], to: &[u8]) -> Bytes<'v> {
    let mut rest = bytes.as_slice();
    if find(rest, from).is_none() {
        return bytes;
    }
    let mut out = Growing::with_room(rest.len());
    while let Some((before, after)) = cut(rest, from) {
        out.extend(before);
        out.extend(to);
        rest = after;
    }
    out.extend(rest);
    out.finish()
}

/// Where `wanted` first stands in `text`.
pub(super) fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    match wanted {
        [] => Some(0),
        [byte] => text.iter().position(|other| other == byte),
        [first, ..] => {
            // Most bytes are not the first one of what is wanted, and need no comparison.
            let mut from = 0;
            loop {
                let rest = text.get(from..)?;
                let at = rest.iter().position(|other| other == first)?;
                if rest.get(at..)?.starts_with(wanted) {
                    return Some(from + at);
                }
                from += at + 1;
            }
        }
    }
}

/// What stands before and after the first `between`.
fn cut<'t>(text: &'t [u8], between: &[u8]) -> Option<(&'t [u8], &'t [u8])> {
    let (before, after) = text.split_at_checked(find(text, between)?)?;
    Some((before, after.get(between.len()..)?))
}

/// Where the credentials of an Authorization header stand, if they are of this scheme in any case (RFC 9110 section 11.4):
/// behind the name and at least one space.
pub(super) fn credentials(header: &[u8], scheme: &[u8]) -> Option<Range<usize>> {
    let (name, rest) = header.split_at_checked(scheme.len())?;
    let blanks = rest.iter().take_while(|byte| is_blank(**byte)).count();
    (name.eq_ignore_ascii_case(scheme) && blanks > 0).then(|| name.len().saturating_add(blanks)..header.len())
}

/// Joins runs of `/`, then removes dot segments (RFC 3986 section 5.2.4). A path that changes starts with `/`.
pub(super) fn normal_path(bytes: Bytes<'_>) -> Bytes<'_> {
    let path = bytes.as_slice();
    let mut segments = path.split(|byte| *byte == b'/');
    let normal = segments.next() == Some(b"") && {
        let last = segments.next_back();
        segments.all(|segment| !matches!(segment, b"" | b"." | b"..")) && !matches!(last, None | Some(b"." | b".."))
    };
    if normal {
        return bytes;
    }
    let mut kept: Vec<&[u8]> = Vec::new();
    // Whether the path ends in a `/`: behind a dot segment it does, as it does behind a `/`.
    let mut open = true;
    for segment in path.split(|byte| *byte == b'/') {
        open = matches!(segment, b"" | b"." | b"..");
        match segment {
            b"" | b"." => {}
            b".." => drop(kept.pop()),
            _ => kept.push(segment),
        }
    }
    let mut out = Growing::with_room(path.len().saturating_add(1));
    for segment in &kept {
        out.push(b'/');
        out.extend(segment);
    }
    if open || kept.is_empty() {
        out.push(b'/');
    }
    out.finish()
}
