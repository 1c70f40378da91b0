//! The body of a request that is signed: text, or a file of any size.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::path::PathBuf;

use countersign_core::signature::{Body, BodyDigest, BodyHasher};

use crate::cli::Failure;

/// How large a file may be that a profile signs byte by byte: it is read whole.
const MOST_WHOLE: u64 = 64 << 20;

/// A body.
pub enum Payload {
    /// There is none.
    None,
    /// Text of the command line.
    Text(Vec<u8>),
    /// A file and its length.
    File(PathBuf, File, u64),
}

impl Payload {
    /// What `--data` says: text, or `@` and the name of a file.
    pub fn read(data: Option<&str>) -> Result<Self, Failure> {
        let Some(data) = data else { return Ok(Self::None) };
        let Some(path) = data.strip_prefix('@') else { return Ok(Self::Text(data.as_bytes().to_vec())) };
        let cannot = |error| Failure::of(format_args!("{path} cannot be read"), error);
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Failure::Usage(format!("{path} is not a file: a body is read twice, to sign and to send")));
        }
        Ok(Self::File(path.into(), file, metadata.len()))
    }

    /// Its length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Text(text) => text.len() as u64,
            Self::File(.., length) => *length,
        }
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// It cannot be read, or has more than 64 MiB.
    pub fn whole(&self) -> Result<Option<Vec<u8>>, Failure> {
        let Self::File(path, file, length) = self else { return Ok(None) };
        if *length > MOST_WHOLE {
            return Err(Failure::Usage(format!("{} has more than 64 MiB, and this profile signs the bytes of a body", path.display())));
        }
        let mut bytes = Vec::new();
        let mut file = file;
        let read = file.take(MOST_WHOLE).read_to_end(&mut bytes).and_then(|_| file.rewind());
        read.map_err(|error| Failure::of(format_args!("{} cannot be read", path.display()), error))?;
        Ok(Some(bytes))
    }

    /// The body as it is signed: `whole` are the bytes of a file, without which it is hashed.
    pub fn body<'b>(&'b self, whole: Option<&'b [u8]>) -> Result<Body<'b>, Failure> {
        match (self, whole) {
            (_, Some(bytes)) => Ok(Body::of(bytes)),
            (Self::None, None) => Ok(Body::Empty),
            (Self::Text(text), None) => Ok(Body::of(text)),
            (Self::File(path, file, _), None) => {
                let digest = digest_of(file);
                digest.map(Body::Digest).map_err(|error| Failure::of(format_args!("{} cannot be read", path.display()), error))
            }
        }
    }

    /// The media type that it looks like.
    pub fn media_type(&self) -> Option<String> {
        let is_json = |text: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok();
        match self {
            Self::None => None,
            Self::Text(text) if is_json(text) => Some("application/json".into()),
            Self::File(path, ..) if path.extension().is_some_and(|end| end == "json") => Some("application/json".into()),
            _ => Some("application/octet-stream".into()),
        }
    }
}

fn digest_of(mut file: &File) -> io::Result<BodyDigest> {
    let mut hasher = BodyHasher::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            break;
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
    file.rewind()?;
    Ok(hasher.finish())
}
