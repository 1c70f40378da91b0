//! Patterns for paths, in routes and in allow-list entries.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// A pattern for a path, matched segment by segment.
///
/// | written | matches |
/// |---|---|
/// | `orders` | this segment and no other |
/// | `*` as the last segment | the rest: whatever comes after the slash, also nothing (`/api/*` matches `/api/` and `/api/a/b`, not `/api`) |
/// | `*` before that | any one segment that is not empty |
/// | `v{digit}*`, `*.json` | one segment: `*` any run of characters, `{digit}` one digit |
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PathPattern {
    text: String,
    /// How many bytes at the start of the text stand for themselves.
    literal: usize,
    segments: Vec<Segment>,
}

/// Ordered from the most to the least specific.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Segment {
    Literal(String),
    Glob(Vec<Piece>),
    One,
    Rest,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Piece {
    Text(String),
    Digit,
    Run,
}

/// Why a text is not a path pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPathPattern {
    /// It does not start with `/`.
    #[error("a path pattern starts with /")]
    NoSlash,
    /// It is longer than 1024 bytes or has more than 64 segments.
    #[error("a path pattern has at most 1024 bytes and 64 segments")]
    TooLong,
    /// It holds something that no accepted path holds, so it could never match.
    #[error("no path that is let through holds {0:?}: leave it out")]
    NeverMatches(String),
    /// Braces around something unknown.
    #[error("{0:?} is not known: {{digit}} is the only word in braces")]
    UnknownWord(String),
}

impl PathPattern {
    /// Whether `path` (without the query, starting with `/`) matches.
    pub fn matches(&self, path: &str) -> bool {
        // Most patterns differ from a path at once.
        let starts = self.text.get(..self.literal).is_some_and(|literal| path.starts_with(literal));
        starts && self.matches_with(path, |pattern, text| pattern == text, |byte| byte)
    }

    /// Whether `path` matches when the case of ASCII letters is ignored on both sides.
    pub fn matches_folded(&self, path: &str) -> bool {
        self.matches_with(path, str::eq_ignore_ascii_case, |byte| byte.to_ascii_lowercase())
    }

    /// Whether the pattern stands for exactly one path.
    pub fn is_fixed(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    fn matches_with(&self, path: &str, same: impl Fn(&str, &str) -> bool, fold: impl Fn(u8) -> u8 + Copy) -> bool {
        let Some(mut rest) = path.strip_prefix('/') else { return false };
        let mut segments = self.segments.iter();
        loop {
            let Some(segment) = segments.next() else { return false };
            let parted = || match rest.bytes().position(|byte| byte == b'/').and_then(|at| rest.split_at_checked(at)) {
                Some((here, more)) => (here, more.get(1..)),
                None => (rest, None),
            };
            let (fits, more) = match segment {
                Segment::Rest => return true,
                Segment::Literal(text) => match rest.split_at_checked(text.len()) {
                    Some((here, "")) => (same(text, here), None),
                    Some((here, more)) => (same(text, here) && more.starts_with('/'), more.get(1..)),
                    None => return false,
                },
                Segment::Glob(pieces) => {
                    let (here, more) = parted();
                    (glob(pieces, here.as_bytes(), fold), more)
                }
                Segment::One => {
                    let (here, more) = parted();
                    (!here.is_empty(), more)
                }
            };
            if !fits {
                return false;
            }
            match more {
                Some(more) => rest = more,
                None => return segments.next().is_none(),
            }
        }
    }

    /// Orders patterns so that the more specific one comes first; equal only for patterns that match the same paths.
    pub fn by_specificity(&self, other: &Self) -> Ordering {
        self.segments.iter().zip(&other.segments).map(|(a, b)| compare(a, b)).find(|order| order.is_ne()).unwrap_or_else(|| {
            // The longer of two patterns with the same start names more.
            other.segments.len().cmp(&self.segments.len())
        })
    }
}

fn compare(a: &Segment, b: &Segment) -> Ordering {
    match (a, b) {
        (Segment::Glob(a), Segment::Glob(b)) => weight(b).cmp(&weight(a)).then_with(|| a.cmp(b)),
        _ => a.cmp(b),
    }
}

/// How much of a glob is fixed: literal bytes count double, digits once.
fn weight(pieces: &[Piece]) -> usize {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.len().saturating_mul(2),
            Piece::Digit => 1,
            Piece::Run => 0,
        })
        .sum()
}

/// Matches in time proportional to the product of both lengths at worst: only the last run is ever retried.
fn glob(pieces: &[Piece], mut text: &[u8], fold: impl Fn(u8) -> u8 + Copy) -> bool {
    let mut pieces = pieces;
    let mut retry: Option<(&[Piece], &[u8])> = None;
    loop {
        let step = match pieces.split_first() {
            None if text.is_empty() => return true,
            None => None,
            Some((Piece::Run, after)) => {
                retry = Some((after, text));
                Some((after, text))
            }
            Some((Piece::Digit, after)) => text.split_first().filter(|(b, _)| b.is_ascii_digit()).map(|(_, rest)| (after, rest)),
            Some((Piece::Text(literal), after)) => text
                .split_at_checked(literal.len())
                .filter(|(start, _)| start.iter().zip(literal.bytes()).all(|(a, b)| fold(*a) == fold(b)))
                .map(|(_, rest)| (after, rest)),
        };
        (pieces, text) = match (step, retry) {
            (Some(next), _) => next,
            (None, Some((after, from))) => {
                let Some((_, shorter)) = from.split_first() else { return false };
                retry = Some((after, shorter));
                (after, shorter)
            }
            (None, None) => return false,
        };
    }
}

impl FromStr for PathPattern {
    type Err = BadPathPattern;

    fn from_str(text: &str) -> Result<Self, BadPathPattern> {
        let inner = text.strip_prefix('/').ok_or(BadPathPattern::NoSlash)?;
        if text.len() > 1024 || inner.split('/').count() > 64 {
            return Err(BadPathPattern::TooLong);
        }
        if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '?' | '#' | '\\' | ';' | '"' | '<' | '>')) {
            return Err(BadPathPattern::NeverMatches(bad.to_string()));
        }
        let count = inner.split('/').count();
        let mut segments = Vec::with_capacity(count);
        for (i, segment) in inner.split('/').enumerate() {
            let last = i + 1 == count;
            if segment == "." || segment == ".." || (segment.is_empty() && !last) {
                return Err(BadPathPattern::NeverMatches(if segment.is_empty() { "//".into() } else { segment.into() }));
            }
            segments.push(match segment {
                "*" if last => Segment::Rest,
                "*" => Segment::One,
                _ => parse_segment(segment)?,
            });
        }
        Ok(Self { text: text.into(), literal: text.find(['*', '{']).unwrap_or(text.len()), segments })
    }
}

fn parse_segment(segment: &str) -> Result<Segment, BadPathPattern> {
    let mut pieces = Vec::new();
    let mut rest = segment;
    while let Some(at) = rest.find(['*', '{', '}']) {
        let (literal, special) = rest.split_at_checked(at).unwrap_or((rest, ""));
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal.into()));
        }
        if let Some(after) = special.strip_prefix('*') {
            if pieces.last() != Some(&Piece::Run) {
                pieces.push(Piece::Run);
            }
            rest = after;
        } else if let Some(after) = special.strip_prefix("{digit}") {
            pieces.push(Piece::Digit);
            rest = after;
        } else {
            return Err(BadPathPattern::UnknownWord(special.chars().take(40).collect()));
        }
    }
    if pieces.is_empty() {
        return Ok(Segment::Literal(segment.into()));
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest.into()));
    }
    Ok(Segment::Glob(pieces))
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> PathPattern {
        text.parse().unwrap()
    }

    #[test]
    fn segments_match_as_the_table_says() {
        for (written, good, bad) in [
            ("/", &["/"][..], &["/a", "//"][..]),
            ("/*", &["/", "/a", "/a/b"], &[]),
            ("/api/*", &["/api/", "/api/a", "/api/a/b"], &["/api", "/apis", "/apis/a"]),
            ("/api/*/x", &["/api/a/x"], &["/api//x", "/api/a/b/x", "/api/a/x/"]),
            ("/api/v{digit}*/*", &["/api/v3/a", "/api/v3.0/", "/api/v30beta/a/b"], &["/api/v/a", "/api/vx/a", "/api/v3"]),
            ("/files/*.json", &["/files/a.json", "/files/.json", "/files/a.json.json"], &["/files/a.jsonx", "/files/a/b.json"]),
            ("/a*b*c", &["/abc", "/axxbxxc", "/abbbc", "/abcbc"], &["/ab", "/abcd"]),
            ("/admin", &["/admin"], &["/administrator", "/admin/", "/Admin", "/admi", "/"]),
            ("/a/b/", &["/a/b/"], &["/a/b", "/a/b//", "/a/b/c", "/a/bc/"]),
            ("/abc/*/d", &["/abc/x/d"], &["/abc/x", "/ab\u{e9}/x/d", "/abc\u{e9}/x/d", "/abcd/x/d"]),
        ] {
            for path in good {
                assert!(pattern(written).matches(path), "{written} should match {path}");
            }
            for path in bad {
                assert!(!pattern(written).matches(path), "{written} should not match {path}");
            }
        }
    }

    #[test]
    fn folding_ignores_case_on_both_sides() {
        assert!(pattern("/Api/V{digit}*/*").matches_folded("/aPI/v3.0/X"));
        assert!(!pattern("/Api/*").matches("/api/x"));
    }

    #[test]
    fn patterns_that_cannot_match_are_refused() {
        for bad in ["", "api", "/a?b", "/a#b", "/a b", "/a//b", "/../a", "/./a", "/é", "/a;b", "/{id}/a", "/a}", "/a\\b"] {
            assert!(bad.parse::<PathPattern>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_more_specific_pattern_comes_first() {
        let mut patterns: Vec<_> =
            ["/*", "/api/*", "/api/v{digit}*/*", "/api/v3.0/*", "/api/*/x", "/api/v3.0/orders", "/api/v*/*"].map(pattern).into();
        patterns.sort_by(PathPattern::by_specificity);
        let order: Vec<_> = patterns.iter().map(PathPattern::as_str).collect();
        assert_eq!(order, ["/api/v3.0/orders", "/api/v3.0/*", "/api/v{digit}*/*", "/api/v*/*", "/api/*/x", "/api/*", "/*"]);
    }
}
