//! How the upstream is told who came: the one function that takes every spelling of our headers off a request and then sets
//! them. It runs on every forwarded request, whatever its route and whoever sent it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::decide::Permit;
use crate::presented::{X_API_KEY, after_scheme};
use crate::principal::{Principal, Scopes};
use crate::signature::Profile;
use crate::verified::Identity;

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
}

/// Header values of identities that came a moment ago, so that the next request of the same one need not make them again. Each
/// data thread has its own.
pub struct KeptValues(Box<[Option<Kept>]>);

/// The values of one identity, which is told by the addresses of its parts. They are held here, so that an address cannot become
/// that of something else.
struct Kept {
    principal: Arc<Principal>,
    credential: Arc<str>,
    scopes: Arc<Scopes>,
    values: Values,
}

/// The values, where there are any.
#[derive(Clone)]
struct Values {
    id: Option<HeaderValue>,
    username: Option<HeaderValue>,
    credential: Option<HeaderValue>,
    scopes: Option<HeaderValue>,
}

impl KeptValues {
    /// How many identities are kept; of two that want one place, the later one has it. A power of two.
    const PLACES: usize = 512;

    /// The values of an identity.
    fn of(&mut self, identity: &Identity) -> Values {
        // The lowest bits of an address say nothing; the multiplication spreads the others.
        let address = Arc::as_ptr(&identity.credential).cast::<u8>().addr() as u64;
        let place = (address >> 3).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - Self::PLACES.ilog2());
        match self.0.get_mut(place as usize) {
            Some(Some(kept)) if kept.is_of(identity) => kept.values.clone(),
            Some(other) => other.insert(Kept::new(identity)).values.clone(),
            None => Kept::new(identity).values,
        }
    }
}

impl Default for KeptValues {
    fn default() -> Self {
        Self((0..Self::PLACES).map(|_| None).collect())
    }
}

impl Kept {
    fn new(identity: &Identity) -> Self {
        Self {
            principal: Arc::clone(&identity.principal),
            credential: Arc::clone(&identity.credential),
            scopes: Arc::clone(&identity.scopes),
            values: Values {
                id: value(identity.principal.id.as_str()),
                username: value(&identity.principal.name),
                credential: value(&identity.credential),
                scopes: if identity.scopes.is_empty() { None } else { value(&identity.scopes.to_string()) },
            },
        }
    }

    fn is_of(&self, identity: &Identity) -> bool {
        Arc::ptr_eq(&self.credential, &identity.credential)
            && Arc::ptr_eq(&self.principal, &identity.principal)
            && Arc::ptr_eq(&self.scopes, &identity.scopes)
    }
}

/// The scopes of all credentials together, when there is more than one that has any.
fn shared_scopes(permit: &Permit) -> Option<HeaderValue> {
    let mut sets = permit.identities().map(|identity| &identity.scopes).filter(|scopes| !scopes.is_empty());
    let (first, second) = (sets.next()?, sets.next()?);
    let mut all: Vec<&str> = [first, second].into_iter().chain(sets).flat_map(|set| set.iter()).map(|scope| scope.as_str()).collect();
    all.sort_unstable();
    all.dedup();
    value(&all.join(" "))
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
/// gets none of them. `kept` is the thread's own.
///
/// What cannot stand in a header, and `%`, is percent-encoded as UTF-8, so that decoding always gives back the value.
/// `Authorization` of a scheme that is not ours (`Basic`) is the upstream's business and stays.
pub fn apply(headers: &mut HeaderMap, names: &IdentityHeaderNames, permit: &Permit, forward_credentials: bool, kept: &mut KeptValues) {
    strip(headers, names, forward_credentials);
    let Some(identity) = permit.identity() else { return };
    let Values { id, username, credential, scopes } = kept.of(identity);
    let scopes = shared_scopes(permit).or(scopes);
    for (name, value) in [(&names.id, id), (&names.username, username), (&names.credential, credential), (&names.scopes, scopes)] {
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

fn strip(headers: &mut HeaderMap, names: &IdentityHeaderNames, forward_credentials: bool) {
    // By their places: which of the names are there as they are usually spelled. Nothing is taken from the request for these.
    let (mut ours, mut credentials) = (0u64, 0u64);
    let mut unusual = Vec::new();
    for name in headers.keys() {
        let credential = || {
            let found = names.credentials.find(name).filter(|_| !forward_credentials);
            found.filter(|_| name != AUTHORIZATION || has_credential(headers, &names.schemes))
        };
        let (found, places) = match names.ours.find(name) {
            Some(found) => (Some(found), &mut ours),
            None => (credential(), &mut credentials),
        };
        match found {
            Some(Found { place: place @ 0..64, as_usual: true }) => *places |= 1 << place,
            Some(_) => unusual.push(name.clone()),
            None => {}
        }
    }
    for (known, mut places) in [(&names.ours, ours), (&names.credentials, credentials)] {
        while places != 0 {
            if let Some(name) = known.names.get(places.trailing_zeros() as usize) {
                headers.remove(name);
            }
            places &= places.wrapping_sub(1);
        }
    }
    for name in unusual {
        headers.remove(name);
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
    names: Vec<HeaderName>,
    /// Bit n is set when a name has n bytes, 63 for all longer ones: most names are ruled out without looking at them.
    lengths: u64,
}

/// A name that was found.
#[derive(Clone, Copy)]
struct Found {
    place: usize,
    /// Spelled as it is in the set.
    as_usual: bool,
}

impl Folded {
    fn of(names: impl IntoIterator<Item = HeaderName>) -> Self {
        let mut folded = Self::default();
        names.into_iter().for_each(|name| folded.add(&name));
        folded
    }

    fn add(&mut self, name: &HeaderName) {
        self.names.push(name.clone());
        self.lengths |= 1 << name.as_str().len().min(63);
    }

    fn contains(&self, name: &HeaderName) -> bool {
        self.find(name).is_some()
    }

    /// Which name a spelling stands for.
    fn find(&self, spelled: &HeaderName) -> Option<Found> {
        let bytes = spelled.as_str().as_bytes();
        if self.lengths & 1 << bytes.len().min(63) == 0 {
            return None;
        }
        let same = |known: &str| known.len() == bytes.len() && known.bytes().zip(bytes).all(|(known, byte)| fold(known) == fold(*byte));
        // Nearly every name is spelled as usual, and that is seen at once.
        if let Some(place) = self.names.iter().position(|known| known == spelled) {
            return Some(Found { place, as_usual: true });
        }
        let place = self.names.iter().position(|known| same(known.as_str()))?;
        Some(Found { place, as_usual: false })
    }
}

/// `HeaderName` has no upper case left.
const fn fold(byte: u8) -> u8 {
    match byte {
        b'_' | b'.' => b'-',
        other => other,
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
    use crate::signature::built_in::BUILT_IN;
    use crate::signature::load::Constants;
    use crate::verified::Verified;
    use proptest::prelude::*;

    fn applied(lines: &[(&str, &str)], permit: &Permit, forward_credentials: bool) -> Vec<String> {
        let mut headers: HeaderMap =
            lines.iter().map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse().unwrap())).collect();
        apply(&mut headers, &IdentityHeaderNames::default(), permit, forward_credentials, &mut KeptValues::default());
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
    fn the_credentials_of_every_scheme_are_taken_off_however_many_there_are() {
        let load = |(_, text): &(&str, &str)| Profile::load(text, &Constants::new()).ok();
        let profiles: Vec<_> = BUILT_IN.iter().filter_map(load).collect();
        let mut names = IdentityHeaderNames::default().with_credentials(&profiles);
        // More than are looked at by their places.
        (0..64).for_each(|n| names.credentials.add(&format!("x-scheme-{n}").parse().unwrap()));
        let known = names.credentials.names.clone();
        assert!(known.len() > 100, "{}", known.len());
        let mut headers: HeaderMap = known.iter().map(|name| (name.clone(), HeaderValue::from_static("Bearer x"))).collect();
        headers.insert("accept", HeaderValue::from_static("*/*"));
        apply(&mut headers, &names, &permit_for(vec![]), false, &mut KeptValues::default());
        assert_eq!(headers.keys().map(HeaderName::as_str).collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn values_are_made_once_for_an_identity_and_never_shown_for_another() {
        let mut kept = KeptValues::default();
        // More than there are places, so that some want the same one.
        let many: Vec<_> = (0..KeptValues::PLACES * 2).map(|n| verified(Kind::Jwt, &format!("us_{n}"), "read", None)).collect();
        let mut told = |verified: &Verified<Identity>| {
            let mut headers = HeaderMap::new();
            apply(&mut headers, &IdentityHeaderNames::default(), &permit_for(vec![verified.clone()]), false, &mut kept);
            headers
        };
        for one in &many {
            for _ in 0..2 {
                let headers = told(one);
                assert_eq!(headers["x-consumer-id"], *one.get().principal.id.as_str());
                assert_eq!(headers["x-consumer-username"], *one.get().principal.name);
                assert_eq!(headers["x-credential-identifier"], *one.get().credential);
                assert_eq!(headers["x-consumer-scopes"], "read");
            }
        }
        let (first, again) = (told(&many[7]), told(&many[7]));
        assert_eq!(first["x-consumer-id"].as_bytes().as_ptr(), again["x-consumer-id"].as_bytes().as_ptr(), "not made again");
        // The same key with other scopes, as after an edit, is another identity.
        let fewer = Identity { scopes: Arc::new("none".parse().unwrap()), ..many[7].get().clone() };
        assert_eq!(told(&Verified::new(fewer))["x-consumer-scopes"], "none");
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
            apply(&mut headers, &IdentityHeaderNames::default(), &permit_for(vec![]), false, &mut KeptValues::default());
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
