//! Routes: which rule a request is judged by. Host first, then path, then method; the most specific wins and nothing falls
//! back to a less specific one.

use std::collections::HashMap;
use std::ops::Deref;

use http::HeaderName;

use crate::allow_list::Methods;
use crate::id::{KeyId, UpstreamName};
use crate::path_pattern::PathPattern;
use crate::request_view::Relax;
use crate::rule::Rule;

mod build;
mod host_pattern;
mod readings;

pub use build::BadRoutes;
pub use host_pattern::{BadHostPattern, HostPattern};

/// A route as it was configured.
#[derive(Debug, Clone)]
pub struct RouteSpec {
    /// Which hosts; any when absent.
    pub host: Option<HostPattern>,
    /// Which paths; at least one.
    pub paths: Vec<PathPattern>,
    /// Which methods; all when empty.
    pub methods: Methods,
    /// What happens to a request that matches.
    pub action: Action,
    /// The checks of the request that the route leaves out.
    pub relax: Relax,
    /// The key of signatures that name none.
    pub signing_key: Option<KeyId>,
    /// Whether credentials that were checked are passed on to the upstream.
    pub forward_credentials: bool,
    /// The largest body in bytes, if the route has a limit of its own.
    pub body_limit: Option<u64>,
    /// Headers that signed requests may carry although the signature does not cover them.
    pub allow_uncovered: Vec<HeaderName>,
}

/// What happens to a request that matches a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is forwarded if the rule holds.
    Forward {
        /// What it must show.
        rule: Rule,
        /// To where.
        upstream: UpstreamName,
    },
    /// It is authenticated, and told what was found; nothing is forwarded.
    SelfCheck {
        /// What it must show.
        rule: Rule,
    },
    /// It is refused as if there were no route.
    Refuse,
}

impl Action {
    /// The rule, unless the route refuses everything.
    pub const fn rule(&self) -> Option<&Rule> {
        match self {
            Self::Forward { rule, .. } | Self::SelfCheck { rule } => Some(rule),
            Self::Refuse => None,
        }
    }
}

/// A route of a table.
#[derive(Debug)]
pub struct Route {
    number: usize,
    spec: RouteSpec,
}

impl Route {
    /// Its place among the configured routes, from 0.
    pub const fn number(&self) -> usize {
        self.number
    }

    /// Whether a request is judged by this route as it is by the other: only where it is sent may differ.
    fn judges_like(&self, other: &Self) -> bool {
        self.action.rule() == other.action.rule()
            && self.relax == other.relax
            && self.forward_credentials == other.forward_credentials
            && self.body_limit == other.body_limit
            && self.allow_uncovered == other.allow_uncovered
            && self.signing_key == other.signing_key
    }
}

impl Deref for Route {
    type Target = RouteSpec;

    fn deref(&self) -> &RouteSpec {
        &self.spec
    }
}

/// All routes, sorted once so that the first that matches is the most specific.
#[derive(Debug, Default)]
pub struct RouteTable {
    routes: Vec<Route>,
    exact: HashMap<String, Group>,
    /// `.example.com`, longest first.
    suffixes: Vec<(String, Group)>,
    any: Group,
}

/// The paths of one host, most specific first.
#[derive(Debug, Default)]
struct Group {
    places: Vec<Place>,
    has_upper_case: bool,
}

/// One path pattern of a host, and the routes that share it: their methods are disjoint.
#[derive(Debug)]
struct Place {
    pattern: PathPattern,
    routes: Vec<usize>,
}

/// The route that was chosen, or why there is none.
#[derive(Debug)]
pub enum Chosen<'t> {
    /// This one.
    Route(&'t Route),
    /// None matches, or the one that does refuses.
    NoRoute,
    /// The path is known, the method is not. Holds the methods that are allowed, for the `Allow` header.
    MethodNotAllowed(String),
    /// Were the case of the path ignored, another route with another rule would be chosen (or this one would be refused).
    PathCase,
}

/// The outcome of one way to compare paths.
#[derive(Clone, Copy)]
enum Found<'t> {
    Route(&'t Route),
    WrongMethod(&'t Place),
    Nothing,
}

impl RouteTable {
    /// Sorts the routes, or says which of them contradict each other.
    pub fn build(specs: Vec<RouteSpec>) -> Result<Self, BadRoutes> {
        build::build(specs)
    }

    /// The routes in the order of the configuration.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    /// Chooses the route for a request. `host` is in lower case and may have a port, which is not looked at; `path` has no
    /// query.
    pub fn choose(&self, host: &str, path: &str, method: &str) -> Chosen<'_> {
        let group = self.group(host);
        let place = group.places.iter().position(|place| place.pattern.matches(path));
        let found = self.find(group, place, method);
        if group.has_upper_case || path.bytes().any(|byte| byte.is_ascii_uppercase()) {
            // An upstream that ignores case would take this request for one to another route. What matches exactly also
            // matches folded, so the folded choice is never the less specific one.
            let folded = group.places.iter().position(|place| place.pattern.matches_folded(path));
            if folded != place && !alike(found, self.find(group, folded, method)) {
                return Chosen::PathCase;
            }
        }
        match found {
            Found::Route(Route { spec: RouteSpec { action: Action::Refuse, .. }, .. }) | Found::Nothing => Chosen::NoRoute,
            Found::Route(route) => Chosen::Route(route),
            Found::WrongMethod(place) => Chosen::MethodNotAllowed(self.allowed(place)),
        }
    }

    /// The group for a host; the only one that is looked at.
    fn group(&self, host: &str) -> &Group {
        let name = without_port(host);
        self.exact
            .get(name)
            .or_else(|| {
                self.suffixes.iter().find(|(suffix, _)| name.len() > suffix.len() && name.ends_with(suffix)).map(|(_, group)| group)
            })
            .unwrap_or(&self.any)
    }

    fn find<'t>(&'t self, group: &'t Group, place: Option<usize>, method: &str) -> Found<'t> {
        let Some(place) = place.and_then(|place| group.places.get(place)) else { return Found::Nothing };
        let routes = || place.routes.iter().filter_map(|number| self.routes.get(*number));
        // A route that names HEAD itself goes before one that only has GET.
        match routes().find(|route| route.methods.name(method)).or_else(|| routes().find(|route| route.methods.allow(method))) {
            Some(route) => Found::Route(route),
            None if routes().all(|route| route.action == Action::Refuse) => Found::Nothing,
            None => Found::WrongMethod(place),
        }
    }

    fn allowed(&self, place: &Place) -> String {
        let routes = place.routes.iter().filter_map(|number| self.routes.get(*number)).filter(|route| route.action != Action::Refuse);
        let mut names: Vec<&str> = routes.flat_map(|route| route.methods.iter()).collect();
        if names.contains(&"GET") {
            names.push("HEAD");
        }
        names.sort_unstable();
        names.dedup();
        names.join(", ")
    }
}

fn alike(a: Found<'_>, b: Found<'_>) -> bool {
    match (a, b) {
        (Found::Route(a), Found::Route(b)) => a.judges_like(b),
        (Found::Nothing, Found::Nothing) => true,
        _ => false,
    }
}

/// The host without a port: `[::1]:8080` is `[::1]`.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests;
