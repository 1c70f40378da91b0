//! The way from the data threads to the control side: bounded, so that logins cannot drown the rest.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use countersign_core::code::{Code, Refusal};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// A request for the control side.
struct Errand {
    request: Request<Bytes>,
    reply: oneshot::Sender<Response<Bytes>>,
    /// Given back when it is answered, also when nobody waits for the answer any more.
    place: OwnedSemaphorePermit,
}

/// Sends requests to the control side.
#[derive(Clone)]
pub struct ControlBridge {
    errands: mpsc::UnboundedSender<Errand>,
    places: Arc<Semaphore>,
}

impl ControlBridge {
    /// The way, and its other end. At most `most` requests are on it at once: waiting or being answered.
    pub fn new(most: NonZeroUsize) -> (Self, ControlInbox) {
        let (errands, inbox) = mpsc::unbounded_channel();
        (Self { errands, places: Arc::new(Semaphore::new(most.get().min(Semaphore::MAX_PERMITS))) }, ControlInbox(inbox))
    }

    /// Has a request answered by the control side.
    ///
    /// # Errors
    /// `Overloaded` at once when too many are on the way.
    pub async fn answer(&self, request: Request<Bytes>) -> Result<Response<Bytes>, Refusal> {
        let overloaded = |_full| Refusal::from(Code::Overloaded).after(Duration::from_secs(1));
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(overloaded)?;
        let (reply, answer) = oneshot::channel();
        self.errands.send(Errand { request, reply, place }).map_err(|_ended| Refusal::from(Code::Internal))?;
        answer.await.map_err(|_gone| Code::Internal.into())
    }
}

/// The control side's end.
pub struct ControlInbox(mpsc::UnboundedReceiver<Errand>);

impl ControlInbox {
    /// Answers requests by `router` until all data threads are gone.
    pub async fn serve(mut self, router: axum::Router) {
        while let Some(Errand { request, reply, place }) = self.0.recv().await {
            let mut router = router.clone();
            tokio::spawn(async move {
                let Ok(response) = tower_service::Service::call(&mut router, request.map(axum::body::Body::from)).await;
                let (head, body) = response.into_parts();
                if let Ok(body) = body.collect().await {
                    // Nobody waits any more when the client went away.
                    let _ = reply.send(Response::from_parts(head, body.to_bytes()));
                }
                drop(place);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_being_answered_takes_a_place_until_it_is() {
        let (bridge, inbox) = ControlBridge::new(NonZeroUsize::MIN);
        let (go_on, waits) = tokio::sync::watch::channel(false);
        let slow = move || {
            let mut waits = waits.clone();
            async move { waits.wait_for(|go_on| *go_on).await.map(|_| "done").unwrap_or_default() }
        };
        tokio::spawn(inbox.serve(axum::Router::new().route("/", axum::routing::get(slow))));
        let first = tokio::spawn({
            let bridge = bridge.clone();
            async move { bridge.answer(Request::new(Bytes::new())).await }
        });
        while bridge.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = bridge.answer(Request::new(Bytes::new())).await.unwrap_err();
        assert_eq!((refused.code, refused.retry_after), (Code::Overloaded, Some(Duration::from_secs(1))));
        go_on.send(true).unwrap();
        assert_eq!(first.await.unwrap().unwrap().into_body(), "done");
        while bridge.places.available_permits() == 0 {
            tokio::task::yield_now().await;
        }
        bridge.answer(Request::new(Bytes::new())).await.unwrap();
    }
}
