//! What only a real socket shows: whether an answer survives the closing of a connection on which the client still sends.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use countersign_core::head::HeadLimits;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::rig::render;
use super::{GateState, HeadGate, Wait, server};

/// Sends all of `request` without reading, and only then reads the answer. `/early` is answered without reading its body.
async fn talk(request: Vec<u8>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let state = Arc::new(GateState::new());
    let gate = HeadGate::new(accepted, HeadLimits::default(), Arc::clone(&state), render);
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move {
            let mut response = Response::new(Full::<Bytes>::default());
            if request.uri().path() == "/early" {
                *response.status_mut() = StatusCode::UNAUTHORIZED;
            } else {
                let _ = request.into_body().collect().await;
            }
            Ok::<_, Infallible>(state.answer(response))
        }
    });
    let serving = server().serve_connection(gate, service).with_upgrades();
    let talking = async move {
        // Sending into a connection that is being closed may fail; the answer must be there all the same.
        let _ = client.write_all(&request).await;
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    tokio::join!(serving, talking).1
}

const BAD: &[u8] = b"GET bad HTTP/1.1\r\n";
static MORE: [u8; 100 * 1024] = [b'x'; 100 * 1024];

#[tokio::test]
async fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let answer = talk([BAD, &MORE].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_target"), "{answer}");
}

#[tokio::test]
async fn a_refusal_behind_an_answer_reaches_a_client_that_goes_on_sending() {
    let answer = talk([b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", BAD, &MORE].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.contains("bad_target"), "{answer}");
}

#[tokio::test]
async fn an_answer_before_the_body_was_read_reaches_a_client_that_goes_on_sending() {
    let answer =
        talk([format!("POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", MORE.len()).as_bytes(), &MORE].concat()).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}

/// The client sends a request that ends the connection, and `more` once the service has it; it reads when the gate closes.
async fn answered_while_more_comes(more: &[u8]) -> usize {
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listener.listen(1).unwrap();
    let client = tokio::net::TcpSocket::new_v4().unwrap();
    // So that most of the answer is still with the server when it closes.
    client.set_recv_buffer_size(4096).unwrap();
    let mut client = client.connect(listener.local_addr().unwrap()).await.unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let (state, asked, answer) = (Arc::new(GateState::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let gate = HeadGate::new(accepted, HeadLimits::default(), Arc::clone(&state), render);
    let service = {
        let (state, asked, answer) = (Arc::clone(&state), Arc::clone(&asked), Arc::clone(&answer));
        service_fn(move |_: Request<Incoming>| {
            let (state, asked, answer) = (Arc::clone(&state), Arc::clone(&asked), Arc::clone(&answer));
            async move {
                asked.notify_one();
                answer.notified().await;
                Ok::<_, Infallible>(state.answer(Response::new(Full::new(Bytes::from_static(&MORE)))))
            }
        })
    };
    let serving = server().serve_connection(gate, service).with_upgrades();
    let talking = async move {
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        asked.notified().await;
        client.write_all(more).await.unwrap();
        answer.notify_one();
        while state.waits_for() != Wait::Close {
            tokio::task::yield_now().await;
        }
        let mut read = Vec::new();
        let _ = client.read_to_end(&mut read).await;
        read.len()
    };
    tokio::join!(serving, talking).1
}

#[tokio::test]
async fn an_answer_reaches_a_client_that_sent_more_while_it_was_made() {
    for more in ["", "\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let read = answered_while_more_comes(more.as_bytes()).await;
        assert!(read > MORE.len(), "{read} bytes of the answer, with {more:?}");
    }
}
