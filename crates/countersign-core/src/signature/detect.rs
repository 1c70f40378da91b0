//! Which of two schemes a request is in must be clear from its head.

use super::expression::{Expr, Source, Step};
use super::filter::Filter;
use super::profile::Profile;
use super::slots::SlotSource;

/// What one expression of `detect` looks at, and what it must begin with there.
struct Looks<'p> {
    at: &'p SlotSource,
    guard: Option<&'p Filter>,
}

/// Whether two lists of detecting expressions can hold for the same header or parameter.
pub(super) fn overlap(a: &Profile, b: &Profile) -> bool {
    let (a, b) = (all(a), all(b));
    let same = |x: &Looks<'_>, y: &Looks<'_>| x.at == y.at;
    a.iter().any(|x| b.iter().any(|y| same(x, y) && !exclusive(x.guard, y.guard)))
}

/// What stands first in Authorization, for those that stand there.
pub(super) fn authorization_schemes(profile: &Profile) -> impl Iterator<Item = &str> {
    all(profile).into_iter().filter_map(|looks| {
        let in_authorization = matches!(looks.at, SlotSource::Header(name) if name == http::header::AUTHORIZATION);
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
    if let Source::Header(slot) | Source::QueryParameter(slot) = &expr.source
        && let Some(at) = profile.slots.get(*slot)
    {
        let guard = match expr.steps.first() {
            Some(Step::Filter(filter)) => Some(filter),
            _ => None,
        };
        looks.push(Looks { at, guard });
    }
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
