//! A gate and a real hyper server on a wire that is moved by hand, and what must be true of them for any input.
//!
//! The fuzz target `head_gate` includes this file as well, so it names nothing that is private to the gate.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use bytes::Bytes;
use countersign_core::code::Code;
use countersign_core::head::{BodyLength, HeadLimits, HeadScanner, Scan};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::UPGRADE;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::head_gate::{GateState, HeadGate, server};

/// One side of a connection. Each piece is one read of the server.
#[derive(Default)]
pub struct Wire {
    pieces: VecDeque<Vec<u8>>,
    ended: bool,
    written: Vec<u8>,
    shut: bool,
    /// How many more bytes the server can write before it has to wait; `None` is no limit.
    room: Option<usize>,
    waker: Option<Waker>,
}

/// The server's end of a wire.
#[derive(Clone, Default)]
pub struct End(Arc<Mutex<Wire>>);

impl End {
    fn with<R>(&self, act: impl FnOnce(&mut Wire) -> R) -> R {
        act(&mut self.0.lock().unwrap())
    }

    fn wake(&self) {
        if let Some(waker) = self.with(|wire| wire.waker.take()) {
            waker.wake();
        }
    }

    /// The client sends something.
    pub fn send(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.with(|wire| wire.pieces.push_back(bytes.to_vec()));
            self.wake();
        }
    }

    /// The client sends no more.
    pub fn end(&self) {
        self.with(|wire| wire.ended = true);
        self.wake();
    }

    /// The client reads no more than `room` bytes further, or everything.
    pub fn read_only(&self, room: Option<usize>) {
        self.with(|wire| wire.room = room);
        self.wake();
    }

    /// All that the server wrote, as text.
    pub fn written(&self) -> String {
        self.with(|wire| String::from_utf8_lossy(&wire.written).into_owned())
    }
}

impl AsyncRead for End {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| match wire.pieces.pop_front() {
            Some(mut piece) => {
                let rest = piece.split_off(piece.len().min(into.remaining()));
                into.put_slice(&piece);
                if !rest.is_empty() {
                    wire.pieces.push_front(rest);
                }
                Poll::Ready(Ok(()))
            }
            None if wire.ended => Poll::Ready(Ok(())),
            None => {
                wire.waker = Some(context.waker().clone());
                Poll::Pending
            }
        })
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|wire| {
            assert!(!wire.shut, "written after the end");
            let many = wire.room.unwrap_or(usize::MAX).min(bytes.len());
            if many == 0 {
                wire.waker = Some(context.waker().clone());
                return Poll::Pending;
            }
            wire.room = wire.room.map(|room| room - many);
            wire.written.extend_from_slice(&bytes[..many]);
            Poll::Ready(Ok(many))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|wire| wire.shut = true);
        Poll::Ready(Ok(()))
    }
}

/// A waker that remembers.
#[derive(Default)]
pub struct Bell(AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Bell {
    /// Polls for as long as somebody rings. `None` when all wait.
    pub fn drive<T>(self: &Arc<Self>, mut future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Option<T> {
        let waker = Waker::from(Arc::clone(self));
        self.0.store(true, Ordering::SeqCst);
        for _ in 0..100_000 {
            if !self.0.swap(false, Ordering::SeqCst) {
                return None;
            }
            if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                return Some(value);
            }
        }
        panic!("the connection spins");
    }
}

/// A request as the service saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its method.
    pub method: String,
    /// Its path and query.
    pub target: String,
    /// How many bytes its body had; `None` when it broke off.
    pub body: Option<u64>,
}

/// What is sent, and how.
#[derive(Clone)]
pub struct Script {
    /// What the client sends in one piece each.
    pub pieces: Vec<Vec<u8>>,
    /// The service answers only when all else waits.
    pub late: bool,
    /// The client reads only when all else waits.
    pub stalls: bool,
    /// The service answers without reading the body.
    pub early: bool,
    /// The service grants upgrades.
    pub grants: bool,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "late: {}, stalls: {}, early: {}, grants: {}, pieces:", self.late, self.stalls, self.early, self.grants)?;
        self.pieces.iter().try_for_each(|piece| write!(f, " {:?}", String::from_utf8_lossy(piece)))
    }
}

/// How the gate answers a refused head in these tests.
pub fn render(code: Code) -> Vec<u8> {
    format!("HTTP/1.1 {} Refused\r\nConnection: close\r\nContent-Length: 0\r\nX-Code: {code}\r\n\r\n", code.status()).into_bytes()
}

/// What ought to happen, read off the bytes without any connection.
#[derive(Debug, Default, PartialEq, Eq)]
struct Expected {
    /// The requests, and whether each one's body is whole. The body of a chunked one is not looked into.
    requests: Vec<(String, String, Option<BodyLength>)>,
    refusal: Option<Code>,
    /// What follows a granted upgrade.
    tunnel: Option<Vec<u8>>,
}

impl Expected {
    fn of(mut bytes: &[u8], grants: bool, limits: HeadLimits) -> Self {
        let mut expected = Self::default();
        loop {
            let head = match HeadScanner::new(limits).scan(bytes) {
                Scan::Partial => return expected,
                Scan::Refuse(code) => {
                    expected.refusal = Some(code);
                    return expected;
                }
                Scan::Complete(head) => head,
            };
            let text = std::str::from_utf8(&bytes[..head.length]).expect("a good head is ASCII");
            let mut words = text.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let target = match target.split_once("://") {
                Some((_, rest)) if !target.starts_with('/') => rest.split_at(rest.find('/').unwrap()).1,
                _ => target,
            };
            bytes = &bytes[head.length..];
            let whole = match head.body {
                BodyLength::Known(length) => usize::try_from(length).is_ok_and(|length| length <= bytes.len()),
                BodyLength::None | BodyLength::Chunked => true,
            };
            expected.requests.push((method.to_owned(), target.to_owned(), whole.then_some(head.body)));
            if head.upgrade && grants {
                expected.tunnel = Some(bytes.to_vec());
                return expected;
            }
            match head.body {
                _ if !whole || ends(text, head.version_10) => return expected,
                BodyLength::Chunked => return expected,
                BodyLength::Known(length) => bytes = &bytes[length as usize..],
                BodyLength::None => {}
            }
        }
    }
}

/// Whether the client asked for the connection to end behind this request, as hyper reads it.
fn ends(head: &str, version_10: bool) -> bool {
    let mut options = head
        .split("\r\n")
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .flat_map(|(_, value)| value.split(','))
        .map(|option| option.trim().to_ascii_lowercase())
        .collect::<Vec<_>>();
    options.retain(|option| option == "close" || option == "keep-alive");
    options.iter().any(|option| option == "close") || (version_10 && options.is_empty())
}

/// Sends the script through a gate to a hyper server and compares what its service sees with what the bytes say.
///
/// # Panics
///
/// When the gate and hyper disagree about where a request begins or ends.
pub fn agree(script: &Script, limits: HeadLimits) {
    let all = script.pieces.concat();
    let expected = Expected::of(&all, script.grants, limits);
    let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
    let tick = Arc::new(tokio::sync::Notify::new());
    let state = Arc::new(GateState::new());
    let wire = End::default();
    if script.stalls {
        wire.read_only(Some(0));
    }
    let upgrade = Arc::new(Mutex::new(None::<OnUpgrade>));
    let service = {
        let (seen, tick, state, upgrade) = (Arc::clone(&seen), Arc::clone(&tick), Arc::clone(&state), Arc::clone(&upgrade));
        let Script { late, early, grants, .. } = *script;
        service_fn(move |mut request: Request<Incoming>| {
            let (seen, tick, state, upgrade) = (Arc::clone(&seen), Arc::clone(&tick), Arc::clone(&state), Arc::clone(&upgrade));
            async move {
                let mut response = Response::new(Full::new(Bytes::from_static(b"good")));
                if grants && request.headers().contains_key(UPGRADE) {
                    *upgrade.lock().unwrap() = Some(hyper::upgrade::on(&mut request));
                    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                    *response.body_mut() = Full::default();
                }
                let (head, body) = request.into_parts();
                let target = head.uri.path_and_query().map_or("/", |target| target.as_str()).to_owned();
                let body = if early { None } else { body.collect().await.ok().map(|body| body.to_bytes().len() as u64) };
                seen.lock().unwrap().push(Seen { method: head.method.to_string(), target, body });
                if late {
                    state.watch_client();
                    tick.notified().await;
                }
                Ok::<_, Infallible>(state.answer(response))
            }
        })
    };
    let gate = HeadGate::new(wire.clone(), limits, Arc::clone(&state), render);
    let mut connection = pin!(server().serve_connection(gate, service).with_upgrades());
    let bell = Arc::new(Bell::default());
    let mut over = false;
    let mut settle = |connection: &mut Pin<&mut _>| {
        // A few more rounds than there can be requests under way.
        for _ in 0..3 {
            over = over || bell.drive(Pin::as_mut(connection)).is_some();
            if script.late {
                tick.notify_waiters();
            }
            if script.stalls {
                wire.read_only(Some(64 * 1024));
            }
        }
        over
    };
    for piece in &script.pieces {
        wire.send(piece);
        settle(&mut connection);
    }
    while !settle(&mut connection) {
        let before = (seen.lock().unwrap().len(), wire.written().len());
        settle(&mut connection);
        if before == (seen.lock().unwrap().len(), wire.written().len()) {
            wire.end();
            // The end must always be noticed, whatever came before.
            for _ in 0..10 {
                if settle(&mut connection) {
                    break;
                }
            }
            assert!(settle(&mut connection), "the connection does not end after the client: {:?}", state.waits_for());
        }
    }
    wire.end();
    let seen = seen.lock().unwrap().clone();
    let written = wire.written();
    let asked = expected.requests.iter().map(|(method, target, _)| (method.as_str(), target.as_str())).collect::<Vec<_>>();
    let served = seen.iter().map(|seen| (seen.method.as_str(), seen.target.as_str())).collect::<Vec<_>>();
    assert_eq!(state.released() as usize, served.len(), "heads let through, requests served: {served:?}");
    // Who does not read a body may lose what follows it.
    if script.early {
        assert!(asked.starts_with(&served), "asked: {asked:?}, served: {served:?}");
    } else {
        assert_eq!(asked, served);
        for (seen, (_, _, body)) in seen.iter().zip(&expected.requests) {
            match body {
                Some(BodyLength::None) => assert_eq!(seen.body, Some(0)),
                Some(BodyLength::Known(length)) => assert_eq!(seen.body, Some(*length)),
                Some(BodyLength::Chunked) => {}
                None => assert_eq!(seen.body, None, "a body that broke off was taken for whole"),
            }
        }
    }
    if served.len() == asked.len() {
        match expected.refusal {
            // An early answer may have ended the connection in the middle of a body.
            Some(_) if script.early && !written.contains("\r\nX-Code: ") => {}
            Some(code) => assert!(written.ends_with(&String::from_utf8(render(code)).unwrap()), "the refusal {code} is missing: {written}"),
            None => assert!(!written.contains("\r\nX-Code: "), "refused without reason: {written}"),
        }
        if let Some(tunnel) = expected.tunnel {
            let upgrade = upgrade.lock().unwrap().take().expect("the service took the upgrade");
            let mut read = pin!(async {
                let mut bytes = Vec::new();
                TokioIo::new(upgrade.await.expect("upgraded")).read_to_end(&mut bytes).await.expect("readable");
                bytes
            });
            assert_eq!(bell.drive(read.as_mut()), Some(tunnel), "what came through the tunnel");
        }
    }
    // An answer of hyper's own would be a head that it reads differently.
    let whole = seen.iter().filter(|seen| seen.body.is_some()).count();
    let good = written.matches("HTTP/1.1 200 OK\r\n").count() + written.matches("HTTP/1.0 200 OK\r\n").count();
    let switched = written.matches("HTTP/1.1 101 ").count();
    let all_answers =
        written.matches("HTTP/1.").count() - written.matches("HTTP/1.1 100 ").count() - written.matches("\r\nX-Code: ").count();
    assert!(good + switched >= whole, "{whole} whole requests, {good} answers: {written}");
    assert_eq!(good + switched, all_answers, "{written}");
}

/// Runs `test` where timers can be made. They never ring: nothing here moves the time.
pub fn with_timers<R>(test: impl FnOnce() -> R) -> R {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let _entered = runtime.enter();
    test()
}
