//! A connection that sends exactly what it is given and reads answers strictly.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// How long anything in a test may take before it counts as hanging.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// An answer as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status of the final answer.
    pub status: u16,
    /// The interim answers (1xx) before it.
    pub interim: Vec<u16>,
    /// Names in lower case, in order.
    pub headers: Vec<(String, String)>,
    /// The body without its framing.
    pub body: Vec<u8>,
    /// Whether the body came to its end as its framing says.
    pub whole: bool,
}

impl Answer {
    /// The only value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers(name);
        let first = values.next();
        assert!(values.next().is_none(), "{name} is in the answer twice: {self:?}");
        first
    }

    /// All values of a header.
    pub fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("not JSON ({e}): {} {}", self.status, self.text()))
    }

    /// The `code` of a refusal; empty when there is none.
    pub fn code(&self) -> String {
        serde_json::from_slice::<Value>(&self.body).ok().and_then(|v| v["code"].as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Fails unless this is a refusal with this code, in the shape that every refusal has.
    pub fn assert_refused(&self, code: &str) {
        assert_eq!(self.code(), code, "{} {:?} {}", self.status, self.headers, self.text());
        assert!(self.whole, "{self:?}");
        let body = self.json();
        if self.header("content-type") == Some("application/problem+json") {
            assert_eq!(body["status"], self.status, "{body}");
        }
        assert!(body["request_id"].as_str().is_some_and(|id| id.starts_with("rq_")), "{body}");
        if self.status == 401 {
            assert!(self.headers("www-authenticate").next().is_some(), "401 without a challenge: {self:?}");
        }
    }

    /// Fails unless this is a success; gives the answer back.
    #[track_caller]
    pub fn assert_ok(self) -> Self {
        assert!((200..300).contains(&self.status), "{} {:?} {}", self.status, self.headers, self.text());
        self
    }
}

/// The final status, the interim ones before it, and the headers.
type Head = (u16, Vec<u16>, Vec<(String, String)>);

trait Stream: Read + Write + Send {
    fn close_writing(&self) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn close_writing(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

impl Stream for UnixStream {
    fn close_writing(&self) -> io::Result<()> {
        self.shutdown(std::net::Shutdown::Write)
    }
}

/// One connection to the gateway. What was read too far is kept for the next answer.
pub struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects over TCP.
    pub fn to(address: SocketAddr) -> Self {
        Self::try_to(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"))
    }

    /// Connects over TCP, where there may be nobody.
    ///
    /// # Errors
    /// As the system says.
    pub fn try_to(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, DEADLINE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
        Ok(Self { stream: Box::new(stream), buffer: Vec::new() })
    }

    /// Connects to a local socket.
    pub fn to_socket(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap_or_else(|e| panic!("cannot connect to {}: {e}", path.display()));
        stream.set_read_timeout(Some(DEADLINE)).expect("a time limit");
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        self.try_send(bytes).expect("the gateway reads");
        self
    }

    /// Sends bytes to a peer that may have gone.
    ///
    /// # Errors
    /// As the system says.
    pub fn try_send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&mut self) -> &mut Self {
        self.stream.close_writing().expect("the connection is open");
        self
    }

    /// Reads one answer with its body.
    pub fn answer(&mut self) -> Answer {
        self.try_answer().unwrap_or_else(|e| panic!("no answer: {e}; got {:?}", String::from_utf8_lossy(&self.buffer)))
    }

    /// Reads one answer to a HEAD request: without a body, whatever its headers say.
    pub fn answer_to_head(&mut self) -> Answer {
        let (status, interim, headers) = self.head().expect("an answer");
        Answer { status, interim, headers, body: Vec::new(), whole: true }
    }

    /// Reads one answer from a gateway that may be killed at any moment.
    ///
    /// # Errors
    /// When the connection ends before the head is whole, or in time-out.
    pub fn try_answer(&mut self) -> io::Result<Answer> {
        let (status, interim, headers) = self.head()?;
        let value = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
        let (body, whole) = if status == 204 || status == 304 || status == 101 {
            (Vec::new(), true)
        } else if value("transfer-encoding").is_some() {
            self.chunks()?
        } else if let Some(length) = value("content-length") {
            let length: usize = length.parse().unwrap_or_else(|_| panic!("the gateway sent Content-Length: {length}"));
            while self.buffer.len() < length && self.fill()? {}
            let whole = self.buffer.len() >= length;
            (self.buffer.drain(..length.min(self.buffer.len())).collect(), whole)
        } else {
            while self.fill()? {}
            (std::mem::take(&mut self.buffer), true)
        };
        Ok(Answer { status, interim, headers, body, whole })
    }

    /// Reads a line-delimited interim answer, such as 100.
    pub fn interim(&mut self) -> u16 {
        self.one_head().expect("an interim answer").0
    }

    /// Waits for the gateway to close. Gives what came before that.
    pub fn rest(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return std::mem::take(&mut self.buffer),
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return std::mem::take(&mut self.buffer),
                Err(e) => panic!("the connection stays open: {e}; got {:?}", String::from_utf8_lossy(&self.buffer)),
            }
        }
    }

    /// Reads at least `length` bytes, as they are.
    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        while self.buffer.len() < length {
            assert!(self.fill().expect("bytes"), "the connection ended after {:?}", String::from_utf8_lossy(&self.buffer));
        }
        self.buffer.drain(..length).collect()
    }

    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let read = self.stream.read(&mut chunk)?;
        self.buffer.extend_from_slice(&chunk[..read]);
        Ok(read > 0)
    }

    fn head(&mut self) -> io::Result<Head> {
        let mut interim = Vec::new();
        loop {
            let (status, headers) = self.one_head()?;
            if (100..200).contains(&status) && status != 101 {
                interim.push(status);
            } else {
                return Ok((status, interim, headers));
            }
        }
    }

    fn one_head(&mut self) -> io::Result<(u16, Vec<(String, String)>)> {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if !self.fill()? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection ended before a whole head"));
            }
        };
        let head: Vec<u8> = self.buffer.drain(..end).collect();
        let head = String::from_utf8(head).expect("a head in ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).and_then(|s| s.parse().ok());
        let status = status.unwrap_or_else(|| panic!("not a status line: {status_line:?}"));
        let header = |line: &str| line.split_once(':').map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()));
        Ok((status, lines.map(|line| header(line).unwrap_or_else(|| panic!("not a header: {line:?}"))).collect()))
    }

    fn chunks(&mut self) -> io::Result<(Vec<u8>, bool)> {
        let mut body = Vec::new();
        loop {
            let Some(line) = self.line()? else { return Ok((body, false)) };
            let size = usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("not a chunk size: {line:?}"));
            while self.buffer.len() < size + 2 {
                if !self.fill()? {
                    body.append(&mut self.buffer);
                    return Ok((body, false));
                }
            }
            body.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Ok((body, true));
            }
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Ok(Some(String::from_utf8_lossy(&line[..at]).into_owned()));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }
}

/// Sends bytes over a connection of their own and reads one answer.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut connection = Connection::to(address);
    // The gateway may refuse and close before it has read everything.
    let _refused_early = connection.try_send(bytes);
    connection.answer()
}
