//! One value of a JSON body, by its pointer (RFC 6901).

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most steps of a pointer.
const MOST_STEPS: usize = 16;

/// Whether `pointer` is one: empty, or names that each stand behind a `/`, with `~1` for `/` and `~0` for `~`.
pub(super) fn check(pointer: &str) -> Result<(), String> {
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(format!("a JSON pointer starts with /, unlike {pointer}"));
    }
    if pointer.split('~').skip(1).any(|rest| !rest.starts_with(['0', '1'])) {
        return Err(format!("~ is written ~0 in a JSON pointer, unlike in {pointer}"));
    }
    if pointer.split('/').count() > MOST_STEPS + 1 {
        return Err(format!("a JSON pointer has at most {MOST_STEPS} steps"));
    }
    Ok(())
}

/// The value that `pointer` names: the text of a string, or a number, `true` or `false` as written.
///
/// `None` when there is none; when it is null, an object or an array; when a name on the way to it stands twice in its object,
/// because the upstream might read the other one; and when the body is not one JSON text in UTF-8, all of it. Reads the body
/// once.
pub(super) fn find(body: &[u8], pointer: &str) -> Option<Vec<u8>> {
    let written = find_any(body, pointer)?.get();
    match written.as_bytes().first()? {
        b'"' => serde_json::from_str::<String>(written).ok().map(String::into_bytes),
        b'{' | b'[' | b'n' => None,
        _ => Some(written.as_bytes().to_vec()),
    }
}

/// Whether there is a value that `pointer` names, of whatever kind.
pub(super) fn exists(body: &[u8], pointer: &str) -> bool {
    find_any(body, pointer).is_some()
}

fn find_any<'b>(body: &'b [u8], pointer: &str) -> Option<&'b RawValue> {
    check(pointer).ok()?;
    let steps = if pointer.is_empty() { None } else { Some(pointer.strip_prefix('/')?) };
    // What is passed over is not looked at as text.
    let mut json = serde_json::Deserializer::from_str(std::str::from_utf8(body).ok()?);
    let found = Steps(steps).deserialize(&mut json).ok()??;
    json.end().ok()?;
    Some(found)
}

/// The rest of a pointer, without its first `/`. `None` when this is what it points to.
struct Steps<'p>(Option<&'p str>);

impl<'de> DeserializeSeed<'de> for Steps<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        match self.0 {
            None => serde::Deserialize::deserialize(json).map(Some),
            Some(steps) => {
                let (step, rest) = steps.split_once('/').map_or((steps, None), |(step, rest)| (step, Some(rest)));
                json.deserialize_any(Step { step, rest })
            }
        }
    }
}

/// One step into an object or an array.
struct Step<'p> {
    step: &'p str,
    rest: Option<&'p str>,
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        // `~01` is `~1`, so the order matters (RFC 6901 section 4).
        let name = self.step.replace("~1", "/").replace("~0", "~");
        let mut found = None;
        while let Some(member) = map.next_key::<String>()? {
            if member != name {
                map.next_value::<IgnoredAny>()?;
            } else if found.is_some() {
                return Err(A::Error::custom("a name stands twice"));
            } else {
                found = Some(map.next_value_seed(Steps(self.rest))?);
            }
        }
        Ok(found.flatten())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let canonical = self.step == "0" || self.step.bytes().next().is_some_and(|first| (b'1'..=b'9').contains(&first));
        let wanted = self.step.parse::<usize>().ok().filter(|_| canonical);
        let (mut at, mut found) = (0_usize, None);
        loop {
            if wanted == Some(at) {
                match seq.next_element_seed(Steps(self.rest))? {
                    Some(value) => found = value,
                    None => return Ok(None),
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at = at.saturating_add(1);
        }
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(body: &str, pointer: &str) -> Option<String> {
        find(body.as_bytes(), pointer).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// The document of RFC 6901 section 5.
    const RFC_6901: &str =
        r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;

    #[test]
    fn the_pointers_of_the_standard_are_followed() {
        for (pointer, value) in [
            ("/foo/0", "bar"),
            ("/foo/1", "baz"),
            ("/", "0"),
            ("/a~1b", "1"),
            ("/c%d", "2"),
            ("/e^f", "3"),
            ("/g|h", "4"),
            ("/i\\j", "5"),
            ("/k\"l", "6"),
            ("/ ", "7"),
            ("/m~0n", "8"),
        ] {
            assert_eq!(found(RFC_6901, pointer).as_deref(), Some(value), "{pointer}");
        }
        for pointer in
            ["", "/foo", "/foo/2", "/foo/00", "/foo/01", "/foo/-", "/foo/+1", "/foo/", "/foo/0/x", "/a/b", "/none", "foo", "/m~n", "/~"]
        {
            assert_eq!(found(RFC_6901, pointer), None, "{pointer}");
        }
    }

    #[test]
    fn fields_of_a_notification_are_found() {
        let body = r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"amount":{"currency":"EUR","value":1130},"success":"true","pspReference":"7914073381342284"}}]}"#;
        let item = "/notificationItems/0/NotificationRequestItem";
        for (pointer, value) in
            [("amount/value", "1130"), ("amount/currency", "EUR"), ("success", "true"), ("pspReference", "7914073381342284")]
        {
            assert_eq!(found(body, &format!("{item}/{pointer}")).as_deref(), Some(value));
        }
        assert_eq!(found(body, &format!("{item}/originalReference")), None);
    }

    #[test]
    fn strings_are_decoded_and_everything_else_is_as_written() {
        for (body, value) in [
            ("1.0", "1.0"),
            (" -0.10e+2 ", "-0.10e+2"),
            ("12345678901234567890123", "12345678901234567890123"),
            ("true", "true"),
            ("false", "false"),
            (r#""""#, ""),
            (r#""a\u0062\n\ud83d\ude00é""#, "ab\n😀é"),
        ] {
            assert_eq!(found(body, "").as_deref(), Some(value), "{body}");
            assert_eq!(found(&format!(r#"{{"x":[{body}]}}"#), "/x/0").as_deref(), Some(value), "{body}");
        }
        for absent in ["null", "{}", "[]", r#"{"a":1}"#] {
            assert_eq!(found(absent, ""), None, "{absent}");
        }
    }

    #[test]
    fn a_name_that_stands_twice_on_the_way_is_refused() {
        assert_eq!(found(r#"{"a":1,"a":1}"#, "/a"), None);
        assert_eq!(found(r#"{"a":1,"\u0061":2}"#, "/a"), None);
        assert_eq!(found(r#"{"a":{"b":1},"a":{"c":1}}"#, "/a/b"), None);
        assert_eq!(found(r#"{"a":{"b":1,"b":2}}"#, "/a/b"), None);
        assert_eq!(found(r#"{"a":null,"a":1}"#, "/a"), None);
        assert_eq!(found(r#"{"a":1,"b":2,"b":3}"#, "/a").as_deref(), Some("1"));
    }

    #[test]
    fn what_is_not_one_json_text_gives_nothing() {
        for body in [
            "",
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1}{}"#,
            r#"{"a":1,}"#,
            r#"{"a":1,"b":01}"#,
            r#"{"a":1,"b":NaN}"#,
            r#"{'a':1}"#,
            "\u{feff}{\"a\":1}",
        ] {
            assert_eq!(found(body, "/a"), None, "{body}");
        }
        assert_eq!(find(b"{\"a\":\"\xff\"}", "/a"), None);
        assert_eq!(find(br#"{"a":"\ud800"}"#, "/a"), None);
        assert_eq!(find(b"{\"a\":1,\"b\":\"\xff\"}", "/a"), None);
    }

    #[test]
    fn deep_bodies_and_long_pointers_end() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(found(&deep, "/0"), None);
        assert_eq!(found(&format!(r#"{{"a":1,"b":{deep}}}"#), "/a").as_deref(), Some("1"));
        assert_eq!(check(&"/0".repeat(16)), Ok(()));
        assert!(check(&"/0".repeat(17)).unwrap_err().contains("at most 16"));
        assert!(check("a").is_err() && check("/~").is_err() && check("/~2").is_err());
    }

    proptest! {
        #[test]
        fn any_body_has_a_value_or_has_not(body in "[{}\\[\\],:\"a0 ]{0,24}|.{0,24}", pointer in "(/[a0~]{0,2}){0,3}|.{0,6}") {
            let _ = find(body.as_bytes(), &pointer);
        }

        #[test]
        fn it_finds_what_serde_json_finds(body in "\\{\"[ab]\":(\\[0,\"x\",[ab0]{1,2}\\]|\\{\"[ab]\":1\\}|\"[ab]\")(,\"[ab]\":2)?\\}", pointer in "(/[ab012]){1,2}") {
            if let (Some(found), Ok(json)) = (found(&body, &pointer), serde_json::from_str::<serde_json::Value>(&body)) {
                let value = json.pointer(&pointer).unwrap();
                prop_assert_eq!(found, value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
        }
    }
}
