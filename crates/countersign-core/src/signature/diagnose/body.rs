//! Mistakes about the body.

use super::super::bytes::Bytes;
use super::super::encoding::{BASE64, base64, hex};
use super::super::percent::{self, Percent};
use super::change::{Area, Change, Trial};
use super::json::{self, Style, TextStyle};
use super::mistake::Mistake;
use super::sent::Sent;

const COMPACT: Style = Style { comma: ",", colon: ":", indent: "", sorted: false, text: TextStyle::AsSent };
const SPACED: Style = Style { comma: ", ", colon: ": ", ..COMPACT };

/// How libraries write JSON.
const STYLES: [(Style, &str); 15] = [
    (COMPACT, "without spaces"),
    (SPACED, "with a space behind `,` and `:`"),
    (Style { sorted: true, ..COMPACT }, "without spaces, names sorted"),
    (Style { sorted: true, ..SPACED }, "with spaces, names sorted"),
    (Style { colon: ": ", indent: "  ", ..COMPACT }, "indented by two spaces"),
    (Style { colon: ": ", indent: "    ", ..COMPACT }, "indented by four spaces"),
    (Style { colon: ": ", indent: "\t", ..COMPACT }, "indented by tabs"),
    (Style { colon: ": ", indent: "  ", sorted: true, ..COMPACT }, "indented by two spaces, names sorted"),
    (Style { text: TextStyle::Ascii, ..COMPACT }, "without spaces, letters outside ASCII as `\\u`"),
    (Style { text: TextStyle::Ascii, ..SPACED }, "with spaces, letters outside ASCII as `\\u`"),
    (Style { text: TextStyle::Plain, ..COMPACT }, "without spaces, letters outside ASCII as they are"),
    (Style { text: TextStyle::Plain, ..SPACED }, "with spaces, letters outside ASCII as they are"),
    (Style { text: TextStyle::EscapedSlash, ..COMPACT }, "without spaces, `/` as `\\/`"),
    (Style { colon: " : ", indent: "  ", ..COMPACT }, "indented, with a space before `:`"),
    (Style { comma: ", ", ..COMPACT }, "with a space behind `,`"),
];

/// Mistakes about the body of a request.
pub(super) fn trials(request: &Sent<'_>) -> Vec<Trial> {
    let sent = request.bytes();
    let mut all = Vec::new();
    let mut add = |mistake, body: Vec<u8>, detail: &str, common: bool| {
        if body != sent {
            let trial = Trial::new(mistake, Area::Body, Change::Body(body)).detail(detail);
            all.push(if common { trial.common() } else { trial });
        }
    };
    if sent.is_empty() {
        for other in ["{}", "null", "[]", "\"\"", " ", "\n", "undefined"] {
            add(Mistake::OtherEmptyBody, other.as_bytes().to_vec(), &super::visible::quoted(other.as_bytes(), 0), other == "{}");
        }
        return all;
    }
    let newline = match sent.strip_suffix(b"\n") {
        Some(without) => without.strip_suffix(b"\r").unwrap_or(without).to_vec(),
        None => [sent, b"\n"].concat(),
    };
    add(Mistake::BodyNewline, newline, "", true);
    if let Some(json) = json::read(sent) {
        let has = |mark: &[u8]| sent.windows(mark.len()).any(|window| window == mark);
        let (has_slash, has_escape) = (sent.contains(&b'/'), has(b"\\u") || has(b"\\/"));
        for (index, (style, name)) in STYLES.iter().enumerate() {
            let differs = match style.text {
                TextStyle::AsSent => true,
                TextStyle::Ascii => !sent.is_ascii(),
                TextStyle::Plain => has_escape,
                TextStyle::EscapedSlash => has_slash,
            };
            if !differs {
                continue;
            }
            add(Mistake::JsonRewritten, json.write(*style), name, index < 2);
        }
        add(Mistake::JsonRewritten, [json.write(COMPACT), b"\n".to_vec()].concat(), "without spaces, with a line feed at its end", false);
    }
    add(Mistake::BodyLeftOut, Vec::new(), "", true);
    add(Mistake::BodyNewline, [sent, b"\r\n"].concat(), "CR LF", false);
    add(Mistake::BodyTrimmed, sent.trim_ascii().to_vec(), "", false);
    add(Mistake::BodyLineEndings, line_endings(sent, b"\n"), "LF", false);
    add(Mistake::BodyLineEndings, line_endings(sent, b"\r\n"), "CR LF", false);
    add(Mistake::BodyLineEndings, line_endings(sent, b""), "none", false);
    match sent.strip_prefix(b"\xef\xbb\xbf") {
        Some(without) => add(Mistake::BodyMark, without.to_vec(), "", false),
        None => add(Mistake::BodyMark, [b"\xef\xbb\xbf", sent].concat(), "", false),
    }
    if is_form(sent) {
        form(sent, &mut add);
    }
    add(Mistake::BodyEncoded, base64(&BASE64, sent).as_slice().to_vec(), "as Base64", false);
    add(Mistake::BodyEncoded, hex(sent).as_slice().to_vec(), "as hexadecimal", false);
    if let Ok(text) = std::str::from_utf8(sent) {
        if let Ok(quoted) = serde_json::to_string(text) {
            add(Mistake::BodyEncoded, quoted.into_bytes(), "as a JSON string", false);
        }
        if !text.is_ascii() {
            let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
            if let Some(latin) = latin {
                add(Mistake::BodyCharset, latin, "Latin-1", false);
            }
            add(
                Mistake::BodyCharset,
                text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect::<String>().into_bytes(),
                "ASCII",
                false,
            );
        }
        add(Mistake::BodyCharset, text.encode_utf16().flat_map(u16::to_le_bytes).collect(), "UTF-16", false);
    } else {
        add(
            Mistake::BodyCharset,
            String::from_utf8_lossy(sent).into_owned().into_bytes(),
            "as text, with U+FFFD for bytes that are not UTF-8",
            false,
        );
        add(Mistake::BodyCharset, sent.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(), "Latin-1 as UTF-8", false);
    }
    add(Mistake::LetterCase, sent.to_ascii_lowercase(), "the body in lower case", false);
    all
}

fn is_form(body: &[u8]) -> bool {
    body.contains(&b'=') && body.iter().all(|byte| byte.is_ascii_graphic()) && !matches!(body.first(), Some(b'{' | b'[' | b'<'))
}

fn form(sent: &[u8], add: &mut impl FnMut(Mistake, Vec<u8>, &str, bool)) {
    let decoded = percent::decode(Bytes::Lent(sent), true);
    add(Mistake::FormRewritten, decoded.as_slice().to_vec(), "decoded", false);
    let mut pairs: Vec<&[u8]> = sent.split(|byte| *byte == b'&').collect();
    pairs.sort_unstable();
    add(Mistake::FormRewritten, pairs.join(&b'&'), "sorted", false);
    for (rules, name) in [(Percent::Form, "as browsers do"), (Percent::Strict, "by RFC 3986"), (Percent::Uri, "by encodeURIComponent")] {
        let again = |part: &[u8]| rules.encode(Bytes::Lent(percent::decode(Bytes::Lent(part), true).as_slice())).as_slice().to_vec();
        let pair = |pair: &[u8]| pair.splitn(2, |byte| *byte == b'=').map(again).collect::<Vec<_>>().join(&b'=');
        let pairs: Vec<Vec<u8>> = sent.split(|byte| *byte == b'&').map(pair).collect();
        add(Mistake::FormRewritten, pairs.join(&b'&'), &format!("encoded {name}"), false);
    }
}

fn line_endings(text: &[u8], end: &[u8]) -> Vec<u8> {
    let lines = text.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.collect::<Vec<_>>().join(end)
}
