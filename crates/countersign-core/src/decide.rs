//! The decision: whether a request may pass, from its rule, what was verified, and where it comes from.
//!
//! A rule holds when one of its alternatives holds completely: every credential that it names is verified, all of them belong
//! to one principal, every list says yes for that principal, and its credentials have every scope. An alternative without
//! credentials that a list makes true lets a request in by its address alone; browsers are not let in that way from other sites.

use http::HeaderName;
use http::header::ORIGIN;

use crate::allow_list::{AllowLists, Judgement, Match, Origin};
use crate::code::{Code, Refusal};
use crate::id::ProfileName;
use crate::now::UnixMillis;
use crate::principal::PrincipalId;
use crate::request_view::{RequestView, Scheme};
use crate::rule::{Conjunction, Kind, Rule};
use crate::verified::{Identity, Verified};

/// What became of a request.
#[derive(Debug)]
pub enum Decision {
    /// It may pass.
    Allow(Permit),
    /// It may not, but with other credentials it might: 401.
    Challenge(Refusal),
    /// It may not: 403.
    Deny(Refusal),
}

/// May pass, this request only. Only [`decide`] makes one.
#[derive(Debug)]
pub struct Permit {
    good: [Option<Verified<Identity>>; Kind::ALL.len()],
    matched: Vec<Match>,
    expires: Option<UnixMillis>,
}

impl Permit {
    /// Who it is. Nobody when the address alone let the request in, or anyone may pass.
    pub fn identity(&self) -> Option<&Identity> {
        self.identities().next()
    }

    /// What each of the credentials says that let the request in. All are of one principal.
    pub fn identities(&self) -> impl Iterator<Item = &Identity> {
        self.good.iter().flatten().map(Verified::get)
    }

    /// The entries of allow-lists that let it in, by their place in the snapshot that it was decided under.
    pub fn matched(&self) -> &[Match] {
        &self.matched
    }

    /// When a long stream must end: the earliest end of the credentials and entries that let it in.
    pub const fn expires(&self) -> Option<UnixMillis> {
        self.expires
    }
}

/// The credentials of a request that were verified: at most one of each kind.
#[derive(Debug, Default)]
pub struct Evidence<'p> {
    good: [Option<Verified<Identity>>; Kind::ALL.len()],
    profile: Option<&'p ProfileName>,
}

impl<'p> Evidence<'p> {
    /// Adds a credential that is not a signature.
    pub fn add(&mut self, verified: Verified<Identity>) {
        if let Some(slot) = self.good.get_mut(verified.get().kind as usize) {
            *slot = Some(verified);
        }
    }

    /// Adds a signature, and the scheme that it is in.
    pub fn add_signature(&mut self, profile: &'p ProfileName, verified: Verified<Identity>) {
        self.profile = Some(profile);
        self.add(verified);
    }

    fn find(&self, kind: Kind, all: &Conjunction) -> Option<&Identity> {
        if kind == Kind::Hmac && all.profile.as_ref() != self.profile {
            return None;
        }
        self.good.get(kind as usize)?.as_ref().map(Verified::get)
    }
}

/// Refuses what no credential could help, before any is verified: the rule is false whatever they turn out to be.
///
/// # Errors
/// `address_not_allowed`: every alternative asks for a list that says no.
pub fn early(rule: &Rule, lists: &AllowLists, view: &RequestView<'_>, now: UnixMillis) -> Result<(), Refusal> {
    early_from(rule, lists, &Origin::of(view, now))
}

fn early_from(rule: &Rule, lists: &AllowLists, origin: &Origin<'_>) -> Result<(), Refusal> {
    if rule.conjunctions().iter().any(|all| is_possible(all, lists, origin)) { Ok(()) } else { Err(Code::AddressNotAllowed.into()) }
}

/// Whether an alternative could hold with the right credentials.
fn is_possible(all: &Conjunction, lists: &AllowLists, origin: &Origin<'_>) -> bool {
    all.lists.iter().all(|list| match lists.judge(list, origin, None) {
        Judgement::Yes(_) => true,
        Judgement::No => false,
        // Without a credential in the alternative there will never be a principal that the entry could be bound to.
        Judgement::Unknown => !all.kinds.is_empty(),
    })
}

/// Decides about a request whose credentials are all verified. What was shown and bad was refused before.
///
/// Of several alternatives that hold, the first in the text counts; those without credentials come last, so that who shows a
/// good credential is known to the upstream. When none holds, the one that came furthest is answered for; see [`Lack`].
pub fn decide(rule: &Rule, evidence: Evidence<'_>, lists: &AllowLists, view: &RequestView<'_>, now: UnixMillis) -> Decision {
    decide_from(rule, evidence, lists, &Origin::of(view, now), || is_cross_site(view))
}

fn decide_from(rule: &Rule, evidence: Evidence<'_>, lists: &AllowLists, origin: &Origin<'_>, cross_site: impl Fn() -> bool) -> Decision {
    let mut furthest = Lack::Address;
    let with_credentials = rule.conjunctions().iter().filter(|all| !all.kinds.is_empty());
    let without = rule.conjunctions().iter().filter(|all| all.kinds.is_empty());
    for all in with_credentials.chain(without) {
        match holds(all, &evidence, lists, origin, &cross_site) {
            Ok(matched) => return Decision::Allow(permit(all, evidence, lists, matched)),
            Err(lack) => furthest = furthest.max(lack),
        }
    }
    match furthest {
        Lack::Credentials => Decision::Challenge(Code::CredentialsRequired.into()),
        Lack::Address | Lack::AddressForPrincipal => Decision::Deny(Code::AddressNotAllowed.into()),
        Lack::SameSite => Decision::Deny(Code::CrossSite.into()),
        Lack::OnePrincipal => Decision::Deny(Code::PrincipalsDiffer.into()),
        Lack::Scope => Decision::Deny(Code::InsufficientScope.into()),
    }
}

/// What an alternative lacks, ordered by how far it came. The furthest of all alternatives is answered: who shows a good token
/// without the scope is told about the scope and not about a signature that would also do; who shows nothing is asked for
/// credentials (401) as long as there are some that could help, and refused (403) otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Lack {
    /// A list says no, whoever it is.
    Address,
    /// The address would do, but a browser sent the request from another site.
    SameSite,
    /// A credential was not shown.
    Credentials,
    /// The credentials are of several principals.
    OnePrincipal,
    /// A list says no to this principal.
    AddressForPrincipal,
    /// A scope is missing.
    Scope,
}

fn holds(
    all: &Conjunction,
    evidence: &Evidence<'_>,
    lists: &AllowLists,
    origin: &Origin<'_>,
    cross_site: impl Fn() -> bool,
) -> Result<Vec<Match>, Lack> {
    let credentials = || all.kinds.iter().filter_map(|kind| evidence.find(kind, all));
    let complete = all.kinds.iter().all(|kind| evidence.find(kind, all).is_some());
    let who = credentials().next().map(|identity| &identity.principal.id);
    let one = credentials().all(|identity| Some(&identity.principal.id) == who);
    // An entry that is bound to somebody counts only for who is proven completely.
    let matched = if complete && one { entries(all, lists, origin, who) } else { None };
    let Some(matched) = matched else {
        return Err(match () {
            () if !is_possible(all, lists, origin) => Lack::Address,
            () if !complete => Lack::Credentials,
            () if !one => Lack::OnePrincipal,
            () => Lack::AddressForPrincipal,
        });
    };
    if who.is_none() && !all.lists.is_empty() && cross_site() {
        return Err(Lack::SameSite);
    }
    if all.scopes.iter().all(|scope| credentials().any(|identity| identity.scopes.contains(scope))) {
        Ok(matched)
    } else {
        Err(Lack::Scope)
    }
}

/// The entries that apply, one of each list, if every list has one.
fn entries(all: &Conjunction, lists: &AllowLists, origin: &Origin<'_>, who: Option<&PrincipalId>) -> Option<Vec<Match>> {
    all.lists
        .iter()
        .map(|list| match lists.judge(list, origin, who) {
            Judgement::Yes(found) => Some(found),
            Judgement::No | Judgement::Unknown => None,
        })
        .collect()
}

/// Takes from the evidence what the alternative asked for; the rest was not needed and says nothing.
fn permit(all: &Conjunction, mut evidence: Evidence<'_>, lists: &AllowLists, matched: Vec<Match>) -> Permit {
    for kind in Kind::ALL.into_iter().filter(|kind| !all.kinds.contains(*kind)) {
        if let Some(slot) = evidence.good.get_mut(kind as usize) {
            *slot = None;
        }
    }
    let credentials = evidence.good.iter().flatten().filter_map(|verified| verified.get().expires);
    let expires = credentials.chain(matched.iter().filter_map(|found| lists.valid_until(*found))).min();
    Permit { good: evidence.good, matched, expires }
}

/// Whether a browser says that the request comes from another site. What is not a browser says nothing.
fn is_cross_site(view: &RequestView<'_>) -> bool {
    const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
    let own_site = |value: &[u8]| value == b"same-origin" || value == b"none";
    let own_origin = |value: &[u8]| {
        let Ok(origin) = std::str::from_utf8(value) else { return false };
        // Anybody on the way can make a page of plain http. The other way round, a proxy in front may have ended TLS unsaid.
        let is_plainer = view.scheme() == Scheme::Https && origin.starts_with("http://");
        !is_plainer && origin_host(origin).is_some_and(|other| other.eq_ignore_ascii_case(view.host()))
    };
    let headers = view.headers();
    headers.get_all(SEC_FETCH_SITE).iter().any(|value| !own_site(value.as_bytes()))
        || headers.get_all(ORIGIN).iter().any(|value| !own_origin(value.as_bytes()))
}

/// The host of an origin (RFC 6454 section 6.2), with its port unless that is the default one. `null` has none.
fn origin_host(origin: &str) -> Option<&str> {
    let (scheme, host) = origin.split_once("://")?;
    let default = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return None,
    };
    Some(host.strip_suffix(default).unwrap_or(host))
}

#[cfg(test)]
pub(crate) mod tests;
