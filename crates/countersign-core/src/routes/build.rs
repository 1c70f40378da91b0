//! Sorting routes into a table, and finding those that contradict each other.

use std::collections::HashMap;

use super::{Group, Place, Route, RouteSpec, RouteTable};
use crate::allow_list::Methods;
use crate::path_pattern::PathPattern;

/// Routes that cannot stand beside each other. Routes are counted from 0, in the order of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadRoutes {
    /// A route without a path.
    #[error("route {} has no path", .route + 1)]
    NoPath {
        /// The route.
        route: usize,
    },
    /// Two routes for the same host and path, with a method in common.
    #[error("routes {} and {} both take {method} {path}", .first + 1, .second + 1)]
    SameRequests {
        /// The earlier route.
        first: usize,
        /// The later route.
        second: usize,
        /// The path of the later one.
        path: String,
        /// A method that both take; `*` when both take all.
        method: String,
    },
    /// Two routes for the same host whose paths differ only in case, and that judge differently: every request to one of them
    /// would be refused because of the other.
    #[error("routes {} and {} have paths that differ only in case ({path}) and different rules", .first + 1, .second + 1)]
    OnlyCase {
        /// The earlier route.
        first: usize,
        /// The later route.
        second: usize,
        /// The path of the later one.
        path: String,
    },
}

pub(super) fn build(specs: Vec<RouteSpec>) -> Result<RouteTable, BadRoutes> {
    let mut table = RouteTable::default();
    let mut suffixes: HashMap<String, Group> = HashMap::new();
    table.routes = specs.into_iter().enumerate().map(|(number, spec)| Route { number, spec }).collect();
    for route in &table.routes {
        let group = match &route.host {
            None => &mut table.any,
            Some(host) if host.is_wildcard() => suffixes.entry(host.compared().to_owned()).or_default(),
            Some(host) => table.exact.entry(host.compared().to_owned()).or_default(),
        };
        if route.paths.is_empty() {
            return Err(BadRoutes::NoPath { route: route.number });
        }
        for path in &route.paths {
            add(group, &table.routes, route, path)?;
        }
    }
    table.suffixes = suffixes.into_iter().collect();
    table.suffixes.sort_by_key(|(suffix, _)| std::cmp::Reverse(suffix.len()));
    for group in table.exact.values_mut().chain(table.suffixes.iter_mut().map(|(_, group)| group)).chain([&mut table.any]) {
        group.places.sort_by(|a, b| a.pattern.by_specificity(&b.pattern));
        group.has_upper_case = group.places.iter().any(|place| place.pattern.as_str().bytes().any(|byte| byte.is_ascii_uppercase()));
    }
    Ok(table)
}

fn add(group: &mut Group, routes: &[Route], route: &Route, path: &PathPattern) -> Result<(), BadRoutes> {
    let shown = || format!("{}{path}", route.host.as_ref().map(ToString::to_string).unwrap_or_default());
    for place in &group.places {
        let same = place.pattern.by_specificity(path).is_eq();
        if !same && !only_case(&place.pattern, path) {
            continue;
        }
        for other in place.routes.iter().filter_map(|number| routes.get(*number)) {
            if same && let Some(method) = common(&other.methods, &route.methods) {
                return Err(BadRoutes::SameRequests { first: other.number, second: route.number, path: shown(), method });
            }
            if !same && !other.judges_like(route) {
                return Err(BadRoutes::OnlyCase { first: other.number, second: route.number, path: shown() });
            }
        }
    }
    match group.places.iter_mut().find(|place| place.pattern.by_specificity(path).is_eq()) {
        Some(place) => place.routes.push(route.number),
        None => group.places.push(Place { pattern: path.clone(), routes: vec![route.number] }),
    }
    Ok(())
}

fn only_case(a: &PathPattern, b: &PathPattern) -> bool {
    let folded = |pattern: &PathPattern| pattern.as_str().to_ascii_lowercase().parse::<PathPattern>();
    matches!((folded(a), folded(b)), (Ok(a), Ok(b)) if a.by_specificity(&b).is_eq())
}

/// A method that both sets name or stand for.
fn common(a: &Methods, b: &Methods) -> Option<String> {
    match (a.is_all(), b.is_all()) {
        (true, true) => Some("*".to_owned()),
        (true, false) => b.iter().next().map(str::to_owned),
        (false, true) => a.iter().next().map(str::to_owned),
        (false, false) => a.iter().find(|method| b.name(method)).map(str::to_owned),
    }
}
