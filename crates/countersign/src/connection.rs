//! One connection from a client: its gate, its requests, its end.

use std::cell::{Cell, RefCell};
use std::future::Future as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use countersign_core::decide::Permit;
use countersign_core::forwarded::Proxies;
use countersign_core::head::HeadLimits;
use countersign_core::request_view::Connection;
use http::{HeaderValue, Response};
use hyper::service::service_fn;
use tokio::sync::watch;

use crate::body::AnswerBody;
use crate::config::{Config, Limits, Listener};
use crate::edge_proxy;
use crate::head_gate::{self, Answer, GateState, HeadGate, Wait};
use crate::listen::Stage;
use crate::problem;
use crate::reserved::ReservedPaths;
use crate::upstream::Progress;
use crate::worker::Worker;

/// How long a client may take to read a last answer and close.
const CLOSING_TIME: Duration = Duration::from_secs(5);

/// From when on an answer is a stream that ends with what let it in; a slow answer to an ordinary request is not cut.
const LONG_STREAM: Duration = Duration::from_secs(60);

/// What hyper takes without being told.
const HYPERS_MOST_HEADERS: usize = 100;

/// The connections of one data thread.
pub struct Connections {
    template: Connection,
    limits: Limits,
    reserved: Rc<ReservedPaths>,
    stage: watch::Receiver<Stage>,
    open: RefCell<Vec<Weak<Open>>>,
}

/// An open connection, as its requests see it.
pub struct Open {
    /// What requests are judged by.
    pub connection: Connection,
    /// The canonical address of the peer.
    pub peer_address: IpAddr,
    /// The same for `X-Forwarded-For`.
    pub peer_header: HeaderValue,
    /// The paths that are answered by the control side.
    pub reserved: Rc<ReservedPaths>,
    /// How far the process is on its way to its end.
    pub stage: watch::Receiver<Stage>,
    gate: Arc<GateState>,
    /// What the gate was waiting for when it was last looked at, and since when.
    watched: Cell<(u32, Instant)>,
    /// What let the answer in that is under way, and when the sweep first saw it.
    streams: RefCell<Option<(Permit, Option<Instant>)>>,
    /// The request that is being forwarded.
    forwarded: RefCell<Option<Progress>>,
    order: Cell<Order>,
    waker: RefCell<Option<Waker>>,
}

/// What a connection was told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Serve,
    /// End after the request under way.
    Finish,
    /// End now.
    Cut,
}

impl Connections {
    /// No connections yet.
    pub fn new(listener: &Listener, config: &Config, stage: watch::Receiver<Stage>) -> Self {
        Self {
            template: Connection {
                peer: listener.address,
                public_scheme: listener.public_scheme,
                proxies: Arc::new(Proxies { trusted: listener.trusted_proxies.clone(), family: listener.client_address_from.family() }),
            },
            limits: config.limits.clone(),
            reserved: Rc::new(ReservedPaths::new(&config.tokens.paths)),
            stage,
            open: RefCell::new(Vec::new()),
        }
    }

    /// Serves a new connection in a task of its own.
    pub fn open(&self, worker: &Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
        let counted = Counted(Rc::clone(worker));
        let stream = match prepare(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%error, "a connection ended before it began"),
        };
        let peer_address = peer.ip().to_canonical();
        let gate = Arc::new(GateState::new());
        let open = Rc::new(Open {
            connection: Connection { peer, ..self.template.clone() },
            peer_address,
            peer_header: HeaderValue::from_str(&peer_address.to_string()).unwrap_or_else(|_| HeaderValue::from_static("unknown")),
            reserved: Rc::clone(&self.reserved),
            stage: self.stage.clone(),
            gate: Arc::clone(&gate),
            watched: Cell::new((0, Instant::now())),
            streams: RefCell::new(None),
            forwarded: RefCell::new(None),
            order: Cell::new(if *self.stage.borrow() == Stage::Running { Order::Serve } else { Order::Finish }),
            waker: RefCell::new(None),
        });
        self.open.borrow_mut().push(Rc::downgrade(&open));
        let limits = HeadLimits { bytes: self.limits.head_bytes, headers: self.limits.headers };
        let ids = worker.request_ids().clone();
        let gated = HeadGate::new(stream, limits, gate, move |code| problem::raw_http1(code, &ids.next()));
        tokio::task::spawn_local(serve(counted, open, gated, self.limits.headers));
    }

    /// Ends connections that take too long, and all of them when the process stops.
    pub fn sweep(&self, worker: &Worker) {
        let (stage, now) = (*self.stage.borrow(), Instant::now());
        self.open.borrow_mut().retain(|open| {
            let Some(open) = open.upgrade() else { return false };
            open.check_progress(now);
            match stage {
                Stage::Running => {}
                Stage::Draining => open.tell(Order::Finish),
                Stage::Over => {
                    open.tell(Order::Cut);
                    return true;
                }
            }
            open.check_time(&self.limits, now);
            open.check_permit(worker, now);
            true
        });
    }
}

fn prepare(stream: TcpStream) -> std::io::Result<tokio::net::TcpStream> {
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    tokio::net::TcpStream::from_std(stream)
}

/// Takes the connection off the thread's count when it ends, however it ends.
struct Counted(Rc<Worker>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn serve(counted: Counted, open: Rc<Open>, gated: HeadGate<tokio::net::TcpStream>, most_headers: usize) {
    let worker = Rc::clone(&counted.0);
    let seen = Rc::clone(&open);
    let service = service_fn(move |request| edge_proxy::handle(Rc::clone(&worker), Rc::clone(&seen), request));
    let mut server = head_gate::server();
    // The gate has counted them. Hyper's own count is only raised where it must be, as that costs it an allocation.
    if most_headers > HYPERS_MOST_HEADERS {
        server.max_headers(most_headers);
    }
    let mut served = pin!(server.serve_connection(gated, service).with_upgrades());
    let mut obeyed = Order::Serve;
    let ended = std::future::poll_fn(|context| {
        let mut waker = open.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        drop(waker);
        let order = open.order.get();
        if order != obeyed {
            obeyed = order;
            match order {
                Order::Serve => {}
                Order::Finish => served.as_mut().graceful_shutdown(),
                Order::Cut => return Poll::Ready(Ok(())),
            }
        }
        served.as_mut().poll(context)
    })
    .await;
    if let Err(error) = ended {
        tracing::debug!(peer = %open.connection.peer, %error, "a connection ended early");
    }
}

impl Open {
    /// The answer of the exchange under way, tied to the gate.
    pub fn answer(&self, response: Response<AnswerBody>) -> Response<Answer<AnswerBody>> {
        self.gate.answer(response)
    }

    /// An answer is under way that this permit let in.
    pub fn streams_under(&self, permit: Permit) {
        *self.streams.borrow_mut() = Some((permit, None));
    }

    /// A request is being forwarded: the sweep tells it when the upstream takes too long.
    pub fn watch(&self, progress: &Progress) {
        *self.forwarded.borrow_mut() = Some(progress.clone());
    }

    fn check_progress(&self, now: Instant) {
        if self.forwarded.borrow().as_ref().is_some_and(|progress| progress.is_late(now)) {
            self.forwarded.take();
            self.wake();
        }
    }

    /// No answer is under way.
    pub fn forget_permit(&self) {
        self.streams.take();
    }

    /// Cuts an answer that has been under way for long when what let it in no longer stands.
    fn check_permit(&self, worker: &Worker, now: Instant) {
        if !matches!(self.gate.waits_for(), Wait::Answer | Wait::Stream | Wait::Body | Wait::Reader) {
            self.streams.take();
            return;
        }
        let mut streams = self.streams.borrow_mut();
        let Some((permit, since)) = streams.as_mut() else { return };
        let since = *since.get_or_insert(now);
        if now.saturating_duration_since(since) >= LONG_STREAM && !worker.snapshot().still_lets_in(permit, worker.now()) {
            self.tell(Order::Cut);
        }
    }

    fn tell(&self, order: Order) {
        if self.order.replace(order) != order {
            self.wake();
        }
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow().as_ref() {
            waker.wake_by_ref();
        }
    }

    /// Ends the connection if what it waits for takes too long. Called now and then: limits are held to within that.
    fn check_time(&self, limits: &Limits, now: Instant) {
        let mark = self.gate.mark();
        let (seen, since) = self.watched.get();
        if mark != seen {
            self.watched.set((mark, now));
            return;
        }
        let most = match self.gate.waits_for() {
            Wait::Idle => limits.idle_time,
            Wait::Head => limits.head_time,
            Wait::Body | Wait::Stream | Wait::Reader => limits.body_idle_time,
            Wait::Close => CLOSING_TIME,
            // Most answers are there before a client could be gone.
            Wait::Answer if self.gate.watch_client() => return self.wake(),
            Wait::Answer | Wait::Tunnel => return,
        };
        if now.saturating_duration_since(since) >= most {
            match self.gate.waits_for() {
                // Who does not read cannot be told anything.
                Wait::Close | Wait::Reader => self.tell(Order::Cut),
                _ => self.gate.time_out(),
            }
        }
    }
}
