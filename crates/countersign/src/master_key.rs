//! The master key: found where the configuration says, or made on the first start.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use countersign_core::sealed::{BadMasterKey, MasterKey};
use countersign_core::secret::{SecretBytes, push_hex};
use zeroize::Zeroizing;

use crate::ambient::{Entropy, NoEntropy};
use crate::config::MasterKeySource;

/// The variable that holds the key itself.
pub const VARIABLE: &str = "COUNTERSIGN_MASTER_KEY";
/// More than any form of a key; what is longer is another file.
const LONGEST: u64 = 4096;

/// Why there is no master key. Never holds any of it.
#[derive(Debug, thiserror::Error)]
pub enum NoMasterKey {
    /// The file cannot be read.
    #[error("the master key cannot be read from {}: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Others can read the file.
    #[error("others can read the master key in {}: run chmod 600 {}", path.display(), path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// What is there is not a key.
    #[error("what {source_name} holds is not a master key: write 64 hexadecimal digits (openssl rand -hex 32), without quotes")]
    Bad {
        /// The file or the variable.
        source_name: String,
        /// What is wrong.
        #[source]
        error: BadMasterKey,
    },
    /// The database is there and the key that was made for it is not.
    #[error("{} is missing and the database beside it needs it: put the key back, or name where it is with master_key_file", path.display())]
    Lost {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be made.
    #[error("a master key cannot be made in {}: {error}", path.display())]
    NotMade {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// There is no randomness.
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
}

/// Finds the master key, or makes it where it is to be generated and there is none.
///
/// # Errors
///
/// It is not there, others can read it, or it is not a key.
pub fn load(source: &MasterKeySource, entropy: &dyn Entropy) -> Result<MasterKey, NoMasterKey> {
    match source {
        MasterKeySource::Environment => {
            let given = std::env::var_os(VARIABLE).unwrap_or_default();
            parse(SecretBytes::new(given.into_encoded_bytes()), VARIABLE.into())
        }
        MasterKeySource::File(path) => read(path),
        MasterKeySource::Generated(path) => match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A new key beside an old database would make every stored secret unreadable, for good.
                if path.with_file_name("countersign.db").exists() {
                    return Err(NoMasterKey::Lost { path: path.clone() });
                }
                make(path, entropy)?;
                read(path)
            }
            _ => read(path),
        },
    }
}

fn read(path: &Path) -> Result<MasterKey, NoMasterKey> {
    let unreadable = |error| NoMasterKey::Unreadable { path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    // Of the open file, so that it cannot be another one by the time it is read.
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file")));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(NoMasterKey::Open { path: path.to_owned() });
    }
    // Room for all of it at once: growing would leave copies behind.
    let mut given = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
    file.take(LONGEST).read_to_end(&mut given).map_err(unreadable)?;
    parse(SecretBytes::new(std::mem::take(&mut *given)), path.display().to_string())
}

fn parse(given: SecretBytes, source_name: String) -> Result<MasterKey, NoMasterKey> {
    MasterKey::parse(&given).map_err(|error| NoMasterKey::Bad { source_name, error })
}

/// Makes a key that is on the disk before anything is encrypted under it.
fn make(path: &Path, entropy: &dyn Entropy) -> Result<(), NoMasterKey> {
    let random = Zeroizing::new(entropy.fresh::<32>()?.take());
    let mut text = Zeroizing::new(String::with_capacity(65));
    push_hex(&mut text, random.as_slice());
    text.push('\n');
    let half = path.with_extension("key.new");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|error| NoMasterKey::NotMade { path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::ambient::SystemEntropy;

    #[test]
    fn a_generated_key_is_made_once_and_only_its_owner_can_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let source = MasterKeySource::Generated(path.clone());
        load(&source, &SystemEntropy).ok().unwrap();
        let made = fs::read(&path).unwrap();
        assert_eq!((made.len(), fs::metadata(&path).unwrap().mode() & 0o777), (65, 0o600));
        load(&source, &SystemEntropy).ok().unwrap();
        assert_eq!(fs::read(&path).unwrap(), made);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_key_that_was_lost_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("countersign.db"), "").unwrap();
        let path = directory.path().join("master.key");
        assert!(matches!(load(&MasterKeySource::Generated(path.clone()), &SystemEntropy), Err(NoMasterKey::Lost { .. })));
        assert!(!path.exists());
    }

    #[test]
    fn a_key_that_others_can_read_or_that_is_none_is_refused_without_printing_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let said = |content: &str, mode: u32| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            load(&MasterKeySource::File(path.clone()), &SystemEntropy).err().map(|error| error.to_string())
        };
        let good = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff\n";
        assert_eq!(said(good, 0o600), None);
        assert_eq!(said(good, 0o400), None);
        for mode in [0o640, 0o604, 0o660] {
            assert!(said(good, mode).unwrap().contains("chmod 600"), "{mode:o}");
        }
        for bad in ["", "do-not-print-me", &format!("\"{}\"", good.trim()), &"0f".repeat(16)] {
            let said = said(bad, 0o600).unwrap();
            assert!(said.contains("64 hexadecimal digits") && !said.contains("do-not-print-me"), "{said}");
        }
        assert!(matches!(load(&MasterKeySource::File(directory.path().join("none")), &SystemEntropy), Err(NoMasterKey::Unreadable { .. })));
        assert!(load(&MasterKeySource::File(directory.path().into()), &SystemEntropy).is_err());
    }
}
