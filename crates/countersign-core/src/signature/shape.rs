//! What a field must look like: the `match` of `[fields]`.
//!
//! A shape is a row of items, each a set of bytes and how many of them. Each item takes as many bytes as it can and nothing is
//! tried twice, so a value is judged in one pass. A shape in which that would make a difference does not parse: after an item
//! of variable length no byte may follow that the item could have taken itself. What remains means the same as it would as a
//! regular expression.

use super::alphabet::Alphabet;

/// The most items of a shape.
const MOST_ITEMS: usize = 32;

/// The most bytes of one item.
const MOST_COUNT: usize = 4096;

/// What a value must look like, from its first byte to its last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    items: Box<[Item]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Item {
    set: Alphabet,
    /// The same set, to look up the bytes of requests in.
    table: Box<[bool; 256]>,
    least: usize,
    most: usize,
}

impl Shape {
    /// Reads a shape: characters and classes such as `[a-z0-9_-]` or `[^;]`, each with `{n}` or `{m,n}` behind it if it is
    /// not exactly one byte. `.` is any byte but a line feed, which is in no class that starts with `^` either. A `\` makes a
    /// special character plain.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (mut items, mut rest) = (Vec::new(), text.as_bytes());
        while !rest.is_empty() {
            let (set, after) = set(rest)?;
            let (least, most, after) = count(after)?;
            if items.len() == MOST_ITEMS {
                return Err(format!("a shape has at most {MOST_ITEMS} items"));
            }
            items.push(Item { set, table: Box::new(set.table()), least, most });
            rest = after;
        }
        let shape = Self { items: items.into() };
        shape.check_greedy()?;
        Ok(shape)
    }

    /// After an item that could take more, nothing may follow that it could take.
    fn check_greedy(&self) -> Result<(), String> {
        let mut rest = &*self.items;
        while let Some((item, after)) = rest.split_first() {
            rest = after;
            if item.least == item.most {
                continue;
            }
            for next in after {
                if item.set.meets(next.set) {
                    return Err(format!(
                        "`{}` takes as much as it can, also what `{}` behind it is for: put a character between them that the first cannot be",
                        item.words(),
                        next.words()
                    ));
                }
                if next.least > 0 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether a value has this shape. Looks at each byte at most twice for each item that could hold it.
    pub(super) fn fits(&self, value: &[u8]) -> bool {
        let mut rest = value;
        for item in &*self.items {
            let window = rest.get(..item.most).unwrap_or(rest);
            // Nearly always all of them: looked at without a way out in the middle, which is several times as fast.
            let all = window.iter().fold(true, |all, byte| all & item.takes(*byte));
            let count = if all { window.len() } else { window.iter().take_while(|byte| item.takes(**byte)).count() };
            let Some(after) = rest.get(count..).filter(|_| count >= item.least) else { return false };
            rest = after;
        }
        rest.is_empty()
    }

    /// What values of this shape are made of.
    pub(super) fn alphabet(&self) -> Alphabet {
        self.items.iter().fold(Alphabet::NONE, |set, item| set.union(item.set))
    }

    /// The length of values of this shape, if they all have the same.
    pub(super) fn fixed_length(&self) -> Option<usize> {
        self.items.iter().map(|item| (item.least == item.most).then_some(item.most)).sum()
    }

    /// Whether values of this shape end in a byte that they hold nowhere else.
    pub(super) fn ends_itself(&self) -> bool {
        let Some((last, before)) = self.items.split_last() else { return false };
        last.least == 1 && last.most == 1 && before.iter().all(|item| !item.set.meets(last.set))
    }

    /// For people: `10 of 0-9`, `v 1 =, then 64 of 0-9 a-f`.
    pub(super) fn words(&self) -> String {
        let mut words = String::new();
        let mut plain = false;
        for item in &*self.items {
            let is_plain = item.is_plain();
            if !words.is_empty() {
                words.push_str(if plain && is_plain { " " } else { ", then " });
            }
            words.push_str(&item.words());
            plain = is_plain;
        }
        if words.is_empty() { "nothing".to_owned() } else { words }
    }
}

impl Item {
    fn takes(&self, byte: u8) -> bool {
        self.table.get(usize::from(byte)).is_some_and(|takes| *takes)
    }

    /// Whether it is one character and nothing else.
    const fn is_plain(&self) -> bool {
        self.set.count() == 1 && self.least == 1 && self.most == 1
    }

    fn words(&self) -> String {
        match (self.least, self.most) {
            _ if self.is_plain() => self.set.to_string(),
            (least, most) if least == most => format!("{most} of {}", self.set),
            (0, most) => format!("at most {most} of {}", self.set),
            (least, most) => format!("{least} to {most} of {}", self.set),
        }
    }
}

/// Reads one character or class, and gives what follows it.
fn set(text: &[u8]) -> Result<(Alphabet, &[u8]), String> {
    match text {
        [b'[', b'^', rest @ ..] => {
            let (set, rest) = class(rest)?;
            Ok((Alphabet::ALL.minus(set).minus(Alphabet::of(b"\n")), rest))
        }
        [b'[', rest @ ..] => class(rest),
        [b'.', rest @ ..] => Ok((Alphabet::ALL.minus(Alphabet::of(b"\n")), rest)),
        [b'{', ..] => Err("there is nothing in front of `{`".to_owned()),
        [byte @ (b']' | b'}' | b'*' | b'+' | b'?' | b'(' | b')' | b'|' | b'^' | b'$'), ..] => {
            let byte = char::from(*byte);
            Err(format!("`{byte}` has no meaning in a shape: `\\{byte}` is the character, and how many there are is said by {{m,n}}"))
        }
        _ => plain(text).map(|(byte, rest)| (Alphabet::of(&[byte]), rest)),
    }
}

/// Reads a class behind its `[`.
fn class(mut text: &[u8]) -> Result<(Alphabet, &[u8]), String> {
    let mut set = Alphabet::NONE;
    loop {
        match text {
            [b']', ..] if set == Alphabet::NONE => return Err("a class is empty".to_owned()),
            [b']', rest @ ..] => return Ok((set, rest)),
            [b'[', ..] => return Err("`[` in a class is written `\\[`".to_owned()),
            _ => {}
        }
        let (first, rest) = plain(text)?;
        let (last, rest) = match rest {
            [b'-', b']', ..] | [] => (first, rest),
            [b'-', rest @ ..] => plain(rest)?,
            _ => (first, rest),
        };
        if last < first {
            return Err(format!("the range {}-{} is empty", char::from(first), char::from(last)));
        }
        set = set.union(Alphabet::range(first, last));
        text = rest;
    }
}

/// Reads one character that stands for itself, or one behind a `\`.
fn plain(text: &[u8]) -> Result<(u8, &[u8]), String> {
    match text {
        [b'\\', byte, rest @ ..] if byte.is_ascii_punctuation() => Ok((*byte, rest)),
        [b'\\', b'd', ..] => Err("`\\d` is written `[0-9]`".to_owned()),
        [b'\\', ..] => Err("`\\` stands in front of a special character only".to_owned()),
        [byte @ 0x20..=0x7e, rest @ ..] => Ok((*byte, rest)),
        [] => Err("a class has no `]`".to_owned()),
        _ => Err("a shape is written in visible ASCII and spaces".to_owned()),
    }
}

/// Reads how many there are: the fewest, the most, and what follows. One if it does not say.
fn count(text: &[u8]) -> Result<(usize, usize, &[u8]), String> {
    let [b'{', text @ ..] = text else { return Ok((1, 1, text)) };
    let wrong = || format!("how many is written {{n}} or {{m,n}}, from 0 to {MOST_COUNT}, and the most is at least 1");
    let end = text.iter().position(|byte| *byte == b'}').ok_or_else(wrong)?;
    let (inside, rest) = text.split_at_checked(end).ok_or_else(wrong)?;
    let number = |digits: &[u8]| {
        let number: usize = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()?;
        (number <= MOST_COUNT).then_some(number)
    };
    let (least, most) = match inside.iter().position(|byte| *byte == b',').and_then(|at| inside.split_at_checked(at)) {
        Some((least, [_, most @ ..])) => (number(least), number(most)),
        _ => (number(inside), number(inside)),
    };
    match (least, most, rest.split_first()) {
        (Some(least), Some(most), Some((_, rest))) if most > 0 && least <= most => Ok((least, most, rest)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn fits(shape: &str, value: &str) -> bool {
        Shape::parse(shape).unwrap().fits(value.as_bytes())
    }

    #[test]
    fn values_fit_from_the_first_byte_to_the_last() {
        for (shape, good, bad) in [
            ("[0-9]{10}", vec!["1440938160"], vec!["144093816", "14409381600", "144093816a", " 1440938160", "1440938160\n", ""]),
            ("[0-9]{8}T[0-9]{6}Z", vec!["20150830T123600Z"], vec!["20150830T123600", "20150830t123600Z", "20150830T123600ZZ"]),
            // Akamai EdgeGrid.
            ("[0-9]{8}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\+0000", vec!["20140321T19:34:21+0000"], vec!["20140321T19:34:21 0000"]),
            ("[^;]{1,64}", vec!["nonce-xx", "ä"], vec!["", "a;b", "a\nb"]),
            ("[A-Za-z0-9._-]{1,4}", vec!["a", "A-_.", "0000"], vec!["", "AAAAA", "a b"]),
            (".{0,3}", vec!["", "abc", "\t\r\0"], vec!["abcd", "\n"]),
            ("v1=[0-9a-f]{2}", vec!["v1=0f"], vec!["v1=0F", "v0=0f", "v1=", "0f"]),
            ("[0-9]{1,3}-{0,1}[a-z]", vec!["1-a", "1a", "123-z"], vec!["-a", "1234-a", "1--a"]),
            ("\\[\\.\\\\[\\]\\^\\-a]", vec!["[.\\]", "[.\\^", "[.\\-", "[.\\a"], vec!["[.\\b", "[a\\]"]),
            ("", vec![""], vec!["a"]),
        ] {
            for value in good {
                assert!(fits(shape, value), "{shape} {value:?}");
            }
            for value in bad {
                assert!(!fits(shape, value), "{shape} {value:?}");
            }
        }
    }

    #[test]
    fn what_is_not_a_shape_is_refused() {
        for (shape, says) in [
            ("[0-9]{1,4}[0-9]", "takes as much as it can"),
            (".{1,64}x", "takes as much as it can"),
            ("[0-9]{1,4}-{0,1}[0-9]", "takes as much as it can"),
            ("[0-9]+", "`+` has no meaning"),
            ("a|b", "`|` has no meaning"),
            ("^a", "`^` has no meaning"),
            ("\\d{10}", "`[0-9]`"),
            ("\\n", "special character only"),
            ("a\\", "special character only"),
            ("[a-z", "no `]`"),
            ("[a-", "no `]`"),
            ("[", "no `]`"),
            ("[]", "empty"),
            ("[^]", "empty"),
            ("[z-a]", "the range z-a is empty"),
            ("[[]", "`\\[`"),
            ("{2}", "nothing in front"),
            ("a{2}{3}", "nothing in front"),
            ("a{", "how many"),
            ("a{}", "how many"),
            ("a{,3}", "how many"),
            ("a{3,}", "how many"),
            ("a{+3}", "how many"),
            ("a{3,2}", "how many"),
            ("a{0}", "how many"),
            ("a{1,4097}", "how many"),
            ("a{99999999999999999999}", "how many"),
            ("ä", "visible ASCII"),
            ("a\n", "visible ASCII"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "at most 32 items"),
        ] {
            let error = Shape::parse(shape).unwrap_err();
            assert!(error.contains(says), "{shape}: {error}");
        }
    }

    #[test]
    fn shapes_are_said_in_words() {
        for (shape, words, length) in [
            ("[0-9]{10}", "10 of 0-9", Some(10)),
            ("[A-Za-z0-9]{4,32}", "4 to 32 of 0-9 A-Z a-z", None),
            ("v1=[0-9a-f]{64}", "v 1 =, then 64 of 0-9 a-f", Some(67)),
            ("[^;]{0,64}", "at most 64 of any byte but \\n ;", None),
            ("", "nothing", Some(0)),
        ] {
            let shape = Shape::parse(shape).unwrap();
            assert_eq!(shape.words(), words);
            assert_eq!(shape.fixed_length(), length);
        }
        assert_eq!(Shape::parse("[0-9]{4}-x").unwrap().alphabet(), Alphabet::of(b"0123456789-x"));
    }

    /// Whether a value fits when everything is tried.
    fn fits_somehow(items: &[Item], value: &[u8]) -> bool {
        let Some((item, rest)) = items.split_first() else { return value.is_empty() };
        (item.least..=item.most.min(value.len()))
            .any(|count| value[..count].iter().all(|byte| item.set.contains(*byte)) && fits_somehow(rest, &value[count..]))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn trying_more_would_find_nothing_more(shape in "([abc]|\\[[abc]{1,2}\\])(\\{[01],[123]\\})?([abc]|\\[[abc]{1,2}\\])(\\{[01],[123]\\})?[abc]?", value in "[abc]{0,6}") {
            if let Ok(shape) = Shape::parse(&shape) {
                prop_assert_eq!(shape.fits(value.as_bytes()), fits_somehow(&shape.items, value.as_bytes()));
                if shape.fits(value.as_bytes()) {
                    prop_assert!(shape.alphabet().contains_all(value.as_bytes()));
                    prop_assert!(shape.fixed_length().is_none_or(|length| length == value.len()));
                }
            }
        }

        #[test]
        fn any_text_is_a_shape_or_is_not(text in "[\\[\\]{}^,\\\\a0-9-]{0,12}|.{0,12}", value in ".{0,12}") {
            if let Ok(shape) = Shape::parse(&text) {
                let _ = (shape.fits(value.as_bytes()), shape.words());
            }
        }
    }
}
