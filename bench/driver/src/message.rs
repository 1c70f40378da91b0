//! Finding where HTTP/1.1 messages end. Only as much of HTTP as the bench's own requests and answers use.

/// Counts the messages of one direction of one connection.
#[derive(Default)]
pub struct Messages {
    kept: Vec<u8>,
    body_left: usize,
    in_body: bool,
    closes: bool,
    status: u16,
}

/// What was found in the bytes so far.
pub struct Found {
    /// Messages that became complete.
    pub complete: u32,
    /// The status of the last one, 0 for requests.
    pub status: u16,
    /// Whether the last one said `Connection: close`.
    pub closes: bool,
}

impl Messages {
    /// Takes what was read.
    pub fn take(&mut self, read: &[u8]) -> Result<Found, String> {
        let mut complete = 0;
        // Nearly always a read is one whole message, and nothing has to be kept.
        let joined;
        let mut rest = if self.kept.is_empty() {
            read
        } else {
            self.kept.extend_from_slice(read);
            joined = std::mem::take(&mut self.kept);
            &joined
        };
        loop {
            if !self.in_body {
                let Some(end) = memchr::memmem::find(rest, b"\r\n\r\n") else { break };
                let (head, behind) = rest.split_at(end + 4);
                rest = behind;
                self.read_head(head)?;
                if matches!(self.status, 100..=199) {
                    continue;
                }
                self.in_body = true;
            }
            let here = self.body_left.min(rest.len());
            self.body_left -= here;
            rest = &rest[here..];
            if self.body_left > 0 {
                break;
            }
            self.in_body = false;
            complete += 1;
        }
        self.kept.extend_from_slice(rest);
        Ok(Found { complete, status: self.status, closes: complete > 0 && self.closes })
    }

    fn read_head(&mut self, head: &[u8]) -> Result<(), String> {
        self.body_left = 0;
        self.closes = false;
        let mut lines = head.split(|byte| *byte == b'\n');
        let first = lines.next().unwrap_or_default();
        self.status = match first.strip_prefix(b"HTTP/1.1 ") {
            Some(line) => number(line.get(..3).unwrap_or_default()).ok_or("an answer without a status")? as u16,
            None => 0,
        };
        for line in lines {
            let Some(colon) = memchr::memchr(b':', line) else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            if name.eq_ignore_ascii_case(b"content-length") {
                self.body_left = number(value).ok_or("a Content-Length that is not a number")?;
            } else if name.eq_ignore_ascii_case(b"connection") {
                self.closes = value.eq_ignore_ascii_case(b"close");
            } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
                return Err("a chunked message: the bench sends none".into());
            }
        }
        Ok(())
    }
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}
