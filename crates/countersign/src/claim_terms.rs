//! How each scheme kept its replay claims when the gateway was last started. A scheme that keeps them in another way now would
//! not find those of before, and a request could pass twice: then everything signed before is refused.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use countersign_core::signature::Profile;

use crate::data_directory::write_whole;

/// The terms of every scheme that there ever was, by its name.
pub struct ClaimTerms {
    file: PathBuf,
    terms: BTreeMap<String, String>,
    /// Whether those of a scheme that was known before are others now.
    pub changed: bool,
}

impl ClaimTerms {
    /// Reads what was written at the last start, and compares. A file that cannot be read counts as changed.
    ///
    /// # Errors
    /// As the file system says, but for a file that is not there: nothing is known then.
    pub fn read(file: PathBuf, profiles: &[Profile]) -> io::Result<Self> {
        let before: Option<BTreeMap<String, String>> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(BTreeMap::new()),
            Err(error) => return Err(error),
        };
        let unreadable = before.is_none();
        let mut terms = before.unwrap_or_default();
        let mut changed = unreadable;
        for profile in profiles {
            let now = profile.claim_terms();
            let before = terms.insert(profile.name().as_str().to_owned(), now.clone());
            changed |= before.is_some_and(|before| before != now);
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

/// Where they are, in the data directory.
pub fn file(data: &Path) -> PathBuf {
    data.join("claim-terms.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_core::signature::built_in::built_in;
    use countersign_core::signature::load::Constants;

    #[test]
    fn only_another_term_of_a_known_scheme_is_a_change() {
        let directory = tempfile::tempdir().unwrap();
        let path = file(directory.path());
        let profile = |name: &str, from: &str, to: &str| {
            let text = built_in(name).unwrap();
            assert!(from.is_empty() || text.contains(from), "{from}");
            Profile::load(&text.replace(from, to), &Constants::new()).unwrap()
        };
        let changed = |profiles: &[Profile]| {
            let terms = ClaimTerms::read(path.clone(), profiles).unwrap();
            terms.keep().unwrap();
            terms.changed
        };
        assert!(!changed(&[profile("v3.0", "", "")]), "a first start");
        assert!(!changed(&[profile("v3.0", "", "")]), "the same");
        assert!(!changed(&[profile("v3.0", "", ""), profile("stripe", "", "")]), "one more");
        assert!(!changed(&[profile("v3.0", "", "")]), "one less");
        assert!(changed(&[profile("v3.0", "past = 300", "past = 200")]), "another window");
        assert!(!changed(&[profile("v3.0", "past = 300", "past = 200")]));
        std::fs::write(&path, "{").unwrap();
        assert!(changed(&[profile("v3.0", "past = 300", "past = 200")]), "what it was is not known");
    }
}
