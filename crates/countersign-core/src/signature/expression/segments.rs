//! Takes the text of an expression apart: at its `|`, `:` and commas, with quotes kept whole.

use std::ops::Range;

use super::parse::{BadExpression, bad};

/// One part of an expression between `|`.
pub(super) struct Segment<'t> {
    pub(super) at: Range<usize>,
    pub(super) name: &'t str,
    pub(super) colon: bool,
    pub(super) arguments: Vec<Vec<u8>>,
}

impl Segment<'_> {
    /// Its argument, if there is exactly one and it is text.
    pub(super) fn one_argument(&self) -> Option<String> {
        <&[Vec<u8>; 1]>::try_from(self.arguments.as_slice())
            .ok()
            .and_then(|[one]| String::from_utf8(one.clone()).ok())
            .filter(|s| !s.is_empty())
    }
}

/// Splits at `|` outside of quotes, and each part at its `:` and commas.
pub(super) fn segments(text: &str) -> Result<Vec<Segment<'_>>, BadExpression> {
    let mut segments = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let length = unquoted(rest, '|').unwrap_or(rest.len());
        let written = rest.get(..length).unwrap_or_default();
        let lead = written.len() - written.trim_start().len();
        let part = written.trim();
        let at = start + lead..start + lead + part.len();
        if part.is_empty() {
            return Err(bad(at, "an expression or filter is missing here".into()));
        }
        let (name, arguments) = part.split_once(':').map_or((part, None), |(name, arguments)| (name.trim_end(), Some(arguments)));
        let arguments_at = at.end - arguments.map_or(0, str::len);
        let colon = arguments.is_some();
        let arguments = arguments.map(|text| read_arguments(text, arguments_at)).transpose()?.unwrap_or_default();
        segments.push(Segment { at, name, colon, arguments });
        start += length + 1;
        if start > text.len() {
            return Ok(segments);
        }
    }
}

/// The first `wanted` that is not in quotes.
fn unquoted(text: &str, wanted: char) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '\'' => quoted = !quoted,
            c if c == wanted && !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

/// The end of an expression in a template: its `}`.
pub(super) fn closing(inside: &str) -> Option<usize> {
    unquoted(inside, '}')
}

/// `'a','b'` or bare words.
fn read_arguments(text: &str, at: usize) -> Result<Vec<Vec<u8>>, BadExpression> {
    let mut arguments = Vec::new();
    let mut start = 0;
    loop {
        let rest = text.get(start..).unwrap_or_default();
        let length = unquoted(rest, ',').unwrap_or(rest.len());
        let word = rest.get(..length).unwrap_or_default().trim();
        let place = at + start..at + start + length;
        arguments.push(match word.strip_prefix('\'') {
            Some(inside) => {
                let inside = inside.strip_suffix('\'').ok_or_else(|| bad(place.clone(), "a quote is not closed".into()))?;
                unescape(inside).ok_or_else(|| bad(place, r"the escapes in quotes are \n \t \0 \\ and \'".into()))?
            }
            None if word.is_empty() || word.contains('\'') => {
                return Err(bad(place, "an argument is missing or has a quote inside".into()));
            }
            None => word.as_bytes().to_vec(),
        });
        start += length + 1;
        if start > text.len() {
            return Ok(arguments);
        }
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'0' => 0,
                same @ (b'\\' | b'\'') => same,
                _ => return None,
            },
            b'\'' => return None,
            other => other,
        });
    }
    Some(out)
}
