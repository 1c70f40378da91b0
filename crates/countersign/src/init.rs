//! `countersign init`: a configuration file that explains itself and works as it is.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

/// The file that `init` writes: the versioned pair of routes, and every setting with its usual value.
pub const TEMPLATE: &str = include_str!("init/countersign.toml");

/// Writes the file. One that is there is kept unless `force`.
///
/// # Errors
///
/// There is a file already (`AlreadyExists`), or it cannot be written.
pub fn write(path: &Path, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    // One act, so that a file that appears meanwhile is not lost.
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    let mut file = options.open(path)?;
    file.write_all(TEMPLATE.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_check::{Surroundings, check};

    #[test]
    fn what_init_writes_passes_check_without_a_warning() {
        let checked = check("countersign.toml", TEMPLATE, &Surroundings::default()).unwrap();
        assert_eq!(checked.warnings.to_string(), "");
        assert_eq!(checked.config.routes.len(), 4);
    }

    #[test]
    fn every_setting_that_is_commented_out_shows_what_holds_without_it() {
        // Those whose usual value depends on the machine, or that have none.
        let own = ["master_key_file", "threads", "hashing_threads", "trusted_proxies", "client_address_from"];
        let is_setting = |line: &str| {
            line.strip_prefix("# ").and_then(|rest| rest.split_once(" = ")).is_some_and(|(key, _)| {
                !key.contains(' ') && key.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !own.contains(&key)
            })
        };
        let written: String = TEMPLATE
            .lines()
            .map(|line| if is_setting(line) { format!("{}\n", line.trim_start_matches("# ")) } else { format!("{line}\n") })
            .collect();
        assert!(written.lines().filter(|line| line.contains(" = ") && !line.starts_with('#')).count() > 40);
        let say = |text: &str| format!("{:#?}", check("c", text, &Surroundings::default()).unwrap().config);
        assert_eq!(say(&written), say(TEMPLATE));
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("countersign.toml");
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(write(&path, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        write(&path, true).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), TEMPLATE);
    }
}
