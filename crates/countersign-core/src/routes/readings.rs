//! Paths that an upstream could read otherwise than they are written, where a route allows them: the route has to be the one that
//! each such reading would choose.

use super::{Chosen, Route, RouteTable};
use crate::request_view::Relax;

impl RouteTable {
    /// Whether every reading of a path leads to this route, or to one that judges in the same way. `found` is what the path holds
    /// of what routes can allow. A looser route must not be the way to what stands under a stricter one.
    pub fn is_chosen_by_all_readings(&self, route: &Route, host: &str, path: &str, method: &str, found: Relax) -> bool {
        readings(path, found).iter().all(|read| match self.choose(host, read, method) {
            Chosen::Route(other) => other.judges_like(route),
            // Nobody asks for anything there; but a route that refuses does.
            Chosen::NoRoute => self.group(host).places.iter().all(|place| !place.pattern.matches_folded(read)),
            Chosen::MethodNotAllowed(_) | Chosen::PathCase => false,
        })
    }
}

/// One thing that an upstream may do to a path before it looks at it.
type Reading = fn(&str) -> String;

/// What a path is to upstreams that do some of it, in the orders that make a difference.
fn readings(path: &str, found: Relax) -> Vec<String> {
    const DECODE: Reading = |path| path.replace("%2f", "/").replace("%2F", "/").replace("%3b", ";").replace("%3B", ";");
    const CUT: Reading = cut_parameters;
    const END: Reading = |path| path.split(';').next().unwrap_or_default().to_owned();
    const HOST: Reading = after_authority;
    const MERGE: Reading = merge_slashes;
    let orders: [&[Reading]; 20] = [
        &[DECODE],
        &[CUT],
        &[MERGE],
        &[DECODE, MERGE],
        &[CUT, MERGE],
        &[DECODE, CUT],
        &[CUT, DECODE],
        &[DECODE, CUT, MERGE],
        &[CUT, DECODE, MERGE],
        &[END],
        &[END, MERGE],
        &[DECODE, END],
        &[DECODE, END, MERGE],
        &[HOST],
        &[DECODE, HOST],
        &[HOST, MERGE],
        &[HOST, CUT],
        &[HOST, CUT, MERGE],
        &[DECODE, HOST, MERGE],
        &[DECODE, HOST, CUT, MERGE],
    ];
    if [Relax::ENCODED_SLASH, Relax::PATH_PARAMETER, Relax::EMPTY_SEGMENT].iter().all(|relax| !found.contains(*relax)) {
        return Vec::new();
    }
    let read = |steps: &[Reading]| steps.iter().fold(path.to_owned(), |path, step| step(&path));
    let mut all: Vec<String> = orders.into_iter().map(read).filter(|read| read != path).collect();
    all.sort_unstable();
    all.dedup();
    all
}

fn cut_parameters(path: &str) -> String {
    let segments: Vec<&str> = path.split('/').map(|segment| segment.split(';').next().unwrap_or_default()).collect();
    segments.join("/")
}

/// The path of a reference that begins with an authority (RFC 3986 section 4.2), which `//` is to libraries for URLs.
fn after_authority(path: &str) -> String {
    let Some(rest) = path.strip_prefix("//") else { return path.to_owned() };
    rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/").to_owned()
}

fn merge_slashes(path: &str) -> String {
    let mut merged = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !merged.ends_with('/') {
            merged.push(character);
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_read_in_every_way_that_upstreams_know() {
        let all = Relax::ALL.into_iter().fold(Relax::default(), |mut all, (relax, _)| {
            all.insert(relax);
            all
        });
        for (path, expected) in [
            ("/a/b", &[][..]),
            ("/a//b", &["/a/b"]),
            ("/a%2Fb", &["/a/b"]),
            ("/a;x/b", &["/a", "/a/b"]),
            ("/a%3Bx/b", &["/a", "/a/b", "/a;x/b"]),
            ("//x/b", &["/b", "/x/b"]),
            ("//x//b", &["//b", "/b", "/x/b"]),
            (
                "//x/b%2F;c",
                &["//x/b%2F", "//x/b/", "//x/b/;c", "/b%2F", "/b%2F;c", "/b/", "/b/;c", "/x/b%2F", "/x/b%2F;c", "/x/b/", "/x/b/;c"],
            ),
            ("/a/%2fb", &["/a//b", "/a/b"]),
            ("/a;x%2fb/c", &["/a", "/a/b/c", "/a/c", "/a;x/b/c"]),
            ("/;/a", &["/", "//a", "/a"]),
        ] {
            assert_eq!(readings(path, all), expected, "{path}");
            assert_eq!(readings(path, Relax::default()), Vec::<String>::new());
            assert_eq!(readings(path, Relax::HEADER_ALIAS), Vec::<String>::new());
        }
    }
}
