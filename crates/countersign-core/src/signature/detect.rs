//! Which of two schemes a request is in must be clear from its head.

use super::expression::{Expr, HeaderNames, Source, Step};
use super::filter::Filter;
use super::profile::Profile;
use super::request::Head;
use super::slots::SlotSource;
use super::value::Value;
use crate::presented::after_scheme;

/// What one expression of `detect` looks at, and what it must begin with there.
struct Looks<'p> {
    at: At<'p>,
    guard: Option<&'p Filter>,
}

enum At<'p> {
    Source(&'p SlotSource),
    Headers(&'p [HeaderNames]),
    /// What any request may have, such as a method.
    Anything,
}

/// Whether two lists of detecting expressions can hold for the same header or parameter.
pub(super) fn overlap(a: &Profile, b: &Profile) -> bool {
    let (a, b) = (all(a), all(b));
    a.iter().any(|x| b.iter().any(|y| x.at.meets(&y.at) && !exclusive(x.guard, y.guard)))
}

/// Whether a `Signature` belongs to HTTP message signatures (RFC 9421): there it stands beside `Signature-Input`. Older schemes
/// have one header of the same name alone.
pub(super) fn has_message_signatures(head: &Head<'_>) -> bool {
    head.headers.contains_key("signature-input")
}

/// Whether a source is the header `Signature`.
pub(super) fn is_signature(profile: &Profile, source: &Source) -> bool {
    matches!(source, Source::Header(slot) if matches!(profile.slots.get(*slot), Some(SlotSource::Header(name)) if name == "signature"))
}

/// Whether an expression or one of its alternatives looks at it.
pub(super) fn reads_signature(profile: &Profile, expr: &Expr) -> bool {
    is_signature(profile, &expr.source) || expr.steps.iter().any(|step| matches!(step, Step::Or(other) if reads_signature(profile, other)))
}

/// Whether a value is what stands there.
pub(super) fn came_from_signature(profile: &Profile, value: &Value<'_>) -> bool {
    value.from.direct.slots().any(|slot| is_signature(profile, &Source::Header(slot)))
}

/// Whether a request names an authentication scheme that `expr` asks for, in a form that is not that of the scheme. It is
/// shown then, and its fields are malformed: what is bad is not passed over.
pub(super) fn names_scheme(profile: &Profile, expr: &Expr, head: &Head<'_>) -> bool {
    let named = match (&expr.source, expr.steps.first()) {
        (Source::Header(slot), Some(Step::Filter(Filter::Scheme(scheme)))) => match profile.slots.get(*slot) {
            Some(SlotSource::Header(name)) => std::str::from_utf8(scheme)
                .is_ok_and(|scheme| head.headers.get_all(name).iter().any(|value| after_scheme(value.as_bytes(), scheme).is_some())),
            _ => false,
        },
        _ => false,
    };
    named || expr.steps.iter().any(|step| matches!(step, Step::Or(other) if names_scheme(profile, other, head)))
}

impl At<'_> {
    fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Anything, _) | (_, Self::Anything) => true,
            (Self::Source(a), Self::Source(b)) => a == b,
            (Self::Headers(names), Self::Source(source)) | (Self::Source(source), Self::Headers(names)) => match source {
                SlotSource::Header(name) => names.iter().any(|wanted| match wanted {
                    HeaderNames::Name(wanted) => wanted == name,
                    HeaderNames::Prefix(prefix) => name.as_str().starts_with(&**prefix),
                }),
                _ => false,
            },
            (Self::Headers(a), Self::Headers(b)) => a.iter().any(|x| b.iter().any(|y| same_header(x, y))),
        }
    }
}

/// Whether a header has a name that both ask for.
fn same_header(a: &HeaderNames, b: &HeaderNames) -> bool {
    match (a, b) {
        (HeaderNames::Name(a), HeaderNames::Name(b)) => a == b,
        (HeaderNames::Name(name), HeaderNames::Prefix(prefix)) | (HeaderNames::Prefix(prefix), HeaderNames::Name(name)) => {
            name.as_str().starts_with(&**prefix)
        }
        (HeaderNames::Prefix(a), HeaderNames::Prefix(b)) => a.starts_with(&**b) || b.starts_with(&**a),
    }
}

/// What stands first in Authorization, for those that stand there.
pub(super) fn authorization_schemes(profile: &Profile) -> impl Iterator<Item = &str> {
    all(profile).into_iter().filter_map(|looks| {
        let in_authorization = matches!(looks.at, At::Source(SlotSource::Header(name)) if name == http::header::AUTHORIZATION);
        match looks.guard {
            Some(Filter::Scheme(text) | Filter::StripPrefix(text)) if in_authorization => {
                std::str::from_utf8(text).ok().map(|text| text.trim_end_matches(['/', ' ', ':']))
            }
            _ => None,
        }
    })
}

fn all(profile: &Profile) -> Vec<Looks<'_>> {
    let mut looks = Vec::new();
    for expr in &profile.detect {
        add(profile, expr, &mut looks);
    }
    looks
}

fn add<'p>(profile: &'p Profile, expr: &'p Expr, looks: &mut Vec<Looks<'p>>) {
    let at = match &expr.source {
        Source::Header(slot) | Source::QueryParameter(slot) => profile.slots.get(*slot).map_or(At::Anything, At::Source),
        Source::Headers(names) => At::Headers(names),
        _ => At::Anything,
    };
    let guard = match expr.steps.first() {
        Some(Step::Filter(filter)) => Some(filter),
        _ => None,
    };
    looks.push(Looks { at, guard });
    for step in &expr.steps {
        if let Step::Or(other) = step {
            add(profile, other, looks);
        }
    }
}

/// Whether no value can pass both.
fn exclusive(a: Option<&Filter>, b: Option<&Filter>) -> bool {
    match (a, b) {
        (Some(Filter::Scheme(a)), Some(Filter::Scheme(b))) => !a.eq_ignore_ascii_case(b),
        (Some(Filter::StripPrefix(a)), Some(Filter::StripPrefix(b))) => !a.starts_with(b) && !b.starts_with(a),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName};

    use super::super::built_in::built_in;
    use super::super::load::Constants;
    use super::super::request::Body;
    use super::super::signing::ToSign;
    use super::*;
    use crate::fresh::Fresh;
    use crate::now::UnixMillis;
    use crate::request_view::Scheme;
    use crate::secret::SecretText;

    fn profile(name: &str) -> Profile {
        Profile::load(built_in(name).unwrap(), &Constants::new()).unwrap()
    }

    fn signed(profile: &Profile) -> HeaderMap {
        let secret = SecretText::new("a secret that is as long as it must be".to_owned());
        let (mut headers, now) = (HeaderMap::new(), UnixMillis::from_seconds(1_764_000_000));
        let request = ToSign { method: "GET", scheme: Scheme::Https, host: "api.test", target: "/a", headers: &headers, body: Body::Empty };
        let added = profile.sign("ck_1", &secret, &request, now, Fresh::new([7; 16])).unwrap().headers;
        for (name, value) in added {
            headers.insert(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_signature_beside_signature_input_is_of_rfc_9421_and_alone_it_is_of_the_draft() {
        let (new, old) = (profile("rfc9421"), profile("cavage"));
        let shows = |profile: &Profile, headers: &HeaderMap| {
            let head = Head { method: "GET", scheme: Scheme::Https, host: "api.test", target: "/a", headers };
            profile.find_fields(head).unwrap().is_some()
        };
        let by_new = signed(&new);
        assert!(shows(&new, &by_new) && !shows(&old, &by_new));
        let mut by_old = signed(&old);
        let authorization = by_old.remove("authorization").unwrap();
        let parameters = authorization.to_str().unwrap().strip_prefix("Signature ").unwrap();
        by_old.insert("signature", parameters.parse().unwrap());
        assert!(shows(&old, &by_old) && !shows(&new, &by_old));
    }

    #[test]
    fn a_message_signature_may_be_detected_by_its_signature_and_an_alternative_counts_beside_it() {
        let text = built_in("rfc9421").unwrap().replace("header:signature-input", "header:signature");
        let copy = Profile::load(&text, &Constants::new()).unwrap();
        let headers = signed(&copy);
        let shows = |profile: &Profile, target: &str, headers: &HeaderMap| {
            let head = Head { method: "GET", scheme: Scheme::Https, host: "api.test", target, headers };
            profile.find_fields(head).unwrap().is_some()
        };
        assert!(shows(&copy, "/a", &headers));
        let older = |detect: &str| {
            let text = format!(
                "name = \"small\"\ntitle = \"Small\"\ndetect = [\"{detect}\"]\nuncovered = [\"path\", \"query\", \"host\", \"body\", \"time\"]\n\
                 [fields]\nmac = {{ from = \"query:sign\", optional = true }}\n[mac]\nalgorithm = \"hmac-sha256\"\nmessage = \"{{method}}\"\n"
            );
            Profile::load(&text, &Constants::new()).unwrap()
        };
        let alone: HeaderMap = [(HeaderName::from_static("signature"), "a".parse().unwrap())].into_iter().collect();
        for detect in [
            "header:signature | or:'query:sign'",
            "query:sign | or:'header:signature'",
            "header:x-sign | or:'header:signature' | or:'query:sign'",
        ] {
            let older = older(detect);
            assert!(shows(&older, "/a?sign=x", &headers), "{detect}");
            assert!(!shows(&older, "/a", &headers), "{detect}");
            assert!(shows(&older, "/a", &alone), "{detect}");
        }
    }
}
