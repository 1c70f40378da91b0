//! The loop that plays both ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::epoll::{self, EventData, EventFlags};
use serde_json::{Value, json};

use crate::Arguments;
use crate::histogram::Histogram;
use crate::message::Framing;
use crate::process::{self, CpuTime};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n{\"ok\":true,\"service\":\"upstream\"}\n";
/// A proxy that does not answer for so long is broken.
const PATIENCE_NANOS: u64 = 5_000_000_000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// We are the client.
    Client,
    /// We are the upstream.
    Upstream,
}

struct Connection {
    side: Side,
    stream: TcpStream,
    framing: Framing,
    read: Vec<u8>,
    /// What the socket did not take at once.
    unsent: Vec<u8>,
    /// When the request under way was sent, for clients.
    sent_at: Option<u64>,
}

struct Wheel<'a> {
    arguments: &'a Arguments,
    epoll: OwnedFd,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    requests: Vec<Vec<u8>>,
    next: usize,
    start: Instant,
    tally: Tally,
}

struct Tally {
    latency: Histogram,
    statuses: BTreeMap<u16, u64>,
    answers: u64,
    forwarded: u64,
    lost: u64,
    last_answer: u64,
}

impl Tally {
    fn new(now: u64) -> Self {
        Self { latency: Histogram::new(), statuses: BTreeMap::new(), answers: 0, forwarded: 0, lost: 0, last_answer: now }
    }
}

/// Drives the proxy and says what came of it.
pub fn run(arguments: &Arguments) -> Result<Value, String> {
    let requests = read_requests(&arguments.requests)?;
    let listener = TcpListener::bind(arguments.upstream).map_err(|e| format!("{}: {e}", arguments.upstream))?;
    listener.set_nonblocking(true).map_err(|e| e.to_string())?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(|e| e.to_string())?;
    epoll::add(&epoll, listener.as_fd(), EventData::new_u64(u64::MAX), EventFlags::IN).map_err(|e| e.to_string())?;
    let mut wheel =
        Wheel { arguments, epoll, listener, connections: Vec::new(), requests, next: 0, start: Instant::now(), tally: Tally::new(0) };
    for _ in 0..arguments.connections {
        wheel.connect()?;
    }
    wheel.turn()
}

fn read_requests(file: &str) -> Result<Vec<Vec<u8>>, String> {
    let bytes = fs::read(file).map_err(|e| format!("{file}: {e}"))?;
    let (mut requests, mut rest) = (Vec::new(), bytes.as_slice());
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let (request, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(|| format!("{file} is cut off"))?;
        requests.push(request.to_vec());
        rest = after;
    }
    if requests.is_empty() { Err(format!("{file} has no requests")) } else { Ok(requests) }
}

impl Wheel<'_> {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn connect(&mut self) -> Result<(), String> {
        let stream = TcpStream::connect(self.arguments.target).map_err(|e| format!("{}: {e}", self.arguments.target))?;
        let at = self.add(Side::Client, stream)?;
        self.send_next(at);
        Ok(())
    }

    fn add(&mut self, side: Side, stream: TcpStream) -> Result<usize, String> {
        stream.set_nodelay(true).and_then(|()| stream.set_nonblocking(true)).map_err(|e| e.to_string())?;
        let at = self.connections.iter().position(Option::is_none).unwrap_or_else(|| {
            self.connections.push(None);
            self.connections.len() - 1
        });
        epoll::add(&self.epoll, stream.as_fd(), EventData::new_u64(at as u64), EventFlags::IN).map_err(|e| e.to_string())?;
        self.connections[at] = Some(Connection {
            side,
            stream,
            framing: Framing::default(),
            read: Vec::with_capacity(16 * 1024),
            unsent: Vec::new(),
            sent_at: None,
        });
        Ok(at)
    }

    /// Sends the next request on a client connection; with `--once` there may be none.
    fn send_next(&mut self, at: usize) {
        if self.next == self.requests.len() {
            if self.arguments.once {
                return;
            }
            self.next = 0;
        }
        let now = self.now();
        let Some(connection) = self.connections[at].as_mut() else { return };
        connection.sent_at = Some(now);
        connection.send(&self.requests[self.next], &self.epoll, at);
        self.next += 1;
    }

    fn turn(&mut self) -> Result<Value, String> {
        let mut events = Vec::with_capacity(512);
        let mut scratch = vec![0; 256 * 1024];
        let (warm, end) = (self.arguments.warm_up.as_nanos() as u64, (self.arguments.warm_up + self.arguments.seconds).as_nanos() as u64);
        let mut measuring: Option<(CpuTime, u64)> = None;
        let mut idle = 0;
        loop {
            let now = self.now();
            if measuring.is_none() && now >= warm {
                self.tally = Tally::new(now);
                idle = 0;
                measuring = Some((CpuTime::now(&self.arguments.pids), self.now()));
            }
            let all_sent = self.arguments.once && self.next == self.requests.len();
            let silent = now > self.tally.last_answer + PATIENCE_NANOS;
            if now >= end || all_sent || silent {
                let Some((before, began)) = measuring else {
                    return Err(if silent { "the proxy does not answer".into() } else { "the requests ran out in the warm-up".into() });
                };
                return Ok(self.result(CpuTime::now(&self.arguments.pids).since(before), self.now() - began, idle));
            }
            events.clear();
            let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
            let polled_at = self.now();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&none)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {
                    idle += self.now() - polled_at;
                    continue;
                }
                Ok(_) => {}
                Err(error) => return Err(error.to_string()),
            }
            for event in &events {
                if event.data.u64() == u64::MAX {
                    while let Ok((stream, _)) = self.listener.accept() {
                        self.add(Side::Upstream, stream)?;
                    }
                } else {
                    self.serve(event.data.u64() as usize, event.flags, &mut scratch)?;
                }
            }
        }
    }

    fn serve(&mut self, at: usize, flags: EventFlags, scratch: &mut [u8]) -> Result<(), String> {
        let now = self.now();
        let Some(connection) = self.connections[at].as_mut() else { return Ok(()) };
        if flags.contains(EventFlags::OUT) {
            connection.send(&[], &self.epoll, at);
        }
        match connection.stream.read(scratch) {
            Ok(0) => return self.drop_connection(at),
            Ok(count) => connection.read.extend_from_slice(&scratch[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return self.drop_connection(at),
        }
        while connection.framing.take(&mut connection.read) {
            match connection.side {
                Side::Upstream => {
                    self.tally.forwarded += 1;
                    connection.send(ANSWER, &self.epoll, at);
                }
                Side::Client => {
                    self.tally.answers += 1;
                    self.tally.last_answer = now;
                    *self.tally.statuses.entry(connection.framing.status).or_default() += 1;
                    if let Some(sent) = connection.sent_at.take() {
                        self.tally.latency.add(now - sent);
                    }
                    if connection.framing.closes {
                        return self.drop_connection(at);
                    }
                    self.send_next(at);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn drop_connection(&mut self, at: usize) -> Result<(), String> {
        match self.connections[at].take() {
            Some(Connection { side: Side::Client, sent_at, .. }) => {
                self.tally.lost += u64::from(sent_at.is_some());
                self.connect()
            }
            _ => Ok(()),
        }
    }

    fn result(&self, cpu: CpuTime, nanos: u64, idle: u64) -> Value {
        let tally = &self.tally;
        let (answers, seconds) = (tally.answers.max(1) as f64, nanos as f64 / 1e9);
        let busy_elsewhere = cpu.machine as f64 - cpu.proxy as f64 - cpu.driver as f64;
        json!({
            "per_second": tally.answers as f64 / seconds,
            "cpu_us": cpu.proxy as f64 / 1e3 / answers,
            "proxy_cores": cpu.proxy as f64 / nanos as f64,
            "driver_busy": 1.0 - idle as f64 / nanos as f64,
            "others_cores": busy_elsewhere / nanos as f64,
            "p50_us": tally.latency.micros(0.5),
            "p99_us": tally.latency.micros(0.99),
            "answers": tally.answers,
            "forwarded": tally.forwarded,
            "lost": tally.lost,
            "status": tally.statuses.iter().map(|(status, count)| (status.to_string(), json!(count))).collect::<serde_json::Map<_, _>>(),
            "peak_kib": process::peak_kib(&self.arguments.pids),
            "seconds": seconds,
        })
    }
}

impl Connection {
    /// Sends what is left and then `bytes`; what the socket does not take waits for it.
    fn send(&mut self, bytes: &[u8], epoll: &OwnedFd, at: usize) {
        let waited = !self.unsent.is_empty();
        self.unsent.extend_from_slice(if waited { bytes } else { &[] });
        let pending = if waited { self.unsent.as_slice() } else { bytes };
        let sent = match self.stream.write(pending) {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            // The next read says so.
            Err(_) => return,
        };
        if waited {
            self.unsent.drain(..sent);
        } else {
            self.unsent.extend_from_slice(&bytes[sent..]);
        }
        if waited == self.unsent.is_empty() {
            let flags = if self.unsent.is_empty() { EventFlags::IN } else { EventFlags::IN | EventFlags::OUT };
            let _ = epoll::modify(epoll, self.stream.as_fd(), EventData::new_u64(at as u64), flags);
        }
    }
}
