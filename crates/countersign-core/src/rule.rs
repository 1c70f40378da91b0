//! The rule language: `jwt`, `hmac`, `hmac(profile)`, `api_key`, `mtls`, `from(list)`, `scope(name)`, `anyone`, with `and`, `or`
//! and parentheses.
//!
//! `and` binds tighter than `or`. A rule is kept as alternatives, each a set of things that must all hold (disjunctive normal
//! form), because that is how it is judged: `decide.rs` asks for one alternative that holds completely.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::id::{ListName, ProfileName};
use crate::principal::Scope;

mod parse;

/// What a request must show. Read from text; two rules are equal when they have the same alternatives in the same order.
#[derive(Debug, Clone)]
pub struct Rule {
    text: Arc<str>,
    any_of: Vec<Conjunction>,
    kinds: Kinds,
    profiles: Vec<Named<ProfileName>>,
    lists: Vec<Named<ListName>>,
    scopes_to_ask: Option<Arc<str>>,
}

/// Things that must all hold. Empty for `anyone`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conjunction {
    /// The credentials that must all be good and belong to one principal.
    pub kinds: Kinds,
    /// The profile of the signature, when `kinds` holds `hmac`.
    pub profile: Option<ProfileName>,
    /// The allow-lists that must all say yes.
    pub lists: Vec<ListName>,
    /// The scopes that the credentials of this conjunction must have.
    pub scopes: Vec<Scope>,
}

/// A name as a rule mentions it, and where: in bytes from the start of the rule's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named<T> {
    /// The name.
    pub name: T,
    /// Where the name starts.
    pub offset: usize,
    /// How long it is.
    pub length: usize,
}

/// Why a text is not a rule, and which part of it is wrong: in bytes from its start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct BadRule {
    /// Where the wrong part starts.
    pub offset: usize,
    /// How long it is; zero at the end of the text.
    pub length: usize,
    /// What is wrong and what to write.
    pub message: String,
}

impl Rule {
    /// The longest rule, in bytes.
    pub const LONGEST: usize = 1000;
    /// The most alternatives after `or` is multiplied out.
    pub const MOST_ALTERNATIVES: usize = 64;
    /// The deepest nesting of parentheses.
    pub const DEEPEST: usize = 16;
    /// The profile that `hmac` without a name stands for.
    pub const NATIVE_PROFILE: &'static str = "v3.0";

    /// Reads a rule. Whether the lists and profiles exist is for the caller to check: see [`Rule::lists`] and
    /// [`Rule::profiles`].
    pub fn parse(text: &str) -> Result<Self, BadRule> {
        parse::parse(text)
    }

    /// The rule as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The alternatives, in the order of the text.
    pub fn conjunctions(&self) -> &[Conjunction] {
        &self.any_of
    }

    /// The kinds of credential that the rule names. Only these are looked at.
    pub const fn kinds(&self) -> Kinds {
        self.kinds
    }

    /// The signature profiles that the rule names, each once.
    pub fn profiles(&self) -> &[Named<ProfileName>] {
        &self.profiles
    }

    /// The allow-lists that the rule names, each once.
    pub fn lists(&self) -> &[Named<ListName>] {
        &self.lists
    }

    /// The scopes, joined by spaces, with which an access token would satisfy the first alternative that asks for any.
    pub const fn scopes_to_ask(&self) -> Option<&Arc<str>> {
        self.scopes_to_ask.as_ref()
    }

    /// Whether the rule holds for every request, as `anyone` does.
    pub fn lets_anyone_in(&self) -> bool {
        self.any_of.iter().any(|all| all.kinds.is_empty() && all.lists.is_empty())
    }

    /// Whether an address alone can open the route: an alternative asks for no credential, only for lists.
    pub fn opens_by_address(&self) -> bool {
        self.any_of.iter().any(|all| all.kinds.is_empty() && !all.lists.is_empty())
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.any_of == other.any_of
    }
}

impl Eq for Rule {}

impl FromStr for Rule {
    type Err = BadRule;

    fn from_str(text: &str) -> Result<Self, BadRule> {
        Self::parse(text)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An access token.
    Jwt,
    /// A signed request.
    Hmac,
    /// An API key.
    ApiKey,
    /// A client certificate.
    Mtls,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Jwt, Self::Hmac, Self::ApiKey, Self::Mtls];

    /// The word of the rule language.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::Hmac => "hmac",
            Self::ApiKey => "api_key",
            Self::Mtls => "mtls",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A set of kinds of credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Kinds(u8);

impl Kinds {
    /// No kind.
    pub const NONE: Self = Self(0);

    /// This set and `kind`.
    #[must_use]
    pub const fn with(self, kind: Kind) -> Self {
        Self(self.0 | 1 << kind as u8)
    }

    /// What is in this set and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether `kind` is in the set.
    pub const fn contains(self, kind: Kind) -> bool {
        self.0 & 1 << kind as u8 != 0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The kinds, in the order of [`Kind::ALL`].
    pub fn iter(self) -> impl Iterator<Item = Kind> {
        Kind::ALL.into_iter().filter(move |kind| self.contains(*kind))
    }
}

impl FromIterator<Kind> for Kinds {
    fn from_iter<I: IntoIterator<Item = Kind>>(kinds: I) -> Self {
        kinds.into_iter().fold(Self::NONE, Self::with)
    }
}
