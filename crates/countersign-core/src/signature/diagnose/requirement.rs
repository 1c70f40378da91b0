//! What must hold beside the MAC and does not: mostly a digest in a header that is not that of the body.

use super::super::content_digest::{ContentDigest, content_digest};
use super::super::expression::Expr;
use super::super::rules::{Require, Requirement};
use super::bench::{Attempt, Bench};
use super::change::{Area, Trial};
use super::mistake::Mistake;
use super::reading::Problem;
use super::recipe;

/// How many ways are tried to make one requirement hold.
const MOST_TRIES: usize = 160;
/// How many bytes of bodies are hashed for that.
const MOST_BYTES: usize = 4 << 20;

/// A requirement that does not hold.
pub(super) struct Unmet {
    /// What of it can be said.
    pub(super) problem: Problem,
    /// The mistake that makes it hold.
    pub(super) cause: Option<(Mistake, String)>,
}

enum Check {
    Require(Box<Require>),
    Digest(ContentDigest),
}

/// Every requirement that does not hold, with its cause where one is found.
pub(super) fn unmet(bench: &mut Bench<'_>, trials: &[Trial]) -> Vec<Unmet> {
    let mut checks: Vec<Check> = Vec::new();
    for require in bench.profile.requires.iter().filter(|require| !require.of_credential) {
        checks.push(Check::Require(Box::new(require.clone())));
    }
    let mut plain = bench.as_sent();
    checks.retain(|check| !holds(bench, &mut plain, check));
    // The built-in checks Content-Digest by itself.
    if bench.profile.builtin.is_some()
        && checks.is_empty()
        && let Ok(Some(digest)) = content_digest(&bench.request.headers)
        && digest.check(bench.request.bytes()).is_err()
    {
        checks.push(Check::Digest(digest));
    }
    checks.iter().map(|check| Unmet { problem: problem(bench, check), cause: cause(bench, check, trials) }).collect()
}

fn holds<'v>(bench: &mut Bench<'v>, attempt: &mut Attempt<'v>, check: &Check) -> bool {
    bench.with(attempt, |bench, attempt| match check {
        Check::Require(require) => {
            let fields = bench.fields_of(attempt);
            bench.profile.check(&bench.context(attempt, &fields, None), require).is_ok()
        }
        Check::Digest(digest) => digest.check(attempt.request.bytes()).is_ok(),
    })
}

/// The first mistake that makes it hold: one about the body or the recipe, or another way to write the digest.
fn cause<'v>(bench: &mut Bench<'v>, check: &Check, trials: &[Trial]) -> Option<(Mistake, String)> {
    let is_equal =
        matches!(check, Check::Digest(_)) || matches!(check, Check::Require(require) if matches!(require.what, Requirement::Equal(..)));
    if !is_equal {
        return None;
    }
    let tries = MOST_TRIES.min(MOST_BYTES / bench.request.bytes().len().max(1));
    // A requirement holds, too, when what it is about is not there: that is no explanation.
    let fitting = trials.iter().filter(|trial| match trial.area {
        Area::Body | Area::Recipe => true,
        Area::Header => matches!(trial.mistake, Mistake::ContentTypeLeftOut | Mistake::ContentTypeParameters | Mistake::OtherContentType),
        _ => false,
    });
    for trial in fitting.take(tries) {
        let mut attempt = bench.as_sent();
        if bench.change(&mut attempt, &trial.change) && holds(bench, &mut attempt, check) {
            return Some((trial.mistake, trial.detail.clone()));
        }
    }
    let Check::Require(require) = check else { return None };
    let Requirement::Equal(a, b) = &require.what else { return None };
    let with =
        |a: &Expr, b: &Expr| Check::Require(Box::new(Require { what: Requirement::Equal(a.clone(), b.clone()), ..(**require).clone() }));
    let others = |expr: &Expr| recipe::expressions(expr).into_iter().take(MOST_TRIES / 8);
    let sides = others(b).map(|(mistake, other, detail)| (mistake, with(a, &other), detail));
    let sides = sides.chain(others(a).map(|(mistake, other, detail)| (mistake, with(&other, b), detail)));
    for (mistake, check, detail) in sides {
        if holds(bench, &mut bench.as_sent(), &check) {
            return Some((mistake, detail));
        }
    }
    None
}

fn problem(bench: &Bench<'_>, check: &Check) -> Problem {
    let Check::Require(require) = check else {
        return Problem::new(Mistake::DigestDiffers, "Content-Digest is not that of the body.");
    };
    let attempt = bench.as_sent();
    let fields = bench.fields_of(&attempt);
    let context = bench.context(&attempt, &fields, None);
    let mistake = match &require.what {
        Requirement::Includes(list, groups) => {
            let listed = context.read_list(list).unwrap_or_default();
            let has = |name: &str| listed.iter().any(|one| one.eq_ignore_ascii_case(name.as_bytes()));
            let lacks: Vec<String> =
                groups.iter().filter(|group| !group.iter().any(|name| has(name))).map(|group| group.join(" or ")).collect();
            return Problem::new(Mistake::HeaderNotListed, format!("The list of signed headers lacks {}.", lacks.join(", ")));
        }
        Requirement::Equal(a, b) if a.info.body.max(b.info.body) != super::super::BodyUse::None => Mistake::DigestDiffers,
        _ => Mistake::RequirementNotMet,
    };
    Problem::new(mistake, super::finding::sentence(&require.mistake))
}
