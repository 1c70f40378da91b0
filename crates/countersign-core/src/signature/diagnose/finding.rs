//! What a diagnosis says: findings in words, without secrets.

use super::super::fields::Fields;
use super::super::profile::Profile;
use super::super::rules::MacAlgorithm;
use super::super::secret::LiveSecret;
use super::Known;
use super::bench::{Bench, Shown};
use super::difference;
use super::mistake::Mistake;
use super::offered::Offered;
use super::reading::Problem;
use super::requirement::Unmet;
use super::search::{Hit, Outcome};
use super::text;

/// How many findings are reported at most.
const MOST_FINDINGS: usize = 3;

/// One explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What the client did: one mistake, or several that were made together. Never empty.
    pub mistakes: Vec<Mistake>,
    /// Whether the signature verifies once they are taken into account. If not, they are what reading the request shows.
    pub verifies: bool,
    /// The explanation.
    pub words: String,
    /// What to do.
    pub fix: String,
}

/// What a hit says, with the line of the string to sign that it changes.
pub(super) fn of_hits<'v>(bench: &mut Bench<'v>, outcome: &Outcome<'v>, hidden: &Hidden<'_>) -> Vec<Finding> {
    let all = outcome.hits.iter().map(|Hit { mistakes, attempt }| {
        let what: Vec<String> = mistakes.iter().map(|(mistake, detail)| clause(*mistake, detail)).collect();
        let mut words = format!("The signature verifies if {}.", what.join(", and if "));
        let ours = hidden.masked(bench.shown(&mut bench.as_sent()));
        let theirs = hidden.masked(bench.shown(&mut attempt.clone()));
        let names = bench.profile.let_names.iter().zip(ours.lets.iter().zip(&theirs.lets));
        // The text that people see: a hash in the last line says nothing.
        let piece =
            names.filter(|(_, (ours, _))| ours.contains(&b'\n')).find_map(|(name, (ours, theirs))| difference::first(name, ours, theirs));
        if let Some(at) = piece.or_else(|| difference::first("the string to sign", &ours.message, &theirs.message)) {
            let show = |line: &Option<String>| line.clone().unwrap_or_else(|| "not there".to_owned());
            words.push_str(&format!(" Line {} of {} is then {}; it must be {}.", at.line, at.piece, show(&at.theirs), show(&at.ours)));
        }
        let mut fixes: Vec<&str> = mistakes.iter().map(|(mistake, _)| mistake.fix()).collect();
        fixes.dedup();
        Finding { mistakes: mistakes.iter().map(|(mistake, _)| *mistake).collect(), verifies: true, words, fix: fixes.join(" ") }
    });
    all.collect()
}

fn clause(mistake: Mistake, detail: &str) -> String {
    if detail.is_empty() { mistake.what().to_owned() } else { format!("{} ({detail})", mistake.what()) }
}

pub(super) fn finding_of(problem: Problem, verifies: bool) -> Finding {
    let mut words = problem.words;
    if verifies {
        words.push_str(" The signature verifies besides that.");
    }
    Finding { mistakes: vec![problem.mistake], verifies, words, fix: problem.mistake.fix().to_owned() }
}

pub(super) fn of_requirement(unmet: Unmet, right: bool) -> Finding {
    let Some((mistake, detail)) = unmet.cause else { return finding_of(unmet.problem, right) };
    let words = if right {
        format!("{} The signature verifies if {}.", unmet.problem.words, clause(mistake, &detail))
    } else {
        format!("{} It is what it must be if {}.", unmet.problem.words, clause(mistake, &detail))
    };
    Finding { mistakes: vec![mistake, unmet.problem.mistake], verifies: right, words, fix: mistake.fix().to_owned() }
}

/// Words as a sentence. A name at their beginning stays as it is.
pub(super) fn sentence(words: &str) -> String {
    let mut words = words.to_owned();
    let is_name = words.split(' ').next().is_some_and(|word| word.contains(['_', '-', '.']));
    if let Some(first) = words.get_mut(..1).filter(|_| !is_name) {
        first.make_ascii_uppercase();
    }
    words + "."
}

/// What is said about a MAC that is not in the form of the scheme.
pub(super) fn malformed(profile: &Profile, fields: &Fields<'_>, offered: &[Offered], algorithm: MacAlgorithm) -> Option<Problem> {
    if offered.iter().any(|offered| offered.algorithm == algorithm && offered.mistakes.is_empty()) {
        return None;
    }
    let length = fields.values.get(profile.mac).and_then(Option::as_ref).map_or(0, |mac| mac.bytes().len());
    let unit = if fields.signature.is_some() { "bytes" } else { "characters" };
    let read = offered.first().map_or_else(String::new, |offered| {
        let form = match offered.mistakes.first() {
            Some(Mistake::HexForBase64) => " in hexadecimal",
            Some(Mistake::UpperCaseHex) => " in upper-case hexadecimal",
            Some(Mistake::Base64ForHex | Mistake::Base64OfBytes) => " in Base64",
            Some(Mistake::Base64Alphabet) => " in Base64 with the other alphabet",
            Some(Mistake::Base64OfHex) => " in Base64 of hexadecimal",
            _ => "",
        };
        format!(", which are {} bytes{form}", offered.bytes.len())
    });
    let (asked, encoding) = (algorithm.length(), profile.rule.encoding.words());
    Some(Problem::new(
        Mistake::MacMalformed,
        format!("The signature has {length} {unit}{read}; {asked} bytes in {encoding} are asked for."),
    ))
}

/// One finding for each mistake, the proven words kept, and no more than are reported.
pub(super) fn merged(findings: Vec<Finding>) -> Vec<Finding> {
    let mut all: Vec<Finding> = Vec::new();
    for finding in findings {
        match all.iter_mut().find(|known| known.mistakes.first() == finding.mistakes.first()) {
            Some(known) => {
                if finding.verifies && !known.verifies {
                    known.words = format!("{} {}", known.words, finding.words);
                    known.verifies = true;
                    known.mistakes = finding.mistakes;
                    known.fix = finding.fix;
                }
            }
            None => all.push(finding),
        }
    }
    all.truncate(MOST_FINDINGS);
    all
}

/// The secrets, which what a client sent can hold: they are not repeated.
pub(super) struct Hidden<'k>(Vec<&'k [u8]>);

impl<'k> Hidden<'k> {
    pub(super) fn of(known: &Known<'k>) -> Self {
        let secrets = known.secrets.iter().chain(known.others.iter().map(|other| other.secret));
        // A shorter one is no secret, and would hide what is needed.
        Self(secrets.map(LiveSecret::text).filter(|text| text.len() >= 4).collect())
    }

    /// A text without secrets. Before it is shortened, so that no part of one is left.
    pub(super) fn mask(&self, text: &[u8]) -> Vec<u8> {
        self.0.iter().fold(text.to_vec(), |text, secret| text::replaced(&text, secret, b"<secret>"))
    }

    pub(super) fn masked(&self, shown: Shown) -> Shown {
        Shown { message: self.mask(&shown.message), lets: shown.lets.iter().map(|text| self.mask(text)).collect() }
    }

    pub(super) fn hide(&self, mut findings: Vec<Finding>) -> Vec<Finding> {
        for secret in self.0.iter().filter_map(|secret| std::str::from_utf8(secret).ok()) {
            for words in findings.iter_mut().map(|finding| &mut finding.words).filter(|words| words.contains(secret)) {
                *words = words.replace(secret, "<secret>");
            }
        }
        findings
    }
}
