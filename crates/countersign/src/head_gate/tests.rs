use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use countersign_core::code::Code;
use countersign_core::head::HeadLimits;
use http::StatusCode;
use http::header::{CONNECTION, UPGRADE};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::rig::{Bell, End, render, with_timers};
use super::{Answer, GateState, HeadGate, Phase};

type Body = UnsyncBoxBody<Bytes, Infallible>;

const GOOD: &[u8] = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
const UPGRADE_HEAD: &[u8] = b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// What the service in these tests remembers and waits for.
#[derive(Default)]
struct Scene {
    state: Arc<GateState>,
    targets: Mutex<Vec<String>>,
    /// Lets go of requests to `/wait`.
    go: Notify,
    /// What came through a tunnel.
    tunnel: Mutex<Vec<u8>>,
    /// Requests whose service was dropped before it answered.
    dropped: AtomicUsize,
}

struct Dropped<'a>(&'a AtomicUsize);

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

impl Scene {
    async fn serve(self: Arc<Self>, mut request: Request<Incoming>) -> Result<Response<Answer<Body>>, Infallible> {
        let target = request.uri().path().to_owned();
        self.targets.lock().unwrap().push(target.clone());
        let dropped = Dropped(&self.dropped);
        let mut response = Response::new(full(target.clone()));
        match target.as_str() {
            "/wait" => self.go.notified().await,
            // The head of the answer at once, the body later.
            "/stream" => {
                let scene = Arc::clone(&self);
                response = Response::new(Streamed(Some(Box::pin(async move { scene.go.notified().await }))).boxed_unsync());
            }
            "/ws" => {
                let upgrade = hyper::upgrade::on(&mut request);
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert(CONNECTION, "upgrade".parse().unwrap());
                response.headers_mut().insert(UPGRADE, "websocket".parse().unwrap());
                let scene = Arc::clone(&self);
                tokio::spawn(async move {
                    let mut tunnel = TokioIo::new(upgrade.await.unwrap());
                    let mut bytes = Vec::new();
                    tunnel.read_to_end(&mut bytes).await.unwrap();
                    *scene.tunnel.lock().unwrap() = bytes;
                    scene.go.notify_one();
                });
            }
            "/early" => *response.status_mut() = StatusCode::UNAUTHORIZED,
            _ => match request.body_mut().collect().await {
                Ok(body) => response = Response::new(full(format!("{target}={}", body.to_bytes().len()))),
                Err(_broken) => *response.status_mut() = StatusCode::REQUEST_TIMEOUT,
            },
        }
        std::mem::forget(dropped);
        Ok(self.state.answer(response))
    }

    fn gate<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(&self, io: IO) -> HeadGate<IO> {
        HeadGate::new(io, HeadLimits::default(), Arc::clone(&self.state), render)
    }

    fn targets(&self) -> Vec<String> {
        self.targets.lock().unwrap().clone()
    }
}

/// A body that comes when the future is ready.
struct Streamed(Option<Pin<Box<dyn Future<Output = ()> + Send>>>);

impl hyper::body::Body for Streamed {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(go) = &mut self.0 else { return Poll::Ready(None) };
        ready!(go.as_mut().poll(context));
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"streamed")))))
    }
}

/// Opens a connection that is moved by hand and gives it to `act` with a function that moves it; that says whether it is over.
fn by_hand(act: impl FnOnce(&Arc<Scene>, &End, &mut dyn FnMut() -> bool)) {
    with_timers(|| {
        let scene = Arc::new(Scene::default());
        let wire = End::default();
        let service = {
            let scene = Arc::clone(&scene);
            service_fn(move |request| Arc::clone(&scene).serve(request))
        };
        let gate = scene.gate(wire.clone());
        let mut connection = pin!(hyper::server::conn::http1::Builder::new().serve_connection(gate, service).with_upgrades());
        let bell = Arc::new(Bell::default());
        let mut over = false;
        act(&scene, &wire, &mut || {
            over = over || bell.drive(connection.as_mut()).is_some();
            over
        });
    });
}

/// What is written for `bytes` sent at once, each piece alone.
fn answer_to(pieces: &[&[u8]]) -> (String, Vec<String>) {
    let mut answer = (String::new(), Vec::new());
    by_hand(|scene, wire, step| {
        for piece in pieces {
            wire.send(piece);
            step();
        }
        wire.end();
        for _ in 0..3 {
            step();
        }
        answer = (wire.written(), scene.targets());
    });
    answer
}

fn bodies(written: &str) -> Vec<&str> {
    written.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.split_once("\r\n\r\n")).map(|(_, body)| body).collect()
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    by_hand(|scene, wire, step| {
        wire.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
        step();
        assert_eq!(bodies(&wire.written()), ["/1=0", "/2=3", "/3=0"]);
        assert_eq!(scene.state.heads(), 3);
        assert_eq!(scene.state.phase(), Phase::Idle);
    });
}

#[test]
fn where_the_input_is_cut_does_not_matter() {
    let input = b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    for cut in 0..=input.len() {
        let (before, after) = input.split_at(cut);
        let (written, _) = answer_to(&[before, after]);
        assert_eq!(bodies(&written), ["/1=0", "/2=3", "/3=0"], "cut at {cut}");
    }
    let bytes = input.chunks(1).collect::<Vec<_>>();
    assert_eq!(bodies(&answer_to(&bytes).0), ["/1=0", "/2=3", "/3=0"]);
}

#[test]
fn a_body_that_looks_like_a_request_is_a_body() {
    let (written, targets) = answer_to(&[b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 28\r\n\r\n", GOOD]);
    assert_eq!((bodies(&written), targets), (vec!["/1=28"], vec!["/1".to_owned()]));
}

#[test]
fn a_refusal_waits_for_the_answer_before_it() {
    for first in ["/wait", "/stream"] {
        by_hand(|scene, wire, step| {
            wire.send(format!("GET {first} HTTP/1.1\r\nHost: a\r\n\r\nGET bad HTTP/1.1\r\n").as_bytes());
            assert!(!step());
            assert!(!wire.written().contains("bad_target"), "{first}: {}", wire.written());
            scene.go.notify_one();
            step();
            let written = wire.written();
            let answered = written.find("200 OK").unwrap();
            assert!(written.find("X-Code: bad_target").is_some_and(|refused| refused > answered), "{first}: {written}");
            assert!(wire.is_shut());
            wire.end();
            assert!(step());
        });
    }
}

#[test]
fn a_refusal_waits_until_the_client_has_read_the_answer_before_it() {
    by_hand(|_, wire, step| {
        wire.read_only(Some(10));
        wire.send(&[GOOD, b"\0"].concat());
        step();
        wire.read_only(None);
        step();
        let written = wire.written();
        assert!(written.starts_with("HTTP/1.1 200 OK\r\n") && written.ends_with(&String::from_utf8(render(Code::BadLineEnding)).unwrap()), "{written}");
    });
}

#[test]
fn nothing_behind_a_chunked_body_is_a_request() {
    let chunked = b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    for pieces in [vec![&chunked[..], GOOD], vec![&[&chunked[..], GOOD].concat()]] {
        let (written, targets) = answer_to(&pieces);
        assert_eq!((bodies(&written), targets), (vec!["/1=3"], vec!["/1".to_owned()]));
        assert!(written.to_ascii_lowercase().contains("connection: close"), "{written}");
    }
}

#[test]
fn a_chunked_request_does_not_end_the_connection_of_the_answer_before_it() {
    by_hand(|scene, wire, step| {
        wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        step();
        assert!(!scene.state.ends_after_this());
        scene.go.notify_one();
        step();
        assert!(scene.state.ends_after_this());
        assert_eq!(bodies(&wire.written()), ["/wait", "/2=0"]);
        assert_eq!(wire.written().to_ascii_lowercase().matches("connection: close").count(), 1);
    });
}

#[test]
fn a_refused_upgrade_makes_what_follows_a_request() {
    // Answered without a word about the upgrade, which says the same.
    let head = b"GET /no HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let (written, _) = answer_to(&[&[&head[..], GOOD, b"GET /2 HTTP/1.1\r\n\r\n"].concat()]);
    assert_eq!(bodies(&written), ["/no=0", "/1=0", ""]);
    assert!(written.contains("X-Code: no_host"), "{written}");
}

#[tokio::test]
async fn an_upgrade_hands_over_what_was_sent_behind_its_head() {
    let scene = Arc::new(Scene::default());
    let (mut client, server) = tokio::io::duplex(64);
    let service = {
        let scene = Arc::clone(&scene);
        service_fn(move |request| Arc::clone(&scene).serve(request))
    };
    let serving = tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(scene.gate(server), service).with_upgrades());
    client.write_all(&[UPGRADE_HEAD, b"\0\x01 right behind"].concat()).await.unwrap();
    let mut head = [0; 12];
    client.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 101");
    assert_eq!(scene.state.phase(), Phase::Tunnel);
    client.write_all(b", and later").await.unwrap();
    client.shutdown().await.unwrap();
    scene.go.notified().await;
    assert_eq!(*scene.tunnel.lock().unwrap(), b"\0\x01 right behind, and later");
    serving.await.unwrap().unwrap();
}

#[test]
fn a_client_that_goes_away_ends_the_work_for_it() {
    by_hand(|scene, wire, step| {
        wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
        assert!(!step());
        wire.end();
        assert!(step());
        assert_eq!(scene.dropped.load(Ordering::SeqCst), 1);
    });
}

#[test]
fn a_client_that_goes_away_between_requests_or_in_a_head_gets_no_answer() {
    for sent in [&b""[..], b"GET / HT"] {
        by_hand(|_, wire, step| {
            wire.send(sent);
            assert!(!step());
            wire.end();
            assert!(step());
            assert_eq!(wire.written(), "");
        });
    }
}

#[test]
fn a_sweep_ends_what_takes_too_long() {
    by_hand(|scene, wire, step| {
        assert!(!step());
        assert_eq!(scene.state.phase(), Phase::Idle);
        scene.state.refuse(Code::HeadTimeout);
        assert!(step());
        assert_eq!(wire.written(), "", "an idle connection just ends");
    });
    by_hand(|scene, wire, step| {
        wire.send(b"GET / HTTP/1.1\r\nHo");
        step();
        assert_eq!((scene.state.phase(), scene.state.heads()), (Phase::ReadingHead, 0));
        scene.state.refuse(Code::HeadTimeout);
        step();
        assert!(wire.written().starts_with("HTTP/1.1 408 ") && wire.written().contains("head_timeout"), "{}", wire.written());
        assert!(wire.is_shut());
    });
    by_hand(|scene, wire, step| {
        wire.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
        step();
        assert_eq!(scene.state.phase(), Phase::ReadingBody);
        let before = scene.state.progress();
        wire.send(b"b");
        step();
        assert_ne!(scene.state.progress(), before);
        scene.state.refuse(Code::BodyTimeout);
        step();
        assert!(wire.written().starts_with("HTTP/1.1 408 "), "{}", wire.written());
    });
    by_hand(|scene, wire, step| {
        wire.send(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\n");
        step();
        assert_eq!(scene.state.phase(), Phase::Busy);
        scene.state.refuse(Code::HeadTimeout);
        step();
        scene.go.notify_one();
        step();
        assert_eq!(scene.state.phase(), Phase::ReadingHead, "the order was not about this head");
        wire.send(b"Host: a\r\n\r\n");
        step();
        assert_eq!(bodies(&wire.written()), ["/wait", "/2=0"]);
    });
}

#[test]
fn a_chunked_body_is_waited_for_until_it_has_ended() {
    by_hand(|scene, wire, step| {
        wire.send(b"POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab");
        step();
        assert_eq!(scene.state.phase(), Phase::ReadingBody);
        wire.send(b"c\r\n0\r\n\r\n");
        step();
        assert_eq!(bodies(&wire.written()), ["/1=3"]);
    });
    by_hand(|scene, wire, step| {
        wire.send(b"POST /wait HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
        step();
        scene.state.body_ended();
        step();
        assert_eq!(scene.state.phase(), Phase::Busy);
    });
}

#[test]
fn an_answer_that_the_client_does_not_read_does_not_hold_the_connection_for_ever() {
    by_hand(|scene, wire, step| {
        wire.read_only(Some(10));
        wire.send(&[GOOD, b"\0"].concat());
        step();
        scene.state.refuse(Code::HeadTimeout);
        assert!(step());
    });
}

/// Sends all of `request` on a real socket without reading, then reads the answer.
async fn on_a_socket(request: Vec<u8>) -> std::io::Result<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let mut client = tokio::net::TcpStream::connect(listener.local_addr()?).await?;
    let (server, _) = listener.accept().await?;
    let scene = Arc::new(Scene::default());
    let service = {
        let scene = Arc::clone(&scene);
        service_fn(move |request| Arc::clone(&scene).serve(request))
    };
    let serving = hyper::server::conn::http1::Builder::new().serve_connection(scene.gate(server), service).with_upgrades();
    let talking = async move {
        // What is sent into a connection that is being closed may fail; the answer must be there all the same.
        let _ = client.write_all(&request).await;
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let (_, answer) = tokio::join!(serving, talking);
    answer
}

#[tokio::test]
async fn a_refusal_reaches_a_client_that_goes_on_sending() {
    let answer = on_a_socket([b"GET bad HTTP/1.1\r\n", &[b'x'; 60 * 1024][..]].concat()).await.unwrap();
    assert!(answer.contains("X-Code: bad_target"), "{answer}");
    let answer = on_a_socket([GOOD, b"GET bad HTTP/1.1\r\n", &[b'x'; 60 * 1024][..]].concat()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("X-Code: bad_target"), "{answer}");
}

#[tokio::test]
async fn an_early_answer_reaches_a_client_that_goes_on_sending() {
    let answer = on_a_socket([b"POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 60000\r\n\r\n", &[b'x'; 60_000][..]].concat()).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
}
