//! The data directory: who may read it, whose it is, and the file that says where the gateway listens.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::startup::{Purpose, StartError};

/// Present in data that `countersign dev` made: its secrets were printed.
const DEV_MARK: &str = "dev";

/// Makes the directory with mode 0700 if it is not there, and refuses one that others can read, belongs to somebody else, or
/// was made for the other purpose.
///
/// # Errors
/// In words that say what to do.
pub fn prepare(directory: &Path, purpose: Purpose) -> Result<(), StartError> {
    let shown = directory.display();
    let cannot = |error: std::io::Error| StartError(format!("cannot use the data directory {shown}: {error}"));
    let new = !directory.exists();
    let make = |path: &Path| DirBuilder::new().recursive(true).mode(0o700).create(path);
    make(directory).map_err(cannot)?;
    let metadata = fs::metadata(directory).map_err(cannot)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(StartError(format!("the data directory {shown} can be read by others: run chmod 700 {shown}")));
    }
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        return Err(StartError(format!("the data directory {shown} belongs to uid {} and this process runs as {me}", metadata.uid())));
    }
    let mark = directory.join(DEV_MARK);
    let is_dev = is_of_dev(directory);
    let is_empty = new || fs::read_dir(directory).map_err(cannot)?.next().is_none();
    match purpose {
        Purpose::Serve if is_dev => {
            return Err(StartError(format!(
                "{shown} was made by `countersign dev` and its secrets were printed: choose another `data` directory"
            )));
        }
        Purpose::Dev if !is_dev && !is_empty => {
            return Err(StartError(format!("{shown} is not a `countersign dev` directory: choose another one with --data")));
        }
        Purpose::Dev => fs::write(&mark, "made by countersign dev; its secrets were printed\n").map_err(cannot)?,
        Purpose::Serve => {}
    }
    // Not `replay`: whether that is there says something, so the replay memory makes it itself.
    for inner in ["spool", "control"] {
        make(&directory.join(inner)).map_err(cannot)?;
    }
    Ok(())
}

/// Whether `countersign dev` made the directory.
pub fn is_of_dev(directory: &Path) -> bool {
    directory.join(DEV_MARK).exists()
}

/// Says where the gateway listens, for programs that started it with port 0.
///
/// # Errors
/// When the file cannot be written.
pub fn write_run_file(file: &Path, listen: SocketAddr, admin: SocketAddr) -> Result<(), StartError> {
    let text = serde_json::json!({ "listen": listen.to_string(), "admin": admin.to_string(), "pid": std::process::id() });
    write_whole(file, format!("{text}\n").as_bytes()).map_err(|error| StartError(format!("cannot write {}: {error}", file.display())))
}

/// Writes a file with mode 0600 so that it is there whole or not at all.
///
/// # Errors
/// As the file system says.
pub fn write_whole(file: &Path, content: &[u8]) -> std::io::Result<()> {
    let half = file.with_extension("new");
    let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&half)?;
    out.write_all(content)?;
    out.sync_all()?;
    fs::rename(&half, file)
}
