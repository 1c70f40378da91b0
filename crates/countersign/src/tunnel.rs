//! An upgraded connection: bytes in both directions until one side ends, the credential ends, or the gateway stops.

use std::rc::Rc;
use std::time::Duration;

use countersign_core::decide::Permit;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional_with_sizes;
use tokio::sync::watch;

use crate::listen::Stage;
use crate::worker::Worker;

/// How often a tunnel asks whether its credentials still stand.
const RECHECK: Duration = Duration::from_secs(1);
/// Bytes in flight in each direction.
const BUFFER: usize = 16 * 1024;

/// Carries bytes until the first of: an end, the end of what let it in, the drain deadline.
pub async fn run(worker: Rc<Worker>, client: Upgraded, upstream: Upgraded, permit: Permit, mut stage: watch::Receiver<Stage>) {
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let copy = copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER);
    tokio::select! {
        // Ends like a broken connection; there is nobody to tell.
        _ = copy => {}
        () = until_over(&worker, &permit) => {}
        _ = stage.wait_for(|stage| *stage == Stage::Over) => {}
    }
}

async fn until_over(worker: &Worker, permit: &Permit) {
    while worker.snapshot().still_lets_in(permit, worker.now()) {
        tokio::time::sleep(RECHECK).await;
    }
}
