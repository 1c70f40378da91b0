//! A collection of several sources signs which parameters there are and not where each of them stands. Held apart by requirements, a
//! parameter cannot move from one source to another under the same MAC.

use super::super::collection::{Collection, Origin};
use super::super::coverage::Parts;
use super::super::expression::{Expr, Piece, Source, Step};
use super::super::filter::Filter;
use super::super::profile::Profile;
use super::super::rules::{FieldSource, Requirement};

/// Whether a parameter of the collection could stand in another of its sources without changing the text.
pub(super) fn could_move(profile: &Profile, collection: &Collection) -> bool {
    let has = |wanted: &[Origin]| collection.from.iter().any(|from| wanted.contains(from));
    let (query, form) = (has(&[Origin::Query, Origin::RawQuery]), has(&[Origin::Form]));
    let mut maps = collection.from.iter().filter_map(|from| match from {
        Origin::Map(index) => Some(*index),
        _ => None,
    });
    let (first, second) = (maps.next(), maps.next());
    // Nothing tells a header from a parameter or a member of the same name.
    has(&[Origin::Headers]) && (query || form || first.is_some())
        || query && form && !told_by_method(profile)
        || first.is_some() && second.is_some()
        || first.is_some_and(|map| (query || form) && !told_by_name(profile, collection, map))
}

/// Whether the method, which is signed, says which of query and body there is.
fn told_by_method(profile: &Profile) -> bool {
    let of_method = |condition: &Expr| condition.info.reads == Parts::METHOD && !profile.uncovered.contains(Parts::METHOD);
    absent(profile, &Source::Body)
        .filter(|(condition, _)| of_method(condition))
        .any(|(condition, holds)| absent(profile, &Source::Query).any(|(other, held)| other == condition && held != holds))
}

/// The conditions under which a part of the request must be absent.
fn absent<'p>(profile: &'p Profile, wanted: &'p Source) -> impl Iterator<Item = (&'p Expr, bool)> {
    profile.requires.iter().filter_map(move |require| match (&require.what, &require.condition) {
        (Requirement::Absent(expr), Some((condition, holds))) => {
            Some((condition, *holds)).filter(|_| expr.source == *wanted && expr.steps.is_empty())
        }
        _ => None,
    })
}

/// Whether all names of the map begin in one way, and no name of the other sources does.
fn told_by_name(profile: &Profile, collection: &Collection, map: usize) -> bool {
    let keeps_names = collection.name.iter().all(|filter| matches!(filter, Filter::Encode(_)))
        && collection.item.iter().chain(collection.item_empty.iter().flatten()).all(|piece| match piece {
            Piece::Value(expr) => expr.source != Source::ItemName || expr.steps.is_empty(),
            Piece::Text(_) => true,
            Piece::When { .. } => false,
        });
    keeps_names
        && profile.requires.iter().filter(|require| require.condition.is_none()).any(|require| {
            let Requirement::Absent(Expr { source: Source::Field(of), steps, .. }) = &require.what else { return false };
            let [Step::Without(names)] = &**steps else { return false };
            is_made_of(profile, map, *of)
            // What the map itself is without needs no place.
            && names.iter().filter(|name| !lacks(profile, map, name)).all(|name| {
                name.strip_suffix('*').is_some_and(|prefix| is_refused_elsewhere(profile, collection, prefix))
            })
        })
}

/// Whether the members of a map are some of those of another.
fn is_made_of(profile: &Profile, map: usize, of: usize) -> bool {
    map == of
        || match profile.fields.get(map).map(|field| &field.from) {
            Some(FieldSource::Expr(Expr { source: Source::Field(next), steps, .. })) => {
                steps.iter().all(|step| matches!(step, Step::Without(_) | Step::All)) && is_made_of(profile, *next, of)
            }
            _ => false,
        }
}

/// Whether a map is without this name.
fn lacks(profile: &Profile, map: usize, name: &str) -> bool {
    let Some(FieldSource::Expr(expr)) = profile.fields.get(map).map(|field| &field.from) else { return false };
    expr.steps.iter().any(|step| matches!(step, Step::Without(names) if names.iter().any(|known| **known == *name)))
}

/// Whether a requirement refuses every name that begins so in the other sources of the collection.
fn is_refused_elsewhere(profile: &Profile, collection: &Collection, prefix: &str) -> bool {
    profile.requires.iter().any(|require| {
        let Requirement::Absent(expr) = &require.what else { return false };
        let Source::Collection(index) = expr.source else { return false };
        // A collection is always there. Only under the condition that it is not empty can it be asked to be absent.
        let asks_itself = require.condition.as_ref().is_some_and(|(condition, holds)| *holds && condition == expr);
        let Some(elsewhere) = profile.collections.get(index).filter(|_| asks_itself && expr.steps.is_empty()) else { return false };
        let has_all = collection.from.iter().filter(|from| !matches!(from, Origin::Map(_))).all(|from| elsewhere.from.contains(from));
        let is_whole = elsewhere.names.is_none() && elsewhere.exclude.is_empty() && !elsewhere.skip_empty;
        has_all && is_whole && is_never_empty(elsewhere) && elsewhere.prefixes.iter().any(|known| prefix.starts_with(&**known))
    })
}

/// Whether every item is something: else what is there could look like nothing.
fn is_never_empty(collection: &Collection) -> bool {
    let keeps_name = collection.name.iter().all(|filter| matches!(filter, Filter::Encode(_)));
    collection.item_empty.is_none()
        && collection.item.iter().any(|piece| match piece {
            Piece::Text(text) => !text.is_empty(),
            Piece::Value(expr) => keeps_name && expr.source == Source::ItemName && expr.steps.is_empty(),
            Piece::When { .. } => false,
        })
}
