//! Stands between a client and the gateway, passes every byte on, and remembers what the client sent. So a test can send the very
//! bytes of a client that it does not control once more, or change one of them.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// The relay. It lives as long as the process.
pub struct RecordingRelay {
    address: SocketAddr,
    /// What each connection sent.
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl RecordingRelay {
    /// A relay to this address.
    pub fn to(gateway: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port on loopback");
        let address = listener.local_addr().expect("an address");
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(gateway).expect("the gateway listens");
                let number = {
                    let mut sent = record.lock().expect("the record");
                    sent.push(Vec::new());
                    sent.len() - 1
                };
                let record = Arc::clone(&record);
                let (client_in, server_out) = (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
                thread::spawn(move || {
                    pass_on(client_in, server_out, |bytes| record.lock().expect("the record")[number].extend_from_slice(bytes));
                });
                thread::spawn(move || pass_on(server, client, |_| {}));
            }
        });
        Self { address, sent }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Every request that passed, byte for byte. Fails when one of them came in chunks or did not come whole.
    pub fn requests(&self) -> Vec<Vec<u8>> {
        let sent = self.sent.lock().expect("the record");
        sent.iter().flat_map(|bytes| split(bytes)).collect()
    }
}

/// Passes on until one side has ended. What is kept is kept before the other side can answer it.
fn pass_on(mut from: TcpStream, mut to: TcpStream, mut keep: impl FnMut(&[u8])) {
    let mut chunk = [0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut chunk) {
        keep(&chunk[..read]);
        if to.write_all(&chunk[..read]).is_err() {
            break;
        }
    }
    // The other side may have gone first.
    let _ = to.shutdown(Shutdown::Write);
}

fn split(mut bytes: &[u8]) -> Vec<Vec<u8>> {
    let mut requests = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head") + 4;
        let head = std::str::from_utf8(&bytes[..end]).expect("a head in ASCII").to_ascii_lowercase();
        assert!(!head.contains("\r\ntransfer-encoding:"), "a client sent chunks: {head}");
        let length = head.split("\r\ncontent-length:").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.map_or(0, |text| text.trim().parse().expect("a length"));
        assert!(bytes.len() >= end + length, "a body did not come whole: {head}");
        let (request, rest) = bytes.split_at(end + length);
        requests.push(request.to_vec());
        bytes = rest;
    }
    requests
}
