//! The parameters of a query or of a form body (`application/x-www-form-urlencoded`).

use super::bytes::Bytes;
use super::percent;

/// The most parameters of a query or a form.
pub(super) const MOST: usize = 256;

/// The parameters as they were sent, in order: names, and values unless there is no `=`. Nothing between two `&` is no
/// parameter. `None` when there are more than [`MOST`].
pub(super) fn split_query(query: &[u8]) -> Option<impl Iterator<Item = (&[u8], Option<&[u8]>)>> {
    let pieces = || query.split(|byte| *byte == b'&').filter(|piece| !piece.is_empty());
    (pieces().count() <= MOST).then(|| pieces().map(at_equals))
}

fn at_equals(piece: &[u8]) -> (&[u8], Option<&[u8]>) {
    match piece.iter().position(|byte| *byte == b'=').and_then(|at| piece.split_at_checked(at)) {
        Some((name, [_, value @ ..])) => (name, Some(value)),
        _ => (piece, None),
    }
}

/// A name or a value, decoded. In a form `+` is a space; whether it is in a query, its scheme says. A `%` without two digits
/// behind it stays as it is. What does not change stays lent.
pub(super) fn decode(text: &[u8], plus_is_space: bool) -> Bytes<'_> {
    percent::decode(Bytes::Lent(text), plus_is_space)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(query: &str) -> Vec<(String, Option<String>)> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        split_query(query.as_bytes()).unwrap().map(|(name, value)| (text(name), value.map(text))).collect()
    }

    #[test]
    fn parameters_are_split_and_not_changed() {
        let expect = |pairs: &[(&str, Option<&str>)]| -> Vec<_> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect()
        };
        // The query of RFC 5849 section 3.4.1.3.1.
        assert_eq!(
            read("b5=%3D%253D&a3=a&c%40=&a2=r%20b"),
            expect(&[("b5", Some("%3D%253D")), ("a3", Some("a")), ("c%40", Some("")), ("a2", Some("r%20b"))])
        );
        assert_eq!(
            read("acl&a=&=b&=&a=b=c"),
            expect(&[("acl", None), ("a", Some("")), ("", Some("b")), ("", Some("")), ("a", Some("b=c"))])
        );
        assert_eq!(read("&&a&&b&"), expect(&[("a", None), ("b", None)]));
        assert_eq!(read(""), []);
        assert_eq!(read("a;b=1"), expect(&[("a;b", Some("1"))]));
    }

    #[test]
    fn there_are_at_most_256() {
        assert_eq!(split_query("a&".repeat(256).as_bytes()).unwrap().count(), 256);
        assert!(split_query("a&".repeat(257).as_bytes()).is_none());
        assert_eq!(split_query(&[b'&'; 1000]).unwrap().count(), 0);
    }

    #[test]
    fn plus_is_a_space_where_the_scheme_says_so() {
        assert_eq!(decode(b"2+q%2B", true).as_slice(), b"2 q+");
        assert_eq!(decode(b"2+q%2B", false).as_slice(), b"2+q+");
    }

    proptest! {
        #[test]
        fn what_was_split_is_the_query(query in "[ab=%&]{0,20}") {
            let joined: Vec<_> = read(&query).into_iter().map(|(name, value)| value.map_or(name.clone(), |value| format!("{name}={value}"))).collect();
            let pieces: Vec<_> = query.split('&').filter(|piece| !piece.is_empty()).collect();
            prop_assert_eq!(joined, pieces);
        }
    }
}
