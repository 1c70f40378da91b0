//! How the upstream is told who came: the one function that takes every spelling of our headers off a request and then sets
//! them. It runs on every forwarded request, whatever its route and whoever sent it.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::decide::Permit;
use crate::presented::{X_API_KEY, after_scheme};
use crate::principal::Scopes;
use crate::signature::Profile;

/// What the headers are called, and the headers that carry credentials.
#[derive(Debug, Clone)]
pub struct IdentityHeaderNames {
    id: HeaderName,
    username: HeaderName,
    credential: HeaderName,
    scopes: HeaderName,
    /// Taken off always.
    ours: Folded,
    /// Taken off unless the route passes credentials on.
    credentials: Folded,
    /// Schemes of Authorization in which requests are signed.
    schemes: Vec<Box<str>>,
}

/// Names that cannot be used for identity headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadHeaderNames {
    /// Two of them are the same once case and `-`, `_`, `.` are folded.
    #[error("{0} is used for two identity headers, or differs from another only in - _ .")]
    Twice(HeaderName),
    /// The name has a meaning of its own.
    #[error("{0} cannot be an identity header: it has a meaning of its own")]
    Taken(HeaderName),
}

impl IdentityHeaderNames {
    /// Headers by other names than the default ones.
    pub fn new(id: HeaderName, username: HeaderName, credential: HeaderName, scopes: HeaderName) -> Result<Self, BadHeaderNames> {
        let credentials = Folded::of(SIGNATURE_HEADERS.iter().map(|name| HeaderName::from_static(name)).chain([X_API_KEY, AUTHORIZATION]));
        let mut ours = Folded::default();
        for name in [&id, &username, &credential, &scopes] {
            if TAKEN.contains(&name.as_str()) || credentials.contains(name) {
                return Err(BadHeaderNames::Taken(name.clone()));
            }
            if ours.contains(name) {
                return Err(BadHeaderNames::Twice(name.clone()));
            }
            ours.add(name);
        }
        Ok(Self { id, username, credential, scopes, ours, credentials, schemes: Vec::new() })
    }

    /// The same, and the headers in which signatures of these schemes stand are taken off as well.
    #[must_use]
    pub fn with_credentials(mut self, profiles: &[Profile]) -> Self {
        for name in profiles.iter().flat_map(Profile::credential_headers) {
            if *name != AUTHORIZATION && !self.credentials.contains(name) && !TAKEN.contains(&name.as_str()) {
                self.credentials.add(name);
            }
        }
        self.schemes = profiles.iter().flat_map(Profile::authorization_schemes).map(Into::into).collect();
        self
    }

    /// The headers in the order id, username, credential, scopes, each with its value if there is one.
    ///
    /// What cannot stand in a header, and `%`, is percent-encoded as UTF-8, so that decoding always gives back the value.
    pub fn values(&self, permit: &Permit) -> [(&HeaderName, Option<HeaderValue>); 4] {
        let Some(identity) = permit.identity() else {
            return [(&self.id, None), (&self.username, None), (&self.credential, None), (&self.scopes, None)];
        };
        let mut others = permit.identities().skip(1).map(|identity| &*identity.scopes).filter(|scopes| !scopes.is_empty()).peekable();
        let scopes = if others.peek().is_some() {
            let sets: Vec<&Scopes> = std::iter::once(&*identity.scopes).chain(others).collect();
            let mut all: Vec<&str> = sets.iter().flat_map(|set| set.iter()).map(|scope| scope.as_str()).collect();
            all.sort_unstable();
            all.dedup();
            Some(all.join(" "))
        } else {
            (!identity.scopes.is_empty()).then(|| identity.scopes.to_string())
        };
        [
            (&self.id, value(identity.principal.id.as_str())),
            (&self.username, value(&identity.principal.name)),
            (&self.credential, value(&identity.credential)),
            (&self.scopes, scopes.and_then(|scopes| value(&scopes))),
        ]
    }
}

impl Default for IdentityHeaderNames {
    fn default() -> Self {
        let names = ["x-consumer-id", "x-consumer-username", "x-credential-identifier", "x-consumer-scopes"].map(HeaderName::from_static);
        let [id, username, credential, scopes] = names;
        Self {
            ours: Folded::of([id.clone(), username.clone(), credential.clone(), scopes.clone()]),
            credentials: Folded::of(SIGNATURE_HEADERS.iter().map(|name| HeaderName::from_static(name)).chain([X_API_KEY, AUTHORIZATION])),
            schemes: Vec::new(),
            id,
            username,
            credential,
            scopes,
        }
    }
}

/// Makes the headers say who came, and nothing else say it: takes off every spelling of our names, and of the headers that
/// carry credentials unless `forward_credentials`; then sets ours from the permit. A request that passed without credentials
/// gets none of them.
///
/// `Authorization` of a scheme that is not ours (`Basic`) is the upstream's business and stays.
pub fn apply(headers: &mut HeaderMap, names: &IdentityHeaderNames, permit: &Permit, forward_credentials: bool) {
    strip(headers, names, forward_credentials);
    for (name, value) in names.values(permit) {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

fn strip(headers: &mut HeaderMap, names: &IdentityHeaderNames, forward_credentials: bool) {
    let goes = |headers: &HeaderMap, name: &HeaderName| {
        names.ours.contains(name)
            || (!forward_credentials && names.credentials.contains(name) && (name != AUTHORIZATION || has_credential(headers, &names.schemes)))
    };
    loop {
        // A few at a time, so that nothing is allocated for them.
        let mut found: [Option<HeaderName>; 8] = [const { None }; 8];
        let going = headers.keys().filter(|name| goes(headers, name));
        for (slot, name) in found.iter_mut().zip(going) {
            *slot = Some(name.clone());
        }
        let full = found.iter().all(Option::is_some);
        for name in found.into_iter().flatten() {
            headers.remove(name);
        }
        if !full {
            return;
        }
    }
}

/// Whether Authorization holds something that is ours to read.
fn has_credential(headers: &HeaderMap, signed: &[Box<str>]) -> bool {
    let schemes = || ["Bearer", "ApiKey"].into_iter().chain(signed.iter().map(|scheme| &**scheme));
    let ours = |value: &HeaderValue| schemes().any(|scheme| after_scheme(value.as_bytes(), scheme).is_some());
    headers.get_all(AUTHORIZATION).iter().any(ours)
}

/// The headers of the native signature scheme.
const SIGNATURE_HEADERS: [&str; 4] = ["x-key-id", "x-timestamp", "x-nonce", "x-signature"];

/// Names that HTTP or the gateway itself needs on the way to the upstream.
const TAKEN: [&str; 24] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-digest",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "date",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-request-id",
];

/// A set of names that are compared with case and `-`, `_`, `.` folded: upstreams that see headers as variables
/// (`HTTP_X_CONSUMER_ID`) cannot tell those apart.
#[derive(Debug, Clone, Default)]
struct Folded {
    names: Vec<Box<[u8]>>,
    /// Bit n is set when a name has n bytes, 63 for all longer ones: most names are ruled out without looking at them.
    lengths: u64,
}

impl Folded {
    fn of(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut folded = Self::default();
        names.into_iter().for_each(|name| folded.add(&name));
        folded
    }

    fn add(&mut self, name: &HeaderName) {
        self.names.push(name.as_str().bytes().map(fold).collect());
        self.lengths |= 1 << name.as_str().len().min(63);
    }

    fn contains(&self, name: &HeaderName) -> bool {
        let name = name.as_str().as_bytes();
        self.lengths & 1 << name.len().min(63) != 0
            && self.names.iter().any(|known| known.len() == name.len() && known.iter().zip(name).all(|(known, byte)| *known == fold(*byte)))
    }
}

const fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other.to_ascii_lowercase(),
    }
}

/// A value as a header can hold it; see [`IdentityHeaderNames::values`].
fn value(text: &str) -> Option<HeaderValue> {
    let stays = |byte: u8| (byte.is_ascii_graphic() && byte != b'%') || byte == b' ';
    let edge = |text: &str| text.starts_with(' ') || text.ends_with(' ');
    if text.bytes().all(stays) && !edge(text) {
        return HeaderValue::from_str(text).ok();
    }
    let mut encoded = String::with_capacity(text.len().saturating_mul(3));
    let inner = text.trim_matches(' ');
    let start = text.len() - text.trim_start_matches(' ').len();
    for (i, byte) in text.bytes().enumerate() {
        let inside = i >= start && i < start + inner.len();
        if stays(byte) && (inside || byte != b' ') {
            encoded.push(char::from(byte));
        } else {
            const DIGITS: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
            let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or('0');
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    HeaderValue::from_str(&encoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::tests::{permit_for, verified};
    use crate::rule::Kind;
    use proptest::prelude::*;

    fn applied(lines: &[(&str, &str)], permit: &Permit, forward_credentials: bool) -> Vec<String> {
        let mut headers: HeaderMap =
            lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        apply(&mut headers, &IdentityHeaderNames::default(), permit, forward_credentials);
        let mut shown: Vec<_> = headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        shown.sort_unstable();
        shown
    }

    fn alice() -> Permit {
        permit_for(vec![verified(Kind::Jwt, "us_alice", "write read", None)])
    }

    #[test]
    fn the_upstream_is_told_who_came() {
        assert_eq!(
            applied(&[("accept", "*/*"), ("X-Consumer-ID", "us_root"), ("authorization", "Bearer abc")], &alice(), false),
            [
                "accept: */*",
                "x-consumer-id: us_alice",
                "x-consumer-scopes: read write",
                "x-consumer-username: alice",
                "x-credential-identifier: jwt-of-us_alice",
            ]
        );
    }

    #[test]
    fn nobody_has_no_identity_headers() {
        let nobody = permit_for(vec![]);
        let sent =
            [("x-consumer-id", "us_root"), ("x_consumer_username", "root"), ("x-consumer.scopes", "admin"), ("x-consumer-idx", "kept")];
        assert_eq!(applied(&sent, &nobody, false), ["x-consumer-idx: kept"]);
        assert_eq!(applied(&sent, &nobody, true), ["x-consumer-idx: kept"]);
    }

    #[test]
    fn scopes_are_those_of_all_the_credentials() {
        let both = permit_for(vec![verified(Kind::Hmac, "cl_acme", "b", None), verified(Kind::ApiKey, "cl_acme", "a b", None)]);
        let shown = applied(&[], &both, false);
        assert!(shown.contains(&"x-consumer-scopes: a b".to_owned()), "{shown:?}");
        assert!(shown.contains(&"x-credential-identifier: hmac-of-cl_acme".to_owned()), "{shown:?}");
        let none = permit_for(vec![verified(Kind::Hmac, "cl_acme", "", None)]);
        assert_eq!(applied(&[("x-consumer-scopes", "admin")], &none, false).len(), 3);
    }

    #[test]
    fn credentials_stay_with_the_gateway_unless_the_route_passes_them_on() {
        let sent = [
            ("authorization", "bEARER abc"),
            ("x-api-key", "csk_1"),
            ("x_api_key", "csk_1"),
            ("x-key-id", "ck_1"),
            ("x-timestamp", "1"),
            ("x-nonce", "1"),
            ("x-signature", "v3=1"),
            ("x.signature", "v3=1"),
            ("x-consumer-id", "us_root"),
        ];
        let nobody = permit_for(vec![]);
        assert_eq!(applied(&sent, &nobody, false), Vec::<String>::new());
        assert_eq!(applied(&sent, &nobody, true).len(), 8);
        for (value, stays) in
            [("Basic YTpi", true), ("ApiKey csk_1", false), ("Bearer", false), ("Bearer\tx", false), ("Bearertoken x", true)]
        {
            assert_eq!(applied(&[("authorization", value)], &nobody, false).len(), usize::from(stays), "{value}");
        }
        assert_eq!(applied(&[("authorization", "Basic YTpi"), ("authorization", "Bearer x")], &nobody, false).len(), 0);
    }

    #[test]
    fn a_value_that_no_header_can_hold_is_encoded_and_never_split() {
        for (text, shown) in [
            ("bob", "bob"),
            ("bob b", "bob b"),
            ("a\r\nx-consumer-id: root", "a%0D%0Ax-consumer-id: root"),
            ("zoë", "zo%C3%AB"),
            ("100%", "100%25"),
            (" a b ", "%20a b%20"),
            ("  ", "%20%20"),
            ("", ""),
        ] {
            assert_eq!(value(text).unwrap(), shown, "{text:?}");
        }
    }

    #[test]
    fn names_that_collide_or_have_a_meaning_are_refused() {
        let name = HeaderName::from_static;
        let named = |a: &'static str, b: &'static str| IdentityHeaderNames::new(name(a), name(b), name("x-c"), name("x-d"));
        assert!(named("x-a", "x-b").is_ok());
        assert_eq!(named("x-a-b", "x_a.b").unwrap_err(), BadHeaderNames::Twice(name("x_a.b")));
        for taken in ["host", "authorization", "content-length", "x_api_key"] {
            assert_eq!(named(taken, "x-b").unwrap_err(), BadHeaderNames::Taken(name(taken)));
        }
    }

    proptest! {
        #[test]
        fn no_spelling_of_a_name_survives(
            which in 0usize..10,
            dashes in proptest::collection::vec(proptest::sample::select(vec!['-', '_', '.']), 4),
            upper in proptest::collection::vec(any::<bool>(), 24),
            copies in 1usize..20,
        ) {
            let all = ["x-consumer-id", "x-consumer-username", "x-credential-identifier", "x-consumer-scopes", "x-key-id", "x-timestamp",
                "x-nonce", "x-signature", "x-api-key", "x-consumer-id"];
            let mut dashes = dashes.into_iter();
            let spelled: String = all[which]
                .chars()
                .zip(upper)
                .map(|(c, upper)| if c == '-' { dashes.next().unwrap_or('_') } else if upper { c.to_ascii_uppercase() } else { c })
                .collect();
            let mut headers = HeaderMap::new();
            for i in 0..copies {
                headers.append(HeaderName::from_bytes(spelled.as_bytes()).unwrap(), HeaderValue::from(i));
                headers.append(HeaderName::from_bytes(format!("x-other-{i}").as_bytes()).unwrap(), HeaderValue::from(i));
            }
            apply(&mut headers, &IdentityHeaderNames::default(), &permit_for(vec![]), false);
            prop_assert_eq!(headers.len(), copies);
            prop_assert!(headers.keys().all(|name| name.as_str().starts_with("x-other-")));
        }

        #[test]
        fn an_encoded_value_decodes_to_what_it_was(text in any::<String>()) {
            let shown = value(&text).unwrap();
            let mut bytes = Vec::new();
            let mut rest = shown.as_bytes();
            while let Some((first, after)) = rest.split_first() {
                rest = after;
                if *first == b'%' {
                    bytes.push(u8::from_str_radix(std::str::from_utf8(&rest[..2]).unwrap(), 16).unwrap());
                    rest = &rest[2..];
                } else {
                    bytes.push(*first);
                }
            }
            prop_assert_eq!(bytes, text.into_bytes());
        }
    }
}
