//! Patterns: what matches with case matches without, and the other way round where there are no capitals; a fixed pattern matches
//! itself only; the order of patterns is one.
//!
//! The input is two patterns and a path, one a line.

#![no_main]

use countersign_core::path_pattern::PathPattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let mut lines = text.splitn(3, '\n');
    let (Some(one), Some(two), Some(path)) = (lines.next(), lines.next(), lines.next()) else { return };
    let (Ok(one), two) = (one.parse::<PathPattern>(), two.parse::<PathPattern>()) else { return };
    assert_eq!(one.as_str().parse::<PathPattern>().as_ref(), Ok(&one));
    if one.matches(path) {
        assert!(one.matches_folded(path));
        assert!(path.starts_with('/'));
    }
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        assert_eq!(one.matches(path), one.matches_folded(path));
    }
    if one.is_fixed() {
        assert!(one.matches(one.as_str()));
        assert_eq!(one.matches(path), path == one.as_str());
    }
    assert!(one.by_specificity(&one).is_eq());
    let Ok(two) = two else { return };
    assert_eq!(one.by_specificity(&two), two.by_specificity(&one).reverse());
    if one.by_specificity(&two).is_eq() {
        assert_eq!(one.matches(path), two.matches(path), "equal patterns differ on {path:?}");
    }
});
