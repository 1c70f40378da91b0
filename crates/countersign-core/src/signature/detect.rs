//! Which of two schemes a request is in must be clear from its head.

use super::expression::{Expr, HeaderNames, Source, Step};
use super::filter::Filter;
use super::profile::Profile;
use super::request::Head;
use super::slots::SlotSource;
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
