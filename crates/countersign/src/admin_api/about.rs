//! The gateway about itself, and about who asks.

use serde_json::json;

use super::call::{Answer, Call, Failure};
use super::guard::Peer;

/// `GET /status`
pub async fn status(call: Call) -> Result<Answer, Failure> {
    let stored = call.control.store.revision().await?;
    let in_force = call.control.publisher.live().revision;
    Answer::ok(&json!({
        "version": env!("CARGO_PKG_VERSION"),
        "time": crate::wire::time(call.now),
        "revision": {"stored": stored.0, "in_force": in_force.0},
    }))
}

/// `GET /client-address`: from where this request came, and why that is believed.
pub async fn client_address(call: Call) -> Result<Answer, Failure> {
    Answer::ok(&match call.peer {
        Peer::Tcp { peer, .. } => json!({
            "address": peer.ip().to_canonical().to_string(),
            "peer": peer.to_string(),
            "why": "the other end of the connection; no proxy is trusted at the admin listener",
        }),
        Peer::Local { uid } => json!({"address": null, "peer": format!("uid {uid}"), "why": "the local socket has no address"}),
    })
}
