//! Both ends around a proxy under test, in one thread: the clients that send requests to it, and the upstream that answers
//! what it forwards. So the harness takes one core and the proxy has the other one to itself.
//!
//! The thread asks epoll again and again and never sleeps: on a virtual machine, waking a core that sleeps costs whoever wakes
//! it, and that would be the proxy. Each connection has one request under way; the next is sent when its answer is there.
//! The run is reported as one JSON object.

mod cost;
mod latency;
mod message;
mod options;
mod requests;

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::event::epoll;

use crate::cost::Cpu;
use crate::latency::Latencies;
use crate::message::Messages;
use crate::options::Options;
use crate::requests::Requests;

/// What the upstream answers to everything.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n{\"ok\":true,\"service\":\"upstream\"}\n";
/// The place of the listening socket; connections are counted from 0.
const LISTENER: u64 = u64::MAX;
/// Nothing may take this long.
const STUCK: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let done = Options::parse(std::env::args().skip(1)).and_then(|options| Run::new(&options)?.go());
    match done {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("driver: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One end of a connection.
struct End {
    stream: TcpStream,
    side: Side,
    messages: Messages,
    /// What the socket did not take at once. Bodies are small, so this stays empty nearly always.
    unsent: Vec<u8>,
}

enum Side {
    /// Of ours to the proxy, with the time at which the request was sent that is under way.
    Client(Option<Instant>),
    /// Of the proxy to the upstream.
    Upstream,
}

/// What is counted while it is measured.
struct Tally {
    started: Instant,
    cpu: Cpu,
    statuses: BTreeMap<u16, u64>,
    answers: u64,
    forwarded: u64,
    reconnects: u64,
    latencies: Latencies,
    /// Time in which nothing was there to do.
    idle: Duration,
}

impl Tally {
    fn start(processes: &[u32]) -> Self {
        Self {
            started: Instant::now(),
            cpu: Cpu::now(processes),
            statuses: BTreeMap::new(),
            answers: 0,
            forwarded: 0,
            reconnects: 0,
            latencies: Latencies::new(),
            idle: Duration::ZERO,
        }
    }
}

struct Run<'o> {
    options: &'o Options,
    requests: Requests,
    listener: TcpListener,
    poll: std::os::fd::OwnedFd,
    ends: Vec<Option<End>>,
    free: Vec<usize>,
    tally: Tally,
    /// Requests under way.
    open: usize,
}

impl<'o> Run<'o> {
    fn new(options: &'o Options) -> Result<Self, String> {
        let listener = TcpListener::bind(options.upstream).map_err(|error| format!("{}: {error}", options.upstream))?;
        listener.set_nonblocking(true).map_err(told)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC).map_err(told)?;
        epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN).map_err(told)?;
        let requests = Requests::read(&options.requests, options.each_once)?;
        let tally = Tally::start(&options.processes);
        Ok(Self { options, requests, listener, poll, ends: Vec::new(), free: Vec::new(), tally, open: 0 })
    }

    fn go(mut self) -> Result<String, String> {
        for _ in 0..self.options.connections {
            self.open_client()?;
        }
        let begin = Instant::now();
        let (mut measuring, mut last_event, mut all) = (false, begin, 0);
        let mut events = Vec::with_capacity(512);
        let mut scratch = vec![0; 256 * 1024];
        loop {
            let now = Instant::now();
            if !measuring && now - begin >= self.options.warm_up {
                measuring = true;
                all += self.tally.answers;
                self.tally = Tally::start(&self.options.processes);
            }
            let over = measuring && now - self.tally.started >= self.options.duration;
            if over || self.open == 0 || all + self.tally.answers >= self.options.most {
                return Ok(self.report());
            }
            if now - last_event > STUCK {
                return Err(format!("nothing has happened for {STUCK:?}, with {} requests under way", self.open));
            }
            events.clear();
            epoll::wait(&self.poll, rustix::buffer::spare_capacity(&mut events), Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
                .map_err(told)?;
            if events.is_empty() {
                self.tally.idle += now.elapsed();
                continue;
            }
            last_event = now;
            for event in &events {
                match event.data.u64() {
                    LISTENER => self.accept()?,
                    place => self.serve(place as usize, &mut scratch)?,
                }
            }
        }
    }

    fn open_client(&mut self) -> Result<(), String> {
        let stream = TcpStream::connect(self.options.target).map_err(|error| format!("{}: {error}", self.options.target))?;
        let place = self.add(stream, Side::Client(None))?;
        self.send_next(place)
    }

    fn accept(&mut self) -> Result<(), String> {
        loop {
            match self.listener.accept() {
                Ok((stream, _)) => drop(self.add(stream, Side::Upstream)?),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    fn add(&mut self, stream: TcpStream, side: Side) -> Result<usize, String> {
        stream.set_nonblocking(true).map_err(told)?;
        stream.set_nodelay(true).map_err(told)?;
        let place = self.free.pop().unwrap_or_else(|| {
            self.ends.push(None);
            self.ends.len() - 1
        });
        epoll::add(&self.poll, &stream, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN).map_err(told)?;
        self.ends[place] = Some(End { stream, side, messages: Messages::default(), unsent: Vec::new() });
        Ok(place)
    }

    /// Sends the next request on a connection of ours, if there is one.
    fn send_next(&mut self, place: usize) -> Result<(), String> {
        let Some(end) = &mut self.ends[place] else { return Ok(()) };
        let Some(request) = self.requests.next() else { return Ok(()) };
        end.side = Side::Client(Some(Instant::now()));
        self.open += 1;
        end.send(&self.poll, place, request)
    }

    /// Something has happened at an end: read it, and say what follows from it.
    fn serve(&mut self, place: usize, scratch: &mut [u8]) -> Result<(), String> {
        // An event may be left of a connection that ended a moment ago.
        let Some(end) = &mut self.ends[place] else { return Ok(()) };
        end.send(&self.poll, place, &[])?;
        let read = match end.stream.read(scratch) {
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error.to_string()),
        };
        if read == 0 {
            return self.lose(place);
        }
        let found = end.messages.take(&scratch[..read])?;
        match &mut end.side {
            Side::Upstream => {
                for _ in 0..found.complete {
                    self.tally.forwarded += 1;
                    end.send(&self.poll, place, ANSWER)?;
                }
                Ok(())
            }
            Side::Client(_) if found.complete == 0 => Ok(()),
            Side::Client(sent) => {
                let sent = sent.take().ok_or("an answer that nobody asked for")?;
                self.open -= 1;
                self.tally.latencies.add(sent.elapsed().as_nanos() as u64);
                self.tally.answers += 1;
                *self.tally.statuses.entry(found.status).or_default() += 1;
                if found.closes { self.lose(place) } else { self.send_next(place) }
            }
        }
    }

    /// A connection has ended; one of ours is replaced.
    fn lose(&mut self, place: usize) -> Result<(), String> {
        let Some(end) = self.ends[place].take() else { return Ok(()) };
        self.free.push(place);
        match end.side {
            Side::Upstream => Ok(()),
            Side::Client(Some(_)) => Err("the proxy ended a connection instead of answering".into()),
            Side::Client(None) => {
                self.tally.reconnects += 1;
                self.open_client()
            }
        }
    }

    fn report(&self) -> String {
        let Tally { started, cpu: before, statuses, answers, forwarded, reconnects, latencies, idle } = &self.tally;
        let seconds = started.elapsed().as_secs_f64();
        let after = Cpu::now(&self.options.processes);
        let (tested, own) = (after.tested - before.tested, after.own - before.own);
        let others = after.machine.saturating_sub(before.machine).saturating_sub(tested + own) as f64 / 1e9 / seconds;
        let statuses: Vec<String> = statuses.iter().map(|(status, count)| format!("\"{status}\": {count}")).collect();
        format!(
            "{{\"answers\": {answers}, \"statuses\": {{{}}}, \"forwarded\": {forwarded}, \"reconnects\": {reconnects}, \
             \"seconds\": {seconds:.3}, \"per_second\": {:.0}, \"cpu_us\": {:.3}, \"tested_cores\": {:.3}, \"driver_busy\": {:.3}, \
             \"other_cores\": {others:.3}, \"p50_us\": {:.1}, \"p99_us\": {:.1}, \"peak_kib\": {}}}",
            statuses.join(", "),
            *answers as f64 / seconds,
            tested as f64 / 1e3 / (*answers).max(1) as f64,
            tested as f64 / 1e9 / seconds,
            1.0 - idle.as_secs_f64() / seconds,
            latencies.quantile(0.5),
            latencies.quantile(0.99),
            cost::peak_memory(&self.options.processes),
        )
    }
}

impl End {
    /// Sends behind what is still unsent.
    fn send(&mut self, poll: &std::os::fd::OwnedFd, place: usize, bytes: &[u8]) -> Result<(), String> {
        if self.unsent.is_empty() && bytes.is_empty() {
            return Ok(());
        }
        let waited = !self.unsent.is_empty();
        self.unsent.extend_from_slice(if waited { bytes } else { &[] });
        let pending = if waited { self.unsent.as_slice() } else { bytes };
        let sent = match self.stream.write(pending) {
            Ok(sent) => sent,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            // The read that follows says that the connection has ended.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let rest = pending[sent..].to_vec();
        self.unsent = rest;
        let waits = !self.unsent.is_empty();
        if waits != waited {
            let flags = if waits { epoll::EventFlags::IN | epoll::EventFlags::OUT } else { epoll::EventFlags::IN };
            epoll::modify(poll, &self.stream, epoll::EventData::new_u64(place as u64), flags).map_err(told)?;
        }
        Ok(())
    }
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}
