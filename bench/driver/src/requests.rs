//! The requests to send: records of a length (32 bits, little-endian) and so many bytes of HTTP/1.1.

use std::ops::Range;
use std::path::Path;

/// A file of requests, and which is next.
pub struct Requests {
    bytes: Vec<u8>,
    places: Vec<Range<usize>>,
    next: usize,
    each_once: bool,
}

impl Requests {
    /// Reads a file.
    pub fn read(path: &Path, each_once: bool) -> Result<Self, String> {
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let mut places = Vec::new();
        let mut at = 0;
        while let Some((length, _)) = bytes.get(at..).and_then(|rest| rest.split_first_chunk::<4>()) {
            let start = at + 4;
            at = start + u32::from_le_bytes(*length) as usize;
            places.push(start..at);
        }
        if places.is_empty() || at != bytes.len() {
            return Err(format!("{}: not a file of requests", path.display()));
        }
        Ok(Self { bytes, places, next: 0, each_once })
    }

    /// The next one: round and round, or nothing when each was sent once.
    pub fn next(&mut self) -> Option<&[u8]> {
        if self.next == self.places.len() {
            if self.each_once {
                return None;
            }
            self.next = 0;
        }
        self.next += 1;
        self.bytes.get(self.places.get(self.next - 1)?.clone())
    }
}
