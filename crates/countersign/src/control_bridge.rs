//! The way from the data threads to the control side: bounded, so that logins cannot drown the rest.

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{mpsc, oneshot};

/// A request for the control side, with its body, and where the answer goes.
type Errand = (Request<Bytes>, oneshot::Sender<Response<Bytes>>);

/// Sends requests to the control side.
#[derive(Clone)]
pub struct ControlBridge(mpsc::Sender<Errand>);

impl ControlBridge {
    /// How many requests may wait.
    const MOST_WAITING: usize = 1024;

    /// The way, and its other end.
    pub fn new() -> (Self, ControlInbox) {
        let (sender, receiver) = mpsc::channel(Self::MOST_WAITING);
        (Self(sender), ControlInbox(receiver))
    }

    /// Has a request answered by the control side.
    ///
    /// # Errors
    /// `Overloaded` when too many are waiting.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((request, reply)).map_err(|_full| Refusal::from(Code::Overloaded).after(std::time::Duration::from_secs(1)))?;
        answer.await.map_err(|_gone| Code::Internal.into())
    }
}

/// The control side's end.
pub struct ControlInbox(mpsc::Receiver<Errand>);

impl ControlInbox {
    /// Answers requests by `router` until all data threads are gone.
    pub async fn serve(mut self, router: axum::Router) {
        while let Some((request, reply)) = self.0.recv().await {
            let mut router = router.clone();
            tokio::spawn(async move {
                let Ok(response) = tower_service::Service::call(&mut router, request.map(axum::body::Body::from)).await;
                let (head, body) = response.into_parts();
                if let Ok(body) = body.collect().await {
                    // Nobody waits any more when the client went away.
                    let _ = reply.send(Response::from_parts(head, body.to_bytes()));
                }
            });
        }
    }
}
