//! An upgraded connection: bytes in both directions until one side ends, the credential ends, or the gateway stops.

use std::rc::Rc;
use std::time::Duration;

use countersign_core::id::SessionId;
use countersign_core::now::UnixMillis;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::sync::watch;

use crate::listen::Stage;
use crate::worker::Worker;

/// How often a tunnel asks whether its session has ended.
const RECHECK: Duration = Duration::from_secs(1);
/// Bytes in flight in each direction.
const BUFFER: usize = 16 * 1024;

/// What ends a tunnel.
pub struct Lease {
    /// When the credential stops being good.
    pub expires: Option<UnixMillis>,
    /// The sessions that must not have ended.
    pub sessions: Vec<SessionId>,
}

/// Carries bytes until the first of: an end, the lease, the drain deadline.
pub async fn run(worker: Rc<Worker>, client: Upgraded, upstream: Upgraded, lease: Lease, mut stage: watch::Receiver<Stage>) {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let copy = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
    tokio::select! {
        // Ends like a broken connection; there is nobody to tell.
        _ = copy => {}
        () = until_over(&worker, &lease) => {}
        _ = stage.wait_for(|stage| *stage == Stage::Over) => {}
    }
}

async fn until_over(worker: &Worker, lease: &Lease) {
    loop {
        let expired = lease.expires.is_some_and(|expires| expires <= worker.now());
        let ended = lease.sessions.iter().any(|session| worker.snapshot().ended.contains(session));
        if expired || ended {
            return;
        }
        tokio::time::sleep(RECHECK).await;
    }
}
