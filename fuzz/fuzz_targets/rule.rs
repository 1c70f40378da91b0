//! A rule that can be read stays within its bounds, and a rule that cannot says where.

#![no_main]

use countersign_core::rule::Rule;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Rule::parse(text) {
        Ok(rule) => {
            assert!(text.len() <= Rule::LONGEST);
            assert!((1..=Rule::MOST_ALTERNATIVES).contains(&rule.conjunctions().len()));
            for all in rule.conjunctions() {
                for kind in all.kinds.iter() {
                    assert!(rule.kinds().iter().any(|named| named == kind), "a kind that the rule does not name");
                }
                assert!(all.lists.iter().all(|list| rule.lists().iter().any(|named| named.name == *list)));
            }
            for (offset, length) in rule.lists().iter().map(|named| (named.offset, named.length)) {
                assert!(text.get(offset..offset + length).is_some());
            }
            // Parentheses around the whole change nothing, where there is room for them.
            if let Ok(wrapped) = Rule::parse(&format!("({text})")) {
                assert_eq!(wrapped, rule);
            }
        }
        Err(bad) => {
            assert!(bad.offset <= text.len() && bad.offset + bad.length <= text.len(), "{bad:?}");
            assert!(text.get(bad.offset..bad.offset + bad.length).is_some(), "{bad:?} cuts a character");
            assert!(!bad.message.is_empty());
        }
    }
});
