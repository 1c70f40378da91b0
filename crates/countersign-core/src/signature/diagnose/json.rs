//! JSON written in other ways, as libraries do when a body is made anew for signing.

/// How deeply values may be nested. The check that a text is JSON stops at the same depth.
const MOST_DEPTH: usize = 100;

/// A JSON value whose scalars are pieces of the text, so that numbers and strings stay as they are.
pub(super) enum Json<'t> {
    Scalar(&'t str),
    List(Vec<Json<'t>>),
    /// Names with their quotes, in the order of the text.
    Object(Vec<(&'t str, Json<'t>)>),
}

/// How a value is written.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Style {
    pub(super) comma: &'static str,
    pub(super) colon: &'static str,
    /// One level of indentation; with it each member has a line of its own.
    pub(super) indent: &'static str,
    pub(super) sorted: bool,
    pub(super) text: TextStyle,
}

/// How strings are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum TextStyle {
    #[default]
    AsSent,
    /// `\u00e9` for what is not ASCII.
    Ascii,
    /// Characters for `\u00e9`, and `/` for `\/`.
    Plain,
    /// `\/` for `/`, as PHP does.
    EscapedSlash,
}

/// Reads a text that is JSON. `None` for anything else.
pub(super) fn read(text: &[u8]) -> Option<Json<'_>> {
    serde_json::from_slice::<serde::de::IgnoredAny>(text).ok()?;
    let text = std::str::from_utf8(text).ok()?;
    let mut reader = Reader { text, at: 0 };
    reader.value(MOST_DEPTH)
}

/// Reads what is known to be JSON.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Reader<'t> {
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        self.at += rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        self.text.as_bytes().get(self.at).copied()
    }

    fn value(&mut self, depth: usize) -> Option<Json<'t>> {
        let depth = depth.checked_sub(1)?;
        match self.peek()? {
            b'{' => {
                let mut members = Vec::new();
                self.at += 1;
                while self.peek()? != b'}' {
                    let name = self.string()?;
                    self.skip(b':')?;
                    members.push((name, self.value(depth)?));
                    if self.peek()? == b',' {
                        self.at += 1;
                    }
                }
                self.at += 1;
                Some(Json::Object(members))
            }
            b'[' => {
                let mut items = Vec::new();
                self.at += 1;
                while self.peek()? != b']' {
                    items.push(self.value(depth)?);
                    if self.peek()? == b',' {
                        self.at += 1;
                    }
                }
                self.at += 1;
                Some(Json::List(items))
            }
            b'"' => self.string().map(Json::Scalar),
            _ => {
                let rest = self.text.get(self.at..)?;
                let end = rest.find([',', ']', '}', ' ', '\t', '\r', '\n']).unwrap_or(rest.len());
                self.at += end;
                rest.get(..end).map(Json::Scalar)
            }
        }
    }

    fn skip(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    /// A string with its quotes.
    fn string(&mut self) -> Option<&'t str> {
        self.peek().filter(|byte| *byte == b'"')?;
        let rest = self.text.get(self.at..)?;
        let mut escaped = true;
        // The first quote begins the string, so it counts as escaped.
        let end = rest.bytes().position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        })?;
        self.at += end + 1;
        rest.get(..=end)
    }
}

impl Json<'_> {
    pub(super) fn write(&self, style: Style) -> Vec<u8> {
        let mut out = String::new();
        self.append(style, 0, &mut out);
        out.into_bytes()
    }

    fn append(&self, style: Style, level: usize, out: &mut String) {
        match self {
            Self::Scalar(text) => push_text(text, style.text, out),
            Self::List(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    between(style, index, level + 1, out);
                    item.append(style, level + 1, out);
                }
                end(style, items.is_empty(), level, out);
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                let mut members: Vec<_> = members.iter().collect();
                if style.sorted {
                    members.sort_by_key(|(name, _)| *name);
                }
                for (index, (name, value)) in members.iter().enumerate() {
                    between(style, index, level + 1, out);
                    push_text(name, style.text, out);
                    out.push_str(style.colon);
                    value.append(style, level + 1, out);
                }
                end(style, members.is_empty(), level, out);
                out.push('}');
            }
        }
    }
}

fn between(style: Style, index: usize, level: usize, out: &mut String) {
    if index > 0 {
        out.push_str(style.comma);
    }
    new_line(style, level, out);
}

fn end(style: Style, is_empty: bool, level: usize, out: &mut String) {
    if !is_empty {
        new_line(style, level, out);
    }
}

fn new_line(style: Style, level: usize, out: &mut String) {
    if !style.indent.is_empty() {
        out.push('\n');
        out.extend(std::iter::repeat_n(style.indent, level));
    }
}

fn push_text(text: &str, style: TextStyle, out: &mut String) {
    use std::fmt::Write as _;
    if !text.starts_with('"') || style == TextStyle::AsSent {
        out.push_str(text);
        return;
    }
    match style {
        TextStyle::Ascii => {
            for c in text.chars() {
                if c.is_ascii() {
                    out.push(c);
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        let _ = write!(out, "\\u{unit:04x}");
                    }
                }
            }
        }
        TextStyle::Plain => match serde_json::from_str::<String>(text).and_then(|text| serde_json::to_string(&text)) {
            Ok(plain) => out.push_str(&plain),
            Err(_) => out.push_str(text),
        },
        _ => out.push_str(&text.replace("\\/", "/").replace('/', "\\/")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COMPACT: Style = Style { comma: ",", colon: ":", indent: "", sorted: false, text: TextStyle::AsSent };

    fn written(text: &str, style: Style) -> String {
        String::from_utf8(read(text.as_bytes()).unwrap().write(style)).unwrap()
    }

    #[test]
    fn json_is_written_as_libraries_do() {
        let text = "{ \"b\" : [1.50, true ,\n{}], \"a\":\"x\\\"/é\", \"c\": [] }";
        assert_eq!(written(text, COMPACT), "{\"b\":[1.50,true,{}],\"a\":\"x\\\"/é\",\"c\":[]}");
        let spaced = Style { comma: ", ", colon: ": ", sorted: true, ..COMPACT };
        assert_eq!(written(text, spaced), "{\"a\": \"x\\\"/é\", \"b\": [1.50, true, {}], \"c\": []}");
        let pretty = Style { colon: ": ", indent: "  ", ..COMPACT };
        assert_eq!(written(text, pretty), "{\n  \"b\": [\n    1.50,\n    true,\n    {}\n  ],\n  \"a\": \"x\\\"/é\",\n  \"c\": []\n}");
        assert_eq!(written("\"é😀/\"", Style { text: TextStyle::Ascii, ..COMPACT }), "\"\\u00e9\\ud83d\\ude00/\"");
        assert_eq!(written("\"\\u00e9\\/\"", Style { text: TextStyle::Plain, ..COMPACT }), "\"é/\"");
        assert_eq!(written("\"a/b\"", Style { text: TextStyle::EscapedSlash, ..COMPACT }), "\"a\\/b\"");
        for wrong in ["", "{", "a", "{\"a\":1,}", "[1 2]", &"[".repeat(500)] {
            assert!(read(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_means_the_same(text in "[\\[\\]{}:,\"a1 \\\\n]{0,24}") {
            if let Some(json) = read(text.as_bytes()) {
                let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                for style in [COMPACT, Style { indent: "\t", ..COMPACT }, Style { text: TextStyle::Plain, ..COMPACT }] {
                    let again: serde_json::Value = serde_json::from_slice(&json.write(style)).unwrap();
                    prop_assert_eq!(&again, &value);
                }
            }
        }
    }
}
