//! One connection from a client: its gate, its requests, its end.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use countersign_core::request_view::Connection;
use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use tokio::net::TcpStream;
use tokio::sync::watch;

use crate::edge_proxy;
use crate::head_gate::{GateState, HeadGate};
use crate::reserved::ReservedPaths;
use crate::worker::Worker;

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
    /// Turns true when whatever is still under way must end.
    pub drained: watch::Receiver<bool>,
    gate: Arc<GateState>,
}

impl Open {
    /// Whether no request may follow on this connection.
    pub fn ends_after_this(&self) -> bool {
        self.gate.ends_after_this()
    }

    /// The upstream has switched protocols: the gate lets everything through from now on.
    pub fn upgraded(&self) {
        self.gate.upgraded();
    }

    /// The upstream has not switched protocols: what follows is a request.
    pub fn not_upgraded(&self) {
        self.gate.not_upgraded();
    }
}
