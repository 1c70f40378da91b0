//! An upstream that records what reaches it, byte by byte, and answers as it is told.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::digest;

/// Of each connection and each body so many bytes are kept; more are counted and hashed only.
const KEPT: usize = 256 * 1024;

/// A request that arrived whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// The head as it came, without the empty line.
    pub head: String,
    /// The first bytes of the body, without framing.
    pub body: Vec<u8>,
    /// How many bytes the body has.
    pub body_length: u64,
    /// SHA-256 of the body in hexadecimal.
    pub body_sha256: String,
    /// On which connection it came, from 0.
    pub connection: usize,
}

impl Received {
    /// The request line.
    pub fn request_line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }

    /// All values of a header, by a name in any case.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1);
        lines.filter_map(|line| line.split_once(':')).filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }
}

/// What the upstream does with a request.
pub enum Reply {
    /// Sends these bytes and waits for the next request.
    Bytes(Vec<u8>),
    /// Sends these bytes and closes.
    BytesAndClose(Vec<u8>),
    /// Closes without a word.
    Close,
    /// Says nothing for as long as the connection lives.
    Silence,
    /// Sends these bytes, then sends back whatever comes.
    EchoAfter(Vec<u8>),
}

impl Reply {
    /// 200 with this body.
    pub fn ok(body: &str) -> Self {
        Self::Bytes(format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
    }
}

type Script = Arc<dyn Fn(&Received) -> Reply + Send + Sync>;

#[derive(Default)]
struct Record {
    /// Per connection: the first bytes.
    bytes: Vec<Vec<u8>>,
    total: u64,
    /// Heads that arrived whole, whether or not their bodies did.
    heads: Vec<String>,
    requests: Vec<Received>,
    /// Connections that ended within a message.
    broken: usize,
    /// Connections that ended while an answer was still to come or to end.
    given_up: usize,
}

/// The upstream. It lives as long as the process.
#[derive(Clone)]
pub struct RecordingUpstream {
    address: SocketAddr,
    record: Arc<Mutex<Record>>,
}

impl RecordingUpstream {
    /// Answers everything with 200.
    pub fn start() -> Self {
        Self::start_with(|_| Reply::ok("seen"))
    }

    /// Answers as `script` says. The script runs on the connection's own thread and may wait.
    pub fn start_with(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let record = Arc::new(Mutex::new(Record::default()));
        let (script, kept): (Script, _) = (Arc::new(script), Arc::clone(&record));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (script, record) = (Arc::clone(&script), Arc::clone(&kept));
                let number = {
                    let mut record = record.lock().expect("the record");
                    record.bytes.push(Vec::new());
                    record.bytes.len() - 1
                };
                thread::spawn(move || Reader { stream, buffer: Vec::new(), number, record }.serve(&script));
            }
        });
        Self { address, record }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that arrived whole.
    pub fn requests(&self) -> Vec<Received> {
        self.record.lock().expect("the record").requests.clone()
    }

    /// The requests whose head contains `marker`: whole ones.
    pub fn count(&self, marker: &str) -> usize {
        self.record.lock().expect("the record").requests.iter().filter(|r| r.head.contains(marker)).count()
    }

    /// The heads that contain `marker`, whether or not the body arrived.
    pub fn count_heads(&self, marker: &str) -> usize {
        self.record.lock().expect("the record").heads.iter().filter(|head| head.contains(marker)).count()
    }

    /// How many bytes reached it, over all connections.
    pub fn total_bytes(&self) -> u64 {
        self.record.lock().expect("the record").total
    }

    /// How many connections ended within a message.
    pub fn broken(&self) -> usize {
        self.record.lock().expect("the record").broken
    }

    /// How many connections ended while an answer was still to come, or to end.
    pub fn given_up(&self) -> usize {
        self.record.lock().expect("the record").given_up
    }

    /// The first bytes of every connection.
    pub fn bytes(&self) -> Vec<Vec<u8>> {
        self.record.lock().expect("the record").bytes.clone()
    }

    /// Forgets what was recorded.
    pub fn forget(&self) {
        let mut record = self.record.lock().expect("the record");
        record.bytes.iter_mut().for_each(Vec::clear);
        record.total = 0;
        record.heads.clear();
        record.requests.clear();
        record.broken = 0;
        record.given_up = 0;
    }
}

struct Reader {
    stream: TcpStream,
    buffer: Vec<u8>,
    number: usize,
    record: Arc<Mutex<Record>>,
}

struct BodyRecord {
    kept: Vec<u8>,
    length: u64,
    hash: digest::Context,
}

impl BodyRecord {
    fn add(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(&bytes[..room]);
        self.length += bytes.len() as u64;
        self.hash.update(bytes);
    }
}

impl Reader {
    fn serve(mut self, script: &Script) {
        let _ = self.stream.set_nodelay(true);
        while let Some(head) = self.head() {
            self.record.lock().expect("the record").heads.push(head.clone());
            let Some(request) = self.body(head) else {
                self.record.lock().expect("the record").broken += 1;
                break;
            };
            self.record.lock().expect("the record").requests.push(request.clone());
            let (bytes, goes_on) = match script(&request) {
                Reply::Bytes(bytes) => (bytes, true),
                Reply::BytesAndClose(bytes) => (bytes, false),
                Reply::Close => (Vec::new(), false),
                Reply::Silence => {
                    while self.fill() {}
                    return self.record.lock().expect("the record").given_up += 1;
                }
                Reply::EchoAfter(bytes) => {
                    let _ = self.stream.write_all(&bytes);
                    return self.echo();
                }
            };
            if self.stream.write_all(&bytes).is_err() || !goes_on {
                return;
            }
        }
        if !self.buffer.is_empty() {
            self.record.lock().expect("the record").broken += 1;
        }
    }

    fn echo(&mut self) {
        loop {
            let bytes = std::mem::take(&mut self.buffer);
            if self.stream.write_all(&bytes).is_err() || !self.fill() {
                return self.record.lock().expect("the record").given_up += 1;
            }
        }
    }

    fn head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..at + 4).collect();
                return Some(String::from_utf8_lossy(&head[..at]).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn body(&mut self, head: String) -> Option<Received> {
        let value = |name: &str| {
            let found = head.split("\r\n").skip(1).filter_map(|l| l.split_once(':')).find(|(n, _)| n.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.trim().to_owned())
        };
        let mut body = BodyRecord { kept: Vec::new(), length: 0, hash: digest::Context::new(&digest::SHA256) };
        if value("transfer-encoding").is_some() {
            loop {
                let size = usize::from_str_radix(&self.line()?, 16).expect("the gateway writes good chunks");
                self.take(size as u64, &mut body)?;
                assert_eq!(self.line()?, "", "a chunk ends where it says");
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = value("content-length") {
            self.take(length.parse().expect("the gateway writes good lengths"), &mut body)?;
        }
        Some(Received {
            head,
            body: body.kept,
            body_length: body.length,
            body_sha256: crate::hex(body.hash.finish().as_ref()),
            connection: self.number,
        })
    }

    fn take(&mut self, mut length: u64, body: &mut BodyRecord) -> Option<()> {
        while length > 0 {
            if self.buffer.is_empty() && !self.fill() {
                return None;
            }
            let part = usize::try_from(length).unwrap_or(usize::MAX).min(self.buffer.len());
            body.add(&self.buffer[..part]);
            self.buffer.drain(..part);
            length -= part as u64;
        }
        Some(())
    }

    fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.buffer.windows(2).position(|w| w == b"\r\n") {
                let line: Vec<u8> = self.buffer.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 64 * 1024];
        let Ok(read) = self.stream.read(&mut chunk) else { return false };
        let mut record = self.record.lock().expect("the record");
        record.total += read as u64;
        let kept = &mut record.bytes[self.number];
        let room = KEPT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&chunk[..room]);
        self.buffer.extend_from_slice(&chunk[..read]);
        read > 0
    }
}
