//! Listening: one socket, one acceptor, one data thread per core.
//!
//! The acceptor hands each connection to the thread with the fewest; from then on nothing of it crosses a thread. There is
//! one socket on purpose: two `SO_REUSEPORT` sockets could be bound by two processes without either noticing.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use countersign_core::fresh::Fresh;
use tokio::runtime::LocalOptions;
use tokio::sync::{mpsc, watch};

use crate::ambient::Entropy;
use crate::config::Listener;
use crate::connection;
use crate::worker::{Shared, Worker};

/// How often a data thread looks for connections and requests that take too long.
pub const SWEEP: Duration = Duration::from_millis(500);

/// How far the process is on its way to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Taking requests.
    Running,
    /// Finishing what is under way; no new connections, no keep-alive.
    Draining,
    /// Out of time: whatever is left is cut.
    Over,
}

/// A data thread as the acceptor sees it.
struct Thread {
    arrivals: mpsc::UnboundedSender<(TcpStream, SocketAddr)>,
    open: Arc<AtomicUsize>,
}

/// Binds a listener's address.
///
/// # Errors
/// When the address cannot be bound; the error says which.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let said = |error: io::Error| {
        let advice = match error.kind() {
            io::ErrorKind::AddrInUse => {
                "; another program does: end it, or choose another address (--listen, --admin-listen, or `address` in the configuration)"
            }
            _ => "",
        };
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}{advice}"))
    };
    let listener = TcpListener::bind(address).map_err(said)?;
    listener.set_nonblocking(true).map_err(said)?;
    Ok(listener)
}

/// Starts the data threads and the acceptor. They end when `stage` says so.
///
/// # Errors
/// When a thread cannot be started or the system has no randomness.
pub fn start(
    socket: TcpListener,
    listener: &Listener,
    shared: &Shared,
    entropy: &dyn Entropy,
    stage: &watch::Receiver<Stage>,
) -> io::Result<Vec<JoinHandle<()>>> {
    let mut threads = Vec::new();
    let mut handles = Vec::new();
    for number in 0..shared.config.threads.get() {
        let (arrivals, inbox) = mpsc::unbounded_channel();
        let open = Arc::new(AtomicUsize::new(0));
        let (seed, key) = (entropy.fresh::<10>().map_err(io::Error::other)?, entropy.fresh::<32>().map_err(io::Error::other)?);
        let task = DataThread { shared: shared.clone(), listener: listener.clone(), open: Arc::clone(&open), inbox, stage: stage.clone() };
        handles.push(std::thread::Builder::new().name(format!("data-{number}")).spawn(move || task.run(seed, key))?);
        threads.push(Thread { arrivals, open });
    }
    let (most, stage) = (shared.config.limits.connections, stage.clone());
    handles.push(std::thread::Builder::new().name("accept".into()).spawn(move || {
        if let Err(error) = accept(socket, &threads, most, stage) {
            tracing::error!(%error, "the acceptor ended");
        }
    })?);
    Ok(handles)
}

/// Accepts until draining begins. Dropping `threads` then tells the data threads that nothing more arrives.
fn accept(socket: TcpListener, threads: &[Thread], most: usize, mut stage: watch::Receiver<Stage>) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpListener::from_std(socket)?;
        loop {
            let accepted = tokio::select! {
                accepted = socket.accept() => accepted,
                _ = stage.wait_for(|stage| *stage > Stage::Running) => return Ok(()),
            };
            // Back to a plain socket: its thread registers it with a runtime of its own.
            let (stream, peer) = match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors, most likely: the connection stays in the backlog for a moment.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let total: usize = threads.iter().map(|thread| thread.open.load(Ordering::Relaxed)).sum();
            let Some(least) = threads.iter().min_by_key(|thread| thread.open.load(Ordering::Relaxed)) else { return Ok(()) };
            if total >= most {
                tracing::warn!(most, "too many connections; closing a new one");
                continue;
            }
            least.open.fetch_add(1, Ordering::Relaxed);
            if least.arrivals.send((stream, peer)).is_err() {
                return Err(io::Error::other("a data thread has ended"));
            }
        }
    })
}

/// What a data thread starts with.
struct DataThread {
    shared: Shared,
    listener: Listener,
    open: Arc<AtomicUsize>,
    inbox: mpsc::UnboundedReceiver<(TcpStream, SocketAddr)>,
    stage: watch::Receiver<Stage>,
}

impl DataThread {
    fn run(self, seed: Fresh<10>, key: Fresh<32>) {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => return tracing::error!(%error, "a data thread cannot start"),
        };
        runtime.block_on(self.serve(seed, key));
    }

    async fn serve(mut self, seed: Fresh<10>, key: Fresh<32>) {
        let worker = Worker::new(self.shared, Arc::clone(&self.open), seed, key);
        let connections = connection::Connections::new(&self.listener, &worker.shared.config, self.stage.clone());
        let mut sweep = tokio::time::interval(SWEEP);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut arriving = true;
        loop {
            tokio::select! {
                arrival = self.inbox.recv(), if arriving => match arrival {
                    Some((stream, peer)) => connections.open(&worker, stream, peer),
                    None => arriving = false,
                },
                _ = sweep.tick() => {
                    connections.sweep(&worker);
                    worker.uses.borrow_mut().hand_over();
                    let now = Instant::now();
                    worker.upstreams.values().for_each(|upstream| upstream.sweep(now));
                }
                Ok(()) = self.stage.changed() => connections.sweep(&worker),
            }
            let stage = *self.stage.borrow();
            let done = self.open.load(Ordering::Relaxed) == 0;
            if stage == Stage::Over || (stage == Stage::Draining && !arriving && done) {
                return;
            }
        }
    }
}
