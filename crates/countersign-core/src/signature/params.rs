//! Lists of `name=value` or `name="value"`, as they stand in Authorization headers and their like.

use std::borrow::Cow;
use std::ops::Range;

use super::bytes::Bytes;
use super::text::trimmed;

/// The most members of a list.
pub(super) const MOST: usize = 64;

/// The value of one member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A piece of the list, as it stands there.
    Piece(Range<usize>),
    /// What a quoted text with escapes in it says.
    Unescaped(Vec<u8>),
}

impl Value {
    /// The bytes of the value, lent from the list it was read from if that is lent.
    pub(super) fn of<'v>(&self, list: &Bytes<'v>) -> Bytes<'v> {
        match self {
            Self::Piece(range) => match list {
                Bytes::Lent(bytes) => Bytes::Lent(bytes).sub(range.clone()),
                other => Bytes::from_slice(other.as_slice().get(range.clone()).unwrap_or_default()),
            },
            Self::Unescaped(bytes) => Bytes::from_slice(bytes),
        }
    }
}

/// Reads a list whose members stand between any of these separators, each with spaces and tabs around it or none. One separator
/// may stand at the end.
///
/// A name is not empty and has no quotes, spaces or tabs in it; it stays as it was sent. A value is all that stands between `=`
/// and the separator, or a quoted text, in which `\` makes the next byte plain (RFC 9110 section 5.6.4). `None` when anything
/// is malformed, or there are more than [`MOST`] members.
pub(super) fn parse_params(list: &[u8], separators: &[u8]) -> Option<Vec<(Range<usize>, Value)>> {
    // The place of the first bytes of what is the end of the list.
    let first = |length: usize, end: &[u8]| {
        let start = list.len().saturating_sub(end.len());
        start..start.saturating_add(length)
    };
    let (mut members, mut rest) = (Vec::new(), list);
    loop {
        rest = without_blanks(rest);
        if rest.is_empty() {
            return Some(members);
        }
        if members.len() == MOST {
            return None;
        }
        let (name, after) = rest.split_at_checked(rest.iter().position(|byte| *byte == b'=')?)?;
        if name.is_empty() || name.iter().any(|byte| matches!(byte, b'"' | b' ' | b'\t') || separators.contains(byte)) {
            return None;
        }
        let place = first(name.len(), rest);
        let value;
        (value, rest) = match after {
            [b'=', b'"', quoted @ ..] => {
                let (text, after) = unquote(quoted)?;
                let value = match text {
                    Cow::Borrowed(text) => Value::Piece(first(text.len(), quoted)),
                    Cow::Owned(text) => Value::Unescaped(text),
                };
                (value, after)
            }
            [_, plain @ ..] => {
                let length = plain.iter().position(|byte| separators.contains(byte)).unwrap_or(plain.len());
                let (text, after) = plain.split_at_checked(length)?;
                let Range { start, end } = trimmed(text);
                (Value::Piece(first(end.saturating_sub(start), plain.get(start..)?)), after)
            }
            [] => return None,
        };
        members.push((place, value));
        rest = behind_separator(rest, separators)?;
    }
}

fn without_blanks(text: &[u8]) -> &[u8] {
    text.get(text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..).unwrap_or_default()
}

/// What follows blanks and one separator. A blank can be a separator itself. `None` when something else stands there.
fn behind_separator<'t>(mut text: &'t [u8], separators: &[u8]) -> Option<&'t [u8]> {
    while let Some((byte, after)) = text.split_first() {
        match byte {
            _ if separators.contains(byte) => return Some(after),
            b' ' | b'\t' => text = after,
            _ => return None,
        }
    }
    Some(text)
}

/// Reads a quoted text behind its first quote: what it says, and what follows its last quote.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let plain = text.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
    let (said, rest) = text.split_at_checked(plain)?;
    if let [b'"', after @ ..] = rest {
        return Some((Cow::Borrowed(said), after));
    }
    let (mut said, mut bytes) = (said.to_vec(), rest.iter().enumerate());
    loop {
        match bytes.next()? {
            (at, b'"') => return Some((Cow::Owned(said), rest.get(at.checked_add(1)?..)?)),
            (_, b'\\') => said.push(*bytes.next()?.1),
            (_, byte) => said.push(*byte),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The members of a list as text: `name:value` each.
    fn read(list: &str, separators: &str) -> Option<Vec<String>> {
        let members = parse_params(list.as_bytes(), separators.as_bytes())?;
        let say = |(name, value): (Range<usize>, Value)| {
            let (lent, copied) = (value.of(&Bytes::Lent(list.as_bytes())), value.of(&Bytes::Long(list.as_bytes().to_vec())));
            assert_eq!(lent.as_slice(), copied.as_slice());
            assert_eq!(matches!(lent, Bytes::Lent(_)), matches!(value, Value::Piece(_)));
            format!("{}:{}", list.get(name).unwrap(), String::from_utf8(lent.as_slice().to_vec()).unwrap())
        };
        Some(members.into_iter().map(say).collect())
    }

    #[test]
    fn the_parameters_of_real_schemes_are_read() {
        for (list, separators, members) in [
            (
                "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date, Signature=5fa0",
                ",",
                vec!["Credential:AKIDEXAMPLE/20150830/us-east-1/service/aws4_request", "SignedHeaders:host;x-amz-date", "Signature:5fa0"],
            ),
            (
                "id=\"dh37fgj492je\", ts=\"1353832234\", nonce=\"j4h3g2\", ext=\"some-app-ext-data\", mac=\"6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=\"",
                ",",
                vec![
                    "id:dh37fgj492je",
                    "ts:1353832234",
                    "nonce:j4h3g2",
                    "ext:some-app-ext-data",
                    "mac:6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=",
                ],
            ),
            (
                "client_token=akab-client;access_token=akab-access;timestamp=20140321T19:34:21+0000;nonce=nonce-xx;",
                ";",
                vec!["client_token:akab-client", "access_token:akab-access", "timestamp:20140321T19:34:21+0000", "nonce:nonce-xx"],
            ),
            (
                "q-ak=AKID&q-sign-time=1480932292;1480981892&q-header-list=",
                "&",
                vec!["q-ak:AKID", "q-sign-time:1480932292;1480981892", "q-header-list:"],
            ),
            ("t=1492774577,v1=5257,v1=6ffb,v0=6ffb", ",", vec!["t:1492774577", "v1:5257", "v1:6ffb", "v0:6ffb"]),
            (
                "Credential=a&SignedHeaders=x-ms-date;host&Signature=b==",
                "&,",
                vec!["Credential:a", "SignedHeaders:x-ms-date;host", "Signature:b=="],
            ),
            (
                "realm=\"Example\",\t oauth_signature=\"74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D\"",
                ",",
                vec!["realm:Example", "oauth_signature:74KNZJeDHnMBp0EMJ9ZHt%2FXKycU%3D"],
            ),
        ] {
            assert_eq!(read(list, separators), Some(members.into_iter().map(str::to_owned).collect()), "{list}");
        }
    }

    #[test]
    fn quoted_text_can_hold_separators_and_escapes() {
        assert_eq!(read("a=\"x, y=z\" , b=\"\"", ","), Some(vec!["a:x, y=z".into(), "b:".into()]));
        assert_eq!(read("a=\"1\\\"2\\\\3\\4\",b=5", ","), Some(vec!["a:1\"2\\34".into(), "b:5".into()]));
        assert_eq!(read("a=x\"y, b = c", ","), None);
        assert_eq!(read("a= x\"y ,b=", ","), Some(vec!["a:x\"y".into(), "b:".into()]));
        assert_eq!(read("a=\"1\" b=2   c=3", " "), Some(vec!["a:1".into(), "b:2".into(), "c:3".into()]));
        assert_eq!(read("", ","), Some(vec![]));
        assert_eq!(read(" \t", ","), Some(vec![]));
    }

    #[test]
    fn malformed_lists_are_refused() {
        for list in [
            "a",
            "a,b=1",
            "=1",
            ",a=1",
            "a=1,,b=2",
            "a=1,b",
            "a=\"1",
            "a=\"1\\",
            "a=\"1\\\"",
            "a=\"1\"2",
            "a=\"1\" 2",
            "a=\"1\"\"2\"",
            "a b=1",
            "\"a\"=1",
            "a =1",
            "a=1,,",
            ",",
        ] {
            assert_eq!(read(list, ","), None, "{list}");
        }
    }

    #[test]
    fn a_list_has_at_most_64_members() {
        assert_eq!(read(&"a=1,".repeat(64), ",").unwrap().len(), 64);
        assert_eq!(read(&"a=1,".repeat(65), ","), None);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(members in proptest::collection::vec(("[a-z*-]{1,4}", "[a-c=,; \"\\\\]{0,8}"), 0..6), separator in "[,;&]", blanks in "[ \t]{0,2}") {
            let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
            let list: Vec<_> = members.iter().map(|(name, value)| format!("{blanks}{name}=\"{}\"{blanks}", quoted(value))).collect();
            let read = parse_params(list.join(&separator).as_bytes(), separator.as_bytes()).unwrap();
            let list = list.join(&separator);
            let read: Vec<_> = read.into_iter().map(|(name, value)| (list.get(name).unwrap().to_owned(), String::from_utf8(value.of(&Bytes::Lent(list.as_bytes())).as_slice().to_vec()).unwrap())).collect();
            prop_assert_eq!(read, members);
        }

        #[test]
        fn any_text_is_a_list_or_is_not(list in "[a=\",; \\\\]{0,16}|.{0,16}", separators in "[,; =]{0,2}") {
            for (name, value) in parse_params(list.as_bytes(), separators.as_bytes()).unwrap_or_default() {
                prop_assert!(list.as_bytes().get(name).is_some_and(|name| !name.is_empty()));
                if let Value::Piece(range) = value {
                    prop_assert!(list.as_bytes().get(range).is_some());
                }
            }
        }
    }
}
