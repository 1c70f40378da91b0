//! Reserved paths: answered by the gateway itself, before any route.

use crate::config::TokenPaths;

/// The paths that are switched on.
#[derive(Debug, Clone)]
pub struct ReservedPaths(Vec<String>);

/// What a path is to the reserved ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// One of them.
    Yes,
    /// One of them but for case or a slash at the end: refused, so that it cannot slip to a route.
    Almost,
    /// None of them.
    No,
}

impl ReservedPaths {
    /// The reserved paths of a configuration.
    pub fn new(paths: &TokenPaths) -> Self {
        Self(paths.all().map(|(_setting, path)| path.to_owned()).collect())
    }

    /// Looks a request's path up.
    pub fn find(&self, path: &str) -> Reserved {
        let trimmed = path.strip_suffix('/').unwrap_or(path);
        match self.0.iter().find(|reserved| reserved.len() == trimmed.len() && reserved.eq_ignore_ascii_case(trimmed)) {
            Some(reserved) if reserved == path => Reserved::Yes,
            Some(_) => Reserved::Almost,
            None => Reserved::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_a_reserved_path_reach_nothing_else() {
        let reserved = ReservedPaths::new(&TokenPaths::default());
        assert_eq!(reserved.find("/token"), Reserved::Yes);
        assert_eq!(reserved.find("/api/Auth/RefreshToken"), Reserved::Yes);
        for almost in ["/Token", "/token/", "/TOKEN/", "/api/auth/refreshtoken", "/.well-known/JWKS.json"] {
            assert_eq!(reserved.find(almost), Reserved::Almost, "{almost}");
        }
        for other in ["/", "/tokens", "/token/x", "/api/Auth", "/xtoken"] {
            assert_eq!(reserved.find(other), Reserved::No, "{other}");
        }
    }
}
