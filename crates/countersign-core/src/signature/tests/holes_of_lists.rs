//! Two lists, or two values, that read the same are signed as one of them: profiles that an operator could write, and requests of
//! which one part was changed after signing.

use super::holes_of_collections::{Request, TIMED, TS, X_TS, lacks, load};

#[test]
fn a_suffix_that_was_dropped_is_not_signed() {
    let profile = load(TS, "{method}\n{path}\n{query | drop_suffix:'0'}\n{host}\n{ts}\n{body | sha256 | hex}", TIMED).unwrap();
    let signed = Request::get("/a?amount=1", &[X_TS]);
    assert_eq!(signed.judge(&profile), Ok(()));
    lacks(signed.to("/a?amount=10").judge_with_mac_of(&signed, &profile), "query");
}
