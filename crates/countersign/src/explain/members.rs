//! Explanations for programs: the same members from the gateway and from `countersign verify`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use countersign_core::now::UnixMillis;
use countersign_core::signature::diagnose::{Diagnosis, Finding};
use countersign_core::signature::{Profile, Trace};
use serde_json::{Map, Value, json};

/// The findings of a diagnosis, for programs.
pub fn hints(diagnosis: &Diagnosis) -> Value {
    let hint = |finding: &Finding| {
        json!({
            "mistakes": finding.mistakes.iter().map(|mistake| mistake.as_str()).collect::<Vec<_>>(),
            "verifies": finding.verifies,
            "words": finding.words,
            "fix": finding.fix,
        })
    };
    diagnosis.findings.iter().map(hint).collect()
}

/// Where the caller's own string to sign first differs from ours, for programs.
pub(super) fn difference(diagnosis: &Diagnosis) -> Option<Value> {
    let difference = diagnosis.difference.as_ref()?;
    Some(json!({
        "in": difference.piece,
        "line": difference.line,
        "byte": difference.byte,
        "expected": difference.ours,
        "given": difference.theirs,
    }))
}

/// What a trace says, for programs.
pub fn trace_members(trace: &Trace, profile: &Profile) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("fields".into(), by_name(&trace.fields).into());
    let mut strings = trace.strings_to_sign.iter();
    let first = strings.next();
    members.insert("string_to_sign".into(), first.map(|bytes| text(bytes)).into());
    if let Some(bytes) = first.filter(|bytes| std::str::from_utf8(bytes).is_err()) {
        members.insert("string_to_sign_base64".into(), STANDARD.encode(bytes).into());
    }
    members.insert("alternatives".into(), strings.map(|bytes| text(bytes)).collect());
    members.insert("pieces".into(), by_name(&trace.pieces).into());
    members.insert(
        "coverage".into(),
        json!({
            "covered": trace.covered,
            "partly": trace.partly,
            "uncovered": trace.uncovered,
            "named_uncovered": profile.uncovered().names().collect::<Vec<_>>(),
        }),
    );
    members.insert("signed_at".into(), trace.signed_at.map(seconds).into());
    members.insert("good_until".into(), trace.good_until.map(seconds).into());
    members
}

/// Texts by name; a name that comes more than once has a list. What is no text stands in base64 under `NAME_base64`.
fn by_name(named: &[(String, Vec<u8>)]) -> Map<String, Value> {
    let mut all: Map<String, Value> = Map::new();
    for (name, bytes) in named {
        let (name, value) = match std::str::from_utf8(bytes) {
            Ok(text) => (name.clone(), text.into()),
            Err(_) => (format!("{name}_base64"), STANDARD.encode(bytes).into()),
        };
        match all.get_mut(&name) {
            None => _ = all.insert(name, value),
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    all
}

/// Unix seconds: a whole number where it is one.
pub fn seconds(at: UnixMillis) -> Value {
    if at.millis() % 1000 == 0 { at.seconds().into() } else { (at.millis() as f64 / 1000.0).into() }
}

fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_has_a_list() {
        let named = [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")].map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        assert_eq!(Value::Object(by_name(&named)), json!({"a": ["1", "3", "4"], "b": "2"}));
    }

    #[test]
    fn what_is_no_text_stands_in_base64() {
        let named = [("mac".to_owned(), vec![0xff, 0xef]), ("a".to_owned(), b"1".to_vec())];
        assert_eq!(Value::Object(by_name(&named)), json!({"mac_base64": "/+8=", "a": "1"}));
    }

    #[test]
    fn seconds_are_whole_where_they_are() {
        let of = |millis| seconds(UnixMillis::from_millis(millis)).to_string();
        assert_eq!((of(1_764_000_000_000), of(1_764_000_000_500), of(-500)), ("1764000000".into(), "1764000000.5".into(), "-0.5".into()));
    }
}
