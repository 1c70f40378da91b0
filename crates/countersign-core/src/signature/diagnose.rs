//! Why a signature was refused: which of the known mistakes makes it verify.
//!
//! A mistake is a change to the request as the gateway sees it, to the fields, to the string to sign, to the secret or to the
//! encoding of the MAC. When the MAC that the client sent verifies under a change, that change is what the client did. The
//! search is bounded by counts, not by a clock, and leaves no proof: what verifies here lets nothing through.
//!
//! - `mistake`: the table of all of them.
//! - `reading`, `requirement`, `clock`: what can be seen without a MAC.
//! - `target`, `head`, `body`, `moment`, `recipe`, `text`, `keys`: the mistakes that are tried.
//! - `bench`, `search`: trying them. `offered`: the MAC in every form. `finding`: the words.
//! - `sent`, `change`, `json`, `visible`, `difference`: what these are made with.
//!
//! What is said never holds a secret, a key or a MAC; it repeats only what the client sent and the string to sign.

mod bench;
mod body;
mod change;
mod clock;
mod difference;
mod finding;
mod head;
mod json;
mod keys;
pub mod mistake;
mod moment;
mod offered;
mod reading;
mod recipe;
mod requirement;
mod search;
mod sent;
mod target;
mod text;
mod visible;

#[cfg(test)]
mod tests;

use super::collection::Origin;
use super::coverage::Parts;
use super::expression::info_of;
use super::fields::Fields;
use super::profile::Profile;
use super::request::Head;
use super::rules::MacAlgorithm;
use super::secret::LiveSecret;
use super::value::Data;
use crate::code::Code;
use crate::now::UnixMillis;
use bench::Bench;
use change::{Area, Trial};
pub use difference::Difference;
pub use finding::Finding;
use finding::{Hidden, finding_of, malformed, merged, of_hits, of_requirement, sentence};
use mistake::Mistake;
use offered::Offered;
use reading::Problem;
use search::{Ground, Search};
use sent::Sent;
pub use visible::visible;

/// How large a body may be, in bytes. Requests with larger ones are not diagnosed.
pub const MOST_BODY: usize = 64 * 1024;

/// How many parameters a query or form may have. Requests with more are not diagnosed: changing them in every way would take long
/// before anything is tried.
pub const MOST_PARAMETERS: usize = 512;

/// A request whose signature was refused.
#[derive(Debug, Clone, Copy)]
pub struct Suspect<'v> {
    /// Its head.
    pub head: Head<'v>,
    /// Its body.
    pub body: &'v [u8],
    /// When it came.
    pub now: UnixMillis,
    /// The string to sign, as the client believes it to be.
    pub own_string: Option<&'v [u8]>,
}

/// What is known beside the request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'k> {
    /// The secrets of the key that the request names, or that the route names.
    pub secrets: &'k [LiveSecret],
    /// Other secrets of the same client.
    pub others: &'k [OtherSecret<'k>],
    /// Other profiles that the client might have meant.
    pub profiles: &'k [&'k Profile],
    /// Other names of this gateway and its upstreams, with their ports.
    pub hosts: &'k [&'k str],
}

/// A secret of the same client that the request does not name.
#[derive(Debug, Clone, Copy)]
pub struct OtherSecret<'k> {
    /// What it is.
    pub whose: Whose<'k>,
    /// The secret, of any profile.
    pub secret: &'k LiveSecret,
}

/// What a further secret is.
#[derive(Debug, Clone, Copy)]
pub enum Whose<'k> {
    /// That of another key of the client, by its id.
    Key(&'k str),
    /// A former secret of the same key.
    Retired,
}

/// How much may be tried.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// MACs computed.
    pub macs: u32,
    /// Bytes hashed and copied. What costs more counts as so many bytes as could be hashed meanwhile: 3072 for each text that
    /// is made, 2048 for each of its collections and more for what they are made of, 1024 for each MAC.
    pub bytes: u64,
}

impl Default for Limits {
    /// Under 5 ms for a request of 4 KiB.
    fn default() -> Self {
        Self { macs: 2000, bytes: 5 << 19 }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Diagnosis {
    /// At most three, the likely one first.
    pub findings: Vec<Finding>,
    /// Where the client's string to sign first differs from ours. `None` when it gave none, or the same.
    pub difference: Option<Difference>,
    /// Whether the client's string to sign is ours: then the secret, the hash or the encoding is wrong.
    pub same_string: bool,
    /// Whether the signature is right as it was sent.
    pub verifies: bool,
    /// Whether the search ended before everything was tried. Set, too, when the request is too large to be looked at.
    pub exhausted: bool,
}

/// Looks for what is wrong with a signature.
pub fn diagnose(profile: &Profile, suspect: &Suspect<'_>, known: &Known<'_>, limits: Limits) -> Diagnosis {
    let parameters = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == b'&').count();
    if suspect.body.len() > MOST_BODY || parameters(suspect.head.target.as_bytes()).max(parameters(suspect.body)) > MOST_PARAMETERS {
        return Diagnosis { exhausted: true, ..Diagnosis::default() };
    }
    let as_sent = Sent::of(suspect.head, suspect.body);
    let hidden = Hidden::of(known);
    let only = |problems: Vec<Problem>| {
        let findings = problems.into_iter().map(|problem| finding_of(problem, false)).collect();
        Diagnosis { findings: hidden.hide(merged(findings)), ..Diagnosis::default() }
    };
    if let Some(other) = other_profile(profile, &suspect.head, known) {
        return only(vec![other]);
    }
    let (request, mut problems) = reading::repair(profile, &as_sent);
    let read = match reading::read(profile, &request) {
        Ok(read) => read,
        Err(problem) => {
            problems.push(problem);
            return only(problems);
        }
    };
    problems.extend(read.problems);
    let moment = moment::find(profile, &read.fields, &request, suspect.now);
    let fields = Fields { profile, head: request.head(), values: read.fields, signature: read.signature, times: None };
    let late = moment.as_ref().and_then(|moment| clock::problem(profile, &fields, request.body(), moment, suspect.now));
    let wanted = profile.algorithm(&fields.context(request.body()));
    let algorithm = wanted.as_ref().ok().copied().or(profile.rule.algorithm).unwrap_or(MacAlgorithm::HmacSha256);
    let offered = offered(profile, &fields, read.mac_fits);
    let malformed = malformed(profile, &fields, &offered, algorithm);
    // The length of what was sent says with which hash it was made.
    let made_with = offered.iter().map(|offered| offered.algorithm).find(|made| *made == algorithm);
    let made_with = made_with.or_else(|| offered.first().map(|offered| offered.algorithm)).unwrap_or(algorithm);
    let key_id = fields.key_id().map(str::to_owned);
    let trials = trials(profile, &fields, &request, suspect, known);
    let mut bench = Bench {
        profile: profile.copy(),
        request: request.clone(),
        fields: fields.values.clone(),
        signature: fields.signature.clone(),
        algorithm: made_with,
    };
    let texts = text_trials(&mut bench);
    let trials: Vec<Trial> = likely_first(trials, texts);
    let unmet = requirement::unmet(&mut bench, &trials);
    let ground = Ground {
        offered,
        secrets: known.secrets,
        others: known.others,
        key_id,
        own_string: suspect.own_string,
        algorithm,
        now: suspect.now,
    };
    let outcome = Search::new(&mut bench, ground, limits).run(&trials);

    let mut diagnosis = Diagnosis { exhausted: outcome.exhausted, ..Diagnosis::default() };
    let right = outcome.as_sent;
    let mut findings: Vec<Finding> = problems.into_iter().map(|problem| finding_of(problem, right)).collect();
    findings.extend(unmet.into_iter().map(|unmet| of_requirement(unmet, right)));
    findings.extend(of_hits(&mut bench, &outcome, &hidden));
    findings.extend(late.map(|problem| finding_of(problem, right)));
    if findings.is_empty() && right {
        match refused_besides(profile, suspect, known) {
            None => diagnosis.verifies = true,
            Some(problem) => findings.push(finding_of(problem, true)),
        }
    }
    if outcome.hits.is_empty() && !right {
        let unknown = known.secrets.is_empty();
        if unknown {
            findings.push(finding_of(Problem::new(Mistake::UnknownKey, Mistake::UnknownKey.what().to_owned() + "."), false));
        }
        findings.extend(malformed.map(|problem| finding_of(problem, false)));
        if let Err(refusal) = wanted {
            let words = format!("{}.", refusal.detail.unwrap_or_default());
            findings.push(finding_of(Problem::new(Mistake::FieldMalformed, words), false));
        }
    }
    compare(&mut bench, suspect, &hidden, &mut diagnosis);
    if findings.is_empty() && !right {
        findings.push(finding_of(none_of_them(&diagnosis), false));
    }
    diagnosis.findings = hidden.hide(merged(findings));
    diagnosis
}

/// What is said when no known mistake explains the signature.
fn none_of_them(diagnosis: &Diagnosis) -> Problem {
    let words = if diagnosis.exhausted {
        "None of the known mistakes that could be tried makes the signature verify; there was more to try than there is time for."
    } else if diagnosis.same_string {
        "The string that you gave is the string to sign, and no known mistake makes it verify: the secret is another one, or the MAC is made in another way."
    } else {
        "No known mistake makes the signature verify: the secret is another one, or the string to sign differs in a way that is not known."
    };
    Problem::new(Mistake::NoneKnown, words.to_owned())
}

/// Another scheme that the request shows, when it does not show this one.
fn other_profile(profile: &Profile, head: &Head<'_>, known: &Known<'_>) -> Option<Problem> {
    let shows = |profile: &Profile| {
        let fields = Fields { profile, head: *head, values: Vec::new(), signature: None, times: None };
        let context = fields.context(super::request::Body::Empty);
        profile.detect.iter().any(|expr| matches!(context.read(expr), Ok(Some(_))))
    };
    if shows(profile) {
        return None;
    }
    // A signature of the other scheme, and not only what any request may have.
    let other = known.profiles.iter().find(|other| other.name != profile.name && shows(other) && other.has_mac_in(*head))?;
    let words = format!("The request is signed in the scheme {} ({}), and {} is asked for here.", other.name, other.title(), profile.name);
    Some(Problem::new(Mistake::OtherProfile, words))
}

/// The MACs that were sent, in every form.
fn offered(profile: &Profile, fields: &Fields<'_>, fits: bool) -> Vec<Offered> {
    let Some(mac) = fields.values.get(profile.mac).and_then(Option::as_ref) else { return Vec::new() };
    if fields.signature.is_some() {
        return offered::decoded(mac.bytes());
    }
    let encoding = profile.rule.encoding;
    match &mac.data {
        Data::One(bytes) => offered::read([bytes.as_slice()].into_iter(), encoding, fits),
        Data::Many(list) => offered::read(list.iter().take(16).map(super::bytes::Bytes::as_slice), encoding, fits),
        Data::Map(_) => Vec::new(),
    }
}

/// Every mistake that does not depend on the text that comes out.
fn trials(profile: &Profile, fields: &Fields<'_>, request: &Sent<'_>, suspect: &Suspect<'_>, known: &Known<'_>) -> Vec<Trial> {
    let (mut all, rest) = recipe::trials(profile);
    all.extend(target::trials(request));
    all.extend(head::trials(profile, request, known.hosts));
    if profile.body != super::BodyUse::None {
        all.extend(body::trials(request));
    }
    all.extend(moment::trials(profile, &fields.values, request, suspect.now));
    all.extend(rest);
    let reads = reads(profile);
    all.retain(|trial| {
        let about = match trial.area {
            Area::Method => Parts::METHOD,
            Area::Host => Parts::HOST.and(Parts::SCHEME),
            Area::Path => Parts::PATH,
            Area::Query => Parts::QUERY,
            Area::Body => Parts::BODY,
            _ => return true,
        };
        about.without(reads) != about
    });
    all
}

/// What of a request a string to sign can hold. What lists of the request choose can be anything.
fn reads(profile: &Profile) -> Parts {
    let chosen = profile.builtin.is_some() || profile.collections.iter().any(|collection| collection.from.contains(&Origin::Headers));
    if chosen {
        return Parts::REQUIRED.and(Parts::SCHEME);
    }
    let templates = profile.rule.messages.iter().map(|template| info_of(template).reads);
    // A digest that is sent is held against the body beside the MAC.
    let body = if profile.body == super::BodyUse::None { Parts::NONE } else { Parts::BODY };
    let collections = profile.collections.iter().flat_map(|collection| &collection.from).map(|from| match from {
        Origin::Query | Origin::RawQuery => Parts::QUERY,
        _ => Parts::NONE,
    });
    templates.chain(collections).fold(body, Parts::and)
}

/// Mistakes about the finished text and its pieces.
fn text_trials(bench: &mut Bench<'_>) -> Vec<Trial> {
    let mut plain = bench.as_sent();
    let shown = bench.shown(&mut plain);
    let mut all = text::of_message(&shown.message, bench.signature.is_some());
    // A piece that holds the secret is not known here.
    if bench.profile.rule.reads_secret {
        return all;
    }
    let names = bench.profile.let_names.iter().zip(&shown.lets).enumerate();
    for (index, (name, text)) in names.filter(|(_, (_, text))| !text.is_empty()) {
        all.extend(text::of_let(index, name, text));
    }
    all
}

/// Common mistakes first, then those of a whole text, then the others.
fn likely_first(trials: Vec<Trial>, texts: Vec<Trial>) -> Vec<Trial> {
    let mut all: Vec<Trial> = trials.into_iter().chain(texts).collect();
    // The order of equals stays: the first name for a text is the one that is told.
    all.sort_by_key(|trial| match trial.mistake {
        _ if trial.common => 0,
        Mistake::TrailingNewline | Mistake::LineEndings | Mistake::LiteralNewline | Mistake::SurroundingSpace => 1,
        _ => 2,
    });
    all
}

/// What else keeps a signature from being accepted whose MAC is right.
fn refused_besides(profile: &Profile, suspect: &Suspect<'_>, known: &Known<'_>) -> Option<Problem> {
    let body = super::request::Body::of(suspect.body);
    let judged = profile.find_fields(suspect.head).and_then(|fields| match fields {
        Some(fields) => fields.complete(body)?.judge(body, known.secrets, suspect.now).map(drop),
        None => Err(Code::SignatureMalformed.into()),
    });
    let refusal = judged.err()?;
    if refusal.code == Code::SignatureMismatch
        && let Some(words) = other_credential(profile, suspect, known)
    {
        return Some(Problem::new(Mistake::RequirementNotMet, words));
    }
    let mistake = if refusal.code == Code::SignatureCoverage { Mistake::NotCovered } else { Mistake::RequirementNotMet };
    let detail = refusal.detail.as_deref().unwrap_or(refusal.code.title());
    Some(Problem::new(mistake, format!("{}: {detail}.", mistake.what())))
}

/// What a request says of its credential that is not so.
fn other_credential(profile: &Profile, suspect: &Suspect<'_>, known: &Known<'_>) -> Option<String> {
    let body = super::request::Body::of(suspect.body);
    let fields = profile.find_fields(suspect.head).ok()??.complete(body).ok()?;
    let secret = known.secrets.first()?;
    let context = super::evaluate::Context { credential: Some(secret.credential()), ..fields.context_with(body) };
    let wrong = profile.requires.iter().find(|require| require.of_credential && profile.check(&context, require).is_err())?;
    Some(sentence(&wrong.mistake))
}

/// The client's string to sign beside ours: the piece of ours that has most in common with it.
fn compare(bench: &mut Bench<'_>, suspect: &Suspect<'_>, hidden: &Hidden<'_>, diagnosis: &mut Diagnosis) {
    let Some(own) = suspect.own_string else { return };
    let own = &hidden.mask(own);
    let shown = hidden.masked(bench.shown(&mut bench.as_sent()));
    let names = bench.profile.let_names.iter().map(|name| &**name).zip(&shown.lets);
    let pieces = std::iter::once(("the string to sign", &shown.message)).chain(names);
    let mut best: Option<(usize, &str, &Vec<u8>)> = None;
    for (name, ours) in pieces {
        let common = difference::common(ours, own);
        if best.is_none_or(|(most, ..)| common > most) {
            best = Some((common, name, ours));
        }
    }
    if let Some((_, name, ours)) = best {
        diagnosis.difference = difference::first(name, ours, own);
        diagnosis.same_string = diagnosis.difference.is_none();
    }
}
