//! `pick`: names for what stands between fixed texts, as in `{id}/{date}/{rest}`.

use std::ops::Range;

use super::alphabet::Alphabet;
use super::text::find;

/// The most captures of a pattern.
const MOST: usize = 16;

/// A pattern of fixed texts with captures between them.
///
/// Each capture is as short as possible: it ends where the text behind it first stands. The last one takes the rest if nothing
/// stands behind it. Nothing is tried twice: when the text behind the last capture first stands before the end, the value does
/// not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    /// What stands in front of the first capture.
    start: Box<[u8]>,
    captures: Box<[Capture]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Capture {
    name: Box<str>,
    may_be_empty: bool,
    /// What stands behind it. Empty only behind the last one.
    until: Box<[u8]>,
}

impl Pattern {
    /// Reads a pattern. `{name}` is a capture that is not empty and `{name?}` one that may be; `{{` and `}}` are braces. Names
    /// are of ASCII letters, digits, `_` and `-`, and no two are the same in another case.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        let (mut start, mut captures, mut text) = (None, Vec::<Capture>::new(), Vec::new());
        let mut rest = pattern;
        while let Some(character) = rest.chars().next() {
            let after = rest.split_at_checked(character.len_utf8()).map_or("", |(_, after)| after);
            if character == '{' && !after.starts_with('{') {
                let (name, after) = after.split_once('}').ok_or_else(|| format!("a brace is not closed in {pattern}"))?;
                end_text(&mut start, &mut captures, std::mem::take(&mut text))?;
                captures.push(capture(name, &captures)?);
                rest = after;
                continue;
            }
            rest = match character {
                '{' | '}' => {
                    after.strip_prefix(character).ok_or_else(|| format!("a brace is written twice if it is text, in {pattern}"))?
                }
                _ => after,
            };
            text.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        match captures.last_mut() {
            Some(last) => last.until = text.into(),
            None => return Err(format!("{pattern} names nothing: a name stands in braces")),
        }
        Ok(Self { start: start.unwrap_or_default(), captures: captures.into() })
    }

    /// The names, in order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.captures.iter().map(|capture| &*capture.name)
    }

    /// Where the captures stand, in the order of the names. `None` when the value does not fit.
    pub(super) fn pick(&self, value: &[u8]) -> Option<Vec<Range<usize>>> {
        let mut rest = value.strip_prefix(&*self.start)?;
        let mut ranges = Vec::with_capacity(self.captures.len());
        for capture in &*self.captures {
            let length = if capture.until.is_empty() { rest.len() } else { find(rest, &capture.until)? };
            if length == 0 && !capture.may_be_empty {
                return None;
            }
            let from = value.len().checked_sub(rest.len())?;
            ranges.push(from..from.checked_add(length)?);
            rest = rest.get(length.checked_add(capture.until.len())?..)?;
        }
        rest.is_empty().then_some(ranges)
    }

    /// What a capture can be made of, when the value is made of `input`: not of the byte that ends it.
    pub(super) fn alphabet(&self, name: &str, input: Alphabet) -> Alphabet {
        match self.captures.iter().find(|capture| capture.name.eq_ignore_ascii_case(name)).map(|capture| &*capture.until) {
            Some([byte]) => input.minus(Alphabet::of(&[*byte])),
            _ => input,
        }
    }
}

/// A text ends where a capture starts: it is what the capture before it ends at.
fn end_text(start: &mut Option<Box<[u8]>>, captures: &mut [Capture], text: Vec<u8>) -> Result<(), String> {
    match captures.last_mut() {
        None => *start = Some(text.into()),
        Some(last) if text.is_empty() => return Err(format!("text must stand behind {{{}}}, or nobody knows where it ends", last.name)),
        Some(last) => last.until = text.into(),
    }
    Ok(())
}

fn capture(name: &str, others: &[Capture]) -> Result<Capture, String> {
    let (name, may_be_empty) = name.strip_suffix('?').map_or((name, false), |name| (name, true));
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')) {
        return Err(format!("{{{name}}} is no name: letters, digits, _ and - make one"));
    }
    if others.iter().any(|other| other.name.eq_ignore_ascii_case(name)) {
        return Err(format!("{{{name}}} is there twice"));
    }
    if others.len() == MOST {
        return Err(format!("at most {MOST} names can be picked"));
    }
    Ok(Capture { name: name.into(), may_be_empty, until: Box::default() })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn picked<'v>(pattern: &str, value: &'v str) -> Option<Vec<&'v str>> {
        let ranges = Pattern::parse(pattern).unwrap().pick(value.as_bytes())?;
        Some(ranges.into_iter().map(|range| value.get(range).unwrap()).collect())
    }

    #[test]
    fn the_parts_of_real_credentials_are_named() {
        for (pattern, value, parts) in [
            (
                "{id}/{date}/{region}/{service}/aws4_request",
                "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request",
                vec!["AKIDEXAMPLE", "20150830", "us-east-1", "service"],
            ),
            (
                "{id}:{sig}",
                "44CF9590006BF252F707:jZNOcbfWmD/A/f3hSvVzXZjM2HU=",
                vec!["44CF9590006BF252F707", "jZNOcbfWmD/A/f3hSvVzXZjM2HU="],
            ),
            ("{id}\\{exp}\\{mac}\\{ext?}", "123456\\4519311458\\bi+/=\\", vec!["123456", "4519311458", "bi+/=", ""]),
            (
                "{prefix}-HMAC-{hash} Credential={id}/{date}/{scope}, SignedHeaders={names}, Signature={sig}",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20110909/us-east-1/host/aws4_request, SignedHeaders=date;host, Signature=b27c",
                vec!["AWS4", "SHA256", "AKIDEXAMPLE", "20110909", "us-east-1/host/aws4_request", "date;host", "b27c"],
            ),
            (
                "bce-auth-v1/{id}/{ts}/{life}/{names?}/{sig}",
                "bce-auth-v1/ak/2015-04-27T08:23:49Z/1800//d74a",
                vec!["ak", "2015-04-27T08:23:49Z", "1800", "", "d74a"],
            ),
            ("{id}/{rest}", "a/b/c", vec!["a", "b/c"]),
            ("{{{a}}}", "{x}", vec!["x"]),
            ("{all}", "x", vec!["x"]),
            ("{all?}", "", vec![""]),
        ] {
            assert_eq!(picked(pattern, value), Some(parts), "{pattern}");
        }
    }

    #[test]
    fn a_value_that_does_not_fit_gives_nothing() {
        for (pattern, value) in [
            ("{id}:{sig}", "id"),
            ("{id}:{sig}", ":sig"),
            ("{id}:{sig}", "id:"),
            ("{id}:{sig}", ""),
            ("{id}/aws4_request", "a/aws4_request/b"),
            ("{id}/aws4_request", "a/aws4_request/aws4_request"),
            ("{id}aa", "xaaa"),
            ("x{id}", "yid"),
            ("x{id?}", ""),
            ("{all}", ""),
        ] {
            assert_eq!(picked(pattern, value), None, "{pattern} {value:?}");
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for (pattern, says) in [
            ("", "names nothing"),
            ("text", "names nothing"),
            ("{a}{b}", "behind {a}"),
            ("{a?}{b}", "behind {a}"),
            ("{a", "not closed"),
            ("a}", "twice if it is text"),
            ("{}", "no name"),
            ("{?}", "no name"),
            ("{a b}", "no name"),
            ("{ä}", "no name"),
            ("{a}/{A}", "there twice"),
            ("{a}.{b}.{c}.{d}.{e}.{f}.{g}.{h}.{i}.{j}.{k}.{l}.{m}.{n}.{o}.{p}.{q}", "at most 16"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(says), "{pattern}: {error}");
        }
    }

    #[test]
    fn a_capture_cannot_hold_the_byte_that_ends_it() {
        let pattern = Pattern::parse("{id}/{date}, {rest}").unwrap();
        assert_eq!(pattern.names().collect::<Vec<_>>(), ["id", "date", "rest"]);
        assert_eq!(pattern.alphabet("ID", Alphabet::of(b"/, a")), Alphabet::of(b", a"));
        assert_eq!(pattern.alphabet("date", Alphabet::of(b"/, a")), Alphabet::of(b"/, a"));
        assert_eq!(pattern.alphabet("rest", Alphabet::of(b"/, a")), Alphabet::of(b"/, a"));
    }

    proptest! {
        /// What was picked, put back into the pattern, is the value.
        #[test]
        fn nothing_is_lost(value in "[ab/:]{0,12}") {
            for (pattern, between) in [("{x}/{y?}:/{z}", ["/", ":/"]), ("{x?}:{y}/{z?}", [":", "/"])] {
                let Some(parts) = picked(pattern, &value) else { continue };
                prop_assert_eq!(format!("{}{}{}{}{}", parts[0], between[0], parts[1], between[1], parts[2]), value.clone());
                prop_assert!(!parts[0].contains(between[0]) && !parts[1].contains(between[1]));
            }
        }

        #[test]
        fn any_text_is_a_pattern_or_is_not(pattern in "[{}?a-c/]{0,12}|.{0,12}", value in "[a-c/]{0,12}|.{0,12}") {
            if let Ok(pattern) = Pattern::parse(&pattern) {
                let ranges = pattern.pick(value.as_bytes());
                prop_assert!(ranges.is_none_or(|ranges| ranges.len() == pattern.names().count()));
            }
        }
    }
}
