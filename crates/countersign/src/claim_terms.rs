//! How each scheme kept its replay claims when the gateway was last started. A scheme that keeps them in another way now would
//! not find those of before, and a request could pass twice: then everything from before is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use countersign_core::signature::Profile;
use countersign_store::memory::ChangedTerms;

use crate::data_directory::write_whole;

/// The terms of every scheme that there ever was, by its name.
pub struct ClaimTerms {
    file: PathBuf,
    terms: BTreeMap<String, String>,
    /// Which kinds of schemes that were known before have other terms now.
    pub changed: ChangedTerms,
}

impl ClaimTerms {
    /// Reads what was written at the last start, and compares. A file that cannot be read counts as a change of every scheme, and
    /// so does one that is not there beside a replay memory (`replay`): what the claims in that were made under is not known.
    ///
    /// # Errors
    /// As the file system says.
    pub fn read(file: PathBuf, replay: &Path, profiles: &[Profile]) -> io::Result<Self> {
        let before: Option<BTreeMap<String, String>> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (!replay.try_exists()?).then(BTreeMap::new),
            Err(error) => return Err(error),
        };
        let is_unknown = before.is_none();
        let mut terms = before.unwrap_or_default();
        let mut changed = ChangedTerms::default();
        for profile in profiles {
            let now = profile.claim_terms();
            let before = terms.insert(profile.name().as_str().to_owned(), now.clone());
            if before.as_ref().map_or(!is_unknown, |before| *before == now) {
                continue;
            }
            changed.timed |= profile.is_timed();
            changed.untimed |= !profile.is_timed() || profile.has_counter();
            // Not when only a time for keeping is another: the counter was there and is remembered without end.
            let has_counted = before.is_some_and(|before| without_keep(&before) == without_keep(&now));
            changed.counted |= profile.has_counter() && !profile.is_timed() && !has_counted;
        }
        Ok(Self { file, terms, changed })
    }

    /// Writes them for the next start. After the memory was told of a change, and never before.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(&self) -> io::Result<()> {
        write_whole(&self.file, serde_json::to_string_pretty(&self.terms)?.as_bytes())
    }
}

/// The terms up to how long claims without a time are kept.
fn without_keep(terms: &str) -> &str {
    terms.rsplit_once(", keep ").map_or(terms, |(kind, _)| kind)
}

/// Where they are, in the data directory.
pub fn file(data: &Path) -> PathBuf {
    data.join("claim-terms.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::signature::built_in::built_in;
    use countersign_core::signature::load::Constants;

    const NONE: ChangedTerms = ChangedTerms { timed: false, untimed: false, counted: false };
    const TIMED: ChangedTerms = ChangedTerms { timed: true, ..NONE };
    const UNTIMED: ChangedTerms = ChangedTerms { untimed: true, ..NONE };
    const COUNTED: ChangedTerms = ChangedTerms { untimed: true, counted: true, ..NONE };

    /// A profile with a part of its text replaced, under the name of another one if that is given.
    fn profile(name: &str, from: &str, to: &str, other: Option<&str>) -> Profile {
        let text = built_in(name).unwrap();
        assert!(from.is_empty() || text.contains(from), "{from}");
        let text = text.replace(from, to);
        let text = other.map_or_else(|| text.clone(), |other| text.replace(&format!("name = \"{name}\""), &format!("name = \"{other}\"")));
        Profile::load(&text, &Constants::new()).unwrap()
    }

    fn changed(data: &Path, profiles: &[Profile]) -> ChangedTerms {
        let terms = ClaimTerms::read(file(data), &data.join("replay"), profiles).unwrap();
        terms.keep().unwrap();
        terms.changed
    }

    #[test]
    fn only_another_term_of_a_known_scheme_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let changed = |profiles: &[Profile]| changed(directory.path(), profiles);
        let own = |from: &str, to: &str| profile("v3.0", from, to, None);
        let shorter = || [own("past = 300", "past = 200")];
        assert_eq!(changed(&[own("", "")]), NONE, "a first start");
        std::fs::create_dir(directory.path().join("replay")).unwrap();
        assert_eq!(changed(&[own("", "")]), NONE, "the same");
        assert_eq!(changed(&[own("", ""), profile("stripe", "", "", None)]), NONE, "one more");
        assert_eq!(changed(&[own("", "")]), NONE, "one less");
        assert_eq!(changed(&shorter()), TIMED, "another window");
        assert_eq!(changed(&shorter()), NONE);
        let elsewhere = own("header:x-timestamp", "header:x-sent");
        assert_eq!(changed(&[elsewhere]), TIMED, "another header for the time");
        assert_eq!(changed(&shorter()), TIMED);
        std::fs::write(file(directory.path()), "{").unwrap();
        assert_eq!(changed(&shorter()), TIMED, "what it was is not known");
        std::fs::remove_file(file(directory.path())).unwrap();
        assert_eq!(changed(&shorter()), TIMED, "there are claims, and what they were made under is not known");
    }

    #[test]
    fn what_a_scheme_has_become_tells_what_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let changed = |name: &str, from: &str, to: &str| changed(directory.path(), &[profile(name, from, to, Some("mine"))]);
        assert_eq!(changed("v3.0", "", ""), NONE);
        assert_eq!(changed("github", "", ""), UNTIMED, "it had a time");
        assert_eq!(changed("kraken", "", ""), COUNTED, "it had no counter");
        assert_eq!(changed("kraken", "", ""), NONE);
        let counter = built_in("kraken").unwrap().lines().find(|line| line.starts_with("counter = ")).unwrap();
        assert_eq!(changed("kraken", counter, &format!("{counter}\nkeep = 60")), UNTIMED, "its counters are known");
        assert_eq!(changed("kraken", "form:nonce", "form:number"), COUNTED, "another counter");
        assert_eq!(changed("v3.0", "", ""), TIMED, "it had none");
        std::fs::remove_file(file(directory.path())).unwrap();
        std::fs::create_dir(directory.path().join("replay")).unwrap();
        assert_eq!(changed("kraken", "", ""), COUNTED, "whether it had a counter is not known");
    }
}
