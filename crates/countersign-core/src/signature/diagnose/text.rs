//! Mistakes of the finished string to sign, and of the named pieces that are hashed into it.

use aws_lc_rs::digest::{SHA256, digest};

use super::super::encoding::{BASE64, base64, hex};
use super::super::expression::Piece;
use super::bench::Edit;
use super::change::{Area, Change, Trial};
use super::mistake::Mistake;

/// How many lines are left out or swapped, one after the other.
const MOST_LINES: usize = 24;

/// One change to a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TextChange {
    Append(&'static str),
    Prepend(&'static str),
    /// Without the line feed at its end.
    NoLastNewline,
    /// Another text for every line feed.
    Newlines(&'static str),
    /// Without the line of this number.
    WithoutLine(usize),
    /// An empty line for the one of this number.
    EmptyLine(usize),
    /// The line of this number and the next one.
    SwapLines(usize),
    Lower,
    Upper,
    Utf16,
    Base64,
    /// The hash of the text, as bytes or in hexadecimal.
    Hashed,
    HashedHex,
    /// Lines such as `name: value` and `name:value`.
    Replace(&'static str, &'static str),
    /// `Host: x` for `host: x`.
    CapitalNames,
    /// RFC 9421: without the parameter of this number in the last line.
    WithoutParameter(usize),
    /// RFC 9421: without the quotes around names.
    UnquotedNames,
}

impl TextChange {
    /// The changed text; `None` when it is the same.
    pub(super) fn apply(self, text: &[u8]) -> Option<Vec<u8>> {
        let changed = match self {
            Self::Append(end) => [text, end.as_bytes()].concat(),
            Self::Prepend(start) => [start.as_bytes(), text].concat(),
            Self::NoLastNewline => text.strip_suffix(b"\n")?.to_vec(),
            Self::Newlines(other) => replaced(text, b"\n", other.as_bytes()),
            Self::Replace(from, to) => replaced(text, from.as_bytes(), to.as_bytes()),
            Self::WithoutLine(number) => {
                let mut lines = lines(text);
                if lines.len() < 2 || number >= lines.len() {
                    return None;
                }
                lines.remove(number);
                lines.join(&b'\n')
            }
            Self::EmptyLine(number) => {
                let mut lines = lines(text);
                *lines.get_mut(number)? = b"";
                lines.join(&b'\n')
            }
            Self::SwapLines(number) => {
                let mut lines = lines(text);
                if number + 1 >= lines.len() {
                    return None;
                }
                lines.swap(number, number + 1);
                lines.join(&b'\n')
            }
            Self::Lower => text.to_ascii_lowercase(),
            Self::Upper => text.to_ascii_uppercase(),
            Self::Utf16 => std::str::from_utf8(text).ok()?.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            Self::Base64 => base64(&BASE64, text).as_slice().to_vec(),
            Self::Hashed => digest(&SHA256, text).as_ref().to_vec(),
            Self::HashedHex => hex(digest(&SHA256, text).as_ref()).as_slice().to_vec(),
            Self::CapitalNames => capital_names(text),
            Self::WithoutParameter(number) => without_parameter(text, number)?,
            Self::UnquotedNames => unquoted_names(text),
        };
        (changed != text).then_some(changed)
    }
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split(|byte| *byte == b'\n').collect()
}

pub(super) fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let Some(first) = from.first() else { return text.to_vec() };
    let mut rest = text;
    while let Some((before, after)) = rest.iter().position(|byte| byte == first).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(before);
        rest = match after.strip_prefix(from) {
            Some(after) => {
                out.extend_from_slice(to);
                after
            }
            None => {
                out.push(*first);
                after.get(1..).unwrap_or_default()
            }
        };
    }
    out.extend_from_slice(rest);
    out
}

/// Names of headers as HTTP libraries write them.
fn capital_names(text: &[u8]) -> Vec<u8> {
    let capital = |line: &[u8]| -> Vec<u8> {
        let name = line.iter().position(|byte| *byte == b':').filter(|_| line.first().is_some_and(u8::is_ascii_alphabetic));
        let (mut line, mut first) = (line.to_vec(), true);
        for byte in line.iter_mut().take(name.unwrap_or(0)) {
            if first {
                byte.make_ascii_uppercase();
            }
            first = *byte == b'-';
        }
        line
    };
    lines(text).into_iter().map(capital).collect::<Vec<_>>().join(&b'\n')
}

/// Where the list of components in the last line of a signature base ends, and the parameters begin.
fn parameters_of(text: &[u8]) -> Option<(usize, Vec<&[u8]>)> {
    let start = text.windows(b"\"@signature-params\": ".len()).rposition(|window| window == b"\"@signature-params\": ")?;
    let close = text.get(start..)?.iter().position(|byte| *byte == b')')? + start + 1;
    let parameters = text.get(close..)?.split(|byte| *byte == b';').skip(1).collect();
    Some((close, parameters))
}

fn without_parameter(text: &[u8], number: usize) -> Option<Vec<u8>> {
    let (close, mut parameters) = parameters_of(text)?;
    if number >= parameters.len() {
        return None;
    }
    parameters.remove(number);
    let mut changed = text.get(..close)?.to_vec();
    for parameter in parameters {
        changed.push(b';');
        changed.extend_from_slice(parameter);
    }
    Some(changed)
}

fn unquoted_names(text: &[u8]) -> Vec<u8> {
    let unquoted = |line: &[u8]| -> Vec<u8> {
        let parts = line.strip_prefix(b"\"").and_then(|rest| {
            let end = rest.iter().position(|byte| *byte == b'"')?;
            Some([rest.get(..end)?, rest.get(end + 1..)?].concat())
        });
        parts.unwrap_or_else(|| line.to_vec())
    };
    lines(text).into_iter().map(unquoted).collect::<Vec<_>>().join(&b'\n')
}

/// Mistakes of the whole string to sign. `text` is the right one.
pub(super) fn of_message(text: &[u8], is_builtin: bool) -> Vec<Trial> {
    let trial = |mistake, change| Trial::new(mistake, Area::Text, Change::Text(change));
    let mut all = vec![
        trial(Mistake::TrailingNewline, TextChange::Append("\n")).common(),
        trial(Mistake::TrailingNewline, TextChange::NoLastNewline).common(),
        trial(Mistake::TrailingNewline, TextChange::Append("\r\n")),
        trial(Mistake::LineEndings, TextChange::Newlines("\r\n")).common(),
        trial(Mistake::LiteralNewline, TextChange::Newlines("\\n")).common(),
        trial(Mistake::LinesJoined, TextChange::Newlines("")).detail("with nothing between the lines"),
        trial(Mistake::LinesJoined, TextChange::Newlines(" ")).detail("with spaces between the lines"),
        trial(Mistake::LinesJoined, TextChange::Newlines(",")).detail("with commas between the lines"),
        trial(Mistake::LinesJoined, TextChange::Newlines("|")).detail("with `|` between the lines"),
        trial(Mistake::LinesJoined, TextChange::Newlines("&")).detail("with `&` between the lines"),
        trial(Mistake::LinesJoined, TextChange::Newlines("\n\n")).detail("with an empty line after each"),
        trial(Mistake::SurroundingSpace, TextChange::Append(" ")),
        trial(Mistake::SurroundingSpace, TextChange::Prepend(" ")),
        trial(Mistake::SurroundingSpace, TextChange::Prepend("\n")),
        trial(Mistake::StringEncoded, TextChange::Prepend("\u{feff}")).detail("with a byte order mark"),
        trial(Mistake::StringEncoded, TextChange::Utf16).detail("as UTF-16"),
        trial(Mistake::StringEncoded, TextChange::Base64).detail("as Base64"),
        trial(Mistake::StringHashed, TextChange::HashedHex).detail("in hexadecimal"),
        trial(Mistake::StringHashed, TextChange::Hashed).detail("as bytes"),
        trial(Mistake::LetterCase, TextChange::Lower).detail("all of it in lower case"),
        trial(Mistake::LetterCase, TextChange::Upper).detail("all of it in upper case"),
    ];
    if is_builtin {
        all.extend(of_signature_base(text));
    }
    all.extend(of_lines(text, is_builtin).into_iter().map(|(mistake, change, detail)| trial(mistake, change).detail(detail)));
    all
}

/// Mistakes of a named piece of it.
pub(super) fn of_let(index: usize, name: &str, text: &[u8]) -> Vec<Trial> {
    let whole = [
        (Mistake::TrailingNewline, TextChange::Append("\n")),
        (Mistake::TrailingNewline, TextChange::NoLastNewline),
        (Mistake::LineEndings, TextChange::Newlines("\r\n")),
        (Mistake::LiteralNewline, TextChange::Newlines("\\n")),
        (Mistake::LetterCase, TextChange::Lower),
        (Mistake::LetterCase, TextChange::Upper),
    ];
    let whole = whole.map(|(mistake, change)| (mistake, change, format!("in {name}")));
    let lines = of_lines(text, false).into_iter().map(|(mistake, change, detail)| (mistake, change, format!("in {name}, {detail}")));
    let trials = whole.into_iter().chain(lines).filter_map(|(mistake, change, detail)| {
        let changed = Edit::Let(index, [Piece::Text(change.apply(text)?.into())].into());
        Some(Trial::new(mistake, Area::Text, Change::Edit(changed)).detail(detail))
    });
    trials.collect()
}

/// Lines that are left out, empty or in another order.
fn of_lines(text: &[u8], is_builtin: bool) -> Vec<(Mistake, TextChange, String)> {
    let lines = lines(text);
    let mut all = Vec::new();
    if lines.len() < 2 {
        return all;
    }
    let is_headers = lines.iter().filter(|line| line.contains(&b':')).count() > 1;
    if is_headers {
        all.push((Mistake::HeaderLines, TextChange::Replace(": ", ":"), "without the space".to_owned()));
        all.push((Mistake::HeaderCase, TextChange::CapitalNames, "names of headers begin with capital letters".to_owned()));
    }
    let last = lines.len() - 1;
    let swapped = if is_headers { Mistake::HeaderOrder } else { Mistake::PartsSwapped };
    for (number, line) in lines.iter().enumerate().take(MOST_LINES) {
        let left_out = if is_builtin && number == last { Mistake::SignatureParams } else { Mistake::PartLeftOut };
        let shown = super::visible::quoted(line, 0);
        all.push((left_out, TextChange::WithoutLine(number), format!("line {}, {shown}", number + 1)));
        if !line.is_empty() {
            all.push((left_out, TextChange::EmptyLine(number), format!("line {} is empty in place of {shown}", number + 1)));
        }
        if number < last {
            all.push((swapped, TextChange::SwapLines(number), format!("lines {} and {}", number + 1, number + 2)));
        }
    }
    all
}

/// Mistakes of a signature base of RFC 9421.
fn of_signature_base(text: &[u8]) -> Vec<Trial> {
    let trial = |mistake, change, detail: String| Trial::new(mistake, Area::Text, Change::Text(change)).detail(detail);
    let mut all = vec![
        trial(Mistake::BaseLines, TextChange::Replace("\"@query\": ?", "\"@query\": "), "@query without `?`".to_owned()),
        trial(Mistake::BaseLines, TextChange::UnquotedNames, "names without quotes".to_owned()),
        trial(Mistake::SignatureParams, TextChange::Replace("\"@signature-params\": ", ""), "without its name".to_owned()),
    ];
    for (number, parameter) in parameters_of(text).map_or_else(Vec::new, |(_, parameters)| parameters).into_iter().enumerate() {
        let name = parameter.split(|byte| *byte == b'=').next().unwrap_or_default();
        let detail = format!("without the parameter {}", String::from_utf8_lossy(name));
        all.push(trial(Mistake::SignatureParams, TextChange::WithoutParameter(number), detail));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(text: &str, change: TextChange) -> Option<String> {
        change.apply(text.as_bytes()).map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn texts_are_changed_as_named_and_not_reported_when_they_stay_the_same() {
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(changed("a\nb\nc", TextChange::WithoutLine(1)), some("a\nc"));
        assert_eq!(changed("a\nb\nc", TextChange::WithoutLine(3)), None);
        assert_eq!(changed("a", TextChange::WithoutLine(0)), None);
        assert_eq!(changed("a\nb\nc", TextChange::EmptyLine(2)), some("a\nb\n"));
        assert_eq!(changed("a\nb\nc", TextChange::SwapLines(0)), some("b\na\nc"));
        assert_eq!(changed("a\nb\nc", TextChange::SwapLines(2)), None);
        assert_eq!(changed("a\nb", TextChange::Newlines("\r\n")), some("a\r\nb"));
        assert_eq!(changed("ab", TextChange::Newlines("\r\n")), None);
        assert_eq!(changed("ab", TextChange::NoLastNewline), None);
        assert_eq!(changed("x-date: A\n(request-target): get", TextChange::CapitalNames), some("X-Date: A\n(request-target): get"));
        let base = "\"@method\": GET\n\"@signature-params\": (\"@method\");created=1;nonce=\"a\"";
        assert_eq!(
            changed(base, TextChange::WithoutParameter(1)),
            some("\"@method\": GET\n\"@signature-params\": (\"@method\");created=1")
        );
        assert_eq!(changed(base, TextChange::WithoutParameter(2)), None);
        assert_eq!(changed(base, TextChange::UnquotedNames), some("@method: GET\n@signature-params: (\"@method\");created=1;nonce=\"a\""));
    }
}
