//! One process has a data directory. Two would be two memories that do not know of each other.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use crate::ReplayUnavailable;

/// Held as long as it lives; the system releases it when the process ends, however it ends.
pub(super) struct DirectoryLock {
    _file: File,
    /// Whether the directory was held before, by anybody.
    pub held_before: bool,
}

/// Makes the directory (mode 0700) if it is not there, and locks it.
pub(super) fn take(directory: &Path) -> Result<DirectoryLock, ReplayUnavailable> {
    let path = directory.join("lock");
    let failed = |error: &dyn std::fmt::Display| ReplayUnavailable(format!("{}: {error}", path.display()));
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| failed(&error))?;
    let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = options.map_err(|error| failed(&error))?;
    let mut holder = String::new();
    let length = (&file).take(20).read_to_string(&mut holder).map_err(|error| failed(&error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = if holder.trim().is_empty() { "another process".to_owned() } else { format!("process {}", holder.trim()) };
            let directory = directory.display();
            return Err(ReplayUnavailable(format!(
                "{directory} is in use by {holder}: stop it first, or give this one a directory of its own"
            )));
        }
        Err(TryLockError::Error(error)) => return Err(failed(&error)),
    }
    let write = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
    write.map_err(|error| failed(&error))?;
    Ok(DirectoryLock { _file: file, held_before: length > 0 })
}
