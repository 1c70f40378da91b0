//! Files that hold a secret: never an argument, which every process could read.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use zeroize::Zeroizing;

use super::Failure;

/// More than any secret, in bytes.
const LONGEST: u64 = 64 * 1024;

/// Reads a secret from a file. Line feeds at its end are not part of it.
///
/// # Errors
/// The file cannot be read as text, or holds nothing.
pub(super) fn read(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text));
    read.map_err(|error| Failure::of(format_args!("{} cannot be read", path.display()), error))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(Failure::Usage(format!("{} holds no secret", path.display())));
    }
    Ok(Zeroizing::new(secret.to_owned()))
}
