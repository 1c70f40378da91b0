//! The head gate and hyper never disagree about where a request ends.
//!
//! The first byte says how the input is cut; the rest is what a client sends. The scan alone says which requests there are;
//! hyper behind the gate must call its service for exactly these, with the same method, target and body.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use countersign::head_gate::{GateState, HeadGate};
use countersign_core::code::Code;
use countersign_core::head::{BodyLength, HeadLimits, HeadScanner, Scan};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use libfuzzer_sys::fuzz_target;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const LIMITS: HeadLimits = HeadLimits { bytes: 2048, headers: 20 };

#[derive(Debug, Default, PartialEq)]
struct Message {
    method: String,
    target: String,
    /// `None`: chunked, which hyper alone reads.
    body: Option<Vec<u8>>,
}

fuzz_target!(|input: &[u8]| {
    let Some((&cut, input)) = input.split_first() else { return };
    let (expected, code) = expected(input);
    let (seen, output) = serve(input, usize::from(cut).max(1));
    assert_eq!(seen.len(), expected.len(), "{}", String::from_utf8_lossy(&output));
    for (seen, expected) in seen.iter().zip(&expected) {
        assert_eq!((&seen.method, &seen.target), (&expected.method, &expected.target));
        if expected.body.is_some() {
            assert_eq!(seen.body, expected.body);
        }
    }
    // Hyper never answers a head that the gate has passed by itself; the gate answers each that it has not.
    let own = output.windows(12).filter(|start| *start == b"HTTP/1.1 400").count();
    assert_eq!(own, 0, "{}", String::from_utf8_lossy(&output));
    if let Some(code) = code {
        assert!(output.ends_with(format!("!{code}").as_bytes()), "{}", String::from_utf8_lossy(&output));
    }
});

/// The requests in the input, by the scan alone, and the code of what follows them.
fn expected(mut input: &[u8]) -> (Vec<Message>, Option<Code>) {
    let mut messages = Vec::new();
    loop {
        let head = match HeadScanner::new(LIMITS).scan(input) {
            Scan::Partial => return (messages, None),
            Scan::Refuse(code) => return (messages, Some(code)),
            Scan::Complete(head) => head,
        };
        let (text, rest) = input.split_at(head.length);
        let text = std::str::from_utf8(text).unwrap();
        let mut words = text.split([' ', '\r']);
        let method = words.next().unwrap().to_owned();
        let target = words.next().unwrap();
        let target = target.find("://").map_or(target, |at| &target[at + 3 + target[at + 3..].find('/').unwrap()..]).to_owned();
        let target = if text.as_bytes().get(method.len() + 1) == Some(&b'/') { words_target(text) } else { target };
        let length = match head.body {
            BodyLength::Known(length) => usize::try_from(length).unwrap_or(usize::MAX),
            BodyLength::None | BodyLength::Chunked => 0,
        };
        let body = (head.body != BodyLength::Chunked).then(|| rest[..length.min(rest.len())].to_vec());
        messages.push(Message { method, target, body });
        if head.body == BodyLength::Chunked || rest.len() < length || ends(text, head.version_10) {
            return (messages, None);
        }
        input = &rest[length..];
    }
}

fn words_target(text: &str) -> String {
    text.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// Whether no request follows this one, by RFC 9112 section 9.3, as hyper reads it.
fn ends(head: &str, version_10: bool) -> bool {
    let mut keep = !version_10;
    let mut close = false;
    for line in head.split("\r\n").skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("connection") {
            let has = |option: &str| value.split(',').any(|given| given.trim().eq_ignore_ascii_case(option));
            close |= has("close");
            keep |= has("keep-alive");
        }
    }
    close || !keep
}

fn serve(input: &[u8], cut: usize) -> (Vec<Message>, Vec<u8>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let seen: Rc<RefCell<Vec<Message>>> = Rc::default();
    let output = runtime.block_on(async {
        let (client, server) = tokio::io::duplex(1 << 16);
        let state: Arc<GateState> = Arc::default();
        let gate = HeadGate::new(server, LIMITS, Arc::clone(&state), |code| format!("!{code}").into_bytes());
        let service = service_fn(|request: Request<Incoming>| {
            let (state, seen) = (Arc::clone(&state), Rc::clone(&seen));
            async move {
                let index = seen.borrow().len();
                let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
                seen.borrow_mut().push(Message { method: request.method().to_string(), target, body: Some(Vec::new()) });
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else { break };
                    if let Some(message) = seen.borrow_mut().get_mut(index) {
                        message.body.get_or_insert_default().extend(frame.into_data().unwrap_or_default());
                    }
                }
                Ok::<_, Infallible>(state.answer(Response::new(Full::new(Bytes::from_static(b"ok")))))
            }
        });
        let served = http1::Builder::new().auto_date_header(false).max_headers(LIMITS.headers).serve_connection(gate, service);
        let (mut from, mut to) = tokio::io::split(client);
        let mut output = Vec::new();
        let send = async {
            for piece in input.chunks(cut) {
                if to.write_all(piece).await.is_err() {
                    break;
                }
                for _ in 0..4 {
                    tokio::task::yield_now().await;
                }
            }
            // Everything due has been answered by now.
            for _ in 0..200 {
                tokio::task::yield_now().await;
            }
            let _ = to.shutdown().await;
        };
        let (_, _, read) = tokio::join!(served, send, from.read_to_end(&mut output));
        read.unwrap();
        output
    });
    let seen = std::mem::take(&mut *seen.borrow_mut());
    (seen, output)
}
