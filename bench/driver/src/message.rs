<<<<<<< HEAD
//! Where an HTTP/1.1 message ends. Reads what well-behaved proxies write, and counts nothing else.

/// The part of a message that has not come yet.
#[derive(Default)]
pub struct Framing {
    state: State,
    /// The status of the last response head; 0 for requests.
    pub status: u16,
    /// Whether the last head said `Connection: close`.
    pub closes: bool,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    Length(usize),
    Chunks,
}

impl Framing {
    /// Takes one whole message off the front of `buffer`, if it is there. 100 Continue is passed over.
    pub fn take(&mut self, buffer: &mut Vec<u8>) -> bool {
        loop {
            match self.state {
                State::Head => {
                    let Some(end) = memchr::memmem::find(buffer, b"\r\n\r\n") else { return false };
                    let head = &buffer[..end + 2];
                    self.status = if head.starts_with(b"HTTP/1.") { number(&head[9..12]) } else { 0 };
                    let (length, chunked, closes) = lengths(head);
                    self.closes = closes;
                    self.state = if chunked { State::Chunks } else { State::Length(length) };
                    remove(buffer, end + 4);
                    if self.status == 100 {
                        self.state = State::Head;
                    }
                }
                State::Length(left) => {
                    let part = left.min(buffer.len());
                    remove(buffer, part);
                    if part < left {
                        self.state = State::Length(left - part);
                        return false;
                    }
                    self.state = State::Head;
                    return true;
                }
                State::Chunks => {
                    // The bodies here are small: wait for the last chunk.
                    let end = if buffer.starts_with(b"0\r\n\r\n") {
                        Some(0)
                    } else {
                        memchr::memmem::find(buffer, b"\r\n0\r\n\r\n").map(|at| at + 2)
                    };
                    let Some(end) = end else { return false };
                    remove(buffer, end + 5);
                    self.state = State::Head;
                    return true;
                }
            }
        }
    }
}

fn remove(buffer: &mut Vec<u8>, count: usize) {
    if count == buffer.len() {
        buffer.clear();
    } else {
        buffer.drain(..count);
    }
}

fn number(text: &[u8]) -> u16 {
    text.iter().fold(0, |number, digit| number * 10 + u16::from(digit.wrapping_sub(b'0')))
}

/// Content-Length, whether chunked, whether the connection closes.
fn lengths(head: &[u8]) -> (usize, bool, bool) {
    let (mut length, mut chunked, mut closes) = (0, false, false);
    for line in head.split(|byte| *byte == b'\n').skip(1) {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match name.len() {
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                length = value.iter().fold(0, |length, digit| length * 10 + usize::from(digit.wrapping_sub(b'0')));
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => chunked = true,
            10 if name.eq_ignore_ascii_case(b"connection") => closes = value.eq_ignore_ascii_case(b"close"),
            _ => {}
        }
    }
    (length, chunked, closes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_come_off_one_by_one_however_they_are_cut() {
        let all = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabcHTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        for step in 1..all.len() {
            let (mut framing, mut buffer, mut seen) = (Framing::default(), Vec::new(), Vec::new());
            for part in all.chunks(step) {
                buffer.extend_from_slice(part);
                while framing.take(&mut buffer) {
                    seen.push((framing.status, framing.closes));
                }
            }
            assert_eq!(seen, [(200, false), (401, true)], "step {step}");
            assert!(buffer.is_empty());
        }
    }
=======
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
>>>>>>> wt-i
}
