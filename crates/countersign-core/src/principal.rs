//! Who: a user (a person) or a client (a program or partner), and what it may do.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::{BadId, ClientId, UserId};

/// The identity of a principal. Users and clients have disjoint names (`us_...`, `cl_...`), so one cannot pose as the other
/// (RFC 9700 section 4.15).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PrincipalId {
    /// A person.
    User(UserId),
    /// A program or partner.
    Client(ClientId),
}

impl PrincipalId {
    /// The identifier as text.
    pub fn as_str(&self) -> &str {
        match self {
            Self::User(id) => id.as_str(),
            Self::Client(id) => id.as_str(),
        }
    }
}

impl fmt::Display for PrincipalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for PrincipalId {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        if let Ok(id) = text.parse() {
            return Ok(Self::User(id));
        }
        text.parse().map(Self::Client).map_err(|bad: BadId| BadId { what: "a principal id (us_... or cl_...)", ..bad })
    }
}

/// A principal as the upstream is told of it. Plain data: worth nothing without a `Verified` around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// Who.
    pub id: PrincipalId,
    /// What people call it: the username or the client's name.
    pub name: Arc<str>,
}

/// One scope (RFC 6749 section 3.3): 1 to 128 visible ASCII characters without space, `"`, `\`, `(` and `)`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The scope as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Scope {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        // Parentheses are allowed by the RFC; rules could not name such a scope.
        let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b'(' | b')');
        if (1..=128).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadId {
                what: "a scope (visible ASCII without quotes, backslashes and parentheses)",
                text: text.chars().take(80).collect(),
            })
        }
    }
}

/// A set of scopes; as text, joined by single spaces in sorted order. At most 64.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(BTreeSet<Scope>);

impl Scopes {
    /// The most scopes one credential can have.
    pub const MOST: usize = 64;

    /// Whether `scope` is in the set.
    pub fn contains(&self, scope: &Scope) -> bool {
        self.0.contains(scope)
    }

    /// Whether every scope of this set is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.is_subset(&other.0)
    }

    /// The scopes that are in both sets.
    #[must_use]
    pub fn shared_with(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).cloned().collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scopes, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, scope) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            f.write_str(scope.as_str())?;
        }
        Ok(())
    }
}

impl FromStr for Scopes {
    type Err = BadId;

    fn from_str(text: &str) -> Result<Self, BadId> {
        let scopes = text.split(' ').filter(|part| !part.is_empty()).map(str::parse).collect::<Result<BTreeSet<_>, _>>()?;
        if scopes.len() > Self::MOST {
            return Err(BadId { what: "a set of at most 64 scopes", text: text.chars().take(80).collect() });
        }
        Ok(Self(scopes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_and_write_sorted_without_repeats() {
        let scopes: Scopes = " write read  write".parse().unwrap();
        assert_eq!(scopes.to_string(), "read write");
        assert!("read".parse::<Scopes>().unwrap().is_within(&scopes));
        assert!("a\"b".parse::<Scopes>().is_err());
    }

    #[test]
    fn a_principal_id_is_of_one_kind() {
        assert!(matches!("us_0000000000000000".parse(), Ok(PrincipalId::User(_))));
        assert!(matches!("cl_0000000000000000".parse(), Ok(PrincipalId::Client(_))));
        assert!("xx_0".parse::<PrincipalId>().is_err());
    }
}
